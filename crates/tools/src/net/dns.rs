//! One question to one DNS server: over UDP, and again over TCP when the answer was cut off.

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// Largest answer, bytes.
const LARGEST: usize = 65_535;

/// A question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) server: SocketAddr,
    pub(super) name: &'a str,
    pub(super) record_type: TYPE,
    pub(super) timeout: Duration,
}

/// A record of an answer.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) ttl_s: u32,
    pub(super) data: RData<'static>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) code: RCODE,
    pub(super) records: Vec<Record>,
    pub(super) over_tcp: bool,
    pub(super) elapsed: Duration,
}

/// Asks; an answer of anybody else, or to another question, is no answer.
pub(super) fn ask(question: &Question<'_>) -> Result<Reply> {
    let started = Instant::now();
    let until = started + question.timeout;
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(Error::other)?;
    let id = u16::from_ne_bytes(id);
    let query = query(id, question)?;
    let mut reply = over_udp(question, id, &query, until)?;
    if reply.is_none() {
        reply = over_tcp(question, id, &query, until)?;
        if let Some(reply) = &mut reply {
            reply.over_tcp = true;
        }
    }
    let mut reply =
        reply.ok_or_else(|| Error::new(ErrorKind::InvalidData, "its answer is cut off over TCP too"))?;
    reply.elapsed = started.elapsed();
    Ok(reply)
}

fn invalid(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidData, error.to_string())
}

fn query(id: u16, question: &Question<'_>) -> Result<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(simple_dns::Question::new(
        Name::new(question.name).map_err(invalid)?,
        QTYPE::TYPE(question.record_type),
        QCLASS::CLASS(CLASS::IN),
        false,
    ));
    packet.build_bytes_vec().map_err(invalid)
}

fn left(until: Instant) -> Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Error::new(ErrorKind::TimedOut, "no answer in time"));
    }
    Ok(left)
}

/// `None` when the answer was cut off.
fn over_udp(question: &Question<'_>, id: u16, query: &[u8], until: Instant) -> Result<Option<Reply>> {
    let any: SocketAddr = if question.server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    // The kernel then passes on what comes from this server's address and port only.
    socket.connect(question.server)?;
    socket.send(query)?;
    let mut buffer = vec![0; LARGEST];
    loop {
        socket.set_read_timeout(Some(left(until)?))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(Error::new(ErrorKind::TimedOut, "no answer in time"));
            }
            Err(error) => return Err(error),
        };
        let Some(packet) = buffer.get(..length) else {
            continue;
        };
        // A forged answer must not end the waiting for the true one.
        if let Ok(reply) = understand(packet, id, question) {
            return Ok(reply);
        }
    }
}

fn over_tcp(question: &Question<'_>, id: u16, query: &[u8], until: Instant) -> Result<Option<Reply>> {
    let mut stream = TcpStream::connect_timeout(&question.server, left(until)?)?;
    stream.set_write_timeout(Some(left(until)?))?;
    let length = u16::try_from(query.len()).map_err(invalid)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat())?;
    let mut length = [0; 2];
    read(&mut stream, &mut length, until)?;
    let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
    read(&mut stream, &mut packet, until)?;
    understand(&packet, id, question)
}

