//! Sends what belongs together in one system call.
//!
//! HTTP/2 over a stream is written as it comes: the headers of a call, its message, and the empty frame
//! that ends it, each from another task and each with a system call that wakes the peer. On one machine
//! these wake-ups cost more than the call. So a [`Corked`] stream holds bytes back until the writing
//! connection has been polled once more and had nothing to add, a matter of microseconds.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// Held at most, bytes; more is sent at once.
const MOST: usize = 32 << 10;

/// A stream that gathers small writes.
///
/// A flush after which nothing was written sends; one that follows a write asks for its task to be
/// polled again instead, so the task must flush whenever it is polled, as HTTP/2 connections do. What
/// was not flushed twice is sent at shutdown.
#[derive(Debug)]
pub(super) struct Corked {
    stream: UnixStream,
    held: Vec<u8>,
    /// Bytes of `held` that are already sent.
    sent: usize,
    /// Whether something was written since the last flush.
    fresh: bool,
}

impl Corked {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            held: Vec::new(),
            sent: 0,
            fresh: false,
        }
    }

    /// Sends everything that is held.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.held.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent = self.sent.saturating_add(count),
            }
        }
        self.held.clear();
        // One large answer does not keep its memory for ever.
        self.held.shrink_to(MOST);
        self.sent = 0;
        self.fresh = false;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Corked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Corked {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count: usize = bufs.iter().map(|buf| buf.len()).sum();
        if this.held.len().saturating_add(count) > MOST {
            ready!(this.poll_send(cx))?;
        }
        if count > MOST {
            return Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        }
        for buf in bufs {
            this.held.extend_from_slice(buf);
        }
        this.fresh = true;
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.fresh {
            this.fresh = false;
            cx.waker().wake_by_ref();
            return Poll::Ready(Ok(()));
        }
        this.poll_send(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn flush(stream: &mut Corked) {
        poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx)).await.unwrap();
    }

    fn arrived(peer: &UnixStream) -> Vec<u8> {
        let mut bytes = vec![0; MOST * 4];
        let count = peer.try_read(&mut bytes).unwrap_or(0);
        bytes.truncate(count);
        bytes
    }

    #[tokio::test]
    async fn what_is_written_in_two_turns_goes_out_together() {
        let (own, peer) = UnixStream::pair().unwrap();
        let mut own = Corked::new(own);
        peer.writable().await.unwrap();
        own.write_all(b"head").await.unwrap();
        flush(&mut own).await;
        assert_eq!(arrived(&peer), b"");
        own.write_all(b", body").await.unwrap();
        flush(&mut own).await;
        flush(&mut own).await;
        peer.readable().await.unwrap();
        assert_eq!(arrived(&peer), b"head, body");
    }

    #[tokio::test]
    async fn the_end_sends_the_rest() {
        let (own, mut peer) = UnixStream::pair().unwrap();
        let mut own = Corked::new(own);
        own.write_all(b"last words").await.unwrap();
        own.shutdown().await.unwrap();
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"last words");
    }

    #[tokio::test]
    async fn much_is_sent_whole_and_in_order_to_a_slow_reader() {
        let (own, mut peer) = UnixStream::pair().unwrap();
        let pattern = |at: usize| u8::try_from(at % 251).unwrap();
        let sizes = [1, 100, MOST, 7, MOST * 40, MOST - 1, 2, 3];
        let all: usize = sizes.iter().sum();
        let writing = async move {
            let mut own = Corked::new(own);
            let mut at = 0;
            for size in sizes {
                let bytes: Vec<u8> = (at..at + size).map(pattern).collect();
                own.write_all(&bytes).await.unwrap();
                at += size;
            }
            own.shutdown().await.unwrap();
        };
        let reading = async move {
            let mut read = Vec::new();
            let mut some = vec![0; 999];
            loop {
                let count = peer.read(&mut some).await.unwrap();
                if count == 0 {
                    return read;
                }
                read.extend_from_slice(&some[..count]);
                tokio::task::yield_now().await;
            }
        };
        let ((), read) = tokio::join!(writing, reading);
        assert_eq!(read.len(), all);
        assert!(read.iter().enumerate().all(|(at, byte)| *byte == pattern(at)));
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_an_error() {
        let (own, peer) = UnixStream::pair().unwrap();
        let mut own = Corked::new(own);
        drop(peer);
        own.write_all(b"hello").await.unwrap();
        flush(&mut own).await;
        let error = own.flush().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
