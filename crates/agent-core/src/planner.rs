//! From a goal to a plan. Only the cheapest level is here: runbooks that fit the person's words,
//! a single tool call, and undoing. What fits nothing is asked back, with what aiOS can do.

use crate::EXECUTOR_KIND;
use crate::clients::Clients;
use crate::error::Error;
use crate::intent::{self, IntentError};
use crate::model::Goal;
use crate::model::event::{Decision, Origin};
use crate::model::plan::{Operation, TaskPlan};
use crate::model::remedy::Book;
use crate::runbook::Runbook;
use crate::steps::namespace_of;
use aios_core::id::{ExecutionKey, GoalId, TaskId};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Level of every plan that is made here.
pub const LEVEL: &str = "reactive";

/// A plan, and why it is this one.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What it was made from.
    pub source: String,
    /// Tasks.
    pub tasks: Vec<TaskPlan>,
    /// The choice.
    pub decision: Decision,
    /// What may follow the tasks when they diagnose something.
    pub book: Option<Book>,
}

impl Plan {
    fn new(source: &str, tasks: Vec<TaskPlan>, options: Vec<String>, reason: &str) -> Self {
        Self {
            source: source.to_owned(),
            tasks,
            decision: Decision {
                subject: "plan".to_owned(),
                options,
                choice: source.to_owned(),
                reason: reason.to_owned(),
                level: LEVEL.to_owned(),
                task: None,
            },
            book: None,
        }
    }
}

/// Plans from a person's words.
///
/// # Errors
/// [`Error::Intent`] says how far the words were understood.
pub fn from_words(
    runbooks: &[Runbook],
    text: &str,
    dry_run: bool,
    ids: &mut dyn FnMut() -> TaskId,
) -> Result<Plan, Error> {
    let patterns = runbooks
        .iter()
        .flat_map(|runbook| runbook.patterns.iter().map(move |pattern| (runbook, pattern)));
    let (runbook, slots) = intent::understand(patterns, text)?;
    let (mut tasks, book) = runbook.plan(&slots, ids)?;
    if dry_run {
        drop_proofs(&mut tasks);
    }
    let options = runbooks.iter().map(|runbook| runbook.name.clone()).collect();
    let reason = "its trigger takes every word of the goal";
    Ok(Plan {
        book,
        ..Plan::new(&runbook.name, tasks, options, reason)
    })
}

/// Plans what a runbook says that is asked for by its name. Its inputs take their defaults.
///
/// # Errors
/// There is no such runbook, or an input has no default.
pub fn from_runbook(
    runbooks: &[Runbook],
    name: &str,
    ids: &mut dyn FnMut() -> TaskId,
) -> Result<Plan, Error> {
    let runbook = runbooks
        .iter()
        .find(|runbook| runbook.name == name)
        .ok_or_else(|| Error::State(format!("there is no runbook {name}")))?;
    let (tasks, book) = runbook.plan(&intent::Slots::new(), ids)?;
    let reason = "the system named the runbook";
    Ok(Plan {
        book,
        ..Plan::new(&runbook.name, tasks, vec![runbook.name.clone()], reason)
    })
}

/// A dry run changes nothing, so there is nothing to prove.
fn drop_proofs(tasks: &mut Vec<TaskPlan>) {
    let proofs: BTreeSet<String> = tasks
        .iter()
        .filter(|task| task.verifies)
        .map(|task| task.name.clone())
        .collect();
    tasks.retain(|task| !task.verifies);
    for task in tasks {
        task.needs.retain(|need| !proofs.contains(need));
    }
}

/// What a person is told when the words fit nothing.
pub fn question(error: &IntentError, runbooks: &[Runbook]) -> String {
    let examples = runbooks.iter().filter_map(|runbook| runbook.examples.first());
    let examples: Vec<String> = examples.map(|it| format!("`{it}`")).collect();
    if examples.is_empty() {
        return format!("{error}; no runbook is installed, so aiOS can do nothing from words yet");
    }
    format!(
        "{error}; {}. aiOS understands, for example: {}; `aiosctl runbook list` says what each does",
        error.next_step(),
        examples.join(", ")
    )
}

