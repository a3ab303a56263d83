//! Delivery to one receiver at the end of a turn: what it needs of the turn, and messages that
//! leave under a Packet Identifier.

use std::sync::Arc;

use lotmq_changes::{Batch, MessageId, Op};
use lotmq_codec::{PacketId, QoS};
use lotmq_session::Time;

use crate::arena::{Arena, Span};
use crate::counters::TurnCounts;
use crate::fault::{Fault, is_planted};
use crate::figures::ThreadFigures;
use crate::shared::Core;
use crate::tenant::client::{Client, stored_packet_id};
use crate::tenant::link::Link;
use crate::turn::messages::Messages;
use crate::turn::release::Release;
use crate::turn::time_share::TimeShares;

/// Context of a delivery: what it needs of the turn besides the receiver.
pub struct DeliveryContext<'a> {
    pub(crate) arena: &'a mut Arena,
    pub(crate) messages: &'a mut Messages,
    pub(crate) batch: &'a mut Batch,
    /// Releases for when the batch is committed.
    pub on_commit: &'a mut Vec<Release>,
    pub(crate) core: &'a Arc<Core>,
    pub(crate) counts: &'a mut TurnCounts,
    pub(crate) figures: &'a ThreadFigures,
    pub(crate) time_shares: &'a mut TimeShares,
    /// Time of the turn, by the broker's clock.
    pub now: Time,
    /// Wall-clock time of the turn, in milliseconds since 1970.
    pub wall_ms: u64,
    /// Time of the turn in [lifetime milliseconds](crate::clock::Clock::lifetime_ms).
    pub lifetime_ms: u64,
    /// Number of the shard whose turn it is; `None` on other threads.
    pub home: Option<u16>,
}

/// Message with a Packet Identifier that is to leave.
pub struct Sent {
    /// Its number in the queue of the session in the store; `None` when it is not there.
    pub message: Option<MessageId>,
    pub(crate) qos: QoS,
    pub(crate) packet_id: PacketId,
}

impl Sent {
    /// Stores the identifier, so that the message is sent again with the same \[MQTT-4.4.0-1\].
    ///
    /// True if the packet may leave only after the commit. After a crash the broker would forget
    /// the identifier of a QoS 2 message and deliver it twice. Later packets stay behind it.
    pub fn waits(
        self,
        client: &Arc<Client>,
        link: Option<&mut Link>,
        spans: [Span; 2],
        turn: &mut DeliveryContext<'_>,
    ) -> bool {
        let Some(link) = link else { return false };
        if let Some(message) = self.message {
            let packet_id = stored_packet_id(self.packet_id);
            turn.batch.push(Op::Inflight { session: client.stored_id(), message, packet_id });
        }
        let is_stored = self.message.is_some() && !is_planted(Fault::IdentifierNotStored);
        let is_held = is_stored && self.qos == QoS::ExactlyOnce;
        if !is_held && link.held.is_empty() {
            return false;
        }
        let packet = turn.arena.kept(spans);
        if is_held {
            let number = link.held.hold(packet, self.packet_id);
            let (client, connection) = (Arc::clone(client), Arc::clone(&link.connection));
            turn.on_commit.push(Release::Message { client, connection, number });
        } else {
            link.held.follow(packet, self.packet_id);
        }
        true
    }
}
