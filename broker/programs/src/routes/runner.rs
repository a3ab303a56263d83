//! Runner of a deployed route, for everybody else. The [drivers](crate::route_drivers) of
//! its instances take their work from here, each from its
//! [`DriverSlot`](super::driver_slot::DriverSlot).
//!
//! Replacing gives it another version and keeps the mailbox; the drivers go over to it between two
//! calls of the guest. No lock is held while a guest runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::task::Waker;
use std::time::Duration;

use jiff::Timestamp;
use lotmq_changes::Ids;
use lotmq_core::clock::Clock;
use lotmq_host::{MailboxRoom, OwnedMessage, PostError, limits::HOPS_MAX};
use parking_lot::Mutex;
use smallvec::{SmallVec, smallvec};
use tokio::sync::Notify;
use tracing::warn;

use super::asked_run::{AskedProbe, AskedRun, Probed, RunBounds};
use super::buffering::BufferMode;
use super::dead_letters::DeadLetters;
use super::failure_counts::FailureCounts;
use super::ingest_waits::IngestWaits;
use super::kept_place::KeptPlace;
use super::mailbox::{Addressee, BatchDue, Mailbox, RouteMessage, Takers};
use super::outbox::RouteOutbox;
use super::probing::Probing;
use super::questions::{Answer, Questions, refused};
use super::status::{Connection, DeliveryFigures, RouteStatus, stopped};
use super::version::Version;
use crate::route_orders::RouteOrder;
use lotmq_process::clock::definitions_now;

/// Runner of a route.
pub struct RouteRunner {
    pub(super) shared: Mutex<SharedRoute>,
    /// Dead letters of the route.
    pub dead_letters: DeadLetters,
    pub(super) probing: Probing,
    /// The same, of those over connections of their own.
    pub(super) probing_anew: Probing,
    /// Source of the numbers of messages, which those have that are not in the store, too.
    ids: Arc<Ids>,
    pub(super) clock: Arc<dyn Clock>,
    /// Signal that the outbox is to be looked at.
    pub(crate) outbox_called: Notify,
    /// Signal that its standing has changed.
    pub(crate) stands: Notify,
    /// Waits of what it brings.
    pub(crate) ingest_waits: IngestWaits,
    /// Payload on which a driver panics, so many times.
    #[cfg(debug_assertions)]
    #[doc(hidden)]
    pub planted: Mutex<Option<(&'static [u8], u32)>>,
}

/// State of a route that threads share.
pub(super) struct SharedRoute {
    pub(super) version: Arc<Version>,
    /// Counter of versions and of reopenings.
    pub(super) number: u64,
    pub(super) mailbox: Mailbox,
    pub(super) outbox: RouteOutbox,
    pub(super) questions: Questions,
    pub(super) status: RouteStatus,
    pub(super) failure_counts: FailureCounts,
    pub(super) is_closed: bool,
    /// Whether the broker ends: its instances are closed, and what waits for it stays.
    pub(super) broker_ends: bool,
    /// Number of instances that are open.
    pub(super) open_instances: usize,
    /// Only people can correct what is wrong with the version of this number.
    pub(super) stands_still: bool,
    /// The guest of this number runs by itself, so it has one instance, whatever the version says.
    pub(super) is_alone: bool,
    /// Places of instances, in their order; those of former versions stay.
    pub(super) places: Vec<InstancePlace>,
    /// Number of drivers at work.
    pub(super) drivers: usize,
    /// Run that waits for the guest, where time stands still.
    pub(super) asked_run: Option<AskedRun>,
    /// Caller that waits for the result of a probe.
    pub(super) asked_probe: Option<AskedProbe>,
    /// Number of those who keep instances from taking messages.
    pub(super) holds: usize,
    /// Whether somebody tries until the far side is heard of.
    is_listened_for: bool,
    /// Number of orders to end the pauses behind what has failed.
    pub(super) hurries: u64,
}

/// Place of one instance.
#[derive(Default)]
pub(super) struct InstancePlace {
    pub(super) notify: Arc<DriverNotify>,
    /// Whether somebody drives it, or has the order to.
    pub(super) is_driven: bool,
    /// How often it has connected.
    pub(super) connections: u64,
}

/// Bell by which a driver is called.
#[derive(Default)]
pub(super) struct DriverNotify {
    /// Signal that it has work.
    pub(super) called: Notify,
    /// Number of calls.
    pub(super) calls: AtomicU64,
    /// Number of calls when the driver last found nothing to do.
    pub(super) rested: AtomicU64,
}

impl DriverNotify {
    /// Has the driver look what there is to do.
    fn ring(&self) {
        self.calls.fetch_add(1, Ordering::Release);
        self.called.notify_one();
    }

