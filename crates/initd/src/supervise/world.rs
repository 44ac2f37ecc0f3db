//! What the supervisor finds when it starts: paths, the machine, the link to PID 1 and the descriptors
//! that came over it.

use super::memory::{self, Memory};
use crate::deployment::{Places, Running};
use crate::error::{InitError, Result};
use crate::link::{self, End, GENERATION, LINK_FD};
use crate::spec::{self, Spec};
use crate::sys;
use aios_confine::Machine;
use aios_core::config;
use aios_core::paths::Paths;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Section `[init]` of the configuration.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Whether services run although this machine lacks something that confines them.
    pub(crate) allow_degraded: bool,
    /// Until when after the kernel's start a new image must have been reported healthy, seconds.
    pub(crate) trial_deadline_s: u64,
    /// How often the boot loader tries a new image that is not.
    pub(crate) trial_tries: u32,
    /// From which share of time on in which nothing runs for want of memory services are stopped in their declared
    /// order, percent of the last ten seconds; 0 for never.
    pub(crate) shed_memory_full_avg10: u64,
    /// Between two services that are stopped or started for that, milliseconds.
    pub(crate) shed_pause_ms: u64,
    /// So long there must be less than half of that before the first is started again, milliseconds.
    pub(crate) shed_calm_ms: u64,
    /// Where the kernel tells it.
    pub(crate) pressure_file: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allow_degraded: false,
            trial_deadline_s: 900,
            trial_tries: 3,
            shed_memory_full_avg10: 10,
            shed_pause_ms: 10_000,
            shed_calm_ms: 60_000,
            pressure_file: "/proc/pressure/memory".into(),
        }
    }
}

/// The surroundings.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) paths: Paths,
    /// Whether process 1 is ours: a machine or a container that runs aiOS and nothing else.
    pub(crate) booted: bool,
    /// Whether it is a machine, whose kernel and devices are ours to set up.
    pub(crate) own_machine: bool,
    pub(crate) config: Config,
    /// What is wrong with the configuration, on a machine that starts without it.
    pub(crate) problem: Option<InitError>,
    pub(crate) machine: Machine,
    /// The image that runs, on a machine that bootc installed.
    pub(crate) deployment: Option<Running>,
    /// How many supervisors of this instance came before.
    pub(crate) generation: u32,
    /// What the last of them knew.
    pub(crate) recalled: Memory,
    /// How many open files a service may have that does not say, soft and hard: as many as we before we took more.
    pub(crate) files: (u64, u64),
    link: Option<OwnedFd>,
    stored: HashMap<String, OwnedFd>,
    /// Copies of what is stored that belongs to no service.
    own: HashMap<&'static str, OwnedFd>,
    /// Held as long as the supervisor lives.
    _lock: Flock<File>,
}

