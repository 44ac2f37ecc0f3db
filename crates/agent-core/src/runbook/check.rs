//! What makes a runbook whole. Templates are tried with sample values, so nothing that is wrong with
//! one waits for the goal that first meets it.

use super::error::{Problem, RunbookError, Source};
use super::file::File;
use super::template::{self, Fill, Nature};
use super::{Runbook, analyzes};
use crate::analyze::{self, Cause};
use crate::intent;
use crate::model::plan::{self, Operation, TaskPlan};
use crate::model::remedy::{Remedy, TaskTemplate};
use crate::steps::namespace_of;
use aios_auth::capability::Capability;
use aios_core::id::TaskId;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

type Checked = Result<(), RunbookError>;

/// What must be there before anything else is looked at.
pub(super) fn whole(source: &Source<'_>, parsed: &File) -> Checked {
    let incomplete =
        |needle: &str, problem: &str| Err(source.wrong(needle, Problem::Incomplete(problem.to_owned())));
    if parsed.triggers.is_empty() || parsed.examples.is_empty() {
        return incomplete("", "a runbook has at least one trigger and one example");
    }
    if let Some((name, _)) = parsed
        .inputs
        .iter()
        .find(|(_, input)| input.help.trim().is_empty())
    {
        return incomplete(&format!("[inputs.{name}]"), "every input has a `help`");
    }
    let diagnoses = analyzes(&parsed.tasks);
    if !diagnoses && !parsed.tasks.iter().any(|task| task.verifies) {
        return incomplete("verifies", "no task has `verifies = true`; a goal must be proved");
    }
    let follows = !parsed.remedies.is_empty() || !parsed.proofs.is_empty();
    if !diagnoses && follows {
        return incomplete(
            "[[remedies]]",
            "remedies follow an operation with `do = \"analyze\"`",
        );
    }
    if diagnoses
        && let Some(task) = parsed
            .tasks
            .iter()
            .find(|task| task.verifies || !task.skill.is_empty())
    {
        let problem = "a diagnosis only looks: its tasks have neither `skill` nor `verifies`";
        return incomplete(&format!("name = \"{}\"", task.name), problem);
    }
    Ok(())
}

/// Everything else.
pub(super) fn runbook(source: &Source<'_>, runbook: &Runbook) -> Checked {
    let samples: Map<String, Value> = runbook
        .inputs
        .iter()
        .map(|(name, input)| (name.clone(), input.kind.sample().to_json()))
        .collect();
    let tasks = runbook.render(source, &samples, &mut TaskId::new)?;
    part(source, &tasks)?;
    examples(source, runbook)?;
    let main: BTreeSet<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
    analyses(source, &tasks, &main)?;
    let causes = causes_of(runbook);
    for (cause, _) in causes.values() {
        let values = cause.values.iter().map(|(name, _)| *name);
        if let Some(name) = values
            .chain(["each", "subject", "title"])
            .find(|name| runbook.inputs.contains_key(*name))
        {
            let problem = format!("input `{name}` has the name of a value of cause `{}`", cause.id);
            return Err(source.wrong(&format!("[inputs.{name}]"), Problem::Remedy(problem)));
        }
        if !runbook.remedies.iter().any(|remedy| remedy.cause == cause.id) {
            let problem = format!("cause `{}` ({}) has no remedy or advice", cause.id, cause.says);
            return Err(source.wrong("do = \"analyze\"", Problem::Remedy(problem)));
        }
    }
    let proofs = tasks_of(source, &runbook.proofs, &samples, &Map::new(), false)?;
    if !proofs.is_empty() {
        part(source, &proofs)?;
    }
    for remedy in &runbook.remedies {
        let Some((cause, found)) = causes.get(remedy.cause.as_str()) else {
            let problem = format!("no analyzer of this runbook finds the cause `{}`", remedy.cause);
            return Err(at_remedy(source, remedy, problem));
        };
        check_remedy(
            source,
            remedy,
            cause,
            (&samples, found),
            &main,
            !proofs.is_empty(),
        )?;
    }
    Ok(())
}

