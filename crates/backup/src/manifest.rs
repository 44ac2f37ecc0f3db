//! What an archive says of itself: its first member, `manifest.json`.

use crate::contents::{self, Kind};
use crate::error::{BackupError, Result};
use nix::unistd::{Gid, Group, Uid, User};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};

/// Version of the archive's form. A version that knows less refuses it.
pub const FORMAT: u32 = 1;
/// The first member of an archive.
pub const NAME: &str = "manifest.json";
/// Directory of the state in an archive.
pub const STATE: &str = "state";
/// Directory of the administrator's files in an archive.
pub const ETC: &str = "etc";

/// The manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the version that wrote it.
    pub format: u32,
    /// Version of aiOS that wrote it.
    pub aios: String,
    /// The machine's id, machine-id(5); empty where it has none.
    pub machine: String,
    /// Its name.
    pub host: String,
    /// When, RFC 3339, UTC.
    pub created: String,
    /// Whether nothing was written while the moment was pinned; otherwise services were taken one after another, in
    /// an order that their recovery knows.
    pub at_once: bool,
    /// The audit log of it.
    pub log: Option<LogHead>,
    /// Files that the list of contents does not know; copied as they were.
    pub unlisted: Vec<String>,
    /// All members, by their path in the archive, `state/guard/guard.db`.
    pub members: BTreeMap<String, Member>,
}

/// The newest checkpoint of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHead {
    /// Name of the log.
    pub origin: String,
    /// Which checkpoint.
    pub epoch: u64,
    /// Records that it covers.
    pub size: u64,
    /// Merkle root over them, hex.
    pub root: String,
}

impl From<&aios_audit::Checkpoint> for LogHead {
    fn from(checkpoint: &aios_audit::Checkpoint) -> Self {
        Self {
            origin: checkpoint.origin.clone(),
            epoch: checkpoint.epoch,
            size: checkpoint.size,
            root: checkpoint.root.to_string(),
        }
    }
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A symbolic link.
    Link,
}

/// A file of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Type,
    /// Its owner, by name; by number for one without a name.
    pub user: String,
    /// Its group, likewise.
    pub group: String,
    /// Permission bits.
    pub mode: u32,
    /// When it was changed, seconds since 1970.
    pub mtime: i64,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
    /// SHA-256 of its content, hex; empty for what has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// Where a link leads.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// Schema of a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<i64>,
}

impl Member {
    /// Owner, mode, time and type of a file.
    pub(crate) fn of(meta: &Metadata) -> Self {
        let (uid, gid) = (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid()));
        let user = User::from_uid(uid).ok().flatten().map(|user| user.name);
        let group = Group::from_gid(gid).ok().flatten().map(|group| group.name);
        let kind = if meta.is_dir() {
            Type::Directory
        } else if meta.is_symlink() {
            Type::Link
        } else {
            Type::File
        };
        Self {
            kind,
            user: user.unwrap_or_else(|| uid.to_string()),
            group: group.unwrap_or_else(|| gid.to_string()),
            mode: meta.mode() & 0o7777,
            mtime: meta.mtime(),
            size: 0,
            sha256: String::new(),
            target: String::new(),
            schema: None,
        }
    }
}

