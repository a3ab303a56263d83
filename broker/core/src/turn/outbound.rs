//! Outbound side of a turn: writing to each of its receivers.
//!
//! Whatever thread routed the messages writes the receiver's socket itself, under the lock of the Client's state. Only when the socket is full are
//! bytes copied, into the Client's own bounded buffer; from then on everything goes through that buffer until its owner has emptied it.
//!
//! Invariants: while the buffer holds bytes nothing is written past it; QoS 1 and 2 messages that find no place are kept by the session, QoS 0
//! messages are dropped and counted; packet identifiers are set in the arena just before the bytes leave, so receivers can share them.

mod passage;

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use lotmq_codec::{PacketId, ProtocolVersion, QoS};
use lotmq_session::{Offer, Time};
use lotmq_store::{Batch, MessageId, Op};
use smallvec::SmallVec;

use crate::client::alias_out::AliasesOut;
use crate::client::backlog::{needs_copy, send_backlog, store_copy};
use crate::client::paging::{self, stored_for};
use crate::client::{Client, ClientState, Wire, stored_packet_id};
use crate::connection::{Connection, Transport};
use crate::counters::TurnCounts;
use crate::fault::{Fault, is_planted};
use crate::limits::{CONTROL_BYTES_MAX, CONTROL_BYTES_MIN, Limit, WRAPPED_CHUNK_BYTES};
use crate::reason::close::CloseReason;
use crate::reason::recipient::Recipient;
use crate::routing::fan_out::COPIED_PAYLOAD_BYTES;
use crate::shared::Core;
use crate::turn::aliased::aliased;
use crate::turn::arena::{Arena, Span};
use crate::turn::held::Held;
use crate::turn::kept::{self, Kept};
use crate::turn::output::Output;
use crate::turn::piece::{Item, Items, Piece, Tracked};
use crate::turn::postponed::Postponed;
use crate::turn::release::Release;
use crate::turn::time_share::TimeShares;
use crate::turn::{Messages, Receiver};
use passage::Passage;

/// Most ranges in one system call; the kernel takes 1024.
const RANGES_MAX: usize = 256;

