//! The one task that owns every service. Everything else sends it [`Event`]s; it never waits for
//! anything but the next one.

use super::adopt::{self, process_key, ready_key};
use super::clock::Stamp;
use super::launch::{self, Wiring};
use super::logs::Logs;
use super::memory::{self, Memory};
use super::notify::{self, Word};
use super::requests::{Request, Waiter};
use super::shed::Shedding;
use super::sockets::{self, Held};
use super::switches::Switches;
use super::trial::Verdict;
use super::unit::{State, Unit};
use super::world::World;
use crate::boot::{self, Boot, Phase};
use crate::error::{InitError, Result};
use crate::link::End;
use crate::spec::{Ready, Spec};
use aios_core::tasks::Tasks;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Until what could not be written down is written again.
const NOTE_AGAIN: Duration = Duration::from_secs(1);

/// What can happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// Someone asks through the API.
    Asked(Request),
    /// A process ended.
    Ended { name: String, run: u64, exit: String },
    /// A process spoke on the notification socket; who passes it on waits until it is written down.
    Notified {
        pid: i32,
        words: Vec<Word>,
        noted: oneshot::Sender<()>,
    },
    /// A newline came on a readiness descriptor.
    Signalled { name: String, run: u64 },
    /// The first connection to a listening service.
    Connected { name: String },
    /// A time is over.
    Due { name: String, run: u64, timer: Timer },
    /// A trial of the image is over.
    Judged(Verdict),
    /// How short memory is, hundredths of a percent.
    Pressure(u64),
    /// PID 1 could not keep a descriptor.
    NotKept(String),
    /// It may be able to by now.
    KeepAgain(String),
    /// What could not be written down may be by now.
    NoteAgain,
    /// Everything shall stop.
    End(End),
}

/// Times that are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// It should be ready by now.
    Start,
    /// It should have ended by now.
    Stop,
    /// The pause before a restart is over.
    Pause,
    /// It should have given a sign of life by now.
    Watchdog,
    /// It should have ended by SIGABRT by now.
    Abort,
}

/// The owner of all services.
pub(crate) struct Manager {
    pub(super) world: World,
    pub(super) units: BTreeMap<String, Unit>,
    pub(super) order: Vec<String>,
    pub(super) boot: Boot,
    pub(super) logs: Logs,
    pub(super) sockets: HashMap<String, Vec<Held>>,
    pub(super) waiters: Vec<Waiter>,
    pub(super) ending: Option<End>,
    pub(super) switches: Switches,
    pub(super) log_pipes: HashMap<String, OwnedFd>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) tasks: Tasks,
    pub(super) shedding: Shedding,
    /// Who waits until what it told is written down.
    heard: Vec<oneshot::Sender<()>>,
    /// What a successor would read now.
    noted: String,
    /// Whether it is going to be written again, because it could not be.
    note_due: bool,
    services_since_ms: u64,
}

impl Manager {
    pub(crate) fn new(
        mut world: World,
        mut specs: BTreeMap<String, Spec>,
        mut order: Vec<String>,
        boot: Boot,
        events: mpsc::Sender<Event>,
        tasks: Tasks,
    ) -> Result<Self> {
        let logs = Logs::default();
        notify::start(&mut world, events.clone(), &tasks)?;
        let memory = std::mem::take(&mut world.recalled);
        let next = adopt::as_started(&world, &memory, &mut specs, &mut order)?;
        let cut_off = adopt::cut_off(&world, &memory, &specs);
        let mut log_pipes = HashMap::new();
        for (name, spec) in &specs {
            log_pipes.insert(name.clone(), logs.open(&mut world, spec, &tasks)?);
        }
        if world.generation > 0 {
            world.deployment.clone_from(&memory.deployment);
        }
        let switches = Switches::of(&world.paths);
        let units = specs
            .into_iter()
            .map(|(name, spec)| {
                let next = next.get(&name).cloned();
                let unit = switches.unit(spec);
                (name, Unit { next, ..unit })
            })
            .collect();
        let mut manager = Self {
            world,
            units,
            order,
            boot,
            logs,
            sockets: HashMap::new(),
            waiters: Vec::new(),
            ending: None,
            switches,
            log_pipes,
            events,
            tasks,
            shedding: Shedding::default(),
            heard: Vec::new(),
            noted: String::new(),
            note_due: false,
            services_since_ms: boot::uptime_ms(),
        };
        manager.open_sockets();
        manager.begin(&memory, &cut_off)?;
        manager.listen_to_pid1();
        manager.watch_trial();
        manager.watch_pressure();
        Ok(manager)
    }

