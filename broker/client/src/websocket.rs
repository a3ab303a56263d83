//! WebSocket of a client: the handshake, and frames. Sans-I/O but for random numbers.

use std::io;

use lotmq_websocket::{
    Compressor, Decoder, Event, Opcode, Outgoing, Role, check_answer, mask, put_close, put_header, put_pong,
    request,
};

use crate::endpoint::WebSocketPath;
use crate::received::Received;

const SUBPROTOCOL: &str = "mqtt";

/// The client's side of a WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocket {
    handshake: Option<Handshake>,
    decoder: Decoder,
    compression: Option<(Compressor, Outgoing)>,
    /// The last read filled its target: more may be in the decoder.
    is_full: bool,
    is_ended: bool,
}

/// Opening handshake that is not over.
#[derive(Debug)]
struct Handshake {
    /// The request; empty when it was sent.
    request: Vec<u8>,
    key: [u8; 16],
}

impl WebSocket {
    /// Begins the opening handshake.
    pub(crate) fn begin(host: &str, how: &WebSocketPath) -> io::Result<Self> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let request = request(host, &how.path, SUBPROTOCOL, key, how.compresses);
        Ok(Self {
            handshake: Some(Handshake { request, key }),
            decoder: Decoder::new(Role::Client, None),
            compression: None,
            is_full: false,
            is_ended: false,
        })
    }

    /// Whether the opening handshake is over.
    pub(crate) fn is_open(&self) -> bool {
        self.handshake.is_none()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Goes on with the opening handshake, if it is not over; returns what is to be sent.
    pub(crate) fn handle_handshake(&mut self, received: &mut Received) -> io::Result<Vec<u8>> {
        let Some(handshake) = &mut self.handshake else { return Ok(Vec::new()) };
        let request = std::mem::take(&mut handshake.request);
        let answered = check_answer(received.waiting(), SUBPROTOCOL, handshake.key)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        if let Some(answered) = answered {
            received.consume(answered.consumed);
            let deflate = answered.deflate.as_ref();
            self.decoder = Decoder::new(Role::Client, deflate);
            self.compression =
                deflate.map(|params| (Compressor::default(), Outgoing::new(params, Role::Client)));
            self.handshake = None;
        }
        Ok(request)
    }

    /// Reads bytes of MQTT; 0 if there are none, or at the end. Appends replies to control frames
    /// to `replies`.
    pub(crate) fn read(
        &mut self,
        received: &mut Received,
        target: &mut [u8],
        replies: &mut Vec<u8>,
    ) -> io::Result<usize> {
        while !self.is_ended && (self.is_full || !received.is_empty()) {
            let progress = self.decoder.decode(received.waiting(), target).map_err(io::Error::other)?;
            received.consume(progress.consumed);
            self.is_full = progress.produced == target.len();
            match progress.event {
                Some(Event::Ping(payload)) => put_pong(replies, Some(new_key()?), &payload),
                Some(Event::Close(_)) => self.is_ended = true,
                None => {}
            }
            if progress.produced > 0 {
                return Ok(progress.produced);
            }
        }
        Ok(0)
    }

    /// Wraps bytes of MQTT as one message.
    pub(crate) fn wrap(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut body = Vec::new();
        let is_compressed = self
            .compression
            .as_mut()
            .is_some_and(|(compressor, outgoing)| compressor.compress(outgoing, &[bytes], &mut body));
        if !is_compressed {
            body.extend_from_slice(bytes);
        }
        let key = new_key()?;
        put_header(out, Opcode::Binary, is_compressed, body.len(), Some(key));
        mask(&mut body, key, 0);
        out.extend_from_slice(&body);
        Ok(())
    }

    /// Says that nothing more will come, if there was a beginning.
    pub(crate) fn close(&self, out: &mut Vec<u8>) {
        if let Ok(key) = new_key()
            && self.is_open()
        {
            put_close(out, Some(key), Some(1000));
        }
    }
}

/// A mask that nobody can foresee, RFC 6455 §5.3.
fn new_key() -> io::Result<[u8; 4]> {
    let mut key = [0; 4];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    Ok(key)
}
