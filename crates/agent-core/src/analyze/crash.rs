//! Why a service does not stay up, from what init saw of its ends and what it wrote itself. What only
//! a look at the file system or at another process can tell is found as a trace first.

use super::clues::{self, Clue};
use super::{AnalyzeError, Analyzer, Cause, Evidence, Finding, Found, Sample, Severity, Wanted};
use serde::Deserialize;

const ABOUT: &[(&str, Sample)] = &[
    ("path", Sample::Path),
    ("paths", Sample::Paths),
    ("reason", Sample::Name),
    ("line", Sample::Number),
    ("library", Sample::Name),
    ("dependency", Sample::Name),
    ("port", Sample::Number),
    ("pid", Sample::Number),
    ("start_ticks", Sample::Number),
    ("says", Sample::Text),
];

const fn cause(id: &'static str, says: &'static str) -> Cause {
    Cause {
        id,
        says,
        values: ABOUT,
    }
}

/// The analyzers of this file.
pub(super) const ANALYZERS: &[Analyzer] = &[Analyzer {
    name: "service_crash",
    summary: "why a service does not stay up",
    evidence: &[
        Wanted {
            name: "status",
            needed: true,
            says: "service.status",
        },
        Wanted {
            name: "logs",
            needed: true,
            says: "service.logs",
        },
        Wanted {
            name: "services",
            needed: false,
            says: "service.list",
        },
        Wanted {
            name: "listening",
            needed: false,
            says: "net.listening",
        },
        Wanted {
            name: "clock",
            needed: false,
            says: "hw.info",
        },
    ],
    settings: &[],
    causes: &[
        cause("path_suspect", "the log names a path that the service cannot use"),
        cause("port_busy", "another process has the service's port"),
        cause("port_taken", "the service's port is another's"),
        cause("bad_config_line", "a line of a configuration file is wrong"),
        cause("missing_library", "a library or module is not there"),
        cause("out_of_memory", "memory ran out"),
        cause("dependency_down", "something that the service needs is down"),
        cause("read_only_fs", "the file system cannot be written"),
        cause("disk_full", "no space is left"),
        cause(
            "wrong_workdir",
            "what it is started with is not in its working directory",
        ),
        cause("unknown_crash", "it does not stay up, and nothing says why"),
    ],
    tell: service_crash,
}];