    /// Files that were left out because they are wrong.
    pub(crate) fn refused(&mut self, errors: &[InitError]) {
        for error in errors {
            tracing::error!(%error, "left out");
            let message = super::plain(&error.to_string());
            // An earlier supervisor may have said the same.
            if self.boot.phases.iter().any(|phase| phase.message == message) {
                continue;
            }
            super::console(&self.world, &message);
            self.boot.phases.push(Phase::failed("service-file", &message));
        }
    }

    /// Works until everything has stopped.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Event>) -> (End, World) {
        self.world.alive();
        self.settle();
        while let Some(event) = inbox.recv().await {
            self.handle(event);
            self.settle();
            // Whoever waited hears by the drop.
            self.heard.clear();
            if let Some(end) = self.ending
                && self.all_stopped()
            {
                self.finish();
                return (end, self.world);
            }
        }
        (End::Exit, self.world)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Asked(request) => self.asked(request),
            Event::Ended { name, run, exit } => self.ended(&name, run, &exit),
            Event::Notified { pid, words, noted } => {
                for word in words {
                    self.notified(pid, word);
                }
                self.heard.push(noted);
            }
            Event::Signalled { name, run } => self.ready(&name, run),
            Event::Connected { name } => self.connected(&name),
            Event::Due { name, run, timer } => self.due(&name, run, timer),
            Event::Judged(verdict) => self.judged(verdict),
            Event::Pressure(pressure) => self.pressed(pressure),
            Event::NotKept(name) => self.not_kept(name),
            Event::KeepAgain(name) => self.keep_again(&name),
            Event::NoteAgain => self.note_due = false,
            Event::End(end) => self.end(end),
        }
    }

    /// Brings everything as far as it can go now, answers who waited for it, and writes it down.
    pub(super) fn settle(&mut self) {
        self.stop_what_can_stop();
        self.start_what_can_start();
        self.answer();
        self.note_boot();
        self.note();
    }

    /// Writes down what a successor must know. What cannot be written is tried again.
    fn note(&mut self) {
        let memory = Memory::of(&self.world, &self.boot, &self.units, self.ending);
        match memory.write(&self.world, &mut self.noted) {
            Ok(()) => {}
            Err(error) if self.note_due => tracing::debug!(%error, "still not noted"),
            Err(error) => {
                tracing::error!(%error, "a successor would not know what runs");
                self.note_due = true;
                self.when("note", async {
                    tokio::time::sleep(NOTE_AGAIN).await;
                    Some(Event::NoteAgain)
                });
            }
        }
    }

    fn open_sockets(&mut self) {
        for (name, unit) in &mut self.units {
            match sockets::open_all(&mut self.world, &unit.spec) {
                Ok(held) => {
                    self.sockets.insert(name.clone(), held);
                }
                Err(error) => fail(unit, &error),
            }
        }
    }

    /// What each service's files say.
    pub(super) fn specs(&self) -> BTreeMap<String, Spec> {
        self.units
            .iter()
            .map(|(name, unit)| (name.clone(), unit.spec.clone()))
            .collect()
    }

    /// Marks a service, and what it needs and wants, as wanted.
    pub(super) fn want(&mut self, name: &str) {
        for wanted in crate::graph::wanted_by(name, &self.specs()) {
            let Some(unit) = self.units.get_mut(&wanted) else {
                continue;
            };
            unit.wanted = true;
            let listens = unit.spec.on_demand() && wanted != name;
            match unit.state {
                State::Stopped | State::Failed if listens => {
                    unit.state = State::Listening;
                    self.watch_sockets(&wanted);
                }
                State::Stopped | State::Failed => unit.state = State::Waiting,
                _ => {}
            }
        }
        self.listen_if_on_demand(name);
    }

    /// At boot an on-demand service only listens.
    fn listen_if_on_demand(&mut self, name: &str) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        if unit.spec.on_demand() && unit.state == State::Waiting && unit.run == 0 {
            unit.state = State::Listening;
            self.watch_sockets(name);
        }
    }

    fn start_what_can_start(&mut self) {
        if self.ending.is_some() {
            return;
        }
        for name in self.order.clone() {
            if self
                .units
                .get(&name)
                .is_some_and(|unit| unit.state == State::Waiting && self.can_start(unit))
            {
                self.start(&name);
            }
        }
    }

    fn can_start(&self, unit: &Unit) -> bool {
        let state = |name: &String| self.units.get(name).map(|unit| unit.state);
        let needs = unit
            .spec
            .needs
            .iter()
            .all(|name| state(name).is_some_and(State::satisfies));
        let before = unit.spec.after.iter().chain(&unit.spec.wants);
        let settled = before
            .into_iter()
            .all(|name| !matches!(state(name), Some(State::Waiting | State::Starting)));
        needs && settled
    }

    /// Whether it is starting, or waits for nothing but what is ready or on its way itself.
    pub(super) fn is_on_its_way(&self, unit: &Unit) -> bool {
        let hopeful = |name: &String| {
            self.units
                .get(name)
                .is_some_and(|need| need.state.satisfies() || self.is_on_its_way(need))
        };
        unit.state == State::Starting || unit.state == State::Waiting && unit.spec.needs.iter().all(hopeful)
    }

    fn start(&mut self, name: &str) {
        self.take_changed(name);
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        unit.run += 1;
        unit.started = Stamp::now();
        unit.status.clear();
        unit.asked = false;
        unit.why.clear();
        unit.more_until = Stamp::default();
        let run = unit.run;
        match self.launch(name, run) {
            Ok(()) => {}
            Err(error) => {
                tracing::error!(service = name, %error, "cannot start");
                let pause = self.units.get_mut(name).map(|unit| {
                    unit.last_exit = error.to_string();
                    unit.note_exit(&error.to_string(), false, Stamp::now());
                    unit.back_off(Stamp::now())
                });
                if let Some(pause) = pause {
                    self.after(name, run, pause, Timer::Pause);
                }
            }
        }
    }

    fn launch(&mut self, name: &str, run: u64) -> Result<()> {
        let Some(unit) = self.units.get_mut(name) else {
            return Ok(());
        };
        let spec = unit.spec.clone();
        boot::dirs_of_service(&spec)?;
        // A successor must know that there may be a process, before there is one, and what it runs by.
        unit.state = State::Starting;
        memory::note_spec(&self.world, &spec);
        self.logs.set_pace(&spec);
        self.note();
        let (reader, writer) = match spec.ready {
            Ready::Fd => {
                let pipe = pipe2(OFlag::O_CLOEXEC).map_err(InitError::system("cannot make a pipe"))?;
                (Some(pipe.0), Some(pipe.1))
            }
            _ => (None, None),
        };
        if !self.sockets.contains_key(name) {
            self.sockets
                .insert(name.to_owned(), sockets::open_all(&mut self.world, &spec)?);
        }
        let log = self.log_pipes.get(name).ok_or(InitError::Ending)?;
        let held = self.sockets.get(name).map_or(&[][..], Vec::as_slice);
        let wiring = Wiring {
            log,
            sockets: held,
            ready: writer,
        };
        let Some(unit) = self.units.get_mut(name) else {
            return Ok(());
        };
        unit.oom_kills = oom_kills(&self.world, &spec);
        if let Some(reader) = &reader {
            self.world.store(&ready_key(name), reader.as_fd());
        }
        let launched = launch::launch(&self.world, &spec, &wiring)?;
        drop(wiring);
        tracing::info!(service = name, pid = launched.process.pid, "started");
        self.world
            .store(&process_key(name), launched.process.pidfd.as_fd());
        unit.process = Some(launched.process);
        unit.degradations = launched.degradations;
        unit.beat = Stamp::now();
        self.watch(name, run);
        match reader {
            Some(reader) => {
                if let Err(error) = self.watch_ready(name, run, reader) {
                    tracing::error!(service = name, %error, "its readiness cannot be heard");
                    self.kill(name);
                }
            }
            None if spec.ready == Ready::None => self.ready(name, run),
            None => {}
        }
        if spec.ready != Ready::None {
            self.after(name, run, spec.start_timeout_ms, Timer::Start);
        }
        if spec.watchdog_ms > 0 {
            self.after(name, run, spec.watchdog_ms, Timer::Watchdog);
        }
        Ok(())
    }

    fn ready(&mut self, name: &str, run: u64) {
        if let Some(unit) = self.current(name, run)
            && unit.state == State::Starting
            && unit.spec.ready != Ready::Exit
        {
            unit.set_ready(Stamp::now());
            tracing::info!(service = name, ready_ms = unit.ready_ms, "ready");
        }
    }

    fn notified(&mut self, pid: i32, word: Word) {
        let sender = self
            .units
            .iter()
            .find(|(_, u)| u.process.as_ref().is_some_and(|p| p.pid == pid));
        let Some((name, run)) = sender.map(|(name, unit)| (name.clone(), unit.run)) else {
            return tracing::warn!(pid, ?word, "a notification from no service's main process");
        };
        if word == Word::Ready {
            self.ready(&name, run);
        }
        let Some(unit) = self.units.get_mut(&name) else {
            return;
        };
        unit.beat = Stamp::now();
        match word {
            Word::Status(status) => unit.status = status,
            Word::Stopping => "stopping".clone_into(&mut unit.status),
            Word::Reloading => "reloading".clone_into(&mut unit.status),
            Word::MoreTime(ms) => unit.more_until = unit.beat.plus(ms),
            Word::Hangs => self.abort(&name),
            Word::Ready if unit.status == "reloading" => unit.status.clear(),
            Word::Ready | Word::Alive => {}
        }
    }

    fn connected(&mut self, name: &str) {
        if let Some(unit) = self.units.get_mut(name)
            && unit.state == State::Listening
        {
            unit.state = State::Waiting;
        }
    }

    fn ended(&mut self, name: &str, run: u64, exit: &str) {
        if self.current(name, run).is_some() {
            self.over(name, exit);
        }
    }

    /// The main process is gone: ends what it left, then decides what follows.
    pub(super) fn over(&mut self, name: &str, exit: &str) {
        self.end_rest(name);
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        let pid = unit.pid();
        let out_of_memory = oom_kills(&self.world, &unit.spec) > unit.oom_kills;
        if out_of_memory && unit.why.is_empty() {
            "out of memory".clone_into(&mut unit.why);
        }
        if unit.why.is_empty() && exit != "exit 0" && !unit.ready_since.is_set() {
            // Its last word, before it was ever ready: what it could not start for.
            unit.why.clone_from(&unit.status);
        }
        unit.note_exit(exit, out_of_memory, Stamp::now());
        let pause = unit.ended(exit, Stamp::now());
        let turned_away = unit.state == State::Failed && !unit.spec.on_demand();
        let why = unit.exits.back().map_or("", |exit| exit.why.as_str());
        let (run, state) = (unit.run, unit.state.word());
        tracing::info!(service = name, pid, exit, state, why, pause_ms = pause, "ended");
        if let Some(pause) = pause {
            self.after(name, run, pause, Timer::Pause);
        }
        if turned_away {
            // Nobody will answer: whoever asks is to hear it at once, and not to wait.
            self.close_sockets(name);
        }
    }

    fn due(&mut self, name: &str, run: u64, timer: Timer) {
        let Some(unit) = self.current(name, run) else {
            return;
        };
        match (timer, unit.state) {
            (Timer::Pause, State::Backoff) => unit.state = State::Waiting,
            (Timer::Start, State::Starting) if unit.extended() > 0 => {
                let more = unit.extended();
                self.after(name, run, more, timer);
            }
            (Timer::Stop, State::Stopping) if unit.extended() > 0 => {
                let more = unit.extended();
                self.after(name, run, more, timer);
            }
            (Timer::Start, State::Starting) => {
                tracing::error!(service = name, "not ready in time");
                "not ready in time".clone_into(&mut unit.why);
                self.kill(name);
            }
            (Timer::Stop, State::Stopping) => {
                tracing::warn!(service = name, "did not end in time");
                if unit.why.is_empty() {
                    "did not end in time".clone_into(&mut unit.why);
                }
                self.kill(name);
            }
            (Timer::Watchdog, State::Ready | State::Starting) => self.check_watchdog(name, run),
            (Timer::Abort, State::Ready | State::Starting) => self.kill(name),
            _ => {}
        }
    }

    /// The unit, if `run` is still its current start.
    fn current(&mut self, name: &str, run: u64) -> Option<&mut Unit> {
        self.units.get_mut(name).filter(|unit| unit.run == run)
    }

    fn finish(&mut self) {
        for held in self.sockets.values().flatten() {
            sockets::close(held);
        }
        self.clean_up();
        if self.world.own_machine
            && let Err(error) = boot::save_clock(&self.world.paths)
        {
            tracing::warn!(%error, "the time is not remembered");
        }
    }

    /// The last phases, when they are reached.
    fn note_boot(&mut self) {
        let has = |boot: &Boot, name| boot.phases.iter().any(|phase| phase.name == name);
        if self.ending.is_some() || has(&self.boot, "services") {
            return;
        }
        if !self.units.values().any(|unit| self.is_on_its_way(unit)) {
            let missing: Vec<&str> = self
                .units
                .values()
                .filter(|u| u.spec.critical && u.wanted && !u.state.satisfies())
                .map(|u| u.spec.name.as_str())
                .collect();
            self.boot
                .phases
                .push(Phase::since("services", self.services_since_ms, &missing));
            self.boot
                .phases
                .push(Phase::since("ready", boot::uptime_ms(), &missing));
            boot::udev_is_equal(&self.world);
            tracing::info!(missing = missing.join(" "), "boot finished");
            let seconds = boot::uptime_ms() / 1000;
            let text = match missing.is_empty() {
                true => format!("ready {seconds} s after the kernel started"),
                false => format!("not ready: {}", missing.join(", ")),
            };
            super::console(&self.world, &text);
        }
    }
}

fn fail(unit: &mut Unit, error: &InitError) {
    tracing::error!(service = unit.spec.name, %error, "cannot open the sockets of a service");
    unit.last_exit = error.to_string();
    unit.state = State::Failed;
}

/// How many processes of a service the kernel has killed for want of memory; 0 where nobody counts.
fn oom_kills(world: &World, spec: &Spec) -> u64 {
    launch::group_of(world, spec)
        .and_then(|group| group.oom_kills())
        .unwrap_or(0)
}
