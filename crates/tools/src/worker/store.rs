//! The snapshot store: content by its SHA-256, compressed, under the worker's state directory.
//!
//! It holds at most so many bytes. An object's time of change says when an execution last needed it, so
//! what is older than the time for which undo is promised may go, the oldest first, when room is needed.
//! What still does not fit is an error, and the change that needed it is not made.
//!
//! An object is written beside its place, made durable, then renamed: it is whole or not there. It is
//! read back with its digest checked, so a damaged object is never restored as if it were right.

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

const CHUNK: usize = 128 << 10;
const LEVEL: i32 = 3;

/// Nothing younger is ever removed: an execution that runs may need it. Longer than any call may take.
const ALWAYS_KEPT: Duration = Duration::from_secs(3600);

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most bytes of all objects together, as they lie on the disk.
    pub snapshot_bytes: u64,
    /// How long an object is kept in any case after an execution needed it, milliseconds; at least an hour.
    pub snapshot_keep_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            snapshot_bytes: 10 << 30,
            snapshot_keep_ms: 30 * 86_400_000,
        }
    }
}

/// Content that is held without being kept.
#[derive(Debug, Clone)]
enum Held {
    Bytes(Arc<Vec<u8>>),
    File(Arc<File>),
}

/// A directory of objects.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    limits: Limits,
    used: AtomicU64,
    next: AtomicU64,
    held: Mutex<HashMap<String, Held>>,
}

