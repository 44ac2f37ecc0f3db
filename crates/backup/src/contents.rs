//! What a backup holds and why: the one list of all that aiOS keeps below its state directory.
//!
//! The order counts. Databases and the log are pinned in this order, within moments, and mostly nothing at all is
//! written between the first and the last of them ([`crate::moment`]). Where something was, whoever stands further
//! down may know more than those above, never less. That is what is left when a service was killed and those that it
//! had called went on a little, which their recovery deals with every day:
//! * *memory before the orchestrator*: a projection that is behind is filled again; one that is ahead would not be.
//! * *orchestrator before the workers*: a step that the journal has as begun is asked for by its key, and the worker
//!   says what became of it. The other way round a step would be done that no worker can undo.
//! * *workers before the guard*: an intent without an execution is a call that never came. An execution without its
//!   intent would be a change that nobody allowed.
//! * *the guard's databases before the log*: they are brought up to the log at each start. Rows about records that are
//!   not in the log would be of a log that was cut.
//! * *payloads before the log*: those of the last records may be missing, as after a power cut; the records are not.
//!
//! Content that never changes once it has its name (snapshots) needs no moment: it is there before a journal names
//! it, so whatever the pinned journal names is found afterwards.

/// How a file is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A SQLite database, by SQLite's own backup, and the newest schema that this version knows (`user_version`).
    Database(i64),
    /// The audit log, as the part that verifies.
    Log,
    /// Small, and changed in place: read at the moment.
    Small,
    /// Never changed once it has its name.
    Settled,
    /// Not in a backup.
    Left,
    /// Of the machine more than of the state: a restore takes it only where the machine has none.
    Machine,
    /// Not in a backup; a restore keeps what the machine has.
    Kept,
}

/// One line of the list.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Path below the state directory; `*` is one name, a last `**` all that lies below.
    pub path: &'static str,
    /// How it is copied.
    pub kind: Kind,
    /// Why.
    pub why: &'static str,
}

const fn entry(path: &'static str, kind: Kind, why: &'static str) -> Entry {
    Entry { path, kind, why }
}

use Kind::{Database, Kept, Left, Log, Machine, Settled, Small};

/// The list. The first line that fits counts.
pub const STATE: &[Entry] = &[
    entry(
        "backup/**",
        Left,
        "what a backup or a restore itself needs meanwhile",
    ),
    entry(
        "memory/working.db",
        Database(1),
        "what was decided and done; a projection of the journal",
    ),
    entry(
        "orchestrator/journal.db",
        Database(2),
        "goals, tasks, steps and schedules: the truth about work",
    ),
    entry(
        "worker/*/journal.db",
        Database(1),
        "what each worker did, by which it answers for a step and undoes it",
    ),
    entry(
        "worker/*/hw.db",
        Database(1),
        "the same, of a worker with several namespaces",
    ),
    entry("worker/*/monitor.db", Database(1), "the same"),
    entry(
        "worker/*/pkg.db",
        Database(1),
        "the same, of packages that images add",
    ),
    entry("worker/*/firewall.db", Database(1), "the same"),
    entry(
        "worker/net/pending.db",
        Database(1),
        "network changes that wait to be confirmed, and how to take them back",
    ),
    entry(
        "worker/*/store/partial/**",
        Left,
        "objects that nobody finished; removed at each start",
    ),
    entry(
        "worker/fs/store/replaced",
        Small,
        "which inode took the place of which, for undo",
    ),
    entry(
        "worker/*/store/**",
        Settled,
        "content before a change, for undo; named by its digest",
    ),
    entry(
        "worker/pkg/debs/partial/**",
        Left,
        "downloads that nobody finished",
    ),
    entry(
        "worker/pkg/debs/**",
        Settled,
        "package files that an undo installs again",
    ),
    entry("worker/process/marks/*", Small, "signals and programs in flight"),
    entry(
        "worker/sec/baselines/*",
        Small,
        "what files were like when a person approved them",
    ),
    entry(
        "worker/os/shipped",
        Machine,
        "packages of the image on this machine's disk",
    ),
    entry("worker/os/bootc.lock", Left, "a lock"),
    entry(
        "worker/os/reboot.json",
        Left,
        "a wish to start again: a restore must not carry it out",
    ),
    entry("worker/os/esp/**", Left, "a place to mount the boot partition"),
    entry(
        "worker/os/images/**",
        Kept,
        "images that this machine made of what it can start; large, and of no use to another",
    ),
    entry("worker/os/build/**", Left, "where an image is being made"),
    entry("worker/os/transient/**", Left, "packages until the next start"),
    entry(
        "worker/os/pkg/**",
        Left,
        "nothing: packages are only looked at from here",
    ),
    entry(
        "guard/guard.db",
        Database(1),
        "approvals, persons, revocations, the emergency stop, epochs",
    ),
    entry(
        "guard/executions.db",
        Database(1),
        "which call has which intent and outcome; a projection of the log",
    ),
    entry(
        "guard/restored.json",
        Left,
        "what the guard is about to record of a restore",
    ),
    entry(
        "guard/audit/payloads.db",
        Database(1),
        "inputs and outputs of logged calls, those that were not forgotten",
    ),
    entry(
        "guard/audit/**",
        Log,
        "the audit log, its checkpoints, and the key of the next one",
    ),
    entry(
        "guard/keys/*",
        Small,
        "the keys by which tokens, receipts and approvals are made",
    ),
    entry("persons/*/key", Small, "persons' own keys"),
    entry("init/services/*", Small, "services that were switched on or off"),
    entry(
        "init/first-boot",
        Machine,
        "that this machine went through its first boot",
    ),
    entry(
        "init/sign-in-shown",
        Machine,
        "that the first sign-in link was shown on this machine's screen",
    ),
    entry("init/clock", Kept, "when this machine was last shut down"),
    entry(
        "os/*",
        Machine,
        "what became of the images on this machine's disk: a restore does not change them",
    ),
    entry(
        "log/*",
        Kept,
        "what services printed; turned over by size, and no service reads it",
    ),
    entry("time/**", Kept, "how this machine's clock drifts"),
    entry(
        "sandbox/**",
        Left,
        "containers and their images: made anew from the image that runs",
    ),
];

