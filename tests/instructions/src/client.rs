//! Client of a scenario: the packets that it sends, and the answers that it owes to what it
//! receives.

use anyhow::{Context as _, Result, bail, ensure};
use lotmq_codec::limits::PACKET_BYTES_MAX;
use lotmq_codec::{
    Ack, AckType, Connect, Disconnect, ForwardProperties, PacketId, Properties, ProtocolVersion, PublishHead,
    QoS, ReasonCode, RetainHandling, ServerPacket, SubscribeFilter, SubscriptionOptions, encode_ack,
    encode_connect, encode_disconnect_from_client, encode_publish, encode_subscribe, fixed_header,
};

use crate::broker::{Broker, ConnectionPlace};

const VERSION: ProtocolVersion = ProtocolVersion::V3_1_1;

/// Payload of each message, in bytes; as in the load generator of the performance page.
const PAYLOAD_BYTES: usize = 256;

/// A connected client.
pub(crate) struct Client {
    pub(crate) place: ConnectionPlace,
    last_packet_id: PacketId,
    partial: Vec<u8>,
    /// Messages that were received.
    pub(crate) received: u64,
    /// Exchanges of this client as a publisher that have ended.
    pub(crate) acknowledged: u64,
}

impl Client {
    /// Connects a client with a clean session.
    pub(crate) fn connect(broker: &mut Broker, client_id: &str) -> Result<Self> {
        let place = broker.accept();
        broker.arrive(place, &connect(client_id)?);
        broker.settle();
        let mut client = Self {
            place,
            last_packet_id: first_packet_id(),
            partial: Vec::new(),
            received: 0,
            acknowledged: 0,
        };
        client.answer(broker)?;
        ensure!(!broker.is_closed(place), "the broker closed the connection of {client_id}");
        Ok(client)
    }

    /// Subscribes to a filter.
    pub(crate) fn subscribe(&mut self, broker: &mut Broker, filter: &str, qos: QoS) -> Result<()> {
        let options = SubscriptionOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        let mut packet = Vec::new();
        let filters = [SubscribeFilter { filter, options }];
        encode_subscribe(&mut packet, VERSION, self.next_packet_id(), Properties::EMPTY, &filters)?;
        broker.arrive(self.place, &packet);
        broker.settle();
        self.answer(broker)?;
        Ok(())
    }

    /// Appends a PUBLISH to what is to be sent.
    pub(crate) fn publish(&mut self, out: &mut Vec<u8>, topic: &str, qos: QoS) -> Result<()> {
        let head = PublishHead {
            dup: false,
            qos,
            retain: false,
            topic,
            packet_id: (qos != QoS::AtMostOnce).then(|| self.next_packet_id()),
            properties: ForwardProperties::unaltered(Properties::EMPTY),
            payload_len: PAYLOAD_BYTES,
        };
        encode_publish(out, VERSION, &head, &[b'.'; PAYLOAD_BYTES])?;
        Ok(())
    }

    fn next_packet_id(&mut self) -> PacketId {
        self.last_packet_id = self.last_packet_id.next();
        self.last_packet_id
    }

    /// Reads what has come and sends the acknowledgements that it asks for; whether there were any.
    pub(crate) fn answer(&mut self, broker: &mut Broker) -> Result<bool> {
        self.partial.extend(broker.take(self.place));
        let mut answers = Vec::new();
        let received = std::mem::take(&mut self.partial);
        let mut rest = &received[..];
        while let Some(header) = fixed_header(rest, PACKET_BYTES_MAX)?
            && header.packet_len() <= rest.len()
        {
            let (packet, later) = rest.split_at(header.packet_len());
            rest = later;
            let body = &packet[usize::from(header.header_len)..];
            self.handle(&ServerPacket::decode(&header, body, VERSION)?, &mut answers)?;
        }
        self.partial = rest.to_vec();
        if !answers.is_empty() {
            broker.arrive(self.place, &answers);
        }
        Ok(!answers.is_empty())
    }

    fn handle(&mut self, packet: &ServerPacket<'_>, answers: &mut Vec<u8>) -> Result<()> {
        let (ack_type, packet_id) = match packet {
            ServerPacket::Publish(publish) => {
                self.received += 1;
                let ack_type = match publish.qos {
                    QoS::AtMostOnce => return Ok(()),
                    QoS::AtLeastOnce => AckType::Puback,
                    QoS::ExactlyOnce => AckType::Pubrec,
                };
                (ack_type, publish.packet_id.context("a PUBLISH without an identifier")?)
            }
            ServerPacket::Ack(ack) => match ack.ack_type {
                AckType::Pubrec => (AckType::Pubrel, ack.packet_id),
                AckType::Pubrel => (AckType::Pubcomp, ack.packet_id),
                AckType::Puback | AckType::Pubcomp => {
                    self.acknowledged += 1;
                    return Ok(());
                }
            },
            ServerPacket::Connack(connack) if connack.reason.is_failure() => {
                bail!("CONNACK: {}", connack.reason.text())
            }
            ServerPacket::Disconnect(disconnect) => bail!("DISCONNECT: {}", disconnect.reason.text()),
            ServerPacket::Connack(_)
            | ServerPacket::Suback(_)
            | ServerPacket::Unsuback(_)
            | ServerPacket::Pingresp
            | ServerPacket::Auth(_) => return Ok(()),
        };
        let ack = Ack { ack_type, packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY };
        encode_ack(answers, VERSION, &ack)?;
        Ok(())
    }
}

fn first_packet_id() -> PacketId {
    PacketId::new(1).expect("1 is a Packet Identifier")
}

/// CONNECT of a client with a clean session.
pub(crate) fn connect(client_id: &str) -> Result<Vec<u8>> {
    let mut packet = Vec::new();
    let connect = Connect {
        version: VERSION,
        clean_start: true,
        keep_alive: 60,
        properties: Properties::EMPTY,
        client_id,
        will: None,
        user_name: None,
        password: None,
    };
    encode_connect(&mut packet, &connect)?;
    Ok(packet)
}

/// DISCONNECT of a client that leaves as it should.
pub(crate) fn disconnect() -> Result<Vec<u8>> {
    let mut packet = Vec::new();
    let disconnect = Disconnect { reason: ReasonCode::Success, properties: Properties::EMPTY };
    encode_disconnect_from_client(&mut packet, VERSION, &disconnect)?;
    Ok(packet)
}
