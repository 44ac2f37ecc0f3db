//! Changes that are provisional: each has a deadline, and whoever made it must confirm it before. What is written
//! here is durable before the change is made, so that no crash loses a deadline.
//!
//! Deadlines are counted on the clock that runs since the machine started, also while it sleeps; nobody can set it
//! back. Another start of the machine has another number, and has forgotten all provisional changes by itself.

use crate::error::{Result, ToolError};
use aios_core::id::ExecutionKey;
use aios_database::M;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

const SCHEMA: &str = "
CREATE TABLE change (
    namespace   TEXT    NOT NULL,
    execution   TEXT    NOT NULL,
    plan        TEXT    NOT NULL,
    summary     TEXT    NOT NULL,
    window_ms   INTEGER NOT NULL,
    boot        TEXT    NOT NULL,
    due_boot_ms INTEGER NOT NULL,
    due_ms      INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('provisional','confirmed','undone','reverted')),
    why         TEXT    NOT NULL DEFAULT '',
    ended_ms    INTEGER,
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    UNIQUE (namespace, execution)
) STRICT;
";

const COLUMNS: &str = "execution, plan, summary, window_ms, boot, due_boot_ms, due_ms, state, why, ended_ms";
/// Ended changes that are remembered for people.
const REMEMBERED: i64 = 100;

/// Where a provisional change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Made, and taken back at its deadline.
    Provisional,
    /// It stays.
    Confirmed,
    /// Taken back because somebody asked for it.
    Undone,
    /// Taken back because nobody confirmed it in time.
    Reverted,
}

impl State {
    const ALL: [(&'static str, Self); 4] = [
        ("provisional", Self::Provisional),
        ("confirmed", Self::Confirmed),
        ("undone", Self::Undone),
        ("reverted", Self::Reverted),
    ];

    /// As it is stored and told.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, state)| *state == self)
            .map_or("", |(name, _)| name)
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, state)| *state)
    }
}

/// A provisional change, or one that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its execution.
    pub key: ExecutionKey,
    /// How it is taken back, JSON text of its namespace.
    pub plan: String,
    /// One sentence.
    pub summary: String,
    /// Time that it was given, milliseconds.
    pub window_ms: u64,
    /// The start of the machine in which it was made.
    pub boot: String,
    /// Deadline, milliseconds since that start.
    pub due_boot_ms: i64,
    /// The same on the wall clock, for people.
    pub due_ms: i64,
    /// Where it is.
    pub state: State,
    /// Why it ended.
    pub why: String,
    /// When it ended, UTC milliseconds.
    pub ended_ms: Option<i64>,
}

/// The clocks that deadlines need.
pub trait BootClock: Send + Sync + 'static {
    /// Names this start of the machine.
    fn boot(&self) -> String;
    /// Milliseconds since it, sleep included.
    fn boot_ms(&self) -> i64;
    /// Wall clock, UTC milliseconds; may go back.
    fn now_ms(&self) -> i64;
}

/// This machine's clocks.
#[derive(Debug, Clone)]
pub struct MachineClock {
    boot: String,
}

impl MachineClock {
    /// Reads which start of the machine this is.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn new() -> Result<Self> {
        let path = "/proc/sys/kernel/random/boot_id";
        let boot = std::fs::read_to_string(path).map_err(|error| ToolError::io("read", path, error))?;
        Ok(Self {
            boot: boot.trim().to_owned(),
        })
    }
}

impl BootClock for MachineClock {
    fn boot(&self) -> String {
        self.boot.clone()
    }

    fn boot_ms(&self) -> i64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }

    fn now_ms(&self) -> i64 {
        aios_core::clock::Clock::now_ms(&aios_core::clock::SystemClock)
    }
}

/// The list, shared by the namespaces of one worker.
pub struct Pending {
    connection: Mutex<Connection>,
    clock: Box<dyn BootClock>,
}

