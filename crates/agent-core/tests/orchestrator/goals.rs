//! Goals from words to proof, and what stands in their way.

use crate::agent::{self, Session};
use crate::bench::{Bench, GOAL};
use aios_core::id::AgentId;
use aios_core::rpc::report_of;
use aios_proto::agent::v1::call_result;
use aios_proto::orchestrator::v1 as api;
use aios_proto::orchestrator::v1::{GoalState, StepState};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;

fn result(detail: &api::GoalDetail) -> Value {
    serde_json::from_str(&detail.result_json).unwrap()
}

fn goal(detail: &api::GoalDetail) -> &api::Goal {
    detail.goal.as_ref().unwrap()
}

#[tokio::test]
async fn a_goal_is_planned_done_by_the_agent_proved_and_undone() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    agent::keep_running(bench.socket());
    let submitted = bench.submit(GOAL).await;
    let detail = bench.ended(&submitted.goal_id).await;
    assert_eq!(goal(&detail).state(), GoalState::Completed, "{detail:#?}");
    let names: Vec<&str> = detail.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["survey", "clean", "verify"]);
    assert_eq!(detail.tasks[1].agent_kind, "maintenance_agent");
    assert_eq!(detail.tasks[2].agent_kind, "executor");
    // Ages are 5 to 14 days: 3 of 10 are the newest, and the other 7 are older than 7 days.
    assert_eq!(
        bench.doubles.world().files.keys().collect::<Vec<_>>(),
        ["/srv/logs/0.log", "/srv/logs/1.log", "/srv/logs/2.log"]
    );
    let outcome = result(&detail);
    assert_eq!(outcome["changed"]["files"], 7);
    assert_eq!(outcome["changed"]["bytes"], 7 * 100 + (3..10).sum::<u64>());
    assert_eq!(outcome["verified"], true);
    assert!(goal(&detail).undoable);

    let request = api::UndoGoalRequest {
        goal_id: submitted.goal_id.clone(),
        proof: None,
    };
    let undo = bench
        .client()
        .undo_goal(request.clone())
        .await
        .unwrap()
        .into_inner();
    let undone = bench.ended(&undo.goal_id).await;
    assert_eq!(goal(&undone).state(), GoalState::Completed, "{undone:#?}");
    assert_eq!(bench.doubles.world().files.len(), 10);
    let first = bench.goal(&submitted.goal_id).await;
    assert_eq!(goal(&first).undone_by, undo.goal_id);
    let again = bench.client().undo_goal(request).await.unwrap_err();
    assert_eq!(report_of(&again).code, "AIOS-ORCH-0026");
}

#[tokio::test]
async fn each_token_is_asked_for_one_task_with_its_own_capabilities() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    agent::keep_running(bench.socket());
    let submitted = bench.submit(GOAL).await;
    bench.ended(&submitted.goal_id).await;
    let world = bench.doubles.world();
    let may_delete: Vec<&str> = world
        .minted
        .iter()
        .filter(|mint| {
            mint.capabilities
                .iter()
                .any(|capability| capability.starts_with("fs:delete:"))
        })
        .map(|mint| mint.agent_kind.as_str())
        .collect();
    assert_eq!(may_delete, ["maintenance_agent"]);
    assert!(world.minted.iter().all(|mint| mint.goal_id == submitted.goal_id));
}

#[tokio::test]
async fn a_step_waits_for_approval_and_goes_on_with_the_same_key() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    bench.doubles.world().ask = true;
    agent::keep_running(bench.socket());
    let submitted = bench.submit(GOAL).await;
    let waiting = bench
        .until(&submitted.goal_id, &[GoalState::AwaitingApproval])
        .await;
    let step = &waiting.tasks[1].steps[2];
    assert_eq!(
        (step.state(), step.name.as_str()),
        (StepState::AwaitingApproval, "fs.delete")
    );
    assert!(step.approval_id.starts_with("approval-"));
    assert_eq!(bench.doubles.decide(true), 1);
    let detail = bench.ended(&submitted.goal_id).await;
    assert_eq!(goal(&detail).state(), GoalState::Completed);
    let world = bench.doubles.world();
    assert_eq!(world.deletions.len(), 7, "{:?}", world.deletions);
    assert!(
        world.deletions.values().all(|times| *times == 1),
        "{:?}",
        world.deletions
    );
}

