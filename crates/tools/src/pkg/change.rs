//! pkg.install and pkg.remove: what apt would do is shown and approved package by package
//! with its version, and then exactly that is done, from package files that were fetched before.
//!
//! A package that comes only because an approved one needs it is part of the approved call and needs no
//! capability of its own; one that is there already and would be replaced or removed does.

use super::args::{ChangeResult, InstallArgs, RemoveArgs};
use super::debs::{Version, conffiles_of, offered};
use super::error::PkgError;
use super::history::changed;
use super::plan::{Item, Photo, Plan, Was, Work, set_of};
use super::simulate::{Simulation, simulate};
use super::status::{Known, Package, State, known, unsettled};
use super::{Pkg, files, lock};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::same_identities;
use crate::typed::{typed, unknown, value_of};
use crate::worker::{Call, Prepared};
use aios_auth::capability::Access;
use aios_auth::level::Risk;
use aios_core::failpoint;
use aios_proto::common::v1::Identity;
use std::collections::BTreeSet;

/// What an undo brings back.
pub(crate) const UNDO: &str = "pkg.undo brings back these packages in their versions, the configuration files that they \
     registered, and the links that enable services; it does not bring back what else the packages' scripts did: data, \
     users, caches, running processes";

/// A change that apt has been asked about.
struct Asked {
    names: Vec<String>,
    items: Vec<Item>,
    known: Known,
}

pub(crate) fn access(action: &str, resource: &str) -> Result<Access> {
    Access::new("pkg", action, resource).map_err(ToolError::auth)
}

/// Refuses what the token does not grant.
pub(crate) fn granted(call: &Call<'_>, required: &[Access]) -> Result<()> {
    match required.iter().find(|access| !call.caps.allows_access(access)) {
        None => Ok(()),
        Some(access) => Err(ToolError::NotGranted {
            namespace: "pkg".to_owned(),
            action: access.action().to_owned(),
            path: access.resource().to_owned(),
        }),
    }
}

/// Asks apt what the call would do.
fn ask(pkg: &Pkg, call: &Call<'_>) -> Result<Asked> {
    let (action, names) = match call.tool {
        "pkg.install" => {
            let args: InstallArgs = typed(call.tool, call.args)?;
            if args.transient {
                return Err(PkgError::Stays.into());
            }
            ("install", args.names)
        }
        "pkg.remove" => ("remove", typed::<RemoveArgs>(call.tool, call.args)?.names),
        other => return unknown(other),
    };
    // Nothing is told of packages that the token does not name.
    let named: Vec<Access> = names
        .iter()
        .map(|name| access(action, name))
        .collect::<Result<_>>()?;
    granted(call, &named)?;
    let known = known(&pkg.root)?;
    settled(&known)?;
    if let Some(name) = names
        .iter()
        .find(|name| known.get(*name).is_some_and(|it| it.hold))
    {
        return Err(PkgError::Held { name: name.clone() }.into());
    }
    let simulation = if action == "install" {
        ask_install(pkg, &typed(call.tool, call.args)?, call.budget)?
    } else {
        ask_remove(pkg, &typed(call.tool, call.args)?, &known, call.budget)?
    };
    if action == "install" {
        exactly(&names, &simulation, &known)?;
    }
    for (name, _) in &simulation.going {
        not_essential(name, known.get(name))?;
    }
    let items = simulation.items(&known);
    Ok(Asked { names, items, known })
}

/// apt takes a name that it does not know for an expression, or for what others provide: each name must be a
/// package that comes, or is there.
fn exactly(names: &[String], simulation: &Simulation, known: &Known) -> Result<()> {
    let other = names.iter().find(|name| {
        !simulation.coming.iter().any(|it| it.name == **name)
            && !known.get(*name).is_some_and(|it| it.state.is_there())
    });
    match other {
        None => Ok(()),
        Some(name) => Err(PkgError::NoSuchPackage {
            name: name.clone(),
            problem: "no package that can be had under this very name",
        }
        .into()),
    }
}

/// Refuses to build on something half done.
fn settled(known: &Known) -> Result<()> {
    let names = unsettled(known)
        .iter()
        .map(|(name, package)| format!("{name} ({})", package.state.word()))
        .collect::<Vec<_>>()
        .join(", ");
    if names.is_empty() {
        Ok(())
    } else {
        Err(PkgError::Unsettled { names }.into())
    }
}

pub(crate) fn not_essential(name: &str, package: Option<&Package>) -> Result<()> {
    if package.is_some_and(|package| package.essential) {
        return Err(PkgError::Essential {
            name: name.to_owned(),
        }
        .into());
    }
    Ok(())
}

