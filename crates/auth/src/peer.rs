//! Which local process is calling: its role by uid, and whether it is confined.
//!
//! The kernel's word comes with the connection ([`aios_core::rpc::Peer`], in each request's extensions).
//! Everything that aiOS starts for agents, tools and workers runs with no-new-privileges, which no
//! descendant can shed (prctl(2), `PR_SET_NO_NEW_PRIVS`), also not by forking twice or by leaving its
//! session; so a person's credential presented from such a process is refused.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use aios_core::error::{Class, Coded};
use aios_core::rpc::Peer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

/// A part of the system that is recognised by its uid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// uid 0: set-up, init.
    Root,
    /// The reference monitor.
    Guard,
    /// The orchestrator.
    Orchestrator,
    /// The tool service.
    Tools,
    /// The fs worker.
    Fs,
    /// The worker that looks at the machine.
    Host,
    /// The worker that watches, starts and ends processes.
    Process,
    /// The worker that asks init about services.
    Service,
    /// The worker of addresses, routes and the firewall.
    Net,
    /// The package worker.
    Pkg,
    /// The worker that looks for weaknesses.
    Sec,
    /// The worker of the operating system's images.
    Os,
    /// What judges whether the system is healthy.
    Health,
    /// Memory.
    Memory,
    /// The console.
    Console,
    /// The holder of the containers.
    Sandbox,
}

impl Role {
    /// As people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Guard => "guard",
            Self::Orchestrator => "orchestrator",
            Self::Tools => "tools",
            Self::Fs => "fs",
            Self::Host => "host",
            Self::Process => "process",
            Self::Service => "service",
            Self::Net => "net",
            Self::Pkg => "pkg",
            Self::Sec => "sec",
            Self::Os => "os",
            Self::Health => "health",
            Self::Memory => "memory",
            Self::Console => "console",
            Self::Sandbox => "sandbox",
        }
    }
}

/// Section `[users]` of `config.toml`: the system user of each part, by name or number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Users {
    /// The guard's.
    pub guard: String,
    /// The orchestrator's.
    pub orchestrator: String,
    /// The tool service's.
    pub tools: String,
    /// The fs worker's.
    pub fs: String,
    /// The user of the worker that looks at the machine.
    pub host: String,
    /// The user of the worker that watches, starts and ends processes.
    pub process: String,
    /// The user of the worker that asks init about services.
    pub service: String,
    /// The user of the worker of addresses, routes and the firewall.
    pub net: String,
    /// The package worker's.
    pub pkg: String,
    /// The user of the worker that looks for weaknesses.
    pub sec: String,
    /// The user of the worker of the operating system's images.
    pub os: String,
    /// The user of what judges whether the system is healthy.
    pub health: String,
    /// The memory service's.
    pub memory: String,
    /// The console's.
    pub console: String,
    /// The sandbox's.
    pub sandbox: String,
}

impl Users {
    /// Each part's user as `name` gives it.
    #[must_use]
    pub fn named(name: impl Fn(&str) -> String) -> Self {
        Self {
            guard: name("guard"),
            orchestrator: name("orchestrator"),
            tools: name("tools"),
            fs: name("fs"),
            host: name("host"),
            process: name("process"),
            service: name("service"),
            net: name("net"),
            pkg: name("pkg"),
            sec: name("sec"),
            os: name("os"),
            health: name("health"),
            memory: name("memory"),
            console: name("console"),
            sandbox: name("sandbox"),
        }
    }

    /// Section `[users]` of a configuration file in which one user plays every part, for tests.
    #[must_use]
    pub fn section_of_one(user: &str) -> String {
        let line = |(_, part): (Role, &str)| format!("{part} = \"{user}\"\n");
        let parts = Self::default().parts().map(|(role, _)| (role, role.as_str()));
        format!("[users]\n{}", parts.map(line).concat())
    }

