//! What goes into the monitor tools and what comes out. The comments are read by people and models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Shortest and longest time that a tool may watch, milliseconds.
pub const INTERVAL_MS: std::ops::RangeInclusive<u64> = 50..=10_000;

fn default_interval() -> u64 {
    500
}
fn default_limit() -> u32 {
    10
}

/// Arguments of a tool that watches for a while.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchArgs {
    /// How long to watch, milliseconds, 50 to 10000.
    #[serde(default = "default_interval")]
    #[schemars(range(min = 50, max = 10000))]
    pub interval_ms: u64,
}

/// What a process is sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SortBy {
    /// Processor time.
    #[default]
    Cpu,
    /// Resident memory.
    Memory,
}

/// Arguments of monitor.top.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopArgs {
    /// How long to watch, milliseconds, 50 to 10000.
    #[serde(default = "default_interval")]
    #[schemars(range(min = 50, max = 10000))]
    pub interval_ms: u64,
    /// Most processes wanted, 1 to 1000.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: u32,
    /// What they are sorted by.
    #[serde(default)]
    pub sort_by: SortBy,
}

/// Result of monitor.cpu. Percent of the time watched.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CpuUse {
    /// How long was watched, milliseconds.
    pub interval_ms: u64,
    /// All processors together.
    pub total: Share,
    /// Each processor, in the kernel's order.
    pub cpus: Vec<Share>,
}

/// What a processor did, percent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// Anything but waiting.
    pub busy_percent: f64,
    /// Programs.
    pub user_percent: f64,
    /// The kernel, interrupts included.
    pub system_percent: f64,
    /// Nothing, while a disk was waited for.
    pub iowait_percent: f64,
    /// Taken by the hypervisor for others.
    pub steal_percent: f64,
}

/// Result of monitor.disk.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DiskUse {
    /// How long was watched, milliseconds.
    pub interval_ms: u64,
    /// Devices and partitions that were ever used, sorted by name.
    pub devices: Vec<DiskRate>,
}

/// What a disk did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DiskRate {
    /// Name, `sda`.
    pub name: String,
    /// Bytes read a second.
    pub read_bytes_per_s: u64,
    /// Bytes written a second.
    pub written_bytes_per_s: u64,
    /// Requests ended a second.
    pub requests_per_s: u64,
    /// Requests that wait now.
    pub in_progress: u64,
}

/// Result of monitor.network.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NetworkUse {
    /// How long was watched, milliseconds.
    pub interval_ms: u64,
    /// Interfaces, sorted by name.
    pub interfaces: Vec<NetworkRate>,
}

/// What an interface did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkRate {
    /// Name, `eth0`.
    pub name: String,
    /// Bytes received a second.
    pub received_bytes_per_s: u64,
    /// Bytes sent a second.
    pub sent_bytes_per_s: u64,
    /// Packets received with an error or dropped, since the interface is there.
    pub receive_errors: u64,
    /// Packets that could not be sent, since the interface is there.
    pub send_errors: u64,
}

/// Result of monitor.load.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// Tasks that ran or waited for a disk, mean of the last minute.
    pub one: f64,
    /// Of the last five minutes.
    pub five: f64,
    /// Of the last fifteen minutes.
    pub fifteen: f64,
    /// Tasks that run or could run now.
    pub running: u32,
    /// Tasks there are.
    pub tasks: u32,
}

/// Result of monitor.pressure: how much of the time something was missing (PSI).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Pressures {
    /// Processors; absent where the kernel does not measure it.
    pub cpu: Option<Pressure>,
    /// Memory.
    pub memory: Option<Pressure>,
    /// Disks.
    pub io: Option<Pressure>,
}

/// Pressure of one resource.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Pressure {
    /// At least one task waited.
    pub some: Stall,
    /// All tasks waited; absent where it has no meaning.
    pub full: Option<Stall>,
}

/// Share of the time, percent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Stall {
    /// Of the last 10 s.
    pub avg10_percent: f64,
    /// Of the last minute.
    pub avg60_percent: f64,
    /// Of the last five minutes.
    pub avg300_percent: f64,
}

/// Result of monitor.top.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Top {
    /// How long was watched, milliseconds.
    pub interval_ms: u64,
    /// Processes, the heaviest first.
    pub processes: Vec<Heavy>,
    /// Processes there are.
    pub count: u64,
}

/// A process that uses much.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Heavy {
    /// Process id.
    pub pid: i32,
    /// Its name, at most 15 characters.
    pub name: String,
    /// Its user.
    pub uid: u32,
    /// Processor time, percent of one processor.
    pub cpu_percent: f64,
    /// Resident memory, bytes.
    pub resident_bytes: u64,
    /// State letter of proc(5): `R`, `S`, `D`, `Z`, ...
    pub state: String,
}
