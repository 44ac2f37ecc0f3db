//! What can go wrong before the command runs.

use std::ffi::OsString;
use std::io;

/// Why the container ended without its command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShimError {
    /// No command.
    #[error("no command was given; usage: aios-shim -- COMMAND ARGUMENTS…")]
    Usage,
    /// A variable of the environment has no meaning.
    #[error("the environment's {name} is `{value}`, wanted {wanted}")]
    Environment {
        /// Variable.
        name: &'static str,
        /// What it held.
        value: String,
        /// What it may hold.
        wanted: &'static str,
    },
    /// The confinement could not be entered: nothing was started.
    #[error("cannot confine the container")]
    Confine(#[from] aios_confine::ConfineError),
    /// Executing this program again failed.
    #[error("cannot execute the shim again: {0}")]
    Again(io::Error),
    /// The command could not be started.
    #[error("cannot start {}: {source}", command.display())]
    Start {
        /// The command.
        command: OsString,
        /// What the kernel said.
        source: io::Error,
    },
    /// Signals or children could not be handled.
    #[error("cannot wait for signals: {0}")]
    Signals(#[from] nix::Error),
}

impl ShimError {
    /// Stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Usage => "AIOS-SHIM-0001",
            Self::Environment { .. } => "AIOS-SHIM-0002",
            Self::Confine(_) => "AIOS-SHIM-0003",
            Self::Again(_) => "AIOS-SHIM-0004",
            Self::Start { .. } => "AIOS-SHIM-0005",
            Self::Signals(_) => "AIOS-SHIM-0006",
        }
    }

    /// Exit code, as shells use them where they have one.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage | Self::Environment { .. } => 64,
            Self::Confine(_) | Self::Again(_) | Self::Signals(_) => 70,
            Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Start { .. } => 126,
        }
    }
}
