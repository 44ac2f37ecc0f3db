//! `cargo xtask image`: the OS image, from base, install tree and the files under `bootc/`.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

use crate::cached::Inputs;
use crate::host::{Host, say};
use crate::{base, stage};

/// The OS image in root's store.
pub(crate) const IMAGE: &str = "localhost/aios";

/// Arguments of `image`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Compile the binaries inside the image build, by the image's own toolchain: many minutes, and needs the crate
    /// registry. Without it those of `cargo build --release` are taken.
    #[arg(long)]
    compile: bool,
    /// Another base image, one that brings bootc and a kernel.
    #[arg(long, default_value = base::OS_BASE)]
    base: String,
    /// Build even when nothing changed.
    #[arg(long)]
    force: bool,
}

impl Args {
    /// The stage of the Containerfile that has the binaries.
    fn stage(&self) -> &'static str {
        if self.compile { "compiled" } else { "prebuilt" }
    }
}

/// Builds the image when an input changed.
pub(crate) fn run(host: &Host, args: &Args) -> Result<()> {
    base::run(host, &base::Args::default())?;
    let (install, binaries) = contexts(host, args)?;
    let mut inputs = Inputs::default()
        .text(&host.image_id(&args.base)?)
        .path(&host.root.join("Containerfile"))?
        .path(&host.root.join("bootc"))?
        .path(&install)?;
    inputs = if args.compile {
        inputs
            .path(&host.root.join("crates"))?
            .path(&host.root.join("Cargo.lock"))?
    } else {
        inputs.path(&binaries)?
    };
    let tagged = format!("{IMAGE}:{}", inputs.text(args.stage()).digest());
    if args.force || !host.has_image(&tagged)? {
        build(host, args, &install, &binaries, &tagged)?;
    }
    host.podman().args(["tag", &tagged, IMAGE]).run()?;
    say(&format!("image: {tagged}"));
    Ok(())
}

/// Fills the two build contexts.
fn contexts(host: &Host, args: &Args) -> Result<(PathBuf, PathBuf)> {
    let install = host.cache.join("image-context/install");
    let binaries = host.cache.join("image-context/binaries");
    stage::tree(host, &install)?;
    host.shell.create_dir(&binaries)?;
    if !args.compile {
        stage::binaries(host, &binaries)?;
    }
    Ok((install, binaries))
}

fn build(host: &Host, args: &Args, install: &Path, binaries: &Path, tagged: &str) -> Result<()> {
    say(&format!("image: building with {} binaries", args.stage()));
    // The compiling stage is worth keeping as layers; the rest is one layer, quicker to write and to mount.
    let layers = if args.compile {
        "--layers=true"
    } else {
        "--layers=false"
    };
    host.podman()
        .args([
            "build",
            "--quiet",
            "--isolation",
            "chroot",
            layers,
            "--target",
            "os",
        ])
        .arg("--build-arg")
        .arg(format!("BASE={}", args.base))
        .arg("--build-arg")
        .arg(format!("BINARIES={}", args.stage()))
        .arg("--build-context")
        .arg(format!("install={}", install.display()))
        .arg("--build-context")
        .arg(format!("binaries={}", binaries.display()))
        .args(["--tag", tagged, "."])
        .ignore_stdout()
        .run()
        .context("build the OS image")
}