fn ask_install(pkg: &Pkg, args: &InstallArgs, budget: &Budget) -> Result<Simulation> {
    let wanted: Vec<String> = args
        .names
        .iter()
        .map(|name| match args.versions.get(name) {
            Some(version) => format!("{name}={version}"),
            None => name.clone(),
        })
        .collect();
    let recommends = if args.recommends {
        "--install-recommends"
    } else {
        "--no-install-recommends"
    };
    let mut command = vec![recommends];
    if !args.versions.is_empty() {
        command.push("--allow-downgrades");
    }
    command.push("install");
    command.extend(wanted.iter().map(String::as_str));
    simulate(&pkg.root, &command, budget).map_err(|error| not_found(error, &args.names))
}

/// apt's word that it does not know a package, as the error that says so.
fn not_found(error: ToolError, names: &[String]) -> ToolError {
    if let ToolError::Pkg(PkgError::Program { said, .. }) = &error
        && [
            "Unable to locate package",
            "no installation candidate",
            "was not found",
        ]
        .iter()
        .any(|sign| said.contains(sign))
        && let Some(name) = names
            .iter()
            .find(|name| said.split([' ', '\'', ';']).any(|word| word == name.as_str()))
    {
        return PkgError::NoSuchPackage {
            name: name.clone(),
            problem: "in no list of packages, or not in that version",
        }
        .into();
    }
    error
}

fn ask_remove(pkg: &Pkg, args: &RemoveArgs, known: &Known, budget: &Budget) -> Result<Simulation> {
    for name in &args.names {
        let package = known.get(name);
        // What is left of a removed package can still be purged.
        if !package.is_some_and(|it| it.state.is_there() || args.purge) {
            return Err(super::reads::not_installed(name));
        }
        not_essential(name, package)?;
    }
    let mut command = vec![if args.purge { "purge" } else { "remove" }];
    command.extend(args.names.iter().map(String::as_str));
    simulate(&pkg.root, &command, budget)
}

/// The versions that come, and those that go.
pub(crate) fn versions(items: &[Item], known: &Known) -> (Vec<Version>, Vec<Version>) {
    let coming = items.iter().filter_map(|item| {
        let version = item.to.as_ref()?;
        Some(Version::new(&item.name, version, &item.architecture))
    });
    let going = items.iter().filter_map(|item| {
        let package = known.get(&item.name).filter(|package| package.state.is_there())?;
        Some(Version::new(&item.name, &package.version, &package.architecture))
    });
    (coming.collect(), going.collect())
}

/// Each package with what becomes of it: what was approved is what is done.
pub(crate) fn identities(items: &[Item]) -> Vec<Identity> {
    let identity = |name: &str, version: &str, kind: &str| Identity {
        path: format!("{name}={version}"),
        kind: kind.to_owned(),
        ..Identity::default()
    };
    let mut all = Vec::new();
    for item in items {
        let kind = match (&item.to, item.purge) {
            (Some(to), _) => {
                all.push(identity(&item.name, to, "package"));
                "replaced-package"
            }
            (None, false) => "removed-package",
            (None, true) => "purged-package",
        };
        if let Some(from) = item.from.as_ref().filter(|from| item.to.as_ref() != Some(*from)) {
            all.push(identity(&item.name, from, kind));
        }
    }
    all.sort_by(|a, b| (&a.path, &a.kind).cmp(&(&b.path, &b.kind)));
    all
}

