//! What happens before the first service: named phases with times, for a person to read.
//!
//! A phase that cannot do its work says why and the boot goes on, unless nothing could work without it
//! (directories). On a development tree the phases that belong to a machine are skipped and say so.

mod accounts;
mod admin;
#[cfg(test)]
mod apart;
mod clock;
mod cmdline;
mod deployment;
mod devices;
mod dirs;
mod drop_in;
mod firewall;
mod given;
mod hardware;
mod hostname;
mod leftovers;
mod machine_id;
mod network;
mod profiles;
mod resolver;
mod screen;
mod settings;
mod ssh;
mod sysctl;
mod watch;

pub(crate) use clock::save as save_clock;
pub(crate) use devices::{end_in_time as end_of_udevs_wait, make_equal as udev_is_equal};
pub(crate) use dirs::of_service as dirs_of_service;

use crate::error::Result;
use crate::link::MOUNTED;
use crate::spec::Spec;
use crate::supervise::World;
use aios_confine::cgroup::Cgroup;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The phases of this boot.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Boot {
    pub(crate) phases: Vec<Phase>,
    /// Services that phases have started, although their files do not enable them: on other machines than booted ones
    /// they would have nothing to do, or too much.
    #[serde(default)]
    starts: BTreeSet<String>,
}

impl Boot {
    /// Adds a phase that has just ended; the console names one that failed.
    fn note(&mut self, world: &World, name: &str, start_ms: u64, result: &Result<Outcome>) {
        if let Err(error) = result {
            crate::supervise::console(world, &format!("{name} failed: {error}"));
        }
        self.phases.push(Phase::of(name, start_ms, result));
    }
}

/// One phase.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) start_ms: u64,
    pub(crate) duration_ms: u64,
    /// `done`, `failed`, `skipped`, `running`.
    pub(crate) state: String,
    pub(crate) message: String,
}

impl Phase {
    /// One that has just ended.
    fn of(name: &str, start_ms: u64, result: &Result<Outcome>) -> Self {
        let (state, message) = match result {
            Ok(Outcome::Done(message)) => ("done", message.clone()),
            Ok(Outcome::Skipped(why)) => ("skipped", (*why).to_owned()),
            Err(error) => ("failed", error.to_string()),
        };
        let duration_ms = uptime_ms().saturating_sub(start_ms);
        tracing::info!(phase = name, state, message, duration_ms, "boot");
        Self {
            name: name.into(),
            start_ms,
            duration_ms,
            state: state.into(),
            message,
        }
    }

    /// One that failed outside the list.
    pub(crate) fn failed(name: &str, message: &str) -> Self {
        let start_ms = uptime_ms();
        Self {
            name: name.into(),
            start_ms,
            duration_ms: 0,
            state: "failed".into(),
            message: message.into(),
        }
    }

    /// One that began at `start_ms` and ends now; it failed if critical services are missing.
    pub(crate) fn since(name: &str, start_ms: u64, missing: &[&str]) -> Self {
        let (state, message) = match missing {
            [] => ("done", String::new()),
            _ => ("failed", format!("not ready: {}", missing.join(", "))),
        };
        let duration_ms = uptime_ms().saturating_sub(start_ms);
        Self {
            name: name.into(),
            start_ms,
            duration_ms,
            state: state.into(),
            message,
        }
    }
}

/// What a phase did.
pub(crate) enum Outcome {
    Done(String),
    Skipped(&'static str),
}

/// What phases tell those that come after them.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    /// Whether the kernel drops what nobody opened; no interface is brought up before.
    pub(crate) firewall: bool,
    /// Whether the administrator signs in over SSH.
    ssh: bool,
    starts: BTreeSet<String>,
}

impl Setup {
    /// Has a service started that its file does not enable.
    fn start(&mut self, service: &str) {
        self.starts.insert(service.to_owned());
    }
}

type Work = fn(&mut World, &mut Setup) -> Result<Outcome>;

/// A phase before it ran.
struct Named {
    name: &'static str,
    /// Whether it belongs to a booted machine only.
    machine: bool,
    work: Work,
}

/// A phase of a booted machine.
const fn machine(name: &'static str, work: Work) -> Named {
    Named {
        name,
        machine: true,
        work,
    }
}

