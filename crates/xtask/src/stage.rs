//! `cargo xtask stage DIR`: the install tree, the same under `/usr/lib/aios` and in a development instance.
//!
//! Not for: building. It takes what cargo, npm and `agent-image` made.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

use crate::agent_image;
use crate::host::{Host, readable, say};

/// Vendor configuration, copied as it is.
const CONFIG: &[&str] = &[
    "services",
    "agents",
    "runbooks",
    "config.toml",
    "policy.toml",
    "triggers.toml",
];
/// Man pages and completions, as `docs` made them, laid out as below `/usr/share`.
const SHARE: &str = "docs/reference/share";
const CONSOLE: &str = "crates/console/web/dist";

/// Arguments of `stage`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Directory to fill; made when missing.
    dir: PathBuf,
}

/// Fills the directory.
pub(crate) fn run(host: &Host, args: &Args) -> Result<()> {
    let dir = host.root.join(&args.dir);
    tree(host, &dir)?;
    binaries(host, &dir.join("bin"))?;
    say(&format!("staged: {}", dir.display()));
    Ok(())
}

/// Everything but the binaries. A directory is replaced whole, so that a file removed here is gone there.
pub(crate) fn tree(host: &Host, dir: &Path) -> Result<()> {
    let (layout, digest) = agent_image::ensure(host, &agent_image::Args::default())?;
    host.shell.create_dir(dir)?;
    for name in CONFIG {
        replace(host, &host.root.join("configs").join(name), &dir.join(name))?;
    }
    replace(host, &host.root.join(SHARE), &dir.join("share"))?;
    replace(host, &layout, &dir.join("agent-image"))?;
    host.shell
        .write_file(dir.join("agent-image.digest"), format!("{digest}\n"))?;
    let page = host.root.join(CONSOLE);
    if page.exists() {
        replace(host, &page, &dir.join("console"))?;
    } else {
        say(&format!("staged without the page: {CONSOLE} is not built"));
    }
    Ok(())
}

/// All binaries of the workspace, but not this one. Unchanged ones stay, since running services map them; a changed one
/// is renamed into place, since a running file cannot be written. What is no program any more goes.
pub(crate) fn binaries(host: &Host, dir: &Path) -> Result<()> {
    each_program(host, dir, |from, to, part| {
        if same(from, to)? {
            return Ok(false);
        }
        std::fs::copy(from, part).with_context(|| format!("copy {}", from.display()))?;
        Ok(true)
    })
}

/// The same without the names of functions, which are a quarter of a program's size and of use to a developer only.
pub(crate) fn stripped(host: &Host, dir: &Path) -> Result<()> {
    let sh = &host.shell;
    each_program(host, dir, |from, to, part| {
        if newer(to, from)? {
            return Ok(false);
        }
        xshell::cmd!(sh, "strip --strip-all -o {part} {from}")
            .quiet()
            .run()?;
        Ok(true)
    })
}

/// Has `make` write each program beside its place, unless it says that what is there is right.
fn each_program(host: &Host, dir: &Path, make: impl Fn(&Path, &Path, &Path) -> Result<bool>) -> Result<()> {
    host.shell.create_dir(dir)?;
    let names = names(host)?;
    for name in &names {
        let from = host.binaries.join(name);
        ensure!(
            from.exists(),
            "{} is missing: run `cargo build --release` first",
            from.display()
        );
        let (to, part) = (dir.join(name), dir.join(format!(".{name}.part")));
        if make(&from, &to, &part)? {
            std::fs::rename(&part, &to)?;
        }
    }
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if !names.iter().any(|name| entry.file_name() == name.as_str()) {
            host.shell.remove_path(entry.path())?;
        }
    }
    Ok(())
}

/// Programs of the product, from cargo.
pub(crate) fn names(host: &Host) -> Result<Vec<String>> {
    let sh = &host.shell;
    let text = xshell::cmd!(sh, "cargo metadata --no-deps --offline --format-version 1")
        .quiet()
        .read()?;
    let metadata: serde_json::Value = serde_json::from_str(&text)?;
    Ok(binary_targets(&metadata))
}

/// Tools of the repository, benchmarks and tests are not installed. Takes a package of `cargo metadata`.
pub(crate) fn is_product(package: &serde_json::Value) -> bool {
    let text = |key: &str| {
        package
            .get(key)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    };
    let name = text("name");
    name != "xtask" && !name.starts_with("aios-bench") && !text("manifest_path").contains("/tests/")
}

fn binary_targets(metadata: &serde_json::Value) -> Vec<String> {
    let list = |value: &serde_json::Value, key: &str| {
        value
            .get(key)
            .and_then(serde_json::Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    list(metadata, "packages")
        .iter()
        .filter(|package| is_product(package))
        .flat_map(|package| list(package, "targets"))
        .filter(|target| list(target, "kind").iter().any(|kind| kind == "bin"))
        .filter_map(|target| target.get("name")?.as_str().map(str::to_owned))
        .collect()
}

fn same(from: &Path, to: &Path) -> Result<bool> {
    let Ok(there) = std::fs::metadata(to) else {
        return Ok(false);
    };
    let here = std::fs::metadata(from)?;
    Ok(here.len() == there.len() && here.modified()? <= there.modified()?)
}

fn newer(to: &Path, from: &Path) -> Result<bool> {
    let Ok(there) = std::fs::metadata(to) else {
        return Ok(false);
    };
    Ok(there.modified()? >= std::fs::metadata(from)?.modified()?)
}

/// Copies a file or directory beside the target, readable for everybody, then swaps.
pub(crate) fn replace(host: &Host, from: &Path, to: &Path) -> Result<()> {
    ensure!(from.exists(), "{} is missing", from.display());
    let sh = &host.shell;
    let name = to.file_name().context("a target has a name")?.to_string_lossy();
    let part = to.with_file_name(format!(".{name}.part"));
    sh.remove_path(&part)?;
    xshell::cmd!(sh, "cp -r --preserve=mode {from} {part}")
        .quiet()
        .run()?;
    readable(host, &part)?;
    sh.remove_path(to)?;
    std::fs::rename(&part, to)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::binary_targets;

    #[test]
    fn only_binaries_are_staged_and_never_this_tool() {
        let metadata = serde_json::json!({"packages": [
            {"name": "xtask", "targets": [{"name": "xtask", "kind": ["bin"]}]},
            {"name": "aios-harness", "manifest_path": "/src/tests/harness/Cargo.toml", "targets": [{"name": "killer", "kind": ["bin"]}]},
            {"name": "aios-sandbox", "targets": [
                {"name": "aios_sandbox", "kind": ["lib"]},
                {"name": "aios-sandbox", "kind": ["bin"]},
                {"name": "test-thing", "kind": ["test"]}]}
        ]});
        assert_eq!(binary_targets(&metadata), ["aios-sandbox"]);
    }
}
