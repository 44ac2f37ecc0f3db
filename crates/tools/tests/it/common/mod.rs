//! A worker on a real socket, a pipeline before it, and a double of the guard that signs real
//! receipts. Everything works on real files in temporary directories.

pub(crate) mod any;
mod guard_double;

pub(crate) use guard_double::{GuardDouble, Mood, Secrets};

use aios_auth::level::Autonomy;
use aios_auth::peer::{Role, Roles, Users};
use aios_auth::token::{Grant, Minter};
use aios_auth::trust::TrustState;
use aios_core::clock::{Clock, SystemClock};
use aios_core::id::{AgentId, ExecutionKey, GoalId, TaskId};
use aios_core::paths::Paths;
use aios_core::rpc;
use aios_core::tasks::Tasks;
use aios_proto::tools::v1 as tools;
pub(crate) use aios_proto::tools::v1::call_response::Result as Answer;
use aios_proto::worker::v1 as worker;
use aios_proto::worker::v1::worker_client::WorkerClient;
use aios_proto::worker::v1::worker_server::WorkerServer;
use aios_tools::pipeline::{GrpcWorkers, Pipeline};
use aios_tools::registry::Registry;
use aios_tools::run;
use aios_tools::worker::Namespace;
use aios_tools::worker::service::WorkerService;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tonic::Status;
use tonic::transport::Channel;

/// A worker and a pipeline over a temporary installation, and a directory to work on.
pub(crate) struct House {
    pub(crate) home: tempfile::TempDir,
    pub(crate) data: PathBuf,
    pub(crate) paths: Paths,
    pub(crate) guard: GuardDouble,
    pub(crate) pipeline: Pipeline<GuardDouble, GrpcWorkers>,
    pub(crate) worker: WorkerClient<Channel>,
    pub(crate) task: TaskId,
    tasks: Tasks,
    counter: AtomicU64,
    step: AtomicU64,
    process: Option<std::process::Child>,
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

pub(crate) fn roles() -> Roles {
    let me = rustix::process::geteuid().as_raw();
    Roles::fixed(&[(Role::Tools, me), (Role::Guard, me), (Role::Orchestrator, me)])
}

impl House {
    pub(crate) async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().canonicalize().unwrap().join("data");
        std::fs::create_dir(&data).unwrap();
        let paths = Paths::development(&home.path().join("aios"));
        std::fs::create_dir_all(paths.run.join("worker")).unwrap();
        std::fs::create_dir_all(paths.state.join("worker/fs")).unwrap();
        Self::at(home, data, paths, GuardDouble::new()).await
    }

    async fn at(home: tempfile::TempDir, data: PathBuf, paths: Paths, guard: GuardDouble) -> Self {
        let keys = guard.inner.secrets.public();
        let tasks = Tasks::new();
        let service = WorkerServer::new(run::fs_service(&paths, keys, roles()).unwrap());
        let listener = rpc::listen("none", &paths.worker_socket("fs"), 0o600).unwrap();
        let server = rpc::serve(listener, tonic::service::Routes::new(service), &[], tasks.token());
        tasks.spawn("worker", async move { server.await.unwrap() });
        let house = Self::before(home, data, paths, guard, tasks);
        house.push_trust(false, &[]).await;
        house
    }

    /// A house whose worker is a process of its own, which can be killed.
    pub(crate) async fn with_process() -> Self {
        Self::with_process_in(|_| ()).await
    }

    /// The same after `prepare` has furnished the installation.
    pub(crate) async fn with_process_in(prepare: impl FnOnce(&Paths)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().canonicalize().unwrap().join("data");
        std::fs::create_dir(&data).unwrap();
        let paths = Paths::development(&home.path().join("aios"));
        for dir in [
            paths.run.join("worker"),
            paths.run.join("trust"),
            paths.state.join("worker/fs"),
            paths.vendor.clone(),
        ] {
            std::fs::create_dir_all(dir).unwrap();
        }
        std::fs::create_dir(home.path().join("failpoints")).unwrap();
        prepare(&paths);
        let guard = GuardDouble::new();
        guard.inner.secrets.public().write(&paths.trust_file()).unwrap();
        let me = rustix::process::geteuid().as_raw().to_string();
        std::fs::write(paths.vendor.join("config.toml"), Users::section_of_one(&me)).unwrap();
        let mut house = Self::before(home, data, paths, guard, Tasks::new());
        house.start().await;
        house
    }

