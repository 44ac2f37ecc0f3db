//! Callers that hang up in the middle of a request: what the journal took also reaches the engine. Seen
//! from outside, a goal that was stored and then forgotten moves only at the next start, which carries
//! every goal on that has not ended; so nothing may move there.

use crate::bench::{Bench, GOAL};
use aios_proto::orchestrator::v1 as api;
use aios_proto::orchestrator::v1::GoalState;
use serde_json::json;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

/// Requests of one run; each is hung up on a little later than the one before.
const REQUESTS: u32 = 60;
/// How much later.
const LATER: Duration = Duration::from_micros(75);
/// Goals are seen to stand still when they do so this long.
const QUIET: Duration = Duration::from_millis(1_500);

/// What a test that cut off nothing has not shown.
const ALL_ANSWERED: &str = "every request was answered before anybody hung up";

/// Sends a request and drops it after a while, answered or not; says whether it was cut off.
async fn hang_up<T>(rpc: impl Future<Output = T>, number: u32) -> bool {
    tokio::time::timeout(LATER * number, rpc).await.is_err()
}

fn client_id(number: u32) -> String {
    format!("01939f2e-7c3a-7d11-8a52-{number:012}")
}

async fn start() -> Option<Bench> {
    let mut bench = Bench::prepare()?;
    bench.configure("[orchestrator]\nmax_running_goals = 200\nagent_wait_ms = 600000\n");
    bench.launch().await;
    Some(bench)
}

/// The state of every goal.
async fn states(bench: &Bench) -> BTreeMap<String, GoalState> {
    let request = api::ListGoalsRequest {
        limit: 1000,
        ..Default::default()
    };
    let goals = bench.client().list_goals(request).await.unwrap().into_inner();
    let state = |goal: api::Goal| (goal.goal_id.clone(), goal.state());
    goals.goals.into_iter().map(state).collect()
}

/// The states once none has changed for a while.
async fn settled(bench: &Bench) -> BTreeMap<String, GoalState> {
    let mut before = states(bench).await;
    loop {
        tokio::time::sleep(QUIET).await;
        let now = states(bench).await;
        if now == before {
            return now;
        }
        before = now;
    }
}

/// Checks that another start moves nothing; answers the states.
async fn nothing_lay_still(bench: &mut Bench) -> BTreeMap<String, GoalState> {
    let before = settled(bench).await;
    bench.kill();
    bench.launch().await;
    assert_eq!(settled(bench).await, before);
    before
}

fn call(tool: &str, args: &serde_json::Value, number: u32) -> api::CallToolRequest {
    api::CallToolRequest {
        tool: tool.to_owned(),
        args_json: args.to_string(),
        dry_run: false,
        client_id: client_id(number),
    }
}

#[tokio::test]
async fn a_goal_is_carried_on_although_its_caller_hung_up() {
    let Some(mut bench) = start().await else {
        return;
    };
    let mut client = bench.client();
    let mut cut_off = 0;
    for number in 1..=REQUESTS {
        let stat = call("fs.stat", &json!({"path": "/srv/logs/1.log"}), number);
        cut_off += u32::from(hang_up(client.call_tool(stat), number).await);
    }
    assert!(cut_off > 0, "{ALL_ANSWERED}");
    let states = nothing_lay_still(&mut bench).await;
    assert!(
        states.values().all(|state| *state == GoalState::Completed),
        "{states:?}"
    );
    // The same client id names the same goal.
    for number in 1..=REQUESTS {
        let goal = bench
            .client()
            .call_tool(call("fs.stat", &json!({"path": "/srv/logs/1.log"}), number))
            .await;
        bench.ended(&goal.unwrap().into_inner().goal_id).await;
    }
    let all = self::states(&bench).await;
    assert_eq!(all.len(), usize::try_from(REQUESTS).unwrap());
}

#[tokio::test]
async fn a_cancellation_is_carried_out_although_its_caller_hung_up() {
    let Some(mut bench) = start().await else {
        return;
    };
    bench.doubles.world().ask = true;
    let mut client = bench.client();
    let mut goals = Vec::new();
    for number in 1..=REQUESTS {
        let args = json!({"paths": [format!("/srv/logs/{number}.log")]});
        let goal = client.call_tool(call("fs.delete", &args, number)).await;
        goals.push(goal.unwrap().into_inner().goal_id);
    }
    for goal in &goals {
        bench.until(goal, &[GoalState::AwaitingApproval]).await;
    }
    let mut cut_off = 0;
    for (goal_id, number) in goals.into_iter().zip(1..) {
        let request = api::CancelGoalRequest { goal_id, proof: None };
        cut_off += u32::from(hang_up(client.cancel_goal(request), number).await);
    }
    assert!(cut_off > 0, "{ALL_ANSWERED}");
    let states = nothing_lay_still(&mut bench).await;
    let cancelled = states
        .values()
        .filter(|state| **state == GoalState::Cancelled)
        .count();
    assert!(cancelled > 0, "no request was heard");
}

#[tokio::test]
async fn an_answer_is_planned_although_its_caller_hung_up() {
    let Some(mut bench) = start().await else {
        return;
    };
    let mut client = bench.client();
    let mut goals = Vec::new();
    for number in 1..=REQUESTS {
        let request = api::SubmitGoalRequest {
            text: "make the machine faster, please".to_owned(),
            client_id: client_id(number),
            ..Default::default()
        };
        goals.push(client.submit_goal(request).await.unwrap().into_inner().goal_id);
    }
    for goal in &goals {
        bench.until(goal, &[GoalState::AwaitingInput]).await;
    }
    let mut cut_off = 0;
    for (goal_id, number) in goals.into_iter().zip(1..) {
        let request = api::ReplyGoalRequest {
            goal_id,
            text: GOAL.to_owned(),
            proof: None,
        };
        cut_off += u32::from(hang_up(client.reply_goal(request), number).await);
    }
    assert!(cut_off > 0, "{ALL_ANSWERED}");
    let states = nothing_lay_still(&mut bench).await;
    let planned = states
        .values()
        .filter(|state| **state != GoalState::AwaitingInput)
        .count();
    assert!(planned > 0, "no request was heard");
}
