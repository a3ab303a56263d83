//! Layers between the socket of a connection and its MQTT packets: TLS, WebSocket, zstd. Plain
//! connections have none.
//!
//! Bytes are pulled through when the owner reads, and pushed through when a turn writes. Only the
//! owner of the connection encrypts: a turn on another thread leaves plain bytes in the Client's
//! buffer and calls the owner (`outbound`).
//!
//! Invariants: its lock is the innermost, nothing else is locked while it is held; new bytes are
//! encoded only when those encoded before have left the process, so that at most one chunk of
//! [`WRAPPED_CHUNK_BYTES`] waits here. Not here: what the layers do (`tls`, `websocket`), and the
//! header of the PROXY protocol, which is read before there is a connection (`proxy`).

mod tls;
mod websocket;
pub(super) mod zstd;

use std::cell::RefCell;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;
use std::task::{Context, Poll};

use lotmq_auth::ClientCertificate;
use lotmq_chain::validity;
use lotmq_config::ListenerLimits;
use lotmq_session::Time;
use lotmq_zstd::Offer;
use parking_lot::Mutex;
use tokio::io::Interest;

use self::tls::Tls;
use self::websocket::WebSocket;
use self::zstd::Zstd;
use super::admission::Admission;
use super::certificates::ListenerTls;
use super::listener::Listener;
use super::locality::Foreign;
use super::socket::Socket;
use super::subject;
use lotmq_core::connection::peer::Certified;
#[cfg(doc)]
use lotmq_core::limits::WRAPPED_CHUNK_BYTES;
use lotmq_core::limits::{Limit, READ_BYTES_MAX};
use lotmq_core::owner::source::Received;
use lotmq_core::reason::close::{CloseReason, TransportFailure};
use lotmq_core::tenant::output::Output;

/// Buffer between two layers, within a call.
type Buffer = RefCell<Box<[u8]>>;

fn buffer() -> Buffer {
    RefCell::new(vec![0; READ_BYTES_MAX].into_boxed_slice())
}

thread_local! {
    /// Bytes from the socket to TLS.
    static ENCRYPTED: Buffer = buffer();
    /// Bytes from below to WebSocket or zstd.
    static FRAMES: Buffer = buffer();
}

/// Layers of one connection.
pub(crate) struct Layers {
    tls: Option<Box<Tls>>,
    websocket: Option<Box<WebSocket>>,
    /// zstd stream; never together with WebSocket.
    zstd: Option<Box<Zstd>>,
    /// Bytes from the socket that the lowest layer has not taken yet.
    ahead: Vec<u8>,
    /// Bytes from below that WebSocket or zstd has not taken yet.
    frames: Vec<u8>,
    /// Bytes that these layers have taken, and the bytes that they became.
    unframed: Unframed,
    /// Bytes of the socket that have become no bytes of MQTT.
    overhead: Overhead,
    /// Framed bytes that the socket did not take; with TLS they wait there.
    output: Output,
    /// Whether the last read of WebSocket or zstd from below filled its buffer, so that TLS may
    /// have more.
    was_full: bool,
    /// Whether the last read left bytes here, of which the socket will not tell.
    has_more: bool,
    accepted_at: Time,
}

/// Bytes of frames or of the zstd stream, and of the MQTT in them.
#[derive(Default)]
struct Unframed {
    taken: u64,
    became: u64,
    /// Bytes beyond the ratio that have been charged, or are in `unpaid`.
    charged: u64,
    /// Bytes beyond the ratio that nobody has been charged for yet.
    unpaid: u64,
}

impl Unframed {
    /// Counts bytes that were read. Fails when they expand by more than any reasonable compression,
    /// and one packet.
    fn add(&mut self, taken: usize, became: usize, limits: &ListenerLimits) -> Result<(), CloseReason> {
        self.taken += taken as u64;
        self.became += became as u64;
        let ratio_max = limits.inflate_ratio;
        let beyond = self.became.saturating_sub(self.taken.saturating_mul(ratio_max.into()));
        if ratio_max == 0 || beyond <= self.charged {
            return Ok(());
        }
        if beyond > u64::from(limits.max_packet_size) {
            return Err(CloseReason::Limit(Limit::InflateRatio));
        }
        self.unpaid += beyond - self.charged;
        self.charged = beyond;
        Ok(())
    }
}

