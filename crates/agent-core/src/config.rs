//! Section `[orchestrator]` of `config.toml`.

use crate::model::event::Autonomy;
use serde::{Deserialize, Serialize};

/// What the administrator can set. Durations are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How much to ask when a goal does not say.
    pub autonomy: Autonomy,
    /// Goals that run at once; more wait, highest priority first.
    pub max_running_goals: usize,
    /// How long a task waits for an agent.
    pub agent_wait_ms: u64,
    /// How long an agent may say nothing about a task it has.
    pub agent_silence_ms: u64,
    /// How often an agent must say that it is there; three times this without a word and it is gone.
    pub heartbeat_ms: u64,
    /// How often in a row a task is given out again without getting further.
    pub agent_losses: u32,
    /// Life time asked for a token.
    pub token_ttl_ms: u64,
    /// How often a pending approval is asked about, beside the guard's own word.
    pub approval_poll_ms: u64,
    /// Pause between attempts to reach a service that is away.
    pub retry_ms: u64,
    /// Time that a running call is given to end after its goal was cancelled.
    pub cancel_grace_ms: u64,
    /// How often services are looked at for triggers.
    pub event_poll_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            autonomy: Autonomy::Supervised,
            max_running_goals: 16,
            agent_wait_ms: 120_000,
            agent_silence_ms: 600_000,
            heartbeat_ms: 5_000,
            agent_losses: 5,
            token_ttl_ms: 600_000,
            approval_poll_ms: 1_000,
            retry_ms: 500,
            cancel_grace_ms: 30_000,
            event_poll_ms: 5_000,
        }
    }
}
