//! Starting a confined program: fork, apply the prepared steps, exec.
//!
//! The caller may have threads (a tokio runtime): between fork and exec the child performs system
//! calls on memory made before, and nothing else. A failure comes back through a pipe that exec
//! closes, with the position of the step and the error number.

#![expect(
    unsafe_code,
    reason = "fork, signal dispositions and execve have no safe form; each block explained"
)]

use crate::apply::{self, Failure};
use crate::error::{ConfineError, Result};
use crate::linux::{Linux, errno};
use crate::prepare::Prepared;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::unistd::pipe2;
use std::ffi::{CString, OsString, c_char, c_int};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A program to start.
#[derive(Debug)]
pub struct Program<'a> {
    /// Path of the executable; it is not searched for.
    pub path: PathBuf,
    /// Arguments, without the program's own name.
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Standard input, output and error.
    pub stdio: [BorrowedFd<'a>; 3],
    /// Descriptors that it gets as 3, 4, …
    pub fds: Vec<BorrowedFd<'a>>,
    /// Variables that are set to the new process's id, as `LISTEN_PID` is.
    pub own_pid_in: &'a [&'a str],
}

/// A started program.
#[derive(Debug)]
pub struct Spawned {
    /// Process id.
    pub pid: i32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
}

/// (from, to): where each descriptor must end.
type Moves = Vec<(RawFd, RawFd)>;

/// What the child needs, all made before the fork.
struct Image {
    path: CString,
    _args: Vec<CString>,
    _env: Vec<CString>,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    /// `NAME=` with room for ten digits and an end, and where they begin; the child writes its own id.
    own_pid: Vec<(Box<[u8]>, usize)>,
    moves: Moves,
    _kept: Vec<OwnedFd>,
    report: RawFd,
}

/// Position reported for a failure of exec itself.
const EXEC: usize = usize::MAX;

/// Starts `program` as `prepared` says.
///
/// # Errors
/// The step that failed in the child, or no process could be made. No child is left then.
pub fn spawn(program: &Program<'_>, prepared: &Prepared) -> Result<Spawned> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).map_err(|e| ConfineError::Spawn(e.into()))?;
    let image = Image::build(program, writer)?;
    let blocked = SignalBlock::new();
    // SAFETY: the child below makes only async-signal-safe calls and never returns.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        child(image, prepared);
    }
    drop(blocked);
    if pid < 0 {
        return Err(ConfineError::Spawn(std::io::Error::last_os_error()));
    }
    drop(image);
    let failure = read_report(reader);
    if let Some(failure) = failure {
        reap(pid);
        return Err(describe(failure, prepared, &program.path));
    }
    match pidfd_open(pid) {
        Ok(pidfd) => Ok(Spawned { pid, pidfd }),
        Err(error) => {
            // Without a handle the process could not be supervised.
            // SAFETY: our own child, not yet reaped, so the id is still its.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            reap(pid);
            Err(ConfineError::Spawn(error))
        }
    }
}

/// Replaces the calling process by `path`, with the environment given.
///
/// # Errors
/// Exec failed; on success it does not return.
pub fn exec(
    path: &Path,
    args: &[OsString],
    env: &[(OsString, OsString)],
) -> Result<std::convert::Infallible> {
    let path_c = c_string(path.as_os_str().as_bytes().to_vec(), "program")?;
    let args = c_args(path, args)?;
    let env = c_env(env)?;
    let (argv, envp) = (pointers(&args), pointers(&env));
    // SAFETY: NUL-terminated strings in NULL-terminated arrays that outlive the call.
    unsafe { libc::execve(path_c.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    Err(ConfineError::Step {
        step: "exec",
        source: std::io::Error::last_os_error(),
    })
}

/// Opens a process by id, so that it cannot be mistaken for a later one.
///
/// # Errors
/// No such process.
pub fn pidfd_open(pid: i32) -> std::io::Result<OwnedFd> {
    // SAFETY: integers only; a valid answer is a new descriptor owned by nobody else.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let fd = c_int::try_from(fd).map_err(|_| std::io::Error::from_raw_os_error(libc::EMFILE))?;
        if fd < 0 {
            Err(std::io::Error::last_os_error())
        } else {
            Ok(OwnedFd::from_raw_fd(fd))
        }
    }
}

/// Sends a signal through a pidfd.
///
/// # Errors
/// The process is gone, or may not be signalled.
pub fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: i32) -> std::io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a descriptor, integers and a null siginfo.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) };
    if result < 0 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(())
    }
}

