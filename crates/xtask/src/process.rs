//! The process of `aios-init`: started as root, remembered by its process id, ended by SIGTERM.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::host::Host;

/// Services get time to end in order; containers take longest.
const STOP_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
const LOG_LINES: usize = 40;

/// Whether Ctrl-C in this terminal reaches it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It belongs to this terminal's process group.
    Foreground,
    /// It goes on when this program has ended.
    Background,
}

/// A started `aios-init`.
pub(crate) struct Init {
    child: Child,
    interrupted: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Init {
    /// Starts it; its log goes to `init.log`.
    pub(crate) fn spawn(host: &Host, state: &Path, mode: Mode) -> Result<Self> {
        let log = File::create(log_file(state))?;
        let program = state.join("vendor/bin/aios-init");
        let mut command = if host.is_root() {
            Command::new(&program)
        } else {
            let mut sudo = Command::new("sudo");
            sudo.args(["--preserve-env=AIOS_LOG,AIOS_FAILPOINT_DIR"])
                .arg(&program);
            sudo
        };
        command
            .arg("--state")
            .arg(state)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // Ctrl-C goes to this program alone: it asks for an ordered stop and says what it waits for.
        command.process_group(0);
        // Services inherit the working directory, and other users may not be able to enter the checkout.
        command.current_dir("/");
        let interrupted = std::sync::Arc::default();
        if mode == Mode::Foreground {
            for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
                signal_hook::flag::register(signal, std::sync::Arc::clone(&interrupted))?;
            }
        }
        let child = command
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        std::fs::write(pid_file(state), child.id().to_string())?;
        Ok(Self { child, interrupted })
    }

    /// How it ended, if it did.
    pub(crate) fn exited(&mut self) -> Result<Option<ExitStatus>> {
        if self.interrupted.load(std::sync::atomic::Ordering::SeqCst) {
            bail!("interrupted");
        }
        Ok(self.child.try_wait()?)
    }

    /// Waits for Ctrl-C, or SIGTERM, or the end of `aios-init` itself, which is an error.
    pub(crate) fn wait_for_interrupt(&mut self) -> Result<()> {
        loop {
            if self.interrupted.load(std::sync::atomic::Ordering::SeqCst) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("aios-init ended with {status}");
            }
            pause(POLL);
        }
    }
}

/// The process id of the running instance, if one runs.
pub(crate) fn running(state: &Path) -> Result<Option<u32>> {
    let Ok(text) = std::fs::read_to_string(pid_file(state)) else {
        return Ok(None);
    };
    let pid: u32 = text
        .trim()
        .parse()
        .with_context(|| pid_file(state).display().to_string())?;
    // The number may belong to another program by now.
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let ours = String::from_utf8_lossy(&line).contains("aios-init");
    Ok((ours && !zombie(pid)).then_some(pid))
}

/// A child of this very program that has ended but was not waited for.
fn zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| {
            stat.rsplit(')')
                .next()
                .map(|rest| rest.trim_start().starts_with('Z'))
        })
        .unwrap_or(false)
}

/// Ends it in order; does nothing when none runs.
pub(crate) fn stop(host: &Host, state: &Path) -> Result<()> {
    if let Some(pid) = running(state)? {
        host.root_cmd("kill").args(["-TERM", &pid.to_string()]).run()?;
        let begin = Instant::now();
        while running(state)?.is_some() {
            if begin.elapsed() > STOP_LIMIT {
                bail!(
                    "aios-init (process {pid}) did not end in {} s:\n{}",
                    STOP_LIMIT.as_secs(),
                    log_tail(state)
                );
            }
            pause(POLL);
        }
    }
    host.shell.remove_path(pid_file(state))?;
    Ok(())
}

/// The last lines of its log.
pub(crate) fn log_tail(state: &Path) -> String {
    let text = std::fs::read_to_string(log_file(state)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}

/// Waits before asking again.
pub(crate) fn pause(time: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "another process's state is polled; nothing signals it"
    )]
    std::thread::sleep(time);
}

fn pid_file(state: &Path) -> PathBuf {
    state.join("init.pid")
}

fn log_file(state: &Path) -> PathBuf {
    state.join("init.log")
}