/// Every package by name, for a person.
pub(crate) fn sentence(items: &[Item]) -> String {
    let list = |verb: &str, told: Vec<String>| {
        if told.is_empty() {
            None
        } else {
            Some(format!("{verb} {}", told.join(", ")))
        }
    };
    let of = |tell: &dyn Fn(&Item) -> Option<String>| items.iter().filter_map(tell).collect::<Vec<_>>();
    let parts = [
        list(
            "install",
            of(&|it| match (&it.from, &it.to) {
                (None, Some(to)) => Some(format!("{} {to}", it.name)),
                _ => None,
            }),
        ),
        list(
            "change",
            of(&|it| match (&it.from, &it.to) {
                (Some(from), Some(to)) => Some(format!("{} from {from} to {to}", it.name)),
                _ => None,
            }),
        ),
        list(
            "remove",
            of(&|it| match (&it.from, &it.to, it.purge) {
                (Some(from), None, false) => Some(format!("{} {from}", it.name)),
                _ => None,
            }),
        ),
        list(
            "remove with their configuration files",
            of(&|it| match (&it.from, &it.to, it.purge) {
                (Some(from), None, true) => Some(format!("{} {from}", it.name)),
                _ => None,
            }),
        ),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

pub(crate) fn prepare(pkg: &Pkg, call: &Call<'_>) -> Result<Prepared> {
    let asked = ask(pkg, call)?;
    let required = required(&asked)?;
    granted(call, &required)?;
    let (coming, going) = versions(&asked.items, &asked.known);
    let missing = pkg.debs.missing(&pkg.root, &going, call.budget)?;
    let rests = asked.items.iter().any(|item| only_rests(item, &asked.known));
    let reversible = missing.is_empty() && !rests;
    let removes = asked.items.iter().any(|item| item.to.is_none());
    let sizes = offered(&pkg.root, &coming, call.budget)?;
    let mut summary = match sentence(&asked.items) {
        text if text.is_empty() => format!("Nothing to do for {}: it is so already", asked.names.join(", ")),
        text => upper(&text),
    };
    if !missing.is_empty() {
        let names: Vec<String> = missing
            .iter()
            .map(|it| format!("{} {}", it.name, it.version))
            .collect();
        summary.push_str(&format!(
            ". It cannot be undone: no source has {}",
            names.join(", ")
        ));
    }
    if rests {
        summary.push_str(". It cannot be undone: what a removed package left goes too");
    }
    Ok(Prepared {
        identities: identities(&asked.items),
        required,
        risk: if removes || !reversible {
            Risk::High
        } else {
            Risk::Medium
        },
        mutating: true,
        reversible,
        files: asked.items.len() as u64,
        bytes: sizes.values().sum(),
        summary,
    })
}

fn upper(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Whether an item takes what is left of a package that was removed before: no package file brings that back.
fn only_rests(item: &Item, known: &Known) -> bool {
    item.to.is_none()
        && known
            .get(&item.name)
            .is_some_and(|package| package.state == State::ConfigFiles)
}

/// What the call needs: each package by name that was asked for, or that is there and changes.
fn required(asked: &Asked) -> Result<Vec<Access>> {
    let mut needed: BTreeSet<(&str, &str)> = BTreeSet::new();
    for item in &asked.items {
        let named = asked.names.contains(&item.name);
        match (&item.from, &item.to) {
            (_, None) => drop(needed.insert(("remove", &item.name))),
            (Some(_), Some(_)) => drop(needed.insert(("install", &item.name))),
            (None, Some(_)) if named => drop(needed.insert(("install", &item.name))),
            (None, Some(_)) => {}
        }
    }
    if needed.is_empty() {
        needed.extend(asked.names.iter().map(|name| ("install", name.as_str())));
    }
    needed
        .into_iter()
        .map(|(action, name)| access(action, name))
        .collect()
}

pub(crate) fn plan(pkg: &Pkg, call: &Call<'_>, prepared: &[Identity]) -> Result<Plan> {
    lock::wait(&pkg.root, call.budget)?;
    let asked = ask(pkg, call)?;
    same_identities(prepared, &identities(&asked.items))?;
    let (coming, mut going) = versions(&asked.items, &asked.known);
    let missing = pkg.debs.missing(&pkg.root, &going, call.budget)?;
    going.retain(|version| !missing.contains(version));
    pkg.debs.keep(&pkg.root, &coming, call.budget)?;
    pkg.debs.keep(&pkg.root, &going, call.budget)?;
    let mut paths = conffiles(&asked.known, asked.items.iter().map(|item| &item.name));
    for version in &coming {
        paths.extend(conffiles_of(&pkg.root, &pkg.debs.file(version)?, call.budget)?);
    }
    Ok(Plan {
        call: call.key.to_string(),
        before: Photo {
            set: set_of(&asked.known),
            files: files::photograph(&pkg.root, &pkg.store, &paths, call.budget)?,
            links: files::links(&pkg.root)?,
        },
        work: Work::Change {
            items: asked.items,
            asked: asked.names,
        },
        after: None,
        result: serde_json::Value::Null,
    })
}

/// Configuration files that dpkg knows of these packages.
pub(crate) fn conffiles<'a>(known: &Known, names: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    let packages = names.into_iter().filter_map(|name| known.get(name));
    packages
        .flat_map(|package| package.conffiles.iter().map(|it| it.path.clone()))
        .collect()
}

/// Does what apt said it would do, from the files that were kept.
pub(crate) fn apply(pkg: &Pkg, plan: &mut Plan, budget: &Budget) -> Result<()> {
    let Work::Change { items, asked } = &plan.work else {
        return Err(ToolError::Defect("not a change of packages".to_owned()));
    };
    lock::wait(&pkg.root, budget)?;
    let now = set_of(&known(&pkg.root)?);
    if let Some(item) = items
        .iter()
        .find(|it| now.get(&it.name) != plan.before.set.get(&it.name))
    {
        return Err(ToolError::Changed {
            path: item.name.clone(),
            difference: "somebody changed the package meanwhile".to_owned(),
        });
    }
    if !items.is_empty() {
        run_apt(pkg, items, budget)?;
        failpoint::hit("worker.pkg.mid_effect");
        marks(pkg, items, asked, &plan.before, budget)?;
    }
    note(pkg, plan, budget)
}

fn run_apt(pkg: &Pkg, items: &[Item], budget: &Budget) -> Result<()> {
    let (mut coming, mut going) = (Vec::new(), Vec::new());
    let mut purge = false;
    for item in items {
        match &item.to {
            Some(to) => {
                let file = pkg.debs.file(&Version::new(&item.name, to, &item.architecture))?;
                coming.push(file.to_string_lossy().into_owned());
            }
            None => {
                purge |= item.purge;
                going.push(item.name.clone());
            }
        }
    }
    let mut command: Vec<&str> = Vec::new();
    if purge {
        command.push("--purge");
    }
    if coming.is_empty() {
        command.push("remove");
    } else {
        command.extend(["--no-install-recommends", "--allow-downgrades"]);
        if going.is_empty() {
            command.push("--no-remove");
        }
        command.push("install");
        // A name with a minus behind it is removed in the same run.
        going.iter_mut().for_each(|name| name.push('-'));
    }
    command.extend(coming.iter().chain(&going).map(String::as_str));
    pkg.root.apt_get(&command).run(budget).map(drop)
}

/// apt takes every package that it is given by name for one that a person wants; those that came as
/// dependencies keep or get their mark.
pub(crate) fn marks(
    pkg: &Pkg,
    items: &[Item],
    asked: &[String],
    before: &Photo,
    budget: &Budget,
) -> Result<()> {
    let automatic = items.iter().filter(|item| {
        item.to.is_some()
            && !asked.contains(&item.name)
            && before
                .set
                .get(&item.name)
                .is_none_or(|was| was.automatic || !was.state.is_there())
    });
    let names: Vec<&str> = automatic.map(|item| item.name.as_str()).collect();
    mark(pkg, "auto", &names, budget)
}

/// Marks packages as wanted (`manual`) or as there for others only (`auto`).
pub(crate) fn mark(pkg: &Pkg, how: &'static str, names: &[&str], budget: &Budget) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    pkg.root
        .program("/usr/bin/apt-mark", &[how])
        .args(names)
        .run(budget)
        .map(drop)
}

/// Whether a package is as it was to become.
pub(crate) fn reached(item: &Item, now: Option<&Was>) -> bool {
    match (&item.to, now) {
        (Some(to), Some(now)) => now.state == State::Installed && now.version == *to,
        (Some(_), None) => false,
        (None, now) => now.is_none_or(|now| !item.purge && now.state == State::ConfigFiles),
    }
}

/// Verifies that the packages are as planned and nothing besides, and notes how it is now.
pub(crate) fn note(pkg: &Pkg, plan: &mut Plan, budget: &Budget) -> Result<()> {
    let Work::Change { items, .. } = &plan.work else {
        return Err(ToolError::Defect("not a change of packages".to_owned()));
    };
    let set = set_of(&known(&pkg.root)?);
    let not = |difference: String| PkgError::NotReached { difference };
    if let Some(item) = items.iter().find(|item| !reached(item, set.get(&item.name))) {
        let now = set.get(&item.name);
        let now = now.map_or_else(
            || "not there".to_owned(),
            |now| format!("{} {}", now.version, now.state.word()),
        );
        return Err(not(format!("{} is {now}", item.name)).into());
    }
    let after = photo(pkg, plan, budget)?;
    let changes = changed(&plan.before, &after);
    let planned = |name: &String| items.iter().any(|item| item.name == *name);
    if let Some(other) = changes
        .iter()
        .find(|it| it.version_before != it.version_now && !planned(&it.name))
    {
        return Err(not(format!("{} was changed too", other.name)).into());
    }
    plan.result = value_of(&result(&plan.before, &after))?;
    plan.after = Some(after);
    Ok(())
}

/// How it is now, of all that a plan looks at.
pub(crate) fn photo(pkg: &Pkg, plan: &Plan, budget: &Budget) -> Result<Photo> {
    Ok(Photo {
        set: set_of(&known(&pkg.root)?),
        files: files::again(&pkg.root, Some(&pkg.store), plan.before.files.keys(), budget)?,
        links: files::links(&pkg.root)?,
    })
}

/// What a change answers.
pub(crate) fn result(before: &Photo, after: &Photo) -> ChangeResult {
    let files = before.files.iter();
    ChangeResult {
        packages: changed(before, after),
        conffiles: files
            .filter(|(path, image)| after.files.get(*path) != Some(*image))
            .map(|(path, _)| path.clone())
            .collect(),
        enablement: super::plan::differences(&before.links, &after.links)
            .into_keys()
            .collect(),
        undo: UNDO.to_owned(),
        image: None,
        transient: false,
    }
}
