//! The worker is killed at every point of a change, and in the middle of dpkg's work: the change then
//! happened once or not at all, and can be made and undone.

use super::bed::{Bed, Deb};
use super::{web, web_version};
use crate::common::{Answer, result};
use serde_json::json;
use std::fs;
use std::time::Duration;

const POINTS: [&str; 5] = [
    "worker.fs.after_snapshot",
    "worker.pkg.mid_effect",
    "worker.fs.after_effect",
    "worker.fs.after_commit",
    "worker.fs.before_answer",
];

#[tokio::test]
async fn a_change_happens_once_wherever_the_worker_is_killed() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let mut bed = Bed::with_process().await;
    web(&bed);
    bed.change("pkg.install", json!({"names": ["web"]})).await;
    web_version(&bed, "2.0", "port 80\nmore\n", "Depends: libweb, libnew\n");
    bed.publish("libnew", "1", &Deb::default());
    let old = bed.photo().await;
    for point in POINTS {
        let (key, args) = (bed.key(), json!({"names": ["web"]}));
        bed.arm(point);
        let lost = bed
            .try_call(&["pkg:*:*"], key, "pkg.install", args.clone(), 0)
            .await;
        assert!(lost.is_err(), "{point} did not interrupt");
        bed.after_crash().await;
        let between = bed.photo().await;
        let Answer::Done(again) = bed.call_as(key, "pkg.install", args).await else {
            panic!("{point}")
        };
        assert_eq!(again.replayed, between != old, "{point}");
        let new = bed.photo().await;
        assert!(
            between == old || between == new,
            "half done after a crash at {point}"
        );
        assert_eq!(new.0["libnew"], json!(["1", "installed", true]), "{point}");
        result(bed.undo(key).await);
        assert_eq!(bed.photo().await, old, "{point}");
    }
}

#[tokio::test]
async fn an_undo_is_whole_or_not_at_all_wherever_the_worker_is_killed() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let mut bed = Bed::with_process().await;
    web(&bed);
    let old = bed.photo().await;
    for point in [
        "worker.fs.before_effect",
        "worker.pkg.mid_effect",
        "worker.fs.after_effect",
    ] {
        let key = bed.change("pkg.install", json!({"names": ["web"]})).await;
        let new = bed.photo().await;
        bed.arm(point);
        let args = json!({"task_id": key.task.to_string(), "step": key.step});
        assert!(
            bed.try_call(&["pkg:*:*"], bed.key(), "pkg.undo", args, 0)
                .await
                .is_err(),
            "{point}"
        );
        bed.after_crash().await;
        let now = bed.photo().await;
        assert!(now.0 == old.0 || now.0 == new.0, "{point}: {now:#?}");
        if now.0 == new.0 {
            result(bed.undo(key).await);
        }
        assert_eq!(bed.photo().await, old, "{point}");
    }
}

#[tokio::test]
async fn a_worker_killed_while_dpkg_works_settles_it_when_it_comes_back() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let mut bed = Bed::with_process().await;
    let script =
        "echo x > \"$DPKG_ROOT/tmp/waiting\"\nwhile test ! -e \"$DPKG_ROOT/tmp/go\"; do sleep 0.1; done";
    let deb = Deb {
        files: &[("/etc/slow.conf", "1")],
        scripts: &[("postinst", script)],
        ..Deb::default()
    };
    bed.publish("slow", "1", &deb);
    let old = bed.photo().await;
    let (key, args) = (bed.key(), json!({"names": ["slow"]}));
    let waiting = bed.root.join("tmp/waiting");
    {
        let lost = bed.try_call(&["pkg:*:*"], key, "pkg.install", args.clone(), 0);
        tokio::pin!(lost);
        loop {
            tokio::select! {
                answer = &mut lost => panic!("it ended: {answer:?}"),
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
            if waiting.exists() {
                break;
            }
        }
    }
    bed.kill();
    fs::write(bed.root.join("tmp/go"), "").unwrap();
    bed.after_crash().await;
    let between = bed.photo().await;
    let half = bed.done("pkg.list", json!({"which": "unsettled"})).await;
    assert_eq!(half["total"], 0, "{half:#}");
    let Answer::Done(again) = bed.call_as(key, "pkg.install", args).await else {
        panic!("not done")
    };
    assert_eq!(again.replayed, between != old);
    assert!(bed.root.join("etc/slow.conf").exists());
    result(bed.undo(key).await);
    assert_eq!(bed.photo().await, old);
}
