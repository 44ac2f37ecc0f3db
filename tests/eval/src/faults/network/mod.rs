//! A host that cannot be reached, for one reason of many: cable, route, names, firewall, port, the size of packets.
//! Beside the interface that matters stand others, as on most machines: one that nobody uses, one of containers.

mod clock;
mod servers;
mod world;

use crate::fault::{Fault, Made, Place, Wanted};
use crate::random::Random;
use anyhow::{Result, ensure};
use servers::Names;
use world::{Plan, World, filter, ip, usable};

/// Why it cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    NamesSilent,
    NamesFail,
    NameUnknown,
    NoRoute,
    NoRouteToNames,
    RouteRefuses,
    LinkOff,
    NoSignal,
    BlackHole,
    FirewallHere,
    FirewallHereAll,
    FirewallThere,
    PortClosed,
    HostDown,
    HostPrivate,
}

const ALL: &[Why] = &[
    Why::NamesSilent,
    Why::NamesFail,
    Why::NameUnknown,
    Why::NoRoute,
    Why::NoRouteToNames,
    Why::RouteRefuses,
    Why::LinkOff,
    Why::NoSignal,
    Why::BlackHole,
    Why::FirewallHere,
    Why::FirewallHereAll,
    Why::FirewallThere,
    Why::PortClosed,
    Why::HostDown,
    Why::HostPrivate,
];

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    ALL.iter()
        .map(|why| Box::new(Unreachable(*why)) as Box<dyn Fault>)
        .chain([Box::new(clock::ClockSkew) as Box<dyn Fault>])
        .collect()
}

struct Unreachable(Why);

impl Why {
    fn name(self) -> &'static str {
        match self {
            Self::NamesSilent => "network-names-silent",
            Self::NamesFail => "network-names-fail",
            Self::NameUnknown => "network-name-unknown",
            Self::NoRoute => "network-no-route",
            Self::NoRouteToNames => "network-no-route-to-names",
            Self::RouteRefuses => "network-route-refuses",
            Self::LinkOff => "network-link-off",
            Self::NoSignal => "network-no-signal",
            Self::BlackHole => "network-mtu-black-hole",
            Self::FirewallHere => "network-firewall-here",
            Self::FirewallHereAll => "network-firewall-here-all",
            Self::FirewallThere => "network-firewall-there",
            Self::PortClosed => "network-port-closed",
            Self::HostDown => "network-host-down",
            Self::HostPrivate => "network-host-private",
        }
    }

    /// The cause, and what it is about.
    fn wanted(self, plan: &Plan) -> (&'static str, String) {
        let port = format!("port {}", plan.port);
        match self {
            Self::NamesSilent | Self::NamesFail => ("dns_server", plan.names.to_string()),
            Self::NameUnknown => ("name_unknown", plan.name.clone()),
            Self::NoRoute | Self::NoRouteToNames | Self::RouteRefuses => ("no_route", "routes".to_owned()),
            Self::LinkOff | Self::NoSignal => ("link_down", plan.link.clone()),
            Self::BlackHole => ("mtu", plan.host.to_string()),
            Self::FirewallHere | Self::FirewallThere => ("firewall", port),
            Self::FirewallHereAll => ("firewall", plan.host.to_string()),
            Self::PortClosed => ("port_closed", port),
            Self::HostDown => ("host_down", port),
            // Nobody allowed aiOS to go there, so it says that it knows nothing.
            Self::HostPrivate => ("not_looked_at", "host".to_owned()),
        }
    }

    /// Whether the host itself can be worked with, by its address.
    fn leaves_the_host(self) -> bool {
        matches!(
            self,
            Self::NamesSilent | Self::NamesFail | Self::NameUnknown | Self::HostPrivate
        )
    }

    fn names(self) -> Names {
        match self {
            Self::NamesSilent => Names::Silent,
            Self::NamesFail => Names::Fails,
            Self::NameUnknown => Names::Unknown,
            _ => Names::Known,
        }
    }

    /// Breaks the network that was well.
    fn spoil(self, plan: &Plan, world: &World, random: &mut Random) -> Result<()> {
        let (host, port, link) = (plan.host, plan.port, &plan.link);
        match self {
            Self::NoRoute | Self::NoRouteToNames => ip("route delete default"),
            Self::RouteRefuses => ip(&format!("route add unreachable {host}/32")),
            Self::LinkOff => ip(&format!("link set {link} down")),
            Self::NoSignal => world.ip("link set way0 down"),
            // What asks for smaller packets is dropped too, or never sent.
            Self::BlackHole => {
                let most = random.between(1000, 1440);
                world.filter(&format!("ip length > {most} drop"))
            }
            Self::FirewallHere => filter(&format!("ip daddr {host} tcp dport {port} drop")),
            Self::FirewallHereAll => filter(&format!("ip daddr {host} drop")),
            Self::FirewallThere => world.filter(&format!("tcp dport {port} drop")),
            Self::HostDown => world.ip(&format!("address delete {host}/32 dev lo")),
            Self::NamesSilent
            | Self::NamesFail
            | Self::NameUnknown
            | Self::PortClosed
            | Self::HostPrivate => Ok(()),
        }
    }
}

impl Fault for Unreachable {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn make(&self, _place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        super::program::must_be_apart()?;
        let why = self.0;
        let mut plan = Plan::new(random)?;
        if why == Why::NoRouteToNames {
            plan.names_far(random)?;
        }
        if broken {
            plan.zone.names = why.names();
            if why == Why::HostPrivate {
                plan.host_private(random)?;
            }
        }
        let mut world = World::new(&plan)?;
        world.serve_names()?;
        if !(broken && why == Why::PortClosed) {
            world.serve()?;
        }
        if broken {
            why.spoil(&plan, &world, random)?;
            ensure!(
                usable(&plan).is_ok() == why.leaves_the_host(),
                "the fault was not made"
            );
        } else if why == Why::BlackHole {
            // A link that takes less than others, and says so, is well.
            let most = random.between(1280, 1492);
            ip(&format!("link set {} mtu {most}", plan.link))?;
        }
        let (port, name) = (plan.port, plan.name.clone());
        let goals = [
            format!("why can i not reach port {port} of {name}"),
            format!("find out why we cannot reach port {port} on the host {name}"),
            format!("check the connection to port {port} of {name}"),
        ];
        let wanted = broken.then(|| {
            let (cause, subject) = why.wanted(&plan);
            Wanted {
                cause,
                subject,
                repairs: false,
            }
        });
        Ok(Made {
            goal: random.one_of(&goals)?.clone(),
            wanted,
            needed: Vec::new(),
            healthy: Box::new(move || usable(&plan)),
            _held: vec![Box::new(world)],
        })
    }
}
