//! The analyzers on evidence as the tools give it.

use super::super::testing::{causes, tell};
use super::http_date_s;
use serde_json::json;

#[test]
fn dates_of_servers_are_read() {
    for (text, seconds) in [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
        ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000),
        ("Sun, 22 Nov 2026 23:55:30 GMT", 1_795_391_730),
    ] {
        assert_eq!(http_date_s(text), Some(seconds), "{text}");
    }
    assert_eq!(http_date_s("yesterday"), None);
}

#[test]
fn a_clock_is_wrong_by_more_than_the_way_takes() {
    for (uptime, wrong) in [
        (1_709_208_000_000_i64, false),
        (1_709_208_020_000, false),
        (1_709_207_000_000, true),
    ] {
        let parts = [
            ("before", json!({"booted_ms": 0, "uptime_ms": uptime})),
            (
                "answer",
                json!({"headers": [{"name": "date", "value": "Thu, 29 Feb 2024 12:00:00 GMT"}], "elapsed_ms": 40}),
            ),
        ];
        let analysis = tell("clock_skew", &parts, json!({}));
        assert_eq!(!analysis.findings.is_empty(), wrong, "{uptime}");
    }
}

#[test]
fn modes_and_owners_get_the_mending_that_the_check_suggests() {
    let checked = json!({"root": "/srv", "total": 3, "truncated": false, "looked_at": 90, "skipped": 0, "findings": [
        {"path": "/srv/a", "kind": "file", "mode": "0666", "uid": 0, "gid": 0, "problem": "world_writable_file",
         "severity": "high", "why": "everybody may change it", "suggested_mode": "0644"},
        {"path": "/srv/b", "kind": "file", "mode": "0644", "uid": 7, "gid": 7, "problem": "wrong_owner",
         "severity": "medium", "why": "it belongs to x", "suggested_owner": "root:root"},
        {"path": "/srv/c", "kind": "file", "mode": "0644", "uid": 9, "gid": 7, "problem": "no_owner",
         "severity": "low", "why": "nobody has the number"},
    ]});
    let analysis = tell("permissions", &[("checked", checked)], json!({}));
    assert_eq!(
        causes(&analysis),
        [
            ("world_writable", "/srv/a"),
            ("wrong_file_owner", "/srv/b"),
            ("wrong_file_owner", "/srv/c")
        ]
    );
    assert_eq!(analysis.findings[0].values["mode"], "0644");
    assert_eq!(analysis.findings[1].values["owner"], "root");
    assert!(!analysis.findings[2].values.contains_key("owner"));
}

#[test]
fn a_surprise_loses_only_the_bits_that_give_rights() {
    let file = |path: &str, known: bool| {
        json!({"path": path, "mode": "4755", "uid": 0, "gid": 0, "set_uid": true, "set_gid": false,
            "capabilities": [], "known": known, "concerns": []})
    };
    let found = json!({"root": "/srv", "compared_with": "packages", "total": 2, "surprises": 1, "truncated": false,
        "looked_at": 9, "skipped": 0, "files": [file("/srv/x", false), file("/srv/su", true)]});
    let analysis = tell("suid_surprise", &[("found", found)], json!({}));
    assert_eq!(causes(&analysis), [("suid_surprise", "/srv/x")]);
    assert_eq!(analysis.findings[0].values["mode"], "0755");
}

#[test]
fn certificates_are_told_by_their_days() {
    for (left, valid, cause) in [
        (400, true, None),
        (30, true, Some("cert_expiring")),
        (-2, false, Some("cert_expired")),
        (90, false, Some("cert_not_yet_valid")),
    ] {
        let cert = json!({"path": "/etc/x.crt", "certificates": [
            {"subject": "CN=x", "days_left": left, "valid_now": valid}]});
        let analysis = tell("cert_expiring", &[("cert", cert)], json!({}));
        let told: Vec<&str> = causes(&analysis).iter().map(|(cause, _)| *cause).collect();
        assert_eq!(told, cause.into_iter().collect::<Vec<_>>(), "{left}");
    }
}

#[test]
fn packages_are_half_done_or_whole() {
    let list = |packages| json!({"packages": packages, "total": 1, "truncated": false});
    let half = list(json!([{"name": "shop", "version": "1", "state": "half_configured"}]));
    let analysis = tell("half_configured", &[("unsettled", half)], json!({}));
    assert!(analysis.findings[0].title.contains("shop (half_configured)"));
    assert!(
        tell("half_configured", &[("unsettled", list(json!([])))], json!({}))
            .findings
            .is_empty()
    );
}
