//! What is read of `config.toml`: `[sandbox]`, and one name of `[users]`.

use serde::Deserialize;
use std::path::PathBuf;

/// How this machine runs agents.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxConfig {
    /// The podman program; a bare name is looked up in `PATH`.
    pub podman: PathBuf,
    /// OCI runtime; empty takes crun where cgroup v2 is there, else runc where that is installed.
    pub runtime: String,
    /// AppArmor profile that agents enter where AppArmor is there.
    pub apparmor_profile: String,
    /// Whether agents run where the machine lacks something (see DEGRADATION). An image says no.
    pub allow_degraded: bool,
    /// Most agents at once.
    pub max_agents: u32,
    /// Time an agent gets to end by itself, milliseconds.
    pub stop_grace_ms: u64,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            podman: "podman".into(),
            runtime: String::new(),
            apparmor_profile: "aios-agent".to_owned(),
            allow_degraded: false,
            max_agents: 32,
            stop_grace_ms: 3_000,
        }
    }
}

/// What is read of the `[users]` section; the other keys are for other services.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Users {
    /// The user whose process may run and stop agents, beside root and enrolled persons: name or number.
    pub orchestrator: String,
}

impl Default for Users {
    fn default() -> Self {
        Self {
            orchestrator: "aios-orchestrator".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SandboxConfig;

    #[test]
    fn the_vendors_file_states_the_defaults() {
        let text = include_str!("../../../configs/config.toml");
        let stated =
            aios_core::config::parse_section::<SandboxConfig>("configs/config.toml", text, "sandbox")
                .unwrap();
        assert_eq!(stated, SandboxConfig::default());
    }
}
