//! Section `[guard]` of the configuration. Approval times, limits and rules stand in `policy.toml`.

use aios_auth::level::Autonomy;
use serde::{Deserialize, Serialize};

/// The guard's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Longest life of a token, milliseconds.
    pub token_ms: u64,
    /// Life of a receipt, milliseconds: time from the decision until the worker starts.
    pub receipt_ms: u64,
    /// How long an approval request waits for a person, milliseconds; unset: as policy says.
    pub approval_timeout_ms: Option<u64>,
    /// Approval requests that may wait at once.
    pub approvals_waiting: u32,
    /// How long approvals are kept after they were decided or lapsed and hold no more, milliseconds; what
    /// the audit log says of them stays.
    pub approvals_kept_ms: u64,
    /// Life of a one-time sign-in code, milliseconds.
    pub sign_in_ms: u64,
    /// Life of a console session, milliseconds.
    pub session_ms: u64,
    /// Time between two pushes of the trust state to the workers, milliseconds.
    pub push_ms: u64,
    /// How much to ask when a goal does not say; never less than `max_autonomy` has it.
    pub autonomy: Autonomy,
    /// The most that a goal may ask for without a person being asked. A token carries its goal's level by
    /// the orchestrator's word alone: raising this to `full` trusts the orchestrator with everything that
    /// is reversible and within a ceiling.
    pub max_autonomy: Autonomy,
    /// Ceiling of the built-in executor, which acts for the orchestrator without an agent.
    pub executor_capabilities: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            token_ms: 15 * 60_000,
            receipt_ms: 60_000,
            approval_timeout_ms: None,
            approvals_waiting: 1000,
            approvals_kept_ms: 30 * 24 * 60 * 60_000,
            sign_in_ms: 5 * 60_000,
            session_ms: 12 * 60 * 60_000,
            push_ms: 1000,
            autonomy: Autonomy::Supervised,
            executor_capabilities: [
                "firewall:*:**",
                "fs:*:/**",
                "hw:*:host",
                "monitor:*:host",
                "monitor:logs:/var/log/**",
                "net:check_port:**",
                "net:configure:**",
                "net:confirm:**",
                "net:connections:host",
                "net:dns:**",
                "net:http_get:**",
                "net:interfaces:host",
                "net:listening:host",
                "net:pending:host",
                "net:ping:**",
                "net:routes:host",
                "os:*:**",
                "pkg:*:*",
                "process:*:*",
                "process:spawn:/**",
                "sec:*:/**",
                "sec:*:host",
                "sec:*:log",
                "service:*:**",
            ]
            .map(str::to_owned)
            .to_vec(),
            max_autonomy: Autonomy::Supervised,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn the_vendors_file_states_the_defaults() {
        let text = include_str!("../../../configs/config.toml");
        let stated =
            aios_core::config::parse_section::<Config>("configs/config.toml", text, "guard").unwrap();
        assert_eq!(stated, Config::default());
    }
}
