//! PUBLISH from a Client.
//!
//! Order of decisions: decode, resolve the alias, bound the topic, ask for permission, find the
//! receivers, de-duplicate QoS 2, retain, route, acknowledge. An acknowledgement means that the
//! broker has taken the message over. If the message must survive, it waits for the commit.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lotmq_auth::{Authorization, Decide as _, Denier, Identity, Question};
use lotmq_changes::Op;
use lotmq_codec::{AckType, FixedHeader, PacketId, Publish, QoS, ReasonCode};
use lotmq_router::{DelayedTopicError, parse_delayed};
use lotmq_session::{InboundPublish, PublishRefusal};
use tracing::trace;

use super::discouraged;
use super::{bounds, resolve_alias};
use crate::arena::{Arena, Span, text};
use crate::connection::Connection;
use crate::durable::store_failure::StoreFailure;
use crate::fault::{Fault, is_planted};
use crate::limits::{
    ALLOWED_TOPIC_BYTES_MAX, EXCHANGES_COUNTED_EACH, Limit, STEPS_PER_DECISION, WRITTEN_BYTES_MAX,
};
use crate::message::MessageParts;
use crate::message::spans::MessageSpans;
use crate::protocol::phase::{Open, Unfinished};
use crate::reason::Discouraged;
use crate::reason::NotTaken;
use crate::reason::close::CloseReason;
use crate::reason::violation::Violation;
use crate::routing::route::{Asking, Route};
use crate::tenant::client::stored_packet_id;
use crate::tenant::publication::{InPlace, Publication};
use crate::tenant::system_topics;
use crate::tenant::triggers::Publisher;
use crate::turn::Turn;
use crate::turn::capacity;
use crate::turn::context::TurnContext;
use crate::turn::fan_out::delayed::{delay_by, with_target};
use crate::turn::fan_out::{FanOut, Remainder, is_large, publish_in_parts};
use crate::turn::piece::packet_id_offset;
use crate::turn::postponed;
use crate::turn::release::Release;
use crate::turn::retain::can_retain;

/// The low four bits of a PUBLISH's first byte: DUP, QoS, RETAIN.
const DUP_AND_RETAIN: u8 = 0b1001;

/// Offset of the Topic Name in the body: behind its length.
const TOPIC_OFFSET: usize = 2;

/// Decoded PUBLISH as ranges, free of the arena's borrow.
struct Received {
    message: MessageSpans,
    packet_id: Option<PacketId>,
    in_place: Option<InPlace>,
    /// Outcome of checking its User Properties against the listener's limits.
    properties_within: Result<(), Limit>,
    /// Outcome of checking its texts for discouraged code points.
    plain: Result<(), Discouraged>,
    /// Delay in seconds that its topic asks for; the topic of the message is the target then.
    delay: Option<Result<u32, DelayedTopicError>>,
}

pub(super) fn handle(
    connection: &Arc<Connection>,
    open: &mut Open,
    turn: &mut Turn,
    header: FixedHeader,
    packet: Span,
    body: Span,
) -> Result<(), CloseReason> {
    if !turn.brings_message_of(&open.client, connection) {
        return Err(connection.take_close().unwrap_or(CloseReason::TakenOver));
    }
    let asked = open.unfinished.take();
    capacity::fill_queues(turn);
    let received = receive(connection, open, turn, header, packet, body)?;
    let topic = turn.arena.get(received.message.topic);
    if let Err(reason) =
        check(connection, open, &received, &turn.arena, (&turn.context, &mut turn.work.steps))
    {
        return refuse(connection, open, turn, &received, reason);
    }
    if let Some(delay) = received.delay {
        return take_delayed(connection, open, turn, &received, delay);
    }
    if topic.first() == Some(&b'$') && system_topics::is_system(text(topic)) {
        return take_for_system(connection, open, turn, &received);
    }
    let found = match asked.map(|asked| *asked) {
        Some(Unfinished::Asked(route)) => Ok(route),
        _ => turn.routes.begin(&open.client.tenant, topic, Some(received.message.bytes())),
    };
    let route = match found.or_else(|asking| turn.ask_on(asking, &open.client.tenant)) {
        Ok(route) => route,
        Err(asking) => {
            defer(open, turn, header, packet, Unfinished::Asking(asking));
            return Ok(());
        }
    };
    if must_wait(turn, &received, &route) {
        defer(open, turn, header, packet, Unfinished::Asked(route));
        return Ok(());
    }
    let (client, qos) = (&open.client, received.message.qos);
    let by = Publisher::Client(client);
    if route.triggers.as_ref().is_some_and(|it| it.must_wait(&mut turn.notes(), &client.tenant, by, qos)) {
        turn.routes.put_back(&client.tenant, route);
        defer(open, turn, header, packet, Unfinished::HeldBack);
        open.feeds_guests = true;
        return Ok(());
    }
    if !take_over(connection, open, turn, &received)? {
        return Ok(());
    }
    let publication = publication(open, &received);
    if !has_room_for(connection, open, turn, &received, (&publication, &route))? {
        return Ok(());
    }
    match publish_in_parts(turn, &open.client.tenant, &publication, &open.client, route) {
        Ok(fan_out) => routed(connection, open, turn, &received, fan_out),
        Err(rest) => open.unfinished = Some(Box::new(Unfinished::Publish(rest))),
    }
    Ok(())
}

