//! Serial ports of the route's definition, as readers and writers.
//!
//! ```ignore
//! use lotmq_guest::route::serial::SerialPort;
//! use std::io::{Read as _, Write as _};
//!
//! let mut scale = SerialPort::open("scale", 1_000)?; // COM_PORT of SCALE_CONFIG
//! scale.write_all(b"S\r\n")?;
//! let mut answer = [0; 32];
//! let count = scale.read(&mut answer)?; // Something within 1000 ms, or an error
//! ```
//!
//! Several routes share a line by turns. Open it with [`SerialPort::open_shared`], then
//! [begin](SerialPort::begin) and [end](SerialPort::end) a turn around each question with its
//! answer. A module needs the grant `serial:` of the device. Calls suspend the guest, and no thread
//! of the broker.

pub use super::bindings::lotmq::guest::serial::SerialError;
use super::{
    Failure,
    bindings::lotmq::guest::serial::Port,
    executor,
    net::{self, Interest, Signal},
};
use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
};

/// Open serial port. Dropping it ends its turn and closes it.
///
/// It is a reader and a writer of the standard library for blocking code. With the feature `tokio`
/// or `futures-io` it has the asynchronous traits of that crate.
#[derive(Debug)]
pub struct SerialPort {
    port: Port,
    readable: Arc<Signal>,
    writable: Arc<Signal>,
    /// Longest wait for one read or write, in milliseconds.
    timeout_ms: u32,
}

impl SerialPort {
    /// Opens the port of a section of the definition, with a turn that lasts until it is dropped or
    /// ended. `timeout_ms` applies to opening, to the turn, and to each later read and write.
    pub fn open(section: &str, timeout_ms: u32) -> Result<SerialPort, SerialError> {
        let port = SerialPort::open_shared(section, timeout_ms)?;
        port.begin(timeout_ms)?;
        Ok(port)
    }

    /// Opens the port without a turn: nothing is read or written before [`begin`](Self::begin).
    pub fn open_shared(section: &str, timeout_ms: u32) -> Result<SerialPort, SerialError> {
        let port = Port::open(section, timeout_ms)?;
        let (readable, writable) = (Arc::new(port.readable()?), Arc::new(port.writable()?));
        Ok(SerialPort { port, readable, writable, timeout_ms })
    }

    /// Begins a turn: waits until others have ended theirs.
    pub fn begin(&self, timeout_ms: u32) -> Result<(), SerialError> {
        self.port.begin(timeout_ms)
    }

    /// Ends the turn.
    pub fn end(&self) {
        self.port.end();
    }

    /// Reads available bytes, at most `max`. Never waits.
    pub fn receive(&self, max: u32) -> Result<Vec<u8>, SerialError> {
        self.port.read(max)
    }

    /// Writes as many bytes as possible now, and returns their number. Never waits.
    pub fn send(&self, bytes: &[u8]) -> Result<u32, SerialError> {
        self.port.write(bytes)
    }

    /// Drops received bytes that were not read.
    pub fn discard(&self) -> Result<(), SerialError> {
        self.port.discard()
    }

