//! The net worker in network namespaces of its own: two machines with a cable between them, and nothing of the real
//! network. Making such namespaces needs root.

mod provisional;
mod shipped;
mod talking;

use crate::common::{Answer, GuardDouble, roles};
use aios_auth::level::Autonomy;
use aios_auth::token::{Grant, Minter};
use aios_auth::trust::TrustState;
use aios_core::clock::{Clock, SystemClock};
use aios_core::id::{AgentId, ExecutionKey, GoalId, TaskId};
use aios_core::paths::Paths;
use aios_core::rpc;
use aios_proto::tools::v1 as tools;
use aios_proto::worker::v1 as worker;
use aios_proto::worker::v1::worker_client::WorkerClient;
use aios_tools::pipeline::{GrpcWorkers, Pipeline};
use aios_tools::registry::Registry;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};
use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A network namespace, for as long as this lives.
pub(crate) struct Space {
    holder: Child,
}

impl Space {
    pub(crate) fn new() -> Self {
        let holder = Command::new("unshare")
            .args(["--net", "sleep", "600"])
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare, of util-linux");
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let space = Self { holder };
        let until = Instant::now() + Duration::from_secs(10);
        while std::fs::read_link(space.path()).is_ok_and(|it| it == own) {
            assert!(Instant::now() < until, "no network namespace was made");
            std::thread::yield_now();
        }
        space.ip("link set lo up");
        space
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// Runs a program there; what it prints.
    pub(crate) fn run(&self, program: &str, words: &[&str]) -> String {
        let done = Command::new("nsenter")
            .arg(format!("--net={}", self.path()))
            .arg(program)
            .args(words)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{program} {words:?}: {said}");
        String::from_utf8(done.stdout).unwrap()
    }

    pub(crate) fn ip(&self, words: &str) -> String {
        self.run("ip", &words.split(' ').collect::<Vec<_>>())
    }

    /// Does something there, on a thread of its own; sockets made so stay there.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.enter();
                    work()
                })
                .join()
                .unwrap()
        })
    }

    /// Takes the calling thread there for good.
    pub(crate) fn enter(&self) {
        let space = File::open(self.path()).unwrap();
        move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.holder.kill().unwrap();
        self.holder.wait().unwrap();
    }
}

/// Two machines and a cable: `here` has 10.77.0.1 on `va`; `there` 10.77.0.2 and the public 9.9.9.9 on `vb`.
pub(crate) struct World {
    pub(crate) here: Space,
    pub(crate) there: Space,
}

impl World {
    pub(crate) fn new() -> Self {
        let (here, there) = (Space::new(), Space::new());
        here.ip(&format!(
            "link add va type veth peer name vb netns {}",
            there.holder.id()
        ));
        here.ip("addr add 10.77.0.1/24 dev va");
        there.ip("addr add 10.77.0.2/24 dev vb");
        there.ip("addr add 9.9.9.9/32 dev vb");
        here.ip("link set va up");
        there.ip("link set vb up");
        here.ip("route add default via 10.77.0.2 metric 100");
        // The kernel gives an interface its link-local address when it notices the cable.
        let until = Instant::now() + Duration::from_secs(10);
        while !here.ip("-6 addr show dev va").contains("fe80:") {
            assert!(Instant::now() < until, "no IPv6");
            std::thread::yield_now();
        }
        Self { here, there }
    }

    /// Everything about the interface that an undo must give back. Waits until the kernel has tested its addresses.
    pub(crate) fn photograph(&self) -> Value {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let addresses = self.here.ip("-json addr show dev va");
            if !addresses.contains("tentative") {
                return self.picture(&addresses);
            }
            assert!(Instant::now() < until, "{addresses}");
            std::thread::yield_now();
        }
    }

    /// Waits until everything is again as it was: what the kernel makes by itself it makes in its own time.
    pub(crate) fn is_again(&self, before: &Value, after: &str) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.photograph() != *before && Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!(self.photograph(), *before, "{after}");
    }

    fn picture(&self, addresses: &str) -> Value {
        let mut links: Vec<Value> = serde_json::from_str(addresses).unwrap();
        for link in &mut links {
            let link = link.as_object_mut().unwrap();
            // `iproute2` leaves an empty object for what it filtered out.
            link.retain(|name, _| matches!(name.as_str(), "ifname" | "flags" | "mtu" | "addr_info"));
        }
        let routes = |family: &str| -> Value {
            let text = self.here.ip(&format!("{family} -json route show table all"));
            let mut routes: Vec<Value> = serde_json::from_str(&text).unwrap();
            routes.sort_by_key(ToString::to_string);
            routes.into()
        };
        let mut photo =
            json!({"links": links, "v4": routes("-4"), "v6": routes("-6"), "rules": self.rules()});
        forget_numbers(&mut photo);
        photo
    }

    pub(crate) fn rules(&self) -> Value {
        serde_json::from_str(&self.here.run("nft", &["-j", "list", "ruleset"])).unwrap()
    }
}

/// Without what the kernel numbers and counts by itself.
fn forget_numbers(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for name in ["handle", "packets", "bytes", "metainfo", "ifindex", "link_index"] {
                map.remove(name);
            }
            map.values_mut().for_each(forget_numbers);
        }
        Value::Array(list) => list.iter_mut().for_each(forget_numbers),
        _ => {}
    }
}