/// Causes that the runbook's analyzers tell, with sample values.
fn causes_of(runbook: &Runbook) -> BTreeMap<&'static str, (Cause, Map<String, Value>)> {
    let mut causes: BTreeMap<&'static str, (Cause, Map<String, Value>)> = BTreeMap::new();
    let looks = runbook.remedies.iter().filter(|remedy| remedy.looks);
    let all = runbook.tasks.iter().chain(looks.flat_map(|remedy| &remedy.tasks));
    let names = all
        .flat_map(|task| &task.operations)
        .filter_map(|it| it.get("analyzer")?.as_str());
    for cause in names
        .filter_map(analyze::get)
        .flat_map(|analyzer| analyzer.causes)
    {
        let (_, found) = causes.entry(cause.id).or_insert((*cause, Map::new()));
        found.extend(
            cause
                .values
                .iter()
                .map(|(name, sample)| ((*name).to_owned(), sample.value())),
        );
        found.insert("subject".to_owned(), json!("sample"));
        found.insert("title".to_owned(), json!("a title"));
    }
    causes
}

fn at_remedy(source: &Source<'_>, remedy: &Remedy, problem: String) -> RunbookError {
    source.wrong(&format!("cause = \"{}\"", remedy.cause), Problem::Remedy(problem))
}

fn check_remedy(
    source: &Source<'_>,
    remedy: &Remedy,
    cause: &Cause,
    (samples, found): (&Map<String, Value>, &Map<String, Value>),
    main: &BTreeSet<&str>,
    proved: bool,
) -> Checked {
    let wrong = |problem: &str| {
        let problem = format!("remedy of `{}`: {problem}", cause.id);
        Err(at_remedy(source, remedy, problem))
    };
    let fill = Fill {
        inputs: samples,
        found,
    };
    for text in [&remedy.summary, &remedy.advice] {
        if let Err(problem) = template::text(text, &fill) {
            return wrong(&problem.to_string());
        }
    }
    if remedy.tasks.is_empty() {
        return if remedy.advice.is_empty() || remedy.looks {
            wrong("it has neither tasks nor advice")
        } else {
            Ok(())
        };
    }
    if remedy.summary.is_empty() {
        return wrong("it has tasks and no `summary` of what they do");
    }
    let tasks = tasks_of(source, &remedy.tasks, samples, found, remedy.looks)?;
    part(source, &tasks)?;
    let mut known: BTreeSet<&str> = main.clone();
    known.extend(tasks.iter().map(|task| task.name.as_str()));
    analyses(source, &tasks, &known)?;
    let analyzes = tasks.iter().any(TaskPlan::analyzes);
    let agents = tasks.iter().any(|task| !task.skill.is_empty());
    let verifies = tasks.iter().any(|task| task.verifies);
    match (remedy.looks, analyzes) {
        (true, false) => wrong("it only looks, so one of its tasks must analyze again"),
        (false, true) => wrong("only a remedy with `looks = true` analyzes again"),
        (true, true) if agents || verifies => wrong("it only looks: no `skill`, no `verifies`"),
        (false, false) if !verifies && !proved => {
            wrong("no task of it has `verifies = true`, and the runbook has no [[proofs]]")
        }
        _ => Ok(()),
    }
}

fn tasks_of(
    source: &Source<'_>,
    templates: &[TaskTemplate],
    inputs: &Map<String, Value>,
    found: &Map<String, Value>,
    looks: bool,
) -> Result<Vec<TaskPlan>, RunbookError> {
    let fill = Fill { inputs, found };
    let nature = Nature { looks, tainted: true };
    let render = |task: &TaskTemplate| {
        template::task(task, &fill, &BTreeMap::new(), nature, TaskId::new()).map_err(|problem| {
            let task = task.name.clone();
            source.wrong_task(&task.clone(), Problem::Template { task, problem })
        })
    };
    templates.iter().map(render).collect()
}

