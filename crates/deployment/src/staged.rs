//! What bootc's composefs backend keeps of a deployment beside its root: `/sysroot/state/deploy/ID/ID.origin`, and
//! `/run/composefs/staged-deployment` while one is staged.

use crate::error::{DeploymentError, Result};
use crate::id::DeploymentId;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where bootc writes which deployment is staged; gone after a reboot.
pub const STAGED: &str = "/run/composefs/staged-deployment";
/// Where the deployments' own state lies.
pub const DEPLOYMENTS: &str = "/sysroot/state/deploy";

/// One deployment, as a person and the record know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its name.
    pub id: DeploymentId,
    /// The image that it came from, `docker://registry/name:tag` or `oci:/dir:tag`. Empty when it is not known.
    #[serde(default)]
    pub image: String,
    /// Digest of that image's manifest, `sha256:…`. Empty when it is not known.
    #[serde(default)]
    pub manifest: String,
}

/// What [`STAGED`] holds.
#[derive(Debug, Deserialize)]
struct Staged {
    depl_id: String,
    /// Staged, but not to be finalized by a shutdown.
    #[serde(default)]
    finalization_locked: bool,
}

impl Deployment {
    /// A deployment with what its origin says, if it has one.
    #[must_use]
    pub fn of(deployments: &Path, id: DeploymentId) -> Self {
        let file = deployments.join(id.as_str()).join(format!("{id}.origin"));
        let text = fs::read_to_string(file).unwrap_or_default();
        Self {
            image: value(&text, "origin", "container-image-reference")
                .map(|image| strip_policy(image).to_owned())
                .unwrap_or_default(),
            manifest: value(&text, "image", "manifest_digest")
                .unwrap_or_default()
                .to_owned(),
            id,
        }
    }

    /// The manifest's digest if it is known, else the deployment's name: what a failed image is remembered by.
    #[must_use]
    pub fn digest(&self) -> &str {
        if self.manifest.is_empty() {
            self.id.as_str()
        } else {
            &self.manifest
        }
    }
}

/// The deployment that a shutdown finalizes. None when nothing is staged, or only downloaded.
///
/// # Errors
/// The file cannot be read or understood.
pub fn staged(file: &Path) -> Result<Option<DeploymentId>> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.map_err(DeploymentError::path("cannot read", file))?,
    };
    let damaged = |reason: String| DeploymentError::Damaged {
        path: PathBuf::from(file),
        reason,
    };
    let staged: Staged = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if staged.finalization_locked {
        return Ok(None);
    }
    DeploymentId::new(&staged.depl_id)
        .map(Some)
        .ok_or_else(|| damaged("it names no deployment".into()))
}

/// The value of a key in a section of an INI file.
fn value<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name == section;
        } else if inside
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            return Some(value.trim());
        }
    }
    None
}

/// bootc writes before the reference how far its signature was checked.
fn strip_policy(image: &str) -> &str {
    ["ostree-unverified-image:", "ostree-image-signed:"]
        .iter()
        .find_map(|prefix| image.strip_prefix(prefix))
        .unwrap_or(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_names_image_and_manifest() {
        let home = tempfile::tempdir().unwrap();
        let id = DeploymentId::new(&"a".repeat(128)).unwrap();
        let dir = home.path().join(id.as_str());
        fs::create_dir(&dir).unwrap();
        fs::write(
            dir.join(format!("{id}.origin")),
            "[boot]\ndigest = 12\nboot_type = bls\n\n[origin]\ncontainer-image-reference = \
             ostree-unverified-image:oci:/var/lib/images/v2:latest\n[image]\nmanifest_digest = sha256:77\n",
        )
        .unwrap();
        let known = Deployment::of(home.path(), id);
        assert_eq!(known.image, "oci:/var/lib/images/v2:latest");
        assert_eq!(known.manifest, "sha256:77");
        assert_eq!(known.digest(), "sha256:77");
        let unknown = DeploymentId::new(&"b".repeat(128)).unwrap();
        assert_eq!(
            Deployment::of(home.path(), unknown.clone()).digest(),
            unknown.as_str()
        );
    }

    #[test]
    fn only_what_a_shutdown_finalizes_counts_as_staged() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("staged-deployment");
        assert_eq!(staged(&file).unwrap(), None);
        let id = "c".repeat(128);
        fs::write(
            &file,
            format!("{{\"depl_id\":\"{id}\",\"finalization_locked\":false}}"),
        )
        .unwrap();
        assert_eq!(staged(&file).unwrap(), DeploymentId::new(&id));
        fs::write(
            &file,
            format!("{{\"depl_id\":\"{id}\",\"finalization_locked\":true}}"),
        )
        .unwrap();
        assert_eq!(staged(&file).unwrap(), None);
        for text in ["", "{}", "{\"depl_id\":\"../x\"}"] {
            fs::write(&file, text).unwrap();
            assert!(
                staged(&file)
                    .unwrap_err()
                    .to_string()
                    .contains("staged-deployment"),
                "{text}"
            );
        }
    }
}
