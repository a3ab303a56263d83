//! The subscription index: which subscribers' filters match a Topic Name.
//!
//! Asked once for each PUBLISH that the server's route cache does not know. A trie over topic levels finds the matching
//! filters; each filter has its subscribers, and its groups of shared subscriptions.
//!
//! Invariants: a subscriber is at most once at a filter, and at most once in a group; a filter without subscribers
//! leaves nothing behind; cost of a match depends on the levels of the topic and on what matches, not on how many
//! filters there are, unless their first levels are wildcards.
//! Not here: merging the overlapping subscriptions of one Client, No Local, granted QoS; they are the caller's, who
//! sees every match.

mod level;
mod members;
mod shared_group;
mod slots;
mod trie;

use self::members::Subscribers;
pub use self::shared_group::{GroupId, SharedGroup};
use self::slots::Slots;
use self::trie::{Place, Trie};
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
/// `K` names a subscriber (a number; it is kept once per subscription), `O` is what the caller keeps with a
/// subscription: granted QoS, flags, Subscription Identifier. Filters are expected to be valid
/// ([`topic_filter_valid`](crate::topic_filter_valid)) and without `$share/` prefix; others do no harm but match
/// nothing useful.
///
/// Memory: about 100–180 bytes for a subscription with 8-byte `K` and `O` whose filter has one level of its own, less
/// where filters share levels.
#[derive(Debug)]
pub struct SubscriptionIndex<K, O> {
    trie: Trie,
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
        Self { trie: Trie::new(), subscribers: Slots::new(), subscriptions: 0, next_group: 0 }
    }

    /// Number of subscriptions, each member of a group counted as one.
    pub fn len(&self) -> usize {
        self.subscriptions
    }

    /// Says whether nobody has subscribed.
    pub fn is_empty(&self) -> bool {
        self.subscriptions == 0
    }

    /// Subscribes `subscriber` to `filter`; returns the options that this replaces completely \[MQTT-3.8.4-3\].
    pub fn insert(&mut self, filter: &str, subscriber: K, options: O) -> Option<O> {
        let place = self.trie.make(filter);
        let replaced = match self.trie.slot(place) {
            Some(slot) => self.subscribers.get_mut(slot).insert(subscriber, options),
            None => {
                let slot = self.subscribers.insert(Subscribers::One(subscriber, options));
                self.trie.set_slot(place, Some(slot));
                None
            }
        };
        self.subscriptions += usize::from(replaced.is_none());
        replaced
    }

    /// Makes `subscriber` a member of the group `share_name` of `filter`; returns the options that this replaces.
    ///
    /// The first member makes the group. Cost: O(members) while somebody else holds the group's `Arc`.
    pub fn insert_shared(&mut self, share_name: &str, filter: &str, subscriber: K, options: O) -> Option<O> {
        let place = self.trie.make(filter);
        let slot = match self.trie.slot(place) {
            Some(slot) => slot,
            None => {
                let slot = self.subscribers.insert(Subscribers::none());
                self.trie.set_slot(place, Some(slot));
                slot
            }
        };
        let next_group = &mut self.next_group;
        let group = self.subscribers.get_mut(slot).group_or_insert(share_name, || {
            *next_group += 1;
            GroupId(*next_group)
        });
        let replaced = group.insert(subscriber, options);
        self.subscriptions += usize::from(replaced.is_none());
        replaced
    }

    /// Ends a subscription; returns its options, `None` if there was none. Compares byte for byte \[MQTT-3.10.4-1\].
    pub fn remove(&mut self, filter: &str, subscriber: &K) -> Option<O> {
        self.remove_at(filter, |subscribers| subscribers.remove(subscriber))
    }

    /// Ends a membership; returns its options, `None` if there was none. The last member takes the group with it.
    pub fn remove_shared(&mut self, share_name: &str, filter: &str, subscriber: &K) -> Option<O> {
        self.remove_at(filter, |subscribers| subscribers.remove_from_group(share_name, subscriber))
    }

    /// The options of a subscription. Tells, for Retain Handling 1, whether it existed \[MQTT-3.3.1-10\].
    pub fn get(&self, filter: &str, subscriber: &K) -> Option<&O> {
        self.at(filter)?.get(subscriber)
    }

    /// The group `share_name` of `filter`.
    pub fn group(&self, share_name: &str, filter: &str) -> Option<&Arc<SharedGroup<K, O>>> {
        self.at(filter)?.group(share_name)
    }

    /// Calls `each_subscriber` for every ordinary subscription and `each_group` for every group that matches `topic`.
    ///
    /// A subscriber with several matching filters is named once for each. The order is not defined. Use
    /// [`visit`](Self::visit) where both closures would change the same thing.
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

    /// Calls `each` for every subscription and group whose filter matches the Topic Name `topic` (§4.7).
    ///
    /// A subscriber with several matching filters is named once for each. The order is not defined.
    pub fn visit(&self, topic: &str, mut each: impl FnMut(Match<'_, K, O>)) {
        self.trie.each_slot(topic, |slot| {
            let subscribers = self.subscribers.get(slot);
            subscribers.each(|subscriber, options| each(Match::Subscriber(subscriber, options)));
            subscribers.groups().iter().for_each(|group| each(Match::Group(group)));
        });
    }

    /// Bytes that the index has reserved on the heap, without what `K` and `O` own themselves. Cost: O(filters).
    pub fn memory_bytes(&self) -> usize {
        let subscribers: usize = self.subscribers.iter().map(Subscribers::memory_bytes).sum();
        self.trie.memory_bytes() + self.subscribers.memory_bytes() + subscribers
    }

    /// Checks every relation between the parts of the index. For tests and simulations; cost O(everything).
    ///
    /// # Errors
    /// The sentence that does not hold.
    pub fn check_invariants(&self) -> Result<(), &'static str> {
        self.trie.check_invariants()?;
        if self.trie.slots_in_use() != self.subscribers.len() {
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
        let slot = self.trie.slot(self.trie.find(filter)?)?;
        Some(self.subscribers.get(slot))
    }

    fn remove_at(
        &mut self,
        filter: &str,
        remove: impl FnOnce(&mut Subscribers<K, O>) -> Option<O>,
    ) -> Option<O> {
        let place = self.trie.find(filter)?;
        let slot = self.trie.slot(place)?;
        let subscribers = self.subscribers.get_mut(slot);
        let removed = remove(subscribers)?;
        self.subscriptions -= 1;
        if subscribers.len() == 0 {
            self.forget(place, slot);
        }
        Some(removed)
    }

    fn forget(&mut self, place: Place, slot: slots::SlotId) {
        self.subscribers.remove(slot);
        self.trie.set_slot(place, None);
        self.trie.prune(place);
    }
}

#[cfg(test)]
mod tests;
