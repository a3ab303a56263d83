//! Triggers of a turn: collected while messages are routed, started when the turn ends.
//!
//! Definitions with bounded facts run at once, on this thread, in a short slice. Definitions that
//! take longer, are busy or are not known to be short get the event in their mailbox. An executor
//! runs them.
//!
//! A thread that serves Clients gives these runs [`INLINE_TIME_MAX`] of a turn. The remaining
//! events wait for the next turn, after the sockets of others. Until then the thread does not read
//! from Clients whose messages start guests, so a flood slows down only its sender. The same holds
//! for a Client whose messages fill the mailbox of a bounded definition. Only definitions of the
//! sender or of an administrator slow a sender down. Those of [other owners](super::owner_groups)
//! have a [part of the thread's time](super::inline_budget), and [relays](super::relay) of their
//! owners take the rest.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;

use lotmq_auth::{Authorization, Identity};
use lotmq_codec::QoS;
use lotmq_definitions::{Caching, Definition, Ear, State};
use lotmq_host::limits::BATCH_BYTES_MAX;
use lotmq_host::{
    BatchRuns, BorrowedMessage, Event, Inline, MessageBatch, OwnedEvent, PostError, Posted, RunOutcome,
    RunOutput, RunnerStarts,
};

use super::durable_triggers::promise;
use super::effects;
use super::event_queue::line_of;
use super::firing::{Cause, Fires, fires};
use super::message_qos::qos;
use super::outgoing::{self, Fate, Fates, NotPosted};
use super::owner_groups::{self, OwnerGroup};
use super::pending_triggers::{self, GuestEvent, GuestEvents, Noting, look, thread_events};
use super::policy_enforcement::RestrictedModule;
use super::rights;
use super::routes::RouteRunner;
use super::routes::keeping::RoomQuery;
use super::run::{Run, Started};
use super::{Programs, Starts, TriggeredDefinition};
use crate::HasPrograms as _;
use crate::limits::{GUEST_EVENTS_LEFT_MAX, OWN_EVENTS_PER_MESSAGE_MAX, STEPS_PER_INLINE_RUN};
use lotmq_core::connection::Connection;
use lotmq_core::message::{Message, MessageParts};
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_core::tenant::triggers::{Listeners, Publisher, Starting, TenantHooks, Triggers, TurnNotes};
use lotmq_core::turn::Turn;
use lotmq_core::turn::broker_hooks::GuestRunner;
use lotmq_process::clock::timestamp;
use lotmq_session::Time;

/// Definitions that messages on one topic start.
struct TopicTriggers {
    /// Those that publishers may have to wait for, and routes.
    triggers: Box<[Arc<TriggeredDefinition>]>,
    /// The others, by owner.
    groups: Box<[Arc<OwnerGroup>]>,
    /// Whether routes are among them.
    has_routes: bool,
    /// The topic, which messages for routes share.
    topic: Arc<str>,
}

impl TopicTriggers {
    fn routes(&self) -> impl Iterator<Item = &Arc<RouteRunner>> {
        let of_routes = if self.has_routes { &*self.triggers } else { &[] };
        of_routes.iter().filter_map(|trigger| match &trigger.starts {
            Starts::Route(route) => Some(route),
            Starts::Guest(_) => None,
        })
    }
}

/// Triggers of `topic` whose owners may read it. False when the rules have to be asked again for
/// the next message.
fn triggers(tenant: &Tenant, topic: &str) -> (Option<Box<dyn Triggers>>, bool) {
    let (triggers, is_stable) = permitted_triggers(tenant, topic);
    let has_routes = triggers.iter().any(|trigger| matches!(trigger.starts, Starts::Route(_)));
    if triggers.is_empty() {
        return (None, is_stable);
    }
    let (triggers, groups) = owner_groups::apart(tenant, triggers);
    (Some(Box::new(TopicTriggers { triggers, groups, has_routes, topic: topic.into() })), is_stable)
}

