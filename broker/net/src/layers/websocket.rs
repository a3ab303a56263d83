//! WebSocket of one connection: the opening handshake, then frames between the layer below and
//! MQTT.
//!
//! Invariants: payload is passed on as it comes, no message is collected; of pings that come faster
//! than they can be answered the last is answered. Not here: the format (`lotmq_websocket`), who
//! calls when (`layers`).

use std::cell::RefCell;
use std::io::IoSlice;
use std::sync::Arc;

use lotmq_codec::ReasonCode;
use lotmq_websocket::{
    Compressor, Decoder, Event, Outgoing, PacketFrames, Role, accept, put_close, put_pong,
};
use smallvec::SmallVec;

use super::super::listener::{CompressedPlace, Listener};
use super::super::locality::Foreign;
use lotmq_core::limits::WRAPPED_CHUNK_BYTES;
use lotmq_core::reason::close::{CloseReason, TransportFailure};

/// Paths at which MQTT is served. Commands reference §9.2.
const PATHS: [&str; 2] = ["/mqtt", "/"];

/// Subprotocols: that of MQTT \[MQTT-6.0.0-4\], and the name that Clients of 3.1 and old libraries
/// of 3.1.1 use. The version is told by CONNECT.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

thread_local! {
    static COMPRESSOR: RefCell<Compressor> = RefCell::default();
}

/// Server side of WebSocket.
pub(crate) struct WebSocket {
    state: State,
    /// Output besides MQTT: the answer to the handshake, the close frame at the end.
    replies: Vec<u8>,
    /// The answer to the last ping.
    pong: Vec<u8>,
    /// Code of the final close frame, if the peer's behaviour has decided on it.
    last_word: Option<Option<u16>>,
    is_ended: bool,
    /// Reason why it failed.
    failure: Option<String>,
}

enum State {
    /// Handshake under way: the request as far as it has come.
    Opening(Vec<u8>),
    Open(Box<Open>),
}

struct Open {
    /// Reason why the peer does not count as a program of this machine.
    foreign: Option<Foreign>,
    decoder: Decoder,
    frames: PacketFrames,
    outgoing: Option<Outgoing>,
    /// Place among connections with compressed messages, held as long as messages are compressed.
    _place: Option<CompressedPlace>,
}

/// Result of [`WebSocket::decode`].
pub(crate) struct Decoded {
    /// Bytes of the input that are done with.
    pub(crate) consumed: usize,
    /// Bytes of MQTT written.
    pub(crate) len: usize,
}

