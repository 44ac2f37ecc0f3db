//! Which bytes of a log at work are, together, a log that verifies and can be gone on with: what a backup
//! copies while the writer goes on.
//!
//! The writer changes four things: it appends lines, signs a checkpoint over them, destroys the key that
//! signed, publishes the head. Read key first, lines last, each is only newer than the one before: so the key
//! says which checkpoints belong to the copy, and the lines hold at least what those cover.

use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::keys::KeyStore;
use crate::recover::Layout;
use crate::segment;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// How often is looked again when a checkpoint is signed right now.
const TRIES: usize = 500;
/// Pause between two looks; there is no signal to wait for.
const PAUSE: Duration = Duration::from_millis(1);
/// What of the end of the checkpoints is read, bytes: many times a checkpoint.
const TAIL: u64 = 64 << 10;
/// What is read at once when the last line end is looked for, bytes.
const BLOCK: u64 = 16 << 10;

/// A part of a log that is a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Prefix {
    /// Content of `anchor.pub`.
    pub anchor: Vec<u8>,
    /// Content of `keys/current`: the key of the next checkpoint.
    pub key: Zeroizing<Vec<u8>>,
    /// The newest checkpoint of it; its note is `HEAD`.
    pub head: Option<Checkpoint>,
    /// Bytes of `checkpoints.log`.
    pub checkpoints: u64,
    /// The files of its lines, with the bytes of each.
    pub segments: Vec<(PathBuf, u64)>,
}

impl std::fmt::Debug for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prefix")
            .field("head", &self.head)
            .field("checkpoints", &self.checkpoints)
            .field("segments", &self.segments)
            .finish_non_exhaustive()
    }
}

impl Prefix {
    /// Looks at the log in `directory`; `None` when there is none. Changes nothing.
    ///
    /// # Errors
    /// The files cannot be read, or the key belongs to none of the checkpoints.
    pub fn read(directory: &Path) -> Result<Option<Self>, AuditError> {
        let layout = Layout {
            root: directory.to_owned(),
        };
        let anchor = match fs::read(layout.anchor_key()) {
            Ok(anchor) => anchor,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(AuditError::io("read", layout.anchor_key())(error)),
        };
        let keys = KeyStore::at(layout.keys());
        let mut last = AuditError::KeyMismatch {
            key: 0,
            checkpoint: 0,
        };
        for _ in 0..TRIES {
            match signed(&layout, &keys) {
                Ok((key, head, checkpoints)) => {
                    return Ok(Some(Self {
                        anchor,
                        key,
                        head,
                        checkpoints,
                        segments: lines(&layout.segments())?,
                    }));
                }
                Err(error) => last = error,
            }
            std::thread::park_timeout(PAUSE);
        }
        Err(last)
    }
}

type Signed = (Zeroizing<Vec<u8>>, Option<Checkpoint>, u64);

/// The key, the newest checkpoint that names it, and where that ends.
fn signed(layout: &Layout, keys: &KeyStore) -> Result<Signed, AuditError> {
    let held = keys.held()?;
    let tail = checkpoints(&layout.checkpoints())?;
    for (checkpoint, end) in tail.iter().rev() {
        if let Some(key) = held.iter().find(|key| key.public() == checkpoint.next) {
            return Ok((key.file(), Some(checkpoint.clone()), *end));
        }
    }
    let newest = tail.last().map_or(0, |(newest, _)| newest.epoch + 1);
    match held.first() {
        Some(key) if key.epoch == 0 && newest <= 1 => Ok((key.file(), None, 0)),
        key => Err(AuditError::KeyMismatch {
            key: key.map_or(0, |key| key.epoch),
            checkpoint: newest,
        }),
    }
}

/// The last checkpoints, each with the offset of its end.
fn checkpoints(path: &Path) -> Result<Vec<(Checkpoint, u64)>, AuditError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(AuditError::io("open", path)(error)),
    };
    let mut read = || -> io::Result<(u64, Vec<u8>)> {
        let from = file.metadata()?.len().saturating_sub(TAIL);
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut text)?;
        Ok((from, text))
    };
    let (mut at, text) = read().map_err(AuditError::io("read", path))?;
    let mut found = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        at += line.len() as u64;
        // The first may be cut by where reading began, the last is perhaps being written.
        let whole = line.strip_suffix(b"\n").and_then(Checkpoint::from_line);
        found.extend(whole.map(|checkpoint| (checkpoint, at)));
    }
    Ok(found)
}

/// The segments, the last one up to its last line end.
fn lines(directory: &Path) -> Result<Vec<(PathBuf, u64)>, AuditError> {
    let segments = segment::list(directory)?;
    let last = segments.len().saturating_sub(1);
    let mut found = Vec::new();
    for (number, segment) in segments.into_iter().enumerate() {
        let path = segment.path;
        let length = if number == last {
            whole_lines(&path)
        } else {
            fs::metadata(&path).map(|meta| meta.len())
        };
        let length = length.map_err(AuditError::io("read", &path))?;
        found.push((path, length));
    }
    Ok(found)
}

fn whole_lines(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let mut block = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        (&mut file).take(end - start).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
