//! Queue of a login guest: logins that wait for an answer, and events of Clients that it has let
//! in.
//!
//! Logins take turns by source address. Events keep their order, and go before logins: a Client
//! that comes back is asked about behind the end of its former connection. Both are bounded. Not
//! here: the guest (`driver`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use lotmq_auth::{MemberReply, Source, WaitingLogin};
use lotmq_core::reason::close::LoginChange;
use lotmq_host::auth::{Hooks, Subscription};
use lotmq_shares::FairTurns;

use super::admissions::Admissions;
use crate::limits::{
    LOGIN_GUEST_EVENTS_MAX, LOGIN_GUEST_FILTER_BYTES_MAX, LOGIN_GUEST_LOGINS_MAX,
    LOGIN_GUEST_LOGINS_OF_SOURCE_MAX,
};

/// A login that waits for the answer of a guest.
pub(super) struct LoginCall {
    pub(super) login: WaitingLogin,
    pub(super) reply: MemberReply,
    /// When it came.
    pub(super) came: Instant,
}

/// Event of a Client that a guest has let in.
#[derive(Debug, PartialEq)]
pub(super) enum ClientEvent {
    Connected {
        connection: u64,
        client_id: Arc<str>,
        session_present: bool,
    },
    Subscribed {
        connection: u64,
        subscription: Subscription,
    },
    Disconnected {
        connection: u64,
        reason: &'static str,
    },
    /// An authentication by a method of the guest is over before its end.
    Forgotten {
        connection: u64,
    },
}

impl ClientEvent {
    /// Bytes of its filter, which a Client chooses.
    fn filter_bytes(&self) -> usize {
        match self {
            ClientEvent::Subscribed { subscription, .. } => subscription.filter.len(),
            ClientEvent::Connected { .. }
            | ClientEvent::Disconnected { .. }
            | ClientEvent::Forgotten { .. } => 0,
        }
    }
}

/// Next thing for a guest to do.
pub(super) enum GuestCall {
    Login(LoginCall),
    Event(ClientEvent),
}

/// Reason why a guest is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Availability {
    /// It is being opened, or is open.
    Ready,
    /// It cannot be asked, for this reason.
    Away(Arc<str>),
}

/// Queue of one guest.
pub(super) struct GuestQueue {
    logins: FairTurns<Source, VecDeque<LoginCall>>,
    waiting: usize,
    events: VecDeque<ClientEvent>,
    /// Bytes of the filters in `events`.
    filter_bytes: usize,
    lost_events: u64,
    /// Calls that the guest wants besides the answers.
    pub(super) hooks: Hooks,
    /// Authentication methods that the guest knows.
    pub(super) methods: Box<[Box<str>]>,
    /// Connection of each Client that it has let in, by user and Client Identifier.
    connected: HashMap<(Arc<str>, Arc<str>), u64>,
    pub(super) availability: Availability,
    /// Logins that it has allowed and that have no session yet.
    pub(super) admissions: Admissions,
    /// Changes to logins that came while their sessions began.
    pub(super) due_changes: Vec<DueChange>,
}

impl Default for GuestQueue {
    fn default() -> Self {
        GuestQueue {
            logins: FairTurns::default(),
            waiting: 0,
            events: VecDeque::new(),
            filter_bytes: 0,
            lost_events: 0,
            hooks: Hooks::empty(),
            methods: Box::default(),
            connected: HashMap::new(),
            availability: Availability::Ready,
            admissions: Admissions::default(),
            due_changes: Vec::new(),
        }
    }
}

/// Change to a login that came while its session began.
pub(super) struct DueChange {
    pub(super) connection: u64,
    pub(super) user: Arc<str>,
    pub(super) client_id: Arc<str>,
    pub(super) change: LoginChange,
}

/// A Client as a guest has let it in.
#[derive(Clone, Copy)]
pub(super) struct AdmittedClient<'a> {
    pub(super) user: &'a Arc<str>,
    pub(super) client_id: &'a Arc<str>,
    pub(super) connection: u64,
}

