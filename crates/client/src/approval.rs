//! Approvals as a person sees them.

use aios_proto::common::v1::{Identity, Risk};
use aios_proto::guard::v1::{Approval, ApprovalState};
use serde::Serialize;
use serde_json::Value;

use crate::{json, time};

/// State of an approval.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApprovalStateView {
    /// Not stated by the guard.
    Unknown,
    /// Waits for a person.
    Pending,
    /// A person said yes.
    Approved,
    /// A person said no.
    Declined,
    /// Nobody answered in time.
    Expired,
    /// The goal was cancelled first.
    Withdrawn,
}

impl ApprovalStateView {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Risk of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RiskView {
    /// Only reads.
    Read,
    /// Small, undone exactly.
    Low,
    /// Changes or removes data; undo restores it.
    Medium,
    /// Cannot be undone exactly, or touches the system itself.
    High,
}

impl RiskView {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl From<Risk> for RiskView {
    /// What is not stated counts as high, as everywhere.
    fn from(risk: Risk) -> Self {
        match risk {
            Risk::Read => Self::Read,
            Risk::Low => Self::Low,
            Risk::Medium => Self::Medium,
            Risk::High | Risk::Unspecified => Self::High,
        }
    }
}

/// Something that a call touches.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IdentityView {
    /// Absolute path with every link resolved.
    pub path: String,
    /// `file`, `dir`, `symlink`, `absent`, `other`.
    pub kind: String,
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
}

impl From<Identity> for IdentityView {
    fn from(identity: Identity) -> Self {
        Self {
            path: identity.path,
            kind: identity.kind,
            dev: identity.dev,
            ino: identity.ino,
        }
    }
}

/// A request for a person's decision, and the decision.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalView {
    /// A UUID.
    pub approval_id: String,
    /// State.
    pub state: ApprovalStateView,
    /// Goal.
    pub goal_id: String,
    /// Task.
    pub task_id: String,
    /// Step of the task.
    pub step: u64,
    /// Agent instance.
    pub agent_id: String,
    /// Agent kind.
    pub agent_kind: String,
    /// Tool.
    pub tool: String,
    /// Arguments, redacted by policy.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub args: Value,
    /// What it touches.
    pub identities: Vec<IdentityView>,
    /// Digest of the canonical call, hex; deciding sends it back.
    pub call_digest: String,
    /// Risk.
    pub risk: RiskView,
    /// Rule that asked.
    pub rule_id: String,
    /// One sentence, made by the tool's code.
    pub summary: String,
    /// Asked at, RFC 3339.
    pub created_at: Option<String>,
    /// Lapses at, RFC 3339.
    pub expires_at: Option<String>,
    /// Decided at, RFC 3339.
    pub decided_at: Option<String>,
    /// Who decided.
    pub approver: String,
    /// Remembered scope, or empty.
    pub remembered_scope: String,
    /// Files touched.
    pub files: u64,
    /// Bytes touched.
    pub bytes: u64,
    /// Whether undo restores it exactly.
    pub reversible: bool,
}

impl From<Approval> for ApprovalView {
    fn from(approval: Approval) -> Self {
        Self {
            state: match approval.state() {
                ApprovalState::Unspecified => ApprovalStateView::Unknown,
                ApprovalState::Pending => ApprovalStateView::Pending,
                ApprovalState::Approved => ApprovalStateView::Approved,
                ApprovalState::Declined => ApprovalStateView::Declined,
                ApprovalState::Expired => ApprovalStateView::Expired,
                ApprovalState::Withdrawn => ApprovalStateView::Withdrawn,
            },
            risk: approval.risk().into(),
            args: json::value(&approval.args_json),
            call_digest: hex::encode(&approval.call_digest),
            created_at: time::rfc3339(approval.created_at_ms),
            expires_at: time::rfc3339(approval.expires_at_ms),
            decided_at: time::rfc3339(approval.decided_at_ms),
            identities: approval.identities.into_iter().map(Into::into).collect(),
            approval_id: approval.approval_id,
            goal_id: approval.goal_id,
            task_id: approval.task_id,
            step: approval.step,
            agent_id: approval.agent_id,
            agent_kind: approval.agent_kind,
            tool: approval.tool,
            rule_id: approval.rule_id,
            summary: approval.summary,
            approver: approval.approver,
            remembered_scope: approval.remembered_scope,
            files: approval.files,
            bytes: approval.bytes,
            reversible: approval.reversible,
        }
    }
}
