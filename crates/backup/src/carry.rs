//! What a restore does not bring back.
//!
//! An archive is of the past, and whoever restores wants the past back, but not what was taken away since:
//! * **Yes does not return.** Tokens, sign-in links, sessions and remembered approvals of the archive are void; a person
//!   says yes again. Proofs of persons that were used since cannot be used once more.
//! * **No stays.** An emergency stop that holds now holds afterwards. What a person declined for good stays declined.
//! * **Epochs only rise.** Policy and trust go on above the highest that either side knows. A policy older than one that
//!   was in force is not put back: this machine's own stays.
//! * **Persons stay who they are**, on the machine whose log this is: who was enrolled, or lost their key, since.
//! * **What belongs to the machine stays**: the record of its images, its clock, what its services printed.
//!
//! All of it is told, and recorded by the guard at its next start with the head of the log that was replaced.

use crate::contents::{self, Kind};
use crate::error::{BackupError, Result};
use crate::manifest::{LogHead, Manifest};
use crate::walk::walk;
use aios_audit::Prefix;
use aios_auth::policy::Policy;
use aios_core::paths::Paths;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde::Serialize;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, lchown};
use std::path::Path;

/// What the guard records of a restore: `guard/restored.json`.
const NOTE: &str = "guard/restored.json";
const GUARD: &str = "guard/guard.db";
const JOURNAL: &str = "orchestrator/journal.db";
/// Numbers in the guard's `meta` of which the higher one holds.
const RISING: [&str; 4] = ["policy_epoch", "epoch", "min_token_epoch", "push_counter"];
const STOP: [&str; 3] = ["stopped_since", "stopped_by", "stopped_reason"];

/// The note that the guard records.
#[derive(Debug, Clone, Serialize)]
pub struct Note {
    /// SHA-256 of the archive's manifest, hex.
    pub backup: String,
    /// When it was made.
    pub created: String,
    /// The machine that it is of.
    pub machine: String,
    /// Its audit log.
    pub log: Option<LogHead>,
    /// The log that it took the place of.
    pub replaced: Option<LogHead>,
    /// What was kept of this machine, one sentence each.
    pub kept: Vec<String>,
    /// Goals that were not at their end, and go on at the next start.
    pub goals_that_go_on: u64,
}

/// Changes a restored state, which lies at `new`, for the machine at `now`.
pub(crate) fn over(now: &Paths, new: &Paths, manifest: &Manifest, digest: &str) -> Result<Note> {
    let mut kept = Vec::new();
    let replaced = match Prefix::read(&now.state_of("guard").join("audit")) {
        Ok(prefix) => prefix
            .and_then(|prefix| prefix.head)
            .map(|head| LogHead::from(&head)),
        Err(error) => {
            kept.push(format!("the log that was replaced could not be read: {error}"));
            None
        }
    };
    let same_log = match (&replaced, &manifest.log) {
        (Some(one), Some(other)) => one.origin == other.origin,
        _ => false,
    };
    let seen = guard(now, new, same_log, &mut kept)?;
    policy(now, new, seen, &mut kept)?;
    if same_log && has_persons(now) {
        replace_tree(&now.state.join("persons"), &new.state.join("persons"))?;
    }
    machine(now, new, &mut kept)?;
    let note = Note {
        backup: digest.to_owned(),
        created: manifest.created.clone(),
        machine: manifest.machine.clone(),
        log: manifest.log.clone(),
        replaced,
        kept,
        goals_that_go_on: unfinished(new)?,
    };
    write_note(new, &note)?;
    Ok(note)
}

fn has_persons(now: &Paths) -> bool {
    fs::read_dir(now.state.join("persons")).is_ok_and(|mut list| list.next().is_some())
}

/// Takes over what the guard must not forget; yields the highest epoch of a policy that was in force.
fn guard(now: &Paths, new: &Paths, same_log: bool, kept: &mut Vec<String>) -> Result<u64> {
    let (place, own) = (new.state.join(GUARD), now.state.join(GUARD));
    if !place.exists() {
        return Ok(0);
    }
    let failed = BackupError::database(GUARD);
    let mut connection = Connection::open(&place).map_err(&failed)?;
    let known = if own.exists() {
        Some(Known::read(&own, same_log))
    } else {
        None
    };
    let known = match known {
        Some(Ok(known)) => known,
        Some(Err(error)) => {
            kept.push(format!(
                "nothing of the guard's state: {} could not be read ({error}); its epochs, its emergency stop and \
                 its persons are those of the backup",
                own.display()
            ));
            Known::default()
        }
        None => Known::default(),
    };
    let seen = apply(&mut connection, &known, kept).map_err(&failed)?;
    connection.close().map_err(|(_, error)| failed(error))?;
    Ok(seen)
}

