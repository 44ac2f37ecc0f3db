//! Checks the records in one pass, one record behind: whose fault a broken link is shows in the next one.

use super::finding::{Finding, Report};
use crate::checkpoint::Checkpoint;
use crate::hash::{self, Hash};
use crate::merkle::Frontier;
use crate::scan;
use std::collections::VecDeque;

/// A line that waits for its successor.
struct Item {
    links: Option<Links>,
    leaf: Hash,
}

#[derive(Clone, Copy)]
struct Links {
    seq: u64,
    time_ms: i64,
    prev: Hash,
    clock: bool,
}

/// The pass over the records.
pub(super) struct Stream {
    held: Option<Item>,
    /// Number that the next judged record should carry.
    expected: u64,
    /// Hash that it should carry; unknown behind a gap.
    chain: Option<Hash>,
    last_ms: i64,
    blamed: Option<u64>,
    /// Inside a run of malformed lines.
    garbled: bool,
    tree: Frontier,
    /// Lines taken so far, judged or held.
    lines: u64,
    due: VecDeque<Checkpoint>,
    newest: Option<Checkpoint>,
    /// Records up to here are covered by a checkpoint that fitted.
    proved: u64,
    damaged: bool,
}

impl Stream {
    pub(super) fn new(genesis: Option<Hash>, checkpoints: Vec<Checkpoint>) -> Self {
        let newest = checkpoints.last().cloned();
        Self {
            held: None,
            expected: 0,
            chain: genesis,
            last_ms: i64::MIN,
            blamed: None,
            garbled: false,
            tree: Frontier::default(),
            lines: 0,
            due: checkpoints.into(),
            newest,
            proved: 0,
            damaged: false,
        }
    }

    /// Everything that a checkpoint covers has been read.
    pub(super) fn is_past_checkpoints(&self) -> bool {
        self.newest
            .as_ref()
            .is_none_or(|newest| newest.size <= self.lines)
    }

    /// Takes the next line.
    pub(super) fn line(&mut self, text: &[u8], complete: bool, report: &mut Report) {
        let links = scan::links(text).filter(|_| complete).map(|links| Links {
            seq: links.seq,
            time_ms: links.time_ms,
            prev: links.prev,
            clock: links.kind == b"clock.backwards",
        });
        let item = Item {
            links,
            leaf: hash::leaf(text),
        };
        self.lines += 1;
        report.records += 1;
        if let Some(held) = self.held.take() {
            self.judge(&held, Some(&item), report);
        } else {
            self.roots(report);
        }
        self.held = Some(item);
    }

    /// Judges the last line and the end.
    pub(super) fn finish(mut self, report: &mut Report) {
        match self.held.take() {
            Some(held) => self.judge(&held, None, report),
            None => self.roots(report),
        }
        let Some(newest) = &self.newest else {
            report.unsigned = self.expected;
            return;
        };
        if self.expected < newest.size {
            report.add(Finding::Missing {
                from: self.expected,
                to: newest.size - 1,
            });
        }
        report.unsigned = self.expected.saturating_sub(newest.size);
        report.head = Some(newest.note());
    }

    fn judge(&mut self, item: &Item, next: Option<&Item>, report: &mut Report) {
        match item.links {
            None => self.judge_garbled(report),
            Some(links) => self.judge_record(item, links, next, report),
        }
        self.tree.push(item.leaf);
        self.roots(report);
    }

    fn judge_garbled(&mut self, report: &mut Report) {
        if !self.garbled {
            self.blame(
                self.expected,
                Finding::Malformed {
                    record: self.expected,
                },
                report,
            );
        }
        self.garbled = true;
        self.damaged = true;
        self.chain = None;
    }

    fn judge_record(&mut self, item: &Item, links: Links, next: Option<&Item>, report: &mut Report) {
        if self.garbled {
            // One line became two, or two became one: go on from the number that this one carries.
            self.garbled = false;
            self.expected = (self.expected + 1).min(links.seq.max(self.expected));
        }
        let next_seq = next.and_then(|next| next.links).map(|next| next.seq);
        let mut seq = links.seq;
        if seq != self.expected {
            self.damaged = true;
            // What follows it, or what it follows, shows that only its number was changed.
            if next_seq == Some(self.expected + 1) || self.chain == Some(links.prev) {
                seq = self.expected;
                self.blame(seq, Finding::Altered { record: seq }, report);
            } else if seq > self.expected {
                report.add(Finding::Missing {
                    from: self.expected,
                    to: seq - 1,
                });
                self.chain = None;
            } else {
                report.add(Finding::OutOfPlace {
                    record: seq,
                    place: self.expected,
                });
                self.chain = None;
                return;
            }
        }
        self.link(seq, item, links, next, report);
        let doubtful = self
            .blamed
            .is_some_and(|blamed| blamed == seq || blamed + 1 == seq);
        if links.time_ms < self.last_ms && !links.clock && !doubtful {
            report.add(Finding::TimeBackwards { record: seq });
        }
        self.last_ms = links.time_ms;
        self.chain = Some(item.leaf);
        self.expected = seq + 1;
    }

    /// Checks the link to the record before, and the last record against its checkpoint.
    fn link(&mut self, seq: u64, item: &Item, links: Links, next: Option<&Item>, report: &mut Report) {
        let fits_next = match next {
            Some(next) => next.links.map(|next| next.prev == item.leaf),
            None => self
                .newest
                .as_ref()
                .filter(|newest| newest.size == seq + 1)
                .map(|newest| newest.chain == item.leaf),
        };
        let fits_before = self.chain.is_none_or(|chain| chain == links.prev);
        if fits_before {
            if next.is_none() && fits_next == Some(false) {
                self.blame(seq, Finding::Altered { record: seq }, report);
            }
            return;
        }
        self.damaged = true;
        if fits_next == Some(false) {
            self.blame(seq, Finding::Altered { record: seq }, report);
        } else if seq == 0 {
            report.add(Finding::ForeignStart);
        } else {
            self.blame(seq - 1, Finding::Altered { record: seq - 1 }, report);
        }
    }

    /// Reports a record once.
    fn blame(&mut self, record: u64, finding: Finding, report: &mut Report) {
        self.damaged = true;
        if self.blamed != Some(record) {
            self.blamed = Some(record);
            report.add(finding);
        }
    }

    /// Compares with the checkpoints whose size is reached.
    fn roots(&mut self, report: &mut Report) {
        while let Some(checkpoint) = self.due.front().filter(|due| due.size <= self.tree.size()) {
            let fits = checkpoint.size == self.tree.size() && checkpoint.root == self.tree.root();
            if fits {
                self.proved = checkpoint.size;
            } else if !self.damaged {
                // Records that were altered one by one are named already; this is a chain made anew.
                self.damaged = true;
                report.add(Finding::Rewritten {
                    from: self.proved,
                    to: checkpoint.size.saturating_sub(1),
                    epoch: checkpoint.epoch,
                });
            }
            self.due.pop_front();
        }
    }
}
