//! Waiting for the end of a process by its pidfd, whether it is our child or was adopted.

use crate::sys;
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// Completes when the process has ended; yields how: `exit 1`, `signal 9`, or `exit unknown` for one
/// that was adopted and reaped by PID 1.
pub(super) async fn ended(pidfd: Arc<OwnedFd>) -> String {
    readable(pidfd.clone()).await;
    match waitid(
        Id::PIDFd(pidfd.as_fd()),
        WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG,
    ) {
        Ok(WaitStatus::Exited(_, code)) => format!("exit {code}"),
        Ok(WaitStatus::Signaled(_, signal, _)) => format!("signal {}", signal as i32),
        Ok(_) | Err(Errno::ECHILD) => "exit unknown".to_owned(),
        Err(error) => format!("exit unknown ({})", error.desc()),
    }
}

/// Completes when a descriptor can be read, without reading it.
pub(super) async fn readable(fd: Arc<OwnedFd>) {
    let watched = match sys::watch(fd) {
        Ok(watched) => watched,
        Err(error) => {
            tracing::error!(%error, "cannot watch a descriptor");
            return std::future::pending().await;
        }
    };
    if let Err(error) = watched.readable().await {
        tracing::error!(%error, "cannot watch a descriptor");
        std::future::pending::<()>().await;
    }
}

/// Start time of a process in ticks after boot, field 22 of its stat; none when it is gone.
pub(super) fn starttime(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold blanks and parentheses of its own.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
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
