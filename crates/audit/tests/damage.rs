//! Every kind of damage is found, and named.
#![cfg(test)]

use aios_audit::verify::{Finding, verify_dir};
use aios_audit::{Durability, Log, Options, Record};
use aios_core::clock::SystemClock;
use std::fs;
use std::path::{Path, PathBuf};

/// A closed log of `count` records in segments of about `segment_bytes`, with a checkpoint every `every`.
/// Returns the heads.
async fn make(root: &Path, count: u64, every: u64, segment_bytes: u64) -> Vec<String> {
    let log = Log::open_with(
        root,
        SystemClock,
        Options {
            segment_bytes,
            ..Options::default()
        },
    )
    .unwrap();
    let mut heads = Vec::new();
    for number in 0..count {
        log.append(Record::new("test").with("number", number), Durability::Within20ms)
            .await
            .unwrap();
        if (number + 1) % every == 0 {
            heads.push(log.checkpoint().await.unwrap().note());
        }
    }
    log.close().await.unwrap();
    assert!(verify_dir(root, heads.first().map(String::as_str)).unwrap().ok());
    heads
}

fn first_segment(root: &Path) -> PathBuf {
    root.join("segments/00000000000000000000.log")
}

fn lines(root: &Path) -> Vec<String> {
    fs::read_to_string(first_segment(root))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn write(root: &Path, lines: &[String]) {
    fs::write(first_segment(root), lines.join("\n") + "\n").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_bit_of_every_file_is_found_and_the_record_named() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    make(root, 4, 4, 700).await;
    for entry in fs::read_dir(root.join("segments")).unwrap() {
        let path = entry.unwrap().path();
        let first: u64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let content = fs::read(&path).unwrap();
        for bit in 0..content.len() * 8 {
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &flipped).unwrap();
            let report = verify_dir(root, None).unwrap();
            let hit = first + content[..bit / 8].iter().filter(|byte| **byte == b'\n').count() as u64;
            let named = report.findings.iter().any(|finding| match finding {
                Finding::Altered { record } | Finding::Malformed { record } => *record == hit,
                _ => false,
            });
            assert!(
                named,
                "bit {bit} of {}, record {hit}: {:?}",
                path.display(),
                report.findings
            );
        }
        fs::write(&path, content).unwrap();
    }
    for name in ["checkpoints.log", "anchor.pub", "HEAD"] {
        let path = root.join(name);
        let content = fs::read(&path).unwrap();
        for bit in 0..content.len() * 8 {
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &flipped).unwrap();
            assert!(!verify_dir(root, None).unwrap().ok(), "bit {bit} of {name}");
        }
        fs::write(&path, content).unwrap();
    }
    assert!(verify_dir(root, None).unwrap().ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_repetition_and_exchange_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    make(root, 12, 4, 1 << 20).await;
    let whole = lines(root);
    let found = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = whole.clone();
        change(&mut lines);
        write(root, &lines);
        verify_dir(root, None).unwrap().findings
    };
    for at in 0..11 {
        let findings = found(&|lines| drop(lines.remove(at)));
        let at = at as u64;
        assert_eq!(findings, [Finding::Missing { from: at, to: at }]);
    }
    assert_eq!(
        found(&|lines| drop(lines.pop())),
        [Finding::Missing { from: 11, to: 11 }]
    );
    assert_eq!(
        found(&|lines| drop(lines.drain(3..7))),
        [Finding::Missing { from: 3, to: 6 }]
    );
    assert_eq!(
        found(&|lines| lines.insert(6, lines[5].clone())),
        [Finding::OutOfPlace { record: 5, place: 6 }]
    );
    let swapped = found(&|lines| lines.swap(4, 5));
    assert!(
        swapped.contains(&Finding::OutOfPlace { record: 4, place: 6 }),
        "{swapped:?}"
    );
    let findings = found(&|lines| lines.clear());
    assert!(!findings.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_spliced_in_from_another_log_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (root, other) = (directory.path().join("a"), directory.path().join("b"));
    make(&root, 9, 3, 1 << 20).await;
    make(&other, 9, 3, 1 << 20).await;
    let (mut own, foreign) = (lines(&root), lines(&other));
    own[4].clone_from(&foreign[4]);
    write(&root, &own);
    assert_eq!(
        verify_dir(&root, None).unwrap().findings,
        [Finding::Altered { record: 4 }]
    );
    write(&root, &foreign);
    assert!(
        verify_dir(&root, None)
            .unwrap()
            .findings
            .contains(&Finding::ForeignStart)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_made_anew_is_found_by_the_signed_root() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    make(root, 9, 3, 1 << 20).await;
    let mut forged = lines(root);
    forged[4] = forged[4].replace("\"number\":4", "\"number\":44");
    for at in 5..9 {
        let prev = aios_audit::hash::leaf(forged[at - 1].as_bytes()).to_string();
        let start = forged[at].find("\"prev\":\"").unwrap() + 8;
        forged[at].replace_range(start..start + 64, &prev);
    }
    write(root, &forged);
    let findings = verify_dir(root, None).unwrap().findings;
    assert!(
        findings
            .iter()
            .any(|finding| matches!(finding, Finding::Rewritten { from: 3, to: 5, .. })),
        "{findings:?}"
    );
}

/// Cuts the log so that it ends with a checkpoint, everywhere.
fn cut(root: &Path, heads: &[String], keep: usize, records: usize) {
    let text = fs::read_to_string(root.join("checkpoints.log")).unwrap();
    let kept: Vec<&str> = text.lines().take(keep).collect();
    fs::write(root.join("checkpoints.log"), kept.join("\n") + "\n").unwrap();
    write(root, &lines(root)[..records]);
    fs::write(root.join("HEAD"), &heads[0]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_cut_at_a_checkpoint_is_found_by_an_anchor_and_by_its_own_key() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let heads = make(root, 9, 3, 1 << 20).await;
    let count = fs::read_to_string(root.join("checkpoints.log"))
        .unwrap()
        .lines()
        .count();
    let before = count - 2;
    cut(root, &heads, before, 3);
    let findings = verify_dir(root, None).unwrap().findings;
    assert!(matches!(findings[..], [Finding::KeyAhead { .. }]), "{findings:?}");
    fs::remove_file(root.join("keys/current")).unwrap();
    assert!(
        verify_dir(root, None).unwrap().ok(),
        "without key and anchor nothing shows"
    );
    let findings = verify_dir(root, Some(&heads[2])).unwrap().findings;
    assert_eq!(findings, [Finding::AnchorAhead { anchor: 9, log: 3 }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_log_in_its_place_is_found_by_an_anchor() {
    let directory = tempfile::tempdir().unwrap();
    let (root, other) = (directory.path().join("a"), directory.path().join("b"));
    let heads = make(&root, 3, 3, 1 << 20).await;
    make(&other, 3, 3, 1 << 20).await;
    assert_eq!(
        verify_dir(&other, Some(&heads[0])).unwrap().findings,
        [Finding::AnchorForeign]
    );
    // All but the last line end, which may get lost in copying.
    for bit in 0..(heads[0].len() - 1) * 8 {
        let mut note = heads[0].clone().into_bytes();
        note[bit / 8] ^= 1 << (bit % 8);
        let note = String::from_utf8_lossy(&note).into_owned();
        assert!(
            !verify_dir(&root, Some(&note)).unwrap().ok(),
            "bit {bit} of the anchor"
        );
    }
    assert_eq!(
        verify_dir(&root, Some("nonsense")).unwrap().findings,
        [Finding::AnchorUnreadable]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_segment_and_missing_checkpoints_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    make(root, 30, 5, 900).await;
    let mut segments: Vec<_> = fs::read_dir(root.join("segments"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.sort();
    let content = fs::read(&segments[1]).unwrap();
    fs::remove_file(&segments[1]).unwrap();
    let findings = verify_dir(root, None).unwrap().findings;
    assert!(matches!(findings[0], Finding::Missing { .. }), "{findings:?}");
    fs::write(&segments[1], content).unwrap();
    let text = fs::read_to_string(root.join("checkpoints.log")).unwrap();
    let mut kept: Vec<&str> = text.lines().collect();
    kept.remove(2);
    fs::write(root.join("checkpoints.log"), kept.join("\n") + "\n").unwrap();
    assert_eq!(
        verify_dir(root, None).unwrap().findings,
        [Finding::CheckpointMissing { from: 2, to: 2 }]
    );
}
