//! `prepare-root.conf`, by which the initramfs knows how to mount the root (ostree-prepare-root(1)).

use anyhow::Result;

use super::rules::REFERENCE;
use super::tree::Tree;

/// The administrator's file hides the vendor's.
const FILES: &[&str] = &["etc/ostree/prepare-root.conf", "usr/lib/ostree/prepare-root.conf"];

/// What keeps the root from being a composefs image.
pub(super) fn composefs(tree: &Tree) -> Result<Vec<String>> {
    let mut found: Vec<String> = problem(tree)?.into_iter().collect();
    if let Some(reference) = tree.below(REFERENCE)? {
        found.extend(problem(&reference)?.map(|what| format!("in /{REFERENCE}, {what}")));
    }
    Ok(found)
}

fn problem(tree: &Tree) -> Result<Option<String>> {
    for file in FILES {
        if let Some(text) = tree.text(file)? {
            return Ok(match enabled(&text) {
                Ok(true) => None,
                Ok(false) => Some(format!("/{file} does not enable composefs")),
                Err(line) => Some(format!("/{file} has a line that is no `key = value`: {line}")),
            });
        }
    }
    Ok(Some(
        "there is no ostree/prepare-root.conf in /etc or /usr/lib".to_owned(),
    ))
}

/// Whether the file asks for composefs, or for a root that forgets changes, which stands on the same. Fails with the
/// line that is neither a section, an assignment nor a comment. An unknown value counts as none.
pub(super) fn enabled(text: &str) -> Result<bool, String> {
    let mut section = "";
    let (mut composefs, mut transient) = (false, false);
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| line.to_owned())?;
        match (section, key.trim(), value.trim()) {
            ("composefs", "enabled", value) => {
                composefs = matches!(value, "yes" | "true" | "1" | "maybe" | "verity" | "signed");
            }
            ("root", "transient", value) => transient = matches!(value, "true" | "1"),
            _ => {}
        }
    }
    Ok(composefs || transient)
}
