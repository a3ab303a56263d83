//! The inflight window: QoS 1 and 2 messages sent to one Client and not yet finished.
//!
//! Fed by [`Session`](crate::Session) when a message gets its Packet Identifier; drained by
//! acknowledgements.
//!
//! Identifiers go up; one whose slot is taken, by itself or by an older one, is passed over. At
//! most half of the slots are in use, so passing over costs less than one step per message on
//! average.
//!
//! Invariants: an identifier is in use at most once \[MQTT-2.2.1-4\]; a QoS 2 message holds its
//! place until PUBCOMP, not PUBREC \[MQTT-3.3.4-9\]; after PUBREC its PUBLISH is never sent again
//! \[MQTT-4.3.3-6\]; what is sent again keeps its identifier and its order \[MQTT-4.4.0-1\]. Not
//! here: the bound of the window, which is the caller's, and what happens before a message gets an
//! identifier.

mod slots;

use self::slots::SlotPages;
use crate::durable_state::{ImportError, InflightMessage, InflightStep};
use crate::outbound::Outbound;
use lotmq_codec::{PacketId, QoS, ReasonCode};
use std::collections::VecDeque;

/// Why an acknowledgement was not accepted. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AckRefusal {
    /// No message in flight has it. PUBREC is answered by PUBREL with 0x92 (5.0), the others by
    /// nothing.
    #[error("packet identifier {packet_id} is not in use")]
    PacketIdNotFound {
        /// Packet identifier in the acknowledgement.
        packet_id: PacketId,
    },
    /// The message is of the other QoS, or not as far: PUBCOMP before PUBREC, PUBACK for QoS 2. A
    /// protocol error, which closes the connection \[MQTT-4.13.1-1\].
    #[error("acknowledgement does not fit the state of packet identifier {packet_id}")]
    Unexpected {
        /// Packet identifier in the acknowledgement.
        packet_id: PacketId,
    },
}

/// A message that is finished. Its identifier and its place in the window are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked<M> {
    /// The message, if the window kept it: not after PUBREC, and not with `keep_inflight: false`.
    pub message: Option<M>,
    /// The QoS that it was sent with.
    pub qos: QoS,
}

/// Next step after a PUBREC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PubrecOutcome<M> {
    /// Send PUBREL. `message` is what the window need not keep any more, `None` if this PUBREC is a
    /// repeat.
    SendPubrel {
        /// As in [`Acked::message`].
        message: Option<M>,
    },
    /// The Client refused the message: the exchange is over, no PUBREL follows \[MQTT-4.3.3-4\].
    Finished(Acked<M>),
}

#[derive(Debug, Clone)]
struct Entry<M> {
    message: Option<M>,
    /// Place in the order of first sending.
    sequence: u64,
    bytes: u32,
    packet_id: PacketId,
    step: InflightStep,
    /// Whether its PUBLISH or PUBREL went out on this connection.
    is_sent: bool,
    /// Whether its PUBLISH went out on any.
    has_left: bool,
}

/// See the module's description.
#[derive(Debug, Clone)]
pub(crate) struct Window<M> {
    slots: SlotPages<M>,
    len: usize,
    /// Bytes of the messages that are kept to be sent again.
    kept_bytes: u64,
    /// PUBLISH packets that wait to be sent again.
    unsent: usize,
    next_packet_id: PacketId,
    next_sequence: u64,
    /// To be sent again on this connection, in order. May name what is finished meanwhile.
    pubrels: VecDeque<PacketId>,
    publishes: VecDeque<PacketId>,
    /// Entries that this connection has taken from these lists. `None` after the first new message,
    /// which follows all entries of the lists.
    resending: Option<Box<Resending>>,
}

/// Record of the packets that a connection resent before its first new message. At its end the
/// window restores them, so that a Client that reconnects again and again costs only as much as was
/// sent to it.
#[derive(Debug, Clone, Default)]
struct Resending {
    /// Packets that were sent again, in this order.
    sent: Vec<PacketId>,
    /// Messages of which PUBREC has come.
    received: Vec<PacketId>,
}

