//! Where files live. One layout serves an installed machine and a development tree:
//!
//! | directory | installed | development (`$AIOS_STATE`) | holds |
//! |---|---|---|---|
//! | vendor | `/usr/lib/aios` | `vendor/` | binaries, default configuration, services, agents, runbooks |
//! | etc | `/etc/aios` | `etc/` | what the administrator changed |
//! | state | `/var/lib/aios` | `var/` | one directory a service, private to its user |
//! | run | `/run/aios` | `run/` | sockets and public keys |
//!
//! The environment variables `AIOS_VENDOR_DIR`, `AIOS_ETC_DIR`, `AIOS_STATE_DIR` and `AIOS_RUN_DIR`
//! name other places; aios-init passes them to every service.

use std::env;
use std::path::{Path, PathBuf};

/// The four directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Files of the distribution, read-only.
    pub vendor: PathBuf,
    /// The administrator's files.
    pub etc: PathBuf,
    /// State that survives a reboot.
    pub state: PathBuf,
    /// State of this boot.
    pub run: PathBuf,
}

impl Paths {
    /// The layout of an installed machine.
    pub fn installed() -> Self {
        Self {
            vendor: "/usr/lib/aios".into(),
            etc: "/etc/aios".into(),
            state: "/var/lib/aios".into(),
            run: "/run/aios".into(),
        }
    }

    /// The layout of a development tree below `root`.
    pub fn development(root: &Path) -> Self {
        Self {
            vendor: root.join("vendor"),
            etc: root.join("etc"),
            state: root.join("var"),
            run: root.join("run"),
        }
    }

    /// The installed layout, changed by the environment.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| env::var_os(name).map(PathBuf::from))
    }

    /// The installed layout, changed by `lookup` (variable name to directory).
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let base = Self::installed();
        Self {
            vendor: lookup("AIOS_VENDOR_DIR").unwrap_or(base.vendor),
            etc: lookup("AIOS_ETC_DIR").unwrap_or(base.etc),
            state: lookup("AIOS_STATE_DIR").unwrap_or(base.state),
            run: lookup("AIOS_RUN_DIR").unwrap_or(base.run),
        }
    }

    /// The environment that hands this layout to a child process.
    pub fn to_env(&self) -> [(&'static str, &Path); 4] {
        [
            ("AIOS_VENDOR_DIR", &self.vendor),
            ("AIOS_ETC_DIR", &self.etc),
            ("AIOS_STATE_DIR", &self.state),
            ("AIOS_RUN_DIR", &self.run),
        ]
    }

    /// Socket of a service, `guard` → `/run/aios/guard.sock`.
    pub fn socket(&self, service: &str) -> PathBuf {
        self.run.join(format!("{service}.sock"))
    }

    /// Socket of a tool worker, `fs` → `/run/aios/worker/fs.sock`.
    pub fn worker_socket(&self, namespace: &str) -> PathBuf {
        self.run.join("worker").join(format!("{namespace}.sock"))
    }

    /// Private state directory of a service.
    pub fn state_of(&self, service: &str) -> PathBuf {
        self.state.join(service)
    }

    /// The guard's public keys.
    pub fn trust_file(&self) -> PathBuf {
        self.run.join("trust").join("trust.json")
    }

    /// A person's private key.
    pub fn person_key(&self, uid: u32) -> PathBuf {
        self.state.join("persons").join(uid.to_string()).join("key")
    }

    /// A file or directory in both configuration layers, vendor first.
    pub fn layers(&self, name: &str) -> [PathBuf; 2] {
        [self.vendor.join(name), self.etc.join(name)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_round_trips() {
        let paths = Paths::development(Path::new("/srv/x"));
        let env = paths.to_env();
        let again = Paths::from_lookup(|name| {
            env.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_path_buf())
        });
        assert_eq!(again, paths);
    }

    #[test]
    fn an_empty_environment_means_an_installed_machine() {
        assert_eq!(Paths::from_lookup(|_| None), Paths::installed());
    }
}
