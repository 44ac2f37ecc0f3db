//! The decision about one prepared call: token, capability, policy, limits, approval; then the intent
//! in the log, and the receipt.

use crate::consent::Consent;
use crate::error::GuardError;
use crate::guard::Guard;
use crate::store::Execution;
use aios_audit::{AuditError, Durability, Hash, Record};
use aios_auth::call;
use aios_auth::capability::Access;
use aios_auth::level::Risk;
use aios_auth::policy::{Decision, Effect, PolicyCall, redact};
use aios_auth::receipt::{Extent, ReceiptBody};
use aios_auth::token::{Revocations, VerifiedToken};
use aios_core::error::Report;
use aios_core::failpoint;
use aios_core::id::{ApprovalId, ExecutionKey};
use aios_proto::guard::v1 as pb;
use aios_proto::guard::v1::authorize_response::Decision as Answer;
use serde_json::{Value, json};
use std::sync::Arc;

/// A call as it was read from a request.
pub(crate) struct Call {
    pub(crate) request: pb::AuthorizeRequest,
    pub(crate) key: ExecutionKey,
    pub(crate) args: Value,
    pub(crate) digest: [u8; 32],
    pub(crate) required: Vec<Access>,
}

impl Call {
    fn read(request: pb::AuthorizeRequest) -> Result<Self, GuardError> {
        let key = ExecutionKey::try_from(request.key.as_ref())?;
        if !request
            .tool
            .split_once('.')
            .is_some_and(|(namespace, action)| is_name(namespace) && is_name(action))
        {
            return Err(GuardError::field("tool", "must be `namespace.action`"));
        }
        let args = call::parse_args(&request.args_json)?;
        let digest = call::digest(&request.tool, &args, &request.identities)?;
        let required: Result<Vec<_>, _> = request.required.iter().map(|text| Access::parse(text)).collect();
        let required = required?;
        if required.is_empty() {
            return Err(GuardError::field("required", "must name what the call needs"));
        }
        Ok(Self {
            key,
            args,
            digest,
            required,
            request,
        })
    }

    /// What the log says of the call; `token` when it was verified.
    fn record(&self, kind: &str, token: Option<&VerifiedToken>, hide: &[String]) -> Record {
        let mut args = self.args.clone();
        redact(&mut args, hide);
        let identities: Vec<_> = self
            .request
            .identities
            .iter()
            .map(|it| json!({"path": it.path, "dev": it.dev, "ino": it.ino, "kind": it.kind}))
            .collect();
        let input = json!({ "args": args, "identities": identities, "required": self.request.required });
        Record {
            task_id: Some(self.key.task.to_string()),
            step: Some(self.key.step),
            goal_id: token.map(|token| token.goal.to_string()),
            agent_id: token.map(|token| token.agent.to_string()),
            agent_kind: token.map(|token| token.agent_kind.clone()),
            token_id: token.map(|token| token.token_id.clone()),
            tool: Some(self.request.tool.clone()),
            capabilities: token.map_or_else(Vec::new, |token| {
                token
                    .capabilities
                    .effective()
                    .iter()
                    .map(ToString::to_string)
                    .collect()
            }),
            call_digest: Some(Hash(self.digest)),
            input: Some(input.to_string().into_bytes()),
            ..Record::new(kind)
        }
    }

    /// How far it goes, by the tool service's word.
    pub(crate) fn extent(&self) -> Extent {
        Extent {
            risk: Risk::from_wire(self.request.risk),
            reversible: self.request.reversible,
            files: self.request.files,
            bytes: self.request.bytes,
        }
    }

