//! sec.audit_query: the one tool that the tool service answers itself. The audit log is the guard's, and the
//! tool service is one of those who may read it; no worker is, and none sees the guard's socket. The call is
//! prepared, authorized and recorded like any other before this is asked.
//!
//! It reads records, never payloads, and gives them as the log has them.

use super::Guard;
use crate::error::{Result, ToolError};
use crate::sec::{AuditArgs, AuditEntry, AuditResult};
use crate::typed::{typed, value_of};
use aios_core::rpc;
use aios_proto::guard::v1 as guard;
use aios_proto::worker::v1 as worker;
use serde_json::{Map, Value};
use std::time::{Duration, Instant};
use tonic::Status;

pub(super) use crate::sec::AUDIT_QUERY;

/// Answers a query with its canonical arguments.
pub(super) async fn query(
    guard: &impl Guard,
    args_json: &str,
    timeout_ms: u64,
) -> std::result::Result<worker::ExecuteResponse, Status> {
    let started = Instant::now();
    let wrong = |error: ToolError| rpc::status(&error);
    let args = parse(args_json).map_err(wrong)?;
    let request = guard::AuditTailRequest {
        from_seq: 0,
        last: args.scan_last,
        follow: false,
        goal_id: args.goal_id.clone().unwrap_or_default(),
    };
    let time = Duration::from_millis(timeout_ms);
    let records = tokio::time::timeout(time, guard.audit_tail(request))
        .await
        .map_err(|_| {
            wrong(ToolError::TimedOut {
                allowed_ms: timeout_ms,
            })
        })??;
    let result = answer(&args, &records)
        .and_then(|it| value_of(&it))
        .map_err(wrong)?;
    Ok(worker::ExecuteResponse {
        result_json: result.to_string(),
        tool_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        ..worker::ExecuteResponse::default()
    })
}

fn parse(args_json: &str) -> Result<AuditArgs> {
    let args: Value =
        serde_json::from_str(args_json).map_err(|error| ToolError::Defect(error.to_string()))?;
    typed(AUDIT_QUERY, &args)
}

fn answer(args: &AuditArgs, records: &[guard::AuditRecord]) -> Result<AuditResult> {
    let mut found = Vec::new();
    for record in records {
        let entry = entry(record)?;
        if wanted(args, &entry) {
            found.push(entry);
        }
    }
    let matched = found.len() as u64;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let too_many = found.len().saturating_sub(limit);
    found.drain(..too_many);
    Ok(AuditResult {
        records: found,
        matched,
        scanned: records.len() as u64,
        truncated: too_many > 0,
    })
}

fn entry(record: &guard::AuditRecord) -> Result<AuditEntry> {
    let fields: Map<String, Value> =
        serde_json::from_slice(&record.canonical).map_err(|_| ToolError::Corrupt {
            what: format!("audit record {}", record.seq),
        })?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(AuditEntry {
        seq: record.seq,
        time_ms: record.time_ms,
        kind: record.kind.clone(),
        goal_id: text("goal_id"),
        task_id: text("task_id"),
        step: fields.get("step").and_then(Value::as_u64),
        agent_kind: text("agent_kind"),
        person: text("person"),
        approver: text("approver"),
        tool: text("tool"),
        rule: text("rule"),
        details_json: fields
            .get("details")
            .map_or_else(|| "{}".to_owned(), Value::to_string),
    })
}

fn wanted(args: &AuditArgs, entry: &AuditEntry) -> bool {
    let tool = args.tool.as_deref().is_none_or(|wanted| {
        let tool = entry.tool.as_deref().unwrap_or_default();
        match wanted.strip_suffix(".*") {
            Some(namespace) => tool.split_once('.').is_some_and(|(own, _)| own == namespace),
            None => tool == wanted,
        }
    });
    let person = args.person.as_deref().is_none_or(|wanted| {
        entry.person.as_deref() == Some(wanted) || entry.approver.as_deref() == Some(wanted)
    });
    tool && person
        && args.kind.as_deref().is_none_or(|kind| kind == entry.kind)
        && args.since_ms.is_none_or(|since| entry.time_ms >= since)
        && args.until_ms.is_none_or(|until| entry.time_ms < until)
}
