//! Arguments and results of the fs tools that only look.

use super::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

fn default_entries() -> u32 {
    1000
}
fn default_read() -> u64 {
    64 << 10
}
fn default_glob() -> String {
    "*".to_owned()
}

/// Arguments of fs.list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListArgs {
    /// Absolute path of the directory.
    pub path: String,
    /// Most entries wanted, 1 to 10000.
    #[serde(default = "default_entries")]
    #[schemars(range(min = 1, max = 10000))]
    pub limit: u32,
}

/// One thing in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Name without directory.
    pub name: String,
    /// Kind.
    pub kind: Kind,
    /// Size in bytes.
    pub size: u64,
    /// Last change of the content, milliseconds since 1970, UTC.
    pub mtime_ms: i64,
}

/// Result of fs.list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListResult {
    /// The directory, every symbolic link resolved.
    pub path: String,
    /// Entries, sorted by name.
    pub entries: Vec<Entry>,
    /// True when there are more than `limit`.
    pub truncated: bool,
    /// Entries left out because their names are not UTF-8.
    pub unnamed: u64,
}

/// Arguments of fs.stat.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatArgs {
    /// Absolute path. A symbolic link is described itself, not what it leads to.
    pub path: String,
}

/// Result of fs.stat.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatResult {
    /// Path with every directory link resolved.
    pub path: String,
    /// False when nothing is there; the other fields are then empty or 0.
    pub exists: bool,
    /// Kind; absent when nothing is there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<Kind>,
    /// Size in bytes.
    pub size: u64,
    /// Permission bits, octal text `0644`.
    pub mode: String,
    /// Owner's user id.
    pub uid: u32,
    /// Owner's group id.
    pub gid: u32,
    /// Last change of the content, milliseconds since 1970, UTC.
    pub mtime_ms: i64,
    /// Names that the file has.
    pub links: u64,
    /// Where a symbolic link points, as it is written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
}

/// What fs.search looks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchKind {
    /// Regular files.
    #[default]
    File,
    /// Directories.
    Dir,
    /// Symbolic links.
    Symlink,
    /// Everything.
    Any,
}

/// Arguments of fs.search.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchArgs {
    /// Absolute path of the directory to search; links are not followed, other mounts not entered.
    pub root: String,
    /// Glob on the name without directory, `*.log`.
    #[serde(default = "default_glob")]
    pub name_glob: String,
    /// Only what was last changed longer ago than this many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than_ms: Option<u64>,
    /// Only what is larger than this many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub larger_than_bytes: Option<u64>,
    /// Leaves out the N newest of all that match name and kind, whatever their age and size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_newest: Option<u32>,
    /// What to look for.
    #[serde(default)]
    pub kind: SearchKind,
    /// Most results wanted, 1 to 10000; the oldest come first.
    #[serde(default = "default_entries")]
    #[schemars(range(min = 1, max = 10000))]
    pub limit: u32,
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Absolute path.
    pub path: String,
    /// Kind.
    pub kind: Kind,
    /// Size in bytes.
    pub size: u64,
    /// Last change of the content, milliseconds since 1970, UTC.
    pub mtime_ms: i64,
}

/// Result of fs.search.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchResult {
    /// The directory searched, every symbolic link resolved.
    pub root: String,
    /// What was found, oldest first, then by path.
    pub files: Vec<Found>,
    /// Sum of the sizes of `files`, bytes.
    pub total_bytes: u64,
    /// How many matched name and kind.
    pub matched: u64,
    /// How many of those were left out by `keep_newest`.
    pub kept: u64,
    /// True when there are more than `limit`.
    pub truncated: bool,
    /// Directories not entered: another mount, not granted, protected or not readable.
    pub skipped: u64,
}

/// Arguments of fs.read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadArgs {
    /// Absolute path of the file.
    pub path: String,
    /// First byte wanted.
    #[serde(default)]
    pub offset: u64,
    /// Most bytes wanted, 1 to 1048576.
    #[serde(default = "default_read")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_bytes: u64,
}

