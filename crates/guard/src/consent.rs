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

/// How long after the end of its approval a call that was allowed may still be finished, milliseconds: a
/// machine that is switched off in the middle of a call is on again the next day. What ended before then
/// without an outcome needs a person anew.
const FINISH_MS: i64 = 24 * 60 * 60_000;

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

    /// The approval of an intent that is in the log already, signed anew for the worker: the call may have
    /// begun, and whoever finishes it after a crash needs it. But a person's yes does not hold for ever, so
    /// not later than [`FINISH_MS`] after its own end.
    pub(crate) fn sign_again(&self, id: &str) -> Result<Given, GuardError> {
        let row = self.state().store.approval(id)?;
        let row = row.ok_or_else(|| GuardError::NoApproval { id: id.to_owned() })?;
        let millis = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let scope = Some(row.shown.remembered_scope.as_str()).filter(|scope| !scope.is_empty());
        let scope = scope.map(Capability::parse).transpose()?;
        let end_ms = match &scope {
            Some(_) => row.shown.decided_at_ms.saturating_add(millis(row.remember_ms)),
            None => row.valid_until_ms,
        };
        let last_ms = end_ms.saturating_add(FINISH_MS);
        let now_ms = self.now_ms();
        if now_ms >= last_ms {
            return Err(GuardError::ApprovalOver {
                approval: id.to_owned(),
                late_ms: now_ms.saturating_sub(end_ms),
            });
        }
        let expires_at_ms = now_ms.saturating_add(millis(row.valid_ms)).min(last_ms);
        self.sign_row(&row, expires_at_ms, scope)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persons::Proved;
    use crate::testing;
    use aios_core::clock::ManualClock;
    use aios_core::error::Coded;
    use aios_proto::guard::v1::authorize_response::Decision as Answer;
    use std::sync::Arc;

    const START_MS: i64 = 1_800_000_000_000;
    /// As the vendor's policy has it.
    const VALID_MS: i64 = 300_000;
    const REMEMBER_MS: i64 = 86_400_000;

    async fn answer(guard: &Guard, mint: &pb::MintRequest) -> Answer {
        let token = guard.mint(mint).await.unwrap().token;
        let request = testing::delete(mint, token, "/srv/a");
        guard.authorize(request).await.unwrap().decision.unwrap()
    }

    fn end_of(answer: Answer) -> i64 {
        let Answer::Receipt(receipt) = answer else {
            panic!("{answer:?}");
        };
        let approval = receipt.approval.unwrap();
        let body: ApprovalBody = serde_json::from_slice(&approval.body).unwrap();
        body.expires_at_ms
    }

    #[tokio::test]
    async fn an_approval_serves_to_finish_a_call_but_not_for_ever() {
        for (remember, held_ms) in [("", VALID_MS), ("fs:delete:/srv/**", REMEMBER_MS)] {
            let clock = Arc::new(ManualClock::at(START_MS));
            let (_directory, guard) = testing::guard(&clock).await;
            let mint = testing::mint_request(&["fs:delete:/srv/**"]);
            let Answer::ApprovalRequired(asked) = answer(&guard, &mint).await else {
                panic!("a person is to be asked");
            };
            let ada = Proved {
                uid: 1000,
                name: "ada".to_owned(),
                by: "key",
            };
            let shown = guard.get_approval(&asked.approval_id).unwrap();
            let yes = pb::DecideApprovalRequest {
                approval_id: asked.approval_id.clone(),
                approve: true,
                call_digest: shown.call_digest,
                remember_scope: remember.to_owned(),
                proof: None,
            };
            guard.decide_approval(&ada, &yes).await.unwrap();
            end_of(answer(&guard, &mint).await);
            // Long after its end, which is too late for a call that is new: only finishing is.
            let last_ms = START_MS + held_ms + FINISH_MS;
            clock.advance(last_ms - 1_000 - START_MS);
            assert_eq!(end_of(answer(&guard, &mint).await), last_ms, "{remember}");
            clock.advance(1_000);
            let Answer::Denied(denied) = answer(&guard, &mint).await else {
                panic!("{remember}: the approval still holds");
            };
            assert_eq!(denied.rule_id, "approval:over");
            let over = GuardError::ApprovalOver {
                approval: asked.approval_id,
                late_ms: FINISH_MS,
            };
            let error = denied.error.unwrap();
            assert_eq!(
                (error.code.as_str(), error.message),
                (over.code(), over.to_string())
            );
        }
    }
}
