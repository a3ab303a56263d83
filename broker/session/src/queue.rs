//! Messages that wait: for the Client to come back, or for room in its window.
//!
//! Filled by [`Session::offer`](crate::Session::offer), emptied into the window in the same order.
//! Of a long queue whose messages are stored only the *heads* are here; the others *rest* in the
//! store, known by number and bytes, and come back in slices:
//!
//! ```text
//! window <- heads <- resting, in the store only <- fresh, not known to be stored yet
//! ```
//!
//! Invariants: never more messages or bytes than the options of the session say; nothing is thrown
//! out for something newer; order is that of arrival, or within a long queue that of the numbers of
//! messages, which is the same for each publisher \[MQTT-4.6.0-5\]; whatever rests or is fresh has
//! a higher number than all that has left the heads or is among them, `taken`, so that a slice
//! begins behind it and nothing comes twice.

use std::collections::VecDeque;

use lotmq_codec::QoS;

use crate::limits::{HEADS_BYTES_MAX, HEADS_MAX, SLICE_MAX};

/// A message found the session's queue full. It was counted and not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("queue of the session is full with {messages} messages of {bytes} bytes")]
pub struct QueueFull {
    /// Messages that wait.
    pub messages: u32,
    /// Their bytes, without the refused message.
    pub bytes: u64,
}

/// Messages that are in the store only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resting {
    /// How many.
    pub messages: u32,
    /// Their bytes.
    pub bytes: u64,
}

/// A part of a queue that is to be read from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedSlice {
    /// The number behind which it begins.
    pub after: u64,
    /// Most messages of it.
    pub messages_max: usize,
    /// Most bytes of it, those of the first message included; `None` where that comes however long
    /// it is.
    pub bytes_max: Option<u64>,
}

/// A message that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage<M> {
    /// The message.
    pub message: M,
    /// The QoS to send it with, 1 or 2.
    pub qos: QoS,
    /// Its size as [`Session::offer`](crate::Session::offer) was told.
    pub bytes: u32,
    /// Its number in the store; 0 if it is not stored for this session.
    pub number: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Queue<M> {
    heads: VecDeque<QueuedMessage<M>>,
    /// Behind what rests: by number, those without one behind those that were there.
    fresh: VecDeque<Fresh<M>>,
    resting: Resting,
    /// Bytes of heads and fresh ones.
    bytes: u64,
    /// A slice is on its way. Until it is here nothing begins to rest: the slice may have been read
    /// before, without it.
    is_asked: bool,
    /// Messages of the slice that was asked for last.
    slice_messages: u16,
    /// The next message of those that rest is too long to be in memory.
    is_next_too_long: bool,
    /// Since the slice was asked for longer ones may come.
    may_be_longer: bool,
}

#[derive(Debug, Clone)]
struct Fresh<M> {
    queued: QueuedMessage<M>,
    /// It is stored and may rest.
    is_stored: bool,
}

impl<M> Fresh<M> {
    /// Whether it may stay in memory until it is sent; it has to if it will not rest.
    fn may_be_head(&self, bytes_max: u64) -> bool {
        self.queued.number == 0 || u64::from(self.queued.bytes) <= bytes_max
    }
}

impl<M> Queue<M> {
    pub(crate) const fn new() -> Self {
        Self {
            heads: VecDeque::new(),
            fresh: VecDeque::new(),
            resting: Resting { messages: 0, bytes: 0 },
            bytes: 0,
            is_asked: false,
            slice_messages: 0,
            is_next_too_long: false,
            may_be_longer: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.in_memory() + self.resting.messages as usize
    }

    pub(crate) fn in_memory(&self) -> usize {
        self.heads.len() + self.fresh.len()
    }

    pub(crate) fn resting(&self) -> Resting {
        self.resting
    }

    pub(crate) fn needs_store(&self) -> bool {
        self.resting.messages > 0 || self.is_asked || !self.fresh.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0 && !self.is_asked
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes + self.resting.bytes
    }

    /// Those in memory.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &QueuedMessage<M>> {
        self.heads.iter().chain(self.fresh.iter().map(|fresh| &fresh.queued))
    }

    /// Whether one more message of `bytes` keeps to both bounds.
    pub(crate) fn has_room(&self, bytes: u32, messages_max: u32, bytes_max: u64) -> bool {
        self.len() < messages_max as usize && self.bytes().saturating_add(bytes.into()) <= bytes_max
    }

