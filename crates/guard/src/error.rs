//! Everything that the guard says no to, each with a code, a next step, and the rule that it names in
//! the audit log.

use aios_audit::AuditError;
use aios_auth::SignedError;
use aios_auth::call::CallError;
use aios_auth::capability::CapabilityError;
use aios_auth::key::KeyError;
use aios_auth::level::Autonomy;
use aios_auth::peer::PeerError;
use aios_auth::person::PersonError;
use aios_auth::policy::{LimitError, PolicyError};
use aios_auth::token::TokenError;
use aios_auth::trust::TrustError;
use aios_core::config::ConfigError;
use aios_core::error::{Class, Coded};
use aios_core::id::{ExecutionKeyError, IdError};
use aios_core::rpc::RpcError;
use aios_database::DatabaseError;
use std::io;
use std::path::PathBuf;

/// An error or denial of the guard.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// From a part that has codes of its own.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A person's proof is refused.
    #[error(transparent)]
    Person(#[from] PersonError),
    /// A token is refused.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A call cannot be read.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A capability cannot be read.
    #[error(transparent)]
    Capability(#[from] CapabilityError),
    /// A limit of policy.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The policy cannot be used.
    #[error(transparent)]
    PolicyFile(#[from] PolicyError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The trust file.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Signing.
    #[error(transparent)]
    Signed(#[from] SignedError),
    /// An id.
    #[error(transparent)]
    Id(#[from] IdError),
    /// An execution key.
    #[error(transparent)]
    ExecutionKey(#[from] ExecutionKeyError),
    /// Configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The socket.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The database.
    #[error("the guard's database: {0}")]
    Store(#[from] rusqlite::Error),
    /// A database cannot be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A file.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A field of the request.
    #[error("`{field}` {problem}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The caller is neither a service that may nor an enrolled person.
    #[error("uid {uid} is neither a service that may ask this nor an enrolled person")]
    Stranger {
        /// Who.
        uid: u32,
    },
    /// The token is another task's.
    #[error("the token is of task {token}, the call of task {call}")]
    OtherTask {
        /// Task of the token.
        token: String,
        /// Task of the call.
        call: String,
    },
    /// The token does not allow what the call needs.
    #[error("the token does not allow {access}")]
    Narrow {
        /// What the call needs.
        access: String,
    },
    /// The digest that came with the call is not that of the call.
    #[error("the call's digest does not fit the call")]
    Digest,
    /// The key stands for another call already.
    #[error("step {key} stands for another call already")]
    KeyReused {
        /// Task and step.
        key: String,
    },
    /// What was approved is not what is asked now.
    #[error("the call at step {key} changed after a person was asked about it")]
    CallChanged {
        /// Task and step.
        key: String,
    },
    /// Policy says no.
    #[error("policy denies it: {reason}")]
    Policy {
        /// The rule.
        rule: String,
        /// Why.
        reason: String,
    },
    /// An emergency stop holds.
    #[error("an emergency stop holds: nothing may change")]
    Emergency,
    /// A person said no.
    #[error("{by} declined it")]
    Declined {
        /// Who.
        by: String,
        /// The approval that was declined.
        approval: String,
    },
    /// Nobody answered.
    #[error("nobody answered the approval request in time")]
    Unanswered {
        /// The approval.
        approval: String,
    },
    /// The goal was cancelled.
    #[error("the approval request was withdrawn with its goal")]
    Withdrawn {
        /// The approval.
        approval: String,
    },
    /// A person's yes is long over.
    #[error("the approval of this call ended {late_ms} ms ago, too long to finish it")]
    ApprovalOver {
        /// The approval.
        approval: String,
        /// How long ago, milliseconds.
        late_ms: i64,
    },
    /// The ceiling of the agent's kind is lower.
    #[error("`{wanted}` is above the ceiling of {kind}")]
    Ceiling {
        /// The capability.
        wanted: String,
        /// The kind.
        kind: String,
    },
    /// No such kind of agent.
    #[error("there is no agent kind `{kind}`")]
    UnknownKind {
        /// The kind.
        kind: String,
    },
    /// The sandbox started no such agent.
    #[error("agent {agent} of kind {kind} is not running")]
    UnknownAgent {
        /// The agent.
        agent: String,
        /// The kind.
        kind: String,
    },
    /// Longer than tokens may live.
    #[error("a token may live {most_ms} ms, {wanted_ms} ms were asked for")]
    Lifetime {
        /// Asked for, milliseconds.
        wanted_ms: u64,
        /// The most, milliseconds.
        most_ms: u64,
    },
    /// More than a goal may decide alone.
    #[error("autonomy `{}` was asked for, and goals have at most `{}` here", wanted.as_str(), most.as_str())]
    Autonomy {
        /// Asked for.
        wanted: Autonomy,
        /// The most.
        most: Autonomy,
    },
    /// A remembered scope that goes further than the call's token, or not as far as the call.
    #[error("`{scope}` cannot be remembered: {problem}")]
    Scope {
        /// The scope.
        scope: String,
        /// Why.
        problem: String,
    },
    /// A person cannot be enrolled so.
    #[error("uid {uid} cannot be enrolled: {problem}")]
    Enrol {
        /// Who.
        uid: u32,
        /// Why.
        problem: &'static str,
    },
    /// A sign-in code or session that is not known (any more).
    #[error("the {what} is not known, used or over")]
    NoSession {
        /// `sign-in code` or `session`.
        what: &'static str,
    },
    /// No such approval.
    #[error("there is no approval {id}")]
    NoApproval {
        /// Its id.
        id: String,
    },
    /// Decided already.
    #[error("approval {id} is {state} already")]
    NotPending {
        /// Its id.
        id: String,
        /// Its state.
        state: &'static str,
    },
    /// An outcome without an intent.
    #[error("there is no intent for step {key}")]
    NoIntent {
        /// Task and step.
        key: String,
    },
    /// The same call is being handled.
    #[error("step {key} is being decided right now")]
    Busy {
        /// Task and step.
        key: String,
    },
    /// The guard ends, or met a defect of its own.
    #[error("the guard ended {rpc} without an answer")]
    Broken {
        /// What was asked.
        rpc: &'static str,
    },
    /// Too much waits for people.
    #[error("{waiting} approval requests wait already")]
    TooManyWaiting {
        /// How many.
        waiting: u32,
    },
}

impl GuardError {
    /// For `map_err`: names the file.
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    /// An error about a field of the request.
    pub(crate) fn field(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Field {
            field,
            problem: problem.into(),
        }
    }

    /// The rule or check that refused, as the audit log names it; `None` for errors that are no denials.
    pub fn rule(&self) -> Option<&str> {
        Some(match self {
            Self::Peer(_) | Self::Stranger { .. } => "check:peer",
            Self::Person(_) | Self::Enrol { .. } => "check:person",
            Self::NoSession { .. } => "check:session",
            Self::Token(TokenError::Expired { .. }) => "check:token-expired",
            Self::Token(TokenError::Revoked { .. }) => "check:token-revoked",
            Self::Token(TokenError::Missing) => "check:token-missing",
            Self::Token(_) => "check:token",
            Self::OtherTask { .. } => "check:token-task",
            Self::Narrow { .. } => "check:capability",
            Self::Digest => "check:digest",
            Self::KeyReused { .. } => "check:key-reused",
            Self::CallChanged { .. } => "check:call-changed",
            Self::Policy { rule, .. } => rule,
            Self::Limit(_) => "limit",
            Self::Emergency => "builtin:emergency",
            Self::Declined { .. } => "approval:declined",
            Self::Unanswered { .. } => "approval:unanswered",
            Self::Withdrawn { .. } => "approval:withdrawn",
            Self::NotPending { .. } => "approval:late",
            Self::ApprovalOver { .. } => "approval:over",
            Self::Ceiling { .. } => "check:ceiling",
            Self::UnknownKind { .. } | Self::UnknownAgent { .. } => "check:agent",
            Self::Lifetime { .. } => "check:lifetime",
            Self::Autonomy { .. } => "check:autonomy",
            Self::Scope { .. } => "check:scope",
            _ => return None,
        })
    }
}

impl Coded for GuardError {
    fn code(&self) -> &'static str {
        match self {
            Self::Peer(error) => error.code(),
            Self::Person(error) => error.code(),
            Self::Token(error) => error.code(),
            Self::Call(error) => error.code(),
            Self::Capability(error) => error.code(),
            Self::Limit(error) => error.code(),
            Self::PolicyFile(error) => error.code(),
            Self::Audit(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::Trust(error) => error.code(),
            Self::Signed(error) => error.code(),
            Self::Id(error) => error.code(),
            Self::ExecutionKey(error) => error.code(),
            Self::Config(error) => error.code(),
            Self::Rpc(error) => error.code(),
            Self::Database(error) => error.code(),
            Self::Store(_) => "AIOS-GUARD-0001",
            Self::Io { .. } => "AIOS-GUARD-0002",
            Self::Field { .. } => "AIOS-GUARD-0003",
            Self::Stranger { .. } => "AIOS-GUARD-0004",
            Self::OtherTask { .. } => "AIOS-GUARD-0010",
            Self::Narrow { .. } => "AIOS-GUARD-0011",
            Self::Digest => "AIOS-GUARD-0012",
            Self::KeyReused { .. } => "AIOS-GUARD-0013",
            Self::CallChanged { .. } => "AIOS-GUARD-0014",
            Self::Policy { .. } => "AIOS-GUARD-0015",
            Self::Emergency => "AIOS-GUARD-0016",
            Self::Declined { .. } => "AIOS-GUARD-0017",
            Self::Unanswered { .. } => "AIOS-GUARD-0018",
            Self::Withdrawn { .. } => "AIOS-GUARD-0019",
            Self::Ceiling { .. } => "AIOS-GUARD-0020",
            Self::UnknownKind { .. } => "AIOS-GUARD-0021",
            Self::UnknownAgent { .. } => "AIOS-GUARD-0022",
            Self::Lifetime { .. } => "AIOS-GUARD-0023",
            Self::Scope { .. } => "AIOS-GUARD-0024",
            Self::Enrol { .. } => "AIOS-GUARD-0025",
            Self::NoSession { .. } => "AIOS-GUARD-0026",
            Self::NoApproval { .. } => "AIOS-GUARD-0027",
            Self::NotPending { .. } => "AIOS-GUARD-0028",
            Self::NoIntent { .. } => "AIOS-GUARD-0029",
            Self::Busy { .. } => "AIOS-GUARD-0030",
            Self::TooManyWaiting { .. } => "AIOS-GUARD-0031",
            Self::Autonomy { .. } => "AIOS-GUARD-0032",
            Self::ApprovalOver { .. } => "AIOS-GUARD-0033",
            Self::Broken { .. } => "AIOS-GUARD-0034",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Peer(error) => return error.next_step(),
            Self::Person(error) => return error.next_step(),
            Self::Token(error) => return error.next_step(),
            Self::Call(error) => return error.next_step(),
            Self::Capability(error) => return error.next_step(),
            Self::Limit(error) => return error.next_step(),
            Self::PolicyFile(error) => return error.next_step(),
            Self::Audit(error) => return error.next_step(),
            Self::Key(error) => return error.next_step(),
            Self::Trust(error) => return error.next_step(),
            Self::Signed(error) => return error.next_step(),
            Self::Id(error) => return error.next_step(),
            Self::ExecutionKey(error) => return error.next_step(),
            Self::Config(error) => return error.next_step(),
            Self::Rpc(error) => return error.next_step(),
            Self::Database(error) => return error.next_step(),
            Self::Store(_) | Self::Io { .. } => {
                "check that the guard's state directory exists, belongs to its user and has room"
            }
            Self::Field { .. } => "correct that field",
            Self::Stranger { .. } => "let root or an enrolled person enrol this user",
            Self::OtherTask { .. } => "use the token that was minted for this task",
            Self::Narrow { .. } => "plan the task with the capability that it needs",
            Self::Digest => "prepare the call again and send it as the worker resolved it",
            Self::KeyReused { .. } => "give another call another step number",
            Self::CallChanged { .. } => "prepare it as a new step, so that a person sees what it is now",
            Self::Policy { .. } => "see `aiosctl policy explain` for the rule",
            Self::Emergency => "a person lifts it with `aiosctl emergency resume`",
            Self::Declined { .. } => "plan without this call, or ask the person",
            Self::Unanswered { .. } => "state the goal again when somebody is there to answer",
            Self::Withdrawn { .. } => "state the goal again",
            Self::ApprovalOver { .. } => "state the goal again, so that a person sees the call as it is now",
            Self::Ceiling { .. } => "ask for less, or raise the ceiling in /etc/aios/agents",
            Self::UnknownKind { .. } => "see which kinds there are in the directories `agents`",
            Self::UnknownAgent { .. } => "mint for an agent that `aiosctl agent list` shows as running",
            Self::Lifetime { .. } => "ask for a shorter life, and mint again when it ends",
            Self::Autonomy { .. } => {
                "state the goal with less autonomy, or raise `max_autonomy` in section [guard] of /etc/aios/config.toml"
            }
            Self::Scope { .. } => "choose a scope between the call and the token's capabilities",
            Self::Enrol { .. } => "let an enrolled person prove the request",
            Self::NoSession { .. } => "sign in again with `aiosctl console open`",
            Self::NoApproval { .. } => "see `aiosctl approval list`",
            Self::NotPending { .. } => "see `aiosctl approval show` for who decided",
            Self::NoIntent { .. } => "authorize the call first",
            Self::Busy { .. } | Self::Broken { .. } => "send it again",
            Self::TooManyWaiting { .. } => "decide some of them, or cancel goals",
        }
        .to_owned()
    }

    fn class(&self) -> Class {
        match self {
            Self::Peer(error) => error.class(),
            Self::Person(error) => error.class(),
            Self::Token(error) => error.class(),
            Self::Call(error) => error.class(),
            Self::Limit(error) => error.class(),
            Self::PolicyFile(error) => error.class(),
            Self::Audit(error) => error.class(),
            Self::Key(error) => error.class(),
            Self::Trust(error) => error.class(),
            Self::Signed(error) => error.class(),
            Self::Rpc(error) => error.class(),
            Self::Database(error) => error.class(),
            Self::Store(_) | Self::Io { .. } => Class::Unavailable,
            Self::Capability(_)
            | Self::Id(_)
            | Self::ExecutionKey(_)
            | Self::Config(_)
            | Self::Field { .. }
            | Self::Scope { .. } => Class::InvalidArgument,
            Self::NoSession { .. } => Class::Unauthenticated,
            Self::NoApproval { .. } => Class::NotFound,
            Self::NotPending { .. } | Self::NoIntent { .. } => Class::FailedPrecondition,
            Self::Busy { .. } | Self::Broken { .. } => Class::Unavailable,
            Self::TooManyWaiting { .. } => Class::ResourceExhausted,
            _ => Class::PermissionDenied,
        }
    }
}