    fn rests(&self) -> bool {
        self.rested.load(Ordering::Acquire) == self.calls.load(Ordering::Acquire)
    }
}

impl RouteRunner {
    /// Runner of a route that was not deployed before; `is_stopped`: it waits for another order.
    pub fn new(
        version: Version,
        now: Timestamp,
        (ids, clock): (Arc<Ids>, Arc<dyn Clock>),
        is_stopped: bool,
    ) -> Self {
        let mut shared = SharedRoute {
            version: Arc::new(version),
            number: 0,
            mailbox: Mailbox::new(),
            outbox: RouteOutbox::default(),
            questions: Questions::default(),
            status: RouteStatus::new(now),
            failure_counts: FailureCounts::default(),
            is_closed: false,
            broker_ends: false,
            open_instances: 0,
            stands_still: false,
            is_alone: false,
            places: Vec::new(),
            drivers: 0,
            asked_run: None,
            asked_probe: None,
            holds: 0,
            is_listened_for: false,
            hurries: 0,
        };
        shared.status.stopped_is(is_stopped);
        shared.begin_anew(now);
        Self {
            shared: Mutex::new(shared),
            dead_letters: DeadLetters::default(),
            probing: Probing::default(),
            probing_anew: Probing::default(),
            ids,
            clock,
            outbox_called: Notify::new(),
            stands: Notify::new(),
            ingest_waits: IngestWaits::default(),
            #[cfg(debug_assertions)]
            planted: Mutex::default(),
        }
    }

    /// Returns the deployed version.
    pub fn version(&self) -> Arc<Version> {
        Arc::clone(&self.shared.lock().version)
    }

    /// Present version, with its number.
    pub(crate) fn numbered_version(&self) -> (u64, Arc<Version>) {
        let shared = self.shared.lock();
        (shared.number, Arc::clone(&shared.version))
    }

    /// Present version; `None` after the end.
    pub(crate) fn deployed(&self) -> Option<Arc<Version>> {
        let shared = self.shared.lock();
        (!shared.is_closed).then(|| Arc::clone(&shared.version))
    }

    /// Returns a copy of the status.
    pub fn status(&self) -> RouteStatus {
        self.shared.lock().status.clone()
    }

    /// Numbers of messages that the other side does not have yet and of their bytes, those in the
    /// store and those in a call of a guest among them. The bytes are those that `BUFFER_MAX_BYTES`
    /// bounds: of an outbox what is kept, of a mailbox 64 for each message besides.
    pub fn waiting(&self) -> (u64, u64) {
        let shared = self.shared.lock();
        let (messages, bytes) = shared.mailbox.unfinished();
        let bytes = if shared.is_stored() { shared.outbox.waiting().bytes } else { bytes as u64 };
        (messages as u64 + shared.outbox.unread().messages, bytes)
    }

    /// Number of messages that wait in memory and nowhere else, and that nobody else keeps.
    pub fn in_memory_alone(&self) -> usize {
        let shared = self.shared.lock();
        let is_kept = |post: &&RouteMessage| post.stored_bytes.is_some() || post.message.lease.is_some();
        shared.mailbox.posts().filter(|post| !is_kept(post)).count()
    }

    /// Replaces the version; waiting messages go to the new one.
    pub fn replace(&self, version: Version) {
        let mut shared = self.shared.lock();
        shared.version = Arc::new(version);
        shared.begin_anew(self.now());
        drop(shared);
        self.stands.notify_one();
        // Waiting messages may be too old for the new version.
        self.outbox_called.notify_one();
    }

