//! Who may change services: root, enrolled persons from a process of their own, and within
//! [`rules`](super::rules) the service worker, which is known by its uid.
//!
//! A person's uid alone is not enough: an agent, tool or worker that got hold of it would stop the guard
//! or the machine. So a confined caller is refused, and every refusal is written to the audit log.

use super::rules::Caller;
use crate::error::{InitError, Result};
use aios_auth::peer::{self, Users};
use aios_core::config;
use aios_core::error::Report;
use aios_core::paths::Paths;
use aios_core::rpc::{self, Peer, Refusals, Refused};
use aios_core::tasks::Tasks;
use aios_proto::guard::v1::guard_client::GuardClient;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::{Request, Status};

/// How long a refusal waits until the guard has written it.
const RECORD: Duration = Duration::from_secs(2);

/// Decides about callers.
#[derive(Debug, Clone)]
pub(super) struct Persons {
    /// The state directory: `persons/UID` in it enrols a person.
    state: PathBuf,
    /// The service worker's uid, where there is such a user.
    worker: Option<u32>,
    /// The health service's uid, where there is such a user.
    health: Option<u32>,
    /// The uid of the worker of the operating system's images, where there is such a user.
    os: Option<u32>,
    refusals: Refusals,
}

impl Persons {
    /// Those of this instance; tasks of `tasks` tell the guard at its socket of everybody else.
    pub(super) fn new(paths: &Paths, tasks: &Tasks) -> Self {
        let guard = paths.socket("guard");
        let refusals = Refusals::new("init.denied", tasks.clone(), move |request| {
            // Refusals are rare: a connection for each costs nothing at rest.
            let mut guard = GuardClient::new(rpc::channel(&guard));
            async move {
                tokio::time::timeout(RECORD, guard.record(request))
                    .await
                    .map_err(|_| Status::deadline_exceeded("the guard did not answer in time"))?
                    .map(drop)
            }
        });
        Self {
            state: paths.state.clone(),
            worker: uid_by(paths, "service worker", |users| &users.service),
            health: uid_by(paths, "health service", |users| &users.health),
            os: uid_by(paths, "worker of images", |users| &users.os),
            refusals,
        }
    }

    /// Lets through who may change services; anybody else is answered with the reason, once the guard
    /// has recorded it or is known to be away. `rpc` is the name of what was asked for.
    pub(super) async fn check<T>(
        &self,
        request: &Request<T>,
        rpc: &'static str,
    ) -> std::result::Result<(), Status> {
        match may_change(rpc::peer_of(request), &self.state) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.refuse(uid_of(request), rpc, &error).await),
        }
    }

    /// The same, and lets the service worker through, of whom the manager then has more to ask.
    pub(super) async fn caller<T>(
        &self,
        request: &Request<T>,
        rpc: &'static str,
    ) -> std::result::Result<Caller, Status> {
        if self.worker.is_some() && self.worker == uid_of(request) {
            return Ok(Caller::Worker);
        }
        self.check(request, rpc).await.map(|()| Caller::Person)
    }

    /// Lets through who may say how healthy the system is: the health service, beside root and persons.
    pub(super) async fn reporter<T>(
        &self,
        request: &Request<T>,
        rpc: &'static str,
    ) -> std::result::Result<(), Status> {
        if self.health.is_some() && self.health == uid_of(request) {
            return Ok(());
        }
        self.check(request, rpc).await
    }

    /// Lets through who may end the system: the worker of images, whose tool for it needs a person's approval, beside root
    /// and persons.
    pub(super) async fn ender<T>(
        &self,
        request: &Request<T>,
        rpc: &'static str,
    ) -> std::result::Result<(), Status> {
        if self.os.is_some() && self.os == uid_of(request) {
            return Ok(());
        }
        self.check(request, rpc).await
    }

    /// Lets the worker of images through, and nobody else: what lies over the system is part of it.
    pub(super) async fn images<T>(
        &self,
        request: &Request<T>,
        rpc: &'static str,
    ) -> std::result::Result<(), Status> {
        let uid = uid_of(request);
        if self.os.is_some() && self.os == uid {
            return Ok(());
        }
        let error = uid.map_or(InitError::Nobody, InitError::NotImages);
        Err(self.refuse(uid, rpc, &error).await)
    }

    /// Lets root through, confined or not, beside persons: what bootc asks, which a worker runs, changes nothing.
    pub(super) async fn root<T>(
        &self,
        request: &Request<T>,
        rpc: &'static str,
    ) -> std::result::Result<(), Status> {
        if uid_of(request) == Some(0) {
            return Ok(());
        }
        self.check(request, rpc).await
    }

    /// The answer to a caller who may not, once the guard has recorded it or is known to be away.
    pub(super) async fn refuse(&self, uid: Option<u32>, rpc: &'static str, error: &InitError) -> Status {
        let noted = self.refusals.note(Refused {
            uid,
            rpc,
            check: "peer",
            goal_id: String::new(),
            report: Report::of(error),
        });
        noted.await;
        rpc::status(error)
    }
}

/// uid of who sent a request.
pub(super) fn uid_of<T>(request: &Request<T>) -> Option<u32> {
    rpc::peer_of(request).map(|peer| peer.uid)
}

/// The uid of a part that has rights of its own here. Without that user there is nobody to let through; services run all
/// the same. Root needs no rule.
fn uid_by(paths: &Paths, what: &str, name: impl FnOnce(&Users) -> &String) -> Option<u32> {
    let users: Users = config::load(paths, "users")
        .inspect_err(|error| tracing::error!(%error, what, "is not let through"))
        .ok()?;
    let uid = peer::uid_of(name(&users))
        .inspect_err(|error| tracing::warn!(%error, what, "is not let through"))
        .ok()?;
    (uid != 0).then_some(uid)
}

/// A person is enrolled when root made `state/persons/UID` and gave it to them.
fn may_change(peer: Option<&Peer>, state: &Path) -> Result<()> {
    let peer = peer.ok_or(InitError::Nobody)?;
    if peer.uid != 0 && !enrolled(state, peer.uid) {
        return Err(InitError::Denied(peer.uid));
    }
    Ok(peer::check_unconfined(peer)?)
}

fn enrolled(state: &Path, uid: u32) -> bool {
    let path = state.join("persons").join(uid.to_string());
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir() && meta.uid() == uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_of_a_persons_directory_is_enrolled() {
        let state = tempfile::tempdir().unwrap();
        let own = nix::unistd::geteuid().as_raw();
        let persons = state.path().join("persons");
        std::fs::create_dir_all(persons.join(own.to_string())).unwrap();
        std::fs::create_dir_all(persons.join("4242")).unwrap();
        assert!(enrolled(state.path(), own));
        assert!(!enrolled(state.path(), 4242));
        assert!(!enrolled(state.path(), 4243));
    }
}
