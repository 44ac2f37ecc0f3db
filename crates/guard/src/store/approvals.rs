//! Approval requests and what was remembered of them.

use super::{Store, signed, unsigned};
use crate::error::GuardError;
use aios_core::id::ExecutionKey;
use aios_proto::guard::v1::{Approval, ApprovalState};
use prost::Message;
use rusqlite::{OptionalExtension, Row, params};

/// A request for a person's decision.
#[derive(Debug, Clone)]
pub(crate) struct ApprovalRow {
    /// What people see; carries state, ids, digest and times.
    pub(crate) shown: Approval,
    /// Until when a given approval holds, UTC milliseconds.
    pub(crate) valid_until_ms: i64,
    /// How long it will hold once given, milliseconds.
    pub(crate) valid_ms: u64,
    /// How long its scope is remembered, milliseconds.
    pub(crate) remember_ms: u64,
    pub(crate) approver_uid: u32,
    pub(crate) tainted: bool,
    /// Capabilities of the token, one a line.
    pub(crate) granted: String,
    /// What the call needs, one a line.
    pub(crate) required: String,
}

/// A decision that holds for later calls.
#[derive(Debug, Clone)]
pub(crate) struct Remembered {
    pub(crate) approval: String,
    pub(crate) approve: bool,
    pub(crate) agent_kind: String,
    pub(crate) scope: String,
    pub(crate) tainted: bool,
    pub(crate) expires_ms: i64,
}

const COLUMNS: &str = "shown, valid_until, valid_ms, remember_ms, approver_uid, tainted, granted, required";

fn read(row: &Row<'_>) -> rusqlite::Result<ApprovalRow> {
    let shown: Vec<u8> = row.get(0)?;
    let shown = Approval::decode(shown.as_slice()).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(error))
    })?;
    Ok(ApprovalRow {
        shown,
        valid_until_ms: row.get(1)?,
        valid_ms: unsigned(row.get(2)?),
        remember_ms: unsigned(row.get(3)?),
        approver_uid: row.get(4)?,
        tainted: row.get(5)?,
        granted: row.get(6)?,
        required: row.get(7)?,
    })
}

impl Store {
    pub(crate) fn save_approval(&mut self, row: &ApprovalRow) -> Result<(), GuardError> {
        let shown = &row.shown;
        self.guard.execute(
            "INSERT OR REPLACE INTO approval VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            params![
                shown.approval_id,
                shown.state,
                shown.goal_id,
                shown.task_id,
                signed(shown.step),
                shown.created_at_ms,
                shown.expires_at_ms,
                row.valid_until_ms,
                signed(row.valid_ms),
                signed(row.remember_ms),
                row.approver_uid,
                row.tainted,
                row.granted,
                row.required,
                shown.encode_to_vec(),
            ],
        )?;
        Ok(())
    }

    pub(crate) fn approval(&self, id: &str) -> Result<Option<ApprovalRow>, GuardError> {
        let mut query = self
            .guard
            .prepare_cached(&format!("SELECT {COLUMNS} FROM approval WHERE id = ?1"))?;
        Ok(query.query_row([id], read).optional()?)
    }

    /// All requests about one step, newest first.
    pub(crate) fn approvals_of(&self, key: ExecutionKey) -> Result<Vec<ApprovalRow>, GuardError> {
        let mut query = self.guard.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM approval WHERE task = ?1 AND step = ?2 ORDER BY id DESC"
        ))?;
        let rows = query.query_map(params![key.task.to_string(), signed(key.step)], read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn list_approvals(
        &self,
        pending: bool,
        goal: &str,
        limit: u32,
    ) -> Result<Vec<ApprovalRow>, GuardError> {
        let mut query = self.guard.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM approval WHERE (NOT ?1 OR state = ?2) AND (?3 = '' OR goal = ?3)
             ORDER BY created DESC, id DESC LIMIT ?4"
        ))?;
        let rows = query.query_map(
            params![pending, i32::from(ApprovalState::Pending), goal, limit],
            read,
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn pending_count(&self) -> Result<u32, GuardError> {
        let mut query = self
            .guard
            .prepare_cached("SELECT count(*) FROM approval WHERE state = ?1")?;
        Ok(query.query_row([i32::from(ApprovalState::Pending)], |row| row.get(0))?)
    }

    /// When the next pending request lapses.
    pub(crate) fn next_expiry(&self) -> Result<Option<i64>, GuardError> {
        let mut query = self
            .guard
            .prepare_cached("SELECT min(expires) FROM approval WHERE state = ?1")?;
        Ok(query.query_row([i32::from(ApprovalState::Pending)], |row| row.get(0))?)
    }

    /// Pending requests that lapsed.
    pub(crate) fn lapsed(&self, now_ms: i64) -> Result<Vec<ApprovalRow>, GuardError> {
        let mut query = self.guard.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM approval WHERE state = ?1 AND expires <= ?2"
        ))?;
        let rows = query.query_map(params![i32::from(ApprovalState::Pending), now_ms], read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Ids of at most `limit` requests, after `after`, that no longer wait, lapsed and ceased to hold before
    /// `before_ms`, and of which nothing is remembered at `now_ms`.
    pub(crate) fn over_before(
        &self,
        before_ms: i64,
        now_ms: i64,
        after: &str,
        limit: u32,
    ) -> Result<Vec<String>, GuardError> {
        let mut query = self.guard.prepare_cached(
            "SELECT id FROM approval
             WHERE id > ?4 AND state <> ?1 AND expires <= ?2 AND valid_until <= ?2
               AND id NOT IN (SELECT approval FROM remembered WHERE expires > ?3)
             ORDER BY id LIMIT ?5",
        )?;
        let pending = i32::from(ApprovalState::Pending);
        let rows = query.query_map(params![pending, before_ms, now_ms, after, limit], |row| {
            row.get(0)
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets requests, and what was remembered of them.
    pub(crate) fn forget_approvals(&mut self, ids: &[String]) -> Result<(), GuardError> {
        let transaction = self.guard.transaction()?;
        for id in ids {
            transaction.execute("DELETE FROM approval WHERE id = ?1", [id])?;
            transaction.execute("DELETE FROM remembered WHERE approval = ?1", [id])?;
        }
        Ok(transaction.commit()?)
    }

    pub(crate) fn remember(&mut self, remembered: &Remembered) -> Result<(), GuardError> {
        self.guard.execute(
            "INSERT OR REPLACE INTO remembered VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                remembered.approval,
                remembered.approve,
                remembered.agent_kind,
                remembered.scope,
                remembered.tainted,
                remembered.expires_ms
            ],
        )?;
        Ok(())
    }

    /// What was remembered for a kind of agent and still holds.
    pub(crate) fn remembered(&self, agent_kind: &str, now_ms: i64) -> Result<Vec<Remembered>, GuardError> {
        let mut query = self.guard.prepare_cached(
            "SELECT approval, approve, agent_kind, scope, tainted, expires FROM remembered
             WHERE agent_kind = ?1 AND expires > ?2 ORDER BY approval DESC",
        )?;
        let rows = query.query_map(params![agent_kind, now_ms], |row| {
            Ok(Remembered {
                approval: row.get(0)?,
                approve: row.get(1)?,
                agent_kind: row.get(2)?,
                scope: row.get(3)?,
                tainted: row.get(4)?,
                expires_ms: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
