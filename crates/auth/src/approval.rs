//! The approval: a person's yes as an object signed by the guard, bound to one canonical call, or
//! remembered for a scope.

use aios_core::id::{ApprovalId, ExecutionKey, GoalId};
use aios_proto::guard::v1 as pb;
use serde::{Deserialize, Serialize};

use crate::capability::{Access, Capability};
use crate::key::{Domain, PublicKey, SecretKey};
use crate::signed::{self, SignedError, hex32};

const WHAT: &str = "approval";

/// What the guard signs after a person decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalBody {
    /// The request that was decided.
    pub approval_id: ApprovalId,
    /// Goal of the call that asked.
    pub goal: GoalId,
    /// Task and step of the call that asked.
    pub key: ExecutionKey,
    /// Digest of the canonical call that the person saw.
    #[serde(with = "hex32")]
    pub call_digest: [u8; 32],
    /// `None`: this one call. A capability: every later call whose needs it allows, until the expiry.
    pub scope: Option<Capability>,
    /// uid of the person.
    pub approver_uid: u32,
    /// User name of the person, for people to read.
    pub approver: String,
    /// Decided at, UTC milliseconds.
    pub decided_at_ms: i64,
    /// Ends at, UTC milliseconds.
    pub expires_at_ms: i64,
}

/// The call that an approval shall cover.
#[derive(Debug, Clone)]
pub struct Covered<'a> {
    /// Approval id that the receipt names.
    pub approval_id: ApprovalId,
    /// Idempotency key of the call.
    pub key: ExecutionKey,
    /// Digest that the verifier computed itself.
    pub call_digest: [u8; 32],
    /// What the call needs, on resolved names.
    pub required: &'a [Access],
    /// Now, UTC milliseconds.
    pub now_ms: i64,
}

impl ApprovalBody {
    /// Signs it.
    ///
    /// # Errors
    /// [`SignedError::Malformed`] when it has no canonical form.
    pub fn sign(&self, key: &SecretKey) -> Result<pb::SignedApproval, SignedError> {
        let (body, signature) = signed::sign(WHAT, Domain::Approval, key, self)?;
        Ok(pb::SignedApproval { body, signature })
    }

    /// Verifies the signature and reads the body.
    ///
    /// # Errors
    /// [`SignedError`] when missing, forged or malformed.
    pub fn verify(approval: Option<&pb::SignedApproval>, key: &PublicKey) -> Result<Self, SignedError> {
        let approval = approval.ok_or(SignedError::Missing { what: WHAT })?;
        signed::open(WHAT, Domain::Approval, key, &approval.body, &approval.signature)
    }

    /// Checks that it covers a call: the same digest under the same key, or a remembered scope that
    /// allows everything the call needs.
    ///
    /// # Errors
    /// [`SignedError::Other`], [`SignedError::Narrow`] or [`SignedError::Expired`].
    pub fn check(&self, call: &Covered<'_>) -> Result<(), SignedError> {
        signed::same(WHAT, "request", &self.approval_id, &call.approval_id)?;
        signed::in_time(WHAT, self.expires_at_ms, call.now_ms)?;
        let Some(scope) = &self.scope else {
            signed::same(WHAT, "key", &self.key, &call.key)?;
            return signed::same(
                WHAT,
                "call",
                &hex::encode(self.call_digest),
                &hex::encode(call.call_digest),
            );
        };
        if call.required.is_empty() {
            return Err(SignedError::Narrow {
                what: WHAT,
                access: "a call that names nothing".to_owned(),
            });
        }
        match call.required.iter().find(|access| !scope.allows_access(access)) {
            Some(access) => Err(SignedError::Narrow {
                what: WHAT,
                access: access.to_string(),
            }),
            None => Ok(()),
        }
    }
}
