//! Subscriptions of a session, with their options.

use std::num::NonZeroU32;
use std::sync::Arc;

use lotmq_changes::MembershipId;
use lotmq_codec::{QoS, RetainHandling};
use smallvec::{SmallVec, smallvec};

use crate::limits::{
    DEEP_LEVEL_COST, DEEP_LEVELS_FROM, FILTER_LEVEL_COST, FURTHER_PLUS_COST, PLUSES_FREE,
    SHARED_SUBSCRIPTION_COST, SUBSCRIPTION_COST,
};

/// Prefix of the filters of shared subscriptions \[MQTT-4.8.2-1\].
pub const SHARED: &str = "$share/";

/// Subscription options as granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Largest QoS of its messages.
    pub qos: QoS,
    /// Whether messages of the Client itself are left out.
    pub no_local: bool,
    /// Whether RETAIN is passed on as it was published.
    pub retain_as_published: bool,
    /// Retained messages that follow SUBACK.
    pub retain_handling: RetainHandling,
    /// The Subscription Identifier.
    pub identifier: Option<NonZeroU32>,
    /// Whether it was granted for `$SYS/broker/#` only, though the filter asked for more.
    pub sys_broker_only: bool,
    /// Number of the membership, where it is a shared subscription.
    pub membership: Option<MembershipId>,
}

/// The Subscription Identifiers that a message carries to one Client; nearly always none.
#[derive(Clone, Debug, Default)]
pub struct Identifiers(Option<Arc<SmallVec<[NonZeroU32; 4]>>>);

impl Identifiers {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn as_slice(&self) -> &[NonZeroU32] {
        self.0.as_ref().map_or(&[], |all| all)
    }

    pub(crate) fn one(identifier: NonZeroU32) -> Self {
        Self(Some(Arc::new(smallvec![identifier])))
    }

    /// Adds an identifier. Cost: O(1) while nobody else has the list, however long it is.
    pub(crate) fn add(&mut self, identifier: NonZeroU32) {
        match &mut self.0 {
            Some(all) => Arc::make_mut(all).push(identifier),
            None => *self = Self::one(identifier),
        }
    }
}

impl From<Vec<NonZeroU32>> for Identifiers {
    fn from(identifiers: Vec<NonZeroU32>) -> Self {
        Self((!identifiers.is_empty()).then(|| Arc::new(identifiers.into())))
    }
}

/// Bytes that a subscription takes, as they are counted: those of its filter, what the index needs,
/// and what stands for the time of messages that are compared with it.
///
/// A topic takes one way through the index for each choice between its own level and a `+`. So the
/// ways to filters with one `+`, and those to the first levels, are few whatever Clients subscribe
/// to; all others cost as many bytes as keep those of one owner below what a turn has time for. So
/// do shared subscriptions, of which a message may look at all members of each group to find one
/// that takes it.
pub(crate) fn filter_bytes(filter: &str) -> u64 {
    let (mut levels, mut pluses) = (0, 0);
    for level in filter.split('/') {
        levels += 1;
        pluses += u64::from(level == "+");
    }
    let shared = if filter.starts_with(SHARED) { SHARED_SUBSCRIPTION_COST } else { 0 };
    // The session has the text, and so has the index.
    let bytes = 2 * filter.len() as u64 + SUBSCRIPTION_COST + shared + levels * FILTER_LEVEL_COST;
    if pluses < PLUSES_FREE {
        return bytes;
    }
    let deep = levels.saturating_sub(DEEP_LEVELS_FROM);
    bytes + deep * DEEP_LEVEL_COST + (pluses - PLUSES_FREE) * FURTHER_PLUS_COST
}

/// The subscriptions of one session by filter, ordered. Most sessions have few, so it is a plain
/// list whose first entry needs no memory elsewhere: a map's first node alone would take 400 bytes,
/// a list's 48.
#[derive(Debug, Default)]
pub struct Subscriptions {
    list: SmallVec<[(Box<str>, Options); 1]>,
    /// [`filter_bytes`] of all of them.
    bytes: u64,
}

impl Subscriptions {
    /// Adds a subscription or replaces its options. Cost: O(subscriptions).
    pub fn insert(&mut self, filter: &str, options: Options) {
        match self.find(filter) {
            Ok(at) => self.list[at].1 = options,
            Err(at) => {
                self.list.insert(at, (filter.into(), options));
                self.bytes += filter_bytes(filter);
            }
        }
    }

    /// Removes a subscription.
    pub fn remove(&mut self, filter: &str) {
        if let Ok(at) = self.find(filter) {
            self.list.remove(at);
            self.bytes -= filter_bytes(filter);
        }
    }

