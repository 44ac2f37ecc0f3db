//! Whether a person's yes is needed, there already, waited for, or refused.

use crate::authorize::{Call, Given};
use crate::error::GuardError;
use crate::guard::Guard;
use crate::store::ApprovalRow;
use aios_audit::{Hash, Record};
use aios_auth::approval::ApprovalBody;
use aios_auth::capability::Capability;
use aios_auth::level::Risk;
use aios_auth::policy::{Decision, Effect, redact};
use aios_auth::token::VerifiedToken;
use aios_core::id::{ApprovalId, ExecutionKey, GoalId, TaskId};
use aios_proto::guard::v1 as pb;
use aios_proto::guard::v1::ApprovalState;
use aios_proto::guard::v1::guard_event::Event;

/// Where a call stands with people.
pub(crate) enum Consent {
    /// Policy asks for none.
    NotNeeded,
    /// A person said yes.
    Given(Given),
    /// A person is being asked.
    Pending(pb::ApprovalRequired),
    /// A person must be asked.
    Ask,
}

impl Guard {
    /// Looks for a decision about this call.
    pub(crate) fn consent(
        &self,
        call: &Call,
        token: &VerifiedToken,
        decision: &Decision,
    ) -> Result<Consent, GuardError> {
        if decision.effect != Effect::Confirm {
            return Ok(Consent::NotNeeded);
        }
        let now_ms = self.now_ms();
        let (own, remembered) = {
            let state = self.state();
            (
                state.store.approvals_of(call.key)?,
                state.store.remembered(&token.agent_kind, now_ms)?,
            )
        };
        // A person saw another call under this step: what was swapped since is not theirs to answer for.
        if own.iter().any(|row| !saw(&row.shown, call)) {
            return Err(GuardError::CallChanged {
                key: call.key.to_string(),
            });
        }
        if let Some(row) = own.first() {
            let approval = row.shown.approval_id.clone();
            match row.shown.state() {
                ApprovalState::Approved if now_ms < row.valid_until_ms => {
                    return self.sign_row(row, row.valid_until_ms, None).map(Consent::Given);
                }
                ApprovalState::Pending if now_ms < row.shown.expires_at_ms => {
                    return Ok(Consent::Pending(required(&row.shown)));
                }
                ApprovalState::Declined => {
                    return Err(GuardError::Declined {
                        by: row.shown.approver.clone(),
                        approval,
                    });
                }
                ApprovalState::Expired | ApprovalState::Pending => {
                    return Err(GuardError::Unanswered { approval });
                }
                ApprovalState::Withdrawn => return Err(GuardError::Withdrawn { approval }),
                ApprovalState::Approved | ApprovalState::Unspecified => {}
            }
        }
        for decision in &remembered {
            let scope = Capability::parse(&decision.scope)?;
            let mut hits = call.required.iter().map(|access| scope.allows_access(access));
            if !decision.approve && hits.any(|hit| hit) {
                let by = self
                    .state()
                    .store
                    .approval(&decision.approval)?
                    .map(|row| row.shown.approver);
                return Err(GuardError::Declined {
                    by: by.unwrap_or_default(),
                    approval: decision.approval.clone(),
                });
            }
            // Untrusted text shaped this task: what was allowed for a clean one does not count.
            let clean = !token.tainted || decision.tainted;
            if decision.approve && clean && call.required.iter().all(|access| scope.allows_access(access)) {
                let row = self.state().store.approval(&decision.approval)?;
                if let Some(row) = row {
                    return self
                        .sign_row(&row, decision.expires_ms, Some(scope))
                        .map(Consent::Given);
                }
            }
        }
        Ok(Consent::Ask)
    }

    /// The approval of an intent that is in the log already, signed anew for the worker.
    pub(crate) fn sign_again(&self, id: &str) -> Result<Given, GuardError> {
        let row = self.state().store.approval(id)?;
        let row = row.ok_or_else(|| GuardError::NoApproval { id: id.to_owned() })?;
        let valid_ms = i64::try_from(row.valid_ms).unwrap_or(i64::MAX);
        let scope = Some(row.shown.remembered_scope.as_str()).filter(|scope| !scope.is_empty());
        let scope = scope.map(Capability::parse).transpose()?;
        self.sign_row(&row, self.now_ms().saturating_add(valid_ms), scope)
    }