    /// The parts in one order, each with its user.
    fn parts(&self) -> [(Role, &str); 15] {
        [
            (Role::Guard, &self.guard),
            (Role::Orchestrator, &self.orchestrator),
            (Role::Tools, &self.tools),
            (Role::Fs, &self.fs),
            (Role::Host, &self.host),
            (Role::Process, &self.process),
            (Role::Service, &self.service),
            (Role::Net, &self.net),
            (Role::Pkg, &self.pkg),
            (Role::Sec, &self.sec),
            (Role::Os, &self.os),
            (Role::Health, &self.health),
            (Role::Memory, &self.memory),
            (Role::Console, &self.console),
            (Role::Sandbox, &self.sandbox),
        ]
    }
}

impl Default for Users {
    fn default() -> Self {
        Self::named(|part| format!("aios-{part}"))
    }
}

/// Role to uid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    uids: Vec<(Role, u32)>,
}

impl Roles {
    /// Resolves the configured users.
    ///
    /// # Errors
    /// [`PeerError::NoSuchUser`].
    pub fn resolve(users: &Users) -> Result<Self, PeerError> {
        let mut uids = vec![(Role::Root, 0)];
        for (role, name) in users.parts() {
            uids.push((role, uid_of(name)?));
        }
        Ok(Self { uids })
    }

    /// Roles that are known already, for tests. Root is uid 0 in any case.
    #[must_use]
    pub fn fixed(uids: &[(Role, u32)]) -> Self {
        Self {
            uids: [(Role::Root, 0)].iter().chain(uids).copied().collect(),
        }
    }

    /// The uid of a role.
    #[must_use]
    pub fn uid(&self, role: Role) -> Option<u32> {
        self.uids
            .iter()
            .find(|(own, _)| *own == role)
            .map(|(_, uid)| *uid)
    }

    /// Whether a uid plays a role.
    #[must_use]
    pub fn is(&self, uid: u32, role: Role) -> bool {
        self.uid(role) == Some(uid)
    }

    /// Whether a uid plays any role but root: such a uid is never a person.
    #[must_use]
    pub fn is_service(&self, uid: u32) -> bool {
        self.uids
            .iter()
            .any(|(role, own)| *role != Role::Root && *own == uid)
    }

    /// The name of the first role that a uid plays, or `uid N`.
    #[must_use]
    pub fn name(&self, uid: u32) -> String {
        let role = self.uids.iter().find(|(_, own)| *own == uid);
        role.map_or_else(|| format!("uid {uid}"), |(role, _)| role.as_str().to_owned())
    }

    /// The peer of a request, when it plays one of the roles.
    ///
    /// # Errors
    /// [`PeerError::Unknown`] for a request that came not over a Unix socket, [`PeerError::NotAllowed`].
    pub fn require<'a, T>(
        &self,
        request: &'a tonic::Request<T>,
        wanted: &[Role],
    ) -> Result<&'a Peer, PeerError> {
        let peer = peer(request)?;
        if wanted.iter().any(|role| self.is(peer.uid, *role)) {
            return Ok(peer);
        }
        let wanted: Vec<&str> = wanted.iter().map(|role| role.as_str()).collect();
        Err(PeerError::NotAllowed {
            caller: self.name(peer.uid),
            wanted: wanted.join(" or "),
        })
    }
}

/// The peer of a request.
///
/// # Errors
/// [`PeerError::Unknown`].
pub fn peer<T>(request: &tonic::Request<T>) -> Result<&Peer, PeerError> {
    aios_core::rpc::peer_of(request).ok_or(PeerError::Unknown)
}

/// uid of a user name, or of a number.
///
/// # Errors
/// [`PeerError::NoSuchUser`].
pub fn uid_of(name: &str) -> Result<u32, PeerError> {
    if let Ok(uid) = name.parse() {
        return Ok(uid);
    }
    let missing = |reason: String| PeerError::NoSuchUser {
        name: name.to_owned(),
        reason,
    };
    match nix::unistd::User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err(missing("it is not in the user database".to_owned())),
        Err(error) => Err(missing(error.to_string())),
    }
}

