//! Shedding: when memory is short, services are stopped in a declared order, one at a time, before the kernel
//! chooses; when it has been enough for a while they are started again in the reverse order.
//!
//! Shortage is the kernel's `full avg10` of memory (PSI, Documentation/accounting/psi.rst): the share of the last ten
//! seconds in which nothing could run for want of it. A trigger tells of it, so that nobody wakes up to look while
//! there is none.

use super::clock::Stamp;
use super::manager::{Event, Manager};
use super::world::Config;
use crate::graph;
use crate::sys;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Why a service was ended.
const WHY: &str = "memory pressure";
/// 0.1 s of stalls within 2 s: earlier than what is shed at. Anybody may ask for windows of whole 2 s.
const TRIGGER: &[u8] = b"full 100000 2000000\0";
/// Between two looks while there is pressure or something is shed.
const LOOK: Duration = Duration::from_secs(2);

/// Hundredths of a percent.
type Pressure = u64;

/// What is known between two looks.
#[derive(Debug, Default)]
pub(crate) struct Shedding {
    /// When the last service was stopped or started.
    last: Stamp,
    /// Since when there has been no pressure.
    calm: Option<Stamp>,
    /// Whether something is shed, for whoever looks.
    active: Arc<AtomicBool>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Shed,
    Restore,
    Nothing,
}

impl Shedding {
    /// One step at a time, with a pause after each, so that what it brought is seen before the next.
    fn step(&mut self, pressure: Pressure, config: &Config, now: Stamp) -> Step {
        let limit = config.shed_memory_full_avg10.saturating_mul(100);
        // Between half of the limit and the limit nothing changes.
        if pressure * 2 >= limit {
            self.calm = None;
        } else if self.calm.is_none() {
            self.calm = Some(now);
        }
        let rested = !self.last.is_set() || now.since(self.last) >= config.shed_pause_ms;
        let calm = self
            .calm
            .is_some_and(|since| now.since(since) >= config.shed_calm_ms);
        match (pressure >= limit, calm) {
            (true, _) if rested => Step::Shed,
            (false, true) if rested => Step::Restore,
            _ => Step::Nothing,
        }
    }
}

impl Manager {
    /// Looks for pressure from now on, unless the configuration or the kernel knows none.
    pub(super) fn watch_pressure(&mut self) {
        let shed = self.units.values().any(|unit| unit.shed > 0);
        self.shedding.active.store(shed, Ordering::Relaxed);
        let path = PathBuf::from(&self.world.config.pressure_file);
        if self.world.config.shed_memory_full_avg10 == 0 || !path.exists() {
            return;
        }
        let half = self.world.config.shed_memory_full_avg10.saturating_mul(50);
        let (events, token) = (self.events.clone(), self.tasks.token());
        let active = self.shedding.active.clone();
        self.tasks.spawn("pressure", async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = look(&path, half, &active, events) => {}
            }
        });
    }

    pub(super) fn pressed(&mut self, pressure: Pressure) {
        if self.ending.is_some() {
            return;
        }
        let now = Stamp::now();
        let done = match self.shedding.step(pressure, &self.world.config, now) {
            Step::Shed => self.shed_one(pressure),
            Step::Restore => self.restore_one(),
            Step::Nothing => false,
        };
        if done {
            self.shedding.last = now;
        }
        let active = self.units.values().any(|unit| unit.shed > 0);
        self.shedding.active.store(active, Ordering::Relaxed);
    }

    /// Stops what is first in the order, and what needs it.
    fn shed_one(&mut self, pressure: Pressure) -> bool {
        let runs = self
            .units
            .values()
            .filter(|unit| unit.spec.shed > 0 && unit.wanted && unit.state.has_process());
        let Some((rank, name)) = runs.map(|unit| (unit.spec.shed, unit.spec.name.clone())).max() else {
            return false;
        };
        for name in graph::needing(&name, &self.specs()) {
            if let Some(unit) = self.units.get_mut(&name)
                && unit.wanted
            {
                unit.shed = rank;
                WHY.clone_into(&mut unit.why);
            }
        }
        self.unwant(&name);
        let percent = pressure / 100;
        tracing::warn!(service = name, percent, rank, "stopped: memory is short");
        let text = format!(
            "memory is short ({percent} % of the time nothing runs): {name} is stopped until it is not"
        );
        super::console(&self.world, &text);
        true
    }

    /// Starts what was stopped last, with all that went with it.
    fn restore_one(&mut self) -> bool {
        let shed = self.units.values().filter(|unit| unit.shed > 0);
        let Some(rank) = shed.map(|unit| unit.shed).min() else {
            return false;
        };
        let names: Vec<String> = self
            .units
            .iter()
            .filter(|(_, unit)| unit.shed == rank)
            .map(|(name, _)| name.clone())
            .collect();
        for name in &names {
            if let Some(unit) = self.units.get_mut(name) {
                unit.shed = 0;
            }
            self.want(name);
        }
        let names = names.join(", ");
        tracing::warn!(services = names, "started again: memory is not short any more");
        super::console(
            &self.world,
            &format!("memory is not short any more: {names} is started again"),
        );
        true
    }

    /// A person's word about a service counts more than what was shed.
    pub(super) fn not_shed(&mut self, name: &str) {
        for name in graph::needing(name, &self.specs()) {
            if let Some(unit) = self.units.get_mut(&name) {
                unit.shed = 0;
            }
        }
    }
}

