//! Fan-out of one message to all of its receivers, within a turn.
//!
//! A message is encoded at most once per version, QoS and RETAIN; where the received packet is
//! already what a receiver gets, nothing is encoded at all. Receivers get ranges; copies are made
//! only for guests, for what is retained, and for sessions that must keep it.

mod asked;
mod copies;
pub(crate) mod delayed;
mod forms;
mod parts;

pub use delayed::delay;

use std::sync::Arc;

use lotmq_changes::{Delivery, MembershipId, MessageRef, Op, SessionId};
use lotmq_codec::{
    ForwardProperties, PacketId, Properties, PropertyPlace, ProtocolVersion, PublishHead, QoS,
    encode_publish_head,
};
use lotmq_definitions::Caching;
use lotmq_router::GroupId;
use smallvec::SmallVec;

use crate::arena::{Arena, Span};
use crate::fault::{Fault, is_planted};
use crate::limits::{GROUP_TRIES_MAX, OFFLINE_DELIVERIES_FREE, SHARED_BYTES_MIN, SHARED_RECEIVERS_MIN};
use crate::routing::route::{Asking, Route};
use crate::tenant::Tenant;
use crate::tenant::client::Client;
use crate::tenant::publication::Publication;
use crate::tenant::retain::RetainedAt;
use crate::tenant::subscriber::SharedGroup;
use crate::tenant::subscriber::Target;
use crate::tenant::subscription::Identifiers;
use crate::tenant::triggers::{Starting, TurnNotes};
use crate::turn::capacity::{copies_for, stores_for};
use crate::turn::piece::{Piece, Tracked, packet_id_offset};
use crate::turn::{Moment, Turn, TurnMessage};
pub(crate) use asked::AskedMessages;
pub use asked::{resume as resume_asked, wait as ask_later};
pub(crate) use copies::CopyCount;
use copies::{Copies, MessageCopy};
pub use forms::{Asker, Forms};
pub use parts::resume as resume_parts;
pub(crate) use parts::{Remainder, publish_in_parts};

/// Payloads up to this many bytes are copied behind a new head, so that the packet is one range;
/// longer ones stay where they are.
const COPIED_PAYLOAD_BYTES: usize = 1024;

/// Whether a message of so many bytes takes longer to be written to a receiver than to be routed to
/// it: its payload is not [copied](COPIED_PAYLOAD_BYTES), or what stands before that, as its
/// properties, is as long.
pub(crate) fn is_large(payload_len: usize, bytes: usize) -> bool {
    payload_len.max(bytes.saturating_sub(payload_len)) > COPIED_PAYLOAD_BYTES
}

/// Result of the fan-out of a message.
#[derive(Clone, Copy, Debug, Default)]
pub struct FanOut {
    /// Number of Clients that it was routed to.
    pub receivers: usize,
    /// Whether its acknowledgement must wait for the turn's batch.
    pub is_durable: bool,
    /// Whether the batch holds anything of it: the publisher's next messages wait when the disk
    /// cannot keep up.
    pub is_stored: bool,
    /// Whether it may start guests.
    pub(crate) starts_guests: bool,
}

