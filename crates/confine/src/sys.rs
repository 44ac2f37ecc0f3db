//! The system calls that confine a process, behind a trait, so that their order is tested without
//! privilege. The real implementation is in `linux`; [`Recorder`] is the double.
//!
//! Every method may be called between fork and exec of a threaded process: no allocation, no lock.

use crate::plan::Resource;
use seccompiler::sock_filter;
use std::ffi::CStr;

/// An error number, as the kernel gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

/// Result of one call.
pub type SysResult<T> = std::result::Result<T, Errno>;

/// A process attribute that takes no argument or one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// Signal when the parent dies.
    ParentDeathSignal(i32),
    /// Capabilities survive the change of user.
    KeepCaps(bool),
    /// No gain of privileges by exec.
    NoNewPrivs,
    /// Removes one capability from the bounding set. Unknown numbers are EINVAL.
    DropBounding(u32),
    /// Empties the ambient set.
    ClearAmbient,
    /// Adds one capability to the ambient set.
    RaiseAmbient(u32),
}

/// The calls.
pub trait Sys {
    /// Leads a new session.
    fn new_session(&self) -> SysResult<()>;
    /// Sets an attribute.
    fn attribute(&self, attribute: Attribute) -> SysResult<()>;
    /// Writes `data` to the existing file `path` in one call.
    fn write_file(&self, path: &CStr, data: &[u8]) -> SysResult<()>;
    /// Whether the file `path` begins with `data`.
    fn file_begins_with(&self, path: &CStr, data: &[u8]) -> SysResult<bool>;
    /// Sets a limit.
    fn limit(&self, resource: Resource, soft: u64, hard: u64) -> SysResult<()>;
    /// Sets the file mode creation mask.
    fn umask(&self, mask: u32);
    /// Enters a private mount namespace that still hears of the outside's mounts.
    fn private_mounts(&self) -> SysResult<()>;
    /// Takes a detached copy of the tree at `path`.
    fn open_tree(&self, path: &CStr) -> SysResult<i32>;
    /// Makes a mount, by descriptor, read-only with everything below it.
    fn seal_tree(&self, tree: i32) -> SysResult<()>;
    /// Puts a detached tree at `path` and closes it.
    fn attach_tree(&self, tree: i32, path: &CStr) -> SysResult<()>;
    /// Mounts an empty tmpfs.
    fn empty_mount(&self, path: &CStr) -> SysResult<()>;
    /// Makes the mount at `path` read-only.
    fn seal_mount(&self, path: &CStr) -> SysResult<()>;
    /// Makes a directory; that it exists is no error.
    fn make_dir(&self, path: &CStr) -> SysResult<()>;
    /// Makes an empty file; that it exists is no error.
    fn make_file(&self, path: &CStr) -> SysResult<()>;
    /// Changes directory.
    fn change_dir(&self, path: &CStr) -> SysResult<()>;
    /// Sets supplementary groups.
    fn set_groups(&self, groups: &[u32]) -> SysResult<()>;
    /// Sets real, effective and saved group.
    fn set_gid(&self, gid: u32) -> SysResult<()>;
    /// Sets real, effective and saved user.
    fn set_uid(&self, uid: u32) -> SysResult<()>;
    /// Sets effective, permitted and inheritable capabilities.
    fn set_caps(&self, bits: u64) -> SysResult<()>;
    /// Enforces a Landlock ruleset.
    fn restrict_self(&self, ruleset: i32) -> SysResult<()>;
    /// Installs a seccomp filter.
    fn install_filter(&self, program: &[sock_filter]) -> SysResult<()>;
}

/// Records what it is asked, does nothing, and can be told to fail at one call.
#[derive(Debug, Default)]
pub struct Recorder {
    calls: std::cell::RefCell<Vec<String>>,
    fail: Option<(&'static str, i32)>,
}

impl Recorder {
    /// One that fails with `errno` at each call whose text begins with `prefix`.
    pub fn failing(prefix: &'static str, errno: i32) -> Self {
        Self {
            calls: Default::default(),
            fail: Some((prefix, errno)),
        }
    }

    /// What was asked, in order.
    pub fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }

    fn note(&self, text: String) -> SysResult<()> {
        let failed = self.fail.filter(|(prefix, _)| text.starts_with(prefix));
        self.calls.borrow_mut().push(text);
        failed.map_or(Ok(()), |(_, errno)| Err(Errno(errno)))
    }
}

impl Sys for Recorder {
    fn new_session(&self) -> SysResult<()> {
        self.note("new_session".into())
    }
    fn attribute(&self, attribute: Attribute) -> SysResult<()> {
        self.note(format!("attribute {attribute:?}"))
    }
    fn write_file(&self, path: &CStr, data: &[u8]) -> SysResult<()> {
        self.note(format!(
            "write {} {}",
            path.to_string_lossy(),
            String::from_utf8_lossy(data)
        ))
    }
    fn file_begins_with(&self, path: &CStr, _: &[u8]) -> SysResult<bool> {
        self.note(format!("check {}", path.to_string_lossy()))
            .map(|()| true)
    }
    fn limit(&self, resource: Resource, soft: u64, hard: u64) -> SysResult<()> {
        self.note(format!("limit {resource:?} {soft} {hard}"))
    }
    fn umask(&self, mask: u32) {
        self.calls.borrow_mut().push(format!("umask {mask:o}"));
    }
    fn private_mounts(&self) -> SysResult<()> {
        self.note("private_mounts".into())
    }
    fn open_tree(&self, path: &CStr) -> SysResult<i32> {
        self.note(format!("open_tree {}", path.to_string_lossy()))
            .map(|()| 7)
    }
    fn seal_tree(&self, _: i32) -> SysResult<()> {
        self.note("seal_tree".into())
    }
    fn attach_tree(&self, _: i32, path: &CStr) -> SysResult<()> {
        self.note(format!("attach_tree {}", path.to_string_lossy()))
    }
    fn empty_mount(&self, path: &CStr) -> SysResult<()> {
        self.note(format!("empty_mount {}", path.to_string_lossy()))
    }
    fn seal_mount(&self, path: &CStr) -> SysResult<()> {
        self.note(format!("seal_mount {}", path.to_string_lossy()))
    }
    fn make_dir(&self, path: &CStr) -> SysResult<()> {
        self.note(format!("make_dir {}", path.to_string_lossy()))
    }
    fn make_file(&self, path: &CStr) -> SysResult<()> {
        self.note(format!("make_file {}", path.to_string_lossy()))
    }
    fn change_dir(&self, path: &CStr) -> SysResult<()> {
        self.note(format!("change_dir {}", path.to_string_lossy()))
    }
    fn set_groups(&self, groups: &[u32]) -> SysResult<()> {
        self.note(format!("set_groups {groups:?}"))
    }
    fn set_gid(&self, gid: u32) -> SysResult<()> {
        self.note(format!("set_gid {gid}"))
    }
    fn set_uid(&self, uid: u32) -> SysResult<()> {
        self.note(format!("set_uid {uid}"))
    }
    fn set_caps(&self, bits: u64) -> SysResult<()> {
        self.note(format!("set_caps {bits:#x}"))
    }
    fn restrict_self(&self, _: i32) -> SysResult<()> {
        self.note("restrict_self".into())
    }
    fn install_filter(&self, _: &[sock_filter]) -> SysResult<()> {
        self.note("install_filter".into())
    }
}
