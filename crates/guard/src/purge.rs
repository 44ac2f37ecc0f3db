//! Approvals that are long over are forgotten, so that the database does not grow for ever. The audit
//! log keeps what was asked and decided; here goes only the copy that is listed and signed from.
//!
//! Kept in any case: requests that wait, approvals that still hold or of which a scope is remembered, and
//! those of a call whose outcome is not recorded yet, because the same call may be sent again.

use crate::error::GuardError;
use crate::guard::Guard;
use aios_audit::Record;

/// Time between two purges, milliseconds.
const DAY_MS: i64 = 24 * 60 * 60_000;
/// Most approvals forgotten in one transaction; others wait for the database meanwhile.
const BATCH: u32 = 500;

/// When the last purge was.
#[derive(Debug, Default)]
pub(crate) struct Purge {
    last_ms: Option<i64>,
}

impl Purge {
    /// Purges when that is due: the first time, then a day after the last. Says how many approvals went.
    ///
    /// # Errors
    /// Log or database cannot be written; it is then due again.
    pub(crate) async fn run(&mut self, guard: &Guard) -> Result<u64, GuardError> {
        let now_ms = guard.now_ms();
        // A clock that was set back must not put the next one off.
        let due = self
            .last_ms
            .is_none_or(|last| now_ms < last || now_ms.saturating_sub(last) >= DAY_MS);
        if !due {
            return Ok(0);
        }
        let purged = guard.purge_approvals(now_ms).await?;
        self.last_ms = Some(now_ms);
        Ok(purged)
    }
}

impl Guard {
    async fn purge_approvals(&self, now_ms: i64) -> Result<u64, GuardError> {
        let kept_ms = i64::try_from(self.config.approvals_kept_ms).unwrap_or(i64::MAX);
        let before_ms = now_ms.saturating_sub(kept_ms);
        let in_flight = self.state().store.approvals_in_flight()?;
        let mut after = String::new();
        let mut purged = 0;
        loop {
            let mut found = self.state().store.over_before(before_ms, now_ms, &after, BATCH)?;
            let Some(last) = found.last() else { break };
            after.clone_from(last);
            found.retain(|id| !in_flight.contains(id));
            if found.is_empty() {
                continue;
            }
            let count = found.len() as u64;
            // Said before it is done: what is gone and not in the log would be missed by nobody.
            let record = Record::new("approval.purged")
                .with("approvals", count)
                .with("before_ms", before_ms);
            self.record(record).await?;
            self.state().store.forget_approvals(&found)?;
            purged += count;
        }
        Ok(purged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ApprovalRow, Execution, Remembered};
    use crate::testing;
    use aios_core::clock::ManualClock;
    use aios_core::id::{ApprovalId, ExecutionKey, GoalId, TaskId};
    use aios_proto::guard::v1::{Approval, ApprovalState, GetApprovalRequest};
    use std::sync::Arc;

    const KEPT_MS: i64 = 30 * DAY_MS;
    const START_MS: i64 = 1_800_000_000_000;

    /// A request that lapsed at the start; answers its id and its step.
    fn request(guard: &Guard, state: ApprovalState, valid_until_ms: i64) -> (String, ExecutionKey) {
        let key = ExecutionKey {
            task: TaskId::new(),
            step: 1,
        };
        let mut shown = Approval {
            approval_id: ApprovalId::new().to_string(),
            goal_id: GoalId::new().to_string(),
            task_id: key.task.to_string(),
            step: key.step,
            created_at_ms: START_MS - 1000,
            expires_at_ms: START_MS,
            ..Approval::default()
        };
        shown.set_state(state);
        let id = shown.approval_id.clone();
        let row = ApprovalRow {
            shown,
            valid_until_ms,
            valid_ms: 0,
            remember_ms: 0,
            approver_uid: 0,
            tainted: false,
            granted: String::new(),
            required: String::new(),
        };
        guard.state().store.save_approval(&row).unwrap();
        (id, key)
    }

    fn known(guard: &Guard, id: &str) -> bool {
        let request = GetApprovalRequest {
            approval_id: id.to_owned(),
        };
        guard.get_approval(&request.approval_id).is_ok()
    }

    #[tokio::test]
    async fn approvals_that_are_over_for_thirty_days_are_purged_once_a_day() {
        let clock = Arc::new(ManualClock::at(START_MS));
        let (_directory, guard) = testing::guard(&clock).await;
        let over: Vec<String> = [
            ApprovalState::Approved,
            ApprovalState::Declined,
            ApprovalState::Expired,
            ApprovalState::Withdrawn,
        ]
        .into_iter()
        .map(|state| request(&guard, state, 0).0)
        .collect();
        let (waiting, _) = request(&guard, ApprovalState::Pending, 0);
        let (holding, _) = request(&guard, ApprovalState::Approved, START_MS + 60 * DAY_MS);
        let mut purge = Purge::default();
        assert_eq!(purge.run(&guard).await.unwrap(), 0, "at the start all are young");
        clock.advance(KEPT_MS - 1);
        assert_eq!(purge.run(&guard).await.unwrap(), 0);
        clock.advance(1);
        assert_eq!(purge.run(&guard).await.unwrap(), 0, "a day has not passed");
        clock.advance(DAY_MS);
        assert_eq!(purge.run(&guard).await.unwrap(), 4);
        assert!(over.iter().all(|id| !known(&guard, id)));
        assert!(known(&guard, &waiting) && known(&guard, &holding));
        // The next start purges at once.
        clock.advance(60 * DAY_MS);
        assert_eq!(Purge::default().run(&guard).await.unwrap(), 1);
        assert!(known(&guard, &waiting) && !known(&guard, &holding));
    }

    #[tokio::test]
    async fn what_may_still_be_asked_about_is_not_purged() {
        let clock = Arc::new(ManualClock::at(START_MS));
        let (_directory, guard) = testing::guard(&clock).await;
        let (open, key) = request(&guard, ApprovalState::Approved, 0);
        let (remembered, _) = request(&guard, ApprovalState::Approved, 0);
        {
            let mut state = guard.state();
            let execution = Execution {
                digest: [0; 32],
                goal: GoalId::new().to_string(),
                approval: Some(open.clone()),
                files: 0,
                bytes: 0,
                intent: 1,
                outcome: None,
            };
            state.store.save_intent(key, &execution).unwrap();
            let scope = Remembered {
                approval: remembered.clone(),
                approve: true,
                agent_kind: "executor".to_owned(),
                scope: "fs:read:/srv/**".to_owned(),
                tainted: false,
                expires_ms: START_MS + 90 * DAY_MS,
            };
            state.store.remember(&scope).unwrap();
        }
        let mut purge = Purge::default();
        clock.advance(KEPT_MS + DAY_MS);
        assert_eq!(purge.run(&guard).await.unwrap(), 0);
        guard.state().store.save_outcome(key, 2).unwrap();
        clock.advance(DAY_MS);
        assert_eq!(purge.run(&guard).await.unwrap(), 1);
        assert!(!known(&guard, &open) && known(&guard, &remembered));
        clock.advance(90 * DAY_MS);
        assert_eq!(purge.run(&guard).await.unwrap(), 1);
        assert!(!known(&guard, &remembered));
    }
}
