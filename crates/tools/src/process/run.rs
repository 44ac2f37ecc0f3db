//! Runs a program to its end, confined, and lets nothing of it survive.
//!
//! It leads a session of its own and gets no privilege, ever: no capability, no-new-privileges, the
//! `worker` system call filter (so no network). When it has ended, or its time is up, everything that it
//! started is killed: what is in its session, and what left the session, which the kernel gives to this
//! process because it is a subreaper. If this process dies, the kernel kills the program.

use super::args::{Ending, Output, SpawnResult};
use super::plan::Launch;
use super::table::{Handle, Proc, all};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use aios_confine::machine::Machine;
use aios_confine::plan::{Capabilities, Identity, Limit, Plan as Confinement, Resource};
use aios_confine::spawn::{Program, Spawned, spawn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, set_child_subreaper, waitid};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Between two looks at whether the call was cancelled.
const SLICE: Duration = Duration::from_millis(50);
/// Time for the killing and the answer.
pub(super) const MARGIN: Duration = Duration::from_secs(3);
/// How long what was killed is waited for.
const DYING: Duration = Duration::from_secs(2);
const SIGKILL: i32 = 9;
/// Where programs are that it starts itself.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The whole environment of a program.
pub(super) fn environment(given: &std::collections::BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut env = std::collections::BTreeMap::from([
        ("LC_ALL".to_owned(), "C".to_owned()),
        ("PATH".to_owned(), SEARCH_PATH.to_owned()),
    ]);
    env.extend(given.clone());
    env.into_iter().collect()
}

fn confinement(launch: &Launch) -> Confinement {
    Confinement {
        identity: Some(Identity {
            uid: launch.uid,
            gid: launch.gid,
            groups: Vec::new(),
        }),
        capabilities: Capabilities::Keep(aios_confine::caps::CapSet::EMPTY),
        no_new_privs: true,
        seccomp: Some("worker".to_owned()),
        limits: vec![Limit {
            resource: Resource::Core,
            soft: 0,
            hard: 0,
        }],
        umask: Some(0o022),
        directory: Some(launch.cwd.clone().into()),
        parent_death_signal: SIGKILL,
        new_session: true,
        ..Confinement::default()
    }
}

/// One stream of a program.
struct Stream {
    fd: Option<OwnedFd>,
    kept: Vec<u8>,
    cap: usize,
    bytes: u64,
}

impl Stream {
    fn new(fd: OwnedFd, cap: u64) -> Self {
        Self {
            fd: Some(fd),
            kept: Vec::new(),
            cap: usize::try_from(cap).unwrap_or(usize::MAX),
            bytes: 0,
        }
    }

    /// Takes what is there; closed at its end.
    fn take(&mut self) -> Result<()> {
        let Some(fd) = &self.fd else { return Ok(()) };
        let mut buffer = [0; 16_384];
        match rustix::io::read(fd, &mut buffer) {
            Ok(0) => self.fd = None,
            Ok(count) => {
                self.bytes = self.bytes.saturating_add(count as u64);
                let room = self.cap.saturating_sub(self.kept.len()).min(count);
                self.kept.extend(buffer.iter().take(room));
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(ToolError::io("read", "the program's output", errno)),
        }
        Ok(())
    }

    fn output(self) -> Output {
        Output {
            truncated: self.bytes > self.kept.len() as u64,
            bytes: self.bytes,
            text: String::from_utf8_lossy(&self.kept).into_owned(),
        }
    }
}

/// Why nothing more was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Ended,
    TimedOut,
    Cancelled,
}

/// The program and what belongs to it.
struct Family {
    /// Number of the program, and of its session.
    main: i32,
    /// Children of this process that were there before, and are none of its.
    strangers: BTreeSet<Proc>,
}

/// A program that was started.
pub(super) struct Running {
    spawned: Spawned,
    streams: [Stream; 2],
    family: Family,
    begun: Instant,
}

/// Starts a program.
///
/// # Errors
/// It was not started.
pub(super) fn start(launch: &Launch) -> Result<Running> {
    let begun = Instant::now();
    // A program that starts others and ends leaves them to this process, and not to process 1.
    set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|errno| ToolError::io("become parent of", &launch.path, errno))?;
    let strangers = children()?;
    let (spawned, streams) = fork(launch)?;
    let family = Family {
        main: spawned.pid,
        strangers,
    };
    Ok(Running {
        spawned,
        streams,
        family,
        begun,
    })
}

