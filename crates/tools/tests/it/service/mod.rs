//! The service tools on real services: a supervisor of its own for each test, which also starts the worker, from the
//! service file that is shipped. What the tools act on are services of the administrator, in `etc/services`.

mod machine;

use crate::common::{Answer, code, result};
use aios_core::clock::{Clock, SystemClock};
use aios_core::rpc;
use aios_proto::init::v1::ServiceInfo;
use aios_proto::worker::v1 as worker;
use aios_proto::worker::v1::worker_client::WorkerClient;
use machine::{Machine, PATIENCE, SLEEP, WORKER};
use serde_json::json;
use std::fs;
use std::time::Instant;

/// Where the worker can be killed on the way of a change.
const POINTS: [&str; 7] = [
    "worker.fs.before_snapshot",
    "worker.fs.after_snapshot",
    "worker.fs.before_effect",
    "worker.fs.after_effect",
    "worker.fs.before_commit",
    "worker.fs.after_commit",
    "worker.fs.before_answer",
];

/// Three services, each of which needs the one before.
fn chain() -> [(&'static str, String); 3] {
    [
        ("db", SLEEP.to_owned()),
        ("web", format!("{SLEEP}needs = [\"db\"]\n")),
        ("shop", format!("{SLEEP}needs = [\"web\"]\n")),
    ]
}

async fn with_chain() -> Option<Machine> {
    let chain = chain();
    let machine = Machine::new(&chain.each_ref().map(|(name, text)| (*name, text.as_str()))).await?;
    machine.until("shop", |info| info.state == "ready").await;
    Some(machine)
}

#[tokio::test]
async fn services_and_their_logs_are_looked_at() {
    let talker = "description = \"Talks\"\ncommand = [\"/bin/sh\", \"-c\", \"echo one; echo error two; echo three; exec sleep 1000000\"]\n\
        user = \"nobody\"\nready = \"none\"\nworking_directory = \"/tmp\"\n";
    let Some(machine) = Machine::new(&[("talker", talker)]).await else {
        return;
    };
    let info = machine.until("talker", |info| info.state == "ready").await;
    let list = machine.done("service.list", json!({})).await;
    let services = list["services"].as_array().unwrap();
    let found = services.iter().find(|it| it["name"] == "talker").unwrap();
    assert_eq!(
        (
            &found["state"],
            &found["enabled"],
            &found["core"],
            &found["pid"],
            &found["description"]
        ),
        (
            &json!("ready"),
            &json!(true),
            &json!(false),
            &json!(info.pid),
            &json!("Talks")
        )
    );
    let core = services.iter().find(|it| it["name"] == WORKER).unwrap();
    assert_eq!(core["core"], true);
    let status = machine.done("service.status", json!({"name": "talker"})).await;
    assert_eq!(
        (
            &status["working_directory"],
            &status["user"],
            &status["command"][0]
        ),
        (&json!("/tmp"), &json!("nobody"), &json!("/bin/sh"))
    );
    let file = machine.paths.etc.join("services/talker.toml");
    assert_eq!(status["files"], json!([file]));
    let ask = json!({"name": "talker", "contains": "error"});
    let since = Instant::now();
    let mut logs = machine.done("service.logs", ask.clone()).await;
    while logs["lines"].as_array().unwrap().is_empty() && since.elapsed() < PATIENCE {
        logs = machine.done("service.logs", ask.clone()).await;
    }
    assert_eq!(logs["lines"][0]["text"], "error two");
    let later = json!({"name": "talker", "since_ms": SystemClock.now_ms() + 60_000});
    assert_eq!(machine.done("service.logs", later).await["lines"], json!([]));
}

#[tokio::test]
async fn what_is_not_granted_not_there_or_no_name_is_refused() {
    let Some(machine) = with_chain().await else { return };
    let before = machine.photograph().await;
    for (capabilities, tool, args, wanted) in [
        (
            &["service:start:*"][..],
            "service.stop",
            json!({"name": "web"}),
            "AIOS-TOOLS-0005",
        ),
        (
            &["service:*:db"],
            "service.status",
            json!({"name": "web"}),
            "AIOS-TOOLS-0005",
        ),
        (
            &["service:*:db"],
            "service.logs",
            json!({"name": "ghost"}),
            "AIOS-TOOLS-0005",
        ),
        // What would stop with it must be granted too.
        (
            &["service:stop:db"],
            "service.stop",
            json!({"name": "db"}),
            "AIOS-TOOLS-0005",
        ),
        (
            &["service:*:**"],
            "service.status",
            json!({"name": "ghost"}),
            "AIOS-TOOLS-0301",
        ),
        (
            &["service:*:**"],
            "service.disable",
            json!({"name": "ghost"}),
            "AIOS-TOOLS-0301",
        ),
        (
            &["service:*:**"],
            "service.stop",
            json!({"name": "-f"}),
            "AIOS-TOOLS-0002",
        ),
        (
            &["service:*:**"],
            "service.stop",
            json!({"name": "a\nb"}),
            "AIOS-TOOLS-0002",
        ),
        (
            &["service:*:**"],
            "service.start",
            json!({"name": "a", "names": [""]}),
            "AIOS-TOOLS-0002",
        ),
        (
            &["service:*:**"],
            "service.logs",
            json!({"name": "web", "lines": 0}),
            "AIOS-TOOLS-0002",
        ),
        (
            &["service:*:**"],
            "service.enable",
            json!({"name": "web", "names": []}),
            "AIOS-TOOLS-0002",
        ),
    ] {
        let said = match machine.call_as(capabilities, machine.key(), tool, &args).await {
            Ok(answer) => code(&answer),
            Err(status) => rpc::report_of(&status).code,
        };
        assert_eq!(said, wanted, "{tool} {args} with {capabilities:?}");
    }
    assert_eq!(machine.photograph().await, before);
}

#[tokio::test]
async fn no_tool_stops_or_disables_a_part_of_aios() {
    let Some(machine) = with_chain().await else { return };
    for name in ["aios-guard", WORKER] {
        let before = machine.info(name).await;
        for tool in [
            "service.start",
            "service.stop",
            "service.enable",
            "service.disable",
        ] {
            let answer = machine.call(machine.key(), tool, &json!({"name": name})).await;
            assert!(matches!(answer, Answer::Denied(_)), "{tool} {name}: {answer:?}");
            assert_eq!(code(&answer), "AIOS-TOOLS-0302");
        }
        // init itself refuses this one: it was started just now.
        let answer = machine
            .call(machine.key(), "service.restart", &json!({"name": name}))
            .await;
        assert_eq!(code(&answer), "AIOS-TOOLS-0302", "{answer:?}");
        let after = machine.info(name).await;
        assert_eq!(
            (after.pid, after.run, after.enabled),
            (before.pid, before.run, true)
        );
    }
}

#[tokio::test]
async fn each_change_is_undone_exactly_with_all_that_went_along() {
    let Some(machine) = with_chain().await else { return };
    let before = machine.photograph().await;
    for (tool, args, touched) in [
        ("service.stop", json!({"name": "db"}), 3),
        ("service.stop", json!({"name": "shop"}), 1),
        ("service.disable", json!({"name": "web"}), 1),
        ("service.enable", json!({"name": "web"}), 1),
        ("service.start", json!({"name": "web"}), 1),
    ] {
        let key = machine.key();
        let answer = result(machine.call(key, tool, &args).await);
        assert_eq!(
            answer["services"].as_array().unwrap().len(),
            touched,
            "{tool}: {answer}"
        );
        let after = machine.photograph().await;
        let changes = !["service.enable", "service.start"].contains(&tool);
        assert_eq!(after != before, changes, "{tool}");
        assert_eq!(answer["changed"], changes, "{tool}: {answer}");
        result(machine.undo(key).await);
        assert_eq!(machine.photograph().await, before, "undo of {tool}");
        assert_eq!(
            code(&machine.undo(key).await),
            "AIOS-TOOLS-0018",
            "a second undo of {tool}"
        );
    }
    // The other way round: what was down is down again, also what was started along the way.
    machine.done("service.stop", json!({"name": "db"})).await;
    machine.done("service.disable", json!({"name": "shop"})).await;
    let down = machine.photograph().await;
    let key = machine.key();
    let answer = result(machine.call(key, "service.start", &json!({"name": "shop"})).await);
    assert_eq!(answer["services"].as_array().unwrap().len(), 3, "{answer}");
    let up = machine.photograph().await;
    assert!(up.iter().all(|(_, wanted, ready, _)| *wanted && *ready), "{up:?}");
    let undo = machine.key();
    let args = json!({"task_id": key.task.to_string(), "step": key.step});
    result(machine.call(undo, "service.undo", &args).await);
    assert_eq!(machine.photograph().await, down);
    result(machine.undo(undo).await);
    assert_eq!(machine.photograph().await, up, "an undo is undone");
}

#[tokio::test]
async fn an_undo_is_refused_with_the_difference_when_somebody_changed_it_since() {
    let Some(machine) = with_chain().await else { return };
    let (stop, enable) = (machine.key(), machine.key());
    result(machine.call(stop, "service.stop", &json!({"name": "web"})).await);
    machine.by_hand("start", "web").await;
    result(
        machine
            .call(enable, "service.enable", &json!({"name": "db"}))
            .await,
    );
    machine.by_hand("disable", "db").await;
    let before = machine.photograph().await;
    for (key, wanted) in [(stop, "web is to run now"), (enable, "db is disabled now")] {
        let answer = machine.undo(key).await;
        assert_eq!(code(&answer), "AIOS-TOOLS-0019");
        assert!(format!("{answer:?}").contains(wanted), "{answer:?}");
    }
    // Stopping db again would take down shop, which was started since.
    let start = machine.key();
    result(
        machine
            .call(machine.key(), "service.stop", &json!({"name": "db"}))
            .await,
    );
    result(machine.call(start, "service.start", &json!({"name": "db"})).await);
    machine.by_hand("start", "shop").await;
    let answer = machine.undo(start).await;
    assert_eq!(code(&answer), "AIOS-TOOLS-0019");
    assert!(format!("{answer:?}").contains("needs db"), "{answer:?}");
    assert_ne!(machine.photograph().await, before);
}

#[tokio::test]
async fn a_start_that_fails_is_taken_back_and_says_what_the_service_said() {
    let fails = |ready: &str, pause: &str| {
        format!(
            "command = [\"/bin/sh\", \"-c\", \"echo line 7: no such option; sleep {pause}; exit 3\"]\n\
             user = \"nobody\"\nready = \"{ready}\"\nenabled = false\n"
        )
    };
    let (early, late) = (fails("notify", "0"), fails("none", "0.3"));
    let Some(machine) = Machine::new(&[("early", &early), ("late", &late)]).await else {
        return;
    };
    let before = machine.photograph().await;
    for name in ["early", "late"] {
        let answer = machine
            .call(machine.key(), "service.start", &json!({"name": name}))
            .await;
        assert_eq!(code(&answer), "AIOS-TOOLS-0303", "{name}");
        let text = format!("{answer:?}");
        for part in ["`exit 3`", "line 7: no such option"] {
            assert!(text.contains(part), "{name}: {text}");
        }
        assert_eq!(machine.photograph().await, before, "{name} is stopped as it was");
    }
    let status = machine.done("service.status", json!({"name": "late"})).await;
    let ends = status["exits"].as_array().unwrap();
    assert!(
        ends.iter().any(|end| end["code"] == 3 && end["asked"] == false),
        "{status:#}"
    );
}

#[tokio::test]
async fn a_restart_of_what_does_not_work_brings_it_back_once_its_cause_is_gone() {
    let needy = "command = [\"/bin/sh\", \"-c\", \"test -e ${OUT}/config || { echo no config; exit 4; }; exec sleep 1000000\"]\n\
        user = \"nobody\"\nready = \"none\"\nrestart_min_ms = 300\n";
    let Some(machine) = Machine::new(&[("needy", needy)]).await else {
        return;
    };
    machine.until("needy", |info| info.restarts >= 2).await;
    let failed = machine
        .call(machine.key(), "service.restart", &json!({"name": "needy"}))
        .await;
    assert_eq!(code(&failed), "AIOS-TOOLS-0303");
    assert!(format!("{failed:?}").contains("no config"), "{failed:?}");
    assert!(
        machine.info("needy").await.wanted,
        "init goes on trying, as it did"
    );
    fs::write(machine.out("config"), "").unwrap();
    let key = machine.key();
    let answer = result(
        machine
            .call(key, "service.restart", &json!({"name": "needy"}))
            .await,
    );
    assert_eq!(answer["services"][0]["after"], "ready", "{answer}");
    // It was to run before and is to run now.
    result(machine.undo(key).await);
    assert_eq!(machine.info("needy").await.state, "ready");
}

#[tokio::test]
async fn the_restart_of_what_works_is_high_risk_and_cannot_be_undone() {
    let Some(machine) = Machine::new(&[("web", SLEEP)]).await else {
        return;
    };
    let works =
        |info: &ServiceInfo| info.state == "ready" && SystemClock.now_ms() - info.ready_since_ms > 10_500;
    let before = machine.until("web", works).await;
    let key = machine.key();
    machine.push_trust().await;
    let request = worker::PrepareRequest {
        token: machine.grant(&["service:restart:web"]),
        key: Some(key.into()),
        tool: "service.restart".into(),
        args_json: json!({"name": "web"}).to_string(),
        ..worker::PrepareRequest::default()
    };
    let mut client = WorkerClient::new(rpc::channel(&machine.paths.worker_socket("service")));
    let prepared = client.prepare(request).await.unwrap().into_inner();
    assert_eq!(
        (prepared.risk, prepared.reversible),
        (aios_auth::level::Risk::High.to_wire(), false)
    );
    assert_eq!(prepared.identities[0].path, "web");
    let answer = machine
        .call(key, "service.restart", &json!({"name": "web"}))
        .await;
    let Answer::Done(done) = answer else {
        panic!("{answer:?}")
    };
    assert!(!done.undoable, "the undo of its goal leaves it out");
    let after = machine.info("web").await;
    assert_eq!((after.run, after.state.as_str()), (before.run + 1, "ready"));
    assert_eq!(code(&machine.undo(key).await), "AIOS-TOOLS-0018");
}

#[tokio::test]
async fn each_change_happens_once_wherever_the_worker_is_killed() {
    let Some(machine) = with_chain().await else { return };
    let before = machine.photograph().await;
    for point in POINTS {
        for (tool, args) in [
            ("service.stop", json!({"name": "web"})),
            ("service.disable", json!({"name": "shop"})),
        ] {
            let (key, _) = machine.through_a_crash(point, tool, &args).await;
            assert_ne!(machine.photograph().await, before, "{tool} at {point}");
            let args = json!({"task_id": key.task.to_string(), "step": key.step});
            machine.through_a_crash(point, "service.undo", &args).await;
            assert_eq!(machine.photograph().await, before, "undo of {tool} at {point}");
        }
        let run = machine.info("db").await.run;
        let (_, was_done) = machine
            .through_a_crash(point, "service.restart", &json!({"name": "db"}))
            .await;
        assert_eq!(
            machine.info("db").await.run,
            run + 1,
            "restarted once, killed at {point}"
        );
        let before_it = [
            "worker.fs.before_snapshot",
            "worker.fs.after_snapshot",
            "worker.fs.before_effect",
        ];
        assert_eq!(was_done, !before_it.contains(&point), "{point}");
    }
}
