//! The first half: a synchronous loop that never ends before everything else has.
//!
//! It mounts what nothing works without, reaps every process that loses its parent, starts the
//! supervisor again when it dies, gives it back its descriptors, and powers off. After start it
//! allocates nothing, and it sleeps in one `ppoll` without a timeout: an idle machine does not wake it.
//!
//! It never reads configuration: what can be wrong in a file must not stop process 1.

mod finish;
mod mounts;
mod store;
mod watchdog;

use crate::link::{self, End, GENERATION, LINK_FD, MOUNTED};
use crate::sys::Image;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
use nix::sys::time::{TimeSpec, TimeVal, TimeValLike};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use store::Store;

/// First pause before a supervisor that died is started again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A supervisor that lived so long is started again at once.
const LIVED_LONG: Duration = Duration::from_secs(10);
/// How long the supervisor may take to stop everything before it is done without it.
const ORDERLY: Duration = Duration::from_mins(5);
/// So many supervisors may die while everything stops; then it ends without one.
const LAST_TRIES: u32 = 3;
/// How long a supervisor may take to read what it is told, seconds.
const PATIENCE: i64 = 5;
/// A rest after something failed that is simply tried again.
const REST: Duration = Duration::from_millis(100);
/// How often process 1 tries to set itself up, with a rest ten times as long between: nothing else is left to do.
const BEGINNINGS: u32 = 30;

/// Exit status of a child that could not execute its program.
const CANNOT_EXEC: i32 = 127;

/// Runs until everything has ended. `state` names a development tree.
pub fn run(state: Option<&Path>) -> ExitCode {
    let first = std::process::id() == 1;
    // A development tree brings its own surroundings, also in a namespace where we are process 1.
    let mounted = if first && state.is_none() {
        // An initramfs with a PID 1 of its own leaves us its descriptors, among them sockets that nobody would ever answer.
        crate::sys::close_inherited();
        mounts::essentials()
    } else {
        [0, 0]
    };
    let Some(mut pid1) = begin(state, first, mounted) else {
        return ExitCode::FAILURE;
    };
    let mut failing = None;
    let code = loop {
        match pid1.turn() {
            Ok(None) => failing = None,
            Ok(Some(code)) => break code,
            // Nothing that fails here may end process 1, and a supervisor that runs is not given up for it.
            Err(error) => {
                if failing.replace(error) != Some(error) {
                    finish::say("aios-init: ", error.desc());
                }
                finish::rest(REST);
            }
        }
    };
    ExitCode::from(code)
}

/// Sets the loop up. For process 1 a lack of memory or descriptors may pass.
fn begin(state: Option<&Path>, first: bool, mounted: [u64; 2]) -> Option<Pid1> {
    for _ in 0..if first { BEGINNINGS } else { 1 } {
        match Pid1::new(state, first, mounted) {
            Ok(pid1) => return Some(pid1),
            Err(error) => finish::say("aios-init: cannot start: ", error.desc()),
        }
        if first {
            finish::rest(REST * 10);
        }
    }
    None
}

/// What the loop knows.
struct Pid1 {
    first: bool,
    signals: SignalFd,
    image: Image,
    store: Store,
    watchdog_place: Option<watchdog::Place>,
    watchdog: Option<watchdog::Watchdog>,
    supervisor: Option<Supervisor>,
    /// When the next one may be started.
    due: Duration,
    pause: Duration,
    generation: u32,
    /// Whether a supervisor ever got so far as to say `alive`.
    lived: bool,
    /// What to do when the supervisor has ended, and when to stop waiting for it.
    ending: Option<(End, Duration)>,
    /// Supervisors that died since.
    died_ending: u32,
    /// What the supervisor said that it finished.
    finished: Option<End>,
}

struct Supervisor {
    pid: i32,
    link: OwnedFd,
    since: Duration,
}

type Turn = nix::Result<Option<u8>>;

