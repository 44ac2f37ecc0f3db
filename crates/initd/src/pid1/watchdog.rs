//! The machine's watchdog (Documentation/watchdog/watchdog-api.rst): it starts the machine again when process 1 does
//! not come round. Fed from its loop, in which the supervisor lives or is being started again.

use super::finish::say;
use nix::errno::Errno;
use rustix::fs::{Mode, OFlags, open};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// Environment, on a development tree only: `PATH:SECONDS` of what stands for a watchdog there.
const DOUBLE: &str = "INIT_WATCHDOG";
const DEVICE: &str = "/dev/watchdog0";
/// The machine starts again after so long, seconds.
const TIMEOUT: u32 = 60;
/// It is fed so many times within that.
const TIMES: u32 = 3;
/// So long the last flush and unmounting may take, seconds.
const LAST: u32 = 600;

/// Where there is one, as soon as its driver is there.
#[derive(Debug)]
pub(super) struct Place {
    path: CString,
    seconds: u32,
}

impl Place {
    /// That of a machine, or its double; none elsewhere.
    pub(super) fn find(state: Option<&Path>, first: bool) -> Option<Self> {
        match state {
            Some(_) => double(&std::env::var_os(DOUBLE)?),
            None if first && crate::sys::is_machine() => Some(Self {
                path: CString::new(DEVICE).ok()?,
                seconds: TIMEOUT,
            }),
            None => None,
        }
    }

    /// Opens and starts it. Without allocation. None while there is none: a machine goes on without.
    pub(super) fn open(&self) -> Option<Watchdog> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = open(self.path.as_c_str(), flags, Mode::empty()).ok()?;
        let mut watchdog = Watchdog {
            fd,
            every: Duration::ZERO,
            fed: Duration::ZERO,
        };
        watchdog.set(self.seconds);
        Some(watchdog)
    }
}

/// An open watchdog.
#[derive(Debug)]
pub(super) struct Watchdog {
    fd: OwnedFd,
    every: Duration,
    fed: Duration,
}

impl Watchdog {
    /// What cannot be set, a double among it, keeps its own time; it is fed as often all the same.
    fn set(&mut self, seconds: u32) {
        let seconds = crate::sys::set_watchdog(self.fd.as_fd(), seconds).unwrap_or(seconds);
        self.every = Duration::from_secs(u64::from(seconds.max(1))) / TIMES;
        self.feed(super::now());
    }

    /// Until it must be fed.
    pub(super) fn due(&self, now: Duration) -> Duration {
        (self.fed + self.every).saturating_sub(now)
    }

    /// Feeds it if it is time.
    pub(super) fn feed_if_due(&mut self, now: Duration) {
        if self.due(now).is_zero() {
            self.feed(now);
        }
    }

    fn feed(&mut self, now: Duration) {
        self.fed = now;
        self.write(b"k");
    }

    /// Everything has stopped: what is left to do is not done in the loop any more.
    pub(super) fn last(&mut self) {
        self.set(LAST);
    }

    /// The machine ends in order: the watchdog is not to end it.
    pub(super) fn close(&self) {
        self.write(b"V");
    }

    fn write(&self, byte: &[u8]) {
        if let Err(error) = rustix::io::write(&self.fd, byte) {
            say(
                "aios-init: watchdog: ",
                Errno::from_raw(error.raw_os_error()).desc(),
            );
        }
    }
}

fn double(text: &OsStr) -> Option<Place> {
    let bytes = text.as_bytes();
    let colon = bytes.iter().rposition(|byte| *byte == b':')?;
    let (path, seconds) = bytes.split_at(colon);
    Some(Place {
        path: CString::new(path).ok()?,
        seconds: std::str::from_utf8(seconds.get(1..)?).ok()?.parse().ok()?,
    })
}
