//! net.configure: addresses, routes, MTU and state of one interface.

use super::args::{ConfigureArgs, LinkState, RouteArgs};
use super::photo::{Photo, go_back, set_mtu, set_up};
use super::reach::interface_name;
use super::types::{Configured, Shape};
use super::wire::{CREATE, DEL_ADDRESS, DEL_ROUTE, NEW_ADDRESS, NEW_ROUTE, PLAIN, REPLACE, Wire, bytes_of};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::provisional::{Ground, check_window};
use crate::typed::{bad_input, value_of};
use aios_proto::common::v1::Identity;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rustix::io::Errno;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const TOOL: &str = "net.configure";
/// Most addresses and routes in one call.
const MOST: usize = 64;

/// The interfaces of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Interfaces;

/// An address with the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    fn parse(text: &str) -> std::result::Result<Self, &'static str> {
        let (address, prefix) = text
            .split_once('/')
            .ok_or("has no /LENGTH of its network's prefix")?;
        let address: IpAddr = address.parse().map_err(|_| "is no IP address with /LENGTH")?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let plain = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|prefix| plain && *prefix <= longest);
        Ok(Self {
            address,
            prefix: prefix.ok_or("has a prefix that is too long or no number")?,
        })
    }

    /// Its first address: the network itself.
    fn base(self) -> IpAddr {
        match self.address {
            IpAddr::V4(it) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                Ipv4Addr::from(u32::from(it) & mask).into()
            }
            IpAddr::V6(it) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                Ipv6Addr::from(u128::from(it) & mask).into()
            }
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

/// Arguments in their one form: addresses as the kernel writes them.
pub(super) fn canonical(mut args: ConfigureArgs) -> Result<ConfigureArgs> {
    interface_name(TOOL, "interface", &args.interface)?;
    check_window(TOOL, args.confirm_within_ms)?;
    if args.mtu_bytes.is_some_and(|mtu| !(68..=65_535).contains(&mtu)) {
        return Err(bad_input(TOOL, "mtu_bytes", "must be 68 to 65535"));
    }
    for (field, list) in [
        ("add_addresses", Some(&mut args.add_addresses)),
        ("remove_addresses", Some(&mut args.remove_addresses)),
        ("replace_addresses", args.replace_addresses.as_mut()),
    ] {
        for text in list.into_iter().flatten() {
            let network = Network::parse(text)
                .map_err(|problem| bad_input(TOOL, field, format!("`{text}` {problem}")))?;
            let nobody = network.address.is_unspecified() || network.address.is_multicast();
            if nobody {
                return Err(bad_input(
                    TOOL,
                    field,
                    format!("`{text}` is no interface's address"),
                ));
            }
            *text = network.to_string();
        }
    }
    for (field, routes) in [
        ("add_routes", &mut args.add_routes),
        ("remove_routes", &mut args.remove_routes),
        ("replace_routes", &mut args.replace_routes),
    ] {
        for route in routes {
            canonical_route(field, route)?;
        }
    }
    let addresses = args.add_addresses.len()
        + args.remove_addresses.len()
        + args.replace_addresses.as_ref().map_or(0, Vec::len);
    let routes = args.add_routes.len() + args.remove_routes.len() + args.replace_routes.len();
    if addresses + routes > MOST {
        return Err(ToolError::TooLarge {
            what: "the number of addresses and routes",
            actual: (addresses + routes) as u64,
            limit: MOST as u64,
        });
    }
    let nothing = args.link.is_none() && args.mtu_bytes.is_none() && args.replace_addresses.is_none();
    if nothing && addresses + routes == 0 {
        return Err(bad_input(TOOL, ".", "asks for no change"));
    }
    Ok(args)
}

