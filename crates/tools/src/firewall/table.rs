//! The table `inet aios`, the only one that is changed here: as it is at one moment, and the way back to that
//! moment in one transaction of the kernel.

use super::nft;
use super::rule::{NewRule, id_in, shown};
use super::types::FirewallChanged;
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::provisional::Ground;
use crate::typed::value_of;
use aios_proto::common::v1::Identity;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const FAMILY: &str = "inet";
const TABLE: &str = "aios";
const CHAIN: &str = "input";

/// The table with everything in it, in nftables' JSON; `None` when it is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table(pub Option<Vec<Value>>);

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// The change.
    pub change: Change,
    /// Time for its confirmation, milliseconds.
    pub confirm_within_ms: u64,
}

/// A change of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// One more.
    Make(NewRule),
    /// One less, by its name.
    Remove(String),
}

/// The firewall of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

/// An object's kind and what is in it.
fn part(object: &Value) -> Option<(&str, &Value)> {
    let (kind, inner) = object.as_object()?.iter().next()?;
    Some((kind.as_str(), inner))
}

/// Without what the kernel numbers and counts by itself.
fn normal(object: &Value) -> Value {
    let mut object = unnumbered(object);
    if let Some(expr) = object.pointer_mut("/rule/expr").and_then(Value::as_array_mut) {
        for counter in expr.iter_mut().filter_map(|part| part.get_mut("counter")) {
            *counter = Value::Null;
        }
    }
    object
}

/// Without the kernel's number, which it gives anew.
fn unnumbered(object: &Value) -> Value {
    let mut object = object.clone();
    for inner in object.as_object_mut().into_iter().flat_map(|it| it.values_mut()) {
        if let Some(inner) = inner.as_object_mut() {
            inner.remove("handle");
        }
    }
    object
}

/// What must be there before what else.
fn rank(object: &Value) -> u8 {
    match part(object).map(|(kind, _)| kind) {
        Some("table") => 0,
        Some("chain") => 1,
        Some("rule") => 3,
        _ => 2,
    }
}

impl Table {
    /// As it is now.
    pub(super) fn now(budget: &Budget) -> Result<Self> {
        nft::table(FAMILY, TABLE, budget).map(Self)
    }

    fn objects(&self) -> &[Value] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Rules of the chain, in their order.
    pub(super) fn rules(&self) -> impl Iterator<Item = &Value> {
        self.objects()
            .iter()
            .filter_map(|object| object.get("rule"))
            .filter(|rule| rule.get("chain") == Some(&json!(CHAIN)))
    }

    /// The rule of that name.
    pub(super) fn rule(&self, id: &str) -> Option<&Value> {
        self.rules().find(|rule| id_in(rule) == Some(id))
    }

    fn has_chain(&self) -> bool {
        let named = |object: &Value| object.pointer("/chain/name") == Some(&json!(CHAIN));
        self.objects().iter().any(named)
    }

    fn normal(&self) -> Vec<Value> {
        self.objects().iter().map(normal).collect()
    }

    /// What shall be there after going back from `left` to `was`: what is there now, without what was added, with
    /// what was taken away, each with the counts that it has now.
    fn wanted(was: &Self, left: &Self, now: &Self) -> Vec<Value> {
        let has = |list: &[Value], it: &Value| list.contains(&normal(it));
        let (was_normal, left_normal, now_normal) = (was.normal(), left.normal(), now.normal());
        let current = |it: &Value| {
            let same = |other: &&Value| normal(other) == normal(it);
            now.objects().iter().find(same).unwrap_or(it).clone()
        };
        let mut wanted: Vec<Value> = was
            .objects()
            .iter()
            .filter(|it| !has(&left_normal, it) || has(&now_normal, it))
            .map(current)
            .collect();
        // A stranger's rule keeps its place behind the one that it stands behind.
        for (index, it) in now.objects().iter().enumerate() {
            if has(&left_normal, it) || has(&was_normal, it) {
                continue;
            }
            let before = now.objects().get(..index).unwrap_or_default();
            let behind = before.iter().rev().find_map(|other| {
                let same = |placed: &Value| normal(placed) == normal(other);
                wanted.iter().position(same)
            });
            wanted.insert(behind.map_or(0, |place| place + 1).min(wanted.len()), it.clone());
        }
        // It cannot stand without the table and the chain that it stands in.
        if wanted.iter().any(|it| rank(it) > 1) {
            for it in now.objects().iter().rev().filter(|it| rank(it) <= 1) {
                if !wanted.iter().any(|other| normal(other) == normal(it)) {
                    wanted.insert(0, it.clone());
                }
            }
        }
        wanted.sort_by_key(rank);
        wanted
    }
}

