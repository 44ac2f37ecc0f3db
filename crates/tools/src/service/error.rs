//! What can go wrong with services besides what can with any tool.

use aios_core::error::{Class, Coded};

/// An error of this namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// init has no such service.
    #[error("{why}")]
    Unknown {
        /// What init says, with the nearest right name.
        why: String,
    },
    /// A service of aiOS itself, or a caller that init does not let through.
    #[error("{why}")]
    Refused {
        /// What init says, or would.
        why: String,
    },
    /// It was started and does not work.
    #[error("service {name} did not stay up: it is `{state}`, {last_exit}; {log}")]
    NotUp {
        /// Which.
        name: String,
        /// Its state when that was seen.
        state: String,
        /// How its last process ended, or why there is none.
        last_exit: String,
        /// The last lines of its log, or that there are none.
        log: String,
    },
    /// init failed.
    #[error("init: {why}")]
    Init {
        /// What init says.
        why: String,
    },
}

impl ServiceError {
    /// Whether it is a refusal: the pipeline answers those with `Denied`.
    pub fn is_denial(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

impl Coded for ServiceError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "AIOS-TOOLS-0301",
            Self::Refused { .. } => "AIOS-TOOLS-0302",
            Self::NotUp { .. } => "AIOS-TOOLS-0303",
            Self::Init { .. } => "AIOS-TOOLS-0304",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Unknown { .. } => "service.list names every service".to_owned(),
            Self::Refused { .. } => "a person may: `aiosctl service`".to_owned(),
            Self::NotUp { name, .. } => {
                format!("service.status and service.logs of {name} tell how it ended and what it said")
            }
            Self::Init { .. } => "see what init says; `aiosctl boot` shows how it started".to_owned(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Unknown { .. } => Class::NotFound,
            Self::Refused { .. } => Class::PermissionDenied,
            Self::NotUp { .. } => Class::FailedPrecondition,
            Self::Init { .. } => Class::Internal,
        }
    }
}
