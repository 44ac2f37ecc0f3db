//! The path: a goal, a plan, a capability, an approval, an agent in a container, a tool, the log, the undo.

use aios_tests_e2e::ctl::{Instance, string};
use aios_tests_e2e::{instance, tree};
use serde_json::Value;
use std::path::PathBuf;

/// Services are other users: a private temporary directory would hide the tree from no one but them.
fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("aios-e2e-")
        .tempdir_in("/var/tmp")
        .unwrap()
}

fn goal_text(dir: &tempfile::TempDir) -> String {
    format!(
        "free space under {}: delete *.log older than 7 days, keep the newest 3",
        dir.path().display()
    )
}

fn approve(instance: &Instance, goal: &str) -> Value {
    instance.wait_for(goal, &["awaiting_approval"]);
    let approval = instance.waiting_approval(goal);
    instance.json(&["approval", "approve", &string(&approval, "/approval_id")]);
    approval
}

#[test]
fn a_goal_frees_space_after_approval_and_undo_restores_every_bit() {
    let Some(instance) = instance() else { return };
    let dir = scratch();
    tree::logs(dir.path());
    let before = tree::pictures(dir.path());

    let goal = instance.submit(&goal_text(&dir));
    let waiting = instance.wait_for(&goal, &["awaiting_approval"]);
    assert_eq!(
        tree::pictures(dir.path()),
        before,
        "nothing changed before a person said yes"
    );
    assert!(
        waiting.to_string().contains("maintenance_agent"),
        "an agent does it: {waiting:#}"
    );
    approve(&instance, &goal);
    instance.wait_for(&goal, &["completed"]);

    let after = tree::pictures(dir.path());
    let kept: Vec<PathBuf> = after.keys().cloned().collect();
    let wanted = ["app-0.log", "app-1.log", "app-2.log", "keep.txt", "sub/link.txt"].map(PathBuf::from);
    assert_eq!(kept, wanted);

    let undo = string(&instance.json(&["goal", "undo", "--detach", &goal]), "/goal_id");
    let ended = instance.wait_for(&undo, &["completed", "awaiting_approval"]);
    if string(&ended, "/goal/state") == "awaiting_approval" {
        approve(&instance, &undo);
        instance.wait_for(&undo, &["completed"]);
    }
    assert_eq!(tree::pictures(dir.path()), before, "every bit is back");
}

#[test]
fn the_log_names_agent_capability_rule_approval_and_approver() {
    let Some(instance) = instance() else { return };
    let dir = scratch();
    tree::logs(dir.path());
    let goal = instance.submit(&goal_text(&dir));
    let approval = approve(&instance, &goal);
    instance.wait_for(&goal, &["completed"]);

    let output = instance.run(&["--json", "audit", "tail"]);
    let log = String::from_utf8_lossy(&output.stdout);
    let records: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let task_step = |record: &Value| {
        (
            record.pointer("/record/task_id").cloned(),
            record.pointer("/record/step").cloned(),
        )
    };
    let intent = records
        .iter()
        .find(|it| {
            it["kind"] == "intent"
                && it["record"]["tool"] == "fs.delete"
                && it["record"]["goal_id"] == goal.as_str()
        })
        .unwrap_or_else(|| panic!("an intent in {log}"));
    let outcome = records
        .iter()
        .find(|it| it["kind"] == "outcome" && task_step(it) == task_step(intent));
    assert!(
        outcome.is_some_and(|it| it["seq"].as_u64() > intent["seq"].as_u64()),
        "an outcome after it in {log}"
    );
    let intent = intent.to_string();
    for wanted in [
        "maintenance_agent",
        "fs:delete:",
        &string(&approval, "/approval_id"),
        &string(&approval, "/rule_id"),
    ] {
        assert!(intent.contains(wanted), "`{wanted}` in {intent}");
    }
    let me = std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .unwrap_or_else(|_| "root".to_owned());
    assert!(
        intent.contains(&format!("\"approver\":\"{me}\"")),
        "the approver {me} in {intent}"
    );
    let verified = instance.run(&["audit", "verify"]);
    assert!(
        verified.status.success(),
        "{}",
        String::from_utf8_lossy(&verified.stderr)
    );
}

#[test]
fn a_declined_approval_changes_nothing_and_is_in_the_log() {
    let Some(instance) = instance() else { return };
    let dir = scratch();
    tree::logs(dir.path());
    let before = tree::pictures(dir.path());
    let goal = instance.submit(&goal_text(&dir));
    instance.wait_for(&goal, &["awaiting_approval"]);
    let approval = string(&instance.waiting_approval(&goal), "/approval_id");
    instance.json(&["approval", "deny", &approval]);
    let ended = instance.wait_for(&goal, &["failed"]);
    assert!(ended.to_string().contains("AIOS-"), "a coded error: {ended:#}");
    assert_eq!(tree::pictures(dir.path()), before);
}

#[test]
fn a_goal_that_nothing_fits_asks_and_says_what_can_be_done() {
    let Some(instance) = instance() else { return };
    let goal = instance.submit("sing a song about the moon");
    let detail = instance.wait_for(&goal, &["awaiting_input"]);
    assert!(
        string(&detail, "/goal/status_line").contains("free space under"),
        "{detail:#}"
    );
    instance.json(&["goal", "cancel", &goal]);
    instance.wait_for(&goal, &["cancelled"]);
}

#[test]
fn the_agent_runs_in_a_container_without_network() {
    let Some(instance) = instance() else { return };
    let agents = instance.json(&["agent", "list"]);
    let text = agents.to_string();
    assert!(text.contains("maintenance_agent"), "{agents:#}");
    for wanted in ["network-none", "read-only", "no-new-privileges", "caps-dropped"] {
        assert!(text.contains(wanted), "`{wanted}` in {agents:#}");
    }
}
