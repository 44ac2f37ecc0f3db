//! Runbooks: plans that people wrote down as data, `runbooks/*.toml` in the vendor's and the
//! administrator's layer. A file of the same name in the upper layer replaces the lower one. An
//! orchestrator reads them when it starts.
//!
//! A runbook is either a fixed plan that proves itself, or a diagnosis: tasks that only look, an
//! analyzer that tells causes from what they saw, and a remedy for each cause.
//!
//! Everything about a runbook is checked when it is loaded, so that a goal never meets a broken one.

mod cases;
mod check;
mod error;
mod file;
mod load;
pub(crate) mod template;

pub use cases::CaseResult;
pub use error::{Problem, RunbookError};
pub(crate) use load::check_together;
pub use load::load;
pub use template::TemplateError;

use crate::intent::{Pattern, SlotKind, Slots};
use crate::model::plan::TaskPlan;
use crate::model::remedy::{Book, Remedy, TaskTemplate};
use aios_core::id::TaskId;
use error::Source;
use file::{Case, File, Input};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use template::{Fill, Nature};

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
    /// Where it was read from.
    pub file: String,
    inputs: BTreeMap<String, Input>,
    /// Values of inputs that the words may leave open.
    defaults: Map<String, Value>,
    tasks: Vec<TaskTemplate>,
    remedies: Vec<Remedy>,
    proofs: Vec<TaskTemplate>,
    cases: Vec<Case>,
}

impl Runbook {
    /// Reads a runbook; `file` names it in errors.
    ///
    /// # Errors
    /// [`RunbookError`] says what is wrong, where.
    pub fn parse(file: &str, text: &str) -> Result<Self, RunbookError> {
        let parsed: File = aios_core::config::parse_file(file, text)?;
        let source = Source { file, text };
        check::whole(&source, &parsed)?;
        let runbook = Self {
            patterns: patterns(&source, &parsed)?,
            defaults: defaults(&source, &parsed.inputs)?,
            name: parsed.name,
            summary: parsed.summary,
            examples: parsed.examples,
            file: file.to_owned(),
            inputs: parsed.inputs,
            tasks: parsed.tasks,
            remedies: parsed.remedies,
            proofs: parsed.proofs,
            cases: parsed.cases,
        };
        check::runbook(&source, &runbook)?;
        Ok(runbook)
    }

    /// The tasks for these slots, and what may follow them; inputs that the words did not fill take
    /// their default.
    ///
    /// # Errors
    /// [`RunbookError::Wrong`]; not for slots of this runbook's own triggers.
    pub fn plan(
        &self,
        slots: &Slots,
        ids: &mut dyn FnMut() -> TaskId,
    ) -> Result<(Vec<TaskPlan>, Option<Book>), RunbookError> {
        let mut inputs = self.defaults.clone();
        inputs.extend(slots.iter().map(|(name, value)| (name.clone(), value.to_json())));
        let source = Source {
            file: &self.file,
            text: "",
        };
        let tasks = self.render(&source, &inputs, ids)?;
        let book = self.diagnoses().then(|| Book {
            name: self.name.clone(),
            inputs,
            remedies: self.remedies.clone(),
            proofs: self.proofs.clone(),
        });
        Ok((tasks, book))
    }

    /// Whether its tasks end in findings.
    pub fn diagnoses(&self) -> bool {
        analyzes(&self.tasks)
    }

    /// Causes that it has remedies for, each once, in order.
    pub fn causes(&self) -> Vec<&str> {
        let mut causes: Vec<&str> = Vec::new();
        for remedy in self.remedies.iter().filter(|remedy| !remedy.looks) {
            if !causes.contains(&remedy.cause.as_str()) {
                causes.push(&remedy.cause);
            }
        }
        causes
    }

    /// Inputs with what they mean.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, SlotKind, &str)> {
        self.inputs
            .iter()
            .map(|(name, input)| (name.as_str(), input.kind, input.help.as_str()))
    }

    fn render(
        &self,
        source: &Source<'_>,
        inputs: &Map<String, Value>,
        ids: &mut dyn FnMut() -> TaskId,
    ) -> Result<Vec<TaskPlan>, RunbookError> {
        let found = Map::new();
        let fill = Fill {
            inputs,
            found: &found,
        };
        let nature = Nature {
            looks: self.diagnoses(),
            tainted: false,
        };
        let render = |task: &TaskTemplate| {
            template::task(task, &fill, &BTreeMap::new(), nature, ids()).map_err(|problem| {
                let task = task.name.clone();
                source.wrong_task(&task.clone(), Problem::Template { task, problem })
            })
        };
        self.tasks.iter().map(render).collect()
    }
}

/// Whether any of the tasks analyzes.
fn analyzes(tasks: &[TaskTemplate]) -> bool {
    let is_analysis = |operation: &Value| operation.get("do").and_then(Value::as_str) == Some("analyze");
    tasks.iter().any(|task| task.operations.iter().any(is_analysis))
}

fn defaults(
    source: &Source<'_>,
    inputs: &BTreeMap<String, Input>,
) -> Result<Map<String, Value>, RunbookError> {
    let mut defaults = Map::new();
    for (name, input) in inputs {
        let Some(default) = &input.default else { continue };
        let value = input.kind.value_of(default).map_err(|problem| {
            let input = name.clone();
            source.wrong(&format!("[inputs.{name}]"), Problem::Default { input, problem })
        })?;
        defaults.insert(name.clone(), value.to_json());
    }
    Ok(defaults)
}

fn patterns(source: &Source<'_>, parsed: &File) -> Result<Vec<Pattern>, RunbookError> {
    let kinds = parsed
        .inputs
        .iter()
        .map(|(name, input)| (name.clone(), input.kind))
        .collect();
    let mut patterns = Vec::with_capacity(parsed.triggers.len());
    for trigger in &parsed.triggers {
        let pattern = Pattern::parse(trigger, &kinds).map_err(|problem| {
            let trigger = trigger.clone();
            source.wrong(&trigger.clone(), Problem::Trigger { trigger, problem })
        })?;
        let slots = pattern.slots();
        if let Some((input, _)) = parsed
            .inputs
            .iter()
            .find(|(name, input)| input.default.is_none() && !slots.contains(&name.as_str()))
        {
            let (trigger, input) = (trigger.clone(), input.clone());
            return Err(source.wrong(&trigger.clone(), Problem::Unfilled { trigger, input }));
        }
        patterns.push(pattern);
    }
    Ok(patterns)
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
            ("type = \"count\"", "type = \"dir\"", "default"),
            (
                "[\"free space under /var/log",
                "[\"free space over /var/log",
                "example",
            ),
            (
                "[\"fs:search:{dir}/**\", \"fs:disk_usage:{dir}/**\"]",
                "[\"fs:search:{dir}/**\"]",
                "x.toml:38",
            ),
            (
                "[\"fs:search:{dir}/**\", \"fs:disk_usage:{dir}/**\"]",
                "[\"fs;search\"]",
                "has no",
            ),
            ("do = \"call\"", "do = \"call\"\nwhile = 3", "no key `while`"),
            ("summary =", "sumary =", "did you mean `summary`"),
        ] {
            let error = Runbook::parse("x.toml", &SHIPPED.replacen(from, to, 1))
                .unwrap_err()
                .to_string();
            assert!(error.contains(part) && error.contains("x.toml"), "{error}");
        }
    }
}
