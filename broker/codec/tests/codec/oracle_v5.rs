//! Compares 5.0 with the crate `mqtt-protocol-core`, which shares no code with ours.
//!
//! Covers every packet type in both directions: same verdict, same fields, and same bytes when the
//! oracle encodes again. The oracle's parsers start after the fixed header, so only `refused`
//! compares headers.
//! [`DIFFERENCES`] lists the accepted disagreements: each is leniency of the oracle, or a rule of
//! another layer here. The fuzz target `differential` runs [`check`] too.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use lotmq_codec::limits::PACKET_BYTES_MAX;
use lotmq_codec::*;
use mqtt_protocol_core::mqtt::packet::{Property, v5_0 as theirs};

use crate::fields::{self, Connect, Published};

const VERSION: ProtocolVersion = ProtocolVersion::V5;

/// Packets with an intended disagreement: the bytes, whether we accept, and why. The oracle decides
/// the opposite.
///
/// A test checks that each row is still a disagreement, so remove a row when the oracle learns its
/// rule.
pub(crate) const DIFFERENCES: &[(&str, bool, &str)] = &[
    ("30 07 0003 'a' 00 'b' 00 'h'", false, "U+0000 in a string [MQTT-1.5.4-2]"),
    ("82 07 0000 00 0001 'a' 00", false, "identifier 0 [MQTT-2.2.1-3]"),
    ("10 0E 0004 'MQTT' 05 03 0000 00 0001 'a'", false, "the reserved flag of CONNECT [MQTT-3.1.2-3]"),
    ("10 0E 0004 'MQTT' 05 22 0000 00 0001 'a'", false, "Will RETAIN without Will [MQTT-3.1.2-13]"),
    ("10 0E 0004 'MQTT' 05 0A 0000 00 0001 'a'", false, "Will QoS without Will [MQTT-3.1.2-11]"),
    (
        "10 14 0004 'MQTT' 05 06 0000 00 0001 'a' 00 0001 '+' 0000",
        false,
        "a wildcard in the Will Topic (§3.1.3.3, §4.7.1)",
    ),
    (
        "10 12 0004 'MQTT' 05 02 0000 04 16 0001 'd' 0001 'a'",
        false,
        "authentication data without method (§3.1.2.11.10)",
    ),
    ("30 04 0001 '+' 00", false, "a wildcard in a Topic Name [MQTT-3.3.2-2]"),
    ("30 03 0000 00", false, "neither Topic Name nor alias (§3.3.2.1)"),
    ("30 03 0001 'a'", false, "PUBLISH without a Property Length (§3.3.2.3.1)"),
    ("F0 01 00", false, "AUTH with a reason and no Property Length (§3.15.2.2.1)"),
    ("30 08 0001 'a' 04 08 0001 '+'", false, "a wildcard in the Response Topic [MQTT-3.3.2-14]"),
    ("30 06 0001 'a' 02 0B 01", false, "a Subscription Identifier from a Client [MQTT-3.3.4-6]"),
    (
        "82 0B 0001 04 0B 01 0B 02 0001 'a' 00",
        false,
        "two Subscription Identifiers in SUBSCRIBE (§3.8.2.1.2)",
    ),
    ("82 10 0001 00 000A '$share/g/a' 04", false, "No Local on a shared subscription [MQTT-3.8.3-4]"),
    ("40 05 0001 00 80 00", false, "a length that is not in its shortest form [MQTT-1.5.5-1]"),
    ("20 03 02 00 00", false, "reserved flags of CONNACK [MQTT-3.2.2-1]"),
    ("E0 06 00 04 1C 0001 'x'", false, "a Server Reference from a Client (§3.14.2.2.5)"),
    ("10 11 0004 'MQTT' 05 42 0000 00 0001 'a' 0001 'p'", true, "a password without user name (§3.1.2.9)"),
    (
        "82 0D 0001 00 0007 '$share/' 00",
        true,
        "a bad shared filter fails alone, with 0x8F in SUBACK (§3.9.3)",
    ),
];

/// A packet as the oracle read it: its text, and its bytes as the oracle repeats them.
struct Read {
    text: String,
    repeated: Vec<u8>,
}

