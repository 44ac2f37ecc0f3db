//! Arguments and results of the fs tools that change something.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Leaves a switch that is off out of the canonical form.
fn is_off(switch: &bool) -> bool {
    !*switch
}

/// How fs.write treats what is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Nothing may be there.
    #[default]
    Create,
    /// Replace the content; the file is made when it is not there.
    Overwrite,
    /// Add at the end; the file is made when it is not there.
    Append,
}

/// Arguments of fs.write. Exactly one of `content` and `content_base64` is given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteArgs {
    /// Absolute path of the file; its directory must exist.
    pub path: String,
    /// Text to write, at most 524288 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Bytes to write, base64 (RFC 4648, with padding), at most 524288 bytes decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_base64: Option<String>,
    /// Permission bits of a new file, octal text; `0644` when not given. An existing file keeps its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^0?[0-7]{3}$"))]
    pub mode: Option<String>,
    /// What to do with what is there.
    #[serde(default)]
    pub how: How,
}

/// Result of fs.write.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteResult {
    /// Path with every symbolic link resolved.
    pub path: String,
    /// Bytes written.
    pub bytes: u64,
    /// Size of the file afterwards, bytes.
    pub size: u64,
    /// True when the file was made.
    pub created: bool,
    /// SHA-256 of the file afterwards, hex.
    pub sha256: String,
}

/// Arguments of fs.delete. Exactly one of `path` and `paths` is given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteArgs {
    /// Absolute path of one file or symbolic link, with `recursive` also of a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Absolute paths, 1 to 10000: all are deleted, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10000))]
    pub paths: Option<Vec<String>>,
    /// Whether directories are deleted too, with everything in them.
    #[serde(default, skip_serializing_if = "is_off")]
    pub recursive: bool,
}

/// Result of fs.delete.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteResult {
    /// What was deleted, sorted; with a directory all that was in it.
    pub deleted: Vec<String>,
    /// How many of them were files and links.
    pub files: u64,
    /// How many of them were directories.
    #[serde(default)]
    pub dirs: u64,
    /// Space given back, bytes: files whose last name was deleted.
    pub bytes_freed: u64,
}

/// Arguments of fs.undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoArgs {
    /// Task of the execution to undo, a UUID.
    pub task_id: String,
    /// Step of the execution to undo, from 1.
    #[schemars(range(min = 1))]
    pub step: u64,
    /// Whether to undo what is still as the execution left it and to leave the rest, instead of refusing
    /// when somebody changed a part since.
    #[serde(default, skip_serializing_if = "is_off")]
    pub untouched_only: bool,
}

/// A place that an undo left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeftPlace {
    /// Absolute path.
    pub path: String,
    /// What somebody changed there since.
    pub why: String,
}

/// Result of fs.undo.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoResult {
    /// Paths that are again as they were, sorted.
    pub restored: Vec<String>,
    /// How many.
    pub files: u64,
    /// Bytes of content restored.
    pub bytes: u64,
    /// Places that were changed since and left as they are, sorted; only with `untouched_only`.
    #[serde(default)]
    pub left: Vec<LeftPlace>,
}

/// Arguments of fs.append. Exactly one of `content` and `content_base64` is given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppendArgs {
    /// Absolute path of the file; it is made with mode `0644` when it is not there, its directory must exist.
    pub path: String,
    /// Text to add, at most 524288 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Bytes to add, base64 (RFC 4648, with padding), at most 524288 bytes decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_base64: Option<String>,
}

/// Arguments of fs.mkdir.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MkdirArgs {
    /// Absolute path of the directory.
    pub path: String,
    /// Whether missing directories above it are made too; an existing directory is then no error.
    #[serde(default)]
    pub parents: bool,
    /// Permission bits of every directory made, octal text; `0755` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^0?[0-7]{3}$"))]
    pub mode: Option<String>,
}

/// Result of fs.mkdir.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MkdirResult {
    /// Path with every symbolic link resolved.
    pub path: String,
    /// Directories that were made, the uppermost first.
    pub created: Vec<String>,
}

