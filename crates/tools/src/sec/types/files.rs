//! Types of the tools that look through directory trees.

use super::{Severity, default_limit};
use crate::fs::args::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

fn default_name() -> String {
    "default".to_owned()
}

/// Arguments of sec.check_permissions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermissionsArgs {
    /// Absolute path of the directory to look through.
    pub root: String,
    /// Most findings wanted, 1 to 1000; the worst come first.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: u32,
}

/// What is wrong with an owner or a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// Everybody may change the file.
    WorldWritableFile,
    /// Everybody may remove and replace what others put into the directory.
    WorldWritableDirectory,
    /// Somebody else than root can change what root's PATH leads to.
    WritableOnPath,
    /// Everybody may read a private key.
    ReadablePrivateKey,
    /// A file of the system belongs to an ordinary user.
    WrongOwner,
    /// No account has the owner's number.
    NoOwner,
    /// No group has the group's number.
    NoGroup,
}

/// One thing with a wrong owner or mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermissionFinding {
    /// Absolute path.
    pub path: String,
    /// Kind.
    pub kind: Kind,
    /// Permission bits, octal text `0644`.
    pub mode: String,
    /// Owner's user id.
    pub uid: u32,
    /// Owner's group id.
    pub gid: u32,
    /// Owner's name; absent when no account has the number.
    pub owner: Option<String>,
    /// Group's name; absent when no group has the number.
    pub group: Option<String>,
    /// What is wrong.
    pub problem: Problem,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence: what can happen because of it.
    pub why: String,
    /// Mode that mends it; absent when the mode is right.
    pub suggested_mode: Option<String>,
    /// `owner:group` that mends it; absent when only a person can know.
    pub suggested_owner: Option<String>,
}

/// Result of sec.check_permissions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermissionsResult {
    /// The directory, every symbolic link resolved.
    pub root: String,
    /// Findings, the worst first, then by path.
    pub findings: Vec<PermissionFinding>,
    /// All findings, also those beyond `limit`.
    pub total: u64,
    /// True when there are more than `limit`.
    pub truncated: bool,
    /// Things looked at.
    pub looked_at: u64,
    /// Things not looked at: other mounts, protected or not granted places, names that are not UTF-8.
    pub skipped: u64,
}

/// Arguments of sec.find_suid.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuidArgs {
    /// Absolute path of the directory to look through.
    pub root: String,
    /// Name of a baseline of this very directory to compare with; without it the package database says
    /// what is known.
    #[serde(default)]
    pub baseline: Option<String>,
    /// Most files wanted, 1 to 1000; surprises come first.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: u32,
}

/// A file that runs with other rights than those of whoever starts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuidFile {
    /// Absolute path.
    pub path: String,
    /// Permission bits, octal text `4755`.
    pub mode: String,
    /// Owner's user id.
    pub uid: u32,
    /// Owner's group id.
    pub gid: u32,
    /// It runs as its owner.
    pub set_uid: bool,
    /// It runs with its group.
    pub set_gid: bool,
    /// Capabilities of the file, `cap_net_raw`.
    pub capabilities: Vec<String>,
    /// Package that the file belongs to; absent when none does, or when a baseline was compared with.
    pub package: Option<String>,
    /// Whether it belongs to a package, or is in the baseline as it is now.
    pub known: bool,
    /// What is suspicious about it, one sentence each.
    pub concerns: Vec<String>,
}

/// Result of sec.find_suid.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuidResult {
    /// The directory, every symbolic link resolved.
    pub root: String,
    /// What says which files are known: `packages`, `baseline NAME`, or `nothing` where there is no
    /// package database.
    pub compared_with: String,
    /// The files, surprises first, then by path.
    pub files: Vec<SuidFile>,
    /// All such files, also those beyond `limit`.
    pub total: u64,
    /// Files that are not known or give reason for concern.
    pub surprises: u64,
    /// True when there are more than `limit`.
    pub truncated: bool,
    /// Things looked at.
    pub looked_at: u64,
    /// Things not looked at: other mounts, protected or not granted places, names that are not UTF-8.
    pub skipped: u64,
}

/// Arguments of sec.integrity_baseline.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaselineArgs {
    /// Absolute path of the directory to remember.
    pub path: String,
    /// Name of the baseline; a directory may have several. An earlier one of this name is replaced.
    #[serde(default = "default_name")]
    pub name: String,
}

/// Result of sec.integrity_baseline.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaselineResult {
    /// The directory, every symbolic link resolved.
    pub path: String,
    /// Name of the baseline.
    pub name: String,
    /// Things remembered, the directory itself among them.
    pub entries: u64,
    /// Bytes of content that were digested.
    pub bytes: u64,
    /// SHA-256 of the baseline itself, hex: keep it elsewhere to prove that nobody changed the baseline.
    pub sha256: String,
    /// Whether an earlier baseline of this name was replaced.
    pub replaced: bool,
    /// Things left out: other mounts, protected or not granted places, names that are not UTF-8.
    pub skipped: u64,
}

/// Arguments of sec.integrity_check.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntegrityArgs {
    /// Absolute path of the directory that the baseline is of.
    pub path: String,
    /// Name of the baseline.
    #[serde(default = "default_name")]
    pub name: String,
    /// Most changes wanted, 1 to 1000.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: u32,
}

/// How a thing differs from its baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// It is not there any more.
    Removed,
    /// It is another now.
    Changed,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldChange {
    /// `kind`, `mode`, `uid`, `gid`, `size_bytes`, `mtime`, `sha256`, `target`, `xattrs`, `links` or `device`.
    pub field: String,
    /// As it was.
    pub before: String,
    /// As it is.
    pub after: String,
}

/// One thing that differs from its baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TreeChange {
    /// Absolute path.
    pub path: String,
    /// What it is, or was.
    pub kind: Kind,
    /// How it differs.
    pub change: ChangeKind,
    /// Fields that differ; empty for what was added or removed.
    pub fields: Vec<FieldChange>,
}

/// Result of sec.integrity_check.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntegrityResult {
    /// The directory, every symbolic link resolved.
    pub path: String,
    /// Name of the baseline.
    pub name: String,
    /// When the baseline was made, milliseconds since 1970, UTC.
    pub made_ms: i64,
    /// Changes, by path.
    pub changes: Vec<TreeChange>,
    /// Things that were added.
    pub added: u64,
    /// Things that were removed.
    pub removed: u64,
    /// Things that are others now.
    pub changed: u64,
    /// Things that are as they were.
    pub unchanged: u64,
    /// True when there are more changes than `limit`.
    pub truncated: bool,
    /// Things not compared: other mounts, protected or not granted places, names that are not UTF-8.
    pub skipped: u64,
}
