//! Seat of one instance of a route's guest: where its driver waits for work and takes it.
//!
//! Invariants: a seat has one driver at most; an instance has one batch at a time, of its own lane;
//! a question is asked when all that was handed over before it is done, whichever instance had it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::asked_run::{AskedProbe, AskedRun};
use super::batch::PostBatch;
use super::mailbox::{Addressee, BatchDue, PutBack, RouteMessage};
use super::questions::Question;
use super::runner::{DriverNotify, RouteRunner, SharedRoute};
use super::status::{Connection, RouteStatus};
use super::version::Version;

/// Seat of one instance.
#[derive(Clone)]
pub struct DriverSlot {
    route: Arc<RouteRunner>,
    /// Number of the instance, and of its lane.
    pub(crate) instance: usize,
    notify: Arc<DriverNotify>,
}

/// Next work of a driver.
pub enum Work {
    /// Messages, at least one.
    Batch(PostBatch),
    Question(Question),
    Run(AskedRun),
    Probe(AskedProbe),
}

/// Guard for a drive. When the last of a route ends, nobody waits for an answer any more.
pub(crate) struct Driving(Arc<RouteRunner>);

impl Drop for Driving {
    fn drop(&mut self) {
        let mut shared = self.0.shared.lock();
        shared.drivers -= 1;
        if shared.drivers == 0 {
            shared.questions.refuse("it has ended");
        }
    }
}

/// Guard for an instance that is open.
pub(crate) struct OpenInstance(Arc<RouteRunner>);

impl Drop for OpenInstance {
    fn drop(&mut self) {
        self.0.shared.lock().open_instances -= 1;
    }
}

impl DriverSlot {
    /// Seat of an instance of this number; of a lower one where there is none.
    pub fn new(route: &Arc<RouteRunner>, instance: usize) -> DriverSlot {
        let shared = route.shared.lock();
        let instance = instance.min(shared.places.len().saturating_sub(1));
        let notify = shared.places.get(instance).map(|place| Arc::clone(&place.notify)).unwrap_or_default();
        DriverSlot { route: Arc::clone(route), instance, notify }
    }

    /// Notes that a drive begins.
    pub(crate) fn driving(&self) -> Driving {
        let mut shared = self.route.shared.lock();
        shared.drivers += 1;
        if shared.drivers == 1 && !shared.stands_still && !shared.status.is_stopped() && !shared.is_closed {
            shared.questions.accept();
        }
        Driving(Arc::clone(&self.route))
    }

    /// Notes that an instance is open.
    pub(crate) fn opens(&self) -> OpenInstance {
        self.route.shared.lock().open_instances += 1;
        OpenInstance(Arc::clone(&self.route))
    }

    /// Present version with its number; `None` after the end, and when the version has no such
    /// instance: then the seat is nobody's.
    pub fn current(&self) -> Option<(u64, Arc<Version>)> {
        let mut shared = self.route.shared.lock();
        if !shared.has_ended() && self.instance < shared.version.instances() {
            return Some((shared.number, Arc::clone(&shared.version)));
        }
        if let Some(place) = shared.places.get_mut(self.instance) {
            place.is_driven = false;
        }
        None
    }

    /// Whether the instance is to work for version `number`.
    pub fn works(&self, number: u64) -> bool {
        works(&self.route.shared.lock(), self.instance, number)
    }

    /// Waits until it is not to work for version `number` any more.
    pub(crate) async fn changed(&self, number: u64) {
        self.until(|shared| !works(shared, self.instance, number)).await;
    }

    /// Number of orders so far to end pauses.
    pub fn hurries(&self) -> u64 {
        self.route.shared.lock().hurries
    }

    /// Waits until it is not to work for version `number` any more, somebody wants to know whether
    /// the far side is there, or orders that pauses end, since there were so many orders.
    pub async fn changed_or_asked(&self, number: u64, hurries: u64) {
        let is_so = |shared: &mut SharedRoute| {
            let is_hurried = shared.asked_probe.is_some() || shared.hurries != hurries;
            is_hurried || !works(shared, self.instance, number)
        };
        self.until(is_so).await;
    }

    /// Waits until there is another version than `number`.
    pub(crate) async fn superseded(&self, number: u64) {
        self.until(|shared| shared.has_ended() || shared.number != number).await;
    }

    /// Waits until the route has been removed. Unlike the other waits it is beside work, so the
    /// instance does not rest meanwhile.
    pub(crate) async fn removed(&self) {
        while !self.route.shared.lock().is_closed {
            self.notify.called.notified().await;
        }
    }