    /// Starts the worker's process and waits until it answers.
    pub(crate) async fn start(&mut self) {
        let process = std::process::Command::new(env!("CARGO_BIN_EXE_aios-worker"))
            .arg("fs")
            .envs(self.paths.to_env())
            .env("AIOS_FAILPOINT_DIR", self.home.path().join("failpoints"))
            .env("AIOS_LOG", "warn")
            .spawn()
            .unwrap();
        self.process = Some(process);
        while tokio::net::UnixStream::connect(self.paths.worker_socket("fs"))
            .await
            .is_err()
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // The channel to a process that died may not have noticed yet.
        self.worker = WorkerClient::new(rpc::channel(&self.paths.worker_socket("fs")));
        self.push_trust(false, &[]).await;
    }

    /// Serves another namespace beside fs, on a socket of its own.
    pub(crate) async fn also<N: Namespace>(&self, name: &str, service: WorkerService<N>) {
        let socket = self.paths.worker_socket(name);
        let listener = rpc::listen("none", &socket, 0o600).unwrap();
        let routes = tonic::service::Routes::new(WorkerServer::new(service));
        let server = rpc::serve(listener, routes, &[], self.tasks.token());
        self.tasks.spawn("worker", async move { server.await.unwrap() });
        let trust = self.trust(false, &[]);
        WorkerClient::new(rpc::channel(&socket))
            .push_trust(trust)
            .await
            .unwrap();
    }

    /// Asks for one crash at a failpoint.
    pub(crate) fn arm(&self, failpoint: &str) {
        std::fs::write(self.home.path().join("failpoints").join(failpoint), "").unwrap();
    }

    /// Takes that back, when it did not happen.
    pub(crate) fn disarm(&self, failpoint: &str) {
        drop(std::fs::remove_file(
            self.home.path().join("failpoints").join(failpoint),
        ));
    }

    /// Kills the process and starts another.
    pub(crate) async fn restart_process(&mut self) {
        self.process.as_mut().unwrap().kill().unwrap();
        self.after_crash().await;
    }

