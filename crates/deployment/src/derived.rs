//! Images that were made on this machine: a base, and a layer with the packages that people added. They lie in one OCI
//! layout of their own, beside the bases that they were made of.
//!
//! What an image was made of stands in its manifest (annotation [`RECIPE`]), so that the list of added packages belongs to
//! the image that has them: whatever starts, goes back or is dropped, the list is that of what runs.
//!
//! ```text
//! DIR/index.json          base-1f0c…, added-0198…-3, added-0198…-7
//! DIR/blobs/sha256/…      layers of the base as they came, and one more for each image
//! ```
//!
//! A blob is written before anything names it, and the index is replaced in one step: what a crash leaves is a blob too
//! many, which [`Images::keep`] removes.

use crate::error::{DeploymentError, Result};
use crate::image::{Descriptor, Digest, Layout, OCI, Reference};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The annotation of a manifest that says what it was made of.
pub const RECIPE: &str = "org.aios.recipe";
const NAME: &str = "org.opencontainers.image.ref.name";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Hexadecimal digits of a base's digest in its tag.
const SHORT: usize = 16;

/// A package that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// Its name.
    pub name: String,
    /// The version that was asked for; `None` for the newest.
    pub version: Option<String>,
    /// Whether packages that it only recommends came too.
    #[serde(default)]
    pub recommends: bool,
    /// The call that added it, task and step.
    pub call: String,
    /// When, UTC milliseconds.
    pub asked_ms: i64,
}

/// What an image is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// The image that updates come from.
    pub follows: Reference,
    /// Digest of the base's manifest.
    pub base: Digest,
    /// The base's version, where it says one.
    pub base_version: Option<String>,
    /// What was asked for.
    pub packages: Vec<Added>,
    /// Every package that is not the base's, with its version; known once it was made.
    #[serde(default)]
    pub brought: BTreeMap<String, String>,
}

/// The layout.
#[derive(Debug, Clone)]
pub struct Images {
    dir: PathBuf,
}

/// How a layer comes here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// It stays where it is too.
    Copy,
    /// It is taken away from there.
    Move,
}

/// An index as it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    manifests: Vec<Descriptor>,
}

impl Images {
    /// The layout in that directory, which is made when something is put into it.
    #[must_use]
    pub fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The image of that tag, as bootc names it.
    #[must_use]
    pub fn reference(&self, tag: &str) -> Reference {
        Reference {
            name: format!("{}:{tag}", self.dir.display()),
            transport: OCI.to_owned(),
        }
    }

