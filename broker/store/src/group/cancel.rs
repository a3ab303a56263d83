//! Finds records of a group that need not be written: those of messages that all their receivers
//! have acknowledged within the group.
//!
//! While a commit lasts, messages and their acknowledgements wait together for the next one. A
//! message whose every delivery is dequeued later in the same group leaves nothing. Neither its
//! record nor those of its acknowledgements are written. Its publisher gets the report of the group
//! all the same, as every receiver has the message. Of older messages only the record that they
//! were sent is left out.
//!
//! Invariant: with the records that are left the log says the same as with all of them. Not here:
//! large messages, which have rows; lists of deliveries that are continued; QoS 2, whose
//! acknowledgements leave something.

use hashbrown::{HashMap, HashSet};
use lotmq_changes::encoding::Malformed;
use lotmq_changes::record::{Body, Record, is_dequeue};
use lotmq_changes::{Batch, MessageId, SessionId};

use crate::log::index::LogIndex;

/// Records of a group that are left out, by their places in it.
#[derive(Debug, Default)]
pub(super) struct Cancelled {
    places: HashSet<usize>,
    /// Their bytes.
    pub(super) bytes: usize,
    /// The messages among them.
    pub(super) messages: Vec<MessageId>,
}

impl Cancelled {
    /// Looks through a group; costs next to nothing when nothing is acknowledged in it.
    pub(super) fn of<'b>(
        batches: impl Iterator<Item = &'b Batch> + Clone,
        index: &LogIndex,
    ) -> Result<Self, Malformed> {
        let frames = || batches.clone().flat_map(|batch| batch.records().frames()).enumerate();
        let mut cancelled = Self::default();
        let mut dequeues = HashMap::new();
        for (place, frame) in frames() {
            let frame = frame?;
            if is_dequeue(frame)
                && let Record::Dequeue { session, message } = Record::decode(frame)?
            {
                dequeues.insert((session, message), (place, frame.len()));
            }
        }
        if dequeues.is_empty() {
            return Ok(cancelled);
        }
        let is_over = |place: usize, session: SessionId, message: MessageId| {
            dequeues.get(&(session, message)).is_some_and(|(dequeue, _)| *dequeue > place)
        };
        for (place, frame) in frames() {
            let frame = frame?;
            match Record::decode(frame)? {
                Record::Inflight { session, message, .. } if is_over(place, session, message) => {
                    cancelled.leave_out(place, frame.len());
                }
                Record::Message { id, body: Body::Inline(_), is_continued: false, deliveries } => {
                    let mut sessions = Vec::new();
                    for delivery in deliveries {
                        let session = delivery?.session;
                        // Only this record removes a delivery that was in the queue before.
                        if !is_over(place, session, id) || index.may_hold(session, id) {
                            sessions.clear();
                            break;
                        }
                        sessions.push(session);
                    }
                    if sessions.is_empty() {
                        continue;
                    }
                    cancelled.leave_out(place, frame.len());
                    cancelled.messages.push(id);
                    for (dequeue, len) in sessions.iter().filter_map(|session| dequeues.get(&(*session, id)))
                    {
                        cancelled.leave_out(*dequeue, *len);
                    }
                }
                Record::Message { .. }
                | Record::Deliveries { .. }
                | Record::Dequeue { .. }
                | Record::Inflight { .. }
                | Record::Pubrec { .. }
                | Record::Pubcomp { .. }
                | Record::Qos2Received { .. }
                | Record::Qos2Released { .. } => {}
            }
        }
        Ok(cancelled)
    }

    fn leave_out(&mut self, place: usize, len: usize) {
        if self.places.insert(place) {
            // With its length.
            self.bytes += len + 2;
        }
    }

    /// Whether nothing of the group is left, so that there is nothing to commit.
    pub(super) fn is_all<'b>(&self, mut batches: impl Iterator<Item = &'b Batch> + Clone) -> bool {
        let records: usize = batches.clone().map(|batch| batch.records().len()).sum();
        records > 0 && self.places.len() == records && batches.all(|batch| batch.rows().is_empty())
    }

    pub(super) fn has(&self, place: usize) -> bool {
        self.places.contains(&place)
    }
}
