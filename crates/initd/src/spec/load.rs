//! Reading service files: two layers and placeholders.

use super::check::{check, is_name};
use super::{Ready, Restart, Spec, read};
use crate::error::{InitError, Result};
use aios_core::config;
use aios_core::paths::Paths;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// As many services are taken in; descriptors are kept for each of them.
pub(crate) const MOST: usize = 128;
/// As many wrong files are reported one by one.
const REPORTED: usize = 32;

/// The text of a service's file in one layer.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) file: String,
    pub(super) text: String,
}

/// The services of both layers, by name, and what is wrong with the files that were left out.
pub fn load_all(paths: &Paths) -> (BTreeMap<String, Spec>, Vec<InitError>) {
    let (mut specs, mut errors) = (BTreeMap::new(), Vec::new());
    for (name, files) in find_all(paths, &mut errors) {
        match load_one(&name, &files, paths) {
            Ok(spec) => {
                specs.insert(name, spec);
            }
            Err(error) => errors.push(error),
        }
    }
    let more = errors.len().saturating_sub(REPORTED);
    if more > 0 {
        errors.truncate(REPORTED);
        errors.push(InitError::Spec {
            file: "services".into(),
            message: format!("{more} more files are wrong"),
        });
    }
    (specs, errors)
}

/// Files by the name of their service, the vendor's first. What the vendor ships is never left out for what
/// the administrator adds.
fn find_all(paths: &Paths, errors: &mut Vec<InitError>) -> BTreeMap<String, Vec<PathBuf>> {
    let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for directory in paths.layers("services") {
        let mut more = 0;
        let listed = toml_files(&directory).unwrap_or_else(|error| {
            errors.push(error);
            Vec::new()
        });
        for path in listed {
            let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
            if !is_name(name) {
                errors.push(InitError::Spec {
                    file: format!("{:?}", path.as_os_str()),
                    message: "a service's name is at most 40 letters, digits, `-` or `_`".into(),
                });
            } else if files.len() < MOST || files.contains_key(name) {
                files.entry(name.to_owned()).or_default().push(path);
            } else {
                more += 1;
            }
        }
        if more > 0 {
            errors.push(InitError::Spec {
                file: directory.display().to_string(),
                message: format!("{more} files are left out: there are at most {MOST} services"),
            });
        }
    }
    files
}

fn toml_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(InitError::path("cannot read", directory)(error)),
    };
    let mut list = Vec::new();
    for entry in entries {
        let path = entry.map_err(InitError::path("cannot read", directory))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            list.push(path);
        }
    }
    list.sort();
    Ok(list)
}

/// The texts of a service's files.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Layer>> {
    let one = |path: &PathBuf| {
        Ok(Layer {
            file: path.display().to_string(),
            text: read::text(path).map_err(InitError::path("cannot read", path))?,
        })
    };
    files.iter().map(one).collect()
}

fn load_one(name: &str, files: &[PathBuf], paths: &Paths) -> Result<Spec> {
    let layers = read(files)?;
    let mut merged = toml::Table::new();
    for Layer { file, text } in &layers {
        // Each layer is checked by itself, so that an error names the right file and line.
        config::parse_file::<Spec>(file, text)?;
        for (key, value) in config::parse_file::<toml::Table>(file, text)? {
            merge(&mut merged, key, value);
        }
    }
    let silent = !merged.contains_key("restart");
    let mut spec: Spec = toml::Value::Table(merged)
        .try_into()
        .map_err(|error: toml::de::Error| InitError::Spec {
            file: layers.last().map(|layer| layer.file.clone()).unwrap_or_default(),
            message: error.message().into(),
        })?;
    if silent && spec.ready == Ready::Exit {
        spec.restart = Restart::Never;
    }
    name.clone_into(&mut spec.name);
    spec.files = layers.iter().map(|layer| layer.file.clone()).collect();
    expand(&mut spec, paths);
    check(&spec, &layers)?;
    Ok(spec)
}

fn merge(into: &mut toml::Table, key: String, value: toml::Value) {
    match (into.get_mut(&key), value) {
        (Some(toml::Value::Table(old)), toml::Value::Table(new)) => {
            for (key, value) in new {
                merge(old, key, value);
            }
        }
        (_, value) => {
            into.insert(key, value);
        }
    }
}

