//! How services open the SQLite databases that hold their state.
//!
//! Each database carries the number of its schema, `user_version`. One that is older is brought up to date in one
//! transaction; migrations go forward only. One that is *newer* was written by a newer image, from which the machine
//! fell back or was rolled back: it is not written to at all, so that the newer image finds it as it left it, and its
//! service does not start and says so. Everything that does not rely on that service runs.
//!
//! Not here: what is in a database; that is its service's.

use aios_core::error::{Class, Coded};
use aios_core::service::NEWER_STATE;
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql};
use rusqlite_migration::Migrations;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use rusqlite_migration::M;

/// How long a connection waits for another one's transaction.
const BUSY: Duration = Duration::from_secs(5);

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It was written by a newer version.
    #[error(
        "{} was written by a newer aiOS: its schema is {found}, and this version knows up to {known}; nothing in it was changed",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that is known here.
        known: i64,
    },
    /// SQLite cannot use it.
    #[error("{}: {source}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Its schema cannot be brought up to date.
    #[error("{}: its schema cannot be brought up to date: {source}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: rusqlite_migration::Error,
    },
}

impl Coded for DatabaseError {
    fn code(&self) -> &'static str {
        match self {
            Self::Newer { .. } => NEWER_STATE,
            Self::Failed { .. } => "AIOS-DATABASE-0002",
            Self::Schema { .. } => "AIOS-DATABASE-0003",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Newer { .. } => "start the newer image again, or restore a backup that this version made",
            Self::Failed { .. } => {
                "check that the directory exists, belongs to the service's user and has room; `aiosctl backup restore` brings back a damaged file"
            }
            Self::Schema { .. } => "keep a copy of the file and report this; `aiosctl os rollback` goes back to the image before",
        }
        .to_owned()
    }

    fn class(&self) -> Class {
        match self {
            Self::Newer { .. } => Class::FailedPrecondition,
            Self::Failed {
                source: rusqlite::Error::SqliteFailure(error, _),
                ..
            } if error.code == ErrorCode::DiskFull => Class::ResourceExhausted,
            Self::Failed { .. } | Self::Schema { .. } => Class::Internal,
        }
    }
}

/// Opens a database in write-ahead mode, makes it where there is none, and brings its schema up to `steps`.
/// `settings` are pragmas of the connection, by name and value.
///
/// # Errors
/// [`DatabaseError`]. Of a newer schema nothing is touched.
pub fn open(
    path: &Path,
    steps: &[M<'_>],
    settings: &[(&str, &dyn ToSql)],
) -> Result<Connection, DatabaseError> {
    let failed = |source| DatabaseError::Failed {
        path: path.to_owned(),
        source,
    };
    refuse_newer(path, steps)?;
    let mut connection = Connection::open(path).map_err(failed)?;
    prepare(&mut connection, settings).map_err(failed)?;
    let brought = Migrations::from_slice(steps).to_latest(&mut connection);
    brought.map_err(|source| DatabaseError::Schema {
        path: path.to_owned(),
        source,
    })?;
    Ok(connection)
}

fn prepare(connection: &mut Connection, settings: &[(&str, &dyn ToSql)]) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    for (name, value) in settings {
        connection.pragma_update(None, name, value)?;
    }
    Ok(())
}

