//! Errors that a person can act on: each has a stable code, says what failed on what, and what to
//! do next. The code never changes its meaning; the sentence may improve.

use std::fmt;

/// An error with a stable code and a next step.
pub trait Coded: std::error::Error {
    /// Stable code, `AIOS-TOOLS-0012`.
    fn code(&self) -> &'static str;
    /// What the reader can do next, one sentence without a full stop.
    fn next_step(&self) -> String;
    /// Which gRPC status class it belongs to.
    fn class(&self) -> Class {
        Class::InvalidArgument
    }
}

/// The class of an error, as gRPC names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The request itself is wrong.
    InvalidArgument,
    /// The thing does not exist.
    NotFound,
    /// The caller may not do that.
    PermissionDenied,
    /// The caller could not be identified.
    Unauthenticated,
    /// The state of the thing does not allow it.
    FailedPrecondition,
    /// It exists already, with other content.
    AlreadyExists,
    /// Too much, too fast, or out of space.
    ResourceExhausted,
    /// Another service cannot be reached; trying again may help.
    Unavailable,
    /// The time allowed was not enough.
    DeadlineExceeded,
    /// The caller ended it.
    Cancelled,
    /// Not offered.
    Unimplemented,
    /// A defect or a broken machine: a person must look.
    Internal,
}

/// An error as plain data, for journals, streams and answers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// Stable code.
    pub code: String,
    /// What failed, on what.
    pub message: String,
    /// What to do next.
    pub next_step: String,
}

impl Report {
    /// Turns any coded error into data, with its causes in the sentence.
    pub fn of(error: &(impl Coded + ?Sized)) -> Self {
        Self {
            code: error.code().to_owned(),
            message: chain(error),
            next_step: error.next_step(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (next: {})", self.code, self.message, self.next_step)
    }
}

impl From<Report> for aios_proto::common::v1::Error {
    fn from(report: Report) -> Self {
        Self {
            code: report.code,
            message: report.message,
            next_step: report.next_step,
        }
    }
}

impl From<aios_proto::common::v1::Error> for Report {
    fn from(error: aios_proto::common::v1::Error) -> Self {
        Self {
            code: error.code,
            message: error.message,
            next_step: error.next_step,
        }
    }
}

/// The error's sentence followed by those of its causes that say something new.
fn chain(error: &(impl Coded + ?Sized)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let sentence = error.to_string();
        if !text.contains(&sentence) {
            text.push_str(": ");
            text.push_str(&sentence);
        }
        cause = error.source();
    }
    text
}
