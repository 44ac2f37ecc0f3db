//! What became of deployments: one small file, replaced whole, that says which one is being tried, which was blessed last, and
//! which failed.
//!
//! It is written when a staged deployment is about to be finalized, at each boot, and when one is blessed; it lies under
//! `/var`, which every deployment shares, so the older image finds what the newer one could not say itself.

use crate::entry::Tries;
use crate::error::{DeploymentError, Result};
use crate::id::DeploymentId;
use crate::staged::Deployment;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Version of the file. An older version that meets a newer file leaves it alone.
const SCHEMA: u32 = 1;
/// Failures that are remembered; the oldest go.
const FAILURES: usize = 32;
/// Boots of one attempt that are remembered.
const BOOTS: usize = 16;

/// Where the file lies below the state directory.
#[must_use]
pub fn file(state: &Path) -> PathBuf {
    state.join("os").join("history.json")
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    schema: u32,
    /// A deployment that was finalized and is neither blessed nor failed.
    pub attempt: Option<Attempt>,
    /// The deployment that was blessed last.
    pub blessed: Option<Blessed>,
    /// Those that failed, oldest first.
    pub failed: Vec<Failure>,
}

/// A deployment that is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The one that ran when it was finalized.
    pub from: Deployment,
    /// The one that is tried.
    pub to: Deployment,
    /// When it was finalized, milliseconds since 1970.
    pub finalized_ms: u64,
    /// Boots of it that came as far as aiOS.
    pub boots: Vec<TrialBoot>,
}

/// One boot of a deployment on trial, as far as it could tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialBoot {
    /// The kernel's number of this boot.
    pub boot: String,
    /// When aiOS came up in it, milliseconds since 1970.
    pub started_ms: u64,
    /// Why it was given up. None: it ended without a word, or still runs.
    pub ended: Option<String>,
}

/// A deployment that is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blessed {
    /// Which.
    pub deployment: Deployment,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
}

/// A deployment that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The attempt, with all its boots.
    pub attempt: Attempt,
    /// When it was found out, milliseconds since 1970.
    pub found_ms: u64,
    /// Why, one sentence for a person.
    pub why: String,
    /// Whether a goal was opened about it.
    pub told: bool,
}

/// What a boot says about the attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Nothing is being tried.
    Nothing,
    /// This boot is a trial, and has that counter.
    Trial(Tries),
    /// The attempt failed, and another deployment runs.
    FellBack(Box<Failure>),
}

impl Default for History {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            attempt: None,
            blessed: None,
            failed: Vec::new(),
        }
    }
}

impl History {
    /// Reads the file; an empty history when there is none.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or was written by a newer version.
    pub fn read(file: &Path) -> Result<Self> {
        let text = match fs::read(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            read => read.map_err(DeploymentError::path("cannot read", file))?,
        };
        let damaged = |error: serde_json::Error| DeploymentError::Damaged {
            path: file.to_owned(),
            reason: error.to_string(),
        };
        let version: Version = serde_json::from_slice(&text).map_err(damaged)?;
        if version.schema > SCHEMA {
            return Err(DeploymentError::Newer {
                path: file.to_owned(),
                found: version.schema,
                known: SCHEMA,
            });
        }
        serde_json::from_slice(&text).map_err(damaged)
    }

    /// Replaces the file, and returns when it is on the disk.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let dir = file.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(dir).map_err(DeploymentError::path("cannot make", dir))?;
        let part = file.with_extension("part");
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| DeploymentError::path("cannot write", file)(error.into()))?;
        let written = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o644)
            .open(&part)
            .and_then(|mut out| out.write_all(&text).and_then(|()| out.sync_all()));
        written.map_err(DeploymentError::path("cannot write", &part))?;
        fs::rename(&part, file).map_err(DeploymentError::path("cannot replace", file))?;
        File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(DeploymentError::path("cannot write out", dir))
    }

    /// Notes that `to` is about to be finalized. A deployment that is finalized again begins anew.
    pub fn begin(&mut self, from: Deployment, to: Deployment, now_ms: u64) {
        self.attempt = Some(Attempt {
            from,
            to,
            finalized_ms: now_ms,
            boots: Vec::new(),
        });
    }

    /// Forgets the attempt: a person went back on purpose.
    pub fn call_off(&mut self) {
        self.attempt = None;
    }

    /// What the boot of `running` means. `trial` is its entry's counter, `left` the tries that the attempt's own entry has
    /// left (`None`: it has no entry any more, or its counter is gone).
    pub fn booted(
        &mut self,
        running: &DeploymentId,
        trial: Option<Tries>,
        left: Option<u32>,
        boot: &str,
        now_ms: u64,
    ) -> Seen {
        let Some(attempt) = &mut self.attempt else {
            return Seen::Nothing;
        };
        if attempt.to.id == *running {
            let Some(tries) = trial else {
                // Blessed, and cut off before that was noted.
                let attempt = attempt.clone();
                self.bless(&attempt.to, now_ms);
                return Seen::Nothing;
            };
            if attempt.boots.iter().all(|known| known.boot != boot) && attempt.boots.len() < BOOTS {
                attempt.boots.push(TrialBoot {
                    boot: boot.to_owned(),
                    started_ms: now_ms,
                    ended: None,
                });
            }
            return Seen::Trial(tries);
        }
        // Another runs although the boot loader would try it again: somebody chose so, at its menu.
        if left.is_some_and(|left| left > 0) {
            return Seen::Nothing;
        }
        let failure = Failure {
            why: why(attempt),
            attempt: attempt.clone(),
            found_ms: now_ms,
            told: false,
        };
        self.attempt = None;
        self.failed.push(failure.clone());
        let surplus = self.failed.len().saturating_sub(FAILURES);
        self.failed.drain(..surplus);
        Seen::FellBack(Box::new(failure))
    }

    /// Notes why this boot of the attempt is given up.
    pub fn give_up(&mut self, boot: &str, why: &str) {
        let boots = self.attempt.iter_mut().flat_map(|attempt| &mut attempt.boots);
        for known in boots.filter(|known| known.boot == boot) {
            known.ended = Some(why.to_owned());
        }
    }

    /// Notes that a deployment is trusted.
    pub fn bless(&mut self, deployment: &Deployment, now_ms: u64) {
        if self
            .attempt
            .as_ref()
            .is_some_and(|attempt| attempt.to.id == deployment.id)
        {
            self.attempt = None;
        }
        self.blessed = Some(Blessed {
            deployment: deployment.clone(),
            at_ms: now_ms,
        });
    }

    /// The newest failure of an image, by the digest of its manifest or its deployment's name.
    #[must_use]
    pub fn failure_of(&self, digest: &str) -> Option<&Failure> {
        self.failed
            .iter()
            .rev()
            .find(|failure| failure.attempt.to.digest() == digest || failure.attempt.to.id.as_str() == digest)
    }
}

