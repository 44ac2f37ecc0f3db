//! One service while the supervisor runs: its state and what is known of its process.

use super::clock::Stamp;
use crate::spec::{Ready, Restart, Spec};
use aios_confine::Degradation;
use aios_core::service::EXIT_STAYS_DOWN;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Where a service is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Not running, and not to be.
    Stopped,
    /// To be started when what it needs is there.
    Waiting,
    /// Its process runs, but is not ready.
    Starting,
    /// Ready.
    Ready,
    /// It did what it is for and ended (`ready = "exit"`). To the outside that is `ready`, without a process.
    Done,
    /// Asked to end.
    Stopping,
    /// Ended by itself; to be started after a pause.
    Backoff,
    /// Ended or could not be started, and will not be tried again.
    Failed,
    /// Its sockets are open; the first connection starts it.
    Listening,
}

impl State {
    /// The word in the API.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready | Self::Done => "ready",
            Self::Stopping => "stopping",
            Self::Backoff => "backoff",
            Self::Failed => "failed",
            Self::Listening => "listening",
        }
    }

    /// Whether what needs the service can go on.
    pub(crate) fn satisfies(self) -> bool {
        matches!(self, Self::Ready | Self::Done | Self::Listening)
    }

    /// Whether there is a process.
    pub(crate) fn has_process(self) -> bool {
        matches!(self, Self::Starting | Self::Ready | Self::Stopping)
    }
}

/// The running process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Field 22 of `/proc/PID/stat`: together with the id it names one process of this boot.
    pub(crate) starttime: u64,
    pub(crate) pidfd: Arc<OwnedFd>,
}

/// A service.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) spec: Spec,
    pub(crate) state: State,
    /// Whether it is to run.
    pub(crate) wanted: bool,
    pub(crate) process: Option<Process>,
    /// Number of the current start; events of earlier ones are ignored.
    pub(crate) run: u64,
    pub(crate) restarts: u32,
    /// Ends in a row without a long time of being ready, for the pause.
    pub(crate) failures: u32,
    pub(crate) started: Stamp,
    /// No moment while it is not ready.
    pub(crate) ready_since: Stamp,
    pub(crate) ready_ms: u64,
    /// The end of the pause, in one.
    pub(crate) next_start: Stamp,
    pub(crate) last_exit: String,
    /// How it ended, the oldest first.
    pub(crate) exits: VecDeque<Exit>,
    /// Whether we asked the current process to end, or killed it.
    pub(crate) asked: bool,
    /// Why we ended the current process, or what is known of its end: one of a few phrases, or empty.
    pub(crate) why: String,
    /// Until when it asked for more time to start or stop.
    pub(crate) more_until: Stamp,
    /// The place in the order of shedding that it was stopped by; 0 when it was not.
    pub(crate) shed: u32,
    /// What the kernel had counted before the current start: processes of it killed for want of memory.
    pub(crate) oom_kills: u64,
    /// Whether its files have it started at boot; `spec.enabled` is what holds.
    pub(crate) enabled_by_file: bool,
    /// What its files say now, when that differs from what runs.
    pub(crate) next: Option<Spec>,
    /// What it says about itself.
    pub(crate) status: String,
    /// Last sign of life, for the watchdog.
    pub(crate) beat: Stamp,
    pub(crate) degradations: Vec<Degradation>,
}

/// How a process ended, or why it could not be started.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Exit {
    pub(crate) time_ms: i64,
    pub(crate) how: String,
    pub(crate) was_ready: bool,
    pub(crate) ran_ms: u64,
    pub(crate) asked: bool,
    pub(crate) out_of_memory: bool,
    /// As [`Unit::why`].
    #[serde(default)]
    pub(crate) why: String,
}

/// Ends that are remembered.
const EXITS: usize = 10;
/// After being ready so long, the next failure counts as the first.
const STABLE_MS: u64 = 10_000;

impl Unit {
    pub(crate) fn new(spec: Spec) -> Self {
        Self {
            enabled_by_file: spec.enabled,
            next: None,
            exits: VecDeque::new(),
            asked: false,
            why: String::new(),
            more_until: Stamp::default(),
            shed: 0,
            oom_kills: 0,
            spec,
            state: State::Stopped,
            wanted: false,
            process: None,
            run: 0,
            restarts: 0,
            failures: 0,
            started: Stamp::default(),
            ready_since: Stamp::default(),
            ready_ms: 0,
            next_start: Stamp::default(),
            last_exit: String::new(),
            status: String::new(),
            beat: Stamp::default(),
            degradations: Vec::new(),
        }
    }

    /// Process id, 0 when there is none.
    pub(crate) fn pid(&self) -> u32 {
        self.process
            .as_ref()
            .and_then(|p| u32::try_from(p.pid).ok())
            .unwrap_or(0)
    }

    /// Milliseconds that it asked for and that are not over.
    pub(crate) fn extended(&self) -> u64 {
        self.more_until.since(Stamp::now())
    }

    /// Notes that it is ready, or that what it is for is done.
    pub(crate) fn set_ready(&mut self, now: Stamp) {
        self.state = if self.spec.ready == Ready::Exit {
            State::Done
        } else {
            State::Ready
        };
        self.ready_since = now;
        self.ready_ms = now.since(self.started);
    }

    /// Remembers how its process ended, before [`Unit::ended`]; or why there is none.
    pub(crate) fn note_exit(&mut self, how: &str, out_of_memory: bool, now: Stamp) {
        let ran = if self.process.is_some() {
            now.since(self.started)
        } else {
            0
        };
        if self.exits.len() == EXITS {
            self.exits.pop_front();
        }
        self.exits.push_back(Exit {
            time_ms: now.utc_ms,
            how: how.to_owned(),
            was_ready: self.ready_since.is_set(),
            ran_ms: ran,
            asked: self.asked,
            out_of_memory,
            why: std::mem::take(&mut self.why),
        });
    }

