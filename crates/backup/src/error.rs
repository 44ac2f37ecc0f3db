//! What can go wrong, each with a code and a next step.

use aios_audit::AuditError;
use aios_core::error::{Class, Coded};
use std::io;
use std::path::{Path, PathBuf};

/// An error of a backup or a restore.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file cannot be used.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Only root reads all state and gives files to their owners.
    #[error("{what} needs root: the state of aiOS belongs to many users, each closed to the others")]
    NotRoot {
        /// What was asked for.
        what: &'static str,
    },
    /// There is something already.
    #[error("{} exists already", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// There is nothing to copy.
    #[error("{} is no state of aiOS: it does not exist", path.display())]
    NoState {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A database cannot be read.
    #[error("database {path}: {source}")]
    Database {
        /// Which.
        path: String,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A database is not whole.
    #[error("database {path} is damaged: {problem}")]
    Corrupt {
        /// Which.
        path: String,
        /// What its check found.
        problem: String,
    },
    /// The audit log cannot be read.
    #[error("the audit log: {0}")]
    Audit(#[from] AuditError),
    /// The restored audit log is not as it was written.
    #[error("the audit log in this backup is not as it was written: {finding}")]
    Log {
        /// The first finding.
        finding: String,
    },
    /// A kind of file that has no place in a state.
    #[error("{path} is a {what}, and a backup holds files, directories and, of /etc/aios, links only")]
    Strange {
        /// Which.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// A file became another one while it was copied.
    #[error("{path} changed while it was copied")]
    Changed {
        /// Which.
        path: String,
    },
    /// A key file holds no key.
    #[error("{} holds no {wanted}: {problem}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What was expected.
        wanted: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The archive is encrypted, and no key was given.
    #[error("{} is encrypted", path.display())]
    Locked {
        /// The archive.
        path: PathBuf,
    },
    /// The archive is encrypted to somebody else.
    #[error("{} is encrypted, and not to this key", path.display())]
    WrongKey {
        /// The archive.
        path: PathBuf,
    },
    /// No archive of ours.
    #[error("{} is no backup of aiOS: {problem}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The archive was written by a newer version.
    #[error("{what} is of version {found}, and this aiOS knows versions up to {known}")]
    Newer {
        /// What of it.
        what: String,
        /// Its version.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// The archive is not as it was written.
    #[error("{} was cut off or altered at {member}: {problem}", path.display())]
    Altered {
        /// The archive.
        path: PathBuf,
        /// Which file in it.
        member: String,
        /// What is wrong.
        problem: String,
    },
    /// The archive is of another machine.
    #[error("{} is of machine {theirs} ({host}), and this is {ours}", path.display())]
    OtherMachine {
        /// The archive.
        path: PathBuf,
        /// Its machine's id.
        theirs: String,
        /// Its machine's name.
        host: String,
        /// This machine's id.
        ours: String,
    },
    /// Something of aiOS runs.
    #[error("aiOS runs: {holders}")]
    Running {
        /// Who has which file open.
        holders: String,
    },
    /// Another backup or restore is at work.
    #[error("another backup or restore of this state is at work")]
    Busy,
    /// A user or group is not known here.
    #[error("{path} belongs to {name}, whom this machine does not know")]
    NoOwner {
        /// Which file.
        path: String,
        /// The user or group.
        name: String,
    },
    /// A directory is the root of a file system.
    #[error("{} is a file system of its own, and cannot change places with a directory beside it", path.display())]
    MountPoint {
        /// Which.
        path: PathBuf,
    },
    /// Not enough room.
    #[error("{} has {free} bytes free, and {needed} are needed", path.display())]
    Room {
        /// Where.
        path: PathBuf,
        /// What is there.
        free: u64,
        /// What it takes.
        needed: u64,
    },
    /// The policy of the archive is older than one that was in force here.
    #[error(
        "the policy of this backup has epoch {epoch}, but {seen} was in force on this machine, whose own policy has {own}"
    )]
    OldPolicy {
        /// Of the archive.
        epoch: u64,
        /// The highest that was in force.
        seen: u64,
        /// Of the policy that is there.
        own: u64,
    },
    /// The policy of the archive cannot be read.
    #[error("the policy in this backup: {0}")]
    Policy(String),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, BackupError>;

impl BackupError {
    /// For `map_err`: names the file.
    pub(crate) fn io<P: AsRef<Path>>(what: &'static str, path: P) -> impl FnOnce(io::Error) -> Self + use<P> {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { what, path, source }
    }

    /// For `map_err`: names the database.
    pub(crate) fn database(path: &str) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Database {
            path: path.clone(),
            source,
        }
    }
}

impl Coded for BackupError {
    fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "AIOS-BACKUP-0001",
            Self::NotRoot { .. } => "AIOS-BACKUP-0002",
            Self::Exists { .. } => "AIOS-BACKUP-0003",
            Self::NoState { .. } => "AIOS-BACKUP-0004",
            Self::Database { .. } => "AIOS-BACKUP-0005",
            Self::Corrupt { .. } => "AIOS-BACKUP-0006",
            Self::Audit(_) => "AIOS-BACKUP-0007",
            Self::Log { .. } => "AIOS-BACKUP-0008",
            Self::Strange { .. } => "AIOS-BACKUP-0009",
            Self::Changed { .. } => "AIOS-BACKUP-0010",
            Self::Key { .. } => "AIOS-BACKUP-0011",
            Self::Locked { .. } => "AIOS-BACKUP-0012",
            Self::WrongKey { .. } => "AIOS-BACKUP-0013",
            Self::Foreign { .. } => "AIOS-BACKUP-0014",
            Self::Newer { .. } => "AIOS-BACKUP-0015",
            Self::Altered { .. } => "AIOS-BACKUP-0016",
            Self::OtherMachine { .. } => "AIOS-BACKUP-0017",
            Self::Running { .. } => "AIOS-BACKUP-0018",
            Self::NoOwner { .. } => "AIOS-BACKUP-0019",
            Self::MountPoint { .. } => "AIOS-BACKUP-0020",
            Self::Room { .. } => "AIOS-BACKUP-0021",
            Self::OldPolicy { .. } => "AIOS-BACKUP-0022",
            Self::Policy(_) => "AIOS-BACKUP-0023",
            Self::Busy => "AIOS-BACKUP-0024",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Io { .. } => "see that it is there and on a disk with room, then run the same command again",
            Self::NotRoot { .. } => "run the same command with sudo",
            Self::Exists { .. } => "name a file that does not exist yet",
            Self::NoState { .. } => "name the instance with --socket DIR, or AIOS_STATE_DIR",
            Self::Database { .. } => "see `aiosctl service list` and the disk; a database that is damaged is brought back by a restore",
            Self::Corrupt { .. } | Self::Log { .. } => "take another backup, and keep this one as evidence",
            Self::Audit(_) => "check the log with `aiosctl audit verify`",
            Self::Strange { .. } => "move it away; nothing of aiOS makes such files",
            Self::Changed { .. } => "run the same command again",
            Self::Key { .. } => "make a pair with `aiosctl backup key FILE`: FILE.pub encrypts, FILE restores",
            Self::Locked { .. } => "name the secret key with --key FILE",
            Self::WrongKey { .. } => "name the secret key that belongs to the public one the backup was made with",
            Self::Foreign { .. } => "name a file that `aiosctl backup create` wrote",
            Self::Newer { .. } => "restore it with the version that wrote it, or a newer one: `aiosctl os upgrade` first",
            Self::Altered { .. } => "copy it again from where it was stored, or take another backup; nothing was changed here",
            Self::OtherMachine { .. } => {
                "add --other-machine if this machine is to take that one's place; the two must not go on side by side"
            }
            Self::Running { .. } => {
                "stop it, `aiosctl service stop aios-guard` on a machine, which stops all that needs it, `make down` in a checkout; then run the same command again"
            }
            Self::NoOwner { .. } => "restore on a machine with the users of aiOS (`systemd-sysusers`, or `make run` once in a checkout)",
            Self::MountPoint { .. } => "make it a directory of the file system above, or restore by hand as docs/guides/backup.md says",
            Self::Room { .. } => "make room there; `before-restore-…` of earlier restores in `….aside` may go",
            Self::OldPolicy { .. } => "raise `epoch` in /etc/aios/policy.toml when the older policy is meant, and run the same command again",
            Self::Busy => "wait for its end, then run the same command again",
            Self::Policy(_) => "take a backup whose policy is valid, or restore by hand as docs/guides/backup.md says",
        }
        .to_owned()
    }

    fn class(&self) -> Class {
        match self {
            Self::NotRoot { .. } | Self::WrongKey { .. } | Self::Locked { .. } => Class::PermissionDenied,
            Self::Exists { .. } => Class::AlreadyExists,
            Self::NoState { .. } => Class::NotFound,
            Self::Key { .. } => Class::InvalidArgument,
            Self::Running { .. }
            | Self::Busy
            | Self::OtherMachine { .. }
            | Self::Newer { .. }
            | Self::MountPoint { .. }
            | Self::NoOwner { .. }
            | Self::OldPolicy { .. } => Class::FailedPrecondition,
            Self::Room { .. } => Class::ResourceExhausted,
            _ => Class::Internal,
        }
    }
}
