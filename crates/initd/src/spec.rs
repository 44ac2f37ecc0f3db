//! A service's file.
//!
//! Files lie in `vendor/services/*.toml` and `etc/services/*.toml`; the name of the file is the name
//! of the service, and keys of the second win one by one. `${VENDOR}`, `${ETC}`, `${STATE}`, `${RUN}`
//! and `${UID}` stand for the directories of this instance and the user's id.
//!
//! ```toml
//! command = ["aios-guard"]
//! user = "aios-guard"
//! groups = ["aios"]
//! ready = "notify"
//! [[socket]]
//! path = "${RUN}/guard.sock"
//! ```

mod admit;
mod check;
mod load;
mod read;

pub use admit::admit;
pub use load::load_all;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// One service, as its file says; see `configs/services/` for examples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spec {
    /// Name; that of the file.
    #[serde(skip)]
    pub name: String,
    /// The files that say it, the vendor's first.
    #[serde(skip)]
    pub files: Vec<String>,
    /// One sentence.
    pub description: String,
    /// Program and arguments; a program without a slash is one of `${VENDOR}/bin`.
    pub command: Vec<String>,
    /// User.
    pub user: String,
    /// Group; empty means the user's own.
    pub group: String,
    /// Supplementary groups.
    pub groups: Vec<String>,
    /// Where it runs; empty means the user's home for a service with a `runtime_dir`, else `/`.
    pub working_directory: String,
    /// Whether it is started at boot.
    pub enabled: bool,
    /// Whether it is only there on a booted machine: it keeps the machine's own network, clock or doors.
    pub machine_only: bool,
    /// Whether the system is degraded without it.
    pub critical: bool,
    /// Services that must be ready before, and without which this one stops.
    pub needs: Vec<String>,
    /// Services that are started too, but may fail.
    pub wants: Vec<String>,
    /// Services that are started before, if they are started at all.
    pub after: Vec<String>,
    /// How it says that it is ready.
    pub ready: Ready,
    /// Time until ready, milliseconds.
    pub start_timeout_ms: u64,
    /// Time between SIGTERM and SIGKILL, milliseconds.
    pub stop_timeout_ms: u64,
    /// Longest silence, milliseconds; 0 for no watchdog.
    pub watchdog_ms: u64,
    /// Its place in the order in which services are stopped when memory is short, the highest first; 0 for never.
    pub shed: u32,
    /// When it is started again. Without the key: always, and never for one that is ready by its exit.
    pub restart: Restart,
    /// First pause before a restart, milliseconds; doubled each time.
    pub restart_min_ms: u64,
    /// Longest pause before a restart, milliseconds.
    pub restart_max_ms: u64,
    /// Lines that it may write to its log in a second, in the long run; 0 for any number. What is more is dropped,
    /// counted, and the log says how many.
    pub log_lines_per_s: u64,
    /// Lines that it may write at once.
    pub log_burst: u64,
    /// Environment.
    pub environment: BTreeMap<String, String>,
    /// Whether `/run/user/UID` is made and named in `XDG_RUNTIME_DIR`.
    pub runtime_dir: bool,
    /// Sockets that are opened for it.
    pub socket: Vec<Socket>,
    /// Directories that are made for it.
    pub directory: Vec<Directory>,
    /// Limits.
    pub limits: Limits,
    /// What locks it down.
    pub confine: Confine,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            name: String::new(),
            files: Vec::new(),
            description: String::new(),
            command: Vec::new(),
            user: String::new(),
            group: String::new(),
            groups: Vec::new(),
            working_directory: String::new(),
            enabled: true,
            machine_only: false,
            critical: false,
            needs: Vec::new(),
            wants: Vec::new(),
            after: Vec::new(),
            ready: Ready::Notify,
            start_timeout_ms: 90_000,
            stop_timeout_ms: 15_000,
            watchdog_ms: 0,
            shed: 0,
            restart: Restart::Always,
            restart_min_ms: 200,
            restart_max_ms: 30_000,
            log_lines_per_s: 1000,
            log_burst: 10_000,
            environment: BTreeMap::new(),
            runtime_dir: false,
            socket: Vec::new(),
            directory: Vec::new(),
            limits: Limits::default(),
            confine: Confine::default(),
        }
    }
}

/// How a service says that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// `READY=1` on `$NOTIFY_SOCKET`, from the service's main process.
    Notify,
    /// A newline on the descriptor that `$READY_FD` names.
    Fd,
    /// It is ready as soon as it runs.
    None,
    /// It does one thing and is ready once it has ended with exit status 0.
    Exit,
}

/// When a service is started again after it ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Always.
    Always,
    /// Unless it ended with exit status 0.
    OnFailure,
    /// Never.
    Never,
}

/// A listening Unix socket, held by the supervisor across the service's restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Socket {
    /// Where.
    pub path: String,
    /// Name in `$LISTEN_FDNAMES`; empty means the file's name without `.sock`.
    #[serde(default)]
    pub name: String,
    /// Owner; empty means the service's user.
    #[serde(default)]
    pub user: String,
    /// Group; empty means `aios`.
    #[serde(default)]
    pub group: String,
    /// Mode, octal.
    #[serde(default = "socket_mode")]
    pub mode: String,
    /// Whether the service is only started by the first connection.
    #[serde(default)]
    pub on_demand: bool,
}

