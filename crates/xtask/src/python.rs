//! The virtual environment `.venv` in which the agents' tests, types and lints run, and programs that the Python
//! package index carries.

use anyhow::{Context, Result};
use std::path::PathBuf;

use crate::cached::Inputs;
use crate::host::{Host, say};

/// Makes `.venv` when it is missing or `python/pyproject.toml` changed.
pub(crate) fn venv(host: &Host) -> Result<()> {
    let venv = host.root.join(".venv");
    let project = host.root.join("python/pyproject.toml");
    let digest = Inputs::default().path(&project)?.digest();
    let stamp = venv.join(".digest");
    if std::fs::read_to_string(&stamp).is_ok_and(|old| old == digest) {
        return Ok(());
    }
    say("python: making .venv");
    let sh = &host.shell;
    xshell::cmd!(sh, "python3 -m venv --clear {venv}")
        .quiet()
        .run()
        .context("python3 -m venv: run `cargo xtask setup` first")?;
    let pip = venv.join("bin/pip");
    let package = format!("{}[dev]", host.root.join("python").display());
    xshell::cmd!(sh, "{pip} install --quiet --editable {package}")
        .quiet()
        .run()
        .context("install the agents' package and its test tools")?;
    std::fs::write(&stamp, digest)?;
    Ok(())
}

/// The directory of a program that comes in a pinned package, in an environment of its own in the cache.
pub(crate) fn wheel(host: &Host, program: &str, package: &str) -> Result<PathBuf> {
    let venv = host
        .cache
        .join(program)
        .join(Inputs::default().text(package).digest());
    let bin = venv.join("bin");
    if !bin.join(program).exists() {
        say(&format!(
            "{program}: the machine has none that is new enough; taking {package}"
        ));
        let sh = &host.shell;
        xshell::cmd!(sh, "python3 -m venv --clear {venv}")
            .quiet()
            .run()
            .context("python3 -m venv: run `cargo xtask setup` first")?;
        let pip = bin.join("pip");
        xshell::cmd!(sh, "{pip} install --quiet {package}")
            .quiet()
            .run()
            .with_context(|| format!("install {package}"))?;
    }
    Ok(bin)
}
