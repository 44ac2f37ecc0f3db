//! An interface as it is at one moment: up or down, MTU, addresses, routes; and the way back to such a moment.
//!
//! Addresses and routes are kept as the kernel's own bytes, so that what comes back is what was there: scope,
//! label, lifetimes, metrics and all. The kernel takes away by itself what stands on something else (the routes of
//! an address, the addresses of an interface with a small MTU), so going back looks again after each step.

use super::wire::{
    CREATE, DEL_ADDRESS, DEL_ROUTE, GET_ADDRESS, GET_LINK, GET_ROUTE, NEW_ADDRESS, NEW_LINK, NEW_ROUTE,
    PLAIN, Told, Wire, bytes_of,
};
use crate::error::{Result, ToolError};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Table of the routes to this machine itself, which follow from its addresses.
const LOCAL_TABLE: u32 = 255;
/// Routes may stand on others; so many times those that can be made are made.
const ROUNDS: usize = 8;

/// An address or a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// As people write it.
    pub text: String,
    /// Everything that makes it what it is.
    pub id: String,
    /// The kernel's bytes, hex.
    pub bytes: String,
    /// Whether it comes and goes by itself: lifetimes, link-local addresses, routes of the kernel.
    pub volatile: bool,
    /// Whether it is an IPv4 address, whose order matters.
    pub ordered: bool,
}

/// An interface at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Photo {
    /// Its name.
    pub interface: String,
    /// Its number.
    pub index: u32,
    /// Whether it is switched on.
    pub up: bool,
    /// Largest packet, bytes.
    pub mtu: u32,
    /// Addresses in the kernel's order.
    pub addresses: Vec<Kept>,
    /// Routes that leave by it.
    pub routes: Vec<Kept>,
}

/// An interface of this machine.
pub(super) fn link(wire: &Wire, interface: &str) -> Result<LinkMessage> {
    let named = |message: &LinkMessage| link_name(message) == Some(interface);
    links(wire)?
        .into_iter()
        .find(named)
        .ok_or_else(|| ToolError::NotFound {
            path: interface.to_owned(),
        })
}

/// All of them.
pub(super) fn links(wire: &Wire) -> Result<Vec<LinkMessage>> {
    let told = wire.all(GET_LINK, &LinkMessage::default())?;
    let links = told.into_iter().filter_map(|told| match told.message {
        RouteNetlinkMessage::NewLink(link) => Some(link),
        _ => None,
    });
    Ok(links.collect())
}

/// Its name.
pub(super) fn link_name(message: &LinkMessage) -> Option<&str> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

/// Its MTU.
pub(super) fn link_mtu(message: &LinkMessage) -> u32 {
    let mtu = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    });
    mtu.unwrap_or(0)
}

/// Every address of this machine, with its interface's number.
pub(super) fn addresses(wire: &Wire) -> Result<Vec<(u32, AddressMessage, Kept)>> {
    let told = wire.all(GET_ADDRESS, &AddressMessage::default())?;
    Ok(told.into_iter().filter_map(kept_address).collect())
}

fn kept_address(told: Told) -> Option<(u32, AddressMessage, Kept)> {
    let RouteNetlinkMessage::NewAddress(message) = told.message else {
        return None;
    };
    let address = address_of(&message)?;
    let text = format!("{address}/{}", message.header.prefix_len);
    let link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    let permanent = message.header.flags.contains(AddressHeaderFlags::Permanent);
    let kept = Kept {
        id: address_id(&message),
        bytes: hex::encode(&told.bytes),
        volatile: link_local || !permanent,
        ordered: address.is_ipv4(),
        text,
    };
    Some((message.header.index, message, kept))
}

/// The address itself: where there is a peer, the kernel calls it local.
pub(super) fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let find = |local: bool| {
        message
            .attributes
            .iter()
            .find_map(move |attribute| match attribute {
                AddressAttribute::Local(address) if local => Some(*address),
                AddressAttribute::Address(address) if !local => Some(*address),
                _ => None,
            })
    };
    find(true).or_else(|| find(false))
}

/// Everything but the clock and how far the kernel is with testing it.
fn address_id(message: &AddressMessage) -> String {
    let passing = AddressFlags::Tentative
        | AddressFlags::Dadfailed
        | AddressFlags::Optimistic
        | AddressFlags::Deprecated;
    let mut parts = vec![format!(
        "{:?} /{} {:?}",
        message.header.family, message.header.prefix_len, message.header.scope
    )];
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::CacheInfo(_) => {}
            AddressAttribute::Flags(flags) => parts.push(format!("{:?}", *flags & !passing)),
            other => parts.push(format!("{other:?}")),
        }
    }
    parts.join(" ")
}

