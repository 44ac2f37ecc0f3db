//! The machine as a whole, its processors and its memory.

use super::types::{Cpu, Info, Memory, Vulnerability};
use crate::error::Result;
use crate::host::{Host, names, number, parsed, text};
use procfs::{CpuInfo, Meminfo, Uptime};
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) fn info(host: &Host) -> Result<Info> {
    let names = rustix::system::uname();
    let dmi = |name: &str| text(&host.sys("class/dmi/id").join(name));
    let uptime: Uptime = parsed(&host.proc("uptime"))?;
    let uptime_ms = u64::try_from(uptime.uptime_duration().as_millis()).unwrap_or(u64::MAX);
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    Ok(Info {
        hostname: names.nodename().to_string_lossy().into_owned(),
        kernel: names.release().to_string_lossy().into_owned(),
        architecture: names.machine().to_string_lossy().into_owned(),
        vendor: dmi("sys_vendor"),
        product: dmi("product_name"),
        firmware: dmi("bios_version"),
        cpus: online(host)?,
        memory_bytes: parsed::<Meminfo>(&host.proc("meminfo"))?.mem_total,
        booted_ms: now_ms.saturating_sub_unsigned(uptime_ms),
        uptime_ms,
    })
}

fn cpu_info(host: &Host) -> Result<CpuInfo> {
    parsed(&host.proc("cpuinfo"))
}

fn online(host: &Host) -> Result<u32> {
    Ok(u32::try_from(cpu_info(host)?.cpus.len()).unwrap_or(u32::MAX))
}

pub(super) fn cpu(host: &Host) -> Result<Cpu> {
    let info = cpu_info(host)?;
    let field = |name: &str| info.get_field(0, name).map(str::to_owned);
    let topology = |name: &str, cpu: usize| {
        number::<u32>(&host.sys(&format!("devices/system/cpu/cpu{cpu}/topology/{name}")))
    };
    let (mut cores, mut sockets) = (BTreeSet::new(), BTreeSet::new());
    for index in 0..info.cpus.len() {
        // The kernel numbers processors with gaps where some are offline.
        let number = info.get_field(index, "processor").and_then(|id| id.parse().ok());
        let cpu = number.unwrap_or(index);
        if let (Some(core), Some(socket)) = (topology("core_id", cpu), topology("physical_package_id", cpu)) {
            cores.insert((socket, core));
            sockets.insert(socket);
        }
    }
    let count = |found: usize| u32::try_from(found).ok().filter(|count| *count > 0);
    let known = host.sys("devices/system/cpu/vulnerabilities");
    let vulnerabilities = names(&known)?
        .into_iter()
        .filter_map(|name| {
            let state = text(&known.join(&name))?;
            Some(Vulnerability { name, state })
        })
        .collect();
    Ok(Cpu {
        model: field("model name"),
        vendor: field("vendor_id"),
        cpus: u32::try_from(info.cpus.len()).unwrap_or(u32::MAX),
        cores: count(cores.len()),
        sockets: count(sockets.len()),
        virtual_machine: field("flags")
            .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
        max_khz: number(&host.sys("devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")),
        vulnerabilities,
    })
}

pub(super) fn memory(host: &Host) -> Result<Memory> {
    let memory: Meminfo = parsed(&host.proc("meminfo"))?;
    Ok(Memory {
        total_bytes: memory.mem_total,
        available_bytes: memory.mem_available.unwrap_or(memory.mem_free),
        free_bytes: memory.mem_free,
        cached_bytes: memory.cached,
        swap_total_bytes: memory.swap_total,
        swap_free_bytes: memory.swap_free,
        dirty_bytes: memory.dirty,
        committed_bytes: memory.committed_as,
    })
}
