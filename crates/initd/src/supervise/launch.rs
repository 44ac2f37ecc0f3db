//! From a service's file to a running, confined process.

use super::clock::Stamp;
use super::sockets::Held;
use super::unit::Process;
use super::users::{self, Account};
use super::world::World;
use super::{notify, watch};
use crate::boot;
use crate::error::{InitError, Result};
use crate::spec::{Ready, Spec};
use aios_confine::caps::CapSet;
use aios_confine::cgroup::{self, Cgroup};
use aios_confine::machine::Feature;
use aios_confine::plan::{Capabilities, Limit, Plan, Resource};
use aios_confine::spawn::{Program, pidfd_signal, spawn};
use aios_confine::view::{Bind, View};
use aios_confine::{ConfineError, Degradation};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often and how long strays are waited for.
const STRAYS: (u32, Duration) = (200, Duration::from_millis(10));
/// By so much the kernel rounds the start of a process.
const TICK: Duration = Duration::from_millis(20);

/// Descriptors that go into the process.
pub(crate) struct Wiring<'a> {
    pub(crate) log: &'a OwnedFd,
    pub(crate) sockets: &'a [Held],
    /// End of a pipe on which a newline means ready.
    pub(crate) ready: Option<OwnedFd>,
}

/// What came of it.
pub(crate) struct Launched {
    pub(crate) process: Process,
    pub(crate) degradations: Vec<Degradation>,
}

/// Starts a service.
pub(crate) fn launch(world: &World, spec: &Spec, wiring: &Wiring<'_>) -> Result<Launched> {
    let confine = |source: ConfineError| InitError::Confine {
        service: spec.name.clone(),
        source,
    };
    let account = users::account(spec)?;
    let group = make_group(world, spec, &account)?;
    let plan = plan(world, spec, &account, group.as_ref())?;
    let prepared = plan
        .prepare(&world.machine, world.config.allow_degraded)
        .map_err(confine)?;
    let null = File::open("/dev/null").map_err(InitError::path("cannot open", "/dev/null"))?;
    let mut fds: Vec<_> = wiring.sockets.iter().map(|socket| socket.fd.as_fd()).collect();
    fds.extend(wiring.ready.as_ref().map(AsFd::as_fd));
    let mut command = spec.command.iter();
    let path = command.next().map(PathBuf::from).unwrap_or_default();
    let own_pid_in: Vec<&str> = [
        ("LISTEN_PID", !wiring.sockets.is_empty()),
        ("WATCHDOG_PID", spec.watchdog_ms > 0),
    ]
    .into_iter()
    .filter_map(|(name, set)| set.then_some(name))
    .collect();
    let program = Program {
        path,
        args: command.map(OsString::from).collect(),
        env: environment(world, spec, &account, wiring),
        stdio: [null.as_fd(), wiring.log.as_fd(), wiring.log.as_fd()],
        fds,
        own_pid_in: &own_pid_in,
    };
    let spawned = spawn(&program, &prepared).map_err(confine)?;
    let process = Process {
        pid: spawned.pid,
        starttime: watch::starttime(spawned.pid).unwrap_or(0),
        pidfd: Arc::new(spawned.pidfd),
    };
    let launched = Launched {
        process,
        degradations: prepared.degradations().to_vec(),
    };
    check_label(world, spec, &launched).map(|()| launched)
}

/// The kernel's word that the process is under its AppArmor profile; else it does not go on.
fn check_label(world: &World, spec: &Spec, launched: &Launched) -> Result<()> {
    let profile = &spec.confine.apparmor;
    if profile.is_empty() || !world.machine.has(Feature::AppArmor) {
        return Ok(());
    }
    let path = PathBuf::from(format!("/proc/{}/attr/apparmor/current", launched.process.pid));
    match std::fs::read_to_string(&path) {
        Ok(label) if label.split_whitespace().next() == Some(profile) => Ok(()),
        // It ended already; its exit status says more.
        Err(error) if [Some(nix::libc::ESRCH), Some(nix::libc::ENOENT)].contains(&error.raw_os_error()) => {
            Ok(())
        }
        other => {
            let source = std::io::Error::other(format!("label is {other:?}, not {profile}"));
            pidfd_signal(launched.process.pidfd.as_fd(), nix::libc::SIGKILL)
                .map_err(InitError::system("cannot end an unconfined process"))?;
            waitid(Id::PIDFd(launched.process.pidfd.as_fd()), WaitPidFlag::WEXITED)
                .map_err(InitError::system("cannot reap an unconfined process"))?;
            Err(InitError::Confine {
                service: spec.name.clone(),
                source: ConfineError::Step {
                    step: "apparmor",
                    source,
                },
            })
        }
    }
}

