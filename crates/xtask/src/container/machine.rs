//! What this machine's Podman must be told, and its processes.

use anyhow::{Context, Result};
use rustix::process::{Resource, getrlimit};
use std::collections::BTreeMap;
use std::path::Path;

/// As many processes are enough for aiOS. Where this program may have fewer, so may the container.
const PROCESSES: u64 = 30_000;
/// As many open files are.
const FILES: u64 = 65_536;

/// Options before the command. Podman's usual runtime refuses a machine whose cgroup hierarchies are mixed, and its usual keeper
/// of cgroups needs systemd.
pub(super) fn global() -> Vec<&'static str> {
    let mut options = Vec::new();
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        options.extend(["--runtime", "runc"]);
    }
    if !Path::new("/run/systemd/system").exists() {
        options.extend(["--cgroup-manager", "cgroupfs"]);
    }
    options
}

/// What a machine has that an ordinary container has not: all capabilities, to confine services and to start containers inside;
/// cgroups of its own to write to; an unmasked `/proc`, without which no container inside may mount one; the way to networks for
/// its containers. It has no device of this machine.
pub(super) fn options() -> Result<Vec<String>> {
    let mut options: Vec<String> = [
        "--cap-add=ALL",
        "--cgroupns=private",
        "--security-opt=unmask=ALL",
        "--security-opt=seccomp=unconfined",
    ]
    .map(str::to_owned)
    .to_vec();
    if Path::new("/dev/net/tun").exists() {
        options.push("--device=/dev/net/tun".to_owned());
    }
    // Podman asks for more than a process without CAP_SYS_RESOURCE may give.
    for (name, resource, most) in [
        ("nofile", Resource::Nofile, FILES),
        ("nproc", Resource::Nproc, PROCESSES),
    ] {
        let own = getrlimit(resource).maximum.unwrap_or(most).min(most);
        options.push(format!("--ulimit={name}={own}:{own}"));
    }
    Ok(options)
}

/// A process and all that descend from it, each with its time of start.
pub(super) fn descendants(first: u32) -> Result<Vec<(u32, String)>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").context("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some(parent) = field(pid, 1).and_then(|text| text.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![first];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(children.get(&pid).into_iter().flatten());
        next += 1;
    }
    Ok(found
        .into_iter()
        .filter_map(|pid| Some((pid, started(pid)?)))
        .collect())
}

/// When a process started, in the kernel's ticks: with it the number names one process only.
pub(super) fn started(pid: u32) -> Option<String> {
    field(pid, 19)
}

/// A field of `/proc/PID/stat` (proc(5)), counted from the state, which is 0; none of a process that has ended.
fn field(pid: u32, number: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(number).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_descends_from_this_process_and_is_gone_after_its_end() {
        let own = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = descendants(own).unwrap();
        let (_, start) = found.iter().find(|(pid, _)| *pid == child.id()).unwrap();
        assert_eq!(started(child.id()).as_ref(), Some(start));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_ne!(started(child.id()).as_ref(), Some(start));
    }

    #[test]
    fn no_limit_is_asked_for_that_this_process_does_not_have() {
        let options = options().unwrap();
        let own = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let asked = options
            .iter()
            .find_map(|option| option.strip_prefix("--ulimit=nofile="))
            .unwrap();
        let asked: u64 = asked.split(':').next().unwrap().parse().unwrap();
        assert!(asked <= own);
    }
}
