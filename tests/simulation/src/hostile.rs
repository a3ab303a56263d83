//! Packets of a Client that keeps to no rule but the format: wrong acknowledgements, identifiers in
//! use, too much at once.

use lotmq_codec::{
    Ack, AckType, PacketId, Properties, PropertyBuf, PropertyId, PropertyValue, ProtocolVersion, QoS,
    ReasonCode, RetainHandling, SubscribeFilter, SubscriptionOptions, encode_ack,
    encode_disconnect_from_client, encode_pingreq, encode_subscribe, encode_unsubscribe,
};

use crate::choices::Choices;
use crate::client::{Outgoing, RUDE_PUBLISHER, Tag, encode_message};

pub(crate) const TOPICS: [&str; 7] = ["a", "a/b", "a/b/c", "b", "b/c", "/", "x/y"];

pub(crate) const FILTERS: [&str; 18] = [
    "a",
    "a/b",
    "a/+",
    "a/#",
    "#",
    "+",
    "+/b",
    "b/#",
    "+/+/c",
    "x/#",
    "g/#",
    "g/+",
    "/+",
    "$share/g/a/#",
    "$share/g/#",
    "$share/h/a/#",
    "$share/h/+/b",
    "$share/g/a",
];

/// Invalid as filters, but not as packets.
const BAD_FILTERS: [&str; 4] = ["a/#/b", "$share/g", "$share//a", "a+"];

pub(crate) const QOS: [QoS; 4] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce];

pub(crate) fn options(
    choices: &mut Choices,
    qos: &[QoS],
    (filter, version): (&str, ProtocolVersion),
) -> SubscriptionOptions {
    let mut options = SubscriptionOptions { qos: choices.pick(qos), ..SubscriptionOptions::default() };
    if version.has_properties() {
        options.no_local = !filter.starts_with("$share/") && choices.chance(20);
        options.retain_as_published = choices.chance(30);
        options.retain_handling =
            choices.pick(&[RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend]);
    }
    options
}

/// Any packet but CONNECT, with small identifiers.
pub(crate) fn packet(
    choices: &mut Choices,
    number: u8,
    version: ProtocolVersion,
    serial: &mut u32,
) -> Vec<u8> {
    let packet_id =
        PacketId::new(1 + u16::try_from(choices.below(6)).unwrap_or_default()).unwrap_or(PacketId::MIN);
    let mut out = Vec::new();
    match choices.weighted(&[10, 4, 4, 4, 4, 5, 2, 1, 1]) {
        0 => {
            let qos = choices.pick(&QOS);
            *serial += 1;
            let tag = Tag { publisher: RUDE_PUBLISHER + number, qos, sequence: *serial };
            let expiry = (version.has_properties() && choices.chance(15)).then(|| choices.pick(&[5, 60]));
            let payload = if choices.chance(10) { Vec::new() } else { tag.payload(choices.below(20)) };
            let message = Outgoing {
                id: 0,
                topic: choices.pick(&TOPICS),
                qos,
                retain: choices.chance(20),
                expiry,
                payload,
            };
            let dup = qos != QoS::AtMostOnce && choices.chance(30);
            return encode_message(version, &message, (qos != QoS::AtMostOnce).then_some(packet_id), dup);
        }
        1 => out = ack(choices, version, AckType::Puback, packet_id),
        2 => out = ack(choices, version, AckType::Pubrec, packet_id),
        3 => out = ack(choices, version, AckType::Pubrel, packet_id),
        4 => out = ack(choices, version, AckType::Pubcomp, packet_id),
        5 => {
            let filter = if choices.chance(10) { choices.pick(&BAD_FILTERS) } else { choices.pick(&FILTERS) };
            let other = choices.pick(&FILTERS);
            let filters = [filter, other].map(|filter| {
                let options = options(choices, &QOS, (filter, version));
                SubscribeFilter { filter, options }
            });
            let count = 1 + choices.below(2);
            let mut properties = PropertyBuf::new();
            if version.has_properties() && choices.chance(40) {
                let identifier = 1 + u32::try_from(choices.below(3)).unwrap_or_default();
                properties
                    .push(PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(identifier))
                    .expect("identifiers are small and not 0");
            }
            encode_subscribe(&mut out, version, packet_id, properties.properties(), &filters[..count])
                .expect("the fields are legal");
        }
        6 => {
            let filters = [choices.pick(&FILTERS), choices.pick(&FILTERS)];
            encode_unsubscribe(&mut out, version, packet_id, Properties::EMPTY, &filters)
                .expect("the fields are legal");
        }
        7 => encode_pingreq(&mut out),
        _ => {
            let mut properties = PropertyBuf::new();
            if version.has_properties() && choices.chance(50) {
                properties
                    .push(PropertyId::SessionExpiryInterval, PropertyValue::FourByte(choices.pick(&[0, 60])))
                    .expect("every interval is legal");
            }
            let reason = choices.pick(&[ReasonCode::Success, ReasonCode::DisconnectWithWillMessage]);
            let disconnect = lotmq_codec::Disconnect { reason, properties: properties.properties() };
            encode_disconnect_from_client(&mut out, version, &disconnect).expect("the reason is a Client's");
        }
    }
    out
}

fn ack(choices: &mut Choices, version: ProtocolVersion, ack_type: AckType, packet_id: PacketId) -> Vec<u8> {
    let fails = version.has_properties() && ack_type == AckType::Pubrec && choices.chance(20);
    let reason = if fails { ReasonCode::UnspecifiedError } else { ReasonCode::Success };
    let mut out = Vec::new();
    encode_ack(&mut out, version, &Ack { ack_type, packet_id, reason, properties: Properties::EMPTY })
        .expect("these codes fit these packets");
    out
}
