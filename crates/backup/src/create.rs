//! Making a backup of a state at work.

use crate::archive::{Hashing, Writer};
use crate::contents::{self, Kind};
use crate::error::{BackupError, Result};
use crate::keys;
use crate::manifest::{ETC, FORMAT, LogHead, Manifest, Member, STATE, Type};
use crate::moment::{self, LOG, Moment};
use crate::progress::Progress;
use crate::walk::{self, Found, walk};
use aios_audit::Prefix;
use aios_core::exchange;
use aios_core::paths::Paths;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The archive; must not exist.
    pub file: PathBuf,
    /// Files of public keys; empty for an archive in the clear.
    pub keys: Vec<PathBuf>,
    /// Now, RFC 3339, UTC.
    pub now: String,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// What it says of itself.
    pub manifest: Manifest,
    /// SHA-256 of the manifest, hex.
    pub digest: String,
    /// Bytes of the archive.
    pub size: u64,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

/// Where a member's content comes from.
enum Source {
    None,
    Bytes(Vec<u8>),
    File(PathBuf),
}

type Members = BTreeMap<String, (Member, Source)>;

/// Makes a backup of the instance that lies at `paths`, whether it runs or not.
///
/// # Errors
/// Not root, the file exists, a key cannot be read, or a file of the state cannot; then there is no archive.
pub fn create(paths: &Paths, wanted: &Wanted, progress: &mut Progress<'_>) -> Result<Made> {
    if !rustix::process::geteuid().is_root() {
        return Err(BackupError::NotRoot { what: "a backup" });
    }
    let recipients = wanted
        .keys
        .iter()
        .map(|file| keys::recipients(file))
        .collect::<Result<Vec<_>>>()?
        .concat();
    if wanted.file.exists() {
        return Err(BackupError::Exists {
            path: wanted.file.clone(),
        });
    }
    if !paths.state.is_dir() {
        return Err(BackupError::NoState {
            path: paths.state.clone(),
        });
    }
    let staging = Staging::begin(&paths.state)?;
    progress.phase("looking for a moment");
    let moment = moment::take(&paths.state)?;
    let (manifest, members) = gather(paths, moment, &staging, wanted, progress)?;
    let bytes = manifest.to_bytes()?;
    let part = part_of(&wanted.file);
    let written = write(&part, &recipients, &bytes, members, paths, progress);
    if let Err(error) = written {
        // What is wrong is said already; half an archive is of no use.
        drop(fs::remove_file(&part));
        return Err(error);
    }
    let named = fs::rename(&part, &wanted.file).and_then(|()| sync_parent(&wanted.file));
    named.map_err(BackupError::io("name", &wanted.file))?;
    let meta = fs::metadata(&wanted.file).map_err(BackupError::io("look at", &wanted.file))?;
    Ok(Made {
        digest: Manifest::digest(&bytes),
        manifest,
        size: meta.len(),
        encrypted: !recipients.is_empty(),
    })
}

/// Makes a name survive a power cut.
fn sync_parent(file: &Path) -> io::Result<()> {
    let above = file.parent().filter(|above| !above.as_os_str().is_empty());
    File::open(above.unwrap_or(Path::new(".")))?.sync_all()
}

fn part_of(file: &Path) -> PathBuf {
    PathBuf::from(
        [file.as_os_str(), ".part".as_ref()]
            .into_iter()
            .collect::<std::ffi::OsString>(),
    )
}

fn write(
    part: &Path,
    recipients: &[age::x25519::Recipient],
    manifest: &[u8],
    members: Members,
    paths: &Paths,
    progress: &mut Progress<'_>,
) -> Result<()> {
    // Of a backup that was killed. Never written to: who made it could read what comes.
    match fs::remove_file(part) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed.map_err(BackupError::io("remove", part))?,
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(part);
    let mut writer = Writer::begin(file.map_err(BackupError::io("write", part))?, part, recipients)?;
    writer.manifest(manifest)?;
    progress.begin("writing", members.values().map(|(member, _)| member.size).sum());
    for (path, (member, source)) in members {
        match source {
            Source::None => writer.add(&path, &member, io::empty())?,
            Source::Bytes(bytes) => writer.add(&path, &member, bytes.as_slice())?,
            Source::File(place) => {
                let file = open(paths, &place).map_err(|_| BackupError::Changed { path: path.clone() })?;
                writer.add(&path, &member, file)?;
            }
        }
        progress.done(member.size);
    }
    writer.end()
}

