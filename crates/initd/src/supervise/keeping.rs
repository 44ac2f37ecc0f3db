//! What PID 1 keeps for a successor, sent again when it could not take it: for want of room in its table a
//! descriptor does not arrive.

use super::adopt::process_key;
use super::manager::{Event, Manager};
use super::sockets;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// Until a descriptor is sent again.
const PAUSE: Duration = Duration::from_secs(1);

impl Manager {
    /// PID 1 could not keep a descriptor.
    pub(super) fn not_kept(&self, name: String) {
        tracing::warn!(name, "PID 1 cannot keep a descriptor");
        self.when("keep again", async move {
            tokio::time::sleep(PAUSE).await;
            Some(Event::KeepAgain(name))
        });
    }

    /// Sends it again, if it is still there.
    pub(super) fn keep_again(&self, name: &str) {
        let Some((kind, rest)) = name.split_once(':') else {
            return self.world.store_own(name);
        };
        let copy = |fd: &OwnedFd| fd.try_clone();
        let found = match kind {
            "log.w" => self.log_pipes.get(rest).map(copy),
            // Opened anew: a pipe can be reached by either of its ends (proc_pid_fd(5)).
            "log.r" => self.log_pipes.get(rest).map(|writer| {
                let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
                let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
                open(path.as_str(), flags, Mode::empty()).map_err(Into::into)
            }),
            "sock" => {
                let held = self.sockets.iter().flat_map(|(service, list)| {
                    list.iter()
                        .map(move |held| (sockets::key(service, &held.name), held))
                });
                let mut held = held.filter(|(key, _)| key == name);
                held.next().map(|(_, held)| copy(&held.fd))
            }
            "proc" => {
                let unit = self.units.get(rest).filter(|_| process_key(rest) == name);
                unit.and_then(|unit| unit.process.as_ref())
                    .map(|it| copy(&it.pidfd))
            }
            _ => None,
        };
        match found {
            Some(Ok(fd)) => self.world.store(name, fd.as_fd()),
            Some(Err(error)) => {
                tracing::warn!(name, %error, "cannot be sent again");
                self.not_kept(name.to_owned());
            }
            None => {}
        }
    }
}
