//! Images of the operating system before they are laid out: references as bootc and skopeo write them, and OCI layouts
//! in directories.
//!
//! A reference is a transport and a name: `docker://quay.io/org/os:7`, `oci:/var/lib/images/os:7`. A layout
//! (OCI image-layout 1.0) is a directory with `index.json` and `blobs/sha256/DIGEST`; every file in it has its own digest
//! for a name, so that the manifest's digest says what all of it must be. [`Layout::verify`] looks whether it is.

use crate::error::{DeploymentError, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest index, manifest or configuration that is read, bytes; the image specification allows 4 MiB.
const LARGEST: u64 = 4 << 20;
/// What is read of a blob at once, bytes.
const CHUNK: usize = 1 << 20;
/// The transport of registries, as bootc names it.
pub const REGISTRY: &str = "registry";
/// The transport of layouts in directories.
pub const OCI: &str = "oci";
/// The other transports that bootc knows.
const OTHERS: [&str; 5] = [
    "containers-storage",
    "oci-archive",
    "docker-archive",
    "docker-daemon",
    "dir",
];

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Its name within the transport, `quay.io/org/os:7` or `/var/lib/images/os:7`.
    #[serde(rename = "image")]
    pub name: String,
    /// How it is fetched, `registry`, `oci`, `containers-storage`.
    pub transport: String,
}

impl Reference {
    /// Reads `docker://NAME`, `TRANSPORT:NAME`, or a plain name, which is one of a registry.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let (transport, name) = if let Some(name) = text.strip_prefix("docker://") {
            (REGISTRY, name)
        } else {
            match text.split_once(':') {
                Some((transport, name)) if is_transport(transport) => (transport, name),
                _ => (REGISTRY, text),
            }
        };
        Self::of(transport, name)
    }

    /// One of that transport.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn of(transport: &str, name: &str) -> std::result::Result<Self, String> {
        if !is_transport(transport) {
            let known = [REGISTRY, OCI].iter().chain(&OTHERS).copied();
            let known: Vec<&str> = known.collect();
            return Err(format!(
                "no transport is named `{transport}`: use one of {}",
                known.join(", ")
            ));
        }
        let problem = if name.is_empty() {
            "the name is empty"
        } else if name.starts_with('-') {
            "the name begins with `-`, like an option"
        } else if name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            "the name holds a blank or a control character"
        } else if name.len() > 512 {
            "the name is longer than 512 bytes"
        } else if transport == OCI && !name.starts_with('/') {
            "a layout is named by its absolute path"
        } else {
            return Ok(Self {
                name: name.to_owned(),
                transport: transport.to_owned(),
            });
        };
        Err(problem.to_owned())
    }

    /// As skopeo takes it, `docker://NAME` or `oci:/DIR`.
    #[must_use]
    pub fn for_skopeo(&self) -> String {
        if self.transport == REGISTRY {
            format!("docker://{}", self.name)
        } else {
            format!("{}:{}", self.transport, self.name)
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.for_skopeo())
    }
}

fn is_transport(name: &str) -> bool {
    name == REGISTRY || name == OCI || OTHERS.contains(&name)
}

/// Names a blob by its content, `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex::encode(Sha256::digest(bytes))))
    }

    /// The hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, hex)| hex)
    }

    /// With `sha256:` before it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let digits = text.strip_prefix("sha256:").unwrap_or_default();
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() == 64 && digits.bytes().all(lower) {
            Ok(Self(text))
        } else {
            Err(format!("`{text}` is no SHA-256 digest"))
        }
    }
}

/// Names a blob, and says how large it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What kind of thing it is.
    #[serde(default)]
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// Said of it where it is listed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// For which machines, in an index of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// A kind of machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// As Go names it, `amd64`.
    pub architecture: String,
}

/// A manifest: what an image consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// Said of it; bootc shows `org.opencontainers.image.version`.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Whether its layers are smaller than what is in them.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        let packed = |layer: &Descriptor| ["gzip", "zstd"].iter().any(|it| layer.media_type.ends_with(it));
        self.layers.iter().any(packed)
    }

    /// Its version, where it says one.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        let said = self.annotations.get("org.opencontainers.image.version");
        said.map(String::as_str)
    }
}

