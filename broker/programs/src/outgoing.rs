//! Outgoing messages for routes: they enter outboxes in the batch of the publisher, so that an
//! acknowledgement covers them.
//!
//! One record serves all routes that a message is for. If several parts of a route take it, each
//! part gets a record. The routes wake when the record is on the disk. Not here: the outbox itself
//! (`routes::outbox`), and messages that wait in memory alone (`events`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use lotmq_changes::{Delivery, MessageRef, Op, SessionId};
use lotmq_codec::QoS;
use lotmq_definitions::Definition;
use lotmq_host::limits::HOPS_MAX;
use lotmq_host::{Lease, MessageExtras, OwnedMessage, PostError};
use smallvec::{SmallVec, smallvec};

use super::effects::codec_qos;
use super::message_qos::qos;
use super::outbox_entry::OutboxEntry;
use super::pending_triggers::thread_events;
use super::routes::keeping::{PostPlace, RoomQuery};
use super::routes::kept_place::KeptPlace;
use super::routes::mailbox::{Addressee, Takers};
use super::routes::memory_buffer::{BufferedMessage, FreshBytes};
use super::routes::stored_post::StoredPost;
use super::routes::{self, ForRoute, RouteRunner};
use super::{Guests, Starts, TriggeredDefinition};
use crate::HasPrograms as _;
use lotmq_core::message::MessageParts;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::triggers::{Starting, TurnNotes};
use lotmq_core::turn::Turn;
use lotmq_process::clock::timestamp;

/// Fate of a message at something that it starts.
pub(super) enum Fate {
    /// It is posted when the turn comes to that; to the mailbox of a route, where it was admitted,
    /// whatever waits there by then.
    Posted(Option<Arc<KeptPlace>>),
    /// It is in the outbox, or nothing comes of it.
    Settled { is_stored: bool },
    /// It finds no room, or only with some of those whom it is for.
    Shed { error: PostError, is_stored: bool },
}

/// Fates of a message at its triggers; few topics have more than one.
pub(super) type Fates = SmallVec<[Fate; 2]>;

/// Destination of a message: a route, and its parts that take the message.
struct Target {
    route: Arc<RouteRunner>,
    session: SessionId,
    takers: Takers,
}

/// Message to be put into outboxes.
struct Outgoing<'a> {
    tenant: &'a Tenant,
    topic: &'a Arc<str>,
    parts: MessageParts<'a>,
    /// Client Identifier of the publisher; empty for none.
    client_id: Arc<str>,
    hops: u8,
    /// When it was received, in milliseconds since 1970, if not now.
    received_ms: Option<u64>,
}

/// Puts a message on `topic` into the outboxes of the routes among `triggers`; its fate at each of
/// them.
pub(super) fn store(
    notes: &mut TurnNotes<'_>,
    triggers: &[Arc<TriggeredDefinition>],
    topic: &Arc<str>,
    starting: &Starting<'_>,
) -> Fates {
    let Starting { tenant, publication, .. } = starting;
    let (now, qos, core) = (notes.now, publication.message.qos, notes.core);
    let parts = publication.message.parts(notes.arena);
    let bytes = topic.len() + parts.properties.len() + parts.payload.len();
    let mut targets = SmallVec::<[Target; 1]>::new();
    let shed = |error| Fate::Shed { error, is_stored: false };
    let fate = |trigger: &Arc<TriggeredDefinition>| {
        let Starts::Route(route) = &trigger.starts else { return Fate::Posted(None) };
        if publication.origin == Some(trigger.definition.id) {
            return Fate::Settled { is_stored: false };
        }
        match route.place(&RoomQuery { tenant, core, now, qos }, bytes) {
            PostPlace::Memory(kept_place) => Fate::Posted(kept_place.map(Arc::new)),
            PostPlace::Nowhere => Fate::Settled { is_stored: false },
            _ if publication.hops > HOPS_MAX => shed(PostError::TooManyHops { hops: publication.hops }),
            PostPlace::Full(bytes) => shed(PostError::OutboxFull { bytes }),
            PostPlace::Store(session) => {
                let (takers, refused) = route.takers(topic, bytes);
                let is_stored = !takers.is_empty();
                targets.push(Target { route: Arc::clone(route), session, takers });
                refused.map_or(Fate::Settled { is_stored }, |error| Fate::Shed { error, is_stored })
            }
        }
    };
    let fates: Fates = triggers.iter().map(fate).collect();
    if targets.is_empty() {
        return fates;
    }
    let of_route = publication.origin.map(|id| tenant.programs().guests.client_id_of_route(id));
    let client_id = publication.source.map(|client| &client.client_id).or(of_route.as_ref());
    let client_id = client_id.cloned().unwrap_or_default();
    let hops = publication.hops;
    put(notes, &Outgoing { tenant, topic, parts, client_id, hops, received_ms: None }, &targets, None);
    fates
}

