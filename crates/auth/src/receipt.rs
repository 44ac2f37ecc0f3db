//! The receipt: the guard's signed word that one call was allowed and logged. A worker verifies it
//! offline and runs exactly that call, once.

use aios_core::id::{ApprovalId, ExecutionKey};
use aios_proto::guard::v1 as pb;
use serde::{Deserialize, Serialize};

use crate::key::{Domain, PublicKey, SecretKey};
use crate::level::Risk;
use crate::signed::{self, SignedError, hex32};

const WHAT: &str = "receipt";

/// How far a call goes. The guard decides by it and cannot look itself: it has it from the tool service,
/// which has it from the worker. So the receipt says what the guard was told, and the worker compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Risk of the call.
    pub risk: Risk,
    /// Whether undo restores exactly.
    pub reversible: bool,
    /// Files that change.
    pub files: u64,
    /// Bytes that change.
    pub bytes: u64,
}

/// What the guard signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptBody {
    /// Idempotency key: task and step.
    pub key: ExecutionKey,
    /// Tool name.
    pub tool: String,
    /// Digest of the canonical call.
    #[serde(with = "hex32")]
    pub call_digest: [u8; 32],
    /// Token that was used, hex.
    pub token_id: String,
    /// Policy rule that allowed it.
    pub rule_id: String,
    /// Approval that the rule asked for; `None` when it asked for none.
    pub approval_id: Option<ApprovalId>,
    /// Whether the call changes anything.
    pub mutating: bool,
    /// What the decision was about.
    pub extent: Extent,
    /// Sequence number of the intent (of the read record for a read).
    pub audit_seq: u64,
    /// Trust epoch at the decision.
    pub epoch: u64,
    /// Made at, UTC milliseconds.
    pub issued_at_ms: i64,
    /// Ends at, UTC milliseconds.
    pub expires_at_ms: i64,
}

/// By how many bytes the files of a call may have grown between the decision and the deed.
pub const GROWTH: u64 = 16 << 20;

/// What a worker is about to do, to be compared with the receipt.
#[derive(Debug, Clone)]
pub struct Expected<'a> {
    /// Idempotency key of the request.
    pub key: ExecutionKey,
    /// Tool of the request.
    pub tool: &'a str,
    /// Digest that the worker computed itself.
    pub call_digest: [u8; 32],
    /// Token that came with the request, verified.
    pub token_id: &'a str,
    /// Whether the worker knows the call to change anything.
    pub mutating: bool,
    /// How far the call goes as the worker sees it itself; `None` for one that changes nothing.
    pub extent: Option<Extent>,
    /// Now, UTC milliseconds.
    pub now_ms: i64,
}

impl Extent {
    /// Checks that what a worker found is what was decided upon. Less than was decided upon is no lie
    /// that gains anything, and happens by itself: a file shrank meanwhile. So does a little more: a log
    /// that is to be deleted is still written to.
    fn covers(&self, found: &Self) -> Result<(), SignedError> {
        signed::same(WHAT, "risk", &self.risk.as_str(), &found.risk.as_str())?;
        signed::same(
            WHAT,
            "kind of call (reversible)",
            &self.reversible,
            &found.reversible,
        )?;
        let amounts = [
            ("files", self.files, found.files),
            ("bytes", self.bytes.saturating_add(GROWTH), found.bytes),
        ];
        match amounts.into_iter().find(|(_, decided, found)| found > decided) {
            None => Ok(()),
            Some((of, _, found)) => Err(SignedError::Narrow {
                what: WHAT,
                access: format!("{found} {of}"),
            }),
        }
    }
}

impl ReceiptBody {
    /// Signs it.
    ///
    /// # Errors
    /// [`SignedError::Malformed`] when it has no canonical form (a number beyond 2^53).
    pub fn sign(
        &self,
        key: &SecretKey,
        approval: Option<pb::SignedApproval>,
    ) -> Result<pb::Receipt, SignedError> {
        let (body, signature) = signed::sign(WHAT, Domain::Receipt, key, self)?;
        let note = pb::ReceiptNote {
            rule_id: self.rule_id.clone(),
            approval_id: self.approval_id.map(|id| id.to_string()).unwrap_or_default(),
            audit_seq: self.audit_seq,
        };
        Ok(pb::Receipt {
            body,
            signature,
            approval,
            note: Some(note),
        })
    }

    /// Verifies the signature and reads the body. The approval within is verified separately.
    ///
    /// # Errors
    /// [`SignedError`] when missing, forged or malformed.
    pub fn verify(receipt: Option<&pb::Receipt>, key: &PublicKey) -> Result<Self, SignedError> {
        let receipt = receipt.ok_or(SignedError::Missing { what: WHAT })?;
        signed::open(WHAT, Domain::Receipt, key, &receipt.body, &receipt.signature)
    }

    /// Checks that it is about this very call and still holds.
    ///
    /// # Errors
    /// [`SignedError::Other`], [`SignedError::Narrow`] or [`SignedError::Expired`].
    pub fn check(&self, expected: &Expected<'_>) -> Result<(), SignedError> {
        signed::same(WHAT, "key", &self.key, &expected.key)?;
        signed::same(WHAT, "tool", &self.tool, &expected.tool)?;
        signed::same(
            WHAT,
            "call",
            &hex::encode(self.call_digest),
            &hex::encode(expected.call_digest),
        )?;
        signed::same(WHAT, "token", &self.token_id, &expected.token_id)?;
        if expected.mutating {
            signed::same(WHAT, "kind of call (mutating)", &self.mutating, &true)?;
        }
        if let Some(found) = &expected.extent {
            self.extent.covers(found)?;
        }
        signed::in_time(WHAT, self.expires_at_ms, expected.now_ms)
    }
}
