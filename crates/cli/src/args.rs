//! The grammar of the command line: nouns, then verbs. Only shapes and help texts; what a command
//! does is in [`crate::command`].

mod backup;
mod goal;
mod notify;
mod os;
mod schedule;

pub use backup::{Archive as BackupArchive, Backup};
pub use goal::{Follow, Goal, GoalRun, GoalStateArg, Level};
pub use notify::Notify;
pub use os::{Os, OsChange};
pub use schedule::{Schedule, ScheduleAdd};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// What a person types.
#[derive(Debug, Parser)]
#[command(name = "aiosctl", version, about = "State goals, approve steps, undo them, and read the log that proves it", after_help = AFTER)]
pub struct Cli {
    /// Answer in JSON: one document, or one a line where the answer is a stream
    #[arg(long, global = true)]
    pub json: bool,
    /// Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "AIOS_RUN_DIR",
        hide_env_values = true
    )]
    pub socket: Option<PathBuf>,
    /// When to use colour
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = false
    )]
    pub color: When,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "Exit codes: 0 done, 1 failed, 2 usage, 3 denied, 4 needs approval, 5 not reachable.";

/// When to use colour.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum When {
    /// On a terminal only.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The nouns.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Services, agents, goals, audit log and degradations at a glance
    Status,
    /// State goals, follow, answer, cancel and undo them
    #[command(subcommand)]
    Goal(Goal),
    /// Decide about steps that wait for a person
    #[command(subcommand)]
    Approval(Approval),
    /// What can be done on this machine, and a call by hand
    #[command(subcommand)]
    Tool(Tool),
    /// Goals that are stated at given times, or when something happens
    #[command(subcommand)]
    Schedule(Schedule),
    /// Agents and their containers
    #[command(subcommand)]
    Agent(Agent),
    /// What aiOS remembers
    #[command(subcommand)]
    Memory(Memory),
    /// The log that cannot be altered unnoticed
    #[command(subcommand)]
    Audit(Audit),
    /// The operating system's images: which runs, which starts next
    #[command(subcommand)]
    Os(Os),
    /// Copies of the whole state, and the way back
    #[command(subcommand)]
    Backup(Backup),
    /// Services under aios-init
    #[command(subcommand)]
    Service(Service),
    /// Phases of this boot with their times
    Boot,
    /// Which rule decides about a call, and why
    #[command(subcommand)]
    Policy(Policy),
    /// Plans and diagnoses that people wrote down
    #[command(subcommand)]
    Runbook(Runbook),
    /// The configuration in force
    #[command(subcommand)]
    Config(Config),
    /// Stop all mutating work at once, and lift the stop
    #[command(subcommand)]
    Emergency(Emergency),
    /// The page in the browser
    #[command(subcommand)]
    Console(Console),
    /// Persons who may approve
    #[command(subcommand)]
    Person(Person),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `aiosctl approval …`
#[derive(Debug, Subcommand)]
pub enum Approval {
    /// Approvals that wait for a person
    List {
        /// Decided ones too
        #[arg(long)]
        all: bool,
        /// Only those of this goal
        #[arg(long, value_name = "GOAL", value_parser = goal_id)]
        goal: Option<String>,
    },
    /// One approval: what would happen to what
    Show {
        /// Approval id
        #[arg(value_parser = full_id)]
        id: String,
    },
    /// Say yes
    Approve(Decide),
    /// Say no
    Deny(Decide),
    /// Tell a program or an address of each that waits, until interrupted
    Notify(Notify),
}

/// A decision.
#[derive(Debug, Args)]
pub struct Decide {
    /// Approval id
    #[arg(value_parser = full_id)]
    pub id: String,
    /// Remember for calls within this capability, `fs:delete:/var/log/**`
    #[arg(long, value_name = "SCOPE", value_parser = sentence)]
    pub remember: Option<String>,
}

/// `aiosctl tool …`
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// Tools, sorted by name
    List {
        /// Only this namespace, `fs`
        #[arg(value_parser = namespace)]
        namespace: Option<String>,
    },
    /// One tool with its schemas
    Show {
        /// Tool name, `fs.delete`
        #[arg(value_parser = tool_name)]
        name: String,
    },
    /// Call a tool yourself; it runs as a goal of one task
    Call {
        /// Tool name, `fs.stat`
        #[arg(value_parser = tool_name)]
        name: String,
        /// Arguments, a JSON object
        #[arg(value_parser = json_object)]
        args: String,
        /// Say what would change, change nothing
        #[arg(long)]
        dry_run: bool,
        /// How to follow
        #[command(flatten)]
        follow: Follow,
    },
}

