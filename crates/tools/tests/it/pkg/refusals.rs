//! What is refused, and that nothing happened then.

use super::bed::{Bed, Deb};
use super::{web, web_version};
use crate::common::{Answer, Mood, code, result};
use aios_auth::capability::CapabilitySet;
use aios_auth::level::Risk;
use aios_tools::budget::Budget;
use aios_tools::pkg::Pkg;
use aios_tools::worker::{Call, Namespace};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

/// Every tool with arguments that make sense.
fn tools() -> Vec<(&'static str, Value)> {
    let id = aios_core::id::TaskId::new().to_string();
    vec![
        ("pkg.list", json!({})),
        ("pkg.search", json!({"text": "web"})),
        ("pkg.info", json!({"name": "web"})),
        ("pkg.files", json!({"name": "web"})),
        ("pkg.check_updates", json!({})),
        ("pkg.history", json!({})),
        ("pkg.install", json!({"names": ["web"]})),
        ("pkg.remove", json!({"names": ["web"]})),
        ("pkg.configure", json!({})),
        ("pkg.rollback", json!({"task_id": id, "step": 1})),
    ]
}

#[tokio::test]
async fn no_tool_works_without_its_capability() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    web(&bed);
    for (tool, args) in tools() {
        for capability in ["fs:*:/**", "pkg:none:*"] {
            let answer = bed
                .try_call(&[capability], bed.key(), tool, args.clone(), 0)
                .await;
            assert_eq!(code(&answer.unwrap()), "AIOS-TOOLS-0005", "{tool}");
        }
    }
    bed.change("pkg.install", json!({"names": ["web"]})).await;
    // Its own name is enough to be installed, but not to take another one along.
    let args = json!({"names": ["libweb"]});
    let denied = bed
        .try_call(&["pkg:remove:libweb"], bed.key(), "pkg.remove", args, 0)
        .await;
    let Answer::Denied(denied) = denied.unwrap() else {
        panic!("removed")
    };
    assert!(denied.error.unwrap().message.contains("web"));
    assert_eq!(bed.done("pkg.list", json!({})).await["total"], 2);
}

