//! Changes of a login guest to Clients that it has let in: it revokes logins and replaces
//! principals.
//!
//! A login that the guest has allowed may not have a session yet. Its change is kept, and made when
//! the session is there. Not here: what a change does to a session (`lotmq_core::client::rights`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lotmq_auth::{Identity, Principal};
use lotmq_core::client::rights;
use lotmq_core::reason::close::Revocation;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_host::auth::Selector;
use lotmq_process::this_turn;

use super::asked::LoginGuest;
use crate::limits::LOGIN_GUEST_ADMISSIONS_MAX;

/// Time after which a login that was allowed is given up, if it has no session by then.
const ADMISSION_MAX: Duration = Duration::from_secs(600);

/// Number of admissions below which old ones are not looked for.
const ADMISSIONS_SWEPT_FROM: usize = 1_024;

/// A change to Clients that a guest has let in.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum LoginChange {
    /// Their sessions end.
    Revoke(Revocation),
    /// They have this principal.
    Replace(Arc<Principal>),
}

/// A login that the guest has allowed.
struct Admission {
    user: String,
    /// As CONNECT has it, so empty if the broker chooses one.
    client_id: String,
    since: Instant,
    change: Option<LoginChange>,
}

/// Logins that a guest has allowed and that have no session yet, by number of the connection.
#[derive(Default)]
pub(super) struct Admissions {
    pending: BTreeMap<u64, Admission>,
    /// Number from which on old ones are looked for.
    swept_from: usize,
}

impl Admissions {
    /// Notes a login that the guest has allowed. False if there are too many.
    pub(super) fn add(&mut self, connection: u64, (user, client_id): (&str, &str), since: Instant) -> bool {
        if self.pending.len() >= self.swept_from.max(ADMISSIONS_SWEPT_FROM) {
            self.pending.retain(|_, admission| since.duration_since(admission.since) < ADMISSION_MAX);
            self.swept_from = (2 * self.pending.len()).min(LOGIN_GUEST_ADMISSIONS_MAX);
        }
        if self.pending.len() >= LOGIN_GUEST_ADMISSIONS_MAX {
            return false;
        }
        let (user, client_id) = (user.to_owned(), client_id.to_owned());
        self.pending.insert(connection, Admission { user, client_id, since, change: None });
        true
    }

    /// The login of this connection has its session. Returns a change that was made meanwhile.
    pub(super) fn arrived(&mut self, connection: u64) -> Option<LoginChange> {
        self.pending.remove(&connection)?.change
    }

    /// Notes a change for the logins that it is about; their connections. A login that was revoked
    /// stays so.
    fn note(&mut self, whom: &Selector, change: &LoginChange) -> Vec<u64> {
        let is_meant = |connection: u64, admission: &Admission| match whom {
            Selector::Connection(number) => connection == *number,
            Selector::ClientId(client_id) => admission.client_id == *client_id,
            Selector::User(user) => admission.user == *user,
        };
        let mut noted = Vec::new();
        for (connection, admission) in &mut self.pending {
            if !is_meant(*connection, admission) {
                continue;
            }
            noted.push(*connection);
            if !matches!(admission.change, Some(LoginChange::Revoke(_))) {
                admission.change = Some(change.clone());
            }
        }
        noted
    }
}

/// Makes a change to the Clients of a guest; the number of sessions, of logins without a session
/// yet too.
pub(super) fn change(guest: &LoginGuest, tenant: &Tenant, whom: &Selector, change: &LoginChange) -> u32 {
    // Before the sessions: a login that is not in these has one by then.
    let pending = guest.queue.lock().admissions.note(whom, change);
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
    for (connection, change) in due {
        let (found, _) = sessions(guest, tenant, &Selector::Connection(connection));
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
        match change {
            LoginChange::Revoke(revocation) => {
                rights::revoke(sessions, revocation, turn);
                sessions.len()
            }
            LoginChange::Replace(principal) => rights::replace_principals(sessions, principal, turn),
        }
    })
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
    let principal = match change {
        LoginChange::Revoke(_) => None,
        LoginChange::Replace(principal) => Some(principal),
    };
    this_turn::with(|turn| {
        turn.tick();
        rights::drop_delayed(tenant, is_theirs, principal, turn);
    });
}

#[cfg(test)]
mod tests {
    use lotmq_codec::ReasonCode;

    use super::*;

    fn revocation() -> LoginChange {
        LoginChange::Revoke(Revocation { reason_code: ReasonCode::NotAuthorized, reason: None })
    }

    fn replacement() -> LoginChange {
        LoginChange::Replace(Principal::anonymous())
    }

    #[test]
    fn change_before_the_session_is_kept_and_a_revocation_stays() {
        let mut admissions = Admissions::default();
        let now = Instant::now();
        for (connection, user, client_id) in [(1, "ann", "a"), (2, "ann", "b"), (3, "bob", "c")] {
            assert!(admissions.add(connection, (user, client_id), now));
        }
        let mut noted = admissions.note(&Selector::User("ann".into()), &revocation());
        noted.sort_unstable();
        assert_eq!(noted, [1, 2]);
        assert_eq!(admissions.note(&Selector::ClientId("a".into()), &replacement()), [1]);
        assert_eq!(admissions.note(&Selector::Connection(3), &replacement()), [3]);
        assert_eq!(admissions.arrived(1), Some(revocation()));
        assert_eq!(admissions.arrived(1), None);
        assert_eq!(admissions.arrived(3), Some(replacement()));
        assert!(admissions.note(&Selector::User("bob".into()), &revocation()).is_empty());
    }

    #[test]
    fn logins_that_never_get_a_session_are_bounded_and_given_up() {
        let mut admissions = Admissions::default();
        let now = Instant::now();
        for connection in 0..LOGIN_GUEST_ADMISSIONS_MAX as u64 {
            assert!(admissions.add(connection, ("ann", ""), now));
        }
        assert!(!admissions.add(u64::MAX, ("ann", ""), now));
        assert!(admissions.add(u64::MAX, ("ann", ""), now + ADMISSION_MAX));
        assert_eq!(admissions.pending.len(), 1);
    }
}
