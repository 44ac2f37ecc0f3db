//! An agent that a person freezes stands still, and goes on where it stood when it is thawed.

use aios_tests_e2e::containers::Containers;
use aios_tests_e2e::ctl::{Instance, pause, string};
use aios_tests_e2e::{instance, tree};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Long enough for an agent that runs to get further: it asks for an approval within a second or two.
const STILL: Duration = Duration::from_secs(6);

/// A frozen agent; thawed at the end, also when the test fails, so that the tests after it have an agent.
struct Frozen<'i> {
    instance: &'i Instance,
    agent: String,
}

impl<'i> Frozen<'i> {
    fn new(instance: &'i Instance) -> Self {
        let agent = string(&instance.agent(), "/agent_id");
        let answer = instance.json(&["agent", "freeze", &agent]);
        let frozen = Self { instance, agent };
        frozen.check(&answer);
        frozen.check(&instance.agent());
        frozen
    }

    /// The kernel, or Podman, says the same as the answer.
    fn check(&self, seen: &Value) {
        assert_eq!(string(seen, "/agent_id"), self.agent);
        let container = string(seen, "/container_id");
        let running = ["ps", "--no-trunc", "--quiet", "--filter", "status=running"];
        let running = Containers::of(self.instance).run(running);
        assert!(!running.contains(&container), "it runs: {seen:#}");
        match string(seen, "/state").as_str() {
            "frozen" => {
                let pid = seen["pid"].as_u64().unwrap();
                let freezer = freezer(pid);
                assert_eq!(fs::read_to_string(freezer).unwrap().trim(), "1", "{seen:#}");
            }
            // Where the kernel has no freezer for us, what cannot stand still is stopped.
            "stopped" => {
                assert_eq!(seen["pid"], 0, "{seen:#}");
                assert!(
                    string(seen, "/message").contains("this machine cannot freeze"),
                    "{seen:#}"
                );
            }
            other => panic!("{other}: {seen:#}"),
        }
    }

    /// Nothing happens to the goal that only its agent could do.
    fn holds(&self, goal: &str) {
        let begin = Instant::now();
        while begin.elapsed() < STILL {
            let detail = self.instance.json(&["goal", "show", goal]);
            let tasks = detail["tasks"].as_array().into_iter().flatten();
            let mut of_agent = tasks.filter(|task| task["agent_kind"] == "maintenance_agent");
            assert!(
                of_agent.all(|task| task["state"] != "completed"),
                "a frozen agent got further: {detail:#}"
            );
            pause();
        }
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let thawed = self.instance.run(&["agent", "thaw", &self.agent]);
        if !thawed.status.success() && !std::thread::panicking() {
            panic!("{thawed:?}");
        }
    }
}

fn freezer(pid: u64) -> PathBuf {
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = table
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .expect("cgroup v2");
    PathBuf::from(format!("/sys/fs/cgroup{path}/cgroup.freeze"))
}

fn recorded(instance: &Instance, kind: &str, agent: &str) -> usize {
    let of_agent = |record: &&Value| record["kind"] == kind && record.to_string().contains(agent);
    instance.audit().iter().filter(of_agent).count()
}

#[test]
fn a_frozen_agent_gets_no_further_and_a_thawed_one_goes_on() {
    let Some(instance) = instance() else { return };
    let dir = tree::scratch();
    tree::logs(dir.path());
    let before = tree::pictures(dir.path());
    let agent = string(&instance.agent(), "/agent_id");
    let counts = || ["agent.frozen", "agent.thawed"].map(|kind| recorded(&instance, kind, &agent));
    let [frozen, thawed] = counts();

    let held = Frozen::new(&instance);
    let goal = instance.submit(&tree::goal(dir.path()));
    held.holds(&goal);
    let waiting = instance.json(&["approval", "list", "--goal", &goal]);
    assert_eq!(waiting, serde_json::json!([]), "a frozen agent asks for nothing");
    drop(held);
    instance.wait_for(&goal, &["awaiting_approval"]);

    // Again in the middle of the goal, between the question and the answer.
    let held = Frozen::new(&instance);
    assert_eq!(tree::pictures(dir.path()), before);
    instance.approve(&goal);
    held.holds(&goal);
    drop(held);
    instance.wait_for(&goal, &["completed"]);
    assert_eq!(
        tree::pictures(dir.path()).len(),
        5,
        "what was approved is done, once"
    );
    assert_eq!(counts(), [frozen + 2, thawed + 2], "each is in the log");
}
