//! What processes hold: memory, and the space of deleted files.

use super::processes::{Info, Line, PROCESS, Top, about, fine};
use super::words::{count, percent, size};
use super::{AnalyzeError, Analyzer, Cause, Evidence, Finding, Found, Sample, Severity, Wanted};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The analyzers of this file.
pub(super) const ANALYZERS: &[Analyzer] = &[
    Analyzer {
        name: "memory_short",
        summary: "whether memory is short, and who has most of it",
        evidence: &[
            Wanted {
                name: "memory",
                needed: true,
                says: "monitor.memory",
            },
            Wanted {
                name: "pressure",
                needed: false,
                says: "monitor.pressure",
            },
            Wanted {
                name: "pressure_later",
                needed: false,
                says: "monitor.pressure, two seconds later at least",
            },
            Wanted {
                name: "top",
                needed: true,
                says: "monitor.top by memory",
            },
        ],
        settings: &[
            ("available_percent", Sample::Number),
            ("stalled_percent", Sample::Number),
        ],
        causes: &[Cause {
            id: "memory_short",
            says: "memory is short",
            values: PROCESS,
        }],
        tell: memory_short,
    },
    Analyzer {
        name: "memory_pressure",
        summary: "who makes memory short",
        evidence: &[
            Wanted {
                name: "memory",
                needed: true,
                says: "monitor.memory",
            },
            Wanted {
                name: "biggest",
                needed: true,
                says: "process.info of the biggest process",
            },
        ],
        settings: &[
            ("available_percent", Sample::Number),
            ("share_percent", Sample::Number),
        ],
        causes: &[Cause {
            id: "memory_pressure",
            says: "memory is short because of one process, or of many",
            values: PROCESS,
        }],
        tell: memory_pressure,
    },
    Analyzer {
        name: "deleted_open",
        summary: "which processes hold deleted files open, whose space is not given back",
        evidence: &[
            Wanted {
                name: "files",
                needed: true,
                says: "process.open_files of deleted files",
            },
            Wanted {
                name: "services",
                needed: false,
                says: "service.list",
            },
        ],
        settings: &[("least_bytes", Sample::Number)],
        causes: &[Cause {
            id: "deleted_open",
            says: "a process holds deleted files open",
            values: &[
                ("pid", Sample::Number),
                ("start_ticks", Sample::Number),
                ("name", Sample::Name),
                ("says", Sample::Text),
                ("service", Sample::Name),
                ("size", Sample::Text),
            ],
        }],
        tell: deleted_open,
    },
];

/// What of monitor.memory is read.
#[derive(Debug, Deserialize)]
struct Memory {
    total_bytes: u64,
    available_bytes: Option<u64>,
    free_bytes: u64,
}

impl Memory {
    fn available(&self) -> u64 {
        self.available_bytes.unwrap_or(self.free_bytes)
    }

    /// Whether little is left.
    fn is_short(&self, evidence: &Evidence<'_>) -> bool {
        percent(self.available(), self.total_bytes) < evidence.number("available_percent", 10)
    }

    fn says(&self) -> String {
        format!(
            "{} of {} are available",
            size(self.available()),
            size(self.total_bytes)
        )
    }
}

/// What of monitor.pressure is read.
#[derive(Debug, Deserialize)]
struct Pressures {
    memory: Option<Pressure>,
}

#[derive(Debug, Deserialize)]
struct Pressure {
    some: Stall,
}

#[derive(Debug, Deserialize)]
struct Stall {
    avg10_percent: f64,
}

/// The mean of ten seconds falls to 82% of what it was within two, once nobody waits any more.
const GOES_ON: f64 = 0.9;

/// Percent of the last seconds that somebody waited for memory; nothing when that is over.
fn stalled(evidence: &Evidence<'_>) -> Result<f64, AnalyzeError> {
    let mean = |name: &str| -> Result<Option<f64>, AnalyzeError> {
        let pressures = evidence.maybe::<Pressures>(name)?;
        Ok(pressures.and_then(|it| it.memory).map(|it| it.some.avg10_percent))
    };
    let Some(first) = mean("pressure")? else {
        return Ok(0.0);
    };
    let later = mean("pressure_later")?.unwrap_or(first);
    Ok(if later >= first * GOES_ON { later } else { 0.0 })
}

