//! The Merkle tree of RFC 9162: roots, inclusion proofs, and a compact form that needs one hash a bit
//! of the size.

use crate::hash::{self, Hash};

/// Leaves a block holds. The index keeps one hash a block and reads the leaves of a block from disk.
pub const BLOCK: u64 = 1024;

/// The compact form of a growing tree: the roots of its complete subtrees, largest first.
#[derive(Debug, Clone, Default)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut root = leaf;
        // Each set low bit of the size is a complete subtree that now merges with its equal.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                root = hash::node(&left, &root);
            }
        }
        self.roots.push(root);
        self.size += 1;
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over all leaves.
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(last) = roots.next() else {
            return hash::empty_root();
        };
        roots.fold(*last, |right, left| hash::node(left, &right))
    }
}

/// The root over some leaves.
pub fn root_of(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    for leaf in leaves {
        frontier.push(*leaf);
    }
    frontier.root()
}

/// Gives the hashes that proofs are made of.
pub trait Leaves {
    /// Why a hash cannot be had.
    type Error;
    /// The hash of a leaf.
    fn leaf(&mut self, index: u64) -> Result<Hash, Self::Error>;
    /// The root of a complete block of [`BLOCK`] leaves, by block number.
    fn block(&mut self, block: u64) -> Result<Hash, Self::Error>;
}

/// The root of the leaves from `start` up to, not including, `end`; `start` is a multiple of the largest
/// power of two below the length, as RFC 9162 splits them.
fn range<L: Leaves>(leaves: &mut L, start: u64, end: u64) -> Result<Hash, L::Error> {
    let length = end - start;
    if length == 1 {
        return leaves.leaf(start);
    }
    if length == BLOCK && start.is_multiple_of(BLOCK) {
        return leaves.block(start / BLOCK);
    }
    let middle = start + split(length);
    Ok(hash::node(
        &range(leaves, start, middle)?,
        &range(leaves, middle, end)?,
    ))
}

/// The largest power of two below `length`, which is at least 2.
fn split(length: u64) -> u64 {
    1 << (63 - (length - 1).leading_zeros())
}

/// The siblings on the way from leaf `index` to the root of the first `size` leaves, leaf upwards
/// (RFC 9162 section 2.1.3.1). `index` is below `size`.
pub fn inclusion<L: Leaves>(leaves: &mut L, index: u64, size: u64) -> Result<Vec<Hash>, L::Error> {
    let mut path = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range(leaves, middle, end)?);
            end = middle;
        } else {
            path.push(range(leaves, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Checks an inclusion proof (RFC 9162 section 2.1.3.2).
pub fn verify_inclusion(leaf: Hash, index: u64, size: u64, path: &[Hash], root: Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node % 2 == 1 || node == last {
            hash = hash::node(sibling, &hash);
            while node.is_multiple_of(2) && node != 0 {
                node /= 2;
                last /= 2;
            }
        } else {
            hash = hash::node(&hash, sibling);
        }
        node /= 2;
        last /= 2;
    }
    last == 0 && hash == root
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    /// MTH as RFC 9162 section 2.1.1 writes it.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => hash::empty_root(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(usize::try_from(split(leaves.len() as u64)).unwrap());
                hash::node(&naive(left), &naive(right))
            }
        }
    }

    struct Memory(Vec<Hash>);
    impl Leaves for Memory {
        type Error = Infallible;
        fn leaf(&mut self, index: u64) -> Result<Hash, Infallible> {
            Ok(self.0[usize::try_from(index).unwrap()])
        }
        fn block(&mut self, block: u64) -> Result<Hash, Infallible> {
            let start = usize::try_from(block * BLOCK).unwrap();
            Ok(naive(&self.0[start..start + 1024]))
        }
    }

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| hash::leaf(&n.to_be_bytes())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn the_frontier_agrees_with_the_naive_tree(count in 0_u64..1500) {
            let leaves = leaves(count);
            prop_assert_eq!(root_of(&leaves), naive(&leaves));
        }

        #[test]
        fn every_proof_verifies_and_no_other_leaf_does(count in 1_u64..2600, pick in any::<u64>(), bit in 0_usize..256) {
            let leaves = leaves(count);
            let index = pick % count;
            let root = naive(&leaves);
            let path = match inclusion(&mut Memory(leaves.clone()), index, count) { Ok(path) => path, Err(never) => match never {} };
            let mut leaf = leaves[usize::try_from(index).unwrap()];
            prop_assert!(verify_inclusion(leaf, index, count, &path, root));
            prop_assert!(!verify_inclusion(leaf, index + 1, count, &path, root) || count == 1 || index + 1 == count);
            if let Some(shorter) = path.len().checked_sub(1) {
                prop_assert!(!verify_inclusion(leaf, index, count, &path[..shorter], root));
            }
            leaf.0[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!verify_inclusion(leaf, index, count, &path, root));
        }
    }
}