/// An index: several manifests.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Index {
    /// Each of them.
    pub manifests: Vec<Descriptor>,
}

/// What matters of an image's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Config {
    /// When it was made, RFC 3339.
    #[serde(default)]
    pub created: Option<String>,
    /// Its layers unpacked.
    #[serde(default)]
    pub rootfs: RootFs,
}

/// The unpacked layers of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct RootFs {
    /// Digest of each layer's archive before it was compressed.
    #[serde(default)]
    pub diff_ids: Vec<Digest>,
}

/// An image in a directory.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
    /// Digest of its manifest, computed from the manifest.
    pub digest: Digest,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its configuration.
    pub config: Config,
}

impl Layout {
    /// Opens `/DIR` or `/DIR:TAG`. Without a tag the directory must hold one image only.
    ///
    /// # Errors
    /// It is no layout, has no such image, or its manifest or configuration is not what its name says.
    pub fn open(name: &str) -> Result<Self> {
        let (dir, tag) = name
            .split_once(':')
            .map_or((name, None), |(dir, tag)| (dir, Some(tag)));
        let dir = PathBuf::from(dir);
        let index: Index = understood(&dir.join("index.json"), &small(&dir.join("index.json"))?)?;
        let chosen = choose(&dir, &index, tag)?;
        let manifest = blob(&dir, chosen)?;
        let path = path_of(&dir, &chosen.digest);
        let manifest: Manifest = understood(&path, &manifest)?;
        let config = blob(&dir, &manifest.config)?;
        let config = understood(&path_of(&dir, &manifest.config.digest), &config)?;
        Ok(Self {
            digest: chosen.digest.clone(),
            manifest,
            config,
            dir,
        })
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads every layer and compares it with its name. `go_on` is asked after each piece, with the bytes read so far;
    /// when it says no, nothing more is read.
    ///
    /// # Errors
    /// A layer is missing or is not what its name says, or [`DeploymentError::Stopped`].
    pub fn verify(&self, go_on: &dyn Fn(u64) -> bool) -> Result<()> {
        let mut read = 0;
        for layer in &self.manifest.layers {
            let path = path_of(&self.dir, &layer.digest);
            let mut file = File::open(&path).map_err(DeploymentError::path("cannot read", &path))?;
            let (mut hash, mut size, mut chunk) = (Sha256::new(), 0_u64, vec![0; CHUNK]);
            loop {
                let count = file
                    .read(&mut chunk)
                    .map_err(DeploymentError::path("cannot read", &path))?;
                let Some(piece) = chunk.get(..count).filter(|piece| !piece.is_empty()) else {
                    break;
                };
                hash.update(piece);
                size += piece.len() as u64;
                read += piece.len() as u64;
                if !go_on(read) {
                    return Err(DeploymentError::Stopped);
                }
            }
            let found = format!("sha256:{}", hex::encode(hash.finalize()));
            if found != layer.digest.as_str() || size != layer.size {
                return Err(altered(path, &found, size));
            }
        }
        Ok(())
    }
}

fn altered(path: PathBuf, found: &str, size: u64) -> DeploymentError {
    DeploymentError::Altered {
        path,
        found: format!("{found} of {size} bytes"),
    }
}

fn path_of(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join("blobs").join("sha256").join(digest.hex())
}

/// The image of that tag, or the only one.
fn choose<'a>(dir: &Path, index: &'a Index, tag: Option<&str>) -> Result<&'a Descriptor> {
    let named = |descriptor: &&Descriptor| {
        let name = descriptor.annotations.get("org.opencontainers.image.ref.name");
        tag.is_none() || name.map(String::as_str) == tag
    };
    let found: Vec<&Descriptor> = index.manifests.iter().filter(named).collect();
    let problem = match found.as_slice() {
        [one] if one.media_type.contains("index") => {
            "it is an index of images for several machines".to_owned()
        }
        [one] => return Ok(one),
        [] => tag.map_or("it holds no image".to_owned(), |tag| {
            format!("it holds no image `{tag}`")
        }),
        several => format!("it holds {} images: name one by its tag", several.len()),
    };
    Err(DeploymentError::NoImage {
        dir: dir.to_owned(),
        problem,
    })
}