    /// Messages that a store kept and that are not here.
    pub(crate) fn rest(&mut self, resting: Resting) {
        self.resting = resting;
    }

    /// Takes a message that is not stored.
    pub(crate) fn push(&mut self, queued: QueuedMessage<M>, taken: &mut u64) {
        let is_next = self.resting.messages == 0 && self.fresh.is_empty() && !self.is_asked;
        if is_next || (queued.number != 0 && queued.number < *taken) {
            self.push_head(queued, taken);
        } else {
            self.push_fresh(queued);
        }
    }

    /// Takes a message that will rest in the store, unless it is among the heads. True when its
    /// caller is to say when it is stored. `may_be_head`: it may stay in memory as long as it
    /// waits.
    pub(crate) fn push_stored(
        &mut self,
        queued: QueuedMessage<M>,
        may_be_head: bool,
        taken: &mut u64,
    ) -> bool {
        let is_next = self.resting.messages == 0 && self.fresh.is_empty() && !self.is_asked;
        let has_room = self.heads.len() < HEADS_MAX && self.bytes < HEADS_BYTES_MAX;
        // One with a lower number than what was taken already came late; a slice would not bring
        // it.
        if queued.number <= *taken || (is_next && may_be_head && has_room) {
            self.push_head(queued, taken);
            return false;
        }
        self.push_fresh(queued);
        true
    }

    fn push_head(&mut self, queued: QueuedMessage<M>, taken: &mut u64) {
        debug_assert!(queued.qos != QoS::AtMostOnce, "QoS 0 does not wait");
        *taken = queued.number.max(*taken);
        self.bytes += u64::from(queued.bytes);
        self.heads.push_back(queued);
    }

    fn push_fresh(&mut self, queued: QueuedMessage<M>) {
        self.bytes += u64::from(queued.bytes);
        let number = queued.number;
        let is_before = |other: &Fresh<M>| number == 0 || other.queued.number <= number;
        // Almost always behind all others: publishers' threads overtake each other by little.
        let place = self.fresh.iter().rposition(is_before).map_or(0, |place| place + 1);
        self.fresh.insert(place, Fresh { queued, is_stored: false });
    }

    /// Messages are stored: those of them that are fresh rest from now on.
    pub(crate) fn stored(&mut self, numbers: &[u64]) {
        for number in numbers {
            if self.is_asked {
                let fresh = self.fresh.iter_mut().find(|fresh| fresh.queued.number == *number);
                fresh.into_iter().for_each(|fresh| fresh.is_stored = true);
            } else if let Some(queued) = self.take_fresh(|fresh| fresh.queued.number == *number) {
                self.begin_to_rest(&queued);
            }
        }
        if self.fresh.is_empty() {
            self.fresh.shrink_to(16);
        }
    }

    fn begin_to_rest(&mut self, queued: &QueuedMessage<M>) {
        self.resting.messages = self.resting.messages.saturating_add(1);
        self.resting.bytes += u64::from(queued.bytes);
    }

    /// Takes out the first fresh one like this.
    fn take_fresh(&mut self, is_it: impl FnMut(&Fresh<M>) -> bool) -> Option<QueuedMessage<M>> {
        let place = self.fresh.iter().position(is_it)?;
        let Fresh { queued, .. } = self.fresh.remove(place)?;
        self.bytes -= u64::from(queued.bytes);
        Some(queued)
    }

    /// Of how many messages a slice is wanted; it is asked for then. Twice as many as before when
    /// none were left, half when some were.
    pub(crate) fn ask(&mut self) -> Option<usize> {
        let before = usize::from(self.slice_messages).max(HEADS_MAX / 2);
        let has_enough = self.heads.len() > before.max(HEADS_MAX) / 2;
        if self.resting.messages == 0 || self.is_asked || has_enough || self.is_next_too_long {
            return None;
        }
        self.is_asked = true;
        let messages =
            if self.heads.is_empty() { before * 2 } else { before / 2 }.clamp(HEADS_MAX, SLICE_MAX);
        self.slice_messages = u16::try_from(messages).unwrap_or(u16::MAX);
        Some(messages)
    }

    /// The slice that was asked for would begin with a message that is longer than was asked for.
    pub(crate) fn next_is_too_long(&mut self) {
        self.is_next_too_long = !self.may_be_longer;
        self.asked_no_more();
    }

