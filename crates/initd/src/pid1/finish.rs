//! The end: whatever still runs is ended, file systems are flushed and taken away, and the machine
//! is switched off, started again, or left.

use super::watchdog::Watchdog;
use crate::link::End;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::reboot::{RebootMode, reboot, set_cad_enabled};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, sync};
use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// How long processes that the supervisor did not know may take after SIGTERM.
const LAST_GRACE: Duration = Duration::from_secs(2);

/// Exit status of the whole program, when it is not process 1 of a machine.
static EXIT_CODE: AtomicU8 = AtomicU8::new(0);

/// A sentence on standard error, without allocation. Where that is closed nobody can be told.
pub(super) fn say(text: &str, rest: &str) {
    let mut out = std::io::stderr();
    for part in [text, rest, "\n"] {
        let _unheard = out.write_all(part.as_bytes());
    }
}

/// Sets what the program ends with.
pub(super) fn set_exit_code(code: i32) {
    EXIT_CODE.store(u8::try_from(code).unwrap_or(1).max(1), Ordering::Relaxed);
}

/// Lets the kernel send us SIGINT at Ctrl-Alt-Del; a container may not ask for that.
pub(super) fn catch_ctrl_alt_del() {
    let _only_on_a_machine = set_cad_enabled(false);
}

/// Ends everything. As process 1 of a machine it does not return; else it yields the exit status.
///
/// A container's process 1 touches neither mounts nor the power: its file systems, and the kernel,
/// are the host's.
pub(super) fn finish(end: End, first: bool, mut watchdog: Option<Watchdog>) -> u8 {
    if let Some(watchdog) = &mut watchdog {
        watchdog.last();
    }
    if first {
        end_all();
        sync();
        if !crate::sys::is_machine() {
            return EXIT_CODE.load(Ordering::Relaxed);
        }
        unmount_all();
        close(watchdog.as_ref());
        let mode = match end {
            End::Reboot => Some(RebootMode::RB_AUTOBOOT),
            End::PowerOff => Some(RebootMode::RB_POWER_OFF),
            End::Exit => None,
        };
        if let Some(mode) = mode {
            // Only comes back where there is no machine to switch: in a container, whose end is ours.
            match reboot(mode) {
                Ok(never) => match never {},
                Err(error) => say("aios-init: reboot: ", error.desc()),
            }
        }
    } else {
        end_children();
        close(watchdog.as_ref());
    }
    EXIT_CODE.load(Ordering::Relaxed)
}

fn close(watchdog: Option<&Watchdog>) {
    if let Some(watchdog) = watchdog {
        watchdog.close();
    }
}

/// As process 1: asks everything to end, then ends it.
fn end_all() {
    let everyone = Pid::from_raw(-1);
    if kill(everyone, Signal::SIGTERM).is_ok() && !reap_until(super::now() + LAST_GRACE) {
        let _none_left = kill(everyone, Signal::SIGKILL);
        reap_until(super::now() + LAST_GRACE);
    }
}

/// As an ordinary process: ends what became our child because its parent ended.
fn end_children() {
    let path = format!("/proc/self/task/{}/children", std::process::id());
    // Each pass may bring the children of those that it ended.
    for _ in 0..64 {
        let list = fs::read_to_string(&path).unwrap_or_default();
        let mut any = false;
        for pid in list.split_whitespace().filter_map(|word| word.parse().ok()) {
            any = true;
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
            let _reaped = waitpid(Pid::from_raw(pid), None);
        }
        if !any {
            return;
        }
    }
}

/// Reaps until there is no child left or the time is over; says whether none is left.
fn reap_until(until: Duration) -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return true,
            Ok(WaitStatus::StillAlive) if super::now() >= until => return false,
            // SIGCHLD is blocked here and nothing else runs.
            Ok(WaitStatus::StillAlive) => rest(Duration::from_millis(20)),
            _ => {}
        }
    }
}

/// Sleeps, by a call that needs no memory. Signals wait meanwhile.
pub(super) fn rest(time: Duration) {
    if let Ok(time) = rustix::time::Timespec::try_from(time) {
        let _rested = rustix::thread::nanosleep(&time);
    }
}

/// Makes file systems read-only, which closes their journals, and unmounts what can be unmounted, the latest first.
///
/// In this order, because an overlay holds the file systems below it by mounts that nobody can name: after the last
/// unmount such a one would live on, open, out of reach. That is the root of a machine that bootc installed.
fn unmount_all() {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let keep = ["/", "/proc", "/sys", "/dev", "/run"];
    let mut targets: Vec<&str> = table.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    targets.reverse();
    for target in targets.into_iter().filter(|target| !keep.contains(target)) {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        let closed = remount(target, flags);
        if umount2(target, MntFlags::empty()).is_err() && !closed {
            // A file system that is still written to stays; it was flushed before.
            remount(target, flags | MsFlags::MS_BIND);
        }
    }
    remount("/", MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY);
    sync();
}

/// Whether it did.
fn remount(target: &str, flags: MsFlags) -> bool {
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>).is_ok()
}