/// Sleeps until the kernel tells of pressure, then looks until there is none and nothing is shed.
async fn look(path: &Path, half: Pressure, active: &AtomicBool, events: mpsc::Sender<Event>) {
    let trigger = trigger(path).inspect_err(|error| {
        tracing::info!(path = %path.display(), %error, "no trigger: looked at every now and then");
    });
    let trigger = trigger.ok().map(Arc::new);
    loop {
        let pressure = match full_avg10(path) {
            Ok(pressure) => pressure,
            Err(error) => return tracing::error!(path = %path.display(), %error, "pressure is not known"),
        };
        if events.send(Event::Pressure(pressure)).await.is_err() {
            return;
        }
        match &trigger {
            Some(fd) if pressure < half && !active.load(Ordering::Relaxed) => {
                if let Err(error) = sys::urgent(fd.clone()).await {
                    tracing::error!(%error, "pressure is not watched any more");
                    return;
                }
            }
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

/// A descriptor that is urgent when there is pressure. Only the kernel's own file knows triggers.
fn trigger(path: &Path) -> io::Result<OwnedFd> {
    if !path.starts_with("/proc") {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut file: File = OpenOptions::new().read(true).write(true).open(path)?;
    file.write_all(TRIGGER)?;
    Ok(file.into())
}

fn full_avg10(path: &Path) -> io::Result<Pressure> {
    let text = fs::read_to_string(path)?;
    parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// `full avg10=12.34 …` in hundredths.
fn parse(text: &str) -> Option<Pressure> {
    let line = text.lines().find_map(|line| line.strip_prefix("full avg10="))?;
    let (whole, rest) = line.split_once('.')?;
    let hundredths = rest.get(..2)?;
    Some(whole.parse::<u64>().ok()? * 100 + hundredths.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lines_are_read() {
        let text = "some avg10=1.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=12.34 avg60=0.00 avg300=0.00 total=3\n";
        assert_eq!(parse(text), Some(1234));
        assert_eq!(parse("some avg10=1.00\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn one_step_at_a_time_and_back_only_after_a_long_calm() {
        let config = Config {
            shed_memory_full_avg10: 10,
            shed_pause_ms: 10_000,
            shed_calm_ms: 60_000,
            ..Config::default()
        };
        let mut shedding = Shedding::default();
        let mut steps = Vec::new();
        for (second, percent) in [
            (1, 4),
            (2, 20),
            (4, 30),
            (12, 30),
            (14, 7),
            (20, 7),
            (30, 3),
            (60, 3),
            (70, 6),
            (80, 3),
            (139, 3),
            (140, 3),
            (142, 3),
            (151, 3),
            (161, 50),
            (162, 50),
            (180, 0),
        ] {
            // The clock that a person sees runs backwards meanwhile.
            let now = Stamp {
                utc_ms: -second,
                mono_ms: u64::try_from(second).unwrap() * 1000,
            };
            let step = shedding.step(percent * 100, &config, now);
            if step != Step::Nothing {
                shedding.last = now;
                steps.push((second, step));
            }
        }
        assert_eq!(
            steps,
            [
                (2, Step::Shed),
                (12, Step::Shed),
                (140, Step::Restore),
                (151, Step::Restore),
                (161, Step::Shed),
            ]
        );
    }
}