    /// The tag of an image that lies here.
    #[must_use]
    pub fn tag<'a>(&self, image: &'a Reference) -> Option<&'a str> {
        let (dir, tag) = image.name.split_once(':')?;
        (image.transport == OCI && Path::new(dir) == self.dir).then_some(tag)
    }

    /// What an image was made of. None when it was not made here.
    ///
    /// # Errors
    /// It was, and is not there any more or damaged.
    pub fn recipe(&self, image: &Reference) -> Result<Option<Recipe>> {
        let Some(tag) = self.tag(image) else {
            return Ok(None);
        };
        recipe_of(&self.open(tag)?)
    }

    /// The image of a tag.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn open(&self, tag: &str) -> Result<Layout> {
        Layout::open(&self.reference(tag).name)
    }

    /// A base that was put here. None when it was not.
    ///
    /// # Errors
    /// The index cannot be read, or the base is damaged.
    pub fn base(&self, digest: &Digest) -> Result<Option<Layout>> {
        let tag = base_tag(digest);
        if self.index()?.manifests.iter().any(|it| name(it) == Some(&tag)) {
            return self.open(&tag).map(Some);
        }
        Ok(None)
    }

    /// Puts a base here, which the caller has verified. `digest` is what it is called from now on: where only its
    /// content could be had, as bootc exports it, that is not the digest of what lies here.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn put_base(&self, base: &Layout, digest: &Digest, take: Take) -> Result<Layout> {
        for layer in &base.manifest.layers {
            self.take(base.dir(), &layer.digest, take)?;
        }
        self.take(base.dir(), &base.manifest.config.digest, Take::Copy)?;
        self.take(base.dir(), &base.digest, Take::Copy)?;
        let tag = base_tag(digest);
        let size = self.size(&base.digest)?;
        self.name_it(&tag, &base.digest, size)?;
        self.open(&tag)
    }

    /// Puts an image here that was made of a base that lies here: the base's own layers as they came, and those that `made`
    /// has more.
    ///
    /// # Errors
    /// It is not made of that base, is altered, or cannot be written.
    pub fn put_derived(&self, base: &Layout, made: &Layout, recipe: &Recipe, tag: &str) -> Result<Layout> {
        let below = base.config.rootfs.diff_ids.len();
        let (old, new) = (&base.config.rootfs.diff_ids, &made.config.rootfs.diff_ids);
        if new.get(..below) != Some(old.as_slice()) || base.manifest.layers.len() != below {
            return Err(DeploymentError::NoImage {
                dir: made.dir().to_owned(),
                problem: "it does not stand on the base that it was made of".to_owned(),
            });
        }
        made.verify(&|_| true)?;
        let mut layers = base.manifest.layers.clone();
        for layer in made.manifest.layers.iter().skip(below) {
            self.take(made.dir(), &layer.digest, Take::Move)?;
            layers.push(layer.clone());
        }
        self.take(made.dir(), &made.manifest.config.digest, Take::Copy)?;
        let text = |error| self.failed("cannot write")(io::Error::other::<serde_json::Error>(error));
        let mut annotations = base.manifest.annotations.clone();
        annotations.insert(RECIPE.to_owned(), serde_json::to_string(recipe).map_err(text)?);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "annotations": annotations, "layers": layers,
            "config": { "mediaType": CONFIG, "digest": made.manifest.config.digest, "size": made.manifest.config.size },
        });
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        self.write(&self.blob(&digest), &bytes)?;
        self.name_it(tag, &digest, bytes.len() as u64)?;
        self.open(tag)
    }

    /// Drops every image but these and the bases that they were made of, and every blob that nothing names any more.
    ///
    /// # Errors
    /// The index is damaged, or something cannot be removed.
    pub fn keep(&self, tags: &BTreeSet<String>) -> Result<()> {
        let mut index = self.index()?;
        let mut wanted = tags.clone();
        for tag in tags {
            // One that is gone cannot say what it was made of.
            if index.manifests.iter().any(|it| name(it) == Some(tag))
                && let Some(recipe) = recipe_of(&self.open(tag)?)?
            {
                wanted.insert(base_tag(&recipe.base));
            }
        }
        let before = index.manifests.len();
        index
            .manifests
            .retain(|it| name(it).is_some_and(|name| wanted.contains(name)));
        if index.manifests.len() != before {
            self.write_index(&index)?;
        }
        let mut used = BTreeSet::new();
        for tag in index.manifests.iter().filter_map(name) {
            let layout = self.open(tag)?;
            used.extend([layout.digest.clone(), layout.manifest.config.digest.clone()]);
            used.extend(layout.manifest.layers.iter().map(|layer| layer.digest.clone()));
        }
        let used: BTreeSet<&str> = used.iter().map(Digest::hex).collect();
        let blobs = self.dir.join("blobs").join("sha256");
        let files = match fs::read_dir(&blobs) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            read => read.map_err(DeploymentError::path("cannot read", &blobs))?,
        };
        for file in files {
            let file = file.map_err(DeploymentError::path("cannot read", &blobs))?;
            if !file.file_name().to_str().is_some_and(|name| used.contains(name)) {
                fs::remove_file(file.path()).map_err(DeploymentError::path("cannot remove", &file.path()))?;
            }
        }
        Ok(())
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(io::Error) -> DeploymentError {
        DeploymentError::path(what, &self.dir)
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs").join("sha256").join(digest.hex())
    }

    fn size(&self, digest: &Digest) -> Result<u64> {
        let path = self.blob(digest);
        let meta = fs::metadata(&path).map_err(DeploymentError::path("cannot read", &path))?;
        Ok(meta.len())
    }

    fn index(&self) -> Result<Index> {
        let path = self.dir.join("index.json");
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Index {
                    schema_version: 2,
                    ..Index::default()
                });
            }
            read => read.map_err(DeploymentError::path("cannot read", &path))?,
        };
        serde_json::from_slice(&text).map_err(|error| DeploymentError::Damaged {
            path,
            reason: error.to_string(),
        })
    }

    fn write_index(&self, index: &Index) -> Result<()> {
        let text = serde_json::to_vec(index).map_err(|error| self.failed("cannot write")(error.into()))?;
        self.write(&self.dir.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        self.write(&self.dir.join("index.json"), &text)
    }

    /// Gives a manifest a tag, which nothing else has afterwards.
    fn name_it(&self, tag: &str, digest: &Digest, size: u64) -> Result<()> {
        let mut index = self.index()?;
        index.manifests.retain(|it| name(it) != Some(tag));
        index.manifests.push(Descriptor {
            media_type: MANIFEST.to_owned(),
            digest: digest.clone(),
            size,
            annotations: BTreeMap::from([(NAME.to_owned(), tag.to_owned())]),
            platform: None,
        });
        self.write_index(&index)
    }

    /// Has a blob of another layout here.
    fn take(&self, from: &Path, digest: &Digest, take: Take) -> Result<()> {
        let (source, target) = (
            from.join("blobs").join("sha256").join(digest.hex()),
            self.blob(digest),
        );
        if target.exists() {
            return Ok(());
        }
        let parent = self.dir.join("blobs").join("sha256");
        fs::create_dir_all(&parent).map_err(DeploymentError::path("cannot make", &parent))?;
        let done = match take {
            Take::Move => File::open(&source)
                .and_then(|file| file.sync_all())
                .and_then(|()| fs::rename(&source, &target)),
            Take::Copy => copy(&source, &target, digest),
        };
        done.map_err(DeploymentError::path("cannot bring here", &source))
    }

    /// Whole or not at all, and on the disk.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let part = path.with_extension("part");
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| File::create(&part))
            .and_then(|mut file| {
                file.write_all(bytes)?;
                file.sync_all()?;
                fs::rename(&part, path)?;
                path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
            });
        written.map_err(DeploymentError::path("cannot write", path))
    }
}

