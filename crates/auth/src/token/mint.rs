//! Making and narrowing tokens.

use biscuit_auth::builder::{Algorithm, BlockBuilder, Fact, Term};
use biscuit_auth::{Biscuit, KeyPair, PrivateKey};

use super::{
    Grant, MAX_ATTENUATIONS, MAX_CAPABILITIES, MAX_TOKEN, NoRevocations, TokenError, VerifiedToken, Verifier,
    verify,
};
use crate::capability::Capability;
use crate::key::{PublicKey, SecretKey};

/// Mints tokens; holds the guard's minting key.
pub struct Minter {
    pair: KeyPair,
}

impl std::fmt::Debug for Minter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Minter(***)")
    }
}

/// A minted token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minted {
    /// The serialized Biscuit.
    pub token: Vec<u8>,
    /// Its id, hex.
    pub token_id: String,
    /// Its end, UTC milliseconds.
    pub expires_at_ms: i64,
    /// What it says. Private, so that only a minter can say it.
    pub(super) says: VerifiedToken,
}

impl Minter {
    /// A minter with this key.
    ///
    /// # Errors
    /// When the library refuses the key.
    pub fn new(key: &SecretKey) -> Result<Self, TokenError> {
        let private = PrivateKey::from_bytes(key.seed().as_ref(), Algorithm::Ed25519).map_err(refused)?;
        Ok(Self {
            pair: KeyPair::from(&private),
        })
    }

    /// Mints a token. Ceilings, life times and policy are the caller's to check.
    ///
    /// # Errors
    /// [`TokenError::Grant`] when the grant has no capability, too many, or unfit text.
    pub fn mint(&self, grant: &Grant) -> Result<Minted, TokenError> {
        check_caps(&grant.capabilities)?;
        check_text(&grant.agent_kind)?;
        let epoch = i64::try_from(grant.epoch).map_err(|_| unfit("the epoch is out of range"))?;
        let mut builder = Biscuit::builder();
        for (name, text) in [
            ("agent", grant.agent.to_string()),
            ("agent_kind", grant.agent_kind.clone()),
            ("goal", grant.goal.to_string()),
            ("task", grant.task.to_string()),
            ("autonomy", grant.autonomy.as_str().to_owned()),
        ] {
            builder = builder.fact(fact(name, Term::Str(text))).map_err(refused)?;
        }
        builder = builder
            .fact(fact("expires", Term::Integer(grant.expires_at_ms)))
            .map_err(refused)?;
        builder = builder
            .fact(fact("epoch", Term::Integer(epoch)))
            .map_err(refused)?;
        builder = builder
            .fact(fact("tainted", Term::Bool(grant.tainted)))
            .map_err(refused)?;
        for cap in &grant.capabilities {
            builder = builder
                .fact(fact("cap", Term::Str(cap.to_string())))
                .map_err(refused)?;
        }
        let biscuit = builder.build(&self.pair).map_err(refused)?;
        let says = verify::read(&biscuit)?;
        Ok(Minted {
            token: serialize(&biscuit)?,
            token_id: says.token_id.clone(),
            expires_at_ms: grant.expires_at_ms,
            says,
        })
    }
}

/// Narrows a token offline; needs no secret. The result allows `capabilities` only, each of which must be
/// within what `token` allows, and ends at `expires_at_ms` when that is earlier.
///
/// # Errors
/// [`TokenError::Widens`] when a capability is not within the token's; others when the token is bad.
pub fn attenuate(
    token: &[u8],
    mint_key: &PublicKey,
    capabilities: &[Capability],
    expires_at_ms: Option<i64>,
) -> Result<Vec<u8>, TokenError> {
    check_caps(capabilities)?;
    let verifier = Verifier::new(mint_key)?;
    // Narrowing an expired token is harmless, so time is not looked at here.
    let (biscuit, verified) = verifier.open(token, i64::MIN, &NoRevocations)?;
    if biscuit.block_count() > MAX_ATTENUATIONS {
        return Err(unfit("it was narrowed too often already"));
    }
    if let Some(wanted) = capabilities.iter().find(|cap| !verified.capabilities.covers(cap)) {
        let has: Vec<String> = verified
            .capabilities
            .effective()
            .iter()
            .map(ToString::to_string)
            .collect();
        return Err(TokenError::Widens {
            wanted: wanted.to_string(),
            has: has.join(", "),
        });
    }
    let mut block = BlockBuilder::new();
    for cap in capabilities {
        block = block
            .fact(fact("cap", Term::Str(cap.to_string())))
            .map_err(refused)?;
    }
    if let Some(end) = expires_at_ms {
        block = block.fact(fact("expires", Term::Integer(end))).map_err(refused)?;
    }
    serialize(&biscuit.append(block).map_err(refused)?)
}

fn fact(name: &str, term: Term) -> Fact {
    Fact::new(name.to_owned(), vec![term])
}

fn serialize(biscuit: &Biscuit) -> Result<Vec<u8>, TokenError> {
    let token = biscuit.to_vec().map_err(refused)?;
    if token.len() > MAX_TOKEN {
        Err(TokenError::TooLarge { len: token.len() })
    } else {
        Ok(token)
    }
}

fn check_caps(caps: &[Capability]) -> Result<(), TokenError> {
    if caps.is_empty() || caps.len() > MAX_CAPABILITIES {
        return Err(unfit(&format!(
            "{} capabilities, 1 to {MAX_CAPABILITIES} are possible",
            caps.len()
        )));
    }
    caps.iter().try_for_each(|cap| check_text(cap.as_str()))
}

/// Blocks are read back through their Datalog text, in which these characters are not escaped.
fn check_text(text: &str) -> Result<(), TokenError> {
    if text.is_empty() || text.chars().any(|c| c == '"' || c == '\\' || c.is_control()) {
        Err(unfit(&format!(
            "`{}` has quotes, backslashes or control characters",
            text.escape_debug()
        )))
    } else {
        Ok(())
    }
}

fn unfit(problem: &str) -> TokenError {
    TokenError::Grant {
        problem: problem.to_owned(),
    }
}

fn refused(error: impl ToString) -> TokenError {
    TokenError::Grant {
        problem: error.to_string(),
    }
}
