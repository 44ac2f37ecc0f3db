//! What the next supervisor must know: `run/init/state.json`, written after each change.

use super::clock::Stamp;
use super::unit::{Exit, State, Unit};
use super::world::World;
use crate::boot::Boot;
use crate::deployment::Running;
use crate::error::{InitError, Result};
use crate::link::End;
use crate::spec::Spec;
use aios_core::paths::Paths;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Memory {
    pub(crate) boot: Boot,
    /// How everything ends, if it is being stopped.
    pub(crate) ending: Option<End>,
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
    pub(crate) failures: u32,
    pub(crate) started: Stamp,
    pub(crate) ready_since: Stamp,
    pub(crate) ready_ms: u64,
    pub(crate) last_exit: String,
    pub(crate) run: u64,
    pub(crate) exits: Vec<Exit>,
    pub(crate) asked: bool,
    pub(crate) oom_kills: u64,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) why: String,
    #[serde(default)]
    pub(crate) shed: u32,
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
            failures: unit.failures,
            started: unit.started,
            ready_since: unit.ready_since,
            ready_ms: unit.ready_ms,
            last_exit: unit.last_exit.clone(),
            run: unit.run,
            exits: unit.exits.iter().cloned().collect(),
            asked: unit.asked,
            oom_kills: unit.oom_kills,
            status: unit.status.clone(),
            why: unit.why.clone(),
            shed: unit.shed,
        }
    }

    /// Has a unit be as it was, but for its process.
    pub(crate) fn restore(&self, unit: &mut Unit) {
        unit.state = self.state;
        unit.wanted = self.wanted;
        unit.restarts = self.restarts;
        unit.failures = self.failures;
        unit.started = self.started;
        unit.ready_since = self.ready_since;
        unit.ready_ms = self.ready_ms;
        unit.last_exit.clone_from(&self.last_exit);
        unit.run = self.run;
        unit.exits = self.exits.iter().cloned().collect();
        unit.asked = self.asked;
        unit.oom_kills = self.oom_kills;
        unit.status.clone_from(&self.status);
        unit.why.clone_from(&self.why);
        unit.shed = self.shed;
    }
}

fn path(paths: &Paths) -> PathBuf {
    paths.run.join("init").join("state.json")
}

/// How many supervisors of this boot came before, of whom something is to be known: one that died before it
/// wrote anything down did not start anything either, and its successor begins anew.
pub(crate) fn generation(paths: &Paths, told: u32) -> Result<u32> {
    let path = path(paths);
    match fs::symlink_metadata(&path) {
        Ok(_) if told > 0 => Ok(told),
        // Of an instance that was killed with all its parts.
        Ok(_) => fs::remove_file(&path)
            .map(|()| 0)
            .map_err(InitError::path("cannot remove", &path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(InitError::path("cannot look at", &path)(error)),
    }
}

/// What the supervisor before us knew; empty for the first of an instance.
///
/// # Errors
/// It is there and cannot be read. To go on without it would be to start everything beside what runs.
pub(crate) fn recall(paths: &Paths, generation: u32) -> Result<Memory> {
    if generation == 0 {
        return Ok(Memory::default());
    }
    let path = path(paths);
    let text = fs::read_to_string(&path).map_err(InitError::path("cannot read", &path))?;
    serde_json::from_str(&text).map_err(|error| InitError::path("cannot understand", &path)(error.into()))
}

impl Memory {
    /// What is to be known now.
    pub(crate) fn of(
        world: &World,
        boot: &Boot,
        units: &BTreeMap<String, Unit>,
        ending: Option<End>,
    ) -> Self {
        let units = units
            .iter()
            .map(|(name, unit)| (name.clone(), Remembered::of(unit)));
        Self {
            boot: boot.clone(),
            ending,
            deployment: world.deployment.clone(),
            units: units.collect(),
        }
    }

    /// Writes it down, unless that is what stands there. `written` is what was written last.
    pub(crate) fn write(&self, world: &World, written: &mut String) -> Result<()> {
        let text = serde_json::to_string(self).map_err(InitError::system("cannot write state.json"))?;
        if text == *written {
            return Ok(());
        }
        let path = path(&world.paths);
        replace(&path, text.as_bytes()).map_err(InitError::path("cannot write", &path))?;
        *written = text;
        Ok(())
    }
}

/// A service as it was started. Its name is the file's.
#[derive(Debug, Serialize, Deserialize)]
struct Started {
    files: Vec<String>,
    spec: Spec,
}

fn spec_path(world: &World, name: &str) -> PathBuf {
    path(&world.paths).with_file_name(format!("{name}.spec.json"))
}

/// Writes down by which files a service is started, for a successor that finds others there.
pub(crate) fn note_spec(world: &World, spec: &Spec) {
    let started = Started {
        files: spec.files.clone(),
        spec: spec.clone(),
    };
    let path = spec_path(world, &spec.name);
    let text = serde_json::to_vec(&started).map_err(std::io::Error::from);
    if let Err(error) = text.and_then(|text| replace(&path, &text)) {
        tracing::error!(service = spec.name, %error, "a successor would not know how it was started");
    }
}

/// By which files a service was started; none when that was not written down.
pub(crate) fn recall_spec(world: &World, name: &str) -> Option<Spec> {
    let text = fs::read_to_string(spec_path(world, name)).ok()?;
    let started: Started = serde_json::from_str(&text)
        .inspect_err(|error| tracing::error!(service = name, %error, "unknown how it was started"))
        .ok()?;
    Some(Spec {
        name: name.to_owned(),
        files: started.files,
        ..started.spec
    })
}

/// The whole old file or the whole new one. Not synced: it only has to survive us, not the machine.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, bytes)?;
    fs::rename(&new, path)
}

/// Removes it at the end.
pub(crate) fn forget(world: &World) {
    if let Err(error) = fs::remove_file(path(&world.paths))
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "cannot remove state.json");
    }
}
