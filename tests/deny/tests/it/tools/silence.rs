//! Calls whose time is over: the worker ends its own work, and one that does not answer at all holds up nobody.

use super::entry::Entry;
use super::record::{Expected, Log};
use super::scene::Scene;
use super::walk::{call, fill, helper, is_again};
use aios_harness::client::{self, Task};
use aios_harness::{Service, Who};
use aios_proto::tools::v1::call_response::Result as Answer;
use aios_proto::tools::v1::{CallRequest, CallResponse};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tonic::{Response, Status};

/// The time was not enough.
const TIMED_OUT: &str = "AIOS-TOOLS-0013";
/// The worker does not answer.
const UNANSWERED: &str = "AIOS-TOOLS-0025";
/// How much later than its time a call may be answered on a busy machine: the pipeline gives an answer five seconds to
/// travel.
const BOUND: Duration = Duration::from_secs(30);

/// A call that takes longer than it is given.
pub(super) struct Late {
    pub(super) tool: &'static str,
    pub(super) args: &'static str,
    pub(super) timeout_ms: u64,
}

/// The worker ends each of these in time, says so, and leaves nothing behind.
pub(super) async fn ends_in_time(scene: &mut impl Scene, calls: &[Late]) -> Result<()> {
    for late in calls {
        ends(scene, late).await.context(late.tool)?;
    }
    Ok(())
}

async fn ends(scene: &mut impl Scene, late: &Late) -> Result<()> {
    let namespace = late.tool.split_once('.').context("a namespace")?.0;
    let (task, before) = (helper(scene, namespace).await?, scene.photo().await?);
    let (args, key) = (fill(late.args, &scene.names()), task.key(1));
    let request = CallRequest {
        timeout_ms: late.timeout_ms,
        ..client::call_request(&task, 1, late.tool, &args)
    };
    let mut log = Log::begin(scene.aios()).await?;
    let mut answer = call(scene, request.clone()).await;
    let mut begun = Instant::now();
    if let Ok(Answer::ApprovalRequired(required)) = &answer {
        client::approve(scene.aios(), &required.approval_id).await?;
        begun = Instant::now();
        answer = call(scene, request).await;
        log.expect(Expected::call("intent", &key, late.tool));
        log.expect(Expected::outcome_failed(&key, TIMED_OUT));
    } else {
        log.expect(Expected::failed(&key, late.tool, TIMED_OUT));
    }
    let took = begun.elapsed();
    let code = client::refusal(&answer);
    let failed = matches!(answer, Ok(Answer::Failed(_))) && code.as_deref() == Some(TIMED_OUT);
    ensure!(failed, "{TIMED_OUT} was wanted: {answer:?}");
    ensure!(
        took < Duration::from_millis(late.timeout_ms) + BOUND,
        "it took {took:?}"
    );
    is_again(scene, &before).await?;
    log.check(scene.aios()).await
}

/// Every tool of a worker that stands still is answered for, in time and at once. Nothing is changed by it, and as
/// nothing was begun there is nothing in the audit log.
pub(super) async fn frozen(scene: &mut impl Scene, worker: Service, table: &[Entry]) -> Result<()> {
    let before = scene.photo().await?;
    let mut asked = Vec::new();
    let log = Log::begin(scene.aios()).await?;
    for entry in table {
        let task = helper(scene, entry.namespace()).await?;
        let mut names = scene.names();
        names.extend([
            ("task", task.task.to_string()),
            ("step", "1".to_owned()),
            ("rule", "aios-0123456789ab".to_owned()),
        ]);
        asked.push((entry.tool, task, fill(entry.args, &names)));
    }
    scene.aios().pause(worker, true)?;
    let answers = all_at_once(scene, asked).await;
    scene.aios().pause(worker, false)?;
    let answers = answers?;
    ensure!(answers.len() == table.len(), "{} answers", answers.len());
    for (tool, took, answer) in &answers {
        let code = answer.as_ref().err().map(client::code);
        ensure!(
            code.as_deref() == Some(UNANSWERED),
            "{tool}: {UNANSWERED} was wanted: {answer:?}"
        );
        ensure!(*took < BOUND, "{tool} took {took:?}");
    }
    is_again(scene, &before).await?;
    log.check(scene.aios()).await
}

/// A worker that stands still when a change is under way: the caller is answered in time, the log says that it was begun,
/// and whoever asks again when the worker goes on learns how it ended.
pub(super) async fn frozen_midway(scene: &mut impl Scene, worker: Service, late: &Late) -> Result<()> {
    let namespace = late.tool.split_once('.').context("a namespace")?.0;
    let (task, args) = (helper(scene, namespace).await?, fill(late.args, &scene.names()));
    let approval = client::ask(scene.aios(), &task, 1, late.tool, &args).await?;
    client::approve(scene.aios(), &approval).await?;
    let request = CallRequest {
        timeout_ms: late.timeout_ms,
        ..client::call_request(&task, 1, late.tool, &args)
    };
    let mut log = Log::begin(scene.aios()).await?;
    log.expect(Expected::call("intent", &task.key(1), late.tool));
    let mut client = client::tools(scene.aios(), Who::Of(Service::Orchestrator))?;
    let (mut running, asked) = (JoinSet::new(), request.clone());
    let begun = Instant::now();
    running.spawn(async move { client.call(asked).await });
    while log.check(scene.aios()).await.is_err() {
        ensure!(begun.elapsed() < BOUND, "it was not begun");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    scene.aios().pause(worker, true)?;
    let answer = running.join_next().await.context("an answer")??;
    let took = begun.elapsed();
    scene.aios().pause(worker, false)?;
    let code = answer.as_ref().err().map(client::code);
    ensure!(
        code.as_deref() == Some(UNANSWERED),
        "{UNANSWERED} was wanted: {answer:?}"
    );
    ensure!(
        took < 2 * Duration::from_millis(late.timeout_ms) + BOUND,
        "it took {took:?}"
    );
    log.check(scene.aios()).await.context("begun, and no more")?;
    let again = call(scene, request).await;
    ensure!(
        matches!(again, Ok(Answer::Done(_))),
        "it was to be done: {again:?}"
    );
    log.expect(Expected::outcome_done(&task.key(1)));
    log.check(scene.aios()).await
}

type Told = (&'static str, Duration, Result<Response<CallResponse>, Status>);

async fn all_at_once(scene: &mut impl Scene, asked: Vec<(&'static str, Task, String)>) -> Result<Vec<Told>> {
    let client = client::tools(scene.aios(), Who::Of(Service::Orchestrator))?;
    let mut calls = JoinSet::new();
    for (tool, task, args) in asked {
        let mut client = client.clone();
        calls.spawn(async move {
            let request = CallRequest {
                timeout_ms: 100,
                ..client::call_request(&task, 2, tool, &args)
            };
            let begun = Instant::now();
            let answer = client.call(request).await;
            (tool, begun.elapsed(), answer)
        });
    }
    Ok(calls.join_all().await)
}
