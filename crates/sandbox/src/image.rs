//! The agent image. It comes with the distribution as an OCI layout, so that one swap of the system
//! changes both; it is loaded when its digest is not there yet, and older ones are removed.

use serde::Deserialize;
use std::fs;
use std::path::Path;

use crate::error::SandboxError;
use crate::podman::{Client, Layout};

/// An image by its two names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Digest of its configuration, hex: Podman's image id.
    pub id: String,
    /// Digest of its manifest, `sha256:…`: how the distribution names it.
    pub digest: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

impl Image {
    /// Reads which image an OCI layout holds.
    ///
    /// # Errors
    /// The layout is missing, damaged, or holds not exactly one image.
    pub fn of_layout(layout: &Path) -> Result<Self, SandboxError> {
        let wrong = |why: String| SandboxError::Image {
            path: layout.to_owned(),
            why,
        };
        let index: Index = read(layout, "index.json").map_err(wrong)?;
        let [manifest] = index.manifests.as_slice() else {
            return Err(wrong(format!(
                "it holds {} images, not one",
                index.manifests.len()
            )));
        };
        let hex = |digest: &str| {
            let hex = digest.strip_prefix("sha256:").filter(|hex| {
                hex.len() == 64
                    && hex
                        .bytes()
                        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            });
            hex.map(str::to_owned)
                .ok_or_else(|| wrong(format!("`{digest}` is no SHA-256 digest")))
        };
        let name = format!("blobs/sha256/{}", hex(&manifest.digest)?);
        let Manifest { config } = read(layout, &name).map_err(wrong)?;
        Ok(Self {
            id: hex(&config.digest)?,
            digest: manifest.digest.clone(),
        })
    }

    /// Loads the image of the layout unless it is there, and removes all others.
    ///
    /// # Errors
    /// The layout cannot be read, or Podman cannot load it.
    pub async fn ensure(layout: &Path, podman: &Layout, client: &Client) -> Result<Self, SandboxError> {
        let image = Self::of_layout(layout)?;
        let there = client.images().await?;
        if !there.iter().any(|it| it.id == image.id) {
            tracing::info!(digest = image.digest, "loading the agent image");
            // The REST API pulls from registries only, so this is the one command that is run. Podman names
            // the image after the path, and takes no capitals in it: so the path is a short one.
            let (directory, name) = (layout.parent(), layout.file_name());
            let source = format!("oci:{}", name.unwrap_or_default().to_string_lossy());
            let directory = directory.unwrap_or(Path::new("/"));
            let loaded = podman.output(directory, &["pull", "--quiet", &source]).await?;
            if !loaded.lines().any(|line| line == image.id) {
                let why = format!("Podman loaded `{loaded}` instead of {}", image.id);
                return Err(SandboxError::Image {
                    path: layout.to_owned(),
                    why,
                });
            }
        }
        for old in there.iter().filter(|it| it.id != image.id) {
            match client.remove_image(&old.id).await {
                Ok(()) => tracing::info!(image = old.id, "removed an older agent image"),
                Err(error) => tracing::warn!(%error, "an older agent image could not be removed"),
            }
        }
        Ok(image)
    }
}

fn read<T: for<'de> Deserialize<'de>>(layout: &Path, name: &str) -> Result<T, String> {
    let path = layout.join(name);
    let bytes = fs::read(&path).map_err(|error| format!("{name}: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(index: &str, manifest: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("blobs/sha256")).unwrap();
        fs::write(root.path().join("index.json"), index).unwrap();
        fs::write(root.path().join("blobs/sha256").join("a".repeat(64)), manifest).unwrap();
        root
    }

    fn index(digest: &str) -> String {
        format!("{{\"manifests\":[{{\"digest\":\"{digest}\"}}]}}")
    }

    #[test]
    fn the_image_is_named_by_its_manifest_and_its_configuration() {
        let manifest = format!("{{\"config\":{{\"digest\":\"sha256:{}\"}}}}", "b".repeat(64));
        let digest = format!("sha256:{}", "a".repeat(64));
        let root = layout(&index(&digest), &manifest);
        let image = Image::of_layout(root.path()).unwrap();
        assert_eq!(
            image,
            Image {
                id: "b".repeat(64),
                digest
            }
        );
    }

    #[test]
    fn a_damaged_layout_is_named() {
        let cases = [
            ("", "index.json"),
            ("{\"manifests\":[]}", "0 images"),
            (&index("sha256:../../etc/passwd"), "no SHA-256"),
            (&index(&format!("sha256:{}", "c".repeat(64))), "blobs/sha256/ccc"),
        ];
        for (index, wanted) in cases {
            let root = layout(index, "{}");
            let error = Image::of_layout(root.path()).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
