//! Runbooks: plans that people wrote down, one TOML file each, in `runbooks/` of the vendor and the
//! administrator's directory. A file of the administrator takes the place of a vendor's of that name.
//!
//! Everything about a runbook is checked when it is loaded, so that a goal never meets a broken one.

mod template;

use crate::intent::{Pattern, PatternError, SlotKind, SlotValue, Slots};
use crate::model::plan::{self, Operation, PlanError, TaskPlan};
use aios_core::config::ConfigError;
use aios_core::id::TaskId;
use aios_core::paths::Paths;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use template::TemplateError;

/// A runbook that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunbookError {
    /// The directory or a file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What was seen.
        source: std::io::Error,
    },
    /// The file is no runbook.
    #[error(transparent)]
    Parse(#[from] ConfigError),
    /// A trigger is wrong.
    #[error("{file}: trigger `{trigger}`: {problem}")]
    Trigger {
        /// The file.
        file: String,
        /// The trigger.
        trigger: String,
        /// What is wrong.
        problem: PatternError,
    },
    /// A trigger does not fill an input that has no default.
    #[error("{file}: trigger `{trigger}` has no {{{input}}}, which has no default")]
    Unfilled {
        /// The file.
        file: String,
        /// The trigger.
        trigger: String,
        /// The input.
        input: String,
    },
    /// A template is wrong.
    #[error("{file}: task `{task}`: {problem}")]
    Template {
        /// The file.
        file: String,
        /// The task.
        task: String,
        /// What is wrong.
        problem: TemplateError,
    },
    /// The tasks make no plan.
    #[error("{file}: {problem}")]
    Plan {
        /// The file.
        file: String,
        /// What is wrong.
        problem: PlanError,
    },
    /// Nothing is verified, there is no trigger, or no example.
    #[error("{file}: {problem}")]
    Incomplete {
        /// The file.
        file: String,
        /// What is missing.
        problem: &'static str,
    },
}

/// An input of a runbook.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(rename = "type")]
    kind: SlotKind,
    /// Shown by documentation; a runbook that does not explain its inputs is refused.
    help: String,
    default: Option<u64>,
}

/// A task as the file states it, with `{input}` in its texts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskTemplate {
    name: String,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    skill: String,
    #[serde(default = "executor")]
    agent_kind: String,
    #[serde(default)]
    capabilities: Vec<String>,
    #[serde(default = "empty_object")]
    input: Value,
    #[serde(default)]
    operations: Vec<Value>,
    #[serde(default)]
    verifies: bool,
}

fn executor() -> String {
    crate::EXECUTOR_KIND.to_owned()
}

fn empty_object() -> Value {
    Value::Object(serde_json::Map::new())
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    summary: String,
    examples: Vec<String>,
    triggers: Vec<String>,
    #[serde(default)]
    inputs: BTreeMap<String, Input>,
    tasks: Vec<TaskTemplate>,
}

/// A runbook, checked.
#[derive(Debug, Clone)]
pub struct Runbook {
    /// Its name, `free-space-old-logs`.
    pub name: String,
    /// What it does, a phrase.
    pub summary: String,
    /// Words that start it.
    pub examples: Vec<String>,
    /// Triggers, in order.
    pub patterns: Vec<Pattern>,
    inputs: BTreeMap<String, Input>,
    tasks: Vec<TaskTemplate>,
}

impl Runbook {
    /// Reads a runbook; `file` names it in errors.
    ///
    /// # Errors
    /// [`RunbookError`] says what is wrong, where.
    pub fn parse(file: &str, text: &str) -> Result<Self, RunbookError> {
        let parsed: File = aios_core::config::parse_file(file, text)?;
        let incomplete = |problem| RunbookError::Incomplete {
            file: file.to_owned(),
            problem,
        };
        if parsed.triggers.is_empty() || parsed.examples.is_empty() {
            return Err(incomplete("a runbook has at least one trigger and one example"));
        }
        if !parsed.tasks.iter().any(|task| task.verifies) {
            return Err(incomplete("no task has `verifies = true`; a goal must be proved"));
        }
        if parsed.inputs.values().any(|input| input.help.trim().is_empty()) {
            return Err(incomplete("every input has a `help`"));
        }
        let runbook = Self {
            patterns: patterns(file, &parsed)?,
            name: parsed.name,
            summary: parsed.summary,
            examples: parsed.examples,
            inputs: parsed.inputs,
            tasks: parsed.tasks,
        };
        let samples = runbook
            .inputs
            .iter()
            .map(|(name, input)| (name.clone(), input.kind.sample()))
            .collect();
        let plan = runbook.render(file, &samples, &mut TaskId::new)?;
        plan::check(&plan).map_err(|problem| RunbookError::Plan {
            file: file.to_owned(),
            problem,
        })?;
        Ok(runbook)
    }