    /// The options of a subscription.
    pub fn get(&self, filter: &str) -> Option<Options> {
        self.find(filter).ok().map(|at| self.list[at].1)
    }

    /// Whether there is such a subscription.
    pub fn contains(&self, filter: &str) -> bool {
        self.find(filter).is_ok()
    }

    /// Number of subscriptions.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is no subscription.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the subscriptions count for.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All filters, in no order.
    pub fn filters(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|(filter, _)| &**filter)
    }

    /// Filters of the subscriptions, which are consumed.
    pub(crate) fn into_filters(self) -> impl Iterator<Item = Box<str>> {
        self.list.into_iter().map(|(filter, _)| filter)
    }

    /// Whether any is a shared subscription.
    pub(crate) fn has_shared(&self) -> bool {
        self.shared() > 0
    }

    /// Number of shared subscriptions.
    pub fn shared(&self) -> usize {
        self.all_shared().len()
    }

    /// Shared subscriptions: the filter of each, with the number of the membership.
    pub(crate) fn memberships(&self) -> impl Iterator<Item = (&str, MembershipId)> {
        let shared = self.all_shared().iter();
        shared.filter_map(|(filter, options)| Some((&**filter, options.membership?)))
    }

    /// Filter of the shared subscription with this number of a membership.
    pub(crate) fn filter_of(&self, membership: Option<MembershipId>) -> Option<Box<str>> {
        let (filter, _) = self.memberships().find(|(_, number)| Some(*number) == membership)?;
        Some(filter.into())
    }

    fn all_shared(&self) -> &[(Box<str>, Options)] {
        let first = self.list.partition_point(|(filter, _)| &**filter < SHARED);
        let behind = &self.list[first..];
        &behind[..behind.partition_point(|(filter, _)| filter.starts_with(SHARED))]
    }

    fn find(&self, filter: &str) -> Result<usize, usize> {
        self.list.binary_search_by(|(known, _)| (**known).cmp(filter))
    }
}

impl Options {
    /// Whether these options deliver messages of `topic`, which the filter matches.
    pub fn cover(self, topic: &str) -> bool {
        !self.sys_broker_only || topic.starts_with("$SYS/broker/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_config::limit_table::{SUBSCRIPTION_BYTES_MAX, TENANT_SESSION_BYTES_MAX};

    #[test]
    fn filters_count_for_what_they_take() {
        for (filter, levels, more) in [
            ("a", 1, 0),
            ("#", 1, 0),
            ("plant/+/temperature", 3, 0),
            ("+/+/device/#", 4, 0),
            // Without wildcards, or with one, any number of levels.
            ("a/a/a/a/a/a/a/a/a/a/a/a", 12, 0),
            ("a/+/a/a/a/a/a/a/a/a/a/a", 12, 0),
            ("a/+/a/a/a/a/a/a/a/+", 10, 0),
            ("a/+/a/a/a/a/a/a/a/+/a", 11, 4_096),
            ("a/+/a/a/a/a/a/a/a/+/a/#", 12, 2 * 4_096),
            ("+/+/+/+/state", 5, 2 * 1_024),
            ("+/+/+/a/a/a/a/a/a/a/a", 11, 1_024 + 4_096),
            // No wildcards but letters of their level.
            ("a+/+b/++/+/c", 5, 0),
            ("$share/group/a", 3, 2_048),
        ] {
            assert_eq!(filter_bytes(filter), 2 * filter.len() as u64 + 128 + levels * 32 + more, "{filter}");
        }
    }

    /// A usual load is accepted: a gateway with a thousand filters of four `+`.
    #[test]
    fn a_gateway_has_room() {
        let filters = (0..1_000).map(|number| format!("+/+/+/+/device-{number:06}/state"));
        assert!(filters.map(|filter| filter_bytes(&filter)).sum::<u64>() < SUBSCRIPTION_BYTES_MAX * 3 / 4);
    }

    /// Nodes of the index beyond the first levels, where a topic can have more ways than there are
    /// levels, and filters that all match one topic.
    #[test]
    fn the_ways_of_one_topic_are_bounded_for_one_owner() {
        let owner = TENANT_SESSION_BYTES_MAX / 2;
        for levels in [11, 16, 40, 199] {
            for pluses in [2, 3, levels / 2, levels] {
                let filter = vec!["+"; pluses].into_iter().chain(vec!["a"; levels - pluses]);
                let filters = owner / filter_bytes(&filter.collect::<Vec<_>>().join("/"));
                let deep = filters * (levels as u64 - DEEP_LEVELS_FROM);
                assert!(deep <= 131_072, "{deep} nodes with {levels} levels");
                assert!(filters <= 150_000, "{filters} filters with {levels} levels");
            }
        }
    }
}
