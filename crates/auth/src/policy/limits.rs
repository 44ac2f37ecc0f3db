//! Counting: how often and how much a goal has changed. The guard owns the one ledger, charges it when
//! it allows a mutating call, and fills it again from its own records after a restart.

use std::collections::{HashMap, VecDeque};

use aios_core::error::{Class, Coded};
use aios_core::id::GoalId;

use super::{Decision, Limits};

const MINUTE_MS: i64 = 60_000;

/// A limit that a call would break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Too many calls in a minute.
    #[error("rule `{rule_id}` allows {most} calls a minute for one goal")]
    Rate {
        /// The rule.
        rule_id: String,
        /// Its limit.
        most: u32,
        /// When the next call is possible, UTC milliseconds.
        again_at_ms: i64,
    },
    /// Too many files or bytes for one goal.
    #[error("this goal would have changed {would} {what}, rule `{rule_id}` allows {most}")]
    BlastRadius {
        /// The rule.
        rule_id: String,
        /// `files` or `bytes`.
        what: &'static str,
        /// Total with this call.
        would: u64,
        /// The limit.
        most: u64,
    },
}

impl Coded for LimitError {
    fn code(&self) -> &'static str {
        match self {
            Self::Rate { .. } => "AIOS-AUTH-0710",
            Self::BlastRadius { .. } => "AIOS-AUTH-0711",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Rate { .. } => "wait a minute".to_owned(),
            Self::BlastRadius { .. } => {
                "split the goal, or raise the limit in /etc/aios/policy.toml".to_owned()
            }
        }
    }

    fn class(&self) -> Class {
        Class::ResourceExhausted
    }
}

#[derive(Debug, Default)]
struct Goal {
    files: u64,
    bytes: u64,
    calls: HashMap<String, VecDeque<i64>>,
}

/// What goals have changed.
#[derive(Debug, Default)]
pub struct Ledger {
    goals: HashMap<GoalId, Goal>,
}

impl Ledger {
    /// Checks a call against the decision's limits. Charges nothing.
    ///
    /// # Errors
    /// [`LimitError`].
    pub fn check(
        &self,
        goal: GoalId,
        decision: &Decision,
        files: u64,
        bytes: u64,
        now_ms: i64,
    ) -> Result<(), LimitError> {
        let none = Goal::default();
        let held = self.goals.get(&goal).unwrap_or(&none);
        let Limits {
            per_minute,
            files: most_files,
            bytes: most_bytes,
        } = decision.limits;
        let rule_id = || decision.rule_id.clone();
        if let (Some(most), Some(calls)) = (per_minute, held.calls.get(&decision.rule_id)) {
            let recent: Vec<i64> = calls
                .iter()
                .copied()
                .filter(|at| now_ms.saturating_sub(*at) < MINUTE_MS)
                .collect();
            if recent.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
                let again_at_ms = recent
                    .first()
                    .copied()
                    .unwrap_or(now_ms)
                    .saturating_add(MINUTE_MS);
                return Err(LimitError::Rate {
                    rule_id: rule_id(),
                    most,
                    again_at_ms,
                });
            }
        }
        for (what, held, more, most) in [
            ("files", held.files, files, most_files),
            ("bytes", held.bytes, bytes, most_bytes),
        ] {
            let would = held.saturating_add(more);
            if let Some(most) = most.filter(|most| would > *most) {
                return Err(LimitError::BlastRadius {
                    rule_id: rule_id(),
                    what,
                    would,
                    most,
                });
            }
        }
        Ok(())
    }

    /// Counts a call that was allowed.
    pub fn charge(&mut self, goal: GoalId, decision: &Decision, files: u64, bytes: u64, now_ms: i64) {
        let held = self.goals.entry(goal).or_default();
        held.files = held.files.saturating_add(files);
        held.bytes = held.bytes.saturating_add(bytes);
        if decision.limits.per_minute.is_some() {
            let calls = held.calls.entry(decision.rule_id.clone()).or_default();
            while calls
                .front()
                .is_some_and(|at| now_ms.saturating_sub(*at) >= MINUTE_MS)
            {
                calls.pop_front();
            }
            calls.push_back(now_ms);
        }
    }

    /// Sets what a goal had changed before a restart.
    pub fn restore(&mut self, goal: GoalId, files: u64, bytes: u64) {
        let held = self.goals.entry(goal).or_default();
        (held.files, held.bytes) = (files, bytes);
    }

    /// Forgets a goal that ended.
    pub fn forget(&mut self, goal: GoalId) {
        self.goals.remove(&goal);
    }
}