/// Phases between the essential mounts, which PID 1 makes, and the reading of the services' files.
const PHASES: [Named; 19] = [
    machine("shared-root", settings::share_root),
    machine("leftovers", leftovers::remove),
    machine("clock", clock::start),
    machine("machine-id", machine_id::make),
    machine("accounts", accounts::add),
    machine("tmpfiles", hardware::tmpfiles),
    Named {
        name: "cgroups",
        machine: false,
        work: cgroups,
    },
    machine("modules", hardware::modules),
    machine("deployment", deployment::observe),
    machine("interface-names", network::name_links),
    machine("devices", devices::start),
    machine("kernel-settings", sysctl::apply),
    machine("apparmor", profiles::load),
    machine("given", given::take),
    machine("hostname", hostname::set),
    machine("ssh", ssh::prepare),
    machine("firewall", firewall::load),
    machine("loopback", settings::loopback),
    machine("network", network::configure),
];

/// Sets the machine up. For a successor of a killed supervisor there is nothing to do.
pub(crate) fn run(world: &mut World) -> Boot {
    if world.generation > 0 {
        return crate::supervise::recalled_boot(world);
    }
    let mut boot = Boot::default();
    let mut setup = Setup::default();
    boot.phases.push(mounted());
    for named in PHASES {
        let start_ms = uptime_ms();
        let result = if named.machine && !world.own_machine {
            Ok(Outcome::Skipped("not a booted machine"))
        } else {
            (named.work)(world, &mut setup)
        };
        boot.note(world, named.name, start_ms, &result);
    }
    boot.starts = setup.starts;
    boot
}

/// What is left before services start: enabling those that phases ask for, and the directories. Nothing works without
/// them.
pub(crate) fn before_services(
    world: &World,
    specs: &mut BTreeMap<String, Spec>,
    boot: &mut Boot,
) -> Result<()> {
    for (_, spec) in specs.iter_mut().filter(|(name, _)| boot.starts.contains(*name)) {
        spec.enabled = true;
    }
    if world.generation == 0 {
        let start_ms = uptime_ms();
        let result = dirs::make(world, specs);
        boot.note(world, "directories", start_ms, &result);
        result?;
    }
    if world.own_machine {
        watch::start(&world.paths);
    }
    Ok(())
}

/// The phase that PID 1 made before us.
fn mounted() -> Phase {
    let text = std::env::var(MOUNTED).unwrap_or_default();
    let mut numbers = text.split(' ').filter_map(|word| word.parse::<u64>().ok());
    let (start_ms, duration_ms) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let here = start_ms > 0;
    Phase {
        name: "mount-essentials".into(),
        start_ms,
        duration_ms,
        state: if here { "done" } else { "skipped" }.into(),
        message: if here { "" } else { "not process 1" }.into(),
    }
}

/// Milliseconds since the machine started.
pub(crate) fn uptime_ms() -> u64 {
    let now = crate::sys::since_boot();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Directory of all cgroups of this instance: `aios` on a booted machine, one of its own below `aios`
/// for a development tree. None without cgroup v2.
pub(crate) fn cgroup_root(world: &World) -> Option<PathBuf> {
    let root = world.machine.cgroup_root.as_ref()?.join("aios");
    if world.booted {
        return Some(root);
    }
    let name = world
        .paths
        .run
        .to_string_lossy()
        .trim_matches('/')
        .replace(['/', '.'], "-");
    let tail: String = name
        .chars()
        .rev()
        .take(80)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    Some(root.join(format!("dev-{tail}")))
}

fn cgroups(world: &mut World, _: &mut Setup) -> Result<Outcome> {
    let failed = |source| crate::error::InitError::Confine {
        service: "cgroups".into(),
        source,
    };
    let Some(root) = cgroup_root(world) else {
        return Ok(Outcome::Skipped("no cgroup v2 on this machine"));
    };
    // What an instance that was killed left behind.
    if root.exists() && !world.booted {
        Cgroup::at(&root).kill().map_err(failed)?;
    }
    let mut enabled = Vec::new();
    if let Some(top) = &world.machine.cgroup_root {
        for path in [top.clone(), top.join("aios"), root.clone()] {
            enabled = Cgroup::create(path)
                .map_err(failed)?
                .enable_controllers()
                .map_err(failed)?;
        }
    }
    for slice in ["services", "workers", "agents"] {
        let slice = Cgroup::create(root.join(slice)).map_err(failed)?;
        slice.enable_controllers().map_err(failed)?;
    }
    Ok(Outcome::Done(if enabled.is_empty() {
        "tracking only: no controllers".to_owned()
    } else {
        enabled.join(" ")
    }))
}