impl<M: Clone> Window<M> {
    pub(crate) fn new(next_packet_id: PacketId) -> Self {
        Self {
            slots: SlotPages::new(),
            len: 0,
            kept_bytes: 0,
            unsent: 0,
            next_packet_id,
            next_sequence: 0,
            pubrels: VecDeque::new(),
            publishes: VecDeque::new(),
            resending: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn next_packet_id(&self) -> PacketId {
        self.next_packet_id
    }

    /// Whether a new message may follow: all that must be sent again was, and the window is not
    /// full.
    pub(crate) fn has_room(&self, maximum: usize, bytes_max: u64) -> bool {
        self.unsent == 0 && self.len < maximum && self.kept_bytes < bytes_max
    }

    /// Bytes of the messages that are kept to be sent again.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.kept_bytes
    }

    /// The messages that are kept.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (&M, u32)> {
        self.entries().filter_map(|entry| Some((entry.message.as_ref()?, entry.bytes)))
    }

    /// Takes a new message in, which is about to be sent. Only if the window
    /// [has room](Self::has_room).
    pub(crate) fn add(&mut self, qos: QoS, message: Option<M>, bytes: u32) -> PacketId {
        self.resending = None;
        let packet_id = self.free_packet_id();
        let step = InflightStep::after_publish(qos);
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.put(Entry { message, sequence, bytes, packet_id, step, is_sent: true, has_left: true });
        packet_id
    }

    /// Keeps another handle of a message that was sent.
    pub(crate) fn replace(&mut self, packet_id: PacketId, message: M) -> Result<(), AckRefusal> {
        let kept = self.entry(packet_id)?.message.as_mut();
        kept.into_iter().for_each(|kept| *kept = message.clone());
        Ok(())
    }

    pub(crate) fn handle_puback(&mut self, packet_id: PacketId) -> Result<Acked<M>, AckRefusal> {
        match self.entry(packet_id)?.step {
            InflightStep::AwaitsPuback => self.finish(packet_id),
            InflightStep::AwaitsPubrec | InflightStep::AwaitsPubcomp => {
                Err(AckRefusal::Unexpected { packet_id })
            }
        }
    }

    pub(crate) fn handle_pubrec(
        &mut self,
        packet_id: PacketId,
        reason: ReasonCode,
    ) -> Result<PubrecOutcome<M>, AckRefusal> {
        let entry = self.entry(packet_id)?;
        let was_unsent = !entry.is_sent;
        let message = match entry.step {
            InflightStep::AwaitsPuback => return Err(AckRefusal::Unexpected { packet_id }),
            InflightStep::AwaitsPubrec | InflightStep::AwaitsPubcomp if reason.is_failure() => {
                return self.finish(packet_id).map(PubrecOutcome::Finished);
            }
            InflightStep::AwaitsPubcomp => {
                entry.is_sent = true;
                None
            }
            InflightStep::AwaitsPubrec => {
                entry.is_sent = true;
                entry.step = InflightStep::AwaitsPubcomp;
                let (message, bytes) = (entry.message.take(), entry.bytes);
                self.unsent -= usize::from(was_unsent);
                self.kept_bytes -= message.as_ref().map_or(0, |_| bytes.into());
                message
            }
        };
        // After a repeated PUBREC the PUBREL is already in the list, or was taken from it.
        if let Some(resending) = &mut self.resending
            && (was_unsent || message.is_some())
        {
            resending.received.push(packet_id);
        }
        Ok(PubrecOutcome::SendPubrel { message })
    }

    pub(crate) fn handle_pubcomp(&mut self, packet_id: PacketId) -> Result<Acked<M>, AckRefusal> {
        match self.entry(packet_id)?.step {
            InflightStep::AwaitsPubcomp => self.finish(packet_id),
            InflightStep::AwaitsPuback | InflightStep::AwaitsPubrec => {
                Err(AckRefusal::Unexpected { packet_id })
            }
        }
    }

    /// Takes a message out as if it had been delivered.
    pub(crate) fn finish(&mut self, packet_id: PacketId) -> Result<Acked<M>, AckRefusal> {
        let entry = self.slots.take(packet_id).ok_or(AckRefusal::PacketIdNotFound { packet_id })?;
        self.len -= 1;
        self.kept_bytes -= entry.kept_bytes();
        self.unsent -= usize::from(entry.is_unsent_publish());
        if self.len == 0 {
            self.slots.emptied(packet_id);
        }
        Ok(Acked { message: entry.message, qos: entry.step.qos() })
    }

