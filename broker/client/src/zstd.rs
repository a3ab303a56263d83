//! The zstd stream transport of a client, over a blocking stream. Its specification is `docs/zstd-transport.md`.

use std::io;

use lotmq_zstd::{Decoder, Encoder, OutOfMemory};

use crate::limits::READ_BYTES;
use crate::transport::Stream;

/// The client's side of the transport.
#[derive(Debug)]
pub(crate) struct Zstd {
    encoder: Encoder,
    decoder: Decoder,
    /// Received bytes that are not decoded yet.
    received: Vec<u8>,
    /// The last read filled its target: more may be in the decoder.
    is_full: bool,
}

impl Zstd {
    /// Begins behind CONNACK; `received` is what has already come behind it.
    pub(crate) fn new(received: Vec<u8>) -> Result<Self, OutOfMemory> {
        Ok(Self { encoder: Encoder::new()?, decoder: Decoder::new()?, received, is_full: false })
    }

    /// Reads bytes of MQTT; 0 at the end. Errors of the socket, a time-out among them, leave it usable.
    pub(crate) fn read(&mut self, stream: &mut Stream, target: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.received.is_empty() && !self.is_full && self.read_more(stream)? == 0 {
                return Ok(0);
            }
            let progress = self.decoder.decode(&self.received, target).map_err(io::Error::other)?;
            self.received.drain(..progress.consumed);
            self.is_full = progress.produced == target.len();
            if progress.produced > 0 {
                return Ok(progress.produced);
            }
        }
    }

    fn read_more(&mut self, stream: &mut Stream) -> io::Result<usize> {
        self.received.resize(READ_BYTES, 0);
        let outcome = stream.read(&mut self.received);
        self.received.truncate(outcome.as_ref().map_or(0, |len| *len));
        outcome
    }

    /// Sends bytes of MQTT, so that the server can read all of them.
    pub(crate) fn write_all(&mut self, stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
        let mut out = Vec::new();
        self.encoder.encode([bytes], &mut out).map_err(io::Error::other)?;
        stream.write_all(&out)
    }
}
