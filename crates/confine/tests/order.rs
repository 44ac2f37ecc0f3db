//! The order of steps, seen by a double: no privilege needed.
#![cfg(test)]

use aios_confine::ConfineError;
use aios_confine::caps::CapSet;
use aios_confine::machine::{Feature, Machine};
use aios_confine::plan::{Capabilities, Identity, Plan};
use aios_confine::sys::Recorder;
use aios_confine::view::{Bind, View};

fn full() -> Plan {
    Plan {
        identity: Some(Identity {
            uid: 7,
            gid: 8,
            groups: vec![9],
        }),
        capabilities: Capabilities::Keep(CapSet::of(&["CAP_CHOWN"]).unwrap()),
        no_new_privs: true,
        apparmor: Some("aios-fs".into()),
        seccomp: Some("worker".into()),
        cgroup: Some("/sys/fs/cgroup/aios/x".into()),
        view: Some(View {
            hide: vec!["/var/tmp".into()],
            bind: vec![Bind::read_only("/usr")],
            ..View::default()
        }),
        umask: Some(0o77),
        new_session: true,
        ..Plan::default()
    }
}

fn capable() -> Machine {
    Machine::with(
        &[
            Feature::AppArmor,
            Feature::Landlock,
            Feature::Cgroup2,
            Feature::Controllers,
        ],
        None,
    )
}

#[test]
fn what_needs_privilege_comes_first_and_what_takes_it_away_last() {
    let recorder = Recorder::default();
    full()
        .prepare(&capable(), false)
        .unwrap()
        .apply_to(&recorder)
        .unwrap();
    let mut calls = recorder.calls();
    calls.dedup_by_key(|call| call.split(['(', '/']).next().unwrap().to_owned());
    let wanted = [
        "new_session",
        "write /sys/fs/cgroup/aios/x/cgroup.procs 0",
        "check /proc/self/attr/apparmor/exec",
        "private_mounts",
        "open_tree /usr",
        "seal_tree",
        "empty_mount /var/tmp",
        "attach_tree /usr",
        "seal_mount /var/tmp",
        "umask 77",
        "attribute DropBounding(",
        "attribute KeepCaps(true)",
        "set_groups [9]",
        "set_gid 8",
        "set_uid 7",
        "set_caps 0x1",
        "attribute ClearAmbient",
        "attribute RaiseAmbient(0)",
        "attribute NoNewPrivs",
        "install_filter",
    ];
    assert_eq!(calls.len(), wanted.len(), "{calls:#?}");
    for (call, wanted) in calls.iter().zip(wanted) {
        assert!(call.starts_with(wanted), "{call} is not {wanted}");
    }
}

#[test]
fn nothing_follows_a_step_that_failed() {
    let recorder = Recorder::failing("set_uid", 1);
    let error = full()
        .prepare(&capable(), false)
        .unwrap()
        .apply_to(&recorder)
        .unwrap_err();
    assert!(
        matches!(error, ConfineError::Step { step: "user", .. }),
        "{error}"
    );
    assert_eq!(recorder.calls().last().unwrap(), "set_uid 7");
}

#[test]
fn a_capability_that_the_kernel_does_not_know_is_no_failure() {
    let recorder = Recorder::failing("attribute DropBounding", 22);
    full()
        .prepare(&capable(), false)
        .unwrap()
        .apply_to(&recorder)
        .unwrap();
}

#[test]
fn what_a_machine_lacks_stops_the_plan_unless_it_may_be_degraded() {
    let bare = Machine::with(&[], None);
    let error = full().prepare(&bare, false).unwrap_err();
    assert!(matches!(error, ConfineError::Missing { .. }), "{error}");
    let prepared = full().prepare(&bare, true).unwrap();
    let missing: Vec<&str> = prepared.degradations().iter().map(|d| d.what).collect();
    assert_eq!(missing, ["cgroup v2", "AppArmor"]);
    let recorder = Recorder::default();
    prepared.apply_to(&recorder).unwrap();
    assert!(
        !recorder
            .calls()
            .iter()
            .any(|call| call.contains("apparmor") || call.contains("cgroup"))
    );
}

#[test]
fn a_plan_is_data() {
    let text = serde_json::to_string(&full()).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), full());
    assert!(serde_json::from_str::<Plan>("{\"no_new_prvs\":true}").is_err());
}
