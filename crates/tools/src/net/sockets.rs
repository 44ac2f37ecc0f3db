//! Who speaks with whom and who waits to be spoken to, from `/proc/net`.
//!
//! Which process has a socket stands in the files of that process, which only its own user may read. The worker has
//! no right beyond that (a process that may look into every other could read the guard's keys), so it says whose the
//! socket is, and the process only where it can be seen.

use super::args::SocketArgs;
use super::types::{Owner, SocketList, SocketState};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use procfs::net::{TcpNetEntry, TcpState, UdpNetEntry, UdpState};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Processes and users of this machine.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) proc: PathBuf,
    pub(super) etc: PathBuf,
}

/// Which sockets are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Connections,
    Listening,
}

struct Seen {
    protocol: &'static str,
    local: SocketAddr,
    remote: SocketAddr,
    state: &'static str,
    queues: (u32, u32),
    uid: u32,
    inode: u64,
}

impl Seen {
    fn tcp(entry: TcpNetEntry) -> Self {
        Self {
            protocol: "tcp",
            local: entry.local_address,
            remote: entry.remote_address,
            state: tcp_state(&entry.state),
            queues: (entry.rx_queue, entry.tx_queue),
            uid: entry.uid,
            inode: entry.inode,
        }
    }

    fn udp(entry: UdpNetEntry) -> Self {
        let state = match entry.state {
            UdpState::Established => "established",
            UdpState::Close => "unconnected",
        };
        Self {
            protocol: "udp",
            local: entry.local_address,
            remote: entry.remote_address,
            state,
            queues: (entry.rx_queue, entry.tx_queue),
            uid: entry.uid,
            inode: entry.inode,
        }
    }

    fn waits(&self) -> bool {
        matches!(self.state, "listen" | "unconnected")
    }
}

fn tcp_state(state: &TcpState) -> &'static str {
    match state {
        TcpState::Established => "established",
        TcpState::SynSent => "syn_sent",
        TcpState::SynRecv | TcpState::NewSynRecv => "syn_received",
        TcpState::FinWait1 => "fin_wait_1",
        TcpState::FinWait2 => "fin_wait_2",
        TcpState::TimeWait => "time_wait",
        TcpState::Close => "closed",
        TcpState::CloseWait => "close_wait",
        TcpState::LastAck => "last_ack",
        TcpState::Listen => "listen",
        TcpState::Closing => "closing",
    }
}

fn all() -> Result<Vec<Seen>> {
    let failed = |error: procfs::ProcError| ToolError::io("read", "/proc/net", std::io::Error::other(error));
    let mut seen: Vec<Seen> = procfs::net::tcp()
        .map_err(failed)?
        .into_iter()
        .map(Seen::tcp)
        .collect();
    seen.extend(procfs::net::udp().map_err(failed)?.into_iter().map(Seen::udp));
    // A kernel without IPv6 has no such tables.
    if Path::new("/proc/net/tcp6").exists() {
        seen.extend(procfs::net::tcp6().map_err(failed)?.into_iter().map(Seen::tcp));
        seen.extend(procfs::net::udp6().map_err(failed)?.into_iter().map(Seen::udp));
    }
    Ok(seen)
}

pub(super) fn list(
    machine: &Machine,
    which: Which,
    args: &SocketArgs,
    budget: &Budget,
) -> Result<SocketList> {
    let mut seen = all()?;
    seen.retain(|it| {
        it.waits() == (which == Which::Listening) && args.port.is_none_or(|port| it.local.port() == port)
    });
    seen.sort_by_key(|it| (it.protocol, it.local, it.remote));
    let count = seen.len() as u64;
    seen.truncate(usize::try_from(args.limit).unwrap_or(usize::MAX));
    let holders = holders(&machine.proc, budget)?;
    let users = users(&machine.etc);
    let sockets = seen
        .into_iter()
        .map(|it| SocketState {
            protocol: it.protocol.to_owned(),
            local: it.local.to_string(),
            remote: it.remote.to_string(),
            state: it.state.to_owned(),
            waiting_bytes: it.queues.0,
            unsent_bytes: it.queues.1,
            owner: owner(machine, &it, &holders, &users),
        })
        .collect();
    Ok(SocketList { sockets, count })
}

fn owner(
    machine: &Machine,
    socket: &Seen,
    holders: &HashMap<u64, Vec<i32>>,
    users: &HashMap<u32, String>,
) -> Owner {
    let pids = holders.get(&socket.inode).cloned().unwrap_or_default();
    let program = pids.first().and_then(|pid| {
        let name = std::fs::read_to_string(machine.proc.join(pid.to_string()).join("comm")).ok()?;
        Some(name.trim_end().to_owned())
    });
    Owner {
        uid: socket.uid,
        user: users.get(&socket.uid).cloned(),
        known: !pids.is_empty(),
        program,
        pids,
    }
}

/// Which processes hold which socket, of those whose files may be read.
fn holders(proc: &Path, budget: &Budget) -> Result<HashMap<u64, Vec<i32>>> {
    let mut holders: HashMap<u64, Vec<i32>> = HashMap::new();
    let entries =
        std::fs::read_dir(proc).map_err(|error| ToolError::io("list", proc.to_string_lossy(), error))?;
    for entry in entries.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        budget.check()?;
        // One that ended meanwhile, and one of another user, tell nothing.
        let Ok(files) = std::fs::read_dir(entry.path().join("fd")) else {
            continue;
        };
        for link in files
            .flatten()
            .filter_map(|file| std::fs::read_link(file.path()).ok())
        {
            if let Some(inode) = socket_inode(&link) {
                let pids = holders.entry(inode).or_default();
                if pids.last() != Some(&pid) {
                    pids.push(pid);
                }
            }
        }
    }
    for pids in holders.values_mut() {
        pids.sort_unstable();
        pids.dedup();
    }
    Ok(holders)
}

/// `socket:[123]`.
fn socket_inode(link: &Path) -> Option<u64> {
    link.to_str()?
        .strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

/// Names of users; none when the list cannot be read: numbers are told in any case.
fn users(etc: &Path) -> HashMap<u32, String> {
    let text = std::fs::read_to_string(etc.join("passwd")).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_found_in_the_process_that_holds_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let machine = Machine {
            proc: "/proc".into(),
            etc: "/etc".into(),
        };
        let args = SocketArgs {
            port: Some(port),
            limit: 10,
        };
        let budget = Budget::of_ms(10_000);
        let found = list(&machine, Which::Listening, &args, &budget).unwrap();
        let [socket] = found.sockets.as_slice() else {
            panic!("{found:?}");
        };
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(
            socket.owner.known && socket.owner.pids.contains(&me),
            "{socket:?}"
        );
        assert_eq!(socket.owner.uid, rustix::process::geteuid().as_raw());
        assert!(socket.owner.program.is_some());
        assert_eq!(
            list(&machine, Which::Connections, &args, &budget).unwrap().count,
            0
        );
    }

    #[test]
    fn an_owner_that_cannot_be_seen_is_said_to_be_unknown() {
        let _listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let empty = tempfile::tempdir().unwrap();
        let machine = Machine {
            proc: empty.path().into(),
            etc: empty.path().into(),
        };
        let args = SocketArgs { port: None, limit: 1 };
        let found = list(&machine, Which::Listening, &args, &Budget::of_ms(10_000)).unwrap();
        let owner = &found.sockets[0].owner;
        assert_eq!((owner.known, &owner.user, &owner.program), (false, &None, &None));
        assert!(found.count >= 1);
    }
}
