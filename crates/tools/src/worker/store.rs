//! The snapshot store: content by its SHA-256, compressed, under the worker's state directory.
//!
//! An object is written beside its place, made durable, then renamed: it is whole or not there. It is
//! read back with its digest checked, so a damaged object is never restored as if it were right.

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const CHUNK: usize = 128 << 10;
const LEVEL: i32 = 3;

/// A directory of objects.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    next: AtomicU64,
    held: Mutex<HashMap<String, Arc<Vec<u8>>>>,
}

impl Store {
    /// Opens the store at `dir`, making it when it is not there, and removes unfinished objects.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(dir: &Path) -> Result<Self> {
        let shown = dir.display().to_string();
        let partial = dir.join("partial");
        fs::create_dir_all(&partial).map_err(|error| ToolError::io("make", &shown, error))?;
        for entry in fs::read_dir(&partial).map_err(|error| ToolError::io("list", &shown, error))? {
            let entry = entry.map_err(|error| ToolError::io("list", &shown, error))?;
            fs::remove_file(entry.path()).map_err(|error| ToolError::io("clean", &shown, error))?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            next: AtomicU64::new(1),
            held: Mutex::default(),
        })
    }

    /// Keeps the content of a file. Returns its SHA-256 (hex) and size in bytes.
    ///
    /// # Errors
    /// Reading, writing or time.
    pub fn put(&self, file: &File, path: &str, budget: &Budget) -> Result<(String, u64)> {
        let (temporary, object) = self.partial()?;
        let result = self.fill(file, path, &object, &temporary, budget);
        if result.is_err() {
            // The error that matters is the first one; an object left here is removed at the next start.
            drop(fs::remove_file(&temporary));
        }
        result
    }

    /// Holds bytes in memory until they are let go, for content that only this execution needs: a change
    /// that a crash interrupts is taken back, never made again from here.
    pub fn hold(&self, bytes: Vec<u8>) {
        self.held().insert(Self::digest_of(&bytes), Arc::new(bytes));
    }

    /// SHA-256 of bytes, hex.
    pub fn digest_of(bytes: &[u8]) -> String {
        hex::encode(Sha256::digest(bytes))
    }

    /// Lets held bytes go.
    pub fn let_go(&self, sha256: &str) {
        self.held().remove(sha256);
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Arc<Vec<u8>>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(
        &self,
        file: &File,
        path: &str,
        object: &File,
        temporary: &Path,
        budget: &Budget,
    ) -> Result<(String, u64)> {
        let writing = |error| ToolError::io("write", temporary.display().to_string(), error);
        let mut packer = zstd::stream::write::Encoder::new(object, LEVEL).map_err(writing)?;
        let (sha256, size) = each_chunk(file, path, budget, |chunk| {
            packer.write_all(chunk).map_err(writing)
        })?;
        packer.finish().map_err(writing)?;
        if self.object(&sha256).exists() {
            fs::remove_file(temporary).map_err(writing)?;
        } else {
            self.publish(object, temporary, &sha256)?;
        }
        Ok((sha256, size))
    }

    fn partial(&self) -> Result<(PathBuf, File)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join("partial").join(number.to_string());
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| ToolError::io("make", path.display().to_string(), error))?;
        Ok((path, file))
    }

    fn publish(&self, object: &File, temporary: &Path, sha256: &str) -> Result<()> {
        let place = self.object(sha256);
        let shown = place.display().to_string();
        let failed = |doing| {
            let shown = shown.clone();
            move |error: io::Error| ToolError::io(doing, shown, error)
        };
        object.sync_all().map_err(failed("make durable"))?;
        let parent = place.parent().unwrap_or(&self.dir);
        if !parent.exists() {
            fs::create_dir_all(parent).map_err(failed("make"))?;
            sync_dir(&self.dir).map_err(failed("make durable"))?;
        }
        fs::rename(temporary, &place).map_err(failed("publish"))?;
        sync_dir(parent).map_err(failed("make durable"))
    }

    fn object(&self, sha256: &str) -> PathBuf {
        self.dir.join(sha256.get(..2).unwrap_or("xx")).join(sha256)
    }

    /// Writes an object's content to `out` and checks it on the way.
    ///
    /// # Errors
    /// [`ToolError::Corrupt`] when the object is missing or damaged.
    pub fn copy_to(&self, sha256: &str, out: &mut impl Write, path: &str) -> Result<u64> {
        let held = self.held().get(sha256).cloned();
        if let Some(bytes) = held {
            out.write_all(&bytes)
                .map_err(|error| ToolError::io("write", path, error))?;
            return Ok(bytes.len() as u64);
        }
        let place = self.object(sha256);
        let shown = place.display().to_string();
        let object = File::open(&place).map_err(|error| ToolError::io("open", &shown, error))?;
        let mut unpacker = zstd::stream::read::Decoder::new(object)
            .map_err(|error| ToolError::io("unpack", &shown, error))?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; CHUNK];
        let mut size = 0_u64;
        loop {
            let count = unpacker
                .read(&mut buffer)
                .map_err(|error| ToolError::io("unpack", &shown, error))?;
            let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else {
                break;
            };
            hasher.update(chunk);
            out.write_all(chunk)
                .map_err(|error| ToolError::io("write", path, error))?;
            size += count as u64;
        }
        if hex::encode(hasher.finalize()) == sha256 {
            Ok(size)
        } else {
            Err(ToolError::Corrupt {
                what: format!("snapshot object {shown}"),
            })
        }
    }

    /// SHA-256 (hex) of a file with more bytes at its end, keeping nothing.
    ///
    /// # Errors
    /// Reading or time.
    pub fn digest_with(file: &File, more: &[u8], path: &str, budget: &Budget) -> Result<String> {
        let mut hasher = Sha256::new();
        each_chunk(file, path, budget, |chunk| {
            hasher.update(chunk);
            Ok(())
        })?;
        hasher.update(more);
        Ok(hex::encode(hasher.finalize()))
    }

    /// SHA-256 (hex) and size of a file, keeping nothing.
    ///
    /// # Errors
    /// Reading or time.
    pub fn digest(file: &File, path: &str, budget: &Budget) -> Result<(String, u64)> {
        each_chunk(file, path, budget, |_| Ok(()))
    }
}

