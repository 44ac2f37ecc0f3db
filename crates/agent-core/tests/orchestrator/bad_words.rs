//! What an agent says wrongly about a task that it has, about one that it has not, and too often.

use crate::agent::Session;
use crate::bench::{Bench, GOAL};
use aios_core::id::{AgentId, TaskId};
use aios_core::rpc::report_of;
use aios_harness::as_root;
use aios_proto::agent::v1::{
    CallResult, MemoryCall, Progress, TaskAssignment, TaskResult, ThinkCall, ToolCall,
    agent_message::Message, call_result, orchestrator_message, task_result,
};
use aios_proto::common::v1 as common;
use aios_proto::orchestrator::v1 as api;
use serde_json::json;
use std::time::Duration;
use tonic::Status;

/// An agent with a task of a goal.
async fn at_work(bench: &Bench) -> (Session, TaskAssignment, String) {
    let goal = bench.submit(GOAL).await.goal_id;
    let mut session = Session::open(&bench.socket(), AgentId::new()).await.unwrap();
    let task = session.task().await.unwrap();
    (session, task, goal)
}

/// The code with which the next answer to a call refuses it.
async fn refusal(session: &mut Session) -> String {
    let result = loop {
        match session.next().await.unwrap() {
            orchestrator_message::Message::ToolResult(result)
            | orchestrator_message::Message::MemoryResult(result)
            | orchestrator_message::Message::ThinkResult(result) => break result,
            _ => {}
        }
    };
    match result {
        CallResult {
            result: Some(call_result::Result::Error(error)),
            ..
        } => {
            assert!(!error.next_step.is_empty(), "{error:?}");
            error.code
        }
        other => panic!("an error was expected, not {other:?}"),
    }
}

/// How the session ends.
async fn end(session: &mut Session) -> Status {
    loop {
        if let Err(status) = session.next().await {
            return status;
        }
    }
}

/// The agent's end of the task was heard: what fails is the proof of it, since nothing was deleted.
async fn ended_by_itself(bench: &Bench, goal: &str) {
    let ended = bench.ended(goal).await.goal.unwrap();
    assert_eq!(ended.error.unwrap().code, "AIOS-ORCH-0024");
}

fn memory(task_id: &str, step: u64, verb: &str, args_json: &str) -> Message {
    Message::MemoryCall(MemoryCall {
        task_id: task_id.to_owned(),
        step,
        verb: verb.to_owned(),
        args_json: args_json.to_owned(),
    })
}

fn think(task_id: &str, step: u64, prompt: &str) -> Message {
    Message::ThinkCall(ThinkCall {
        task_id: task_id.to_owned(),
        step,
        prompt: prompt.to_owned(),
        schema_json: "{".to_owned(),
        max_tokens: u32::MAX,
    })
}

fn progress(task_id: &str, message: &str, percent: u32) -> Message {
    Message::Progress(Progress {
        task_id: task_id.to_owned(),
        message: message.to_owned(),
        percent,
    })
}

fn result(task_id: &str, result: Option<task_result::Result>) -> Message {
    Message::TaskResult(TaskResult {
        task_id: task_id.to_owned(),
        result,
        summary: "\u{1b}[2J".repeat(10_000),
    })
}

