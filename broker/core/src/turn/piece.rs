//! Pieces and items: what a receiver gets in a turn, as ranges of the arena, in order.

use std::num::NonZeroU32;
use std::sync::Arc;

use lotmq_changes::MembershipId;
use lotmq_codec::QoS;

use crate::arena::{Arena, Span};
use crate::message::Message;
use crate::tenant::client::Queued;
use crate::tenant::subscription::Identifiers;

/// Encoded PUBLISH, shared by all receivers with the same version, QoS and flags.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// Fixed header to properties; the whole packet when `payload` is empty.
    pub head: Span,
    /// Offset of the Packet Identifier in `head`; only QoS 1 and 2 have one.
    pub packet_id_at: Option<NonZeroU32>,
    /// The payload where it was not copied behind the head.
    pub payload: Span,
    /// Length of the payload, wherever it lies.
    pub(crate) payload_bytes: u32,
}

/// Offset of a Packet Identifier in its packet, behind the fixed header and a topic.
pub(crate) fn packet_id_offset(at: usize) -> NonZeroU32 {
    let at = u32::try_from(at).ok().and_then(NonZeroU32::new);
    at.expect("an identifier follows a header and a topic of at most 64 KiB")
}

impl Piece {
    /// Bytes on the wire.
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.payload.len()
    }

    /// Copy of the piece with a head of its own.
    pub fn copied(&self, arena: &mut Arena) -> Self {
        let (head, ()) = arena.encode_from([self.head], |[head], out| out.extend_from_slice(head));
        Self { head, ..*self }
    }
}

/// Item that is written to a receiver.
#[derive(Clone, Debug)]
pub enum Item {
    /// An acknowledgement or another packet that is never dropped.
    Control(Span),
    /// QoS 0 messages, neighbours in the arena. None are counted in the second part of a message
    /// that lies apart from its head.
    Plain {
        /// Bytes of the messages.
        span: Span,
        /// Number of messages that begin in them.
        messages: u32,
        /// Bytes of their payloads.
        payload_bytes: u64,
    },
    /// The session's backlog, as far as there is room.
    Backlog,
    /// A message that needs a Packet Identifier of the receiver's session.
    Tracked(Tracked),
}

impl Item {
    /// The payload of the message before it, where that lies apart from its head.
    pub(crate) fn rest(&self) -> Span {
        match *self {
            Self::Plain { span, messages: 0, .. } => span,
            Self::Control(_) | Self::Plain { .. } | Self::Backlog | Self::Tracked(_) => Span::EMPTY,
        }
    }
}

/// A message of QoS 1 or 2 for a receiver.
#[derive(Clone, Debug)]
pub struct Tracked {
    /// Its bytes.
    pub piece: Piece,
    /// Its QoS for this receiver, 1 or 2.
    pub qos: QoS,
    /// Index among the turn's messages.
    pub message: u32,
    /// RETAIN as sent to this receiver.
    pub retain: bool,
    /// Whether the turn's batch has it for this receiver's session, which outlived its connection
    /// when the message was routed.
    pub is_stored: bool,
    /// Membership by which it comes; `None` for a subscription of the receiver's own.
    pub membership: Option<MembershipId>,
    /// Subscription Identifiers as sent to this receiver.
    pub identifiers: Identifiers,
}

impl Tracked {
    /// The message as the receiver's session keeps it. `is_stored`: the store has it for this one.
    pub(crate) fn queued(&self, message: &Arc<Message>, is_stored: bool) -> Queued {
        Queued::new(message, (self.retain, is_stored), &self.identifiers, self.membership)
    }

    /// Terms on which the receiver's session gets it.
    pub(crate) fn terms(&self) -> Terms<'_> {
        let Self { qos, retain, membership, ref identifiers, .. } = *self;
        Terms { qos, retain, membership, identifiers }
    }
}

/// Terms on which a session gets a message.
pub(crate) struct Terms<'a> {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) membership: Option<MembershipId>,
    pub(crate) identifiers: &'a Identifiers,
}

/// Items for one receiver; neighbours merge as they are added.
#[derive(Default)]
pub struct Items(Vec<Item>);

impl Items {
    pub(crate) fn control(&mut self, span: Span) {
        if let Some(Item::Control(last)) = self.0.last_mut()
            && last.touches(span)
        {
            *last = last.joined(span);
            return;
        }
        self.push(Item::Control(span));
    }

    /// Adds a QoS 0 message. `is_apart`: its head may have to be changed for this receiver, so it
    /// does not merge with those before it.
    pub fn plain(&mut self, piece: &Piece, is_apart: bool) {
        let bytes = u64::from(piece.payload_bytes);
        if !is_apart
            && let Some(Item::Plain { span, messages, payload_bytes }) = self.0.last_mut()
            && *messages > 0
            && span.touches(piece.head)
        {
            *span = span.joined(piece.head);
            *messages += 1;
            *payload_bytes += bytes;
        } else {
            self.push(Item::Plain { span: piece.head, messages: 1, payload_bytes: bytes });
        }
        if !piece.payload.is_empty() {
            self.push(Item::Plain { span: piece.payload, messages: 0, payload_bytes: 0 });
        }
    }

    pub(crate) fn tracked(&mut self, tracked: Tracked) {
        self.push(Item::Tracked(tracked));
    }

    /// Adds the session's backlog.
    pub fn drain(&mut self) {
        if !matches!(self.0.last(), Some(Item::Backlog)) {
            self.push(Item::Backlog);
        }
    }

    /// Adds an item. The first gets a place for itself alone: most receivers have one, and in a
    /// turn with ten thousand of them the others' places would be 2 MiB.
    fn push(&mut self, item: Item) {
        if self.0.capacity() == 0 {
            self.0.reserve_exact(1);
        }
        self.0.push(item);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.0.iter()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A turn has one for each receiver of each message.
    #[test]
    fn an_item_is_small() {
        assert!(size_of::<Item>() <= 56, "{} bytes", size_of::<Item>());
    }
}
