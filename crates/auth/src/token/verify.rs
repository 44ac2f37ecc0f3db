//! Verifying tokens, with a cache of those that were verified before.

use std::sync::Arc;

use aios_core::id::{AgentId, GoalId, TaskId};
use biscuit_auth::builder::Algorithm;
use biscuit_auth::{Biscuit, PublicKey as BiscuitKey};

use super::cache::Cache;
use super::{MAX_ATTENUATIONS, MAX_TOKEN, Minted, Revocations, TokenError, VerifiedToken, block};
use crate::capability::CapabilitySet;
use crate::key::PublicKey;
use crate::level::Autonomy;

/// Verifies tokens offline. Shared between tasks; a token seen before costs a table look-up.
#[derive(Debug)]
pub struct Verifier {
    key: BiscuitKey,
    cache: Cache,
}

impl Verifier {
    /// A verifier for tokens of the guard with this minting key.
    ///
    /// # Errors
    /// When the library refuses the key.
    pub fn new(mint_key: &PublicKey) -> Result<Self, TokenError> {
        let key = BiscuitKey::from_bytes(&mint_key.to_bytes(), Algorithm::Ed25519).map_err(|error| {
            TokenError::Forged {
                reason: error.to_string(),
            }
        })?;
        Ok(Self {
            key,
            cache: Cache::default(),
        })
    }

    /// Verifies a token: signature, form, time, revocation. Whether it belongs to this caller, task and
    /// call is the caller's to check.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it.
    pub fn verify(
        &self,
        token: &[u8],
        now_ms: i64,
        revocations: &impl Revocations,
    ) -> Result<Arc<VerifiedToken>, TokenError> {
        if token.is_empty() {
            return Err(TokenError::Missing);
        }
        // Read before anything is checked: a revocation that comes in between changes the epoch, and
        // what is stored below under the older one is then never used.
        let epoch = revocations.epoch();
        if let Some(known) = self.cache.get(token, epoch) {
            in_time(&known, now_ms)?;
            return Ok(known);
        }
        let (_, verified) = self.open(token, now_ms, revocations)?;
        let verified = Arc::new(verified);
        self.cache.put(token, epoch, now_ms, &verified);
        Ok(verified)
    }

    /// Takes a token for verified that its minter has just made, in this very epoch; later ones are verified when
    /// they come back.
    pub fn note_minted(&self, minted: &Minted, now_ms: i64, revocations: &impl Revocations) {
        let epoch = revocations.epoch();
        if minted.says.epoch == epoch {
            let says = Arc::new(minted.says.clone());
            self.cache.put(&minted.token, epoch, now_ms, &says);
        }
    }

    /// The Biscuit itself beside what it says.
    pub(super) fn open(
        &self,
        token: &[u8],
        now_ms: i64,
        revocations: &impl Revocations,
    ) -> Result<(Biscuit, VerifiedToken), TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLarge { len: token.len() });
        }
        let biscuit = Biscuit::from(token, self.key).map_err(|error| TokenError::Forged {
            reason: error.to_string(),
        })?;
        let verified = read(&biscuit)?;
        in_time(&verified, now_ms)?;
        let revoked = verified
            .revocation_ids
            .iter()
            .any(|id| revocations.is_revoked(id));
        if revoked || verified.epoch < revocations.min_token_epoch() {
            return Err(TokenError::Revoked {
                token_id: verified.token_id,
            });
        }
        Ok((biscuit, verified))
    }
}

fn in_time(token: &VerifiedToken, now_ms: i64) -> Result<(), TokenError> {
    if now_ms < token.expires_at_ms {
        Ok(())
    } else {
        Err(TokenError::Expired {
            late_ms: now_ms.saturating_sub(token.expires_at_ms),
        })
    }
}

pub(super) fn read(biscuit: &Biscuit) -> Result<VerifiedToken, TokenError> {
    let foreign = |block, problem: &str| TokenError::Foreign {
        block,
        problem: problem.to_owned(),
    };
    let count = biscuit.block_count();
    if count > MAX_ATTENUATIONS + 1 {
        return Err(foreign(count - 1, "is one too many"));
    }
    let minted = block::read(biscuit, 0)?;
    let lacks = || foreign(0, "lacks a fact or holds a misspelt one");
    let mut expires_at_ms = minted.number("expires").ok_or_else(lacks)?;
    let mut capabilities = CapabilitySet::new(minted.capabilities.clone());
    for index in 1..count {
        let narrowing = block::read(biscuit, index)?;
        if narrowing.tainted.is_some() || !narrowing.strings.is_empty() || narrowing.number("epoch").is_some()
        {
            return Err(foreign(index, "holds facts that only the guard may state"));
        }
        if let Some(end) = narrowing.number("expires") {
            expires_at_ms = expires_at_ms.min(end);
        }
        if !narrowing.capabilities.is_empty() {
            capabilities.narrow(narrowing.capabilities);
        }
    }
    let revocation_ids: Vec<String> = biscuit.revocation_identifiers().iter().map(hex::encode).collect();
    let text = |name| minted.string(name).ok_or_else(lacks);
    Ok(VerifiedToken {
        token_id: revocation_ids.first().cloned().ok_or_else(lacks)?,
        revocation_ids,
        agent: AgentId::parse(text("agent")?).map_err(|_| lacks())?,
        agent_kind: text("agent_kind")?.to_owned(),
        goal: GoalId::parse(text("goal")?).map_err(|_| lacks())?,
        task: TaskId::parse(text("task")?).map_err(|_| lacks())?,
        capabilities,
        expires_at_ms,
        tainted: minted.tainted.ok_or_else(lacks)?,
        autonomy: Autonomy::parse(text("autonomy")?).ok_or_else(lacks)?,
        epoch: minted
            .number("epoch")
            .and_then(|epoch| u64::try_from(epoch).ok())
            .ok_or_else(lacks)?,
    })
}
