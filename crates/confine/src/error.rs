//! What can go wrong while something is locked down.

use aios_core::error::{Class, Coded};
use std::io;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, ConfineError>;

/// An error of confinement. None of them leaves a process running with less confinement than planned.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// A capability name that does not exist.
    #[error("unknown capability {0:?}")]
    UnknownCapability(String),
    /// A seccomp filter name that does not exist.
    #[error("unknown seccomp filter {0:?}")]
    UnknownFilter(String),
    /// A filter's data do not compile.
    #[error("seccomp filter {name} does not compile: {reason}")]
    Filter {
        /// Filter.
        name: String,
        /// Why.
        reason: String,
    },
    /// A path of the plan cannot be used.
    #[error("{what} {path}: {source}")]
    Path {
        /// Which part of the plan names it.
        what: &'static str,
        /// Path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Text with a NUL byte inside.
    #[error("{0} contains a NUL byte")]
    Nul(&'static str),
    /// More of something than the prepared form has room for.
    #[error("too many {what}: {count}, at most {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there were.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The machine lacks something that the plan needs, and degradation is not allowed.
    #[error("this machine lacks {what}, which the plan needs")]
    Missing {
        /// What is missing.
        what: &'static str,
    },
    /// Landlock refused.
    #[error("Landlock: {0}")]
    Landlock(String),
    /// A cgroup could not be made, filled or emptied.
    #[error("cgroup {path}: {source}")]
    Cgroup {
        /// Directory of the cgroup.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A step failed in the child.
    #[error("step `{step}` failed: {source}")]
    Step {
        /// Which step.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The process could not be made at all.
    #[error("cannot start a process: {0}")]
    Spawn(io::Error),
}

impl Coded for ConfineError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownCapability(_) => "AIOS-CONFINE-0001",
            Self::UnknownFilter(_) => "AIOS-CONFINE-0002",
            Self::Filter { .. } => "AIOS-CONFINE-0003",
            Self::Path { .. } => "AIOS-CONFINE-0004",
            Self::Nul(_) => "AIOS-CONFINE-0005",
            Self::TooMany { .. } => "AIOS-CONFINE-0006",
            Self::Missing { .. } => "AIOS-CONFINE-0007",
            Self::Landlock(_) => "AIOS-CONFINE-0008",
            Self::Cgroup { .. } => "AIOS-CONFINE-0009",
            Self::Step { .. } => "AIOS-CONFINE-0010",
            Self::Spawn(_) => "AIOS-CONFINE-0011",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::UnknownCapability(_) => {
                "write the name as in capabilities(7), for example CAP_CHOWN".into()
            }
            Self::UnknownFilter(_) => {
                format!("use one of: {}", crate::seccomp::NAMES.join(", "))
            }
            Self::Filter { .. } => "report it: the filter is part of this program".into(),
            Self::Path { .. } => "create the path, or correct it in the service's file".into(),
            Self::Nul(_) => "remove the NUL byte".into(),
            Self::TooMany { .. } => "shorten the list in the service's file".into(),
            Self::Missing { .. } => {
                "use a kernel that has it, or set allow_degraded = true in development".into()
            }
            Self::Landlock(_) => "check the paths of the plan's Landlock rules".into(),
            Self::Cgroup { .. } => "check that cgroup v2 is mounted and writable".into(),
            Self::Step { step, .. } => {
                format!("check that the supervisor may do this (`{step}`) on this machine")
            }
            Self::Spawn(_) => "check the limits on processes and open files".into(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Missing { .. } => Class::FailedPrecondition,
            Self::Step { .. } | Self::Spawn(_) | Self::Cgroup { .. } | Self::Landlock(_) => Class::Internal,
            _ => Class::InvalidArgument,
        }
    }
}
