//! A throwaway root with dpkg and apt of its own, a source of packages made by hand, and the package
//! worker on it. This machine's packages are never touched.

use crate::common::{Answer, GuardDouble, result, roles};
use aios_auth::level::Autonomy;
use aios_auth::peer::Users;
use aios_auth::token::{Grant, Minter};
use aios_auth::trust::TrustState;
use aios_core::clock::{Clock, SystemClock};
use aios_core::id::{AgentId, ExecutionKey, GoalId, TaskId};
use aios_core::paths::Paths;
use aios_core::rpc;
use aios_core::tasks::Tasks;
use aios_proto::tools::v1 as tools;
use aios_proto::worker::v1::worker_client::WorkerClient;
use aios_proto::worker::v1::worker_server::WorkerServer;
use aios_tests_packages::Bed as Ground;
pub(crate) use aios_tests_packages::Deb;
use aios_tools::pipeline::{GrpcWorkers, Pipeline};
use aios_tools::pkg::root::Root;
use aios_tools::registry::Registry;
use aios_tools::run;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tonic::Status;
use tonic::transport::Channel;

/// A root, a source, and the worker on it.
pub(crate) struct Bed {
    pub(crate) home: tempfile::TempDir,
    pub(crate) root: PathBuf,
    ground: Ground,
    pub(crate) guard: GuardDouble,
    pub(crate) paths: Paths,
    pipeline: Pipeline<GuardDouble, GrpcWorkers>,
    worker: WorkerClient<Channel>,
    task: TaskId,
    step: AtomicU64,
    counter: AtomicU64,
    tasks: Tasks,
    process: Option<Child>,
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            drop(process.kill());
            drop(process.wait());
        }
    }
}

impl Bed {
    /// A bed whose worker is a part of this process.
    pub(crate) async fn new() -> Self {
        let bed = Self::furnished();
        let keys = bed.guard.inner.secrets.public();
        let service = run::pkg_service(&bed.paths, keys, roles(), bed.settings()).unwrap();
        let listener = rpc::listen("none", &bed.paths.worker_socket("pkg"), 0o600).unwrap();
        let server = rpc::serve(
            listener,
            tonic::service::Routes::new(WorkerServer::new(service)),
            &[],
            bed.tasks.token(),
        );
        bed.tasks.spawn("worker", async move { server.await.unwrap() });
        bed.push_trust().await;
        bed
    }

    /// A bed whose worker is a process of its own, which can be killed.
    pub(crate) async fn with_process() -> Self {
        let mut bed = Self::furnished();
        for dir in [
            bed.paths.run.join("trust"),
            bed.paths.vendor.clone(),
            bed.home.path().join("failpoints"),
        ] {
            fs::create_dir_all(dir).unwrap();
        }
        bed.guard
            .inner
            .secrets
            .public()
            .write(&bed.paths.trust_file())
            .unwrap();
        let me = rustix::process::geteuid().as_raw().to_string();
        let section = bed.ground.section();
        let config = format!("{}{section}", Users::section_of_one(&me));
        fs::write(bed.paths.vendor.join("config.toml"), config).unwrap();
        bed.start().await;
        bed
    }

    fn furnished() -> Self {
        let home = tempfile::tempdir().unwrap();
        let ground = Ground::furnish(home.path()).unwrap();
        let paths = Paths::development(&home.path().join("aios"));
        fs::create_dir_all(paths.run.join("worker")).unwrap();
        fs::create_dir_all(paths.state.join("worker/pkg")).unwrap();
        let guard = GuardDouble::new();
        let pipeline = Pipeline::new(
            Arc::new(Registry::builtin()),
            &guard.inner.secrets.public().mint,
            Arc::new(SystemClock),
            guard.clone(),
            GrpcWorkers::of(&paths, ["pkg"]),
        )
        .unwrap();
        Self {
            worker: WorkerClient::new(rpc::channel(&paths.worker_socket("pkg"))),
            root: ground.root(),
            ground,
            home,
            guard,
            paths,
            pipeline,
            task: TaskId::new(),
            step: AtomicU64::new(0),
            counter: AtomicU64::new(u64::try_from(SystemClock.now_ms()).unwrap()),
            tasks: Tasks::new(),
            process: None,
        }
    }

    pub(crate) fn settings(&self) -> Root {
        Root {
            root: self.root.clone(),
            apt_config: self.ground.apt_config(),
            dpkg_options: self.ground.dpkg_options(),
            ..Root::default()
        }
    }

    async fn start(&mut self) {
        let process = Command::new(env!("CARGO_BIN_EXE_aios-worker"))
            .arg("pkg")
            .envs(self.paths.to_env())
            .env("AIOS_FAILPOINT_DIR", self.home.path().join("failpoints"))
            .env("AIOS_LOG", "warn")
            .spawn()
            .unwrap();
        self.process = Some(process);
        let socket = self.paths.worker_socket("pkg");
        while tokio::net::UnixStream::connect(&socket).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.push_trust().await;
    }

    pub(crate) fn arm(&self, failpoint: &str) {
        fs::write(self.home.path().join("failpoints").join(failpoint), "").unwrap();
    }

    pub(crate) fn kill(&mut self) {
        self.process.as_mut().unwrap().kill().unwrap();
    }

