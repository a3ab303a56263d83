//! Topic Names and Filters, the subscription index and the retained index of one tenant, without
//! I/O.
//!
//! A PUBLISH comes here after it was decoded and authorised: [`SubscriptionIndex`] says who gets
//! it, [`RetainedIndex`] keeps it for those who subscribe later. Both are plain values; the server
//! puts a lock round them and a route cache in front.
//!
//! Invariants: nothing here recurses, so that a topic of 65,535 slashes costs no stack; no
//! operation reads a clock, a file or a socket; a Topic Name that starts with `$` is never reached
//! by a filter that starts with a wildcard \[MQTT-4.7.2-1\]. Not here: access rules, sessions,
//! merging of overlapping subscriptions, expiry of retained messages.
//!
//! ```
//! use lotmq_router::{Match, SubscriptionIndex};
//!
//! let mut index = SubscriptionIndex::new();
//! index.insert("sport/+/score", 7_u64, "QoS 1");
//! let mut receivers = Vec::new();
//! index.visit("sport/tennis/score", |found| {
//!     if let Match::Subscriber(id, options) = found {
//!         receivers.push((*id, *options));
//!     }
//! });
//! assert_eq!(receivers, [(7, "QoS 1")]);
//! ```
//!
//! Further invariants, with the tests that guard them:
//!
//! - The subscription index finds the same as a plain list of filters. A subscription takes less
//!   than 200 bytes. Tests `index_agrees_with_a_list_of_subscriptions`,
//!   `subscription_takes_less_than_200_bytes`.
//! - Topics of any depth cost no stack. Test `deep_topics_and_filters_cost_no_stack`.

mod fuzz;
pub mod limits;
mod parted_table;
mod retained;
mod subscription;
mod topic;

#[doc(hidden)]
pub use fuzz::fuzz_topic;
pub use parted_table::PartedTable;
pub use retained::{RetainedIndex, RetainedSlice};
pub use subscription::{GroupId, Match, SharedGroup, SubscriptionIndex};
pub use topic::{
    DELAY_SECONDS_MAX, DelayedTopic, DelayedTopicError, SharedFilter, TopicError, delayed_target,
    filter_has_wildcard, filter_includes, filter_matches, has_more_levels, is_delayed_target, parse_delayed,
    parse_shared, topic_filter_valid, topic_name_valid,
};
