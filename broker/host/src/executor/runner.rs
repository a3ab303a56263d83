//! Runner of a definition: its guest, mailbox, instance and figures.
//!
//! Invariants: the thread that sets [`Activity::Running`] owns the instance until the next change;
//! the run queue is never locked while the mailbox is; after [`Runner::replace`] has returned, an
//! old version's instance starts no run.

use super::{
    Errand, Shared,
    called::CalledTraps,
    mailbox::{Activity, Job, Mailbox, MailboxOptions, PostError, Posted, TrappedRun},
    poison::{self, Poison},
    spare::{Spares, Taken},
    spec::{CompilingSpec, RunnerMetrics, RunnerSpec, RunnerState},
    starts::RunnerStarts,
};
use crate::{
    ActionInstance, Argument, Engine, Event, Grants, Guest, GuestId, GuestLimits, MailboxRoom, NestedCall,
    OwnedEvent, RunContext, RunError, RunOutcome, Services, Trap, TrapKind, Value,
    limits::{
        BATCH_PAUSE, BATCH_TIME, FAILED_AFTER_TRAPS, HELD_BACK_FACTOR, HOPS_MAX, RUN_BOUNDS, RUN_BUCKETS,
        RUNS_PER_LOCK,
    },
    texts::COMPILING,
};
use lotmq_histogram::{DurationCounts, Histogram};
use lotmq_shares::{OwnerKey, quota_key};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// Pause of a runner that does not restart by itself, in no queue: longer than any broker runs.
const DOWN: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// One of so many runs is measured.
pub(super) const RUNS_PER_MEASURED: u64 = 8;

/// Figures of some runs, to be added in one step.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) runs: u64,
    errors: u64,
    traps: u64,
    slices_expired: u64,
    measured: DurationCounts<RUN_BUCKETS>,
    /// Time of all stopped runs; behind it the time of those that are in `measured`, too.
    stopped: Duration,
    measured_stopped: Duration,
    measured_traps: u64,
}

impl Tally {
    /// Counts a run; returns its time if it was measured. The time of a stopped run always counts,
    /// as long as it was seen to run.
    pub(super) fn count(
        &mut self,
        outcome: &RunOutcome,
        began: Option<Instant>,
        instance: Option<&ActionInstance>,
    ) -> Option<(Instant, Duration)> {
        match outcome {
            RunOutcome::SliceExpired => {
                self.slices_expired += 1;
                return None;
            }
            RunOutcome::Done(_) => {}
            RunOutcome::Failed(_) => self.errors += 1,
            RunOutcome::Trapped(_) => self.traps += 1,
        }
        self.runs += 1;
        let elapsed = began.map(|began| began.elapsed());
        if matches!(outcome, RunOutcome::Trapped(_)) {
            let seen = || instance.map_or(Duration::ZERO, ActionInstance::seen_to_run);
            self.stopped += elapsed.unwrap_or_else(seen);
            self.measured_stopped += elapsed.unwrap_or_default();
            self.measured_traps += u64::from(elapsed.is_some());
        }
        let (began, elapsed) = began.zip(elapsed)?;
        self.measure(1, elapsed);
        Some((began, elapsed))
    }

    /// Counts the time of some runs.
    pub(super) fn measure(&mut self, runs: u64, elapsed: Duration) {
        if let Some(each) = u32::try_from(runs).ok().and_then(|runs| elapsed.checked_div(runs)) {
            self.measured.observe(RUN_BOUNDS, each, runs);
        }
    }
}

