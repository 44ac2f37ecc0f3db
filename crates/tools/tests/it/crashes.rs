//! The worker is killed at every point of every kind of change: the call then has its effect exactly
//! once, and an interrupted one leaves nothing.

use crate::common::{Answer, House, photograph, result};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;

/// A tree with a file of two names.
fn plant(house: &House) {
    fs::create_dir_all(house.path("t/sub/deep")).unwrap();
    fs::write(house.path("t/f"), "tree").unwrap();
    fs::hard_link(house.path("t/f"), house.path("t/sub/deep/g")).unwrap();
    symlink("f", house.path("t/l")).unwrap();
    xattr::set(house.path("t/sub"), "user.name", b"sub").unwrap();
}

const POINTS: [&str; 8] = [
    "worker.fs.before_snapshot",
    "worker.fs.after_snapshot",
    "worker.fs.before_effect",
    "worker.fs.mid_effect",
    "worker.fs.after_effect",
    "worker.fs.before_commit",
    "worker.fs.after_commit",
    "worker.fs.before_answer",
];

fn furnish(house: &House) {
    for name in ["a", "b", "c", "d"] {
        fs::write(house.path(name), name.repeat(5000)).unwrap();
        xattr::set(house.path(name), "user.name", name.as_bytes()).unwrap();
    }
    fs::hard_link(house.path("a"), house.path("a2")).unwrap();
    symlink("a", house.path("link")).unwrap();
}

/// Sends a call into a crash, restarts, and sends it again.
async fn through_a_crash(house: &mut House, point: &str, tool: &str, args: &Value) -> (Value, bool) {
    let before = photograph(&house.data);
    let key = house.key();
    house.arm(point);
    let lost = house.try_call(house.token(), key, tool, args.clone()).await;
    assert!(lost.is_err(), "{tool} at {point} was not interrupted: {lost:?}");
    house.after_crash().await;
    let state = house.status(key).await.state();
    let done = state == aios_proto::worker::v1::ExecutionState::Done;
    if !done {
        assert_eq!(
            photograph(&house.data),
            before,
            "{tool} at {point} left something half done"
        );
    }
    // The guard holds the digest of the first authorization, identities included, against the second.
    let digests = house.guard.digests();
    let Answer::Done(again) = house.call_as(house.token(), key, tool, args.clone()).await else {
        panic!("{tool} at {point}")
    };
    assert_eq!(again.replayed, done, "{tool} at {point}");
    assert_eq!(
        house.guard.digests(),
        digests,
        "{tool} at {point} resolved to another call"
    );
    let after = photograph(&house.data);
    result(house.undo(key).await);
    assert_eq!(
        photograph(&house.data),
        before,
        "undo of {tool} after a crash at {point}"
    );
    assert_ne!(after, before);
    (serde_json::from_str(&again.result_json).unwrap(), done)
}

#[tokio::test]
async fn a_deletion_happens_once_wherever_the_worker_is_killed() {
    let mut house = House::with_process().await;
    furnish(&house);
    let paths = ["a", "a2", "b", "c", "link"].map(|name| house.path(name));
    for point in POINTS {
        let (result, _) = through_a_crash(&mut house, point, "fs.delete", &json!({"paths": paths})).await;
        assert_eq!(result["files"], 5, "{point}");
    }
}

#[tokio::test]
async fn writing_happens_once_wherever_the_worker_is_killed() {
    let mut house = House::with_process().await;
    furnish(&house);
    for point in POINTS {
        for args in [
            json!({"path": house.path("new"), "content": "fresh"}),
            json!({"path": house.path("b"), "content": "other", "how": "overwrite"}),
            json!({"path": house.path("a"), "content": "x", "how": "append"}),
        ] {
            through_a_crash(&mut house, point, "fs.write", &args).await;
        }
    }
}

