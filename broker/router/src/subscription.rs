//! The subscription index: which subscribers' filters match a Topic Name.
//!
//! Asked once for each PUBLISH that the server's route cache does not know. A hash table finds the
//! filter that reads like the topic, a trie over topic levels those with wildcards that match; each
//! filter has its subscribers, and its groups of shared subscriptions.
//!
//! Invariants: a subscriber is at most once at a filter, and at most once in a group; a filter
//! without subscribers leaves nothing behind; cost of a match depends on the levels of the topic
//! and on what matches, not on how many filters there are, unless their first levels are wildcards.
//! Not here: merging the overlapping subscriptions of one Client, No Local, granted QoS; they are
//! the caller's, who sees every match.

mod exact;
mod level;
mod members;
mod shared_group;
mod slots;
mod trie;

use self::exact::ExactFilters;
use self::members::Subscribers;
pub use self::shared_group::{GroupId, SharedGroup};
use self::slots::{SlotId, Slots};
use self::trie::Trie;
use crate::topic::filter_has_wildcard;
use std::hash::Hash;
use std::sync::Arc;

/// Something whose filter matches a Topic Name; see [`SubscriptionIndex::visit`].
#[derive(Debug)]
pub enum Match<'a, K, O> {
    /// An ordinary subscription: the subscriber and its options.
    Subscriber(&'a K, &'a O),
    /// A shared subscription, of whose members one gets the message \[MQTT-4.8.2-3\].
    Group(&'a Arc<SharedGroup<K, O>>),
}

/// All subscriptions of one tenant.
///
/// `K` names a subscriber (a number; it is kept once per subscription), `O` is what the caller
/// keeps with a subscription: granted QoS, flags, Subscription Identifier. Filters are expected to
/// be valid ([`topic_filter_valid`](crate::topic_filter_valid)) and without `$share/` prefix;
/// others do no harm but match nothing useful.
///
/// Memory, with 8-byte `K` and `O`: about 150 bytes for a subscription whose filter has a wildcard
/// and one level of its own, about 60 bytes and the filter's text for one without wildcards, and 16
/// to 32 bytes for each further subscriber of a filter.
#[derive(Debug)]
pub struct SubscriptionIndex<K, O> {
    exact: ExactFilters,
    wildcard: Trie,
    subscribers: Slots<Subscribers<K, O>>,
    subscriptions: usize,
    next_group: u64,
}

impl<K: Copy + Eq + Hash + Ord, O: Clone> Default for SubscriptionIndex<K, O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Copy + Eq + Hash + Ord, O: Clone> SubscriptionIndex<K, O> {
    /// An index without subscriptions.
    pub fn new() -> Self {
        let (exact, wildcard) = (ExactFilters::new(), Trie::new());
        Self { exact, wildcard, subscribers: Slots::new(), subscriptions: 0, next_group: 0 }
    }

    /// Number of subscriptions, each member of a group counted as one.
    pub fn len(&self) -> usize {
        self.subscriptions
    }

    /// Says whether nobody has subscribed.
    pub fn is_empty(&self) -> bool {
        self.subscriptions == 0
    }

    /// Subscribes `subscriber` to `filter`; returns the options that this replaces completely
    /// \[MQTT-3.8.4-3\].
    pub fn insert(&mut self, filter: &str, subscriber: K, options: O) -> Option<O> {
        let replaced = match self.find(filter) {
            Some(slot) => self.subscribers.get_mut(slot).insert(subscriber, options),
            None => {
                self.add(filter, Subscribers::One(subscriber, options));
                None
            }
        };
        self.subscriptions += usize::from(replaced.is_none());
        replaced
    }

    /// Makes `subscriber` a member of the group `share_name` of `filter`; returns the options that
    /// this replaces.
    ///
    /// The first member makes the group. Cost: O(members) while somebody else holds the group's
    /// `Arc`.
    pub fn insert_shared(&mut self, share_name: &str, filter: &str, subscriber: K, options: O) -> Option<O> {
        let slot = self.find(filter).unwrap_or_else(|| self.add(filter, Subscribers::none()));
        let next_group = &mut self.next_group;
        let group = self.subscribers.get_mut(slot).group_or_insert(share_name, || {
            *next_group += 1;
            GroupId(*next_group)
        });
        let replaced = group.insert(subscriber, options);
        self.subscriptions += usize::from(replaced.is_none());
        replaced
    }

    /// Ends a subscription; returns its options, `None` if there was none. Compares byte for byte
    /// \[MQTT-3.10.4-1\].
    pub fn remove(&mut self, filter: &str, subscriber: &K) -> Option<O> {
        self.remove_at(filter, |subscribers| subscribers.remove(subscriber))
    }

