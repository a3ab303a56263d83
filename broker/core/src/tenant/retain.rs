//! Retained messages: set and cleared by publishes, bounded in number and bytes. Not here: what new
//! subscriptions get of them (`replay`).
//!
//! Each counts for who has published it ([`Keeper`]), who has at most a [part](part) of what all
//! others leave: so nobody fills the room of all.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lotmq_auth::AccountReference;
use lotmq_changes::{KeeperRow, MessageId};
use lotmq_config::Limits;
use lotmq_definitions::Owner;
use lotmq_router::RetainedIndex;
use lotmq_shares::{QUOTA_KEY_MASK, Usage};

use crate::durable::changes::{Stamp, Stamps};
use crate::limits::Limit;
use crate::message::Message;
use crate::shares::part;
use crate::tenant::client::Client;
use crate::tenant::under_way::{RoutedTurn, UnderWay};

/// Quota key of the broker itself, and of programs without an owner. The chance that an account
/// draws the same key is one in 2^40.
const BROKER_KEY: u64 = QUOTA_KEY_MASK;

/// Owner for whom a retained message counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Keeper {
    /// The broker itself, and programs without an owner.
    Broker,
    /// All Clients without a user.
    Nobody,
    /// A user, or a later user of the same name.
    User(Owner),
}

impl Keeper {
    /// Keeper of messages from this publisher: a Client, or what runs in the broker, for its owner.
    pub fn of(source: Option<&Arc<Client>>, owner: Option<&Owner>) -> Self {
        match (source, owner) {
            (Some(client), _) => client.owner().map_or(Self::Nobody, Self::User),
            (None, Some(owner)) => Self::User(owner.clone()),
            (None, None) => Self::Broker,
        }
    }

    /// Key of the share that its messages count in.
    pub(crate) fn quota_key(&self) -> u64 {
        match self {
            Self::Broker => BROKER_KEY,
            Self::Nobody => 0,
            Self::User(owner) => owner.quota_key(),
        }
    }

    /// The keeper as it was stored.
    pub fn recovered(row: KeeperRow) -> Self {
        match row {
            KeeperRow::Broker => Self::Broker,
            KeeperRow::Nobody => Self::Nobody,
            KeeperRow::User(stored) => {
                let AccountReference { name, number } = AccountReference::read(&stored);
                Self::User(Owner { name: name.into(), account: number })
            }
        }
    }

    pub(crate) fn row(&self) -> KeeperRow {
        match self {
            Self::Broker => KeeperRow::Broker,
            Self::Nobody => KeeperRow::Nobody,
            Self::User(Owner { name, account }) => {
                KeeperRow::User(AccountReference { name, number: *account }.stored())
            }
        }
    }
}

/// Retained message, with its keeper.
pub struct Kept {
    message: Arc<Message>,
    keeper: Keeper,
    /// Stamp of the turn in which it was routed.
    turn: Stamp,
    /// When it was retained, where its receivers get it in a later turn: rules are asked about
    /// them.
    later: Option<RetainedAt>,
}

/// Moment at which a message was retained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetainedAt {
    /// Generation of subscriptions that has the receivers of the message.
    pub(crate) generation: u64,
    /// Version of the message among all that are retained.
    pub(crate) version: MessageId,
}

impl Kept {
    /// Whether it was routed in this turn.
    pub(crate) fn is_of(&self, routed: &RoutedTurn) -> bool {
        self.turn == routed.turn
    }

    /// Whether those who have subscribed by this generation get it as a live message, later.
    pub(crate) fn comes_later(&self, since: u64) -> bool {
        self.later.is_some_and(|later| later.generation >= since)
    }
}

impl Deref for Kept {
    type Target = Arc<Message>;

    fn deref(&self) -> &Self::Target {
        &self.message
    }
}

/// Number and bytes of retained messages.
#[derive(Clone, Copy, Default, PartialEq)]
struct Room {
    messages: u64,
    bytes: u64,
}

/// Retained messages of a tenant, with their number and bytes.
#[derive(Default)]
pub struct Retained {
    index: RetainedIndex<Kept>,
    /// Number and bytes, in all and by quota key.
    room: Usage<u64, Room>,
    /// Whether there was no room for a message since expired ones were last removed.
    pub(crate) lacks_room: AtomicBool,
    /// Time since 1970 at which they were last removed.
    pub(crate) swept_at_ms: u64,
    /// Removals that may not be on the disk: the absence of a topic's message may rest on one of
    /// them.
    pub(crate) removals: Stamps,
    /// Turns whose receivers may not have got what is retained.
    pub(crate) under_way: UnderWay,
}

impl Deref for Retained {
    type Target = RetainedIndex<Kept>;

    fn deref(&self) -> &Self::Target {
        &self.index
    }
}

impl Retained {
    /// Bytes of all retained messages, as they are counted for `retained_bytes`.
    pub fn bytes(&self) -> u64 {
        self.room.all().bytes
    }

    /// Restores a message that was stored.
    pub fn insert(&mut self, message: &Arc<Message>, keeper: Keeper) {
        self.put(message, keeper, (Stamp::default(), None));
    }

    /// Adds a message that is being routed, in place of the one of its topic.
    pub(crate) fn insert_routed(
        &mut self,
        message: &Arc<Message>,
        keeper: Keeper,
        (routed, later): (RoutedTurn, Option<RetainedAt>),
    ) {
        self.under_way.note(routed);
        self.put(message, keeper, (routed.turn, later));
    }

