//! A machine of images by a double of bootc, and the worker of images on it.

use super::init::Supervisor;
use crate::common::{Answer, GuardDouble, result, roles};
use aios_auth::key::SecretKey;
use aios_auth::level::Autonomy;
use aios_auth::peer::Users;
use aios_auth::token::{Grant, Minter};
use aios_auth::trust::TrustState;
use aios_core::clock::{Clock, SystemClock};
use aios_core::config;
use aios_core::id::{AgentId, ExecutionKey, GoalId, TaskId};
use aios_core::paths::Paths;
use aios_core::rpc;
use aios_core::tasks::Tasks;
use aios_deployment::signature;
use aios_proto::tools::v1 as tools;
use aios_proto::worker::v1::worker_client::WorkerClient;
use aios_proto::worker::v1::worker_server::WorkerServer;
use aios_tests_bootc::Machine;
use aios_tools::os::settings::Settings;
use aios_tools::pipeline::{GrpcWorkers, IMAGE_PACKAGES, Pipeline};
use aios_tools::pkg::root::Root;
use aios_tools::registry::Registry;
use aios_tools::run;
use serde_json::{Value, json};
use std::fs;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tonic::Status;
use tonic::transport::Channel;

/// A machine, its supervisor, and the worker on it. The key `1` is trusted.
pub(crate) struct Bed {
    pub(crate) home: tempfile::TempDir,
    pub(crate) machine: Machine,
    pub(crate) paths: Paths,
    pub(crate) supervisor: Supervisor,
    guard: GuardDouble,
    pipeline: Pipeline<GuardDouble, GrpcWorkers>,
    workers: [WorkerClient<Channel>; 2],
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

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

impl Bed {
    /// A bed whose worker is a part of this process.
    pub(crate) async fn new() -> Self {
        Self::with(|section| section).await
    }

    /// The same with another section `[os]`.
    pub(crate) async fn with(settings: impl FnOnce(String) -> String) -> Self {
        Self::serving(Self::furnished(settings, &[])).await
    }

    /// The same with a system below each version of the image, an archive.
    pub(crate) async fn with_system(system: &[u8], settings: impl FnOnce(String) -> String) -> Self {
        Self::serving(Self::furnished(settings, system)).await
    }

    async fn serving(bed: Self) -> Self {
        let settings: Settings = config::load(&bed.paths, "os").unwrap();
        let root: Root = config::load(&bed.paths, "pkg").unwrap();
        let keys = bed.guard.inner.secrets.public();
        let (os, packages) = run::image_services(&bed.paths, keys, roles(), settings, root).unwrap();
        bed.serve("os", tonic::service::Routes::new(WorkerServer::new(os)));
        bed.serve(
            IMAGE_PACKAGES,
            tonic::service::Routes::new(WorkerServer::new(packages)),
        );
        bed.push_trust().await;
        bed
    }

    fn serve(&self, name: &str, routes: tonic::service::Routes) {
        let listener = rpc::listen("none", &self.paths.worker_socket(name), 0o600).unwrap();
        let server = rpc::serve(listener, routes, &[], self.tasks.token());
        self.tasks.spawn("worker", async move { server.await.unwrap() });
    }

    /// A bed whose worker is a process of its own, which can be killed.
    pub(crate) async fn with_process() -> Self {
        Self::with_process_of(&[]).await
    }

    /// The same with a system below each version of the image, an archive.
    pub(crate) async fn with_process_of(system: &[u8]) -> Self {
        let mut bed = Self::furnished(|section| section, system);
        for dir in [bed.paths.run.join("trust"), bed.home.path().join("failpoints")] {
            fs::create_dir_all(dir).unwrap();
        }
        let public = bed.guard.inner.secrets.public();
        public.write(&bed.paths.trust_file()).unwrap();
        bed.start().await;
        bed
    }

    fn furnished(settings: impl FnOnce(String) -> String, system: &[u8]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let machine = Machine::furnish_with(home.path(), system).unwrap();
        let paths = Paths::development(&home.path().join("aios"));
        let (keys, tasks) = (paths.etc.join("trust/images"), Tasks::new());
        for dir in [
            &paths.run.join("worker"),
            &paths.state.join("worker/os"),
            &paths.vendor,
            &keys,
        ] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::write(
            keys.join("test.pub"),
            signature::write_key(&key(1).public(), "test"),
        )
        .unwrap();
        let me = rustix::process::geteuid().as_raw().to_string();
        let config = format!(
            "{}{}[pkg]\nroot = {:?}\n",
            Users::section_of_one(&me),
            settings(machine.section()),
            machine.root()
        );
        fs::write(paths.vendor.join("config.toml"), config).unwrap();
        let guard = GuardDouble::new();
        let pipeline = Pipeline::new(
            Arc::new(Registry::builtin()),
            &guard.inner.secrets.public().mint,
            Arc::new(SystemClock),
            guard.clone(),
            GrpcWorkers::of(&paths, ["os"]).on_images(&paths),
        )
        .unwrap();
        Self {
            workers: ["os", IMAGE_PACKAGES]
                .map(|name| WorkerClient::new(rpc::channel(&paths.worker_socket(name)))),
            supervisor: Supervisor::start(&paths, &machine.root(), &tasks, 7),
            machine,
            home,
            guard,
            paths,
            pipeline,
            task: TaskId::new(),
            step: AtomicU64::new(0),
            counter: AtomicU64::new(u64::try_from(SystemClock.now_ms()).unwrap()),
            tasks,
            process: None,
        }
    }

