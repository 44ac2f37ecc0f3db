//! The machine that is looked at: where its root directory and its `/proc` are, its accounts, and the few
//! files that the checks know by name. Links within the machine are followed as it follows them itself, so a
//! machine that was laid out in a directory for a test is never left.

use crate::error::{Result, ToolError};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, Stat, fstat, open, openat2};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most that is read of one settings file, bytes.
const LARGEST: u64 = 4 << 20;

/// Where a machine is.
#[derive(Debug, Clone)]
pub struct Machine {
    root: PathBuf,
    proc: PathBuf,
}

/// Who has an account.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    pub(super) users: BTreeMap<u32, String>,
    pub(super) groups: BTreeMap<u32, String>,
    /// Groups that somebody other than root is in.
    pub(super) peopled: BTreeSet<u32>,
}

impl Machine {
    /// This machine.
    pub fn this() -> Self {
        Self::at("/", "/proc")
    }

    /// A machine that lies in a directory, for tests.
    pub fn at(root: impl Into<PathBuf>, proc: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            proc: proc.into(),
        }
    }

    pub(super) fn proc(&self) -> &Path {
        &self.proc
    }

    /// The name that the machine itself has for a path: `/etc/passwd` for `ROOT/etc/passwd`.
    pub(super) fn inside<'a>(&self, path: &'a str) -> &'a str {
        let root = self.root.to_str().unwrap_or("/").trim_end_matches('/');
        match path.strip_prefix(root) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        }
    }

    /// The path of something that the machine itself calls `inside`.
    pub(super) fn outside(&self, inside: &str) -> String {
        let root = self.root.to_string_lossy();
        format!("{}{inside}", root.trim_end_matches('/'))
    }

    /// Opens a path of the machine; `None` when nothing is there.
    pub(super) fn open(&self, inside: &str, flags: OFlags) -> Result<Option<OwnedFd>> {
        let root = open(
            &self.root,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| ToolError::io("open", self.root.to_string_lossy(), errno))?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match openat2(&root, inside, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(ToolError::io("open", self.outside(inside), errno)),
        }
    }

    /// What a path of the machine is; `None` when nothing is there.
    pub(super) fn stat(&self, inside: &str) -> Result<Option<Stat>> {
        let Some(fd) = self.open(inside, OFlags::PATH)? else {
            return Ok(None);
        };
        fstat(&fd)
            .map(Some)
            .map_err(|errno| ToolError::io("look at", self.outside(inside), errno))
    }

    /// Text of a regular file of the machine; `None` when nothing is there. What is no text is read as well
    /// as it goes: a settings file may hold somebody's name in an old encoding.
    pub(super) fn text(&self, inside: &str) -> Result<Option<String>> {
        let Some(fd) = self.open(inside, OFlags::RDONLY | OFlags::NONBLOCK)? else {
            return Ok(None);
        };
        let shown = self.outside(inside);
        let mut bytes = Vec::new();
        File::from(fd)
            .take(LARGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| ToolError::io("read", &shown, error))?;
        if bytes.len() as u64 > LARGEST {
            return Err(ToolError::TooLarge {
                what: "a settings file",
                actual: bytes.len() as u64,
                limit: LARGEST,
            });
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Names in a directory of the machine, sorted; none when it is not there.
    pub(super) fn names(&self, inside: &str) -> Result<Vec<String>> {
        let Some(fd) = self.open(inside, OFlags::RDONLY | OFlags::DIRECTORY)? else {
            return Ok(Vec::new());
        };
        let failed = |errno: Errno| ToolError::io("list", self.outside(inside), errno);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Ok(name) = entry.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Accounts and groups as `/etc/passwd` and `/etc/group` have them.
    pub(super) fn accounts(&self) -> Result<Accounts> {
        let passwd = self.text("/etc/passwd")?.unwrap_or_default();
        let group = self.text("/etc/group")?.unwrap_or_default();
        Ok(Accounts::parse(&passwd, &group))
    }

    /// A setting of the kernel, `kernel/kptr_restrict`; `None` where the kernel does not have it.
    pub(super) fn setting(&self, name: &str) -> Result<Option<String>> {
        let path = self.proc.join("sys").join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ToolError::io("read", path.to_string_lossy(), error)),
        }
    }

    /// Opens a directory for a walk by its own name; `None` when it is not there or is no directory.
    pub(super) fn open_dir(&self, path: &str) -> Result<Option<OwnedFd>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(ToolError::io("open", path, errno)),
        }
    }
}

impl Accounts {
    fn parse(passwd: &str, group: &str) -> Self {
        let mut all = Self::default();
        for line in passwd.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, ..] = fields.as_slice() else {
                continue;
            };
            let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else {
                continue;
            };
            all.users.entry(uid).or_insert_with(|| (*name).to_owned());
            if uid != 0 {
                all.peopled.insert(gid);
            }
        }
        for line in group.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, gid, members] = fields.as_slice() else {
                continue;
            };
            let Ok(gid) = gid.parse() else { continue };
            all.groups.entry(gid).or_insert_with(|| (*name).to_owned());
            if members.split(',').any(|name| !name.is_empty() && name != "root") {
                all.peopled.insert(gid);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_name_that_the_machine_itself_uses() {
        let machine = Machine::at("/tmp/m", "/proc");
        assert_eq!(machine.inside("/tmp/m/usr/bin"), "/usr/bin");
        assert_eq!(machine.inside("/tmp/m"), "/");
        assert_eq!(machine.inside("/tmp/mother"), "/tmp/mother");
        assert_eq!(Machine::this().inside("/usr/bin"), "/usr/bin");
        assert_eq!(machine.outside("/etc"), "/tmp/m/etc");
        assert_eq!(Machine::this().outside("/etc"), "/etc");
    }

    #[test]
    fn accounts_are_read_and_broken_lines_passed_over() {
        let all = Accounts::parse(
            "root:x:0:0::/root:/bin/sh\nada:x:1000:100::/:/bin/sh\nbroken\n",
            "root:x:0:\nstaff:x:50:\nwheel:x:10:ada\nusers:x:100:\n",
        );
        assert_eq!(all.users.len(), 2);
        assert_eq!(all.peopled.iter().copied().collect::<Vec<_>>(), [10, 100]);
    }

    #[test]
    fn a_link_cannot_lead_out_of_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("m");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(dir.path().join("secret"), "outside").unwrap();
        std::os::unix::fs::symlink("../../secret", root.join("etc/passwd")).unwrap();
        let machine = Machine::at(&root, "/proc");
        assert_eq!(machine.text("/etc/passwd").unwrap(), None);
    }
}
