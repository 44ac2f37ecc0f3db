//! The person's own key: reading it, signing requests with it, making it.
//!
//! The key never leaves this process; what a request carries is a signature over that one request.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use aios_auth::key::{KeyError, SecretKey};
use aios_auth::person::{PersonKey, PersonRequest};
use aios_client::{Failure, Kind};
use aios_core::clock::{Clock, SystemClock};

use crate::instance::Instance;

/// The request with this person's proof.
pub(crate) fn prove<R: PersonRequest>(mut request: R, instance: &Instance) -> Result<R, Failure> {
    let path = instance.paths.person_key(instance.uid);
    let key = match PersonKey::load(&path, instance.uid) {
        Ok(key) => key,
        Err(KeyError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(not_enrolled(&path, instance.uid));
        }
        Err(error) => return Err(Failure::coded(&error)),
    };
    sign(&key, &mut request)?;
    Ok(request)
}

/// As [`prove`], but leaves the request as it is when this person has no key.
pub(crate) fn prove_if_enrolled<R: PersonRequest>(request: R, instance: &Instance) -> Result<R, Failure> {
    if instance.paths.person_key(instance.uid).exists() {
        prove(request, instance)
    } else {
        Ok(request)
    }
}

fn sign<R: PersonRequest>(key: &PersonKey, request: &mut R) -> Result<(), Failure> {
    key.prove(request, SystemClock.now_ms())
        .map_err(|error| Failure::coded(&error))
}

/// The key of `uid`: the one that is there, or a new one in a directory of theirs.
pub(crate) fn load_or_create(uid: u32, instance: &Instance) -> Result<PersonKey, Failure> {
    let path = instance.paths.person_key(uid);
    if uid == instance.uid {
        return PersonKey::load_or_create(&instance.paths, uid).map_err(|error| Failure::coded(&error));
    }
    create_for(uid, &path)
}

/// Root makes a key for somebody else, and keeps no right to it but root's own.
fn create_for(uid: u32, path: &Path) -> Result<PersonKey, Failure> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let failed = |what: &str, source: std::io::Error| {
        Failure::new(
            Kind::Failed,
            "AIOS-CLI-0005",
            format!("cannot {what} {}: {source}", directory.display()),
            "enrolling somebody else needs root: try again with sudo",
        )
    };
    if path.exists() {
        return Err(Failure::new(
            Kind::Conflict,
            "AIOS-CLI-0006",
            format!("{} is there already", path.display()),
            "let that person run `aiosctl person enrol` themselves",
        ));
    }
    if !directory.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| failed("create", error))?;
    }
    let key = SecretKey::generate().map_err(|error| Failure::coded(&error))?;
    key.store_new(path).map_err(|error| Failure::coded(&error))?;
    for place in [path, directory] {
        std::os::unix::fs::chown(place, Some(uid), None).map_err(|error| failed("hand over", error))?;
    }
    Ok(PersonKey::new(uid, key))
}

fn not_enrolled(path: &Path, uid: u32) -> Failure {
    Failure::new(
        Kind::Unauthenticated,
        "AIOS-CLI-0007",
        format!("uid {uid} has no person's key at {}", path.display()),
        "enrol first: `sudo aiosctl person enrol --user NAME`, or ask an enrolled person to decide",
    )
}
