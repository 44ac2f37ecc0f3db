//! `etc/network.toml`: its types. Each value is checked when it is read, so that an error names its line.

use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// Longest name of an interface, bytes (`IFNAMSIZ` without its end).
const LONGEST_NAME: usize = 15;

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Network {
    pub(super) interface: Vec<Interface>,
}

/// One interface, known by its name or its MAC address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Interface {
    /// Its name; with `mac` the name that it gets.
    pub(super) name: Option<Name>,
    /// Its own address on the cable.
    pub(super) mac: Option<Mac>,
    /// Whether it asks a server; if it does not say, it does where it has no addresses.
    pub(super) dhcp: Option<bool>,
    /// Fixed addresses with the length of their network.
    pub(super) addresses: Vec<Address>,
    /// Routers for everything else, one a family.
    pub(super) gateway: Vec<IpAddr>,
    /// Servers of names.
    pub(super) dns: Vec<IpAddr>,
    /// Domains in which names without one are looked up.
    pub(super) search: Vec<Domain>,
    /// Largest packet, bytes.
    pub(super) mtu: Option<u32>,
}

impl Network {
    /// What no value shows by itself.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut devices = BTreeSet::new();
        for (place, interface) in self.interface.iter().enumerate() {
            let number = place + 1;
            if interface.name.is_none() && interface.mac.is_none() {
                return Err(format!("interface {number} has neither `name` nor `mac`"));
            }
            let device = interface.device();
            if interface.mtu.is_some_and(|mtu| !(576..=65_535).contains(&mtu)) {
                return Err(format!("{device}: `mtu` must be from 576 to 65535"));
            }
            for v4 in [true, false] {
                let of_family = interface.gateway.iter().filter(|it| it.is_ipv4() == v4);
                if of_family.count() > 1 {
                    return Err(format!("{device}: `gateway` has more than one of a family"));
                }
            }
            if interface.addresses.is_empty() && !interface.gateway.is_empty() {
                return Err(format!("{device}: `gateway` needs `addresses`"));
            }
            if !devices.insert(device.clone()) {
                return Err(format!("{device} is there twice"));
            }
        }
        Ok(())
    }
}

impl Interface {
    /// The name under which the kernel will know it.
    pub(super) fn device(&self) -> String {
        match (&self.name, &self.mac) {
            (Some(name), _) => name.0.clone(),
            (None, Some(mac)) => format!("enx{}", mac.digits()),
            (None, None) => String::new(),
        }
    }

    /// Whether it asks a server.
    pub(super) fn asks(&self) -> bool {
        self.dhcp.unwrap_or(self.addresses.is_empty())
    }
}

/// A name that the kernel takes, and that is one word in a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let named = !text.is_empty() && text.len() <= LONGEST_NAME && text.bytes().all(good);
        if named && !text.starts_with(['.', '-']) && text != "lo" {
            Ok(Self(text))
        } else {
            Err(format!(
                "{text:?} is no name of an interface: 1 to {LONGEST_NAME} letters, digits, `-`, `_`, `.`"
            ))
        }
    }
}

/// A MAC address, six pairs of hexadecimal digits with colons.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Mac([u8; 6]);

impl Mac {
    /// Its digits without colons.
    pub(super) fn digits(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        f.write_str(&pairs.join(":"))
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no MAC address such as 52:54:00:12:34:56");
        let pairs: Vec<&str> = text.split(':').collect();
        let mut bytes = [0; 6];
        if pairs.len() != bytes.len() {
            return Err(wrong());
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let digits = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = u8::from_str_radix(pair, 16)
                .ok()
                .filter(|_| digits)
                .ok_or_else(wrong)?;
        }
        Ok(Self(bytes))
    }
}

/// An address and how many of its bits name the network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Address {
    ip: IpAddr,
    bits: u8,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.bits)
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(ip, bits)| {
            let (ip, bits): (IpAddr, u8) = (ip.parse().ok()?, bits.parse().ok()?);
            let most = if ip.is_ipv4() { 32 } else { 128 };
            (bits <= most).then_some(Self { ip, bits })
        });
        parsed.ok_or_else(|| format!("{text:?} is no address with a length such as 192.0.2.10/24"))
    }
}

/// A domain: letters, digits and dashes between dots.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Domain(String);

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Domain {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if super::super::hostname::is_name(&text) {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is no domain"))
        }
    }
}