    /// Ends a membership; returns its options, `None` if there was none. The last member takes the
    /// group with it.
    pub fn remove_shared(&mut self, share_name: &str, filter: &str, subscriber: &K) -> Option<O> {
        self.remove_at(filter, |subscribers| subscribers.remove_from_group(share_name, subscriber))
    }

    /// The options of a subscription. Tells, for Retain Handling 1, whether it existed
    /// \[MQTT-3.3.1-10\].
    pub fn get(&self, filter: &str, subscriber: &K) -> Option<&O> {
        self.at(filter)?.get(subscriber)
    }

    /// The group `share_name` of `filter`.
    pub fn group(&self, share_name: &str, filter: &str) -> Option<&Arc<SharedGroup<K, O>>> {
        self.at(filter)?.group(share_name)
    }

    /// Calls `each_subscriber` for every ordinary subscription and `each_group` for every group
    /// that matches `topic`.
    ///
    /// A subscriber with several matching filters is named once for each. The order is not defined.
    /// Use [`visit`](Self::visit) where both closures would change the same thing.
    pub fn matches(
        &self,
        topic: &str,
        mut each_subscriber: impl FnMut(&K, &O),
        mut each_group: impl FnMut(&Arc<SharedGroup<K, O>>),
    ) {
        self.visit(topic, |found| match found {
            Match::Subscriber(subscriber, options) => each_subscriber(subscriber, options),
            Match::Group(group) => each_group(group),
        });
    }

    /// Calls `each` for every subscription and group whose filter matches the Topic Name `topic`
    /// (§4.7).
    ///
    /// A subscriber with several matching filters is named once for each. The order is not defined.
    /// Cost: one probe for filters without wildcards, and O(levels) for each way of wildcards
    /// through the filters that the topic can take: with n filters such as `a/+/a` and `+/a/x` on
    /// purpose made to share beginnings at most O(n × levels).
    pub fn visit(&self, topic: &str, mut each: impl FnMut(Match<'_, K, O>)) {
        let mut each_of = |slot| {
            let subscribers = self.subscribers.get(slot);
            subscribers.each(|subscriber, options| each(Match::Subscriber(subscriber, options)));
            subscribers.groups().iter().for_each(|group| each(Match::Group(group)));
        };
        self.exact.find(topic).into_iter().for_each(&mut each_of);
        self.wildcard.each_slot(topic, each_of);
    }

    /// Bytes that the index has reserved on the heap, without what `K` and `O` own themselves.
    /// Cost: O(filters).
    pub fn memory_bytes(&self) -> usize {
        let subscribers: usize = self.subscribers.iter().map(Subscribers::memory_bytes).sum();
        self.exact.memory_bytes()
            + self.wildcard.memory_bytes()
            + self.subscribers.memory_bytes()
            + subscribers
    }

    /// Checks every relation between the parts of the index. For tests and simulations; cost
    /// O(everything).
    ///
    /// # Errors
    /// The sentence that does not hold.
    pub fn check_invariants(&self) -> Result<(), &'static str> {
        self.wildcard.check_invariants()?;
        if self.exact.len() + self.wildcard.len() != self.subscribers.len() {
            return Err("every list of subscribers belongs to exactly one filter");
        }
        let mut subscriptions = 0;
        for subscribers in self.subscribers.iter() {
            subscribers.check_invariants()?;
            subscriptions += subscribers.len();
        }
        if subscriptions == self.subscriptions { Ok(()) } else { Err("len() is the sum over all filters") }
    }

    fn at(&self, filter: &str) -> Option<&Subscribers<K, O>> {
        Some(self.subscribers.get(self.find(filter)?))
    }

    fn find(&self, filter: &str) -> Option<SlotId> {
        if filter_has_wildcard(filter) { self.wildcard.find(filter) } else { self.exact.find(filter) }
    }

    fn add(&mut self, filter: &str, subscribers: Subscribers<K, O>) -> SlotId {
        let slot = self.subscribers.insert(subscribers);
        if filter_has_wildcard(filter) {
            self.wildcard.insert(filter, slot);
        } else {
            self.exact.insert(filter, slot);
        }
        slot
    }

    fn forget(&mut self, filter: &str, slot: SlotId) {
        self.subscribers.remove(slot);
        if filter_has_wildcard(filter) {
            self.wildcard.remove(filter);
        } else {
            self.exact.remove(filter);
        }
    }

    fn remove_at(
        &mut self,
        filter: &str,
        remove: impl FnOnce(&mut Subscribers<K, O>) -> Option<O>,
    ) -> Option<O> {
        let slot = self.find(filter)?;
        let subscribers = self.subscribers.get_mut(slot);
        let removed = remove(subscribers)?;
        self.subscriptions -= 1;
        if subscribers.len() == 0 {
            self.forget(filter, slot);
        }
        Some(removed)
    }
}

#[cfg(test)]
mod tests;
