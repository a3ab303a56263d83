//! Queue of the events that a thread has noted for guests: a line for each publisher, and the lines
//! take turns.
//!
//! Messages of one publisher may start thousands of runs. So the events of each publisher wait in a
//! line of their own, and nobody's events wait behind all those of somebody else.
//!
//! Invariant: the events of one line leave in the order in which they came.

use std::collections::VecDeque;

use lotmq_definitions::Owner;
use lotmq_shares::{FairTurns, OwnerKey};

use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::publication::Publication;

/// Line for a message, by its publisher: a Client, or the owner of the definition that publishes
/// it. Those without a user share one.
pub(super) fn line_of(tenant: &Tenant, publication: &Publication<'_>) -> OwnerKey {
    let quota_key = || publication.owner.map_or(0, Owner::quota_key);
    let of_owner = || OwnerKey { tenant: tenant.number, quota_key: quota_key() };
    publication.source.map_or_else(of_owner, |client| client.owner_key())
}

/// Events in lines that take turns.
pub struct EventQueue<T> {
    lines: FairTurns<OwnerKey, VecDeque<T>>,
    len: usize,
}

impl<T> Default for EventQueue<T> {
    fn default() -> Self {
        Self { lines: FairTurns::default(), len: 0 }
    }
}

impl<T> EventQueue<T> {
    /// Number of events in all lines.
    pub fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of events in a line.
    pub(super) fn len_of(&self, line: OwnerKey) -> usize {
        self.lines.get(&line).map_or(0, VecDeque::len)
    }

    /// Puts an event behind all others of its line.
    pub(super) fn push(&mut self, line: OwnerKey, event: T) {
        self.len += 1;
        self.lines.line(&line).push_back(event);
    }

    /// Puts the events of another queue behind those of this one.
    pub(super) fn append(&mut self, other: Self) {
        self.len += other.len;
        for (line, mut events) in other.lines.into_lines() {
            self.lines.line(&line).append(&mut events);
        }
    }

    /// Takes the next event of the line whose turn it is. `run` may take further ones of the same
    /// line. False if there is none.
    pub fn take_turn(&mut self, run: impl FnOnce(T, &mut VecDeque<T>)) -> bool {
        let (mut run, len) = (Some(run), &mut self.len);
        let taken = self.lines.take(|_, events| {
            let before = events.len();
            let event = events.pop_front()?;
            run.take()?(event, events);
            *len -= before - events.len();
            Some(())
        });
        taken.is_some()
    }

    /// Takes the next event of a line from which one may be taken now.
    pub(super) fn take_if(&mut self, may: impl Fn(&T) -> bool) -> Option<T> {
        let taken = self.lines.take(|_, events| events.pop_front_if(|event| may(event)))?;
        self.len -= 1;
        Some(taken)
    }

    /// Takes the oldest event of the longest line.
    pub(super) fn take_from_longest(&mut self) -> Option<T> {
        let (longest, _) = self.lines.lines().max_by_key(|(_, events)| events.len())?;
        let longest = *longest;
        let taken = self.lines.take(|line, events| (*line == longest).then(|| events.pop_front())?)?;
        self.len -= 1;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_take_turns_and_keep_their_order() {
        let [flood, other] = [7, 8].map(|quota_key| OwnerKey { tenant: 0, quota_key });
        let mut queue = EventQueue::default();
        (0..100).for_each(|number| queue.push(flood, number));
        queue.push(other, 1_000);
        let mut order = Vec::new();
        // A run may take further events of its line, as a batch does.
        let take = |order: &mut Vec<u32>, event, line: &mut VecDeque<u32>| {
            order.push(event);
            order.extend(line.pop_front_if(|next| *next == 1));
        };
        assert!(queue.take_turn(|event, line| take(&mut order, event, line)));
        assert_eq!((queue.len(), queue.len_of(flood), queue.len_of(other)), (99, 98, 1));
        assert_eq!(queue.take_from_longest(), Some(2));
        assert_eq!(queue.take_if(|event| *event != 1_000), Some(3));
        let mut later = EventQueue::default();
        later.push(flood, 2_000);
        queue.append(later);
        while queue.take_turn(|event, line| take(&mut order, event, line)) {}
        assert_eq!(order[..4], [0, 1, 1_000, 4]);
        assert_eq!(order.last(), Some(&2_000));
        assert!(queue.is_empty() && queue.len_of(flood) == 0);
    }
}