/// Names that mean the same wherever they are.
const ANYWHERE: &[(&str, &str)] = &[
    ("-wal", "part of a database, in its copy"),
    ("-shm", "made anew by SQLite"),
    ("-journal", "part of a database, in its copy"),
    (".new", "a file that nobody finished writing"),
    (".part", "a file that nobody finished writing"),
];

/// What is known of a path: its place in the list, or `None` for one that the list does not know.
#[must_use]
pub fn find(path: &str) -> Option<(usize, &'static Entry)> {
    const REST: Entry = entry("", Left, "a file of a moment");
    if ANYWHERE.iter().any(|(end, _)| path.ends_with(end)) {
        return Some((0, &REST));
    }
    STATE.iter().enumerate().find(|(_, entry)| fits(entry.path, path))
}

/// Whether something of this kind may lie below a directory.
#[must_use]
pub fn may_hold(directory: &str, wanted: impl Fn(Kind) -> bool) -> bool {
    let mut entries = STATE.iter().filter(|entry| wanted(entry.kind));
    entries.any(|entry| is_on_the_way(entry.path, directory))
}

/// Whether all of a directory is left out.
#[must_use]
pub fn is_left(directory: &str) -> bool {
    let inside = format!("{directory}/x");
    let entry = STATE.iter().find(|entry| fits(entry.path, &inside));
    entry.is_some_and(|entry| entry.path.ends_with("**") && matches!(entry.kind, Left | Kept))
}

