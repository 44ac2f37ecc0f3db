//! What the three signed objects (receipt, approval, trust state) share: canonical JSON, one signature,
//! and the errors of checking them.

use aios_core::error::{Class, Coded};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::key::{Domain, KeyError, PublicKey, SecretKey};

/// Largest signed body that is looked at, bytes.
pub(crate) const MAX_BODY: usize = 1 << 20;

/// Why a signed object is refused.
#[derive(Debug, thiserror::Error)]
pub enum SignedError {
    /// It is missing.
    #[error("the {what} is missing")]
    Missing {
        /// Which object.
        what: &'static str,
    },
    /// The signature is wrong.
    #[error("the {what} was not signed by the guard")]
    Signature {
        /// Which object.
        what: &'static str,
        /// Why.
        source: KeyError,
    },
    /// The signed bytes are not the object.
    #[error("the {what} cannot be read")]
    Malformed {
        /// Which object.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// It is over its time.
    #[error("the {what} ended {late_ms} ms ago")]
    Expired {
        /// Which object.
        what: &'static str,
        /// How long ago, milliseconds.
        late_ms: i64,
    },
    /// It is about something else.
    #[error("the {what} is for another {field}: {found} instead of {wanted}")]
    Other {
        /// Which object.
        what: &'static str,
        /// What differs.
        field: &'static str,
        /// What it names.
        found: String,
        /// What was wanted.
        wanted: String,
    },
    /// It does not go far enough.
    #[error("the {what} does not cover {access}")]
    Narrow {
        /// Which object.
        what: &'static str,
        /// What it would have to cover.
        access: String,
    },
}

impl Coded for SignedError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "AIOS-AUTH-0410",
            Self::Signature { .. } => "AIOS-AUTH-0411",
            Self::Malformed { .. } => "AIOS-AUTH-0412",
            Self::Expired { .. } => "AIOS-AUTH-0413",
            Self::Other { .. } => "AIOS-AUTH-0414",
            Self::Narrow { .. } => "AIOS-AUTH-0415",
        }
    }

    fn next_step(&self) -> String {
        "send the call through aios-tools, which asks the guard for a fresh decision".to_owned()
    }

    fn class(&self) -> Class {
        Class::PermissionDenied
    }
}

/// RFC 8785 bytes of a value.
pub(crate) fn canonical(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    serde_json_canonicalizer::to_vec(value)
}

pub(crate) fn sign(
    what: &'static str,
    domain: Domain,
    key: &SecretKey,
    body: &impl Serialize,
) -> Result<(Vec<u8>, Vec<u8>), SignedError> {
    let bytes = canonical(body).map_err(|source| SignedError::Malformed { what, source })?;
    let signature = key.sign(domain, &bytes).to_vec();
    Ok((bytes, signature))
}

/// Signature first, contents after: nothing unsigned is ever parsed.
pub(crate) fn open<T: DeserializeOwned>(
    what: &'static str,
    domain: Domain,
    key: &PublicKey,
    body: &[u8],
    signature: &[u8],
) -> Result<T, SignedError> {
    if body.is_empty() && signature.is_empty() {
        return Err(SignedError::Missing { what });
    }
    if body.len() > MAX_BODY {
        let source = KeyError::BadSignature { domain };
        return Err(SignedError::Signature { what, source });
    }
    key.verify(domain, body, signature)
        .map_err(|source| SignedError::Signature { what, source })?;
    serde_json::from_slice(body).map_err(|source| SignedError::Malformed { what, source })
}

pub(crate) fn same(
    what: &'static str,
    field: &'static str,
    found: &impl ToString,
    wanted: &impl ToString,
) -> Result<(), SignedError> {
    let (found, wanted) = (found.to_string(), wanted.to_string());
    if found == wanted {
        Ok(())
    } else {
        Err(SignedError::Other {
            what,
            field,
            found,
            wanted,
        })
    }
}

pub(crate) fn in_time(what: &'static str, expires_at_ms: i64, now_ms: i64) -> Result<(), SignedError> {
    if now_ms < expires_at_ms {
        Ok(())
    } else {
        Err(SignedError::Expired {
            what,
            late_ms: now_ms.saturating_sub(expires_at_ms),
        })
    }
}

/// 32 bytes as 64 hex digits in JSON.
pub(crate) mod hex32 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8; 32], out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&hex::encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(input)?;
        let bytes = hex::decode(text).map_err(D::Error::custom)?;
        bytes
            .try_into()
            .map_err(|_| D::Error::custom("a digest has 32 bytes"))
    }
}
