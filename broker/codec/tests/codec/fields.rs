//! Text form of a packet's fields, to compare two implementations.
//!
//! This file renders our packets. The file of each oracle renders those of the oracle, with the
//! same functions.

use lotmq_codec::{Ack, AckType, ClientPacket, ProtocolVersion, Publish, ReasonCode, ServerPacket};

/// A Will's topic, payload, QoS, RETAIN and properties.
pub(crate) type Will<'a> = (&'a str, &'a [u8], u8, bool, &'a [u8]);

pub(crate) struct Connect<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) clean_start: bool,
    pub(crate) keep_alive: u16,
    pub(crate) will: Option<Will<'a>>,
    pub(crate) user_name: Option<&'a str>,
    pub(crate) password: Option<&'a [u8]>,
    pub(crate) properties: &'a [u8],
}

pub(crate) fn connect(fields: &Connect<'_>) -> String {
    let Connect { client_id, clean_start, keep_alive, will, user_name, password, properties } = fields;
    format!(
        "CONNECT {client_id:?} clean {clean_start} keep alive {keep_alive} will {will:02X?} user {user_name:?} {password:02X?} \
         {properties:02X?}"
    )
}

pub(crate) struct Published<'a> {
    pub(crate) flags: (bool, u8, bool),
    pub(crate) topic: &'a str,
    pub(crate) packet_id: Option<u16>,
    pub(crate) properties: &'a [u8],
    pub(crate) payload: &'a [u8],
}

pub(crate) fn publish(fields: &Published<'_>) -> String {
    let Published { flags: (dup, qos, retain), topic, packet_id, properties, payload } = fields;
    format!(
        "PUBLISH dup {dup} qos {qos} retain {retain} {topic:?} {packet_id:?} {properties:02X?} {payload:02X?}"
    )
}

/// Renders a packet of an identifier, codes and properties; missing parts are 0 or empty.
pub(crate) fn plain(name: &str, packet_id: u16, codes: &[u8], properties: &[u8]) -> String {
    format!("{name} {packet_id} {codes:02X?} {properties:02X?}")
}

/// Topic Filters, with the byte of their options where they have one.
pub(crate) fn filters(name: &str, packet_id: u16, filters: &[(String, u8)], properties: &[u8]) -> String {
    format!("{name} {packet_id} {filters:02X?} {properties:02X?}")
}

fn ack(ack: &Ack<'_>) -> String {
    let name = match ack.ack_type {
        AckType::Puback => "PUBACK",
        AckType::Pubrec => "PUBREC",
        AckType::Pubrel => "PUBREL",
        AckType::Pubcomp => "PUBCOMP",
    };
    plain(name, ack.packet_id.get(), &[ack.reason.byte()], ack.properties.raw())
}

fn published(found: &Publish<'_>) -> String {
    publish(&Published {
        flags: (found.dup, found.qos.bits(), found.retain),
        topic: found.topic,
        packet_id: found.packet_id.map(|packet_id| packet_id.get()),
        properties: found.properties.raw(),
        payload: found.payload,
    })
}

/// The text of a Client's packet.
pub(crate) fn of_client(packet: &ClientPacket<'_>) -> String {
    match packet {
        ClientPacket::Connect(found) => connect(&Connect {
            client_id: found.client_id,
            clean_start: found.clean_start,
            keep_alive: found.keep_alive,
            will: found
                .will
                .map(|will| (will.topic, will.payload, will.qos.bits(), will.retain, will.properties.raw())),
            user_name: found.user_name,
            password: found.password,
            properties: found.properties.raw(),
        }),
        ClientPacket::Publish(publish) => published(publish),
        ClientPacket::Ack(found) => ack(found),
        ClientPacket::Subscribe(found) => {
            let all: Vec<_> =
                found.filters().map(|one| (one.filter.to_owned(), one.options.byte())).collect();
            filters("SUBSCRIBE", found.packet_id.get(), &all, found.properties.raw())
        }
        ClientPacket::Unsubscribe(found) => {
            let all: Vec<_> = found.filters().map(|filter| (filter.to_owned(), 0)).collect();
            filters("UNSUBSCRIBE", found.packet_id.get(), &all, found.properties.raw())
        }
        ClientPacket::Pingreq => plain("PINGREQ", 0, &[], &[]),
        ClientPacket::Disconnect(found) => {
            plain("DISCONNECT", 0, &[found.reason.byte()], found.properties.raw())
        }
        ClientPacket::Auth(found) => plain("AUTH", 0, &[found.reason.byte()], found.properties.raw()),
    }
}

/// The text of a server's packet; codes are as this version sends them.
pub(crate) fn of_server(packet: &ServerPacket<'_>, version: ProtocolVersion) -> String {
    match packet {
        ServerPacket::Connack(found) => {
            let code = match version.has_properties() {
                true => found.reason.byte(),
                false => found.reason.connect_return_code().expect("a code of this version"),
            };
            plain("CONNACK", found.session_present.into(), &[code], found.properties.raw())
        }
        ServerPacket::Publish(publish) => published(publish),
        ServerPacket::Ack(found) => ack(found),
        ServerPacket::Suback(found) => {
            let codes: Vec<u8> = found.codes().map(|code| code.suback_byte(version)).collect();
            plain("SUBACK", found.packet_id.get(), &codes, found.properties.raw())
        }
        ServerPacket::Unsuback(found) => {
            let codes: Vec<u8> = found.codes().map(ReasonCode::byte).collect();
            plain("UNSUBACK", found.packet_id.get(), &codes, found.properties.raw())
        }
        ServerPacket::Pingresp => plain("PINGRESP", 0, &[], &[]),
        ServerPacket::Disconnect(found) => {
            plain("DISCONNECT", 0, &[found.reason.byte()], found.properties.raw())
        }
        ServerPacket::Auth(found) => plain("AUTH", 0, &[found.reason.byte()], found.properties.raw()),
    }
}
