//! Copies of one message for sessions that get it more than once: each by a shared subscription of
//! another group.
//!
//! The store knows a message of a session once, so a second one for it is a message of its own,
//! with a body of its own in the store. All sessions have the copies of one number in common, and
//! those in memory have the memory of the first one.

use smallvec::SmallVec;

use crate::turn::Turn;
use crate::turn::fan_out::Keeping;

/// Copies of a message beyond the first.
#[derive(Default)]
pub(super) struct Copies {
    /// Number of the fan-out on its thread, once a session must keep the message.
    fan_out: Option<u64>,
    further: Vec<MessageCopy>,
}

/// Copy of a message.
pub(super) struct MessageCopy {
    /// Index among the turn's messages.
    pub(super) message: u32,
    /// Sessions that must get it.
    pub(super) durable: SmallVec<[Keeping; 4]>,
}

/// Number of copies that one receiver has got of the message of one fan-out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CopyCount {
    fan_out: u64,
    count: usize,
}

impl CopyCount {
    /// Number of copies in this fan-out so far.
    pub(crate) fn of(&self, fan_out: u64) -> usize {
        if self.fan_out == fan_out { self.count } else { 0 }
    }

    /// Counts one more.
    pub(crate) fn add(&mut self, fan_out: u64) {
        *self = Self { fan_out, count: self.of(fan_out) + 1 };
    }
}

impl Copies {
    /// Number under which receivers count their copies.
    pub(super) fn count(&mut self, turn: &mut Turn) -> u64 {
        *self.fan_out.get_or_insert_with(|| turn.receivers.next_fan_out())
    }

    /// Notes a session for a copy beyond the first, which is `message`; returns the copy's index
    /// among the turn's messages.
    pub(super) fn keep_for(
        &mut self,
        turn: &mut Turn,
        message: u32,
        further: usize,
        keeping: Keeping,
    ) -> u32 {
        if further == self.further.len() {
            let copy = turn.messages.copy(message, &turn.arena);
            self.further.push(MessageCopy { message: copy, durable: SmallVec::new() });
        }
        let copy = &mut self.further[further];
        copy.durable.push(keeping);
        copy.message
    }

    /// Takes them out, to be stored.
    pub(super) fn take(&mut self) -> Vec<MessageCopy> {
        std::mem::take(&mut self.further)
    }
}
