//! Packages that lie over `/usr` until the next start. The worker of images unpacks them; they are mounted here, in the
//! mount namespace from which those of all services follow.

use super::manager::Manager;
use crate::error::{InitError, Result};
use aios_deployment::overlay::{self, OVER};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

const MOUNTS: &str = "/proc/self/mountinfo";

impl Manager {
    /// Lays what is unpacked under that name over `/usr`, instead of what lies there; with an empty name nothing.
    pub(super) fn lay_packages(&mut self, name: &str) -> Result<()> {
        if self.world.deployment.is_none() {
            return Err(InitError::NoDeployment);
        }
        if self.ending.is_some() {
            return Err(InitError::Ending);
        }
        // Everything that can be wrong is found out before anything is taken off.
        let tree = match name {
            "" => None,
            name => Some(tree(&self.world.paths.state, name)?),
        };
        let mounts = fs::read_to_string(MOUNTS).map_err(InitError::path("cannot read", MOUNTS))?;
        if let Some(laid) = overlay::laid(&mounts) {
            // Whoever runs a program of theirs goes on with it.
            umount2(OVER, MntFlags::MNT_DETACH)
                .map_err(|error| InitError::path("cannot unmount", OVER)(error.into()))?;
            tracing::info!(laid, "taken off /usr");
        }
        let Some(tree) = tree else { return Ok(()) };
        let layers = format!("lowerdir=/proc/self/fd/{}:{OVER}", tree.as_raw_fd());
        let flags = MsFlags::MS_RDONLY | MsFlags::MS_NODEV;
        mount(
            Some(overlay::source(name).as_str()),
            OVER,
            Some("overlay"),
            flags,
            Some(layers.as_str()),
        )
        .map_err(|error| InitError::path("cannot mount packages over", OVER)(error.into()))?;
        tracing::info!(name, "laid over /usr until the next start");
        Ok(())
    }
}

/// What is unpacked under a name. It must be root's, as everything in the system is.
fn tree(state: &Path, name: &str) -> Result<File> {
    if !overlay::is_name(name) {
        return Err(InitError::Value {
            field: "name",
            value: name.chars().take(80).collect(),
            allowed: "small letters, digits and `-`",
        });
    }
    let path = overlay::dir(state).join(name).join("usr");
    let flags = nix::libc::O_DIRECTORY | nix::libc::O_NOFOLLOW | nix::libc::O_PATH;
    let tree = OpenOptions::new().read(true).custom_flags(flags).open(&path);
    let tree = tree.map_err(InitError::path("cannot open", &path))?;
    let about = tree.metadata().map_err(InitError::path("cannot read", &path))?;
    if about.uid() != 0 || about.mode() & 0o022 != 0 {
        let wrong = std::io::Error::other("it does not belong to root alone");
        return Err(InitError::path("cannot use", &path)(wrong));
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn only_a_directory_of_roots_is_laid_over_the_system() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let state = tempfile::tempdir().unwrap();
        let dir = overlay::dir(state.path());
        let usr = |name: &str| dir.join(name).join("usr");
        fs::create_dir_all(usr("good")).unwrap();
        tree(state.path(), "good").unwrap();
        fs::create_dir_all(usr("theirs")).unwrap();
        nix::unistd::chown(&usr("theirs"), Some(1.into()), None).unwrap();
        fs::create_dir_all(usr("open")).unwrap();
        fs::set_permissions(usr("open"), fs::Permissions::from_mode(0o777)).unwrap();
        fs::create_dir_all(dir.join("link")).unwrap();
        symlink(usr("good"), usr("link")).unwrap();
        fs::create_dir_all(dir.join("file")).unwrap();
        fs::write(usr("file"), "").unwrap();
        for name in ["theirs", "open", "link", "file", "absent", "../good", "", "a:b"] {
            assert!(tree(state.path(), name).is_err(), "{name}");
        }
    }
}
