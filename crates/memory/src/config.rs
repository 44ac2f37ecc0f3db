//! Section `[memory]` of `config.toml`.

use serde::{Deserialize, Serialize};

/// What the administrator can set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Events of the operational ring; the oldest fall out.
    pub ring_events: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { ring_events: 2_000 }
    }
}
