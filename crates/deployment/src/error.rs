//! What can go wrong.

use aios_core::error::{Class, Coded};
use std::io;
use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, DeploymentError>;

/// An error about deployments.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// A file or directory.
    #[error("{what} {}: {source}", path.display())]
    Path {
        /// What was tried, `cannot read`.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// No boot partition.
    #[error("the boot partition was not found: {0}")]
    NoEsp(String),
    /// No entry boots that deployment.
    #[error("no boot entry below {} boots the deployment {id}", loader.display())]
    NoEntry {
        /// Directory of the loader.
        loader: PathBuf,
        /// Short name of the deployment.
        id: String,
    },
    /// A record that cannot be understood.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A record that a newer version wrote.
    #[error("{} was written by a newer version (schema {found}, this one knows {known}); it is left as it is", path.display())]
    Newer {
        /// The record.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest schema that is known here.
        known: u32,
    },
}

impl DeploymentError {
    /// For `map_err` on what touches `path`.
    pub(crate) fn path(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Path { what, path, source }
    }
}

impl Coded for DeploymentError {
    fn code(&self) -> &'static str {
        match self {
            Self::Path { .. } => "AIOS-DEPLOYMENT-0001",
            Self::NoEsp(_) => "AIOS-DEPLOYMENT-0002",
            Self::NoEntry { .. } => "AIOS-DEPLOYMENT-0003",
            Self::Damaged { .. } => "AIOS-DEPLOYMENT-0004",
            Self::Newer { .. } => "AIOS-DEPLOYMENT-0005",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Path { .. } => "check that it is there, and that its file system is not full".into(),
            Self::NoEsp(_) => "this needs a machine that was installed by `bootc install`".into(),
            Self::NoEntry { .. } => "see `bootc status`, and the files in that directory".into(),
            Self::Damaged { .. } => "move the file away: a new one is begun".into(),
            Self::Newer { .. } => "update to the version that wrote it, or a newer one".into(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::NoEsp(_) | Self::NoEntry { .. } | Self::Newer { .. } => Class::FailedPrecondition,
            Self::Path { .. } | Self::Damaged { .. } => Class::Internal,
        }
    }
}
