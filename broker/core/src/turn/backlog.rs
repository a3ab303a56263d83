//! Backlog of a Client, and its sending: unfinished messages after a reconnect, its queue, retained
//! messages of new subscriptions.
//!
//! All of it leaves at the end of a turn, in the order of the turn's items, under the lock of the
//! Client's state. So it neither overtakes messages that are published meanwhile nor is overtaken.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lotmq_auth::Decide as _;
use lotmq_changes::rare::{Rare, is_taken};
use lotmq_changes::{Delivery, MessageRef, Op};
use lotmq_codec::{
    Ack, AckType, ForwardProperties, PacketId, Properties, PropertyPlace, ProtocolVersion, PublishHead, QoS,
    ReasonCode, encode_ack, encode_publish, encode_publish_head,
};
use lotmq_session::{Offer, Outbound, PubrecOutcome};

use crate::arena::{Arena, Span};
use crate::durable::changes::Stamp;
use crate::fault::{Fault, is_planted};
use crate::limits::{GIVEN_UP_AT_ONCE_MAX, QUEUE_QUESTIONS_PER_TURN, REPLAY_BYTES_MAX, SHARED_BYTES_MIN};
use crate::message::Message;
use crate::tenant::client::{Client, ClientState, Queued, stored_packet_id};
use crate::tenant::link::Link;
use crate::tenant::replay::Next;
use crate::tenant::subscription::{Identifiers, Options};
use crate::turn::delivery::{DeliveryContext, Sent};
use crate::turn::paging;
use crate::turn::piece::Terms;
use crate::turn::time_share::Share;

/// Bytes of retained messages that are sent between two clock reads. A read costs a twentieth of a
/// message.
const REPLAY_LOOK_BYTES: usize = 8 << 10;

/// Cost of sending a retained message beyond its own bytes, in bytes that could be copied
/// meanwhile.
const REPLAY_MESSAGE_BYTES: usize = 512;

/// A PUBLISH in the arena: its head, with a short payload behind it, and a span for a large
/// payload.
type Packet = [Span; 2];

fn len(packet: Packet) -> usize {
    packet.iter().map(|span| span.len()).sum()
}

/// Parameters with which one waiting message is sent.
struct Sending<'a> {
    message: &'a Message,
    qos: QoS,
    retain: bool,
    dup: bool,
    packet_id: Option<PacketId>,
    identifiers: &'a Identifiers,
}

/// Encodes unfinished messages, then the queue, then retained messages, while there is room. True
/// if more could be sent at once.
pub(super) fn send_backlog(
    client: &Arc<Client>,
    state: &mut ClientState,
    mut room: usize,
    turn: &mut DeliveryContext<'_>,
    push: &mut impl FnMut(Span),
) -> bool {
    let Some(link) = &state.link else { return false };
    room = if is_taken(Rare::QueueGoesOn) { room.min(1) } else { room };
    let (version, packet_max) = (link.version, link.packet_bytes_max as usize);
    let permissions = &client.tenant.permissions;
    let generation = permissions.generation();
    let (mut given_up, mut asked) = (0, 0);
    let is_enough =
        |given_up: usize, asked: usize| given_up >= GIVEN_UP_AT_ONCE_MAX || asked >= QUEUE_QUESTIONS_PER_TURN;
    while room > 0 && !is_enough(given_up, asked) {
        let Some(outbound) = state.session.next_outbound() else { break };
        let span = match outbound {
            Outbound::Pubrel { packet_id } => pubrel(turn.arena, version, packet_id),
            Outbound::Publish { packet_id, qos, message: queued, dup } => {
                // Once a QoS 2 message was sent it is finished, expired or not [MQTT-4.3.3-7].
                if !dup && queued.message.is_expired(turn.lifetime_ms) && !is_planted(Fault::ExpiredSent) {
                    turn.core.counters.messages_expired.add(1);
                    give_up(client, state, packet_id, &queued, turn);
                    given_up += 1;
                    continue;
                }
                // The current permission decides, not that at publication or at an earlier attempt.
                let topic = queued.message.topic();
                if state.queue_allowed_at != generation && permissions.delivers_to_all(topic) != Some(true) {
                    asked += 1;
                    if !client.tenant.still_delivers_message(&state.identity, &queued.message) {
                        turn.core.counters.queued_denied.add(1);
                        if dup && qos == QoS::ExactlyOnce {
                            push(withheld(client, state, packet_id, version, turn));
                        } else {
                            give_up(client, state, packet_id, &queued, turn);
                        }
                        continue;
                    }
                }
                let queued = if dup { queued } else { stored(client, state, (packet_id, qos), queued, turn) };
                let (message, identifiers) = (&queued.message, &queued.identifiers);
                let (retain, dup_said) = (queued.retain, dup && !is_planted(Fault::DupForgotten));
                let sending =
                    Sending { message, qos, retain, dup: dup_said, packet_id: Some(packet_id), identifiers };
                let Some(packet) = encode(turn, version, &sending, packet_max) else {
                    end_too_large(client, state, (packet_id, qos, dup), queued, turn);
                    given_up += 1;
                    continue;
                };
                turn.counts.sent_later(qos, message.payload_len());
                let sent = Sent { message: queued.stored_id(), qos, packet_id };
                room = room.saturating_sub(len(packet));
                if dup || !sent.waits(client, state.link.as_mut(), packet, turn) {
                    send(state, turn.arena, packet, push);
                }
                continue;
            }
        };
        room = room.saturating_sub(span.len());
        push(span);
    }
    let goes_on = (room == 0 || is_enough(given_up, asked)) && state.session.has_outbound();
    if state.session.has_sent_all() {
        state.queue_allowed_at = generation;
    }
    paging::ask(client, state, turn.core);
    replay(client, state, room.min(REPLAY_BYTES_MAX), turn, push) || goes_on
}