fn table_object() -> Value {
    json!({"table": {"family": FAMILY, "name": TABLE}})
}

fn chain_object() -> Value {
    json!({"chain": {
        "family": FAMILY, "table": TABLE, "name": CHAIN, "type": "filter", "hook": "input", "prio": 0, "policy": "accept",
    }})
}

impl Ground for Rules {
    const NAMESPACE: &'static str = "firewall";
    type State = Table;
    type Goal = Goal;

    fn look(&self, _of: &Table) -> Result<Table> {
        Table::now(&nft::patience())
    }

    fn reach(&self, before: &Table, goal: &Goal, budget: &Budget) -> Result<()> {
        let now = Table::now(budget)?;
        if let Some(difference) = self.difference(before, &now) {
            return Err(ToolError::Changed {
                path: identity().path,
                difference,
            });
        }
        let mut commands = Vec::new();
        match &goal.change {
            Change::Make(rule) => {
                if before.0.is_none() {
                    commands.push(json!({ "add": table_object() }));
                }
                // One that is there stays as it is, whatever a person made of its policy.
                if !before.has_chain() {
                    commands.push(json!({ "add": chain_object() }));
                }
                let how = match rule.place {
                    super::args::Place::First => "insert",
                    super::args::Place::Last => "add",
                };
                commands.push(json!({ how: rule.object(FAMILY, TABLE, CHAIN) }));
            }
            Change::Remove(id) => {
                let rule = now
                    .rule(id)
                    .ok_or_else(|| ToolError::NotFound { path: id.clone() })?;
                let handle = rule.get("handle").cloned().unwrap_or_default();
                commands.push(json!({"delete": {"rule": {
                    "family": FAMILY, "table": TABLE, "chain": CHAIN, "handle": handle,
                }}}));
            }
        }
        nft::commit(&commands, budget)
    }

    fn back(&self, was: &Table, left: Option<&Table>) -> Result<()> {
        let budget = nft::patience();
        let now = Table::now(&budget)?;
        let wanted = Table::wanted(was, left.unwrap_or(&now), &now);
        let same: Vec<Value> = wanted.iter().map(normal).collect();
        if same == now.normal() {
            return Ok(());
        }
        // To be deleted it must be there.
        let mut commands = vec![
            json!({ "add": table_object() }),
            json!({ "delete": table_object() }),
        ];
        commands.extend(wanted.iter().map(|object| json!({ "add": unnumbered(object) })));
        nft::commit(&commands, &budget)
    }

    fn difference(&self, was: &Table, is: &Table) -> Option<String> {
        let (was_normal, is_normal) = (was.normal(), is.normal());
        if was_normal == is_normal && was.0.is_some() == is.0.is_some() {
            return None;
        }
        let name = |object: &Value| {
            let rule = object.get("rule");
            let id = rule.and_then(id_in).map(str::to_owned);
            let kind = part(object).map_or("object", |(kind, _)| kind);
            id.map_or_else(|| format!("{kind} {object}"), |id| format!("rule {id}"))
        };
        let gone = was_normal.iter().filter(|it| !is_normal.contains(it));
        let new = is_normal.iter().filter(|it| !was_normal.contains(it));
        let mut found: Vec<String> = gone
            .map(|it| format!("{} is gone or another", name(it)))
            .collect();
        found.extend(new.map(|it| format!("{} is new or another", name(it))));
        if found.is_empty() {
            found.push("its rules are in another order".to_owned());
        }
        Some(found.join("; ").chars().take(600).collect())
    }

