//! Wrong requests to every rpc: a coded error with a next step, and nothing half done.

use crate::bench::Bench;
use aios_core::rpc::{channel, report_of};
use aios_proto::agent::v1::agent_session_client::AgentSessionClient;
use aios_proto::agent::v1::{AgentMessage, Heartbeat, Hello, agent_message::Message};
use aios_proto::orchestrator::v1 as api;
use tonic::{Request, Status};

fn coded(what: &str, answer: Result<(), Status>, code: &str) {
    let status = answer.expect_err(what);
    let report = report_of(&status);
    assert_eq!(report.code, code, "{what}: {report}");
    assert!(
        !report.message.is_empty() && !report.next_step.is_empty(),
        "{what}: {report}"
    );
}

#[tokio::test]
async fn wrong_goals_are_refused_before_anything_is_stored() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let base = || api::SubmitGoalRequest {
        text: "x".to_owned(),
        ..Default::default()
    };
    let cases: Vec<(&str, api::SubmitGoalRequest)> = vec![
        (
            "empty",
            api::SubmitGoalRequest {
                text: String::new(),
                ..base()
            },
        ),
        (
            "blank",
            api::SubmitGoalRequest {
                text: " \n\t ".to_owned(),
                ..base()
            },
        ),
        (
            "too long",
            api::SubmitGoalRequest {
                text: "x".repeat(4097),
                ..base()
            },
        ),
        (
            "control characters",
            api::SubmitGoalRequest {
                text: "a\u{1b}[2Jb".to_owned(),
                ..base()
            },
        ),
        (
            "nul",
            api::SubmitGoalRequest {
                text: "a\0b".to_owned(),
                ..base()
            },
        ),
        (
            "priority",
            api::SubmitGoalRequest {
                priority: Some(10),
                ..base()
            },
        ),
        (
            "huge priority",
            api::SubmitGoalRequest {
                priority: Some(u32::MAX),
                ..base()
            },
        ),
        (
            "autonomy",
            api::SubmitGoalRequest {
                autonomy: 99,
                ..base()
            },
        ),
        (
            "client id",
            api::SubmitGoalRequest {
                client_id: "mine".to_owned(),
                ..base()
            },
        ),
    ];
    for (what, request) in cases {
        coded(
            what,
            bench.client().submit_goal(request).await.map(drop),
            "AIOS-ORCH-0008",
        );
    }
    let status = bench
        .client()
        .status(api::StatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(status.last_seq, 0);
}

#[tokio::test]
async fn wrong_goal_ids_are_refused_by_every_rpc_that_takes_one() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let unknown = "01939f2e-7c3a-7d11-8a52-0f6a3c1d9e77";
    for (id, code) in [
        ("", "AIOS-ORCH-0008"),
        ("nonsense", "AIOS-ORCH-0006"),
        ("abc", "AIOS-ORCH-0006"),
        ("%%%%%%%%", "AIOS-ORCH-0006"),
        ("' OR 1=1 --", "AIOS-ORCH-0006"),
        (unknown, "AIOS-ORCH-0006"),
        ("0f6a3c1d9e77", "AIOS-ORCH-0006"),
    ] {
        let mut client = bench.client();
        let id = id.to_owned();
        let get = api::GetGoalRequest { goal_id: id.clone() };
        coded(&format!("get `{id}`"), client.get_goal(get).await.map(drop), code);
        let cancel = api::CancelGoalRequest {
            goal_id: id.clone(),
            proof: None,
        };
        coded(
            &format!("cancel `{id}`"),
            client.cancel_goal(cancel).await.map(drop),
            code,
        );
        let reply = api::ReplyGoalRequest {
            goal_id: id.clone(),
            text: "x".to_owned(),
            proof: None,
        };
        coded(
            &format!("reply `{id}`"),
            client.reply_goal(reply).await.map(drop),
            code,
        );
        let undo = api::UndoGoalRequest {
            goal_id: id.clone(),
            proof: None,
        };
        coded(
            &format!("undo `{id}`"),
            client.undo_goal(undo).await.map(drop),
            code,
        );
        let decisions = api::ListDecisionsRequest { goal_id: id.clone() };
        coded(
            &format!("decisions `{id}`"),
            client.list_decisions(decisions).await.map(drop),
            code,
        );
        if !id.is_empty() {
            let watch = api::WatchGoalsRequest {
                goal_id: id.clone(),
                ..Default::default()
            };
            coded(
                &format!("watch `{id}`"),
                client.watch_goals(watch).await.map(drop),
                code,
            );
        }
    }
}