/// Ends the exchange of a QoS 2 message that was sent and may not be sent again, with PUBREL. The
/// Client may wait for it, and would take the next message with this identifier for a repeat.
fn withheld(
    client: &Client,
    state: &mut ClientState,
    packet_id: PacketId,
    version: ProtocolVersion,
    turn: &mut DeliveryContext<'_>,
) -> Span {
    let outcome = state.session.handle_pubrec(packet_id, ReasonCode::Success);
    if let Ok(PubrecOutcome::SendPubrel { message: Some(message) }) = outcome
        && let Some(message) = message.stored_id()
    {
        let (session, packet_id) = (client.stored_id(), stored_packet_id(packet_id));
        turn.batch.push(Op::PubrecReceived { session, message, packet_id });
    }
    pubrel(turn.arena, version, packet_id)
}

/// Returns a queued message as it is sent. Stores it now if it must be stored and was in memory
/// alone, such as a message of the `$SYS` tree.
fn stored(
    client: &Client,
    state: &mut ClientState,
    (packet_id, qos): (PacketId, QoS),
    queued: Queued,
    turn: &mut DeliveryContext<'_>,
) -> Queued {
    if queued.stored_id().is_some() || !needs_copy(client, qos) {
        return queued;
    }
    let Queued { retain, membership, ref identifiers, .. } = queued;
    let copy = store_copy(client, &queued.message, &Terms { qos, retain, membership, identifiers }, turn);
    let queued = Queued::new(&copy, (retain, true), identifiers, membership);
    state.session.replace_outbound(packet_id, queued.clone()).expect("it is in flight since a moment ago");
    queued
}

/// Pushes a PUBLISH, with an alias where the Client takes them.
fn send(state: &mut ClientState, arena: &mut Arena, [head, payload]: Packet, push: &mut impl FnMut(Span)) {
    match &mut state.link {
        Some(link) => link.aliased(arena, head).into_iter().for_each(&mut *push),
        None => push(head),
    }
    push(payload);
}

fn pubrel(arena: &mut Arena, version: ProtocolVersion, packet_id: PacketId) -> Span {
    let ack = Ack {
        ack_type: AckType::Pubrel,
        packet_id,
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    };
    let (span, result) = arena.encode(|out| encode_ack(out, version, &ack));
    result.expect("PUBREL with success is legal in every version");
    span
}

/// Ends the exchange of a message that is larger than the Client takes. Another member of its group
/// may take it.
fn end_too_large(
    client: &Arc<Client>,
    state: &mut ClientState,
    (packet_id, qos, was_sent): (PacketId, QoS, bool),
    queued: Queued,
    turn: &mut DeliveryContext<'_>,
) {
    // One of QoS 2 that was sent goes to nobody else [MQTT-4.8.2-5].
    if queued.membership.is_none() || (was_sent && qos == QoS::ExactlyOnce) {
        give_up(client, state, packet_id, &queued, turn);
    } else if state.session.drop_outbound(packet_id).is_ok() {
        turn.messages.too_large.push((Arc::clone(client), queued));
    }
}

/// Ends the exchange of a message that is not sent after all, which frees its place in the window.
fn give_up(
    client: &Client,
    state: &mut ClientState,
    packet_id: PacketId,
    queued: &Queued,
    turn: &mut DeliveryContext<'_>,
) {
    if state.session.drop_outbound(packet_id).is_ok()
        && let Some(message) = queued.stored_id()
    {
        turn.batch.push(Op::Dequeue { session: client.stored_id(), message });
    }
}

