//! Whom a call may speak with. Names and addresses are understood in one way only, and an address that is not
//! public is reached with a grant of its own and never otherwise: not by a name that resolves to it, not by a
//! redirect, not written in another way, not inside an IPv6 address.

use crate::error::{Result, ToolError};
use crate::typed::{bad_input, plain_name};
use crate::worker::Call;
use aios_auth::capability::Access;
use aios_proto::common::v1::Identity;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name of an interface, bytes.
const LONGEST_INTERFACE: usize = 15;
const LONGEST_LABEL: usize = 63;
const LONGEST_HOST: usize = 253;

/// A host, in its one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name, in small letters, without a dot at its end.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// Understands a host. An IPv6 address stands without brackets.
///
/// # Errors
/// [`ToolError::BadInput`]: it is neither a name nor an address, or an address in a form that programs read
/// differently (`127.1`, `0x7f000001`, `010.0.0.1`).
pub fn host(tool: &str, field: &str, text: &str) -> Result<Host> {
    plain_name(tool, field, text)?;
    let wrong = |problem: &str| bad_input(tool, field, format!("`{text}` {problem}"));
    if text.contains(':') {
        // A zone (`fe80::1%eth0`) names an interface, which no capability speaks of.
        let address: Ipv6Addr = text.parse().map_err(|_| wrong("is no IPv6 address"))?;
        return Ok(Host::Address(address.into()));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Address(address.into()));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if name.len() > LONGEST_HOST {
        return Err(wrong("is longer than 253 bytes"));
    }
    let labels: Vec<&str> = name.split('.').collect();
    let letters = |label: &str| {
        label
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'-' || it == b'_')
    };
    let good = |label: &&str| {
        !label.is_empty()
            && label.len() <= LONGEST_LABEL
            && letters(label)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !labels.iter().all(good) {
        return Err(wrong("is no host name"));
    }
    // Programs read a name that ends in a number as an address, each in its own way.
    let number = |label: &&str| {
        label.bytes().all(|it| it.is_ascii_digit())
            || label
                .strip_prefix("0x")
                .is_some_and(|rest| rest.bytes().all(|it| it.is_ascii_hexdigit()))
    };
    if labels.last().is_some_and(number) {
        return Err(wrong("is no IPv4 address in its plain form"));
    }
    Ok(Host::Name(name))
}

/// Refuses what cannot be an interface's name.
///
/// # Errors
/// [`ToolError::BadInput`].
pub fn interface_name(tool: &str, field: &str, name: &str) -> Result<()> {
    plain_name(tool, field, name)?;
    let bad = |it: char| it == '/' || it == ':' || it.is_whitespace();
    if name.len() > LONGEST_INTERFACE || matches!(name, "." | "..") || name.contains(bad) {
        return Err(bad_input(tool, field, "is no name of an interface"));
    }
    Ok(())
}

/// What an address is when it is not a public one.
pub fn closed(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => closed_v4(address),
        IpAddr::V6(address) => closed_v6(address),
    }
}

fn closed_v4(address: Ipv4Addr) -> Option<&'static str> {
    let within = |a: u8, b: u8, c: u8, prefix: u32| {
        let base = u32::from(Ipv4Addr::new(a, b, c, 0));
        (u32::from(address) ^ base) >> (32 - prefix) == 0
    };
    Some(match () {
        () if within(0, 0, 0, 8) => "of this host or network, and unspecified",
        () if address.is_loopback() => "loopback",
        () if address.is_private() => "private",
        () if within(100, 64, 0, 10) => "shared behind a carrier's translation",
        () if address.is_link_local() => "link-local, where machines' metadata are",
        () if within(192, 0, 0, 24) => "for protocols only",
        () if within(192, 0, 2, 24) || within(198, 51, 100, 24) || within(203, 0, 113, 24) => {
            "for documents only"
        }
        () if within(192, 88, 99, 24) => "a relay for IPv6",
        () if within(198, 18, 0, 15) => "for measurements only",
        () if address.is_multicast() => "multicast",
        () if within(240, 0, 0, 4) => "reserved or broadcast",
        () => return None,
    })
}

fn closed_v6(address: Ipv6Addr) -> Option<&'static str> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let embedded = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        closed_v4(Ipv4Addr::new(a, b, c, d))
    };
    let zero = [a, b, c, d, e] == [0; 5];
    Some(match (a, b) {
        _ if address.is_unspecified() => "unspecified",
        _ if address.is_loopback() => "loopback",
        _ if zero && f == 0xffff => return embedded(g, h),
        _ if zero && f == 0 => "an old form of an IPv4 address",
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => return embedded(g, h),
        (0x64, 0xff9b) => "behind a local translation",
        (0x2002, _) => return embedded(b, c),
        (0x2001, 0) => "a tunnel",
        (0x2001, 0xdb8) => "for documents only",
        (0x3fff, _) if b < 0x1000 => "for documents only",
        _ if (a & 0xfe00) == 0xfc00 => "private (unique local)",
        _ if (a & 0xffc0) == 0xfe80 => "link-local",
        _ if (a & 0xff00) == 0xff00 => "multicast",
        _ if (a & 0xe000) == 0x2000 => return None,
        _ => "not of the public part of IPv6",
    })
}

