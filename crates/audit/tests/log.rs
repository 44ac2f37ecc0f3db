//! The log as its users see it: append, read, prove, forget, export, reopen.
#![cfg(test)]

use aios_audit::payload::Side;
use aios_audit::verify::{verify_dir, verify_file};
use aios_audit::{AuditError, Durability, Log, Options, Record};
use aios_core::clock::{ManualClock, SystemClock};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

fn options() -> Options {
    Options {
        segment_bytes: 20_000,
        ..Options::default()
    }
}

async fn fill(log: &Log, from: u64, to: u64) {
    for number in from..to {
        let durability = if number % 3 == 0 {
            Durability::Durable
        } else {
            Durability::Within20ms
        };
        let receipt = log
            .append(Record::new("test").with("number", number), durability)
            .await
            .unwrap();
        assert_eq!(receipt.seq, number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_proved_across_segments_blocks_and_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("audit");
    for round in 0..3_u64 {
        let log = Log::open_with(&root, SystemClock, options()).unwrap();
        assert_eq!(log.size(), round * 900);
        fill(&log, round * 900, (round + 1) * 900).await;
        for seq in [0, 1, 899, round * 900, (round + 1) * 900 - 1, 1023, 1024, 2047] {
            if seq < log.size() {
                let proof = log.prove(seq).await.unwrap();
                assert!(proof.verify(), "record {seq} of {}", log.size());
                assert_eq!(proof.entry, log.get(seq).await.unwrap());
            }
        }
        log.close().await.unwrap();
        let report = verify_dir(&root, None).unwrap();
        assert!(report.ok(), "{:?}", report.findings);
        assert_eq!((report.records, report.unsigned), ((round + 1) * 900, 0));
    }
    assert!(std::fs::read_dir(root.join("segments")).unwrap().count() > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_of_another_record_does_not_verify() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path(), SystemClock).unwrap();
    fill(&log, 0, 50).await;
    let mut proof = log.prove(7).await.unwrap();
    assert!(proof.verify());
    proof.entry = log.get(8).await.unwrap();
    assert!(!proof.verify());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_are_answered_in_one_order_without_gaps() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path(), SystemClock).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..32 {
        let log = log.clone();
        tasks.spawn(async move {
            let mut seqs = Vec::new();
            for _ in 0..20 {
                seqs.push(
                    log.append(Record::new("test").with("caller", caller), Durability::Durable)
                        .await
                        .unwrap()
                        .seq,
                );
            }
            assert!(seqs.is_sorted());
            seqs
        });
    }
    let mut all: Vec<u64> = tasks.join_all().await.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (0..640).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_follows_and_reads_each_record_once() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path(), SystemClock).unwrap();
    fill(&log, 0, 300).await;
    let mut tail = log.tail(10);
    let follower = async {
        let mut seqs = Vec::new();
        while seqs.len() < 590 {
            seqs.extend(tail.next().await.unwrap().into_iter().map(|entry| entry.seq));
        }
        seqs
    };
    let (seqs, ()) = tokio::join!(follower, fill(&log, 300, 600));
    assert_eq!(seqs, (10..600).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_payload_is_gone_from_disk_and_the_chain_still_verifies() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path(), SystemClock).unwrap();
    let secret = b"{\"path\":\"/home/ada/diary\"}".to_vec();
    let record = Record {
        input: Some(secret.clone()),
        output: Some(b"ok".to_vec()),
        ..Record::new("intent")
    };
    let seq = log.append(record, Durability::Durable).await.unwrap().seq;
    assert_eq!(log.payload(seq, Side::Input).await.unwrap(), secret);
    assert_eq!(log.payload(seq, Side::Output).await.unwrap(), b"ok");
    assert!(!contains(directory.path(), &secret), "payloads are encrypted");
    assert!(log.forget(seq).await.unwrap());
    assert!(!log.forget(seq).await.unwrap());
    assert!(matches!(
        log.payload(seq, Side::Input).await,
        Err(AuditError::NoPayload { seq: 0 })
    ));
    assert!(matches!(
        log.forget(99).await,
        Err(AuditError::NoSuchRecord { seq: 99, .. })
    ));
    assert!(log.prove(seq).await.unwrap().verify());
    log.close().await.unwrap();
    assert!(verify_dir(directory.path(), None).unwrap().ok());
}

