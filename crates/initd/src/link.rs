//! What the two halves say to each other: short text messages over a `SOCK_SEQPACKET` pair, one
//! descriptor at most with each.
//!
//! | from | message | meaning |
//! |---|---|---|
//! | PID 1 | `fd NAME` + descriptor | one that an earlier supervisor stored |
//! | PID 1 | `all` | no more stored descriptors |
//! | PID 1 | `end poweroff`, `end reboot`, `end exit` | stop everything in order |
//! | PID 1 | `lost NAME` | that descriptor did not arrive or has no room: send it again |
//! | supervisor | `store NAME` + descriptor | keep it for my successor |
//! | supervisor | `drop NAME` | forget it |
//! | supervisor | `alive` | I run: from now on start me again when I die |
//! | supervisor | `more` | I am still at work: wait as long again before ending without me |
//! | supervisor | `ending KIND` | I stop everything: whatever becomes of me, it ends |
//! | supervisor | `end KIND` | everything has stopped; do it when I exit |
//!
//! Neither side allocates to read or write one.

use crate::sys::{self, Wait};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

/// Descriptor at which the supervisor finds its end.
pub const LINK_FD: RawFd = 3;
/// Environment: set when there is a link, to the number of supervisors before this one.
pub const GENERATION: &str = "INIT_GENERATION";
/// Environment: start and length of the first phase, `START_MS DURATION_MS`.
pub const MOUNTED: &str = "INIT_MOUNTED_MS";
/// Longest message.
pub const MAX_MESSAGE: usize = 128;
/// Longest name of a stored descriptor.
pub const MAX_NAME: usize = 100;

/// How everything ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The machine is switched off.
    PowerOff,
    /// The machine starts again.
    Reboot,
    /// The processes end; the machine goes on.
    Exit,
}

impl End {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::PowerOff => "poweroff",
            Self::Reboot => "reboot",
            Self::Exit => "exit",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::PowerOff, Self::Reboot, Self::Exit]
            .into_iter()
            .find(|end| end.word() == word)
    }
}

/// Sends one message, with a descriptor or without.
///
/// # Errors
/// The other side is gone, or the message is too long.
pub fn send(link: BorrowedFd<'_>, words: [&str; 2], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut bytes = [0_u8; MAX_MESSAGE];
    let blank: &[u8] = if words[1].is_empty() { b"" } else { b" " };
    let mut length = 0;
    for byte in words[0]
        .bytes()
        .chain(blank.iter().copied())
        .chain(words[1].bytes())
    {
        *bytes.get_mut(length).ok_or(io::ErrorKind::InvalidInput)? = byte;
        length += 1;
    }
    sys::send(link, bytes.get(..length).unwrap_or_default(), fd)
}

/// A received message.
#[derive(Debug)]
pub struct Message {
    bytes: [u8; MAX_MESSAGE],
    length: usize,
    /// The descriptor that came along.
    pub fd: Option<OwnedFd>,
}

impl Message {
    /// First word and the rest.
    pub fn words(&self) -> (&str, &str) {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        text.split_once(' ').unwrap_or((text, ""))
    }
}

/// Receives one message; none when the other side is gone. `WouldBlock` when there is none yet and
/// the descriptor does not block or `wait` is false.
///
/// # Errors
/// What the kernel says.
pub fn receive(link: BorrowedFd<'_>, wait: bool) -> io::Result<Option<Message>> {
    let mut bytes = [0_u8; MAX_MESSAGE];
    let wait = if wait { Wait::Yes } else { Wait::No };
    let received = sys::receive(link, &mut bytes, wait)?;
    if received.length == 0 {
        return Ok(None);
    }
    Ok(Some(Message {
        bytes,
        length: received.length,
        fd: received.fd,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use std::os::fd::AsFd;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .unwrap()
    }

    #[test]
    fn a_message_carries_words_and_a_descriptor() {
        let (a, b) = pair();
        let file = tempfile::tempfile().unwrap();
        send(a.as_fd(), ["store", "sock:x"], Some(file.as_fd())).unwrap();
        send(a.as_fd(), ["alive", ""], None).unwrap();
        let first = receive(b.as_fd(), true).unwrap().unwrap();
        assert_eq!(first.words(), ("store", "sock:x"));
        assert!(first.fd.is_some());
        let second = receive(b.as_fd(), true).unwrap().unwrap();
        assert_eq!(second.words(), ("alive", ""));
        assert!(second.fd.is_none());
    }

    #[test]
    fn the_end_of_the_other_side_is_seen_and_an_empty_link_does_not_block() {
        let (a, b) = pair();
        assert_eq!(
            receive(b.as_fd(), false).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        drop(a);
        assert!(receive(b.as_fd(), true).unwrap().is_none());
    }

    #[test]
    fn a_message_that_is_too_long_is_refused() {
        let (a, _b) = pair();
        assert!(send(a.as_fd(), ["store", &"x".repeat(MAX_MESSAGE)], None).is_err());
    }
}
