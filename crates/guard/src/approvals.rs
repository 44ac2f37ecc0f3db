//! People decide: listing, approving, declining; requests lapse and are withdrawn.

use crate::error::GuardError;
use crate::guard::Guard;
use crate::persons::Proved;
use crate::purge::Purge;
use crate::store::{ApprovalRow, Remembered};
use aios_audit::{Hash, Record};
use aios_auth::capability::{Access, Capability};
use aios_core::id::{ApprovalId, GoalId};
use aios_proto::guard::v1 as pb;
use aios_proto::guard::v1::ApprovalState;
use aios_proto::guard::v1::guard_event::Event;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Most approvals in one listing.
const MOST: u32 = 1000;

impl Guard {
    pub(crate) fn list_approvals(
        &self,
        request: &pb::ListApprovalsRequest,
    ) -> Result<Vec<pb::Approval>, GuardError> {
        if !request.goal_id.is_empty() {
            GoalId::parse(&request.goal_id)?;
        }
        let limit = if request.limit == 0 {
            100
        } else {
            request.limit.min(MOST)
        };
        let rows = self
            .state()
            .store
            .list_approvals(request.pending_only, &request.goal_id, limit)?;
        Ok(rows.into_iter().map(|row| row.shown).collect())
    }

    pub(crate) fn get_approval(&self, id: &str) -> Result<pb::Approval, GuardError> {
        Ok(self.approval_row(id)?.shown)
    }

    fn approval_row(&self, id: &str) -> Result<ApprovalRow, GuardError> {
        let id = ApprovalId::parse(id)?.to_string();
        let row = self.state().store.approval(&id)?;
        row.ok_or(GuardError::NoApproval { id })
    }

    /// What a refused decision was about, as far as the request names something that is known.
    pub(crate) fn decision_context(&self, request: &pb::DecideApprovalRequest) -> Record {
        match self.approval_row(&request.approval_id) {
            Ok(row) => Record {
                rule: None,
                ..context("denied", &row)
            },
            Err(_) => Record::default(),
        }
    }

    /// A person decides. Recorded before it takes effect.
    pub(crate) async fn decide_approval(
        &self,
        person: &Proved,
        request: &pb::DecideApprovalRequest,
    ) -> Result<pb::Approval, GuardError> {
        let mut row = self.approval_row(&request.approval_id)?;
        let now_ms = self.now_ms();
        check_pending(&row, now_ms)?;
        if row.shown.call_digest != request.call_digest {
            return Err(GuardError::Digest);
        }
        let scope = scope(&row, &request.remember_scope)?;
        let valid_ms = i64::try_from(row.valid_ms).unwrap_or(i64::MAX);
        row.valid_until_ms = now_ms.saturating_add(valid_ms);
        row.approver_uid = person.uid;
        row.shown.approver.clone_from(&person.name);
        row.shown.decided_at_ms = now_ms;
        row.shown.set_state(if request.approve {
            ApprovalState::Approved
        } else {
            ApprovalState::Declined
        });
        row.shown.remembered_scope = scope.as_ref().map(ToString::to_string).unwrap_or_default();
        let record = Record {
            approver: Some(person.name.clone()),
            ..context("approval.decided", &row)
        }
        .with("approve", request.approve)
        .with("by", person.by)
        .with("remembered", row.shown.remembered_scope.clone());
        self.record(record).await?;
        {
            let mut state = self.state();
            // Somebody else may have decided while this was being recorded: the first one counts.
            if let Some(newer) = state.store.approval(&row.shown.approval_id)? {
                check_pending(&newer, now_ms)?;
            }
            state.store.save_approval(&row)?;
            if scope.is_some() {
                state.store.remember(&Remembered {
                    approval: row.shown.approval_id.clone(),
                    approve: request.approve,
                    agent_kind: row.shown.agent_kind.clone(),
                    scope: row.shown.remembered_scope.clone(),
                    tainted: row.tainted,
                    expires_ms: now_ms.saturating_add(i64::try_from(row.remember_ms).unwrap_or(i64::MAX)),
                })?;
            }
        }
        self.tell(Event::Approval(row.shown.clone()));
        Ok(row.shown)
    }

    /// A cancelled goal's requests are not for people any more.
    pub(crate) async fn withdraw(&self, goal: &str) -> Result<u32, GuardError> {
        let goal = GoalId::parse(goal)?.to_string();
        let rows = self.state().store.list_approvals(true, &goal, MOST)?;
        self.end(rows, ApprovalState::Withdrawn, "approval.withdrawn")
            .await
    }

