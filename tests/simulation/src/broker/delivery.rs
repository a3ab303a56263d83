//! The end of a turn: what leaves for each session; after `broker/server/src/net/outbound.rs` and `outgoing.rs`.

use std::num::NonZeroU32;

use lotmq_codec::{
    Ack, AckType, ForwardProperties, PacketId, Properties, PropertyPlace, ProtocolVersion, PublishHead, QoS,
    ReasonCode, encode_ack, encode_publish,
};
use lotmq_session::{Offer, Outbound, Time};

use super::{Broker, Item, Member, Note, Outgoing};
use crate::fault::Fault;

/// What one session's delivery needs besides the session.
struct Delivery<'a> {
    now: Time,
    fault: Option<Fault>,
    /// The connection, if there is one: version, room, output.
    wire: Option<(ProtocolVersion, &'a mut usize, &'a mut Vec<u8>)>,
    notes: &'a mut Vec<Note>,
}

impl Broker {
    pub(super) fn deliver(&mut self) {
        for (session, mut items) in std::mem::take(&mut self.touched) {
            let Some(member) = self.members.get_mut(&session) else { continue };
            let connection = member.connection.and_then(|id| self.connections.get_mut(&id));
            let wire = connection.and_then(|connection| {
                Some((connection.open.as_ref()?.version, &mut connection.room, &mut connection.output))
            });
            if self.fault == Some(Fault::DeliveryOrder) {
                reverse_messages(&mut items);
            }
            let mut delivery = Delivery { now: self.now, fault: self.fault, wire, notes: &mut self.notes };
            delivery.run(member, items);
        }
    }
}

impl Delivery<'_> {
    fn run(&mut self, member: &mut Member, items: Vec<Item>) {
        for item in items {
            match item {
                Item::Control(packet) => self.push(&packet),
                Item::Drain => self.drain(member),
                Item::Message { qos, outgoing, nth } => self.offer(member, qos, &outgoing, nth),
            }
        }
    }

    fn offer(&mut self, member: &mut Member, qos: QoS, outgoing: &Outgoing, nth: usize) {
        let version = self.wire.as_ref().map_or(ProtocolVersion::V5, |(version, ..)| *version);
        let placeholder = (qos != QoS::AtMostOnce).then_some(PacketId::MIN);
        let packet = self.encode(version, outgoing, qos, false, placeholder);
        let has_room = self.room() >= packet.len();
        if qos == QoS::AtMostOnce && !has_room {
            return;
        }
        let keep = || outgoing.clone();
        let offer = match has_room {
            true => member.session.offer(qos, packet.len(), keep),
            false => member.session.enqueue(qos, packet.len(), keep),
        };
        match offer {
            Offer::Send(packet_id) => {
                let packet = self.encode(version, outgoing, qos, false, Some(packet_id));
                self.push(&packet);
            }
            Offer::SendUnacknowledged => self.push(&packet),
            Offer::Queued | Offer::QueuedUntilStored | Offer::Offline => {}
            Offer::Refused(full) => {
                let client_id = member.client_id.to_string();
                self.notes.push(Note::Refused { client_id, nth, queued: full.messages });
            }
        }
    }

    fn drain(&mut self, member: &mut Member) {
        while let Some((version, room, _)) = &self.wire
            && **room > 0
            && let Some(outbound) = member.session.next_outbound()
        {
            let packet = match outbound {
                Outbound::Pubrel { packet_id } => pubrel(*version, packet_id),
                Outbound::Publish { packet_id, qos, message, dup } => {
                    let is_expired =
                        message.message.is_expired(self.now) && self.fault != Some(Fault::ExpiredSent);
                    if !dup && is_expired {
                        member.session.drop_outbound(packet_id).expect("it has just been put in flight");
                        self.notes.push(Note::Expired { client_id: member.client_id.to_string() });
                        continue;
                    }
                    let dup = dup && self.fault != Some(Fault::DupForgotten);
                    self.encode(*version, &message, qos, dup, Some(packet_id))
                }
            };
            self.push(&packet);
        }
    }

    fn room(&self) -> usize {
        self.wire.as_ref().map_or(0, |(_, room, _)| **room)
    }

    fn push(&mut self, packet: &[u8]) {
        if let Some((_, room, output)) = &mut self.wire {
            **room = room.saturating_sub(packet.len());
            output.extend_from_slice(packet);
        }
    }

    fn encode(
        &self,
        version: ProtocolVersion,
        outgoing: &Outgoing,
        qos: QoS,
        dup: bool,
        packet_id: Option<PacketId>,
    ) -> Vec<u8> {
        let message = &outgoing.message;
        let received = Properties::from_raw(&message.properties, PropertyPlace::PublishFromClient)
            .expect("properties were validated when the message came");
        let identifiers: Vec<NonZeroU32> =
            outgoing.identifiers.iter().filter_map(|identifier| NonZeroU32::new(*identifier)).collect();
        let left = |at: Time| u32::try_from(at.since(self.now).as_secs()).unwrap_or(u32::MAX);
        let head = PublishHead {
            dup,
            qos,
            retain: outgoing.retain,
            topic: &message.topic,
            packet_id,
            properties: ForwardProperties {
                received,
                message_expiry: message.expires_at.map(left),
                subscription_ids: &identifiers,
                topic_alias: None,
            },
            payload_len: message.payload.len(),
        };
        let mut packet = Vec::new();
        encode_publish(&mut packet, version, &head, &message.payload)
            .expect("what came in a packet fits one");
        packet
    }
}

/// Turns the order of the messages round and leaves everything else where it is.
fn reverse_messages(items: &mut [Item]) {
    let is_message = |item: &Item| matches!(item, Item::Message { .. });
    let (mut from, mut to) = (0, items.len());
    while let Some(first) = (from..to).find(|at| is_message(&items[*at]))
        && let Some(last) = (first + 1..to).rev().find(|at| is_message(&items[*at]))
    {
        items.swap(first, last);
        (from, to) = (first + 1, last);
    }
}

fn pubrel(version: ProtocolVersion, packet_id: PacketId) -> Vec<u8> {
    let (ack_type, reason) = (AckType::Pubrel, ReasonCode::Success);
    let mut packet = Vec::new();
    encode_ack(&mut packet, version, &Ack { ack_type, packet_id, reason, properties: Properties::EMPTY })
        .expect("PUBREL with success is legal in every version");
    packet
}
