//! The agent image. It comes with the distribution as an OCI layout, so that one swap of the system changes both; it is
//! loaded when it is not there yet.
//!
//! Podman does not sync what it unpacks: after a power cut an image may be there by name, with empty files. So the name of
//! the image that was synced is kept beside the store, and without it the whole store is made anew: there is
//! nothing else in it.

use serde::Deserialize;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::error::SandboxError;
use crate::podman::{Client, Layout};

/// Beside the store: the id of the image that is wholly on the disk.
const WHOLE: &str = "image";

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

    /// Empties a store that holds another image, or one that is not known to be wholly on the disk. Before Podman's
    /// service starts.
    ///
    /// # Errors
    /// It cannot be emptied.
    pub async fn make_way(&self, podman: &Layout) -> Result<(), SandboxError> {
        let whole = podman.state.join(WHOLE);
        match fs::read_to_string(&whole) {
            Ok(id) if id.trim() == self.id => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(SandboxError::file("read", &whole, error)),
        }
        if podman.holds_images() {
            tracing::info!(image = self.id, "the store of images is made anew");
            // First, so that what a kill leaves of the store is taken for whole by no image, the one before neither.
            forget(&whole).map_err(|error| SandboxError::file("remove", &whole, error))?;
            podman.wipe().await?;
        }
        Ok(())
    }

    /// Loads the image of a layout unless it is there, and returns when it is on the disk.
    ///
    /// # Errors
    /// Podman cannot load it, or it cannot be synced.
    pub async fn ensure(&self, layout: &Path, podman: &Layout, client: &Client) -> Result<(), SandboxError> {
        if client.images().await?.iter().any(|it| it.id == self.id) {
            return Ok(());
        }
        let whole = podman.state.join(WHOLE);
        forget(&whole).map_err(|error| SandboxError::file("remove", &whole, error))?;
        tracing::info!(digest = self.digest, "loading the agent image");
        // The REST API pulls from registries only, so this is the one command that is run. Podman names
        // the image after the path, and takes no capitals in it: so the path is a short one.
        let (directory, name) = (layout.parent(), layout.file_name());
        let source = format!("oci:{}", name.unwrap_or_default().to_string_lossy());
        let directory = directory.unwrap_or(Path::new("/"));
        let loaded = podman.output(directory, &["pull", "--quiet", &source]).await?;
        if !loaded.lines().any(|line| line == self.id) {
            let why = format!("Podman loaded `{loaded}` instead of {}", self.id);
            return Err(SandboxError::Image {
                path: layout.to_owned(),
                why,
            });
        }
        note(&whole, &self.id).map_err(|error| SandboxError::file("write", &whole, error))
    }
}

/// Writes down that an image is whole, once all of the file system that the store lies on is on the disk.
fn note(whole: &Path, id: &str) -> io::Result<()> {
    let directory = File::open(whole.parent().unwrap_or(Path::new("/")))?;
    rustix::fs::syncfs(&directory)?;
    let part = whole.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(id.as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, whole)?;
    directory.sync_all()
}

fn forget(whole: &Path) -> io::Result<()> {
    match fs::remove_file(whole) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => File::open(whole.parent().unwrap_or(Path::new("/")))?.sync_all(),
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
