//! What one record holds, and its canonical line.

use crate::error::AuditError;
use crate::hash::Hash;
use serde::Serialize;
use serde_json::{Map, Value};

/// How soon a record must be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Before the answer.
    Durable,
    /// At most 20 ms after the answer: for reads, which change nothing.
    Within20ms,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Sequence number, from 0.
    pub seq: u64,
    /// Its leaf hash, which the next record carries as `prev`.
    pub leaf: Hash,
    /// When, UTC milliseconds.
    pub time_ms: i64,
}

/// One event. Unset fields are left out of the line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// `intent`, `outcome`, `read`, `denied`, `goal.submitted` …
    pub kind: String,
    /// Goal, a UUID.
    pub goal_id: Option<String>,
    /// Task, a UUID.
    pub task_id: Option<String>,
    /// Step within the task.
    pub step: Option<u64>,
    /// Agent instance, a UUID.
    pub agent_id: Option<String>,
    /// Agent kind.
    pub agent_kind: Option<String>,
    /// User name of the person who asked.
    pub person: Option<String>,
    /// Token, by its revocation id.
    pub token_id: Option<String>,
    /// Tool name.
    pub tool: Option<String>,
    /// Capabilities that were used or asked for.
    pub capabilities: Vec<String>,
    /// Policy rule or check that decided.
    pub rule: Option<String>,
    /// Approval, a UUID.
    pub approval_id: Option<String>,
    /// User name of who approved.
    pub approver: Option<String>,
    /// Digest of the canonical call.
    pub call_digest: Option<Hash>,
    /// Anything else that may stand in the open; never content of files, arguments or results.
    pub details: Map<String, Value>,
    /// Input payload: kept encrypted beside the chain, which holds a salted digest.
    pub input: Option<Vec<u8>>,
    /// Output payload, kept likewise.
    pub output: Option<Vec<u8>>,
}

impl Record {
    /// A record of a kind with nothing else set.
    pub fn new(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            ..Self::default()
        }
    }

    /// Adds a detail.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }
}

/// The line's fields, in canonical order.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approver: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_digest: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    capabilities: &'a [String],
    #[serde(skip_serializing_if = "Map::is_empty")]
    details: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_digest: Option<String>,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<&'a str>,
    prev: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<&'a str>,
    time_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<&'a str>,
    v: u8,
}

/// What the writer adds to a record.
pub(crate) struct Position {
    pub(crate) seq: u64,
    pub(crate) time_ms: i64,
    pub(crate) prev: Hash,
    pub(crate) input_digest: Option<Hash>,
    pub(crate) output_digest: Option<Hash>,
}

/// The canonical line (RFC 8785), without its line end.
pub(crate) fn line(record: &Record, position: &Position) -> Result<Vec<u8>, AuditError> {
    let text = |hash: &Option<Hash>| hash.map(|hash| hash.to_string());
    let line = Line {
        agent_id: record.agent_id.as_deref(),
        agent_kind: record.agent_kind.as_deref(),
        approval_id: record.approval_id.as_deref(),
        approver: record.approver.as_deref(),
        call_digest: text(&record.call_digest),
        capabilities: &record.capabilities,
        details: &record.details,
        goal_id: record.goal_id.as_deref(),
        input_digest: text(&position.input_digest),
        kind: &record.kind,
        output_digest: text(&position.output_digest),
        person: record.person.as_deref(),
        prev: position.prev.to_string(),
        rule: record.rule.as_deref(),
        seq: position.seq,
        step: record.step,
        task_id: record.task_id.as_deref(),
        time_ms: position.time_ms,
        token_id: record.token_id.as_deref(),
        tool: record.tool.as_deref(),
        v: 1,
    };
    serde_json_canonicalizer::to_vec(&line).map_err(|error| AuditError::Canonical(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_canonical_and_leaves_out_what_is_unset() {
        let record = Record {
            tool: Some("fs.delete".into()),
            ..Record::new("intent")
        }
        .with("b", 1)
        .with("a", "x\ny");
        let position = Position {
            seq: 7,
            time_ms: 5,
            prev: Hash([0xab; 32]),
            input_digest: None,
            output_digest: None,
        };
        let line = String::from_utf8(line(&record, &position).unwrap()).unwrap();
        let prev = "ab".repeat(32);
        assert_eq!(
            line,
            format!(
                r#"{{"details":{{"a":"x\ny","b":1}},"kind":"intent","prev":"{prev}","seq":7,"time_ms":5,"tool":"fs.delete","v":1}}"#
            )
        );
    }
}
