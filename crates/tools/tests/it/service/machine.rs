//! A supervisor with the service worker and services of the administrator, and a pipeline before the worker.

use crate::common::{Answer, GuardDouble, result};
use aios_auth::level::Autonomy;
use aios_auth::peer::Users;
use aios_auth::token::{Grant, Minter};
use aios_auth::trust::TrustState;
use aios_core::clock::{Clock, SystemClock};
use aios_core::id::{AgentId, ExecutionKey, GoalId, TaskId};
use aios_core::paths::Paths;
use aios_core::rpc;
use aios_proto::init::v1::init_client::InitClient;
use aios_proto::init::v1::{GetServiceRequest, ListServicesRequest, ServiceInfo, ServiceRequest};
use aios_proto::tools::v1 as tools;
use aios_proto::worker::v1 as worker;
use aios_proto::worker::v1::worker_client::WorkerClient;
use aios_tools::pipeline::{GrpcWorkers, Pipeline};
use aios_tools::registry::Registry;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tonic::Status;
use tonic::transport::Channel;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Names the tree to the process that becomes the supervisor.
const TREE: &str = "AIOS_TEST_SUPERVISOR";
pub(crate) const WORKER: &str = "aios-worker-service";
pub(crate) const SLEEP: &str =
    "command = [\"/bin/sleep\", \"1000000\"]\nuser = \"nobody\"\nready = \"none\"\n";
#[test]
#[ignore = "the supervisor of the other tests: they start it as a process"]
fn the_supervisor_of_these_tests() {
    if let Some(tree) = std::env::var_os(TREE) {
        aios_init::supervise::run(Some(Path::new(&tree)));
    }
}

/// A supervisor with the service worker and services of the administrator, and a pipeline before the worker.
pub(crate) struct Machine {
    home: tempfile::TempDir,
    pub(crate) paths: Paths,
    guard: GuardDouble,
    pipeline: Pipeline<GuardDouble, GrpcWorkers>,
    task: TaskId,
    counter: AtomicU64,
    step: AtomicU64,
    supervisor: Child,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.supervisor);
        // SIGTERM, so that it ends its services too.
        if rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok() {
            drop(self.supervisor.wait());
        }
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