    /// Paths that policy looks at: what the call touches, and what it needs.
    fn paths(&self) -> Vec<&str> {
        let touched = self
            .request
            .identities
            .iter()
            .map(|identity| identity.path.as_str());
        let needed = self
            .required
            .iter()
            .map(Access::resource)
            .filter(|resource| resource.starts_with('/'));
        let mut paths: Vec<&str> = touched
            .filter(|path| path.starts_with('/'))
            .chain(needed)
            .collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

impl Guard {
    /// Decides, records, answers. A denial is an answer; an error says that nothing was decided.
    pub(crate) async fn authorize(
        &self,
        request: pb::AuthorizeRequest,
    ) -> Result<pb::AuthorizeResponse, GuardError> {
        let call = Call::read(request)?;
        let mut token = None;
        let answer = match self.decide(&call, &mut token).await {
            Err(error) if error.rule().is_some() => {
                let rule_id = error.rule().unwrap_or_default().to_owned();
                let context = call.record("denied", token.as_deref(), &[]);
                let audit_seq = self
                    .record_denial(
                        Record {
                            input: None,
                            ..context
                        },
                        &error,
                    )
                    .await?;
                Answer::Denied(pb::Denied {
                    error: Some(Report::of(&error).into()),
                    rule_id,
                    audit_seq,
                })
            }
            other => other?,
        };
        Ok(pb::AuthorizeResponse {
            decision: Some(answer),
        })
    }

    async fn decide(
        &self,
        call: &Call,
        verified: &mut Option<Arc<VerifiedToken>>,
    ) -> Result<Answer, GuardError> {
        // First, so that people read why: a stop revokes the tokens of before too.
        if call.request.mutating && self.state().trust.emergency().stopped {
            return Err(GuardError::Emergency);
        }
        let token = self
            .verifier
            .verify(&call.request.token, self.now_ms(), &self.state().trust)?;
        *verified = Some(token.clone());
        self.check_token(call, &token)?;
        let decision = self.policy.decide(&self.policy_call(call, &token, &call.paths()));
        if call.request.dry_run {
            return self.rehearse(call, &token, &decision).await;
        }
        if decision.effect == Effect::Deny {
            return Err(GuardError::Policy {
                rule: decision.rule_id,
                reason: decision.reason,
            });
        }
        if !call.request.mutating && decision.effect == Effect::Allow {
            return self.allow_read(call, &token, &decision).await;
        }
        let _handling = self.handle(call.key)?;
        self.change(call, &token, &decision).await
    }

    fn check_token(&self, call: &Call, token: &VerifiedToken) -> Result<(), GuardError> {
        if token.task != call.key.task {
            return Err(GuardError::OtherTask {
                token: token.task.to_string(),
                call: call.key.task.to_string(),
            });
        }
        if call.request.call_digest != call.digest {
            return Err(GuardError::Digest);
        }
        if let Some(access) = call
            .required
            .iter()
            .find(|access| !token.capabilities.allows_access(access))
        {
            return Err(GuardError::Narrow {
                access: access.to_string(),
            });
        }
        Ok(())
    }

    fn policy_call<'a>(&self, call: &'a Call, token: &VerifiedToken, paths: &'a [&'a str]) -> PolicyCall<'a> {
        PolicyCall {
            tool: &call.request.tool,
            risk: call.extent().risk,
            mutating: call.request.mutating,
            autonomy: token.autonomy,
            tainted: token.tainted,
            paths,
        }
    }

    async fn rehearse(
        &self,
        call: &Call,
        token: &VerifiedToken,
        decision: &Decision,
    ) -> Result<Answer, GuardError> {
        let record = Record {
            rule: Some(decision.rule_id.clone()),
            ..call.record("dry_run", Some(token), &decision.redact)
        };
        self.log
            .append(
                record.with("effect", decision.effect.as_str()),
                Durability::Within20ms,
            )
            .await?;
        Ok(Answer::Would(pb::WouldDecide {
            effect: decision.effect.as_str().to_owned(),
            rule_id: decision.rule_id.clone(),
            reason: decision.reason.clone(),
        }))
    }

    async fn allow_read(
        &self,
        call: &Call,
        token: &VerifiedToken,
        decision: &Decision,
    ) -> Result<Answer, GuardError> {
        let now_ms = self.now_ms();
        {
            let mut state = self.state();
            state.ledger.check(token.goal, decision, 0, 0, now_ms)?;
            state.ledger.charge(token.goal, decision, 0, 0, now_ms);
        }
        let record = Record {
            rule: Some(decision.rule_id.clone()),
            ..call.record("read", Some(token), &decision.redact)
        };
        let seq = self.log.append(record, Durability::Within20ms).await?.seq;
        self.receipt(call, token, &decision.rule_id, None, (seq, call.extent()))
            .map(Answer::Receipt)
    }

    /// A call that changes something, or that a person must see first. The same step asked again gets a
    /// receipt for the intent that is in the log already.
    async fn change(
        &self,
        call: &Call,
        token: &VerifiedToken,
        decision: &Decision,
    ) -> Result<Answer, GuardError> {
        let known = self.state().store.execution(call.key)?;
        if let Some(known) = known {
            if known.digest != call.digest {
                return Err(GuardError::KeyReused {
                    key: call.key.to_string(),
                });
            }
            let approval = known
                .approval
                .as_deref()
                .map(|id| self.sign_again(id))
                .transpose()?;
            // Never what is said this time: the decision was about what the intent says.
            let decided = (known.intent, self.decided(known.intent).await?);
            return self
                .receipt(call, token, &decision.rule_id, approval, decided)
                .map(Answer::Receipt);
        }
        let approval = match self.consent(call, token, decision)? {
            Consent::NotNeeded => None,
            Consent::Given(given) => Some(given),
            Consent::Pending(pending) => return Ok(Answer::ApprovalRequired(pending)),
            Consent::Ask => {
                return self
                    .ask(call, token, decision)
                    .await
                    .map(Answer::ApprovalRequired);
            }
        };
        let extent = call.extent();
        let (files, bytes) = (extent.files, extent.bytes);
        self.state()
            .ledger
            .check(token.goal, decision, files, bytes, self.now_ms())?;
        failpoint::hit("guard.before_intent");
        let record = Record {
            rule: Some(decision.rule_id.clone()),
            approval_id: approval.as_ref().map(|given| given.id.to_string()),
            approver: approval.as_ref().map(|given| given.approver.clone()),
            ..call.record("intent", Some(token), &decision.redact)
        }
        .with("files", files)
        .with("bytes", bytes)
        .with("risk", extent.risk.as_str())
        .with("reversible", extent.reversible);
        let intent = self.record(record).await?.seq;
        failpoint::hit("guard.after_intent");
        let execution = Execution {
            digest: call.digest,
            goal: token.goal.to_string(),
            approval: approval.as_ref().map(|given| given.id.to_string()),
            files,
            bytes,
            intent,
            outcome: None,
        };
        {
            let mut state = self.state();
            state.store.save_intent(call.key, &execution)?;
            state
                .ledger
                .charge(token.goal, decision, files, bytes, self.now_ms());
        }
        self.receipt(call, token, &decision.rule_id, approval, (intent, extent))
            .map(Answer::Receipt)
    }

    /// How far the call goes that an intent is about.
    async fn decided(&self, intent: u64) -> Result<Extent, GuardError> {
        let entry = self.log.get(intent).await?;
        let altered = |problem: String| AuditError::Altered {
            finding: format!("record {intent} is no intent: {problem}"),
        };
        let record: Value =
            serde_json::from_slice(&entry.line).map_err(|error| altered(error.to_string()))?;
        let details = record.get("details").cloned().unwrap_or_default();
        Ok(serde_json::from_value(details).map_err(|error| altered(error.to_string()))?)
    }

    fn receipt(
        &self,
        call: &Call,
        token: &VerifiedToken,
        rule_id: &str,
        approval: Option<Given>,
        (audit_seq, extent): (u64, Extent),
    ) -> Result<pb::Receipt, GuardError> {
        let now_ms = self.now_ms();
        let body = ReceiptBody {
            key: call.key,
            tool: call.request.tool.clone(),
            call_digest: call.digest,
            token_id: token.token_id.clone(),
            rule_id: rule_id.to_owned(),
            approval_id: approval.as_ref().map(|given| given.id),
            mutating: call.request.mutating,
            extent,
            audit_seq,
            epoch: self.state().trust.epoch(),
            issued_at_ms: now_ms,
            expires_at_ms: now_ms.saturating_add(i64::try_from(self.config.receipt_ms).unwrap_or(i64::MAX)),
        };
        Ok(body.sign(&self.keys.receipt, approval.map(|given| given.signed))?)
    }
}

/// A person's yes, as an object for the worker.
pub(crate) struct Given {
    pub(crate) id: ApprovalId,
    pub(crate) approver: String,
    pub(crate) signed: pb::SignedApproval,
}
