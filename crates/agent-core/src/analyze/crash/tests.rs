//! The analyzers on evidence as the tools give it.

use super::super::testing::{causes, tell};
use crate::model::finding::Analysis;
use serde_json::{Value, json};

/// As service.status says it of a service that ended a moment after its start.
fn status(state: &str, exit: Value) -> Value {
    json!({
        "service": {"name": "shop", "description": "", "state": state, "enabled": true, "core": false,
            "pid": null, "restarts": 4, "last_exit": exit["how"]},
        "status": "", "wanted": true, "run": 5, "started_ms": 10_000, "ready_since_ms": null,
        "next_start_ms": null, "exits": [exit], "memory_bytes": 0, "memory_limit_bytes": null, "cpu_ms": 3,
        "command": ["/opt/shop/bin/shopd", "--config", "/etc/shop.toml", "--port", "8080"],
        "working_directory": "/srv/shop", "user": "shop", "group": "", "groups": [], "needs": ["db"],
    })
}

fn exit(how: &str, code: Option<i64>, signal: Option<i64>, oom: bool) -> Value {
    json!({"time_ms": 10_500, "how": how, "code": code, "signal": signal, "was_ready": false, "ran_ms": 500,
        "asked": false, "out_of_memory": oom})
}

fn logs(lines: &[&str]) -> Value {
    let lines: Vec<Value> = lines
        .iter()
        .map(|text| json!({"time_ms": 10_400, "text": text}))
        .collect();
    json!({"lines": lines, "left_out": 0})
}

fn crash(lines: &[&str]) -> Analysis {
    let parts = [
        ("status", status("backoff", exit("exit 1", Some(1), None, false))),
        ("logs", logs(lines)),
    ];
    tell("service_crash", &parts, json!({}))
}

#[test]
fn each_cause_is_told_from_what_was_written() {
    for (line, cause, subject) in [
        (
            "PermissionError: [Errno 13] Permission denied: '/srv/shop/db'",
            "path_suspect",
            "/srv/shop/db",
        ),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/run/shop/x'",
            "path_suspect",
            "/run/shop/x",
        ),
        (
            "tomllib.TOMLDecodeError: Invalid value (at line 2, column 8)",
            "bad_config_line",
            "/etc/shop.toml",
        ),
        (
            "ModuleNotFoundError: No module named 'flask'",
            "missing_library",
            "flask",
        ),
        ("MemoryError", "out_of_memory", "shop"),
        (
            "OSError: [Errno 30] Read-only file system: '/srv/x'",
            "read_only_fs",
            "/srv/x",
        ),
        (
            "OSError: [Errno 28] No space left on device: '/srv/x'",
            "disk_full",
            "/srv/x",
        ),
        (
            "connection to 127.0.0.1 port 5432 failed: Connection refused",
            "dependency_down",
            "shop",
        ),
        (
            "OSError: [Errno 98] Address already in use",
            "port_taken",
            "port 8080",
        ),
        ("good bye", "unknown_crash", "shop"),
    ] {
        let analysis = crash(&["shopd starts", line]);
        assert_eq!(causes(&analysis), [(cause, subject)], "{line}");
        assert!(
            cause == "out_of_memory" || !analysis.findings[0].evidence.is_empty(),
            "{line}"
        );
    }
}

#[test]
fn who_has_the_port_is_named() {
    let listening = json!({"count": 1, "sockets": [{"protocol": "tcp", "local": "0.0.0.0:8080", "remote": "*",
        "state": "listen", "waiting_bytes": 0, "unsent_bytes": 0,
        "owner": {"uid": 33, "user": "web", "pids": [4711], "program": "python3", "known": true}}]});
    let parts = [
        ("status", status("backoff", exit("exit 1", Some(1), None, false))),
        (
            "logs",
            logs(&["bind() to 0.0.0.0:8080 failed (98: Address already in use)"]),
        ),
        ("listening", listening),
    ];
    let analysis = tell("service_crash", &parts, json!({}));
    assert_eq!(causes(&analysis), [("port_busy", "port 8080")]);
    assert_eq!(analysis.findings[0].values["port"], 8080);
    assert!(analysis.findings[0].title.contains("python3 of web"));
}

#[test]
fn what_init_saw_goes_before_what_was_written() {
    for (exit, cause, subject, reason) in [
        (
            exit("signal 9", None, Some(9), true),
            "out_of_memory",
            "shop",
            None,
        ),
        (
            exit(
                "service shop: step `directory` failed: No such file or directory",
                None,
                None,
                false,
            ),
            "path_suspect",
            "/srv/shop",
            Some("workdir"),
        ),
        (
            exit(
                "service shop: step `exec` failed: No such file or directory",
                None,
                None,
                false,
            ),
            "path_suspect",
            "/opt/shop/bin/shopd",
            Some("program"),
        ),
        (
            exit("exit 127", Some(127), None, false),
            "path_suspect",
            "/opt/shop/bin/shopd",
            Some("program"),
        ),
    ] {
        let parts = [("status", status("failed", exit)), ("logs", logs(&["starting"]))];
        let analysis = tell("service_crash", &parts, json!({}));
        assert_eq!(causes(&analysis), [(cause, subject)]);
        let values = &analysis.findings[0].values;
        assert_eq!(values.get("reason").and_then(Value::as_str), reason);
    }
}

#[test]
fn what_it_needs_comes_first() {
    let services =
        json!({"services": [{"name": "db", "state": "failed"}, {"name": "other", "state": "failed"}]});
    let parts = [
        ("status", status("waiting", exit("exit 1", Some(1), None, false))),
        ("logs", logs(&["MemoryError"])),
        ("services", services),
    ];
    let analysis = tell("service_crash", &parts, json!({}));
    assert_eq!(causes(&analysis), [("dependency_down", "db")]);
}

#[test]
fn a_service_that_runs_is_well_whatever_stands_in_its_log() {
    let parts = [
        ("status", status("ready", exit("exit 1", Some(1), None, false))),
        (
            "logs",
            logs(&["PermissionError: [Errno 13] Permission denied: '/srv/shop/db'"]),
        ),
    ];
    assert!(tell("service_crash", &parts, json!({})).findings.is_empty());
}

#[test]
fn lines_of_earlier_runs_are_not_evidence_of_this_one() {
    let old = json!({"left_out": 0, "lines": [
        {"time_ms": 2_000, "text": "MemoryError"}, {"time_ms": 10_400, "text": "ModuleNotFoundError: No module named 'x'"},
        {"time_ms": 10_450, "text": "shopd ends"},
    ]});
    let parts = [
        ("status", status("backoff", exit("exit 1", Some(1), None, false))),
        ("logs", old),
    ];
    let analysis = tell("service_crash", &parts, json!({}));
    assert_eq!(causes(&analysis), [("missing_library", "x")]);
}

#[test]
fn every_directory_above_a_suspect_is_looked_at() {
    let analysis = crash(&["open(/srv/shop/db): Permission denied"]);
    assert_eq!(
        analysis.findings[0].values["paths"],
        json!(["/srv", "/srv/shop", "/srv/shop/db"])
    );
}
