//! What was switched on and off since: one small file a service in `state/init/services/`, which wins over
//! the service's own files. It is there only while it says something else than they do.
//!
//! ```toml
//! enabled = false
//! ```

use super::unit::Unit;
use crate::error::{InitError, Result};
use crate::spec::Spec;
use aios_core::config;
use aios_core::paths::Paths;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The directory of these files.
#[derive(Debug)]
pub(crate) struct Switches {
    directory: PathBuf,
}

/// One file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    enabled: bool,
}

impl Switches {
    /// Those of an instance.
    pub(crate) fn of(paths: &Paths) -> Self {
        Self {
            directory: paths.state.join("init").join("services"),
        }
    }

    /// A service as its files and its switch say. A switch that cannot be read is reported, and the files hold:
    /// one damaged file must not stop the boot.
    pub(crate) fn unit(&self, spec: Spec) -> Unit {
        let mut unit = Unit::new(spec);
        match self.get(&unit.spec.name) {
            Ok(said) => unit.spec.enabled = said.unwrap_or(unit.enabled_by_file),
            Err(error) => tracing::error!(service = unit.spec.name, %error, "a switch is ignored"),
        }
        unit
    }

    /// What was said of a service; none when its files decide.
    pub(crate) fn get(&self, name: &str) -> Result<Option<bool>> {
        let path = self.path(name);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let switch: Switch = config::parse_file(&path.display().to_string(), &text)?;
                Ok(Some(switch.enabled))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(InitError::path("cannot read", &path)(error)),
        }
    }

    /// Has a service on or off; durable when it returns. `by_file` is what its files say.
    pub(crate) fn set(&self, name: &str, enabled: bool, by_file: bool) -> Result<()> {
        let path = self.path(name);
        if enabled == by_file {
            return match fs::remove_file(&path) {
                Ok(()) => sync(&self.directory),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                Err(error) => Err(InitError::path("cannot remove", &path)(error)),
            };
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .map_err(InitError::path("cannot make", &self.directory))?;
        let new = path.with_extension("new");
        write(&new, enabled).map_err(InitError::path("cannot write", &new))?;
        fs::rename(&new, &path).map_err(InitError::path("cannot replace", &path))?;
        sync(&self.directory)?;
        // The directories may be new themselves.
        self.directory.ancestors().skip(1).take(2).try_for_each(sync)
    }

    /// Names of services have no slash and no dot.
    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.toml"))
    }
}

fn write(path: &Path, enabled: bool) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "enabled = {enabled}")?;
    file.sync_all()
}

fn sync(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(InitError::path("cannot sync", directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_kept_while_it_says_something_else_than_the_files() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::development(root.path());
        let switches = Switches::of(&paths);
        assert_eq!(switches.get("one").unwrap(), None);
        switches.set("one", false, true).unwrap();
        assert_eq!(Switches::of(&paths).get("one").unwrap(), Some(false));
        let spec = Spec {
            name: "one".into(),
            ..Spec::default()
        };
        let unit = switches.unit(spec.clone());
        assert_eq!((unit.spec.enabled, unit.enabled_by_file), (false, true));
        switches.set("one", true, true).unwrap();
        assert_eq!(fs::read_dir(&switches.directory).unwrap().count(), 0);
        assert!(switches.unit(spec).spec.enabled);
    }

    #[test]
    fn a_damaged_switch_is_an_error_and_the_files_hold() {
        let root = tempfile::tempdir().unwrap();
        let switches = Switches::of(&Paths::development(root.path()));
        switches.set("one", false, true).unwrap();
        fs::write(switches.path("one"), "enabled = perhaps\n").unwrap();
        assert!(
            switches
                .get("one")
                .unwrap_err()
                .to_string()
                .contains("one.toml:1")
        );
        let spec = Spec {
            name: "one".into(),
            ..Spec::default()
        };
        assert!(switches.unit(spec).spec.enabled);
    }
}