#[derive(Deserialize)]
struct Version {
    schema: u32,
}

/// Why an attempt failed, from what its boots left behind.
fn why(attempt: &Attempt) -> String {
    match attempt.boots.as_slice() {
        [] => "it never reached aiOS: its kernel, command line or initramfs is broken, or its PID 1 crashed"
            .to_owned(),
        boots => {
            let said = boots.iter().rev().find_map(|boot| boot.ended.as_deref());
            let count = boots.len();
            said.map_or_else(
                || format!("aiOS came up in {count} of its boots, and each ended without a word: a crash, or power was cut"),
                |reason| format!("aiOS came up in {count} of its boots, and was not healthy: {reason}"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(digit: char) -> Deployment {
        Deployment {
            id: DeploymentId::new(&digit.to_string().repeat(128)).unwrap(),
            image: format!("oci:/images/{digit}"),
            manifest: format!("sha256:{digit}"),
        }
    }

    fn tried() -> History {
        let mut history = History::default();
        history.begin(deployment('1'), deployment('2'), 5);
        history
    }

    const TRIES: Tries = Tries { left: 2, done: 1 };

    #[test]
    fn an_attempt_that_never_spoke_fails_when_its_tries_are_used_up() {
        let mut history = tried();
        let Seen::FellBack(failure) = history.booted(&deployment('1').id, None, Some(0), "b", 9) else {
            panic!("{history:?}");
        };
        assert!(failure.why.contains("never reached aiOS"), "{}", failure.why);
        assert_eq!(history.attempt, None);
        assert_eq!(history.failure_of("sha256:2").unwrap().found_ms, 9);
        assert_eq!(history.failure_of("sha256:1"), None);
        assert_eq!(
            history.booted(&deployment('1').id, None, None, "c", 10),
            Seen::Nothing
        );
    }

    #[test]
    fn what_a_trial_boot_said_is_the_reason() {
        let mut history = tried();
        for (boot, why) in [
            ("x", None),
            ("y", Some("aios-orchestrator is not ready")),
            ("z", None),
        ] {
            for _ in 0..2 {
                assert_eq!(
                    history.booted(&deployment('2').id, Some(TRIES), Some(2), boot, 6),
                    Seen::Trial(TRIES)
                );
            }
            if let Some(why) = why {
                history.give_up(boot, why);
            }
        }
        let Seen::FellBack(failure) = history.booted(&deployment('1').id, None, Some(0), "b", 9) else {
            panic!("{history:?}");
        };
        assert_eq!(failure.attempt.boots.len(), 3);
        assert!(failure.why.contains("3 of its boots"), "{}", failure.why);
        assert!(
            failure.why.contains("aios-orchestrator is not ready"),
            "{}",
            failure.why
        );
    }

    #[test]
    fn a_choice_at_the_menu_is_no_failure() {
        let mut history = tried();
        assert_eq!(
            history.booted(&deployment('1').id, None, Some(2), "b", 9),
            Seen::Nothing
        );
        assert!(history.attempt.is_some());
    }

    #[test]
    fn a_blessing_that_was_not_noted_is_noted_at_the_next_boot() {
        let mut history = tried();
        assert_eq!(
            history.booted(&deployment('2').id, None, None, "b", 9),
            Seen::Nothing
        );
        assert_eq!(history.attempt, None);
        assert_eq!(history.blessed.unwrap().deployment, deployment('2'));
    }

    #[test]
    fn the_file_comes_back_as_it_was_and_a_newer_one_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let file = file(home.path());
        assert_eq!(History::read(&file).unwrap(), History::default());
        let mut history = tried();
        history.booted(&deployment('1').id, None, Some(0), "b", 9);
        history.write(&file).unwrap();
        assert_eq!(History::read(&file).unwrap(), history);
        fs::write(&file, "{\"schema\": 2, \"unknown\": []}").unwrap();
        let error = History::read(&file).unwrap_err();
        assert!(
            matches!(error, DeploymentError::Newer { found: 2, .. }),
            "{error}"
        );
        fs::write(&file, "{").unwrap();
        assert!(matches!(
            History::read(&file).unwrap_err(),
            DeploymentError::Damaged { .. }
        ));
    }
}
