//! Change of owners: another core takes over the sessions and retained messages while Clients
//! publish.
//!
//! ```text
//! former owner          log                     next owner
//!   offers batches  ->  takes them
//!                       fence: takes no more
//!                       stores what it has  ->  reads the rows
//!   runs on                                     restores shard after shard, serves
//! ```
//!
//! The next owner is another node: its sessions have numbers of their own, and its messages
//! continue behind those of the rows. The former owner still runs for a while. Nothing that it does
//! reaches the log or a Client.

use std::num::NonZeroU16;
use std::sync::Arc;

use lotmq_changes::{Ids, LogShard, MessageId, RecoveredQueues, RestoreScope, SessionId};

use super::{Machine, MachineParts, Surface, Task};
use crate::fault::{HandoverFault, planted_handover};
use crate::guests::{self, Guests};

/// Shards that the sessions and retained messages are divided into.
const LOG_SHARDS: NonZeroU16 = NonZeroU16::MIN.saturating_add(1);

/// Bits of a session's number below those of its node.
const NODE_SHIFT: u32 = 48;

impl Machine {
    /// Makes the next owner of everything, on the log of this machine, which takes nothing more of
    /// this one. No owner before had the number `node`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn hand_over(&mut self, node: u16) -> Result<Self, String> {
        self.log.fence();
        self.is_former = true;
        // It is taken when everything is stored that was handed over before.
        let snapshot = self.shared.store.snapshot().map_err(|error| error.to_string())?;
        let mut rows = snapshot.contents(RecoveredQueues::Sent).map_err(|error| error.to_string())?;
        drop(snapshot);
        let ids = Arc::new(Ids::starting_at(MessageId(1), SessionId(u64::from(node) << NODE_SHIFT)));
        let mut scopes: Vec<_> = LogShard::all(LOG_SHARDS).map(RestoreScope::Shard).collect();
        match planted_handover() {
            Some(HandoverFault::ShardForgotten) => scopes.truncate(1),
            Some(HandoverFault::NumbersRepeated) => rows.next_message = MessageId(1),
            Some(HandoverFault::FenceIgnored) | None => {}
        }
        let surface = Arc::new(Surface::default());
        guests::begin(&surface.tasks, self.settings.mailbox_max);
        let parts = MachineParts { surface, shared: self.shared.clone(), rows, ids, scopes };
        Self::begin(&self.time, &self.settings, parts)
    }

    /// Work that this machine has though another one owns the sessions. None with guests, whose
    /// state is that of the present owner.
    pub(crate) fn tasks_of_former(&self) -> Vec<Task> {
        if self.settings.guests != Guests::None {
            return Vec::new();
        }
        let mut tasks = self.tasks();
        tasks.retain(|task| !matches!(task, Task::Store | Task::Guests));
        tasks
    }
}