#[tokio::test]
async fn a_declined_step_is_denied_and_the_goal_says_by_whom() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    bench.doubles.world().ask = true;
    agent::keep_running(bench.socket());
    let submitted = bench.submit(GOAL).await;
    bench
        .until(&submitted.goal_id, &[GoalState::AwaitingApproval])
        .await;
    bench.doubles.decide(false);
    let detail = bench.ended(&submitted.goal_id).await;
    assert_eq!(goal(&detail).state(), GoalState::Failed);
    assert_eq!(detail.tasks[1].steps[2].state(), StepState::Denied);
    assert!(
        goal(&detail).status_line.contains("declined by anna"),
        "{}",
        goal(&detail).status_line
    );
    assert_eq!(bench.doubles.world().files.len(), 10);
}

#[tokio::test]
async fn what_policy_denies_fails_the_goal_with_the_guards_code() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    bench.doubles.world().deny = true;
    agent::keep_running(bench.socket());
    let submitted = bench.submit(GOAL).await;
    let detail = bench.ended(&submitted.goal_id).await;
    assert_eq!(goal(&detail).state(), GoalState::Failed);
    let step = &detail.tasks[1].steps[2];
    assert_eq!(
        (step.state(), step.rule_id.as_str(), step.audit_seq),
        (StepState::Denied, "test.deny", 9)
    );
    assert_eq!(step.error.as_ref().unwrap().code, "AIOS-GUARD-0007");
}

#[tokio::test]
async fn a_goal_whose_proof_fails_is_not_completed() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    bench.doubles.world().lie = true;
    agent::keep_running(bench.socket());
    let submitted = bench.submit(GOAL).await;
    let detail = bench.ended(&submitted.goal_id).await;
    assert_eq!(goal(&detail).state(), GoalState::Failed);
    assert_eq!(goal(&detail).error.as_ref().unwrap().code, "AIOS-ORCH-0024");
    assert!(
        goal(&detail)
            .status_line
            .contains("files that should be gone are still there")
    );
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_says_what_would_change() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    agent::keep_running(bench.socket());
    let request = api::SubmitGoalRequest {
        text: GOAL.to_owned(),
        dry_run: true,
        ..Default::default()
    };
    let submitted = bench.client().submit_goal(request).await.unwrap().into_inner();
    let detail = bench.ended(&submitted.goal_id).await;
    assert_eq!(goal(&detail).state(), GoalState::Completed, "{detail:#?}");
    assert_eq!(
        goal(&detail).status_line,
        "dry run: would change 7 files, 0 bytes"
    );
    assert!(!goal(&detail).undoable);
    assert_eq!(bench.doubles.world().files.len(), 10);
}

#[tokio::test]
async fn the_audit_log_hears_of_a_goal_and_its_end_and_its_tokens_are_revoked() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    agent::keep_running(bench.socket());
    let submitted = bench.submit(GOAL).await;
    bench.ended(&submitted.goal_id).await;
    bench.heard(|world| !world.withdrawn.is_empty()).await;
    let world = bench.doubles.world();
    assert_eq!(world.withdrawn, [submitted.goal_id]);
    let kinds: Vec<&str> = world.recorded.iter().map(|record| record.kind.as_str()).collect();
    assert_eq!(kinds, ["goal.submitted", "goal.completed"]);
}

#[tokio::test]
async fn a_cancelled_goal_stops_waiting_and_loses_its_powers() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    bench.doubles.world().ask = true;
    agent::keep_running(bench.socket());
    let submitted = bench.submit(GOAL).await;
    bench
        .until(&submitted.goal_id, &[GoalState::AwaitingApproval])
        .await;
    let request = api::CancelGoalRequest {
        goal_id: submitted.goal_id.clone(),
        proof: None,
    };
    let cancelled = bench
        .client()
        .cancel_goal(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(cancelled.state(), GoalState::Cancelled);
    assert!(cancelled.status_line.contains("cancelled by root"));
    let detail = bench.goal(&submitted.goal_id).await;
    assert_eq!(detail.tasks[1].steps[2].state(), StepState::Denied);
    bench
        .heard(|world| world.withdrawn.contains(&submitted.goal_id))
        .await;
    assert!(bench.doubles.world().withdrawn.contains(&submitted.goal_id));
    let again = bench.client().cancel_goal(request).await.unwrap_err();
    assert_eq!(report_of(&again).code, "AIOS-ORCH-0010");
}

#[tokio::test]
async fn words_that_fit_nothing_are_asked_back_and_the_answer_is_planned() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    agent::keep_running(bench.socket());
    let submitted = bench.submit("make the machine faster, please").await;
    let waiting = bench.until(&submitted.goal_id, &[GoalState::AwaitingInput]).await;
    assert!(
        goal(&waiting).status_line.contains("free space under /var/log"),
        "{waiting:?}"
    );
    let reply = api::ReplyGoalRequest {
        goal_id: submitted.goal_id.clone(),
        text: GOAL.to_owned(),
        proof: None,
    };
    bench.client().reply_goal(reply.clone()).await.unwrap();
    let detail = bench.ended(&submitted.goal_id).await;
    assert_eq!(goal(&detail).state(), GoalState::Completed);
    let again = bench.client().reply_goal(reply).await.unwrap_err();
    assert_eq!(report_of(&again).code, "AIOS-ORCH-0010");
}

