//! Taking over from a supervisor that died: what ran goes on, as it was started.

use super::clock::Stamp;
use super::launch;
use super::manager::{Manager, Timer};
use super::memory::{self, Memory, Remembered};
use super::sockets;
use super::unit::{Process, State};
use super::watch;
use super::world::World;
use crate::error::{InitError, Result};
use crate::graph;
use crate::spec::{Ready, Spec};
use aios_confine::spawn::pidfd_open;
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Under which PID 1 keeps the pidfd of a service's process: whoever has it learns how the process ended, also
/// after PID 1 has reaped it.
pub(super) fn process_key(name: &str) -> String {
    format!("proc:{name}")
}

/// Under which PID 1 keeps the end of a pipe on which a newline means ready.
pub(super) fn ready_key(name: &str) -> String {
    format!("ready:{name}")
}

/// Has each service that runs go on by the files that it was started with, whatever lies there now. Yields what
/// lies there now where that differs: the next start takes it.
pub(super) fn as_started(
    world: &World,
    memory: &Memory,
    specs: &mut BTreeMap<String, Spec>,
    order: &mut Vec<String>,
) -> Result<BTreeMap<String, Spec>> {
    let mut next = BTreeMap::new();
    for name in running(memory) {
        let Some(mut spec) = memory::recall_spec(world, name) else {
            continue;
        };
        if let Some(now) = specs.get(name) {
            spec.enabled = now.enabled;
            if now.digest()? != spec.digest()? {
                next.insert(name.clone(), now.clone());
            }
        }
        specs.insert(name.clone(), spec);
        if !order.contains(name) {
            order.push(name.clone());
        }
    }
    // Files that changed meanwhile may need each other in a circle; what runs is stopped in some order then.
    if let Ok(better) = graph::start_order(specs) {
        *order = better;
    }
    Ok(next)
}

fn running(memory: &Memory) -> impl Iterator<Item = &String> {
    let runs = |known: &Remembered| known.state.has_process() && known.pid != 0;
    memory
        .units
        .iter()
        .filter(move |(_, known)| runs(known))
        .map(|(name, _)| name)
}

/// Services that run and whose descriptors PID 1 could not keep: with new ones nobody would reach them.
pub(super) fn cut_off(world: &World, memory: &Memory, specs: &BTreeMap<String, Spec>) -> BTreeSet<String> {
    let whole = |name: &String| {
        let sockets = specs.get(name).into_iter().flat_map(|spec| &spec.socket);
        let mut keys = sockets.map(|socket| sockets::key(name, &socket.fd_name()));
        let logs = [format!("log.r:{name}"), format!("log.w:{name}")];
        keys.all(|key| world.has(&key)) && logs.iter().all(|key| world.has(key))
    };
    running(memory).filter(|name| !whole(name)).cloned().collect()
}

impl Manager {
    /// At boot: what is enabled is wanted. As a successor: everything is as it was.
    pub(super) fn begin(&mut self, memory: &Memory, cut_off: &BTreeSet<String>) -> Result<()> {
        self.ending = memory.ending;
        for name in self.order.clone() {
            match memory.units.get(&name) {
                Some(known) => self.adopt(&name, known)?,
                None if self.ending.is_none()
                    && self
                        .units
                        .get(&name)
                        .is_some_and(|u| u.spec.enabled && u.state != State::Failed) =>
                {
                    self.want(&name);
                }
                None => {}
            }
        }
        for name in cut_off {
            tracing::warn!(
                service = name,
                "started again: its sockets and log could not be kept"
            );
            self.ask_to_end(name);
        }
        self.world.forget_rest();
        Ok(())
    }

    fn adopt(&mut self, name: &str, known: &Remembered) -> Result<()> {
        let Some(unit) = self.units.get_mut(name) else {
            return Ok(());
        };
        known.restore(unit);
        match known.state {
            State::Backoff => unit.state = State::Waiting,
            State::Listening => self.watch_sockets(name),
            // Whoever asks what stays down is to hear it at once.
            State::Failed if !unit.spec.on_demand() => self.close_sockets(name),
            // Its supervisor died while it started it.
            State::Starting if known.pid == 0 => {
                launch::end_strays(&self.world, &unit.spec, unit.started)?;
                unit.state = State::Waiting;
            }
            state if state.has_process() => self.adopt_process(name, known)?,
            _ => {}
        }
        Ok(())
    }

    fn adopt_process(&mut self, name: &str, known: &Remembered) -> Result<()> {
        let kept = self.world.take(&process_key(name));
        let Some(process) = adopted(known, kept)? else {
            self.over(name, "exit unknown");
            return Ok(());
        };
        let Some(unit) = self.units.get_mut(name) else {
            return Ok(());
        };
        tracing::info!(service = name, pid = known.pid, "adopted");
        let now = Stamp::now();
        unit.beat = now;
        unit.process = Some(process);
        let (run, spec, ran) = (unit.run, unit.spec.clone(), now.since(unit.started));
        self.watch(name, run);
        match known.state {
            State::Starting => {
                let left = spec.start_timeout_ms.saturating_sub(ran);
                self.after(name, run, left, Timer::Start);
            }
            State::Stopping => self.after(name, run, spec.stop_timeout_ms, Timer::Stop),
            _ => {}
        }
        if spec.ready == Ready::Fd
            && known.state == State::Starting
            && let Some(reader) = self.world.take(&ready_key(name))
        {
            self.watch_ready(name, run, reader)?;
        }
        if spec.watchdog_ms > 0 {
            self.after(name, run, spec.watchdog_ms, Timer::Watchdog);
        }
        Ok(())
    }
}

/// The process that ran; none when it has ended and nobody knows how.
fn adopted(known: &Remembered, kept: Option<OwnedFd>) -> Result<Option<Process>> {
    let pidfd = match kept {
        // It names the process beyond its end.
        Some(pidfd) => pidfd,
        None => match pidfd_open(known.pid) {
            // Looked at after the descriptor was opened, so it is about the process that the descriptor names.
            Ok(_) if watch::starttime(known.pid) != Some(known.starttime) || watch::is_over(known.pid) => {
                return Ok(None);
            }
            Ok(pidfd) => pidfd,
            Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => return Ok(None),
            // Not to know is not to know that it ended: another would run beside it.
            Err(error) => return Err(InitError::system("cannot open a process")(error)),
        },
    };
    Ok(Some(Process {
        pid: known.pid,
        starttime: known.starttime,
        pidfd: Arc::new(pidfd),
    }))
}
