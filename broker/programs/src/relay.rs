//! Relay of an owner: queue for messages to definitions whose publishers do not wait for them.
//!
//! A message costs its publisher the same however many definitions it starts. An executor thread
//! moves it to their mailboxes when the owner has a turn. A full relay drops messages and reports
//! this to each definition.
//!
//! The run queue of the executor gives the relays of owners their turns.
//!
//! Invariants: messages leave in the order of their arrival. While one waits or is being passed on,
//! [`is_ahead`](OwnerRelay::is_ahead) is true, and all other events for this owner's definitions
//! come after it. The number and the bytes of waiting messages are bounded. Not here: the owners
//! for which publishers wait (`owner_groups`), and how messages are passed on (`relaying`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use lotmq_definitions::DefinitionId;
use lotmq_host::limits::{MAILBOX_BYTES_MAX, MAILBOX_MESSAGES_MAX};
use lotmq_host::{Errand, MailboxRoom, OwnedMessage, Runner};
use lotmq_shares::OwnerKey;
use parking_lot::Mutex;

use super::{Starts, TriggeredDefinition};
use crate::limits::RELAY_SHED_LISTS_MAX;

/// Relay of one owner.
pub struct OwnerRelay {
    pub(super) owner: OwnerKey,
    ahead: Arc<AtomicUsize>,
    inbox: Mutex<RelayInbox>,
}

struct RelayInbox {
    messages: VecDeque<RelayedMessage>,
    bytes: usize,
    room: MailboxRoom,
    /// Whether it is in the run queue, or has its turn.
    is_called: bool,
    shed: Vec<Shed>,
}

/// Bytes for each definition in the list of a message: its pointer, and what the topic keeps of it.
const TRIGGER_BYTES: usize =
    size_of::<Arc<TriggeredDefinition>>() + 2 * size_of::<usize>() + size_of::<TriggeredDefinition>();

/// Message with the definitions of one owner that it is for.
pub struct RelayedMessage {
    triggers: Arc<[Arc<TriggeredDefinition>]>,
    /// Place of the next one that it goes to.
    next: usize,
    pub(super) message: Arc<OwnedMessage>,
    pub(super) origin: Option<DefinitionId>,
    pub(super) hops: u8,
    /// Whether it is known that it starts them.
    pub(super) has_fired: bool,
    /// Bytes of the list of definitions, unless the message before it has the same list.
    list_bytes: usize,
    _ahead: Ahead,
}

/// Messages that found no room, of those for the same definitions.
pub struct Shed {
    pub(super) triggers: Arc<[Arc<TriggeredDefinition>]>,
    /// The first of them, and how many waited then.
    pub(super) first: (Arc<str>, bytes::Bytes),
    pub(super) waited: usize,
    pub(super) count: u64,
}

/// Guard that counts a message as one behind which others come.
struct Ahead(Arc<AtomicUsize>);

impl Drop for Ahead {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// Relays that are in use, by the payer of their owner.
#[derive(Default)]
pub(crate) struct RelaysInUse(HashMap<u64, Arc<OwnerRelay>>);

impl RelaysInUse {
    /// Relay of the payer for what a runner runs: the same as long as anything waits there or knows
    /// it.
    pub(super) fn of(&mut self, quota_key: u64, runner: &Runner) -> Arc<OwnerRelay> {
        if let Some(relay) = self.0.get(&quota_key) {
            return Arc::clone(relay);
        }
        self.0.retain(|_, relay| Arc::strong_count(relay) > 1);
        let relay = OwnerRelay::new(OwnerKey { tenant: runner.tenant(), quota_key }, runner);
        self.0.insert(quota_key, Arc::clone(&relay));
        relay
    }
}

impl Errand for OwnerRelay {
    fn owner(&self) -> OwnerKey {
        self.owner
    }

    fn forget(&self) {
        self.inbox.lock().messages.clear();
    }
}

impl OwnerRelay {
    /// Creates the relay for the owner of a runner.
    pub fn new(owner: OwnerKey, runner: &Runner) -> Arc<Self> {
        let inbox = RelayInbox {
            messages: VecDeque::new(),
            bytes: 0,
            room: runner.mailbox_room(),
            is_called: false,
            shed: Vec::new(),
        };
        Arc::new(Self { owner, ahead: Arc::default(), inbox: Mutex::new(inbox) })
    }

    /// Whether a message waits here, is on its way here, or is being handed on.
    pub fn is_ahead(&self) -> bool {
        self.ahead.load(Ordering::Acquire) > 0
    }

