//! `cargo xtask docs`: the reference under `docs/reference`, made from the code.
//!
//! The programs say themselves what they are: `aios-tools --print-registry` prints every tool, `aiosctl reference` the
//! command line. Here that becomes pages; nothing is known of any one tool, key or command. `--check` changes nothing
//! and fails where a page is not what the code says.

mod config;
mod schema;
mod tools;
mod workers;

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

use crate::host::{Host, say};

/// Where the reference lies.
const REFERENCE: &str = "docs/reference";

/// Arguments of `docs`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail when a page is stale.
    #[arg(long)]
    check: bool,
}

/// Content by path below [`REFERENCE`].
type Pages = BTreeMap<String, String>;

/// Writes or checks every page.
pub(crate) fn run(host: &Host, args: &Args) -> Result<()> {
    let wanted = pages(host)?;
    let reference = host.root.join(REFERENCE);
    let there = read(&reference)?;
    let stale = differences(&wanted, &there);
    if stale.is_empty() {
        return Ok(());
    }
    if args.check {
        bail!(
            "{REFERENCE} is stale: {}; run `make docs` and commit what it writes",
            stale.join(", ")
        );
    }
    for name in there.keys().filter(|name| !wanted.contains_key(*name)) {
        std::fs::remove_file(reference.join(name))?;
    }
    for (name, content) in &wanted {
        let file = reference.join(name);
        host.shell
            .create_dir(file.parent().context("a page lies in a directory")?)?;
        std::fs::write(&file, content).with_context(|| file.display().to_string())?;
    }
    say(&format!("docs: {} changed: {}", stale.len(), stale.join(", ")));
    Ok(())
}

fn pages(host: &Host) -> Result<Pages> {
    let mut pages: Pages = serde_json::from_str(&print(host, "aiosctl", "reference")?)
        .context("what `aiosctl reference` prints is no list of pages")?;
    let registry: Vec<tools::Tool> = serde_json::from_str(&print(host, "aios-tools", "--print-registry")?)
        .context("what `aios-tools --print-registry` prints is no list of tools")?;
    let workers = workers::section(&host.root.join("configs/services"))?;
    pages.insert("tools.md".to_owned(), tools::page(&registry, &workers));
    let file = host.root.join("configs/config.toml");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let settings = config::page(&text).with_context(|| file.display().to_string())?;
    pages.insert("config.md".to_owned(), settings);
    Ok(pages)
}

/// What a program of the workspace says about itself.
fn print(host: &Host, program: &str, argument: &str) -> Result<String> {
    let path = host.binaries.join(program);
    let sh = &host.shell;
    xshell::cmd!(sh, "{path} {argument}")
        .quiet()
        .read()
        .with_context(|| {
            format!("{program} {argument}: run `cargo build --release --workspace --bins` first")
        })
}

/// Every file below a directory, by its path there.
fn read(dir: &Path) -> Result<Pages> {
    let mut found = Pages::new();
    if !dir.exists() {
        return Ok(found);
    }
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            let below = read(&entry.path())?;
            found.extend(
                below
                    .into_iter()
                    .map(|(path, text)| (format!("{name}/{path}"), text)),
            );
        } else {
            let text = std::fs::read(entry.path()).with_context(|| entry.path().display().to_string())?;
            found.insert(name, String::from_utf8_lossy(&text).into_owned());
        }
    }
    Ok(found)
}

/// Names of pages that are missing, differ, or are there and should not be.
fn differences(wanted: &Pages, there: &Pages) -> Vec<String> {
    let changed = wanted
        .iter()
        .filter(|(name, content)| there.get(*name) != Some(*content))
        .map(|(name, _)| name.clone());
    let gone = there.keys().filter(|name| !wanted.contains_key(*name)).cloned();
    changed.chain(gone).collect()
}

/// Text in a cell of a table: one line, and no bar that would end the cell.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_changed_and_left_over_pages_are_stale() {
        let pages = |list: &[(&str, &str)]| -> Pages {
            list.iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect()
        };
        let wanted = pages(&[("a.md", "1"), ("b.md", "2"), ("man/c.1", "3")]);
        assert_eq!(differences(&wanted, &wanted), Vec::<String>::new());
        let there = pages(&[("a.md", "1"), ("b.md", "0"), ("old.md", "4")]);
        assert_eq!(differences(&wanted, &there), ["b.md", "man/c.1", "old.md"]);
    }

    #[test]
    fn files_are_found_below_their_directory() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("man")).unwrap();
        std::fs::write(dir.path().join("man/a.1"), "x").unwrap();
        let there = read(dir.path()).unwrap();
        assert_eq!(there.get("man/a.1").map(String::as_str), Some("x"));
        assert_eq!(read(&dir.path().join("none")).unwrap().len(), 0);
    }

    #[test]
    fn a_cell_is_one_line_without_bars() {
        assert_eq!(cell("a |\n  b"), "a \\| b");
    }
}