fn contains(directory: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            contains(&path, needle)
        } else {
            std::fs::read(path)
                .unwrap()
                .windows(needle.len())
                .any(|window| window == needle)
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_verifies_elsewhere_and_every_flipped_bit_of_it_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path().join("audit"), SystemClock).unwrap();
    fill(&log, 0, 2).await;
    let anchor = log.checkpoint().await.unwrap().note();
    fill(&log, 2, 3).await;
    let path = directory.path().join("export");
    assert_eq!(
        log.export(std::fs::File::create(&path).unwrap()).await.unwrap(),
        3
    );
    let report = verify_file(&path, Some(&anchor)).unwrap();
    assert!(report.ok(), "{:?}", report.findings);
    let content = std::fs::read(&path).unwrap();
    for bit in 0..content.len() * 8 {
        let mut flipped = content.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, flipped).unwrap();
        assert!(
            verify_file(&path, Some(&anchor)).map_or(true, |report| !report.ok()),
            "bit {bit}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_back_is_recorded_and_numbers_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(10_000));
    let log = Log::open(directory.path(), clock.clone()).unwrap();
    log.append(Record::new("a"), Durability::Durable).await.unwrap();
    clock.advance(-4_000);
    assert_eq!(
        log.append(Record::new("b"), Durability::Durable)
            .await
            .unwrap()
            .seq,
        2
    );
    let note = log.get(1).await.unwrap();
    assert_eq!((note.kind.as_str(), note.time_ms), ("clock.backwards", 6_000));
    log.close().await.unwrap();
    assert!(verify_dir(directory.path(), None).unwrap().ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_can_read_the_log_and_each_checkpoint_destroys_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("audit");
    let log = Log::open(&root, SystemClock).unwrap();
    fill(&log, 0, 1).await;
    log.checkpoint().await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&root), 0o700);
    assert_eq!(mode(&root.join("keys/current")), 0o600);
    let before = std::fs::read(root.join("keys/current")).unwrap();
    fill(&log, 1, 2).await;
    log.checkpoint().await.unwrap();
    assert!(!contains(&root, &before[2..]), "the old key is nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_or_altered_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("audit");
    let log = Log::open(&root, SystemClock).unwrap();
    fill(&log, 0, 5).await;
    log.checkpoint().await.unwrap();
    let copy = directory.path().join("copy");
    copy_tree(&root, &copy);
    fill(&log, 5, 9).await;
    log.close().await.unwrap();
    let keys = |from: &Path, to: &Path| {
        std::fs::copy(from.join("keys/current"), to.join("keys/current")).unwrap();
    };
    keys(&root, &copy);
    assert!(matches!(
        Log::open(&copy, SystemClock),
        Err(AuditError::KeyMismatch { .. })
    ));
    let segment = root.join("segments/00000000000000000000.log");
    let mut content = std::fs::read(&segment).unwrap();
    content[700] ^= 1;
    std::fs::write(&segment, content).unwrap();
    let error = Log::open(&root, SystemClock).unwrap_err();
    assert!(matches!(error, AuditError::Altered { .. }), "{error}");
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_payload_of_a_read_is_there_at_once_and_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path(), SystemClock).unwrap();
    for number in 0..50_u64 {
        let record = Record {
            input: Some(number.to_string().into_bytes()),
            ..Record::new("read")
        };
        let seq = log.append(record, Durability::Within20ms).await.unwrap().seq;
        let payload = log.payload(seq, Side::Input).await.unwrap();
        assert_eq!(payload, number.to_string().into_bytes());
    }
    let forgotten = log.append(
        Record {
            input: Some(b"secret".to_vec()),
            ..Record::new("read")
        },
        Durability::Within20ms,
    );
    let forgotten = forgotten.await.unwrap().seq;
    assert!(log.forget(forgotten).await.unwrap());
    log.close().await.unwrap();
    let log = Log::open(directory.path(), SystemClock).unwrap();
    assert_eq!(log.payload(49, Side::Input).await.unwrap(), b"49");
    let gone = log.payload(forgotten, Side::Input).await;
    assert!(matches!(gone, Err(AuditError::NoPayload { .. })), "{gone:?}");
}

/// Reads are written by those who append them, changes by the thread: together they are still one chain.
#[tokio::test(flavor = "multi_thread")]
async fn reads_and_changes_from_many_callers_make_one_chain() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open_with(directory.path(), SystemClock, options()).unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..16_u64 {
        let log = log.clone();
        callers.spawn(async move {
            let mut seqs = Vec::new();
            for number in 0..200_u64 {
                let durability = match (caller + number) % 4 {
                    0 => Durability::Durable,
                    _ => Durability::Within20ms,
                };
                let record = Record {
                    input: Some(number.to_string().into_bytes()),
                    ..Record::new("test")
                };
                seqs.push(log.append(record, durability).await.unwrap().seq);
            }
            seqs
        });
    }
    let mut seqs: Vec<u64> = callers.join_all().await.concat();
    seqs.sort_unstable();
    assert_eq!(seqs, (0..3200).collect::<Vec<_>>());
    log.close().await.unwrap();
    let report = verify_dir(directory.path(), None).unwrap();
    assert!(report.ok(), "{:?}", report.findings);
    assert_eq!((report.records, report.unsigned), (3200, 0));
}
