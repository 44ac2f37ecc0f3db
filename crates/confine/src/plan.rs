//! What a process shall run as and what it shall not be able to do, as plain data.
//!
//! The default plan changes nothing but the session: every restriction is asked for by name. What a
//! service of aiOS asks for stands in its TOML file.

use crate::caps::CapSet;
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that happens to a process between fork and exec.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// User, group and supplementary groups; none keeps the caller's.
    pub identity: Option<Identity>,
    /// Capabilities.
    pub capabilities: Capabilities,
    /// Whether neither the process nor a descendant can ever gain privileges by exec.
    pub no_new_privs: bool,
    /// AppArmor profile that the exec enters.
    pub apparmor: Option<String>,
    /// Landlock rules; none leaves the file system as it is.
    pub landlock: Option<Landlock>,
    /// Seccomp filter by name, see [`crate::seccomp::NAMES`]. Needs `no_new_privs`.
    pub seccomp: Option<String>,
    /// Directory of the cgroup (v2) that the process enters; it must exist.
    pub cgroup: Option<PathBuf>,
    /// What the process sees of the file system.
    pub view: Option<View>,
    /// Resource limits.
    pub limits: Vec<Limit>,
    /// File mode creation mask; none keeps the caller's.
    pub umask: Option<u32>,
    /// The kernel's out-of-memory preference, -1000 to 1000; none keeps the caller's.
    pub oom_score_adj: Option<i32>,
    /// Directory to start in; none keeps the caller's.
    pub directory: Option<PathBuf>,
    /// Signal that the process gets when its parent dies, 0 for none.
    pub parent_death_signal: i32,
    /// Whether the process leads a session of its own.
    pub new_session: bool,
}

/// Who a process runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary group ids.
    #[serde(default)]
    pub groups: Vec<u32>,
}

/// What becomes of capabilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Capabilities {
    /// Untouched: a change of user drops them as usual, and set-uid programs still work.
    #[default]
    Untouched,
    /// Exactly these, ambient; everything else leaves the bounding set too.
    Keep(CapSet),
}

/// Landlock: allowed below these paths, refused everywhere else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Landlock {
    /// Reading and executing.
    pub read: Vec<PathBuf>,
    /// Everything.
    pub write: Vec<PathBuf>,
    /// Whether abstract Unix sockets and signals stay within the process's own domain (newer kernels).
    pub scoped: bool,
}

/// One resource limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Which.
    pub resource: Resource,
    /// What the process gets.
    pub soft: u64,
    /// How far it may raise it itself.
    pub hard: u64,
}

/// Resources that can be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Open files.
    Nofile,
    /// Processes of the user.
    Nproc,
    /// Bytes of a core dump.
    Core,
    /// Bytes of a file.
    Fsize,
    /// Bytes of address space.
    As,
    /// Bytes of locked memory.
    Memlock,
}