impl World {
    pub(crate) fn open(state: Option<&Path>) -> Result<Self> {
        let uid = nix::unistd::geteuid();
        if !uid.is_root() {
            return Err(InitError::NotRoot(uid.as_raw()));
        }
        let generation = std::env::var(GENERATION).ok().and_then(|text| text.parse().ok());
        let link = generation.and_then(|_: u32| sys::inherited(LINK_FD));
        let stored = match &link {
            Some(link) => take_stored(link.as_fd())?,
            None => HashMap::new(),
        };
        let paths = match state {
            Some(root) => {
                Paths::development(&std::path::absolute(root).map_err(InitError::path("no such tree", root))?)
            }
            None => Paths::from_env(),
        };
        let lock = lock(&paths)?;
        // Before any file of aiOS is read.
        finish_restore(&paths);
        let generation = memory::generation(&paths, generation.unwrap_or(0))?;
        let recalled = memory::recall(&paths, generation)?;
        let booted = state.is_none() && nix::unistd::getppid().as_raw() == 1;
        let (config, problem) = match config::load(&paths, "init") {
            Ok(config) => (config, None),
            // A machine starts all the same, as strict as it can be.
            Err(error) if booted => (Config::default(), Some(error.into())),
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            config,
            problem,
            paths,
            booted,
            own_machine: booted && sys::is_machine(),
            machine: Machine::probe(),
            deployment: None,
            generation,
            recalled,
            files: raise_files(),
            link,
            stored,
            own: HashMap::new(),
            _lock: lock,
        })
    }

    /// The services that belong here, and what is wrong with the files of others.
    pub(crate) fn specs(&self) -> (BTreeMap<String, Spec>, Vec<InitError>) {
        let (mut specs, errors) = spec::load_all(&self.paths);
        specs.retain(|_, spec| self.own_machine || !spec.machine_only);
        (specs, errors)
    }

    /// On a booted machine one wrong file must not stop the others; elsewhere it is an error.
    pub(crate) fn judge(&self, errors: Vec<InitError>) -> Result<Vec<InitError>> {
        if self.booted {
            return Ok(errors);
        }
        match errors.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(Vec::new()),
        }
    }

    /// Where what belongs to deployments lies.
    pub(crate) fn places(&self) -> Places {
        Places {
            state: self.paths.state.clone(),
            esp: self.paths.run.join("init").join("esp"),
        }
    }

    /// Asks PID 1 for more time to end, because work goes on that must not be cut off.
    pub(crate) fn more_time(&self) {
        self.tell(["more", ""], None);
    }

    /// Whether a supervisor before us stored a descriptor of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.stored.contains_key(name)
    }

    /// Has PID 1 close what nobody took.
    pub(crate) fn forget_rest(&mut self) {
        for name in std::mem::take(&mut self.stored).into_keys() {
            self.forget(&name);
        }
    }

    /// Stores a descriptor of the supervisor itself, and keeps a copy in case it must be stored again.
    pub(crate) fn keep(&mut self, name: &'static str, fd: BorrowedFd<'_>) {
        match fd.try_clone_to_owned() {
            Ok(copy) => {
                self.own.insert(name, copy);
            }
            Err(error) => tracing::warn!(name, %error, "cannot be stored again if it is lost"),
        }
        self.store(name, fd);
    }

    /// Stores such a descriptor again.
    pub(crate) fn store_own(&self, name: &str) {
        if let Some(fd) = self.own.get(name) {
            self.store(name, fd.as_fd());
        }
    }

    /// The descriptor of that name that a supervisor before us stored.
    pub(crate) fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.stored.remove(name)
    }

    /// Stores a descriptor with PID 1. Without it a successor could not take over, which is logged.
    pub(crate) fn store(&self, name: &str, fd: BorrowedFd<'_>) {
        self.tell(["store", name], Some(fd));
    }

    /// Has PID 1 close a descriptor that nobody takes any more.
    pub(crate) fn forget(&self, name: &str) {
        self.tell(["drop", name], None);
    }

    /// Says that from now on we are to be started again when we die.
    pub(crate) fn alive(&self) {
        self.tell(["alive", ""], None);
    }

    /// Says that everything is being stopped, whatever becomes of us.
    pub(crate) fn ending(&self, end: End) {
        self.tell(["ending", end.word()], None);
    }

    /// Says that everything has stopped.
    pub(crate) fn ended(&self, end: End) {
        self.tell(["end", end.word()], None);
    }

    /// Copy of our end of the link, to listen on.
    pub(crate) fn link(&self) -> Option<OwnedFd> {
        self.link.as_ref().and_then(|link| link.try_clone().ok())
    }

    fn tell(&self, words: [&str; 2], fd: Option<BorrowedFd<'_>>) {
        if let Some(link) = &self.link
            && let Err(error) = link::send(link.as_fd(), words, fd)
        {
            tracing::warn!(message = words[0], name = words[1], %error, "PID 1 did not take a message");
        }
    }
}

fn take_stored(link: BorrowedFd<'_>) -> Result<HashMap<String, OwnedFd>> {
    let mut stored = HashMap::new();
    loop {
        let message = link::receive(link, true).map_err(InitError::system("the link to PID 1"))?;
        let Some(message) = message else { return Ok(stored) };
        match message.words() {
            ("fd", name) => {
                let name = name.to_owned();
                // PID 1 still has it: the next of us may have room for it.
                let fd = message.fd.ok_or(Errno::EMFILE);
                stored.insert(name, fd.map_err(InitError::system("a stored descriptor"))?);
            }
            ("all", _) => return Ok(stored),
            _ => {}
        }
    }
}

/// Takes as many open files as this process may have: some for each service. Yields what it had.
fn raise_files() -> (u64, u64) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "open files stay as they are");
    }
    let [soft, hard] = [limit.current, limit.maximum].map(|it| it.unwrap_or(u64::MAX));
    (soft, hard)
}

/// Goes through with a restore that was cut off. A machine comes up in any case; what is half there then, the guard refuses,
/// because a policy below the highest epoch is none to it.
fn finish_restore(paths: &Paths) {
    match aios_core::exchange::finish(paths) {
        Ok(None) => {}
        Ok(Some(restored)) => {
            let before = restored.state_before.display();
            tracing::info!(%before, "a restore that was cut off is complete now");
        }
        Err(error) => {
            tracing::error!(%error, "a restore that was cut off cannot be gone through with: see docs/guides/backup.md")
        }
    }
}

/// One supervisor a tree.
fn lock(paths: &Paths) -> Result<Flock<File>> {
    let directory = paths.run.join("init");
    fs::create_dir_all(&directory).map_err(InitError::path("cannot make", &directory))?;
    let path = directory.join("lock");
    let file = File::create(&path).map_err(InitError::path("cannot make", &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| InitError::Running(paths.run.clone()))
}
