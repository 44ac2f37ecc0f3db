//! The process is killed wherever it hurts; goals go on, nothing is lost, nothing happens twice.

use crate::agent;
use crate::bench::{Bench, GOAL};
use aios_harness::as_root;
use aios_proto::orchestrator::v1 as api;
use aios_proto::orchestrator::v1::GoalState;
use std::time::{Duration, Instant};

/// Most kills of one run.
const KILLS: u32 = 8;

async fn status(bench: &Bench) -> Option<api::StatusResponse> {
    bench
        .client()
        .status(api::StatusRequest {})
        .await
        .ok()
        .map(tonic::Response::into_inner)
}

/// States the goal however often it takes, under one client id.
async fn submit_through(bench: &mut Bench, kills: &mut u32) -> String {
    let request = api::SubmitGoalRequest {
        text: GOAL.to_owned(),
        client_id: "01939f2e-7c3a-7d11-8a52-0f6a3c1d9e77".to_owned(),
        ..Default::default()
    };
    loop {
        match bench.client().submit_goal(request.clone()).await {
            Ok(goal) => return goal.into_inner().goal_id,
            Err(_) => *kills += u32::from(bench.revive().await),
        }
    }
}

/// Carries a goal through kills at `failpoint`, each time after the journal has got further.
async fn survive(failpoint: &str, undo: bool) -> u32 {
    let mut bench = Bench::start().await.expect("run as root");
    bench.doubles.world().ask = true;
    agent::keep_running(bench.socket());
    let mut kills = 0;
    if !undo {
        bench.kill_at(failpoint);
    }
    let mut goal = submit_through(&mut bench, &mut kills).await;
    let first = goal.clone();
    if undo {
        while bench.doubles.decide(true) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bench.ended(&goal).await;
        bench.kill_at(failpoint);
        let request = api::UndoGoalRequest {
            goal_id: goal.clone(),
            proof: None,
        };
        goal = loop {
            match bench.client().undo_goal(request.clone()).await {
                Ok(goal) => break goal.into_inner().goal_id,
                Err(_) => kills += u32::from(bench.revive().await),
            }
            // The answer may have been lost although the undo was stored.
            if let Ok(list) = bench.client().list_goals(api::ListGoalsRequest::default()).await
                && let Some(undoing) = list.into_inner().goals.iter().find(|goal| goal.undo_of == first)
            {
                break undoing.goal_id.clone();
            }
        };
    }
    let begun = Instant::now();
    let mut killed_at = 0;
    let detail = loop {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{failpoint}: no end after {kills} kills"
        );
        kills += u32::from(bench.revive().await);
        bench.doubles.decide(true);
        let Some(now) = status(&bench).await else { continue };
        if kills < KILLS && !bench.is_armed(failpoint) && now.last_seq > killed_at + 2 {
            killed_at = now.last_seq;
            bench.kill_at(failpoint);
        }
        let request = api::GetGoalRequest {
            goal_id: goal.clone(),
        };
        if let Ok(detail) = bench.client().get_goal(request).await {
            let detail = detail.into_inner();
            let state = detail.goal.as_ref().unwrap().state();
            if matches!(
                state,
                GoalState::Completed | GoalState::Failed | GoalState::Cancelled
            ) {
                break detail;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(
        detail.goal.as_ref().unwrap().state(),
        GoalState::Completed,
        "{failpoint}: {detail:#?}"
    );
    let world = bench.doubles.world();
    assert_eq!(world.deletions.len(), 7, "{failpoint}");
    assert!(
        world.deletions.values().all(|times| *times == 1),
        "{failpoint}: {:?}",
        world.deletions
    );
    if undo {
        assert_eq!(world.files.len(), 10, "{failpoint}");
        assert!(
            world.restorations.values().all(|times| *times == 1),
            "{failpoint}: {:?}",
            world.restorations
        );
    }
    kills
}

#[tokio::test]
async fn killed_before_and_after_steps_calls_and_commits_a_goal_is_done_once() {
    if !as_root().unwrap() {
        return;
    }
    let mut kills = 0;
    for point in [
        "before_step",
        "after_step",
        "before_call",
        "after_call",
        "before_commit",
        "after_commit",
        "before_answer",
    ] {
        let survived = survive(&format!("orch.{point}"), false).await;
        assert!(survived > 0, "nothing was killed at {point}");
        kills += survived;
    }
    assert!(kills >= 20, "only {kills} kills");
}

#[tokio::test]
async fn killed_while_undoing_each_change_is_taken_back_once() {
    if !as_root().unwrap() {
        return;
    }
    for point in ["before_call", "after_call", "before_commit", "after_commit"] {
        assert!(
            survive(&format!("orch.{point}"), true).await > 0,
            "nothing was killed at {point}"
        );
    }
}

#[tokio::test]
async fn a_goal_waiting_for_approval_still_waits_after_a_kill() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.doubles.world().ask = true;
    agent::keep_running(bench.socket());
    let goal = bench.submit(GOAL).await;
    bench.until(&goal.goal_id, &[GoalState::AwaitingApproval]).await;
    bench.kill();
    bench.launch().await;
    bench.until(&goal.goal_id, &[GoalState::AwaitingApproval]).await;
    bench.doubles.decide(true);
    let detail = bench.ended(&goal.goal_id).await;
    assert_eq!(detail.goal.unwrap().state(), GoalState::Completed);
}

#[tokio::test]
async fn a_cancellation_that_was_stored_is_carried_out_after_a_kill() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.doubles.world().ask = true;
    agent::keep_running(bench.socket());
    let goal = bench.submit(GOAL).await;
    bench.until(&goal.goal_id, &[GoalState::AwaitingApproval]).await;
    bench.kill_at("orch.after_commit");
    let request = api::CancelGoalRequest {
        goal_id: goal.goal_id.clone(),
        proof: None,
    };
    bench.client().cancel_goal(request).await.unwrap_err();
    bench.kill();
    bench.launch().await;
    let detail = bench.ended(&goal.goal_id).await;
    assert_eq!(detail.goal.unwrap().state(), GoalState::Cancelled);
    assert_eq!(bench.doubles.world().files.len(), 10);
}

