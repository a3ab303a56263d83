//! Connected sockets of either kind, as the shard's runtime watches them.
//!
//! Not here: what its bytes mean, and what lies between them and MQTT (`layers`).

use std::io;
use std::net::TcpStream as StdTcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use super::relayed::Relayed;
use lotmq_core::reason::close::CloseReason;

/// Connected socket. The plain path costs one predictable branch per call.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    /// Socket of a local process, or of the relay of a connection. Boxed, so that TCP sockets,
    /// which are many, are no larger for it.
    Unix(Box<UnixSocket>),
}

/// Unix socket, with the state that a relay and its connection share.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    stream: UnixStream,
    relayed: Option<Arc<Relayed>>,
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if let Some(relayed) = &self.relayed {
            relayed.shard_has_ended();
        }
    }
}

/// Kind of an accepted socket.
pub(crate) enum SocketKind {
    Tcp,
    Unix,
    /// One end of a pair, whose other end a relay has.
    #[cfg(feature = "quic")]
    Relayed(Arc<Relayed>),
}

impl Socket {
    /// Registers an accepted socket, which does not block, with the runtime of this thread.
    ///
    /// # Errors
    /// When the system can watch no more.
    pub(crate) fn register(accepted: OwnedFd, kind: SocketKind) -> io::Result<Self> {
        let relayed = match kind {
            SocketKind::Tcp => return TcpStream::from_std(StdTcpStream::from(accepted)).map(Self::Tcp),
            SocketKind::Unix => None,
            #[cfg(feature = "quic")]
            SocketKind::Relayed(relayed) => Some(relayed),
        };
        let stream = UnixStream::from_std(StdUnixStream::from(accepted))?;
        Ok(Self::Unix(Box::new(UnixSocket { stream, relayed })))
    }

    /// State shared with the relay of the connection, where it has one.
    pub(crate) fn relayed(&self) -> Option<&Relayed> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(socket) => socket.relayed.as_deref(),
        }
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(socket) => socket.stream.poll_read_ready(cx),
        }
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Unix(socket) => socket.stream.poll_write_ready(cx),
        }
    }

    /// Performs `io` when the socket was ready; its `WouldBlock` clears the readiness.
    pub(crate) fn try_io<R>(&self, interest: Interest, io: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        match self {
            Self::Tcp(stream) => stream.try_io(interest, io),
            Self::Unix(socket) => socket.stream.try_io(interest, io),
        }
    }

    /// Peeks at bytes that wait to be read, as many as `room` holds at most; `None` when the peer
    /// has ended the connection, or it broke, and nothing is left.
    pub(crate) fn waiting(&self, room: &mut [u8]) -> Option<usize> {
        waiting(self, room)
    }

    /// Calls `recv` once. `None` when there was nothing to read.
    ///
    /// A short read empties the socket, so readiness is cleared at once instead of by a second call
    /// that fails: 4 % with one packet per write.
    ///
    /// # Errors
    /// The end of the connection, whoever ended it.
    pub(crate) fn receive(&self, target: &mut [u8]) -> Result<Option<usize>, CloseReason> {
        let room = target.len();
        let mut received = None;
        let result = self.try_io(Interest::READABLE, || {
            let (len, _) = rustix::net::recv(self, target, rustix::net::RecvFlags::empty())?;
            received = Some(len);
            if len < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match (received, result) {
            (Some(0), _) => Err(CloseReason::PeerClosed),
            (Some(len), _) => Ok(Some(len)),
            (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            (None, _) => Err(CloseReason::NetworkError),
        }
    }
}

/// Peeks at bytes that wait at a connected socket, as [`Socket::waiting`] does.
pub(super) fn waiting(socket: impl AsFd, room: &mut [u8]) -> Option<usize> {
    let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
    match rustix::net::recv(socket, room, flags) {
        Ok((len, _)) => (len > 0).then_some(len),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Some(0),
        Err(_) => None,
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(socket) => socket.stream.as_fd(),
        }
    }
}
