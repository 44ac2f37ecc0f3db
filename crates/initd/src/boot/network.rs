//! The network: what `etc/network.toml` says becomes the configuration of the client that keeps it, dhcpcd, which
//! runs as the service `aios-network`. Nobody waits for it.
//!
//! ```toml
//! [[interface]]
//! name = "eth0"                       # or mac = "52:54:00:12:34:56"
//! addresses = ["192.0.2.10/24", "2001:db8::10/64"]
//! gateway = ["192.0.2.1"]
//! dns = ["192.0.2.53"]
//! ```
//!
//! An interface without an entry asks a server (DHCP, router advertisements), and so does every one where the file is
//! wrong. An interface that is known by its MAC address is renamed by udev, by the file that is written for it here: to
//! `name`, or to `enx` and the address.

mod file;

use super::{Outcome, Setup, resolver};
use crate::error::{InitError, Result};
use crate::supervise::World;
use aios_core::config;
use aios_core::paths::Paths;
use file::{Interface, Network};
use std::fs;
use std::path::Path;

/// The service that keeps interfaces configured.
pub(super) const SERVICE: &str = "aios-network";
const CLIENT: &str = "/usr/sbin/dhcpcd";
/// There while udev runs.
const UDEV: &str = "/run/udev/control";
/// Where udev looks for names of this boot.
const LINKS: &str = "run/systemd/network";
/// With nothing between the machine and the network, none of its interfaces is brought up.
const CLOSED: &str = "denyinterfaces *\n";
/// For every interface. Leases are told apart by MAC address, as servers reserve them; addresses stay when the client
/// is started again; the time that asking the neighbours first takes (RFC 5227, 6 s) is left out, as other clients do.
const COMMON: &str = "\
clientid
hostname
persistent
nodelay
noarp
slaac private
option domain_name_servers, domain_name, domain_search, host_name, ntp_servers, classless_static_routes, interface_mtu
require dhcp_server_identifier
denyinterfaces veth* podman* docker* virbr*
";

/// Names for interfaces that are known by their MAC address; udev reads them when it starts.
pub(super) fn name_links(world: &mut World, _: &mut Setup) -> Result<Outcome> {
    // The phase `network` says what is wrong with it.
    let Ok(network) = read(&world.paths) else {
        return Ok(Outcome::Skipped("network.toml is wrong"));
    };
    let count = write_links(Path::new("/"), &network)?;
    Ok(Outcome::Done(if count == 0 {
        String::new()
    } else {
        format!("{count} by MAC address")
    }))
}

/// Writes the client's configuration and has it started.
pub(super) fn configure(world: &mut World, setup: &mut Setup) -> Result<Outcome> {
    let paths = &world.paths;
    let directory = paths.run.join("network");
    fs::create_dir_all(&directory).map_err(InitError::path("cannot make", &directory))?;
    if !setup.firewall {
        write(&directory.join("dhcpcd.conf"), CLOSED)?;
        return Err(InitError::LeftOut(
            "interfaces stay down: the firewall could not be loaded".into(),
        ));
    }
    if !Path::new(CLIENT).exists() {
        return Err(InitError::LeftOut(format!(
            "interfaces stay down: the image has no {CLIENT}"
        )));
    }
    let read = read(paths);
    let fallback = Network::default();
    let network = read.as_ref().unwrap_or(&fallback);
    write_client(paths, network)?;
    resolver::link(Path::new("/"), paths)?;
    setup.start(SERVICE);
    match read {
        Ok(network) => Ok(Outcome::Done(summary(&network))),
        Err(error) => Err(InitError::LeftOut(format!(
            "every interface asks a server: {error}"
        ))),
    }
}

/// The administrator's file; without one every interface asks a server.
fn read(paths: &Paths) -> Result<Network> {
    let path = paths.etc.join("network.toml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Network::default()),
        Err(error) => return Err(InitError::path("cannot read", &path)(error)),
    };
    let file = path.display().to_string();
    let network: Network = config::parse_file(&file, &text)?;
    network
        .check()
        .map_err(|message| InitError::Spec { file, message })?;
    Ok(network)
}

fn write_links(root: &Path, network: &Network) -> Result<usize> {
    let known = network
        .interface
        .iter()
        .filter_map(|interface| Some((interface, interface.mac.as_ref()?)));
    let mut count = 0;
    for (interface, mac) in known {
        let directory = root.join(LINKS);
        fs::create_dir_all(&directory).map_err(InitError::path("cannot make", &directory))?;
        let path = directory.join(format!("10-aios-{}.link", mac.digits()));
        let name = interface.device();
        write(
            &path,
            &format!("[Match]\nMACAddress={mac}\n[Link]\nName={name}\n"),
        )?;
        count += 1;
    }
    Ok(count)
}

/// The client's own file, and what it gives interfaces with fixed addresses.
fn write_client(paths: &Paths, network: &Network) -> Result<()> {
    let directory = paths.run.join("network");
    let mut text = format!(
        "# Made by aios-init from {}\n{COMMON}script {}\nenv AIOS_RUN={}\n",
        paths.etc.join("network.toml").display(),
        paths.vendor.join("network/dhcp-hook").display(),
        paths.run.display()
    );
    // Without udev nobody would say that an interface has got its name.
    if !Path::new(UDEV).exists() {
        text += "nodev\n";
    }
    let mut dns = String::new();
    for interface in &network.interface {
        let device = interface.device();
        text += &format!("interface {device}\n");
        if !interface.asks() {
            text += "noipv4\nnoipv6\n";
        }
        write(
            &directory.join(format!("{device}.ip")),
            &batch(interface, &device),
        )?;
        for server in &interface.dns {
            dns += &format!("nameserver {server}\n");
        }
        for domain in &interface.search {
            dns += &format!("search {domain}\n");
        }
    }
    write(&directory.join("static.dns"), &dns)?;
    write(&directory.join("dhcpcd.conf"), &text)
}

/// Lines for `ip -batch`.
fn batch(interface: &Interface, device: &str) -> String {
    let mut lines = String::new();
    if let Some(mtu) = interface.mtu {
        lines += &format!("link set dev {device} mtu {mtu}\n");
    }
    lines += &format!("link set dev {device} up\n");
    for address in &interface.addresses {
        lines += &format!("address replace {address} dev {device}\n");
    }
    for gateway in &interface.gateway {
        lines += &format!("route replace default via {gateway} dev {device} proto static\n");
    }
    lines
}

fn summary(network: &Network) -> String {
    let words: Vec<String> = network
        .interface
        .iter()
        .map(|interface| match interface.addresses.first() {
            Some(address) => format!("{} {address}", interface.device()),
            None if interface.asks() => format!("{} by DHCP", interface.device()),
            None => format!("{} without an address", interface.device()),
        })
        .collect();
    if words.is_empty() {
        "every interface by DHCP".to_owned()
    } else {
        words.join(", ")
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(InitError::path("cannot write", path))
}

#[cfg(test)]
mod tests;