/// A goal whose tool service died after the deletion and before its outcome was recorded.
async fn outcome_lost() -> Option<(Bench, String)> {
    let bench = Bench::start().await?;
    bench.doubles.world().die_before_outcome = true;
    agent::keep_running(bench.socket());
    let goal = bench.submit(GOAL).await;
    let begun = Instant::now();
    while bench.doubles.world().deletions.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing was deleted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Some((bench, goal.goal_id))
}

/// Checks that each file was deleted once, by a call that was sent twice, and that its outcome is known.
fn settled(bench: &Bench) {
    let world = bench.doubles.world();
    assert!(
        world.deletions.values().all(|times| *times == 1),
        "{:?}",
        world.deletions
    );
    let sent = world.calls.iter().filter(|call| *call == "fs.delete").count();
    assert_eq!(sent, 2);
    assert_eq!(
        world.executions.keys().collect::<Vec<_>>(),
        world.outcomes.iter().collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn killed_with_the_tool_service_before_the_outcome_the_same_call_is_sent_again() {
    let Some((mut bench, goal)) = outcome_lost().await else {
        return;
    };
    let minted = bench.doubles.world().minted.len();
    bench.kill();
    bench.launch().await;
    let detail = bench.ended(&goal).await;
    assert_eq!(detail.goal.unwrap().state(), GoalState::Completed);
    settled(&bench);
    // Not with the token of before, which may have expired.
    assert!(bench.doubles.world().minted.len() > minted);
    let steps = detail.tasks.iter().flat_map(|task| &task.steps);
    let deletion = steps.into_iter().find(|step| step.name == "fs.delete").unwrap();
    assert!(deletion.undoable && deletion.audit_seq != 0, "{deletion:?}");
}

#[tokio::test]
async fn the_outcome_of_a_goal_that_was_cancelled_meanwhile_is_recorded_too() {
    let Some((mut bench, goal)) = outcome_lost().await else {
        return;
    };
    bench.kill_at("orch.after_commit");
    let request = api::CancelGoalRequest {
        goal_id: goal.clone(),
        proof: None,
    };
    bench.client().cancel_goal(request).await.unwrap_err();
    bench.kill();
    bench.doubles.world().no_agents = true;
    bench.launch().await;
    let detail = bench.ended(&goal).await;
    assert_eq!(detail.goal.unwrap().state(), GoalState::Cancelled);
    settled(&bench);
    let minted = bench.doubles.world().minted.last().cloned().unwrap();
    assert_eq!(minted.agent_kind, "executor", "its agent is gone");
}
