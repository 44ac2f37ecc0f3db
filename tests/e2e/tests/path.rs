//! The path: a goal, a plan, a capability, an approval, an agent in a container, a tool, the log, the undo.

use aios_tests_e2e::ctl::string;
use aios_tests_e2e::{instance, tree};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The user who runs `aiosctl` here, and so decides.
fn person() -> String {
    std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .unwrap_or_else(|_| "root".to_owned())
}

#[test]
fn a_goal_frees_space_after_approval_and_undo_restores_every_bit() {
    let Some(instance) = instance() else { return };
    let dir = tree::scratch();
    tree::logs(dir.path());
    let before = tree::pictures(dir.path());

    let goal = instance.submit(&tree::goal(dir.path()));
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
    instance.approve(&goal);
    instance.wait_for(&goal, &["completed"]);

    let after = tree::pictures(dir.path());
    let kept: Vec<PathBuf> = after.keys().cloned().collect();
    let wanted = ["app-0.log", "app-1.log", "app-2.log", "keep.txt", "sub/link.txt"].map(PathBuf::from);
    assert_eq!(kept, wanted);

    let undo = string(&instance.json(&["goal", "undo", "--detach", &goal]), "/goal_id");
    // Rule `undo` of the policy: under supervision nobody is asked again.
    instance.wait_for(&undo, &["completed"]);
    assert_eq!(tree::pictures(dir.path()), before, "every bit is back");
}

#[test]
fn the_log_names_agent_capability_rule_approval_and_approver() {
    let Some(instance) = instance() else { return };
    let dir = tree::scratch();
    tree::logs(dir.path());
    let goal = instance.submit(&tree::goal(dir.path()));
    let approval = instance.approve(&goal);
    instance.wait_for(&goal, &["completed"]);

    let records = instance.audit();
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
        .unwrap_or_else(|| panic!("an intent in {records:#?}"));
    let outcome = records
        .iter()
        .find(|it| it["kind"] == "outcome" && task_step(it) == task_step(intent));
    assert!(
        outcome.is_some_and(|it| it["seq"].as_u64() > intent["seq"].as_u64()),
        "an outcome after it in {records:#?}"
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
    let me = person();
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
    let dir = tree::scratch();
    tree::logs(dir.path());
    let before = tree::pictures(dir.path());
    let goal = instance.submit(&tree::goal(dir.path()));
    instance.wait_for(&goal, &["awaiting_approval"]);
    let approval = string(&instance.waiting_approval(&goal), "/approval_id");
    instance.json(&["approval", "deny", &approval]);
    let ended = instance.wait_for(&goal, &["failed"]);
    assert_eq!(string(&ended, "/goal/error/code"), "AIOS-ORCH-0023", "{ended:#}");
    assert_eq!(tree::pictures(dir.path()), before);
    let records = instance.audit();
    let decided: Vec<&Value> = records
        .iter()
        .filter(|it| it["kind"] == "approval.decided" && it["record"]["approval_id"] == approval.as_str())
        .map(|it| &it["record"])
        .collect();
    assert_eq!(decided.len(), 1, "one decision about {approval} in {records:#?}");
    assert_eq!(
        (
            &decided[0]["goal_id"],
            &decided[0]["tool"],
            &decided[0]["details"]["approve"]
        ),
        (&json!(goal), &json!("fs.delete"), &json!(false)),
        "{:#}",
        decided[0]
    );
    assert_eq!(string(decided[0], "/approver"), person(), "{:#}", decided[0]);
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