    /// A message did not go out on this connection, after all.
    pub(crate) fn has_not_left(&mut self, packet_id: PacketId) -> Result<(), AckRefusal> {
        self.entry(packet_id)?.has_left = false;
        Ok(())
    }

    /// The connection is gone: all that is in flight will be sent again, what was not kept is
    /// forgotten.
    pub(crate) fn disconnect(&mut self) {
        match self.resending.take() {
            Some(resending) => self.put_back(&resending),
            None => self.list_all(),
        }
        self.resending = (self.len > 0).then(Box::default);
    }

    /// Everything that is listed stays in its place, and before it comes what was taken from there.
    /// Only a PUBREC can have put something between.
    fn put_back(&mut self, resending: &Resending) {
        for &packet_id in resending.sent.iter().rev() {
            let Ok(entry) = self.entry(packet_id) else { continue };
            entry.is_sent = false;
            if entry.step.is_before_pubrec() {
                self.unsent += 1;
                self.publishes.push_front(packet_id);
            } else {
                self.pubrels.push_front(packet_id);
            }
        }
        if resending.received.is_empty() {
            return;
        }
        let listed = std::mem::take(&mut self.pubrels);
        let mut in_order = Vec::with_capacity(listed.len() + resending.received.len());
        for packet_id in listed.into_iter().chain(resending.received.iter().copied()) {
            if let Ok(entry) = self.entry(packet_id)
                && entry.step == InflightStep::AwaitsPubcomp
            {
                entry.is_sent = false;
                in_order.push((entry.sequence, packet_id));
            }
        }
        // Most of it is in order, which a stable sort makes use of.
        in_order.sort();
        in_order.dedup();
        self.pubrels = in_order.into_iter().map(|(_, packet_id)| packet_id).collect();
    }

    fn list_all(&mut self) {
        for slot in self.slots.iter_mut() {
            if slot.as_ref().is_some_and(Entry::is_lost) {
                *slot = None;
                self.len -= 1;
            }
        }
        self.slots.iter_mut().flatten().for_each(|entry| entry.is_sent = false);
        self.unsent = self.entries().filter(|entry| entry.is_unsent_publish()).count();
        let in_order = self.in_order();
        let ids = |is_publish: bool| {
            let same = in_order.iter().filter(move |entry| entry.step.is_before_pubrec() == is_publish);
            same.map(|entry| entry.packet_id).collect()
        };
        (self.pubrels, self.publishes) = (ids(false), ids(true));
    }

