//! Who must run before whom.

use crate::error::InitError;
use crate::spec::Spec;
use std::collections::{BTreeMap, BTreeSet};

/// Why there is no order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unordered {
    /// A service needs one that does not exist.
    Missing {
        /// Which.
        name: String,
        /// What it needs.
        need: String,
    },
    /// Names on the way to a circle and around it; the last one is the first of the circle again.
    Circle(Vec<String>),
}

impl Unordered {
    /// The services of the circle, each once.
    pub fn members(&self) -> &[String] {
        let Self::Circle(path) = self else { return &[] };
        let Some((last, before)) = path.split_last() else {
            return &[];
        };
        let first = before.iter().position(|name| name == last).unwrap_or(0);
        before.get(first..).unwrap_or_default()
    }
}

impl From<Unordered> for InitError {
    fn from(why: Unordered) -> Self {
        match why {
            Unordered::Missing { name, need } => Self::Spec {
                file: name,
                message: format!("`needs` names {need}, which does not exist"),
            },
            Unordered::Circle(ref path) => {
                let around = why.members().iter().chain(path.last());
                Self::Cycle(around.map(String::as_str).collect::<Vec<_>>().join(" -> "))
            }
        }
    }
}

/// Names in an order in which they can be started.
///
/// # Errors
/// A circle, or a need that does not exist.
pub fn start_order(specs: &BTreeMap<String, Spec>) -> Result<Vec<String>, Unordered> {
    let mut order = Vec::new();
    let mut done = BTreeSet::new();
    for name in specs.keys() {
        visit(name, specs, &mut Vec::new(), &mut done, &mut order)?;
    }
    Ok(order)
}

fn visit(
    name: &str,
    specs: &BTreeMap<String, Spec>,
    path: &mut Vec<String>,
    done: &mut BTreeSet<String>,
    order: &mut Vec<String>,
) -> Result<(), Unordered> {
    if done.contains(name) {
        return Ok(());
    }
    if path.iter().any(|above| above == name) {
        path.push(name.to_owned());
        return Err(Unordered::Circle(path.clone()));
    }
    let Some(spec) = specs.get(name) else {
        return Ok(());
    };
    if let Some(missing) = spec.needs.iter().find(|need| !specs.contains_key(*need)) {
        return Err(Unordered::Missing {
            name: name.to_owned(),
            need: missing.clone(),
        });
    }
    path.push(name.to_owned());
    for before in spec.needs.iter().chain(&spec.wants).chain(&spec.after) {
        visit(before, specs, path, done, order)?;
    }
    path.pop();
    done.insert(name.to_owned());
    order.push(name.to_owned());
    Ok(())
}

/// `name` and everything that it needs or wants, directly or not.
pub fn wanted_by(name: &str, specs: &BTreeMap<String, Spec>) -> BTreeSet<String> {
    closure(name, |name| {
        specs
            .get(name)
            .map_or_else(Vec::new, |s| s.needs.iter().chain(&s.wants).cloned().collect())
    })
}

/// `name` and everything that needs it, directly or not.
pub fn needing(name: &str, specs: &BTreeMap<String, Spec>) -> BTreeSet<String> {
    closure(name, |name| {
        specs
            .values()
            .filter(|s| s.needs.iter().any(|n| n == name))
            .map(|s| s.name.clone())
            .collect()
    })
}

fn closure(name: &str, next: impl Fn(&str) -> Vec<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![name.to_owned()];
    while let Some(name) = open.pop() {
        if found.insert(name.clone()) {
            open.extend(next(&name));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(list: &[(&str, &[&str], &[&str])]) -> BTreeMap<String, Spec> {
        let text = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        list.iter()
            .map(|(name, needs, after)| {
                let spec = Spec {
                    name: (*name).into(),
                    needs: text(needs),
                    after: text(after),
                    ..Spec::default()
                };
                ((*name).to_owned(), spec)
            })
            .collect()
    }

    #[test]
    fn what_is_needed_comes_first() {
        let specs = specs(&[("a", &["c"], &[]), ("b", &[], &["a"]), ("c", &[], &["absent"])]);
        assert_eq!(start_order(&specs).unwrap(), ["c", "a", "b"]);
        assert_eq!(needing("c", &specs), ["a".to_owned(), "c".to_owned()].into());
        assert_eq!(wanted_by("a", &specs), ["a".to_owned(), "c".to_owned()].into());
    }

    #[test]
    fn a_circle_is_named() {
        let specs = specs(&[("a", &["b"], &[]), ("b", &["c"], &[]), ("c", &[], &["b"])]);
        let why = start_order(&specs).unwrap_err();
        assert_eq!(why.members(), ["b", "c"]);
        assert_eq!(
            InitError::from(why).to_string(),
            "services need each other in a circle: b -> c -> b"
        );
    }

    #[test]
    fn a_need_that_does_not_exist_is_an_error() {
        let specs = specs(&[("a", &["ghost"], &[])]);
        let why = InitError::from(start_order(&specs).unwrap_err());
        assert!(why.to_string().contains("ghost"));
    }
}
