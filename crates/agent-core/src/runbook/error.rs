//! What can be wrong with a runbook, with its place: `FILE:LINE` wherever the line is known.

use super::TemplateError;
use crate::analyze::AnalyzeError;
use crate::intent::PatternError;
use crate::model::plan::PlanError;
use aios_auth::capability::CapabilityError;
use aios_core::config::ConfigError;
use std::path::PathBuf;

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
    /// Something in it is wrong.
    #[error("{place}: {problem}")]
    Wrong {
        /// `FILE:LINE`, or only the file.
        place: String,
        /// What is wrong.
        problem: Problem,
    },
}

/// What is wrong with a part of a runbook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A trigger is wrong.
    #[error("trigger `{trigger}`: {problem}")]
    Trigger {
        /// The trigger.
        trigger: String,
        /// What is wrong.
        problem: PatternError,
    },
    /// A trigger does not fill an input that has no default.
    #[error("trigger `{trigger}` has no {{{input}}}, which has no default")]
    Unfilled {
        /// The trigger.
        trigger: String,
        /// The input.
        input: String,
    },
    /// A default does not fit its input.
    #[error("input `{input}`: its default {problem}")]
    Default {
        /// The input.
        input: String,
        /// What is wrong.
        problem: String,
    },
    /// An example fits no trigger of its runbook, or another runbook takes it first.
    #[error("example `{example}`: {problem}")]
    Example {
        /// The example.
        example: String,
        /// What is wrong.
        problem: String,
    },
    /// A template is wrong.
    #[error("task `{task}`: {problem}")]
    Template {
        /// The task.
        task: String,
        /// What is wrong.
        problem: TemplateError,
    },
    /// A capability is none, or one that a call needs is missing.
    #[error("task `{task}`: {problem}")]
    Capability {
        /// The task.
        task: String,
        /// What is wrong.
        problem: CapabilityError,
    },
    /// A call that no capability of its task is for.
    #[error("task `{task}` calls {tool} and has no capability `{wanted}:…`")]
    NoCapability {
        /// The task.
        task: String,
        /// The tool.
        tool: String,
        /// Namespace and action.
        wanted: String,
    },
    /// An operation analyzes wrongly.
    #[error("task `{task}`: {problem}")]
    Analysis {
        /// The task.
        task: String,
        /// What is wrong.
        problem: String,
    },
    /// A cause without remedy, or a remedy without cause.
    #[error("{0}")]
    Remedy(String),
    /// The tasks make no plan.
    #[error("{0}")]
    Plan(PlanError),
    /// Something is missing.
    #[error("{0}")]
    Incomplete(String),
    /// A case cannot be tried.
    #[error("case {number}: {problem}")]
    Case {
        /// Number, from 1.
        number: usize,
        /// What is wrong.
        problem: String,
    },
}

impl From<AnalyzeError> for Problem {
    fn from(error: AnalyzeError) -> Self {
        Self::Remedy(error.to_string())
    }
}

/// A runbook's text, to say where in it something stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// A problem at the first line that has `needle`; in the file as a whole when none has.
    pub(super) fn wrong(&self, needle: &str, problem: Problem) -> RunbookError {
        let line = self
            .text
            .lines()
            .position(|line| !needle.is_empty() && line.contains(needle));
        let place = match line {
            Some(line) => format!("{}:{}", self.file, line + 1),
            None => self.file.to_owned(),
        };
        RunbookError::Wrong { place, problem }
    }

    /// A problem of a task: where its template is wrong, else where it is named.
    pub(super) fn wrong_task(&self, task: &str, problem: Problem) -> RunbookError {
        let needle = match &problem {
            Problem::Template {
                problem: TemplateError::Unknown(name),
                ..
            } => format!("{{{name}}}"),
            Problem::NoCapability { tool, .. } => tool.clone(),
            _ => String::new(),
        };
        if !needle.is_empty() && self.text.contains(&needle) {
            return self.wrong(&needle, problem);
        }
        self.wrong(&format!("name = \"{task}\""), problem)
    }
}
