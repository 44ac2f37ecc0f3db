//! How a command ended, as scripts see it.

use std::process::ExitCode;

use aios_client::Kind;

/// The exit codes, a stable interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// The command line itself is wrong.
    Usage = 2,
    /// Capability, policy, credential or a person refused.
    Denied = 3,
    /// A person must decide first.
    NeedsApproval = 4,
    /// A service cannot be reached.
    Unreachable = 5,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::NeedsApproval => 4,
            Self::Unreachable => 5,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<Kind> for Exit {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Invalid => Self::Usage,
            Kind::Denied | Kind::Unauthenticated => Self::Denied,
            Kind::NeedsApproval => Self::NeedsApproval,
            Kind::Unreachable => Self::Unreachable,
            Kind::NotFound | Kind::Conflict | Kind::Failed => Self::Failed,
        }
    }
}