/// Link of a session to its live connection.
pub struct Link {
    /// The connection itself.
    pub connection: Arc<Connection>,
    /// Protocol version.
    pub version: ProtocolVersion,
    /// Largest packet that the Client takes; longer ones are dropped as if delivered \[MQTT-3.1.2-25\].
    pub packet_bytes_max: u32,
    wants_reasons: bool,
    /// Whether its transport wraps what leaves, so that only the owner sends.
    is_wrapped: bool,
    /// Bytes that the socket did not take.
    output: Output,
    stage: Stage,
    /// Whether the owner collects output for a while, as the Client has asked for.
    collects: bool,
    /// Topic Aliases towards the Client, where it allows any. They end with the connection: nothing that waits for another one has an alias.
    aliases: Option<Box<AliasesOut>>,
    /// Messages whose identifier is on its way to the disk, and those behind them.
    pub held: Held,
    /// Bytes of the buffer that are counted among those of all connections.
    counted: u32,
    kept: Kept,
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
    /// Link whose first packet is `connack`. `is_held`: it waits for [`Link::release`].
    pub fn new(connection: Arc<Connection>, recipient: Recipient, connack: &[u8], is_held: bool) -> Self {
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
            is_postponed: false,
        }
    }

    /// Sends topics as aliases, up to this Topic Alias Maximum \[MQTT-3.1.2-26\]\[MQTT-3.1.2-27\].
    pub(crate) fn allow_aliases(&mut self, topic_alias_maximum: u16) {
        let hashing = &self.connection.listener.core.chance.hashing;
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

    /// Recipient of answers. They are no longer than what they answer while more waits for all Clients than their bound.
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

    /// Whether bytes must be appended to the buffer instead of written.
    pub(super) fn must_buffer(&self) -> bool {
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

    /// The bound on what waits that is exceeded, so that nothing more is read from the Client: its own, or its share of what there is for all.
    pub(crate) fn congested_by(&self) -> Option<Limit> {
        let waiting = self.output.len();
        if waiting > self.output_bytes_max() + CONTROL_BYTES_MAX {
            return Some(Limit::OutputBytes);
        }
        let core = &self.connection.listener.core;
        let share = core.output_bytes.share(core.config.limits.all_output_bytes);
        (waiting as u64 > share.max(CONTROL_BYTES_MIN)).then_some(Limit::AllOutputBytes)
    }

    /// Tells a 5.0 Client why its connection ends, if that can be said at once.
    pub fn tell(&mut self, reason: &CloseReason) {
        if self.is_wrapped && self.stage == Stage::Open {
            // What other threads have left for the owner, who will not come to it any more.
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
    fn write(&mut self, ranges: &[Span], arena: &Arena, home: Option<u16>) {
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

    /// Has the transport wrap ranges and send them. Only the owner does: for others this would mean that the thread which publishes
    /// encrypts for all receivers.
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
    fn keep(&mut self, ranges: &[Span], mut skip: usize, arena: &Arena) {
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

    /// Adds waiting bytes to the sum of all connections, in steps: most buffers are empty or nearly so.
    fn count_waiting(&mut self) {
        let own = u32::try_from(self.output.own_len()).unwrap_or(u32::MAX) & !(COUNTED_STEP_BYTES - 1);
        // Who waits for a large message that others have, too, is one of those who share what there is.
        let waiting = own.max(u32::from(self.output.has_shared()));
        if waiting != self.counted {
            let core = &self.connection.listener.core;
            core.output_bytes.change(self.counted, waiting, core.config.limits.all_output_bytes);
            self.counted = waiting;
        }
    }

    /// Bytes of messages that its listener lets it add to those that wait.
    pub(super) fn own_room(&self) -> usize {
        self.output_bytes_max().saturating_sub(self.waiting_bytes() + self.held.bytes())
    }

    /// Bytes of messages that the bound on all Clients together lets it add: what is left, or what it lacks of an even share. There everything counts that waits
    /// for it, as if nobody else had any of it.
    pub(crate) fn room_of_all(&self) -> usize {
        let core = &self.connection.listener.core;
        let waiting = self.output.len() + self.held.bytes();
        let room = core.output_bytes.room(waiting as u64, core.config.limits.all_output_bytes);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Whether more waits for all Clients than their bound.
    pub(super) fn is_all_full(&self) -> bool {
        let core = &self.connection.listener.core;
        core.output_bytes.is_above(core.config.limits.all_output_bytes)
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

impl Drop for Link {
    fn drop(&mut self) {
        let core = &self.connection.listener.core;
        core.output_bytes.change(self.counted, 0, core.config.limits.all_output_bytes);
        self.kept.end(core);
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

/// Delivery of a turn's items; keeps its buffer of ranges from one receiver to the next.
#[derive(Default)]
pub struct Delivery {
    ranges: Vec<Span>,
    pub(crate) postponed: Postponed,
}

/// Context of a delivery: what it needs of the turn besides the receiver.
pub struct DeliveryContext<'a> {
    pub(crate) arena: &'a mut Arena,
    pub(crate) messages: &'a mut Messages,
    pub(crate) batch: &'a mut Batch,
    /// Releases for when the batch is committed.
    pub on_commit: &'a mut Vec<Release>,
    pub(crate) core: &'a Arc<Core>,
    pub(crate) counts: &'a mut TurnCounts,
    pub(crate) time_shares: &'a mut TimeShares,
    /// Time of the turn, by the broker's clock.
    pub now: Time,
    /// Wall-clock time of the turn, in milliseconds since 1970.
    pub wall_ms: u64,
    /// Number of the shard whose turn it is; `None` on other threads.
    pub home: Option<u16>,
}

impl Delivery {
    /// Writes one receiver's items, or leaves them to its session.
    pub(crate) fn deliver(&mut self, entry: &Receiver, turn: &mut DeliveryContext<'_>) {
        let Some(client) = &entry.client else { return };
        let mut state = client.state.lock();
        let state = &mut *state;
        let fits = state.link.as_ref().is_some_and(|link| link.connection.number == entry.connection);
        if !fits {
            // Away, or on another connection since the items were encoded: only what the session keeps is delivered.
            self.leave(client, state, &entry.items, turn);
            if let Some(link) = &state.link {
                // It came while this turn was under way: its owner sends what its session has got.
                link.call_owner();
            }
            return;
        }
        self.ranges.clear();
        if let Some(link) = state.link.as_mut().filter(|link| link.stage == Stage::Opening) {
            let (connack, ()) = turn.arena.encode(|out| out.extend_from_slice(&link.output.take()));
            link.stage = Stage::Open;
            self.push(connack);
        }
        let before = turn.counts.publish_bytes_sent;
        let goes_on = self.collect(client, state, &entry.items, turn);
        let Some(link) = &mut state.link else { return };
        if is_planted(Fault::DeliveryOrder) {
            self.ranges.reverse();
        }
        let bytes = self.ranges.iter().map(|span| span.len() as u64).sum::<u64>();
        turn.counts.bytes_sent += bytes;
        // What is held back until its identifier is stored is copied now and written later.
        let written = bytes.max(turn.counts.publish_bytes_sent - before);
        self.postponed.note_written(usize::try_from(written).unwrap_or(usize::MAX));
        if link.must_buffer() {
            link.keep(&self.ranges, 0, turn.arena);
        } else {
            link.write(&self.ranges, turn.arena, turn.home);
            if goes_on {
                link.call_owner();
            }
        }
        if !client.is_durable() {
            link.kept.queue(state.session.counts().queued_bytes, turn.core);
        }
        client.set_slow(link.must_buffer() || !state.session.can_send());
    }

    /// Decides item by item what leaves now, and gathers its ranges. True when more is waiting that could leave as well.
    fn collect(
        &mut self,
        client: &Arc<Client>,
        state: &mut ClientState,
        items: &Items,
        turn: &mut DeliveryContext<'_>,
    ) -> bool {
        let Some(link) = &mut state.link else { return false };
        let is_late = turn.home.is_some() && self.postponed.is_enough();
        while !is_late && let Some(packet) = link.held.pop() {
            let (head, payload) = packet;
            let (head, ()) = turn.arena.encode(|out| out.extend_from_slice(&head));
            self.push(head);
            self.push(turn.arena.borrow(payload));
        }
        let mut passage = Passage::new(link, is_late);
        if is_late && !link.held.is_empty() {
            self.postponed.add(client, state);
        }
        let mut items = items.iter().peekable();
        while let Some(item) = items.next() {
            match item {
                &Item::Control(span) => self.push(span),
                Item::Backlog if is_late => self.postponed.add(client, state),
                Item::Backlog => self.backlog(client, state, &mut passage, turn),
                &Item::Plain { span, messages, payload_bytes } => {
                    if messages > 0
                        && let Some(link) = &state.link
                    {
                        let payload = items.peek().map_or(Span::EMPTY, |next| next.rest());
                        passage.plain_passes = passage.takes_plain(link, [span, payload], turn.arena);
                    }
                    if passage.plain_passes {
                        turn.counts.publish_sent += u64::from(messages);
                        turn.counts.publish_bytes_sent += payload_bytes;
                        passage.note(span.len());
                        if messages > 0 {
                            self.push_message(state, turn.arena, span);
                        } else {
                            self.push(span);
                        }
                    } else {
                        turn.core.counters.publish_dropped.add(u64::from(messages));
                        state.limits_reached(turn.core).note(passage.limit, &client.client_id, turn.now);
                    }
                }
                Item::Tracked(tracked) => self.offer(client, state, tracked, &mut passage, turn),
            }
        }
        paging::when_stored(client, passage.until_stored, turn);
        passage.goes_on
    }

    /// Sends the backlog of the session.
    fn backlog(
        &mut self,
        client: &Arc<Client>,
        state: &mut ClientState,
        passage: &mut Passage,
        turn: &mut DeliveryContext<'_>,
    ) {
        if let Some(link) = &mut state.link {
            link.is_postponed = false;
            link.kept.nothing_is_postponed();
        }
        let room = if passage.must_buffer { 0 } else { passage.room };
        passage.goes_on = send_backlog(client, state, room, turn, &mut |span| self.push(span));
    }

    /// Offers a QoS 1 or 2 message to the session, which sends or keeps it.
    fn offer(
        &mut self,
        client: &Arc<Client>,
        state: &mut ClientState,
        tracked: &Tracked,
        passage: &mut Passage,
        turn: &mut DeliveryContext<'_>,
    ) {
        let Tracked { piece, qos, message, .. } = tracked;
        let has_room = passage.takes(piece.len());
        let bytes = turn.messages.size(*message);
        let known = stored_for(client, state, tracked, turn.messages);
        let copy = (known.is_none() && needs_copy(client, *qos)).then(|| {
            let shared = Arc::clone(turn.messages.shared(*message, turn.arena));
            store_copy(client, &shared, &tracked.terms(), turn)
        });
        let number = known.or_else(|| copy.as_ref()?.stored_id());
        let stored = number.map(|number| number.0);
        if state.link.as_ref().is_some_and(|link| link.is_postponed)
            && !takes(state, bytes, (has_room, stored.is_some(), turn.core))
        {
            // It has no place only because others have not left yet.
            self.backlog(client, state, passage, turn);
        }
        if stored.is_none() && !may_wait(state, bytes, (has_room, turn.core)) {
            state.limits_reached(turn.core).note(Limit::AllQueueBytes, &client.client_id, turn.now);
            return client.queue_full(state, number, turn);
        }
        let is_postponed = passage.is_late
            && piece.payload_bytes as usize > COPIED_PAYLOAD_BYTES
            && may_be_postponed(state, bytes, (passage.must_buffer, stored.is_some(), turn.core));
        let queued = || {
            let message = copy.as_ref().unwrap_or_else(|| turn.messages.shared(*message, turn.arena));
            tracked.queued(message, number.is_some())
        };
        let offer = if has_room && !is_postponed {
            state.session.offer_stored(*qos, bytes, stored, queued)
        } else {
            state.session.enqueue_stored(*qos, bytes, stored, queued)
        };
        match offer {
            Offer::Send(packet_id) => self.leaves(client, state, (tracked, number), packet_id, passage, turn),
            Offer::Queued | Offer::QueuedUntilStored => {
                if is_postponed && !passage.must_buffer {
                    if let Some(link) = &mut state.link {
                        link.kept.postpone(bytes as u64);
                    }
                    self.postponed.add(client, state);
                } else if !is_postponed && passage.is_window_ours && has_room {
                    state.limits_reached(turn.core).count(Limit::SendWindow);
                }
                if offer == Offer::QueuedUntilStored {
                    passage.until_stored.extend(stored);
                }
            }
            Offer::Offline | Offer::SendUnacknowledged => {}
            Offer::Refused(_) => client.queue_full(state, number, turn),
        }
    }

    /// Sends a message that the session has given an identifier, or holds it back until that is stored.
    fn leaves(
        &mut self,
        client: &Arc<Client>,
        state: &mut ClientState,
        (tracked, number): (&Tracked, Option<MessageId>),
        packet_id: PacketId,
        passage: &mut Passage,
        turn: &mut DeliveryContext<'_>,
    ) {
        let Tracked { piece, qos, message, .. } = tracked;
        turn.counts.publish_sent += 1;
        turn.counts.publish_bytes_sent += u64::from(piece.payload_bytes);
        passage.note(piece.len());
        // A copy for a shared subscription beside one for the Client's own: each needs its identifier.
        let last = passage.last_message.replace(*message);
        let is_again = last.is_some_and(|last| turn.messages.are_copies(last, *message))
            && !is_planted(Fault::CopiesShareIdentifier);
        let piece = if is_again { piece.copied(turn.arena) } else { *piece };
        set_packet_id(turn.arena, &piece, packet_id);
        let sent = Sent { message: number, qos: *qos, packet_id };
        // What waits leaves later, past others: it has its topic in full.
        let spans = [piece.head, piece.payload];
        if !sent.waits(client, state.link.as_mut(), spans, turn) {
            self.push_message(state, turn.arena, piece.head);
            self.push(piece.payload);
        }
    }

    /// Offers QoS 1 and 2 messages to the session of a Client that is away.
    fn leave(
        &mut self,
        client: &Arc<Client>,
        state: &mut ClientState,
        items: &Items,
        turn: &mut DeliveryContext<'_>,
    ) {
        let mut until_stored = Vec::new();
        if state.is_over {
            for item in items.iter() {
                if let Item::Tracked(tracked) = item {
                    turn.messages.orphan(tracked.message, client, turn.arena);
                }
            }
            return;
        }
        for item in items.iter() {
            if let Item::Tracked(tracked) = item {
                let Tracked { qos, message, .. } = tracked;
                let bytes = turn.messages.size(*message);
                let number = stored_for(client, state, tracked, turn.messages);
                let stored = number.map(|number| number.0);
                let queued = || {
                    let message = turn.messages.shared(*message, turn.arena);
                    tracked.queued(message, number.is_some())
                };
                match state.session.enqueue_stored(*qos, bytes, stored, queued) {
                    Offer::Refused(_) => client.queue_full(state, number, turn),
                    Offer::QueuedUntilStored => until_stored.extend(stored),
                    Offer::Send(_) | Offer::SendUnacknowledged | Offer::Queued | Offer::Offline => {}
                }
            }
        }
        paging::when_stored(client, until_stored, turn);
    }

    /// Adds a PUBLISH, up to its payload at least, with an alias where the Client takes them.
    fn push_message(&mut self, state: &mut ClientState, arena: &mut Arena, packet: Span) {
        match &mut state.link {
            Some(link) => link.aliased(arena, packet).into_iter().for_each(|span| self.push(span)),
            None => self.push(packet),
        }
    }

    fn push(&mut self, span: Span) {
        if span.is_empty() {
            return;
        }
        match self.ranges.last_mut() {
            Some(last) if last.touches(span) => *last = last.joined(span),
            _ => self.ranges.push(span),
        }
    }
}

/// Whether a message that is stored nowhere may wait in the session, if it cannot leave now.
fn may_wait(state: &ClientState, bytes: usize, (has_room, core): (bool, &Core)) -> bool {
    let leaves = has_room && state.session.can_send_bytes(bytes);
    leaves || may_queue(state, bytes, core)
}

/// Whether a message may wait in memory, beside what counts of the others there.
fn may_queue(state: &ClientState, bytes: usize, core: &Core) -> bool {
    let postponed = state.link.as_ref().map_or(0, |link| link.kept.postponed_bytes());
    let waiting = state.session.counts().queued_bytes.saturating_sub(postponed);
    kept::may_queue(core, waiting + bytes as u64)
}

/// Whether a message can be sent now or finds a place.
fn takes(state: &ClientState, bytes: usize, (has_room, is_stored, core): (bool, bool, &Core)) -> bool {
    let leaves = has_room && state.session.can_send_bytes(bytes);
    leaves || (state.session.can_queue(bytes) && (is_stored || may_queue(state, bytes, core)))
}

/// Whether a message that can be sent now may wait for a later turn all the same. For a socket that is full it waits longer than that, so it counts.
fn may_be_postponed(
    state: &ClientState,
    bytes: usize,
    (must_buffer, is_stored, core): (bool, bool, &Core),
) -> bool {
    state.session.can_send_bytes(bytes)
        && state.session.can_queue(bytes)
        && (!must_buffer || is_stored || may_queue(state, bytes, core))
}

/// Message with a Packet Identifier that is to leave.
pub struct Sent {
    /// Its number in the queue of the session in the store; `None` when it is not there.
    pub message: Option<MessageId>,
    pub(crate) qos: QoS,
    pub(crate) packet_id: PacketId,
}

impl Sent {
    /// Stores the identifier, so that the message is sent again with the same \[MQTT-4.4.0-1\].
    ///
    /// True when the packet leaves only when that is durable: a QoS 2 message that was sent with an identifier which a crash makes us
    /// forget would be delivered twice. What comes behind it stays behind it.
    pub fn waits(
        self,
        client: &Arc<Client>,
        link: Option<&mut Link>,
        spans: [Span; 2],
        turn: &mut DeliveryContext<'_>,
    ) -> bool {
        let Some(link) = link else { return false };
        if let Some(message) = self.message {
            let packet_id = stored_packet_id(self.packet_id);
            turn.batch.push(Op::Inflight { session: client.stored_id(), message, packet_id });
        }
        let is_stored = self.message.is_some() && !is_planted(Fault::IdentifierNotStored);
        let is_held = is_stored && self.qos == QoS::ExactlyOnce;
        if !is_held && link.held.is_empty() {
            return false;
        }
        let packet = turn.arena.kept(spans);
        if is_held {
            let number = link.held.hold(packet);
            let (client, connection) = (Arc::clone(client), Arc::clone(&link.connection));
            turn.on_commit.push(Release::Message { client, connection, number });
        } else {
            link.held.follow(packet);
        }
        true
    }
}

fn set_packet_id(arena: &mut Arena, piece: &Piece, packet_id: PacketId) {
    if let Some(at) = piece.packet_id_at {
        let target = arena.get_mut(piece.head.slice(at.get() as usize, 2));
        target.copy_from_slice(&packet_id.get().to_be_bytes());
    }
}
