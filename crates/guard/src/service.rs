//! The rpcs: who may call each, and that every denial is recorded.

use crate::error::GuardError;
use crate::guard::Guard;
use crate::persons::Proved;
use aios_audit::Record;
use aios_auth::peer::{self, PeerError, Role};
use aios_auth::person::PersonRequest;
use aios_core::rpc::{self, Peer};
use aios_core::tasks::Tasks;
use aios_proto::guard::v1 as pb;
use aios_proto::guard::v1::guard_server::Guard as Rpcs;
use futures_util::Stream;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type Answer<T> = Result<Response<T>, Status>;

/// Who may call an rpc.
#[derive(Clone, Copy)]
enum Who {
    /// Whoever reaches the socket and is known by uid.
    Reader,
    /// A reader, or the health service, which may see no more than the guard's own state.
    Glance,
    /// These services.
    Services(&'static [Role]),
    /// Checked by the rpc itself: a person's proof, or a rule of its own.
    Own,
}

/// Services that report events.
const REPORTERS: &[Role] = &[
    Role::Root,
    Role::Orchestrator,
    Role::Tools,
    Role::Sandbox,
    Role::Console,
    Role::Memory,
];

/// Who may ask whether a uid is a person's: those who serve persons. Init is root.
const HOSTS: &[Role] = &[Role::Root, Role::Orchestrator, Role::Sandbox, Role::Console];

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    guard: Arc<Guard>,
    tasks: Tasks,
}

impl Service {
    /// `tasks` owns what must end even when its caller hangs up.
    pub(crate) fn new(guard: Arc<Guard>, tasks: Tasks) -> Self {
        Self { guard, tasks }
    }

    /// Runs an rpc to its end although its caller may hang up: between the log and the projection of it
    /// nothing may break off, and a refusal is recorded however soon its caller is gone.
    async fn unbroken<T: Send + 'static>(
        &self,
        rpc: &'static str,
        work: impl Future<Output = Answer<T>> + Send + 'static,
    ) -> Answer<T> {
        let (answer, answered) = oneshot::channel();
        // Nobody may be waiting any more.
        self.tasks
            .spawn(rpc, async move { drop(answer.send(work.await)) });
        let lost = |_| rpc::status(&GuardError::Broken { rpc });
        answered.await.map_err(lost)?
    }

    /// Checks the caller, runs the rpc, records a denial.
    async fn run<R, T, F>(
        &self,
        rpc: &'static str,
        who: Who,
        request: Request<R>,
        context: Record,
        work: impl FnOnce(Arc<Guard>, Peer, R) -> F + Send + 'static,
    ) -> Answer<T>
    where
        R: Send + 'static,
        T: Send + 'static,
        F: Future<Output = Result<T, GuardError>> + Send,
    {
        let peer = peer::peer(&request).map_err(|error| rpc::status(&error))?.clone();
        let (own, request) = (self.clone(), request.into_inner());
        self.unbroken(rpc, async move {
            let answer = match own.admit(&peer, who) {
                Ok(()) => work(Arc::clone(&own.guard), peer.clone(), request).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => Ok(Response::new(answer)),
                Err(error) => Err(own.refused(rpc, &peer, context, &error).await),
            }
        })
        .await
    }

    fn admit(&self, peer: &Peer, who: Who) -> Result<(), GuardError> {
        match who {
            Who::Own => Ok(()),
            Who::Reader => self.guard.reader(peer),
            Who::Glance if self.guard.roles.is(peer.uid, Role::Health) => Ok(()),
            Who::Glance => self.guard.reader(peer),
            Who::Services(roles) => {
                if roles.iter().any(|role| self.guard.roles.is(peer.uid, *role)) {
                    return Ok(());
                }
                let wanted: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
                let caller = self.guard.caller(peer);
                Err(PeerError::NotAllowed {
                    caller,
                    wanted: wanted.join(" or "),
                }
                .into())
            }
        }
    }

    async fn refused(&self, rpc: &'static str, peer: &Peer, context: Record, error: &GuardError) -> Status {
        if error.rule().is_some() {
            let context = context
                .with("rpc", rpc)
                .with("caller", self.guard.caller(peer))
                .with("uid", peer.uid);
            if let Err(unwritable) = self.guard.record_denial(context, error).await {
                tracing::error!(error = %unwritable, rpc, "a denial could not be recorded");
            }
        }
        rpc::status(error)
    }

    /// Runs an rpc that needs a person. A refusal names the person once the proof held.
    async fn person<R, T, F>(
        &self,
        rpc: &'static str,
        request: Request<R>,
        context: Record,
        work: impl FnOnce(Arc<Guard>, Proved, R) -> F + Send + 'static,
    ) -> Answer<T>
    where
        R: PersonRequest + Send + 'static,
        T: Send + 'static,
        F: Future<Output = Result<T, GuardError>> + Send,
    {
        let peer = peer::peer(&request).map_err(|error| rpc::status(&error))?.clone();
        let (own, request) = (self.clone(), request.into_inner());
        self.unbroken(rpc, async move {
            let mut context = context;
            let answer = match own.guard.prove(&peer, &request) {
                Ok(person) => {
                    let name = person.name.clone();
                    let answer = work(Arc::clone(&own.guard), person, request).await;
                    context.person = Some(name);
                    answer
                }
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => Ok(Response::new(answer)),
                Err(error) => Err(own.refused(rpc, &peer, context, &error).await),
            }
        })
        .await
    }
}

