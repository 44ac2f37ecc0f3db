//! A backup of a running instance while a goal works.

use aios_tests_e2e::containers::as_root;
use aios_tests_e2e::{instance, tree};
use serde_json::Value;
use std::path::Path;
use std::process::Output;

/// `aiosctl --json ARGS` as root.
fn root(state: &Path, args: &[&str]) -> Output {
    let program = state.join("vendor/bin/aiosctl").display().to_string();
    let mut command = as_root(&program);
    command
        .arg("--json")
        .arg("--socket")
        .arg(state.join("run"))
        .args(args);
    command.output().expect("aiosctl starts")
}

fn answer(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}\n{errors}", output.status);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

#[test]
fn a_backup_is_made_while_a_goal_works_and_knows_all_state() {
    let Some(instance) = instance() else { return };
    let dir = tree::scratch();
    tree::logs(dir.path());
    let goal = instance.submit(&tree::goal(dir.path()));
    instance.wait_for(&goal, &["awaiting_approval"]);
    instance.approve(&goal);

    let file = dir.path().join("x.aios").display().to_string();
    let made = answer(&root(&instance.state, &["backup", "create", "--plain", &file]));
    instance.wait_for(&goal, &["completed"]);
    assert_eq!(
        made["unlisted"],
        serde_json::json!([]),
        "state that the list does not know: {made:#}"
    );
    let databases = made["databases"].as_array().expect("databases");
    assert!(databases.len() >= 10, "{made:#}");

    let whole = answer(&root(&instance.state, &["backup", "verify", &file]));
    assert_eq!(whole["backup"], made["backup"]);
    let seq = made["audit_seq"].as_u64().expect("it is in the log");
    let record = instance.json(&["audit", "show", &seq.to_string()]);
    assert_eq!(record["kind"], "backup.created", "{record:#}");
    assert!(
        record
            .to_string()
            .contains(made["backup"].as_str().expect("a digest")),
        "{record:#}"
    );

    let tried = answer(&root(&instance.state, &["backup", "restore", &file, "--dry-run"]));
    assert_eq!(tried["restored"], false, "{tried:#}");
    let refused = root(&instance.state, &["backup", "restore", &file]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && text.contains("AIOS-BACKUP-0018"),
        "it runs: {text}"
    );
}
