//! Enrolled persons, their sessions and one-time codes (hashes only), nonces of their proofs.

use super::Store;
use crate::error::GuardError;
use aios_auth::key::PublicKey;
use aios_auth::person::{NONCE_LEN, NonceStore, PersonError};
use rusqlite::{OptionalExtension, params};

/// An enrolled person's key. A person may have several.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) uid: u32,
    pub(crate) name: String,
    pub(crate) key: PublicKey,
}

/// What an opaque secret stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeKind {
    /// Signs a browser in, once.
    SignIn,
    /// A console session.
    Session,
}

impl CodeKind {
    fn number(self) -> i64 {
        match self {
            Self::SignIn => 0,
            Self::Session => 1,
        }
    }
}

impl Store {
    pub(crate) fn persons(&self) -> Result<Vec<Person>, GuardError> {
        let mut query = self
            .guard
            .prepare_cached("SELECT key, uid, name FROM person ORDER BY enrolled, uid")?;
        let rows = query.query_map([], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get(2)?))
        })?;
        let mut persons = Vec::new();
        for row in rows {
            let (key, uid, name) = row?;
            persons.push(Person {
                uid,
                name,
                key: PublicKey::from_bytes(&key)?,
            });
        }
        Ok(persons)
    }

    pub(crate) fn enrol(&mut self, person: &Person, now_ms: i64) -> Result<(), GuardError> {
        self.guard.execute(
            "INSERT INTO person VALUES (?1, ?2, ?3, ?4)",
            params![person.key.to_bytes(), person.uid, person.name, now_ms],
        )?;
        Ok(())
    }

    pub(crate) fn save_code(
        &mut self,
        kind: CodeKind,
        hash: &[u8; 32],
        uid: u32,
        expires_ms: i64,
        now_ms: i64,
    ) -> Result<(), GuardError> {
        self.guard
            .execute("DELETE FROM code WHERE expires <= ?1", [now_ms])?;
        self.guard.execute(
            "INSERT INTO code VALUES (?1, ?2, ?3, ?4)",
            params![hash, kind.number(), uid, expires_ms],
        )?;
        Ok(())
    }

    /// uid and end of a code or session that still holds.
    pub(crate) fn code(
        &self,
        kind: CodeKind,
        hash: &[u8; 32],
        now_ms: i64,
    ) -> Result<Option<(u32, i64)>, GuardError> {
        let mut query = self
            .guard
            .prepare_cached("SELECT uid, expires FROM code WHERE hash = ?1 AND kind = ?2 AND expires > ?3")?;
        let row = query.query_row(params![hash, kind.number(), now_ms], |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
        Ok(row.optional()?)
    }

    /// Ends a code or session; says whether there was one.
    pub(crate) fn end_code(&mut self, kind: CodeKind, hash: &[u8; 32]) -> Result<bool, GuardError> {
        let removed = self.guard.execute(
            "DELETE FROM code WHERE hash = ?1 AND kind = ?2",
            params![hash, kind.number()],
        )?;
        Ok(removed > 0)
    }
}

/// Nonces survive a restart, so that a proof works once whatever happens.
impl NonceStore for Store {
    fn claim(&mut self, nonce: [u8; NONCE_LEN], now_ms: i64, until_ms: i64) -> Result<bool, PersonError> {
        let claim = || -> rusqlite::Result<usize> {
            self.guard
                .execute("DELETE FROM nonce WHERE until <= ?1", [now_ms])?;
            self.guard.execute(
                "INSERT OR IGNORE INTO nonce VALUES (?1, ?2)",
                params![nonce, until_ms],
            )
        };
        match claim() {
            Ok(inserted) => Ok(inserted > 0),
            Err(error) => {
                tracing::error!(%error, "a nonce could not be stored, so the proof is refused");
                Err(PersonError::Busy)
            }
        }
    }
}