impl Turn {
    /// Parts of the turn that note what a message starts.
    pub fn notes(&mut self) -> TurnNotes<'_> {
        let serves_clients = self.serves_clients();
        let Self { core, arena, messages, batch, guests, moment, log, releases, .. } = self;
        let Moment { now, wall_ms, lifetime_ms } = *moment;
        let (slot, on_commit) = (&mut log.slot, &mut releases.on_commit);
        TurnNotes {
            core,
            arena,
            messages,
            batch,
            guests,
            serves_clients,
            now,
            wall_ms,
            lifetime_ms,
            slot,
            on_commit,
        }
    }

    /// Gives a message to one member of a group, to nobody else.
    pub(crate) fn publish_to_group(
        &mut self,
        tenant: &Arc<Tenant>,
        publication: &Publication<'_>,
        group: GroupId,
    ) {
        self.call_flusher();
        let topic = self.arena.get(publication.message.topic);
        let found = self.routes.begin(tenant, topic, Some(publication.message.bytes()));
        let route = found.unwrap_or_else(|asking| asking.for_group(group));
        let mut fan_out = FanOutOf::new(publication, false);
        if let Ok(at) = route.groups.binary_search_by_key(&group, |candidate| candidate.id()) {
            fan_out.send_to_one(self, &route.groups[at], &route).counted(self);
        }
        fan_out.keep(self, tenant);
        self.routes.put_back(tenant, route);
        self.relieve();
    }

    /// Gives a message of the `$SYS` tree to one Client alone. False when it is not subscribed to
    /// it.
    pub fn publish_to_client(
        &mut self,
        tenant: &Arc<Tenant>,
        publication: &Publication<'_>,
        client: &Arc<Client>,
    ) -> bool {
        self.call_flusher();
        let route = self.routes.take(tenant, self.arena.get(publication.message.topic));
        let target = route.targets.iter().find(|target| Arc::ptr_eq(&target.client, client));
        let fate = target.map(|target| FanOutOf::new(publication, true).send(self, target));
        let is_sent = fate.is_some_and(|fate| fate.counted(self) == Disposition::Taken);
        self.routes.put_back(tenant, route);
        self.relieve();
        is_sent
    }

    /// Routes a message that no PUBLISH has brought. Its topic has been checked, and its publisher
    /// may publish there. False when its receivers get it in a later turn; a message with a delay
    /// is published when that is over.
    pub fn publish(&mut self, tenant: &Arc<Tenant>, publication: &Publication<'_>) -> bool {
        if delay(self, tenant, publication).is_some() {
            return true;
        }
        if self.serves_clients() {
            return asked::publish(self, tenant, publication);
        }
        let route = self.routes.take(tenant, self.arena.get(publication.message.topic));
        self.publish_on(tenant, publication, route);
        true
    }

    /// Asks about further receivers of a message, a few at least, while there is time; returns the
    /// route after the last.
    ///
    /// # Errors
    /// The remaining work, for a later turn.
    pub(crate) fn ask_on(
        &mut self,
        asking: Box<Asking>,
        tenant: &Arc<Tenant>,
    ) -> Result<Arc<Route>, Box<Asking>> {
        let (stretch, core) = (self.work.stretch, Arc::clone(&self.core));
        asking.go_on_until(&mut self.routes, tenant, || stretch.is_over(&*core.clock))
    }

    /// Routes a message on the route of its topic.
    pub(crate) fn publish_on(
        &mut self,
        tenant: &Arc<Tenant>,
        publication: &Publication<'_>,
        mut route: Arc<Route>,
    ) -> FanOut {
        // Also a message without receivers has its counts, its last value and its guests.
        self.call_flusher();
        // Its topic is known to be UTF-8, as the range in the arena is not.
        let is_volatile = crate::tenant::system_topics::is_system(&route.topic);
        let mut fan_out = FanOutOf::new(publication, is_volatile);
        let mut is_durable = fan_out.retain(self, tenant, &mut route);
        let receivers = fan_out.send_to_all(self, tenant, &route);
        is_durable |= fan_out.is_kept;
        is_durable |= fan_out.tell_guests(self, tenant, &route);
        let starts_guests = route.triggers.is_some();
        self.work.steps += route.triggers.as_ref().map_or(0, |triggers| triggers.count());
        self.routes.put_back(tenant, route);
        self.relieve();
        FanOut { receivers, is_durable, is_stored: is_durable || fan_out.is_retained(), starts_guests }
    }
}

/// Disposition of a message for one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disposition {
    /// It gets it.
    Taken,
    /// Larger than the Client takes: dropped as if it had been delivered \[MQTT-3.1.2-25\].
    TooLarge,
    /// It would have to be stored, and is not: too much is stored for Clients that are away.
    Dropped,
    /// It is not for this receiver: its own with No Local, or QoS 0 for one that is away.
    NotTheirs,
}

impl Disposition {
    /// Counts a final disposition.
    fn counted(self, turn: &Turn) -> Self {
        if self == Self::TooLarge {
            turn.core.counters.publish_too_large.add(1);
        }
        self
    }
}

