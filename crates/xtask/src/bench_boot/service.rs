//! A service's file, as far as systemd can be told the same. A key that is not known here is an error: the comparison
//! would be of two different things.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Where aiOS lies on an installed machine.
const PLACES: [(&str, &str); 4] = [
    ("${VENDOR}", "/usr/lib/aios"),
    ("${ETC}", "/etc/aios"),
    ("${STATE}", "/var/lib/aios"),
    ("${RUN}", "/run/aios"),
];

/// One service; `crates/initd/src/spec.rs` says what each key means.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    #[serde(skip)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) command: Vec<String>,
    pub(super) user: String,
    #[serde(default)]
    pub(super) group: String,
    #[serde(default)]
    pub(super) groups: Vec<String>,
    #[serde(default)]
    pub(super) working_directory: String,
    #[serde(default = "yes")]
    pub(super) enabled: bool,
    /// Both sides are booted machines.
    #[serde(default, rename = "machine_only")]
    _machine_only: bool,
    /// systemd knows failed units, not a degraded system.
    #[serde(default, rename = "critical")]
    _critical: bool,
    #[serde(default)]
    pub(super) needs: Vec<String>,
    #[serde(default)]
    pub(super) wants: Vec<String>,
    #[serde(default)]
    pub(super) after: Vec<String>,
    #[serde(default = "notify")]
    pub(super) ready: String,
    #[serde(default = "start_timeout")]
    pub(super) start_timeout_ms: u64,
    #[serde(default = "stop_timeout")]
    pub(super) stop_timeout_ms: u64,
    #[serde(default)]
    pub(super) watchdog_ms: u64,
    pub(super) restart: Option<String>,
    #[serde(default = "restart_min")]
    pub(super) restart_min_ms: u64,
    #[serde(default = "restart_max")]
    pub(super) restart_max_ms: u64,
    #[serde(default = "lines")]
    pub(super) log_lines_per_s: u64,
    #[serde(default = "burst")]
    pub(super) log_burst: u64,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) runtime_dir: bool,
    #[serde(default)]
    pub(super) socket: Vec<Socket>,
    #[serde(default)]
    pub(super) directory: Vec<Directory>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) confine: Confine,
}

/// A listening socket.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Socket {
    pub(super) path: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) user: String,
    #[serde(default)]
    pub(super) group: String,
    #[serde(default)]
    pub(super) mode: String,
    #[serde(default)]
    pub(super) on_demand: bool,
}

/// A directory that is made for the service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Directory {
    pub(super) path: String,
    #[serde(default)]
    pub(super) user: String,
    #[serde(default)]
    pub(super) group: String,
    #[serde(default)]
    pub(super) mode: String,
}

/// Limits.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) memory_bytes: Option<u64>,
    pub(super) pids: Option<u64>,
    pub(super) cpu_weight: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) oom_score_adj: Option<i32>,
}

/// What locks it down.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Confine {
    pub(super) capabilities: Vec<String>,
    pub(super) capabilities_if_there: Vec<String>,
    pub(super) setuid_helpers: bool,
    pub(super) no_new_privs: bool,
    pub(super) seccomp: String,
    pub(super) apparmor: String,
    pub(super) hide: Vec<String>,
    pub(super) hide_if_there: Vec<String>,
    pub(super) bind: Vec<String>,
    pub(super) bind_read_only: Vec<String>,
    pub(super) bind_read_only_if_there: Vec<String>,
    pub(super) read_only: Vec<String>,
    pub(super) umask: String,
    pub(super) slice: String,
    pub(super) delegate: bool,
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
            umask: "0077".to_owned(),
            slice: "services".to_owned(),
            delegate: false,
        }
    }
}

fn yes() -> bool {
    true
}

fn notify() -> String {
    "notify".to_owned()
}

fn start_timeout() -> u64 {
    90_000
}

fn stop_timeout() -> u64 {
    15_000
}

fn restart_min() -> u64 {
    200
}

fn restart_max() -> u64 {
    30_000
}

fn lines() -> u64 {
    1000
}

fn burst() -> u64 {
    10_000
}

impl Service {
    /// Reads a service's file; the directories of an installed machine are put in.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self> {
        let text = PLACES
            .iter()
            .fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        let mut service: Self = toml::from_str(&text).with_context(|| format!("{name}.toml"))?;
        name.clone_into(&mut service.name);
        ensure!(
            !format!("{service:?}").contains("${"),
            "{name}.toml has a placeholder that systemd has no word for"
        );
        if let Some(program) = service.command.first_mut().filter(|it| !it.contains('/')) {
            *program = format!("/usr/lib/aios/bin/{program}");
        }
        Ok(service)
    }

    /// Its group; that of its user when it names none.
    pub(super) fn group(&self) -> &str {
        if self.group.is_empty() {
            &self.user
        } else {
            &self.group
        }
    }

    /// When it is started again.
    pub(super) fn restart(&self) -> &str {
        let unsaid = if self.ready == "exit" { "never" } else { "always" };
        self.restart.as_deref().unwrap_or(unsaid)
    }
}

impl Socket {
    /// Name in `$LISTEN_FDNAMES`.
    pub(super) fn fd_name(&self) -> &str {
        if !self.name.is_empty() {
            return &self.name;
        }
        let file = self.path.rsplit('/').next().unwrap_or(&self.path);
        file.strip_suffix(".sock").unwrap_or(file)
    }
}
