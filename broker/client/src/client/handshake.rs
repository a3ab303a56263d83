//! Handling of each packet from the server.

use lotmq_codec::{Ack, AckType, PacketId, Properties, Publish, QoS, ReasonCode, ServerPacket, encode_ack};

use super::Client;
use crate::{AckMode, ClientError, Message, Packet};

impl Client {
    /// Acknowledges a message, in [`AckMode::Manual`]: PUBACK at QoS 1, PUBREC at QoS 2, nothing at
    /// QoS 0.
    ///
    /// # Errors
    /// [`ClientError::Encode`] for a reason that the packet cannot carry, [`ClientError::Closed`],
    /// [`ClientError::Io`].
    pub fn acknowledge(&mut self, message: &Message, reason: ReasonCode) -> Result<(), ClientError> {
        let Some(packet_id) = message.packet_id else { return Ok(()) };
        let ack_type = if message.qos == QoS::ExactlyOnce { AckType::Pubrec } else { AckType::Puback };
        if ack_type == AckType::Pubrec && !reason.is_failure() {
            self.unreleased.insert(packet_id);
        }
        self.send_ack(ack_type, packet_id, reason)
    }

    /// Sends an acknowledgement as it is, whatever the client knows of it.
    ///
    /// # Errors
    /// As [`Client::acknowledge`].
    pub fn send_ack(
        &mut self,
        ack_type: AckType,
        packet_id: PacketId,
        reason: ReasonCode,
    ) -> Result<(), ClientError> {
        let ack = Ack { ack_type, packet_id, reason, properties: Properties::EMPTY };
        let mut packet = Vec::new();
        encode_ack(&mut packet, self.connection.version(), &ack)?;
        self.connection.send(&packet)
    }

    pub(super) fn handle(&mut self, packet: &Packet) -> Result<(), ClientError> {
        match packet.decode()? {
            ServerPacket::Publish(publish) => self.handle_publish(&publish),
            ServerPacket::Ack(ack) if ack.ack_type == AckType::Pubrel => self.handle_pubrel(ack.packet_id),
            ServerPacket::Ack(ack) => match self.outbound.handle_ack(&ack)? {
                Some(packet_id) => self.send_ack(AckType::Pubrel, packet_id, ReasonCode::Success),
                None => Ok(()),
            },
            ServerPacket::Pingresp => {
                self.pings_awaited = self.pings_awaited.saturating_sub(1);
                Ok(())
            }
            ServerPacket::Disconnect(disconnect) => Err(ClientError::Disconnected {
                reason: disconnect.reason,
                text: disconnect.properties.reason_string().unwrap_or_default().to_owned(),
            }),
            ServerPacket::Connack(_)
            | ServerPacket::Suback(_)
            | ServerPacket::Unsuback(_)
            | ServerPacket::Auth(_) => Err(ClientError::Unexpected { packet_type: packet.packet_type() }),
        }
    }

    fn handle_publish(&mut self, publish: &Publish<'_>) -> Result<(), ClientError> {
        let topic = self.resolve_topic(publish);
        let message = Message::copy(publish, topic);
        let is_repeat = publish.qos == QoS::ExactlyOnce
            && publish.packet_id.is_some_and(|packet_id| self.unreleased.contains(&packet_id));
        if self.ack_mode == AckMode::Automatic || is_repeat {
            self.acknowledge(&message, ReasonCode::Success)?;
        }
        if is_repeat {
            return Ok(());
        }
        self.inbox.push(message)
    }

    /// The topic, by its alias if it has one; an alias without a topic that was never given stays
    /// empty.
    fn resolve_topic(&mut self, publish: &Publish<'_>) -> String {
        let Some(alias) = publish.properties.topic_alias() else { return publish.topic.to_owned() };
        if publish.topic.is_empty() {
            return self.aliases.get(&alias.get()).cloned().unwrap_or_default();
        }
        self.aliases.insert(alias.get(), publish.topic.to_owned());
        publish.topic.to_owned()
    }

    fn handle_pubrel(&mut self, packet_id: PacketId) -> Result<(), ClientError> {
        let is_known = self.unreleased.remove(&packet_id);
        let reason = if is_known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        self.send_ack(AckType::Pubcomp, packet_id, reason)
    }
}
