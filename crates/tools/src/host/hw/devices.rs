//! Disks, interfaces, sensors, and what is on the bus.

use super::types::{
    Device, Interface, Network, Partition, Pci, PciDevice, Reading, Sensors, Storage, Supply,
};
use crate::budget::Budget;
use crate::error::Result;
use crate::host::{Host, link_name, names, number, text};
use std::path::Path;

/// Unit of the sizes in `/sys/block`, whatever the device's own is.
const SECTOR: u64 = 512;

fn size(path: &Path) -> u64 {
    number::<u64>(&path.join("size")).unwrap_or(0) * SECTOR
}

fn flag(path: &Path, name: &str) -> bool {
    number(&path.join(name)) == Some(1_u8)
}

pub(super) fn storage(host: &Host, budget: &Budget) -> Result<Storage> {
    let all = host.sys("block");
    let mut devices = Vec::new();
    for name in names(&all)? {
        budget.check()?;
        let path = all.join(&name);
        let size_bytes = size(&path);
        if size_bytes == 0 && (name.starts_with("loop") || name.starts_with("ram")) {
            continue;
        }
        let partitions = names(&path)?
            .into_iter()
            .filter(|part| path.join(part).join("partition").exists())
            .map(|part| Partition {
                size_bytes: size(&path.join(&part)),
                name: part,
            })
            .collect();
        devices.push(Device {
            size_bytes,
            model: text(&path.join("device/model")),
            serial: text(&path.join("device/serial")).or_else(|| text(&path.join("serial"))),
            rotational: flag(&path, "queue/rotational"),
            removable: flag(&path, "removable"),
            read_only: flag(&path, "ro"),
            partitions,
            name,
        });
    }
    Ok(Storage { devices })
}

pub(super) fn network(host: &Host, budget: &Budget) -> Result<Network> {
    let all = host.sys("class/net");
    let mut interfaces = Vec::new();
    for name in names(&all)? {
        budget.check()?;
        let path = all.join(&name);
        // Beside the interfaces lies a file that tells how bonds are made.
        if !path.join("ifindex").exists() {
            continue;
        }
        interfaces.push(Interface {
            address: text(&path.join("address")),
            state: text(&path.join("operstate")),
            mtu_bytes: number(&path.join("mtu")),
            speed_mbit: number(&path.join("speed")),
            driver: link_name(&path.join("device/driver")),
            name,
        });
    }
    Ok(Network { interfaces })
}

/// Prefix of a sensor's files, what it measures, its unit.
const KINDS: [(&str, &str, &str); 3] = [
    ("temp", "temperature", "millicelsius"),
    ("fan", "fan", "rpm"),
    ("in", "voltage", "millivolt"),
];

pub(super) fn sensors(host: &Host, budget: &Budget) -> Result<Sensors> {
    let chips = host.sys("class/hwmon");
    let mut readings = Vec::new();
    for chip in names(&chips)? {
        budget.check()?;
        let path = chips.join(&chip);
        for file in names(&path)? {
            if let Some(reading) = reading(&path, &chip, &file) {
                readings.push(reading);
            }
        }
    }
    let all = host.sys("class/power_supply");
    let supplies = names(&all)?
        .into_iter()
        .map(|name| Supply {
            kind: text(&all.join(&name).join("type")),
            state: text(&all.join(&name).join("status")),
            percent: number(&all.join(&name).join("capacity")),
            name,
        })
        .collect();
    Ok(Sensors { readings, supplies })
}

fn reading(chip: &Path, chip_name: &str, file: &str) -> Option<Reading> {
    let sensor = file.strip_suffix("_input")?;
    let (_, kind, unit) = KINDS.iter().find(|(prefix, ..)| {
        sensor
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.parse::<u32>().is_ok())
    })?;
    Some(Reading {
        chip: text(&chip.join("name")).unwrap_or_else(|| chip_name.to_owned()),
        label: text(&chip.join(format!("{sensor}_label"))).unwrap_or_else(|| sensor.to_owned()),
        kind: (*kind).to_owned(),
        value: number(&chip.join(file))?,
        unit: (*unit).to_owned(),
        critical: number(&chip.join(format!("{sensor}_crit"))),
    })
}

pub(super) fn pci(host: &Host, budget: &Budget) -> Result<Pci> {
    let all = host.sys("bus/pci/devices");
    let mut devices = Vec::new();
    for address in names(&all)? {
        budget.check()?;
        let path = all.join(&address);
        let code = |name: &str| text(&path.join(name)).unwrap_or_default();
        devices.push(PciDevice {
            class_code: code("class"),
            vendor_code: code("vendor"),
            device_code: code("device"),
            driver: link_name(&path.join("driver")),
            address,
        });
    }
    Ok(Pci { devices })
}
