//! monitor: what the machine does now. Rates are measured over an interval that the caller names.

pub mod logs;
pub mod memory;
mod rates;
mod top;
pub mod types;
pub mod watch;

use super::hw::types::Nothing;
use super::{HOST, Host, bad_input, parsed, spec, typed, unknown, value_of};
use crate::budget::Budget;
use crate::error::Result;
use crate::registry::ToolSpec;
use crate::worker::read_only::{Look, Looks};
use procfs::{CpuPressure, IoPressure, LoadAverage, MemoryPressure, PressureRecord};
use serde_json::Value;
use std::time::{Duration, Instant};
use types::{INTERVAL_MS, Load, Pressure, Pressures, Stall, TopArgs, WatchArgs};

/// A call that is cancelled ends within this time.
const SLICE: Duration = Duration::from_millis(20);

/// The namespace.
#[derive(Debug, Clone)]
pub struct Monitor(pub Host);

/// Default time allowed, milliseconds: the longest interval and some.
const TIMEOUT_MS: u64 = 15_000;
/// The same of a series; a caller may allow up to ten minutes.
const WATCH_TIMEOUT_MS: u64 = 120_000;

/// Every monitor tool.
pub fn specs() -> Vec<ToolSpec> {
    vec![
        spec::<WatchArgs, types::CpuUse>(
            "monitor.cpu",
            "monitor:cpu:host",
            "Measures how busy each processor is, and with what.",
            TIMEOUT_MS,
        ),
        spec::<WatchArgs, types::DiskUse>(
            "monitor.disk",
            "monitor:disk:host",
            "Measures how much each disk reads and writes.",
            TIMEOUT_MS,
        ),
        spec::<WatchArgs, types::NetworkUse>(
            "monitor.network",
            "monitor:network:host",
            "Measures how much each network interface receives and sends.",
            TIMEOUT_MS,
        ),
        spec::<Nothing, Load>(
            "monitor.load",
            "monitor:load:host",
            "Says how many tasks run or wait, now and in the last minutes.",
            TIMEOUT_MS,
        ),
        spec::<Nothing, Pressures>(
            "monitor.pressure",
            "monitor:pressure:host",
            "Says how much time was lost waiting for processors, memory and disks.",
            TIMEOUT_MS,
        ),
        spec::<TopArgs, types::Top>(
            "monitor.top",
            "monitor:top:host",
            "Lists the processes that use most processor time or memory.",
            TIMEOUT_MS,
        ),
        spec::<Nothing, memory::MemoryUse>(
            "monitor.memory",
            "monitor:memory:host",
            "Says how much memory there is, what it is used for, and how often it ran out.",
            TIMEOUT_MS,
        ),
        spec::<logs::LogsArgs, logs::Logs>(
            "monitor.logs",
            "monitor:logs:PATH",
            "Reads the last lines of the text logs under /var/log.",
            TIMEOUT_MS,
        ),
        spec::<watch::SeriesArgs, watch::Series>(
            "monitor.watch",
            "monitor:watch:host",
            "Samples one measure several times, and ends early when a threshold is crossed.",
            WATCH_TIMEOUT_MS,
        ),
    ]
}

impl Looks for Monitor {
    fn name(&self) -> &'static str {
        "monitor"
    }

    fn specs(&self) -> Vec<ToolSpec> {
        specs()
    }

    fn look(&self, tool: &str, args: &Value) -> Result<Look> {
        if let Some(interval) = args.get("interval_ms").and_then(Value::as_u64)
            && !INTERVAL_MS.contains(&interval)
        {
            return Err(bad_input(tool, "interval_ms", "must be 50 to 10000"));
        }
        if let Some(limit) = args.get("limit").and_then(Value::as_u64)
            && !(1..=1000).contains(&limit)
        {
            return Err(bad_input(tool, "limit", "must be 1 to 1000"));
        }
        match tool {
            "monitor.logs" => return logs::look(&self.0, &typed(tool, args)?),
            "monitor.watch" => watch::check(&typed(tool, args)?)?,
            _ => {}
        }
        let part = tool.split_once('.').map_or(tool, |(_, part)| part);
        Ok(Look {
            resource: HOST.to_owned(),
            summary: format!("Watch this machine's {part}"),
        })
    }

    fn read(&self, tool: &str, args: &Value, budget: &Budget) -> Result<Value> {
        let host = &self.0;
        let interval = || typed::<WatchArgs>(tool, args).map(|args| args.interval_ms);
        match tool {
            "monitor.cpu" => value_of(&rates::cpu(host, interval()?, budget)?),
            "monitor.disk" => value_of(&rates::disk(host, interval()?, budget)?),
            "monitor.network" => value_of(&rates::network(host, interval()?, budget)?),
            "monitor.load" => value_of(&load(host)?),
            "monitor.pressure" => value_of(&pressure(host)),
            "monitor.top" => value_of(&top::top(host, &typed(tool, args)?, budget)?),
            "monitor.memory" => value_of(&memory::memory(host)?),
            "monitor.logs" => value_of(&logs::logs(host, &typed(tool, args)?, budget)?),
            "monitor.watch" => value_of(&watch::watch(host, &typed(tool, args)?, budget)?),
            _ => unknown(tool),
        }
    }
}

/// Two looks with a pause between them, and the time that really passed, milliseconds, at least 1.
fn twice<T>(interval_ms: u64, budget: &Budget, look: impl Fn() -> Result<T>) -> Result<(T, T, u64)> {
    let started = Instant::now();
    let before = look()?;
    pause(started + Duration::from_millis(interval_ms), budget)?;
    let after = look()?;
    let passed = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok((before, after, passed.max(1)))
}

/// Waits until then, unless the call ends before.
fn pause(until: Instant, budget: &Budget) -> Result<()> {
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        budget.check()?;
        wait(left.min(SLICE));
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "tools run on threads of their own, where waiting blocks nobody"
)]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// Rounds to a tenth: more would only be noise.
fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn load(host: &Host) -> Result<Load> {
    let load: LoadAverage = parsed(&host.proc("loadavg"))?;
    let hundredth = |value: f32| (f64::from(value) * 100.0).round() / 100.0;
    Ok(Load {
        one: hundredth(load.one),
        five: hundredth(load.five),
        fifteen: hundredth(load.fifteen),
        running: load.cur,
        tasks: load.max,
    })
}

fn stall(record: &PressureRecord) -> Stall {
    let hundredth = |value: f32| (f64::from(value) * 100.0).round() / 100.0;
    Stall {
        avg10_percent: hundredth(record.avg10),
        avg60_percent: hundredth(record.avg60),
        avg300_percent: hundredth(record.avg300),
    }
}

/// A kernel that does not measure pressure has no such files.
fn pressure(host: &Host) -> Pressures {
    let path = |name: &str| host.proc("pressure").join(name);
    let cpu: Option<CpuPressure> = parsed(&path("cpu")).ok();
    let memory: Option<MemoryPressure> = parsed(&path("memory")).ok();
    let io: Option<IoPressure> = parsed(&path("io")).ok();
    Pressures {
        cpu: cpu.map(|it| Pressure {
            some: stall(&it.some),
            full: None,
        }),
        memory: memory.map(|it| Pressure {
            some: stall(&it.some),
            full: Some(stall(&it.full)),
        }),
        io: io.map(|it| Pressure {
            some: stall(&it.some),
            full: Some(stall(&it.full)),
        }),
    }
}
