//! The working tier: journal events in SQLite, once each, without a gap. The same event again is
//! skipped; an event that would leave a gap is refused, so that the orchestrator starts over from the
//! position that is held.

use crate::error::Error;
use aios_core::failpoint;
use aios_database::M;
use aios_proto::memory::v1::WorkingEvent;
use rusqlite::{Connection, Row, params};
use std::path::Path;

const MIGRATIONS: &[M<'_>] = &[M::up(
    "CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        time_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        goal_id TEXT NOT NULL,
        task_id TEXT NOT NULL,
        body TEXT NOT NULL,
        tainted INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX events_of_goal ON events (goal_id, seq);
    CREATE INDEX events_of_kind ON events (kind, seq);",
)];

/// Pages after which the write-ahead log is copied into the database, 16 MiB. That syncs megabytes, and whoever syncs
/// a little on the same disk waits for it: goals' steps do.
const CHECKPOINT: u32 = 4096;

/// The working tier's database.
pub struct Working {
    connection: Connection,
    position: u64,
}

impl Working {
    /// Opens the database at `path`.
    ///
    /// # Errors
    /// It cannot be opened or brought up to date.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let connection = aios_database::open(
            path,
            MIGRATIONS,
            &[
                // What a power cut takes is projected again from the journal.
                ("synchronous", &"NORMAL"),
                ("wal_autocheckpoint", &CHECKPOINT),
                ("cache_size", &-512),
            ],
        )?;
        let position: i64 =
            connection.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| row.get(0))?;
        Ok(Self {
            connection,
            position: unsigned(position),
        })
    }

    /// Number of the newest event; 0 when there is none.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Adds events, ascending by number; those that are there already are skipped.
    ///
    /// # Errors
    /// [`Error::Gap`] when one does not follow, then nothing was added; storage errors.
    pub fn project(&mut self, events: &[WorkingEvent]) -> Result<u64, Error> {
        let transaction = self.connection.transaction()?;
        let mut position = self.position;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO events (seq, time_ms, kind, goal_id, task_id, body, tainted)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for event in events.iter().skip_while(|event| event.seq <= self.position) {
                if event.seq != position + 1 {
                    return Err(Error::Gap {
                        got: event.seq,
                        wanted: position + 1,
                    });
                }
                insert.execute(params![
                    signed(event.seq)?,
                    event.time_ms,
                    event.kind,
                    event.goal_id,
                    event.task_id,
                    event.body_json,
                    event.tainted
                ])?;
                position = event.seq;
            }
        }
        failpoint::hit("memory.before_commit");
        transaction.commit()?;
        failpoint::hit("memory.after_commit");
        self.position = position;
        Ok(position)
    }

    /// Events of a goal and of a kind (empty: of all), newest first.
    ///
    /// # Errors
    /// Storage errors.
    pub fn query(&self, goal_id: &str, kind: &str, limit: u32) -> Result<Vec<WorkingEvent>, Error> {
        let filter = match (goal_id.is_empty(), kind.is_empty()) {
            (true, true) => "?1 = '' AND ?2 = ''",
            (false, true) => "goal_id = ?1 AND ?2 = ''",
            (true, false) => "?1 = '' AND kind = ?2",
            (false, false) => "goal_id = ?1 AND kind = ?2",
        };
        let sql = format!(
            "SELECT seq, time_ms, kind, goal_id, task_id, body, tainted FROM events
             WHERE {filter} ORDER BY seq DESC LIMIT ?3"
        );
        let mut rows = self.connection.prepare_cached(&sql)?;
        let events = rows.query_map(params![goal_id, kind, limit], event)?;
        events.map(|event| event.map_err(Error::from)).collect()
    }

    /// How many events are held.
    ///
    /// # Errors
    /// Storage errors.
    pub fn count(&self) -> Result<u64, Error> {
        let count: i64 = self
            .connection
            .query_row("SELECT count(*) FROM events", [], |row| row.get(0))?;
        Ok(unsigned(count))
    }
}

fn event(row: &Row<'_>) -> rusqlite::Result<WorkingEvent> {
    Ok(WorkingEvent {
        seq: unsigned(row.get(0)?),
        time_ms: row.get(1)?,
        kind: row.get(2)?,
        goal_id: row.get(3)?,
        task_id: row.get(4)?,
        body_json: row.get(5)?,
        tainted: row.get(6)?,
    })
}

/// SQLite's numbers are signed; ours are never negative.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn signed(number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_| Error::field("seq", format!("{number} is too large")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, goal: &str, kind: &str) -> WorkingEvent {
        WorkingEvent {
            seq,
            kind: kind.to_owned(),
            goal_id: goal.to_owned(),
            body_json: "{}".to_owned(),
            ..WorkingEvent::default()
        }
    }

    fn working(directory: &tempfile::TempDir) -> Working {
        Working::open(&directory.path().join("working.db")).unwrap()
    }

    #[test]
    fn the_same_events_again_change_nothing_also_after_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let events = [event(1, "a", "x"), event(2, "a", "y")];
        assert_eq!(working(&directory).project(&events).unwrap(), 2);
        let mut again = working(&directory);
        assert_eq!(again.position(), 2);
        assert_eq!(
            again.project(&[event(2, "a", "y"), event(3, "b", "x")]).unwrap(),
            3
        );
        assert_eq!(again.count().unwrap(), 3);
    }

    #[test]
    fn a_gap_is_refused_and_nothing_of_the_batch_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut working = working(&directory);
        let error = working
            .project(&[event(1, "a", "x"), event(3, "a", "x")])
            .unwrap_err();
        assert!(matches!(error, Error::Gap { got: 3, wanted: 2 }));
        assert_eq!((working.position(), working.count().unwrap()), (0, 0));
    }

    #[test]
    fn rows_are_found_by_goal_and_kind_newest_first() {
        let directory = tempfile::tempdir().unwrap();
        let mut working = working(&directory);
        let events = [
            event(1, "a", "x"),
            event(2, "b", "x"),
            event(3, "a", "y"),
            event(4, "a", "x"),
        ];
        working.project(&events).unwrap();
        let seqs = |goal: &str, kind: &str, limit: u32| -> Vec<u64> {
            working
                .query(goal, kind, limit)
                .unwrap()
                .into_iter()
                .map(|event| event.seq)
                .collect()
        };
        assert_eq!(seqs("a", "", 10), [4, 3, 1]);
        assert_eq!(seqs("", "x", 2), [4, 2]);
        assert_eq!(seqs("a", "x", 10), [4, 1]);
        assert_eq!(seqs("", "", 1), [4]);
        assert!(seqs("'; DROP TABLE events; --", "", 10).is_empty());
    }
}