    /// Waits for the process to die by SIGKILL and starts another.
    pub(crate) async fn after_crash(&mut self) {
        let process = self.process.as_mut().unwrap();
        let mut ended = None;
        for _ in 0..3000 {
            ended = process.try_wait().unwrap();
            if ended.is_some() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let signal = ended.and_then(|status| std::os::unix::process::ExitStatusExt::signal(&status));
        assert_eq!(signal, Some(9), "the worker did not kill itself");
        self.start().await;
    }

    fn before(
        home: tempfile::TempDir,
        data: PathBuf,
        paths: Paths,
        guard: GuardDouble,
        tasks: Tasks,
    ) -> Self {
        let keys = guard.inner.secrets.public();
        let registry = Arc::new(Registry::builtin());
        let workers = GrpcWorkers::of(&paths, registry.namespaces());
        let pipeline = Pipeline::new(
            registry,
            &keys.mint,
            Arc::new(SystemClock),
            guard.clone(),
            workers,
        )
        .unwrap();
        let worker = WorkerClient::new(rpc::channel(&paths.worker_socket("fs")));
        Self {
            process: None,
            home,
            data,
            paths,
            guard,
            pipeline,
            worker,
            task: TaskId::new(),
            tasks,
            counter: AtomicU64::new(u64::try_from(SystemClock.now_ms()).unwrap()),
            step: AtomicU64::new(0),
        }
    }

    /// The next signed push of the guard.
    pub(crate) fn trust(&self, emergency: bool, revoked: &[&str]) -> worker::PushTrustRequest {
        let state = TrustState {
            counter: self.counter.fetch_add(1, Ordering::SeqCst),
            epoch: self.counter.load(Ordering::SeqCst),
            min_token_epoch: 0,
            revoked: revoked.iter().map(|id| (*id).to_owned()).collect(),
            emergency,
            issued_at_ms: SystemClock.now_ms(),
        };
        state.sign(&self.guard.inner.secrets.trust).unwrap()
    }

    pub(crate) async fn push_trust(&self, emergency: bool, revoked: &[&str]) {
        let push = self.trust(emergency, revoked);
        self.worker.clone().push_trust(push).await.unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.data.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn grant(&self, capabilities: &[&str], ttl_ms: i64) -> Vec<u8> {
        let grant = Grant {
            agent: AgentId::new(),
            agent_kind: "maintenance_agent".into(),
            goal: GoalId::new(),
            task: self.task,
            capabilities: capabilities.iter().map(|cap| cap.parse().unwrap()).collect(),
            expires_at_ms: SystemClock.now_ms() + ttl_ms,
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

    /// A token for everything below the data directory.
    pub(crate) fn token(&self) -> Vec<u8> {
        self.grant(&[&format!("fs:*:{}/**", self.data.display())], 60_000)
    }

    pub(crate) fn key(&self) -> ExecutionKey {
        ExecutionKey {
            task: self.task,
            step: self.step.fetch_add(1, Ordering::SeqCst) + 1,
        }
    }

    pub(crate) async fn call_as(&self, token: Vec<u8>, key: ExecutionKey, tool: &str, args: Value) -> Answer {
        self.try_call(token, key, tool, args).await.unwrap()
    }

    pub(crate) async fn try_call(
        &self,
        token: Vec<u8>,
        key: ExecutionKey,
        tool: &str,
        args: Value,
    ) -> Result<Answer, Status> {
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

    pub(crate) async fn call(&self, tool: &str, args: Value) -> Answer {
        self.call_as(self.token(), self.key(), tool, args).await
    }

    /// A call that must succeed: its result.
    pub(crate) async fn done(&self, tool: &str, args: Value) -> Value {
        result(self.call(tool, args).await)
    }

    pub(crate) async fn undo(&self, target: ExecutionKey) -> Answer {
        self.undo_as(self.token(), self.key(), target).await
    }

    pub(crate) async fn undo_as(&self, token: Vec<u8>, key: ExecutionKey, target: ExecutionKey) -> Answer {
        self.undo_in("fs", token, key, target).await
    }

    pub(crate) async fn undo_in(
        &self,
        namespace: &str,
        token: Vec<u8>,
        key: ExecutionKey,
        target: ExecutionKey,
    ) -> Answer {
        let request = tools::UndoRequest {
            token,
            key: Some(key.into()),
            target: Some(target.into()),
            namespace: namespace.into(),
        };
        self.pipeline.undo(request).await.unwrap()
    }

    pub(crate) async fn status(&self, key: ExecutionKey) -> worker::GetStatusResponse {
        let request = worker::GetStatusRequest {
            key: Some(key.into()),
        };
        self.worker
            .clone()
            .get_status(request)
            .await
            .unwrap()
            .into_inner()
    }

    /// Ends the worker and starts another on the same state.
    pub(crate) async fn restart(self) -> Self {
        let mut old = self;
        old.tasks.shutdown(std::time::Duration::from_secs(5)).await;
        let home = std::mem::replace(&mut old.home, tempfile::tempdir().unwrap());
        let (task, data, paths, guard) = (old.task, old.data.clone(), old.paths.clone(), old.guard.clone());
        drop(old);
        let mut house = Self::at(home, data, paths, guard).await;
        house.task = task;
        house
    }
}

pub(crate) fn result(answer: Answer) -> Value {
    match answer {
        Answer::Done(done) => serde_json::from_str(&done.result_json).unwrap(),
        other => panic!("not done: {other:?}"),
    }
}

/// The code of a denial or failure.
pub(crate) fn code(answer: &Answer) -> String {
    match answer {
        Answer::Denied(denied) => denied
            .error
            .as_ref()
            .map_or_else(String::new, |it| it.code.clone()),
        Answer::Failed(failed) => failed
            .error
            .as_ref()
            .map_or_else(String::new, |it| it.code.clone()),
        other => panic!("neither denied nor failed: {other:?}"),
    }
}

/// Everything about a tree that undo must give back: per path kind, mode, owner, times, links,
/// attributes and content.
pub(crate) fn photograph(root: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut lines = Vec::new();
    let mut inodes: HashMap<u64, usize> = HashMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        let mut entries: Vec<_> = std::fs::read_dir(&dir)
            .unwrap()
            .map(|it| it.unwrap().path())
            .collect();
        entries.sort();
        for path in entries {
            let meta = path.symlink_metadata().unwrap();
            let next = inodes.len();
            let group = *inodes.entry(meta.ino()).or_insert(next);
            let content = if meta.is_file() {
                hex::encode(std::fs::read(&path).unwrap())
            } else if meta.is_symlink() {
                path.read_link().unwrap().display().to_string()
            } else {
                waiting.push(path.clone());
                String::new()
            };
            let mut attributes: Vec<_> = if meta.is_symlink() {
                Vec::new()
            } else {
                xattr::list(&path)
                    .unwrap()
                    .map(|name| (name.clone(), xattr::get(&path, &name).unwrap()))
                    .collect()
            };
            attributes.sort();
            lines.push(format!(
                "{} mode={:o} owner={}:{} mtime={}.{} links={} inode#{group} {attributes:?} {content}",
                path.display(),
                meta.mode(),
                meta.uid(),
                meta.gid(),
                meta.mtime(),
                meta.mtime_nsec(),
                meta.nlink(),
            ));
        }
    }
    lines.sort();
    lines
}
