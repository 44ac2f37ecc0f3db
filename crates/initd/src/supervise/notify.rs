//! The notification socket: one for all services, the sender known by the kernel's word.

use super::manager::Event;
use super::sockets::remove_stale;
use super::world::World;
use crate::error::{InitError, Result};
use crate::sys::{self, Wait};
use aios_core::tasks::Tasks;
use nix::sys::socket::{setsockopt, sockopt};
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

/// Longest notification that is read.
const LONGEST: usize = 4096;

/// What a service said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// It is ready.
    Ready,
    /// It is ending.
    Stopping,
    /// It lives.
    Alive,
    /// It knows that it hangs.
    Hangs,
    /// It reads its configuration again.
    Reloading,
    /// It needs so many milliseconds more to start or stop, from now.
    MoreTime(u64),
    /// What it is doing.
    Status(String),
}

/// Where the socket lies. The directory holds nothing else, so it can be put into any service's view.
pub(crate) fn path(world: &World) -> PathBuf {
    world.paths.run.join("notify").join("socket")
}

/// Opens the socket, or takes that of an earlier supervisor, and listens.
pub(crate) fn start(world: &mut World, events: mpsc::Sender<Event>, tasks: &Tasks) -> Result<()> {
    let fd = match world.take("notify") {
        Some(fd) => fd,
        None => {
            let fd = bind(&path(world))?;
            world.keep("notify", fd.as_fd());
            fd
        }
    };
    let socket = sys::watch(Arc::new(fd)).map_err(InitError::system("the notification socket"))?;
    let token = tasks.token();
    tasks.spawn("notifications", async move {
        tokio::select! {
            () = token.cancelled() => {}
            () = listen(socket, events) => {}
        }
    });
    Ok(())
}

fn bind(path: &PathBuf) -> Result<OwnedFd> {
    remove_stale(path)?;
    let socket = UnixDatagram::bind(path).map_err(InitError::path("cannot bind", path))?;
    // Everyone may speak; who spoke is checked for each message.
    fs::set_permissions(path, Permissions::from_mode(0o666))
        .map_err(InitError::path("cannot set the mode of", path))?;
    setsockopt(&socket, sockopt::PassCred, &true).map_err(InitError::system("SO_PASSCRED"))?;
    socket
        .set_nonblocking(true)
        .map_err(InitError::system("the notification socket"))?;
    Ok(socket.into())
}

async fn listen(socket: AsyncFd<Arc<OwnedFd>>, events: mpsc::Sender<Event>) {
    let mut buffer = vec![0_u8; LONGEST];
    loop {
        let mut guard = match socket.readable().await {
            Ok(guard) => guard,
            Err(error) => return tracing::error!(%error, "the notification socket failed"),
        };
        let received = guard.try_io(|fd| sys::receive(fd.get_ref().as_fd(), &mut buffer, Wait::Peek));
        let Ok(received) = received else { continue };
        if let Some((pid, words)) = understand(received, &buffer) {
            let (noted, is_noted) = oneshot::channel();
            if events.send(Event::Notified { pid, words, noted }).await.is_err() {
                return;
            }
            // By the drop of the other side.
            let _dropped = is_noted.await;
        }
        // Only now: a supervisor that dies before leaves it to its successor, which may hear it twice.
        if let Err(error) = sys::receive(socket.get_ref().as_fd(), &mut buffer, Wait::No) {
            tracing::warn!(%error, "a notification cannot be taken");
        }
    }
}

fn understand(received: io::Result<sys::Received>, buffer: &[u8]) -> Option<(i32, Vec<Word>)> {
    let received = received
        .inspect_err(|error| tracing::warn!(%error, "unreadable notification"))
        .ok()?;
    let text = buffer
        .get(..received.length)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())?;
    Some((received.pid?, parse(text)))
}

/// The assignments that are understood; others are left out, as the protocol says.
fn parse(text: &str) -> Vec<Word> {
    let one = |line: &str| match line.split_once('=')? {
        ("READY", "1") => Some(Word::Ready),
        ("STOPPING", "1") => Some(Word::Stopping),
        ("WATCHDOG", "1") => Some(Word::Alive),
        ("WATCHDOG", "trigger") => Some(Word::Hangs),
        ("RELOADING", "1") => Some(Word::Reloading),
        ("EXTEND_TIMEOUT_USEC", us) => us.parse::<u64>().ok().map(|us| Word::MoreTime(us / 1000)),
        ("STATUS", status) => Some(Word::Status(super::plain(
            &status.chars().take(400).collect::<String>(),
        ))),
        _ => None,
    };
    text.lines().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_assignments_are_read_and_others_left_out() {
        let words = parse(
            "STATUS=load\u{1b}ing\nREADY=1\nMAINPID=5\nREADY=0\nEXTEND_TIMEOUT_USEC=5000\nEXTEND_TIMEOUT_USEC=-1\nWATCHDOG=trigger\n",
        );
        assert_eq!(
            words,
            [
                Word::Status("load ing".into()),
                Word::Ready,
                Word::MoreTime(5),
                Word::Hangs
            ]
        );
    }
}
