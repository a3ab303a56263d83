//! Messages of a turn that may have to be kept, and the members of groups that they are for.

use std::sync::Arc;

use lotmq_changes::MessageId;
use lotmq_router::GroupId;

use crate::arena::Arena;
use crate::message::Message;
use crate::message::spans::MessageSpans;
use crate::tenant::client::{Client, Queued};
use crate::tenant::triggers::KeepsMessages;

/// Slot of no Client, which marks a copy that went to another one: slots are given in order.
const TAKEN: u32 = u32::MAX;

/// Messages of a turn that may have to be kept.
#[derive(Default)]
pub struct Messages {
    all: Vec<TurnMessage>,
    /// Messages that go to members of groups: message, slot of the Client, group.
    by_group: Vec<(u32, u32, GroupId)>,
    /// Whether these are not in the order of the messages, as those of several copies are.
    is_mixed: bool,
    /// Position behind the last match.
    found: usize,
    /// Messages of groups whose receiver was gone when they were delivered.
    pub(super) orphaned: Vec<(Arc<Client>, Arc<Message>, GroupId)>,
    /// Messages of groups that waited for a receiver, and are larger than it takes now.
    pub(super) too_large: Vec<(Arc<Client>, Queued)>,
}

/// Message of a turn, as ranges; made into a shared [`Message`] only when it is kept.
pub(crate) struct TurnMessage {
    pub spans: MessageSpans,
    /// Whether it is the shortened form, as of a [`Message`].
    pub(crate) is_shortened: bool,
    pub shared: Option<Arc<Message>>,
}

impl TurnMessage {
    /// Owned form under a number in the store, 0 for none; copied out of the arena.
    fn owned(&self, id: u64, arena: &Arena) -> Message {
        let mut owned = Message::new(id, self.spans.parts(arena));
        owned.is_shortened = self.is_shortened;
        owned
    }
}

impl KeepsMessages for Messages {
    fn kept(&mut self, number: u32, arena: &Arena) -> &Arc<Message> {
        self.shared(number, arena)
    }
}

impl Messages {
    pub(crate) fn push(&mut self, message: TurnMessage) -> u32 {
        self.all.push(message);
        u32::try_from(self.all.len() - 1).expect("a turn has fewer messages than bytes")
    }

    /// Adds a copy of a message, which has the same memory.
    pub(crate) fn copy(&mut self, index: u32, arena: &Arena) -> u32 {
        let shared = Some(Arc::clone(self.shared(index, arena)));
        let TurnMessage { spans, is_shortened, .. } = self.all[index as usize];
        self.push(TurnMessage { spans, is_shortened, shared })
    }

    /// Notes that a Client gets a message as a member of a group.
    pub(crate) fn sent_by_group(&mut self, index: u32, client: u32, group: GroupId) {
        self.is_mixed |= self.by_group.last().is_some_and(|(last, ..)| *last > index);
        self.by_group.push((index, client, group));
    }

    /// Redirects a message whose receiver's session has ended: another member of the group gets it,
    /// if it was for one.
    pub(crate) fn orphan(&mut self, index: u32, client: &Arc<Client>, arena: &Arena) {
        if std::mem::take(&mut self.is_mixed) {
            self.by_group.sort_by_key(|(message, ..)| *message);
        }
        // Those of one message stand side by side, and those of one Client are asked for one after
        // the other: each has its own group.
        let first = self.by_group.partition_point(|(message, ..)| *message < index);
        let find = |from: usize| {
            let copies = self.by_group.get(from..)?.iter().take_while(|(message, ..)| *message == index);
            Some(from + copies.map(|(_, member, _)| member).position(|member| *member == client.slot)?)
        };
        let Some(at) = find(self.found.max(first)).or_else(|| find(first)) else { return };
        self.found = at + 1;
        let (_, member, group) = &mut self.by_group[at];
        *member = TAKEN;
        let group = *group;
        let message = Arc::clone(self.shared(index, arena));
        self.orphaned.push((Arc::clone(client), message, group));
    }

    /// The owned form of a message, copied out of the arena the first time.
    pub fn shared(&mut self, index: u32, arena: &Arena) -> &Arc<Message> {
        let message = &mut self.all[index as usize];
        if message.shared.is_none() {
            message.shared = Some(Arc::new(message.owned(0, arena)));
        }
        message.shared.as_ref().expect("it was made above, if it was not there")
    }

    /// Whether two are copies of one publication, and may share the memory of their packets.
    pub(crate) fn are_copies(&self, one: u32, other: u32) -> bool {
        one == other || self.all[one as usize].spans.topic == self.all[other as usize].spans.topic
    }

    /// Bytes that it counts for in bounds of queues.
    pub fn size(&self, index: u32) -> usize {
        self.all[index as usize].spans.bytes()
    }

    /// The number in the store, for a message that is stored.
    pub fn stored_id(&self, index: u32) -> Option<MessageId> {
        self.all[index as usize].shared.as_ref()?.stored_id()
    }

    /// Gives the owned form of a message its number in the store.
    pub(crate) fn set_stored(&mut self, index: u32, id: MessageId, arena: &Arena) {
        let message = &mut self.all[index as usize];
        let stored = match &message.shared {
            Some(known) => known.with_number(id),
            None => message.owned(id.0, arena),
        };
        message.shared = Some(Arc::new(stored));
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.by_group.clear();
        self.is_mixed = false;
        self.found = 0;
    }
}
