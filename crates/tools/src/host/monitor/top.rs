//! The processes that use most.

use super::types::{Heavy, SortBy, Top, TopArgs};
use super::{tenth, twice};
use crate::budget::Budget;
use crate::error::Result;
use crate::host::{Host, names, parsed};
use procfs::process::Stat;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

/// A process at one look. One that ends meanwhile is left out.
struct Seen {
    stat: Stat,
    uid: u32,
}

fn look(host: &Host, budget: &Budget) -> Result<BTreeMap<i32, Seen>> {
    let mut seen = BTreeMap::new();
    for name in names(&host.proc(""))? {
        let Ok(pid) = name.parse::<i32>() else { continue };
        budget.check()?;
        let path = host.proc(&name);
        let owner = std::fs::metadata(&path).map(|meta| meta.uid());
        if let (Ok(stat), Ok(uid)) = (parsed::<Stat>(&path.join("stat")), owner) {
            seen.insert(pid, Seen { stat, uid });
        }
    }
    Ok(seen)
}

pub(super) fn top(host: &Host, args: &TopArgs, budget: &Budget) -> Result<Top> {
    let (before, after, interval_ms) = twice(args.interval_ms, budget, || look(host, budget))?;
    let (tick_hz, page) = (procfs::ticks_per_second(), procfs::page_size());
    let count = after.len() as u64;
    let mut processes: Vec<Heavy> = after
        .into_iter()
        .map(|(pid, now)| {
            let ticks = now.stat.utime + now.stat.stime;
            // A number that was given to another process meanwhile counts from that one's start.
            let earlier = before
                .get(&pid)
                .filter(|then| then.stat.starttime == now.stat.starttime)
                .map_or(0, |then| then.stat.utime + then.stat.stime);
            let used_ms = ticks.saturating_sub(earlier).saturating_mul(1000) / tick_hz.max(1);
            Heavy {
                pid,
                uid: now.uid,
                cpu_percent: tenth(used_ms as f64 / interval_ms as f64 * 100.0),
                resident_bytes: now.stat.rss.saturating_mul(page),
                state: now.stat.state.to_string(),
                name: now.stat.comm,
            }
        })
        .collect();
    processes.sort_by(|a, b| {
        let heavier = match args.sort_by {
            SortBy::Cpu => b.cpu_percent.total_cmp(&a.cpu_percent),
            SortBy::Memory => b.resident_bytes.cmp(&a.resident_bytes),
        };
        heavier
            .then(b.resident_bytes.cmp(&a.resident_bytes))
            .then(a.pid.cmp(&b.pid))
    });
    processes.truncate(usize::try_from(args.limit).unwrap_or(usize::MAX));
    Ok(Top {
        interval_ms,
        processes,
        count,
    })
}
