//! What happens to a machine, and what must be so afterwards.

mod failing;
mod handlaid;
mod headless;
mod iso;
mod neighbour;
mod packages;
mod person;
mod power;
mod tools;
mod update;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

use super::guest::{Done, Guest, Hello, Port};
use super::install::{Bed, tail};
use super::machine::{Disk, Machine, Network, Running, Start};
use crate::closed;
use crate::host::say;

pub(super) use handlaid::on_a_hand_laid_disk;

/// One story.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) run: fn(&Bed, PathBuf) -> Result<()>,
}

/// All stories, in the order in which a machine may live through them.
pub(super) const ALL: [Scenario; 12] = [
    Scenario {
        name: "update",
        summary: "install, boot, upgrade, bless, roll back; /var is kept and /etc merged",
        run: update::update_and_back,
    },
    Scenario {
        name: "tools",
        summary: "aiosctl updates and goes back, with a person's approval; unsigned and altered images are refused before staging",
        run: tools::by_aiosctl,
    },
    Scenario {
        name: "packages",
        summary: "a package comes by an image that the machine makes, starts with it, and goes with it",
        run: packages::by_image,
    },
    Scenario {
        name: "neighbour",
        summary: "nothing under /usr can be written; another machine sees only the port that was opened",
        run: neighbour::scan,
    },
    Scenario {
        name: "headless",
        summary: "a machine without a screen is given a key by firmware or a disk: its holder gets in, and nobody else",
        run: headless::sign_in,
    },
    Scenario {
        name: "no-orchestrator",
        summary: "an image whose orchestrator never becomes ready falls back",
        run: failing::no_orchestrator,
    },
    Scenario {
        name: "no-pid1",
        summary: "an image whose PID 1 ends falls back",
        run: failing::no_pid1,
    },
    Scenario {
        name: "no-init",
        summary: "an image with a broken kernel command line falls back",
        run: failing::broken_command_line,
    },
    Scenario {
        name: "no-initramfs",
        summary: "an image with a truncated initramfs falls back",
        run: failing::truncated_initramfs,
    },
    Scenario {
        name: "again",
        summary: "after a failed update, status, a good upgrade and rollback still work",
        run: failing::good_after_bad,
    },
    Scenario {
        name: "power-cuts",
        summary: "power cut at random instants of an update and of normal work: it boots one whole image, and nothing acknowledged is lost",
        run: power::cuts,
    },
    Scenario {
        name: "iso",
        summary: "the installer medium, in a drive and as a stick, installs unattended; the installed machine becomes ready",
        run: iso::install_and_boot,
    },
];

/// Emulated, firmware to services takes about a minute on an idle machine.
const BOOT: Duration = Duration::from_mins(10);
/// The longest that a command may take.
const COMMAND: Duration = Duration::from_mins(10);

/// What a machine has beside its disk.
#[derive(Default)]
pub(super) struct Fittings {
    /// Where every write to the disk is logged.
    pub(super) log: Option<PathBuf>,
    /// A second disk with images, if they are not on its own.
    pub(super) images: Option<PathBuf>,
    /// One more disk, which nobody asked for.
    pub(super) extra: Option<PathBuf>,
    pub(super) network: Option<Network>,
    /// What firmware hands to it.
    pub(super) given: Vec<String>,
}

/// A machine that lives.
pub(super) struct Life {
    machine: Running,
    disk: PathBuf,
    guest: Guest,
    /// The boot that runs.
    hello: Hello,
}

impl Life {
    /// Switches a machine with this disk on, and waits for its first boot.
    pub(super) fn begin(bed: &Bed, disk: PathBuf) -> Result<Self> {
        Self::begin_logged(bed, disk, None)
    }

    /// The same, and logs what it writes.
    pub(super) fn begin_logged(bed: &Bed, disk: PathBuf, log: Option<PathBuf>) -> Result<Self> {
        let images = Some(bed.images());
        let fittings = Fittings {
            log,
            images,
            ..Fittings::default()
        };
        Self::begin_with(disk, fittings)
    }

    /// The same, with all that the machine has.
    pub(super) fn begin_with(disk: PathBuf, fittings: Fittings) -> Result<Self> {
        let other = |file: Option<PathBuf>, serial| {
            file.map(|file| Disk {
                file,
                serial,
                keep: false,
                log: None,
            })
        };
        let path = std::env::temp_dir().join(format!("aios-life-{}.sock", std::process::id()));
        let port = Port::open(&path)?;
        let machine = Machine {
            start: Start::Firmware(disk.with_extension("vars")),
            console: disk.with_extension("console"),
            disks: std::iter::once(Disk {
                file: disk.clone(),
                serial: "disk",
                keep: true,
                log: fittings.log,
            })
            .chain(other(fittings.images, "images"))
            .chain(other(fittings.extra, "extra"))
            .collect(),
            port: Some(path),
            report: None,
            network: fittings.network,
            given: fittings.given,
            once: false,
        };
        let mut machine = machine.start()?;
        let mut guest = port.guest(Duration::from_secs(30))?;
        let hello = guest.hello(&mut machine, None, BOOT)?;
        let mut life = Self {
            machine,
            disk,
            guest,
            hello,
        };
        life.booted()?;
        Ok(life)
    }

