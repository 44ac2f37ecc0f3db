//! The services that can be started, and what each needs.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use aios_confine::caps::CapSet;
use aios_confine::plan::{Capabilities, Identity, Plan};
use aios_confine::view::{Bind, View};
use aios_core::paths::Paths;
use anyhow::{Context, Result};
use serde::Deserialize;

use crate::Who;

/// The checkout, for the vendor configuration.
pub(crate) const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// The reference monitor.
    Guard,
    /// The fs worker.
    WorkerFs,
    /// The worker that looks at the machine.
    WorkerHost,
    /// The worker of processes.
    WorkerProcess,
    /// The worker of services.
    WorkerService,
    /// The worker of addresses, routes and the firewall.
    WorkerNet,
    /// The worker of images.
    WorkerOs,
    /// The package worker.
    WorkerPkg,
    /// The worker that looks for weaknesses.
    WorkerSec,
    /// The tool service.
    Tools,
    /// Memory.
    Memory,
    /// The orchestrator.
    Orchestrator,
    /// The console.
    Console,
    /// The holder of containers; started by nobody here, but it has a user.
    Sandbox,
}

impl Service {
    /// Every worker.
    pub const WORKERS: [Self; 8] = [
        Self::WorkerFs,
        Self::WorkerHost,
        Self::WorkerProcess,
        Self::WorkerService,
        Self::WorkerNet,
        Self::WorkerOs,
        Self::WorkerPkg,
        Self::WorkerSec,
    ];

    /// Name by which aios-init knows it; that of its file.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Guard => "aios-guard",
            Self::WorkerFs => "aios-worker-fs",
            Self::WorkerHost => "aios-worker-host",
            Self::WorkerProcess => "aios-worker-process",
            Self::WorkerService => "aios-worker-service",
            Self::WorkerNet => "aios-worker-net",
            Self::WorkerOs => "aios-worker-os",
            Self::WorkerPkg => "aios-worker-pkg",
            Self::WorkerSec => "aios-worker-sec",
            Self::Tools => "aios-tools",
            Self::Memory => "aios-memory",
            Self::Orchestrator => "aios-orchestrator",
            Self::Console => "aios-console",
            Self::Sandbox => "aios-sandbox",
        }
    }

    /// Name of its user.
    #[must_use]
    pub fn user(self) -> &'static str {
        match self {
            Self::WorkerFs => "aios-fs",
            Self::WorkerHost => "aios-host",
            Self::WorkerProcess => "aios-process",
            Self::WorkerService => "aios-service",
            Self::WorkerNet => "aios-net",
            Self::WorkerOs => "aios-os",
            // As its service file says: dpkg asks for uid 0.
            Self::WorkerPkg => "root",
            Self::WorkerSec => "aios-sec",
            other => other.unit(),
        }
    }

    /// Its name: of its socket, its state directory and its log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::WorkerFs => "fs",
            Self::WorkerHost => "host",
            Self::WorkerProcess => "process",
            Self::WorkerService => "service",
            Self::WorkerNet => "net",
            Self::WorkerOs => "os",
            Self::WorkerPkg => "pkg",
            Self::WorkerSec => "sec",
            Self::Tools => "tools",
            Self::Memory => "memory",
            Self::Orchestrator => "orchestrator",
            Self::Console => "console",
            Self::Sandbox => "sandbox",
        }
    }

    /// Whether it is a worker.
    #[must_use]
    pub fn is_worker(self) -> bool {
        Self::WORKERS.contains(&self)
    }

    /// Its socket; the first of a worker that has several.
    #[must_use]
    pub fn socket(self, paths: &Paths) -> PathBuf {
        match self {
            Self::WorkerHost => paths.worker_socket("hw"),
            worker if worker.is_worker() => paths.worker_socket(worker.name()),
            other => paths.socket(other.name()),
        }
    }

    /// Its sockets with their names in `$LISTEN_FDNAMES`.
    pub(crate) fn sockets(self, paths: &Paths) -> Result<Vec<(String, PathBuf)>> {
        if !self.is_worker() {
            return Ok(vec![(self.name().to_owned(), self.socket(paths))]);
        }
        let sockets = self.spec(paths)?.socket;
        Ok(sockets
            .into_iter()
            .map(|socket| (socket.name, socket.path))
            .collect())
    }

    /// Its private state directory.
    #[must_use]
    pub fn state(self, paths: &Paths) -> PathBuf {
        if self.is_worker() {
            paths.state.join("worker").join(self.name())
        } else {
            paths.state_of(self.name())
        }
    }

    /// Group of its sockets.
    pub(crate) fn socket_group(self) -> &'static str {
        if self.is_worker() { "aios-workers" } else { "aios" }
    }

    /// Program and arguments, as its file says.
    pub(crate) fn command(self, paths: &Paths) -> Result<(String, Vec<OsString>)> {
        let mut words = self.spec(paths)?.command.into_iter();
        let program = words
            .next()
            .with_context(|| format!("{} has no command", self.unit()))?;
        Ok((program, words.map(OsString::from).collect()))
    }

    /// What aios-init does to it, from the same file: its own user, no new privileges, only the
    /// capabilities it needs, its view of the file system, its seccomp filter. Without AppArmor and
    /// cgroups, which a machine may lack.
    pub(crate) fn plan(self, paths: &Paths) -> Result<Plan> {
        let spec = self.spec(paths)?;
        let ids = Who::Of(self).ids()?;
        Ok(Plan {
            identity: Some(Identity {
                uid: ids.uid,
                gid: ids.gid,
                groups: ids.groups,
            }),
            capabilities: Capabilities::Keep(CapSet::of(&spec.confine.capabilities)?.with_those_of(
                CapSet::of(&spec.confine.capabilities_if_there)?,
                CapSet::bounding(),
            )),
            no_new_privs: true,
            seccomp: (!spec.confine.seccomp.is_empty()).then(|| spec.confine.seccomp.clone()),
            view: spec.confine.view(&paths.run.join("notify")),
            umask: Some(0o077),
            directory: Some("/".into()),
            // A test that is killed leaves nothing running.
            parent_death_signal: nix::sys::signal::Signal::SIGKILL as i32,
            ..Plan::default()
        })
    }

    /// Its file, filled in for this instance.
    fn spec(self, paths: &Paths) -> Result<Spec> {
        let file = Path::new(CHECKOUT)
            .join("configs/services")
            .join(format!("{}.toml", self.unit()));
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let variables = [
            ("${VENDOR}", &paths.vendor),
            ("${ETC}", &paths.etc),
            ("${STATE}", &paths.state),
            ("${RUN}", &paths.run),
        ];
        let text = variables.iter().fold(text, |text, (name, path)| {
            text.replace(name, &path.to_string_lossy())
        });
        toml::from_str(&text).with_context(|| file.display().to_string())
    }
}

