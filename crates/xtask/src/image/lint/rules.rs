//! The rules of `bootc container lint`, by their names and conditions there, on a tree that is not running.
//!
//! Each is a small function that says what it found, in the order of paths. Rules that only hold for a running root or
//! only for one at rest are asked all the same: a tree that was built here can be judged by both.

use anyhow::Result;
use rustix::fs::FileType;
use std::path::Path;

use super::tree::{Entry, Tree};
use super::{accounts, prepare_root, state};

/// What a broken rule means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// The image cannot be installed, or does not run as it should.
    Fatal,
    /// It runs, and somebody will be surprised.
    Warning,
}

/// One rule.
pub(super) struct Rule {
    /// bootc's name for it.
    pub(super) name: &'static str,
    /// bootc's grade of it.
    pub(super) severity: Severity,
    /// What to do about whatever was found.
    pub(super) advice: &'static str,
    /// What breaks it and where; empty when nothing does.
    pub(super) check: fn(&Tree) -> Result<Vec<String>>,
}

const fn fatal(name: &'static str, check: fn(&Tree) -> Result<Vec<String>>, advice: &'static str) -> Rule {
    Rule {
        name,
        severity: Severity::Fatal,
        advice,
        check,
    }
}

const fn warning(name: &'static str, check: fn(&Tree) -> Result<Vec<String>>, advice: &'static str) -> Rule {
    Rule {
        name,
        severity: Severity::Warning,
        advice,
        check,
    }
}

/// All of them, by name.
pub(super) const RULES: &[Rule] = &[
    fatal(
        "api-base-directories",
        api_directories,
        "make it an empty directory: the system mounts over it",
    ),
    warning(
        "baseimage-composefs",
        prepare_root::composefs,
        "write `[composefs]` and `enabled = true` to /usr/lib/ostree/prepare-root.conf",
    ),
    fatal(
        "baseimage-root",
        base_root,
        "make the directory /sysroot and the link /ostree to sysroot/ostree",
    ),
    fatal(
        "bootc-kargs",
        kernel_arguments,
        "write `kargs = [\"word\", …]`, and `match-architectures = [\"x86_64\"]` where it is not for all",
    ),
    warning(
        "buildah-injected",
        injected,
        "write it or delete it in the build's last step: a builder left it behind",
    ),
    fatal(
        "etc-usretc",
        both_etc,
        "delete /usr/etc, which only an installed system has",
    ),
    fatal(
        "kernel",
        kernels,
        "keep one kernel and delete the other directories",
    ),
    warning(
        "nonempty-boot",
        boot,
        "keep an empty /boot: the kernel belongs below /usr/lib/modules, and what is here is hidden at run time",
    ),
    warning(
        "nonempty-run-tmp",
        runtime_only,
        "delete it in the build's last step: a file system in memory hides it at run time",
    ),
    warning(
        "sysusers",
        accounts::undeclared,
        "declare it in /usr/lib/sysusers.d: a machine that changed its /etc never sees a new line of the image's",
    ),
    fatal(
        "utf8",
        names_in_utf8,
        "rename it: the stores that images are unpacked to take names in UTF-8 only",
    ),
    warning(
        "var-log",
        logs,
        "delete it in the build's last step: it tells of the builder's machine and differs in each build",
    ),
    fatal(
        "var-run",
        var_run,
        "make it a link to ../run, or leave it to tmpfiles.d",
    ),
    warning(
        "var-tmpfiles",
        state::undeclared,
        "declare it in /usr/lib/tmpfiles.d and delete it here: an update never changes /var",
    ),
];

/// See <https://systemd.io/API_FILE_SYSTEMS/>; `var` because bootc mounts there.
fn api_directories(tree: &Tree) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for dir in ["dev", "proc", "run", "sys", "tmp", "var"] {
        match tree.meta(dir)? {
            None => found.push(format!("/{dir} is missing")),
            Some(meta) if meta.kind != FileType::Directory => {
                found.push(format!("/{dir} is no directory"));
            }
            Some(_) => {}
        }
    }
    Ok(found)
}

/// Where a base image may keep the root that it was made from, for those who build their own.
pub(super) const REFERENCE: &str = "usr/share/doc/bootc/baseimage/base";

fn base_root(tree: &Tree) -> Result<Vec<String>> {
    let mut found = base_root_of(tree)?;
    if let Some(reference) = tree.below(REFERENCE)? {
        let inner = base_root_of(&reference)?;
        found.extend(inner.into_iter().map(|what| format!("in /{REFERENCE}, {what}")));
    }
    Ok(found)
}

fn base_root_of(tree: &Tree) -> Result<Vec<String>> {
    let mut found = Vec::new();
    match tree.meta("sysroot")?.map(|meta| meta.kind) {
        None => found.push("/sysroot is missing".to_owned()),
        Some(FileType::Directory) => {}
        Some(_) => found.push("/sysroot is no directory".to_owned()),
    }
    match (tree.meta("ostree")?, tree.link("ostree")?) {
        (None, _) => found.push("the link /ostree is missing".to_owned()),
        (Some(_), None) => found.push("/ostree is no link".to_owned()),
        (Some(_), Some(target)) if target != "sysroot/ostree" => {
            found.push(format!("/ostree leads to {target:?}"));
        }
        _ => {}
    }
    Ok(found)
}