#[tokio::test]
async fn an_agent_that_goes_away_is_followed_by_another_that_does_not_repeat_its_steps() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let submitted = bench.submit(GOAL).await;
    let mut first = Session::open(&bench.socket(), AgentId::new()).await.unwrap();
    let task = first.task().await.unwrap();
    first
        .step(&task, 1, "fs.disk_usage", json!({"path": "/srv/logs"}))
        .await
        .unwrap();
    drop(first);
    let mut second = Session::open(&bench.socket(), AgentId::new()).await.unwrap();
    let again = second.task().await.unwrap();
    assert_eq!(again.task_id, task.task_id);
    assert_eq!(again.recorded.len(), 1);
    assert_eq!(again.recorded[0].name, "fs.disk_usage");
    second.free_space(&again).await.unwrap();
    let detail = bench.ended(&submitted.goal_id).await;
    assert_eq!(goal(&detail).state(), GoalState::Completed);
    let decisions = api::ListDecisionsRequest {
        goal_id: submitted.goal_id,
    };
    let decisions = bench
        .client()
        .list_decisions(decisions)
        .await
        .unwrap()
        .into_inner()
        .decisions;
    assert!(
        decisions
            .iter()
            .any(|decision| decision.choice == "give the task out again"),
        "{decisions:#?}"
    );
}

#[tokio::test]
async fn the_sandbox_is_asked_once_for_an_agent_that_is_not_there() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let submitted = bench.submit(GOAL).await;
    bench.heard(|world| !world.run.is_empty()).await;
    agent::keep_running(bench.socket());
    bench.ended(&submitted.goal_id).await;
    assert_eq!(bench.doubles.world().run, ["maintenance_agent"]);
}

#[tokio::test]
async fn an_agent_that_somebody_froze_is_waited_for_and_not_replaced() {
    for state in ["frozen", "stopped"] {
        let Some(mut bench) = Bench::prepare() else {
            return;
        };
        bench.configure("[orchestrator]\nagent_wait_ms = 1000\n");
        bench.doubles.world().held = Some(state);
        bench.launch().await;
        let submitted = bench.submit(GOAL).await;
        // Longer than it would wait for one that does not come.
        tokio::time::sleep(Duration::from_millis(3000)).await;
        let waiting = bench.goal(&submitted.goal_id).await;
        assert!(
            goal(&waiting)
                .status_line
                .contains("aiosctl agent thaw the-agent"),
            "{state}: {waiting:#?}"
        );
        agent::keep_running(bench.socket());
        let detail = bench.ended(&submitted.goal_id).await;
        assert_eq!(goal(&detail).state(), GoalState::Completed, "{state}");
        assert!(bench.doubles.world().run.is_empty(), "{state}");
    }
}

#[tokio::test]
async fn an_agent_is_refused_what_is_not_its_own_and_the_guard_is_told() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let submitted = bench.submit(GOAL).await;
    let mut own = Session::open(&bench.socket(), AgentId::new()).await.unwrap();
    let task = own.task().await.unwrap();
    let mut other = Session::open(&bench.socket(), AgentId::new()).await.unwrap();
    let answer = other
        .call(
            &task.task_id,
            1,
            "fs.delete",
            &json!({"paths": ["/srv/logs/9.log"]}),
        )
        .await
        .unwrap();
    let Some(call_result::Result::Error(error)) = answer.result else {
        panic!("it must be refused")
    };
    assert_eq!(error.code, "AIOS-ORCH-0018");
    bench
        .heard(|world| {
            world
                .recorded
                .iter()
                .any(|record| record.kind == "session.refused")
        })
        .await;
    let world = bench.doubles.world().recorded.clone();
    let refusal = world
        .iter()
        .find(|record| record.kind == "session.refused")
        .unwrap();
    assert_eq!(refusal.agent_id, other.agent.to_string());
    own.free_space(&task).await.unwrap();
    assert_eq!(
        goal(&bench.ended(&submitted.goal_id).await).state(),
        GoalState::Completed
    );
}