    /// Waits until there is work, or it is not to work for version `number` any more.
    pub(crate) async fn has_work(&self, number: u64) {
        self.until(|shared| {
            !works(shared, self.instance, number) || shared.due(self.instance) == BatchDue::Now
        })
        .await;
    }

    /// Waits for the next work; `None` when it is not to work for version `number` any more.
    pub async fn next_work(&self, number: u64) -> Option<Work> {
        let mut found = None;
        self.until(|shared| {
            if !works(shared, self.instance, number) {
                return true;
            }
            found = self.take(shared);
            found.is_some()
        })
        .await;
        found
    }

    fn take(&self, shared: &mut SharedRoute) -> Option<Work> {
        if let Some(probe) = shared.asked_probe.take() {
            return Some(Work::Probe(probe));
        }
        if let Some(question) = shared.questions.take(shared.oldest()) {
            return Some(Work::Question(question));
        }
        if shared.holds > 0 {
            return None;
        }
        if shared.due(self.instance) != BatchDue::Now {
            return shared.asked_run.take().map(Work::Run);
        }
        // An instance that has nothing before the question goes on with what is behind it.
        let behind = shared.questions.next_behind();
        let before = behind.filter(|behind| shared.mailbox.holds_before(self.instance, *behind));
        let batch = shared.mailbox.take(self.instance, before.unwrap_or(u64::MAX));
        // There is room for more of what waits in the store.
        self.route.outbox_called.notify_one();
        (!batch.is_empty()).then(|| Work::Batch(PostBatch::new(&self.route, self.instance, batch)))
    }

    /// Waits until something is so.
    async fn until(&self, mut is_so: impl FnMut(&mut SharedRoute) -> bool) {
        loop {
            let calls = self.notify.calls.load(Ordering::Acquire);
            let due = {
                let mut shared = self.route.shared.lock();
                if is_so(&mut shared) {
                    return;
                }
                shared.due(self.instance)
            };
            self.notify.rested.store(calls, Ordering::Release);
            match due {
                // Either way it is time to look.
                BatchDue::At(at) => {
                    drop(tokio::time::timeout_at(at.into(), self.notify.called.notified()).await)
                }
                BatchDue::Never | BatchDue::Now => self.notify.called.notified().await,
            }
        }
    }

    /// Notes that the instance of version `number` is connected.
    pub fn connected(&self, number: u64, now: Timestamp) {
        if !self.has_become(number, (Connection::Connected, now), |_| ()) {
            return;
        }
        let mut shared = self.route.shared.lock();
        if let Some(place) = shared.places.get_mut(self.instance) {
            place.connections += 1;
        }
        shared.failure_counts.clear();
        // Those that pause try again: the far side is there.
        shared.call_all();
    }

    /// Notes that the instance of version `number` is open again after it had lost the far side in
    /// a call. It gets messages; connected it counts as when something passes.
    pub(crate) fn opened_again(&self, number: u64) {
        let mut shared = self.route.shared.lock();
        if works(&shared, self.instance, number) {
            shared.status.is_unproven(self.instance);
            shared.mailbox.lane_is(self.instance, true);
        }
    }

    /// How often other instances of the route have connected.
    pub fn connections_of_others(&self) -> u64 {
        self.route.shared.lock().connections_of_others(self.instance)
    }

    /// Waits until it is not to work for version `number` any more, or another instance has
    /// connected since there were so many connections beside it.
    pub async fn changed_or_joined(&self, number: u64, others: u64) {
        let is_so = |shared: &mut SharedRoute| {
            !works(shared, self.instance, number) || shared.connections_of_others(self.instance) != others
        };
        self.until(is_so).await;
    }

    /// Notes that the instance of version `number` is not connected, with the reason, and will try
    /// again; false where it is not to work for that version any more: what happened to it then is
    /// no fault of what is there now, and hides none.
    pub fn is_away(&self, number: u64, reason: &str, now: Timestamp) -> bool {
        let note = |status: &mut RouteStatus| status.is_away_for(reason, now);
        self.has_become(number, (Connection::Reconnecting, now), note)
    }

    /// The same of one that broke.
    pub(crate) fn broke(&self, number: u64, reason: &str, now: Timestamp) -> bool {
        self.has_become(number, (Connection::Reconnecting, now), |status| status.broke(reason, now))
    }

    /// Notes that the guest of version `number` is still being compiled, which is no fault of the
    /// far side.
    pub(crate) fn waits_for_code(&self, number: u64, now: Timestamp) {
        self.has_become(number, (Connection::Connecting, now), RouteStatus::waits_for_code);
    }