    /// Ends pending requests without a person.
    async fn end(&self, rows: Vec<ApprovalRow>, to: ApprovalState, kind: &str) -> Result<u32, GuardError> {
        let mut ended = 0;
        for mut row in rows {
            self.record(context(kind, &row)).await?;
            {
                let mut state = self.state();
                let newer = state.store.approval(&row.shown.approval_id)?;
                if newer.is_none_or(|newer| newer.shown.state() != ApprovalState::Pending) {
                    continue;
                }
                row.shown.set_state(to);
                row.shown.decided_at_ms = self.now_ms();
                state.store.save_approval(&row)?;
            }
            ended += 1;
            self.tell(Event::Approval(row.shown));
        }
        Ok(ended)
    }
}

/// Ends requests that nobody answered in time; times are stored, so that a restart forgets none. Purges
/// old ones at its start and then once a day.
pub(crate) async fn expire(guard: Arc<Guard>, end: CancellationToken) {
    let mut purge = Purge::default();
    loop {
        if let Err(error) = purge.run(&guard).await {
            tracing::warn!(%error, "old approvals could not be purged; trying again");
        }
        let wait = match expire_due(&guard).await {
            Ok(Some(next_ms)) => {
                let left = u64::try_from(next_ms.saturating_sub(guard.now_ms())).unwrap_or(0);
                // The clock may be set meanwhile: look again in a minute at the latest.
                Duration::from_millis(left.clamp(1, 60_000))
            }
            Ok(None) => Duration::from_secs(60),
            Err(error) => {
                tracing::warn!(%error, "approval requests could not be ended; trying again");
                Duration::from_secs(1)
            }
        };
        tokio::select! {
            () = end.cancelled() => return,
            () = guard.expiry_changed.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn expire_due(guard: &Guard) -> Result<Option<i64>, GuardError> {
    let lapsed = guard.state().store.lapsed(guard.now_ms())?;
    guard
        .end(lapsed, ApprovalState::Expired, "approval.expired")
        .await?;
    guard.state().store.next_expiry()
}

fn check_pending(row: &ApprovalRow, now_ms: i64) -> Result<(), GuardError> {
    let state = match row.shown.state() {
        ApprovalState::Pending if now_ms < row.shown.expires_at_ms => return Ok(()),
        ApprovalState::Pending | ApprovalState::Expired => "expired",
        ApprovalState::Approved => "approved",
        ApprovalState::Declined => "declined",
        ApprovalState::Withdrawn => "withdrawn",
        ApprovalState::Unspecified => "unknown",
    };
    Err(GuardError::NotPending {
        id: row.shown.approval_id.clone(),
        state,
    })
}

/// A scope to remember: at least this call, at most what the call's token allowed.
fn scope(row: &ApprovalRow, text: &str) -> Result<Option<Capability>, GuardError> {
    if text.is_empty() {
        return Ok(None);
    }
    let scope = Capability::parse(text)?;
    let wrong = |problem: String| GuardError::Scope {
        scope: text.to_owned(),
        problem,
    };
    for needed in row.required.lines() {
        if !scope.allows_access(&Access::parse(needed)?) {
            return Err(wrong(format!(
                "it does not cover this call, which needs {needed}"
            )));
        }
    }
    let granted: Result<Vec<_>, _> = row.granted.lines().map(Capability::parse).collect();
    if !granted?.iter().any(|granted| granted.covers(&scope)) {
        return Err(wrong(
            "it goes further than the agent's own capabilities".to_owned(),
        ));
    }
    Ok(Some(scope))
}

fn context(kind: &str, row: &ApprovalRow) -> Record {
    let shown = &row.shown;
    Record {
        goal_id: Some(shown.goal_id.clone()),
        task_id: Some(shown.task_id.clone()),
        step: Some(shown.step),
        agent_id: Some(shown.agent_id.clone()),
        agent_kind: Some(shown.agent_kind.clone()),
        tool: Some(shown.tool.clone()),
        rule: Some(shown.rule_id.clone()),
        approval_id: Some(shown.approval_id.clone()),
        call_digest: <[u8; 32]>::try_from(shown.call_digest.as_slice()).ok().map(Hash),
        ..Record::new(kind)
    }
}
