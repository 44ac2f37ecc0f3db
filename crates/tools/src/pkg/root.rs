//! Where the packages are that the namespace works on: this machine's, or those of a tree of its own.
//!
//! A tree of its own needs an apt configuration that leads apt into it, and options that lead dpkg there.

use super::program::Program;
use crate::error::{Result, ToolError};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Section `[pkg]` of `config.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Root {
    /// The root of the file system whose packages are managed.
    pub root: PathBuf,
    /// Configuration file for apt (`APT_CONFIG`); empty for apt's own.
    pub apt_config: PathBuf,
    /// Options for each call of dpkg.
    pub dpkg_options: Vec<String>,
    /// Most bytes of package files that are kept for undo.
    pub archive_bytes: u64,
}

impl Default for Root {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
            apt_config: PathBuf::new(),
            dpkg_options: Vec::new(),
            archive_bytes: 4 << 30,
        }
    }
}

/// Directories in which the programs and the scripts of packages look for others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Root {
    /// A place below the root.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file's text; empty when it is not there.
    pub(crate) fn text(&self, path: &str) -> Result<String> {
        text_or_empty(&self.at(path))
    }

    /// A program with nothing in its environment but what package scripts need.
    pub(crate) fn program(&self, path: &'static str, args: &[&str]) -> Program {
        let mut program = Program::new(path)
            .env("LC_ALL", "C")
            .env("PATH", PATH)
            .env("HOME", "/root")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("DEBIAN_PRIORITY", "critical")
            // What a change does is what was approved: no service is restarted behind it.
            .env("NEEDRESTART_SUSPEND", "1")
            .args(args);
        if !self.apt_config.as_os_str().is_empty() {
            program = program.env("APT_CONFIG", &self.apt_config.to_string_lossy());
        }
        program
    }

    /// dpkg itself. Nobody is asked about configuration files: what a person changed stays.
    pub(crate) fn dpkg(&self, args: &[&str]) -> Program {
        let own: Vec<&str> = self.dpkg_options.iter().map(String::as_str).collect();
        self.program("/usr/bin/dpkg", &own)
            .args(&["--force-confdef", "--force-confold"])
            .args(args)
    }

    /// apt-get, never asking and never in a session of its own, in which it would outlive its deadline.
    pub(crate) fn apt_get(&self, args: &[&str]) -> Program {
        self.program("/usr/bin/apt-get", &[])
            .args(&["-q", "-y", "-o", "Dpkg::Use-Pty=0"])
            .args(&["-o", "APT::Get::AutomaticRemove=0"])
            .args(&["-o", "DPkg::Lock::Timeout=5"])
            .args(&["-o", "DPkg::Options::=--force-confdef"])
            .args(&["-o", "DPkg::Options::=--force-confold"])
            .args(args)
    }
}

/// A file's text; empty when it is not there. What is no UTF-8 is shown as such.
pub(crate) fn text_or_empty(path: &Path) -> Result<String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(ToolError::io("read", path.to_string_lossy(), error)),
    }
}
