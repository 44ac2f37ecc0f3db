//! The net tools that only look at this machine's tables, and those that ask one question.

use super::args::{CheckPortArgs, DnsArgs, RecordType};
use super::dns::{self, Question, Reply};
use super::photo;
use super::reach::Peer;
use super::resolve::Resolver;
use super::types::{
    Address, Counters, DnsAttempt, DnsRecord, DnsResult, InterfaceList, InterfaceState, PortCheck,
    PortChecked, Route, RouteList,
};
use super::wire::Wire;
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressHeaderFlags, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteFlags, RouteMessage};
use simple_dns::{RCODE, TYPE};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of `resolv.conf` that are shown.
const SETTINGS_SHOWN: usize = 4096;

pub(super) fn interfaces() -> Result<InterfaceList> {
    let wire = Wire::open()?;
    let mut addresses: HashMap<u32, Vec<Address>> = HashMap::new();
    for (index, message, kept) in photo::addresses(&wire)? {
        addresses.entry(index).or_default().push(Address {
            address: kept.text,
            scope: scope(message.header.scope),
            permanent: message.header.flags.contains(AddressHeaderFlags::Permanent),
        });
    }
    let mut interfaces: Vec<InterfaceState> = photo::links(&wire)?
        .iter()
        .map(|link| interface(link, addresses.remove(&link.header.index).unwrap_or_default()))
        .collect();
    interfaces.sort_by_key(|interface| interface.index);
    Ok(InterfaceList { interfaces })
}

