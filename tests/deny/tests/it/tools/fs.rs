//! The fs tools, on a tree of the person's.

use super::entry::{Entry, changes, looks};
use super::silence::Late;

/// The tree.
pub(super) const FILES: &[(&str, &str)] = &[
    ("in/a.log", "first line\nsecond line\n"),
    ("in/sub/b.log", "b"),
    ("in/c.txt", "c"),
    ("out/d", "d"),
];

/// What takes longer than it is given.
pub(super) const LATE: &[Late] = &[Late {
    tool: "fs.disk_usage",
    args: r#"{"path": "/usr"}"#,
    timeout_ms: 20,
}];

pub(super) const TABLE: &[Entry] = &[
    looks("fs.list", r#"{"path": "{tree}/in"}"#, &["fs:list:{tree}/in"]),
    looks(
        "fs.stat",
        r#"{"path": "{tree}/in/a.log"}"#,
        &["fs:stat:{tree}/in/a.log"],
    ),
    looks(
        "fs.search",
        r#"{"root": "{tree}/in", "name_glob": "*.log"}"#,
        &["fs:search:{tree}/in/**"],
    ),
    looks(
        "fs.read",
        r#"{"path": "{tree}/in/a.log"}"#,
        &["fs:read:{tree}/in/a.log"],
    ),
    looks(
        "fs.disk_usage",
        r#"{"path": "{tree}/in"}"#,
        &["fs:disk_usage:{tree}/in/**"],
    ),
    looks(
        "fs.grep",
        r#"{"path": "{tree}/in", "pattern": "second"}"#,
        &["fs:grep:{tree}/in/**"],
    ),
    changes(
        "fs.write",
        r#"{"path": "{tree}/in/a.log", "content": "other", "how": "overwrite"}"#,
        &["fs:write:{tree}/in/a.log"],
    ),
    changes(
        "fs.append",
        r#"{"path": "{tree}/in/a.log", "content": "more"}"#,
        &["fs:append:{tree}/in/a.log"],
    ),
    changes(
        "fs.delete",
        r#"{"path": "{tree}/in", "recursive": true}"#,
        &["fs:delete:{tree}/in/**"],
    ),
    changes(
        "fs.mkdir",
        r#"{"path": "{tree}/in/new"}"#,
        &["fs:mkdir:{tree}/in/new"],
    ),
    changes(
        "fs.copy",
        r#"{"source": "{tree}/in/sub", "target": "{tree}/copy", "recursive": true}"#,
        &["fs:read:{tree}/in/sub/**", "fs:write:{tree}/copy/**"],
    ),
    changes(
        "fs.move",
        r#"{"source": "{tree}/in/sub", "target": "{tree}/moved"}"#,
        &["fs:delete:{tree}/in/sub/**", "fs:write:{tree}/moved/**"],
    ),
    changes(
        "fs.symlink",
        r#"{"path": "{tree}/link", "target": "in/a.log"}"#,
        &["fs:symlink:{tree}/link"],
    ),
    changes(
        "fs.chmod",
        r#"{"path": "{tree}/in", "mode": "0700", "recursive": true}"#,
        &["fs:chmod:{tree}/in/**"],
    ),
    changes(
        "fs.chown",
        r#"{"path": "{tree}/in/a.log", "owner": "65534"}"#,
        &["fs:chown:{tree}/in/a.log"],
    ),
    changes(
        "fs.archive",
        r#"{"paths": ["{tree}/in"], "target": "{tree}/in.tar.gz"}"#,
        &["fs:read:{tree}/in/**", "fs:write:{tree}/in.tar.gz"],
    ),
    changes(
        "fs.undo",
        r#"{"task_id": "{task}", "step": {step}}"#,
        &["fs:write:{tree}/in/a.log"],
    )
    .after(&[(
        "fs.write",
        r#"{"path": "{tree}/in/a.log", "content": "x", "how": "overwrite"}"#,
    )]),
];
