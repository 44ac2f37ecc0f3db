//! What the verifier can find, in words.

use std::fmt;

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A record is not the one that its neighbours and checkpoints were made for.
    Altered {
        /// Which.
        record: u64,
    },
    /// A line is no canonical record.
    Malformed {
        /// The record that should stand there.
        record: u64,
    },
    /// Records are gone.
    Missing {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// A record stands where it does not belong: moved, repeated or inserted.
    OutOfPlace {
        /// Number that it carries.
        record: u64,
        /// Number that belongs there.
        place: u64,
    },
    /// The first record does not belong to this log's anchor key.
    ForeignStart,
    /// Time went back without a record of the clock saying so.
    TimeBackwards {
        /// Which record is earlier than the one before it.
        record: u64,
    },
    /// Records were rewritten together with their chain: the signed root does not fit.
    Rewritten {
        /// First record that may be affected.
        from: u64,
        /// Last.
        to: u64,
        /// Checkpoint that does not fit.
        epoch: u64,
    },
    /// A checkpoint is not as it was signed.
    CheckpointAltered {
        /// Its place in the file.
        epoch: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// Checkpoints are gone.
    CheckpointMissing {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// The signing key on disk is further than the newest checkpoint: the log was cut.
    KeyAhead {
        /// Epoch of the key.
        key: u64,
        /// Newest checkpoint, counted.
        checkpoints: u64,
    },
    /// The published head beside the log is not one of its checkpoints.
    HeadAltered,
    /// The anchor key's file is missing or no key.
    AnchorKey,
    /// The given anchor is no signed note.
    AnchorUnreadable,
    /// The given anchor is of another log.
    AnchorForeign,
    /// The given anchor is newer than the log: the log was cut.
    AnchorAhead {
        /// Records that the anchor covers.
        anchor: u64,
        /// Records that the newest checkpoint covers.
        log: u64,
    },
    /// The log has another checkpoint in the anchor's place: its past was replaced.
    AnchorDiffers {
        /// Which checkpoint.
        epoch: u64,
    },
    /// An export has another number of lines than its header says.
    Count {
        /// Lines that the header says.
        said: u64,
        /// Lines found.
        found: u64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered { record } => write!(f, "record {record} was altered"),
            Self::Malformed { record } => write!(f, "record {record} was altered: it is no canonical record"),
            Self::Missing { from, to } if from == to => write!(f, "record {from} is missing"),
            Self::Missing { from, to } => write!(f, "records {from} to {to} are missing"),
            Self::OutOfPlace { record, place } => {
                write!(
                    f,
                    "record {record} stands where record {place} belongs: moved, repeated or inserted"
                )
            }
            Self::ForeignStart => write!(f, "record 0 does not belong to this log's anchor key"),
            Self::TimeBackwards { record } => {
                write!(
                    f,
                    "record {record} is earlier than the one before it, and no clock record says why"
                )
            }
            Self::Rewritten { from, to, epoch } => {
                write!(
                    f,
                    "records {from} to {to} were rewritten: checkpoint {epoch} was signed over others"
                )
            }
            Self::CheckpointAltered { epoch, problem } => {
                write!(f, "checkpoint {epoch} was altered: {problem}")
            }
            Self::CheckpointMissing { from, to } if from == to => write!(f, "checkpoint {from} is missing"),
            Self::CheckpointMissing { from, to } => write!(f, "checkpoints {from} to {to} are missing"),
            Self::KeyAhead { key, checkpoints } => {
                write!(
                    f,
                    "the log was cut: the signing key is of epoch {key}, and there are {checkpoints} checkpoints"
                )
            }
            Self::HeadAltered => write!(
                f,
                "the file HEAD is not one of this log's checkpoints: altered, or the log was cut"
            ),
            Self::AnchorKey => write!(f, "the file anchor.pub is missing or altered"),
            Self::AnchorUnreadable => write!(f, "the anchor is no signed head"),
            Self::AnchorForeign => write!(f, "the anchor is of another log: this one was replaced"),
            Self::AnchorAhead { anchor, log } => {
                write!(
                    f,
                    "the log was cut: the anchor covers {anchor} records, the newest checkpoint {log}"
                )
            }
            Self::AnchorDiffers { epoch } => {
                write!(
                    f,
                    "checkpoint {epoch} is not the anchor's: the log's past was replaced, or the anchor altered"
                )
            }
            Self::Count { said, found } => write!(f, "the export has {found} lines, its header says {said}"),
        }
    }
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Records read.
    pub records: u64,
    /// Checkpoints read.
    pub checkpoints: u64,
    /// Records behind the newest checkpoint: chained, and not yet signed.
    pub unsigned: u64,
    /// What is wrong, at most 100.
    pub findings: Vec<Finding>,
    /// How many more findings there were.
    pub more: u64,
    /// What is worth knowing and not wrong.
    pub notes: Vec<String>,
    /// The newest checkpoint as a note: keep it elsewhere, it is an anchor for the next time.
    pub head: Option<String>,
}

impl Report {
    /// Nothing is wrong.
    pub fn ok(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn add(&mut self, finding: Finding) {
        if self.findings.len() < 100 {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}
