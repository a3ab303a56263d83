//! The subscribers of one filter: one in most cases, many in a fan-out, with the filter's shared
//! groups beside them.

use super::shared_group::{GroupId, SharedGroup};
use crate::limits::MEMBERS_INDEXED_FROM;
use crate::parted_table::PartedTable;
use hashbrown::DefaultHashBuilder;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// All that have subscribed to one filter. The single ordinary subscriber, the usual case, needs no
/// allocation.
#[derive(Debug)]
pub(crate) enum Subscribers<K, O> {
    One(K, O),
    Many(Box<Many<K, O>>),
}

/// Several subscribers, or groups.
#[derive(Debug)]
pub(crate) struct Many<K, O> {
    members: Members<K, O>,
    /// Sorted by share name.
    groups: Vec<Arc<SharedGroup<K, O>>>,
}

impl<K: Copy + Eq + Hash + Ord, O: Clone> Subscribers<K, O> {
    /// Nobody yet: for a filter whose first subscriber joins a group.
    pub(crate) fn none() -> Self {
        Self::Many(Box::new(Many { members: Members::new(), groups: Vec::new() }))
    }

    /// Number of subscriptions, members of groups included.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(..) => 1,
            Self::Many(many) => {
                many.members.len() + many.groups.iter().map(|group| group.len()).sum::<usize>()
            }
        }
    }

    pub(crate) fn each(&self, mut each: impl FnMut(&K, &O)) {
        match self {
            Self::One(subscriber, options) => each(subscriber, options),
            Self::Many(many) => {
                many.members.iter().for_each(|(subscriber, options)| each(subscriber, options))
            }
        }
    }

    pub(crate) fn groups(&self) -> &[Arc<SharedGroup<K, O>>] {
        match self {
            Self::One(..) => &[],
            Self::Many(many) => &many.groups,
        }
    }

    pub(crate) fn get(&self, subscriber: &K) -> Option<&O> {
        match self {
            Self::One(only, options) => (only == subscriber).then_some(options),
            Self::Many(many) => many.members.get(subscriber),
        }
    }

    pub(crate) fn group(&self, share_name: &str) -> Option<&Arc<SharedGroup<K, O>>> {
        let groups = self.groups();
        let at = groups.binary_search_by(|group| group.share_name().cmp(share_name)).ok()?;
        groups.get(at)
    }

    pub(crate) fn insert(&mut self, subscriber: K, options: O) -> Option<O> {
        match self {
            Self::One(only, old) if *only == subscriber => Some(std::mem::replace(old, options)),
            Self::One(..) => self.many().members.insert(subscriber, options),
            Self::Many(many) => many.members.insert(subscriber, options),
        }
    }

    pub(crate) fn group_or_insert(
        &mut self,
        share_name: &str,
        new_id: impl FnOnce() -> GroupId,
    ) -> &mut SharedGroup<K, O> {
        let groups = &mut self.many().groups;
        let at = groups.binary_search_by(|group| group.share_name().cmp(share_name)).unwrap_or_else(|at| {
            groups.insert(at, Arc::new(SharedGroup::new(new_id(), share_name)));
            at
        });
        Arc::make_mut(&mut groups[at])
    }

    /// Removes an ordinary subscriber. The caller drops `self` when nobody is left.
    pub(crate) fn remove(&mut self, subscriber: &K) -> Option<O> {
        match self {
            Self::One(only, _) if only != subscriber => None,
            Self::One(..) => {
                let Self::One(_, options) = std::mem::replace(self, Self::none()) else { return None };
                Some(options)
            }
            Self::Many(many) => {
                let removed = many.members.remove(subscriber)?;
                self.collapse();
                Some(removed)
            }
        }
    }

    pub(crate) fn remove_from_group(&mut self, share_name: &str, subscriber: &K) -> Option<O> {
        let Self::Many(many) = self else { return None };
        let at = many.groups.binary_search_by(|group| group.share_name().cmp(share_name)).ok()?;
        // Looked up first: `make_mut` may copy the group.
        many.groups[at].get(subscriber)?;
        let group = Arc::make_mut(&mut many.groups[at]);
        let removed = group.remove(subscriber)?;
        if group.is_empty() {
            many.groups.remove(at);
            self.collapse();
        }
        Some(removed)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let Self::Many(many) = self else { return 0 };
        let groups: usize = many.groups.iter().map(|group| group.memory_bytes()).sum();
        size_of::<Many<K, O>>()
            + many.members.memory_bytes()
            + many.groups.capacity() * size_of::<usize>()
            + groups
    }

    pub(crate) fn check_invariants(&self) -> Result<(), &'static str> {
        let Self::Many(many) = self else { return Ok(()) };
        if self.len() == 0 {
            return Err("a filter that is kept has a subscriber");
        }
        if many.groups.iter().any(|group| group.is_empty()) {
            return Err("a group has a member");
        }
        if !many.groups.is_sorted_by(|a, b| a.share_name() < b.share_name()) {
            return Err("groups are sorted and each share name is there once");
        }
        many.members.check_invariants()
    }

    /// `self` as a list, made from the single subscriber if need be.
    fn many(&mut self) -> &mut Many<K, O> {
        if let Self::One(subscriber, options) = self {
            let mut members = Members::new();
            members.insert(*subscriber, options.clone());
            *self = Self::Many(Box::new(Many { members, groups: Vec::new() }));
        }
        match self {
            Self::Many(many) => many,
            Self::One(..) => unreachable!("the single subscriber was moved into a list"),
        }
    }

    /// Back to the small form when one ordinary subscriber is left and no group.
    fn collapse(&mut self) {
        if let Self::Many(many) = self
            && many.groups.is_empty()
            && many.members.len() == 1
            && let Some((subscriber, options)) = many.members.iter().next()
        {
            *self = Self::One(*subscriber, options.clone());
        }
    }
}