impl Image {
    fn build(program: &Program<'_>, report: OwnedFd) -> Result<Self> {
        let path = c_string(program.path.as_os_str().as_bytes().to_vec(), "program")?;
        let args = c_args(&program.path, &program.args)?;
        let env = c_env(&program.env)?;
        let argv = pointers(&args);
        let mut envp = pointers(&env);
        let own_pid: Vec<(Box<[u8]>, usize)> =
            program.own_pid_in.iter().map(|name| pid_variable(name)).collect();
        for (text, _) in &own_pid {
            envp.insert(0, text.as_ptr().cast());
        }
        let (kept, moves) = plan_moves(program)?;
        // The report pipe must not lie where a descriptor of the program goes.
        let report = above(&report, lowest_free(program))?;
        let raw = report.as_raw_fd();
        let mut kept = kept;
        kept.push(report);
        Ok(Self {
            path,
            _args: args,
            _env: env,
            argv,
            envp,
            own_pid,
            moves,
            _kept: kept,
            report: raw,
        })
    }
}

/// First number above all that the program gets.
fn lowest_free(program: &Program<'_>) -> RawFd {
    RawFd::try_from(3 + program.fds.len()).unwrap_or(RawFd::MAX)
}

fn above(fd: &impl std::os::fd::AsFd, lowest: RawFd) -> Result<OwnedFd> {
    let raw = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(lowest)).map_err(|e| ConfineError::Spawn(e.into()))?;
    // SAFETY: F_DUPFD_CLOEXEC yields a new descriptor owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Copies each descriptor above the range of targets, so that no move overwrites a source.
fn plan_moves(program: &Program<'_>) -> Result<(Vec<OwnedFd>, Moves)> {
    let lowest = lowest_free(program);
    let mut kept = Vec::new();
    let mut moves = Vec::new();
    for (target, fd) in (0..).zip(program.stdio.iter().chain(&program.fds)) {
        let copy = above(fd, lowest)?;
        moves.push((copy.as_raw_fd(), target));
        kept.push(copy);
    }
    Ok((kept, moves))
}

fn c_string(bytes: Vec<u8>, what: &'static str) -> Result<CString> {
    CString::new(bytes).map_err(|_| ConfineError::Nul(what))
}

fn c_args(path: &Path, args: &[OsString]) -> Result<Vec<CString>> {
    let own = path.as_os_str().to_owned();
    std::iter::once(own)
        .chain(args.iter().cloned())
        .map(|arg| c_string(arg.into_vec(), "argument"))
        .collect()
}

fn c_env(env: &[(OsString, OsString)]) -> Result<Vec<CString>> {
    env.iter()
        .map(|(name, value)| {
            let mut text = name.as_bytes().to_vec();
            text.push(b'=');
            text.extend_from_slice(value.as_bytes());
            c_string(text, "environment")
        })
        .collect()
}

fn pointers(list: &[CString]) -> Vec<*const c_char> {
    list.iter()
        .map(|text| text.as_ptr())
        .chain(std::iter::once(std::ptr::null()))
        .collect()
}

/// All signals blocked until dropped, so that no handler of the parent runs in the child.
struct SignalBlock(libc::sigset_t);

impl SignalBlock {
    fn new() -> Self {
        // SAFETY: both sets are plain memory that the calls fill.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut old: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut old);
            Self(old)
        }
    }
}

