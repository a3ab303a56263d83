//! Records about a delivery that come before the delivery itself.
//!
//! A thread of the broker writes a message to its receivers first and hands its batch to the store
//! then. A receiver may have answered by that time. The thread that read the answer may have been
//! faster with its own batch. The answer counts all the same: the index remembers it, and writes it
//! again behind the delivery when that comes.
//!
//! Bounded: of records about deliveries that never come, as a second acknowledgement, the oldest is
//! forgotten.

use std::num::NonZeroU16;

use lotmq_changes::record::Records;
use lotmq_changes::{MessageId, SessionId};

use crate::recent::Recent;

/// Content of such a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It has been sent with this Packet Identifier.
    Sent(NonZeroU16),
    /// The session is done with it.
    Done,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Early {
    told: Recent<(SessionId, MessageId), Told>,
    /// Records whose delivery came in the group that is being written, still to be written again.
    due: Vec<(SessionId, MessageId, Told)>,
    /// Those of them that have been written.
    written: Vec<(SessionId, MessageId, Told)>,
}

impl Early {
    /// Remembers what is said of a delivery that is not there.
    pub(super) fn tell(&mut self, session: SessionId, message: MessageId, told: Told) {
        let key = (session, message);
        if self.told.get(&key) != Some(&Told::Done) {
            self.told.set(key, told);
        }
    }

    /// The delivery has come.
    pub(super) fn delivery(&mut self, session: SessionId, message: MessageId) {
        if let Some(told) = self.told.take(&(session, message)) {
            self.due.push((session, message, told));
        }
    }

    /// The delivery has another Packet Identifier since it came: an earlier one means nothing any
    /// more.
    pub(super) fn sent_since(&mut self, session: SessionId, message: MessageId) {
        let is_older = |(of, about, told): &mut (SessionId, MessageId, Told)| {
            (*of, *about) == (session, message) && *told != Told::Done
        };
        self.due.extract_if(.., is_older).for_each(drop);
    }

    /// The records to be written behind the group's own.
    pub(crate) fn records(&mut self) -> Records {
        let mut records = Records::default();
        for (session, message, told) in &self.due {
            match told {
                Told::Sent(packet_id) => records.inflight(*session, *message, *packet_id),
                Told::Done => records.dequeue(*session, *message),
            }
        }
        self.written.append(&mut self.due);
        records
    }

    /// The group is on the disk.
    pub(crate) fn committed(&mut self) {
        self.written.clear();
    }

    /// The group is not on the disk, and its batches come again: nothing of it has come true.
    pub(crate) fn undo(mut self) -> Self {
        let due = std::mem::take(&mut self.due);
        for (session, message, told) in std::mem::take(&mut self.written).into_iter().chain(due) {
            self.tell(session, message, told);
        }
        self
    }
}
