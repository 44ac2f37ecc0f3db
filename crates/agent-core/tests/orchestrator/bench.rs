//! One instance: a directory, the doubles, the real orchestrator process.

use crate::doubles::{Doubles, World};
use aios_auth::peer::Users;
use aios_core::paths::Paths;
use aios_core::rpc;
use aios_harness::as_root;
use aios_proto::orchestrator::v1 as api;
use aios_proto::orchestrator::v1::orchestrator_client::OrchestratorClient;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tonic::transport::Channel;

/// The goal of most tests.
pub(crate) const GOAL: &str = "free space under /srv/logs: delete *.log older than 7 days, keep the newest 3";
const DAY: u64 = 86_400_000;

/// An instance of aiOS as far as the orchestrator sees it.
pub(crate) struct Bench {
    directory: TempDir,
    /// Its layout.
    pub(crate) paths: Paths,
    /// The other services.
    pub(crate) doubles: Doubles,
    process: Option<Child>,
}

impl Bench {
    /// A directory with ten old logs and the doubles; the orchestrator does not run yet. `None` when the test ran under
    /// `sudo` instead.
    pub(crate) fn prepare() -> Option<Self> {
        if !as_root().unwrap() {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::development(directory.path());
        for needed in [&paths.vendor, &paths.etc, &paths.state, &paths.run] {
            std::fs::create_dir_all(needed).unwrap();
        }
        std::fs::create_dir_all(paths.vendor.join("runbooks")).unwrap();
        std::fs::create_dir_all(directory.path().join("failpoints")).unwrap();
        let shipped =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs/runbooks/free-space-old-logs.toml");
        std::fs::copy(shipped, paths.vendor.join("runbooks/free-space-old-logs.toml")).unwrap();
        // All services of the test are one user; root, whom the orchestrator takes for a person too.
        let users = Users::section_of_one("0");
        let config = format!(
            "{users}[orchestrator]\nretry_ms = 20\nheartbeat_ms = 2000\napproval_poll_ms = 50\ncancel_grace_ms = 300\nagent_wait_ms = 20000\n"
        );
        std::fs::write(paths.vendor.join("config.toml"), config).unwrap();
        let doubles = Doubles::start(&paths);
        for number in 0..10_u64 {
            doubles.world().files.insert(
                format!("/srv/logs/{number}.log"),
                ((number + 5) * DAY, 100 + number),
            );
        }
        Some(Self {
            directory,
            paths,
            doubles,
            process: None,
        })
    }

    /// An instance whose orchestrator runs, likewise.
    pub(crate) async fn start() -> Option<Self> {
        let mut bench = Self::prepare()?;
        bench.launch().await;
        Some(bench)
    }

    /// Adds settings for the orchestrator.
    pub(crate) fn configure(&self, settings: &str) {
        std::fs::write(self.paths.etc.join("config.toml"), settings).unwrap();
    }

    /// Adds a runbook that comes with aiOS.
    pub(crate) fn shipped(&self, file: &str) {
        let from = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../configs/runbooks")
            .join(file);
        std::fs::copy(from, self.paths.vendor.join("runbooks").join(file)).unwrap();
    }

    /// Adds a runbook of the administrator.
    pub(crate) fn runbook(&self, file: &str, text: &str) {
        let directory = self.paths.etc.join("runbooks");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(file), text).unwrap();
    }

    /// Runs the orchestrator until it ends by itself, and says what it wrote.
    pub(crate) fn refuses_to_start(&self) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aios-orchestrator"));
        command.envs(self.paths.to_env().map(|(name, path)| (name, path.to_owned())));
        let ran = command.stdin(Stdio::null()).output().unwrap();
        assert!(!ran.status.success());
        format!(
            "{}{}",
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        )
    }

    /// Starts the orchestrator and waits until it serves.
    pub(crate) async fn launch(&mut self) {
        self.spawn();
        for _ in 0..500 {
            if tokio::net::UnixStream::connect(self.socket()).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the orchestrator does not serve");
    }

    fn spawn(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aios-orchestrator"));
        command.envs(self.paths.to_env().map(|(name, path)| (name, path.to_owned())));
        command.env("AIOS_FAILPOINT_DIR", self.directory.path().join("failpoints"));
        command.env(
            "AIOS_LOG",
            std::env::var("AIOS_TEST_LOG").unwrap_or_else(|_| "error".to_owned()),
        );
        self.process = Some(command.stdin(Stdio::null()).spawn().unwrap());
    }

    /// Kills the process at this place the next time it comes by.
    pub(crate) fn kill_at(&self, failpoint: &str) {
        std::fs::write(self.directory.path().join("failpoints").join(failpoint), "").unwrap();
    }

    /// Whether a kill that was asked for has not happened.
    pub(crate) fn is_armed(&self, failpoint: &str) -> bool {
        self.directory.path().join("failpoints").join(failpoint).exists()
    }

    /// Starts the orchestrator again if it has died. Says whether it had.
    pub(crate) async fn revive(&mut self) -> bool {
        let died = match &mut self.process {
            Some(process) => process.try_wait().unwrap().is_some(),
            None => true,
        };
        if died {
            self.launch().await;
        }
        died
    }

    /// Kills the orchestrator now.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// The orchestrator's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.paths.socket("orchestrator")
    }

    /// A client of it.
    pub(crate) fn client(&self) -> OrchestratorClient<Channel> {
        OrchestratorClient::new(rpc::channel(&self.socket()))
    }

    /// States a goal.
    pub(crate) async fn submit(&self, text: &str) -> api::Goal {
        let request = api::SubmitGoalRequest {
            text: text.to_owned(),
            ..api::SubmitGoalRequest::default()
        };
        self.client().submit_goal(request).await.unwrap().into_inner()
    }

    /// Cancels a goal.
    pub(crate) async fn cancel(&self, id: &str) {
        let request = api::CancelGoalRequest {
            goal_id: id.to_owned(),
            proof: None,
        };
        self.client().cancel_goal(request).await.unwrap();
    }

    /// A goal in full.
    pub(crate) async fn goal(&self, id: &str) -> api::GoalDetail {
        let request = api::GetGoalRequest {
            goal_id: id.to_owned(),
        };
        self.client().get_goal(request).await.unwrap().into_inner()
    }

    /// Waits until a goal is in one of these states.
    pub(crate) async fn until(&self, id: &str, states: &[api::GoalState]) -> api::GoalDetail {
        for _ in 0..1500 {
            let detail = self.goal(id).await;
            if states.contains(&detail.goal.as_ref().unwrap().state()) {
                return detail;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the goal does not get there: {:#?}", self.goal(id).await);
    }

    /// Waits until the other services have heard of something.
    pub(crate) async fn heard(&self, of_it: impl Fn(&World) -> bool) {
        for _ in 0..500 {
            if of_it(&self.doubles.world()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the other services never heard of it");
    }

    /// Waits until a goal has ended.
    pub(crate) async fn ended(&self, id: &str) -> api::GoalDetail {
        use api::GoalState::{Cancelled, Completed, Failed};
        self.until(id, &[Cancelled, Completed, Failed]).await
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.kill();
    }
}
