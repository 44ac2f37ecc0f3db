//! Putting a backup in the place of the state.
//!
//! Everything is unpacked and checked beside the state (`/var/lib/aios.aside`), on the same disk, before anything of it is touched; then
//! the directories change places ([`aios_core::exchange`]). The old ones stay until a person removes them.

use crate::archive::Archive;
use crate::beside::Beside;
use crate::carry::{self, Note};
use crate::create::{lock, machine};
use crate::error::{BackupError, Result};
use crate::holders;
use crate::manifest::{Manifest, Member, Type};
use crate::moment::LOG;
use crate::progress::Progress;
use aios_audit::verify::verify_dir;
use aios_core::exchange::{self, Exchange};
use aios_core::failpoint;
use aios_core::paths::Paths;
use nix::unistd::{Group, User};
use rusqlite::{Connection, OpenFlags};
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Room that is left beside what is unpacked, bytes.
const SPARE: u64 = 64 << 20;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The archive.
    pub file: PathBuf,
    /// A file of secret keys, for an encrypted one.
    pub key: Option<PathBuf>,
    /// Do all but the last step, and leave nothing behind.
    pub dry_run: bool,
    /// Whether it may be another machine's.
    pub other_machine: bool,
    /// Part of the names that the old directories get, `20261123T141500Z`.
    pub stamp: String,
}

/// What was done.
#[derive(Debug, Clone)]
pub struct Restored {
    /// What the archive says of itself.
    pub manifest: Manifest,
    /// What was kept of this machine, and what the guard records.
    pub note: Note,
    /// Where the old state and the old files of the administrator are; none after a dry run.
    pub before: Option<[PathBuf; 2]>,
}

/// Restores the instance that lies at `paths`, which must not run.
///
/// # Errors
/// Not root, aiOS runs, or the archive is not whole, not ours or too new: nothing was changed then.
pub fn restore(paths: &Paths, wanted: &Wanted, progress: &mut Progress<'_>) -> Result<Restored> {
    if !rustix::process::geteuid().is_root() {
        return Err(BackupError::NotRoot { what: "a restore" });
    }
    let archive = Archive::open(&wanted.file, wanted.key.as_deref())?;
    let ours = machine();
    if archive.manifest.machine != ours && !wanted.other_machine {
        return Err(BackupError::OtherMachine {
            path: wanted.file.clone(),
            theirs: archive.manifest.machine.clone(),
            host: archive.manifest.host.clone(),
            ours,
        });
    }
    exchange::finish(paths).map_err(BackupError::io(
        "go through with the restore before, of",
        &paths.state,
    ))?;
    let beside = Beside::of(paths, wanted)?;
    let _alone = lock(&paths.state)?;
    beside.clear()?;
    let done = prepare(archive, paths, wanted, &beside, progress);
    let (manifest, note) = match done {
        Ok(done) if !wanted.dry_run => done,
        other => {
            beside.clear()?;
            let (manifest, note) = other?;
            return Ok(Restored {
                manifest,
                note,
                before: None,
            });
        }
    };
    let [state, etc] = beside.new.clone();
    let [state_before, etc_before] = beside.before.clone();
    let before = beside.before.clone();
    Exchange::new(state, state_before, etc, etc_before)
        .and_then(|exchange| exchange.run(paths))
        .map_err(BackupError::io(
            "put the restored state in the place of",
            &paths.state,
        ))?;
    Ok(Restored {
        manifest,
        note,
        before: Some(before),
    })
}

/// All but the last step. A dry run disturbs nobody, and so asks for nobody to be stopped.
fn prepare(
    archive: Archive,
    paths: &Paths,
    wanted: &Wanted,
    beside: &Beside,
    progress: &mut Progress<'_>,
) -> Result<(Manifest, Note)> {
    if wanted.dry_run {
        return unpack(archive, paths, beside, progress);
    }
    holders::refuse(&paths.state)?;
    let unpacked = unpack(archive, paths, beside, progress)?;
    progress.phase("putting it in place");
    // Unpacking takes a while, in which somebody may have started it.
    holders::refuse(&paths.state)?;
    Ok(unpacked)
}