#[tokio::test]
async fn an_agents_wrong_calls_are_answered_with_coded_errors() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    bench.submit(GOAL).await;
    let mut session = Session::open(&bench.socket(), AgentId::new()).await.unwrap();
    let task = session.task().await.unwrap();
    let code = |answer: aios_proto::agent::v1::CallResult| match answer.result {
        Some(call_result::Result::Error(error)) => error.code,
        other => panic!("an error was expected, not {other:?}"),
    };
    let id = task.task_id.clone();
    assert_eq!(
        code(session.call(&id, 7, "fs.stat", &json!({})).await.unwrap()),
        "AIOS-ORCH-0005"
    );
    assert_eq!(
        code(session.call(&id, 1, "fs.stat", &json!([])).await.unwrap()),
        "AIOS-ORCH-0008"
    );
    assert_eq!(
        code(session.call(&id, 1, "", &json!({})).await.unwrap()),
        "AIOS-ORCH-0008"
    );
    assert_eq!(
        code(session.call(&id, 1, "fs.nonsense", &json!({})).await.unwrap()),
        "AIOS-TOOLS-0001"
    );
    assert_eq!(
        code(session.call(&id, 1, "fs.stat", &json!({})).await.unwrap()),
        "AIOS-ORCH-0019"
    );
}

#[tokio::test]
async fn an_emergency_stop_holds_new_steps_back_until_it_is_lifted() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    bench.doubles.emergency(true);
    tokio::time::sleep(Duration::from_millis(300)).await;
    agent::keep_running(bench.socket());
    let submitted = bench.submit(GOAL).await;
    let mut line = String::new();
    for _ in 0..500 {
        line = goal(&bench.goal(&submitted.goal_id).await).status_line.clone();
        if line.contains("emergency stop of anna") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(line.contains("emergency stop of anna: smoke"), "{line}");
    assert!(bench.doubles.world().calls.is_empty());
    bench.doubles.emergency(false);
    assert_eq!(
        goal(&bench.ended(&submitted.goal_id).await).state(),
        GoalState::Completed
    );
}

#[tokio::test]
async fn one_call_of_a_person_is_a_goal_of_one_task() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let request = api::CallToolRequest {
        tool: "fs.delete".to_owned(),
        args_json: json!({"paths": ["/srv/logs/9.log"]}).to_string(),
        ..Default::default()
    };
    let submitted = bench.client().call_tool(request).await.unwrap().into_inner();
    let detail = bench.ended(&submitted.goal_id).await;
    assert_eq!(goal(&detail).state(), GoalState::Completed);
    assert_eq!(detail.tasks[0].capabilities, ["fs:delete:/srv/logs/9.log"]);
    assert_eq!(bench.doubles.world().files.len(), 9);
}

#[tokio::test]
async fn the_same_client_id_is_the_same_goal() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let request = |text: &str| api::SubmitGoalRequest {
        text: text.to_owned(),
        client_id: "01939f2e-7c3a-7d11-8a52-0f6a3c1d9e77".to_owned(),
        ..Default::default()
    };
    let first = bench
        .client()
        .submit_goal(request("do this"))
        .await
        .unwrap()
        .into_inner();
    let again = bench
        .client()
        .submit_goal(request("do this"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first.goal_id, again.goal_id);
    let other = bench.client().submit_goal(request("do that")).await.unwrap_err();
    assert_eq!(report_of(&other).code, "AIOS-ORCH-0011");
}

#[tokio::test]
async fn a_watch_has_no_gap_from_the_past_to_the_end_of_the_goal() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    agent::keep_running(bench.socket());
    let submitted = bench.submit(GOAL).await;
    let watch = |from_seq: u64| api::WatchGoalsRequest {
        goal_id: submitted.goal_id.clone(),
        from_seq,
        follow: true,
    };
    let mut events = bench.client().watch_goals(watch(0)).await.unwrap().into_inner();
    let mut seqs = Vec::new();
    let mut last = GoalState::Unspecified;
    while let Some(event) = events.message().await.unwrap() {
        seqs.push(event.seq);
        last = event.goal_state();
    }
    assert_eq!(last, GoalState::Completed);
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    let middle = seqs[seqs.len() / 2];
    let mut rest = bench
        .client()
        .watch_goals(watch(middle))
        .await
        .unwrap()
        .into_inner();
    let mut resumed = Vec::new();
    while let Some(event) = rest.message().await.unwrap() {
        resumed.push(event.seq);
    }
    assert_eq!(resumed, (middle..=seqs.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_process_stays_small() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let sessions = agent::keep_running(bench.socket());
    for _ in 0..5 {
        let submitted = bench.submit(GOAL).await;
        bench.ended(&submitted.goal_id).await;
    }
    assert!(sessions.load(Ordering::SeqCst) > 0);
    let status = std::fs::read_to_string(format!("/proc/{}/status", bench.pid())).unwrap();
    let rss: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .unwrap()
        .parse()
        .unwrap();
    assert!(rss <= 30 * 1024, "{rss} kB resident");
}
