//! The kernel's settings, by sysctl.d(5): `name = value`, a dash before the name where it may fail, `*` for any
//! part of a name; a name without a value keeps others' patterns away from it.

use super::drop_in::{self, Line};
use super::{Outcome, Setup};
use crate::error::{InitError, Result};
use crate::supervise::World;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A line, understood.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    place: String,
    /// Below `/proc/sys`.
    name: String,
    /// None: patterns leave it alone.
    value: Option<String>,
    may_fail: bool,
}

/// Sets them all.
pub(super) fn apply(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    let root = Path::new("/");
    let (count, wrong) = set_all(root, &drop_in::lines(root, "sysctl.d")?);
    if wrong.is_empty() {
        Ok(Outcome::Done(format!("{count} set")))
    } else {
        Err(InitError::LeftOut(format!(
            "{count} set; not {}",
            wrong.join("; not ")
        )))
    }
}

/// Yields how many were set, and what is wrong with the others.
fn set_all(root: &Path, lines: &[Line]) -> (usize, Vec<String>) {
    let base = root.join("proc/sys");
    let (mut count, mut wrong) = (0, Vec::new());
    let mut settings = Vec::new();
    for line in lines {
        match parse(line) {
            Some(setting) => settings.push(setting),
            None => wrong.push(format!("{}: {:?} is no `name = value`", line.place, line.text)),
        }
    }
    let plain: BTreeSet<&str> = settings
        .iter()
        .filter(|setting| !setting.name.contains('*'))
        .map(|setting| setting.name.as_str())
        .collect();
    for setting in &settings {
        let Some(value) = &setting.value else { continue };
        let pattern = setting.name.contains('*');
        for path in places(&base, &setting.name) {
            let named = path
                .strip_prefix(&base)
                .is_ok_and(|name| plain.contains(&*name.to_string_lossy()));
            if pattern && named {
                continue;
            }
            match fs::write(&path, value) {
                Ok(()) => count += 1,
                Err(_) if setting.may_fail => {}
                Err(error) => wrong.push(format!("{}: {}: {error}", setting.place, path.display())),
            }
        }
    }
    (count, wrong)
}

fn parse(line: &Line) -> Option<Setting> {
    let (name, value) = match line.text.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim().to_owned())),
        None => (line.text.as_str(), None),
    };
    let (name, may_fail) = match name.strip_prefix('-') {
        Some(name) => (name.trim(), true),
        None => (name, false),
    };
    if value.is_none() && !may_fail {
        return None;
    }
    let name = path_of(name);
    let good = !name.is_empty() && name.split('/').all(|part| !part.is_empty() && part != "..");
    good.then(|| Setting {
        place: line.place.clone(),
        name,
        value,
        may_fail,
    })
}

/// The first separator decides: `a.b/c` is `a/b.c`, and `a/b.c` is that already.
fn path_of(name: &str) -> String {
    let swap = |letter| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    match name.find(['.', '/']) {
        Some(place) if name.get(place..).is_some_and(|rest| rest.starts_with('.')) => {
            name.chars().map(swap).collect()
        }
        _ => name.to_owned(),
    }
}

/// The files that a name stands for; one without `*` stands for itself, whether it is there or not.
fn places(base: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = vec![base.to_owned()];
    for part in name.split('/') {
        found = found.iter().flat_map(|above| step(above, part)).collect();
    }
    found
}

fn step(above: &Path, part: &str) -> Vec<PathBuf> {
    let Some((start, end)) = part.split_once('*') else {
        return vec![above.join(part)];
    };
    let fits =
        |name: &str| name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end);
    // A pattern that meets no directory stands for nothing.
    let entries = fs::read_dir(above).into_iter().flatten().flatten();
    let mut list: Vec<PathBuf> = entries
        .filter(|entry| fits(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    list.sort();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line {
            place: "x.conf:1".into(),
            text: text.into(),
        }
    }

    fn tree(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in names {
            let path = root.path().join("proc/sys").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "old").unwrap();
        }
        root
    }

    fn read(root: &tempfile::TempDir, name: &str) -> String {
        fs::read_to_string(root.path().join("proc/sys").join(name)).unwrap()
    }

    #[test]
    fn both_spellings_of_a_name_mean_one_file() {
        for (name, path) in [
            ("kernel.kptr_restrict", "kernel/kptr_restrict"),
            ("net/ipv4/conf/eth0.1/rp_filter", "net/ipv4/conf/eth0.1/rp_filter"),
            ("net.ipv4.conf.eth0/1.rp_filter", "net/ipv4/conf/eth0.1/rp_filter"),
        ] {
            assert_eq!(path_of(name), path);
        }
    }

    #[test]
    fn the_last_value_holds_and_patterns_leave_named_ones_alone() {
        let root = tree(&["kernel/a", "net/conf/one/x", "net/conf/two/x", "net/conf/three/x"]);
        let lines = [
            line("kernel.a = 1"),
            line("net.conf.one.x = 5"),
            line("net.conf.*.x = 7"),
            line("-net.conf.three.x"),
            line("kernel.a=2"),
        ];
        assert_eq!(set_all(root.path(), &lines), (4, Vec::new()));
        let values = ["kernel/a", "net/conf/one/x", "net/conf/two/x", "net/conf/three/x"]
            .map(|name| read(&root, name));
        assert_eq!(values, ["2", "5", "7", "old"]);
    }

    #[test]
    fn what_is_wrong_is_named_unless_a_dash_allows_it() {
        let root = tree(&["kernel/a"]);
        let lines = [
            line("-no.such = 1"),
            line("no.such = 1"),
            line("kernel.a"),
            line("kernel/../../etc/passwd = x"),
        ];
        let (count, wrong) = set_all(root.path(), &lines);
        assert_eq!((count, wrong.len()), (0, 3), "{wrong:?}");
        assert!(
            wrong.iter().all(|text| text.starts_with("x.conf:1: ")),
            "{wrong:?}"
        );
    }

    #[test]
    fn the_shipped_settings_are_understood() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bootc/sysctl.d/50-aios.conf");
        let text = fs::read_to_string(shipped).unwrap();
        let lines = text
            .lines()
            .filter(|text| !text.is_empty() && !text.starts_with('#'));
        assert!(lines.clone().count() > 5);
        assert!(lines.map(line).all(|line| parse(&line).is_some()));
    }
}
