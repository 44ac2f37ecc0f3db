//! Callers that hang up in the middle of a call: what was begun is finished, so that the audit log and
//! the projection of it agree, and the same step sent again finds its one intent and its one outcome.

use crate::common::*;
use aios_auth::receipt::ReceiptBody;
use aios_proto::guard::v1::authorize_response::Decision;
use aios_proto::guard::v1::*;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

/// Steps of one run; each is hung up on a little later than the one before.
const STEPS: u64 = 80;
/// How much later.
const LATER: Duration = Duration::from_micros(75);

/// Sends a request and drops it after a while, answered or not; says whether it was cut off.
async fn hang_up<T>(rpc: impl Future<Output = T>, step: u64) -> bool {
    let after = LATER * u32::try_from(step).unwrap();
    tokio::time::timeout(after, rpc).await.is_err()
}

/// Sends a request until the guard is done with the one before it.
async fn again<T, F>(mut rpc: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
{
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match rpc().await {
            Ok(answer) => return answer.into_inner(),
            Err(status) => assert!(Instant::now() < deadline, "{status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Numbers of the records of a kind, by step.
async fn recorded(instance: &Instance, kind: &str) -> BTreeMap<u64, Vec<u64>> {
    let mut by_step: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (own, record) in instance.records().await {
        if own == kind {
            let step = record["step"].as_u64().unwrap();
            by_step
                .entry(step)
                .or_default()
                .push(record["seq"].as_u64().unwrap());
        }
    }
    by_step
}

/// Intent and outcome of each step, as the guard's projection has them.
fn projected(instance: &Instance) -> BTreeMap<u64, (u64, Option<u64>)> {
    let path = instance.paths.state_of("guard").join("executions.db");
    let database = rusqlite::Connection::open(path).unwrap();
    let mut query = database
        .prepare("SELECT step, intent, outcome FROM execution")
        .unwrap();
    let number = |number: i64| u64::try_from(number).unwrap();
    query
        .query_map([], |row| {
            let outcome: Option<i64> = row.get(2)?;
            Ok((number(row.get(0)?), (number(row.get(1)?), outcome.map(number))))
        })
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_hung_up_on_is_recorded_once_in_log_and_projection() {
    let Some(mut instance) = Instance::start_with(FULL).await else {
        return;
    };
    let (mut orchestrator, tools) = (instance.client(ORCHESTRATOR).await, instance.client(TOOLS).await);
    let full = MintRequest {
        autonomy: 3,
        ..mint_request(&["fs:*:/srv/**"])
    };
    let task = task_of(&mut orchestrator, full).await;
    let call = |step| request(&task, step, "fs.delete", &["/srv/a"]);

    let mut cut_off = 0;
    for step in 1..=STEPS {
        cut_off += u64::from(hang_up(tools.clone().authorize(call(step)), step).await);
    }
    let mut intents = BTreeMap::new();
    for step in 1..=STEPS {
        let mut tools = tools.clone();
        let answer = again(|| {
            let (mut tools, call) = (tools.clone(), call(step));
            async move { tools.authorize(call).await }
        })
        .await;
        let receipt = receipt(answer.decision.unwrap());
        let body = ReceiptBody::verify(Some(&receipt), &instance.keys().receipt).unwrap();
        intents.insert(step, vec![body.audit_seq]);
        // Asked a third time there is still the same one.
        let third = authorize(&mut tools, call(step)).await;
        assert!(matches!(third, Decision::Receipt(_)));
    }
    assert_eq!(recorded(&instance, "intent").await, intents);

    let done = |step: u64| outcome(&call(step), intents[&step][0]);
    for step in 1..=STEPS {
        cut_off += u64::from(hang_up(tools.clone().record_outcome(done(step)), step).await);
    }
    assert!(cut_off > 0, "every request was answered before anybody hung up");
    let mut outcomes = BTreeMap::new();
    for step in 1..=STEPS {
        let answer = again(|| {
            let (mut tools, done) = (tools.clone(), done(step));
            async move { tools.record_outcome(done).await }
        })
        .await;
        outcomes.insert(step, vec![answer.audit_seq]);
    }
    assert_eq!(recorded(&instance, "outcome").await, outcomes);
    let both = (1..=STEPS).map(|step| (step, (intents[&step][0], Some(outcomes[&step][0]))));
    assert_eq!(projected(&instance), both.collect());
    instance.stop();
    instance.verify();
}
