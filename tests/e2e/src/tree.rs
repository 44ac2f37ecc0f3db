//! Trees of files with everything that undo must restore, and exact pictures of them.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Begins the names of all scratch directories.
pub(crate) const PREFIX: &str = "aios-e2e-";

/// A directory for a tree. Services are other users: a private temporary directory would hide it from no one but them.
pub fn scratch() -> tempfile::TempDir {
    let dir = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in("/var/tmp")
        .unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// The goal that deletes some of [`logs`].
pub fn goal(root: &Path) -> String {
    format!(
        "free space under {}: delete *.log older than 7 days, keep the newest 3",
        root.display()
    )
}

/// What a file is, to the last bit that undo must restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// SHA-256 of the content, or the target of a symbolic link.
    pub content: String,
    /// Type and permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Modification time, seconds and nanoseconds.
    pub modified: (i64, i64),
    /// Extended attributes, access control lists among them.
    pub attributes: BTreeMap<String, Vec<u8>>,
    /// Names of the same inode within the tree, sorted.
    pub names: Vec<PathBuf>,
}

/// Pictures of every file and link below `root`, by relative name.
pub fn pictures(root: &Path) -> BTreeMap<PathBuf, Picture> {
    let mut files = Vec::new();
    collect(root, &mut files);
    let mut names: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    for file in &files {
        let relative = file.strip_prefix(root).unwrap().to_owned();
        names
            .entry(file.symlink_metadata().unwrap().ino())
            .or_default()
            .push(relative);
    }
    names.values_mut().for_each(|names| names.sort());
    files
        .iter()
        .map(|file| {
            let meta = file.symlink_metadata().unwrap();
            let picture = Picture {
                content: content(file),
                mode: meta.mode(),
                owner: (meta.uid(), meta.gid()),
                modified: (meta.mtime(), meta.mtime_nsec()),
                attributes: attributes(file),
                names: names[&meta.ino()].clone(),
            };
            (file.strip_prefix(root).unwrap().to_owned(), picture)
        })
        .collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), files);
        } else {
            files.push(entry.path());
        }
    }
}

fn content(file: &Path) -> String {
    if file.is_symlink() {
        return fs::read_link(file).unwrap().display().to_string();
    }
    hex::encode(Sha256::digest(fs::read(file).unwrap()))
}

fn attributes(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = xattr::list(file).unwrap();
    names
        .map(|name| {
            let value = xattr::get(file, &name).unwrap().unwrap_or_default();
            (name.to_string_lossy().into_owned(), value)
        })
        .collect()
}

/// Writes a file of the given age.
pub fn file(path: &Path, content: &[u8], days_old: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    let modified =
        SystemTime::now() - Duration::from_secs(days_old * 86_400) + Duration::from_nanos(123_456_789);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
}

/// A tree of logs with every property that is easily lost: modes, set-group-id, owners, extended attributes, hard and
/// symbolic links, nanoseconds, empty and binary content. Eleven names end in `.log`; eight of them are older than a
/// week and not among the newest three.
pub fn logs(root: &Path) {
    for (index, days) in [1, 2, 3, 8, 9, 10, 11, 12].into_iter().enumerate() {
        file(
            &root.join(format!("app-{index}.log")),
            format!("line {index}\n").repeat(1000).as_bytes(),
            days,
        );
    }
    file(&root.join("sub/deep/old.log"), &[0, 159, 146, 150, 255], 30);
    file(&root.join("empty.log"), b"", 40);
    file(&root.join("keep.txt"), b"not a log", 50);
    fs::hard_link(root.join("app-4.log"), root.join("sub/app-4-again.log")).unwrap();
    symlink("../keep.txt", root.join("sub/link.txt")).unwrap();
    fs::set_permissions(root.join("app-3.log"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(root.join("app-5.log"), fs::Permissions::from_mode(0o2755)).unwrap();
    set_attribute(&root.join("app-6.log"), "user.origin", b"machine-7\0binary");
    if rustix::process::geteuid().is_root() {
        let user = rustix::process::Uid::from_raw(12_345);
        let group = rustix::process::Gid::from_raw(54_321);
        rustix::fs::chown(root.join("app-7.log"), Some(user), Some(group)).unwrap();
    }
}

/// Without user attributes a tree would not show whether undo restores them, so that is a failure.
fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    xattr::set(path, name, value).unwrap_or_else(|error| {
        panic!(
            "{name} cannot be set on {}: {error}; these tests need a file system with user attributes in /var/tmp",
            path.display()
        )
    });
}
