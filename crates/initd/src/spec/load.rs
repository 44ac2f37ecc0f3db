//! Reading service files: two layers, placeholders, and checks that the types cannot make.

use super::{Ready, Restart, Spec};
use crate::error::{InitError, Result};
use aios_core::config::{self, ConfigError};
use aios_core::paths::Paths;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The services of both layers, by name, and what is wrong with the files that were left out.
///
/// # Errors
/// A directory cannot be read.
pub fn load_all(paths: &Paths) -> Result<(BTreeMap<String, Spec>, Vec<InitError>)> {
    let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for directory in paths.layers("services") {
        for path in toml_files(&directory)? {
            if let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) {
                files.entry(name.to_owned()).or_default().push(path);
            }
        }
    }
    let (mut specs, mut errors) = (BTreeMap::new(), Vec::new());
    for (name, layers) in files {
        match load_one(&name, &layers, paths) {
            Ok(spec) => {
                specs.insert(name, spec);
            }
            Err(error) => errors.push(error),
        }
    }
    Ok((specs, errors))
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

fn load_one(name: &str, layers: &[PathBuf], paths: &Paths) -> Result<Spec> {
    let mut merged = toml::Table::new();
    let mut last = String::new();
    for path in layers {
        let file = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            file: path.clone(),
            source,
        })?;
        // Each layer is checked by itself, so that an error names the right file and line.
        config::parse_file::<Spec>(&file, &text)?;
        for (key, value) in config::parse_file::<toml::Table>(&file, &text)? {
            merge(&mut merged, key, value);
        }
        last = file;
    }
    let silent = !merged.contains_key("restart");
    let mut spec: Spec = toml::Value::Table(merged)
        .try_into()
        .map_err(|error: toml::de::Error| InitError::Spec {
            file: last.clone(),
            message: error.message().into(),
        })?;
    name.clone_into(&mut spec.name);
    spec.files = layers.iter().map(|path| path.display().to_string()).collect();
    if silent && spec.ready == Ready::Exit {
        spec.restart = Restart::Never;
    }
    expand(&mut spec, paths);
    check(&spec, &last)?;
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

/// What must hold beyond the types.
fn check(spec: &Spec, file: &str) -> Result<()> {
    let fail = |message: String| {
        Err(InitError::Spec {
            file: file.to_owned(),
            message,
        })
    };
    if spec.command.is_empty() {
        return fail("key `command` is missing: the program to run".into());
    }
    if spec.user.is_empty() {
        return fail("key `user` is missing: the user to run as".into());
    }
    if !spec.working_directory.is_empty() && !spec.working_directory.starts_with('/') {
        return fail(format!(
            "`working_directory` is {:?}, which is no absolute path",
            spec.working_directory
        ));
    }
    if spec.restart_min_ms == 0 || spec.restart_max_ms < spec.restart_min_ms {
        return fail("`restart_min_ms` must be above 0 and not above `restart_max_ms`".into());
    }
    if spec.ready == Ready::Exit && spec.restart == Restart::Always {
        return fail("`ready = \"exit\"` goes with `restart = \"on-failure\"` or `\"never\"`".into());
    }
    if spec.name.len() > 40
        || !spec
            .name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    {
        return fail("a service's name is at most 40 letters, digits, `-` or `_`".into());
    }
    if !spec.confine.seccomp.is_empty() && !spec.confine.no_new_privs {
        return fail("`confine.seccomp` needs `confine.no_new_privs`".into());
    }
    if !["services", "workers", "agents"].contains(&spec.confine.slice.as_str()) {
        return fail(format!(
            "`confine.slice` is {:?}, not services, workers or agents",
            spec.confine.slice
        ));
    }
    let modes = spec
        .socket
        .iter()
        .map(|s| &s.mode)
        .chain(spec.directory.iter().map(|d| &d.mode));
    for mode in modes.chain([&spec.confine.umask]) {
        if u32::from_str_radix(mode, 8).map_or(true, |bits| bits > 0o7777) {
            return fail(format!("{mode:?} is not an octal mode"));
        }
    }
    for names in [&spec.confine.capabilities, &spec.confine.capabilities_if_there] {
        aios_confine::caps::CapSet::of(names).map_err(|source| InitError::Confine {
            service: spec.name.clone(),
            source,
        })?;
    }
    Ok(())
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
        let (specs, errors) = load_all(&paths).unwrap();
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
            assert_eq!(spec.user == "root", name == "aios-worker-pkg", "{name}");
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
                "aios-worker-fs",
                "aios-worker-net",
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
        let (specs, errors) = load_all(&paths).unwrap();
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
        let (specs, errors) = load_all(&paths).unwrap();
        assert_eq!(specs.keys().collect::<Vec<_>>(), ["good"]);
        assert_eq!(errors.len(), 1);
    }
}
