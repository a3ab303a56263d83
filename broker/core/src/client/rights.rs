//! Rights that a session loses or gets without a login: the member of the login chain that vouches
//! for its user revokes the login, or replaces the principal. The Client may be connected or away.
//!
//! A new principal counts at once: for the next message in either direction, and for messages that
//! wait or are to be sent again. Not here: rights of accounts, which are looked up at each
//! decision, and the selection of sessions.

use std::sync::Arc;

use lotmq_auth::{Identity, Principal};
use lotmq_changes::Op;
use lotmq_codec::QoS;

use super::attach::differs;
use super::delayed;
use super::session_end::{end_for, lock_for_change};
use crate::limits::ENDED_PER_TURN;
use crate::reason::close::{CloseReason, Revocation};
use crate::tenant::Tenant;
use crate::tenant::client::{Client, ClientState};
use crate::turn::Turn;
use crate::turn::session_row::row;

/// Ends sessions whose logins are revoked, connected or away. Their Wills are discarded, because
/// the rights to publish them are gone. Not for shards.
pub fn revoke(clients: &[Arc<Client>], revocation: &Revocation, turn: &mut Turn) {
    for (number, client) in clients.iter().enumerate() {
        client.state.lock().will.handle_normal_disconnect();
        end_for(client, &CloseReason::Revoked(Box::new(revocation.clone())), turn);
        if (number + 1) % ENDED_PER_TURN == 0 {
            turn.flush();
        }
    }
    turn.flush();
}

/// Drops delayed messages of these publishers that `keeps` does not keep. Not for shards.
pub fn drop_delayed(
    tenant: &Tenant,
    is_theirs: impl Fn(&Identity) -> bool,
    principal: Option<&Arc<Principal>>,
    turn: &mut Turn,
) {
    delayed::drop_of(tenant, is_theirs, principal, turn);
    turn.flush();
}

/// Gives sessions another principal of the same user and member, connected or away; the number of
/// those that took it. Not for shards.
pub fn replace_principals(clients: &[Arc<Client>], principal: &Arc<Principal>, turn: &mut Turn) -> usize {
    let mut replaced = 0;
    for (number, client) in clients.iter().enumerate() {
        replaced += usize::from(replace_principal(client, principal, turn));
        if (number + 1) % ENDED_PER_TURN == 0 {
            turn.flush();
        }
    }
    turn.flush();
    replaced
}

/// Gives a session another principal of the same user and member. Subscriptions that it does not
/// allow end, and others are lowered to the quality of service that it allows. False if the session
/// has ended, or belongs to another user.
fn replace_principal(client: &Arc<Client>, principal: &Arc<Principal>, turn: &mut Turn) -> bool {
    let limited = limits_of_subscriptions(client, principal);
    let Some(mut state) = lock_for_change(client, turn) else { return false };
    let identity = Identity { principal: Arc::clone(principal), ..(*state.identity).clone() };
    if !identity.is_same_user(&state.identity) {
        return false;
    }
    take_identity(client, &mut state, turn, identity);
    limit_subscriptions(client, &mut state, turn, limited);
    if let Some(link) = &state.link {
        link.connection.announce_rights();
    }
    true
}

/// Gives a session the identity of a new login of its user, or another principal. Other rights
/// count at once, also for messages that wait or are to be sent again.
pub(crate) fn take_identity(
    client: &Arc<Client>,
    state: &mut ClientState,
    turn: &mut Turn,
    identity: Identity,
) {
    let has_other_rights = differs(&state.identity, &identity);
    let is_stored = state.has_rows(client) && state.identity.principal != identity.principal;
    state.identity = Arc::new(identity);
    if has_other_rights {
        state.queue_allowed_at = 0;
    }
    if is_stored {
        turn.changes(client);
        turn.batch.push(Op::PutSession(&row(client, state)));
    }
    state.count(&client.client_id, client.is_durable());
    if has_other_rights {
        client.tenant.routes_changed();
    }
}

/// Subscriptions that a principal limits: those that it denies, with `None`, and those that it
/// allows with a lower quality of service. Rules are asked without the lock of the session, for
/// which deliveries wait.
fn limits_of_subscriptions(client: &Client, principal: &Arc<Principal>) -> Vec<(Box<str>, Option<QoS>)> {
    let (identity, filters) = {
        let state = client.state.lock();
        let filters = state.subscriptions.filters().map(Box::<str>::from);
        (Arc::clone(&state.identity), filters.collect::<Vec<_>>())
    };
    let identity = Identity { principal: Arc::clone(principal), ..(*identity).clone() };
    let limit = |filter: Box<str>| {
        if !client.tenant.still_delivers(&identity, &filter) {
            return Some((filter, None));
        }
        let qos_max = principal.subscription_qos_max(&filter, &identity.client_id);
        let qos_max = QoS::from_bits(qos_max).unwrap_or(QoS::AtMostOnce);
        (qos_max < QoS::ExactlyOnce).then_some((filter, Some(qos_max)))
    };
    filters.into_iter().filter_map(limit).collect()
}

/// Ends or lowers subscriptions, as far as they are still there.
fn limit_subscriptions(
    client: &Arc<Client>,
    state: &mut ClientState,
    turn: &mut Turn,
    limited: Vec<(Box<str>, Option<QoS>)>,
) {
    let tenant = &client.tenant;
    let mut ended = Vec::new();
    for (filter, qos_max) in limited {
        let Some(mut options) = state.subscriptions.get(&filter) else { continue };
        let Some(qos_max) = qos_max else {
            state.subscriptions.remove(&filter);
            state.replays.end(&filter);
            if client.is_durable() {
                let (tenant, session) = (tenant.id, client.stored_id());
                turn.batch.push(Op::DeleteSubscription { tenant, session, filter: &filter });
            }
            ended.push(filter);
            continue;
        };
        if options.qos > qos_max {
            options.qos = qos_max;
            state.subscriptions.insert(&filter, options);
            tenant.subscribe(client, &filter, options);
            if client.is_durable() {
                turn.batch.push(Op::PutSubscription(&client.subscription_row(&filter, options)));
            }
        }
    }
    state.count(&client.client_id, client.is_durable());
    tenant.unsubscribe_all(client, &ended);
}