/// Triggers of `topic` whose owners may read it, as a list.
pub(super) fn permitted_triggers(tenant: &Tenant, topic: &str) -> (Box<[Arc<TriggeredDefinition>]>, bool) {
    let programs = tenant.programs();
    rights::permitted(tenant, programs.guests.authority, topic, programs.triggers(topic))
}

/// Returns whether a publisher waits for a full route. A route for which the publisher does not
/// wait drops the messages that do not fit.
fn may_hold_back(tenant: &Tenant, route: &RouteRunner, publisher: Publisher<'_>) -> bool {
    let guests = &tenant.programs().guests;
    let version = route.version();
    let user = match publisher {
        Publisher::Client(client) => client.user().cloned(),
        Publisher::User(user) => user.cloned(),
        Publisher::Route(id) => guests
            .route_by_id(id)
            .and_then(|route| Some(Arc::clone(&route.version().definition.owner()?.name))),
    };
    rights::may_hold_up(tenant, guests.authority, version.definition.owner(), user.as_ref())
}

impl Triggers for TopicTriggers {
    fn count(&self) -> usize {
        self.triggers.len() + self.groups.len()
    }

    fn definitions(&self) -> usize {
        self.triggers.len() + self.groups.iter().map(|group| group.triggers.len()).sum::<usize>()
    }

    fn are_durable(&self, tenant: &Tenant) -> bool {
        tenant.programs().guests.promises() || self.routes().any(|route| route.is_stored())
    }

    fn must_wait(
        &self,
        notes: &mut TurnNotes<'_>,
        tenant: &Tenant,
        publisher: Publisher<'_>,
        qos: QoS,
    ) -> bool {
        if !self.has_routes {
            return false;
        }
        let asking = RoomQuery { tenant, core: notes.core, now: notes.now, qos };
        let is_own = |route: &RouteRunner| match publisher {
            Publisher::Client(_) | Publisher::User(_) => false,
            Publisher::Route(id) => route.version().definition.id == id,
        };
        let is_full = |route: &&Arc<RouteRunner>| {
            route.waits_until(&asking).is_some() && !is_own(route) && may_hold_back(tenant, route, publisher)
        };
        let Some(full) = self.routes().find(is_full) else { return false };
        if let Publisher::Client(client) = publisher {
            thread_events(notes.guests).holds_back(client, full, qos);
        }
        true
    }

    fn start(&self, notes: &mut TurnNotes<'_>, starting: &Starting<'_>, may_store: bool) -> bool {
        let fates = if may_store && self.has_routes {
            outgoing::store(notes, &self.triggers, &self.topic, starting)
        } else {
            Fates::new()
        };
        let is_stored = fates.iter().any(|fate| {
            matches!(fate, Fate::Settled { is_stored: true } | Fate::Shed { is_stored: true, .. })
        });
        let are_all_known = self.groups.is_empty() && fates.len() == self.triggers.len();
        if are_all_known && fates.iter().all(|fate| matches!(fate, Fate::Settled { .. })) {
            return is_stored;
        }
        let is_posted = |at: usize| matches!(fates.get(at), None | Some(Fate::Posted(_)));
        let has_posts = !self.groups.is_empty() || (0..self.triggers.len()).any(is_posted);
        let promise = if may_store && has_posts { promise(notes, starting) } else { None };
        let message = &notes.message(starting.message);
        notes.guests.have_events = true;
        let (now_ms, serves_clients) = (notes.wall_ms, notes.serves_clients);
        let noted = thread_events(notes.guests);
        let mut fates = fates.into_iter();
        let line = line_of(starting.tenant, starting.publication);
        let noting = Noting { line, message, received_ms: now_ms, promise: promise.as_ref() };
        for trigger in &self.triggers {
            match fates.next() {
                None => note(noted, GuestEvents::event(trigger, starting, noting)),
                Some(Fate::Posted(kept_place)) => {
                    let event = GuestEvents::event(trigger, starting, noting);
                    note(noted, GuestEvent { kept_place, ..event });
                }
                Some(Fate::Settled { .. }) => {}
                Some(Fate::Shed { error, .. }) => {
                    let event = GuestEvents::event(trigger, starting, Noting { promise: None, ..noting });
                    note(noted, GuestEvent { refused: Some(error), ..event });
                }
            }
        }
        let guests_pay = !serves_clients || noted.guests_pay;
        for group in &self.groups {
            let noting = Noting { line: group.relay.owner, ..noting };
            // Many are for the executors: there is one step for all of them here.
            let are_few = group.triggers.len() <= OWN_EVENTS_PER_MESSAGE_MAX;
            if are_few && group.is_of(starting.publication, guests_pay) {
                let events = group.triggers.iter().map(|it| GuestEvents::event(it, starting, noting));
                events.for_each(|event| noted.add(event));
            } else {
                noted.push_group(group, starting, noting);
            }
        }
        promise.is_some() || is_stored
    }

