//! The analyzers on evidence as the tools give it.

use super::super::testing::{causes, tell};
use serde_json::{Value, json};

fn top(pids: &[(u64, f64)]) -> Value {
    let processes: Vec<Value> = pids
        .iter()
        .map(|(pid, cpu)| {
            json!({"pid": pid, "name": format!("p{pid}"), "uid": 0, "cpu_percent": cpu,
                "resident_bytes": pid * 1_000_000, "state": "R"})
        })
        .collect();
    json!({"interval_ms": 1000, "processes": processes, "count": 90})
}

fn line(pid: u64, name: &str, cpu_ms: u64) -> Value {
    json!({"pid": pid, "start_ticks": 777, "ppid": 42, "user": "web", "uid": 33, "state": "running",
        "name": name, "command": format!("/usr/bin/{name} --x"), "cpu_percent": 3.0, "cpu_ms": cpu_ms,
        "resident_bytes": 900_000_000_u64, "threads": 1, "started_ms": 1})
}

#[test]
fn a_process_is_busy_only_when_it_was_before() {
    let parts = [
        ("first", top(&[(7, 99.0), (8, 10.0)])),
        ("again", top(&[(7, 98.5), (8, 99.0)])),
    ];
    let analysis = tell("busy_processes", &parts, json!({}));
    assert_eq!(causes(&analysis), [("busy_process", "process 7")]);
}

#[test]
fn a_process_runs_away_when_it_goes_on_and_what_is_ours_gets_no_signal() {
    let tell_of = |name: &str, before: u64, after: u64| {
        let parts = [
            ("busy", json!({"process": line(7, name, before)})),
            ("later", json!({"process": line(7, name, after)})),
        ];
        tell("runaway_process", &parts, json!({}))
    };
    let runs = tell_of("spin", 10_000, 12_500);
    assert_eq!(causes(&runs), [("runaway_process", "process 7")]);
    assert_eq!(runs.findings[0].values["start_ticks"], 777);
    assert!(tell_of("spin", 10_000, 10_500).findings.is_empty());
    let ours = tell_of("aios-guard", 10_000, 12_500);
    assert!(!ours.findings[0].values.contains_key("start_ticks"));
}

#[test]
fn a_process_that_ended_meanwhile_is_no_finding() {
    let gone = json!({"failed": {"code": "AIOS-TOOLS-0100", "message": "there is no process 7"}});
    let parts = [("busy", json!({"process": line(7, "x", 1)})), ("later", gone)];
    let analysis = tell("runaway_process", &parts, json!({}));
    assert!(analysis.findings.is_empty() && analysis.seen.contains("no process 7"));
}

#[test]
fn zombies_are_told_by_parent_and_the_stuck_by_staying_so() {
    let list =
        |lines: Vec<Value>| json!({"processes": lines, "matched": 1, "truncated": false, "tainted": true});
    let parts = [
        ("zombies", list(vec![line(50, "a", 0), line(51, "b", 0)])),
        ("blocked", list(vec![line(60, "nfs", 5), line(61, "dd", 5)])),
        ("still_blocked", list(vec![line(60, "nfs", 5), line(61, "dd", 6)])),
    ];
    let analysis = tell("zombies", &parts, json!({}));
    assert_eq!(
        causes(&analysis),
        [("has_zombies", "process 42"), ("stuck_process", "process 60")]
    );
}

#[test]
fn a_zombie_of_a_moment_is_none() {
    let list = |pids: &[u64]| {
        let lines: Vec<Value> = pids.iter().map(|pid| line(*pid, "child", 0)).collect();
        json!({"processes": lines, "matched": 1, "truncated": false, "tainted": true})
    };
    for (before, now, found) in [(&[50, 51][..], &[51, 52][..], 1), (&[50][..], &[52][..], 0)] {
        let parts = [("before", list(before)), ("zombies", list(now))];
        let analysis = tell("zombies", &parts, json!({}));
        assert_eq!(analysis.findings.len(), found, "{before:?} {now:?}");
        if found > 0 {
            assert!(
                analysis.findings[0].title.contains("1 child process "),
                "{analysis:?}"
            );
        }
    }
}

