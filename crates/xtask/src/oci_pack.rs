//! `cargo xtask oci-pack TREE LAYOUT`: a directory as an OCI layout with one image of one layer.
//!
//! For: the stage of the Containerfile that puts the agent image into the OS image, where no image builder runs. Not for: images
//! that Podman can write itself.
//!
//! The same tree gives the same digests: entries are sorted, and have one date
//! (<https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md>).

use anyhow::{Context, Result, bail, ensure};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

use crate::host::say;
use crate::image::epoch;

/// Arguments of `oci-pack`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Root file system of the image.
    tree: PathBuf,
    /// Directory to write; must not exist.
    layout: PathBuf,
    /// Name of the image in the layout.
    #[arg(long)]
    tag: String,
    /// Who runs it, UID:GID.
    #[arg(long)]
    user: Option<String>,
    /// The program that it starts.
    #[arg(long)]
    entrypoint: Vec<String>,
    /// NAME=VALUE of its environment.
    #[arg(long)]
    env: Vec<String>,
}

/// Packs, and prints the digest of the image's manifest.
pub(crate) fn run(args: &Args) -> Result<()> {
    let blobs = args.layout.join("blobs/sha256");
    ensure!(
        !args.layout.exists(),
        "{} is there already",
        args.layout.display()
    );
    fs::create_dir_all(&blobs).with_context(|| blobs.display().to_string())?;
    let layer = layer(&args.tree, &blobs)?;
    let date = jiff::Timestamp::from_second(i64::try_from(epoch::OF_FILES)?)?.to_string();
    let config = json!({
        "created": date,
        "architecture": architecture()?,
        "os": "linux",
        "config": config(args),
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", layer.unpacked)]},
        "history": [{"created": date, "created_by": "cargo xtask oci-pack"}],
    });
    let config = blob(&blobs, &config)?;
    let described = |kind: &str, blob: &Blob| {
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": format!("sha256:{}", blob.digest),
            "size": blob.size,
        })
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("config.v1+json", &config),
        "layers": [described("layer.v1.tar+gzip", &layer.packed)],
    });
    let manifest = blob(&blobs, &manifest)?;
    let mut entry = described("manifest.v1+json", &manifest);
    if let Some(entry) = entry.as_object_mut() {
        entry.insert(
            "annotations".to_owned(),
            json!({"org.opencontainers.image.ref.name": args.tag}),
        );
    }
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    write(&args.layout.join("index.json"), &index.to_string())?;
    let version = json!({"imageLayoutVersion": "1.0.0"});
    write(&args.layout.join("oci-layout"), &version.to_string())?;
    say(&format!("sha256:{}", manifest.digest));
    Ok(())
}

/// What the image says of itself.
fn config(args: &Args) -> Value {
    let mut config = serde_json::Map::new();
    if let Some(user) = &args.user {
        config.insert("User".to_owned(), json!(user));
    }
    if !args.entrypoint.is_empty() {
        config.insert("Entrypoint".to_owned(), json!(args.entrypoint));
    }
    if !args.env.is_empty() {
        config.insert("Env".to_owned(), json!(args.env));
    }
    Value::Object(config)
}

/// The processor, as Go calls it.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("images for {other} are not made"),
    }
}

/// A file of the layout.
struct Blob {
    digest: String,
    size: u64,
}