/// User name of a uid, or `uid N`.
#[must_use]
pub fn name_of(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
    user.ok()
        .flatten()
        .map_or_else(|| format!("uid {uid}"), |user| user.name)
}

/// Why a caller is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The transport does not say who is calling.
    #[error("the caller is not known: this is served on a Unix socket only")]
    Unknown,
    /// The caller has another role.
    #[error("{caller} may not call this; {wanted} may")]
    NotAllowed {
        /// Who called.
        caller: String,
        /// Who may.
        wanted: String,
    },
    /// The caller is a process of an agent, tool or worker.
    #[error("process {pid} is confined ({sign}): a person's rights are not accepted from it")]
    Confined {
        /// Its process id.
        pid: i32,
        /// By what it is known.
        sign: String,
    },
    /// The caller is gone, or cannot be looked at.
    #[error("process {pid} cannot be examined: {reason}")]
    Gone {
        /// Its process id.
        pid: i32,
        /// Why.
        reason: String,
    },
    /// A configured user is missing.
    #[error("user `{name}`: {reason}")]
    NoSuchUser {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
}

impl Coded for PeerError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "AIOS-AUTH-0601",
            Self::NotAllowed { .. } => "AIOS-AUTH-0602",
            Self::Confined { .. } => "AIOS-AUTH-0603",
            Self::Gone { .. } => "AIOS-AUTH-0604",
            Self::NoSuchUser { .. } => "AIOS-AUTH-0605",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Unknown => "connect to the service's Unix socket".to_owned(),
            Self::NotAllowed { .. } => "use `aiosctl` as an enrolled person".to_owned(),
            Self::Confined { .. } => {
                "decide from your own terminal or the console, not from an agent, tool or worker".to_owned()
            }
            Self::Gone { .. } => {
                "stay connected until the answer, from a process that /proc shows".to_owned()
            }
            Self::NoSuchUser { .. } => {
                "run `make run` once, which makes the users, or correct [users] in config.toml".to_owned()
            }
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Unknown => Class::Unauthenticated,
            Self::NotAllowed { .. } | Self::Confined { .. } | Self::Gone { .. } => Class::PermissionDenied,
            Self::NoSuchUser { .. } => Class::Internal,
        }
    }
}

/// Refuses a caller that is a process of an agent, tool or worker, or a descendant of one. What cannot
/// be read counts as confined. Reads `/proc`, and then checks by the pidfd that the process it read
/// about is still the one that connected.
///
/// # Errors
/// [`PeerError::Confined`] or [`PeerError::Gone`].
pub fn check_unconfined(peer: &Peer) -> Result<(), PeerError> {
    let gone = |reason: &str| PeerError::Gone {
        pid: peer.pid,
        reason: reason.to_owned(),
    };
    if peer.pid <= 0 {
        return Err(gone("it lives in a process namespace that is not ours"));
    }
    let pidfd = match &peer.pidfd {
        Some(pidfd) => Arc::clone(pidfd),
        None => open_pidfd(peer.pid).map_err(|error| gone(&error.to_string()))?,
    };
    let read = |name: &str| {
        fs::read_to_string(format!("/proc/{}/{name}", peer.pid))
            .map_err(|error| gone(&format!("{name}: {error}")))
    };
    let facts = Facts {
        status: read("status")?,
        cgroup: read("cgroup")?,
        uid_map: read("uid_map")?,
        own_uid_map: fs::read_to_string("/proc/self/uid_map").map_err(|error| gone(&error.to_string()))?,
        other_namespace: other_namespace(peer.pid),
    };
    if has_exited(pidfd.as_fd()).map_err(|error| gone(&error.to_string()))? {
        return Err(gone("it has exited"));
    }
    match facts.sign() {
        Some(sign) => Err(PeerError::Confined { pid: peer.pid, sign }),
        None => Ok(()),
    }
}

/// What `/proc` says of a process.
#[derive(Debug, Default)]
struct Facts {
    status: String,
    cgroup: String,
    uid_map: String,
    own_uid_map: String,
    other_namespace: Option<&'static str>,
}

