//! What callers may ask the firewall tools for.

use crate::provisional::WINDOW_MS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// No arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NothingArgs {}

/// What is inside a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP, of IPv4 and IPv6.
    Icmp,
    /// Anything.
    Any,
}

impl Protocol {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Any => "any",
        }
    }
}

/// A port of this machine: a number, a range `8000-8080`, or `any`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Port {
    /// One.
    Number(u16),
    /// A range, or `any`.
    Text(String),
}

/// Where a rule goes: of several that match a packet the first decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Before all others.
    First,
    /// After all others.
    Last,
}

/// How a packet is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Denial {
    /// Without a word.
    Drop,
    /// The sender is told.
    Reject,
}

/// Which packets a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowArgs {
    /// What is inside the packets.
    pub protocol: Protocol,
    /// Port of this machine: a number, a range `8000-8080`, or `any`.
    pub port: Port,
    /// Only from this address or network, `192.0.2.0/24`.
    #[serde(default)]
    pub source: Option<String>,
    /// Only what comes in by this interface.
    #[serde(default)]
    pub interface: Option<String>,
    /// Why, for people; at most 100 bytes.
    #[serde(default)]
    pub comment: Option<String>,
    /// Where the rule goes.
    #[serde(default = "first")]
    pub place: Place,
    /// The change takes itself back unless firewall.confirm names it within this time, milliseconds, 1000 to 600000.
    #[serde(default = "window")]
    #[schemars(range(min = 1000, max = 600_000))]
    pub confirm_within_ms: u64,
}

/// Which packets a rule turns away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DenyArgs {
    /// What is inside the packets.
    pub protocol: Protocol,
    /// Port of this machine: a number, a range `8000-8080`, or `any`.
    pub port: Port,
    /// Only from this address or network, `192.0.2.0/24`.
    #[serde(default)]
    pub source: Option<String>,
    /// Only what comes in by this interface; without one, by any but loopback.
    #[serde(default)]
    pub interface: Option<String>,
    /// How.
    #[serde(default = "silently")]
    pub how: Denial,
    /// Why, for people; at most 100 bytes.
    #[serde(default)]
    pub comment: Option<String>,
    /// Where the rule goes.
    #[serde(default = "last")]
    pub place: Place,
    /// The change takes itself back unless firewall.confirm names it within this time, milliseconds, 1000 to 600000.
    #[serde(default = "window")]
    #[schemars(range(min = 1000, max = 600_000))]
    pub confirm_within_ms: u64,
}

/// Arguments of firewall.remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveArgs {
    /// The rule, as firewall.rules names it.
    pub id: String,
    /// The change takes itself back unless firewall.confirm names it within this time, milliseconds, 1000 to 600000.
    #[serde(default = "window")]
    #[schemars(range(min = 1000, max = 600_000))]
    pub confirm_within_ms: u64,
}

fn first() -> Place {
    Place::First
}

fn last() -> Place {
    Place::Last
}

fn silently() -> Denial {
    Denial::Drop
}

fn window() -> u64 {
    WINDOW_MS
}
