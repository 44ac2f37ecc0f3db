//! What is counted by the kernel, as rates: two looks and the difference.

use super::types::{CpuUse, DiskRate, DiskUse, NetworkRate, NetworkUse, Share};
use super::{tenth, twice};
use crate::budget::Budget;
use crate::error::Result;
use crate::host::{Host, parsed};
use procfs::net::InterfaceDeviceStatus;
use procfs::{CpuTime, DiskStats, FromBufReadSI, KernelStats};

/// Unit of `/proc/diskstats`, whatever the device's own is.
const SECTOR: u64 = 512;

fn per_second(before: u64, after: u64, passed_ms: u64) -> u64 {
    after.saturating_sub(before).saturating_mul(1000) / passed_ms
}

fn stats(host: &Host) -> Result<KernelStats> {
    let path = host.proc("stat");
    let read = || {
        let file = std::fs::File::open(&path)?;
        let stats = KernelStats::from_buf_read(std::io::BufReader::new(file), procfs::current_system_info());
        stats.map_err(std::io::Error::other)
    };
    read().map_err(|error| crate::host::io("read", &path, error))
}

pub(super) fn cpu(host: &Host, interval_ms: u64, budget: &Budget) -> Result<CpuUse> {
    let (before, after, interval_ms) = twice(interval_ms, budget, || stats(host))?;
    Ok(CpuUse {
        interval_ms,
        total: share(&before.total, &after.total),
        cpus: before
            .cpu_time
            .iter()
            .zip(&after.cpu_time)
            .map(|(before, after)| share(before, after))
            .collect(),
    })
}

fn share(before: &CpuTime, after: &CpuTime) -> Share {
    let ticks = |of: fn(&CpuTime) -> u64| of(after).saturating_sub(of(before));
    let user = ticks(|it| it.user + it.nice);
    let system = ticks(|it| it.system + it.irq.unwrap_or(0) + it.softirq.unwrap_or(0));
    let idle = ticks(|it| it.idle);
    let iowait = ticks(|it| it.iowait.unwrap_or(0));
    let steal = ticks(|it| it.steal.unwrap_or(0));
    let all = user + system + idle + iowait + steal;
    let percent = |part: u64| {
        let (part, all) = (part as f64, all.max(1) as f64);
        tenth(part / all * 100.0)
    };
    Share {
        busy_percent: percent(user + system),
        user_percent: percent(user),
        system_percent: percent(system),
        iowait_percent: percent(iowait),
        steal_percent: percent(steal),
    }
}

pub(super) fn disk(host: &Host, interval_ms: u64, budget: &Budget) -> Result<DiskUse> {
    let look = || parsed::<DiskStats>(&host.proc("diskstats"));
    let (before, after, interval_ms) = twice(interval_ms, budget, look)?;
    let mut devices: Vec<DiskRate> = after
        .0
        .iter()
        .filter(|disk| disk.reads + disk.writes > 0)
        .filter_map(|after| {
            let before = before.0.iter().find(|disk| disk.name == after.name)?;
            let rate = |before, after| per_second(before, after, interval_ms);
            Some(DiskRate {
                name: after.name.clone(),
                read_bytes_per_s: rate(before.sectors_read * SECTOR, after.sectors_read * SECTOR),
                written_bytes_per_s: rate(before.sectors_written * SECTOR, after.sectors_written * SECTOR),
                requests_per_s: rate(before.reads + before.writes, after.reads + after.writes),
                in_progress: after.in_progress,
            })
        })
        .collect();
    devices.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(DiskUse { interval_ms, devices })
}

pub(super) fn network(host: &Host, interval_ms: u64, budget: &Budget) -> Result<NetworkUse> {
    let look = || parsed::<InterfaceDeviceStatus>(&host.proc("net/dev"));
    let (before, after, interval_ms) = twice(interval_ms, budget, look)?;
    let mut interfaces: Vec<NetworkRate> = after
        .0
        .values()
        .filter_map(|after| {
            let before = before.0.get(&after.name)?;
            Some(NetworkRate {
                name: after.name.clone(),
                received_bytes_per_s: per_second(before.recv_bytes, after.recv_bytes, interval_ms),
                sent_bytes_per_s: per_second(before.sent_bytes, after.sent_bytes, interval_ms),
                receive_errors: after.recv_errs + after.recv_drop,
                send_errors: after.sent_errs + after.sent_drop,
            })
        })
        .collect();
    interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(NetworkUse {
        interval_ms,
        interfaces,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_started_again_is_no_rate() {
        assert_eq!(per_second(1000, 3000, 500), 4000);
        assert_eq!(per_second(3000, 10, 500), 0);
    }
}
