//! Ports: who listens on one, and who has one that a service wants.

use super::words::{count, some_of};
use super::{AnalyzeError, Analyzer, Cause, Evidence, Finding, Found, Sample, Severity, Wanted};
use serde::Deserialize;

/// The analyzers of this file.
pub(super) const ANALYZERS: &[Analyzer] = &[
    Analyzer {
        name: "who_listens",
        summary: "who listens on a port",
        evidence: &[
            Wanted {
                name: "listening",
                needed: true,
                says: "net.listening",
            },
            Wanted {
                name: "processes",
                needed: false,
                says: "process.list of those that listen on the port",
            },
        ],
        settings: &[("port", Sample::Number)],
        causes: &[Cause {
            id: "listens",
            says: "somebody listens on the port",
            values: &[("says", Sample::Text)],
        }],
        tell: who_listens,
    },
    Analyzer {
        name: "port_holder",
        summary: "which process has a port that a service wants",
        evidence: &[Wanted {
            name: "holders",
            needed: true,
            says: "process.list of those that listen on the port",
        }],
        settings: &[("port", Sample::Number)],
        causes: &[Cause {
            id: "port_taken",
            says: "the service's port is another's",
            values: &[
                ("port", Sample::Number),
                ("pid", Sample::Number),
                ("start_ticks", Sample::Number),
                ("says", Sample::Text),
            ],
        }],
        tell: port_holder,
    },
];

/// What of net.listening is read.
#[derive(Debug, Deserialize)]
struct Listening {
    sockets: Vec<Socket>,
}

#[derive(Debug, Deserialize)]
struct Socket {
    protocol: String,
    local: String,
    owner: Owner,
}

#[derive(Debug, Deserialize)]
struct Owner {
    uid: u64,
    #[serde(default)]
    user: Option<String>,
}

/// What of process.list is read.
#[derive(Debug, Deserialize)]
struct Processes {
    processes: Vec<Process>,
}

#[derive(Debug, Deserialize)]
struct Process {
    pid: u64,
    start_ticks: u64,
    #[serde(default)]
    ppid: u64,
    name: String,
    #[serde(default)]
    uid: u64,
    #[serde(default)]
    user: String,
    #[serde(default)]
    command: String,
}

impl Processes {
    /// Those that others of them did not start: a server's children have its port too.
    fn first(&self) -> impl Iterator<Item = &Process> {
        let child = |it: &&Process| self.processes.iter().any(|other| other.pid == it.ppid);
        self.processes.iter().filter(move |it| !child(it))
    }

    /// Whose socket belongs to a user: another's process may have the same port of another address. One that became
    /// another user since it made its socket is all that is left then.
    fn of(&self, uid: u64) -> Vec<&Process> {
        let own: Vec<&Process> = self.first().filter(|it| it.uid == uid).collect();
        if own.is_empty() {
            self.first().collect()
        } else {
            own
        }
    }
}

fn who_listens(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let listening: Listening = evidence.need("listening")?;
    let processes = evidence.maybe::<Processes>("processes")?;
    let port = evidence.number("port", 0).to_string();
    let mut findings = Vec::new();
    for (index, socket) in listening.sockets.iter().enumerate() {
        if socket.local.rsplit_once(':').is_none_or(|(_, it)| it != port) {
            continue;
        }
        let owner = &socket.owner;
        let user = owner.user.clone().unwrap_or_else(|| format!("uid {}", owner.uid));
        let holders: Vec<String> = processes
            .iter()
            .flat_map(|it| it.of(owner.uid))
            .map(|it| format!("{} (process {})", it.name, it.pid))
            .collect();
        let program = match holders.is_empty() {
            true => "a program that cannot be told".to_owned(),
            false => some_of(holders.iter().map(String::as_str), 3),
        };
        let title = format!(
            "{program} of {user} listens on {} ({})",
            socket.local, socket.protocol
        );
        findings.push(
            Finding::new("listens", Severity::Info, &socket.local, title.clone())
                .shown(evidence.shows("listening", &format!("/sockets/{index}"), title.clone()))
                .value("says", title),
        );
    }
    let seen = match findings.is_empty() {
        true => format!("nobody listens on port {port}"),
        false => format!("{} on port {port}", count(findings.len(), "socket")),
    };
    Ok(Found { seen, findings })
}

