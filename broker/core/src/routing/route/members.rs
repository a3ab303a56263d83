//! Choice of the group member that gets a message: the order in which members are considered, and the decisions of rules about them.

use std::collections::HashMap;
use std::sync::Arc;

use lotmq_auth::Identity;

use super::{Route, delivers};
use crate::tenant::Tenant;
use crate::tenant::client::Client;
use crate::tenant::subscriber::{SharedGroup, Subscriber};

/// Preferences, the best first; members that are equally suitable take turns \[MQTT-4.8.2-3\].
pub(super) const PREFERENCES: [Preference; 5] = [
    Preference::Ready,
    Preference::HasRoom,
    Preference::KeepsWithRoom,
    Preference::Connected,
    Preference::Keeps,
];

/// Preference that a member must meet.
#[derive(Clone, Copy)]
pub(super) enum Preference {
    /// Connected, and takes a message at once.
    Ready,
    /// Connected and slow, with room for the message.
    HasRoom,
    /// Perhaps away, with a session that has room for it.
    KeepsWithRoom,
    Connected,
    Keeps,
}

impl Preference {
    /// Whether a member suits for a message with so many bytes, whatever rules say of it.
    pub(super) fn suits(self, member: &Subscriber, topic: &str, bytes: usize) -> bool {
        let client = &member.client;
        let is_it = match self {
            Self::Ready => client.wire_version().is_some() && !client.is_slow(),
            Self::HasRoom => client.wire_version().is_some() && client.can_take(bytes),
            Self::KeepsWithRoom => client.is_durable() && client.can_take(bytes),
            Self::Connected => client.wire_version().is_some(),
            Self::Keeps => client.is_durable(),
        };
        is_it && member.options.cover(topic)
    }
}

/// Answers of rules about Clients for one message, each with the identity that was asked about.
#[derive(Default)]
pub(super) struct Answers(HashMap<u64, (Arc<Identity>, bool)>);

impl Answers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Answer about a Client; `None` where rules have not been asked, or it has come back since.
    pub(super) fn of(&self, client: &Client) -> Option<bool> {
        let (identity, is_allowed) = self.0.get(&client.session_id)?;
        Arc::ptr_eq(identity, &client.identity()).then_some(*is_allowed)
    }

    /// Asks rules about a Client.
    pub(super) fn ask(
        &mut self,
        tenant: &Tenant,
        client: &Client,
        topic: &str,
        is_stable: &mut bool,
    ) -> bool {
        let identity = client.identity();
        let is_allowed = delivers(tenant, &identity, topic, is_stable);
        self.0.insert(client.session_id, (identity, is_allowed));
        is_allowed
    }
}

impl Route {
    /// Chooses the member of a group that gets a message with so many bytes, none of those that were `tried`. Unless the topic is open to all, rules are
    /// asked about each that comes into question; where they have been asked in advance, such as they allowed come first.
    pub fn choose<'a>(&self, group: &'a SharedGroup, bytes: usize, tried: &[u64]) -> Option<&'a Subscriber> {
        let choose = |may_have: &mut dyn FnMut(&Client) -> bool| {
            let chosen = PREFERENCES.iter().find_map(|preference| {
                group.choose(|session, member| {
                    preference.suits(member, &self.topic, bytes)
                        && !tried.contains(session)
                        && may_have(&member.client)
                })
            });
            chosen.map(|(_, member)| member)
        };
        if self.is_open {
            return choose(&mut |_| true);
        }
        if !self.answers.is_empty()
            && let Some(known) = choose(&mut |client| self.answers.of(client) == Some(true))
        {
            return Some(known);
        }
        let mut asked = HashMap::new();
        choose(&mut |client| {
            let ask = || self.answers.of(client).unwrap_or_else(|| client.may_get(&self.topic));
            *asked.entry(client.session_id).or_insert_with(ask)
        })
    }

    /// Whether rules allow a member of a group a message. A member that should have been asked about in advance, and was not, is not allowed.
    pub fn may_have(&self, client: &Client) -> bool {
        let ask = || self.answers.is_empty() && client.may_get(&self.topic);
        self.is_open || self.answers.of(client).unwrap_or_else(ask)
    }
}
