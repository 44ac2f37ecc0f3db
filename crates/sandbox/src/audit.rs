//! What the guard is told: starts, ends, freezes, and everything that was denied at a door. A start is
//! waited for: the guard mints tokens only for agents that it knows to run.
//!
//! Records are sent by one task in order. When the guard cannot be reached they wait, at most
//! [`WAITING`] of them; what does not fit is counted and said in the next record that gets through.

use aios_core::clock::{Clock, SystemClock};
use aios_core::rpc;
use aios_proto::guard::v1::RecordRequest;
use aios_proto::guard::v1::guard_client::GuardClient;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::error::SandboxError;

/// Records that wait at most.
pub const WAITING: usize = 256;
const BETWEEN_TRIES: Duration = Duration::from_millis(500);
const CALL: Duration = Duration::from_secs(5);

/// An event on its way, and who waits for it to be written.
#[derive(Debug)]
struct Entry {
    request: RecordRequest,
    written: Option<oneshot::Sender<()>>,
}

/// Where events are handed in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Audit {
    sender: mpsc::Sender<Entry>,
    lost: Arc<AtomicU64>,
}

impl Audit {
    /// A way in, and what has to be run to send.
    pub fn new() -> (Self, Sending) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        (
            Self {
                sender,
                lost: lost.clone(),
            },
            Sending { receiver, lost },
        )
    }

    /// Hands in an event about an agent, and does not wait. `details` is a JSON object.
    pub fn record(&self, kind: &str, agent_id: &str, details: Value) {
        let entry = Entry {
            request: request(kind, agent_id, details),
            written: None,
        };
        if self.sender.try_send(entry).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                kind,
                agent_id,
                "an event could not be handed to the audit log: too many wait"
            );
        }
    }

    /// As [`Audit::record`], and waits until the guard has written it.
    ///
    /// # Errors
    /// The guard refused it, or this service is ending.
    pub async fn record_and_wait(
        &self,
        kind: &str,
        agent_id: &str,
        details: Value,
    ) -> Result<(), SandboxError> {
        let (written, answer) = oneshot::channel();
        let entry = Entry {
            request: request(kind, agent_id, details),
            written: Some(written),
        };
        self.sender.send(entry).await.map_err(|_| SandboxError::Ending)?;
        answer.await.map_err(|_| SandboxError::NotRecorded {
            kind: kind.to_owned(),
        })
    }
}

fn request(kind: &str, agent_id: &str, mut details: Value) -> RecordRequest {
    if let Value::Object(map) = &mut details {
        map.insert("observed_ms".to_owned(), json!(SystemClock.now_ms()));
    }
    RecordRequest {
        kind: kind.to_owned(),
        agent_id: agent_id.to_owned(),
        details_json: details.to_string(),
        ..RecordRequest::default()
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct Sending {
    receiver: mpsc::Receiver<Entry>,
    lost: Arc<AtomicU64>,
}

impl Sending {
    /// Sends until `shutdown`, then what still waits, once.
    pub async fn run(mut self, guard: Channel, shutdown: CancellationToken) {
        let mut client = GuardClient::new(guard);
        loop {
            let next = tokio::select! {
                next = self.receiver.recv() => next,
                () = shutdown.cancelled() => break,
            };
            let Some(Entry { request, written }) = next else {
                return;
            };
            if self.send(&mut client, request, &shutdown).await
                && let Some(written) = written
                && written.send(()).is_err()
            {
                tracing::debug!("nobody waits for the event any more");
            }
        }
        self.receiver.close();
        while let Some(entry) = self.receiver.recv().await {
            if let Err(status) = call(&mut client, entry.request).await {
                tracing::error!(%status, "an event did not reach the audit log");
            }
        }
    }

    /// Sends until the guard has written or refused it; says whether it is written.
    async fn send(
        &self,
        client: &mut GuardClient<Channel>,
        mut request: RecordRequest,
        shutdown: &CancellationToken,
    ) -> bool {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            request.details_json = with_lost(&request.details_json, lost);
        }
        loop {
            let Err(status) = call(client, request.clone()).await else {
                return true;
            };
            if !matches!(
                status.code(),
                tonic::Code::Unavailable | tonic::Code::DeadlineExceeded
            ) {
                let report = rpc::report_of(&status);
                tracing::error!(kind = request.kind, %report, "the guard refused an event");
                return false;
            }
            tokio::select! {
                () = tokio::time::sleep(BETWEEN_TRIES) => {}
                () = shutdown.cancelled() => {
                    tracing::error!(kind = request.kind, %status, "an event did not reach the audit log");
                    return false;
                }
            }
        }
    }
}

#[cfg(test)]
impl Sending {
    /// Stands for a guard that writes everything; keeps the kinds.
    pub(crate) async fn write_all(mut self, kinds: Arc<std::sync::Mutex<Vec<String>>>) {
        while let Some(Entry { request, written }) = self.receiver.recv().await {
            kinds.lock().unwrap().push(request.kind);
            if let Some(written) = written {
                written.send(()).unwrap();
            }
        }
    }
}

async fn call(client: &mut GuardClient<Channel>, request: RecordRequest) -> Result<(), tonic::Status> {
    match tokio::time::timeout(CALL, client.record(request)).await {
        Ok(answer) => answer.map(|_| ()),
        Err(_) => Err(tonic::Status::deadline_exceeded("the guard did not answer")),
    }
}

fn with_lost(details: &str, lost: u64) -> String {
    match serde_json::from_str::<Value>(details) {
        Ok(Value::Object(mut map)) => {
            map.insert("events_lost_before".to_owned(), json!(lost));
            Value::Object(map).to_string()
        }
        _ => json!({ "events_lost_before": lost }).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let (audit, sending) = Audit::new();
        for _ in 0..WAITING + 3 {
            audit.record("x", "a", json!({}));
        }
        assert_eq!(sending.lost.load(Ordering::Relaxed), 3);
        assert!(with_lost("{\"a\":1}", 3).contains("\"events_lost_before\":3"));
    }
}
