//! Watching services for what triggers answer: the supervisor is asked for their states from time to time, and what
//! changed since the last look is an event. A pause between two starts can be shorter than that, so a service that was
//! started again since is one that went through it.

use super::{On, Trigger, is_plain};
use crate::core::Core;
use crate::engine::Engine;
use crate::error::Error;
use crate::journal::Settled;
use aios_proto::init::v1::ServiceInfo;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(50);

/// A service at the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) state: String,
    pub(super) restarts: u32,
}

/// Something that happened to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Happened {
    pub(super) on: On,
    pub(super) subject: String,
    pub(super) reason: String,
}

/// Watches until the orchestrator ends; where there is no trigger, there is nothing to watch.
pub fn start(core: &Arc<Core>, engine: &Engine) {
    if core.triggers.is_empty() {
        return;
    }
    let watch = Watch {
        core: Arc::clone(core),
        engine: engine.clone(),
        seen: BTreeMap::new(),
        away: false,
    };
    core.tasks.spawn("triggers", watch.run());
}

struct Watch {
    core: Arc<Core>,
    engine: Engine,
    seen: BTreeMap<String, Seen>,
    away: bool,
}

impl Watch {
    async fn run(mut self) {
        let end = self.core.tasks.token();
        let pause = Duration::from_millis(self.core.config.event_poll_ms).max(SHORTEST);
        loop {
            match self.look().await {
                Ok(()) => self.away = false,
                Err(Error::JournalClosed | Error::ShuttingDown) => return,
                // Said once: it may be away for long, as where aiOS runs without its own init.
                Err(error) if self.away => tracing::debug!(%error, "services cannot be watched"),
                Err(error) => {
                    tracing::warn!(%error, "services cannot be watched for triggers; trying on");
                    self.away = true;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = end.cancelled() => return,
            }
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        let services = self.core.clients.services().await?;
        let happened = happenings(&self.seen, &services);
        for event in &happened {
            for trigger in &self.core.triggers {
                if trigger.answers(event.on, &event.subject) {
                    self.answer(trigger, event).await?;
                }
            }
        }
        // Only now: what could not be stored is found again at the next look.
        self.seen = services
            .into_iter()
            .map(|service| {
                let seen = Seen {
                    state: service.state,
                    restarts: service.restarts,
                };
                (service.name, seen)
            })
            .collect();
        Ok(())
    }

    async fn answer(&self, trigger: &Trigger, event: &Happened) -> Result<(), Error> {
        let (subject, reason) = (&event.subject, &event.reason);
        if let Some(stop) = self.core.guard_view.stopped() {
            tracing::warn!(
                trigger = trigger.name,
                subject,
                by = stop.by,
                "not answered: an emergency stop is on"
            );
            return Ok(());
        }
        let settled = self
            .core
            .journal
            .state_triggered(
                trigger.occurrence(subject, reason),
                self.core.ids.goal(),
                trigger.goal(subject, reason),
            )
            .await?;
        match settled {
            Settled::Stated(goal) => {
                tracing::info!(trigger = trigger.name, subject, reason, goal = %goal.id, "a trigger stated its goal");
                self.engine.go(goal.id, goal.priority).await
            }
            Settled::Skipped(why) => {
                tracing::debug!(
                    trigger = trigger.name,
                    subject,
                    why,
                    "an event was not answered again"
                );
                Ok(())
            }
            Settled::Known => Ok(()),
        }
    }
}

/// What happened between two looks. At the first look, only a service that has failed is news.
pub(super) fn happenings(before: &BTreeMap<String, Seen>, now: &[ServiceInfo]) -> Vec<Happened> {
    now.iter()
        .filter(|service| is_plain(&service.name))
        .filter_map(|service| {
            let seen = before.get(&service.name);
            let was = |state: &str| seen.is_some_and(|seen| seen.state == state);
            let started_again = seen.is_some_and(|seen| service.restarts > seen.restarts);
            let on = match service.state.as_str() {
                "failed" if !was("failed") => On::ServiceFailed,
                "backoff" if !was("backoff") || started_again => On::ServiceBackoff,
                "failed" => return None,
                _ if started_again => On::ServiceBackoff,
                _ => return None,
            };
            Some(Happened {
                on,
                subject: service.name.clone(),
                reason: reason(service),
            })
        })
        .collect()
}

fn reason(service: &ServiceInfo) -> String {
    let exit: String = service
        .last_exit
        .chars()
        .filter(|it| !it.is_control())
        .take(80)
        .collect();
    let exit = if exit.is_empty() {
        String::new()
    } else {
        format!(", last {exit}")
    };
    format!(
        "{}{exit}, started again {} times",
        service.state, service.restarts
    )
}
