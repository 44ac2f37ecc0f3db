//! Listening sockets, opened once and held here and with PID 1, so that no connection is lost while
//! a service restarts.

use super::users;
use super::world::World;
use crate::error::{InitError, Result};
use crate::spec::{Socket, Spec};
use nix::unistd::{Gid, Uid, chown};
use std::fs::{self, Permissions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open socket of a service.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// Name in `$LISTEN_FDNAMES`.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) fd: Arc<OwnedFd>,
}

/// Opens the sockets of a service, or takes those of an earlier supervisor.
pub(crate) fn open_all(world: &mut World, spec: &Spec) -> Result<Vec<Held>> {
    spec.socket
        .iter()
        .map(|socket| open(world, spec, socket))
        .collect()
}

fn open(world: &mut World, spec: &Spec, socket: &Socket) -> Result<Held> {
    let name = socket.fd_name();
    let path = PathBuf::from(&socket.path);
    let key = key(&spec.name, &name);
    let fd = match world.take(&key) {
        Some(fd) => fd,
        None => {
            let fd = bind(spec, socket, &path)?;
            world.store(&key, fd.as_fd());
            fd
        }
    };
    Ok(Held {
        name,
        path,
        fd: Arc::new(fd),
    })
}

/// Under which PID 1 keeps a socket of a service.
pub(crate) fn key(service: &str, name: &str) -> String {
    format!("sock:{service}:{name}")
}

fn bind(spec: &Spec, socket: &Socket, path: &Path) -> Result<OwnedFd> {
    let account = users::account(spec)?;
    let uid = users::uid_or(&spec.name, &socket.user, account.identity.uid)?;
    let gid = if socket.group.is_empty() {
        users::gid_or(&spec.name, "aios", account.identity.gid)?
    } else {
        users::gid_of(&spec.name, &socket.group)?
    };
    let mode = u32::from_str_radix(&socket.mode, 8).unwrap_or(0o600);
    remove_stale(path)?;
    let listener = UnixListener::bind(path).map_err(InitError::path("cannot bind", path))?;
    chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .map_err(|error| InitError::path("cannot give away", path)(error.into()))?;
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(InitError::path("cannot set the mode of", path))?;
    Ok(listener.into())
}

/// Removes a socket that an earlier instance left; anything else there is not ours to remove.
pub(crate) fn remove_stale(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => {
            fs::remove_file(path).map_err(InitError::path("cannot remove", path))
        }
        _ => Ok(()),
    }
}

/// Removes the file of a socket at the end.
pub(crate) fn close(held: &Held) {
    if let Err(error) = fs::remove_file(&held.path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %held.path.display(), %error, "cannot remove a socket");
    }
}