/// All members with their digests.
fn gather(
    paths: &Paths,
    moment: Moment,
    staging: &Staging,
    wanted: &Wanted,
    progress: &mut Progress<'_>,
) -> Result<(Manifest, Members)> {
    let (mut members, mut unlisted) = (Members::new(), Vec::new());
    let (at_once, log) = (
        moment.at_once,
        moment.log.as_ref().and_then(|log| log.head.clone()),
    );
    progress.phase("copying databases");
    for (number, pinned) in moment.databases.into_iter().enumerate() {
        let copy = staging.directory.join(number.to_string());
        let found = copy_database(&pinned.connection, &copy).map_err(BackupError::database(&pinned.path))?;
        if found != "ok" {
            return Err(BackupError::Corrupt {
                path: pinned.path,
                problem: found,
            });
        }
        let meta = fs::metadata(&copy).map_err(BackupError::io("look at", &copy))?;
        let member = Member {
            schema: Some(pinned.schema),
            size: meta.len(),
            ..pinned.member
        };
        members.insert(format!("{STATE}/{}", pinned.path), (member, Source::File(copy)));
    }
    for (path, small) in moment.small {
        members.insert(
            format!("{STATE}/{path}"),
            (small.member, Source::Bytes(small.content)),
        );
    }
    if let Some(log) = moment.log {
        add_log(&paths.state.join(LOG), log, &mut members)?;
    }
    // Behind the moment: what a pinned journal names is there by now.
    for found in walk(&paths.state, |directory| !contents::is_left(directory))? {
        add_rest(found, &mut members, &mut unlisted)?;
    }
    if paths.etc.is_dir() {
        for found in walk(&paths.etc, |_| true)? {
            let path = format!("{ETC}/{}", found.path);
            add(path, found, &mut members)?;
        }
    }
    for (root, name) in [(&paths.state, STATE), (&paths.etc, ETC)] {
        if let Ok(meta) = fs::metadata(root) {
            members.insert(name.to_owned(), (Member::of(&meta), Source::None));
        }
    }
    let members = digests(members, paths, progress)?;
    let manifest = Manifest {
        format: FORMAT,
        aios: env!("CARGO_PKG_VERSION").to_owned(),
        machine: machine(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        created: wanted.now.clone(),
        at_once,
        log: log.as_ref().map(LogHead::from),
        unlisted,
        members: members
            .iter()
            .map(|(path, (member, _))| (path.clone(), member.clone()))
            .collect(),
    };
    Ok((manifest, members))
}

/// This machine's id, machine-id(5); empty where it has none.
pub(crate) fn machine() -> String {
    let text = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    text.trim().to_owned()
}

/// SQLite's online backup, of what the source's read transaction sees; yields what a check of the copy found.
fn copy_database(source: &Connection, to: &Path) -> rusqlite::Result<String> {
    let mut copy = Connection::open(to)?;
    loop {
        let backup = Backup::new(source, &mut copy)?;
        if matches!(backup.step(-1)?, StepResult::Done) {
            break;
        }
        drop(backup);
        std::thread::yield_now();
    }
    source.execute_batch("COMMIT")?;
    // One file, without a write-ahead log beside it. The service sets its own mode again.
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    let found = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    copy.close().map_err(|(_, error)| error)?;
    Ok(found)
}

/// The log's files, each cut to the part that belongs together.
fn add_log(directory: &Path, log: Prefix, members: &mut Members) -> Result<()> {
    let mut add = |name: &str, size: Option<u64>, source: Source| -> Result<()> {
        let place = directory.join(name);
        // The head is published a moment after its checkpoint: of the first one there may be no file yet.
        let meta = fs::metadata(&place).or_else(|_| fs::metadata(directory.join("anchor.pub")));
        let mut member = Member::of(&meta.map_err(BackupError::io("look at", &place))?);
        member.size = size.unwrap_or(0);
        members.insert(format!("{STATE}/{LOG}/{name}"), (member, source));
        Ok(())
    };
    add("anchor.pub", None, Source::Bytes(log.anchor))?;
    add("keys/current", None, Source::Bytes(log.key.to_vec()))?;
    if let Some(head) = log.head {
        add("HEAD", None, Source::Bytes(head.note().into_bytes()))?;
        let checkpoints = Source::File(directory.join("checkpoints.log"));
        add("checkpoints.log", Some(log.checkpoints), checkpoints)?;
    }
    for (place, size) in log.segments {
        let name = place
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        add(&format!("segments/{name}"), Some(size), Source::File(place))?;
    }
    Ok(())
}

/// What needs no moment, and what the list does not know.
fn add_rest(found: Found, members: &mut Members, unlisted: &mut Vec<String>) -> Result<()> {
    let path = format!("{STATE}/{}", found.path);
    if found.meta.is_dir() {
        return add(path, found, members);
    }
    match contents::find(&found.path).map(|(_, entry)| entry.kind) {
        Some(Kind::Settled | Kind::Machine) => add(path, found, members),
        Some(_) => Ok(()),
        None => {
            unlisted.push(path.clone());
            add(path, found, members)
        }
    }
}

fn add(path: String, found: Found, members: &mut Members) -> Result<()> {
    let mut member = Member::of(&found.meta);
    let source = if found.meta.is_dir() {
        Source::None
    } else if found.meta.is_symlink() {
        match fs::read_link(&found.place) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            target => {
                let target = target.map_err(BackupError::io("read", &found.place))?;
                member.target = target.to_string_lossy().into_owned();
            }
        }
        Source::None
    } else if found.meta.is_file() {
        member.size = found.meta.size();
        Source::File(found.place)
    } else {
        // Sockets and pipes hold nothing.
        return Ok(());
    };
    members.insert(path, (member, source));
    Ok(())
}

