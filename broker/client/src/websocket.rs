//! WebSocket of a client: the handshake, and frames over a blocking stream.

use std::io;

use lotmq_websocket::{
    Compressor, Decoder, Event, Opcode, Outgoing, Role, check_answer, mask, put_close, put_header, put_pong,
    request,
};

use crate::limits::READ_BYTES;
use crate::transport::Stream;

const SUBPROTOCOL: &str = "mqtt";

/// The client's side of a WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocket {
    decoder: Decoder,
    compression: Option<(Compressor, Outgoing)>,
    /// Received bytes that are not decoded yet.
    received: Vec<u8>,
    /// The last read filled its target: more may be in the decoder.
    is_full: bool,
    is_ended: bool,
}

impl WebSocket {
    /// Does the opening handshake.
    pub(crate) fn open(stream: &mut Stream, host: &str, path: &str, compresses: bool) -> io::Result<Self> {
        let failed =
            |error: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| failed(&error))?;
        stream.write_all(&request(host, path, SUBPROTOCOL, key, compresses))?;
        let mut received = Vec::new();
        let answered = loop {
            if let Some(answered) =
                check_answer(&received, SUBPROTOCOL, key).map_err(|error| failed(&error))?
            {
                break answered;
            }
            if read_more(stream, &mut received)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        received.drain(..answered.consumed);
        let compression = answered
            .deflate
            .as_ref()
            .map(|params| (Compressor::default(), Outgoing::new(params, Role::Client)));
        let decoder = Decoder::new(Role::Client, answered.deflate.as_ref());
        Ok(Self { decoder, compression, received, is_full: false, is_ended: false })
    }

    /// Reads bytes of MQTT; 0 at the end. Errors of the socket, a time-out among them, leave it usable.
    pub(crate) fn read(&mut self, stream: &mut Stream, target: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_ended {
                return Ok(0);
            }
            if self.received.is_empty() && !self.is_full && read_more(stream, &mut self.received)? == 0 {
                return Ok(0);
            }
            let progress = self.decoder.decode(&self.received, target).map_err(io::Error::other)?;
            self.received.drain(..progress.consumed);
            self.is_full = progress.produced == target.len();
            match progress.event {
                Some(Event::Ping(payload)) => {
                    let mut pong = Vec::new();
                    put_pong(&mut pong, Some(new_key()?), &payload);
                    stream.write_all(&pong)?;
                }
                Some(Event::Close(_)) => self.is_ended = true,
                None => {}
            }
            if progress.produced > 0 {
                return Ok(progress.produced);
            }
        }
    }

    /// Sends bytes of MQTT as one message.
    pub(crate) fn write_all(&mut self, stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
        let mut body = Vec::new();
        let is_compressed = self
            .compression
            .as_mut()
            .is_some_and(|(compressor, outgoing)| compressor.compress(outgoing, &[bytes], &mut body));
        if !is_compressed {
            body.extend_from_slice(bytes);
        }
        let key = new_key()?;
        let mut frame = Vec::with_capacity(body.len() + 14);
        put_header(&mut frame, Opcode::Binary, is_compressed, body.len(), Some(key));
        mask(&mut body, key, 0);
        frame.extend_from_slice(&body);
        stream.write_all(&frame)
    }

    /// Says that nothing more will come.
    pub(crate) fn close(&mut self, stream: &mut Stream) {
        if let Ok(key) = new_key() {
            let mut frame = Vec::new();
            put_close(&mut frame, Some(key), Some(1000));
            // The other side may be gone.
            let _ = stream.write_all(&frame);
        }
    }
}

/// A mask that nobody can foresee, RFC 6455 §5.3.
fn new_key() -> io::Result<[u8; 4]> {
    let mut key = [0; 4];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    Ok(key)
}

fn read_more(stream: &mut Stream, received: &mut Vec<u8>) -> io::Result<usize> {
    let start = received.len();
    received.resize(start + READ_BYTES, 0);
    let outcome = stream.read(received.get_mut(start..).unwrap_or_default());
    received.truncate(start + outcome.as_ref().map_or(0, |len| *len));
    outcome
}
