//! The `net` namespace: interfaces, routes, connections, names, and whether somebody can be reached; and one change,
//! net.configure, which takes itself back unless it is confirmed in time ([`crate::provisional`]).
//!
//! What speaks with others is in [`reach`]'s hands: which host, which address, and never one that is not public
//! without a grant of its own.

pub mod args;
mod configure;
mod dns;
mod http;
mod look;
pub mod pending;
pub mod photo;
mod ping;
pub mod reach;
pub mod resolve;
mod sockets;
pub mod types;
mod wire;

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::same_identities;
use crate::provisional::{
    Confirmed, KeyArgs, PendingList, PlanOf, Provisional, Undone, canonical_key, granted,
};
use crate::registry::{About, Registry, ToolSpec};
use crate::typed::{bad_input, typed, unknown, value_of};
use crate::worker::{Call, Expired, Namespace, Prepared, Target};
use aios_auth::capability::Access;
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use args::{CheckPortArgs, ConfigureArgs, DnsArgs, HttpGetArgs, NothingArgs, PingArgs, SocketArgs};
pub use configure::Interfaces;
use http::Web;
use pending::Pending;
use reach::{Host, Peer, host};
use resolve::Resolver;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sockets::{Machine, Which};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Resource of a capability for the machine as a whole.
const MACHINE: &str = "host";
const DNS_PORT: u16 = 53;

/// The namespace.
pub struct Net {
    provisional: Provisional<Interfaces>,
    web: Web,
    machine: Machine,
}

fn spec<I, O>(
    name: &'static str,
    capability: &'static str,
    summary: &'static str,
    risk: Risk,
    timeout_ms: u64,
) -> ToolSpec
where
    I: JsonSchema + DeserializeOwned + Serialize,
    O: JsonSchema + DeserializeOwned + Serialize,
{
    ToolSpec::of::<I, O>(About {
        name,
        summary,
        risk,
        idempotent: risk == Risk::Read,
        reversible: true,
        capability,
        timeout_ms,
    })
}

/// The net tools.
pub fn specs() -> Vec<ToolSpec> {
    [looking(), speaking(), changing()].concat()
}

/// Those that look at this machine's own tables.
fn looking() -> Vec<ToolSpec> {
    let read = Risk::Read;
    vec![
        spec::<NothingArgs, types::InterfaceList>(
            "net.interfaces",
            "net:interfaces:host",
            "Lists network interfaces with state, addresses, MTU, carrier and counters.",
            read,
            5000,
        ),
        spec::<NothingArgs, types::RouteList>(
            "net.routes",
            "net:routes:host",
            "Lists the routes of IPv4 and IPv6.",
            read,
            5000,
        ),
        spec::<SocketArgs, types::SocketList>(
            "net.connections",
            "net:connections:host",
            "Lists TCP and UDP connections with state and owner.",
            read,
            15_000,
        ),
        spec::<SocketArgs, types::SocketList>(
            "net.listening",
            "net:listening:host",
            "Lists who waits on which TCP and UDP port.",
            read,
            15_000,
        ),
        spec::<NothingArgs, PendingList>(
            "net.pending",
            "net:pending:host",
            "Lists changes that wait to be confirmed and those that took themselves back.",
            read,
            5000,
        ),
    ]
}

/// Those that speak with others.
fn speaking() -> Vec<ToolSpec> {
    let read = Risk::Read;
    vec![
        spec::<DnsArgs, types::DnsResult>(
            "net.dns",
            "net:dns:NAME",
            "Looks a name up in the DNS and says which server answered what, and how fast.",
            read,
            60_000,
        ),
        spec::<PingArgs, types::Pinged>(
            "net.ping",
            "net:ping:HOST",
            "Pings a host; tells loss, times and how large a packet may be on the way.",
            read,
            120_000,
        ),
        spec::<CheckPortArgs, types::PortChecked>(
            "net.check_port",
            "net:check_port:HOST:PORT",
            "Tells whether a TCP port of a host is open, refused, silent or unreachable.",
            read,
            60_000,
        ),
        spec::<HttpGetArgs, types::Fetched>(
            "net.http_get",
            "net:http_get:URL",
            "Reads one page over HTTP or HTTPS.",
            read,
            60_000,
        ),
    ]
}

