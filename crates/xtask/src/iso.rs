//! `cargo xtask iso`: a medium that boots the OS image live, by UEFI, and installs it by bootc. The same file is burnt on a disc or
//! written to a stick.
//!
//! On it are an EFI system partition with systemd-boot, the image's kernel, and an initramfs that finds the medium by its label; the
//! image's root file system as a squashfs; and the image itself as an OCI layout, which is what is installed. The root differs from
//! the image's by the installer alone (`bootc/iso`).

mod efi;

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

use crate::cached::Inputs;
use crate::host::{Host, say};
use crate::image::{self, mounted, take};

/// The medium's name, by which its initramfs finds it.
const LABEL: &str = "AIOS_LIVE";
/// An unpacked image is several times its size, and zstd's higher levels gain little.
const LEVEL: &str = "9";

/// Arguments of `iso`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The image of root's store: the one that `image` built last. For real machines build it with `--kernel generic`.
    #[arg(long, default_value = image::IMAGE)]
    image: String,
    /// File to write.
    #[arg(long, default_value = "target/aios.iso")]
    output: PathBuf,
    /// What an installed machine updates from: TRANSPORT:REFERENCE, `registry:registry.example.org/aios:latest` for one.
    #[arg(long, default_value = "oci:/var/images/current")]
    follow: String,
    /// More words for the kernel command line, for an installation without a hand: `aios.install=auto aios.install.wipe=yes`.
    #[arg(long)]
    append: Option<String>,
}

/// What a medium is made of.
#[derive(Debug)]
pub(crate) struct Medium<'a> {
    /// The image of root's store.
    pub(crate) image: &'a str,
    /// What an installed machine updates from: transport and reference.
    pub(crate) follow: (&'a str, &'a str),
    /// Words for the kernel command line of the first entry of the menu.
    pub(crate) append: &'a str,
}

/// Writes the medium.
pub(crate) fn run(host: &Host, args: &Args) -> Result<()> {
    let follow = args
        .follow
        .split_once(':')
        .context("write --follow TRANSPORT:REFERENCE")?;
    let medium = Medium {
        image: &args.image,
        follow,
        append: args.append.as_deref().unwrap_or("aios.install=ask"),
    };
    let output = host.root.join(&args.output);
    write(host, &medium, &output)?;
    let mib = std::fs::metadata(&output)?.len() >> 20;
    say(&format!(
        "iso: {} ({mib} MiB); write it to a stick with `dd if={} of=/dev/STICK bs=4M oflag=sync`",
        output.display(),
        output.display()
    ));
    Ok(())
}

/// Writes a medium to a file.
pub(crate) fn write(host: &Host, medium: &Medium<'_>, output: &Path) -> Result<()> {
    ensure!(
        host.has_image(medium.image)?,
        "{} is not there: run `cargo xtask image` first",
        medium.image
    );
    let tree = prepare(host, medium.image)?;
    efi::write(host, &tree, medium.append)?;
    host.shell.write_file(
        tree.join("cd/aios/follow"),
        format!("{} {}\n", medium.follow.0, medium.follow.1),
    )?;
    let part = output.with_extension("part");
    let cd = tree.join("cd");
    let sh = &host.shell;
    // One partition for both ways: named as the boot image, for drives, and in the partition table, for sticks. A load size of one
    // block stands for all of it: the field has 16 bits, and firmware takes what it says at its word.
    xshell::cmd!(
        sh,
        "xorriso -as mkisofs -quiet -iso-level 3 -r -V {LABEL} -e boot/efi.img -no-emul-boot -boot-load-size 1 -efi-boot-part --efi-boot-image -o {part} {cd}"
    )
    .quiet()
    .ignore_stderr()
    .run()
    .context("xorriso: run `cargo xtask setup --for image` first")?;
    std::fs::rename(part, output)?;
    Ok(())
}

/// The directory with what every medium of this image has, made when missing: `cd`, the files of the medium; `vmlinuz`,
/// `initramfs.img` and `loader.efi`.
fn prepare(host: &Host, image: &str) -> Result<PathBuf> {
    let sources = host.root.join("bootc/iso");
    let digest = Inputs::default()
        .text(&host.image_id(image)?)
        .text(LEVEL)
        .path(&sources)?
        .digest();
    let cache = host.cache.join("iso");
    let tree = cache.join(digest);
    if tree.join("initramfs.img").exists() {
        return Ok(tree);
    }
    // Only the newest image's is worth its room.
    host.root_cmd("rm").arg("-rf").arg(&cache).run()?;
    host.shell.create_dir(tree.join("cd/aios"))?;
    let live = stage(host, image, "live")?;
    mounted::with(host, &live, |root| files(host, root, &tree))?;
    say("iso: writing the image that will be installed");
    host.podman()
        .args(["push", "--quiet", image])
        .arg(format!("oci:{}", tree.join("cd/aios/image").display()))
        .ignore_stdout()
        .run()
        .context("write the image's OCI layout")?;
    let initramfs = stage(host, image, "initramfs")?;
    mounted::with(host, &initramfs, |root| {
        take::file(host, &root.join("live.img"), &tree.join("initramfs.img"))
    })?;
    Ok(tree)
}

/// Builds a stage of `bootc/iso/Containerfile`.
fn stage(host: &Host, image: &str, stage: &str) -> Result<String> {
    let name = format!("localhost/aios-iso-{stage}");
    host.podman()
        .args(["build", "--quiet", "--isolation", "chroot", "--target", stage])
        .arg("--build-arg")
        .arg(format!("IMAGE={image}"))
        .args(["--tag", &name])
        .arg(host.root.join("bootc/iso"))
        .ignore_stdout()
        .run()
        .with_context(|| format!("build {name}"))?;
    Ok(name)
}

/// Takes the live root file system, the kernel and the boot loader out of an image.
fn files(host: &Host, root: &Path, tree: &Path) -> Result<()> {
    ensure!(
        root.join("usr/bin/bootc").exists(),
        "this image has no bootc, which installs it: build it with `--bootc DIR`, or on a base that has it"
    );
    say("iso: packing the root file system");
    host.root_cmd("mksquashfs")
        .arg(root)
        .arg(tree.join("cd/aios/root.squashfs"))
        .args(["-comp", "zstd", "-Xcompression-level", LEVEL])
        .args(["-no-progress", "-quiet", "-noappend"])
        .run()
        .context("mksquashfs: run `cargo xtask setup --for image` first")?;
    take::kernel(host, root, &tree.join("vmlinuz"))?;
    take::loader(host, root, &tree.join("loader.efi"))
}
