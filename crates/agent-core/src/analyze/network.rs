//! The network: why a host cannot be reached: link, route, name, firewall and the size of packets told apart.

mod sizes;

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
        settings: &[("asked", Sample::Text)],
        causes: &[
            fault("link_down", "no link is up"),
            fault("no_route", "there is no way to the host"),
            fault("dns_server", "no server of names answers"),
            fault("name_unknown", "the name does not exist"),
            fault("mtu", "large packets do not get through"),
            fault("firewall", "something on the way drops the packets"),
            fault("port_closed", "the host is there and nobody listens on the port"),
            fault("host_down", "the host does not answer"),
            fault("host_private", "the host is none of the public network"),
            fault("narrow_path", "the way takes smaller packets only, and says so"),
            fault("not_looked_at", "the host could not be looked at"),
        ],
        tell: network_fault,
    },
    Analyzer {
        name: "narrow_path",
        summary: "whether packets of the size that the way names get through",
        evidence: &[Wanted {
            name: "fitting",
            needed: true,
            says: "net.ping of the host with packets of that size, not to be cut",
        }],
        settings: &[],
        causes: &[fault("mtu", "large packets do not get through")],
        tell: sizes::narrow_path,
    },
];

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
    #[serde(default)]
    interfaces: Vec<String>,
}

impl Routes {
    /// Whether there is a way to everywhere.
    fn default(&self) -> bool {
        let usable = |it: &Route| it.is_default() && !it.dead && it.kind == "unicast";
        self.routes.iter().any(usable)
    }
}

impl Route {
    fn is_default(&self) -> bool {
        self.destination.starts_with("default")
    }
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

/// Code of a call whose host is none of the public network, and which may not go there.
const CLOSED: &str = "AIOS-TOOLS-0041";

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
    let ping = evidence.maybe::<Ping>("ping")?;
    let port = evidence.maybe::<Port>("port")?;
    let reached =
        ping.as_ref().is_some_and(|ping| ping.received > 0) || port.as_ref().is_some_and(|it| it.open);
    let finding = match reached {
        true => sizes::sizes(evidence)?,
        false => below(evidence, ping.as_ref(), port.as_ref())?,
    };
    if let Some(finding) = finding {
        return Ok(one(finding));
    }
    if let Some(port) = port.filter(|port| !port.open) {
        return Ok(one(closed(evidence, &port, reached)?));
    }
    if let Some(ping) = ping.filter(|_| !reached) {
        let title = format!("{} does not answer", ping.address);
        return Ok(one(
            find("host_down", &ping.address, title).shown(evidence.shows("ping", "/received", "no answer"))
        ));
    }
    Ok(Found {
        seen: "the host answers".to_owned(),
        findings: Vec::new(),
    })
}

/// What keeps everything from the host: link, names, route, this machine's own rules.
fn below(
    evidence: &Evidence<'_>,
    ping: Option<&Ping>,
    port: Option<&Port>,
) -> Result<Option<Finding>, AnalyzeError> {
    let interfaces: Interfaces = evidence.need("interfaces")?;
    let routes: Routes = evidence.need("routes")?;
    if let Some(finding) = link(evidence, &interfaces, &routes) {
        return Ok(Some(finding));
    }
    let dns = evidence.maybe::<Dns>("dns")?;
    // Without a way to the server of names nothing is said against the server.
    let cut_off = !routes.default() && dns.as_ref().is_some_and(Dns::has_no_way);
    if !cut_off && let Some(finding) = names(evidence, dns.as_ref()) {
        return Ok(Some(finding));
    }
    if let Some(finding) = route(evidence, &routes, ping, port, cut_off) {
        return Ok(Some(finding));
    }
    if let Some(ping) = ping.filter(|ping| ping.error.as_deref().is_some_and(forbidden)) {
        let title = format!("this machine's own rules drop what goes to {}", ping.address);
        let said = ping.error.clone().unwrap_or_default();
        return Ok(Some(
            find("firewall", &ping.address, title).shown(evidence.shows("ping", "/error", said)),
        ));
    }
    Ok(match (ping, port) {
        (None, None) => Some(not_looked_at(evidence)),
        _ => None,
    })
}