/// Reads everything once, for the manifest that comes first. What is gone by now was dropped by its owner.
fn digests(members: Members, paths: &Paths, progress: &mut Progress<'_>) -> Result<Members> {
    progress.begin("reading", members.values().map(|(member, _)| member.size).sum());
    let mut known = Members::new();
    for (path, (mut member, source)) in members {
        let read = match &source {
            Source::None => Ok((0, String::new())),
            Source::Bytes(bytes) => hash(bytes.as_slice()),
            Source::File(place) => match open(paths, place) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => Err(error),
                // Of the log only a part counts.
                Ok(file) => hash(file.take(member.size)),
            },
        };
        let (size, sha256) = read.map_err(BackupError::io("read", &path))?;
        if matches!(source, Source::None) {
            known.insert(path, (member, source));
            continue;
        }
        (member.size, member.sha256) = (size, sha256);
        progress.done(size);
        known.insert(path, (member, source));
    }
    // A directory that was removed meanwhile would leave its files without one.
    let directories: Vec<String> = known
        .iter()
        .filter(|(_, (member, _))| member.kind == Type::Directory)
        .map(|(path, _)| path.clone())
        .collect();
    known.retain(|path, _| {
        path.rsplit_once('/').is_none_or(|(above, _)| {
            directories
                .binary_search_by(|one| one.as_str().cmp(above))
                .is_ok()
        })
    });
    Ok(known)
}

/// Opens a file of the state or of the administrator's.
fn open(paths: &Paths, place: &Path) -> io::Result<File> {
    let root = [&paths.state, &paths.etc]
        .into_iter()
        .find(|root| place.starts_with(root));
    walk::open(root.unwrap_or(&paths.state), place)
}

fn hash(content: impl Read) -> io::Result<(u64, String)> {
    let mut content = Hashing::new(content);
    io::copy(&mut content, &mut io::sink())?;
    Ok(content.end())
}

/// Waits for nobody: one backup or restore of a state at a time.
pub(crate) fn lock(state: &Path) -> Result<File> {
    let own = state.join(exchange::DIRECTORY);
    make(&own)?;
    let path = own.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let file = file.map_err(BackupError::io("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(BackupError::Busy),
        Err(error) => Err(BackupError::io("lock", &path)(error.into())),
    }
}

fn make(directory: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(BackupError::io("make", directory))
}

/// A directory for the copies of databases, on the state's own disk and closed to all but root.
struct Staging {
    directory: PathBuf,
    _lock: File,
}

impl Staging {
    fn begin(state: &Path) -> Result<Self> {
        let staging = Self {
            _lock: lock(state)?,
            directory: state.join(exchange::DIRECTORY).join("copies"),
        };
        staging
            .clear()
            .map_err(BackupError::io("clear", &staging.directory))?;
        make(&staging.directory)?;
        Ok(staging)
    }

    fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            cleared => cleared,
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // The next backup clears what stays.
        drop(self.clear());
    }
}