/// `aiosctl agent …`
#[derive(Debug, Subcommand)]
pub enum Agent {
    /// Agents and what holds them
    List,
    /// One agent
    Show {
        /// Agent id
        #[arg(value_parser = full_id)]
        id: String,
    },
    /// What an agent printed
    Logs {
        /// Agent id
        #[arg(value_parser = full_id)]
        id: String,
        /// How much, and whether to keep following
        #[command(flatten)]
        lines: Lines,
    },
    /// Freeze an agent where it stands
    Freeze {
        /// Agent id
        #[arg(value_parser = full_id)]
        id: String,
    },
    /// Let a frozen agent go on
    Thaw {
        /// Agent id
        #[arg(value_parser = full_id)]
        id: String,
    },
}

/// How much of a log.
#[derive(Args, Clone, Copy, Debug)]
pub struct Lines {
    /// Keep following
    #[arg(long)]
    pub follow: bool,
    /// The last N lines
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub last: u32,
}

/// `aiosctl memory …`
#[derive(Debug, Subcommand)]
pub enum Memory {
    /// Sizes of the tiers
    Stats,
    /// Why goals were done as they were
    Decisions {
        /// Only this goal
        #[arg(value_parser = goal_id)]
        goal: Option<String>,
    },
    /// Recent events of the machine
    Recent {
        /// Only from this service
        #[arg(long, value_name = "SERVICE")]
        source: Option<String>,
        /// The last N
        #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        last: u32,
    },
}

/// `aiosctl audit …`
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// The newest records
    Tail {
        /// Keep following
        #[arg(long)]
        follow: bool,
        /// The last N
        #[arg(long, short = 'n', value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        last: u64,
        /// Only records of this goal
        #[arg(long, value_name = "GOAL", value_parser = full_id)]
        goal: Option<String>,
    },
    /// One record with its payloads
    Show {
        /// Sequence number
        seq: u64,
    },
    /// Check a log offline: every hash, every signature, and the anchor
    Verify {
        /// A log directory or an exported file [default: the log of this instance]
        path: Option<PathBuf>,
        /// A head noted earlier: a file, or the text itself; finds a log cut at a checkpoint
        #[arg(long, value_name = "HEAD")]
        anchor: Option<String>,
    },
    /// The newest signed checkpoint, to be noted as an anchor
    Head,
    /// Prove that a record is in the log
    Prove {
        /// Sequence number
        seq: u64,
    },
    /// Write the whole log to a directory that `verify` reads
    Export {
        /// The directory; must not exist
        dir: PathBuf,
    },
}

/// `aiosctl service …`
#[derive(Debug, Subcommand)]
pub enum Service {
    /// Services in start order
    List,
    /// One service
    Status {
        /// Service name, `aios-guard`
        #[arg(value_parser = name)]
        name: String,
    },
    /// Start a service, and what it needs
    Start {
        /// Service name
        #[arg(value_parser = name)]
        name: String,
    },
    /// Stop a service, and what needs it
    Stop {
        /// Service name
        #[arg(value_parser = name)]
        name: String,
    },
    /// Read new and changed service files; what runs goes on as it is
    Reload,
    /// Stop and start a service
    Restart {
        /// Service name
        #[arg(value_parser = name)]
        name: String,
    },
    /// Start a service at boot, from now on
    Enable {
        /// Service name
        #[arg(value_parser = name)]
        name: String,
    },
    /// Do not start a service at boot, unless an enabled one needs or wants it
    Disable {
        /// Service name
        #[arg(value_parser = name)]
        name: String,
    },
    /// What a service logged
    Logs {
        /// Service name
        #[arg(value_parser = name)]
        name: String,
        /// How much, and whether to keep following
        #[command(flatten)]
        lines: Lines,
    },
}

