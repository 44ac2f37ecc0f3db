//! `cargo xtask agent-image`: the image that agents run in, as an OCI layout with a known digest.
//!
//! The wheels come from the Python package index, pinned by version and digest, for the image's Python and not for the
//! one of this machine. Nothing is installed inside: the image has no package manager.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

use crate::base;
use crate::cached::Inputs;
use crate::host::{Host, readable, say};
use crate::image::epoch;

/// The agent image in root's store.
pub(crate) const IMAGE: &str = "localhost/aios-agent";
/// The tag inside the OCI layout.
const TAG: &str = "agent";
/// The Python of the agent base.
const PYTHON: &str = "3.14";
const PLATFORMS: &[&str] = &[
    "manylinux_2_28_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
];

/// Arguments of `agent-image`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Build even when nothing changed.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Builds when an input changed, and says where the layout lies.
pub(crate) fn run(host: &Host, args: &Args) -> Result<()> {
    let (layout, digest) = ensure(host, args)?;
    say(&format!("agent image: {digest} in {}", layout.display()));
    Ok(())
}

/// The OCI layout's directory and its manifest digest, built anew when an input changed.
pub(crate) fn ensure(host: &Host, args: &Args) -> Result<(PathBuf, String)> {
    base::ensure(host, base::AGENT_BASE)?;
    let shim = host.binaries.join("aios-shim");
    let wheels = wheels(host)?;
    let inputs = Inputs::default()
        .text(&host.image_id(base::AGENT_BASE)?)
        .path(&host.root.join("Containerfile"))?
        .path(&host.root.join("bootc/agent"))?
        .path(&host.root.join("python/aios_agents"))?
        .path(&shim)
        .context("run `cargo build --release` first")?
        .text(&epoch::OF_FILES.to_string())
        .digest();
    let layout = host.cache.join("agent-image").join(inputs);
    if args.force || !layout.join("index.json").exists() {
        build(host, &shim, &wheels, &layout)?;
    }
    let digest = manifest_digest(&layout)?;
    Ok((layout, digest))
}

/// Unpacked wheels, kept by the digest of the requirements.
fn wheels(host: &Host) -> Result<PathBuf> {
    let requirements = host.root.join("bootc/agent/requirements.txt");
    let key = Inputs::default().text(PYTHON).path(&requirements)?.digest();
    let dir = host.cache.join("wheels").join(&key);
    if dir.exists() {
        return Ok(dir);
    }
    say("agent image: fetching wheels");
    let sh = &host.shell;
    let part = host.cache.join("wheels").join(format!("{key}.part"));
    sh.remove_path(&part)?;
    let platforms = PLATFORMS.iter().flat_map(|platform| ["--platform", platform]);
    xshell::cmd!(
        sh,
        "python3 -m pip install --quiet --no-deps --no-compile --only-binary=:all:"
    )
    .args([
        "--require-hashes",
        "--implementation",
        "cp",
        "--python-version",
        PYTHON,
    ])
    .args(platforms)
    .arg("--target")
    .arg(&part)
    .arg("--requirement")
    .arg(&requirements)
    .quiet()
    .run()
    .context("pip: run `cargo xtask setup` first")?;
    std::fs::rename(&part, &dir)?;
    Ok(dir)
}

fn build(host: &Host, shim: &Path, wheels: &Path, layout: &Path) -> Result<()> {
    let sh = &host.shell;
    let context = host.cache.join("agent-context");
    sh.remove_path(&context)?;
    let python = context.join("usr/lib/aios/python");
    sh.create_dir(&python)?;
    copy_into(host, wheels, &python)?;
    let agents = host.root.join("python/aios_agents");
    xshell::cmd!(sh, "cp -r {agents} {python}").quiet().run()?;
    let bin = context.join("usr/lib/aios/bin");
    sh.create_dir(&bin)?;
    sh.copy_file(shim, &bin)?;
    sh.copy_file(
        host.root.join("bootc/agent/warm.py"),
        context.join("usr/lib/aios"),
    )?;
    for file in ["passwd", "group"] {
        sh.create_dir(context.join("etc"))?;
        sh.copy_file(host.root.join("bootc/agent").join(file), context.join("etc"))?;
    }
    xshell::cmd!(sh, "find {context} -name __pycache__ -prune -exec rm -r")
        .args(["{}", "+"])
        .quiet()
        .run()?;
    readable(host, &context)?;
    // Byte code names the date of its source, and is void when the image has another.
    let date = epoch::OF_FILES.to_string();
    xshell::cmd!(sh, "find {context} -exec touch --no-dereference --date @{date}")
        .args(["{}", "+"])
        .quiet()
        .run()?;
    host.podman()
        .args([
            "build",
            "--quiet",
            "--isolation",
            "chroot",
            "--layers=false",
            "--timestamp",
            &date,
            "--target",
            "agent",
        ])
        .arg("--build-arg")
        .arg(format!("AGENT_BASE={}", base::AGENT_BASE))
        .arg("--build-context")
        .arg(format!("agent-files={}", context.display()))
        .args(["--tag", IMAGE, "."])
        .ignore_stdout()
        .run()
        .context("build the agent image")?;
    host.prune()?;
    push(host, layout)
}

/// Zstandard unpacks several times faster than gzip, which counts where the CPU is emulated.
fn push(host: &Host, layout: &Path) -> Result<()> {
    let parent = layout.parent().context("a layout has a parent directory")?;
    host.root_cmd("rm").arg("-rf").arg(parent).run()?;
    host.shell.create_dir(parent)?;
    host.podman()
        .args(["push", "--quiet", "--compression-format", "zstd", IMAGE])
        .arg(format!("oci:{}:{TAG}", layout.display()))
        .ignore_stdout()
        .run()
        .context("write the agent image's OCI layout")?;
    say("agent image: built");
    Ok(())
}

fn copy_into(host: &Host, from: &Path, to: &Path) -> Result<()> {
    let sh = &host.shell;
    let from = from.join(".");
    xshell::cmd!(sh, "cp -r {from} {to}").quiet().run()?;
    Ok(())
}

/// The digest by which the image is known, from the layout's index.
fn manifest_digest(layout: &Path) -> Result<String> {
    let path = layout.join("index.json");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let index: serde_json::Value = serde_json::from_str(&text)?;
    let digest = index
        .pointer("/manifests/0/digest")
        .and_then(serde_json::Value::as_str);
    Ok(digest
        .with_context(|| format!("{} names no manifest", path.display()))?
        .to_owned())
}
