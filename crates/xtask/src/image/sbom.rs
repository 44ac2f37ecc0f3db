//! The list of what an image is made of, as an SPDX 2.3 document (<https://spdx.github.io/spdx-spec/v2.3/>) beside it.
//!
//! Debian packages come from the image itself, crates from Cargo's resolution of the product's programs, wheels and the
//! page's packages from the files that pin them. The same image gives the same document, byte for byte: its name space
//! comes from its content and its date from outside.

mod document;
mod sources;

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

use super::{epoch, mounted};
use crate::host::{Host, say};
use crate::{agent_image, stage};
use document::{Component, Document, Group};

/// Where the OS image and the agent image keep dpkg's database.
const STATUS: &[&str] = &["usr/lib/sysimage/dpkg/status", "var/lib/dpkg/status"];
const BOOTC: &str = "usr/bin/bootc";

/// Writes the list of the image to `<cache>/image/aios.spdx.json`. `version` tells this image from others.
pub(super) fn write(host: &Host, image: &str, version: &str) -> Result<PathBuf> {
    let groups = vec![
        mounted::with(host, image, |root| system(host, root))?,
        programs(host)?,
        agent(host)?,
        page(host)?,
    ];
    let document = Document::new(version, &epoch::of_commit(host)?, &groups)?;
    let dir = host.cache.join("image");
    host.shell.create_dir(&dir)?;
    let path = dir.join("aios.spdx.json");
    let text = serde_json::to_string_pretty(&document)?;
    host.shell.write_file(&path, format!("{text}\n"))?;
    say(&format!(
        "image: {} lists {} components",
        path.display(),
        document.len()
    ));
    Ok(path)
}

/// What is installed in the image itself. Somebody else's image may keep no database; then the list says nothing of it.
fn system(host: &Host, root: &Path) -> Result<Group> {
    let mut components = Vec::new();
    for status in STATUS {
        if let Some(text) = read(host, &root.join(status))? {
            components.extend(sources::debian(&text));
        }
    }
    let bootc = root.join(BOOTC);
    if is_file(host, &bootc)? {
        let digest = host.root_cmd("sha256sum").arg(&bootc).read()?;
        let digest = digest.split_whitespace().next().unwrap_or_default();
        components.push(Component::of_file("bootc", digest));
    }
    Ok(Group::new("system", components))
}

/// Crates that are linked into the programs.
fn programs(host: &Host) -> Result<Group> {
    let sh = &host.shell;
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let text = xshell::cmd!(
        sh,
        "cargo metadata --offline --locked --format-version 1 --filter-platform {platform}"
    )
    .quiet()
    .read()?;
    let metadata: serde_json::Value = serde_json::from_str(&text)?;
    Ok(Group::new(
        "programs",
        sources::crates(&metadata, stage::is_product)?,
    ))
}

/// Wheels that the agent image has, and Debian packages by their licence files: nothing else of them is left there.
fn agent(host: &Host) -> Result<Group> {
    let path = host.root.join("bootc/agent/requirements.txt");
    let mut components =
        sources::wheels(&host.shell.read_file(&path)?).with_context(|| path.display().to_string())?;
    if host.has_image(agent_image::IMAGE)? {
        let names = mounted::with(host, agent_image::IMAGE, |root| {
            let listed = host.root_cmd("ls").arg(root.join("usr/share/doc"));
            Ok(listed.ignore_status().output()?.stdout)
        })?;
        let names = String::from_utf8_lossy(&names);
        components.extend(names.lines().map(sources::debian_of_agent));
    }
    Ok(Group::new("agent-image", components))
}

/// What the console's page is bundled from.
fn page(host: &Host) -> Result<Group> {
    let path = host.root.join("crates/console/web/package-lock.json");
    let lock: serde_json::Value = serde_json::from_str(&host.shell.read_file(&path)?)?;
    Ok(Group::new("page", sources::npm(&lock)))
}

fn read(host: &Host, path: &Path) -> Result<Option<String>> {
    if !is_file(host, path)? {
        return Ok(None);
    }
    Ok(Some(host.root_cmd("cat").arg(path).read()?))
}

fn is_file(host: &Host, path: &Path) -> Result<bool> {
    let test = host.root_cmd("test").arg("-f").arg(path).ignore_status();
    Ok(test.output()?.status.success())
}