/// Copies a blob and compares what was copied with its name: between looking and copying it may have changed.
fn copy(source: &Path, target: &Path, digest: &Digest) -> io::Result<()> {
    let part = target.with_extension("part");
    let (mut from, mut to) = (File::open(source)?, Hashing(File::create(&part)?, Sha256::new()));
    io::copy(&mut from, &mut to)?;
    to.0.sync_all()?;
    if hex::encode(to.1.finalize()) != digest.hex() {
        fs::remove_file(&part)?;
        return Err(io::Error::other("it is not what its name says"));
    }
    fs::rename(part, target)
}

struct Hashing(File, Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.0.write(bytes)?;
        self.1.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn name(descriptor: &Descriptor) -> Option<&str> {
    descriptor.annotations.get(NAME).map(String::as_str)
}

/// The tag of a base.
#[must_use]
pub fn base_tag(digest: &Digest) -> String {
    format!("base-{}", digest.hex().get(..SHORT).unwrap_or_default())
}

fn recipe_of(layout: &Layout) -> Result<Option<Recipe>> {
    let Some(text) = layout.manifest.annotations.get(RECIPE) else {
        return Ok(None);
    };
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    serde_json::from_value(value)
        .map(Some)
        .map_err(|error| DeploymentError::Damaged {
            path: layout.dir().to_owned(),
            reason: format!("what its image was made of: {error}"),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aios_tests_bootc::layout::write_layout;

    struct Bed {
        home: tempfile::TempDir,
        images: Images,
    }

    impl Bed {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let images = Images::at(home.path().join("images"));
            Self { home, images }
        }

        fn layout(&self, name: &str, layers: &[&[u8]]) -> Layout {
            let dir = self.home.path().join(name);
            write_layout(&dir, "latest", "1.0", layers).unwrap();
            Layout::open(dir.to_str().unwrap()).unwrap()
        }

        fn blobs(&self) -> usize {
            fs::read_dir(self.images.dir().join("blobs/sha256"))
                .unwrap()
                .count()
        }
    }

    fn recipe(base: &Digest) -> Recipe {
        Recipe {
            follows: Reference::parse("quay.io/org/os:7").unwrap(),
            base: base.clone(),
            base_version: Some("1.0".to_owned()),
            packages: vec![Added {
                name: "hello".to_owned(),
                version: None,
                recommends: false,
                call: "t/1".to_owned(),
                asked_ms: 7,
            }],
            brought: BTreeMap::from([("hello".to_owned(), "2.10".to_owned())]),
        }
    }

    #[test]
    fn an_image_says_what_it_was_made_of_and_has_the_layers_of_its_base_as_they_came() {
        let bed = Bed::new();
        let given = bed.layout("os", &[b"one", b"two"]);
        assert!(bed.images.base(&given.digest).unwrap().is_none());
        bed.images.put_base(&given, &given.digest, Take::Copy).unwrap();
        let base = bed.images.base(&given.digest).unwrap().unwrap();
        assert_eq!(base.digest, given.digest);
        given.verify(&|_| true).unwrap();
        let made = bed.layout("made", &[b"one", b"two", b"three"]);
        let recipe = recipe(&base.digest);
        let derived = bed.images.put_derived(&base, &made, &recipe, "added-1").unwrap();
        derived.verify(&|_| true).unwrap();
        assert_eq!(derived.manifest.layers.get(..2), Some(&base.manifest.layers[..]));
        assert_eq!(derived.manifest.version(), Some("1.0"));
        let image = bed.images.reference("added-1");
        assert_eq!(bed.images.recipe(&image).unwrap(), Some(recipe));
        let other = Reference::parse("quay.io/org/os:7").unwrap();
        assert_eq!(bed.images.recipe(&other).unwrap(), None);
        assert!(bed.images.recipe(&bed.images.reference("added-2")).is_err());
    }

    #[test]
    fn an_image_of_another_base_or_an_altered_one_is_refused() {
        let bed = Bed::new();
        let given = bed.layout("os", &[b"one", b"two"]);
        let base = bed.images.put_base(&given, &given.digest, Take::Copy).unwrap();
        for layers in [&[&b"one"[..]][..], &[b"one", b"other", b"three"]] {
            let made = bed.layout("made", layers);
            let put = bed
                .images
                .put_derived(&base, &made, &recipe(&base.digest), "added-1");
            assert!(
                put.unwrap_err()
                    .to_string()
                    .contains("does not stand on the base")
            );
        }
        let made = bed.layout("made", &[b"one", b"two", b"three"]);
        let layer = made.manifest.layers.last().unwrap().digest.hex().to_owned();
        fs::write(made.dir().join("blobs/sha256").join(layer), "altered").unwrap();
        let put = bed
            .images
            .put_derived(&base, &made, &recipe(&base.digest), "added-1");
        assert!(matches!(put, Err(DeploymentError::Altered { .. })));
        assert!(bed.images.open("added-1").is_err());
        // A blob that changes while it is copied is found too.
        let other = bed.layout("other", &[b"four"]);
        let layer = other.manifest.layers[0].digest.hex().to_owned();
        fs::write(other.dir().join("blobs/sha256").join(layer), "altered").unwrap();
        assert!(bed.images.put_base(&other, &other.digest, Take::Copy).is_err());
    }

    #[test]
    fn what_nobody_needs_any_more_goes_and_bases_stay_with_what_was_made_of_them() {
        let bed = Bed::new();
        let mut tags = BTreeSet::new();
        for (place, version) in [b"1", b"2"].into_iter().enumerate() {
            let given = bed.layout(&format!("os{place}"), &[version]);
            let base = bed.images.put_base(&given, &given.digest, Take::Copy).unwrap();
            let made = bed.layout("made", &[version, b"more"]);
            let tag = format!("added-{place}");
            bed.images
                .put_derived(&base, &made, &recipe(&base.digest), &tag)
                .unwrap();
            tags.insert(tag);
        }
        // Two of each: manifest, configuration, own layer, of base and derived image; the upper layer they have in common.
        let (all, one) = (bed.blobs(), BTreeSet::from(["added-1".to_owned()]));
        fs::write(bed.images.dir().join("blobs/sha256/half.part"), "a crash").unwrap();
        bed.images.keep(&tags).unwrap();
        assert_eq!(bed.blobs(), all);
        bed.images.keep(&one).unwrap();
        assert!(bed.images.open("added-0").is_err());
        let layout = bed.images.open("added-1").unwrap();
        layout.verify(&|_| true).unwrap();
        let base = recipe_of(&layout).unwrap().unwrap().base;
        assert!(bed.images.base(&base).unwrap().is_some());
        bed.images.keep(&BTreeSet::new()).unwrap();
        assert_eq!(bed.blobs(), 0);
    }
}