    fn start_some(
        &self,
        notes: &mut TurnNotes<'_>,
        starting: &Starting<'_>,
        owns: &dyn Fn(&Definition) -> bool,
    ) {
        notes.guests.have_events = true;
        let message = &notes.message(starting.message);
        let line = line_of(starting.tenant, starting.publication);
        let noting = Noting { line, message, received_ms: notes.wall_ms, promise: None };
        let noted = thread_events(notes.guests);
        let alone = self.triggers.iter().map(|trigger| (trigger, line));
        let of_group = |group: &Arc<OwnerGroup>| (Arc::clone(group), group.relay.owner);
        let groups: Vec<_> = self.groups.iter().map(of_group).collect();
        let grouped = groups.iter().flat_map(|(group, line)| group.triggers.iter().map(|it| (it, *line)));
        alone.chain(grouped).filter(|(trigger, _)| owns(&trigger.definition)).for_each(|(trigger, line)| {
            note(noted, GuestEvents::event(trigger, starting, Noting { line, ..noting }));
        });
    }
}

/// Notes an event. A route only receives the message, so it waits for nothing but the delivery.
fn note(noted: &mut GuestEvents, event: GuestEvent) {
    match event.trigger.starts {
        Starts::Guest(_) => noted.add(event),
        Starts::Route(_) => fired(event).into_iter().for_each(|event| noted.hand_over(event)),
    }
}

/// Definitions with `ON SILENCE` that hear of one topic, and those that count what they miss of it:
/// disabled ones, and modules that a policy keeps from it.
struct Ears {
    ears: Box<[Ear]>,
    disabled: Box<[Arc<Definition>]>,
    restricted: Box<[Arc<RestrictedModule>]>,
    topic: Box<str>,
}

impl Listeners for Ears {
    fn count(&self) -> usize {
        self.ears.len() + self.disabled.len() + self.restricted.len()
    }

    fn heard(&self, now: Time) {
        self.ears.iter().for_each(|ear| ear.hears(now.as_millis()));
        self.disabled.iter().for_each(|definition| definition.activity.note_missed());
        self.restricted.iter().for_each(|module| module.refuses(&self.topic));
    }
}

/// Definitions with `ON SILENCE` of `topic`, and disabled ones that it would start, whose owners
/// may read it. False when the rules have to be asked again for the next message.
fn listeners(tenant: &Tenant, topic: &str) -> (Option<Box<dyn Listeners>>, bool) {
    let guests = &tenant.programs().guests;
    let mut watches = Vec::new();
    let mut restricted = tenant.programs().restricted.refusing(topic);
    let mut disabled = {
        let registry = guests.registry.read();
        registry.silence_watches(topic, &mut watches);
        restricted.retain(|module| registry.state(module.definition.id).is_some_and(State::is_armed));
        registry.disabled_modules(topic)
    };
    let mut is_stable = true;
    let mut may_hear = |definition: &Definition| {
        let decision = rights::may_hear(tenant, guests.authority, topic, definition);
        is_stable &= decision.is_stable;
        decision.authorization == Authorization::Allow
    };
    watches.retain(|watch| may_hear(&watch.definition));
    disabled.retain(|definition| may_hear(definition));
    restricted.retain(|module| may_hear(&module.definition));
    let name: Arc<str> = if watches.is_empty() { Arc::default() } else { topic.into() };
    let ears: Box<[Ear]> = watches.iter().map(|watch| watch.ear(&name)).collect();
    let are_some = !ears.is_empty() || !disabled.is_empty() || !restricted.is_empty();
    let listeners = are_some.then(|| {
        let (disabled, restricted, topic) = (disabled.into(), restricted.into(), topic.into());
        Box::new(Ears { ears, disabled, restricted, topic }) as Box<dyn Listeners>
    });
    (listeners, is_stable)
}

