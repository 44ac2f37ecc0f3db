//! What each kind of agent may be granted at most: `capabilities` in `agents/KIND.toml`, the
//! distribution's and the administrator's (which replaces the distribution's whole file).

use crate::config::Config;
use crate::error::GuardError;
use aios_auth::capability::{Capability, CapabilitySet};
use aios_core::config::describe;
use aios_core::paths::Paths;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Kind of the built-in executor.
pub(crate) const EXECUTOR: &str = "executor";

/// What the guard reads of an agent's file; the sandbox checks the rest.
#[derive(Deserialize)]
struct Kind {
    kind: String,
    #[serde(default)]
    capabilities: Vec<String>,
}

/// Ceilings by kind.
#[derive(Debug)]
pub(crate) struct Ceilings(BTreeMap<String, CapabilitySet>);

impl Ceilings {
    pub(crate) fn load(paths: &Paths, config: &Config) -> Result<Self, GuardError> {
        let mut kinds = BTreeMap::new();
        for directory in paths.layers("agents") {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(GuardError::io("list", directory)(error)),
            };
            for entry in entries {
                let path = entry.map_err(GuardError::io("list", &directory))?.path();
                if path.extension().is_some_and(|it| it == "toml") {
                    let (kind, ceiling) = read(&path)?;
                    kinds.insert(kind, ceiling);
                }
            }
        }
        kinds.insert(EXECUTOR.to_owned(), set(&config.executor_capabilities)?);
        Ok(Self(kinds))
    }

    /// Checks that a kind may be granted these capabilities.
    pub(crate) fn check(&self, kind: &str, wanted: &[Capability]) -> Result<(), GuardError> {
        let ceiling = self.0.get(kind).ok_or_else(|| GuardError::UnknownKind {
            kind: kind.to_owned(),
        })?;
        match wanted.iter().find(|wanted| !ceiling.covers(wanted)) {
            Some(wanted) => Err(GuardError::Ceiling {
                wanted: wanted.to_string(),
                kind: kind.to_owned(),
            }),
            None => Ok(()),
        }
    }
}

fn read(path: &Path) -> Result<(String, CapabilitySet), GuardError> {
    let text = fs::read_to_string(path).map_err(GuardError::io("read", path))?;
    let kind: Kind =
        toml::from_str(&text).map_err(|error| describe(&path.display().to_string(), &text, &error))?;
    // A file that grants a kind of another name would be overlooked by whoever reads the directory.
    if path.file_stem().is_none_or(|stem| stem != kind.kind.as_str()) || kind.kind == EXECUTOR {
        return Err(GuardError::field(
            "kind",
            format!("of {} must be the file's name", path.display()),
        ));
    }
    Ok((kind.kind, set(&kind.capabilities)?))
}

fn set(texts: &[String]) -> Result<CapabilitySet, GuardError> {
    let capabilities: Result<Vec<_>, _> = texts.iter().map(|text| Capability::parse(text)).collect();
    Ok(CapabilitySet::new(capabilities?))
}
