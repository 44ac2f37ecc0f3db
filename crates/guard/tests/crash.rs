//! Kills at every point of a call, a full disk, and bad input: nothing doubled, nothing lost, no panic.
#![cfg(test)]

mod common;

use aios_auth::receipt::ReceiptBody;
use aios_proto::guard::v1::*;
use common::*;
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_leaves_one_intent_and_one_outcome() {
    let Some(mut instance) = Instance::start_with(FULL).await else {
        return;
    };
    let (mut orchestrator, mut tools) = (instance.client(ORCHESTRATOR).await, instance.client(TOOLS).await);
    let full = MintRequest {
        autonomy: 3,
        ..mint_request(&["fs:*:/srv/**"])
    };
    let task = task_of(&mut orchestrator, full).await;
    let points = [
        "guard.before_intent",
        "guard.after_intent",
        "guard.before_outcome",
        "guard.after_outcome",
    ];
    for round in 0..3_u64 {
        for (point, number) in points.iter().zip(1_u64..) {
            let call = request(&task, round * 10 + number, "fs.delete", &["/srv/a"]);
            instance.arm(point);
            let answer = tools.authorize(call.clone()).await;
            let authorized = answer.is_ok();
            assert_eq!(authorized, number > 2, "{point}");
            if !authorized {
                instance.died().await;
                instance.up().await;
            }
            let receipt = receipt(authorize(&mut tools, call.clone()).await);
            let intent = ReceiptBody::verify(Some(&receipt), &instance.keys().receipt)
                .unwrap()
                .audit_seq;
            let done = outcome(&call, intent);
            if tools.record_outcome(done.clone()).await.is_err() {
                instance.died().await;
                instance.up().await;
            }
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
        }
    }
    assert_eq!(
        (instance.count("intent").await, instance.count("outcome").await),
        (12, 12)
    );
    instance.kill();
    instance.verify();
    instance.up().await;
    instance.stop();
    assert_eq!(instance.verify().unsigned, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_granted_while_the_log_cannot_be_written() {
    if !several_users() {
        return;
    }
    let mut instance = Instance::prepare(FULL);
    let disk = instance.paths.state_of("guard");
    std::fs::create_dir(&disk).unwrap();
    let size = Some("size=6m");
    nix::mount::mount(
        Some("tmpfs"),
        &disk,
        Some("tmpfs"),
        nix::mount::MsFlags::empty(),
        size,
    )
    .unwrap();
    instance.up().await;
    let (mut orchestrator, mut tools) = (instance.client(ORCHESTRATOR).await, instance.client(TOOLS).await);
    let full = MintRequest {
        autonomy: 3,
        ..mint_request(&["fs:*:/srv/**"])
    };
    let task = task_of(&mut orchestrator, full).await;
    let ballast = disk.join("ballast");
    let mut length = 8 << 20;
    while length >= 4096 {
        // Fills the disk to the last page.
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&ballast)
            .unwrap();
        if std::io::Write::write_all(&mut file, &vec![0; length]).is_err() {
            length /= 2;
        }
    }
    let mut refused = None;
    for step in 1..200 {
        let call = request(&task, step, "fs.delete", &["/srv/a"]);
        if let Err(status) = tools.authorize(call.clone()).await {
            refused = Some((status, call));
            break;
        }
    }
    let (status, call) = refused.expect("the disk is full");
    assert_eq!(status.code(), Code::Unavailable);
    let report = aios_core::rpc::report_of(&status);
    assert_eq!(report.code, "AIOS-AUDIT-0002", "{report}");
    let state = instance
        .root()
        .status(StatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(!state.audit_writable && !state.audit_problem.is_empty());
    std::fs::remove_file(&ballast).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while tools.authorize(call.clone()).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "it did not recover");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    instance.stop();
    instance.verify();
    nix::mount::umount(&disk).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_policy_than_one_that_was_in_force_is_refused() {
    let mut instance = Instance::prepare("");
    let path = instance.paths.vendor.join("policy.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("epoch = 1", "epoch = 7")).unwrap();
    instance.up().await;
    instance.stop();
    std::fs::write(&path, text).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_aios-guard"))
        .envs(instance.paths.to_env())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("AIOS-AUTH-0705"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_a_coded_error_for_every_rpc_and_the_guard_goes_on() {
    let Some(mut instance) = Instance::start().await else {
        return;
    };
    let (mut orchestrator, mut tools) = (instance.client(ORCHESTRATOR).await, instance.client(TOOLS).await);
    let (mut console, mut root) = (instance.client(CONSOLE).await, instance.root());
    let task = task(&mut orchestrator, &["fs:*:/srv/**"]).await;
    let good = request(&task, 1, "fs.read", &["/srv/a"]);
    let long = "x".repeat(100_000);
    let mut codes = Vec::new();
    let mints = [
        MintRequest::default(),
        MintRequest {
            agent_id: "x".into(),
            ..mint_request(&["fs:*:/srv/**"])
        },
        MintRequest {
            goal_id: long.clone(),
            ..mint_request(&["fs:*:/srv/**"])
        },
        mint_request(&[]),
        mint_request(&["nonsense"]),
        mint_request(&["fs:read:relative"]),
        MintRequest {
            ttl_ms: u64::MAX,
            ..mint_request(&["fs:*:/srv/**"])
        },
        MintRequest {
            capabilities: vec!["fs:read:/srv/**".into(); 100],
            ..mint_request(&[])
        },
    ];
    for mint in mints {
        codes.push(code(orchestrator.mint(mint).await));
    }
    let calls = [
        AuthorizeRequest::default(),
        AuthorizeRequest {
            key: None,
            ..good.clone()
        },
        AuthorizeRequest {
            key: Some(ExecutionKey {
                task_id: "x".into(),
                step: 1,
            }),
            ..good.clone()
        },
        AuthorizeRequest {
            key: Some(ExecutionKey {
                task_id: task.task.to_string(),
                step: 0,
            }),
            ..good.clone()
        },
        AuthorizeRequest {
            tool: "fs".into(),
            ..good.clone()
        },
        AuthorizeRequest {
            tool: "fs.../etc".into(),
            ..good.clone()
        },
        AuthorizeRequest {
            args_json: "[".into(),
            ..good.clone()
        },
        AuthorizeRequest {
            args_json: "[]".into(),
            ..good.clone()
        },
        AuthorizeRequest {
            args_json: "{\"n\":9007199254740993}".into(),
            ..good.clone()
        },
        AuthorizeRequest {
            required: vec![],
            ..good.clone()
        },
        AuthorizeRequest {
            required: vec!["fs:read:/srv/../etc".into()],
            ..good.clone()
        },
        AuthorizeRequest {
            required: vec!["fs:read:".into()],
            ..good.clone()
        },
    ];
    for call in calls {
        codes.push(code(tools.authorize(call).await));
    }
    codes.push(code(tools.attenuate(AttenuateRequest::default()).await));
    codes.push(code(tools.record_outcome(RecordOutcomeRequest::default()).await));
    let outcome = RecordOutcomeRequest {
        status: "perhaps".into(),
        ..outcome(&good, 0)
    };
    codes.push(code(tools.record_outcome(outcome).await));
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
        codes.push(code(
            orchestrator
                .record(RecordRequest {
                    kind: kind.into(),
                    ..RecordRequest::default()
                })
                .await,
        ));
    }
    for details in ["[]", "{", &format!("{{\"x\":\"{long}\"}}")] {
        let record = RecordRequest {
            kind: "a.b".into(),
            details_json: details.into(),
            ..RecordRequest::default()
        };
        codes.push(code(orchestrator.record(record).await));
    }
    codes.push(code(root.explain(ExplainRequest::default()).await));
    codes.push(code(
        root.explain(ExplainRequest {
            tool: "fs.x".into(),
            args_json: "[".into(),
            ..ExplainRequest::default()
        })
        .await,
    ));
    codes.push(code(
        root.list_approvals(ListApprovalsRequest {
            goal_id: "x".into(),
            ..ListApprovalsRequest::default()
        })
        .await,
    ));
    codes.push(code(
        root.get_approval(GetApprovalRequest {
            approval_id: "x".into(),
        })
        .await,
    ));
    codes.push(code(
        root.get_approval(GetApprovalRequest {
            approval_id: task.task.to_string(),
        })
        .await,
    ));
    codes.push(code(root.decide_approval(DecideApprovalRequest::default()).await));
    codes.push(code(
        orchestrator
            .withdraw_approvals(WithdrawApprovalsRequest { goal_id: "x".into() })
            .await,
    ));
    codes.push(code(orchestrator.revoke(RevokeRequest::default()).await));
    codes.push(code(
        orchestrator
            .revoke(RevokeRequest {
                token_id: "zz".into(),
                ..RevokeRequest::default()
            })
            .await,
    ));
    codes.push(code(root.emergency_stop(EmergencyStopRequest::default()).await));
    codes.push(code(root.resume(ResumeRequest::default()).await));
    codes.push(code(root.enrol_person(EnrolPersonRequest::default()).await));
    codes.push(code(
        root.enrol_person(EnrolPersonRequest {
            public_key: vec![0; 32],
            name: "x".into(),
            ..EnrolPersonRequest::default()
        })
        .await,
    ));
    codes.push(code(root.create_sign_in(CreateSignInRequest::default()).await));
    codes.push(code(
        console
            .redeem_sign_in(RedeemSignInRequest { code: "\u{0}".into() })
            .await,
    ));
    codes.push(code(
        console
            .check_session(CheckSessionRequest { secret: vec![] })
            .await,
    ));
    codes.push(code(
        console
            .end_session(EndSessionRequest { secret: vec![9; 5] })
            .await,
    ));
    codes.push(code(
        root.audit_tail(AuditTailRequest {
            from_seq: u64::MAX,
            ..AuditTailRequest::default()
        })
        .await,
    ));
    codes.push(code(
        root.audit_tail(AuditTailRequest {
            goal_id: "x".into(),
            ..AuditTailRequest::default()
        })
        .await,
    ));
    codes.push(code(root.audit_get(AuditGetRequest { seq: u64::MAX }).await));
    codes.push(code(root.audit_prove(AuditProveRequest { seq: 1 << 40 }).await));
    codes.push(code(root.audit_forget(AuditForgetRequest::default()).await));
    for code in codes {
        assert!(
            code.starts_with("AIOS-") && !code.starts_with("AIOS-RPC"),
            "{code}"
        );
    }
    receipt(authorize(&mut tools, good).await);
    instance.stop();
    instance.verify();
}