/// Fan-out of one message under way.
struct FanOutOf<'a> {
    publication: &'a Publication<'a>,
    variants: Variants,
    /// Index among the turn's messages, once somebody may keep it.
    message: Option<u32>,
    /// Index of the message that the last receiver got, where its session may have to keep it.
    sent: Option<u32>,
    /// Sessions that outlive their connection and must get it.
    durable: SmallVec<[Keeping; 4]>,
    /// Copies for those of them that get it more than once.
    copies: Copies,
    /// Number of those whose Clients are away.
    away: u32,
    /// Whether the turn's batch has it for some of them.
    is_kept: bool,
    /// Whether it is of the `$SYS` tree, of which nothing is stored.
    is_volatile: bool,
    /// Whether it is the shortened form, as of a [`Message`](crate::message::Message).
    is_shortened: bool,
}

impl<'a> FanOutOf<'a> {
    fn new(publication: &'a Publication<'a>, is_volatile: bool) -> Self {
        let (variants, durable, copies) = (Variants::default(), SmallVec::new(), Copies::default());
        let (message, sent, away) = (None, None, 0);
        let (is_kept, is_shortened) = (false, false);
        Self {
            publication,
            variants,
            message,
            sent,
            durable,
            copies,
            away,
            is_kept,
            is_volatile,
            is_shortened,
        }
    }

    /// Adds the message to the items of all receivers, and puts it into the batch for those that
    /// keep it; returns their number.
    fn send_to_all(&mut self, turn: &mut Turn, tenant: &Tenant, route: &Route) -> usize {
        let has_large_payload = self.publication.message.payload.len() >= SHARED_BYTES_MIN;
        if has_large_payload && route.targets.len() > SHARED_RECEIVERS_MIN {
            self.share(turn);
        }
        let mut receivers = 0;
        for target in &route.targets {
            receivers += usize::from(self.send(turn, target).counted(turn) != Disposition::NotTheirs);
        }
        for group in &route.groups {
            let fate = self.send_to_one(turn, group, route).counted(turn);
            receivers += usize::from(fate != Disposition::NotTheirs);
        }
        self.keep(turn, tenant);
        if has_large_payload && self.message.is_some() {
            // Sessions keep it, so it has a memory that what waits for sockets can have as well.
            self.share(turn);
        }
        // Also who does not get it was looked at, as the members of groups that were passed over.
        turn.work.steps += route.targets.len();
        let spans = &self.publication.message;
        if is_large(spans.payload.len(), spans.bytes()) {
            // To route shorter ones takes as long as to write them, and that is counted.
            turn.time_shares.owe(receivers * spans.bytes());
        }
        receivers
    }

    /// Copies the message out of the turn's memory, for all who will wait for it.
    fn share(&mut self, turn: &mut Turn) {
        let index = self.message(turn);
        let message = Arc::clone(turn.messages.shared(index, &turn.arena));
        turn.arena.lies_elsewhere(self.publication.message.payload, || message.payload());
    }

    /// Adds the message to the items of one member of a group: of another one while it is too large
    /// for the one whose turn it is.
    fn send_to_one(&mut self, turn: &mut Turn, group: &SharedGroup, route: &Route) -> Disposition {
        let mut fate = Disposition::NotTheirs;
        let Publication { message, .. } = self.publication;
        let message = (message.bytes(), message.qos != QoS::AtMostOnce);
        let mut tried: SmallVec<[u64; GROUP_TRIES_MAX]> = SmallVec::new();
        while tried.len() < GROUP_TRIES_MAX {
            let Some(member) = route.choose(group, message, &tried, &mut turn.work.steps) else { break };
            let (target, membership) = (member.target(), member.options.membership);
            tried.push(target.client.session_id);
            fate = self.send_by(turn, &target, membership);
            if fate == Disposition::TooLarge {
                continue;
            }
            if let Some(message) = self.sent.filter(|_| fate == Disposition::Taken) {
                turn.messages.sent_by_group(message, target.client.slot, group.id());
            }
            if is_planted(Fault::SharedTwice) && tried.len() == 1 {
                continue;
            }
            break;
        }
        fate
    }

    /// Adds the message to the items of a receiver with subscriptions of its own, if it is to get
    /// it.
    fn send(&mut self, turn: &mut Turn, target: &Target) -> Disposition {
        self.send_by(turn, target, None)
    }