    fn sign_row(
        &self,
        row: &ApprovalRow,
        expires_at_ms: i64,
        scope: Option<Capability>,
    ) -> Result<Given, GuardError> {
        let shown = &row.shown;
        let digest = <[u8; 32]>::try_from(shown.call_digest.as_slice()).map_err(|_| GuardError::Digest)?;
        let body = ApprovalBody {
            approval_id: ApprovalId::parse(&shown.approval_id)?,
            goal: GoalId::parse(&shown.goal_id)?,
            key: ExecutionKey {
                task: TaskId::parse(&shown.task_id)?,
                step: shown.step,
            },
            call_digest: digest,
            scope,
            approver_uid: row.approver_uid,
            approver: shown.approver.clone(),
            decided_at_ms: shown.decided_at_ms,
            expires_at_ms,
        };
        let signed = body.sign(&self.keys.approval)?;
        Ok(Given {
            id: body.approval_id,
            approver: body.approver,
            signed,
        })
    }

    /// Asks people: recorded, stored, told to followers.
    pub(crate) async fn ask(
        &self,
        call: &Call,
        token: &VerifiedToken,
        decision: &Decision,
    ) -> Result<pb::ApprovalRequired, GuardError> {
        let waiting = self.state().store.pending_count()?;
        if waiting >= self.config.approvals_waiting {
            return Err(GuardError::TooManyWaiting { waiting });
        }
        let row = self.request_row(call, token, decision);
        let shown = &row.shown;
        let record = Record {
            goal_id: Some(shown.goal_id.clone()),
            task_id: Some(shown.task_id.clone()),
            step: Some(shown.step),
            agent_id: Some(shown.agent_id.clone()),
            agent_kind: Some(shown.agent_kind.clone()),
            token_id: Some(token.token_id.clone()),
            tool: Some(shown.tool.clone()),
            capabilities: call.request.required.clone(),
            rule: Some(shown.rule_id.clone()),
            approval_id: Some(shown.approval_id.clone()),
            call_digest: Some(Hash(call.digest)),
            input: Some(shown.args_json.clone().into_bytes()),
            ..Record::new("approval.requested")
        };
        self.record(record.with("expires_at_ms", shown.expires_at_ms))
            .await?;
        self.state().store.save_approval(&row)?;
        self.expiry_changed.notify_one();
        let answer = required(&row.shown);
        self.tell(Event::Approval(row.shown));
        Ok(answer)
    }

    fn request_row(&self, call: &Call, token: &VerifiedToken, decision: &Decision) -> ApprovalRow {
        let now_ms = self.now_ms();
        let timeout_ms = self
            .config
            .approval_timeout_ms
            .unwrap_or(decision.approvals.timeout_ms);
        let mut args = call.args.clone();
        redact(&mut args, &decision.redact);
        let request = &call.request;
        let shown = pb::Approval {
            approval_id: ApprovalId::new().to_string(),
            state: ApprovalState::Pending.into(),
            goal_id: token.goal.to_string(),
            task_id: call.key.task.to_string(),
            step: call.key.step,
            agent_id: token.agent.to_string(),
            agent_kind: token.agent_kind.clone(),
            tool: request.tool.clone(),
            args_json: args.to_string(),
            identities: request.identities.clone(),
            call_digest: call.digest.to_vec(),
            risk: request.risk,
            rule_id: decision.rule_id.clone(),
            summary: request.summary.clone(),
            created_at_ms: now_ms,
            expires_at_ms: now_ms.saturating_add(i64::try_from(timeout_ms).unwrap_or(i64::MAX)),
            decided_at_ms: 0,
            approver: String::new(),
            remembered_scope: String::new(),
            files: request.files,
            bytes: request.bytes,
            reversible: request.reversible,
        };
        let granted: Vec<String> = token
            .capabilities
            .effective()
            .iter()
            .map(ToString::to_string)
            .collect();
        ApprovalRow {
            shown,
            valid_until_ms: 0,
            valid_ms: decision.approvals.valid_ms,
            remember_ms: decision.approvals.remember_ms,
            approver_uid: 0,
            tainted: token.tainted,
            granted: granted.join("\n"),
            required: request.required.join("\n"),
        }
    }
}

/// Whether what a person was shown is this call: the same digest, and no worse than it was said to be.
/// The bytes may have grown while the person thought.
fn saw(shown: &pb::Approval, call: &Call) -> bool {
    let now = call.extent();
    shown.call_digest == call.digest
        && Risk::from_wire(shown.risk) == now.risk
        && shown.reversible == now.reversible
        && now.files <= shown.files
}

fn required(shown: &pb::Approval) -> pb::ApprovalRequired {
    pb::ApprovalRequired {
        approval_id: shown.approval_id.clone(),
        rule_id: shown.rule_id.clone(),
        expires_at_ms: shown.expires_at_ms,
    }
}