impl Figures {
    fn add(&self, tally: &Tally) {
        for (figure, more) in [
            (&self.runs, tally.runs),
            (&self.errors, tally.errors),
            (&self.traps, tally.traps),
            (&self.slices_expired, tally.slices_expired),
            (&self.stopped_ns, nanoseconds(tally.stopped)),
            (&self.measured_stopped_ns, nanoseconds(tally.measured_stopped)),
            (&self.measured_traps, tally.measured_traps),
        ] {
            if more > 0 {
                figure.fetch_add(more, Ordering::Relaxed);
            }
        }
        let measured = tally.measured.count();
        if measured > 0 {
            self.measured_runs.fetch_add(measured, Ordering::Relaxed);
            self.run_times.add(&tally.measured);
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Runner of a definition: its place on the executor, which stays when its code is replaced.
pub struct Runner {
    id: GuestId,
    name: Arc<str>,
    tenant: u32,
    /// Account of its owner; 0 for nobody.
    account: AtomicU64,
    engine: Engine,
    /// `None` while it is still being compiled.
    code: Mutex<Option<Code>>,
    mailbox_options: MailboxOptions,
    pub(super) mailbox: Mutex<Mailbox>,
    /// Instances for nested calls and concurrent runs, with a copy of [`Mailbox::version`].
    pub(super) spares: Spares,
    executor: Arc<Shared>,
    figures: Figures,
    is_traced: AtomicBool,
    /// Whether [`Mailbox::poisons`] knows any, without its lock.
    has_poisons: AtomicBool,
    /// Whether it has trapped and does not [begin again](GuestLimits::restarts) by itself.
    stays_down: AtomicBool,
    called: CalledTraps,
    /// Messages that run one by one before batches are tried again.
    batch_pause: AtomicU32,
    /// Sweeps since it last ran.
    idle_sweeps: AtomicU8,
    me: Weak<Runner>,
}

struct Code {
    guest: Guest,
    services: Arc<dyn Services>,
    grants: Arc<Grants>,
    limits: GuestLimits,
}

struct Figures {
    runs: AtomicU64,
    errors: AtomicU64,
    traps: AtomicU64,
    slices_expired: AtomicU64,
    measured_runs: AtomicU64,
    run_times: Histogram<RUN_BUCKETS>,
    /// Time of all stopped runs; behind it time and number of those in the histogram.
    stopped_ns: AtomicU64,
    measured_stopped_ns: AtomicU64,
    measured_traps: AtomicU64,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            runs: AtomicU64::default(),
            errors: AtomicU64::default(),
            traps: AtomicU64::default(),
            slices_expired: AtomicU64::default(),
            measured_runs: AtomicU64::default(),
            run_times: Histogram::new(RUN_BOUNDS),
            stopped_ns: AtomicU64::default(),
            measured_stopped_ns: AtomicU64::default(),
            measured_traps: AtomicU64::default(),
        }
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("id", &self.id).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl Runner {
    pub(super) fn new(spec: RunnerSpec, executor: Arc<Shared>) -> Arc<Runner> {
        let RunnerSpec { id, name, tenant, guest, services, grants, limits, mailbox, is_pure } = spec;
        let account = grants.acting.now().account;
        let engine = guest.engine().clone();
        let code = Code { guest, services, grants, limits };
        let identity = CompilingSpec { id, name, tenant, account, mailbox };
        Self::with_code(identity, engine, (Some(code), is_pure), executor)
    }

    /// Makes a runner that waits for its code.
    pub(super) fn compiling(spec: CompilingSpec, engine: Engine, executor: Arc<Shared>) -> Arc<Runner> {
        let runner = Self::with_code(spec, engine, (None, false), executor);
        runner.mailbox.lock().activity = Activity::Compiling;
        runner
    }

    fn with_code(
        spec: CompilingSpec,
        engine: Engine,
        (code, is_pure): (Option<Code>, bool),
        executor: Arc<Shared>,
    ) -> Arc<Runner> {
        let room = engine.mailbox_room(spec.account);
        Arc::new_cyclic(|me| Runner {
            id: spec.id,
            name: spec.name,
            tenant: spec.tenant,
            account: AtomicU64::new(spec.account),
            engine,
            code: Mutex::new(code),
            mailbox_options: spec.mailbox,
            mailbox: Mutex::new(Mailbox::new(is_pure, room)),
            spares: Spares::default(),
            executor,
            figures: Figures::default(),
            is_traced: AtomicBool::new(false),
            has_poisons: AtomicBool::new(false),
            stays_down: AtomicBool::new(false),
            called: CalledTraps::default(),
            batch_pause: AtomicU32::new(0),
            idle_sweeps: AtomicU8::new(0),
            me: me.clone(),
        })
    }

    /// The server's name for it.
    pub fn id(&self) -> GuestId {
        self.id
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its tenant.
    pub fn tenant(&self) -> u32 {
        self.tenant
    }

    /// In whose name it runs.
    pub(super) fn owner(&self) -> OwnerKey {
        OwnerKey { tenant: self.tenant, quota_key: quota_key(self.account.load(Ordering::Relaxed)) }
    }

    /// Appends an event to the mailbox. [`FinishedRun`](crate::FinishedRun) returns `tag`.
    pub fn post(&self, event: OwnedEvent, hops: u8, tag: u64) -> Result<Posted, PostError> {
        self.put(Job { event, hops, tag }, false, &mut RunnerStarts::default())
    }

    /// Like [`post`](Self::post) for one of several events: dropping `starts` starts their runs.
    pub fn post_one_of(
        &self,
        event: OwnedEvent,
        hops: u8,
        starts: &mut RunnerStarts,
    ) -> Result<Posted, PostError> {
        self.put(Job { event, hops, tag: 0 }, false, starts)
    }

    /// The same for a sender that waits when the mailbox is [crowded](Posted::Crowded). While the
    /// definition runs, the mailbox takes up to [`HELD_BACK_FACTOR`] times its bounds.
    pub fn post_held_back(
        &self,
        event: OwnedEvent,
        hops: u8,
        starts: &mut RunnerStarts,
    ) -> Result<Posted, PostError> {
        self.put(Job { event, hops, tag: 0 }, true, starts)
    }

    fn put(&self, job: Job, sender_waits: bool, starts: &mut RunnerStarts) -> Result<Posted, PostError> {
        let hops = job.hops;
        if hops > HOPS_MAX {
            return Err(PostError::TooManyHops { hops });
        }
        let mut mailbox = self.mailbox.lock();
        if mailbox.activity == Activity::Closed {
            return Err(PostError::Stopped);
        }
        let factor = if sender_waits && mailbox.is_busy() { HELD_BACK_FACTOR } else { 1 };
        let posted = mailbox.push(job, &self.mailbox_options, factor)?;
        if mailbox.activity == Activity::Idle {
            mailbox.activity = Activity::Ready;
            starts.add(self.me.upgrade());
        }
        Ok(posted)
    }

    /// Gives its executor an errand for an owner.
    pub fn give(&self, errand: Arc<dyn Errand>) {
        self.executor.queue.push_errand(errand);
    }

    /// Room for events that the server keeps for its owner.
    pub fn mailbox_room(&self) -> MailboxRoom {
        self.engine.mailbox_room(self.account.load(Ordering::Relaxed))
    }

    /// Ready when the mailbox is less than a quarter full, or when the definition does not run. So
    /// a paused definition blocks no sender. Otherwise wakes the task later.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let waits = self.mailbox.lock().wait_for_room(&self.mailbox_options, cx.waker());
        if waits { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Runs it as the callee of another definition, on the thread and in the time of the caller.
    /// Calls and runs of the mailbox may overlap: each has an instance of its own.
    pub fn call_nested(&self, call: NestedCall<'_>, inputs: &[Argument]) -> Result<Vec<Value>, RunError> {
        if self.stays_down() {
            let message = format!("'{}' has trapped and does not begin again by itself", self.name);
            return Err(RunError::new("MODULE_FAILED", message));
        }
        if !self.called.may_be_called() {
            let message =
                format!("'{}' has failed: it trapped {FAILED_AFTER_TRAPS} times, and pauses", self.name);
            return Err(RunError::new("MODULE_FAILED", message));
        }
        let mut taken = Taken::new(self).map_err(|trap| self.not_called(trap))?;
        let instance = taken.instance.as_mut().expect("one is taken or made");
        self.idle_sweeps.store(0, Ordering::Relaxed);
        // Reads no clock unless the caller has run for long.
        let had = call.deadline.budget.saturating_sub(call.deadline.seen());
        let event = Event::Call { inputs, trigger: call.trigger };
        let call = NestedCall { run: RunContext { definition: self.id, ..call.run }, ..call };
        let outcome = instance.run_nested(&event, call);
        let figure = if instance.is_poisoned() {
            self.go_down();
            self.trapped_in_call(outcome.as_ref().err(), had);
            Some(&self.figures.traps)
        } else {
            self.called.ended_well();
            outcome.is_err().then_some(&self.figures.errors)
        };
        self.figures.runs.fetch_add(1, Ordering::Relaxed);
        if let Some(figure) = figure {
            figure.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    /// Error of a call for which no instance was to be had.
    fn not_called(&self, trap: Trap) -> RunError {
        if self.is_compiling() {
            return RunError::new(COMPILING, format!("'{}' is still being compiled", self.name));
        }
        trap.into()
    }

    /// Whether its code is still being compiled.
    pub fn is_compiling(&self) -> bool {
        self.mailbox.lock().activity == Activity::Compiling
    }

    /// Notes a trap in a call, for which the caller had so much time left.
    fn trapped_in_call(&self, error: Option<&RunError>, had: Duration) {
        let GuestLimits { time, restarts, .. } = self.limits();
        if restarts && CalledTraps::is_its_own(error, had, time) {
            self.called.trapped();
        }
    }

    /// Whether it has failed at messages, so that it need not be called.
    pub fn has_failed_at_messages(&self) -> bool {
        self.stays_down() || self.mailbox.lock().has_failed(self.ended_otherwise())
    }

    /// Limits of a run; the usual ones while there is no code.
    fn limits(&self) -> GuestLimits {
        self.code.lock().as_ref().map_or_else(GuestLimits::default, |code| code.limits)
    }

    /// Puts other code in its place, with these limits, between two events; what waits stays.
    /// Clears its pauses, and begins to run one that was still being compiled.
    pub fn replace(
        &self,
        guest: Guest,
        services: Arc<dyn Services>,
        grants: Arc<Grants>,
        limits: GuestLimits,
        is_pure: bool,
    ) {
        let account = grants.acting.now().account;
        *self.code.lock() = Some(Code { guest, services, grants, limits });
        let mut mailbox = self.mailbox.lock();
        mailbox.acts_for(account);
        self.account.store(account, Ordering::Relaxed);
        mailbox.version += 1;
        mailbox.is_pure = is_pure;
        self.spares.replace(mailbox.version);
        mailbox.instance = None;
        mailbox.forget_traps();
        self.has_poisons.store(false, Ordering::Relaxed);
        self.stays_down.store(false, Ordering::Relaxed);
        self.called.forget();
        match mailbox.activity {
            Activity::Compiling => self.get_going(mailbox),
            Activity::Idle
            | Activity::Ready
            | Activity::Running
            | Activity::Pausing(_)
            | Activity::Closed => self.wake(mailbox),
        }
    }

    /// Lets it run again at once while it pauses, as if it had never trapped.
    pub fn enable(&self) {
        let mut mailbox = self.mailbox.lock();
        mailbox.forget_traps();
        self.has_poisons.store(false, Ordering::Relaxed);
        self.stays_down.store(false, Ordering::Relaxed);
        self.called.forget();
        self.wake(mailbox);
    }

    /// Removes it: drops and counts waiting events, rejects new ones. A run under way
    /// ends normally. Returns the number of dropped events.
    pub fn close(&self) -> usize {
        let mut mailbox = self.mailbox.lock();
        let waited = mailbox.len();
        mailbox.activity = Activity::Closed;
        self.spares.close();
        mailbox.instance = None;
        mailbox.clear();
        self.call_waiters(mailbox);
        waited
    }

    /// Whether it is ready, pauses, or has failed.
    pub fn state(&self) -> RunnerState {
        let mailbox = self.mailbox.lock();
        let pause = match mailbox.activity {
            Activity::Pausing(until) => until.saturating_duration_since(Instant::now()),
            Activity::Compiling | Activity::Idle | Activity::Ready | Activity::Running | Activity::Closed => {
                Duration::ZERO
            }
        };
        match mailbox.activity {
            Activity::Closed => RunnerState::Closed,
            Activity::Compiling => RunnerState::Compiling,
            _ if self.stays_down() => RunnerState::Failed(DOWN),
            _ if mailbox.has_failed(self.ended_otherwise()) => RunnerState::Failed(pause),
            _ if let Some(pause) = self.called.pause() => RunnerState::Failed(pause),
            Activity::Idle | Activity::Ready | Activity::Running => RunnerState::Enabled,
            Activity::Pausing(_) => RunnerState::Pausing(pause),
        }
    }

    /// Its figures.
    pub fn metrics(&self) -> RunnerMetrics {
        let (dropped, waiting, began) = {
            let mailbox = self.mailbox.lock();
            let began = mailbox.turn_began.filter(|_| mailbox.activity == Activity::Running);
            (mailbox.dropped, mailbox.len(), began)
        };
        let load = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        RunnerMetrics {
            runs: load(&self.figures.runs),
            errors: load(&self.figures.errors),
            traps: load(&self.figures.traps),
            slices_expired: load(&self.figures.slices_expired),
            dropped,
            waiting,
            mean_run_time: self.mean_run_time(),
            run_times: self.figures.run_times.read(),
            time: self.time(),
            turn: began.map_or(Duration::ZERO, |began| began.elapsed()),
        }
    }

    /// Measures every run from now on, for `-actionTrace`, or no longer.
    pub fn set_traced(&self, traced: bool) {
        self.is_traced.store(traced, Ordering::Relaxed);
    }

    /// Whether it has an instance.
    pub(super) fn is_warm(&self) -> bool {
        let mailbox = self.mailbox.lock();
        let running = mailbox.activity == Activity::Running;
        running || mailbox.instance.is_some() || !self.spares.is_empty()
    }

    /// Counts a sweep, and drops instances unused for two sweeps. Returns whether one is left.
    pub(super) fn cool_down(&self, at_once: bool) -> bool {
        const IDLE_SWEEPS: u8 = 2;
        let sweeps = self.idle_sweeps.load(Ordering::Relaxed).saturating_add(1);
        self.idle_sweeps.store(sweeps, Ordering::Relaxed);
        if !at_once && sweeps <= IDLE_SWEEPS {
            return true;
        }
        let spares_run = self.spares.clear();
        let mut mailbox = self.mailbox.lock();
        let instance = mailbox.instance.take();
        let running = mailbox.activity == Activity::Running || spares_run;
        drop(mailbox);
        drop(instance);
        running
    }

    /// Its pause is over: whether it has anything to do.
    pub(super) fn resume(&self, now: Instant) -> bool {
        let mut mailbox = self.mailbox.lock();
        if !matches!(mailbox.activity, Activity::Pausing(until) if until <= now) {
            return false;
        }
        let has_mail = mailbox.len() > 0;
        mailbox.activity = if has_mail { Activity::Ready } else { Activity::Idle };
        has_mail
    }

    /// Begins the turn of a worker; returns the instance, if there is one. `None` if it is closed.
    pub(super) fn begin_turn(&self) -> Option<(Option<Box<ActionInstance>>, u64)> {
        let mut mailbox = self.mailbox.lock();
        let begun = (mailbox.activity == Activity::Ready).then(|| Self::begin(&mut mailbox))?;
        mailbox.turn_began = Some(Instant::now());
        Some(begun)
    }

    /// The calling thread has it for itself from now on.
    pub(super) fn begin(mailbox: &mut Mailbox) -> (Option<Box<ActionInstance>>, u64) {
        mailbox.activity = Activity::Running;
        mailbox.turn_began = None;
        (mailbox.instance.take(), mailbox.version)
    }

    /// Time of a turn after which others have theirs.
    pub(super) fn turn_time_max(&self) -> Duration {
        self.executor.options.turn_time_max
    }

    /// Moves the next events of the turn to `jobs`; none when other code was put in place.
    pub(super) fn take_jobs(&self, version: u64, jobs: &mut VecDeque<Job>) {
        let mut mailbox = self.mailbox.lock();
        if mailbox.version == version && mailbox.activity == Activity::Running {
            mailbox.take(RUNS_PER_LOCK, jobs);
        }
    }

    /// Whether a run of this version may begin: the code was not replaced, nor the runner closed.
    pub(super) fn may_run(&self, version: u64) -> bool {
        self.spares.version() == version
    }

    /// Puts back jobs that did not run. A closed definition counts them as dropped.
    pub(super) fn put_back(&self, jobs: &mut VecDeque<Job>) {
        self.mailbox.lock().put_back(jobs);
    }

    /// Ends the turn: puts back the instance, and enqueues the definition if events wait.
    pub(super) fn end_turn(&self, instance: Option<Box<ActionInstance>>, version: u64) {
        let mut mailbox = self.mailbox.lock();
        if mailbox.activity != Activity::Running {
            return;
        }
        if mailbox.version == version {
            mailbox.instance = instance;
        }
        self.idle_sweeps.store(0, Ordering::Relaxed);
        if self.stays_down() {
            // A call beside the turn has trapped.
            mailbox.activity = Activity::Pausing(Instant::now() + DOWN);
            return self.call_waiters(mailbox);
        }
        let has_mail = mailbox.len() > 0;
        mailbox.activity = if has_mail { Activity::Ready } else { Activity::Idle };
        self.call_waiters(mailbox);
        if has_mail {
            self.enqueue();
        }
    }

    /// Whether it has trapped and does not begin again by itself.
    fn stays_down(&self) -> bool {
        self.stays_down.load(Ordering::Relaxed)
    }

    /// Notes a trap of a guest that does not restart: it pauses until enabled, its events wait.
    fn go_down(&self) {
        if self.limits().restarts {
            return;
        }
        self.stays_down.store(true, Ordering::Relaxed);
        let mut mailbox = self.mailbox.lock();
        if matches!(mailbox.activity, Activity::Idle | Activity::Ready) {
            mailbox.activity = Activity::Pausing(Instant::now() + DOWN);
            self.call_waiters(mailbox);
        }
    }

    /// Ends a change of the mailbox: who waited for room is called when there is some.
    fn call_waiters(&self, mut mailbox: MutexGuard<'_, Mailbox>) {
        let waiters = mailbox.take_waiters(&self.mailbox_options);
        drop(mailbox);
        waiters.into_iter().for_each(Waker::wake);
    }

    /// Ends a turn with a trap, for a run of this message if given: the definition pauses.
    pub(super) fn end_trapped(&self, poison: Option<Poison>, took: Duration) {
        self.trapped_while(Activity::Running, poison, took);
    }

    /// Notes a trap: the definition pauses if this is its activity.
    pub(super) fn trapped_while(&self, activity: Activity, poison: Option<Poison>, took: Duration) {
        let now = Instant::now();
        let ended_before = self.ended_otherwise();
        self.go_down();
        let mut mailbox = self.mailbox.lock();
        if mailbox.activity != activity {
            return;
        }
        if self.stays_down() {
            mailbox.instance = None;
            mailbox.activity = Activity::Pausing(now + DOWN);
            return self.call_waiters(mailbox);
        }
        mailbox.activity = mailbox.trapped(now, TrappedRun { poison, took, ended_before });
        self.has_poisons.store(!mailbox.poisons.is_empty(), Ordering::Relaxed);
        let activity = mailbox.activity;
        self.call_waiters(mailbox);
        if let Activity::Pausing(until) = activity {
            self.pause(until);
        }
    }

    /// Number of runs that ended otherwise than by a trap.
    fn ended_otherwise(&self) -> u64 {
        let load = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        load(&self.figures.runs).saturating_sub(load(&self.figures.traps))
    }

    /// Returns why no run begins for a message that caused traps and pauses. Counts it as dropped.
    /// Costs nothing while no message has caused a trap.
    pub(super) fn refuses(&self, event: &Event<'_>) -> Option<RunError> {
        if !self.has_poisons.load(Ordering::Relaxed) {
            return None;
        }
        let poison = Poison::of(event)?;
        let now = Instant::now();
        let mut mailbox = self.mailbox.lock();
        let until = mailbox.poisons.paused_until(poison, now);
        self.has_poisons.store(!mailbox.poisons.is_empty(), Ordering::Relaxed);
        mailbox.dropped += u64::from(until.is_some());
        Some(poison::refusal(until?.saturating_duration_since(now)))
    }

    /// No instance was to be had, through no fault of the definition: tries again a little later.
    pub(super) fn end_without_instance(&self) {
        const PAUSE: Duration = Duration::from_millis(5);
        let until = Instant::now() + PAUSE;
        let mut mailbox = self.mailbox.lock();
        if mailbox.activity != Activity::Running {
            return;
        }
        mailbox.activity = Activity::Pausing(until);
        self.call_waiters(mailbox);
        self.pause(until);
    }

    /// A new instance. When the pool has no place for it, those of idle definitions of its owner
    /// are dropped first, and then those of all, if nobody has one.
    pub(super) fn instance(&self) -> Result<Box<ActionInstance>, Trap> {
        let (guest, services, grants, limits) = {
            let code = self.code.lock();
            let Some(code) = &*code else {
                let message = "its code is still being compiled".to_owned();
                return Err(Trap { kind: TrapKind::Start, message, function: None });
            };
            (code.guest.clone(), code.services.clone(), code.grants.clone(), code.limits)
        };
        self.executor.warmed(self.me.clone());
        let make = || guest.instance(services.clone(), grants.clone(), limits);
        let mut made = make();
        if matches!(made, Err(Trap { kind: TrapKind::Pool, .. })) {
            self.executor.sweep_of(self.owner());
            made = make();
        }
        if matches!(made, Err(Trap { kind: TrapKind::Pool, .. })) && guest.engine().memory().is_full() {
            self.executor.sweep(true);
            made = make();
        }
        made.map(Box::new)
    }

    /// Whether the next run is to be measured, after so many that are not counted yet.
    pub(super) fn is_measured(&self, uncounted: u64) -> bool {
        let runs = self.figures.runs.load(Ordering::Relaxed) + uncounted;
        self.is_traced() || runs.is_multiple_of(RUNS_PER_MEASURED)
    }

    /// Returns how many of the waiting messages may run in one call; 1 disables batches.
    pub(super) fn batch_max(&self, waiting: usize) -> usize {
        if self.is_traced() {
            return 1;
        }
        let pause = self.batch_pause.load(Ordering::Relaxed);
        if pause > 0 {
            let less = pause.saturating_sub(u32::try_from(waiting).unwrap_or(u32::MAX));
            self.batch_pause.store(less, Ordering::Relaxed);
            return 1;
        }
        let mean = self.mean_run_time().unwrap_or_default().as_nanos().max(1);
        usize::try_from(BATCH_TIME.as_nanos() / mean).unwrap_or(usize::MAX).clamp(1, waiting)
    }

    /// Of a batch some messages have to run one by one.
    pub(super) fn pause_batches(&self) {
        self.batch_pause.store(BATCH_PAUSE, Ordering::Relaxed);
    }

    /// Mean time of the runs that were measured.
    fn mean_run_time(&self) -> Option<Duration> {
        let measured = self.figures.measured_runs.load(Ordering::Relaxed);
        let sum = self.figures.run_times.sum().as_nanos();
        let mean = sum.checked_div(measured.into())?;
        Some(Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX)))
    }

    /// Time of all runs, as far as that is known: see [`RunnerMetrics::time`].
    fn time(&self) -> Duration {
        let load = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let Figures { runs, traps, measured_runs, measured_traps, .. } = &self.figures;
        let (ended, measured) = (load(runs).saturating_sub(load(traps)), load(measured_runs));
        let measured = measured.saturating_sub(load(measured_traps));
        let sum = self.figures.run_times.sum();
        let sum = sum.saturating_sub(Duration::from_nanos(load(&self.figures.measured_stopped_ns)));
        let of_ended = (sum.as_nanos() * u128::from(ended)).checked_div(measured.into()).unwrap_or_default();
        let of_ended = Duration::from_nanos(u64::try_from(of_ended).unwrap_or(u64::MAX));
        of_ended.saturating_add(Duration::from_nanos(load(&self.figures.stopped_ns)))
    }

    /// Whether every run is measured.
    pub(super) fn is_traced(&self) -> bool {
        self.is_traced.load(Ordering::Relaxed)
    }

    /// Counts a run; gives its time when it was measured.
    pub(super) fn account(
        &self,
        outcome: &RunOutcome,
        began: Option<Instant>,
        instance: &ActionInstance,
    ) -> Option<(Instant, Duration)> {
        let mut tally = Tally::default();
        let timing = tally.count(outcome, began, Some(instance));
        self.figures.add(&tally);
        timing
    }

    /// Counts runs that were tallied elsewhere.
    pub(super) fn add_runs(&self, tally: &Tally) {
        self.figures.add(tally);
        self.idle_sweeps.store(0, Ordering::Relaxed);
    }

    /// Ends a pause.
    fn wake(&self, mailbox: MutexGuard<'_, Mailbox>) {
        if matches!(mailbox.activity, Activity::Pausing(_)) {
            self.get_going(mailbox);
        }
    }

    /// Has what waits run, if anything does.
    fn get_going(&self, mut mailbox: MutexGuard<'_, Mailbox>) {
        let has_mail = mailbox.len() > 0;
        mailbox.activity = if has_mail { Activity::Ready } else { Activity::Idle };
        drop(mailbox);
        if has_mail {
            self.enqueue();
        }
    }

    pub(super) fn enqueue(&self) {
        if let Some(me) = self.me.upgrade() {
            self.executor.queue.push(me);
        }
    }

    fn pause(&self, until: Instant) {
        if let Some(me) = self.me.upgrade() {
            self.executor.queue.push_pausing(me, until);
        }
    }
}
