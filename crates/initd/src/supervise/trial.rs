//! A new image on trial: blessed when the health service says so in time, else given up by starting the machine again.
//!
//! The deadline counts from the kernel's start, so that a supervisor that took over does not begin it anew.

use super::manager::{Event, Manager};
use super::requests::Reply;
use crate::boot;
use crate::deployment::{self, Running};
use crate::error::{InitError, Result};
use crate::link::End;
use aios_deployment::staged::Deployment;
use aios_proto::init::v1 as wire;
use std::time::Duration;

/// What is known when a trial is over.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The health service found nothing wrong, and the boot partition says that the image is trusted.
    Blessed(Box<Running>, Reply<wire::ReportHealthResponse>),
    /// The image is healthy, but the boot partition could not be written.
    NotBlessed(InitError, Reply<wire::ReportHealthResponse>),
    /// Nobody reported in time.
    Late,
}

impl Manager {
    /// Starts the clock of a trial.
    pub(super) fn watch_trial(&self) {
        if !self.on_trial() {
            return;
        }
        let left = Duration::from_millis(self.trial_deadline_ms().saturating_sub(boot::uptime_ms()));
        let (events, token) = (self.events.clone(), self.tasks.token());
        self.tasks.spawn("trial", async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = tokio::time::sleep(left) => {
                    // Without a manager the machine is ending anyway.
                    let _ended = events.send(Event::Judged(Verdict::Late)).await;
                }
            }
        });
    }

    fn on_trial(&self) -> bool {
        self.world
            .deployment
            .as_ref()
            .is_some_and(|running| running.tries_left.is_some())
    }

    /// After the kernel's start.
    fn trial_deadline_ms(&self) -> u64 {
        self.world.config.trial_deadline_s.saturating_mul(1000)
    }

    /// The health service reports.
    pub(super) fn health(&mut self, problems: &[String], reply: Reply<wire::ReportHealthResponse>) {
        let answer = |verdict: &str| {
            Ok(wire::ReportHealthResponse {
                verdict: verdict.to_owned(),
            })
        };
        let running = self.world.deployment.clone().filter(|_| self.on_trial());
        let Some(mut running) = running else {
            // A trusted image that is not healthy is told by its services' states; starting again would not help it.
            let _gone = reply.send(answer("trusted"));
            return;
        };
        if !problems.is_empty() {
            let _gone = reply.send(answer("rebooting"));
            self.give_up(&problems.join("; "));
            return;
        }
        let (events, places) = (self.events.clone(), self.world.places());
        self.tasks.spawn("bless", async move {
            // Waits for the boot partition's disk.
            let blessed = tokio::task::spawn_blocking(move || running.bless(&places).map(|()| running)).await;
            let verdict = match blessed {
                Ok(Ok(running)) => Verdict::Blessed(Box::new(running), reply),
                Ok(Err(error)) => Verdict::NotBlessed(error, reply),
                Err(_) => Verdict::NotBlessed(InitError::Ending, reply),
            };
            let _ended = events.send(Event::Judged(verdict)).await;
        });
    }

    pub(super) fn judged(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Blessed(running, reply) => {
                let text = format!(
                    "image {} is healthy, and trusted from now on",
                    running.deployment.id.short()
                );
                tracing::info!("{text}");
                super::console(&self.world, &text);
                self.world.deployment = Some(*running);
                let verdict = "blessed".to_owned();
                let _gone = reply.send(Ok(wire::ReportHealthResponse { verdict }));
            }
            Verdict::NotBlessed(error, reply) => {
                tracing::error!(%error, "a healthy image could not be blessed");
                let _gone = reply.send(Err(error));
            }
            Verdict::Late if self.on_trial() => {
                let missing = self.not_ready();
                let seconds = self.world.config.trial_deadline_s;
                self.give_up(&if missing.is_empty() {
                    format!("not reported healthy within {seconds} s")
                } else {
                    format!("not healthy within {seconds} s: {} not ready", missing.join(", "))
                });
            }
            Verdict::Late => {}
        }
    }

    /// Critical services that should be ready and are not.
    pub(super) fn not_ready(&self) -> Vec<&str> {
        self.units
            .values()
            .filter(|unit| unit.spec.critical && unit.wanted && !unit.state.satisfies())
            .map(|unit| unit.spec.name.as_str())
            .collect()
    }

    fn give_up(&mut self, why: &str) {
        let Some(running) = &self.world.deployment else {
            return;
        };
        running.give_up(&self.world.places(), why);
        let text = format!("image {} is given up: {why}", running.deployment.id.short());
        tracing::error!("{text}");
        super::console(&self.world, &text);
        self.end(End::Reboot);
    }

    /// What runs, and what failed.
    pub(super) fn deployment_answer(&self) -> wire::DeploymentInfo {
        let running = self.world.deployment.as_ref();
        let history = deployment::recorded(&self.world.places());
        let new = running.and_then(|running| running.fell_back_from.as_ref());
        let failed = history.failed.iter().map(|failure| wire::FailedDeployment {
            deployment: Some(wire_of(&failure.attempt.to)),
            found_ms: signed(failure.found_ms),
            why: failure.why.clone(),
            boots: u32::try_from(failure.attempt.boots.len()).unwrap_or(u32::MAX),
            new: new == Some(&failure.attempt.to.id),
        });
        let tries_left = running.and_then(|running| running.tries_left);
        wire::DeploymentInfo {
            running: running.map(|running| wire_of(&running.deployment)),
            on_trial: tries_left.is_some(),
            tries_left: tries_left.unwrap_or(0),
            deadline_ms: tries_left.map_or(0, |_| self.deadline_on_the_clock_ms()),
            failed: failed.collect(),
            blessed: history
                .blessed
                .as_ref()
                .map(|blessed| wire_of(&blessed.deployment)),
            blessed_ms: history.blessed.map_or(0, |blessed| signed(blessed.at_ms)),
        }
    }

    fn deadline_on_the_clock_ms(&self) -> i64 {
        let left = signed(self.trial_deadline_ms()) - signed(boot::uptime_ms());
        super::clock::now_ms() + left
    }

    /// Whether the next shutdown can finalize an image.
    pub(super) fn may_finalize(&self) -> Result<wire::FinalizeAtShutdownResponse> {
        if self.world.deployment.is_none() {
            return Err(InitError::NoDeployment);
        }
        if self.ending.is_some() {
            return Err(InitError::Ending);
        }
        Ok(wire::FinalizeAtShutdownResponse {})
    }
}

fn wire_of(deployment: &Deployment) -> wire::Deployment {
    wire::Deployment {
        id: deployment.id.to_string(),
        image: deployment.image.clone(),
        manifest: deployment.manifest.clone(),
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
