//! How much memory there is, what it is used for, and how often the kernel ended a process for want of it.

use super::tenth;
use crate::error::Result;
use crate::host::{Host, parsed, text};
use procfs::Meminfo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Result of monitor.memory. Bytes; what this kernel does not tell is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryUse {
    /// Memory that the kernel manages.
    pub total_bytes: u64,
    /// What programs could still get without swapping.
    pub available_bytes: Option<u64>,
    /// What is not used for anything.
    pub free_bytes: u64,
    /// What is not available, percent of the total.
    pub used_percent: Option<f64>,
    /// Programs' own memory.
    pub anonymous_bytes: Option<u64>,
    /// Files kept in memory.
    pub cached_bytes: u64,
    /// Block devices' own data kept in memory.
    pub buffers_bytes: u64,
    /// Shared memory and tmpfs.
    pub shared_bytes: Option<u64>,
    /// Waits to be written to a disk.
    pub dirty_bytes: u64,
    /// Is being written to a disk.
    pub writeback_bytes: u64,
    /// The kernel's own objects.
    pub slab_bytes: u64,
    /// The part of them that it would give back.
    pub slab_reclaimable_bytes: Option<u64>,
    /// Swap space.
    pub swap_total_bytes: u64,
    /// Swap space that is not used.
    pub swap_free_bytes: u64,
    /// Processes that the kernel killed for want of memory, since it started.
    pub out_of_memory_kills: Option<u64>,
}

pub(super) fn memory(host: &Host) -> Result<MemoryUse> {
    let info: Meminfo = parsed(&host.proc("meminfo"))?;
    Ok(MemoryUse {
        total_bytes: info.mem_total,
        available_bytes: info.mem_available,
        free_bytes: info.mem_free,
        used_percent: info
            .mem_available
            .map(|available| used_percent(info.mem_total, available)),
        anonymous_bytes: info.anon_pages,
        cached_bytes: info.cached,
        buffers_bytes: info.buffers,
        shared_bytes: info.shmem,
        dirty_bytes: info.dirty,
        writeback_bytes: info.writeback,
        slab_bytes: info.slab,
        slab_reclaimable_bytes: info.s_reclaimable,
        swap_total_bytes: info.swap_total,
        swap_free_bytes: info.swap_free,
        out_of_memory_kills: kills(host),
    })
}

fn used_percent(total: u64, available: u64) -> f64 {
    let used = total.saturating_sub(available);
    tenth(used as f64 / total.max(1) as f64 * 100.0)
}

/// Kernels before 4.13 do not count them.
fn kills(host: &Host) -> Option<u64> {
    let counters = text(&host.proc("vmstat"))?;
    counters
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|count| count.trim().parse().ok())
}