impl TenantHooks for Programs {
    fn triggers(&self, tenant: &Tenant, topic: &str) -> (Option<Box<dyn Triggers>>, bool) {
        triggers(tenant, topic)
    }

    fn listeners(&self, tenant: &Tenant, topic: &str) -> (Option<Box<dyn Listeners>>, bool) {
        listeners(tenant, topic)
    }

    fn caching(&self, topic: &str) -> Caching {
        self.guests.caching(topic)
    }

    fn remember(&self, caching: Caching, message: &Message) {
        self.guests.remember(caching, message);
    }

    fn delivery_denied(&self, tenant: &Tenant, identity: &Identity, topic: &str) {
        self.delivery_denials.tell(tenant, identity, topic);
    }
}

/// Runner that starts guests in the turns of a thread and beside it.
pub struct ThreadGuests;

impl GuestRunner for ThreadGuests {
    fn of_thread(&self) -> Box<dyn Any> {
        Box::<GuestEvents>::default()
    }

    fn has_work(&self, turn: &Turn) -> bool {
        let GuestEvents { events, posts, others, relayed, for_routes, .. } = look(turn);
        let has_posts = !(posts.is_empty() && relayed.is_empty());
        let may_post = turn.asked.is_empty() && events.is_empty() && has_posts;
        may_post || has_guests_to_start(turn) || !others.is_empty() || !for_routes.is_empty()
    }

    fn is_full(&self, turn: &Turn) -> bool {
        look(turn).is_full()
    }

    fn hold_back(
        &self,
        turn: &mut Turn,
        connection: &Arc<Connection>,
        client: &Client,
        cx: &Context<'_>,
    ) -> bool {
        if thread_events(&mut turn.guests).is_held_back(client) {
            let look_at = pending_triggers::waits_for_route(turn, client, cx);
            connection.is_paused.store(look_at.is_some(), Ordering::Relaxed);
            if let Some(Some(at)) = look_at {
                turn.throttle(connection, at);
            }
            if look_at.is_some() {
                return true;
            }
        }
        thread_events(&mut turn.guests).hold_back(connection, client, cx)
    }

    fn start(&self, turn: &mut Turn) {
        start_guests(turn);
    }

    fn post(&self, turn: &mut Turn) {
        post_guests(turn);
    }

    fn turn_ended(&self, turn: &mut Turn) -> bool {
        thread_events(&mut turn.guests).turn_ended()
    }
}

/// Whether [`start_guests`] has anything to do in this turn.
fn has_guests_to_start(turn: &Turn) -> bool {
    let is_over = is_spent(turn) && turn.serves_clients();
    !look(turn).events.is_empty() && !is_over
}

/// Whether a turn has used its time for guests, or the messages of guests are behind.
fn is_spent(turn: &Turn) -> bool {
    look(turn).budget.is_spent || turn.asked.is_congested()
}

/// Starts the guests that this turn's messages trigger, until its time is over. Runs on this thread
/// add to the turn, events included.
fn start_guests(turn: &mut Turn) {
    // Events that these guests trigger are queued after these.
    let mut events = std::mem::take(&mut thread_events(&mut turn.guests).events);
    while !is_spent(turn) && events.take_turn(|event, line| start_next(turn, event, line)) {}
    events.append(std::mem::take(&mut thread_events(&mut turn.guests).events));
    // A thread without Clients has nobody to hold back, and no next turn unless something else
    // happens.
    let left_max = if turn.serves_clients() { GUEST_EVENTS_LEFT_MAX } else { 0 };
    while is_spent(turn) && events.len() > left_max {
        // The oldest go to their mailboxes, so that those that are left find them busy and come
        // behind.
        if let Some(event) = events.take_from_longest().and_then(fired) {
            hand_over(turn, event);
        }
    }
    thread_events(&mut turn.guests).events = events;
    start_others(turn);
}