fn scope(scope: AddressScope) -> String {
    match scope {
        AddressScope::Universe => "global".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn interface(link: &LinkMessage, addresses: Vec<Address>) -> InterfaceState {
    let name = photo::link_name(link).unwrap_or_default().to_owned();
    let up = link.header.flags.contains(LinkFlags::Up);
    let mut state = InterfaceState {
        index: link.header.index,
        up,
        state: "unknown".to_owned(),
        carrier: None,
        mtu_bytes: photo::link_mtu(link),
        hardware_address: None,
        driver: driver(&name),
        addresses,
        received: Counters::default(),
        sent: Counters::default(),
        name,
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::OperState(oper) => state.state = format!("{oper:?}").to_lowercase(),
            LinkAttribute::Carrier(carrier) if up => state.carrier = Some(*carrier != 0),
            LinkAttribute::Address(bytes) if !bytes.is_empty() => {
                let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                state.hardware_address = Some(bytes.join(":"));
            }
            LinkAttribute::Stats64(stats) => {
                state.received = Counters {
                    bytes: stats.rx_bytes,
                    packets: stats.rx_packets,
                    errors: stats.rx_errors,
                    dropped: stats.rx_dropped,
                };
                state.sent = Counters {
                    bytes: stats.tx_bytes,
                    packets: stats.tx_packets,
                    errors: stats.tx_errors,
                    dropped: stats.tx_dropped,
                };
            }
            _ => {}
        }
    }
    state
}

/// What is made of software has none.
fn driver(interface: &str) -> Option<String> {
    let link = Path::new("/sys/class/net").join(interface).join("device/driver");
    let target = std::fs::read_link(link).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}

pub(super) fn routes() -> Result<RouteList> {
    let wire = Wire::open()?;
    let names: HashMap<u32, String> = photo::links(&wire)?
        .iter()
        .map(|link| {
            (
                link.header.index,
                photo::link_name(link).unwrap_or_default().to_owned(),
            )
        })
        .collect();
    let routes = photo::routes(&wire)?;
    Ok(RouteList {
        routes: routes.iter().map(|(message, _)| route(message, &names)).collect(),
    })
}

fn route(message: &RouteMessage, names: &HashMap<u32, String>) -> Route {
    let name = |index: &u32| {
        names
            .get(index)
            .cloned()
            .unwrap_or_else(|| format!("number {index}"))
    };
    let family = match message.header.address_family {
        AddressFamily::Inet6 => "ipv6",
        _ => "ipv4",
    };
    Route {
        family: family.to_owned(),
        destination: photo::destination(message),
        gateway: photo::gateway(message).map(|it| it.to_string()),
        interfaces: photo::leaves_by(message).iter().map(name).collect(),
        source: photo::source(message).map(|it| it.to_string()),
        metric: photo::metric(message),
        table: photo::table(message),
        protocol: message.header.protocol.to_string(),
        kind: format!("{:?}", message.header.kind).to_lowercase(),
        dead: message
            .header
            .flags
            .intersects(RouteFlags::Dead | RouteFlags::Linkdown),
    }
}

fn kind(record_type: RecordType) -> (TYPE, &'static str) {
    match record_type {
        RecordType::A => (TYPE::A, "A"),
        RecordType::Aaaa => (TYPE::AAAA, "AAAA"),
        RecordType::Caa => (TYPE::CAA, "CAA"),
        RecordType::Cname => (TYPE::CNAME, "CNAME"),
        RecordType::Mx => (TYPE::MX, "MX"),
        RecordType::Ns => (TYPE::NS, "NS"),
        RecordType::Ptr => (TYPE::PTR, "PTR"),
        RecordType::Soa => (TYPE::SOA, "SOA"),
        RecordType::Srv => (TYPE::SRV, "SRV"),
        RecordType::Txt => (TYPE::TXT, "TXT"),
    }
}

fn code(code: RCODE) -> String {
    match code {
        RCODE::NoError => "NOERROR".to_owned(),
        RCODE::FormatError => "FORMERR".to_owned(),
        RCODE::ServerFailure => "SERVFAIL".to_owned(),
        RCODE::NameError => "NXDOMAIN".to_owned(),
        RCODE::NotImplemented => "NOTIMP".to_owned(),
        RCODE::Refused => "REFUSED".to_owned(),
        other => format!("{other:?}"),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A record's kind by its data.
fn type_name(data: &simple_dns::rdata::RData<'_>) -> String {
    format!("{:?}", data.type_code())
}

fn attempt(
    server: IpAddr,
    record_type: &str,
    reply: std::io::Result<Reply>,
    elapsed: Duration,
) -> DnsAttempt {
    let attempt = DnsAttempt {
        server: server.to_string(),
        record_type: record_type.to_owned(),
        transport: None,
        code: None,
        error: None,
        elapsed_us: micros(elapsed),
        records: Vec::new(),
    };
    match reply {
        Err(error) => DnsAttempt {
            error: Some(error.to_string()),
            ..attempt
        },
        Ok(reply) => DnsAttempt {
            transport: Some(if reply.over_tcp { "tcp" } else { "udp" }.to_owned()),
            code: Some(code(reply.code)),
            elapsed_us: micros(reply.elapsed),
            records: reply
                .records
                .iter()
                .map(|record| DnsRecord {
                    name: record.name.clone(),
                    record_type: type_name(&record.data),
                    value: dns::value(&record.data),
                    ttl_s: record.ttl_s,
                })
                .collect(),
            ..attempt
        },
    }
}

pub(super) fn resolve(
    resolver: &Resolver,
    args: &DnsArgs,
    server: Option<IpAddr>,
    budget: &Budget,
) -> Result<DnsResult> {
    let settings = resolver.settings()?;
    let servers = server.map_or_else(|| settings.servers.clone(), |server| vec![server]);
    let mut attempts = Vec::new();
    for record_type in &args.record_types {
        let (wire_type, name) = kind(*record_type);
        for server in &servers {
            budget.check()?;
            let question = Question {
                server: SocketAddr::new(*server, 53),
                name: &args.name,
                record_type: wire_type,
                timeout: Duration::from_millis(args.answer_timeout_ms).min(budget.left()),
            };
            let started = Instant::now();
            let reply = dns::ask(&question);
            let settled =
                matches!(&reply, Ok(reply) if matches!(reply.code, RCODE::NoError | RCODE::NameError));
            attempts.push(attempt(*server, name, reply, started.elapsed()));
            if settled && !args.every_server {
                break;
            }
        }
    }
    let settled = |it: &&DnsAttempt| matches!(it.code.as_deref(), Some("NOERROR" | "NXDOMAIN"));
    let answered_by = attempts.iter().find(settled).map(|it| it.server.clone());
    let of_answerer = |it: &&DnsAttempt| Some(&it.server) == answered_by.as_ref();
    let records = attempts
        .iter()
        .filter(of_answerer)
        .flat_map(|it| it.records.clone())
        .collect();
    let hosts = resolver.hosts(&args.name)?;
    Ok(DnsResult {
        name: args.name.clone(),
        answered: answered_by.is_some(),
        answered_by,
        records,
        attempts,
        hosts_file: hosts.iter().map(ToString::to_string).collect(),
        servers: settings.servers.iter().map(ToString::to_string).collect(),
        search: settings.search,
        resolv_conf: settings.text.chars().take(SETTINGS_SHOWN).collect(),
    })
}

pub(super) fn check_port(
    peer: &Peer,
    addresses: &[IpAddr],
    args: &CheckPortArgs,
    budget: &Budget,
) -> Result<PortChecked> {
    let mut checks = Vec::new();
    for address in addresses {
        budget.check()?;
        let started = Instant::now();
        let wait = Duration::from_millis(args.answer_timeout_ms).min(budget.left());
        if wait.is_zero() {
            budget.check()?;
        }
        let wait = wait.max(Duration::from_millis(1));
        let tried = TcpStream::connect_timeout(&SocketAddr::new(*address, args.port), wait);
        let (state, error) = match &tried {
            Ok(_) => ("open", None),
            Err(error) => (refusal(error), Some(error.to_string())),
        };
        checks.push(PortCheck {
            address: address.to_string(),
            state: state.to_owned(),
            error,
            elapsed_us: micros(started.elapsed()),
        });
    }
    if checks.is_empty() {
        return Err(ToolError::Network {
            what: format!("connecting to {}", peer.resource()),
            why: "it has no address".to_owned(),
        });
    }
    Ok(PortChecked {
        host: peer.host.to_string(),
        port: args.port,
        open: checks.iter().any(|check| check.state == "open"),
        addresses: checks,
    })
}

fn refusal(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ConnectionRefused => "refused",
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "timeout",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => "unreachable",
        _ => "failed",
    }
}
