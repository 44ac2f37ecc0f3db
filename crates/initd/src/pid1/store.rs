//! Descriptors kept for the next supervisor: a fixed number of slots, no allocation after start.

use crate::link::{self, MAX_NAME};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How many descriptors can be kept.
const SLOTS: usize = 768;
/// Descriptors that process 1 has beside these: standard ones, signals, the link, the watchdog, what comes and goes.
const OWN: u64 = 64;

struct Slot {
    name: [u8; MAX_NAME],
    length: usize,
    fd: OwnedFd,
}

impl Slot {
    fn name(&self) -> &str {
        self.name
            .get(..self.length)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }
}

/// The kept descriptors.
pub(super) struct Store {
    slots: Vec<Option<Slot>>,
}

impl Store {
    pub(super) fn new() -> Self {
        make_room();
        Self {
            slots: std::iter::repeat_with(|| None).take(SLOTS).collect(),
        }
    }

    /// Keeps a descriptor under `name`, in place of one that had this name.
    pub(super) fn keep(&mut self, name: &str, fd: Option<OwnedFd>) -> io::Result<()> {
        // One that did not arrive is not the one that had the name either.
        self.drop(name);
        let fd = fd.ok_or(io::ErrorKind::InvalidInput)?;
        let mut bytes = [0; MAX_NAME];
        bytes
            .get_mut(..name.len())
            .ok_or(io::ErrorKind::InvalidInput)?
            .copy_from_slice(name.as_bytes());
        let slot = self
            .slots
            .iter_mut()
            .find(|slot| slot.is_none())
            .ok_or(io::ErrorKind::StorageFull)?;
        *slot = Some(Slot {
            name: bytes,
            length: name.len(),
            fd,
        });
        Ok(())
    }

    /// Forgets one.
    pub(super) fn drop(&mut self, name: &str) {
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|slot| slot.name() == name) {
                *slot = None;
            }
        }
    }

    /// Sends all of them.
    pub(super) fn give(&self, link: BorrowedFd<'_>) -> io::Result<()> {
        for slot in self.slots.iter().flatten() {
            link::send(link, ["fd", slot.name()], Some(slot.fd.as_fd()))?;
        }
        Ok(())
    }
}

/// Lets this process have as many descriptors as slots, as far as it may, and has the kernel make its table
/// large enough now: later there may be no memory for it. A table never shrinks.
fn make_room() {
    let needed = u64::try_from(SLOTS).unwrap_or(0) + OWN;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|soft| soft < needed) {
        let current = Some(limit.maximum.map_or(needed, |hard| needed.min(hard)));
        let _as_before = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    }
    let highest = i32::try_from(needed).unwrap_or(1) - 1;
    let _small_table = rustix::io::fcntl_dupfd_cloexec(io::stderr(), highest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_descriptor_of_a_name_is_kept_and_a_full_store_says_so() {
        let file = tempfile::tempfile().unwrap();
        let mut store = Store::new();
        let copy = || Some(OwnedFd::from(file.try_clone().unwrap()));
        for index in 0..SLOTS {
            store.keep(&format!("n{index}"), copy()).unwrap();
        }
        assert!(store.keep("one more", copy()).is_err());
        assert!(store.keep("n4", None).is_err());
        store.keep("n3", copy()).unwrap();
        store.drop("n3");
        store.keep("one more", copy()).unwrap();
        assert_eq!(
            store
                .slots
                .iter()
                .flatten()
                .filter(|slot| slot.name() == "one more")
                .count(),
            1
        );
    }
}
