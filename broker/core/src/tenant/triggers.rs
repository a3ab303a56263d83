//! Triggers: what messages start besides being delivered. The core notes them while it routes, and
//! calls their runner when the turn has come to them.
//!
//! A message that starts nothing calls nothing of this. Not here: what is started, and how
//! (crate `programs`).

use std::any::Any;
use std::sync::Arc;

use lotmq_auth::Identity;
use lotmq_changes::Batch;
use lotmq_codec::QoS;
use lotmq_definitions::{Caching, Definition, DefinitionId};
use lotmq_session::Time;

use crate::arena::Arena;
use crate::durable::changes::{Stamp, TurnSlot};
use crate::durable::commit_watcher::CommitWatcher;
use crate::message::Message;
use crate::shared::Core;
use crate::tenant::Tenant;
use crate::tenant::client::Client;
use crate::tenant::publication::Publication;

/// Hooks of one tenant into the broker above: what its topics start, and everything that is managed
/// there.
pub trait TenantHooks: Any + Send + Sync {
    /// Triggers of `topic`. False when they have to be asked for again for the next message.
    fn triggers(&self, tenant: &Tenant, topic: &str) -> (Option<Box<dyn Triggers>>, bool);

    /// Definitions that only want to know when `topic` is published to. False when they have to be
    /// asked for again for the next message.
    fn listeners(&self, _tenant: &Tenant, _topic: &str) -> (Option<Box<dyn Listeners>>, bool) {
        (None, true)
    }

    /// Effect of a message on `topic` on the last values.
    fn caching(&self, topic: &str) -> Caching;

    /// Remembers a message as the last value of its topic.
    fn remember(&self, caching: Caching, message: &Message);

    /// Rules have denied a Client messages of a topic that its subscription asks for. Called for
    /// each decision, with the state of the Client locked or not.
    fn delivery_denied(&self, _tenant: &Tenant, _identity: &Identity, _topic: &str) {}
}

/// Triggers of one topic; at least one definition.
pub trait Triggers: Send + Sync {
    /// Number of steps that noting a message for all of them takes.
    fn count(&self) -> usize;

    /// Number of definitions, each of which is looked up and kept for the topic.
    fn definitions(&self) -> usize {
        self.count()
    }

    /// Whether a message of QoS 1 or 2 that starts these is stored until they have run.
    fn are_durable(&self, tenant: &Tenant) -> bool;

    /// Whether a message of this QoS has to wait because something that takes it is full and sheds
    /// nothing. A Client whose message it is is held back by the runner until that has changed; who
    /// else asks, asks again.
    fn must_wait(
        &self,
        notes: &mut TurnNotes<'_>,
        tenant: &Tenant,
        publisher: Publisher<'_>,
        qos: QoS,
    ) -> bool;

    /// Notes the message for all of them in the turn; it is stored until they have run, or have
    /// forwarded it, where that is promised and `may_store`. True when it is.
    fn start(&self, notes: &mut TurnNotes<'_>, starting: &Starting<'_>, may_store: bool) -> bool;

    /// Notes the message for those of which `owns` is true. Nothing is stored.
    fn start_some(
        &self,
        notes: &mut TurnNotes<'_>,
        starting: &Starting<'_>,
        owns: &dyn Fn(&Definition) -> bool,
    );
}

/// Definitions that only want to know when a topic is published to; at least one.
pub trait Listeners: Send + Sync {
    /// How many listen.
    fn count(&self) -> usize;

    /// Notes that it is published to now.
    fn heard(&self, now: Time);
}

/// Publisher who can wait.
#[derive(Clone, Copy)]
pub enum Publisher<'a> {
    /// A Client.
    Client(&'a Client),
    /// The LoT route of this number, to which nothing of its own comes back.
    Route(DefinitionId),
    /// The user of a message that waits without a Client, if it has one.
    User(Option<&'a Arc<str>>),
}

/// Callback of a turn after the commit of its batch.
pub(crate) trait TellsOnCommit {
    /// Tells the watcher what became of it.
    fn tell(&mut self, watcher: Arc<dyn CommitWatcher>);
}

/// Messages of a turn, of which some are kept longer.
pub(crate) trait KeepsMessages {
    /// The message of this number, copied out of the memory of the turn the first time.
    fn kept(&mut self, number: u32, arena: &Arena) -> &Arc<Message>;
}

/// Parts of a turn that note what a message starts.
pub struct TurnNotes<'a> {
    /// Core that all turns share.
    pub core: &'a Core,
    /// Memory of the turn.
    pub arena: &'a Arena,
    pub(crate) messages: &'a mut dyn KeepsMessages,
    /// Durable changes of the turn.
    pub batch: &'a mut Batch,
    /// Guests that the turn's messages start.
    pub guests: &'a mut TurnGuests,
    /// Whether the turn is of a thread that serves Clients.
    pub serves_clients: bool,
    /// Time of the turn.
    pub now: Time,
    /// Wall-clock time of the turn, in milliseconds since 1970.
    pub wall_ms: u64,
    /// Time of the turn in [lifetime milliseconds](crate::clock::Clock::lifetime_ms).
    pub lifetime_ms: u64,
    pub(crate) slot: &'a mut TurnSlot,
    pub(crate) on_commit: &'a mut dyn TellsOnCommit,
}

impl TurnNotes<'_> {
    /// Stamp of the batch under way: what goes to the store later has another one.
    pub fn stamp(&mut self) -> Stamp {
        self.slot.stamp()
    }

    /// A message of the turn, to be kept: copied out of its memory the first time.
    pub fn message(&mut self, number: u32) -> Arc<Message> {
        Arc::clone(self.messages.kept(number, self.arena))
    }

    /// Tells `watcher` what becomes of the batch under way.
    pub fn watch(&mut self, watcher: Arc<dyn CommitWatcher>) {
        self.on_commit.tell(watcher);
    }
}

/// Message that starts something.
pub struct Starting<'a> {
    /// The tenant of the message.
    pub tenant: &'a Arc<Tenant>,
    /// Its number among the messages of the turn.
    pub message: u32,
    /// The message as it is routed.
    pub publication: &'a Publication<'a>,
}

/// Guests that one thread has noted.
pub struct TurnGuests {
    /// State that the runner keeps for the thread.
    pub state: Box<dyn Any>,
    /// Whether something was noted: the runner is called in each turn until it says that nothing is
    /// left.
    pub have_events: bool,
    /// Whether something was left when the last turn ended.
    pub is_behind: bool,
    /// Guards of runs that have ended, kept until their effects have been handed to the store.
    pub ended_runs: Vec<Arc<dyn Any + Send + Sync>>,
}

impl TurnGuests {
    /// Nothing noted, with this state of the runner for the thread.
    pub(crate) fn new(state: Box<dyn Any>) -> Self {
        Self { state, have_events: false, is_behind: false, ended_runs: Vec::new() }
    }
}