/// Starts the next event of a line, perhaps with some that are behind it.
fn start_next(turn: &mut Turn, event: GuestEvent, line: &mut VecDeque<GuestEvent>) {
    if event.is_behind_relay() {
        relay(turn, &event, false);
    } else if let Some(event) = fired(event) {
        start_some(turn, event, line);
    }
}

/// Starts definitions whose owners the publishers do not wait for, as far as the thread has time
/// for them; the rest goes to the relays of their owners.
fn start_others(turn: &mut Turn) {
    if look(turn).others.is_empty() {
        return;
    }
    let mut has_time = thread_events(&mut turn.guests).inline_budget.begin(turn.core.clock.elapsed());
    while let Some(mut next) = thread_events(&mut turn.guests).others.pop_front() {
        while has_time
            && !is_spent(turn)
            && !next.first.is_behind_relay()
            && let Some(event) = next.next_event()
        {
            if let Some(event) = fired(event) {
                start_guest(turn, event);
            }
            has_time = thread_events(&mut turn.guests).inline_budget.is_left(turn.core.clock.elapsed());
        }
        thread_events(&mut turn.guests).relayed.extend(next.into_relayed());
    }
}

fn start_guest(turn: &mut Turn, event: GuestEvent) {
    if may_run_at_once(turn, &event) {
        thread_events(&mut turn.guests).budget.spend(1, &*turn.core.clock);
        if run_at_once(turn, &event) {
            return;
        }
    }
    hand_over(turn, event);
}

fn may_run_at_once(turn: &Turn, event: &GuestEvent) -> bool {
    event.trigger.is_bounded && !look(turn).is_posted(event.trigger.definition.id) && !event.is_behind_relay()
}

/// Starts an event, together with those behind it that its guest can handle in the same call.
fn start_some(turn: &mut Turn, event: GuestEvent, events: &mut VecDeque<GuestEvent>) {
    match batch_max(turn, &event, events) {
        0 | 1 => start_guest(turn, event),
        max => start_batch(turn, event, events, max),
    }
}

/// Number of events, this one included, that its guest may handle in one call.
fn batch_max(turn: &mut Turn, event: &GuestEvent, events: &VecDeque<GuestEvent>) -> usize {
    let Starts::Guest(runner) = &event.trigger.starts else { return 1 };
    let fit = |next: &GuestEvent| event.message.size() + next.message.size() <= BATCH_BYTES_MAX;
    let is_alone = !events.front().is_some_and(|next| next.is_like(event) && fit(next));
    if is_alone || !may_run_at_once(turn, event) {
        return 1;
    }
    thread_events(&mut turn.guests).inline.batch_max(runner, events.len() + 1)
}

fn start_batch(turn: &mut Turn, first: GuestEvent, events: &mut VecDeque<GuestEvent>, max: usize) {
    let mut of_batch = std::mem::take(&mut thread_events(&mut turn.guests).of_batch);
    let mut batch = std::mem::take(&mut thread_events(&mut turn.guests).batch);
    batch.clear();
    let mut next = Some(first);
    while let Some(event) = next.take() {
        let parts = event.message.parts();
        batch.push(parts.topic, parts.payload);
        of_batch.push(event);
        let may_join = |next: &GuestEvent| {
            of_batch.len() < max && next.is_like(&of_batch[0]) && batch.has_room_for(next.message.size())
        };
        while next.is_none() && events.front().is_some_and(may_join) {
            next = events.pop_front().and_then(fired);
        }
    }
    thread_events(&mut turn.guests).budget.spend(of_batch.len(), &*turn.core.clock);
    let mut runs = run_batch(turn, &of_batch, &batch);
    let mut output = std::mem::take(&mut thread_events(&mut turn.guests).output);
    for event in of_batch.drain(..) {
        // Nothing overtakes a message that had to run alone and was posted.
        let runs = runs.as_mut().filter(|_| may_run_at_once(turn, &event));
        match runs.and_then(|runs| runs.next_run(&mut output)) {
            Some(outcome) => ran(turn, &event, &outcome, &output),
            None => start_guest(turn, event),
        }
    }
    thread_events(&mut turn.guests).output = output;
    thread_events(&mut turn.guests).batch = batch;
    thread_events(&mut turn.guests).of_batch = of_batch;
}