fn canonical_route(field: &str, route: &mut RouteArgs) -> Result<()> {
    let wrong = |problem: String| bad_input(TOOL, field, problem);
    let network = destination(&route.destination)
        .map_err(|problem| wrong(format!("destination `{}` {problem}", route.destination)))?;
    if network.base() != network.address {
        return Err(wrong(format!(
            "destination `{network}` is an address in a network; the network is {}/{}",
            network.base(),
            network.prefix
        )));
    }
    if route.table == 0 || route.table == 255 {
        return Err(wrong("table must be neither 0 nor 255".to_owned()));
    }
    if let Some(via) = &mut route.via {
        let address: IpAddr = via
            .parse()
            .map_err(|_| wrong(format!("via `{via}` is no IP address")))?;
        if address.is_ipv4() != network.address.is_ipv4() {
            return Err(wrong(format!("via `{via}` is of another kind than `{network}`")));
        }
        *via = address.to_string();
    }
    route.destination = match (network.prefix, network.address.is_ipv4()) {
        (0, true) => "default".to_owned(),
        (0, false) => "default6".to_owned(),
        _ => network.to_string(),
    };
    Ok(())
}

fn destination(text: &str) -> std::result::Result<Network, &'static str> {
    match text {
        "default" => Network::parse("0.0.0.0/0"),
        "default6" => Network::parse("::/0"),
        text => Network::parse(text),
    }
}

/// What a person reads.
pub(super) fn summary(args: &ConfigureArgs) -> String {
    let mut parts = Vec::new();
    match args.link {
        Some(LinkState::Up) => parts.push("switch it on".to_owned()),
        Some(LinkState::Down) => parts.push("switch it off".to_owned()),
        None => {}
    }
    if let Some(mtu) = args.mtu_bytes {
        parts.push(format!("MTU {mtu}"));
    }
    if let Some(addresses) = &args.replace_addresses {
        parts.push(format!("exactly the addresses {}", addresses.join(", ")));
    }
    for (what, list) in [("add", &args.add_addresses), ("remove", &args.remove_addresses)] {
        parts.extend(list.iter().map(|address| format!("{what} {address}")));
    }
    for (what, list) in [
        ("add", &args.add_routes),
        ("remove", &args.remove_routes),
        ("replace", &args.replace_routes),
    ] {
        parts.extend(list.iter().map(|route| {
            let via = route
                .via
                .as_ref()
                .map(|via| format!(" via {via}"))
                .unwrap_or_default();
            format!("{what} route {}{via}", route.destination)
        }));
    }
    format!("Configure {}: {}", args.interface, parts.join("; "))
}

/// The photo of an interface, in which everything that shall be removed is there.
pub(super) fn before(args: &ConfigureArgs) -> Result<Photo> {
    let photo = Photo::take(&Wire::open()?, &args.interface)?;
    for address in &args.remove_addresses {
        if !photo.addresses.iter().any(|kept| kept.text == *address) {
            return Err(ToolError::NotFound {
                path: format!("{address} on {}", args.interface),
            });
        }
    }
    Ok(photo)
}

impl Ground for Interfaces {
    const NAMESPACE: &'static str = "net";
    type State = Photo;
    type Goal = ConfigureArgs;

    fn look(&self, of: &Photo) -> Result<Photo> {
        of.again(&Wire::open()?)
    }

    fn reach(&self, before: &Photo, goal: &ConfigureArgs, budget: &Budget) -> Result<()> {
        let wire = Wire::open()?;
        let hand = Hand {
            wire: &wire,
            photo: before,
        };
        if let Some(difference) = before.difference(&before.again(&wire)?) {
            return Err(ToolError::Changed {
                path: before.interface.clone(),
                difference,
            });
        }
        budget.check()?;
        if goal.link == Some(LinkState::Up) {
            set_up(&wire, before.index, true).map_err(|errno| hand.refused("switch on", errno))?;
        }
        if let Some(mtu) = goal.mtu_bytes {
            set_mtu(&wire, before.index, mtu).map_err(|errno| hand.refused("set the MTU of", errno))?;
        }
        hand.addresses(goal)?;
        budget.check()?;
        hand.routes(goal)?;
        if goal.link == Some(LinkState::Down) {
            set_up(&wire, before.index, false).map_err(|errno| hand.refused("switch off", errno))?;
        }
        budget.check()
    }

