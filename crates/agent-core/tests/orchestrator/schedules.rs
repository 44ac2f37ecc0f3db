//! Goals that are stated at given times: the real process, its database, and a past that is written into it. A schedule
//! whose settled moment is set back has missed what lies between, as one whose service was down.

use crate::agent;
use crate::bench::{Bench, GOAL};
use aios_core::rpc::report_of;
use aios_harness::{Relay, Who};
use aios_proto::common::v1::Autonomy;
use aios_proto::orchestrator::v1 as api;
use aios_proto::orchestrator::v1::GoalState;
use aios_proto::orchestrator::v1::orchestrator_client::OrchestratorClient;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tonic::transport::Channel;

const DAY: i64 = 86_400_000;

fn daily(text: &str) -> api::AddScheduleRequest {
    api::AddScheduleRequest {
        cron: "0 0 * * *".to_owned(),
        text: text.to_owned(),
        time_zone: "UTC".to_owned(),
        ..api::AddScheduleRequest::default()
    }
}

async fn add(bench: &Bench, request: api::AddScheduleRequest) -> api::Schedule {
    bench.client().add_schedule(request).await.unwrap().into_inner()
}

async fn list(bench: &Bench) -> Vec<api::Schedule> {
    let request = api::ListSchedulesRequest {};
    bench
        .client()
        .list_schedules(request)
        .await
        .unwrap()
        .into_inner()
        .schedules
}

