//! Link of a session to its live connection: what is written to it, and what waits for its socket.
//!
//! Only when the socket is full are bytes copied, into the Client's own bounded buffer; from then
//! on everything goes through that buffer until its owner has emptied it.
//!
//! Invariant: while the buffer holds bytes nothing is written past it. Not here: what is sent
//! (`turn::outbound`).

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use lotmq_codec::ProtocolVersion;
use smallvec::SmallVec;

use crate::arena::{Arena, Span};
use crate::connection::{Connection, Transport};
use crate::limits::{CONTROL_BYTES_MAX, CONTROL_BYTES_MIN, Limit, WRAPPED_CHUNK_BYTES};
use crate::reason::close::CloseReason;
use crate::reason::recipient::Recipient;
use crate::shares::Share;
use crate::tenant::alias_out::AliasesOut;
use crate::tenant::aliased::aliased;
use crate::tenant::held::Held;
use crate::tenant::kept::Kept;
use crate::tenant::output::Output;

/// Most ranges in one system call; the kernel takes 1024.
const RANGES_MAX: usize = 256;

/// Link of a session to its live connection.
pub struct Link {
    /// The connection itself.
    pub connection: Arc<Connection>,
    /// Protocol version.
    pub version: ProtocolVersion,
    /// Largest packet that the Client takes; longer ones are dropped as if delivered
    /// \[MQTT-3.1.2-25\].
    pub packet_bytes_max: u32,
    wants_reasons: bool,
    /// Whether its transport wraps what leaves, so that only the owner sends.
    is_wrapped: bool,
    /// Bytes that the socket did not take.
    output: Output,
    stage: Stage,
    /// Whether the owner collects output for a while, as the Client has asked for.
    collects: bool,
    /// Topic Aliases towards the Client, where it allows any. They end with the connection: nothing
    /// that waits for another one has an alias.
    aliases: Option<Box<AliasesOut>>,
    /// Messages whose identifier is on its way to the disk, and those behind them.
    pub held: Held,
    /// Bytes of the buffer that are counted among those of all connections.
    counted: u32,
    pub(crate) kept: Kept,
    /// Share of the Client's owner, in which what waits counts.
    share: Arc<Share>,
    /// Whether the session's backlog is sent in a later turn.
    pub(crate) is_postponed: bool,
}

/// Steps in which bytes that wait are counted for all connections.
const COUNTED_STEP_BYTES: u32 = 64 << 10;

/// Stage of a connection's beginning. No thread may send a message before CONNACK \[MQTT-3.2.0-1\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// CONNACK, in front of everything else in the buffer, waits for the store.
    Held,
    /// CONNACK is all that is in the buffer; it leaves with what comes first.
    Opening,
    /// CONNACK is on its way or out.
    Open,
}

impl Link {
    /// Link of a Client whose owner has this share. Its first packet is `connack`. `is_held`: it
    /// waits for [`Link::release`].
    pub fn new(
        (connection, share): (Arc<Connection>, Arc<Share>),
        recipient: Recipient,
        connack: &[u8],
        is_held: bool,
    ) -> Self {
        let mut output = Output::default();
        output.append(connack);
        let stage = if is_held { Stage::Held } else { Stage::Opening };
        let Recipient { version, packet_bytes_max, wants_reasons } = recipient;
        let is_wrapped = connection.transport.is_wrapped();
        let collects = is_wrapped && connection.transport.begin(connack.len());
        Self {
            connection,
            version,
            packet_bytes_max,
            wants_reasons,
            is_wrapped,
            output,
            stage,
            collects,
            aliases: None,
            held: Held::default(),
            counted: 0,
            kept: Kept::default(),
            share,
            is_postponed: false,
        }
    }

    /// Sends topics as aliases, up to this Topic Alias Maximum \[MQTT-3.1.2-26\]\[MQTT-3.1.2-27\].
    pub(crate) fn allow_aliases(&mut self, topic_alias_maximum: u16) {
        let hashing = &self.connection.listener.core.entropy.hashing;
        self.aliases = AliasesOut::new(topic_alias_maximum, hashing);
    }

