//! Which goal is changing what, so that two goals never work against each other on one file, service or
//! package database.
//!
//! Before a goal's first task that changes something, the goal takes everything that its tasks may change:
//! all of it or nothing. It holds that until it ends, also while it waits for a person, because what it found
//! out must still be so when it verifies its work. Another goal that wants a part of it waits, and its line says
//! for whom. Goals that would wait for each other for ever do not: the one that closes the circle fails.
//!
//! What a goal holds is in the journal, so it holds the same after a crash.

use aios_auth::capability::Capability;
use aios_core::id::GoalId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A thing that can be changed, or all things whose names begin alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// `path`, or the namespace whose names these are.
    kind: String,
    /// The name up to its first wildcard.
    name: String,
    /// Whether it was cut at a wildcard.
    open: bool,
}

/// The namespaces with one lock for everything: one database, one set of rules.
const WHOLE: [&str; 2] = ["pkg", "firewall"];

impl Resource {
    /// What a capability lets its holder change. A pattern is cut at its first wildcard: two resources may be
    /// taken to meet that do not. Names are compared as they are written: a path by another way (a link, a mount)
    /// and a process known by its number and as a service do not meet here; there the worker's comparison of
    /// what it was shown with what is there is all that holds.
    pub fn of(capability: &Capability) -> Vec<Self> {
        let own = Self::named(capability);
        if capability.resource() == "**" {
            // It stands for paths too.
            let paths = Self {
                kind: "path".to_owned(),
                name: String::new(),
                open: true,
            };
            return vec![own, paths];
        }
        vec![own]
    }

    fn named(capability: &Capability) -> Self {
        let (namespace, pattern) = (capability.namespace(), capability.resource());
        if pattern.starts_with('/') {
            let literal = until_wildcard(pattern);
            let end = if literal.len() == pattern.len() {
                literal.len()
            } else {
                literal.rfind('/').unwrap_or(0)
            };
            return Self {
                kind: "path".to_owned(),
                name: literal.get(..end).unwrap_or_default().to_owned(),
                open: true,
            };
        }
        let name = if WHOLE.contains(&namespace) {
            ""
        } else {
            until_wildcard(pattern)
        };
        Self {
            kind: namespace.to_owned(),
            name: name.to_owned(),
            open: name.len() < pattern.len(),
        }
    }

    /// Whether something belongs to both.
    pub fn meets(&self, other: &Self) -> bool {
        if self.kind != other.kind {
            return false;
        }
        if self.kind == "path" {
            return below(&self.name, &other.name) || below(&other.name, &self.name);
        }
        self.name == other.name
            || (self.open && other.name.starts_with(&self.name))
            || (other.open && self.name.starts_with(&other.name))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind.as_str(), self.name.as_str()) {
            ("path", "") => f.write_str("/"),
            ("path", name) => f.write_str(name),
            (kind, "") => write!(f, "all of {kind}"),
            (kind, name) => write!(f, "{kind} {name}"),
        }
    }
}

fn until_wildcard(pattern: &str) -> &str {
    pattern.split(['*', '?', '[', '{']).next().unwrap_or_default()
}

/// Whether a path is another one or below it.
fn below(path: &str, of: &str) -> bool {
    path.strip_prefix(of)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Why a goal cannot have what it wants now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    /// Who has it.
    pub holder: GoalId,
    /// What it has.
    pub what: Resource,
    /// Whether the holder itself waits for the goal that asks, directly or through others.
    pub circle: bool,
}