/// Decodes the bytes with the oracle. Returns `None` if it rejects them, leaves bytes unread, or
/// panics.
fn oracle(bytes: &[u8]) -> Option<Read> {
    let header = fixed_header(bytes, PACKET_BYTES_MAX).ok()??;
    if matches!(header.check_from_client(VERSION), Err(FrameError::FlagsInvalid { .. })) {
        return None;
    }
    let body = bytes.get(usize::from(header.header_len)..header.packet_len())?;
    catch_unwind(AssertUnwindSafe(|| read(&header, body))).ok().flatten()
}

fn raw(properties: &[Property]) -> Vec<u8> {
    properties.iter().flat_map(Property::to_continuous_buffer).collect()
}

fn read(header: &FixedHeader, body: &[u8]) -> Option<Read> {
    macro_rules! parsed {
        ($packet:ty, $text:expr) => {{
            let (packet, consumed) = <$packet>::parse(body).ok()?;
            let text: fn(&$packet) -> String = $text;
            (consumed == body.len())
                .then(|| Read { text: text(&packet), repeated: packet.to_continuous_buffer() })
        }};
    }
    /// An acknowledgement, whose code and properties may be absent.
    macro_rules! ack {
        ($packet:ty, $name:literal) => {
            parsed!($packet, |found| {
                let code = found.reason_code().map_or(0, |code| code as u8);
                let properties = found.props.as_ref().map(|list| raw(list)).unwrap_or_default();
                fields::plain($name, found.packet_id(), &[code], &properties)
            })
        };
    }
    match header.packet_type() {
        PacketType::Connect => parsed!(theirs::Connect, connect),
        PacketType::Connack => parsed!(theirs::Connack, |found| {
            let code = found.reason_code() as u8;
            fields::plain("CONNACK", found.session_present().into(), &[code], &raw(&found.props))
        }),
        PacketType::Publish => {
            let (found, _) = theirs::Publish::parse(header.first_byte & 0x0F, Arc::from(body)).ok()?;
            Some(Read { text: publish(&found), repeated: found.to_continuous_buffer() })
        }
        PacketType::Puback => ack!(theirs::Puback, "PUBACK"),
        PacketType::Pubrec => ack!(theirs::Pubrec, "PUBREC"),
        PacketType::Pubrel => ack!(theirs::Pubrel, "PUBREL"),
        PacketType::Pubcomp => ack!(theirs::Pubcomp, "PUBCOMP"),
        PacketType::Subscribe => parsed!(theirs::Subscribe, |found| {
            let options = |entry: &mqtt_protocol_core::mqtt::packet::SubEntry| {
                let options = entry.sub_opts();
                options.qos() as u8
                    | u8::from(options.nl()) << 2
                    | u8::from(options.rap()) << 3
                    | (options.rh() as u8) << 4
            };
            let all: Vec<_> = found
                .entries()
                .iter()
                .map(|entry| (entry.topic_filter().to_owned(), options(entry)))
                .collect();
            fields::filters("SUBSCRIBE", found.packet_id(), &all, &raw(&found.props))
        }),
        PacketType::Suback => parsed!(theirs::Suback, |found| {
            let codes: Vec<u8> = found.reason_codes().iter().map(|code| *code as u8).collect();
            fields::plain("SUBACK", found.packet_id(), &codes, &raw(&found.props))
        }),
        PacketType::Unsubscribe => parsed!(theirs::Unsubscribe, |found| {
            let all: Vec<_> = found.entries().iter().map(|filter| (filter.as_str().to_owned(), 0)).collect();
            fields::filters("UNSUBSCRIBE", found.packet_id(), &all, &raw(&found.props))
        }),
        PacketType::Unsuback => parsed!(theirs::Unsuback, |found| {
            let codes: Vec<u8> = found.reason_codes().iter().map(|code| *code as u8).collect();
            fields::plain("UNSUBACK", found.packet_id(), &codes, &raw(&found.props))
        }),
        PacketType::Pingreq => parsed!(theirs::Pingreq, |_| fields::plain("PINGREQ", 0, &[], &[])),
        PacketType::Pingresp => parsed!(theirs::Pingresp, |_| fields::plain("PINGRESP", 0, &[], &[])),
        PacketType::Disconnect => parsed!(theirs::Disconnect, |found| {
            let code = found.reason_code().map_or(0, |code| code as u8);
            let properties = found.props.as_ref().map(|list| raw(list)).unwrap_or_default();
            fields::plain("DISCONNECT", 0, &[code], &properties)
        }),
        PacketType::Auth => parsed!(theirs::Auth, |found| {
            let code = found.reason_code().map_or(0, |code| code as u8);
            let properties = found.props.as_ref().map(|list| raw(list)).unwrap_or_default();
            fields::plain("AUTH", 0, &[code], &properties)
        }),
    }
}

