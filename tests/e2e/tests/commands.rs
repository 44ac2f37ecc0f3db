//! Commands that ask or call: each answers in JSON, with what is really there.

use aios_tests_e2e::ctl::{Instance, pause, string};
use aios_tests_e2e::{SERVICES, instance, tree};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A call by hand, to its end; answers the result of its one step.
fn call(instance: &Instance, tool: &str, args: &Value) -> Value {
    let detail = instance.json(&["tool", "call", tool, &args.to_string()]);
    assert_eq!(string(&detail, "/goal/state"), "completed", "{detail:#}");
    let steps = detail.pointer("/tasks/0/steps").and_then(Value::as_array);
    let steps = steps.unwrap_or_else(|| panic!("steps in {detail:#}"));
    assert_eq!(steps.len(), 1, "{detail:#}");
    steps[0]["result"].clone()
}

#[test]
fn a_read_by_hand_completes_on_a_file_and_on_a_directory() {
    let Some(instance) = instance() else { return };
    let dir = tree::scratch();
    let file = dir.path().join("a.log");
    tree::file(&file, b"12345", 1);
    tree::file(&dir.path().join("sub/b.log"), b"", 1);

    let stat = call(&instance, "fs.stat", &json!({"path": file}));
    assert_eq!(
        (&stat["kind"], &stat["size"]),
        (&json!("file"), &json!(5)),
        "{stat:#}"
    );
    let stat = call(&instance, "fs.stat", &json!({"path": dir.path()}));
    assert_eq!(stat["kind"], "dir", "{stat:#}");
    let list = call(&instance, "fs.list", &json!({"path": dir.path()}));
    let names: Vec<&str> = list["entries"]
        .as_array()
        .unwrap_or_else(|| panic!("entries in {list:#}"))
        .iter()
        .filter_map(|entry| entry["name"].as_str())
        .collect();
    assert_eq!(names, ["a.log", "sub"], "{list:#}");
    let read = call(&instance, "fs.read", &json!({"path": file}));
    assert!(read.to_string().contains("12345"), "{read:#}");
}

#[test]
fn a_read_of_a_protected_place_is_denied() {
    let Some(instance) = instance() else { return };
    let keys = instance.state.join("var/guard");
    let args = json!({"path": keys}).to_string();
    let output = instance.run(&["--json", "tool", "call", "fs.list", &args]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let detail: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        string(&detail, "/goal/error/code"),
        "AIOS-TOOLS-0007",
        "{detail:#}"
    );
    assert_eq!(string(&detail, "/tasks/0/steps/0/state"), "denied", "{detail:#}");
}

type Check = fn(&Instance, &Value);

