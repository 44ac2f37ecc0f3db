//! A worker of any namespace on a real socket, a pipeline before it, and the double of the guard. What
//! [`House`](super::House) is for fs.

use super::{Answer, GuardDouble, result};
use aios_auth::level::Autonomy;
use aios_auth::peer::Users;
use aios_auth::token::{Grant, Minter};
use aios_auth::trust::{TrustKeys, TrustState};
use aios_core::clock::{Clock, SystemClock};
use aios_core::id::{AgentId, ExecutionKey, GoalId, TaskId};
use aios_core::paths::Paths;
use aios_core::rpc;
use aios_core::tasks::Tasks;
use aios_proto::tools::v1 as tools;
use aios_proto::worker::v1 as worker;
use aios_proto::worker::v1::worker_client::WorkerClient;
use aios_proto::worker::v1::worker_server::WorkerServer;
use aios_tools::pipeline::{GrpcWorkers, Pipeline};
use aios_tools::registry::Registry;
use aios_tools::worker::Namespace;
use aios_tools::worker::service::WorkerService;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tonic::Status;
use tonic::transport::Channel;

/// A worker and a pipeline over a temporary installation, and a directory to work on.
pub(crate) struct Post {
    pub(crate) home: tempfile::TempDir,
    pub(crate) data: PathBuf,
    pub(crate) paths: Paths,
    pub(crate) guard: GuardDouble,
    pipeline: Pipeline<GuardDouble, GrpcWorkers>,
    client: WorkerClient<Channel>,
    pub(crate) task: TaskId,
    namespace: &'static str,
    tasks: Tasks,
    counter: AtomicU64,
    step: AtomicU64,
    /// Process of a worker that can be killed.
    process: Option<std::process::Child>,
}

impl Drop for Post {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Post {
    fn new(namespace: &'static str, state: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().canonicalize().unwrap().join("data");
        let paths = Paths::development(&home.path().join("aios"));
        for dir in [
            data.clone(),
            paths.run.join("worker"),
            paths.run.join("trust"),
            paths.state.join("worker").join(state),
            paths.vendor.clone(),
            home.path().join("failpoints"),
        ] {
            std::fs::create_dir_all(dir).unwrap();
        }
        // Programs that run as other users are in there.
        for dir in [home.path(), &data] {
            let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
            std::fs::set_permissions(dir, everybody).unwrap();
        }
        let guard = GuardDouble::new();
        let keys = guard.inner.secrets.public();
        let pipeline = Pipeline::new(
            Arc::new(Registry::builtin()),
            &keys.mint,
            Arc::new(SystemClock),
            guard.clone(),
            GrpcWorkers::of(&paths, [namespace]),
        )
        .unwrap();
        let client = WorkerClient::new(rpc::channel(&paths.worker_socket(namespace)));
        Self {
            home,
            data,
            paths,
            guard,
            pipeline,
            client,
            task: TaskId::new(),
            namespace,
            tasks: Tasks::new(),
            counter: AtomicU64::new(u64::try_from(SystemClock.now_ms()).unwrap()),
            step: AtomicU64::new(0),
            process: None,
        }
    }

    /// A worker in this process, with its state in the directory `state`.
    pub(crate) async fn inside<N: Namespace>(
        namespace: &'static str,
        state: &str,
        service: impl FnOnce(&Paths, TrustKeys) -> WorkerService<N>,
    ) -> Self {
        let post = Self::new(namespace, state);
        let service = service(&post.paths, post.guard.inner.secrets.public());
        let listener = rpc::listen("none", &post.paths.worker_socket(namespace), 0o600).unwrap();
        let routes = tonic::service::Routes::new(WorkerServer::new(service));
        let server = rpc::serve(listener, routes, &[], post.tasks.token());
        post.tasks.spawn("worker", async move { server.await.unwrap() });
        post.push_trust().await;
        post
    }

    /// A worker that is a process of its own, which can be killed. This user plays
    /// every part but the sandbox's.
    pub(crate) async fn outside(namespace: &'static str, state: &str) -> Self {
        let mut post = Self::new(namespace, state);
        let keys = post.guard.inner.secrets.public();
        keys.write(&post.paths.trust_file()).unwrap();
        let me = rustix::process::geteuid().as_raw().to_string();
        let users =
            Users::section_of_one(&me).replace(&format!("sandbox = \"{me}\""), "sandbox = \"4000000000\"");
        std::fs::write(post.paths.vendor.join("config.toml"), users).unwrap();
        post.start().await;
        post
    }

