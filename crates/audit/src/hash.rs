//! The hashes of the log, each in its own domain.

use sha2::{Digest, Sha256};
use std::fmt;

/// A SHA-256 hash. Prints as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Reads 64 lower-case hexadecimal digits; anything else is refused, so that a hash has one text form.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        if text.len() != 64 || text.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The leaf hash of a line (RFC 9162 section 2.1.1). It is also the chain hash: the next line carries it.
pub fn leaf(line: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(line);
    Hash(hasher.finalize().into())
}

/// The hash of an inner node (RFC 9162 section 2.1.1).
pub fn node(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..].copy_from_slice(&right.0);
    Hash(Sha256::digest(bytes).into())
}

/// The root of the empty tree.
pub fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// What the first line carries as its predecessor: it binds the log to its anchor key, so that lines
/// of another log do not fit.
pub fn genesis(anchor_key: &[u8; 32]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(b"aios-audit-genesis-v1\0");
    hasher.update(anchor_key);
    Hash(hasher.finalize().into())
}

/// The digest of a payload that stands in the chain. Without the salt it tells nothing of the payload.
pub fn salted(salt: &[u8; 16], payload: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(b"aios-audit-payload-v1\0");
    hasher.update(salt);
    hasher.update(payload);
    Hash(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_exactly_one_text_form() {
        let hash = leaf(b"x");
        let text = hash.to_string();
        assert_eq!(Hash::from_hex(text.as_bytes()), Some(hash));
        assert_eq!(Hash::from_hex(text.to_uppercase().as_bytes()), None);
        assert_eq!(Hash::from_hex(&text.as_bytes()[1..]), None);
    }

    #[test]
    fn the_empty_root_is_the_one_of_the_rfc() {
        assert_eq!(
            empty_root().to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