const ORCHESTRATOR: Who = Who::Services(&[Role::Orchestrator]);
const TOOLS: Who = Who::Services(&[Role::Tools]);
const CONSOLE: Who = Who::Services(&[Role::Console]);
/// The orchestrator learns from a session who states a goal; it can decide nothing with it, because a
/// session's proof counts only from the console's own user.
const SESSION_READERS: Who = Who::Services(&[Role::Console, Role::Orchestrator]);

#[tonic::async_trait]
impl Rpcs for Service {
    type WatchStream = Events<pb::GuardEvent>;
    type AuditTailStream = Events<pb::AuditRecord>;

    async fn mint(&self, request: Request<pb::MintRequest>) -> Answer<pb::MintResponse> {
        let context = Guard::mint_context(request.get_ref());
        self.run(
            "Mint",
            ORCHESTRATOR,
            request,
            context,
            |guard, _, request| async move { guard.mint(&request).await },
        )
        .await
    }

    async fn attenuate(&self, request: Request<pb::AttenuateRequest>) -> Answer<pb::AttenuateResponse> {
        let work = |guard: Arc<Guard>, _, request| async move { guard.attenuate(&request) };
        self.run("Attenuate", Who::Reader, request, Record::default(), work)
            .await
    }

    async fn authorize(&self, request: Request<pb::AuthorizeRequest>) -> Answer<pb::AuthorizeResponse> {
        let work = |guard: Arc<Guard>, _, request| async move { guard.authorize(request).await };
        self.run("Authorize", TOOLS, request, Record::default(), work)
            .await
    }

    async fn record_outcome(
        &self,
        request: Request<pb::RecordOutcomeRequest>,
    ) -> Answer<pb::RecordOutcomeResponse> {
        let work = |guard: Arc<Guard>, _, request| async move {
            let audit_seq = guard.record_outcome(request).await?;
            Ok(pb::RecordOutcomeResponse { audit_seq })
        };
        self.run("RecordOutcome", TOOLS, request, Record::default(), work)
            .await
    }

    async fn record(&self, request: Request<pb::RecordRequest>) -> Answer<pb::RecordResponse> {
        let work = |guard: Arc<Guard>, peer, request| async move {
            guard
                .record_event(&peer, request)
                .await
                .map(|audit_seq| pb::RecordResponse { audit_seq })
        };
        self.run(
            "Record",
            Who::Services(REPORTERS),
            request,
            Record::default(),
            work,
        )
        .await
    }

