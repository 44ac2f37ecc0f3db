//! The person's own key: reading it, signing requests with it, making it.
//!
//! The key never leaves this process; what a request carries is a signature over that one request.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, lchown};
use std::path::Path;

use aios_auth::key::{KeyError, PublicKey, SecretKey};
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

/// The public half of the key of `uid`: of the one that is there, or of a new one in a directory of
/// theirs.
pub(crate) fn load_or_create(uid: u32, instance: &Instance) -> Result<PublicKey, Failure> {
    let path = instance.paths.person_key(uid);
    let directory = path.parent().unwrap_or(Path::new("/"));
    let failed = |what: &str, source: std::io::Error| {
        Failure::new(
            Kind::Failed,
            "AIOS-CLI-0005",
            format!("cannot {what} {}: {source}", directory.display()),
            "let root make it: `sudo aiosctl person enrol --user NAME`",
        )
    };
    // Everybody passes the parent; each person's own directory is theirs alone.
    if let Some(parent) = directory.parent().filter(|parent| !parent.exists()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(|error| failed("create", error))?;
    }
    if !directory.exists() {
        DirBuilder::new()
            .mode(0o700)
            .create(directory)
            .map_err(|error| failed("create", error))?;
    }
    if uid == instance.uid {
        let key = PersonKey::load_or_create(&instance.paths, uid).map_err(|error| Failure::coded(&error))?;
        return Ok(key.public());
    }
    let key = match SecretKey::load_of(&path, uid) {
        Err(KeyError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            let key = SecretKey::generate().map_err(|error| Failure::coded(&error))?;
            key.store_new(&path).map_err(|error| Failure::coded(&error))?;
            // Not through a link that its new owner may put there meanwhile.
            for place in [path.as_path(), directory] {
                lchown(place, Some(uid), None).map_err(|error| failed("hand over", error))?;
            }
            key
        }
        loaded => loaded.map_err(|error| Failure::coded(&error))?,
    };
    Ok(key.public())
}

fn not_enrolled(path: &Path, uid: u32) -> Failure {
    Failure::new(
        Kind::Unauthenticated,
        "AIOS-CLI-0007",
        format!("uid {uid} has no person's key at {}", path.display()),
        "enrol first: `sudo aiosctl person enrol --user NAME`, or ask an enrolled person to decide",
    )
}