    /// Whether a PUBLISH is to be sent again.
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent > 0
    }

    /// Whether anything is to be sent again, as far as can be told without looking for it.
    pub(crate) fn has_resend(&self, maximum: usize) -> bool {
        !self.pubrels.is_empty() || (self.unsent > 0 && self.len - self.unsent < maximum)
    }

    /// Returns the next packet to resend on this connection. PUBREL comes first, because it already
    /// holds a place in the window.
    pub(crate) fn next_resend(&mut self, maximum: usize) -> Option<Outbound<M>> {
        while let Some(packet_id) = self.pubrels.pop_front() {
            if let Ok(entry) = self.entry(packet_id)
                && entry.step == InflightStep::AwaitsPubcomp
                && !std::mem::replace(&mut entry.is_sent, true)
            {
                self.was_sent_again(packet_id);
                return Some(Outbound::Pubrel { packet_id });
            }
        }
        while self.unsent > 0 && self.len - self.unsent < maximum {
            let packet_id = self.publishes.pop_front()?;
            if let Ok(entry) = self.entry(packet_id)
                && entry.is_unsent_publish()
                && let Some(message) = entry.message.clone()
            {
                entry.is_sent = true;
                let (qos, dup) = (entry.step.qos(), std::mem::replace(&mut entry.has_left, true));
                self.unsent -= 1;
                self.was_sent_again(packet_id);
                return Some(Outbound::Publish { packet_id, qos, message, dup });
            }
        }
        None
    }

    fn was_sent_again(&mut self, packet_id: PacketId) {
        if let Some(resending) = &mut self.resending {
            resending.sent.push(packet_id);
        }
    }

    /// All messages in flight, in the order of first sending.
    pub(crate) fn export(&self) -> Vec<InflightMessage<M>> {
        let record = |entry: &Entry<M>| InflightMessage {
            packet_id: entry.packet_id,
            step: entry.step,
            bytes: entry.bytes,
            message: entry.message.clone(),
            has_left: entry.has_left,
        };
        self.in_order().into_iter().map(record).collect()
    }

    /// A window as a store kept it, before its Client is back.
    pub(crate) fn restore(records: Vec<InflightMessage<M>>, next: PacketId) -> Result<Self, ImportError> {
        let mut window = Self::new(next);
        for InflightMessage { packet_id, step, bytes, message, has_left } in records {
            if window.entry(packet_id).is_ok() {
                return Err(ImportError::PacketIdRepeated { packet_id });
            }
            if step.is_before_pubrec() && message.is_none() {
                return Err(ImportError::MessageMissing { packet_id });
            }
            let sequence = window.next_sequence;
            window.next_sequence += 1;
            window.make_slot_for(packet_id);
            window.put(Entry { message, sequence, bytes, packet_id, step, is_sent: true, has_left });
        }
        window.disconnect();
        Ok(window)
    }

    pub(crate) fn check_invariants(&self) -> Result<(), &'static str> {
        if self.entries().count() != self.len {
            return Err("len of the window is the number of its messages");
        }
        if self.entries().map(Entry::kept_bytes).sum::<u64>() != self.kept_bytes {
            return Err("kept_bytes is the sum of the messages that are kept");
        }
        self.slots.check_invariants()?;
        if self.entries().filter(|entry| entry.is_unsent_publish()).count() != self.unsent {
            return Err("unsent is the number of PUBLISH packets that wait to be sent again");
        }
        if self.entries().any(|entry| entry.is_unsent_publish() && !self.publishes.contains(&entry.packet_id))
        {
            return Err("what waits to be sent again is in the list");
        }
        if self.entries().any(|entry| entry.step == InflightStep::AwaitsPubcomp && entry.message.is_some()) {
            return Err("after PUBREC the message is not kept");
        }
        Ok(())
    }

    fn entries(&self) -> impl Iterator<Item = &Entry<M>> {
        self.slots.iter()
    }

    fn in_order(&self) -> Vec<&Entry<M>> {
        let mut entries: Vec<_> = self.entries().collect();
        entries.sort_unstable_by_key(|entry| entry.sequence);
        entries
    }

    fn entry(&mut self, packet_id: PacketId) -> Result<&mut Entry<M>, AckRefusal> {
        self.slots.get_mut(packet_id).ok_or(AckRefusal::PacketIdNotFound { packet_id })
    }

    fn put(&mut self, entry: Entry<M>) {
        self.kept_bytes += entry.kept_bytes();
        self.slots.put(entry);
        self.len += 1;
    }

    fn free_packet_id(&mut self) -> PacketId {
        if self.len * 2 >= self.slots.count() {
            self.slots.grow();
        }
        loop {
            let packet_id = self.next_packet_id;
            self.next_packet_id = packet_id.next();
            if self.slots.is_free(packet_id) {
                return packet_id;
            }
        }
    }

    fn make_slot_for(&mut self, packet_id: PacketId) {
        while !self.slots.is_free(packet_id) {
            self.slots.grow();
        }
    }
}

impl<M> Entry<M> {
    fn is_unsent_publish(&self) -> bool {
        !self.is_sent && self.step.is_before_pubrec()
    }

    fn kept_bytes(&self) -> u64 {
        self.message.as_ref().map_or(0, |_| self.bytes.into())
    }

