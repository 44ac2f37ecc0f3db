//! Any process of the instance is killed with `kill -9` in the middle of a goal: the goal is done once,
//! its undo restores every bit, the log verifies. `AIOS_SOAK=1` (`make soak`) kills each of them at each
//! moment; without it each is killed once.

use aios_tests_e2e::containers::{as_root, done};
use aios_tests_e2e::ctl::{Instance, pause, string};
use aios_tests_e2e::{instance, tree};
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

/// A restart, a new container for an agent, and the machine busy with other tests.
const LIMIT: Duration = Duration::from_secs(180);

/// When somebody dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Right after the goal was stated.
    Stated,
    /// While a person is waited for.
    Asked,
    /// Right after the person said yes.
    Approved,
}

const MOMENTS: [Moment; 3] = [Moment::Stated, Moment::Asked, Moment::Approved];

/// Who dies, as `aiosctl service list` names it; and the supervisor, and the agent.
const VICTIMS: &[&str] = &[
    "aios-guard",
    "aios-worker-fs",
    "aios-worker-host",
    "aios-worker-net",
    "aios-worker-os",
    "aios-worker-pkg",
    "aios-worker-process",
    "aios-worker-sec",
    "aios-worker-service",
    "aios-tools",
    "aios-memory",
    "aios-orchestrator",
    "aios-sandbox",
    "aios-console",
    "supervisor",
    "agent",
];

struct Victim<'i> {
    instance: &'i Instance,
    name: &'static str,
}

impl Victim<'_> {
    fn pid(&self) -> u64 {
        match self.name {
            "agent" => patiently(self.instance, &["agent", "list"], |agents| {
                agents.get(0)?.get("pid")?.as_u64().filter(|pid| *pid != 0)
            }),
            "supervisor" => supervisor(self.instance),
            service => patiently(self.instance, &["service", "list"], |services| {
                let mut services = services.as_array()?.iter();
                let found = services.find(|it| it["name"] == service)?;
                found.get("pid")?.as_u64().filter(|pid| *pid != 0)
            }),
        }
    }

    fn kill(&self) {
        let pid = self.pid();
        done(as_root("kill").args(["-9", &pid.to_string()]));
        // What is killed is replaced: without that the rest of the test would show nothing.
        let begin = Instant::now();
        while self.pid() == pid {
            assert!(begin.elapsed() < LIMIT, "{} is not replaced", self.name);
            pause();
        }
    }
}

/// The supervisor is the child of the process that `make up` started, and serves `init.sock`.
fn supervisor(instance: &Instance) -> u64 {
    let state = instance.state.to_string_lossy();
    let begin = Instant::now();
    loop {
        for entry in fs::read_dir("/proc").unwrap() {
            let entry = entry.unwrap();
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            if line.starts_with("aios-supervisor") && line.contains(&*state) {
                return entry.file_name().to_string_lossy().parse().unwrap();
            }
        }
        assert!(begin.elapsed() < LIMIT, "no supervisor runs");
        pause();
    }
}

