//! Compares 3.1.1 with the crate `mqtt-protocol`, which shares no code with ours.
//!
//! Covers every packet type in both directions: same verdict, same fields, and same bytes when the
//! oracle encodes again. [`DIFFERENCES`] lists the accepted disagreements: each is leniency of the
//! oracle, or a rule of another layer here.
//! The fuzz target `differential` runs [`check`] too.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lotmq_codec::limits::PACKET_BYTES_MAX;
use lotmq_codec::*;
use mqtt::packet::VariablePacket;
use mqtt::packet::publish::QoSWithPacketIdentifier;
use mqtt::packet::suback::SubscribeReturnCode;
use mqtt::{Decodable, Encodable, QualityOfService, TopicFilter};

use crate::fields::{self, Published};

const VERSION: ProtocolVersion = ProtocolVersion::V3_1_1;

/// Packets with an intended disagreement: the bytes, whether we accept, and why. The oracle decides
/// the opposite.
///
/// A test checks that each row is still a disagreement, so remove a row when the oracle learns its
/// rule.
pub(crate) const DIFFERENCES: &[(&str, bool, &str)] = &[
    ("40 03 0001 00", false, "bytes behind the last field (§2.2.3)"),
    ("10 0E 0004 'MQTT' 04 02 0000 0003 'ab'", false, "a field that runs past the end (§1.5.3)"),
    ("30 06 0003 'a' 00 'b' 'h'", false, "U+0000 in a string [3.1.1: MQTT-1.5.3-2]"),
    ("40 02 0000", false, "identifier 0 [3.1.1: MQTT-2.3.1-1]"),
    ("82 02 0001", false, "SUBSCRIBE without a filter [3.1.1: MQTT-3.8.3-3]"),
    ("A2 02 0001", false, "UNSUBSCRIBE without a filter [3.1.1: MQTT-3.10.3-2]"),
    ("10 0D 0004 'MQTT' 04 22 0000 0001 'a'", false, "Will RETAIN without Will [3.1.1: MQTT-3.1.2-15]"),
    ("10 0D 0004 'MQTT' 04 0A 0000 0001 'a'", false, "Will QoS without Will [3.1.1: MQTT-3.1.2-13]"),
    ("10 12 0004 'MQTT' 04 1E 0000 0001 'a' 0001 't' 0000", false, "Will QoS 3 [3.1.1: MQTT-3.1.2-14]"),
    (
        "10 10 0004 'MQTT' 04 42 0000 0001 'a' 0001 'p'",
        false,
        "password without user name [3.1.1: MQTT-3.1.2-22]",
    ),
    (
        "10 0C 0004 'MQTT' 04 00 0000 0000",
        false,
        "no Client Identifier and Clean Session 0 [3.1.1: MQTT-3.1.3-8]",
    ),
    ("10 0D 0004 'MQTX' 04 02 0000 0001 'a'", false, "another protocol name [3.1.1: MQTT-3.1.2-1]"),
    (
        "10 0D 0004 'MQTT' 03 02 0000 0001 'a'",
        false,
        "the level of 3.1 under the name of 3.1.1 [3.1.1: MQTT-3.1.2-2]",
    ),
    ("20 02 01 05", false, "a session beside a refusal [3.1.1: MQTT-3.2.2-4]"),
    ("20 02 00 06", false, "reserved return codes (§3.2.2.3)"),
    ("38 04 0001 't' 'h'", false, "DUP at QoS 0 [3.1.1: MQTT-3.3.1-2]"),
    (
        "82 07 0001 0002 'a+' 00",
        true,
        "an invalid filter fails alone, with 0x80 in SUBACK [3.1.1: MQTT-3.8.4-5]",
    ),
    ("A2 06 0001 0002 '+a'", true, "an invalid filter matches no subscription (§3.10.4)"),
    ("10 13 0004 'MQTT' 04 C2 0000 0001 'a' 0001 'u' 0001 FF", true, "a password is binary (§3.1.3.5)"),
];

