//! `cargo xtask vm`: boots the OS image in QEMU.
//!
//! The image's root is written to a disk file and its own kernel is started directly: no firmware, no partition table,
//! and no initramfs, because the kernel has NVMe and ext4 built in. What firmware, boot loader and bootc do is not
//! covered here.
//!
//! With `--test` the image gets one more service, which runs the self-test of `tests/vm/guest` and writes a JSON
//! object a line to a virtio console; they are printed as they come, and the exit code says whether all held.

mod disk;
mod qemu;
mod report;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::closed;
use crate::host::{Host, copy, say};
use crate::image;

/// How the guest's instructions run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Accel {
    /// KVM where the processor offers it, else emulation.
    Auto,
    /// The processor's virtualization.
    Kvm,
    /// Software emulation, about ten times slower.
    Tcg,
}

/// Arguments of `vm`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run the self-test and power off, instead of a root shell on this terminal.
    #[arg(long)]
    test: bool,
    /// The image of root's store to boot: the one that `image` built last.
    #[arg(long, default_value = image::IMAGE)]
    image: String,
    /// How the guest's instructions run.
    #[arg(long, value_enum, default_value_t = Accel::Auto)]
    accel: Accel,
    /// Memory in MiB.
    #[arg(long, default_value_t = 2048)]
    memory_mib: u32,
    /// End a test that takes longer, in seconds.
    #[arg(long, default_value_t = 900)]
    timeout_s: u64,
    /// More words for the kernel command line.
    #[arg(long)]
    append: Option<String>,
    /// Keep what the guest writes to this disk file, made when missing; without it every boot is the first.
    #[arg(long)]
    disk: Option<PathBuf>,
}

/// Boots of one test, where only the emulator is at fault.
const ATTEMPTS: u32 = 4;

/// Boots, and answers success when the guest's test passed and it powered off cleanly.
pub(crate) fn run(host: &Host, args: &Args) -> Result<ExitCode> {
    ensure!(
        host.has_image(&args.image)?,
        "{} is not there: run `cargo xtask image` first",
        args.image
    );
    let extra = if args.test {
        disk::Extra::Test
    } else {
        disk::Extra::Shell
    };
    let name = disk::with(host, &args.image, extra)?;
    let boot = disk::ensure(host, &name, args.disk.as_deref())?;
    let machine = qemu::Machine {
        kernel: boot.kernel,
        // A test writes to a copy, which is looked at afterwards.
        disk: if args.test {
            boot.scratch
        } else {
            boot.disk.clone()
        },
        keep_writes: args.test || args.disk.is_some(),
        kvm: kvm(args.accel),
        memory_mib: args.memory_mib,
        // The self-test enrols a person of its own.
        append: [
            if args.test { "aios.admin=none" } else { "" },
            args.append.as_deref().unwrap_or_default(),
        ]
        .join(" "),
    };
    if !args.test {
        return machine.interactive();
    }
    let log = host.cache.join("vm/serial.log");
    let (outcome, serial) = attempt(&machine, &boot.disk, &log, Duration::from_secs(args.timeout_s))?;
    let verdict = report::verdict(&outcome, &serial).and_then(|passed| {
        closed::all(&machine.disk).map_err(|error| format!("after the power-off: {error:#}"))?;
        Ok(passed)
    });
    match &verdict {
        Ok(passed) => say(&format!("{passed} passed, 0 failed")),
        Err(reason) => {
            say(&format!("vm: {reason}"));
            say(&format!(
                "--- last lines of the serial console, all of it in {}",
                log.display()
            ));
            let lines: Vec<&str> = serial.lines().collect();
            lines
                .iter()
                .skip(lines.len().saturating_sub(60))
                .for_each(|line| say(line));
        }
    }
    Ok(if verdict.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Boots once, or again where the emulator broke the guest's kernel.
fn attempt(
    machine: &qemu::Machine,
    disk: &Path,
    log: &Path,
    limit: Duration,
) -> Result<(qemu::Outcome, String)> {
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let number = attempts.next().unwrap_or(ATTEMPTS);
        copy(disk, &machine.disk)?;
        let outcome = machine.test(log, limit)?;
        let serial = std::fs::read(log).with_context(|| log.display().to_string())?;
        let serial = String::from_utf8_lossy(&serial).into_owned();
        if number == ATTEMPTS || machine.kvm || !emulator_fault(&serial) {
            return Ok((outcome, serial));
        }
        say("vm: the emulator broke the guest's kernel while it patched itself; booting again");
    }
}

/// Two emulated processors may run a break point that the kernel is just replacing (`text_poke`); real ones do not.
fn emulator_fault(serial: &str) -> bool {
    serial.contains("Oops: int3")
}

/// A `/dev/kvm` that opens is no proof: inside a virtual machine without nested virtualization it cannot run a kernel.
fn kvm(accel: Accel) -> bool {
    match accel {
        Accel::Kvm => true,
        Accel::Tcg => false,
        Accel::Auto => {
            let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
            let offered = flags
                .split_whitespace()
                .any(|flag| flag == "vmx" || flag == "svm");
            offered
                && std::fs::OpenOptions::new()
                    .read(true)
                    .write(true)
                    .open("/dev/kvm")
                    .is_ok()
        }
    }
}
