//! What each packet of a Client does; after `broker/core/src/protocol`.

use std::rc::Rc;
use std::time::Duration;

use lotmq_codec::limits::PACKET_BYTES_MAX;
use lotmq_codec::{
    Ack, AckType, ClientPacket, FixedHeader, PacketId, Properties, PropertyBuf, PropertyId, ProtocolVersion,
    Publish, QoS, ReasonCode, RetainHandling, Subscribe, Unsubscribe, encode_ack, encode_pingresp,
    encode_suback, encode_unsuback, fixed_header,
};
use lotmq_router::{parse_shared, topic_filter_valid};
use lotmq_session::{AckRefusal, InboundPublish, PublishRefusal, PubrecOutcome, PubrelOutcome};

use super::routing::Subscriber;
use super::{Broker, ConnectionId, Item, Message};
use crate::fault::Fault;

/// Why a connection is closed by the broker or by DISCONNECT.
enum Close {
    /// DISCONNECT with this reason.
    Asked(ReasonCode),
    /// The Client broke a rule.
    Protocol,
}

type Handled = Result<(), Close>;

impl Broker {
    /// Handles every whole packet and keeps the rest.
    pub(super) fn consume(&mut self, id: ConnectionId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.partial.extend_from_slice(bytes);
        let all = std::mem::take(&mut connection.partial);
        let mut rest = &all[..];
        loop {
            let header = match fixed_header(rest, PACKET_BYTES_MAX) {
                Ok(header) => header.filter(|header| header.packet_len() <= rest.len()),
                Err(_) => return self.close(id, false),
            };
            let Some(header) = header else { break };
            let (packet, later) = rest.split_at(header.packet_len());
            rest = later;
            match self.handle(id, header, &packet[usize::from(header.header_len)..]) {
                Ok(()) => {}
                Err(Close::Asked(reason)) => return self.close(id, reason == ReasonCode::Success),
                Err(Close::Protocol) => return self.close(id, false),
            }
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.partial = rest.to_vec();
        }
    }

