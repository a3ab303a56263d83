//! 5.0 against crate `mqtt-protocol-core`, which shares no code with ours.
//!
//! Its parsers start behind the fixed header, so headers are compared in `refused` only. Accepted disagreements, all of them the
//! oracle's leniency or a rule that we leave to another layer:
//! - it checks neither U+0000, nor identifier 0 everywhere, nor wildcards in Topic Names, Will Topic and Response Topic, nor the
//!   reserved and Will bits of CONNECT's flags, nor data without method, nor shortest lengths; it allows a PUBLISH without Property
//!   Length, an empty Topic Name without alias, an AUTH with reason only, Subscription Identifiers from a Client and No Local on
//!   shared subscriptions; it does not tell directions apart in DISCONNECT and ignores CONNACK's reserved flags; we refuse all that (checklist §1, §2, §5, §6);
//! - it refuses a password without user name, which is the rule of 3.1.1 and not of 5.0 (§3.1.2.9);
//! - it refuses a bad share name as a whole packet; ours goes on to SUBACK 0x8F for that filter alone (checklist §10);
//! - it speaks 5.0 only; ours accepts 3.1 and 3.1.1 by their level.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use lotmq_codec::limits::PACKET_BYTES_MAX;
use lotmq_codec::*;
use mqtt_protocol_core::mqtt::packet::{Property, v5_0 as theirs};
use proptest::prelude::*;

use crate::strategies::{client_packet, damaged, publish, server_packet};

const VERSION: ProtocolVersion = ProtocolVersion::V5;

/// The packet as the oracle repeats it after reading; `None` when it refuses, leaves bytes unread, or panics.
fn oracle(bytes: &[u8]) -> Option<Vec<u8>> {
    let header = fixed_header(bytes, PACKET_BYTES_MAX).ok()??;
    let body = bytes.get(usize::from(header.header_len)..header.packet_len())?;
    catch_unwind(AssertUnwindSafe(|| repeat(&header, body))).ok().flatten()
}