/// What a call speaks with, as capabilities name it: `host:port`, or `host` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Host.
    pub host: Host,
    /// Port, when it has one.
    pub port: Option<u16>,
    /// Whether the call may reach addresses that are not public.
    pub private: bool,
}

impl Peer {
    /// Resource of its capabilities.
    pub fn resource(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }

    /// What a call of `action` needs to speak with it.
    ///
    /// # Errors
    /// Not granted; or it is an address that the call may not reach.
    pub fn admit(&self, call: &Call<'_>, action: &str) -> Result<Vec<Access>> {
        let resource = self.resource();
        let mut required = vec![Access::new("net", action, &resource).map_err(ToolError::auth)?];
        if self.private {
            required.push(Access::new("net", "private", &resource).map_err(ToolError::auth)?);
        }
        for access in &required {
            crate::provisional::granted(call, access)?;
        }
        if let Host::Address(address) = self.host {
            self.check(address)?;
        }
        Ok(required)
    }

    /// Refuses an address of it that the call may not reach. Asked of the very address that is then connected to.
    ///
    /// # Errors
    /// [`ToolError::Closed`].
    pub fn check(&self, address: IpAddr) -> Result<()> {
        match closed(address) {
            Some(why) if !self.private => Err(ToolError::Closed {
                host: self.host.to_string(),
                address: address.to_string(),
                why,
                resource: self.resource(),
            }),
            _ => Ok(()),
        }
    }

    /// What it is, for the record of the call.
    pub fn identity(&self) -> Identity {
        Identity {
            path: self.resource(),
            kind: "host".to_owned(),
            ..Identity::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Option<Host> {
        host("net.ping", "host", text).ok()
    }

    #[test]
    fn a_host_is_understood_in_one_way_only() {
        for text in [
            "",
            "-a.example",
            "a..example",
            "a b",
            "a/b",
            "a@b",
            "ex\u{e4}mple.org",
            "a\0b",
            "a\nb",
            "[::1]",
            "fe80::1%eth0",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "1.2.3",
            "010.0.0.1",
            "1.2.3.4.5",
            "a.example.0x1",
            "::ffff:1.2.3.400",
            "a-.example",
            "example.com:80",
            ".",
        ] {
            assert_eq!(of(text), None, "{text:?}");
        }
        for (text, shown) in [
            ("Example.ORG.", "example.org"),
            ("localhost", "localhost"),
            ("_dmarc.a.example", "_dmarc.a.example"),
            ("8.8.8.8", "8.8.8.8"),
            ("2001:DB8::1", "2001:db8::1"),
            ("0.0.0.0", "0.0.0.0"),
        ] {
            assert_eq!(of(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_not_public_is_closed_however_it_is_written() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.170",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(closed(text.parse().unwrap()).is_some(), "{text}");
        }
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert_eq!(closed(text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn names_of_interfaces_are_names() {
        for name in ["", "-eth0", "a/b", "a b", "..", "a:1", "abcdefghijklmnop", "a\n"] {
            assert!(
                interface_name("net.configure", "interface", name).is_err(),
                "{name:?}"
            );
        }
        assert!(interface_name("net.configure", "interface", "enp0s31f6.100").is_ok());
    }

    proptest! {
        #[test]
        fn an_ipv4_address_is_as_closed_inside_ipv6_as_it_is_plain(bits: u32) {
            let plain = Ipv4Addr::from(bits);
            let is_closed = closed_v4(plain).is_some();
            let [a, b, c, d] = plain.octets();
            let [high, low] = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
            for inside in [
                plain.to_ipv6_mapped(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 1, 2, 3, 4, 5),
            ] {
                prop_assert_eq!(closed(inside.into()).is_some(), is_closed, "{}", inside);
            }
        }

        #[test]
        fn what_is_taken_for_a_name_is_no_address_for_anybody(text in "[0-9a-fx.]{1,16}") {
            if let Some(Host::Name(name)) = of(&text) {
                let last = name.rsplit('.').next().unwrap();
                prop_assert!(!last.chars().all(|it| it.is_ascii_digit()));
                let digits = last.strip_prefix("0x");
                prop_assert!(digits.is_none_or(|it| it.chars().any(|it| !it.is_ascii_hexdigit())));
            }
        }
    }
}