impl GuestQueue {
    /// Queues a login; gives it back with the reason if there is no room.
    pub(super) fn put(&mut self, call: LoginCall) -> Result<(), (LoginCall, &'static str)> {
        let line = self.logins.line(&call.login.source);
        let reason = if line.len() >= LOGIN_GUEST_LOGINS_OF_SOURCE_MAX {
            Some("too many logins from this address wait for it")
        } else if self.waiting >= LOGIN_GUEST_LOGINS_MAX {
            Some("too many logins wait for it")
        } else {
            None
        };
        if let Some(reason) = reason {
            return Err((call, reason));
        }
        line.push_back(call);
        self.waiting += 1;
        Ok(())
    }

    /// Takes what is next: an event, else the login whose turn it is.
    pub(super) fn next(&mut self) -> Option<GuestCall> {
        if let Some(event) = self.events.pop_front() {
            self.filter_bytes -= event.filter_bytes();
            return Some(GuestCall::Event(event));
        }
        let login = self.logins.take(|_, line| line.pop_front())?;
        self.waiting -= 1;
        Some(GuestCall::Login(login))
    }

    /// Takes the logins that came before this time.
    pub(super) fn take_late(&mut self, before: Instant) -> Vec<LoginCall> {
        let late = |line: &mut VecDeque<LoginCall>| line.pop_front_if(|call| call.came < before);
        let late: Vec<_> = std::iter::from_fn(|| self.logins.take(|_, line| late(line))).collect();
        self.waiting -= late.len();
        late
    }

    /// Takes all logins.
    pub(super) fn take_logins(&mut self) -> Vec<LoginCall> {
        self.waiting = 0;
        std::mem::take(&mut self.logins).into_lines().flat_map(|(_, line)| line).collect()
    }

    /// Takes the number of events for which there was no room.
    pub(super) fn take_lost_events(&mut self) -> u64 {
        std::mem::take(&mut self.lost_events)
    }

    /// A Client was let in. A former connection of its session is over before.
    pub(super) fn connected(&mut self, who: AdmittedClient<'_>, session_present: bool) {
        let change = self.admissions.end(who.connection);
        let (user, client_id) = (Arc::clone(who.user), Arc::clone(who.client_id));
        let due = |change| DueChange { connection: who.connection, user, client_id, change };
        self.due_changes.extend(change.map(due));
        let key = (Arc::clone(who.user), Arc::clone(who.client_id));
        if let Some(former) = self.connected.insert(key, who.connection) {
            self.over(former, "session-taken-over");
        }
        if self.hooks.contains(Hooks::CONNECTED) {
            let AdmittedClient { client_id, connection, .. } = who;
            let client_id = Arc::clone(client_id);
            self.event(ClientEvent::Connected { connection, client_id, session_present });
        }
    }

    /// A subscription of a Client was granted.
    pub(super) fn subscribed(&mut self, connection: u64, subscription: Subscription) {
        if self.hooks.contains(Hooks::SUBSCRIBED) {
            self.event(ClientEvent::Subscribed { connection, subscription });
        }
    }

    /// A connection is over. One whose session was taken over is so already.
    pub(super) fn disconnected(&mut self, who: AdmittedClient<'_>, reason: &'static str) {
        let key = (Arc::clone(who.user), Arc::clone(who.client_id));
        if self.connected.get(&key) == Some(&who.connection) {
            self.connected.remove(&key);
            self.over(who.connection, reason);
        }
    }

    /// An authentication by a method of the guest is over before its end.
    pub(super) fn forget(&mut self, connection: u64) {
        self.event(ClientEvent::Forgotten { connection });
    }

    fn over(&mut self, connection: u64, reason: &'static str) {
        if self.hooks.contains(Hooks::DISCONNECTED) {
            self.event(ClientEvent::Disconnected { connection, reason });
        }
    }

