//! Turn of a thread: it collects reads and messages, and at its end everything leaves.
//!
//! A turn begins with the first read after a flush. It ends when its memory is full, or when the
//! flusher task runs, which is behind the thread's other ready connections in the run queue. At its
//! end it stores durable changes as one batch, writes once to each receiver, posts guest events and
//! resets the arena.
//!
//! Threads without connections (guest executors, command workers) use it too and flush when done.
//!
//! Invariants: no span outlives the turn; each receiver's items leave in their order; no two
//! Clients' states are locked at once. Not here: `routing`, output that waits (`tenant::link`).

pub mod above;
mod backlog;
pub mod capacity;
pub mod context;
pub mod delivery;
pub mod events;
pub mod expiry_timers;
pub mod fan_out;
pub mod fed;
pub mod home;
pub mod internal;
mod messages;
pub mod next;
pub mod outbound;
mod owed;
mod paging;
pub mod piece;
pub mod postponed;
mod receivers;
pub(crate) mod redistribute;
pub mod release;
mod rest;
pub(crate) mod retain;
mod session;
pub mod session_drain;
pub mod session_row;
pub mod stored;
pub mod suback;
pub mod time_share;
pub mod timers;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use lotmq_changes::rare::{Rare, is_taken};
use lotmq_changes::{Batch, StoreError, Ticket};
use lotmq_session::Time;

use crate::arena::Arena;
use crate::connection::Connection;
use crate::fault::{Fault, is_planted};
use crate::turn::context::TurnContext;
use crate::turn::delivery::DeliveryContext;
use crate::turn::home::Home;
use crate::turn::outbound::Delivery;
use crate::turn::time_share::TimeShares;
use crate::turn::timers::Timers;
use tracing::warn;

use crate::clock::{Clock, Stretch};
use crate::counters::TurnCounts;
use crate::durable::changes::{Seat, Stamp, Standing};
use crate::durable::commit_watcher::CommitWatcher;
use crate::durable::store_failure::StoreFailure;
use crate::figures::{OwnFigures, ThreadFigures};
use crate::limits::{STEPS_PER_LOOK, STORE_FULL_PAUSE, TURN_ENCODED_BYTES_MAX};
use crate::reason::violation::Violation;
use crate::routing::route::RouteCache;
use crate::shares::Share;
use crate::tenant::client::Client;
use crate::tenant::triggers::TurnGuests;
use crate::turn::fan_out::AskedMessages;
use crate::turn::redistribute::redistribute_left;
use crate::turn::release::{Release, Releases};
use crate::turn::session_drain::SessionDrain;
use crate::{Above, Core};

pub use messages::Messages;
pub(crate) use messages::TurnMessage;
pub(crate) use receivers::{Receiver, Receivers};

/// Turn of a thread.
pub struct Turn {
    /// Core that all turns share.
    pub core: Arc<Core>,
    /// Context that all turns share.
    pub context: Arc<TurnContext>,
    /// Memory of the turn.
    pub arena: Arena,
    /// Routes of topics that this thread knows.
    pub routes: RouteCache,
    pub(crate) messages: Messages,
    pub(crate) receivers: Receivers,
    /// Counts of this turn.
    pub counts: TurnCounts,
    /// Durable changes of this turn.
    pub batch: Batch,
    log: LogView,
    /// Answers that wait for this turn's batch, and for earlier ones.
    pub(crate) releases: Releases,
    pauses: Pauses,
    /// Guests that this turn's messages start.
    pub guests: TurnGuests,
    /// Messages about whose receivers rules are being asked.
    pub asked: AskedMessages,
    /// Drains of sessions that begin behind what this turn has for them.
    pub drains: Vec<SessionDrain>,
    /// Work for the Client whose packets are being handled.
    pub work: Work,
    /// Time shares of this thread's connections.
    pub time_shares: TimeShares,
    pub(crate) delivery: Delivery,
    /// Timers of this thread's connections.
    pub(crate) timers: Timers,
    thread: OwnThread,
    moment: Moment,
}