/// Largest difference between what was read of a socket and what it has become, as long as layers
/// may still have it: each of them keeps at most one read.
const KEPT_BYTES_MAX: usize = 3 * READ_BYTES_MAX;

/// Bytes of the socket that have become no bytes of MQTT, and are not kept by any layer: frames,
/// records, input of a decompressor without output.
#[derive(Default)]
struct Overhead {
    /// Bytes that came beyond those that they became, or are kept; at most [`KEPT_BYTES_MAX`].
    balance: usize,
    /// Bytes that came from the socket during this read.
    came: usize,
}

impl Overhead {
    /// Ends a read that gave `len` bytes of MQTT; returns the bytes that are certain to be
    /// overhead.
    fn end_read(&mut self, len: usize) -> usize {
        let balance = (self.balance + std::mem::take(&mut self.came)).saturating_sub(len);
        self.balance = balance.min(KEPT_BYTES_MAX);
        balance - self.balance
    }
}

impl Layers {
    /// The layers of a connection of this listener; `None` for plain TCP.
    ///
    /// # Errors
    /// When a layer cannot be set up.
    pub(crate) fn of(listener: &Listener, now: Time) -> Result<Option<Box<Mutex<Self>>>, CloseReason> {
        if !listener.has_layers() {
            return Ok(None);
        }
        let mut layers = Self::none(now);
        layers.tls = listener.tls.as_ref().map(|tls| Tls::new(tls).map(Box::new)).transpose()?;
        layers.websocket = listener.is_websocket.then(|| Box::new(WebSocket::new()));
        Ok(Some(Box::new(Mutex::new(layers))))
    }

    /// No layers yet; for a connection that gets one later.
    pub(crate) fn none(now: Time) -> Self {
        Self {
            tls: None,
            websocket: None,
            zstd: None,
            ahead: Vec::new(),
            frames: Vec::new(),
            unframed: Unframed::default(),
            overhead: Overhead::default(),
            output: Output::default(),
            was_full: false,
            has_more: false,
            accepted_at: now,
        }
    }

    /// Starts the zstd stream for all further input.
    pub(crate) fn start_zstd(&mut self, zstd: Box<Zstd>) {
        self.zstd = Some(zstd);
    }

    /// Parameters of the zstd stream that were granted.
    pub(crate) fn zstd(&self) -> Option<Offer> {
        self.zstd.as_ref().map(|zstd| zstd.offer())
    }

    /// Prepares for a CONNACK of this length. True when output behind it may be collected.
    pub(crate) fn begin(&mut self, connack_len: usize) -> bool {
        self.zstd.as_mut().is_some_and(|zstd| zstd.begin(connack_len))
    }

    /// Whether it is time for the `waiting` bytes of the Client's buffer to leave; otherwise the
    /// owner, who asks, is called when it is.
    pub(crate) fn is_due(&mut self, waiting: usize, cx: &mut Context<'_>) -> bool {
        self.zstd.as_mut().is_none_or(|zstd| zstd.is_due(waiting, cx))
    }

    /// Judges a connection without CONNECT at its deadline; returns the next deadline.
    ///
    /// # Errors
    /// When its time is over.
    pub(crate) fn check_alive(&self, listener: &Listener, now: Time) -> Result<Time, CloseReason> {
        let connect_ends = self.accepted_at.plus(listener.terms.connect_timeout());
        let handshake_ends = self.accepted_at.plus(listener.handshake_timeout()).min(connect_ends);
        match self.is_handshaking() {
            true if now >= handshake_ends => Err(CloseReason::Transport(TransportFailure::HandshakeTimeout)),
            true => Ok(handshake_ends),
            false if now >= connect_ends => Err(CloseReason::ConnectTimeout),
            false => Ok(connect_ends),
        }
    }

