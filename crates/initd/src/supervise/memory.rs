//! What the next supervisor must know: `run/init/state.json`, written after each change.

use super::unit::{Exit, State, Unit};
use super::world::World;
use crate::boot::Boot;
use crate::deployment::Running;
use crate::error::{InitError, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Memory {
    pub(crate) boot: Boot,
    pub(crate) deployment: Option<Running>,
    pub(crate) units: BTreeMap<String, Remembered>,
}

/// One service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) state: State,
    pub(crate) wanted: bool,
    pub(crate) pid: i32,
    pub(crate) starttime: u64,
    pub(crate) restarts: u32,
    pub(crate) started_ms: i64,
    pub(crate) ready_since_ms: i64,
    pub(crate) ready_ms: u64,
    pub(crate) last_exit: String,
    #[serde(default)]
    pub(crate) run: u64,
    #[serde(default)]
    pub(crate) exits: Vec<Exit>,
    #[serde(default)]
    pub(crate) asked: bool,
    #[serde(default)]
    pub(crate) oom_kills: u64,
}

impl Remembered {
    fn of(unit: &Unit) -> Self {
        let (pid, starttime) = unit.process.as_ref().map_or((0, 0), |p| (p.pid, p.starttime));
        Self {
            state: unit.state,
            wanted: unit.wanted,
            pid,
            starttime,
            restarts: unit.restarts,
            started_ms: unit.started_ms,
            ready_since_ms: unit.ready_since_ms,
            ready_ms: unit.ready_ms,
            last_exit: unit.last_exit.clone(),
            run: unit.run,
            exits: unit.exits.iter().cloned().collect(),
            asked: unit.asked,
            oom_kills: unit.oom_kills,
        }
    }
}

fn path(world: &World) -> PathBuf {
    world.paths.run.join("init").join("state.json")
}

/// What the supervisor before us knew; empty for the first of an instance.
pub(crate) fn recall(world: &World) -> Memory {
    if world.generation == 0 {
        return Memory::default();
    }
    let path = path(world);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            tracing::error!(%error, "what ran before is not known");
            return Memory::default();
        }
    };
    serde_json::from_str(&text).unwrap_or_else(|error| {
        tracing::error!(%error, "what ran before cannot be read");
        Memory::default()
    })
}

/// Writes it down.
pub(crate) fn note(world: &World, boot: &Boot, units: &BTreeMap<String, Unit>) -> Result<()> {
    let units = units
        .iter()
        .map(|(name, unit)| (name.clone(), Remembered::of(unit)))
        .collect();
    let memory = Memory {
        boot: boot.clone(),
        deployment: world.deployment.clone(),
        units,
    };
    let text = serde_json::to_string(&memory).map_err(InitError::system("cannot write state.json"))?;
    let path = path(world);
    replace(&path, text.as_bytes()).map_err(InitError::path("cannot write", &path))
}

/// The whole old file or the whole new one. Not synced: it only has to survive us, not the machine.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, bytes)?;
    fs::rename(&new, path)
}

/// Removes it at the end.
pub(crate) fn forget(world: &World) {
    if let Err(error) = fs::remove_file(path(world))
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "cannot remove state.json");
    }
}
