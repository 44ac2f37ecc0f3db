//! What goes into the process tools and what comes out. The comments are read by people and models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

fn default_limit() -> u32 {
    100
}
fn default_tree_limit() -> u32 {
    500
}
fn default_depth() -> u32 {
    32
}
fn default_wait() -> u64 {
    10_000
}
fn default_run() -> u64 {
    10_000
}
fn default_output() -> u64 {
    65_536
}
fn default_user() -> String {
    "nobody".to_owned()
}
fn default_cwd() -> String {
    "/".to_owned()
}
fn yes() -> bool {
    true
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Runs, or could.
    Running,
    /// Waits for something.
    Sleeping,
    /// Waits for a disk or a driver and cannot be interrupted.
    Blocked,
    /// Was stopped by a signal or a debugger.
    Stopped,
    /// Has ended, and its parent has not asked how.
    Zombie,
    /// A kernel thread without work.
    Idle,
}

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Process id, the lowest first.
    #[default]
    Pid,
    /// Mean processor use, the most first.
    Cpu,
    /// Resident memory, the most first.
    Memory,
    /// Start, the last one first.
    Newest,
}

/// Arguments of process.list. A process must fit all that is given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListArgs {
    /// Glob on the name, `nginx*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// User name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Only what waits for connections or datagrams on this port of this machine; not what has a network of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub listens_on: Option<u16>,
    /// Whether threads of the kernel are listed too.
    #[serde(default)]
    pub kernel_threads: bool,
    /// What they are sorted by.
    #[serde(default)]
    pub sort_by: Order,
    /// Most processes wanted, 1 to 5000.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 5000))]
    pub limit: u32,
}

/// A process, in one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Process id.
    pub pid: i32,
    /// When it started, kernel ticks since boot: with the process id it names this process and no later one.
    pub start_ticks: u64,
    /// Process id of its parent, 0 for none.
    pub ppid: i32,
    /// Its user: name, or `uid N`.
    pub user: String,
    /// Its user's number.
    pub uid: u32,
    /// What it does.
    pub state: State,
    /// Its name, at most 15 characters.
    pub name: String,
    /// Its command line, cut at 300 characters; empty for a thread of the kernel and a zombie.
    pub command: String,
    /// Processor time, percent of one processor, mean since it started.
    pub cpu_percent: f64,
    /// Processor time, milliseconds.
    pub cpu_ms: u64,
    /// Resident memory, bytes.
    pub resident_bytes: u64,
    /// Its threads.
    pub threads: u32,
    /// When it started, milliseconds since 1970, UTC.
    pub started_ms: u64,
}

/// Result of process.list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ListResult {
    /// The processes.
    pub processes: Vec<Line>,
    /// How many fit.
    pub matched: u64,
    /// True when there are more than `limit`.
    pub truncated: bool,
    /// Processes whose sockets could not be looked at, where `listens_on` asks for them.
    pub not_readable: u64,
    /// Always true: names and command lines are the processes' own words.
    pub tainted: bool,
}

/// Arguments of a tool that looks at one process.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneArgs {
    /// Process id.
    #[schemars(range(min = 1))]
    pub pid: i32,
    /// When it started, as process.list says; another process that got the same number is then refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ticks: Option<u64>,
}

/// A network socket of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Socket {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Its own address and port.
    pub local: String,
    /// The other side's address and port; absent for one that listens.
    pub remote: Option<String>,
    /// True for one that takes connections, or datagrams from anywhere.
    pub listens: bool,
}

/// A file that a process holds open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenFile {
    /// Process id.
    pub pid: i32,
    /// When the process started, kernel ticks since boot.
    pub start_ticks: u64,
    /// The process's name.
    pub name: String,
    /// Its user.
    pub user: String,
    /// Number of the descriptor.
    pub fd: u32,
    /// Path, as the kernel tells it; of a deleted file the last one it had.
    pub path: String,
    /// Whether no name is left: its space is given back when the last holder closes it.
    pub deleted: bool,
    /// Size, bytes.
    pub size_bytes: u64,
    /// Space that it takes, bytes.
    pub allocated_bytes: u64,
    /// Device of its file system, as fs.stat tells it.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
}

/// A limit of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitNow {
    /// Which.
    pub resource: Resource,
    /// What holds; absent for none.
    pub soft: Option<u64>,
    /// How far the process may raise it itself; absent for no end.
    pub hard: Option<u64>,
}

