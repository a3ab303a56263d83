//! A tenant: a closed world of topics, sessions, retained messages and definitions.
//!
//! Here is what there is of them, and what can be told from that alone. Not here: what a turn does
//! with it (`turn`), how sessions begin and end (`client`).
//!
//! Lock order inside a tenant: `sessions`, then a Client's state, then `index` or `retained`; none
//! is held while a message is written.

pub mod alias_out;
pub mod aliased;
pub mod client;
pub mod delayed;
pub mod full_queues;
pub mod held;
mod held_messages;
pub mod kept;
pub mod link;
pub mod output;
pub mod publication;
pub mod replay;
pub mod retain;
pub mod session_key;
pub mod sessions;
pub mod subscriber;
pub mod subscription;
pub mod system_topics;
pub mod triggers;
pub(crate) mod under_way;
pub mod will;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use lotmq_auth::{Decide, Decision, Directory, Identity, Question, Rulebook, Scope};
use lotmq_changes::{MembershipId, TenantId};
use lotmq_router::{GroupId, Match};
use parking_lot::{Mutex, RwLock};

use crate::message::Message;
use crate::shares::Shares;
use crate::tenant::client::Client;
use crate::tenant::full_queues::FullQueues;
use crate::tenant::retain::Retained;
use crate::tenant::sessions::Sessions;
use crate::tenant::subscriber::{Index, Subscriber};
use crate::tenant::subscription::{Options, SHARED, Subscriptions};
use crate::tenant::triggers::TenantHooks;

/// Tenant of the broker.
pub struct Tenant {
    /// Number in the store.
    pub id: TenantId,
    /// Position among the tenants of this process; threads index their caches with it.
    pub number: u32,
    /// Its name.
    pub name: Box<str>,
    pub(crate) index: RwLock<Index>,
    /// Changes whenever a route may have changed.
    pub generation: AtomicU64,
    /// Subscriptions to `$share/…`.
    shared: AtomicUsize,
    /// Sessions that have dropped messages because their queue was full.
    pub full_queues: FullQueues,
    /// Its retained messages.
    pub retained: RwLock<Retained>,
    /// Its sessions, connected or not.
    pub sessions: Mutex<Sessions>,
    /// Shares of its owners in what it keeps for sessions.
    pub shares: Arc<Shares>,
    /// Its accounts.
    pub users: Arc<Directory>,
    /// Its rules.
    pub permissions: Arc<Rulebook>,
    /// State that the broker above keeps for it.
    pub hooks: Box<dyn TenantHooks>,
}

impl Tenant {
    /// Tenant without sessions, with this number in the store and among those of the process.
    pub fn new(
        (id, number): (TenantId, u32),
        name: &str,
        users: Arc<Directory>,
        permissions: Arc<Rulebook>,
        hooks: Box<dyn TenantHooks>,
    ) -> Self {
        Self {
            id,
            number,
            name: name.into(),
            index: RwLock::new(Index::new()),
            // Zero means "nothing known" in the threads' caches.
            generation: AtomicU64::new(1),
            shared: AtomicUsize::new(0),
            full_queues: FullQueues::default(),
            retained: RwLock::default(),
            sessions: Mutex::default(),
            shares: Arc::default(),
            users,
            permissions,
            hooks,
        }
    }

    /// Whether the user is an administrator, who has an account. Administrators may exceed bounds
    /// on all users together, so that they can log in when these bounds are reached.
    pub fn is_administrator(&self, identity: &Identity) -> bool {
        let question = Question::operation(identity, Scope::SystemConfiguration);
        let has_account = identity.user().is_some() && identity.principal.member().is_none();
        has_account && self.permissions.decide(&question).is_allowed()
    }

    /// All sessions, in no order. Their lock is held for a part of them at a time.
    pub fn all_sessions(&self) -> Vec<Arc<Client>> {
        Sessions::all(&self.sessions)
    }

