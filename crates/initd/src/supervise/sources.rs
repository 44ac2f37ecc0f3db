//! Tasks that turn something outside into an event for the manager. Each ends with the supervisor.

use super::manager::{Event, Manager, Timer};
use super::watch;
use crate::error::{InitError, Result};
use crate::link::{self, End};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use rustix::io::{Errno, read};
use rustix::pipe::{SpliceFlags, tee};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

impl Manager {
    /// Sends `event` when `future` completes.
    pub(super) fn when<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = Option<Event>> + Send + 'static,
    {
        let (events, token) = (self.events.clone(), self.tasks.token());
        self.tasks.spawn(name, async move {
            let event = tokio::select! {
                () = token.cancelled() => None,
                event = future => event,
            };
            if let Some(event) = event {
                // The manager only goes away with everything else.
                let _ended = events.send(event).await;
            }
        });
    }

    pub(super) fn after(&self, name: &str, run: u64, ms: u64, timer: Timer) {
        let name = name.to_owned();
        self.when("timer", async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Some(Event::Due { name, run, timer })
        });
    }

    pub(super) fn watch(&self, name: &str, run: u64) {
        let Some(pidfd) = self
            .units
            .get(name)
            .and_then(|u| u.process.as_ref())
            .map(|p| p.pidfd.clone())
        else {
            return;
        };
        let name = name.to_owned();
        self.when("process", async move {
            Some(Event::Ended {
                name,
                run,
                exit: watch::ended(pidfd).await,
            })
        });
    }

    pub(super) fn watch_ready(&self, name: &str, run: u64, reader: OwnedFd) -> Result<()> {
        let pair = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK);
        let scratch = pair.map_err(InitError::system("cannot make a pipe"))?;
        let (name, reader) = (name.to_owned(), Arc::new(reader));
        self.when("readiness", async move {
            loop {
                watch::readable(reader.clone()).await;
                match newline(&reader, &scratch) {
                    Ok(Some(true)) => return Some(Event::Signalled { name, run }),
                    Ok(Some(false)) => {}
                    // Closed without a newline: the start timeout decides.
                    Ok(None) => return None,
                    Err(error) => {
                        tracing::warn!(service = name, %error, "its readiness cannot be heard");
                        return None;
                    }
                }
            }
        });
        Ok(())
    }

    pub(super) fn watch_sockets(&self, name: &str) {
        for held in self.sockets.get(name).into_iter().flatten() {
            let (name, fd) = (name.to_owned(), held.fd.clone());
            self.when("socket", async move {
                watch::readable(fd).await;
                Some(Event::Connected { name })
            });
        }
    }

    pub(super) fn listen_to_pid1(&self) {
        let Some(link) = self.world.link().map(Arc::new) else {
            return;
        };
        let (events, token) = (self.events.clone(), self.tasks.token());
        self.tasks.spawn("link", async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = hear(link, events) => {}
            }
        });
    }
}

/// What PID 1 says, until it is gone. That of a development tree may be killed; we get SIGTERM then.
async fn hear(link: Arc<OwnedFd>, events: mpsc::Sender<Event>) {
    loop {
        let event = match link::receive(link.as_fd(), false) {
            Ok(Some(message)) => match message.words() {
                ("end", word) => End::parse(word).map(Event::End),
                ("lost", name) => Some(Event::NotKept(name.to_owned())),
                _ => None,
            },
            Ok(None) => return,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                watch::readable(link.clone()).await;
                continue;
            }
            Err(error) => return tracing::error!(%error, "PID 1 cannot be heard"),
        };
        if let Some(event) = event
            && events.send(event).await.is_err()
        {
            return;
        }
    }
}

/// Whether there is a newline in a readable pipe, none when it is closed. A newline stays there: a supervisor that
/// dies before it has written down what it means leaves it to its successor.
fn newline(reader: &OwnedFd, scratch: &(OwnedFd, OwnedFd)) -> std::result::Result<Option<bool>, Errno> {
    let mut bytes = [0_u8; 4096];
    let seen = match tee(reader, &scratch.1, bytes.len(), SpliceFlags::NONBLOCK) {
        Ok(0) => return Ok(None),
        Ok(_) => read(&scratch.0, &mut bytes)?,
        Err(Errno::AGAIN) => return Ok(Some(false)),
        Err(error) => return Err(error),
    };
    if bytes.iter().take(seen).any(|byte| *byte == b'\n') {
        return Ok(Some(true));
    }
    let rest = bytes.get_mut(..seen).unwrap_or_default();
    read(reader, rest).map(|_| Some(false))
}
