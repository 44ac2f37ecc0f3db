//! What can go wrong between a token and an effect, each with a stable code and a next step.

use crate::service::error::ServiceError;
use aios_core::error::{Class, Coded, Report};
use aios_database::DatabaseError;
use std::io;

/// An error of the registry, the pipeline or a worker.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// No tool has that name.
    #[error("there is no tool `{name}`")]
    UnknownTool {
        /// Name given, cut at 80 characters.
        name: String,
    },
    /// An argument is wrong.
    #[error("argument `{field}` of {tool}: {problem}")]
    BadInput {
        /// Tool.
        tool: String,
        /// Path of the field, `paths[2]`; `.` for the whole.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// A tool answered what its schema does not allow.
    #[error("{tool} answered something that its schema does not allow, at `{field}`: {problem}")]
    BadOutput {
        /// Tool.
        tool: String,
        /// Path of the field.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// A path that cannot be used.
    #[error("path `{path}` cannot be used: {problem}")]
    BadPath {
        /// Path given.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The token does not grant it. Says nothing of whether the path exists.
    #[error("the token does not grant {namespace}:{action} on `{path}`")]
    NotGranted {
        /// Namespace, `fs`.
        namespace: String,
        /// Action wanted, `delete`.
        action: String,
        /// Path as the caller wrote it.
        path: String,
    },
    /// A symbolic link or a mount leads out of what was granted.
    #[error("`{path}` leads out of the granted directory `{root}` by a {by}")]
    LeavesRoot {
        /// Path as the caller wrote it.
        path: String,
        /// The granted directory.
        root: String,
        /// `symbolic link` or `mount`.
        by: &'static str,
    },
    /// A path that no grant opens.
    #[error("`{path}` belongs to aiOS itself or to the kernel: no grant opens it")]
    Protected {
        /// Path.
        path: String,
    },
    /// Writing would change a file that has other names outside of what was granted.
    #[error("`{path}` has {names} names and only {inside} of them lie under `{root}`")]
    HardLinked {
        /// Path.
        path: String,
        /// Names that the file has.
        names: u64,
        /// Names found under the granted directory.
        inside: u64,
        /// The granted directory.
        root: String,
    },
    /// Nothing is there.
    #[error("`{path}` does not exist")]
    NotFound {
        /// Path.
        path: String,
    },
    /// Something else is there.
    #[error("`{path}` is a {is}, and {wanted} is needed")]
    WrongKind {
        /// Path.
        path: String,
        /// What it is.
        is: &'static str,
        /// What is needed.
        wanted: &'static str,
    },
    /// Something is there already.
    #[error("`{path}` exists already")]
    Exists {
        /// Path.
        path: String,
    },
    /// The target is no longer what was prepared and authorized.
    #[error("`{path}` changed since it was looked at: {difference}; nothing was done")]
    Changed {
        /// Path.
        path: String,
        /// What differs.
        difference: String,
    },
    /// The time allowed was not enough.
    #[error("the call was not done within {allowed_ms} ms; what it had begun was taken back")]
    TimedOut {
        /// Time allowed, milliseconds.
        allowed_ms: u64,
    },
    /// Somebody cancelled it.
    #[error("the call was cancelled; what it had begun was taken back")]
    Cancelled,
    /// The machine refused.
    #[error("cannot {doing} `{path}`")]
    Io {
        /// What was tried, `open`.
        doing: &'static str,
        /// On what.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The key was used for another call.
    #[error("execution {key} is another call; a key names one call only")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// The journal never heard of the key.
    #[error("no execution {key} is known")]
    NoSuchExecution {
        /// The key.
        key: String,
    },
    /// It cannot be undone.
    #[error("execution {key} cannot be undone: {why}")]
    NotUndoable {
        /// The key.
        key: String,
        /// Why not.
        why: String,
    },
    /// Somebody changed the place since.
    #[error("execution {key} cannot be undone, the place was changed since: {differences}")]
    UndoConflict {
        /// The key.
        key: String,
        /// What differs, path by path.
        differences: String,
    },
    /// The journal's database failed.
    #[error("the journal cannot be used")]
    Journal(#[from] rusqlite::Error),
    /// A database of the worker cannot be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A stored text is not what was written.
    #[error("a stored record cannot be read: {what}")]
    Corrupt {
        /// Which record.
        what: String,
    },
    /// More than is allowed.
    #[error("{what} is {actual}, and at most {limit} is allowed")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How much it is.
        actual: u64,
        /// How much it may be.
        limit: u64,
    },
    /// Token, receipt, approval or trust state was refused.
    #[error("{0}")]
    Auth(Box<dyn Coded + Send + Sync>),
    /// The token was minted for another task.
    #[error("the token was minted for task {token}, not for {key}")]
    OtherTask {
        /// Task of the token.
        token: String,
        /// Task of the call.
        key: String,
    },
    /// A service does not answer.
    #[error("{service} does not answer: {why}")]
    Unreachable {
        /// Service, `guard`.
        service: &'static str,
        /// Why.
        why: String,
    },
    /// Two places are not on the same file system.
    #[error(
        "`{from}` and `{to}` are on different file systems, so the one cannot become the other in one step"
    )]
    OtherFileSystem {
        /// Where it is.
        from: String,
        /// Where it should be.
        to: String,
    },
    /// What a change would overwrite or remove does not fit into the snapshot store.
    #[error(
        "`{path}` cannot be kept for an undo: the snapshot store holds {used} of at most {limit} bytes, and nothing in it is old enough to go"
    )]
    StoreFull {
        /// What was to be kept.
        path: String,
        /// Bytes that the store holds.
        used: u64,
        /// Bytes that it may hold.
        limit: u64,
    },
    /// Too many calls wait.
    #[error("{waiting} calls wait already")]
    Busy {
        /// How many wait.
        waiting: usize,
    },
    /// Something half done could not be taken back.
    #[error("execution {key} is half done and could not be taken back: {why}")]
    HalfDone {
        /// The key.
        key: String,
        /// Why not.
        why: String,
    },
    /// Something about a service.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// What only packages have to say.
    #[error(transparent)]
    Pkg(#[from] crate::pkg::error::PkgError),
    /// What only images of the operating system have to say.
    #[error(transparent)]
    Os(#[from] crate::os::error::OsError),
    /// Another change waits for its confirmation.
    #[error("change {key} of {namespace} waits to be confirmed, {left_ms} ms are left; only one may wait")]
    Unconfirmed {
        /// Namespace.
        namespace: &'static str,
        /// The change.
        key: String,
        /// Time left, milliseconds.
        left_ms: u64,
    },
    /// A change is not where it would have to be.
    #[error("change {key} of {namespace} is {is}, and {wanted} is needed; {why}")]
    NotWaiting {
        /// Namespace.
        namespace: &'static str,
        /// The change.
        key: String,
        /// What it is.
        is: &'static str,
        /// What it would have to be.
        wanted: &'static str,
        /// How it came so.
        why: String,
    },
    /// An address that a call may not reach.
    #[error("`{host}` is {address}, {why}; without net:private:{resource} no call reaches that")]
    Closed {
        /// Host as the caller wrote it.
        host: String,
        /// Its address.
        address: String,
        /// What kind of address that is.
        why: &'static str,
        /// Resource that a grant must name.
        resource: String,
    },
    /// A host could not be spoken with.
    #[error("{what} failed: {why}")]
    Network {
        /// What was tried.
        what: String,
        /// Why it failed.
        why: String,
    },
    /// A program failed.
    #[error("{program} failed: {why}")]
    Program {
        /// Its path.
        program: &'static str,
        /// What it said.
        why: String,
    },
    /// A defect.
    #[error("defect: {0}")]
    Defect(String),
}

impl ToolError {
    /// An I/O error on a path.
    pub fn io(doing: &'static str, path: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io {
            doing,
            path: path.into(),
            source: source.into(),
        }
    }

    /// A refusal by token, receipt, approval or trust state.
    pub fn auth(error: impl Coded + Send + Sync + 'static) -> Self {
        Self::Auth(Box::new(error))
    }

    /// As data.
    pub fn report(&self) -> Report {
        Report::of(self)
    }

    /// Whether it is a refusal by grant or protection: the pipeline answers those with `Denied`.
    pub fn is_denial(&self) -> bool {
        if let Self::Service(error) = self {
            return error.is_denial();
        }
        matches!(
            self,
            Self::NotGranted { .. }
                | Self::LeavesRoot { .. }
                | Self::Protected { .. }
                | Self::HardLinked { .. }
                | Self::OtherTask { .. }
                | Self::Closed { .. }
                | Self::Auth(_)
        )
    }
}

