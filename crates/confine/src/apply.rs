//! Performing prepared steps. Runs in a forked child of a threaded process: no allocation, no lock,
//! nothing but system calls on memory that was made before.

use crate::error::ConfineError;
use crate::prepare::{MAX_BINDS, Step};
use crate::sys::{Attribute, Errno, Sys, SysResult};
use nix::libc;

/// The step that failed, by position, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) step: usize,
    pub(crate) errno: i32,
}

impl Failure {
    /// The same in words.
    pub(crate) fn into_error(self, steps: &[Step]) -> ConfineError {
        let step = steps.get(self.step).map_or("exec", Step::name);
        ConfineError::Step {
            step,
            source: std::io::Error::from_raw_os_error(self.errno),
        }
    }
}

impl Step {
    /// Name for a person.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::NewSession => "new session",
            Self::Attribute(name, _) | Self::Write { name, .. } => name,
            Self::AppArmor { .. } => "apparmor",
            Self::Limit(_) => "limit",
            Self::PrivateMounts => "private mounts",
            Self::OpenTree { .. } => "copy a bound path",
            Self::Hide(_) => "hide",
            Self::MakeDir(_) | Self::MakeFile(_) => "make a mount point",
            Self::Attach { .. } => "bind",
            Self::Seal(_) => "make read-only",
            Self::Umask(_) => "umask",
            Self::SetGroups(_) => "supplementary groups",
            Self::SetGid(_) => "group",
            Self::SetUid(_) => "user",
            Self::SetCaps(_) => "capabilities",
            Self::ChangeDir(_) => "directory",
            Self::Landlock(_) => "landlock",
            Self::Seccomp(_) => "seccomp",
        }
    }
}

/// Performs all steps in order, or says which one failed.
pub(crate) fn apply(steps: &[Step], sys: &dyn Sys) -> Result<(), Failure> {
    let mut trees = [-1_i32; MAX_BINDS];
    for (index, step) in steps.iter().enumerate() {
        perform(step, sys, &mut trees).map_err(|Errno(errno)| Failure { step: index, errno })?;
    }
    Ok(())
}

fn perform(step: &Step, sys: &dyn Sys, trees: &mut [i32; MAX_BINDS]) -> SysResult<()> {
    use std::os::fd::AsRawFd;
    match step {
        Step::NewSession => sys.new_session(),
        Step::Attribute(_, attribute) => set_attribute(sys, *attribute),
        Step::Write { path, data, .. } => sys.write_file(path, data),
        Step::AppArmor {
            path,
            command,
            profile,
        } => {
            sys.write_file(path, command)?;
            if sys.file_begins_with(path, profile)? {
                Ok(())
            } else {
                Err(Errno(libc::EACCES))
            }
        }
        Step::Limit(limit) => sys.limit(limit.resource, limit.soft, limit.hard),
        Step::PrivateMounts => sys.private_mounts(),
        Step::OpenTree { slot, path, seal } => {
            let tree = sys.open_tree(path)?;
            if *seal {
                sys.seal_tree(tree)?;
            }
            *trees.get_mut(*slot).ok_or(Errno(libc::E2BIG))? = tree;
            Ok(())
        }
        Step::Hide(path) => sys.empty_mount(path),
        Step::MakeDir(path) => sys.make_dir(path),
        Step::MakeFile(path) => sys.make_file(path),
        Step::Attach { slot, path } => sys.attach_tree(*trees.get(*slot).ok_or(Errno(libc::E2BIG))?, path),
        Step::Seal(path) => sys.seal_mount(path),
        Step::Umask(mask) => {
            sys.umask(*mask);
            Ok(())
        }
        Step::SetGroups(groups) => sys.set_groups(groups),
        Step::SetGid(gid) => sys.set_gid(*gid),
        Step::SetUid(uid) => sys.set_uid(*uid),
        Step::SetCaps(bits) => sys.set_caps(*bits),
        Step::ChangeDir(path) => sys.change_dir(path),
        Step::Landlock(ruleset) => sys.restrict_self(ruleset.as_raw_fd()),
        Step::Seccomp(program) => sys.install_filter(program),
    }
}

/// Dropping a capability that this kernel does not know is no failure.
fn set_attribute(sys: &dyn Sys, attribute: Attribute) -> SysResult<()> {
    match (attribute, sys.attribute(attribute)) {
        (Attribute::DropBounding(_), Err(Errno(libc::EINVAL))) => Ok(()),
        (_, result) => result,
    }
}
