//! The worker is killed at every point of making an image with packages, and while Podman works: the change then happened once or
//! not at all.

use super::house::{House, is_root};
use crate::common::{Answer, result};
use aios_tests_packages::Deb;
use serde_json::json;
use std::fs;

const POINTS: [&str; 7] = [
    "worker.fs.after_snapshot",
    "worker.os.mid_derive",
    "worker.os.derived",
    "worker.os.mid_effect",
    "worker.fs.after_effect",
    "worker.fs.after_commit",
    "worker.fs.before_answer",
];

#[tokio::test]
async fn an_image_is_staged_once_or_not_at_all_wherever_the_worker_is_killed() {
    if !is_root() {
        return;
    }
    let mut house = House::with_process().await;
    house.publish("libhello", "3.1", &Deb::default());
    let (old, before) = (house.bed.photo(), house.bed.starts());
    let args = json!({ "names": ["libhello"] });
    for point in POINTS {
        let key = house.bed.key();
        house.bed.arm(point);
        let lost = house.bed.try_call(key, "pkg.install", args.clone(), 0).await;
        assert!(lost.is_err(), "{point} did not interrupt");
        house.bed.after_crash().await;
        // Settled once nothing is left of making it; then it is staged and kept, or neither.
        while house.workshop() || house.kept().is_empty() != (house.bed.starts() == before) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let between = house.bed.starts();
        let Answer::Done(again) = house.bed.call_as(key, "pkg.install", args.clone()).await else {
            panic!("{point}")
        };
        assert_eq!(again.replayed, between != before, "{point}");
        result(house.bed.undo_in("pkg", key).await);
        assert_eq!(house.bed.photo(), old, "{point}");
    }
}

#[tokio::test]
async fn podman_does_not_go_on_for_a_worker_that_is_gone() {
    if !is_root() {
        return;
    }
    let mut house = House::with_process().await;
    house.publish(
        "slow",
        "1.0",
        &Deb {
            scripts: &[("postinst", "sleep 3187")],
            ..Deb::default()
        },
    );
    let before = house.bed.starts();
    let key = house.bed.key();
    let sleeping = || {
        let all = fs::read_dir("/proc").unwrap().flatten();
        all.filter_map(|it| fs::read(it.path().join("cmdline")).ok())
            .any(|line| line.starts_with(b"sleep\x003187"))
    };
    {
        let lost = house
            .bed
            .try_call(key, "pkg.install", json!({ "names": ["slow"] }), 0);
        tokio::pin!(lost);
        while !sleeping() {
            tokio::select! {
                answer = &mut lost => panic!("it ended: {answer:?}"),
                () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
            }
        }
    }
    house.bed.kill();
    house.bed.after_crash().await;
    while sleeping() || house.workshop() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(house.bed.starts(), before);
}
