//! Signed checkpoints: what the log was at a moment, in a form that can be published.
//!
//! The text form is a signed note (as of transparency logs): origin, size, root, further lines, an empty
//! line, and the signature line. The first such note's key is the log's anchor; every note names the key
//! of the next one.
//!
//! ```text
//! aios-audit/5f1c…
//! 1024
//! qXK1…=
//! chain 91af…
//! epoch 3
//! next 77aa…
//! time 1795356161000
//!
//! — aios-audit/5f1c… Ab3d…=
//! ```

use crate::error::AuditError;
use crate::hash::Hash;
use crate::keys::EpochKey;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A signed statement of the log's size, root and chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log: `aios-audit/` and 16 digits of its genesis hash.
    pub origin: String,
    /// Which key signed; counts checkpoints from 0.
    pub epoch: u64,
    /// Number of records covered.
    pub size: u64,
    /// Merkle root (RFC 9162) over them.
    pub root: Hash,
    /// Leaf hash of the last one, or the genesis hash of an empty log.
    pub chain: Hash,
    /// When, UTC milliseconds.
    pub time_ms: i64,
    /// Public key that signed.
    pub key: [u8; 32],
    /// Public key of the next checkpoint.
    pub next: [u8; 32],
    /// Ed25519 signature over the note's text.
    pub signature: [u8; 64],
}

/// A checkpoint as a line of the checkpoint file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    chain: String,
    epoch: u64,
    key: String,
    next: String,
    origin: String,
    root: String,
    signature: String,
    size: u64,
    time_ms: i64,
}

/// The name of the log that starts with this genesis hash.
pub fn origin(genesis: &Hash) -> String {
    let mut text = genesis.to_string();
    text.truncate(16);
    format!("aios-audit/{text}")
}

impl Checkpoint {
    /// Signs what the log is now.
    pub(crate) fn sign(unsigned: Unsigned, key: &EpochKey, next: &EpochKey) -> Self {
        let mut checkpoint = Self {
            origin: unsigned.origin,
            epoch: key.epoch,
            size: unsigned.size,
            root: unsigned.root,
            chain: unsigned.chain,
            time_ms: unsigned.time_ms,
            key: key.public(),
            next: next.public(),
            signature: [0; 64],
        };
        checkpoint.signature = key.key.sign(checkpoint.text().as_bytes()).to_bytes();
        checkpoint
    }

    /// The signed text.
    pub fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\nchain {}\nepoch {}\nnext {}\ntime {}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root.0),
            self.chain,
            self.epoch,
            hex::encode(self.next),
            self.time_ms
        )
    }

    /// The whole note, for publication.
    pub fn note(&self) -> String {
        let mut signature = key_id(&self.origin, &self.key).to_vec();
        signature.extend_from_slice(&self.signature);
        format!(
            "{}\n\u{2014} {} {}\n",
            self.text(),
            self.origin,
            STANDARD.encode(signature)
        )
    }

    /// Whether the signature is this key's.
    pub fn verify(&self) -> bool {
        VerifyingKey::from_bytes(&self.key).is_ok_and(|key| {
            key.verify_strict(self.text().as_bytes(), &Signature::from_bytes(&self.signature))
                .is_ok()
        })
    }

    /// The line of the checkpoint file, without its line end.
    pub(crate) fn to_line(&self) -> Result<Vec<u8>, AuditError> {
        let stored = Stored {
            chain: self.chain.to_string(),
            epoch: self.epoch,
            key: hex::encode(self.key),
            next: hex::encode(self.next),
            origin: self.origin.clone(),
            root: self.root.to_string(),
            signature: hex::encode(self.signature),
            size: self.size,
            time_ms: self.time_ms,
        };
        serde_json_canonicalizer::to_vec(&stored).map_err(|error| AuditError::Canonical(error.to_string()))
    }

    /// Reads a line of the checkpoint file; only the one canonical form is accepted.
    pub(crate) fn from_line(line: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(line).ok()?;
        let checkpoint = Self {
            origin: stored.origin,
            epoch: stored.epoch,
            size: stored.size,
            root: Hash::from_hex(stored.root.as_bytes())?,
            chain: Hash::from_hex(stored.chain.as_bytes())?,
            time_ms: stored.time_ms,
            key: Hash::from_hex(stored.key.as_bytes())?.0,
            next: Hash::from_hex(stored.next.as_bytes())?.0,
            signature: hex::decode(stored.signature).ok()?.try_into().ok()?,
        };
        (checkpoint.to_line().ok()? == line).then_some(checkpoint)
    }
}

