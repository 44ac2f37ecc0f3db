//! What the hw tools answer. The comments are read by people and models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Arguments of a tool that needs none.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Result of hw.info.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Info {
    /// Host name.
    pub hostname: String,
    /// Release of the running kernel, `6.12.9-cloud-amd64`.
    pub kernel: String,
    /// Architecture of the machine, `x86_64`.
    pub architecture: String,
    /// Who made the machine, as its firmware says.
    pub vendor: Option<String>,
    /// Its model, as its firmware says.
    pub product: Option<String>,
    /// Version of its firmware.
    pub firmware: Option<String>,
    /// Logical processors that are online.
    pub cpus: u32,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// When the kernel started, UTC milliseconds.
    pub booted_ms: i64,
    /// Time since then, milliseconds.
    pub uptime_ms: u64,
}

/// Result of hw.cpu.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Cpu {
    /// Model of the first processor.
    pub model: Option<String>,
    /// Who made it.
    pub vendor: Option<String>,
    /// Logical processors that are online.
    pub cpus: u32,
    /// Cores, each counted once however many threads it has; absent when the kernel does not say.
    pub cores: Option<u32>,
    /// Processor packages; absent when the kernel does not say.
    pub sockets: Option<u32>,
    /// Whether a hypervisor runs this machine.
    pub virtual_machine: bool,
    /// Highest frequency, kilohertz.
    pub max_khz: Option<u64>,
    /// Known weaknesses, and what the kernel does about each.
    pub vulnerabilities: Vec<Vulnerability>,
}

/// A weakness of the processor.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Vulnerability {
    /// Its name, `spectre_v2`.
    pub name: String,
    /// The kernel's words: `Not affected`, `Vulnerable`, `Mitigation: ...`.
    pub state: String,
}

/// Result of hw.memory. Bytes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    /// All of it.
    pub total_bytes: u64,
    /// What programs could still get without swapping.
    pub available_bytes: u64,
    /// What nothing uses.
    pub free_bytes: u64,
    /// What holds file contents and can mostly be given back.
    pub cached_bytes: u64,
    /// Swap space.
    pub swap_total_bytes: u64,
    /// Swap space that is free.
    pub swap_free_bytes: u64,
    /// Written by programs and not yet on disk.
    pub dirty_bytes: u64,
    /// Promised to programs.
    pub committed_bytes: u64,
}

/// Result of hw.storage.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Storage {
    /// Disks and their partitions; loop devices and RAM disks that hold nothing are left out.
    pub devices: Vec<Device>,
}

/// A block device.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Device {
    /// Name, `sda`.
    pub name: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Whether it turns.
    pub rotational: bool,
    /// Whether it can be taken out.
    pub removable: bool,
    /// Whether it refuses writing.
    pub read_only: bool,
    /// Its partitions.
    pub partitions: Vec<Partition>,
}

/// A part of a disk.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Partition {
    /// Name, `sda1`.
    pub name: String,
    /// Size in bytes.
    pub size_bytes: u64,
}

/// Result of hw.network.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Network {
    /// Interfaces, sorted by name.
    pub interfaces: Vec<Interface>,
}

/// A network interface.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Interface {
    /// Name, `eth0`.
    pub name: String,
    /// Hardware address.
    pub address: Option<String>,
    /// `up`, `down`, `unknown`, ... (RFC 2863).
    pub state: Option<String>,
    /// Largest packet, bytes.
    pub mtu_bytes: Option<u32>,
    /// Speed of the link, megabits a second.
    pub speed_mbit: Option<u32>,
    /// Driver; absent for what is no device.
    pub driver: Option<String>,
}

/// Result of hw.sensors.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Sensors {
    /// Readings; a virtual machine usually has none.
    pub readings: Vec<Reading>,
    /// Batteries and power supplies.
    pub supplies: Vec<Supply>,
}

/// What one sensor says.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Reading {
    /// Chip, `coretemp`.
    pub chip: String,
    /// Its own name for it, `Core 0`; else the file's, `temp2`.
    pub label: String,
    /// `temperature`, `fan` or `voltage`.
    pub kind: String,
    /// Value: milli-degrees Celsius, turns a minute, or millivolts.
    pub value: i64,
    /// `millicelsius`, `rpm` or `millivolt`.
    pub unit: String,
    /// Value from which it is too much, in the same unit.
    pub critical: Option<i64>,
}

/// A battery or a power supply.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Supply {
    /// Name, `BAT0`.
    pub name: String,
    /// `Battery`, `Mains`, ...
    pub kind: Option<String>,
    /// `Charging`, `Discharging`, `Full`, ...
    pub state: Option<String>,
    /// Charge, percent.
    pub percent: Option<u8>,
}

/// Result of hw.pci.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Pci {
    /// Devices, sorted by address.
    pub devices: Vec<PciDevice>,
}

/// A device on the PCI bus.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PciDevice {
    /// Address, `0000:00:1f.2`.
    pub address: String,
    /// Class code, `0x010601`.
    pub class_code: String,
    /// Vendor code, `0x8086`.
    pub vendor_code: String,
    /// Device code.
    pub device_code: String,
    /// Driver that has it; absent when none does.
    pub driver: Option<String>,
}
