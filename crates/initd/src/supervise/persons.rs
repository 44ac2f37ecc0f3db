//! Who may change services: root, and enrolled persons from a process of their own.
//!
//! A person's uid alone is not enough: an agent, tool or worker that got hold of it would stop the guard
//! or the machine. So a confined caller is refused, and every refusal is written to the audit log.

use crate::error::{InitError, Result};
use aios_auth::peer;
use aios_core::error::Report;
use aios_core::rpc::{self, Peer};
use aios_proto::guard::v1::RecordRequest;
use aios_proto::guard::v1::guard_client::GuardClient;
use serde_json::json;
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
    pub(super) state: PathBuf,
    /// The guard's socket.
    pub(super) guard: PathBuf,
}

impl Persons {
    /// Lets through who may change services; anybody else is answered with the reason, once the guard
    /// has recorded it or is known to be away. `rpc` is the name of what was asked for.
    pub(super) async fn check<T>(
        &self,
        request: &Request<T>,
        rpc: &'static str,
    ) -> std::result::Result<(), Status> {
        let peer = rpc::peer_of(request).cloned();
        let Err(error) = may_change(peer.as_ref(), &self.state) else {
            return Ok(());
        };
        self.record(peer.as_ref(), rpc, &Report::of(&error)).await;
        Err(rpc::status(&error))
    }

    /// Refusals are rare, so that the connection to the guard is made for each one and costs nothing at rest.
    async fn record(&self, peer: Option<&Peer>, rpc: &'static str, report: &Report) {
        let details = json!({
            "rpc": rpc,
            "uid": peer.map(|peer| peer.uid),
            "pid": peer.map(|peer| peer.pid),
            "check": "peer",
            "code": report.code,
            "message": report.message,
        });
        let record = RecordRequest {
            kind: "init.denied".to_owned(),
            details_json: details.to_string(),
            ..RecordRequest::default()
        };
        let mut guard = GuardClient::new(rpc::channel(&self.guard));
        let problem = match tokio::time::timeout(RECORD, guard.record(record)).await {
            Ok(Ok(_)) => return,
            Ok(Err(status)) => rpc::report_of(&status).message,
            Err(_) => "it did not answer in time".to_owned(),
        };
        tracing::warn!(
            code = report.code,
            rpc,
            uid = peer.map(|peer| peer.uid),
            problem,
            "a refusal could not be written to the audit log: {}",
            report.message
        );
    }
}

/// A person is enrolled when root made `state/persons/UID` and gave it to them.
fn may_change(peer: Option<&Peer>, state: &Path) -> Result<()> {
    let peer = peer.ok_or(InitError::Nobody)?;
    if peer.uid == 0 {
        return Ok(());
    }
    if !enrolled(state, peer.uid) {
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
