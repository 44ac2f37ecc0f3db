//! One service's process: started confined, waited for, killed.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aios_confine::spawn::{Program, spawn};
use aios_confine::{Machine, Plan};
use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// A service must say that it is ready by then; the machine may be busy with other tests.
const READY_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code.
    Code(i32),
    /// By this signal; 9 is SIGKILL.
    Signal(i32),
}

/// A running process.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    ended: Option<Ended>,
}

/// What a process is started with.
pub(crate) struct Start<'a> {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) plan: Plan,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) listeners: &'a [(String, UnixListener)],
    pub(crate) log: PathBuf,
    pub(crate) notify: PathBuf,
}

impl Process {
    /// Starts it as aios-init would, and waits until it is ready.
    pub(crate) fn start(start: &Start<'_>) -> Result<Self> {
        let notify = notify_socket(&start.notify)?;
        let log = File::options().create(true).append(true).open(&start.log)?;
        let null = File::open("/dev/null")?;
        let mut env = start.env.clone();
        let mut set = |name: &str, value: &str| env.push((name.into(), value.into()));
        let names: Vec<&str> = start.listeners.iter().map(|(name, _)| name.as_str()).collect();
        set("LISTEN_FDS", &names.len().to_string());
        set("LISTEN_FDNAMES", &names.join(":"));
        set("NOTIFY_SOCKET", &start.notify.to_string_lossy());
        let fds: Vec<BorrowedFd<'_>> = start
            .listeners
            .iter()
            .map(|(_, listener)| listener.as_fd())
            .collect();
        let program = Program {
            path: start.program.clone(),
            args: start.args.clone(),
            env,
            stdio: [null.as_fd(), log.as_fd(), log.as_fd()],
            fds,
            own_pid_in: &["LISTEN_PID"],
        };
        let prepared = start.plan.prepare(&Machine::probe(), true)?;
        let spawned =
            spawn(&program, &prepared).with_context(|| format!("start {}", start.program.display()))?;
        let mut process = Self {
            pid: Pid::from_raw(spawned.pid),
            ended: None,
        };
        process.wait_ready(&notify, &start.log)?;
        Ok(process)
    }

    fn wait_ready(&mut self, notify: &UnixDatagram, log: &Path) -> Result<()> {
        let begin = Instant::now();
        let mut buffer = [0_u8; 4096];
        while begin.elapsed() < READY_LIMIT {
            match notify.recv(&mut buffer) {
                Ok(len) => {
                    let text = String::from_utf8_lossy(buffer.get(..len).unwrap_or_default()).into_owned();
                    if text.lines().any(|line| line == "READY=1") {
                        return Ok(());
                    }
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(ended) = self.poll()? {
                bail!("it ended with {ended:?} before it was ready:\n{}", tail(log));
            }
        }
        bail!(
            "it was not ready after {} s:\n{}",
            READY_LIMIT.as_secs(),
            tail(log)
        )
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// How it ended, if it did.
    pub(crate) fn poll(&mut self) -> Result<Option<Ended>> {
        if self.ended.is_none() {
            self.ended = ended(waitpid(self.pid, Some(WaitPidFlag::WNOHANG))?);
        }
        Ok(self.ended)
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<Ended> {
        let begin = Instant::now();
        loop {
            if let Some(ended) = self.poll()? {
                return Ok(ended);
            }
            anyhow::ensure!(
                begin.elapsed() < limit,
                "process {} still runs after {limit:?}",
                self.pid
            );
            rest(POLL);
        }
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn end(&mut self, signal: Signal, limit: Duration) -> Result<Ended> {
        if let Some(ended) = self.poll()? {
            return Ok(ended);
        }
        kill(self.pid, signal)?;
        self.wait(limit)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(self.pid, signal)?)
    }
}

/// Runs a program under a plan to its end; answers what it printed. What it printed last is in `log`.
pub(crate) fn run_to_end(
    plan: &Plan,
    path: &str,
    args: &[String],
    env: Vec<(OsString, OsString)>,
    log: &Path,
) -> Result<String> {
    let output = File::create(log)?;
    let null = File::open("/dev/null")?;
    let program = Program {
        path: path.into(),
        args: args.iter().map(Into::into).collect(),
        env,
        stdio: [null.as_fd(), output.as_fd(), output.as_fd()],
        fds: Vec::new(),
        own_pid_in: &[],
    };
    let prepared = plan.prepare(&Machine::probe(), true)?;
    let spawned = spawn(&program, &prepared).with_context(|| format!("start {path}"))?;
    let ended = Process {
        pid: Pid::from_raw(spawned.pid),
        ended: None,
    }
    .wait(READY_LIMIT)?;
    let said = std::fs::read_to_string(log)?;
    anyhow::ensure!(ended == Ended::Code(0), "{path} ended with {ended:?}: {said}");
    Ok(said)
}

fn ended(status: WaitStatus) -> Option<Ended> {
    match status {
        WaitStatus::Exited(_, code) => Some(Ended::Code(code)),
        WaitStatus::Signaled(_, signal, _) => Some(Ended::Signal(signal as i32)),
        _ => None,
    }
}

fn notify_socket(path: &Path) -> Result<UnixDatagram> {
    if path.exists() {
        std::fs::remove_file(path)?;
    }
    let socket = UnixDatagram::bind(path)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o666))?;
    socket.set_read_timeout(Some(POLL))?;
    Ok(socket)
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_else(|error| format!("{}: {error}", log.display()));
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(30)..)
        .unwrap_or_default()
        .join("\n")
}

/// Sleeps without holding up a runtime's other tasks for long; nothing signals the end of a stranger's
/// process to a thread, so it is polled.
pub(crate) fn rest(time: Duration) {
    let (_keep, never) = std::sync::mpsc::channel::<()>();
    // The sender lives, so this can only time out.
    let _ = never.recv_timeout(time);
}
