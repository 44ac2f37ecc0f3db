//! The guard's double.

use std::pin::Pin;
use std::sync::Arc;

use aios_audit::{Checkpoint, Entry, Record};
use aios_core::error::Class;
use aios_core::rpc;
use aios_core::tasks::Tasks;
use aios_proto::guard::v1;
use aios_proto::guard::v1::guard_server::Guard;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::script;
use super::world::{Person, World, no_session};
use super::{not_found, not_offered, refusal};

pub(crate) struct GuardDouble {
    pub(crate) world: Arc<World>,
    pub(crate) tasks: Tasks,
}

type Answer<T> = Result<Response<T>, Status>;

fn checkpoint(checkpoint: &Checkpoint) -> v1::AuditCheckpoint {
    v1::AuditCheckpoint {
        size: checkpoint.size,
        root: checkpoint.root.as_bytes().to_vec(),
        chain: checkpoint.chain.as_bytes().to_vec(),
        time_ms: checkpoint.time_ms,
        note: checkpoint.note(),
    }
}

fn record(entry: Entry) -> v1::AuditRecord {
    v1::AuditRecord {
        seq: entry.seq,
        time_ms: entry.time_ms,
        kind: entry.kind,
        canonical: entry.line,
        leaf_hash: entry.leaf.as_bytes().to_vec(),
        input_json: String::new(),
        output_json: String::new(),
    }
}

impl GuardDouble {
    async fn emergency(&self, state: v1::EmergencyState, kind: &str) -> Answer<v1::EmergencyState> {
        self.world
            .record(Record {
                person: Some(state.by.clone()),
                ..Record::new(kind)
            })
            .await?;
        self.world.state().emergency = state.clone();
        Ok(Response::new(state))
    }
}

#[tonic::async_trait]
impl Guard for GuardDouble {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::GuardEvent, Status>> + Send>>;
    type AuditTailStream = Pin<Box<dyn Stream<Item = Result<v1::AuditRecord, Status>> + Send>>;

