//! Descriptors kept for the next supervisor: a fixed number of slots, no allocation after start.

use crate::link::{self, MAX_NAME};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How many descriptors can be kept.
const SLOTS: usize = 256;

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
        Self {
            slots: std::iter::repeat_with(|| None).take(SLOTS).collect(),
        }
    }

    /// Keeps a descriptor under `name`, in place of one that had this name.
    pub(super) fn keep(&mut self, name: &str, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let fd = fd.ok_or(io::ErrorKind::InvalidInput)?.try_clone_to_owned()?;
        self.drop(name);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_descriptor_of_a_name_is_kept_and_a_full_store_says_so() {
        let file = tempfile::tempfile().unwrap();
        let mut store = Store::new();
        for index in 0..SLOTS {
            store.keep(&format!("n{index}"), Some(file.as_fd())).unwrap();
        }
        assert!(store.keep("one more", Some(file.as_fd())).is_err());
        store.keep("n3", Some(file.as_fd())).unwrap();
        store.drop("n3");
        store.keep("one more", Some(file.as_fd())).unwrap();
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