/// Restores the first byte of a PUBLISH, so that a later turn handles the packet again.
fn defer(open: &mut Open, turn: &mut Turn, header: FixedHeader, packet: Span, unfinished: Unfinished) {
    turn.arena.get_mut(packet.slice(0, 1))[0] = header.first_byte;
    open.unfinished = Some(Box::new(unfinished));
}

/// Whether a large message waits for a turn that has less to write; one of QoS 1 or 2 for many
/// until those have theirs who were to get one before. Else they would have more and more to get.
fn must_wait(turn: &Turn, received: &Received, route: &Route) -> bool {
    let each = received.message.bytes();
    if !is_large(received.message.payload.len(), each) {
        return false;
    }
    let bytes = route.receivers() * each;
    let is_behind = || received.message.qos != QoS::AtMostOnce && postponed::is_behind(turn);
    !turn.time_shares.may_owe(bytes) || (bytes > WRITTEN_BYTES_MAX / 2 && is_behind())
}

/// Goes on asking about the receivers of a message.
pub(super) fn ask_on(open: &mut Open, turn: &mut Turn, asking: Box<Asking>) {
    let asked = turn.ask_on(asking, &open.client.tenant);
    open.unfinished = Some(Box::new(asked.map_or_else(Unfinished::Asking, Unfinished::Asked)));
}

/// Takes over a message that is published when its delay is over.
#[cold]
fn take_delayed(
    connection: &Arc<Connection>,
    open: &mut Open,
    turn: &mut Turn,
    received: &Received,
    delay: Result<u32, DelayedTopicError>,
) -> Result<(), CloseReason> {
    let seconds = match delay {
        Ok(seconds) => seconds,
        Err(error) => return refuse(connection, open, turn, received, NotTaken::DelayedTopic(error)),
    };
    if !take_over(connection, open, turn, received)? {
        return Ok(());
    }
    if received.packet_id.is_some()
        && let Some(failure) = turn.refuses_to_store()
    {
        return refuse_unstorable(connection, open, turn, received, failure).map(drop);
    }
    let taken = delay_by(turn, &open.client.tenant, &publication(open, received), seconds);
    match taken {
        Ok(is_stored) => {
            open.feeds_store = is_stored;
            let fan_out = FanOut { is_durable: is_stored, is_stored, ..FanOut::default() };
            answer(connection, open, turn, received, fan_out, ReasonCode::Success);
            Ok(())
        }
        Err(limit) => refuse_beyond(connection, open, turn, received, limit).map(drop),
    }
}

/// Handles a message to the broker itself.
fn take_for_system(
    connection: &Arc<Connection>,
    open: &mut Open,
    turn: &mut Turn,
    received: &Received,
) -> Result<(), CloseReason> {
    if !take_over(connection, open, turn, received)? {
        return Ok(());
    }
    let MessageSpans { topic, properties, payload, .. } = received.message;
    let client = &open.client;
    let taken = turn.tell(|hooks, turn| hooks.published_to_tree(turn, client, topic, properties, payload));
    match taken.unwrap_or(Ok(())) {
        Ok(()) => answer(connection, open, turn, received, FanOut::default(), ReasonCode::Success),
        Err(reason) => decline(connection, open, turn, received, reason),
    }
    Ok(())
}

