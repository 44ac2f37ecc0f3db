//! What is refused before anything is fetched, with which code, and that nothing happened.

use super::bed::{Bed, key};
use crate::common::{Answer, code};
use aios_deployment::image::Layout;
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

/// Refused with that code, and nothing changed.
async fn refused(bed: &Bed, tool: &str, args: Value, wanted: &str) -> String {
    let before = bed.photo();
    let answer = bed.call(tool, args).await;
    assert_eq!(code(&answer), wanted, "{answer:?}");
    assert_eq!(bed.photo(), before, "{tool} changed something");
    let fetched = bed.machine.calls().unwrap();
    assert!(
        !fetched
            .iter()
            .any(|call| call.starts_with("upgrade") || call.starts_with("switch")),
        "{fetched:?}"
    );
    format!("{answer:?}")
}

/// Makes what runs one on trial.
fn on_trial(bed: &Bed) {
    let entries = bed.machine.esp().join("loader/entries");
    for entry in fs::read_dir(entries).unwrap() {
        let path = entry.unwrap().path();
        fs::rename(&path, path.to_str().unwrap().replace(".conf", "+2-1.conf")).unwrap();
    }
}

fn failed_before(bed: &Bed, digest: &str) {
    let other = json!({ "id": "ab".repeat(64), "image": "oci:/bad", "manifest": digest });
    let attempt = json!({ "from": other, "to": other, "finalized_ms": 1, "boots": [] });
    let failure = json!({ "attempt": attempt, "found_ms": 5, "why": "its kernel is broken", "told": false });
    let history = json!({ "schema": 1, "attempt": null, "blessed": null, "failed": [failure] });
    fs::create_dir_all(bed.paths.state.join("os")).unwrap();
    fs::write(bed.paths.state.join("os/history.json"), history.to_string()).unwrap();
}

fn digest_of(bed: &Bed, name: &str) -> String {
    let layout = Layout::open(bed.machine.image(name).to_str().unwrap()).unwrap();
    layout.digest.to_string()
}