impl Pid1 {
    fn new(state: Option<&Path>, first: bool, mounted: [u64; 2]) -> nix::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [
            Signal::SIGCHLD,
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
            Signal::SIGPWR,
            Signal::SIGUSR1,
            Signal::SIGUSR2,
        ] {
            set.add(signal);
        }
        set.thread_block()?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        // Orphans come to us also when we are not process 1.
        prctl::set_child_subreaper(true)?;
        if first {
            finish::catch_ctrl_alt_del();
        }
        let place = watchdog::Place::find(state, first);
        Ok(Self {
            first,
            signals,
            image: image(state, mounted)?,
            store: Store::new(),
            watchdog: place.as_ref().and_then(watchdog::Place::open),
            watchdog_place: place,
            supervisor: None,
            due: Duration::ZERO,
            pause: FIRST_PAUSE,
            generation: 0,
            lived: false,
            ending: None,
            died_ending: 0,
            finished: None,
        })
    }

    /// One turn of the loop; a number ends it.
    fn turn(&mut self) -> Turn {
        if self.supervisor.is_none()
            && let Some(code) = self.without_supervisor()?
        {
            return Ok(Some(code));
        }
        // When that fails there is still to be done what may have come.
        let waited = self.wait();
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.feed_if_due(now());
        }
        while let Some(info) = self.signals.read_signal()? {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            if let Ok(signal) = Signal::try_from(number) {
                self.signalled(signal);
            }
        }
        self.reap();
        self.listen();
        if let Some((_, until)) = self.ending
            && now() >= until
            && let Some(supervisor) = &self.supervisor
        {
            finish::say("aios-init: the supervisor did not end in time", "");
            let _gone = kill(Pid::from_raw(supervisor.pid), Signal::SIGKILL);
        }
        waited.map(|()| None)
    }

    /// Ends everything if all has stopped or no supervisor gets it stopped, else starts the next one when it
    /// is due. One that dies while it stops everything has a successor that goes on with it.
    fn without_supervisor(&mut self) -> Turn {
        let given_up = |(_, until): &(End, Duration)| self.died_ending >= LAST_TRIES || now() >= *until;
        let end = self.finished.or(self.ending.filter(given_up).map(|(end, _)| end));
        if let Some(end) = end {
            return Ok(Some(finish::finish(end, self.first, self.watchdog.take())));
        }
        if now() >= self.due
            && let Err(error) = self.start()
        {
            finish::say("aios-init: cannot start the supervisor: ", error.desc());
            self.lost();
        }
        Ok(None)
    }

    /// Sleeps until something happens; without a limit unless something is due.
    fn wait(&self) -> nix::Result<()> {
        let limit = match (&self.supervisor, self.ending) {
            (None, _) => Some(self.due.saturating_sub(now())),
            (Some(_), Some((_, until))) => Some(until.saturating_sub(now())),
            (Some(_), None) => None,
        };
        let watchdog = self.watchdog.as_ref().map(|watchdog| watchdog.due(now()));
        let limit = limit.into_iter().chain(watchdog).min().map(TimeSpec::from);
        let signals = PollFd::new(self.signals.as_fd(), PollFlags::POLLIN);
        let result = match &self.supervisor {
            Some(supervisor) => ppoll(
                &mut [signals, PollFd::new(supervisor.link.as_fd(), PollFlags::POLLIN)],
                limit,
                None,
            ),
            None => ppoll(&mut [signals], limit, None),
        };
        match result {
            Err(Errno::EINTR) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn start(&mut self) -> nix::Result<()> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        // A supervisor that does not read may not hold us up.
        setsockopt(&ours, sockopt::SendTimeout, &TimeVal::seconds(PATIENCE))?;
        let pid = self
            .image
            .start(self.generation, theirs.as_fd(), LINK_FD)
            .map_err(errno)?;
        drop(theirs);
        self.generation = self.generation.saturating_add(1);
        let link = ours.as_fd();
        // A supervisor that dies meanwhile is seen by its SIGCHLD.
        let given = self
            .store
            .give(link)
            .and_then(|()| link::send(link, ["all", ""], None))
            .and_then(|()| match self.ending {
                Some((end, _)) => link::send(link, ["end", end.word()], None),
                None => Ok(()),
            });
        if given.is_err() {
            finish::say("aios-init: the supervisor did not take its descriptors", "");
            // Without all of them it must not begin.
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.supervisor = Some(Supervisor {
            pid,
            link: ours,
            since: now(),
        });
        Ok(())
    }

    fn signalled(&mut self, signal: Signal) {
        let end = match (signal, self.first) {
            (Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP, false) => End::Exit,
            // Ctrl-Alt-Del reaches process 1 as SIGINT.
            (Signal::SIGINT, true) => End::Reboot,
            (Signal::SIGTERM | Signal::SIGPWR | Signal::SIGUSR2, true) => End::PowerOff,
            _ => return,
        };
        self.ask(end);
    }

    /// Asks the supervisor to stop everything.
    fn ask(&mut self, end: End) {
        self.note_ending(end);
        if let Some(supervisor) = &self.supervisor
            && link::send(supervisor.link.as_fd(), ["end", end.word()], None).is_err()
        {
            finish::say("aios-init: the supervisor cannot be reached", "");
        }
    }

    /// From now on it ends, with a supervisor or without.
    fn note_ending(&mut self, end: End) {
        if self.ending.is_none() {
            self.ending = Some((end, now() + ORDERLY));
        }
    }

    fn reap(&mut self) {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Ok(status) => self.ended(status),
                Err(_) => {}
            }
        }
    }

    fn ended(&mut self, status: WaitStatus) {
        let (pid, code) = match status {
            WaitStatus::Exited(pid, code) => (pid, code),
            WaitStatus::Signaled(pid, signal, _) => (pid, 128 + signal as i32),
            _ => return,
        };
        if self.supervisor.as_ref().is_none_or(|s| s.pid != pid.as_raw()) {
            return;
        }
        // Its last words are still in the link.
        self.listen();
        if code == CANNOT_EXEC {
            finish::say("aios-init: cannot run aios-supervisor, which lies beside it", "");
        }
        // On a development tree a supervisor that never ran is an error of the person who started it.
        if !self.first && !self.lived && self.finished.is_none() {
            self.ending = Some((End::Exit, Duration::ZERO));
            finish::set_exit_code(code);
        }
        self.lost();
    }

    /// Decides when the next supervisor is due.
    fn lost(&mut self) {
        if self.ending.is_some() {
            self.died_ending += 1;
        }
        let lived = self
            .supervisor
            .take()
            .map_or(Duration::ZERO, |s| now().saturating_sub(s.since));
        self.pause = if lived >= LIVED_LONG {
            FIRST_PAUSE
        } else {
            (self.pause * 2).min(LONGEST_PAUSE)
        };
        self.due = now()
            + if lived >= LIVED_LONG {
                Duration::ZERO
            } else {
                self.pause / 2
            };
    }

    /// A supervisor runs, and has brought drivers up.
    fn alive(&mut self) {
        self.lived = true;
        if self.watchdog.is_none() {
            self.watchdog = self.watchdog_place.as_ref().and_then(watchdog::Place::open);
        }
    }

    /// Takes what the supervisor says.
    fn listen(&mut self) {
        while let Some(supervisor) = &self.supervisor {
            let Ok(Some(message)) = link::receive(supervisor.link.as_fd(), false) else {
                return;
            };
            match message.words() {
                ("alive", _) => self.alive(),
                ("drop", name) => self.store.drop(name),
                ("end", word) => self.finished = End::parse(word),
                ("more", _) => self.ending = self.ending.map(|(end, _)| (end, now() + ORDERLY)),
                ("ending", word) => {
                    if let Some(end) = End::parse(word) {
                        self.note_ending(end);
                    }
                }
                ("store", _) => self.keep(message),
                _ => {}
            }
        }
    }

    /// Keeps a descriptor. Without room for it in our table it does not even arrive: the supervisor hears of
    /// that and sends it again.
    fn keep(&mut self, mut message: link::Message) {
        let fd = message.fd.take();
        let (_, name) = message.words();
        if self.store.keep(name, fd).is_ok() {
            return;
        }
        finish::say("aios-init: cannot keep a descriptor: ", name);
        if let Some(supervisor) = &self.supervisor
            && link::send(supervisor.link.as_fd(), ["lost", name], None).is_err()
        {
            finish::say("aios-init: the supervisor cannot be reached", "");
        }
    }
}