    /// Waits for the process to die and starts another.
    pub(crate) async fn after_crash(&mut self) {
        let mut process = self.process.take().unwrap();
        let status = tokio::task::spawn_blocking(move || process.wait().unwrap())
            .await
            .unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        self.start().await;
    }

    async fn push_trust(&self) {
        let state = TrustState {
            counter: self.counter.fetch_add(1, Ordering::SeqCst),
            epoch: self.counter.load(Ordering::SeqCst),
            min_token_epoch: 0,
            revoked: std::collections::BTreeSet::new(),
            emergency: false,
            issued_at_ms: SystemClock.now_ms(),
        };
        let push = state.sign(&self.guard.inner.secrets.trust).unwrap();
        self.worker.clone().push_trust(push).await.unwrap();
    }

    /// Makes a package and puts it into the source.
    pub(crate) fn publish(&self, name: &str, version: &str, deb: &Deb<'_>) {
        self.ground.publish(name, version, deb).unwrap();
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.ground.source()
    }

    /// Takes a package file out of the source.
    pub(crate) fn withdraw(&self, file: &str) {
        self.ground.withdraw(file).unwrap();
    }

    /// dpkg on the root, as a person would run it.
    pub(crate) fn dpkg(&self, args: &[&str]) -> Command {
        let mut command = self.ground.dpkg();
        command.args(args);
        command
    }

    /// Installs a published file by dpkg, whatever comes of it.
    pub(crate) fn by_hand(&self, file: &str) -> bool {
        let file = self.repo().join(file);
        let output = self.dpkg(&["-i", file.to_str().unwrap()]).output().unwrap();
        output.status.success()
    }

    pub(crate) fn token(&self, capabilities: &[&str]) -> Vec<u8> {
        let grant = Grant {
            agent: AgentId::new(),
            agent_kind: "maintenance_agent".into(),
            goal: GoalId::new(),
            task: self.task,
            capabilities: capabilities.iter().map(|cap| cap.parse().unwrap()).collect(),
            expires_at_ms: SystemClock.now_ms() + 600_000,
            tainted: false,
            autonomy: Autonomy::Supervised,
            epoch: 1,
        };
        let minter = Minter::new(&self.guard.inner.secrets.mint).unwrap();
        minter.mint(&grant).unwrap().token
    }

    pub(crate) fn key(&self) -> ExecutionKey {
        ExecutionKey {
            task: self.task,
            step: self.step.fetch_add(1, Ordering::SeqCst) + 1,
        }
    }

    pub(crate) async fn try_call(
        &self,
        capabilities: &[&str],
        key: ExecutionKey,
        tool: &str,
        args: Value,
        timeout_ms: u64,
    ) -> Result<Answer, Status> {
        self.push_trust().await;
        let request = tools::CallRequest {
            token: self.token(capabilities),
            key: Some(key.into()),
            tool: tool.into(),
            args_json: args.to_string(),
            timeout_ms,
            dry_run: false,
        };
        self.pipeline.call(request).await
    }

    /// A call with every right.
    pub(crate) async fn call_as(&self, key: ExecutionKey, tool: &str, args: Value) -> Answer {
        self.try_call(&["pkg:*:*"], key, tool, args, 0).await.unwrap()
    }

    pub(crate) async fn call(&self, tool: &str, args: Value) -> Answer {
        self.call_as(self.key(), tool, args).await
    }

    /// A call that must succeed: its result.
    pub(crate) async fn done(&self, tool: &str, args: Value) -> Value {
        result(self.call(tool, args).await)
    }

    /// A change that must succeed: its key.
    pub(crate) async fn change(&self, tool: &str, args: Value) -> ExecutionKey {
        let key = self.key();
        result(self.call_as(key, tool, args).await);
        key
    }

    pub(crate) async fn undo(&self, target: ExecutionKey) -> Answer {
        self.push_trust().await;
        let request = tools::UndoRequest {
            token: self.token(&["pkg:*:*"]),
            key: Some(self.key().into()),
            target: Some(target.into()),
            namespace: "pkg".into(),
        };
        self.pipeline.undo(request).await.unwrap()
    }

    /// All that an undo gives back: packages with version, state and mark, and every file and link of `/etc`
    /// with content, mode, owner and time.
    pub(crate) async fn photo(&self) -> (BTreeMap<String, Value>, BTreeMap<PathBuf, String>) {
        let all = self.done("pkg.list", json!({"which": "all"})).await;
        let packages = all["packages"].as_array().unwrap().iter().map(|it| {
            let told = json!([it["version"], it["state"], it["automatic"]]);
            (it["name"].as_str().unwrap().to_owned(), told)
        });
        let (mut files, mut waiting) = (BTreeMap::new(), vec![self.root.join("etc")]);
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let meta = path.symlink_metadata().unwrap();
                if meta.is_symlink() {
                    let target = path.read_link().unwrap().display().to_string();
                    files.insert(path, target);
                } else if meta.is_dir() {
                    waiting.push(path);
                } else {
                    let text = fs::read_to_string(&path).unwrap();
                    let time = (meta.mtime(), meta.mtime_nsec());
                    files.insert(path, format!("{:o} {} {time:?} {text}", meta.mode(), meta.uid()));
                }
            }
        }
        (packages.collect(), files)
    }
}
