//! Processes as the kernel tells them, and the handle that keeps a number from meaning another process.

use super::args::{Line, State};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::host::{names, parsed};
use aios_auth::peer::name_of;
use aios_proto::common::v1::Identity;
use procfs::FromBufReadSI;
use procfs::process::Stat;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest command line in a list, characters.
const COMMAND: usize = 300;
/// `PF_KTHREAD` of the kernel's `sched.h`.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// One process for good: its number, and when it started, kernel ticks since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Proc {
    /// Process id.
    pub pid: i32,
    /// Start, kernel ticks since boot.
    pub start: u64,
}

impl Proc {
    /// As an identity: what was authorized is this process and no later one with its number.
    pub(super) fn identity(self) -> Identity {
        Identity {
            path: format!("{}:{}", self.pid, self.start),
            dev: 0,
            ino: self.start,
            kind: "process".to_owned(),
        }
    }

    /// The process of an identity.
    pub(super) fn of(identity: &Identity) -> Option<Self> {
        let (pid, start) = identity.path.split_once(':')?;
        Some(Self {
            pid: pid.parse().ok()?,
            start: start.parse().ok()?,
        })
    }

    /// As it is now, when it still lives.
    pub(super) fn seen(self) -> Option<Seen> {
        seen(self.pid).filter(|seen| seen.stat.starttime == self.start)
    }

    /// It is not there.
    pub(super) fn missing(self) -> ToolError {
        missing(self.pid)
    }
}

/// There is no such process.
pub(super) fn missing(pid: i32) -> ToolError {
    ToolError::NotFound {
        path: format!("process {pid}"),
    }
}

/// Where the kernel tells of a process.
pub(super) fn dir(pid: i32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// A process at one look.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) stat: Stat,
    pub(super) status: Status,
}

/// The part of `/proc/PID/status` that is of use.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// Number of the process, which differs from that of its other threads.
    pub(super) group_leader: i32,
    /// Real and effective user.
    pub(super) uids: [u32; 2],
    pub(super) no_new_privs: bool,
    pub(super) effective_capabilities: String,
}

impl Seen {
    pub(super) fn proc(&self) -> Proc {
        Proc {
            pid: self.stat.pid,
            start: self.stat.starttime,
        }
    }

    pub(super) fn is_kernel_thread(&self) -> bool {
        self.stat.flags & KERNEL_THREAD != 0
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stat.state == 'T'
    }

    pub(super) fn state(&self) -> State {
        match self.stat.state {
            'R' => State::Running,
            'D' => State::Blocked,
            'T' | 't' => State::Stopped,
            'Z' | 'X' | 'x' => State::Zombie,
            'I' => State::Idle,
            _ => State::Sleeping,
        }
    }

    /// Its name, fit for a sentence.
    pub(super) fn name(&self) -> String {
        printable(&self.stat.comm)
    }

    /// `process 12 (nginx)`.
    pub(super) fn title(&self) -> String {
        format!("process {} ({})", self.stat.pid, self.name())
    }
}

/// Without what could end a line or steer a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// A process; `None` when there is none, or it ended while it was looked at.
pub(super) fn seen(pid: i32) -> Option<Seen> {
    let dir = dir(pid);
    let stat: Stat = parsed(&dir.join("stat")).ok()?;
    let status = status_of(&std::fs::read(dir.join("status")).ok()?)?;
    // A thread's number has such files too, and is no process.
    (status.group_leader == pid).then_some(Seen { stat, status })
}

/// Understands `/proc/PID/status`; the name in it need not be UTF-8.
fn status_of(bytes: &[u8]) -> Option<Status> {
    let text = String::from_utf8_lossy(bytes);
    let mut status = Status::default();
    let mut known = false;
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        match key {
            "Uid" => {
                let mut uids = value.split_whitespace().map(str::parse);
                status.uids = [uids.next()?.ok()?, uids.next()?.ok()?];
                known = true;
            }
            "Tgid" => status.group_leader = value.trim().parse().ok()?,
            "NoNewPrivs" => status.no_new_privs = value.trim() == "1",
            "CapEff" => value.trim().clone_into(&mut status.effective_capabilities),
            _ => {}
        }
    }
    known.then_some(status)
}

/// Every process, by id.
pub(super) fn all(budget: &Budget) -> Result<Vec<Seen>> {
    let mut found = Vec::new();
    for name in names(Path::new("/proc"))? {
        let Ok(pid) = name.parse::<i32>() else { continue };
        budget.check()?;
        found.extend(seen(pid));
    }
    found.sort_by_key(|seen| seen.stat.pid);
    Ok(found)
}

