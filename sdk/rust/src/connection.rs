//! TCP connections as readers and writers of the standard library. Each world with network has its
//! own types.

use super::host::net::{self, Interest, IoError, Peer};
use std::io;

/// TCP connection for blocking code. Reads and writes suspend the guest until the other side is
/// ready.
///
/// For code that polls first, use [`net::Tcp`] and [`net::wait`].
#[derive(Debug)]
pub struct Connection {
    tcp: net::Tcp,
    /// Longest wait for one read or write, in milliseconds.
    timeout_ms: u32,
}

impl Connection {
    /// Connects to a named endpoint of the definition. `timeout_ms` applies to the connect and to
    /// each later read and write.
    pub fn open(endpoint: &str, timeout_ms: u32) -> Result<Connection, IoError> {
        Ok(Connection { tcp: net::Tcp::connect(endpoint, timeout_ms)?, timeout_ms })
    }

    /// Connects to a place that only the other system knows; the endpoint must allow it.
    pub fn open_to(endpoint: &str, place: &Peer, timeout_ms: u32) -> Result<Connection, IoError> {
        Ok(Connection { tcp: net::Tcp::connect_to(endpoint, place, timeout_ms)?, timeout_ms })
    }

    /// A connection that a listener has accepted.
    pub fn accepted(tcp: net::Tcp, timeout_ms: u32) -> Connection {
        Connection { tcp, timeout_ms }
    }

    /// Goes on with TLS.
    pub fn start_tls(&self) -> Result<(), IoError> {
        self.tcp.start_tls(self.timeout_ms)
    }

    /// Goes on with TLS whose handshake is in packets of TDS 7, the protocol of SQL Server.
    pub fn start_tls_in_tds(&self) -> Result<(), IoError> {
        self.tcp.start_tls_in_tds(self.timeout_ms)
    }

    /// Goes on with TLS for a protocol by its name, such as `tds/8.0` (ALPN).
    pub fn start_tls_for(&self, protocol: &str) -> Result<(), IoError> {
        self.tcp.start_tls_for(protocol, self.timeout_ms)
    }

    /// Goes on with a zstd stream each way, to which the bytes belong that were read already.
    pub fn start_zstd(&self, received: &[u8]) -> Result<(), IoError> {
        self.tcp.start_zstd(received)
    }

    /// The connection below, for [`net::wait`].
    pub fn tcp(&self) -> &net::Tcp {
        &self.tcp
    }

    fn wait(&self, interest: Interest<'_>) -> io::Result<()> {
        if net::wait(&[interest], self.timeout_ms).is_empty() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl io::Read for Connection {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let max = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        loop {
            match self.tcp.read(max) {
                Ok(read) => {
                    bytes[..read.len()].copy_from_slice(&read);
                    return Ok(read.len());
                }
                Err(IoError::WouldBlock) => self.wait(Interest::Readable(&self.tcp))?,
                Err(error) => return Err(to_io(error)),
            }
        }
    }
}

impl io::Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.tcp.write(bytes) {
                Ok(written) => return Ok(written as usize),
                Err(IoError::WouldBlock) => self.wait(Interest::Writable(&self.tcp))?,
                Err(error) => return Err(to_io(error)),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error of the network in words, for people.
pub fn described(error: &IoError) -> String {
    match error {
        IoError::Denied(reason) | IoError::Other(reason) => reason.clone(),
        IoError::Refused => "nothing listens there".to_owned(),
        IoError::Unreachable(reason) => format!("it cannot be reached: {reason}"),
        IoError::TimedOut => "it took too long".to_owned(),
        IoError::Closed => "the connection has ended".to_owned(),
        IoError::WouldBlock => "it is not ready".to_owned(),
        IoError::Tls(reason) => format!("TLS: {reason}"),
        IoError::LimitReached => {
            "this instance has as many connections, sockets and listeners as it may, 64".to_owned()
        }
    }
}

pub(super) fn to_io(error: IoError) -> io::Error {
    let kind = match error {
        IoError::Denied(_) | IoError::LimitReached => io::ErrorKind::PermissionDenied,
        IoError::Refused => io::ErrorKind::ConnectionRefused,
        IoError::TimedOut => io::ErrorKind::TimedOut,
        IoError::Closed => io::ErrorKind::ConnectionReset,
        IoError::WouldBlock => io::ErrorKind::WouldBlock,
        IoError::Unreachable(_) | IoError::Tls(_) | IoError::Other(_) => io::ErrorKind::Other,
    };
    io::Error::new(kind, described(&error))
}