/// Puts a message that is for one part of a route into its outbox. False when it waits in memory
/// instead.
///
/// # Errors
/// When it finds no room, which the route counts.
fn store_for(
    turn: &mut Turn,
    tenant: &Tenant,
    route: &Arc<RouteRunner>,
    (to, message): (&Addressee, &OwnedMessage),
    hops: u8,
) -> Result<bool, PostError> {
    let core = Arc::clone(&turn.core);
    let (now, qos) = (turn.now(), QoS::AtMostOnce);
    let session = match route.place(&RoomQuery { tenant, core: &core, now, qos }, message.bytes()) {
        PostPlace::Memory(_) => return Ok(false),
        PostPlace::Nowhere => return Err(PostError::Stopped),
        _ if hops > HOPS_MAX => return Err(PostError::TooManyHops { hops }),
        PostPlace::Full(bytes) => return Err(PostError::OutboxFull { bytes }),
        PostPlace::Store(session) => session,
    };
    let parts = MessageParts {
        topic: &message.topic,
        properties: message.properties(),
        payload: &message.payload,
        qos: codec_qos(message.qos),
        retain: message.retain,
        expires_at_ms: message.expires_at_ms(),
    };
    let client_id = Arc::clone(&message.client_id);
    let received_ms = (message.received_ms != turn.wall_ms()).then_some(message.received_ms);
    let outgoing = Outgoing { tenant, topic: &message.topic, parts, client_id, hops, received_ms };
    let target = Target { route: Arc::clone(route), session, takers: smallvec![to.clone()] };
    turn.call_flusher();
    put(&mut turn.notes(), &outgoing, &[target], message.lease.as_ref());
    Ok(true)
}

/// Message that the mailbox of its route did not take.
pub(super) struct NotPosted {
    /// The route.
    pub(super) definition: Arc<Definition>,
    pub(super) error: PostError,
    pub(super) payload: Bytes,
}

impl ForRoute {
    /// Puts the message into the route's outbox, or its mailbox.
    ///
    /// # Errors
    /// When there is no room, which the route counts.
    pub(super) fn post(self, turn: &mut Turn, tenant: &Tenant) -> Result<(), NotPosted> {
        let (payload, now_ms) = (self.message.payload.clone(), turn.wall_ms());
        let message = OwnedMessage { received_ms: now_ms, ..self.message };
        let posted = hand_in(turn, tenant, &self.route, (self.to, message), self.hops);
        posted.map_err(|error| {
            self.route.shed(&error, timestamp(now_ms));
            NotPosted { definition: Arc::clone(&self.route.version().definition), error, payload }
        })
    }
}

/// Puts a message for one part of a route into its outbox, or its mailbox.
///
/// # Errors
/// When there is no room.
pub(super) fn hand_in(
    turn: &mut Turn,
    tenant: &Tenant,
    route: &Arc<RouteRunner>,
    (to, message): (Addressee, OwnedMessage),
    hops: u8,
) -> Result<(), PostError> {
    if store_for(turn, tenant, route, (&to, &message), hops)? {
        return Ok(());
    }
    route.post(to, Arc::new(message), hops)
}

/// Hands a row, a JSON object, to a route that stores; what it was promised with (`lease`) is held
/// until it is done there, too.
///
/// # Errors
/// When there is no such route, or it takes no more.
pub(super) fn store_row(
    guests: &Guests,
    route: &str,
    (table, row): (&str, &[u8]),
    (turn, tenant, hops): (&mut Turn, &Tenant, u8),
    lease: Option<Lease>,
) -> Result<(), String> {
    let route = guests.route(route).ok_or_else(|| format!("there is no route '{route}'"))?;
    let received_ms = turn.wall_ms();
    let message = OwnedMessage { received_ms, lease, ..routes::message("".into(), row, Arc::default()) };
    let posted = hand_in(turn, tenant, &route, (Addressee::Table(table.into()), message), hops);
    posted.map_err(|error| error.to_string())
}

