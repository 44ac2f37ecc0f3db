//! Users and groups of the image against what sysusers.d(5) declares.

use anyhow::Result;
use std::collections::BTreeSet;

use super::tree::Tree;

const DECLARED: &str = "usr/lib/sysusers.d";

/// Users and groups that no file declares, and lines that cannot be read.
pub(super) fn undeclared(tree: &Tree) -> Result<Vec<String>> {
    let Some(passwd) = tree.text("etc/passwd")? else {
        return Ok(Vec::new());
    };
    let group = tree.text("etc/group")?.unwrap_or_default();
    let (declared, mut found) = declared(tree)?;
    for (file, what, text, known) in [
        ("passwd", "user", &passwd, &declared.users),
        ("group", "group", &group, &declared.groups),
    ] {
        let missing = names(text).filter(|name| !known.contains(*name));
        found.extend(missing.map(|name| format!("the {what} {name} of /etc/{file} is declared nowhere")));
    }
    Ok(found)
}

#[derive(Default)]
struct Declared {
    users: BTreeSet<String>,
    groups: BTreeSet<String>,
}

fn declared(tree: &Tree) -> Result<(Declared, Vec<String>)> {
    let mut declared = Declared::default();
    let mut unreadable = Vec::new();
    for entry in tree.list(DECLARED)?.unwrap_or_default() {
        let Some(name) = entry.name().to_str().filter(|name| name.ends_with(".conf")) else {
            continue;
        };
        let text = tree.text(&format!("{DECLARED}/{name}"))?.unwrap_or_default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if declare(line, &mut declared).is_none() {
                unreadable.push(format!("/{DECLARED}/{name} has a line without a name: {line}"));
            }
        }
    }
    Ok((declared, unreadable))
}

/// Takes one line in; nothing when it has no name. A user brings a group of the same name; memberships and ranges
/// declare nobody.
fn declare(line: &str, declared: &mut Declared) -> Option<()> {
    let mut words = line.split_whitespace();
    let (kind, name) = (words.next()?, words.next()?);
    if matches!(kind, "u" | "u!") {
        declared.users.insert(name.to_owned());
    }
    if matches!(kind, "u" | "u!" | "g") {
        declared.groups.insert(name.to_owned());
    }
    Some(())
}

/// The names in a file of passwd(5) or group(5), without what includes other sources (nsswitch.conf(5)).
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '+', '-']))
        .filter_map(|line| line.split(':').next())
}
