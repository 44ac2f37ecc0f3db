//! The sec worker behind the call pipeline: tokens, receipts, journal, log.

use crate::common::{Answer, House, code, result, roles};
use aios_tools::run;
use aios_tools::sec::machine::Machine;
use serde_json::json;
use std::fs;
use std::path::Path;

async fn house() -> House {
    let house = House::new().await;
    fs::create_dir_all(house.paths.state.join("worker/sec")).unwrap();
    serve(&house).await;
    house
}

async fn serve(house: &House) {
    let keys = house.guard.inner.secrets.public();
    let machine = Machine::at(&house.data, "/proc");
    let service = run::sec_service(&house.paths, keys, roles(), machine).unwrap();
    house.also("sec", service).await;
}

fn token(house: &House) -> Vec<u8> {
    let data = format!("sec:*:{}/**", house.data.display());
    house.grant(&[&data, "sec:audit_query:log", "sec:scan:host"], 60_000)
}

#[tokio::test]
async fn the_log_is_searched_through_the_guard_and_payloads_are_never_told() {
    let house = house().await;
    let ask = |args| house.call_as(token(&house), house.key(), "sec.audit_query", args);
    house.done("fs.list", json!({"path": house.path("")})).await;
    house.done("fs.stat", json!({"path": house.path("x")})).await;
    house
        .done("fs.write", json!({"path": house.path("x"), "content": "1"}))
        .await;
    let all = result(ask(json!({})).await);
    assert_eq!(all["records"].as_array().unwrap().len(), 5, "{all:#}");
    assert_eq!(
        all["records"][4]["tool"], "sec.audit_query",
        "the question is in the log itself"
    );
    assert!(!all.to_string().contains("never told"));
    for (args, matched) in [
        (json!({"tool": "fs.*"}), 3),
        (json!({"tool": "fs.write"}), 1),
        (json!({"kind": "read"}), 6),
        (json!({"kind": "outcome"}), 1),
        (json!({"since_ms": 1, "until_ms": 3}), 2),
        (json!({"scan_last": 2}), 2),
        (json!({"person": "nobody"}), 0),
    ] {
        let found = result(ask(args.clone()).await);
        assert_eq!(found["matched"], matched, "{args} {found:#}");
    }
    let newest = result(ask(json!({"limit": 1})).await);
    assert_eq!(
        (&newest["truncated"], &newest["records"][0]["tool"]),
        (&json!(true), &json!("sec.audit_query"))
    );
}

#[tokio::test]
async fn nobody_searches_the_log_without_the_capability() {
    let house = house().await;
    for grant in ["sec:*:/**", "sec:scan:host", "fs:*:/**"] {
        let token = house.grant(&[grant], 60_000);
        let answer = house
            .call_as(token, house.key(), "sec.audit_query", json!({}))
            .await;
        assert_eq!(code(&answer), "AIOS-TOOLS-0005", "{grant}");
    }
    assert_eq!(house.guard.log().len(), 3, "each refusal is in the log");
}

/// Whether any file below a directory holds a text.
fn holds(dir: &Path, text: &str) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            return holds(&entry.path(), text);
        }
        let bytes = fs::read(entry.path()).unwrap_or_default();
        bytes.windows(text.len()).any(|it| it == text.as_bytes())
    })
}

#[tokio::test]
async fn a_new_key_is_in_no_journal_answer_or_log() {
    let house = house().await;
    let key = house.key();
    let args = json!({
        "directory": house.data.to_str().unwrap(), "name": "web", "what": "self_signed", "common_name": "example.org",
    });
    let answer = house.call_as(token(&house), key, "sec.cert_generate", args).await;
    let pem = fs::read_to_string(house.path("web.key")).unwrap();
    let secret = pem.lines().nth(1).unwrap();
    assert!(holds(&house.data, secret), "the search finds what is there");
    assert!(!holds(&house.paths.state, secret) && !holds(&house.paths.state, "PRIVATE KEY"));
    assert!(holds(&house.paths.state, "web.crt"), "the journal has the plan");
    let told = format!("{answer:?}{:?}{:?}", house.guard.log(), house.guard.digests());
    assert!(!told.contains(secret) && !told.contains("PRIVATE KEY"));
    result(answer);
    result(house.undo_in("sec", token(&house), house.key(), key).await);
    assert!(!house.data.join("web.key").exists() && !house.data.join("web.crt").exists());
    let again = house.undo_in("sec", token(&house), house.key(), key).await;
    assert_eq!(code(&again), "AIOS-TOOLS-0018");
}

#[tokio::test]
async fn a_baseline_outlives_its_worker_and_is_undone_through_the_journal() {
    let house = house().await;
    fs::write(house.path("a"), "1").unwrap();
    let (path, key) = (json!({"path": house.data.to_str().unwrap()}), house.key());
    let made = house
        .call_as(token(&house), key, "sec.integrity_baseline", path.clone())
        .await;
    assert_eq!(result(made)["entries"], 2);
    fs::write(house.path("a"), "2").unwrap();
    let check = |house: &House| (token(house), house.key());
    let (granted, step) = check(&house);
    let found = house
        .call_as(granted, step, "sec.integrity_check", path.clone())
        .await;
    assert_eq!(result(found)["changed"], 1);
    let house = house.restart().await;
    serve(&house).await;
    let (granted, step) = check(&house);
    let found = house
        .call_as(granted, step, "sec.integrity_check", path.clone())
        .await;
    assert_eq!(result(found)["changed"], 1);
    result(house.undo_in("sec", token(&house), house.key(), key).await);
    let (granted, step) = check(&house);
    let gone = house.call_as(granted, step, "sec.integrity_check", path).await;
    assert!(matches!(gone, Answer::Failed(_)), "{gone:?}");
    assert_eq!(code(&gone), "AIOS-TOOLS-0009");
}