/// Decodes the bytes with the oracle. It panics on an unchecked subtraction if the topic of a
/// PUBLISH overruns, which counts as a rejection.
fn oracle(bytes: &[u8]) -> Option<VariablePacket> {
    catch_unwind(AssertUnwindSafe(|| VariablePacket::decode(&mut Cursor::new(bytes)).ok())).ok().flatten()
}

fn split(bytes: &[u8]) -> Result<(FixedHeader, &[u8]), DecodeError> {
    let header = fixed_header(bytes, PACKET_BYTES_MAX)?.ok_or(DecodeError::Truncated)?;
    let body =
        bytes.get(usize::from(header.header_len)..header.packet_len()).ok_or(DecodeError::Truncated)?;
    Ok((header, body))
}

fn ours(bytes: &[u8]) -> Result<ClientPacket<'_>, DecodeError> {
    let (header, body) = split(bytes)?;
    ClientPacket::decode(&header, body, VERSION)
}

fn ours_from_server(bytes: &[u8]) -> Result<ServerPacket<'_>, DecodeError> {
    let (header, body) = split(bytes)?;
    ServerPacket::decode(&header, body, VERSION)
}

fn quality(qos: QualityOfService) -> u8 {
    match qos {
        QualityOfService::Level0 => 0,
        QualityOfService::Level1 => 1,
        QualityOfService::Level2 => 2,
    }
}

fn level(qos: QoSWithPacketIdentifier) -> (u8, Option<u16>) {
    let (qos, packet_id) = qos.split();
    (quality(qos), packet_id)
}

fn return_code(code: SubscribeReturnCode) -> u8 {
    match code {
        SubscribeReturnCode::MaximumQoSLevel0 => 0,
        SubscribeReturnCode::MaximumQoSLevel1 => 1,
        SubscribeReturnCode::MaximumQoSLevel2 => 2,
        SubscribeReturnCode::Failure => 0x80,
    }
}

/// The text of the oracle's packet.
fn text(packet: &VariablePacket) -> String {
    let ack = |name, packet_id| fields::plain(name, packet_id, &[0], &[]);
    match packet {
        VariablePacket::ConnectPacket(found) => fields::connect(&fields::Connect {
            client_id: found.client_identifier(),
            clean_start: found.clean_session(),
            keep_alive: found.keep_alive(),
            will: found
                .will()
                .map(|(topic, payload)| (topic, payload, found.will_qos(), found.will_retain(), &[][..])),
            user_name: found.user_name(),
            password: found.password().map(str::as_bytes),
            properties: &[],
        }),
        VariablePacket::ConnackPacket(found) => {
            let code = found.connect_return_code().to_u8();
            fields::plain("CONNACK", found.connack_flags().session_present.into(), &[code], &[])
        }
        VariablePacket::PublishPacket(found) => {
            let (qos, packet_id) = level(found.qos());
            // The oracle's `dup()` reads a wrong bit; its encoder is right.
            let mut repeated = Vec::new();
            let is_written = found.encode(&mut repeated).is_ok();
            let dup = is_written && repeated.first().is_some_and(|first| first & 0x08 != 0);
            fields::publish(&Published {
                flags: (dup, qos, found.retain()),
                topic: found.topic_name(),
                packet_id,
                properties: &[],
                payload: found.payload(),
            })
        }
        VariablePacket::PubackPacket(found) => ack("PUBACK", found.packet_identifier()),
        VariablePacket::PubrecPacket(found) => ack("PUBREC", found.packet_identifier()),
        VariablePacket::PubrelPacket(found) => ack("PUBREL", found.packet_identifier()),
        VariablePacket::PubcompPacket(found) => ack("PUBCOMP", found.packet_identifier()),
        VariablePacket::SubscribePacket(found) => {
            let all = found.subscribes().iter().map(|(filter, qos)| (filter.to_string(), quality(*qos)));
            fields::filters("SUBSCRIBE", found.packet_identifier(), &all.collect::<Vec<_>>(), &[])
        }
        VariablePacket::SubackPacket(found) => {
            let codes: Vec<u8> = found.subscribes().iter().map(|code| return_code(*code)).collect();
            fields::plain("SUBACK", found.packet_identifier(), &codes, &[])
        }
        VariablePacket::UnsubscribePacket(found) => {
            let all: Vec<_> = found.subscribes().iter().map(|filter| (filter.to_string(), 0)).collect();
            fields::filters("UNSUBSCRIBE", found.packet_identifier(), &all, &[])
        }
        VariablePacket::UnsubackPacket(found) => {
            fields::plain("UNSUBACK", found.packet_identifier(), &[], &[])
        }
        VariablePacket::PingreqPacket(_) => fields::plain("PINGREQ", 0, &[], &[]),
        VariablePacket::PingrespPacket(_) => fields::plain("PINGRESP", 0, &[], &[]),
        VariablePacket::DisconnectPacket(_) => fields::plain("DISCONNECT", 0, &[0], &[]),
    }
}