/// What of service.status is read.
#[derive(Debug, Deserialize)]
struct Status {
    service: Summary,
    #[serde(default)]
    wanted: bool,
    started_ms: Option<i64>,
    ready_since_ms: Option<i64>,
    #[serde(default)]
    exits: Vec<Exit>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    working_directory: String,
    memory_limit_bytes: Option<u64>,
    #[serde(default)]
    needs: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Summary {
    name: String,
    state: String,
    #[serde(default)]
    pid: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
struct Exit {
    time_ms: i64,
    how: String,
    code: Option<i64>,
    signal: Option<i64>,
    #[serde(default)]
    was_ready: bool,
    #[serde(default)]
    ran_ms: u64,
    #[serde(default)]
    asked: bool,
    #[serde(default)]
    out_of_memory: bool,
}

#[derive(Debug, Deserialize)]
struct Services {
    services: Vec<Summary>,
}

#[derive(Debug, Deserialize)]
struct Logs {
    lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    time_ms: i64,
    text: String,
}

/// What of net.listening is read.
#[derive(Debug, Deserialize)]
struct Listening {
    sockets: Vec<Socket>,
}

#[derive(Debug, Deserialize)]
struct Socket {
    local: String,
    owner: Owner,
}

#[derive(Debug, Deserialize)]
struct Owner {
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    pids: Vec<u64>,
    #[serde(default)]
    program: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Clock {
    booted_ms: i64,
    uptime_ms: i64,
}

/// A service that stays up so long has recovered.
const STEADY_MS: i64 = 60_000;
/// An end so soon after the start is a crash at the start.
const SHORT_MS: u64 = 60_000;
/// Most traces of paths that are followed.
const MAX_PATHS: usize = 3;

impl Status {
    /// The last end that nobody asked for.
    fn last_crash(&self) -> Option<&Exit> {
        self.exits.iter().rev().find(|exit| !exit.asked)
    }

    /// Whether something is wrong with it now.
    fn is_ill(&self, now_ms: Option<i64>) -> bool {
        match self.service.state.as_str() {
            "backoff" | "failed" | "waiting" => true,
            "starting" => self.last_crash().is_some(),
            "stopped" => self.wanted,
            "ready" => {
                let soon = |exit: &&Exit| !exit.asked && exit.ran_ms < SHORT_MS;
                let loops = self.exits.iter().rev().take(3).filter(soon).count() >= 3;
                let steady = match (now_ms, self.ready_since_ms) {
                    (Some(now), Some(since)) => now - since > STEADY_MS,
                    _ => false,
                };
                loops && !steady
            }
            _ => false,
        }
    }

    fn says(&self) -> String {
        let name = &self.service.name;
        match self.last_crash() {
            Some(exit) => format!(
                "service {name} is {}; it last ended with {}",
                self.service.state, exit.how
            ),
            None => format!("service {name} is {}", self.service.state),
        }
    }
}

/// What the analysis looks at.
struct Case<'a> {
    evidence: &'a Evidence<'a>,
    status: Status,
    /// Lines of the last run, with their places in the log.
    lines: Vec<(usize, String)>,
}

fn service_crash(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let status: Status = evidence.need("status")?;
    let logs: Logs = evidence.need("logs")?;
    let services = evidence.maybe::<Services>("services")?;
    let listening = evidence.maybe::<Listening>("listening")?;
    let clock = evidence.maybe::<Clock>("clock")?;
    let seen = status.says();
    if !status.is_ill(clock.map(|it| it.booted_ms.saturating_add(it.uptime_ms))) {
        return Ok(Found {
            seen,
            findings: Vec::new(),
        });
    }
    let since = last_run(&status);
    let case = Case {
        evidence,
        lines: logs
            .lines
            .into_iter()
            .enumerate()
            .filter(|(_, line)| line.time_ms >= since)
            .map(|(index, line)| (index, line.text))
            .collect(),
        status,
    };
    let mut findings = case.dependencies(services.as_ref());
    if findings.is_empty() {
        findings = case.ending();
    }
    if findings.is_empty() {
        findings = case.words(listening.as_ref());
    }
    if findings.is_empty() {
        findings = vec![case.unknown()];
    }
    Ok(Found { seen, findings })
}

/// When the last run that crashed began.
fn last_run(status: &Status) -> i64 {
    match status.last_crash() {
        // A line may be written a little before or after init notes the time.
        Some(exit) => exit.time_ms - i64::try_from(exit.ran_ms).unwrap_or(i64::MAX) - 1_000,
        None => status.started_ms.map_or(i64::MIN, |started| started - 1_000),
    }
}

impl Case<'_> {
    fn find(&self, cause: &str, subject: &str, title: String) -> Finding {
        let name = &self.status.service.name;
        Finding::new(
            cause,
            Severity::Critical,
            subject,
            format!("service {name}: {title}"),
        )
        .value("says", title)
    }

    fn line(&self, index: usize, text: &str) -> crate::model::finding::Shown {
        let text: String = text.chars().take(300).collect();
        self.evidence.shows("logs", &format!("/lines/{index}/text"), text)
    }

    /// What it needs and is not there: nothing else can be told before that is up.
    fn dependencies(&self, services: Option<&Services>) -> Vec<Finding> {
        let Some(services) = services else {
            return Vec::new();
        };
        let up = |it: &Summary| matches!(it.state.as_str(), "ready" | "listening" | "starting");
        let down = services
            .services
            .iter()
            .enumerate()
            .filter(|(_, it)| self.status.needs.contains(&it.name) && !up(it));
        down.map(|(index, it)| {
            let title = format!("it needs {}, which is {}", it.name, it.state);
            self.find("dependency_down", &it.name, title)
                .shown(self.evidence.shows(
                    "services",
                    &format!("/services/{index}/state"),
                    it.state.as_str(),
                ))
                .value("dependency", it.name.as_str())
        })
        .collect()
    }

    /// What init saw: no memory, or a start that did not even come to the program.
    fn ending(&self) -> Vec<Finding> {
        let Some(exit) = self.status.last_crash() else {
            return Vec::new();
        };
        let last = self.status.exits.len().saturating_sub(1);
        let shown = self
            .evidence
            .shows("status", &format!("/exits/{last}/how"), exit.how.as_str());
        let program = self.status.command.first().filter(|it| it.starts_with('/'));
        let workdir = Some(&self.status.working_directory).filter(|it| it.starts_with('/'));
        let suspect = |reason: &str, path: &str| vec![self.suspect(path, reason).shown(shown.clone())];
        if exit.out_of_memory {
            return vec![self.memory().shown(shown)];
        }
        let how = exit.how.to_lowercase();
        let never_ran = exit.code.is_none() && exit.signal.is_none();
        if never_ran && (how.contains("`directory`") || how.contains("chdir")) {
            return workdir.map(|path| suspect("workdir", path)).unwrap_or_default();
        }
        if never_ran && how.contains("exec") {
            return program.map(|path| suspect("program", path)).unwrap_or_default();
        }
        if matches!(exit.code, Some(126 | 127))
            && !self
                .lines
                .iter()
                .any(|(_, text)| clues::clue(text, &[]).is_some())
        {
            return program.map(|path| suspect("program", path)).unwrap_or_default();
        }
        Vec::new()
    }

    fn memory(&self) -> Finding {
        let limit = self.status.memory_limit_bytes;
        let title = match limit {
            Some(limit) => format!("memory ran out; its limit is {}", super::words::size(limit)),
            None => "memory ran out".to_owned(),
        };
        self.find("out_of_memory", &self.status.service.name, title)
    }

    /// A path that must be looked at.
    fn suspect(&self, path: &str, reason: &str) -> Finding {
        let mut above: Vec<String> = Vec::new();
        let mut whole = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            whole.push('/');
            whole.push_str(part);
            above.push(whole.clone());
        }
        let title = format!("it cannot use {path}");
        self.find("path_suspect", path, title)
            .value("path", path)
            .value("paths", above)
            .value("reason", reason)
    }

