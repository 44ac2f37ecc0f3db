//! How dangerous a call is ([`Risk`]) and how much a person wants to be asked ([`Autonomy`]).

use aios_proto::common::v1 as pb;
use serde::{Deserialize, Serialize};

/// How dangerous a parsed call is; judged by the tool's code, never by a model. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Only reads.
    Read,
    /// Changes something small that undo restores exactly.
    Low,
    /// Changes or removes data; undo restores it.
    Medium,
    /// Cannot be undone exactly, or touches the system itself.
    High,
}

impl Risk {
    /// From the wire; what is not stated or unknown is [`Risk::High`].
    #[must_use]
    pub fn from_wire(value: i32) -> Self {
        match pb::Risk::try_from(value) {
            Ok(pb::Risk::Read) => Self::Read,
            Ok(pb::Risk::Low) => Self::Low,
            Ok(pb::Risk::Medium) => Self::Medium,
            _ => Self::High,
        }
    }

    /// To the wire.
    #[must_use]
    pub fn to_wire(self) -> i32 {
        let wire = match self {
            Self::Read => pb::Risk::Read,
            Self::Low => pb::Risk::Low,
            Self::Medium => pb::Risk::Medium,
            Self::High => pb::Risk::High,
        };
        i32::from(wire)
    }

    /// `read`, `low`, `medium`, `high`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// How much a person wants to be asked. Ordered from most to least asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Autonomy {
    /// Ask for everything that changes something.
    Manual,
    /// Ask for what policy calls risky.
    Supervised,
    /// Ask only where policy insists.
    Full,
}

impl Autonomy {
    /// From the wire; `None` when not stated or unknown, so that the caller applies its default.
    #[must_use]
    pub fn from_wire(value: i32) -> Option<Self> {
        match pb::Autonomy::try_from(value) {
            Ok(pb::Autonomy::Manual) => Some(Self::Manual),
            Ok(pb::Autonomy::Supervised) => Some(Self::Supervised),
            Ok(pb::Autonomy::Full) => Some(Self::Full),
            _ => None,
        }
    }

    /// To the wire.
    #[must_use]
    pub fn to_wire(self) -> i32 {
        let wire = match self {
            Self::Manual => pb::Autonomy::Manual,
            Self::Supervised => pb::Autonomy::Supervised,
            Self::Full => pb::Autonomy::Full,
        };
        i32::from(wire)
    }

    /// `manual`, `supervised`, `full`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Supervised => "supervised",
            Self::Full => "full",
        }
    }

    /// Reads the text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Manual, Self::Supervised, Self::Full]
            .into_iter()
            .find(|level| level.as_str() == text)
    }
}