/// Checks that a message can be kept wherever it must be. False when it is refused, which its
/// publisher has been told.
fn has_room_for(
    connection: &Arc<Connection>,
    open: &Open,
    turn: &mut Turn,
    received: &Received,
    (publication, route): (&Publication<'_>, &Route),
) -> Result<bool, CloseReason> {
    let can_be_told = open.version.has_properties();
    if !capacity::has_room(turn, publication, route) {
        turn.core.counters.publish_refused.add(1);
        if can_be_told {
            decline(connection, open, turn, received, NotTaken::NoRoom);
            return Ok(false);
        }
        // Before 5.0 the end of the connection says it, and no acknowledgement does
        // [3.1.1: MQTT-4.8.0-2].
        received.packet_id.inspect(|packet_id| forget(connection, open, turn, *packet_id));
        return Err(CloseReason::QueueFull);
    }
    if received.packet_id.is_none() {
        return Ok(true);
    }
    if can_be_told && let Err(limit) = can_retain(turn, &open.client.tenant, publication) {
        turn.core.counters.publish_refused.add(1);
        connection.listener.limit_reached(limit, &open.client.client_id);
        decline(connection, open, turn, received, NotTaken::Limit(limit));
        return Ok(false);
    }
    let Some(failure) = capacity::unstorable(turn, &open.client.tenant, publication, route) else {
        return Ok(true);
    };
    refuse_unstorable(connection, open, turn, received, failure)
}

/// Refuses a message that would have to be stored, and cannot be.
fn refuse_unstorable(
    connection: &Arc<Connection>,
    open: &Open,
    turn: &mut Turn,
    received: &Received,
    failure: StoreFailure,
) -> Result<bool, CloseReason> {
    turn.core.counters.publish_not_stored.add(1);
    if open.version.has_properties() {
        decline(connection, open, turn, received, NotTaken::NotStored(failure));
        return Ok(false);
    }
    received.packet_id.inspect(|packet_id| forget(connection, open, turn, *packet_id));
    Err(CloseReason::StoreFailed(failure))
}

/// Acknowledges a message that has been routed.
fn routed(
    connection: &Arc<Connection>,
    open: &mut Open,
    turn: &mut Turn,
    received: &Received,
    fan_out: FanOut,
) {
    trace!(
        target: "mqtt",
        client_id = &*open.client.client_id,
        topic = turn.arena.text(received.message.topic),
        qos = received.message.qos.bits(),
        retain = received.message.retain,
        bytes = received.message.payload.len(),
        receivers = fan_out.receivers,
        "publish"
    );
    open.feeds_store = fan_out.is_stored;
    open.feeds_guests = fan_out.starts_guests;
    let reason = if fan_out.receivers == 0 { ReasonCode::NoMatchingSubscribers } else { ReasonCode::Success };
    answer(connection, open, turn, received, fan_out, reason);
}

/// Goes on with a QoS 0 message that some of its receivers have not got yet.
pub(super) fn go_on(open: &mut Open, turn: &mut Turn, rest: Box<Remainder>) {
    match rest.go_on(turn, &open.client.tenant, &open.client) {
        Ok(fan_out) => {
            open.feeds_store = fan_out.is_stored;
            open.feeds_guests = fan_out.starts_guests;
        }
        Err(rest) => open.unfinished = Some(Box::new(Unfinished::Publish(rest))),
    }
}

/// Checks whether the Client may publish to this topic. Rules are asked once per topic and
/// generation of the permissions, where that settles it.
fn check(
    connection: &Connection,
    open: &mut Open,
    received: &Received,
    arena: &Arena,
    (context, steps): (&TurnContext, &mut usize),
) -> Result<(), NotTaken> {
    if open.has_published_to(arena.get(received.message.topic)) {
        received.plain?;
        return received.properties_within.map_err(NotTaken::Limit);
    }
    let message = received.message.parts(arena);
    let MessageParts { topic, payload, .. } = message;
    let decide = &open.client.tenant.permissions;
    let generation = decide.generation();
    let identity = &open.client.identity();
    let question = Question::publish(identity, topic).with_payload(payload).with_message(message.asked());
    let (decision, denier) = decide.weigh(&question);
    *steps += STEPS_PER_DECISION;
    let is_allowed = decision.authorization == Authorization::Allow;
    // A user may always set their own password, which takes a command.
    let is_his = || topic == system_topics::COMMAND_TOPIC && is_own_password(context, identity, payload);
    if !is_allowed && !is_his() {
        let denier = denier.unwrap_or(Denier::BuiltIn);
        context.tell(|hooks| hooks.denied(&open.client, &question, &denier));
        return Err(NotTaken::NotAllowed);
    }
    received.plain?;
    let within = bounds::topic(&connection.listener.limits, topic);
    within.and(received.properties_within).map_err(NotTaken::Limit)?;
    if is_allowed && decision.is_stable && topic.len() <= ALLOWED_TOPIC_BYTES_MAX {
        let (known, at) = &mut **open.allowed.get_or_insert_default();
        topic.clone_into(known);
        *at = generation;
    }
    Ok(())
}

/// Refuses a message. A lack of permission is told as the standard says; a limit, or a discouraged
/// text, closes the connection where the Client cannot be told otherwise.
fn refuse(
    connection: &Arc<Connection>,
    open: &Open,
    turn: &mut Turn,
    received: &Received,
    reason: NotTaken,
) -> Result<(), CloseReason> {
    turn.core.counters.publish_refused.add(1);
    let MessageSpans { topic, payload, .. } = received.message;
    if matches!(reason, NotTaken::NotAllowed) && turn.arena.text(topic) == system_topics::COMMAND_TOPIC {
        // Before 5.0 the acknowledgement says nothing of it, and the Client would wait for a reply.
        turn.tell(|hooks, turn| hooks.refuse_command(turn, &open.client, payload));
    }
    let can_be_told = open.version.has_properties() && received.packet_id.is_some();
    if let NotTaken::Limit(limit) = reason {
        if !can_be_told {
            return Err(CloseReason::Limit(limit));
        }
        connection.listener.limit_reached(limit, &open.client.client_id);
    }
    if let NotTaken::Discouraged(place) = reason
        && !can_be_told
    {
        return Err(Violation::Discouraged(place).into());
    }
    if let NotTaken::DelayedTopic(error) = reason
        && !can_be_told
    {
        return Err(Violation::DelayedTopic(error).into());
    }
    decline(connection, open, turn, received, reason);
    Ok(())
}

/// Acknowledges a refused message with a Reason Code; its identifier is a new message when it comes
/// again \[MQTT-4.3.3-9\].
fn decline(
    connection: &Arc<Connection>,
    open: &Open,
    turn: &mut Turn,
    received: &Received,
    reason: NotTaken,
) {
    let Some(packet_id) = received.packet_id else { return };
    if received.message.qos == QoS::ExactlyOnce && open.has_exchanges {
        forget(connection, open, turn, packet_id);
    }
    let packet = (acknowledgement(received.message.qos), packet_id);
    open.client.refuse(turn, connection, packet, reason.reason_code(), &reason);
}

fn acknowledgement(qos: QoS) -> AckType {
    if qos == QoS::ExactlyOnce { AckType::Pubrec } else { AckType::Puback }
}

/// Decodes the packet and prepares it for being sent on as it is.
fn receive(
    connection: &Connection,
    open: &mut Open,
    turn: &mut Turn,
    header: FixedHeader,
    packet: Span,
    body: Span,
) -> Result<Received, CloseReason> {
    let publish = Publish::decode(header.first_byte, turn.arena.get(body), open.version)?;
    let topic = body.slice(TOPIC_OFFSET, publish.topic.len());
    let properties = body.slice(publish.properties_range.start, publish.properties_range.len());
    let payload = body.slice(publish.payload_offset, publish.payload.len());
    let plain = discouraged::in_publish(&turn.core.settings, &publish);
    let alias = publish.properties.topic_alias();
    if let (Err(place), Some(_)) = (plain, alias) {
        // Answered otherwise, the alias would stand for something else here than at the Client.
        return Err(Violation::Discouraged(place).into());
    }
    let lifetime = publish.properties.message_expiry_interval();
    let expires_at_ms = lifetime.map(|seconds| turn.core.clock.lifetime_ms() + u64::from(seconds) * 1000);
    let packet_id_at = publish.packet_id_offset.map(|at| at + usize::from(header.header_len));
    let is_reusable = alias.is_none() && header.length_is_shortest();
    let mut received = Received {
        message: MessageSpans {
            topic,
            properties,
            payload,
            qos: publish.qos,
            retain: publish.retain,
            expires_at_ms,
        },
        packet_id: publish.packet_id,
        properties_within: bounds::user_properties(&connection.listener.limits, publish.properties),
        plain,
        delay: None,
        in_place: is_reusable.then(|| InPlace {
            packet,
            has_properties: open.version.has_properties(),
            packet_id_at: packet_id_at.map(packet_id_offset),
        }),
    };
    if received.in_place.is_some() {
        turn.arena.get_mut(packet.slice(0, 1))[0] &= !DUP_AND_RETAIN;
    }
    received.message.topic = resolve_alias(connection, open, turn, topic, alias)?;
    if turn.arena.get(received.message.topic).first() == Some(&b'$') {
        note_delay(&mut received, &turn.arena);
    }
    Ok(received)
}

/// Notes the delay that the topic of a message asks for, and makes the target its topic.
#[cold]
fn note_delay(received: &mut Received, arena: &Arena) {
    let Some(found) = parse_delayed(text(arena.get(received.message.topic))) else { return };
    received.delay = Some(found.map(|delayed| {
        received.message = with_target(received.message, delayed.target.len());
        // The packet has the topic as it came.
        received.in_place = None;
        delayed.seconds
    }));
}

fn is_own_password(context: &TurnContext, identity: &Identity, payload: &[u8]) -> bool {
    context.tell(|hooks| hooks.is_own_password(identity, payload)).unwrap_or(false)
}

/// Accepts responsibility for a message, and counts it. False for one that goes no further: a
/// repeated one, which has been answered again.
fn take_over(
    connection: &Arc<Connection>,
    open: &mut Open,
    turn: &mut Turn,
    received: &Received,
) -> Result<bool, CloseReason> {
    if let Some(packet_id) = received.packet_id
        && !take_over_acknowledged(connection, open, turn, received, packet_id)?
    {
        return Ok(false);
    }
    turn.counts.received[received.message.qos as usize] += 1;
    connection.received.messages.add(1);
    turn.figures().listener(connection.listener.number).messages_received.add(1);
    turn.counts.publish_bytes_received += received.message.payload.len() as u64;
    Ok(true)
}

/// Accepts responsibility for a QoS 1 or 2 message. False for one that goes no further.
fn take_over_acknowledged(
    connection: &Arc<Connection>,
    open: &mut Open,
    turn: &mut Turn,
    received: &Received,
    packet_id: PacketId,
) -> Result<bool, CloseReason> {
    let waiting = connection.unacknowledged.load(Ordering::Relaxed);
    if received.message.qos == QoS::AtLeastOnce {
        // Before 5.0 there is no such bound; then the Client is slowed down when the store cannot
        // follow.
        let maximum = connection.listener.limits.receive_maximum;
        if waiting >= maximum.into() && open.version.has_properties() {
            return Err(Violation::ReceiveMaximumExceeded { maximum }.into());
        }
        return if open.has_exchanges {
            take_over_with_exchanges(connection, open, turn, packet_id, waiting)
        } else {
            Ok(true)
        };
    }
    open.has_exchanges = true;
    let losses = turn.core.log.losses();
    let inbound = open.client.exchange_on(connection, turn, |session| {
        if losses > 0 {
            session.note_losses(losses);
        }
        (session.receive_exactly_once(packet_id, waiting), session.open_exchanges())
    });
    let Some((inbound, exchanges)) = inbound else { return Ok(false) };
    let maximum = connection.listener.limits.receive_maximum;
    match inbound.map_err(|_| Violation::ReceiveMaximumExceeded { maximum })? {
        InboundPublish::Deliver => {
            if exchanges.is_multiple_of(EXCHANGES_COUNTED_EACH)
                && let Err(limit) = open.client.count_exchanges(&turn.core)
            {
                return refuse_beyond(connection, open, turn, received, limit);
            }
            if open.client.is_durable() {
                let (session, packet_id) = (open.client.stored_id(), stored_packet_id(packet_id));
                turn.batch.push(Op::Qos2Received { session, packet_id });
            }
            Ok(true)
        }
        InboundPublish::Duplicate if is_planted(Fault::RepetitionRouted) => Ok(true),
        InboundPublish::Duplicate => {
            repeat_pubrec(connection, open, turn, (packet_id, losses));
            Ok(false)
        }
    }
}

/// Refuses a message beyond a limit, after it was taken over. Before 5.0 the end of the connection
/// says it; one of QoS 0 is dropped.
fn refuse_beyond(
    connection: &Arc<Connection>,
    open: &Open,
    turn: &mut Turn,
    received: &Received,
    limit: Limit,
) -> Result<bool, CloseReason> {
    turn.core.counters.publish_refused.add(1);
    if open.version.has_properties() || received.packet_id.is_none() {
        connection.listener.limit_reached(limit, &open.client.client_id);
        decline(connection, open, turn, received, NotTaken::Limit(limit));
        return Ok(false);
    }
    received.packet_id.inspect(|packet_id| forget(connection, open, turn, *packet_id));
    Err(CloseReason::Limit(limit))
}

/// Accepts a QoS 1 message of a Client that has QoS 2 exchanges open: they count too, and their
/// identifiers are in use.
fn take_over_with_exchanges(
    connection: &Connection,
    open: &Open,
    turn: &mut Turn,
    packet_id: PacketId,
    waiting: u32,
) -> Result<bool, CloseReason> {
    let judged =
        open.client.session_on(connection, |session| session.judge_at_least_once(packet_id, waiting));
    match judged {
        Some(Ok(())) => Ok(true),
        Some(Err(PublishRefusal::PacketIdInUse { .. })) if open.version.has_properties() => {
            turn.core.counters.publish_refused.add(1);
            let reason = NotTaken::PacketIdInUse;
            open.client.refuse(turn, connection, (AckType::Puback, packet_id), reason.reason_code(), &reason);
            Ok(false)
        }
        Some(Err(PublishRefusal::PacketIdInUse { .. })) => Err(Violation::PacketIdInUse.into()),
        Some(Err(_)) => {
            let maximum = connection.listener.limits.receive_maximum;
            Err(Violation::ReceiveMaximumExceeded { maximum }.into())
        }
        None => Ok(false),
    }
}

/// Answers a QoS 2 message that has come again. That promises what the first PUBREC does, which may
/// still wait for the disk.
fn repeat_pubrec(
    connection: &Arc<Connection>,
    open: &Open,
    turn: &mut Turn,
    (packet_id, losses): (PacketId, u64),
) {
    if is_planted(Fault::RepetitionAnswered) {
        return open.acknowledge(turn, connection, AckType::Pubrec, packet_id, ReasonCode::Success);
    }
    let (client, connection) = (Arc::clone(&open.client), Arc::clone(connection));
    turn.when_all_committed(Release::Repeat { client, connection, packet_id, losses });
}

fn publication<'a>(open: &'a Open, received: &Received) -> Publication<'a> {
    Publication {
        message: received.message,
        in_place: received.in_place,
        source: Some(&open.client),
        owner: None,
        keeper: None,
        origin: None,
        hops: 0,
    }
}

