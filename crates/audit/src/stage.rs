//! Builds the lines of a batch: numbers, times, payload digests, the chain of hashes.

use crate::error::AuditError;
use crate::hash::{self, Hash};
use crate::payload::{self, Sealed, Side};
use crate::record::{self, Position, Receipt, Record};
use crate::writer::Answer;

/// A batch that was built and not yet written.
#[derive(Default)]
pub(crate) struct Staged {
    pub(crate) bytes: Vec<u8>,
    pub(crate) records: Vec<StagedRecord>,
    pub(crate) sealed: Vec<(u64, Sealed)>,
}

/// One record of it.
pub(crate) struct StagedRecord {
    pub(crate) receipt: Receipt,
    /// Offset within the batch.
    pub(crate) offset: u64,
    /// Who waits for it; nobody does for a note of our own, nor when the writer appends at once.
    pub(crate) answer: Option<Answer<Receipt>>,
}

/// Builds lines one after another.
pub(crate) struct Stage {
    pub(crate) seq: u64,
    pub(crate) chain: Hash,
    pub(crate) last_ms: i64,
    pub(crate) staged: Staged,
}

impl Stage {
    pub(crate) fn add(&mut self, record: &Record, now_ms: i64, answer: Option<Answer<Receipt>>) {
        if now_ms < self.last_ms {
            let note = Record::new("clock.backwards")
                .with("from_ms", self.last_ms)
                .with("to_ms", now_ms);
            self.last_ms = now_ms;
            self.add(&note, now_ms, None);
        }
        match self.build(record, now_ms) {
            Ok((line, sealed)) => {
                let offset = self.staged.bytes.len() as u64;
                let leaf = hash::leaf(&line);
                let receipt = Receipt {
                    seq: self.seq,
                    leaf,
                    time_ms: now_ms,
                };
                self.staged.bytes.extend_from_slice(&line);
                self.staged.bytes.push(b'\n');
                self.staged
                    .sealed
                    .extend(sealed.into_iter().map(|sealed| (self.seq, sealed)));
                self.staged.records.push(StagedRecord {
                    receipt,
                    offset,
                    answer,
                });
                (self.seq, self.chain, self.last_ms) = (self.seq + 1, leaf, now_ms);
            }
            Err(error) => {
                if let Some(answer) = answer {
                    let _gone = answer.send(Err(error));
                }
            }
        }
    }

    fn build(&self, record: &Record, time_ms: i64) -> Result<(Vec<u8>, Vec<Sealed>), AuditError> {
        let mut sealed = Vec::new();
        let mut digest = |side, payload: &Option<Vec<u8>>| match payload {
            None => Ok(None),
            Some(payload) => {
                let one = payload::seal(self.seq, side, payload)?;
                let digest = one.digest;
                sealed.push(one);
                Ok::<_, AuditError>(Some(digest))
            }
        };
        let position = Position {
            seq: self.seq,
            time_ms,
            prev: self.chain,
            input_digest: digest(Side::Input, &record.input)?,
            output_digest: digest(Side::Output, &record.output)?,
        };
        Ok((record::line(record, &position)?, sealed))
    }
}