#[tokio::test]
async fn wrong_filters_calls_and_positions_are_refused() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let mut client = bench.client();
    let list = api::ListGoalsRequest {
        states: vec![42],
        ..Default::default()
    };
    coded("state", client.list_goals(list).await.map(drop), "AIOS-ORCH-0008");
    let watch = api::WatchGoalsRequest {
        from_seq: u64::MAX,
        ..Default::default()
    };
    coded(
        "position",
        client.watch_goals(watch).await.map(drop),
        "AIOS-ORCH-0008",
    );
    for (tool, args) in [
        ("", "{}"),
        ("stat", "{}"),
        ("fs.stat; rm", "{}"),
        ("fs.undo", "{}"),
        ("fs.stat", "[]"),
        ("fs.stat", "{"),
        ("fs.stat", "null"),
    ] {
        let call = api::CallToolRequest {
            tool: tool.to_owned(),
            args_json: args.to_owned(),
            ..Default::default()
        };
        coded(
            &format!("{tool} {args}"),
            client.call_tool(call).await.map(drop),
            "AIOS-ORCH-0008",
        );
    }
    let status = client.status(api::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.last_seq, 0);
}

#[tokio::test]
async fn a_call_of_an_unknown_tool_or_without_a_path_fails_as_a_goal() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    for (tool, args, code) in [
        ("fs.nonsense", "{\"path\":\"/x\"}", "AIOS-TOOLS-0001"),
        ("fs.stat", "{}", "AIOS-ORCH-0008"),
    ] {
        let call = api::CallToolRequest {
            tool: tool.to_owned(),
            args_json: args.to_owned(),
            ..Default::default()
        };
        let goal = bench.client().call_tool(call).await.unwrap().into_inner();
        let ended = bench.ended(&goal.goal_id).await.goal.unwrap();
        assert_eq!(ended.state(), api::GoalState::Failed);
        assert_eq!(ended.error.unwrap().code, code);
    }
}

async fn converse(bench: &Bench, identity: &[(&'static str, &str)], words: Vec<AgentMessage>) -> Status {
    let mut request = Request::new(tokio_stream::iter(words));
    for (key, value) in identity {
        request.metadata_mut().insert(*key, value.parse().unwrap());
    }
    match AgentSessionClient::new(channel(&bench.socket()))
        .connect(request)
        .await
    {
        Err(status) => status,
        Ok(stream) => {
            let mut stream = stream.into_inner();
            loop {
                match stream.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Status::ok("ended"),
                    Err(status) => return status,
                }
            }
        }
    }
}

#[tokio::test]
async fn sessions_that_break_the_rules_are_ended_with_a_code() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let known = [
        ("aios-agent-id", "01939f2e-7c3a-7d11-8a52-0f6a3c1d9e77"),
        ("aios-agent-kind", "maintenance_agent"),
    ];
    let hello = |skills: &[&str], max_tasks| AgentMessage {
        message: Some(Message::Hello(Hello {
            sdk_version: String::new(),
            skills: skills.iter().map(|skill| (*skill).to_owned()).collect(),
            max_tasks,
        })),
    };
    let good = || hello(&["a.b"], 1);
    let heartbeat = AgentMessage {
        message: Some(Message::Heartbeat(Heartbeat { active_tasks: 0 })),
    };
    for (what, words) in [
        ("no hello", vec![heartbeat]),
        ("nothing said", vec![AgentMessage { message: None }]),
        ("no skills", vec![hello(&[], 1)]),
        ("a skill with blanks", vec![hello(&["a b"], 1)]),
        ("no tasks", vec![hello(&["a.b"], 0)]),
        ("two hellos", vec![good(), good()]),
        ("an empty message", vec![good(), AgentMessage { message: None }]),
    ] {
        let status = converse(&bench, &known, words).await;
        assert_eq!(report_of(&status).code, "AIOS-ORCH-0017", "{what}: {status:?}");
    }
    let kindless = [known[0]];
    assert_eq!(
        report_of(&converse(&bench, &kindless, vec![good()]).await).code,
        "AIOS-ORCH-0009"
    );
    assert_eq!(
        report_of(&converse(&bench, &[], vec![good()]).await).code,
        "AIOS-ORCH-0009"
    );
}

#[tokio::test]
async fn a_broken_runbook_or_configuration_stops_the_start_and_names_its_place() {
    let Some(bench) = Bench::prepare() else {
        return;
    };
    let start = |environment: &[(&str, &str)]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_aios-orchestrator"))
            .envs(bench.paths.to_env().map(|(name, path)| (name, path.to_owned())))
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    bench.configure("[orchestrator]\nheartbeat = 1\n");
    let said = start(&[]);
    assert!(
        said.contains("config.toml:2") && said.contains("heartbeat_ms"),
        "{said}"
    );
    bench.configure("");
    std::fs::create_dir_all(bench.paths.etc.join("runbooks")).unwrap();
    std::fs::write(bench.paths.etc.join("runbooks/mine.toml"), "name = \"mine\"\n").unwrap();
    let said = start(&[]);
    assert!(said.contains("mine.toml"), "{said}");
}