fn blob(blobs: &Path, content: &Value) -> Result<Blob> {
    let text = content.to_string();
    let digest = hex::encode(Sha256::digest(&text));
    write(&blobs.join(&digest), &text)?;
    Ok(Blob {
        digest,
        size: u64::try_from(text.len())?,
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}

/// The tree as one layer.
struct Layer {
    packed: Blob,
    /// Digest before it was compressed.
    unpacked: String,
}

fn layer(tree: &Path, blobs: &Path) -> Result<Layer> {
    let part = blobs.join("part");
    let file = File::create(&part).with_context(|| part.display().to_string())?;
    // Gzip keeps a date of its own; zero says that there is none.
    let gzip = GzBuilder::new()
        .mtime(0)
        .write(Hashing::new(BufWriter::new(file)), Compression::default());
    let mut archive = Builder::new(Hashing::new(gzip));
    archive.follow_symlinks(false);
    let mut packing = Packing {
        root: tree,
        device: fs::metadata(tree)
            .with_context(|| tree.display().to_string())?
            .dev(),
        first_names: BTreeMap::new(),
    };
    packing.directory(&mut archive, tree)?;
    let unpacked = archive.into_inner()?;
    let (gzip, unpacked) = unpacked.end();
    let (mut file, digest) = gzip.finish()?.end();
    file.flush()?;
    let size = fs::metadata(&part)?.len();
    fs::rename(&part, blobs.join(&digest))?;
    Ok(Layer {
        packed: Blob { digest, size },
        unpacked,
    })
}

/// What is known while a tree is written.
struct Packing<'a> {
    root: &'a Path,
    /// Where the tree lies: what is mounted in it is not part of it.
    device: u64,
    /// Names under which files with several were written.
    first_names: BTreeMap<u64, PathBuf>,
}

impl Packing<'_> {
    fn directory(&mut self, archive: &mut Builder<impl Write>, dir: &Path) -> Result<()> {
        let mut names = fs::read_dir(dir)
            .and_then(|list| list.collect::<io::Result<Vec<_>>>())
            .with_context(|| dir.display().to_string())?;
        names.sort_by_key(fs::DirEntry::file_name);
        for entry in names {
            let path = entry.path();
            let meta = fs::symlink_metadata(&path).with_context(|| path.display().to_string())?;
            self.entry(archive, &path, &meta)
                .with_context(|| path.display().to_string())?;
            if meta.is_dir() && meta.dev() == self.device {
                self.directory(archive, &path)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, archive: &mut Builder<impl Write>, path: &Path, meta: &Metadata) -> Result<()> {
        let name = path.strip_prefix(self.root)?;
        let kind = meta.file_type();
        // A socket or a pipe is some process's, and devices are the runtime's to make.
        if kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device() {
            return Ok(());
        }
        let mut header = Header::new_gnu();
        header.set_uid(meta.uid().into());
        header.set_gid(meta.gid().into());
        header.set_mode(meta.mode() & 0o7777);
        header.set_mtime(epoch::OF_FILES);
        header.set_size(0);
        if kind.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            archive.append_link(&mut header, name, fs::read_link(path)?)?;
        } else if kind.is_dir() {
            header.set_entry_type(EntryType::Directory);
            archive.append_data(&mut header, name, io::empty())?;
        } else if let Some(first) = self.first_names.get(&meta.ino()) {
            header.set_entry_type(EntryType::Link);
            archive.append_link(&mut header, name, first)?;
        } else {
            if meta.nlink() > 1 {
                self.first_names.insert(meta.ino(), name.to_owned());
            }
            header.set_entry_type(EntryType::Regular);
            header.set_size(meta.len());
            archive.append_data(&mut header, name, BufReader::new(File::open(path)?))?;
        }
        Ok(())
    }
}

/// Passes bytes on, and takes their digest.
struct Hashing<W> {
    to: W,
    digest: Sha256,
}

impl<W> Hashing<W> {
    fn new(to: W) -> Self {
        Self {
            to,
            digest: Sha256::new(),
        }
    }

    fn end(self) -> (W, String) {
        (self.to, hex::encode(self.digest.finalize()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.digest.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn packed(dir: &Path, name: &str) -> (PathBuf, String) {
        let layout = dir.join(name);
        run(&Args {
            tree: dir.join("tree"),
            layout: layout.clone(),
            tag: "agent".into(),
            user: Some("1000:1000".into()),
            entrypoint: vec!["/shim".into()],
            env: vec!["A=b".into()],
        })
        .unwrap();
        let index = fs::read_to_string(layout.join("index.json")).unwrap();
        (layout, index)
    }

    #[test]
    fn the_same_tree_gives_the_same_digests_whenever_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("b")).unwrap();
        fs::write(tree.join("b/file"), "content").unwrap();
        fs::set_permissions(tree.join("b/file"), fs::Permissions::from_mode(0o4755)).unwrap();
        fs::hard_link(tree.join("b/file"), tree.join("again")).unwrap();
        symlink("/nowhere", tree.join("link")).unwrap();
        let (layout, first) = packed(dir.path(), "one");
        File::options()
            .write(true)
            .open(tree.join("b/file"))
            .unwrap()
            .set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        assert_eq!(first, packed(dir.path(), "two").1);

        let index: Value = serde_json::from_str(&first).unwrap();
        let read = |digest: &Value| {
            let digest = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
            let bytes = fs::read(layout.join("blobs/sha256").join(digest)).unwrap();
            assert_eq!(hex::encode(Sha256::digest(&bytes)), digest);
            bytes
        };
        let manifest: Value = serde_json::from_slice(&read(&index["manifests"][0]["digest"])).unwrap();
        let config: Value = serde_json::from_slice(&read(&manifest["config"]["digest"])).unwrap();
        assert_eq!(
            config["config"],
            json!({"User": "1000:1000", "Entrypoint": ["/shim"], "Env": ["A=b"]})
        );
        let layer = read(&manifest["layers"][0]["digest"]);
        assert_eq!(manifest["layers"][0]["size"], layer.len());
        let mut tar = Vec::new();
        io::copy(&mut flate2::read::GzDecoder::new(layer.as_slice()), &mut tar).unwrap();
        let unpacked = format!("sha256:{}", hex::encode(Sha256::digest(&tar)));
        assert_eq!(config["rootfs"]["diff_ids"][0], unpacked);
        let mut archive = tar::Archive::new(tar.as_slice());
        let entries: Vec<(String, u32, EntryType)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.path().unwrap().display().to_string();
                (name, entry.header().mode().unwrap(), entry.header().entry_type())
            })
            .collect();
        assert_eq!(entries.len(), 4);
        assert_eq!(entries[0], ("again".into(), 0o4755, EntryType::Regular));
        assert_eq!(entries[2].0, "b/file");
        assert_eq!(entries[2].2, EntryType::Link);
        assert_eq!(entries[3].2, EntryType::Symlink);
    }

    #[test]
    fn a_layout_that_is_there_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("tree")).unwrap();
        packed(dir.path(), "one");
        let again = Args {
            tree: dir.path().join("tree"),
            layout: dir.path().join("one"),
            tag: "x".into(),
            user: None,
            entrypoint: Vec::new(),
            env: Vec::new(),
        };
        let error = run(&again).unwrap_err().to_string();
        assert!(error.contains("is there already"), "{error}");
    }
}
