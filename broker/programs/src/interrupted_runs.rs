//! Promised runs that a crash or a stop has interrupted: they start again at the next start, before
//! the first Client.
//!
//! Messages that runs have published come first, then the messages that started these runs. So they
//! reach the same definitions before their successors; otherwise runs start in order. The
//! housekeeper starts the runs that find no room by the time the listeners open. See
//! `durable_triggers` for how the broker keeps the messages.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use lotmq_changes::{
    Batch, Log, MessageId, Op, QueueSlice, RecoveredDelivery, RecoveredSession, SessionId, SessionRow,
    StoreError,
};
use parking_lot::Mutex;
use tracing::{error, info, warn};

use lotmq_host::RunnerStarts;
use lotmq_shares::OwnerKey;

use super::durable_triggers::{DurableMessage, Promise};
use super::events::{fired, permitted_triggers, post};
use super::pending_triggers::GuestEvent;
use super::{Starts, TriggeredDefinition};
use crate::HasPrograms as _;
use crate::hosting::Hosting;
use lotmq_core::limits::{SLICE_BYTES_PER_MESSAGE, SLICE_MESSAGES};
use lotmq_core::message::{Message, MessageParts};
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;
use lotmq_core::turn::stored;
use lotmq_process::this_turn;

/// Client Identifier of these sessions; no Client has it, as one that sends it is assigned another
/// \[MQTT-3.1.3-6\].
const CLIENT_ID: &str = "";

/// Time that the listeners wait until promised runs have been started again. Those that find no
/// room by then are started when there is some.
const START_WAIT: Duration = Duration::from_secs(5);

/// The same while definitions are still being compiled.
const COLD_START_WAIT: Duration = Duration::from_millis(500);

/// Pause between tries meanwhile.
const START_PAUSE: Duration = Duration::from_millis(1);

/// Promised runs that a former run of the broker has left, until they have been started again.
#[derive(Default)]
pub struct InterruptedRuns(Mutex<Vec<Unfinished>>);

impl InterruptedRuns {
    /// Starts them as far as there is room. True when none is left.
    pub fn work(&self, turn: &mut Turn) -> bool {
        let mut unfinished = self.0.lock();
        while let Some(first) = unfinished.first_mut() {
            if !first.start(turn) {
                return false;
            }
            unfinished.remove(0);
        }
        true
    }
}

/// Promised messages that a former run of the broker has left in the queue of a tenant.
pub struct Unfinished {
    log: Arc<dyn Log>,
    tenant: Arc<Tenant>,
    session: SessionId,
    /// Number of the first message of this run.
    end: MessageId,
    /// Numbers of hops that messages have made and that are still to be started, the highest last.
    /// `None` before they were looked for.
    levels: Option<Vec<u8>>,
    after: MessageId,
    read: VecDeque<RecoveredDelivery>,
    is_last: bool,
    /// Whether the store could not be read the last time, which has been logged.
    is_unreadable: bool,
}

/// Takes the queues of these tenants out of `sessions`, and makes those that are missing and
/// needed.
///
/// # Errors
/// When one that is missing cannot be stored.
pub fn recover(
    hosting: &Hosting,
    tenants: &[Arc<Tenant>],
    sessions: &mut Vec<RecoveredSession>,
) -> Result<Vec<Unfinished>, StoreError> {
    let recovered: Vec<_> = sessions.extract_if(.., |it| it.session.client_id == CLIENT_ID).collect();
    let end = hosting.core.ids.next_message();
    let mut unfinished = Vec::new();
    for tenant in tenants {
        let found = recovered.iter().find(|it| it.session.tenant == tenant.id);
        let is_wanted = hosting.config.lot.durable_triggers;
        let session = match found {
            Some(found) => found.session.id,
            None if is_wanted => add(hosting, tenant)?,
            None => continue,
        };
        if is_wanted {
            // Nobody else sets it.
            let _ = tenant.programs().guests.promised.set(session);
        }
        if let Some(count) = found.map(|it| it.waiting.messages).filter(|count| *count > 0) {
            info!(tenant = &*tenant.name, count, "messages whose runs had not ended start them again");
            unfinished.push(Unfinished {
                log: Arc::clone(&hosting.core.log),
                tenant: Arc::clone(tenant),
                session,
                end,
                levels: None,
                after: MessageId(0),
                read: VecDeque::new(),
                is_last: false,
                is_unreadable: false,
            });
        }
    }
    Ok(unfinished)
}

fn add(hosting: &Hosting, tenant: &Tenant) -> Result<SessionId, StoreError> {
    let row = SessionRow::new(tenant.id, hosting.core.ids.next_session(), CLIENT_ID);
    let mut batch = Batch::new();
    batch.push(Op::PutSession(&row));
    hosting.core.log.commit(batch)?;
    Ok(row.id)
}

/// Starts the promised runs that were left, before there are Clients, so that nothing new comes
/// first.
pub fn start_again(hosting: &Hosting, interrupted_runs: &InterruptedRuns, unfinished: Vec<Unfinished>) {
    if unfinished.is_empty() {
        return;
    }
    *interrupted_runs.0.lock() = unfinished;
    // A compiling definition may have no room for all runs. It does not delay listeners.
    let wait = if hosting.cold_start.is_over() { START_WAIT } else { COLD_START_WAIT };
    let deadline = Instant::now() + wait;
    this_turn::install(Arc::clone(&hosting.context), None);
    loop {
        let is_done = this_turn::with(|turn| {
            turn.tick();
            let is_done = interrupted_runs.work(turn);
            turn.flush();
            is_done
        });
        if is_done {
            break;
        }
        if Instant::now() >= deadline {
            let seconds = wait.as_secs_f64();
            warn!(seconds, "runs that are started again take longer; listeners open meanwhile");
            break;
        }
        std::thread::sleep(START_PAUSE);
    }
    this_turn::uninstall();
}