    /// Puts a version whose settings have their values now in the place of the one with this
    /// number; false where there is another one.
    pub(crate) fn settle(&self, number: u64, version: Version) -> bool {
        let mut shared = self.shared.lock();
        if shared.number != number {
            return false;
        }
        shared.version = Arc::new(version);
        shared.begin_anew(self.now());
        drop(shared);
        self.stands.notify_one();
        self.outbox_called.notify_one();
        true
    }

    /// Notes that the far side has not answered somebody who tried.
    pub(crate) fn is_silent(&self, reason: &str) {
        let now = self.now();
        self.update(|status| {
            status.is_away_for(reason, now);
            status.is_doubtful(now);
        });
    }

    /// Notes that the far side has answered somebody who tried.
    pub(crate) fn is_heard_of(&self) {
        let now = self.now();
        self.update(|status| status.is_heard_of(now));
    }

    /// Has what rests, and what an instance pauses for, tried again now, on the connection that is
    /// open.
    pub fn tries_now(&self) {
        let mut shared = self.shared.lock();
        shared.hurries += 1;
        shared.mailbox.end_pauses();
        shared.call_all();
    }

    /// Begins to try until the far side is heard of; false where somebody does.
    pub(crate) fn begins_to_listen(&self) -> bool {
        !std::mem::replace(&mut self.shared.lock().is_listened_for, true)
    }

    /// Whether the far side still has to be heard of; where not, nobody tries any more.
    pub(crate) fn listens_on(&self) -> bool {
        let mut shared = self.shared.lock();
        shared.is_listened_for = !shared.is_closed && shared.status.has_doubts();
        shared.is_listened_for
    }

    pub(crate) fn now(&self) -> Timestamp {
        definitions_now(&*self.clock).wall
    }

    /// Reopens the route, because a value that it was opened with has changed.
    pub fn reopen(&self) {
        self.shared.lock().begin_anew(self.now());
        self.stands.notify_one();
    }

    /// Follows an order: its guest is closed when the call under way has ended, and opened within
    /// the policies of the order, unless that says that the route is not to run; then what waits
    /// stays where it is. One that stands still is tried again.
    pub fn follow(&self, order: &RouteOrder) {
        let mut shared = self.shared.lock();
        shared.version = Arc::new(shared.version.within(&order.policies));
        shared.status.stopped_is(order.is_stopped);
        shared.begin_anew(self.now());
        drop(shared);
        self.stands.notify_one();
    }

    /// Whether only people can correct what is wrong with it.
    pub fn stands_still(&self) -> bool {
        self.shared.lock().stands_still
    }

    /// Instances of the present version that have no driver; they count as driven from now on.
    pub fn undriven(&self) -> Vec<usize> {
        let mut shared = self.shared.lock();
        let instances = shared.version.instances();
        let places = shared.places.iter_mut().enumerate().take(instances);
        let undriven = places.filter(|(_, place)| !place.is_driven);
        undriven
            .map(|(index, place)| {
                place.is_driven = true;
                index
            })
            .collect()
    }

    /// Has its instances closed, because the broker ends.
    pub(crate) fn broker_ends(&self) {
        let mut shared = self.shared.lock();
        shared.broker_ends = true;
        shared.call_all();
    }

    /// Whether any instance of it is open.
    pub(crate) fn has_open_instances(&self) -> bool {
        self.shared.lock().open_instances > 0
    }

    /// Ends the route and drops waiting messages; returns their number.
    pub(crate) fn close(&self) -> u64 {
        let mut shared = self.shared.lock();
        shared.is_closed = true;
        shared.questions.refuse("it was removed");
        shared.asked_probe = None;
        let in_memory = shared.mailbox.clear() as u64;
        let waited = shared.outbox.close().max(in_memory);
        self.dead_letters.close();
        let wakers = shared.outbox.take_waiting();
        shared.call_all();
        drop(shared);
        wakers.into_iter().for_each(Waker::wake);
        self.stands.notify_one();
        self.outbox_called.notify_one();
        waited
    }

