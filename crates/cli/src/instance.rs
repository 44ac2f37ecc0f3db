//! Which instance of aiOS a command talks to, and where its files lie.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aios_client::Services;
use aios_core::paths::Paths;

/// What of the process a command may see; passed in so that tests decide it.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Current directory.
    pub current_dir: PathBuf,
    /// Environment.
    pub environment: BTreeMap<String, String>,
    /// Where an installed instance has its sockets; `/run/aios` outside tests.
    pub installed_run: PathBuf,
    /// Effective user.
    pub uid: u32,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self {
            current_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            environment: environment.collect(),
            installed_run: Paths::installed().run,
            uid: rustix::process::geteuid().as_raw(),
        }
    }
}

/// One instance of aiOS.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its directories.
    pub paths: Paths,
    /// Its services.
    pub services: Services,
    /// Who asks.
    pub uid: u32,
    /// The environment, which is a layer of the configuration.
    pub environment: BTreeMap<String, String>,
}

impl Instance {
    /// The instance named by `socket`; else an installed one; else that of the checkout around the
    /// current directory; else the installed layout, so that an error names its sockets.
    pub fn find(socket: Option<&Path>, surroundings: &Surroundings) -> Self {
        let lookup = |name: &str| surroundings.environment.get(name).map(PathBuf::from);
        let run = socket
            .map(|dir| surroundings.current_dir.join(dir))
            .or_else(|| lookup("AIOS_RUN_DIR"))
            .or_else(|| lookup("AIOS_STATE").map(|state| surroundings.current_dir.join(state).join("run")))
            .or_else(|| {
                surroundings
                    .installed_run
                    .is_dir()
                    .then(|| surroundings.installed_run.clone())
            })
            .or_else(|| checkout_run(&surroundings.current_dir))
            .unwrap_or_else(|| surroundings.installed_run.clone());
        let base = layout_around(&run);
        let paths = Paths {
            vendor: lookup("AIOS_VENDOR_DIR").unwrap_or(base.vendor),
            etc: lookup("AIOS_ETC_DIR").unwrap_or(base.etc),
            state: lookup("AIOS_STATE_DIR").unwrap_or(base.state),
            run,
        };
        Self {
            services: Services::new(&paths.run),
            paths,
            uid: surroundings.uid,
            environment: surroundings.environment.clone(),
        }
    }
}

fn checkout_run(from: &Path) -> Option<PathBuf> {
    from.ancestors()
        .map(|dir| dir.join(".aios").join("run"))
        .find(|run| run.is_dir())
}

/// A run directory with `var` beside it belongs to a development tree.
fn layout_around(run: &Path) -> Paths {
    match run.parent() {
        Some(root) if run.file_name().is_some_and(|name| name == "run") && root.join("var").is_dir() => {
            Paths::development(root)
        }
        _ => Paths::installed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn surroundings(root: &Path) -> Surroundings {
        Surroundings {
            current_dir: root.join("checkout/crates/cli"),
            environment: BTreeMap::new(),
            installed_run: root.join("installed"),
            uid: 1000,
        }
    }

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for dir in ["checkout/crates/cli", "checkout/.aios/run", "checkout/.aios/var"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        root
    }

    #[test]
    fn the_checkout_around_the_current_directory_is_found_with_its_state() {
        let root = tree();
        let instance = Instance::find(None, &surroundings(root.path()));
        assert_eq!(
            instance.paths,
            Paths::development(&root.path().join("checkout/.aios"))
        );
    }

    #[test]
    fn an_installed_instance_goes_before_the_checkout() {
        let root = tree();
        fs::create_dir(root.path().join("installed")).unwrap();
        let instance = Instance::find(None, &surroundings(root.path()));
        assert_eq!(instance.paths.run, root.path().join("installed"));
        assert_eq!(instance.paths.state, Path::new("/var/lib/aios"));
    }

    #[test]
    fn a_named_directory_goes_before_everything_and_may_be_relative() {
        let root = tree();
        fs::create_dir(root.path().join("installed")).unwrap();
        let instance = Instance::find(Some(Path::new("../../.aios/run")), &surroundings(root.path()));
        assert!(
            instance
                .paths
                .run
                .ends_with("checkout/crates/cli/../../.aios/run")
        );
        assert!(instance.paths.state.ends_with(".aios/var"));
    }

    #[test]
    fn without_any_instance_the_installed_sockets_are_named() {
        let root = tempfile::tempdir().unwrap();
        let instance = Instance::find(None, &surroundings(root.path()));
        assert_eq!(instance.paths.run, root.path().join("installed"));
    }
}
