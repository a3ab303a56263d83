//! Triggers: what messages start besides being delivered. The core notes them while it routes, and calls their runner when the turn has come to them.
//!
//! A message that starts nothing calls nothing of this. Not here: what is started, and how (`guests`).

use std::any::Any;
use std::sync::Arc;
use std::task::Context;

use lotmq_definitions::{Caching, Definition};

use crate::client::Client;
use crate::connection::Connection;
use crate::routing::message::Message;
use crate::routing::publication::Publication;
use crate::tenant::Tenant;
use crate::turn::Turn;

/// Hooks of one tenant into the broker above: what its topics start, and everything that is managed there.
pub trait TenantHooks: Any + Send + Sync {
    /// Triggers of `topic`. False when they have to be asked for again for the next message.
    fn triggers(&self, tenant: &Tenant, topic: &str) -> (Option<Box<dyn Triggers>>, bool);

    /// Effect of a message on `topic` on the last values.
    fn caching(&self, topic: &str) -> Caching;

    /// Remembers a message as the last value of its topic.
    fn remember(&self, caching: Caching, message: &Message);
}

/// Triggers of one topic; at least one definition.
pub trait Triggers: Send + Sync {
    /// Number of definitions.
    fn count(&self) -> usize;

    /// Whether a message of QoS 1 or 2 that starts these is stored until they have run.
    fn are_promised(&self, tenant: &Tenant) -> bool;

    /// Notes the message for all of them in the turn; it is stored until they have run where that is promised and `may_store`. True when it is.
    fn start(&self, turn: &mut Turn, starting: &Starting<'_>, may_store: bool) -> bool;

    /// Notes the message for those of which `owns` is true. Nothing is stored.
    fn start_some(&self, turn: &mut Turn, starting: &Starting<'_>, owns: &dyn Fn(&Definition) -> bool);
}

/// Message that starts something.
pub struct Starting<'a> {
    /// The tenant of the message.
    pub tenant: &'a Arc<Tenant>,
    /// The message, to be kept.
    pub message: &'a Arc<Message>,
    /// The message as it is routed.
    pub publication: &'a Publication<'a>,
}

/// Runner of the guests that a turn has noted.
pub trait GuestRunner: Sync {
    /// State for a thread that begins to have turns.
    fn of_thread(&self) -> Box<dyn Any>;

    /// Whether anything is left to be started in this turn.
    fn has_work(&self, turn: &Turn) -> bool;

    /// Whether so much is noted that the turn should end.
    fn is_full(&self, turn: &Turn) -> bool;

    /// Whether `connection`, whose Client's messages start something, has to wait. It is called, or the task of `cx` is woken, when that has changed.
    fn hold_back(
        &self,
        turn: &mut Turn,
        connection: &Arc<Connection>,
        client: &Client,
        cx: &Context<'_>,
    ) -> bool;

    /// Starts what runs within the turn, before its messages are delivered. What that publishes adds to the turn.
    fn start(&self, turn: &mut Turn);

    /// Starts what runs beside the thread, when the turn's messages have been delivered.
    fn post(&self, turn: &mut Turn);

    /// Notes the end of a turn. True when something is left for the next one.
    fn turn_ended(&self, turn: &mut Turn) -> bool;
}

/// Guests that one thread has noted, and their runner.
pub struct TurnGuests {
    pub(crate) runner: &'static dyn GuestRunner,
    /// State that the runner keeps for the thread.
    pub state: Box<dyn Any>,
    /// Whether something was noted: the runner is called in each turn until it says that nothing is left.
    pub have_events: bool,
    /// Whether something was left when the last turn ended.
    pub is_behind: bool,
    /// Guards of runs that have ended, kept until their effects have been handed to the store.
    pub ended_runs: Vec<Arc<dyn Any + Send + Sync>>,
}

impl TurnGuests {
    pub(crate) fn new(runner: &'static dyn GuestRunner) -> Self {
        Self {
            runner,
            state: runner.of_thread(),
            have_events: false,
            is_behind: false,
            ended_runs: Vec::new(),
        }
    }
}