    /// Adds the message to a receiver's items, if it is to get it, by this membership or for
    /// itself.
    fn send_by(&mut self, turn: &mut Turn, target: &Target, membership: Option<MembershipId>) -> Disposition {
        let publication = self.publication;
        let Some(target) = target.for_source(publication.source) else { return Disposition::NotTheirs };
        let qos = publication.message.qos.min(target.qos);
        let entry = turn.entry(&target.client);
        let (version, packet_bytes_max) = (entry.version, entry.packet_bytes_max);
        // An option of 5.0: a Client that has resumed its session with 3.1.1 does not know of it
        // [3.1.1: MQTT-3.3.1-9].
        let retain = publication.message.retain
            && target.retain_as_published
            && version.is_none_or(ProtocolVersion::has_properties);
        if version.is_none() && qos == QoS::AtMostOnce {
            return Disposition::NotTheirs;
        }
        if !self.may_wait(turn, target, (version.is_none(), qos)) {
            return Disposition::Dropped;
        }
        let has_properties = version.is_some_and(ProtocolVersion::has_properties);
        let piece = self.variants.piece(
            &mut turn.arena,
            publication,
            has_properties,
            qos,
            retain,
            &target.identifiers,
        );
        // Of a Client that is away no limit is known; what its session keeps is measured when it is
        // sent.
        if version.is_some() && piece.len() > packet_bytes_max as usize {
            return Disposition::TooLarge;
        }
        self.sent = None;
        if qos == QoS::AtMostOnce {
            let entry = turn.entry(&target.client);
            let is_apart = entry.takes_aliases;
            entry.items.plain(&piece, is_apart);
            return Disposition::Taken;
        }
        let is_stored = target.client.is_durable() && !self.is_volatile;
        let message = if is_stored {
            let count = self.copies.count(turn);
            let Some(nth) = copies_for(turn, &target.client, (count, publication.message.bytes())) else {
                return Disposition::Dropped;
            };
            let (session, identifiers) = (target.client.stored_id(), target.identifiers.clone());
            self.keep_for(turn, nth, Keeping { session, qos, retain, membership, identifiers })
        } else {
            self.message(turn)
        };
        self.sent = Some(message);
        let identifiers = target.identifiers.clone();
        let tracked = Tracked { piece, qos, message, retain, is_stored, membership, identifiers };
        turn.entry(&target.client).items.tracked(tracked);
        Disposition::Taken
    }

    /// Whether the message may be stored for a receiver, if it does not take it now: one that is
    /// away, or does not read.
    fn may_wait(&mut self, turn: &mut Turn, target: &Target, (is_away, qos): (bool, QoS)) -> bool {
        if self.is_volatile {
            return true;
        }
        let is_much = turn.core.storage.queues_are_shared_out();
        if is_away {
            self.away += 1;
            let is_free = self.away <= OFFLINE_DELIVERIES_FREE;
            return (is_free && !is_much) || stores_for(turn, &target.client, is_free);
        }
        let waits =
            is_much && qos != QoS::AtMostOnce && target.client.is_durable() && target.client.is_slow();
        !waits || stores_for(turn, &target.client, true)
    }

    fn message(&mut self, turn: &mut Turn) -> u32 {
        let (spans, is_shortened) = (self.publication.message, self.is_shortened);
        *self
            .message
            .get_or_insert_with(|| turn.messages.push(TurnMessage { spans, is_shortened, shared: None }))
    }

    /// Notes a session that must get the message, as its copy of this number; returns the copy's
    /// index among the turn's messages.
    fn keep_for(&mut self, turn: &mut Turn, nth: usize, keeping: Keeping) -> u32 {
        let message = self.message(turn);
        let Some(further) = nth.checked_sub(1) else {
            self.durable.push(keeping);
            return message;
        };
        self.copies.keep_for(turn, message, further, keeping)
    }

    /// Puts the message and its copies into the turn's batch for the sessions that outlive their
    /// connection.
    fn keep(&mut self, turn: &mut Turn, tenant: &Tenant) {
        if self.durable.is_empty() {
            return;
        }
        self.is_kept = true;
        let index = self.message(turn);
        self.enqueue(turn, tenant, (index, &self.durable));
        self.durable.clear();
        for MessageCopy { message, durable } in self.copies.take() {
            self.enqueue(turn, tenant, (message, &durable));
        }
    }