impl Running {
    /// Which process it is. It was not waited for, so its number is still its own, even if it has ended.
    pub(super) fn process(&self) -> Result<Proc> {
        super::table::seen(self.spawned.pid)
            .map(|seen| seen.proc())
            .ok_or_else(|| super::table::missing(self.spawned.pid))
    }

    /// Waits for its end, and ends what is left. `known` says whether all went well so far: a program that
    /// nobody knows of is killed at once.
    pub(super) fn wait(mut self, launch: &Launch, known: Result<()>, budget: &Budget) -> Result<SpawnResult> {
        let allowed = Duration::from_millis(launch.run_ms).min(budget.left().saturating_sub(MARGIN));
        let until = self.begun + allowed;
        let watched = known.and_then(|()| watch(&self.spawned, &mut self.streams, until, budget));
        let by_itself = matches!(watched, Ok(Over::Ended));
        let (left_behind, not_killed) = self.family.end(by_itself)?;
        let status = reap(&self.spawned)?;
        drain(&mut self.streams)?;
        let over = watched?;
        let exit_code = status.as_ref().and_then(WaitIdStatus::exit_status);
        let signal = status.as_ref().and_then(WaitIdStatus::terminating_signal);
        let [stdout, stderr] = self.streams;
        Ok(SpawnResult {
            path: launch.path.clone(),
            pid: self.spawned.pid,
            ending: match over {
                Over::Ended if signal.is_some() => Ending::Signalled,
                Over::Ended => Ending::Exited,
                Over::TimedOut => Ending::TimedOut,
                Over::Cancelled => Ending::Cancelled,
            },
            exit_code,
            signal,
            stdout: stdout.output(),
            stderr: stderr.output(),
            left_behind,
            not_killed,
            ran_ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            tainted: true,
        })
    }
}

fn fork(launch: &Launch) -> Result<(Spawned, [Stream; 2])> {
    let failed =
        |error: aios_confine::ConfineError| ToolError::io("run", &launch.path, std::io::Error::other(error));
    let system = |errno: Errno| ToolError::io("run", &launch.path, errno);
    let prepared = confinement(launch)
        .prepare(&Machine::default(), false)
        .map_err(failed)?;
    let null =
        rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(system)?;
    let (out, out_end) = pipe_with(PipeFlags::CLOEXEC).map_err(system)?;
    let (err, err_end) = pipe_with(PipeFlags::CLOEXEC).map_err(system)?;
    let program = Program {
        path: launch.path.clone().into(),
        args: launch.arguments.iter().map(Into::into).collect(),
        env: launch
            .env
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        stdio: [null.as_fd(), out_end.as_fd(), err_end.as_fd()],
        fds: Vec::new(),
        own_pid_in: &[],
    };
    let spawned = spawn(&program, &prepared).map_err(failed)?;
    let streams = [out, err].map(|fd| Stream::new(fd, launch.max_output_bytes));
    Ok((spawned, streams))
}

/// Takes the program's output until it ends, its time is up, or the call is cancelled.
fn watch(spawned: &Spawned, streams: &mut [Stream; 2], until: Instant, budget: &Budget) -> Result<Over> {
    loop {
        match budget.check() {
            Err(ToolError::Cancelled) => return Ok(Over::Cancelled),
            Err(_) => return Ok(Over::TimedOut),
            Ok(()) => {}
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Over::TimedOut);
        }
        if listen(Some(spawned.pidfd.as_fd()), streams, left.min(SLICE))? {
            return Ok(Over::Ended);
        }
    }
}

/// Waits for output or the end, takes the output; whether it has ended.
fn listen(
    pidfd: Option<rustix::fd::BorrowedFd<'_>>,
    streams: &mut [Stream; 2],
    within: Duration,
) -> Result<bool> {
    let timeout = Timespec {
        tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(within.subsec_nanos()),
    };
    let (mut ended, mut ready) = (false, [false; 2]);
    {
        let mut polled: Vec<(Option<usize>, PollFd<'_>)> = Vec::with_capacity(3);
        if let Some(pidfd) = pidfd {
            polled.push((None, PollFd::from_borrowed_fd(pidfd, PollFlags::IN)));
        }
        for (index, stream) in streams.iter().enumerate() {
            if let Some(fd) = &stream.fd {
                polled.push((Some(index), PollFd::new(fd, PollFlags::IN)));
            }
        }
        let mut fds: Vec<PollFd<'_>> = polled.iter().map(|(_, fd)| fd.clone()).collect();
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(ToolError::io("wait for", "the program", errno)),
        }
        for ((which, _), fd) in polled.iter().zip(&fds) {
            let hot = !fd.revents().is_empty();
            match which.and_then(|index| ready.get_mut(index)) {
                Some(slot) => *slot = hot,
                None => ended |= hot,
            }
        }
    }
    for (stream, ready) in streams.iter_mut().zip(ready) {
        if ready {
            stream.take()?;
        }
    }
    Ok(ended)
}

