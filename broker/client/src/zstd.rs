//! The zstd stream transport of a client. Its specification is `docs/zstd-transport.md`.

use std::io;

use lotmq_zstd::{Decoder, Encoder, OutOfMemory};

use crate::received::Received;

/// The client's side of the transport.
#[derive(Debug)]
pub(crate) struct Zstd {
    encoder: Encoder,
    decoder: Decoder,
    /// The last read filled its target: more may be in the decoder.
    is_full: bool,
}

impl Zstd {
    /// Begins behind CONNACK.
    pub(crate) fn new() -> Result<Self, OutOfMemory> {
        Ok(Self { encoder: Encoder::new()?, decoder: Decoder::new()?, is_full: false })
    }

    /// Reads bytes of MQTT; 0 when there are none.
    pub(crate) fn read(&mut self, received: &mut Received, target: &mut [u8]) -> io::Result<usize> {
        while self.is_full || !received.is_empty() {
            let progress = self.decoder.decode(received.waiting(), target).map_err(io::Error::other)?;
            received.consume(progress.consumed);
            self.is_full = progress.produced == target.len();
            if progress.produced > 0 {
                return Ok(progress.produced);
            }
        }
        Ok(0)
    }

    /// Wraps bytes of MQTT, so that the server can read all of them.
    pub(crate) fn wrap(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.encoder.encode([bytes], out).map_err(io::Error::other)
    }
}