/// Writes into the journal's database, beside the orchestrator or while it does not run.
fn write(bench: &Bench, sql: &str) {
    let database = bench.paths.state_of("orchestrator").join("journal.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    assert!(connection.execute(sql, []).unwrap() > 0, "{sql}");
}

/// Lets every schedule have missed its times of the last days.
fn miss(bench: &Bench, days: i64) {
    write(
        bench,
        &format!("UPDATE schedules SET settled_ms = settled_ms - {}", days * DAY),
    );
}

/// Makes the orchestrator look at its schedules now.
async fn wake(bench: &Bench) {
    let request = api::AddScheduleRequest {
        cron: "0 0 29 2 *".to_owned(),
        ..daily(GOAL)
    };
    // Where it is to be killed, it may be gone before it answers.
    drop(bench.client().add_schedule(request).await);
}

/// The schedule's newest run, once it has one that fits.
async fn run_of(bench: &Bench, id: &str, fits: impl Fn(&api::ScheduleRun) -> bool) -> api::ScheduleRun {
    for _ in 0..1000 {
        let schedules = list(bench).await;
        let schedule = schedules.iter().find(|it| it.schedule_id == id).unwrap();
        if let Some(run) = schedule.last_run.clone().filter(|run| fits(run)) {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no such run: {:#?}", list(bench).await);
}

async fn goals(bench: &Bench) -> Vec<api::Goal> {
    let request = api::ListGoalsRequest::default();
    bench
        .client()
        .list_goals(request)
        .await
        .unwrap()
        .into_inner()
        .goals
}

#[tokio::test]
async fn a_planned_time_states_the_goal_of_who_added_it_and_never_asks_for_less_than_supervised() {
    let Some(bench) = Bench::prepare() else { return };
    let mut bench = bench;
    bench.configure("[orchestrator]\nautonomy = \"full\"\n");
    bench.launch().await;
    agent::keep_running(bench.socket());
    let schedule = add(&bench, daily(GOAL)).await;
    assert_eq!(schedule.autonomy(), Autonomy::Supervised);
    assert_eq!(
        (schedule.added_by.as_str(), schedule.time_zone.as_str()),
        ("root", "UTC")
    );
    assert!(schedule.next_at_ms > schedule.added_at_ms && schedule.next_at_ms % DAY == 0);
    assert!(goals(&bench).await.is_empty());
    miss(&bench, 1);
    wake(&bench).await;
    let run = run_of(&bench, &schedule.schedule_id, |_| true).await;
    assert_eq!((run.outcome.as_str(), run.planned_at_ms % DAY), ("stated", 0));
    let detail = bench.ended(&run.goal_id).await;
    let goal = detail.goal.unwrap();
    assert_eq!(goal.state(), GoalState::Completed);
    assert_eq!(
        (goal.submitted_by.as_str(), goal.autonomy()),
        ("root", Autonomy::Supervised)
    );
    assert!(goal.cause.contains(&schedule.schedule_id), "{}", goal.cause);
}

#[tokio::test]
async fn of_the_times_that_were_missed_while_it_was_down_the_last_is_caught_up_on_once() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    agent::keep_running(bench.socket());
    let schedule = add(&bench, daily(GOAL)).await;
    bench.kill();
    miss(&bench, 5);
    bench.launch().await;
    let run = run_of(&bench, &schedule.schedule_id, |_| true).await;
    assert!(run.reason.contains("caught up once"), "{}", run.reason);
    assert!(run.decided_at_ms - run.planned_at_ms < DAY);
    // However often it starts again.
    for _ in 0..2 {
        bench.kill();
        bench.launch().await;
        wake(&bench).await;
    }
    assert_eq!(goals(&bench).await.len(), 1);
}

#[tokio::test]
async fn killed_before_and_after_the_commit_a_planned_time_states_one_goal() {
    for point in ["orch.before_commit", "orch.after_commit"] {
        let Some(mut bench) = Bench::start().await else {
            return;
        };
        agent::keep_running(bench.socket());
        let schedule = add(&bench, daily(GOAL)).await;
        bench.kill_at(point);
        miss(&bench, 1);
        wake(&bench).await;
        while !bench.revive().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let run = run_of(&bench, &schedule.schedule_id, |_| true).await;
        bench.ended(&run.goal_id).await;
        wake(&bench).await;
        let stated = goals(&bench).await;
        assert_eq!(stated.len(), 1, "{point}: {stated:#?}");
        assert_eq!(stated[0].goal_id, run.goal_id, "{point}");
    }
}

#[tokio::test]
async fn a_run_is_skipped_while_the_goal_of_the_run_before_goes_on() {
    let Some(bench) = Bench::start().await else { return };
    bench.doubles.world().ask = true;
    agent::keep_running(bench.socket());
    let schedule = add(&bench, daily(GOAL)).await;
    miss(&bench, 1);
    wake(&bench).await;
    let first = run_of(&bench, &schedule.schedule_id, |_| true).await;
    bench.until(&first.goal_id, &[GoalState::AwaitingApproval]).await;
    // As if the first had been a day ago.
    write(
        &bench,
        &format!("UPDATE schedule_runs SET planned_ms = planned_ms - {DAY}"),
    );
    miss(&bench, 1);
    wake(&bench).await;
    let second = run_of(&bench, &schedule.schedule_id, |run| run.outcome == "skipped").await;
    assert!(
        second.goal_id.is_empty() && second.reason.contains(&first.goal_id),
        "{second:?}"
    );
    assert!(second.reason.contains("awaiting_approval"), "{second:?}");
    assert_eq!(goals(&bench).await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_a_schedule_says_which_field_is_wrong() {
    let Some(bench) = Bench::start().await else { return };
    let with = |change: fn(&mut api::AddScheduleRequest)| {
        let mut request = daily(GOAL);
        change(&mut request);
        request
    };
    for (request, code, part) in [
        (
            with(|it| it.cron = "* * *".to_owned()),
            "AIOS-ORCH-0064",
            "five fields",
        ),
        (
            with(|it| it.cron = "99 * * * *".to_owned()),
            "AIOS-ORCH-0064",
            "99 * * * *",
        ),
        (
            with(|it| it.cron = "0 0 31 2 *".to_owned()),
            "AIOS-ORCH-0065",
            "never",
        ),
        (
            with(|it| it.window_ms = 5),
            "AIOS-ORCH-0070",
            "between a minute and a week",
        ),
        (
            with(|it| it.time_zone = "Mars/Olympus".to_owned()),
            "AIOS-ORCH-0066",
            "Mars",
        ),
        (
            with(|it| it.time_zone = "../../etc/passwd".to_owned()),
            "AIOS-ORCH-0066",
            "passwd",
        ),
        (with(|it| it.text = " ".to_owned()), "AIOS-ORCH-0008", "text"),
        (
            with(|it| it.text = "make coffee".to_owned()),
            "AIOS-ORCH-0008",
            "free space",
        ),
        (with(|it| it.priority = Some(10)), "AIOS-ORCH-0008", "priority"),
        (with(|it| it.autonomy = 77), "AIOS-ORCH-0008", "autonomy"),
    ] {
        let status = bench.client().add_schedule(request.clone()).await.unwrap_err();
        let report = report_of(&status);
        assert_eq!(report.code, code, "{request:?}: {report}");
        assert!(report.message.contains(part), "{request:?}: {report}");
        assert!(!report.next_step.is_empty());
    }
    for (id, code) in [("01939f2e-0000", "AIOS-ORCH-0060"), ("", "AIOS-ORCH-0060")] {
        let request = api::RemoveScheduleRequest {
            schedule_id: id.to_owned(),
            proof: None,
        };
        let status = bench.client().remove_schedule(request).await.unwrap_err();
        assert_eq!(report_of(&status).code, code, "{id}");
    }
    assert!(list(&bench).await.is_empty());
}

/// A daily schedule with a window of a week: it is begun after half of that at the latest.
async fn with_window(bench: &Bench) -> api::Schedule {
    let window_ms = 7 * DAY.unsigned_abs();
    let schedule = add(
        bench,
        api::AddScheduleRequest {
            window_ms,
            ..daily(GOAL)
        },
    )
    .await;
    assert_eq!(schedule.window_ms, window_ms);
    miss(bench, 5);
    schedule
}

#[tokio::test]
async fn what_is_approved_after_the_window_is_not_begun_any_more() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.doubles.world().ask = true;
    agent::keep_running(bench.socket());
    let schedule = with_window(&bench).await;
    wake(&bench).await;
    let run = run_of(&bench, &schedule.schedule_id, |_| true).await;
    let detail = bench.until(&run.goal_id, &[GoalState::AwaitingApproval]).await;
    let until_ms = run.planned_at_ms + 7 * DAY;
    assert!(detail.goal.unwrap().cause.contains(" until "));
    bench.kill();
    write(
        &bench,
        &format!(
            "UPDATE events SET body = replace(body, '\"until_ms\":{until_ms}', '\"until_ms\":1')
             WHERE body LIKE '%until_ms%'"
        ),
    );
    bench.launch().await;
    while bench.doubles.decide(true) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let goal = bench.ended(&run.goal_id).await.goal.unwrap();
    assert_eq!(goal.state(), GoalState::Failed);
    let error = goal.error.unwrap();
    assert_eq!(error.code, "AIOS-ORCH-0071", "{error:?}");
    let world = bench.doubles.world();
    assert!(world.executions.is_empty());
    let denied = world
        .recorded
        .iter()
        .find(|record| record.kind == "orchestrator.denied");
    let denied = denied.expect("a denial is in the audit log");
    assert_eq!(denied.goal_id, run.goal_id);
    assert!(
        denied.details_json.contains("AIOS-ORCH-0071"),
        "{}",
        denied.details_json
    );
}

#[tokio::test]
async fn what_is_approved_within_the_window_is_done() {
    let Some(bench) = Bench::start().await else { return };
    bench.doubles.world().ask = true;
    agent::keep_running(bench.socket());
    let schedule = with_window(&bench).await;
    wake(&bench).await;
    let run = run_of(&bench, &schedule.schedule_id, |_| true).await;
    bench.until(&run.goal_id, &[GoalState::AwaitingApproval]).await;
    bench.doubles.decide(true);
    let goal = bench.ended(&run.goal_id).await.goal.unwrap();
    assert_eq!(goal.state(), GoalState::Completed, "{:?}", goal.error);
}

#[tokio::test]
async fn a_window_that_went_by_is_not_caught_up_on() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    let schedule = add(
        &bench,
        api::AddScheduleRequest {
            window_ms: 60_000,
            ..daily(GOAL)
        },
    )
    .await;
    bench.kill();
    // As if it had been planned for noon of each New Year's Day.
    write(
        &bench,
        "UPDATE schedules SET body = replace(body, '0 0 * * *', '0 12 1 1 *')",
    );
    miss(&bench, 800);
    bench.launch().await;
    let run = run_of(&bench, &schedule.schedule_id, |_| true).await;
    assert!(
        run.outcome == "skipped" && run.reason.contains("its window ended at"),
        "{run:?}"
    );
    assert!(goals(&bench).await.is_empty());
}

fn as_user(bench: &Bench, who: Who) -> (OrchestratorClient<Channel>, Relay) {
    let relay = Relay::start(who, false, &bench.socket()).unwrap();
    (OrchestratorClient::new(relay.channel()), relay)
}

#[tokio::test]
async fn a_schedule_is_its_persons_and_ends_to_be_served_when_they_are_no_person_any_more() {
    let Some(bench) = Bench::start().await else { return };
    let any = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(bench.socket(), any.clone()).unwrap();
    for above in bench.socket().ancestors().skip(1).take(2) {
        std::fs::set_permissions(above, any.clone()).unwrap();
    }
    let (mut anna, _anna) = as_user(&bench, Who::Person);
    let (mut bert, _bert) = as_user(&bench, Who::Stranger);
    let refused = anna.add_schedule(daily(GOAL)).await.unwrap_err();
    assert_eq!(report_of(&refused).code, "AIOS-ORCH-0030");
    for (who, name) in [(Who::Person, "anna"), (Who::Stranger, "bert")] {
        let uid = who.uid().unwrap();
        bench.doubles.world().persons.insert(uid, name.to_owned());
    }
    let schedule = anna.add_schedule(daily(GOAL)).await.unwrap().into_inner();
    assert_eq!(schedule.added_by, "anna");
    let remove = || api::RemoveScheduleRequest {
        schedule_id: schedule.schedule_id.clone(),
        proof: None,
    };
    let refused = bert.remove_schedule(remove()).await.unwrap_err();
    assert_eq!(report_of(&refused).code, "AIOS-ORCH-0063");
    bench.doubles.world().persons.clear();
    miss(&bench, 1);
    wake(&bench).await;
    let run = run_of(&bench, &schedule.schedule_id, |_| true).await;
    assert_eq!((run.outcome.as_str(), run.goal_id.as_str()), ("skipped", ""));
    assert!(
        run.reason.contains("anna is no longer an enrolled person"),
        "{run:?}"
    );
    bench.client().remove_schedule(remove()).await.unwrap();
    assert!(
        list(&bench)
            .await
            .iter()
            .all(|it| it.schedule_id != schedule.schedule_id)
    );
}

#[tokio::test]
async fn nothing_is_stated_under_an_emergency_stop() {
    let Some(bench) = Bench::start().await else { return };
    let schedule = add(&bench, daily(GOAL)).await;
    bench.doubles.emergency(true);
    // The word takes its way; a goal that is stated before it arrives would wait for the end of the stop.
    tokio::time::sleep(Duration::from_millis(300)).await;
    miss(&bench, 1);
    wake(&bench).await;
    let run = run_of(&bench, &schedule.schedule_id, |_| true).await;
    assert!(
        run.outcome == "skipped" && run.reason.contains("emergency stop by anna"),
        "{run:?}"
    );
    assert!(goals(&bench).await.is_empty());
}