/// Ends a QoS 2 exchange that is refused: the identifier is a new message when it comes again
/// \[MQTT-4.3.3-9\].
fn forget(connection: &Connection, open: &Open, turn: &mut Turn, packet_id: PacketId) {
    open.client.exchange_on(connection, turn, |session| session.refuse_exactly_once(packet_id));
    if open.client.is_durable() {
        let (session, packet_id) = (open.client.stored_id(), stored_packet_id(packet_id));
        turn.batch.push(Op::Qos2Released { session, packet_id });
    }
}

/// Acknowledges a message that was taken as the QoS asks for, at once or when the turn's batch is
/// committed.
fn answer(
    connection: &Arc<Connection>,
    open: &Open,
    turn: &mut Turn,
    received: &Received,
    fan_out: FanOut,
    reason: ReasonCode,
) {
    let Some(packet_id) = received.packet_id else { return };
    let ack_type = acknowledgement(received.message.qos);
    let is_remembered = ack_type == AckType::Pubrec && open.client.is_durable();
    if !fan_out.is_durable && !is_remembered {
        open.acknowledge(turn, connection, ack_type, packet_id, reason);
        return;
    }
    if ack_type == AckType::Puback {
        connection.unacknowledged.fetch_add(1, Ordering::Relaxed);
    }
    turn.when_committed(Release::Acknowledge {
        client: Arc::clone(&open.client),
        connection: Arc::clone(connection),
        ack_type,
        packet_id,
        reason,
    });
}