/// Plans one tool call.
///
/// # Errors
/// There is no such tool, or the arguments name nothing that a capability could be for.
pub async fn one_call(clients: &Clients, tool: &str, args: &Value, id: TaskId) -> Result<Plan, Error> {
    let described = clients.tool(tool).await?;
    let task = TaskPlan {
        id,
        name: "call".to_owned(),
        needs: Vec::new(),
        skill: String::new(),
        agent_kind: EXECUTOR_KIND.to_owned(),
        capabilities: capabilities(&described.capability, described.mutating, args)?,
        input: json!({}),
        operations: vec![Operation::Call {
            tool: tool.to_owned(),
            args: args.clone(),
            expect: Vec::new(),
            reason: "a person asked for this call".to_owned(),
            when: Vec::new(),
            optional: false,
        }],
        // The worker itself verifies what a call did, and a call has no other aim.
        verifies: true,
        looks: false,
        tainted: false,
    };
    Ok(Plan::new(
        "call",
        vec![task],
        vec![tool.to_owned()],
        "a person named the tool and its arguments",
    ))
}

/// The capabilities that one call needs, by each of the tool's patterns; they stand with spaces between them.
fn capabilities(patterns: &str, mutating: bool, args: &Value) -> Result<Vec<String>, Error> {
    let mut needed = Vec::new();
    for pattern in patterns.split(' ') {
        needed.extend(capabilities_of(pattern, mutating, args)?);
    }
    Ok(needed)
}

/// One pattern on each path that the arguments name, on what the field says whose name it has (`NAME` is the field
/// `name`, or each of the list `names`), or as it stands when it is about the machine as a whole. Behind a path
/// `/**` takes in what lies below; so does the argument `recursive`.
fn capabilities_of(pattern: &str, mutating: bool, args: &Value) -> Result<Vec<String>, Error> {
    let mut parts = pattern.splitn(3, ':');
    let (Some(namespace), Some(action), Some(resource)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Error::Corrupt(format!("`{pattern}` is no capability pattern")));
    };
    let (resource, whole) = resource
        .strip_suffix("/**")
        .map_or((resource, false), |resource| (resource, true));
    let below = whole || args.get("recursive").and_then(Value::as_bool) == Some(true);
    if resource != "PATH" {
        let mut found = Vec::new();
        for resource in named_resources(resource, args)? {
            if whole && (!resource.starts_with('/') || resource.contains('*')) {
                return Err(Error::field(
                    "args_json",
                    "a path must be an absolute path without `*`",
                ));
            }
            let resource = match whole {
                true => format!("{}/**", resource.trim_end_matches('/')),
                false => resource,
            };
            found.push(format!("{namespace}:{action}:{resource}"));
            // What may reach an address that is not public says so, and needs that granted as well.
            if args.get("private") == Some(&Value::Bool(true)) {
                found.push(format!("{namespace}:private:{resource}"));
            }
        }
        return Ok(found);
    }
    let named = ["path", "root"]
        .iter()
        .filter_map(|key| args.get(key))
        .chain(args.get("paths").and_then(Value::as_array).into_iter().flatten());
    let mut capabilities = Vec::new();
    for path in named {
        let path = path.as_str().filter(|path| path.starts_with('/'));
        let path = path.ok_or_else(|| Error::field("args_json", "a path must be an absolute path"))?;
        if path.contains('*') {
            return Err(Error::field(
                "args_json",
                "a path with `*` cannot be granted for one call",
            ));
        }
        let path = if path == "/" {
            ""
        } else {
            path.trim_end_matches('/')
        };
        if !path.is_empty() {
            capabilities.push(format!("{namespace}:{action}:{path}"));
        }
        // What is read may be a directory, and a directory may be a mount: as a root of its own it opens.
        if !mutating || below {
            capabilities.push(format!("{namespace}:{action}:{path}/**"));
        }
    }
    if capabilities.is_empty() {
        return Err(Error::field(
            "args_json",
            "names no path, so no capability can be asked for",
        ));
    }
    Ok(capabilities)
}

/// The pattern's resource with its words in capitals replaced by what the arguments say: `HOST:PORT`.
fn named_resources(resource: &str, args: &Value) -> Result<Vec<String>, Error> {
    let is_word =
        |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_uppercase() || it == b'_');
    let mut found = vec![String::new()];
    for (index, part) in resource.split(':').enumerate() {
        let values = if is_word(part) {
            field_values(&part.to_ascii_lowercase(), args)?
        } else {
            vec![part.to_owned()]
        };
        let colon = if index == 0 { "" } else { ":" };
        found = found
            .iter()
            .flat_map(|before| values.iter().map(move |value| format!("{before}{colon}{value}")))
            .collect();
    }
    Ok(found)
}