fn memory_short(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let memory: Memory = evidence.need("memory")?;
    let top: Top = evidence.need("top")?;
    let stalled = stalled(evidence)?;
    let seen = memory.says();
    let short = memory.is_short(evidence);
    let waits = stalled >= evidence.number("stalled_percent", 20) as f64;
    if !short && !waits {
        return Ok(fine(seen));
    }
    let biggest = top.processes.iter().max_by_key(|it| it.resident_bytes);
    let mut finding = Finding::new(
        "memory_short",
        Severity::Critical,
        "memory",
        format!("memory is short: {seen}"),
    )
    .shown(evidence.shows("memory", "/available_bytes", seen.clone()));
    if waits {
        let shows = format!("{stalled}% of the last 10 s was lost waiting for memory");
        finding = finding.shown(evidence.shows("pressure", "/memory/some", shows));
    }
    if let Some(biggest) = biggest {
        let shows = format!(
            "the biggest is {} with {}",
            biggest.name,
            size(biggest.resident_bytes)
        );
        finding = finding
            .shown(evidence.shows("top", "/processes", shows))
            .value("pid", biggest.pid);
    }
    Ok(Found {
        seen,
        findings: vec![finding],
    })
}

fn memory_pressure(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let memory: Memory = evidence.need("memory")?;
    if let Some(failure) = evidence.failure("biggest") {
        return Ok(fine(format!(
            "the biggest process has ended meanwhile: {}",
            failure.message
        )));
    }
    let biggest: Info = evidence.need("biggest")?;
    let biggest = biggest.process;
    let share = percent(biggest.resident_bytes, memory.total_bytes);
    let short = memory.is_short(evidence);
    let (says, name, pid) = (memory.says(), &biggest.name, biggest.pid);
    let has = size(biggest.resident_bytes);
    let title = if short {
        format!("memory is short ({says}), and {name} ({pid}) has {has} of it")
    } else {
        format!(
            "processes wait for memory although {says}, as where a group has a limit; {name} ({pid}) has {has}"
        )
    };
    // To end one of many small ones would not help, nor the biggest where enough is left.
    let alone = short && share >= evidence.number("share_percent", 25);
    let mut finding = about("memory_pressure", Severity::Critical, &biggest, title.clone())
        .shown(evidence.shows("memory", "/available_bytes", memory.says()))
        .shown(evidence.shows(
            "biggest",
            "/process/resident_bytes",
            format!("{share}% of all memory"),
        ));
    if !alone {
        finding.values.remove("start_ticks");
    }
    Ok(Found {
        seen: title,
        findings: vec![finding],
    })
}

/// What of process.open_files is read.
#[derive(Debug, Deserialize)]
struct Open {
    files: Vec<OpenFile>,
}

#[derive(Debug, Deserialize)]
struct OpenFile {
    pid: u64,
    start_ticks: u64,
    name: String,
    #[serde(default)]
    user: String,
    path: String,
    deleted: bool,
    allocated_bytes: u64,
    dev: u64,
    ino: u64,
}

#[derive(Debug, Deserialize)]
struct Services {
    services: Vec<Service>,
}

#[derive(Debug, Deserialize)]
struct Service {
    name: String,
    pid: Option<u64>,
    #[serde(default)]
    core: bool,
}

fn deleted_open(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let open: Open = evidence.need("files")?;
    let services = evidence.maybe::<Services>("services")?;
    let least = evidence.number("least_bytes", 1 << 20);
    // A file that a process has open more than once takes its space once.
    let mut holders: BTreeMap<u64, BTreeMap<(u64, u64), &OpenFile>> = BTreeMap::new();
    for file in open.files.iter().filter(|file| file.deleted) {
        holders
            .entry(file.pid)
            .or_default()
            .insert((file.dev, file.ino), file);
    }
    let mut findings = Vec::new();
    let mut all = 0;
    for (pid, files) in holders {
        let bytes: u64 = files.values().map(|file| file.allocated_bytes).sum();
        all += bytes;
        let Some(biggest) = files.values().max_by_key(|file| file.allocated_bytes) else {
            continue;
        };
        if bytes < least {
            continue;
        }
        let line = Line {
            pid,
            start_ticks: biggest.start_ticks,
            ppid: 0,
            name: biggest.name.clone(),
            user: biggest.user.clone(),
            command: String::new(),
            cpu_ms: 0,
            resident_bytes: 0,
        };
        let title = format!(
            "{} ({pid}) holds {} open whose {} nobody gets back, {} among them",
            biggest.name,
            count(files.len(), "deleted file"),
            size(bytes),
            biggest.path
        );
        let service = services
            .iter()
            .flat_map(|it| &it.services)
            .find(|it| it.pid == Some(pid) && !it.core);
        findings.push(
            about("deleted_open", Severity::Warning, &line, title)
                .shown(evidence.shows(
                    "files",
                    "/files",
                    format!("{} deleted, {}", biggest.path, size(bytes)),
                ))
                .value("size", size(bytes))
                .value_if("service", service.map(|service| service.name.as_str())),
        );
    }
    let seen = format!("deleted files that are still open take {}", size(all));
    Ok(Found { seen, findings })
}
