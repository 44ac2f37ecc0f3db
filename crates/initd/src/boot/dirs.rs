//! Directories with owners and modes: those of the instance, and those that services ask for.

use super::Outcome;
use crate::error::{InitError, Result};
use crate::spec::Spec;
use crate::supervise::{World, account, gid_or, runtime_dir, uid_or};
use nix::unistd::{Gid, Group, Uid, chown};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Makes them all.
pub(super) fn make(world: &World, specs: &BTreeMap<String, Spec>) -> Result<Outcome> {
    let paths = &world.paths;
    let group = |name: &str| {
        Group::from_name(name)
            .ok()
            .flatten()
            .map_or(0, |group| group.gid.as_raw())
    };
    let fixed = [
        (paths.etc.clone(), 0, 0o755),
        (paths.state.clone(), 0, 0o711),
        (paths.state.join("persons"), 0, 0o711),
        (paths.state.join("worker"), 0, 0o711),
        (paths.state.join("log"), group("aios"), 0o750),
        (paths.run.clone(), 0, 0o755),
        (paths.run.join("init"), 0, 0o700),
        (paths.run.join("notify"), 0, 0o755),
        (paths.run.join("worker"), group("aios-workers"), 0o750),
    ];
    for (path, gid, mode) in &fixed {
        directory(path, 0, *gid, *mode)?;
    }
    let mut skipped = Vec::new();
    for spec in specs.values().filter(|spec| spec.enabled) {
        // The service itself will fail with the same error, which its state then shows.
        if let Err(error) = of_service(spec) {
            tracing::error!(service = spec.name, %error, "cannot make the directories of a service");
            skipped.push(spec.name.clone());
        }
    }
    Ok(Outcome::Done(if skipped.is_empty() {
        String::new()
    } else {
        format!("failed for {}", skipped.join(", "))
    }))
}

/// Makes the directories of one service.
pub(crate) fn of_service(spec: &Spec) -> Result<()> {
    let account = account(spec)?;
    for wanted in &spec.directory {
        let uid = uid_or(&spec.name, &wanted.user, account.identity.uid)?;
        let gid = gid_or(&spec.name, &wanted.group, account.identity.gid)?;
        let mode = u32::from_str_radix(&wanted.mode, 8).unwrap_or(0o700);
        directory(Path::new(&wanted.path), uid, gid, mode)?;
    }
    if spec.runtime_dir {
        directory(Path::new("/run/user"), 0, 0, 0o755)?;
        directory(
            &runtime_dir(&account),
            account.identity.uid,
            account.identity.gid,
            0o700,
        )?;
    }
    Ok(())
}

/// One directory: made if it is not there, owner and mode set in any case. A link in its place is an
/// error, so that nobody can lead us elsewhere.
fn directory(path: &Path, uid: u32, gid: u32, mode: u32) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(InitError::path("cannot make", parent))?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(InitError::path("cannot make", path)(error));
        }
        _ => {}
    }
    let meta = fs::symlink_metadata(path).map_err(InitError::path("cannot look at", path))?;
    if !meta.is_dir() {
        return Err(InitError::path("is not a directory:", path)(
            ErrorKind::NotADirectory.into(),
        ));
    }
    chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .map_err(|error| InitError::path("cannot give away", path)(error.into()))?;
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(InitError::path("cannot set the mode of", path))
}
