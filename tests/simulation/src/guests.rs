//! Guests of the simulation: definitions that publish what triggers them once more, within the turn
//! or later on a thread of their own, and whose runs may be promised.
//!
//! They stand where the broker's own guests do ([`GuestRunner`]), with the same duties: what runs
//! in a turn adds to it; what is posted runs behind those before it, or not at all where the
//! mailbox is full (`life`); what a turn leaves is started in the next one; a message that has made
//! too many hops starts nothing; values that runs keep are there after a crash, as far as they were
//! stored (`life`). A promised run's message is stored in the batch of its publisher, leaves the
//! store when the run's effects are with it, and starts its runs again after a crash (`promised`).
//! Not here: programs, which run has which rights.

mod life;
mod promised;

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;

use lotmq_changes::SessionId;
use lotmq_codec::QoS;
use lotmq_core::connection::Connection;
use lotmq_core::message::Message;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_core::tenant::triggers::{Publisher, Starting, TenantHooks, Triggers, TurnGuests, TurnNotes};
use lotmq_core::turn::Turn;
use lotmq_core::turn::above::GuestRunner;
use lotmq_core::turn::internal::encoded;
use lotmq_definitions::{Caching, Definition};

use crate::client::{EFFECTS, Tag};
use crate::fault::{GuestFault, planted};
pub(crate) use life::{
    Kept, Told, are_posted, begin, end, has_unsaved, restore, save, saves_settled, take_told, work,
};
use promised::Promise;
pub(crate) use promised::{left, promised_session, start_again};

/// Runs in one turn; what is behind them waits for the next one.
const RUNS_PER_TURN: usize = 6;

/// Events with which a turn is full.
const EVENTS_MAX: usize = 8;

/// Most runs that may have led to a message that starts another one.
const HOPS_MAX: u8 = 3;

/// A definition: on each message of one topic it publishes one on another.
#[derive(Debug)]
pub(crate) struct Relay {
    trigger: &'static str,
    pub(crate) output: &'static str,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    is_posted: bool,
    /// Topic whose kept value each run changes.
    keeps: Option<&'static str>,
}

/// All of them. The third and the fourth are triggered by what the first two publish, the last one
/// by the one before it and by itself.
static RELAYS: [Relay; 6] = {
    const PLAIN: Relay = Relay {
        trigger: "",
        output: "",
        qos: QoS::ExactlyOnce,
        retain: false,
        is_posted: false,
        keeps: None,
    };
    [
        Relay { trigger: "b", output: "g/0", keeps: Some("k/0"), ..PLAIN },
        Relay { trigger: "b/c", output: "g/1", is_posted: true, keeps: Some("k/1"), ..PLAIN },
        Relay { trigger: "g/0", output: "g/2", qos: QoS::AtLeastOnce, retain: true, ..PLAIN },
        Relay { trigger: "g/1", output: "g/3", is_posted: true, ..PLAIN },
        Relay { trigger: "x/y", output: "g/4", ..PLAIN },
        Relay { trigger: "g/4", output: "g/4", is_posted: true, ..PLAIN },
    ]
};

/// Returns the messages that definitions make of a message with so many hops, directly or through
/// other definitions.
pub(crate) fn made_of(topic: &str, cause: Tag, hops: u8) -> Vec<(Tag, &'static Relay)> {
    let mut all = Vec::new();
    if hops > HOPS_MAX {
        return all;
    }
    for (number, relay) in RELAYS.iter().enumerate().filter(|(_, relay)| relay.trigger == topic) {
        let effect = effect(number, cause, hops);
        all.push((effect, relay));
        all.extend(made_of(relay.output, effect, hops + 1));
    }
    all
}

/// Returns the tag of the message that a definition makes of another one. An effect as cause
/// already has the number of its first cause.
fn effect(relay: usize, cause: Tag, hops: u8) -> Tag {
    let sequence = match cause.is_of_definition() {
        true => cause.sequence,
        false => u32::from(cause.publisher) << 24 | cause.sequence,
    };
    // The hops distinguish the messages that the last definition makes of its own ones.
    let is_own = relay + 1 == RELAYS.len();
    let number = relay as u8 + if is_own { hops.saturating_sub(1) } else { 0 };
    Tag { publisher: EFFECTS + number, qos: cause.qos, sequence }
}

/// Kind of guests that a broker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guests {
    None,
    AtMostOnce,
    Promised,
}

/// A message for one definition.
struct Event {
    tenant: Arc<Tenant>,
    relay: usize,
    message: Arc<Message>,
    hops: u8,
    promise: Option<Arc<Promise>>,
}

impl Event {
    /// Returns the effects that the message would have had.
    fn effects(&self) -> Vec<Tag> {
        let Some(cause) = Tag::read(self.message.parts().payload) else { return Vec::new() };
        let first = effect(self.relay, cause, self.hops);
        let later = made_of(RELAYS[self.relay].output, first, self.hops + 1);
        [first].into_iter().chain(later.into_iter().map(|(tag, _)| tag)).collect()
    }
}

/// Events that one thread has noted.
#[derive(Default)]
struct Noted {
    events: VecDeque<Event>,
    posts: VecDeque<Event>,
    runs: usize,
    is_behind: bool,
    /// Not read from until the thread has caught up.
    waiting: Vec<Arc<Connection>>,
}

fn noted(turn: &mut Turn) -> &mut Noted {
    noted_of(&mut turn.guests)
}

fn noted_of(guests: &mut TurnGuests) -> &mut Noted {
    guests.state.downcast_mut().expect("the state of a thread is made by `Relays`")
}