impl Manifest {
    /// The bytes that stand in the archive.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).map_err(|error| BackupError::io("write", NAME)(error.into()))
    }

    /// Its SHA-256, hex: names everything in the archive.
    #[must_use]
    pub fn digest(bytes: &[u8]) -> String {
        hex::encode(Sha256::digest(bytes))
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// It is no manifest, of a newer version, or names places outside of an archive.
    pub(crate) fn read(archive: &Path, bytes: &[u8]) -> Result<Self> {
        let foreign = |problem: String| BackupError::Foreign {
            path: archive.to_owned(),
            problem,
        };
        let version: Version =
            serde_json::from_slice(bytes).map_err(|error| foreign(format!("{NAME}: {error}")))?;
        newer("the archive", version.format.into(), FORMAT.into())?;
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| foreign(format!("{NAME}: {error}")))?;
        for (path, member) in &manifest.members {
            manifest
                .check(path, member)
                .map_err(|problem| foreign(format!("{path}: {problem}")))?;
            if let (Some(found), Some(below)) = (member.schema, path.strip_prefix("state/")) {
                newer(&format!("database {path}"), found, known(below))?;
            }
        }
        Ok(manifest)
    }

    /// Nothing outside of the two directories can be meant, and every directory on the way is one.
    fn check(&self, path: &str, member: &Member) -> std::result::Result<(), String> {
        let plain = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        let top = path.split('/').next().unwrap_or_default();
        if !plain || path.ends_with('/') || path.contains("//") || ![STATE, ETC].contains(&top) {
            return Err("no path of a backup".to_owned());
        }
        if let Some((above, _)) = path.rsplit_once('/')
            && self
                .members
                .get(above)
                .is_none_or(|above| above.kind != Type::Directory)
        {
            return Err(format!("{above} is no directory"));
        }
        if path == top && member.kind != Type::Directory {
            return Err("no directory".to_owned());
        }
        if member.mode & !0o7777 != 0 {
            return Err(format!("mode {:o}", member.mode));
        }
        Ok(())
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.members.values().map(|member| member.size).sum()
    }

    /// Number of files.
    #[must_use]
    pub fn files(&self) -> usize {
        self.members
            .values()
            .filter(|member| member.kind == Type::File)
            .count()
    }

    /// Databases with their schema.
    pub fn databases(&self) -> impl Iterator<Item = (&str, i64)> {
        let members = self.members.iter();
        members.filter_map(|(path, member)| Some((path.as_str(), member.schema?)))
    }
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// The newest schema of a database that this version knows; none of one that is not on the list.
fn known(path: &str) -> i64 {
    match contents::find(path).map(|(_, entry)| entry.kind) {
        Some(Kind::Database(schema)) => schema,
        _ => -1,
    }
}

fn newer(what: &str, found: i64, known: i64) -> Result<()> {
    if found > known {
        return Err(BackupError::Newer {
            what: what.to_owned(),
            found,
            known,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(kind: Type) -> Member {
        Member {
            kind,
            user: "root".to_owned(),
            group: "root".to_owned(),
            mode: 0o600,
            mtime: 1,
            size: 0,
            sha256: String::new(),
            target: String::new(),
            schema: None,
        }
    }

    fn manifest(members: &[(&str, Member)]) -> Manifest {
        Manifest {
            format: FORMAT,
            aios: "0.1.0".to_owned(),
            machine: String::new(),
            host: "here".to_owned(),
            created: "2026-11-23T00:00:00Z".to_owned(),
            at_once: true,
            log: None,
            unlisted: Vec::new(),
            members: members
                .iter()
                .map(|(path, member)| ((*path).to_owned(), member.clone()))
                .collect(),
        }
    }

    fn read(manifest: &Manifest) -> Result<Manifest> {
        Manifest::read(Path::new("x.aios"), &manifest.to_bytes().unwrap())
    }

    #[test]
    fn it_comes_back_as_it_was() {
        let one = manifest(&[
            ("state", member(Type::Directory)),
            ("state/a", member(Type::File)),
        ]);
        assert_eq!(read(&one).unwrap(), one);
    }

    #[test]
    fn refused_when_a_path_leads_out_or_through_something_else() {
        let (directory, file, link) = (member(Type::Directory), member(Type::File), member(Type::Link));
        let cases: [&[(&str, Member)]; 8] = [
            &[("state", directory.clone()), ("state/../x", file.clone())],
            &[("/etc/shadow", file.clone())],
            &[("other", directory.clone())],
            &[("state", file.clone())],
            &[("etc", directory.clone()), ("etc//x", file.clone())],
            &[
                ("etc", directory.clone()),
                ("etc/x", link.clone()),
                ("etc/x/y", file.clone()),
            ],
            &[("etc", link), ("etc/y", file.clone())],
            &[("etc", directory), ("etc/a/y", file)],
        ];
        for members in cases {
            let error = read(&manifest(members)).unwrap_err();
            assert!(
                matches!(error, BackupError::Foreign { .. }),
                "{members:?}: {error}"
            );
        }
    }

    #[test]
    fn refused_when_format_or_schema_is_newer() {
        let mut later = manifest(&[]);
        later.format = FORMAT + 1;
        assert!(matches!(read(&later).unwrap_err(), BackupError::Newer { .. }));

        let mut database = member(Type::File);
        database.schema = Some(99);
        let directory = member(Type::Directory);
        let newer = manifest(&[
            ("state", directory.clone()),
            ("state/guard", directory),
            ("state/guard/guard.db", database),
        ]);
        let error = read(&newer).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("database state/guard/guard.db is of version 99"),
            "{error}"
        );
    }
}
