//! Connection for protocols of frames: buffers received bytes and limits the wait for an answer.
//! The guest defines the frames.

mod subscriber;

use std::io::{ErrorKind, Read as _, Write as _};

use lotmq_guest::route::{Connection, Failure, IoError, failure, net};

pub use subscriber::{Listener, Subscriber, left_out};

/// Bytes of one read.
const PIECE_BYTES: usize = 64 * 1024;

/// Connection with what came over it and is not done.
pub struct Frames {
    connection: Connection,
    timeout_ms: u32,
    /// Received bytes; those from `taken` on are not processed yet.
    input: Vec<u8>,
    taken: usize,
}

impl Frames {
    /// Connects to an endpoint. Each answer is waited for as long.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn open(endpoint: &str, timeout_ms: u32) -> Result<Frames, Failure> {
        let connection = Connection::open(endpoint, timeout_ms).map_err(|error| failure(&error))?;
        Ok(Frames { connection, timeout_ms, input: Vec::new(), taken: 0 })
    }

    /// Goes on with TLS.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn start_tls(&mut self) -> Result<(), Failure> {
        self.connection.start_tls().map_err(|error| failure(&error))
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The connection cannot go on.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.connection.write_all(bytes).map_err(|error| self.away(&error))
    }

    /// Returns the received bytes that are not processed yet.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.input.get(self.taken..).unwrap_or_default()
    }

    /// Notes that the first of these bytes are done.
    pub fn done(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(bytes).min(self.input.len());
    }

    /// Waits for more.
    ///
    /// # Errors
    /// The connection cannot go on, or nothing has come in time.
    pub fn read(&mut self) -> Result<(), Failure> {
        self.make_room();
        let start = self.input.len();
        self.input.resize(start + PIECE_BYTES, 0);
        let read = self.connection.read(&mut self.input[start..]);
        self.input.truncate(start + read.as_ref().copied().unwrap_or_default());
        match read {
            Ok(0) => Err(ended()),
            Ok(_) => Ok(()),
            Err(error) => Err(self.away(&error)),
        }
    }

    /// Takes more that is there, without waiting; whether there was any.
    ///
    /// # Errors
    /// The connection cannot go on.
    pub fn take(&mut self) -> Result<bool, Failure> {
        self.make_room();
        match self.connection.tcp().read(u32::try_from(PIECE_BYTES).unwrap_or(u32::MAX)) {
            Ok(bytes) if bytes.is_empty() => Err(ended()),
            Ok(bytes) => {
                self.input.extend_from_slice(&bytes);
                Ok(true)
            }
            Err(IoError::WouldBlock) => Ok(false),
            Err(error) => Err(failure(&error)),
        }
    }

    fn make_room(&mut self) {
        self.input.drain(..self.taken);
        self.taken = 0;
    }

    /// Interest in more.
    #[must_use]
    pub fn readable(&self) -> net::Interest<'_> {
        net::Interest::Readable(self.connection.tcp())
    }

    fn away(&self, error: &std::io::Error) -> Failure {
        match error.kind() {
            ErrorKind::TimedOut => {
                Failure::Reconnect(format!("it has not answered for {} s", self.timeout_ms.div_ceil(1000)))
            }
            _ => Failure::Reconnect(error.to_string()),
        }
    }
}

fn ended() -> Failure {
    Failure::Reconnect("it has ended the connection".to_owned())
}