/// Thread of a turn.
struct OwnThread {
    /// Waker of the task that ends its turns, while that waits.
    flusher: Option<Waker>,
    /// Its home as a shard; `None` for threads without connections.
    home: Option<Arc<Home>>,
    figures: OwnFigures,
}

/// Moment of a turn, by all clocks.
#[derive(Clone, Copy)]
struct Moment {
    now: Time,
    wall_ms: u64,
    lifetime_ms: u64,
}

impl Moment {
    fn of(clock: &dyn Clock) -> Self {
        Self { now: clock.now(), wall_ms: clock.wall_ms(), lifetime_ms: clock.lifetime_ms() }
    }
}

/// Work of a turn for one Client.
pub struct Work {
    /// Time that it may take.
    pub stretch: Stretch,
    /// Steps since the clock was looked at.
    pub steps: usize,
}

/// Connections that are not read from for a while.
#[derive(Default)]
struct Pauses {
    /// Until the disk has caught up.
    for_store: Vec<Arc<Connection>>,
    /// Until a time, because their Clients sent too much.
    throttled: Vec<(Time, Weak<Connection>)>,
}

/// State of the log as a turn knows it.
struct LogView {
    /// Seat of the thread among the turns of all threads.
    seat: Seat,
    /// Whether an acknowledgement of the turn waits for earlier batches, too.
    waits_for_earlier: bool,
    /// Whether what the turn does now has to be one batch.
    is_one_batch: bool,
    /// Whether the log took no more. The batch and all that waits for it stay in the turn then.
    is_full: bool,
    /// Failure because of which nothing is stored for clients, once that was asked for.
    failure: Cell<Option<Option<StoreFailure>>>,
}

impl Turn {
    /// Turn of a thread; `home` is its shard where it serves Clients.
    pub fn new(context: Arc<TurnContext>, home: Option<Arc<Home>>) -> Self {
        let core = Arc::clone(&context.core);
        Self {
            arena: Arena::new(Arc::clone(core.output_bytes.all())),
            routes: RouteCache::new(core.chance.hashing.clone()),
            messages: Messages::default(),
            receivers: Receivers::default(),
            counts: TurnCounts::default(),
            batch: Batch::default(),
            log: LogView {
                seat: core.turns.enter(),
                waits_for_earlier: false,
                is_one_batch: false,
                is_full: false,
                failure: Cell::default(),
            },
            releases: Releases::default(),
            pauses: Pauses::default(),
            guests: TurnGuests::new(context.guest_runner.of_thread()),
            asked: AskedMessages::default(),
            drains: Vec::new(),
            work: Work { stretch: Stretch::ENDLESS, steps: 0 },
            time_shares: TimeShares::default(),
            delivery: Delivery::default(),
            timers: Timers::new(core.clock.now()),
            thread: OwnThread { flusher: None, home, figures: core.figures.enter() },
            moment: Moment::of(&*core.clock),
            core,
            context,
        }
    }

    /// Calls the broker above with this turn; not after its end.
    pub fn tell<R>(&mut self, what: impl FnOnce(&dyn Above, &mut Self) -> R) -> Option<R> {
        let context = Arc::clone(&self.context);
        context.tell(|above| what(above, self))
    }

    /// Figures that the thread writes.
    pub(crate) fn figures(&self) -> &ThreadFigures {
        &self.thread.figures
    }

    /// Cached time of the broker's clock, at most one [`TICK`](crate::turn::timers::TICK) old.
    pub fn now(&self) -> Time {
        self.moment.now
    }

    /// Wall-clock time in milliseconds since 1970, as old as [`Turn::now`].
    pub fn wall_ms(&self) -> u64 {
        self.moment.wall_ms
    }

