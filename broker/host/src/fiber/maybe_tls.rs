//! A socket with TLS or without, as bytes that are there or not.

use super::{bindings::lotmq::guest::net::IoError, io_error::io_error, tls::Tls};
use std::{
    future::poll_fn,
    io::{self, IoSlice},
    net::SocketAddr,
    task::{Context, Poll},
};
use tokio::net::TcpStream;

/// A connected socket.
pub(super) struct MaybeTlsStream {
    stream: TcpStream,
    tls: Option<Box<Tls>>,
}

impl MaybeTlsStream {
    /// A socket without TLS.
    pub(super) fn plain(stream: TcpStream) -> io::Result<MaybeTlsStream> {
        stream.set_nodelay(true)?;
        Ok(MaybeTlsStream { stream, tls: None })
    }

    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Goes on with TLS.
    pub(super) async fn begin_tls(&mut self, tls: Result<Tls, String>) -> Result<(), IoError> {
        let mut tls = tls.map_err(IoError::Tls)?;
        poll_fn(|context| tls.poll_handshake(&self.stream, context))
            .await
            .map_err(|error| tls_error(&error))?;
        self.tls = Some(Box::new(tls));
        Ok(())
    }

    /// Reads available bytes; `WouldBlock` when there are none.
    pub(super) fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => tls.read(&self.stream, bytes),
            None => self.stream.try_read(bytes),
        }
    }

    /// Writes as much as can be taken; `WouldBlock` when nothing can.
    pub(super) fn try_write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => tls.write(&self.stream, parts),
            None => self.stream.try_write_vectored(parts),
        }
    }

    /// Ends our direction.
    pub(super) fn try_shutdown(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.close(&self.stream)?;
        }
        socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write)
    }

    /// Waits until the socket has taken all that was written.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.tls {
            Some(tls) => tls.poll_flush(&self.stream, context),
            None => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn peer(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    pub(super) fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.tls {
            Some(tls) => tls.poll_readable(&self.stream, context),
            None => self.stream.poll_read_ready(context).map(|_| ()),
        }
    }

    pub(super) fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.tls {
            Some(tls) => tls.poll_writable(&self.stream, context),
            None => self.stream.poll_write_ready(context).map(|_| ()),
        }
    }
}

fn tls_error(error: &io::Error) -> IoError {
    let known = io_error(error);
    if matches!(known, IoError::Closed) {
        return IoError::Tls("the other side ended the handshake".to_owned());
    }
    known
}
