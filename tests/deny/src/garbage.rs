//! What no client of ours would send: bytes that are no HTTP/2, messages that are no protobuf, messages
//! without end.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::{Buf, BufMut};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// How HTTP/2 begins (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long a service may take to answer or to hang up.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than any service takes in one message, bytes; memory takes the most, 64 MiB.
const OVERSIZED: usize = 65 << 20;

/// Messages as they are, bytes in and bytes out.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

/// Calls an rpc, `/aios.guard.v1.Guard/Status`, with a body that need be no message.
///
/// # Errors
/// The service's status, or the connection's end as one.
pub async fn call(channel: &Channel, rpc: &'static str, body: Vec<u8>) -> Result<Vec<u8>, Status> {
    let mut client = Grpc::new(channel.clone());
    let ready = client.ready().await;
    ready.map_err(|error| Status::unavailable(error.to_string()))?;
    let request = client.unary(Request::new(body), PathAndQuery::from_static(rpc), Raw);
    let answer = tokio::time::timeout(PATIENCE, request).await;
    let answer = answer.map_err(|_| Status::deadline_exceeded("no answer"))?;
    answer.map(tonic::Response::into_inner)
}

/// Whether the service answers a good request on this channel: health, which every service has.
///
/// # Errors
/// It does not say that it is serving.
pub async fn serves(channel: &Channel) -> Result<()> {
    let answer = call(channel, "/grpc.health.v1.Health/Check", Vec::new()).await?;
    // Field 1, SERVING.
    ensure!(answer == [8, 1], "{answer:?}");
    Ok(())
}

/// Bytes that are no conversation, by name.
fn noises() -> Vec<(&'static str, Vec<u8>)> {
    // Fixed, so that a failure comes again: a linear congruential generator (Knuth's constants).
    let mut state = 1_u64;
    let random: Vec<u8> = (0..65_536)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let [highest, ..] = state.to_be_bytes();
            highest
        })
        .collect();
    let after_preface = |rest: &[u8]| [PREFACE, rest].concat();
    vec![
        ("random bytes", random.clone()),
        ("zeros", vec![0; 65_536]),
        ("HTTP/1.1", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(64)),
        ("half a preface", PREFACE.iter().copied().take(10).collect()),
        ("random bytes as frames", after_preface(&random)),
        // A frame header (RFC 9113 section 4.1) that announces 16 MiB of DATA on a stream that is not open.
        (
            "an endless frame",
            after_preface(&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1, 1, 2, 3]),
        ),
        (
            "a frame of a wrong size",
            after_preface(&[0, 0, 1, 4, 0, 0, 0, 0, 0, 7]),
        ),
    ]
}

/// Says each noise to the socket; the service must hang up, or answer something and hang up once we do.
///
/// # Errors
/// The connection stays open, or cannot be made.
pub fn shout(socket: &Path) -> Result<()> {
    for (name, noise) in noises() {
        let mut stream = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let over = |error: &std::io::Error| {
            matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
        };
        // A service that has heard enough may hang up before it has heard all.
        let said = stream
            .write_all(&noise)
            .and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        ensure!(said.is_ok() || said.as_ref().is_err_and(over), "{name}: {said:?}");
        let heard = stream.read_to_end(&mut Vec::new());
        ensure!(
            heard.is_ok() || heard.as_ref().is_err_and(over),
            "{name}: {heard:?}"
        );
    }
    Ok(())
}

/// Everything wrong that can be said to a service, each followed by a good request. `rpc` takes a message
/// whose first field is a text or a message; the channel's user may call it.
///
/// # Errors
/// Something was taken, or the service does not serve any more.
pub async fn endure(socket: &Path, channel: &Channel, rpc: &'static str) -> Result<()> {
    serves(channel).await.context("before")?;
    let at = socket.to_owned();
    tokio::task::spawn_blocking(move || shout(&at)).await??;
    serves(channel).await.context("after noise")?;
    let bodies = [
        ("a tag without a value", vec![0x0a]),
        ("a length beyond the end", vec![0x0a, 0x7f, b'x']),
        ("a number where a text belongs", vec![0x08, 0x01]),
        (
            "an endless number",
            vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ),
        ("field 0", vec![0x02, 0x00]),
        ("a group's end", vec![0x0c]),
        ("text that is no UTF-8", vec![0x0a, 0x02, 0xff, 0xfe]),
    ];
    for (name, body) in bodies {
        let status = call(channel, rpc, body).await.err();
        let status = status.with_context(|| format!("{rpc} took {name}"))?;
        ensure!(
            !matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded),
            "{name}: {status:?}"
        );
        serves(channel).await.context(name)?;
    }
    let oversized = call(channel, rpc, vec![0x0a; OVERSIZED]).await.err();
    let oversized = oversized.context("it took an oversized message")?;
    // Hanging up is an answer, too; silence is not.
    ensure!(oversized.code() != Code::DeadlineExceeded, "{oversized:?}");
    serves(channel).await.context("after an oversized message")?;
    let unknown = call(channel, "/aios.nothing.v1.Nothing/Do", vec![0x0a])
        .await
        .err();
    ensure!(
        unknown
            .as_ref()
            .is_some_and(|it| it.code() == Code::Unimplemented),
        "{unknown:?}"
    );
    serves(channel).await.context("after an unknown rpc")
}
