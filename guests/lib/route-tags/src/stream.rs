//! Frames over TCP: written whole and read whole, each within a time.

use lotmq_guest::route::{Interest, IoError, ambient, described, net};

use crate::limits::READ_BYTES;

/// A connection whose bytes come in frames.
#[derive(Debug)]
pub struct FrameStream {
    tcp: net::Tcp,
    /// Received bytes that are not a whole frame yet.
    received: Vec<u8>,
}

/// Reason why there is no frame.
#[derive(Debug)]
pub enum StreamFault {
    /// Nothing came in time.
    TimedOut,
    /// Received bytes that are no frame of the protocol.
    Broken(String),
    /// The connection is at its end.
    Ended(String),
}

impl FrameStream {
    /// Connects to an endpoint.
    ///
    /// # Errors
    /// As [`net::Tcp::connect`].
    pub fn connect(endpoint: &str, timeout_ms: u32) -> Result<FrameStream, IoError> {
        Ok(FrameStream { tcp: net::Tcp::connect(endpoint, timeout_ms)?, received: Vec::new() })
    }

    /// Writes a whole frame.
    ///
    /// # Errors
    /// [`StreamFault`].
    pub fn send(&mut self, frame: &[u8], until_ms: u64) -> Result<(), StreamFault> {
        let mut left = frame;
        while !left.is_empty() {
            match self.tcp.write(left) {
                Ok(written) => left = left.get(written as usize..).unwrap_or_default(),
                Err(IoError::WouldBlock) => wait(Interest::Writable(&self.tcp), until_ms)?,
                Err(error) => return Err(StreamFault::Ended(described(&error))),
            }
        }
        Ok(())
    }

    /// Reads a whole frame. `length` returns the length of the first frame, `None` if it needs more
    /// bytes, or an error.
    ///
    /// # Errors
    /// Returns a [`StreamFault`].
    pub fn receive(
        &mut self,
        until_ms: u64,
        length: impl Fn(&[u8]) -> Result<Option<usize>, String>,
    ) -> Result<Vec<u8>, StreamFault> {
        loop {
            match self.received(&length)? {
                Some(frame) => return Ok(frame),
                None => wait(Interest::Readable(&self.tcp), until_ms)?,
            }
        }
    }

    /// The next frame, where all of it has come.
    ///
    /// # Errors
    /// [`StreamFault`].
    pub fn received(
        &mut self,
        length: impl Fn(&[u8]) -> Result<Option<usize>, String>,
    ) -> Result<Option<Vec<u8>>, StreamFault> {
        loop {
            match length(&self.received).map_err(StreamFault::Broken)? {
                Some(length) if length <= self.received.len() => {
                    let rest = self.received.split_off(length);
                    return Ok(Some(std::mem::replace(&mut self.received, rest)));
                }
                _ => {}
            }
            match self.tcp.read(READ_BYTES) {
                Ok(bytes) if bytes.is_empty() => {
                    return Err(StreamFault::Ended("the other side has ended the connection".to_owned()));
                }
                Ok(bytes) => self.received.extend(bytes),
                Err(IoError::WouldBlock) => return Ok(None),
                Err(error) => return Err(StreamFault::Ended(described(&error))),
            }
        }
    }

    /// Waits until something has come, the host has work, or the time is over.
    pub fn listen(&self, wait_ms: u32) {
        net::wait(&[Interest::Readable(&self.tcp), Interest::HostWork], wait_ms);
    }
}

fn wait(interest: Interest<'_>, until_ms: u64) -> Result<(), StreamFault> {
    let left_ms = until_ms.saturating_sub(ambient::monotonic_ms());
    if left_ms == 0 || net::wait(&[interest], u32::try_from(left_ms).unwrap_or(u32::MAX)).is_empty() {
        return Err(StreamFault::TimedOut);
    }
    Ok(())
}
