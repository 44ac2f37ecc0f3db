//! net.ping: whether a host answers, how fast, and how large a packet may be on the way there.
//!
//! The kernel's own ping sockets need no right; where its settings do not open them to this process, a raw socket
//! does the same with CAP_NET_RAW.

use super::args::PingArgs;
use super::reach::Peer;
use super::types::{PingReply, Pinged};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ip_mtu, ipv6_mtu, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

const ICMP_HEADER: usize = 8;
/// Payload of an ordinary ping, bytes.
const ORDINARY: usize = 56;
/// A call that is cancelled ends within this time.
const SLICE: Duration = Duration::from_millis(50);

/// A socket that pings one address.
struct Pinger {
    socket: OwnedFd,
    address: IpAddr,
    raw: bool,
    id: u16,
    payload: Vec<u8>,
}

/// What one ping came to.
enum Sent {
    Gone,
    /// Larger than what goes through to the host, as far as is known.
    TooLarge,
    Refused(Errno),
}

fn headers(address: IpAddr) -> usize {
    ICMP_HEADER + if address.is_ipv4() { 20 } else { 40 }
}

impl Pinger {
    fn open(address: IpAddr, args: &PingArgs) -> Result<Self> {
        let (family, protocol) = if address.is_ipv4() {
            (AddressFamily::INET, ipproto::ICMP)
        } else {
            (AddressFamily::INET6, ipproto::ICMPV6)
        };
        let socket = |kind| rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol));
        let failed = |errno| ToolError::io("open", "a socket for ICMP", errno);
        let (socket, raw) = match socket(SocketType::DGRAM) {
            Ok(socket) => (socket, false),
            Err(Errno::ACCESS | Errno::PERM) => (socket(SocketType::RAW).map_err(failed)?, true),
            Err(errno) => return Err(failed(errno)),
        };
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(|error| ToolError::Defect(error.to_string()))?;
        let wanted = args.packet_bytes.and_then(|bytes| usize::try_from(bytes).ok());
        let size = wanted.map_or(ORDINARY, |bytes| bytes.saturating_sub(headers(address)));
        let pinger = Self {
            socket,
            address,
            raw,
            id: u16::from_ne_bytes(id),
            payload: (0..=u8::MAX).cycle().take(size).collect(),
        };
        pinger.set_up(args).map_err(failed)?;
        Ok(pinger)
    }

    fn set_up(&self, args: &PingArgs) -> std::result::Result<(), Errno> {
        if args.dont_fragment {
            // WANT and DO would cut or refuse by what is known already: DO also learns from routers' answers.
            match self.address {
                IpAddr::V4(_) => set_ip_mtu_discover(&self.socket, Ipv4PathMtuDiscovery::DO)?,
                IpAddr::V6(_) => set_ipv6_mtu_discover(&self.socket, Ipv6PathMtuDiscovery::DO)?,
            }
        }
        rustix::net::connect(&self.socket, &SocketAddr::new(self.address, 0))
    }

    fn send(&self, number: u16) -> Sent {
        let mut packet = vec![if self.address.is_ipv4() { 8 } else { 128 }, 0, 0, 0];
        packet.extend(self.id.to_be_bytes());
        packet.extend(number.to_be_bytes());
        packet.extend(&self.payload);
        if self.address.is_ipv4() {
            // For IPv6 the kernel fills it in.
            let sum = checksum(&packet).to_be_bytes();
            packet.splice(2..4, sum);
        }
        match rustix::net::send(&self.socket, &packet, SendFlags::empty()) {
            Ok(_) => Sent::Gone,
            Err(Errno::MSGSIZE) => Sent::TooLarge,
            Err(errno) => Sent::Refused(errno),
        }
    }

    /// Largest packet that is known to go through.
    fn path_mtu(&self) -> Option<u32> {
        match self.address {
            IpAddr::V4(_) => ip_mtu(&self.socket).ok(),
            IpAddr::V6(_) => ipv6_mtu(&self.socket).ok(),
        }
    }

    /// The number of the next answer to this pinger until then; or what a router or the kernel said.
    fn answer(&self, until: Instant, budget: &Budget) -> Result<Option<std::result::Result<u16, Errno>>> {
        let mut buffer = vec![0; 65_536];
        loop {
            budget.check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let wait = Timespec::try_from(left.min(SLICE)).ok();
            let ready = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], wait.as_ref());
            if matches!(ready, Ok(0) | Err(Errno::INTR)) {
                continue;
            }
            match rustix::net::recv(&self.socket, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((_, length)) => {
                    if let Some(number) = buffer.get(..length).and_then(|packet| self.understand(packet)) {
                        return Ok(Some(Ok(number)));
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Ok(Some(Err(errno))),
            }
        }
    }

    fn understand(&self, packet: &[u8]) -> Option<u16> {
        let header = match (self.raw, self.address) {
            (true, IpAddr::V4(_)) => usize::from(packet.first()? & 0xf) * 4,
            _ => 0,
        };
        let icmp = packet.get(header..)?;
        let wanted = if self.address.is_ipv4() { 0 } else { 129 };
        // The kernel's ping sockets have numbers of their own and see only their own answers.
        let ours = !self.raw || u16::from_be_bytes(*icmp.get(4..)?.first_chunk()?) == self.id;
        let number = u16::from_be_bytes(*icmp.get(6..)?.first_chunk()?);
        (*icmp.first()? == wanted && ours).then_some(number)
    }
}

