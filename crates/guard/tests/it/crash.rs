//! Kills at every point of a call, and a full disk: nothing doubled, nothing lost, no panic.

use crate::common::*;
use aios_auth::receipt::ReceiptBody;
use aios_proto::guard::v1::*;
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
