//! A real aios-sandbox with real rootless containers, under its own user and in directories of its
//! own, between doubles of the guard and the orchestrator.

mod doubles;

pub(crate) use doubles::{Guard, Orchestrator};

use aios_harness::{PERSON_UID, Relay, Who};
use aios_proto::sandbox::v1::sandbox_client::SandboxClient;
use aios_proto::sandbox::v1::{AgentContainer, ListAgentsRequest, LogsRequest};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tonic::transport::Channel;

const USER: &str = "aios-sandbox";
const PATIENCE: Duration = Duration::from_secs(120);

/// The instance.
pub(crate) struct Rig {
    pub(crate) root: TempDir,
    pub(crate) guard: Guard,
    pub(crate) orchestrator: Orchestrator,
    child: Option<Child>,
}

/// Agent kinds that a test needs, as TOML.
pub(crate) fn kind(name: &str, code: &str) -> (String, String) {
    let text = format!(
        "kind = \"{name}\"\ncommand = [\"/usr/bin/python3\", \"-c\", {}]\n[restart]\ninitial_ms = 50\n",
        serde_json::to_string(code).unwrap()
    );
    (format!("{name}.toml"), text)
}

impl Rig {
    /// Starts everything; `kinds` are files of `agents/`.
    pub(crate) async fn start(kinds: &[(String, String)]) -> Self {
        let user = User::from_name(USER)
            .unwrap()
            .expect("run `cargo xtask setup` first");
        let root = tempfile::Builder::new()
            .prefix("aios-sandbox-")
            .tempdir_in("/var/tmp")
            .unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["vendor/bin", "vendor/agents", "etc", "var/sandbox", "run/sandbox"] {
            fs::create_dir_all(root.path().join(name)).unwrap();
        }
        for name in ["var/sandbox", "run", "run/sandbox"] {
            chown(&root.path().join(name), Some(user.uid), Some(user.gid)).unwrap();
        }
        // As enrolment makes it.
        let person = root.path().join("var/persons").join(PERSON_UID.to_string());
        fs::create_dir_all(&person).unwrap();
        chown(&person, Some(PERSON_UID.into()), Some(PERSON_UID.into())).unwrap();
        let program = root.path().join("vendor/bin/aios-sandbox");
        fs::copy(env!("CARGO_BIN_EXE_aios-sandbox"), &program).unwrap();
        copy_tree(&agent_image(), &root.path().join("vendor/agent-image"));
        for (name, text) in kinds {
            fs::write(root.path().join("vendor/agents").join(name), text).unwrap();
        }
        fs::write(
            root.path().join("etc/config.toml"),
            "[sandbox]\nallow_degraded = true\n",
        )
        .unwrap();
        let run = root.path().join("run");
        let guard = Guard::start(&run.join("guard.sock")).await;
        let orchestrator = Orchestrator::start(&run.join("orchestrator.sock")).await;
        let mut rig = Self {
            root,
            guard,
            orchestrator,
            child: None,
        };
        rig.launch().await;
        rig
    }

