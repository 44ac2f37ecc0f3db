//! Which package a file belongs to, as the package database says: dpkg's lists of files. It reads the lists
//! and nothing else; packages are installed and removed by another namespace.

use super::machine::Machine;
use crate::budget::Budget;
use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet};

/// Where the database is: on an ordinary Debian, and in an image whose `/var` is state only.
const DATABASES: [&str; 2] = ["/var/lib/dpkg", "/usr/lib/sysimage/dpkg"];

/// The package of each wanted path that has one, by the path as the machine names it; `None` on a machine
/// without a package database.
pub(super) fn owners(
    machine: &Machine,
    wanted: &BTreeSet<String>,
    budget: &Budget,
) -> Result<Option<BTreeMap<String, String>>> {
    for database in DATABASES {
        let info = format!("{database}/info");
        let lists: Vec<String> = machine
            .names(&info)?
            .into_iter()
            .filter(|name| name.ends_with(".list"))
            .collect();
        if lists.is_empty() {
            continue;
        }
        let mut owners = BTreeMap::new();
        for list in lists {
            budget.check()?;
            let text = machine.text(&format!("{info}/{list}"))?.unwrap_or_default();
            let package = list.trim_end_matches(".list");
            for line in text.lines() {
                for name in [line, &merged(line)] {
                    if wanted.contains(name) {
                        owners.insert(name.to_owned(), package.to_owned());
                    }
                }
            }
        }
        return Ok(Some(owners));
    }
    Ok(None)
}

/// Where a file lies once `/bin`, `/sbin` and `/lib*` are links into `/usr`: lists may still use the old name.
fn merged(path: &str) -> String {
    let old = ["/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/"];
    if old.iter().any(|dir| path.starts_with(dir)) {
        format!("/usr{path}")
    } else {
        path.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_still_uses_the_old_name_is_understood() {
        let dir = tempfile::tempdir().unwrap();
        let info = dir.path().join("var/lib/dpkg/info");
        std::fs::create_dir_all(&info).unwrap();
        std::fs::write(
            info.join("login:amd64.list"),
            "/.\n/bin\n/bin/su\n/usr/bin/newgrp\n",
        )
        .unwrap();
        let machine = Machine::at(dir.path(), "/proc");
        let wanted = ["/usr/bin/su", "/usr/bin/newgrp", "/usr/bin/own"].map(str::to_owned);
        let owners = owners(&machine, &wanted.into(), &Budget::of_ms(5000))
            .unwrap()
            .unwrap();
        assert_eq!(owners.len(), 2);
        assert_eq!(owners["/usr/bin/su"], "login:amd64");
        let empty = Machine::at(dir.path().join("usr"), "/proc");
        std::fs::create_dir(dir.path().join("usr")).unwrap();
        assert!(
            super::owners(&empty, &BTreeSet::new(), &Budget::of_ms(5000))
                .unwrap()
                .is_none()
        );
    }
}
