//! The socket side of a connection: the future that reads it, and what its owner thread alone knows about it.
//!
//! A connection stays on the shard that it was given to. Its task is a single [`Arc`], it owns no buffer while idle, and it reads at
//! most once per poll, into the thread's [`Turn`]. Foreign threads touch only the socket's write side ([`Transport`]).
//!
//! Invariant: `input` is locked by the owner's task, and for a look by who checks its password, always before a Client's state and never after.
//! Not here: what packets mean (`protocol`), who gets a message (`turn`).

use std::any::Any;
use std::future::Future;
use std::io::{self, IoSlice};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use lotmq_codec::{FixedHeader, PacketType, fixed_header};
use lotmq_session::{KeepAliveVerdict, Time};
use lotmq_zstd::Offer;
use parking_lot::Mutex;
use tokio::io::Interest;
use tracing::error;

use crate::guests;
use crate::limits::{CONNECT_BYTES_MAX, LAST_WORDS_BYTES_MAX};
use crate::net::admission::Place;
use crate::net::closing;
use crate::net::layers::{Layers, Received};
use crate::net::look::take_idled;
use crate::net::socket::Socket;
use crate::net::zstd::Zstd;
use crate::this_turn;
use lotmq_core::connection::close::{CloseReason, TransportFailure};
use lotmq_core::connection::peer::Peer;
use lotmq_core::connection::{Connection, Transport};
use lotmq_core::limits::{LOGIN_CHECK, READ_BYTES_MAX, Rest};
use lotmq_core::protocol::foreign::Foreign;
use lotmq_core::protocol::violation::Violation;
use lotmq_core::protocol::{self, Certified, Open, Phase};
use lotmq_core::turn::Turn;
use lotmq_core::turn::arena::Span;
use lotmq_core::turn::timers::TICK;

/// Connection by a socket.
pub(crate) type SocketConnection = Connection<SocketSide>;

/// The socket of a connection with what lies above it, and what has been read of it.
pub(crate) struct SocketSide {
    stream: Socket,
    accepted_from: Peer,
    /// Where it was accepted, and what it counts for there.
    pub(crate) listener: Place,
    /// What lies between the socket and MQTT; nothing for plain TCP. Set before any other thread knows the connection.
    layers: OnceLock<Box<Mutex<Layers>>>,
    input: Mutex<Input>,
}

/// What only the owner's task uses.
struct Input {
    /// Bytes of an incomplete packet, or of packets that wait.
    partial: Vec<u8>,
    phase: Phase,
}

impl Input {
    /// Whether whole packets wait until the Client has rested.
    fn has_waiting(&self) -> bool {
        let Phase::Open(open) = &self.phase else { return false };
        open.rate().is_some_and(|rate| rate.has_waiting)
    }

    /// Whether a packet was begun for the rest of which there was no time.
    fn has_unfinished(&self) -> bool {
        matches!(&self.phase, Phase::Open(open) if open.has_unfinished())
    }

    /// Whether the packet that was begun last has to be handled once more, from its beginning.
    fn repeats_packet(&self) -> bool {
        matches!(&self.phase, Phase::Open(open) if open.repeats_packet())
    }
}

/// What is known of a connection when it is accepted.
pub(crate) struct Accepted {
    pub(crate) peer: Peer,
    pub(crate) listener: Place,
}

/// The task of a connection.
pub(crate) struct Drive(pub(crate) Arc<Connection>);

impl Future for Drive {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let connection = &self.0;
        this_turn::with(|turn| Driven { connection, side: SocketSide::of(connection) }.drive(turn, cx))
    }
}

static NEXT_NUMBER: AtomicU32 = AtomicU32::new(0);

