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
    bench.kill();
    bench.launch().await;
    assert_eq!(says(&bench, &second, "waits for goal").await, line);
    assert_eq!(deletions(&bench, &second).await, 0);
    assert_eq!(bench.doubles.decide(true), 1);
    for goal in [&first, &second] {
        let ended = bench.ended(goal).await;
        assert_eq!(ended.goal.unwrap().state(), GoalState::Completed);
    }
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
