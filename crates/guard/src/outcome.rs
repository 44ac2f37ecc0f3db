//! How an authorized call ended, and events that are no calls.

use crate::error::GuardError;
use crate::guard::Guard;
use aios_audit::{Hash, Record};
use aios_auth::peer::Role;
use aios_core::failpoint;
use aios_core::id::{AgentId, ExecutionKey, GoalId, TaskId};
use aios_core::rpc::Peer;
use aios_proto::guard::v1 as pb;
use serde_json::{Map, Value};

/// Largest details of an event, bytes.
const MAX_DETAILS: usize = 64 * 1024;
/// First words of kinds that only the guard itself writes.
const OWN: [&str; 11] = [
    "intent",
    "outcome",
    "read",
    "denied",
    "dry_run",
    "approval",
    "emergency",
    "token",
    "person",
    "audit",
    "guard",
];
const STATUSES: [&str; 4] = ["done", "failed", "undone", "timed_out"];

impl Guard {
    /// Records an outcome once; asked again it answers with the first record.
    pub(crate) async fn record_outcome(&self, request: pb::RecordOutcomeRequest) -> Result<u64, GuardError> {
        let key = ExecutionKey::try_from(request.key.as_ref())?;
        if !STATUSES.contains(&request.status.as_str()) {
            return Err(GuardError::field(
                "status",
                format!("must be one of {}", STATUSES.join(", ")),
            ));
        }
        let _handling = self.handle(key)?;
        let known = self.state().store.execution(key)?;
        let known = known.ok_or_else(|| GuardError::NoIntent { key: key.to_string() })?;
        if known.digest != request.call_digest.as_slice() {
            return Err(GuardError::KeyReused { key: key.to_string() });
        }
        if known.intent != request.intent_seq {
            return Err(GuardError::field(
                "intent_seq",
                format!("must be {}", known.intent),
            ));
        }
        if let Some(outcome) = known.outcome {
            return Ok(outcome);
        }
        let mut record = Record {
            goal_id: Some(known.goal.clone()),
            task_id: Some(key.task.to_string()),
            step: Some(key.step),
            approval_id: known.approval.clone(),
            call_digest: Some(Hash(known.digest)),
            output: Some(request.result_json.into_bytes()).filter(|result| !result.is_empty()),
            ..Record::new("outcome")
        }
        .with("status", request.status)
        .with("intent", known.intent);
        if let Some(error) = request.error {
            record = record.with("code", error.code).with("problem", error.message);
        }
        failpoint::hit("guard.before_outcome");
        let outcome = self.record(record).await?.seq;
        failpoint::hit("guard.after_outcome");
        self.state().store.save_outcome(key, outcome)?;
        Ok(outcome)
    }

    /// Records an event of a service. Its details are a payload: they may name people and their files.
    pub(crate) async fn record_event(
        &self,
        peer: &Peer,
        request: pb::RecordRequest,
    ) -> Result<u64, GuardError> {
        let kind = request.kind;
        let well_formed = kind.len() <= 64
            && kind.split('.').count() >= 2
            && kind
                .split('.')
                .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        if !well_formed {
            return Err(GuardError::field(
                "kind",
                "must be words of a-z and `_`, joined by dots, `goal.submitted`",
            ));
        }
        if kind
            .split('.')
            .next()
            .is_some_and(|word| OWN.contains(&word) || word == "clock")
        {
            return Err(GuardError::field("kind", "is one that only the guard writes"));
        }
        let details = details(&request.details_json)?;
        let id =
            |text: String, parse: fn(&str) -> Result<(), GuardError>| -> Result<Option<String>, GuardError> {
                if text.is_empty() {
                    return Ok(None);
                }
                parse(&text)?;
                Ok(Some(text))
            };
        let agent_id = id(request.agent_id, |text| Ok(AgentId::parse(text).map(drop)?))?;
        if let Some(agent) = &agent_id
            && self.roles.is(peer.uid, Role::Sandbox)
        {
            self.agent_event(&kind, agent, &details)?;
        }
        // What names no person or file stands in the open, so that a denial elsewhere reads like one here.
        let text = |name: &str| {
            let text = details.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty() && text.len() <= 256)
                .map(str::to_owned)
        };
        let mut record = Record {
            goal_id: id(request.goal_id, |text| Ok(GoalId::parse(text).map(drop)?))?,
            task_id: id(request.task_id, |text| Ok(TaskId::parse(text).map(drop)?))?,
            agent_kind: text("agent_kind"),
            agent_id,
            token_id: text("token_id"),
            tool: text("tool"),
            rule: text("check").map(|check| format!("check:{check}")),
            step: details
                .get("step")
                .and_then(Value::as_u64)
                .filter(|step| *step < 1 << 53),
            ..Record::new(kind)
        }
        .with("source", self.caller(peer));
        if let Some(code) = text("code") {
            record = record.with("code", code);
        }
        record.input = Some(Value::Object(details).to_string().into_bytes());
        Ok(self.record(record).await?.seq)
    }

    /// The sandbox says which agents run: only for those tokens are minted.
    fn agent_event(&self, kind: &str, agent: &str, details: &Map<String, Value>) -> Result<(), GuardError> {
        match kind {
            "agent.started" => {
                let own = details.get("agent_kind").and_then(Value::as_str);
                let own =
                    own.ok_or_else(|| GuardError::field("details_json", "must name the `agent_kind`"))?;
                self.state().store.agent_started(agent, own)
            }
            "agent.stopped" | "agent.failed" | "agent.exited" => self.state().store.agent_ended(agent),
            _ => Ok(()),
        }
    }
}

fn details(text: &str) -> Result<Map<String, Value>, GuardError> {
    if text.len() > MAX_DETAILS {
        return Err(GuardError::field(
            "details_json",
            format!("has more than {MAX_DETAILS} bytes"),
        ));
    }
    if text.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text)
        .map_err(|error| GuardError::field("details_json", format!("is no JSON object: {error}")))
}
