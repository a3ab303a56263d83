//! Guests of the simulation: definitions that publish what triggers them once more, within the turn or later on a thread of their own, and whose runs may be promised.
//!
//! They stand where the broker's own guests do ([`GuestRunner`]), with the same duties: what runs in a turn adds to it; what is posted runs behind those before it;
//! what a turn leaves is started in the next one. A promised run's message is stored in the batch of its publisher, in a session that no Client can have, leaves it
//! when the run's effects are with the store, and starts its runs again after a crash. Not here: programs, mailboxes that are full, which run has which rights.

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;

use lotmq_codec::QoS;
use lotmq_core::client::Client;
use lotmq_core::connection::Connection;
use lotmq_core::durable::ended_runs::EndedRuns;
use lotmq_core::durable::stored;
use lotmq_core::routing::internal::encoded;
use lotmq_core::routing::message::Message;
use lotmq_core::tenant::Tenant;
use lotmq_core::triggers::{GuestRunner, Starting, TenantHooks, Triggers};
use lotmq_core::turn::Turn;
use lotmq_definitions::{Caching, Definition};
use lotmq_store::{
    Batch, Delivery, MessageId, MessageRef, Op, PeerRow, RecoveredSession, SessionId, SessionRow, Store,
    TenantId,
};

use crate::client::{EFFECTS, Tag};
use crate::fault::{GuestFault, planted};
use crate::machine::{Task, Tasks};

/// Runs in one turn; what is behind them waits for the next one.
const RUNS_PER_TURN: usize = 6;

/// Events with which a turn is full.
const EVENTS_MAX: usize = 8;

/// Posted runs that one call of the thread of guests makes.
const RUNS_AT_ONCE: usize = 4;

/// A definition: on each message of one topic it publishes one on another.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) trigger: &'static str,
    pub(crate) output: &'static str,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    is_posted: bool,
}

const fn relay(
    trigger: &'static str,
    output: &'static str,
    qos: QoS,
    retain: bool,
    is_posted: bool,
) -> Relay {
    Relay { trigger, output, qos, retain, is_posted }
}

/// All of them. The third and the fourth are triggered by what the others publish.
pub(crate) static RELAYS: [Relay; 4] = [
    relay("b", "g/0", QoS::ExactlyOnce, false, false),
    relay("b/c", "g/1", QoS::ExactlyOnce, false, true),
    relay("g/0", "g/2", QoS::AtLeastOnce, true, false),
    relay("g/1", "g/3", QoS::ExactlyOnce, false, true),
];

/// The definitions that a message of a topic starts, directly or by what others publish.
pub(crate) fn started_by(topic: &str) -> Vec<usize> {
    let mut all = Vec::new();
    for (number, _) in RELAYS.iter().enumerate().filter(|(_, relay)| relay.trigger == topic) {
        all.push(number);
        all.extend(started_by(RELAYS[number].output));
    }
    all
}

/// What a broker has of guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guests {
    None,
    AtMostOnce,
    Promised,
}

/// Held by the runs of one message.
struct Promise {
    runs: Arc<EndedRuns>,
    session: SessionId,
    message: MessageId,
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.runs.ended(self.session, self.message);
    }
}

/// A message for one definition.
struct Event {
    tenant: Arc<Tenant>,
    relay: usize,
    message: Arc<Message>,
    hops: u8,
    promise: Option<Arc<Promise>>,
}

/// What one thread has noted.
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
    turn.guests.state.downcast_mut().expect("the state of a thread is made by `Relays`")
}

fn look(turn: &Turn) -> &Noted {
    turn.guests.state.downcast_ref().expect("the state of a thread is made by `Relays`")
}

/// Posted runs of the broker that lives.
struct Mailbox {
    posted: VecDeque<Event>,
    tasks: Tasks,
}

thread_local! {
    static MAILBOX: RefCell<Option<Mailbox>> = const { RefCell::new(None) };
}

/// A broker begins: nothing is posted.
pub(crate) fn begin(tasks: &Tasks) {
    MAILBOX.set(Some(Mailbox { posted: VecDeque::new(), tasks: tasks.clone() }));
}

fn post(event: Event) {
    MAILBOX.with_borrow_mut(|mailbox| {
        let Some(mailbox) = mailbox else { return };
        mailbox.posted.push_back(event);
        mailbox.tasks.call(Task::Guests);
    });
}

/// Whether runs are posted.
pub(crate) fn are_posted() -> bool {
    MAILBOX.with_borrow(|mailbox| mailbox.as_ref().is_some_and(|mailbox| !mailbox.posted.is_empty()))
}

/// A broker has ended: what was posted is lost.
pub(crate) fn end() {
    MAILBOX.set(None);
}

/// Makes some of the posted runs, on the thread of guests.
pub(crate) fn work(turn: &mut Turn) {
    for _ in 0..RUNS_AT_ONCE {
        let event = MAILBOX.with_borrow_mut(|mailbox| mailbox.as_mut()?.posted.pop_front());
        let Some(event) = event else { return };
        run(turn, event);
    }
    if are_posted() {
        MAILBOX.with_borrow(|mailbox| {
            mailbox.iter().for_each(|mailbox| mailbox.tasks.call(Task::Guests));
        });
    }
}

