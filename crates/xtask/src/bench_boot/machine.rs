//! One boot in QEMU, from the kernel to power-off.

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a boot may take; emulated, on a busy machine.
const LIMIT: &str = "1200";
/// What an initramfs would have done is done by `devtmpfs.mount`. With `quiet` the serial port costs both sides nothing, and
/// with `TERM=dumb` systemd does not wait for answers of a terminal that is not there.
const COMMAND_LINE: &str = "root=/dev/nvme0n1 rootfstype=ext4 rw devtmpfs.mount=1 console=ttyS0 panic=-1 quiet printk.time=1 TERM=dumb";

/// Who is PID 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Init {
    Aios,
    Systemd,
}

impl Init {
    pub(super) const BOTH: [Self; 2] = [Self::Aios, Self::Systemd];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Aios => "aios-init",
            Self::Systemd => "systemd",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Aios => "/usr/lib/aios/bin/aios-init",
            Self::Systemd => "/usr/lib/systemd/systemd.distrib",
        }
    }
}

/// What the guest's clock counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Clock {
    /// Time of this machine. Whatever else it does shows in the figures.
    Host,
    /// Instructions, a nanosecond each, and time of this machine while the guest rests: a processor of 1 GIPS, whatever
    /// the emulation costs.
    Instructions,
}

/// A machine to boot.
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Path,
    pub(super) disk: &'a Path,
    pub(super) clock: Clock,
    /// Where the serial console and the probe's words go.
    pub(super) logs: &'a Path,
}

/// What a boot left.
pub(super) struct Said {
    /// The serial console.
    pub(super) console: String,
    /// The probe's words.
    pub(super) report: String,
}

impl Machine<'_> {
    /// Boots, waits for power-off, and yields what was said. `keep` leaves on the disk what the guest wrote.
    pub(super) fn boot(&self, init: Init, name: &str, more: &str, keep: bool) -> Result<Said> {
        let [console, report] =
            ["console", "report"].map(|kind| self.logs.join(format!("{name}-{}.{kind}", init.name())));
        let status = self
            .command(&console, &report, keep)
            .arg(format!("{COMMAND_LINE} init={} {more}", init.program()))
            .stdin(Stdio::null())
            .status()
            .context("start QEMU: run `cargo xtask setup --for vm` first")?;
        ensure!(
            status.success(),
            "the machine did not power off in {LIMIT} s (QEMU: {status}); its console is {}",
            console.display()
        );
        let read = |path: &PathBuf| -> Result<String> {
            let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok(Said {
            console: read(&console)?,
            report: read(&report)?,
        })
    }

    fn command(&self, console: &Path, report: &Path, keep: bool) -> Command {
        let snapshot = if keep { "off" } else { "on" };
        // In our group of processes, so that Ctrl-C ends it too.
        let mut command = Command::new("timeout");
        command.args(["--foreground", LIMIT, "qemu-system-x86_64"]);
        // One processor, and `max` less cx16: other ones crash a kernel now and then under emulation.
        command.args(["-machine", "q35", "-cpu", "max,-cx16", "-smp", "1", "-m", "2048"]);
        command.args(["-accel", "tcg,thread=single", "-nodefaults", "-no-user-config"]);
        command.args(["-display", "none", "-no-reboot"]);
        if self.clock == Clock::Instructions {
            command.args(["-icount", "shift=0,sleep=on"]);
        }
        // A network with a DHCP server and nobody else.
        command.args(["-nic", "user,model=virtio-net-pci,restrict=on"]);
        command.arg("-drive").arg(format!(
            "file={},format=raw,if=none,id=root,cache=unsafe,snapshot={snapshot}",
            self.disk.display()
        ));
        command.args(["-device", "nvme,drive=root,serial=aios-root"]);
        command.arg("-serial").arg(format!("file:{}", console.display()));
        command.args(["-device", "virtio-serial-pci", "-chardev"]);
        command.arg(format!("file,id=report,path={}", report.display()));
        command.args(["-device", "virtconsole,chardev=report"]);
        command.arg("-kernel").arg(self.kernel).arg("-append");
        command
    }
}