impl Pending {
    /// Opens the list and brings its schema up to date.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn open(path: &Path, clock: Box<dyn BootClock>) -> Result<Self> {
        let connection = aios_database::open(path, &[M::up(SCHEMA)], &[("synchronous", &"FULL")])?;
        Ok(Self {
            connection: Mutex::new(connection),
            clock,
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a change down, with its deadline `window_ms` from now; made anew after a crash it gets a new one.
    ///
    /// # Errors
    /// The database fails.
    pub fn arm(
        &self,
        namespace: &str,
        key: ExecutionKey,
        plan: &str,
        summary: &str,
        window_ms: u64,
    ) -> Result<()> {
        let window = i64::try_from(window_ms).unwrap_or(i64::MAX);
        let clock = &self.clock;
        self.connection().execute(
            "INSERT INTO change (namespace, execution, plan, summary, window_ms, boot, due_boot_ms, due_ms, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'provisional')
             ON CONFLICT (namespace, execution) DO UPDATE SET plan = excluded.plan, window_ms = excluded.window_ms,
                 boot = excluded.boot, due_boot_ms = excluded.due_boot_ms, due_ms = excluded.due_ms,
                 state = 'provisional', why = '', ended_ms = NULL",
            params![
                namespace,
                key.to_string(),
                plan,
                summary,
                window,
                clock.boot(),
                clock.boot_ms().saturating_add(window),
                clock.now_ms().saturating_add(window),
            ],
        )?;
        Ok(())
    }

    /// Completes what is known of how to take a change back.
    ///
    /// # Errors
    /// The database fails.
    pub fn complete(&self, namespace: &str, key: ExecutionKey, plan: &str) -> Result<()> {
        self.connection().execute(
            "UPDATE change SET plan = ?3 WHERE namespace = ?1 AND execution = ?2",
            params![namespace, key.to_string(), plan],
        )?;
        Ok(())
    }

    /// Forgets a change that was never finished.
    ///
    /// # Errors
    /// The database fails.
    pub fn forget(&self, namespace: &str, key: ExecutionKey) -> Result<()> {
        self.connection().execute(
            "DELETE FROM change WHERE namespace = ?1 AND execution = ?2 AND state = 'provisional'",
            params![namespace, key.to_string()],
        )?;
        Ok(())
    }

    /// A change goes from one state to another; whether it was in the first.
    ///
    /// # Errors
    /// The database fails.
    pub fn pass(
        &self,
        namespace: &str,
        key: ExecutionKey,
        from: State,
        to: State,
        why: &str,
    ) -> Result<bool> {
        let ended = (to != State::Provisional).then(|| self.clock.now_ms());
        let connection = self.connection();
        let count = connection.execute(
            "UPDATE change SET state = ?4, why = ?5, ended_ms = ?6 WHERE namespace = ?1 AND execution = ?2 AND state = ?3",
            params![namespace, key.to_string(), from.as_str(), to.as_str(), why, ended],
        )?;
        connection.execute(
            "DELETE FROM change WHERE state IN ('undone','reverted') AND number NOT IN
             (SELECT number FROM change WHERE state IN ('undone','reverted') ORDER BY ended_ms DESC, number DESC LIMIT ?1)",
            params![REMEMBERED],
        )?;
        Ok(count == 1)
    }

    /// What is known of a change.
    ///
    /// # Errors
    /// The database fails.
    pub fn find(&self, namespace: &str, key: ExecutionKey) -> Result<Option<Change>> {
        let sql = format!("SELECT {COLUMNS} FROM change WHERE namespace = ?1 AND execution = ?2");
        let found = self
            .connection()
            .query_row(&sql, params![namespace, key.to_string()], |row| Ok(read(row)))
            .optional()?;
        found.transpose()
    }

    /// Changes of a namespace in one state, oldest first.
    ///
    /// # Errors
    /// The database fails.
    pub fn list(&self, namespace: &str, state: State) -> Result<Vec<Change>> {
        let sql = format!("SELECT {COLUMNS} FROM change WHERE namespace = ?1 AND state = ?2 ORDER BY number");
        let connection = self.connection();
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map(params![namespace, state.as_str()], |row| Ok(read(row)))?;
        rows.map(|row| row?).collect()
    }

    /// Milliseconds left until a change is taken back; `None` when the machine was started anew since.
    pub fn left_ms(&self, change: &Change) -> Option<u64> {
        (change.boot == self.clock.boot()).then(|| {
            let left = change.due_boot_ms.saturating_sub(self.clock.boot_ms());
            // More than the window can only be left when the clock is not the one that it was counted on.
            u64::try_from(left).unwrap_or(0).min(change.window_ms)
        })
    }
}

fn read(row: &Row<'_>) -> Result<Change> {
    let corrupt = |what: &str| ToolError::Corrupt {
        what: format!("{what} of a provisional change"),
    };
    let (execution, state): (String, String) = (row.get(0)?, row.get(7)?);
    Ok(Change {
        key: execution.parse().map_err(|_| corrupt("execution"))?,
        plan: row.get(1)?,
        summary: row.get(2)?,
        window_ms: row.get::<_, i64>(3)?.unsigned_abs(),
        boot: row.get(4)?,
        due_boot_ms: row.get(5)?,
        due_ms: row.get(6)?,
        state: State::parse(&state).ok_or_else(|| corrupt("state"))?,
        why: row.get(8)?,
        ended_ms: row.get(9)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aios_core::id::TaskId;
    use std::sync::Arc;

    #[derive(Clone)]
    struct Clocks(Arc<Mutex<(String, i64, i64)>>);

    impl BootClock for Clocks {
        fn boot(&self) -> String {
            self.0.lock().unwrap().0.clone()
        }
        fn boot_ms(&self) -> i64 {
            self.0.lock().unwrap().1
        }
        fn now_ms(&self) -> i64 {
            self.0.lock().unwrap().2
        }
    }

    fn pending() -> (tempfile::TempDir, Clocks, Pending, ExecutionKey) {
        let dir = tempfile::tempdir().unwrap();
        let clocks = Clocks(Arc::new(Mutex::new(("one".into(), 5_000, 1_000_000))));
        let pending = Pending::open(&dir.path().join("pending.db"), Box::new(clocks.clone())).unwrap();
        let key = ExecutionKey {
            task: TaskId::new(),
            step: 1,
        };
        pending.arm("net", key, "{}", "a change", 60_000).unwrap();
        (dir, clocks, pending, key)
    }

    #[test]
    fn a_wall_clock_that_is_set_moves_no_deadline() {
        let (_dir, clocks, pending, key) = pending();
        for (boot_ms, now_ms, left) in [
            (5_000, -7, Some(60_000)),
            (35_000, i64::MAX, Some(30_000)),
            (65_000, 0, Some(0)),
            (99_000, 0, Some(0)),
            (-99_000, 0, Some(60_000)),
        ] {
            *clocks.0.lock().unwrap() = ("one".into(), boot_ms, now_ms);
            let change = pending.find("net", key).unwrap().unwrap();
            assert_eq!(pending.left_ms(&change), left, "{boot_ms}");
        }
        clocks.0.lock().unwrap().0 = "two".into();
        let change = pending.find("net", key).unwrap().unwrap();
        assert_eq!(pending.left_ms(&change), None);
    }

    #[test]
    fn a_deadline_outlives_the_process_and_a_state_is_left_once() {
        let (dir, clocks, pending, key) = pending();
        drop(pending);
        let pending = Pending::open(&dir.path().join("pending.db"), Box::new(clocks)).unwrap();
        let [change] = pending
            .list("net", State::Provisional)
            .unwrap()
            .try_into()
            .unwrap();
        assert_eq!((change.key, change.due_boot_ms), (key, 65_000));
        assert_eq!(pending.list("firewall", State::Provisional).unwrap(), []);
        assert!(
            pending
                .pass("net", key, State::Provisional, State::Confirmed, "")
                .unwrap()
        );
        assert!(
            !pending
                .pass("net", key, State::Provisional, State::Reverted, "")
                .unwrap()
        );
        pending.forget("net", key).unwrap();
        let change = pending.find("net", key).unwrap().unwrap();
        assert_eq!(
            (change.state, change.ended_ms),
            (State::Confirmed, Some(1_000_000))
        );
    }

    #[test]
    fn of_what_was_taken_back_the_newest_are_remembered() {
        let (_dir, _clocks, pending, first) = pending();
        let task = TaskId::new();
        assert!(
            pending
                .pass("net", first, State::Provisional, State::Undone, "")
                .unwrap()
        );
        for step in 1..=110 {
            let key = ExecutionKey { task, step };
            pending.arm("net", key, "{}", "a change", 1000).unwrap();
            assert!(
                pending
                    .pass("net", key, State::Provisional, State::Reverted, "late")
                    .unwrap()
            );
        }
        assert_eq!(pending.list("net", State::Reverted).unwrap().len(), 100);
        assert_eq!(pending.find("net", first).unwrap(), None);
    }
}
