//! Looking with the eyes of a file's owner. Which descriptors a process has, only its owner may list: SYS_PTRACE opens
//! the links, and not the directory that they are in. The worker may become anybody for a program that it starts, so no
//! further right is needed; and only the thread that looks is somebody else, and only while it looks. From the first
//! look on the kernel holds the whole process for one that must not be traced or dumped (credentials(7)): only root and
//! itself see its own /proc entries.

use crate::error::{Result, ToolError};
use nix::unistd::{Uid, setfsuid};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// That this thread was made to look, and ends when it has.
pub(super) struct Eyes(());

impl Eyes {
    /// Runs `look` on a thread of its own.
    ///
    /// # Errors
    /// What `look` answers, or the thread could not be had.
    pub(super) fn lend<T: Send>(look: impl FnOnce(&Self) -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("eyes".to_owned())
                .spawn_scoped(scope, || look(&Self(())))
                .map_err(|error| ToolError::io("look at", "/proc", error))?
                .join()
                .map_err(|_| {
                    ToolError::Defect("a thread that looks at processes has ended early".to_owned())
                })?
        })
    }

    /// From now on this thread sees files as the owner of `path` does; without the right to, as before.
    pub(super) fn owner_of(&self, path: &Path) -> std::io::Result<()> {
        let owner = std::fs::metadata(path)?.uid();
        setfsuid(Uid::from_raw(owner));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lent_thread_is_somebody_else() {
        let inside = Eyes::lend(|eyes| {
            eyes.owner_of(Path::new("/proc/1")).unwrap();
            Ok(setfsuid(Uid::from_raw(u32::MAX)))
        })
        .unwrap();
        let outside = setfsuid(Uid::from_raw(u32::MAX));
        assert_eq!(outside, Uid::effective());
        if Uid::effective().is_root() {
            assert_eq!(inside, Uid::from_raw(0));
        }
    }
}
