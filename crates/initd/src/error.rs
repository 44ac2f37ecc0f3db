//! What can go wrong while services are supervised.

use aios_auth::peer::PeerError;
use aios_confine::ConfineError;
use aios_core::config::ConfigError;
use aios_core::error::{Class, Coded};
use aios_deployment::DeploymentError;
use std::io;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, InitError>;

/// An error of the supervisor.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A service file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A service file says something that cannot be.
    #[error("{file}: {message}")]
    Spec {
        /// The file, or the service.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// Services need each other in a circle.
    #[error("services need each other in a circle: {0}")]
    Cycle(String),
    /// No service of that name.
    #[error("no service named {name:?}{hint}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// `; did you mean …?`, or empty.
        hint: String,
    },
    /// A user or group of a service does not exist.
    #[error("service {service}: no {what} named {name:?}")]
    NoAccount {
        /// Which service.
        service: String,
        /// `user` or `group`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Something about the images that this machine can boot.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// This machine has no images to swap.
    #[error("this machine was not installed by bootc, and has no images to swap")]
    NoDeployment,
    /// Something about a file or directory failed.
    #[error("{what} {}: {source}", path.display())]
    Path {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The process could not be locked down or started.
    #[error("service {service}: {source}")]
    Confine {
        /// Which service.
        service: String,
        /// Why.
        source: ConfineError,
    },
    /// Another instance runs on the same tree.
    #[error("another aios-init already runs on {}", .0.display())]
    Running(PathBuf),
    /// Only root can change users.
    #[error("aios-init runs as uid {0}, but services have users of their own")]
    NotRoot(u32),
    /// The caller may not do that.
    #[error("uid {0} may not change services")]
    Denied(u32),
    /// The caller may not lay anything over the system.
    #[error("uid {0} may not lay packages over /usr: only the worker of images may")]
    NotImages(u32),
    /// A tool may not do that to a service of aiOS itself.
    #[error("a tool may not {change} {service}: {why}")]
    Core {
        /// Which.
        service: String,
        /// What was asked.
        change: &'static str,
        /// Why not.
        why: String,
    },
    /// The caller has a person's uid, but is no process of a person's.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The caller cannot be identified.
    #[error("the caller cannot be identified")]
    Nobody,
    /// A request with a value that does not exist.
    #[error("{field}: {value:?} is not one of {allowed}")]
    Value {
        /// Field of the request.
        field: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// The system is going down.
    #[error("the system is shutting down")]
    Ending,
    /// The service cannot be started.
    #[error("service {service} did not start: {reason}")]
    NotStarted {
        /// Which.
        service: String,
        /// Why.
        reason: String,
    },
    /// A system call of the supervisor itself failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The work was done but for what is wrong in somebody's file.
    #[error("{0}")]
    LeftOut(String),
    /// The gRPC server failed.
    #[error(transparent)]
    Rpc(#[from] aios_core::rpc::RpcError),
}

impl InitError {
    /// For `map_err` on a path.
    pub fn path(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Path { what, path, source }
    }

    /// For `map_err` on a system call.
    pub fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System {
            what,
            source: source.into(),
        }
    }
}

impl Coded for InitError {
    fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Deployment(error) => error.code(),
            Self::NoDeployment => "AIOS-INIT-0017",
            Self::Rpc(error) => error.code(),
            Self::Peer(error) => error.code(),
            Self::Spec { .. } => "AIOS-INIT-0001",
            Self::Cycle(_) => "AIOS-INIT-0002",
            Self::Unknown { .. } => "AIOS-INIT-0003",
            Self::NoAccount { .. } => "AIOS-INIT-0004",
            Self::Path { .. } => "AIOS-INIT-0005",
            Self::Confine { .. } => "AIOS-INIT-0006",
            Self::Running(_) => "AIOS-INIT-0007",
            Self::NotRoot(_) => "AIOS-INIT-0008",
            Self::Denied(_) => "AIOS-INIT-0009",
            Self::Nobody => "AIOS-INIT-0010",
            Self::Value { .. } => "AIOS-INIT-0011",
            Self::Ending => "AIOS-INIT-0012",
            Self::NotStarted { .. } => "AIOS-INIT-0013",
            Self::System { .. } => "AIOS-INIT-0014",
            Self::Core { .. } => "AIOS-INIT-0015",
            Self::LeftOut(_) => "AIOS-INIT-0016",
            Self::NotImages(_) => "AIOS-INIT-0018",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Config(error) => error.next_step(),
            Self::Deployment(error) => error.next_step(),
            Self::NoDeployment => "install it by `bootc install`: see docs/guides/install.md".into(),
            Self::Rpc(error) => error.next_step(),
            Self::Peer(error) => error.next_step(),
            Self::Spec { .. } => "correct the service's file".into(),
            Self::Cycle(_) => "take one of the `needs` or `after` out of the circle".into(),
            Self::Unknown { .. } => "see `aiosctl service list`".into(),
            Self::NoAccount { what, name, .. } => format!("create the {what} {name}: `make setup` does it"),
            Self::Path { .. } => "check owner, mode and free space there".into(),
            Self::Confine { source, .. } => source.next_step(),
            Self::Running(_) => "stop it with `make down`, or use another --state".into(),
            Self::NotRoot(_) => "start it with sudo".into(),
            Self::Denied(_) => "ask root or an enrolled person".into(),
            Self::NotImages(_) => {
                "call the tool pkg.install with `transient`, which a person approves".into()
            }
            Self::Core { service, change, .. } => {
                format!("an enrolled person may: `aiosctl service {change} {service}`")
            }
            Self::Nobody => "connect over the Unix socket".into(),
            Self::Value { allowed, .. } => format!("use one of {allowed}"),
            Self::Ending => "wait until it has started again".into(),
            Self::NotStarted { service, .. } => format!("see `aiosctl service logs {service}`"),
            Self::LeftOut(_) => "correct the file and start the machine again".into(),
            Self::System { .. } => "check the limits and the kernel's log".into(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Unknown { .. } => Class::NotFound,
            Self::Denied(_) | Self::NotImages(_) | Self::Core { .. } => Class::PermissionDenied,
            Self::Peer(error) => error.class(),
            Self::Deployment(error) => error.class(),
            Self::Nobody => Class::Unauthenticated,
            Self::Ending => Class::Unavailable,
            Self::NoDeployment
            | Self::Running(_)
            | Self::NotRoot(_)
            | Self::NotStarted { .. }
            | Self::NoAccount { .. } => Class::FailedPrecondition,
            Self::Config(_) | Self::Spec { .. } | Self::Cycle(_) | Self::Value { .. } | Self::LeftOut(_) => {
                Class::InvalidArgument
            }
            _ => Class::Internal,
        }
    }
}
