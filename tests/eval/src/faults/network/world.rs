//! A small world behind a cable: a network namespace with a router, a server of names, and a host that serves.

use super::servers::{Names, Running, Zone};
use crate::random::Random;
use aios_tests_e2e::ctl::pause;
use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What the machine's list of name servers is; the file of this namespace of mounts alone.
const RESOLV: &str = "/etc/resolv.conf";
/// A container's cable.
const CONTAINER: &str = "veth77";
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer of the host may take.
const ANSWER: Duration = Duration::from_secs(2);
/// More than any packet.
const LARGE: usize = 300_000;

/// Where everything is.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// The machine's interface.
    pub(super) link: String,
    /// An interface that nobody uses.
    unused: String,
    /// One of containers, as many machines have it; it always works.
    bridge: String,
    /// Network of the machine and the router, without the last number.
    near: [u8; 3],
    /// The server of names.
    pub(super) names: Ipv4Addr,
    /// The host.
    pub(super) host: Ipv4Addr,
    pub(super) name: String,
    pub(super) port: u16,
    /// How the names are served.
    pub(super) zone: Zone,
}

impl Plan {
    /// One by chance; the host is one of the public network.
    pub(super) fn new(random: &mut Random) -> Result<Self> {
        let byte = |random: &mut Random, from, to| u8::try_from(random.between(from, to));
        let near = if random.between(0, 1) == 0 {
            [10, byte(random, 1, 80)?, byte(random, 1, 250)?]
        } else {
            [192, 168, byte(random, 1, 250)?]
        };
        let last = byte(random, 2, 250)?;
        let host = Ipv4Addr::new(
            byte(random, 30, 90)?,
            byte(random, 1, 250)?,
            byte(random, 1, 250)?,
            last,
        );
        let number = random.between(0, 9);
        let name = format!("{}.example.org", random.name()?);
        let [a, b, c] = near;
        Ok(Self {
            link: format!("{}{number}", random.one_of(&["eth", "enp3s", "ens"])?),
            unused: format!("tap{number}"),
            bridge: format!("podman{number}"),
            near,
            names: Ipv4Addr::new(a, b, c, 1),
            host,
            zone: Zone {
                names: Names::Known,
                name: name.clone(),
                address: host,
            },
            name,
            port: u16::try_from(random.between(1025, 60_000))?,
        })
    }

    /// Puts the server of names behind the router.
    pub(super) fn names_far(&mut self, random: &mut Random) -> Result<()> {
        let last = u8::try_from(random.between(1, 250))?;
        self.names = Ipv4Addr::new(9, 9, last, 9);
        Ok(())
    }

    /// Puts the host behind a wall: it has a private address.
    pub(super) fn host_private(&mut self, random: &mut Random) -> Result<()> {
        let byte = |random: &mut Random, from, to| u8::try_from(random.between(from, to));
        self.host = Ipv4Addr::new(
            172,
            byte(random, 16, 31)?,
            byte(random, 1, 250)?,
            byte(random, 2, 250)?,
        );
        self.zone.address = self.host;
        Ok(())
    }

    fn router(&self) -> Ipv4Addr {
        let [a, b, c] = self.near;
        Ipv4Addr::new(a, b, c, 1)
    }

    fn machine(&self) -> Ipv4Addr {
        let [a, b, c] = self.near;
        Ipv4Addr::new(a, b, c, 77)
    }
}

