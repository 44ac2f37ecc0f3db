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
    /// Keeps a token until it has expired for an hour. A power cut may take the newest with it: the boot that
    /// follows accepts none of them, see [`Store::begin_boot`].
    pub(crate) fn save_token(&mut self, token: &TokenRow, now_ms: i64) -> Result<(), GuardError> {
        self.unsynced(|transaction| {
            transaction
                .prepare_cached("DELETE FROM token WHERE expires < ?1")?
                .execute([now_ms.saturating_sub(3_600_000)])?;
            transaction
                .prepare_cached("INSERT INTO token VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)")?
                .execute(params![
                    token.id,
                    token.task,
                    token.goal,
                    token.agent,
                    signed(token.epoch),
                    token.expires_ms
                ])?;
            Ok(())
        })
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

    /// Ends what belonged to an earlier boot. None of its agents runs any more, and who had a token of it has
    /// ended: all of them are revoked at once, known or not.
    pub(crate) fn begin_boot(&mut self, boot_id: &str) -> Result<(), GuardError> {
        if self.meta("boot_id")?.as_deref() == Some(boot_id) {
            return Ok(());
        }
        let epoch = (self.number("epoch")? + 1).to_string();
        let transaction = self.guard.transaction()?;
        transaction.execute("DELETE FROM agent", [])?;
        transaction.execute("DELETE FROM token", [])?;
        for (name, value) in [
            ("epoch", epoch.as_str()),
            ("min_token_epoch", &epoch),
            ("boot_id", boot_id),
        ] {
            transaction.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", (name, value))?;
        }
        Ok(transaction.commit()?)
    }

    /// Kind of a running agent.
    pub(crate) fn agent_kind(&self, id: &str) -> Result<Option<String>, GuardError> {
        let mut query = self
            .guard
            .prepare_cached("SELECT kind FROM agent WHERE id = ?1")?;
        Ok(query.query_row([id], |row| row.get(0)).optional()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: &str) -> TokenRow {
        TokenRow {
            id: id.to_owned(),
            task: "t".to_owned(),
            goal: "g".to_owned(),
            agent: "a".to_owned(),
            epoch: 0,
            expires_ms: 10_000_000,
        }
    }

    #[test]
    fn a_boot_revokes_all_tokens_of_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        store.begin_boot("one").unwrap();
        store.save_token(&token("aa"), 0).unwrap();
        let epochs = |store: &Store| ["epoch", "min_token_epoch"].map(|name| store.number(name).unwrap());
        assert_eq!(epochs(&store), [1, 1]);
        store.begin_boot("one").unwrap();
        assert_eq!(epochs(&store), [1, 1], "a restart of the guard is no boot");
        drop(store);
        let mut store = Store::open(dir.path()).unwrap();
        store.begin_boot("two").unwrap();
        assert_eq!(epochs(&store), [2, 2]);
    }

    #[test]
    fn what_is_written_unsynced_leaves_everything_else_synced() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let level = |store: &Store| -> i64 {
            let level = store.guard.query_row("PRAGMA synchronous", [], |row| row.get(0));
            level.unwrap()
        };
        let full = level(&store);
        store.save_token(&token("aa"), 0).unwrap();
        assert_eq!(level(&store), full);
        store.save_token(&token("aa"), 0).unwrap_err();
        assert_eq!(level(&store), full, "also after an error");
    }
}
