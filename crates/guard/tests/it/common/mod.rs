//! A real guard process in a directory of its own, and callers that are other users.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test file uses a part of it"
)]

use aios_auth::call;
use aios_auth::key::SecretKey;
use aios_auth::person::{PersonKey, PersonRequest};
use aios_auth::trust::TrustKeys;
use aios_core::id::{AgentId, GoalId, TaskId};
use aios_core::paths::Paths;
use aios_proto::common::v1::{Identity, Risk};
use aios_proto::guard::v1::authorize_response::Decision;
use aios_proto::guard::v1::guard_client::GuardClient;
use aios_proto::guard::v1::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tonic::transport::Channel;

pub(crate) type Client = GuardClient<Channel>;

pub(crate) const ORCHESTRATOR: u32 = 61_001;
pub(crate) const TOOLS: u32 = 61_002;
pub(crate) const CONSOLE: u32 = 61_003;
pub(crate) const SANDBOX: u32 = 61_004;
pub(crate) const FS: u32 = 61_005;
pub(crate) const ADA: u32 = 61_100;
pub(crate) const BOB: u32 = 61_101;

/// A setting for tests whose calls run without a person.
pub(crate) const FULL: &str = "max_autonomy = \"full\"\n";

const PROXY_FROM: &str = "AIOS_TEST_PROXY_FROM";
const PROXY_TO: &str = "AIOS_TEST_PROXY_TO";

/// Whether this process may act as several users; if not, the test has run again as root and passed.
pub(crate) fn several_users() -> bool {
    aios_tests_root::as_root().unwrap()
}