    /// Takes a message on a topic of some of its events, mappings and tags; it waits in memory. One
    /// that was admitted is taken whatever waits by now, for all of them.
    pub(crate) fn arrived(
        &self,
        message: &Arc<OwnedMessage>,
        hops: u8,
        kept_place: Option<&KeptPlace>,
    ) -> Result<(), PostError> {
        let (takers, refused) = self.takers(&message.topic, message.bytes());
        self.post_to(takers, message, hops, kept_place)?;
        refused.map_or(Ok(()), Err)
    }

    /// Returns the takers of a message, and an error if too many takers match. Returns no taker if
    /// policies refuse the topic: it counts each refusal and logs the first.
    pub(crate) fn takers(&self, topic: &str, bytes: usize) -> (Takers, Option<PostError>) {
        let version = self.version();
        if version.allows(topic) {
            return version.takers().of_message(topic, bytes);
        }
        version.is_refused_a_message();
        let is_first = {
            let mut shared = self.shared.lock();
            shared.status.deliveries.refused_by_policy += 1;
            shared.status.deliveries.refused_by_policy == 1
        };
        if is_first {
            let route = &**version.definition.name();
            warn!(target: "routes", route, topic, "policy topics of a route refuses a message; further ones are only counted");
        }
        (Takers::new(), None)
    }

    /// Puts a message at the end of the mailbox, in memory.
    pub fn post(&self, to: Addressee, message: Arc<OwnedMessage>, hops: u8) -> Result<(), PostError> {
        self.post_to(smallvec![to], &message, hops, None)
    }

    /// The same for each of these.
    fn post_to(
        &self,
        takers: Takers,
        message: &Arc<OwnedMessage>,
        hops: u8,
        kept_place: Option<&KeptPlace>,
    ) -> Result<(), PostError> {
        if hops > HOPS_MAX {
            return Err(PostError::TooManyHops { hops });
        }
        let mut shared = self.shared.lock();
        kept_place.inspect(|kept_place| kept_place.is_used_in(&mut shared.mailbox));
        if shared.is_closed {
            return Err(PostError::Stopped);
        }
        if takers.is_empty() {
            return Ok(());
        }
        if kept_place.is_none() && (shared.is_away() || !shared.mailbox.has_room()) {
            shared.status.messages_came(1);
            let messages = if shared.is_away() { 0 } else { shared.mailbox.waiting().0 };
            return Err(PostError::Full { messages });
        }
        shared.status.messages_came(takers.len() as u64);
        let lifetime_ms = self.clock.lifetime_ms();
        let bells: SmallVec<[Arc<DriverNotify>; 1]> = takers
            .into_iter()
            .filter_map(|to| {
                let shared = &mut *shared;
                shared.mailbox.number_from(self.ids.next_message().0);
                let lane = shared.mailbox.post(to, (Arc::clone(message), lifetime_ms), hops);
                shared.places.get(lane).map(|place| Arc::clone(&place.notify))
            })
            .collect();
        drop(shared);
        bells.iter().for_each(|notify| notify.ring());
        Ok(())
    }

    /// Asks the far side, behind what was handed to it before; not when it has been away for longer
    /// than the asker would wait, so that what asks does not come to a stand with it.
    pub fn ask(&self, body: Vec<u8>, patience: Duration, now: Timestamp) -> Receiver<Answer> {
        let mut shared = self.shared.lock();
        let away = shared.status.away_for(now).and_then(|away| Duration::try_from(away).ok());
        if let Some(away) = away.filter(|away| *away > patience) {
            return refused(format!("it has been away for {} s", away.as_secs()));
        }
        let behind = self.ids.next_message().0;
        let answered = shared.questions.ask(body, behind, patience);
        shared.call_all();
        answered
    }

    /// Has its part of this room for what waits in memory.
    pub(crate) fn share(&self, room: MailboxRoom) {
        self.shared.lock().mailbox.share(room);
    }

    /// Asks its guest to run once, behind what waits for it now. The receiver is disconnected where
    /// no instance is open for that.
    pub fn ask_run(&self, bounds: RunBounds) -> Receiver<Result<Duration, String>> {
        let (outcome, outcomes) = sync_channel(1);
        let mut shared = self.shared.lock();
        shared.asked_run = Some(AskedRun { bounds, outcome });
        shared.call_all();
        outcomes
    }

