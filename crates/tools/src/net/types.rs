//! What the net tools answer.

use super::photo::Photo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes and packets in one direction since the interface came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counters {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets with an error.
    pub errors: u64,
    /// Packets that were dropped.
    pub dropped: u64,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// With the length of its network's prefix, `192.0.2.7/24`.
    pub address: String,
    /// `global`, `link`, `host` or another.
    pub scope: String,
    /// Whether it stays until somebody removes it.
    pub permanent: bool,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InterfaceState {
    /// Name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Whether it is switched on.
    pub up: bool,
    /// The kernel's word for its state: `up`, `down`, `lowerlayerdown`, `unknown` and others.
    pub state: String,
    /// Whether there is a signal; null when it is switched off or the kernel does not tell.
    pub carrier: Option<bool>,
    /// Largest packet, bytes.
    pub mtu_bytes: u32,
    /// Hardware address.
    pub hardware_address: Option<String>,
    /// Driver, when it is a device.
    pub driver: Option<String>,
    /// Addresses.
    pub addresses: Vec<Address>,
    /// What came in.
    pub received: Counters,
    /// What went out.
    pub sent: Counters,
}

/// Result of net.interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InterfaceList {
    /// Every interface, by number.
    pub interfaces: Vec<InterfaceState>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// Network; `default` for everything.
    pub destination: String,
    /// The next router; null when the network is on the link itself.
    pub gateway: Option<String>,
    /// Interfaces that it leaves by.
    pub interfaces: Vec<String>,
    /// The address that packets come from.
    pub source: Option<String>,
    /// Of several routes to a network the lowest is taken.
    pub metric: Option<u32>,
    /// Table; 254 is the main one.
    pub table: u32,
    /// Who made it: `kernel`, `static`, `dhcp`, `boot`, `ra` or another.
    pub protocol: String,
    /// `unicast`, `blackhole`, `unreachable` or another.
    pub kind: String,
    /// Whether its link is down, so that it is not used.
    pub dead: bool,
}

/// Result of net.routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteList {
    /// Every route but those to this machine itself.
    pub routes: Vec<Route>,
}

/// Who has a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Owner {
    /// Number of its user.
    pub uid: u32,
    /// Name of its user, when it has one.
    pub user: Option<String>,
    /// Processes that hold it; empty when their files are closed to this worker.
    pub pids: Vec<i32>,
    /// Program of the first; null when it is unknown.
    pub program: Option<String>,
    /// Whether the processes are known: the worker has no right to look into other users' processes.
    pub known: bool,
}

/// A connection or a socket that waits for some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SocketState {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Address and port here.
    pub local: String,
    /// Address and port there.
    pub remote: String,
    /// `established`, `listen`, `time_wait` and others; for udp `established` or `unconnected`.
    pub state: String,
    /// Bytes that the program did not take yet.
    pub waiting_bytes: u32,
    /// Bytes that the other side did not confirm yet.
    pub unsent_bytes: u32,
    /// Who has it.
    pub owner: Owner,
}

/// Result of net.connections and net.listening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SocketList {
    /// Sockets, by protocol and local address.
    pub sockets: Vec<SocketState>,
    /// How many there are, also those that were not listed.
    pub count: u64,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DnsRecord {
    /// Name that it is about.
    pub name: String,
    /// Kind, `A`.
    pub record_type: String,
    /// Value as people write it.
    pub value: String,
    /// How long it may be remembered, seconds.
    pub ttl_s: u32,
}

/// A question to one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DnsAttempt {
    /// Server.
    pub server: String,
    /// Kind of record.
    pub record_type: String,
    /// `udp` or `tcp`; null without an answer.
    pub transport: Option<String>,
    /// `NOERROR`, `NXDOMAIN`, `SERVFAIL` and others; null without an answer.
    pub code: Option<String>,
    /// Why there was no answer.
    pub error: Option<String>,
    /// Time until the answer or until it was given up, microseconds.
    pub elapsed_us: u64,
    /// What was answered.
    pub records: Vec<DnsRecord>,
}

