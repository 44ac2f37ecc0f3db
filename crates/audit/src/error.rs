//! What can go wrong with the log, each with a code and a next step.

use aios_core::error::{Class, Coded};
use aios_database::DatabaseError;
use std::io;
use std::path::PathBuf;

/// An error of the audit log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file or directory of the log cannot be used.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The log cannot be written, and therefore nothing may change.
    #[error("the audit log cannot be written: {problem}")]
    NotWritable {
        /// What the system said.
        problem: String,
    },
    /// The log on disk is not the one that was written.
    #[error("the audit log was altered: {finding}")]
    Altered {
        /// Which record, and what is wrong.
        finding: String,
    },
    /// The signing key does not belong to the newest checkpoint.
    #[error(
        "the signing key is of epoch {key}, the newest checkpoint asks for {checkpoint}: the log was cut or replaced"
    )]
    KeyMismatch {
        /// Epoch of the key on disk.
        key: u64,
        /// Epoch that the newest checkpoint names as next.
        checkpoint: u64,
    },
    /// A file holds something else than it should.
    #[error("{} cannot be read: {problem}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A record that does not exist.
    #[error("there is no record {seq}: the log has {size}")]
    NoSuchRecord {
        /// Number asked for.
        seq: u64,
        /// Number of records.
        size: u64,
    },
    /// The payload was destroyed.
    #[error("the payload of record {seq} was forgotten or never kept")]
    NoPayload {
        /// Its record.
        seq: u64,
    },
    /// The payload store failed.
    #[error("the payload store: {0}")]
    Store(#[from] rusqlite::Error),
    /// The payload store cannot be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A payload cannot be decrypted.
    #[error("the payload of record {seq} was altered")]
    PayloadAltered {
        /// Its record.
        seq: u64,
    },
    /// A record that cannot be written as canonical JSON.
    #[error("the record cannot be written as canonical JSON: {0}")]
    Canonical(String),
    /// No randomness for a key.
    #[error("the system gave no randomness: {0}")]
    Random(#[from] getrandom::Error),
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
}

impl AuditError {
    /// For `map_err`: names the file.
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}

impl Coded for AuditError {
    fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "AIOS-AUDIT-0001",
            Self::NotWritable { .. } => "AIOS-AUDIT-0002",
            Self::Altered { .. } => "AIOS-AUDIT-0003",
            Self::KeyMismatch { .. } => "AIOS-AUDIT-0004",
            Self::Malformed { .. } => "AIOS-AUDIT-0005",
            Self::NoSuchRecord { .. } => "AIOS-AUDIT-0006",
            Self::NoPayload { .. } => "AIOS-AUDIT-0007",
            Self::Store(_) => "AIOS-AUDIT-0008",
            Self::Database(error) => error.code(),
            Self::PayloadAltered { .. } => "AIOS-AUDIT-0009",
            Self::Canonical(_) => "AIOS-AUDIT-0010",
            Self::Random(_) => "AIOS-AUDIT-0011",
            Self::Closed => "AIOS-AUDIT-0012",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Io { .. } => "check that the directory exists, belongs to the guard and has room",
            Self::NotWritable { .. } => {
                "free space or repair the disk; the log tries again by itself, and nothing changes until then"
            }
            Self::Altered { .. } | Self::KeyMismatch { .. } => {
                "run `aiosctl audit verify` with a published head as anchor, keep the directory as evidence"
            }
            Self::Malformed { .. } => {
                "restore the file from a copy, or keep it as evidence and start a new log"
            }
            Self::NoSuchRecord { .. } => "list what exists with `aiosctl audit tail`",
            Self::NoPayload { .. } => "nothing to do: the record itself is still there and proved",
            Self::Store(_) => "check the disk; the record itself is not affected",
            Self::Database(error) => return error.next_step(),
            Self::PayloadAltered { .. } => "do not trust this payload; the record's digest still stands",
            Self::Canonical(_) => "send numbers below 2^53 and valid text",
            Self::Random(_) => "try again when the system has finished booting",
            Self::Closed => "the service is stopping; try again after its restart",
        }
        .to_owned()
    }

    fn class(&self) -> Class {
        match self {
            Self::Io { .. } | Self::NotWritable { .. } | Self::Store(_) | Self::Closed | Self::Random(_) => {
                Class::Unavailable
            }
            Self::Database(error) => error.class(),
            Self::NoSuchRecord { .. } | Self::NoPayload { .. } => Class::NotFound,
            Self::Canonical(_) => Class::InvalidArgument,
            Self::Altered { .. }
            | Self::KeyMismatch { .. }
            | Self::Malformed { .. }
            | Self::PayloadAltered { .. } => Class::Internal,
        }
    }
}
