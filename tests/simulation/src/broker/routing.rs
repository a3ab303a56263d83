//! Who gets a message; after `broker/server/src/{fan_out,subscription,retain}.rs`.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use lotmq_codec::{QoS, SubscriptionOptions};
use lotmq_router::{Match, SharedGroup, parse_shared};

use super::{Broker, Message, Note, Outgoing};
use crate::fault::Fault;

/// Topics that one look into the retained index brings: few, so that scans stop and go on.
const SLICE_TOPICS: usize = 2;

/// What the index keeps with a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subscriber {
    pub(super) options: SubscriptionOptions,
    pub(super) identifier: Option<u32>,
}

/// How a session gets a message, its overlapping subscriptions merged \[MQTT-3.3.4-2\].
struct Target {
    qos: QoS,
    retain_as_published: bool,
    identifiers: Vec<u32>,
}

impl Target {
    fn new(subscriber: Subscriber) -> Self {
        let options = subscriber.options;
        let identifiers = subscriber.identifier.into_iter().collect();
        Self { qos: options.qos, retain_as_published: options.retain_as_published, identifiers }
    }

    fn merge(&mut self, other: Subscriber) {
        self.qos = self.qos.max(other.options.qos);
        self.retain_as_published |= other.options.retain_as_published;
        self.identifiers.extend(other.identifier);
    }
}

impl Broker {
    pub(super) fn route(&mut self, message: &Rc<Message>, source: Option<u64>) {
        let mut targets: BTreeMap<u64, Target> = BTreeMap::new();
        let mut groups: Vec<Arc<SharedGroup<u64, Subscriber>>> = Vec::new();
        let ignores_no_local = self.is(Fault::NoLocalIgnored);
        self.index.visit(&message.topic, |found| match found {
            Match::Subscriber(session, subscriber) => {
                let is_own = source == Some(*session) && !ignores_no_local;
                if !(is_own && subscriber.options.no_local) {
                    let merge = |target: &mut Target| target.merge(*subscriber);
                    targets.entry(*session).and_modify(merge).or_insert_with(|| Target::new(*subscriber));
                }
            }
            Match::Group(group) => groups.push(Arc::clone(group)),
        });
        for (session, target) in targets {
            self.send(session, message, target);
        }
        groups.sort_by_key(|group| group.id());
        for group in groups {
            for (session, subscriber) in self.choose(&group) {
                self.send(session, message, Target::new(subscriber));
            }
        }
        if message.retain {
            self.retain(message);
        }
    }

    fn send(&mut self, session: u64, message: &Rc<Message>, target: Target) {
        let mut identifiers = target.identifiers;
        // The index visits in no defined order; a run must not depend on it.
        identifiers.sort_unstable();
        let retain = message.retain && target.retain_as_published;
        let outgoing = Outgoing { message: Rc::clone(message), retain, identifiers };
        self.offer(session, message.qos.min(target.qos), outgoing);
    }

    /// Connected members first, each in turn.
    fn choose(&mut self, group: &SharedGroup<u64, Subscriber>) -> Vec<(u64, Subscriber)> {
        let members = &self.members;
        let is_connected =
            |session: &u64| members.get(session).is_some_and(|member| member.connection.is_some());
        let is_durable =
            |session: &u64| members.get(session).is_some_and(|member| !member.expiry.ends_with_connection());
        let chosen = group
            .choose(|session, _| is_connected(session))
            .or_else(|| group.choose(|session, _| is_durable(session)))
            .map(|(session, subscriber)| (*session, *subscriber));
        let client_id =
            chosen.and_then(|(session, _)| members.get(&session)).map(|m| m.client_id.to_string());
        let filter = self.group_filter(group);
        self.notes.push(Note::Chose { share_name: group.share_name().to_owned(), filter, client_id });
        if self.is(Fault::SharedToAll) {
            return group.members().map(|(session, subscriber)| (*session, *subscriber)).collect();
        }
        chosen.into_iter().collect()
    }

    /// The group knows its Share Name; its filter is what one of its members subscribed to.
    fn group_filter(&self, group: &SharedGroup<u64, Subscriber>) -> String {
        let filters = self.members.values().flat_map(|member| &member.filters);
        let shared = filters.filter_map(|filter| parse_shared(filter).ok().flatten());
        let is_it = |shared: &lotmq_router::SharedFilter<'_>| {
            let found = self.index.group(shared.share_name, shared.filter);
            found.is_some_and(|found| found.id() == group.id())
        };
        shared.into_iter().find(is_it).map(|shared| shared.filter.to_owned()).unwrap_or_default()
    }

    fn retain(&mut self, message: &Rc<Message>) {
        if !message.payload.is_empty() {
            self.retained.insert(&*message.topic, Rc::clone(message));
        } else if !self.is(Fault::RetainedNotCleared) {
            self.retained.remove(&message.topic);
        }
    }

    /// Sends the retained messages that a new subscription gets.
    pub(super) fn replay(&mut self, session: u64, filter: &str, subscriber: Subscriber) {
        let now = self.now;
        let mut after: Option<Arc<str>> = None;
        loop {
            let slice = self.retained.scan(filter, after.as_deref(), SLICE_TOPICS);
            after = slice.resume_after;
            let found: Vec<_> = slice.entries.iter().map(|(_, message)| Rc::clone(message)).collect();
            for message in found.into_iter().filter(|message| !message.is_expired(now)) {
                let qos = message.qos.min(subscriber.options.qos);
                let identifiers = subscriber.identifier.into_iter().collect();
                self.offer(session, qos, Outgoing { message, retain: true, identifiers });
            }
            if after.is_none() {
                return;
            }
        }
    }

    /// Subscribes; true when there was no such subscription.
    pub(super) fn add_subscription(&mut self, session: u64, filter: &str, subscriber: Subscriber) -> bool {
        if let Some(member) = self.members.get_mut(&session) {
            member.filters.insert(filter.to_owned());
        }
        let replaced = match parse_shared(filter) {
            Ok(Some(shared)) => {
                self.index.insert_shared(shared.share_name, shared.filter, session, subscriber)
            }
            Ok(None) | Err(_) => self.index.insert(filter, session, subscriber),
        };
        replaced.is_none()
    }

    /// Unsubscribes; true when there was such a subscription.
    pub(super) fn remove_subscription(&mut self, session: u64, filter: &str) -> bool {
        if let Some(member) = self.members.get_mut(&session) {
            member.filters.remove(filter);
        }
        let removed = match parse_shared(filter) {
            Ok(Some(shared)) => self.index.remove_shared(shared.share_name, shared.filter, &session),
            Ok(None) => self.index.remove(filter, &session),
            Err(_) => None,
        };
        removed.is_some()
    }
}
