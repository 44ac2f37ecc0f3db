//! The kernel's routing socket: asks for everything of a kind, or for one change, and waits for the answer.
//!
//! What the kernel tells of an address or a route is kept as the bytes that it sent: given back to it, they make
//! exactly that address or route again.

use crate::error::{Result, ToolError};
use netlink_packet_core::{Emitable, ParseableParametrized};
use netlink_packet_route::RouteNetlinkMessage;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::time::Duration;

const HEADER: usize = 16;
/// The kernel fills at most this much at once.
const BUFFER: usize = 64 << 10;
/// The kernel answers at once; this only ends a defect.
const WAIT: Duration = Duration::from_secs(5);

const ERROR: u16 = 2;
const DONE: u16 = 3;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
/// An answer that was interrupted by a change.
const INTERRUPTED: u16 = 0x10;
/// Makes something that is not there.
pub(super) const CREATE: u16 = 0x400 | 0x200;
/// Makes something, or replaces what is there.
pub(super) const REPLACE: u16 = 0x400 | 0x100;
/// Changes or removes something that is there.
pub(super) const PLAIN: u16 = 0;

/// Kinds of messages.
pub(super) const NEW_LINK: u16 = 16;
pub(super) const GET_LINK: u16 = 18;
pub(super) const NEW_ADDRESS: u16 = 20;
pub(super) const DEL_ADDRESS: u16 = 21;
pub(super) const GET_ADDRESS: u16 = 22;
pub(super) const NEW_ROUTE: u16 = 24;
pub(super) const DEL_ROUTE: u16 = 25;
pub(super) const GET_ROUTE: u16 = 26;

/// One thing that the kernel told.
#[derive(Debug)]
pub(super) struct Told {
    /// Understood.
    pub(super) message: RouteNetlinkMessage,
    /// As it came, without the outer header.
    pub(super) bytes: Vec<u8>,
}

/// A routing socket in the network namespace of the calling thread.
#[derive(Debug)]
pub(super) struct Wire {
    socket: OwnedFd,
}

impl Wire {
    /// Opens one.
    pub(super) fn open() -> Result<Self> {
        let open = || {
            let socket = rustix::net::socket_with(
                AddressFamily::NETLINK,
                SocketType::RAW,
                SocketFlags::CLOEXEC,
                // Protocol 0 of this family is the routing tables.
                None,
            )?;
            rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
            set_socket_timeout(&socket, Timeout::Recv, Some(WAIT))?;
            Ok(socket)
        };
        open()
            .map(|socket| Self { socket })
            .map_err(|errno: Errno| ToolError::io("open", "the kernel's routing socket", errno))
    }

    /// Everything of a kind.
    pub(super) fn all(&self, kind: u16, body: &impl Emitable) -> Result<Vec<Told>> {
        // A table that changes while it is told is told again.
        for _ in 0..5 {
            self.send(kind, REQUEST | DUMP, &bytes_of(body))?;
            if let Some(told) = self.receive_all()? {
                return Ok(told);
            }
        }
        Err(ToolError::io("read", "the kernel's network tables", Errno::AGAIN))
    }

    /// One change; the kernel's refusal as it says it.
    pub(super) fn change(&self, kind: u16, flags: u16, body: &[u8]) -> std::result::Result<(), Errno> {
        self.send_raw(kind, REQUEST | ACK | flags, body)?;
        let mut buffer = vec![0; BUFFER];
        let bytes = self.read(&mut buffer)?;
        match messages(bytes).next() {
            Some((ERROR, _, body)) => acknowledged(body),
            _ => Err(Errno::PROTO),
        }
    }

    fn send(&self, kind: u16, flags: u16, body: &[u8]) -> Result<()> {
        self.send_raw(kind, flags, body)
            .map_err(|errno| ToolError::io("ask", "the kernel's network tables", errno))
    }

    fn send_raw(&self, kind: u16, flags: u16, body: &[u8]) -> std::result::Result<(), Errno> {
        let length = u32::try_from(HEADER + body.len()).map_err(|_| Errno::MSGSIZE)?;
        let mut packet = Vec::with_capacity(HEADER + body.len());
        packet.extend(length.to_ne_bytes());
        packet.extend(kind.to_ne_bytes());
        packet.extend(flags.to_ne_bytes());
        packet.extend([0; 8]);
        packet.extend(body);
        rustix::net::send(&self.socket, &packet, SendFlags::empty()).map(drop)
    }

    fn read<'a>(&self, buffer: &'a mut [u8]) -> std::result::Result<&'a [u8], Errno> {
        let (_, length) = rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::TRUNC)?;
        buffer.get(..length).ok_or(Errno::MSGSIZE)
    }

    /// `None` when it was interrupted.
    fn receive_all(&self) -> Result<Option<Vec<Told>>> {
        let failed = |errno| ToolError::io("read", "the kernel's network tables", errno);
        let (mut told, mut whole) = (Vec::new(), true);
        let mut buffer = vec![0; BUFFER];
        loop {
            for (kind, flags, body) in messages(self.read(&mut buffer).map_err(failed)?) {
                whole &= flags & INTERRUPTED == 0;
                match kind {
                    DONE => return Ok(whole.then_some(told)),
                    ERROR => {
                        acknowledged(body).map_err(failed)?;
                        return Ok(whole.then_some(told));
                    }
                    _ => match RouteNetlinkMessage::parse_with_param(body, kind) {
                        Ok(message) => told.push(Told {
                            message,
                            bytes: body.to_vec(),
                        }),
                        // A newer kernel may tell of things that nobody here knows yet.
                        Err(error) => {
                            tracing::warn!(kind, %error, "the kernel told something that is not understood")
                        }
                    },
                }
            }
        }
    }
}

/// The bytes of a message.
pub(super) fn bytes_of(body: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0; body.buffer_len()];
    body.emit(&mut bytes);
    bytes
}

fn acknowledged(body: &[u8]) -> std::result::Result<(), Errno> {
    let code = body.first_chunk().map(|code| i32::from_ne_bytes(*code));
    match code {
        Some(0) => Ok(()),
        Some(code) => Err(Errno::from_raw_os_error(code.saturating_neg())),
        None => Err(Errno::PROTO),
    }
}

/// Kind, flags and body of each message in what was received.
fn messages(bytes: &[u8]) -> impl Iterator<Item = (u16, u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*rest.first_chunk()?)).ok()?;
        let kind = u16::from_ne_bytes(*rest.get(4..)?.first_chunk()?);
        let flags = u16::from_ne_bytes(*rest.get(6..)?.first_chunk()?);
        let body = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, flags, body))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_ends_the_list_and_nothing_is_read_beyond() {
        let mut bytes = Vec::new();
        for (length, body) in [(19_u32, &b"abc\0"[..]), (16, b""), (400, b"zz")] {
            bytes.extend(length.to_ne_bytes());
            bytes.extend(DONE.to_ne_bytes());
            bytes.extend([0; 10]);
            bytes.extend(body);
        }
        let bodies: Vec<&[u8]> = messages(&bytes).map(|(_, _, body)| body).collect();
        assert_eq!(bodies, [&b"abc"[..], b""]);
        assert_eq!(messages(&[1, 0]).count(), 0);
    }
}
