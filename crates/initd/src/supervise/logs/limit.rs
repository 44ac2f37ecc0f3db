//! How many lines a service may write, and the account of those that were too many.

use std::time::Duration;

/// Lines a second in the long run, and at once; a rate of 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) lines_per_s: u64,
    pub(crate) burst: u64,
}

/// After so long a flood is reported, although it goes on.
const REPORT_EVERY_MS: u64 = 5_000;
/// After so long without a line too many it is over.
const OVER_AFTER_MS: u64 = 1_000;

/// A bucket of lines that fills with time, and what found it empty. Times are monotonic, milliseconds.
#[derive(Debug)]
pub(super) struct Limit {
    /// Thousandths of lines that may be written now.
    room: u64,
    filled_ms: u64,
    dropped: u64,
    first_ms: u64,
    last_ms: u64,
}

impl Limit {
    /// A full bucket; `dropped` lines were not reported by an earlier supervisor.
    pub(super) fn new(now_ms: u64, dropped: u64) -> Self {
        Self {
            room: u64::MAX,
            filled_ms: now_ms,
            dropped,
            first_ms: now_ms,
            last_ms: now_ms,
        }
    }

    /// Whether one more line may be written; if not, it is counted.
    pub(super) fn admit(&mut self, pace: Pace, now_ms: u64) -> bool {
        if pace.lines_per_s == 0 {
            return true;
        }
        let more = now_ms
            .saturating_sub(self.filled_ms)
            .saturating_mul(pace.lines_per_s);
        let most = pace.burst.max(1).saturating_mul(1000);
        self.room = self.room.saturating_add(more).min(most);
        self.filled_ms = now_ms;
        if self.room >= 1000 {
            self.room -= 1000;
            return true;
        }
        if self.dropped == 0 {
            self.first_ms = now_ms;
        }
        self.last_ms = now_ms;
        self.dropped += 1;
        false
    }

    /// Lines that were dropped and are not reported yet.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Until a report is due; none when there is nothing to report.
    pub(super) fn due(&self, now_ms: u64) -> Option<Duration> {
        let at = (self.first_ms + REPORT_EVERY_MS).min(self.last_ms + OVER_AFTER_MS);
        (self.dropped > 0).then(|| Duration::from_millis(at.saturating_sub(now_ms)))
    }

    /// What is to be said now, after which the account begins anew.
    pub(super) fn report(&mut self, now_ms: u64) -> Option<String> {
        if self.due(now_ms).is_none_or(|wait| !wait.is_zero()) {
            return None;
        }
        self.report_now(now_ms)
    }

    /// The same, due or not.
    pub(super) fn report_now(&mut self, now_ms: u64) -> Option<String> {
        let dropped = std::mem::take(&mut self.dropped);
        // Whole seconds, rounded up: it is never "in the last 0 s".
        let seconds = now_ms.saturating_sub(self.first_ms) / 1000 + 1;
        (dropped > 0).then(|| format!("aios-init: {dropped} lines dropped in the last {seconds} s"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_passes_as_fast_as_it_may_and_each_other_line_is_counted_once() {
        let pace = Pace {
            lines_per_s: 100,
            burst: 50,
        };
        let mut limit = Limit::new(0, 0);
        let (mut passed, mut reported) = (0, 0);
        let number = |text: String| text.split(' ').nth(1).unwrap().parse::<u64>().unwrap();
        // A thousand lines a second for ten seconds.
        for now_ms in 0..10_000 {
            passed += u64::from(limit.admit(pace, now_ms));
            reported += limit.report(now_ms).map_or(0, number);
        }
        assert_eq!(passed, 50 + 999);
        assert!(reported > 0);
        let before = limit.dropped();
        let rest = limit.report(11_000).unwrap();
        assert_eq!(number(rest), before);
        assert_eq!(passed + reported + before, 10_000);
        assert_eq!((limit.due(20_000), limit.report(20_000)), (None, None));
    }

    #[test]
    fn without_a_pace_nothing_is_dropped_and_what_a_predecessor_dropped_is_reported() {
        let mut limit = Limit::new(5, 7);
        let pace = Pace {
            lines_per_s: 0,
            burst: 0,
        };
        assert!((0..100_000).all(|_| limit.admit(pace, 5)));
        assert_eq!(limit.report(5), None);
        assert_eq!(
            limit.report(1_005).unwrap(),
            "aios-init: 7 lines dropped in the last 2 s"
        );
    }
}
