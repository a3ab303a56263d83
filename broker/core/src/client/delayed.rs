//! Publication of messages whose delay is over.
//!
//! The removal of a stored message and everything that its publication stores are one batch, so a
//! crash neither loses nor doubles it. A message for a full outbox that sheds nothing waits, as a
//! Client would. Not here: what waits, and in which order
//! (`tenant::delayed`).

use std::sync::Arc;

use lotmq_auth::{
    Account, AccountReference, Decide as _, Identity, Peer, Principal, PrincipalSource, Question,
};
use lotmq_changes::Op;
use lotmq_config::Authority;
use lotmq_session::Time;

use crate::limits::{DRAIN_TIME_MAX, ENDED_PER_TURN};
use crate::tenant::Tenant;
use crate::tenant::delayed::{DelayedMessage, DelayedPublisher};
use crate::tenant::publication::Publication;
use crate::tenant::session_key::SessionKey;
use crate::tenant::triggers::Publisher;
use crate::turn::Turn;
use crate::turn::capacity;

/// Publishes messages that are due, for a while. True when others are left.
///
/// They wait while nothing can be stored: a message whose removal is not stored would be published
/// again after a restart.
pub fn publish_due(turn: &mut Turn) -> bool {
    let context = Arc::clone(&turn.context);
    if context.core.store_failure().is_some() {
        return false;
    }
    let stretch = context.core.clock.stretch(DRAIN_TIME_MAX);
    // In turns, so that a long line of held messages delays no other publisher.
    let mut is_for_held = true;
    let mut next = |turn: &Turn| {
        let now = Time::from_millis(turn.lifetime_ms());
        let (held, due) = (|| context.delayed.next_held(now), || context.delayed.next_due(now));
        is_for_held = !is_for_held;
        if is_for_held { held().or_else(due) } else { due().or_else(held) }
    };
    while let Some(message) = next(turn) {
        if must_wait(&message, turn) {
            context.delayed.hold(message);
        } else {
            publish(message, turn);
        }
        if stretch.is_over(&*context.core.clock) {
            return true;
        }
    }
    false
}

/// Whether the outbox of a route that takes the message is full and sheds nothing.
fn must_wait(delayed: &DelayedMessage, turn: &mut Turn) -> bool {
    let DelayedMessage { tenant, message, publisher, .. } = delayed;
    let user = publisher.user().map(|user| user.name);
    !message.is_expired(turn.lifetime_ms())
        && capacity::must_wait(turn, tenant, (Publisher::User(user.as_ref()), message.topic()), message.qos)
}

fn publish(delayed: DelayedMessage, turn: &mut Turn) {
    turn.let_pass(delayed.changed);
    turn.in_one_batch(|turn| {
        forget(&delayed, turn);
        let DelayedMessage { tenant, message, publisher, origin, .. } = &delayed;
        let now_ms = turn.lifetime_ms();
        if message.is_expired(now_ms) {
            turn.core.counters.messages_expired.add(1);
            return;
        }
        let identity = identity(publisher);
        if !may_publish(&delayed, &identity, turn) {
            turn.core.counters.publish_refused.add(1);
            turn.tell(|hooks, turn| {
                hooks.denied_when_due(turn, tenant, &identity, "delayed message", message.topic());
            });
            return;
        }
        turn.core.counters.delayed_published.add(1);
        let source = match publisher {
            DelayedPublisher::Client(identity) => {
                tenant.sessions.lock().get(SessionKey::from(&**identity)).cloned()
            }
            DelayedPublisher::Program(_) => None,
        };
        let owner = match publisher {
            DelayedPublisher::Client(_) => None,
            DelayedPublisher::Program(owner) => owner.as_ref(),
        };
        let copied = Publication::of(&mut turn.arena, message, source.as_ref(), now_ms);
        let keeper = publisher.keeper();
        let publication = Publication { owner, origin: *origin, keeper: Some(&keeper), ..copied };
        turn.publish(tenant, &publication);
    });
}

/// Removes a message from the store.
fn forget(delayed: &DelayedMessage, turn: &mut Turn) {
    if delayed.is_stored {
        turn.batch.push(Op::DeleteDelayed { tenant: delayed.tenant.id, id: delayed.due.id });
        turn.call_flusher();
    }
}

/// Forgets the messages of a removed user: the rights of the next user of that name are not for
/// them.
pub(super) fn forget_of_user(tenant: &Tenant, user: &str, turn: &mut Turn) {
    let of_user = |it: &DelayedMessage| it.publisher.user().is_some_and(|it| *it.name == *user);
    forget_all(&turn.context.delayed.take_if(tenant, of_user), turn);
}

/// Forgets messages of Clients whose principal is replaced, as far as the new one may not publish
/// them; all of them without a new one.
pub(super) fn drop_of(
    tenant: &Tenant,
    is_theirs: impl Fn(&Identity) -> bool,
    principal: Option<&Arc<Principal>>,
    turn: &mut Turn,
) {
    let may_publish = |identity: &Identity, message: &DelayedMessage| {
        let Some(principal) = principal else { return false };
        let identity = Identity { principal: Arc::clone(principal), ..identity.clone() };
        let parts = message.message.parts();
        let question = Question::publish(&identity, parts.topic).with_payload(parts.payload);
        tenant.permissions.decide(&question.with_message(parts.asked())).is_allowed()
    };
    let is_dropped = |message: &DelayedMessage| match &message.publisher {
        DelayedPublisher::Client(identity) => is_theirs(identity) && !may_publish(identity, message),
        DelayedPublisher::Program(_) => false,
    };
    forget_all(&turn.context.delayed.take_if(tenant, is_dropped), turn);
}

fn forget_all(messages: &[DelayedMessage], turn: &mut Turn) {
    for (number, message) in messages.iter().enumerate() {
        turn.let_pass(message.changed);
        forget(message, turn);
        if (number + 1) % ENDED_PER_TURN == 0 {
            turn.flush();
        }
    }
}

/// Publisher as the rules see it.
fn identity(publisher: &DelayedPublisher) -> Arc<Identity> {
    match publisher {
        DelayedPublisher::Client(identity) => Arc::clone(identity),
        DelayedPublisher::Program(owner) => {
            let principal = owner.as_ref().map_or_else(Principal::anonymous, |owner| {
                Principal::of_reference(AccountReference { name: &owner.name, number: owner.account })
            });
            Arc::new(Identity::new(principal, "".into(), Peer::Guest))
        }
    }
}

/// Whether the publisher still exists, may connect and may publish the message now. Nobody asks
/// about programs where they have all rights of the broker.
fn may_publish(delayed: &DelayedMessage, identity: &Identity, turn: &Turn) -> bool {
    let DelayedMessage { tenant, message, publisher, .. } = delayed;
    let is_same_account = |account: Arc<Account>| account.number == identity.account();
    let exists = match identity.principal.source() {
        PrincipalSource::Account { .. } => tenant.users.account_of(identity).is_some_and(is_same_account),
        PrincipalSource::Anonymous | PrincipalSource::Member(_) => tenant.users.exists(identity),
    };
    let exists = exists && identity.principal.is_valid_at(turn.core.clock.wall_ms());
    let is_program = matches!(publisher, DelayedPublisher::Program(_));
    let has_all_rights = is_program && turn.core.settings.authority == Authority::Broker;
    let parts = message.parts();
    let question = Question::publish(identity, parts.topic).with_payload(parts.payload);
    exists
        && delayed.may_connect
        && (has_all_rights || tenant.permissions.decide(&question.with_message(parts.asked())).is_allowed())
}
