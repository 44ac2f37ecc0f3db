//! From a path in a call to the thing it names, without ever leaving what was granted.
//!
//! A capability's glob has a literal prefix, the *root*. The root is opened without following any
//! symbolic link, and everything below it with `openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
//! RESOLVE_NO_XDEV)`: the kernel itself refuses links and mounts that lead out. A root that lies on a
//! mount of its own is thereby granted; a mount further down is not. What comes out is checked once
//! more, by its resolved name, against the capability and against what no grant opens.
//!
//! A path that the token does not allow as it is written is refused before anything is looked at, so
//! that a refusal tells nothing about what exists.

use crate::error::{Result, ToolError};
use crate::fs::args::Kind;
use aios_auth::capability::CapabilitySet;
use aios_auth::protected::Protected;
use aios_proto::common::v1::Identity;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, readlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::File;

const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);
const STRICT: ResolveFlags = BENEATH.union(ResolveFlags::NO_SYMLINKS);
const LONGEST_PATH: usize = 4095;
/// Actions that change nothing.
const LOOKING: &[&str] = &["list", "stat", "search", "read", "disk_usage", "grep"];

/// Whether a symbolic link at the end of a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// The path means what the link leads to.
    Yes,
    /// The path means the link itself.
    No,
}

/// Where a thing is: a name in a directory that is known by its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The granted directory, absolute, without links.
    pub root: String,
    /// Absolute path of the parent directory, without links.
    pub parent: String,
    /// Device of the parent directory; 0 with an inode of 0.
    pub dev: u64,
    /// Inode of the parent directory; 0 for a directory that the same plan makes or removes, which is
    /// then known by its path below the root alone.
    pub ino: u64,
    /// Name in the parent directory; `.` for the root itself.
    pub name: String,
}

impl Anchor {
    /// Opens the parent directory again and proves that it is the same one.
    ///
    /// # Errors
    /// [`ToolError::Changed`] when another directory is there.
    pub fn open_parent(&self) -> Result<OwnedFd> {
        let root = open_root(&self.root, &self.path())?;
        let below = self
            .parent
            .get(self.root.len()..)
            .unwrap_or_default()
            .trim_start_matches('/');
        let dir = if below.is_empty() {
            root
        } else {
            openat2(
                &root,
                below,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
                STRICT,
            )
            .map_err(|errno| refusal(errno, &self.parent, &self.root))?
        };
        let stat = fstat(&dir).map_err(|errno| ToolError::io("look at", &self.parent, errno))?;
        if !self.is_own() && (stat.st_dev, stat.st_ino) != (self.dev, self.ino) {
            return Err(ToolError::Changed {
                path: self.path(),
                difference: format!("`{}` is another directory now", self.parent),
            });
        }
        Ok(dir)
    }

    /// Whether the parent is a directory that the same plan makes or removes.
    pub fn is_own(&self) -> bool {
        self.ino == 0
    }