impl SocketSide {
    /// A connection of the shard `home` that was just accepted, and that `place` was reserved for.
    ///
    /// # Errors
    /// When what its listener wants below MQTT cannot be set up.
    pub(crate) fn connection(
        stream: Socket,
        accepted: Accepted,
        home: (u16, u32),
        now: Time,
    ) -> Result<SocketConnection, CloseReason> {
        let Accepted { peer, listener } = accepted;
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed) % Connection::NUMBER_MAX + 1;
        let terms = Arc::clone(&listener.terms);
        let side = Self {
            stream,
            accepted_from: peer,
            layers: Layers::of(&listener, now)?.map_or_else(OnceLock::new, OnceLock::from),
            listener,
            input: Mutex::new(Input { partial: Vec::new(), phase: Phase::New }),
        };
        Ok(Connection::new(number, home, terms, side))
    }

    /// That of a connection.
    pub(crate) fn of(connection: &Connection) -> &Self {
        let transport: &dyn Any = &connection.transport;
        transport.downcast_ref().expect("connections of shards have sockets")
    }

    /// What lies between the socket and MQTT; `None` for plain TCP.
    pub(crate) fn layers(&self) -> Option<&Mutex<Layers>> {
        self.layers.get().map(|layers| &**layers)
    }

    /// Whether what comes next belongs to a handshake of TLS.
    fn is_in_handshake(&self) -> bool {
        self.layers().is_some_and(|layers| layers.lock().is_in_tls_handshake())
    }

    fn look_for_end(&self, input: &mut Input) -> Result<(), CloseReason> {
        if !input.partial.is_empty() {
            return Ok(());
        }
        let Some(layers) = self.layers() else {
            return self.stream.waiting(&mut [0]).map(drop).ok_or(CloseReason::PeerClosed);
        };
        let mut bytes = [0; LAST_WORDS_BYTES_MAX];
        let len = layers.lock().look_for_end(&self.stream, &self.listener, &mut bytes)?;
        input.partial.extend_from_slice(&bytes[..len]);
        Ok(())
    }

    /// Judges the Client's silence when its deadline has passed.
    ///
    /// # Errors
    /// When there has been no CONNECT at all.
    pub(crate) fn check_alive(
        &self,
        connection: &Connection,
        now: Time,
    ) -> Result<KeepAliveVerdict, CloseReason> {
        let input = &mut *self.input.lock();
        let partial = u32::try_from(input.partial.len()).unwrap_or(u32::MAX);
        match &mut input.phase {
            // It is we who do not listen.
            Phase::Open(open)
                if connection.is_cut.load(Ordering::Relaxed)
                    || connection.has_to_wait.load(Ordering::Relaxed)
                    || connection.is_paused.load(Ordering::Relaxed)
                    || open.rate().is_some_and(|rate| rate.is_resting()) =>
            {
                Ok(KeepAliveVerdict::AliveUntil(now.plus(TICK)))
            }
            Phase::Open(open) if open.certificate_ends().is_some_and(|end| now >= end) => {
                Err(CloseReason::CertificateExpired)
            }
            // Packets are dated by the last tick, so the last one may be younger than it says by one tick.
            Phase::Open(open) => {
                let verdict = open.keep_alive.handle_timeout(now.minus(TICK), partial);
                Ok(open.until_certificate_ends(verdict))
            }
            Phase::Closed => Ok(KeepAliveVerdict::Off),
            // Many passwords wait to be checked, or the store takes nothing. Who has left meanwhile is to take nobody's place.
            Phase::LoggingIn(_) => {
                self.look_for_end(input).map(|()| KeepAliveVerdict::AliveUntil(now.plus(LOGIN_CHECK)))
            }
            Phase::New | Phase::Authenticating(_) => match self.layers() {
                Some(layers) => {
                    layers.lock().check_alive(&self.listener, now).map(KeepAliveVerdict::AliveUntil)
                }
                None => Err(CloseReason::ConnectTimeout),
            },
        }
    }

    /// The last words of what lies below MQTT.
    pub(crate) fn say_good_bye(&self, reason: &CloseReason) {
        if let Some(relayed) = self.stream.relayed() {
            relayed.end(reason.close_code());
        }
        if let Some(layers) = self.layers() {
            layers.lock().close(&self.stream, reason);
        }
    }

    /// Closes the socket for both sides: the peer notices now, also while another thread still looks at the connection.
    pub(crate) fn shut_down(&self) {
        let _ = rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Both);
    }

    /// What a layer below MQTT says of why the connection ends.
    pub(crate) fn failure(&self) -> Option<String> {
        self.layers().and_then(|layers| layers.lock().failure())
    }
}

