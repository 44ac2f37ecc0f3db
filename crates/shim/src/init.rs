//! The duties of PID 1: start one command, reap everything, forward signals, end with its code.

use crate::error::ShimError;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// This program, wherever it lies.
pub(crate) const SELF: &str = "/proc/self/exe";
/// How it is called in a list of processes.
pub(crate) const NAME: &str = "aios-shim";
/// Passed on to the command. PID 1 gets no signal that it does not handle, so an unhandled SIGTERM
/// would be lost.
const FORWARDED: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Runs the command to its end and gives its exit code, 128 + N when signal N ended it.
///
/// # Errors
/// The command cannot be started, or signals cannot be waited for.
pub(crate) fn run(mark: &str, command: &[OsString]) -> Result<u8, ShimError> {
    let mut handled: SigSet = FORWARDED.into_iter().collect();
    handled.add(Signal::SIGCHLD);
    // Blocked before the start, so that a child that ends at once is not missed.
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&handled), None)?;
    let child = start(mark, command)?;
    loop {
        match handled.wait()? {
            Signal::SIGCHLD => {
                if let Some(code) = reap(child)? {
                    return Ok(code);
                }
            }
            // The child may be gone already; its SIGCHLD is the next signal then.
            signal => match kill(child, signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error.into()),
            },
        }
    }
}

fn start(mark: &str, command: &[OsString]) -> Result<Pid, ShimError> {
    let child = Command::new(SELF)
        .arg0(NAME)
        .arg(mark)
        .arg("--")
        .args(command)
        .spawn()
        .map_err(|source| ShimError::Start {
            command: SELF.into(),
            source,
        })?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

/// Gives up the signal mask of PID 1, which a child inherits, and becomes the command. Returns only
/// when that fails.
pub(crate) fn become_command(command: &[OsString]) -> ShimError {
    let Some((program, arguments)) = command.split_first() else {
        return ShimError::Usage;
    };
    if let Err(error) = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None) {
        return error.into();
    }
    let source = Command::new(program).args(arguments).exec();
    ShimError::Start {
        command: program.clone(),
        source,
    }
}

/// Reaps every child that ended; the code is there when `main` was among them.
fn reap(main: Pid) -> Result<Option<u8>, ShimError> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == main => {
                code = Some(u8::try_from(status & 0xff).unwrap_or(u8::MAX));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => {
                code = Some(u8::try_from(128 + signal as i32).unwrap_or(u8::MAX));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(code),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