/// A file of `kargs.d`: what bootc reads, and no other key.
#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct KernelArguments {
    #[serde(rename = "kargs")]
    _words: Vec<String>,
    #[serde(rename = "match-architectures")]
    _architectures: Option<Vec<String>>,
}

fn kernel_arguments(tree: &Tree) -> Result<Vec<String>> {
    const DIR: &str = "usr/lib/bootc/kargs.d";
    let mut found = Vec::new();
    for entry in tree.list(DIR)?.unwrap_or_default() {
        let Some(name) = entry.name().to_str().filter(|name| name.ends_with(".toml")) else {
            continue;
        };
        let text = tree.text(&format!("{DIR}/{name}"))?.unwrap_or_default();
        if let Err(error) = toml::from_str::<KernelArguments>(&text) {
            // The parser draws the place below the sentence; one line is enough here.
            found.push(format!("/{DIR}/{name} cannot be read: {}", error.message()));
        }
    }
    Ok(found)
}

fn injected(tree: &Tree) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in ["etc/hostname", "etc/resolv.conf"] {
        let meta = tree.meta(file)?;
        if meta.is_some_and(|meta| meta.kind == FileType::RegularFile && meta.size == 0) {
            found.push(format!("/{file} is empty"));
        }
    }
    Ok(found)
}

fn both_etc(tree: &Tree) -> Result<Vec<String>> {
    let both = tree.meta("etc")?.is_some() && tree.meta("usr/etc")?.is_some();
    Ok(both
        .then(|| "there are both /etc and /usr/etc".to_owned())
        .into_iter()
        .collect())
}

fn kernels(tree: &Tree) -> Result<Vec<String>> {
    const DIR: &str = "usr/lib/modules";
    let mut versions = Vec::new();
    for entry in tree.list(DIR)?.unwrap_or_default() {
        let Some(name) = entry.name().to_str() else {
            continue;
        };
        if entry.meta.kind == FileType::Directory && tree.meta(&format!("{DIR}/{name}/vmlinuz"))?.is_some() {
            versions.push(name.to_owned());
        }
    }
    Ok((versions.len() > 1)
        .then(|| format!("/{DIR} has {} kernels: {}", versions.len(), versions.join(", ")))
        .into_iter()
        .collect())
}

/// Some builders leave the directory `EFI` behind, and bootc lets it pass.
fn boot(tree: &Tree) -> Result<Vec<String>> {
    let Some(entries) = tree.list("boot")? else {
        return Ok(vec!["the directory /boot is missing".to_owned()]);
    };
    let found = entries.iter().filter(|entry| entry.name() != "EFI");
    Ok(found.map(|entry| shown(&entry.path)).collect())
}

/// What a container's runtime mounts in `/run` to resolve names, which leaves empty directories.
const RESOLVER: &str = "run/systemd/resolve/stub-resolv.conf";

fn runtime_only(tree: &Tree) -> Result<Vec<String>> {
    let mut entries = Vec::new();
    for dir in ["run", "tmp"] {
        if tree.meta(dir)?.is_some_and(|meta| !meta.covered) {
            entries.extend(tree.walk(dir)?);
        }
    }
    entries.retain(|entry| !entry.meta.covered && entry.path != Path::new(RESOLVER));
    let needed = |entry: &Entry| {
        let other_below = |other: &Entry| other.path != entry.path && other.path.starts_with(&entry.path);
        !Path::new(RESOLVER).starts_with(&entry.path)
            || entries
                .iter()
                .any(|other| other_below(other) && !Path::new(RESOLVER).starts_with(&other.path))
    };
    let found = entries.iter().filter(|entry| needed(entry));
    Ok(found.map(|entry| shown(&entry.path)).collect())
}

fn names_in_utf8(tree: &Tree) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in tree.walk("")? {
        if entry.name().to_str().is_none() {
            found.push(format!("{} has a name that is not UTF-8", shown(&entry.path)));
        }
        if entry.target.is_some_and(|target| target.to_str().is_none()) {
            found.push(format!(
                "{} leads to a name that is not UTF-8",
                shown(&entry.path)
            ));
        }
    }
    Ok(found)
}

fn logs(tree: &Tree) -> Result<Vec<String>> {
    let written = |entry: &Entry| entry.meta.kind == FileType::RegularFile && entry.meta.size > 0;
    let entries = tree.walk("var/log")?;
    let found = entries.iter().filter(|entry| written(entry));
    Ok(found
        .map(|entry| format!("the log {}", shown(&entry.path)))
        .collect())
}

fn var_run(tree: &Tree) -> Result<Vec<String>> {
    let meta = tree.meta("var/run")?;
    Ok(meta
        .filter(|meta| meta.kind != FileType::Symlink)
        .map(|_| "/var/run is no link".to_owned())
        .into_iter()
        .collect())
}

/// A path as a person reads it, odd bytes escaped.
pub(super) fn shown(path: &Path) -> String {
    let text = format!("{path:?}");
    format!("/{}", text.trim_matches('"'))
}
