//! Bad input is refused by every rpc with the code that says what is wrong and a next step, and the guard
//! goes on. `Status`, `AuditHead` and `Watch` have no fields; what can be wrong there is who asks.

use crate::common::*;
use aios_auth::person::PersonKey;
use aios_core::id::ApprovalId;
use aios_proto::guard::v1::*;
use std::fmt::Debug;
use tonic::{Response, Status};

/// What was answered otherwise than it should have been.
#[derive(Default)]
struct Rows {
    wrong: Vec<String>,
}

impl Rows {
    fn row<T: Debug>(&mut self, label: &str, code: &str, answer: Result<Response<T>, Status>) {
        match answer.map_err(|status| aios_core::rpc::report_of(&status)) {
            Err(report) if report.code == code && !report.next_step.is_empty() => {}
            other => self
                .wrong
                .push(format!("{label}: {code} was wanted, not {other:?}")),
        }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        }
    }
}

fn long() -> String {
    "x".repeat(100_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_tokens_and_calls() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let mut rows = Rows::default();
    let (mut orchestrator, mut tools) = (instance.client(ORCHESTRATOR).await, instance.client(TOOLS).await);
    let task = task(&mut orchestrator, &["fs:*:/srv/**"]).await;
    let good = request(&task, 1, "fs.read", &["/srv/a"]);
    let base = || mint_request(&["fs:*:/srv/**"]);
    let mints = [
        ("nothing", "AIOS-CORE-0001", MintRequest::default()),
        (
            "agent",
            "AIOS-CORE-0001",
            MintRequest {
                agent_id: "x".into(),
                ..base()
            },
        ),
        (
            "goal",
            "AIOS-CORE-0001",
            MintRequest {
                goal_id: long(),
                ..base()
            },
        ),
        (
            "task",
            "AIOS-CORE-0001",
            MintRequest {
                task_id: "\u{0}".into(),
                ..base()
            },
        ),
        ("no capabilities", "AIOS-AUTH-0208", mint_request(&[])),
        ("no capability", "AIOS-AUTH-0101", mint_request(&["nonsense"])),
        (
            "relative path",
            "AIOS-AUTH-0103",
            mint_request(&["fs:read:relative"]),
        ),
        (
            "for ever",
            "AIOS-GUARD-0023",
            MintRequest {
                ttl_ms: u64::MAX,
                ..base()
            },
        ),
        (
            "many capabilities",
            "AIOS-AUTH-0208",
            mint_request(&["fs:read:/srv/**"; 100]),
        ),
        (
            "full autonomy",
            "AIOS-GUARD-0032",
            MintRequest {
                autonomy: 3,
                ..base()
            },
        ),
    ];
    for (label, code, mint) in mints {
        rows.row(&format!("Mint, {label}"), code, orchestrator.mint(mint).await);
    }
    let key = |task_id: &str, step| {
        Some(ExecutionKey {
            task_id: task_id.into(),
            step,
        })
    };
    let own = task.task.to_string();
    let with = |change: &dyn Fn(&mut AuthorizeRequest)| {
        let mut call = good.clone();
        change(&mut call);
        call
    };
    let calls = [
        ("nothing", "AIOS-CORE-0002", AuthorizeRequest::default()),
        ("no key", "AIOS-CORE-0002", with(&|it| it.key = None)),
        ("no task", "AIOS-CORE-0002", with(&|it| it.key = key("x", 1))),
        ("step 0", "AIOS-CORE-0002", with(&|it| it.key = key(&own, 0))),
        (
            "tool without action",
            "AIOS-GUARD-0003",
            with(&|it| it.tool = "fs".into()),
        ),
        (
            "tool as a path",
            "AIOS-GUARD-0003",
            with(&|it| it.tool = "fs.../etc".into()),
        ),
        ("no JSON", "AIOS-AUTH-0301", with(&|it| it.args_json = "[".into())),
        (
            "no object",
            "AIOS-AUTH-0302",
            with(&|it| it.args_json = "[]".into()),
        ),
        (
            "large number",
            "AIOS-AUTH-0303",
            with(&|it| it.args_json = "{\"n\":9007199254740993}".into()),
        ),
        (
            "needs nothing",
            "AIOS-GUARD-0003",
            with(&|it| it.required.clear()),
        ),
        (
            "needs ..",
            "AIOS-AUTH-0103",
            with(&|it| it.required = vec!["fs:read:/srv/../etc".into()]),
        ),
        (
            "needs no path",
            "AIOS-AUTH-0101",
            with(&|it| it.required = vec!["fs:read:".into()]),
        ),
    ];
    for (label, code, call) in calls {
        rows.row(&format!("Authorize, {label}"), code, tools.authorize(call).await);
    }
    rows.row(
        "Attenuate, nothing",
        "AIOS-AUTH-0208",
        tools.attenuate(AttenuateRequest::default()).await,
    );
    let attenuate = AttenuateRequest {
        token: task.token.clone(),
        capabilities: vec!["nonsense".into()],
        ..AttenuateRequest::default()
    };
    rows.row(
        "Attenuate, no capability",
        "AIOS-AUTH-0101",
        tools.attenuate(attenuate).await,
    );
    let outcomes = [
        ("nothing", "AIOS-CORE-0002", RecordOutcomeRequest::default()),
        (
            "status",
            "AIOS-GUARD-0003",
            RecordOutcomeRequest {
                status: "perhaps".into(),
                ..outcome(&good, 0)
            },
        ),
        ("no intent", "AIOS-GUARD-0029", outcome(&good, 0)),
    ];
    for (label, code, outcome) in outcomes {
        rows.row(
            &format!("RecordOutcome, {label}"),
            code,
            tools.record_outcome(outcome).await,
        );
    }
    receipt(authorize(&mut tools, good).await);
    instance.stop();
    instance.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_services() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let mut rows = Rows::default();
    let (mut orchestrator, mut console) = (
        instance.client(ORCHESTRATOR).await,
        instance.client(CONSOLE).await,
    );
    let mut sandbox = instance.client(SANDBOX).await;
    for kind in [
        "",
        "x",
        "Goal.Submitted",
        "goal..x",
        "intent.x",
        "denied.x",
        "clock.backwards",
        "a.b c",
    ] {
        let record = RecordRequest {
            kind: kind.into(),
            ..RecordRequest::default()
        };
        rows.row(
            &format!("Record, kind `{kind}`"),
            "AIOS-GUARD-0003",
            orchestrator.record(record).await,
        );
    }
    for details in ["[]", "{", &format!("{{\"x\":\"{}\"}}", long())] {
        let record = RecordRequest {
            kind: "a.b".into(),
            details_json: details.into(),
            ..RecordRequest::default()
        };
        let label = format!("Record, {} bytes of details", details.len());
        rows.row(&label, "AIOS-GUARD-0003", orchestrator.record(record).await);
    }
    let ids = [
        (
            "goal",
            RecordRequest {
                goal_id: "x".into(),
                ..RecordRequest::default()
            },
        ),
        (
            "task",
            RecordRequest {
                task_id: "x".into(),
                ..RecordRequest::default()
            },
        ),
        (
            "agent",
            RecordRequest {
                agent_id: "x".into(),
                ..RecordRequest::default()
            },
        ),
    ];
    for (label, record) in ids {
        let record = RecordRequest {
            kind: "a.b".into(),
            ..record
        };
        rows.row(
            &format!("Record, {label}"),
            "AIOS-CORE-0001",
            orchestrator.record(record).await,
        );
    }
    let nameless = RecordRequest {
        kind: "agent.started".into(),
        agent_id: mint_request(&[]).agent_id,
        ..RecordRequest::default()
    };
    rows.row(
        "Record, agent of no kind",
        "AIOS-GUARD-0003",
        sandbox.record(nameless).await,
    );
    let withdraw = WithdrawApprovalsRequest { goal_id: "x".into() };
    rows.row(
        "WithdrawApprovals, goal",
        "AIOS-CORE-0001",
        orchestrator.withdraw_approvals(withdraw).await,
    );
    let revoke = RevokeRequest::default();
    rows.row(
        "Revoke, nothing",
        "AIOS-GUARD-0003",
        orchestrator.revoke(revoke.clone()).await,
    );
    let revoke = RevokeRequest {
        token_id: "zz".into(),
        ..revoke
    };
    rows.row(
        "Revoke, token",
        "AIOS-GUARD-0003",
        orchestrator.revoke(revoke).await,
    );
    let redeem = RedeemSignInRequest { code: "\u{0}".into() };
    rows.row(
        "RedeemSignIn, code",
        "AIOS-GUARD-0026",
        console.redeem_sign_in(redeem).await,
    );
    let check = CheckSessionRequest { secret: vec![] };
    rows.row(
        "CheckSession, nothing",
        "AIOS-GUARD-0026",
        console.check_session(check).await,
    );
    let end = EndSessionRequest { secret: vec![9; 5] };
    rows.row(
        "EndSession, secret",
        "AIOS-GUARD-0026",
        console.end_session(end).await,
    );
    instance.stop();
    instance.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_readers() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let mut rows = Rows::default();
    let mut root = instance.root();
    let explains = [
        ("nothing", "AIOS-GUARD-0003", ExplainRequest::default()),
        (
            "no JSON",
            "AIOS-AUTH-0301",
            ExplainRequest {
                tool: "fs.x".into(),
                args_json: "[".into(),
                ..ExplainRequest::default()
            },
        ),
    ];
    for (label, code, explain) in explains {
        rows.row(&format!("Explain, {label}"), code, root.explain(explain).await);
    }
    let list = ListApprovalsRequest {
        goal_id: "x".into(),
        ..ListApprovalsRequest::default()
    };
    rows.row(
        "ListApprovals, goal",
        "AIOS-CORE-0001",
        root.list_approvals(list).await,
    );
    for (label, code, approval_id) in [
        ("id", "AIOS-CORE-0001", "x".to_owned()),
        ("unknown", "AIOS-GUARD-0027", ApprovalId::new().to_string()),
    ] {
        let get = GetApprovalRequest { approval_id };
        rows.row(
            &format!("GetApproval, {label}"),
            code,
            root.get_approval(get).await,
        );
    }
    let tails = [
        (
            "beyond the end",
            "AIOS-AUDIT-0006",
            AuditTailRequest {
                from_seq: u64::MAX,
                ..AuditTailRequest::default()
            },
        ),
        (
            "goal",
            "AIOS-CORE-0001",
            AuditTailRequest {
                goal_id: "x".into(),
                ..AuditTailRequest::default()
            },
        ),
    ];
    for (label, code, tail) in tails {
        rows.row(&format!("AuditTail, {label}"), code, root.audit_tail(tail).await);
    }
    let get = AuditGetRequest { seq: u64::MAX };
    rows.row(
        "AuditGet, beyond the end",
        "AIOS-AUDIT-0006",
        root.audit_get(get).await,
    );
    let prove = AuditProveRequest { seq: 1 << 40 };
    rows.row(
        "AuditProve, beyond the end",
        "AIOS-AUDIT-0006",
        root.audit_prove(prove).await,
    );
    // Nobody has enrolled this one.
    let mut bob = instance.client(BOB).await;
    rows.row(
        "Status, stranger",
        "AIOS-GUARD-0004",
        bob.status(StatusRequest {}).await,
    );
    rows.row(
        "AuditHead, stranger",
        "AIOS-GUARD-0004",
        bob.audit_head(AuditHeadRequest {}).await,
    );
    let watched = bob.watch(WatchRequest {}).await.map(|_| Response::new(()));
    rows.row("Watch, stranger", "AIOS-GUARD-0004", watched);
    instance.stop();
    instance.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_persons() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let mut rows = Rows::default();
    let mut root = instance.root();
    // Without a proof.
    rows.row(
        "DecideApproval, nothing",
        "AIOS-AUTH-0501",
        root.decide_approval(DecideApprovalRequest::default()).await,
    );
    rows.row(
        "EmergencyStop, nothing",
        "AIOS-AUTH-0501",
        root.emergency_stop(EmergencyStopRequest::default()).await,
    );
    rows.row(
        "Resume, nothing",
        "AIOS-AUTH-0501",
        root.resume(ResumeRequest::default()).await,
    );
    rows.row(
        "CreateSignIn, nothing",
        "AIOS-AUTH-0501",
        root.create_sign_in(CreateSignInRequest::default()).await,
    );
    rows.row(
        "AuditForget, nothing",
        "AIOS-AUTH-0501",
        root.audit_forget(AuditForgetRequest::default()).await,
    );
    let nobody = EnrolPersonRequest::default();
    rows.row(
        "EnrolPerson, nothing",
        "AIOS-AUTH-0401",
        root.enrol_person(nobody.clone()).await,
    );
    let weak = EnrolPersonRequest {
        public_key: vec![0; 32],
        name: "x".into(),
        ..nobody
    };
    rows.row(
        "EnrolPerson, key",
        "AIOS-AUTH-0401",
        root.enrol_person(weak).await,
    );

    // With a good one, for fields that are wrong.
    let key = instance.enrol(ADA, "ada").await;
    let mut ada = instance.client(ADA).await;
    let (mut orchestrator, mut tools) = (instance.client(ORCHESTRATOR).await, instance.client(TOOLS).await);
    let task = task(&mut orchestrator, &["fs:*:/srv/**"]).await;
    let call = request(&task, 1, "fs.delete", &["/srv/a"]);
    let id = waits(authorize(&mut tools, call.clone()).await);
    let unknown = ApprovalId::new().to_string();
    let digest = call.call_digest.as_slice();
    let decisions = [
        ("id", "AIOS-CORE-0001", "x", digest, ""),
        ("unknown", "AIOS-GUARD-0027", unknown.as_str(), digest, ""),
        ("no digest", "AIOS-GUARD-0012", id.as_str(), &[][..], ""),
        ("short digest", "AIOS-GUARD-0012", id.as_str(), &digest[..31], ""),
        ("no scope", "AIOS-AUTH-0101", id.as_str(), digest, "nonsense"),
        (
            "narrow scope",
            "AIOS-GUARD-0024",
            id.as_str(),
            digest,
            "fs:delete:/srv/b",
        ),
        (
            "wide scope",
            "AIOS-GUARD-0024",
            id.as_str(),
            digest,
            "fs:delete:/**",
        ),
    ];
    for (label, code, id, digest, scope) in decisions {
        let decision = decide(&key, id, digest, true, scope);
        rows.row(
            &format!("DecideApproval, {label}"),
            code,
            ada.decide_approval(decision).await,
        );
    }
    let forget = proved(
        &key,
        AuditForgetRequest {
            seq: 1 << 40,
            proof: None,
        },
    );
    rows.row(
        "AuditForget, beyond the end",
        "AIOS-AUDIT-0006",
        ada.audit_forget(forget).await,
    );
    for (label, code, enrol) in enrolments(&key) {
        rows.row(
            &format!("EnrolPerson, {label}"),
            code,
            ada.enrol_person(enrol).await,
        );
    }
    let mut stop = proved(&key, EmergencyStopRequest::default());
    stop.reason = "signed was another".into();
    rows.row(
        "EmergencyStop, changed after it was signed",
        "AIOS-AUTH-0506",
        ada.emergency_stop(stop).await,
    );
    // None of that has decided anything.
    let shown = ada
        .get_approval(GetApprovalRequest { approval_id: id })
        .await
        .unwrap();
    assert_eq!(shown.into_inner().state(), ApprovalState::Pending);
    let status = ada.status(StatusRequest {}).await.unwrap().into_inner();
    assert!(!status.emergency.unwrap().stopped);
    instance.stop();
    instance.verify();
}

/// Requests to enrol, proved by Ada, that are wrong.
fn enrolments(key: &PersonKey) -> Vec<(&'static str, &'static str, EnrolPersonRequest)> {
    let fresh = aios_auth::key::SecretKey::generate().unwrap();
    let good = EnrolPersonRequest {
        uid: ADA,
        name: "ada".into(),
        public_key: fresh.public().to_bytes().to_vec(),
        proof: None,
    };
    let named = |name: String| EnrolPersonRequest { name, ..good.clone() };
    let cases = [
        ("no name", "AIOS-GUARD-0003", named(String::new())),
        ("name of two words", "AIOS-GUARD-0003", named("ada b".into())),
        ("long name", "AIOS-GUARD-0003", named(long())),
        (
            "short key",
            "AIOS-AUTH-0401",
            EnrolPersonRequest {
                public_key: vec![7; 31],
                ..good.clone()
            },
        ),
        (
            "service",
            "AIOS-GUARD-0025",
            EnrolPersonRequest {
                uid: TOOLS,
                ..good.clone()
            },
        ),
        (
            "somebody else",
            "AIOS-GUARD-0025",
            EnrolPersonRequest {
                uid: BOB,
                ..good.clone()
            },
        ),
    ];
    cases
        .into_iter()
        .map(|(label, code, request)| (label, code, proved(key, request)))
        .collect()
}
