//! Shedding by a pressure that the test makes.
#![cfg(test)]

mod common;

use aios_proto::init::v1::ServiceRequest;
use common::{Instance, eventually, is_root, signal};
use nix::sys::signal::Signal;
use std::fs;

const SLEEP: &str = "command = [\"/bin/sleep\", \"1000000\"]\nuser = \"daemon\"\nready = \"none\"\n";

fn press(instance: &Instance, percent: &str) {
    let text = format!(
        "some avg10=99.00 avg60=0.00 avg300=0.00 total=1\nfull avg10={percent} avg60=0.00 avg300=0.00 total=1\n"
    );
    // The whole old text or the whole new one.
    fs::write(instance.path("pressure.new"), text).unwrap();
    fs::rename(instance.path("pressure.new"), instance.path("pressure")).unwrap();
}

#[tokio::test]
async fn services_are_stopped_in_the_declared_order_and_started_again_in_reverse() {
    if !is_root() {
        return;
    }
    let tree = Instance::tree(&[
        ("kept", SLEEP),
        ("second", &format!("{SLEEP}shed = 3\n")),
        ("first", &format!("{SLEEP}shed = 7\n")),
        ("third", &format!("{SLEEP}shed = 1\n")),
        ("user", &format!("{SLEEP}needs = [\"first\"]\n")),
    ]);
    let config = format!(
        "[init]\nallow_degraded = true\nshed_pause_ms = 100\nshed_calm_ms = 100\npressure_file = \"{}/pressure\"\n",
        tree.path().display()
    );
    Instance::write_etc(tree.path(), "config.toml", &config);
    fs::write(
        tree.path().join("pressure"),
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    )
    .unwrap();
    let mut instance = Instance::start_on(tree);
    for name in ["kept", "first", "second", "third", "user"] {
        instance.until_state(name, "ready").await;
    }
    press(&instance, "31.41");
    let first = instance.until_state("first", "stopped").await;
    let exit = first.exits.last().unwrap();
    assert_eq!((exit.why.as_str(), exit.asked), ("memory pressure", true));
    assert_eq!(
        instance
            .until_state("user", "stopped")
            .await
            .exits
            .last()
            .unwrap()
            .why,
        "memory pressure"
    );
    instance.until_state("second", "stopped").await;
    // It is enough to stop what was stopped; who is there then knows what comes back.
    press(&instance, "7.00");
    let supervisor = instance.supervisor();
    signal(supervisor, Signal::SIGKILL);
    eventually("the supervisor is replaced", || {
        instance.supervisor() != supervisor
    })
    .await;
    // A person wants the second neither now nor later.
    instance.until_state("second", "stopped").await;
    let name = "second".to_owned();
    instance
        .client()
        .stop_service(ServiceRequest { name })
        .await
        .unwrap();
    let third = instance.info("third").await.unwrap();
    press(&instance, "0.00");
    instance.until_state("user", "ready").await;
    instance.until_state("first", "ready").await;
    assert_eq!(instance.info("second").await.unwrap().state, "stopped");
    for (name, run) in [("kept", 1), ("third", third.run)] {
        let info = instance.until_state(name, "ready").await;
        assert!(info.run <= run + 1, "{name}");
    }
    let log = instance.log();
    let told = |text: &str| log.find(text).unwrap_or_else(|| panic!("{text}: {log}"));
    let stopped = |name: &str| told(&format!("\"stopped: memory is short\",\"service\":\"{name}\""));
    assert!(stopped("first") < stopped("second"));
    assert!(!log.contains("\"stopped: memory is short\",\"service\":\"kept\""));
    assert!(instance.stop());
}