fn repeat(header: &FixedHeader, body: &[u8]) -> Option<Vec<u8>> {
    macro_rules! parsed {
        ($packet:ty) => {{
            let (packet, consumed) = <$packet>::parse(body).ok()?;
            (consumed == body.len()).then(|| packet.to_continuous_buffer())
        }};
    }
    match header.packet_type() {
        PacketType::Connect => parsed!(theirs::Connect),
        PacketType::Connack => parsed!(theirs::Connack),
        PacketType::Publish => {
            let (packet, _) = theirs::Publish::parse(header.first_byte & 0x0F, Arc::from(body)).ok()?;
            Some(packet.to_continuous_buffer())
        }
        PacketType::Puback => parsed!(theirs::Puback),
        PacketType::Pubrec => parsed!(theirs::Pubrec),
        PacketType::Pubrel => parsed!(theirs::Pubrel),
        PacketType::Pubcomp => parsed!(theirs::Pubcomp),
        PacketType::Subscribe => parsed!(theirs::Subscribe),
        PacketType::Suback => parsed!(theirs::Suback),
        PacketType::Unsubscribe => parsed!(theirs::Unsubscribe),
        PacketType::Unsuback => parsed!(theirs::Unsuback),
        PacketType::Pingreq => parsed!(theirs::Pingreq),
        PacketType::Pingresp => parsed!(theirs::Pingresp),
        PacketType::Disconnect => parsed!(theirs::Disconnect),
        PacketType::Auth => parsed!(theirs::Auth),
    }
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

fn raw(properties: &[Property]) -> Vec<u8> {
    properties.iter().flat_map(Property::to_continuous_buffer).collect()
}

/// Whether the oracle's objection to a packet that we accept is one of those above.
fn excused(packet: &ClientPacket<'_>) -> bool {
    match packet {
        ClientPacket::Connect(connect) => {
            connect.version != VERSION || (connect.password.is_some() && connect.user_name.is_none())
        }
        ClientPacket::Subscribe(subscribe) => {
            subscribe.filters().any(|found| found.filter.starts_with("$share/"))
        }
        ClientPacket::Unsubscribe(unsubscribe) => {
            unsubscribe.filters().any(|filter| filter.starts_with("$share/"))
        }
        ClientPacket::Publish(_)
        | ClientPacket::Ack(_)
        | ClientPacket::Pingreq
        | ClientPacket::Disconnect(_)
        | ClientPacket::Auth(_) => false,
    }
}

/// Whether our objection to a packet that the oracle accepts is one of those above.
fn stricter(header: &FixedHeader, body: &[u8], error: DecodeError) -> bool {
    if error == DecodeError::Truncated {
        return lacks_property_length(header, body);
    }
    matches!(
        error,
        DecodeError::StringContainsNul
            | DecodeError::PacketIdZero
            | DecodeError::ConnectFlagReserved
            | DecodeError::WillFlagsWithoutWill
            | DecodeError::WillQosInvalid
            | DecodeError::WillTopicInvalid
            | DecodeError::AuthenticationMethodMissing
            | DecodeError::TopicNameInvalid
            | DecodeError::TopicNameMissing
            | DecodeError::NoLocalOnSharedSubscription
            | DecodeError::VarIntMalformed
            | DecodeError::ConnackFlagsInvalid { .. }
            | DecodeError::Frame(
                FrameError::NotFromClient { .. }
                    | FrameError::NotFromServer { .. }
                    | FrameError::LengthNotShortest
            )
            | DecodeError::PropertyValueInvalid { id: PropertyId::ResponseTopic }
            | DecodeError::PropertyNotAllowed {
                id: PropertyId::SubscriptionIdentifier,
                place: PropertyPlace::PublishFromClient,
            }
            | DecodeError::PropertyNotAllowed {
                place: PropertyPlace::DisconnectFromClient | PropertyPlace::DisconnectFromServer,
                ..
            }
    )
}

/// Whether the body ends where its Property Length should stand, in a packet where the oracle does not mind.
fn lacks_property_length(header: &FixedHeader, body: &[u8]) -> bool {
    let whole = [body, &[0]].concat();
    if header.packet_type() == PacketType::Auth {
        body.len() == 1
    } else {
        header.packet_type() == PacketType::Publish
            && Publish::decode(header.first_byte, &whole, VERSION) != Err(DecodeError::Truncated)
    }
}

proptest! {
    /// The oracle reads what our encoders write, and writes it again byte for byte.
    #[test]
    fn oracle_reads_and_repeats_what_we_write(
        packet in prop_oneof![client_packet(VERSION), server_packet(VERSION)],
    ) {
        prop_assert_eq!(oracle(&packet), Some(packet));
    }

    #[test]
    fn connect_fields_agree(packet in client_packet(VERSION)) {
        let Ok(ClientPacket::Connect(ours)) = ours(&packet) else { return Ok(()) };
        let (theirs, _) = theirs::Connect::parse(split(&packet).unwrap().1).expect("a legal packet");
        prop_assert_eq!((ours.client_id, ours.keep_alive), (theirs.client_id(), theirs.keep_alive()));
        prop_assert_eq!((ours.clean_start, ours.user_name), (theirs.clean_start(), theirs.user_name()));
        prop_assert_eq!(ours.password, theirs.password());
        prop_assert_eq!(ours.properties.raw(), raw(&theirs.props));
        prop_assert_eq!(ours.will.is_some(), theirs.will_flag());
        if let Some(will) = ours.will {
            prop_assert_eq!((Some(will.topic), Some(will.payload)), (theirs.will_topic(), theirs.will_payload()));
            prop_assert_eq!((will.qos.bits(), will.retain), (theirs.will_qos() as u8, theirs.will_retain()));
            prop_assert_eq!(will.properties.raw(), raw(&theirs.will_props));
        }
    }

    #[test]
    fn publish_fields_agree(fields in publish(PropertyPlace::PublishFromServer)) {
        let mut out = Vec::new();
        encode_publish(&mut out, VERSION, &fields.head(), &fields.payload).unwrap();
        let (header, body) = split(&out).unwrap();
        let ours = Publish::decode_from_server(header.first_byte, body, VERSION).unwrap();
        let (theirs, _) = theirs::Publish::parse(header.first_byte & 0x0F, Arc::from(body)).expect("a legal packet");
        prop_assert_eq!((ours.topic, ours.dup, ours.retain), (theirs.topic_name(), theirs.dup(), theirs.retain()));
        prop_assert_eq!((ours.qos.bits(), ours.packet_id.map(PacketId::get)), (theirs.qos() as u8, theirs.packet_id()));
        prop_assert_eq!(ours.payload, theirs.payload().as_slice());
        prop_assert_eq!(ours.properties.raw(), raw(&theirs.props));
    }

    #[test]
    fn subscribe_fields_agree(packet in client_packet(VERSION)) {
        let Ok(ClientPacket::Subscribe(ours)) = ours(&packet) else { return Ok(()) };
        if excused(&ClientPacket::Subscribe(ours)) {
            return Ok(());
        }
        let (theirs, _) = theirs::Subscribe::parse(split(&packet).unwrap().1).expect("a legal packet");
        prop_assert_eq!(ours.packet_id.get(), theirs.packet_id());
        for (ours, theirs) in ours.filters().zip(theirs.entries()) {
            let options = theirs.sub_opts();
            prop_assert_eq!(ours.filter, theirs.topic_filter());
            prop_assert_eq!((ours.options.qos.bits(), ours.options.no_local), (options.qos() as u8, options.nl()));
            prop_assert_eq!(ours.options.retain_as_published, options.rap());
            prop_assert_eq!(ours.options.retain_handling as u8, options.rh() as u8);
        }
    }

    /// On damaged packets both say the same, but for the disagreements listed above.
    #[test]
    fn verdicts_agree_on_damaged_packets(packet in damaged(client_packet(VERSION))) {
        match (ours(&packet), oracle(&packet)) {
            (Ok(ours), None) => prop_assert!(excused(&ours), "only we accept {ours:?}"),
            (Err(error), Some(_)) => {
                let (header, body) = split(&packet).expect("the oracle had a whole packet");
                prop_assert!(stricter(&header, body, error), "only we refuse, {error}: {packet:02X?}");
            }
            (Ok(_), Some(_)) | (Err(_), None) => {}
        }
    }

    #[test]
    fn verdicts_agree_on_damaged_packets_of_a_server(packet in damaged(server_packet(VERSION))) {
        let Ok((header, body)) = split(&packet) else { return Ok(()) };
        match (ServerPacket::decode(&header, body, VERSION), oracle(&packet)) {
            (Ok(ours), None) => prop_assert!(false, "only we accept {ours:?}"),
            (Err(error), Some(_)) => {
                prop_assert!(stricter(&header, body, error), "only we refuse, {error}: {packet:02X?}");
            }
            (Ok(_), Some(_)) | (Err(_), None) => {}
        }
    }
}
