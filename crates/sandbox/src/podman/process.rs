//! Podman's service process: our child, started again when it dies, gone when we are.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::client::{Client, PodmanError};
use crate::error::SandboxError;

/// How long the socket may take to answer after the start; user-space is ten times slower in an
/// emulated machine.
const STARTING: Duration = Duration::from_secs(60);
/// Images and containers, below the service's state.
const STORE: &str = "storage";
/// What Podman knows of containers, beside it.
const DATABASE: &str = "libpod";
const BETWEEN_TRIES: Duration = Duration::from_millis(50);
/// How long the service gets to end by itself.
const ENDING: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Where Podman keeps what: all of it below the service's own directories, nothing in a home.
#[derive(Debug, Clone)]
pub struct Layout {
    /// `/var/lib/aios/sandbox`.
    pub state: PathBuf,
    /// `/run/aios/sandbox`.
    pub run: PathBuf,
    /// The podman program.
    pub program: PathBuf,
    /// OCI runtime.
    pub runtime: String,
}

impl Layout {
    /// The API socket.
    pub fn socket(&self) -> PathBuf {
        self.run.join("podman.sock")
    }

    /// Process id, and group, of the service.
    fn pid_file(&self) -> PathBuf {
        self.run.join("podman.pid")
    }

    /// Where the front doors are.
    pub fn doors(&self) -> PathBuf {
        self.run.join("doors")
    }

    /// Removes the front doors of an earlier run that was killed: nobody listens behind them any more.
    ///
    /// # Errors
    /// One cannot be removed.
    pub fn remove_doors(&self) -> Result<(), SandboxError> {
        let doors = self.doors();
        let failed = |error| SandboxError::file("remove", &doors, error);
        for door in fs::read_dir(&doors).map_err(failed)? {
            fs::remove_dir_all(door.map_err(failed)?.path()).map_err(failed)?;
        }
        Ok(())
    }

    /// Makes the directories and writes Podman's configuration.
    ///
    /// # Errors
    /// A file or directory cannot be written.
    pub fn prepare(&self) -> Result<(), SandboxError> {
        for directory in [&self.state, &self.run, &self.doors(), &self.state.join("tmp")] {
            fs::create_dir_all(directory).map_err(|error| SandboxError::file("make", directory, error))?;
        }
        // Nobody but the owner reaches a socket below; the door's own mode can then be wide enough
        // for the container's mapped user.
        fs::set_permissions(&self.run, fs::Permissions::from_mode(0o700))
            .map_err(|error| SandboxError::file("protect", &self.run, error))?;
        self.write("containers.conf", &self.containers_conf())?;
        self.write("storage.conf", &self.storage_conf())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), SandboxError> {
        let path = self.run.join(name);
        fs::write(&path, text).map_err(|error| SandboxError::file("write", &path, error))
    }

    fn containers_conf(&self) -> String {
        format!(
            "[containers]\nlog_driver = \"k8s-file\"\n\n[engine]\nruntime = {:?}\ncgroup_manager = \"cgroupfs\"\n\
             events_logger = \"file\"\nstatic_dir = {:?}\ntmp_dir = {:?}\nvolume_path = {:?}\n",
            self.runtime,
            self.state.join(DATABASE),
            self.run.join("libpod"),
            self.state.join("volumes"),
        )
    }

