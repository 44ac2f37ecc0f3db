//! Ending services: in order, the main process first, then whatever else it left.

use super::launch::group_of;
use super::manager::{Manager, Timer};
use super::unit::{State, Unit};
use crate::boot;
use crate::graph;
use crate::link::End;
use aios_confine::cgroup::Cgroup;
use aios_confine::spawn::pidfd_signal;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::fd::AsFd;
use std::time::Duration;

impl Manager {
    /// Everything shall stop.
    pub(super) fn end(&mut self, end: End) {
        if self.ending.is_none() {
            tracing::info!(end = end.word(), "stopping everything");
            self.ending = Some(end);
            self.world.ending(end);
        }
        for unit in self.units.values_mut() {
            unit.wanted = false;
        }
    }

    /// Marks a service, and what needs it, as not wanted.
    pub(super) fn unwant(&mut self, name: &str) {
        for name in graph::needing(name, &self.specs()) {
            if let Some(unit) = self.units.get_mut(&name) {
                unit.wanted = false;
            }
        }
    }

    /// Asks those to end that are not wanted and that nothing running comes after.
    pub(super) fn stop_what_can_stop(&mut self) {
        for name in self.order.clone().into_iter().rev() {
            let Some(unit) = self.units.get(&name) else {
                continue;
            };
            if unit.wanted {
                continue;
            }
            match unit.state {
                State::Starting | State::Ready if !self.is_leaned_on(&name) => self.ask_to_end(&name),
                State::Done if self.is_leaned_on(&name) => {}
                State::Waiting | State::Backoff | State::Listening | State::Done => {
                    if let Some(unit) = self.units.get_mut(&name) {
                        unit.state = State::Stopped;
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether something that is stopping too, and was started after `name`, still runs.
    fn is_leaned_on(&self, name: &str) -> bool {
        let follows = |unit: &Unit| {
            let spec = &unit.spec;
            spec.needs
                .iter()
                .chain(&spec.wants)
                .chain(&spec.after)
                .any(|before| before == name)
        };
        self.units
            .values()
            .any(|unit| !unit.wanted && unit.state.has_process() && follows(unit))
    }

    /// SIGTERM to the main process, and a time limit.
    pub(super) fn ask_to_end(&mut self, name: &str) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        unit.state = State::Stopping;
        unit.asked = true;
        let (run, limit) = (unit.run, unit.spec.stop_timeout_ms);
        if let Some(process) = &unit.process
            && let Err(error) = pidfd_signal(process.pidfd.as_fd(), Signal::SIGTERM as i32)
        {
            tracing::debug!(service = name, %error, "was gone already");
        }
        self.after(name, run, limit, Timer::Stop);
    }

    /// SIGKILL to the main process; what it left follows when its end is seen.
    pub(super) fn kill(&mut self, name: &str) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        unit.asked = true;
        if let Some(process) = &unit.process
            && let Err(error) = pidfd_signal(process.pidfd.as_fd(), Signal::SIGKILL as i32)
        {
            tracing::debug!(service = name, %error, "was gone already");
        }
    }

    /// Ends what the main process left behind. A service that owns its slice keeps it when it failed,
    /// so that containers survive their manager, and loses it when it is stopped.
    pub(super) fn end_rest(&mut self, name: &str) {
        let Some(unit) = self.units.get(name) else { return };
        let Some(group) = group_of(&self.world, &unit.spec) else {
            if let Ok(leader) = i32::try_from(unit.pid()) {
                end_session(leader);
            }
            return;
        };
        let delegated = unit.spec.confine.delegate;
        if delegated && unit.wanted {
            return;
        }
        let whole = if delegated {
            group.path().parent().map_or_else(|| group.clone(), Cgroup::at)
        } else {
            group
        };
        if let Err(error) = whole.kill() {
            tracing::error!(service = name, %error, "cannot end what a service left");
        }
    }

    pub(super) fn all_stopped(&self) -> bool {
        self.units.values().all(|unit| !unit.state.has_process())
    }

    /// Removes what this instance made outside its tree.
    pub(super) fn clean_up(&mut self) {
        let Some(root) = boot::cgroup_root(&self.world) else {
            return;
        };
        let root = Cgroup::at(root);
        if let Err(error) = root.kill() {
            tracing::error!(%error, "cannot end the last processes");
        }
        if self.world.booted {
            return;
        }
        // The kernel takes a moment to empty a killed group.
        for _ in 0..200 {
            if root.remove().is_ok() {
                break;
            }
            nap(Duration::from_millis(10));
        }
        if let Some(above) = root.path().parent() {
            // Other instances may be in it.
            let _in_use = std::fs::remove_dir(above);
        }
        let socket = super::notify::path(&self.world);
        if let Err(error) = super::sockets::remove_stale(&socket) {
            tracing::warn!(%error, "cannot remove the notification socket");
        }
    }
}

/// Without cgroups: the process group that the service led.
fn end_session(leader: i32) {
    if leader > 0 {
        // There may be nobody left in it.
        let _empty = killpg(Pid::from_raw(leader), Signal::SIGKILL);
    }
}

/// A pause without events: when there are none yet, or none any more.
pub(super) fn nap(time: Duration) {
    let limit = nix::sys::time::TimeSpec::from(time);
    let _over = nix::poll::ppoll(&mut [], Some(limit), None);
}
