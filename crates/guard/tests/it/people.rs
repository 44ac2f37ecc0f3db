//! Persons: nobody else can decide, sessions belong to the console, requests lapse, a stop stops.

use crate::common::*;
use aios_auth::key::SecretKey;
use aios_auth::person::PersonKey;
use aios_auth::trust::{TrustKeys, TrustView};
use aios_proto::common::v1::{PersonProof, SessionProof, person_proof::Credential};
use aios_proto::guard::v1::*;
use aios_proto::worker::v1 as worker;
use aios_proto::worker::v1::worker_server::{Worker, WorkerServer};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tonic::{Request, Response, Status};

async fn pending(instance: &mut Instance) -> (Client, AuthorizeRequest, String) {
    let (mut orchestrator, mut tools) = (instance.client(ORCHESTRATOR).await, instance.client(TOOLS).await);
    let task = task(&mut orchestrator, &["fs:*:/srv/**"]).await;
    let call = request(&task, 1, "fs.delete", &["/srv/a"]);
    let id = waits(authorize(&mut tools, call.clone()).await);
    (tools, call, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_an_enrolled_person_outside_confinement_can_approve() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let key = instance.enrol(ADA, "ada").await;
    let (mut tools, call, id) = pending(&mut instance).await;
    let mut orchestrator = instance.client(ORCHESTRATOR).await;
    let mut console = instance.client(CONSOLE).await;
    let mut bob = instance.client(BOB).await;
    let mut confined = instance.client_by(ADA, &["setpriv", "--no-new-privs"]).await;
    let mut ada = instance.client(ADA).await;
    let approve = || decide(&key, &id, &call.call_digest, true, "");
    assert_eq!(
        code(confined.decide_approval(approve()).await),
        "AIOS-AUTH-0603",
        "with the person's own key"
    );
    assert_eq!(instance.last_denial().await, "check:peer");
    // Even with the person's key in hand a service is no person.
    for client in [&mut tools, &mut orchestrator, &mut console] {
        assert_eq!(code(client.decide_approval(approve()).await), "AIOS-AUTH-0602");
    }
    assert_eq!(
        code(bob.decide_approval(approve()).await),
        "AIOS-AUTH-0503",
        "another user with her key"
    );
    let own = PersonKey::new(BOB, SecretKey::generate().unwrap());
    let foreign = decide(&own, &id, &call.call_digest, true, "");
    assert_eq!(
        code(bob.decide_approval(foreign).await),
        "AIOS-AUTH-0502",
        "a key that nobody enrolled"
    );
    let bare = DecideApprovalRequest {
        proof: None,
        ..approve()
    };
    assert_eq!(code(ada.decide_approval(bare).await), "AIOS-AUTH-0501");
    let altered = DecideApprovalRequest {
        remember_scope: "fs:delete:/srv/**".into(),
        ..approve()
    };
    assert_eq!(
        code(ada.decide_approval(altered).await),
        "AIOS-AUTH-0506",
        "the proof is about another request"
    );
    let mut stale = DecideApprovalRequest {
        proof: None,
        ..approve()
    };
    aios_auth::person::PersonKey::prove(&key, &mut stale, now_ms() - 31_000).unwrap();
    assert_eq!(code(ada.decide_approval(stale).await), "AIOS-AUTH-0504");
    let session = PersonProof {
        credential: Some(Credential::Session(SessionProof { secret: vec![1; 32] })),
    };
    let guessed = DecideApprovalRequest {
        proof: Some(session),
        ..approve()
    };
    assert_eq!(code(ada.decide_approval(guessed.clone()).await), "AIOS-AUTH-0602");
    assert_eq!(code(console.decide_approval(guessed).await), "AIOS-GUARD-0026");
    assert_eq!(instance.count("approval.decided").await, 0);

    let once = DecideApprovalRequest {
        call_digest: vec![0; 32],
        ..approve()
    };
    let once = proved(&key, once);
    assert_eq!(code(ada.decide_approval(once.clone()).await), "AIOS-GUARD-0012");
    assert_eq!(
        code(ada.decide_approval(once).await),
        "AIOS-AUTH-0505",
        "a proof works once"
    );
    ada.decide_approval(approve()).await.unwrap();
    receipt(authorize(&mut tools, call).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn persons_are_enrolled_by_root_first_and_by_proof_after() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let mut ada = instance.client(ADA).await;
    let mut bob = instance.client(BOB).await;
    let fresh = |uid: u32, name: &str| {
        let key = PersonKey::new(uid, SecretKey::generate().unwrap());
        let public_key = key.public().to_bytes().to_vec();
        (
            key,
            EnrolPersonRequest {
                uid,
                name: name.into(),
                public_key,
                proof: None,
            },
        )
    };
    let (key, request) = fresh(ADA, "ada");
    assert_eq!(
        code(ada.enrol_person(request.clone()).await),
        "AIOS-AUTH-0501",
        "the first one is root's to enrol"
    );
    assert!(
        !instance
            .root()
            .enrol_person(request.clone())
            .await
            .unwrap()
            .into_inner()
            .already
    );
    assert!(
        instance
            .root()
            .enrol_person(request.clone())
            .await
            .unwrap()
            .into_inner()
            .already
    );
    let (_, second) = fresh(BOB, "bob");
    assert_eq!(
        code(instance.root().enrol_person(second.clone()).await),
        "AIOS-AUTH-0501"
    );
    assert_eq!(code(bob.enrol_person(second.clone()).await), "AIOS-AUTH-0501");
    assert_eq!(
        code(ada.enrol_person(proved(&key, second)).await),
        "AIOS-GUARD-0025"
    );
    let (_, spare) = fresh(ADA, "ada");
    assert!(
        !ada.enrol_person(proved(&key, spare))
            .await
            .unwrap()
            .into_inner()
            .already
    );
    let (_, service) = fresh(TOOLS, "tools");
    assert_eq!(
        code(instance.root().enrol_person(service).await),
        "AIOS-GUARD-0025"
    );
    let stolen = EnrolPersonRequest {
        uid: BOB,
        name: "bob".into(),
        ..request
    };
    assert_eq!(code(bob.enrol_person(stolen).await), "AIOS-GUARD-0025");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_signs_in_once_and_its_session_decides_only_through_the_console() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let key = instance.enrol(ADA, "ada").await;
    let (_, call, id) = pending(&mut instance).await;
    let mut ada = instance.client(ADA).await;
    let mut console = instance.client(CONSOLE).await;
    let made = ada
        .create_sign_in(proved(&key, CreateSignInRequest { proof: None }))
        .await
        .unwrap()
        .into_inner();
    let redeem = RedeemSignInRequest { code: made.code };
    assert_eq!(code(ada.redeem_sign_in(redeem.clone()).await), "AIOS-AUTH-0602");
    let session = console.redeem_sign_in(redeem.clone()).await.unwrap().into_inner();
    assert_eq!(
        code(console.redeem_sign_in(redeem).await),
        "AIOS-GUARD-0026",
        "a code works once"
    );
    let secret = session.secret.clone();
    let check = CheckSessionRequest {
        secret: secret.clone(),
    };
    let known = console.check_session(check.clone()).await.unwrap().into_inner();
    assert_eq!((known.uid, known.person.as_str()), (ADA, "ada"));
    let proof = PersonProof {
        credential: Some(Credential::Session(SessionProof {
            secret: session.secret.clone(),
        })),
    };
    let decide = DecideApprovalRequest {
        approval_id: id,
        approve: true,
        call_digest: call.call_digest,
        remember_scope: String::new(),
        proof: Some(proof),
    };
    assert_eq!(code(ada.decide_approval(decide.clone()).await), "AIOS-AUTH-0602");
    let decided = console.decide_approval(decide).await.unwrap().into_inner();
    assert_eq!(
        (decided.state(), decided.approver.as_str()),
        (ApprovalState::Approved, "ada")
    );
    console
        .end_session(EndSessionRequest {
            secret: session.secret,
        })
        .await
        .unwrap();
    assert_eq!(code(console.check_session(check).await), "AIOS-GUARD-0026");
    instance.stop();
    let state = std::fs::read_dir(instance.paths.state_of("guard")).unwrap();
    for file in state
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
    {
        let kept = std::fs::read(&file).unwrap();
        assert!(
            !kept
                .windows(secret.len())
                .any(|window| window == secret.as_slice()),
            "{} keeps a secret, and not its hash",
            file.display()
        );
    }
}

/// Waits until nobody has answered a request in time.
async fn expired(client: &mut Client, id: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let request = GetApprovalRequest {
            approval_id: id.to_owned(),
        };
        let state = client.get_approval(request).await.unwrap().into_inner().state();
        if state == ApprovalState::Expired {
            return;
        }
        assert_eq!(state, ApprovalState::Pending);
        assert!(Instant::now() < deadline, "it is still waited for");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_lapse_also_across_a_restart_and_are_withdrawn_with_their_goal() {
    let Some(mut instance) = Instance::start_with("approval_timeout_ms = 1500\n").await else {
        return;
    };
    let (mut tools, call, id) = pending(&mut instance).await;
    instance.kill();
    instance.up().await;
    let mut orchestrator = instance.client(ORCHESTRATOR).await;
    expired(&mut orchestrator, &id).await;
    assert_eq!(denied(authorize(&mut tools, call).await).0, "approval:unanswered");
    assert_eq!(instance.count("approval.expired").await, 1);
    let task = task(&mut orchestrator, &["fs:*:/srv/**"]).await;
    let call = request(&task, 1, "fs.delete", &["/srv/a"]);
    waits(authorize(&mut tools, call.clone()).await);
    let withdraw = WithdrawApprovalsRequest {
        goal_id: task.goal.to_string(),
    };
    assert_eq!(
        orchestrator
            .withdraw_approvals(withdraw)
            .await
            .unwrap()
            .into_inner()
            .withdrawn,
        1
    );
    assert_eq!(denied(authorize(&mut tools, call).await).0, "approval:withdrawn");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_comes_too_late_is_refused_and_recorded() {
    let Some(mut instance) = Instance::start_with("approval_timeout_ms = 300\n").await else {
        return;
    };
    let key = instance.enrol(ADA, "ada").await;
    let (_, call, id) = pending(&mut instance).await;
    let mut ada = instance.client(ADA).await;
    expired(&mut ada, &id).await;
    let late = decide(&key, &id, &call.call_digest, true, "");
    assert_eq!(code(ada.decide_approval(late).await), "AIOS-GUARD-0028");
    let records = instance.records().await;
    let (_, denial) = records.iter().rfind(|(kind, _)| kind == "denied").unwrap();
    let about = |name: &str| denial[name].as_str().unwrap_or_default();
    assert_eq!(about("rule"), "approval:late");
    assert_eq!((about("approval_id"), about("person")), (id.as_str(), "ada"));
    assert_eq!(about("tool"), "fs.delete");
    assert_eq!(denial["details"]["code"], "AIOS-GUARD-0028");
    assert_eq!(denial["details"]["uid"], ADA);
    assert_eq!(instance.count("approval.decided").await, 0);
}

/// A worker that only listens to the guard.
struct Listener {
    view: Arc<TrustView>,
}

#[tonic::async_trait]
impl Worker for Listener {
    async fn prepare(
        &self,
        _: Request<worker::PrepareRequest>,
    ) -> Result<Response<worker::PrepareResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn execute(
        &self,
        _: Request<worker::ExecuteRequest>,
    ) -> Result<Response<worker::ExecuteResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn get_status(
        &self,
        _: Request<worker::GetStatusRequest>,
    ) -> Result<Response<worker::GetStatusResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn cancel(
        &self,
        _: Request<worker::CancelRequest>,
    ) -> Result<Response<worker::CancelResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn describe(
        &self,
        _: Request<worker::DescribeRequest>,
    ) -> Result<Response<worker::DescribeResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn push_trust(
        &self,
        request: Request<worker::PushTrustRequest>,
    ) -> Result<Response<worker::PushTrustResponse>, Status> {
        let counter = self.view.accept(request.get_ref(), Instant::now(), now_ms());
        let counter = counter.map_err(|error| Status::permission_denied(error.to_string()))?;
        Ok(Response::new(worker::PushTrustResponse {
            counter,
            ..worker::PushTrustResponse::default()
        }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_stop_holds_everywhere_until_a_person_lifts_it() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let key = instance.enrol(ADA, "ada").await;
    let (mut orchestrator, mut tools) = (instance.client(ORCHESTRATOR).await, instance.client(TOOLS).await);
    let mut ada = instance.client(ADA).await;
    let keys: TrustKeys = instance.keys();
    let view = Arc::new(TrustView::new(&keys));
    std::fs::create_dir(instance.paths.run.join("worker")).unwrap();
    let listener = aios_core::rpc::listen("none", &instance.paths.worker_socket("fs"), 0o600).unwrap();
    let routes = tonic::service::Routes::new(WorkerServer::new(Listener { view: view.clone() }));
    let end = tokio_util::sync::CancellationToken::new();
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(aios_core::rpc::serve(listener, routes, &[], end.clone()));
    let until = async |emergency: bool| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while view.may_mutate(Instant::now()).is_ok() == emergency {
            assert!(Instant::now() < deadline, "the worker did not hear of it");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    until(false).await;
    let old = task(&mut orchestrator, &["fs:*:/srv/**"]).await;
    assert_eq!(
        code(
            orchestrator
                .emergency_stop(EmergencyStopRequest {
                    reason: "x".into(),
                    proof: None
                })
                .await
        ),
        "AIOS-AUTH-0602"
    );
    let stop = proved(
        &key,
        EmergencyStopRequest {
            reason: "smoke".into(),
            proof: None,
        },
    );
    assert!(ada.emergency_stop(stop).await.unwrap().into_inner().stopped);
    until(true).await;
    assert_eq!(
        code(orchestrator.mint(mint_request(&["fs:*:/srv/**"])).await),
        "AIOS-GUARD-0016"
    );
    let call = request(&old, 1, "fs.delete", &["/srv/a"]);
    assert_eq!(
        denied(authorize(&mut tools, call.clone()).await).0,
        "builtin:emergency"
    );
    instance.kill();
    instance.up().await;
    let status = ada.status(StatusRequest {}).await.unwrap().into_inner();
    let emergency = status.emergency.unwrap();
    assert_eq!(
        (
            emergency.stopped,
            emergency.by.as_str(),
            emergency.reason.as_str()
        ),
        (true, "ada", "smoke")
    );
    assert_eq!(
        code(tools.resume(ResumeRequest { proof: None }).await),
        "AIOS-AUTH-0602"
    );
    ada.resume(proved(&key, ResumeRequest { proof: None }))
        .await
        .unwrap();
    until(false).await;
    assert_eq!(
        denied(authorize(&mut tools, call).await).0,
        "check:token-revoked",
        "old tokens stay revoked"
    );
    task(&mut orchestrator, &["fs:*:/srv/**"]).await;
    let status = ada.status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.workers_reached, ["fs"]);
    end.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_read_proved_and_forgotten() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let key = instance.enrol(ADA, "ada").await;
    let mut orchestrator = instance.client(ORCHESTRATOR).await;
    let mut ada = instance.client(ADA).await;
    let event = RecordRequest {
        kind: "goal.submitted".into(),
        goal_id: aios_core::id::GoalId::new().to_string(),
        details_json: "{\"check\":\"x\",\"text\":\"free space\"}".into(),
        ..RecordRequest::default()
    };
    let seq = orchestrator
        .record(event.clone())
        .await
        .unwrap()
        .into_inner()
        .audit_seq;
    let record = ada.audit_get(AuditGetRequest { seq }).await.unwrap().into_inner();
    assert_eq!(
        (record.kind.as_str(), record.input_json.as_str()),
        ("goal.submitted", "{\"check\":\"x\",\"text\":\"free space\"}")
    );
    let open: serde_json::Value = serde_json::from_slice(&record.canonical).unwrap();
    assert_eq!((open["rule"].as_str(), open.get("text")), (Some("check:x"), None));
    let seen = orchestrator
        .audit_get(AuditGetRequest { seq })
        .await
        .unwrap()
        .into_inner();
    assert!(seen.input_json.is_empty(), "payloads are for people");
    let proof = ada
        .audit_prove(AuditProveRequest { seq })
        .await
        .unwrap()
        .into_inner();
    let checkpoint = proof.checkpoint.unwrap();
    let path: Vec<_> = proof
        .path
        .iter()
        .map(|it| aios_audit::Hash(it.as_slice().try_into().unwrap()))
        .collect();
    let leaf = aios_audit::hash::leaf(&proof.record.unwrap().canonical);
    let root = aios_audit::Hash(checkpoint.root.as_slice().try_into().unwrap());
    assert!(aios_audit::merkle::verify_inclusion(
        leaf,
        seq,
        checkpoint.size,
        &path,
        root
    ));
    let tail = AuditTailRequest {
        goal_id: event.goal_id,
        ..AuditTailRequest::default()
    };
    let mut tail = ada.audit_tail(tail).await.unwrap().into_inner();
    assert_eq!(tail.message().await.unwrap().unwrap().seq, seq);
    assert!(tail.message().await.unwrap().is_none());
    assert_eq!(
        code(ada.audit_forget(AuditForgetRequest { seq, proof: None }).await),
        "AIOS-AUTH-0501"
    );
    ada.audit_forget(proved(&key, AuditForgetRequest { seq, proof: None }))
        .await
        .unwrap();
    assert!(
        ada.audit_get(AuditGetRequest { seq })
            .await
            .unwrap()
            .into_inner()
            .input_json
            .is_empty()
    );
    let head = ada.audit_head(AuditHeadRequest {}).await.unwrap().into_inner();
    instance.stop();
    let audit = instance.paths.state_of("guard").join("audit");
    assert!(
        aios_audit::verify::verify_dir(audit, Some(&head.note))
            .unwrap()
            .ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_serve_persons_are_told_who_is_one_and_nobody_else_is() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    instance.enrol(ADA, "ada").await;
    let ask = |uid| GetPersonRequest { uid };
    for asker in [ORCHESTRATOR, SANDBOX, CONSOLE] {
        let mut client = instance.client(asker).await;
        let ada = client.get_person(ask(ADA)).await.unwrap().into_inner();
        assert_eq!((ada.enrolled, ada.name.as_str()), (true, "ada"));
        for uid in [BOB, 0, ORCHESTRATOR, u32::MAX] {
            let other = client.get_person(ask(uid)).await.unwrap().into_inner();
            assert_eq!(other, GetPersonResponse::default(), "uid {uid}");
        }
    }
    let root = instance.root().get_person(ask(ADA)).await.unwrap().into_inner();
    assert!(root.enrolled);
    let before = instance.count("denied").await;
    for asker in [TOOLS, ADA, BOB] {
        let mut client = instance.client(asker).await;
        assert_eq!(
            code(client.get_person(ask(ADA)).await),
            "AIOS-AUTH-0602",
            "uid {asker}"
        );
        assert_eq!(instance.last_denial().await, "check:peer");
    }
    assert_eq!(instance.count("denied").await, before + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reason_keeps_a_stop_from_happening() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let key = instance.enrol(ADA, "ada").await;
    let mut ada = instance.client(ADA).await;
    for (reason, kept) in [
        (String::new(), String::new()),
        ("é".repeat(50_000), format!("{}…", "é".repeat(1000))),
    ] {
        let stop = EmergencyStopRequest { reason, proof: None };
        let state = ada.emergency_stop(proved(&key, stop)).await.unwrap().into_inner();
        assert!(state.stopped);
        assert_eq!(state.reason, kept);
        ada.resume(proved(&key, ResumeRequest { proof: None }))
            .await
            .unwrap();
    }
    assert_eq!(instance.count("emergency.stopped").await, 2);
}
