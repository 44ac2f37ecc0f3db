//! The network: who listens, and why a host cannot be reached: link, route, name, firewall and the
//! size of packets told apart.

use super::words::some_of;
use super::{AnalyzeError, Analyzer, Cause, Evidence, Finding, Found, Sample, Severity, Wanted};
use serde::Deserialize;

const FAULT: &[(&str, Sample)] = &[
    ("interface", Sample::Name),
    ("server", Sample::Name),
    ("mtu_bytes", Sample::Number),
    ("says", Sample::Text),
];

const fn fault(id: &'static str, says: &'static str) -> Cause {
    Cause {
        id,
        says,
        values: FAULT,
    }
}

/// The analyzers of this file.
pub(super) const ANALYZERS: &[Analyzer] = &[
    Analyzer {
        name: "who_listens",
        summary: "who listens on a port",
        evidence: &[Wanted {
            name: "listening",
            needed: true,
            says: "net.listening",
        }],
        settings: &[("port", Sample::Number)],
        causes: &[Cause {
            id: "listens",
            says: "somebody listens on the port",
            values: &[("says", Sample::Text)],
        }],
        tell: who_listens,
    },
    Analyzer {
        name: "network_fault",
        summary: "why a host cannot be reached",
        evidence: &[
            Wanted {
                name: "interfaces",
                needed: true,
                says: "net.interfaces",
            },
            Wanted {
                name: "routes",
                needed: true,
                says: "net.routes",
            },
            Wanted {
                name: "dns",
                needed: false,
                says: "net.dns of the host",
            },
            Wanted {
                name: "ping",
                needed: false,
                says: "net.ping of the host",
            },
            Wanted {
                name: "large",
                needed: false,
                says: "net.ping of the host with packets as large as the link takes, not to be cut",
            },
            Wanted {
                name: "port",
                needed: false,
                says: "net.check_port of the host",
            },
            Wanted {
                name: "firewall",
                needed: false,
                says: "firewall.rules",
            },
        ],
        settings: &[],
        causes: &[
            fault("link_down", "no link is up"),
            fault("no_route", "there is no way to the host"),
            fault("dns_server", "no server of names answers"),
            fault("name_unknown", "the name does not exist"),
            fault("mtu", "large packets do not get through"),
            fault("firewall", "something on the way drops the packets"),
            fault("port_closed", "the host is there and nobody listens on the port"),
            fault("host_down", "the host does not answer"),
        ],
        tell: network_fault,
    },
];

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
    #[serde(default)]
    pids: Vec<u64>,
    #[serde(default)]
    program: Option<String>,
}