/// Unpacks beside the state, checks everything, and makes it fit this machine.
fn unpack(
    archive: Archive,
    paths: &Paths,
    beside: &Beside,
    progress: &mut Progress<'_>,
) -> Result<(Manifest, Note)> {
    let digest = archive.digest.clone();
    room(&archive.manifest, &paths.state)?;
    let owners = Owners::of(&archive.manifest)?;
    beside.make()?;
    progress.begin("unpacking", archive.manifest.bytes());
    let manifest = archive.read(|path, member, content| {
        let place = beside.place(path);
        put(&place, member, content).map_err(BackupError::io("unpack to", &place))?;
        owners
            .give(&place, member)
            .map_err(BackupError::io("give to its owner", &place))?;
        progress.done(member.size);
        Ok(())
    })?;
    for (path, member) in manifest
        .members
        .iter()
        .filter(|(_, member)| member.kind == Type::Directory)
    {
        let place = beside.place(path);
        let set = fs::set_permissions(&place, Permissions::from_mode(member.mode));
        set.map_err(BackupError::io("set the mode of", &place))?;
    }
    failpoint::hit("restore.unpacked");
    progress.phase("checking databases and the audit log");
    let [state, etc] = &beside.new;
    check(&manifest, state)?;
    let new = Paths {
        state: state.clone(),
        etc: etc.clone(),
        ..paths.clone()
    };
    let note = carry::over(paths, &new, &manifest, &digest)?;
    for directory in &beside.new {
        let synced = File::open(directory).and_then(|file| Ok(rustix::fs::syncfs(file)?));
        synced.map_err(BackupError::io("write out", directory))?;
    }
    Ok((manifest, note))
}

fn put(place: &Path, member: &Member, content: &mut dyn Read) -> io::Result<()> {
    match member.kind {
        Type::Directory => match DirBuilder::new().mode(0o700).create(place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        },
        Type::Link => symlink(&member.target, place),
        Type::File => {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(place)?;
            io::copy(content, &mut file)?;
            let mtime = u64::try_from(member.mtime).unwrap_or(0);
            // A snapshot's time says how long it is kept.
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(mtime))
        }
    }
}

fn room(manifest: &Manifest, state: &Path) -> Result<()> {
    let above = state.parent().unwrap_or(Path::new("/"));
    let stat = rustix::fs::statvfs(above).map_err(|error| BackupError::io("look at", above)(error.into()))?;
    let (free, needed) = (
        stat.f_bavail.saturating_mul(stat.f_frsize),
        manifest.bytes().saturating_add(SPARE),
    );
    if free < needed {
        return Err(BackupError::Room {
            path: above.to_owned(),
            free,
            needed,
        });
    }
    Ok(())
}

/// Numbers of the users and groups that the manifest names, on this machine.
#[derive(Default)]
struct Owners {
    users: HashMap<String, Option<u32>>,
    groups: HashMap<String, Option<u32>>,
}

impl Owners {
    fn of(manifest: &Manifest) -> Result<Self> {
        let mut owners = Self::default();
        for (path, member) in &manifest.members {
            let user = owners.users.entry(member.user.clone()).or_insert_with(|| {
                let user = User::from_name(&member.user).ok().flatten();
                user.map(|user| user.uid.as_raw())
            });
            let group = owners.groups.entry(member.group.clone()).or_insert_with(|| {
                let group = Group::from_name(&member.group).ok().flatten();
                group.map(|group| group.gid.as_raw())
            });
            // A person who is not here owns nothing here: root keeps it for them.
            if !path.starts_with("state/") || path.starts_with("state/persons/") {
                continue;
            }
            for (found, kind, name) in [(user, "user", &member.user), (group, "group", &member.group)] {
                if found.is_none() {
                    return Err(BackupError::NoOwner {
                        path: path.clone(),
                        name: format!("{kind} {name}"),
                    });
                }
            }
        }
        Ok(owners)
    }

    fn give(&self, place: &Path, member: &Member) -> io::Result<()> {
        let number = |known: &HashMap<String, Option<u32>>, name: &str| {
            known.get(name).copied().flatten().unwrap_or(0)
        };
        let (user, group) = (
            number(&self.users, &member.user),
            number(&self.groups, &member.group),
        );
        lchown(place, Some(user), Some(group))?;
        if member.kind == Type::File {
            fs::set_permissions(place, Permissions::from_mode(member.mode))?;
        }
        Ok(())
    }
}

/// Databases whole and as old as the manifest says, the log as it was written.
fn check(manifest: &Manifest, state: &Path) -> Result<()> {
    for (path, schema) in manifest.databases() {
        let place = state.join(path.trim_start_matches("state/"));
        let failed = BackupError::database(path);
        let corrupt = |problem: String| BackupError::Corrupt {
            path: path.to_owned(),
            problem,
        };
        let connection =
            Connection::open_with_flags(&place, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(&failed)?;
        let found: String = connection
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(|error| corrupt(error.to_string()))?;
        if found != "ok" {
            return Err(corrupt(found));
        }
        let version: i64 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(&failed)?;
        if version != schema {
            return Err(corrupt(format!(
                "its schema is {version}, and the manifest says {schema}"
            )));
        }
    }
    let log = state.join(LOG);
    if !log.is_dir() {
        return Ok(());
    }
    let report = verify_dir(&log, None)?;
    match report.findings.first() {
        Some(finding) => Err(BackupError::Log {
            finding: finding.to_string(),
        }),
        None => Ok(()),
    }
}