/// How `content` is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// The bytes are UTF-8 text.
    Utf8,
    /// The bytes are in base64 (RFC 4648, with padding).
    Base64,
}

/// Result of fs.read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadResult {
    /// Path with every symbolic link resolved.
    pub path: String,
    /// Size of the whole file, bytes.
    pub size: u64,
    /// First byte returned.
    pub offset: u64,
    /// Bytes returned.
    pub bytes: u64,
    /// How `content` is written down.
    pub encoding: Encoding,
    /// The bytes.
    pub content: String,
    /// True when the end of the file was reached.
    pub eof: bool,
    /// Always true: content of a file is not to be trusted.
    pub tainted: bool,
}

/// Arguments of fs.disk_usage.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskUsageArgs {
    /// Absolute path of a directory or file; links are not followed, other mounts not entered.
    pub path: String,
}

/// Result of fs.disk_usage.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskUsageResult {
    /// Path with every symbolic link resolved.
    pub path: String,
    /// Space taken on the disk, bytes; a file with several names counts once.
    pub bytes: u64,
    /// Sum of the sizes, bytes; a file with several names counts once.
    pub apparent_bytes: u64,
    /// Files and links.
    pub files: u64,
    /// Directories, the first one included.
    pub dirs: u64,
    /// Directories not entered: another mount, not granted, protected or not readable.
    pub skipped: u64,
    /// Size of the file system, bytes.
    pub fs_total_bytes: u64,
    /// Free for ordinary users, bytes.
    pub fs_free_bytes: u64,
    /// How many files, links and directories the file system can hold; 0 when it has no such limit.
    pub fs_total_inodes: u64,
    /// How many more of them it can hold; 0 when it has no such limit.
    pub fs_free_inodes: u64,
    /// Whether what undo needs of deleted files is kept on the same file system, so that deleting frees nothing there
    /// until it is let go.
    pub keeps_snapshots: bool,
}

fn default_matches() -> u32 {
    200
}
fn default_file_bytes() -> u64 {
    8 << 20
}

/// Arguments of fs.grep.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrepArgs {
    /// Absolute path of a file, or of a directory whose files are searched; links are not followed, other
    /// mounts not entered.
    pub path: String,
    /// What to look for in each line: text, or a regular expression (Rust syntax) when `regex` is true.
    pub pattern: String,
    /// Whether `pattern` is a regular expression.
    #[serde(default)]
    pub regex: bool,
    /// Whether large and small letters are the same.
    #[serde(default)]
    pub ignore_case: bool,
    /// Glob on the file's name without directory, `*.conf`.
    #[serde(default = "default_glob")]
    pub name_glob: String,
    /// Larger files are left out and counted; 1 to 1073741824 bytes.
    #[serde(default = "default_file_bytes")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub max_file_bytes: u64,
    /// Most matching lines wanted, 1 to 10000.
    #[serde(default = "default_matches")]
    #[schemars(range(min = 1, max = 10000))]
    pub limit: u32,
}

/// One line that matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchedLine {
    /// Absolute path of the file.
    pub path: String,
    /// Number of the line, from 1.
    pub line: u64,
    /// The line without its end, at most 500 bytes around the match; bytes that are not UTF-8 are shown as U+FFFD.
    pub text: String,
    /// True when the line is longer than `text`.
    pub cut: bool,
}

/// Result of fs.grep.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrepResult {
    /// Path with every symbolic link resolved.
    pub path: String,
    /// Matching lines by path and line.
    pub matches: Vec<MatchedLine>,
    /// Files that were read.
    pub files: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Files left out because they hold a NUL byte in their first 8192 bytes.
    pub binary: u64,
    /// Files left out because they are larger than `max_file_bytes`.
    pub too_large: u64,
    /// Directories not entered (another mount, not granted, protected or not readable) and files not readable.
    pub skipped: u64,
    /// True when there may be more than `limit` matches, or more than 1 GiB would have had to be read.
    pub truncated: bool,
    /// Always true: content of a file is not to be trusted.
    pub tainted: bool,
}