fn run_batch(turn: &mut Turn, events: &[GuestEvent], batch: &MessageBatch) -> Option<BatchRuns> {
    let [first, _, ..] = events else { return None };
    let Starts::Guest(runner) = &first.trigger.starts else { return None };
    thread_events(&mut turn.guests).inline.run_batch(runner, batch, first.hops)
}

/// Hands an event to a mailbox, when the message itself has been delivered; by the relay of the
/// owner, where something waits there.
fn hand_over(turn: &mut Turn, event: GuestEvent) {
    if event.is_behind_relay() {
        return relay(turn, &event, true);
    }
    thread_events(&mut turn.guests).hand_over(event);
}

/// Hands an event to the relay of its owner; whether it is known by then that its message starts
/// the definition.
fn relay(turn: &mut Turn, event: &GuestEvent, has_fired: bool) {
    let Some(relay) = &event.trigger.relay else { return };
    let alone: Arc<[_]> = Arc::new([Arc::clone(&event.trigger)]);
    let (relay, relayed) = event.relayed((relay, &alone, 0));
    let relayed = if has_fired { relayed.fired() } else { relayed };
    thread_events(&mut turn.guests).relayed.push_back((relay, relayed));
}

/// Starts guests that run beside this thread. Their effects could otherwise reach receivers before
/// the messages that caused them.
fn post_guests(turn: &mut Turn) {
    thread_events(&mut turn.guests).inline.end();
    if turn.asked.is_empty() {
        thread_events(&mut turn.guests).asking.clear();
    }
    post_all(turn);
    while let Some((tenant, for_route)) = thread_events(&mut turn.guests).for_routes.pop_front() {
        let Err(not_posted) = for_route.post(turn, &tenant) else { continue };
        let NotPosted { definition, error, payload } = not_posted;
        effects::event_not_taken(turn, &tenant, &definition, &error, ("", &payload));
    }
}

/// Posts what this thread has handed over. None of it runs before all are in their mailboxes, and
/// so in front of what any of them publishes. Events of publishers for whom something is left here
/// stay: what is posted could start a definition down the chain before what is left for it.
fn post_all(turn: &mut Turn) {
    let mut starts = RunnerStarts::default();
    let mut waiting = Vec::new();
    // One by one: what is published about one that is not taken may end a turn of its own, with all
    // that are left.
    while let Some(event) = thread_events(&mut turn.guests).take_post() {
        if look(turn).asking.contains(&event.trigger.definition.id) {
            waiting.push(event);
        } else {
            post(turn, &event, &mut starts);
        }
    }
    if !waiting.is_empty() {
        thread_events(&mut turn.guests).hand_over_again(waiting);
    }
    // Behind those that went to mailboxes from here.
    if look(turn).asking.is_empty() {
        for (relay, relayed) in thread_events(&mut turn.guests).take_relayed() {
            relay.put(relayed);
        }
    }
}

/// Runs an event on this thread. False when it must be posted instead: nothing of it has happened
/// then.
fn run_at_once(turn: &mut Turn, event: &GuestEvent) -> bool {
    let Starts::Guest(runner) = &event.trigger.starts else { return false };
    let parts = event.message.parts();
    let user = event.user();
    let message = BorrowedMessage {
        topic: parts.topic,
        payload: parts.payload,
        qos: qos(parts.qos),
        retain: parts.retain,
        client_id: event.client_id(),
        user: user.as_deref(),
        properties: parts.properties,
        expires_at_ms: parts.expires_at_ms,
        received_ms: event.received_ms,
    };
    let mut output = std::mem::take(&mut thread_events(&mut turn.guests).output);
    let inline =
        thread_events(&mut turn.guests).inline.run(runner, &Event::Message(message), event.hops, &mut output);
    let is_finished = match inline {
        Inline::Finished(outcome) => {
            ran(turn, event, &outcome, &output);
            true
        }
        Inline::Post => false,
    };
    thread_events(&mut turn.guests).output = output;
    is_finished
}