    async fn explain(&self, request: Request<pb::ExplainRequest>) -> Answer<pb::ExplainResponse> {
        let work = |guard: Arc<Guard>, _, request| async move { guard.explain(&request) };
        self.run("Explain", Who::Reader, request, Record::default(), work)
            .await
    }

    async fn list_approvals(
        &self,
        request: Request<pb::ListApprovalsRequest>,
    ) -> Answer<pb::ListApprovalsResponse> {
        let work = |guard: Arc<Guard>, _, request| async move {
            guard
                .list_approvals(&request)
                .map(|approvals| pb::ListApprovalsResponse { approvals })
        };
        self.run("ListApprovals", Who::Reader, request, Record::default(), work)
            .await
    }

    async fn get_approval(&self, request: Request<pb::GetApprovalRequest>) -> Answer<pb::Approval> {
        let work = |guard: Arc<Guard>, _, request: pb::GetApprovalRequest| async move {
            guard.get_approval(&request.approval_id)
        };
        self.run("GetApproval", Who::Reader, request, Record::default(), work)
            .await
    }

    async fn decide_approval(&self, request: Request<pb::DecideApprovalRequest>) -> Answer<pb::Approval> {
        let context = self.guard.decision_context(request.get_ref());
        self.person(
            "DecideApproval",
            request,
            context,
            |guard, person, request| async move { guard.decide_approval(&person, &request).await },
        )
        .await
    }

    async fn withdraw_approvals(
        &self,
        request: Request<pb::WithdrawApprovalsRequest>,
    ) -> Answer<pb::WithdrawApprovalsResponse> {
        let work = |guard: Arc<Guard>, _, request: pb::WithdrawApprovalsRequest| async move {
            guard
                .withdraw(&request.goal_id)
                .await
                .map(|withdrawn| pb::WithdrawApprovalsResponse { withdrawn })
        };
        self.run(
            "WithdrawApprovals",
            ORCHESTRATOR,
            request,
            Record::default(),
            work,
        )
        .await
    }

    async fn revoke(&self, request: Request<pb::RevokeRequest>) -> Answer<pb::RevokeResponse> {
        let work = |guard: Arc<Guard>, peer, request| async move {
            guard.may_revoke(&peer)?;
            guard.revoke(&peer, request).await
        };
        self.run("Revoke", Who::Own, request, Record::default(), work)
            .await
    }

    async fn emergency_stop(&self, request: Request<pb::EmergencyStopRequest>) -> Answer<pb::EmergencyState> {
        self.person(
            "EmergencyStop",
            request,
            Record::default(),
            |guard, person, request| async move { Ok(guard.emergency_stop(&person, request.reason).await) },
        )
        .await
    }

    async fn resume(&self, request: Request<pb::ResumeRequest>) -> Answer<pb::EmergencyState> {
        self.person(
            "Resume",
            request,
            Record::default(),
            |guard, person, _| async move { guard.resume(&person).await },
        )
        .await
    }

    async fn status(&self, request: Request<pb::StatusRequest>) -> Answer<pb::StatusResponse> {
        self.run(
            "Status",
            Who::Glance,
            request,
            Record::default(),
            |guard, _, _| async move { guard.status() },
        )
        .await
    }

    async fn watch(&self, request: Request<pb::WatchRequest>) -> Answer<Self::WatchStream> {
        let work = |guard: Arc<Guard>, _, _| async move {
            let events: Events<pb::GuardEvent> = Box::pin(crate::watch::follow(guard));
            Ok(events)
        };
        self.run("Watch", Who::Reader, request, Record::default(), work)
            .await
    }

    async fn enrol_person(
        &self,
        request: Request<pb::EnrolPersonRequest>,
    ) -> Answer<pb::EnrolPersonResponse> {
        let work = |guard: Arc<Guard>, peer, request| async move {
            guard
                .enrol(&peer, &request)
                .await
                .map(|already| pb::EnrolPersonResponse { already })
        };
        self.run("EnrolPerson", Who::Own, request, Record::default(), work)
            .await
    }

