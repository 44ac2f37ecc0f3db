//! Bringing back what was there: pkg.undo of one call, pkg.rollback of the whole set of packages, and
//! taking back what a failure or a crash left half done. All three bring back the same three things: the
//! packages in their versions, their configuration files, and the links that enable services.
//!
//! dpkg does it from kept package files, so it needs no source and no network.

use super::args::KeyArgs;
use super::change::{
    UNDO, access, conffiles, granted, identities, mark, not_essential, photo, result, sentence, versions,
};
use super::debs::Version;
use super::error::PkgError;
use super::history::{executions, plan_of};
use super::plan::{Goal, Image, Item, Photo, Plan, Set, Was, Work, differences, set_of};
use super::status::{Known, State, known, unsettled};
use super::{HOST, Pkg, files, lock};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::same_identities;
use crate::typed::{typed, value_of};
use crate::worker::journal::State as Step;
use crate::worker::{Call, Prepared, Target};
use aios_auth::capability::Access;
use aios_auth::level::Risk;
use aios_core::failpoint;
use aios_core::id::{ExecutionKey, TaskId};
use aios_proto::common::v1::Identity;
use serde_json::Value;
use std::collections::BTreeMap;

/// Most differences that an error lists.
const SHOWN: usize = 5;

/// Whether a package is as it was.
fn is_back(was: Option<&Was>, now: Option<&Was>) -> bool {
    match (was, now) {
        (None, None) => true,
        (Some(was), Some(now)) if was.state.is_there() => {
            now.version == was.version && (now.state == State::Installed || now.state == was.state)
        }
        (Some(was), Some(now)) => now.state == was.state,
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// The packages that are not as they were, as changes from now.
fn items(wanted: &BTreeMap<String, Option<Was>>, known: &Known) -> Vec<Item> {
    let mut items = Vec::new();
    for (name, was) in wanted {
        let package = known.get(name);
        let now = package.map(Was::from);
        if is_back(was.as_ref(), now.as_ref()) {
            continue;
        }
        let back = was.as_ref().filter(|was| was.state.is_there());
        items.push(Item {
            name: name.clone(),
            architecture: back
                .map(|was| was.architecture.clone())
                .or_else(|| now.as_ref().map(|now| now.architecture.clone()))
                .unwrap_or_default(),
            from: now.map(|now| now.version),
            to: back.map(|was| was.version.clone()),
            purge: was.is_none(),
        });
    }
    items
}

/// What an undo or a rollback is about to do.
struct Way {
    goal: Goal,
    items: Vec<Item>,
    known: Known,
}

fn not_undoable(target: &Target<Plan>, why: impl Into<String>) -> ToolError {
    ToolError::NotUndoable {
        key: target.key.to_string(),
        why: why.into(),
    }
}

fn few(mut differences: Vec<String>) -> String {
    let more = differences.len().saturating_sub(SHOWN);
    differences.truncate(SHOWN);
    let mut text = differences.join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

/// What was changed since by somebody else, of all that is to be brought back.
fn changed_since(
    pkg: &Pkg,
    goal: &Goal,
    left: &BTreeMap<&String, &Image>,
    links: &BTreeMap<&String, Option<&String>>,
    budget: &Budget,
) -> Result<Vec<String>> {
    let mut differing = Vec::new();
    let now = files::again(&pkg.root, None, goal.files.keys(), budget)?;
    for (path, image) in &now {
        let difference = left.get(path).and_then(|left| files::difference(left, image));
        differing.extend(difference.map(|difference| format!("{path}: {difference}")));
    }
    let now = files::links(&pkg.root)?;
    for path in goal.links.keys() {
        if links.get(path).copied().flatten() != now.get(path) {
            differing.push(format!("{path}: the link was changed"));
        }
    }
    Ok(differing)
}

/// What the undo of a call brings back; refused when somebody changed it since.
fn undo_way(pkg: &Pkg, target: &Target<Plan>, budget: &Budget) -> Result<Way> {
    if target.plan.work == Work::Configure {
        return Err(not_undoable(
            target,
            "a finished configuration cannot be made half done again",
        ));
    }
    let Some(after) = &target.plan.after else {
        return Err(not_undoable(
            target,
            "its journal entry does not say what it left",
        ));
    };
    let goal = target.plan.undoing(after);
    let known = known(&pkg.root)?;
    let mut differing = Vec::new();
    for name in goal.set.keys() {
        let version = |was: Option<Was>| was.map(|was| (was.version, was.state));
        let now = version(known.get(name).map(Was::from));
        if version(after.set.get(name).cloned()) != now {
            let is = now.map_or_else(
                || "not there".to_owned(),
                |(version, state)| format!("{version} {}", state.word()),
            );
            differing.push(format!("{name} is {is} now"));
        }
    }
    let files = after.files.iter().collect();
    let links = goal
        .links
        .keys()
        .map(|path| (path, after.links.get(path)))
        .collect();
    differing.extend(changed_since(pkg, &goal, &files, &links, budget)?);
    if !differing.is_empty() {
        return Err(ToolError::UndoConflict {
            key: target.key.to_string(),
            differences: few(differing),
        });
    }
    let items = items(&goal.set, &known);
    Ok(Way { goal, items, known })
}

/// The plans from a finished call on, the newest first; the last one is the call's own.
fn plans_since(pkg: &Pkg, args: &KeyArgs) -> Result<Vec<Plan>> {
    let key = format!("{}/{}", args.task_id, args.step);
    let mut plans = Vec::new();
    for past in executions(pkg)? {
        let execution = past.execution;
        let finished = matches!(execution.state, Step::Done | Step::Undone);
        if let Some(text) = execution.plan.as_ref().filter(|_| finished) {
            plans.push(plan_of(text)?);
        }
        if execution.key.to_string() == key {
            if finished && execution.plan.is_some() {
                return Ok(plans);
            }
            break;
        }
    }
    Err(ToolError::NoSuchExecution { key })
}

/// What a rollback brings back: every package as it was before a call, and what aiOS changed since of
/// configuration files and links.
fn rollback_way(pkg: &Pkg, call: &Call<'_>) -> Result<Way> {
    let plans = plans_since(pkg, &typed(call.tool, call.args)?)?;
    let known = known(&pkg.root)?;
    let base = plans.last().map(|plan| &plan.before.set);
    let mut goal = Goal {
        set: base.map_or_else(BTreeMap::new, |base| whole(base, &set_of(&known))),
        ..Goal::default()
    };
    let (mut left, mut links) = (BTreeMap::new(), BTreeMap::new());
    for plan in plans.iter().rev() {
        let Some(after) = &plan.after else { continue };
        let undoing = plan.undoing(after);
        // The oldest call knows how a place was, the newest how it was left.
        for (path, image) in undoing.files {
            goal.files.entry(path).or_insert(image);
        }
        for (path, target) in undoing.links {
            goal.links.entry(path).or_insert(target);
        }
        left.extend(after.files.iter());
        links.extend(
            goal.links
                .keys()
                .map(|path| (path.clone(), after.links.get(path))),
        );
    }
    let links = links.iter().map(|(path, target)| (path, *target)).collect();
    let differing = changed_since(pkg, &goal, &left, &links, call.budget)?;
    if !differing.is_empty() {
        return Err(PkgError::ChangedSince {
            differences: few(differing),
        }
        .into());
    }
    let items = items(&goal.set, &known);
    may_change(&items, &known)?;
    Ok(Way { goal, items, known })
}

/// Refuses what no rollback takes away or touches.
fn may_change(items: &[Item], known: &Known) -> Result<()> {
    for item in items {
        let package = known.get(&item.name);
        if item.to.is_none() {
            not_essential(&item.name, package)?;
        }
        if package.is_some_and(|package| package.hold) {
            return Err(PkgError::Held {
                name: item.name.clone(),
            }
            .into());
        }
    }
    Ok(())
}

/// Every package that is not as it was.
fn whole(then: &Set, now: &Set) -> BTreeMap<String, Option<Was>> {
    let names = then.keys().chain(now.keys());
    names
        .filter(|name| !is_back(then.get(*name), now.get(*name)))
        .map(|name| (name.clone(), then.get(name).cloned()))
        .collect()
}

fn prepared(pkg: &Pkg, way: &Way, required: Vec<Access>, what: &str, budget: &Budget) -> Result<Prepared> {
    let (coming, going) = versions(&way.items, &way.known);
    if let Some(version) = pkg.debs.missing(&pkg.root, &coming, budget)?.first() {
        return Err(PkgError::NotObtainable {
            package: format!("{}={}", version.name, version.version),
            why: "it is neither kept nor in any source".to_owned(),
        }
        .into());
    }
    let reversible = pkg.debs.missing(&pkg.root, &going, budget)?.is_empty();
    let packages = match sentence(&way.items) {
        text if text.is_empty() => "no package changes".to_owned(),
        text => text,
    };
    let kept = coming
        .iter()
        .filter_map(|version| pkg.debs.kept(version)?.metadata().ok());
    Ok(Prepared {
        identities: identities(&way.items),
        required,
        risk: if reversible { Risk::Medium } else { Risk::High },
        mutating: true,
        reversible,
        files: (way.items.len() + way.goal.files.len() + way.goal.links.len()) as u64,
        bytes: kept.map(|meta| meta.len()).sum(),
        summary: format!(
            "{what}: {packages}; {} configuration files and {} links that enable services come back, nothing else",
            way.goal.files.values().len(),
            way.goal.links.len()
        ),
    })
}

pub(crate) fn prepare_undo(pkg: &Pkg, call: &Call<'_>, target: &Target<Plan>) -> Result<Prepared> {
    granted(call, &target.required)?;
    let way = undo_way(pkg, target, call.budget)?;
    let what = format!("Undo {}", target.key);
    prepared(pkg, &way, target.required.clone(), &what, call.budget)
}

pub(crate) fn prepare_rollback(pkg: &Pkg, call: &Call<'_>) -> Result<Prepared> {
    let required = vec![access("rollback", HOST)?];
    granted(call, &required)?;
    let way = rollback_way(pkg, call)?;
    let prepared = prepared(
        pkg,
        &way,
        required,
        "Bring back the earlier set of packages",
        call.budget,
    )?;
    // It may take away what others installed since: a person looks at the list.
    Ok(Prepared {
        risk: Risk::High,
        ..prepared
    })
}

pub(crate) fn plan_undo(
    pkg: &Pkg,
    call: &Call<'_>,
    target: &Target<Plan>,
    approved: &[Identity],
) -> Result<Plan> {
    lock::wait(&pkg.root, call.budget)?;
    plan(pkg, call, undo_way(pkg, target, call.budget)?, approved)
}

pub(crate) fn plan_rollback(pkg: &Pkg, call: &Call<'_>, approved: &[Identity]) -> Result<Plan> {
    lock::wait(&pkg.root, call.budget)?;
    plan(pkg, call, rollback_way(pkg, call)?, approved)
}

fn plan(pkg: &Pkg, call: &Call<'_>, way: Way, approved: &[Identity]) -> Result<Plan> {
    same_identities(approved, &identities(&way.items))?;
    let (coming, mut going) = versions(&way.items, &way.known);
    let missing = pkg.debs.missing(&pkg.root, &going, call.budget)?;
    going.retain(|version| !missing.contains(version));
    pkg.debs.keep(&pkg.root, &coming, call.budget)?;
    pkg.debs.keep(&pkg.root, &going, call.budget)?;
    let paths = conffiles(&way.known, way.items.iter().map(|item| &item.name));
    let mut before = Photo {
        set: set_of(&way.known),
        files: files::photograph(&pkg.root, &pkg.store, &paths, call.budget)?,
        links: files::links(&pkg.root)?,
    };
    let more = way.goal.files.keys();
    before
        .files
        .extend(files::again(&pkg.root, Some(&pkg.store), more, call.budget)?);
    Ok(Plan {
        call: call.key.to_string(),
        work: Work::Back { goal: way.goal },
        before,
        after: None,
        result: Value::Null,
    })
}

pub(crate) fn apply(pkg: &Pkg, plan: &mut Plan, budget: &Budget) -> Result<()> {
    let Work::Back { goal } = &plan.work else {
        return Err(ToolError::Defect("nothing is to be brought back".to_owned()));
    };
    // What dpkg changes on the way, and nobody asked to change, becomes what it is now.
    let mut whole = goal.clone();
    for (path, image) in &plan.before.files {
        whole.files.entry(path.clone()).or_insert_with(|| image.clone());
    }
    bring_back(pkg, &whole, Some(&plan.before.links), budget)?;
    note(pkg, plan, budget)
}

/// Verifies that all is back, and notes how it is now.
pub(crate) fn note(pkg: &Pkg, plan: &mut Plan, budget: &Budget) -> Result<()> {
    let Work::Back { goal } = &plan.work else {
        return Err(ToolError::Defect("nothing is to be brought back".to_owned()));
    };
    let after = photo(pkg, plan, budget)?;
    all_back(goal, &after)?;
    let mut told = result(&plan.before, &after);
    UNDO.clone_into(&mut told.undo);
    plan.result = value_of(&told)?;
    plan.after = Some(after);
    Ok(())
}

fn all_back(goal: &Goal, now: &Photo) -> Result<()> {
    let mut differing = Vec::new();
    for (name, was) in &goal.set {
        if !is_back(was.as_ref(), now.set.get(name)) {
            let state = now.set.get(name).map_or("not-installed", |it| it.state.word());
            differing.push(format!("{name} is {state}"));
        }
    }
    for (path, image) in &goal.files {
        let difference = now.files.get(path).and_then(|now| files::difference(image, now));
        differing.extend(difference.map(|difference| format!("{path}: {difference}")));
    }
    for (path, target) in &goal.links {
        if now.links.get(path) != target.as_ref() {
            differing.push(format!("{path}: the link is not back"));
        }
    }
    if differing.is_empty() {
        return Ok(());
    }
    Err(PkgError::NotReached {
        difference: few(differing),
    }
    .into())
}

/// Makes everything what it was. Links that the goal does not name become those of `links`.
fn bring_back(
    pkg: &Pkg,
    goal: &Goal,
    links: Option<&BTreeMap<String, String>>,
    budget: &Budget,
) -> Result<()> {
    let known_now = known(&pkg.root)?;
    let items = items(&goal.set, &known_now);
    if !items.is_empty() {
        lock::wait(&pkg.root, budget)?;
        packages_back(pkg, &items, &known_now, budget)?;
    }
    failpoint::hit("worker.pkg.mid_effect");
    marks_back(pkg, &goal.set, budget)?;
    let now = files::again(&pkg.root, None, goal.files.keys(), budget)?;
    for (path, image) in &goal.files {
        if now.get(path) != Some(image) {
            files::restore(&pkg.root, &pkg.store, path, image)?;
        }
    }
    let now = files::links(&pkg.root)?;
    let mut wanted = links.map_or_else(BTreeMap::new, |links| differences(links, &now));
    wanted.extend(goal.links.clone());
    for (path, target) in &wanted {
        if now.get(path) != target.as_ref() {
            files::restore_link(&pkg.root, path, target.as_ref())?;
        }
    }
    Ok(())
}

/// Installs, then removes. Where packages stand in each other's way it removes first.
fn packages_back(pkg: &Pkg, items: &[Item], known: &Known, budget: &Budget) -> Result<()> {
    let mut install = Vec::new();
    for item in items {
        if let Some(to) = &item.to {
            let file = pkg.debs.file(&Version::new(&item.name, to, &item.architecture))?;
            install.push(file.to_string_lossy().into_owned());
        }
    }
    let install: Vec<&str> = install.iter().map(String::as_str).collect();
    let going = |purge: bool| -> Vec<&str> {
        let going = items
            .iter()
            .filter(|item| item.to.is_none() && item.purge == purge);
        going.map(|item| item.name.as_str()).collect()
    };
    // A package whose unpacking broke off is not removed by dpkg until that is forced.
    let broken = items
        .iter()
        .any(|item| known.get(&item.name).is_some_and(|it| it.reinstall));
    let remove = |force: &[&str]| -> Result<()> {
        for (verb, names) in [("--purge", going(true)), ("--remove", going(false))] {
            if !names.is_empty() {
                let reinstall: &[&str] = if broken {
                    &["--force-remove-reinstreq"]
                } else {
                    &[]
                };
                let dpkg = pkg.root.dpkg(force).args(reinstall).args(&[verb]);
                dpkg.args(&names).run(budget)?;
            }
        }
        Ok(())
    };
    let put = || -> Result<()> {
        if install.is_empty() {
            return Ok(());
        }
        pkg.root.dpkg(&["--install"]).args(&install).run(budget).map(drop)
    };
    match put().and_then(|()| remove(&[])) {
        Err(ToolError::Pkg(PkgError::Program { .. })) => {
            remove(&["--force-depends"])?;
            put()?;
        }
        other => other?,
    }
    if !unsettled(&self::known(&pkg.root)?).is_empty() {
        pkg.root.dpkg(&["--configure", "-a"]).run(budget)?;
    }
    Ok(())
}

fn marks_back(pkg: &Pkg, wanted: &BTreeMap<String, Option<Was>>, budget: &Budget) -> Result<()> {
    let known = known(&pkg.root)?;
    let differing = |automatic: bool| -> Vec<&str> {
        let there = wanted.iter().filter(|(name, was)| {
            let was = was.as_ref().filter(|was| was.state.is_there());
            was.is_some_and(|was| was.automatic == automatic)
                && known.get(*name).is_some_and(|it| it.automatic != automatic)
        });
        there.map(|(name, _)| name.as_str()).collect()
    };
    mark(pkg, "auto", &differing(true), budget)?;
    mark(pkg, "manual", &differing(false), budget)
}

/// Takes back whatever of a plan was done.
pub(crate) fn roll_back(pkg: &Pkg, plan: &Plan, budget: &Budget) -> Result<()> {
    if plan.work == Work::Configure {
        // What was configured stays so: half done is no state to go back to.
        return Ok(());
    }
    let half = |error: ToolError| ToolError::HalfDone {
        key: plan.call.clone(),
        why: error.report().to_string(),
    };
    let goal = plan.way_back(&files::links(&pkg.root).map_err(half)?);
    bring_back(pkg, &goal, Some(&plan.before.links), budget)
        .and_then(|()| all_back(&goal, &photo(pkg, plan, budget)?))
        .map_err(half)
}

/// After a crash: completes what dpkg had begun, then looks whether all of the plan is done.
pub(crate) fn finish(pkg: &Pkg, plan: &mut Plan, budget: &Budget) -> Result<bool> {
    lock::wait(&pkg.root, budget)?;
    let known_now = known(&pkg.root)?;
    let half = unsettled(&known_now);
    let names = plan.names();
    let ours = plan.work == Work::Configure || half.iter().any(|(name, _)| names.contains(name));
    if ours
        && !half.is_empty()
        && let Err(error) = pkg.root.dpkg(&["--configure", "-a"]).run(budget)
    {
        tracing::warn!(call = plan.call, error = %error.report(), "what a crash left half done cannot be completed");
    }
    match plan.work {
        Work::Configure => {
            let had = plan.before.set.values().any(|was| was.state.is_unsettled());
            if !had || !unsettled(&known(&pkg.root)?).is_empty() {
                return Ok(false);
            }
            super::configure::note(pkg, plan, None, budget)?;
            Ok(true)
        }
        Work::Change { ref items, ref asked } => {
            let now = set_of(&known(&pkg.root)?);
            let done = items
                .iter()
                .all(|it| super::change::reached(it, now.get(&it.name)));
            if items.is_empty() || !done {
                return Ok(false);
            }
            super::change::marks(pkg, items, asked, &plan.before, budget)?;
            super::change::note(pkg, plan, budget)?;
            Ok(true)
        }
        Work::Back { .. } => Ok(note(pkg, plan, budget).is_ok()),
    }
}

/// Task and step in their one form.
pub(crate) fn canonical(tool: &str, mut args: KeyArgs) -> Result<KeyArgs> {
    let bad = |field: &str, problem: String| crate::typed::bad_input(tool, field, problem);
    let task = TaskId::parse(&args.task_id).map_err(|error| bad("task_id", error.to_string()))?;
    if args.step == 0 {
        return Err(bad("step", "must be at least 1".to_owned()));
    }
    let key = ExecutionKey {
        task,
        step: args.step,
    };
    args.task_id = key.task.to_string();
    Ok(args)
}