fn refuse_newer(path: &Path, steps: &[M<'_>]) -> Result<(), DatabaseError> {
    if !path.exists() {
        return Ok(());
    }
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let found = schema(path).map_err(|source| DatabaseError::Failed {
        path: path.to_owned(),
        source,
    })?;
    if found <= known {
        return Ok(());
    }
    Err(DatabaseError::Newer {
        path: path.to_owned(),
        found,
        known,
    })
}

/// The number of a database's schema.
fn schema(path: &Path) -> rusqlite::Result<i64> {
    let read = |flags| {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_query_value(None, "user_version", |row| row.get(0))
    };
    // A connection that can write copies the write-ahead log into the file when it is closed; one that can only read
    // leaves all as it is.
    match read(OpenFlags::SQLITE_OPEN_READ_ONLY) {
        // The power was cut while the file was made, before it had such a log: what was begun is taken back first.
        Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == ErrorCode::ReadOnly => {
            read(OpenFlags::SQLITE_OPEN_READ_WRITE)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;

    const FIRST: M<'_> = M::up("CREATE TABLE goods (name TEXT NOT NULL) STRICT;");
    const SECOND: M<'_> = M::up("ALTER TABLE goods ADD COLUMN price INTEGER NOT NULL DEFAULT 0;");
    const OLD: &[M<'_>] = &[FIRST];
    const NEW: &[M<'_>] = &[FIRST, SECOND];

    /// Every file of a directory.
    fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            // The index of the log is shared memory, made anew by whoever opens.
            .filter(|path| !path.to_string_lossy().ends_with("-shm"))
            .map(|path| (path.clone(), fs::read(&path).unwrap()))
            .collect()
    }

    #[test]
    fn an_older_one_is_brought_up_to_date_with_what_it_holds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let old = open(&path, OLD, &[]).unwrap();
        old.execute("INSERT INTO goods VALUES ('nail')", []).unwrap();
        drop(old);
        let new = open(&path, NEW, &[("synchronous", &"FULL")]).unwrap();
        let price: i64 = new
            .query_row("SELECT price FROM goods WHERE name = 'nail'", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(price, 0);
        let mode: String = new
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "wal");
    }

    #[test]
    fn a_newer_one_is_refused_and_left_as_it_is_with_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let new = open(&path, NEW, &[]).unwrap();
        new.execute("INSERT INTO goods VALUES ('nail', 3)", []).unwrap();
        // As a process leaves it that is killed: what it wrote is in the write-ahead log.
        let left = tempfile::tempdir().unwrap();
        for (name, bytes) in content(directory.path()) {
            fs::write(left.path().join(name.file_name().unwrap()), bytes).unwrap();
        }
        drop(new);
        let before = content(left.path());
        assert!(before.keys().any(|path| path.to_string_lossy().ends_with("-wal")));
        let error = open(&left.path().join("a.db"), OLD, &[]).unwrap_err();
        assert!(
            matches!(
                error,
                DatabaseError::Newer {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(error.class(), Class::FailedPrecondition);
        assert_eq!(content(left.path()), before);
        let new = open(&left.path().join("a.db"), NEW, &[]).unwrap();
        let price: i64 = new
            .query_row("SELECT price FROM goods", [], |row| row.get(0))
            .unwrap();
        assert_eq!(price, 3);
    }

    #[test]
    fn one_whose_making_was_cut_off_is_made() {
        let (directory, left) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = directory.path().join("a.db");
        let making = Connection::open(&path).unwrap();
        // So small that the transaction reaches the file before its end.
        making.pragma_update(None, "cache_size", 2).unwrap();
        making
            .execute_batch("CREATE TABLE other (text TEXT); BEGIN;")
            .unwrap();
        for _ in 0..200 {
            making
                .execute("INSERT INTO other VALUES (hex(randomblob(1000)))", [])
                .unwrap();
        }
        for (name, bytes) in content(directory.path()) {
            fs::write(left.path().join(name.file_name().unwrap()), bytes).unwrap();
        }
        let path = left.path().join("a.db");
        assert!(left.path().join("a.db-journal").exists());
        let read = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        assert!(
            read.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
                .is_err()
        );
        drop(read);
        let made = open(&path, OLD, &[]).unwrap();
        let others: i64 = made
            .query_row("SELECT count(*) FROM other", [], |row| row.get(0))
            .unwrap();
        assert_eq!(others, 0, "what was not committed is there");
    }

    #[test]
    fn what_is_no_database_says_which_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        fs::write(&path, "no database at all, but long enough to be looked at").unwrap();
        let error = open(&path, OLD, &[]).unwrap_err();
        assert!(matches!(error, DatabaseError::Failed { .. }), "{error}");
        assert!(error.to_string().contains("a.db"), "{error}");
    }
}