    fn has_become(
        &self,
        number: u64,
        (connection, now): (Connection, Timestamp),
        note: impl FnOnce(&mut RouteStatus),
    ) -> bool {
        let mut shared = self.route.shared.lock();
        if !works(&shared, self.instance, number) {
            return false;
        }
        note(&mut shared.status);
        shared.status.connection_is(self.instance, connection, now);
        shared.mailbox.lane_is(self.instance, connection == Connection::Connected);
        drop(shared);
        self.route.stands.notify_one();
        true
    }

    /// Hands what waits for the instance over to those that are connected, because it finds no way
    /// itself.
    pub(crate) fn hand_over(&self) {
        let mut shared = self.route.shared.lock();
        if shared.mailbox.hand_over(self.instance) {
            shared.call_all();
        }
    }

    /// Makes version `number` of the route stand still, for a reason that only people can remove;
    /// false where it does already, or where there is another version.
    pub fn stand_still(&self, number: u64, reason: &str, now: Timestamp) -> bool {
        let mut shared = self.route.shared.lock();
        if shared.number != number || shared.stands_still || shared.is_closed {
            return false;
        }
        shared.stands_still = true;
        shared.asked_probe = None;
        shared.questions.refuse(reason);
        shared.status.broke(reason, now);
        for instance in 0..shared.instances() {
            shared.status.connection_is(instance, Connection::Disconnected, now);
            shared.mailbox.lane_is(instance, false);
        }
        shared.call_all();
        drop(shared);
        self.route.stands.notify_one();
        true
    }

    /// Lets the guest of version `number` have one instance only, because it runs by itself.
    /// Whether this is the one.
    pub fn is_alone(&self, number: u64) -> bool {
        let mut shared = self.route.shared.lock();
        if shared.number == number && !shared.is_alone {
            shared.is_alone = true;
            if shared.version.instances() > 1 {
                shared.instances_have_changed();
            }
        }
        self.instance == 0
    }

    /// Puts a question back, to be answered later.
    pub(crate) fn ask_again(&self, question: Question) {
        let mut shared = self.route.shared.lock();
        shared.questions.put_back(question);
        shared.call_all();
    }
}

/// Whether an instance is to work for version `number`.
fn works(shared: &SharedRoute, instance: usize, number: u64) -> bool {
    let is_wanted = !shared.has_ended() && !shared.status.is_stopped() && !shared.stands_still;
    is_wanted && shared.number == number && instance < shared.instances()
}

/// Interface for batches.
impl RouteRunner {
    /// Notes that the first messages of the batch of an instance are done: they leave the outbox.
    pub(super) fn done(&self, instance: usize, posts: &[RouteMessage]) {
        self.give_back(|shared| shared.mailbox.done(instance, posts));
        self.leave_outbox(posts);
    }

    /// Puts back messages that were not delivered. Returns whether their taker backs off.
    pub(super) fn put_back(&self, instance: usize, batch: VecDeque<RouteMessage>, how: PutBack) -> bool {
        let mut backs_off = false;
        self.give_back(|shared| backs_off = shared.mailbox.put_back(instance, batch, how));
        // They may be too old by now or soon.
        self.outbox_called.notify_one();
        backs_off
    }

    /// Separates messages that have failed together by their takers.
    pub(super) fn separate(&self, instance: usize, batch: &VecDeque<RouteMessage>) {
        self.shared.lock().mailbox.separate(instance, batch);
    }

    /// Notes what has got something done of a batch.
    pub(crate) fn have_passed<'a>(&self, instance: usize, events: impl Iterator<Item = &'a Addressee>) {
        self.shared.lock().mailbox.have_passed(instance, events);
    }

    /// Whether others than this take messages too, as far as is known: it is not to hold them up
    /// then.
    pub(crate) fn is_one_of_several(&self, to: &Addressee) -> bool {
        let shared = self.shared.lock();
        shared.version.takes_for_several() || shared.status.knows_others(to)
    }

    fn give_back(&self, change: impl FnOnce(&mut SharedRoute)) {
        let mut shared = self.shared.lock();
        if shared.is_closed {
            return;
        }
        let was_distributed = shared.mailbox.is_distributed();
        change(&mut shared);
        // Somebody may have waited for that: who asks, or who had no lane yet.
        if shared.questions.next_behind().is_some() || !was_distributed {
            shared.call_all();
        }
    }

    /// Panics on a planted payload.
    #[cfg(debug_assertions)]
    pub(crate) fn panic_on_planted(&self, batch: &PostBatch) {
        let mut planted = self.planted.lock();
        if let Some((payload, left)) = &mut *planted
            && *left > 0
            && batch.iter().any(|post| post.message.payload == *payload)
        {
            *left -= 1;
            drop(planted);
            panic!("on purpose");
        }
    }
}
