//! Events and messages for routes that a thread has noted, until they are started or posted.
//!
//! The routing of messages and runs add entries, and [`events`](super::events) takes them. Not
//! here: the decision what starts, when, and where.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Context;

use hashbrown::{HashMap, HashSet};
use lotmq_codec::QoS;
use lotmq_definitions::{DefinitionId, DefinitionKind};
use lotmq_host::{InlineRuns, Lease, MessageBatch, MessageExtras, OwnedMessage, PostError, RunOutput};
use lotmq_session::Time;
use lotmq_shares::OwnerKey;

use super::TriggeredDefinition;
use super::durable_triggers::Promise;
use super::event_queue::EventQueue;
use super::inline_budget::InlineBudget;
use super::message_qos::qos;
use super::outbox_entry::OutboxEntry;
use super::owner_groups::OwnerGroup;
use super::relay::{OwnerRelay, RelayedMessage};
use super::routes::keeping::RoomQuery;
use super::routes::kept_place::KeptPlace;
use super::routes::{ForRoute, RouteRunner};
use crate::HasPrograms as _;
use crate::limits::{GUEST_EVENTS_LEFT_MAX, GUEST_EVENTS_PER_TURN, INLINE_RUNS_PER_CLOCK, INLINE_TIME_MAX};
use lotmq_core::clock::Clock;
use lotmq_core::connection::Connection;
use lotmq_core::message::Message;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_core::tenant::triggers::{Starting, TurnGuests};
use lotmq_core::turn::Turn;

/// Guest events that a thread has noted.
#[derive(Default)]
pub struct GuestEvents {
    /// Events of definitions that publishers may have to wait for.
    pub events: EventQueue<GuestEvent>,
    /// Events of the others, by owner.
    pub others: VecDeque<GroupEvent>,
    /// Time for these.
    pub inline_budget: InlineBudget,
    /// Messages for relays, until the turn's messages have been delivered.
    pub(super) relayed: VecDeque<(Arc<OwnerRelay>, RelayedMessage)>,
    /// Whether the publisher may have to wait for the current run, and so for its effects.
    pub(super) guests_pay: bool,
    /// Events for mailboxes, until the turn's messages have been delivered.
    pub(super) posts: EventQueue<GuestEvent>,
    /// Definitions with events among these, and how many: further events for them come behind
    /// these.
    posted: HashMap<DefinitionId, u32>,
    /// Messages that runs and Clients handed to routes, until then as well.
    pub(super) for_routes: VecDeque<(Arc<Tenant>, ForRoute)>,
    /// Output buffer, kept for its memory.
    pub(super) output: RunOutput,
    /// Runs on this thread, since the last events were posted.
    pub(super) inline: InlineRuns,
    /// Kept for its memory, as the list of the events whose messages it holds.
    pub(super) batch: MessageBatch,
    pub(super) of_batch: Vec<GuestEvent>,
    pub(super) budget: TurnBudget,
    /// Definitions with a published message that is not with its receivers yet, and that posted
    /// events would overtake.
    pub(super) asking: HashSet<DefinitionId>,
    /// Whether events were left when the last turn ended.
    pub(super) is_behind: bool,
    /// Line of the Client whose packets are being handled, if they start anything.
    reading: Option<OwnerKey>,
    /// Connections that are not read from until no event is left in the line of their Client.
    waiting: Vec<(OwnerKey, Arc<Connection>)>,
    /// Definitions whose mailboxes have little room, by the [slot](Client::slot) of the Client
    /// whose messages fill them.
    pub(super) congested: HashMap<u32, Weak<lotmq_host::Runner>>,
    /// Routes that are full, by the slot of the Client that has a message for them.
    held_back: HashMap<u32, HeldBack>,
    /// Messages in outboxes, of the batch under way.
    pub(super) entries: Vec<Arc<OutboxEntry>>,
}

/// Client that is held back because a route is full.
struct HeldBack {
    /// Number of its session: slots are used again.
    session: u64,
    route: Weak<RouteRunner>,
    qos: QoS,
    /// When its connection is called to look again.
    look_at: Option<Time>,
}

