//! What the os tools do, and undo.

use super::bed::{Bed, key};
use crate::common::{Answer, code, result};
use serde_json::json;
use std::fs;
use std::time::Duration;

#[tokio::test]
async fn an_upgrade_is_announced_staged_started_and_gone_back_from() {
    let bed = Bed::new().await;
    let first = bed.status().await;
    assert_eq!(first["running"]["version"], "1.0");
    assert_eq!(
        (&first["next_boot"], &first["trial"]),
        (&json!("running"), &json!(null))
    );
    let nothing = bed.done("os.check", json!({})).await;
    assert_eq!(nothing["available"], false, "{nothing}");
    bed.release("2.0");
    let check = bed.done("os.check", json!({})).await;
    assert_eq!(
        (&check["available"], &check["version"], &check["signed"]),
        (&json!(true), &json!("2.0"), &json!(true))
    );
    assert_eq!(
        (&check["blocked_by"], &check["room"]["enough"]),
        (&json!([]), &json!(true))
    );
    // One of its two layers is here already.
    let (all, missing) = (
        check["size_bytes"].as_u64().unwrap(),
        check["fetch_bytes"].as_u64().unwrap(),
    );
    assert!(0 < missing && missing < all, "{check}");

    let told = bed.done("os.upgrade", json!({})).await;
    assert_eq!(
        (&told["changed"], &told["next_boot"]),
        (&json!(true), &json!("staged"))
    );
    assert_eq!(told["next"]["digest"], check["digest"]);
    assert!(told["then"].as_str().unwrap().contains("os reboot"), "{told}");
    let again = bed.done("os.upgrade", json!({})).await;
    assert_eq!(again["changed"], false);
    assert_eq!(bed.done("os.check", json!({})).await["available"], false);

    bed.machine.restart().unwrap();
    let second = bed.status().await;
    assert_eq!(
        (&second["running"]["version"], &second["rollback"]["version"]),
        (&json!("2.0"), &json!("1.0"))
    );
    let back = bed.done("os.rollback", json!({})).await;
    assert_eq!(
        (&back["next_boot"], &back["next"]["version"]),
        (&json!("rollback"), &json!("1.0"))
    );
    bed.machine.restart().unwrap();
    assert_eq!(bed.status().await["running"]["version"], "1.0");
}

#[tokio::test]
async fn what_was_staged_is_dropped_by_an_undo_and_nothing_of_it_remains() {
    let bed = Bed::new().await;
    let old = bed.photo();
    bed.release("2.0");
    for tool in ["os.upgrade", "os.switch"] {
        let args = if tool == "os.switch" {
            bed.machine.publish("other", "9.0", "another kernel").unwrap();
            bed.machine.sign("other", &key(1)).unwrap();
            json!({ "image": bed.image("other") })
        } else {
            json!({})
        };
        let change = bed.change(tool, args).await;
        assert_ne!(bed.photo(), old);
        result(bed.undo(change).await);
        assert_eq!(bed.photo(), old, "{tool}");
        assert_eq!(code(&bed.undo(change).await), "AIOS-TOOLS-0018", "{tool}");
    }
    // Once it runs, an undo of staging it has come too late.
    let change = bed.change("os.upgrade", json!({})).await;
    bed.machine.restart().unwrap();
    assert_eq!(code(&bed.undo(change).await), "AIOS-TOOLS-0019");
}

#[tokio::test]
async fn a_rollback_is_undone_by_another_one() {
    let bed = Bed::new().await;
    bed.release("2.0");
    bed.change("os.upgrade", json!({})).await;
    bed.machine.restart().unwrap();
    let change = bed.change("os.rollback", json!({})).await;
    assert_eq!(bed.status().await["next_boot"], "rollback");
    result(bed.undo(change).await);
    assert_eq!(bed.status().await["next_boot"], "running");
    let calls = bed.machine.calls().unwrap();
    assert_eq!(calls.iter().filter(|call| *call == "rollback").count(), 2);
}

#[tokio::test]
async fn a_reset_goes_back_to_the_image_that_the_machine_came_with() {
    let bed = Bed::new().await;
    bed.machine.publish("other", "9.0", "another kernel").unwrap();
    bed.machine.sign("other", &key(1)).unwrap();
    bed.change("os.switch", json!({ "image": bed.image("other") }))
        .await;
    bed.machine.restart().unwrap();
    assert_eq!(bed.status().await["running"]["image"], bed.image("other"));
    // The image that it came with has moved on meanwhile.
    bed.release("3.0");
    let told = bed.done("os.reset", json!({})).await;
    assert_eq!(
        (&told["next"]["image"], &told["next"]["version"]),
        (&json!(bed.image("os")), &json!("3.0"))
    );
}

#[tokio::test]
async fn an_image_of_a_registry_is_looked_up_by_skopeo() {
    let bed = Bed::with(|section| format!("{section}unsigned = [\"docker://quay.io/org/*\"]\n")).await;
    bed.machine
        .push("quay.io/org/os:7", "7.0", "kernel seven")
        .unwrap();
    let told = bed
        .done("os.switch", json!({ "image": "quay.io/org/os:7" }))
        .await;
    assert_eq!(
        (&told["next"]["image"], &told["next"]["version"]),
        (&json!("docker://quay.io/org/os:7"), &json!("7.0"))
    );
}

#[tokio::test]
async fn the_machine_starts_again_once_the_call_is_recorded_and_once_only() {
    let bed = Bed::new().await;
    let change = bed.key();
    let told = result(bed.call_as(change, "os.reboot", json!({})).await);
    assert!(told["then"].as_str().unwrap().contains("starts again"), "{told}");
    while bed.supervisor.ends().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let Answer::Done(again) = bed.call_as(change, "os.reboot", json!({})).await else {
        panic!("the record of it was wanted")
    };
    assert!(again.replayed);
    assert_eq!(code(&bed.undo(change).await), "AIOS-TOOLS-0018");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(bed.supervisor.ends(), ["reboot"]);
    assert!(!bed.paths.state.join("worker/os/reboot.json").exists());
}

#[tokio::test]
async fn a_trial_is_told_with_its_tries_and_its_deadline_and_failures_with_their_reason() {
    let bed = Bed::new().await;
    let entries = bed.machine.esp().join("loader/entries");
    let entry = fs::read_dir(&entries).unwrap().next().unwrap().unwrap().path();
    let counted = entry.to_str().unwrap().replace(".conf", "+2-1.conf");
    fs::rename(&entry, &counted).unwrap();
    let status = bed.status().await;
    assert_eq!(status["trial"], json!({ "tries_left": 2, "deadline_ms": 7 }));
    let other = json!({ "id": "ab".repeat(64), "image": "oci:/bad", "manifest": "sha256:77" });
    let attempt = json!({ "from": other, "to": other, "finalized_ms": 1, "boots": [] });
    let history = json!({ "schema": 1, "attempt": null, "blessed": null, "failed": [
        { "attempt": attempt, "found_ms": 5, "why": "its kernel is broken", "told": false }
    ]});
    fs::create_dir_all(bed.paths.state.join("os")).unwrap();
    fs::write(bed.paths.state.join("os/history.json"), history.to_string()).unwrap();
    let failed = &bed.status().await["failed"][0];
    assert_eq!(
        (&failed["why"], &failed["digest"]),
        (&json!("its kernel is broken"), &json!("sha256:77"))
    );
}