    /// Whether the TLS handshake is under way.
    pub(crate) fn is_in_tls_handshake(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Whether any handshake is under way, so that MQTT has not begun.
    fn is_handshaking(&self) -> bool {
        self.is_in_tls_handshake()
            || self.websocket.as_ref().is_some_and(|websocket| websocket.is_handshaking())
    }

    /// User named by the client's certificate, where that is asked for and one was shown.
    pub(crate) fn certified(&self, listener: &Listener) -> Option<Certified> {
        let certificate = self.tls.as_ref()?.certificate()?;
        listener.user_of_certificate(certificate)
    }

    /// The client's certificate; `None` where none was shown.
    pub(crate) fn client_certificate(&self) -> Option<ClientCertificate> {
        let der = self.tls.as_ref()?.certificate()?;
        Some(subject::client_certificate(der, validity::ends_at_ms(der)))
    }

    /// Server name that the client asked for.
    pub(crate) fn server_name(&self) -> Option<String> {
        self.tls.as_ref()?.server_name().map(str::to_owned)
    }

    /// End of the client certificate's validity, in milliseconds since 1970; `None` where none was
    /// shown.
    pub(crate) fn certificate_ends_ms(&self) -> Option<u64> {
        Some(validity::ends_at_ms(self.tls.as_ref()?.certificate()?))
    }

    /// Whether the authorities that the listener trusts now have signed the client's certificate;
    /// true where none was shown.
    pub(crate) fn is_certificate_trusted(&self, listener: &ListenerTls) -> bool {
        let chain = self.tls.as_ref().and_then(|tls| tls.client_chain());
        chain.is_none_or(|chain| listener.trusts(chain))
    }

    /// Reason why the peer does not count as a program of this machine, whatever its address.
    pub(crate) fn foreign(&self) -> Option<&Foreign> {
        self.websocket.as_ref().and_then(|websocket| websocket.foreign())
    }

    /// Explanation of why a layer failed, for people.
    pub(crate) fn failure(&self) -> Option<String> {
        let of_tls = self.tls.as_ref().and_then(|tls| tls.failure());
        of_tls.or_else(|| self.websocket.as_ref()?.failure().map(str::to_owned))
    }

    /// Bytes of input that are kept and not passed on.
    pub(crate) fn held_bytes(&self) -> usize {
        self.ahead.len()
            + self.frames.len()
            + self.tls.as_ref().map_or(0, |tls| tls.held_bytes())
            + self.websocket.as_ref().map_or(0, |websocket| websocket.held_bytes())
    }

    /// Whether there is something to read, whatever the socket says.
    pub(crate) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Whether the peer has said, in the words of a layer, that nothing more will come.
    fn is_ended(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_ended())
            || self.websocket.as_ref().is_some_and(|websocket| websocket.is_ended())
    }

    /// Reads from the socket at most once and puts what it holds for MQTT into `target`.
    ///
    /// # Errors
    /// The end of the connection, whoever ended it.
    pub(crate) fn read(
        &mut self,
        socket: &Socket,
        listener: &Admission,
        target: &mut [u8],
    ) -> Result<Received, CloseReason> {
        let had_more = self.has_more;
        let len = if self.websocket.is_some() || self.zstd.is_some() {
            self.read_frames(socket, listener, target, had_more)?
        } else {
            self.read_below(socket, listener, target)?
        };
        let overhead = self.overhead.end_read(len);
        if len == 0 && self.is_ended() {
            return Err(CloseReason::PeerClosed);
        }
        self.has_more = len == target.len()
            || self.was_full
            || !self.ahead.is_empty()
            || !self.frames.is_empty()
            || self.is_ended();
        Ok(Received { len, is_more: self.has_more, overhead })
    }