    fn storage_conf(&self) -> String {
        let storage = self.state.join(STORE);
        format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = {storage:?}\nrootless_storage_path = {storage:?}\n\
             runroot = {:?}\n",
            self.run.join("containers"),
        )
    }

    /// A podman command with this layout and nothing else of our environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", &self.state)
            .env("TMPDIR", self.state.join("tmp"))
            .env("XDG_RUNTIME_DIR", &self.run)
            .env("XDG_CONFIG_HOME", self.state.join("config"))
            .env("CONTAINERS_CONF", self.run.join("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", self.run.join("storage.conf"))
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    /// Runs one podman command in `directory` to its end; gives what it printed.
    ///
    /// # Errors
    /// It cannot be started or fails; its last words are in the error.
    pub async fn output(&self, directory: &Path, arguments: &[&str]) -> Result<String, PodmanError> {
        let name = format!("podman {}", arguments.join(" "));
        let failed = |output: String| PodmanError::Command {
            command: name.clone(),
            output,
        };
        let Output {
            status,
            stdout,
            stderr,
        } = self
            .command()
            .current_dir(directory)
            .args(arguments)
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| failed(error.to_string()))?;
        if !status.success() {
            return Err(failed(String::from_utf8_lossy(&stderr).trim().to_owned()));
        }
        Ok(String::from_utf8_lossy(&stdout).trim().to_owned())
    }

    /// Whether there is a store.
    pub fn holds_images(&self) -> bool {
        self.state.join(STORE).exists()
    }

    /// Removes the store, what Podman knows of containers, and what still runs of them.
    ///
    /// # Errors
    /// Podman cannot do it.
    pub async fn wipe(&self) -> Result<(), PodmanError> {
        end_leftover(self);
        let args = ["rm", "--all", "--force", "--time", "0"];
        if let Err(error) = self.output(&self.state, &args).await {
            tracing::warn!(%error, "containers of a store that cannot be used");
        }
        // Files of an image belong to subordinate users, and only root of their user namespace may remove them. Podman has
        // the layers mounted on themselves in there.
        let remove = format!("umount --lazy {STORE}/overlay 2>/dev/null; exec rm -rf -- {STORE} {DATABASE}");
        let args = ["unshare", "sh", "-c", &remove];
        self.output(&self.state, &args).await.map(drop)
    }

    /// Whether a container's monitor, or a podman command that it runs, is still there.
    fn has_helpers(&self) -> bool {
        let run = self.run.to_string_lossy();
        processes().any(|pid| {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command);
            let program = command.split('\0').next().unwrap_or_default();
            (program.ends_with("conmon") || program.ends_with("podman")) && command.contains(&*run)
        })
    }

    /// Ends the process that keeps the rootless user namespace, which Podman leaves behind.
    ///
    /// # Errors
    /// The kernel refuses the signal.
    pub fn end_namespace_keeper(&self) -> io::Result<()> {
        for path in [
            self.run.join("libpod/pause.pid"),
            self.run.join("libpod/tmp/pause.pid"),
        ] {
            let pid = match fs::read_to_string(&path) {
                Ok(text) => text.trim().parse::<i32>().ok(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // The number may have been reused since: only a process of that name is ended.
            if let Some(pid) = pid.filter(|pid| is_keeper(*pid)) {
                kill(Pid::from_raw(pid), Signal::SIGKILL)?;
            }
            fs::remove_file(&path)?;
        }
        Ok(())
    }
}

fn is_keeper(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm"))
        .is_ok_and(|name| matches!(name.trim(), "catatonit" | "podman" | "podman pause"))
}

/// The running service.
#[derive(Debug)]
pub struct Service {
    layout: Layout,
    client: Client,
    child: Child,
    group: Option<Pid>,
}

impl Service {
    /// Starts the service and waits until it answers.
    ///
    /// # Errors
    /// It cannot be started, ends at once, or does not answer in time.
    pub async fn start(layout: Layout) -> Result<Self, PodmanError> {
        let mut service = Self::begin(layout.clone())?;
        match service.wait_until_it_answers().await {
            Ok(()) => return Ok(service),
            Err(error @ PodmanError::Start(_)) => {
                tracing::warn!(%error, "having Podman look at its containers anew");
            }
            Err(error) => return Err(error),
        }
        // Where all was killed at once, Podman looks for the user namespace of a container that it takes for
        // running, finds no process, and ends. This makes it forget such containers' processes.
        layout.output(Path::new("/"), &["system", "migrate"]).await?;
        let mut service = Self::begin(layout)?;
        service.wait_until_it_answers().await?;
        Ok(service)
    }

    fn begin(layout: Layout) -> Result<Self, PodmanError> {
        end_leftover(&layout);
        let child = spawn(&layout)?;
        Ok(Self {
            group: group_of(&child),
            client: Client::new(&layout.socket()),
            layout,
            child,
        })
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Keeps it running until `shutdown`, then ends it and all that it left.
    pub async fn supervise(mut self, shutdown: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return self.end().await,
                status = self.child.wait() => {
                    tracing::error!(?status, pause_ms = pause.as_millis(), "Podman's service ended; starting it again");
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return self.end().await,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            match spawn(&self.layout) {
                Ok(child) => {
                    // What is left of the one before holds Podman's locks.
                    if let Some(group) = self.group {
                        signal_group(group, Signal::SIGKILL);
                    }
                    self.group = group_of(&child);
                    self.child = child;
                }
                Err(error) => {
                    tracing::error!(%error, "Podman's service cannot be started");
                    continue;
                }
            }
            match self.wait_until_it_answers().await {
                Ok(()) => pause = FIRST_PAUSE,
                Err(error) => tracing::error!(%error, "Podman's service was started and does not answer"),
            }
        }
    }

    async fn wait_until_it_answers(&mut self) -> Result<(), PodmanError> {
        let deadline = tokio::time::Instant::now() + STARTING;
        loop {
            let Err(error) = self.client.version().await else {
                return Ok(());
            };
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(PodmanError::Start(format!("it ended with {status}")));
            }
            if tokio::time::Instant::now() > deadline {
                return Err(error);
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    }

    async fn end(&mut self) {
        // Rootless Podman is two processes: the first enters the user namespace by starting the second
        // and may be gone before it. Both are in one group, which the second never leaves.
        if let Some(group) = self.group {
            signal_group(group, Signal::SIGTERM);
            let deadline = tokio::time::Instant::now() + ENDING;
            while alive(group) && tokio::time::Instant::now() < deadline {
                // Reaps the first, so that the group can be seen to be empty.
                if let Err(error) = self.child.try_wait() {
                    tracing::warn!(%error, "Podman's service cannot be waited for");
                }
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            signal_group(group, Signal::SIGKILL);
        }
        if let Err(error) = self.child.wait().await {
            tracing::warn!(%error, "Podman's service cannot be waited for");
        }
        // A container's end makes its monitor run one more podman command, which would make a keeper again.
        let deadline = tokio::time::Instant::now() + ENDING;
        while self.layout.has_helpers() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        if let Err(error) = self.layout.end_namespace_keeper() {
            tracing::error!(%error, "the keeper of the user namespace could not be ended");
        }
        remove_stale(&self.layout.socket());
        remove_stale(&self.layout.pid_file());
    }
}

fn group_of(child: &Child) -> Option<Pid> {
    child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .map(Pid::from_raw)
}

fn alive(group: Pid) -> bool {
    killpg(group, None).is_ok()
}

fn signal_group(group: Pid, signal: Signal) {
    match killpg(group, signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
        Err(error) => tracing::error!(%error, ?signal, "Podman's service could not be signalled"),
    }
}

/// Ends a service that an earlier run of ours left when it was killed.
fn end_leftover(layout: &Layout) {
    let path = layout.pid_file();
    let Ok(text) = fs::read_to_string(&path) else {
        return;
    };
    let Some(group) = text
        .trim()
        .parse()
        .ok()
        .map(Pid::from_raw)
        .filter(|pid| pid.as_raw() > 1)
    else {
        return;
    };
    // The number may have been reused since: only a service on our own socket is ended.
    let ours = members(group).any(|pid| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(&*layout.socket().to_string_lossy())
    });
    if ours {
        tracing::warn!(%group, "ending a Podman service of an earlier run");
        signal_group(group, Signal::SIGKILL);
    }
}

/// Processes of a process group.
fn members(group: Pid) -> impl Iterator<Item = i32> {
    processes().filter(move |pid| getpgid(Some(Pid::from_raw(*pid))) == Ok(group))
}

/// Every process that we see.
fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
}

fn spawn(layout: &Layout) -> Result<Child, PodmanError> {
    remove_stale(&layout.socket());
    let address = format!("unix://{}", layout.socket().display());
    let mut child = layout
        .command()
        .args(["system", "service", "--time", "0", &address])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| PodmanError::Start(format!("{}: {error}", layout.program.display())))?;
    if let Some(pid) = child.id()
        && let Err(error) = fs::write(layout.pid_file(), pid.to_string())
    {
        tracing::warn!(%error, "the process id of Podman's service could not be noted");
    }
    if let Some(stderr) = child.stderr.take() {
        #[expect(
            clippy::disallowed_methods,
            reason = "ends with the child, whose end closes the pipe"
        )]
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                tracing::info!(podman = %line);
            }
        });
    }
    Ok(child)
}

fn remove_stale(socket: &Path) {
    if let Err(error) = fs::remove_file(socket)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, socket = %socket.display(), "a stale socket could not be removed");
    }
}
