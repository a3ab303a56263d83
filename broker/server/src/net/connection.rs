//! One network connection: the future that reads it, and what its owner thread alone knows about it.
//!
//! A connection stays on the shard that it was given to. Its task is a single [`Arc`], it owns no buffer while idle, and it reads at
//! most once per poll, into the thread's [`Turn`]. Foreign threads touch only the socket's write side (through the Client's
//! [`Link`](crate::net::outbound::Link)) and the request to close.
//!
//! Invariants: `input` is locked by the owner's task, and for a look by who checks its password, always before a Client's state and never after; the socket is open for as long as an
//! `Arc` of the connection lives, so a descriptor is never used for another peer's bytes.
//! Not here: what packets mean (`protocol`), who gets a message (`turn`).

use std::future::Future;
use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use lotmq_codec::{FixedHeader, PacketType, fixed_header};
use lotmq_session::{KeepAliveVerdict, Time};
use lotmq_zstd::Offer;
use parking_lot::Mutex;
use tracing::error;

use crate::close::{CloseReason, TransportFailure};
use crate::foreign::Foreign;
use crate::guests;
use crate::limits::{CONNECT_BYTES_MAX, LAST_WORDS_BYTES_MAX, LOGIN_CHECK, READ_BYTES_MAX, Rest};
use crate::net::admission::Place;
use crate::net::arena::Span;
use crate::net::closing;
use crate::net::layers::{Layers, Received};
use crate::net::look::take_idled;
use crate::net::peer::Peer;
use crate::net::shard::TICK;
use crate::net::socket::Socket;
use crate::net::turn::Turn;
use crate::net::zstd::Zstd;
use crate::protocol::{self, Authenticating, Certified, Login, Open};
use crate::violation::Violation;

/// See the module's documentation.
pub(crate) struct Connection {
    /// Tells it from the other connections of its Client; 1 to [`Connection::NUMBER_MAX`], used again long after.
    pub(crate) number: u32,
    /// Number of the shard that owns it.
    pub(crate) home: u16,
    /// Its place among the open connections of that shard.
    pub(crate) place: u32,
    pub(crate) stream: Socket,
    accepted_from: Peer,
    /// Where it was accepted, and what it counts for there.
    pub(crate) listener: Place,
    /// What lies between the socket and MQTT; nothing for plain TCP. Set before any other thread knows the connection.
    layers: OnceLock<Box<Mutex<Layers>>>,
    /// QoS 1 messages of the Client whose acknowledgement waits for the store; counts against our Receive Maximum.
    pub(crate) unacknowledged: AtomicU32,
    /// Changes of subscriptions that wait for the store.
    pub(crate) changes_waiting: AtomicU32,
    /// The socket was full: bytes for the Client wait for its owner.
    pub(crate) output_waits: AtomicBool,
    /// It is not read from until the disk has caught up, or the guests.
    pub(crate) is_paused: AtomicBool,
    input: Mutex<Input>,
    attention: Attention,
}

/// What other threads ask of the owner.
#[derive(Default)]
struct Attention {
    asked: Mutex<Asked>,
    wanted: AtomicBool,
}

#[derive(Default)]
struct Asked {
    /// Of the owner's task.
    waker: Option<Waker>,
    close: Option<Box<CloseReason>>,
}

/// What only the owner's task uses.
struct Input {
    /// Bytes of an incomplete packet, or of packets that wait.
    partial: Vec<u8>,
    /// There was no time for all packets that have come; nothing more is read until they are handled.
    is_cut: bool,
    /// Others have their turn before it is looked what has come.
    has_to_wait: bool,
    phase: Phase,
}

impl Input {
    /// Whether whole packets wait until the Client has rested.
    fn has_waiting(&self) -> bool {
        matches!(&self.phase, Phase::Open(Open { rate: Some(rate), .. }) if rate.has_waiting)
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

/// How far the connection has come.
pub(crate) enum Phase {
    /// Nothing or a part of CONNECT has come.
    New,
    /// CONNECT was read; who comes is found out by an exchange of AUTH packets.
    Authenticating(Box<Authenticating>),
    /// CONNECT was read; its password is being checked, or its session is not to be had yet. Nothing is read meanwhile.
    LoggingIn(Login),
    /// CONNECT was accepted.
    Open(Open),
    /// Nothing is read any more.
    Closed,
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
        Turn::with(|turn| self.0.drive(turn, cx))
    }
}

static NEXT_NUMBER: AtomicU32 = AtomicU32::new(0);

impl Connection {
    /// A Client's record has 28 bits for it.
    pub(crate) const NUMBER_MAX: u32 = (1 << 28) - 1;