    fn event(&mut self, event: ClientEvent) {
        let filter_bytes = self.filter_bytes + event.filter_bytes();
        if self.events.len() >= LOGIN_GUEST_EVENTS_MAX || filter_bytes > LOGIN_GUEST_FILTER_BYTES_MAX {
            self.lost_events += 1;
        } else {
            self.filter_bytes = filter_bytes;
            self.events.push_back(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::mpsc::{Receiver, channel};

    use lotmq_auth::{ConnectPacket, MemberAnswer, MemberReplied};

    use super::*;

    fn call(address: u8) -> (LoginCall, Receiver<MemberReplied>) {
        let (sender, receiver) = channel();
        let packet = ConnectPacket {
            connection: 1,
            endpoint: String::new(),
            server_name: None,
            certificate: None,
            body: Vec::new().into(),
        };
        let login = WaitingLogin {
            tenant: "default".into(),
            listener: "mqtt".into(),
            user_name: None,
            source: Source::of(IpAddr::from([10, 0, 0, address])),
            packet: Arc::new(packet),
            step: None,
        };
        let reply = MemberReply::new(move |replied| drop(sender.send(replied)));
        (LoginCall { login, reply, came: Instant::now() }, receiver)
    }

    fn names() -> (Arc<str>, Arc<str>) {
        ("ann".into(), "c1".into())
    }

    #[test]
    fn logins_take_turns_by_address_and_a_flood_from_one_is_bounded() {
        let mut queue = GuestQueue::default();
        let mut receivers = Vec::new();
        for _ in 0..LOGIN_GUEST_LOGINS_OF_SOURCE_MAX {
            let (call, receiver) = call(1);
            assert!(queue.put(call).is_ok());
            receivers.push(receiver);
        }
        let refused = queue.put(call(1).0).err().map(|(_, reason)| reason);
        assert_eq!(refused, Some("too many logins from this address wait for it"));
        let (other, _receiver) = call(2);
        let source = other.login.source;
        assert!(queue.put(other).is_ok());
        let place =
            (0..).find(|_| matches!(queue.next(), Some(GuestCall::Login(it)) if it.login.source == source));
        assert!(place <= Some(1), "it is second at most: {place:?}");
    }

    #[test]
    fn logins_that_have_waited_for_too_long_are_taken_out() {
        let mut queue = GuestQueue::default();
        let receivers: Vec<_> = [1, 1, 2]
            .map(|address| {
                let (call, receiver) = call(address);
                assert!(queue.put(call).is_ok());
                receiver
            })
            .into();
        let before = Instant::now();
        let (young, _receiver) = call(1);
        assert!(queue.put(young).is_ok());
        assert_eq!(queue.take_late(before).len(), receivers.len());
        assert_eq!((queue.take_late(before).len(), queue.waiting), (0, 1));
    }

    #[test]
    fn login_that_is_dropped_fails() {
        let (call, receiver) = call(1);
        drop(call);
        let replied = receiver.recv().unwrap();
        assert_eq!(replied.answer, MemberAnswer::Fail("it gave no answer".to_owned()));
    }

    #[test]
    fn end_of_the_former_connection_comes_before_the_new_one_and_once() {
        let mut queue = GuestQueue { hooks: Hooks::all(), ..GuestQueue::default() };
        let (user, client_id) = names();
        let at = |connection| AdmittedClient { user: &user, client_id: &client_id, connection };
        queue.connected(at(1), false);
        queue.connected(at(2), true);
        queue.disconnected(at(1), "session-taken-over");
        queue.disconnected(at(2), "closed");
        let connected = |connection, session_present| {
            let client_id = Arc::clone(&client_id);
            ClientEvent::Connected { connection, client_id, session_present }
        };
        let over = |connection, reason| ClientEvent::Disconnected { connection, reason };
        let expected =
            [connected(1, false), over(1, "session-taken-over"), connected(2, true), over(2, "closed")];
        for event in expected {
            assert!(matches!(queue.next(), Some(GuestCall::Event(found)) if found == event), "{event:?}");
        }
        assert!(queue.next().is_none());
    }

    #[test]
    fn events_beyond_the_bound_are_counted() {
        let mut queue = GuestQueue { hooks: Hooks::all(), ..GuestQueue::default() };
        let (user, client_id) = names();
        for connection in 0..=LOGIN_GUEST_EVENTS_MAX as u64 {
            queue.connected(AdmittedClient { user: &user, client_id: &client_id, connection }, false);
        }
        assert!(queue.take_lost_events() > 0);
        assert_eq!(queue.take_lost_events(), 0);
    }
}