    /// Asks an instance that is open whether the far side answers, when its call under way has
    /// ended; `None` where none is open for sure. The receiver is disconnected when the instance
    /// ends before.
    pub(crate) fn ask_probe(&self) -> Option<Receiver<Probed>> {
        let mut shared = self.shared.lock();
        let is_open = shared.status.connection() == Connection::Connected && !shared.stands_still;
        if !is_open || shared.is_closed {
            return None;
        }
        let (answer, answered) = sync_channel(1);
        // A former caller without an answer stops waiting.
        shared.asked_probe = Some(answer);
        shared.call_all();
        Some(answered)
    }

    /// Drops a run that nobody has taken.
    pub fn forget_run(&self) {
        self.shared.lock().asked_run = None;
    }

    /// Whether its mailbox takes a message more.
    pub(crate) fn has_room(&self) -> bool {
        self.shared.lock().mailbox.has_room()
    }

    /// Notes a message that was not taken, at once, because a flood of them has one record only.
    pub(crate) fn shed(&self, error: &PostError, now: Timestamp) {
        self.update(|status| match error {
            // That it is full is told beside the reason for which nothing leaves it.
            PostError::OutboxFull { .. } => status.shed(1, now),
            PostError::TooManyTakers { takers, most, .. } => {
                status.failed(takers.saturating_sub(*most) as u64, &error.to_string(), now);
            }
            PostError::Full { .. } => {
                status.deliveries.shed += 1;
                status.failed(1, &error.to_string(), now);
            }
            PostError::TooManyHops { .. } | PostError::Stopped | _ => {
                status.failed(1, &error.to_string(), now)
            }
        });
    }

    /// Whether all drivers have found nothing to do since they were called last.
    pub fn rests(&self) -> bool {
        let shared = self.shared.lock();
        shared.places.iter().filter(|place| place.is_driven).all(|place| place.notify.rests())
    }

    /// Whether somebody waits for an answer.
    pub(crate) fn is_asked(&self) -> bool {
        self.shared.lock().questions.next_behind().is_some()
    }

    /// Changes its figures, which nobody is told at once.
    pub(crate) fn note(&self, change: impl FnOnce(&mut DeliveryFigures)) {
        change(&mut self.shared.lock().status.deliveries);
    }

    /// Notes that a run has brought messages, where it has: since there were `before` of them.
    /// Nobody is told at once, as there may be many such runs in a second.
    pub(crate) fn has_run(&self, before: u64, now: Timestamp) {
        let mut shared = self.shared.lock();
        if shared.status.deliveries.brought > before {
            shared.heard_of(|status| status.brought(now));
        }
    }

    /// Notes that its guest has brought something just now, or that a run has passed, where
    /// something was wrong that is over by that.
    pub(crate) fn runs_well(&self) {
        let now = self.now();
        let mut shared = self.shared.lock();
        if shared.status.waits_for_a_run() {
            shared.heard_of(|status| status.brought(now));
            drop(shared);
            self.stands.notify_one();
        }
    }

    /// Marks how far it has come, for its rates. Nobody is told.
    pub(crate) fn mark_pace(&self, now: Timestamp) {
        self.shared.lock().status.mark_pace(now);
    }

    /// Counts datagrams that the system has dropped before its guest had them. The log is told the
    /// first time, and when they have doubled.
    pub(crate) fn loses_datagrams(&self, count: u64) {
        let (before, count) = {
            let figures = &mut self.shared.lock().status.deliveries;
            let before = figures.lost_datagrams;
            figures.lost_datagrams += count;
            (before, figures.lost_datagrams)
        };
        if count.checked_ilog2() > before.checked_ilog2() {
            let version = self.version();
            let route = &**version.definition.name();
            warn!(target: "routes", route, count, "the system has dropped datagrams for a route, whose socket had no room for them; net.core.rmem_max bounds it");
        }
    }

    /// Number of messages that its guest has brought.
    pub fn brought(&self) -> u64 {
        self.shared.lock().status.deliveries.brought
    }

    /// Notes that it may not publish something that it has brought, with what to do about it.
    pub(crate) fn may_not_publish(&self, what: &str) {
        let now = self.now();
        self.update(|status| status.write_is_refused(what, now));
    }

