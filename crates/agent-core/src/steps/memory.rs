//! Memory calls of an agent. Memory being away never holds a goal up: the call fails, the task goes on.

use super::outcome::{failed, parse};
use super::{Call, Steps};
use crate::clients::failure;
use crate::error::Error;
use crate::model::event::StepEnd;
use crate::model::state::StepState;
use aios_proto::memory::v1::{ObserveRequest, OperationalEvent, QueryWorkingRequest};
use serde_json::{Value, json};

impl Steps {
    pub(super) async fn memory(&self, call: &Call) -> Result<StepEnd, Error> {
        let text = |key: &str| {
            call.args
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let answer = match call.name.as_str() {
            "recall" => {
                let limit = call
                    .args
                    .get("limit")
                    .and_then(Value::as_u64)
                    .unwrap_or(20)
                    .min(100);
                let request = QueryWorkingRequest {
                    goal_id: self.goal.to_string(),
                    kind: text("kind"),
                    limit: u32::try_from(limit).unwrap_or(100),
                };
                self.core
                    .clients
                    .memory()
                    .query_working(request)
                    .await
                    .map(|answer| {
                        let events = answer.into_inner().events;
                        let rows = events.iter().map(|event| {
                        json!({"time_ms": event.time_ms, "kind": event.kind, "body": parse(&event.body_json)})
                    });
                        json!({"events": rows.collect::<Vec<_>>()})
                    })
            }
            "note" => {
                let event = OperationalEvent {
                    time_ms: self.core.clock.now_ms(),
                    source: "agent".to_owned(),
                    kind: "note".to_owned(),
                    message: text("message"),
                    details_json: json!({"task": self.task, "goal": self.goal}).to_string(),
                };
                let request = ObserveRequest { event: Some(event) };
                self.core
                    .clients
                    .memory()
                    .observe(request)
                    .await
                    .map(|_| json!({}))
            }
            other => {
                let error = Error::field("verb", format!("`{other}` is neither `recall` nor `note`"));
                return Ok(failed(error.report()));
            }
        };
        Ok(match answer {
            Ok(result) => StepEnd {
                state: StepState::Done,
                result,
                error: None,
                audit_seq: 0,
                rule_id: String::new(),
                approval_id: String::new(),
                undoable: false,
                tainted: true,
            },
            // Memory being away never holds a goal up: the agent goes on without it.
            Err(status) => failed(failure("aios-memory", &status).report()),
        })
    }
}
