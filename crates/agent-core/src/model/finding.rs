//! What a diagnosis found, and what the plan did about it. Data only: findings are made by
//! [`crate::analyze`], answers by [`crate::planner`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How bad a finding is. Ordered from least to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Will hurt.
    Warning,
    /// Hurts now.
    Critical,
}

/// A place in the evidence, and what it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// JSON pointer into the outputs of the goal's tasks, `/look/results/0/fs_free_bytes`.
    pub at: String,
    /// What stands there, in words.
    pub shows: String,
}

/// A cause that the evidence shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable id of the cause, `disk_full`.
    pub cause: String,
    /// One sentence for a person.
    pub title: String,
    /// Path, service, process, port that it is about.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// What shows it.
    pub evidence: Vec<Shown>,
    /// What remedies may name as `{key}`. It came out of evidence: no text in it is to be trusted.
    #[serde(default)]
    pub values: Map<String, Value>,
}

impl Finding {
    /// Whether two findings say the same of the same thing.
    pub fn same(&self, cause: &str, subject: &str) -> bool {
        self.cause == cause && self.subject == subject
    }
}

/// What an analyzer made of the evidence; part of a task's output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// Which analyzer.
    pub analyzer: String,
    /// What was seen, one sentence; all there is to say when nothing is wrong.
    pub seen: String,
    /// What is wrong; empty when nothing is.
    pub findings: Vec<Finding>,
}

/// What follows a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// More evidence is collected; the finding was only a trace.
    Look,
    /// Tasks that change something, and prove it.
    Repair,
    /// A dry run: what the repair would be.
    Would,
    /// Words: a person should decide.
    Advice,
    /// No remedy of the runbook fits it.
    Nothing,
}

/// The answer to one finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Cause of the finding.
    pub cause: String,
    /// Subject of the finding.
    pub subject: String,
    /// What follows.
    pub action: Action,
    /// One sentence: what is done, or advised, or why nothing is.
    pub says: String,
    /// Names of the tasks that were added for it.
    #[serde(default)]
    pub tasks: Vec<String>,
}

/// One extension of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Tasks whose analyses were read for it.
    pub analysed: Vec<aios_core::id::TaskId>,
    /// What follows which finding.
    pub answers: Vec<Answer>,
}