    /// Longer messages may come than when the last slice was asked for.
    pub(crate) fn may_ask_again(&mut self) {
        self.is_next_too_long = false;
        self.may_be_longer = self.is_asked;
    }

    /// Bytes in memory.
    pub(crate) fn bytes_in_memory(&self) -> u64 {
        self.bytes
    }

    /// No slice is on its way: what was stored meanwhile rests.
    pub(crate) fn asked_no_more(&mut self) {
        (self.is_asked, self.may_be_longer) = (false, false);
        while let Some(queued) = self.take_fresh(|fresh| fresh.is_stored) {
            self.begin_to_rest(&queued);
        }
    }

    /// A slice has come: the messages up to the number `last`, by number. Without `last` nothing is
    /// in the store behind what was taken.
    pub(crate) fn slice(
        &mut self,
        slice: impl Iterator<Item = QueuedMessage<M>>,
        last: Option<u64>,
        taken: &mut u64,
    ) {
        let Some(last) = last else {
            // The store has fewer messages than were counted: it is damaged.
            self.resting = Resting::default();
            return self.asked_no_more();
        };
        for queued in slice {
            if queued.number <= *taken {
                continue;
            }
            self.take_fresh_before(queued.number, taken);
            if self.take_fresh(|fresh| fresh.queued.number == queued.number).is_none() {
                self.resting.messages = self.resting.messages.saturating_sub(1);
                self.resting.bytes = self.resting.bytes.saturating_sub(queued.bytes.into());
            }
            self.push_head(queued, taken);
        }
        self.take_fresh_before(last, taken);
        *taken = last.max(*taken);
        if self.resting.messages == 0 {
            self.resting.bytes = 0;
        }
        self.asked_no_more();
    }

    /// Moves fresh ones with lower numbers, which were not stored yet when the slice was read,
    /// among the heads.
    fn take_fresh_before(&mut self, number: u64, taken: &mut u64) {
        let is_before = |fresh: &Fresh<M>| fresh.queued.number != 0 && fresh.queued.number < number;
        while let Some(queued) = self.take_fresh(is_before) {
            self.push_head(queued, taken);
        }
    }

    /// Whether [`pop`](Self::pop) has one.
    pub(crate) fn has_next(&self, fresh_bytes_max: u64) -> bool {
        let is_next_fresh = self.resting.messages == 0 && !self.is_asked;
        !self.heads.is_empty()
            || (is_next_fresh && self.fresh.front().is_some_and(|fresh| fresh.may_be_head(fresh_bytes_max)))
    }

    /// The next message. One that will rest in the store is left to that if it has more than
    /// `fresh_bytes_max`.
    pub(crate) fn pop(&mut self, fresh_bytes_max: u64, taken: &mut u64) -> Option<QueuedMessage<M>> {
        if self.heads.is_empty() && self.resting.messages == 0 && !self.is_asked {
            self.advance(fresh_bytes_max, taken);
        }
        let queued = self.heads.pop_front()?;
        self.bytes -= u64::from(queued.bytes);
        if self.heads.is_empty() {
            // A queue of a million messages is not kept for a session that has caught up.
            self.heads.shrink_to(16);
        }
        Some(queued)
    }

    /// Nothing rests in front of the fresh ones: they are next.
    fn advance(&mut self, fresh_bytes_max: u64, taken: &mut u64) {
        while let Some(Fresh { queued, .. }) =
            self.fresh.pop_front_if(|fresh| fresh.may_be_head(fresh_bytes_max))
        {
            *taken = queued.number.max(*taken);
            self.heads.push_back(queued);
        }
    }

    pub(crate) fn check_invariants(&self, taken: u64) -> Result<(), &'static str> {
        let bytes: u64 = self.iter().map(|queued| u64::from(queued.bytes)).sum();
        if bytes != self.bytes {
            return Err("bytes of the queue are the sum over its messages");
        }
        if self.heads.iter().any(|queued| queued.number > taken) {
            return Err("heads were taken");
        }
        let fresh = self.fresh.iter().map(|fresh| fresh.queued.number).filter(|number| *number != 0);
        if fresh.clone().any(|number| number <= taken) || !fresh.is_sorted() {
            return Err("fresh messages are behind what was taken, by number");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
