//! Two clocks. A person reads UTC, which somebody may set; what is decided is decided by the monotonic clock
//! (`CLOCK_MONOTONIC`, clock_gettime(2)), which nobody sets and which stands still while the machine sleeps.

use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment by both clocks. The default is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// UTC, milliseconds: to be shown, never to be compared.
    pub(crate) utc_ms: i64,
    /// Monotonic, milliseconds; it holds for all supervisors of one boot.
    pub(crate) mono_ms: u64,
}

impl Stamp {
    /// This moment.
    pub(crate) fn now() -> Self {
        let mono = crate::sys::monotonic().as_millis();
        Self {
            utc_ms: now_ms(),
            mono_ms: u64::try_from(mono).unwrap_or(u64::MAX),
        }
    }

    /// Whether it is a moment at all.
    pub(crate) fn is_set(self) -> bool {
        self != Self::default()
    }

    /// Milliseconds since an earlier moment.
    pub(crate) fn since(self, earlier: Self) -> u64 {
        self.mono_ms.saturating_sub(earlier.mono_ms)
    }

    /// When `ms` milliseconds are over.
    pub(crate) fn plus(self, ms: u64) -> Self {
        Self {
            utc_ms: self.utc_ms.saturating_add_unsigned(ms),
            mono_ms: self.mono_ms.saturating_add(ms),
        }
    }

    /// The same moment in UTC as the clock is set now.
    pub(crate) fn shown(self, now: Self) -> i64 {
        now.utc_ms.saturating_add_unsigned(self.since(now))
    }
}

/// UTC, milliseconds, for a person.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_changes_no_duration() {
        let before = Stamp {
            utc_ms: 1_800_000_000_000,
            mono_ms: 50_000,
        };
        let after = Stamp {
            utc_ms: 1_000_000_000_000,
            mono_ms: 53_000,
        };
        assert_eq!(after.since(before), 3_000);
        assert_eq!(before.since(after), 0);
        assert_eq!(before.plus(10_000).shown(after), after.utc_ms + 7_000);
        assert!(before.is_set() && !Stamp::default().is_set());
    }

    /// What is got of it here is shown, not compared.
    #[test]
    fn nothing_else_reads_the_clock_that_can_be_set() {
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut open: Vec<_> = ["supervise", "supervise.rs", "pid1", "pid1.rs"]
            .iter()
            .map(|name| source.join(name))
            .collect();
        let mut found = Vec::new();
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(std::fs::read_dir(&path).unwrap().map(|it| it.unwrap().path()));
            } else if std::fs::read_to_string(&path)
                .unwrap()
                .contains("SystemTime::now")
            {
                found.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
        assert_eq!(found, ["clock.rs"]);
    }
}
