//! Tasks that turn something outside into an event for the manager. Each ends with the supervisor.

use super::manager::{Event, Manager, Timer};
use super::watch;
use crate::error::{InitError, Result};
use crate::link::{self, End};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
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
        let mut pipe = Receiver::from_owned_fd(reader).map_err(InitError::system("cannot read a pipe"))?;
        let name = name.to_owned();
        self.when("readiness", async move {
            loop {
                match pipe.read_u8().await {
                    Ok(b'\n') => return Some(Event::Signalled { name, run }),
                    Ok(_) => {}
                    // Closed without a newline: the start timeout decides.
                    Err(_) => return None,
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
