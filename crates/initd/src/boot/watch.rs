//! What happens to the machine while services run, and what follows: the state and addresses on its screen, a host name that a
//! server gives, servers of time, and the first administrator. One thread, asleep until the kernel tells of a
//! change.

use super::admin::Admin;
use super::screen::{Place, Screen, Snapshot};
use super::{firewall, hostname};
use crate::error::{InitError, Result};
use aios_core::paths::Paths;
use nix::ifaddrs::getifaddrs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Groups of the kernel's routing messages: links, and addresses of both families (rtnetlink(7)).
const GROUPS: u32 = 0x1 | 0x10 | 0x100;
/// Changes come in swarms.
const SWARM: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};
/// Longest file of the network's client that is read, bytes.
const LONGEST: u64 = 4096;
const CHRONYC: &str = "/usr/bin/chronyc";

/// Starts watching; a failure is logged, and the machine then shows less.
pub(super) fn start(paths: &Paths) {
    let paths = paths.clone();
    let thread = std::thread::Builder::new().name("watch".into());
    let spawned = thread.spawn(move || {
        let result = Watch::new(paths).and_then(Watch::run);
        if let Err(error) = result {
            tracing::error!(%error, "the machine's screen stays as it is");
        }
    });
    if let Err(error) = spawned {
        tracing::error!(%error, "nobody watches the machine's addresses");
    }
}

struct Watch {
    paths: Paths,
    screen: Screen,
    admin: Admin,
    changes: [OwnedFd; 2],
    time_servers: String,
}

impl Watch {
    fn new(paths: Paths) -> Result<Self> {
        let root = Path::new("/");
        Ok(Self {
            changes: [files(&paths)?, addresses_changed()?],
            screen: Screen::of(root),
            admin: Admin::of(root, &paths),
            time_servers: String::new(),
            paths,
        })
    }

    fn run(mut self) -> Result<()> {
        loop {
            self.look();
            self.wait()?;
        }
    }

    /// Does what follows from how things are now.
    fn look(&mut self) {
        if let Err(error) = self.take_name() {
            tracing::warn!(%error, "the host keeps its name");
        }
        self.take_time_servers();
        let Some(snapshot) = Snapshot::read(&self.paths.run.join("init/state.json")) else {
            return;
        };
        let mut lines = snapshot.lines(&place(&self.paths));
        if snapshot.is_ready("aios-guard") && snapshot.is_ready("aios-console") {
            lines.extend(self.admin.welcome());
        }
        self.screen.show(lines);
    }

    /// A server names the machine only where nobody else did.
    fn take_name(&self) -> Result<()> {
        let told = told(&self.paths, "hostname");
        let (told, root) = (told.trim(), Path::new("/"));
        if told.is_empty() || !hostname::is_name(told) || hostname::chosen(root)?.is_some() {
            return Ok(());
        }
        if hostname::now() == told {
            return Ok(());
        }
        tracing::info!(name = told, "a server named this machine");
        hostname::put(root, told)
    }

    /// The time client reads the list when it starts, and when it is told to.
    fn take_time_servers(&mut self) {
        let told = told(&self.paths, "ntp.sources");
        if told == self.time_servers {
            return;
        }
        self.time_servers = told;
        let socket = self.paths.run.join("time/chronyd.sock");
        if !socket.exists() {
            return;
        }
        let status = Command::new(CHRONYC)
            .args(["-u", "aios-time", "-h"])
            .arg(socket)
            .args(["reload", "sources"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
            tracing::warn!(?status, "the time client was not told of new servers");
        }
    }

    /// Until something changes, or what is shown is over.
    fn wait(&self) -> Result<()> {
        let limit = self.admin.shown_for().map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: 0,
        });
        let mut fds = [
            PollFd::new(&self.changes[0], PollFlags::IN),
            PollFd::new(&self.changes[1], PollFlags::IN),
        ];
        match poll(&mut fds, limit.as_ref()) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(InitError::system("cannot wait for changes")(error)),
        }
        let _passed = poll(&mut [], Some(&SWARM));
        self.changes.iter().for_each(drain);
        Ok(())
    }
}