/// Time since boot.
fn now() -> Duration {
    crate::sys::since_boot()
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// Whether a variable is meant for aiOS, or for whoever writes to the console.
fn is_ours(name: &OsString) -> bool {
    name == "TERM" || name.as_bytes().starts_with(b"AIOS_")
}

/// The supervisor's program: it lies beside this one, and gets our environment.
fn image(state: Option<&Path>, mounted: [u64; 2]) -> nix::Result<Image> {
    // On a machine the environment is what the kernel made of words of its command line that it does not know.
    let machine = state.is_none() && std::process::id() == 1 && crate::sys::is_machine();
    let c = |bytes: Vec<u8>| CString::new(bytes).map_err(|_| Errno::EINVAL);
    let path = std::env::current_exe()
        .map_err(errno)?
        .with_file_name("aios-supervisor");
    let mut args: Vec<OsString> = vec!["aios-supervisor".into()];
    if let Some(state) = state {
        let state: PathBuf = std::path::absolute(state).map_err(errno)?;
        args.extend(["--state".into(), state.into_os_string()]);
    }
    let mut env: Vec<Vec<u8>> = std::env::vars_os()
        .filter(|(name, _)| name != GENERATION && name != MOUNTED)
        .filter(|(name, _)| !machine || is_ours(name))
        .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
        .collect();
    env.push(format!("{MOUNTED}={} {}", mounted[0], mounted[1]).into_bytes());
    let args = args
        .into_iter()
        .map(|arg| c(arg.into_vec()))
        .collect::<nix::Result<_>>()?;
    let env = env.into_iter().map(c).collect::<nix::Result<_>>()?;
    Ok(Image::new(
        c(path.into_os_string().into_vec())?,
        args,
        env,
        GENERATION,
    ))
}
