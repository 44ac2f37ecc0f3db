//! Arguments and results of the service tools. Times are UTC milliseconds; what is not known is `null`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Arguments of service.list.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListArgs {}

/// Names one service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameArgs {
    /// Name of the service, that of its file without `.toml`.
    pub name: String,
}

/// Names a service to start, stop or restart.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeArgs {
    /// Name of the service, that of its file without `.toml`.
    pub name: String,
    /// Other services that may go along: what it needs is started with it, what needs it is stopped with it.
    /// Without their names here the call is not granted for them.
    #[serde(default)]
    pub names: Vec<String>,
}

/// Arguments of service.logs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogsArgs {
    /// Name of the service.
    pub name: String,
    /// Most lines to answer, the newest of those that fit.
    #[serde(default = "lines")]
    #[schemars(range(min = 1, max = 1000))]
    pub lines: u32,
    /// Only lines from this time on, UTC milliseconds.
    #[serde(default)]
    pub since_ms: Option<i64>,
    /// Only lines that hold this text, letter by letter.
    #[serde(default)]
    pub contains: Option<String>,
}

fn lines() -> u32 {
    100
}

/// Names the execution to undo.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoArgs {
    /// Task of the execution to undo, a UUID.
    pub task_id: String,
    /// Step of the execution to undo, from 1.
    #[schemars(range(min = 1))]
    pub step: u64,
}

/// One service in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Name.
    pub name: String,
    /// What it is, in one sentence.
    pub description: String,
    /// `stopped`, `waiting`, `starting`, `ready`, `stopping`, `backoff`, `failed`, `listening`.
    pub state: String,
    /// Whether it is started at boot.
    pub enabled: bool,
    /// Whether it is part of aiOS itself, or aiOS needs it: tools may only restart it.
    pub core: bool,
    /// Process id.
    pub pid: Option<u32>,
    /// Restarts since it was last started by somebody or boot.
    pub restarts: u32,
    /// How it last ended: `exit 1`, `signal 9`, why it could not be started; empty when it never did.
    pub last_exit: String,
}

/// Result of service.list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Every service, in start order.
    pub services: Vec<Summary>,
}

/// How a process of a service ended.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exit {
    /// When.
    pub time_ms: i64,
    /// `exit 1`, `signal 9`, `exit unknown`, or why it could not be started.
    pub how: String,
    /// Exit status, when it ended by itself.
    pub code: Option<i32>,
    /// Signal, when one ended it.
    pub signal: Option<i32>,
    /// Whether it had become ready.
    pub was_ready: bool,
    /// How long it ran, milliseconds.
    pub ran_ms: u64,
    /// Whether init had asked it to end, or killed it because it was late or silent.
    pub asked: bool,
    /// Whether the kernel killed a process of it because memory ran out.
    pub out_of_memory: bool,
}

/// Result of service.status.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// What a list says of it.
    pub service: Summary,
    /// What it says of itself, or empty.
    pub status: String,
    /// Whether it is to run; a service that waits for another try is.
    pub wanted: bool,
    /// Number of its current or last start in this boot.
    pub run: u64,
    /// Its current or last start.
    pub started_ms: Option<i64>,
    /// Since when it has been ready.
    pub ready_since_ms: Option<i64>,
    /// Next try, while it waits for one.
    pub next_start_ms: Option<i64>,
    /// How it ended, the oldest first; the last ten.
    pub exits: Vec<Exit>,
    /// Memory of all its processes, or of the main one where nobody counts them.
    pub memory_bytes: u64,
    /// Limit of that memory.
    pub memory_limit_bytes: Option<u64>,
    /// Processor time used, milliseconds.
    pub cpu_ms: u64,
    /// Program, by its path, and arguments.
    pub command: Vec<String>,
    /// Where it runs.
    pub working_directory: String,
    /// User that it runs as.
    pub user: String,
    /// Its group; empty means the user's own.
    pub group: String,
    /// Supplementary groups.
    pub groups: Vec<String>,
    /// Unix sockets that init holds for it.
    pub sockets: Vec<String>,
    /// Directories that init makes for it.
    pub directories: Vec<String>,
    /// Services that must be ready before it, and without which it stops.
    pub needs: Vec<String>,
    /// Services that are started with it but may fail.
    pub wants: Vec<String>,
    /// Services that need it.
    pub needed_by: Vec<String>,
    /// How it says that it is ready: `notify`, `fd`, `none`.
    pub ready_by: String,
    /// When it is started again: `always`, `on-failure`, `never`.
    pub restart: String,
    /// Time until it must be ready, milliseconds.
    pub start_timeout_ms: u64,
    /// Names of the variables that its files set; values may be secret.
    pub environment_names: Vec<String>,
    /// Its service files, the vendor's first.
    pub files: Vec<String>,
    /// Whether its files say something else than what runs.
    pub files_changed: bool,
    /// What locks it down, one word each.
    pub confinement: Vec<String>,
}

/// One line of a log. It is what the service wrote: text that nobody has checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// When it was written.
    pub time_ms: i64,
    /// The line.
    pub text: String,
}

/// Result of service.logs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// The lines, the oldest first.
    pub lines: Vec<Line>,
    /// How many older ones fit too and were left out.
    pub left_out: u64,
}

/// One service that a call changed or could have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Touched {
    /// Name.
    pub name: String,
    /// State before.
    pub before: String,
    /// State afterwards.
    pub after: String,
    /// Whether it is started at boot now.
    pub enabled: bool,
}

/// Result of a call that changes services.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Changed {
    /// Whether anything is otherwise than before.
    pub changed: bool,
    /// The service and what went along with it, in start order.
    pub services: Vec<Touched>,
}
