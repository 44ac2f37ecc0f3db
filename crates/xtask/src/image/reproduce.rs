//! `cargo xtask image --check-reproducible`: whether the same inputs give the same layers.
//!
//! Everything is built twice from nothing, so that no cached layer can hide a difference. Programs are inputs here: they
//! are compiled once. When a layer differs, the two trees are compared, and the files that differ are named.

use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::path::Path;

use super::layers::{self, Layer};
use super::{Build, Cache, build, contexts, mounted};
use crate::host::{Host, say};
use crate::{agent_image, base};

/// Differing files that are named.
const SHOWN: usize = 40;

/// Builds twice and compares; fails when anything differs.
pub(super) fn run(host: &Host, args: &Build) -> Result<()> {
    base::ensure(host, &args.base)?;
    let again = agent_image::Args { force: true };
    let (_, first) = agent_image::ensure(host, &again)?;
    let (_, second) = agent_image::ensure(host, &again)?;
    ensure!(
        first == second,
        "two builds of the agent image differ: manifests {first} and {second}"
    );
    say(&format!("reproducible: agent image {first}"));
    let contexts = contexts(host, args)?;
    let tags = [1, 2].map(|number| format!("{}-reproduced:{number}", args.tag));
    for tag in &tags {
        build(host, args, &contexts, tag, Cache::Ignore)?;
    }
    let [one, two] = &tags;
    let found = compare(host, one, two);
    for tag in &tags {
        host.podman().args(["rmi", tag]).ignore_stdout().run()?;
    }
    host.prune()?;
    found
}

fn compare(host: &Host, one: &str, two: &str) -> Result<()> {
    let (first, second) = (layers::of(host, one)?, layers::of(host, two)?);
    let differing = differing(&first, &second);
    if differing.is_empty() {
        for layer in &first {
            say(&format!("reproducible: {} {}", layer.digest, layer.made_by));
        }
        return Ok(());
    }
    differing
        .iter()
        .for_each(|layer| say(&format!("differs: {layer}")));
    let files = mounted::with(host, one, |one| {
        mounted::with(host, two, |two| {
            Ok(differing_files(&files(host, one)?, &files(host, two)?))
        })
    })?;
    files
        .iter()
        .take(SHOWN)
        .for_each(|line| say(&format!("differs: {line}")));
    anyhow::bail!(
        "two builds of the same inputs have {} layers and {} files that differ",
        differing.len(),
        files.len()
    )
}

/// Layers that are not the same at the same place.
fn differing(one: &[Layer], two: &[Layer]) -> Vec<String> {
    let longer = one.len().max(two.len());
    let digest =
        |layer: Option<&Layer>| layer.map_or_else(|| "nothing".to_owned(), |layer| layer.digest.clone());
    (0..longer)
        .map(|place| (one.get(place), two.get(place)))
        .filter(|(one, two)| digest(*one) != digest(*two))
        .map(|(one, two)| {
            let made_by = one
                .or(two)
                .map(|layer| layer.made_by.as_str())
                .unwrap_or_default();
            format!("layer {made_by}: {} and {}", digest(one), digest(two))
        })
        .collect()
}

/// A file's mode, owner, date, link target and content's digest, by its path.
type Files = BTreeMap<String, String>;

fn files(host: &Host, root: &Path) -> Result<Files> {
    let mut files = Files::new();
    let described = find(host, root, &["-printf", r"%P\t%M %U:%G %T@ %l\n"])?;
    for (path, what) in described.lines().filter_map(|line| line.split_once('\t')) {
        files.insert(path.to_owned(), what.to_owned());
    }
    let digests = find(host, root, &["-type", "f", "-exec", "sha256sum", "{}", "+"])?;
    for (digest, path) in digests.lines().filter_map(|line| line.split_once("  ")) {
        let path = Path::new(path).strip_prefix(root).unwrap_or(Path::new(path));
        let file = files.entry(path.display().to_string()).or_default();
        file.push_str(digest);
    }
    Ok(files)
}

fn find(host: &Host, root: &Path, what: &[&str]) -> Result<String> {
    // The top itself is the mount's, not the image's.
    let top = ["-xdev", "-mindepth", "1"];
    let output = host.root_cmd("find").arg(root).args(top).args(what).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Paths that only one has, or that are not the same in both.
fn differing_files(one: &Files, two: &Files) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, what) in one {
        match two.get(path) {
            None => lines.push(format!("/{path} is in the first only")),
            Some(other) if other != what => lines.push(format!("/{path}: {what} and {other}")),
            Some(_) => {}
        }
    }
    let new = two.keys().filter(|path| !one.contains_key(*path));
    lines.extend(new.map(|path| format!("/{path} is in the second only")));
    lines
}

#[cfg(test)]
mod tests {
    use super::{Files, differing, differing_files};
    use crate::image::layers::Layer;

    fn layers(digests: &[&str]) -> Vec<Layer> {
        digests.iter().map(|digest| Layer::for_test(digest)).collect()
    }

    #[test]
    fn a_layer_that_changed_or_is_missing_differs() {
        assert!(differing(&layers(&["a", "b"]), &layers(&["a", "b"])).is_empty());
        let found = differing(&layers(&["a", "b"]), &layers(&["a", "c", "d"]));
        assert_eq!(found, ["layer RUN b: b and c", "layer RUN d: nothing and d"]);
    }

    #[test]
    fn files_that_changed_came_or_went_are_named() {
        let files = |pairs: &[(&str, &str)]| -> Files {
            let owned = |(path, what): &(&str, &str)| ((*path).to_owned(), (*what).to_owned());
            pairs.iter().map(owned).collect()
        };
        let one = files(&[("etc/shadow", "12"), ("etc/same", "7"), ("var/log", "3")]);
        let two = files(&[("etc/shadow", "13"), ("etc/same", "7"), ("etc/new", "1")]);
        assert_eq!(
            differing_files(&one, &two),
            [
                "/etc/shadow: 12 and 13",
                "/var/log is in the first only",
                "/etc/new is in the second only",
            ]
        );
    }
}