    /// A connection of the shard `home` that was just accepted, and that `place` was reserved for.
    ///
    /// # Errors
    /// When what its listener wants below MQTT cannot be set up.
    pub(crate) fn new(
        stream: Socket,
        accepted: Accepted,
        (home, place): (u16, u32),
        now: Time,
    ) -> Result<Self, CloseReason> {
        let Accepted { peer, listener } = accepted;
        Ok(Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed) % Self::NUMBER_MAX + 1,
            home,
            place,
            stream,
            accepted_from: peer,
            layers: Layers::of(&listener, now)?.map_or_else(OnceLock::new, OnceLock::from),
            listener,
            unacknowledged: AtomicU32::new(0),
            changes_waiting: AtomicU32::new(0),
            output_waits: AtomicBool::new(false),
            is_paused: AtomicBool::new(false),
            input: Mutex::new(Input {
                partial: Vec::new(),
                is_cut: false,
                has_to_wait: false,
                phase: Phase::New,
            }),
            attention: Attention::default(),
        })
    }

    /// What lies between the socket and MQTT; `None` for plain TCP.
    pub(crate) fn layers(&self) -> Option<&Mutex<Layers>> {
        self.layers.get().map(|layers| &**layers)
    }

    /// Speaks the zstd stream from now on, where the listener allows it and has a place left. Call with CONNECT read and CONNACK not yet made.
    pub(crate) fn start_zstd(&self, offer: Offer, now: Time) {
        let Some(zstd) = Zstd::granted(offer, &self.listener) else { return };
        self.layers.get_or_init(|| Box::new(Mutex::new(Layers::none(now)))).lock().start_zstd(zstd);
    }

    /// Whether what comes next belongs to a handshake of TLS.
    fn is_in_handshake(&self) -> bool {
        self.layers().is_some_and(|layers| layers.lock().is_in_tls_handshake())
    }

    /// What of the zstd stream was granted.
    pub(crate) fn zstd(&self) -> Option<Offer> {
        self.layers().and_then(|layers| layers.lock().zstd())
    }

    /// From where it came. A web page from elsewhere is no program of this machine, though the browser that shows it is; nor is who stands behind a reverse proxy.
    pub(crate) fn peer(&self) -> Peer {
        if self.layers().is_some_and(|layers| layers.lock().foreign().is_some()) {
            self.accepted_from.behind_proxy(None)
        } else {
            self.accepted_from
        }
    }

    /// Why it does not count as a connection of this machine although it comes from a loopback address.
    pub(crate) fn why_not_local(&self) -> Option<String> {
        if !self.accepted_from.for_login().is_loopback() {
            return None;
        }
        self.layers()?.lock().foreign().map(ToString::to_string)
    }

    /// Who the client is by its certificate, where that is asked for and it has shown one.
    pub(crate) fn certified(&self) -> Option<Certified> {
        match self.stream.relayed() {
            Some(relayed) => relayed.certified().cloned(),
            None => self.layers()?.lock().certified(&self.listener),
        }
    }

    /// When the client's certificate ends, in milliseconds since 1970; `None` where it has shown none.
    pub(crate) fn certificate_ends_ms(&self) -> Option<u64> {
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
    pub(crate) fn check_present(&self) -> Result<(), CloseReason> {
        self.look_for_end(&mut self.input.lock())
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

    /// Asks the owner to close the connection. The first reason wins. Callable from any thread.
    pub(crate) fn request_close(&self, reason: CloseReason) {
        self.attention.asked.lock().close.get_or_insert_with(|| Box::new(reason));
        self.call_owner();
    }

    /// Whether that was asked for.
    pub(crate) fn is_to_close(&self) -> bool {
        self.attention.asked.lock().close.is_some()
    }

    /// Makes the owner's task look at the connection: to write, to close, or to go on after a login. Callable from any thread.
    pub(crate) fn call_owner(&self) {
        self.attention.wanted.store(true, Ordering::Release);
        let waker = self.attention.asked.lock().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Judges the Client's silence when its deadline has passed.
    ///
    /// # Errors
    /// When there has been no CONNECT at all.
    pub(crate) fn check_alive(&self, now: Time) -> Result<KeepAliveVerdict, CloseReason> {
        let input = &mut *self.input.lock();
        let partial = u32::try_from(input.partial.len()).unwrap_or(u32::MAX);
        match &mut input.phase {
            // It is we who do not listen.
            Phase::Open(open)
                if input.is_cut
                    || input.has_to_wait
                    || self.is_paused.load(Ordering::Relaxed)
                    || open.rate.as_ref().is_some_and(|rate| rate.is_resting()) =>
            {
                Ok(KeepAliveVerdict::AliveUntil(now.plus(TICK)))
            }
            Phase::Open(Open { certificate_ends: Some(end), .. }) if now >= **end => {
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

    /// Writes a short packet past everything else: an answer before there is a Client, or the last word. Lost when the socket is full.
    pub(crate) fn write_directly(&self, packet: &[u8]) {
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

    /// The last words of what lies below MQTT.
    pub(crate) fn say_good_bye(&self, reason: &CloseReason) {
        if let Some(relayed) = self.stream.relayed() {
            relayed.end(reason.close_code());
        }
        if let Some(layers) = self.layers() {
            layers.lock().close(&self.stream, reason);
        }
    }

    fn drive(self: &Arc<Self>, turn: &mut Turn, cx: &mut Context<'_>) -> Poll<()> {
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
                closing::connection_closed(self, phase, reason, turn);
                Poll::Ready(())
            }
        }
    }

    fn reading_panicked(&self) -> CloseReason {
        error!(conn = self.number, peer = %self.peer(), "reading ended by a panic, the connection is closed");
        CloseReason::InternalError
    }

    fn step(
        self: &Arc<Self>,
        input: &mut Input,
        turn: &mut Turn,
        cx: &mut Context<'_>,
    ) -> Result<(), CloseReason> {
        self.attend(cx);
        if matches!(input.phase, Phase::New) && self.is_in_handshake() {
            turn.time_shares.expect_handshake(self.place);
        }
        if take_idled() {
            turn.time_shares.thread_idled();
        }
        let Some(stretch) = turn.time_shares.admit(self.place, &*turn.core.clock) else {
            input.has_to_wait = true;
            turn.call_flusher();
            return Ok(());
        };
        input.has_to_wait = false;
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
        if input.is_cut {
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
    fn held_bytes(&self, input: &Input) -> usize {
        let below = self.layers().map_or(0, |layers| layers.lock().held_bytes());
        let aliases = match &input.phase {
            Phase::Open(Open { aliases: Some(aliases), .. }) => aliases.bytes(),
            Phase::New | Phase::Authenticating(_) | Phase::LoggingIn(_) | Phase::Open(_) | Phase::Closed => 0,
        };
        input.partial.len() + below + aliases
    }

    /// Writes what a layer has to say by itself, as in a handshake.
    fn flush_layers(&self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        let Some(layers) = self.layers() else { return Ok(()) };
        let mut layers = layers.lock();
        if layers.is_idle() { Ok(()) } else { layers.poll_flush(&self.stream, cx).map(drop) }
    }

    /// Registers the task for calls of other threads.
    fn attend(&self, cx: &Context<'_>) {
        let waker = &mut self.attention.asked.lock().waker;
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Does what other threads have asked for.
    fn answer_attention(
        &self,
        input: &Input,
        turn: &mut Turn,
        cx: &mut Context<'_>,
    ) -> Result<(), CloseReason> {
        if !self.attention.wanted.swap(false, Ordering::AcqRel) && !self.output_waits.load(Ordering::Acquire)
        {
            return Ok(());
        }
        if let Some(reason) = self.attention.asked.lock().close.take() {
            return Err(*reason);
        }
        if let Phase::Open(open) = &input.phase {
            open.client.drain_output(self, turn, cx)?;
        }
        Ok(())
    }

    /// Whether the Client must wait: it does not read what it is sent, or what it sends is more than it may, or than the disk or the guests take.
    ///
    /// In all cases the owner is called when that has changed.
    fn must_not_read(self: &Arc<Self>, input: &mut Input, turn: &mut Turn, cx: &Context<'_>) -> bool {
        let Phase::Open(open) = &mut input.phase else { return false };
        if let Some(rate) = &mut open.rate {
            match rate.rest(turn.now()) {
                Rest::None => {}
                Rest::GoesOn => return true,
                Rest::Begins { until, limit } => {
                    self.listener.reached.note(limit, &open.client.client_id, turn.now());
                    turn.rest(self, until);
                    return true;
                }
            }
        }
        if self.output_waits.load(Ordering::Acquire) && open.client.is_choked(self) {
            return true;
        }
        (open.feeds_guests && guests::hold_back(turn, self, &open.client, cx))
            || (open.feeds_store && turn.wait_for_store(self))
    }

    /// Goes on with a CONNECT whose password has been checked. False while that is not so, or its session is not to be had.
    fn finish_login(self: &Arc<Self>, input: &mut Input, turn: &mut Turn) -> Result<bool, CloseReason> {
        if matches!(&input.phase, Phase::LoggingIn(login) if !login.is_decided()) {
            return Ok(false);
        }
        let Phase::LoggingIn(login) = std::mem::replace(&mut input.phase, Phase::Closed) else {
            return Err(CloseReason::InternalError);
        };
        input.phase = protocol::connect::finish(self, login, turn)?;
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
    fn finish_rest(self: &Arc<Self>, input: &mut Input, turn: &mut Turn) -> Result<bool, CloseReason> {
        let Phase::Open(Open { rate: Some(rate), .. }) = &mut input.phase else { return Ok(false) };
        if !std::mem::take(&mut rate.has_waiting) {
            return Ok(false);
        }
        self.consume_waiting(input, turn)?;
        Ok(true)
    }

    /// Goes on with the packets for which there was no time.
    fn go_on(self: &Arc<Self>, input: &mut Input, turn: &mut Turn) -> Result<(), CloseReason> {
        let gone_on = self.consume_waiting(input, turn);
        if !input.is_cut {
            // Readiness of the socket is looked at in another turn: this one was long.
            self.call_owner();
        }
        gone_on
    }

    /// Handles what had come already.
    fn consume_waiting(self: &Arc<Self>, input: &mut Input, turn: &mut Turn) -> Result<(), CloseReason> {
        let span = turn.arena.adopt(std::mem::take(&mut input.partial));
        self.consume(input, turn, span)?;
        self.listener.hold(self.held_bytes(input)).map_err(CloseReason::Limit)
    }

    /// Reads once. True when more may be waiting in the socket.
    fn read(self: &Arc<Self>, input: &mut Input, turn: &mut Turn) -> Result<bool, CloseReason> {
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
        let all = if kept.len() == 0 { fresh } else { kept.joined(fresh) };
        self.consume(input, turn, all)?;
        Ok(is_more)
    }

    /// How many bytes a packet still lacks that is too large for the shared read area.
    fn missing(&self, input: &Input) -> Result<Option<usize>, CloseReason> {
        let Some(header) = fixed_header(&input.partial, self.packet_limit(input))? else { return Ok(None) };
        let len = header.packet_len();
        Ok((len > READ_BYTES_MAX).then(|| len - input.partial.len()))
    }

    /// Reads into the connection's own buffer, which grows only with the bytes that have come.
    fn read_large(
        self: &Arc<Self>,
        input: &mut Input,
        turn: &mut Turn,
        missing: usize,
    ) -> Result<bool, CloseReason> {
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
    fn receive(&self, target: &mut [u8]) -> Result<Received, CloseReason> {
        match self.layers() {
            None => {
                let len = self.stream.receive(target)?.unwrap_or(0);
                Ok(Received { len, is_more: len == target.len() })
            }
            Some(layers) => layers.lock().read(&self.stream, &self.listener, target),
        }
    }

    /// Handles the whole packets in `rest`, until the stretch is over, and keeps what is left for later.
    fn consume(
        self: &Arc<Self>,
        input: &mut Input,
        turn: &mut Turn,
        mut rest: Span,
    ) -> Result<(), CloseReason> {
        if matches!(input.phase, Phase::New)
            && let Some(foreign) = Foreign::detect(turn.arena.get(rest))
        {
            return Err(Violation::from(foreign).into());
        }
        if let Phase::Open(open) = &mut input.phase {
            protocol::finish(self, open, turn)?;
        }
        input.is_cut = input.has_unfinished();
        while rest.len() > 0 && !input.is_cut {
            let header = fixed_header(turn.arena.get(rest), self.packet_limit(input))?;
            let whole = header.filter(|header| header.packet_len() <= rest.len());
            let Some(header) = whole else { break };
            if matches!(input.phase, Phase::LoggingIn(_)) || must_rest(input, turn.now()) {
                break;
            }
            if must_wait_for_store(input, turn, header) {
                input.is_cut = true;
                break;
            }
            let len = header.packet_len();
            turn.counts.packets_received += u64::from(!input.repeats_packet());
            let was_open = matches!(input.phase, Phase::Open(_));
            self.handle(input, turn, header, rest.slice(0, len))?;
            if input.repeats_packet() {
                input.is_cut = true;
                break;
            }
            rest = rest.slice(len, rest.len() - len);
            if !was_open && rest.len() > 0 {
                self.check_silent()?;
            }
            turn.steps += 1;
            input.is_cut = input.has_unfinished() || (rest.len() > 0 && turn.must_packets_wait());
        }
        if input.is_cut {
            turn.time_shares.wait(self.place);
            turn.call_flusher();
        }
        if rest.len() > 0 {
            input.partial.extend_from_slice(turn.arena.get(rest));
        } else if input.partial.capacity() > 0 {
            input.partial = Vec::new();
        }
        Ok(())
    }

    /// Something came behind CONNECT before CONNACK has left, from where the zstd stream counts: nobody can say whether it is compressed.
    fn check_silent(&self) -> Result<(), CloseReason> {
        match self.zstd() {
            Some(_) => Err(CloseReason::Transport(TransportFailure::Zstd)),
            None => Ok(()),
        }
    }

    fn handle(
        self: &Arc<Self>,
        input: &mut Input,
        turn: &mut Turn,
        header: FixedHeader,
        packet: Span,
    ) -> Result<(), CloseReason> {
        match &mut input.phase {
            Phase::Open(open) => {
                open.keep_alive.handle_packet(turn.now());
                let is_repeated = open.repeats_packet();
                if let Some(rate) = open.rate.as_mut().filter(|_| !is_repeated) {
                    rate.spend(header.packet_type() == PacketType::Publish, packet.len(), turn.now());
                }
                protocol::handle(self, open, turn, header, packet)
            }
            Phase::New => {
                input.phase = protocol::connect::begin(self, turn, header, packet)?;
                self.is_known(input);
                Ok(())
            }
            Phase::Authenticating(_) => {
                let Phase::Authenticating(before) = std::mem::replace(&mut input.phase, Phase::Closed) else {
                    unreachable!("it was just looked at")
                };
                input.phase = before.go_on(self, turn, header, packet)?;
                self.is_known(input);
                Ok(())
            }
            Phase::LoggingIn(_) | Phase::Closed => Ok(()),
        }
    }

    /// Ends the time in which nobody is known, which an exchange of AUTH packets prolongs.
    fn is_known(&self, input: &Input) {
        if !matches!(input.phase, Phase::Authenticating(_)) {
            self.listener.connect_came();
        }
    }

    fn packet_limit(&self, input: &Input) -> u32 {
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
    let Phase::Open(Open { rate: Some(rate), .. }) = &mut input.phase else { return false };
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
    open.feeds_store = turn.is_store_behind();
    open.feeds_store
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Idle connections cost this and what tokio keeps for them.
    #[test]
    fn a_connection_is_small() {
        // With the counts of an `Arc` and the allocator's own eight bytes it takes 336, as one of 312 does.
        assert!(size_of::<Connection>() <= 304, "{} bytes", size_of::<Connection>());
    }
}