/// What the kernel says when its own rules drop a packet that is to be sent.
fn forbidden(error: &str) -> bool {
    error.to_lowercase().contains("not permitted")
}

/// Neither ping nor port: link, routes and names may be well, and nobody knows of the host.
fn not_looked_at(evidence: &Evidence<'_>) -> Finding {
    let failures = ["ping", "port"].map(|name| (name, evidence.failure(name)));
    let failure = failures
        .into_iter()
        .find_map(|(name, failure)| failure.map(|failure| (name, failure)));
    let (name, code, message) = match failure {
        Some((name, failure)) => (name, failure.code, failure.message),
        None => ("port", String::new(), "no call was made".to_owned()),
    };
    if code == CLOSED && evidence.text("asked").is_none() {
        return find("host_private", "host", message.clone()).shown(evidence.shows(name, "/failed", message));
    }
    let title = format!("nothing is known of the host itself: {message}");
    find("not_looked_at", "host", title).shown(evidence.shows(name, "/failed", message))
}

fn link(evidence: &Evidence<'_>, all: &Interfaces, routes: &Routes) -> Option<Finding> {
    let outer: Vec<&Interface> = all.interfaces.iter().filter(|it| it.name != "lo").collect();
    let worst = if outer.iter().any(|it| it.works()) {
        // A bridge of containers always works; what led to everywhere is what matters.
        outer.iter().find(|it| !routes.default() && led_out(it, routes))?
    } else if outer.is_empty() {
        let title = "this machine has no network interface".to_owned();
        return Some(find("link_down", "network", title).shown(evidence.shows(
            "interfaces",
            "/interfaces",
            "only lo",
        )));
    } else {
        let of_use = outer.iter().find(|it| !it.addresses.is_empty());
        of_use.or(outer.first())?
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

/// Whether an interface that does not work was the way out: it has a dead default route, or was switched off with
/// its addresses, which takes its routes away.
fn led_out(interface: &Interface, routes: &Routes) -> bool {
    let dead = |it: &Route| it.is_default() && it.dead && it.interfaces.contains(&interface.name);
    !interface.works()
        && (routes.routes.iter().any(dead) || (!interface.up && !interface.addresses.is_empty()))
}

impl Dns {
    /// Whether no server could even be asked.
    fn has_no_way(&self) -> bool {
        let error = |it: &Attempt| it.error.as_deref().is_some_and(unreachable);
        !self.attempts.is_empty() && self.attempts.iter().all(error)
    }
}

/// What the kernel says when there is no way.
fn unreachable(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("unreachable") || text.contains("no route")
}

fn names(evidence: &Evidence<'_>, dns: Option<&Dns>) -> Option<Finding> {
    let dns = dns?;
    if !dns.hosts_file.is_empty() || (dns.answered && !dns.records.is_empty()) {
        return None;
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
    Some(if dns.answered {
        let title = format!("there is no address for the name {}", dns.name);
        find("name_unknown", &dns.name, title).shown(shown)
    } else if let Some(server) = dns.servers.first() {
        let servers = dns.servers.join(", ");
        let codes: Vec<&str> = dns.attempts.iter().filter_map(|it| it.code.as_deref()).collect();
        let title = match codes.first() {
            Some(code) => format!("the servers of names fail ({servers}: {code})"),
            None => format!("no server of names answers ({servers})"),
        };
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
    })
}

fn route(
    evidence: &Evidence<'_>,
    routes: &Routes,
    ping: Option<&Ping>,
    port: Option<&Port>,
    cut_off: bool,
) -> Option<Finding> {
    let said = ping.and_then(|ping| ping.error.as_deref()).unwrap_or_default();
    let failed = ["ping", "port"]
        .iter()
        .filter_map(|name| evidence.failure(name))
        .map(|failure| failure.message)
        .collect::<Vec<_>>()
        .join("; ");
    let of_port = port.is_some_and(|port| {
        !port.addresses.is_empty() && port.addresses.iter().all(|it| it.state == "unreachable")
    });
    let no_way = cut_off || unreachable(said) || unreachable(&failed) || of_port;
    let asked = ping.is_some() || port.is_some();
    // A neighbour needs no default route: something was sent and nothing came back.
    if !no_way && (routes.default() || asked) {
        return None;
    }
    let title = match routes.default() {
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