fn socket_mode() -> String {
    "0660".into()
}

impl Socket {
    /// Name in `$LISTEN_FDNAMES`.
    pub fn fd_name(&self) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        let file = self.path.rsplit('/').next().unwrap_or(&self.path);
        file.strip_suffix(".sock").unwrap_or(file).to_owned()
    }
}

/// A directory that is made before the service starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Where.
    pub path: String,
    /// Owner; empty means the service's user.
    #[serde(default)]
    pub user: String,
    /// Group; empty means the service's group.
    #[serde(default)]
    pub group: String,
    /// Mode, octal.
    #[serde(default = "directory_mode")]
    pub mode: String,
}

fn directory_mode() -> String {
    "0700".into()
}

/// Limits; none leaves what the supervisor has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Memory of all its processes, bytes (needs cgroup controllers).
    pub memory_bytes: Option<u64>,
    /// Memory from which on it is slowed down and has to give some back, bytes (needs cgroup controllers).
    pub memory_high_bytes: Option<u64>,
    /// Processes and threads (needs cgroup controllers).
    pub pids: Option<u64>,
    /// Share of processor time, 1 to 10000 (needs cgroup controllers).
    pub cpu_weight: Option<u64>,
    /// Share of disk time, 1 to 10000 (needs the kernel's io controller with weights).
    pub io_weight: Option<u64>,
    /// Open files of one process.
    pub open_files: Option<u64>,
    /// The kernel's preference when memory runs out, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}

/// What locks a service down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Confine {
    /// Capabilities that it keeps; all others leave the bounding set.
    pub capabilities: Vec<String>,
    /// Capabilities that it keeps on machines that have them; what it then cannot do, it says.
    pub capabilities_if_there: Vec<String>,
    /// Leaves capabilities and the bounding set as a change of user leaves them. Only for a service
    /// that must run set-uid helpers.
    pub setuid_helpers: bool,
    /// Whether nothing it executes can gain privileges.
    pub no_new_privs: bool,
    /// Seccomp filter; empty for none.
    pub seccomp: String,
    /// AppArmor profile; empty for none.
    pub apparmor: String,
    /// Directories it does not see.
    pub hide: Vec<String>,
    /// Directories it does not see, on machines that have them.
    pub hide_if_there: Vec<String>,
    /// Paths put back, writable.
    pub bind: Vec<String>,
    /// Paths put back, read-only.
    pub bind_read_only: Vec<String>,
    /// The same, where they are there when it is started.
    pub bind_read_only_if_there: Vec<String>,
    /// Paths that it sees read-only.
    pub read_only: Vec<String>,
    /// File mode creation mask, octal.
    pub umask: String,
    /// Where its cgroup lies: `services`, `workers` or `agents`.
    pub slice: String,
    /// Whether the slice belongs to the service, which runs in its `leaf`.
    pub delegate: bool,
}

impl Default for Confine {
    fn default() -> Self {
        Self {
            capabilities: Vec::new(),
            capabilities_if_there: Vec::new(),
            setuid_helpers: false,
            no_new_privs: true,
            seccomp: String::new(),
            apparmor: String::new(),
            hide: Vec::new(),
            hide_if_there: Vec::new(),
            bind: Vec::new(),
            bind_read_only: Vec::new(),
            bind_read_only_if_there: Vec::new(),
            read_only: Vec::new(),
            umask: "0077".into(),
            slice: "services".into(),
            delegate: false,
        }
    }
}

impl Ready {
    /// The word in a file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Notify => "notify",
            Self::Fd => "fd",
            Self::None => "none",
            Self::Exit => "exit",
        }
    }
}

impl Restart {
    /// The word in a file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::OnFailure => "on-failure",
            Self::Never => "never",
        }
    }
}

impl Spec {
    /// SHA-256 of all that says how it is run, hex. Whether it is started at boot is no part of that.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn digest(&self) -> crate::error::Result<String> {
        let plain = Self {
            enabled: true,
            ..self.clone()
        };
        let text =
            serde_json::to_vec(&plain).map_err(crate::error::InitError::system("cannot write a spec"))?;
        Ok(hex::encode(Sha256::digest(text)))
    }

    /// Whether the service waits for a first connection before it is started.
    pub fn on_demand(&self) -> bool {
        self.socket.iter().any(|socket| socket.on_demand)
    }

    /// What locks it down, one word each.
    pub fn confinement(&self) -> Vec<String> {
        let confine = &self.confine;
        let words = [
            ("user", self.user != "root"),
            ("caps", !confine.setuid_helpers),
            ("no_new_privs", confine.no_new_privs),
            (
                "namespace",
                !confine.hide.is_empty() || !confine.read_only.is_empty(),
            ),
            ("cgroup", true),
            ("apparmor", !confine.apparmor.is_empty()),
            ("seccomp", !confine.seccomp.is_empty()),
        ];
        words
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(word, _)| word.to_owned())
            .collect()
    }
}
