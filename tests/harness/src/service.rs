//! The services that can be started, and what each needs.

use std::path::PathBuf;

use aios_confine::caps::CapSet;
use aios_confine::plan::Capabilities;
use aios_core::paths::Paths;
use anyhow::Result;

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

    /// Its name in `$LISTEN_FDNAMES`, its state directory and its log.
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

    /// What it keeps of root's capabilities.
    pub(crate) fn capabilities(self) -> Result<Capabilities> {
        let names: &[&str] = match self {
            Self::WorkerFs => &[
                "CAP_DAC_OVERRIDE",
                "CAP_FOWNER",
                "CAP_CHOWN",
                "CAP_DAC_READ_SEARCH",
            ],
            _ => &[],
        };
        Ok(Capabilities::Keep(CapSet::of(names)?))
    }
}
