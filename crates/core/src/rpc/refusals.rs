//! Callers that may not call: each refusal is in the audit log, and a flood of them does not fill it.
//!
//! The first refusal of its kind is recorded at once; further ones are counted, and recorded together a
//! second later, for as long as it goes on. Records are written by tasks of their own, so a caller that
//! hangs up is recorded too. While the guard is away the counts wait.

use crate::error::Report;
use crate::tasks::Tasks;
use aios_proto::guard::v1::RecordRequest;
use serde_json::json;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tonic::Status;

/// Time between two records of one kind.
const PAUSE: Duration = Duration::from_secs(1);
/// Most kinds that are told apart at once; of more, all others count as one.
const KINDS: usize = 64;

/// A refused request.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The caller; `None` when the kernel did not say.
    pub uid: Option<u32>,
    /// `CancelGoal`.
    pub rpc: &'static str,
    /// What refused it: `peer`, `person`.
    pub check: &'static str,
    /// The goal that it was about, or empty.
    pub goal_id: String,
    /// What the caller was told.
    pub report: Report,
}

/// Caller, rpc and code; `None` for all beyond [`KINDS`].
type Kind = Option<(Option<u32>, &'static str, String)>;

/// What is not recorded yet.
#[derive(Debug)]
struct Waiting {
    times: u64,
    last: Refused,
}

type Written = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;
type Write = dyn Fn(RecordRequest) -> Written + Send + Sync;

struct Inner {
    record_kind: &'static str,
    pause: Duration,
    tasks: Tasks,
    write: Box<Write>,
    waiting: Mutex<BTreeMap<Kind, Option<Waiting>>>,
}

/// Records refusals. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Refusals {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Refusals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refusals")
            .field("record_kind", &self.inner.record_kind)
            .finish_non_exhaustive()
    }
}