#[tokio::test]
async fn what_is_needed_comes_with_what_was_granted() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    web(&bed);
    let args = json!({"names": ["web"]});
    let key = bed.key();
    let answer = bed
        .try_call(&["pkg:install:web"], key, "pkg.install", args, 0)
        .await;
    assert_eq!(result(answer.unwrap())["packages"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_no_name_or_version_never_reaches_apt() {
    let bed = Bed::new().await;
    web(&bed);
    for (tool, args) in [
        ("pkg.info", json!({"name": "-oDir=/x"})),
        ("pkg.files", json!({"name": "../../etc/passwd"})),
        ("pkg.install", json!({"names": []})),
        ("pkg.install", json!({"names": ["web=1.0"]})),
        ("pkg.install", json!({"names": ["web-"]})),
        ("pkg.install", json!({"names": ["./web.deb"]})),
        (
            "pkg.install",
            json!({"names": ["web"], "versions": {"web": "1.0 -o x"}}),
        ),
        (
            "pkg.install",
            json!({"names": ["web"], "versions": {"other": "1.0"}}),
        ),
        ("pkg.install", json!({"names": ["a\nb"]})),
        ("pkg.remove", json!({"names": ["web*"]})),
        ("pkg.remove", json!({"names": ["web"], "force": true})),
        ("pkg.search", json!({"text": "-x"})),
        ("pkg.search", json!({"text": " "})),
        ("pkg.list", json!({"limit": 0})),
        ("pkg.list", json!({"name_glob": "[", "which": "all"})),
        ("pkg.rollback", json!({"task_id": "x", "step": 1})),
    ] {
        let answer = bed.try_call(&["pkg:*:*"], bed.key(), tool, args.clone(), 0).await;
        let refused = match answer {
            Err(status) => status.message().to_owned(),
            Ok(Answer::Failed(failed)) => failed.error.unwrap().code,
            Ok(other) => panic!("{tool} {args}: {other:?}"),
        };
        assert!(!refused.is_empty());
    }
    assert_eq!(bed.done("pkg.list", json!({})).await["total"], 0);
}

#[tokio::test]
async fn packages_that_are_unknown_essential_or_held_are_refused_by_name() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    web(&bed);
    bed.publish(
        "vital",
        "1",
        &Deb {
            control: "Essential: yes\n",
            ..Deb::default()
        },
    );
    bed.change("pkg.install", json!({"names": ["vital", "web"]}))
        .await;
    for (tool, args, wanted) in [
        ("pkg.install", json!({"names": ["nothing"]}), "AIOS-PKG-0003"),
        ("pkg.install", json!({"names": ["libwe."]}), "AIOS-PKG-0003"),
        ("pkg.install", json!({"names": ["libweb+"]}), "AIOS-PKG-0003"),
        (
            "pkg.install",
            json!({"names": ["web"], "versions": {"web": "9"}}),
            "AIOS-PKG-0003",
        ),
        ("pkg.remove", json!({"names": ["nothing"]}), "AIOS-PKG-0003"),
        ("pkg.info", json!({"name": "nothing"}), "AIOS-PKG-0003"),
        ("pkg.files", json!({"name": "nothing"}), "AIOS-PKG-0003"),
        ("pkg.remove", json!({"names": ["vital"]}), "AIOS-PKG-0004"),
        (
            "pkg.rollback",
            json!({"task_id": aios_core::id::TaskId::new().to_string(), "step": 1}),
            "AIOS-TOOLS-0017",
        ),
    ] {
        assert_eq!(code(&bed.call(tool, args.clone()).await), wanted, "{tool} {args}");
    }
    assert_eq!(bed.done("pkg.list", json!({})).await["total"], 3);
}

#[tokio::test]
async fn what_was_approved_is_what_is_done_and_nothing_newer() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    web(&bed);
    bed.guard.mood(Mood::Ask);
    let key = bed.key();
    let args = json!({"names": ["web"]});
    let ask = async || match bed.call_as(key, "pkg.install", args.clone()).await {
        Answer::ApprovalRequired(asked) => asked.approval_id,
        other => panic!("{other:?}"),
    };
    let first = ask().await;
    bed.guard.approve(&first);
    web_version(&bed, "2.0", "port 80\n", "Depends: libweb\n");
    let second = ask().await;
    assert_ne!(first, second, "the approval was for another version");
    bed.guard.approve(&second);
    let done = result(bed.call_as(key, "pkg.install", args.clone()).await);
    assert_eq!(done["packages"][1]["version_now"], "2.0");
}

fn call<'a>(
    tool: &'a str,
    args: &'a Value,
    caps: &'a CapabilitySet,
    key: aios_core::id::ExecutionKey,
    budget: &'a Budget,
) -> Call<'a> {
    Call {
        tool,
        args,
        caps,
        key,
        budget,
    }
}