/// Where a service's processes are. None on a machine without cgroup v2.
pub(crate) fn group_of(world: &World, spec: &Spec) -> Option<Cgroup> {
    let root = boot::cgroup_root(world)?;
    let slice = root.join(&spec.confine.slice);
    Some(Cgroup::at(if spec.confine.delegate {
        slice.join("leaf")
    } else {
        slice.join(&spec.name)
    }))
}

/// Ends what a supervisor started that died before it knew of it. In the group of a service that owns its slice
/// there are processes that go on; there only what is younger than the start.
pub(crate) fn end_strays(world: &World, spec: &Spec, started: Stamp) -> Result<()> {
    let confine = |source| InitError::Confine {
        service: spec.name.clone(),
        source,
    };
    let Some(group) = group_of(world, spec).filter(|group| group.path().exists()) else {
        return Ok(());
    };
    let ago = Duration::from_millis(Stamp::now().since(started)) + TICK;
    let since = crate::sys::since_boot().saturating_sub(ago);
    let young = |pid: &i32| watch::since_boot(*pid).is_some_and(|started| started >= since);
    for _ in 0..STRAYS.0 {
        let mut strays = group.processes().map_err(confine)?;
        strays.retain(|pid| !spec.confine.delegate || young(pid));
        if strays.is_empty() {
            return Ok(());
        }
        for pid in strays {
            tracing::warn!(service = spec.name, pid, "ended: nobody knew of it");
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        super::stopping::nap(STRAYS.1);
    }
    Err(InitError::NotStarted {
        service: spec.name.clone(),
        reason: "what was started before does not end".into(),
    })
}

fn make_group(world: &World, spec: &Spec, account: &Account) -> Result<Option<Cgroup>> {
    let confine = |source| InitError::Confine {
        service: spec.name.clone(),
        source,
    };
    let Some(group) = group_of(world, spec) else {
        return Ok(None);
    };
    let group = Cgroup::create(group.path()).map_err(confine)?;
    if spec.confine.delegate {
        let (uid, gid) = (account.identity.uid, account.identity.gid);
        let slice = group.path().parent().map_or_else(|| group.clone(), Cgroup::at);
        slice
            .delegate(uid, gid)
            .and_then(|()| group.delegate(uid, gid))
            .map_err(confine)?;
    }
    let limits = cgroup::Limits {
        memory_bytes: spec.limits.memory_bytes,
        memory_high_bytes: spec.limits.memory_high_bytes,
        pids: spec.limits.pids,
        cpu_weight: spec.limits.cpu_weight,
        io_weight: spec.limits.io_weight,
        whole: !spec.confine.delegate,
    };
    if world.machine.has(Feature::Controllers) {
        group.limit(&limits).map_err(confine)?;
    }
    Ok(Some(group))
}

fn plan(world: &World, spec: &Spec, account: &Account, group: Option<&Cgroup>) -> Result<Plan> {
    let wanted = &spec.confine;
    let capabilities = if wanted.setuid_helpers {
        Capabilities::Untouched
    } else {
        let set = |names: &[String]| {
            CapSet::of(names).map_err(|source| InitError::Confine {
                service: spec.name.clone(),
                source,
            })
        };
        let more = set(&wanted.capabilities_if_there)?;
        Capabilities::Keep(set(&wanted.capabilities)?.with_those_of(more, CapSet::bounding()))
    };
    let named = |text: &String| (!text.is_empty()).then(|| text.clone());
    Ok(Plan {
        identity: Some(account.identity.clone()),
        capabilities,
        no_new_privs: wanted.no_new_privs,
        apparmor: named(&wanted.apparmor),
        landlock: None,
        seccomp: named(&wanted.seccomp),
        cgroup: group.map(|group| group.path().to_path_buf()),
        view: view(world, spec, account),
        limits: limits(world, spec),
        umask: u32::from_str_radix(&wanted.umask, 8).ok(),
        // Not as ours, which on a booted machine is lower than any service's.
        oom_score_adj: spec.limits.oom_score_adj.or(world.booted.then_some(0)),
        directory: Some(working_directory(spec, account)),
        parent_death_signal: 0,
        new_session: true,
    })
}

/// Where a service runs.
pub(crate) fn working_directory(spec: &Spec, account: &Account) -> PathBuf {
    if !spec.working_directory.is_empty() {
        return PathBuf::from(&spec.working_directory);
    }
    if spec.runtime_dir && account.home.is_dir() {
        account.home.clone()
    } else {
        PathBuf::from("/")
    }
}

/// The directory of the notification socket is put back into every view.
fn view(world: &World, spec: &Spec, account: &Account) -> Option<View> {
    let wanted = &spec.confine;
    if wanted.hide.is_empty() && wanted.hide_if_there.is_empty() && wanted.read_only.is_empty() {
        return None;
    }
    let uid = account.identity.uid.to_string();
    let paths = |list: &[String]| -> Vec<PathBuf> {
        list.iter()
            .map(|path| PathBuf::from(path.replace("${UID}", &uid)))
            .collect()
    };
    let mut bind: Vec<Bind> = paths(&wanted.bind).into_iter().map(Bind::writable).collect();
    bind.extend(paths(&wanted.bind_read_only).into_iter().map(Bind::read_only));
    let there = paths(&wanted.bind_read_only_if_there)
        .into_iter()
        .filter(|path| path.exists());
    bind.extend(there.map(Bind::read_only));
    let hide = paths(&wanted.hide);
    if let Some(directory) = notify::path(world)
        .parent()
        .filter(|d| hide.iter().any(|h| d.starts_with(h)))
    {
        bind.push(Bind::writable(directory));
    }
    Some(View {
        hide,
        hide_if_there: paths(&wanted.hide_if_there),
        bind,
        read_only: paths(&wanted.read_only),
    })
}

fn limits(world: &World, spec: &Spec) -> Vec<Limit> {
    let (soft, hard) = match spec.limits.open_files {
        Some(files) => (files, files),
        None => world.files,
    };
    vec![
        Limit {
            resource: Resource::Core,
            soft: 0,
            hard: 0,
        },
        Limit {
            resource: Resource::Nofile,
            soft,
            hard,
        },
    ]
}

/// Later entries win, so that a service's file can change anything.
fn environment(
    world: &World,
    spec: &Spec,
    account: &Account,
    wiring: &Wiring<'_>,
) -> Vec<(OsString, OsString)> {
    let mut env: BTreeMap<OsString, OsString> = BTreeMap::new();
    let mut set = |name: &str, value: &dyn AsRef<OsStr>| {
        env.insert(name.into(), value.as_ref().into());
    };
    set(
        "PATH",
        &"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    );
    set("LANG", &"C.UTF-8");
    set("HOME", &account.home);
    set("USER", &spec.user);
    for (name, path) in world.paths.to_env() {
        set(name, &path);
    }
    for (name, value) in passed_through(world) {
        set(&name.to_string_lossy(), &value);
    }
    if spec.runtime_dir {
        set("XDG_RUNTIME_DIR", &runtime_dir(account));
    }
    for (name, value) in &spec.environment {
        set(name, &value.replace("${UID}", &account.identity.uid.to_string()));
    }
    if spec.ready == Ready::Notify || spec.watchdog_ms > 0 {
        set("NOTIFY_SOCKET", &notify::path(world));
    }
    if spec.watchdog_ms > 0 {
        set(
            "WATCHDOG_USEC",
            &spec.watchdog_ms.saturating_mul(1000).to_string(),
        );
    }
    if wiring.ready.is_some() {
        set("READY_FD", &(3 + wiring.sockets.len()).to_string());
    }
    if !wiring.sockets.is_empty() {
        let names: Vec<&str> = wiring.sockets.iter().map(|socket| socket.name.as_str()).collect();
        set("LISTEN_FDS", &wiring.sockets.len().to_string());
        set("LISTEN_FDNAMES", &names.join(":"));
    }
    env.into_iter().collect()
}

/// The `/run/user/UID` of a service's user.
pub(crate) fn runtime_dir(account: &Account) -> PathBuf {
    Path::new("/run/user").join(account.identity.uid.to_string())
}

/// Of our own environment: on a development tree what configures aiOS (log filters, failpoints,
/// configuration), on a machine nothing.
fn passed_through(world: &World) -> Vec<(OsString, OsString)> {
    if world.booted {
        return Vec::new();
    }
    let own = [
        "AIOS_VENDOR_DIR",
        "AIOS_ETC_DIR",
        "AIOS_STATE_DIR",
        "AIOS_RUN_DIR",
    ];
    std::env::vars_os()
        .filter(|(name, _)| {
            let name = name.to_string_lossy();
            name == "RUST_BACKTRACE" || (name.starts_with("AIOS_") && !own.contains(&&*name))
        })
        .collect()
}
