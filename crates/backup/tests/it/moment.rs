//! Backups while services work: what each of them knows must fit together.

use crate::scene::{Scene, is_root};
use aios_audit::verify::verify_dir;
use aios_audit::{Durability, Record};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Does what services do for a step, in their order: the journal begins it, the log has the intent, the worker keeps
/// the content and notes the execution, the log has the outcome, the journal has the end, memory hears of it.
async fn work(scene: Arc<Scene>, end: Arc<AtomicBool>, pause: Duration) -> i64 {
    let log = scene.log();
    let [memory, journal, worker] = [
        "memory/working.db",
        "orchestrator/journal.db",
        "worker/fs/journal.db",
    ]
    .map(|path| scene.open(path));
    let mut n = 0;
    while !end.load(Ordering::SeqCst) {
        n += 1;
        journal
            .execute("INSERT INTO step VALUES (?1, 'begun')", [n])
            .unwrap();
        log.append(Record::new("intent").with("n", n), Durability::Durable)
            .await
            .unwrap();
        scene.write(&format!("worker/fs/store/{:02x}/{n}", n % 256), "before");
        worker
            .execute("INSERT INTO step VALUES (?1, 'done')", [n])
            .unwrap();
        log.append(Record::new("outcome").with("n", n), Durability::Durable)
            .await
            .unwrap();
        journal
            .execute("UPDATE step SET state = 'done' WHERE n = ?1", [n])
            .unwrap();
        memory
            .execute("INSERT INTO step VALUES (?1, 'done')", [n])
            .unwrap();
        tokio::time::sleep(pause).await;
    }
    log.close().await.unwrap();
    n
}

/// Numbers of the records of a kind.
async fn logged(scene: &Scene, kind: &str) -> Vec<i64> {
    let entries = scene.log().read(0, u64::MAX).await.unwrap();
    let of_kind = entries.into_iter().filter(|entry| entry.kind == kind);
    let number = |line: &[u8]| {
        let record: serde_json::Value = serde_json::from_slice(line).unwrap();
        record["details"]["n"].as_i64()
    };
    of_kind.filter_map(|entry| number(&entry.line)).collect()
}

fn steps(scene: &Scene, path: &str, state: &str) -> Vec<i64> {
    let text = scene.ask(
        path,
        &format!("SELECT CAST(n AS TEXT) FROM step WHERE state = '{state}' ORDER BY n"),
    );
    text.split_whitespace().map(|n| n.parse().unwrap()).collect()
}

async fn holds_together(pause: Duration) -> u32 {
    let mut at_once = 0;
    for round in 0..6 {
        let scene = Arc::new(Scene::new().await);
        let end = Arc::new(AtomicBool::new(false));
        let mut worker = {
            let mut tasks = tokio::task::JoinSet::new();
            tasks.spawn(work(scene.clone(), end.clone(), pause));
            tasks
        };
        tokio::time::sleep(Duration::from_millis(60 + 23 * round)).await;
        let making = scene.clone();
        let made = tokio::task::spawn_blocking(move || making.create(&[]))
            .await
            .unwrap()
            .unwrap();
        at_once += u32::from(made.manifest.at_once);
        end.store(true, Ordering::SeqCst);
        assert!(worker.join_next().await.unwrap().unwrap() > 0);
        scene.restore().unwrap();

        assert!(
            verify_dir(scene.paths.state.join("guard/audit"), None)
                .unwrap()
                .ok()
        );
        let [intents, outcomes] = [logged(&scene, "intent").await, logged(&scene, "outcome").await];
        let executed = steps(&scene, "worker/fs/journal.db", "done");
        for n in steps(&scene, "memory/working.db", "done") {
            let known = steps(&scene, "orchestrator/journal.db", "done");
            assert!(known.contains(&n), "memory is ahead of the journal at {n}");
        }
        for n in steps(&scene, "orchestrator/journal.db", "done") {
            assert!(
                executed.contains(&n),
                "step {n} is done, and no worker can undo it"
            );
            assert!(
                outcomes.contains(&n),
                "step {n} is done, and its outcome is not in the log"
            );
        }
        for n in executed {
            assert!(intents.contains(&n), "execution {n} was allowed by nobody");
            let object = scene
                .paths
                .state
                .join(format!("worker/fs/store/{:02x}/{n}", n % 256));
            assert!(object.exists(), "execution {n} cannot be undone");
        }
        if made.manifest.at_once {
            let begun = steps(&scene, "orchestrator/journal.db", "begun").len();
            assert!(begun <= 1, "one step at most was under way, not {begun}");
            let ahead = intents.len() - steps(&scene, "orchestrator/journal.db", "done").len();
            assert!(ahead <= 1, "the log is ahead by {ahead} steps: it was no instant");
        }
        fs::remove_file(scene.file()).unwrap();
    }
    at_once
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_system_with_pauses_is_copied_at_one_instant() {
    if !is_root() {
        return;
    }
    assert!(holds_together(Duration::from_millis(10)).await > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_system_without_a_pause_is_copied_so_that_recovery_knows_it() {
    if !is_root() {
        return;
    }
    holds_together(Duration::ZERO).await;
}
