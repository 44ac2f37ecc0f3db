//! The journal's tables. `events` is the truth; `goals`, `tasks` and `steps` are projections of it,
//! written in the same transaction. Migrations go forward only and are never edited once released.

use crate::error::Error;
use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};
use std::path::Path;

const MIGRATIONS: &[M<'_>] = &[M::up(
    "CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        time_ms INTEGER NOT NULL,
        goal_id TEXT NOT NULL,
        task_id TEXT NOT NULL,
        step INTEGER NOT NULL,
        kind TEXT NOT NULL,
        message TEXT NOT NULL,
        tainted INTEGER NOT NULL,
        goal_state TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX events_of_goal ON events (goal_id, seq);
    CREATE TABLE goals (
        goal_id TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        uid INTEGER NOT NULL,
        client_id TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX goals_of_client ON goals (uid, client_id) WHERE client_id <> '';
    CREATE INDEX goals_in_state ON goals (state);
    CREATE TABLE tasks (
        task_id TEXT PRIMARY KEY,
        goal_id TEXT NOT NULL,
        position INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX tasks_of_goal ON tasks (goal_id, position);
    CREATE TABLE steps (
        task_id TEXT NOT NULL,
        step INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (task_id, step)
    ) STRICT, WITHOUT ROWID;",
)];

/// Opens the database at `path` and brings it up to date.
pub(super) fn open(path: &Path) -> Result<Connection, Error> {
    prepare(Connection::open(path)?)
}

pub(super) fn prepare(mut connection: Connection) -> Result<Connection, Error> {
    // FULL: a goal that was answered for must survive a power cut.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -512)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Migrations::from_slice(MIGRATIONS).to_latest(&mut connection)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_applies() {
        assert!(Migrations::from_slice(MIGRATIONS).validate().is_ok());
    }
}