#[derive(Clone)]
pub struct GuestEvent {
    /// Line in which it waits.
    pub(super) line: OwnerKey,
    pub(super) tenant: Arc<Tenant>,
    pub trigger: Arc<TriggeredDefinition>,
    pub(super) message: Arc<Message>,
    pub(super) source: Option<Arc<Client>>,
    /// Identifier in place of the source's Client Identifier: of a route, or of a Client of another
    /// run of the broker.
    pub(super) former: Option<Arc<str>>,
    /// Route that brought the message.
    pub(super) origin: Option<DefinitionId>,
    pub(super) hops: u8,
    /// When the message was received, in milliseconds since 1970.
    pub(super) received_ms: u64,
    pub(super) promise: Option<Arc<Promise>>,
    /// Reason why the route that it is for does not take it.
    pub(super) refused: Option<PostError>,
    /// Place that the mailbox of that route keeps for it.
    pub(super) kept_place: Option<Arc<KeptPlace>>,
    /// Whether its publisher may have to wait for it.
    pub(super) holds_up: bool,
}

/// Message for the definitions of an owner whom its publisher does not wait for.
pub struct GroupEvent {
    /// Event of the first of them.
    pub(super) first: GuestEvent,
    pub(super) group: Arc<OwnerGroup>,
    /// Place of the next one that it is for.
    pub(super) next: usize,
}

impl GroupEvent {
    /// The event of the next definition; `None` behind the last one.
    pub(super) fn next_event(&mut self) -> Option<GuestEvent> {
        let trigger = self.group.triggers.get(self.next)?;
        self.next += 1;
        Some(GuestEvent { trigger: Arc::clone(trigger), ..self.first.clone() })
    }

    /// Converts the remaining definitions to a message for the relay; `None` if none is left.
    pub(super) fn into_relayed(self) -> Option<(Arc<OwnerRelay>, RelayedMessage)> {
        let Self { first, group, next } = self;
        (next < group.triggers.len()).then(|| first.relayed((&group.relay, &group.triggers, next)))
    }
}

impl GuestEvent {
    /// Whether another event may run in the same call, if there is room for its message.
    pub(super) fn is_like(&self, other: &GuestEvent) -> bool {
        Arc::ptr_eq(&self.trigger, &other.trigger) && self.hops == other.hops
    }

    pub(super) fn client_id(&self) -> &str {
        let former = || self.former.as_deref().unwrap_or_default();
        self.source.as_ref().map_or_else(former, |client| &client.client_id)
    }

    /// User of the Client that published the message, for definitions that may ask for the user.
    pub(super) fn user(&self) -> Option<Arc<str>> {
        let definition = &self.trigger.definition;
        let effects = &definition.facts().effects;
        if definition.kind() == DefinitionKind::Action && !effects.properties && !effects.call {
            return None;
        }
        self.source.as_ref().and_then(|client| client.state.lock().identity.user().cloned())
    }

    /// Whether something for its definition waits in the relay of the owner, which it has to come
    /// behind.
    pub(super) fn is_behind_relay(&self) -> bool {
        self.trigger.relay.as_ref().is_some_and(|relay| relay.is_ahead())
    }

    /// The message as it is kept for others than this thread, published by this user.
    pub(super) fn owned_message(&self, user: Option<Arc<str>>) -> OwnedMessage {
        let parts = self.message.parts();
        OwnedMessage {
            topic: parts.topic.into(),
            payload: self.message.payload(),
            qos: qos(parts.qos),
            retain: parts.retain,
            client_id: self.shared_client_id(),
            extras: MessageExtras::of(user, self.message.properties_bytes(), parts.expires_at_ms),
            received_ms: self.received_ms,
            lease: self.lease(),
        }
    }

    /// The message on its way to a relay, for definitions from a place on.
    pub(super) fn relayed(
        &self,
        (relay, triggers, next): (&Arc<OwnerRelay>, &Arc<[Arc<TriggeredDefinition>]>, usize),
    ) -> (Arc<OwnerRelay>, RelayedMessage) {
        let user = self.source.as_ref().and_then(|client| client.user().cloned());
        let triggers = Arc::clone(triggers);
        let relayed = relay.relayed((triggers, next), self.owned_message(user), self.origin, self.hops);
        (Arc::clone(relay), relayed)
    }

    fn lease(&self) -> Option<Lease> {
        self.promise.as_ref().map(|promise| Lease::new(Arc::clone(promise) as _))
    }

    fn shared_client_id(&self) -> Arc<str> {
        let client_id = self.source.as_ref().map(|client| &client.client_id).or(self.former.as_ref());
        client_id.map(Arc::clone).unwrap_or_default()
    }
}

/// Budget of one turn for guests.
#[derive(Default)]
pub(super) struct TurnBudget {
    pub(super) began: Option<Time>,
    pub(super) runs: usize,
    pub(super) is_spent: bool,
}

impl TurnBudget {
    /// Counts runs that are about to begin.
    pub(super) fn spend(&mut self, runs: usize, clock: &dyn Clock) {
        let began = *self.began.get_or_insert_with(|| clock.now());
        let looked = self.runs / INLINE_RUNS_PER_CLOCK;
        self.runs += runs;
        if self.runs / INLINE_RUNS_PER_CLOCK > looked {
            self.is_spent = clock.now() >= began.plus(INLINE_TIME_MAX);
        }
    }
}

