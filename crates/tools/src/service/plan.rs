//! What a call changes, written down before it does: the services concerned, as they are and as they are
//! to be. Rolling back, finishing after a crash and undoing work from it and from nothing else.

use super::error::ServiceError;
use super::init::Order;
use super::types::{Changed, Touched};
use crate::error::Result;
use crate::typed::value_of;
use aios_proto::common::v1::Identity;
use aios_proto::init::v1::ServiceInfo;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// A service as somebody saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Name.
    pub name: String,
    /// Whether it was to run.
    pub wanted: bool,
    /// Whether it was started at boot.
    pub enabled: bool,
    /// State, for people.
    pub state: String,
    /// Its last start, UTC milliseconds; 0 for none.
    pub started_ms: i64,
    /// Digest of what its files say.
    pub digest: String,
}

impl Seen {
    /// What init says of it.
    pub(super) fn of(info: &ServiceInfo) -> Self {
        Self {
            name: info.name.clone(),
            wanted: info.wanted,
            enabled: info.enabled,
            state: info.state.clone(),
            started_ms: info.started_ms,
            digest: digest_of(info).to_owned(),
        }
    }

    /// What an undo must find as it was left, in words; none when it is so.
    pub(super) fn difference(&self, now: &Self) -> Option<String> {
        let runs = |seen: &Self| if seen.wanted { "is to run" } else { "is stopped" };
        let boots = |seen: &Self| if seen.enabled { "enabled" } else { "disabled" };
        if self.wanted != now.wanted {
            Some(format!("{} {} now ({})", self.name, runs(now), now.state))
        } else if self.enabled != now.enabled {
            Some(format!("{} is {} now", self.name, boots(now)))
        } else if self.digest != now.digest {
            Some(format!("the files of {} say something else now", self.name))
        } else {
            None
        }
    }
}

/// What a call does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "snake_case")]
pub enum Deed {
    /// An order about one service.
    Order {
        /// Which.
        order: Order,
        /// To whom.
        name: String,
    },
    /// Services become again what they were.
    Restore {
        /// What they become.
        to: Vec<Seen>,
    },
}

/// Everything that one call changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Key of the call, for messages.
    pub key: String,
    /// What is done.
    pub deed: Deed,
    /// Whether an undo restores exactly what is in `before`.
    pub reversible: bool,
    /// The services concerned, in start order.
    pub before: Vec<Seen>,
    /// The same afterwards; empty until it was done.
    pub after: Vec<Seen>,
    /// What the call answers.
    pub result: Value,
}

impl Plan {
    /// Notes what is there afterwards.
    pub(super) fn done(&mut self, now: &[ServiceInfo]) -> Result<()> {
        self.after = again(&self.before, now);
        if self.after.len() < self.before.len() {
            let why = "a service went away while it was changed".to_owned();
            return Err(ServiceError::Unknown { why }.into());
        }
        let mut pairs = self.before.iter().zip(&self.after);
        let services: Vec<Touched> = pairs
            .clone()
            .map(|(before, after)| Touched {
                name: before.name.clone(),
                before: before.state.clone(),
                after: after.state.clone(),
                enabled: after.enabled,
            })
            .collect();
        let same = |(before, after): (&Seen, &Seen)| {
            (before.wanted, before.enabled, before.started_ms)
                == (after.wanted, after.enabled, after.started_ms)
        };
        let changed = !pairs.all(same);
        self.result = value_of(&Changed { changed, services })?;
        Ok(())
    }
}

/// The same services as they are now, in the same order. One that is gone is left out.
pub(super) fn again(then: &[Seen], now: &[ServiceInfo]) -> Vec<Seen> {
    let of = |seen: &Seen| now.iter().find(|info| info.name == seen.name);
    then.iter().filter_map(of).map(Seen::of).collect()
}

/// The service and all that an order may change with it, in start order.
pub(super) fn concerned<'a>(order: Order, name: &str, now: &'a [ServiceInfo]) -> Vec<&'a ServiceInfo> {
    let along: BTreeSet<&str> = match order {
        Order::Stop => needing(name, now),
        Order::Start | Order::Restart => started_with(name, now),
        Order::Enable | Order::Disable => BTreeSet::new(),
    };
    let running = order == Order::Stop;
    let concerns = |info: &&ServiceInfo| {
        info.name == name || along.contains(info.name.as_str()) && info.wanted == running
    };
    now.iter().filter(concerns).collect()
}

