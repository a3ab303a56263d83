//! Messages from the Client that are not finished: the QoS 2 exchanges between PUBLISH and PUBREL.
//!
//! Asked before a PUBLISH is routed; told when it is acknowledged. The identifiers are session
//! state: they survive a reconnect, what they count against the Receive Maximum does not.
//!
//! Invariants: an identifier is open at most once; a repeated PUBLISH of an open exchange is never
//! delivered again \[MQTT-4.3.3-10\] and counts once, unless its message may be lost: then it is as
//! if it had not come before.

use lotmq_codec::PacketId;

/// Verdict on a valid PUBLISH from the Client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboundPublish {
    /// New: deliver it, then acknowledge as its QoS asks.
    Deliver,
    /// A repeated QoS 2 PUBLISH whose exchange is open: answer PUBREC again and deliver nothing
    /// \[MQTT-4.3.3-10\].
    ///
    /// That PUBREC promises as much as the first, so it waits for the same commit to the store.
    Duplicate,
}

/// Why a PUBLISH from the Client was refused. All are the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishRefusal {
    /// More unacknowledged QoS 1 and 2 messages than we announced \[MQTT-3.3.4-7\]. Closes with
    /// 0x93.
    #[error("{inflight} messages in flight reach receive maximum {receive_maximum}")]
    ReceiveMaximumExceeded {
        /// Messages in flight before this one.
        inflight: usize,
        /// The Receive Maximum that the broker announced.
        receive_maximum: u16,
    },
    /// A QoS 1 PUBLISH with the identifier of an open QoS 2 exchange \[MQTT-2.2.1-3\]. 0x91 in
    /// PUBACK; 3.1.1: close.
    #[error("packet identifier {packet_id} is in use by a QoS 2 exchange")]
    PacketIdInUse {
        /// The identifier of both.
        packet_id: PacketId,
    },
}

/// Outcome of a PUBREL. The Client gets PUBCOMP either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PubrelOutcome {
    /// The exchange is over; the identifier may be used anew. A durable session's store hears of it
    /// before PUBCOMP.
    Released,
    /// No such exchange: PUBCOMP with 0x92 (5.0), and the connection stays.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OpenExchange {
    packet_id: PacketId,
    /// Whether its PUBLISH came on this connection and so counts against the Receive Maximum.
    is_counted: bool,
    /// Whether its message may be lost, so that a repetition is the first of it.
    is_in_doubt: bool,
}

/// The open QoS 2 exchanges, sorted by identifier. Clients count upwards, so they come at the end
/// and go at the front.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inbound {
    open: Vec<OpenExchange>,
    counted: usize,
    /// Last value that the caller passed to [`Inbound::note_losses`].
    losses: u64,
}

impl Inbound {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Exchanges that count against the Receive Maximum of this connection.
    pub(crate) fn counted(&self) -> usize {
        self.counted
    }

    pub(crate) fn contains(&self, packet_id: PacketId) -> bool {
        self.find(packet_id).is_ok()
    }

    /// Whether the exchange is open and its PUBLISH came on this connection already.
    pub(crate) fn is_counted(&self, packet_id: PacketId) -> bool {
        self.find(packet_id).is_ok_and(|at| self.open[at].is_counted)
    }

    /// Opens an exchange, or meets an open one; either way it counts from now on.
    pub(crate) fn receive(&mut self, packet_id: PacketId) -> InboundPublish {
        match self.find(packet_id) {
            Ok(at) => {
                let exchange = &mut self.open[at];
                let was_counted = std::mem::replace(&mut exchange.is_counted, true);
                self.counted += usize::from(!was_counted);
                match std::mem::take(&mut exchange.is_in_doubt) {
                    true => InboundPublish::Deliver,
                    false => InboundPublish::Duplicate,
                }
            }
            Err(at) => {
                self.open.insert(at, OpenExchange { packet_id, is_counted: true, is_in_doubt: false });
                self.counted += 1;
                InboundPublish::Deliver
            }
        }
    }

    /// Takes notice of how often the store has lost what it was given. When that is news, the
    /// message of every exchange may be among it.
    pub(crate) fn note_losses(&mut self, losses: u64) {
        if self.losses != losses {
            self.losses = losses;
            self.open.iter_mut().for_each(|exchange| exchange.is_in_doubt = true);
        }
    }

    /// Ends an exchange; says whether there was one.
    pub(crate) fn release(&mut self, packet_id: PacketId) -> bool {
        let Ok(at) = self.find(packet_id) else { return false };
        self.counted -= usize::from(self.open.remove(at).is_counted);
        true
    }

    /// The connection is gone: what is open stays open and counts no more.
    pub(crate) fn disconnect(&mut self) {
        self.open.iter_mut().for_each(|exchange| exchange.is_counted = false);
        self.counted = 0;
        self.open.shrink_to_fit();
    }

    pub(crate) fn packet_ids(&self) -> impl Iterator<Item = PacketId> {
        self.open.iter().map(|exchange| exchange.packet_id)
    }

    /// The exchanges that a store kept; repeats count once.
    pub(crate) fn restore(mut packet_ids: Vec<PacketId>) -> Self {
        packet_ids.sort_unstable();
        packet_ids.dedup();
        let open = packet_ids.into_iter().map(|packet_id| OpenExchange {
            packet_id,
            is_counted: false,
            is_in_doubt: false,
        });
        Self { open: open.collect(), counted: 0, losses: 0 }
    }

    pub(crate) fn check_invariants(&self) -> Result<(), &'static str> {
        if !self.open.is_sorted_by(|a, b| a.packet_id < b.packet_id) {
            return Err("an inbound identifier is open at most once");
        }
        let counted = self.open.iter().filter(|exchange| exchange.is_counted).count();
        if counted == self.counted { Ok(()) } else { Err("counted exchanges are those of this connection") }
    }

    fn find(&self, packet_id: PacketId) -> Result<usize, usize> {
        self.open.binary_search_by_key(&packet_id, |exchange| exchange.packet_id)
    }
}

/// Whether one more message may be in flight from the Client; always without a Receive Maximum
/// (3.1.1).
pub(crate) fn admit(inflight: usize, receive_maximum: Option<u16>) -> Result<(), PublishRefusal> {
    match receive_maximum.map(|maximum| maximum.max(1)) {
        Some(receive_maximum) if inflight >= usize::from(receive_maximum) => {
            Err(PublishRefusal::ReceiveMaximumExceeded { inflight, receive_maximum })
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_counts_as_new_once_when_its_message_may_be_lost() {
        let mut inbound = Inbound::default();
        let (first, second) = (PacketId::MIN, PacketId::MIN.next());
        assert_eq!(inbound.receive(first), InboundPublish::Deliver);
        inbound.note_losses(0);
        assert_eq!(inbound.receive(first), InboundPublish::Duplicate);
        inbound.note_losses(3);
        assert_eq!(inbound.receive(second), InboundPublish::Deliver);
        for expected in [InboundPublish::Deliver, InboundPublish::Duplicate] {
            inbound.note_losses(3);
            assert_eq!(inbound.receive(first), expected);
            assert_eq!(inbound.receive(second), InboundPublish::Duplicate, "it came after the loss");
        }
        assert_eq!(inbound.counted(), 2);
        inbound.check_invariants().unwrap();
    }
}
