//! What the audit log must say of a tool's calls.

use aios_harness::{Instance, client};
use aios_proto::guard::v1::ExecutionKey;
use anyhow::{Result, ensure};
use serde_json::Value;

/// A record that must be there, once.
#[derive(Debug)]
pub(super) struct Expected {
    kinds: &'static [&'static str],
    fields: Vec<(&'static str, Value)>,
}

impl Expected {
    fn of(kinds: &'static [&'static str], key: &ExecutionKey) -> Self {
        let fields = vec![
            ("/task_id", key.task_id.clone().into()),
            ("/step", key.step.into()),
        ];
        Self { kinds, fields }
    }

    fn with(mut self, at: &'static str, value: &str) -> Self {
        self.fields.push((at, value.into()));
        self
    }

    /// Of a call, by the guard: `intent`, `read`, `dry_run`.
    pub(super) fn call(kind: &'static str, key: &ExecutionKey, tool: &str) -> Self {
        let kinds: &[&str] = match kind {
            "intent" => &["intent"],
            "read" => &["read"],
            "dry_run" => &["dry_run"],
            "approval.requested" => &["approval.requested"],
            _ => &["approval.decided"],
        };
        Self::of(kinds, key).with("/tool", tool)
    }

    /// Of a call that was done.
    pub(super) fn outcome_done(key: &ExecutionKey) -> Self {
        Self::of(&["outcome"], key).with("/details/status", "done")
    }

    /// Of a call that was begun and failed.
    pub(super) fn outcome_failed(key: &ExecutionKey, code: &str) -> Self {
        let failed = Self::of(&["outcome"], key).with("/details/status", "failed");
        failed.with("/details/code", code)
    }

    /// Of a refusal.
    pub(super) fn denied(key: &ExecutionKey, tool: &str, code: &str) -> Self {
        let denied = Self::of(&["denied", "tool.denied"], key).with("/tool", tool);
        denied.with("/details/code", code)
    }

    /// Of a call that failed and changed nothing.
    pub(super) fn failed(key: &ExecutionKey, tool: &str, code: &str) -> Self {
        let failed = Self::of(&["tool.failed"], key).with("/tool", tool);
        failed.with("/details/code", code)
    }

    fn is(&self, record: &Value) -> bool {
        let kind = record.get("kind").and_then(Value::as_str).unwrap_or_default();
        let field = |at: &str| record.pointer(&format!("/record{at}"));
        // A worker tells of its refusals too, in its own time.
        self.kinds.contains(&kind)
            && field("/rule").is_none_or(|rule| rule != "check:worker")
            && self.fields.iter().all(|(at, wanted)| field(at) == Some(wanted))
    }
}

/// The records of one tool's calls.
pub(super) struct Log {
    since: u64,
    expected: Vec<Expected>,
}

impl Log {
    /// From here on.
    pub(super) async fn begin(aios: &Instance) -> Result<Self> {
        Ok(Self {
            since: client::audit_size(aios).await?,
            expected: Vec::new(),
        })
    }

    pub(super) fn expect(&mut self, expected: Expected) {
        self.expected.push(expected);
    }

    /// Each expected record is there once, and nothing besides is said to have been begun or ended.
    pub(super) async fn check(&self, aios: &Instance) -> Result<()> {
        let records = client::audit_from(aios, self.since).await?;
        for expected in &self.expected {
            let found = records.iter().filter(|record| expected.is(record)).count();
            ensure!(
                found == 1,
                "{found} records like {expected:?} among {}",
                brief(&records)
            );
        }
        for kind in ["intent", "outcome"] {
            let wanted = self.expected.iter().filter(|it| it.kinds == [kind]).count();
            let found = records
                .iter()
                .filter(|record| record.get("kind").is_some_and(|it| it == kind));
            let found = found.count();
            ensure!(
                found == wanted,
                "{found} records of kind {kind}, not {wanted}: {}",
                brief(&records)
            );
        }
        Ok(())
    }
}

fn brief(records: &[Value]) -> String {
    let line = |record: &Value| {
        let text = |at: &str| record.pointer(at).map(ToString::to_string).unwrap_or_default();
        [
            "/kind",
            "/record/task_id",
            "/record/step",
            "/record/tool",
            "/record/rule",
            "/record/details",
        ]
        .map(text)
        .join(" ")
    };
    records.iter().map(line).collect::<Vec<_>>().join("\n    ")
}
