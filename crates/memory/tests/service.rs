//! The real memory process over its socket: projection through kills, bounded ring, wrong requests.

#![cfg(test)]

use aios_auth::peer::Users;
use aios_core::paths::Paths;
use aios_core::rpc::{channel, report_of};
use aios_harness::{Relay, Service, Who, as_root};
use aios_proto::memory::v1 as api;
use aios_proto::memory::v1::memory_client::MemoryClient;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};

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
        let users = Users::section_of_one("0");
        let config = format!("{users}[memory]\nring_events = 3\n");
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

    /// A client as another user's process, which lives as long as the relay.
    fn client_of(&self, who: Who, confined: bool) -> (MemoryClient<Channel>, Relay) {
        let socket = self.paths.socket("memory");
        for path in [self.directory.path(), &self.paths.run, &socket] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
        }
        let relay = Relay::start(who, confined, &socket).unwrap();
        (MemoryClient::new(relay.channel()), relay)
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

/// Every rpc with a request that is right, by name.
async fn every_rpc(client: &mut MemoryClient<Channel>) -> [(&'static str, Result<(), Status>); 6] {
    let project = api::ProjectRequest {
        events: vec![event(1)],
    };
    [
        ("Project", client.project(project).await.map(drop)),
        ("Observe", client.observe(observation("x")).await.map(drop)),
        (
            "GetPosition",
            client.get_position(api::GetPositionRequest {}).await.map(drop),
        ),
        (
            "QueryWorking",
            client
                .query_working(api::QueryWorkingRequest::default())
                .await
                .map(drop),
        ),
        (
            "Recent",
            client.recent(api::RecentRequest::default()).await.map(drop),
        ),
        ("Stats", client.stats(api::StatsRequest {}).await.map(drop)),
    ]
}

#[tokio::test]
async fn each_rpc_refuses_the_callers_that_it_is_not_for() {
    if !as_root().unwrap() {
        return;
    }
    let bench = Bench::start().await;
    let writes = ["Project", "Observe"];
    for (who, confined) in [
        (Who::Person, true),
        (Who::Person, false),
        (Who::Of(Service::Tools), true),
    ] {
        let (mut client, _relay) = bench.client_of(who, confined);
        for (rpc, answer) in every_rpc(&mut client).await {
            // A person may look; the tool service of this instance is another user, so that this is a stranger.
            let wanted = match (writes.contains(&rpc), confined) {
                (true, _) => Some("AIOS-AUTH-0602"),
                (false, true) => Some("AIOS-AUTH-0603"),
                (false, false) => None,
            };
            let code = answer.as_ref().err().map(|status| report_of(status).code);
            assert_eq!(code.as_deref(), wanted, "{rpc} as {who:?}, confined: {confined}");
            if let Err(status) = answer {
                assert_eq!(status.code(), Code::PermissionDenied, "{rpc}");
                assert!(!report_of(&status).next_step.is_empty(), "{rpc}");
            }
        }
    }
    let stats = bench
        .client()
        .stats(api::StatsRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!((stats.working_events, stats.operational_events), (0, 0));
    for (rpc, answer) in every_rpc(&mut bench.client()).await {
        assert!(answer.is_ok(), "{rpc} as root: {answer:?}");
    }
}

#[tokio::test]
async fn filters_that_fit_nothing_find_nothing_and_no_limit_is_exceeded() {
    if !as_root().unwrap() {
        return;
    }
    let bench = Bench::start().await;
    let mut client = bench.client();
    for batch in 0..2 {
        let events = (batch * 1000 + 1..=batch * 1000 + 1000).map(event).collect();
        client.project(api::ProjectRequest { events }).await.unwrap();
    }
    for _ in 0..3 {
        client.observe(observation("x")).await.unwrap();
    }
    let long = "x".repeat(100_000);
    let odd = [
        "nonsense",
        "G",
        "%",
        "_",
        "g\0",
        "' OR 1=1 --",
        "../g",
        "\u{202e}g",
        &long,
    ];
    let none = odd.iter().flat_map(|text| {
        [
            ((*text).to_owned(), String::new()),
            (String::new(), (*text).to_owned()),
        ]
    });
    for (goal_id, kind) in none {
        let request = api::QueryWorkingRequest {
            goal_id: goal_id.clone(),
            kind: kind.clone(),
            limit: 0,
        };
        let rows = client.query_working(request).await.unwrap().into_inner().events;
        assert!(rows.is_empty(), "goal {goal_id:.40?}, kind {kind:.40?}");
    }
    for source in odd {
        let request = api::RecentRequest {
            limit: 0,
            source: source.to_owned(),
        };
        let events = client.recent(request).await.unwrap().into_inner().events;
        assert!(events.is_empty(), "source {source:.40?}");
    }
    for (limit, rows, recent) in [
        (0, 100, 3),
        (1, 1, 1),
        (1000, 1000, 3),
        (1001, 1000, 3),
        (u32::MAX, 1000, 3),
    ] {
        let request = api::QueryWorkingRequest {
            goal_id: "g".to_owned(),
            kind: String::new(),
            limit,
        };
        let found = client.query_working(request).await.unwrap().into_inner().events;
        assert_eq!(found.len(), rows, "limit {limit}");
        let request = api::RecentRequest {
            limit,
            source: String::new(),
        };
        let found = client.recent(request).await.unwrap().into_inner().events;
        assert_eq!(found.len(), recent, "limit {limit}");
    }
    let position = client.get_position(api::GetPositionRequest {}).await.unwrap();
    assert_eq!(position.into_inner().position, 2000);
    let stats = client.stats(api::StatsRequest {}).await.unwrap().into_inner();
    assert_eq!((stats.working_events, stats.operational_events), (2000, 3));
}
