//! Rights of a definition's code to read, write and call: the rights that the rules give its owner.
//!
//! [`TenantServices`](super::services::TenantServices) asks at the host calls, after the grants.
//! Triggers are decided when a topic's route is made. The broker does not ask about an owner whom
//! no rule denies anything (`root`). Each thread caches other answers as long as rules and users
//! stay the same. With `lot.authority = "broker"` it asks nothing at all. A definition without
//! owner has the rights of a Client without user.
//!
//! Not here: the account for later effects (`authority`), and missing grants (`host`).

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::DefaultHashBuilder;
use lot_facts::Trigger;
use lotmq_auth::{AskedMessage, Authorization, Decide as _, Decision, Identity, Peer, Question, ROOT, Scope};
use lotmq_config::Authority;
use lotmq_definitions::{Definition, DefinitionKind, Owner};
use lotmq_host::BorrowedMessage;
use lotmq_router::delayed_target;

use super::{TriggeredDefinition, authority};
use crate::limits::{RIGHTS_REMEMBERED, RIGHTS_TOPIC_BYTES_MAX};
use lotmq_core::tenant::Tenant;

/// Beginning of the topics at which models keep their fields that name themselves.
const MEMORY: &str = "$LOT/Models/";

/// Rights of a version of a definition's code.
pub(crate) struct Rights {
    reach: Reach,
    /// Key of these rights in the threads' caches.
    key: u64,
    /// Topics of a model's own memory, about which rules are not asked.
    memory: Option<Box<str>>,
}

enum Reach {
    /// All rights.
    All,
    /// Rights of this owner; a definition without an owner has those of an anonymous user.
    Of(Option<Owner>),
}

/// Access to a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Kind of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    Environment,
    Secret,
}

impl Rights {
    /// Rights of the broker's own code: of rules, which decide about the rights of all others.
    pub(crate) fn all() -> Self {
        Rights { reach: Reach::All, key: 0, memory: None }
    }

    /// Rights of a version of a definition.
    pub(crate) fn of(mode: Authority, definition: &Definition) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let owner = definition.owner();
        let reach = match is_asked(mode, owner) {
            false => Reach::All,
            true => Reach::Of(owner.cloned()),
        };
        let is_model = definition.kind() == DefinitionKind::Model;
        let memory = is_model.then(|| memory_of_model(definition.name()).into());
        Rights { reach, key: NEXT.fetch_add(1, Ordering::Relaxed), memory }
    }

    /// Whether all is allowed, so that rules are not asked.
    pub(crate) fn are_all(&self) -> bool {
        matches!(self.reach, Reach::All)
    }

    /// Whether it may publish to a topic, or keep a value there. A message with a delay needs the
    /// right to its target.
    pub(crate) fn may_publish(&self, tenant: &Tenant, message: &BorrowedMessage<'_>) -> bool {
        let topic = delayed_target(message.topic);
        self.is_own(topic) || self.asks(tenant, Scope::of_publish(topic), topic, Some(message))
    }

    /// Whether it may read a topic.
    pub(crate) fn may_read(&self, tenant: &Tenant, topic: &str) -> bool {
        self.is_own(topic) || self.asks(tenant, Scope::of_subscribe(topic).0, topic, None)
    }

    /// Whether it may read or change a variable. Rules of scope SystemConfiguration see it as a
    /// topic: `secret/NAME/read`, `env/NAME/write`.
    pub(crate) fn may_use(&self, tenant: &Tenant, what: Variable, name: &str, access: Access) -> bool {
        if self.are_all() {
            return true;
        }
        let kind = match what {
            Variable::Environment => "env",
            Variable::Secret => "secret",
        };
        let access = match access {
            Access::Read => "read",
            Access::Write => "write",
        };
        self.asks(tenant, Scope::SystemConfiguration, &format!("{kind}/{name}/{access}"), None)
    }

    /// Returns whether the code may call a definition: one of the same owner, or any if its owner
    /// may run actions.
    pub(crate) fn may_call(&self, tenant: &Tenant, callee: &Definition) -> bool {
        match &self.reach {
            Reach::All => true,
            Reach::Of(owner) => {
                owner.as_ref().map_or(0, |owner| owner.account) == callee.account()
                    || self.asks(tenant, Scope::ActionManagementRun, "", None)
            }
        }
    }

    /// Returns whether the code may write to a topic for an event or a table of this route. This
    /// needs the same owner, or the right to publish there.
    pub(crate) fn may_feed(&self, tenant: &Tenant, topic: &str, route: &Definition) -> bool {
        match &self.reach {
            Reach::All => true,
            Reach::Of(owner) => {
                owner.as_ref().map_or(0, |owner| owner.account) == route.account()
                    || self.asks(tenant, Scope::of_publish(topic), topic, None)
            }
        }
    }

    /// Whether it may give commands. Code without an owner may not, whatever the mode.
    pub(crate) fn may_command(&self, tenant: &Tenant, owner: Option<&Owner>, topic: &str) -> bool {
        let identity = owner.and_then(|owner| authority::identity(&tenant.users, owner));
        identity.is_some_and(|who| tenant.permissions.decide(&Question::publish(&who, topic)).is_allowed())
    }

    fn is_own(&self, topic: &str) -> bool {
        self.memory.as_ref().is_some_and(|memory| topic.starts_with(&**memory))
    }

    fn asks(
        &self,
        tenant: &Tenant,
        scope: Scope,
        topic: &str,
        message: Option<&BorrowedMessage<'_>>,
    ) -> bool {
        let Reach::Of(owner) = &self.reach else { return true };
        let asked = Asked { key: self.key, generation: tenant.permissions.generation(), scope, topic };
        if let Some(known) = KNOWN.with_borrow(|known| known.get(&asked)) {
            return known;
        }
        let identity = identity_of(tenant, owner.as_ref());
        let topic = (!topic.is_empty()).then_some(topic);
        let payload = message.map(|message| message.payload);
        let message = message.map(|message| AskedMessage {
            qos: message.qos as u8,
            retain: message.retain,
            properties: message.properties,
            expires_at_ms: message.expires_at_ms,
        });
        let question = Question { scope, identity: &identity, topic, payload, message };
        let Decision { authorization, is_stable } = tenant.permissions.decision(&question);
        let is_allowed = authorization == Authorization::Allow;
        if is_stable {
            KNOWN.with_borrow_mut(|known| known.put(&asked, is_allowed));
        }
        is_allowed
    }
}