/// Those that change something.
fn changing() -> Vec<ToolSpec> {
    vec![
        spec::<ConfigureArgs, types::Configured>(
            "net.configure",
            "net:configure:INTERFACE",
            "Changes addresses, routes, MTU or state of an interface; takes itself back unless confirmed in time.",
            Risk::Medium,
            20_000,
        ),
        spec::<KeyArgs, Confirmed>(
            "net.confirm",
            "net:confirm:TASK_ID",
            "Keeps a change of net.configure, which would take itself back otherwise.",
            Risk::Low,
            5000,
        ),
        spec::<KeyArgs, Undone>(
            "net.undo",
            "net:ACTION:INTERFACE",
            "Undoes a change of net.configure exactly; refused when somebody changed the interface since.",
            Risk::Medium,
            20_000,
        ),
    ]
}

impl Net {
    /// The namespace with this list of provisional changes, and the settings in `etc`.
    pub fn new(pending: Arc<Pending>, etc: &Path) -> Self {
        Self {
            provisional: Provisional::new(Interfaces, pending),
            web: Web {
                resolver: Resolver::new(etc),
                authorities: etc.join("ssl/certs/ca-certificates.crt"),
            },
            machine: Machine {
                proc: "/proc".into(),
                etc: etc.to_owned(),
            },
        }
    }

    /// Every address of a peer, each one checked.
    fn addresses(&self, peer: &Peer, budget: &Budget) -> Result<Vec<IpAddr>> {
        let addresses = self.web.resolver.addresses(&peer.host, budget)?;
        for address in &addresses {
            peer.check(*address)?;
        }
        Ok(addresses)
    }

    fn look(&self, call: &Call<'_>, peer: Option<Peer>) -> Result<Value> {
        let (tool, args, budget) = (call.tool, call.args, call.budget);
        let sockets = |which| value_of(&sockets::list(&self.machine, which, &typed(tool, args)?, budget)?);
        match (tool, peer) {
            ("net.interfaces", _) => value_of(&look::interfaces()?),
            ("net.routes", _) => value_of(&look::routes()?),
            ("net.connections", _) => sockets(Which::Connections),
            ("net.listening", _) => sockets(Which::Listening),
            ("net.pending", _) => value_of(&self.provisional.pending()?),
            ("net.dns", server) => {
                let server = server.and_then(|peer| match peer.host {
                    Host::Address(address) => Some(address),
                    Host::Name(_) => None,
                });
                value_of(&look::resolve(
                    &self.web.resolver,
                    &typed(tool, args)?,
                    server,
                    budget,
                )?)
            }
            ("net.ping", Some(peer)) => {
                let addresses = self.addresses(&peer, budget)?;
                let address = addresses.first().copied().ok_or_else(|| ToolError::Network {
                    what: format!("pinging {}", peer.host),
                    why: "it has no address".to_owned(),
                })?;
                value_of(&ping::run(&peer, address, &typed(tool, args)?, budget)?)
            }
            ("net.check_port", Some(peer)) => {
                let addresses = self.addresses(&peer, budget)?;
                value_of(&look::check_port(&peer, &addresses, &typed(tool, args)?, budget)?)
            }
            ("net.http_get", Some(_)) => value_of(&self.web.get(call, &typed(tool, args)?)?),
            (other, _) => unknown(other),
        }
    }
}

