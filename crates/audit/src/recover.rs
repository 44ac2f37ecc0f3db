//! Opening a log: checks the whole chain, finds where a crash tore the end, and refuses a log that is not
//! the one that was written.

use crate::checkpoint::{self, Checkpoint};
use crate::error::AuditError;
use crate::hash::{self, Hash};
use crate::index::Index;
use crate::keys::{EpochKey, KeyStore};
use crate::record::Record;
use crate::scan;
use crate::segment::{self, Appender, Lines, Segment};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Names of the files below a log's directory.
pub(crate) struct Layout {
    pub(crate) root: PathBuf,
}

impl Layout {
    pub(crate) fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints.log")
    }
    pub(crate) fn anchor_key(&self) -> PathBuf {
        self.root.join("anchor.pub")
    }
    pub(crate) fn head(&self) -> PathBuf {
        self.root.join("HEAD")
    }
    pub(crate) fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }
    pub(crate) fn payloads(&self) -> PathBuf {
        self.root.join("payloads.db")
    }
}

/// A log that was read back.
pub(crate) struct Recovered {
    pub(crate) index: Index,
    pub(crate) lines: Appender,
    pub(crate) checkpoints: Appender,
    pub(crate) keys: KeyStore,
    pub(crate) key: EpochKey,
    pub(crate) newest: Option<Checkpoint>,
    pub(crate) origin: String,
    /// What the first new record should say, when something was repaired.
    pub(crate) notes: Vec<Record>,
}

/// Opens what is there, or makes a new log.
pub(crate) fn recover(layout: &Layout) -> Result<Recovered, AuditError> {
    for directory in [layout.root.clone(), layout.segments()] {
        fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&directory)
            .map_err(AuditError::io("create", &directory))?;
    }
    let keys = KeyStore::open(layout.keys())?;
    let newest = read_checkpoints(&layout.checkpoints())?;
    let (anchor, key) = keys_of(layout, &keys, newest.as_ref())?;
    let genesis = hash::genesis(&anchor);
    let origin = checkpoint::origin(&genesis);
    if let Some(newest) = &newest
        && (newest.origin != origin || !newest.verify())
    {
        return Err(AuditError::Altered {
            finding: format!(
                "the newest checkpoint (epoch {}) is not signed by this log",
                newest.epoch
            ),
        });
    }
    let mut scan = Scan {
        index: Index::new(&layout.segments(), genesis),
        newest: newest.as_ref(),
        torn: None,
    };
    scan.check_root()?;
    scan.segments(&segment::list(&layout.segments())?)?;
    let Scan { mut index, torn, .. } = scan;
    if let Some(newest) = &newest
        && index.size() < newest.size
    {
        return Err(AuditError::Altered {
            finding: format!(
                "records {} to {} are missing at the end",
                index.size(),
                newest.size - 1
            ),
        });
    }
    let notes = torn.map(|torn| torn.cut()).transpose()?.into_iter().collect();
    let last = index.segments().last().map(|segment| segment.path);
    let path = last.unwrap_or_else(|| segment::path_of(&layout.segments(), 0));
    index.begin_segment_if_none();
    Ok(Recovered {
        index,
        lines: Appender::open(path)?,
        checkpoints: Appender::open(layout.checkpoints())?,
        keys,
        key,
        newest,
        origin,
        notes,
    })
}

