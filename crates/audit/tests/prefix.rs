//! A log that is copied while it is written.
#![cfg(test)]

use aios_audit::verify::verify_dir;
use aios_audit::{Durability, Log, Options, Prefix, Record};
use aios_core::clock::SystemClock;
use std::fs;
use std::path::Path;
use std::time::Duration;

fn options() -> Options {
    Options {
        segment_bytes: 20_000,
        checkpoint_after: Duration::from_millis(20),
        ..Options::default()
    }
}

/// Writes down what the prefix names.
fn copy(log: &Path, prefix: &Prefix, to: &Path) {
    fs::create_dir_all(to.join("segments")).unwrap();
    fs::create_dir_all(to.join("keys")).unwrap();
    fs::write(to.join("anchor.pub"), &prefix.anchor).unwrap();
    fs::write(to.join("keys/current"), &*prefix.key).unwrap();
    let cut = |from: &Path, bytes: u64| fs::read(from).unwrap()[..usize::try_from(bytes).unwrap()].to_vec();
    if let Some(head) = &prefix.head {
        fs::write(to.join("HEAD"), head.note()).unwrap();
        let checkpoints = cut(&log.join("checkpoints.log"), prefix.checkpoints);
        fs::write(to.join("checkpoints.log"), checkpoints).unwrap();
    }
    for (segment, bytes) in &prefix.segments {
        let name = segment.file_name().unwrap();
        fs::write(to.join("segments").join(name), cut(segment, *bytes)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_moment_of_a_log_at_work_is_a_log_that_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("log");
    let log = Log::open_with(&directory, SystemClock, options()).unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..4 {
        let log = log.clone();
        writers.spawn(async move {
            let kinds = [Durability::Durable, Durability::Within20ms];
            loop {
                let record = Record::new("test").with("padding", "x".repeat(number * 90));
                log.append(record, kinds[number % 2]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
    let (mut heads, mut copies) = (0, Vec::new());
    for round in 0..8 {
        // Often, so that many of them meet a checkpoint that is being signed.
        for _ in 0..40 {
            assert!(Prefix::read(&directory).unwrap().is_some());
        }
        let prefix = Prefix::read(&directory).unwrap().expect("a log");
        let place = home.path().join(round.to_string());
        copy(&directory, &prefix, &place);
        heads += u32::from(prefix.head.is_some());
        copies.push(place);
        tokio::time::sleep(Duration::from_millis(37)).await;
    }
    writers.shutdown().await;
    assert!(heads > 0, "checkpoints were signed meanwhile: {heads}");
    for place in copies {
        let report = verify_dir(&place, None).unwrap();
        assert!(report.ok(), "{}: {:?}", place.display(), report.findings);
        let again = Log::open_with(&place, SystemClock, options()).unwrap();
        again
            .append(Record::new("test.more"), Durability::Durable)
            .await
            .unwrap();
        assert!(again.checkpoint().await.unwrap().verify());
        again.close().await.unwrap();
        let report = verify_dir(&place, None).unwrap();
        assert!(report.ok(), "{} gone on with", place.display());
    }
}

#[test]
fn no_log_has_no_prefix() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(Prefix::read(&home.path().join("none")).unwrap(), None);
}

#[tokio::test]
async fn refused_when_the_key_belongs_to_another_log() {
    let home = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        let log = Log::open(home.path().join(name), SystemClock).unwrap();
        log.append(Record::new("test"), Durability::Durable)
            .await
            .unwrap();
        log.close().await.unwrap();
    }
    let (one, two) = (home.path().join("one"), home.path().join("two"));
    fs::copy(two.join("keys/current"), one.join("keys/current")).unwrap();
    let error = Prefix::read(&one).unwrap_err();
    assert!(error.to_string().contains("cut or replaced"), "{error}");
}