impl Machine {
    /// None where the test has passed as root, which alone starts services as other users.
    pub(crate) async fn new(services: &[(&str, &str)]) -> Option<Self> {
        if !aios_tests_root::as_root().unwrap() {
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let paths = Paths::development(&home.path().join("aios"));
        let guard = GuardDouble::new();
        fs::create_dir_all(paths.run.join("trust")).unwrap();
        guard.inner.secrets.public().write(&paths.trust_file()).unwrap();
        for open in [home.path().join("failpoints"), home.path().join("out")] {
            fs::create_dir(&open).unwrap();
            fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let users = Users::section_of_one("0").replace("service = \"0\"", "service = \"aios-service\"");
        let config = format!("{users}[init]\nallow_degraded = true\n");
        write(&paths.vendor.join("config.toml"), &config);
        furnish(&paths);
        for (name, text) in services {
            let text = text.replace("${OUT}", &home.path().join("out").to_string_lossy());
            write(&paths.etc.join(format!("services/{name}.toml")), &text);
        }
        let supervisor = Command::new(std::env::current_exe().unwrap())
            .args([
                "service::machine::the_supervisor_of_these_tests",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env(TREE, home.path().join("aios"))
            .env("AIOS_FAILPOINT_DIR", home.path().join("failpoints"))
            .env("AIOS_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(home.path().join("init.log")).unwrap())
            .spawn()
            .unwrap();
        let pipeline = Pipeline::new(
            Arc::new(Registry::builtin()),
            &guard.inner.secrets.public().mint,
            Arc::new(SystemClock),
            guard.clone(),
            GrpcWorkers::of(&paths, ["service"]),
        )
        .unwrap();
        let machine = Self {
            home,
            paths,
            guard,
            pipeline,
            task: TaskId::new(),
            counter: AtomicU64::new(u64::try_from(SystemClock.now_ms()).unwrap()),
            step: AtomicU64::new(0),
            supervisor,
        };
        machine.until(WORKER, |info| info.state == "ready").await;
        Some(machine)
    }

    pub(crate) fn init(&self) -> InitClient<Channel> {
        InitClient::new(rpc::channel(&self.paths.socket("init")))
    }

    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.home.path().join("out").join(name)
    }

    pub(crate) async fn until(&self, name: &str, wanted: impl Fn(&ServiceInfo) -> bool) -> ServiceInfo {
        let since = Instant::now();
        loop {
            let request = GetServiceRequest { name: name.into() };
            let found = self
                .init()
                .get_service(request)
                .await
                .map(tonic::Response::into_inner);
            match found {
                Ok(info) if wanted(&info) => return info,
                other => assert!(
                    since.elapsed() < PATIENCE,
                    "{name}: {other:?}\n{}",
                    fs::read_to_string(self.home.path().join("init.log")).unwrap()
                ),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn info(&self, name: &str) -> ServiceInfo {
        self.until(name, |_| true).await
    }

    /// Everything about the administrator's services that an undo must give back.
    pub(crate) async fn photograph(&self) -> Vec<(String, bool, bool, bool)> {
        let list = self
            .init()
            .list_services(ListServicesRequest {})
            .await
            .unwrap()
            .into_inner();
        let mut picture: Vec<_> = list
            .services
            .into_iter()
            .filter(|info| !info.core)
            .map(|info| (info.name, info.wanted, info.state == "ready", info.enabled))
            .collect();
        picture.sort();
        picture
    }

    pub(crate) async fn push_trust(&self) {
        let state = TrustState {
            counter: self.counter.fetch_add(1, Ordering::SeqCst),
            epoch: self.counter.load(Ordering::SeqCst),
            min_token_epoch: 0,
            revoked: std::collections::BTreeSet::new(),
            emergency: false,
            issued_at_ms: SystemClock.now_ms(),
        };
        let push = state.sign(&self.guard.inner.secrets.trust).unwrap();
        let mut worker = WorkerClient::new(rpc::channel(&self.paths.worker_socket("service")));
        worker.push_trust(push).await.unwrap();
    }

    pub(crate) fn grant(&self, capabilities: &[&str]) -> Vec<u8> {
        let grant = Grant {
            agent: AgentId::new(),
            agent_kind: "maintenance_agent".into(),
            goal: GoalId::new(),
            task: self.task,
            capabilities: capabilities.iter().map(|cap| cap.parse().unwrap()).collect(),
            expires_at_ms: SystemClock.now_ms() + 60_000,
            tainted: false,
            autonomy: Autonomy::Supervised,
            epoch: 1,
        };
        Minter::new(&self.guard.inner.secrets.mint)
            .unwrap()
            .mint(&grant)
            .unwrap()
            .token
    }

    pub(crate) fn key(&self) -> ExecutionKey {
        ExecutionKey {
            task: self.task,
            step: self.step.fetch_add(1, Ordering::SeqCst) + 1,
        }
    }

    pub(crate) async fn call_as(
        &self,
        capabilities: &[&str],
        key: ExecutionKey,
        tool: &str,
        args: &Value,
    ) -> Result<Answer, Status> {
        self.push_trust().await;
        let request = tools::CallRequest {
            token: self.grant(capabilities),
            key: Some(key.into()),
            tool: tool.into(),
            args_json: args.to_string(),
            timeout_ms: 0,
            dry_run: false,
        };
        self.pipeline.call(request).await
    }

    pub(crate) async fn call(&self, key: ExecutionKey, tool: &str, args: &Value) -> Answer {
        self.call_as(&["service:*:**"], key, tool, args).await.unwrap()
    }

    pub(crate) async fn done(&self, tool: &str, args: Value) -> Value {
        result(self.call(self.key(), tool, &args).await)
    }

    pub(crate) async fn undo(&self, target: ExecutionKey) -> Answer {
        let args = json!({"task_id": target.task.to_string(), "step": target.step});
        self.call(self.key(), "service.undo", &args).await
    }

    pub(crate) async fn by_hand(&self, what: &str, name: &str) {
        let request = ServiceRequest { name: name.into() };
        let mut init = self.init();
        match what {
            "start" => init.start_service(request).await,
            "disable" => init.disable_service(request).await,
            other => panic!("{other}"),
        }
        .unwrap();
    }

    /// Sends a call into a crash of the worker, waits for the next worker, and sends it again.
    pub(crate) async fn through_a_crash(
        &self,
        point: &str,
        tool: &str,
        args: &Value,
    ) -> (ExecutionKey, bool) {
        let before = self.info(WORKER).await;
        let key = self.key();
        self.push_trust().await;
        fs::write(self.home.path().join("failpoints").join(point), "").unwrap();
        let lost = self.call_as(&["service:*:**"], key, tool, args).await;
        assert!(lost.is_err(), "{tool} at {point} was not interrupted: {lost:?}");
        self.until(WORKER, |info| info.state == "ready" && info.run > before.run)
            .await;
        self.push_trust().await;
        let mut worker = WorkerClient::new(rpc::channel(&self.paths.worker_socket("service")));
        let request = worker::GetStatusRequest {
            key: Some(key.into()),
        };
        let state = worker.get_status(request).await.unwrap().into_inner().state();
        let was_done = state == worker::ExecutionState::Done;
        let Answer::Done(again) = self.call(key, tool, args).await else {
            panic!("{tool} at {point}")
        };
        assert_eq!(again.replayed, was_done, "{tool} at {point}");
        (key, was_done)
    }
}

/// What is shipped for the worker, with a guard that only sleeps: the double is in this process.
fn furnish(paths: &Paths) {
    let shipped =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/services/aios-worker-service.toml");
    let text = fs::read_to_string(shipped).unwrap();
    assert!(text.contains("needs = [\"aios-guard\"]"));
    let services = paths.vendor.join("services");
    // Our end of its connections does not answer while this process waits for it to end.
    write(
        &services.join("aios-worker-service.toml"),
        &format!("restart_min_ms = 20\nrestart_max_ms = 50\nstop_timeout_ms = 300\n{text}"),
    );
    write(&services.join("aios-guard.toml"), SLEEP);
    let bin = paths.vendor.join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_aios-worker"), bin.join("aios-worker")).unwrap();
}
