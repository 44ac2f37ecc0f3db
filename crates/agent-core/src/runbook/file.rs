//! A runbook as its file states it.

use crate::intent::SlotKind;
use crate::model::remedy::{Remedy, TaskTemplate};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// An input of a runbook.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// Kind of value.
    #[serde(rename = "type")]
    pub(super) kind: SlotKind,
    /// Shown by documentation; a runbook that does not explain its inputs is refused.
    pub(super) help: String,
    /// Value when the words do not fill it: a number, or words.
    #[serde(default)]
    pub(super) default: Option<Value>,
}

/// Words, recorded evidence, and what must come of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// What a person says.
    pub(super) words: String,
    /// Inputs that the words must fill so.
    #[serde(default)]
    pub(super) inputs: BTreeMap<String, Value>,
    /// Names of the tasks of the plan, in order; not compared when not given.
    #[serde(default)]
    pub(super) tasks: Option<Vec<String>>,
    /// Recorded outputs of tasks, by name, as JSON text.
    #[serde(default)]
    pub(super) outputs: Option<String>,
    /// Causes that must be found, in any order, and no others; `look`s that led to more are left out.
    #[serde(default)]
    pub(super) causes: Option<Vec<String>>,
    /// Tools that the repair would call, in order; not compared when not given.
    #[serde(default)]
    pub(super) repair: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) summary: String,
    pub(super) examples: Vec<String>,
    pub(super) triggers: Vec<String>,
    #[serde(default)]
    pub(super) inputs: BTreeMap<String, Input>,
    pub(super) tasks: Vec<TaskTemplate>,
    #[serde(default)]
    pub(super) remedies: Vec<Remedy>,
    #[serde(default)]
    pub(super) proofs: Vec<TaskTemplate>,
    #[serde(default)]
    pub(super) cases: Vec<Case>,
}
