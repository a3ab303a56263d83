//! Logins that a guest has allowed and that have no session yet, with the changes that the guest
//! has made to them meanwhile. Not here: sessions (`changes`).

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use lotmq_core::reason::close::LoginChange;
use lotmq_host::auth::Selector;

use crate::limits::{LOGIN_GUEST_ADMISSIONS_MAX, LOGIN_GUEST_ADMISSIONS_OF_USER_MAX};

/// Time after which a login that was allowed is given up, if it has no session by then.
const ADMISSION_MAX: Duration = Duration::from_secs(60);

/// Number of admissions below which old ones are not looked for.
const ADMISSIONS_SWEPT_FROM: usize = 1_024;

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
    /// Number of those of each user.
    of_users: HashMap<String, usize>,
    /// Number from which on old ones are looked for.
    swept_from: usize,
}

impl Admissions {
    /// Notes a login that the guest has allowed. False if there are too many, of this user or of
    /// all.
    pub(super) fn add(&mut self, connection: u64, user: &str, client_id: &str, since: Instant) -> bool {
        if self.pending.len() >= self.swept_from.max(ADMISSIONS_SWEPT_FROM) {
            self.pending.retain(|_, admission| since.duration_since(admission.since) < ADMISSION_MAX);
            self.swept_from = (2 * self.pending.len()).min(LOGIN_GUEST_ADMISSIONS_MAX);
            self.of_users.clear();
            for admission in self.pending.values() {
                *self.of_users.entry(admission.user.clone()).or_default() += 1;
            }
        }
        self.end(connection);
        let of_user = self.of_users.get(user).copied().unwrap_or_default();
        if self.pending.len() >= LOGIN_GUEST_ADMISSIONS_MAX || of_user >= LOGIN_GUEST_ADMISSIONS_OF_USER_MAX {
            return false;
        }
        *self.of_users.entry(user.to_owned()).or_default() += 1;
        let (user, client_id) = (user.to_owned(), client_id.to_owned());
        self.pending.insert(connection, Admission { user, client_id, since, change: None });
        true
    }

    /// Change to the login of this connection that was made since it was allowed.
    pub(super) fn change_of(&self, connection: u64) -> Option<LoginChange> {
        self.pending.get(&connection)?.change.clone()
    }

    /// The login of this connection has its session, or ends without. Returns a change that was
    /// made meanwhile.
    pub(super) fn end(&mut self, connection: u64) -> Option<LoginChange> {
        let Admission { user, change, .. } = self.pending.remove(&connection)?;
        if let Entry::Occupied(mut of_user) = self.of_users.entry(user) {
            *of_user.get_mut() -= 1;
            if *of_user.get() == 0 {
                of_user.remove();
            }
        }
        change
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
    use lotmq_auth::Principal;
    use lotmq_codec::ReasonCode;
    use lotmq_core::reason::close::Revocation;

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
        assert_eq!(admissions.end(1), Some(revocation()));
        assert_eq!(admissions.end(1), None);
        assert_eq!(admissions.end(3), Some(replacement()));
        assert!(admissions.note(&Selector::User("bob".into()), &revocation()).is_empty());
    }

    #[test]
    fn logins_that_never_get_a_session_are_bounded_and_given_up() {
        let mut admissions = Admissions::default();
        let now = Instant::now();
        for connection in 0..LOGIN_GUEST_ADMISSIONS_MAX as u64 {
            let user = format!("u{}", connection / LOGIN_GUEST_ADMISSIONS_OF_USER_MAX as u64);
            assert!(admissions.add(connection, &user, "", now));
        }
        assert!(!admissions.add(u64::MAX, "ann", "", now), "all together");
        assert!(admissions.add(u64::MAX, "ann", "", now + ADMISSION_MAX));
        assert_eq!((admissions.pending.len(), admissions.of_users.len()), (1, 1));
        assert_eq!(admissions.end(u64::MAX), None);
        assert!(admissions.of_users.is_empty());
        for connection in 0..LOGIN_GUEST_ADMISSIONS_OF_USER_MAX as u64 {
            assert!(admissions.add(connection, "ann", "", now));
        }
        assert!(!admissions.add(u64::MAX, "ann", "", now), "one user");
        assert!(admissions.add(u64::MAX, "bob", "", now), "others go on");
    }
}