    fn back(&self, was: &Photo, left: Option<&Photo>) -> Result<()> {
        go_back(&Wire::open()?, was, left)
    }

    fn difference(&self, was: &Photo, is: &Photo) -> Option<String> {
        was.difference(is)
    }

    fn identity(&self, state: &Photo) -> Identity {
        identity(state)
    }

    fn describe(&self, goal: &ConfigureArgs, before: &Photo, after: &Photo) -> Result<Value> {
        value_of(&Configured {
            interface: before.interface.clone(),
            before: Shape::of(before),
            after: Shape::of(after),
            confirm_within_ms: goal.confirm_within_ms,
            confirm_by_ms: 0,
        })
    }
}

pub(super) fn identity(photo: &Photo) -> Identity {
    Identity {
        path: photo.interface.clone(),
        dev: 0,
        ino: u64::from(photo.index),
        kind: "interface".to_owned(),
    }
}

struct Hand<'a> {
    wire: &'a Wire,
    photo: &'a Photo,
}

impl Hand<'_> {
    fn refused(&self, doing: &'static str, errno: Errno) -> ToolError {
        ToolError::io(doing, &self.photo.interface, errno)
    }

    fn addresses(&self, goal: &ConfigureArgs) -> Result<()> {
        let has = |text: &str| self.photo.addresses.iter().any(|kept| kept.text == *text);
        let exactly = goal.replace_addresses.as_deref();
        for text in exactly.unwrap_or_default().iter().filter(|text| !has(text)) {
            self.add(text)?;
        }
        for kept in &self.photo.addresses {
            let linked = kept.volatile && kept.text.starts_with("fe80:");
            if exactly.is_some_and(|wanted| !linked && !wanted.contains(&kept.text)) {
                self.remove(&kept.text)?;
            }
        }
        for text in &goal.remove_addresses {
            self.remove(text)?;
        }
        for text in &goal.add_addresses {
            self.add(text)?;
        }
        // What was to stay may have gone with a primary address of the same network.
        for text in exactly.unwrap_or_default() {
            self.add(text)?;
        }
        Ok(())
    }

    fn add(&self, text: &str) -> Result<()> {
        match self.wire.change(NEW_ADDRESS, CREATE, &self.address(text)?) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(self.refused("give an address to", errno)),
        }
    }

    fn remove(&self, text: &str) -> Result<()> {
        match self.wire.change(DEL_ADDRESS, PLAIN, &self.address(text)?) {
            Ok(()) | Err(Errno::ADDRNOTAVAIL) => Ok(()),
            Err(errno) => Err(self.refused("take an address from", errno)),
        }
    }

    fn address(&self, text: &str) -> Result<Vec<u8>> {
        let network = Network::parse(text).map_err(|problem| bad_input(TOOL, "addresses", problem))?;
        let mut message = AddressMessage::default();
        message.header.family = family(network.address);
        message.header.prefix_len = network.prefix;
        message.header.index = self.photo.index;
        message.attributes.push(AddressAttribute::Local(network.address));
        message
            .attributes
            .push(AddressAttribute::Address(network.address));
        if let (IpAddr::V4(base), true) = (network.base(), network.prefix <= 30) {
            let host_bits = u32::MAX.checked_shr(u32::from(network.prefix)).unwrap_or(0);
            let broadcast = Ipv4Addr::from(u32::from(base) | host_bits);
            message.attributes.push(AddressAttribute::Broadcast(broadcast));
        }
        Ok(bytes_of(&message))
    }

    fn routes(&self, goal: &ConfigureArgs) -> Result<()> {
        for route in &goal.remove_routes {
            match self.wire.change(DEL_ROUTE, PLAIN, &self.route(route, false)?) {
                Ok(()) => {}
                Err(Errno::SRCH) => {
                    return Err(ToolError::NotFound {
                        path: format!("route {} by {}", route.destination, self.photo.interface),
                    });
                }
                Err(errno) => return Err(self.refused("take a route from", errno)),
            }
        }
        for (routes, flags) in [(&goal.add_routes, CREATE), (&goal.replace_routes, REPLACE)] {
            for route in routes {
                self.wire
                    .change(NEW_ROUTE, flags, &self.route(route, true)?)
                    .map_err(|errno| self.refused("make a route by", errno))?;
            }
        }
        Ok(())
    }

    fn route(&self, route: &RouteArgs, make: bool) -> Result<Vec<u8>> {
        let wrong = |problem: &str| bad_input(TOOL, "routes", problem);
        let network = destination(&route.destination).map_err(wrong)?;
        let mut message = RouteMessage::default();
        let header = &mut message.header;
        header.address_family = family(network.address);
        header.destination_prefix_length = network.prefix;
        header.table = u8::try_from(route.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
        header.scope = RouteScope::NoWhere;
        if make {
            header.protocol = RouteProtocol::Static;
            header.kind = RouteType::Unicast;
            header.scope = match (route.via.is_some(), network.address.is_ipv4()) {
                (false, true) => RouteScope::Link,
                _ => RouteScope::Universe,
            };
        }
        let attributes = &mut message.attributes;
        attributes.push(RouteAttribute::Table(route.table));
        attributes.push(RouteAttribute::Oif(self.photo.index));
        if network.prefix > 0 {
            attributes.push(RouteAttribute::Destination(RouteAddress::from(network.address)));
        }
        if let Some(via) = &route.via {
            let via: IpAddr = via.parse().map_err(|_| wrong("via is no IP address"))?;
            attributes.push(RouteAttribute::Gateway(RouteAddress::from(via)));
        }
        if let Some(metric) = route.metric {
            attributes.push(RouteAttribute::Priority(metric));
        }
        Ok(bytes_of(&message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(mut args: Value) -> Result<ConfigureArgs> {
        args["interface"] = "eth0".into();
        canonical(serde_json::from_value(args).unwrap())
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_says_which() {
        for (args, part) in [
            (json!({}), "no change"),
            (json!({"add_addresses": ["10.0.0.1"]}), "/LENGTH"),
            (json!({"add_addresses": ["10.0.0.1/33"]}), "too long"),
            (json!({"add_addresses": ["10.0.0.1/+4"]}), "too long"),
            (
                json!({"add_addresses": ["224.0.0.1/24"]}),
                "no interface's address",
            ),
            (json!({"remove_addresses": ["-1/24"]}), "no IP address"),
            (json!({"mtu_bytes": 12}), "68"),
            (json!({"mtu_bytes": 1400, "confirm_within_ms": 10}), "600000"),
            (
                json!({"add_routes": [{"destination": "10.1.2.3/16"}]}),
                "10.1.0.0/16",
            ),
            (
                json!({"add_routes": [{"destination": "default", "via": "fe80::1"}]}),
                "another kind",
            ),
            (
                json!({"add_routes": [{"destination": "default", "table": 255}]}),
                "255",
            ),
            (json!({"add_addresses": vec!["10.0.0.1/8"; 65]}), "at most 64"),
        ] {
            let error = of(args.clone()).unwrap_err().to_string();
            assert!(error.contains(part), "{args}: {error}");
        }
    }

    #[test]
    fn addresses_and_routes_have_one_form() {
        let args = of(json!({
            "add_addresses": ["2001:DB8:0::1/64"],
            "add_routes": [{"destination": "0.0.0.0/0", "via": "10.0.0.1"}, {"destination": "::/0"}],
        }))
        .unwrap();
        assert_eq!(args.add_addresses, ["2001:db8::1/64"]);
        let destinations: Vec<&str> = args.add_routes.iter().map(|it| it.destination.as_str()).collect();
        assert_eq!(destinations, ["default", "default6"]);
        assert_eq!(
            summary(&args),
            "Configure eth0: add 2001:db8::1/64; add route default via 10.0.0.1; add route default6"
        );
    }
}