    /// Time in [lifetime milliseconds](crate::clock::Clock::lifetime_ms), as old as [`Turn::now`].
    pub fn lifetime_ms(&self) -> u64 {
        self.moment.lifetime_ms
    }

    /// Gives back memory of turns that had many more receivers than those since the last call had.
    pub(crate) fn trim(&mut self) {
        self.receivers.trim();
        self.time_shares.trim();
    }

    /// Reads the clocks. Called at every tick and commit, and when another thread begins a turn.
    pub fn tick(&mut self) {
        self.time_shares.others_work();
        self.log.failure.take();
        self.moment = Moment::of(&*self.core.clock);
    }

    /// Whether the work for the Client whose packets are being handled has to stop.
    pub fn is_time_over(&self) -> bool {
        self.work.stretch.is_over(&*self.core.clock)
    }

    /// Whether that work has to stop between two packets: its time is over, or the turn is full.
    /// Reads the clock once in [`STEPS_PER_LOOK`] steps, including those of route lookups.
    pub(crate) fn must_packets_wait(&mut self) -> bool {
        if self.time_shares.is_full() || self.has_many_guests() || is_taken(Rare::PacketsWait) {
            return true;
        }
        let steps = self.work.steps + self.routes.take_steps();
        if steps < STEPS_PER_LOOK {
            self.work.steps = steps;
            return false;
        }
        self.work.steps = 0;
        self.is_time_over()
    }

    /// Whether the thread has connections.
    pub fn serves_clients(&self) -> bool {
        self.thread.home.is_some()
    }

    /// Notes a new connection of this thread's shard, whose first check is at that time.
    pub(crate) fn connection_came(&mut self, place: u32, first_look: Time) {
        self.timers.watch(place, first_look);
        self.time_shares.enter(place);
    }

    /// Calls the places that may go on in the next turn. `ended` is the coarse end time of the last
    /// one. Returns a waker for the next look at the sockets, if connections wait for it.
    pub(crate) fn call_those_next(&mut self, ended: Duration, call: impl FnMut(u32)) -> Option<Waker> {
        let mut next = std::mem::take(&mut self.time_shares.next);
        let look = self.time_shares.turn_ended(ended, &*self.core.clock, &mut next);
        next.drain(..).for_each(call);
        self.time_shares.next = next;
        look
    }

