//! Messages that wait until their delay is over.
//!
//! All of them are in memory. Those of QoS 1 and 2 are in the store as well, and a start restores
//! them. The housekeeping thread publishes what is due; the owners of due messages take turns.
//!
//! Invariants: the number and the bytes of messages are bounded, and one owner has at most three
//! quarters of what the others leave. Messages of one owner are due in the order of their times,
//! and of their arrival. Not here: how a message gets here (`turn::fan_out`), and its publication
//! (`client::delayed`).

use std::collections::BTreeMap;
use std::sync::Arc;

use lotmq_auth::{AnonymousLogin, Identity};
use lotmq_changes::MessageId;
use lotmq_config::Limits;
use lotmq_definitions::{DefinitionId, Owner};
use lotmq_session::Time;
use lotmq_shares::{AccountShares, HeldShare, OwnerKey, OwnerTurns};
use parking_lot::Mutex;

use crate::durable::changes::Stamp;
use crate::limits::Limit;
use crate::message::Message;
use crate::tenant::Tenant;
use crate::tenant::held_messages::{HeldLine, HeldMessages};
use crate::tenant::retain::Keeper;

/// Part of what the others leave that one owner may have.
const OWNER_PART: (u64, u64) = (3, 4);

/// Delayed messages that one look takes out of the waiting ones, and out of the due ones.
const PASSED_AT_ONCE: usize = 1024;

/// Publisher of a message with a delay, who needs the right to publish when it is due.
#[derive(Debug, Clone)]
pub enum DelayedPublisher {
    /// Client, as it was known when the message came.
    Client(Arc<Identity>),
    /// Program of this owner.
    Program(Option<Owner>),
}

impl DelayedPublisher {
    /// User whose right counts; `None` for a Client without a user and a program without an owner.
    pub(crate) fn user(&self) -> Option<Owner> {
        match self {
            Self::Client(identity) => {
                let name = Arc::clone(identity.user()?);
                Some(Owner { name, account: identity.account() })
            }
            Self::Program(owner) => owner.clone(),
        }
    }

    /// Owner for whom the message counts when it is retained.
    pub(crate) fn keeper(&self) -> Keeper {
        match (self, self.user()) {
            (_, Some(user)) => Keeper::User(user),
            (Self::Client(_), None) => Keeper::Nobody,
            (Self::Program(_), None) => Keeper::Broker,
        }
    }

    /// Whether the publisher may connect under this policy for Clients without a user. Programs
    /// need no connection, and rules are asked about users.
    pub(crate) fn may_connect(&self, anonymous: AnonymousLogin) -> bool {
        match self {
            Self::Client(identity) => identity.user().is_some() || anonymous.admits(identity.peer),
            Self::Program(_) => true,
        }
    }

    /// Bytes that the message keeps of its publisher, in memory and in the store.
    fn bytes(&self) -> usize {
        match self {
            Self::Client(identity) => identity.client_id.len(),
            Self::Program(_) => 0,
        }
    }

    /// Owner whose share the message counts in.
    fn owner(&self, tenant: &Tenant) -> OwnerKey {
        OwnerKey { tenant: tenant.number, quota_key: self.keeper().quota_key() }
    }
}

/// Message that waits until its delay is over.
pub struct DelayedMessage {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) message: Message,
    pub(crate) publisher: DelayedPublisher,
    /// Whether its publisher may still connect. A start may have ended that for Clients without a
    /// user.
    pub(crate) may_connect: bool,
    /// Route that brought it, to which it does not return.
    pub(crate) origin: Option<DefinitionId>,
    pub(crate) due: DelayedPlace,
    /// Whether the store has it.
    pub(crate) is_stored: bool,
    /// Turn that has handed it to the store.
    pub(crate) changed: Stamp,
    /// Its part of the bounds, which ends with it.
    pub(crate) _room: DelayedRoom,
}

/// Place of a message in the order of publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DelayedPlace {
    /// Time since 1970.
    pub(crate) at: Time,
    /// Number of the message, also in the store.
    pub(crate) id: MessageId,
}

/// Part of the bounds that a message has.
pub(crate) struct DelayedRoom {
    _messages: HeldShare<OwnerKey>,
    _bytes: HeldShare<OwnerKey>,
}

