//! The machine as it is now: [`hw`] looks at its parts, [`monitor`] at what it does. Nothing here changes
//! anything or needs a privilege: all of it stands in `/proc`, `/sys` and the log directory, and the
//! worker that serves it may open nothing else.
//!
//! What the kernel does not tell on this machine is absent from an answer (`null`), never guessed.

pub mod hw;
pub mod monitor;

use crate::error::{Result, ToolError};
use crate::registry::{About, ToolSpec};
use crate::typed::{bad_input, typed, unknown, value_of};
use aios_auth::level::Risk;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Resource of a capability for the machine as a whole: `hw:cpu:host`.
pub const HOST: &str = "host";

/// Every tool that only looks at the machine.
pub fn specs() -> Vec<ToolSpec> {
    [hw::specs(), monitor::specs()].concat()
}

/// A tool that only looks.
fn spec<I, O>(
    name: &'static str,
    capability: &'static str,
    summary: &'static str,
    timeout_ms: u64,
) -> ToolSpec
where
    I: JsonSchema + DeserializeOwned + Serialize,
    O: JsonSchema + DeserializeOwned + Serialize,
{
    ToolSpec::of::<I, O>(About {
        name,
        summary,
        risk: Risk::Read,
        idempotent: true,
        reversible: true,
        capability,
        timeout_ms,
    })
}

/// Where the kernel's own file systems and the logs are.
#[derive(Debug, Clone)]
pub struct Host {
    proc: PathBuf,
    sys: PathBuf,
    log: PathBuf,
}

impl Host {
    /// This machine.
    pub fn this() -> Self {
        Self::at("/proc", "/sys")
    }

    /// A machine whose `/proc` and `/sys` are elsewhere, for tests.
    pub fn at(proc: impl Into<PathBuf>, sys: impl Into<PathBuf>) -> Self {
        Self {
            proc: proc.into(),
            sys: sys.into(),
            log: PathBuf::from("/var/log"),
        }
    }

    /// The same with its logs elsewhere, for tests.
    #[must_use]
    pub fn with_logs(self, log: impl Into<PathBuf>) -> Self {
        Self {
            log: log.into(),
            ..self
        }
    }

    fn proc(&self, name: &str) -> PathBuf {
        self.proc.join(name)
    }

    fn sys(&self, name: &str) -> PathBuf {
        self.sys.join(name)
    }
}

/// A file's text without surrounding blanks; `None` when the kernel does not have it, or has nothing to
/// say there: drivers answer with many errors.
fn text(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The same as a number.
fn number<T: std::str::FromStr>(path: &Path) -> Option<T> {
    text(path)?.parse().ok()
}

/// Names in a directory, sorted; none when it is not there.
pub(crate) fn names(path: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io("list", path, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| io("list", path, error))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The last part of what a symbolic link leads to.
fn link_name(path: &Path) -> Option<String> {
    let target = std::fs::read_link(path).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}

/// A file that the kernel always has, read by its own parser.
pub(crate) fn parsed<T: procfs::FromRead>(path: &Path) -> Result<T> {
    T::from_file(path)
        .map_err(|error| ToolError::io("read", path.to_string_lossy(), std::io::Error::other(error)))
}

fn io(what: &'static str, path: &Path, error: std::io::Error) -> ToolError {
    ToolError::io(what, path.to_string_lossy(), error)
}