    /// Message on its way here, for those of some definitions that stand at this place or behind
    /// it; whether it starts them is asked on the other side.
    pub fn relayed(
        &self,
        (triggers, next): (Arc<[Arc<TriggeredDefinition>]>, usize),
        message: OwnedMessage,
        origin: Option<DefinitionId>,
        hops: u8,
    ) -> RelayedMessage {
        self.ahead.fetch_add(1, Ordering::Relaxed);
        let ahead = Ahead(Arc::clone(&self.ahead));
        let (message, has_fired) = (Arc::new(message), false);
        RelayedMessage { triggers, next, message, origin, hops, has_fired, list_bytes: 0, _ahead: ahead }
    }

    /// Takes a message, or sheds it where there is no room.
    pub fn put(self: &Arc<Self>, relayed: RelayedMessage) {
        let Some(Starts::Guest(runner)) = relayed.triggers.get(relayed.next).map(|it| it.starts.clone())
        else {
            return;
        };
        let mut inbox = self.inbox.lock();
        inbox.take(relayed);
        if !std::mem::replace(&mut inbox.is_called, true) {
            drop(inbox);
            runner.give(Arc::clone(self) as _);
        }
    }

    /// Returns the messages dropped since the last call, and the next message. After `None` the
    /// caller asks again only when the relay is called again.
    pub fn next(&self) -> (Vec<Shed>, Option<RelayedMessage>) {
        let mut inbox = self.inbox.lock();
        let (shed, next) = (std::mem::take(&mut inbox.shed), inbox.next());
        inbox.is_called = next.is_some();
        (shed, next)
    }

    /// Has it wait for no executor, as if it was called.
    #[doc(hidden)]
    pub fn is_called(&self) {
        self.inbox.lock().is_called = true;
    }

    /// Puts a message back that has not gone to all that it is for; it is not refused.
    pub(super) fn put_back(&self, relayed: RelayedMessage) {
        self.inbox.lock().put_back(relayed);
    }
}

impl RelayInbox {
    fn take(&mut self, mut relayed: RelayedMessage) {
        let is_known = |last: &RelayedMessage| Arc::ptr_eq(&last.triggers, &relayed.triggers);
        if !self.messages.back().is_some_and(is_known) {
            relayed.list_bytes = relayed.triggers.len() * TRIGGER_BYTES;
        }
        let bytes = self.bytes + relayed.bytes();
        let fits = self.messages.len() < MAILBOX_MESSAGES_MAX
            && (self.messages.is_empty() || bytes <= MAILBOX_BYTES_MAX)
            && self.room.holds(bytes);
        if fits {
            self.bytes = bytes;
            self.messages.push_back(relayed);
        } else {
            self.shed(relayed);
        }
    }

    /// Notes a message that found no room. Of many lists of definitions those that come last are
    /// counted with another one.
    fn shed(&mut self, relayed: RelayedMessage) {
        let is_known = |shed: &&mut Shed| Arc::ptr_eq(&shed.triggers, &relayed.triggers);
        if let Some(shed) = self.shed.iter_mut().find(is_known) {
            shed.count += 1;
        } else if self.shed.len() < RELAY_SHED_LISTS_MAX {
            let RelayedMessage { triggers, message, .. } = &relayed;
            let first = (message.topic.clone(), message.payload.clone());
            let waited = self.messages.len();
            self.shed.push(Shed { triggers: Arc::clone(triggers), first, waited, count: 1 });
        } else if let Some(last) = self.shed.last_mut() {
            last.count += 1;
        }
    }

    fn next(&mut self) -> Option<RelayedMessage> {
        let next = self.messages.pop_front()?;
        self.bytes -= next.bytes();
        self.room.shrinks(self.bytes);
        Some(next)
    }

    fn put_back(&mut self, relayed: RelayedMessage) {
        self.bytes += relayed.bytes();
        self.messages.push_front(relayed);
    }
}

impl RelayedMessage {
    /// Bytes that it counts for.
    fn bytes(&self) -> usize {
        size_of::<OwnedMessage>() + self.message.bytes() + self.list_bytes
    }

    /// The same of one that is known to start them.
    pub(super) fn fired(self) -> Self {
        Self { has_fired: true, ..self }
    }

    /// The next definition that it goes to.
    pub(super) fn next_trigger(&mut self) -> Option<Arc<TriggeredDefinition>> {
        let trigger = self.triggers.get(self.next)?;
        self.next += 1;
        Some(Arc::clone(trigger))
    }
}