/// Every route of this machine but those to itself.
pub(super) fn routes(wire: &Wire) -> Result<Vec<(RouteMessage, Kept)>> {
    let mut routes = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut ask = RouteMessage::default();
        ask.header.address_family = family;
        let told = wire.all(GET_ROUTE, &ask)?;
        routes.extend(told.into_iter().filter_map(kept_route));
    }
    Ok(routes)
}

fn kept_route(told: Told) -> Option<(RouteMessage, Kept)> {
    let RouteNetlinkMessage::NewRoute(message) = told.message else {
        return None;
    };
    if message.header.flags.contains(RouteFlags::Cloned) || table(&message) == LOCAL_TABLE {
        return None;
    }
    let kept = Kept {
        text: route_text(&message),
        id: route_id(&message),
        bytes: hex::encode(&told.bytes),
        volatile: matches!(message.header.protocol, RouteProtocol::Kernel | RouteProtocol::Ra),
        ordered: false,
    };
    Some((message, kept))
}

/// Its table; numbers above 255 stand in an attribute.
pub(super) fn table(message: &RouteMessage) -> u32 {
    let wide = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    wide.unwrap_or_else(|| u32::from(message.header.table))
}

/// The interfaces that it leaves by.
pub(super) fn leaves_by(message: &RouteMessage) -> Vec<u32> {
    let mut found = Vec::new();
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => found.push(*index),
            RouteAttribute::MultiPath(hops) => found.extend(hops.iter().map(|hop| hop.interface_index)),
            _ => {}
        }
    }
    found
}

fn ip_of(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

/// Destination, `default` for everything.
pub(super) fn destination(message: &RouteMessage) -> String {
    let found = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(address) => ip_of(address),
        _ => None,
    });
    match found {
        Some(address) => format!("{address}/{}", message.header.destination_prefix_length),
        None => "default".to_owned(),
    }
}

/// The next router.
pub(super) fn gateway(message: &RouteMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => ip_of(address),
        _ => None,
    })
}

/// Its metric.
pub(super) fn metric(message: &RouteMessage) -> Option<u32> {
    message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    })
}

/// The address that packets by it come from.
pub(super) fn source(message: &RouteMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::PrefSource(address) => ip_of(address),
        _ => None,
    })
}

fn route_text(message: &RouteMessage) -> String {
    let mut text = destination(message);
    if let Some(gateway) = gateway(message) {
        text.push_str(&format!(" via {gateway}"));
    }
    if let Some(metric) = metric(message) {
        text.push_str(&format!(" metric {metric}"));
    }
    if table(message) != u32::from(RouteHeader::RT_TABLE_MAIN) {
        text.push_str(&format!(" table {}", table(message)));
    }
    text
}

/// Everything but the clock and whether the link has a carrier now.
fn route_id(message: &RouteMessage) -> String {
    let passing = RouteFlags::Dead | RouteFlags::Linkdown;
    let header = RouteHeader {
        flags: message.header.flags & !passing,
        ..message.header.clone()
    };
    let kept = message.attributes.iter().filter(|attribute| {
        !matches!(
            attribute,
            RouteAttribute::CacheInfo(_) | RouteAttribute::Expires(_) | RouteAttribute::MulticastExpires(_)
        )
    });
    let attributes: Vec<String> = kept.map(|attribute| format!("{attribute:?}")).collect();
    format!("{header:?} {}", attributes.join(" "))
}

impl Photo {
    /// An interface now.
    ///
    /// # Errors
    /// There is none of that name, or the kernel does not tell.
    pub(super) fn take(wire: &Wire, interface: &str) -> Result<Self> {
        let link = link(wire, interface)?;
        let index = link.header.index;
        let of_link = |it: &(u32, AddressMessage, Kept)| it.0 == index;
        Ok(Self {
            interface: interface.to_owned(),
            index,
            up: link.header.flags.contains(LinkFlags::Up),
            mtu: link_mtu(&link),
            addresses: addresses(wire)?
                .into_iter()
                .filter(of_link)
                .map(|(.., kept)| kept)
                .collect(),
            routes: routes(wire)?
                .into_iter()
                .filter(|(message, _)| leaves_by(message).contains(&index))
                .map(|(_, kept)| kept)
                .collect(),
        })
    }