    /// The parent directory; `None` when the plan itself makes or removes it and it is not there.
    ///
    /// # Errors
    /// As [`Anchor::open_parent`].
    pub fn parent_if_there(&self) -> Result<Option<OwnedFd>> {
        match self.open_parent() {
            Ok(dir) => Ok(Some(dir)),
            Err(ToolError::NotFound { .. }) if self.is_own() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The place of a name in a directory that the plan makes or removes at this one.
    #[must_use]
    pub fn below(&self, name: &str) -> Self {
        Self {
            root: self.root.clone(),
            parent: self.path(),
            dev: 0,
            ino: 0,
            name: name.to_owned(),
        }
    }

    /// The absolute path.
    pub fn path(&self) -> String {
        if self.name == "." {
            self.parent.clone()
        } else {
            join(&self.parent, &self.name)
        }
    }
}

/// A path that was resolved, with open handles on what it named then.
#[derive(Debug)]
pub struct Place {
    /// Where it is.
    pub anchor: Anchor,
    /// The parent directory (the directory itself for a root), opened with `O_PATH`.
    pub dir: OwnedFd,
    /// Absolute path, every link resolved.
    pub path: String,
    /// The thing itself, opened with `O_PATH`, and what it is; `None` when nothing is there.
    pub entry: Option<(OwnedFd, Stat)>,
}

impl Place {
    /// What it is, for digests and approvals.
    pub fn identity(&self) -> Identity {
        match &self.entry {
            None => absent(&self.path),
            Some((_, stat)) => identity_of(&self.path, stat),
        }
    }

    /// The thing, which must be there.
    ///
    /// # Errors
    /// [`ToolError::NotFound`].
    pub fn existing(&self) -> Result<(BorrowedFd<'_>, &Stat)> {
        let (fd, stat) = self.entry.as_ref().ok_or_else(|| ToolError::NotFound {
            path: self.path.clone(),
        })?;
        Ok((fd.as_fd(), stat))
    }

    /// The thing, which must be a directory, opened for listing.
    ///
    /// # Errors
    /// Not there, not a directory, or not readable.
    pub fn open_dir(&self) -> Result<OwnedFd> {
        let (fd, stat) = self.existing()?;
        if kind_of(stat) != Kind::Dir {
            return Err(wrong_kind(&self.path, stat, "a directory"));
        }
        reopen(fd, OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(|errno| ToolError::io("open", &self.path, errno))
    }

    /// The thing, which must be a regular file, opened as `flags` say. It is the very inode that was
    /// resolved, whatever has its name now.
    ///
    /// # Errors
    /// Not there, not a file, or not accessible.
    pub fn open_file(&self, flags: OFlags) -> Result<File> {
        let (fd, stat) = self.existing()?;
        if kind_of(stat) != Kind::File {
            return Err(wrong_kind(&self.path, stat, "a file"));
        }
        open_inode(fd, flags, &self.path)
    }
}

/// Opens the inode behind an `O_PATH` handle, without touching its access time where that is allowed.
pub(crate) fn open_inode(fd: BorrowedFd<'_>, flags: OFlags, path: &str) -> Result<File> {
    match reopen(fd, flags | OFlags::NOATIME) {
        Err(Errno::PERM) => reopen(fd, flags),
        other => other,
    }
    .map(File::from)
    .map_err(|errno| ToolError::io("open", path, errno))
}

fn reopen(fd: BorrowedFd<'_>, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    openat(CWD, proc_path(fd), flags | OFlags::CLOEXEC, Mode::empty())
}

/// The kernel's name for an open handle.
pub(crate) fn proc_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Resolves paths within what a token grants.
#[derive(Debug, Clone)]
pub struct Resolver {
    namespace: &'static str,
    protected: Protected,
}

impl Resolver {
    /// A resolver of fs calls that never opens what `protected` names.
    pub fn new(protected: Protected) -> Self {
        Self::of("fs", protected)
    }

    /// The same for the calls of another namespace.
    pub fn of(namespace: &'static str, protected: Protected) -> Self {
        Self { namespace, protected }
    }

    /// Whether no grant opens the path for `action`.
    pub fn is_protected(&self, action: &str, path: &str) -> bool {
        self.protected.covers(path, !LOOKING.contains(&action))
    }

    /// Whether something that no grant opens lies at or below a path.
    pub fn is_above_protected(&self, path: &str) -> bool {
        self.protected.is_above(path)
    }

    /// Resolves `path` for `action` within what `caps` allow.
    ///
    /// # Errors
    /// A refusal; see the module.
    pub fn resolve(&self, caps: &CapabilitySet, action: &str, path: &str, follow: Follow) -> Result<Place> {
        let wanted = normalize(path)?;
        self.admit(caps, action, &wanted, path)?;
        let mut first = None;
        for root in roots(caps, self.namespace, action, &wanted) {
            let mut found = self.resolve_in(&root, &wanted, follow);
            // `FILE/**` grants FILE too, which is no directory to open: the one that holds it is.
            if let Err(ToolError::WrongKind { .. } | ToolError::NotFound { .. }) = found
                && root == wanted
            {
                found = self.resolve_in(parent_of(&wanted), &wanted, follow);
            }
            match found {
                Ok(place) => {
                    self.admit(caps, action, &place.path, path)?;
                    return Ok(place);
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or(ToolError::NotGranted {
            namespace: self.namespace.to_owned(),
            action: action.to_owned(),
            path: path.to_owned(),
        }))
    }

    /// As [`Resolver::resolve`], but as a name in the directory that holds it, also when the path is the
    /// granted directory itself: for what makes, removes or moves names, and for what changes a thing itself.
    ///
    /// # Errors
    /// A refusal; see the module.
    pub fn resolve_name(
        &self,
        caps: &CapabilitySet,
        action: &str,
        path: &str,
        follow: Follow,
    ) -> Result<Place> {
        let place = self.resolve(caps, action, path, follow)?;
        if place.anchor.name != "." {
            return Ok(place);
        }
        if place.path == "/" {
            return Err(ToolError::BadPath {
                path: place.path,
                problem: "the root directory itself is not changed",
            });
        }
        self.resolve_in(parent_of(&place.path), &place.path, Follow::No)
    }

    /// Whether token and protection let `resolved` pass; the error names the path as it was `written`.
    ///
    /// # Errors
    /// [`ToolError::NotGranted`] or [`ToolError::Protected`].
    pub fn admit(&self, caps: &CapabilitySet, action: &str, resolved: &str, written: &str) -> Result<()> {
        if !caps.allows(self.namespace, action, resolved) {
            return Err(ToolError::NotGranted {
                namespace: self.namespace.to_owned(),
                action: action.to_owned(),
                path: written.to_owned(),
            });
        }
        if self.is_protected(action, resolved) {
            return Err(ToolError::Protected {
                path: written.to_owned(),
            });
        }
        Ok(())
    }

    fn resolve_in(&self, root: &str, wanted: &str, follow: Follow) -> Result<Place> {
        let root_fd = open_root(root, wanted)?;
        let below = wanted
            .get(root.len()..)
            .unwrap_or_default()
            .trim_start_matches('/');
        if below.is_empty() {
            return root_place(root, root_fd);
        }
        let (parents, name) = below.rsplit_once('/').unwrap_or(("", below));
        let dir = if parents.is_empty() {
            root_fd
                .try_clone()
                .map_err(|error| ToolError::io("open", root, error))?
        } else {
            openat2(
                &root_fd,
                parents,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
                BENEATH,
            )
            .map_err(|errno| refusal(errno, wanted, root))?
        };
        let entry = entry_in(dir.as_fd(), name, wanted, root)?;
        if let Some((_, stat)) = &entry
            && kind_of(stat) == Kind::Symlink
            && follow == Follow::Yes
        {
            let target = openat2(
                &root_fd,
                below,
                OFlags::PATH | OFlags::CLOEXEC,
                Mode::empty(),
                BENEATH,
            )
            .map_err(|errno| refusal(errno, wanted, root))?;
            let real = name_of(target.as_fd(), wanted)?;
            return self.resolve_in(root, &real, Follow::No);
        }
        let parent = name_of(dir.as_fd(), wanted)?;
        let stat = fstat(&dir).map_err(|errno| ToolError::io("look at", &parent, errno))?;
        let path = join(&parent, name);
        let anchor = Anchor {
            root: root.to_owned(),
            parent,
            dev: stat.st_dev,
            ino: stat.st_ino,
            name: name.to_owned(),
        };
        Ok(Place {
            anchor,
            dir,
            path,
            entry,
        })
    }
}

/// Brings a path to its plain form.
///
/// # Errors
/// [`ToolError::BadPath`] when it is not absolute, has `..` or NUL, or is too long.
pub fn normalize(path: &str) -> Result<String> {
    let bad = |problem| {
        let shown = path
            .chars()
            .take(120)
            .collect::<String>()
            .escape_debug()
            .to_string();
        ToolError::BadPath { path: shown, problem }
    };
    if !path.starts_with('/') {
        return Err(bad("it is not absolute"));
    }
    if path.len() > LONGEST_PATH {
        return Err(bad("it is longer than 4095 bytes"));
    }
    if path.contains('\0') {
        return Err(bad("it has a NUL character"));
    }
    let mut plain = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err(bad("it has `..`"));
        }
        if part.len() > 255 {
            return Err(bad("it has a name longer than 255 bytes"));
        }
        plain.push('/');
        plain.push_str(part);
    }
    Ok(if plain.is_empty() { "/".to_owned() } else { plain })
}

/// The directory that holds an absolute path in its plain form.
fn parent_of(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// The granted directories that hold `path`, the narrowest first.
fn roots(caps: &CapabilitySet, namespace: &str, action: &str, path: &str) -> Vec<String> {
    let mut roots: Vec<String> = caps
        .effective()
        .iter()
        .filter(|cap| cap.allows(namespace, action, path))
        .map(|cap| literal_prefix(cap.resource()))
        .collect();
    roots.sort_by_key(|root| std::cmp::Reverse(root.len()));
    roots.dedup();
    roots
}

/// The directory before the first wildcard; for a pattern without one, the parent directory.
fn literal_prefix(resource: &str) -> String {
    let mut parts: Vec<&str> = resource.split('/').filter(|part| !part.is_empty()).collect();
    match parts.iter().position(|part| part.contains('*')) {
        Some(at) => parts.truncate(at),
        None => {
            parts.pop();
        }
    }
    format!("/{}", parts.join("/"))
}

fn open_root(root: &str, wanted: &str) -> Result<OwnedFd> {
    openat2(
        CWD,
        root,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )
    .map_err(|errno| refusal(errno, wanted, root))
}

fn root_place(root: &str, fd: OwnedFd) -> Result<Place> {
    let stat = fstat(&fd).map_err(|errno| ToolError::io("look at", root, errno))?;
    let again = fd
        .try_clone()
        .map_err(|error| ToolError::io("open", root, error))?;
    let anchor = Anchor {
        root: root.to_owned(),
        parent: root.to_owned(),
        dev: stat.st_dev,
        ino: stat.st_ino,
        name: ".".to_owned(),
    };
    Ok(Place {
        anchor,
        dir: fd,
        path: root.to_owned(),
        entry: Some((again, stat)),
    })
}

/// A name in a directory, not following a link; `None` when nothing is there.
pub(crate) fn entry_in(
    dir: BorrowedFd<'_>,
    name: &str,
    wanted: &str,
    root: &str,
) -> Result<Option<(OwnedFd, Stat)>> {
    match openat2(
        dir,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        BENEATH,
    ) {
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(refusal(errno, wanted, root)),
        Ok(fd) => {
            let stat = fstat(&fd).map_err(|errno| ToolError::io("look at", wanted, errno))?;
            Ok(Some((fd, stat)))
        }
    }
}

fn refusal(errno: Errno, wanted: &str, root: &str) -> ToolError {
    let leaves = |by| ToolError::LeavesRoot {
        path: wanted.to_owned(),
        root: root.to_owned(),
        by,
    };
    match errno {
        // BENEATH and NO_XDEV both say EXDEV; a link is by far the likelier way out, but both are named.
        Errno::XDEV => leaves("symbolic link or a mount"),
        Errno::LOOP => leaves("symbolic link"),
        Errno::NOENT => ToolError::NotFound {
            path: wanted.to_owned(),
        },
        Errno::NOTDIR => ToolError::WrongKind {
            path: wanted.to_owned(),
            is: "path through a file",
            wanted: "a directory",
        },
        errno => ToolError::io("resolve", wanted, errno),
    }
}

/// The path of an open handle, as the kernel knows it.
fn name_of(fd: BorrowedFd<'_>, wanted: &str) -> Result<String> {
    let name = readlinkat(CWD, proc_path(fd), Vec::new())
        .map_err(|errno| ToolError::io("find the name of", wanted, errno))?;
    name.into_string().map_err(|_| ToolError::BadPath {
        path: wanted.to_owned(),
        problem: "it leads to a name that is not UTF-8",
    })
}

/// The kind of a thing.
pub fn kind_of(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink,
        _ => Kind::Other,
    }
}

/// The kind as `Identity` writes it.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Dir => "dir",
        Kind::Symlink => "symlink",
        Kind::Other => "other",
    }
}

/// The identity of nothing.
pub fn absent(path: &str) -> Identity {
    Identity {
        path: path.to_owned(),
        dev: 0,
        ino: 0,
        kind: "absent".to_owned(),
    }
}

/// The identity of something.
pub fn identity_of(path: &str, stat: &Stat) -> Identity {
    let kind = kind_name(kind_of(stat)).to_owned();
    Identity {
        path: path.to_owned(),
        dev: stat.st_dev,
        ino: stat.st_ino,
        kind,
    }
}

pub(crate) fn wrong_kind(path: &str, stat: &Stat, wanted: &'static str) -> ToolError {
    let is = match kind_of(stat) {
        Kind::File => "file",
        Kind::Dir => "directory",
        Kind::Symlink => "symbolic link",
        Kind::Other => "device, pipe or socket",
    };
    ToolError::WrongKind {
        path: path.to_owned(),
        is,
        wanted,
    }
}

pub(crate) fn join(parent: &str, name: &str) -> String {
    if parent == "/" {
        format!("/{name}")
    } else {
        format!("{parent}/{name}")
    }
}
