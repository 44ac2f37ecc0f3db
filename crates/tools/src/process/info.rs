//! process.info: everything about one process.

use super::args::{InfoResult, Socket};
use super::eyes::Eyes;
use super::files::{Descriptor, by_space, descriptors, files};
use super::limits;
use super::table::{Desk, Proc, arguments, dir, printable};
use crate::error::Result;
use procfs::FromBufReadSI;
use procfs::net::{TcpNetEntries, TcpState, UdpNetEntries};
use std::collections::BTreeSet;
use std::net::SocketAddr;

const MOST_ARGUMENTS: usize = 256;
const LONGEST_ARGUMENT: usize = 4096;
const MOST_FILES: usize = 100;

pub(super) fn info(proc: Proc) -> Result<InfoResult> {
    let seen = proc.seen().ok_or_else(|| proc.missing())?;
    let mut desk = Desk::new()?;
    let process = desk.line(&seen);
    let (open, mut deleted_files) = Eyes::lend(|eyes| {
        let open = descriptors(eyes, proc.pid)?;
        let list = open.as_deref().unwrap_or_default();
        let deleted = files(&seen, &process.user, list, true);
        Ok((open, deleted))
    })?;
    let list = open.as_deref().unwrap_or_default();
    by_space(&mut deleted_files);
    deleted_files.truncate(MOST_FILES);
    Ok(InfoResult {
        arguments: shown_arguments(proc.pid),
        executable: link(proc.pid, "exe"),
        directory: link(proc.pid, "cwd"),
        cgroup: cgroup(proc.pid),
        session: seen.stat.session,
        group: seen.stat.pgrp,
        nice: seen.stat.nice,
        no_new_privileges: seen.status.no_new_privs,
        effective_capabilities: seen.status.effective_capabilities.clone(),
        open_files: open.as_ref().map(|list| list.len() as u64),
        sockets: sockets(proc.pid, list),
        deleted_files,
        limits: limits::now(proc)?,
        process,
        tainted: true,
    })
}

fn shown_arguments(pid: i32) -> Vec<String> {
    arguments(pid)
        .into_iter()
        .take(MOST_ARGUMENTS)
        .map(|argument| printable(&argument).chars().take(LONGEST_ARGUMENT).collect())
        .collect()
}

fn link(pid: i32, name: &str) -> Option<String> {
    let target = std::fs::read_link(dir(pid).join(name)).ok()?;
    Some(target.to_string_lossy().into_owned())
}

fn cgroup(pid: i32) -> Option<String> {
    let text = std::fs::read_to_string(dir(pid).join("cgroup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(line.to_owned())
}

/// A socket as the kernel's tables have it.
struct Entry {
    protocol: &'static str,
    local: SocketAddr,
    remote: SocketAddr,
    listens: bool,
}

/// Whether one of a process's sockets waits on a port of this machine: what has a network of its own, a container
/// say, has ports of its own.
pub(super) fn listens(pid: i32, descriptors: &[Descriptor], port: u16) -> bool {
    let here = std::fs::read_link("/proc/self/ns/net").ok();
    if here.is_none() || here != std::fs::read_link(dir(pid).join("ns/net")).ok() {
        return false;
    }
    let entries = entries(pid, descriptors);
    entries.iter().any(|it| it.listens && it.local.port() == port)
}

fn sockets(pid: i32, descriptors: &[Descriptor]) -> Vec<Socket> {
    entries(pid, descriptors).iter().map(socket).collect()
}

/// The sockets among the descriptors, by the tables of the process's own network namespace.
fn entries(pid: i32, descriptors: &[Descriptor]) -> Vec<Entry> {
    let inodes: BTreeSet<u64> = descriptors
        .iter()
        .filter_map(|it| {
            it.target
                .strip_prefix("socket:[")?
                .strip_suffix(']')?
                .parse()
                .ok()
        })
        .collect();
    if inodes.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    // A kernel without IPv6 has no such table.
    for table in ["tcp", "tcp6"] {
        let entries = table_of::<TcpNetEntries>(pid, table).map_or_else(Vec::new, |entries| entries.0);
        let own = entries.iter().filter(|it| inodes.contains(&it.inode));
        found.extend(own.map(|it| Entry {
            protocol: "tcp",
            local: it.local_address,
            remote: it.remote_address,
            listens: it.state == TcpState::Listen,
        }));
    }
    for table in ["udp", "udp6"] {
        let entries = table_of::<UdpNetEntries>(pid, table).map_or_else(Vec::new, |entries| entries.0);
        let own = entries.iter().filter(|it| inodes.contains(&it.inode));
        found.extend(own.map(|it| Entry {
            protocol: "udp",
            local: it.local_address,
            remote: it.remote_address,
            listens: it.remote_address.port() == 0,
        }));
    }
    found
}

fn socket(entry: &Entry) -> Socket {
    Socket {
        protocol: entry.protocol.to_owned(),
        local: entry.local.to_string(),
        remote: (!entry.listens).then(|| entry.remote.to_string()),
        listens: entry.listens,
    }
}

fn table_of<T: FromBufReadSI>(pid: i32, name: &str) -> Option<T> {
    let file = std::fs::File::open(dir(pid).join("net").join(name)).ok()?;
    T::from_buf_read(std::io::BufReader::new(file), procfs::current_system_info()).ok()
}
