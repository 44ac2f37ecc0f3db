//! What can go wrong with images of the operating system, each with a stable code and a next step.

use aios_core::error::{Class, Coded};
use aios_deployment::DeploymentError;

/// An error of the os namespace.
#[derive(Debug, thiserror::Error)]
pub enum OsError {
    /// Images mean nothing here.
    #[error("this machine was not installed by bootc: {why}")]
    NotInstalled {
        /// How that is known.
        why: String,
    },
    /// What runs is not trusted yet.
    #[error(
        "the running image is on trial ({left} tries left), and no other one is laid out before it is trusted"
    )]
    OnTrial {
        /// Tries that the boot loader has left.
        left: u32,
    },
    /// Another one waits for the next start.
    #[error("an image is staged already: {image}")]
    AlreadyStaged {
        /// Which.
        image: String,
    },
    /// Nobody who is trusted stands for it.
    #[error("{image} is not laid out: {why}")]
    NotSigned {
        /// The image.
        image: String,
        /// What its signatures are worth.
        why: String,
    },
    /// It was tried, and did not work.
    #[error("{image} failed on this machine before: {why}")]
    KnownBad {
        /// The image.
        image: String,
        /// Why it was given up.
        why: String,
    },
    /// It does not fit.
    #[error(
        "{place} has no room: {needed} bytes are needed, {reserve} more must stay free, and {free} are free"
    )]
    NoRoom {
        /// `/sysroot`, `the boot partition`.
        place: &'static str,
        /// What the image needs.
        needed: u64,
        /// What must be left.
        reserve: u64,
        /// What is free.
        free: u64,
    },
    /// Nothing to go back to.
    #[error("there is nothing to go back to: {why}")]
    NoRollback {
        /// Why.
        why: String,
    },
    /// The image is there, as what a rollback goes to.
    #[error("{image} is what a rollback goes to")]
    IsRollback {
        /// Which.
        image: String,
    },
    /// bootc ended well and did something else.
    #[error("bootc did not do what it was asked for: {why}")]
    Otherwise {
        /// What is there instead.
        why: String,
    },
    /// The packages cannot be had.
    #[error("no image was made{}: {said}", package.as_ref().map_or(String::new(), |name| format!(", because of package `{name}`")))]
    NotBuilt {
        /// The package that it is about, where apt or dpkg names one.
        package: Option<String>,
        /// apt's and dpkg's own words.
        said: String,
    },
    /// What was made is no good.
    #[error("the image that was made is not laid out: {why}")]
    NotWhole {
        /// What is wrong with it.
        why: String,
    },
    /// A newer image would lack what people added to the one that runs.
    #[error("{image} is not laid out, because the packages that were added cannot be added to it: {why}")]
    NotRebuilt {
        /// The newer image.
        image: String,
        /// Why not.
        why: String,
    },
    /// More than `/usr` would have to change.
    #[error("these packages cannot be had until the next start only: they bring {what}")]
    NotTransient {
        /// Files elsewhere, users.
        what: String,
    },
    /// What a new image would stand on is not to be had.
    #[error("the image that the packages are added to cannot be had: {why}")]
    NoBase {
        /// Why.
        why: String,
    },
    /// A lower part failed.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
}

impl Coded for OsError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotInstalled { .. } => "AIOS-OS-0001",
            Self::OnTrial { .. } => "AIOS-OS-0002",
            Self::AlreadyStaged { .. } => "AIOS-OS-0003",
            Self::NotSigned { .. } => "AIOS-OS-0004",
            Self::KnownBad { .. } => "AIOS-OS-0005",
            Self::NoRoom { .. } => "AIOS-OS-0006",
            Self::NoRollback { .. } => "AIOS-OS-0007",
            Self::IsRollback { .. } => "AIOS-OS-0008",
            Self::Otherwise { .. } => "AIOS-OS-0009",
            Self::NotBuilt { .. } => "AIOS-OS-0010",
            Self::NotWhole { .. } => "AIOS-OS-0011",
            Self::NotRebuilt { .. } => "AIOS-OS-0012",
            Self::NoBase { .. } => "AIOS-OS-0013",
            Self::NotTransient { .. } => "AIOS-OS-0014",
            Self::Deployment(error) => error.code(),
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::NotInstalled { .. } => "install it by bootc: see docs/guides/install.md",
            Self::OnTrial { .. } => {
                "wait until it is trusted (`aiosctl os status` says until when), or go back with os.rollback"
            }
            Self::AlreadyStaged { .. } => {
                "start it with os.reboot, or drop it by undoing the call that staged it"
            }
            Self::NotSigned { .. } => {
                "sign it with `aiosctl os sign DIR --key FILE`, and put the public key into /etc/aios/trust/images; \
                 for a registry write its key into /etc/containers/policy.json"
            }
            Self::KnownBad { .. } => {
                "get an image that mends it; `force`: true lays this one out all the same, once a person agrees"
            }
            Self::NoRoom { .. } => "free space there: `aiosctl goal run \"free space on /sysroot\"` looks for what can go",
            Self::NoRollback { .. } => "`aiosctl os status` shows what there is",
            Self::IsRollback { .. } => "go to it with os.rollback",
            Self::NotBuilt { .. } => {
                "read what apt said; the name and /etc/apt/sources.list.d decide what can be had. Nothing was staged"
            }
            Self::NotWhole { .. } => "ask for other packages or versions. Nothing was staged",
            Self::NotRebuilt { .. } => {
                "take the package off with pkg.remove, or mend apt's sources, then call again; what runs stays as it is"
            }
            Self::NotTransient { .. } => {
                "install them without `transient`: the next start has them, and an undo drops them. Nothing was changed"
            }
            Self::NoBase { .. } => "see `aiosctl os status`; os.upgrade fetches a newer one",
            Self::Otherwise { .. } => "see `aiosctl service logs aios-worker-os`, and report it",
            Self::Deployment(error) => return error.next_step(),
        }
        .to_owned()
    }

    fn class(&self) -> Class {
        match self {
            Self::NotSigned { .. } => Class::PermissionDenied,
            Self::Otherwise { .. } => Class::Internal,
            Self::Deployment(error) => error.class(),
            Self::NotInstalled { .. }
            | Self::OnTrial { .. }
            | Self::AlreadyStaged { .. }
            | Self::KnownBad { .. }
            | Self::NotBuilt { .. }
            | Self::NotWhole { .. }
            | Self::NotRebuilt { .. }
            | Self::NoBase { .. }
            | Self::NotTransient { .. }
            | Self::NoRoom { .. }
            | Self::NoRollback { .. }
            | Self::IsRollback { .. } => Class::FailedPrecondition,
        }
    }
}
