//! What the service worker may change, beside root and persons, who may change everything.
//!
//! It acts for tools, and a tool must not be able to switch off what watches it. So of aiOS's own services,
//! and of whatever those need, it may only restart one that should be running, and each at most once a
//! minute: a guard that is restarted for ever guards nothing. What is not aiOS's own it may start, stop,
//! restart, enable and disable; but it starts nothing of aiOS that a person stopped, not along the way either.

use super::clock::Stamp;
use super::manager::Manager;
use super::requests::Change;
use super::unit::{State, Unit};
use crate::error::{InitError, Result};
use crate::graph;
use crate::spec::Spec;
use std::collections::BTreeMap;

/// Who asks for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Root, or an enrolled person.
    Person,
    /// The service worker, by its uid.
    Worker,
}

/// Names of aiOS's own services begin so; an administrator's service that does is treated as one of them.
const OWN: &str = "aios-";
/// Between two starts of a service of aiOS that the worker may cause, milliseconds.
const RESTART_EVERY_MS: u64 = 60_000;

/// Whether a service is part of aiOS itself, or something of aiOS cannot run without it.
pub(super) fn is_core(name: &str, specs: &BTreeMap<String, Spec>) -> bool {
    graph::needing(name, specs)
        .iter()
        .any(|name| name.starts_with(OWN))
}

impl Manager {
    /// Whether a caller may make a change.
    pub(super) fn may(&self, caller: Caller, change: Change, name: &str) -> Result<()> {
        if caller == Caller::Person {
            return Ok(());
        }
        let unit = self.unit(name)?;
        let specs = self.specs();
        let why = if is_core(name, &specs) {
            match change {
                Change::Restart => restart_of_core(unit, Stamp::now()),
                _ => Some("it is part of aiOS itself, or something of aiOS needs it".to_owned()),
            }
        } else if matches!(change, Change::Start | Change::Restart) {
            self.stopped_core_behind(name, &specs)
        } else {
            None
        };
        match why {
            None => Ok(()),
            Some(why) => Err(InitError::Core {
                service: name.to_owned(),
                change: change.word(),
                why,
            }),
        }
    }

    /// A service of aiOS that a start of `name` would start too, although a person stopped it.
    fn stopped_core_behind(&self, name: &str, specs: &BTreeMap<String, Spec>) -> Option<String> {
        let stopped = |other: &String| {
            let down = self.units.get(other).is_some_and(|unit| !unit.wanted);
            down && is_core(other, specs)
        };
        let other = graph::wanted_by(name, specs).into_iter().find(stopped)?;
        Some(format!(
            "it would start {other}, which is part of aiOS and was stopped"
        ))
    }
}

/// Why a service of aiOS may not be restarted now.
fn restart_of_core(unit: &Unit, now: Stamp) -> Option<String> {
    match unit.state {
        State::Backoff | State::Failed => None,
        _ if !unit.wanted => Some("it is part of aiOS itself, and a person stopped it".to_owned()),
        _ if unit.started.is_set() && now.since(unit.started) < RESTART_EVERY_MS => {
            let ago = now.since(unit.started) / 1000;
            Some(format!(
                "it is part of aiOS itself, restarted at most once a minute, and was started {ago} s ago"
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, needs: &[&str]) -> (String, Spec) {
        let spec = Spec {
            name: name.into(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            ..Spec::default()
        };
        (name.to_owned(), spec)
    }

    #[test]
    fn what_aios_needs_is_core_and_what_needs_aios_is_not() {
        let specs: BTreeMap<_, _> = [
            spec("aios-guard", &["disk"]),
            spec("disk", &["bus"]),
            spec("bus", &[]),
            spec("web", &["aios-guard"]),
        ]
        .into();
        for (name, core) in [
            ("aios-guard", true),
            ("disk", true),
            ("bus", true),
            ("web", false),
        ] {
            assert_eq!(is_core(name, &specs), core, "{name}");
        }
    }

    #[test]
    fn a_core_service_is_restarted_when_it_should_run_and_not_all_the_time() {
        let (_, spec) = spec("aios-guard", &[]);
        // The clock that a person sees was set back meanwhile, which changes nothing.
        let at = |utc_ms, mono_ms| Stamp { utc_ms, mono_ms };
        let unit = |state, wanted, started_ms| Unit {
            state,
            wanted,
            started: at(9_000_000, started_ms),
            ..Unit::new(spec.clone())
        };
        for (unit, now_ms, allowed) in [
            (unit(State::Ready, true, 1_000), 61_000, true),
            (unit(State::Ready, true, 1_000), 60_999, false),
            (unit(State::Starting, true, 1_000), 2_000, false),
            (unit(State::Backoff, true, 1_000), 1_001, true),
            (unit(State::Failed, false, 1_000), 1_001, true),
            (unit(State::Stopped, false, 1_000), 99_000, false),
            (unit(State::Stopping, false, 1_000), 99_000, false),
            (unit(State::Listening, true, 0), 70_000, true),
        ] {
            assert_eq!(
                restart_of_core(&unit, at(5, now_ms)).is_none(),
                allowed,
                "{:?}",
                unit.state
            );
        }
    }
}