impl Transport for SocketSide {
    /// From where it came. A web page from elsewhere is no program of this machine, though the browser that shows it is; nor is who stands behind a reverse proxy.
    fn peer(&self) -> Peer {
        if self.layers().is_some_and(|layers| layers.lock().foreign().is_some()) {
            self.accepted_from.behind_proxy(None)
        } else {
            self.accepted_from
        }
    }

    /// Why it does not count as a connection of this machine although it comes from a loopback address.
    fn why_not_local(&self) -> Option<String> {
        if !self.accepted_from.for_login().is_loopback() {
            return None;
        }
        self.layers()?.lock().foreign().map(ToString::to_string)
    }

    /// Who the client is by its certificate, where that is asked for and it has shown one.
    fn certified(&self) -> Option<Certified> {
        match self.stream.relayed() {
            Some(relayed) => relayed.certified().cloned(),
            None => self.layers()?.lock().certified(&self.listener),
        }
    }

    /// When the client's certificate ends, in milliseconds since 1970; `None` where it has shown none.
    fn certificate_ends_ms(&self) -> Option<u64> {
        match self.stream.relayed() {
            Some(relayed) => relayed.certificate_ends_ms(),
            None => self.layers()?.lock().certificate_ends_ms(),
        }
    }

    /// Whether the connection of a Client whose password waits to be checked has ended, and nothing that came before is left to be handled.
    ///
    /// For threads that hold no lock.
    ///
    /// # Errors
    /// Why it has ended.
    fn check_present(&self) -> Result<(), CloseReason> {
        self.look_for_end(&mut self.input.lock())
    }

    fn keeps_place(&self, is_administrator: &dyn Fn() -> bool) -> bool {
        self.listener.is_for(is_administrator)
    }

    fn held_bytes(&self) -> u32 {
        self.listener.held_bytes()
    }

    /// Speaks the zstd stream from now on, where the listener allows it and has a place left. Call with CONNECT read and CONNACK not yet made.
    fn start_zstd(&self, offer: Offer, now: Time) {
        let Some(zstd) = Zstd::granted(offer, &self.listener) else { return };
        self.layers.get_or_init(|| Box::new(Mutex::new(Layers::none(now)))).lock().start_zstd(zstd);
    }

    /// What of the zstd stream was granted.
    fn zstd(&self) -> Option<Offer> {
        self.layers().and_then(|layers| layers.lock().zstd())
    }

    fn is_wrapped(&self) -> bool {
        self.layers().is_some()
    }

    fn begin(&self, connack_len: usize) -> bool {
        self.layers().is_some_and(|layers| layers.lock().begin(connack_len))
    }

