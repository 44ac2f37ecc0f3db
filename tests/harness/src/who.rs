//! Users, and connecting as one of them.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::unistd::{Group, User};
use rustix::process::{Gid, Uid};

use crate::Service;

/// uid of the enrolled person of every instance. No account of the machine has it.
pub const PERSON_UID: u32 = 60_007;
/// uid of the stranger.
const STRANGER_UID: u32 = 60_008;

/// A user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// uid 0.
    Root,
    /// The enrolled person, a member of group `aios`.
    Person,
    /// A member of group `aios` whom nobody enrolled.
    Stranger,
    /// The user of a service.
    Of(Service),
}

/// Numeric identity.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

impl Who {
    /// The uid.
    ///
    /// # Errors
    /// The user of a service does not exist; set-up makes it.
    pub fn uid(self) -> Result<u32> {
        Ok(self.ids()?.uid)
    }

    pub(crate) fn ids(self) -> Result<Ids> {
        let aios = group("aios")?;
        Ok(match self {
            Self::Root => Ids {
                uid: 0,
                gid: 0,
                groups: Vec::new(),
            },
            Self::Person => Ids {
                uid: PERSON_UID,
                gid: PERSON_UID,
                groups: vec![aios],
            },
            Self::Stranger => Ids {
                uid: STRANGER_UID,
                gid: STRANGER_UID,
                groups: vec![aios],
            },
            Self::Of(service) => {
                let user = user(service.user())?;
                let mut groups = vec![aios];
                if matches!(service, Service::Guard | Service::Tools) {
                    groups.push(group("aios-workers")?);
                }
                Ids {
                    uid: user.uid.as_raw(),
                    gid: user.gid.as_raw(),
                    groups,
                }
            }
        })
    }
}

pub(crate) fn user(name: &str) -> Result<User> {
    User::from_name(name)?.with_context(|| format!("there is no user {name}: run `make setup` once"))
}

pub(crate) fn group(name: &str) -> Result<u32> {
    let group = Group::from_name(name)?
        .with_context(|| format!("there is no group {name}: run `make setup` once"))?;
    Ok(group.gid.as_raw())
}

/// Connects with the credentials of `ids`, which are a thread's own on Linux (credentials(7)): a thread
/// takes them on, connects, and ends.
pub(crate) async fn connect_as(ids: Ids, path: PathBuf) -> std::io::Result<tokio::net::UnixStream> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // The receiver is gone only when the caller gave up; then nobody misses the answer.
        drop(sender.send(connect(&ids, &path)));
    });
    let stream = receiver.await.map_err(std::io::Error::other)??;
    stream.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(stream)
}

fn connect(ids: &Ids, path: &Path) -> std::io::Result<UnixStream> {
    if ids.uid != 0 {
        let groups: Vec<Gid> = ids.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
        rustix::thread::set_thread_groups(&groups)?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    }
    UnixStream::connect(path)
}