#[tokio::test]
async fn wrong_memory_and_model_calls_are_answered_with_a_code_and_the_task_goes_on() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let (mut session, task, goal) = at_work(&bench).await;
    let id = task.task_id.as_str();
    let long = "x".repeat(101);
    for (what, message, code) in [
        ("no verb", memory(id, 1, "", "{}"), "AIOS-ORCH-0008"),
        ("a long verb", memory(id, 1, &long, "{}"), "AIOS-ORCH-0008"),
        ("half an object", memory(id, 1, "recall", "{"), "AIOS-ORCH-0008"),
        ("no object", memory(id, 1, "recall", "[]"), "AIOS-ORCH-0008"),
        ("null", memory(id, 1, "note", "null"), "AIOS-ORCH-0008"),
        ("step 0", memory(id, 0, "recall", "{}"), "AIOS-ORCH-0005"),
        ("a gap", memory(id, 2, "recall", "{}"), "AIOS-ORCH-0005"),
        (
            "the last step",
            memory(id, u64::MAX, "recall", "{}"),
            "AIOS-ORCH-0005",
        ),
        ("thinking at step 0", think(id, 0, "x"), "AIOS-ORCH-0005"),
        ("thinking after a gap", think(id, u64::MAX, "x"), "AIOS-ORCH-0005"),
        // From here on the calls are steps of the task, which failed.
        ("an unknown verb", memory(id, 1, "forget", "{}"), "AIOS-ORCH-0008"),
        ("another call", memory(id, 1, "recall", "{}"), "AIOS-ORCH-0019"),
        ("no model", think(id, 2, ""), "AIOS-ORCH-0020"),
        ("another kind", memory(id, 2, "recall", "{}"), "AIOS-ORCH-0019"),
        (
            "memory is away",
            memory(id, 3, "recall", "{\"limit\":-1,\"kind\":7}"),
            "AIOS-ORCH-0012",
        ),
    ] {
        session.send(message).await;
        assert_eq!(refusal(&mut session).await, code, "{what}");
    }
    let good = session
        .call(id, 4, "fs.disk_usage", &json!({"path": "/srv/logs"}))
        .await
        .unwrap();
    assert!(
        matches!(good.result, Some(call_result::Result::ResultJson(_))),
        "{good:?}"
    );
    session
        .finish(&task, task_result::Result::OutputJson("{}".to_owned()))
        .await;
    ended_by_itself(&bench, &goal).await;
}

#[tokio::test]
async fn words_about_tasks_that_are_no_tasks_are_refused_and_the_guard_is_told() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let (mut session, task, goal) = at_work(&bench).await;
    let (unknown, long) = (TaskId::new().to_string(), "x".repeat(100_000));
    let ids = ["", "nonsense", unknown.as_str(), &task.goal_id, long.as_str()];
    for id in ids {
        let tool = Message::ToolCall(ToolCall {
            task_id: id.to_owned(),
            ..ToolCall::default()
        });
        for message in [tool, memory(id, 1, "recall", "{}"), think(id, 1, "x")] {
            session.send(message).await;
            assert_eq!(refusal(&mut session).await, "AIOS-ORCH-0018", "{id:.40}");
        }
    }
    // These have no answer.
    session.send(progress(&unknown, "x", 1)).await;
    session.send(result(&unknown, None)).await;
    let wanted = ids.len() * 3 + 2;
    for _ in 0..500 {
        let told = bench.doubles.world().recorded.len();
        if told >= wanted {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refused = bench.doubles.world().recorded.clone();
    let refused: Vec<_> = refused.iter().filter(|it| it.kind == "session.refused").collect();
    assert_eq!(refused.len(), wanted);
    assert!(refused.iter().all(|record| record.details_json.len() < 2_000));
    session
        .finish(&task, task_result::Result::OutputJson("{}".to_owned()))
        .await;
    ended_by_itself(&bench, &goal).await;
}

#[tokio::test]
async fn progress_is_cut_to_what_a_person_can_read() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let (session, task, goal) = at_work(&bench).await;
    let message = format!("\u{1b}[2J\r\n{}", "x".repeat(100_000));
    session.send(progress(&task.task_id, &message, u32::MAX)).await;
    session
        .finish(&task, task_result::Result::OutputJson("{}".to_owned()))
        .await;
    bench.ended(&goal).await;
    let watch = api::WatchGoalsRequest {
        goal_id: goal,
        ..api::WatchGoalsRequest::default()
    };
    let mut events = bench.client().watch_goals(watch).await.unwrap().into_inner();
    let mut said = Vec::new();
    while let Some(event) = events.message().await.unwrap() {
        if event.kind == "progress" {
            said.push(event);
        }
    }
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].message.len() < 600 && !said[0].message.contains(['\u{1b}', '\r', '\n']));
    assert!(said[0].details_json.contains("100") && !said[0].details_json.contains("4294967295"));
}

