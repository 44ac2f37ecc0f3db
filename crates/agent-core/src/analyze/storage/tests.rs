//! The analyzers on evidence as the tools give it.

use super::super::testing::{causes, tell};
use serde_json::json;

/// As fs.disk_usage says it.
fn usage(total: u64, free: u64) -> serde_json::Value {
    json!({
        "path": "/srv", "bytes": total - free, "apparent_bytes": 7, "files": 12, "dirs": 3, "skipped": 0,
        "fs_total_bytes": total, "fs_free_bytes": free,
    })
}

#[test]
fn a_disk_is_full_filling_or_fine() {
    for (free, cause) in [
        (0, Some("disk_full")),
        (50_000, Some("disk_full")),
        (50_001, Some("disk_filling")),
        (150_000, Some("disk_filling")),
        (500_000, None),
    ] {
        let analysis = tell("disk_full", &[("usage", usage(1_000_000, free))], json!({}));
        let found: Vec<&str> = causes(&analysis).iter().map(|(cause, _)| *cause).collect();
        assert_eq!(found, cause.into_iter().collect::<Vec<_>>(), "{free}");
    }
}

#[test]
fn what_may_go_is_a_value_only_when_there_is_any() {
    let none = json!({"root": "/srv", "files": [], "total_bytes": 0, "matched": 0, "kept": 0,
        "truncated": false, "skipped": 0});
    let some = json!({"root": "/srv", "total_bytes": 900, "matched": 2, "kept": 0, "truncated": false,
    "skipped": 0, "files": [
        {"path": "/srv/a.log.1", "kind": "file", "size": 400, "mtime_ms": 1},
        {"path": "/srv/b.log.1", "kind": "file", "size": 500, "mtime_ms": 2},
    ]});
    let of = |old: serde_json::Value| {
        let parts = [("usage", usage(1000, 10)), ("old", old)];
        tell("disk_full", &parts, json!({})).findings.remove(0).values
    };
    assert!(!of(none).contains_key("paths"));
    let values = of(some);
    assert_eq!(values["paths"], json!(["/srv/a.log.1", "/srv/b.log.1"]));
    assert_eq!(values["wanted_free_bytes"], 460);
}

#[test]
fn consumers_are_named_with_their_share_and_small_ones_are_not() {
    let of = |path: &str, bytes: u64| json!({"path": path, "bytes": bytes, "fs_total_bytes": 1, "fs_free_bytes": 1});
    let usages = json!([of("/srv/a", 10), of("/srv/b", 700), {"failed": {"code": "x", "message": "y"}}]);
    let parts = [("usages", usages), ("whole", of("/srv", 1000))];
    let analysis = tell("biggest_consumers", &parts, json!({}));
    assert_eq!(causes(&analysis), [("biggest_consumers", "/srv")]);
    assert_eq!(analysis.findings[0].values["paths"], json!(["/srv/b"]));
    assert!(analysis.findings[0].title.contains("/srv/b 700 B (70%)"));
}

#[test]
fn the_kernels_own_trees_are_not_measured() {
    let entries = json!({"path": "/", "truncated": false, "unnamed": 0, "entries": [
        {"name": "proc", "kind": "dir", "size": 0, "mtime_ms": 0},
        {"name": "var", "kind": "dir", "size": 0, "mtime_ms": 0},
        {"name": "swapfile", "kind": "file", "size": 0, "mtime_ms": 0},
    ]});
    let analysis = tell("subdirectories", &[("entries", entries)], json!({}));
    assert_eq!(analysis.findings[0].values["paths"], json!(["/var"]));
}
