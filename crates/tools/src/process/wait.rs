//! process.wait: until a process ends, or the time is up.

use super::args::WaitResult;
use super::table::{Handle, Proc};
use crate::budget::Budget;
use crate::error::Result;
use std::time::{Duration, Instant};

/// A call that is cancelled ends within this time.
const SLICE: Duration = Duration::from_millis(50);
/// Time kept back for the answer.
const MARGIN: Duration = Duration::from_millis(100);

pub(super) fn wait(proc: Proc, wait_ms: u64, budget: &Budget) -> Result<WaitResult> {
    let started = Instant::now();
    let longest = Duration::from_millis(wait_ms).min(budget.left().saturating_sub(MARGIN));
    let ended = match Handle::open(proc)? {
        None => true,
        Some(handle) => loop {
            budget.check()?;
            let left = longest.saturating_sub(started.elapsed());
            if handle.ended(left.min(SLICE))? {
                break true;
            }
            if left.is_zero() {
                break false;
            }
        },
    };
    Ok(WaitResult {
        pid: proc.pid,
        start_ticks: proc.start,
        ended,
        waited_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