#[tokio::test]
async fn a_new_simulation_that_differs_stops_the_change() {
    let bed = Bed::new().await;
    web(&bed);
    let pkg = Pkg::open(bed.settings(), &bed.home.path().join("state")).unwrap();
    let caps = CapabilitySet::new(vec!["pkg:*:*".parse().unwrap()]);
    let (budget, key) = (Budget::of_ms(60_000), bed.key());
    let args = pkg.canonical("pkg.install", "{\"names\":[\"web\"]}").unwrap();
    let install = call("pkg.install", &args, &caps, key, &budget);
    let prepared = pkg.prepare(&install).unwrap();
    assert_eq!(prepared.summary, "Install libweb 1.0, web 1.0");
    assert_eq!(
        (prepared.risk, prepared.reversible, prepared.files),
        (Risk::Medium, true, 2)
    );
    let paths: Vec<_> = prepared.identities.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(paths, ["libweb=1.0", "web=1.0"]);
    bed.publish("libweb", "1.1", &Deb::default());
    let error = pkg.plan(&install, &prepared.identities).unwrap_err();
    assert!(
        matches!(error, aios_tools::error::ToolError::Changed { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn what_could_not_come_back_is_asked_for() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    bed.publish("lost", "1", &Deb::default());
    assert!(bed.by_hand("lost_1_all.deb"));
    bed.withdraw("lost_1_all.deb");
    bed.publish("lost", "2", &Deb::default());
    let pkg = Pkg::open(bed.settings(), &bed.home.path().join("state")).unwrap();
    let caps = CapabilitySet::new(vec!["pkg:*:*".parse().unwrap()]);
    let (budget, key) = (Budget::of_ms(60_000), bed.key());
    let args = pkg.canonical("pkg.install", "{\"names\":[\"lost\"]}").unwrap();
    let prepared = pkg
        .prepare(&call("pkg.install", &args, &caps, key, &budget))
        .unwrap();
    assert_eq!((prepared.risk, prepared.reversible), (Risk::High, false));
    assert!(
        prepared
            .summary
            .contains("Change lost from 1 to 2. It cannot be undone"),
        "{}",
        prepared.summary
    );
    // It is done when it was asked for; its undo then says why not.
    let key = bed.change("pkg.install", json!({"names": ["lost"]})).await;
    assert_eq!(code(&bed.undo(key).await), "AIOS-PKG-0007");
}

/// A package whose configuration waits until it is let go, and notes who waits.
fn slow(bed: &Bed) {
    let script = "echo $$ > \"$DPKG_ROOT/etc/waiting\"\nsleep 300 & echo $! > \"$DPKG_ROOT/tmp/sleeper\"\n\
                  while test ! -e \"$DPKG_ROOT/etc/go\"; do sleep 0.1; done; kill $!";
    let deb = Deb {
        scripts: &[("postinst", script)],
        ..Deb::default()
    };
    bed.publish("slow", "1", &deb);
}

#[tokio::test]
async fn who_holds_the_lock_is_waited_for_and_then_named() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    web(&bed);
    slow(&bed);
    let file = bed.repo().join("slow_1_all.deb");
    let mut dpkg = bed.dpkg(&["-i", file.to_str().unwrap()]).spawn().unwrap();
    while !bed.root.join("etc/waiting").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let args = json!({"names": ["web"]});
    // dpkg notes what it is doing, so a new call sees it; one that only waits for the lock is a repair.
    assert_eq!(
        code(&bed.call("pkg.install", args.clone()).await),
        "AIOS-PKG-0006"
    );
    let started = Instant::now();
    let answer = bed
        .try_call(&["pkg:*:*"], bed.key(), "pkg.configure", json!({}), 1500)
        .await;
    let Answer::Failed(failed) = answer.unwrap() else {
        panic!("it was configured under somebody's hands")
    };
    let error = failed.error.unwrap();
    assert_eq!(error.code, "AIOS-PKG-0002", "{}", error.message);
    assert!(
        error.message.contains(&format!("process {} (dpkg)", dpkg.id())),
        "{}",
        error.message
    );
    assert!(started.elapsed() >= Duration::from_millis(1400));
    fs::write(bed.root.join("etc/go"), "").unwrap();
    assert!(dpkg.wait().unwrap().success());
    bed.change("pkg.install", args).await;
}

#[tokio::test]
async fn when_time_is_up_the_whole_group_ends_and_nothing_is_left() {
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let bed = Bed::new().await;
    slow(&bed);
    let before = bed.photo().await;
    let args = json!({"names": ["slow"]});
    let answer = bed
        .try_call(&["pkg:*:*"], bed.key(), "pkg.install", args, 10_000)
        .await;
    assert_eq!(code(&answer.unwrap()), "AIOS-TOOLS-0013");
    let pids = ["etc/waiting", "tmp/sleeper"].map(|name| fs::read_to_string(bed.root.join(name)).unwrap());
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        assert!(stat.is_err() || stat.unwrap().contains(") Z "), "{pid} goes on");
    }
    fs::remove_file(bed.root.join("etc/waiting")).unwrap();
    assert_eq!(bed.photo().await, before);
}
