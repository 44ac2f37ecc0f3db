//! The guard's state at a glance, and which rule would decide.

use crate::error::GuardError;
use crate::guard::Guard;
use aios_auth::call;
use aios_auth::level::{Autonomy, Risk};
use aios_auth::policy::PolicyCall;
use aios_auth::token::Revocations;
use aios_confine::Machine;
use aios_proto::common::v1 as common;
use aios_proto::guard::v1 as pb;

/// What this machine lacks, and what holds instead.
pub(crate) fn degradations() -> Vec<String> {
    let mut all: Vec<String> = Machine::probe()
        .degradations()
        .iter()
        .map(ToString::to_string)
        .collect();
    let pidfd = tokio::net::UnixStream::pair().and_then(|(one, _)| aios_core::rpc::Peer::of(&one));
    if !pidfd.is_ok_and(|peer| peer.pidfd.is_some()) {
        all.push("no SO_PEERPIDFD: the calling process is identified by its id, checked twice".to_owned());
    }
    all
}

impl Guard {
    pub(crate) fn status(&self) -> Result<pb::StatusResponse, GuardError> {
        let problem = self.log.watch_problem().borrow().clone();
        let state = self.state();
        Ok(pb::StatusResponse {
            epoch: state.trust.epoch(),
            emergency: Some(state.trust.emergency().clone()),
            audit_size: self.log.size(),
            audit_writable: problem.is_none(),
            audit_problem: problem.unwrap_or_default(),
            pending_approvals: state.store.pending_count()?,
            policy_digest: hex::encode(self.policy.digest()),
            degradations: self.degradations.clone(),
            workers_reached: state.workers_reached.iter().cloned().collect(),
        })
    }

    pub(crate) fn explain(&self, request: &pb::ExplainRequest) -> Result<pb::ExplainResponse, GuardError> {
        if !request.tool.contains('.') {
            return Err(GuardError::field("tool", "must be `namespace.action`"));
        }
        if !request.args_json.is_empty() {
            call::parse_args(&request.args_json)?;
        }
        let paths: Vec<&str> = request.paths.iter().map(String::as_str).collect();
        let decision = self.policy.decide(&PolicyCall {
            tool: &request.tool,
            risk: Risk::from_wire(request.risk),
            mutating: request.risk() != common::Risk::Read,
            autonomy: Autonomy::from_wire(request.autonomy)
                .unwrap_or(self.config.autonomy.min(self.config.max_autonomy)),
            tainted: request.tainted,
            paths: &paths,
        });
        Ok(pb::ExplainResponse {
            effect: decision.effect.as_str().to_owned(),
            rule_id: decision.rule_id,
            reason: decision.reason,
            matched: decision.matched,
            origin: decision.origin,
        })
    }
}