    async fn get_person(&self, request: Request<pb::GetPersonRequest>) -> Answer<pb::GetPersonResponse> {
        let work = |guard: Arc<Guard>, _, request: pb::GetPersonRequest| async move {
            Ok(guard.get_person(request.uid))
        };
        self.run(
            "GetPerson",
            Who::Services(HOSTS),
            request,
            Record::default(),
            work,
        )
        .await
    }

    async fn create_sign_in(
        &self,
        request: Request<pb::CreateSignInRequest>,
    ) -> Answer<pb::CreateSignInResponse> {
        self.person(
            "CreateSignIn",
            request,
            Record::default(),
            |guard, person, _| async move { guard.create_sign_in(&person).await },
        )
        .await
    }

    async fn redeem_sign_in(
        &self,
        request: Request<pb::RedeemSignInRequest>,
    ) -> Answer<pb::RedeemSignInResponse> {
        let work = |guard: Arc<Guard>, _, request: pb::RedeemSignInRequest| async move {
            guard.redeem(&request.code).await
        };
        self.run("RedeemSignIn", CONSOLE, request, Record::default(), work)
            .await
    }

    async fn check_session(
        &self,
        request: Request<pb::CheckSessionRequest>,
    ) -> Answer<pb::CheckSessionResponse> {
        let work = |guard: Arc<Guard>, _, request: pb::CheckSessionRequest| async move {
            guard.check_session(&request.secret)
        };
        self.run("CheckSession", SESSION_READERS, request, Record::default(), work)
            .await
    }

    async fn end_session(&self, request: Request<pb::EndSessionRequest>) -> Answer<pb::EndSessionResponse> {
        let work = |guard: Arc<Guard>, _, request: pb::EndSessionRequest| async move {
            guard
                .end_session(&request.secret)
                .await
                .map(|()| pb::EndSessionResponse {})
        };
        self.run("EndSession", CONSOLE, request, Record::default(), work)
            .await
    }

    async fn audit_tail(&self, request: Request<pb::AuditTailRequest>) -> Answer<Self::AuditTailStream> {
        let work = |guard: Arc<Guard>, _, request: pb::AuditTailRequest| async move {
            let mut wanted = guard.wanted(&request)?;
            let records: Events<pb::AuditRecord> = Box::pin(async_stream::try_stream! {
                while let Some(records) = guard.next_records(&mut wanted).await.map_err(|error| rpc::status(&error))? {
                    for record in records {
                        yield record;
                    }
                }
            });
            Ok(records)
        };
        self.run("AuditTail", Who::Reader, request, Record::default(), work)
            .await
    }

    async fn audit_get(&self, request: Request<pb::AuditGetRequest>) -> Answer<pb::AuditRecord> {
        let work = |guard: Arc<Guard>, peer: Peer, request: pb::AuditGetRequest| async move {
            guard.audit_get(&peer, request.seq).await
        };
        self.run("AuditGet", Who::Reader, request, Record::default(), work)
            .await
    }

    async fn audit_prove(&self, request: Request<pb::AuditProveRequest>) -> Answer<pb::AuditProof> {
        let work = |guard: Arc<Guard>, _, request: pb::AuditProveRequest| async move {
            guard.audit_prove(request.seq).await
        };
        self.run("AuditProve", Who::Reader, request, Record::default(), work)
            .await
    }

    async fn audit_head(&self, request: Request<pb::AuditHeadRequest>) -> Answer<pb::AuditCheckpoint> {
        self.run(
            "AuditHead",
            Who::Reader,
            request,
            Record::default(),
            |guard, _, _| async move { guard.audit_head().await },
        )
        .await
    }

    async fn audit_forget(
        &self,
        request: Request<pb::AuditForgetRequest>,
    ) -> Answer<pb::AuditForgetResponse> {
        self.person(
            "AuditForget",
            request,
            Record::default(),
            |guard, person, request| async move {
                guard
                    .forget(&person, request.seq)
                    .await
                    .map(|audit_seq| pb::AuditForgetResponse { audit_seq })
            },
        )
        .await
    }
}