impl Coded for ToolError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownTool { .. } => "AIOS-TOOLS-0001",
            Self::BadInput { .. } => "AIOS-TOOLS-0002",
            Self::BadOutput { .. } => "AIOS-TOOLS-0003",
            Self::BadPath { .. } => "AIOS-TOOLS-0004",
            Self::NotGranted { .. } => "AIOS-TOOLS-0005",
            Self::LeavesRoot { .. } => "AIOS-TOOLS-0006",
            Self::Protected { .. } => "AIOS-TOOLS-0007",
            Self::HardLinked { .. } => "AIOS-TOOLS-0008",
            Self::NotFound { .. } => "AIOS-TOOLS-0009",
            Self::WrongKind { .. } => "AIOS-TOOLS-0010",
            Self::Exists { .. } => "AIOS-TOOLS-0011",
            Self::Changed { .. } => "AIOS-TOOLS-0012",
            Self::TimedOut { .. } => "AIOS-TOOLS-0013",
            Self::Cancelled => "AIOS-TOOLS-0014",
            Self::Io { .. } => "AIOS-TOOLS-0015",
            Self::KeyReused { .. } => "AIOS-TOOLS-0016",
            Self::NoSuchExecution { .. } => "AIOS-TOOLS-0017",
            Self::NotUndoable { .. } => "AIOS-TOOLS-0018",
            Self::UndoConflict { .. } => "AIOS-TOOLS-0019",
            Self::Journal(_) => "AIOS-TOOLS-0020",
            Self::Database(error) => error.code(),
            Self::Corrupt { .. } => "AIOS-TOOLS-0022",
            Self::TooLarge { .. } => "AIOS-TOOLS-0023",
            Self::Auth(error) => error.code(),
            Self::Pkg(error) => error.code(),
            Self::Os(error) => error.code(),
            Self::Unreachable { .. } => "AIOS-TOOLS-0025",
            Self::Busy { .. } => "AIOS-TOOLS-0026",
            Self::HalfDone { .. } => "AIOS-TOOLS-0027",
            Self::Defect(_) => "AIOS-TOOLS-0028",
            Self::OtherTask { .. } => "AIOS-TOOLS-0024",
            Self::Service(error) => error.code(),
            Self::Unconfirmed { .. } => "AIOS-TOOLS-0040",
            Self::NotWaiting { .. } => "AIOS-TOOLS-0044",
            Self::Closed { .. } => "AIOS-TOOLS-0041",
            Self::Network { .. } => "AIOS-TOOLS-0042",
            Self::Program { .. } => "AIOS-TOOLS-0043",
            Self::OtherFileSystem { .. } => "AIOS-TOOLS-0045",
            Self::StoreFull { .. } => "AIOS-TOOLS-0046",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::UnknownTool { .. } => "`aiosctl tool list` names every tool",
            Self::BadInput { tool, .. } => return format!("`aiosctl tool show {tool}` prints the schema"),
            Self::BadOutput { .. } | Self::Defect(_) | Self::Corrupt { .. } => {
                "this is a defect of aiOS: report it with the service's log"
            }
            Self::BadPath { .. } => "give an absolute path without `..`",
            Self::NotGranted { .. } => "ask for a goal whose capabilities cover it",
            Self::LeavesRoot { .. } => "name the real path, and have that granted",
            Self::Protected { .. } => "leave it alone; aiosctl changes keys, policy and configuration",
            Self::HardLinked { .. } => {
                "grant a directory that holds every name of the file, or copy the file"
            }
            Self::NotFound { .. } => "list the directory to see what is there",
            Self::WrongKind { .. } => "use a tool that works on that kind of thing",
            Self::Exists { .. } => "choose another name, or say `how` = `overwrite` of fs.write or `replace` of fs.move",
            Self::Changed { .. } => "look again and make a new call",
            Self::TimedOut { .. } => "allow more time or ask for less in one call",
            Self::Cancelled => "nothing; make a new call when it is wanted again",
            Self::Io { .. } => "see the cause; check space, permissions and the disk",
            Self::KeyReused { .. } => "use a new step number for a new call",
            Self::NoSuchExecution { .. } => "copy the execution from `aiosctl goal show`",
            Self::NotUndoable { .. } => "restore it by hand",
            Self::UndoConflict { .. } => {
                "put the place back as it was, or undo with `untouched_only` what nobody changed"
            }
            Self::Journal(_) => "check space and permissions of the worker's state directory",
            Self::Database(error) => return error.next_step(),
            Self::TooLarge { .. } => "ask for less in one call",
            Self::Auth(error) => return error.next_step(),
            Self::Service(error) => return error.next_step(),
            Self::Pkg(error) => return error.next_step(),
            Self::Os(error) => return error.next_step(),
            Self::OtherTask { .. } => "use the token that was minted for this task",
            Self::OtherFileSystem { .. } => "copy it, and delete the original when the copy is right",
            Self::StoreFull { .. } => {
                "change less in one call, or raise `snapshot_bytes` or lower `snapshot_keep_ms` of [tools] in the configuration"
            }
            Self::Unreachable { service, .. } => {
                return format!("check it with `aiosctl service status aios-{service}`");
            }
            Self::Busy { .. } => "try again in a moment",
            Self::HalfDone { .. } => "a person must look: the worker's journal holds the snapshots",
            Self::Unconfirmed { namespace, .. } => {
                return format!(
                    "confirm it with {namespace}.confirm, undo it, or wait until it is taken back"
                );
            }
            Self::NotWaiting { namespace, .. } => {
                return format!(
                    "see what waits with {namespace}.pending; make the change anew if it is gone"
                );
            }
            Self::Closed { .. } => "ask for a goal with that capability, and say `private`: true",
            Self::Network { .. } => {
                "check name, address, route and firewall with net.dns, net.ping and net.check_port"
            }
            Self::Program { .. } => "see what it said; `aiosctl service logs` of the worker has more",
        }
        .to_owned()
    }

    fn class(&self) -> Class {
        match self {
            Self::UnknownTool { .. } | Self::NotFound { .. } | Self::NoSuchExecution { .. } => {
                Class::NotFound
            }
            Self::BadInput { .. } | Self::BadPath { .. } | Self::WrongKind { .. } | Self::TooLarge { .. } => {
                Class::InvalidArgument
            }
            Self::NotGranted { .. }
            | Self::LeavesRoot { .. }
            | Self::Protected { .. }
            | Self::HardLinked { .. }
            | Self::OtherTask { .. }
            | Self::Closed { .. } => Class::PermissionDenied,
            Self::Exists { .. } | Self::KeyReused { .. } => Class::AlreadyExists,
            Self::Changed { .. }
            | Self::NotUndoable { .. }
            | Self::UndoConflict { .. }
            | Self::Unconfirmed { .. }
            | Self::NotWaiting { .. }
            | Self::Network { .. } => Class::FailedPrecondition,
            Self::TimedOut { .. } => Class::DeadlineExceeded,
            Self::Cancelled => Class::Cancelled,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Class::ResourceExhausted
            }
            Self::OtherFileSystem { .. } => Class::FailedPrecondition,
            Self::StoreFull { .. } => Class::FailedPrecondition,
            Self::Busy { .. } => Class::ResourceExhausted,
            Self::Unreachable { .. } => Class::Unavailable,
            Self::Auth(error) => error.class(),
            Self::Service(error) => error.class(),
            Self::Pkg(error) => error.class(),
            Self::Os(error) => error.class(),
            Self::Database(error) => error.class(),
            Self::BadOutput { .. }
            | Self::Io { .. }
            | Self::Journal(_)
            | Self::Corrupt { .. }
            | Self::HalfDone { .. }
            | Self::Program { .. }
            | Self::Defect(_) => Class::Internal,
        }
    }
}

/// The result of what a tool does.
pub type Result<T> = std::result::Result<T, ToolError>;