#[test]
fn memory_is_short_by_what_is_left_or_by_what_is_lost() {
    let memory = |available: u64| json!({"total_bytes": 1000, "available_bytes": available, "free_bytes": 1});
    let pressure = |percent: f64| {
        let stall = json!({"avg10_percent": percent, "avg60_percent": 0.0, "avg300_percent": 0.0});
        json!({"cpu": null, "io": null, "memory": {"some": stall, "full": stall}})
    };
    for (available, lost, short) in [(500, 0.0, false), (99, 0.0, true), (500, 30.0, true)] {
        let parts = [
            ("memory", memory(available)),
            ("pressure", pressure(lost)),
            ("top", top(&[(7, 0.0), (9, 0.0)])),
        ];
        let analysis = tell("memory_short", &parts, json!({}));
        assert_eq!(!analysis.findings.is_empty(), short, "{available} {lost}");
        if short {
            assert_eq!(analysis.findings[0].values["pid"], 9);
        }
    }
}

#[test]
fn a_wait_for_memory_that_is_over_is_no_finding_and_ends_nobody_where_enough_is_left() {
    let memory = |available: u64| json!({"total_bytes": 1000, "available_bytes": available, "free_bytes": 1});
    let pressure = |percent: f64| {
        let stall = json!({"avg10_percent": percent, "avg60_percent": 0.0, "avg300_percent": 0.0});
        json!({"cpu": null, "io": null, "memory": {"some": stall, "full": stall}})
    };
    for (before, later, found) in [(60.0, 49.0, 0), (60.0, 58.0, 1), (10.0, 30.0, 1)] {
        let parts = [
            ("memory", memory(500)),
            ("pressure", pressure(before)),
            ("pressure_later", pressure(later)),
            ("top", top(&[(7, 0.0)])),
        ];
        let analysis = tell("memory_short", &parts, json!({}));
        assert_eq!(analysis.findings.len(), found, "{before} {later}");
    }
    let mut hog = line(7, "hog", 0);
    hog["resident_bytes"] = json!(600);
    for (available, ends) in [(500, false), (50, true)] {
        let parts = [
            ("memory", memory(available)),
            ("biggest", json!({"process": hog})),
        ];
        let analysis = tell("memory_pressure", &parts, json!({}));
        let signal = analysis.findings[0].values.contains_key("start_ticks");
        assert_eq!(signal, ends, "{available}: {}", analysis.findings[0].title);
    }
}

#[test]
fn a_deleted_file_counts_once_and_little_ones_do_not_matter() {
    let file = |pid: u64, ino: u64, bytes: u64| {
        json!({"pid": pid, "start_ticks": 5, "name": "rsyslogd", "user": "root", "fd": 3, "path": "/var/log/x",
            "deleted": true, "size_bytes": bytes, "allocated_bytes": bytes, "dev": 1, "ino": ino})
    };
    let big = 10 << 20;
    let files = json!({"files": [file(7, 1, big), file(7, 1, big), file(8, 2, 100)], "matched": 3,
        "allocated_bytes": big, "truncated": false, "not_readable": 0, "tainted": true});
    let services = json!({"services": [{"name": "rsyslog", "description": "", "state": "ready", "enabled": true,
        "core": false, "pid": 7, "restarts": 0, "last_exit": ""}]});
    let analysis = tell(
        "deleted_open",
        &[("files", files), ("services", services)],
        json!({}),
    );
    assert_eq!(causes(&analysis), [("deleted_open", "process 7")]);
    assert_eq!(analysis.findings[0].values["service"], "rsyslog");
    assert_eq!(analysis.findings[0].values["size"], "10.0 MiB");
}
