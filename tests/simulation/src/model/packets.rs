//! What each packet that the broker reads must bring about.

use std::rc::Rc;
use std::time::Duration;

use lotmq_codec::limits::PACKET_BYTES_MAX;
use lotmq_codec::{
    Ack, AckType, ClientPacket, FixedHeader, ProtocolVersion, Publish, QoS, ReasonCode, RetainHandling,
    Subscribe, Unsubscribe, fixed_header,
};

use super::{Answer, Awaits, Checked, Content, Model, Subscription, rules};
use crate::broker::{ConnectionId, RECEIVE_MAXIMUM};

/// Whether the connection goes on.
#[derive(PartialEq)]
enum Then {
    GoesOn,
    /// The broker must close it; `true` when a DISCONNECT discarded the Will.
    Closes(bool),
}

impl Model {
    /// The broker has read these bytes.
    pub(crate) fn receive(&mut self, id: ConnectionId, bytes: &[u8]) -> Checked {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
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
            if let Then::Closes(is_normal) =
                self.read(id, header, &packet[usize::from(header.header_len)..])?
            {
                return self.close(id, is_normal);
            }
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.partial = rest.to_vec();
        }
        Ok(())
    }

    fn read(&mut self, id: ConnectionId, header: FixedHeader, body: &[u8]) -> Checked<Then> {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(Then::Closes(false)) };
        let Some(open) = &mut connection.open else {
            if let Ok(ClientPacket::Connect(connect)) =
                ClientPacket::decode(&header, body, ProtocolVersion::V5)
            {
                self.connect(id, &connect)?;
                return Ok(Then::GoesOn);
            }
            return Ok(Then::Closes(false));
        };
        open.last_packet = now;
        let (version, session) = (open.version, open.session);
        let Ok(packet) = ClientPacket::decode(&header, body, version) else { return Ok(Then::Closes(false)) };
        match packet {
            ClientPacket::Publish(publish) => return self.publish(id, version, session, &publish),
            ClientPacket::Ack(ack) => self.acknowledged(id, version, session, &ack),
            ClientPacket::Subscribe(subscribe) => self.subscribe(id, session, &subscribe),
            ClientPacket::Unsubscribe(unsubscribe) => self.unsubscribe(id, version, session, &unsubscribe),
            ClientPacket::Pingreq => self.answer(id, Answer::Pingresp),
            ClientPacket::Disconnect(disconnect) => {
                let Some(session) = self.sessions.get_mut(&session) else { return Ok(Then::Closes(false)) };
                match disconnect.properties.session_expiry_interval() {
                    Some(1..) if session.expiry == 0 => return Ok(Then::Closes(false)),
                    Some(seconds) => session.expiry = seconds,
                    None => {}
                }
                return Ok(Then::Closes(disconnect.reason == ReasonCode::Success));
            }
            ClientPacket::Connect(_) | ClientPacket::Auth(_) => return Ok(Then::Closes(false)),
        }
        Ok(Then::GoesOn)
    }

    pub(super) fn answer(&mut self, id: ConnectionId, answer: Answer) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.answers.push_back(answer);
        }
    }

    fn acknowledge(
        &mut self,
        id: ConnectionId,
        version: ProtocolVersion,
        ack_type: AckType,
        packet_id: u16,
        reason: ReasonCode,
    ) {
        let reason = if version.has_properties() { reason } else { ReasonCode::Success };
        self.answer(id, Answer::Ack { ack_type, packet_id, reason });
    }

    fn publish(
        &mut self,
        id: ConnectionId,
        version: ProtocolVersion,
        number: u64,
        publish: &Publish<'_>,
    ) -> Checked<Then> {
        let Some(session) = self.sessions.get_mut(&number) else { return Ok(Then::Closes(false)) };
        let packet_id = publish.packet_id.map_or(0, |packet_id| packet_id.get());
        let known = session.open.get(&packet_id).copied();
        let inflight = session.open.values().filter(|counts| **counts).count();
        let is_full = version.has_properties() && inflight >= usize::from(RECEIVE_MAXIMUM);
        let is_new = match publish.qos {
            QoS::AtMostOnce => true,
            QoS::AtLeastOnce if known.is_some() && version.has_properties() => {
                self.acknowledge(id, version, AckType::Puback, packet_id, ReasonCode::PacketIdentifierInUse);
                return Ok(Then::GoesOn);
            }
            QoS::AtLeastOnce if known.is_some() || is_full => return Ok(Then::Closes(false)),
            QoS::AtLeastOnce => true,
            QoS::ExactlyOnce if is_full && known != Some(true) => return Ok(Then::Closes(false)),
            QoS::ExactlyOnce => session.open.insert(packet_id, true).is_none(),
        };
        if is_new {
            let lifetime = publish.properties.message_expiry_interval();
            let content = Content {
                topic: publish.topic.to_owned(),
                payload: publish.payload.to_vec(),
                qos: publish.qos,
                expires_at: lifetime.map(|seconds| self.now.plus(Duration::from_secs(seconds.into()))),
            };
            self.route(&Rc::new(content), publish.retain, Some(number))?;
        }
        match publish.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => {
                self.acknowledge(id, version, AckType::Puback, packet_id, ReasonCode::Success)
            }
            QoS::ExactlyOnce => {
                self.acknowledge(id, version, AckType::Pubrec, packet_id, ReasonCode::Success)
            }
        }
        Ok(Then::GoesOn)
    }

    fn acknowledged(&mut self, id: ConnectionId, version: ProtocolVersion, number: u64, ack: &Ack<'_>) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let packet_id = ack.packet_id.get();
        let at = session.pending.iter().position(|pending| pending.packet_id == Some(packet_id));
        let step = at.map(|at| session.pending[at].step);
        match (ack.ack_type, at, step) {
            (AckType::Puback, Some(at), Some(Awaits::Puback))
            | (AckType::Pubcomp, Some(at), Some(Awaits::Pubcomp)) => {
                session.pending.remove(at);
            }
            (AckType::Pubrec, Some(at), Some(Awaits::Pubrec | Awaits::Pubcomp)) => {
                if ack.reason.is_failure() {
                    session.pending.remove(at);
                    return;
                }
                let pending = &mut session.pending[at];
                (pending.step, pending.is_sent) = (Awaits::Pubcomp, true);
                self.acknowledge(id, version, AckType::Pubrel, packet_id, ReasonCode::Success);
            }
            (AckType::Pubrec, None, _) => {
                let reason = ReasonCode::PacketIdentifierNotFound;
                self.acknowledge(id, version, AckType::Pubrel, packet_id, reason);
            }
            (AckType::Pubrel, ..) => {
                let was_open = session.open.remove(&packet_id).is_some();
                let reason =
                    if was_open { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
                self.acknowledge(id, version, AckType::Pubcomp, packet_id, reason);
            }
            (AckType::Puback | AckType::Pubrec | AckType::Pubcomp, ..) => {}
        }
    }

    fn subscribe(&mut self, id: ConnectionId, number: u64, subscribe: &Subscribe<'_>) {
        let identifier = subscribe.properties.subscription_identifier().map(|identifier| identifier.get());
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let is_v5 = self
            .connections
            .get(&id)
            .and_then(|c| c.open)
            .is_some_and(|open| open.version == ProtocolVersion::V5);
        let mut codes = Vec::new();
        let mut replays = Vec::new();
        for wanted in subscribe.filters() {
            if !rules::filter_is_valid(wanted.filter) {
                codes.push(if is_v5 { 0x8F } else { 0x80 });
                continue;
            }
            let subscription = Subscription { options: wanted.options, identifier };
            let known = session.subscriptions.insert(wanted.filter.to_owned(), subscription);
            codes.push(wanted.options.qos.bits());
            let handling = wanted.options.retain_handling;
            let sends = handling == RetainHandling::Send
                || (handling == RetainHandling::SendIfNew && known.is_none());
            if sends && rules::share(wanted.filter).is_none() {
                replays.push((wanted.filter.to_owned(), wanted.options.qos));
            }
        }
        self.answer(id, Answer::Suback { packet_id: subscribe.packet_id.get(), codes });
        for (filter, qos) in replays {
            let all = self.retained.values();
            let matching = all.filter(|content| {
                rules::filter_matches(&filter, &content.topic) && !content.is_expired(self.now)
            });
            for content in matching.cloned().collect::<Vec<_>>() {
                self.deliver(number, &content, qos, true, identifier.into_iter().collect());
            }
        }
    }

    fn unsubscribe(
        &mut self,
        id: ConnectionId,
        version: ProtocolVersion,
        number: u64,
        packet: &Unsubscribe<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let mut remove = |filter| if session.subscriptions.remove(filter).is_some() { 0x00 } else { 0x11 };
        let mut codes: Vec<u8> = packet.filters().map(&mut remove).collect();
        if !version.has_properties() {
            codes.clear();
        }
        self.answer(id, Answer::Unsuback { packet_id: packet.packet_id.get(), codes });
    }
}