/// Arguments of a process, not cut; none for one without memory of its own.
pub(super) fn arguments(pid: i32) -> Vec<String> {
    let bytes = std::fs::read(dir(pid).join("cmdline")).unwrap_or_default();
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes
        .split(|byte| *byte == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

/// Its command line in one line.
pub(super) fn command(pid: i32) -> String {
    let line = arguments(pid).join(" ");
    printable(&line).chars().take(COMMAND).collect()
}

/// What turns ticks into times, and numbers into names.
pub(super) struct Desk {
    tick_hz: u64,
    page: u64,
    boot_ms: u64,
    up_ms: u64,
    users: BTreeMap<u32, String>,
}

impl Desk {
    pub(super) fn new() -> Result<Self> {
        let io = |path: &str, error: std::io::Error| ToolError::io("read", path, error);
        let file = std::fs::File::open("/proc/stat").map_err(|error| io("/proc/stat", error))?;
        let reader = std::io::BufReader::new(file);
        let stats = procfs::KernelStats::from_buf_read(reader, procfs::current_system_info())
            .map_err(|error| io("/proc/stat", std::io::Error::other(error)))?;
        let up: procfs::Uptime = parsed(Path::new("/proc/uptime"))?;
        Ok(Self {
            tick_hz: procfs::ticks_per_second().max(1),
            page: procfs::page_size(),
            boot_ms: stats.btime.saturating_mul(1000),
            up_ms: u64::try_from(up.uptime_duration().as_millis()).unwrap_or(u64::MAX),
            users: BTreeMap::new(),
        })
    }

    fn ms(&self, ticks: u64) -> u64 {
        ticks.saturating_mul(1000) / self.tick_hz
    }

    pub(super) fn user(&mut self, uid: u32) -> String {
        self.users.entry(uid).or_insert_with(|| name_of(uid)).clone()
    }

    pub(super) fn line(&mut self, seen: &Seen) -> Line {
        let stat = &seen.stat;
        let cpu_ms = self.ms(stat.utime.saturating_add(stat.stime));
        let started = self.ms(stat.starttime);
        let age = self.up_ms.saturating_sub(started).max(1);
        let cpu_percent = (cpu_ms as f64 / age as f64 * 1000.0).round() / 10.0;
        let [_, uid] = seen.status.uids;
        Line {
            pid: stat.pid,
            start_ticks: stat.starttime,
            ppid: stat.ppid,
            user: self.user(uid),
            uid,
            state: seen.state(),
            name: seen.name(),
            command: command(stat.pid),
            cpu_percent,
            cpu_ms,
            resident_bytes: stat.rss.saturating_mul(self.page),
            threads: u32::try_from(stat.num_threads).unwrap_or(0),
            started_ms: self.boot_ms.saturating_add(started),
        }
    }
}

/// A process held by the kernel's own handle: its number cannot come to mean another one.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) proc: Proc,
    fd: OwnedFd,
}

impl Handle {
    /// A handle of this process; `None` when it has ended.
    pub(super) fn open(proc: Proc) -> Result<Option<Self>> {
        let Some(pid) = Pid::from_raw(proc.pid) else {
            return Ok(None);
        };
        let fd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => fd,
            Err(Errno::SRCH) => return Ok(None),
            Err(errno) => return Err(ToolError::io("open", format!("process {}", proc.pid), errno)),
        };
        // Looked at after it is held: if it is the one meant, the handle is the one meant too.
        Ok(proc.seen().map(|_| Self { proc, fd }))
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        pidfd_send_signal(&self.fd, signal)
            .map_err(|errno| ToolError::io("signal", format!("process {}", self.proc.pid), errno))
    }

    /// Whether it has ended, after at most this time. A zombie has ended.
    pub(super) fn ended(&self, within: Duration) -> Result<bool> {
        let timeout = Timespec {
            tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(within.subsec_nanos()),
        };
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(ToolError::io(
                "wait for",
                format!("process {}", self.proc.pid),
                errno,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_names_number_and_start() {
        let proc = Proc { pid: 12, start: 345 };
        assert_eq!(proc.identity().path, "12:345");
        assert_eq!(Proc::of(&proc.identity()), Some(proc));
        let host = Identity {
            path: "host".into(),
            ..Identity::default()
        };
        assert_eq!(Proc::of(&host), None);
    }

    #[test]
    fn a_status_with_a_strange_name_is_understood() {
        let status =
            status_of(b"Name:\t\xff\\nUid:\t0\nUid:\t1000\t1001\t1000\t1000\nNoNewPrivs:\t1\n").unwrap();
        assert_eq!((status.uids, status.no_new_privs), ([1000, 1001], true));
        assert!(status_of(b"Name:\tx\n").is_none());
    }

    #[test]
    fn a_handle_of_another_start_is_not_given() {
        let me = seen(std::process::id().try_into().unwrap()).unwrap().proc();
        assert!(Handle::open(me).unwrap().is_some());
        let other = Proc {
            start: me.start + 1,
            ..me
        };
        assert!(Handle::open(other).unwrap().is_none());
    }

    #[test]
    fn a_thread_is_no_process() {
        let (send, receive) = std::sync::mpsc::channel();
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            send.send(rustix::thread::gettid().as_raw_nonzero().get())
                .unwrap();
            assert!(wait.recv().is_err());
        });
        let tid = receive.recv().unwrap();
        assert!(dir(tid).exists(), "the kernel tells of threads there too");
        assert!(seen(tid).is_none());
        drop(end);
        thread.join().unwrap();
    }
}
