//! Log lines of the process on `$SYS` topics: `Log/<Level>`, the older `Logs/<Level>`, and trace
//! logs. Commands reference §5 and §11.2.
//!
//! ```text
//! an event of tracing -> LogTopics (the layer) -> offer: does anybody want it?
//!     -> queue -> publish, by the housekeeper -> subscribers
//! ```
//!
//! The wanted lines are worked out when subscriptions change, and twice a second. While nobody is
//! subscribed, the filter of the layer refuses every event at its source, and nothing is formatted
//! or kept.
//!
//! Invariants: the queue is bounded, and further lines are counted and dropped. No thread waits for
//! another. A line that arises while lines are published is not published, and no line starts a
//! definition, so lines cause no lines. Lines are the broker's, so they are published in the tenant
//! `default` alone. Not here: the lines on standard error (`cli`).

pub mod client_lines;
pub mod layer;
mod line;
mod trace_log;
mod wanted;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lotmq_changes::SettingRow;
use parking_lot::{Mutex, RwLock};
use tracing::{Event, warn};

pub use layer::layer;
pub(crate) use trace_log::{TraceLog, TraceLogError};

use crate::limits::LOG_LINES_WAITING_MAX;
#[cfg(test)]
use line::Level;
use line::Line;
use lotmq_core::counters::Counters;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;
use lotmq_core::turn::internal;
use lotmq_process::alarm::Alarm;
use wanted::Wanted;

/// Shortest time between two publications of lines, which are published together.
const PERIOD: Duration = Duration::from_millis(20);

/// Hops of a line, so many that it starts no guest.
const STARTS_NO_GUEST: u8 = u8::MAX;

/// Log lines of the process for `$SYS` topics.
pub struct Logs {
    trace_logs: RwLock<BTreeMap<Arc<str>, Arc<TraceLog>>>,
    wanted: RwLock<Arc<Wanted>>,
    /// Lock for working out what is wanted, so that the newest result holds.
    refreshing: Mutex<()>,
    queue: Mutex<Queue>,
    dropped: AtomicU64,
    housekeeping: Arc<Alarm>,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Queued>,
    published_at: Option<Instant>,
}

/// Line that waits, with those who get it.
struct Queued {
    line: Line,
    is_for_log: bool,
    trace_logs: Vec<Arc<TraceLog>>,
}

impl Logs {
    /// Begins to listen to the events of the process.
    pub fn start(housekeeping: Arc<Alarm>) -> Arc<Self> {
        let logs = Arc::new(Self {
            trace_logs: RwLock::default(),
            wanted: RwLock::default(),
            refreshing: Mutex::default(),
            queue: Mutex::default(),
            dropped: AtomicU64::new(0),
            housekeeping,
        });
        layer::add(&logs);
        logs
    }

    /// Restores the trace logs that were stored.
    pub fn restore(&self, settings: &[SettingRow]) {
        let mut trace_logs = self.trace_logs.write();
        for row in settings {
            match TraceLog::restored(row) {
                Some(Ok(log)) => drop(trace_logs.insert(Arc::clone(&log.name), Arc::new(log))),
                Some(Err(error)) => warn!(setting = row.name, %error, "trace log not restored"),
                None => {}
            }
        }
    }

    /// Applies a setting that another process has stored, or removed where there is no value.
    pub(crate) fn apply(&self, tenant: &Tenant, setting: &str, value: Option<&str>) {
        let Some(name) = TraceLog::name_of(setting) else { return };
        let Some(value) = value else { return self.remove(name, tenant) };
        match TraceLog::stored(name, value) {
            Ok(log) => self.put(log, tenant),
            Err(error) => warn!(setting, %error, "trace log not applied"),
        }
    }

    /// All trace logs, by name.
    pub(crate) fn trace_logs(&self) -> Vec<Arc<TraceLog>> {
        self.trace_logs.read().values().cloned().collect()
    }

