//! What can go wrong with agents and their containers.

use aios_auth::peer::PeerError;
use aios_core::config::ConfigError;
use aios_core::error::{Class, Coded};
use aios_core::id::IdError;
use aios_core::rpc::RpcError;
use std::io;
use std::path::{Path, PathBuf};

use crate::podman::PodmanError;

/// An error of the sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Configuration does not parse.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A value of an agent kind has no meaning.
    #[error("{file}: key `{key}`: wanted {wanted}")]
    Kind {
        /// File.
        file: String,
        /// Key.
        key: &'static str,
        /// What it may hold.
        wanted: &'static str,
    },
    /// No such kind.
    #[error("there is no agent kind `{kind}`; there are: {known}")]
    UnknownKind {
        /// What was asked for.
        kind: String,
        /// What is there.
        known: String,
    },
    /// No such agent.
    #[error("there is no agent {id}")]
    UnknownAgent {
        /// What was asked for.
        id: String,
    },
    /// Not an agent id.
    #[error(transparent)]
    Id(#[from] IdError),
    /// As many agents as the configuration allows.
    #[error("{limit} agents run, which is the limit")]
    Full {
        /// The limit.
        limit: u32,
    },
    /// The caller may not do that.
    #[error("uid {uid} may not {action}")]
    Forbidden {
        /// The caller.
        uid: u32,
        /// What it wanted.
        action: &'static str,
    },
    /// The caller has a person's uid, but is no process of a person's.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The caller is unknown.
    #[error("the caller's uid could not be read from the socket")]
    NoPeer,
    /// An agent did not come up.
    #[error("agent {id} did not start: {why}")]
    NotStarted {
        /// The agent.
        id: String,
        /// Why.
        why: String,
    },
    /// The agent is in another state.
    #[error("agent {id} is {state}; it cannot be {action}")]
    State {
        /// The agent.
        id: String,
        /// Its state.
        state: &'static str,
        /// What was wanted.
        action: &'static str,
    },
    /// The machine lacks something and the configuration does not allow that.
    #[error("this machine cannot confine agents as configured: {missing}")]
    Degraded {
        /// What is missing.
        missing: String,
    },
    /// A live container is less confined than it must be.
    #[error("the container is not confined as it must be: {missing}")]
    NotConfined {
        /// What is missing.
        missing: String,
    },
    /// The agent image is missing or damaged.
    #[error("the agent image in {} cannot be used: {why}", path.display())]
    Image {
        /// The layout.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file or directory.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Podman.
    #[error(transparent)]
    Podman(#[from] PodmanError),
    /// A socket.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The guard did not take an event that must be in the log.
    #[error("`{kind}` could not be written to the audit log")]
    NotRecorded {
        /// The event.
        kind: String,
    },
    /// The service is ending.
    #[error("the sandbox is ending")]
    Ending,
}

impl SandboxError {
    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

impl Coded for SandboxError {
    fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Id(error) => error.code(),
            Self::Rpc(error) => error.code(),
            Self::Peer(error) => error.code(),
            Self::Podman(error) => error.code(),
            Self::Kind { .. } => "AIOS-SANDBOX-0001",
            Self::UnknownKind { .. } => "AIOS-SANDBOX-0002",
            Self::UnknownAgent { .. } => "AIOS-SANDBOX-0003",
            Self::Full { .. } => "AIOS-SANDBOX-0004",
            Self::Forbidden { .. } => "AIOS-SANDBOX-0005",
            Self::NoPeer => "AIOS-SANDBOX-0006",
            Self::NotStarted { .. } => "AIOS-SANDBOX-0007",
            Self::State { .. } => "AIOS-SANDBOX-0008",
            Self::Degraded { .. } => "AIOS-SANDBOX-0009",
            Self::NotConfined { .. } => "AIOS-SANDBOX-0010",
            Self::Image { .. } => "AIOS-SANDBOX-0011",
            Self::File { .. } => "AIOS-SANDBOX-0012",
            Self::Ending => "AIOS-SANDBOX-0013",
            Self::NotRecorded { .. } => "AIOS-SANDBOX-0014",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Config(error) => error.next_step(),
            Self::Id(error) => error.next_step(),
            Self::Rpc(error) => error.next_step(),
            Self::Peer(error) => error.next_step(),
            Self::Podman(error) => error.next_step(),
            Self::Kind { file, .. } => format!("correct {file}"),
            Self::UnknownKind { .. } => "name one of the kinds that are there, or add agents/KIND.toml".to_owned(),
            Self::UnknownAgent { .. } => "see `aiosctl agent list`".to_owned(),
            Self::Full { .. } => "stop an agent, or raise `max_agents` in [sandbox]".to_owned(),
            Self::Forbidden { .. } => "ask as the orchestrator, as root or as an enrolled person".to_owned(),
            Self::NoPeer => "connect through the service's Unix socket".to_owned(),
            Self::NotStarted { id, .. } => format!("see `aiosctl agent logs {id}`"),
            Self::State { id, .. } => format!("see `aiosctl agent show {id}`"),
            Self::Degraded { .. } | Self::NotConfined { .. } => {
                "see docs/architecture/DEGRADATION.md; a development machine sets `allow_degraded` in [sandbox]"
                    .to_owned()
            }
            Self::Image { .. } => "build it with `cargo xtask agent-image`, or reinstall the image".to_owned(),
            Self::File { path, .. } => format!("check owner and mode of {} and free space", path.display()),
            Self::NotRecorded { .. } => "see `aiosctl service logs aios-guard`".to_owned(),
            Self::Ending => "ask again when it runs: `aiosctl service status aios-sandbox`".to_owned(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Config(_) | Self::Kind { .. } | Self::Id(_) => Class::InvalidArgument,
            Self::UnknownKind { .. } | Self::UnknownAgent { .. } => Class::NotFound,
            Self::Full { .. } => Class::ResourceExhausted,
            Self::Forbidden { .. } => Class::PermissionDenied,
            Self::NoPeer => Class::Unauthenticated,
            Self::State { .. } | Self::Degraded { .. } | Self::NotConfined { .. } => {
                Class::FailedPrecondition
            }
            Self::NotStarted { .. } | Self::NotRecorded { .. } | Self::Ending => Class::Unavailable,
            Self::Podman(error) => error.class(),
            Self::Peer(error) => error.class(),
            Self::Image { .. } | Self::File { .. } | Self::Rpc(_) => Class::Internal,
        }
    }
}