impl Unfinished {
    /// Starts as many runs as there is room for. True when none is left.
    fn start(&mut self, turn: &mut Turn) -> bool {
        let started = self.start_levels(turn);
        let was_unreadable = std::mem::replace(&mut self.is_unreadable, started.is_err());
        if let Err(error) = &started
            && !was_unreadable
        {
            warn!(%error, "messages whose runs had not ended cannot be read; it is tried again");
        }
        started.unwrap_or(false)
    }

    fn start_levels(&mut self, turn: &mut Turn) -> Result<bool, StoreError> {
        let mut levels = match self.levels.take() {
            Some(levels) => levels,
            None => self.find_levels()?,
        };
        while let Some(level) = levels.last() {
            let is_done = self.start_level(*level, turn);
            if !matches!(is_done, Ok(true)) {
                self.levels = Some(levels);
                return is_done;
            }
            levels.pop();
            self.begin_again();
        }
        self.levels = Some(levels);
        Ok(true)
    }

    fn find_levels(&mut self) -> Result<Vec<u8>, StoreError> {
        let mut found = BTreeSet::new();
        while let Some(delivery) = self.next()? {
            found.insert(hops(delivery));
            self.read.pop_front();
        }
        self.begin_again();
        Ok(found.into_iter().collect())
    }

    fn begin_again(&mut self) {
        self.read.clear();
        (self.after, self.is_last) = (MessageId(0), false);
    }

    /// Next message that was left, read from the store where needed.
    fn next(&mut self) -> Result<Option<&RecoveredDelivery>, StoreError> {
        while self.read.is_empty() && !self.is_last {
            let bytes_max = SLICE_BYTES_PER_MESSAGE * SLICE_MESSAGES as u64;
            let slice = self.log.queue_slice(self.session, self.after, SLICE_MESSAGES, bytes_max)?;
            self.take(slice);
        }
        Ok(self.read.front().filter(|next| next.message.id < self.end))
    }

    /// Starts messages that have made so many hops.
    fn start_level(&mut self, level: u8, turn: &mut Turn) -> Result<bool, StoreError> {
        while let Some(delivery) = self.next()? {
            if hops(delivery) != level {
                self.read.pop_front();
                continue;
            }
            let delivery = delivery.clone();
            let (triggers, _) = permitted_triggers(&self.tenant, &delivery.message.topic);
            if !triggers.iter().all(|trigger| has_room(trigger)) {
                return Ok(false);
            }
            let message = delivery.message.id;
            let runs = Arc::clone(&turn.core.ended_runs);
            let promise = Arc::new(Promise { runs, session: self.session, message });
            let mut starts = RunnerStarts::default();
            for event in self.events(&delivery, &triggers, &promise).filter_map(fired) {
                post(turn, &event, &mut starts);
            }
            turn.core.counters.guest_messages_again.add(1);
            self.read.pop_front();
        }
        Ok(true)
    }

    fn take(&mut self, slice: QueueSlice) {
        if let Some(first) = &slice.first_damage {
            error!(count = slice.damaged, %first, "messages whose runs had not ended are damaged and left out");
        }
        self.read = slice.deliveries.into();
        self.is_last = slice.is_last || slice.last.is_none();
        self.after = slice.last.unwrap_or(self.after);
    }

    fn events(
        &self,
        delivery: &RecoveredDelivery,
        triggers: &[Arc<TriggeredDefinition>],
        promise: &Arc<Promise>,
    ) -> impl Iterator<Item = GuestEvent> {
        let stored = &delivery.message;
        let DurableMessage { hops, client_id, expires_at_ms, properties } =
            DurableMessage::decoded(&stored.properties);
        let (client_id, received_ms): (Arc<str>, _) = (client_id.into(), stored.published_at_ms);
        let parts = MessageParts {
            topic: &stored.topic,
            properties,
            payload: &stored.payload,
            qos: stored::qos(stored.qos),
            retain: delivery.retain,
            expires_at_ms,
        };
        let message = Arc::new(Message::new(0, parts));
        // Routes with an outbox have had it there since it came.
        let is_promised = |trigger: &&Arc<TriggeredDefinition>| match &trigger.starts {
            Starts::Route(route) => !route.is_stored(),
            Starts::Guest(_) => true,
        };
        triggers.iter().filter(is_promised).map(move |trigger| GuestEvent {
            line: OwnerKey { tenant: self.tenant.number, quota_key: 0 },
            tenant: Arc::clone(&self.tenant),
            trigger: Arc::clone(trigger),
            message: Arc::clone(&message),
            source: None,
            former: Some(Arc::clone(&client_id)),
            origin: None,
            hops,
            received_ms,
            promise: Some(Arc::clone(promise)),
            refused: None,
            kept_place: None,
            holds_up: false,
        })
    }
}

/// Number of runs that had led to the message.
fn hops(delivery: &RecoveredDelivery) -> u8 {
    DurableMessage::decoded(&delivery.message.properties).hops
}

/// Whether its mailbox takes more. Of one that does not run, because it traps again and again,
/// nobody can say when it will.
fn has_room(trigger: &TriggeredDefinition) -> bool {
    match &trigger.starts {
        Starts::Guest(runner) => {
            matches!(runner.poll_room(&Context::from_waker(Waker::noop())), Poll::Ready(()))
        }
        Starts::Route(route) => route.has_room(),
    }
}
