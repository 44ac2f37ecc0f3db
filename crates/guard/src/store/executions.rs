//! Which step has an intent and an outcome in the audit log. A projection: lost rows are read back from
//! the log at the next start.

use super::{Store, signed, unsigned};
use crate::error::GuardError;
use aios_core::id::ExecutionKey;
use rusqlite::{OptionalExtension, params};
use std::collections::HashSet;

/// A mutating call that was allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Execution {
    pub(crate) digest: [u8; 32],
    pub(crate) goal: String,
    pub(crate) approval: Option<String>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) intent: u64,
    pub(crate) outcome: Option<u64>,
}

impl Store {
    pub(crate) fn execution(&self, key: ExecutionKey) -> Result<Option<Execution>, GuardError> {
        let mut query = self.executions.prepare_cached(
            "SELECT digest, goal, approval, files, bytes, intent, outcome FROM execution WHERE task = ?1 AND step = ?2",
        )?;
        let row = query.query_row(params![key.task.to_string(), signed(key.step)], |row| {
            Ok(Execution {
                digest: row.get(0)?,
                goal: row.get(1)?,
                approval: row.get(2)?,
                files: unsigned(row.get(3)?),
                bytes: unsigned(row.get(4)?),
                intent: unsigned(row.get(5)?),
                outcome: row.get::<_, Option<i64>>(6)?.map(unsigned),
            })
        });
        Ok(row.optional()?)
    }

    /// Keeps an intent; the first one of a step stays.
    pub(crate) fn save_intent(&mut self, key: ExecutionKey, execution: &Execution) -> Result<(), GuardError> {
        let mut insert = self.executions.prepare_cached(
            "INSERT OR IGNORE INTO execution VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL)",
        )?;
        insert.execute(params![
            key.task.to_string(),
            signed(key.step),
            execution.digest,
            execution.goal,
            execution.approval,
            signed(execution.files),
            signed(execution.bytes),
            signed(execution.intent)
        ])?;
        Ok(())
    }

    /// Keeps an outcome; the first one of a step stays.
    pub(crate) fn save_outcome(&mut self, key: ExecutionKey, outcome: u64) -> Result<(), GuardError> {
        let mut update = self.executions.prepare_cached(
            "UPDATE execution SET outcome = ?3 WHERE task = ?1 AND step = ?2 AND outcome IS NULL",
        )?;
        update.execute(params![key.task.to_string(), signed(key.step), signed(outcome)])?;
        Ok(())
    }

    /// Approvals of calls whose outcome is not known yet: those may still be asked about.
    pub(crate) fn approvals_in_flight(&self) -> Result<HashSet<String>, GuardError> {
        let mut query = self.executions.prepare_cached(
            "SELECT approval FROM execution WHERE outcome IS NULL AND approval IS NOT NULL",
        )?;
        let rows = query.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Up to which record the projection is complete.
    pub(crate) fn applied(&self) -> Result<u64, GuardError> {
        let seq = self
            .executions
            .query_row("SELECT seq FROM applied", [], |row| row.get(0))
            .optional()?;
        Ok(seq.map_or(0, unsigned))
    }

    pub(crate) fn set_applied(&mut self, seq: u64) -> Result<(), GuardError> {
        self.executions
            .execute("INSERT OR REPLACE INTO applied VALUES (1, ?1)", [signed(seq)])?;
        Ok(())
    }

    /// Files and bytes that each goal was allowed to change.
    pub(crate) fn totals(&self) -> Result<Vec<(String, u64, u64)>, GuardError> {
        let mut query = self
            .executions
            .prepare_cached("SELECT goal, sum(files), sum(bytes) FROM execution GROUP BY goal")?;
        let rows = query.query_map([], |row| {
            Ok((row.get(0)?, unsigned(row.get(1)?), unsigned(row.get(2)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