/// What all goals hold, and who waits for whom.
#[derive(Debug)]
pub struct Locks {
    table: Mutex<Table>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Table {
    held: BTreeMap<GoalId, Vec<Resource>>,
    waits: BTreeMap<GoalId, GoalId>,
}

impl Locks {
    /// The locks of goals that an earlier process left unfinished.
    pub fn new(held: BTreeMap<GoalId, Vec<Resource>>) -> Self {
        Self {
            table: Mutex::new(Table {
                held,
                waits: BTreeMap::new(),
            }),
            changed: watch::channel(0).0,
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a goal everything that it wants, beside what it has.
    ///
    /// # Errors
    /// [`Busy`]: another goal has a part of it, and this one got nothing new.
    pub fn take(&self, goal: GoalId, wanted: &[Resource]) -> Result<(), Busy> {
        let mut table = self.table();
        let busy = table
            .held
            .iter()
            .filter(|(holder, _)| **holder != goal)
            .find_map(|(holder, held)| {
                let meets = |it: &&Resource| wanted.iter().any(|wanted| wanted.meets(it));
                Some((*holder, held.iter().find(meets)?.clone()))
            });
        if let Some((holder, what)) = busy {
            let circle = table.leads_to(holder, goal);
            if table.waits.insert(goal, holder).is_none() {
                self.changed.send_modify(|times| *times += 1);
            }
            return Err(Busy { holder, what, circle });
        }
        table.waits.remove(&goal);
        let held = table.held.entry(goal).or_default();
        for resource in wanted {
            if !held.contains(resource) {
                held.push(resource.clone());
            }
        }
        Ok(())
    }

    /// Takes everything from a goal that has ended, and wakes those that wait.
    pub fn release(&self, goal: GoalId) {
        let mut table = self.table();
        table.waits.remove(&goal);
        if table.held.remove(&goal).is_some() {
            self.changed.send_modify(|times| *times += 1);
        }
    }

    /// Changes whenever a goal gave something back, or begins to wait.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// How many goals wait for others.
    pub fn waiting(&self) -> usize {
        self.table().waits.len()
    }
}

impl Table {
    fn leads_to(&self, from: GoalId, to: GoalId) -> bool {
        let mut at = from;
        for _ in 0..=self.waits.len() {
            if at == to {
                return true;
            }
            match self.waits.get(&at) {
                Some(next) => at = *next,
                None => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(capability: &str) -> Resource {
        Resource::of(&Capability::parse(capability).unwrap()).remove(0)
    }

    #[test]
    fn what_may_be_anything_meets_paths_too() {
        let any = Resource::of(&Capability::parse("sec:*:**").unwrap());
        let path = resource("fs:write:/etc/ssl/x");
        assert!(any.iter().any(|it| it.meets(&path)));
        assert!(any.iter().any(|it| it.meets(&resource("sec:scan:host"))));
    }

    #[test]
    fn things_meet_when_one_could_be_the_other() {
        for (a, b) in [
            ("fs:delete:/var/log/**", "fs:write:/var/log/app/a.log"),
            ("fs:delete:/var/log/a", "sec:cert_generate:/var/log/a"),
            ("fs:delete:/var/log/*.log", "fs:write:/var/log/x"),
            ("fs:*:/**", "fs:write:/etc/hosts"),
            ("service:restart:nginx", "service:stop:nginx"),
            ("service:restart:ng*", "service:stop:nginx"),
            ("pkg:install:vim", "pkg:configure:host"),
            ("firewall:allow:tcp/80", "firewall:remove:*"),
        ] {
            let (a, b) = (resource(a), resource(b));
            assert!(a.meets(&b) && b.meets(&a), "{a} {b}");
        }
        for (a, b) in [
            ("fs:delete:/var/log/**", "fs:write:/var/logs/a"),
            ("fs:delete:/var/log/a", "fs:delete:/var/log/b"),
            ("service:restart:nginx", "service:stop:nginx2"),
            ("service:restart:1", "process:signal:1"),
        ] {
            let (a, b) = (resource(a), resource(b));
            assert!(!a.meets(&b) && !b.meets(&a), "{a} {b}");
        }
    }

    #[test]
    fn a_goal_takes_all_or_nothing_and_gives_all_back() {
        let locks = Locks::new(BTreeMap::new());
        let (one, two) = (GoalId::new(), GoalId::new());
        let (log, nginx) = (
            resource("fs:delete:/var/log/**"),
            resource("service:restart:nginx"),
        );
        assert_eq!(locks.take(one, std::slice::from_ref(&log)), Ok(()));
        assert_eq!(locks.take(one, std::slice::from_ref(&log)), Ok(()));
        let busy = locks.take(two, &[nginx.clone(), log.clone()]).unwrap_err();
        assert_eq!((busy.holder, busy.what, busy.circle), (one, log.clone(), false));
        assert_eq!(
            locks.take(one, std::slice::from_ref(&nginx)),
            Ok(()),
            "two has nothing"
        );
        let mut changes = locks.changes();
        locks.release(one);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        assert_eq!(locks.take(two, &[nginx, log]), Ok(()));
    }

    #[test]
    fn goals_that_would_wait_for_each_other_are_told() {
        let (one, two, three) = (GoalId::new(), GoalId::new(), GoalId::new());
        let path = |name: &str| vec![resource(&format!("fs:write:/{name}"))];
        let held = [(one, path("a")), (two, path("b")), (three, path("c"))];
        let locks = Locks::new(held.into_iter().collect());
        assert!(!locks.take(one, &path("b")).unwrap_err().circle);
        assert!(!locks.take(two, &path("c")).unwrap_err().circle);
        assert!(locks.take(three, &path("a")).unwrap_err().circle);
    }
}
