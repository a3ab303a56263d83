//! Messages that we sent at QoS 1 and 2 and whose handshake is not over.

use std::collections::BTreeMap;

use lotmq_codec::{Ack, AckType, PacketId, ReasonCode};

use crate::ClientError;

/// The open handshakes, and how finished ones ended until somebody asks.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    last_id: Option<PacketId>,
    open: BTreeMap<PacketId, Awaited>,
    ended: BTreeMap<PacketId, ReasonCode>,
}

/// Packet that an open identifier waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    Puback,
    Pubrec,
    Pubcomp,
    /// SUBACK or UNSUBACK.
    OtherAck,
}

impl Outbound {
    /// Takes a free identifier.
    pub(crate) fn begin(&mut self, awaited: Awaited) -> Result<PacketId, ClientError> {
        let mut id = self.last_id.map_or(PacketId::MIN, PacketId::next);
        for _ in 0..u16::MAX {
            if !self.open.contains_key(&id) && !self.ended.contains_key(&id) {
                self.last_id = Some(id);
                self.open.insert(id, awaited);
                return Ok(id);
            }
            id = id.next();
        }
        Err(ClientError::PacketIdsUsedUp)
    }

    /// Takes note of an acknowledgement; returns the identifier whose PUBREL must now be sent.
    pub(crate) fn handle_ack(&mut self, ack: &Ack<'_>) -> Result<Option<PacketId>, ClientError> {
        let id = ack.packet_id;
        match (self.open.get(&id).copied(), ack.ack_type) {
            (Some(Awaited::Pubrec), AckType::Pubrec) if !ack.reason.is_failure() => {
                self.open.insert(id, Awaited::Pubcomp);
                Ok(Some(id))
            }
            // A repeated PUBREC, as after a reconnect.
            (Some(Awaited::Pubcomp), AckType::Pubrec) => Ok(Some(id)),
            (Some(Awaited::Puback), AckType::Puback)
            | (Some(Awaited::Pubrec), AckType::Pubrec)
            | (Some(Awaited::Pubcomp), AckType::Pubcomp) => {
                self.open.remove(&id);
                self.ended.insert(id, ack.reason);
                Ok(None)
            }
            _ => Err(ClientError::Unexpected { packet_type: ack.ack_type.packet_type() }),
        }
    }

    /// Frees the identifier of what was not sent, or of a SUBSCRIBE or UNSUBSCRIBE that was
    /// answered.
    pub(crate) fn cancel(&mut self, id: PacketId) {
        self.open.remove(&id);
    }

    /// How the handshake of `id` ended; `None` while it is open. Told once; then the identifier is
    /// free.
    pub(crate) fn take_ended(&mut self, id: PacketId) -> Option<ReasonCode> {
        self.ended.remove(&id)
    }

    /// PUBLISH packets that wait for an acknowledgement.
    pub(crate) fn open_count(&self) -> usize {
        self.open.values().filter(|awaited| **awaited != Awaited::OtherAck).count()
    }
}
