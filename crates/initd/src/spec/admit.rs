//! Which services can be started at all, beside one another.

use super::Spec;
use super::check::place;
use super::load::read;
use crate::error::InitError;
use crate::graph::{Unordered, start_order};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Takes out of `specs` what can never be started: services that need each other in a circle, that need one
/// that does not exist, and that need one of those. Yields the order of the others, and what is wrong.
pub fn admit(specs: &mut BTreeMap<String, Spec>) -> (Vec<String>, Vec<InitError>) {
    let mut errors = Vec::new();
    let mut left_out = BTreeSet::new();
    loop {
        match start_order(specs) {
            Ok(order) => return (order, errors),
            Err(Unordered::Missing { name, need }) => {
                let why = if left_out.contains(&need) {
                    "was left out"
                } else {
                    "does not exist"
                };
                errors.push(InitError::Spec {
                    file: whence(specs.get(&name), &name),
                    message: format!("`needs` names {need}, which {why}"),
                });
                specs.remove(&name);
                left_out.insert(name);
            }
            Err(circle @ Unordered::Circle(_)) => {
                for name in circle.members() {
                    specs.remove(name);
                    left_out.insert(name.clone());
                }
                errors.push(circle.into());
            }
        }
    }
}

/// File and line of the `needs` of a service.
fn whence(spec: Option<&Spec>, name: &str) -> String {
    let files: Vec<PathBuf> = spec
        .map(|spec| spec.files.iter().map(PathBuf::from).collect())
        .unwrap_or_default();
    match read(&files) {
        Ok(layers) if !layers.is_empty() => place(&layers, "needs"),
        // The files were there a moment ago; the name says as much.
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(list: &[(&str, &[&str], &[&str])]) -> BTreeMap<String, Spec> {
        let text = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let one = |(name, needs, after): &(&str, &[&str], &[&str])| {
            let spec = Spec {
                name: (*name).into(),
                needs: text(needs),
                after: text(after),
                ..Spec::default()
            };
            ((*name).to_owned(), spec)
        };
        list.iter().map(one).collect()
    }

    #[test]
    fn a_circle_takes_only_itself_and_what_needs_it() {
        let mut specs = specs(&[
            ("a", &["b"], &[]),
            ("b", &[], &["c"]),
            ("c", &["a"], &[]),
            ("d", &["c"], &[]),
            ("e", &["d"], &[]),
            ("f", &[], &["a"]),
            ("g", &["f"], &[]),
            ("h", &["ghost"], &[]),
            ("i", &["i"], &[]),
        ]);
        let (order, errors) = admit(&mut specs);
        assert_eq!(order, ["f", "g"]);
        assert_eq!(specs.keys().collect::<Vec<_>>(), ["f", "g"]);
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "services need each other in a circle: a -> b -> c -> a",
                "d: `needs` names c, which was left out",
                "e: `needs` names d, which was left out",
                "h: `needs` names ghost, which does not exist",
                "services need each other in a circle: i -> i",
            ]
        );
    }
}
