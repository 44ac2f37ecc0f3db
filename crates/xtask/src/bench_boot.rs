//! `cargo xtask bench-boot`: the same image with the same services, booted by aios-init and by systemd in turn, in one run.
//!
//! systemd gets units that are made of the services' own files ([`units`]), the distribution's units for what aiOS does around
//! them (udev, tmpfiles, sysusers, modules, sysctl, nftables, journal), and nothing more (`tests/boot-bench/masked`). The kernel
//! is started directly, without firmware and initramfs. Times are the kernel's own: of its line `Run … as init process`, of a
//! mark that the probe writes to its log once every core service is ready, of another when it asks for power-off, and of
//! `reboot: Power down`.

mod bed;
mod machine;
mod said;
mod seccomp;
mod service;
mod table;
mod units;

use anyhow::{Context, Result, ensure};
use std::process::ExitCode;

use crate::host::{Host, say};
use crate::image;
use machine::{Clock, Init, Machine, Said};
use said::{Process, Processes, Times};
use table::{Row, Spread};

/// Arguments of `bench-boot`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Boots of each.
    #[arg(long, default_value_t = 10)]
    boots: u32,
    /// What the guest's clock counts.
    #[arg(long, value_enum, default_value_t = Clock::Instructions)]
    clock: Clock,
    /// Leave out the longer boot of each that shows idle wake-ups and phases.
    #[arg(long)]
    short: bool,
    /// The image to boot: the one that `image` built last.
    #[arg(long, default_value = image::IMAGE)]
    image: String,
}

/// What the probe waits a minute for.
const IDLE: &str = "bench_boot.idle";

/// One boot's figures.
struct Boot {
    times: Times,
    processes: Processes,
}

impl Boot {
    fn of(said: &Said) -> Result<Self> {
        Ok(Self {
            times: said::times(said)?,
            processes: said::processes(&said::section(&said.report, "processes")),
        })
    }
}

/// Boots both in turn and prints the table.
pub(crate) fn run(host: &Host, args: &Args) -> Result<ExitCode> {
    ensure!(
        host.has_image(&args.image)?,
        "{} is not there: run `cargo xtask image` first",
        args.image
    );
    ensure!(args.boots > 0, "--boots 0 measures nothing");
    let bed = bed::prepare(host, &args.image)?;
    let machine = Machine {
        kernel: &bed.kernel,
        disk: &bed.disk,
        clock: args.clock,
        logs: &bed.dir,
    };
    let (mut aios, mut systemd) = (Vec::new(), Vec::new());
    for number in 1..=args.boots {
        for (init, boots) in [(Init::Aios, &mut aios), (Init::Systemd, &mut systemd)] {
            let said = machine.boot(init, &number.to_string(), "", false)?;
            let boot = Boot::of(&said).with_context(|| format!("boot {number} with {}", init.name()))?;
            say(&format!(
                "boot {number:>2}  {:<9}  ready {:>7.0} ms  off {:>6.0} ms",
                init.name(),
                boot.times.ready,
                boot.times.off
            ));
            boots.push(boot);
        }
    }
    table::lines(&rows(&aios, &systemd)?)
        .iter()
        .for_each(|line| say(line));
    if !args.short {
        for init in Init::BOTH {
            let said = machine.boot(init, "idle", IDLE, false)?;
            idle(init, &said).iter().for_each(|line| say(line));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A figure of a boot.
type Figure = fn(&Boot) -> f64;

fn rows(aios: &[Boot], systemd: &[Boot]) -> Result<Vec<Row>> {
    let figures: [(&str, &str, Option<f64>, Figure); 8] = [
        ("kernel, until it executes PID 1", "ms", None, |boot| {
            boot.times.kernel
        }),
        (
            "from there until all core services are ready",
            "ms",
            Some(0.5),
            |boot| boot.times.ready,
        ),
        (
            "power-off, from the request to the kernel's last word",
            "ms",
            None,
            |boot| boot.times.off,
        ),
        ("PID 1, Pss", "KiB", Some(0.25), |boot| {
            memory(boot, is_first, |it| it.pss_kib)
        }),
        ("PID 1, Rss", "KiB", Some(0.25), |boot| {
            memory(boot, is_first, |it| it.rss_kib)
        }),
        (
            "PID 1 and supervisor; systemd and journald, Pss",
            "KiB",
            None,
            |boot| memory(boot, is_manager, |it| it.pss_kib),
        ),
        ("the same, Rss", "KiB", None, |boot| {
            memory(boot, is_manager, |it| it.rss_kib)
        }),
        ("all processes, Pss", "KiB", None, |boot| {
            memory(boot, |_, _| true, |it| it.pss_kib)
        }),
    ];
    let rows = figures.into_iter().map(|(what, unit, goal, figure)| {
        let spread = |boots: &[Boot]| Spread::of(boots.iter().map(figure).collect());
        Some(Row {
            what,
            unit,
            aios: spread(aios)?,
            systemd: spread(systemd)?,
            goal,
        })
    });
    rows.collect::<Option<Vec<Row>>>().context("no boots")
}

/// Which processes count.
type Which = fn(u32, &Process) -> bool;

fn is_first(pid: u32, _: &Process) -> bool {
    pid == 1
}

/// PID 1 and who does with it what the other side's does: the supervisor keeps services and their logs, journald keeps logs.
fn is_manager(pid: u32, process: &Process) -> bool {
    is_first(pid, process) || process.name == "aios-supervisor" || process.name.starts_with("systemd-journal")
}

fn memory(boot: &Boot, which: Which, size: fn(&Process) -> u64) -> f64 {
    let fits = boot
        .processes
        .iter()
        .filter(|(pid, process)| which(**pid, process));
    fits.map(|(_, process)| size(process)).sum::<u64>() as f64
}

/// What the longer boot says: context switches of a minute of idleness, where the time went, and what failed.
fn idle(init: Init, said: &Said) -> Vec<String> {
    let before = said::processes(&said::section(&said.report, "processes"));
    let after = said::processes(&said::section(&said.report, "later"));
    let mut lines = vec![format!(
        "--- {}: context switches in 60 idle seconds",
        init.name()
    )];
    for (pid, process) in &after {
        let ours = is_manager(*pid, process) || process.name.starts_with("systemd-");
        if ours && let Some(earlier) = before.get(pid) {
            lines.push(format!(
                "{:>6}  {}",
                process.switches.saturating_sub(earlier.switches),
                process.name
            ));
        }
    }
    for name in ["profile", "phases", "failed"] {
        lines.push(format!("--- {}: {name}", init.name()));
        lines.push(said::section(&said.report, name));
    }
    lines
}