/// A small file, whole.
fn small(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(DeploymentError::path("cannot read", path))?;
    if bytes.len() as u64 > LARGEST {
        return Err(DeploymentError::Damaged {
            path: path.to_owned(),
            reason: format!("it is larger than {LARGEST} bytes"),
        });
    }
    Ok(bytes)
}

/// A small blob, which is what its name says.
fn blob(dir: &Path, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let path = path_of(dir, &descriptor.digest);
    let bytes = small(&path)?;
    let found = Digest::of(&bytes);
    if found != descriptor.digest {
        return Err(altered(path, found.as_str(), bytes.len() as u64));
    }
    Ok(bytes)
}

fn understood<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| DeploymentError::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aios_tests_bootc::layout::write_layout;
    use std::fs;

    #[test]
    fn references_are_read_as_people_and_bootc_write_them() {
        for (text, transport, name) in [
            ("quay.io/org/os:7", REGISTRY, "quay.io/org/os:7"),
            ("docker://quay.io/org/os", REGISTRY, "quay.io/org/os"),
            ("localhost:5000/os", REGISTRY, "localhost:5000/os"),
            ("oci:/var/lib/images/os:7", OCI, "/var/lib/images/os:7"),
            (
                "containers-storage:localhost/os",
                "containers-storage",
                "localhost/os",
            ),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(
                (reference.transport.as_str(), reference.name.as_str()),
                (transport, name)
            );
            assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
        }
        for text in ["", "oci:", "oci:relative", "-x", "docker://", "a b", "a\nb"] {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
        assert!(
            Reference::of("ftp", "x")
                .unwrap_err()
                .contains("containers-storage")
        );
    }

    fn bed() -> (tempfile::TempDir, String, Digest) {
        let home = tempfile::tempdir().unwrap();
        let digest = write_layout(home.path(), "v2", "2.0", &[b"layer one", b"layer two"]).unwrap();
        let digest = Digest::try_from(digest).unwrap();
        let name = home.path().to_str().unwrap().to_owned();
        (home, name, digest)
    }

    #[test]
    fn a_layout_is_opened_by_tag_or_when_it_holds_one_image() {
        let (_home, name, digest) = bed();
        for name in [name.clone(), format!("{name}:v2")] {
            let layout = Layout::open(&name).unwrap();
            assert_eq!(
                (&layout.digest, layout.manifest.version()),
                (&digest, Some("2.0"))
            );
            assert_eq!(layout.config.rootfs.diff_ids.len(), 2);
            layout.verify(&|_| true).unwrap();
        }
        let missing = Layout::open(&format!("{name}:v3")).unwrap_err();
        assert!(missing.to_string().contains("no image `v3`"), "{missing}");
        assert!(
            Layout::open("/nowhere")
                .unwrap_err()
                .to_string()
                .contains("/nowhere/index.json")
        );
        let stopped = Layout::open(&name).unwrap().verify(&|_| false).unwrap_err();
        assert!(matches!(stopped, DeploymentError::Stopped));
    }

    #[test]
    fn whatever_of_a_layout_is_altered_is_found() {
        let (home, name, _) = bed();
        let blobs = home.path().join("blobs/sha256");
        let all: Vec<PathBuf> = fs::read_dir(&blobs)
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        assert_eq!(all.len(), 4);
        for path in all {
            let whole = fs::read(&path).unwrap();
            let mut flipped = whole.clone();
            flipped[0] ^= 1;
            for bytes in [
                flipped,
                [&whole[..], b"more"].concat(),
                whole[..whole.len() - 1].to_vec(),
            ] {
                fs::write(&path, bytes).unwrap();
                let found = Layout::open(&name)
                    .and_then(|layout| layout.verify(&|_| true))
                    .unwrap_err();
                assert!(matches!(found, DeploymentError::Altered { .. }), "{found}");
            }
            fs::remove_file(&path).unwrap();
            assert!(
                Layout::open(&name)
                    .and_then(|layout| layout.verify(&|_| true))
                    .is_err()
            );
            fs::write(&path, whole).unwrap();
        }
        Layout::open(&name).unwrap().verify(&|_| true).unwrap();
    }

    #[test]
    fn a_digest_never_leads_a_path_elsewhere() {
        for text in ["sha256:../../etc/passwd", "sha256:AB", "sha512:00", ""] {
            assert!(Digest::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
