//! Housekeeping, by the clock: timers of definitions, kept values on their way to the store, error
//! records, expiry timers of absent Clients, old passwords, changed certificates, how full disk and
//! heap are, log lines on their way to `$SYS` topics.
//!
//! One thread. It sleeps until the next timer, and while there are definitions never longer than
//! [`PERIOD`]. While all [shards rest](Broker::rests) and no timer has started anything for
//! [`RUN_TIME`] it wakes for what is due and now and then, and whatever ends that wakes it; it
//! wakes the thread of `$SYS` figures then, which sleeps for as long.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::warn;

use super::storage_watch::StorageWatch;
use lotmq_core::client::{delayed, housekeeping};
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;
use lotmq_operations::broker::Broker;
use lotmq_operations::limits::RESTING_PERIOD;
use lotmq_process::clock::definitions_now;
use lotmq_process::heap::Heap;
use lotmq_process::limits::ROUND_SILENCE_MAX;
use lotmq_process::this_turn;
use lotmq_process::watchdog::Watched;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::interrupted_runs::InterruptedRuns;
use lotmq_programs::round_robin::RoundResult;

/// Longest sleep while there is something to look after: kept values are durable within 100 ms.
const PERIOD: Duration = Duration::from_millis(50);

/// Longest sleep otherwise.
const PERIOD_IDLE: Duration = Duration::from_millis(500);

/// Shortest time between two changes of a definition's error topic (commands reference §5).
const RECORDS_PERIOD: Duration = Duration::from_millis(200);

/// Time after the start of a run by a timer in which its errors are looked for at each round.
const RUN_TIME: Duration = Duration::from_secs(1);

/// Longest time for session drains when the broker stops.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// Starts the thread.
///
/// # Errors
/// When the system gives none.
pub(crate) fn start(
    broker: &Arc<Broker>,
    interrupted_runs: &Arc<InterruptedRuns>,
) -> std::io::Result<JoinHandle<()>> {
    let (broker, interrupted_runs) = (Arc::clone(broker), Arc::clone(interrupted_runs));
    std::thread::Builder::new().name("housekeeping".to_owned()).spawn(move || {
        let _watched = Watched::new(&broker.hosting.watchdog, "housekeeping");
        this_turn::install(Arc::clone(&broker.hosting.context), None);
        let pulse = broker.hosting.watchdog.pulses.add("housekeeping", ROUND_SILENCE_MAX);
        let mut housekeeper = Housekeeper::new(&broker, &interrupted_runs);
        loop {
            pulse.begins(Instant::now());
            let wait = this_turn::with(|turn| {
                turn.tick();
                let wait = housekeeper.round(turn);
                turn.flush();
                wait
            });
            pulse.waits_until(Instant::now() + wait);
            if !broker.hosting.housekeeping.sleep(wait) {
                break;
            }
        }
        end_the_last();
        // Kept values, variables and secrets of the last moments.
        for tenant in broker.hosting.tenants.all().iter() {
            let guests = &tenant.programs().guests;
            lotmq_programs::keep_windows(guests);
            lotmq_programs::keep_silences(guests);
            guests.kept_errors.keep_all(guests);
            save_the_last(&broker, tenant);
        }
        this_turn::uninstall();
    })
}

/// State of the thread from round to round.
struct Housekeeper<'a> {
    broker: &'a Broker,
    interrupted_runs: &'a InterruptedRuns,
    heap: Heap,
    storage_watch: StorageWatch,
    /// Time at which error records were last published.
    records_at: Instant,
    /// When a timer has last started something; at first the start of the broker.
    started_at: Instant,
    /// Whether the broker rested after the last round.
    rested: bool,
}

impl<'a> Housekeeper<'a> {
    fn new(broker: &'a Broker, interrupted_runs: &'a InterruptedRuns) -> Self {
        let (heap, storage_watch) = (Heap::default(), StorageWatch::default());
        let now = Instant::now();
        Self {
            broker,
            interrupted_runs,
            heap,
            storage_watch,
            records_at: now,
            started_at: now,
            rested: false,
        }
    }