/// Whom a call speaks with; `None` for one that only looks at this machine, or asks the system's own servers.
fn peer_of(tool: &str, args: &Value) -> Result<Option<Peer>> {
    let peer = |field: &str, text: &str, port, private| {
        Ok(Some(Peer {
            host: host(tool, field, text)?,
            port,
            private,
        }))
    };
    match tool {
        "net.ping" => {
            let args: PingArgs = typed(tool, args)?;
            peer("host", &args.host, None, args.private)
        }
        "net.check_port" => {
            let args: CheckPortArgs = typed(tool, args)?;
            peer("host", &args.host, Some(args.port), args.private)
        }
        "net.http_get" => http::peer(&typed(tool, args)?).map(Some),
        "net.dns" => {
            let args: DnsArgs = typed(tool, args)?;
            match &args.server {
                Some(server) => peer("server", server, Some(DNS_PORT), args.private),
                None => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// Refuses a number outside of its range.
fn in_range<T: PartialOrd + std::fmt::Display>(
    tool: &str,
    field: &str,
    value: T,
    from: T,
    to: T,
) -> Result<()> {
    if from <= value && value <= to {
        return Ok(());
    }
    Err(bad_input(tool, field, format!("must be {from} to {to}")))
}

/// Arguments of a net tool in their one canonical form.
///
/// # Errors
/// [`ToolError::BadInput`] or [`ToolError::UnknownTool`].
pub fn canonical(tool: &str, args_json: &str) -> Result<Value> {
    static SPECS: LazyLock<Registry> = LazyLock::new(|| Registry::new(specs()));
    let args = SPECS.get(tool)?.check_input(args_json)?;
    let named = |field: &str, text: &str| host(tool, field, text).map(|host| host.to_string());
    match tool {
        "net.connections" | "net.listening" => {
            let args: SocketArgs = typed(tool, &args)?;
            in_range(tool, "limit", args.limit, 1, 10_000)?;
            value_of(&args)
        }
        "net.dns" => {
            let mut args: DnsArgs = typed(tool, &args)?;
            args.name = named("name", &args.name)?;
            in_range(tool, "record_types", args.record_types.len(), 1, 10)?;
            in_range(tool, "answer_timeout_ms", args.answer_timeout_ms, 100, 10_000)?;
            if let Some(server) = &args.server {
                match host(tool, "server", server)? {
                    Host::Address(address) => args.server = Some(address.to_string()),
                    Host::Name(_) => return Err(bad_input(tool, "server", "must be an address, not a name")),
                }
            }
            value_of(&args)
        }
        "net.ping" => {
            let mut args: PingArgs = typed(tool, &args)?;
            args.host = named("host", &args.host)?;
            in_range(tool, "count", args.count, 1, 100)?;
            in_range(tool, "interval_ms", args.interval_ms, 10, 10_000)?;
            in_range(tool, "answer_timeout_ms", args.answer_timeout_ms, 10, 10_000)?;
            in_range(tool, "packet_bytes", args.packet_bytes.unwrap_or(64), 64, 9000)?;
            value_of(&args)
        }
        "net.check_port" => {
            let mut args: CheckPortArgs = typed(tool, &args)?;
            args.host = named("host", &args.host)?;
            in_range(tool, "port", args.port, 1, u16::MAX)?;
            in_range(tool, "answer_timeout_ms", args.answer_timeout_ms, 50, 20_000)?;
            value_of(&args)
        }
        "net.http_get" => value_of(&http::canonical(typed(tool, &args)?)?),
        "net.configure" => value_of(&configure::canonical(typed(tool, &args)?)?),
        "net.confirm" | "net.undo" => value_of(&canonical_key(tool, typed(tool, &args)?)?),
        _ => Ok(args),
    }
}

/// What a call that changes nothing touches and needs.
fn reading(call: &Call<'_>) -> Result<Prepared> {
    let action = call.tool.split_once('.').map_or("", |(_, action)| action);
    let peer = peer_of(call.tool, call.args)?;
    let mut identities: Vec<Identity> = peer.iter().map(Peer::identity).collect();
    let mut required = match &peer {
        Some(peer) => peer.admit(call, action)?,
        None => Vec::new(),
    };
    let resource = match (call.tool, &peer) {
        ("net.dns", _) => Some(typed::<DnsArgs>(call.tool, call.args)?.name),
        (_, None) => Some(MACHINE.to_owned()),
        _ => None,
    };
    if let Some(resource) = resource {
        let access = Access::new("net", action, &resource).map_err(ToolError::auth)?;
        granted(call, &access)?;
        required.push(access);
        identities.push(Identity {
            path: resource,
            kind: "net".to_owned(),
            ..Identity::default()
        });
    }
    identities.sort_by(|a, b| a.path.cmp(&b.path));
    let about: Vec<&str> = identities.iter().map(|identity| identity.path.as_str()).collect();
    Ok(Prepared {
        summary: format!("{} {}", call.tool, about.join(" ")),
        identities,
        required,
        risk: Risk::Read,
        mutating: false,
        reversible: true,
        files: 0,
        bytes: 0,
    })
}

impl Namespace for Net {
    type Plan = PlanOf<Interfaces>;

    fn name(&self) -> &'static str {
        "net"
    }

    fn specs(&self) -> Vec<ToolSpec> {
        specs()
    }

    fn canonical(&self, tool: &str, args_json: &str) -> Result<Value> {
        canonical(tool, args_json)
    }

    fn prepare(&self, call: &Call<'_>) -> Result<Prepared> {
        match call.tool {
            "net.configure" => {
                let args: ConfigureArgs = typed(call.tool, call.args)?;
                let access = Access::new("net", "configure", &args.interface).map_err(ToolError::auth)?;
                granted(call, &access)?;
                self.provisional.free(call.key)?;
                Ok(Prepared {
                    identities: vec![configure::identity(&configure::before(&args)?)],
                    required: vec![access],
                    risk: Risk::Medium,
                    mutating: true,
                    reversible: true,
                    files: 0,
                    bytes: 0,
                    summary: configure::summary(&args),
                })
            }
            "net.confirm" => self
                .provisional
                .prepare_confirm(call, &typed(call.tool, call.args)?),
            _ => reading(call),
        }
    }

    fn prepare_undo(&self, _call: &Call<'_>, target: &Target<Self::Plan>) -> Result<Prepared> {
        self.provisional.prepare_undo(target)
    }

    fn read(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Value> {
        same_identities(identities, &reading(call)?.identities)?;
        self.look(call, peer_of(call.tool, call.args)?)
    }

    fn plan(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Self::Plan> {
        match call.tool {
            "net.configure" => {
                let args: ConfigureArgs = typed(call.tool, call.args)?;
                let before = configure::before(&args)?;
                same_identities(identities, &[configure::identity(&before)])?;
                let (summary, window_ms) = (configure::summary(&args), args.confirm_within_ms);
                Ok(self
                    .provisional
                    .change(call.key, summary, before, args, window_ms))
            }
            "net.confirm" => self
                .provisional
                .confirm(call, &typed(call.tool, call.args)?, identities),
            other => unknown(other),
        }
    }

    fn plan_undo(
        &self,
        call: &Call<'_>,
        target: &Target<Self::Plan>,
        identities: &[Identity],
    ) -> Result<Self::Plan> {
        self.provisional.plan_undo(call, target, identities)
    }

    fn apply(&self, plan: &mut Self::Plan, budget: &Budget) -> Result<()> {
        self.provisional.apply(plan, budget)
    }

    fn roll_back(&self, plan: &Self::Plan) -> Result<()> {
        self.provisional.roll_back(plan)
    }

    fn finish(&self, plan: &mut Self::Plan) -> Result<bool> {
        self.provisional.finish(plan)
    }

    fn result(&self, plan: &Self::Plan) -> Value {
        self.provisional.result(plan)
    }

    fn expire(&self) -> Result<Expired> {
        self.provisional.expire()
    }
}
