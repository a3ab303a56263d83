//! Messages that come from no Client: what guests, the `$SYS` tree and commands publish.

use std::sync::Arc;

use lotmq_codec::{
    ForwardProperties, PacketId, Properties, ProtocolVersion, PublishHead, QoS, encode_publish,
};

use crate::arena::Span;
use crate::message::spans::MessageSpans;
use crate::tenant::Tenant;
use crate::tenant::publication::{InPlace, Publication};
use crate::turn::Turn;
use crate::turn::piece::packet_id_offset;

/// Publishes a topic of the `$SYS` tree to those who are subscribed. `is_retained` says whether
/// later subscribers get it, too, from the tree's snapshot; an empty payload tells that it is gone.
pub fn publish(turn: &mut Turn, tenant: &Arc<Tenant>, topic: &str, payload: &[u8], is_retained: bool) {
    publish_after(turn, tenant, topic, payload, is_retained, 0);
}

/// Publishes a topic of the `$SYS` tree as [`publish`] does, for what runs of guests led to: so a
/// guest that answers its own traces, errors or commands ends at the hop limit, too.
pub fn publish_after(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    topic: &str,
    payload: &[u8],
    is_retained: bool,
    hops: u8,
) {
    if let Some(publication) = encoded(turn, topic, payload, QoS::ExactlyOnce, is_retained, hops) {
        turn.publish(tenant, &publication);
    }
}

/// Encodes a message of the broker's own as a 3.1.1 packet, which most receivers get as it is.
/// `None` when no packet can hold it, as one whose topic is made of a name that an older version
/// took; that is logged and counted.
pub fn encoded<'a>(
    turn: &mut Turn,
    topic: &str,
    payload: &[u8],
    qos: QoS,
    retain: bool,
    hops: u8,
) -> Option<Publication<'a>> {
    let head = PublishHead {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: (qos != QoS::AtMostOnce).then_some(PacketId::MIN),
        properties: ForwardProperties::unaltered(Properties::EMPTY),
        payload_len: payload.len(),
    };
    let (packet, layout) =
        turn.arena.encode(|out| encode_publish(out, ProtocolVersion::V3_1_1, &head, payload));
    let layout = match layout {
        Ok(layout) => layout,
        Err(error) => {
            turn.core.counters.unencodable(topic, &error);
            return None;
        }
    };
    let packet_id_at = layout.packet_id_offset;
    let topic_at = packet_id_at.unwrap_or(layout.len) - topic.len();
    let part = |start, len| if len == 0 { Span::EMPTY } else { packet.slice(start, len) };
    Some(Publication {
        message: MessageSpans {
            topic: part(topic_at, topic.len()),
            properties: Span::EMPTY,
            payload: part(layout.len, payload.len()),
            qos,
            retain,
            expires_at_ms: None,
        },
        in_place: Some(InPlace {
            packet,
            has_properties: false,
            packet_id_at: packet_id_at.map(packet_id_offset),
        }),
        source: None,
        owner: None,
        keeper: None,
        origin: None,
        hops,
    })
}
