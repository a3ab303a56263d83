//! Outbound side of a turn: writing to each of its receivers.
//!
//! The thread that routed the messages writes to the receiver's socket itself, under the lock of
//! the Client's state. Only if the socket is full are bytes copied, into the Client's own bounded
//! buffer. From then on everything goes through that buffer until its owner has emptied it.
//!
//! Invariants: while the buffer holds bytes nothing is written past it; QoS 1 and 2 messages that
//! find no place are kept by the session, QoS 0 messages are dropped and counted; packet
//! identifiers are set in the arena just before the bytes leave, so receivers can share them.

mod passage;

use std::sync::Arc;

use lotmq_changes::MessageId;
use lotmq_codec::PacketId;
use lotmq_session::Offer;

use crate::arena::{Arena, Span};
use crate::fault::{Fault, is_planted};
use crate::limits::Limit;
use crate::shared::Core;
use crate::tenant::client::{Client, ClientState};
use crate::tenant::kept;
use crate::turn::Receiver;
use crate::turn::backlog::{needs_copy, send_backlog, store_copy};
use crate::turn::delivery::{DeliveryContext, Sent};
use crate::turn::fan_out::is_large;
use crate::turn::paging::{self, stored_for};
use crate::turn::piece::{Item, Items, Piece, Tracked};
use crate::turn::postponed::Postponed;
use passage::Passage;

/// Delivery of a turn's items; keeps its buffer of ranges from one receiver to the next.
#[derive(Default)]
pub struct Delivery {
    ranges: Vec<Span>,
    pub(crate) postponed: Postponed,
}

impl Delivery {
    /// Writes one receiver's items, or leaves them to its session.
    pub(crate) fn deliver(&mut self, entry: &Receiver, turn: &mut DeliveryContext<'_>) {
        let Some(client) = &entry.client else { return };
        let mut state = client.state.lock();
        let state = &mut *state;
        let fits = state.link.as_ref().is_some_and(|link| link.connection.number == entry.connection);
        if !fits {
            // Away, or on another connection since the items were encoded: only what the session
            // keeps is delivered.
            self.leave(client, state, &entry.items, turn);
            if let Some(link) = &state.link {
                // It came while this turn was under way: its owner sends what its session has got.
                link.call_owner();
            }
            return;
        }
        self.ranges.clear();
        if let Some(connack) = state.link.as_mut().and_then(|link| link.take_connack()) {
            let (connack, ()) = turn.arena.encode(|out| out.extend_from_slice(&connack));
            self.push(connack);
        }
        let before = turn.counts.publish_bytes_sent;
        let messages_before = turn.counts.messages_sent();
        let goes_on = self.collect(client, state, &entry.items, turn);
        let Some(link) = &mut state.link else { return };
        if is_planted(Fault::DeliveryOrder) {
            self.ranges.reverse();
        }
        let bytes = self.ranges.iter().map(|span| span.len() as u64).sum::<u64>();
        turn.counts.bytes_sent += bytes;
        let figures = turn.figures.listener(link.connection.listener.number);
        let messages = turn.counts.messages_sent() - messages_before;
        figures.bytes_sent.add(bytes);
        figures.messages_sent.add(messages);
        link.connection.sent.bytes.add(bytes);
        link.connection.sent.messages.add(messages);
        // Packets that wait for their stored identifier are copied now and written later.
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
            link.queue(state.session.counts().queued_bytes);
        }
        client.set_slow(link.must_buffer() || !state.session.can_send());
    }

    /// Decides item by item what leaves now, and gathers its ranges. True when more is waiting that
    /// could leave as well.
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
                        turn.counts.sent[0] += u64::from(messages);
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
            && is_large(piece.payload_bytes as usize, bytes)
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

    /// Sends a message that the session has given an identifier, or holds it back until that is
    /// stored.
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
        turn.counts.sent[*qos as usize] += 1;
        turn.counts.publish_bytes_sent += u64::from(piece.payload_bytes);
        passage.note(piece.len());
        // A copy for a shared subscription beside one for the Client's own: each needs its
        // identifier.
        let last = passage.last_message.replace(*message);
        let is_again = last.is_some_and(|last| turn.messages.are_copies(last, *message))
            && !is_planted(Fault::CopiesShareIdentifier);
        let piece = if is_again { piece.copied(turn.arena) } else { *piece };
        set_packet_id(turn.arena, &piece, packet_id);
        let sent = Sent { message: number, qos: *qos, packet_id };
        // A packet that waits leaves later, past others: it has its topic in full.
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
    kept::may_queue(core, state.holding.share(), waiting + bytes as u64)
}

/// Whether a message can be sent now or finds a place.
fn takes(state: &ClientState, bytes: usize, (has_room, is_stored, core): (bool, bool, &Core)) -> bool {
    let leaves = has_room && state.session.can_send_bytes(bytes);
    leaves || (state.session.can_queue(bytes) && (is_stored || may_queue(state, bytes, core)))
}

/// Whether a message that can be sent now may wait for a later turn all the same. For a socket that
/// is full it waits longer than that, so it counts.
fn may_be_postponed(
    state: &ClientState,
    bytes: usize,
    (must_buffer, is_stored, core): (bool, bool, &Core),
) -> bool {
    state.session.can_send_bytes(bytes)
        && state.session.can_queue(bytes)
        && (!must_buffer || is_stored || may_queue(state, bytes, core))
}

fn set_packet_id(arena: &mut Arena, piece: &Piece, packet_id: PacketId) {
    if let Some(at) = piece.packet_id_at {
        let target = arena.get_mut(piece.head.slice(at.get() as usize, 2));
        target.copy_from_slice(&packet_id.get().to_be_bytes());
    }
}