    /// Notes the end of a connection of this thread's shard.
    pub(crate) fn connection_left(&mut self, connection: &Connection) {
        self.timers.cancel(connection.place);
        self.figures().listener(connection.listener.number).closed.add(1);
        if let Some(home) = &self.thread.home {
            home.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Entry of a receiver in this turn.
    pub(crate) fn entry(&mut self, client: &Arc<Client>) -> &mut Receiver {
        if self.receivers.is_empty() {
            self.call_flusher();
        }
        self.receivers.of(client)
    }

    /// Appends a control packet, such as an acknowledgement, for `client` on `connection`. Does
    /// nothing if the Client has left that connection.
    ///
    /// Ends the connection if the packet is larger than the Client takes \[MQTT-3.1.2-24\].
    pub fn control(
        &mut self,
        client: &Arc<Client>,
        connection: &Connection,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        let entry = self.entry(client);
        if entry.connection != connection.number {
            return;
        }
        let packet_bytes_max = entry.packet_bytes_max as usize;
        let (span, ()) = self.arena.encode(encode);
        if span.len() > packet_bytes_max {
            let (len, limit) = (span.len(), packet_bytes_max);
            connection.request_close(Violation::AcknowledgementTooLarge { len, limit }.into());
            return;
        }
        self.counts.control_sent += 1;
        self.entry(client).items.control(span);
    }

    /// Carries out `release` after the commit of this turn's batch; at once if the batch is empty.
    pub(crate) fn when_committed(&mut self, release: Release) {
        self.call_flusher();
        self.releases.on_commit.push(release);
    }

    /// Carries out `release` after the commit of this batch and of all batches before it.
    ///
    /// For the answer to a repeated packet, which promises what the answer to the first one does.
    pub(crate) fn when_all_committed(&mut self, release: Release) {
        self.log.waits_for_earlier = true;
        self.when_committed(release);
    }

    /// Reports the outcome of the next publications of this turn to `watcher`, if they are stored.
    /// Call it before each message, because a turn may hand over a part between two.
    pub fn watch_commit(&mut self, watcher: Arc<dyn CommitWatcher>) {
        self.when_committed(Release::Tell { watcher });
    }

    /// Stamp for a durable change that goes into this turn's batch.
    pub fn stamp(&mut self) -> Stamp {
        self.call_flusher();
        self.log.seat.stamp()
    }

    /// Marks a session that has a durable change in this turn. Call with its state locked.
    pub fn changes(&mut self, client: &Client) {
        client.changed.set(self.stamp());
    }

    /// Notes a message of a Client in this turn, so that its next connection cannot overtake it
    /// \[MQTT-4.6.0-6\]. False if another connection has taken the session over.
    pub(crate) fn brings_message_of(&mut self, client: &Client, connection: &Connection) -> bool {
        if client.published.get() == self.log.seat.current() {
            return true;
        }
        // Under the lock under which sessions are taken over.
        let state = client.state.lock();
        let is_own = state.link.as_ref().is_some_and(|link| std::ptr::addr_eq(&*link.connection, connection));
        if is_own {
            client.published.set(self.stamp());
        }
        is_own
    }

    /// Whether a message of a Client is in this turn.
    pub(crate) fn has_message_of(&self, client: &Client) -> bool {
        client.published.get() == self.log.seat.current()
    }

    /// Whether a change of this turn would overtake the newest one, in the turn of another thread.
    pub(crate) fn is_overtaking(&self, stamp: Stamp) -> bool {
        self.log.seat.is_overtaking(stamp, &self.core.turns, &*self.core.log)
    }

    /// Waits until no change of another thread can be overtaken; not on shards. False on a timeout.
    pub fn let_pass(&self, stamp: Stamp) -> bool {
        !self.is_overtaking(stamp) || self.core.turns.await_end(stamp, &*self.core.clock)
    }

    /// Whether a change is on the disk.
    pub(crate) fn is_on_disk(&self, stamp: Stamp) -> bool {
        self.core.turns.standing(stamp, &*self.core.log) == Standing::OnDisk
    }

    /// Makes sure that the flusher runs although the turn has no receivers.
    pub fn call_flusher(&mut self) {
        if let Some(waker) = self.thread.flusher.take() {
            waker.wake();
        }
    }

    /// Registers the flusher task, which waits for the next turn.
    pub fn await_work(&mut self, waker: &Waker) {
        self.thread.flusher = Some(waker.clone());
    }

    /// Whether the end of this turn has anything for `client`, as far as that is known yet.
    pub(crate) fn may_hold_for(&self, client: &Arc<Client>) -> bool {
        self.receivers.has(client) || !self.releases.on_commit.is_empty()
    }

    /// Writes everything out and starts a new turn.
    pub fn flush(&mut self) {
        self.write_out();
        self.arena.reset();
    }

    /// Writes everything out in the middle of a read if much has been encoded. Received bytes stay
    /// valid. Later acknowledgements of this turn wait for the changes that go to the store now.
    pub(crate) fn relieve(&mut self) {
        if self.log.is_one_batch {
            return;
        }
        if self.arena.scratch_len() > TURN_ENCODED_BYTES_MAX || is_taken(Rare::TurnIsRelieved) {
            self.settle();
            // Later acknowledgements wait for the changes that have just gone to the store.
            self.log.waits_for_earlier = true;
        }
    }

    /// Stores changes in one atomic batch, then relieves the turn.
    pub(crate) fn in_one_batch(&mut self, change: impl FnOnce(&mut Self)) {
        self.log.is_one_batch = true;
        change(self);
        self.log.is_one_batch = false;
        self.relieve();
    }

    /// Writes everything out in the middle of a read; received bytes stay valid.
    pub fn settle(&mut self) {
        self.write_out();
        self.arena.reset_scratch();
    }

    fn write_out(&mut self) {
        // Deliveries may add durable changes, and releases add items: repeat until nothing is left.
        while !self.receivers.is_empty()
            || self.has_guests_to_start()
            || self.has_unsubmitted()
            || self.has_ended_runs()
        {
            self.start_guests();
            self.deliver();
            self.post_guests();
            redistribute_left(self);
            self.submit();
            self.end_runs();
        }
        // Tried again when the store has committed something.
        self.log.is_full &= !self.batch.is_empty();
        if !self.drains.is_empty() && !self.log.is_full {
            // Their rows say by now that they are ending.
            self.drains.drain(..).for_each(|drain| self.context.session_drains.add(drain));
            self.context.tell(|above| above.has_work());
        }
        self.end_guests();
        self.time_shares.written();
        self.log.failure.take();
        self.counts.settle(&self.core.counters, &self.thread.figures);
        self.messages.clear();
    }

    /// Whether so many guests are to be started that the turn should end.
    fn has_many_guests(&self) -> bool {
        self.guests.have_events && self.context.guest_runner.is_full(self)
    }

    /// Whether guests are left to be started in this turn.
    fn has_guests_to_start(&self) -> bool {
        self.guests.have_events && self.context.guest_runner.has_work(self)
    }

    fn start_guests(&mut self) {
        if self.guests.have_events {
            self.context.guest_runner.start(self);
        }
    }

    fn post_guests(&mut self) {
        if self.guests.have_events {
            self.context.guest_runner.post(self);
        }
    }

    fn end_guests(&mut self) {
        if self.guests.have_events {
            self.guests.is_behind = self.context.guest_runner.turn_ended(self);
            self.guests.have_events = self.guests.is_behind;
        }
    }

    /// Whether something waits to be handed to the store, which has not just refused to take it.
    fn has_unsubmitted(&self) -> bool {
        !self.log.is_full
            && (!self.batch.is_empty() || !self.releases.on_commit.is_empty() || self.log.seat.is_stamped())
    }

    fn has_ended_runs(&self) -> bool {
        let may_leave = self.asked.is_empty() && !self.guests.ended_runs.is_empty();
        !self.log.is_full && (may_leave || self.core.ended_runs.has_ended())
    }

    /// Releases messages whose runs have ended, once the store has the effects of these runs.
    fn end_runs(&mut self) {
        if !self.batch.is_empty() {
            return;
        }
        if self.asked.is_empty() {
            self.guests.ended_runs.clear();
        }
        if !self.core.ended_runs.has_ended() {
            return;
        }
        // They let go when they had kept what they keep, so that is among it.
        if self.context.tell(|above| above.hand_over_kept(&self.core)) == Some(true) {
            self.core.ended_runs.take_ended(&mut self.batch);
        } else {
            self.log.is_full = true;
        }
    }

    fn deliver(&mut self) {
        let Self {
            arena,
            receivers,
            messages,
            batch,
            releases,
            delivery,
            core,
            counts,
            time_shares,
            moment,
            thread,
            ..
        } = self;
        let home = thread.home.as_ref().map(|home| home.number);
        let began = time_shares.begin_writing(&*core.clock);
        let fresh_before = counts.sent_at_once();
        let mut context = DeliveryContext {
            arena,
            messages,
            batch,
            on_commit: &mut releases.on_commit,
            core,
            counts,
            figures: &thread.figures,
            time_shares,
            now: moment.now,
            wall_ms: moment.wall_ms,
            lifetime_ms: moment.lifetime_ms,
            home,
        };
        for entry in receivers.drain() {
            // A panic for one receiver must not end the thread that serves all the others.
            let delivered = catch_unwind(AssertUnwindSafe(|| delivery.deliver(entry, &mut context)));
            if delivered.is_err() {
                entry.delivery_panicked();
            }
        }
        receivers.finish();
        time_shares.end_writing(began, &*core.clock);
        let fresh = counts.sent_at_once() - fresh_before;
        if fresh > 0
            && let Some(since) = time_shares.measured_since()
        {
            thread.figures.delivery.observe_alone(core.clock.elapsed().saturating_sub(since), fresh);
        }
    }

    fn submit(&mut self) {
        if self.log.is_full {
            return;
        }
        if self.batch.is_empty() {
            self.nothing_to_submit();
            return;
        }
        let batch = self.batch.take();
        match self.core.log.offer(batch) {
            Ok(ticket) => {
                self.log.seat.handed_over(Some(ticket));
                self.take_settled();
                self.releases.fed.handed_over(ticket);
                if !self.is_of_shard() {
                    // Nobody may look for long whether it has come there.
                    self.releases.fed.leave(&mut self.core.feeding.lock());
                }
                self.hold(ticket);
            }
            Err((StoreError::Full { .. }, batch)) => {
                self.batch = batch;
                self.wait_for_log();
            }
            Err((error, _)) => {
                warn!(%error, "store refused a batch");
                self.releases.fed.refused();
                self.log.seat.handed_over(None);
                for release in std::mem::take(&mut self.releases.on_commit) {
                    release.refused(self, StoreFailure::Failing);
                }
            }
        }
    }

    fn nothing_to_submit(&mut self) {
        self.log.seat.handed_over(None);
        if std::mem::take(&mut self.log.waits_for_earlier) {
            let last = self.core.log.last_ticket();
            self.hold(last);
            return;
        }
        for release in std::mem::take(&mut self.releases.on_commit) {
            release.granted(self);
        }
    }

    /// Waits for room in the log. A shard goes on and retries after a commit; other threads sleep.
    fn wait_for_log(&mut self) {
        match &self.thread.home {
            Some(home) => {
                self.log.is_full = true;
                home.wait_for_commit(true);
            }
            None => self.core.clock.pause(STORE_FULL_PAUSE),
        }
    }

    /// Whether the thread is a shard's.
    pub(crate) fn is_of_shard(&self) -> bool {
        self.thread.home.is_some()
    }

    /// Whether the store took no more.
    pub(crate) fn is_log_full(&self) -> bool {
        self.log.is_full
    }

    /// Failure because of which the broker stores nothing for clients. Cached for the turn.
    pub(crate) fn refuses_to_store(&self) -> Option<StoreFailure> {
        let known = &self.log.failure;
        known.get().unwrap_or_else(|| {
            let failure = self.core.refuses_to_store();
            known.set(Some(failure));
            failure
        })
    }

    /// Pauses `connection` if its Client's changes have to wait for the disk. True if paused.
    pub(crate) fn wait_for_store(&mut self, connection: &Arc<Connection>, client: &Client) -> bool {
        let Some(home) = &self.thread.home else { return false };
        if !self.must_rest_for_store(client) {
            return false;
        }
        home.wait_for_commit(true);
        if !connection.is_paused.swap(true, Ordering::Relaxed) {
            self.pauses.for_store.push(Arc::clone(connection));
        }
        true
    }

    /// Whether the disk has to catch up before more of this Client is stored.
    pub(crate) fn must_rest_for_store(&self, client: &Client) -> bool {
        self.is_store_busy_for(|| Some(client.share()))
    }

    /// Whether the disk is behind for this share; without one only if the log is nearly full.
    pub fn is_store_busy_for(&self, share: impl FnOnce() -> Option<Arc<Share>>) -> bool {
        let (log, more) = (&self.core.log, self.batch.bytes());
        self.is_log_full()
            || self.releases.count() >= crate::limits::RELEASES_WAITING_MAX
            || (log.is_congested(more)
                && (log.is_nearly_full(more)
                    || share().is_some_and(|share| share.feeds_too_much(log.congested_bytes()))))
    }

    /// Calls the connections that wait for the disk; some register again. Call with every tick,
    /// because others may now have exceeded their share of the disk.
    pub(crate) fn wake_paused(&mut self) {
        self.take_settled();
        for connection in std::mem::take(&mut self.pauses.for_store) {
            connection.is_paused.store(false, Ordering::Relaxed);
            connection.call_owner();
        }
    }

    fn take_settled(&mut self) {
        let Self { releases, core, .. } = self;
        let is_settled = |ticket| core.log.settled(ticket).is_some();
        releases.fed.take_settled(is_settled);
        if let Some(mut feeding) = core.feeding.try_lock() {
            feeding.take_settled(is_settled);
        }
    }

    /// Arranges for `connection` to be called at this time, as when its throttling ends.
    pub fn throttle(&mut self, connection: &Arc<Connection>, until: Time) {
        self.pauses.throttled.push((until, Arc::downgrade(connection)));
    }

    /// Calls the connections whose throttling has ended. Call with every tick.
    pub(crate) fn wake_throttled(&mut self) {
        let now = self.moment.now;
        for (_, connection) in self.pauses.throttled.extract_if(.., |(until, _)| *until <= now) {
            if let Some(connection) = connection.upgrade() {
                connection.call_owner();
            }
        }
    }

    fn hold(&mut self, ticket: Ticket) {
        self.log.waits_for_earlier = false;
        if is_planted(Fault::AnswerBeforeCommit) {
            std::mem::take(&mut self.releases.on_commit)
                .into_iter()
                .for_each(|release| release.granted(self));
        }
        if self.releases.on_commit.is_empty() {
            return;
        }
        if self.thread.home.is_none() {
            // Nobody calls this thread when the store has committed.
            let releases = std::mem::take(&mut self.releases.on_commit);
            self.context.tell(|above| above.release_when_committed(ticket, releases));
            return;
        }
        self.releases.hold_all(ticket);
        self.wait_for_commit();
    }

    /// Carries out releases after the commit of another thread's batch; on a shard.
    pub fn release_when_committed(&mut self, ticket: Ticket, releases: Vec<Release>) {
        self.releases.hold(ticket, releases.into_iter());
        self.wait_for_commit();
    }

    fn wait_for_commit(&mut self) {
        if let Some(home) = &self.thread.home {
            home.wait_for_commit(true);
        }
        // The commit may have been faster than the shard's wish to hear of it.
        self.release_committed();
    }

    /// Carries out all releases whose batch has been settled since the last call.
    pub(crate) fn release_committed(&mut self) {
        let core = Arc::clone(&self.core);
        // Most that wait do so for the same ticket as the one before.
        let mut last = None;
        let mut settled = |ticket| match last {
            Some((known, outcome)) if known == ticket => Some(outcome),
            _ => {
                let outcome = core.log.settled(ticket)?.map_err(StoreFailure::from);
                last = Some((ticket, outcome));
                Some(outcome)
            }
        };
        while let Some((release, outcome)) = self.releases.pop(&mut settled) {
            match outcome {
                Ok(()) => release.granted(self),
                Err(_) if is_planted(Fault::FailureForgotten) => release.granted(self),
                Err(failure) => release.refused(self, failure),
            }
        }
    }

    /// Carries out releases with settled commits. Called after commits, and now and then.
    pub fn commits_settled(&mut self) {
        if std::mem::take(&mut self.log.is_full) {
            self.call_flusher();
        }
        self.release_committed();
        if !self.core.log.is_congested(0) {
            self.wake_paused();
        }
        if self.releases.is_empty()
            && self.pauses.for_store.is_empty()
            && let Some(home) = &self.thread.home
        {
            home.wait_for_commit(false);
        }
    }
}
