//! Waiting for the end of a process by its pidfd, whether it is our child or was adopted.

use crate::sys;
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// How often and how long PID 1 is waited for to reap a process.
const REAPED: (u32, Duration) = (200, Duration::from_millis(10));
/// A rest after the kernel could not watch a descriptor.
const REST: Duration = Duration::from_secs(1);

/// Completes when the process has ended; yields how: `exit 1`, `signal 9`, or `exit unknown` for one
/// that was adopted and reaped by PID 1 of a kernel that does not tell.
pub(super) async fn ended(pidfd: Arc<OwnedFd>) -> String {
    readable(pidfd.clone()).await;
    match waitid(
        Id::PIDFd(pidfd.as_fd()),
        WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG,
    ) {
        Ok(WaitStatus::Exited(_, code)) => format!("exit {code}"),
        Ok(WaitStatus::Signaled(_, signal, _)) => format!("signal {}", signal as i32),
        Ok(_) | Err(Errno::ECHILD) => ended_elsewhere(&pidfd).await,
        Err(error) => format!("exit unknown ({})", error.desc()),
    }
}

/// PID 1 reaps what was adopted; the pidfd still says how it ended.
async fn ended_elsewhere(pidfd: &OwnedFd) -> String {
    for _ in 0..REAPED.0 {
        match sys::exit_of(pidfd.as_fd()) {
            Ok(Some(status)) if status & 0x7f == 0 => return format!("exit {}", (status >> 8) & 0xff),
            Ok(Some(status)) => return format!("signal {}", status & 0x7f),
            Ok(None) => tokio::time::sleep(REAPED.1).await,
            Err(error) => {
                tracing::debug!(%error, "the kernel does not tell how a process ended");
                break;
            }
        }
    }
    "exit unknown".to_owned()
}

/// Completes when a descriptor can be read, without reading it. What the kernel cannot watch now is tried again:
/// nobody else would see the end of a process.
pub(super) async fn readable(fd: Arc<OwnedFd>) {
    loop {
        let readable = match sys::watch(fd.clone()) {
            Ok(watched) => watched.readable().await.map(drop),
            Err(error) => Err(error),
        };
        match readable {
            Ok(()) => return,
            Err(error) => tracing::error!(%error, "cannot watch a descriptor"),
        }
        tokio::time::sleep(REST).await;
    }
}

/// Start time of a process in ticks after boot, field 22 of its stat; none when it is gone.
pub(super) fn starttime(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold blanks and parentheses of its own.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// Start time of a process after boot; none when it is gone.
pub(super) fn since_boot(pid: i32) -> Option<Duration> {
    // The kernel counts in hundredths of a second towards programs (USER_HZ, time(7)).
    starttime(pid).map(|ticks| Duration::from_millis(ticks.saturating_mul(10)))
}

/// Whether a process is a zombie or gone.
pub(super) fn is_over(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| {
            stat.rsplit_once(')')
                .map(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
        })
        .unwrap_or(true)
}