/// Messages of all tenants that wait until their delay is over.
pub struct DelayedMessages {
    queue: Mutex<DelayedQueue>,
    messages: Arc<AccountShares<OwnerKey>>,
    bytes: Arc<AccountShares<OwnerKey>>,
}

#[derive(Default)]
struct DelayedQueue {
    waiting: BTreeMap<DelayedPlace, DelayedMessage>,
    /// Messages that are due, by owner.
    due: OwnerTurns<DelayedMessage>,
    /// Messages that are due and wait for room in the outbox of a route.
    held: HeldMessages<DelayedMessage>,
}

impl DelayedMessages {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            queue: Mutex::default(),
            messages: AccountShares::new(limits.delayed_messages.into(), OWNER_PART),
            bytes: AccountShares::new(limits.delayed_bytes, OWNER_PART),
        }
    }

    /// Takes room for a message of this publisher, whose topic, properties and payload have so many
    /// bytes.
    ///
    /// # Errors
    /// The limit that leaves none.
    pub(crate) fn room(
        &self,
        tenant: &Tenant,
        publisher: &DelayedPublisher,
        bytes: usize,
    ) -> Result<DelayedRoom, Limit> {
        let owner = publisher.owner(tenant);
        let bytes = (bytes + publisher.bytes()) as u64;
        let messages = self.messages.hold(owner, 1).map_err(|_| Limit::DelayedMessages)?;
        let bytes = self.bytes.hold(owner, bytes).map_err(|_| Limit::DelayedBytes)?;
        Ok(DelayedRoom { _messages: messages, _bytes: bytes })
    }

    /// Takes room for a message that was stored before a restart, whatever the bounds are now.
    pub(crate) fn recovered_room(
        &self,
        tenant: &Tenant,
        publisher: &DelayedPublisher,
        bytes: usize,
    ) -> DelayedRoom {
        let owner = publisher.owner(tenant);
        let bytes = (bytes + publisher.bytes()) as u64;
        DelayedRoom {
            _messages: self.messages.hold_anyway(owner, 1),
            _bytes: self.bytes.hold_anyway(owner, bytes),
        }
    }

    /// Adds a message. True if it is due before all others.
    pub(crate) fn add(&self, message: DelayedMessage) -> bool {
        let mut queue = self.queue.lock();
        let is_first = queue.waiting.first_key_value().is_none_or(|(first, _)| message.due < *first);
        queue.waiting.insert(message.due, message);
        is_first
    }

    /// Time at which the next message is due, or was; `None` if no message waits.
    pub fn next(&self) -> Option<Time> {
        let queue = self.queue.lock();
        match queue.due.is_empty() {
            true => {
                let waiting = queue.waiting.first_key_value().map(|(due, _)| due.at);
                [waiting, queue.held.next()].into_iter().flatten().min()
            }
            false => Some(Time::from_millis(0)),
        }
    }

    /// Puts a due message back because what takes it is full. Later messages of its publisher for
    /// its topic wait behind it.
    pub(crate) fn hold(&self, message: DelayedMessage) {
        let line = held_line(&message);
        self.queue.lock().held.put_back(message, line);
    }

    /// Takes the oldest message of the next topic whose messages are held; `None` while the pause
    /// between two rounds lasts.
    pub(crate) fn next_held(&self, now: Time) -> Option<DelayedMessage> {
        self.queue.lock().held.take(now)
    }

    /// Takes the next message that is due.
    pub(crate) fn next_due(&self, now: Time) -> Option<DelayedMessage> {
        let mut queue = self.queue.lock();
        for _ in 0..PASSED_AT_ONCE {
            let Some(first) = queue.waiting.first_entry().filter(|first| first.key().at <= now) else {
                break;
            };
            let message = first.remove();
            let owner = message.publisher.owner(&message.tenant);
            queue.due.push(owner, message);
        }
        for _ in 0..PASSED_AT_ONCE {
            let message = queue.due.pop()?;
            match queue.held.put_behind(message, held_line) {
                None => {}
                free => return free,
            }
        }
        None
    }

    /// Takes the messages of a tenant that are chosen. Those that are due already are decided by
    /// the rights of then.
    pub(crate) fn take_if(
        &self,
        tenant: &Tenant,
        is_chosen: impl Fn(&DelayedMessage) -> bool,
    ) -> Vec<DelayedMessage> {
        let mut queue = self.queue.lock();
        let is_of = |message: &DelayedMessage| message.tenant.id == tenant.id && is_chosen(message);
        let waiting = queue.waiting.extract_if(.., |_, message| is_of(message));
        let mut found: Vec<_> = waiting.map(|(_, message)| message).collect();
        queue.held.take_if(is_of, &mut found);
        found
    }

    /// Number of messages that wait.
    pub fn messages(&self) -> u64 {
        self.messages.used()
    }

    /// Bytes of the messages that wait: topics, properties, payloads and Client Identifiers.
    pub fn bytes(&self) -> u64 {
        self.bytes.used()
    }
}

