//! The virtual machine itself: QEMU's arguments, a terminal or a test's channel.

use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::host::say;

const QEMU: &str = "qemu-system-x86_64";
/// What an initramfs would have done is done by `devtmpfs.mount`. `quiet` counts: under emulation every line on the
/// serial port costs milliseconds.
const COMMAND_LINE: &str = "root=/dev/nvme0n1 rootfstype=ext4 rw init=/usr/lib/aios/bin/aios-init \
                            devtmpfs.mount=1 console=ttyS0 panic=-1 quiet";
/// Lines that wait to be printed; a guest that writes faster is slowed down by the full pipe.
const QUEUE: usize = 256;

/// One machine, not started yet.
pub(super) struct Machine {
    pub(super) kernel: PathBuf,
    pub(super) disk: PathBuf,
    /// Whether the disk file keeps what the guest writes.
    pub(super) keep_writes: bool,
    pub(super) kvm: bool,
    pub(super) memory_mib: u32,
    pub(super) append: String,
}

/// How a test's machine ended.
pub(super) struct Outcome {
    /// Lines that the guest wrote to its test channel.
    pub(super) lines: Vec<String>,
    /// Whether QEMU was ended because the time was over.
    pub(super) timed_out: bool,
    /// Whether QEMU itself ended without an error.
    pub(super) qemu_ok: bool,
}

impl Machine {
    /// The serial console on this terminal; Ctrl-A X ends the machine.
    pub(super) fn interactive(&self) -> Result<ExitCode> {
        say("vm: Ctrl-A X ends the machine");
        let mut command = self.command();
        command.args(["-serial", "mon:stdio"]);
        let status = command
            .status()
            .context("start QEMU: run `cargo xtask setup` first")?;
        Ok(if status.success() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// Runs until the guest powers off or the time is over; prints the test channel's lines as they come.
    pub(super) fn test(&self, serial_log: &Path, limit: Duration) -> Result<Outcome> {
        let mut command = self.command();
        command
            .arg("-serial")
            .arg(format!("file:{}", serial_log.display()))
            .args([
                "-device",
                "virtio-serial-pci",
                "-chardev",
                "stdio,id=test,signal=off",
            ])
            .args(["-device", "virtconsole,chardev=test"])
            // At the end of its input QEMU would close the guest's channel: keep it open, and silent.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .context("start QEMU: run `cargo xtask setup` first")?;
        let (lines, timed_out) = collect(&mut child, Instant::now() + limit)?;
        if timed_out {
            child.kill().context("end QEMU")?;
        }
        let status = child.wait().context("wait for QEMU")?;
        Ok(Outcome {
            lines,
            timed_out,
            qemu_ok: status.success(),
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(QEMU);
        // `max` less cx16: with it the guest's kernel crashed now and then under emulation.
        let (accel, cpu) = if self.kvm {
            ("kvm", "host")
        } else {
            ("tcg,thread=multi", "max,-cx16")
        };
        let snapshot = if self.keep_writes { "off" } else { "on" };
        command
            .args(["-machine", "q35", "-accel", accel, "-cpu", cpu, "-smp", "2", "-m"])
            .arg(self.memory_mib.to_string())
            .args([
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
                "-no-reboot",
                "-drive",
            ])
            .arg(format!(
                "file={},format=raw,if=none,id=root,cache=unsafe,snapshot={snapshot}",
                self.disk.display()
            ))
            .args(["-device", "nvme,drive=root,serial=aios-root", "-kernel"])
            .arg(&self.kernel)
            .arg("-append")
            .arg(format!("{COMMAND_LINE} {}", self.append));
        command
    }
}

/// Reads the child's output until its end or the deadline.
fn collect(child: &mut Child, deadline: Instant) -> Result<(Vec<String>, bool)> {
    let output = child.stdout.take().context("QEMU's output")?;
    let (sender, receiver) = sync_channel(QUEUE);
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let mut lines = Vec::new();
    let timed_out = loop {
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                say(&line);
                lines.push(line);
            }
            Err(RecvTimeoutError::Disconnected) => break false,
            Err(RecvTimeoutError::Timeout) => break true,
        }
    };
    if !timed_out && reader.join().is_err() {
        anyhow::bail!("the reader of QEMU's output failed");
    }
    Ok((lines, timed_out))
}