/// The tag of what a definition makes of a message.
pub(crate) fn effect(relay: usize, cause: Tag) -> Tag {
    // What others have made of it already has the number of its first cause.
    let sequence = if cause.publisher >= EFFECTS && cause.publisher < EFFECTS + RELAYS.len() as u8 {
        cause.sequence
    } else {
        u32::from(cause.publisher) << 24 | cause.sequence
    };
    Tag { publisher: EFFECTS + relay as u8, qos: cause.qos, sequence }
}

fn run(turn: &mut Turn, event: Event) {
    let Event { tenant, relay, message, hops, promise } = event;
    let Relay { output, qos, retain, .. } = &RELAYS[relay];
    let cause = Tag::read(message.parts().payload);
    let times = match planted() {
        Some(GuestFault::Doubled) => 2,
        Some(GuestFault::Lost) => 0,
        None => 1,
    };
    if let Some(cause) = cause {
        let payload = effect(relay, cause).payload(4);
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
    /// Where messages wait whose runs are promised.
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

    fn start(&self, turn: &mut Turn, starting: &Starting<'_>, may_store: bool) -> bool {
        let is_kept = may_store && starting.publication.message.qos > QoS::AtMostOnce;
        let promise = self.promised.filter(|_| is_kept).map(|session| keep(turn, starting, session));
        let (message, hops) = (starting.message, starting.publication.hops);
        for relay in &self.relays {
            let (tenant, message) = (Arc::clone(starting.tenant), Arc::clone(message));
            let event = Event { tenant, relay: *relay, message, hops, promise: promise.clone() };
            noted(turn).events.push_back(event);
        }
        turn.guests.have_events = true;
        turn.call_flusher();
        promise.is_some()
    }

    fn start_some(&self, turn: &mut Turn, starting: &Starting<'_>, _: &dyn Fn(&Definition) -> bool) {
        self.start(turn, starting, false);
    }
}

/// Stores a message until its runs have ended.
fn keep(turn: &mut Turn, starting: &Starting<'_>, session: SessionId) -> Arc<Promise> {
    let Starting { tenant, publication, .. } = starting;
    let message = turn.core.ids.next_message();
    let kept = MessageRef {
        id: message,
        tenant: tenant.id,
        topic: turn.arena.text(publication.message.topic),
        properties: &[publication.hops],
        payload: turn.arena.get(publication.message.payload),
        qos: publication.message.qos.bits(),
        published_at_ms: turn.wall_ms(),
        expires_at_ms: None,
    };
    let qos = publication.message.qos.bits();
    let delivery =
        Delivery { session, qos, retain: false, packet_id: None, subscription_ids: &[], membership: None };
    turn.batch.push(Op::Enqueue { message: kept, deliveries: &[delivery] });
    Arc::new(Promise { runs: Arc::clone(&turn.core.ended_runs), session, message })
}

/// Finds the session of promised runs, or makes it.
///
/// # Errors
/// When it cannot be stored.
pub(crate) fn promised_session(
    store: &Store,
    recovered: &mut Vec<RecoveredSession>,
) -> Result<SessionId, String> {
    let found = recovered.extract_if(.., |it| it.session.client_id.is_empty()).next();
    if let Some(found) = found {
        return Ok(found.session.id);
    }
    let row = SessionRow {
        tenant: TenantId::DEFAULT,
        id: store.next_session_id(),
        client_id: String::new(),
        user: None,
        protocol_level: 5,
        expiry_interval_s: None,
        disconnected_at_ms: None,
        will: None,
        peer: PeerRow::Unknown,
    };
    let mut batch = Batch::new();
    batch.push(Op::PutSession(&row));
    store.commit(batch).map_err(|error| error.to_string())?;
    Ok(row.id)
}

/// Posts the runs that a former life of the broker has left: what runs have published comes first.
///
/// # Errors
/// When what is left cannot be read.
pub(crate) fn start_again(
    store: &Store,
    runs: &Arc<EndedRuns>,
    (tenant, session): (&Arc<Tenant>, SessionId),
) -> Result<(), String> {
    let mut left = Vec::new();
    let mut after = MessageId(0);
    loop {
        let slice = store.queue_slice(session, after, 64, u64::MAX).map_err(|error| error.to_string())?;
        for delivery in &slice.deliveries {
            let hops = delivery.message.properties.first().copied().unwrap_or_default();
            left.push((
                std::cmp::Reverse(hops),
                delivery.message.id,
                Arc::new(stored::message(&delivery.message)),
            ));
        }
        match slice.last {
            Some(last) if !slice.is_last => after = last,
            Some(_) | None => break,
        }
    }
    left.sort_by_key(|(hops, id, _)| (*hops, *id));
    for (std::cmp::Reverse(hops), id, message) in left {
        let promise = Arc::new(Promise { runs: Arc::clone(runs), session, message: id });
        for relay in (0..RELAYS.len()).filter(|at| RELAYS[*at].trigger == message.topic()) {
            let (message, promise) = (Arc::clone(&message), Some(Arc::clone(&promise)));
            post(Event { tenant: Arc::clone(tenant), relay, message, hops, promise });
        }
    }
    Ok(())
}

/// Whoever starts what was noted.
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
            noted(turn).posts.drain(..).for_each(post);
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
