//! The images that a life goes through, as OCI layouts on one disk, which share their blobs.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

use crate::host::{Host, say};
use crate::image::{mounted, take};

/// Versions, as `tests/life/Containerfile` has them.
pub(crate) const VERSIONS: [&str; 6] = ["v1", "v2", "v3", "v4", "v5", "v6"];
/// Apparent size of the disk with the layouts; the file is sparse.
const SIZE: &str = "3G";

/// Whether an image has bootc.
pub(super) fn has_bootc(host: &Host, image: &str) -> Result<bool> {
    mounted::with(host, image, |root| {
        let status = host
            .root_cmd("test")
            .arg("-x")
            .arg(root.join("usr/bin/bootc"))
            .ignore_status()
            .output()?;
        Ok(status.status.success())
    })
}

/// Builds a stage of `tests/life/Containerfile` on `image`; answers its name.
pub(super) fn build(host: &Host, image: &str, stage: &str) -> Result<String> {
    build_with(host, image, stage, &[])
}

/// The same with named directories that the stage copies from.
pub(super) fn build_with(
    host: &Host,
    image: &str,
    stage: &str,
    contexts: &[(&str, &Path)],
) -> Result<String> {
    let name = format!("localhost/aios-life-{stage}");
    host.podman()
        .args(["build", "--quiet", "--isolation", "chroot", "--target", stage])
        .arg("--build-arg")
        .arg(format!("IMAGE={image}"))
        .args(
            contexts
                .iter()
                .flat_map(|(name, dir)| ["--build-context".to_owned(), format!("{name}={}", dir.display())]),
        )
        .args(["--tag", &name])
        .arg(host.root.join("tests/life"))
        .ignore_stdout()
        .ignore_stderr()
        .run()
        .with_context(|| format!("build {name}"))?;
    Ok(name)
}

/// Writes every version to a disk: a directory each, with an OCI layout. Blobs that several have are there once.
pub(super) fn disk(host: &Host, image: &str, dir: &Path, file: &Path) -> Result<()> {
    let all = dir.join("layouts/all");
    host.root_cmd("rm").arg("-rf").arg(dir.join("layouts")).run()?;
    host.root_cmd("mkdir").arg("-p").arg(&all).run()?;
    for version in VERSIONS {
        let name = build(host, image, version)?;
        // One layout for all: a blob that is there is not compressed again.
        host.podman()
            .args(["push", "--quiet"])
            .arg(&name)
            .arg(format!("oci:{}:{version}", all.display()))
            .run()?;
        say(&format!("life: {version} is written"));
    }
    split(host, &all, &dir.join("layouts"))?;
    host.root_cmd("rm").arg("-rf").arg(&all).run()?;
    let part = file.with_extension("part");
    host.root_cmd("mkfs.ext4")
        .args(["-q", "-F", "-L", "images", "-d"])
        .arg(dir.join("layouts"))
        .arg(&part)
        .arg(SIZE)
        .ignore_stdout()
        .run()?;
    take::owned(host, &part)?;
    std::fs::rename(part, file)?;
    host.root_cmd("rm").arg("-rf").arg(dir.join("layouts")).run()?;
    Ok(())
}

/// Makes of one layout with many tags a layout for each, whose blobs are names of the same files.
fn split(host: &Host, all: &Path, to: &Path) -> Result<()> {
    let text = host.root_cmd("cat").arg(all.join("index.json")).read()?;
    let index: serde_json::Value = serde_json::from_str(&text)?;
    let manifests = index
        .get("manifests")
        .and_then(serde_json::Value::as_array)
        .context("index.json has no manifests")?;
    for manifest in manifests {
        let version = manifest
            .pointer("/annotations/org.opencontainers.image.ref.name")
            .and_then(serde_json::Value::as_str)
            .context("a manifest without a tag")?;
        let dir = to.join(version);
        host.root_cmd("mkdir").arg(&dir).run()?;
        host.root_cmd("cp")
            .args(["-al"])
            .arg(all.join("blobs"))
            .arg(all.join("oci-layout"))
            .arg(&dir)
            .run()?;
        let one = serde_json::json!({"schemaVersion": 2, "manifests": [without_tag(manifest)]});
        host.install_file(
            &dir.join("index.json").to_string_lossy(),
            &one.to_string(),
            "0644",
        )?;
        sweep(host, &dir, manifest)?;
    }
    Ok(())
}

/// A layout with one image needs no tag to name it.
fn without_tag(manifest: &serde_json::Value) -> serde_json::Value {
    let mut manifest = manifest.clone();
    if let Some(object) = manifest.as_object_mut() {
        object.remove("annotations");
    }
    manifest
}

/// Removes the blobs of other images from a layout.
fn sweep(host: &Host, dir: &Path, manifest: &serde_json::Value) -> Result<()> {
    let digest = |value: &serde_json::Value| {
        value
            .get("digest")
            .and_then(serde_json::Value::as_str)
            .and_then(|digest| digest.strip_prefix("sha256:"))
            .map(str::to_owned)
    };
    let own = digest(manifest).context("a manifest without a digest")?;
    let blobs = dir.join("blobs/sha256");
    let text = host.root_cmd("cat").arg(blobs.join(&own)).read()?;
    let content: serde_json::Value = serde_json::from_str(&text)?;
    let layers = content
        .get("layers")
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten();
    let mut wanted: Vec<String> = layers.filter_map(digest).collect();
    wanted.extend(content.get("config").and_then(digest));
    wanted.push(own);
    let listed = host.root_cmd("ls").arg(&blobs).read()?;
    let foreign: Vec<PathBuf> = listed
        .split_whitespace()
        .filter(|name| !wanted.iter().any(|it| it == name))
        .map(|name| blobs.join(name))
        .collect();
    if !foreign.is_empty() {
        host.root_cmd("rm").args(foreign).run()?;
    }
    Ok(())
}
