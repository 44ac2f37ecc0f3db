//! What the worker does that takes minutes, in words: for `os.status`, and by the supervisor's status line for whoever
//! waits (`aiosctl os upgrade` shows it).

use super::Patience;
use crate::budget::Budget;
use aios_core::ready;
use aios_deployment::bootc::Progress;
use std::sync::{Mutex, PoisonError};

/// Steps in which a fetch is told, percent: each is a line for somebody who waits.
const STEP: u64 = 10;

/// What is being done.
#[derive(Debug, Default)]
pub(super) struct Activity(Mutex<String>);

impl Activity {
    /// In words; nothing when nothing takes long.
    pub(super) fn words(&self) -> Option<String> {
        let words = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (!words.is_empty()).then_some(words)
    }

    /// Says what is done from now on, until the answer is dropped.
    pub(super) fn begin(&self, words: &str) -> Doing<'_> {
        self.say(words);
        Doing(self)
    }

    fn say(&self, words: &str) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *now == words {
            return;
        }
        words.clone_into(&mut now);
        if let Err(error) = ready::status(words) {
            tracing::debug!(%error, "the supervisor was not told what is being done");
        }
    }
}

/// Something that is being done.
pub(super) struct Doing<'a>(&'a Activity);

impl<'a> Doing<'a> {
    /// Tells how far it is.
    pub(super) fn progress(&self, progress: &Progress) {
        self.0.say(&fetching(progress));
    }

    /// Patience with a program whose progress is told.
    pub(super) fn patience(self, budget: &'a Budget) -> Patience<'a> {
        Patience {
            budget,
            doing: Some(self),
        }
    }
}

impl Drop for Doing<'_> {
    fn drop(&mut self) {
        self.0.say("");
    }
}

/// `fetching: 3 layers are here, 40 % of the next (12582912 bytes)`.
fn fetching(progress: &Progress) -> String {
    let here = progress.steps + progress.steps_cached;
    let parts = progress
        .bytes
        .saturating_mul(100 / STEP)
        .checked_div(progress.bytes_total);
    match parts {
        Some(parts) => format!(
            "fetching: {here} layers are here, {} % of the next ({} bytes)",
            parts.min(100 / STEP) * STEP,
            progress.bytes_total
        ),
        None => format!("fetching: {here} layers are here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_is_told_in_steps_and_its_end_is_silence() {
        let activity = Activity::default();
        assert_eq!(activity.words(), None);
        let doing = activity.begin("fetching");
        let mut told = Vec::new();
        for bytes in 0..=1000 {
            doing.progress(&Progress {
                bytes,
                bytes_total: 1000,
                steps: 2,
                steps_cached: 1,
            });
            told.extend(activity.words());
        }
        told.dedup();
        assert_eq!(told.len(), 11, "{told:?}");
        assert_eq!(
            told[4],
            "fetching: 3 layers are here, 40 % of the next (1000 bytes)"
        );
        doing.progress(&Progress::default());
        assert_eq!(activity.words().unwrap(), "fetching: 0 layers are here");
        drop(doing);
        assert_eq!(activity.words(), None);
    }
}
