//! Agent kinds: one file a kind in `agents/*.toml`, the distribution's and the administrator's.
//!
//! The same file names the ceiling of capabilities, which the guard reads; here it is only carried.

use aios_core::config::parse_file;
use aios_core::paths::Paths;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::error::SandboxError;

/// What an agent of this kind is and may use.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Name, equal to the file's.
    pub kind: String,
    /// One sentence for people.
    #[serde(default)]
    pub description: String,
    /// Skills that it declares.
    #[serde(default)]
    pub skills: Vec<String>,
    /// Ceiling of what its tokens can allow; enforced by the guard.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Image; `agent` is the one that comes with the distribution.
    #[serde(default = "agent_image")]
    pub image: String,
    /// Command below the shim.
    pub command: Vec<String>,
    /// Instances started with the service.
    #[serde(default)]
    pub instances: u32,
    /// Memory limit, bytes.
    #[serde(default = "memory")]
    pub memory_max_bytes: u64,
    /// Most processes and threads.
    #[serde(default = "pids")]
    pub pids_max: u32,
    /// CPUs, 0.5 for half of one.
    #[serde(default = "cpus")]
    pub cpus: f64,
    /// Size of its `/tmp`, bytes.
    #[serde(default = "tmp")]
    pub tmp_max_bytes: u64,
    /// Restarting.
    #[serde(default)]
    pub restart: Restart,
}

/// Pauses before a restart; doubled each time, back to the first after `reset_ms` of running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Restart {
    /// First pause, milliseconds.
    pub initial_ms: u64,
    /// Longest pause, milliseconds.
    pub max_ms: u64,
    /// Running that long counts as healthy, milliseconds.
    pub reset_ms: u64,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            initial_ms: 200,
            max_ms: 30_000,
            reset_ms: 30_000,
        }
    }
}

fn agent_image() -> String {
    "agent".to_owned()
}
const fn memory() -> u64 {
    128 << 20
}
const fn pids() -> u32 {
    64
}
const fn cpus() -> f64 {
    1.0
}
const fn tmp() -> u64 {
    16 << 20
}

/// All kinds by name. A file of the administrator replaces the distribution's of the same name.
///
/// # Errors
/// A file cannot be read, or says something wrong; file, line and key are named.
pub fn load_all(paths: &Paths) -> Result<BTreeMap<String, Kind>, SandboxError> {
    let mut kinds = BTreeMap::new();
    for directory in paths.layers("agents") {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(SandboxError::file("read", &directory, source)),
        };
        for entry in entries {
            let path = entry
                .map_err(|source| SandboxError::file("read", &directory, source))?
                .path();
            if path.extension().is_some_and(|it| it == "toml") {
                let kind = load(&path)?;
                kinds.insert(kind.kind.clone(), kind);
            }
        }
    }
    Ok(kinds)
}

fn load(path: &Path) -> Result<Kind, SandboxError> {
    let text = fs::read_to_string(path).map_err(|source| SandboxError::file("read", path, source))?;
    parse(&path.display().to_string(), &text)
}

/// Parses one file called `name`.
///
/// # Errors
/// Line and key, or the rule that a value breaks.
pub fn parse(name: &str, text: &str) -> Result<Kind, SandboxError> {
    let kind: Kind = parse_file(name, text)?;
    let wrong = |key: &'static str, wanted: &'static str| {
        Err(SandboxError::Kind {
            file: name.to_owned(),
            key,
            wanted,
        })
    };
    let stem = Path::new(name)
        .file_stem()
        .map(|it| it.to_string_lossy().into_owned());
    if stem.is_some_and(|stem| stem != kind.kind) {
        return wrong("kind", "the file's name without `.toml`");
    }
    if kind.kind.is_empty()
        || !kind
            .kind
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    {
        return wrong("kind", "lower-case letters, digits and `_`");
    }
    if kind
        .command
        .first()
        .is_none_or(|program| !program.starts_with('/'))
    {
        return wrong("command", "a program by its absolute path, then its arguments");
    }
    if !(kind.cpus.is_finite() && (0.01..=1024.0).contains(&kind.cpus)) {
        return wrong("cpus", "0.01 to 1024");
    }
    if kind.memory_max_bytes < 16 << 20 {
        return wrong("memory_max_bytes", "at least 16777216 (16 MiB)");
    }
    if kind.pids_max < 8 {
        return wrong("pids_max", "at least 8");
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "kind = \"a_b\"\ncommand = [\"/usr/bin/python3\"]\n";

    #[test]
    fn defaults_limit_everything() {
        let kind = parse("x/a_b.toml", GOOD).unwrap();
        assert_eq!(
            (kind.memory_max_bytes, kind.pids_max, kind.instances),
            (128 << 20, 64, 0)
        );
    }

    #[test]
    fn wrong_values_name_file_and_key() {
        let cases = [
            (GOOD.replace("a_b", "A"), "`kind`"),
            (GOOD.replace("/usr/bin/python3", "python3"), "`command`"),
            (format!("{GOOD}cpus = 0.0\n"), "`cpus`"),
            (format!("{GOOD}cpus = nan\n"), "`cpus`"),
            (format!("{GOOD}memory_max_bytes = 5\n"), "`memory_max_bytes`"),
            (format!("{GOOD}pids_max = 1\n"), "`pids_max`"),
            (format!("{GOOD}pidsmax = 9\n"), "did you mean `pids_max`"),
        ];
        for (text, wanted) in cases {
            let error = parse("x/a_b.toml", &text).unwrap_err().to_string();
            assert!(
                error.contains(wanted) && error.contains("x/a_b.toml"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn the_file_is_named_like_the_kind() {
        assert!(
            parse("x/other.toml", GOOD)
                .unwrap_err()
                .to_string()
                .contains("`kind`")
        );
    }
}
