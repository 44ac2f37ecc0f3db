//! Who may change services: root, and enrolled persons.

use crate::error::{InitError, Result};
use aios_core::rpc;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tonic::Request;

/// Whether the caller may change services. A person is enrolled when root made `state/persons/UID`
/// and gave it to them.
pub(super) fn may_change<T>(request: &Request<T>, state: &Path) -> Result<()> {
    let peer = rpc::peer_of(request).ok_or(InitError::Nobody)?;
    if peer.uid == 0 || enrolled(state, peer.uid) {
        return Ok(());
    }
    Err(InitError::Denied(peer.uid))
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
