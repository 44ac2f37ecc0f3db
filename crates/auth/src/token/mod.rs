//! Tokens: Biscuits (<https://doc.biscuitsec.org>) that carry an agent's capabilities for one task.
//!
//! The authority block, signed by the guard, holds the facts `agent`, `agent_kind`, `goal`, `task`,
//! `expires`, `tainted`, `autonomy`, `epoch` and one `cap` a capability. Further blocks may hold `cap`
//! and `expires` facts only, and each takes away: a call must be allowed by *every* block that names
//! capabilities, and the earliest expiry counts. A block with anything else (rules, checks, third-party
//! signatures) is refused, because a verifier that does not understand a restriction must not ignore it.
//!
//! ```
//! use aios_auth::{key::SecretKey, level::Autonomy, token};
//! use aios_core::id::{AgentId, GoalId, TaskId};
//! let key = SecretKey::generate()?;
//! let grant = token::Grant {
//!     agent: AgentId::new(), agent_kind: "maintenance_agent".into(), goal: GoalId::new(), task: TaskId::new(),
//!     capabilities: vec!["fs:*:/var/tmp/**".parse()?], expires_at_ms: 2_000, tainted: false,
//!     autonomy: Autonomy::Supervised, epoch: 1,
//! };
//! let minted = token::Minter::new(&key)?.mint(&grant)?;
//! let narrow = token::attenuate(&minted.token, &key.public(), &["fs:read:/var/tmp/a".parse()?], None)?;
//! let verified = token::Verifier::new(&key.public())?.verify(&narrow, 1_000, &token::NoRevocations)?;
//! assert!(verified.capabilities.allows("fs", "read", "/var/tmp/a"));
//! assert!(!verified.capabilities.allows("fs", "delete", "/var/tmp/a"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod block;
mod cache;
mod mint;
mod verify;

use std::collections::BTreeSet;

use aios_core::error::{Class, Coded};
use aios_core::id::{AgentId, GoalId, TaskId};

use crate::capability::{Capability, CapabilityError, CapabilitySet};
use crate::key::KeyError;
use crate::level::Autonomy;

pub use mint::{Minted, Minter, attenuate};
pub use verify::Verifier;

/// Largest serialized token, bytes.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Most attenuations of one token.
pub const MAX_ATTENUATIONS: usize = 8;
/// Most capabilities in one block.
pub const MAX_CAPABILITIES: usize = 64;

/// What a token grants, before it is minted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Agent instance.
    pub agent: AgentId,
    /// Agent kind, `maintenance_agent`.
    pub agent_kind: String,
    /// Goal.
    pub goal: GoalId,
    /// Task.
    pub task: TaskId,
    /// Capabilities; 1 to [`MAX_CAPABILITIES`].
    pub capabilities: Vec<Capability>,
    /// End, UTC milliseconds.
    pub expires_at_ms: i64,
    /// Whether untrusted text shaped the task.
    pub tainted: bool,
    /// How much the goal's owner wants to be asked.
    pub autonomy: Autonomy,
    /// Trust epoch of the mint.
    pub epoch: u64,
}

/// A token whose signature, form, time and revocation were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    /// Id of the minted token, hex; the same for all its attenuations.
    pub token_id: String,
    /// Ids of all blocks, the minted one first; revoking any of them revokes this token.
    pub revocation_ids: Vec<String>,
    /// Agent instance.
    pub agent: AgentId,
    /// Agent kind.
    pub agent_kind: String,
    /// Goal.
    pub goal: GoalId,
    /// Task.
    pub task: TaskId,
    /// What all blocks allow.
    pub capabilities: CapabilitySet,
    /// Earliest end of all blocks, UTC milliseconds.
    pub expires_at_ms: i64,
    /// Whether untrusted text shaped the task.
    pub tainted: bool,
    /// How much the goal's owner wants to be asked.
    pub autonomy: Autonomy,
    /// Trust epoch of the mint.
    pub epoch: u64,
}

/// What is revoked, as the verifier's owner knows it.
pub trait Revocations {
    /// Changes whenever anything about revocation changes; verified tokens are cached until then.
    fn epoch(&self) -> u64;
    /// Whether a token id is revoked.
    fn is_revoked(&self, token_id: &str) -> bool;
    /// Tokens minted in an epoch before this one are revoked, whatever their id.
    fn min_token_epoch(&self) -> u64 {
        0
    }
}

