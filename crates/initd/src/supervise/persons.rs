//! Who may change services: root, and enrolled persons from a process of their own.
//!
//! A person's uid alone is not enough: an agent, tool or worker that got hold of it would stop the guard
//! or the machine. So a confined caller is refused, and every refusal is written to the audit log.

use crate::error::{InitError, Result};
use aios_auth::peer;
use aios_core::error::Report;
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
    refusals: Refusals,
}

impl Persons {
    /// Those enrolled in `state`; tasks of `tasks` tell the guard at its socket of everybody else.
    pub(super) fn new(state: &Path, guard: PathBuf, tasks: &Tasks) -> Self {
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
            state: state.to_owned(),
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
        let peer = rpc::peer_of(request);
        let Err(error) = may_change(peer, &self.state) else {
            return Ok(());
        };
        let noted = self.refusals.note(Refused {
            uid: peer.map(|peer| peer.uid),
            rpc,
            check: "peer",
            goal_id: String::new(),
            report: Report::of(&error),
        });
        noted.await;
        Err(rpc::status(&error))
    }
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