/// Of the guard as it is now.
#[derive(Default)]
struct Known {
    rising: Vec<(&'static str, u64)>,
    stop: Vec<(&'static str, String)>,
    nonces: Vec<(Vec<u8>, i64)>,
    /// Key, uid, name, time of enrolment; only of the same log.
    persons: Vec<(Vec<u8>, i64, String, i64)>,
    declined: Vec<(String, String, String, i64, i64)>,
}

impl Known {
    fn read(place: &Path, same_log: bool) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(place, flags)?;
        connection.pragma_update(None, "query_only", true)?;
        let mut known = Self::default();
        for name in RISING {
            known.rising.push((name, number(&connection, name)?));
        }
        if number(&connection, STOP[0])? > 0 {
            for name in STOP {
                known
                    .stop
                    .push((name, text(&connection, name)?.unwrap_or_default()));
            }
        }
        known.nonces = rows(&connection, "SELECT nonce, until FROM nonce", |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        if same_log {
            known.persons = rows(
                &connection,
                "SELECT key, uid, name, enrolled FROM person",
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )?;
            let declined =
                "SELECT approval, agent_kind, scope, tainted, expires FROM remembered WHERE approve = 0";
            known.declined = rows(&connection, declined, |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?;
        }
        Ok(known)
    }
}

fn rows<T>(
    connection: &Connection,
    query: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare(query)?.query_map([], read)?.collect()
}

fn text(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    let query = "SELECT value FROM meta WHERE name = ?1";
    connection.query_row(query, [name], |row| row.get(0)).optional()
}

fn number(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    Ok(text(connection, name)?
        .and_then(|text| text.parse().ok())
        .unwrap_or(0))
}

fn apply(connection: &mut Connection, known: &Known, kept: &mut Vec<String>) -> rusqlite::Result<u64> {
    let transaction = connection.transaction()?;
    let set = |name: &str, value: &str| {
        transaction.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", (name, value))
    };
    let mut seen = 0;
    for name in RISING {
        let own = known
            .rising
            .iter()
            .find(|(one, _)| *one == name)
            .map_or(0, |(_, number)| *number);
        let number = own.max(number(&transaction, name)?);
        set(name, &number.to_string())?;
        if name == "policy_epoch" {
            seen = number;
        }
    }
    // The guard takes its next start for a boot: all tokens end, and both epochs rise.
    transaction.execute("DELETE FROM meta WHERE name = 'boot_id'", [])?;
    transaction.execute("DELETE FROM code", [])?;
    let void = transaction.execute("DELETE FROM remembered WHERE approve <> 0", [])?;
    if void > 0 {
        kept.push(format!(
            "{void} remembered approvals of the backup are void: a person is asked again"
        ));
    }
    if !known.stop.is_empty() {
        for (name, value) in &known.stop {
            set(name, value)?;
        }
        kept.push(
            "the emergency stop that holds: a person lifts it with `aiosctl emergency resume`".to_owned(),
        );
    }
    for nonce in &known.nonces {
        transaction.execute("INSERT OR IGNORE INTO nonce VALUES (?1, ?2)", (&nonce.0, nonce.1))?;
    }
    if !known.persons.is_empty() {
        transaction.execute("DELETE FROM person", [])?;
        for (key, uid, name, enrolled) in &known.persons {
            let row = (key, uid, name, enrolled);
            transaction.execute("INSERT INTO person VALUES (?1, ?2, ?3, ?4)", row)?;
        }
        kept.push(format!(
            "the persons who are enrolled now ({})",
            known.persons.len()
        ));
    }
    for (approval, agent, scope, tainted, expires) in &known.declined {
        let row = (approval, agent, scope, tainted, expires);
        transaction.execute(
            "INSERT OR REPLACE INTO remembered VALUES (?1, 0, ?2, ?3, ?4, ?5)",
            row,
        )?;
    }
    transaction.commit()?;
    Ok(seen)
}

/// Goals of a restored journal that are not at their end.
fn unfinished(new: &Paths) -> Result<u64> {
    let place = new.state.join(JOURNAL);
    if !place.exists() {
        return Ok(0);
    }
    let count = || -> rusqlite::Result<i64> {
        let connection = Connection::open_with_flags(&place, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let query = "SELECT count(*) FROM goals WHERE state NOT IN ('completed', 'failed', 'cancelled')";
        connection.query_row(query, [], |row| row.get(0))
    };
    let count = count().map_err(BackupError::database(JOURNAL))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// A policy below the highest epoch that was in force is not put back.
fn policy(now: &Paths, new: &Paths, seen: u64, kept: &mut Vec<String>) -> Result<()> {
    let read = |paths: &Paths| Policy::load(paths).map_err(|error| BackupError::Policy(error.to_string()));
    // The vendor's layer is this image's on both sides.
    let restored = read(new)?;
    let file = |paths: &Paths| paths.etc.join("policy.toml");
    if restored.epoch() >= seen {
        let differs = fs::read(file(now)).ok() != fs::read(file(new)).ok();
        if differs && now.etc.is_dir() {
            kept.push(format!(
                "nothing of the policy: that of the backup is another one, of epoch {}, and in force from now on",
                restored.epoch()
            ));
        }
        return Ok(());
    }
    let own = read(now)?.epoch();
    if own < seen {
        return Err(BackupError::OldPolicy {
            epoch: restored.epoch(),
            seen,
            own,
        });
    }
    let place = file(new);
    copy(&file(now), &place)?;
    kept.push(format!(
        "policy.toml, of epoch {own}: that of the backup has {}, and {seen} was in force",
        restored.epoch()
    ));
    Ok(())
}

/// Takes over files that belong to the machine.
fn machine(now: &Paths, new: &Paths, kept: &mut Vec<String>) -> Result<()> {
    if !now.state.is_dir() {
        return Ok(());
    }
    let stays = |kind| matches!(kind, Kind::Machine | Kind::Kept);
    let mut files = Vec::new();
    for found in walk(&now.state, |directory| contents::may_hold(directory, stays))? {
        let Some(kind) = contents::find(&found.path)
            .map(|(_, entry)| entry.kind)
            .filter(|kind| stays(*kind))
        else {
            continue;
        };
        if !found.meta.is_file() {
            continue;
        }
        let place = new.state.join(&found.path);
        parents(&now.state, &new.state, &found.path)?;
        if found.path.starts_with("log/") {
            // The same file under both names: whoever writes it goes on.
            fs::hard_link(&found.place, &place).map_err(BackupError::io("link", &place))?;
        } else {
            copy(&found.place, &place)?;
        }
        if kind == Kind::Machine {
            files.push(found.path);
        }
    }
    if !files.is_empty() {
        kept.push(format!("of this machine: {}", files.join(", ")));
    }
    Ok(())
}

/// Makes the directories above a path as they are on the other side.
fn parents(from: &Path, to: &Path, path: &str) -> Result<()> {
    let mut above = String::new();
    for name in path.split('/').take(path.split('/').count().saturating_sub(1)) {
        above = if above.is_empty() {
            name.to_owned()
        } else {
            format!("{above}/{name}")
        };
        let place = to.join(&above);
        if place.is_dir() {
            continue;
        }
        directory_like(&from.join(&above), &place).map_err(BackupError::io("make", &place))?;
    }
    Ok(())
}

fn directory_like(from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::metadata(from)?;
    DirBuilder::new().mode(0o700).create(to)?;
    lchown(to, Some(meta.uid()), Some(meta.gid()))?;
    fs::set_permissions(to, meta.permissions())
}

/// Copies a file with owner, mode and time, whatever is there.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = || -> io::Result<()> {
        let meta = fs::metadata(from)?;
        fs::copy(from, to)?;
        lchown(to, Some(meta.uid()), Some(meta.gid()))?;
        fs::set_permissions(to, meta.permissions())?;
        let file = fs::OpenOptions::new().write(true).open(to)?;
        file.set_modified(meta.modified()?)
    };
    copied().map_err(BackupError::io("copy", from))
}

/// Puts a copy of a small directory in place of another.
fn replace_tree(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).map_err(BackupError::io("replace", to))?;
    }
    directory_like(from, to).map_err(BackupError::io("make", to))?;
    for found in walk(from, |_| true)? {
        let place = to.join(&found.path);
        if found.meta.is_dir() {
            directory_like(&found.place, &place).map_err(BackupError::io("make", &place))?;
        } else if found.meta.is_file() {
            copy(&found.place, &place)?;
        }
    }
    Ok(())
}

/// Leaves the note for the guard, who owns it and removes it when it is recorded.
fn write_note(new: &Paths, note: &Note) -> Result<()> {
    let guard = new.state_of("guard");
    if !guard.is_dir() {
        return Ok(());
    }
    let place = new.state.join(NOTE);
    let write = || -> io::Result<()> {
        let owner = fs::metadata(&guard)?;
        fs::write(&place, serde_json::to_vec_pretty(note)?)?;
        lchown(&place, Some(owner.uid()), Some(owner.gid()))
    };
    write().map_err(BackupError::io("write", &place))
}
