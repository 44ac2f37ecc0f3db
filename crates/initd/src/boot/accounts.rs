//! Users of a newer image. An image update merges `/etc`: where the administrator added a user, the password file stays as
//! it was, and the users that the new image brings are missing. systemd-sysusers adds them, with the numbers that
//! their files name, and changes nobody who is there.

use super::hardware::tool;
use super::{Outcome, Setup, drop_in};
use crate::error::{InitError, Result};
use crate::supervise::World;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const TOOL: &str = "/usr/bin/systemd-sysusers";

/// Adds them.
pub(super) fn add(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    if !Path::new(TOOL).exists() {
        return Ok(Outcome::Skipped("no systemd-sysusers"));
    }
    let added = add_in(Path::new("/"))?;
    Ok(Outcome::Done(if added.is_empty() {
        String::new()
    } else {
        format!("added {}", added.join(" "))
    }))
}

fn add_in(root: &Path) -> Result<Vec<String>> {
    let before = Accounts::read(root)?;
    if before.have_all(&drop_in::lines(root, "sysusers.d")?) {
        return Ok(Vec::new());
    }
    tool(TOOL, &[&format!("--root={}", root.display())])?;
    let after = Accounts::read(root)?;
    Ok(after.users.difference(&before.users).cloned().collect())
}

/// Names that `/etc/passwd` and `/etc/group` have.
struct Accounts {
    users: BTreeSet<String>,
    groups: BTreeSet<String>,
    /// Groups with those that belong to them besides: `GROUP:USER`.
    members: BTreeSet<String>,
}

impl Accounts {
    fn read(root: &Path) -> Result<Self> {
        let first = |line: &str| line.split(':').next().map(str::to_owned);
        let groups = text(&root.join("etc/group"))?;
        let members = groups.lines().filter_map(|line| {
            let (group, users) = (line.split(':').next()?, line.split(':').nth(3)?);
            Some(users.split(',').map(move |user| format!("{group}:{user}")))
        });
        Ok(Self {
            users: text(&root.join("etc/passwd"))?
                .lines()
                .filter_map(first)
                .collect(),
            groups: groups.lines().filter_map(first).collect(),
            members: members.flatten().collect(),
        })
    }

    /// Whether nothing of sysusers.d(5) is missing. Nearly every boot finds it so, and then the tool, the first program
    /// that needs systemd's large library, need not be read from the disk.
    fn have_all(&self, lines: &[drop_in::Line]) -> bool {
        lines.iter().all(|line| {
            let mut words = line.text.split_whitespace();
            let (kind, name, other) = (words.next(), words.next().unwrap_or_default(), words.next());
            match kind {
                Some("u" | "u!") => self.users.contains(name),
                Some("g") => self.groups.contains(name),
                Some("m") => self
                    .members
                    .contains(&format!("{}:{name}", other.unwrap_or_default())),
                // A range of numbers makes nobody.
                Some("r") => true,
                _ => false,
            }
        })
    }
}

/// A file's text; none of one that is not there.
fn text(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(InitError::path("cannot read", path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_a_newer_image_are_added_with_their_numbers_and_others_stay() {
        if !aios_tests_root::as_root().unwrap() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        for directory in ["etc", "usr/lib/sysusers.d"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        write(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\nanna:x:1001:1001::/home/anna:/bin/sh\n",
        );
        write("etc/group", "root:x:0:\nanna:x:1001:\n");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bootc/sysusers.d/aios.conf");
        fs::copy(shipped, root.path().join("usr/lib/sysusers.d/aios.conf")).unwrap();
        let added = add_in(root.path()).unwrap();
        assert!(added.contains(&"aios-time".to_owned()), "{added:?}");
        let passwd = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
        assert!(
            passwd.contains("anna:x:1001:1001::/home/anna:/bin/sh\n"),
            "{passwd}"
        );
        assert!(passwd.contains("\naios-time:x:798:798:"), "{passwd}");
        assert_eq!(add_in(root.path()).unwrap(), Vec::<String>::new());
        let lines = drop_in::lines(root.path(), "sysusers.d").unwrap();
        assert!(Accounts::read(root.path()).unwrap().have_all(&lines));
        fs::write(root.path().join("etc/group"), "root:x:0:\n").unwrap();
        assert!(
            !Accounts::read(root.path()).unwrap().have_all(&lines),
            "a group is missing"
        );
    }
}