/// Puts a message into outboxes: a record for the first taker of each route, one for the second,
/// and so on.
fn put(notes: &mut TurnNotes<'_>, outgoing: &Outgoing<'_>, targets: &[Target], lease: Option<&Lease>) {
    // Below every number that the message gets.
    let entries: SmallVec<[Arc<OutboxEntry>; 1]> =
        targets.iter().map(|target| entry(notes, &target.route)).collect();
    let Outgoing { tenant, topic, parts, client_id, hops, received_ms } = outgoing;
    let rounds = targets.iter().map(|target| target.takers.len()).max().unwrap_or_default();
    for round in 0..rounds {
        let of_round: SmallVec<[_; 1]> = targets
            .iter()
            .zip(&entries)
            .filter_map(|(target, entry)| Some((target.session, target.takers.get(round)?, entry)))
            .collect();
        let post = StoredPost {
            hops: *hops,
            received_ms: *received_ms,
            expires_at_ms: parts.expires_at_ms,
            client_id,
            properties: parts.properties,
        };
        let beside = post.encoded(of_round.iter().map(|(session, taker, _)| (*session, *taker)));
        let id = notes.core.ids.next_message();
        let message = MessageRef {
            id,
            tenant: tenant.id,
            topic,
            properties: &beside,
            payload: parts.payload,
            qos: parts.qos.bits(),
            published_at_ms: notes.lifetime_ms,
            expires_at_ms: None,
        };
        let delivery = |(session, _, _): &(SessionId, &Addressee, &Arc<OutboxEntry>)| Delivery {
            session: *session,
            qos: parts.qos.bits().max(QoS::AtLeastOnce.bits()),
            retain: parts.retain,
            published_retain: parts.retain,
            packet_id: None,
            subscription_ids: &[],
            membership: None,
        };
        let deliveries: SmallVec<[Delivery<'_>; 1]> = of_round.iter().map(delivery).collect();
        notes.batch.push(Op::Enqueue { message, deliveries: &deliveries });
        let bytes = (topic.len() + beside.len() + parts.payload.len()) as u64;
        for (_, taker, entry) in &of_round {
            let received_ms = || received_ms.unwrap_or_else(|| entry.route.wall_of(notes.lifetime_ms));
            entry.route.enters((id, bytes), |memory| BufferedMessage {
                to: Addressee::clone(taker),
                message: as_read_back(outgoing, received_ms(), memory),
                waits_since_ms: notes.lifetime_ms,
                hops: *hops,
                sequence: id.0,
                stored_bytes: bytes,
            });
            entry.last.fetch_max(id.0, Ordering::AcqRel);
            entry.leases.lock().extend(lease.cloned());
        }
    }
}

/// Message as it is read back from an outbox.
fn as_read_back(outgoing: &Outgoing<'_>, received_ms: u64, memory: &mut FreshBytes) -> OwnedMessage {
    let parts = &outgoing.parts;
    OwnedMessage {
        topic: Arc::clone(outgoing.topic),
        payload: memory.copy(parts.payload),
        qos: qos(parts.qos),
        retain: parts.retain,
        client_id: Arc::clone(&outgoing.client_id),
        extras: MessageExtras::of(None, memory.copy(parts.properties), parts.expires_at_ms),
        received_ms,
        lease: None,
    }
}

/// Entry of a route in the batch under way.
fn entry(notes: &mut TurnNotes<'_>, route: &Arc<RouteRunner>) -> Arc<OutboxEntry> {
    let stamp = notes.stamp();
    let entries = &mut thread_events(notes.guests).entries;
    entries.retain(|entry| entry.stamp == stamp);
    if let Some(known) = entries.iter().find(|entry| Arc::ptr_eq(&entry.route, route)) {
        return Arc::clone(known);
    }
    let floor = notes.core.ids.next_message();
    route.batch_begins(floor);
    let entry = Arc::new(OutboxEntry::new(Arc::clone(route), stamp, floor));
    thread_events(notes.guests).entries.push(Arc::clone(&entry));
    notes.watch(Arc::clone(&entry) as _);
    entry
}
