//! What a worker demands before it acts, all of it verified offline: a token that is in time, not
//! revoked and of this task; a receipt of the guard for this very call; the approval that the receipt
//! names; and, for what changes something, word from the guard within the last seconds.

use crate::error::{Result, ToolError};
use aios_auth::approval::{ApprovalBody, Covered};
use aios_auth::capability::Access;
use aios_auth::receipt::{Expected, Extent, ReceiptBody};
use aios_auth::token::{VerifiedToken, Verifier};
use aios_auth::trust::{TrustKeys, TrustView};
use aios_core::clock::Clock;
use aios_core::id::ExecutionKey;
use aios_proto::guard::v1::Receipt;
use aios_proto::worker::v1::PushTrustRequest;
use std::sync::Arc;
use std::time::Instant;

/// The keys of the guard and its last word.
#[derive(Debug)]
struct Trust {
    keys: TrustKeys,
    verifier: Verifier,
    view: TrustView,
}

/// Verifies what comes with a call.
pub struct Gate {
    trust: Trust,
    clock: Arc<dyn Clock>,
}

/// A call that asks to be executed.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its key.
    pub key: ExecutionKey,
    /// Tool.
    pub tool: &'a str,
    /// Digest that the worker computed.
    pub digest: [u8; 32],
    /// Whether it changes anything.
    pub mutating: bool,
    /// How far it goes, as this worker prepared it; `None` for one that changes nothing.
    pub extent: Option<Extent>,
    /// What it needs, on resolved names.
    pub required: &'a [Access],
}

impl Gate {
    /// A gate that trusts the guard with these keys.
    ///
    /// # Errors
    /// A key cannot be used.
    pub fn new(keys: TrustKeys, clock: Arc<dyn Clock>) -> Result<Self> {
        let verifier = Verifier::new(&keys.mint).map_err(ToolError::auth)?;
        Ok(Self {
            trust: Trust {
                keys,
                verifier,
                view: TrustView::new(&keys),
            },
            clock,
        })
    }

    /// Now, UTC milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Takes the guard's push; answers the counter now held.
    ///
    /// # Errors
    /// Forged, old or late.
    pub fn push(&self, push: &PushTrustRequest) -> Result<u64> {
        self.trust
            .view
            .accept(push, Instant::now(), self.now_ms())
            .map_err(ToolError::auth)
    }

    /// Verifies a token for a call with this key.
    ///
    /// # Errors
    /// Refused.
    pub fn token(&self, token: &[u8], key: ExecutionKey) -> Result<Arc<VerifiedToken>> {
        let token = self
            .trust
            .verifier
            .verify(token, self.now_ms(), &self.trust.view)
            .map_err(ToolError::auth)?;
        if token.task != key.task {
            return Err(ToolError::OtherTask {
                token: token.task.to_string(),
                key: key.task.to_string(),
            });
        }
        Ok(token)
    }

    /// Whether anything may change now.
    ///
    /// # Errors
    /// Emergency stop, or silence of the guard.
    pub fn may_mutate(&self) -> Result<()> {
        self.trust
            .view
            .may_mutate(Instant::now())
            .map_err(ToolError::auth)
    }

    /// Verifies receipt and approval for a call.
    ///
    /// # Errors
    /// Missing, forged, expired, or for another call.
    pub fn receipt(&self, receipt: Option<&Receipt>, token: &VerifiedToken, asked: &Asked<'_>) -> Result<()> {
        let now_ms = self.now_ms();
        let body = ReceiptBody::verify(receipt, &self.trust.keys.receipt).map_err(ToolError::auth)?;
        body.check(&Expected {
            key: asked.key,
            tool: asked.tool,
            call_digest: asked.digest,
            token_id: &token.token_id,
            mutating: asked.mutating,
            extent: asked.extent,
            now_ms,
        })
        .map_err(ToolError::auth)?;
        if let Some(approval_id) = body.approval_id {
            let approval = receipt.and_then(|receipt| receipt.approval.as_ref());
            ApprovalBody::verify(approval, &self.trust.keys.approval)
                .and_then(|approval| {
                    approval.check(&Covered {
                        approval_id,
                        key: asked.key,
                        call_digest: asked.digest,
                        required: asked.required,
                        now_ms,
                    })
                })
                .map_err(ToolError::auth)?;
        }
        Ok(())
    }
}
