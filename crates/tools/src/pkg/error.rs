//! What can go wrong with packages, each with a stable code and a next step.

use aios_core::error::{Class, Coded};

/// An error of the package namespace.
#[derive(Debug, thiserror::Error)]
pub enum PkgError {
    /// apt or dpkg refused or failed.
    #[error("{program} failed ({ended}): {said}")]
    Program {
        /// Program and command, `apt-get install`.
        program: String,
        /// `exit 100`, `signal 9`.
        ended: String,
        /// The end of what it wrote, errors before all.
        said: String,
    },
    /// Somebody else changes packages.
    #[error("{holder} holds {path} and did not let it go in {waited_ms} ms")]
    Locked {
        /// Who, `process 12 (apt-get)`.
        holder: String,
        /// The lock file.
        path: String,
        /// How long it was waited for, milliseconds.
        waited_ms: u64,
    },
    /// No such package.
    #[error("package `{name}` is {problem}")]
    NoSuchPackage {
        /// Its name.
        name: String,
        /// `not installed`, `in no list of packages`.
        problem: &'static str,
    },
    /// A package that the machine cannot be without.
    #[error("package `{name}` is essential: it would be removed, and no call removes it")]
    Essential {
        /// Its name.
        name: String,
    },
    /// A package that a person keeps at its version.
    #[error("package `{name}` is on hold: a person keeps it as it is")]
    Held {
        /// Its name.
        name: String,
    },
    /// Packages are half done by an earlier change.
    #[error("packages are half done from before: {names}")]
    Unsettled {
        /// Which, with their states.
        names: String,
    },
    /// The package file of a version cannot be had.
    #[error("the package file of {package} cannot be had: {why}")]
    NotObtainable {
        /// `name=version`.
        package: String,
        /// Why not.
        why: String,
    },
    /// What was done is not what was planned.
    #[error("packages are not as the call leaves them: {difference}")]
    NotReached {
        /// What differs.
        difference: String,
    },
    /// A package of the image itself.
    #[error(
        "package `{name}` was not added to the image that runs: it belongs to the image itself, or is not there"
    )]
    NotAdded {
        /// Its name.
        name: String,
    },
    /// An image has no package that is half done.
    #[error("there is nothing to finish: this machine runs an image, in which no package is half done")]
    NothingHalf,
    /// What is installed on an ordinary machine stays.
    #[error("packages cannot be had until the next start only: this machine does not run an image")]
    Stays,
    /// Somebody changed the packages since.
    #[error("packages were changed since: {differences}")]
    ChangedSince {
        /// What differs.
        differences: String,
    },
}

impl Coded for PkgError {
    fn code(&self) -> &'static str {
        match self {
            Self::Program { .. } => "AIOS-PKG-0001",
            Self::Locked { .. } => "AIOS-PKG-0002",
            Self::NoSuchPackage { .. } => "AIOS-PKG-0003",
            Self::Essential { .. } => "AIOS-PKG-0004",
            Self::Held { .. } => "AIOS-PKG-0005",
            Self::Unsettled { .. } => "AIOS-PKG-0006",
            Self::NotObtainable { .. } => "AIOS-PKG-0007",
            Self::NotReached { .. } => "AIOS-PKG-0008",
            Self::ChangedSince { .. } => "AIOS-PKG-0009",
            Self::NotAdded { .. } => "AIOS-PKG-0010",
            Self::NothingHalf => "AIOS-PKG-0011",
            Self::Stays => "AIOS-PKG-0012",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Program { .. } => "read what it said; `pkg.history` shows what came before",
            Self::Locked { .. } => "wait until that process has ended, then call again",
            Self::NoSuchPackage { .. } => "find its name with pkg.search or pkg.list",
            Self::Essential { .. } => "leave it installed, or ask for something else",
            Self::Held { .. } => "let a person take the hold off with `apt-mark unhold`",
            Self::Unsettled { .. } => "finish them with pkg.configure, then call again",
            Self::NotObtainable { .. } => "check the sources of packages and the network",
            Self::NotReached { .. } => "see pkg.list; pkg.configure finishes what is half done",
            Self::NotAdded { .. } => {
                "`aiosctl os status` lists what was added; an image without it is another image: os.switch"
            }
            Self::Stays => "install them without `transient`, and take them off again with pkg.undo",
            Self::NothingHalf => "leave it; pkg.install and pkg.remove make another image",
            Self::ChangedSince { .. } => "look with pkg.history, and undo the later changes first",
        }
        .to_owned()
    }

    fn class(&self) -> Class {
        match self {
            Self::NoSuchPackage { .. } => Class::NotFound,
            Self::Locked { .. } => Class::Unavailable,
            Self::NotObtainable { .. }
            | Self::Essential { .. }
            | Self::Held { .. }
            | Self::Unsettled { .. }
            | Self::ChangedSince { .. }
            | Self::NotAdded { .. }
            | Self::Stays
            | Self::NothingHalf => Class::FailedPrecondition,
            Self::Program { .. } | Self::NotReached { .. } => Class::Internal,
        }
    }
}
