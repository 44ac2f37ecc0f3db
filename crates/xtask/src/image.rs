//! `cargo xtask image`: the OS image, from base, install tree and the files under `bootc/`.

use anyhow::{Context, Result};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

use crate::cached::Inputs;
use crate::host::{Host, say};
use crate::{base, stage};

/// The OS image in root's store.
pub(crate) const IMAGE: &str = "localhost/aios";

/// Where the binaries in the image come from.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Binaries {
    /// Built outside, by `cargo build --release`: seconds.
    Prebuilt,
    /// Compiled inside the image build by the image's own toolchain: many minutes, and needs the crate registry.
    Compiled,
}

impl Binaries {
    /// The stage of the Containerfile.
    fn stage(self) -> &'static str {
        match self {
            Self::Prebuilt => "prebuilt",
            Self::Compiled => "compiled",
        }
    }
}

/// Arguments of `image`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the binaries come from.
    #[arg(long, value_enum, default_value_t = Binaries::Prebuilt)]
    binaries: Binaries,
    /// Another base image, one that brings bootc and a kernel.
    #[arg(long, default_value = base::OS_BASE)]
    base: String,
    /// Build even when nothing changed.
    #[arg(long)]
    force: bool,
}

impl Args {
    /// Defaults, with the binaries compiled inside or not.
    pub(crate) fn with_binaries_compiled(compiled: bool) -> Self {
        let binaries = if compiled {
            Binaries::Compiled
        } else {
            Binaries::Prebuilt
        };
        Self {
            binaries,
            base: base::OS_BASE.to_owned(),
            force: false,
        }
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
    inputs = match args.binaries {
        Binaries::Prebuilt => inputs.path(&binaries)?,
        Binaries::Compiled => inputs
            .path(&host.root.join("crates"))?
            .path(&host.root.join("Cargo.lock"))?,
    };
    let tagged = format!("{IMAGE}:{}", inputs.digest());
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
    if args.binaries == Binaries::Prebuilt {
        stage::binaries(host, &binaries)?;
    }
    Ok((install, binaries))
}

fn build(host: &Host, args: &Args, install: &Path, binaries: &Path, tagged: &str) -> Result<()> {
    say(&format!(
        "image: building with {} binaries",
        args.binaries.stage()
    ));
    // The compiling stage is worth keeping as layers; the rest is one layer, quicker to write and to mount.
    let layers = if args.binaries == Binaries::Compiled {
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
        .arg(format!("BINARIES={}", args.binaries.stage()))
        .arg("--build-context")
        .arg(format!("install={}", install.display()))
        .arg("--build-context")
        .arg(format!("binaries={}", binaries.display()))
        .args(["--tag", tagged, "."])
        .ignore_stdout()
        .run()
        .context("build the OS image")
}