/// Beginning of the topics at which a model keeps its fields that name themselves.
pub(super) fn memory_of_model(name: &str) -> String {
    format!("{MEMORY}{name}/")
}

/// Model whose memory a topic is in.
pub(super) fn model_of_memory(topic: &str) -> Option<&str> {
    topic.strip_prefix(MEMORY)?.split('/').next()
}

/// Whether the rules are asked about what belongs to this owner.
pub(super) fn is_asked(mode: Authority, owner: Option<&Owner>) -> bool {
    mode == Authority::Owner && owner.is_none_or(|owner| *owner.name != *ROOT)
}

/// Returns whether a definition of `owner` may slow down the publisher. It may if both are the same
/// user, or if the owner is an administrator by current rights. A subscriber must not stop others.
pub(crate) fn may_hold_up(
    tenant: &Tenant,
    mode: Authority,
    owner: Option<&Owner>,
    publisher: Option<&Arc<str>>,
) -> bool {
    owner.map(|owner| &owner.name) == publisher || may_hold_up_all(tenant, mode, owner)
}

/// Returns whether a definition of `owner` may slow down everybody: an administrator's may, by
/// current rights.
pub(super) fn may_hold_up_all(tenant: &Tenant, mode: Authority, owner: Option<&Owner>) -> bool {
    !is_asked(mode, owner) || is_of_administrator(tenant, owner)
}

/// Returns whether `owner` is an administrator, by current rights.
pub(crate) fn is_of_administrator(tenant: &Tenant, owner: Option<&Owner>) -> bool {
    tenant.is_administrator(&identity_of(tenant, owner))
}

/// Identity for the rules: the owner with current rights, or an anonymous one.
pub(super) fn identity_of(tenant: &Tenant, owner: Option<&Owner>) -> Identity {
    let known = owner.and_then(|owner| authority::identity(&tenant.users, owner));
    known.unwrap_or_else(|| Identity::anonymous("".into(), Peer::Guest))
}