    pub(crate) fn trace_log(&self, name: &str) -> Option<Arc<TraceLog>> {
        self.trace_logs.read().get(name).cloned()
    }

    /// Adds a trace log, or replaces the one of its name.
    pub(crate) fn put(&self, log: TraceLog, tenant: &Tenant) {
        self.trace_logs.write().insert(Arc::clone(&log.name), Arc::new(log));
        self.refresh(tenant);
    }

    pub(crate) fn remove(&self, name: &str, tenant: &Tenant) {
        self.trace_logs.write().remove(name);
        self.refresh(tenant);
    }

    /// Works out what is wanted now, of the tenant that lines are published in.
    pub(crate) fn refresh(&self, tenant: &Tenant) {
        if tenant.number != 0 {
            return;
        }
        let refreshing = self.refreshing.lock();
        let wanted = layer::without_logging(|| Wanted::by(tenant, &self.trace_logs()));
        let has_changed = {
            let mut now = self.wanted.write();
            let has_changed = now.verbosity() != wanted.verbosity();
            *now = Arc::new(wanted);
            has_changed
        };
        if has_changed {
            layer::verbosity_changed();
        }
        drop(refreshing);
    }

    /// Notes a new subscription, which may be to lines of the log.
    pub(crate) fn may_be_wanted(&self, tenant: &Tenant, filter: &str) {
        if wanted::may_be_of_log(filter) {
            self.refresh(tenant);
        }
    }

    /// Takes an event that somebody wants; counted and dropped when too many wait.
    fn offer(&self, event: &Event<'_>) {
        let wanted = Arc::clone(&self.wanted.read());
        let Some((level, category)) = line::of(event.metadata()) else { return };
        if !wanted.wants(level, category) {
            return;
        }
        let line = Line::read(event, level, category);
        let trace_logs = wanted.trace_logs_of(&line);
        let is_for_log = wanted.is_for_log(level);
        if !is_for_log && trace_logs.is_empty() {
            return;
        }
        let mut queue = self.queue.lock();
        if queue.lines.len() >= LOG_LINES_WAITING_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.lines.push_back(Queued { line, is_for_log, trace_logs });
        let is_first = queue.lines.len() == 1;
        drop(queue);
        if is_first {
            self.housekeeping.wake();
        }
    }

    /// Publishes waiting lines, if the last time is long enough ago; returns the time until the
    /// next publication, if lines wait.
    pub fn publish(&self, turn: &mut Turn, tenant: &Arc<Tenant>) -> Option<Duration> {
        let lines = {
            let mut queue = self.queue.lock();
            if queue.lines.is_empty() {
                return None;
            }
            let rests = queue.published_at.map(|at| PERIOD.saturating_sub(at.elapsed()));
            if let Some(rests) = rests.filter(|rests| !rests.is_zero()) {
                return Some(rests);
            }
            queue.published_at = Some(Instant::now());
            std::mem::take(&mut queue.lines)
        };
        layer::without_logging(|| {
            for queued in lines {
                queued.publish(turn, tenant);
            }
            turn.flush();
        });
        None
    }

    /// Adds the lines dropped since the last call to the counters.
    pub(crate) fn count(&self, counters: &Counters) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            counters.log_lines_dropped.add(dropped);
        }
    }
}

impl Queued {
    fn publish(&self, turn: &mut Turn, tenant: &Arc<Tenant>) {
        let payload = self.line.to_json();
        let mut tell = |topic: &str| {
            turn.core.counters.log_lines_published.add(1);
            internal::publish_after(turn, tenant, topic, payload.as_bytes(), false, STARTS_NO_GUEST);
        };
        if self.is_for_log {
            for topic in wanted::topics_of(self.line.level).into_iter().flatten() {
                if tenant.has_subscribers(topic) {
                    tell(topic);
                }
            }
        }
        for log in &self.trace_logs {
            log.lines.fetch_add(1, Ordering::Relaxed);
            tell(&log.topic(self.line.category));
        }
    }
}

#[cfg(test)]
mod tests;
