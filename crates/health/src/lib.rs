//! Health: whether this boot of this image works, judged once, from outside of every service that is judged.
//!
//! Healthy means, in this order: every critical service is ready and every service runs under its own AppArmor label; an agent's container
//! is up and confined; the audit log, which the guard read whole when it started, takes records; and a canary goal was planned,
//! minted for, done by that agent and verified. Each is a [`checks::Problem`] until it holds.
//!
//! A new image on trial is blessed when nothing is left to complain about before its deadline, and given up otherwise. A trusted
//! image is only reported about: starting it again would help nobody. What became of an image that failed is told as a goal.
//!
//! It runs as a user of its own, has no privilege, and can do nothing but ask.

pub mod canary;
pub mod checks;
pub mod labels;
pub mod news;

use aios_core::error::{Class, Coded};
use aios_core::paths::Paths;
use aios_core::{config, rpc};
use aios_proto::guard::v1::guard_client::GuardClient;
use aios_proto::init::v1 as init;
use aios_proto::init::v1::init_client::InitClient;
use aios_proto::orchestrator::v1::orchestrator_client::OrchestratorClient;
use serde::Deserialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use tonic::transport::Channel;

/// Between two looks. They are few: it ends when all is well.
const PAUSE: Duration = Duration::from_millis(500);
/// How long before a trial's deadline it reports, so that the reason is told instead of "nobody reported".
const EARLY: Duration = Duration::from_secs(5);

/// Section `[health]` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a trusted image may take until it is healthy, seconds. One on trial has the supervisor's deadline.
    pub limit_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { limit_s: 600 }
    }
}

/// Why nothing was found out, or what was.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    /// The supervisor cannot be asked.
    #[error("the supervisor does not answer: {0}")]
    Supervisor(#[from] tonic::Status),
    /// What is wrong with the system.
    #[error("not healthy: {0}")]
    Unhealthy(String),
}

impl Coded for HealthError {
    fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Supervisor(_) => "AIOS-HEALTH-0001",
            Self::Unhealthy(_) => "AIOS-HEALTH-0002",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Config(error) => return error.next_step(),
            Self::Supervisor(_) => "look at init's log with `aiosctl service logs aios-init`",
            Self::Unhealthy(_) => "look at what is named with `aiosctl service status`",
        }
        .to_owned()
    }

    fn class(&self) -> Class {
        match self {
            Self::Config(error) => error.class(),
            Self::Supervisor(_) => Class::Unavailable,
            Self::Unhealthy(_) => Class::Internal,
        }
    }
}

/// The services that are asked.
#[derive(Debug, Clone)]
pub struct Clients {
    /// The supervisor.
    pub init: InitClient<Channel>,
    /// The guard.
    pub guard: GuardClient<Channel>,
    /// The orchestrator.
    pub orchestrator: OrchestratorClient<Channel>,
}

impl Clients {
    /// Those of an instance; each connects when it is first asked.
    #[must_use]
    pub fn of(paths: &Paths) -> Self {
        Self {
            init: InitClient::new(rpc::channel(&paths.socket("init"))),
            guard: GuardClient::new(rpc::channel(&paths.socket("guard"))),
            orchestrator: OrchestratorClient::new(rpc::channel(&paths.socket("orchestrator"))),
        }
    }
}

/// Looks until all is well or the time is over, and reports.
///
/// # Errors
/// [`HealthError`]: the process fails, so that the service is seen to have failed.
pub async fn run(paths: Paths) -> Result<(), HealthError> {
    let settings: Config = config::load(&paths, "health")?;
    let mut clients = Clients::of(&paths);
    let deployment = clients
        .init
        .get_deployment(init::GetDeploymentRequest {})
        .await?
        .into_inner();
    let until = Instant::now() + limit(&deployment, &settings, unix_now());
    let problems = judge(&mut clients, until).await;
    let complaints: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let request = init::ReportHealthRequest {
        problems: complaints.clone(),
    };
    let verdict = clients.init.report_health(request).await?.into_inner().verdict;
    tracing::info!(verdict, problems = complaints.join("; "), "judged");
    news::tell(&mut clients, &deployment).await;
    if complaints.is_empty() {
        return Ok(());
    }
    Err(HealthError::Unhealthy(complaints.join("; ")))
}

/// How long may be looked.
fn limit(deployment: &init::DeploymentInfo, settings: &Config, now: Duration) -> Duration {
    if !deployment.on_trial {
        return Duration::from_secs(settings.limit_s);
    }
    let deadline = Duration::from_millis(u64::try_from(deployment.deadline_ms).unwrap_or(0));
    deadline.saturating_sub(now).saturating_sub(EARLY)
}

async fn judge(clients: &mut Clients, until: Instant) -> Vec<checks::Problem> {
    let mut canary = canary::Canary::new();
    loop {
        let mut problems = checks::all(clients).await;
        if problems.is_empty() {
            problems.extend(canary.look(&mut clients.orchestrator).await);
        }
        if problems.is_empty() || Instant::now() >= until {
            return problems;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_judged_before_the_supervisor_gives_it_up() {
        let settings = Config { limit_s: 9 };
        let trusted = init::DeploymentInfo::default();
        let now = Duration::from_secs(1_000);
        assert_eq!(limit(&trusted, &settings, now), Duration::from_secs(9));
        let trial = |deadline_ms| init::DeploymentInfo {
            on_trial: true,
            deadline_ms,
            ..init::DeploymentInfo::default()
        };
        assert_eq!(limit(&trial(1_100_000), &settings, now), Duration::from_secs(95));
        for late in [1_003_000, 0, -5] {
            assert_eq!(limit(&trial(late), &settings, now), Duration::ZERO);
        }
    }
}
