//! What is kept in memory of the log: where every block of 1024 records starts and its Merkle root.
//! Forty bytes a block; the leaves themselves are read from disk when a proof needs them.

use crate::error::AuditError;
use crate::hash::{self, Hash};
use crate::merkle::{BLOCK, Frontier, Leaves, root_of};
use crate::segment::{Lines, Segment};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Where a block starts.
#[derive(Debug, Clone, Copy)]
struct Start {
    /// Sequence number of its segment's first record.
    segment: u64,
    offset: u64,
}

/// The index.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    directory: PathBuf,
    segments: Vec<u64>,
    starts: Vec<Start>,
    roots: Vec<Hash>,
    /// Leaves of the block that is still growing.
    open_block: Vec<Hash>,
    frontier: Frontier,
    /// Hash that the next record carries as `prev`.
    pub(crate) chain: Hash,
    /// Time of the last record.
    pub(crate) last_time_ms: i64,
}

impl Index {
    pub(crate) fn new(directory: &Path, genesis: Hash) -> Self {
        Self {
            directory: directory.to_owned(),
            segments: Vec::new(),
            starts: Vec::new(),
            roots: Vec::new(),
            open_block: Vec::new(),
            frontier: Frontier::default(),
            chain: genesis,
            last_time_ms: i64::MIN,
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Notes that a segment starts with the next record.
    pub(crate) fn begin_segment(&mut self) {
        let size = self.size();
        if self.segments.last() != Some(&size) {
            self.segments.push(size);
        }
    }

    /// Notes the first segment of an empty log.
    pub(crate) fn begin_segment_if_none(&mut self) {
        if self.segments.is_empty() {
            self.begin_segment();
        }
    }

    /// Notes a record that starts at `offset` of the newest segment.
    pub(crate) fn push(&mut self, leaf: Hash, time_ms: i64, offset: u64) {
        if self.size().is_multiple_of(BLOCK) {
            let segment = self.segments.last().copied().unwrap_or_default();
            self.starts.push(Start { segment, offset });
        }
        self.frontier.push(leaf);
        self.chain = leaf;
        self.last_time_ms = time_ms;
        self.open_block.push(leaf);
        if self.size().is_multiple_of(BLOCK) {
            self.roots.push(root_of(&self.open_block));
            self.open_block.clear();
        }
    }

    /// Reads the lines of records `from` up to, not including, `to`, and hands each to `take`.
    pub(crate) fn read(
        &self,
        from: u64,
        to: u64,
        mut take: impl FnMut(u64, &[u8]),
    ) -> Result<(), AuditError> {
        let to = to.min(self.size());
        if from >= to {
            return Ok(());
        }
        let block = from / BLOCK;
        let missing = || AuditError::NoSuchRecord {
            seq: from,
            size: self.size(),
        };
        let start = usize::try_from(block)
            .ok()
            .and_then(|block| self.starts.get(block))
            .ok_or_else(missing)?;
        let mut seq = block * BLOCK;
        let mut segment = self.segments.partition_point(|first| *first <= start.segment);
        let mut lines = Lines::open(&self.path_of(start.segment), start.offset)?;
        while seq < to {
            match lines.next()? {
                Some(line) => {
                    if seq >= from {
                        take(seq, line.text);
                    }
                    seq += 1;
                }
                None => {
                    let next = self.segments.get(segment).copied().ok_or_else(missing)?;
                    segment += 1;
                    lines = Lines::open(&self.path_of(next), 0)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        self.segments.iter().map(|first| Segment {
            first: *first,
            path: self.path_of(*first),
        })
    }

    fn path_of(&self, first: u64) -> PathBuf {
        crate::segment::path_of(&self.directory, first)
    }

    /// A view for proofs, which remembers the blocks that it read.
    pub(crate) fn leaves(&self) -> IndexLeaves<'_> {
        IndexLeaves {
            index: self,
            read: HashMap::new(),
        }
    }
}

/// Hashes for proofs.
pub(crate) struct IndexLeaves<'a> {
    index: &'a Index,
    read: HashMap<u64, Vec<Hash>>,
}

impl Leaves for IndexLeaves<'_> {
    type Error = AuditError;

    fn leaf(&mut self, index: u64) -> Result<Hash, AuditError> {
        let block = index / BLOCK;
        let within = usize::try_from(index % BLOCK).unwrap_or_default();
        let missing = || AuditError::NoSuchRecord {
            seq: index,
            size: self.index.size(),
        };
        if block * BLOCK + self.index.open_block.len() as u64 == self.index.size() {
            return self.index.open_block.get(within).copied().ok_or_else(missing);
        }
        if !self.read.contains_key(&block) {
            let mut hashes = Vec::new();
            self.index.read(block * BLOCK, (block + 1) * BLOCK, |_, line| {
                hashes.push(hash::leaf(line))
            })?;
            self.read.insert(block, hashes);
        }
        self.read
            .get(&block)
            .and_then(|hashes| hashes.get(within))
            .copied()
            .ok_or_else(missing)
    }

    fn block(&mut self, block: u64) -> Result<Hash, AuditError> {
        let missing = || AuditError::NoSuchRecord {
            seq: block * BLOCK,
            size: self.index.size(),
        };
        usize::try_from(block)
            .ok()
            .and_then(|block| self.index.roots.get(block))
            .copied()
            .ok_or_else(missing)
    }
}
