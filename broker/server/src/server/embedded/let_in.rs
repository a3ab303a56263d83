//! Clients of a case that its module for logins has let in, with their sessions: what `revoke` and
//! `update` are about. A value: nobody is connected here.

use lotmq_host::auth::Selector;

/// Sessions of Clients that were let in.
#[derive(Debug, Default)]
pub(super) struct LetIn {
    sessions: Vec<Session>,
    /// Connections that are over, with the reason, of which the module was not told yet.
    over: Vec<(u64, &'static str)>,
}

#[derive(Debug)]
struct Session {
    /// `None` while its Client is away.
    connection: Option<u64>,
    client_id: String,
    user: String,
    /// Whether it outlasts its connection.
    lasts: bool,
}

impl LetIn {
    /// A Client was let in; one with its identifier is over, session and all.
    pub(super) fn admit(&mut self, connection: u64, (client_id, user): (&str, &str), lasts: bool) {
        self.end(|session| session.client_id == client_id, "session-taken-over");
        let (client_id, user) = (client_id.to_owned(), user.to_owned());
        self.sessions.push(Session { connection: Some(connection), client_id, user, lasts });
    }

    /// Whether a connection was let in and is not over.
    pub(super) fn has(&self, connection: u64) -> bool {
        self.sessions.iter().any(|session| session.connection == Some(connection))
    }

    /// A connection is over; its session is there if it lasts.
    pub(super) fn leave(&mut self, connection: u64) {
        self.sessions.retain_mut(|session| {
            let is_it = session.connection == Some(connection);
            session.connection = session.connection.filter(|_| !is_it);
            !is_it || session.lasts
        });
    }

    /// Ends sessions; how many.
    pub(super) fn revoked(&mut self, whom: &Selector) -> u32 {
        self.end(|session| session.is(whom), "administrative")
    }

    /// Gives sessions another user; how many.
    pub(super) fn updated(&mut self, whom: &Selector, user: &str) -> u32 {
        let found = self.sessions.iter_mut().filter(|session| session.is(whom));
        let renamed = found.map(|session| user.clone_into(&mut session.user));
        u32::try_from(renamed.count()).unwrap_or(u32::MAX)
    }

    /// The next connection that is over and that the module was not told of.
    pub(super) fn next_over(&mut self) -> Option<(u64, &'static str)> {
        (!self.over.is_empty()).then(|| self.over.remove(0))
    }

    fn end(&mut self, is_it: impl Fn(&Session) -> bool, reason: &'static str) -> u32 {
        let ended: Vec<Session> = self.sessions.extract_if(.., |session| is_it(session)).collect();
        self.over.extend(ended.iter().filter_map(|session| Some((session.connection?, reason))));
        u32::try_from(ended.len()).unwrap_or(u32::MAX)
    }
}

impl Session {
    fn is(&self, whom: &Selector) -> bool {
        match whom {
            Selector::Connection(number) => self.connection == Some(*number),
            Selector::ClientId(client_id) => self.client_id == *client_id,
            Selector::User(user) => self.user == *user,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selector_counts_include_absent_clients_with_a_session() {
        let mut let_in = LetIn::default();
        for (connection, client_id, user, lasts) in
            [(1, "a", "ann", true), (2, "b", "ann", false), (3, "c", "bob", false)]
        {
            let_in.admit(connection, (client_id, user), lasts);
        }
        let_in.leave(1);
        let_in.leave(3);
        assert_eq!(let_in.updated(&Selector::User("bob".to_owned()), "ann"), 0, "its session is over");
        assert_eq!(let_in.revoked(&Selector::Connection(1)), 0, "it is away");
        assert_eq!(let_in.updated(&Selector::ClientId("a".to_owned()), "eve"), 1);
        assert_eq!(let_in.revoked(&Selector::User("ann".to_owned())), 1);
        assert_eq!((let_in.next_over(), let_in.next_over()), (Some((2, "administrative")), None));
        let_in.admit(4, ("a", "eve"), false);
        let_in.admit(5, ("a", "eve"), false);
        assert_eq!(
            let_in.next_over(),
            Some((4, "session-taken-over")),
            "the one that was away has no connection"
        );
        assert!(let_in.has(5) && !let_in.has(4));
    }
}
