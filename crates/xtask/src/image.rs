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
    /// Compile the binaries inside the image build, by the image's own toolchain: many minutes. Cargo runs offline there,
    /// on crates that were vendored before; the toolchain is installed from Debian's archive. Without this option the
    /// binaries of `cargo build --release` are taken.
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
    base::ensure(host, &args.base)?;
    let contexts = contexts(host, args)?;
    let mut inputs = Inputs::default()
        .text(&host.image_id(&args.base)?)
        .path(&host.root.join("Containerfile"))?
        .path(&host.root.join("bootc"))?
        .path(&contexts.install)?;
    inputs = if args.compile {
        inputs
            .path(&host.root.join("crates"))?
            .path(&host.root.join("proto"))?
            .path(&host.root.join("Cargo.toml"))?
            .path(&host.root.join("Cargo.lock"))?
    } else {
        inputs.path(&contexts.binaries)?
    };
    let tag = inputs.text(args.stage()).digest();
    let tagged = format!("{IMAGE}:{tag}");
    if args.force || !host.has_image(&tagged)? {
        build(host, args, &contexts, &tagged)?;
    }
    host.podman().args(["tag", &tagged, IMAGE]).run()?;
    host.keep_only(IMAGE, &tag)?;
    say(&format!("image: {tagged}"));
    Ok(())
}

/// Directories that the build reads beside the checkout.
struct Contexts {
    install: PathBuf,
    binaries: PathBuf,
    crates: PathBuf,
}

/// Fills those that this build needs.
fn contexts(host: &Host, args: &Args) -> Result<Contexts> {
    let dir = host.cache.join("image-context");
    let contexts = Contexts {
        install: dir.join("install"),
        binaries: dir.join("binaries"),
        crates: dir.join("crates"),
    };
    stage::tree(host, &contexts.install)?;
    for dir in [&contexts.binaries, &contexts.crates] {
        host.shell.create_dir(dir)?;
    }
    if args.compile {
        vendor(host, &contexts.crates)?;
    } else {
        stage::stripped(host, &contexts.binaries)?;
    }
    Ok(contexts)
}

/// Copies the crates of the lock file, with the configuration that makes cargo take them.
fn vendor(host: &Host, dir: &Path) -> Result<()> {
    let sh = &host.shell;
    let digest = Inputs::default().path(&host.root.join("Cargo.lock"))?.digest();
    let stamp = dir.join("digest");
    if std::fs::read_to_string(&stamp).is_ok_and(|old| old == digest) {
        return Ok(());
    }
    say("image: copying the crates to compile with");
    let to = dir.join("vendor");
    xshell::cmd!(sh, "cargo vendor --quiet --locked --versioned-dirs {to}")
        .quiet()
        .ignore_stdout()
        .run()?;
    let config = "[source.crates-io]\nreplace-with = \"vendored\"\n\n[source.vendored]\ndirectory = \"/crates/vendor\"\n";
    sh.write_file(dir.join("config.toml"), config)?;
    sh.write_file(&stamp, digest)?;
    Ok(())
}

fn build(host: &Host, args: &Args, contexts: &Contexts, tagged: &str) -> Result<()> {
    say(&format!("image: building with {} binaries", args.stage()));
    // The compiling stage is worth keeping as layers; the rest is one layer, quicker to write and to mount.
    let layers = if args.compile {
        "--layers=true"
    } else {
        "--layers=false"
    };
    let context =
        |name: &str, dir: &Path| ["--build-context".to_owned(), format!("{name}={}", dir.display())];
    let argument = |name: &str, value: &str| ["--build-arg".to_owned(), format!("{name}={value}")];
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
        .args(argument("BASE", &args.base))
        .args(argument("BINARIES", args.stage()))
        .args(argument("PROGRAMS", &stage::names(host)?.join(" ")))
        .args(context("install", &contexts.install))
        .args(context("binaries", &contexts.binaries))
        .args(context("crates", &contexts.crates))
        .args(["--tag", tagged, "."])
        .ignore_stdout()
        .run()
        .context("build the OS image")
}