/// `aiosctl policy …`
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Which rule decides about a call
    Explain {
        /// Tool name, `fs.delete`
        #[arg(value_parser = tool_name)]
        name: String,
        /// Arguments, a JSON object
        #[arg(value_parser = json_object)]
        args: String,
        /// Autonomy level to assume
        #[arg(long, value_name = "LEVEL")]
        level: Option<Level>,
        /// Assume that untrusted text shaped the call
        #[arg(long)]
        tainted: bool,
        /// A path that the call touches; may be repeated
        #[arg(long = "path", value_name = "PATH")]
        paths: Vec<String>,
    },
}

/// `aiosctl runbook …`
#[derive(Debug, Subcommand)]
pub enum Runbook {
    /// Runbooks in force, with words that start them
    List,
    /// Find mistakes in runbook files before the orchestrator does
    Check {
        /// Files to check [default: the runbooks of this instance]
        files: Vec<PathBuf>,
    },
    /// Check a runbook file, and try its cases on their recorded evidence; nothing is called
    Test {
        /// The file
        file: PathBuf,
    },
}

/// `aiosctl config …`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Every value in force
    Show {
        /// Say where each comes from
        #[arg(long)]
        origin: bool,
    },
    /// Find mistakes before a service does
    Check {
        /// A file to check [default: the files of this instance]
        file: Option<PathBuf>,
    },
}

/// Why everything was stopped, when nobody said.
pub const DEFAULT_REASON: &str = "stopped by hand";

/// `aiosctl emergency …`
#[derive(Debug, Subcommand)]
pub enum Emergency {
    /// Close all front doors, revoke all tokens, refuse every change
    Stop {
        /// Why; goes to the log
        #[arg(default_value = DEFAULT_REASON)]
        reason: String,
    },
    /// Lift the stop
    Resume,
}

/// `aiosctl console …`
#[derive(Debug, Subcommand)]
pub enum Console {
    /// Print a link that signs a browser in once
    Open,
}

/// `aiosctl person …`
#[derive(Debug, Subcommand)]
pub enum Person {
    /// Make a key and register it with the guard; the first person is enrolled by root
    Enrol {
        /// Whom to enrol, a user name; needs root [default: you]
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
}

fn sentence(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("must not be empty".to_owned()),
        trimmed if trimmed.len() > 4096 => {
            Err(format!("{} bytes long; at most 4096 are accepted", trimmed.len()))
        }
        trimmed => Ok(trimmed.to_owned()),
    }
}

fn id_characters(text: &str) -> Result<(), String> {
    match text.chars().find(|c| !(c.is_ascii_hexdigit() || *c == '-')) {
        Some(c) => Err(format!(
            "`{c}` cannot be part of an id; an id looks like 01930000-0000-7000-8000-000000000000"
        )),
        None => Ok(()),
    }
}

fn goal_id(text: &str) -> Result<String, String> {
    id_characters(text)?;
    if text.len() < 6 || text.len() > 36 {
        return Err("give the whole id, or 6 or more characters of its beginning or end".to_owned());
    }
    Ok(text.to_ascii_lowercase())
}

fn full_id(text: &str) -> Result<String, String> {
    id_characters(text)?;
    uuid::Uuid::parse_str(text)
        .map(|id| id.to_string())
        .map_err(|_| "not a whole id (36 characters)".to_owned())
}

/// A part of a tool's name.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn namespace(text: &str) -> Result<String, String> {
    if is_word(text) && text.len() <= 64 {
        return Ok(text.to_owned());
    }
    Err("a namespace is the first word of a tool's name, such as fs; see `aiosctl tool list`".to_owned())
}

fn tool_name(text: &str) -> Result<String, String> {
    match text.split_once('.') {
        Some((namespace, verb)) if is_word(namespace) && is_word(verb) => Ok(text.to_owned()),
        _ => Err("a tool is called `namespace.verb`, such as fs.list; see `aiosctl tool list`".to_owned()),
    }
}

fn json_object(text: &str) -> Result<String, String> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Object(_)) => Ok(text.to_owned()),
        Ok(_) => Err("must be a JSON object, such as '{\"path\":\"/var/log\"}'".to_owned()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

fn name(text: &str) -> Result<String, String> {
    if !text.is_empty()
        && text.len() <= 64
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    {
        return Ok(text.to_owned());
    }
    Err("a service is called something like aios-guard; see `aiosctl service list`".to_owned())
}