    /// Starts aios-sandbox, again after it ended, and waits until it answers.
    pub(crate) async fn launch(&mut self) {
        let path = |name: &str| self.root.path().join(name);
        let child = Command::new("setpriv")
            .args(["--reuid", USER, "--regid", USER, "--init-groups"])
            .arg(path("vendor/bin/aios-sandbox"))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("AIOS_VENDOR_DIR", path("vendor"))
            .env("AIOS_ETC_DIR", path("etc"))
            .env("AIOS_STATE_DIR", path("var"))
            .env("AIOS_RUN_DIR", path("run"))
            .current_dir("/")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + PATIENCE;
        while self.client().list_agents(ListAgentsRequest {}).await.is_err() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "it does not answer; ended: {ended:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A client of it, as root.
    pub(crate) fn client(&self) -> SandboxClient<Channel> {
        SandboxClient::new(aios_core::rpc::channel(
            &self.root.path().join("run/sandbox.sock"),
        ))
    }

    /// A client of it as another user's process, which lives as long as the relay.
    pub(crate) fn client_of(&self, who: Who, confined: bool) -> (SandboxClient<Channel>, Relay) {
        let relay = Relay::start(who, confined, &self.root.path().join("run/sandbox.sock")).unwrap();
        (SandboxClient::new(relay.channel()), relay)
    }

    /// Sends it a signal and waits for its end.
    pub(crate) fn end(&mut self, signal: Signal) {
        let mut child = self.child.take().unwrap();
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        child.wait().unwrap();
    }

    /// Waits until `look` finds something.
    pub(crate) async fn wait_for<T>(&self, what: &str, look: impl AsyncFn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(self).await {
                return found;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The only agent, once `look` likes it.
    pub(crate) async fn agent(&self, what: &str, look: impl Fn(&AgentContainer) -> bool) -> AgentContainer {
        self.wait_for(what, async |rig| {
            let agents = rig
                .client()
                .list_agents(ListAgentsRequest {})
                .await
                .ok()?
                .into_inner()
                .agents;
            agents.into_iter().find(&look)
        })
        .await
    }

    /// What an agent has printed on standard output in its last lines.
    pub(crate) async fn stdout(&self, agent_id: &str, last: u32) -> String {
        let request = LogsRequest {
            agent_id: agent_id.to_owned(),
            last,
            follow: false,
        };
        let mut chunks = self.client().logs(request).await.unwrap().into_inner();
        let mut text = String::new();
        while let Some(chunk) = chunks.message().await.unwrap() {
            if chunk.stream == "stdout" {
                text.push_str(&chunk.text);
            }
        }
        text
    }

    /// Kills all that runs for this instance, as the end of its cgroup does.
    pub(crate) fn kill_all(&self) {
        loop {
            let pids = self.pids();
            for pid in &pids {
                // It may have ended with one before it.
                let _gone = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            if pids.is_empty() {
                return;
            }
        }
    }

    /// Command lines of [`Rig::pids`].
    pub(crate) fn processes(&self) -> Vec<String> {
        let commands = self.pids().into_iter().map(|pid| {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).replace('\0', " ")
        });
        commands.collect()
    }

    /// Processes that run for this instance: ours by their command line or environment, and containers'.
    fn pids(&self) -> Vec<i32> {
        let mark = self.root.path().to_string_lossy().into_owned();
        let holds =
            |path: PathBuf| fs::read(path).is_ok_and(|it| String::from_utf8_lossy(&it).contains(&mark));
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let process = entry.path();
            let pid = process
                .file_name()
                .and_then(|name| name.to_str()?.parse::<i32>().ok());
            let Some(pid) = pid.filter(|pid| pid.cast_unsigned() != std::process::id()) else {
                continue;
            };
            if holds(process.join("cmdline")) || holds(process.join("environ")) {
                found.push(pid);
            }
        }
        found
    }

    /// Containers that Podman knows, from its own command.
    pub(crate) fn podman_ps(&self) -> String {
        let socket = format!(
            "unix://{}",
            self.root.path().join("run/sandbox/podman.sock").display()
        );
        let format = "{{.Names}} {{.Labels}}";
        let output = Command::new("podman")
            .args(["--remote", "--url", &socket, "ps", "--format", format])
            .output();
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.end(Signal::SIGTERM);
        }
        // Files of containers belong to mapped users, which only root may remove; we are root.
        let _ = Command::new("rm").arg("-rf").arg(self.root.path()).status();
    }
}

/// Whether the caller is root. If not, runs this very test again under `sudo`, where it must pass, and
/// says `false`: the caller then has nothing left to do.
pub(crate) fn as_root() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    let test = std::thread::current().name().unwrap().to_owned();
    let status = Command::new("sudo")
        .arg("-n")
        .arg(format!("AIOS_CACHE={}", cache().display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture", "--test-threads=1"])
        .status()
        .unwrap();
    assert!(status.success(), "`{test}` under sudo: {status}");
    false
}

/// Where `cargo xtask` keeps what it made.
fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/aios");
    std::env::var_os("AIOS_CACHE").map_or_else(home, PathBuf::from)
}

/// The newest agent image that `cargo xtask agent-image` made.
fn agent_image() -> PathBuf {
    let layouts = fs::read_dir(cache().join("agent-image"))
        .into_iter()
        .flatten()
        .flatten();
    layouts
        .map(|entry| entry.path())
        .filter(|path| path.join("index.json").exists())
        .max_by_key(|path| fs::metadata(path.join("index.json")).unwrap().modified().unwrap())
        .expect("run `cargo xtask agent-image` first")
}

fn copy_tree(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    let readable = Command::new("chmod")
        .args(["-R", "a+rX"])
        .arg(to)
        .status()
        .unwrap();
    assert!(status.success() && readable.success());
}
