//! The real memory process over its socket: projection through kills, bounded ring, wrong requests.

#![cfg(test)]

use aios_core::paths::Paths;
use aios_core::rpc::{channel, report_of};
use aios_harness::as_root;
use aios_proto::memory::v1 as api;
use aios_proto::memory::v1::memory_client::MemoryClient;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tonic::transport::Channel;

struct Bench {
    directory: TempDir,
    paths: Paths,
    process: Child,
}

impl Bench {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::development(directory.path());
        for needed in [
            &paths.vendor,
            &paths.state,
            &paths.run,
            &directory.path().join("failpoints"),
        ] {
            std::fs::create_dir_all(needed).unwrap();
        }
        // All services are one user here; root, who may write and read.
        let users: String = [
            "guard",
            "orchestrator",
            "tools",
            "fs",
            "host",
            "memory",
            "console",
            "sandbox",
        ]
        .iter()
        .map(|part| format!("{part} = \"0\"\n"))
        .collect();
        let config = format!("[users]\n{users}[memory]\nring_events = 3\n");
        std::fs::write(paths.vendor.join("config.toml"), config).unwrap();
        let process = spawn(&paths, &directory);
        let bench = Self {
            directory,
            paths,
            process,
        };
        bench.until_served().await;
        bench
    }

    async fn until_served(&self) {
        for _ in 0..500 {
            if tokio::net::UnixStream::connect(self.paths.socket("memory"))
                .await
                .is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("memory does not serve");
    }

    fn client(&self) -> MemoryClient<Channel> {
        MemoryClient::new(channel(&self.paths.socket("memory")))
    }

    fn kill_at(&self, failpoint: &str) {
        std::fs::write(self.directory.path().join("failpoints").join(failpoint), "").unwrap();
    }

    async fn revive(&mut self) {
        self.process.wait().unwrap();
        self.process = spawn(&self.paths, &self.directory);
        self.until_served().await;
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn spawn(paths: &Paths, directory: &TempDir) -> Child {
    Command::new(env!("CARGO_BIN_EXE_aios-memory"))
        .envs(paths.to_env().map(|(name, path)| (name, path.to_owned())))
        .env("AIOS_FAILPOINT_DIR", directory.path().join("failpoints"))
        .env("AIOS_LOG", "error")
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

fn event(seq: u64) -> api::WorkingEvent {
    api::WorkingEvent {
        seq,
        time_ms: 1,
        kind: "goal.state".to_owned(),
        goal_id: "g".to_owned(),
        task_id: String::new(),
        body_json: format!("{{\"n\":{seq}}}"),
        tainted: false,
    }
}

fn observation(message: &str) -> api::ObserveRequest {
    api::ObserveRequest {
        event: Some(api::OperationalEvent {
            time_ms: 1,
            source: "tools".to_owned(),
            kind: "note".to_owned(),
            message: message.to_owned(),
            details_json: String::new(),
        }),
    }
}

#[tokio::test]
async fn a_projection_goes_on_after_a_kill_at_any_place_without_loss_or_doubling() {
    if !as_root().unwrap() {
        return;
    }
    let mut bench = Bench::start().await;
    let mut wanted = 0;
    for point in [
        "memory.before_commit",
        "memory.after_commit",
        "memory.before_answer",
    ] {
        bench.kill_at(point);
        wanted += 3;
        loop {
            let held = match bench.client().get_position(api::GetPositionRequest {}).await {
                Ok(answer) => answer.into_inner().position,
                Err(_) => {
                    bench.revive().await;
                    continue;
                }
            };
            if held == wanted {
                break;
            }
            // What is held already is sent again on purpose.
            let events = (held.max(1)..=wanted).map(event).collect();
            if bench
                .client()
                .project(api::ProjectRequest { events })
                .await
                .is_err()
            {
                bench.revive().await;
            }
        }
    }
    let rows = bench
        .client()
        .query_working(api::QueryWorkingRequest::default())
        .await
        .unwrap()
        .into_inner();
    let seqs: Vec<u64> = rows.events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=wanted).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_ring_keeps_the_newest_and_counts_what_fell_out() {
    if !as_root().unwrap() {
        return;
    }
    let bench = Bench::start().await;
    let mut client = bench.client();
    let mut dropped = 0;
    for number in 0..5 {
        dropped = client
            .observe(observation(&number.to_string()))
            .await
            .unwrap()
            .into_inner()
            .dropped;
    }
    assert_eq!(dropped, 2);
    let recent = client
        .recent(api::RecentRequest {
            limit: 2,
            source: "tools".to_owned(),
        })
        .await
        .unwrap()
        .into_inner();
    let messages: Vec<&str> = recent.events.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(messages, ["4", "3"]);
    let stats = client.stats(api::StatsRequest {}).await.unwrap().into_inner();
    assert_eq!(
        (
            stats.operational_events,
            stats.operational_capacity,
            stats.operational_dropped
        ),
        (3, 3, 2)
    );
}

#[tokio::test]
async fn wrong_requests_get_a_code_and_change_nothing() {
    if !as_root().unwrap() {
        return;
    }
    let bench = Bench::start().await;
    let mut client = bench.client();
    let projections = [
        ("a gap", vec![event(2)], "AIOS-MEMORY-0004"),
        ("not ascending", vec![event(2), event(1)], "AIOS-MEMORY-0003"),
        ("twice the same", vec![event(1), event(1)], "AIOS-MEMORY-0003"),
        ("no number", vec![event(0)], "AIOS-MEMORY-0003"),
        (
            "no kind",
            vec![api::WorkingEvent {
                kind: String::new(),
                ..event(1)
            }],
            "AIOS-MEMORY-0003",
        ),
        (
            "no object",
            vec![api::WorkingEvent {
                body_json: "[]".to_owned(),
                ..event(1)
            }],
            "AIOS-MEMORY-0003",
        ),
        ("too many", (1..=1001).map(event).collect(), "AIOS-MEMORY-0003"),
    ];
    for (what, events, code) in projections {
        let error = client
            .project(api::ProjectRequest { events })
            .await
            .expect_err(what);
        let report = report_of(&error);
        assert_eq!(report.code, code, "{what}");
        assert!(!report.next_step.is_empty());
    }
    let empty = api::OperationalEvent::default();
    let long = observation(&"x".repeat(20_000)).event.unwrap();
    let broken = api::OperationalEvent {
        details_json: "{".to_owned(),
        ..observation("x").event.unwrap()
    };
    for event in [None, Some(empty), Some(long), Some(broken)] {
        let error = client.observe(api::ObserveRequest { event }).await.unwrap_err();
        assert_eq!(report_of(&error).code, "AIOS-MEMORY-0003");
    }
    let stats = client.stats(api::StatsRequest {}).await.unwrap().into_inner();
    assert_eq!((stats.working_events, stats.operational_events), (0, 0));
}

#[tokio::test]
async fn the_process_stays_small() {
    if !as_root().unwrap() {
        return;
    }
    let bench = Bench::start().await;
    let mut client = bench.client();
    for batch in 0..10 {
        let events = (batch * 1000 + 1..=batch * 1000 + 1000).map(event).collect();
        client.project(api::ProjectRequest { events }).await.unwrap();
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", bench.process.id())).unwrap();
    let rss = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let rss: u64 = rss.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(rss <= 30 * 1024, "{rss} kB resident");
}