/// Guest events of a turn's thread.
pub fn look(turn: &Turn) -> &GuestEvents {
    turn.guests.state.downcast_ref().expect("the state of a thread is made by `ThreadGuests`")
}

/// Guest events of a turn's thread, to be changed.
pub fn thread_events(guests: &mut TurnGuests) -> &mut GuestEvents {
    guests.state.downcast_mut().expect("the state of a thread is made by `ThreadGuests`")
}

/// Data that all events of one message share.
#[derive(Clone, Copy)]
pub(super) struct Noting<'a> {
    /// Line in which they wait.
    pub(super) line: OwnerKey,
    pub(super) message: &'a Arc<Message>,
    /// When it was received, in milliseconds since 1970.
    pub(super) received_ms: u64,
    /// Promise that keeps the message in the store.
    pub(super) promise: Option<&'a Arc<Promise>>,
}

impl GuestEvents {
    /// Notes a message for the definitions of an owner whom its publisher does not wait for.
    pub(super) fn push_group(
        &mut self,
        group: &Arc<OwnerGroup>,
        starting: &Starting<'_>,
        noting: Noting<'_>,
    ) {
        let Some(first) = group.triggers.first() else { return };
        let first = GuestEvent { holds_up: false, ..Self::event(first, starting, noting) };
        self.others.push_back(GroupEvent { first, group: Arc::clone(group), next: 0 });
    }

    /// Event of a message that a definition hears.
    pub(super) fn event(
        trigger: &Arc<TriggeredDefinition>,
        starting: &Starting<'_>,
        Noting { line, message, received_ms, promise }: Noting<'_>,
    ) -> GuestEvent {
        let Starting { tenant, publication, .. } = starting;
        GuestEvent {
            line,
            tenant: Arc::clone(tenant),
            trigger: Arc::clone(trigger),
            message: Arc::clone(message),
            source: publication.source.map(Arc::clone),
            former: publication.origin.map(|id| tenant.programs().guests.client_id_of_route(id)),
            origin: publication.origin,
            hops: publication.hops,
            received_ms,
            promise: promise.map(Arc::clone),
            refused: None,
            kept_place: None,
            holds_up: true,
        }
    }

    /// Notes that a Client has a message for a route that is full.
    pub(super) fn holds_back(&mut self, client: &Client, route: &Arc<RouteRunner>, qos: QoS) {
        let route = Arc::downgrade(route);
        let session = client.session_id;
        self.held_back.insert(client.slot, HeldBack { session, route, qos, look_at: None });
    }

    /// Whether a Client was held back because a route is full, and has not gone on since.
    pub(super) fn is_held_back(&self, client: &Client) -> bool {
        let held_back = self.held_back.get(&client.slot);
        held_back.is_some_and(|held_back| held_back.session == client.session_id)
    }

    /// Whether a turn has collected as many events as it may of the Client whose packets are being
    /// handled.
    pub(super) fn is_full(&self) -> bool {
        let of_owners = self.others.len() + self.relayed.len();
        let of_all = self.events.len() + self.posts.len() + of_owners;
        let is_full_for = |line| self.events.len_of(line) + self.posts.len_of(line) >= GUEST_EVENTS_PER_TURN;
        of_all >= GUEST_EVENTS_LEFT_MAX
            || of_owners >= GUEST_EVENTS_PER_TURN
            || self.reading.is_some_and(is_full_for)
    }

    /// Whether events are left in a line.
    fn is_left_in(&self, line: OwnerKey) -> bool {
        self.events.len_of(line) + self.posts.len_of(line) > 0
    }

    /// Puts an event among those for mailboxes.
    pub(super) fn hand_over(&mut self, event: GuestEvent) {
        *self.posted.entry(event.trigger.definition.id).or_default() += 1;
        self.posts.push(event.line, event);
    }

    /// Puts an event among those that are started.
    pub(super) fn add(&mut self, event: GuestEvent) {
        self.events.push(event.line, event);
    }

    /// Whether an event of a definition is among those for mailboxes.
    pub(super) fn is_posted(&self, definition: DefinitionId) -> bool {
        self.posted.contains_key(&definition)
    }

