//! Minted tokens, and the agents that the sandbox said it started.

use super::{Store, signed};
use crate::error::GuardError;
use rusqlite::{OptionalExtension, params};
use std::collections::BTreeSet;

/// A minted token.
#[derive(Debug, Clone)]
pub(crate) struct TokenRow {
    pub(crate) id: String,
    pub(crate) task: String,
    pub(crate) goal: String,
    pub(crate) agent: String,
    pub(crate) epoch: u64,
    pub(crate) expires_ms: i64,
}

impl Store {
    /// Keeps a token until it has expired for an hour.
    pub(crate) fn save_token(&mut self, token: &TokenRow, now_ms: i64) -> Result<(), GuardError> {
        let transaction = self.guard.transaction()?;
        transaction.execute(
            "DELETE FROM token WHERE expires < ?1",
            [now_ms.saturating_sub(3_600_000)],
        )?;
        transaction.execute(
            "INSERT INTO token VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
            params![
                token.id,
                token.task,
                token.goal,
                token.agent,
                signed(token.epoch),
                token.expires_ms
            ],
        )?;
        Ok(transaction.commit()?)
    }

    /// Marks tokens as revoked and sets the epoch; returns the ids that were not revoked before. A token
    /// id that was never minted here is remembered all the same, until `until_ms`.
    pub(crate) fn revoke(
        &mut self,
        wanted: &aios_proto::guard::v1::RevokeRequest,
        epoch: u64,
        until_ms: i64,
    ) -> Result<Vec<String>, GuardError> {
        let transaction = self.guard.transaction()?;
        if !wanted.token_id.is_empty() {
            transaction.execute(
                "INSERT OR IGNORE INTO token VALUES (?1, '', '', '', 0, ?2, 0)",
                params![wanted.token_id, until_ms],
            )?;
        }
        let ids: Vec<String> = {
            let mut query = transaction.prepare_cached(
                "UPDATE token SET revoked = 1 WHERE revoked = 0 AND
                 ((?1 <> '' AND id = ?1) OR (?2 <> '' AND task = ?2) OR (?3 <> '' AND goal = ?3) OR (?4 <> '' AND agent = ?4))
                 RETURNING id",
            )?;
            let rows = query.query_map(
                params![wanted.token_id, wanted.task_id, wanted.goal_id, wanted.agent_id],
                |row| row.get(0),
            )?;
            rows.collect::<Result<_, _>>()?
        };
        transaction.execute(
            "INSERT OR REPLACE INTO meta VALUES ('epoch', ?1)",
            [epoch.to_string()],
        )?;
        transaction.commit()?;
        Ok(ids)
    }

    /// Revoked tokens that have not expired.
    pub(crate) fn revoked(&self, now_ms: i64) -> Result<BTreeSet<String>, GuardError> {
        let mut query = self
            .guard
            .prepare_cached("SELECT id FROM token WHERE revoked = 1 AND expires > ?1")?;
        let rows = query.query_map([now_ms], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn agent_started(&mut self, id: &str, kind: &str) -> Result<(), GuardError> {
        self.guard
            .execute("INSERT OR REPLACE INTO agent VALUES (?1, ?2)", (id, kind))?;
        Ok(())
    }

    pub(crate) fn agent_ended(&mut self, id: &str) -> Result<(), GuardError> {
        self.guard.execute("DELETE FROM agent WHERE id = ?1", [id])?;
        Ok(())
    }

    /// Forgets the agents of an earlier boot: none of them runs any more.
    pub(crate) fn begin_boot(&mut self, boot_id: &str) -> Result<(), GuardError> {
        if self.meta("boot_id")?.as_deref() == Some(boot_id) {
            return Ok(());
        }
        self.guard.execute("DELETE FROM agent", [])?;
        self.set_meta(&[("boot_id", boot_id.to_owned())])
    }

    /// Kind of a running agent.
    pub(crate) fn agent_kind(&self, id: &str) -> Result<Option<String>, GuardError> {
        let mut query = self
            .guard
            .prepare_cached("SELECT kind FROM agent WHERE id = ?1")?;
        Ok(query.query_row([id], |row| row.get(0)).optional()?)
    }
}