    /// Notes that this is so still.
    pub(crate) fn may_not_publish_still(&self) {
        let now = self.now();
        self.shared.lock().status.write_is_still_refused(now);
    }

    /// Returns the write that the rules denied lately, with the remedy.
    pub(crate) fn refused_write(&self) -> Option<String> {
        self.shared.lock().status.refused_write().map(str::to_owned)
    }

    /// Counts a reason why an instance is not connected; gives the count where the log is to be
    /// told.
    pub fn count_failure(&self, reason: &str) -> Option<u64> {
        self.shared.lock().failure_counts.count(reason)
    }

    /// Changes its standing, which is published then.
    pub(crate) fn update(&self, change: impl FnOnce(&mut RouteStatus)) {
        self.shared.lock().heard_of(change);
        self.stands.notify_one();
    }
}

impl SharedRoute {
    /// Whether nobody is to drive it any more.
    pub(super) fn has_ended(&self) -> bool {
        self.is_closed || self.broker_ends
    }

    /// Changes the standing. When that shows that the far side is there, instances that pause try
    /// again.
    fn heard_of(&mut self, change: impl FnOnce(&mut RouteStatus)) {
        let before = self.status.unproven();
        change(&mut self.status);
        if before > 0 && self.status.unproven() == 0 {
            self.places.iter_mut().for_each(|place| place.connections += 1);
            self.failure_counts.clear();
            self.call_all();
        }
    }

    fn begin_anew(&mut self, now: Timestamp) {
        self.number += 1;
        self.asked_probe = None;
        self.status.begins_anew(now);
        self.failure_counts.clear();
        self.stands_still = false;
        self.is_alone = false;
        self.status.paths_are(BTreeMap::new(), None, now);
        self.status.failing_tags = None;
        self.version.fit(&mut self.mailbox);
        self.mailbox.begin_anew();
        match self.status.is_stopped() {
            true => self.questions.refuse(&stopped(self.version.definition.name())),
            false => self.questions.accept(),
        }
        let instances = self.version.instances();
        if self.places.len() < instances {
            self.places.resize_with(instances, InstancePlace::default);
        }
        self.instances_have_changed();
    }

    /// Whether messages find nobody: they wait nowhere, and the far side is away.
    pub(super) fn is_away(&self) -> bool {
        self.version.buffering.mode == BufferMode::None && self.status.connection() != Connection::Connected
    }

    /// Number at or below that of the first message that is not done; `None` when there is none.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.mailbox.oldest().or_else(|| self.outbox.first_unread())
    }

    /// Gives each instance its lane and its standing.
    pub(super) fn instances_have_changed(&mut self) {
        let instances = self.instances();
        self.mailbox.lanes_are(instances);
        self.status.instances_are(instances);
        self.call_all();
    }

    /// Number of instances that are to be at work.
    pub(super) fn instances(&self) -> usize {
        if self.is_alone { 1 } else { self.version.instances() }
    }

    /// How often others than this instance have connected.
    pub(super) fn connections_of_others(&self, instance: usize) -> u64 {
        let others = self.places.iter().enumerate().filter(|(index, _)| *index != instance);
        others.map(|(_, place)| place.connections).sum()
    }

    /// Has all drivers look what there is to do.
    pub(super) fn call_all(&self) {
        self.places.iter().for_each(|place| place.notify.ring());
    }

    /// When an instance has work.
    pub(super) fn due(&self, instance: usize) -> BatchDue {
        if self.asked_probe.is_some() {
            return BatchDue::Now;
        }
        match self.questions.next_behind() {
            None if self.holds > 0 => BatchDue::Never,
            Some(behind) if self.holds > 0 => match self.oldest().is_none_or(|oldest| oldest >= behind) {
                true => BatchDue::Now,
                false => BatchDue::Never,
            },
            // Messages in front of a question do not wait for a full batch.
            Some(behind) if self.mailbox.holds_before(instance, behind) => BatchDue::Now,
            Some(behind) if self.oldest().is_none_or(|oldest| oldest >= behind) => BatchDue::Now,
            Some(_) | None => self.mailbox.due(instance),
        }
    }
}