    /// Notes that the receivers of a message get it in this turn, if it is still the one of its
    /// topic.
    pub(crate) fn reaches_receivers(&mut self, topic: &str, later: RetainedAt, turn: Stamp) {
        let is_it = |kept: &&Kept| kept.later.is_some_and(|known| known.version == later.version);
        if let Some(kept) = self.index.get(topic).filter(is_it) {
            let (message, keeper) = (Arc::clone(&kept.message), kept.keeper.clone());
            let routed = RoutedTurn { turn, generation: later.generation };
            self.insert_routed(&message, keeper, (routed, None));
        }
    }

    fn put(&mut self, message: &Arc<Message>, keeper: Keeper, (turn, later): (Stamp, Option<RetainedAt>)) {
        let bytes = message.size() as u64;
        self.room.change(keeper.quota_key(), |room| {
            room.messages += 1;
            room.bytes += bytes;
        });
        let kept = Kept { message: Arc::clone(message), keeper, turn, later };
        if let Some(replaced) = self.index.insert(message.topic(), kept) {
            self.give_back(&replaced);
        }
    }

    pub(crate) fn remove(&mut self, topic: &str) -> bool {
        let removed = self.index.remove(topic);
        if let Some(removed) = &removed {
            self.give_back(removed);
        }
        removed.is_some()
    }

    fn give_back(&mut self, kept: &Kept) {
        let bytes = kept.size() as u64;
        self.room.change(kept.keeper.quota_key(), |room| {
            room.messages -= 1;
            room.bytes -= bytes;
        });
    }

    /// Whether a message of `bytes` may be retained for this topic. One that replaces a longer one
    /// always may.
    pub(crate) fn has_room(
        &self,
        limits: &Limits,
        keeper: &Keeper,
        topic: &str,
        bytes: usize,
    ) -> Result<(), Limit> {
        let (own, all) = (self.room.of(&keeper.quota_key()), self.room.all());
        let messages_max = part(limits.retained_messages.into(), all.messages - own.messages);
        let bytes_max = part(limits.retained_bytes, all.bytes - own.bytes);
        let has_messages = own.messages < messages_max;
        let own_bytes = own.bytes + bytes as u64;
        if has_messages && own_bytes <= bytes_max {
            return Ok(());
        }
        let limit = match self.get(topic) {
            Some(known) if bytes <= known.size() => return Ok(()),
            Some(known)
                if known.keeper.quota_key() == keeper.quota_key()
                    && own_bytes - known.size() as u64 <= bytes_max =>
            {
                return Ok(());
            }
            None if !has_messages => Limit::RetainedMessages,
            Some(_) | None => Limit::RetainedBytes,
        };
        self.lacks_room.store(true, Ordering::Relaxed);
        Err(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageParts;
    use lotmq_codec::QoS;
    use lotmq_config::Config;

    fn message(topic: &str, payload: &[u8]) -> Arc<Message> {
        let qos = QoS::AtMostOnce;
        Arc::new(Message::new(
            0,
            MessageParts { topic, properties: &[], payload, qos, retain: true, expires_at_ms: None },
        ))
    }

    #[test]
    fn nobody_fills_the_room_of_all() {
        let mut limits = Config::default().limits;
        limits.retained_messages = 16;
        let mut retained = Retained::default();
        let user = |name: &str| {
            Keeper::User(Owner { name: name.into(), account: name.bytes().map(u64::from).sum() })
        };
        for (number, (keeper, expected)) in
            [(Keeper::Nobody, 12), (user("ann"), 3), (Keeper::Broker, 1), (user("bob"), 0)].iter().enumerate()
        {
            let mut count = 0;
            loop {
                let message = message(&format!("{number}/{count}"), b"1");
                if retained.has_room(&limits, keeper, message.topic(), message.size()).is_err() {
                    break;
                }
                retained.insert(&message, keeper.clone());
                count += 1;
            }
            assert_eq!(count, *expected, "{keeper:?}");
        }
        // Replacing always works, and what one replaces is one's own then.
        let again = message("0/0", b"2");
        assert_eq!(retained.has_room(&limits, &user("bob"), "0/0", again.size()), Ok(()));
        retained.insert(&again, user("bob"));
        assert_eq!(
            (
                retained.room.of(&user("bob").quota_key()).messages,
                retained.room.of(&Keeper::Nobody.quota_key()).messages
            ),
            (1, 11)
        );
        for topic in ["0/0", "0/1"] {
            assert!(retained.remove(topic));
        }
        assert!(retained.room.of(&user("bob").quota_key()) == Room::default());
        let of_bytes = |keeper: &Keeper| retained.room.of(&keeper.quota_key()).bytes;
        let keepers = [Keeper::Nobody, Keeper::Broker, user("ann")];
        assert_eq!(retained.bytes(), keepers.iter().map(of_bytes).sum::<u64>());
    }

    #[test]
    fn bytes_are_shared_in_the_same_way() {
        let mut limits = Config::default().limits;
        limits.retained_bytes = 1000;
        let mut retained = Retained::default();
        let ann = Keeper::User(Owner { name: "ann".into(), account: 1 });
        let nobody = Keeper::Nobody;
        assert_eq!(retained.has_room(&limits, &nobody, "a", 751), Err(Limit::RetainedBytes));
        retained.insert(&message("a", &[0; 749]), nobody.clone());
        assert_eq!(retained.has_room(&limits, &nobody, "b", 1), Err(Limit::RetainedBytes));
        assert_eq!(retained.has_room(&limits, &nobody, "a", 750), Ok(()), "in its place");
        assert_eq!(retained.has_room(&limits, &ann, "b", 188), Ok(()));
        assert_eq!(retained.has_room(&limits, &ann, "b", 189), Err(Limit::RetainedBytes));
    }
}