impl Drop for SignalBlock {
    fn drop(&mut self) {
        // SAFETY: the set was filled by `new`.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}

/// The child's half. Never returns and never allocates.
fn child(mut image: Image, prepared: &Prepared) -> ! {
    let failure = match run_child(&mut image, prepared) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    let step = u64::try_from(failure.step).unwrap_or(u64::MAX).to_ne_bytes();
    let errno = failure.errno.to_ne_bytes();
    let mut message = [0_u8; 12];
    for (to, from) in message.iter_mut().zip(step.iter().chain(&errno)) {
        *to = *from;
    }
    // SAFETY: a descriptor that is open, valid memory; then the child ends without unwinding.
    unsafe {
        libc::write(image.report, message.as_ptr().cast(), message.len());
        libc::_exit(127)
    }
}

fn run_child(
    image: &mut Image,
    prepared: &Prepared,
) -> std::result::Result<std::convert::Infallible, Failure> {
    let exec_failure = || Failure {
        step: EXEC,
        errno: errno().0,
    };
    reset_signals();
    apply::apply(&prepared.steps, &Linux)?;
    for (from, to) in &image.moves {
        // SAFETY: plain descriptors; `dup2` clears close-on-exec of the target.
        if unsafe { libc::dup2(*from, *to) } < 0 {
            return Err(exec_failure());
        }
    }
    for (text, from) in &mut image.own_pid {
        // SAFETY: takes no argument.
        write_number(text, *from, unsafe { libc::getpid() });
    }
    // SAFETY: NUL-terminated strings in NULL-terminated arrays; `_args` and `_env` own them.
    unsafe { libc::execve(image.path.as_ptr(), image.argv.as_ptr(), image.envp.as_ptr()) };
    Err(exec_failure())
}

/// Default dispositions and an empty mask: what a program may expect.
fn reset_signals() {
    // SAFETY: numbers that do not exist or cannot be changed answer EINVAL, which is harmless.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

/// `NAME=` and zeroes for ten digits and an end, and where the digits go.
fn pid_variable(name: &str) -> (Box<[u8]>, usize) {
    let mut text = format!("{name}=").into_bytes();
    let from = text.len();
    text.resize(from + 11, 0);
    (text.into_boxed_slice(), from)
}

/// Decimal digits from a place on, without allocation.
fn write_number(text: &mut [u8], from: usize, pid: c_int) {
    let mut divisor: c_int = 1;
    while pid / divisor >= 10 {
        divisor *= 10;
    }
    let mut rest = text.iter_mut().skip(from);
    while divisor > 0 {
        if let Some(place) = rest.next() {
            *place = b'0' + u8::try_from(pid / divisor % 10).unwrap_or(0);
        }
        divisor /= 10;
    }
}

fn read_report(reader: OwnedFd) -> Option<Failure> {
    let mut message = Vec::new();
    // An unreadable pipe counts as no report; the exit of the child then tells.
    File::from(reader).take(12).read_to_end(&mut message).ok()?;
    let (step, errno) = message.split_first_chunk::<8>()?;
    let errno: [u8; 4] = errno.try_into().ok()?;
    let step = usize::try_from(u64::from_ne_bytes(*step)).unwrap_or(EXEC);
    Some(Failure {
        step,
        errno: c_int::from_ne_bytes(errno),
    })
}

fn describe(failure: Failure, prepared: &Prepared, path: &Path) -> ConfineError {
    if failure.step == EXEC {
        let source = std::io::Error::from_raw_os_error(failure.errno);
        return ConfineError::Path {
            what: "cannot execute",
            path: path.to_path_buf(),
            source,
        };
    }
    failure.into_error(&prepared.steps)
}

fn reap(pid: c_int) {
    // SAFETY: our own child; the status is not wanted.
    while unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) } < 0 && errno().0 == libc::EINTR {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_without_allocation() {
        for pid in [1, 9, 10, 4_194_304, c_int::MAX] {
            let (mut text, from) = pid_variable("LISTEN_PID");
            write_number(&mut text, from, pid);
            let digits: Vec<u8> = text.iter().copied().skip(from).take_while(|b| *b != 0).collect();
            assert_eq!(text.last(), Some(&0));
            assert_eq!(String::from_utf8(digits).unwrap(), pid.to_string());
        }
    }
}
