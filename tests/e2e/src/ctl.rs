//! `aiosctl` on one instance.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A hang is a failure; on a busy two-core machine an agent's first answer may take a while.
const LIMIT: Duration = Duration::from_secs(120);

/// A running instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its directory.
    pub state: PathBuf,
}

impl Instance {
    /// The instance in this directory.
    pub fn at(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
        }
    }

    /// Runs `aiosctl ARGS`.
    pub fn run(&self, args: &[&str]) -> Output {
        Command::new(self.state.join("vendor/bin/aiosctl"))
            .arg("--socket")
            .arg(self.state.join("run"))
            .args(args)
            .output()
            .expect("aiosctl starts")
    }

    /// Runs `aiosctl --json ARGS`, which must succeed.
    pub fn json(&self, args: &[&str]) -> Value {
        let words: Vec<&str> = std::iter::once("--json").chain(args.iter().copied()).collect();
        let output = self.run(&words);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "aiosctl {}: {}\n{text}\n{}",
            words.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("aiosctl {} answered `{text}`: {error}", words.join(" ")))
    }

    /// States a goal and answers its id.
    pub fn submit(&self, text: &str) -> String {
        string(&self.json(&["goal", "run", "--detach", text]), "/goal_id")
    }

    /// Waits until the goal is in one of `states`; answers the goal in full.
    pub fn wait_for(&self, goal: &str, states: &[&str]) -> Value {
        let begin = Instant::now();
        loop {
            let detail = self.json(&["goal", "show", goal]);
            let state = string(&detail, "/goal/state");
            if states.contains(&state.as_str()) {
                return detail;
            }
            let over = ["completed", "failed", "cancelled"].contains(&state.as_str());
            assert!(
                !over && begin.elapsed() < LIMIT,
                "goal is {state}, wanted {states:?}: {detail:#}"
            );
            pause();
        }
    }

    /// Cancels goals that a failed test left: the one agent would wait with them.
    pub(crate) fn cancel_leftovers(&self) {
        let states = [
            "pending",
            "planning",
            "in_progress",
            "awaiting_approval",
            "awaiting_input",
        ];
        let filters = states.iter().flat_map(|state| ["--state", state]);
        let words: Vec<&str> = ["goal", "list"].into_iter().chain(filters).collect();
        for goal in self.json(&words).as_array().expect("a list") {
            if string(goal, "/text").contains(crate::tree::PREFIX) {
                self.json(&["goal", "cancel", &string(goal, "/goal_id")]);
            }
        }
    }

    /// Approves what waits for this goal, once something does; answers that approval.
    pub fn approve(&self, goal: &str) -> Value {
        self.wait_for(goal, &["awaiting_approval"]);
        let approval = self.waiting_approval(goal);
        self.json(&["approval", "approve", &string(&approval, "/approval_id")]);
        approval
    }

    /// Records of the audit log, oldest first, at most the newest thousand.
    pub fn audit(&self) -> Vec<Value> {
        let output = self.run(&["--json", "audit", "tail", "--last", "1000"]);
        let log = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{log}");
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The one agent.
    pub fn agent(&self) -> Value {
        let agents = self.json(&["agent", "list"]);
        let agents = agents.as_array().expect("a list");
        assert_eq!(agents.len(), 1, "one agent: {agents:?}");
        agents[0].clone()
    }

    /// The one approval that waits for this goal.
    pub fn waiting_approval(&self, goal: &str) -> Value {
        let list = self.json(&["approval", "list", "--goal", goal]);
        let list = list.as_array().expect("a list");
        assert_eq!(list.len(), 1, "one approval waits: {list:?}");
        list[0].clone()
    }
}

/// The string at a JSON pointer.
pub fn string(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found
        .unwrap_or_else(|| panic!("no string at {pointer} in {value:#}"))
        .to_owned()
}

/// Waits before asking again.
#[expect(
    clippy::disallowed_methods,
    reason = "a command line is polled; nothing signals it"
)]
pub fn pause() {
    std::thread::sleep(Duration::from_millis(100));
}