    /// Does what is due; returns the time until the next round.
    fn round(&mut self, turn: &mut Turn) -> Duration {
        let broker = self.broker;
        broker.net.look_after_shards(Instant::now());
        let generation = broker.net.certificates.authorities_generation();
        broker.net.certificates.check(&broker.core.counters);
        if broker.net.certificates.authorities_generation() != generation {
            // That thread closes the connections which the authorities do not let in any more.
            broker.sys.call();
        }
        self.storage_watch.look(&broker.hosting);
        self.heap.look();
        let is_started = self.interrupted_runs.work(turn);
        let Due { started, mut wait, timer } = work_by_the_clock(broker, turn);
        if started > 0 {
            self.started_at = Instant::now();
        }
        let rests = is_started && self.started_at.elapsed() >= RUN_TIME && broker.rests();
        if self.rested && !rests {
            broker.sys.call();
        }
        self.rested = rests;
        if rests && !wait.is_zero() {
            wait = timer.map_or(RESTING_PERIOD, |timer| timer.min(RESTING_PERIOD));
        }
        if let Some(rests) = broker.logs.publish(turn, &broker.hosting.tenants.default_tenant()) {
            wait = wait.min(rests);
        }
        if self.records_at.elapsed() >= RECORDS_PERIOD {
            self.records_at = Instant::now();
            for tenant in broker.hosting.tenants.all().iter() {
                lotmq_programs::publish_errors(turn, tenant);
                let guests = &tenant.programs().guests;
                guests.kept_errors.keep_some(&guests.values, definitions_now(&*turn.core.clock).elapsed);
            }
        }
        wait
    }
}

/// Outcome of work by the clock.
pub(crate) struct Due {
    /// Number of definitions that timers have started.
    pub(crate) started: usize,
    /// Time until the next round.
    wait: Duration,
    /// Time until the next timer of a Client or a definition.
    timer: Option<Duration>,
}

/// Does what is due by the clock of Clients, of definitions and of what is stored for them.
pub(crate) fn work_by_the_clock(broker: &Broker, turn: &mut Turn) -> Due {
    // While rules are compiled, they deny.
    let is_late = broker.hosting.cold_start.is_over() && delayed::publish_due(turn);
    let is_behind = housekeeping::expire(turn) || is_late;
    let ends_more = housekeeping::drain(turn);
    let wait = if is_behind || ends_more { Duration::ZERO } else { PERIOD_IDLE };
    let timer = housekeeping::next_expiry(turn);
    let timer = timer.map(|timer| timer.max(PERIOD));
    let mut due = Due { started: 0, wait: timer.map_or(wait, |timer| timer.min(wait)), timer };
    for tenant in broker.hosting.tenants.all().iter() {
        tend(broker, turn, tenant, &mut due);
    }
    due
}

/// Does what is due in one tenant.
fn tend(broker: &Broker, turn: &mut Turn, tenant: &Arc<Tenant>, due: &mut Due) {
    let guests = &tenant.programs().guests;
    let now = definitions_now(&*turn.core.clock);
    // While the broker stops, whoever is told may not run any more: what is remembered over a
    // restart is told behind that.
    let (silent, windows) = match broker.commands.is_stopping() {
        true => <(RoundResult, RoundResult)>::default(),
        false => {
            (lotmq_programs::run_silences(turn, tenant, now), lotmq_programs::run_windows(turn, tenant, now))
        }
    };
    let (started, timer) = guests.run_timers(now);
    due.started += silent.started + windows.started + started;
    if silent.is_behind || windows.is_behind {
        due.wait = Duration::ZERO;
    }
    let period = guests.has_runners().then_some(PERIOD);
    due.wait = [period, timer].into_iter().flatten().fold(due.wait, Duration::min);
    due.timer = [due.timer, timer].into_iter().flatten().min();
    // While the store takes nothing they stay where they are, newest only.
    let takes = broker.core.store_failure().is_none() && !broker.core.log.is_congested(0);
    if takes
        && guests.values.has_unsaved()
        && let Err(error) = lotmq_programs::save_kept(&broker.hosting, tenant, lotmq_programs::KEPT_PER_GROUP)
    {
        warn!(%error, "kept values not stored");
    }
    tenant.programs().variables.save(&*broker.core.log);
    tenant.remove_expired(turn);
}

/// Drains the sessions that the stop of the broker has ended. The next start drains messages that
/// are in the store.
fn end_the_last() {
    let deadline = Instant::now() + STOP_TIME_MAX;
    this_turn::with(|turn| {
        while housekeeping::drain(turn) && Instant::now() < deadline {
            turn.flush();
        }
        turn.flush();
    });
}

fn save_the_last(broker: &Broker, tenant: &Tenant) {
    if let Err(error) = lotmq_programs::save_all_kept(&broker.hosting, tenant) {
        warn!(%error, "kept values not stored");
    }
    if let Err(error) = tenant.programs().variables.save_all(&*broker.core.log) {
        warn!(%error, "variables and secrets that were kept last are not stored");
    }
}
