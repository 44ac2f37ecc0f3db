//! Payloads, each encrypted under its own key, beside the chain.
//!
//! The chain holds salted digests. `forget` destroys key, salt and ciphertext; what remains in the chain
//! proves that there was a payload and tells nothing of it. A power cut may lose the payloads of the last
//! moments, and a crash those of a read that was just answered: the records themselves are not affected.

use crate::error::AuditError;
use crate::hash::{Hash, salted};
use aios_database::M;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;

/// Which payload of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What went in.
    Input,
    /// What came out.
    Output,
}

impl Side {
    fn column(self) -> i64 {
        match self {
            Self::Input => 0,
            Self::Output => 1,
        }
    }
}

/// The encrypted payload, ready to be stored.
pub(crate) struct Sealed {
    pub(crate) digest: Hash,
    side: Side,
    key: [u8; 32],
    salt: [u8; 16],
    ciphertext: Vec<u8>,
}

/// Encrypts a payload under a fresh key. A key is used once, so that the nonce can be fixed; the record's
/// number and side are bound as associated data.
pub(crate) fn seal(seq: u64, side: Side, payload: &[u8]) -> Result<Sealed, AuditError> {
    let mut random = [0_u8; 48];
    getrandom::fill(&mut random)?;
    let (mut key, mut salt) = ([0; 32], [0; 16]);
    key.copy_from_slice(&random[..32]);
    salt.copy_from_slice(&random[32..]);
    let ciphertext = ChaCha20Poly1305::new(&Key::from(key))
        .encrypt(
            &Nonce::default(),
            Payload {
                msg: payload,
                aad: &associated(seq, side),
            },
        )
        .map_err(|_| AuditError::PayloadAltered { seq })?;
    Ok(Sealed {
        digest: salted(&salt, payload),
        side,
        key,
        salt,
        ciphertext,
    })
}

fn associated(seq: u64, side: Side) -> [u8; 9] {
    let mut bytes = [0; 9];
    bytes[..8].copy_from_slice(&seq.to_be_bytes());
    bytes[8] = u8::from(side == Side::Output);
    bytes
}

fn number(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// Numbered steps of its schema; only ever added to. The first stores have the table and no number.
const STEPS: &[M<'_>] = &[M::up(
    "CREATE TABLE IF NOT EXISTS payload (
         seq INTEGER NOT NULL, side INTEGER NOT NULL, key BLOB NOT NULL, salt BLOB NOT NULL,
         ciphertext BLOB NOT NULL, PRIMARY KEY (seq, side)) WITHOUT ROWID;",
)];

/// The store.
#[derive(Debug)]
pub(crate) struct PayloadStore {
    connection: Connection,
}

impl PayloadStore {
    /// Opens or makes the store, and drops what a crash left for records beyond `size`.
    pub(crate) fn open(path: &Path, size: u64) -> Result<Self, AuditError> {
        let connection = aios_database::open(
            path,
            STEPS,
            &[
                ("synchronous", &"NORMAL"),
                ("secure_delete", &true),
                ("cache_size", &-1024),
                // Every 16 MiB: it syncs megabytes, and the log waits for the same disk.
                ("wal_autocheckpoint", &4096),
            ],
        )?;
        connection.execute("DELETE FROM payload WHERE seq >= ?1", [number(size)])?;
        Ok(Self { connection })
    }

    /// Opens the store for reading.
    pub(crate) fn reader(path: &Path) -> Result<Self, AuditError> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        Ok(Self { connection })
    }

    /// Stores the payloads of a batch of records.
    pub(crate) fn store(&mut self, sealed: &[(u64, Sealed)]) -> Result<(), AuditError> {
        if sealed.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT OR REPLACE INTO payload VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for (seq, one) in sealed {
                insert.execute(params![
                    number(*seq),
                    one.side.column(),
                    one.key,
                    one.salt,
                    one.ciphertext
                ])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Reads a payload and checks it against the digest in the chain.
    pub(crate) fn read(&self, seq: u64, side: Side, digest: &Hash) -> Result<Vec<u8>, AuditError> {
        let row: Option<([u8; 32], [u8; 16], Vec<u8>)> = self
            .connection
            .query_row(
                "SELECT key, salt, ciphertext FROM payload WHERE seq = ?1 AND side = ?2",
                params![number(seq), side.column()],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        let (key, salt, ciphertext) = row.ok_or(AuditError::NoPayload { seq })?;
        let payload = ChaCha20Poly1305::new(&Key::from(key))
            .decrypt(
                &Nonce::default(),
                Payload {
                    msg: &ciphertext,
                    aad: &associated(seq, side),
                },
            )
            .map_err(|_| AuditError::PayloadAltered { seq })?;
        if salted(&salt, &payload) != *digest {
            return Err(AuditError::PayloadAltered { seq });
        }
        Ok(payload)
    }

    /// Destroys the payloads of a record, in the write-ahead log too. Says whether there were any.
    pub(crate) fn forget(&mut self, seq: u64) -> Result<bool, AuditError> {
        let removed = self
            .connection
            .execute("DELETE FROM payload WHERE seq = ?1", [number(seq)])?;
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(removed > 0)
    }
}