#[tokio::test]
async fn a_machine_that_bootc_did_not_install_says_so_to_every_tool() {
    let bed = Bed::new().await;
    fs::write(bed.machine.root().join("proc/cmdline"), "root=/dev/sda1 rw\n").unwrap();
    for (tool, args) in [
        ("os.status", json!({})),
        ("os.check", json!({})),
        ("os.upgrade", json!({})),
        ("os.switch", json!({ "image": "quay.io/org/os" })),
        ("os.reset", json!({})),
        ("os.rollback", json!({})),
        ("os.reboot", json!({})),
    ] {
        let answer = bed.call(tool, args).await;
        assert_eq!(code(&answer), "AIOS-OS-0001", "{tool}");
        assert!(
            format!("{answer:?}").contains("was not installed by bootc"),
            "{answer:?}"
        );
    }
    // The same where there is no bootc at all.
    let none = Bed::with(|section| section.replace("bootc/bootc\"", "bootc/absent\"")).await;
    let answer = none.call("os.status", json!({})).await;
    assert_eq!(code(&answer), "AIOS-OS-0001");
    assert!(
        format!("{answer:?}").contains("bootc/absent cannot be run"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn nothing_is_laid_out_while_what_runs_is_on_trial() {
    let bed = Bed::new().await;
    bed.release("2.0");
    on_trial(&bed);
    refused(&bed, "os.upgrade", json!({}), "AIOS-OS-0002").await;
    refused(
        &bed,
        "os.switch",
        json!({ "image": bed.image("os") }),
        "AIOS-OS-0002",
    )
    .await;
    let check = bed.done("os.check", json!({})).await;
    assert!(
        check["blocked_by"][0].as_str().unwrap().contains("on trial"),
        "{check}"
    );
}

#[tokio::test]
async fn an_image_that_nobody_trusted_stands_for_is_not_fetched() {
    let bed = Bed::new().await;
    bed.machine.publish("os", "2.0", "kernel two").unwrap();
    let said = refused(&bed, "os.upgrade", json!({}), "AIOS-OS-0004").await;
    assert!(said.contains("aios.signature.json"), "{said}");
    bed.machine.sign("os", &key(9)).unwrap();
    let said = refused(&bed, "os.upgrade", json!({}), "AIOS-OS-0004").await;
    assert!(said.contains("no trusted key"), "{said}");
    // A signature of another image.
    bed.release("2.0");
    let signed = fs::read(bed.machine.image("os").join("aios.signature.json")).unwrap();
    bed.machine.publish("os", "2.1", "kernel two and a bit").unwrap();
    fs::write(bed.machine.image("os").join("aios.signature.json"), signed).unwrap();
    let said = refused(&bed, "os.upgrade", json!({}), "AIOS-OS-0004").await;
    assert!(said.contains("of another image"), "{said}");
    // Registries: the policy that distributions ship asks for nothing, and one that refuses is no signature either.
    bed.machine.push("quay.io/org/os", "7.0", "kernel seven").unwrap();
    let switch = json!({ "image": "quay.io/org/os" });
    let said = refused(&bed, "os.switch", switch.clone(), "AIOS-OS-0004").await;
    assert!(said.contains("policy.json"), "{said}");
    let policy = bed.machine.root().join("etc/containers/policy.json");
    fs::write(&policy, r#"{"default": [{"type": "reject"}]}"#).unwrap();
    refused(&bed, "os.switch", switch, "AIOS-OS-0004").await;
}

#[tokio::test]
async fn an_image_that_was_altered_is_found_before_it_is_fetched() {
    let bed = Bed::new().await;
    bed.release("2.0");
    let blobs = bed.machine.image("os").join("blobs/sha256");
    for blob in fs::read_dir(blobs).unwrap() {
        let path = blob.unwrap().path();
        let whole = fs::read(&path).unwrap();
        let mut altered = whole.clone();
        *altered.last_mut().unwrap() ^= 1;
        fs::write(&path, altered).unwrap();
        refused(&bed, "os.upgrade", json!({}), "AIOS-DEPLOYMENT-0007").await;
        fs::write(&path, whole).unwrap();
    }
    bed.done("os.upgrade", json!({})).await;
}

#[tokio::test]
async fn an_image_that_failed_here_is_fetched_only_by_force() {
    let bed = Bed::new().await;
    bed.release("2.0");
    failed_before(&bed, &digest_of(&bed, "os"));
    let said = refused(&bed, "os.upgrade", json!({}), "AIOS-OS-0005").await;
    assert!(said.contains("its kernel is broken"), "{said}");
    assert_eq!(
        bed.done("os.check", json!({})).await["failed_before"],
        "its kernel is broken"
    );
    let told = bed.done("os.upgrade", json!({ "force": true })).await;
    assert_eq!(told["next_boot"], "staged");
    // Nor is it gone back to.
    bed.machine.restart().unwrap();
    let running = bed.status().await["rollback"]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    failed_before(&bed, &running);
    assert_eq!(code(&bed.call("os.rollback", json!({})).await), "AIOS-OS-0005");
}

#[tokio::test]
async fn an_image_without_room_is_not_fetched() {
    let full = Bed::with(|section| {
        section.replace("reserve_bytes = 1048576", "reserve_bytes = 9000000000000000000")
    })
    .await;
    full.release("2.0");
    let said = refused(&full, "os.upgrade", json!({}), "AIOS-OS-0006").await;
    assert!(
        said.contains("/sysroot") && said.contains("9000000000000000000"),
        "{said}"
    );
    assert_eq!(full.done("os.check", json!({})).await["room"]["enough"], false);
}

#[tokio::test]
async fn what_is_staged_is_never_dropped_along_the_way() {
    let bed = Bed::new().await;
    bed.release("2.0");
    bed.change("os.upgrade", json!({})).await;
    bed.release("3.0");
    let before = bed.photo();
    for (tool, args) in [
        ("os.upgrade", json!({})),
        ("os.reset", json!({})),
        ("os.rollback", json!({})),
    ] {
        assert_eq!(code(&bed.call(tool, args).await), "AIOS-OS-0003", "{tool}");
    }
    assert_eq!(bed.photo(), before);
}

#[tokio::test]
async fn there_must_be_something_to_go_back_to_and_two_entries_exactly() {
    let bed = Bed::new().await;
    refused(&bed, "os.rollback", json!({}), "AIOS-OS-0007").await;
    bed.release("2.0");
    bed.change("os.upgrade", json!({})).await;
    bed.machine.restart().unwrap();
    // Going back to it is what os.rollback is for.
    bed.machine.publish("os", "1.0", "kernel one").unwrap();
    bed.machine.sign("os", &key(1)).unwrap();
    assert_eq!(code(&bed.call("os.upgrade", json!({})).await), "AIOS-OS-0008");
    assert_eq!(bed.done("os.check", json!({})).await["available"], false);
    let third = bed.machine.esp().join("loader/entries/third.conf");
    fs::write(
        &third,
        format!(
            "title x\nlinux /EFI/x/vmlinuz\noptions composefs={}\n",
            "cd".repeat(64)
        ),
    )
    .unwrap();
    let answer = bed.call("os.rollback", json!({})).await;
    assert_eq!(code(&answer), "AIOS-OS-0007");
    assert!(format!("{answer:?}").contains("3 entries"), "{answer:?}");
}

#[tokio::test]
async fn an_image_that_changes_while_it_is_fetched_is_dropped_again() {
    let bed = Bed::new().await;
    let old = bed.starts();
    bed.release("2.0");
    bed.machine.turn("delay", "0.3").unwrap();
    let call = bed.call("os.upgrade", json!({}));
    tokio::pin!(call);
    let begun = || {
        let calls = bed.machine.calls().unwrap();
        calls.iter().any(|call| call.starts_with("upgrade"))
    };
    while !begun() {
        tokio::select! {
            answer = &mut call => panic!("it ended: {answer:?}"),
            () = tokio::time::sleep(Duration::from_millis(2)) => {}
        }
    }
    // The double has read the index by now, or reads this one: a race that a hostile author would run too.
    bed.machine.publish("os", "6.6", "a hostile kernel").unwrap();
    let answer = call.await;
    match &answer {
        Answer::Failed(_) => {
            assert_eq!(bed.starts(), old, "{answer:?}");
        }
        Answer::Done(done) => assert!(done.result_json.contains("\"version\":\"2.0\""), "{done:?}"),
        other => panic!("{other:?}"),
    }
    let staged = bed.machine.status().unwrap()["staged"].clone();
    assert_ne!(staged["image"]["version"], "6.6");
}

#[tokio::test]
async fn what_bootc_says_when_it_fails_reaches_whoever_called_and_nothing_remains() {
    let bed = Bed::new().await;
    let old = bed.starts();
    bed.release("2.0");
    for step in ["pull", "etc", "esp", "entries", "state", "staged", "gc"] {
        bed.machine.turn("fail", step).unwrap();
        let answer = bed.call("os.upgrade", json!({})).await;
        assert_eq!(code(&answer), "AIOS-DEPLOYMENT-0009", "{step}");
        assert!(
            format!("{answer:?}").contains(&format!("fails at {step}")),
            "{answer:?}"
        );
        bed.machine.turn("fail", "").unwrap();
        assert_eq!(bed.starts(), old, "{step}");
    }
    bed.done("os.upgrade", json!({})).await;
}

#[tokio::test]
async fn a_fetch_that_takes_too_long_is_ended_and_nothing_remains() {
    let bed = Bed::new().await;
    let old = bed.starts();
    bed.release("2.0");
    bed.machine.turn("delay", "600").unwrap();
    let answer = bed
        .try_call(bed.key(), "os.upgrade", json!({}), 4000)
        .await
        .unwrap();
    assert_eq!(code(&answer), "AIOS-TOOLS-0013");
    bed.machine.turn("delay", "0").unwrap();
    assert_eq!(bed.starts(), old);
}
