//! `cargo xtask test-rust`: the Rust tests that need no instance of aiOS, every one with the privileges that it needs.
//!
//! An ordinary user's run is two: all that an ordinary user can do, and then, through `sudo`, what only root can and
//! what says nothing about root until root runs it. Root runs all of it at once.

use anyhow::{Context, Result, ensure};
use std::process::Command;

use crate::host::{Host, say};

/// What `make test-system` runs, on an instance of its own.
const ELSEWHERE: &str = "package(aios-tests-e2e)";

/// Tests that fail without root: backups keep owners, and images are built and mounted in root's store.
const ROOT_ONLY: &str = "(package(aios-backup) & kind(test)) | (package(aios-tools) & test(/^os::(packages|package_crashes|transient)::/))";

/// Tests that check more, or something else, where they are root: users, control groups and confinement of services.
const ROOT_TOO: &str = "package(aios-confine) | package(aios-init) | (package(aios-auth) & test(/^peer::/)) | \
                        (package(aios-tools) & test(/^fs_refused::/))";

/// Runs them; the second part also when the first one failed, so that all is heard.
///
/// # Errors
/// A test failed, or cargo-nextest or sudo could not be run.
pub(crate) fn run(host: &Host) -> Result<()> {
    if host.is_root() {
        ensure!(
            nextest(host, &format!("not {ELSEWHERE}"), false)?,
            "tests failed: above"
        );
        return Ok(());
    }
    let own = nextest(host, &format!("not ({ELSEWHERE} | {ROOT_ONLY})"), false)?;
    say("test-rust: now, through sudo, what needs root");
    let roots = nextest(host, &format!("{ROOT_ONLY} | {ROOT_TOO}"), true)?;
    ensure!(own && roots, "tests failed: above");
    Ok(())
}

/// Runs those that the filter selects; answers whether all passed.
fn nextest(host: &Host, filter: &str, through_sudo: bool) -> Result<bool> {
    let mut run = Command::new("cargo");
    run.current_dir(&host.root)
        .args(["nextest", "run", "--release", "--workspace", "--no-fail-fast"])
        .args(["-E", filter]);
    if through_sudo {
        // A test has no terminal to be asked for a password on.
        host.root_cmd("true").run().context("sudo")?;
        // cargo stays the person's, and what it writes; the tests' own programs alone are root's.
        run.args([
            "--config",
            "target.'cfg(all())'.runner = ['sudo', '--preserve-env']",
        ]);
    }
    let status = run.status().context("start cargo")?;
    Ok(status.success())
}
