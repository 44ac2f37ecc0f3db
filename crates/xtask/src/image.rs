//! `cargo xtask image`: the OS image, from base, install tree and the files under `bootc/`, and what can be said of it.

pub(crate) mod epoch;
mod layers;
mod lint;
pub(crate) mod mounted;
mod reproduce;
mod sbom;
mod size;
pub(crate) mod take;

use anyhow::{Context, Result};
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cached::Inputs;
use crate::host::{Host, readable, say};
use crate::{base, stage};

/// The OS image in root's store.
pub(crate) const IMAGE: &str = "localhost/aios";

/// Arguments of `image`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    build: Build,
}

/// What to do with an image, instead of building it.
#[derive(clap::Subcommand)]
enum Action {
    /// Checks a built image, or a root file system in a directory, by the rules of `bootc container lint`.
    Lint(lint::Args),
    /// Prints what a built image weighs, by part and by layer.
    Size(size::Args),
}

/// How to build it.
#[derive(clap::Args)]
struct Build {
    /// Compile the binaries inside the image build, by the image's own toolchain: many minutes. Cargo runs offline there,
    /// on crates that were vendored before; the toolchain is installed from Debian's archive. Without this option the
    /// binaries of `cargo build --release` are taken.
    #[arg(long)]
    compile: bool,
    /// Another base image, one that brings bootc and a kernel.
    #[arg(long, default_value = base::OS_BASE)]
    base: String,
    /// Directory with bootc's installed files (`usr/bin/bootc`, `usr/lib/bootc`, its dracut module), for a base that has
    /// none: Debian has no package of it. Without them the image cannot install or update itself.
    #[arg(long, env = "AIOS_BOOTC")]
    bootc: Option<PathBuf>,
    /// Another kernel than the base's: `cloud` for virtual machines, `generic` with the drivers of real ones.
    #[arg(long, value_enum)]
    kernel: Option<Kernel>,
    /// Build even when nothing changed.
    #[arg(long)]
    force: bool,
    /// Build twice from nothing, and fail when the layers differ; leaves no image.
    #[arg(long)]
    check_reproducible: bool,
    /// Name of the image in root's store.
    #[arg(long, default_value = IMAGE)]
    tag: String,
}

/// Debian's flavours of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kernel {
    /// `linux-image-cloud-amd64`
    Cloud,
    /// `linux-image-amd64`
    Generic,
}

impl Build {
    /// Where the binaries come from.
    fn binaries(&self) -> &'static str {
        if self.compile { "compiled" } else { "prebuilt" }
    }

    /// What the Containerfile calls the kernel; nothing keeps the base's.
    fn kernel(&self) -> &'static str {
        match self.kernel {
            None => "",
            Some(Kernel::Cloud) => "cloud",
            Some(Kernel::Generic) => "generic",
        }
    }
}

/// Does what the arguments ask for: to build the image, most of all.
pub(crate) fn run(host: &Host, args: &Args) -> Result<ExitCode> {
    match &args.action {
        Some(Action::Lint(args)) => return lint::run(host, args),
        Some(Action::Size(args)) => size::run(host, args)?,
        None if args.build.check_reproducible => reproduce::run(host, &args.build)?,
        None => ensure(host, &args.build)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the image when an input changed.
fn ensure(host: &Host, args: &Build) -> Result<()> {
    base::ensure(host, &args.base)?;
    let contexts = contexts(host, args)?;
    let mut inputs = Inputs::default()
        .text(&host.image_id(&args.base)?)
        .path(&host.root.join("Containerfile"))?
        .path(&contexts.files)?
        .path(&contexts.install)?
        .path(&contexts.layout)?
        .path(&contexts.bootc)?;
    inputs = if args.compile {
        inputs
            .path(&host.root.join("crates"))?
            .path(&host.root.join("proto"))?
            .path(&host.root.join("Cargo.toml"))?
            .path(&host.root.join("Cargo.lock"))?
    } else {
        inputs.path(&contexts.binaries)?
    };
    let tag = inputs.text(args.binaries()).text(args.kernel()).digest();
    let tagged = format!("{}:{tag}", args.tag);
    if args.force || !host.has_image(&tagged)? {
        build(host, args, &contexts, &tagged, Cache::Use)?;
    }
    host.podman().args(["tag", &tagged, &args.tag]).run()?;
    host.keep_only(&args.tag, &tag)?;
    size::show(host, &tagged)?;
    sbom::write(host, &tagged, &format!("{}+{tag}", env!("CARGO_PKG_VERSION")))?;
    lint::require(host, &tagged)?;
    say(&format!("image: {tagged}"));
    Ok(())
}

/// Directories that the build reads beside the checkout.
struct Contexts {
    install: PathBuf,
    layout: PathBuf,
    files: PathBuf,
    bootc: PathBuf,
    binaries: PathBuf,
    crates: PathBuf,
}

/// Fills those that this build needs.
fn contexts(host: &Host, args: &Build) -> Result<Contexts> {
    let dir = host.cache.join("image-context");
    let contexts = Contexts {
        install: dir.join("install"),
        layout: dir.join("layout"),
        files: dir.join("files"),
        bootc: args.bootc.clone().unwrap_or_else(|| dir.join("no-bootc")),
        binaries: dir.join("binaries"),
        crates: dir.join("crates"),
    };
    stage::tree(host, &contexts.install)?;
    // A layer of its own: it changes less often than what it is staged with.
    host.shell.remove_path(&contexts.layout)?;
    std::fs::rename(contexts.install.join("agent-image"), &contexts.layout)?;
    stage::replace(host, &host.root.join("bootc"), &contexts.files)?;
    if args.bootc.is_none() {
        say(
            "image: built without bootc, unless its base has it (see --bootc): it cannot install or update itself",
        );
        host.shell.create_dir(&contexts.bootc)?;
    }
    for dir in [&contexts.binaries, &contexts.crates] {
        host.shell.create_dir(dir)?;
    }
    if args.compile {
        vendor(host, &contexts.crates)?;
    } else {
        stage::stripped(host, &contexts.binaries)?;
        readable(host, &contexts.binaries)?;
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

/// Whether layers of earlier builds are taken where nothing below them changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cache {
    Use,
    Ignore,
}

fn build(host: &Host, args: &Build, contexts: &Contexts, tagged: &str, cache: Cache) -> Result<()> {
    say(&format!("image: building with {} binaries", args.binaries()));
    let context =
        |name: &str, dir: &Path| ["--build-context".to_owned(), format!("{name}={}", dir.display())];
    let argument = |name: &str, value: &str| ["--build-arg".to_owned(), format!("{name}={value}")];
    let date = epoch::OF_FILES.to_string();
    host.podman()
        .args(["build", "--quiet", "--isolation", "chroot", "--layers=true"])
        .args((cache == Cache::Ignore).then_some("--no-cache"))
        .args(["--timestamp", &date, "--target", "os"])
        .args(argument("BASE", &args.base))
        .args(argument("KERNEL", args.kernel()))
        .args(argument("SOURCE_DATE_EPOCH", &date))
        .args(context("install", &contexts.install))
        .args(context("layout", &contexts.layout))
        .args(context("files", &contexts.files))
        .args(context("bootc", &contexts.bootc))
        .args(if args.compile {
            context("crates", &contexts.crates)
        } else {
            context("binaries", &contexts.binaries)
        })
        .args(["--tag", tagged, "."])
        .ignore_stdout()
        .run()
        .context("build the OS image")
}
