//! What happens by the clock: timers of definitions, kept values on their way to the store, error records, absences of Clients, old passwords,
//! changed certificates, log lines on their way to `$SYS` topics.
//!
//! One thread. It sleeps until the next timer, and while there are definitions never longer than [`PERIOD`].

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lotmq_session::Time;
use lotmq_store::Batch;
use parking_lot::{Condvar, Mutex};
use tracing::warn;

use crate::broker::Broker;
use crate::guests;
use crate::net::turn::Turn;
use crate::session_end;
use crate::tenant::Tenant;
use crate::vital::Vital;

/// Longest sleep while there is something to look after: kept values are durable within 100 ms.
const PERIOD: Duration = Duration::from_millis(50);

/// Longest sleep otherwise.
const PERIOD_IDLE: Duration = Duration::from_millis(500);

/// How often the error topic of a definition may change (commands reference §5).
const RECORDS_PERIOD: Duration = Duration::from_millis(200);

/// The face of the thread for others.
#[derive(Default)]
pub(crate) struct Housekeeping {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_woken: bool,
    is_stopping: bool,
}

impl Housekeeping {
    /// Makes the thread look at its timers again.
    pub(crate) fn wake(&self) {
        self.state.lock().is_woken = true;
        self.changed.notify_one();
    }

    pub(crate) fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.changed.notify_one();
    }

    /// Sleeps; false when it is time to stop.
    fn sleep(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        let deadline = Instant::now() + time;
        while !state.is_woken && !state.is_stopping {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.is_woken = false;
        !state.is_stopping
    }
}

/// Starts the thread.
///
/// # Errors
/// When the system gives none.
pub(crate) fn start(broker: &Arc<Broker>) -> std::io::Result<JoinHandle<()>> {
    let broker = Arc::clone(broker);
    std::thread::Builder::new().name("housekeeping".to_owned()).spawn(move || {
        let _vital = Vital::new(&broker, "housekeeping");
        Turn::install(Arc::clone(&broker), None);
        let mut records_at = Instant::now();
        loop {
            let wait = Turn::with(|turn| {
                turn.tick();
                let wait = work(&broker, turn, &mut records_at);
                turn.flush();
                wait
            });
            if !broker.housekeeping.sleep(wait) {
                break;
            }
        }
        // Kept values of the last moments.
        for tenant in broker.tenants.all().iter() {
            save_kept(&broker, tenant);
        }
        Turn::uninstall();
    })
}

/// One round; how long until the next.
fn work(broker: &Arc<Broker>, turn: &mut Turn, records_at: &mut Instant) -> Duration {
    broker.certificates.check(&broker.counters);
    for client in broker.absences.due(Time::from_millis(turn.wall_ms())) {
        session_end::absence_due(&client, turn);
    }
    broker.endings.work(broker, turn);
    broker.promised_runs.work(turn);
    let publishes_records = records_at.elapsed() >= RECORDS_PERIOD;
    if publishes_records {
        *records_at = Instant::now();
    }
    let mut wait = PERIOD_IDLE;
    if let Some(rests) = broker.logs.publish(turn, &broker.tenants.default_tenant()) {
        wait = wait.min(rests);
    }
    for tenant in broker.tenants.all().iter() {
        let has_definitions = tenant.guests.has_runners();
        if has_definitions {
            wait = wait.min(PERIOD);
        }
        if let Some(timer) = tenant.guests.run_timers(turn.definitions_now()) {
            wait = wait.min(timer);
        }
        // While the store takes nothing they stay where they are, newest only.
        if tenant.guests.values.has_unsaved() && broker.store_failure().is_none() {
            save_kept(broker, tenant);
        }
        if publishes_records {
            guests::publish_errors(turn, tenant);
        }
        tenant.remove_expired(turn);
    }
    wait
}

fn save_kept(broker: &Broker, tenant: &Tenant) {
    let mut batch = Batch::new();
    guests::save_kept(tenant, broker.clock.wall_ms(), &mut batch);
    if !batch.is_empty()
        && let Err(error) = broker.store.append(batch)
    {
        warn!(%error, "kept values not stored");
    }
}
