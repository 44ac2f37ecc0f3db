//! Chance that can be repeated: the same seed makes the same faults.

use anyhow::Result;
use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers from a seed (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// A seed for who names none.
    ///
    /// # Errors
    /// The clock stands before 1970.
    pub(crate) fn seed_of_time() -> Result<u64> {
        Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
    }

    /// Numbers for one making of one fault, whatever others were made before.
    pub(crate) fn new(seed: u64, name: &str, time: u32) -> Self {
        let mut state = seed ^ u64::from(time).rotate_left(32);
        for byte in name.bytes() {
            state = state.rotate_left(5) ^ u64::from(byte);
        }
        Self { state }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// One of them.
    pub(crate) fn one_of<'a, T>(&mut self, from: &'a [T]) -> Result<&'a T> {
        let last = u64::try_from(from.len())?.saturating_sub(1);
        let index = usize::try_from(self.between(0, last))?;
        from.get(index)
            .ok_or_else(|| anyhow::anyhow!("nothing to choose from"))
    }

    /// A name that could be somebody's.
    pub(crate) fn name(&mut self) -> Result<String> {
        const FIRST: &[&str] = &[
            "amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "heron",
        ];
        const SECOND: &[&str] = &["api", "batch", "cache", "feed", "index", "mail", "shop", "sync"];
        let number = self.between(1, 99);
        Ok(format!(
            "{}-{}{number}",
            self.one_of(FIRST)?,
            self.one_of(SECOND)?
        ))
    }
}
