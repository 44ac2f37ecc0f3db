//! The offline verifier: reads a log without its writer and names everything that is not as it was written.
//!
//! It needs the directory (or an export) and, to notice a log that was cut at a checkpoint or replaced
//! whole, one published head as anchor. It streams: memory does not grow with the log.
//!
//! ```no_run
//! let report = aios_audit::verify::verify_dir("/var/lib/aios/guard/audit", None)?;
//! for finding in &report.findings {
//!     eprintln!("{finding}");
//! }
//! # Ok::<(), aios_audit::AuditError>(())
//! ```

mod checkpoints;
mod finding;
mod stream;

pub use finding::{Finding, Report};

use crate::checkpoint::Anchor;
use crate::error::AuditError;
use crate::export::{FORMAT, Header};
use crate::hash::{self, Hash};
use crate::recover::Layout;
use crate::segment::{self, Lines};
use checkpoints::Checkpoints;
use std::fs;
use std::path::Path;
use stream::Stream;

/// Verifies the log in a directory. A running writer does not disturb it. `anchor` is a published head
/// (the text of a note).
///
/// # Errors
/// The files cannot be read. What is wrong *in* them is in the report.
pub fn verify_dir(directory: impl AsRef<Path>, anchor: Option<&str>) -> Result<Report, AuditError> {
    let layout = Layout {
        root: directory.as_ref().to_owned(),
    };
    let mut report = Report::default();
    // Head and key first: a running writer only makes the checkpoints that are read later newer.
    let head = read_optional(&layout.head())?;
    let key_epoch = read_optional(&layout.keys().join("current"))?.and_then(|text| epoch_of_key(&text));
    let anchor_key = read_anchor_key(&layout.anchor_key(), &mut report)?;
    let genesis = anchor_key.map(|key| hash::genesis(&key));
    let mut checkpoints = Checkpoints::new(anchor_key, genesis);
    if let Some(mut lines) = open_optional(&layout.checkpoints())? {
        while let Some(line) = lines.next()? {
            checkpoints.line(line.text, line.complete, &mut report);
        }
    }
    checkpoints.compare_key(key_epoch, &mut report);
    checkpoints.compare_head(head.as_deref(), &mut report);
    compare_anchor(&checkpoints, anchor, &mut report);
    let mut stream = Stream::new(genesis, checkpoints.into_inner());
    let segments = if layout.segments().is_dir() {
        segment::list(&layout.segments())?
    } else {
        Vec::new()
    };
    for (number, segment) in segments.iter().enumerate() {
        let mut lines = Lines::open(&segment.path, 0)?;
        while let Some(line) = lines.next()? {
            if !line.complete && number + 1 == segments.len() && stream.is_past_checkpoints() {
                report
                    .notes
                    .push("the last line is unfinished and was never acknowledged".to_owned());
                break;
            }
            stream.line(line.text, line.complete, &mut report);
        }
    }
    stream.finish(&mut report);
    Ok(report)
}

/// Verifies an export.
///
/// # Errors
/// The file cannot be read, or is no export.
pub fn verify_file(path: impl AsRef<Path>, anchor: Option<&str>) -> Result<Report, AuditError> {
    let path = path.as_ref();
    let mut report = Report::default();
    let mut lines = Lines::open(path, 0)?;
    let malformed = |problem: &str| AuditError::Malformed {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    let header: Header = match lines.next()? {
        Some(line) => {
            serde_json::from_slice(line.text).map_err(|_| malformed("it does not start with a header"))?
        }
        None => return Err(malformed("it is empty")),
    };
    if header.format != FORMAT {
        return Err(malformed("its format is not known"));
    }
    let anchor_key = Hash::from_hex(header.anchor_key.as_bytes())
        .ok_or_else(|| malformed("its anchor key is no key"))?
        .0;
    let genesis = Some(hash::genesis(&anchor_key));
    let mut checkpoints = Checkpoints::new(Some(anchor_key), genesis);
    // The checkpoints stand behind the records: one pass finds them, a second one streams the records.
    let mut count = 0_u64;
    while let Some(line) = lines.next()? {
        if count >= header.records {
            checkpoints.line(line.text, line.complete, &mut report);
        }
        count += 1;
    }
    if count != header.records.saturating_add(header.checkpoints) {
        report.add(Finding::Count {
            said: header.records.saturating_add(header.checkpoints),
            found: count,
        });
    }
    compare_anchor(&checkpoints, anchor, &mut report);
    let mut stream = Stream::new(genesis, checkpoints.into_inner());
    let mut lines = Lines::open(path, 0)?;
    lines.next()?;
    for _ in 0..header.records {
        if let Some(line) = lines.next()? {
            stream.line(line.text, line.complete, &mut report);
        }
    }
    stream.finish(&mut report);
    Ok(report)
}

fn compare_anchor(checkpoints: &Checkpoints, anchor: Option<&str>, report: &mut Report) {
    match anchor.map(Anchor::parse) {
        None => {}
        Some(None) => report.add(Finding::AnchorUnreadable),
        Some(Some(anchor)) => checkpoints.compare_anchor(&anchor, report),
    }
}

fn read_anchor_key(path: &Path, report: &mut Report) -> Result<Option<[u8; 32]>, AuditError> {
    let text = read_optional(path)?;
    let key = text
        .as_deref()
        .and_then(|text| text.strip_suffix(b"\n"))
        .and_then(Hash::from_hex);
    if key.is_none() {
        report.add(Finding::AnchorKey);
    }
    Ok(key.map(|key| key.0))
}

fn epoch_of_key(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.split_once(' ')?.0.parse().ok()
}

/// Reads a file. One that is missing, or that this user may not read (the keys), is `None`.
fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, AuditError> {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if matches!(error.kind(), NotFound | PermissionDenied) => Ok(None),
        Err(source) => Err(AuditError::Io {
            what: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

fn open_optional(path: &Path) -> Result<Option<Lines>, AuditError> {
    if path.try_exists().map_err(AuditError::io("stat", path))? {
        Lines::open(path, 0).map(Some)
    } else {
        Ok(None)
    }
}
