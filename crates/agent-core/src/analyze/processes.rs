//! Processes: which run away, which are dead or stuck, which hold space or memory.

use super::words::{count, percent, size, some_of};
use super::{AnalyzeError, Analyzer, Cause, Evidence, Finding, Found, Sample, Severity, Wanted};
use serde::Deserialize;
use std::collections::BTreeMap;

const PROCESS: &[(&str, Sample)] = &[
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
        settings: &[("share_percent", Sample::Number)],
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

/// What of monitor.top is read.
#[derive(Debug, Deserialize)]
struct Top {
    processes: Vec<Heavy>,
}

#[derive(Debug, Deserialize)]
struct Heavy {
    pid: u64,
    name: String,
    cpu_percent: f64,
    resident_bytes: u64,
}

/// What of process.list and process.info is read.
#[derive(Debug, Clone, Deserialize)]
struct Line {
    pid: u64,
    start_ticks: u64,
    #[serde(default)]
    ppid: u64,
    name: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    command: String,
    #[serde(default)]
    cpu_ms: u64,
    #[serde(default)]
    resident_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct List {
    processes: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Info {
    process: Line,
}

/// What must not be ended: init, and aiOS itself.
fn is_ours(line: &Line) -> bool {
    line.pid <= 1 || line.name.starts_with("aios") || line.user.starts_with("aios")
}

/// A finding about one process; with what a signal needs unless it must not be sent.
fn about(cause: &str, severity: Severity, line: &Line, title: String) -> Finding {
    Finding::new(cause, severity, format!("process {}", line.pid), title.clone())
        .value("pid", line.pid)
        .value("name", line.name.as_str())
        .value("says", title)
        .value_if("start_ticks", (!is_ours(line)).then_some(line.start_ticks))
}

fn fine(seen: impl Into<String>) -> Found {
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

fn zombies(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let zombies: List = evidence.need("zombies")?;
    let mut by_parent: BTreeMap<u64, Vec<&Line>> = BTreeMap::new();
    for zombie in &zombies.processes {
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
        count(zombies.processes.len(), "zombie"),
        findings.iter().filter(|it| it.cause == "stuck_process").count()
    );
    Ok(Found { seen, findings })
}

fn zombie_parent(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let zombies: List = evidence.need("zombies")?;
    if let Some(failure) = evidence.failure("parent") {
        return Ok(fine(format!(
            "the parent has ended meanwhile: {}",
            failure.message
        )));
    }
    let parent: Info = evidence.need("parent")?;
    let parent = parent.process;
    let children: Vec<&Line> = zombies
        .processes
        .iter()
        .filter(|it| it.ppid == parent.pid)
        .collect();
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

fn memory_short(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let memory: Memory = evidence.need("memory")?;
    let top: Top = evidence.need("top")?;
    let stalled = evidence
        .maybe::<Pressures>("pressure")?
        .and_then(|it| it.memory)
        .map_or(0.0, |it| it.some.avg10_percent);
    let seen = memory.says();
    let short = percent(memory.available(), memory.total_bytes) < evidence.number("available_percent", 10);
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
    let mut biggest = biggest.process;
    let share = percent(biggest.resident_bytes, memory.total_bytes);
    let title = format!(
        "memory is short ({}), and {} ({}) has {} of it",
        memory.says(),
        biggest.name,
        biggest.pid,
        size(biggest.resident_bytes)
    );
    // To end one of many small ones would not help.
    let alone = share >= evidence.number("share_percent", 25);
    if !alone {
        biggest.pid = 0;
    }
    let finding = about("memory_pressure", Severity::Critical, &biggest, title.clone())
        .shown(evidence.shows("memory", "/available_bytes", memory.says()))
        .shown(evidence.shows(
            "biggest",
            "/process/resident_bytes",
            format!("{share}% of all memory"),
        ));
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

#[cfg(test)]
mod tests {
    use super::super::testing::{causes, tell};
    use serde_json::{Value, json};

    fn top(pids: &[(u64, f64)]) -> Value {
        let processes: Vec<Value> = pids
            .iter()
            .map(|(pid, cpu)| {
                json!({"pid": pid, "name": format!("p{pid}"), "uid": 0, "cpu_percent": cpu,
                    "resident_bytes": pid * 1_000_000, "state": "R"})
            })
            .collect();
        json!({"interval_ms": 1000, "processes": processes, "count": 90})
    }

    fn line(pid: u64, name: &str, cpu_ms: u64) -> Value {
        json!({"pid": pid, "start_ticks": 777, "ppid": 42, "user": "web", "uid": 33, "state": "running",
            "name": name, "command": format!("/usr/bin/{name} --x"), "cpu_percent": 3.0, "cpu_ms": cpu_ms,
            "resident_bytes": 900_000_000_u64, "threads": 1, "started_ms": 1})
    }

    #[test]
    fn a_process_is_busy_only_when_it_was_before() {
        let parts = [
            ("first", top(&[(7, 99.0), (8, 10.0)])),
            ("again", top(&[(7, 98.5), (8, 99.0)])),
        ];
        let analysis = tell("busy_processes", &parts, json!({}));
        assert_eq!(causes(&analysis), [("busy_process", "process 7")]);
    }

    #[test]
    fn a_process_runs_away_when_it_goes_on_and_what_is_ours_gets_no_signal() {
        let tell_of = |name: &str, before: u64, after: u64| {
            let parts = [
                ("busy", json!({"process": line(7, name, before)})),
                ("later", json!({"process": line(7, name, after)})),
            ];
            tell("runaway_process", &parts, json!({}))
        };
        let runs = tell_of("spin", 10_000, 12_500);
        assert_eq!(causes(&runs), [("runaway_process", "process 7")]);
        assert_eq!(runs.findings[0].values["start_ticks"], 777);
        assert!(tell_of("spin", 10_000, 10_500).findings.is_empty());
        let ours = tell_of("aios-guard", 10_000, 12_500);
        assert!(!ours.findings[0].values.contains_key("start_ticks"));
    }

    #[test]
    fn a_process_that_ended_meanwhile_is_no_finding() {
        let gone = json!({"failed": {"code": "AIOS-TOOLS-0100", "message": "there is no process 7"}});
        let parts = [("busy", json!({"process": line(7, "x", 1)})), ("later", gone)];
        let analysis = tell("runaway_process", &parts, json!({}));
        assert!(analysis.findings.is_empty() && analysis.seen.contains("no process 7"));
    }

    #[test]
    fn zombies_are_told_by_parent_and_the_stuck_by_staying_so() {
        let list = |lines: Vec<Value>| json!({"processes": lines, "matched": 1, "truncated": false, "tainted": true});
        let parts = [
            ("zombies", list(vec![line(50, "a", 0), line(51, "b", 0)])),
            ("blocked", list(vec![line(60, "nfs", 5), line(61, "dd", 5)])),
            ("still_blocked", list(vec![line(60, "nfs", 5), line(61, "dd", 6)])),
        ];
        let analysis = tell("zombies", &parts, json!({}));
        assert_eq!(
            causes(&analysis),
            [("has_zombies", "process 42"), ("stuck_process", "process 60")]
        );
    }

    #[test]
    fn memory_is_short_by_what_is_left_or_by_what_is_lost() {
        let memory =
            |available: u64| json!({"total_bytes": 1000, "available_bytes": available, "free_bytes": 1});
        let pressure = |percent: f64| {
            let stall = json!({"avg10_percent": percent, "avg60_percent": 0.0, "avg300_percent": 0.0});
            json!({"cpu": null, "io": null, "memory": {"some": stall, "full": stall}})
        };
        for (available, lost, short) in [(500, 0.0, false), (99, 0.0, true), (500, 30.0, true)] {
            let parts = [
                ("memory", memory(available)),
                ("pressure", pressure(lost)),
                ("top", top(&[(7, 0.0), (9, 0.0)])),
            ];
            let analysis = tell("memory_short", &parts, json!({}));
            assert_eq!(!analysis.findings.is_empty(), short, "{available} {lost}");
            if short {
                assert_eq!(analysis.findings[0].values["pid"], 9);
            }
        }
    }

    #[test]
    fn a_deleted_file_counts_once_and_little_ones_do_not_matter() {
        let file = |pid: u64, ino: u64, bytes: u64| {
            json!({"pid": pid, "start_ticks": 5, "name": "rsyslogd", "user": "root", "fd": 3, "path": "/var/log/x",
                "deleted": true, "size_bytes": bytes, "allocated_bytes": bytes, "dev": 1, "ino": ino})
        };
        let big = 10 << 20;
        let files = json!({"files": [file(7, 1, big), file(7, 1, big), file(8, 2, 100)], "matched": 3,
            "allocated_bytes": big, "truncated": false, "not_readable": 0, "tainted": true});
        let services = json!({"services": [{"name": "rsyslog", "description": "", "state": "ready", "enabled": true,
            "core": false, "pid": 7, "restarts": 0, "last_exit": ""}]});
        let analysis = tell(
            "deleted_open",
            &[("files", files), ("services", services)],
            json!({}),
        );
        assert_eq!(causes(&analysis), [("deleted_open", "process 7")]);
        assert_eq!(analysis.findings[0].values["service"], "rsyslog");
        assert_eq!(analysis.findings[0].values["size"], "10.0 MiB");
    }
}