impl WebSocket {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Opening(Vec::new()),
            replies: Vec::new(),
            pong: Vec::new(),
            last_word: None,
            is_ended: false,
            failure: None,
        }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(self.state, State::Opening(_))
    }

    /// Bytes that are kept of an incomplete request.
    pub(crate) fn held_bytes(&self) -> usize {
        match &self.state {
            State::Opening(head) => head.len(),
            State::Open(_) => 0,
        }
    }

    /// Whether the peer has ended the connection; nothing comes behind what was decoded.
    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Explanation of why it failed, for people.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Reason why the peer does not count as a program of this machine; `None` for one that does.
    pub(crate) fn foreign(&self) -> Option<&Foreign> {
        match &self.state {
            State::Open(open) => open.foreign.as_ref(),
            State::Opening(_) => None,
        }
    }

    /// Whether there is output besides MQTT that may be sent now.
    pub(crate) fn has_replies(&self) -> bool {
        let is_silent = self.replies.is_empty() && self.pong.is_empty();
        !is_silent && !self.is_inside_frame()
    }

    /// Takes the output besides MQTT.
    pub(crate) fn take_replies(&mut self) -> Vec<u8> {
        let mut pong = std::mem::take(&mut self.pong);
        if self.replies.is_empty() {
            return pong;
        }
        self.replies.append(&mut pong);
        std::mem::take(&mut self.replies)
    }

    /// Takes bytes from the layer below and puts bytes of MQTT into `target`, until the former are
    /// used up or the latter is full.
    ///
    /// # Errors
    /// When the peer broke the protocol. The answer to it waits among the replies.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        target: &mut [u8],
        listener: &Arc<Listener>,
    ) -> Result<Decoded, CloseReason> {
        let mut consumed = if self.is_handshaking() { self.open(input, listener)? } else { 0 };
        let mut len = 0;
        let State::Open(open) = &mut self.state else { return Ok(Decoded { consumed, len }) };
        loop {
            let progress =
                open.decoder.decode(&input[consumed..], &mut target[len..]).map_err(|violation| {
                    self.failure = Some(violation.to_string());
                    self.last_word = Some(Some(violation.code()));
                    CloseReason::Transport(TransportFailure::WebSocket)
                })?;
            consumed += progress.consumed;
            len += progress.produced;
            match progress.event {
                None => return Ok(Decoded { consumed, len }),
                Some(Event::Ping(payload)) => {
                    self.pong.clear();
                    put_pong(&mut self.pong, None, &payload);
                }
                Some(Event::Close(code)) => {
                    self.last_word = Some(code);
                    self.is_ended = true;
                }
            }
        }
    }

    /// Goes on with the handshake; returns the number of bytes of `input` that belong to it.
    fn open(&mut self, input: &[u8], listener: &Arc<Listener>) -> Result<usize, CloseReason> {
        let State::Opening(head) = &mut self.state else { return Ok(0) };
        let before = head.len();
        head.extend_from_slice(input);
        let place = CompressedPlace::take(listener);
        let accepted = match accept(head, &PATHS, &SUBPROTOCOLS, place.is_some()) {
            Ok(Some(accepted)) => accepted,
            Ok(None) => return Ok(input.len()),
            Err(refusal) => {
                self.failure = Some(refusal.to_string());
                self.replies = refusal.response;
                return Err(CloseReason::Transport(TransportFailure::Upgrade));
            }
        };
        let counters = &listener.net.core.counters;
        counters.websocket_upgrades.add(1);
        self.replies = accepted.response;
        let deflate = accepted.deflate.as_ref();
        if deflate.is_some() {
            counters.websocket_compressed.add(1);
        }
        self.state = State::Open(Box::new(Open {
            foreign: Foreign::of(&accepted.asker, listener.tls.is_some(), &listener.origins),
            decoder: Decoder::new(Role::Server, deflate),
            frames: PacketFrames::default(),
            outgoing: deflate.map(|params| Outgoing::new(params, Role::Server)),
            _place: place.filter(|_| deflate.is_some()),
        }));
        Ok(accepted.consumed - before)
    }

    /// Makes a message of each packet in `plain` and gives them to `send` in slices. `plain` begins
    /// where the last call has ended, and may end anywhere.
    pub(crate) fn encode<R>(
        &mut self,
        plain: &[IoSlice<'_>],
        send: impl FnOnce(&[IoSlice<'_>]) -> R,
    ) -> Option<R> {
        let State::Open(open) = &mut self.state else { return None };
        let Open { frames, outgoing, .. } = &mut **open;
        COMPRESSOR.with_borrow_mut(|compressor| {
            let deflate = outgoing.as_mut().map(|outgoing| (compressor, outgoing));
            let framed = frames.frame(plain, WRAPPED_CHUNK_BYTES, deflate);
            let slices: SmallVec<[IoSlice<'_>; 16]> = framed.slices().map(IoSlice::new).collect();
            (!slices.is_empty()).then(|| send(&slices))
        })
    }

    /// Whether a frame is under way, which no other may interrupt.
    fn is_inside_frame(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.frames.is_inside())
    }

    /// Sends the close frame, behind everything else.
    pub(crate) fn close(&mut self, reason: &CloseReason) {
        if matches!(self.state, State::Open(_)) {
            // Nothing may come behind the close frame.
            self.pong.clear();
            put_close(&mut self.replies, None, self.last_word.unwrap_or_else(|| Some(close_code(reason))));
        }
    }
}

/// Code of the close frame (RFC 6455 §7.4.1).
fn close_code(reason: &CloseReason) -> u16 {
    match reason {
        CloseReason::Disconnected(_) | CloseReason::PeerClosed | CloseReason::TakenOver => 1000,
        CloseReason::ServerShutdown => 1001,
        CloseReason::Protocol(violation) if violation.reason_code() == ReasonCode::PacketTooLarge => 1009,
        CloseReason::Protocol(_) | CloseReason::Transport(_) => 1002,
        CloseReason::StoreFailed(_)
        | CloseReason::QueueFull
        | CloseReason::OutOfMemory
        | CloseReason::InternalError => 1011,
        CloseReason::NetworkError
        | CloseReason::ConnectTimeout
        | CloseReason::Refused
        | CloseReason::KeepAliveTimeout
        | CloseReason::Limit(_)
        | CloseReason::Administrative
        | CloseReason::Revoked(_)
        | CloseReason::PasswordChanged
        | CloseReason::CertificateExpired
        | CloseReason::LoginExpired
        | CloseReason::CertificateUntrusted => 1008,
    }
}
