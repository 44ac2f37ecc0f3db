//! What the firewall tools answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rule of the table of aiOS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirewallRule {
    /// Its name for firewall.remove; null when somebody else made it.
    pub id: Option<String>,
    /// `accept`, `drop`, `reject`, or null for one that decides otherwise.
    pub verdict: Option<String>,
    /// `tcp`, `udp`, `icmp` or `any`; null when it looks at something else besides.
    pub protocol: Option<String>,
    /// Port, range, or `any`.
    pub port: Option<String>,
    /// Only from there.
    pub source: Option<String>,
    /// Only by that interface.
    pub interface: Option<String>,
    /// Why.
    pub comment: Option<String>,
    /// Packets that it decided on.
    pub packets: Option<u64>,
    /// Bytes in them.
    pub bytes: Option<u64>,
    /// All of it, as nftables' JSON.
    pub expression: String,
}

/// Result of firewall.rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirewallRules {
    /// Whether the table `inet aios` is there.
    pub active: bool,
    /// Rules of its chain `input`, in the order in which they are asked.
    pub rules: Vec<FirewallRule>,
    /// All tables of this machine as `nft list ruleset` writes them, at most 65536 bytes.
    pub ruleset: String,
    /// Whether there is more of it.
    pub truncated: bool,
}

/// Result of firewall.allow, firewall.deny and firewall.remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirewallChanged {
    /// The rule that was made or removed.
    pub rule: FirewallRule,
    /// How many rules there are now.
    pub rules: u64,
    /// Time given for the confirmation, milliseconds.
    pub confirm_within_ms: u64,
    /// When the change is taken back unless firewall.confirm names it before, UTC milliseconds.
    pub confirm_by_ms: i64,
}
