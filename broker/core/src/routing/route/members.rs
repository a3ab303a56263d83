//! Choice of the group member that gets a message: the order in which members are considered, and
//! the decisions of rules about them.

use std::collections::HashMap;
use std::sync::Arc;

use lotmq_auth::Identity;

use super::{Route, delivers};
use crate::tenant::Tenant;
use crate::tenant::client::Client;
use crate::tenant::subscriber::{SharedGroup, Subscriber};

/// Number of preferences, of which 0 is the best; members that are equally suitable take turns
/// \[MQTT-4.8.2-3\].
pub(super) const PREFERENCES: usize = 5;

/// Best preference that a member meets for a message with so many bytes, whatever rules say of it;
/// `None` where it gets none. `keeps`: a session whose Client is away keeps it.
///
/// 0 is connected and takes a message at once, 1 connected and slow, with room for it, 2 away, with
/// a session that has room, 3 connected without, 4 away without.
pub(super) fn preference(member: &Subscriber, topic: &str, (bytes, keeps): (usize, bool)) -> Option<usize> {
    let client = &member.client;
    let is_connected = client.wire_version().is_some();
    if !(is_connected || (keeps && member.keeps())) || !member.options.cover(topic) {
        return None;
    }
    Some(match is_connected {
        true if !client.is_slow() => 0,
        true => {
            if client.can_take(bytes) {
                1
            } else {
                3
            }
        }
        false => {
            if client.can_take(bytes) {
                2
            } else {
                4
            }
        }
    })
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

    /// Whether rules have been asked about this session, if perhaps before it came back.
    pub(super) fn has(&self, client: &Client) -> bool {
        self.0.contains_key(&client.session_id)
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

/// Chooses the best member that may have a message, and asks whether it may about the best ones
/// first.
fn choose_allowed(
    group: &SharedGroup,
    mut preference: impl FnMut(&u64, &Subscriber) -> Option<usize>,
    mut may_have: impl FnMut(&Subscriber) -> bool,
) -> Option<&Subscriber> {
    let best = (0..PREFERENCES).find_map(|wanted| {
        group.choose(|session, member| preference(session, member) == Some(wanted) && may_have(member))
    });
    // A Client that came or went meanwhile may have had another preference than the one wanted each
    // time.
    let any = || group.choose(|session, member| preference(session, member).is_some() && may_have(member));
    best.or_else(any).map(|(_, member)| member)
}

impl Route {
    /// Chooses the member of a group that gets a message with so many bytes, which sessions keep if
    /// it `keeps`, none of those that were `tried`. Unless the topic is open to all, rules are
    /// asked about each that comes into question; where they have been asked in advance, such as
    /// they allowed come first. How many members were looked at is added to `looked_at`.
    pub fn choose<'a>(
        &self,
        group: &'a SharedGroup,
        message: (usize, bool),
        tried: &[u64],
        looked_at: &mut usize,
    ) -> Option<&'a Subscriber> {
        let mut preferred = |session: &u64, member: &Subscriber| {
            *looked_at += 1;
            if tried.contains(session) { None } else { preference(member, &self.topic, message) }
        };
        if self.is_open {
            return group.choose_best(preferred).map(|(_, member)| member);
        }
        let is_known = |member: &Subscriber| self.answers.of(&member.client) == Some(true);
        if !self.answers.is_empty()
            && let Some((_, known)) =
                group.choose_best(|session, member| preferred(session, member).filter(|_| is_known(member)))
        {
            return Some(known);
        }
        let mut asked = HashMap::new();
        let mut may_have = |client: &Client| {
            let ask = || self.answers.of(client).unwrap_or_else(|| client.may_get(&self.topic));
            *asked.entry(client.session_id).or_insert_with(ask)
        };
        choose_allowed(group, preferred, |member| may_have(&member.client))
    }

    /// Whether rules allow a member of a group a message. A member that should have been asked
    /// about in advance, and was not, is not allowed.
    pub fn may_have(&self, client: &Client) -> bool {
        let ask = || self.answers.is_empty() && client.may_get(&self.topic);
        self.is_open || self.answers.of(client).unwrap_or_else(ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::routing::route::RouteCache;

    #[test]
    fn a_member_that_comes_while_one_is_chosen_gets_the_message() {
        let tenant = fixture::open_tenant();
        let client = fixture::client(&tenant, 0, "comes-and-goes");
        tenant.subscribe(&client, "$share/g/a", fixture::PLAIN);
        let route = RouteCache::new(crate::hashing::Hashing::fixed(0)).take(&tenant, b"a");
        for before in 1..PREFERENCES {
            for looks in 0..PREFERENCES {
                let mut looked = 0;
                let comes = |_: &u64, _: &Subscriber| {
                    looked += 1;
                    Some(if looked <= looks { before } else { 0 })
                };
                let chosen = choose_allowed(&route.groups[0], comes, |_| true);
                assert!(chosen.is_some(), "preference {before} for {looks} looks");
            }
        }
        assert!(choose_allowed(&route.groups[0], |_, _| Some(0), |_| false).is_none(), "rules are kept to");
    }
}
