//! A writer that is killed, and a disk that is full.
#![cfg(test)]

use aios_audit::verify::verify_dir;
use aios_audit::{AuditError, Durability, Log, Options, Record};
use aios_core::clock::SystemClock;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const DIRECTORY: &str = "AIOS_TEST_AUDIT_DIR";

fn directory() -> PathBuf {
    std::env::var_os(DIRECTORY)
        .expect("run by its parent test")
        .into()
}

fn options() -> Options {
    Options {
        segment_bytes: 50_000,
        checkpoint_after: Duration::from_millis(3),
        ..Options::default()
    }
}

/// Runs one of the ignored tests of this file in a process of its own.
fn child(test: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(DIRECTORY, directory);
    command
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child of `what_was_answered_as_durable_survives_kill_nine`"]
async fn child_that_writes_until_it_is_killed() {
    let log = Log::open_with(directory(), SystemClock, options()).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let log = log.clone();
        tasks.spawn(async move {
            loop {
                let receipt = log
                    .append(Record::new("test"), Durability::Durable)
                    .await
                    .unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "durable {} {}", receipt.seq, receipt.leaf).unwrap();
                out.flush().unwrap();
            }
        });
    }
    tasks.join_next().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_as_durable_survives_kill_nine() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("audit");
    let mut anchor: Option<String> = None;
    for round in 0..25_u64 {
        let mut child = child("child_that_writes_until_it_is_killed", &root)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut answered: Vec<(u64, String)> = Vec::new();
        let wanted = usize::try_from(5 + round * 7).unwrap();
        while let Some(Ok(line)) = lines.next() {
            if let Some((seq, leaf)) = line
                .strip_prefix("durable ")
                .and_then(|rest| rest.split_once(' '))
            {
                answered.push((seq.parse().unwrap(), leaf.to_owned()));
            }
            if answered.len() == wanted {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(answered.len() >= wanted);
        let report = verify_dir(&root, anchor.as_deref()).unwrap();
        assert!(report.ok(), "round {round}: {:?}", report.findings);
        let log = Log::open_with(&root, SystemClock, options()).unwrap();
        for (seq, leaf) in answered {
            assert_eq!(log.get(seq).await.unwrap().leaf.to_string(), leaf, "record {seq}");
        }
        log.close().await.unwrap();
        let report = verify_dir(&root, anchor.as_deref()).unwrap();
        assert!(
            report.ok() && report.unsigned == 0,
            "round {round}: {:?}",
            report.findings
        );
        anchor = report.head;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_last_line_is_cut_off_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path(), SystemClock).unwrap();
    log.append(Record::new("test"), Durability::Durable)
        .await
        .unwrap();
    log.close().await.unwrap();
    let segment = directory.path().join("segments/00000000000000000000.log");
    let mut file = std::fs::OpenOptions::new().append(true).open(&segment).unwrap();
    file.write_all(b"{\"kind\":\"te").unwrap();
    let log = Log::open(directory.path(), SystemClock).unwrap();
    let mut tail = log.tail(1);
    let note = tail.next().await.unwrap().remove(0);
    assert_eq!(note.kind, "audit.torn_end");
    log.close().await.unwrap();
    assert!(verify_dir(directory.path(), None).unwrap().ok());
}

/// Fills the log until it refuses, makes room, and checks that it goes on by itself with nothing lost.
async fn fill_refuse_recover(root: &Path, make_room: impl FnOnce()) {
    let log = Log::open_with(
        root,
        SystemClock,
        Options {
            segment_bytes: 1 << 30,
            ..Options::default()
        },
    )
    .unwrap();
    let record = || Record::new("test").with("filler", "x".repeat(2_000));
    let mut accepted = Vec::new();
    let error = loop {
        match log.append(record(), Durability::Durable).await {
            Ok(receipt) => accepted.push(receipt),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AuditError::NotWritable { .. }), "{error}");
    assert!(log.watch_problem().borrow().is_some());
    assert!(matches!(
        log.append(record(), Durability::Within20ms).await,
        Err(AuditError::NotWritable { .. })
    ));
    make_room();
    log.watch_problem().wait_for(Option::is_none).await.unwrap();
    let next = log.append(record(), Durability::Durable).await.unwrap();
    assert_eq!(next.seq, accepted.len() as u64 + 1);
    assert_eq!(
        log.get(accepted.len() as u64).await.unwrap().kind,
        "audit.recovered"
    );
    for receipt in accepted {
        assert_eq!(log.get(receipt.seq).await.unwrap().leaf, receipt.leaf);
    }
    log.close().await.unwrap();
    let report = verify_dir(root, None).unwrap();
    assert!(report.ok(), "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child of `a_file_size_limit_is_refused_and_survived`"]
async fn child_with_a_file_size_limit() {
    fill_refuse_recover(&directory(), || {
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, hard, hard).unwrap();
    })
    .await;
}

#[test]
fn a_file_size_limit_is_refused_and_survived() {
    let directory = tempfile::tempdir().unwrap();
    // The shell ignores SIGXFSZ for its child, so that the limit shows as an error of the write.
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 600; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child_with_a_file_size_limit", "--ignored"])
        .env(DIRECTORY, directory.path())
        .status()
        .unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_refused_and_survived() {
    // Mounting a small tmpfs takes root.
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mount = directory.path().join("disk");
    std::fs::create_dir(&mount).unwrap();
    nix::mount::mount(
        Some("tmpfs"),
        &mount,
        Some("tmpfs"),
        nix::mount::MsFlags::empty(),
        Some("size=2m"),
    )
    .unwrap();
    let ballast = mount.join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let root = mount.join("audit");
    fill_refuse_recover(&root, || std::fs::remove_file(&ballast).unwrap()).await;
    nix::mount::umount(&mount).unwrap();
}