    /// The same interface now.
    ///
    /// # Errors
    /// It is gone, or another one has its name.
    pub(super) fn again(&self, wire: &Wire) -> Result<Self> {
        let now = Self::take(wire, &self.interface)?;
        if now.index == self.index {
            return Ok(now);
        }
        Err(ToolError::Changed {
            path: self.interface.clone(),
            difference: "another interface has its name now".to_owned(),
        })
    }

    /// What a person should know when two moments differ; what comes and goes by itself is no difference.
    pub(super) fn difference(&self, now: &Self) -> Option<String> {
        let mut found = Vec::new();
        if self.index != now.index {
            found.push("it is another interface now".to_owned());
        }
        if self.up != now.up {
            found.push(format!("it is {} now", if now.up { "up" } else { "down" }));
        }
        if self.mtu != now.mtu {
            found.push(format!("its MTU is {} now, not {}", now.mtu, self.mtu));
        }
        for (what, then, now) in [
            ("address", &self.addresses, &now.addresses),
            ("route", &self.routes, &now.routes),
        ] {
            let lacks =
                |list: &[Kept], it: &Kept| !it.volatile && !list.iter().any(|other| other.id == it.id);
            found.extend(
                then.iter()
                    .filter(|it| lacks(now, it))
                    .map(|it| format!("{what} {} is gone or another", it.text)),
            );
            found.extend(
                now.iter()
                    .filter(|it| lacks(then, it))
                    .map(|it| format!("{what} {} is new or another", it.text)),
            );
        }
        (!found.is_empty()).then(|| format!("{}: {}", self.interface, found.join("; ")))
    }
}

/// What shall be there after going back from `left` to `was`: what is there now, without what was added, with what
/// was taken away.
fn wanted(was: &[Kept], left: &[Kept], now: &[Kept]) -> Vec<Kept> {
    let has = |list: &[Kept], it: &Kept| list.iter().any(|other| other.id == it.id);
    let mut wanted: Vec<Kept> = was
        .iter()
        .filter(|it| !has(left, it) || has(now, it))
        .cloned()
        .collect();
    let foreign = now.iter().filter(|it| !has(left, it) && !has(was, it));
    wanted.extend(foreign.cloned());
    wanted
}

/// Goes back from `left` to `was`, and leaves alone what somebody else changed since.
///
/// # Errors
/// Something does not come back.
pub(super) fn go_back(wire: &Wire, was: &Photo, left: Option<&Photo>) -> Result<()> {
    let now = was.again(wire)?;
    let left = left.unwrap_or(&now);
    let addresses = wanted(&was.addresses, &left.addresses, &now.addresses);
    let routes = wanted(&was.routes, &left.routes, &now.routes);
    if left.mtu != was.mtu && now.mtu != was.mtu {
        set_mtu(wire, was.index, was.mtu).map_err(|errno| failed("set the MTU of", &was.interface, errno))?;
    }
    if left.up != was.up && was.up {
        set_up(wire, was.index, true).map_err(|errno| failed("switch on", &was.interface, errno))?;
    }
    let up = if left.up == was.up { now.up } else { was.up };
    bring_addresses(wire, was, &addresses)?;
    bring_routes(wire, was, &routes, up)?;
    if left.up != was.up && !was.up {
        set_up(wire, was.index, false).map_err(|errno| failed("switch off", &was.interface, errno))?;
    }
    Ok(())
}

fn failed(doing: &'static str, interface: &str, errno: Errno) -> ToolError {
    ToolError::io(doing, interface, errno)
}

fn raw(kept: &Kept) -> Result<Vec<u8>> {
    hex::decode(&kept.bytes).map_err(|_| ToolError::Corrupt {
        what: format!("{} in a plan", kept.text),
    })
}