/// Subscribers with their options: a list, with a hash table beside it once it is long.
///
/// Order is that of arrival until one leaves; the last one then takes its place.
#[derive(Debug, Clone)]
pub(crate) struct Members<K, O> {
    entries: Vec<(K, O)>,
    index: Option<Box<Index>>,
}

#[derive(Debug, Clone, Default)]
struct Index {
    positions: PartedTable<u32>,
    hasher: DefaultHashBuilder,
}

impl<K: Copy + Eq + Hash, O> Members<K, O> {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), index: None }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, (K, O)> {
        self.entries.iter()
    }

    pub(crate) fn at(&self, position: usize) -> Option<&(K, O)> {
        self.entries.get(position)
    }

    pub(crate) fn get(&self, subscriber: &K) -> Option<&O> {
        self.entries.get(self.position(subscriber)?).map(|(_, options)| options)
    }

    pub(crate) fn insert(&mut self, subscriber: K, options: O) -> Option<O> {
        if let Some(position) = self.position(&subscriber) {
            return Some(std::mem::replace(&mut self.entries[position].1, options));
        }
        self.entries.push((subscriber, options));
        match &mut self.index {
            Some(index) => index.insert(&self.entries, self.entries.len() - 1),
            None if self.entries.len() >= MEMBERS_INDEXED_FROM => {
                self.index = Some(Box::new(Index::over(&self.entries)));
            }
            None => {}
        }
        None
    }

    pub(crate) fn remove(&mut self, subscriber: &K) -> Option<O> {
        let position = self.position(subscriber)?;
        let last = self.entries.len() - 1;
        if let Some(index) = &mut self.index {
            index.remove(&self.entries, position);
            if position != last {
                index.remove(&self.entries, last);
            }
        }
        let (_, options) = self.entries.swap_remove(position);
        if let Some(index) = &mut self.index
            && position != last
        {
            index.insert(&self.entries, position);
        }
        self.shrink();
        Some(options)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, |i| size_of::<Index>() + i.positions.allocation_size());
        self.entries.capacity() * size_of::<(K, O)>() + index
    }

    pub(crate) fn check_invariants(&self) -> Result<(), &'static str> {
        let found = |(at, (subscriber, _)): (usize, &(K, O))| self.position(subscriber) == Some(at);
        if self.entries.iter().enumerate().all(found) {
            Ok(())
        } else {
            Err("each subscriber is found, once, where it is")
        }
    }

    fn position(&self, subscriber: &K) -> Option<usize> {
        match &self.index {
            Some(index) => index.find(&self.entries, subscriber),
            None => self.entries.iter().position(|(other, _)| other == subscriber),
        }
    }

    /// Gives memory back after a fan-out has shrunk: not at every removal, so that coming and going
    /// stays cheap.
    fn shrink(&mut self) {
        if self.entries.len() < MEMBERS_INDEXED_FROM / 2 {
            self.index = None;
        }
        if self.entries.len() * 4 < self.entries.capacity() {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }
}

impl Index {
    fn over<K: Hash, O>(entries: &[(K, O)]) -> Self {
        let mut index = Self::default();
        (0..entries.len()).for_each(|position| index.insert(entries, position));
        index
    }

    fn find<K: Eq + Hash, O>(&self, entries: &[(K, O)], subscriber: &K) -> Option<usize> {
        let is_same = |position: &u32| entries[*position as usize].0 == *subscriber;
        self.positions.find(self.hasher.hash_one(subscriber), is_same).map(|position| *position as usize)
    }

    fn insert<K: Hash, O>(&mut self, entries: &[(K, O)], position: usize) {
        let hasher = &self.hasher;
        let rehash = |position: &u32| hasher.hash_one(&entries[*position as usize].0);
        let number = u32::try_from(position).expect("2^32 subscribers do not fit into memory");
        self.positions.insert_unique(rehash(&number), number, rehash);
    }

    fn remove<K: Hash, O>(&mut self, entries: &[(K, O)], position: usize) {
        let hash = self.hasher.hash_one(&entries[position].0);
        self.positions.remove(hash, |&other| other as usize == position);
    }
}