/// The part of a service's file that matters here; aios-init checks the rest.
#[derive(Deserialize)]
struct Spec {
    /// Program of `vendor/bin` and its arguments.
    command: Vec<String>,
    confine: Confine,
    #[serde(default)]
    socket: Vec<Socket>,
}

#[derive(Deserialize)]
struct Socket {
    path: PathBuf,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Confine {
    capabilities: Vec<String>,
    capabilities_if_there: Vec<String>,
    seccomp: String,
    hide: Vec<PathBuf>,
    hide_if_there: Vec<PathBuf>,
    bind: Vec<PathBuf>,
    bind_read_only: Vec<PathBuf>,
    bind_read_only_if_there: Vec<PathBuf>,
    read_only: Vec<PathBuf>,
}

impl Confine {
    /// The directory of the notification socket stays reachable, as with aios-init.
    fn view(&self, notify: &Path) -> Option<View> {
        if self.hide.is_empty() && self.hide_if_there.is_empty() && self.read_only.is_empty() {
            return None;
        }
        let mut bind: Vec<Bind> = self.bind.iter().map(Bind::writable).collect();
        bind.extend(self.bind_read_only.iter().map(Bind::read_only));
        let there = self.bind_read_only_if_there.iter().filter(|path| path.exists());
        bind.extend(there.map(Bind::read_only));
        if self.hide.iter().any(|hidden| notify.starts_with(hidden)) {
            bind.push(Bind::writable(notify));
        }
        Some(View {
            hide: self.hide.clone(),
            hide_if_there: self.hide_if_there.clone(),
            bind,
            read_only: self.read_only.clone(),
        })
    }
}
