//! The group of a shared subscription: its members and whose turn it is.

use super::members::Members;
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, Ordering};

/// Names a group for as long as it has members; never used again by the same index.
///
/// For what a caller keeps about a group, such as the member that holds its QoS 2 exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub(super) u64);

/// Those who share one subscription: all with the same Share Name and filter (§4.8.2).
///
/// The index hands it out behind an `Arc`, so that a route cache may keep it and choose members
/// without the index's lock. When somebody joins or leaves, the index makes a new one with the same
/// [`GroupId`]; who keeps the old one sees the members as they were.
#[derive(Debug)]
pub struct SharedGroup<K, O> {
    id: GroupId,
    share_name: Box<str>,
    members: Members<K, O>,
    /// Position of the member whose turn it is, modulo their number. Only fairness depends on it.
    turn: AtomicU32,
}

impl<K: Clone, O: Clone> Clone for SharedGroup<K, O> {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            share_name: self.share_name.clone(),
            members: self.members.clone(),
            turn: AtomicU32::new(self.turn.load(Ordering::Relaxed)),
        }
    }
}

impl<K: Copy + Eq + Hash, O> SharedGroup<K, O> {
    pub(super) fn new(id: GroupId, share_name: &str) -> Self {
        Self { id, share_name: share_name.into(), members: Members::new(), turn: AtomicU32::new(0) }
    }

    /// The handle of this group.
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// The Share Name, what stands between `$share/` and the filter.
    pub fn share_name(&self) -> &str {
        &self.share_name
    }

    /// Number of members; at least 1 for every group that the index hands out.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Says whether the last member has left.
    pub fn is_empty(&self) -> bool {
        self.members.len() == 0
    }

    /// All members with their options, in no defined order.
    pub fn members(&self) -> impl Iterator<Item = (&K, &O)> {
        self.members.iter().map(|(subscriber, options)| (subscriber, options))
    }

    /// The options of a member.
    pub fn get(&self, subscriber: &K) -> Option<&O> {
        self.members.get(subscriber)
    }

    /// Position of the member whose turn it is, for [`at`](Self::at).
    pub fn turn(&self) -> usize {
        self.turn.load(Ordering::Relaxed) as usize
    }

    /// The member at a position, of which there are as many as members; behind the last one comes
    /// the first.
    pub fn at(&self, position: usize) -> Option<(&K, &O)> {
        let (subscriber, options) = self.members.at(position.checked_rem(self.members.len())?)?;
        Some((subscriber, options))
    }

    /// Chooses the next member in turn that `accepts` takes; `None` if it takes nobody.
    ///
    /// Those it rejects are passed over and lose their turn. To prefer connected members, ask a
    /// first time for those, and only then for any. Called from several threads at once, a turn may
    /// go to the same member twice. Cost: O(rejected members).
    pub fn choose(&self, mut accepts: impl FnMut(&K, &O) -> bool) -> Option<(&K, &O)> {
        self.choose_best(|subscriber, options| accepts(subscriber, options).then_some(0))
    }

    /// Chooses the member of the lowest rank, the next in turn of several; `None` if none has a
    /// rank. Members without one, and of a higher one, lose their turn if they come before it.
    /// Cost: O(members), as far as the first of rank 0.
    pub fn choose_best(&self, mut rank: impl FnMut(&K, &O) -> Option<usize>) -> Option<(&K, &O)> {
        let members = self.members.len();
        let first = self.turn();
        let mut best: Option<(usize, usize)> = None;
        for passed_over in 0..members {
            let position = (first % members + passed_over) % members;
            let (subscriber, options) = self.at(position)?;
            let Some(rank) = rank(subscriber, options) else { continue };
            if best.is_none_or(|(lowest, _)| rank < lowest) {
                best = Some((rank, position));
            }
            if rank == 0 {
                break;
            }
        }
        let (_, position) = best?;
        // At most the number of members, which is below 2^32: it only has to move the turn on.
        #[allow(clippy::cast_possible_truncation, reason = "a position in a list with u32 positions")]
        self.turn.store((position + 1) as u32, Ordering::Relaxed);
        self.at(position)
    }

    pub(super) fn insert(&mut self, subscriber: K, options: O) -> Option<O> {
        self.members.insert(subscriber, options)
    }

    pub(super) fn remove(&mut self, subscriber: &K) -> Option<O> {
        self.members.remove(subscriber)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.share_name.len() + self.members.memory_bytes()
    }
}