fn each_chunk(
    file: &File,
    path: &str,
    budget: &Budget,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<(String, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut offset = 0_u64;
    loop {
        budget.check()?;
        let count = match file.read_at(&mut buffer, offset) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ToolError::io("read", path, error)),
        };
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        hasher.update(chunk);
        take(chunk)?;
        offset += count as u64;
    }
    Ok((hex::encode(hasher.finalize()), offset))
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_comes_back_and_damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let source = dir.path().join("source");
        fs::write(&source, vec![7; 300_000]).unwrap();
        let (sha256, size) = store
            .put(&File::open(&source).unwrap(), "source", &Budget::of_ms(9000))
            .unwrap();
        assert_eq!(size, 300_000);
        assert_eq!(Store::digest_of(&vec![7; 300_000]), sha256);
        store.hold(b"short".to_vec());
        store.let_go(&Store::digest_of(b"short"));
        assert!(
            store
                .copy_to(&Store::digest_of(b"short"), &mut io::sink(), "x")
                .is_err()
        );
        store.let_go(&sha256);
        let mut back = Vec::new();
        store.copy_to(&sha256, &mut back, "back").unwrap();
        assert_eq!(back, vec![7; 300_000]);
        fs::write(store.object(&sha256), zstd::bulk::compress(b"other", 3).unwrap()).unwrap();
        assert!(matches!(
            store.copy_to(&sha256, &mut io::sink(), "x"),
            Err(ToolError::Corrupt { .. })
        ));
    }

    #[test]
    fn an_unfinished_object_is_removed_at_start() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("partial")).unwrap();
        fs::write(dir.path().join("partial/1"), "half").unwrap();
        Store::open(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("partial")).unwrap().count(), 0);
    }
}