    /// PUBLISH as it enters the byte stream, in two parts: with an alias where its topic has one.
    pub fn aliased(&mut self, arena: &mut Arena, packet: Span) -> [Span; 2] {
        match &mut self.aliases {
            Some(aliases) => {
                let listener = &self.connection.listener;
                if aliases.set_may_grow(self.kept.may_set_aliases(&listener.core)) {
                    listener.reached.count(Limit::AllAliasBytes);
                }
                let parts = aliased(aliases, arena, packet, self.packet_bytes_max);
                self.kept.aliases(aliases.bytes(), &listener.core);
                parts
            }
            None => [packet, Span::EMPTY],
        }
    }

    /// Parameters of the connection for other threads.
    pub fn wire(&self) -> Wire {
        Wire {
            version: Some(self.version),
            connection: self.connection.number,
            packet_bytes_max: self.packet_bytes_max,
            takes_aliases: self.aliases.is_some(),
        }
    }

    /// Recipient of answers. They are no longer than what they answer while more waits for the
    /// Clients of its owner than may.
    pub fn recipient(&self) -> Recipient {
        let Self { version, packet_bytes_max, wants_reasons, .. } = *self;
        let wants_reasons = wants_reasons && !self.is_all_full();
        Recipient { version, packet_bytes_max, wants_reasons }
    }

    /// Lets the owner write output that was kept back.
    pub fn release(&mut self) {
        self.stage = Stage::Open;
        self.call_owner();
    }

    /// Takes out CONNACK where it leaves with what comes first, which opens the connection.
    pub(crate) fn take_connack(&mut self) -> Option<Vec<u8>> {
        let is_opening = self.stage == Stage::Opening;
        is_opening.then(|| {
            self.stage = Stage::Open;
            self.output.take()
        })
    }

    /// Whether bytes must be appended to the buffer instead of written.
    pub(crate) fn must_buffer(&self) -> bool {
        match self.stage {
            Stage::Held => true,
            Stage::Opening => false,
            Stage::Open if self.collects => self.output.len() >= WRAPPED_CHUNK_BYTES,
            Stage::Open => !self.output.is_empty(),
        }
    }

    /// Bytes of messages that may wait for the socket.
    pub(crate) fn output_bytes_max(&self) -> usize {
        self.connection.listener.limits.output_bytes as usize
    }

    /// Bytes that wait for the socket.
    pub fn waiting_bytes(&self) -> usize {
        self.output.len()
    }

    /// The bound on what waits that is exceeded, so that nothing more is read from the Client: its
    /// own, or its share of what there is for all.
    pub(crate) fn congested_by(&self) -> Option<Limit> {
        let waiting = self.output.len();
        if waiting > self.output_bytes_max() + CONTROL_BYTES_MAX {
            return Some(Limit::OutputBytes);
        }
        let core = &self.connection.listener.core;
        let owner = self.share.output();
        let share = core.output_bytes.share(owner, core.settings.limits.all_output_bytes);
        (waiting as u64 > share.max(CONTROL_BYTES_MIN)).then_some(Limit::AllOutputBytes)
    }

    /// Tells a 5.0 Client why its connection ends, if that can be said at once.
    pub fn tell(&mut self, reason: &CloseReason) {
        if self.is_wrapped && self.stage == Stage::Open {
            // Output that other threads have left for the owner, which does not get to it any more.
            while !self.output.is_empty() && self.connection.transport.make_idle() {
                self.push_wrapped();
            }
        }
        if self.version.has_properties()
            && self.stage == Stage::Open
            && self.output.is_empty()
            && let Some(packet) = reason.disconnect(self.recipient())
        {
            self.connection.transport.write_directly(&packet);
        }
    }

    /// Has the transport wrap and send the next chunk of the buffer. Call when it is idle.
    fn push_wrapped(&mut self) {
        let waiting = self.output.waiting();
        let len = waiting.len().min(WRAPPED_CHUNK_BYTES);
        self.connection.transport.write(&[IoSlice::new(&waiting[..len])]);
        self.output.advance(len);
    }

    /// Calls the owner to write the buffer, and then the session's backlog.
    pub fn call_owner(&self) {
        self.connection.output_waits.store(true, Ordering::Release);
        self.connection.call_owner();
    }