fn fits(pattern: &str, path: &str) -> bool {
    let mut names = path.split('/');
    for part in pattern.split('/') {
        match (part, names.next()) {
            ("**", name) => return name.is_some(),
            ("*", Some(_)) => {}
            (part, Some(name)) if part == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

fn is_on_the_way(pattern: &str, directory: &str) -> bool {
    let mut parts = pattern.split('/');
    for name in directory.split('/').filter(|name| !name.is_empty()) {
        match parts.next() {
            Some("**") => return true,
            Some("*") => {}
            Some(part) if part == name => {}
            _ => return false,
        }
    }
    parts.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn kind(path: &str) -> Option<Kind> {
        find(path).map(|(_, entry)| entry.kind)
    }

    #[test]
    fn the_first_line_that_fits_counts() {
        for (path, expected) in [
            ("guard/guard.db", Some(Database(1))),
            ("guard/guard.db-wal", Some(Left)),
            ("guard/audit/payloads.db", Some(Database(1))),
            ("guard/audit/segments/00000000000000000000.log", Some(Log)),
            ("worker/fs/store/replaced", Some(Small)),
            ("worker/fs/store/ab/abcd", Some(Settled)),
            ("worker/fs/store/partial/1", Some(Left)),
            ("worker/sec/store/ab/abcd", Some(Settled)),
            ("worker/host/hw.db", Some(Database(1))),
            ("sandbox/storage/overlay/x", Some(Left)),
            ("persons/1000/key", Some(Small)),
            ("persons/1000/other", None),
            ("tools/grown.db", None),
            ("guard", None),
        ] {
            assert_eq!(kind(path), expected, "{path}");
        }
    }

    #[test]
    fn whoever_may_know_more_is_pinned_later() {
        let at = |path: &str| find(path).unwrap().0;
        let order = [
            "memory/working.db",
            "orchestrator/journal.db",
            "worker/fs/journal.db",
            "guard/guard.db",
            "guard/executions.db",
            "guard/audit/payloads.db",
            "guard/audit/HEAD",
        ];
        assert!(order.is_sorted_by_key(|path| at(path)), "{order:?}");
    }

    #[test]
    fn directories_are_looked_into_only_for_what_may_be_there() {
        let small = |kind| kind == Small;
        for (directory, expected) in [
            ("", true),
            ("guard", true),
            ("guard/keys", true),
            ("guard/audit", false),
            ("worker/fs", true),
            ("worker/fs/store", true),
            ("worker/fs/store/ab", false),
            ("sandbox", false),
        ] {
            assert_eq!(may_hold(directory, small), expected, "{directory}");
        }
        assert!(is_left("sandbox") && is_left("worker/pkg/store/partial"));
        assert!(!is_left("worker/fs/store") && !is_left("guard") && !is_left("persons"));
    }

    fn checkout() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// Directories below the state that a service asks for, and what is known below each.
    #[test]
    fn every_state_directory_of_a_service_is_known() {
        // They keep nothing today.
        let empty = BTreeSet::from(["console", "tools"]);
        let mut seen = 0;
        for file in fs::read_dir(checkout().join("configs/services")).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            let table: toml::Table = text.parse().unwrap();
            let directories = table.get("directory").and_then(toml::Value::as_array);
            for directory in directories.into_iter().flatten() {
                let path = directory["path"].as_str().unwrap();
                let Some(name) = path.strip_prefix("${STATE}/") else {
                    continue;
                };
                seen += 1;
                assert!(
                    empty.contains(name) || may_hold(name, |_| true),
                    "{name} is not on the list of crates/backup/src/contents.rs"
                );
            }
        }
        assert!(seen > 10, "{seen} services were found");
    }

    /// Names of databases in the sources of all that runs.
    #[test]
    fn every_database_of_a_service_is_known() {
        let known: BTreeSet<&str> = STATE
            .iter()
            .filter(|entry| matches!(entry.kind, Database(_)))
            .filter_map(|entry| entry.path.rsplit('/').next())
            .collect();
        let mut found = BTreeSet::new();
        let mut queue = vec![checkout().join("crates")];
        while let Some(directory) = queue.pop() {
            for item in fs::read_dir(directory).unwrap() {
                let path = item.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if path.is_dir() && !["tests", "backup", "xtask", "bench", "target"].contains(&name.as_str())
                {
                    queue.push(path);
                } else if name.ends_with(".rs") && name != "tests.rs" {
                    let text = fs::read_to_string(&path).unwrap();
                    let code = text.split("#[cfg(test)]").next().unwrap();
                    let names = code
                        .split('"')
                        .filter(|word| word.ends_with(".db") && !word.contains('{'));
                    found.extend(names.map(str::to_owned));
                }
            }
        }
        found.retain(|name| !name.starts_with('.') && !name.contains('/'));
        assert!(found.len() >= 5, "{found:?}");
        let unknown: Vec<_> = found
            .iter()
            .filter(|name| !known.contains(name.as_str()))
            .collect();
        assert!(
            unknown.is_empty(),
            "{unknown:?} are not on the list of crates/backup/src/contents.rs"
        );
    }
}