    /// Whether rules still allow this Client a subscription that was made, and messages that wait
    /// by it.
    pub fn still_delivers(&self, identity: &Identity, filter: &str) -> bool {
        system_topics::may_have_own_replies(identity, filter)
            || self.permissions.decide(&Question::subscribe(identity, filter)).is_allowed()
    }

    /// Decision of rules whether a Client gets messages of a topic that matches its subscription.
    /// Reports a denial, except for replies to commands, of which each user may read their own.
    pub(crate) fn delivers(&self, identity: &Identity, topic: &str) -> Decision {
        let decision = self.permissions.decision(&Question::subscribe(identity, topic));
        if !decision.authorization.is_allowed() && !system_topics::may_have_own_replies(identity, topic) {
            self.hooks.delivery_denied(self, identity, topic);
        }
        decision
    }

    /// Whether rules still allow this Client a waiting message: a reply to somebody else needs a
    /// right to such replies.
    pub(crate) fn still_delivers_message(&self, identity: &Identity, message: &Message) -> bool {
        let topic = message.topic();
        (!message.is_shortened && system_topics::may_have_own_replies(identity, topic))
            || self.delivers(identity, topic).authorization.is_allowed()
    }

    /// Makes every thread compute its routes anew. The generation that follows.
    pub fn routes_changed(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Adds or replaces a subscription; the options that were there before, and the generation of
    /// subscriptions that has it.
    pub fn subscribe(&self, client: &Arc<Client>, filter: &str, options: Options) -> (Option<Options>, u64) {
        let subscriber = Subscriber { client: Arc::clone(client), options };
        let mut index = self.index.write();
        let replaced = match lotmq_router::parse_shared(filter) {
            Ok(Some(shared)) => {
                index.insert_shared(shared.share_name, shared.filter, client.session_id, subscriber)
            }
            _ => index.insert(filter, client.session_id, subscriber),
        };
        drop(index);
        if replaced.is_none() && is_shared(filter) {
            self.shared.fetch_add(1, Ordering::Relaxed);
        }
        (replaced.map(|subscriber| subscriber.options), self.routes_changed())
    }

    /// Ends a subscription. False when there was none.
    pub fn unsubscribe(&self, client: &Client, filter: &str) -> bool {
        self.unsubscribe_all(client, [filter]) > 0
    }

    /// Ends several subscriptions; how many there were.
    pub(crate) fn unsubscribe_all<F: AsRef<str>>(
        &self,
        client: &Client,
        filters: impl IntoIterator<Item = F>,
    ) -> usize {
        let (mut removed, mut shared) = (0, 0);
        let mut index = self.index.write();
        for filter in filters {
            let filter = filter.as_ref();
            let was_there = match lotmq_router::parse_shared(filter) {
                Ok(Some(of)) => index.remove_shared(of.share_name, of.filter, &client.session_id),
                _ => index.remove(filter, &client.session_id),
            };
            removed += usize::from(was_there.is_some());
            shared += usize::from(was_there.is_some() && is_shared(filter));
        }
        drop(index);
        self.shared.fetch_sub(shared, Ordering::Relaxed);
        if removed > 0 {
            self.routes_changed();
        }
        removed
    }

    /// Groups of these shared subscriptions, each with the number of a session's membership in it.
    pub(crate) fn groups_of(&self, subscriptions: &Subscriptions) -> Vec<(MembershipId, GroupId)> {
        let index = self.index.read();
        let memberships = subscriptions.memberships();
        memberships.filter_map(|(filter, number)| Some((number, group_of(&index, filter)?))).collect()
    }

    /// Group of a shared subscription; `None` where it has no members.
    pub(crate) fn group_of(&self, filter: &str) -> Option<GroupId> {
        group_of(&self.index.read(), filter)
    }

    /// Whether a filter is that of a shared subscription with several members.
    pub(crate) fn has_other_members(&self, filter: &str) -> bool {
        let Ok(Some(shared)) = lotmq_router::parse_shared(filter) else { return false };
        let index = self.index.read();
        index.group(shared.share_name, shared.filter).is_some_and(|group| group.len() > 1)
    }

    /// Lets go of all sessions and subscriptions, which refer to the tenant, so that its memory is
    /// freed: of a broker that has stopped in a process that goes on.
    pub fn forget_clients(&self) {
        *self.index.write() = Index::new();
        *self.sessions.lock() = Sessions::default();
        *self.retained.write() = Retained::default();
    }

    /// Whether somebody is subscribed to a topic that the broker publishes itself.
    pub fn has_subscribers(&self, topic: &str) -> bool {
        let mut found = false;
        self.index.read().visit(topic, |matched| {
            found |= match matched {
                Match::Subscriber(_, subscriber) => subscriber.options.cover(topic),
                Match::Group(_) => true,
            };
        });
        found
    }

    /// Whether a new subscription with this filter may have retained messages to get. Those that
    /// come later reach it as they come.
    pub(crate) fn may_retain_for(&self, filter: &str) -> bool {
        let retained = self.retained.read();
        !retained.is_empty() && (filter.contains(['+', '#']) || retained.get(filter).is_some())
    }

    /// Whether the topic has a retained message that has not expired.
    pub fn has_retained(&self, topic: &str, now_ms: u64) -> bool {
        self.retained.read().get(topic).is_some_and(|message| !message.is_expired(now_ms))
    }

    /// Whether this message is still its topic's retained one, and has not expired.
    pub(crate) fn retains(&self, message: &Arc<Message>, now_ms: u64) -> bool {
        let retained = self.retained.read();
        let current = retained.get(message.topic());
        current.is_some_and(|current| Arc::ptr_eq(current, message)) && !message.is_expired(now_ms)
    }

    /// The payload of the topic's retained message.
    pub fn retained_payload(&self, topic: &str, now_ms: u64) -> Option<bytes::Bytes> {
        let retained = self.retained.read();
        retained.get(topic).filter(|message| !message.is_expired(now_ms)).map(|message| message.payload())
    }

    /// Number of shared subscriptions.
    pub fn shared_subscriptions(&self) -> usize {
        self.shared.load(Ordering::Relaxed)
    }

    /// Bytes of output that waits for Clients whose sockets are full. Cost: O(sessions), one lock
    /// at a time.
    pub fn output_waiting_bytes(&self) -> usize {
        let clients = self.all_sessions();
        clients.iter().filter_map(|client| Some(client.state.lock().link.as_ref()?.waiting_bytes())).sum()
    }

    /// Messages of queues that are in memory.
    pub fn queued_in_memory(&self) -> usize {
        let clients = self.all_sessions();
        clients.iter().map(|client| client.state.lock().session.counts().queued_in_memory).sum()
    }

    /// Number of subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.index.read().len()
    }
}

fn group_of(index: &Index, filter: &str) -> Option<GroupId> {
    let shared = lotmq_router::parse_shared(filter).ok()??;
    Some(index.group(shared.share_name, shared.filter)?.id())
}

/// The tenants of a broker. There are few, and they change rarely.
#[derive(Default)]
pub struct Tenants(RwLock<Arc<[Arc<Tenant>]>>);

impl Tenants {
    /// These tenants, by number.
    pub fn new(tenants: Vec<Arc<Tenant>>) -> Self {
        Self(RwLock::new(tenants.into()))
    }

    /// All of them, by number.
    pub fn all(&self) -> Arc<[Arc<Tenant>]> {
        Arc::clone(&self.0.read())
    }

    /// The tenant `default`, which a broker with one user has.
    ///
    /// # Panics
    /// When there is none, as no broker starts.
    pub fn default_tenant(&self) -> Arc<Tenant> {
        let tenants = self.0.read();
        Arc::clone(tenants.first().expect("the tenant `default` always exists"))
    }
}

/// Whether a filter that was granted is that of a shared subscription.
fn is_shared(filter: &str) -> bool {
    filter.starts_with(SHARED)
}
