//! Post: one message on its way to the far side, with the part of the route that takes it, and the
//! bounds of the batches in which it goes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lot_facts::{RouteBlock, RouteFacts, Taker};
use lotmq_host::OwnedMessage;
use smallvec::SmallVec;

use crate::limits::{ROUTE_BATCH_BYTES_MAX, ROUTE_BATCH_MAX};

/// Message on its way to the far side.
#[derive(Clone, Debug)]
pub struct RouteMessage {
    pub(crate) to: Addressee,
    pub message: Arc<OwnedMessage>,
    /// Since when it has waited, in [lifetime milliseconds](lotmq_core::clock::Clock::lifetime_ms).
    pub(crate) waits_since_ms: u64,
    /// Number of guest runs that led to it.
    pub(crate) hops: u8,
    /// Sequence number, which stays the same after a retry.
    pub(crate) sequence: u64,
    /// When it goes in a batch that is not full; `None` at once.
    pub(crate) ripe_at: Option<Instant>,
    /// How often the driver ended by a panic when it worked on this message alone.
    pub(crate) panics: u8,
    /// Its retries while it was in front of what was tried again.
    pub(crate) retries: Option<Retries>,
    /// Bytes that it counts for in the outbox, where it waits in the store.
    pub(crate) stored_bytes: Option<u64>,
    /// Hash of its key, where the route names one; its mailbox notes it.
    pub(crate) order_hash: Option<u64>,
}

/// Key of a message: messages of one key do not overtake each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PostKey<Name> {
    /// That of a row: its table.
    Table(Name),
    /// Its topic.
    Topic(Name),
    /// That of `ORDER_KEY`, by its hash: two of the same hash only go the same way.
    Said(u64),
}

/// Retries of a message with which a guest has failed for a while: their number and since when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    pub(crate) count: u32,
    pub(crate) since: Instant,
}

/// Part of the route that takes a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Addressee {
    /// The event of this name.
    Event(Arc<str>),
    /// The mapping of this name, which has no tags.
    Mapping(Arc<str>),
    /// The tag of this name in the mapping of the first: the message is its value.
    Tag(Arc<str>, Arc<str>),
    /// The table of this name, at the far side: the message is a row of it.
    Table(Arc<str>),
}

/// Takers of one message in a route; mostly one.
pub(crate) type Takers = SmallVec<[Addressee; 1]>;

impl RouteMessage {
    /// Ordering key: the topic, the `ORDER_KEY`, or the table of a row. Messages of one key do not
    /// overtake each other.
    pub(super) fn owned_key(&self) -> PostKey<Box<str>> {
        match self.key() {
            PostKey::Table(table) => PostKey::Table(table.into()),
            PostKey::Topic(topic) => PostKey::Topic(topic.into()),
            PostKey::Said(hash) => PostKey::Said(hash),
        }
    }

    /// The same by reference.
    pub(super) fn key(&self) -> PostKey<&str> {
        match (&self.to, self.order_hash) {
            (Addressee::Table(table), _) => PostKey::Table(table),
            (Addressee::Event(_) | Addressee::Mapping(_) | Addressee::Tag(..), Some(hash)) => {
                PostKey::Said(hash)
            }
            (Addressee::Event(_) | Addressee::Mapping(_) | Addressee::Tag(..), None) => {
                PostKey::Topic(&self.message.topic)
            }
        }
    }

    /// Bytes of the message, and what it takes besides.
    pub(super) fn bytes(&self) -> usize {
        size(&self.message)
    }
}

impl From<Taker<'_>> for Addressee {
    fn from(taker: Taker<'_>) -> Self {
        match taker {
            Taker::Event(name) => Self::Event(name.into()),
            Taker::Mapping(name) => Self::Mapping(name.into()),
            Taker::Tag { mapping, tag } => Self::Tag(mapping.into(), tag.into()),
        }
    }
}

impl fmt::Display for Addressee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(name) | Self::Mapping(name) | Self::Table(name) => f.write_str(name),
            Self::Tag(mapping, name) => write!(f, "{mapping}/{name}"),
        }
    }
}

impl Addressee {
    /// Its noun and its name, for people.
    pub(crate) fn described(&self) -> String {
        format!("{} `{self}`", self.noun())
    }

    /// It with the reason why a message for it did not pass, which may name it at its beginning, as
    /// those of tags do.
    pub(crate) fn with_reason(&self, reason: &str) -> String {
        let named = format!("{} {self}", self.noun());
        match reason.strip_prefix(&named) {
            Some(behind) if behind.starts_with([':', ' ']) => reason.to_owned(),
            Some(_) | None => format!("{}: {reason}", self.described()),
        }
    }

    fn noun(&self) -> &'static str {
        match self {
            Self::Event(_) => "event",
            Self::Mapping(_) => "mapping",
            Self::Tag(..) => "tag",
            Self::Table(_) => "table",
        }
    }

    /// Whether messages for either are kept in order and rest together: tags are, as the order of
    /// what is written to a machine matters.
    pub(crate) fn goes_with(&self, other: &Addressee) -> bool {
        self == other || (self.is_tag() && other.is_tag())
    }

    /// Whether it is a tag.
    pub(crate) fn is_tag(&self) -> bool {
        matches!(self, Self::Tag(..))
    }

    /// Whether a route of this text does not have it.
    pub(crate) fn is_gone(&self, said: &RouteFacts) -> bool {
        !matches!(self, Self::Table(_)) && self.block(said).is_none()
    }

    /// Returns its block in the definition; `None` for a table or a removed taker.
    pub(crate) fn block<'a>(&self, said: &'a RouteFacts) -> Option<&'a RouteBlock> {
        match self {
            Self::Event(name) => said.event(name),
            Self::Mapping(name) => said.mapping(name),
            Self::Tag(mapping, name) => said.mapping(mapping)?.tags.iter().find(|tag| tag.name == **name),
            Self::Table(_) => None,
        }
    }
}

/// Bounds of the batches that a guest gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Batches {
    /// Most messages.
    pub(crate) messages: usize,
    /// Most bytes, with 64 for each message, unless the first alone has more.
    pub(crate) bytes: usize,
    /// Time for which the first message waits until the batch is full.
    pub(crate) linger: Duration,
}

impl Default for Batches {
    fn default() -> Self {
        Self { messages: ROUTE_BATCH_MAX, bytes: ROUTE_BATCH_BYTES_MAX, linger: Duration::ZERO }
    }
}

/// Bytes that a message takes in a mailbox.
pub(super) fn size(message: &OwnedMessage) -> usize {
    size_of(message.bytes())
}

/// The same of one that has so many.
pub(super) fn size_of(bytes: usize) -> usize {
    /// Bytes that a message takes besides its own.
    const OVERHEAD: usize = 64;
    bytes.saturating_add(OVERHEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_that_names_its_subject_is_not_prefixed_again() {
        let tag = Addressee::Tag("Fast".into(), "Setpoint".into());
        for (to, reason, expected) in [
            (&tag, "tag Fast/Setpoint is not written: 7", "tag Fast/Setpoint is not written: 7"),
            (&tag, "tag Fast/Setpoint: no number", "tag Fast/Setpoint: no number"),
            (&tag, "tag Fast/Setpoint2 is wrong", "tag `Fast/Setpoint`: tag Fast/Setpoint2 is wrong"),
            (&tag, "refused", "tag `Fast/Setpoint`: refused"),
            (&Addressee::Event("Save".into()), "no such table", "event `Save`: no such table"),
        ] {
            assert_eq!(to.with_reason(reason), expected);
        }
    }
}
