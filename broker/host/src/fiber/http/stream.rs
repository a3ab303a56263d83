//! A guest's connection as `hyper` reads and writes it.

use super::super::tcp::Tcp;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::task::coop;

/// Bytes of one read: those of a record of TLS.
const READ_BYTES: usize = 16 * 1024;

/// A connection, with TLS or without.
pub(super) struct HttpStream {
    tcp: Tcp,
    read: Box<[u8]>,
}

impl HttpStream {
    pub(super) fn new(tcp: Tcp) -> Self {
        HttpStream { tcp, read: vec![0; READ_BYTES].into() }
    }
}

impl Read for HttpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut bytes: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let HttpStream { tcp, read } = self.get_mut();
        // Who sends for ever gives the other routes their turn.
        let turn = ready!(coop::poll_proceed(context));
        let most = bytes.remaining().min(read.len());
        let part = &mut read[..most];
        loop {
            match tcp.try_read(part) {
                Ok(count) => {
                    turn.made_progress();
                    bytes.put_slice(&part[..count]);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(tcp.poll_readable(context)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Write for HttpStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let turn = ready!(coop::poll_proceed(context));
        let tcp = &mut self.get_mut().tcp;
        loop {
            match tcp.try_write(parts) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(tcp.poll_writable(context)),
                done => {
                    turn.made_progress();
                    return Poll::Ready(done);
                }
            }
        }
    }

    /// So that a body need not be copied behind its head.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().tcp.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tcp = &mut self.get_mut().tcp;
        ready!(tcp.poll_flush(context))?;
        Poll::Ready(tcp.try_shutdown())
    }
}
