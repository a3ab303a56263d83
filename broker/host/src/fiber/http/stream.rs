//! A guest's connection as `hyper` reads and writes it.

use super::super::tcp::Tcp;
use super::strict::StrictRequests;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    task::coop,
    time::{Sleep, sleep},
};

/// Bytes of one read: those of a record of TLS.
const READ_BYTES: usize = 16 * 1024;

/// A connection, with TLS or without.
pub(in super::super) struct HttpStream {
    tcp: Tcp,
    read: Box<[u8]>,
    /// How long the other side may take nothing.
    send_time: Option<Duration>,
    /// Running out while it does.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Requests that come, where they are served.
    requests: Option<StrictRequests>,
    /// Whether one was refused, behind which nothing is read.
    is_refused: bool,
}

impl HttpStream {
    pub(in super::super) fn new(tcp: Tcp) -> Self {
        HttpStream {
            tcp,
            read: vec![0; READ_BYTES].into(),
            send_time: None,
            stalled: None,
            requests: None,
            is_refused: false,
        }
    }

    /// Sets the time in which the other side has to take something.
    pub(in super::super) fn sending_within(self, time: Duration) -> Self {
        HttpStream { send_time: Some(time), ..self }
    }

    /// Checks requests, which have to be [strict](StrictRequests).
    pub(in super::super) fn of_requests(self) -> Self {
        HttpStream { requests: Some(StrictRequests::default()), ..self }
    }

    /// Returns the result of sending, or an error if the other side took nothing for too long.
    fn within_time<T>(
        &mut self,
        sent: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.stalled = None;
            return sent;
        }
        let Some(time) = self.send_time else { return Poll::Pending };
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(time)));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Read for HttpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut bytes: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let HttpStream { tcp, read, requests, is_refused, .. } = self.get_mut();
        if *is_refused {
            return Poll::Ready(Ok(()));
        }
        // An endless sender yields to other routes.
        let turn = ready!(coop::poll_proceed(context));
        let most = bytes.remaining().min(read.len());
        let part = &mut read[..most];
        loop {
            match tcp.try_read(part) {
                Ok(count) => {
                    turn.made_progress();
                    let came = &mut part[..count];
                    let refused_at = requests.as_mut().and_then(|requests| requests.refused_at(came));
                    let taken = match refused_at {
                        // The parser takes no NUL anywhere in a head, and answers with 400.
                        Some(at) => {
                            *is_refused = true;
                            came[at] = 0;
                            &came[..=at]
                        }
                        None => came,
                    };
                    bytes.put_slice(taken);
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
        let stream = self.get_mut();
        loop {
            match stream.tcp.stream().try_write(parts) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let writable = stream.tcp.poll_writable(context).map(Ok);
                    ready!(stream.within_time(writable, context))?;
                }
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
        let stream = self.get_mut();
        let flushed = stream.tcp.stream().poll_flush(context);
        stream.within_time(flushed, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut().tcp.stream();
        ready!(stream.poll_flush(context))?;
        Poll::Ready(stream.try_shutdown())
    }
}
