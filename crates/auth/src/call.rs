//! The canonical call: what exactly a person approves, the guard logs and a worker runs.
//!
//! RFC 8785 JSON of `{"args":…,"identities":[{"dev":"…","ino":"…","kind":…,"path":…}…],"tool":…}`, with
//! identities sorted by path and device and inode as decimal strings, because JSON numbers (RFC 8785
//! section 3.2.2.3) are exact only up to 2^53 and inodes are not bounded by that.

use aios_core::error::Coded;
use aios_proto::common::v1::Identity;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::signed::canonical;

/// Largest arguments, bytes of JSON text.
pub const MAX_ARGS: usize = 1 << 20;
/// Most identities in one call.
pub const MAX_IDENTITIES: usize = 100_000;
/// Largest integer that every JSON reader keeps exact.
const MAX_SAFE: u64 = (1 << 53) - 1;

/// Why a call has no digest.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The arguments are no JSON text.
    #[error("the arguments are no JSON")]
    Json(#[from] serde_json::Error),
    /// The arguments are not an object.
    #[error("the arguments must be a JSON object, not {found}")]
    NotAnObject {
        /// What they are.
        found: &'static str,
    },
    /// A number that JSON cannot carry exactly.
    #[error("the number {number} in the arguments is beyond 2^53 and would lose digits")]
    Inexact {
        /// The number.
        number: String,
    },
    /// Too much.
    #[error("the call has {found} {what}, more than {most}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much may be.
        most: usize,
    },
}

impl Coded for CallError {
    fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "AIOS-AUTH-0301",
            Self::NotAnObject { .. } => "AIOS-AUTH-0302",
            Self::Inexact { .. } => "AIOS-AUTH-0303",
            Self::TooMuch { .. } => "AIOS-AUTH-0304",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::TooMuch { .. } => "split the call into smaller ones".to_owned(),
            _ => "correct the arguments; `aiosctl tool show NAME` prints their schema".to_owned(),
        }
    }
}

#[derive(Serialize)]
struct Canonical<'a> {
    args: &'a Value,
    identities: Vec<CanonicalIdentity<'a>>,
    tool: &'a str,
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct CanonicalIdentity<'a> {
    path: &'a str,
    dev: String,
    ino: String,
    kind: &'a str,
}

/// Reads arguments and checks their form and size.
///
/// # Errors
/// [`CallError`].
pub fn parse_args(args_json: &str) -> Result<Value, CallError> {
    if args_json.len() > MAX_ARGS {
        return Err(CallError::TooMuch {
            what: "bytes of arguments",
            found: args_json.len(),
            most: MAX_ARGS,
        });
    }
    let args: Value = serde_json::from_str(args_json)?;
    check_args(&args)?;
    Ok(args)
}

/// The canonical text of arguments: what [`digest`] digests, what is stored and sent.
///
/// # Errors
/// [`CallError`].
pub fn canonical_args(args: &Value) -> Result<String, CallError> {
    check_args(args)?;
    Ok(serde_json_canonicalizer::to_string(args)?)
}

/// The canonical bytes of a call.
///
/// # Errors
/// [`CallError`].
pub fn canonical_call(tool: &str, args: &Value, identities: &[Identity]) -> Result<Vec<u8>, CallError> {
    check_args(args)?;
    if identities.len() > MAX_IDENTITIES {
        let (found, most) = (identities.len(), MAX_IDENTITIES);
        return Err(CallError::TooMuch {
            what: "identities",
            found,
            most,
        });
    }
    let mut identities: Vec<_> = identities
        .iter()
        .map(|it| CanonicalIdentity {
            path: &it.path,
            dev: it.dev.to_string(),
            ino: it.ino.to_string(),
            kind: &it.kind,
        })
        .collect();
    identities.sort();
    Ok(canonical(&Canonical {
        args,
        identities,
        tool,
    })?)
}

/// SHA-256 of [`canonical_call`].
///
/// # Errors
/// [`CallError`].
pub fn digest(tool: &str, args: &Value, identities: &[Identity]) -> Result<[u8; 32], CallError> {
    Ok(Sha256::digest(canonical_call(tool, args, identities)?).into())
}

/// [`digest`] of arguments that are still text.
///
/// # Errors
/// [`CallError`].
pub fn digest_json(tool: &str, args_json: &str, identities: &[Identity]) -> Result<[u8; 32], CallError> {
    digest(tool, &parse_args(args_json)?, identities)
}

fn check_args(args: &Value) -> Result<(), CallError> {
    let found = match args {
        Value::Object(_) => return check_numbers(args),
        Value::Array(_) => "an array",
        Value::String(_) => "a string",
        Value::Number(_) => "a number",
        Value::Bool(_) => "a boolean",
        Value::Null => "null",
    };
    Err(CallError::NotAnObject { found })
}

fn check_numbers(value: &Value) -> Result<(), CallError> {
    match value {
        Value::Number(number) => {
            let exact = match (number.as_u64(), number.as_i64()) {
                (Some(n), _) => n <= MAX_SAFE,
                (None, Some(n)) => n.unsigned_abs() <= MAX_SAFE,
                (None, None) => true,
            };
            if exact {
                Ok(())
            } else {
                Err(CallError::Inexact {
                    number: number.to_string(),
                })
            }
        }
        Value::Array(items) => items.iter().try_for_each(check_numbers),
        Value::Object(fields) => fields.values().try_for_each(check_numbers),
        _ => Ok(()),
    }
}