impl Refusals {
    /// Records of this kind (`orchestrator.denied`), written by `write` to the guard in tasks of `tasks`.
    pub fn new<F>(
        record_kind: &'static str,
        tasks: Tasks,
        write: impl Fn(RecordRequest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        Self::paused(record_kind, PAUSE, tasks, write)
    }

    fn paused<F>(
        record_kind: &'static str,
        pause: Duration,
        tasks: Tasks,
        write: impl Fn(RecordRequest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        Self {
            inner: Arc::new(Inner {
                record_kind,
                pause,
                tasks,
                write: Box::new(move |request| Box::pin(write(request))),
                waiting: Mutex::default(),
            }),
        }
    }

    /// Has a refusal recorded, whether or not what it answers is awaited.
    pub fn note(&self, refused: Refused) -> Noted {
        let (tried, wait) = oneshot::channel();
        if let Some(kind) = self.inner.count(refused) {
            let inner = Arc::clone(&self.inner);
            self.inner
                .tasks
                .spawn("refusals", async move { inner.record(kind, tried).await });
        }
        Noted(wait)
    }
}

/// For whoever answers only once a refusal is in the log: ends when it is, and also when it was only
/// counted or could not be written yet, of which this process's log then speaks.
#[derive(Debug)]
pub struct Noted(oneshot::Receiver<()>);

impl Future for Noted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Nothing is ever sent: the other end is dropped.
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Kind, Option<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refusal. Says of what kind somebody must begin to write records.
    fn count(&self, refused: Refused) -> Option<Kind> {
        let mut waiting = self.waiting();
        let own = Some((refused.uid, refused.rpc, refused.report.code.clone()));
        let known = waiting.len() < KINDS || waiting.contains_key(&own);
        let kind = own.filter(|_| known);
        let begin = !waiting.contains_key(&kind);
        let entry = waiting.entry(kind.clone()).or_default();
        let times = entry.as_ref().map_or(0, |waiting| waiting.times);
        *entry = Some(Waiting {
            times: times.saturating_add(1),
            last: refused,
        });
        begin.then_some(kind)
    }

    /// What is to be recorded; a kind of which there is nothing is forgotten.
    fn take(&self, kind: &Kind) -> Option<Waiting> {
        let mut all = self.waiting();
        let waiting = all.get_mut(kind).and_then(Option::take);
        if waiting.is_none() {
            all.remove(kind);
        }
        waiting
    }

    /// Gives back what could not be recorded.
    fn put_back(&self, kind: &Kind, unwritten: Waiting) {
        let mut all = self.waiting();
        let entry = all.entry(kind.clone()).or_default();
        let newer = entry.as_ref().map_or(0, |waiting| waiting.times);
        *entry = Some(Waiting {
            times: unwritten.times.saturating_add(newer),
            ..unwritten
        });
    }

    /// Records until nothing has come for a [`PAUSE`]; at the end of the service once more, at once.
    async fn record(&self, kind: Kind, tried: oneshot::Sender<()>) {
        let end = self.tasks.token();
        let mut tried = Some(tried);
        while let Some(waiting) = self.take(&kind) {
            let ending = end.is_cancelled();
            if let Err(status) = (self.write)(self.request(&waiting)).await {
                let Waiting { times, last } = &waiting;
                tracing::error!(
                    rpc = last.rpc, uid = last.uid, code = last.report.code, times, %status,
                    "refusals could not be written to the audit log"
                );
                self.put_back(&kind, waiting);
            }
            // Whoever wanted to know may have hung up.
            drop(tried.take());
            if ending {
                return;
            }
            tokio::select! {
                () = end.cancelled() => {}
                () = tokio::time::sleep(self.pause) => {}
            }
        }
    }

    fn request(&self, waiting: &Waiting) -> RecordRequest {
        let Waiting { times, last } = waiting;
        let details = json!({
            "rpc": last.rpc,
            "uid": last.uid,
            "check": last.check,
            "code": last.report.code,
            "message": last.report.message,
            "times": times,
        });
        RecordRequest {
            kind: self.record_kind.to_owned(),
            goal_id: last.goal_id.clone(),
            details_json: details.to_string(),
            ..RecordRequest::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn refused(uid: u32, rpc: &'static str) -> Refused {
        let report = Report {
            code: "AIOS-AUTH-0602".to_owned(),
            message: "no".to_owned(),
            next_step: "none".to_owned(),
        };
        Refused {
            uid: Some(uid),
            rpc,
            check: "peer",
            goal_id: String::new(),
            report,
        }
    }

    /// What was written, and whether the guard is away.
    type Log = Arc<Mutex<(Vec<Value>, bool)>>;

    fn refusals(pause: Duration) -> (Refusals, Log, Tasks) {
        let (log, tasks) = (Log::default(), Tasks::new());
        let written = Arc::clone(&log);
        let refusals = Refusals::paused("test.denied", pause, tasks.clone(), move |request| {
            let mut log = written.lock().unwrap();
            let answer = if log.1 {
                Err(Status::unavailable("away"))
            } else {
                log.0.push(serde_json::from_str(&request.details_json).unwrap());
                Ok(())
            };
            async move { answer }
        });
        (refusals, log, tasks)
    }

    fn times(log: &Log) -> Vec<u64> {
        let log = log.lock().unwrap();
        log.0.iter().map(|it| it["times"].as_u64().unwrap()).collect()
    }

    /// Waits until what is written fits.
    async fn until(log: &Log, fits: impl Fn(&[u64]) -> bool) {
        for _ in 0..2000 {
            if fits(&times(log)) {
                return;
            }
            tokio::time::sleep(SHORT).await;
        }
        panic!("not written: {:?}", times(log));
    }

    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn a_flood_is_few_records_and_loses_no_count() {
        let (refusals, log, _tasks) = refusals(SHORT);
        refusals.note(refused(7, "Call")).await;
        assert_eq!(
            times(&log),
            [1],
            "the first is written before anyone who waits is answered"
        );
        // Nothing else runs between these.
        for _ in 0..1000 {
            drop(refusals.note(refused(7, "Call")));
        }
        until(&log, |times| times == [1, 1000]).await;
        for _ in 0..2000 {
            if refusals.inner.waiting().is_empty() {
                return;
            }
            tokio::time::sleep(SHORT).await;
        }
        panic!("a kind is kept at rest");
    }

    #[tokio::test]
    async fn what_the_guard_did_not_take_is_written_when_it_is_back() {
        let (refusals, log, _tasks) = refusals(SHORT);
        log.lock().unwrap().1 = true;
        refusals.note(refused(7, "Call")).await;
        drop(refusals.note(refused(7, "Call")));
        tokio::time::sleep(SHORT * 5).await;
        assert!(times(&log).is_empty());
        log.lock().unwrap().1 = false;
        until(&log, |times| times == [2]).await;
    }

    #[tokio::test]
    async fn the_end_of_the_service_writes_what_was_counted() {
        let (refusals, log, tasks) = refusals(LONG);
        refusals.note(refused(7, "Call")).await;
        drop(refusals.note(refused(7, "Call")));
        assert!(tasks.shutdown(LONG).await);
        assert_eq!(times(&log), [1, 1]);
    }

    #[tokio::test]
    async fn many_callers_are_counted_together() {
        let (refusals, log, _tasks) = refusals(LONG);
        for uid in 0..1000 {
            drop(refusals.note(refused(uid, "Call")));
        }
        assert_eq!(refusals.inner.waiting().len(), KINDS + 1);
        until(&log, |times| times.len() == KINDS + 1).await;
        assert_eq!(times(&log).iter().sum::<u64>(), 1000);
    }
}