/// The Internet's checksum (RFC 1071).
fn checksum(packet: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in packet.chunks(2) {
        let word = [
            pair.first().copied().unwrap_or(0),
            pair.get(1).copied().unwrap_or(0),
        ];
        sum += u32::from(u16::from_be_bytes(word));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// Pings the first address of a host; all of them were checked.
pub(super) fn run(peer: &Peer, address: IpAddr, args: &PingArgs, budget: &Budget) -> Result<Pinged> {
    let pinger = Pinger::open(address, args)?;
    let mut tally = Tally::default();
    for number in 1..=u16::try_from(args.count).unwrap_or(u16::MAX) {
        let last = u32::from(number) == args.count;
        let wait = if last {
            args.answer_timeout_ms
        } else {
            args.interval_ms
        };
        tally.one(&pinger, number, Duration::from_millis(wait), last, budget)?;
    }
    let received = tally.replies.len();
    let micros: Vec<u64> = tally.replies.iter().map(|reply| reply.rtt_us).collect();
    let count = u64::from(args.count);
    Ok(Pinged {
        host: peer.host.to_string(),
        address: address.to_string(),
        sent: args.count,
        received: u32::try_from(received).unwrap_or(u32::MAX),
        loss_percent: (count.saturating_sub(received as u64) * 100) as f64 / count.max(1) as f64,
        rtt_min_us: micros.iter().min().copied(),
        rtt_mean_us: (!micros.is_empty()).then(|| micros.iter().sum::<u64>() / micros.len() as u64),
        rtt_max_us: micros.iter().max().copied(),
        packet_bytes: u32::try_from(headers(address) + pinger.payload.len()).unwrap_or(u32::MAX),
        too_large: tally.too_large,
        path_mtu_bytes: if args.dont_fragment {
            pinger.path_mtu()
        } else {
            None
        },
        error: tally.error,
        replies: tally.replies,
    })
}

#[derive(Default)]
struct Tally {
    sent_at: Vec<Instant>,
    replies: Vec<PingReply>,
    too_large: bool,
    error: Option<String>,
}

impl Tally {
    fn refused(&mut self, errno: Errno) {
        self.too_large |= errno == Errno::MSGSIZE;
        self.error = Some(std::io::Error::from(errno).to_string());
    }

    /// Sends one and takes answers until the next one is due; after the last until all came.
    fn one(
        &mut self,
        pinger: &Pinger,
        number: u16,
        wait: Duration,
        last: bool,
        budget: &Budget,
    ) -> Result<()> {
        let until = Instant::now() + wait;
        self.sent_at.push(Instant::now());
        match pinger.send(number) {
            Sent::Gone => {}
            Sent::TooLarge => self.refused(Errno::MSGSIZE),
            Sent::Refused(errno) => self.refused(errno),
        }
        while let Some(answer) = pinger.answer(until, budget)? {
            match answer {
                Ok(number) => self.answered(number),
                Err(errno) => self.refused(errno),
            }
            if last && self.replies.len() == self.sent_at.len() {
                break;
            }
        }
        Ok(())
    }

    fn answered(&mut self, number: u16) {
        let sent = usize::from(number)
            .checked_sub(1)
            .and_then(|index| self.sent_at.get(index));
        // A network may bring an answer twice.
        let known = self.replies.iter().any(|reply| reply.number == u32::from(number));
        if let (Some(sent), false) = (sent, known) {
            self.replies.push(PingReply {
                number: u32::from(number),
                rtt_us: u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_internet_s() {
        // RFC 1071, section 3, and an odd length.
        assert_eq!(
            checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            !0xddf2
        );
        assert_eq!(checksum(&[0xff, 0xff, 0x01]), !0x0100);
    }
}