    async fn start(&mut self) {
        let process = std::process::Command::new(env!("CARGO_BIN_EXE_aios-worker"))
            .arg(self.namespace)
            .envs(self.paths.to_env())
            .env("AIOS_FAILPOINT_DIR", self.home.path().join("failpoints"))
            .env("AIOS_LOG", "warn")
            .spawn()
            .unwrap();
        self.process = Some(process);
        while tokio::net::UnixStream::connect(self.paths.worker_socket(self.namespace))
            .await
            .is_err()
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        self.push_trust().await;
    }

    /// Asks for one crash at a failpoint.
    pub(crate) fn arm(&self, failpoint: &str) {
        std::fs::write(self.home.path().join("failpoints").join(failpoint), "").unwrap();
    }

    /// Waits for the process to die by SIGKILL and starts another.
    pub(crate) async fn after_crash(&mut self) {
        let mut process = self.process.take().unwrap();
        let status = tokio::task::spawn_blocking(move || process.wait().unwrap())
            .await
            .unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        self.start().await;
    }

    /// The guard's word, without which nothing may change for longer than some seconds.
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
        self.client.clone().push_trust(push).await.unwrap();
    }

    /// A token of this task for these capabilities.
    pub(crate) fn grant(&self, capabilities: &[&str]) -> Vec<u8> {
        let grant = Grant {
            agent: AgentId::new(),
            agent_kind: "maintenance_agent".into(),
            goal: GoalId::new(),
            task: self.task,
            expires_at_ms: SystemClock.now_ms() + 60_000,
            capabilities: capabilities.iter().map(|text| text.parse().unwrap()).collect(),
            tainted: false,
            autonomy: Autonomy::Supervised,
            epoch: 1,
        };
        let minter = Minter::new(&self.guard.inner.secrets.mint).unwrap();
        minter.mint(&grant).unwrap().token
    }

    /// A token for everything in the namespace.
    pub(crate) fn token(&self) -> Vec<u8> {
        self.grant(&[&format!("{}:*:**", self.namespace)])
    }

    pub(crate) fn key(&self) -> ExecutionKey {
        ExecutionKey {
            task: self.task,
            step: self.step.fetch_add(1, Ordering::SeqCst) + 1,
        }
    }

    pub(crate) async fn try_call(
        &self,
        token: Vec<u8>,
        key: ExecutionKey,
        tool: &str,
        args: &Value,
    ) -> Result<Answer, Status> {
        self.push_trust().await;
        let request = tools::CallRequest {
            token,
            key: Some(key.into()),
            tool: tool.into(),
            args_json: args.to_string(),
            timeout_ms: 0,
            dry_run: false,
        };
        self.pipeline.call(request).await
    }

    pub(crate) async fn call_as(
        &self,
        token: Vec<u8>,
        key: ExecutionKey,
        tool: &str,
        args: &Value,
    ) -> Answer {
        self.try_call(token, key, tool, args).await.unwrap()
    }

    pub(crate) async fn call(&self, tool: &str, args: Value) -> Answer {
        self.call_as(self.token(), self.key(), tool, &args).await
    }

    /// A call that must succeed: its result.
    pub(crate) async fn done(&self, tool: &str, args: Value) -> Value {
        result(self.call(tool, args).await)
    }

    pub(crate) async fn undo(&self, target: ExecutionKey) -> Answer {
        self.push_trust().await;
        let request = tools::UndoRequest {
            token: self.token(),
            key: Some(self.key().into()),
            target: Some(target.into()),
            namespace: self.namespace.into(),
        };
        self.pipeline.undo(request).await.unwrap()
    }

    pub(crate) async fn cancel(&self, key: ExecutionKey) -> bool {
        let request = worker::CancelRequest {
            key: Some(key.into()),
        };
        let answer = self.client.clone().cancel(request).await.unwrap();
        answer.into_inner().was_running
    }

    pub(crate) async fn status(&self, key: ExecutionKey) -> worker::GetStatusResponse {
        let request = worker::GetStatusRequest {
            key: Some(key.into()),
        };
        self.client
            .clone()
            .get_status(request)
            .await
            .unwrap()
            .into_inner()
    }
}