fn who_listens(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let listening: Listening = evidence.need("listening")?;
    let port = evidence.number("port", 0).to_string();
    let mut findings = Vec::new();
    for (index, socket) in listening.sockets.iter().enumerate() {
        if socket.local.rsplit_once(':').is_none_or(|(_, it)| it != port) {
            continue;
        }
        let owner = &socket.owner;
        let user = owner.user.clone().unwrap_or_else(|| format!("uid {}", owner.uid));
        let program = owner
            .program
            .as_deref()
            .unwrap_or("a program that cannot be told");
        let pids: Vec<String> = owner.pids.iter().map(u64::to_string).collect();
        let pids = match pids.is_empty() {
            true => String::new(),
            false => format!(", process {}", some_of(pids.iter().map(String::as_str), 3)),
        };
        let title = format!(
            "{program} of {user}{pids} listens on {} ({})",
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
        false => format!("{} on port {port}", super::words::count(findings.len(), "socket")),
    };
    Ok(Found { seen, findings })
}

#[derive(Debug, Deserialize)]
struct Interfaces {
    interfaces: Vec<Interface>,
}

#[derive(Debug, Deserialize)]
struct Interface {
    name: String,
    up: bool,
    carrier: Option<bool>,
    #[serde(default)]
    addresses: Vec<serde_json::Value>,
}

impl Interface {
    fn works(&self) -> bool {
        self.up && self.carrier != Some(false) && !self.addresses.is_empty()
    }
}

#[derive(Debug, Deserialize)]
struct Routes {
    routes: Vec<Route>,
}

#[derive(Debug, Deserialize)]
struct Route {
    destination: String,
    #[serde(default)]
    dead: bool,
    kind: String,
}

#[derive(Debug, Deserialize)]
struct Dns {
    name: String,
    answered: bool,
    #[serde(default)]
    records: Vec<serde_json::Value>,
    #[serde(default)]
    hosts_file: Vec<String>,
    #[serde(default)]
    servers: Vec<String>,
    #[serde(default)]
    attempts: Vec<Attempt>,
}

#[derive(Debug, Deserialize)]
struct Attempt {
    server: String,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Ping {
    address: String,
    received: u64,
    #[serde(default)]
    too_large: bool,
    #[serde(default)]
    path_mtu_bytes: Option<u64>,
    #[serde(default)]
    packet_bytes: u64,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Port {
    port: u64,
    open: bool,
    #[serde(default)]
    addresses: Vec<PortCheck>,
}

#[derive(Debug, Deserialize)]
struct PortCheck {
    address: String,
    state: String,
}

#[derive(Debug, Deserialize)]
struct Rules {
    #[serde(default)]
    ruleset: String,
}

fn one(finding: Finding) -> Found {
    Found {
        seen: finding.title.clone(),
        findings: vec![finding],
    }
}

fn find(cause: &str, subject: &str, title: String) -> Finding {
    Finding::new(cause, Severity::Critical, subject, title.clone()).value("says", title)
}

/// From the cable upwards: what is below must work before anything above can.
fn network_fault(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let interfaces: Interfaces = evidence.need("interfaces")?;
    let routes: Routes = evidence.need("routes")?;
    let ping = evidence.maybe::<Ping>("ping")?;
    let port = evidence.maybe::<Port>("port")?;
    let reached =
        ping.as_ref().is_some_and(|ping| ping.received > 0) || port.as_ref().is_some_and(|it| it.open);
    if !reached {
        if let Some(finding) = link(evidence, &interfaces) {
            return Ok(one(finding));
        }
        if let Some(finding) = names(evidence)? {
            return Ok(one(finding));
        }
        if let Some(finding) = route(evidence, &routes, ping.as_ref(), port.as_ref()) {
            return Ok(one(finding));
        }
    }
    if let Some(finding) = sizes(evidence)? {
        return Ok(one(finding));
    }
    if let Some(port) = &port
        && !port.open
    {
        return Ok(one(closed(evidence, port, reached)?));
    }
    if let Some(ping) = ping.filter(|ping| ping.received == 0 && !reached) {
        let title = format!("{} does not answer", ping.address);
        return Ok(one(
            find("host_down", &ping.address, title).shown(evidence.shows("ping", "/received", "no answer"))
        ));
    }
    Ok(Found {
        seen: if reached {
            "the host answers".to_owned()
        } else {
            "link, routes and names are as they should be".to_owned()
        },
        findings: Vec::new(),
    })
}

fn link(evidence: &Evidence<'_>, all: &Interfaces) -> Option<Finding> {
    let outer: Vec<&Interface> = all.interfaces.iter().filter(|it| it.name != "lo").collect();
    if outer.iter().any(|it| it.works()) {
        return None;
    }
    let Some(worst) = outer.first() else {
        let title = "this machine has no network interface".to_owned();
        return Some(find("link_down", "network", title).shown(evidence.shows(
            "interfaces",
            "/interfaces",
            "only lo",
        )));
    };
    let why = if !worst.up {
        "is switched off"
    } else if worst.carrier == Some(false) {
        "has no signal"
    } else {
        "has no address"
    };
    let title = format!("no link works: {} {why}", worst.name);
    let shown = evidence.shows("interfaces", "/interfaces", format!("{} {why}", worst.name));
    Some(
        find("link_down", &worst.name, title)
            .shown(shown)
            .value("interface", worst.name.as_str()),
    )
}

fn names(evidence: &Evidence<'_>) -> Result<Option<Finding>, AnalyzeError> {
    let Some(dns) = evidence.maybe::<Dns>("dns")? else {
        return Ok(None);
    };
    if !dns.hosts_file.is_empty() || (dns.answered && !dns.records.is_empty()) {
        return Ok(None);
    }
    let tried: Vec<String> = dns
        .attempts
        .iter()
        .map(|it| {
            let said = it.code.clone().or_else(|| it.error.clone());
            format!("{}: {}", it.server, said.unwrap_or_else(|| "nothing".to_owned()))
        })
        .collect();
    let shown = evidence.shows("dns", "/attempts", some_of(tried.iter().map(String::as_str), 4));
    Ok(Some(if dns.answered {
        let title = format!("there is no address for the name {}", dns.name);
        find("name_unknown", &dns.name, title).shown(shown)
    } else if let Some(server) = dns.servers.first() {
        let servers = dns.servers.join(", ");
        let title = format!("no server of names answers ({servers})");
        find("dns_server", server, title)
            .shown(shown)
            .value("server", server.as_str())
    } else {
        let title = "no server of names is configured".to_owned();
        find("dns_server", "/etc/resolv.conf", title).shown(evidence.shows(
            "dns",
            "/servers",
            "/etc/resolv.conf names no server",
        ))
    }))
}

fn route(
    evidence: &Evidence<'_>,
    routes: &Routes,
    ping: Option<&Ping>,
    port: Option<&Port>,
) -> Option<Finding> {
    let said = ping.and_then(|ping| ping.error.as_deref()).unwrap_or_default();
    let failed = ["ping", "port"]
        .iter()
        .filter_map(|name| evidence.failure(name))
        .map(|failure| failure.message)
        .collect::<Vec<_>>()
        .join("; ");
    let unreachable = |text: &str| {
        let text = text.to_lowercase();
        text.contains("unreachable") || text.contains("no route")
    };
    let of_port = port.is_some_and(|port| {
        !port.addresses.is_empty() && port.addresses.iter().all(|it| it.state == "unreachable")
    });
    let usable = |route: &&Route| route.destination == "default" && !route.dead && route.kind == "unicast";
    let default = routes.routes.iter().any(|route| usable(&route));
    if default && !unreachable(said) && !unreachable(&failed) && !of_port {
        return None;
    }
    if !default
        && !unreachable(said)
        && !unreachable(&failed)
        && !of_port
        && (ping.is_some() || port.is_some())
    {
        // A neighbour needs no default route; something was sent and nothing came back.
        return None;
    }
    let title = match default {
        true => "there is no way to the host although there is a default route".to_owned(),
        false => "there is no default route".to_owned(),
    };
    let shows = match (said.is_empty(), failed.is_empty()) {
        (false, _) => said.to_owned(),
        (true, false) => failed,
        (true, true) => format!("{} routes, none for everything", routes.routes.len()),
    };
    Some(find("no_route", "routes", title).shown(evidence.shows("routes", "/routes", shows)))
}

fn sizes(evidence: &Evidence<'_>) -> Result<Option<Finding>, AnalyzeError> {
    let Some(small) = evidence.maybe::<Ping>("ping")?.filter(|ping| ping.received > 0) else {
        return Ok(None);
    };
    let Some(large) = evidence.maybe::<Ping>("large")? else {
        return Ok(None);
    };
    if large.received > 0 && !large.too_large {
        return Ok(None);
    }
    let fits = large.path_mtu_bytes.filter(|it| *it < large.packet_bytes);
    let limit = fits.map_or_else(String::new, |it| format!("; {it} bytes go through"));
    let title = format!(
        "packets of {} bytes do not get to {}{limit}",
        large.packet_bytes, small.address
    );
    Ok(Some(
        find("mtu", &small.address, title)
            .shown(evidence.shows(
                "ping",
                "/received",
                format!("{} small ones were answered", small.received),
            ))
            .shown(evidence.shows(
                "large",
                "/received",
                format!("{} large ones were", large.received),
            ))
            .value_if("mtu_bytes", fits),
    ))
}

fn closed(evidence: &Evidence<'_>, port: &Port, reached: bool) -> Result<Finding, AnalyzeError> {
    let states: Vec<String> = port
        .addresses
        .iter()
        .map(|it| format!("{} {}", it.address, it.state))
        .collect();
    let shown = evidence.shows(
        "port",
        "/addresses",
        some_of(states.iter().map(String::as_str), 4),
    );
    let subject = format!("port {}", port.port);
    if port.addresses.iter().any(|it| it.state == "refused") {
        let title = format!("the host answers, and nobody listens on port {}", port.port);
        return Ok(find("port_closed", &subject, title).shown(shown));
    }
    if !reached {
        let title = "the host does not answer at all".to_owned();
        return Ok(find("host_down", &subject, title).shown(shown));
    }
    let title = format!(
        "a firewall drops what goes to port {}: the host itself answers",
        port.port
    );
    let finding = find("firewall", &subject, title).shown(shown);
    let own = evidence.maybe::<Rules>("firewall")?.is_some_and(|rules| {
        let port = port.port.to_string();
        rules
            .ruleset
            .lines()
            .any(|line| line.contains(&port) && (line.contains("drop") || line.contains("reject")))
    });
    Ok(if own {
        finding.shown(evidence.shows("firewall", "/ruleset", "this machine's own rules drop it"))
    } else {
        finding
    })
}

#[cfg(test)]
mod tests;
