//! Tool calls through the whole pipeline, as the orchestrator makes them.

use crate::table::{Promise, Table};
use aios_harness::client::{self, Task};
use aios_harness::{Instance, Service, Who};
use aios_proto::tools::v1::call_response::Result as Answer;
use aios_proto::tools::v1::tool_registry_client::ToolRegistryClient;
use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tonic::transport::Channel;

const ALONE: u64 = 5_000;
const CALLERS: u64 = 64;
const TOGETHER: Duration = Duration::from_secs(5);
const CHANGES: u64 = 500;
const PLAIN: u32 = 100_000;

type Client = ToolRegistryClient<Channel>;

/// Measures reads and changes.
///
/// # Errors
/// A call is refused or fails.
pub(crate) async fn measure(aios: &Instance, table: &mut Table) -> Result<()> {
    let file = aios.file("bench.txt", b"some text")?;
    let tree = aios.tree().canonicalize()?;
    let file = tree.join(Path::new(&file).file_name().context("a file has a name")?);
    let task = client::mint_full(aios, &[&format!("fs:*:{}/**", tree.display())]).await?;
    let client = ToolRegistryClient::new(aios.channel(Who::Of(Service::Orchestrator), Service::Tools)?);
    plain(&file, table)?;
    let args = json!({"path": file});
    // The first calls open connections and fill the caches of verified tokens.
    alone(&client, &task, 1, 200, "fs.stat", |_| args.clone()).await?;
    let reads = alone(&client, &task, 1, ALONE, "fs.stat", |_| args.clone()).await?;
    table.add(
        "read-only call, one caller, p50",
        ms(&reads, 0.5),
        "ms",
        Promise::AtMost(1.0),
    );
    table.add(
        "read-only call, one caller, p99",
        ms(&reads, 0.99),
        "ms",
        Promise::AtMost(5.0),
    );
    together(&client, &task, &args, table).await?;
    let path = tree.join("changes");
    let write = |step| json!({"path": path, "content": format!("{step}\n"), "how": "overwrite"});
    alone(&client, &task, 1_000_000, 20, "fs.write", write).await?;
    plain_change(&tree, table)?;
    let changes = alone(&client, &task, 2_000_000, CHANGES, "fs.write", write).await?;
    table.add(
        "changing call, one caller, p50",
        ms(&changes, 0.5),
        "ms",
        Promise::AtMost(5.0),
    );
    table.add(
        "changing call, one caller, p99",
        ms(&changes, 0.99),
        "ms",
        Promise::Nothing,
    );
    Ok(())
}

/// The same work without token, policy, log and processes.
fn plain(file: &Path, table: &mut Table) -> Result<()> {
    let started = Instant::now();
    for _ in 0..PLAIN {
        std::hint::black_box(fs::symlink_metadata(file)?);
    }
    let each = started.elapsed() / PLAIN;
    table.add(
        "plain stat in this process",
        each.as_secs_f64() * 1e3,
        "ms",
        Promise::Nothing,
    );
    Ok(())
}

/// A new content for a file, durable twice, as a change and the record of it are.
fn plain_change(tree: &Path, table: &mut Table) -> Result<()> {
    let mut times = Histogram::<u64>::new(3)?;
    let (file, new) = (tree.join("plain"), tree.join("plain.new"));
    for number in 0..CHANGES {
        let started = Instant::now();
        let mut out = fs::File::create(&new)?;
        writeln!(out, "{number}")?;
        out.sync_data()?;
        fs::rename(&new, &file)?;
        fs::File::open(tree)?.sync_all()?;
        times.record(micros(started))?;
    }
    table.add(
        "plain write, rename and two syncs, p50",
        ms(&times, 0.5),
        "ms",
        Promise::Nothing,
    );
    Ok(())
}

async fn call(client: &mut Client, task: &Task, step: u64, tool: &str, args: &Value) -> Result<()> {
    let request = client::call_request(task, step, tool, &args.to_string());
    match client
        .call(request)
        .await
        .map_err(client::plain)?
        .into_inner()
        .result
    {
        Some(Answer::Done(_)) => Ok(()),
        other => bail!("{tool} is not done: {other:?}"),
    }
}

pub(crate) async fn alone(
    client: &Client,
    task: &Task,
    first: u64,
    count: u64,
    tool: &str,
    args: impl Fn(u64) -> Value,
) -> Result<Histogram<u64>> {
    let mut client = client.clone();
    let mut times = Histogram::new(3)?;
    for step in first..first + count {
        let args = args(step);
        let started = Instant::now();
        call(&mut client, task, step, tool, &args).await?;
        times.record(micros(started))?;
    }
    Ok(times)
}

async fn together(client: &Client, task: &Task, args: &Value, table: &mut Table) -> Result<()> {
    let mut callers = JoinSet::new();
    let started = Instant::now();
    for caller in 0..CALLERS {
        let (mut client, task, args) = (client.clone(), task.clone(), args.clone());
        callers.spawn(async move {
            let mut times = Histogram::<u64>::new(3)?;
            let mut step = 1 + caller * 1_000_000;
            while started.elapsed() < TOGETHER {
                let begun = Instant::now();
                call(&mut client, &task, step, "fs.stat", &args).await?;
                times.record(micros(begun))?;
                step += 1;
            }
            anyhow::Ok(times)
        });
    }
    let mut all = Histogram::<u64>::new(3)?;
    while let Some(times) = callers.join_next().await {
        all.add(times??)?;
    }
    let count = u32::try_from(all.len())?;
    let rate = f64::from(count) / started.elapsed().as_secs_f64();
    table.add(
        "read-only calls, 64 callers",
        rate,
        "calls/s",
        Promise::AtLeast(2000.0),
    );
    table.add(
        "read-only call, 64 callers, p50",
        ms(&all, 0.5),
        "ms",
        Promise::Nothing,
    );
    table.add(
        "read-only call, 64 callers, p99",
        ms(&all, 0.99),
        "ms",
        Promise::Nothing,
    );
    Ok(())
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn ms(times: &Histogram<u64>, quantile: f64) -> f64 {
    Duration::from_micros(times.value_at_quantile(quantile)).as_secs_f64() * 1e3
}
