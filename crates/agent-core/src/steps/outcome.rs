//! From the answer of the tool service to the end of a step.

use crate::clients::report_of;
use crate::error::Error;
use crate::model::event::StepEnd;
use crate::model::state::StepState;
use aios_core::error::Report;
use aios_proto::tools::v1::{Done, call_response};
use serde_json::{Value, json};

pub(super) fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

pub(super) fn outcome(result: Option<call_response::Result>) -> StepEnd {
    match result {
        Some(call_response::Result::Done(done)) => success(done),
        Some(call_response::Result::Denied(refusal)) => StepEnd {
            rule_id: refusal.rule_id,
            audit_seq: refusal.audit_seq,
            ..ended(
                StepState::Denied,
                report_of(refusal.error, "the call was refused"),
            )
        },
        Some(call_response::Result::Failed(failure)) => StepEnd {
            audit_seq: failure.audit_seq,
            ..ended(StepState::Failed, report_of(failure.error, "the tool failed"))
        },
        Some(call_response::Result::DryRun(dry)) => {
            let would = dry.would.unwrap_or_default();
            let result = json!({
                "dry_run": true,
                "summary": dry.summary,
                "files": dry.files,
                "bytes": dry.bytes,
                "paths": dry.identities.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(),
                "would": {"effect": would.effect, "rule_id": would.rule_id, "reason": would.reason},
            });
            StepEnd {
                undoable: false,
                ..success(Done {
                    result_json: result.to_string(),
                    rule_id: would.rule_id,
                    ..Done::default()
                })
            }
        }
        Some(call_response::Result::ApprovalRequired(_)) | None => {
            failed(report_of(None, "the tool service gave an empty answer"))
        }
    }
}

fn success(done: Done) -> StepEnd {
    StepEnd {
        state: StepState::Done,
        result: parse(&done.result_json),
        error: None,
        audit_seq: done.audit_seq,
        rule_id: done.rule_id,
        approval_id: done.approval_id,
        undoable: done.undoable,
        tainted: true,
    }
}

pub(super) fn ended(state: StepState, report: Report) -> StepEnd {
    StepEnd {
        state,
        result: Value::Null,
        error: Some(report),
        audit_seq: 0,
        rule_id: String::new(),
        approval_id: String::new(),
        undoable: false,
        tainted: false,
    }
}

pub(super) fn failed(report: Report) -> StepEnd {
    ended(StepState::Failed, report)
}

pub(super) fn denied(error: Error) -> StepEnd {
    ended(StepState::Denied, error.report())
}