    /// Whether there is nothing left that could be sent again.
    fn is_lost(&self) -> bool {
        self.step.is_before_pubrec() && self.message.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::WINDOW_BYTES_MAX;
    use proptest::prelude::*;

    #[test]
    fn messages_that_are_kept_fill_the_window_by_their_bytes_too() {
        const PART: u32 = 6 << 20;
        let mut window = Window::new(PacketId::MIN);
        let sent: Vec<PacketId> = (0..3)
            .map(|number| {
                assert!(window.has_room(100, WINDOW_BYTES_MAX), "{number}");
                window.add(QoS::ExactlyOnce, Some(number), PART)
            })
            .collect();
        assert!(!window.has_room(100, WINDOW_BYTES_MAX), "three are more than 16 MiB");
        window.handle_pubrec(sent[0], ReasonCode::Success).unwrap();
        assert!(window.has_room(100, WINDOW_BYTES_MAX), "what has come is kept no more");
        window.finish(sent[0]).unwrap();
        window.check_invariants().unwrap();
        let fourth = window.add(QoS::AtLeastOnce, Some(4), PART);
        assert!(!window.has_room(100, WINDOW_BYTES_MAX));
        window.disconnect();
        let mut window = Window::restore(window.export(), window.next_packet_id()).unwrap();
        window.check_invariants().unwrap();
        while window.next_resend(100).is_some() {}
        assert!(!window.has_room(100, WINDOW_BYTES_MAX), "they are kept over a restart");
        window.handle_puback(fourth).unwrap();
        assert!(window.has_room(100, WINDOW_BYTES_MAX));
        // Messages that the window does not keep use no room.
        let mut window = Window::<u32>::new(PacketId::MIN);
        (0..20).for_each(|_| _ = window.add(QoS::AtLeastOnce, None, PART));
        assert!(window.has_room(100, WINDOW_BYTES_MAX));
        window.check_invariants().unwrap();
    }
    /// Step of the property test on a window.
    #[derive(Debug, Clone)]
    enum Step {
        Resend(u8),
        Puback(u16),
        Pubrec(u16, bool),
        Pubcomp(u16),
        Disconnect,
        Add,
    }

    fn step() -> impl Strategy<Value = Step> {
        let id = 1..40_u16;
        prop_oneof![
            4 => any::<u8>().prop_map(|count| Step::Resend(count % 12)),
            2 => id.clone().prop_map(Step::Puback),
            3 => (id.clone(), any::<bool>()).prop_map(|(id, fails)| Step::Pubrec(id, fails && id % 8 == 0)),
            2 => id.prop_map(Step::Pubcomp),
            4 => Just(Step::Disconnect),
            1 => Just(Step::Add),
        ]
    }

    proptest! {
        /// Restored entries equal the list that a scan of the whole window gives, in the same
        /// order.
        #[test]
        fn restored_unsent_entries_equal_a_full_scan_of_the_window(steps in proptest::collection::vec(step(), 1..120)) {
            let mut window = Window::new(PacketId::MIN);
            let mut other = Window::new(PacketId::MIN);
            for number in 0..30 {
                let qos = if number % 3 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
                for window in [&mut window, &mut other] {
                    window.add(qos, Some(number), 1);
                }
            }
            for step in steps {
                let id = |number: u16| PacketId::new(number).unwrap();
                let mut results = Vec::new();
                for window in [&mut window, &mut other] {
                    results.push(match step {
                        Step::Resend(_) | Step::Disconnect => String::new(),
                        Step::Puback(number) => format!("{:?}", window.handle_puback(id(number))),
                        Step::Pubrec(number, fails) => {
                            let reason = if fails { ReasonCode::QuotaExceeded } else { ReasonCode::Success };
                            format!("{:?}", window.handle_pubrec(id(number), reason))
                        }
                        Step::Pubcomp(number) => format!("{:?}", window.handle_pubcomp(id(number))),
                        Step::Add if window.has_room(100, WINDOW_BYTES_MAX) && window.pubrels.is_empty() => {
                            format!("{:?}", window.add(QoS::ExactlyOnce, Some(0), 1))
                        }
                        Step::Add => String::new(),
                    });
                }
                prop_assert_eq!(&results[0], &results[1]);
                if let Step::Resend(count) = step {
                    for _ in 0..count {
                        prop_assert_eq!(window.next_resend(100), other.next_resend(100));
                    }
                }
                if matches!(step, Step::Disconnect) {
                    window.disconnect();
                    other.resending = None;
                    other.disconnect();
                }
                window.check_invariants().unwrap();
                prop_assert_eq!(window.unsent, other.unsent);
            }
        }
    }
}