    /// Takes the number of bytes that expanded beyond `inflate_ratio` since the last call.
    pub(crate) fn take_inflated(&mut self) -> u64 {
        std::mem::take(&mut self.unframed.unpaid)
    }

    /// Checks whether waiting input says that the peer has left; other bytes of MQTT go to
    /// `target`, of which the length is returned. More than fits there is left alone, and says that
    /// something is to be handled.
    ///
    /// # Errors
    /// The end of the connection, whoever ended it.
    pub(crate) fn look_for_end(
        &mut self,
        socket: &Socket,
        listener: &Admission,
        target: &mut [u8],
    ) -> Result<usize, CloseReason> {
        let is_passed_on = self.ahead.is_empty() && self.frames.is_empty();
        if self.is_ended() && is_passed_on {
            return Err(CloseReason::PeerClosed);
        }
        let waiting = socket.waiting(target);
        if self.has_more || waiting.is_some_and(|len| len == 0 || len == target.len()) {
            return Ok(0);
        }
        let len = self.read(socket, listener, target)?.len;
        if len == 0 && socket.waiting(&mut [0]).is_none() {
            return Err(CloseReason::PeerClosed);
        }
        Ok(len)
    }

    fn read_frames(
        &mut self,
        socket: &Socket,
        listener: &Arc<Listener>,
        target: &mut [u8],
        had_more: bool,
    ) -> Result<usize, CloseReason> {
        if had_more {
            let frames = std::mem::take(&mut self.frames);
            let len = self.unframe(&frames, target, listener)?;
            if len > 0 || !self.frames.is_empty() {
                return Ok(len);
            }
        }
        FRAMES.with_borrow_mut(|buffer| {
            let len = self.read_below(socket, listener, buffer)?;
            self.was_full = len == buffer.len();
            self.unframe(&buffer[..len], target, listener)
        })
    }

    fn unframe(
        &mut self,
        frames: &[u8],
        target: &mut [u8],
        listener: &Arc<Listener>,
    ) -> Result<usize, CloseReason> {
        let (consumed, len) = if let Some(websocket) = &mut self.websocket {
            let decoded = websocket.decode(frames, target, listener)?;
            (decoded.consumed, decoded.len)
        } else if let Some(zstd) = &mut self.zstd {
            let progress = zstd.decode(frames, target)?;
            (progress.consumed, progress.produced)
        } else {
            return Ok(0);
        };
        self.unframed.add(consumed, len, &listener.terms.limits)?;
        self.frames.extend_from_slice(&frames[consumed..]);
        Ok(len)
    }

    /// Reads bytes from the layer above the socket.
    fn read_below(
        &mut self,
        socket: &Socket,
        listener: &Listener,
        target: &mut [u8],
    ) -> Result<usize, CloseReason> {
        let ahead = std::mem::take(&mut self.ahead);
        let Some(tls) = &mut self.tls else {
            if ahead.is_empty() {
                let len = socket.receive(target)?.unwrap_or(0);
                self.overhead.came += len;
                return Ok(len);
            }
            let len = ahead.len().min(target.len());
            target[..len].copy_from_slice(&ahead[..len]);
            self.ahead.extend_from_slice(&ahead[len..]);
            return Ok(len);
        };
        let counters = &listener.net.core.counters;
        if !ahead.is_empty() {
            let done = tls.decrypt(&ahead, target, counters)?;
            self.ahead.extend_from_slice(&ahead[done.taken..]);
            return Ok(done.plain);
        }
        ENCRYPTED.with_borrow_mut(|buffer| {
            let len = socket.receive(buffer)?.unwrap_or(0);
            self.overhead.came += len;
            let done = tls.decrypt(&buffer[..len], target, counters)?;
            self.ahead.extend_from_slice(&buffer[done.taken..len]);
            Ok(done.plain)
        })
    }

    /// Whether nothing waits for the socket, so that more can be written.
    pub(crate) fn is_idle(&self) -> bool {
        self.output.is_empty()
            && !self.tls.as_ref().is_some_and(|tls| tls.wants_write())
            && !self.websocket.as_ref().is_some_and(|websocket| websocket.has_replies())
    }

