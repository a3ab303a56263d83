//! Publication of a message: what of it the turn's arena holds, and who publishes it.
//!
//! Not here: who gets it (`routing`), and how it comes there (`turn::fan_out`).

use std::num::NonZeroU32;
use std::sync::Arc;

use lotmq_codec::{Properties, PropertyBuf, PropertyId, PropertyPlace, PropertyValue};
use lotmq_definitions::{DefinitionId, Owner};

use crate::arena::{Arena, Span};
use crate::message::spans::MessageSpans;
use crate::message::{Message, MessageParts};
use crate::tenant::client::Client;
use crate::tenant::retain::Keeper;

/// Message on its way to its receivers, as ranges of the turn's arena.
pub struct Publication<'a> {
    /// The message itself.
    pub message: MessageSpans,
    /// Packet itself, where it can be sent on as it is.
    pub in_place: Option<InPlace>,
    /// Client that published it; `None` for guests and the broker.
    pub source: Option<&'a Arc<Client>>,
    /// User whose definition publishes it; `None` for Clients, the broker, and definitions without
    /// an owner.
    pub owner: Option<&'a Owner>,
    /// Owner for whom it counts where it is retained, if `source` and `owner` do not tell.
    pub keeper: Option<&'a Keeper>,
    /// LoT route that brought it from another system.
    pub origin: Option<DefinitionId>,
    /// Number of guest runs that led to it.
    pub hops: u8,
}

impl<'a> Publication<'a> {
    /// For whom the message counts where it is retained.
    pub(crate) fn keeper(&self) -> Keeper {
        self.keeper.cloned().unwrap_or_else(|| Keeper::of(self.source, self.owner))
    }

    /// A message that was kept somewhere; a large payload is read where it lies. Its Message Expiry
    /// Interval is what is left of it at this time \[MQTT-3.3.2-6\].
    pub(crate) fn of(
        arena: &mut Arena,
        message: &Message,
        source: Option<&'a Arc<Client>>,
        now_ms: u64,
    ) -> Self {
        let parts = message.parts();
        let left = message.expiry_left(|| now_ms).map(|left| with_expiry(parts.properties, left));
        let properties = left.as_ref().map_or(parts.properties, |left| left.properties().raw());
        let head = Self::copied(arena, MessageParts { payload: &[], properties, ..parts }, source);
        let payload = arena.borrow(message.payload());
        Self { message: MessageSpans { payload, ..head.message }, ..head }
    }

    /// Copies an owned message into the arena.
    pub fn copied(arena: &mut Arena, parts: MessageParts<'_>, source: Option<&'a Arc<Client>>) -> Self {
        let (all, ()) = arena.encode(|out| {
            out.extend_from_slice(parts.topic.as_bytes());
            out.extend_from_slice(parts.properties);
            out.extend_from_slice(parts.payload);
        });
        let (topic, properties) = (parts.topic.len(), parts.properties.len());
        let part = |start, len| if len == 0 { Span::EMPTY } else { all.slice(start, len) };
        Self {
            message: MessageSpans {
                topic: part(0, topic),
                properties: part(topic, properties),
                payload: part(topic + properties, parts.payload.len()),
                qos: parts.qos,
                retain: parts.retain,
                expires_at_ms: parts.expires_at_ms,
            },
            in_place: None,
            source,
            owner: None,
            keeper: None,
            origin: None,
            hops: 0,
        }
    }
}

/// Packet in the arena with DUP and RETAIN cleared and no property that belongs to one connection
/// only.
#[derive(Clone, Copy)]
pub struct InPlace {
    /// The packet.
    pub packet: Span,
    /// Whether it is one of 5.0.
    pub has_properties: bool,
    /// Offset of its Packet Identifier.
    pub packet_id_at: Option<NonZeroU32>,
}

/// Properties of a message with this Message Expiry Interval, in seconds.
fn with_expiry(properties: &[u8], seconds: u32) -> PropertyBuf {
    let mut list = PropertyBuf::new();
    let received = Properties::from_raw(properties, PropertyPlace::PublishFromClient)
        .expect("properties were validated when the message came");
    list.extend(received, |id| id != PropertyId::MessageExpiryInterval)
        .push(PropertyId::MessageExpiryInterval, PropertyValue::FourByte(seconds))
        .expect("every number of seconds is one");
    list
}
