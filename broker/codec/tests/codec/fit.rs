//! Packets that carry diagnostics lose them before they become too large for their receiver.

use lotmq_codec::*;

const V5: ProtocolVersion = ProtocolVersion::V5;

type Encode = fn(&mut Vec<u8>, Properties<'_>) -> Result<(), EncodeError>;

fn ack(out: &mut Vec<u8>, ack_type: AckType, properties: Properties<'_>) -> Result<(), EncodeError> {
    encode_ack(out, V5, &Ack { ack_type, packet_id: PacketId::MIN, reason: ReasonCode::Success, properties })
}

/// Every packet with a Reason String and User Properties.
const PACKETS: [(&str, Encode); 9] = [
    ("CONNACK", |out, properties| {
        let connack = Connack { properties, ..Connack::refusal(ReasonCode::NotAuthorized) };
        encode_connack(out, V5, &connack)
    }),
    ("PUBACK", |out, properties| ack(out, AckType::Puback, properties)),
    ("PUBREC", |out, properties| ack(out, AckType::Pubrec, properties)),
    ("PUBREL", |out, properties| ack(out, AckType::Pubrel, properties)),
    ("PUBCOMP", |out, properties| ack(out, AckType::Pubcomp, properties)),
    ("SUBACK", |out, properties| encode_suback(out, V5, PacketId::MIN, properties, &[ReasonCode::Success])),
    ("UNSUBACK", |out, properties| {
        encode_unsuback(out, V5, PacketId::MIN, properties, &[ReasonCode::Success])
    }),
    ("DISCONNECT", |out, properties| {
        encode_disconnect(out, V5, &Disconnect { reason: ReasonCode::NotAuthorized, properties })
    }),
    ("AUTH", |out, properties| {
        encode_auth(out, V5, &Auth { reason: ReasonCode::ContinueAuthentication, properties })
    }),
];

fn len(encode: Encode, properties: Properties<'_>) -> u32 {
    let mut out = Vec::new();
    encode(&mut out, properties).unwrap();
    u32::try_from(out.len()).unwrap()
}

/// [MQTT-3.2.2-19, -20], [MQTT-3.4.2-2, -3], [MQTT-3.5.2-2, -3], [MQTT-3.6.2-2, -3],
/// [MQTT-3.7.2-2, -3], [MQTT-3.9.2-1, -2], [MQTT-3.11.2-1, -2], [MQTT-3.14.2-3, -4],
/// [MQTT-3.15.2-2, -3]
#[test]
fn diagnostics_are_left_out_where_they_do_not_fit() {
    let mut sentence = PropertyBuf::new();
    sentence.push(PropertyId::ReasonString, PropertyValue::Utf8("because")).unwrap();
    let mut user = PropertyBuf::new();
    user.push(PropertyId::UserProperty, PropertyValue::Utf8Pair("name", "value")).unwrap();
    for (what, encode) in PACKETS {
        let bare = len(encode, Properties::EMPTY);
        for list in [&sentence, &user] {
            let whole = len(encode, list.properties());
            assert!(whole > bare, "{what}");
            for (limit, expected) in [(whole, Ok(whole)), (whole - 1, Ok(bare)), (bare, Ok(bare))] {
                let mut out = Vec::new();
                let result = encode_within(&mut out, limit, list.properties(), encode);
                assert_eq!(
                    result.map(|()| u32::try_from(out.len()).unwrap()),
                    expected,
                    "{what} within {limit}"
                );
            }
            let mut out = vec![1];
            let result = encode_within(&mut out, bare - 1, list.properties(), encode);
            let len = usize::try_from(bare).unwrap();
            assert_eq!(result, Err(EncodeError::PacketTooLarge { len }), "{what}");
            assert_eq!(out, [1], "nothing stays of it");
        }
    }
}

/// Reasons of AUTH [MQTT-3.15.2-1] and flags 0 [MQTT-3.15.1-1].
#[test]
fn auth_is_encoded_with_its_own_reasons_only() {
    for reason in [
        ReasonCode::Success,
        ReasonCode::ContinueAuthentication,
        ReasonCode::ReAuthenticate,
        ReasonCode::NotAuthorized,
    ] {
        let mut out = Vec::new();
        let result = encode_auth(&mut out, V5, &Auth { reason, properties: Properties::EMPTY });
        assert_eq!(result.is_ok(), !reason.is_failure(), "{reason:?}");
        assert!(out.is_empty() || out[0] == 0xF0);
    }
}