    /// What it wrote last, the newest reason first; and every path that it was not let to.
    fn words(&self, listening: Option<&Listening>) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        for (position, (index, text)) in self.lines.iter().enumerate().rev() {
            let next: Vec<&str> = self
                .lines
                .iter()
                .skip(position + 1)
                .take(2)
                .map(|(_, text)| text.as_str())
                .collect();
            let Some(clue) = clues::clue(&self.absolute(text), &next) else {
                continue;
            };
            let is_path = matches!(clue, Clue::Denied(_));
            if !findings.is_empty() && !is_path {
                continue;
            }
            let finding = self
                .of_clue(clue, position, listening)
                .shown(self.line(*index, text));
            let known = findings
                .iter()
                .any(|it| it.same(&finding.cause, &finding.subject));
            if !known && findings.len() < MAX_PATHS {
                findings.push(finding);
            }
        }
        findings
    }

    /// A line in which the files that the service was started with by their relative names have their paths.
    fn absolute(&self, text: &str) -> String {
        let home = self.status.working_directory.trim_end_matches('/');
        let names = self.status.command.iter().skip(1).filter(|argument| {
            let named = clues::is_configuration(argument);
            named && !argument.starts_with('/') && !argument.starts_with('-')
        });
        names.fold(text.to_owned(), |text, name| {
            let own = text.strip_prefix(name.as_str());
            match own {
                Some(rest) => format!("{home}/{name}{rest}"),
                None => [' ', '\'', '"'].iter().fold(text, |text, before| {
                    text.replace(&format!("{before}{name}"), &format!("{before}{home}/{name}"))
                }),
            }
        })
    }

    /// Whether a path is that of an argument without one, looked for in the working directory.
    fn is_relative_argument(&self, path: &str) -> bool {
        let home = self.status.working_directory.trim_end_matches('/');
        let name = path.strip_prefix(home).and_then(|rest| rest.strip_prefix('/'));
        name.is_some_and(|name| {
            self.status
                .command
                .iter()
                .skip(1)
                .any(|argument| argument == name)
        })
    }

    fn of_clue(&self, clue: Clue, position: usize, listening: Option<&Listening>) -> Finding {
        let name = self.status.service.name.as_str();
        match clue {
            Clue::Denied(path) => self.suspect(&path, self.reason_for(&path, "denied")),
            Clue::Missing(path) if self.is_relative_argument(&path) => {
                let home = &self.status.working_directory;
                let title =
                    format!("{path}, which it is started with, is not in its working directory {home}");
                self.find("wrong_workdir", home, title)
            }
            Clue::Missing(path) => self.suspect(&path, self.reason_for(&path, "missing")),
            Clue::PortTaken(port) => self.port(port.or_else(|| self.port_nearby(position)), listening),
            Clue::Library(library) => {
                let title = format!("the library or module {library} is not there");
                self.find("missing_library", &library, title)
                    .value("library", library.as_str())
            }
            Clue::Config(file, line) => self.config(file, line),
            Clue::Memory => self.memory(),
            Clue::ReadOnly(path) => {
                let path = path.unwrap_or_else(|| "/".to_owned());
                let title = format!("the file system of {path} is read-only");
                self.find("read_only_fs", &path, title)
                    .value("path", path.as_str())
            }
            Clue::NoSpace(None) => {
                let title = "no space is left where it writes; its log does not say where".to_owned();
                self.find("disk_full", name, title)
            }
            Clue::NoSpace(Some(path)) => {
                let title = format!("no space is left on the file system of {path}");
                self.find("disk_full", &path, title).value("path", path.as_str())
            }
            Clue::Refused(port) => {
                let at = port.map_or_else(|| "an address".to_owned(), |port| format!("port {port}"));
                let title = format!("it needs somebody at {at}, and nobody answers there");
                self.find("dependency_down", name, title).value_if("port", port)
            }
        }
    }

    /// A path that the service is started with is looked at as such.
    fn reason_for<'a>(&self, path: &str, otherwise: &'a str) -> &'a str {
        if self.status.command.first().is_some_and(|program| program == path) {
            "program"
        } else if self.status.working_directory == path {
            "workdir"
        } else {
            otherwise
        }
    }

    fn config(&self, file: Option<String>, line: Option<u64>) -> Finding {
        let arguments = self.status.command.iter().skip(1);
        let of_arguments = arguments
            .flat_map(|argument| clues::paths(argument))
            .map(|(_, path)| path)
            .find(|path| clues::is_configuration(path));
        let file = file.or(of_arguments);
        let place = file.clone().unwrap_or_else(|| "its configuration".to_owned());
        let title = match line {
            Some(line) => format!("line {line} of {place} is wrong"),
            None => format!("{place} is wrong"),
        };
        self.find("bad_config_line", &place, title)
            .value_if("path", file)
            .value_if("line", line)
    }

    /// A port that the lines around name, or the command line.
    fn port_nearby(&self, position: usize) -> Option<u64> {
        let first = position.saturating_sub(5);
        let around = self.lines.iter().skip(first).take(10);
        let of_lines = around.filter_map(|(_, text)| clues::port_in(text)).next_back();
        of_lines.or_else(|| self.port_of_command())
    }

    fn port_of_command(&self) -> Option<u64> {
        let arguments = &self.status.command;
        let named = arguments.iter().find_map(|argument| clues::port_in(argument));
        named.or_else(|| {
            let place = arguments
                .iter()
                .position(|it| it == "-p" || it.ends_with("port"))?;
            arguments.get(place + 1)?.parse().ok()
        })
    }

    fn port(&self, port: Option<u64>, listening: Option<&Listening>) -> Finding {
        let Some(port) = port else {
            let title = "its port is another's; the log does not say which port".to_owned();
            return self.find("port_taken", "a port", title);
        };
        let subject = format!("port {port}");
        let has = |socket: &&Socket| {
            socket
                .local
                .rsplit_once(':')
                .is_some_and(|(_, it)| it == port.to_string())
        };
        let own = self.status.service.pid;
        let holder = listening
            .iter()
            .flat_map(|it| &it.sockets)
            .filter(has)
            .find(|socket| own.is_none_or(|own| !socket.owner.pids.contains(&own)));
        match holder {
            None => {
                let title = format!("port {port} was another's; nobody has it now");
                self.find("port_taken", &subject, title).value("port", port)
            }
            Some(socket) => {
                let owner = &socket.owner;
                let program = owner.program.as_deref().unwrap_or("a process");
                let user = owner.user.as_deref().unwrap_or("another user");
                let title = format!("port {port} is taken by {program} of {user}");
                let shows = format!("{} has {}", program, socket.local);
                self.find("port_busy", &subject, title)
                    .shown(self.evidence.shows("listening", "/sockets", shows))
                    .value("port", port)
            }
        }
    }

    fn unknown(&self) -> Finding {
        let last = self.lines.last();
        let said = last.map_or("it wrote nothing", |(_, text)| text.as_str());
        let said: String = said.chars().take(300).collect();
        let how = match self.status.last_crash() {
            Some(exit) if exit.was_ready => format!("it was ready and ended with {}", exit.how),
            Some(exit) => format!("it ended with {} before it was ready", exit.how),
            None => format!("it is {}", self.status.service.state),
        };
        let title = format!("{how}; its last words: {said}");
        let finding = self.find("unknown_crash", &self.status.service.name, title);
        match last {
            Some((index, text)) => finding.shown(self.line(*index, text)),
            None => finding,
        }
    }
}

#[cfg(test)]
mod tests;
