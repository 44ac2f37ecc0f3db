//! SQLite. `guard.db` holds what only the guard knows and must survive a power cut (`synchronous=FULL`); only
//! tokens are written to it unsynced, because none outlives a boot. `executions.db` is a projection of the audit
//! log that is brought up to date at each start, and so costs no sync of its own.

mod approvals;
mod executions;
mod persons;
mod tokens;

pub(crate) use approvals::{ApprovalRow, Remembered};
pub(crate) use executions::Execution;
pub(crate) use persons::{CodeKind, Person};
pub(crate) use tokens::TokenRow;

use crate::error::GuardError;
use aios_database::M;
use rusqlite::{Connection, OptionalExtension, ToSql, Transaction};
use std::path::Path;

/// Numbered steps of `guard.db`; only ever added to.
const GUARD: &[M<'_>] = &[M::up(
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
     CREATE TABLE approval (
         id TEXT PRIMARY KEY, state INTEGER NOT NULL, goal TEXT NOT NULL, task TEXT NOT NULL, step INTEGER NOT NULL,
         created INTEGER NOT NULL, expires INTEGER NOT NULL, valid_until INTEGER NOT NULL, valid_ms INTEGER NOT NULL,
         remember_ms INTEGER NOT NULL, approver_uid INTEGER NOT NULL, tainted INTEGER NOT NULL,
         granted TEXT NOT NULL, required TEXT NOT NULL, shown BLOB NOT NULL);
     CREATE INDEX approval_key ON approval (task, step);
     CREATE INDEX approval_state ON approval (state, expires);
     CREATE INDEX approval_goal ON approval (goal);
     CREATE TABLE remembered (
         approval TEXT PRIMARY KEY, approve INTEGER NOT NULL, agent_kind TEXT NOT NULL, scope TEXT NOT NULL,
         tainted INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE person (key BLOB PRIMARY KEY, uid INTEGER NOT NULL, name TEXT NOT NULL, enrolled INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE code (hash BLOB PRIMARY KEY, kind INTEGER NOT NULL, uid INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE nonce (nonce BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE token (
         id TEXT PRIMARY KEY, task TEXT NOT NULL, goal TEXT NOT NULL, agent TEXT NOT NULL, epoch INTEGER NOT NULL,
         expires INTEGER NOT NULL, revoked INTEGER NOT NULL) WITHOUT ROWID;
     CREATE INDEX token_expires ON token (expires);
     CREATE TABLE agent (id TEXT PRIMARY KEY, kind TEXT NOT NULL) WITHOUT ROWID;",
)];

/// Numbered steps of `executions.db`.
const EXECUTIONS: &[M<'_>] = &[M::up(
    "CREATE TABLE execution (
         task TEXT NOT NULL, step INTEGER NOT NULL, digest BLOB NOT NULL, goal TEXT NOT NULL, approval TEXT,
         files INTEGER NOT NULL, bytes INTEGER NOT NULL, intent INTEGER NOT NULL, outcome INTEGER,
         PRIMARY KEY (task, step)) WITHOUT ROWID;
     CREATE TABLE applied (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL);",
)];

/// Pages after which the write-ahead log is copied into the database, 16 MiB. Whoever commits then waits for it.
const CHECKPOINT: u32 = 4096;

/// The two databases.
#[derive(Debug)]
pub(crate) struct Store {
    guard: Connection,
    executions: Connection,
}

impl Store {
    pub(crate) fn open(directory: &Path) -> Result<Self, GuardError> {
        Ok(Self {
            guard: open(&directory.join("guard.db"), "FULL", GUARD)?,
            executions: open(&directory.join("executions.db"), "NORMAL", EXECUTIONS)?,
        })
    }

    /// A named value.
    pub(crate) fn meta(&self, name: &str) -> Result<Option<String>, GuardError> {
        let mut query = self
            .guard
            .prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
        Ok(query.query_row([name], |row| row.get(0)).optional()?)
    }

    /// A named number, 0 when it was never set.
    pub(crate) fn number(&self, name: &str) -> Result<u64, GuardError> {
        Ok(self.meta(name)?.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// Sets named values, all or none.
    pub(crate) fn set_meta(&mut self, values: &[(&str, String)]) -> Result<(), GuardError> {
        let transaction = self.guard.transaction()?;
        for (name, value) in values {
            transaction.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", (name, value))?;
        }
        Ok(transaction.commit()?)
    }

    /// Writes to `guard.db` what a killed process must not lose and a power cut may take.
    fn unsynced<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, GuardError>,
    ) -> Result<T, GuardError> {
        self.guard.pragma_update(None, "synchronous", "NORMAL")?;
        let written = self.guard.transaction().map_err(GuardError::from).and_then(|it| {
            let result = work(&it)?;
            it.commit()?;
            Ok(result)
        });
        self.guard.pragma_update(None, "synchronous", "FULL")?;
        written
    }
}

fn open(path: &Path, synchronous: &str, steps: &[M<'_>]) -> Result<Connection, GuardError> {
    let settings: [(&str, &dyn ToSql); 4] = [
        ("synchronous", &synchronous),
        ("secure_delete", &true),
        ("cache_size", &-1024),
        ("wal_autocheckpoint", &CHECKPOINT),
    ];
    Ok(aios_database::open(path, steps, &settings)?)
}

/// SQLite's integers are signed; what does not fit is as large as can be.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