/// What the network's client wrote; nothing where it did not. It speaks with strangers, so its file is neither followed, waited for
/// nor believed to be short.
fn told(paths: &Paths, name: &str) -> String {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let mut text = String::new();
    let path = paths.run.join("dns").join(name);
    if let Ok(file) = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)
        && file.metadata().is_ok_and(|meta| meta.is_file())
        && file.take(LONGEST).read_to_string(&mut text).is_err()
    {
        text.clear();
    }
    text
}

/// Reads away what a descriptor has to say: that it said something is all that counts.
fn drain(fd: &OwnedFd) {
    let mut bytes = [0_u8; 8192];
    while rustix::io::read(fd, &mut bytes).is_ok_and(|count| count > 0) {}
}

/// What the supervisor and the network's client write anew.
fn files(paths: &Paths) -> Result<OwnedFd> {
    let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
        .map_err(InitError::system("cannot watch files"))?;
    for name in ["init", "dns"] {
        let directory = paths.run.join(name);
        fs::create_dir_all(&directory).map_err(InitError::path("cannot make", &directory))?;
        inotify::add_watch(&fd, &directory, inotify::WatchFlags::MOVED_TO)
            .map_err(|error| InitError::path("cannot watch", &directory)(error.into()))?;
    }
    Ok(fd)
}

fn addresses_changed() -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Protocol 0 of this family is NETLINK_ROUTE.
    let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).map_err(InitError::system(
        "cannot listen to the kernel's routing messages",
    ))?;
    bind(&fd, &SocketAddrNetlink::new(0, GROUPS)).map_err(InitError::system(
        "cannot listen to the kernel's routing messages",
    ))?;
    Ok(fd)
}

fn place(paths: &Paths) -> Place {
    Place {
        host: hostname::now(),
        addresses: addresses(),
        listen: firewall::console(paths),
    }
}

/// Addresses by which others reach this machine.
fn addresses() -> BTreeMap<String, BTreeSet<IpAddr>> {
    let mut list: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
    let all = match getifaddrs() {
        Ok(all) => all,
        Err(error) => {
            tracing::warn!(%error, "cannot list addresses");
            return list;
        }
    };
    for interface in all {
        let ip = interface.address.and_then(|address| {
            let v4 = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
        });
        if let Some(ip) = ip.filter(reaches) {
            list.entry(interface.interface_name).or_default().insert(ip);
        }
    }
    list
}

fn reaches(ip: &IpAddr) -> bool {
    let link_local = |ip: &Ipv6Addr| ip.is_unicast_link_local();
    match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !link_local(ip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_the_client_wrote_is_read_unless_it_is_something_else_than_a_short_file() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::development(root.path());
        let directory = paths.run.join("dns");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("hostname"), "box\n").unwrap();
        assert_eq!(told(&paths, "hostname"), "box\n");
        assert_eq!(told(&paths, "missing"), "");
        symlink("hostname", directory.join("link")).unwrap();
        nix::unistd::mkfifo(&directory.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(directory.join("long"), "x".repeat(100_000)).unwrap();
        assert_eq!(
            (told(&paths, "link"), told(&paths, "pipe")),
            (String::new(), String::new())
        );
        assert_eq!(told(&paths, "long").len(), 4096);
    }

    #[test]
    fn only_addresses_that_others_reach_are_shown() {
        for (ip, shown) in [
            ("127.0.0.1", false),
            ("169.254.1.1", false),
            ("10.0.2.15", true),
            ("::1", false),
            ("fe80::1", false),
            ("fd00::1", true),
        ] {
            assert_eq!(reaches(&ip.parse().unwrap()), shown, "{ip}");
        }
    }
}
