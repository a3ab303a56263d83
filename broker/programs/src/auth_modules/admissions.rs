//! Logins that a guest has allowed and that have no session yet, with the changes that the guest
//! has made to them meanwhile. Not here: sessions (`changes`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lotmq_auth::Principal;
use lotmq_core::reason::close::Revocation;
use lotmq_host::auth::Selector;

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
    pub(super) fn add(&mut self, connection: u64, user: &str, client_id: &str, since: Instant) -> bool {
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
    pub(super) fn note(&mut self, whom: &Selector, change: &LoginChange) -> Vec<u64> {
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
            assert!(admissions.add(connection, user, client_id, now));
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
            assert!(admissions.add(connection, "ann", "", now));
        }
        assert!(!admissions.add(u64::MAX, "ann", "", now));
        assert!(admissions.add(u64::MAX, "ann", "", now + ADMISSION_MAX));
        assert_eq!(admissions.pending.len(), 1);
    }
}
