//! Sockets that the supervisor opened for us, by the protocol of `sd_listen_fds(3)`.
#![expect(
    unsafe_code,
    reason = "taking ownership of an inherited file descriptor has no safe form"
)]

use std::env;
use std::io;
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::net::UnixListener;
use std::process;
use std::sync::Mutex;

/// First inherited descriptor, fixed by the protocol.
const FIRST: RawFd = 3;

static TAKEN: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

/// The inherited listener called `name` in `$LISTEN_FDNAMES`, if there is one for this process.
/// Each listener is given out once.
///
/// # Errors
/// The descriptor is no listening Unix socket.
pub fn take_listener(name: &str) -> io::Result<Option<UnixListener>> {
    let Some(fd) = position(name) else {
        return Ok(None);
    };
    {
        let mut taken = TAKEN
            .lock()
            .map_err(|_| io::Error::other("a thread panicked while taking a listener"))?;
        if taken.contains(&fd) {
            return Ok(None);
        }
        taken.push(fd);
    }
    // SAFETY: the supervisor passed descriptor `fd` to this very process (LISTEN_PID was checked), and
    // TAKEN makes sure that it is owned only once.
    let listener = unsafe { UnixListener::from_raw_fd(fd) };
    nix::fcntl::fcntl(
        &listener,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
    )?;
    listener.local_addr()?;
    Ok(Some(listener))
}

fn position(name: &str) -> Option<RawFd> {
    let pid: u32 = env::var("LISTEN_PID").ok()?.parse().ok()?;
    let count: RawFd = env::var("LISTEN_FDS").ok()?.parse().ok()?;
    if pid != process::id() {
        return None;
    }
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let index = names.split(':').position(|it| it == name)?;
    let index = RawFd::try_from(index).ok().filter(|index| *index < count)?;
    Some(FIRST + index)
}