/// Reads all of it, however slowly it comes, until the time is up.
fn read(stream: &mut TcpStream, mut into: &mut [u8], until: Instant) -> Result<()> {
    while !into.is_empty() {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(into)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => into = into.get_mut(count..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// `None` when it was cut off.
fn understand(packet: &[u8], id: u16, question: &Question<'_>) -> Result<Option<Reply>> {
    let packet = Packet::parse(packet).map_err(invalid)?;
    let ours = packet.questions.iter().any(|asked| {
        asked.qname.to_string().eq_ignore_ascii_case(question.name)
            && asked.qtype == QTYPE::TYPE(question.record_type)
    });
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) || !ours {
        return Err(invalid("an answer to another question"));
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Ok(None);
    }
    Ok(Some(Reply {
        code: packet.rcode(),
        records: packet.answers.into_iter().map(record).collect(),
        over_tcp: false,
        elapsed: Duration::ZERO,
    }))
}

fn record(record: ResourceRecord<'_>) -> Record {
    let record = record.into_owned();
    Record {
        name: plain(&record.name),
        ttl_s: record.ttl,
        data: record.rdata,
    }
}

/// A name without what could write to a terminal.
pub(super) fn plain(name: &Name<'_>) -> String {
    name.to_string().escape_debug().to_string()
}

/// A record's value as people write it.
pub(super) fn value(data: &RData<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
    match data {
        RData::A(it) => Ipv4Addr::from(it.address).to_string(),
        RData::AAAA(it) => Ipv6Addr::from(it.address).to_string(),
        RData::CNAME(it) => plain(it),
        RData::NS(it) => plain(it),
        RData::PTR(it) => plain(it),
        RData::MX(it) => format!("{} {}", it.preference, plain(&it.exchange)),
        RData::SRV(it) => format!("{} {} {} {}", it.priority, it.weight, it.port, plain(&it.target)),
        RData::SOA(it) => format!(
            "{} {} {} {} {} {} {}",
            plain(&it.mname),
            plain(&it.rname),
            it.serial,
            it.refresh,
            it.retry,
            it.expire,
            it.minimum
        ),
        RData::CAA(it) => format!("{} {:?} \"{}\"", it.flag, it.tag.to_string(), text(&it.value)),
        RData::TXT(it) => {
            let parts = it.iter_raw().map(|(key, value)| match value {
                Some(value) => format!("\"{}={}\"", text(key), text(value)),
                None => format!("\"{}\"", text(key)),
            });
            parts.collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::rdata::{A, TXT};
    use std::net::TcpListener;

    fn server(answer: impl Fn(&Packet<'_>, bool) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        let tcp = TcpListener::bind(address).unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, from) = udp.recv_from(&mut buffer).unwrap();
            for reply in answer(&Packet::parse(&buffer[..length]).unwrap(), false) {
                udp.send_to(&reply, from).unwrap();
            }
            let (mut stream, _) = tcp.accept().unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut query).unwrap();
            for reply in answer(&Packet::parse(&query).unwrap(), true) {
                stream
                    .write_all(&u16::try_from(reply.len()).unwrap().to_be_bytes())
                    .unwrap();
                // In two pieces, as a network may bring it.
                stream.write_all(&reply[..5]).unwrap();
                stream.flush().unwrap();
                stream.write_all(&reply[5..]).unwrap();
            }
        });
        address
    }

    fn reply(query: &Packet<'_>, id: u16, name: &'static str, address: [u8; 4]) -> Packet<'static> {
        let mut packet = Packet::new_reply(id);
        packet.questions = query
            .questions
            .iter()
            .cloned()
            .map(simple_dns::Question::into_owned)
            .collect();
        let data = RData::A(A::from(Ipv4Addr::from(address)));
        packet.answers.push(ResourceRecord::new(
            Name::new_unchecked(name),
            CLASS::IN,
            60,
            data,
        ));
        packet
    }

    fn question(server: SocketAddr) -> Question<'static> {
        Question {
            server,
            name: "a.example",
            record_type: TYPE::A,
            timeout: Duration::from_secs(5),
        }
    }

    #[test]
    fn forged_answers_are_passed_over_and_the_true_one_is_taken() {
        let address = server(|query, _| {
            let mut other = query.clone();
            other.questions[0].qname = Name::new_unchecked("b.example");
            vec![
                reply(query, query.id().wrapping_add(1), "a.example", [6, 6, 6, 6])
                    .build_bytes_vec()
                    .unwrap(),
                reply(&other, query.id(), "a.example", [6, 6, 6, 7])
                    .build_bytes_vec()
                    .unwrap(),
                vec![1, 2, 3],
                query.build_bytes_vec().unwrap(),
                reply(query, query.id(), "a.example", [9, 9, 9, 9])
                    .build_bytes_vec()
                    .unwrap(),
            ]
        });
        let reply = ask(&question(address)).unwrap();
        assert_eq!((reply.code, reply.over_tcp), (RCODE::NoError, false));
        assert_eq!(value(&reply.records[0].data), "9.9.9.9");
    }

    #[test]
    fn an_answer_that_was_cut_off_is_asked_for_again_over_tcp() {
        let address = server(|query, tcp| {
            let mut packet = reply(query, query.id(), "a.example", [9, 9, 9, 9]);
            if !tcp {
                packet.answers.clear();
                packet.set_flags(PacketFlag::TRUNCATION);
            }
            vec![packet.build_bytes_vec().unwrap()]
        });
        let reply = ask(&question(address)).unwrap();
        assert!(reply.over_tcp);
        assert_eq!(value(&reply.records[0].data), "9.9.9.9");
    }

    #[test]
    fn silence_ends_in_time() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let started = Instant::now();
        let error = ask(&Question {
            timeout: Duration::from_millis(200),
            ..question(udp.local_addr().unwrap())
        })
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(3));
    }

    #[test]
    fn values_cannot_write_to_a_terminal() {
        let txt = TXT::new().with_string("a\u{1b}[31m=b").unwrap();
        assert_eq!(value(&RData::TXT(txt)), "\"a\\u{1b}[31m=b\"");
    }
}
