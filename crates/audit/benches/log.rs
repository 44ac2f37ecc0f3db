//! Durable records and verified records a second, beside plain `write` and `fdatasync` of the same bytes.
//! Run with `cargo bench --profile release -p aios-audit`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and stops at the first error"
)]

use aios_audit::{Durability, Log, Record};
use aios_core::clock::SystemClock;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::Instant;

const CALLERS: usize = 64;

fn record(number: usize) -> Record {
    Record {
        goal_id: Some("01939f2e-7c3a-7d11-8a52-0f6a3c1d9e77".into()),
        task_id: Some("01939f2e-7c3a-7d11-8a52-0f6a3c1d9e78".into()),
        step: Some(number as u64),
        agent_kind: Some("maintenance_agent".into()),
        tool: Some("fs.delete".into()),
        capabilities: vec!["fs:delete:/var/tmp/**".into()],
        rule: Some("fs-delete-supervised".into()),
        input: Some(br#"{"path":"/var/tmp/a.log"}"#.to_vec()),
        ..Record::new("intent")
    }
}

async fn fill(log: &Log, count: usize, callers: usize, durability: Durability) -> f64 {
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let log = log.clone();
        tasks.spawn(async move {
            for number in (caller..count).step_by(callers) {
                log.append(record(number), durability).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    count as f64 / started.elapsed().as_secs_f64()
}

fn plain(directory: &std::path::Path, line: &[u8], count: usize, together: usize) -> f64 {
    let mut file = std::fs::File::create(directory.join("plain")).unwrap();
    let block = line.repeat(together);
    let started = Instant::now();
    for _ in 0..count / together {
        file.write_all(&block).unwrap();
        nix::unistd::fdatasync(file.as_fd()).unwrap();
    }
    count as f64 / started.elapsed().as_secs_f64()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let directory =
        tempfile::tempdir_in(std::env::var("AIOS_BENCH_DIR").unwrap_or_else(|_| ".".into())).unwrap();
    let audit = directory.path().join("audit");
    let log = Log::open(&audit, SystemClock).unwrap();
    let (alone, many, reads) = runtime.block_on(async {
        let alone = fill(&log, 2_000, 1, Durability::Durable).await;
        let many = fill(&log, 60_000, CALLERS, Durability::Durable).await;
        let reads = fill(&log, 200_000, CALLERS, Durability::Within20ms).await;
        (alone, many, reads)
    });
    let line = runtime.block_on(log.get(0)).unwrap().line;
    runtime.block_on(log.close()).unwrap();
    println!("line bytes                                   {:>10}", line.len());
    println!("durable records/s, 1 caller                  {alone:>10.0}");
    println!(
        "  plain write+fdatasync, one line each       {:>10.0}",
        plain(directory.path(), &line, 2_000, 1)
    );
    println!("durable records/s, {CALLERS} callers                {many:>10.0}");
    println!(
        "  plain write+fdatasync, {CALLERS} lines each       {:>10.0}",
        plain(directory.path(), &line, 64_000, CALLERS)
    );
    println!("read records/s (durable within 20 ms)        {reads:>10.0}");
    let started = Instant::now();
    let report = aios_audit::verify::verify_dir(&audit, None).unwrap();
    let rate = report.records as f64 / started.elapsed().as_secs_f64();
    println!(
        "verified records/s                           {rate:>10.0}  ({} records, ok: {})",
        report.records,
        report.ok()
    );
}