#[tokio::test]
async fn an_undo_happens_once_wherever_the_worker_is_killed() {
    let mut house = House::with_process().await;
    furnish(&house);
    let before = photograph(&house.data);
    for point in POINTS {
        let paths = ["a", "a2", "b", "c", "link"].map(|name| house.path(name));
        let key = house.key();
        result(
            house
                .call_as(house.token(), key, "fs.delete", json!({"paths": paths}))
                .await,
        );
        let without = photograph(&house.data);
        let undo = house.key();
        house.arm(point);
        let args = json!({"task_id": key.task.to_string(), "step": key.step});
        assert!(
            house
                .try_call(house.token(), undo, "fs.undo", args.clone())
                .await
                .is_err(),
            "{point}"
        );
        house.after_crash().await;
        let now = photograph(&house.data);
        assert!(
            now == without || now == before,
            "an undo is half done after a crash at {point}"
        );
        result(house.call_as(house.token(), undo, "fs.undo", args).await);
        assert_eq!(photograph(&house.data), before, "{point}");
    }
}

#[tokio::test]
async fn trees_links_bits_and_moves_happen_once_wherever_the_worker_is_killed() {
    let mut house = House::with_process().await;
    furnish(&house);
    plant(&house);
    for point in POINTS {
        for (tool, args) in [
            ("fs.delete", json!({"path": house.path("t"), "recursive": true})),
            (
                "fs.copy",
                json!({"source": house.path("t"), "target": house.path("u"), "recursive": true, "preserve": true}),
            ),
            (
                "fs.copy",
                json!({"source": house.path("t"), "target": house.path("u"), "recursive": true}),
            ),
            ("fs.mkdir", json!({"path": house.path("x/y/z"), "parents": true})),
            (
                "fs.move",
                json!({"source": house.path("t"), "target": house.path("u")}),
            ),
            (
                "fs.move",
                json!({"source": house.path("b"), "target": house.path("c"), "replace": true}),
            ),
            (
                "fs.chmod",
                json!({"path": house.path("t"), "mode": "0711", "recursive": true}),
            ),
            ("fs.symlink", json!({"path": house.path("s"), "target": "t"})),
            (
                "fs.archive",
                json!({"paths": [house.path("t")], "target": house.path("t.tar.zst")}),
            ),
        ] {
            through_a_crash(&mut house, point, tool, &args).await;
        }
    }
    let args = json!({"source": house.path("b"), "target": house.path("c"), "replace": true});
    let (_, done) = through_a_crash(&mut house, "worker.fs.mid_rename", "fs.move", &args).await;
    assert!(done, "both had changed places, so the move is finished");
}

#[tokio::test]
async fn the_undo_of_a_tree_and_of_a_move_happens_once_wherever_the_worker_is_killed() {
    let mut house = House::with_process().await;
    furnish(&house);
    plant(&house);
    let before = photograph(&house.data);
    for (tool, args) in [
        ("fs.delete", json!({"path": house.path("t"), "recursive": true})),
        (
            "fs.copy",
            json!({"source": house.path("t"), "target": house.path("u"), "recursive": true}),
        ),
        (
            "fs.move",
            json!({"source": house.path("b"), "target": house.path("c"), "replace": true}),
        ),
        (
            "fs.chmod",
            json!({"path": house.path("t"), "mode": "0711", "recursive": true}),
        ),
    ] {
        for point in POINTS {
            let key = house.key();
            result(house.call_as(house.token(), key, tool, args.clone()).await);
            let after = photograph(&house.data);
            let undo = house.key();
            house.arm(point);
            let undoing = json!({"task_id": key.task.to_string(), "step": key.step});
            let lost = house
                .try_call(house.token(), undo, "fs.undo", undoing.clone())
                .await;
            assert!(lost.is_err(), "{tool} {point}");
            house.after_crash().await;
            let now = photograph(&house.data);
            assert!(
                now == after || now == before,
                "undo of {tool} is half done after a crash at {point}"
            );
            result(house.call_as(house.token(), undo, "fs.undo", undoing).await);
            assert_eq!(photograph(&house.data), before, "undo of {tool} at {point}");
        }
    }
}
