//! Small servers: one of names, as RFC 1035 has it, and one that counts what it is sent.

use anyhow::Result;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A server that is to end looks this often whether it is to.
const LOOKS: Duration = Duration::from_millis(100);
/// A connection that says nothing for so long is closed.
const PATIENCE: Duration = Duration::from_secs(3);

/// Length of a message's header.
const HEADER: usize = 12;
const TYPE_A: [u8; 2] = [0, 1];
const CLASS_IN: [u8; 2] = [0, 1];
const NO_ERROR: u8 = 0;
const SERVER_FAILURE: u8 = 2;
const NAME_ERROR: u8 = 3;

/// How a server of names answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// The host's name has its address.
    Known,
    /// There is no such name.
    Unknown,
    /// It says that it failed.
    Fails,
    /// It says nothing.
    Silent,
}

/// What a server of names knows.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    pub(super) names: Names,
    pub(super) name: String,
    pub(super) address: Ipv4Addr,
}

/// A server on a thread of its own; it ends with this.
pub(super) struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn new(work: impl FnOnce(&AtomicBool) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        Self {
            stop,
            thread: Some(std::thread::spawn(move || work(&seen))),
        }
    }

    /// A server of names. Its socket belongs to the namespace of the calling thread.
    pub(super) fn names(at: SocketAddr, zone: Zone) -> Result<Self> {
        let socket = UdpSocket::bind(at)?;
        socket.set_read_timeout(Some(LOOKS))?;
        Ok(Self::new(move |stop| {
            let mut buffer = [0; 512];
            while !stop.load(Ordering::SeqCst) {
                // Nothing came in time, or a network that is broken on purpose says so.
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let reply = buffer.get(..length).and_then(|query| answer(query, &zone));
                if let Some(reply) = reply {
                    drop(socket.send_to(&reply, from));
                }
            }
        }))
    }

    /// A server that answers how many bytes it was sent.
    pub(super) fn host(at: SocketAddr) -> Result<Self> {
        Self::each(at, |mut stream| {
            let mut count = 0;
            let mut buffer = [0; 4096];
            loop {
                match stream.read(&mut buffer)? {
                    0 => break,
                    length => count += length,
                }
            }
            stream.write_all(count.to_string().as_bytes())
        })
    }

    /// Serves one connection after another.
    pub(super) fn each(
        at: SocketAddr,
        serve: impl Fn(TcpStream) -> std::io::Result<()> + Send + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind(at)?;
        listener.set_nonblocking(true)?;
        Ok(Self::new(move |stop| {
            while !stop.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let ready = stream
                            .set_nonblocking(false)
                            .and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
                        // Who breaks a connection off has seen enough.
                        drop(ready.and_then(|()| serve(stream)));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::park_timeout(LOOKS),
                    Err(_) => return,
                }
            }
        }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A server that failed has nothing more to say.
            drop(thread.join());
        }
    }
}

/// The name that a query asks for, and where its question ends.
fn question(query: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
    // Type and class.
    Some((labels.join("."), at + 4))
}

/// The answer to a query; none to what is no query.
fn answer(query: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let (name, end) = question(query)?;
    let asked = query.get(HEADER..end)?;
    let known = zone.names == Names::Known && name == zone.name;
    let code = match zone.names {
        Names::Silent => return None,
        Names::Fails => SERVER_FAILURE,
        _ if known => NO_ERROR,
        _ => NAME_ERROR,
    };
    let of_address = asked.get(asked.len().checked_sub(4)?..)? == [TYPE_A, CLASS_IN].concat();
    let count = u8::from(known && of_address);
    let mut reply = query.get(..2)?.to_vec();
    // A response, recursion desired and available; one question, so many answers.
    reply.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    reply.extend(asked);
    if count > 0 {
        // The name stands in the question, at byte 12; an hour, four bytes.
        reply.extend([0xc0, 12]);
        reply.extend([TYPE_A, CLASS_IN].concat());
        reply.extend([0, 0, 0x0e, 0x10, 0, 4]);
        reply.extend(zone.address.octets());
    }
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_answered_as_the_zone_says() {
        let query = |kind: u8| {
            let mut query = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            query.extend(b"\x04shop\x07example\x00");
            query.extend([0, kind, 0, 1]);
            query
        };
        let zone = |names| Zone {
            names,
            name: "shop.example".to_owned(),
            address: Ipv4Addr::new(31, 2, 3, 4),
        };
        for (names, kind, code, count) in [
            (Names::Known, 1, NO_ERROR, 1),
            (Names::Known, 28, NO_ERROR, 0),
            (Names::Unknown, 1, NAME_ERROR, 0),
            (Names::Fails, 1, SERVER_FAILURE, 0),
        ] {
            let reply = answer(&query(kind), &zone(names)).unwrap();
            assert_eq!(reply[..8], [7, 9, 0x81, 0x80 | code, 0, 1, 0, count], "{names:?}");
            assert_eq!(reply.ends_with(&[31, 2, 3, 4]), count == 1, "{names:?}");
        }
        assert_eq!(answer(&query(1), &zone(Names::Silent)), None);
        assert_eq!(answer(&[1, 2, 3], &zone(Names::Known)), None);
    }
}