/// Result of process.info.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct InfoResult {
    /// The same as in process.list.
    pub process: Line,
    /// Its arguments, each cut at 4096 characters, at most 256.
    pub arguments: Vec<String>,
    /// Its program; absent where it has none (threads of the kernel, zombies) or it cannot be told.
    pub executable: Option<String>,
    /// Its working directory.
    pub directory: Option<String>,
    /// Its control group (v2), as /proc tells it.
    pub cgroup: Option<String>,
    /// Its session.
    pub session: i32,
    /// Its process group.
    pub group: i32,
    /// Nice value of its main thread, -20 to 19.
    pub nice: i64,
    /// Whether it and its children can gain no privileges.
    pub no_new_privileges: bool,
    /// Its effective capabilities, as a hexadecimal mask.
    pub effective_capabilities: String,
    /// Descriptors that it holds open; absent where they cannot be told.
    pub open_files: Option<u64>,
    /// Its network sockets.
    pub sockets: Vec<Socket>,
    /// Deleted files that it holds open, the largest first, at most 100.
    pub deleted_files: Vec<OpenFile>,
    /// Its limits.
    pub limits: Vec<LimitNow>,
    /// Always true: names and arguments are the process's own words.
    pub tainted: bool,
}

/// Arguments of process.open_files.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenFilesArgs {
    /// Only of this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub pid: Option<i32>,
    /// Only files without a name.
    #[serde(default = "yes")]
    pub deleted_only: bool,
    /// Only files at or below this absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<String>,
    /// Most files wanted, 1 to 5000; those that take most space come first.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 5000))]
    pub limit: u32,
}

/// Result of process.open_files.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct OpenFilesResult {
    /// The files; one that several hold open stands there for each of them.
    pub files: Vec<OpenFile>,
    /// How many fit.
    pub matched: u64,
    /// Space that all of them take, bytes; each file counts once.
    pub allocated_bytes: u64,
    /// True when there are more than `limit`.
    pub truncated: bool,
    /// Processes whose files could not be looked at.
    pub not_readable: u64,
    /// Always true: names of files are others' words.
    pub tainted: bool,
}

/// Arguments of process.tree.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TreeArgs {
    /// Where the tree begins; everything when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub pid: Option<i32>,
    /// Deepest generation wanted, 0 to 100; 0 is only the first.
    #[serde(default = "default_depth")]
    #[schemars(range(max = 100))]
    pub depth: u32,
    /// Whether threads of the kernel are listed too.
    #[serde(default)]
    pub kernel_threads: bool,
    /// Most processes wanted, 1 to 5000.
    #[serde(default = "default_tree_limit")]
    #[schemars(range(min = 1, max = 5000))]
    pub limit: u32,
}

/// A process in a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Generations below the first.
    pub depth: u32,
    /// Process id.
    pub pid: i32,
    /// When it started, kernel ticks since boot.
    pub start_ticks: u64,
    /// Process id of its parent.
    pub ppid: i32,
    /// Its user.
    pub user: String,
    /// What it does.
    pub state: State,
    /// Its name.
    pub name: String,
    /// Its command line, cut at 300 characters.
    pub command: String,
}

/// Result of process.tree.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TreeResult {
    /// Each process before its children, children by process id.
    pub processes: Vec<Node>,
    /// True when there are more than `limit`, or deeper ones.
    pub truncated: bool,
    /// Always true: names and command lines are the processes' own words.
    pub tainted: bool,
}

/// Arguments of process.wait.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitArgs {
    /// Process id.
    #[schemars(range(min = 1))]
    pub pid: i32,
    /// When it started, as process.list says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ticks: Option<u64>,
    /// How long to wait, milliseconds, 0 to 60000.
    #[serde(default = "default_wait")]
    #[schemars(range(max = 60000))]
    pub wait_ms: u64,
}

/// Result of process.wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitResult {
    /// Process id.
    pub pid: i32,
    /// When it started, kernel ticks since boot.
    pub start_ticks: u64,
    /// Whether it has ended.
    pub ended: bool,
    /// How long was waited, milliseconds.
    pub waited_ms: u64,
}

/// Arguments of process.signal.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalArgs {
    /// Process id.
    #[schemars(range(min = 1))]
    pub pid: i32,
    /// When it started, as process.list says; another process that got the same number is then refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ticks: Option<u64>,
    /// Name or number, `TERM`, `SIGTERM` or `15`.
    pub signal: String,
}