#[tokio::test]
async fn a_result_that_is_none_fails_the_task_with_a_code() {
    let output = |text: &str| Some(task_result::Result::OutputJson(text.to_owned()));
    let error = common::Error {
        code: "x".repeat(100),
        ..common::Error::default()
    };
    for (what, ending, wanted) in [
        ("nothing", None, "AIOS-ORCH-0017"),
        ("no JSON", output("{"), "AIOS-ORCH-0017"),
        ("empty", output(""), "AIOS-ORCH-0017"),
        ("no object", output("[]"), "AIOS-ORCH-0017"),
        ("null", output("null"), "AIOS-ORCH-0017"),
        (
            "an error of its own",
            Some(task_result::Result::Error(error)),
            "xxx",
        ),
    ] {
        let Some(bench) = Bench::start().await else {
            return;
        };
        let (session, task, goal) = at_work(&bench).await;
        session.send(result(&task.task_id, ending)).await;
        let ended = bench.ended(&goal).await.goal.unwrap();
        assert_eq!(ended.state(), api::GoalState::Failed, "{what}");
        let code = ended.error.unwrap().code;
        assert!(code.starts_with(wanted), "{what}: {code}");
        assert!(!ended.status_line.contains('\u{1b}'), "{what}");
    }
}

#[tokio::test]
async fn an_agent_that_keeps_speaking_about_tasks_of_others_is_cut_off() {
    if !as_root().unwrap() {
        return;
    }
    let Some(bench) = Bench::start().await else {
        return;
    };
    let (mut session, task, _) = at_work(&bench).await;
    for _ in 0..20 {
        session
            .send(memory(&TaskId::new().to_string(), 1, "recall", "{}"))
            .await;
        assert_eq!(refusal(&mut session).await, "AIOS-ORCH-0018");
    }
    session.send(progress("x", "x", 1)).await;
    let report = report_of(&end(&mut session).await);
    assert_eq!(report.code, "AIOS-ORCH-0017");
    assert!(report.message.contains("more than 20"), "{report}");
    // Its task is given to the next agent, and nobody else was hurt.
    let mut next = Session::open(&bench.socket(), AgentId::new()).await.unwrap();
    assert_eq!(next.task().await.unwrap().task_id, task.task_id);
}

#[tokio::test]
async fn an_agent_that_floods_its_task_while_a_call_waits_is_cut_off() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    bench.doubles.world().ask = true;
    let (mut session, task, goal) = at_work(&bench).await;
    session
        .send(Message::ToolCall(ToolCall {
            task_id: task.task_id.clone(),
            step: 1,
            tool: "fs.delete".to_owned(),
            args_json: json!({"paths": ["/srv/logs/9.log"]}).to_string(),
            ..ToolCall::default()
        }))
        .await;
    bench.until(&goal, &[api::GoalState::AwaitingApproval]).await;
    let ended = async {
        for number in 0..=64 {
            session
                .send(progress(&task.task_id, &number.to_string(), 1))
                .await;
        }
        end(&mut session).await
    };
    let report = report_of(
        &tokio::time::timeout(Duration::from_secs(30), ended)
            .await
            .unwrap(),
    );
    assert_eq!(report.code, "AIOS-ORCH-0017");
    assert!(report.message.contains("more than 64 messages"), "{report}");
    // What waits for a person still waits, and is done once for whoever goes on.
    bench.doubles.decide(true);
    let mut next = Session::open(&bench.socket(), AgentId::new()).await.unwrap();
    let again = next.task().await.unwrap();
    assert_eq!(
        (again.task_id.as_str(), again.recorded.len()),
        (task.task_id.as_str(), 1)
    );
    assert_eq!(bench.doubles.world().deletions["/srv/logs/9.log"], 1);
}
