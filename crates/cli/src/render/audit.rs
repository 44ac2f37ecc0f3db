//! Records of the audit log and what a verification found.

use aios_audit::verify::Report;
use aios_client::audit::RecordView;
use serde_json::Value;

use super::table::fields;
use super::text::{count, json, one_line, short_id, shorten};
use crate::terminal::{Terminal, Tone};

/// One record on one line: when, what, who, on whose word.
pub(crate) fn line(terminal: &mut Terminal, record: &RecordView) {
    let time = terminal.date(record.time.as_deref());
    let time = terminal.tone(Tone::Quiet, &time);
    let tone = if record.kind == "denied" {
        Tone::Bad
    } else {
        Tone::Strong
    };
    let kind = terminal.tone(tone, &format!("{:<18}", one_line(&record.kind)));
    let text = |key: &str| record.record.get(key).and_then(Value::as_str).map(one_line);
    let mut parts = Vec::new();
    parts.extend(text("tool"));
    parts.extend(text("agent_kind").map(|kind| format!("by {kind}")));
    parts.extend(text("person").map(|person| format!("person {person}")));
    parts.extend(text("rule").map(|rule| format!("rule {rule}")));
    parts.extend(text("approval_id").map(|id| format!("approval {}", short_id(&id))));
    parts.extend(text("approver").map(|name| format!("approved by {name}")));
    parts.extend(text("goal_id").map(|id| format!("goal {}", short_id(&id))));
    if let Some(Value::Array(capabilities)) = record.record.get("capabilities") {
        let words: Vec<String> = capabilities
            .iter()
            .filter_map(Value::as_str)
            .map(one_line)
            .collect();
        parts.push(format!("may {}", shorten(&words.join(" "), 80)));
    }
    if let Some(details) = record.record.get("details") {
        parts.push(shorten(&json(details), 120));
    }
    terminal.line(format!("{:>6}  {time}  {kind} {}", record.seq, parts.join("  ")).trim_end());
}

/// One record in full.
pub(crate) fn record(terminal: &mut Terminal, record: &RecordView) {
    let time = terminal.date(record.time.as_deref());
    fields(
        terminal,
        &[
            ("record", record.seq.to_string()),
            ("time", time),
            ("kind", one_line(&record.kind)),
            ("hash", record.leaf_hash.clone()),
            ("input", json(&record.input)),
            ("output", json(&record.output)),
        ],
    );
    terminal.document(&record.record);
}

/// What a verification found.
pub(crate) fn report(terminal: &mut Terminal, report: &Report, findings: &[String], anchored: bool) {
    let verdict = if report.ok() {
        terminal.tone(Tone::Good, "whole")
    } else {
        terminal.tone(Tone::Bad, "NOT as it was written")
    };
    let numbers = format!(
        "{}, {}, {} not yet signed",
        count(report.records, "record"),
        count(report.checkpoints, "checkpoint"),
        report.unsigned
    );
    terminal.line(format!("{verdict}: {numbers}"));
    for finding in findings {
        terminal.line(format!("  {finding}"));
    }
    if report.more > 0 {
        terminal.line(format!("  and {} more", report.more));
    }
    for note in &report.notes {
        terminal.line(format!("note: {}", one_line(note)));
    }
    if report.ok() && !anchored {
        terminal.line("without --anchor HEAD a log that was cut at a checkpoint, or replaced whole, may look like this too");
    }
}