/// Arguments of fs.copy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyArgs {
    /// Absolute path of a file, symbolic link (copied as a link) or directory.
    pub source: String,
    /// Absolute path of the copy itself; nothing may be there, its directory must exist.
    pub target: String,
    /// Whether a directory is copied, with everything in it; names that share one file become files of their own.
    #[serde(default)]
    pub recursive: bool,
    /// Whether owner, all mode bits, times and extended attributes (POSIX ACLs) are copied. Else the copy
    /// belongs to its directory's owner and has the permission bits.
    #[serde(default)]
    pub preserve: bool,
}

/// Result of fs.copy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyResult {
    /// What was copied, every directory link resolved.
    pub source: String,
    /// The copy.
    pub target: String,
    /// Files copied.
    pub files: u64,
    /// Directories made.
    pub dirs: u64,
    /// Symbolic links made.
    pub links: u64,
    /// Bytes copied.
    pub bytes: u64,
}

/// Arguments of fs.move.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveArgs {
    /// Absolute path of a file, symbolic link or directory.
    pub source: String,
    /// Absolute path of its new place, on the same file system; its directory must exist.
    pub target: String,
    /// Whether a file or link that is at `target` is replaced, in one step; a directory never is.
    #[serde(default)]
    pub replace: bool,
}

/// Result of fs.move.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveResult {
    /// Where it was.
    pub source: String,
    /// Where it is.
    pub target: String,
    /// True when something at `target` was replaced.
    pub replaced: bool,
    /// Files, directories and links that changed their path, the first one included.
    pub places: u64,
}

/// Arguments of fs.symlink.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SymlinkArgs {
    /// Absolute path of the link; nothing may be there, its directory must exist.
    pub path: String,
    /// Where it points, as it is to be written; it need not exist.
    pub target: String,
}

/// Result of fs.symlink.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SymlinkResult {
    /// Path with every directory link resolved.
    pub path: String,
    /// Where it points.
    pub target: String,
}

/// Arguments of fs.chmod.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChmodArgs {
    /// Absolute path of a file or directory.
    pub path: String,
    /// Octal bits, `0640` or `2755`, or symbolic changes, `u+rw,g=rX,o-w`.
    pub mode: String,
    /// Whether everything in a directory is changed too; symbolic links in it have no mode and are left.
    #[serde(default)]
    pub recursive: bool,
}

/// Arguments of fs.chown. At least one of `owner` and `group` is given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChownArgs {
    /// Absolute path of a file or directory.
    pub path: String,
    /// New owner, a user's name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// New group, a group's name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether everything in a directory is changed too; of symbolic links in it the links themselves.
    #[serde(default)]
    pub recursive: bool,
}

/// Result of fs.chmod and fs.chown.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetaResult {
    /// Path with every symbolic link resolved.
    pub path: String,
    /// Files, directories and links that were changed.
    pub changed: u64,
    /// Those that were so already.
    pub unchanged: u64,
    /// Symbolic links left alone.
    pub links_left: u64,
}

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// gzip, `.tar.gz`.
    Gz,
    /// Zstandard, `.tar.zst`.
    Zst,
}

/// Arguments of fs.archive.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveArgs {
    /// Absolute paths of files, symbolic links and directories, 1 to 10000; each enters the archive under its last
    /// name, which must differ.
    #[schemars(length(min = 1, max = 10000))]
    pub paths: Vec<String>,
    /// Absolute path of the archive; nothing may be there, its directory must exist.
    pub target: String,
    /// How it is compressed; when not given, by the end of its name: `.tar.gz`, `.tgz` or `.tar.zst`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
}

/// Result of fs.archive.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveResult {
    /// The archive.
    pub target: String,
    /// Files, directories and links in it. Extended attributes are not kept; names of one file are kept as files of their own.
    pub entries: u64,
    /// Bytes of content before compression.
    pub content_bytes: u64,
    /// Size of the archive, bytes.
    pub size: u64,
    /// SHA-256 of the archive, hex.
    pub sha256: String,
}
