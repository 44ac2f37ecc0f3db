//! The services that can be started, and what each needs.

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
    /// Name of the program.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Guard => "aios-guard",
            Self::WorkerFs => "aios-worker-fs",
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
            other => other.program(),
        }
    }

    /// Its name: of its socket, its state directory and its log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::WorkerFs => "fs",
            Self::Tools => "tools",
            Self::Memory => "memory",
            Self::Orchestrator => "orchestrator",
            Self::Console => "console",
            Self::Sandbox => "sandbox",
        }
    }

    /// Its socket.
    #[must_use]
    pub fn socket(self, paths: &Paths) -> PathBuf {
        match self {
            Self::WorkerFs => paths.worker_socket("fs"),
            other => paths.socket(other.name()),
        }
    }

    /// Its private state directory.
    #[must_use]
    pub fn state(self, paths: &Paths) -> PathBuf {
        match self {
            Self::WorkerFs => paths.state.join("worker/fs"),
            other => paths.state_of(other.name()),
        }
    }

    /// Group and mode of its socket.
    pub(crate) fn socket_group(self) -> &'static str {
        if self == Self::WorkerFs {
            "aios-workers"
        } else {
            "aios"
        }
    }

    /// Its name in `$LISTEN_FDNAMES`.
    pub(crate) fn fd_name(self) -> &'static str {
        if self == Self::WorkerFs {
            "worker-fs"
        } else {
            self.name()
        }
    }

    /// What aios-init does to it, from the same file: its own user, no new privileges, only the
    /// capabilities it needs, its view of the file system, its seccomp filter. Without AppArmor and
    /// cgroups, which a machine may lack.
    pub(crate) fn plan(self, paths: &Paths) -> Result<Plan> {
        let file = Path::new(CHECKOUT)
            .join("configs/services")
            .join(format!("{}.toml", self.program()));
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
        let spec: Spec = toml::from_str(&text).with_context(|| file.display().to_string())?;
        let ids = Who::Of(self).ids()?;
        Ok(Plan {
            identity: Some(Identity {
                uid: ids.uid,
                gid: ids.gid,
                groups: ids.groups,
            }),
            capabilities: Capabilities::Keep(CapSet::of(&spec.confine.capabilities)?),
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
}

/// The part of a service's file that matters here; aios-init checks the rest.
#[derive(Deserialize)]
struct Spec {
    confine: Confine,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Confine {
    capabilities: Vec<String>,
    seccomp: String,
    hide: Vec<PathBuf>,
    hide_if_there: Vec<PathBuf>,
    bind: Vec<PathBuf>,
    bind_read_only: Vec<PathBuf>,
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