/// Whether the oracle's objection to a packet that we accept is one of those above.
fn excused(packet: &ClientPacket<'_>) -> bool {
    match packet {
        ClientPacket::Subscribe(subscribe) => {
            subscribe.filters().any(|found| TopicFilter::new(found.filter).is_err())
        }
        ClientPacket::Unsubscribe(unsubscribe) => {
            unsubscribe.filters().any(|filter| TopicFilter::new(filter).is_err())
        }
        ClientPacket::Connect(connect) => {
            connect.password.is_some_and(|bytes| std::str::from_utf8(bytes).is_err())
        }
        ClientPacket::Publish(_)
        | ClientPacket::Ack(_)
        | ClientPacket::Pingreq
        | ClientPacket::Disconnect(_)
        | ClientPacket::Auth(_) => false,
    }
}

/// Whether our objection to a packet that the oracle accepts is one of those above.
fn stricter(error: DecodeError) -> bool {
    matches!(
        error,
        DecodeError::TrailingBytes { .. }
            | DecodeError::Truncated
            | DecodeError::StringContainsNul
            | DecodeError::PacketIdZero
            | DecodeError::NoTopicFilter
            | DecodeError::WillFlagsWithoutWill
            | DecodeError::WillQosInvalid
            | DecodeError::PasswordWithoutUserName
            | DecodeError::ClientIdEmpty
            | DecodeError::ProtocolNameInvalid
            | DecodeError::ProtocolLevelUnsupported { .. }
            | DecodeError::ConnackFlagsInvalid { .. }
            | DecodeError::ReasonCodeInvalid { packet_type: PacketType::Connack, .. }
            | DecodeError::Frame(
                FrameError::NotFromClient { .. }
                    | FrameError::NotFromServer { .. }
                    | FrameError::FlagsInvalid { .. }
            )
    )
}

/// Checks that both agree on these bytes, from a Client and from a server, except for the listed
/// disagreements.
///
/// # Panics
/// Panics if they disagree.
pub(crate) fn check(bytes: &[u8]) {
    if speaks_another_version(bytes) {
        return;
    }
    let theirs = oracle(bytes);
    match (ours(bytes), &theirs) {
        (Ok(ours), None) => assert!(excused(&ours), "only we accept {ours:?}"),
        (Err(error), Some(theirs)) => assert!(stricter(error), "only we refuse, {error}: {theirs:?}"),
        (Ok(ours), Some(theirs)) => {
            assert_eq!(fields::of_client(&ours), text(theirs), "{bytes:02X?}");
        }
        (Err(_), None) => {}
    }
    match (ours_from_server(bytes), &theirs) {
        (Ok(ours), None) => panic!("only we accept {ours:?}"),
        (Err(error), Some(theirs)) => assert!(stricter(error), "only we refuse, {error}: {theirs:?}"),
        (Ok(ours), Some(theirs)) => {
            assert_eq!(fields::of_server(&ours, VERSION), text(theirs), "{bytes:02X?}")
        }
        (Err(_), None) => {}
    }
}

