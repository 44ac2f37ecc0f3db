//! A program that somebody runs: a small script of a random name, by an ordinary user.

use aios_tests_e2e::ctl::pause;
use anyhow::{Context, Result, ensure};
use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Who runs it: on every Debian.
const NOBODY: u32 = 65_534;
/// How long it may take to come so far; a machine that is lent its memory late fills it slowly.
const PATIENCE: Duration = Duration::from_secs(90);

/// Set where mounts, processes and network are not those of a person's machine.
const APART: &str = "AIOS_APART";

/// Refuses to make what somebody else's machine would suffer from.
pub(super) fn must_be_apart() -> Result<()> {
    ensure!(
        std::env::var_os(APART).is_some(),
        "this is made only where nobody else is: `cargo xtask eval`"
    );
    Ok(())
}

/// It ends with this.
pub(super) struct Program {
    name: String,
    child: RefCell<Child>,
}

impl Program {
    /// Writes the script below `dir` and starts it, in a session of its own; the process has the script's name.
    pub(super) fn start(dir: &Path, name: &str, code: &str) -> Result<Self> {
        let script = dir.join(name);
        fs::write(&script, format!("#!/usr/bin/python3\n{code}"))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        let child = Command::new("/usr/bin/setsid")
            .arg(&script)
            .uid(NOBODY)
            .gid(NOBODY)
            .current_dir("/")
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", script.display()))?;
        Ok(Self {
            name: name.to_owned(),
            child: RefCell::new(child),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.borrow().id()
    }

    /// Gives it more of the processors, below zero, or less; also where the kernel shares them out by sessions.
    pub(super) fn nice(&self, nice: i32) -> Result<()> {
        let session = PathBuf::from(format!("/proc/{}/autogroup", self.pid()));
        if session.exists() {
            fs::write(&session, nice.to_string())?;
        }
        let pid = rustix::process::Pid::from_child(&self.child.borrow());
        Ok(rustix::process::setpriority_process(Some(pid), nice)?)
    }

    /// Whether it has not ended.
    pub(super) fn lives(&self) -> Result<bool> {
        Ok(self.child.borrow_mut().try_wait()?.is_none())
    }

    pub(super) fn must_live(&self) -> Result<()> {
        ensure!(self.lives()?, "{} has ended, and was not to", self.name);
        Ok(())
    }

    /// What it does, in the kernel's one letter.
    pub(super) fn state(&self) -> Result<String> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let (_, rest) = stat.rsplit_once(") ").context("/proc/PID/stat")?;
        Ok(rest.chars().take(1).collect())
    }

    /// How many of its children are zombies.
    pub(super) fn zombies(&self) -> Result<usize> {
        zombies_of(self.pid())
    }

    /// Waits until it has come so far.
    pub(super) fn wait_for(&self, what: &str, done: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while !done(self)? {
            self.must_live()?;
            ensure!(begun.elapsed() < PATIENCE, "{}: no {what}", self.name);
            pause();
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        // It may have been ended by the repair.
        drop(child.kill());
        drop(child.wait());
    }
}

/// How many zombies a process, or who had it before, has left.
pub(super) fn zombies_of(parent: u32) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/proc")? {
        // A process may end while it is looked at.
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else {
            continue;
        };
        let Some((_, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let mut fields = rest.split(' ');
        let (state, of) = (fields.next(), fields.next());
        if state == Some("Z") && of.and_then(|it| it.parse().ok()) == Some(parent) {
            count += 1;
        }
    }
    Ok(count)
}
