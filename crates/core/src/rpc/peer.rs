//! Who is at the other end of a Unix socket, as the kernel says.

use super::corked::Corked;
use nix::sys::socket::{getsockopt, sockopt};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tonic::transport::server::Connected;

/// The credentials of a peer at the moment it connected (`SO_PEERCRED`, `SO_PEERPIDFD`; unix(7)).
#[derive(Debug, Clone)]
pub struct Peer {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Process id in our pid namespace; 0 when the peer is not visible in it.
    pub pid: i32,
    /// A handle that stays with that process even when its id is reused; `None` on kernels before 6.5.
    pub pidfd: Option<Arc<OwnedFd>>,
}

impl Peer {
    /// Reads the credentials of a connected stream.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let cred = getsockopt(stream, sockopt::PeerCredentials)?;
        let pidfd = getsockopt(stream, sockopt::PeerPidfd).ok().map(Arc::new);
        Ok(Self {
            uid: cred.uid(),
            gid: cred.gid(),
            pid: cred.pid(),
            pidfd,
        })
    }
}

/// The peer of a gRPC request that came in through [`crate::rpc::serve`].
pub fn peer_of<T>(request: &tonic::Request<T>) -> Option<&Peer> {
    request.extensions().get::<Peer>()
}

/// A Unix stream that knows its peer.
#[derive(Debug)]
pub struct PeerStream {
    stream: Corked,
    peer: Peer,
}

impl PeerStream {
    /// Wraps a connected stream.
    ///
    /// # Errors
    /// The kernel does not tell who the peer is.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        let peer = Peer::of(&stream)?;
        let stream = Corked::new(stream);
        Ok(Self { stream, peer })
    }
}

impl Connected for PeerStream {
    type ConnectInfo = Peer;
    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