/// What a checkpoint says before it is signed.
pub(crate) struct Unsigned {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: Hash,
    pub(crate) chain: Hash,
    pub(crate) time_ms: i64,
}

/// A published note, read back. The key that signed it is not in it; the log's own checkpoint of the same
/// epoch has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Name of the log.
    pub origin: String,
    /// Number of records covered.
    pub size: u64,
    /// Merkle root over them.
    pub root: Hash,
    /// Which checkpoint it is.
    pub epoch: u64,
    /// The note's signed text.
    text: String,
    signature: Vec<u8>,
}

impl Anchor {
    /// Reads a note. `None` when it is none.
    pub fn parse(note: &str) -> Option<Self> {
        let (body, signatures) = note.split_once("\n\n")?;
        let mut lines = body.lines();
        let origin = lines.next()?.to_owned();
        let size = lines.next()?.parse().ok()?;
        let root = Hash(STANDARD.decode(lines.next()?).ok()?.try_into().ok()?);
        let epoch = lines.find_map(|line| line.strip_prefix("epoch "))?.parse().ok()?;
        let line = signatures
            .lines()
            .find_map(|line| line.strip_prefix("\u{2014} "))?;
        let (name, signature) = line.split_once(' ')?;
        let signature = STANDARD.decode(signature.trim_end()).ok()?;
        (name == origin && signature.len() == 68).then_some(Self {
            origin,
            size,
            root,
            epoch,
            text: format!("{body}\n"),
            signature,
        })
    }

    /// Whether the note was signed with this key.
    pub fn signed_by(&self, key: &[u8; 32]) -> bool {
        let Some((id, signature)) = self.signature.split_at_checked(4) else {
            return false;
        };
        let Ok(signature) = Signature::from_slice(signature) else {
            return false;
        };
        id == key_id(&self.origin, key)
            && VerifyingKey::from_bytes(key)
                .is_ok_and(|key| key.verify_strict(self.text.as_bytes(), &signature).is_ok())
    }
}

/// The key's short name in a signed note: four bytes of SHA-256(name, line end, algorithm 1, key).
fn key_id(name: &str, key: &[u8; 32]) -> [u8; 4] {
    let mut hasher = Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update([b'\n', 1]);
    hasher.update(key);
    let digest: [u8; 32] = hasher.finalize().into();
    [digest[0], digest[1], digest[2], digest[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> Checkpoint {
        let (key, next) = (EpochKey::generate(4).unwrap(), EpochKey::generate(5).unwrap());
        let unsigned = Unsigned {
            origin: origin(&Hash([7; 32])),
            size: 9,
            root: Hash([1; 32]),
            chain: Hash([2; 32]),
            time_ms: 1_795_356_161_000,
        };
        Checkpoint::sign(unsigned, &key, &next)
    }

    #[test]
    fn a_line_and_a_note_read_back() {
        let checkpoint = signed();
        assert!(checkpoint.verify());
        assert_eq!(
            Checkpoint::from_line(&checkpoint.to_line().unwrap()),
            Some(checkpoint.clone())
        );
        let anchor = Anchor::parse(&checkpoint.note()).unwrap();
        assert_eq!((anchor.size, anchor.root, anchor.epoch), (9, checkpoint.root, 4));
        assert!(anchor.signed_by(&checkpoint.key));
        assert!(!anchor.signed_by(&checkpoint.next));
    }

    #[test]
    fn every_flipped_bit_of_a_line_is_refused() {
        let line = signed().to_line().unwrap();
        for bit in 0..line.len() * 8 {
            let mut flipped = line.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let accepted = Checkpoint::from_line(&flipped).is_some_and(|checkpoint| checkpoint.verify());
            assert!(!accepted, "bit {bit}");
        }
    }
}
