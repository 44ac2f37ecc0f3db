//! Callers that may not call: each refusal is in the audit log, and a flood of them does not fill it.
//!
//! The first refusal of a caller is recorded at once; further ones are counted, and recorded together a
//! second later, for as long as it goes on. While the guard is away the count waits.

use super::{Guard, Pipeline};
use aios_auth::peer::PeerError;
use aios_core::error::Report;
use aios_core::tasks::Tasks;
use aios_proto::guard::v1::RecordRequest;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tonic::Status;

/// Time between two records of one caller.
const PAUSE: Duration = Duration::from_secs(1);
/// Most callers that are told apart at once; of more, all others count as one.
const CALLERS: usize = 64;

/// A caller's uid; `None` for those that have none and for all beyond [`CALLERS`].
type Caller = Option<u32>;

/// What is not recorded yet of a caller.
#[derive(Debug)]
struct Waiting {
    times: u64,
    rpc: &'static str,
    report: Report,
}

/// The callers that were refused within the last [`PAUSE`].
#[derive(Debug, Clone, Default)]
pub(super) struct Refusals {
    callers: Arc<Mutex<BTreeMap<Caller, Option<Waiting>>>>,
}

impl Refusals {
    fn callers(&self) -> MutexGuard<'_, BTreeMap<Caller, Option<Waiting>>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refusal. Says whose records somebody must begin to write.
    fn count(&self, uid: Option<u32>, rpc: &'static str, error: &PeerError) -> Option<Caller> {
        let mut callers = self.callers();
        let full = callers.len() >= CALLERS;
        let caller = uid.filter(|_| !full || callers.contains_key(&uid));
        let begin = !callers.contains_key(&caller);
        let waiting = callers.entry(caller).or_default();
        let times = waiting.as_ref().map_or(0, |waiting| waiting.times);
        *waiting = Some(Waiting {
            times: times.saturating_add(1),
            rpc,
            report: Report::of(error),
        });
        begin.then_some(caller)
    }

    /// What is to be recorded of a caller; a caller of whom there is nothing is forgotten.
    fn take(&self, caller: Caller) -> Option<Waiting> {
        let mut callers = self.callers();
        let waiting = callers.get_mut(&caller).and_then(Option::take);
        if waiting.is_none() {
            callers.remove(&caller);
        }
        waiting
    }

    /// Gives back what could not be recorded.
    fn put_back(&self, caller: Caller, unwritten: Waiting) {
        let mut callers = self.callers();
        let waiting = callers.entry(caller).or_default();
        let newer = waiting.as_ref().map_or(0, |waiting| waiting.times);
        *waiting = Some(Waiting {
            times: unwritten.times.saturating_add(newer),
            ..unwritten
        });
    }
}

impl<G: Guard, W: super::Workers> Pipeline<G, W> {
    /// Has a refused caller recorded; nobody waits for it, least of all the caller.
    pub(super) fn refused(
        self: &Arc<Self>,
        refusals: &Refusals,
        tasks: &Tasks,
        uid: Option<u32>,
        rpc: &'static str,
        error: &PeerError,
    ) {
        let Some(caller) = refusals.count(uid, rpc, error) else {
            return;
        };
        let (pipeline, refusals, end) = (Arc::clone(self), refusals.clone(), tasks.token());
        tasks.spawn("refused caller", async move {
            while let Some(waiting) = refusals.take(caller) {
                if let Err(status) = pipeline.record_refused(caller, &waiting).await {
                    tracing::error!(%status, ?caller, times = waiting.times, "refusals of a caller could not be recorded");
                    refusals.put_back(caller, waiting);
                }
                tokio::select! {
                    () = end.cancelled() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        });
    }

    async fn record_refused(&self, caller: Caller, waiting: &Waiting) -> Result<(), Status> {
        let details = json!({
            "check": "peer",
            "code": waiting.report.code,
            "message": waiting.report.message,
            "rpc": waiting.rpc,
            "uid": caller,
            "times": waiting.times,
        });
        let request = RecordRequest {
            kind: "peer.denied".to_owned(),
            details_json: details.to_string(),
            ..RecordRequest::default()
        };
        self.guard.record(request).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_record_a_second_and_loses_no_count() {
        let refusals = Refusals::default();
        let error = PeerError::Unknown;
        assert_eq!(refusals.count(Some(7), "Call", &error), Some(Some(7)));
        let first = refusals.take(Some(7)).unwrap();
        assert_eq!(first.times, 1);
        for _ in 0..1000 {
            assert_eq!(refusals.count(Some(7), "Undo", &error), None);
        }
        refusals.put_back(Some(7), first);
        assert_eq!(refusals.take(Some(7)).unwrap().times, 1001);
        assert!(refusals.take(Some(7)).is_none());
        assert_eq!(refusals.count(Some(7), "Call", &error), Some(Some(7)));
    }

    #[test]
    fn many_callers_are_counted_together() {
        let refusals = Refusals::default();
        let error = PeerError::Unknown;
        for uid in 0..64 {
            assert_eq!(refusals.count(Some(uid), "Call", &error), Some(Some(uid)));
        }
        assert_eq!(refusals.count(Some(64), "Call", &error), Some(None));
        for uid in 65..1000 {
            assert_eq!(refusals.count(Some(uid), "Call", &error), None);
        }
        assert_eq!(refusals.take(None).unwrap().times, 936);
        assert_eq!(refusals.callers().len(), 65);
    }
}
