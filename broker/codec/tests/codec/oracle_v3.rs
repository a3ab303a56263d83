//! 3.1.1 against crate `mqtt-protocol`, which shares no code with ours.
//!
//! Accepted disagreements, all of them the oracle's leniency or a rule that we leave to another layer:
//! - it leaves bytes behind the last field unread, takes a field that overruns the packet for a shorter one, and checks neither U+0000, nor identifier 0, nor the reserved bits of a filter's
//!   QoS, nor that CONNECT's flags agree with each other, nor an empty Client Identifier, nor CONNACK's
//!   flags and reserved return codes; we refuse all that (checklist §1, §2, §6);
//! - it refuses an invalid Topic Filter as a whole packet; ours goes on to SUBACK 0x80 for that filter alone [3.1.1: MQTT-3.8.4-5];
//! - it wants the password to be UTF-8; the standard says binary (§3.1.3.5);
//! - it speaks 5.0 levels under 3.1.1 layouts; ours dispatches by level.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lotmq_codec::limits::PACKET_BYTES_MAX;
use lotmq_codec::*;
use mqtt::packet::{PublishPacket, QoSWithPacketIdentifier, SubscribePacket, VariablePacket};
use mqtt::{Decodable, Encodable, QualityOfService, TopicFilter, TopicName};
use proptest::prelude::*;

use crate::strategies::{client_packet, damaged, filters, packet_id, server_packet, topic};

const VERSION: ProtocolVersion = ProtocolVersion::V3_1_1;

/// What the oracle makes of the bytes. It subtracts unchecked in a PUBLISH whose topic overruns, which panics: a refusal too.
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

fn level(qos: QoS, packet_id: PacketId) -> QoSWithPacketIdentifier {
    match qos {
        QoS::AtMostOnce => QoSWithPacketIdentifier::Level0,
        QoS::AtLeastOnce => QoSWithPacketIdentifier::Level1(packet_id.get()),
        QoS::ExactlyOnce => QoSWithPacketIdentifier::Level2(packet_id.get()),
    }
}

fn quality(qos: QoS) -> QualityOfService {
    match qos {
        QoS::AtMostOnce => QualityOfService::Level0,
        QoS::AtLeastOnce => QualityOfService::Level1,
        QoS::ExactlyOnce => QualityOfService::Level2,
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
            connect.version != VERSION
                || connect.password.is_some_and(|bytes| std::str::from_utf8(bytes).is_err())
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
            | DecodeError::SubscriptionOptionsReserved { .. }
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

proptest! {
    /// The oracle reads what our encoders write, and writes it again byte for byte.
    #[test]
    fn oracle_reads_and_repeats_what_we_write(
        packet in prop_oneof![client_packet(VERSION), server_packet(VERSION)],
    ) {
        let read = oracle(&packet).expect("a legal packet");
        let mut repeated = Vec::new();
        read.encode(&mut repeated).unwrap();
        prop_assert_eq!(repeated, packet);
    }

    #[test]
    fn connect_fields_agree(packet in client_packet(VERSION)) {
        let (Some(VariablePacket::ConnectPacket(theirs)), Ok(ClientPacket::Connect(ours))) = (oracle(&packet), ours(&packet))
        else { return Ok(()) };
        prop_assert_eq!(ours.client_id, theirs.client_identifier());
        prop_assert_eq!(ours.keep_alive, theirs.keep_alive());
        prop_assert_eq!(ours.clean_start, theirs.clean_session());
        prop_assert_eq!(ours.user_name, theirs.user_name());
        prop_assert_eq!(ours.password, theirs.password().map(str::as_bytes));
        prop_assert_eq!(ours.will.map(|will| (will.topic, will.payload)), theirs.will());
        prop_assert_eq!(ours.will.is_some_and(|will| will.retain), theirs.will_retain());
        prop_assert_eq!(ours.will.map_or(0, |will| will.qos.bits()), theirs.will_qos());
    }

    /// We read what the oracle writes.
    #[test]
    fn we_read_what_the_oracle_writes(
        topic in topic(), packet_id in packet_id(), payload in prop::collection::vec(any::<u8>(), 0..300),
        filters in filters(VERSION), retain in any::<bool>(),
    ) {
        let qos = filters[0].1.qos;
        let mut publish = PublishPacket::new(TopicName::new(topic.clone()).unwrap(), level(qos, packet_id), payload.clone());
        publish.set_retain(retain);
        let mut bytes = Vec::new();
        publish.encode(&mut bytes).unwrap();
        let Ok(ClientPacket::Publish(publish)) = ours(&bytes) else { panic!("{bytes:02X?}") };
        prop_assert_eq!((publish.topic, publish.payload, publish.retain), (&topic[..], &payload[..], retain));
        prop_assert_eq!((publish.qos, publish.packet_id), (qos, (qos != QoS::AtMostOnce).then_some(packet_id)));

        let theirs = filters.iter()
            .map(|(filter, options)| (TopicFilter::new(filter.clone()).unwrap(), quality(options.qos)))
            .collect();
        let mut bytes = Vec::new();
        SubscribePacket::new(packet_id.get(), theirs).encode(&mut bytes).unwrap();
        let Ok(ClientPacket::Subscribe(subscribe)) = ours(&bytes) else { panic!("{bytes:02X?}") };
        prop_assert_eq!(subscribe.packet_id, packet_id);
        let read: Vec<_> = subscribe.filters().map(|found| (found.filter.to_owned(), found.options)).collect();
        prop_assert_eq!(read, filters);
    }

    /// On damaged packets both say the same, but for the disagreements listed above.
    #[test]
    fn verdicts_agree_on_damaged_packets(packet in damaged(client_packet(VERSION))) {
        match (ours(&packet), oracle(&packet)) {
            (Ok(ours), None) => prop_assert!(excused(&ours), "only we accept {ours:?}"),
            (Err(error), Some(theirs)) => prop_assert!(stricter(error), "only we refuse, {error}: {theirs:?}"),
            (Ok(_), Some(_)) | (Err(_), None) => {}
        }
    }

    #[test]
    fn verdicts_agree_on_damaged_packets_of_a_server(packet in damaged(server_packet(VERSION))) {
        match (ours_from_server(&packet), oracle(&packet)) {
            (Ok(ours), None) => prop_assert!(false, "only we accept {ours:?}"),
            (Err(error), Some(theirs)) => prop_assert!(stricter(error), "only we refuse, {error}: {theirs:?}"),
            (Ok(_), Some(_)) | (Err(_), None) => {}
        }
    }
}
