//! What can go wrong in memory, with stable codes.

use aios_core::error::{Class, Coded};
use aios_database::DatabaseError;

/// An error of memory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be read or written.
    #[error("the working tier cannot be used: {0}")]
    Storage(#[from] rusqlite::Error),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A field of a request is wrong.
    #[error("{field}: {problem}")]
    BadField {
        /// Field as the API names it.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The events do not continue what is held.
    #[error("event {got} does not follow; {wanted} is next")]
    Gap {
        /// Number given.
        got: u64,
        /// Number that is next.
        wanted: u64,
    },
    /// The database's thread panicked.
    #[error("the working tier is closed")]
    Closed,
    /// The file system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What was seen.
        source: std::io::Error,
    },
}

impl Error {
    /// A wrong field.
    pub fn field(field: &'static str, problem: impl Into<String>) -> Self {
        Self::BadField {
            field,
            problem: problem.into(),
        }
    }
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Storage(_) => "AIOS-MEMORY-0001",
            Self::Database(error) => error.code(),
            Self::BadField { .. } => "AIOS-MEMORY-0003",
            Self::Gap { .. } => "AIOS-MEMORY-0004",
            Self::Closed => "AIOS-MEMORY-0005",
            Self::Io { .. } => "AIOS-MEMORY-0006",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Database(error) => return error.next_step(),
            Self::Storage(_) | Self::Io { .. } => {
                "free space or repair the disk; deleting memory's state directory is safe, it fills itself again"
            }
            Self::BadField { .. } => "correct the field and send the request again",
            Self::Gap { .. } => "ask GetPosition and continue from there",
            Self::Closed => "restart memory with `aiosctl service restart memory`",
        }
        .to_owned()
    }

    fn class(&self) -> Class {
        match self {
            Self::Storage(rusqlite::Error::SqliteFailure(error, _))
                if error.code == rusqlite::ErrorCode::DiskFull =>
            {
                Class::ResourceExhausted
            }
            Self::Database(error) => error.class(),
            Self::Storage(_) | Self::Io { .. } => Class::Internal,
            Self::BadField { .. } => Class::InvalidArgument,
            Self::Gap { .. } => Class::FailedPrecondition,
            Self::Closed => Class::Unavailable,
        }
    }
}
