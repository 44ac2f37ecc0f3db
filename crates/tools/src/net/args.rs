//! What callers may ask the net tools for.

use crate::provisional::WINDOW_MS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// No arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NothingArgs {}

/// Arguments of net.connections and net.listening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SocketArgs {
    /// Only this port of this machine.
    #[serde(default)]
    pub port: Option<u16>,
    /// Most sockets that are listed, 1 to 10000.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: u64,
}

fn thousand() -> u64 {
    1000
}

/// A kind of record in the DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are the DNS's own")]
pub enum RecordType {
    A,
    Aaaa,
    Caa,
    Cname,
    Mx,
    Ns,
    Ptr,
    Soa,
    Srv,
    Txt,
}

/// Arguments of net.dns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsArgs {
    /// Full name to look up.
    pub name: String,
    /// Kinds of records.
    #[serde(default = "addresses")]
    pub record_types: Vec<RecordType>,
    /// Address of the server to ask instead of the system's own; needs net:dns:SERVER too.
    #[serde(default)]
    pub server: Option<String>,
    /// Whether to ask every server of the system instead of the first that answers.
    #[serde(default)]
    pub every_server: bool,
    /// Whether the given server may have an address that is not public; needs net:private:SERVER too.
    #[serde(default)]
    pub private: bool,
    /// Time for one answer, milliseconds, 100 to 10000.
    #[serde(default = "two_seconds")]
    #[schemars(range(min = 100, max = 10_000))]
    pub answer_timeout_ms: u64,
}

fn addresses() -> Vec<RecordType> {
    vec![RecordType::A, RecordType::Aaaa]
}

fn two_seconds() -> u64 {
    2000
}

/// Arguments of net.ping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PingArgs {
    /// Name or address.
    pub host: String,
    /// How many, 1 to 100.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 100))]
    pub count: u32,
    /// Pause between two, milliseconds, 10 to 10000.
    #[serde(default = "second")]
    #[schemars(range(min = 10, max = 10_000))]
    pub interval_ms: u64,
    /// How long the last answer is waited for, milliseconds, 10 to 10000.
    #[serde(default = "second")]
    #[schemars(range(min = 10, max = 10_000))]
    pub answer_timeout_ms: u64,
    /// Size of the whole packet with its headers, bytes, 64 to 9000: whether packets of this size get there.
    #[serde(default)]
    #[schemars(range(min = 64, max = 9000))]
    pub packet_bytes: Option<u32>,
    /// Whether routers must not cut packets into pieces; then the largest size that goes through is told.
    #[serde(default)]
    pub dont_fragment: bool,
    /// Whether the host may have an address that is not public; needs net:private:HOST too.
    #[serde(default)]
    pub private: bool,
}

fn four() -> u32 {
    4
}

fn second() -> u64 {
    1000
}

/// Arguments of net.check_port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckPortArgs {
    /// Name or address.
    pub host: String,
    /// TCP port.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// How long to wait for each address, milliseconds, 50 to 20000.
    #[serde(default = "three_seconds")]
    #[schemars(range(min = 50, max = 20_000))]
    pub answer_timeout_ms: u64,
    /// Whether the host may have an address that is not public; needs net:private:HOST:PORT too.
    #[serde(default)]
    pub private: bool,
}

fn three_seconds() -> u64 {
    3000
}

/// Arguments of net.http_get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpGetArgs {
    /// `http://` or `https://` address, without a user.
    pub url: String,
    /// Most bytes of the body, up to 4 MiB; the rest is not read.
    #[serde(default = "mebibyte")]
    #[schemars(range(min = 1, max = 4_194_304))]
    pub max_bytes: u64,
    /// Redirects to follow, 0 to 5; each must be granted like the first.
    #[serde(default = "five")]
    #[schemars(range(max = 5))]
    pub max_redirects: u32,
    /// Whether hosts may have addresses that are not public; needs net:private:HOST:PORT too.
    #[serde(default)]
    pub private: bool,
}

fn mebibyte() -> u64 {
    1 << 20
}

fn five() -> u32 {
    5
}

/// Whether an interface is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// On.
    Up,
    /// Off.
    Down,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteArgs {
    /// Network, `192.0.2.0/24`; `default` or `default6` for everything.
    pub destination: String,
    /// The next router; none when the network is on the link itself.
    #[serde(default)]
    pub via: Option<String>,
    /// Of several routes to a network the lowest metric is taken.
    #[serde(default)]
    pub metric: Option<u32>,
    /// Table, 1 to 4294967295 but not 255; 254 is the main one.
    #[serde(default = "main_table")]
    pub table: u32,
}

fn main_table() -> u32 {
    254
}

/// Arguments of net.configure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigureArgs {
    /// Name of the interface.
    pub interface: String,
    /// Switch it on or off.
    #[serde(default)]
    pub link: Option<LinkState>,
    /// Its largest packet, bytes, 68 to 65535.
    #[serde(default)]
    #[schemars(range(min = 68, max = 65_535))]
    pub mtu_bytes: Option<u32>,
    /// Addresses to give it, `192.0.2.7/24`.
    #[serde(default)]
    pub add_addresses: Vec<String>,
    /// Addresses to take from it.
    #[serde(default)]
    pub remove_addresses: Vec<String>,
    /// Exactly the addresses that it shall have, besides the link-local ones.
    #[serde(default)]
    pub replace_addresses: Option<Vec<String>>,
    /// Routes to make.
    #[serde(default)]
    pub add_routes: Vec<RouteArgs>,
    /// Routes to take away.
    #[serde(default)]
    pub remove_routes: Vec<RouteArgs>,
    /// Routes to make in the place of those to the same network with the same metric.
    #[serde(default)]
    pub replace_routes: Vec<RouteArgs>,
    /// The change takes itself back unless net.confirm names it within this time, milliseconds, 1000 to 600000.
    #[serde(default = "window")]
    #[schemars(range(min = 1000, max = 600_000))]
    pub confirm_within_ms: u64,
}

fn window() -> u64 {
    WINDOW_MS
}