fn connect(found: &theirs::Connect) -> String {
    let (properties, will_properties) = (raw(&found.props), raw(&found.will_props));
    let will = found.will_topic().zip(found.will_payload()).map(|(topic, payload)| {
        (topic, payload, found.will_qos() as u8, found.will_retain(), &will_properties[..])
    });
    fields::connect(&Connect {
        client_id: found.client_id(),
        clean_start: found.clean_start(),
        keep_alive: found.keep_alive(),
        will,
        user_name: found.user_name(),
        password: found.password(),
        properties: &properties,
    })
}

fn publish(found: &theirs::Publish) -> String {
    fields::publish(&Published {
        flags: (found.dup(), found.qos() as u8, found.retain()),
        topic: found.topic_name(),
        packet_id: found.packet_id(),
        properties: &raw(&found.props),
        payload: found.payload().as_slice(),
    })
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
            | DecodeError::PropertyRepeated { id: PropertyId::SubscriptionIdentifier }
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

/// Returns whether the body ends where its Property Length should be, in a packet where the oracle
/// accepts that.
fn lacks_property_length(header: &FixedHeader, body: &[u8]) -> bool {
    let whole = [body, &[0]].concat();
    if header.packet_type() == PacketType::Auth {
        body.len() == 1
    } else {
        header.packet_type() == PacketType::Publish
            && Publish::decode(header.first_byte, &whole, VERSION) != Err(DecodeError::Truncated)
    }
}

/// Checks that both agree on these bytes, from a Client and from a server, except for the listed
/// disagreements.
///
/// # Panics
/// Panics if they disagree.
pub(crate) fn check(bytes: &[u8]) {
    let Ok((header, body)) = split(bytes) else { return };
    let theirs = oracle(bytes);
    match (ours(bytes), &theirs) {
        (Ok(ours), None) => assert!(excused(&ours), "only we accept {ours:?}"),
        (Err(error), Some(_)) => {
            assert!(stricter(&header, body, error), "only we refuse, {error}: {bytes:02X?}");
        }
        (Ok(ours), Some(theirs)) => assert_eq!(fields::of_client(&ours), theirs.text, "{bytes:02X?}"),
        (Err(_), None) => {}
    }
    match (ServerPacket::decode(&header, body, VERSION), &theirs) {
        (Ok(ours), None) => panic!("only we accept {ours:?}"),
        (Err(error), Some(_)) => {
            assert!(stricter(&header, body, error), "only we refuse, {error}: {bytes:02X?}");
        }
        (Ok(ours), Some(theirs)) => {
            assert_eq!(fields::of_server(&ours, VERSION), theirs.text, "{bytes:02X?}");
        }
        (Err(_), None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::hex;
    use crate::strategies::{client_packet, damaged, server_packet};

    #[test]
    fn differences_are_real() {
        let is_wrong = |(packet, we_accept, _): &&(&str, bool, &str)| {
            let bytes = hex::bytes(packet);
            check(&bytes);
            let (header, body) = split(&bytes).unwrap();
            let comes_from_server = header.check_from_client(VERSION).is_err();
            let from_server = ServerPacket::decode(&header, body, VERSION).is_ok();
            let accepted = if comes_from_server { from_server } else { ours(&bytes).is_ok() };
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
            prop_assert_eq!(&read.repeated, &packet);
            check(&packet);
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
}
