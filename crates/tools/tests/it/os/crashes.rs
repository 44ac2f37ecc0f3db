//! The worker is killed at every point of a change, and while bootc works: the change then happened once or not at all.

use super::bed::Bed;
use crate::common::{Answer, result};
use serde_json::{Value, json};
use std::time::Duration;

const POINTS: [&str; 5] = [
    "worker.fs.after_snapshot",
    "worker.os.mid_effect",
    "worker.fs.after_effect",
    "worker.fs.after_commit",
    "worker.fs.before_answer",
];

#[tokio::test]
async fn an_upgrade_is_staged_once_or_not_at_all_wherever_the_worker_is_killed() {
    let mut bed = Bed::with_process().await;
    let (old, before) = (bed.photo(), bed.starts());
    bed.release("2.0");
    for point in POINTS {
        let key = bed.key();
        bed.arm(point);
        let lost = bed.try_call(key, "os.upgrade", json!({}), 0).await;
        assert!(lost.is_err(), "{point} did not interrupt");
        bed.after_crash().await;
        let between = bed.starts();
        let Answer::Done(again) = bed.call_as(key, "os.upgrade", json!({})).await else {
            panic!("{point}")
        };
        assert_eq!(again.replayed, between != before, "{point}");
        let new = bed.starts();
        assert!(
            between == before || between == new,
            "half done after a crash at {point}"
        );
        assert_eq!(new["status"]["staged"]["image"]["version"], "2.0", "{point}");
        result(bed.undo(key).await);
        assert_eq!(bed.photo(), old, "{point}");
    }
}

#[tokio::test]
async fn a_rollback_is_made_once_wherever_the_worker_is_killed() {
    let mut bed = Bed::with_process().await;
    bed.release("2.0");
    bed.change("os.upgrade", json!({})).await;
    bed.machine.restart().unwrap();
    let queued = |bed: &Bed| bed.machine.status().unwrap()["rollbackQueued"].clone();
    for (times, point) in POINTS.iter().enumerate() {
        let key = bed.key();
        bed.arm(point);
        assert!(
            bed.try_call(key, "os.rollback", json!({}), 0).await.is_err(),
            "{point}"
        );
        bed.after_crash().await;
        result(bed.call_as(key, "os.rollback", json!({})).await);
        assert_eq!(queued(&bed), Value::from(times % 2 == 0), "{point}");
    }
}

#[tokio::test]
async fn an_undo_is_whole_or_not_at_all_wherever_the_worker_is_killed() {
    let mut bed = Bed::with_process().await;
    let old = bed.photo();
    bed.release("2.0");
    for point in [
        "worker.fs.before_effect",
        "worker.os.mid_unstage",
        "worker.fs.after_effect",
    ] {
        let key = bed.change("os.upgrade", json!({})).await;
        let new = bed.photo();
        bed.arm(point);
        let args = json!({ "task_id": key.task.to_string(), "step": key.step });
        assert!(
            bed.try_call(bed.key(), "os.undo", args, 0).await.is_err(),
            "{point}"
        );
        bed.after_crash().await;
        let now = bed.photo();
        assert!(now == old || now == new, "{point}");
        if now == new {
            result(bed.undo(key).await);
        }
        assert_eq!(bed.photo(), old, "{point}");
    }
}

#[tokio::test]
async fn bootc_does_not_go_on_for_a_worker_that_is_gone() {
    let mut bed = Bed::with_process().await;
    let old = bed.starts();
    bed.release("2.0");
    bed.machine.turn("delay", "600").unwrap();
    let key = bed.key();
    {
        let lost = bed.try_call(key, "os.upgrade", json!({}), 0);
        tokio::pin!(lost);
        let begun = || {
            bed.machine
                .calls()
                .unwrap()
                .iter()
                .any(|call| call.starts_with("upgrade"))
        };
        while !begun() {
            tokio::select! {
                answer = &mut lost => panic!("it ended: {answer:?}"),
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
    }
    bed.kill();
    bed.after_crash().await;
    bed.machine.turn("delay", "0").unwrap();
    assert_eq!(bed.starts(), old);
    result(bed.call_as(key, "os.upgrade", json!({})).await);
    assert_eq!(bed.machine.status().unwrap()["staged"]["image"]["version"], "2.0");
}

#[tokio::test]
async fn a_machine_that_was_to_start_again_does_so_after_a_crash_of_the_worker_and_not_in_another_boot() {
    let mut bed = Bed::with_process().await;
    let key = bed.key();
    bed.arm("worker.fs.after_commit");
    assert!(bed.try_call(key, "os.reboot", json!({}), 0).await.is_err());
    bed.after_crash().await;
    while bed.supervisor.ends().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bed.supervisor.ends(), ["reboot"]);
    // Killed before init heard of it, and the machine started again by other hands.
    bed.arm("worker.fs.after_effect");
    let key = bed.key();
    assert!(bed.try_call(key, "os.reboot", json!({}), 0).await.is_err());
    let boot = bed.machine.root().join("proc/sys/kernel/random/boot_id");
    std::fs::write(boot, "0198c0de-0000-4000-8000-000000000002\n").unwrap();
    bed.after_crash().await;
    let Answer::Done(again) = bed.call_as(key, "os.reboot", json!({})).await else {
        panic!("the record of it was wanted")
    };
    assert!(again.replayed);
    assert_eq!(bed.supervisor.ends(), ["reboot"]);
}
