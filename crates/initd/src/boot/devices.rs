//! udev, and the devices that were there before it.
//!
//! Nothing that aiOS starts waits for udev: device nodes are the kernel's own (devtmpfs), and disks of aiOS are mounted by
//! then. But on a small machine its workers take more of the processor than all services together, just when those start.
//! So udev has a control group of its own, which runs where nobody else wants the processor until the services are ready, but
//! for some seconds at most: whoever asks udev something (`udevadm settle`) gives up when it does not answer. From then on it is an equal.

use super::hardware::tool;
use super::{Outcome, Setup};
use crate::error::{InitError, Result};
use crate::supervise::World;
use aios_confine::cgroup::Cgroup;
use aios_confine::machine::{Feature, Machine};
use aios_confine::plan::Plan;
use aios_confine::spawn::{Program, spawn};
use aios_core::tasks::Tasks;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

const UDEVD: &str = "/usr/lib/systemd/systemd-udevd";
/// As long as udev stands back at most: less than what `udevadm` waits for an answer.
const BEHIND: Duration = Duration::from_secs(4);
const UDEVADM: &str = "/usr/bin/udevadm";
/// Below the root of the hierarchy, beside aiOS's.
const GROUP: &str = "udev";

/// Starts udev and lets it see the devices that were there before it. It goes on with them while
/// services start.
pub(super) fn start(world: &mut World, _: &mut Setup) -> Result<Outcome> {
    if !Path::new(UDEVD).exists() {
        return Ok(Outcome::Skipped("no udev"));
    }
    match group(&world.machine, false)? {
        Some(group) => within(&world.machine, &group)?,
        None => tool(UDEVD, &["--daemon"])?,
    }
    // The daemon leaves its starter before it listens to the kernel: what is triggered before it answers is lost.
    tool(UDEVADM, &["control", "--ping"])?;
    group(&world.machine, true)?;
    tool(UDEVADM, &["trigger", "--type=subsystems", "--action=add"])?;
    tool(UDEVADM, &["trigger", "--type=devices", "--action=add"])?;
    Ok(Outcome::Done("events are handled in the background".into()))
}

/// The services are ready: from now on what is plugged in is as urgent as anything.
pub(crate) fn make_equal(world: &World) {
    if world.own_machine {
        equal(&world.machine);
    }
}

fn equal(machine: &Machine) {
    if let Err(error) = group(machine, false) {
        tracing::warn!(%error, "udev still stands back behind services");
    }
}

/// Has udev stand back no longer than it may, also where services take minutes or a supervisor died meanwhile.
pub(crate) fn end_in_time(world: &World, tasks: &Tasks) {
    if !world.own_machine {
        return;
    }
    let (machine, token) = (world.machine.clone(), tasks.token());
    tasks.spawn("udev", async move {
        tokio::select! {
            () = token.cancelled() => {}
            () = tokio::time::sleep(BEHIND) => equal(&machine),
        }
    });
}

/// Its group, which stands back or does not; none on a machine without that controller.
fn group(machine: &Machine, behind: bool) -> Result<Option<Cgroup>> {
    let Some(top) = machine
        .cgroup_root
        .as_ref()
        .filter(|_| machine.has(Feature::Controllers))
    else {
        return Ok(None);
    };
    let group = Cgroup::create(top.join(GROUP)).map_err(confine)?;
    group.stand_back(behind).map_err(confine)?;
    Ok(Some(group))
}

/// Starts the daemon in its group.
fn within(machine: &Machine, group: &Cgroup) -> Result<()> {
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(InitError::path("cannot open", "/dev/null"))?;
    let plan = Plan {
        cgroup: Some(group.path().to_owned()),
        ..Plan::default()
    };
    let program = Program {
        path: UDEVD.into(),
        args: vec!["--daemon".into()],
        env: std::env::vars_os().collect(),
        stdio: [null.as_fd(), null.as_fd(), null.as_fd()],
        fds: Vec::new(),
        own_pid_in: &[],
    };
    let prepared = plan.prepare(machine, true).map_err(confine)?;
    let spawned = spawn(&program, &prepared).map_err(confine)?;
    let ended = waitid(Id::PIDFd(spawned.pidfd.as_fd()), WaitPidFlag::WEXITED)
        .map_err(InitError::system("cannot wait for udev"))?;
    match ended {
        WaitStatus::Exited(_, 0) => Ok(()),
        other => Err(InitError::path("failed:", UDEVD)(std::io::Error::other(format!(
            "{other:?}"
        )))),
    }
}

fn confine(source: aios_confine::ConfineError) -> InitError {
    InitError::Confine {
        service: GROUP.into(),
        source,
    }
}