    /// Returns the interest for [`net::wait`] in received bytes.
    pub fn readable(&self) -> Interest<'_> {
        Interest::Signalled(&self.readable)
    }

    /// Returns the interest for [`net::wait`] in room for a write.
    pub fn writable(&self) -> Interest<'_> {
        Interest::Signalled(&self.writable)
    }

    /// Reads available bytes, at most `max`.
    pub fn poll_receive(&self, cx: &Context<'_>, max: usize) -> Poll<io::Result<Vec<u8>>> {
        if !executor::takes_turn(cx) {
            return Poll::Pending;
        }
        match self.port.read(u32::try_from(max).unwrap_or(u32::MAX)) {
            Err(SerialError::WouldBlock) => {
                executor::wake_by(&self.readable, cx);
                Poll::Pending
            }
            read => Poll::Ready(read.map_err(to_io)),
        }
    }

    /// Writes as many bytes as possible now, and returns their number.
    pub fn poll_send(&self, cx: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !executor::takes_turn(cx) {
            return Poll::Pending;
        }
        match self.port.write(bytes) {
            Err(SerialError::WouldBlock) => {
                executor::wake_by(&self.writable, cx);
                Poll::Pending
            }
            written => Poll::Ready(written.map(|written| written as usize).map_err(to_io)),
        }
    }

    fn wait(&self, interest: Interest<'_>) -> io::Result<()> {
        if net::wait(&[interest], self.timeout_ms).is_empty() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl io::Read for SerialPort {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let max = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        loop {
            match self.port.read(max) {
                Ok(read) => {
                    bytes[..read.len()].copy_from_slice(&read);
                    return Ok(read.len());
                }
                Err(SerialError::WouldBlock) => self.wait(self.readable())?,
                Err(error) => return Err(to_io(error)),
            }
        }
    }
}

impl io::Write for SerialPort {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.port.write(bytes) {
                Ok(written) => return Ok(written as usize),
                Err(SerialError::WouldBlock) => self.wait(self.writable())?,
                Err(error) => return Err(to_io(error)),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "futures-io")]
impl futures_io::AsyncRead for SerialPort {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_receive(cx, bytes.len()).map_ok(|read| {
            bytes[..read.len()].copy_from_slice(&read);
            read.len()
        })
    }
}

#[cfg(feature = "futures-io")]
impl futures_io::AsyncWrite for SerialPort {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bytes)
    }

    fn poll_flush(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(feature = "tokio")]
impl tokio::io::AsyncRead for SerialPort {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_receive(cx, bytes.remaining()).map_ok(|read| bytes.put_slice(&read))
    }
}

#[cfg(feature = "tokio")]
impl tokio::io::AsyncWrite for SerialPort {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bytes)
    }

    fn poll_flush(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Returns the usual class of failure for an error of a serial port. A wrong configuration is
/// fatal. All else is retried, such as a device that is not plugged in.
pub fn failure(error: &SerialError) -> Failure {
    let reason = described(error);
    match error {
        SerialError::Denied(_) | SerialError::Unfit(_) | SerialError::LimitReached => Failure::Fatal(reason),
        _ => Failure::Reconnect(reason),
    }
}

/// An error of a serial port in words, for people.
pub fn described(error: &SerialError) -> String {
    match error {
        SerialError::Denied(reason) | SerialError::Unfit(reason) | SerialError::Other(reason) => {
            reason.clone()
        }
        SerialError::Busy(reason) => format!("the serial port is in use: {reason}"),
        SerialError::NotFound => "there is no such device".to_owned(),
        SerialError::TimedOut => "it took too long".to_owned(),
        SerialError::Disconnected => "the device was unplugged".to_owned(),
        SerialError::WouldBlock => "it is not ready".to_owned(),
        SerialError::NotBegun => "a turn was not begun".to_owned(),
        SerialError::LimitReached => "there are as many connections as there may be".to_owned(),
    }
}

fn to_io(error: SerialError) -> io::Error {
    let kind = match error {
        SerialError::Denied(_) | SerialError::LimitReached => io::ErrorKind::PermissionDenied,
        SerialError::NotFound => io::ErrorKind::NotFound,
        SerialError::Busy(_) => io::ErrorKind::ResourceBusy,
        SerialError::Unfit(_) => io::ErrorKind::Unsupported,
        SerialError::TimedOut => io::ErrorKind::TimedOut,
        SerialError::Disconnected => io::ErrorKind::NotConnected,
        SerialError::WouldBlock => io::ErrorKind::WouldBlock,
        SerialError::NotBegun | SerialError::Other(_) => io::ErrorKind::Other,
    };
    io::Error::new(kind, described(&error))
}
