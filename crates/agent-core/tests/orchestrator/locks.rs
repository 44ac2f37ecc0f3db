//! Two goals that want to change one place: the second waits, also over a crash, and says for whom.

use crate::agent;
use crate::bench::{Bench, GOAL};
use aios_proto::orchestrator::v1::GoalState;
use std::time::Duration;

/// Waits until a goal's line begins like this.
async fn says(bench: &Bench, goal: &str, beginning: &str) -> String {
    for _ in 0..1000 {
        let line = bench.goal(goal).await.goal.unwrap().status_line;
        if line.starts_with(beginning) {
            return line;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:#?}", bench.goal(goal).await.goal);
}

/// How many steps of a goal have begun that delete.
async fn deletions(bench: &Bench, goal: &str) -> usize {
    let detail = bench.goal(goal).await;
    let steps = detail.tasks.iter().flat_map(|task| &task.steps);
    steps.filter(|step| step.name == "fs.delete").count()
}

#[tokio::test]
async fn a_goal_waits_for_the_one_that_changes_the_same_place() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.doubles.world().ask = true;
    agent::keep_running(bench.socket());
    let first = bench.submit(GOAL).await.goal_id;
    bench.until(&first, &[GoalState::AwaitingApproval]).await;
    let second = bench
        .submit("free space under /srv/logs/deeper: delete *.log older than 7 days, keep the newest 3")
        .await
        .goal_id;
    let line = says(&bench, &second, "waits for goal").await;
    assert_eq!(line, format!("waits for goal {first}, which has /srv/logs"));
    let told = bench.goal(&second).await.goal.unwrap().updated_at_ms;
    bench.kill();
    bench.launch().await;
    // The new process looked at it, and says the same.
    while bench.goal(&second).await.goal.unwrap().updated_at_ms == told {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(says(&bench, &second, "waits for goal").await, line);
    assert_eq!(deletions(&bench, &second).await, 0);
    assert_eq!(bench.doubles.decide(true), 1);
    for goal in [&first, &second] {
        let ended = bench.ended(goal).await;
        assert_eq!(ended.goal.unwrap().state(), GoalState::Completed);
    }
}

#[tokio::test]
async fn what_a_tool_still_changes_stays_with_the_goal_that_was_cancelled() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    bench.doubles.world().hangs = true;
    agent::keep_running(bench.socket());
    let first = bench.submit(GOAL).await.goal_id;
    while deletions(&bench, &first).await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let second = bench.submit(GOAL).await.goal_id;
    let line = says(&bench, &second, "waits for goal").await;
    bench.cancel(&first).await;
    let ended = bench.ended(&first).await;
    assert_eq!(ended.goal.unwrap().state(), GoalState::Cancelled);
    // Longer than it takes a waiting goal to begin.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(says(&bench, &second, "waits for goal").await, line);
    assert_eq!(deletions(&bench, &second).await, 0);
    bench.doubles.world().hangs = false;
    let ended = bench.ended(&second).await;
    assert_eq!(ended.goal.unwrap().state(), GoalState::Completed);
}

#[tokio::test]
async fn a_waiting_goal_can_be_cancelled_and_a_cancelled_one_lets_go() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    bench.doubles.world().ask = true;
    agent::keep_running(bench.socket());
    let first = bench.submit(GOAL).await.goal_id;
    bench.until(&first, &[GoalState::AwaitingApproval]).await;
    let second = bench.submit(GOAL).await.goal_id;
    let third = bench.submit(GOAL).await.goal_id;
    says(&bench, &second, "waits for goal").await;
    says(&bench, &third, "waits for goal").await;
    for goal in [&second, &first] {
        bench.cancel(goal).await;
        let ended = bench.ended(goal).await;
        assert_eq!(ended.goal.unwrap().state(), GoalState::Cancelled);
    }
    bench.until(&third, &[GoalState::AwaitingApproval]).await;
    assert_eq!(deletions(&bench, &third).await, 1);
}

#[tokio::test]
async fn goals_that_wait_for_another_leave_their_places_to_others() {
    let Some(mut bench) = Bench::prepare() else {
        return;
    };
    bench.configure("[orchestrator]\nmax_running_goals = 2\n");
    bench.launch().await;
    bench.doubles.world().ask = true;
    agent::keep_running(bench.socket());
    let first = bench.submit(GOAL).await.goal_id;
    bench.until(&first, &[GoalState::AwaitingApproval]).await;
    for _ in 0..3 {
        let waiting = bench.submit(GOAL).await.goal_id;
        says(&bench, &waiting, "waits for goal").await;
    }
    let words = bench.submit("make me a sandwich").await.goal_id;
    bench.until(&words, &[GoalState::AwaitingInput]).await;
}