    fn send(&self, bytes: &[IoSlice<'_>]) -> usize {
        let flags = rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT;
        if let [only] = bytes {
            return rustix::net::send(&self.stream, only, flags).unwrap_or(0);
        }
        let mut control = rustix::net::SendAncillaryBuffer::default();
        rustix::net::sendmsg(&self.stream, bytes, &mut control, flags).unwrap_or(0)
    }

    fn poll_send(&self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<Result<usize, CloseReason>> {
        let flags = rustix::net::SendFlags::NOSIGNAL;
        loop {
            let sent =
                self.stream.try_io(Interest::WRITABLE, || Ok(rustix::net::send(&self.stream, bytes, flags)?));
            match sent {
                Ok(len) => return Poll::Ready(Ok(len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Readiness is cleared now: this registers the task for the next edge.
                    match self.stream.poll_write_ready(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => return Poll::Ready(Err(CloseReason::NetworkError)),
                    }
                }
                Err(_) => return Poll::Ready(Err(CloseReason::NetworkError)),
            }
        }
    }

    fn make_idle(&self) -> bool {
        self.layers().is_some_and(|layers| layers.lock().make_idle(&self.stream))
    }

    fn write(&self, chunk: &[IoSlice<'_>]) {
        if let Some(layers) = self.layers() {
            layers.lock().write(&self.stream, chunk);
        }
    }

    fn is_due(&self, waiting: usize, cx: &mut Context<'_>) -> bool {
        self.layers().is_some_and(|layers| layers.lock().is_due(waiting, cx))
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Result<Poll<()>, CloseReason> {
        match self.layers() {
            Some(layers) => layers.lock().poll_flush(&self.stream, cx),
            None => Ok(Poll::Ready(())),
        }
    }

    /// Writes a short packet past everything else: an answer before there is a Client, or the last word. Lost when the socket is full.
    fn write_directly(&self, packet: &[u8]) {
        if let Some(layers) = self.layers() {
            let mut layers = layers.lock();
            if layers.make_idle(&self.stream) {
                layers.write(&self.stream, &[IoSlice::new(packet)]);
            }
            return;
        }
        let flags = rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT;
        let _ = rustix::net::send(&self.stream, packet, flags);
    }
}

/// A connection in the hands of its owner.
#[derive(Clone, Copy)]
struct Driven<'a> {
    connection: &'a Arc<Connection>,
    side: &'a SocketSide,
}

impl Deref for Driven<'_> {
    type Target = SocketSide;

    fn deref(&self) -> &SocketSide {
        self.side
    }
}

impl Driven<'_> {
    fn drive(self, turn: &mut Turn, cx: &mut Context<'_>) -> Poll<()> {
        let mut input = self.input.lock();
        // A fault of ours in what one Client sends must not leave it with a connection that nobody reads.
        let stepped = catch_unwind(AssertUnwindSafe(|| self.step(&mut input, turn, cx)));
        turn.time_shares.worked(&*turn.core.clock);
        match stepped.unwrap_or_else(|_| Err(self.reading_panicked())) {
            Ok(()) => Poll::Pending,
            Err(reason) => {
                let phase = std::mem::replace(&mut input.phase, Phase::Closed);
                self.listener.leave();
                drop(input);
                closing::connection_closed(self.connection, self.side, phase, reason, turn);
                Poll::Ready(())
            }
        }
    }

    fn reading_panicked(self) -> CloseReason {
        error!(conn = self.connection.number, peer = %self.peer(), "reading ended by a panic, the connection is closed");
        CloseReason::InternalError
    }

    fn step(self, input: &mut Input, turn: &mut Turn, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        self.connection.attend(cx);
        if matches!(input.phase, Phase::New) && self.is_in_handshake() {
            turn.time_shares.expect_handshake(self.connection.place);
        }
        if take_idled() {
            turn.time_shares.thread_idled();
        }
        let Some(stretch) = turn.time_shares.admit(self.connection.place, &*turn.core.clock) else {
            self.connection.has_to_wait.store(true, Ordering::Relaxed);
            turn.call_flusher();
            return Ok(());
        };
        self.connection.has_to_wait.store(false, Ordering::Relaxed);
        turn.stretch = stretch;
        self.flush_layers(cx)?;
        self.answer_attention(input, turn, cx)?;
        if matches!(input.phase, Phase::LoggingIn(_)) && !self.finish_login(input, turn)? {
            return Ok(());
        }
        if self.must_not_read(input, turn, cx)
            || (self.finish_rest(input, turn)? && self.must_not_read(input, turn, cx))
        {
            return Ok(());
        }
        if self.connection.is_cut.load(Ordering::Relaxed) {
            return self.go_on(input, turn);
        }
        let has_more = self.layers().is_some_and(|layers| layers.lock().has_more());
        match self.stream.poll_read_ready(cx) {
            Poll::Pending if has_more => {}
            Poll::Pending => return Ok(()),
            Poll::Ready(ready) => ready.map_err(|_| CloseReason::NetworkError)?,
        }
        let more = self.read(input, turn)?;
        self.listener.hold(self.held_bytes(input)).map_err(CloseReason::Limit)?;
        self.flush_layers(cx)?;
        // Give others their turn after one read; readiness that is still there must not be waited for.
        if more || input.has_waiting() || self.stream.poll_read_ready(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    /// Bytes that are kept of what has come: a packet in part, what layers have not passed on, topics of Topic Aliases.
    fn held_bytes(self, input: &Input) -> usize {
        let below = self.layers().map_or(0, |layers| layers.lock().held_bytes());
        let aliases = match &input.phase {
            Phase::Open(Open { aliases: Some(aliases), .. }) => aliases.bytes(),
            Phase::New | Phase::Authenticating(_) | Phase::LoggingIn(_) | Phase::Open(_) | Phase::Closed => 0,
        };
        input.partial.len() + below + aliases
    }

    /// Writes what a layer has to say by itself, as in a handshake.
    fn flush_layers(self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        let Some(layers) = self.layers() else { return Ok(()) };
        let mut layers = layers.lock();
        if layers.is_idle() { Ok(()) } else { layers.poll_flush(&self.stream, cx).map(drop) }
    }

    /// Does what other threads have asked for.
    fn answer_attention(
        self,
        input: &Input,
        turn: &mut Turn,
        cx: &mut Context<'_>,
    ) -> Result<(), CloseReason> {
        if !self.connection.take_wanted() && !self.connection.output_waits.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Some(reason) = self.connection.take_close() {
            return Err(reason);
        }
        if let Phase::Open(open) = &input.phase {
            open.client.drain_output(self.connection, turn, cx)?;
        }
        Ok(())
    }

    /// Whether the Client must wait: it does not read what it is sent, or what it sends is more than it may, or than the disk or the guests take.
    ///
    /// In all cases the owner is called when that has changed.
    fn must_not_read(self, input: &mut Input, turn: &mut Turn, cx: &Context<'_>) -> bool {
        let Phase::Open(open) = &mut input.phase else { return false };
        if let Some(rate) = open.rate_mut() {
            match rate.rest(turn.now()) {
                Rest::None => {}
                Rest::GoesOn => return true,
                Rest::Begins { until, limit } => {
                    self.listener.reached.note(limit, &open.client.client_id, turn.now());
                    turn.rest(self.connection, until);
                    return true;
                }
            }
        }
        if self.connection.output_waits.load(Ordering::Acquire) && open.client.is_choked(self.connection) {
            return true;
        }
        (open.feeds_guests && guests::hold_back(turn, self.connection, &open.client, cx))
            || (open.feeds_store && turn.wait_for_store(self.connection, &open.client))
    }

    /// Goes on with a CONNECT whose password has been checked. False while that is not so, or its session is not to be had.
    fn finish_login(self, input: &mut Input, turn: &mut Turn) -> Result<bool, CloseReason> {
        if matches!(&input.phase, Phase::LoggingIn(login) if !login.is_decided()) {
            return Ok(false);
        }
        let Phase::LoggingIn(login) = std::mem::replace(&mut input.phase, Phase::Closed) else {
            return Err(CloseReason::InternalError);
        };
        input.phase = protocol::connect::finish(self.connection, login, turn)?;
        if !matches!(input.phase, Phase::Open(_)) {
            return Ok(false);
        }
        if !input.partial.is_empty() {
            self.check_silent()?;
            self.consume_waiting(input, turn)?;
        }
        Ok(true)
    }

    /// Goes on with the packets that came before a Client had to rest. True when there were any.
    fn finish_rest(self, input: &mut Input, turn: &mut Turn) -> Result<bool, CloseReason> {
        let Phase::Open(open) = &mut input.phase else { return Ok(false) };
        let Some(rate) = open.rate_mut() else { return Ok(false) };
        if !std::mem::take(&mut rate.has_waiting) {
            return Ok(false);
        }
        self.consume_waiting(input, turn)?;
        Ok(true)
    }

    /// Goes on with the packets for which there was no time.
    fn go_on(self, input: &mut Input, turn: &mut Turn) -> Result<(), CloseReason> {
        let gone_on = self.consume_waiting(input, turn);
        if !self.connection.is_cut.load(Ordering::Relaxed) {
            // Readiness of the socket is looked at in another turn: this one was long.
            self.connection.call_owner();
        }
        gone_on
    }

    /// Handles what had come already.
    fn consume_waiting(self, input: &mut Input, turn: &mut Turn) -> Result<(), CloseReason> {
        let span = turn.arena.adopt(std::mem::take(&mut input.partial));
        self.consume(input, turn, span)?;
        self.listener.hold(self.held_bytes(input)).map_err(CloseReason::Limit)
    }

    /// Reads once. True when more may be waiting in the socket.
    fn read(self, input: &mut Input, turn: &mut Turn) -> Result<bool, CloseReason> {
        if let Some(missing) = self.missing(input)? {
            return self.read_large(input, turn, missing);
        }
        let carried = input.partial.len();
        if !turn.arena.has_room_to_read(carried) {
            turn.flush();
        }
        let kept = turn.arena.carry(&input.partial);
        let Received { len, is_more } = self.receive(turn.arena.read_target())?;
        if len == 0 {
            return Ok(is_more);
        }
        turn.counts.bytes_received += len as u64;
        let fresh = turn.arena.read_done(len);
        input.partial.clear();
        let all = if kept.is_empty() { fresh } else { kept.joined(fresh) };
        self.consume(input, turn, all)?;
        Ok(is_more)
    }

    /// How many bytes a packet still lacks that is too large for the shared read area.
    fn missing(self, input: &Input) -> Result<Option<usize>, CloseReason> {
        let Some(header) = fixed_header(&input.partial, self.packet_limit(input))? else { return Ok(None) };
        let len = header.packet_len();
        Ok((len > READ_BYTES_MAX).then(|| len - input.partial.len()))
    }

    /// Reads into the connection's own buffer, which grows only with the bytes that have come.
    fn read_large(self, input: &mut Input, turn: &mut Turn, missing: usize) -> Result<bool, CloseReason> {
        let have = input.partial.len();
        let room = missing.min(READ_BYTES_MAX);
        input.partial.resize(have + room, 0);
        let Received { len, is_more } = self.receive(&mut input.partial[have..])?;
        turn.counts.bytes_received += len as u64;
        input.partial.truncate(have + len);
        if len == missing {
            self.consume_waiting(input, turn)?;
        }
        Ok(is_more)
    }

    /// Reads bytes of MQTT. None when nothing has come.
    fn receive(self, target: &mut [u8]) -> Result<Received, CloseReason> {
        match self.layers() {
            None => {
                let len = self.stream.receive(target)?.unwrap_or(0);
                Ok(Received { len, is_more: len == target.len() })
            }
            Some(layers) => layers.lock().read(&self.stream, &self.listener, target),
        }
    }

    /// Handles the whole packets in `rest`, until the stretch is over, and keeps what is left for later.
    fn consume(self, input: &mut Input, turn: &mut Turn, mut rest: Span) -> Result<(), CloseReason> {
        if matches!(input.phase, Phase::New)
            && let Some(foreign) = Foreign::detect(turn.arena.get(rest))
        {
            return Err(Violation::from(foreign).into());
        }
        if let Phase::Open(open) = &mut input.phase {
            protocol::finish(self.connection, open, turn)?;
        }
        let mut is_cut = input.has_unfinished();
        while !rest.is_empty() && !is_cut {
            let header = fixed_header(turn.arena.get(rest), self.packet_limit(input))?;
            let whole = header.filter(|header| header.packet_len() <= rest.len());
            let Some(header) = whole else { break };
            if matches!(input.phase, Phase::LoggingIn(_)) || must_rest(input, turn.now()) {
                break;
            }
            if must_wait_for_store(input, turn, header) {
                is_cut = true;
                break;
            }
            let len = header.packet_len();
            turn.counts.packets_received += u64::from(!input.repeats_packet());
            let was_open = matches!(input.phase, Phase::Open(_));
            self.handle(input, turn, header, rest.slice(0, len))?;
            if input.repeats_packet() {
                is_cut = true;
                break;
            }
            rest = rest.slice(len, rest.len() - len);
            if !was_open && !rest.is_empty() {
                self.check_silent()?;
            }
            turn.steps += 1;
            is_cut = input.has_unfinished() || (!rest.is_empty() && turn.must_packets_wait());
        }
        self.connection.is_cut.store(is_cut, Ordering::Relaxed);
        if is_cut {
            turn.time_shares.wait(self.connection.place);
            turn.call_flusher();
        }
        if !rest.is_empty() {
            input.partial.extend_from_slice(turn.arena.get(rest));
        } else if input.partial.capacity() > 0 {
            input.partial = Vec::new();
        }
        Ok(())
    }

    /// Something came behind CONNECT before CONNACK has left, from where the zstd stream counts: nobody can say whether it is compressed.
    fn check_silent(self) -> Result<(), CloseReason> {
        match self.zstd() {
            Some(_) => Err(CloseReason::Transport(TransportFailure::Zstd)),
            None => Ok(()),
        }
    }

    fn handle(
        self,
        input: &mut Input,
        turn: &mut Turn,
        header: FixedHeader,
        packet: Span,
    ) -> Result<(), CloseReason> {
        match &mut input.phase {
            Phase::Open(open) => {
                open.keep_alive.handle_packet(turn.now());
                let is_repeated = open.repeats_packet();
                if let Some(rate) = open.rate_mut().filter(|_| !is_repeated) {
                    rate.spend(header.packet_type() == PacketType::Publish, packet.len(), turn.now());
                }
                protocol::handle(self.connection, open, turn, header, packet)
            }
            Phase::New => {
                input.phase = protocol::connect::begin(self.connection, turn, header, packet)?;
                self.is_known(input);
                Ok(())
            }
            Phase::Authenticating(_) => {
                let Phase::Authenticating(before) = std::mem::replace(&mut input.phase, Phase::Closed) else {
                    unreachable!("it was just looked at")
                };
                input.phase = before.go_on(self.connection, turn, header, packet)?;
                self.is_known(input);
                Ok(())
            }
            Phase::LoggingIn(_) | Phase::Closed => Ok(()),
        }
    }

    /// Ends the time in which nobody is known, which an exchange of AUTH packets prolongs.
    fn is_known(self, input: &Input) {
        if !matches!(input.phase, Phase::Authenticating(_)) {
            self.listener.connect_came();
        }
    }

    fn packet_limit(self, input: &Input) -> u32 {
        match input.phase {
            Phase::New | Phase::Authenticating(_) => {
                self.listener.limits.max_packet_size.min(CONNECT_BYTES_MAX)
            }
            Phase::LoggingIn(_) | Phase::Open(_) | Phase::Closed => self.listener.limits.max_packet_size,
        }
    }
}

/// The bits of the first byte of a PUBLISH with this meaning.
const RETAIN: u8 = 0b0001;
const QOS: u8 = 0b0110;

/// Whether the next packet waits, because its Client has sent more than it may; it is remembered then.
fn must_rest(input: &mut Input, now: Time) -> bool {
    if input.repeats_packet() {
        // It has been counted.
        return false;
    }
    let Phase::Open(open) = &mut input.phase else { return false };
    let Some(rate) = open.rate_mut() else { return false };
    rate.has_waiting = rate.is_in_debt(now);
    rate.has_waiting
}

/// Whether the next packet waits until the disk has caught up: a message that is retained, or a large one that may have to be stored, of a Client that
/// has stored nothing before. It is read from no more then, as others that store much.
fn must_wait_for_store(input: &mut Input, turn: &Turn, header: FixedHeader) -> bool {
    let looked_at = if header.packet_len() > READ_BYTES_MAX { RETAIN | QOS } else { RETAIN };
    // First what nearly every packet ends with.
    if header.first_byte & looked_at == 0 || header.packet_type() != PacketType::Publish {
        return false;
    }
    let Phase::Open(open) = &mut input.phase else { return false };
    if open.feeds_store {
        return false;
    }
    open.feeds_store = turn.must_rest_for_store(&open.client);
    open.feeds_store
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Idle connections cost this and what tokio keeps for them.
    #[test]
    fn a_connection_is_small() {
        // With the counts of an `Arc` and the allocator's own eight bytes it takes 336, as one of 312 does.
        assert!(size_of::<SocketConnection>() <= 288, "{} bytes", size_of::<SocketConnection>());
    }
}