/// The anchor key and the key of the next checkpoint; makes both for a new log.
fn keys_of(
    layout: &Layout,
    keys: &KeyStore,
    newest: Option<&Checkpoint>,
) -> Result<([u8; 32], EpochKey), AuditError> {
    let path = layout.anchor_key();
    let malformed = |problem: &str| AuditError::Malformed {
        path: path.clone(),
        problem: problem.to_owned(),
    };
    let anchor = match fs::read(&path) {
        Ok(text) => {
            let hex = text.strip_suffix(b"\n").and_then(Hash::from_hex);
            Some(
                hex.ok_or_else(|| malformed("64 hexadecimal digits are expected"))?
                    .0,
            )
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => {
            return Err(AuditError::Io {
                what: "read",
                path,
                source,
            });
        }
    };
    match (anchor, newest) {
        (Some(anchor), Some(newest)) => Ok((anchor, keys.successor(newest.epoch + 1, &newest.next)?)),
        (Some(anchor), None) => {
            let key = keys.first()?;
            if key.public() == anchor {
                Ok((anchor, key))
            } else {
                Err(malformed("it is not the first key's"))
            }
        }
        (None, Some(_)) => Err(malformed("it is missing, and there are checkpoints")),
        (None, None) => {
            let key = keys.first()?;
            let anchor = key.public();
            segment::replace(&path, format!("{}\n", hex::encode(anchor)).as_bytes(), 0o644)?;
            Ok((anchor, key))
        }
    }
}

/// The newest checkpoint; cuts off a line that a crash left unfinished.
fn read_checkpoints(path: &Path) -> Result<Option<Checkpoint>, AuditError> {
    if !path.try_exists().map_err(AuditError::io("stat", path))? {
        return Ok(None);
    }
    let mut lines = Lines::open(path, 0)?;
    let (mut newest, mut count) = (None, 0_u64);
    while let Some(line) = lines.next()? {
        if !line.complete {
            let start = line.start;
            let file = OpenOptions::new()
                .write(true)
                .open(path)
                .map_err(AuditError::io("open", path))?;
            file.set_len(start)
                .and_then(|()| file.sync_all())
                .map_err(AuditError::io("cut", path))?;
            break;
        }
        let checkpoint = Checkpoint::from_line(line.text).filter(|checkpoint| checkpoint.epoch == count);
        newest = Some(checkpoint.ok_or_else(|| AuditError::Altered {
            finding: format!("checkpoint {count} is not readable or not in its place"),
        })?);
        count += 1;
    }
    Ok(newest)
}

/// Reads all lines into the index.
struct Scan<'a> {
    index: Index,
    newest: Option<&'a Checkpoint>,
    torn: Option<Torn>,
}

impl Scan<'_> {
    fn segments(&mut self, segments: &[Segment]) -> Result<(), AuditError> {
        for (number, segment) in segments.iter().enumerate() {
            if segment.first != self.index.size() {
                return Err(self.altered("the segment that should hold it is missing"));
            }
            self.index.begin_segment();
            self.segment(segment, number + 1 == segments.len())?;
        }
        Ok(())
    }

    fn segment(&mut self, segment: &Segment, last: bool) -> Result<(), AuditError> {
        let mut lines = Lines::open(&segment.path, 0)?;
        while let Some(line) = lines.next()? {
            let problem = self.problem_with(line.text);
            let signed = self.newest.is_some_and(|newest| self.index.size() < newest.size);
            if last && !signed && (!line.complete || (problem.is_some() && line.text.contains(&0))) {
                // Never acknowledged: an answered record is whole and durable.
                self.torn = Some(Torn {
                    path: segment.path.clone(),
                    from: line.start,
                    seq: self.index.size(),
                });
                return Ok(());
            }
            if let Some(problem) = problem.or_else(|| (!line.complete).then_some("it has no line end")) {
                return Err(self.altered(problem));
            }
            let time_ms = scan::links(line.text).map_or(i64::MIN, |links| links.time_ms);
            self.index.push(hash::leaf(line.text), time_ms, line.start);
            self.check_root()?;
        }
        Ok(())
    }

    fn problem_with(&self, line: &[u8]) -> Option<&'static str> {
        match scan::links(line) {
            None => Some("it is no canonical record"),
            Some(links) if links.seq != self.index.size() => Some("another record stands in its place"),
            Some(links) if links.prev != self.index.chain => Some("it does not follow the record before it"),
            Some(_) => None,
        }
    }

    /// Compares with the newest checkpoint when its size is reached.
    fn check_root(&self) -> Result<(), AuditError> {
        match self.newest {
            Some(newest)
                if newest.size == self.index.size()
                    && (newest.root != self.index.root() || newest.chain != self.index.chain) =>
            {
                Err(AuditError::Altered {
                    finding: format!(
                        "the first {} records are not those of the newest checkpoint",
                        newest.size
                    ),
                })
            }
            _ => Ok(()),
        }
    }

    fn altered(&self, problem: &str) -> AuditError {
        AuditError::Altered {
            finding: format!("record {}: {problem}", self.index.size()),
        }
    }
}

/// An end that a crash left unfinished.
struct Torn {
    path: PathBuf,
    from: u64,
    seq: u64,
}

impl Torn {
    /// Cuts it off and says so.
    fn cut(self) -> Result<Record, AuditError> {
        let file = OpenOptions::new()
            .write(true)
            .open(&self.path)
            .map_err(AuditError::io("open", &self.path))?;
        let length = file.metadata().map_err(AuditError::io("stat", &self.path))?.len();
        file.set_len(self.from)
            .and_then(|()| file.sync_all())
            .map_err(AuditError::io("cut", &self.path))?;
        Ok(Record::new("audit.torn_end")
            .with("bytes", length - self.from)
            .with("at_record", self.seq))
    }
}