    fn enqueue(&self, turn: &mut Turn, tenant: &Tenant, (index, durable): (u32, &[Keeping])) {
        let id = turn.core.ids.next_message();
        let parts = self.publication.message.parts(&turn.arena);
        let message = MessageRef {
            id,
            tenant: tenant.id,
            topic: parts.topic,
            properties: parts.properties,
            payload: parts.payload,
            qos: parts.qos.bits(),
            published_at_ms: turn.wall_ms(),
            expires_at_ms: parts.expires_at_ms,
        };
        let identifiers: Vec<Vec<u32>> = durable.iter().map(Keeping::stored_identifiers).collect();
        let deliveries: SmallVec<[Delivery<'_>; 4]> = durable
            .iter()
            .zip(&identifiers)
            .map(|(keeping, identifiers)| keeping.delivery(parts.retain, identifiers))
            .collect();
        let before = turn.batch.bytes();
        turn.batch.push(Op::Enqueue { message, deliveries: &deliveries });
        self.feeds(turn, tenant, before);
        turn.messages.set_stored(index, id, &turn.arena);
    }

    /// Counts the bytes that the batch has beyond `before` for their publisher.
    fn feeds(&self, turn: &mut Turn, tenant: &Tenant, before: usize) {
        let bytes = turn.batch.bytes().saturating_sub(before);
        if bytes > 0 {
            let is_of_shard = turn.is_of_shard();
            turn.releases.fed.count(tenant, self.publication, (bytes, is_of_shard));
        }
    }

    /// Makes the message its topic's retained one, and its route that of the same moment. True when
    /// an acknowledgement must wait for that.
    fn retain(&mut self, turn: &mut Turn, tenant: &Tenant, route: &mut Arc<Route>) -> bool {
        if !self.is_retained() {
            return false;
        }
        if let Some(retained) = self.retain_only(turn, tenant, false) {
            Route::bring_up_to(route, retained.generation, tenant);
        }
        self.publication.message.qos != QoS::AtMostOnce
    }

    /// Makes the message its topic's retained one. The generation of subscriptions at that moment,
    /// if there was room for it. `is_later`: its receivers get it in a later turn.
    fn retain_only(&mut self, turn: &mut Turn, tenant: &Tenant, is_later: bool) -> Option<RetainedAt> {
        let index = self.message(turn);
        let message = Arc::clone(turn.messages.shared(index, &turn.arena));
        let before = turn.batch.bytes();
        let retained = tenant.retain_routed(&message, self.publication.keeper(), is_later, turn);
        self.feeds(turn, tenant, before);
        retained
            .inspect_err(|limit| match self.publication.source {
                Some(client) => client.limit_reached(*limit, &turn.core, turn.now()),
                None => turn.core.limits.elsewhere.note(*limit, &message.topic(), turn.now()),
            })
            .ok()
    }

    fn is_retained(&self) -> bool {
        self.publication.message.retain && !self.is_volatile
    }

    /// Notes the guests that the message triggers, and remembers it where one reads its topic. True
    /// when an acknowledgement must wait for that.
    fn tell_guests(&mut self, turn: &mut Turn, tenant: &Arc<Tenant>, route: &Route) -> bool {
        if let Some(listeners) = &route.listeners {
            // The turn's time may be a tick old, which would make the silence as much shorter.
            listeners.heard(turn.core.clock.now());
        }
        if route.triggers.is_none() && route.caching == Caching::Skip {
            return false;
        }
        let message = self.message(turn);
        if route.caching != Caching::Skip {
            tenant.hooks.remember(route.caching, turn.messages.shared(message, &turn.arena));
        }
        let Some(triggers) = &route.triggers else { return false };
        let starting = Starting { tenant, message, publication: self.publication };
        let before = turn.batch.bytes();
        let is_stored = triggers.start(&mut turn.notes(), &starting, !self.is_volatile);
        self.feeds(turn, tenant, before);
        is_stored
    }
}

/// Session that must get a message even after a crash, with the options of its delivery.
struct Keeping {
    session: SessionId,
    qos: QoS,
    retain: bool,
    membership: Option<MembershipId>,
    identifiers: Identifiers,
}

impl Keeping {
    fn stored_identifiers(&self) -> Vec<u32> {
        self.identifiers.as_slice().iter().map(|identifier| identifier.get()).collect()
    }

