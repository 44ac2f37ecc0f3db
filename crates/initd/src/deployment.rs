//! The image that runs, on a machine that bootc installed: whether it is on trial, blessing it, giving it up, and finalizing
//! the next one.
//!
//! A trial is a boot whose entry has a counter. The health service reports before a deadline; a healthy image is
//! blessed, and for any other one the machine starts again: the boot loader counts, and falls back by itself. So an image
//! that hangs, crashes or never starts its services needs nobody to notice.

mod finalize;

pub(crate) use finalize::finalize;

use crate::error::{InitError, Result};
use aios_deployment::entry::Tries;
use aios_deployment::esp::Mounted;
use aios_deployment::history::{self, History, Seen};
use aios_deployment::loader::Loader;
use aios_deployment::staged::{DEPLOYMENTS, Deployment};
use aios_deployment::{DeploymentError, DeploymentId};
use nix::mount::{MsFlags, mount};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// What runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) deployment: Deployment,
    /// The kernel's number of this boot.
    pub(crate) boot: String,
    /// Tries left, when this boot is a trial.
    pub(crate) tries_left: Option<u32>,
    /// The deployment whose failure this boot found out.
    pub(crate) fell_back_from: Option<DeploymentId>,
}

/// Where things are; other places in a test.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// State of this instance.
    pub(crate) state: PathBuf,
    /// Where the boot partition is mounted while it is used.
    pub(crate) esp: PathBuf,
}

impl Running {
    /// Finds out what runs and what that says of an attempt, and notes it. `None` when the kernel command line names no
    /// deployment: no bootc installed this machine.
    pub(crate) fn observe(places: &Places) -> Result<Option<Self>> {
        let read = |path: &str| fs::read_to_string(path).map_err(InitError::path("cannot read", path));
        let Some(id) = DeploymentId::of_command_line(&read("/proc/cmdline")?) else {
            return Ok(None);
        };
        let boot = read("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        mount_variables()?;
        let esp = Mounted::open(&places.esp, false)?;
        let loader = Loader::of_partition(esp.path());
        for name in loader.tidy()? {
            tracing::warn!(name, "removed a second name of a boot entry");
        }
        let deployment = Deployment::of(Path::new(DEPLOYMENTS), id);
        let trial = loader.trial(&deployment.id)?;
        let seen = note(places, |history| {
            let left = history
                .attempt
                .as_ref()
                .and_then(|attempt| loader.trial(&attempt.to.id).ok().flatten())
                .map(|tries| tries.left);
            history.booted(&deployment.id, trial, left, &boot, now_ms())
        });
        let fell_back_from = match seen {
            Ok(Seen::FellBack(failure)) => Some(failure.attempt.to.id),
            Ok(_) => None,
            // Without a record the machine still knows from the entry that it is on trial.
            Err(error) => {
                tracing::error!(%error, "what became of earlier images is not known");
                None
            }
        };
        Ok(Some(Self {
            deployment,
            boot,
            tries_left: trial.map(|Tries { left, .. }| left),
            fell_back_from,
        }))
    }

    /// One line for a person.
    pub(crate) fn summary(&self) -> String {
        let name = self.deployment.id.short();
        match (self.tries_left, &self.fell_back_from) {
            (Some(left), _) => format!("{name} is on trial, {left} more tries"),
            (None, Some(failed)) => format!("{name} runs again: {} failed", failed.short()),
            (None, None) => format!("{name} is trusted"),
        }
    }

    /// Trusts it from now on. Takes as long as a sync of the boot partition.
    pub(crate) fn bless(&mut self, places: &Places) -> Result<()> {
        let esp = Mounted::open(&places.esp, false)?;
        Loader::of_partition(esp.path()).bless(&self.deployment.id)?;
        self.tries_left = None;
        // The entry is the truth; a record that could not be written is caught up with at the next boot.
        if let Err(error) = note(places, |history| history.bless(&self.deployment, now_ms())) {
            tracing::error!(%error, "the blessing is not in the record");
        }
        Ok(())
    }

    /// Notes why this boot of a trial is given up.
    pub(crate) fn give_up(&self, places: &Places, why: &str) {
        if let Err(error) = note(places, |history| history.give_up(&self.boot, why)) {
            tracing::error!(%error, why, "why the image was given up is not in the record");
        }
    }
}

/// What is on record. Nothing when it cannot be read, which was logged when this boot looked at it.
pub(crate) fn recorded(places: &Places) -> History {
    History::read(&history::file(&places.state)).unwrap_or_default()
}

/// Changes the record.
fn note<T>(
    places: &Places,
    change: impl FnOnce(&mut History) -> T,
) -> std::result::Result<T, DeploymentError> {
    let file = history::file(&places.state);
    let mut history = History::read(&file)?;
    let before = history.clone();
    let answer = change(&mut history);
    if history != before {
        history.write(&file)?;
    }
    Ok(answer)
}

/// The boot loader's words to us are EFI variables.
fn mount_variables() -> Result<()> {
    let at = Path::new(aios_deployment::esp::VARIABLES);
    if !at.exists() || fs::read_dir(at).is_ok_and(|mut entries| entries.next().is_some()) {
        return Ok(());
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let kind = Some("efivarfs");
    mount(kind, at, kind, flags, None::<&str>)
        .map_err(|error| InitError::path("cannot mount", at)(error.into()))
}

/// UTC, milliseconds.
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
