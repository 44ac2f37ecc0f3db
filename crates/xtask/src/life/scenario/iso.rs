//! The installer medium: started by firmware, it installs on an empty disk without a hand, and that disk boots.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Life, update};
use crate::host::Host;
use crate::iso::{self, Medium};
use crate::life::install::{Bed, tail};
use crate::life::machine::{Disk, Machine, Start};

/// Apparent size of the disk that is installed on; the file is sparse.
const SIZE: u64 = 12 << 30;
/// Emulated, the live system and bootc take some minutes.
const INSTALL: Duration = Duration::from_mins(20);
/// The first of the images that this life has.
const IMAGE: &str = "localhost/aios-life-v1";
/// The installer's last words, when all went well.
const INSTALLED: &str = "aios-installer: installed on /dev/nvme";
/// On the serial console, which is read here.
const UNATTENDED: &str = "aios.install=auto aios.install.then=poweroff console=ttyS0";

/// Once from a drive and once from a stick; the machine that the stick made must become ready.
pub(super) fn install_and_boot(bed: &Bed, disk: PathBuf) -> Result<()> {
    let host = Host::new()?;
    let file = bed.dir().join("medium.iso");
    let medium = Medium {
        image: IMAGE,
        follow: ("oci", "/var/images/current"),
        append: UNATTENDED,
    };
    iso::write(&host, &medium, &file)?;
    let variables = disk.with_extension("vars");
    let disc = Start::Disc {
        variables: variables.clone(),
        disc: file.clone(),
    };
    install(disc, Vec::new(), &disk).context("from a drive")?;
    // Firmware that remembers the drive tries that, and its own shell, before a stick that it has not seen.
    std::fs::remove_file(&variables)?;
    let stick = Disk {
        file,
        serial: "stick",
        keep: false,
        log: None,
    };
    install(Start::Firmware(variables.clone()), vec![stick], &disk).context("from a stick")?;
    // What firmware remembers of the machine that installed is not this machine's.
    std::fs::remove_file(variables)?;
    let mut life = Life::begin(bed, disk)?;
    life.runs("1")?;
    let status = life.json(&["bootc", "status", "--json"])?;
    let booted = status.pointer("/status/booted/composefs");
    ensure!(
        booted.is_some_and(|it| !it.is_null()),
        "no composefs root: {status}"
    );
    life.until("all services are ready", update::HEALTHY, |life| {
        let services = life.json(&["aiosctl", "--json", "service", "list"])?;
        let services = services.as_array().context("a list of services")?;
        let waits = |service: &&Value| {
            let is = |key: &str, value: &Value| service.get(key) == Some(value);
            is("enabled", &json!(true)) && !is("state", &json!("ready")) && !is("state", &json!("listening"))
        };
        Ok(!services.iter().any(|service| waits(&service)))
    })?;
    life.end()
}

/// Installs on an empty disk, and waits until the machine has switched itself off.
fn install(start: Start, mut disks: Vec<Disk>, target: &Path) -> Result<()> {
    std::fs::File::create(target)?.set_len(SIZE)?;
    disks.push(Disk {
        file: target.to_owned(),
        serial: "target",
        keep: true,
        log: None,
    });
    let console = target.with_extension("install.console");
    let machine = Machine {
        start,
        disks,
        console: console.clone(),
        port: None,
        report: None,
        network: None,
        given: Vec::new(),
        once: true,
    };
    machine.start()?.wait(INSTALL)?;
    let said = std::fs::read(&console).with_context(|| console.display().to_string())?;
    let said = String::from_utf8_lossy(&said);
    ensure!(
        said.contains(INSTALLED),
        "nothing was installed; the console says:\n{}",
        tail(&said, 30)
    );
    Ok(())
}
