//! sec.open_ports: what takes connections or datagrams, and whether others reach it.
//!
//! Whose descriptor a socket is, the kernel tells only to the same user and to whoever may read that process's
//! memory. This worker may not (`docs/decisions/0011-security-worker.md`), so it names the
//! process where it is the only one of the socket's user, and says nothing where it does not know.

use super::machine::Machine;
use super::types::{OpenPort, OpenPortsArgs, OpenPortsResult, OwnerProof, PortOwner, Protocol};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::registry::{About, ToolSpec};
use aios_auth::level::Risk;
use procfs::net::{TcpNetEntries, TcpState, UdpNetEntries, UdpState};
use procfs::{FromReadSI, current_system_info};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

pub(super) const NAME: &str = "sec.open_ports";

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<OpenPortsArgs, OpenPortsResult>(About {
        name: NAME,
        summary: "Lists listening sockets with address, port, user and process, and whether other machines reach them.",
        risk: Risk::Read,
        idempotent: true,
        reversible: true,
        capability: "sec:open_ports:host",
        timeout_ms: 15_000,
    })
}

/// A socket as the kernel lists it.
struct Socket {
    protocol: Protocol,
    address: SocketAddr,
    uid: u32,
    inode: u64,
}

pub(super) fn run(machine: &Machine, args: &OpenPortsArgs, budget: &Budget) -> Result<OpenPortsResult> {
    let mut sockets = listening(machine)?;
    if args.reachable_only {
        sockets.retain(|socket| reachable(socket.address.ip()));
    }
    sockets.sort_by_key(|socket| (socket.protocol, socket.address.port(), socket.address.ip()));
    sockets.dedup_by_key(|socket| (socket.protocol, socket.address, socket.inode));
    let accounts = machine.accounts()?;
    let wanted = sockets.iter().map(|socket| socket.inode).collect();
    let processes = Processes::look(machine.proc(), &wanted, budget)?;
    let ports: Vec<OpenPort> = sockets
        .into_iter()
        .map(|socket| OpenPort {
            protocol: socket.protocol,
            address: socket.address.ip().to_string(),
            port: socket.address.port(),
            uid: socket.uid,
            user: accounts.users.get(&socket.uid).cloned(),
            process: processes.owner(&socket),
            reachable: reachable(socket.address.ip()),
        })
        .collect();
    let without_process = ports.iter().filter(|port| port.process.is_none()).count() as u64;
    Ok(OpenPortsResult {
        ports,
        without_process,
    })
}

/// Whether other machines can send to an address. Link-local ones are reached by their neighbours.
fn reachable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => !address.is_loopback(),
            None => !address.is_loopback(),
        },
    }
}

fn listening(machine: &Machine) -> Result<Vec<Socket>> {
    let net = machine.proc().join("net");
    let mut sockets = Vec::new();
    for name in ["tcp", "tcp6"] {
        let Some(TcpNetEntries(entries)) = table(&net.join(name))? else {
            continue;
        };
        let listening = entries
            .into_iter()
            .filter(|entry| entry.state == TcpState::Listen);
        sockets.extend(listening.map(|entry| Socket {
            protocol: Protocol::Tcp,
            address: entry.local_address,
            uid: entry.uid,
            inode: entry.inode,
        }));
    }
    for name in ["udp", "udp6"] {
        let Some(UdpNetEntries(entries)) = table(&net.join(name))? else {
            continue;
        };
        // A datagram socket that is not tied to one sender takes what anybody sends.
        let open = entries.into_iter().filter(|entry| entry.state == UdpState::Close);
        sockets.extend(open.map(|entry| Socket {
            protocol: Protocol::Udp,
            address: entry.local_address,
            uid: entry.uid,
            inode: entry.inode,
        }));
    }
    Ok(sockets)
}

/// One of the kernel's tables; `None` on a kernel without that protocol.
fn table<T: FromReadSI>(path: &Path) -> Result<Option<T>> {
    let failed = |error: std::io::Error| ToolError::io("read", path.to_string_lossy(), error);
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    T::from_read(file, current_system_info())
        .map(Some)
        .map_err(|error| failed(std::io::Error::other(error)))
}

/// What is known of the processes.
#[derive(Default)]
struct Processes {
    by_inode: BTreeMap<u64, PortOwner>,
    by_user: BTreeMap<u32, Vec<(u32, String)>>,
}

impl Processes {
    fn look(proc: &Path, wanted: &BTreeSet<u64>, budget: &Budget) -> Result<Self> {
        let mut all = Self::default();
        let entries =
            fs::read_dir(proc).map_err(|error| ToolError::io("list", proc.to_string_lossy(), error))?;
        for entry in entries {
            budget.check()?;
            let entry = entry.map_err(|error| ToolError::io("list", proc.to_string_lossy(), error))?;
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<u32>().ok())
            else {
                continue;
            };
            // A process may end at any moment: then there is nothing to tell of it.
            let Ok(status) = fs::read_to_string(entry.path().join("status")) else {
                continue;
            };
            let name = field(&status, "Name:").unwrap_or_default().to_owned();
            if let Some(uid) =
                field(&status, "Uid:").and_then(|uids| uids.split_whitespace().next()?.parse().ok())
            {
                all.by_user.entry(uid).or_default().push((pid, name.clone()));
            }
            for inode in sockets_of(&entry.path()).filter(|inode| wanted.contains(inode)) {
                all.by_inode.entry(inode).or_insert_with(|| PortOwner {
                    pid,
                    name: name.clone(),
                    known_by: OwnerProof::Descriptor,
                });
            }
        }
        Ok(all)
    }

    fn owner(&self, socket: &Socket) -> Option<PortOwner> {
        if let Some(owner) = self.by_inode.get(&socket.inode) {
            return Some(owner.clone());
        }
        // Root's processes may hand sockets to anybody, and the kernel's own belong to root too.
        let only = self.by_user.get(&socket.uid).filter(|_| socket.uid != 0)?;
        let [(pid, name)] = only.as_slice() else {
            return None;
        };
        Some(PortOwner {
            pid: *pid,
            name: name.clone(),
            known_by: OwnerProof::OnlyOfUser,
        })
    }
}

/// Sockets that a process has open, as far as the kernel shows them.
fn sockets_of(process: &Path) -> impl Iterator<Item = u64> {
    let entries = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        inode.parse().ok()
    })
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_out_of_reach() {
        for (address, expected) in [
            ("0.0.0.0", true),
            ("::", true),
            ("192.168.1.1", true),
            ("fe80::1", true),
            ("127.0.0.1", false),
            ("127.8.9.1", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
        ] {
            assert_eq!(reachable(address.parse().unwrap()), expected, "{address}");
        }
    }
}
