//! The files that hold the lines: `segments/NNNNNNNNNNNNNNNNNNNN.log`, named by their first record.

use crate::error::AuditError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A segment on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Sequence number of its first record.
    pub(crate) first: u64,
    pub(crate) path: PathBuf,
}

/// The path of the segment that starts with record `first`.
pub(crate) fn path_of(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}.log"))
}

/// The segments in order. Files with other names are not segments.
pub(crate) fn list(directory: &Path) -> Result<Vec<Segment>, AuditError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(AuditError::io("list", directory))? {
        let entry = entry.map_err(AuditError::io("list", directory))?;
        let name = entry.file_name();
        let first = name
            .to_str()
            .and_then(|name| name.strip_suffix(".log"))
            .filter(|digits| digits.len() == 20)
            .and_then(|digits| digits.parse().ok());
        if let Some(first) = first {
            found.push(Segment {
                first,
                path: entry.path(),
            });
        }
    }
    found.sort_by_key(|segment| segment.first);
    Ok(found)
}

/// Makes the names in a directory survive a power cut.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), AuditError> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(AuditError::io("sync", directory))
}

/// Replaces a small file so that a crash leaves the old or the new one, and makes it durable.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), AuditError> {
    let temporary = path.with_extension("new");
    let write = || -> io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all_at(content, 0)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(AuditError::io("write", path))?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// The open end of the log. It knows which bytes are durable, and can put back those that were
/// acknowledged and are not.
#[derive(Debug)]
pub(crate) struct Appender {
    file: Arc<File>,
    path: PathBuf,
    /// Length up to which everything is on disk.
    durable: u64,
    /// Written after that, and acknowledged as durable within 20 ms.
    pending: Vec<u8>,
    /// A write or sync failed; nothing is accepted until [`Appender::repair`] succeeds.
    broken: bool,
}

impl Appender {
    /// Opens a segment for appending at its end; makes it when it is not there.
    pub(crate) fn open(path: PathBuf) -> Result<Self, AuditError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(AuditError::io("open", &path))?;
        let durable = file.metadata().map_err(AuditError::io("stat", &path))?.len();
        file.sync_all().map_err(AuditError::io("sync", &path))?;
        sync_directory(path.parent().unwrap_or(Path::new(".")))?;
        Ok(Self {
            file: Arc::new(file),
            path,
            durable,
            pending: Vec::new(),
            broken: false,
        })
    }

    /// Length including what is not durable yet.
    pub(crate) fn length(&self) -> u64 {
        self.durable + self.pending.len() as u64
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Appends whole lines. After an error the file is as before, or broken and to be repaired.
    pub(crate) fn append(&mut self, lines: &[u8], sync: bool) -> Result<(), AuditError> {
        if self.broken {
            self.repair()?;
        }
        let at = self.length();
        if let Err(source) = self.file.write_all_at(lines, at) {
            self.broken = self.file.set_len(at).is_err();
            return Err(AuditError::Io {
                what: "append to",
                path: self.path.clone(),
                source,
            });
        }
        let before = self.pending.len();
        self.pending.extend_from_slice(lines);
        if sync && let Err(error) = self.sync() {
            self.pending.truncate(before);
            return Err(error);
        }
        Ok(())
    }

    /// Makes everything durable.
    pub(crate) fn sync(&mut self) -> Result<(), AuditError> {
        if self.broken {
            return self.repair();
        }
        let begun = self.begin_sync();
        let result = begun.run();
        self.end_sync(&begun, result)
    }

    /// A sync of all that is written now, to be run while more is appended.
    pub(crate) fn begin_sync(&self) -> Sync {
        Sync {
            file: Arc::clone(&self.file),
            bytes: self.pending.len(),
        }
    }

    /// Takes note of how a sync went. No other may have been begun meanwhile.
    pub(crate) fn end_sync(&mut self, sync: &Sync, result: io::Result<()>) -> Result<(), AuditError> {
        if let Err(source) = result {
            // After a failed sync the kernel may have dropped the pages: they must be written again.
            self.broken = true;
            return Err(AuditError::Io {
                what: "sync",
                path: self.path.clone(),
                source,
            });
        }
        self.durable += sync.bytes as u64;
        self.pending.drain(..sync.bytes);
        Ok(())
    }

    /// Whether nothing is accepted before a repair.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Checks that there is room for some more by taking and giving it back. A crash in between leaves
    /// zeros behind the last line, which the next opening cuts off.
    pub(crate) fn probe(&mut self, room: usize) -> Result<(), AuditError> {
        if self.broken {
            self.repair()?;
        }
        let at = self.length();
        let taken = self
            .file
            .write_all_at(&vec![0; room], at)
            .and_then(|()| self.file.sync_data());
        let given_back = self.file.set_len(at);
        self.broken = given_back.is_err();
        taken
            .and(given_back)
            .map_err(AuditError::io("append to", &self.path))
    }

    /// Brings the file back to exactly what was acknowledged.
    pub(crate) fn repair(&mut self) -> Result<(), AuditError> {
        let work = || -> io::Result<()> {
            self.file.set_len(self.durable)?;
            self.file.write_all_at(&self.pending, self.durable)?;
            self.file.sync_all()
        };
        work().map_err(AuditError::io("repair", &self.path))?;
        self.broken = false;
        self.durable += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

/// A sync under way.
pub(crate) struct Sync {
    file: Arc<File>,
    /// How much of what was pending it covers.
    bytes: usize,
}

impl Sync {
    pub(crate) fn run(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Reads lines without their line ends. `complete` is false for a last line that has none.
pub(crate) struct Lines {
    reader: BufReader<File>,
    path: PathBuf,
    line: Vec<u8>,
    /// Offset behind the last line that was read.
    pub(crate) offset: u64,
}

/// One line as read.
pub(crate) struct Line<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) start: u64,
    pub(crate) complete: bool,
}

impl Lines {
    pub(crate) fn open(path: &Path, offset: u64) -> Result<Self, AuditError> {
        use std::io::Seek;
        let mut file = File::open(path).map_err(AuditError::io("open", path))?;
        file.seek(io::SeekFrom::Start(offset))
            .map_err(AuditError::io("seek in", path))?;
        Ok(Self {
            reader: BufReader::with_capacity(1 << 18, file),
            path: path.to_owned(),
            line: Vec::new(),
            offset,
        })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>, AuditError> {
        self.line.clear();
        let read = self
            .reader
            .read_until(b'\n', &mut self.line)
            .map_err(AuditError::io("read", &self.path))?;
        if read == 0 {
            return Ok(None);
        }
        let start = self.offset;
        self.offset += read as u64;
        let complete = self.line.last() == Some(&b'\n');
        let text = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Ok(Some(Line {
            text,
            start,
            complete,
        }))
    }
}