/// Handles the end of a run on this thread.
fn ran(turn: &mut Turn, event: &GuestEvent, outcome: &RunOutcome, output: &RunOutput) {
    let parts = event.message.parts();
    let client_id = event.client_id();
    let run = Run {
        trace_id: "",
        tenant: &event.tenant,
        hops: event.hops,
        trigger: Some(Started { topic: parts.topic, payload: parts.payload, client_id }),
        outcome,
        timing: None,
    };
    thread_events(&mut turn.guests).guests_pay = event.holds_up;
    let steps_before = turn.work.steps;
    effects::carry_out(turn, &event.trigger.definition, &run, output);
    thread_events(&mut turn.guests).guests_pay = false;
    // Messages to many receivers take longer than the run itself.
    let steps = turn.work.steps.saturating_sub(steps_before) + output.writes() as usize;
    thread_events(&mut turn.guests).budget.spend(steps / STEPS_PER_INLINE_RUN, &*turn.core.clock);
    if !turn.asked.is_empty() {
        thread_events(&mut turn.guests).asking.insert(event.trigger.definition.id);
    }
    turn.guests.ended_runs.extend(event.promise.clone().map(|promise| promise as _));
}

pub(super) fn post(turn: &mut Turn, event: &GuestEvent, starts: &mut RunnerStarts) {
    if let (Some(error), Starts::Route(route)) = (&event.refused, &event.trigger.starts) {
        return shed(turn, event, route, error);
    }
    let message = Arc::new(event.owned_message(event.user()));
    let runner = match &event.trigger.starts {
        Starts::Guest(runner) => runner,
        Starts::Route(route) => {
            if let Err(error) = route.arrived(&message, event.hops, event.kept_place.as_deref()) {
                shed(turn, event, route, &error);
            }
            return;
        }
    };
    let event_for_host = OwnedEvent::Message(message);
    let waits = event.trigger.is_bounded && turn.serves_clients();
    let waiting = event.source.as_ref().filter(|_| waits && event.holds_up);
    let posted = match waiting {
        Some(_) => runner.post_held_back(event_for_host, event.hops, starts),
        None => runner.post_one_of(event_for_host, event.hops, starts),
    };
    match posted {
        Ok(Posted::Roomy) => {}
        Ok(Posted::Crowded) => {
            // How fast a guest runs that was not promised to be short is no measure for how fast a
            // Client may publish.
            if let Some(client) = waiting {
                thread_events(&mut turn.guests).congested.insert(client.slot, Arc::downgrade(runner));
            }
        }
        Err(error) => {
            effects::not_taken(turn, &event.tenant, &event.trigger.definition, &error, &event.message);
        }
    }
}

/// Tells that a route has not taken a message.
fn shed(turn: &mut Turn, event: &GuestEvent, route: &RouteRunner, error: &PostError) {
    route.shed(error, timestamp(turn.wall_ms()));
    effects::not_taken(turn, &event.tenant, &event.trigger.definition, error, &event.message);
}

/// The event if the message starts the definition; of a window, with its figures. Asked once, in
/// the messages' order.
pub(super) fn fired(event: GuestEvent) -> Option<GuestEvent> {
    let parts = event.message.parts();
    let cause = Cause {
        topic: parts.topic,
        payload: parts.payload,
        is_of_guest: event.client_id().is_empty(),
        origin: event.origin,
        received_ms: event.received_ms,
    };
    let figures = match fires(&event.tenant, &event.trigger, &cause) {
        Fires::No => return None,
        Fires::AsItIs => return Some(event),
        Fires::With(figures) => figures,
    };
    let (qos, retain) = (QoS::AtMostOnce, false);
    let of_window =
        MessageParts { properties: &[], payload: &figures, qos, retain, expires_at_ms: None, ..parts };
    let message = Arc::new(Message::new(0, of_window));
    Some(GuestEvent { message, ..event })
}