    /// Writes ranges to the socket; what it does not take goes to the buffer.
    pub(crate) fn write(&mut self, ranges: &[Span], arena: &Arena, home: Option<u16>) {
        if self.is_wrapped {
            return self.write_wrapped(ranges, arena, home);
        }
        let mut rest = ranges;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(RANGES_MAX));
            let len: usize = now.iter().map(|span| span.len()).sum();
            let written = send(&self.connection.transport, now, arena);
            if written < len {
                self.keep(now, written, arena);
                self.keep(later, 0, arena);
                self.call_owner();
                return;
            }
            rest = later;
        }
    }

    /// Has the transport wrap ranges and send them. Only the owner does: for others this would mean
    /// that the thread which publishes encrypts for all receivers.
    fn write_wrapped(&mut self, ranges: &[Span], arena: &Arena, home: Option<u16>) {
        if self.collects {
            let was_empty = self.output.is_empty();
            self.keep(ranges, 0, arena);
            if was_empty || self.output.len() >= WRAPPED_CHUNK_BYTES {
                self.call_owner();
            }
            return;
        }
        if home == Some(self.connection.home) {
            let transport = &self.connection.transport;
            let mut chunks = Chunks { ranges, done: 0 };
            while transport.make_idle() {
                let Some(chunk) = chunks.next() else { return };
                let slices: SmallVec<[IoSlice<'_>; 16]> =
                    chunk.iter().map(|&span| IoSlice::new(arena.get(span))).collect();
                transport.write(&slices);
            }
            self.keep(chunks.ranges, chunks.done, arena);
        } else {
            self.keep(ranges, 0, arena);
        }
        self.call_owner();
    }

    /// Appends `ranges` without their first `skip` bytes.
    pub(crate) fn keep(&mut self, ranges: &[Span], mut skip: usize, arena: &Arena) {
        for &span in ranges {
            let done = skip.min(span.len());
            self.keep_range(span.slice(done, span.len() - done), arena);
            skip -= done;
        }
        self.count_waiting();
    }

    fn keep_range(&mut self, mut span: Span, arena: &Arena) {
        while let Some((at, shared)) = arena.elsewhere(span) {
            self.output.append(arena.get(span.slice(0, at.start)));
            self.output.share(shared);
            span = span.slice(at.end, span.len() - at.end);
        }
        self.output.append(arena.get(span));
    }

    /// Adds waiting bytes to the sum of all connections, in steps: most buffers are empty or nearly
    /// so.
    fn count_waiting(&mut self) {
        let own = u32::try_from(self.output.own_len()).unwrap_or(u32::MAX) & !(COUNTED_STEP_BYTES - 1);
        // A Client that waits for a large shared message counts as one of those who share the
        // bytes.
        let waiting = own.max(u32::from(self.output.has_shared()));
        if waiting != self.counted {
            let core = &self.connection.listener.core;
            core.output_bytes.change(self.share.output(), self.counted, waiting);
            self.counted = waiting;
        }
    }

    /// Bytes of messages that its listener lets it add to those that wait.
    pub(crate) fn own_room(&self) -> usize {
        self.output_bytes_max().saturating_sub(self.waiting_bytes() + self.held.bytes())
    }

    /// Bytes of messages that the bound on all Clients together lets it add: what is left to its
    /// owner, or what it lacks of an even share. There everything counts that waits for it, as if
    /// nobody else had any of it.
    pub(crate) fn room_of_all(&self) -> usize {
        let core = &self.connection.listener.core;
        let waiting = self.output.len() + self.held.bytes();
        let owner = self.share.output();
        let room = core.output_bytes.room(owner, waiting as u64, core.settings.limits.all_output_bytes);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Counts the bytes of messages that wait in memory.
    pub(crate) fn queue(&mut self, bytes: u64) {
        self.kept.queue(bytes, &self.share, &self.connection.listener.core);
    }

    /// Bytes of messages that may wait for all Clients of its owner.
    pub(crate) fn part_of_all(&self) -> usize {
        let core = &self.connection.listener.core;
        let part = core.output_bytes.part(self.share.output(), core.settings.limits.all_output_bytes);
        usize::try_from(part).unwrap_or(usize::MAX)
    }

    /// Whether the waiting output of its owner's Clients exceeds the owner's share.
    pub(crate) fn is_all_full(&self) -> bool {
        let core = &self.connection.listener.core;
        core.output_bytes.is_beyond(self.share.output(), core.settings.limits.all_output_bytes)
    }

    /// Writes the buffer, as its owner. Ready when it is empty.
    pub fn drain(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, CloseReason> {
        let drained = self.write_buffer(cx);
        self.count_waiting();
        drained
    }

    fn write_buffer(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, CloseReason> {
        if self.stage == Stage::Held {
            return Ok(Poll::Pending);
        }
        self.stage = Stage::Open;
        if self.is_wrapped {
            if !self.connection.transport.is_due(self.output.len(), cx) {
                return Ok(Poll::Pending);
            }
            while self.connection.transport.poll_flush(cx)?.is_ready() {
                if self.output.is_empty() {
                    self.connection.output_waits.store(false, Ordering::Release);
                    return Ok(Poll::Ready(()));
                }
                self.push_wrapped();
            }
            return Ok(Poll::Pending);
        }
        while !self.output.is_empty() {
            match self.connection.transport.poll_send(self.output.waiting(), cx) {
                Poll::Ready(sent) => self.output.advance(sent?),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        self.connection.output_waits.store(false, Ordering::Release);
        Ok(Poll::Ready(()))
    }
}

/// Parameters of a Client's connection that encoding for it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// `None` while the Client is away.
    pub version: Option<ProtocolVersion>,
    /// [`Connection::number`]; 0 while the Client is away.
    pub connection: u32,
    /// Largest packet that it takes.
    pub packet_bytes_max: u32,
    /// Whether topics may be sent to it as aliases.
    pub(crate) takes_aliases: bool,
}

impl Wire {
    /// No connection. Messages of any size may be kept for the Client.
    pub(crate) const AWAY: Self =
        Self { version: None, connection: 0, packet_bytes_max: u32::MAX, takes_aliases: false };

    /// From the top: 1 bit aliases, 3 bits protocol level, 28 bits connection, 32 bits packet size.
    pub(crate) fn pack(self) -> u64 {
        let level = self.version.map_or(0, ProtocolVersion::level);
        u64::from(self.takes_aliases) << 63
            | u64::from(level) << 60
            | u64::from(self.connection) << 32
            | u64::from(self.packet_bytes_max)
    }

    pub(crate) fn unpack(packed: u64) -> Self {
        Self {
            takes_aliases: packed >> 63 == 1,
            version: match packed >> 60 & 0b111 {
                3 => Some(ProtocolVersion::V3_1),
                4 => Some(ProtocolVersion::V3_1_1),
                5 => Some(ProtocolVersion::V5),
                _ => None,
            },
            connection: u32::try_from(packed >> 32 & u64::from(Connection::NUMBER_MAX)).expect("28 bits"),
            packet_bytes_max: u32::try_from(packed & u64::from(u32::MAX)).expect("32 bits"),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let core = &self.connection.listener.core;
        core.output_bytes.change(self.share.output(), self.counted, 0);
        self.kept.end(&self.share, core);
    }
}

/// Ranges, in chunks of bounded size.
struct Chunks<'a> {
    ranges: &'a [Span],
    /// Bytes of the first range that are done.
    done: usize,
}

impl Chunks<'_> {
    fn next(&mut self) -> Option<SmallVec<[Span; 16]>> {
        let mut chunk = SmallVec::new();
        let mut room = WRAPPED_CHUNK_BYTES;
        while let Some(first) = self.ranges.first().filter(|_| room > 0 && chunk.len() < RANGES_MAX) {
            let left = first.len() - self.done;
            let len = left.min(room);
            chunk.push(first.slice(self.done, len));
            room -= len;
            if len == left {
                self.ranges = &self.ranges[1..];
                self.done = 0;
            } else {
                self.done += len;
            }
        }
        (!chunk.is_empty()).then_some(chunk)
    }
}

/// Sends ranges at once; how many bytes were taken.
fn send(transport: &dyn Transport, ranges: &[Span], arena: &Arena) -> usize {
    if let [only] = ranges {
        return transport.send(&[IoSlice::new(arena.get(*only))]);
    }
    let slices: SmallVec<[IoSlice<'_>; 16]> =
        ranges.iter().map(|&span| IoSlice::new(arena.get(span))).collect();
    transport.send(&slices)
}