/// What a field, or the list with its name and an `s`, says, as a capability writes it.
fn field_values(field: &str, args: &Value) -> Result<Vec<String>, Error> {
    let list = args.get(format!("{field}s")).and_then(Value::as_array);
    let values: Vec<&Value> = args
        .get(field)
        .into_iter()
        .chain(list.into_iter().flatten())
        .collect();
    if values.is_empty() {
        return Err(Error::field(
            "args_json",
            format!("names no `{field}`, so no capability can be asked for"),
        ));
    }
    let text = |value: &&Value| match value {
        Value::String(text) if text.contains('*') => Err(Error::field(
            "args_json",
            format!("a `{field}` with `*` cannot be granted for one call"),
        )),
        Value::String(text) if field == "url" => authority(text),
        // Hosts are the same in large and small letters, with a dot at the end and without.
        Value::String(text) if field == "host" => Ok(text.trim_end_matches('.').to_ascii_lowercase()),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(Error::field(
            "args_json",
            format!("`{field}` must be a text or a number"),
        )),
    };
    values.iter().map(text).collect()
}

/// Host and port of a URL as a capability writes them. The worker understands the URL for itself; a capability
/// for anything else than what it finds there grants nothing.
fn authority(url: &str) -> Result<String, Error> {
    let wrong = || {
        Error::field(
            "args_json",
            "a `url` must begin with http:// or https:// and a host",
        )
    };
    let (scheme, after) = url.split_once("://").ok_or_else(wrong)?;
    let port = match scheme.to_ascii_lowercase().as_str() {
        "http" => "80",
        "https" => "443",
        _ => return Err(wrong()),
    };
    let authority = after.split(['/', '?', '#']).next().filter(|it| !it.is_empty());
    let authority = authority.ok_or_else(wrong)?.to_ascii_lowercase();
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) => (
            address.to_owned(),
            after.strip_prefix(':').unwrap_or(port).to_owned(),
        ),
        None => match authority.split_once(':') {
            Some((host, port)) => (host.to_owned(), port.to_owned()),
            None => (authority, port.to_owned()),
        },
    };
    Ok(format!("{}:{port}", host.trim_end_matches('.')))
}

/// Plans the undo of a goal: its changes, newest first, then a look that each is undone.
///
/// # Errors
/// The goal has not ended or left nothing to undo; the tool service is away.
pub async fn undo(
    clients: &Clients,
    target: &Goal,
    by: GoalId,
    ids: &mut (dyn FnMut() -> TaskId + Send),
) -> Result<Plan, Error> {
    let refused = |why: &str| Error::NotUndoable {
        goal: target.id,
        why: why.to_owned(),
    };
    if !target.state.is_final() {
        return Err(refused("it has not ended; cancel it first"));
    }
    if target.undone_by.is_some_and(|other| other != by) {
        return Err(refused("it is undone already, or is being undone"));
    }
    let mut operations = Vec::new();
    let mut checks = Vec::new();
    let mut capabilities = BTreeSet::new();
    for (task, step) in target.undoable_steps() {
        let key = ExecutionKey {
            task: task.plan.id,
            step: step.step,
        };
        let namespace = namespace_of(&step.name).to_owned();
        checks.push(Operation::CheckUndone {
            target: key,
            namespace: namespace.clone(),
        });
        // An earlier undo that did not get through has done this part of the work.
        if clients.execution(key.into(), &namespace).await?.state == "undone" {
            continue;
        }
        capabilities.extend(task.plan.capabilities.iter().cloned());
        operations.push(Operation::Undo {
            target: key,
            namespace,
            tool: step.name.clone(),
        });
    }
    if checks.is_empty() {
        return Err(refused("it changed nothing that can be undone"));
    }
    let capabilities: Vec<String> = capabilities.into_iter().collect();
    let task = |id: TaskId, name: &str, operations: Vec<Operation>, verifies: bool| TaskPlan {
        id,
        name: name.to_owned(),
        needs: Vec::new(),
        skill: String::new(),
        agent_kind: EXECUTOR_KIND.to_owned(),
        capabilities: capabilities.clone(),
        input: json!({}),
        operations,
        verifies,
        looks: false,
        tainted: false,
    };
    let verify = task(ids(), "verify", checks, true);
    let tasks = if operations.is_empty() {
        vec![verify]
    } else {
        vec![
            task(ids(), "undo", operations, false),
            TaskPlan {
                needs: vec!["undo".to_owned()],
                ..verify
            },
        ]
    };
    let options = vec![format!("undo goal {}", target.id)];
    Ok(Plan::new(
        "undo",
        tasks,
        options,
        "the newest change is taken back first",
    ))
}

/// The words that a plan is made from: the person's last answer, or the goal's own.
pub fn words(goal: &Goal) -> &str {
    match (&goal.origin, goal.reply.as_str()) {
        (Origin::Text, reply) if !reply.is_empty() => reply,
        _ => &goal.text,
    }
}

#[cfg(test)]
mod tests;