/// Result of net.dns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DnsResult {
    /// Name that was looked up.
    pub name: String,
    /// Whether a server said what there is, or that there is nothing.
    pub answered: bool,
    /// The server that did.
    pub answered_by: Option<String>,
    /// What it said.
    pub records: Vec<DnsRecord>,
    /// Every question, in order.
    pub attempts: Vec<DnsAttempt>,
    /// Addresses in /etc/hosts, which programs take before they ask a server.
    pub hosts_file: Vec<String>,
    /// Servers in /etc/resolv.conf.
    pub servers: Vec<String>,
    /// Domains in /etc/resolv.conf that are tried after a short name.
    pub search: Vec<String>,
    /// Text of /etc/resolv.conf, at most 4096 bytes.
    pub resolv_conf: String,
}

/// An answer to a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PingReply {
    /// Number of the ping, from 1.
    pub number: u32,
    /// There and back, microseconds.
    pub rtt_us: u64,
}

/// Result of net.ping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pinged {
    /// Host.
    pub host: String,
    /// Its address that was pinged.
    pub address: String,
    /// How many were sent.
    pub sent: u32,
    /// How many were answered.
    pub received: u32,
    /// How many were not, percent.
    pub loss_percent: f64,
    /// Fastest, microseconds.
    pub rtt_min_us: Option<u64>,
    /// Mean, microseconds.
    pub rtt_mean_us: Option<u64>,
    /// Slowest, microseconds.
    pub rtt_max_us: Option<u64>,
    /// Size of a packet with its headers, bytes.
    pub packet_bytes: u32,
    /// Whether the packet is larger than what goes through.
    pub too_large: bool,
    /// Largest packet that goes through as far as is known; null unless `dont_fragment` was asked for.
    pub path_mtu_bytes: Option<u32>,
    /// The last thing that a router or the kernel said against it.
    pub error: Option<String>,
    /// Answers.
    pub replies: Vec<PingReply>,
}

/// What became of connecting to one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortCheck {
    /// Address.
    pub address: String,
    /// `open`, `refused`, `timeout`, `unreachable` or `failed`.
    pub state: String,
    /// What the kernel said.
    pub error: Option<String>,
    /// Time that it took, microseconds.
    pub elapsed_us: u64,
}

/// Result of net.check_port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortChecked {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether it is open on any address.
    pub open: bool,
    /// Each address.
    pub addresses: Vec<PortCheck>,
}

/// A header of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    /// Name in small letters.
    pub name: String,
    /// Value.
    pub value: String,
}

/// Result of net.http_get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fetched {
    /// The URL that answered.
    pub url: String,
    /// The address that answered.
    pub address: String,
    /// URLs that led there.
    pub redirects: Vec<String>,
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: Vec<Header>,
    /// The body, when it is text.
    pub content: Option<String>,
    /// The body, when it is no text.
    pub content_base64: Option<String>,
    /// Bytes of the body that were read.
    pub size_bytes: u64,
    /// Whether there was more.
    pub truncated: bool,
    /// Time that it took, milliseconds.
    pub elapsed_ms: u64,
}

/// An interface as net.configure sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shape {
    /// Whether it is switched on.
    pub up: bool,
    /// Largest packet, bytes.
    pub mtu_bytes: u32,
    /// Addresses.
    pub addresses: Vec<String>,
    /// Routes that leave by it.
    pub routes: Vec<String>,
}

impl Shape {
    pub(super) fn of(photo: &Photo) -> Self {
        let texts = |kept: &[super::photo::Kept]| kept.iter().map(|it| it.text.clone()).collect();
        Self {
            up: photo.up,
            mtu_bytes: photo.mtu,
            addresses: texts(&photo.addresses),
            routes: texts(&photo.routes),
        }
    }
}

/// Result of net.configure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Configured {
    /// Interface.
    pub interface: String,
    /// As it was.
    pub before: Shape,
    /// As it is.
    pub after: Shape,
    /// Time given for the confirmation, milliseconds.
    pub confirm_within_ms: u64,
    /// When the change is taken back unless net.confirm names it before, UTC milliseconds.
    pub confirm_by_ms: i64,
}
