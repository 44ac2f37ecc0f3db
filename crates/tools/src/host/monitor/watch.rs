//! monitor.watch: one measure, sampled several times. It ends early when a threshold is crossed, or when
//! the time that the call was given does not suffice for another sample: what was measured is answered
//! in any case.

use super::{memory, pause, pressure, rates, tenth};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::host::{Host, bad_input};
use crate::typed::plain_name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

const NAME: &str = "monitor.watch";
/// Time kept back for the answer.
const MARGIN: Duration = Duration::from_millis(200);
/// Most samples.
const MOST: u32 = 600;

fn default_samples() -> u32 {
    10
}
fn default_interval() -> u64 {
    1000
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// How busy all processors together are, percent.
    Cpu,
    /// Tasks that run or wait for a disk, mean of the last minute.
    Load,
    /// Memory that is not available, percent.
    Memory,
    /// Time in which some task waited for a processor, percent of the last 10 s.
    CpuPressure,
    /// The same for memory.
    MemoryPressure,
    /// The same for disks.
    IoPressure,
    /// Bytes read and written a second, of all disks or the one named.
    Disk,
    /// Bytes received and sent a second, of all interfaces but `lo`, or the one named.
    Network,
}

impl Metric {
    fn unit(self) -> &'static str {
        match self {
            Self::Load => "tasks",
            Self::Disk | Self::Network => "bytes_per_s",
            _ => "percent",
        }
    }
}

/// Arguments of monitor.watch.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeriesArgs {
    /// What is measured.
    pub metric: Metric,
    /// Disk or interface, for `disk` and `network`; all of them when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Samples wanted, 1 to 600.
    #[serde(default = "default_samples")]
    #[schemars(range(min = 1, max = 600))]
    pub samples: u32,
    /// From one sample to the next, milliseconds, 50 to 10000.
    #[serde(default = "default_interval")]
    #[schemars(range(min = 50, max = 10000))]
    pub interval_ms: u64,
    /// Ends as soon as a sample is above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// Ends as soon as a sample is below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
}

/// Why a series ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All samples were taken.
    Complete,
    /// The last sample is above the threshold.
    Above,
    /// The last sample is below the threshold.
    Below,
    /// The time of the call was used up.
    Time,
}

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// When, milliseconds since the call began.
    pub after_ms: u64,
    /// What was measured.
    pub value: f64,
}

/// Result of monitor.watch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// What was measured.
    pub metric: Metric,
    /// Unit of every value: `percent`, `tasks` or `bytes_per_s`.
    pub unit: String,
    /// The samples, oldest first; at least one.
    pub samples: Vec<Sample>,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Mean value.
    pub mean: f64,
    /// Why it ended.
    pub ended: Ended,
}

/// Refuses what makes no sense. The interval was checked with those of the other tools.
pub(super) fn check(args: &SeriesArgs) -> Result<()> {
    if !(1..=MOST).contains(&args.samples) {
        return Err(bad_input(NAME, "samples", "must be 1 to 600"));
    }
    if let Some(name) = &args.name {
        if !matches!(args.metric, Metric::Disk | Metric::Network) {
            return Err(bad_input(NAME, "name", "only `disk` and `network` have names"));
        }
        plain_name(NAME, "name", name)?;
    }
    for (field, value) in [("above", args.above), ("below", args.below)] {
        if value.is_some_and(|value| !value.is_finite()) {
            return Err(bad_input(NAME, field, "must be a finite number"));
        }
    }
    Ok(())
}

pub(super) fn watch(host: &Host, args: &SeriesArgs, budget: &Budget) -> Result<Series> {
    let started = Instant::now();
    let interval = Duration::from_millis(args.interval_ms);
    let mut samples: Vec<Sample> = Vec::new();
    let ended = loop {
        let first = samples.is_empty();
        if !first && budget.left() < interval + MARGIN {
            break Ended::Time;
        }
        let value = sample(host, args, first, budget)?;
        let after_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        samples.push(Sample { after_ms, value });
        if args.above.is_some_and(|limit| value > limit) {
            break Ended::Above;
        }
        if args.below.is_some_and(|limit| value < limit) {
            break Ended::Below;
        }
        if samples.len() as u64 >= u64::from(args.samples) {
            break Ended::Complete;
        }
    };
    let values = || samples.iter().map(|sample| sample.value);
    let mean = values().sum::<f64>() / samples.len().max(1) as f64;
    Ok(Series {
        metric: args.metric,
        unit: args.metric.unit().to_owned(),
        min: values().fold(f64::INFINITY, f64::min),
        max: values().fold(f64::NEG_INFINITY, f64::max),
        mean: (mean * 100.0).round() / 100.0,
        samples,
        ended,
    })
}

/// One sample. A rate is measured over the interval; the rest is looked at after it, the first time at once.
fn sample(host: &Host, args: &SeriesArgs, first: bool, budget: &Budget) -> Result<f64> {
    let interval = args.interval_ms;
    match args.metric {
        Metric::Cpu => return Ok(rates::cpu(host, interval, budget)?.total.busy_percent),
        Metric::Disk => return disk(host, args, budget),
        Metric::Network => return network(host, args, budget),
        _ => {}
    }
    if !first {
        pause(Instant::now() + Duration::from_millis(interval), budget)?;
    }
    let absent = |path: &str| ToolError::NotFound {
        path: host.proc(path).to_string_lossy().into_owned(),
    };
    let of = |pressure: Option<super::types::Pressure>, path: &str| {
        pressure
            .map(|it| it.some.avg10_percent)
            .ok_or_else(|| absent(path))
    };
    match args.metric {
        Metric::CpuPressure => of(pressure(host).cpu, "pressure/cpu"),
        Metric::MemoryPressure => of(pressure(host).memory, "pressure/memory"),
        Metric::IoPressure => of(pressure(host).io, "pressure/io"),
        Metric::Memory => memory::memory(host)?
            .used_percent
            .ok_or_else(|| absent("meminfo")),
        _ => Ok(super::load(host)?.one),
    }
}

fn disk(host: &Host, args: &SeriesArgs, budget: &Budget) -> Result<f64> {
    let devices = rates::disk(host, args.interval_ms, budget)?.devices;
    let wanted = |name: &str| match &args.name {
        Some(only) => name == only,
        // A partition's bytes are its disk's too, and only disks stand here.
        None => host.sys("block").join(name).exists(),
    };
    let rates = devices
        .iter()
        .filter(|it| wanted(&it.name))
        .map(|it| it.read_bytes_per_s + it.written_bytes_per_s);
    sum(rates, args)
}

fn network(host: &Host, args: &SeriesArgs, budget: &Budget) -> Result<f64> {
    let interfaces = rates::network(host, args.interval_ms, budget)?.interfaces;
    let wanted = |name: &str| match &args.name {
        Some(only) => name == only,
        None => name != "lo",
    };
    let rates = interfaces
        .iter()
        .filter(|it| wanted(&it.name))
        .map(|it| it.received_bytes_per_s + it.sent_bytes_per_s);
    sum(rates, args)
}

/// All together; what was named must be there.
fn sum(rates: impl Iterator<Item = u64>, args: &SeriesArgs) -> Result<f64> {
    let rates: Vec<u64> = rates.collect();
    match &args.name {
        Some(name) if rates.is_empty() => Err(ToolError::NotFound { path: name.clone() }),
        _ => Ok(tenth(rates.iter().sum::<u64>() as f64)),
    }
}
