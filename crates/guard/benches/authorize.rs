//! What one decision costs over the guard's socket: reads (one record, durable within 20 ms) and changes
//! (intent and outcome durable), alone and with 64 callers.
//! Run with `cargo bench --profile release -p aios-guard`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark prints and stops at the first error"
)]

use aios_auth::call;
use aios_auth::peer::Users;
use aios_auth::receipt::ReceiptBody;
use aios_auth::trust::TrustKeys;
use aios_core::id::{AgentId, GoalId, TaskId};
use aios_core::paths::Paths;
use aios_proto::common::v1::{Identity, Risk};
use aios_proto::guard::v1::authorize_response::Decision;
use aios_proto::guard::v1::guard_client::GuardClient;
use aios_proto::guard::v1::*;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tonic::transport::Channel;

const CALLERS: usize = 64;

struct Bench {
    client: GuardClient<Channel>,
    task: TaskId,
    token: Vec<u8>,
    keys: TrustKeys,
    step: Arc<AtomicU64>,
}

fn start(paths: &Paths) -> Child {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    for path in [&paths.vendor, &paths.etc, &paths.state, &paths.run] {
        fs::create_dir_all(path).unwrap();
    }
    fs::copy(configs.join("policy.toml"), paths.vendor.join("policy.toml")).unwrap();
    let own = nix::unistd::geteuid().as_raw();
    let users = Users::section_of_one(&own.to_string());
    fs::write(paths.vendor.join("config.toml"), users).unwrap();
    let limits = "[[rule]]\nid = \"bench\"\nnamespace = \"fs\"\naction = \"delete\"\neffect = \"allow\"\n";
    fs::write(paths.etc.join("policy.toml"), limits).unwrap();
    Command::new(env!("CARGO_BIN_EXE_aios-guard"))
        .envs(paths.to_env())
        .env("AIOS_LOG", "warn")
        .spawn()
        .unwrap()
}

impl Bench {
    fn request(&self, tool: &str) -> AuthorizeRequest {
        let step = self.step.fetch_add(1, Ordering::Relaxed);
        let identities = vec![Identity {
            path: "/srv/a".into(),
            dev: 1,
            ino: 2,
            kind: "file".into(),
        }];
        let args_json = "{\"path\":\"/srv/a\"}".to_owned();
        let mutating = tool == "fs.delete";
        AuthorizeRequest {
            token: self.token.clone(),
            key: Some(ExecutionKey {
                task_id: self.task.to_string(),
                step,
            }),
            tool: tool.into(),
            call_digest: call::digest_json(tool, &args_json, &identities).unwrap().to_vec(),
            args_json,
            identities,
            required: vec![format!("{}:/srv/a", tool.replace('.', ":"))],
            risk: if mutating { Risk::Low } else { Risk::Read }.into(),
            mutating,
            reversible: true,
            files: 0,
            bytes: 0,
            dry_run: false,
            summary: String::new(),
        }
    }

    async fn once(&self, tool: &str) {
        let mut client = self.client.clone();
        let request = self.request(tool);
        let (key, call_digest, mutating) =
            (request.key.clone(), request.call_digest.clone(), request.mutating);
        let answer = client.authorize(request).await.unwrap().into_inner().decision;
        let Some(Decision::Receipt(receipt)) = answer else {
            panic!("{answer:?}")
        };
        if mutating {
            let intent_seq = ReceiptBody::verify(Some(&receipt), &self.keys.receipt)
                .unwrap()
                .audit_seq;
            let status = "done".to_owned();
            let outcome = RecordOutcomeRequest {
                key,
                call_digest,
                status,
                intent_seq,
                ..Default::default()
            };
            client.record_outcome(outcome).await.unwrap();
        }
    }
}

async fn measure(bench: &Arc<Bench>, tool: &'static str, count: usize, callers: usize) {
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let bench = bench.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            for _ in 0..count / callers {
                let began = Instant::now();
                bench.once(tool).await;
                times.push(began.elapsed());
            }
            times
        });
    }
    let mut times: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    let rate = times.len() as f64 / started.elapsed().as_secs_f64();
    times.sort();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    println!(
        "{tool:<10} {callers:>3} callers: {rate:>7.0}/s  p50 {:>9.1?}  p99 {:>9.1?}",
        at(50),
        at(99)
    );
}

fn main() {
    let directory =
        tempfile::tempdir_in(std::env::var("AIOS_BENCH_DIR").unwrap_or_else(|_| ".".into())).unwrap();
    let paths = Paths::development(directory.path());
    let mut guard = start(&paths);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let socket = paths.socket("guard");
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut client = GuardClient::new(aios_core::rpc::channel(&socket));
        let task = TaskId::new();
        let mint = MintRequest {
            agent_id: AgentId::new().to_string(),
            agent_kind: "executor".into(),
            goal_id: GoalId::new().to_string(),
            task_id: task.to_string(),
            capabilities: vec!["fs:*:/srv/**".into()],
            ttl_ms: 0,
            tainted: false,
            autonomy: 3,
        };
        let token = client.mint(mint).await.unwrap().into_inner().token;
        let keys = TrustKeys::read(&paths.trust_file(), None).unwrap();
        let bench = Arc::new(Bench {
            client,
            task,
            token,
            keys,
            step: Arc::new(AtomicU64::new(1)),
        });
        measure(&bench, "fs.read", 3_000, 1).await;
        measure(&bench, "fs.read", 20_000, CALLERS).await;
        measure(&bench, "fs.delete", 1_000, 1).await;
        measure(&bench, "fs.delete", 6_400, CALLERS).await;
    });
    let status = fs::read_to_string(format!("/proc/{}/status", guard.id())).unwrap();
    let resident = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .expect("the kernel says");
    println!("{resident}");
    guard.kill().unwrap();
    guard.wait().unwrap();
}