    fn identity(&self, _state: &Table) -> Identity {
        identity()
    }

    fn describe(&self, goal: &Goal, before: &Table, after: &Table) -> Result<Value> {
        let (id, table) = match &goal.change {
            Change::Make(rule) => (&rule.id, after),
            Change::Remove(id) => (id, before),
        };
        let rule = table.rule(id).ok_or_else(|| ToolError::Changed {
            path: id.clone(),
            difference: "it is not there".to_owned(),
        })?;
        value_of(&FirewallChanged {
            rule: shown(rule),
            rules: after.rules().count() as u64,
            confirm_within_ms: goal.confirm_within_ms,
            confirm_by_ms: 0,
        })
    }
}

/// What the firewall tools change.
pub(super) fn identity() -> Identity {
    Identity {
        path: format!("{FAMILY} {TABLE}"),
        kind: "firewall table".to_owned(),
        ..Identity::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, packets: u64) -> Value {
        json!({"rule": {"chain": CHAIN, "handle": packets, "comment": name,
            "expr": [{"counter": {"packets": packets, "bytes": 0}}, {"drop": null}]}})
    }

    fn table(names: &str) -> Table {
        let mut objects = vec![table_object(), chain_object()];
        objects.extend(names.chars().map(|name| rule(&name.to_string(), 0)));
        Table(Some(objects))
    }

    fn names(objects: &[Value]) -> String {
        let comments = objects.iter().filter_map(|it| it.pointer("/rule/comment"));
        comments.map(|it| it.as_str().unwrap()).collect()
    }

    #[test]
    fn going_back_takes_back_the_change_and_nothing_else() {
        for (was, left, now, expected) in [
            ("ab", "cab", "cab", "ab"),
            ("abc", "ac", "ac", "abc"),
            ("ab", "ab", "ab", "ab"),
            // Somebody put x behind a, and took b away.
            ("ab", "abc", "axc", "ax"),
            ("abc", "ac", "acx", "abcx"),
        ] {
            let wanted = Table::wanted(&table(was), &table(left), &table(now));
            assert_eq!(names(&wanted), expected, "{was} {left} {now}");
        }
    }

    #[test]
    fn a_table_that_was_made_goes_again_unless_a_stranger_uses_it() {
        let none = Table(None);
        assert_eq!(
            Table::wanted(&none, &table("a"), &table("a")),
            Vec::<Value>::new()
        );
        let kept = Table::wanted(&none, &table("a"), &table("ax"));
        assert_eq!((kept.len(), names(&kept)), (3, "x".to_owned()));
        assert_eq!(kept.iter().map(rank).collect::<Vec<_>>(), [0, 1, 3]);
    }

    #[test]
    fn what_was_counted_meanwhile_stays_counted() {
        let mut now = table("a");
        now.0.as_mut().unwrap().extend([rule("b", 7)]);
        let mut left = table("a");
        left.0.as_mut().unwrap().extend([rule("b", 0)]);
        let was = Table(Some(vec![table_object(), chain_object(), rule("b", 0)]));
        let wanted = Table::wanted(&was, &left, &now);
        assert_eq!(
            wanted.last().unwrap().pointer("/rule/expr/0/counter/packets"),
            Some(&json!(7))
        );
        assert_eq!(Rules.difference(&left, &now), None);
        assert!(Rules.difference(&was, &now).unwrap().contains("is new"));
        assert!(Rules.difference(&Table(None), &now).is_some());
        assert!(
            Rules
                .difference(&table("ab"), &table("ba"))
                .unwrap()
                .contains("order")
        );
    }
}