    /// Takes the next event for a mailbox that overtakes nothing: of its publisher and of the owner
    /// of its definition no event is left to run here.
    pub(super) fn take_post(&mut self) -> Option<GuestEvent> {
        let Self { events, posts, posted, .. } = self;
        let is_done = |line| events.is_empty() || events.len_of(line) == 0;
        let may = |event: &GuestEvent| {
            let quota_key = event.trigger.definition.quota_key();
            let of_owner = OwnerKey { tenant: event.tenant.number, quota_key };
            is_done(event.line) && is_done(of_owner)
        };
        let event = posts.take_if(may)?;
        let id = event.trigger.definition.id;
        let is_last = posted.get_mut(&id).is_none_or(|count| {
            *count -= 1;
            *count == 0
        });
        if is_last {
            posted.remove(&id);
        }
        Some(event)
    }

    /// Puts events that were taken back before all others of their lines.
    pub(super) fn hand_over_again(&mut self, events: Vec<GuestEvent>) {
        let later = std::mem::take(&mut self.posts);
        events.into_iter().for_each(|event| self.hand_over(event));
        self.posts.append(later);
    }

    /// Takes the messages for relays that overtake nothing of the same owner.
    pub(super) fn take_relayed(&mut self) -> VecDeque<(Arc<OwnerRelay>, RelayedMessage)> {
        if self.events.is_empty() && self.posts.is_empty() {
            return std::mem::take(&mut self.relayed);
        }
        let all = std::mem::take(&mut self.relayed);
        let (ready, left) = all.into_iter().partition(|(relay, _)| !self.is_left_in(relay.owner));
        self.relayed = left;
        ready
    }

    /// Begins a new turn; whether events were left when the last one ended.
    pub(super) fn turn_ended(&mut self) -> bool {
        self.budget = TurnBudget::default();
        self.is_behind = !self.events.is_empty() || !self.posts.is_empty() || !self.relayed.is_empty();
        self.reading = None;
        let is_full = self.is_full();
        let waiting = std::mem::take(&mut self.waiting);
        let waits = |(line, _): &(OwnerKey, _)| self.is_behind && (is_full || self.is_left_in(*line));
        let (left, ready): (Vec<_>, Vec<_>) = waiting.into_iter().partition(waits);
        self.waiting = left;
        for (_, connection) in ready {
            connection.is_paused.store(false, Ordering::Relaxed);
            connection.call_owner();
        }
        self.is_behind
    }

    /// Whether a connection has to wait, as for
    /// [`GuestRunner::hold_back`](lotmq_core::turn::broker_hooks::GuestRunner::hold_back).
    pub(super) fn hold_back(
        &mut self,
        connection: &Arc<Connection>,
        client: &Client,
        cx: &Context<'_>,
    ) -> bool {
        if let Some(definition) = self.congested.get(&client.slot) {
            let waits = definition.upgrade().is_some_and(|definition| definition.poll_room(cx).is_pending());
            connection.is_paused.store(waits, Ordering::Relaxed);
            if waits {
                return true;
            }
            self.congested.remove(&client.slot);
        }
        let line = client.owner_key();
        self.reading = Some(line);
        let is_full = (self.is_behind && self.is_left_in(line)) || self.is_full();
        if is_full && !connection.is_paused.swap(true, Ordering::Relaxed) {
            self.waiting.push((line, Arc::clone(connection)));
        }
        is_full
    }
}

/// Whether a Client waits for a route that is full; the task of `cx` is woken when it has room.
/// Inside is when its connection has to be called, where that was not arranged before.
pub(super) fn waits_for_route(turn: &mut Turn, client: &Client, cx: &Context<'_>) -> Option<Option<Time>> {
    let core = Arc::clone(&turn.core);
    let now = turn.now();
    let noted = thread_events(&mut turn.guests);
    let held_back = noted.held_back.get_mut(&client.slot)?;
    let asking = RoomQuery { tenant: &client.tenant, core: &core, now, qos: held_back.qos };
    let route = held_back.route.upgrade();
    let until = route.as_ref().and_then(|route| route.waits_until(&asking));
    let (Some(route), Some(until)) = (route, until) else {
        noted.held_back.remove(&client.slot);
        return None;
    };
    if route.poll_room(&asking, cx).is_ready() {
        noted.held_back.remove(&client.slot);
        return None;
    }
    let is_arranged = held_back.look_at.is_some_and(|at| at > now);
    if is_arranged {
        return Some(None);
    }
    held_back.look_at = Some(until);
    Some(Some(until))
}

/// Hands a message to a route when the turn's messages have been delivered.
pub fn hand_to_route(turn: &mut Turn, tenant: &Arc<Tenant>, for_route: ForRoute) {
    turn.guests.have_events = true;
    thread_events(&mut turn.guests).for_routes.push_back((Arc::clone(tenant), for_route));
    turn.call_flusher();
}
