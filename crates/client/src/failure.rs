//! Why a request to a service did not succeed, in the words a person gets to see.

use std::io;
use std::path::Path;

use aios_core::error::{Class, Coded};
use aios_proto::common::v1::Error as WireError;
use tonic::{Code, Status};

/// What a failure means for the person who asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The request itself is wrong.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// Capability, policy, credential or a person refused.
    Denied,
    /// Nobody proved who they are.
    Unauthenticated,
    /// A person must decide first.
    NeedsApproval,
    /// The state of things does not allow it now.
    Conflict,
    /// The service cannot be reached.
    Unreachable,
    /// Anything else.
    Failed,
}

/// A failed request: stable code, what failed, and what to do next.
#[derive(Clone, Debug, thiserror::Error, Eq, PartialEq)]
#[error("{message}")]
pub struct Failure {
    /// What it means.
    pub kind: Kind,
    /// Stable code, `AIOS-TOOLS-0012`.
    pub code: String,
    /// What failed, on what.
    pub message: String,
    /// What the reader can do next.
    pub next_step: String,
}

impl Failure {
    /// A failure of the caller's own making.
    pub fn new(kind: Kind, code: &str, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.to_owned(),
            message: message.into(),
            next_step: next_step.into(),
        }
    }

    /// A coded error of one of our libraries.
    pub fn coded(error: &(impl Coded + ?Sized)) -> Self {
        let report = aios_core::error::Report::of(error);
        let kind = match error.class() {
            Class::InvalidArgument => Kind::Invalid,
            Class::NotFound => Kind::NotFound,
            Class::PermissionDenied => Kind::Denied,
            Class::Unauthenticated => Kind::Unauthenticated,
            Class::FailedPrecondition | Class::AlreadyExists => Kind::Conflict,
            Class::Unavailable => Kind::Unreachable,
            _ => Kind::Failed,
        };
        Self {
            kind,
            code: report.code,
            message: report.message,
            next_step: report.next_step,
        }
    }

    /// The service behind `socket` does not answer.
    pub fn unreachable(service: &str, socket: &Path, cause: &io::Error) -> Self {
        let message = format!("{service} cannot be reached at {}: {cause}", socket.display());
        if cause.kind() == io::ErrorKind::PermissionDenied {
            let next = "ask an administrator to add you to the group `aios`, then sign in again";
            return Self::new(Kind::Unreachable, "AIOS-CLIENT-0002", message, next);
        }
        let next = "start aiOS (`make up` in a checkout), see `aiosctl service list`, \
                    or name another instance with --socket DIR";
        Self::new(Kind::Unreachable, "AIOS-CLIENT-0001", message, next)
    }

    /// An error that a service stored as data.
    pub fn stored(error: &WireError) -> Self {
        Self::new(
            Kind::Failed,
            &error.code,
            error.message.clone(),
            error.next_step.clone(),
        )
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let report = aios_core::rpc::report_of(&status);
        let kind = match status.code() {
            Code::InvalidArgument | Code::OutOfRange => Kind::Invalid,
            Code::NotFound => Kind::NotFound,
            Code::PermissionDenied => Kind::Denied,
            Code::Unauthenticated => Kind::Unauthenticated,
            Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => Kind::Conflict,
            Code::Unavailable => Kind::Unreachable,
            _ => Kind::Failed,
        };
        Self {
            kind,
            code: report.code,
            message: report.message,
            next_step: report.next_step,
        }
    }
}
