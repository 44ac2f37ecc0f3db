//! Processes: which run away, which are dead or stuck.

use super::words::{count, percent, some_of};
use super::{AnalyzeError, Analyzer, Cause, Evidence, Finding, Found, Sample, Severity, Wanted};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Values of a finding about a process.
pub(super) const PROCESS: &[(&str, Sample)] = &[
    ("pid", Sample::Number),
    ("start_ticks", Sample::Number),
    ("name", Sample::Name),
    ("says", Sample::Text),
];

/// The analyzers of this file.
pub(super) const ANALYZERS: &[Analyzer] = &[
    Analyzer {
        name: "busy_processes",
        summary: "which processes use a whole processor, time and again",
        evidence: &[
            Wanted {
                name: "first",
                needed: true,
                says: "monitor.top by processor time",
            },
            Wanted {
                name: "again",
                needed: true,
                says: "monitor.top by processor time, later",
            },
        ],
        settings: &[("busy_percent", Sample::Number)],
        causes: &[Cause {
            id: "busy_process",
            says: "a process uses a whole processor",
            values: PROCESS,
        }],
        tell: busy_processes,
    },
    Analyzer {
        name: "runaway_process",
        summary: "whether a busy process runs away",
        evidence: &[
            Wanted {
                name: "busy",
                needed: true,
                says: "process.info of the busy process",
            },
            Wanted {
                name: "later",
                needed: true,
                says: "process.info of it, later",
            },
        ],
        settings: &[("busy_percent", Sample::Number)],
        causes: &[Cause {
            id: "runaway_process",
            says: "a process uses a whole processor and goes on",
            values: PROCESS,
        }],
        tell: runaway_process,
    },
    Analyzer {
        name: "zombies",
        summary: "which processes have ended and were not asked how, and which are stuck",
        evidence: &[
            Wanted {
                name: "zombies",
                needed: true,
                says: "process.list of zombies",
            },
            Wanted {
                name: "before",
                needed: false,
                says: "process.list of zombies, some seconds earlier",
            },
            Wanted {
                name: "blocked",
                needed: false,
                says: "process.list of blocked processes",
            },
            Wanted {
                name: "still_blocked",
                needed: false,
                says: "process.list of blocked processes, later",
            },
        ],
        settings: &[],
        causes: &[
            Cause {
                id: "has_zombies",
                says: "a process does not ask how its children ended",
                values: PROCESS,
            },
            Cause {
                id: "stuck_process",
                says: "a process waits for a device and cannot be interrupted",
                values: PROCESS,
            },
        ],
        tell: zombies,
    },
    Analyzer {
        name: "zombie_parent",
        summary: "whose children are not asked how they ended",
        evidence: &[
            Wanted {
                name: "zombies",
                needed: true,
                says: "process.list of zombies",
            },
            Wanted {
                name: "before",
                needed: false,
                says: "process.list of zombies, some seconds earlier",
            },
            Wanted {
                name: "parent",
                needed: true,
                says: "process.info of the parent",
            },
        ],
        settings: &[],
        causes: &[Cause {
            id: "zombies",
            says: "a process does not ask how its children ended",
            values: PROCESS,
        }],
        tell: zombie_parent,
    },
];

