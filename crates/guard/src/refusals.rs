//! What workers refused. A worker has no way to the audit log but the guard's own push: it answers each
//! with the list of what it refused, and the next push says up to which number that is recorded.
//!
//! Recording has a task of its own: a slow disk must not keep the trust state from the workers. Nothing
//! is recorded twice while guard and worker both live; after a restart of the guard, what was recorded
//! and not acknowledged may be.
//!
//! A worker is believed in nothing here: what it says is cut, checked and kept as its word.

use crate::guard::Guard;
use aios_audit::{AuditError, Record};
use aios_auth::peer;
use aios_core::id::TaskId;
use aios_proto::worker::v1::{PushTrustRequest, PushTrustResponse, Refusal};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Answers that may wait to be recorded. What finds no room is told again at the next push.
const WAITING: usize = 16;
/// Most refusals taken from one answer.
pub(crate) const MOST: usize = 64;
/// Largest number that every reader of JSON reads as it was written.
const LARGEST: u64 = 1 << 53;
/// Most characters of a message.
const LONGEST_MESSAGE: usize = 300;
/// Most characters of a name.
const LONGEST_NAME: usize = 80;

/// How far the refusals of a worker's run are recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    run: u64,
    number: u64,
    dropped: u64,
}

impl Recorded {
    /// What a push to this worker acknowledges.
    pub(crate) fn acknowledge(self, request: PushTrustRequest) -> PushTrustRequest {
        PushTrustRequest {
            refusals_run: self.run,
            refusals_recorded: self.number,
            ..request
        }
    }

    /// The same for the run that an answer is from.
    fn in_run(self, run: u64) -> Self {
        if self.run == run {
            self
        } else {
            Self {
                run,
                ..Self::default()
            }
        }
    }
}

impl Recorded {
    /// How many refusals went before this guard heard of them. The worker also counts those as dropped
    /// that are recorded and only not acknowledged yet; the gap in the numbers tells them apart. To a
    /// guard that started after the worker the gap alone says nothing.
    fn lost(self, answer: &PushTrustResponse) -> u64 {
        let first = answer.refusals.first().map_or(0, |refusal| refusal.number);
        let gap = first.saturating_sub(self.number).saturating_sub(1);
        answer.refusals_dropped.saturating_sub(self.dropped).min(gap)
    }
}

/// A worker's answer, with its namespace.
pub(crate) type Told = (String, PushTrustResponse);

/// From the pushes to the task that records.
pub(crate) fn channel() -> (mpsc::Sender<Told>, mpsc::Receiver<Told>) {
    mpsc::channel(WAITING)
}

/// Records what workers tell until the guard ends.
pub(crate) async fn run(guard: Arc<Guard>, mut told: mpsc::Receiver<Told>, end: CancellationToken) {
    loop {
        let next = tokio::select! {
            () = end.cancelled() => return,
            next = told.recv() => next,
        };
        let Some((worker, answer)) = next else { return };
        if let Err(error) = record(&guard, &worker, answer).await {
            tracing::error!(worker, %error, "refusals of a worker could not be recorded; it tells them again");
        }
    }
}

async fn record(guard: &Guard, worker: &str, answer: PushTrustResponse) -> Result<(), AuditError> {
    let mut recorded = guard.recorded_of(worker).in_run(answer.run);
    let dropped = recorded.lost(&answer);
    if dropped > 0 {
        let lost = of_worker(worker).with("dropped", dropped.min(LARGEST)).with(
            "reason",
            "the worker refused more than it keeps; these are not recorded one by one",
        );
        guard.record(lost).await?;
    }
    recorded.dropped = answer.refusals_dropped;
    guard.set_recorded(worker, recorded);
    for refusal in answer.refusals {
        if refusal.number <= recorded.number {
            continue;
        }
        recorded.number = refusal.number;
        guard.record(guard.refusal(worker, refusal)).await?;
        guard.set_recorded(worker, recorded);
    }
    Ok(())
}

fn of_worker(worker: &str) -> Record {
    Record {
        rule: Some("check:worker".to_owned()),
        ..Record::new("denied")
    }
    .with("worker", worker)
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

impl Guard {
    /// How far a worker's refusals are recorded.
    pub(crate) fn recorded_of(&self, worker: &str) -> Recorded {
        self.state().refusals.get(worker).copied().unwrap_or_default()
    }

    fn set_recorded(&self, worker: &str, recorded: Recorded) {
        self.state().refusals.insert(worker.to_owned(), recorded);
    }

    /// The record of a refusal. Its message may name files: it is a payload.
    fn refusal(&self, worker: &str, refusal: Refusal) -> Record {
        let key = refusal.key.unwrap_or_default();
        let caller = refusal.uid.map(|uid| {
            if self.roles.is_service(uid) {
                self.roles.name(uid)
            } else {
                peer::name_of(uid)
            }
        });
        let code = cut(&refusal.code, LONGEST_NAME);
        let message = json!({"message": cut(&refusal.message, LONGEST_MESSAGE)});
        tracing::warn!(worker, code, caller, "a worker refused a request");
        let mut record = Record {
            task_id: TaskId::parse(&key.task_id).ok().map(|task| task.to_string()),
            step: Some(key.step).filter(|step| (1..LARGEST).contains(step)),
            tool: Some(cut(&refusal.tool, LONGEST_NAME)).filter(|tool| !tool.is_empty()),
            input: Some(message.to_string().into_bytes()),
            ..of_worker(worker)
        }
        .with("code", code)
        .with("rpc", cut(&refusal.rpc, LONGEST_NAME));
        if let (Some(uid), Some(caller)) = (refusal.uid, caller) {
            record = record.with("uid", uid).with("caller", caller);
        }
        if u64::try_from(refusal.time_ms).is_ok_and(|time_ms| time_ms < LARGEST) {
            record = record.with("refused_at_ms", refusal.time_ms);
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(numbers: impl IntoIterator<Item = u64>, dropped: u64) -> PushTrustResponse {
        let refusal = |number| Refusal {
            number,
            ..Refusal::default()
        };
        PushTrustResponse {
            run: 5,
            refusals: numbers.into_iter().map(refusal).collect(),
            refusals_dropped: dropped,
            ..PushTrustResponse::default()
        }
    }

    #[test]
    fn only_what_nobody_recorded_counts_as_lost() {
        let at = |number, dropped| Recorded {
            run: 5,
            number,
            dropped,
        };
        for (recorded, answer, lost) in [
            (at(0, 0), answer(1..=3, 0), 0),
            (at(0, 0), answer(7..=70, 6), 6),
            (at(70, 6), answer(8..=71, 7), 0),
            (at(10, 0), answer(13..=76, 9), 2),
            (at(0, 0), answer(11..=12, 0), 0),
            (at(9, 4), answer([], 4), 0),
        ] {
            assert_eq!(recorded.lost(&answer), lost, "{recorded:?} {answer:?}");
        }
    }

    #[test]
    fn another_run_of_a_worker_starts_anew() {
        let recorded = Recorded {
            run: 5,
            number: 9,
            dropped: 2,
        };
        assert_eq!(recorded.in_run(5), recorded);
        let anew = recorded.in_run(6);
        assert_eq!((anew.run, anew.number, anew.dropped), (6, 0, 0));
        let push = anew.acknowledge(PushTrustRequest::default());
        assert_eq!((push.refusals_run, push.refusals_recorded), (6, 0));
    }
}
