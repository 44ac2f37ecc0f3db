//! The engine: what a step of a long plan costs beyond its tool call, and many goals at once.

use crate::calls;
use crate::table::{Promise, Table};
use aios_harness::{Instance, Service, Who, client};
use aios_proto::orchestrator::v1::orchestrator_client::OrchestratorClient;
use aios_proto::orchestrator::v1::{GetGoalRequest, GoalState, SubmitGoalRequest, WatchGoalsRequest};
use aios_proto::tools::v1::tool_registry_client::ToolRegistryClient;
use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde_json::json;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tonic::transport::Channel;

/// Tasks of the long plan; each needs the one before, so that nothing hides a step's cost.
const TASKS: usize = 200;
/// How often it is run, so that the slowest hundredth of its steps is more than two of them.
const CHAINS: usize = 5;
const GOALS: usize = 100;
const CALLS: u64 = 500;
const LONGEST: Duration = Duration::from_secs(120);

type Client = OrchestratorClient<Channel>;

/// Runbooks of the plans to measure, on a directory.
pub(crate) fn runbooks(etc: &Path) -> Result<()> {
    let directory = etc.join("runbooks");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("bench-chain.toml"), runbook("chain", TASKS)?)?;
    std::fs::write(directory.join("bench-short.toml"), runbook("short", 2)?)?;
    Ok(())
}

fn runbook(name: &str, tasks: usize) -> Result<String> {
    let mut text = format!(
        "name = \"bench-{name}\"\nsummary = \"look at a place again and again\"\n\
         examples = [\"bench {name} /srv\"]\ntriggers = [\"bench {name} {{dir}}\"]\n\
         [inputs.dir]\ntype = \"dir\"\nhelp = \"the place\"\n"
    );
    for number in 0..tasks {
        let needs = number
            .checked_sub(1)
            .map_or_else(String::new, |before| format!("\"t{before}\""));
        write!(
            text,
            "[[tasks]]\nname = \"t{number}\"\nneeds = [{needs}]\ncapabilities = [\"fs:stat:{{dir}}/**\"]\nverifies = {}\n\
             [[tasks.operations]]\ndo = \"call\"\ntool = \"fs.stat\"\nargs = {{ path = \"{{dir}}\" }}\n",
            number + 1 == tasks
        )?;
    }
    Ok(text)
}

/// Measures the long plan, then many goals.
///
/// # Errors
/// A goal does not complete.
pub(crate) async fn measure(aios: &Instance, table: &mut Table) -> Result<()> {
    let client = Client::new(aios.channel(Who::Person, Service::Orchestrator)?);
    let dir = aios.tree().canonicalize()?;
    let call_ms = one_call(aios, &dir).await?;
    let text = |name: &str| format!("bench {name} {}", dir.display());
    let mut warm = client.clone();
    complete(&mut warm, text("short")).await?;
    let mut steps = Histogram::new(3)?;
    for _ in 0..CHAINS {
        chain(&client, text("chain"), &mut steps).await?;
    }
    let ms = |quantile| calls::ms(&steps, quantile) - call_ms;
    let what = |which| format!("{TASKS}-task plan, a step beyond its tool call, {which}");
    table.add(what("p50"), ms(0.5), "ms", Promise::Nothing);
    table.add(what("p99"), ms(0.99), "ms", Promise::AtMost(2.0));
    together(&client, text("short"), table).await
}

/// The same call without a plan around it, median, milliseconds.
async fn one_call(aios: &Instance, dir: &Path) -> Result<f64> {
    let task = client::mint_full(aios, &[&format!("fs:stat:{}/**", dir.display())]).await?;
    let tools = ToolRegistryClient::new(aios.channel(Who::Of(Service::Orchestrator), Service::Tools)?);
    let args = json!({ "path": dir });
    let times = calls::alone(&tools, &task, 1, CALLS, "fs.stat", |_| args.clone()).await?;
    Ok(calls::ms(&times, 0.5))
}

/// Adds the times between the ends of a plan's tasks, microseconds.
async fn chain(client: &Client, text: String, times: &mut Histogram<u64>) -> Result<()> {
    let before = times.len();
    let mut client = client.clone();
    let goal = submit(&mut client, text).await?;
    let request = WatchGoalsRequest {
        goal_id: goal.clone(),
        from_seq: 0,
        follow: true,
    };
    let mut events = client.watch_goals(request).await?.into_inner();
    let mut last: Option<Instant> = None;
    let next = async {
        while let Some(event) = events.next().await {
            let event = event?;
            let now = Instant::now();
            if event.kind == "step.ended"
                && let Some(last) = last.replace(now)
            {
                times.record(u64::try_from((now - last).as_micros())?)?;
            }
            if event.goal_state() == GoalState::Completed {
                return Ok(());
            }
            ensure!(
                event.goal_state() != GoalState::Failed,
                "the goal failed: {event:?}"
            );
        }
        bail!("the events end before the goal")
    };
    tokio::time::timeout(LONGEST, next)
        .await
        .context("the long plan")??;
    let seen = times.len() - before + 1;
    ensure!(seen == u64::try_from(TASKS)?, "{seen} steps of {TASKS} were seen");
    Ok(())
}

async fn together(client: &Client, text: String, table: &mut Table) -> Result<()> {
    let started = Instant::now();
    let mut goals = JoinSet::new();
    for _ in 0..GOALS {
        let (mut client, text) = (client.clone(), text.clone());
        goals.spawn(async move {
            let begun = Instant::now();
            complete(&mut client, text).await?;
            anyhow::Ok(begun.elapsed())
        });
    }
    let mut times = Histogram::<u64>::new(3)?;
    while let Some(took) = goals.join_next().await {
        times.record(u64::try_from(took??.as_millis())?)?;
    }
    let rate = f64::from(u32::try_from(GOALS)?) / started.elapsed().as_secs_f64();
    table.add(
        format!("{GOALS} goals of 2 tasks in flight"),
        rate,
        "goals/s",
        Promise::Nothing,
    );
    let slowest = Duration::from_millis(times.max()).as_secs_f64();
    table.add("the last of them done after", slowest, "s", Promise::Nothing);
    Ok(())
}

async fn submit(client: &mut Client, text: String) -> Result<String> {
    let request = SubmitGoalRequest {
        text,
        ..SubmitGoalRequest::default()
    };
    Ok(client.submit_goal(request).await?.into_inner().goal_id)
}

async fn complete(client: &mut Client, text: String) -> Result<()> {
    let goal_id = submit(client, text).await?;
    let until = Instant::now() + LONGEST;
    while Instant::now() < until {
        let goal = client
            .get_goal(GetGoalRequest {
                goal_id: goal_id.clone(),
            })
            .await?
            .into_inner()
            .goal
            .context("a goal")?;
        match goal.state() {
            GoalState::Completed => return Ok(()),
            GoalState::Failed | GoalState::Cancelled | GoalState::AwaitingInput => {
                bail!("the goal is {:?}: {}", goal.state(), goal.status_line)
            }
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    bail!("goal {goal_id} takes longer than {LONGEST:?}")
}
