//! What the guard tells without being asked: decided approvals, and the emergency stop.
//!
//! The stream may break; then the view says so by itself again as soon as the guard is back, and
//! whoever waits for an approval also asks for it from time to time.

use crate::clients::Clients;
use crate::config::Config;
use crate::error::Error;
use aios_core::tasks::Tasks;
use aios_proto::guard::v1::{Approval, ApprovalState, EmergencyState, WatchRequest, guard_event::Event};
use std::time::Duration;
use tokio::sync::{broadcast, watch};

/// Approval events that a slow listener may be behind; it asks the guard for what it missed.
const BACKLOG: usize = 64;

/// The guard's word. Cheap to clone.
#[derive(Clone)]
pub struct GuardView {
    emergency: watch::Receiver<EmergencyState>,
    approvals: broadcast::Sender<Approval>,
    clients: Clients,
    poll: Duration,
}

impl GuardView {
    /// Listens to the guard until `tasks` end.
    pub fn start(clients: Clients, config: &Config, tasks: &Tasks) -> Self {
        let (tell_emergency, emergency) = watch::channel(EmergencyState::default());
        let (approvals, _) = broadcast::channel(BACKLOG);
        let view = Self {
            emergency,
            approvals: approvals.clone(),
            clients: clients.clone(),
            poll: Duration::from_millis(config.approval_poll_ms),
        };
        let pause = Duration::from_millis(config.retry_ms);
        let end = tasks.token();
        tasks.spawn("guard view", async move {
            let listen = async {
                loop {
                    if let Err(error) = follow(&clients, &tell_emergency, &approvals).await {
                        tracing::debug!(%error, "the guard's events are not there; listening again");
                    }
                    tokio::time::sleep(pause).await;
                }
            };
            tokio::select! {
                () = listen => {}
                () = end.cancelled() => {}
            }
        });
        view
    }

    /// The emergency stop, when it is on.
    pub fn stopped(&self) -> Option<EmergencyState> {
        Some(self.emergency.borrow().clone()).filter(|state| state.stopped)
    }

    /// Waits until no emergency stop is on.
    ///
    /// # Errors
    /// The orchestrator ends.
    pub async fn until_clear(&self) -> Result<(), Error> {
        let mut emergency = self.emergency.clone();
        emergency
            .wait_for(|state| !state.stopped)
            .await
            .map(|_| ())
            .map_err(|_| Error::ShuttingDown)
    }

    /// Waits until an approval is no longer pending.
    ///
    /// # Errors
    /// The guard does not know it.
    pub async fn decided(&self, approval_id: &str) -> Result<Approval, Error> {
        let mut events = self.approvals.subscribe();
        loop {
            match self.clients.approval(approval_id).await {
                Ok(approval) if approval.state() != ApprovalState::Pending => return Ok(approval),
                Ok(_) => {}
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
            let next = async {
                loop {
                    match events.recv().await {
                        Ok(approval) if approval.approval_id != approval_id => {}
                        // Decided, or some words were missed: ask.
                        Ok(_) | Err(_) => return,
                    }
                }
            };
            tokio::select! {
                () = next => {}
                () = tokio::time::sleep(self.poll) => {}
            }
        }
    }
}

async fn follow(
    clients: &Clients,
    emergency: &watch::Sender<EmergencyState>,
    approvals: &broadcast::Sender<Approval>,
) -> Result<(), tonic::Status> {
    let mut events = clients.guard().watch(WatchRequest {}).await?.into_inner();
    while let Some(event) = events.message().await? {
        match event.event {
            Some(Event::Emergency(state)) => {
                if state.stopped {
                    tracing::warn!(by = state.by, reason = state.reason, "emergency stop");
                }
                emergency.send_replace(state);
            }
            Some(Event::Approval(approval)) => {
                // Nobody may be waiting for one just now.
                drop(approvals.send(approval));
            }
            Some(Event::Revoked(_)) | None => {}
        }
    }
    Ok(())
}
