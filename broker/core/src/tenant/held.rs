//! Held packets of one Client: messages whose Packet Identifier is on its way to the disk, and
//! those behind them.
//!
//! Several threads send to a Client, each waits for commits of its own, and these are reported in
//! any order: the order of the messages is kept here \[MQTT-4.6.0-6\].

use std::collections::VecDeque;

use bytes::Bytes;
use lotmq_codec::PacketId;

/// Held packets. Most connections never hold anything back, so that only the others have memory for
/// it.
#[derive(Debug, Default)]
pub struct Held(Option<Box<Packets>>);

#[derive(Debug, Default)]
struct Packets {
    packets: VecDeque<Packet>,
    /// Number of the first packet.
    first: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Packet {
    bytes: PacketBytes,
    packet_id: PacketId,
    may_leave: bool,
}

/// The bytes of a packet: its beginning, and a large payload behind it, whose memory is the
/// message's.
pub type PacketBytes = (Box<[u8]>, Bytes);

fn len((head, payload): &PacketBytes) -> usize {
    head.len() + payload.len()
}

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|held| held.packets.is_empty())
    }

    /// Bytes of all packets.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.bytes)
    }

    /// Keeps a packet back until [`Held::let_go`] is called with the number that is returned.
    pub fn hold(&mut self, bytes: PacketBytes, packet_id: PacketId) -> u64 {
        self.append(Packet { bytes, packet_id, may_leave: false })
    }

    /// Keeps a packet behind those that are held.
    pub fn follow(&mut self, bytes: PacketBytes, packet_id: PacketId) {
        self.append(Packet { bytes, packet_id, may_leave: true });
    }

    fn append(&mut self, packet: Packet) -> u64 {
        let held = self.0.get_or_insert_default();
        held.bytes += len(&packet.bytes);
        held.packets.push_back(packet);
        held.first + held.packets.len() as u64 - 1
    }

    /// Lets a packet leave as soon as those before it have left.
    pub(crate) fn let_go(&mut self, number: u64) {
        let Some(held) = &mut self.0 else { return };
        let at = number.checked_sub(held.first).and_then(|at| usize::try_from(at).ok());
        if let Some(packet) = at.and_then(|at| held.packets.get_mut(at)) {
            packet.may_leave = true;
        }
    }

    /// Packet Identifiers of all packets.
    pub(crate) fn packet_ids(&self) -> impl Iterator<Item = PacketId> {
        self.0.iter().flat_map(|held| held.packets.iter().map(|packet| packet.packet_id))
    }

    /// Takes out the next packet, if it may leave.
    pub fn pop(&mut self) -> Option<PacketBytes> {
        let held = self.0.as_mut()?;
        let packet = held.packets.pop_front_if(|packet| packet.may_leave)?;
        held.first += 1;
        held.bytes -= len(&packet.bytes);
        Some(packet.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the packets that leave now.
    fn leaving(held: &mut Held) -> Vec<u8> {
        std::iter::from_fn(|| held.pop()).map(|(head, _)| head[0]).collect()
    }

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    fn packet(number: u8) -> PacketBytes {
        ([number].into(), Bytes::new())
    }

    #[test]
    fn packets_leave_in_the_order_in_which_they_were_sent() {
        let mut held = Held::default();
        let first = held.hold(packet(1), id(1));
        held.follow(packet(2), id(2));
        let third = held.hold(packet(3), id(3));
        held.follow(packet(4), id(4));
        assert_eq!((leaving(&mut held), held.bytes()), (vec![], 4));
        assert_eq!(held.packet_ids().collect::<Vec<_>>(), [1, 2, 3, 4].map(id));
        held.let_go(third);
        assert!(leaving(&mut held).is_empty(), "what is behind the first one waits for it");
        held.let_go(first);
        assert_eq!((leaving(&mut held), held.bytes()), (vec![1, 2, 3, 4], 0));
        let fifth = held.hold(packet(5), id(5));
        held.let_go(first);
        assert!(leaving(&mut held).is_empty(), "an old number lets nothing go");
        held.let_go(fifth);
        assert_eq!(leaving(&mut held), [5]);
        assert!(held.is_empty());
    }
}