/// Sends retained messages for new subscriptions. Pauses when the window, the room or the time is
/// used up. True if it could go on at once.
fn replay(
    client: &Arc<Client>,
    state: &mut ClientState,
    room: usize,
    turn: &mut DeliveryContext<'_>,
    push: &mut impl FnMut(Span),
) -> bool {
    if state.replays.is_empty() {
        return false;
    }
    let Some(link) = &state.link else { return false };
    let connection = Arc::clone(&link.connection);
    if turn.home != Some(connection.home) {
        // Its own shard has time for it, in turn with others.
        return true;
    }
    let Some(share) = turn.time_shares.take(connection.place, &*turn.core.clock) else { return false };
    let pause = replay_for(client, state, room, turn, &share, push);
    turn.time_shares.give_back(&share, &*turn.core.clock);
    if let Some((_, next)) = state.replays.first() {
        next.wait();
    }
    match pause {
        Pause::NoTime => turn.time_shares.wait(connection.place),
        Pause::UnderWay(ends) => {
            // At the next tick anyway: that turn may last as long as the log is full.
            turn.time_shares.wait_for_tick(connection.place);
            connection.output_waits.store(true, Ordering::Release);
            if !connection.waker().is_some_and(|waker| turn.core.turns.wake_at_end(ends, waker)) {
                connection.call_owner();
            }
        }
        Pause::FullOutput => turn.time_shares.wait_for_tick(connection.place),
        Pause::NoRoom => return !state.replays.is_empty() && state.session.can_send(),
    }
    false
}

/// Reason why a replay pauses.
enum Pause {
    /// All have been sent, or the Client takes no more.
    NoRoom,
    /// The next one has no room beside what waits for all Clients together.
    FullOutput,
    NoTime,
    /// Until this turn has ended.
    UnderWay(Stamp),
}

fn replay_for(
    client: &Arc<Client>,
    state: &mut ClientState,
    mut room: usize,
    turn: &mut DeliveryContext<'_>,
    share: &Share,
    push: &mut impl FnMut(Span),
) -> Pause {
    let identity = Arc::clone(&state.identity);
    // Bytes that were sent since the clock was looked at, and what a message takes without any.
    let mut unlooked = 0;
    while room > 0 && state.session.can_send() {
        let clock = &*turn.core.clock;
        if unlooked >= REPLAY_LOOK_BYTES {
            if share.stretch.is_over(clock) {
                return Pause::NoTime;
            }
            unlooked = 0;
        }
        unlooked += REPLAY_MESSAGE_BYTES;
        let ClientState { replays, link, subscriptions, .. } = &mut *state;
        let Some((filter, replay)) = replays.first() else { break };
        let granted = subscriptions.get(filter);
        if !replay.has_begun() && granted.is_none() {
            replays.end_first();
            continue;
        }
        // It may have been made anew since, with another QoS [MQTT-3.8.4-8].
        let options = granted.unwrap_or(replay.options);
        replay.options = options;
        let has_room = |bytes: usize| link.as_ref().is_none_or(|link| fits_all_output(link, bytes));
        let time = (&share.stretch, &**turn.core);
        let message = match replay.next(filter, &client.tenant, &identity, turn.lifetime_ms, time, &has_room)
        {
            Next::Message { message, was_asked } => {
                unlooked += if was_asked { REPLAY_LOOK_BYTES } else { 0 };
                message
            }
            Next::NoRoom => return Pause::FullOutput,
            Next::NoTime => return Pause::NoTime,
            Next::UnderWay(turn) => return Pause::UnderWay(turn),
            Next::None => {
                state.replays.end_first();
                if share.stretch.is_over(clock) && !state.replays.is_empty() {
                    return Pause::NoTime;
                }
                continue;
            }
        };
        if let Some(packet) = replayed(client, state, (&message, options), turn) {
            room = room.saturating_sub(len(packet));
            unlooked += len(packet);
            send(state, turn.arena, packet, push);
        }
    }
    Pause::NoRoom
}

/// Whether the output of all Clients has room for a retained message, however much the socket
/// takes. A message larger than its owner's part fits if nothing else waits for that owner.
fn fits_all_output(link: &Link, bytes: usize) -> bool {
    bytes < SHARED_BYTES_MIN || bytes.min(link.part_of_all()) <= link.room_of_all()
}