fn bring_addresses(wire: &Wire, of: &Photo, wanted: &[Kept]) -> Result<()> {
    let has = |list: &[Kept], it: &Kept| list.iter().any(|other| other.id == it.id);
    let now = of.again(wire)?.addresses;
    // The first IPv4 address of a network is its primary one. What is missing can only be made behind what is there;
    // where that is not the order that is wanted, all are made anew.
    let order = |it: &&Kept| it.ordered.then(|| it.id.clone());
    let staying = now.iter().filter(|it| has(wanted, it));
    let coming = wanted.iter().filter(|it| !has(&now, it));
    let reorder = !staying
        .chain(coming)
        .filter_map(|it| order(&it))
        .eq(wanted.iter().filter_map(|it| order(&it)));
    for gone in now
        .iter()
        .filter(|it| !has(wanted, it) || (reorder && it.ordered))
    {
        match wire.change(DEL_ADDRESS, PLAIN, &raw(gone)?) {
            // A secondary address goes with its primary one.
            Ok(()) | Err(Errno::ADDRNOTAVAIL) => {}
            Err(errno) => return Err(failed("take an address from", &of.interface, errno)),
        }
    }
    let now = of.again(wire)?.addresses;
    for missing in wanted.iter().filter(|it| !has(&now, it)) {
        match wire.change(NEW_ADDRESS, CREATE, &raw(missing)?) {
            Ok(()) | Err(Errno::EXIST) => {}
            // The kernel makes such addresses itself, when and if the time comes.
            Err(_) if missing.volatile => {}
            Err(errno) => return Err(failed("give an address back to", &of.interface, errno)),
        }
    }
    Ok(())
}

fn bring_routes(wire: &Wire, of: &Photo, wanted: &[Kept], up: bool) -> Result<()> {
    let has = |list: &[Kept], it: &Kept| list.iter().any(|other| other.id == it.id);
    for gone in of.again(wire)?.routes.iter().filter(|it| !has(wanted, it)) {
        match wire.change(DEL_ROUTE, PLAIN, &raw(gone)?) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(failed("take a route from", &of.interface, errno)),
        }
    }
    let mut refused = None;
    for _ in 0..ROUNDS {
        let now = of.again(wire)?.routes;
        let missing: Vec<&Kept> = wanted.iter().filter(|it| !has(&now, it)).collect();
        let mut made = 0;
        refused = None;
        for route in &missing {
            match wire.change(NEW_ROUTE, CREATE, &raw(route)?) {
                Ok(()) | Err(Errno::EXIST) => made += 1,
                // Through an interface that is switched off there are no routes, and some come by themselves.
                Err(errno) => refused = refused.or((up && !route.volatile).then_some(errno)),
            }
        }
        if made == 0 || made == missing.len() {
            break;
        }
    }
    match refused {
        None => Ok(()),
        Some(errno) => Err(failed("give a route back to", &of.interface, errno)),
    }
}

/// Switches an interface on or off.
pub(super) fn set_up(wire: &Wire, index: u32, up: bool) -> std::result::Result<(), Errno> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.change_mask = LinkFlags::Up;
    message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
    wire.change(NEW_LINK, PLAIN, &bytes_of(&message))
}

/// Sets the MTU of an interface.
pub(super) fn set_mtu(wire: &Wire, index: u32, mtu: u32) -> std::result::Result<(), Errno> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::Mtu(mtu));
    wire.change(NEW_LINK, PLAIN, &bytes_of(&message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(id: &str) -> Kept {
        Kept {
            text: id.into(),
            id: id.into(),
            bytes: String::new(),
            volatile: false,
            ordered: false,
        }
    }

    fn list(ids: &str) -> Vec<Kept> {
        ids.chars().map(|id| kept(&id.to_string())).collect()
    }

    #[test]
    fn going_back_takes_back_the_change_and_nothing_else() {
        for (was, left, now, expected) in [
            ("ab", "ab", "ab", "ab"),
            ("ab", "a", "a", "ab"),
            ("a", "ab", "ab", "a"),
            ("ab", "ac", "ac", "ab"),
            // Somebody added x and took b away meanwhile: both stay so.
            ("ab", "abc", "acx", "ax"),
            // Somebody gave a back meanwhile.
            ("ab", "b", "ba", "ab"),
        ] {
            let found = wanted(&list(was), &list(left), &list(now));
            let ids: String = found.iter().map(|it| it.id.as_str()).collect();
            assert_eq!(ids, expected, "{was} {left} {now}");
        }
    }

    #[test]
    fn what_comes_and_goes_by_itself_is_no_difference() {
        let photo = |addresses: Vec<Kept>| Photo {
            interface: "e".into(),
            index: 1,
            up: true,
            mtu: 1500,
            addresses,
            routes: Vec::new(),
        };
        let passing = Kept {
            volatile: true,
            ..kept("fe80::1/64")
        };
        assert_eq!(
            photo(list("a")).difference(&photo(vec![kept("a"), passing])),
            None
        );
        let told = photo(list("a")).difference(&Photo {
            mtu: 1400,
            ..photo(list("b"))
        });
        assert_eq!(
            told.unwrap(),
            "e: its MTU is 1400 now, not 1500; address a is gone or another; address b is new or another"
        );
    }
}