    fn handle(&mut self, id: ConnectionId, header: FixedHeader, body: &[u8]) -> Handled {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&id) else { return Err(Close::Protocol) };
        let Some(open) = &mut connection.open else {
            return match ClientPacket::decode(&header, body, ProtocolVersion::V5) {
                Ok(ClientPacket::Connect(connect)) => {
                    self.connect(id, &connect);
                    Ok(())
                }
                Ok(_) | Err(_) => Err(Close::Protocol),
            };
        };
        open.keep_alive.handle_packet(now);
        let (version, session) = (open.version, open.session);
        match ClientPacket::decode(&header, body, version).map_err(|_| Close::Protocol)? {
            ClientPacket::Publish(publish) => self.publish(session, version, &publish),
            ClientPacket::Ack(ack) => {
                self.acknowledged(session, version, &ack);
                Ok(())
            }
            ClientPacket::Subscribe(subscribe) => {
                self.subscribe(session, version, &subscribe);
                Ok(())
            }
            ClientPacket::Unsubscribe(unsubscribe) => {
                self.unsubscribe(session, version, &unsubscribe);
                Ok(())
            }
            ClientPacket::Pingreq => {
                self.control(session, encode_pingresp);
                Ok(())
            }
            ClientPacket::Disconnect(disconnect) => {
                let interval = disconnect.properties.session_expiry_interval();
                let Some(member) = self.members.get_mut(&session) else { return Err(Close::Protocol) };
                let expiry = member.expiry.after_disconnect(interval, lotmq_session::SessionExpiry::NEVER);
                member.expiry = expiry.map_err(|_| Close::Protocol)?;
                Err(Close::Asked(disconnect.reason))
            }
            ClientPacket::Connect(_) | ClientPacket::Auth(_) => Err(Close::Protocol),
        }
    }

    fn publish(&mut self, session: u64, version: ProtocolVersion, publish: &Publish<'_>) -> Handled {
        let breaks_dedup = self.is(Fault::Qos2Deduplication);
        let Some(member) = self.members.get_mut(&session) else { return Err(Close::Protocol) };
        let mut inbound = member.session.handle_publish(publish.qos, publish.packet_id);
        if breaks_dedup && inbound == Ok(InboundPublish::Duplicate) {
            inbound = Ok(InboundPublish::Deliver);
        }
        match inbound {
            Ok(InboundPublish::Deliver) => {
                let message = self.message(publish);
                self.route(&message, Some(session));
            }
            Ok(InboundPublish::Duplicate) => {}
            Err(PublishRefusal::PacketIdInUse { packet_id }) if version.has_properties() => {
                self.acknowledge(
                    session,
                    version,
                    AckType::Puback,
                    packet_id,
                    ReasonCode::PacketIdentifierInUse,
                );
                return Ok(());
            }
            Err(_) => return Err(Close::Protocol),
        }
        let Some(packet_id) = publish.packet_id else { return Ok(()) };
        if publish.qos == QoS::AtLeastOnce {
            if let Some(member) = self.members.get_mut(&session) {
                member.session.inbound_acknowledged(packet_id);
            }
            self.acknowledge(session, version, AckType::Puback, packet_id, ReasonCode::Success);
        } else {
            self.acknowledge(session, version, AckType::Pubrec, packet_id, ReasonCode::Success);
        }
        Ok(())
    }

    fn message(&self, publish: &Publish<'_>) -> Rc<Message> {
        let mut properties = PropertyBuf::new();
        properties.extend(publish.properties, |id| id != PropertyId::TopicAlias);
        let lifetime = publish.properties.message_expiry_interval();
        Rc::new(Message {
            topic: publish.topic.into(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            retain: publish.retain,
            properties: properties.properties().raw().to_vec(),
            expires_at: lifetime.map(|seconds| self.now.plus(Duration::from_secs(seconds.into()))),
        })
    }

    fn acknowledged(&mut self, session: u64, version: ProtocolVersion, ack: &Ack<'_>) {
        let keeps_exchange = self.is(Fault::PubrelIgnored);
        let Some(member) = self.members.get_mut(&session) else { return };
        let packet_id = ack.packet_id;
        match ack.ack_type {
            AckType::Puback => {
                if member.session.handle_puback(packet_id).is_ok() {
                    self.touch(session, Item::Drain);
                }
            }
            AckType::Pubrec => match member.session.handle_pubrec(packet_id, ack.reason) {
                Ok(PubrecOutcome::SendPubrel { .. }) => {
                    self.acknowledge(session, version, AckType::Pubrel, packet_id, ReasonCode::Success);
                }
                Ok(PubrecOutcome::Finished(_)) => self.touch(session, Item::Drain),
                Err(AckRefusal::PacketIdNotFound { .. }) => {
                    let reason = ReasonCode::PacketIdentifierNotFound;
                    self.acknowledge(session, version, AckType::Pubrel, packet_id, reason);
                }
                Err(_) => {}
            },
            AckType::Pubrel => {
                let outcome = match keeps_exchange {
                    true => PubrelOutcome::Released,
                    false => member.session.handle_pubrel(packet_id),
                };
                let reason = match outcome {
                    PubrelOutcome::Released => ReasonCode::Success,
                    PubrelOutcome::Unknown => ReasonCode::PacketIdentifierNotFound,
                };
                self.acknowledge(session, version, AckType::Pubcomp, packet_id, reason);
            }
            AckType::Pubcomp => {
                if member.session.handle_pubcomp(packet_id).is_ok() {
                    self.touch(session, Item::Drain);
                }
            }
        }
    }

    fn subscribe(&mut self, session: u64, version: ProtocolVersion, subscribe: &Subscribe<'_>) {
        let identifier = subscribe.properties.subscription_identifier();
        let mut codes = Vec::new();
        let mut replays = Vec::new();
        for wanted in subscribe.filters() {
            if topic_filter_valid(wanted.filter).is_err() {
                codes.push(ReasonCode::TopicFilterInvalid);
                continue;
            }
            let subscriber =
                Subscriber { options: wanted.options, identifier: identifier.map(|id| id.get()) };
            let is_new = self.add_subscription(session, wanted.filter, subscriber);
            codes.push(ReasonCode::granted(wanted.options.qos));
            let replays_now = match wanted.options.retain_handling {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => is_new,
                RetainHandling::DoNotSend => false,
            };
            if replays_now && parse_shared(wanted.filter) == Ok(None) {
                replays.push((wanted.filter.to_owned(), subscriber));
            }
        }
        self.control(session, |out| {
            encode_suback(out, version, subscribe.packet_id, Properties::EMPTY, &codes)
                .expect("these codes fit SUBACK");
        });
        for (filter, subscriber) in replays {
            self.replay(session, &filter, subscriber);
        }
    }

    fn unsubscribe(&mut self, session: u64, version: ProtocolVersion, unsubscribe: &Unsubscribe<'_>) {
        let mut codes = Vec::new();
        for filter in unsubscribe.filters() {
            let existed = match self.is(Fault::UnsubscribeIgnored) {
                true => self.members.get(&session).is_some_and(|member| member.filters.contains(filter)),
                false => self.remove_subscription(session, filter),
            };
            codes.push(if existed { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted });
        }
        self.control(session, |out| {
            encode_unsuback(out, version, unsubscribe.packet_id, Properties::EMPTY, &codes)
                .expect("these codes fit UNSUBACK");
        });
    }

    pub(super) fn control(&mut self, session: u64, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut packet = Vec::new();
        encode(&mut packet);
        self.touch(session, Item::Control(packet));
    }

    fn acknowledge(
        &mut self,
        session: u64,
        version: ProtocolVersion,
        ack_type: AckType,
        packet_id: PacketId,
        reason: ReasonCode,
    ) {
        let ack = Ack { ack_type, packet_id, reason, properties: Properties::EMPTY };
        self.control(session, |out| encode_ack(out, version, &ack).expect("these codes fit the packet"));
    }
}
