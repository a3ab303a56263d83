//! Promised runs (`lot.durable_triggers`): a message of QoS 1 or 2 that starts Actions or models is
//! kept until all of these runs have ended, and until the other system has taken it where it is for
//! routes.
//!
//! Each tenant has a session in the store that no Client can have: its Client Identifier is empty.
//! A message enters its queue in the batch of its publisher, whose acknowledgement waits for that,
//! and leaves it when the last run has let go of its [`Promise`].
//!
//! Invariants: runs let go only when their effects have been handed to the store
//! ([`TurnGuests::ended_runs`](lotmq_core::tenant::triggers::TurnGuests::ended_runs)), so a message
//! never leaves in front of them; what the end of the broker interrupts stays. Not here: what is
//! done with that (`interrupted_runs`).

use std::sync::Arc;

use lotmq_changes::{Delivery, MessageId, MessageRef, Op, SessionId};
use lotmq_codec::QoS;

use super::Guests;
use crate::HasPrograms as _;
use lotmq_core::arena::Arena;
use lotmq_core::durable::ended_runs::EndedRuns;
use lotmq_core::message::MessageParts;
use lotmq_core::tenant::publication::Publication;
use lotmq_core::tenant::triggers::{Starting, TurnNotes};

/// Promise of a message: held by everything that it starts. When the last holder is gone, the runs
/// have ended.
pub(crate) struct Promise {
    pub(super) runs: Arc<EndedRuns>,
    pub(super) session: SessionId,
    pub(super) message: MessageId,
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.runs.ended(self.session, self.message);
    }
}

impl Guests {
    /// Whether a message that starts some is kept until they have ended.
    pub(crate) fn promises(&self) -> bool {
        self.promised.get().is_some()
    }
}

/// Stores a message until the runs that it starts have ended, where that is promised.
pub(super) fn promise(notes: &mut TurnNotes<'_>, starting: &Starting<'_>) -> Option<Arc<Promise>> {
    let Starting { tenant, publication, .. } = starting;
    let guests = &tenant.programs().guests;
    let session = *guests.promised.get()?;
    if publication.message.qos == QoS::AtMostOnce {
        return None;
    }
    let of_route = publication.origin.map(|id| guests.client_id_of_route(id));
    let client_id = publication.source.map(|client| &client.client_id).or(of_route.as_ref());
    let client_id = client_id.map_or("", |client_id| client_id);
    let message = notes.core.ids.next_message();
    let kept = MessageRef {
        id: message,
        tenant: tenant.id,
        topic: notes.arena.text(publication.message.topic),
        properties: &DurableMessage::of(notes.arena, publication, client_id).encoded(),
        payload: notes.arena.get(publication.message.payload),
        qos: publication.message.qos.bits(),
        published_at_ms: notes.wall_ms,
        expires_at_ms: None,
    };
    let delivery = Delivery {
        session,
        qos: publication.message.qos.bits(),
        retain: publication.message.retain,
        published_retain: publication.message.retain,
        packet_id: None,
        subscription_ids: &[],
        membership: None,
    };
    notes.batch.push(Op::Enqueue { message: kept, deliveries: &[delivery] });
    Some(Arc::new(Promise { runs: Arc::clone(&notes.core.ended_runs), session, message }))
}

/// Stored form of the data of a message beside topic and payload. It takes the place of the PUBLISH
/// properties and contains them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DurableMessage<'a> {
    /// Number of runs that had led to it.
    pub(super) hops: u8,
    pub(super) client_id: &'a str,
    /// Expiry time, in milliseconds since 1970. Not that of the store: the runs were promised.
    pub(super) expires_at_ms: Option<u64>,
    pub(super) properties: &'a [u8],
}

/// Bit of the first byte that says that expiry, length of the Client Identifier and properties are
/// there. Older versions stored only hops and the Client Identifier.
const HAS_PROPERTIES: u8 = 0x80;

impl<'a> DurableMessage<'a> {
    fn of(arena: &'a Arena, publication: &Publication<'_>, client_id: &'a str) -> DurableMessage<'a> {
        let MessageParts { properties, expires_at_ms, .. } = publication.message.parts(arena);
        DurableMessage { hops: publication.hops, client_id, expires_at_ms, properties }
    }

    fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(11 + self.client_id.len() + self.properties.len());
        bytes.push(self.hops.min(!HAS_PROPERTIES) | HAS_PROPERTIES);
        // No packet holds an expiry of the year 1970.
        bytes.extend_from_slice(&self.expires_at_ms.unwrap_or_default().to_be_bytes());
        let client_id = cut(self.client_id);
        bytes.extend_from_slice(&u16::try_from(client_id.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(client_id.as_bytes());
        bytes.extend_from_slice(self.properties);
        bytes
    }

    /// Reads what was stored; damage leaves nothing of it.
    pub(super) fn decoded(bytes: &'a [u8]) -> DurableMessage<'a> {
        DurableMessage::read(bytes).unwrap_or_default()
    }

    fn read(bytes: &'a [u8]) -> Option<DurableMessage<'a>> {
        let (first, rest) = bytes.split_first()?;
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        if first & HAS_PROPERTIES == 0 {
            return Some(DurableMessage { hops: *first, client_id: text(rest), ..DurableMessage::default() });
        }
        let (expires_at_ms, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (client_id, properties) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
        let expires_at_ms = Some(u64::from_be_bytes(*expires_at_ms)).filter(|at| *at > 0);
        Some(DurableMessage {
            hops: first & !HAS_PROPERTIES,
            client_id: text(client_id),
            expires_at_ms,
            properties,
        })
    }
}

/// The part of a Client Identifier that a packet can have: names of routes are shorter.
fn cut(client_id: &str) -> &str {
    &client_id[..client_id.floor_char_boundary(u16::MAX.into())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_trigger_message_survives_encoding() {
        for kept in [
            DurableMessage::default(),
            DurableMessage { hops: 3, client_id: "c1", expires_at_ms: Some(7), properties: b"\x01\x01" },
            DurableMessage { hops: 127, client_id: "", expires_at_ms: None, properties: b"\x01\x00" },
        ] {
            assert_eq!(DurableMessage::decoded(&kept.encoded()), kept);
        }
    }

    #[test]
    fn trigger_message_of_an_older_version_is_read_and_damage_is_ignored() {
        for (bytes, expected) in [
            (
                &b"\x02client"[..],
                DurableMessage { hops: 2, client_id: "client", ..DurableMessage::default() },
            ),
            (b"\x00", DurableMessage::default()),
            (b"", DurableMessage::default()),
            (b"\x81\0\0\0\0\0\0\0\0\0", DurableMessage::default()),
            (b"\x81\0\0\0\0\0\0\0\0\0\x05abc", DurableMessage::default()),
        ] {
            assert_eq!(DurableMessage::decoded(bytes), expected, "{bytes:?}");
        }
    }
}