/// Nothing is revoked; for clients that only look into a token.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRevocations;

impl Revocations for NoRevocations {
    fn epoch(&self) -> u64 {
        0
    }

    fn is_revoked(&self, _token_id: &str) -> bool {
        false
    }
}

/// A plain set of revoked ids, as the guard keeps it.
#[derive(Debug, Clone, Default)]
pub struct RevocationList {
    /// Grows at each change.
    pub epoch: u64,
    /// Tokens minted before this epoch are revoked.
    pub min_token_epoch: u64,
    /// Revoked ids.
    pub revoked: BTreeSet<String>,
}

impl Revocations for RevocationList {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn is_revoked(&self, token_id: &str) -> bool {
        self.revoked.contains(token_id)
    }

    fn min_token_epoch(&self) -> u64 {
        self.min_token_epoch
    }
}

/// Why a token is refused or cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("the call carries no token")]
    Missing,
    /// It is larger than [`MAX_TOKEN`].
    #[error("a token of {len} bytes is larger than {MAX_TOKEN}")]
    TooLarge {
        /// Its size in bytes.
        len: usize,
    },
    /// It is no Biscuit, or not one of this guard.
    #[error("the token was not minted by this guard: {reason}")]
    Forged {
        /// What the library said.
        reason: String,
    },
    /// A block holds something that this verifier does not understand.
    #[error("block {block} of the token {problem}")]
    Foreign {
        /// Number of the block; 0 is the minted one.
        block: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// It ended.
    #[error("the token ended {late_ms} ms ago")]
    Expired {
        /// How long ago, milliseconds.
        late_ms: i64,
    },
    /// It was revoked.
    #[error("the token {} was revoked", short(token_id))]
    Revoked {
        /// Its id.
        token_id: String,
    },
    /// An attenuation asked for more than the token has.
    #[error("`{wanted}` is not within what the token allows ({has})")]
    Widens {
        /// The capability.
        wanted: String,
        /// What the token allows.
        has: String,
    },
    /// A grant that cannot be minted.
    #[error("this grant cannot be minted: {problem}")]
    Grant {
        /// Why.
        problem: String,
    },
    /// A capability within a token cannot be read.
    #[error(transparent)]
    Capability(#[from] CapabilityError),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

impl Coded for TokenError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing => "AIOS-AUTH-0201",
            Self::TooLarge { .. } => "AIOS-AUTH-0202",
            Self::Forged { .. } => "AIOS-AUTH-0203",
            Self::Foreign { .. } => "AIOS-AUTH-0204",
            Self::Expired { .. } => "AIOS-AUTH-0205",
            Self::Revoked { .. } => "AIOS-AUTH-0206",
            Self::Widens { .. } => "AIOS-AUTH-0207",
            Self::Grant { .. } => "AIOS-AUTH-0208",
            Self::Capability(error) => error.code(),
            Self::Key(error) => error.code(),
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Missing | Self::Forged { .. } | Self::Expired { .. } => {
                "ask the guard for a token for this task (rpc Mint)".to_owned()
            }
            Self::TooLarge { .. } => "ask for fewer or shorter capabilities".to_owned(),
            Self::Foreign { .. } => {
                "narrow tokens with `cap` and `expires` facts only (rpc Attenuate)".to_owned()
            }
            Self::Revoked { .. } => "the task was stopped; see `aiosctl goal show` for why".to_owned(),
            Self::Widens { .. } => "ask for a part of what the token allows".to_owned(),
            Self::Grant { .. } => "correct the request".to_owned(),
            Self::Capability(error) => error.next_step(),
            Self::Key(error) => error.next_step(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Missing | Self::Forged { .. } | Self::Expired { .. } => Class::Unauthenticated,
            Self::Revoked { .. } | Self::Widens { .. } | Self::Foreign { .. } => Class::PermissionDenied,
            Self::TooLarge { .. } | Self::Grant { .. } | Self::Capability(_) => Class::InvalidArgument,
            Self::Key(error) => error.class(),
        }
    }
}