    async fn start(&mut self) {
        // Like the service: it may not raise a limit, whether it is lower than what Podman has for builds, or whether Podman
        // has lowered its own.
        let limited: &[&str] = if rustix::process::geteuid().is_root() {
            &[
                "prlimit",
                "--nofile=4096:4096",
                "setpriv",
                "--inh-caps=-sys_resource",
                "--bounding-set=-sys_resource",
            ]
        } else {
            &["env"]
        };
        let process = Command::new(limited[0])
            .args(&limited[1..])
            .arg(env!("CARGO_BIN_EXE_aios-worker"))
            .arg("os")
            .envs(self.paths.to_env())
            .env("AIOS_FAILPOINT_DIR", self.home.path().join("failpoints"))
            .env("AIOS_LOG", "warn")
            .spawn()
            .unwrap();
        self.process = Some(process);
        let socket = self.paths.worker_socket(IMAGE_PACKAGES);
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
        let ended = tokio::task::spawn_blocking(move || process.wait().unwrap());
        let status = ended.await.unwrap();
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
        for worker in &self.workers {
            worker.clone().push_trust(push.clone()).await.unwrap();
        }
    }

    /// Makes version `version` of the image that runs, signed.
    pub(crate) fn release(&self, version: &str) {
        let kernel = format!("kernel {version}");
        self.machine.publish("os", version, &kernel).unwrap();
        self.machine.sign("os", &key(1)).unwrap();
    }

    /// The name of an image for `os.switch`.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("oci:{}", self.machine.image(name).display())
    }

    fn token(&self, capabilities: &[&str]) -> Vec<u8> {
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
        key: ExecutionKey,
        tool: &str,
        args: Value,
        timeout_ms: u64,
    ) -> Result<Answer, Status> {
        self.push_trust().await;
        let request = tools::CallRequest {
            token: self.token(&["os:*:**", "pkg:*:**"]),
            key: Some(key.into()),
            tool: tool.into(),
            args_json: args.to_string(),
            timeout_ms,
            dry_run: false,
        };
        self.pipeline.call(request).await
    }

    /// A call with these capabilities and no others.
    pub(crate) async fn call_with(&self, capabilities: &[&str], tool: &str, args: Value) -> Answer {
        self.push_trust().await;
        let request = tools::CallRequest {
            token: self.token(capabilities),
            key: Some(self.key().into()),
            tool: tool.into(),
            args_json: args.to_string(),
            timeout_ms: 0,
            dry_run: false,
        };
        self.pipeline.call(request).await.unwrap()
    }

    pub(crate) async fn call_as(&self, key: ExecutionKey, tool: &str, args: Value) -> Answer {
        self.try_call(key, tool, args, 0).await.unwrap()
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
        self.undo_in("os", target).await
    }

    pub(crate) async fn undo_in(&self, namespace: &str, target: ExecutionKey) -> Answer {
        self.push_trust().await;
        let request = tools::UndoRequest {
            token: self.token(&["os:*:**", "pkg:*:**"]),
            key: Some(self.key().into()),
            target: Some(target.into()),
            namespace: namespace.into(),
        };
        self.pipeline.undo(request).await.unwrap()
    }

    pub(crate) async fn status(&self) -> Value {
        self.done("os.status", json!({})).await
    }

    /// What decides over the next start: what bootc says, the boot partition, and what is staged. Layers that were fetched
    /// may remain where a call failed.
    pub(crate) fn starts(&self) -> Value {
        let mut photo = self.photo();
        if let Some(files) = photo["files"].as_object_mut() {
            files.retain(|name, _| !name.starts_with("sysroot"));
        }
        photo
    }

    /// Everything that an undo gives back: what bootc says, and every file of the boot partition and of the deployments.
    pub(crate) fn photo(&self) -> Value {
        let root = self.machine.root();
        let mut files = serde_json::Map::new();
        let mut waiting = vec![self.machine.esp(), root.join("run"), root.join("sysroot")];
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let meta = path.symlink_metadata().unwrap();
                if meta.is_dir() {
                    waiting.push(path);
                } else if meta.is_file() {
                    let content = fs::read(&path).unwrap();
                    let name = path.strip_prefix(&root).unwrap().display().to_string();
                    files.insert(name, String::from_utf8_lossy(&content).into());
                }
            }
        }
        json!({ "status": self.machine.status().unwrap(), "files": files })
    }
}