    /// Waits for another boot, as many resets as that takes.
    pub(super) fn next_boot(&mut self, limit: Duration) -> Result<()> {
        self.hello = self.guest.hello(&mut self.machine, Some(&self.hello), limit)?;
        self.booted()
    }

    fn booted(&mut self) -> Result<()> {
        say(&format!("       v{} runs", self.hello.version));
        // lsblk, and so bootc, knows partitions' types from udev, which goes on while services start.
        self.done(&["udevadm", "settle"])?;
        // The images that it may be told to use are at the same place in each boot.
        let script = "mkdir -p /run/images && mount -o ro LABEL=images /run/images || mount --bind /usr/lib/aios-life/images /run/images";
        self.done(&["sh", "-c", script])?;
        Ok(())
    }

    /// Which image runs.
    pub(super) fn runs(&self, version: &str) -> Result<()> {
        ensure!(
            self.hello.version == version,
            "v{} runs, and not v{version}",
            self.hello.version
        );
        Ok(())
    }

    /// Runs a command; however it ends.
    pub(super) fn run(&mut self, argv: &[&str]) -> Result<Done> {
        self.guest.run(&mut self.machine, argv, COMMAND)
    }

    /// Runs a command that must end well; answers what it printed.
    pub(super) fn done(&mut self, argv: &[&str]) -> Result<String> {
        let done = self.run(argv)?;
        if done.code != 0 {
            bail!(
                "{} ended with {}: {}{}",
                argv.join(" "),
                done.code,
                tail(&done.out, 5),
                tail(&done.err, 10)
            );
        }
        Ok(done.out)
    }

    /// The same, as JSON.
    pub(super) fn json(&mut self, argv: &[&str]) -> Result<Value> {
        let text = self.done(argv)?;
        serde_json::from_str(&text).with_context(|| format!("{} printed no JSON: {text}", argv.join(" ")))
    }

    /// Makes an image the one that this machine updates to.
    pub(super) fn offer(&mut self, version: &str) -> Result<()> {
        let script = format!(
            "mkdir -p /var/images/current && (umount /var/images/current || true) && mount --bind /run/images/{version} /var/images/current"
        );
        self.done(&["sh", "-c", &script]).map(drop)
    }

    /// Starts again, in order.
    pub(super) fn reboot(&mut self) -> Result<()> {
        self.guest.last(&["systemctl", "reboot"])
    }

    /// Waits until something holds.
    pub(super) fn until(
        &mut self,
        what: &str,
        limit: Duration,
        mut holds: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<()> {
        let until = std::time::Instant::now() + limit;
        while !holds(self)? {
            ensure!(
                std::time::Instant::now() < until,
                "{what}: not within {} s",
                limit.as_secs()
            );
            self.done(&["sleep", "2"])?;
        }
        Ok(())
    }

    /// Waits until the health service found nothing wrong.
    pub(super) fn healthy(&mut self) -> Result<()> {
        self.until("the system is healthy", update::HEALTHY, |life| {
            let service = life.run(&["aiosctl", "--json", "service", "status", "aios-health"])?;
            let service: Value = serde_json::from_str(&service.out).unwrap_or_default();
            Ok(service.pointer("/state").is_some_and(|state| state == "ready"))
        })
    }

    /// Has a goal done; answers its id.
    pub(super) fn goal(&mut self) -> Result<String> {
        let told = self.done(&["aiosctl", "--json", "goal", "run", "check that aiOS works"])?;
        // A line for each event, of which the first says that it is stored.
        let first: Value = serde_json::from_str(told.lines().next().unwrap_or_default())
            .with_context(|| format!("no event: {told}"))?;
        let id = first.pointer("/goal_id").and_then(Value::as_str);
        id.map(str::to_owned)
            .with_context(|| format!("a goal without an id: {first}"))
    }

    /// Names of the boot loader's entries.
    pub(super) fn entries(&mut self) -> Result<Vec<String>> {
        let script = "mkdir -p /run/esp && mount -t vfat $(blkid -L EFI-SYSTEM) /run/esp && ls /run/esp/loader/entries; umount /run/esp";
        let text = self.done(&["sh", "-c", script])?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Powers off in order, waits for it, and sees that every file system was closed.
    pub(super) fn end(mut self) -> Result<()> {
        self.guest.last(&["systemctl", "poweroff"])?;
        self.machine.wait(Duration::from_mins(3))?;
        closed::all(&self.disk)
    }
}