    /// What follows when its process ended: the pause before the next start, or none when it stays down.
    pub(crate) fn ended(&mut self, exit: &str, now: Stamp) -> Option<u64> {
        let was = self.state;
        self.process = None;
        self.last_exit = exit.to_owned();
        if was == State::Ready && now.since(self.ready_since) >= STABLE_MS {
            self.failures = 0;
        }
        self.ready_since = Stamp::default();
        if !self.wanted {
            self.state = State::Stopped;
            return None;
        }
        // It was stopped by us to be started again.
        if was == State::Stopping {
            self.state = State::Waiting;
            return None;
        }
        if self.spec.ready == Ready::Exit && exit == "exit 0" {
            self.failures = 0;
            self.set_ready(now);
            return None;
        }
        // One that hung may still end well.
        let failed = self
            .exits
            .back()
            .is_some_and(|exit| exit.why == super::watchdog::WHY);
        let again = match self.spec.restart {
            _ if stays_down(exit) => false,
            Restart::Always => true,
            Restart::OnFailure => exit != "exit 0" || failed,
            Restart::Never => false,
        };
        if !again {
            self.wanted = false;
            self.state = if exit == "exit 0" && !failed {
                State::Stopped
            } else {
                State::Failed
            };
            return None;
        }
        Some(self.back_off(now))
    }

    /// Enters the pause and yields its length, milliseconds.
    pub(crate) fn back_off(&mut self, now: Stamp) -> u64 {
        let doubled = self
            .spec
            .restart_min_ms
            .saturating_mul(1 << self.failures.min(32));
        let pause = doubled.min(self.spec.restart_max_ms);
        self.failures += 1;
        self.restarts += 1;
        self.state = State::Backoff;
        self.next_start = now.plus(pause);
        pause
    }
}

/// Whether a service says by its exit status that starting it again would change nothing.
fn stays_down(exit: &str) -> bool {
    exit.strip_prefix("exit ").and_then(|code| code.parse().ok()) == Some(EXIT_STAYS_DOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A moment. The clock that a person sees runs backwards here, which decides nothing.
    fn at(mono_ms: u64) -> Stamp {
        Stamp {
            utc_ms: 1_800_000_000_000 - 1000 * i64::try_from(mono_ms).unwrap(),
            mono_ms,
        }
    }

    fn running(restart: Restart) -> Unit {
        let spec = Spec {
            restart,
            restart_min_ms: 100,
            restart_max_ms: 1000,
            ..Spec::default()
        };
        Unit {
            state: State::Ready,
            wanted: true,
            ..Unit::new(spec)
        }
    }

    #[test]
    fn the_pause_doubles_up_to_its_cap_and_starts_over_after_a_stable_time() {
        let mut unit = running(Restart::Always);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            pauses.push(unit.ended("signal 9", at(0)).unwrap());
            unit.state = State::Starting;
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
        unit.set_ready(at(0));
        assert_eq!(unit.ended("signal 9", at(STABLE_MS)), Some(100));
        assert_eq!(unit.restarts, 7);
    }

    #[test]
    fn the_last_ends_are_remembered() {
        let mut unit = running(Restart::Always);
        for time in 0..15 {
            unit.note_exit(&format!("exit {time}"), time == 14, at(time));
        }
        let hows: Vec<&str> = unit.exits.iter().map(|exit| exit.how.as_str()).collect();
        assert_eq!(hows.len(), EXITS);
        assert_eq!((hows.first(), hows.last()), (Some(&"exit 5"), Some(&"exit 14")));
        assert!(unit.exits.back().unwrap().out_of_memory);
    }

    #[test]
    fn what_is_not_wanted_stays_down() {
        let mut unit = running(Restart::Always);
        unit.wanted = false;
        unit.state = State::Stopping;
        assert_eq!(unit.ended("signal 15", at(0)), None);
        assert_eq!(unit.state, State::Stopped);
    }

    #[test]
    fn the_restart_rule_decides() {
        let cases = [
            (Restart::OnFailure, "exit 0", State::Stopped),
            (Restart::OnFailure, "exit 3", State::Backoff),
            (Restart::Never, "exit 3", State::Failed),
            (Restart::Never, "exit 0", State::Stopped),
            (Restart::Always, "exit 78", State::Failed),
            (Restart::OnFailure, "exit 78", State::Failed),
        ];
        for (rule, exit, wanted) in cases {
            let mut unit = running(rule);
            unit.ended(exit, at(0));
            assert_eq!(unit.state, wanted, "{rule:?} {exit}");
        }
    }

    #[test]
    fn one_that_is_ready_by_its_exit_is_done_or_failed() {
        for (rule, exit, wanted) in [
            (Restart::Never, "exit 0", State::Done),
            (Restart::Never, "exit 3", State::Failed),
            (Restart::Never, "exit unknown", State::Failed),
            (Restart::OnFailure, "signal 9", State::Backoff),
            (Restart::OnFailure, "exit 0", State::Done),
        ] {
            let mut unit = running(rule);
            unit.spec.ready = Ready::Exit;
            unit.state = State::Starting;
            unit.ended(exit, at(7));
            assert_eq!(unit.state, wanted, "{rule:?} {exit}");
            assert_eq!(unit.state.satisfies(), wanted == State::Done);
            assert!(!unit.state.has_process());
        }
    }

    #[test]
    fn a_restart_by_a_person_has_no_pause() {
        let mut unit = running(Restart::Always);
        unit.state = State::Stopping;
        assert_eq!(unit.ended("signal 15", at(0)), None);
        assert_eq!((unit.state, unit.restarts), (State::Waiting, 0));
    }
}
