//! The audit log by itself: durable records a second, verified records a second.

use crate::table::{Promise, Table};
use aios_audit::{Durability, Log, Record};
use aios_core::clock::SystemClock;
use anyhow::{Result, ensure};
use std::io::Write;
use std::time::Instant;
use tokio::task::JoinSet;

const CALLERS: usize = 64;
const DURABLE: usize = 60_000;
const READS: usize = 200_000;
const PLAIN: u32 = 2_000;

/// Measures appending and verifying, beside plain writes of lines as long.
///
/// # Errors
/// The disk fails, or the log does not verify.
pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let directory =
        tempfile::tempdir_in(std::env::var("AIOS_BENCH_DIR").unwrap_or_else(|_| "/var/tmp".into()))?;
    let audit = directory.path().join("audit");
    let log = Log::open(&audit, SystemClock)?;
    let durable = fill(&log, DURABLE, Durability::Durable).await?;
    fill(&log, READS, Durability::Within20ms).await?;
    let line = log.get(0).await?.line;
    log.close().await?;
    table.add(
        "plain write and fdatasync, one caller",
        plain(directory.path(), &line)?,
        "lines/s",
        Promise::Nothing,
    );
    table.add(
        "durable audit records, 64 callers",
        durable,
        "records/s",
        Promise::AtLeast(5000.0),
    );
    let started = Instant::now();
    let report = aios_audit::verify::verify_dir(&audit, None)?;
    let rate = rate(usize::try_from(report.records)?, started)?;
    ensure!(report.ok(), "the log does not verify: {:?}", report.findings);
    table.add(
        "verified audit records",
        rate,
        "records/s",
        Promise::AtLeast(200_000.0),
    );
    Ok(())
}

fn record(number: usize) -> Record {
    Record {
        goal_id: Some("01939f2e-7c3a-7d11-8a52-0f6a3c1d9e77".into()),
        task_id: Some("01939f2e-7c3a-7d11-8a52-0f6a3c1d9e78".into()),
        step: Some(number as u64),
        agent_kind: Some("maintenance_agent".into()),
        tool: Some("fs.delete".into()),
        capabilities: vec!["fs:delete:/var/tmp/**".into()],
        rule: Some("change-supervised".into()),
        input: Some(br#"{"path":"/var/tmp/a.log"}"#.to_vec()),
        ..Record::new("intent")
    }
}

async fn fill(log: &Log, count: usize, durability: Durability) -> Result<f64> {
    let started = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let log = log.clone();
        callers.spawn(async move {
            for number in (caller..count).step_by(CALLERS) {
                log.append(record(number), durability).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    rate(count, started)
}

fn plain(directory: &std::path::Path, line: &[u8]) -> Result<f64> {
    let mut file = std::fs::File::create(directory.join("plain"))?;
    let started = Instant::now();
    for _ in 0..PLAIN {
        file.write_all(line)?;
        file.sync_data()?;
    }
    rate(usize::try_from(PLAIN)?, started)
}

fn rate(count: usize, since: Instant) -> Result<f64> {
    Ok(f64::from(u32::try_from(count)?) / since.elapsed().as_secs_f64())
}
