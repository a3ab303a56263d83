//! Heads of PUBLISH packets with a Topic Alias, for one receiver in place of the head that all
//! receivers share.
//!
//! Called where a packet enters the stream of bytes of a connection, so that an alias is used only
//! behind the packet that sets it. Only the head is written anew, the rest of the packet stays
//! where it is. Not here: which topics have an alias (`alias_out`).

use std::num::NonZeroU32;

use lotmq_codec::{
    ForwardProperties, PacketType, ProtocolVersion, Publish, PublishHead, encode_publish_head, fixed_header,
    limits::PACKET_BYTES_MAX,
};
use smallvec::SmallVec;

use crate::arena::{Arena, Span};
use crate::limits::ALIASED_HEAD_BYTES_MAX;
use crate::tenant::alias_out::{AliasesOut, Choice};

/// Bytes by which a packet may grow with an alias beside its topic: the property, and a longer
/// length of the properties and of the packet.
const GROWTH_BYTES_MAX: usize = 5;

/// Makes the packet that is sent in place of `packet`, in two parts. `packet` begins with the fixed
/// header; its payload may be elsewhere, in part or as a whole.
pub fn aliased(
    aliases: &mut AliasesOut,
    arena: &mut Arena,
    packet: Span,
    packet_bytes_max: u32,
) -> [Span; 2] {
    // A head with longer properties is left as it is.
    let head = packet.slice(0, packet.len().min(ALIASED_HEAD_BYTES_MAX));
    let (new, rest_at) =
        arena.encode_from([head], |[head], out| rewrite(aliases, head, packet_bytes_max, out));
    match rest_at {
        Some(at) => [new, packet.slice(at, packet.len() - at)],
        None => [packet, Span::EMPTY],
    }
}

/// Appends the new head; where in `bytes` the payload begins, which goes on behind it. `None`, with
/// nothing appended, where all stays as it is.
fn rewrite(
    aliases: &mut AliasesOut,
    bytes: &[u8],
    packet_bytes_max: u32,
    out: &mut Vec<u8>,
) -> Option<usize> {
    let header = fixed_header(bytes, u32::MAX).ok()??;
    let body_at = usize::from(header.header_len);
    debug_assert_eq!(header.packet_type(), PacketType::Publish, "only messages have topics");
    let body = bytes.get(body_at..)?;
    let publish = Publish::decode_from_server(*bytes.first()?, body, ProtocolVersion::V5).ok()?;
    let limit = packet_bytes_max.min(PACKET_BYTES_MAX) as usize;
    let may_set = header.packet_len() + GROWTH_BYTES_MAX <= limit;
    let (topic, alias) = match aliases.choose(publish.topic, may_set) {
        Choice::Topic => return None,
        Choice::Set(alias) => (publish.topic, alias),
        Choice::Alias(alias) => ("", alias),
    };
    let identifiers: SmallVec<[NonZeroU32; 4]> = publish.properties.subscription_identifiers().collect();
    let head = PublishHead {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        topic,
        packet_id: publish.packet_id,
        properties: ForwardProperties {
            received: publish.properties,
            message_expiry: None,
            subscription_ids: &identifiers,
            topic_alias: Some(alias),
        },
        payload_len: header.remaining_len as usize - publish.payload_offset,
    };
    encode_publish_head(out, ProtocolVersion::V5, &head)
        .expect("what fitted one packet fits one of at most its size");
    Some(body_at + publish.payload_offset)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::hashing::Hashing;
    use crate::tenant::alias_out::tests::Random;
    use lotmq_codec::{PacketId, Properties, PropertyBuf, PropertyId, PropertyValue, QoS, encode_publish};

    fn packet(
        topic: &str,
        qos: QoS,
        properties: Properties<'_>,
        ids: &[NonZeroU32],
        payload: &[u8],
    ) -> Vec<u8> {
        let mut packet = Vec::new();
        let head = PublishHead {
            dup: qos != QoS::AtMostOnce,
            qos,
            retain: true,
            topic,
            packet_id: (qos != QoS::AtMostOnce).then(|| PacketId::new(0x1234).unwrap()),
            properties: ForwardProperties {
                subscription_ids: ids,
                ..ForwardProperties::unaltered(properties)
            },
            payload_len: payload.len(),
        };
        encode_publish(&mut packet, ProtocolVersion::V5, &head, payload).unwrap();
        packet
    }

    #[test]
    fn nothing_but_topic_and_alias_changes() {
        let mut random = Random(2);
        for round in 0..300 {
            let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][round % 3];
            let payload_len = if random.below(4) == 0 { 3000 } else { random.below(300) };
            let name = "n".repeat(random.below(200));
            let in_scratch = random.below(2) == 0;
            let limit = if random.below(2) == 0 { u32::MAX } else { 100 + random.below(300) as u32 };
            let topics: Vec<usize> = (0..60).map(|_| random.below(6)).collect();
            let mut aliases = AliasesOut::new(3, &Hashing::fixed(0)).unwrap();
            let mut arena = Arena::new(std::sync::Arc::default());
            let mut known: [Option<String>; 3] = Default::default();
            let ids = [NonZeroU32::new(7).unwrap(), NonZeroU32::new(300).unwrap()];
            let payload = vec![b'p'; payload_len];
            for number in topics {
                let topic = format!("plant/line-{number}/press");
                let mut properties = PropertyBuf::new();
                properties.push(PropertyId::UserProperty, PropertyValue::Utf8Pair("name", &name)).unwrap();
                properties.push(PropertyId::ContentType, PropertyValue::Utf8("text")).unwrap();
                let bytes = packet(&topic, qos, properties.properties(), &ids, &payload);
                let span = if in_scratch {
                    arena.encode(|out| out.extend_from_slice(&bytes)).0
                } else {
                    arena.adopt(bytes.clone())
                };
                let parts = aliased(&mut aliases, &mut arena, span, limit);
                let sent = parts.map(|part| arena.get(part)).concat();
                let header = fixed_header(&sent, u32::MAX).unwrap().unwrap();
                assert_eq!(header.packet_len(), sent.len());
                assert!(sent.len() <= bytes.len() || sent.len() <= limit as usize);
                let got = Publish::decode_from_server(
                    sent[0],
                    &sent[usize::from(header.header_len)..],
                    ProtocolVersion::V5,
                )
                .unwrap();
                let alias = got.properties.topic_alias().map(NonZeroU16::get);
                let meant = match alias {
                    None => got.topic.to_owned(),
                    Some(alias) => {
                        let place = &mut known[usize::from(alias) - 1];
                        if !got.topic.is_empty() {
                            *place = Some(got.topic.to_owned());
                        }
                        place.clone().unwrap()
                    }
                };
                assert_eq!(&meant, &topic);
                let mut plain = PropertyBuf::new();
                plain.extend(got.properties, |id| id != PropertyId::TopicAlias);
                let mut again = Vec::new();
                let received: Vec<NonZeroU32> = got.properties.subscription_identifiers().collect();
                let head = PublishHead {
                    dup: got.dup,
                    qos: got.qos,
                    retain: got.retain,
                    topic: &meant,
                    packet_id: got.packet_id,
                    properties: ForwardProperties {
                        subscription_ids: &received,
                        ..ForwardProperties::unaltered(plain.properties())
                    },
                    payload_len: got.payload.len(),
                };
                encode_publish(&mut again, ProtocolVersion::V5, &head, got.payload).unwrap();
                assert_eq!(&again, &bytes);
            }
        }
    }
}