impl Store {
    /// Opens the store at `dir`, making it when it is not there, and removes unfinished objects.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(dir: &Path, limits: Limits) -> Result<Self> {
        let shown = dir.display().to_string();
        let partial = dir.join("partial");
        fs::create_dir_all(&partial).map_err(|error| ToolError::io("make", &shown, error))?;
        for entry in fs::read_dir(&partial).map_err(|error| ToolError::io("list", &shown, error))? {
            let entry = entry.map_err(|error| ToolError::io("list", &shown, error))?;
            fs::remove_file(entry.path()).map_err(|error| ToolError::io("clean", &shown, error))?;
        }
        let store = Self {
            dir: dir.to_owned(),
            limits,
            used: AtomicU64::new(0),
            next: AtomicU64::new(1),
            held: Mutex::default(),
        };
        let used = store.objects()?.iter().map(|object| object.size).sum();
        store.used.store(used, Ordering::SeqCst);
        Ok(store)
    }

    /// Device of the file system that it is on.
    ///
    /// # Errors
    /// Its directory cannot be looked at.
    pub fn device(&self) -> Result<u64> {
        use std::os::unix::fs::MetadataExt;
        let meta = std::fs::metadata(&self.dir);
        meta.map(|meta| meta.dev())
            .map_err(|error| ToolError::io("look at", self.dir.display().to_string(), error))
    }

    /// The path of a file beside the objects.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A file without a name, for content that is made before it is held.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn unnamed(&self) -> Result<File> {
        let (path, file) = self.partial()?;
        fs::remove_file(&path).map_err(|error| ToolError::io("make", path.display().to_string(), error))?;
        Ok(file)
    }

    /// Whether an object is there.
    pub fn has(&self, sha256: &str) -> bool {
        self.object(sha256).exists()
    }

    /// Every object.
    fn objects(&self) -> Result<Vec<Object>> {
        let failed = |error| ToolError::io("list", self.dir.display().to_string(), error);
        let mut objects = Vec::new();
        for part in fs::read_dir(&self.dir).map_err(failed)? {
            let part = part.map_err(failed)?;
            if part.file_name().len() != 2 {
                continue;
            }
            for entry in fs::read_dir(part.path()).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let meta = entry.metadata().map_err(failed)?;
                objects.push(Object {
                    needed: meta.modified().map_err(failed)?,
                    size: meta.len(),
                    path: entry.path(),
                });
            }
        }
        Ok(objects)
    }

    /// Makes room for `more` bytes; objects whose time is over go, the oldest first.
    fn make_room(&self, more: u64, path: &str) -> Result<()> {
        let limit = self.limits.snapshot_bytes;
        if self.used.load(Ordering::SeqCst).saturating_add(more) <= limit {
            return Ok(());
        }
        let keep = Duration::from_millis(self.limits.snapshot_keep_ms).max(ALWAYS_KEPT);
        let over = |object: &Object| object.needed.elapsed().is_ok_and(|age| age > keep);
        let mut old: Vec<Object> = self.objects()?.into_iter().filter(over).collect();
        old.sort_by_key(|object| object.needed);
        for object in old {
            fs::remove_file(&object.path)
                .map_err(|error| ToolError::io("remove", object.path.display().to_string(), error))?;
            let used = self.used.fetch_sub(object.size, Ordering::SeqCst) - object.size;
            tracing::info!(object = %object.path.display(), bytes = object.size, "removed an old snapshot");
            if used.saturating_add(more) <= limit {
                return Ok(());
            }
        }
        Err(ToolError::StoreFull {
            path: path.to_owned(),
            used: self.used.load(Ordering::SeqCst),
            limit,
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
        let sha256 = Self::digest_of(&bytes);
        self.held().insert(sha256, Held::Bytes(Arc::new(bytes)));
    }

    /// The same for a file with that digest.
    pub fn hold_file(&self, sha256: &str, file: File) {
        self.held().insert(sha256.to_owned(), Held::File(Arc::new(file)));
    }

    /// SHA-256 of bytes, hex.
    pub fn digest_of(bytes: &[u8]) -> String {
        hex::encode(Sha256::digest(bytes))
    }

    /// Lets held bytes go.
    pub fn let_go(&self, sha256: &str) {
        self.held().remove(sha256);
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
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
            packer.write_all(chunk).map_err(writing)?;
            let packed = object.metadata().map_err(writing)?.len();
            // What can never fit is not written to its end first.
            if packed > self.limits.snapshot_bytes {
                self.make_room(packed, path)
            } else {
                Ok(())
            }
        })?;
        packer.finish().map_err(writing)?;
        let place = self.object(&sha256);
        if place.exists() {
            // Its time begins anew.
            File::open(&place)
                .and_then(|known| known.set_modified(SystemTime::now()))
                .map_err(|error| ToolError::io("touch", place.display().to_string(), error))?;
            fs::remove_file(temporary).map_err(writing)?;
        } else {
            let packed = object.metadata().map_err(writing)?.len();
            self.make_room(packed, path)?;
            self.publish(object, temporary, &sha256)?;
            self.used.fetch_add(packed, Ordering::SeqCst);
        }
        Ok((sha256, size))
    }

    fn partial(&self) -> Result<(PathBuf, File)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join("partial").join(number.to_string());
        let file = OpenOptions::new()
            .read(true)
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
        match held {
            Some(Held::Bytes(bytes)) => {
                out.write_all(&bytes)
                    .map_err(|error| ToolError::io("write", path, error))?;
                return Ok(bytes.len() as u64);
            }
            Some(Held::File(file)) => {
                let long = Budget::of_ms(u64::from(u32::MAX));
                let written = each_chunk(&file, path, &long, |chunk| {
                    out.write_all(chunk)
                        .map_err(|error| ToolError::io("write", path, error))
                });
                return written.map(|(_, size)| size);
            }
            None => {}
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

/// An object on the disk.
struct Object {
    path: PathBuf,
    size: u64,
    /// When an execution last needed it.
    needed: SystemTime,
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
        let store = Store::open(dir.path(), Limits::default()).unwrap();
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
        Store::open(dir.path(), Limits::default()).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("partial")).unwrap().count(), 0);
    }

    #[test]
    fn a_full_store_gives_up_what_is_old_first_and_refuses_when_nothing_is() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits {
            snapshot_bytes: 10_000,
            snapshot_keep_ms: 7_200_000,
        };
        let store = Store::open(dir.path(), limits).unwrap();
        let put = |store: &Store, seed: u8| {
            let source = dir.path().join("source");
            // Bytes that do not pack.
            let noise: Vec<u8> = (0..125)
                .flat_map(|index: u8| Sha256::digest([seed, index]).to_vec())
                .collect();
            fs::write(&source, noise).unwrap();
            store.put(&File::open(&source).unwrap(), "source", &Budget::of_ms(9000))
        };
        let first = put(&store, 1).unwrap().0;
        let second = put(&store, 2).unwrap().0;
        assert!(matches!(
            put(&store, 3),
            Err(ToolError::StoreFull { limit: 10_000, .. })
        ));
        assert!(store.has(&first) && store.has(&second), "what is young stays");
        let age = |sha256: &str, hours: u64| {
            let then = SystemTime::now() - Duration::from_secs(hours * 3600);
            File::open(store.object(sha256))
                .unwrap()
                .set_modified(then)
                .unwrap();
        };
        age(&first, 3);
        age(&second, 4);
        let third = put(&store, 3).unwrap().0;
        assert!(
            store.has(&first) && !store.has(&second) && store.has(&third),
            "the oldest went"
        );
        put(&store, 1).unwrap();
        assert!(put(&store, 4).is_err(), "what is needed again is young again");
        let again = Store::open(dir.path(), limits).unwrap();
        assert!(put(&again, 4).is_err(), "a new start knows how much there is");
    }
}