/// What needs a service, directly or not.
pub(super) fn needing<'a>(name: &str, now: &'a [ServiceInfo]) -> BTreeSet<&'a str> {
    closure(name, now, |of, other| other.needs.contains(&of.name))
}

/// What a service needs or wants, directly or not.
fn started_with<'a>(name: &str, now: &'a [ServiceInfo]) -> BTreeSet<&'a str> {
    closure(name, now, |of, other| {
        let wants = of.config.as_ref().map_or(&[][..], |config| &config.wants);
        of.needs.contains(&other.name) || wants.contains(&other.name)
    })
}

fn closure<'a>(
    name: &str,
    now: &'a [ServiceInfo],
    follows: impl Fn(&ServiceInfo, &ServiceInfo) -> bool,
) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&ServiceInfo> = now.iter().filter(|info| info.name == name).collect();
    while let Some(of) = open.pop() {
        for other in now.iter().filter(|other| follows(of, other)) {
            if found.insert(other.name.as_str()) {
                open.push(other);
            }
        }
    }
    found
}

/// Identities of services: the name, and in place of an inode 48 bits of the digest of what the files say. So
/// what was approved is what is acted on; a service that crashes and is started again meanwhile is the same.
pub(super) fn identities<'a>(seen: impl IntoIterator<Item = &'a Seen>) -> Vec<Identity> {
    let one = |seen: &Seen| Identity {
        path: seen.name.clone(),
        dev: 0,
        ino: seen
            .digest
            .get(..12)
            .map_or(0, |hex| u64::from_str_radix(hex, 16).unwrap_or(0)),
        kind: "service".to_owned(),
    };
    let mut identities: Vec<Identity> = seen.into_iter().map(one).collect();
    identities.sort_by(|a, b| a.path.cmp(&b.path));
    identities
}

fn digest_of(info: &ServiceInfo) -> &str {
    info.config.as_ref().map_or("", |config| &config.digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aios_proto::init::v1::ServiceConfig;

    fn info(name: &str, needs: &[&str], wants: &[&str], wanted: bool) -> ServiceInfo {
        let text = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ServiceInfo {
            name: name.into(),
            needs: text(needs),
            wanted,
            config: Some(ServiceConfig {
                wants: text(wants),
                digest: format!("{:064x}", name.len()),
                ..ServiceConfig::default()
            }),
            ..ServiceInfo::default()
        }
    }

    #[test]
    fn an_order_concerns_what_goes_along_and_nothing_else() {
        let now = [
            info("disk", &[], &[], false),
            info("db", &["disk"], &[], true),
            info("cache", &[], &[], false),
            info("web", &["db"], &["cache"], true),
            info("shop", &["web"], &[], false),
            info("lone", &[], &[], true),
        ];
        for (order, name, wanted) in [
            (Order::Stop, "db", &["db", "web"][..]),
            (Order::Stop, "disk", &["disk", "db", "web"]),
            (Order::Start, "shop", &["disk", "cache", "shop"]),
            (Order::Restart, "web", &["disk", "cache", "web"]),
            (Order::Restart, "lone", &["lone"]),
            (Order::Disable, "db", &["db"]),
            (Order::Stop, "ghost", &[]),
        ] {
            let found: Vec<&str> = concerned(order, name, &now)
                .iter()
                .map(|it| it.name.as_str())
                .collect();
            assert_eq!(found, wanted, "{order:?} {name}");
        }
    }

    #[test]
    fn only_what_an_undo_would_overwrite_counts_as_a_difference() {
        let left = Seen::of(&info("web", &[], &[], true));
        let again = Seen {
            state: "backoff".into(),
            started_ms: 7,
            ..left.clone()
        };
        assert_eq!(left.difference(&again), None);
        for (now, says) in [
            (
                Seen {
                    wanted: false,
                    ..left.clone()
                },
                "is stopped now",
            ),
            (
                Seen {
                    enabled: true,
                    ..left.clone()
                },
                "enabled now",
            ),
            (
                Seen {
                    digest: "00".into(),
                    ..left.clone()
                },
                "files of web",
            ),
        ] {
            assert!(left.difference(&now).unwrap().contains(says));
        }
    }
}