/// The packet with a retained message for a Client; `None` where it gets none now, or never.
fn replayed(
    client: &Arc<Client>,
    state: &mut ClientState,
    (message, options): (&Arc<Message>, Options),
    turn: &mut DeliveryContext<'_>,
) -> Option<Packet> {
    let link = state.link.as_ref()?;
    let (version, packet_max) = (link.version, link.packet_bytes_max as usize);
    let qos = message.qos.min(options.qos);
    let identifiers = options.identifier.map_or_else(Identifiers::default, Identifiers::one);
    let terms = Terms { qos, retain: true, membership: None, identifiers: &identifiers };
    let copy = needs_copy(client, qos).then(|| store_copy(client, message, &terms, turn));
    let message = copy.as_ref().unwrap_or(message);
    let queued = || Queued::new(message, (true, copy.is_some()), &identifiers, None);
    let packet_id = if qos == QoS::AtMostOnce {
        None
    } else {
        match state.session.offer(qos, message.size(), &queued) {
            Offer::Send(packet_id) => Some(packet_id),
            Offer::Queued | Offer::QueuedUntilStored | Offer::Offline | Offer::SendUnacknowledged => {
                return None;
            }
            Offer::Refused(_) => {
                client.queue_full(state, queued().stored_id(), turn);
                return None;
            }
        }
    };
    let sending = Sending { message, qos, retain: true, dup: false, packet_id, identifiers: &identifiers };
    let packet = encode(turn, version, &sending, packet_max);
    if packet.is_some() {
        turn.counts.sent_later(qos, message.payload_len());
    } else if let Some(packet_id) = packet_id {
        give_up(client, state, packet_id, &queued(), turn);
    }
    let packet = packet?;
    let held = packet_id.is_some_and(|packet_id| {
        let sent = Sent { message: queued().stored_id(), qos, packet_id };
        sent.waits(client, state.link.as_mut(), packet, turn)
    });
    (!held).then_some(packet)
}

/// Whether a message must be stored for a session before it is sent. The identifier of a QoS 2
/// message is in use until the exchange has ended, even after a crash. Otherwise another message
/// would get it, and the Client would take that for a repeat \[MQTT-4.3.3-2\].
pub(crate) fn needs_copy(client: &Client, qos: QoS) -> bool {
    qos == QoS::ExactlyOnce && client.is_durable() && !is_planted(Fault::ReplayNotStored)
}

/// Stores a copy of a message for one session alone. The message is a retained one, or is stored
/// for nobody else.
pub(crate) fn store_copy(
    client: &Client,
    message: &Message,
    terms: &Terms<'_>,
    turn: &mut DeliveryContext<'_>,
) -> Arc<Message> {
    let parts = message.parts();
    let id = turn.core.ids.next_message();
    let subscription_ids: Vec<u32> = terms.identifiers.as_slice().iter().map(|id| id.get()).collect();
    let delivery = Delivery {
        session: client.stored_id(),
        qos: terms.qos.bits(),
        retain: terms.retain,
        published_retain: parts.retain || terms.retain,
        packet_id: None,
        subscription_ids: &subscription_ids,
        membership: terms.membership,
    };
    let stored = MessageRef {
        id,
        tenant: client.tenant.id,
        topic: parts.topic,
        properties: parts.properties,
        payload: parts.payload,
        qos: parts.qos.bits(),
        published_at_ms: turn.wall_ms,
        expires_at_ms: parts.expires_at_ms,
    };
    turn.batch.push(Op::Enqueue { message: stored, deliveries: &[delivery] });
    Arc::new(message.with_number(id))
}

/// Encodes a message. `None` if the packet is larger than the Client takes, or, counted, if no
/// packet can hold the message.
fn encode(
    turn: &mut DeliveryContext<'_>,
    version: ProtocolVersion,
    sending: &Sending<'_>,
    packet_bytes_max: usize,
) -> Option<Packet> {
    let DeliveryContext { arena, core, .. } = turn;
    let parts = sending.message.parts();
    let received = Properties::from_raw(parts.properties, PropertyPlace::PublishFromClient)
        .expect("properties were validated when the message came");
    let head = PublishHead {
        dup: sending.dup,
        qos: sending.qos,
        retain: sending.retain,
        topic: parts.topic,
        packet_id: sending.packet_id,
        properties: ForwardProperties {
            received,
            message_expiry: sending.message.expiry_left(|| core.clock.lifetime_ms()),
            subscription_ids: sending.identifiers.as_slice(),
            topic_alias: None,
        },
        payload_len: parts.payload.len(),
    };
    let is_large = parts.payload.len() >= SHARED_BYTES_MIN;
    let (head, result) = if is_large {
        arena.encode(|out| encode_publish_head(out, version, &head))
    } else {
        arena.encode(|out| encode_publish(out, version, &head, parts.payload))
    };
    if let Err(error) = result {
        core.counters.unencodable(parts.topic, &error);
        return None;
    }
    let payload_len = if is_large { parts.payload.len() } else { 0 };
    if head.len() + payload_len > packet_bytes_max {
        core.counters.publish_too_large.add(1);
        return None;
    }
    let payload = if is_large { arena.borrow(sending.message.payload()) } else { Span::EMPTY };
    Some([head, payload])
}
