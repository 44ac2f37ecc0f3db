//! One moment of a state at work.
//!
//! Reading many files of many services takes time, and what is copied first is older than what is copied last. So
//! nothing is copied here: each database is *pinned* by a read transaction, which takes microseconds and stops nobody,
//! the audit log by its length, and small files by reading them. Then all is looked at once more. When nothing changed
//! between the two looks, what is pinned was true at one instant (the double collect of Afek et al., "Atomic snapshots
//! of shared memory", 1993): exactly what a power cut at that instant would have left. When something changed it is
//! tried again; a system that writes without a pause is taken as it comes, in the order of [`crate::contents`].

use crate::contents::{self, Kind};
use crate::error::{BackupError, Result};
use crate::manifest::Member;
use crate::walk::{Found, read, walk};
use aios_audit::Prefix;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// How often a moment without writes is looked for.
const TRIES: u32 = 400;
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(5);
/// How long SQLite waits for a lock that a service holds for moments.
const BUSY: Duration = Duration::from_secs(5);
/// Below the state directory.
pub(crate) const LOG: &str = "guard/audit";

/// The state at a moment.
pub(crate) struct Moment {
    /// Databases, each in a read transaction, in the order in which they were pinned.
    pub(crate) databases: Vec<Pinned>,
    /// Content of small files.
    pub(crate) small: BTreeMap<String, Small>,
    /// The audit log.
    pub(crate) log: Option<Prefix>,
    /// Whether nothing was written while it was pinned.
    pub(crate) at_once: bool,
}

/// A small file.
#[derive(PartialEq, Eq)]
pub(crate) struct Small {
    pub(crate) content: Vec<u8>,
    pub(crate) member: Member,
}

/// A database at a moment.
pub(crate) struct Pinned {
    pub(crate) path: String,
    /// Owner, mode and time.
    pub(crate) member: Member,
    /// Its schema, `user_version`.
    pub(crate) schema: i64,
    pub(crate) connection: Connection,
    /// Sees what others wrote since.
    watcher: Connection,
    rank: usize,
}

/// Pins the state below a directory.
pub(crate) fn take(state: &Path) -> Result<Moment> {
    let mut databases = open_all(state)?;
    let mut tried = 0;
    loop {
        tried += 1;
        let before = versions(&databases)?;
        let small = read_small(state)?;
        for pinned in &mut databases {
            pinned.pin()?;
        }
        // Its line in the list is behind every database.
        let log = Prefix::read(&state.join(LOG))?;
        let quiet = versions(&databases)? == before
            && small == read_small(state)?
            && log == Prefix::read(&state.join(LOG))?;
        if quiet || tried == TRIES {
            return Ok(Moment {
                databases,
                small,
                log,
                at_once: quiet,
            });
        }
        for pinned in &databases {
            pinned.release()?;
        }
        // There is no signal to wait for: the services do not know of this.
        std::thread::park_timeout(PAUSE);
    }
}

fn open_all(state: &Path) -> Result<Vec<Pinned>> {
    let is_database = |kind| matches!(kind, Kind::Database(_));
    let mut databases = Vec::new();
    for found in walk(state, |directory| contents::may_hold(directory, is_database))? {
        let Some((rank, entry)) = contents::find(&found.path) else {
            continue;
        };
        let Kind::Database(known) = entry.kind else {
            continue;
        };
        if !found.meta.is_file() {
            continue;
        }
        let pinned = Pinned::open(found, rank)?;
        if pinned.schema > known {
            return Err(BackupError::Newer {
                what: format!("database {}", pinned.path),
                found: pinned.schema,
                known,
            });
        }
        databases.push(pinned);
    }
    databases.sort_by(|one, other| (one.rank, &one.path).cmp(&(other.rank, &other.path)));
    Ok(databases)
}

impl Pinned {
    fn open(found: Found, rank: usize) -> Result<Self> {
        let (path, place) = (found.path, found.place);
        let failed = BackupError::database(&path);
        let open = || -> rusqlite::Result<Connection> {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&place, flags)?;
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "query_only", true)?;
            // The last one to close would copy the write-ahead log; that is the services' to do.
            connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            Ok(connection)
        };
        let (connection, watcher) = (open().map_err(&failed)?, open().map_err(&failed)?);
        let schema = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(&failed)?;
        Ok(Self {
            path,
            member: Member::of(&found.meta),
            schema,
            connection,
            watcher,
            rank,
        })
    }

    /// A read transaction begins with the first read.
    fn pin(&mut self) -> Result<()> {
        let pin = || -> rusqlite::Result<i64> {
            self.connection.execute_batch("BEGIN")?;
            let schema = self
                .connection
                .pragma_query_value(None, "user_version", |row| row.get(0))?;
            self.connection
                .query_row("SELECT count(*) FROM sqlite_schema", [], |row| {
                    row.get::<_, i64>(0)
                })?;
            Ok(schema)
        };
        self.schema = pin().map_err(BackupError::database(&self.path))?;
        Ok(())
    }

    fn release(&self) -> Result<()> {
        let released = self.connection.execute_batch("COMMIT");
        released.map_err(BackupError::database(&self.path))
    }
}

/// A number for each database that changes when anybody commits.
fn versions(databases: &[Pinned]) -> Result<Vec<i64>> {
    let version = |pinned: &Pinned| {
        let read = pinned
            .watcher
            .pragma_query_value(None, "data_version", |row| row.get(0));
        read.map_err(BackupError::database(&pinned.path))
    };
    databases.iter().map(version).collect()
}

fn read_small(state: &Path) -> Result<BTreeMap<String, Small>> {
    let is_small = |kind| kind == Kind::Small;
    let mut files = BTreeMap::new();
    for found in walk(state, |directory| contents::may_hold(directory, is_small))? {
        let small = contents::find(&found.path).is_some_and(|(_, entry)| is_small(entry.kind));
        if !small || !found.meta.is_file() {
            continue;
        }
        match read(state, &found.place) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            content => {
                let content = content.map_err(BackupError::io("read", &found.place))?;
                let member = Member::of(&found.meta);
                files.insert(found.path, Small { content, member });
            }
        }
    }
    Ok(files)
}