/// Runs a program, which must succeed.
fn run(words: &[&str]) -> Result<()> {
    let (program, words) = words.split_first().context("a program")?;
    let done = Command::new(program)
        .args(words)
        .output()
        .with_context(|| format!("start {program}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{program} {}: {said}", words.join(" "));
    Ok(())
}

/// `ip` on this machine.
pub(super) fn ip(words: &str) -> Result<()> {
    let all: Vec<&str> = std::iter::once("ip").chain(words.split(' ')).collect();
    run(&all)
}

/// Rules of this machine, in a table that goes away with the world.
pub(super) fn filter(rule: &str) -> Result<()> {
    let text = format!(
        "add table inet fault; add chain inet fault out {{ type filter hook output priority 10; }}; add rule inet fault out {rule}"
    );
    run(&["nft", &text])
}

/// It goes away with this, and the machine's cable to it.
pub(super) struct World {
    plan: Plan,
    holder: Child,
    servers: Vec<Running>,
}

impl World {
    /// Makes it, and the machine's part of it. Names are served; the host serves when it listens.
    pub(super) fn new(plan: &Plan) -> Result<Self> {
        alone()?;
        let holder = Command::new("unshare")
            .args(["--net", "sleep", "3600"])
            .stdin(Stdio::null())
            .spawn()
            .context("start unshare, of util-linux")?;
        let world = Self {
            plan: plan.clone(),
            holder,
            servers: Vec::new(),
        };
        let own = fs::read_link("/proc/self/ns/net")?;
        let begun = Instant::now();
        while fs::read_link(world.space())? == own {
            ensure!(begun.elapsed() < PATIENCE, "no network namespace was made");
            pause();
        }
        world.connect()?;
        Ok(world)
    }

    fn space(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// Interfaces that have nothing to do with it.
    fn distract(&self) -> Result<()> {
        let Plan { unused, bridge, .. } = &self.plan;
        ip(&format!("tuntap add {unused} mode tap"))?;
        ip(&format!("link add {bridge} type bridge"))?;
        ip(&format!("address add 10.88.0.1/16 dev {bridge}"))?;
        ip(&format!(
            "link add {CONTAINER} type veth peer name {CONTAINER}-in"
        ))?;
        ip(&format!("link set {CONTAINER} master {bridge}"))?;
        for up in [bridge, CONTAINER, &format!("{CONTAINER}-in")] {
            ip(&format!("link set {up} up"))?;
        }
        Ok(())
    }

    fn connect(&self) -> Result<()> {
        self.distract()?;
        let plan = &self.plan;
        let link = &plan.link;
        ip(&format!(
            "link add {link} type veth peer name way0 netns {}",
            self.holder.id()
        ))?;
        self.ip("link set lo up")?;
        self.ip(&format!("address add {}/24 dev way0", plan.router()))?;
        self.ip("link set way0 up")?;
        for address in [plan.names, plan.host] {
            if address != plan.router() {
                self.ip(&format!("address add {address}/32 dev lo"))?;
            }
        }
        ip(&format!("address add {}/24 dev {link}", plan.machine()))?;
        ip(&format!("link set {link} up"))?;
        ip(&format!("route add default via {} dev {link}", plan.router()))?;
        fs::write(RESOLV, format!("nameserver {}\n", plan.names)).context(RESOLV)
    }

    /// `ip` there.
    pub(super) fn ip(&self, words: &str) -> Result<()> {
        let space = format!("--net={}", self.space());
        let all: Vec<&str> = ["nsenter", &space, "ip"]
            .into_iter()
            .chain(words.split(' '))
            .collect();
        run(&all)
    }

    /// A rule for what comes in there.
    pub(super) fn filter(&self, rule: &str) -> Result<()> {
        let space = format!("--net={}", self.space());
        let text = format!(
            "add table inet way; add chain inet way in {{ type filter hook prerouting priority -300; }}; add rule inet way in {rule}"
        );
        run(&["nsenter", &space, "nft", &text])
    }

    /// Starts the server of names.
    pub(super) fn serve_names(&mut self) -> Result<()> {
        let (at, zone) = (
            SocketAddr::new(self.plan.names.into(), 53),
            self.plan.zone.clone(),
        );
        self.serve_with(move || Running::names(at, zone))
    }

    /// Starts the host's server.
    pub(super) fn serve(&mut self) -> Result<()> {
        let at = SocketAddr::new(self.plan.host.into(), self.plan.port);
        self.serve_with(move || Running::host(at))
    }

    /// Starts another server there.
    pub(super) fn serve_with(&mut self, start: impl FnOnce() -> Result<Running> + Send) -> Result<()> {
        let server = self.within(start)?;
        self.servers.push(server);
        Ok(())
    }

    /// Does something there, on a thread of its own; sockets made so stay there.
    fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let space = File::open(self.space())?;
        let there = thread::scope(|scope| {
            scope
                .spawn(|| {
                    move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))?;
                    work()
                })
                .join()
        });
        there.map_err(|_| anyhow::anyhow!("the thread in the other namespace failed"))?
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.servers.clear();
        // A second time there may be nothing to remove.
        let Plan {
            link, unused, bridge, ..
        } = &self.plan;
        for link in [link, unused, bridge, CONTAINER] {
            drop(ip(&format!("link delete {link}")));
        }
        drop(run(&["nft", "delete table inet fault"]));
        drop(fs::write(RESOLV, ""));
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

/// Refuses to touch the network of a machine: only one of its own has no link yet.
fn alone() -> Result<()> {
    let links = fs::read_to_string("/proc/self/net/dev")?;
    let others: Vec<&str> = links
        .lines()
        .skip(2)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim())
        .filter(|name| *name != "lo")
        .collect();
    ensure!(
        others.is_empty(),
        "this network is in use ({}): `cargo xtask eval` makes one apart",
        others.join(", ")
    );
    Ok(())
}

/// Whether a person on this machine can work with the host: little and much gets there and comes back.
pub(super) fn usable(plan: &Plan) -> Result<()> {
    let host = SocketAddr::new(IpAddr::V4(plan.host), plan.port);
    let mut stream =
        TcpStream::connect_timeout(&host, ANSWER).with_context(|| format!("connect to {host}"))?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.write_all(&vec![b'x'; LARGE]).context("send")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("no answer")?;
    ensure!(
        answer == LARGE.to_string(),
        "the host got {answer} of {LARGE} bytes"
    );
    Ok(())
}
