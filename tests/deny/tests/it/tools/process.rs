//! The process tools, on a process of the person's that sleeps.

use super::entry::{Ends, Entry, changes, looks};
use super::scene::Scene;
use super::silence::Late;
use aios_harness::{Instance, PERSON_UID};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

pub(super) const TABLE: &[Entry] = &[
    looks("process.list", r#"{"name": "sleep"}"#, &["process:list:host"]),
    looks("process.tree", r#"{"pid": {pid}}"#, &["process:tree:host"]),
    looks("process.info", r#"{"pid": {pid}}"#, &["process:info:{pid}"]),
    looks("process.limits", r#"{"pid": {pid}}"#, &["process:limits:{pid}"]),
    looks(
        "process.open_files",
        r#"{"pid": {pid}}"#,
        &["process:open_files:host"],
    ),
    looks(
        "process.wait",
        r#"{"pid": {pid}, "wait_ms": 10}"#,
        &["process:wait:{pid}"],
    ),
    changes(
        "process.set_limits",
        r#"{"pid": {pid}, "limits": [{"resource": "open_files", "soft": 99}]}"#,
        &["process:set_limits:{pid}"],
    )
    // Limits of other users' processes are changed with this capability, which a container may lack.
    .without("CAP_SYS_RESOURCE", Ends::Fails("AIOS-TOOLS-0015")),
    changes(
        "process.signal",
        r#"{"pid": {pid}, "signal": "TERM"}"#,
        &["process:signal:{pid}"],
    )
    .ends(Ends::Final),
    changes(
        "process.spawn",
        r#"{"path": "{true}", "run_ms": 5000}"#,
        &["process:spawn:{true}"],
    )
    .ends(Ends::Final),
    changes(
        "process.undo",
        r#"{"task_id": "{task}", "step": {step}}"#,
        &["process:signal:{pid}"],
    )
    .after(&[("process.signal", r#"{"pid": {pid}, "signal": "STOP"}"#)]),
];

/// What is under way for long enough to freeze its worker.
pub(super) const MIDWAY: Late = Late {
    tool: "process.spawn",
    args: r#"{"path": "{sleep}", "arguments": ["2"], "run_ms": 3000}"#,
    timeout_ms: 3500,
};

/// A process that sleeps, while this lives.
struct Sleeper(Child);

impl Sleeper {
    fn new() -> Result<Self> {
        let mut command = Command::new("sleep");
        command.arg("600").uid(PERSON_UID).stdin(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    fn file(&self, name: &str) -> Result<String> {
        Ok(std::fs::read_to_string(format!("/proc/{}/{name}", self.0.id()))?)
    }

    fn stat_letter(&self) -> Result<String> {
        let stat = self.file("stat")?;
        let (_, rest) = stat.rsplit_once(") ").context("a state")?;
        Ok(rest.split(' ').next().unwrap_or_default().to_owned())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // One that has ended already needs no signal.
        drop(self.0.kill().and_then(|()| self.0.wait()));
    }
}

/// An instance and the sleeper.
pub(super) struct Sleeping {
    aios: Instance,
    sleeper: Sleeper,
}

impl Sleeping {
    pub(super) fn new(aios: Instance) -> Result<Self> {
        let sleeper = Sleeper::new()?;
        Ok(Self { aios, sleeper })
    }
}

impl Scene for Sleeping {
    fn aios(&mut self) -> &mut Instance {
        &mut self.aios
    }

    fn names(&self) -> Vec<(&'static str, String)> {
        // A program is granted by its real path.
        let real = |path: &str| std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
        vec![
            ("pid", self.sleeper.0.id().to_string()),
            ("true", real("/usr/bin/true").display().to_string()),
            ("sleep", real("/usr/bin/sleep").display().to_string()),
        ]
    }

    async fn renew(&mut self, _tool: &str) -> Result<()> {
        if self.sleeper.0.try_wait()?.is_some() {
            self.sleeper = Sleeper::new()?;
        }
        Ok(())
    }

    async fn photo(&mut self) -> Result<Value> {
        let limits = self.sleeper.file("limits").ok();
        Ok(json!({"state": self.sleeper.stat_letter()?, "limits": limits}))
    }
}