/// Asks until there is an answer of the wanted kind: whoever answers may just be dead.
fn patiently<T>(instance: &Instance, args: &[&str], wanted: impl Fn(&Value) -> Option<T>) -> T {
    let begin = Instant::now();
    let words: Vec<&str> = std::iter::once("--json").chain(args.iter().copied()).collect();
    loop {
        let output = instance.run(&words);
        let answer = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        if output.status.success()
            && let Some(found) = wanted(&answer)
        {
            return found;
        }
        assert!(
            begin.elapsed() < LIMIT,
            "aiosctl {}: {answer:#}\n{}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        pause();
    }
}

/// Waits until the goal is in one of `states`.
fn reached(instance: &Instance, goal: &str, states: &[&str]) -> String {
    patiently(instance, &["goal", "show", goal], |detail| {
        let state = string(detail, "/goal/state");
        let over = ["completed", "failed", "cancelled"].contains(&state.as_str());
        assert!(
            !over || states.contains(&state.as_str()),
            "wanted {states:?}: {detail:#}"
        );
        states.contains(&state.as_str()).then_some(state)
    })
}

/// Says yes until the guard has heard it: an answer may be lost with whoever gave it.
fn approve(instance: &Instance, goal: &str) {
    let begin = Instant::now();
    loop {
        let waiting = patiently(instance, &["approval", "list", "--goal", goal], |list| {
            list.as_array().cloned()
        });
        let Some(approval) = waiting.first() else { return };
        instance.run(&["approval", "approve", &string(approval, "/approval_id")]);
        assert!(begin.elapsed() < LIMIT, "the approval is still waited for");
    }
}

fn survive(instance: &Instance, name: &'static str, moment: Moment) {
    let victim = Victim { instance, name };
    let dir = tree::scratch();
    tree::logs(dir.path());
    let before = tree::pictures(dir.path());
    let at = |now: Moment| {
        if now == moment {
            victim.kill();
        }
    };

    let goal = instance.submit(&tree::goal(dir.path()));
    at(Moment::Stated);
    reached(instance, &goal, &["awaiting_approval"]);
    assert_eq!(
        tree::pictures(dir.path()),
        before,
        "{name}, {moment:?}: nothing changes unasked"
    );
    at(Moment::Asked);
    approve(instance, &goal);
    at(Moment::Approved);
    reached(instance, &goal, &["completed"]);
    let names: Vec<String> = tree::pictures(dir.path())
        .keys()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(
        names,
        ["app-0.log", "app-1.log", "app-2.log", "keep.txt", "sub/link.txt"],
        "{name}, {moment:?}"
    );

    let undo = patiently(instance, &["goal", "undo", "--detach", &goal], |answer| {
        answer.get("goal_id")?.as_str().map(str::to_owned)
    });
    // Rule `undo` of the policy: nobody is asked again.
    reached(instance, &undo, &["completed"]);
    assert_eq!(
        tree::pictures(dir.path()),
        before,
        "{name}, {moment:?}: every bit is back"
    );
    for (goal, tool) in [(&goal, "fs.delete"), (&undo, "fs.undo")] {
        recorded_once(instance, goal, tool);
    }
}

/// The goal finished one step that changes something, and the log has one intent and one outcome of it.
fn recorded_once(instance: &Instance, goal: &str, tool: &str) {
    let detail = instance.json(&["goal", "show", goal]);
    let steps: Vec<(&Value, &Value)> = detail["tasks"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|task| {
            let steps = task["steps"].as_array().into_iter().flatten();
            steps.map(move |step| (&task["task_id"], step))
        })
        .filter(|(_, step)| step["name"] == tool && step["state"] == "done")
        .collect();
    assert_eq!(steps.len(), 1, "one finished {tool} in {detail:#}");
    let records = instance.audit();
    for (task, step) in steps {
        for kind in ["intent", "outcome"] {
            let about = |it: &&Value| {
                let record = &it["record"];
                it["kind"] == kind && record["task_id"] == *task && record["step"] == step["step"]
            };
            let found = records.iter().filter(about).count();
            assert_eq!(found, 1, "records `{kind}` of {tool} in {detail:#}");
        }
    }
}

/// Kills of one kind of process each; the log is checked against a head from before the first.
#[test]
fn a_goal_is_done_once_whoever_is_killed() {
    let Some(instance) = instance() else { return };
    let soak = std::env::var_os("AIOS_SOAK").is_some();
    let anchor = dir_with_head(&instance);
    let mut kills = 0;
    for (number, name) in VICTIMS.iter().enumerate() {
        for (index, moment) in MOMENTS.into_iter().enumerate() {
            if soak || index == number % MOMENTS.len() {
                survive(&instance, name, moment);
                kills += 1;
            }
        }
    }
    let head = anchor.path().join("head");
    // The log's files are for root and the guard.
    let program = instance.state.join("vendor/bin/aiosctl");
    let mut verify = as_root(&program.to_string_lossy());
    verify.arg("--socket").arg(instance.state.join("run"));
    done(verify.args(["audit", "verify", "--anchor"]).arg(head));
    println!("{kills} kills");
}

/// A file with the log's newest signed head.
fn dir_with_head(instance: &Instance) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let head = instance.run(&["audit", "head"]);
    assert!(head.status.success(), "{head:?}");
    fs::write(dir.path().join("head"), head.stdout).unwrap();
    dir
}
