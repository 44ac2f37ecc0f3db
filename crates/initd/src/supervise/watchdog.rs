//! Services that must give signs of life (sd_notify(3)): after too long a silence, or by their own word, they get
//! SIGABRT, so that they can leave a trace, and what does not end by it is killed. That is a failure.

use super::clock::Stamp;
use super::manager::{Manager, Timer};
use super::unit::State;
use aios_confine::spawn::pidfd_signal;
use nix::sys::signal::Signal;
use std::os::fd::AsFd;

/// Why it was ended.
pub(super) const WHY: &str = "watchdog";
/// Between the looks at a service that is not ready yet, at least, milliseconds.
const LOOK_MS: u64 = 10;

impl Manager {
    pub(super) fn check_watchdog(&mut self, name: &str, run: u64) {
        let Some(unit) = self.units.get(name) else { return };
        let silent = Stamp::now().since(unit.beat);
        let limit = unit.spec.watchdog_ms;
        if unit.state == State::Ready && silent >= limit {
            tracing::error!(service = name, silent_ms = silent, "no sign of life");
            self.abort(name);
        } else {
            let left = limit.saturating_sub(silent).max(LOOK_MS);
            self.after(name, run, left, Timer::Watchdog);
        }
    }

    /// Ends a service that hangs, or says so of itself.
    pub(super) fn abort(&mut self, name: &str) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        if !matches!(unit.state, State::Starting | State::Ready) {
            return;
        }
        unit.asked = true;
        WHY.clone_into(&mut unit.why);
        let (run, limit) = (unit.run, unit.spec.stop_timeout_ms);
        if let Some(process) = &unit.process
            && let Err(error) = pidfd_signal(process.pidfd.as_fd(), Signal::SIGABRT as i32)
        {
            tracing::debug!(service = name, %error, "was gone already");
        }
        self.after(name, run, limit, Timer::Abort);
    }
}
