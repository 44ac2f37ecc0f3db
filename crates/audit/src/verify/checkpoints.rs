//! Checks the checkpoints among themselves: order, signatures, succession of keys; and against the head,
//! the key on disk and an anchor.

use super::finding::{Finding, Report};
use crate::checkpoint::{Anchor, Checkpoint, origin};
use crate::hash::Hash;

/// Checkpoints that were read and found good.
pub(super) struct Checkpoints {
    /// Key that the next one must carry; unknown behind a damaged one.
    key: Option<[u8; 32]>,
    origin: Option<String>,
    /// Number that the next one must carry.
    epoch: u64,
    good: Vec<Checkpoint>,
}

impl Checkpoints {
    pub(super) fn new(anchor_key: Option<[u8; 32]>, genesis: Option<Hash>) -> Self {
        Self {
            key: anchor_key,
            origin: genesis.as_ref().map(origin),
            epoch: 0,
            good: Vec::new(),
        }
    }

    /// Takes the next line of the file.
    pub(super) fn line(&mut self, text: &[u8], complete: bool, report: &mut Report) {
        report.checkpoints += 1;
        let read = Checkpoint::from_line(text).filter(|_| complete);
        let Some(checkpoint) = read else {
            report.add(Finding::CheckpointAltered {
                epoch: self.epoch,
                problem: "its line is not readable",
            });
            self.epoch += 1;
            self.key = None;
            return;
        };
        if checkpoint.epoch > self.epoch && checkpoint.verify() {
            report.add(Finding::CheckpointMissing {
                from: self.epoch,
                to: checkpoint.epoch - 1,
            });
            self.key = None;
        } else if let Some(problem) = self.problem_with(&checkpoint) {
            report.add(Finding::CheckpointAltered {
                epoch: self.epoch,
                problem,
            });
            self.epoch += 1;
            self.key = None;
            return;
        }
        self.epoch = checkpoint.epoch + 1;
        self.key = Some(checkpoint.next);
        self.good.push(checkpoint);
    }

    fn problem_with(&self, checkpoint: &Checkpoint) -> Option<&'static str> {
        if checkpoint.epoch != self.epoch {
            return Some("another one stands in its place");
        }
        if !checkpoint.verify() {
            return Some("its signature is not valid");
        }
        if self.key.is_some_and(|key| key != checkpoint.key) {
            return Some("its key is not the one that the checkpoint before it (or the anchor key) names");
        }
        if self
            .origin
            .as_ref()
            .is_some_and(|origin| *origin != checkpoint.origin)
        {
            return Some("it names another log");
        }
        if self
            .good
            .last()
            .is_some_and(|before| before.size > checkpoint.size)
        {
            return Some("it covers fewer records than the one before it");
        }
        None
    }

    /// Compares with the epoch of the signing key on disk.
    pub(super) fn compare_key(&self, key: Option<u64>, report: &mut Report) {
        if let Some(key) = key.filter(|key| *key > self.epoch) {
            report.add(Finding::KeyAhead {
                key,
                checkpoints: self.epoch,
            });
        }
    }

    /// Compares with the head that was published beside the log.
    pub(super) fn compare_head(&self, head: Option<&[u8]>, report: &mut Report) {
        let Some(head) = head else { return };
        if !self
            .good
            .iter()
            .rev()
            .any(|checkpoint| checkpoint.note().as_bytes() == head)
        {
            report.add(Finding::HeadAltered);
        }
    }

    /// Compares with a head that was published elsewhere.
    pub(super) fn compare_anchor(&self, anchor: &Anchor, report: &mut Report) {
        if self
            .origin
            .as_ref()
            .is_some_and(|origin| *origin != anchor.origin)
        {
            report.add(Finding::AnchorForeign);
            return;
        }
        let newest = self.good.last().map_or(0, |newest| newest.size);
        match self
            .good
            .iter()
            .find(|checkpoint| checkpoint.epoch == anchor.epoch)
        {
            None => report.add(Finding::AnchorAhead {
                anchor: anchor.size,
                log: newest,
            }),
            Some(own) => {
                let same = own.size == anchor.size && own.root == anchor.root && anchor.signed_by(&own.key);
                if !same {
                    report.add(Finding::AnchorDiffers { epoch: anchor.epoch });
                }
            }
        }
    }

    pub(super) fn into_inner(self) -> Vec<Checkpoint> {
        self.good
    }
}