/// Result of process.signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignalResult {
    /// Process id.
    pub pid: i32,
    /// When it started, kernel ticks since boot.
    pub start_ticks: u64,
    /// The signal, without `SIG`.
    pub signal: String,
    /// Whether the process had ended half a second later, or earlier.
    pub ended: bool,
    /// Whether it is stopped.
    pub stopped: bool,
}

/// Resources that can be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Processor time, seconds.
    CpuSeconds,
    /// Size of a file that it writes, bytes.
    FileBytes,
    /// Data, bytes.
    DataBytes,
    /// Stack, bytes.
    StackBytes,
    /// Size of a core dump, bytes.
    CoreBytes,
    /// Processes of its user.
    Processes,
    /// Open files.
    OpenFiles,
    /// Locked memory, bytes.
    LockedBytes,
    /// Address space, bytes.
    AddressBytes,
}

/// A limit that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitChange {
    /// Which.
    pub resource: Resource,
    /// What holds, -1 for none; stays when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub soft: Option<i64>,
    /// How far the process may raise it itself, -1 for no end; stays when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub hard: Option<i64>,
}

/// Arguments of process.set_limits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetLimitsArgs {
    /// Process id.
    #[schemars(range(min = 1))]
    pub pid: i32,
    /// When it started, as process.list says; another process that got the same number is then refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ticks: Option<u64>,
    /// What changes, each resource at most once.
    #[schemars(length(min = 1, max = 9))]
    pub limits: Vec<LimitChange>,
}

/// Result of process.limits and process.set_limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitsResult {
    /// Process id.
    pub pid: i32,
    /// When it started, kernel ticks since boot.
    pub start_ticks: u64,
    /// The limits, or those that were changed.
    pub limits: Vec<LimitNow>,
}

/// Arguments of process.spawn.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpawnArgs {
    /// Absolute path of the program; it is not searched for, and no shell is involved.
    pub path: String,
    /// Its arguments, without its own name, at most 256.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub arguments: Vec<String>,
    /// Absolute path of the directory it starts in.
    #[serde(default = "default_cwd")]
    pub cwd: String,
    /// Its environment, besides `PATH` and `LC_ALL=C`; what the dynamic loader heeds is refused.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// User name or number that it runs as. Never one of aiOS; `root` needs process:spawn_as_root too.
    #[serde(default = "default_user")]
    pub user: String,
    /// How long it may run, milliseconds, 1 to 540000; then it and all that it started are killed.
    #[serde(default = "default_run")]
    #[schemars(range(min = 1, max = 540_000))]
    pub run_ms: u64,
    /// Most bytes wanted of each, standard output and error, 0 to 262144; the first ones are kept.
    #[serde(default = "default_output")]
    #[schemars(range(max = 262_144))]
    pub max_output_bytes: u64,
}

/// What a program wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The first bytes, as text; what is no UTF-8 is replaced.
    pub text: String,
    /// Bytes written in all.
    pub bytes: u64,
    /// True when not all of it is in `text`.
    pub truncated: bool,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// By itself.
    Exited,
    /// By a signal that aiOS did not send.
    Signalled,
    /// It was killed when its time was up.
    TimedOut,
    /// It was killed because the call was cancelled.
    Cancelled,
}

/// Result of process.spawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpawnResult {
    /// The program, every symbolic link resolved.
    pub path: String,
    /// The process id that it had.
    pub pid: i32,
    /// How it ended.
    pub ending: Ending,
    /// Exit status; absent when a signal ended it.
    pub exit_code: Option<i32>,
    /// Number of the signal that ended it.
    pub signal: Option<i32>,
    /// Standard output.
    pub stdout: Output,
    /// Standard error.
    pub stderr: Output,
    /// Processes that it left behind, which were killed.
    pub left_behind: u64,
    /// Processes that could not be killed within two seconds.
    pub not_killed: u64,
    /// How long it ran, milliseconds.
    pub ran_ms: u64,
    /// Always true: what a program writes is not to be trusted.
    pub tainted: bool,
}

/// Arguments of process.undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoArgs {
    /// Task of the execution to undo, a UUID.
    pub task_id: String,
    /// Step of the execution to undo, from 1.
    #[schemars(range(min = 1))]
    pub step: u64,
}

/// Result of process.undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UndoResult {
    /// Process id.
    pub pid: i32,
    /// When it started, kernel ticks since boot.
    pub start_ticks: u64,
    /// What it has back, one sentence.
    pub restored: String,
}