    fn delivery<'a>(&self, published_retain: bool, identifiers: &'a [u32]) -> Delivery<'a> {
        Delivery {
            session: self.session,
            qos: self.qos.bits(),
            retain: self.retain,
            published_retain,
            packet_id: None,
            subscription_ids: identifiers,
            membership: self.membership,
        }
    }
}

/// The encodings of a message that this fan-out has made so far: version, QoS, RETAIN.
#[derive(Default)]
struct Variants([Option<Piece>; 12]);

impl Variants {
    fn piece(
        &mut self,
        arena: &mut Arena,
        publication: &Publication<'_>,
        has_properties: bool,
        qos: QoS,
        retain: bool,
        identifiers: &Identifiers,
    ) -> Piece {
        if has_properties && !identifiers.is_empty() {
            return encode(arena, publication, has_properties, qos, retain, identifiers);
        }
        let index = usize::from(has_properties) * 6 + qos as usize * 2 + usize::from(retain);
        *self.0[index].get_or_insert_with(|| match publication.in_place {
            Some(packet)
                if packet.has_properties == has_properties && publication.message.qos == qos && !retain =>
            {
                let payload_bytes = payload_bytes(publication);
                Piece {
                    head: packet.packet,
                    packet_id_at: packet.packet_id_at,
                    payload: Span::EMPTY,
                    payload_bytes,
                }
            }
            _ => encode(arena, publication, has_properties, qos, retain, identifiers),
        })
    }
}

fn encode(
    arena: &mut Arena,
    publication: &Publication<'_>,
    has_properties: bool,
    qos: QoS,
    retain: bool,
    identifiers: &Identifiers,
) -> Piece {
    let copies_payload = publication.message.payload.len() <= COPIED_PAYLOAD_BYTES;
    let tail = if copies_payload { publication.message.payload } else { Span::EMPTY };
    let version = if has_properties { ProtocolVersion::V5 } else { ProtocolVersion::V3_1_1 };
    let sources = [publication.message.topic, publication.message.properties, tail];
    let payload_len = publication.message.payload.len();
    let (head, layout) = arena.encode_from(sources, |[topic, properties, tail], out| {
        let head = PublishHead {
            dup: false,
            qos,
            retain,
            topic: std::str::from_utf8(topic).expect("topics are UTF-8 since they were decoded"),
            // A placeholder: each receiver's own is set just before the packet leaves.
            packet_id: (qos != QoS::AtMostOnce).then_some(PacketId::MIN),
            properties: ForwardProperties {
                subscription_ids: identifiers.as_slice(),
                ..ForwardProperties::unaltered(received(properties))
            },
            payload_len,
        };
        let layout = encode_publish_head(out, version, &head).expect("what came in a packet fits one");
        out.extend_from_slice(tail);
        layout
    });
    let packet_id_at = layout.packet_id_offset.map(packet_id_offset);
    let payload = if copies_payload { Span::EMPTY } else { publication.message.payload };
    Piece { head, packet_id_at, payload, payload_bytes: payload_bytes(publication) }
}

fn payload_bytes(publication: &Publication<'_>) -> u32 {
    u32::try_from(publication.message.payload.len())
        .expect("a payload is shorter than its packet, and that than 256 MiB")
}

fn received(properties: &[u8]) -> Properties<'_> {
    Properties::from_raw(properties, PropertyPlace::PublishFromClient)
        .expect("properties were validated when the message came")
}

#[cfg(test)]
mod tests {
    use super::is_large;

    #[test]
    fn a_message_is_large_by_its_payload_or_by_what_stands_before_it() {
        for (payload, before, expected) in
            [(0, 20, false), (1024, 1024, false), (1025, 0, true), (1, 1025, true), (0, 250_000, true)]
        {
            assert_eq!(is_large(payload, payload + before), expected, "{payload} behind {before}");
        }
    }
}