/// The worker's process on `here`, and a pipeline before it.
pub(crate) struct NetHouse {
    pub(crate) world: World,
    home: tempfile::TempDir,
    paths: Paths,
    guard: GuardDouble,
    pipeline: Pipeline<GuardDouble, GrpcWorkers>,
    task: TaskId,
    counter: AtomicU64,
    step: AtomicU64,
    process: Option<Child>,
}

impl Drop for NetHouse {
    fn drop(&mut self) {
        self.kill();
    }
}

impl NetHouse {
    pub(crate) async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::development(&home.path().join("aios"));
        for dir in [
            paths.run.join("worker"),
            paths.run.join("trust"),
            paths.state.join("worker/net"),
            paths.vendor.clone(),
            home.path().join("failpoints"),
        ] {
            std::fs::create_dir_all(dir).unwrap();
        }
        let guard = GuardDouble::new();
        let keys = guard.inner.secrets.public();
        keys.write(&paths.trust_file()).unwrap();
        let me = rustix::process::geteuid().as_raw().to_string();
        let users = aios_auth::peer::Users::section_of_one(&me);
        std::fs::write(paths.vendor.join("config.toml"), users).unwrap();
        drop(roles());
        let workers = GrpcWorkers::of(&paths, ["net", "firewall"]);
        let registry = Arc::new(Registry::builtin());
        let clock = Arc::new(SystemClock);
        let pipeline = Pipeline::new(registry, &keys.mint, clock, guard.clone(), workers).unwrap();
        let mut house = Self {
            world: World::new(),
            home,
            paths,
            guard,
            pipeline,
            task: TaskId::new(),
            counter: AtomicU64::new(u64::try_from(SystemClock.now_ms()).unwrap()),
            step: AtomicU64::new(0),
            process: None,
        };
        house.start().await;
        house
    }

    pub(crate) async fn start(&mut self) {
        let process = Command::new("nsenter")
            .arg(format!("--net={}", self.world.here.path()))
            .args([env!("CARGO_BIN_EXE_aios-worker"), "net"])
            .envs(self.paths.to_env())
            .env("AIOS_FAILPOINT_DIR", self.home.path().join("failpoints"))
            .env("AIOS_LOG", "error")
            .spawn()
            .unwrap();
        self.process = Some(process);
        for namespace in ["net", "firewall"] {
            let until = Instant::now() + Duration::from_secs(30);
            while tokio::net::UnixStream::connect(self.paths.worker_socket(namespace))
                .await
                .is_err()
            {
                assert!(Instant::now() < until, "the worker does not answer");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Ends the worker by SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Waits for it to die of a failpoint and starts another.
    pub(crate) async fn after_crash(&mut self) {
        let mut process = self.process.take().unwrap();
        let status = process.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        self.start().await;
    }

    pub(crate) fn arm(&self, failpoint: &str) {
        std::fs::write(self.home.path().join("failpoints").join(failpoint), "").unwrap();
    }

    fn client(&self, namespace: &str) -> WorkerClient<tonic::transport::Channel> {
        WorkerClient::new(rpc::channel(&self.paths.worker_socket(namespace)))
    }

    async fn push_trust(&self, namespace: &str) {
        let state = TrustState {
            counter: self.counter.fetch_add(1, Ordering::SeqCst),
            epoch: self.counter.load(Ordering::SeqCst),
            min_token_epoch: 0,
            revoked: std::collections::BTreeSet::new(),
            emergency: false,
            issued_at_ms: SystemClock.now_ms(),
        };
        let push = state.sign(&self.guard.inner.secrets.trust).unwrap();
        self.client(namespace).push_trust(push).await.unwrap();
    }

    pub(crate) fn key(&self) -> ExecutionKey {
        ExecutionKey {
            task: self.task,
            step: self.step.fetch_add(1, Ordering::SeqCst) + 1,
        }
    }

    fn token(&self, capabilities: &[&str]) -> Vec<u8> {
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
        let minter = Minter::new(&self.guard.inner.secrets.mint).unwrap();
        minter.mint(&grant).unwrap().token
    }

    pub(crate) async fn try_call(
        &self,
        capabilities: &[&str],
        key: ExecutionKey,
        tool: &str,
        args: Value,
    ) -> Result<Answer, tonic::Status> {
        self.push_trust(tool.split('.').next().unwrap()).await;
        let request = tools::CallRequest {
            token: self.token(capabilities),
            key: Some(key.into()),
            tool: tool.into(),
            args_json: args.to_string(),
            timeout_ms: 0,
            dry_run: false,
        };
        self.pipeline.call(request).await
    }

    /// A call by somebody who may do everything.
    pub(crate) async fn call(&self, key: ExecutionKey, tool: &str, args: Value) -> Answer {
        self.try_call(&["net:*:**", "firewall:*:**"], key, tool, args)
            .await
            .unwrap()
    }

    /// A call that must succeed: its result.
    pub(crate) async fn done(&self, tool: &str, args: Value) -> Value {
        crate::common::result(self.call(self.key(), tool, args).await)
    }

    /// The tool of `namespace` that takes an execution: `confirm`, `undo`.
    pub(crate) async fn about(&self, tool: &str, target: ExecutionKey) -> Answer {
        let args = json!({"task_id": target.task.to_string(), "step": target.step});
        self.call(self.key(), tool, args).await
    }

    pub(crate) async fn state(&self, namespace: &str, key: ExecutionKey) -> worker::ExecutionState {
        let request = worker::GetStatusRequest {
            key: Some(key.into()),
        };
        let answer = self.client(namespace).get_status(request).await.unwrap();
        answer.into_inner().state()
    }
}
