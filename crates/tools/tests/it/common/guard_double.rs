//! A guard that decides what the test wants, and signs like the real one.

use aios_auth::approval::ApprovalBody;
use aios_auth::key::SecretKey;
use aios_auth::level::Risk;
use aios_auth::receipt::{Extent, ReceiptBody};
use aios_auth::token::{NoRevocations, Verifier};
use aios_auth::trust::TrustKeys;
use aios_core::clock::{Clock, SystemClock};
use aios_core::id::{ApprovalId, ExecutionKey};
use aios_proto::guard::v1 as guard;
use aios_proto::guard::v1::authorize_response::Decision;
use aios_tools::pipeline::Guard;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tonic::Status;

/// What the double decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Allow,
    Ask,
    Deny,
}

/// Keys of a guard.
pub(crate) struct Secrets {
    pub(crate) mint: SecretKey,
    pub(crate) receipt: SecretKey,
    pub(crate) approval: SecretKey,
    pub(crate) trust: SecretKey,
}

impl Secrets {
    pub(crate) fn new() -> Self {
        let key = || SecretKey::generate().unwrap();
        Self {
            mint: key(),
            receipt: key(),
            approval: key(),
            trust: key(),
        }
    }

    pub(crate) fn public(&self) -> TrustKeys {
        TrustKeys {
            mint: self.mint.public(),
            receipt: self.receipt.public(),
            approval: self.approval.public(),
            trust: self.trust.public(),
        }
    }
}

/// The double: decides by its mood and remembers what it was told.
#[derive(Clone)]
pub(crate) struct GuardDouble {
    pub(crate) inner: Arc<DoubleState>,
}

pub(crate) struct DoubleState {
    pub(crate) secrets: Secrets,
    pub(crate) mood: Mutex<Mood>,
    pub(crate) log: Mutex<Vec<String>>,
    pub(crate) digests: Mutex<BTreeSet<Vec<u8>>>,
    pub(crate) asked: Mutex<HashMap<Vec<u8>, ApprovalId>>,
    pub(crate) approved: Mutex<BTreeSet<String>>,
    pub(crate) seen: AtomicU64,
}

impl GuardDouble {
    pub(crate) fn new() -> Self {
        Self {
            inner: Arc::new(DoubleState {
                secrets: Secrets::new(),
                mood: Mutex::new(Mood::Allow),
                log: Mutex::default(),
                digests: Mutex::default(),
                asked: Mutex::default(),
                approved: Mutex::default(),
                seen: AtomicU64::new(0),
            }),
        }
    }

    pub(crate) fn mood(&self, mood: Mood) {
        *self.inner.mood.lock().unwrap() = mood;
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.inner.log.lock().unwrap().clone()
    }

    pub(crate) fn approve(&self, approval_id: &str) {
        self.inner.approved.lock().unwrap().insert(approval_id.to_owned());
    }

    /// Digests of all calls that were authorized.
    pub(crate) fn digests(&self) -> BTreeSet<Vec<u8>> {
        self.inner.digests.lock().unwrap().clone()
    }

