//! State that a newer version wrote, as an older image finds it after a fallback or a rollback: it stays as it is, the
//! service that it belongs to stays down and says why, and everything else runs.

use aios_tests_e2e::containers::{as_root, done};
use aios_tests_e2e::ctl::{Instance, pause, string};
use aios_tests_e2e::instance;
use serde_json::Value;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

/// Whose journal becomes newer; nothing else relies on it.
const WORKER: &str = "aios-worker-process";
/// A restart, and the machine busy with other tests.
const LIMIT: Duration = Duration::from_secs(60);
/// A schema that no version has yet.
const NEWER: &str = "99";
/// Reads the number of a database's schema, after it has written the one that it may be given.
const SCHEMA: &str = "import sqlite3, sys\n\
    database = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
    for number in sys.argv[2:]:\n    database.execute('PRAGMA user_version = %d' % int(number))\n\
    print(database.execute('PRAGMA user_version').fetchone()[0])\n";

fn schema(database: &Path, written: &[&str]) -> String {
    let mut python = as_root("python3");
    python.args(["-c", SCHEMA]).arg(database).args(written);
    done(&mut python).trim().to_owned()
}

/// A database that says that it is newer, until this is dropped: other tests share the instance.
struct Newer<'a> {
    database: &'a Path,
    known: String,
}

impl<'a> Newer<'a> {
    fn of(database: &'a Path) -> Self {
        let known = schema(database, &[]);
        assert_eq!(schema(database, &[NEWER]), NEWER);
        Self { database, known }
    }
}

impl Drop for Newer<'_> {
    fn drop(&mut self) {
        schema(self.database, &[&self.known]);
    }
}

fn worker(instance: &Instance) -> Value {
    let services = instance.json(&["service", "list"]);
    let mut services = services.as_array().expect("a list").iter();
    services
        .find(|it| it["name"] == WORKER)
        .expect("it is there")
        .clone()
}

fn until(instance: &Instance, state: &str) -> Value {
    let begin = Instant::now();
    loop {
        let seen = worker(instance);
        if seen["state"] == state {
            return seen;
        }
        assert!(begin.elapsed() < LIMIT, "not {state}: {seen:#}");
        pause();
    }
}

fn call(instance: &Instance, tool: &str) -> Output {
    instance.run(&["--json", "tool", "call", tool, "{}"])
}

#[test]
fn newer_state_is_left_as_it_is_and_its_service_alone_stays_down() {
    let Some(instance) = instance() else { return };
    let journal = &instance.state.join("var/worker/process/journal.db");
    let newer = Newer::of(journal);
    let pid = worker(&instance)["pid"].to_string();
    done(as_root("kill").args(["-9", &pid]));

    let down = until(&instance, "failed");
    let why = string(&down, "/last_exit");
    for part in ["exit 78", "AIOS-DATABASE-0001", "journal.db", "newer aiOS"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let asked = instance.json(&["tool", "call", "process.list", "{}", "--detach"]);
    let other = call(&instance, "monitor.cpu");
    assert!(other.status.success(), "{other:?}");
    assert_eq!(schema(journal, &[]), NEWER);

    // What a person does with the newer image back.
    drop(newer);
    let program = instance.state.join("vendor/bin/aiosctl");
    let mut start = as_root(&program.display().to_string());
    start.arg("--socket").arg(instance.state.join("run"));
    done(start.args(["service", "start", WORKER]));
    until(&instance, "ready");
    // What was asked for meanwhile has waited for it.
    instance.wait_for(&string(&asked, "/goal_id"), &["completed"]);
}
