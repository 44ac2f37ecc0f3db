//! One file that holds a whole log for whoever verifies it elsewhere: a header line, the record lines,
//! the checkpoint lines.

use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::index::Index;
use crate::recover::Layout;
use crate::segment::Lines;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, BufWriter, Write};

/// The first line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) anchor_key: String,
    pub(crate) checkpoints: u64,
    pub(crate) format: String,
    pub(crate) records: u64,
}

/// The only format there is.
pub(crate) const FORMAT: &str = "aios-audit-export-v1";

/// Writes the log up to `checkpoint`.
pub(crate) fn write(
    layout: &Layout,
    index: &Index,
    checkpoint: &Checkpoint,
    out: impl Write,
) -> Result<u64, AuditError> {
    let path = layout.anchor_key();
    let anchor_key = fs::read_to_string(&path)
        .map_err(AuditError::io("read", &path))?
        .trim_end()
        .to_owned();
    let header = Header {
        anchor_key,
        checkpoints: checkpoint.epoch + 1,
        format: FORMAT.to_owned(),
        records: checkpoint.size,
    };
    let mut out = BufWriter::new(out);
    let failed = |source| AuditError::Io {
        what: "write",
        path: "the export".into(),
        source,
    };
    let header = serde_json_canonicalizer::to_vec(&header)
        .map_err(|error| AuditError::Canonical(error.to_string()))?;
    line(&mut out, &header).map_err(failed)?;
    let mut written = Ok(());
    index.read(0, checkpoint.size, |_, text| {
        if written.is_ok() {
            written = line(&mut out, text);
        }
    })?;
    written.map_err(failed)?;
    let mut checkpoints = Lines::open(&layout.checkpoints(), 0)?;
    for _ in 0..=checkpoint.epoch {
        if let Some(text) = checkpoints.next()? {
            line(&mut out, text.text).map_err(failed)?;
        }
    }
    out.flush().map_err(failed)?;
    Ok(checkpoint.size)
}

fn line(out: &mut impl Write, text: &[u8]) -> io::Result<()> {
    out.write_all(text)?;
    out.write_all(b"\n")
}