pub(crate) fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A guard process and the callers' proxies; ended when dropped.
pub(crate) struct Instance {
    pub(crate) directory: TempDir,
    pub(crate) paths: Paths,
    guard: Option<Child>,
    proxies: Vec<Child>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        for child in self.proxies.iter_mut().chain(&mut self.guard) {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Instance {
    /// A new instance with more settings for the guard, not started.
    pub(crate) fn prepare(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::development(directory.path());
        for path in [&paths.vendor, &paths.etc, &paths.state, &paths.run] {
            fs::create_dir_all(path).unwrap();
        }
        for path in [directory.path(), &paths.run] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
        fs::copy(configs.join("policy.toml"), paths.vendor.join("policy.toml")).unwrap();
        fs::create_dir(paths.vendor.join("agents")).unwrap();
        let ceiling = "kind = \"cleaner\"\ncapabilities = [\"fs:*:/srv/**\"]\ncommand = [\"x\"]\n";
        fs::write(paths.vendor.join("agents/cleaner.toml"), ceiling).unwrap();
        let users = format!(
            "[users]\nguard = \"61000\"\norchestrator = \"{ORCHESTRATOR}\"\ntools = \"{TOOLS}\"\nfs = \"{FS}\"\n\
             memory = \"61006\"\nhost = \"61007\"\nconsole = \"{CONSOLE}\"\nsandbox = \"{SANDBOX}\"\n\
             process = \"61010\"\nservice = \"61011\"\nnet = \"61012\"\npkg = \"61013\"\nsec = \"61014\"\n\n[guard]\npush_ms = 50\n{settings}"
        );
        fs::write(paths.vendor.join("config.toml"), users).unwrap();
        Self {
            directory,
            paths,
            guard: None,
            proxies: Vec::new(),
        }
    }

    /// A running one; `None` when this test cannot act as several users.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with("").await
    }

    /// The same with more settings for the guard.
    pub(crate) async fn start_with(settings: &str) -> Option<Self> {
        if !several_users() {
            return None;
        }
        let mut instance = Self::prepare(settings);
        instance.up().await;
        Some(instance)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.paths.socket("guard")
    }

    /// Starts the guard and waits until it answers.
    pub(crate) async fn up(&mut self) {
        let failpoints = self.directory.path().join("fail");
        fs::create_dir_all(&failpoints).unwrap();
        let guard = Command::new(env!("CARGO_BIN_EXE_aios-guard"))
            .envs(self.paths.to_env())
            .env("AIOS_FAILPOINT_DIR", failpoints)
            .env("AIOS_LOG", "warn")
            .spawn()
            .unwrap();
        self.guard = Some(guard);
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            assert!(Instant::now() < deadline, "the guard did not come up");
            assert!(
                self.guard.as_mut().unwrap().try_wait().unwrap().is_none(),
                "the guard ended"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        fs::set_permissions(self.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    }

    /// Ends the guard as a power cut would, without a clean close.
    pub(crate) fn kill(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            guard.kill().unwrap();
            guard.wait().unwrap();
        }
    }

    /// Ends the guard as init would.
    pub(crate) fn stop(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(guard.id()).unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
            assert!(guard.wait().unwrap().success());
        }
    }

    /// Waits until the guard has killed itself at a failpoint.
    pub(crate) async fn died(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.guard.as_mut().unwrap().try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the guard lives");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.guard = None;
    }

    pub(crate) fn arm(&self, failpoint: &str) {
        fs::write(self.directory.path().join("fail").join(failpoint), "").unwrap();
    }

    /// A client that is another user's process.
    pub(crate) async fn client(&mut self, uid: u32) -> Client {
        self.client_by(uid, &[]).await
    }

    /// The same, started through another program (`setpriv --no-new-privs`).
    pub(crate) async fn client_by(&mut self, uid: u32, through: &[&str]) -> Client {
        let from = self.paths.run.join(format!("proxy-{}.sock", self.proxies.len()));
        // The build directory may lie in a home that other users cannot enter.
        let exe = self.paths.run.join("proxy-program");
        if !exe.exists() {
            std::fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
        }
        let mut words: Vec<&str> = through.to_vec();
        words.push(exe.to_str().unwrap());
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(["--exact", "common::proxy_child", "--ignored", "--nocapture"])
            .env(PROXY_FROM, &from)
            .env(PROXY_TO, self.socket())
            .stdout(Stdio::null())
            .uid(uid)
            .gid(uid);
        self.proxies.push(command.spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        while !from.exists() {
            assert!(Instant::now() < deadline, "the proxy did not come up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        GuardClient::new(aios_core::rpc::channel(&from))
    }

    /// Our own process, which is root.
    pub(crate) fn root(&self) -> Client {
        GuardClient::new(aios_core::rpc::channel(&self.socket()))
    }

    pub(crate) fn keys(&self) -> TrustKeys {
        TrustKeys::read(&self.paths.trust_file(), None).unwrap()
    }

    /// Enrols the first person.
    pub(crate) async fn enrol(&self, uid: u32, name: &str) -> PersonKey {
        let key = PersonKey::new(uid, SecretKey::generate().unwrap());
        let request = EnrolPersonRequest {
            uid,
            name: name.into(),
            public_key: key.public().to_bytes().to_vec(),
            proof: None,
        };
        self.root().enrol_person(request).await.unwrap();
        key
    }

    /// All records of the log, as JSON, with their kind.
    pub(crate) async fn records(&self) -> Vec<(String, serde_json::Value)> {
        let mut stream = self
            .root()
            .audit_tail(AuditTailRequest::default())
            .await
            .unwrap()
            .into_inner();
        let mut records = Vec::new();
        while let Some(record) = stream.message().await.unwrap() {
            records.push((record.kind, serde_json::from_slice(&record.canonical).unwrap()));
        }
        records
    }

    pub(crate) async fn count(&self, kind: &str) -> usize {
        self.records().await.iter().filter(|(own, _)| own == kind).count()
    }

    /// The rule of the newest denial.
    pub(crate) async fn last_denial(&self) -> String {
        let records = self.records().await;
        let (_, record) = records
            .iter()
            .rfind(|(kind, _)| kind == "denied")
            .expect("a denial was recorded");
        record["rule"].as_str().unwrap().to_owned()
    }

    /// The log as it is on disk, verified offline.
    pub(crate) fn verify(&self) -> aios_audit::verify::Report {
        let report =
            aios_audit::verify::verify_dir(self.paths.state_of("guard").join("audit"), None).unwrap();
        assert!(report.ok(), "{:?}", report.findings);
        report
    }
}

/// Forwards connections as whoever runs it.
#[tokio::test]
#[ignore = "the child process of tests that need another user"]
async fn proxy_child() {
    let from = std::env::var(PROXY_FROM).expect("run by a test");
    let to = std::env::var(PROXY_TO).unwrap();
    // Whoever waits for the name connects at once, so it appears when the socket listens.
    let new = format!("{from}.new");
    let listener = tokio::net::UnixListener::bind(&new).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o666)).unwrap();
    fs::rename(&new, &from).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let to = to.clone();
        tasks.spawn(async move {
            if let Ok(mut far) = tokio::net::UnixStream::connect(to).await {
                tokio::io::copy_bidirectional(&mut near, &mut far).await.ok();
            }
        });
    }
}

/// A task with a token.
#[derive(Clone)]
pub(crate) struct Task {
    pub(crate) goal: GoalId,
    pub(crate) task: TaskId,
    pub(crate) token: Vec<u8>,
    pub(crate) token_id: String,
}

pub(crate) fn mint_request(capabilities: &[&str]) -> MintRequest {
    MintRequest {
        agent_id: AgentId::new().to_string(),
        agent_kind: "executor".into(),
        goal_id: GoalId::new().to_string(),
        task_id: TaskId::new().to_string(),
        capabilities: capabilities.iter().map(|it| (*it).to_owned()).collect(),
        ttl_ms: 60_000,
        tainted: false,
        autonomy: 0,
    }
}

pub(crate) async fn task(orchestrator: &mut Client, capabilities: &[&str]) -> Task {
    task_of(orchestrator, mint_request(capabilities)).await
}

pub(crate) async fn task_of(orchestrator: &mut Client, request: MintRequest) -> Task {
    let (goal, task) = (request.goal_id.parse().unwrap(), request.task_id.parse().unwrap());
    let minted = orchestrator.mint(request).await.unwrap().into_inner();
    Task {
        goal,
        task,
        token: minted.token,
        token_id: minted.token_id,
    }
}

/// A call of `fs.delete` (mutating) or another tool (reading) on paths.
pub(crate) fn request(task: &Task, step: u64, tool: &str, paths: &[&str]) -> AuthorizeRequest {
    let mutating = tool == "fs.delete";
    let identities: Vec<Identity> = paths
        .iter()
        .zip(100..)
        .map(|(path, ino)| Identity {
            path: (*path).into(),
            dev: 1,
            ino,
            kind: "file".into(),
        })
        .collect();
    let args_json = serde_json::json!({ "paths": paths }).to_string();
    let required = paths
        .iter()
        .map(|path| format!("{}:{path}", tool.replace('.', ":")))
        .collect();
    let call_digest = call::digest_json(tool, &args_json, &identities).unwrap().to_vec();
    AuthorizeRequest {
        token: task.token.clone(),
        key: Some(ExecutionKey {
            task_id: task.task.to_string(),
            step,
        }),
        tool: tool.into(),
        args_json,
        identities,
        required,
        risk: if mutating { Risk::Medium } else { Risk::Read }.into(),
        mutating,
        reversible: true,
        files: paths.len() as u64,
        bytes: 10,
        dry_run: false,
        call_digest,
        summary: format!("{tool} of {} files", paths.len()),
    }
}

pub(crate) async fn authorize(tools: &mut Client, request: AuthorizeRequest) -> Decision {
    tools
        .authorize(request)
        .await
        .unwrap()
        .into_inner()
        .decision
        .unwrap()
}

pub(crate) fn denied(decision: Decision) -> (String, String) {
    match decision {
        Decision::Denied(denied) => (denied.rule_id, denied.error.unwrap().code),
        other => panic!("not denied: {other:?}"),
    }
}

pub(crate) fn receipt(decision: Decision) -> Receipt {
    match decision {
        Decision::Receipt(receipt) => receipt,
        other => panic!("no receipt: {other:?}"),
    }
}

pub(crate) fn waits(decision: Decision) -> String {
    match decision {
        Decision::ApprovalRequired(required) => required.approval_id,
        other => panic!("no approval is asked for: {other:?}"),
    }
}

pub(crate) fn outcome(request: &AuthorizeRequest, intent_seq: u64) -> RecordOutcomeRequest {
    RecordOutcomeRequest {
        key: request.key.clone(),
        call_digest: request.call_digest.clone(),
        status: "done".into(),
        result_json: "{\"deleted\":1}".into(),
        error: None,
        intent_seq,
    }
}

/// A decision, proved by a person's key.
pub(crate) fn decide(
    key: &PersonKey,
    id: &str,
    digest: &[u8],
    approve: bool,
    remember: &str,
) -> DecideApprovalRequest {
    proved(
        key,
        DecideApprovalRequest {
            approval_id: id.into(),
            approve,
            call_digest: digest.into(),
            remember_scope: remember.into(),
            proof: None,
        },
    )
}

pub(crate) fn proved<R: PersonRequest>(key: &PersonKey, mut request: R) -> R {
    key.prove(&mut request, now_ms()).unwrap();
    request
}

/// Code of a refused rpc.
pub(crate) fn code<T: std::fmt::Debug>(answer: Result<tonic::Response<T>, tonic::Status>) -> String {
    aios_core::rpc::report_of(&answer.unwrap_err()).code
}