/// What of monitor.top is read.
#[derive(Debug, Deserialize)]
pub(super) struct Top {
    pub(super) processes: Vec<Heavy>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Heavy {
    pub(super) pid: u64,
    pub(super) name: String,
    pub(super) cpu_percent: f64,
    pub(super) resident_bytes: u64,
}

/// What of process.list and process.info is read.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Line {
    pub(super) pid: u64,
    pub(super) start_ticks: u64,
    #[serde(default)]
    pub(super) ppid: u64,
    pub(super) name: String,
    #[serde(default)]
    pub(super) user: String,
    #[serde(default)]
    pub(super) command: String,
    #[serde(default)]
    pub(super) cpu_ms: u64,
    #[serde(default)]
    pub(super) resident_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct List {
    processes: Vec<Line>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Info {
    pub(super) process: Line,
}

/// What must not be ended: init, and aiOS itself.
fn is_ours(line: &Line) -> bool {
    line.pid <= 1 || line.name.starts_with("aios") || line.user.starts_with("aios")
}

/// A finding about one process; with what a signal needs unless it must not be sent.
pub(super) fn about(cause: &str, severity: Severity, line: &Line, title: String) -> Finding {
    Finding::new(cause, severity, format!("process {}", line.pid), title.clone())
        .value("pid", line.pid)
        .value("name", line.name.as_str())
        .value("says", title)
        .value_if("start_ticks", (!is_ours(line)).then_some(line.start_ticks))
}

/// Nothing is wrong.
pub(super) fn fine(seen: impl Into<String>) -> Found {
    Found {
        seen: seen.into(),
        findings: Vec::new(),
    }
}

fn busy_processes(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let (first, again): (Top, Top) = (evidence.need("first")?, evidence.need("again")?);
    let least = evidence.number("busy_percent", 85);
    let busy = |process: &Heavy| process.cpu_percent >= least as f64;
    let mut findings = Vec::new();
    for (index, process) in again.processes.iter().enumerate().filter(|(_, it)| busy(it)) {
        let before = first.processes.iter().find(|it| it.pid == process.pid);
        let Some(before) = before.filter(|it| busy(it)) else {
            continue;
        };
        let title = format!(
            "process {} ({}) uses a whole processor",
            process.pid, process.name
        );
        let shows = format!(
            "{}% of a processor, earlier {}%",
            process.cpu_percent, before.cpu_percent
        );
        let finding = Finding::new(
            "busy_process",
            Severity::Warning,
            format!("process {}", process.pid),
            title,
        );
        let place = format!("/processes/{index}/cpu_percent");
        findings.push(
            finding
                .shown(evidence.shows("again", &place, shows))
                .value("pid", process.pid)
                .value("name", process.name.as_str()),
        );
    }
    let seen = match again.processes.first() {
        Some(most) => format!("the busiest process is {} with {}%", most.name, most.cpu_percent),
        None => "no process does anything".to_owned(),
    };
    Ok(Found { seen, findings })
}

/// Milliseconds between the two looks that a runbook makes at least.
const BETWEEN_MS: u64 = 2_000;

fn runaway_process(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    if let Some(failure) = evidence.failure("later").or_else(|| evidence.failure("busy")) {
        return Ok(fine(format!(
            "the busy process has ended meanwhile: {}",
            failure.message
        )));
    }
    let (busy, later): (Info, Info) = (evidence.need("busy")?, evidence.need("later")?);
    let (busy, later) = (busy.process, later.process);
    let used = later.cpu_ms.saturating_sub(busy.cpu_ms);
    let same = busy.start_ticks == later.start_ticks;
    if !same || percent(used, BETWEEN_MS) < evidence.number("busy_percent", 85) {
        return Ok(fine(format!(
            "process {} ({}) has come to rest",
            later.pid, later.name
        )));
    }
    let title = format!(
        "process {} ({}, {}) runs away: it used {used} ms of processor time in the last seconds, {} s in all",
        later.pid,
        later.name,
        later.user,
        later.cpu_ms / 1000
    );
    let finding = about("runaway_process", Severity::Critical, &later, title.clone())
        .shown(evidence.shows("later", "/process/cpu_ms", format!("{} ms", later.cpu_ms)))
        .shown(evidence.shows("busy", "/process/cpu_ms", format!("{} ms before", busy.cpu_ms)))
        .shown(evidence.shows("later", "/process/command", later.command));
    Ok(Found {
        seen: title,
        findings: vec![finding],
    })
}

/// Zombies that were there before: every process is one for a moment, until its parent asks.
fn lasting(evidence: &Evidence<'_>) -> Result<Vec<Line>, AnalyzeError> {
    let now: List = evidence.need("zombies")?;
    let before = evidence.maybe::<List>("before")?;
    let was = |it: &Line| {
        before.as_ref().is_none_or(|before| {
            let same = |old: &Line| old.pid == it.pid && old.start_ticks == it.start_ticks;
            before.processes.iter().any(same)
        })
    };
    Ok(now.processes.into_iter().filter(was).collect())
}

fn zombies(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let zombies = lasting(evidence)?;
    let mut by_parent: BTreeMap<u64, Vec<&Line>> = BTreeMap::new();
    for zombie in &zombies {
        by_parent.entry(zombie.ppid).or_default().push(zombie);
    }
    let mut findings = Vec::new();
    for (parent, children) in by_parent {
        let title = format!(
            "{} of process {parent} ended and were not asked how",
            count(children.len(), "child process")
        );
        let names = some_of(children.iter().map(|it| it.name.as_str()), 3);
        findings.push(
            Finding::new(
                "has_zombies",
                Severity::Warning,
                format!("process {parent}"),
                title,
            )
            .shown(evidence.shows("zombies", "/processes", names))
            .value("pid", parent),
        );
    }
    let blocked = evidence.maybe::<List>("blocked")?;
    let still = evidence.maybe::<List>("still_blocked")?;
    for stuck in blocked.iter().flat_map(|list| &list.processes) {
        let same = |it: &&Line| {
            it.pid == stuck.pid && it.start_ticks == stuck.start_ticks && it.cpu_ms == stuck.cpu_ms
        };
        if still.iter().flat_map(|list| &list.processes).any(|it| same(&it)) {
            let title = format!(
                "process {} ({}) is stuck: it waits for a disk or a driver",
                stuck.pid, stuck.name
            );
            findings.push(
                about("stuck_process", Severity::Critical, stuck, title).shown(evidence.shows(
                    "still_blocked",
                    "/processes",
                    "blocked both times, without progress",
                )),
            );
        }
    }
    let seen = format!(
        "{} and {} stuck",
        count(zombies.len(), "zombie"),
        findings.iter().filter(|it| it.cause == "stuck_process").count()
    );
    Ok(Found { seen, findings })
}

fn zombie_parent(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let zombies = lasting(evidence)?;
    if let Some(failure) = evidence.failure("parent") {
        return Ok(fine(format!(
            "the parent has ended meanwhile: {}",
            failure.message
        )));
    }
    let parent: Info = evidence.need("parent")?;
    let parent = parent.process;
    let children: Vec<&Line> = zombies.iter().filter(|it| it.ppid == parent.pid).collect();
    let title = format!(
        "{} ({}, {}) leaves {} behind",
        parent.name,
        parent.pid,
        parent.user,
        count(children.len(), "zombie")
    );
    let finding = about("zombies", Severity::Warning, &parent, title.clone())
        .shown(evidence.shows(
            "zombies",
            "/processes",
            some_of(children.iter().map(|it| it.name.as_str()), 3),
        ))
        .shown(evidence.shows("parent", "/process/command", parent.command.as_str()));
    Ok(Found {
        seen: title,
        findings: vec![finding],
    })
}

#[cfg(test)]
mod tests;