fn look(turn: &Turn) -> &Noted {
    turn.guests.state.downcast_ref().expect("the state of a thread is made by `Relays`")
}

fn run(turn: &mut Turn, event: Event) {
    let Event { tenant, relay, message, hops, promise } = event;
    let Relay { output, qos, retain, keeps, .. } = &RELAYS[relay];
    let times = match planted() {
        Some(GuestFault::Doubled) => 2,
        Some(GuestFault::Lost) => 0,
        Some(_) | None => 1,
    };
    if let Some(cause) = Tag::read(message.parts().payload) {
        keeps.iter().for_each(|topic| life::keep(topic, !cause.sequence.is_multiple_of(4)));
        let payload = effect(relay, cause, hops).payload(4);
        for _ in 0..times {
            if let Some(publication) = encoded(turn, output, &payload, *qos, *retain, hops + 1) {
                turn.publish(&tenant, &publication);
            }
        }
    }
    if let Some(promise) = promise {
        turn.guests.ended_runs.push(promise);
    }
}

/// The definitions of a tenant.
pub(crate) struct Relaying {
    /// Session in which messages wait whose runs are promised.
    pub(crate) promised: Option<SessionId>,
    pub(crate) are_there: bool,
}

impl TenantHooks for Relaying {
    fn triggers(&self, _: &Tenant, topic: &str) -> (Option<Box<dyn Triggers>>, bool) {
        let relays: Vec<usize> = (0..RELAYS.len()).filter(|at| RELAYS[*at].trigger == topic).collect();
        let is_any = self.are_there && !relays.is_empty();
        let of_topic = OfTopic { relays, promised: self.promised };
        (is_any.then(|| Box::new(of_topic) as Box<dyn Triggers>), true)
    }

    fn caching(&self, _: &str) -> Caching {
        Caching::Skip
    }

    fn remember(&self, _: Caching, _: &Message) {}
}

struct OfTopic {
    relays: Vec<usize>,
    promised: Option<SessionId>,
}

impl Triggers for OfTopic {
    fn count(&self) -> usize {
        self.relays.len()
    }

    fn are_promised(&self, _: &Tenant) -> bool {
        self.promised.is_some()
    }

    fn must_wait(&self, _: &mut TurnNotes<'_>, _: &Tenant, _: Publisher<'_>, _: QoS) -> bool {
        false
    }

    fn start(&self, notes: &mut TurnNotes<'_>, starting: &Starting<'_>, may_store: bool) -> bool {
        let is_kept = may_store && starting.publication.message.qos > QoS::AtMostOnce;
        let promise =
            self.promised.filter(|_| is_kept).map(|session| promised::keep(notes, starting, session));
        let (message, hops) = (&notes.message(starting.message), starting.publication.hops);
        for relay in &self.relays {
            let (tenant, message) = (Arc::clone(starting.tenant), Arc::clone(message));
            let event = Event { tenant, relay: *relay, message, hops, promise: promise.clone() };
            noted_of(notes.guests).events.push_back(event);
        }
        notes.guests.have_events = true;
        promise.is_some()
    }

    fn start_some(
        &self,
        notes: &mut TurnNotes<'_>,
        starting: &Starting<'_>,
        _: &dyn Fn(&Definition) -> bool,
    ) {
        self.start(notes, starting, false);
    }
}

fn hops_max() -> u8 {
    HOPS_MAX + u8::from(planted() == Some(GuestFault::OneHopMore))
}

/// Runner of the noted events.
pub(crate) struct Relays;

impl GuestRunner for Relays {
    fn of_thread(&self) -> Box<dyn Any> {
        Box::<Noted>::default()
    }

    fn has_work(&self, turn: &Turn) -> bool {
        let Noted { events, posts, runs, .. } = look(turn);
        let may_run = !events.is_empty() && (*runs < RUNS_PER_TURN || !turn.serves_clients());
        may_run || (!posts.is_empty() && turn.asked.is_empty())
    }

    fn is_full(&self, turn: &Turn) -> bool {
        look(turn).events.len() >= EVENTS_MAX
    }

    fn hold_back(&self, turn: &mut Turn, connection: &Arc<Connection>, _: &Client, _: &Context<'_>) -> bool {
        let Noted { events, is_behind, waiting, .. } = noted(turn);
        let is_full = *is_behind || events.len() >= EVENTS_MAX;
        if is_full && !connection.is_paused.swap(true, Ordering::Relaxed) {
            waiting.push(Arc::clone(connection));
        }
        is_full
    }

    fn start(&self, turn: &mut Turn) {
        // A thread without Clients has no next turn.
        let has_next = turn.serves_clients();
        while !has_next || look(turn).runs < RUNS_PER_TURN {
            let Some(event) = noted(turn).events.pop_front() else { return };
            if event.hops > hops_max() {
                life::tell(Told::HopLimit);
                continue;
            }
            noted(turn).runs += 1;
            // Behind one that was posted everything of a definition is.
            if RELAYS[event.relay].is_posted {
                noted(turn).posts.push_back(event);
            } else {
                run(turn, event);
            }
        }
    }

    fn post(&self, turn: &mut Turn) {
        if turn.asked.is_empty() {
            noted(turn).posts.drain(..).for_each(life::post);
        }
    }

    fn turn_ended(&self, turn: &mut Turn) -> bool {
        let Noted { events, posts, runs, is_behind, waiting } = noted(turn);
        *runs = 0;
        *is_behind = !events.is_empty() || !posts.is_empty();
        if !*is_behind {
            for connection in waiting.drain(..) {
                connection.is_paused.store(false, Ordering::Relaxed);
                connection.call_owner();
            }
        }
        *is_behind
    }
}