/// Keeps the triggers of a topic whose owners may read it. False when that has to be asked for each
/// message.
pub(crate) fn permitted(
    tenant: &Tenant,
    mode: Authority,
    topic: &str,
    triggers: Box<[Arc<TriggeredDefinition>]>,
) -> (Box<[Arc<TriggeredDefinition>]>, bool) {
    let is_whole = |trigger: &Arc<TriggeredDefinition>| !is_asked(mode, trigger.definition.owner());
    if triggers.iter().all(is_whole) {
        return (triggers, true);
    }
    let mut is_stable = true;
    let mut allowed = triggers.into_vec();
    // Somebody's many definitions with one filter are one question.
    let mut last: Option<(Arc<TriggeredDefinition>, bool)> = None;
    allowed.retain(|trigger| {
        if is_whole(trigger) {
            return true;
        }
        if let Some((asked, is_allowed)) = &last
            && have_same_decision(&asked.definition, &trigger.definition)
        {
            return *is_allowed;
        }
        let decision = read_decision(tenant, topic, &trigger.definition);
        is_stable &= decision.is_stable;
        let is_allowed = decision.authorization == Authorization::Allow;
        last = Some((Arc::clone(trigger), is_allowed));
        is_allowed
    });
    (allowed.into(), is_stable)
}

/// Whether [`read_decision`] asks the same about both.
fn have_same_decision(one: &Definition, other: &Definition) -> bool {
    one.account() == other.account()
        && one.owner().map(|owner| &owner.name) == other.owner().map(|owner| &owner.name)
        && one.trigger().map(Trigger::filters) == other.trigger().map(Trigger::filters)
        && one.facts().reception == other.facts().reception
}

/// Whether a definition may know that a topic is published to, and what: as for a trigger.
pub(super) fn may_hear(tenant: &Tenant, mode: Authority, topic: &str, definition: &Definition) -> Decision {
    if is_asked(mode, definition.owner()) {
        read_decision(tenant, topic, definition)
    } else {
        Decision { authorization: Authorization::Allow, is_stable: true }
    }
}

/// Decides whether the owner of a definition may read the messages of a topic, as if subscribed
/// with the filters of the definition.
fn read_decision(tenant: &Tenant, topic: &str, definition: &Definition) -> Decision {
    let identity = identity_of(tenant, definition.owner());
    let ask = |filter: &str| tenant.permissions.decision(&Question::subscribe(&identity, filter));
    if tenant.permissions.decides_delivery() || lotmq_core::tenant::system_topics::is_system(topic) {
        return ask(topic);
    }
    let facts = definition.facts();
    let filters = definition.trigger().map(Trigger::filters).unwrap_or_default();
    let matching =
        filters.iter().chain(&facts.reception).filter(|it| lotmq_router::filter_matches(it, topic));
    let mut denied = Decision { authorization: Authorization::Deny, is_stable: true };
    for filter in matching {
        let decision = ask(filter);
        if decision.authorization == Authorization::Allow {
            return decision;
        }
        denied.is_stable &= decision.is_stable;
    }
    denied
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Question to the rules, with the generation for which its answer holds.
struct Asked<'a> {
    key: u64,
    generation: u64,
    scope: Scope,
    topic: &'a str,
}

/// Cache of a thread: each answer in the one place that its question's hash names.
#[derive(Default)]
struct Known {
    places: Vec<Option<Answer>>,
    hasher: DefaultHashBuilder,
}

struct Answer {
    key: u64,
    generation: u64,
    scope: Scope,
    topic: Box<str>,
    is_allowed: bool,
}

impl Known {
    fn place(&self, asked: &Asked<'_>) -> usize {
        let hash = self.hasher.hash_one((asked.key, asked.scope, asked.topic));
        usize::try_from(hash % RIGHTS_REMEMBERED as u64).expect("it is less than the number of places")
    }

    fn get(&self, asked: &Asked<'_>) -> Option<bool> {
        if self.places.is_empty() {
            return None;
        }
        let answer = self.places[self.place(asked)].as_ref()?;
        let is_it = answer.key == asked.key
            && answer.generation == asked.generation
            && answer.scope == asked.scope
            && *answer.topic == *asked.topic;
        is_it.then_some(answer.is_allowed)
    }

    fn put(&mut self, asked: &Asked<'_>, is_allowed: bool) {
        if asked.topic.len() > RIGHTS_TOPIC_BYTES_MAX {
            return;
        }
        if self.places.is_empty() {
            self.places.resize_with(RIGHTS_REMEMBERED, || None);
        }
        let place = self.place(asked);
        let Asked { key, generation, scope, topic } = *asked;
        self.places[place] = Some(Answer { key, generation, scope, topic: topic.into(), is_allowed });
    }
}