/// Puts the directories of this instance in.
fn expand(spec: &mut Spec, paths: &Paths) {
    let fill = |text: &mut String| {
        for (name, path) in [
            ("${VENDOR}", &paths.vendor),
            ("${ETC}", &paths.etc),
            ("${STATE}", &paths.state),
            ("${RUN}", &paths.run),
        ] {
            if text.contains(name) {
                *text = text.replace(name, &path.to_string_lossy());
            }
        }
    };
    let confine = &mut spec.confine;
    let lists = [
        &mut spec.command,
        &mut confine.hide,
        &mut confine.hide_if_there,
        &mut confine.bind,
        &mut confine.bind_read_only,
        &mut confine.bind_read_only_if_there,
        &mut confine.read_only,
    ];
    lists.into_iter().flatten().for_each(fill);
    spec.environment.values_mut().for_each(fill);
    fill(&mut spec.working_directory);
    spec.socket.iter_mut().for_each(|socket| fill(&mut socket.path));
    spec.directory
        .iter_mut()
        .for_each(|directory| fill(&mut directory.path));
    if let Some(program) = spec.command.first_mut().filter(|program| !program.contains('/')) {
        *program = paths
            .vendor
            .join("bin")
            .join(&*program)
            .to_string_lossy()
            .into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph;

    /// The services that are shipped, as a development tree has them.
    fn shipped() -> BTreeMap<String, Spec> {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::development(root.path());
        fs::create_dir_all(&paths.vendor).unwrap();
        let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/services");
        std::os::unix::fs::symlink(configs, paths.vendor.join("services")).unwrap();
        let (specs, errors) = load_all(&paths);
        assert!(errors.is_empty(), "{errors:?}");
        specs
    }

    #[test]
    fn the_shipped_services_start_in_the_order_of_trust() {
        let order = graph::start_order(&shipped()).unwrap();
        let place = |name: &str| order.iter().position(|known| known == name).unwrap();
        let wanted = [
            "aios-guard",
            "aios-worker-fs",
            "aios-tools",
            "aios-memory",
            "aios-orchestrator",
            "aios-sandbox",
            "aios-console",
        ];
        for pair in wanted.windows(2) {
            assert!(place(pair[0]) < place(pair[1]), "{pair:?} in {order:?}");
        }
    }

    #[test]
    fn every_shipped_service_is_confined_or_says_why_not() {
        for (name, spec) in shipped() {
            let root = ["aios-sshd", "aios-worker-pkg"];
            assert_eq!(spec.user == "root", root.contains(&name.as_str()), "{name}");
            if name == "aios-sshd" {
                // Whoever signs in is a person, not a confined process.
                assert!(spec.machine_only && !spec.enabled && !spec.confine.capabilities.is_empty());
                assert_eq!(spec.confine.apparmor, name);
                continue;
            }
            if spec.confine.setuid_helpers {
                assert_eq!(name, "aios-sandbox");
                continue;
            }
            assert!(spec.confine.no_new_privs, "{name}");
            assert!(!spec.confine.seccomp.is_empty(), "{name}");
            assert!(!spec.confine.apparmor.is_empty(), "{name}");
            assert!(
                spec.confine.hide.iter().any(|path| path.ends_with("/var")),
                "{name}"
            );
            let privileged = [
                "aios-network",
                "aios-time",
                "aios-worker-fs",
                "aios-worker-net",
                "aios-worker-os",
                "aios-worker-pkg",
                "aios-worker-process",
                "aios-worker-sec",
            ];
            assert_eq!(
                spec.confine.capabilities.is_empty(),
                !privileged.contains(&name.as_str()),
                "{name}"
            );
        }
    }

    #[test]
    fn the_administrators_file_wins_key_by_key() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::development(root.path());
        for (directory, text) in [
            (
                &paths.vendor,
                "command = [\"x\", \"${RUN}/a\"]\nuser = \"daemon\"\n[limits]\npids = 5\nopen_files = 7\n",
            ),
            (&paths.etc, "enabled = false\n[limits]\npids = 9\n"),
        ] {
            fs::create_dir_all(directory.join("services")).unwrap();
            fs::write(directory.join("services/one.toml"), text).unwrap();
        }
        let (specs, errors) = load_all(&paths);
        assert!(errors.is_empty(), "{errors:?}");
        let one = specs.get("one").unwrap();
        assert_eq!(
            (one.enabled, one.limits.pids, one.limits.open_files),
            (false, Some(9), Some(7))
        );
        let vendor = paths.vendor.join("bin/x").to_string_lossy().into_owned();
        let argument = paths.run.join("a").to_string_lossy().into_owned();
        assert_eq!(one.command, [vendor, argument]);
    }

    #[test]
    fn one_wrong_file_does_not_hide_the_others() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::development(root.path());
        fs::create_dir_all(paths.vendor.join("services")).unwrap();
        for (name, text) in [
            ("good", "command = [\"x\"]\nuser = \"daemon\"\n"),
            ("bad", "command = 3\n"),
        ] {
            fs::write(paths.vendor.join("services").join(format!("{name}.toml")), text).unwrap();
        }
        let (specs, errors) = load_all(&paths);
        assert_eq!(specs.keys().collect::<Vec<_>>(), ["good"]);
        assert_eq!(errors.len(), 1);
    }
}