fn held_line(message: &DelayedMessage) -> HeldLine {
    HeldLine { owner: message.publisher.owner(&message.tenant), topic: message.message.topic().into() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lotmq_codec::QoS;
    use lotmq_config::Config;

    use super::*;
    use crate::fixture;
    use crate::message::MessageParts;

    fn user(name: &str, account: u64) -> DelayedPublisher {
        DelayedPublisher::Program(Some(Owner { name: name.into(), account }))
    }

    fn of_user(all: &DelayedMessages, tenant: &Tenant, user: &str) -> Vec<DelayedMessage> {
        all.take_if(tenant, |message| message.publisher.user().is_some_and(|it| *it.name == *user))
    }

    struct Sample<'a> {
        all: &'a DelayedMessages,
        tenant: &'a Arc<Tenant>,
        ids: u64,
    }

    impl Sample<'_> {
        fn add(&mut self, publisher: &DelayedPublisher, at: u64) -> Result<bool, Limit> {
            self.ids += 1;
            let parts = MessageParts {
                topic: "t",
                properties: &[],
                payload: b"123456789",
                qos: QoS::AtMostOnce,
                retain: false,
                expires_at_ms: None,
            };
            let message = Message::new(0, parts);
            let room = self.all.room(self.tenant, publisher, message.size())?;
            Ok(self.all.add(DelayedMessage {
                tenant: Arc::clone(self.tenant),
                message,
                publisher: publisher.clone(),
                may_connect: true,
                origin: None,
                due: DelayedPlace { at: Time::from_millis(at), id: MessageId(self.ids) },
                is_stored: false,
                changed: Stamp::default(),
                _room: room,
            }))
        }
    }

    #[test]
    fn one_owner_has_three_quarters_of_the_rest_in_number_and_bytes() {
        let tenant = fixture::tenant();
        let (eve, bob) = (user("eve", 1), user("bob", 2));
        let nobody = DelayedPublisher::Client(fixture::identity("c"));
        for (messages, bytes, expected, limit) in [
            (16, 1 << 20, [12, 3, 0], Limit::DelayedMessages),
            (1000, 160, [12, 3, 0], Limit::DelayedBytes),
            (0, 1 << 20, [0, 0, 0], Limit::DelayedMessages),
        ] {
            let mut limits = Config::default().limits;
            (limits.delayed_messages, limits.delayed_bytes) = (messages, bytes);
            let all = DelayedMessages::new(&limits);
            let mut sample = Sample { all: &all, tenant: &tenant, ids: 0 };
            for (publisher, expected) in [&eve, &bob, &nobody].into_iter().zip(expected) {
                let mut count = 0;
                let refused = loop {
                    match sample.add(publisher, 1) {
                        Ok(_) => count += 1,
                        Err(limit) => break limit,
                    }
                };
                assert_eq!((count, refused), (expected, limit), "{publisher:?}");
            }
            while all.next_due(Time::from_millis(1)).is_some() {}
            assert_eq!((all.messages(), all.bytes()), (0, 0), "room comes back");
        }
    }

    #[test]
    fn client_identifiers_count_as_bytes_of_delayed_messages() {
        let tenant = fixture::tenant();
        let mut limits = Config::default().limits;
        limits.delayed_bytes = 1 << 20;
        let all = DelayedMessages::new(&limits);
        let mut sample = Sample { all: &all, tenant: &tenant, ids: 0 };
        let nobody = DelayedPublisher::Client(fixture::identity(&"c".repeat(65_535)));
        let taken = (0..100).take_while(|_| sample.add(&nobody, 1).is_ok()).count();
        assert_eq!(taken, 11, "three quarters of a megabyte");
        let recovered = all.recovered_room(&tenant, &nobody, 10);
        assert_eq!(all.bytes(), 11 * 65_545 + 65_545);
        drop(recovered);
    }

    #[test]
    fn held_messages_wait_by_publisher_and_topic_in_their_order() {
        let tenant = fixture::tenant();
        let all = DelayedMessages::new(&Config::default().limits);
        let mut sample = Sample { all: &all, tenant: &tenant, ids: 0 };
        let (eve, bob) = (user("eve", 1), user("bob", 2));
        for publisher in [&eve, &eve, &bob, &eve] {
            sample.add(publisher, 1).unwrap();
        }
        let now = Time::from_millis(1_000);
        let first = all.next_due(now).unwrap();
        assert_eq!(first.due.id.0, 1);
        all.hold(first);
        // The message of another publisher goes on, those behind it wait.
        assert_eq!(all.next_due(now).unwrap().due.id.0, 3);
        assert!(all.next_due(now).is_none());
        let again = all.next_held(now).unwrap();
        assert_eq!(again.due.id.0, 1);
        all.hold(again);
        assert!(all.next_held(now).is_none(), "a round asks once for each line");
        let later = all.next().unwrap();
        assert!(later > now && all.next_held(Time::from_millis(1_001)).is_none(), "{later:?}");
        let order: Vec<u64> =
            std::iter::from_fn(|| all.next_held(later)).map(|message| message.due.id.0).collect();
        assert_eq!((order, all.next(), all.messages()), (vec![1, 2, 4], None, 0));
        for publisher in [&eve, &bob, &eve, &bob] {
            sample.add(publisher, 1).unwrap();
        }
        for _ in 0..2 {
            let held = all.next_due(now).unwrap();
            all.hold(held);
        }
        assert!(all.next_due(now).is_none());
        let order: Vec<u64> = std::iter::from_fn(|| all.next_held(later.plus(Duration::from_secs(1))))
            .map(|message| message.due.id.0)
            .collect();
        assert_eq!(order, [5, 6, 7, 8], "publishers take turns");
        sample.add(&eve, 1).unwrap();
        let held = all.next_due(now).unwrap();
        all.hold(held);
        let removed = of_user(&all, &tenant, "eve").len();
        assert_eq!((removed, all.messages(), all.next()), (1, 0, None));
    }

    #[test]
    fn due_messages_come_in_order_and_owners_take_turns() {
        let tenant = fixture::tenant();
        let all = DelayedMessages::new(&Config::default().limits);
        let mut sample = Sample { all: &all, tenant: &tenant, ids: 0 };
        let (eve, bob) = (user("eve", 1), user("bob", 2));
        assert_eq!(all.next(), None);
        assert_eq!(sample.add(&eve, 5), Ok(true));
        assert_eq!(sample.add(&eve, 5), Ok(false), "behind the first");
        assert_eq!(sample.add(&eve, 3), Ok(true));
        for _ in 0..3_000 {
            sample.add(&eve, 6).unwrap();
        }
        sample.add(&bob, 7).unwrap();
        assert_eq!(all.next(), Some(Time::from_millis(3)));
        assert!(all.next_due(Time::from_millis(2)).is_none());
        let order: Vec<(u64, bool)> = std::iter::from_fn(|| all.next_due(Time::from_millis(7)))
            .map(|message| (message.due.id.0, message.publisher.owner(&tenant).quota_key == 2))
            .collect();
        assert_eq!(order[..3].iter().map(|(id, _)| *id).collect::<Vec<_>>(), [3, 1, 2]);
        let bob_at = order.iter().position(|(_, is_of_bob)| *is_of_bob).unwrap();
        assert!(bob_at <= 5, "behind {bob_at} of another user");
        assert_eq!((order.len(), all.next()), (3_004, None));
    }

    #[test]
    fn messages_of_a_removed_user_are_taken_out() {
        let tenant = fixture::tenant();
        let all = DelayedMessages::new(&Config::default().limits);
        let mut sample = Sample { all: &all, tenant: &tenant, ids: 0 };
        let (eve, bob) = (user("eve", 1), user("bob", 2));
        for publisher in [&eve, &bob, &eve] {
            sample.add(publisher, 9).unwrap();
        }
        assert_eq!(of_user(&all, &tenant, "eve").len(), 2);
        assert_eq!((all.messages(), of_user(&all, &tenant, "eve").len()), (1, 0));
    }
}
