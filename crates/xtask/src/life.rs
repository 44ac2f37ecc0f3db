//! `cargo xtask life`: the operating system's life in virtual machines. The image is installed by bootc on an empty disk, and then
//! started by firmware and boot loader, updated, broken, and rolled back, with no hand on it.
//!
//! Everything is what a real machine has: OVMF, systemd-boot, an EFI system partition, a composefs root, bootc. The machine outside
//! only speaks with a small service in the guest ([`guest`]), which runs commands as a person at the console would.
//!
//! It needs an image with bootc (`cargo xtask image --bootc DIR`, or a base that has it), and says loudly when there is none.

mod cut;
mod guest;
mod handlaid;
mod images;
mod install;
mod machine;
mod scenario;

use anyhow::{Result, ensure};
use std::process::ExitCode;
use std::time::Instant;

use crate::host::{Host, say};
use crate::image;

/// Arguments of `life`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only scenarios whose names contain one of these words.
    only: Vec<String>,
    /// The image to live with: the one that `image` built last.
    #[arg(long, default_value = image::IMAGE)]
    image: String,
    /// On a disk laid by hand, with a double in bootc's place: counting, blessing and falling back alone.
    #[arg(long)]
    hand_laid: bool,
    /// Install again, although this image was installed before.
    #[arg(long)]
    fresh: bool,
}

/// Runs the scenarios, and answers success when all held.
pub(crate) fn run(host: &Host, args: &Args) -> Result<ExitCode> {
    ensure!(
        host.has_image(&args.image)?,
        "{} is not there: run `cargo xtask image` first",
        args.image
    );
    if args.hand_laid {
        say(
            "--- hand-laid: a bad image falls back and a good one is blessed, with a double in bootc's place",
        );
        scenario::on_a_hand_laid_disk(handlaid::disk(host, &args.image)?)?;
        say("ok     hand-laid");
        return Ok(ExitCode::SUCCESS);
    }
    if !images::has_bootc(host, &args.image)? {
        say(
            "life: SKIPPED, ALL OF IT: this image has no bootc. Build one with `--bootc DIR`, or try `--hand-laid`.",
        );
        return Ok(ExitCode::SUCCESS);
    }
    let bed = install::Bed::prepare(host, &args.image, args.fresh)?;
    let wanted =
        |name: &str| args.only.is_empty() || args.only.iter().any(|word| name.contains(word.as_str()));
    let mut failed = Vec::new();
    for scenario in scenario::ALL.iter().filter(|scenario| wanted(scenario.name)) {
        say(&format!("--- {}: {}", scenario.name, scenario.summary));
        let begun = Instant::now();
        let result = bed
            .disk(scenario.name)
            .and_then(|disk| (scenario.run)(&bed, disk));
        let seconds = begun.elapsed().as_secs();
        match result {
            Ok(()) => say(&format!("ok     {seconds:>4} s  {}", scenario.name)),
            Err(error) => {
                say(&format!("FAILED {seconds:>4} s  {}: {error:#}", scenario.name));
                failed.push(scenario.name);
            }
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!(
        "failed: {}; consoles are in {}",
        failed.join(", "),
        bed.dir().display()
    ));
    Ok(ExitCode::FAILURE)
}