fn port_holder(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let port = evidence.number("port", 0);
    let holders: Option<Processes> = evidence.maybe("holders")?;
    let several: Vec<&Process> = holders.iter().flat_map(Processes::first).collect();
    let [it] = several[..] else {
        let names: Vec<String> = several
            .iter()
            .map(|it| format!("{} (process {})", it.name, it.pid))
            .collect();
        let title = match names.is_empty() {
            true => format!("port {port} is taken; by which process cannot be told"),
            // Of other addresses, or of TCP and UDP: ending the wrong one would not be undone.
            false => format!(
                "port {port} is taken by one of {}",
                some_of(names.iter().map(String::as_str), 3)
            ),
        };
        let finding = Finding::new(
            "port_taken",
            Severity::Critical,
            format!("port {port}"),
            title.clone(),
        )
        .value("port", port)
        .value("says", title.clone());
        return Ok(Found {
            seen: title,
            findings: vec![finding],
        });
    };
    let title = format!(
        "port {port} is taken by {} (process {}, {})",
        it.name, it.pid, it.user
    );
    let ours = it.pid <= 1 || it.name.starts_with("aios") || it.user.starts_with("aios");
    let finding = Finding::new(
        "port_taken",
        Severity::Critical,
        format!("port {port}"),
        title.clone(),
    )
    .shown(evidence.shows("holders", "/processes", it.command.as_str()))
    .value("port", port)
    .value("pid", it.pid)
    .value("says", title.clone())
    .value_if("start_ticks", (!ours).then_some(it.start_ticks));
    Ok(Found {
        seen: title,
        findings: vec![finding],
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{causes, tell};
    use serde_json::{Value, json};

    fn process(pid: u64, ppid: u64, name: &str) -> Value {
        json!({"pid": pid, "start_ticks": pid * 10, "ppid": ppid, "name": name, "uid": 33, "user": "web",
            "command": format!("{name} --serve")})
    }

    #[test]
    fn who_listens_is_named_and_other_ports_are_not() {
        let socket = |local: &str, uid: u64| {
            json!({"protocol": "tcp", "local": local, "remote": "*", "state": "listen", "waiting_bytes": 0,
                "unsent_bytes": 0, "owner": {"uid": uid, "user": "web", "pids": [], "program": null, "known": false}})
        };
        let listening = json!({"sockets": [socket("0.0.0.0:80", 33), socket("[::]:8080", 33)], "count": 2});
        let processes = json!({"processes": [process(7, 1, "nginx"), process(8, 7, "nginx")]});
        let parts = [("listening", listening.clone()), ("processes", processes.clone())];
        let analysis = tell("who_listens", &parts, json!({"port": 80}));
        assert_eq!(causes(&analysis), [("listens", "0.0.0.0:80")]);
        assert!(
            analysis.findings[0].title.contains("nginx (process 7) of web"),
            "{analysis:?}"
        );
        let nobody = tell("who_listens", &[("listening", listening)], json!({"port": 81}));
        assert_eq!(nobody.seen, "nobody listens on port 81");
        let dropped = json!({"sockets": [socket("0.0.0.0:80", 0)], "count": 1});
        let parts = [("listening", dropped), ("processes", processes)];
        let analysis = tell("who_listens", &parts, json!({"port": 80}));
        assert!(
            analysis.findings[0].title.contains("nginx (process 7)"),
            "{analysis:?}"
        );
    }

    #[test]
    fn the_holder_that_started_the_others_is_named_and_never_a_part_of_the_system() {
        let of = |processes: &[Value]| {
            let parts = [("holders", json!({"processes": processes}))];
            tell("port_holder", &parts, json!({"port": 80}))
                .findings
                .remove(0)
        };
        let finding = of(&[process(9, 7, "nginx"), process(7, 1, "nginx")]);
        assert_eq!(
            (&finding.values["pid"], &finding.values["start_ticks"]),
            (&json!(7), &json!(70))
        );
        let ours = of(&[process(7, 1, "aios-console")]);
        assert!(!ours.values.contains_key("start_ticks"), "{ours:?}");
        assert!(of(&[]).title.contains("cannot be told"));
        let two = of(&[process(7, 1, "nginx"), process(8, 1, "dnsmasq")]);
        assert!(two.title.contains("nginx (process 7)") && two.title.contains("dnsmasq (process 8)"));
        assert!(!two.values.contains_key("pid"), "neither is to be ended: {two:?}");
    }
}