    async fn mint(&self, _: Request<v1::MintRequest>) -> Answer<v1::MintResponse> {
        Err(not_offered())
    }
    async fn attenuate(&self, _: Request<v1::AttenuateRequest>) -> Answer<v1::AttenuateResponse> {
        Err(not_offered())
    }
    async fn authorize(&self, _: Request<v1::AuthorizeRequest>) -> Answer<v1::AuthorizeResponse> {
        Err(not_offered())
    }
    async fn record_outcome(
        &self,
        _: Request<v1::RecordOutcomeRequest>,
    ) -> Answer<v1::RecordOutcomeResponse> {
        Err(not_offered())
    }
    async fn record(&self, request: Request<v1::RecordRequest>) -> Answer<v1::RecordResponse> {
        let request = request.into_inner();
        let record = Record::new(&request.kind).with("details", request.details_json);
        let audit_seq = self.world.record(record).await?;
        Ok(Response::new(v1::RecordResponse { audit_seq }))
    }
    async fn withdraw_approvals(
        &self,
        _: Request<v1::WithdrawApprovalsRequest>,
    ) -> Answer<v1::WithdrawApprovalsResponse> {
        Err(not_offered())
    }
    async fn revoke(&self, _: Request<v1::RevokeRequest>) -> Answer<v1::RevokeResponse> {
        Err(not_offered())
    }
    async fn watch(&self, _: Request<v1::WatchRequest>) -> Answer<Self::WatchStream> {
        Err(not_offered())
    }
    async fn audit_forget(&self, _: Request<v1::AuditForgetRequest>) -> Answer<v1::AuditForgetResponse> {
        Err(not_offered())
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Answer<v1::ExplainResponse> {
        let delete = request.get_ref().tool == "fs.delete";
        Ok(Response::new(v1::ExplainResponse {
            effect: if delete { "confirm" } else { "allow" }.to_owned(),
            rule_id: if delete { "confirm-deletes" } else { "reads" }.to_owned(),
            reason: format!("it is the most specific rule for {}", request.get_ref().tool),
            matched: vec!["reads".to_owned(), "confirm-deletes".to_owned()],
            origin: "policy.toml:12".to_owned(),
        }))
    }

    async fn list_approvals(
        &self,
        request: Request<v1::ListApprovalsRequest>,
    ) -> Answer<v1::ListApprovalsResponse> {
        let request = request.into_inner();
        let state = self.world.state();
        let wanted = |approval: &&v1::Approval| {
            (!request.pending_only || approval.state() == v1::ApprovalState::Pending)
                && (request.goal_id.is_empty() || approval.goal_id == request.goal_id)
        };
        let approvals = state.approvals.iter().rev().filter(wanted).cloned().collect();
        Ok(Response::new(v1::ListApprovalsResponse { approvals }))
    }

    async fn get_approval(&self, request: Request<v1::GetApprovalRequest>) -> Answer<v1::Approval> {
        let id = &request.get_ref().approval_id;
        let state = self.world.state();
        let found = state
            .approvals
            .iter()
            .find(|approval| approval.approval_id == *id);
        found
            .cloned()
            .map(Response::new)
            .ok_or_else(|| not_found(&format!("approval {id}")))
    }

    async fn decide_approval(&self, request: Request<v1::DecideApprovalRequest>) -> Answer<v1::Approval> {
        let person = self.world.person(&request)?;
        let request = request.into_inner();
        let now = self.world.clock.now_ms();
        let decided = {
            let mut state = self.world.state();
            let found = state
                .approvals
                .iter_mut()
                .find(|approval| approval.approval_id == request.approval_id);
            let approval = found.ok_or_else(|| not_found(&format!("approval {}", request.approval_id)))?;
            if approval.state() != v1::ApprovalState::Pending {
                return Err(refusal(
                    Class::FailedPrecondition,
                    "AIOS-DOUBLE-0020",
                    "it was decided already",
                    "see `aiosctl approval show`",
                ));
            }
            if approval.call_digest != request.call_digest {
                return Err(refusal(
                    Class::PermissionDenied,
                    "AIOS-DOUBLE-0021",
                    "the digest is of another call",
                    "look at it again",
                ));
            }
            approval.state = if request.approve {
                v1::ApprovalState::Approved
            } else {
                v1::ApprovalState::Declined
            }
            .into();
            approval.approver = person.name;
            approval.decided_at_ms = now;
            approval.remembered_scope = request.remember_scope;
            approval.clone()
        };
        self.world
            .record(Record {
                approval_id: Some(decided.approval_id.clone()),
                approver: Some(decided.approver.clone()),
                ..Record::new("approval.decided")
            })
            .await?;
        script::decided(&self.world, &decided).await?;
        Ok(Response::new(decided))
    }

    async fn emergency_stop(&self, request: Request<v1::EmergencyStopRequest>) -> Answer<v1::EmergencyState> {
        let person = self.world.person(&request)?;
        let since_ms = self.world.clock.now_ms();
        let state = v1::EmergencyState {
            stopped: true,
            since_ms,
            by: person.name,
            reason: request.into_inner().reason,
        };
        self.emergency(state, "emergency.stop").await
    }

    async fn resume(&self, request: Request<v1::ResumeRequest>) -> Answer<v1::EmergencyState> {
        let person = self.world.person(&request)?;
        let state = v1::EmergencyState {
            stopped: false,
            since_ms: 0,
            by: person.name,
            reason: String::new(),
        };
        self.emergency(state, "emergency.resume").await
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Answer<v1::StatusResponse> {
        let state = self.world.state();
        let pending = state
            .approvals
            .iter()
            .filter(|approval| approval.state() == v1::ApprovalState::Pending)
            .count();
        Ok(Response::new(v1::StatusResponse {
            epoch: 1,
            emergency: Some(state.emergency.clone()),
            audit_size: self.world.log.size(),
            audit_writable: true,
            audit_problem: String::new(),
            pending_approvals: u32::try_from(pending).unwrap_or(u32::MAX),
            policy_digest: "00".repeat(32),
            degradations: vec!["no cgroup v2: agents' memory is not limited".to_owned()],
            workers_reached: vec!["fs".to_owned()],
        }))
    }

    async fn enrol_person(
        &self,
        request: Request<v1::EnrolPersonRequest>,
    ) -> Answer<v1::EnrolPersonResponse> {
        let known = self
            .world
            .state()
            .persons
            .contains_key(&request.get_ref().public_key);
        if known {
            return Ok(Response::new(v1::EnrolPersonResponse { already: true }));
        }
        if !self.world.state().persons.is_empty() {
            self.world.person(&request)?;
        }
        let request = request.into_inner();
        let person = Person {
            uid: request.uid,
            name: request.name,
        };
        self.world.state().persons.insert(request.public_key, person);
        Ok(Response::new(v1::EnrolPersonResponse { already: false }))
    }

    async fn create_sign_in(
        &self,
        request: Request<v1::CreateSignInRequest>,
    ) -> Answer<v1::CreateSignInResponse> {
        let person = self.world.person(&request)?;
        let mut state = self.world.state();
        let code = format!("code-{}-{}", person.name, state.id());
        state.codes.insert(code.clone());
        Ok(Response::new(v1::CreateSignInResponse {
            code,
            expires_at_ms: self.world.clock.now_ms() + 300_000,
        }))
    }

    async fn get_person(&self, request: Request<v1::GetPersonRequest>) -> Answer<v1::GetPersonResponse> {
        let state = self.world.state();
        let uid = request.get_ref().uid;
        let name = state
            .persons
            .values()
            .find(|person| person.uid == uid)
            .map(|person| person.name.clone());
        Ok(Response::new(v1::GetPersonResponse {
            enrolled: name.is_some(),
            name: name.unwrap_or_default(),
        }))
    }

    async fn redeem_sign_in(
        &self,
        request: Request<v1::RedeemSignInRequest>,
    ) -> Answer<v1::RedeemSignInResponse> {
        let mut state = self.world.state();
        if !state.codes.remove(&request.get_ref().code) {
            return Err(refusal(
                Class::Unauthenticated,
                "AIOS-DOUBLE-0022",
                "this code is used up or unknown",
                "make a new link",
            ));
        }
        let mut secret = state.id().into_bytes();
        secret.truncate(32);
        let person = state.persons.values().next().cloned().ok_or_else(no_session)?;
        let (name, expires_at_ms) = (person.name.clone(), self.world.clock.now_ms() + 3_600_000);
        state.sessions.insert(secret.clone(), person);
        Ok(Response::new(v1::RedeemSignInResponse {
            secret,
            expires_at_ms,
            person: name,
        }))
    }

    async fn check_session(
        &self,
        request: Request<v1::CheckSessionRequest>,
    ) -> Answer<v1::CheckSessionResponse> {
        let state = self.world.state();
        let person = state
            .sessions
            .get(&request.get_ref().secret)
            .ok_or_else(no_session)?;
        let expires_at_ms = self.world.clock.now_ms() + 3_600_000;
        Ok(Response::new(v1::CheckSessionResponse {
            person: person.name.clone(),
            uid: person.uid,
            expires_at_ms,
        }))
    }

    async fn end_session(&self, request: Request<v1::EndSessionRequest>) -> Answer<v1::EndSessionResponse> {
        self.world.state().sessions.remove(&request.get_ref().secret);
        Ok(Response::new(v1::EndSessionResponse {}))
    }

    async fn audit_tail(&self, request: Request<v1::AuditTailRequest>) -> Answer<Self::AuditTailStream> {
        let request = request.into_inner();
        let size = self.world.log.size();
        let from = if request.last > 0 {
            size.saturating_sub(request.last)
        } else {
            request.from_seq
        };
        let (sender, receiver) = mpsc::channel(64);
        let log = self.world.log.clone();
        self.tasks.spawn("audit tail", async move {
            let mut tail = log.tail(from);
            let mut next = from;
            while request.follow || next < size {
                let entries = tokio::select! {
                    entries = tail.next() => entries,
                    () = sender.closed() => return,
                };
                let Ok(entries) = entries else { return };
                for entry in entries {
                    next = entry.seq + 1;
                    if sender.send(Ok(record(entry))).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn audit_get(&self, request: Request<v1::AuditGetRequest>) -> Answer<v1::AuditRecord> {
        let entry = self.world.log.get(request.get_ref().seq).await;
        entry
            .map(|entry| Response::new(record(entry)))
            .map_err(|error| rpc::status(&error))
    }

    async fn audit_prove(&self, request: Request<v1::AuditProveRequest>) -> Answer<v1::AuditProof> {
        let proof = self
            .world
            .log
            .prove(request.get_ref().seq)
            .await
            .map_err(|error| rpc::status(&error))?;
        Ok(Response::new(v1::AuditProof {
            record: Some(record(proof.entry)),
            checkpoint: Some(checkpoint(&proof.checkpoint)),
            path: proof.path.iter().map(|hash| hash.as_bytes().to_vec()).collect(),
        }))
    }

    async fn audit_head(&self, _: Request<v1::AuditHeadRequest>) -> Answer<v1::AuditCheckpoint> {
        let newest = self
            .world
            .log
            .checkpoint()
            .await
            .map_err(|error| rpc::status(&error))?;
        Ok(Response::new(checkpoint(&newest)))
    }
}