    fn note(&self, line: String) -> u64 {
        self.inner.log.lock().unwrap().push(line);
        self.inner.seen.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn sign(
        &self,
        request: &guard::AuthorizeRequest,
        approval_id: Option<ApprovalId>,
    ) -> guard::Receipt {
        let now = SystemClock.now_ms();
        let key = ExecutionKey::try_from(request.key.as_ref()).unwrap();
        let secrets = &self.inner.secrets;
        let token = Verifier::new(&secrets.mint.public())
            .unwrap()
            .verify(&request.token, now, &NoRevocations)
            .unwrap();
        let digest =
            aios_auth::call::digest_json(&request.tool, &request.args_json, &request.identities).unwrap();
        assert_eq!(
            digest.to_vec(),
            request.call_digest,
            "tools and guard agree on the digest"
        );
        let approval = approval_id.map(|approval_id| {
            ApprovalBody {
                approval_id,
                goal: token.goal,
                key,
                call_digest: digest,
                scope: None,
                approver_uid: 1000,
                approver: "ada".into(),
                decided_at_ms: now,
                expires_at_ms: now + 60_000,
            }
            .sign(&secrets.approval)
            .unwrap()
        });
        ReceiptBody {
            key,
            tool: request.tool.clone(),
            call_digest: digest,
            token_id: token.token_id.clone(),
            rule_id: "double".into(),
            approval_id,
            mutating: request.mutating,
            extent: Extent {
                risk: Risk::from_wire(request.risk),
                reversible: request.reversible,
                files: request.files,
                bytes: request.bytes,
            },
            audit_seq: self.inner.seen.load(Ordering::SeqCst),
            epoch: 1,
            issued_at_ms: now,
            expires_at_ms: now + 30_000,
        }
        .sign(&secrets.receipt, approval)
        .unwrap()
    }
}

impl Guard for GuardDouble {
    async fn authorize(&self, request: guard::AuthorizeRequest) -> Result<guard::AuthorizeResponse, Status> {
        let mood = *self.inner.mood.lock().unwrap();
        self.inner
            .digests
            .lock()
            .unwrap()
            .insert(request.call_digest.clone());
        let kind = if request.mutating { "intent" } else { "read" };
        let decision = match mood {
            _ if request.dry_run => Decision::Would(guard::WouldDecide {
                effect: "allow".into(),
                rule_id: "double".into(),
                reason: "a double allows".into(),
            }),
            Mood::Allow => {
                self.note(format!("{kind} {}", request.tool));
                Decision::Receipt(self.sign(&request, None))
            }
            Mood::Deny => {
                let audit_seq = self.note(format!("denied {}", request.tool));
                Decision::Denied(guard::Denied {
                    error: None,
                    rule_id: "double".into(),
                    audit_seq,
                })
            }
            Mood::Ask => {
                let id = *self
                    .inner
                    .asked
                    .lock()
                    .unwrap()
                    .entry(request.call_digest.clone())
                    .or_insert_with(ApprovalId::new);
                if self.inner.approved.lock().unwrap().contains(&id.to_string()) {
                    self.note(format!("{kind} {} approved", request.tool));
                    Decision::Receipt(self.sign(&request, Some(id)))
                } else {
                    Decision::ApprovalRequired(guard::ApprovalRequired {
                        approval_id: id.to_string(),
                        rule_id: "double".into(),
                        expires_at_ms: SystemClock.now_ms() + 60_000,
                    })
                }
            }
        };
        Ok(guard::AuthorizeResponse {
            decision: Some(decision),
        })
    }

    async fn record_outcome(
        &self,
        request: guard::RecordOutcomeRequest,
    ) -> Result<guard::RecordOutcomeResponse, Status> {
        Ok(guard::RecordOutcomeResponse {
            audit_seq: self.note(format!("outcome {}", request.status)),
        })
    }

    async fn record(&self, request: guard::RecordRequest) -> Result<guard::RecordResponse, Status> {
        let details: Value = serde_json::from_str(&request.details_json).unwrap();
        let code = details["code"].as_str().unwrap_or_default().to_owned();
        Ok(guard::RecordResponse {
            audit_seq: self.note(format!("{} {code}", request.kind)),
        })
    }

    /// The double's log: one record a line, whose first word is its kind and whose second its tool.
    async fn audit_tail(&self, request: guard::AuditTailRequest) -> Result<Vec<guard::AuditRecord>, Status> {
        let log = self.log();
        let first = log.len().saturating_sub(usize::try_from(request.last).unwrap());
        let records = log.iter().enumerate().skip(first).map(|(index, line)| {
            let (kind, tool) = line.split_once(' ').unwrap();
            let canonical = serde_json::json!({"kind": kind, "tool": tool, "details": {"n": index}});
            guard::AuditRecord {
                seq: index as u64,
                time_ms: i64::try_from(index).unwrap(),
                kind: kind.into(),
                canonical: canonical.to_string().into_bytes(),
                input_json: "never told".into(),
                ..guard::AuditRecord::default()
            }
        });
        Ok(records.collect())
    }
}