/// A CONNECT of another version: the oracle reads it by the layout of 3.1.1, we by its own.
fn speaks_another_version(bytes: &[u8]) -> bool {
    let Ok((header, body)) = split(bytes) else { return false };
    header.packet_type() == PacketType::Connect
        && Connect::peek_version(body).is_some_and(|version| version != VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt::TopicName;
    use mqtt::packet::{PublishPacket, SubscribePacket};
    use proptest::prelude::*;

    use crate::hex;
    use crate::strategies::{client_packet, damaged, filters, packet_id, server_packet, topic};

    #[test]
    fn differences_are_real() {
        let is_wrong = |(packet, we_accept, _): &&(&str, bool, &str)| {
            let bytes = hex::bytes(packet);
            check(&bytes);
            let comes_from_server =
                matches!(ours(&bytes), Err(DecodeError::Frame(FrameError::NotFromClient { .. })));
            let accepted =
                if comes_from_server { ours_from_server(&bytes).is_ok() } else { ours(&bytes).is_ok() };
            accepted != *we_accept || oracle(&bytes).is_some() == *we_accept
        };
        let wrong: Vec<_> = DIFFERENCES.iter().filter(is_wrong).collect();
        assert!(wrong.is_empty(), "no such disagreement: {wrong:#?}");
    }

    proptest! {
        /// The oracle reads packets of our encoders, finds the same fields, and writes the same
        /// bytes again.
        #[test]
        fn oracle_reads_and_repeats_what_we_write(
            packet in prop_oneof![client_packet(VERSION), server_packet(VERSION)],
        ) {
            let read = oracle(&packet).expect("a legal packet");
            let mut repeated = Vec::new();
            read.encode(&mut repeated).unwrap();
            prop_assert_eq!(&repeated, &packet);
            check(&packet);
        }

        /// Our decoders read packets of the oracle's encoder.
        #[test]
        fn we_read_what_the_oracle_writes(
            topic in topic(), packet_id in packet_id(), payload in prop::collection::vec(any::<u8>(), 0..300),
            filters in filters(VERSION), retain in any::<bool>(),
        ) {
            let qos = QoSWithPacketIdentifier::new(theirs(filters[0].1.qos), packet_id.get());
            let mut publish = PublishPacket::new(TopicName::new(topic).unwrap(), qos, payload);
            publish.set_retain(retain);
            let mut bytes = Vec::new();
            publish.encode(&mut bytes).unwrap();
            prop_assert!(ours(&bytes).is_ok());
            check(&bytes);

            let wanted = filters.iter()
                .map(|(filter, options)| (TopicFilter::new(filter.clone()).unwrap(), theirs(options.qos)))
                .collect();
            let mut bytes = Vec::new();
            SubscribePacket::new(packet_id.get(), wanted).encode(&mut bytes).unwrap();
            prop_assert!(ours(&bytes).is_ok());
            check(&bytes);
        }

        /// On damaged packets both say the same, but for the disagreements listed above.
        #[test]
        fn verdicts_agree_on_damaged_packets(packet in damaged(client_packet(VERSION))) {
            check(&packet);
        }

        #[test]
        fn verdicts_agree_on_damaged_packets_of_a_server(packet in damaged(server_packet(VERSION))) {
            check(&packet);
        }
    }

    fn theirs(qos: QoS) -> QualityOfService {
        match qos {
            QoS::AtMostOnce => QualityOfService::Level0,
            QoS::AtLeastOnce => QualityOfService::Level1,
            QoS::ExactlyOnce => QualityOfService::Level2,
        }
    }
}
