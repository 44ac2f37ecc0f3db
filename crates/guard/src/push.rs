//! Tells each worker every second, and at once when something changes, what is revoked and whether an
//! emergency stop holds. A worker that hears nothing accepts only reads.

use crate::error::GuardError;
use crate::guard::Guard;
use crate::refusals::{self, Told};
use aios_core::rpc;
use aios_proto::worker::v1::PushTrustRequest;
use aios_proto::worker::v1::worker_client::WorkerClient;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// A worker that does not answer in this time is not reached.
const PATIENCE: Duration = Duration::from_millis(800);
/// Largest answer of a worker, bytes: it is believed in nothing, and many empty refusals fit into little.
const LARGEST_ANSWER: usize = 128 << 10;
/// Every how many pushes the projection of the audit log is marked.
const MARK_EVERY: u32 = 60;

/// Pushes until the guard ends.
pub(crate) async fn run(guard: Arc<Guard>, told: mpsc::Sender<Told>, end: CancellationToken) {
    let mut clients = BTreeMap::new();
    let mut round = 0_u32;
    loop {
        if let Err(error) = push(&guard, &told, &mut clients).await {
            tracing::error!(%error, "the trust state could not be pushed");
        }
        round = round.wrapping_add(1);
        if round.is_multiple_of(MARK_EVERY) {
            guard.mark_applied();
        }
        tokio::select! {
            () = end.cancelled() => return,
            () = guard.push_now.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(guard.config.push_ms)) => {}
        }
    }
}

async fn push(
    guard: &Guard,
    told: &mpsc::Sender<Told>,
    clients: &mut BTreeMap<String, WorkerClient<Channel>>,
) -> Result<(), GuardError> {
    let workers = workers(guard)?;
    clients.retain(|name, _| workers.contains_key(name));
    for (name, socket) in workers {
        clients.entry(name).or_insert_with(|| {
            WorkerClient::new(rpc::channel(&socket)).max_decoding_message_size(LARGEST_ANSWER)
        });
    }
    let request = {
        let mut state = guard.state();
        let state = &mut *state;
        state
            .trust
            .next_push(&mut state.store, guard.now_ms())?
            .sign(&guard.keys.trust)?
    };
    let mut pushes = JoinSet::new();
    for (name, client) in clients.iter() {
        let request = guard.recorded_of(name).acknowledge(request.clone());
        pushes.spawn(tell(name.clone(), client.clone(), request));
    }
    let mut reached = BTreeSet::new();
    for (name, mut answer) in pushes.join_all().await.into_iter().flatten() {
        reached.insert(name.clone());
        answer.refusals.truncate(refusals::MOST);
        // Without room it is told again with the next push.
        if !answer.refusals.is_empty() && told.try_send((name, answer)).is_err() {
            tracing::debug!("refusals of a worker wait for the ones before them");
        }
    }
    guard.state().workers_reached = reached;
    Ok(())
}

async fn tell(name: String, mut client: WorkerClient<Channel>, request: PushTrustRequest) -> Option<Told> {
    match tokio::time::timeout(PATIENCE, client.push_trust(request)).await {
        Ok(Ok(answer)) => Some((name, answer.into_inner())),
        Ok(Err(status)) => {
            tracing::debug!(worker = name, %status, "a worker did not take the trust state");
            None
        }
        Err(_) => {
            tracing::debug!(worker = name, "a worker did not answer in time");
            None
        }
    }
}

/// Sockets of the workers by namespace.
fn workers(guard: &Guard) -> Result<BTreeMap<String, PathBuf>, GuardError> {
    let directory = guard.paths.run.join("worker");
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(GuardError::io("list", directory)(error)),
    };
    let mut workers = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(GuardError::io("list", &directory))?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".sock"));
        if let Some(name) = name {
            workers.insert(name.to_owned(), path);
        }
    }
    Ok(workers)
}
