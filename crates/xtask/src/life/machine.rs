//! QEMU as a real machine: firmware, disks known by serial numbers, a serial console in a file, a port to the guest.

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs::OpenOptions;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const QEMU: &str = "qemu-system-x86_64";
const FIRMWARE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
/// Its variables as they are on a new machine.
const VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/// The partition that a kernel starts from when no firmware does. The kernel finds several disks at the same time: which of them
/// is the first is luck.
pub(super) const ROOT: &str = "A105A105-0000-4000-8000-000000000003";
const DIRECT: &str = "root=PARTUUID=A105A105-0000-4000-8000-000000000003 rootfstype=ext4 rw init=/usr/lib/aios/bin/aios-init devtmpfs.mount=1 console=ttyS0 panic=-1 quiet";

/// A disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    /// Its file.
    pub(crate) file: PathBuf,
    /// What the guest knows it by.
    pub(crate) serial: &'static str,
    /// Whether what the guest writes stays.
    pub(crate) keep: bool,
    /// Where every write and flush is logged, if it is.
    pub(crate) log: Option<PathBuf>,
}

/// What its only card is plugged into.
#[derive(Debug, Clone)]
pub(crate) enum Network {
    /// Another machine.
    Cable(Cable),
    /// This machine, which gives addresses by DHCP and reaches the guest's port for SSH at this one of its own.
    Host(u16),
}

/// One end of a cable between two machines.
#[derive(Debug, Clone)]
pub(crate) struct Cable {
    /// Socket that stands for it.
    pub(crate) socket: PathBuf,
    /// The machine that is started first holds the socket; the other one finds it.
    pub(crate) first: bool,
}

/// How it starts.
#[derive(Debug, Clone)]
pub(crate) enum Start {
    /// Firmware, and what it finds on the first disk. The file holds the firmware's variables.
    Firmware(PathBuf),
    /// Firmware, and a disc in a drive, which it tries first.
    Disc { variables: PathBuf, disc: PathBuf },
    /// This kernel, and the first disk as its root.
    Kernel(PathBuf),
}

/// A machine that is not started yet.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) start: Start,
    pub(crate) disks: Vec<Disk>,
    /// Where the serial console goes.
    pub(crate) console: PathBuf,
    /// Socket to which QEMU connects the guest's port, when it has one.
    pub(crate) port: Option<PathBuf>,
    /// Where the first virtio console goes, when it has one.
    pub(crate) report: Option<PathBuf>,
    /// Its only network, when it has one.
    pub(crate) network: Option<Network>,
    /// Strings that firmware hands to the guest (SMBIOS type 11).
    pub(crate) given: Vec<String>,
    /// Whether a guest that starts again ends the machine instead.
    pub(crate) once: bool,
}

/// A running one; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
}

impl Machine {
    /// Starts it.
    pub(crate) fn start(&self) -> Result<Running> {
        let mut command = Command::new(QEMU);
        // One processor: two emulated ones may run an instruction that the kernel is just replacing, and a test of a life
        // boots too often to be lucky each time. `max` less cx16, with which kernels crashed now and then.
        command.args([
            "-machine",
            "q35",
            "-accel",
            "tcg",
            "-cpu",
            "max,-cx16",
            "-smp",
            "1",
            "-m",
            "2048",
        ]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none"]);
        if self.once {
            command.arg("-no-reboot");
        }
        match &self.start {
            Start::Kernel(kernel) => {
                command.arg("-kernel").arg(kernel).args(["-append", DIRECT]);
            }
            Start::Firmware(variables) => firmware(&mut command, variables)?,
            Start::Disc { variables, disc } => {
                firmware(&mut command, variables)?;
                let drive = format!("file={},media=cdrom,if=none,id=disc,readonly=on", disc.display());
                command.args(["-drive", &drive, "-device", "ide-cd,drive=disc,bootindex=0"]);
            }
        }
        for (number, disk) in self.disks.iter().enumerate() {
            let file = disk.file.display();
            if let Some(log) = &disk.log {
                std::fs::File::create(log)?;
                for node in [
                    format!("driver=file,filename={file},node-name=f{number}"),
                    format!("driver=file,filename={},node-name=l{number}", log.display()),
                    format!("driver=blklogwrites,file=f{number},log=l{number},node-name=d{number}"),
                ] {
                    command.args(["-blockdev", &node]);
                }
            } else {
                let snapshot = if disk.keep { "off" } else { "on" };
                let drive =
                    format!("file={file},format=raw,if=none,id=d{number},cache=unsafe,snapshot={snapshot}");
                command.args(["-drive", &drive]);
            }
            command.args(["-device", &format!("nvme,drive=d{number},serial={}", disk.serial)]);
        }
        command
            .arg("-serial")
            .arg(format!("file:{}", self.console.display()));
        command.args(["-device", "virtio-serial-pci"]);
        if let Some(report) = &self.report {
            command.args(["-chardev", &format!("file,id=report,path={}", report.display())]);
            command.args(["-device", "virtconsole,chardev=report"]);
        }
        if let Some(port) = &self.port {
            command.args(["-chardev", &format!("socket,id=port,path={}", port.display())]);
            command.args(["-device", "virtserialport,chardev=port,name=org.aios.test"]);
        }
        if let Some(network) = &self.network {
            plug_in(&mut command, network);
        }
        for text in &self.given {
            // QEMU separates options by commas, and doubled ones are the text's own.
            command.args(["-smbios", &format!("type=11,value={}", text.replace(',', ",,"))]);
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.console.with_extension("qemu"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start QEMU: run `cargo xtask setup --for vm` first")?;
        Ok(Running { child })
    }
}

/// Gives the machine its card.
fn plug_in(command: &mut Command, network: &Network) {
    let (net, mac) = match network {
        Network::Cable(Cable { socket, first }) => {
            let (server, mac) = if *first { ("on", 1) } else { ("off", 2) };
            let socket = socket.display();
            let net = format!("stream,id=net,server={server},addr.type=unix,addr.path={socket}");
            (net, mac)
        }
        Network::Host(port) => (format!("user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22"), 1),
    };
    let card = format!("virtio-net-pci,netdev=net,mac=52:54:00:00:00:0{mac}");
    command.args(["-netdev", &net, "-device", &card]);
}

/// Has the machine start by firmware, with its own variables, which are made when missing.
fn firmware(command: &mut Command, variables: &Path) -> Result<()> {
    if !variables.exists() {
        std::fs::copy(VARIABLES, variables)
            .context("copy OVMF's variables: run `cargo xtask setup --for vm`")?;
    }
    let flash = |unit: u8, file: &Path, more: &str| {
        format!("if=pflash,format=raw,unit={unit},file={}{more}", file.display())
    };
    command.args(["-drive", &flash(0, Path::new(FIRMWARE), ",readonly=on")]);
    command.args(["-drive", &flash(1, variables, "")]);
    Ok(())
}

impl Running {
    /// Waits until the machine is off.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("watch QEMU")?;
        let ended = wait_for(&pidfd, limit)?;
        ensure!(ended, "the machine is not off after {} s", limit.as_secs());
        self.child.wait()?;
        Ok(())
    }

    /// Whether it has ended.
    pub(crate) fn is_off(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that ended by itself needs no killing.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Waits until a descriptor has something to say; false when the time is over.
pub(super) fn wait_for(fd: &impl AsFd, limit: Duration) -> Result<bool> {
    let mut watched = [PollFd::new(fd, PollFlags::IN)];
    let limit = Timespec::try_from(limit).context("a time limit")?;
    loop {
        match poll(&mut watched, Some(&limit)) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}