/// What is asked, and what must be in the answer.
const QUESTIONS: &[(&[&str], Check)] = &[
    (&["service", "list"], |_, services| {
        // Others wait for the boot of a machine.
        let mut names: Vec<String> = list(services)
            .iter()
            .filter(|service| service["enabled"] == true)
            .map(|service| {
                let state = string(service, "/state");
                assert!(["ready", "listening"].contains(&state.as_str()), "{service:#}");
                let name = string(service, "/name");
                // dpkg works for uid 0 only; what that worker may do is in its capabilities.
                let user = match name.as_str() {
                    "aios-worker-pkg" => "root".to_owned(),
                    other => other.replace("-worker-", "-"),
                };
                assert_eq!(string(service, "/user"), user, "{service:#}");
                name
            })
            .collect();
        names.sort();
        assert_eq!(names, SERVICES);
    }),
    (&["service", "status", "aios-guard"], |_, service| {
        assert_eq!(service["state"], "ready", "{service:#}");
        assert!(service["pid"].as_u64() > Some(1) && service["rss_bytes"].as_u64() > Some(0));
        assert!(!list(&service["confinement"]).is_empty(), "{service:#}");
    }),
    (&["boot"], |_, boot| {
        assert_eq!(boot["booted"], false);
        let phases = list(&boot["phases"]);
        assert!(phases.iter().any(|phase| phase["name"] == "services"), "{boot:#}");
        for phase in phases {
            assert!(
                phase["state"] == "done" || phase["state"] == "skipped",
                "{phase:#}"
            );
        }
    }),
    (&["memory", "stats"], |_, stats| {
        assert!(stats["working_events"].as_u64() > Some(0), "{stats:#}");
        assert_eq!(stats["operational_capacity"], 2000);
    }),
    (&["memory", "recent"], |instance, events| {
        // Only agents tell memory what they observed, so there may be none.
        let known = instance.json(&["memory", "stats"])["operational_events"].as_u64();
        let shown = u64::try_from(list(events).len()).unwrap();
        assert_eq!(known.map(|known| known.min(20)), Some(shown), "{events:#}");
        for event in list(events) {
            assert!(
                !string(event, "/source").is_empty() && event["time"].is_string(),
                "{event:#}"
            );
        }
    }),
    (
        &["policy", "explain", "fs.delete", r#"{"paths":["/var/tmp/x"]}"#],
        |instance, answer| {
            assert_eq!(
                (&answer["effect"], &answer["rule_id"]),
                (&json!("confirm"), &json!("change-supervised"))
            );
            let origin = string(answer, "/origin");
            assert!(
                origin.starts_with(&*instance.state.to_string_lossy()),
                "{answer:#}"
            );
        },
    ),
    (
        &["policy", "explain", "fs.stat", r#"{"path":"/var/tmp/x"}"#],
        |_, answer| {
            assert_eq!(answer["effect"], "allow", "{answer:#}");
        },
    ),
    (&["config", "show", "--origin"], |instance, config| {
        for (pointer, value, file) in [
            ("/users/guard", json!("aios-guard"), "vendor/config.toml"),
            ("/init/allow_degraded", json!(true), "etc/config.toml"),
        ] {
            let entry = config
                .pointer(pointer)
                .unwrap_or_else(|| panic!("{pointer} in {config:#}"));
            assert_eq!(entry["value"], value, "{pointer}");
            let origin = string(entry, "/origin");
            assert!(
                origin.contains(&*instance.state.join(file).to_string_lossy()),
                "{pointer}: {origin}"
            );
        }
    }),
    (&["config", "check"], |_, answer| {
        assert_eq!(
            (&answer["ok"], list(&answer["files"]).len()),
            (&json!(true), 2),
            "{answer:#}"
        );
    }),
    (&["status"], |_, status| {
        let services = list(&status["services"])
            .iter()
            .filter(|service| service["enabled"] == true);
        let mut names: Vec<String> = services.map(|service| string(service, "/name")).collect();
        names.sort();
        assert_eq!(names, SERVICES, "{status:#}");
        for part in ["guard", "orchestrator", "agents"] {
            assert!(status[part].get("error").is_none(), "{part} in {status:#}");
        }
    }),
];

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("no list: {value:#}"))
}

#[test]
fn questions_are_answered_with_what_is_there() {
    let Some(instance) = instance() else { return };
    for (words, check) in QUESTIONS {
        let answer = instance.json(words);
        eprintln!("{}", words.join(" "));
        check(&instance, &answer);
    }
}

#[test]
fn memory_tells_the_decisions_of_a_goal() {
    let Some(instance) = instance() else { return };
    let args = json!({"path": "/"}).to_string();
    let goal = string(
        &instance.json(&["tool", "call", "fs.stat", &args]),
        "/goal/goal_id",
    );
    let own = instance.json(&["memory", "decisions", &goal]);
    assert!(
        !list(&own).is_empty(),
        "decisions of the goal, as the orchestrator knows them"
    );
    for decision in list(&own) {
        assert!(!string(decision, "/subject").is_empty() && !string(decision, "/reason").is_empty());
    }
    // Memory follows the journal, a moment later.
    let begin = Instant::now();
    loop {
        let all = instance.json(&["memory", "decisions"]);
        let mut of_goal = list(&all)
            .iter()
            .filter(|event| event["goal_id"] == goal.as_str());
        if let Some(event) = of_goal.next() {
            assert_eq!(event["kind"], "decision", "{event:#}");
            assert!(event["body"]["choice"].is_string(), "{event:#}");
            break;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "memory never heard of goal {goal}"
        );
        pause();
    }
}