impl Facts {
    /// By what the process is known to be confined, if it is.
    fn sign(&self) -> Option<String> {
        let field = |name: &str| {
            self.status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        // A kernel that does not report the flag cannot clear anyone.
        match field("NoNewPrivs:") {
            Some("0") => {}
            Some(_) => return Some("no_new_privs is set".to_owned()),
            None => return Some("no_new_privs is not reported".to_owned()),
        }
        if field("NSpid:").is_some_and(|pids| pids.split_whitespace().count() > 1) {
            return Some("it has a process namespace of its own".to_owned());
        }
        if let Some(path) = self
            .cgroup
            .lines()
            .filter_map(|line| line.splitn(3, ':').nth(2))
            .find(|it| is_ours(it))
        {
            return Some(format!("it is in cgroup {path}"));
        }
        if self.uid_map != self.own_uid_map {
            return Some("it has a user namespace of its own".to_owned());
        }
        self.other_namespace
            .map(|kind| format!("it has another {kind} namespace"))
    }
}

/// Whether a cgroup belongs to agents or workers: `…/aios/agents/…`, `…/aios/INSTANCE/workers/…`, and
/// what Podman makes below `agents/`.
fn is_ours(cgroup: &str) -> bool {
    let mut parts = cgroup.split('/').skip_while(|part| *part != "aios");
    cgroup.starts_with("/agents/") || parts.any(|part| matches!(part, "agents" | "workers"))
}

/// Kind of the namespace that differs from ours; `None` where none does or the links are not readable
/// for us (the maps and `NSpid` above are).
fn other_namespace(pid: i32) -> Option<&'static str> {
    ["user", "pid"].into_iter().find(|kind| {
        let theirs = fs::read_link(format!("/proc/{pid}/ns/{kind}"));
        let ours = fs::read_link(format!("/proc/self/ns/{kind}"));
        matches!((theirs, ours), (Ok(theirs), Ok(ours)) if theirs != ours)
    })
}

fn open_pidfd(pid: i32) -> io::Result<Arc<OwnedFd>> {
    let pid = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    Ok(Arc::new(pidfd))
}

/// A pidfd becomes readable when its process ends (pidfd_open(2)).
fn has_exited(pidfd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let ready = poll(
        &mut fds,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    )?;
    Ok(ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(status: &str, cgroup: &str) -> Facts {
        Facts {
            status: status.into(),
            cgroup: cgroup.into(),
            ..Facts::default()
        }
    }

    #[test]
    fn each_sign_of_confinement_counts_and_silence_does_too() {
        let free = "NoNewPrivs:\t0\nNSpid:\t7\n";
        for (facts, wanted) in [
            (facts(free, "0::/user.slice\n"), None),
            (facts(free, "0::/aios/services/console\n"), None),
            (facts(free, "0::/home/workers/x\n"), None),
            (facts("NoNewPrivs:\t1\n", ""), Some("no_new_privs is set")),
            (facts("NSpid:\t7\n", ""), Some("not reported")),
            (
                facts("NoNewPrivs:\t0\nNSpid:\t7\t1\n", ""),
                Some("process namespace"),
            ),
            (
                facts(free, "3:cpu:/\n0::/aios/agents/pods/x\n"),
                Some("/aios/agents/pods/x"),
            ),
            (
                facts(free, "0::/aios/work-main-run/workers/fs\n"),
                Some("workers/fs"),
            ),
            (facts(free, "0::/agents/leaf\n"), Some("/agents/leaf")),
            (
                Facts {
                    uid_map: "0 1000 1".into(),
                    ..facts(free, "")
                },
                Some("user namespace"),
            ),
            (
                Facts {
                    other_namespace: Some("pid"),
                    ..facts(free, "")
                },
                Some("another pid namespace"),
            ),
        ] {
            let sign = facts.sign();
            assert_eq!(sign.is_some(), wanted.is_some(), "{facts:?}");
            assert!(
                sign.unwrap_or_default().contains(wanted.unwrap_or_default()),
                "{facts:?}"
            );
        }
    }
}
