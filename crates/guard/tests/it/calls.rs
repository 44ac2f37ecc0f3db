//! The way of a call: token, decision, approval, receipt, outcome; and every way in which it is denied.

use crate::common::*;
use aios_auth::approval::{ApprovalBody, Covered};
use aios_auth::capability::Access;
use aios_auth::receipt::ReceiptBody;
use aios_core::id::{ExecutionKey, TaskId};
use aios_proto::guard::v1::authorize_response::Decision;
use aios_proto::guard::v1::*;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_one_record_and_its_receipt_verifies_offline() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let (mut orchestrator, mut tools) = (instance.client(ORCHESTRATOR).await, instance.client(TOOLS).await);
    let task = task(&mut orchestrator, &["fs:read:/srv/**"]).await;
    let call = request(&task, 1, "fs.read", &["/srv/a"]);
    let receipt = receipt(authorize(&mut tools, call.clone()).await);
    let body = ReceiptBody::verify(Some(&receipt), &instance.keys().receipt).unwrap();
    assert_eq!(
        (body.call_digest.to_vec(), body.mutating, body.rule_id.as_str()),
        (call.call_digest, false, "read")
    );
    assert_eq!(body.token_id, task.token_id);
    let records = instance.records().await;
    let (kind, record) = &records[usize::try_from(body.audit_seq).unwrap()];
    assert_eq!(
        (kind.as_str(), record["tool"].as_str()),
        ("read", Some("fs.read"))
    );
    assert_eq!(record["capabilities"][0], "fs:read:/srv/**");
    instance.stop();
    instance.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_waits_for_a_person_and_has_one_intent_and_one_outcome() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let key = instance.enrol(ADA, "ada").await;
    let (mut orchestrator, mut tools) = (instance.client(ORCHESTRATOR).await, instance.client(TOOLS).await);
    let mut ada = instance.client(ADA).await;
    let mut events = orchestrator.watch(WatchRequest {}).await.unwrap().into_inner();
    let task = task(&mut orchestrator, &["fs:delete:/srv/**"]).await;
    let call = request(&task, 1, "fs.delete", &["/srv/a", "/srv/b"]);
    let id = waits(authorize(&mut tools, call.clone()).await);
    assert_eq!(
        waits(authorize(&mut tools, call.clone()).await),
        id,
        "asked again it is the same request"
    );
    let shown = ada
        .get_approval(GetApprovalRequest {
            approval_id: id.clone(),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (shown.files, shown.tool.as_str(), shown.rule_id.as_str()),
        (2, "fs.delete", "change-supervised")
    );
    let other = decide(&key, &id, &[7; 32], true, "");
    assert_eq!(
        code(ada.decide_approval(other).await),
        "AIOS-GUARD-0012",
        "an approval for another digest"
    );
    let decided = ada
        .decide_approval(decide(&key, &id, &call.call_digest, true, ""))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (decided.state(), decided.approver.as_str()),
        (ApprovalState::Approved, "ada")
    );
    assert_eq!(
        code(
            ada.decide_approval(decide(&key, &id, &call.call_digest, false, ""))
                .await
        ),
        "AIOS-GUARD-0028"
    );

    let first = receipt(authorize(&mut tools, call.clone()).await);
    let body = ReceiptBody::verify(Some(&first), &instance.keys().receipt).unwrap();
    let approval = ApprovalBody::verify(first.approval.as_ref(), &instance.keys().approval).unwrap();
    let required: Vec<Access> = call
        .required
        .iter()
        .map(|text| Access::parse(text).unwrap())
        .collect();
    let covered = Covered {
        approval_id: body.approval_id.unwrap(),
        key: ExecutionKey {
            task: task.task,
            step: 1,
        },
        call_digest: body.call_digest,
        required: &required,
        now_ms: now_ms(),
    };
    approval.check(&covered).unwrap();
    let again = receipt(authorize(&mut tools, call.clone()).await);
    let again = ReceiptBody::verify(Some(&again), &instance.keys().receipt).unwrap();
    assert_eq!(
        again.audit_seq, body.audit_seq,
        "a fresh receipt for the same intent"
    );
    let done = outcome(&call, body.audit_seq);
    let seq = tools
        .record_outcome(done.clone())
        .await
        .unwrap()
        .into_inner()
        .audit_seq;
    assert_eq!(
        tools.record_outcome(done).await.unwrap().into_inner().audit_seq,
        seq
    );
    assert_eq!(
        (instance.count("intent").await, instance.count("outcome").await),
        (1, 1)
    );

    let records = instance.records().await;
    let intent = &records[usize::try_from(body.audit_seq).unwrap()].1;
    assert_eq!(
        (intent["approver"].as_str(), intent["approval_id"].as_str()),
        (Some("ada"), Some(id.as_str()))
    );
    assert_eq!(intent["rule"], "change-supervised");
    let mut states = Vec::new();
    while states.len() < 2 {
        if let Some(guard_event::Event::Approval(approval)) = events.message().await.unwrap().unwrap().event {
            states.push(approval.state());
        }
    }
    assert_eq!(states, [ApprovalState::Pending, ApprovalState::Approved]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_token_and_call_is_denied_and_names_its_rule() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let (mut orchestrator, mut tools) = (instance.client(ORCHESTRATOR).await, instance.client(TOOLS).await);
    let own = task(&mut orchestrator, &["fs:*:/srv/**"]).await;
    let other = task(&mut orchestrator, &["fs:*:/srv/**"]).await;
    let good = request(&own, 1, "fs.read", &["/srv/a"]);
    let with = |change: &dyn Fn(&mut AuthorizeRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let short = MintRequest {
        ttl_ms: 1,
        ..mint_request(&["fs:*:/srv/**"])
    };
    let short = task_of(&mut orchestrator, short).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let narrow = AttenuateRequest {
        token: own.token.clone(),
        capabilities: vec!["fs:read:/srv/sub/**".into()],
        expires_at_ms: 0,
    };
    let narrow = tools.attenuate(narrow).await.unwrap().into_inner().token;
    let mut forged = own.token.clone();
    *forged.last_mut().unwrap() ^= 1;
    let protected = instance.paths.state.join("guard/keys/mint");
    let all = task(&mut orchestrator, &["fs:*:/**"]).await;
    let everything = |path: &str| request(&all, 9, "fs.read", &[path]);
    let cases = [
        (with(&|it| it.token.clear()), "check:token-missing"),
        (with(&|it| it.token.clone_from(&forged)), "check:token"),
        (request(&short, 1, "fs.read", &["/srv/a"]), "check:token-expired"),
        (with(&|it| it.token.clone_from(&other.token)), "check:token-task"),
        (with(&|it| it.token.clone_from(&narrow)), "check:capability"),
        (request(&own, 1, "fs.read", &["/etc/hosts"]), "check:capability"),
        (with(&|it| it.call_digest[0] ^= 1), "check:digest"),
        (with(&|it| it.identities[0].ino += 1), "check:digest"),
        (everything(protected.to_str().unwrap()), "builtin:protected"),
        (
            everything("/var/lib/aios/guard/audit/segments/0.log"),
            "builtin:protected",
        ),
        (everything("/etc/shadow"), "builtin:protected"),
        (
            everything(instance.paths.vendor.join("policy.toml").to_str().unwrap()),
            "builtin:protected",
        ),
        (
            everything(instance.paths.run.join("guard.sock").to_str().unwrap()),
            "builtin:protected",
        ),
        (request(&all, 9, "fs.delete", &["/usr/bin/env"]), "system-files"),
        (request(&all, 9, "net.open", &["/srv/a"]), "check:capability"),
    ];
    for (request, rule) in cases {
        let (found, code) = denied(authorize(&mut tools, request).await);
        assert_eq!(found, rule);
        assert!(code.starts_with("AIOS-"), "{code}");
        assert_eq!(instance.last_denial().await, rule);
    }
    let revoke = RevokeRequest {
        task_id: own.task.to_string(),
        reason: "test".into(),
        ..RevokeRequest::default()
    };
    assert_eq!(orchestrator.revoke(revoke).await.unwrap().into_inner().revoked, 1);
    assert_eq!(denied(authorize(&mut tools, good).await).0, "check:token-revoked");
    assert!(matches!(
        authorize(&mut tools, request(&other, 1, "fs.read", &["/srv/a"])).await,
        Decision::Receipt(_)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_outlives_a_restart_of_the_guard_and_no_boot() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let (mut orchestrator, mut tools) = (instance.client(ORCHESTRATOR).await, instance.client(TOOLS).await);
    let task = task(&mut orchestrator, &["fs:*:/srv/**"]).await;
    instance.kill();
    instance.up().await;
    let call = |step| request(&task, step, "fs.read", &["/srv/a"]);
    assert!(matches!(
        authorize(&mut tools, call(1)).await,
        Decision::Receipt(_)
    ));
    instance.kill();
    // As if that had been before the machine's last start.
    let database = rusqlite::Connection::open(instance.paths.state_of("guard").join("guard.db")).unwrap();
    let changed = database.execute("UPDATE meta SET value = 'earlier' WHERE name = 'boot_id'", []);
    assert_eq!(changed.unwrap(), 1);
    drop(database);
    instance.up().await;
    assert_eq!(
        denied(authorize(&mut tools, call(2)).await).0,
        "check:token-revoked"
    );
    assert_eq!(instance.last_denial().await, "check:token-revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_orchestrator_gets_nothing_above_its_ceilings() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let mut orchestrator = instance.client(ORCHESTRATOR).await;
    let mut sandbox = instance.client(SANDBOX).await;
    let base = MintRequest {
        agent_kind: "cleaner".into(),
        ..mint_request(&["fs:read:/srv/**"])
    };
    assert_eq!(
        code(orchestrator.mint(base.clone()).await),
        "AIOS-GUARD-0022",
        "the sandbox runs no such agent"
    );
    let started = RecordRequest {
        kind: "agent.started".into(),
        agent_id: base.agent_id.clone(),
        details_json: "{\"agent_kind\":\"cleaner\"}".into(),
        ..RecordRequest::default()
    };
    orchestrator.record(started.clone()).await.unwrap();
    assert_eq!(
        code(orchestrator.mint(base.clone()).await),
        "AIOS-GUARD-0022",
        "only the sandbox says who runs"
    );
    sandbox.record(started.clone()).await.unwrap();
    orchestrator.mint(base.clone()).await.unwrap();
    let cases = [
        (
            MintRequest {
                capabilities: vec!["fs:read:/**".into()],
                ..base.clone()
            },
            "AIOS-GUARD-0020",
        ),
        (
            MintRequest {
                capabilities: vec!["service:restart:nginx".into()],
                ..base.clone()
            },
            "AIOS-GUARD-0020",
        ),
        (
            MintRequest {
                agent_kind: "nobody".into(),
                ..base.clone()
            },
            "AIOS-GUARD-0021",
        ),
        (
            MintRequest {
                ttl_ms: 15 * 60_000 + 1,
                ..base.clone()
            },
            "AIOS-GUARD-0023",
        ),
        (
            MintRequest {
                autonomy: 3,
                ..base.clone()
            },
            "AIOS-GUARD-0032",
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(code(orchestrator.mint(request).await), expected);
    }
    assert_eq!(instance.last_denial().await, "check:autonomy");
    sandbox
        .record(RecordRequest {
            kind: "agent.stopped".into(),
            ..started
        })
        .await
        .unwrap();
    assert_eq!(code(orchestrator.mint(base.clone()).await), "AIOS-GUARD-0022");
    let call = request(
        &task(&mut orchestrator, &["fs:read:/srv/**"]).await,
        1,
        "fs.read",
        &["/srv/a"],
    );
    assert_eq!(code(orchestrator.authorize(call.clone()).await), "AIOS-AUTH-0602");
    assert_eq!(
        code(orchestrator.record_outcome(outcome(&call, 0)).await),
        "AIOS-AUTH-0602"
    );
    assert_eq!(instance.last_denial().await, "check:peer");
    let mut fs_worker = instance.client(FS).await;
    assert_eq!(code(fs_worker.mint(base).await), "AIOS-AUTH-0602");
    assert_eq!(
        code(fs_worker.audit_tail(AuditTailRequest::default()).await),
        "AIOS-GUARD-0004"
    );
    let mut stranger = instance.client(BOB).await;
    assert_eq!(code(stranger.status(StatusRequest {}).await), "AIOS-GUARD-0004");
    let forged = RecordRequest {
        kind: "approval.decided".into(),
        ..RecordRequest::default()
    };
    assert_eq!(code(orchestrator.record(forged).await), "AIOS-GUARD-0003");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_stands_for_one_call() {
    let Some(mut instance) = Instance::start_with(FULL).await else {
        return;
    };
    let key = instance.enrol(ADA, "ada").await;
    let (mut orchestrator, mut tools) = (instance.client(ORCHESTRATOR).await, instance.client(TOOLS).await);
    let mut ada = instance.client(ADA).await;
    let swapped = task(&mut orchestrator, &["fs:*:/srv/**"]).await;
    let call = request(&swapped, 1, "fs.delete", &["/srv/a"]);
    let id = waits(authorize(&mut tools, call.clone()).await);
    ada.decide_approval(decide(&key, &id, &call.call_digest, true, ""))
        .await
        .unwrap();
    let (rule, _) = denied(authorize(&mut tools, request(&swapped, 1, "fs.delete", &["/srv/b"])).await);
    assert_eq!(
        rule, "check:call-changed",
        "the target was swapped between approval and run"
    );
    receipt(authorize(&mut tools, call).await);
    let (rule, _) = denied(authorize(&mut tools, request(&swapped, 1, "fs.delete", &["/srv/b"])).await);
    assert_eq!(rule, "check:key-reused");

    let full = MintRequest {
        autonomy: 3,
        ..mint_request(&["fs:*:/srv/**"])
    };
    let full = task_of(&mut orchestrator, full).await;
    let call = request(&full, 1, "fs.delete", &["/srv/a"]);
    let body = ReceiptBody::verify(
        Some(&receipt(authorize(&mut tools, call.clone()).await)),
        &instance.keys().receipt,
    );
    let intent = body.unwrap().audit_seq;
    let mut wrong = outcome(&call, intent);
    wrong.call_digest[0] ^= 1;
    assert_eq!(code(tools.record_outcome(wrong).await), "AIOS-GUARD-0013");
    let unknown = ExecutionKey {
        task: TaskId::new(),
        step: 1,
    };
    let unknown = RecordOutcomeRequest {
        key: Some(unknown.into()),
        ..outcome(&call, intent)
    };
    assert_eq!(code(tools.record_outcome(unknown).await), "AIOS-GUARD-0029");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_be_decided_and_grants_nothing() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let (mut orchestrator, mut tools) = (instance.client(ORCHESTRATOR).await, instance.client(TOOLS).await);
    let task = task(&mut orchestrator, &["fs:*:/**"]).await;
    for (path, effect) in [("/srv/a", "confirm"), ("/usr/a", "deny")] {
        let call = AuthorizeRequest {
            dry_run: true,
            ..request(&task, 1, "fs.delete", &[path])
        };
        let Decision::Would(would) = authorize(&mut tools, call).await else {
            panic!("a dry run was decided")
        };
        assert_eq!(would.effect, effect);
    }
    assert_eq!(instance.count("intent").await, 0);
    let pending = ListApprovalsRequest {
        pending_only: true,
        ..ListApprovalsRequest::default()
    };
    assert!(
        tools
            .list_approvals(pending)
            .await
            .unwrap()
            .into_inner()
            .approvals
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_remembered_within_the_agents_own_capabilities() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let key = instance.enrol(ADA, "ada").await;
    let (mut orchestrator, mut tools) = (instance.client(ORCHESTRATOR).await, instance.client(TOOLS).await);
    let mut ada = instance.client(ADA).await;
    let first = task(&mut orchestrator, &["fs:delete:/srv/**"]).await;
    let call = request(&first, 1, "fs.delete", &["/srv/tmp/a"]);
    let id = waits(authorize(&mut tools, call.clone()).await);
    for scope in [
        "fs:delete:/**",
        "fs:*:/srv/**",
        "fs:delete:/srv/other/**",
        "nonsense",
    ] {
        let answer = ada
            .decide_approval(decide(&key, &id, &call.call_digest, true, scope))
            .await;
        assert!(
            ["AIOS-GUARD-0024", "AIOS-AUTH-0101"].contains(&code(answer).as_str()),
            "{scope}"
        );
    }
    ada.decide_approval(decide(
        &key,
        &id,
        &call.call_digest,
        true,
        "fs:delete:/srv/tmp/**",
    ))
    .await
    .unwrap();
    let second = task(&mut orchestrator, &["fs:delete:/srv/**"]).await;
    let within = receipt(authorize(&mut tools, request(&second, 1, "fs.delete", &["/srv/tmp/b"])).await);
    assert!(
        ApprovalBody::verify(within.approval.as_ref(), &instance.keys().approval)
            .unwrap()
            .scope
            .is_some()
    );
    let call = request(&second, 2, "fs.delete", &["/srv/keep/b"]);
    let id = waits(authorize(&mut tools, call.clone()).await);
    ada.decide_approval(decide(
        &key,
        &id,
        &call.call_digest,
        false,
        "fs:delete:/srv/keep/**",
    ))
    .await
    .unwrap();
    assert_eq!(denied(authorize(&mut tools, call).await).0, "approval:declined");
    let third = request(&second, 3, "fs.delete", &["/srv/keep/c"]);
    assert_eq!(
        denied(authorize(&mut tools, third).await).0,
        "approval:declined",
        "a decline is remembered too"
    );
    let tainted = MintRequest {
        tainted: true,
        ..mint_request(&["fs:delete:/srv/**"])
    };
    let tainted = task_of(&mut orchestrator, tainted).await;
    waits(authorize(&mut tools, request(&tainted, 1, "fs.delete", &["/srv/tmp/c"])).await);
}