    /// The tasks for these slots; inputs that the words did not fill take their default.
    ///
    /// # Errors
    /// [`RunbookError::Template`]; not for slots of this runbook's own triggers.
    pub fn plan(
        &self,
        slots: &Slots,
        ids: &mut dyn FnMut() -> TaskId,
    ) -> Result<Vec<TaskPlan>, RunbookError> {
        let mut values = slots.clone();
        for (name, input) in &self.inputs {
            if let Some(default) = input.default {
                values.entry(name.clone()).or_insert(match input.kind {
                    SlotKind::Age => SlotValue::AgeMs(default),
                    _ => SlotValue::Count(default),
                });
            }
        }
        self.render(&self.name, &values, ids)
    }

    fn render(
        &self,
        file: &str,
        values: &Slots,
        ids: &mut dyn FnMut() -> TaskId,
    ) -> Result<Vec<TaskPlan>, RunbookError> {
        self.tasks
            .iter()
            .map(|task| {
                render_task(task, values, ids()).map_err(|problem| RunbookError::Template {
                    file: file.to_owned(),
                    task: task.name.clone(),
                    problem,
                })
            })
            .collect()
    }
}

fn patterns(file: &str, parsed: &File) -> Result<Vec<Pattern>, RunbookError> {
    let kinds = parsed
        .inputs
        .iter()
        .map(|(name, input)| (name.clone(), input.kind))
        .collect();
    let mut patterns = Vec::with_capacity(parsed.triggers.len());
    for trigger in &parsed.triggers {
        let pattern = Pattern::parse(trigger, &kinds).map_err(|problem| RunbookError::Trigger {
            file: file.to_owned(),
            trigger: trigger.clone(),
            problem,
        })?;
        let slots = pattern.slots();
        if let Some((input, _)) = parsed
            .inputs
            .iter()
            .find(|(name, input)| input.default.is_none() && !slots.contains(&name.as_str()))
        {
            return Err(RunbookError::Unfilled {
                file: file.to_owned(),
                trigger: trigger.clone(),
                input: input.clone(),
            });
        }
        patterns.push(pattern);
    }
    Ok(patterns)
}

fn render_task(task: &TaskTemplate, values: &Slots, id: TaskId) -> Result<TaskPlan, TemplateError> {
    let operations = task
        .operations
        .iter()
        .map(|operation| {
            let rendered = template::json(operation, values)?;
            serde_json::from_value::<Operation>(rendered)
                .map_err(|error| TemplateError::Operation(error.to_string()))
        })
        .collect::<Result<_, _>>()?;
    Ok(TaskPlan {
        id,
        name: task.name.clone(),
        needs: task.needs.clone(),
        skill: task.skill.clone(),
        agent_kind: task.agent_kind.clone(),
        capabilities: task
            .capabilities
            .iter()
            .map(|text| template::text(text, values))
            .collect::<Result<_, _>>()?,
        input: template::json(&task.input, values)?,
        operations,
        verifies: task.verifies,
    })
}

/// Loads every runbook of both layers, sorted by file name.
///
/// # Errors
/// [`RunbookError`] of the first broken one: nothing is skipped.
pub fn load(paths: &Paths) -> Result<Vec<Runbook>, RunbookError> {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    for directory in paths.layers("runbooks") {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => {
                return Err(RunbookError::Read {
                    path: directory,
                    source,
                });
            }
        };
        for entry in entries {
            let path = entry
                .map_err(|source| RunbookError::Read {
                    path: directory.clone(),
                    source,
                })?
                .path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                files.insert(name, path);
            }
        }
    }
    files.values().map(|path| load_file(path)).collect()
}

fn load_file(path: &Path) -> Result<Runbook, RunbookError> {
    let text = std::fs::read_to_string(path).map_err(|source| RunbookError::Read {
        path: path.to_owned(),
        source,
    })?;
    Runbook::parse(&path.display().to_string(), &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../../configs/runbooks/free-space-old-logs.toml");

    #[test]
    fn the_shipped_runbook_is_whole() {
        let runbook = Runbook::parse("free-space-old-logs.toml", SHIPPED).unwrap();
        assert_eq!(runbook.name, "free-space-old-logs");
    }

    #[test]
    fn broken_runbooks_are_refused_with_their_place() {
        for (from, to, part) in [
            (
                "{ path = \"{dir}\" }",
                "{ path = \"{dri}\" }",
                "{dri} is no input",
            ),
            ("needs = [\"survey\"]", "needs = [\"nobody\"]", "needs `nobody`"),
            ("verifies = true", "verifies = false", "must be proved"),
            ("do = \"call\"", "do = \"dance\"", "dance"),
            ("{age}", "{ag}", "is no input of the runbook"),
            ("summary =", "sumary =", "did you mean `summary`"),
        ] {
            let error = Runbook::parse("x.toml", &SHIPPED.replacen(from, to, 1))
                .unwrap_err()
                .to_string();
            assert!(error.contains(part) && error.contains("x.toml"), "{error}");
        }
    }
}