/// A part's tasks make a plan, and may do what they do.
fn part(source: &Source<'_>, tasks: &[TaskPlan]) -> Checked {
    plan::check(tasks).map_err(|problem| source.wrong("", Problem::Plan(problem)))?;
    for task in tasks {
        let mut granted = BTreeSet::new();
        for text in &task.capabilities {
            let capability = Capability::parse(text).map_err(|problem| {
                let name = task.name.clone();
                source.wrong_task(&task.name, Problem::Capability { task: name, problem })
            })?;
            let action = capability.action().unwrap_or("*");
            granted.insert(format!("{}:{action}", capability.namespace()));
        }
        for operation in &task.operations {
            let Operation::Call { tool, optional, .. } = operation else {
                continue;
            };
            let wanted = tool.replacen('.', ":", 1);
            let any = format!("{}:*", namespace_of(tool));
            if !granted.contains(&wanted) && !granted.contains(&any) {
                let (task, tool) = (task.name.clone(), tool.clone());
                return Err(source.wrong_task(&task.clone(), Problem::NoCapability { task, tool, wanted }));
            }
            if *optional && !task.looks {
                let problem = "only a call that looks can be `optional`".to_owned();
                let name = task.name.clone();
                return Err(source.wrong_task(&task.name, Problem::Analysis { task: name, problem }));
            }
        }
    }
    Ok(())
}

fn examples(source: &Source<'_>, runbook: &Runbook) -> Checked {
    for example in &runbook.examples {
        let patterns = runbook.patterns.iter().map(|pattern| ((), pattern));
        if let Err(error) = intent::understand(patterns, example) {
            let (example, problem) = (example.clone(), error.to_string());
            return Err(source.wrong(&example.clone(), Problem::Example { example, problem }));
        }
    }
    Ok(())
}

/// Analyzers exist, get what they need from tasks that there are, and are set as they can be.
fn analyses(source: &Source<'_>, tasks: &[TaskPlan], known: &BTreeSet<&str>) -> Checked {
    for task in tasks {
        for operation in &task.operations {
            if let Operation::Analyze {
                analyzer,
                evidence,
                settings,
            } = operation
                && let Err(problem) = analysis(analyzer, evidence, settings, known)
            {
                let needle = format!("analyzer = \"{analyzer}\"");
                let task = task.name.clone();
                return Err(source.wrong(&needle, Problem::Analysis { task, problem }));
            }
        }
    }
    Ok(())
}

fn analysis(
    name: &str,
    evidence: &BTreeMap<String, String>,
    settings: &Map<String, Value>,
    known: &BTreeSet<&str>,
) -> Result<(), String> {
    let analyzer = analyze::get(name).ok_or_else(|| {
        let names: Vec<&str> = analyze::all().map(|analyzer| analyzer.name).collect();
        format!("there is no analyzer `{name}`; there are {}", names.join(", "))
    })?;
    let wanted = |name: &str| analyzer.evidence.iter().any(|it| it.name == name);
    if let Some(extra) = evidence.keys().find(|key| !wanted(key)) {
        return Err(format!("analyzer `{name}` reads no evidence `{extra}`"));
    }
    let mut needed = analyzer.evidence.iter().filter(|it| it.needed);
    if let Some(missing) = needed.find(|it| !evidence.contains_key(it.name)) {
        return Err(format!(
            "analyzer `{name}` needs the evidence `{}`: {}",
            missing.name, missing.says
        ));
    }
    for pointer in evidence.values() {
        let task = pointer.strip_prefix('/').and_then(|rest| rest.split('/').next());
        if !task.is_some_and(|task| known.contains(task)) {
            return Err(format!(
                "`{pointer}` points into no task; it begins with /TASK/results/"
            ));
        }
    }
    let set = |name: &str| analyzer.settings.iter().any(|(known, _)| *known == name);
    match settings.keys().find(|key| !set(key)) {
        Some(extra) => Err(format!("analyzer `{name}` has no setting `{extra}`")),
        None => Ok(()),
    }
}
