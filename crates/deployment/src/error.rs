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
    /// A directory without the image.
    #[error("{} is no image: {problem}", dir.display())]
    NoImage {
        /// The directory.
        dir: PathBuf,
        /// What is missing.
        problem: String,
    },
    /// A blob that is not what its name says.
    #[error("{} is not what its name says: it is {found}; the image was altered or damaged", path.display())]
    Altered {
        /// The blob.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// A program that cannot be run.
    #[error("cannot run {program}: {source}")]
    NotRun {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// A program that failed.
    #[error("{command} failed ({ended}): {said}")]
    Failed {
        /// The program and its first argument, `bootc upgrade`.
        command: String,
        /// `exit 1`, `signal 9`.
        ended: String,
        /// What it said last of an error.
        said: String,
    },
    /// A program answered what is not understood.
    #[error("{command} answered something that is not understood: {reason}")]
    Answer {
        /// The program and its first argument.
        command: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The caller did not want to go on.
    #[error("it was stopped before it was done")]
    Stopped,
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
            Self::NoImage { .. } => "AIOS-DEPLOYMENT-0006",
            Self::Altered { .. } => "AIOS-DEPLOYMENT-0007",
            Self::NotRun { .. } => "AIOS-DEPLOYMENT-0008",
            Self::Failed { .. } => "AIOS-DEPLOYMENT-0009",
            Self::Answer { .. } => "AIOS-DEPLOYMENT-0010",
            Self::Stopped => "AIOS-DEPLOYMENT-0011",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Path { .. } => "check that it is there, and that its file system is not full".into(),
            Self::NoEsp(_) => "this needs a machine that was installed by `bootc install`".into(),
            Self::NoEntry { .. } => "see `bootc status`, and the files in that directory".into(),
            Self::Damaged { .. } => {
                "correct the file; a record of aiOS is begun anew when it is moved away".into()
            }
            Self::NoImage { .. } => "write one there with `podman push IMAGE oci:DIR:TAG`".into(),
            Self::Altered { .. } => "get the image again from where it was made; do not use this one".into(),
            Self::NotRun { .. } => "install it, or correct [os] in config.toml".into(),
            Self::Failed { .. } => "see what it said, and `aiosctl service logs aios-worker-os`".into(),
            Self::Answer { .. } => "compare its version with docs/architecture/UPDATE.md".into(),
            Self::Stopped => "allow more time, and try again".into(),
            Self::Newer { .. } => "update to the version that wrote it, or a newer one".into(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::NoEsp(_) | Self::NoEntry { .. } | Self::Newer { .. } | Self::NotRun { .. } => {
                Class::FailedPrecondition
            }
            Self::NoImage { .. } => Class::NotFound,
            Self::Altered { .. } => Class::PermissionDenied,
            Self::Stopped => Class::Cancelled,
            Self::Path { .. } | Self::Damaged { .. } | Self::Failed { .. } | Self::Answer { .. } => {
                Class::Internal
            }
        }
    }
}