/// Takes what still lies in the pipes. Nobody writes any more, unless something could not be killed.
fn drain(streams: &mut [Stream; 2]) -> Result<()> {
    let until = Instant::now() + DYING;
    while streams.iter().any(|stream| stream.fd.is_some()) && Instant::now() < until {
        listen(None, streams, SLICE)?;
    }
    Ok(())
}

/// Processes that have this one as their parent.
fn children() -> Result<BTreeSet<Proc>> {
    let me = rustix::process::getpid().as_raw_nonzero().get();
    let everything = all(&forever())?;
    Ok(everything
        .iter()
        .filter(|seen| seen.stat.ppid == me)
        .map(|seen| seen.proc())
        .collect())
}

/// The killing is not subject to the call's own time.
fn forever() -> Budget {
    Budget::of_ms(60_000)
}

impl Family {
    /// Kills what belongs to the program and still lives, until nothing does or the time for it is up:
    /// how many it had left behind, and how many live on.
    fn end(&self, by_itself: bool) -> Result<(u64, u64)> {
        let begun = Instant::now();
        let mut killed: BTreeSet<Proc> = BTreeSet::new();
        loop {
            let living = self.living()?;
            if living.is_empty() || begun.elapsed() >= DYING {
                killed.retain(|proc| proc.pid != self.main);
                // What was there when its time was up was not left behind: it was cut off.
                let left_behind = if by_itself { killed.len() as u64 } else { 0 };
                return Ok((left_behind, living.len() as u64));
            }
            for proc in living {
                if let Some(handle) = Handle::open(proc)? {
                    handle.signal(Signal::KILL)?;
                    handle.ended(SLICE)?;
                }
                killed.insert(proc);
            }
        }
    }

    /// Its session, what left it, and the children of both; what has ended is taken from the kernel's table.
    fn living(&self) -> Result<Vec<Proc>> {
        let me = rustix::process::getpid().as_raw_nonzero().get();
        let everything = all(&forever())?;
        let mut members: BTreeSet<i32> = BTreeSet::new();
        loop {
            let before = members.len();
            for seen in &everything {
                let stray = seen.stat.ppid == me && !self.strangers.contains(&seen.proc());
                if stray || seen.stat.session == self.main || members.contains(&seen.stat.ppid) {
                    members.insert(seen.stat.pid);
                }
            }
            if members.len() == before {
                break;
            }
        }
        let (dead, living): (Vec<_>, Vec<_>) = everything
            .iter()
            .filter(|seen| members.contains(&seen.stat.pid))
            .partition(|seen| matches!(seen.stat.state, 'Z' | 'X' | 'x'));
        for seen in dead {
            if seen.stat.ppid == me && seen.stat.pid != self.main {
                reap_stray(seen.stat.pid)?;
            }
        }
        Ok(living.into_iter().map(|seen| seen.proc()).collect())
    }
}

/// Takes an ended child from the kernel's table.
fn reap_stray(pid: i32) -> Result<()> {
    let Some(id) = Pid::from_raw(pid) else {
        return Ok(());
    };
    match waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
        Ok(_) | Err(Errno::CHILD | Errno::INTR) => Ok(()),
        Err(errno) => Err(ToolError::io("wait for", format!("process {pid}"), errno)),
    }
}

/// How the program ended; `None` for one that could not be killed.
fn reap(spawned: &Spawned) -> Result<Option<WaitIdStatus>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    loop {
        match waitid(WaitId::PidFd(spawned.pidfd.as_fd()), options) {
            Err(Errno::INTR) => {}
            other => {
                return other
                    .map_err(|errno| ToolError::io("wait for", format!("process {}", spawned.pid), errno));
            }
        }
    }
}

/// Ends what is left of a program whose worker died: everything in the session that it led.
pub(super) fn end_session(main: Proc) -> Result<()> {
    let budget = forever();
    let led = |seen: &super::table::Seen| {
        // A session keeps its leader's number from being given away, so what is in it belongs to it if it
        // is no older than the leader.
        seen.stat.session == main.pid && seen.stat.starttime >= main.start
    };
    for seen in all(&budget)?.iter().filter(|seen| led(seen)) {
        if let Some(handle) = Handle::open(seen.proc())? {
            handle.signal(Signal::KILL)?;
        }
    }
    Ok(())
}
