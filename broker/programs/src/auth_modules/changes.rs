//! Changes of a login guest to Clients that it has let in: it revokes logins and replaces
//! principals.
//!
//! A login that the guest has allowed may not have a session yet. Its change is kept, and made when
//! the session is there. Not here: what a change does to a session (`lotmq_core::client::rights`).

use std::sync::Arc;

use lotmq_auth::Identity;
use lotmq_codec::ReasonCode;
use lotmq_core::client::rights;
use lotmq_core::reason::close::{LoginChange, Revocation};
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_core::turn::Turn;
use lotmq_host::auth::{Principal, Selector};
use lotmq_process::this_turn;

use super::answers::claims;
use super::asked::LoginGuest;
use super::queue::DueChange;
use crate::services::AdmittedSessions;

impl AdmittedSessions for LoginGuest {
    fn revoke(&self, tenant: &Tenant, whom: &Selector, reason_code: ReasonCode, reason: Option<&str>) -> u32 {
        let revocation = Revocation { reason_code, reason: reason.map(Box::from) };
        change(self, tenant, whom, &LoginChange::Revoke(revocation))
    }

    fn update(&self, tenant: &Tenant, whom: &Selector, principal: &Principal) -> Result<u32, String> {
        let claims = claims(principal.clone())?;
        let vouched = tenant.users.vouched(self.module(), claims);
        let (principal, _) = vouched.map_err(|refusal| refusal.to_string())?;
        Ok(change(self, tenant, whom, &LoginChange::Replace(principal)))
    }
}

/// Makes a change to the Clients of a guest; the number of sessions, of logins without a session
/// yet too.
fn change(guest: &LoginGuest, tenant: &Tenant, whom: &Selector, change: &LoginChange) -> u32 {
    // Before the sessions: a login that is not in these has one by then. Earlier changes come
    // first.
    let (pending, due) = {
        let mut queue = guest.queue.lock();
        (queue.admissions.note(whom, change), std::mem::take(&mut queue.due_changes))
    };
    change_due(guest, tenant, due);
    let (sessions, connections) = sessions(guest, tenant, whom);
    let changed = change_sessions(&sessions, change);
    if !matches!(whom, Selector::Connection(_)) {
        drop_delayed(guest, tenant, whom, change);
    }
    let pending = pending.iter().filter(|connection| !connections.contains(connection)).count();
    u32::try_from(changed + pending).unwrap_or(u32::MAX)
}

/// Makes changes that came before the sessions that they are about.
pub(super) fn change_arrived(guest: &LoginGuest, tenant: &Tenant) {
    let due = std::mem::take(&mut guest.queue.lock().due_changes);
    change_due(guest, tenant, due);
}

/// Makes changes that came while the sessions of their logins began. A session that a later login
/// has taken over has the rights of that one.
fn change_due(guest: &LoginGuest, tenant: &Tenant, due: Vec<DueChange>) {
    for DueChange { connection, user, client_id, change } in due {
        let mut found = tenant.all_sessions();
        found.retain(|client| {
            client.member() == Some(guest.module())
                && client.user() == Some(&user)
                && client.client_id == client_id
                && client.connection_number().is_none_or(|number| u64::from(number) == connection)
        });
        change_sessions(&found, &change);
    }
}

/// Sessions of Clients that the guest has let in, with the numbers of their connections.
fn sessions(guest: &LoginGuest, tenant: &Tenant, whom: &Selector) -> (Vec<Arc<Client>>, Vec<u64>) {
    let mut clients = tenant.all_sessions();
    let mut connections = Vec::new();
    clients.retain(|client| {
        let is_candidate = client.member() == Some(guest.module())
            && match whom {
                Selector::Connection(_) => true,
                Selector::ClientId(client_id) => *client.client_id == **client_id,
                Selector::User(user) => client.user_name() == Some(user),
            };
        if !is_candidate {
            return false;
        }
        let connection = client.connection_number().map(u64::from);
        let is_meant = !matches!(whom, Selector::Connection(number) if connection != Some(*number));
        connections.extend(connection.filter(|_| is_meant));
        is_meant
    });
    // Their messages reach members of shared subscriptions in this order.
    clients.sort_unstable_by_key(|client| client.session_id);
    (clients, connections)
}

/// Makes a change to sessions; their number.
fn change_sessions(sessions: &[Arc<Client>], change: &LoginChange) -> usize {
    if sessions.is_empty() {
        return 0;
    }
    this_turn::with(|turn| {
        turn.tick();
        for client in sessions {
            drop_delayed_of(client, change, turn);
        }
        match change {
            LoginChange::Revoke(revocation) => {
                rights::revoke(sessions, revocation, turn);
                sessions.len()
            }
            LoginChange::Replace(principal) => rights::replace_principals(sessions, principal, turn),
        }
    })
}

/// Drops delayed messages of one session that a change takes the right to.
fn drop_delayed_of(client: &Client, change: &LoginChange, turn: &mut Turn) {
    let is_its = |identity: &Identity| {
        identity.principal.member() == client.member()
            && identity.user() == client.user()
            && identity.client_id == client.client_id
    };
    rights::drop_delayed(&client.tenant, is_its, new_principal(change), turn);
}

/// The principal that a change gives; `None` for a revocation.
fn new_principal(change: &LoginChange) -> Option<&Arc<lotmq_auth::Principal>> {
    match change {
        LoginChange::Revoke(_) => None,
        LoginChange::Replace(principal) => Some(principal),
    }
}

/// Drops delayed messages that a change takes the right to.
fn drop_delayed(guest: &LoginGuest, tenant: &Tenant, whom: &Selector, change: &LoginChange) {
    let is_theirs = |identity: &Identity| {
        identity.principal.member() == Some(guest.module())
            && match whom {
                Selector::User(user) => identity.user_name() == Some(user),
                Selector::ClientId(client_id) => *identity.client_id == **client_id,
                Selector::Connection(_) => false,
            }
    };
    let principal = new_principal(change);
    this_turn::with(|turn| {
        turn.tick();
        rights::drop_delayed(tenant, is_theirs, principal, turn);
    });
}