    /// Writes waiting output as far as the socket takes it; whether none is left. Often a layer has
    /// just said something by itself.
    pub(crate) fn make_idle(&mut self, socket: &Socket) -> bool {
        // A dead peer is noticed by the owner's read.
        self.is_idle() || self.flush(socket).is_ok()
    }

    /// Encodes all of `plain` and writes what the socket takes; the rest stays here. At most
    /// [`WRAPPED_CHUNK_BYTES`], and only when idle.
    pub(crate) fn write(&mut self, socket: &Socket, plain: &[IoSlice<'_>]) {
        let Self { tls, websocket, zstd, output, .. } = self;
        // A dead peer, or one that broke the protocol, is noticed by the owner's read.
        let mut send = |bytes: &[IoSlice<'_>]| send(tls.as_deref_mut(), output, socket, bytes);
        let _ = match (websocket, zstd) {
            (Some(websocket), _) => websocket.encode(plain, send),
            (None, Some(zstd)) => zstd.encode(plain, send),
            (None, None) => Some(send(plain)),
        };
    }

    /// Writes waiting output until nothing is left or the socket takes no more.
    fn flush(&mut self, socket: &Socket) -> io::Result<()> {
        loop {
            let mut wire = Wire(socket);
            if let Some(tls) = &mut self.tls {
                tls.flush(&mut wire)?;
            }
            while !self.output.is_empty() {
                let len = wire.write(self.output.waiting())?;
                self.output.advance(len);
            }
            let Some(websocket) = self.websocket.as_mut().filter(|websocket| websocket.has_replies()) else {
                return Ok(());
            };
            let replies = websocket.take_replies();
            send(self.tls.as_deref_mut(), &mut self.output, socket, &[IoSlice::new(&replies)])?;
        }
    }

    /// Writes waiting output as the owner of the connection, who is called again when the socket
    /// takes more.
    ///
    /// # Errors
    /// [`CloseReason::NetworkError`].
    pub(crate) fn poll_flush(
        &mut self,
        socket: &Socket,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, CloseReason> {
        loop {
            match self.flush(socket) {
                Ok(()) => return Ok(Poll::Ready(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(CloseReason::NetworkError),
            }
            match socket.poll_write_ready(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Err(CloseReason::NetworkError),
            }
        }
    }

    /// Closes each layer in its protocol, if the socket takes that at once.
    pub(crate) fn close(&mut self, socket: &Socket, reason: &CloseReason) {
        if let Some(websocket) = &mut self.websocket {
            websocket.close(reason);
        }
        let is_sent = self.flush(socket).is_ok();
        if let Some(tls) = self.tls.as_mut().filter(|_| is_sent) {
            // Behind an alert it would be one word too many.
            if *reason != CloseReason::Transport(TransportFailure::Tls) {
                tls.close();
            }
            let _ = tls.flush(&mut Wire(socket));
        }
    }
}

/// Sends slices through the layer below WebSocket; bytes that the socket does not take wait there.
fn send(
    tls: Option<&mut Tls>,
    output: &mut Output,
    socket: &Socket,
    slices: &[IoSlice<'_>],
) -> io::Result<()> {
    if let Some(tls) = tls {
        tls.encrypt(slices)?;
        return tls.flush(&mut Wire(socket));
    }
    let written = Wire(socket).write_vectored(slices);
    let mut skip = *written.as_ref().unwrap_or(&0);
    for slice in slices {
        let done = skip.min(slice.len());
        output.append(&slice[done..]);
        skip -= done;
    }
    written.map(drop)
}

/// Socket as a layer writes to it.
struct Wire<'a>(&'a Socket);

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT;
        self.0.try_io(Interest::WRITABLE, || {
            let mut control = rustix::net::SendAncillaryBuffer::default();
            Ok(rustix::net::sendmsg(self.0, slices, &mut control, flags)?)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
