//! Standing of a route: connection, health, figures, for its status topic and for commands. Routes
//! reference §3.1.

mod connection;
mod runner_facts;
mod times;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use lotmq_histogram::DurationCounts;
use serde_json::{Value as Json, json};

pub use self::connection::Connection;
use self::connection::OfInstance;
pub(crate) use self::runner_facts::RunnerFacts;
use self::times::{text, uptime};
use super::absence::Absence;
use super::event_status::{EventStatuses, EventWait};
use super::failing_tags::FailingTags;
use super::http_figures::HttpFigures;
use super::mailbox::Addressee;
use super::pace::{PaceMark, Rates, RoutePace};
use super::refused_write::RefusedWrite;
use super::version::COMPILING;
use crate::limits::ROUTE_DELIVERY_BUCKETS;

/// Number of operations in the error rate.
const WINDOW: usize = 20;

/// Time after which an operation says nothing about the health any more: a route that has had
/// nothing to do since it came back is well.
const RECENT: SignedDuration = SignedDuration::from_secs(60);

/// Time without a connection, or for which all fails that is tried of an event, after which the
/// health is `Red`.
const AWAY_MAX: SignedDuration = SignedDuration::from_secs(60);

/// Time after which it is told that nothing is heard of what was handed over: some calls take that
/// long, and people ask sooner than a route is `Yellow`.
const UNANSWERED: SignedDuration = SignedDuration::from_secs(10);

/// Time for which the oldest message of an event may wait, and nothing of that event pass, before
/// the health is `Yellow`: a beat of the status topic.
const STANDSTILL: SignedDuration = SignedDuration::from_secs(30);

/// The same before it is `Red`.
const LONG_STANDSTILL: SignedDuration = SignedDuration::from_mins(5);

/// Rate of failures up to which a route is well.
const FEW_FAILURES: f64 = 0.1;

/// Reason why a route does nothing that was stopped.
const STOPPED: &str = "it is stopped";

/// The same with what starts the route of a name.
pub(crate) fn stopped(name: &str) -> String {
    format!("{STOPPED}; -run {name} starts it")
}

/// Standing of a route.
#[derive(Clone, Debug)]
pub struct RouteStatus {
    /// Connections of its instances.
    instances: Vec<OfInstance>,
    /// Whether it is not to run, by order: what comes waits as for a far side that is away.
    is_stopped: bool,
    /// Number of errors.
    pub errors: u64,
    consecutive: u64,
    /// The last operations, oldest first.
    recent: VecDeque<Operation>,
    events: EventStatuses,
    messages: u64,
    succeeded: u64,
    failed: u64,
    last_activity: Option<Timestamp>,
    last_success: Option<Timestamp>,
    last_error: Option<(String, Timestamp)>,
    connected_since: Option<Timestamp>,
    /// Whether one of its instances has lost the far side in a call, and nothing has been heard of
    /// it since: what the others believe of their connections is from before.
    is_doubtful: bool,
    /// Failures of runs that the guest makes by itself.
    runs: RunTrouble,
    absence: Absence,
    started: Timestamp,
    /// Figures of the deliveries.
    pub deliveries: DeliveryFigures,
    /// Facts that its guest has reported about itself.
    pub told: GuestReport,
    /// Its tags that have no value; `None` where its guest has told nothing of tags.
    pub failing_tags: Option<Arc<FailingTags>>,
}

/// Facts that the guest of a route has reported about itself.
#[derive(Clone, Debug, Default)]
pub struct GuestReport {
    /// Path of the messages of each query.
    pub paths: Arc<BTreeMap<String, String>>,
    /// Query that the other side does not take as it is.
    refused_query: Option<RefusedQuery>,
    /// Last warning of the guest, which is neither a failure nor a reason to be away.
    reported: Option<(String, Timestamp)>,
}

/// Query of a route that the other side does not take as it is.
#[derive(Clone, Debug)]
struct RefusedQuery {
    /// Event or mapping that it is for.
    name: String,
    /// The query, and the reason.
    text: String,
    since: Timestamp,
}

/// Failures of runs that the guest of a route makes by itself.
#[derive(Clone, Debug, Default)]
struct RunTrouble {
    /// Since when all runs have failed, and brought nothing.
    fail_since: Option<Timestamp>,
    /// Last write that the rules denied.
    refused_write: Option<RefusedWrite>,
}

/// Operation of a route.
#[derive(Clone, Debug)]
struct Operation {
    at: Timestamp,
    failure: Option<FailedOperation>,
}

/// Failure of an operation.
#[derive(Clone, Debug)]
struct FailedOperation {
    event: Option<Addressee>,
    /// Whether messages were given up: what passes later does not make that good.
    gives_up: bool,
}

/// Figures of what a route has handed to its guest.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveryFigures {
    /// Number of batches.
    pub batches: u64,
    /// Bytes of payloads that passed.
    pub bytes: u64,
    /// Messages that did not pass and were to come again.
    pub retried: u64,
    /// Times from the reception of messages until the far side had them, by
    /// [`ROUTE_DELIVERY_BOUNDS`](crate::limits::ROUTE_DELIVERY_BOUNDS).
    pub latency: DurationCounts<ROUTE_DELIVERY_BUCKETS>,
    /// Messages that nothing of it takes because of its policies.
    pub refused_by_policy: u64,
    /// Messages whose Message Expiry Interval had passed before they could go on to another broker.
    pub expired: u64,
    /// Messages that the guest has brought.
    pub brought: u64,
    /// When it brought the last.
    pub brought_at: Option<Timestamp>,
    /// How often its outbox became full.
    pub full_times: u64,
    /// Messages that found no room.
    pub shed: u64,
    /// Datagrams that the system has dropped before the guest had them.
    pub lost_datagrams: u64,
    /// Connections after the first.
    pub reconnects: u64,
    /// Those of them behind a failure, not behind an order, a replacement or another value.
    pub restarts: u64,
    /// Figures of HTTP exchanges.
    pub http: HttpFigures,
    pace: RoutePace,
}

impl RouteStatus {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            instances: vec![OfInstance::NEW],
            is_stopped: false,
            errors: 0,
            consecutive: 0,
            recent: VecDeque::with_capacity(WINDOW),
            events: EventStatuses::default(),
            messages: 0,
            succeeded: 0,
            failed: 0,
            last_activity: None,
            last_success: None,
            last_error: None,
            connected_since: None,
            is_doubtful: false,
            runs: RunTrouble::default(),
            absence: Absence::beginning(now),
            started: now,
            deliveries: DeliveryFigures { pace: RoutePace::beginning(now), ..DeliveryFigures::default() },
            told: GuestReport::default(),
            failing_tags: None,
        }
    }

    /// Sets the number of instances.
    pub(super) fn instances_are(&mut self, instances: usize) {
        self.instances.resize(instances, OfInstance::NEW);
        self.connected_since = self.connected_since.filter(|_| self.connection() == Connection::Connected);
    }

    /// Notes whether it is not to run, by order. One that runs again connects anew.
    pub(super) fn stopped_is(&mut self, is_stopped: bool) {
        if is_stopped || self.is_stopped {
            for of in &mut self.instances {
                of.connection = Connection::Connecting;
            }
            self.connected_since = None;
        }
        self.is_stopped = is_stopped;
    }

    /// Whether a command has stopped the route.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Notes that an instance has lost the far side in a call.
    pub(crate) fn is_doubtful(&mut self, now: Timestamp) {
        self.is_doubtful = true;
        self.connected_since = None;
        self.absence.lasts(now);
    }

    /// Notes that the far side has been heard of.
    pub(super) fn is_heard_of(&mut self, now: Timestamp) {
        self.is_doubtful = false;
        for of in self.instances.iter_mut().filter(|of| of.is_unproven) {
            of.connects(&mut self.deliveries);
        }
        if self.connection() == Connection::Connected {
            self.connected_since.get_or_insert(now);
            self.absence = Absence::default();
        }
    }

    /// Whether the far side was lost in a call, or was said to be away, and has not been heard of
    /// since.
    pub(crate) fn has_doubts(&self) -> bool {
        self.is_doubtful
    }

    /// Notes that an instance which has lost the far side in a call is open again: that it is there
    /// is shown by what passes.
    pub(super) fn is_unproven(&mut self, instance: usize) {
        if let Some(of) = self.instances.get_mut(instance) {
            of.is_unproven = true;
            self.deliveries.restarts += u64::from(std::mem::take(&mut of.has_fallen));
        }
    }

    /// Number of instances that are open and have not shown yet that the far side is there.
    pub(crate) fn unproven(&self) -> usize {
        self.instances.iter().filter(|of| of.is_unproven).count()
    }

    /// Notes that there is another version, or that it is opened anew: it is not connected until
    /// one of its instances is, and what its predecessor failed at says nothing of it.
    pub(super) fn begins_anew(&mut self, now: Timestamp) {
        for of in &mut self.instances {
            *of = OfInstance { was_connected: of.was_connected, ..OfInstance::NEW };
        }
        // Failures from before a stop stay until the route runs again.
        if !self.is_stopped {
            self.events.begin_anew();
            self.recent.clear();
            self.consecutive = 0;
        }
        self.is_doubtful = false;
        self.runs = RunTrouble::default();
        self.connected_since = None;
        self.absence = Absence::beginning(now);
    }

    pub(crate) fn connection_is(&mut self, instance: usize, connection: Connection, now: Timestamp) {
        let is_other_connected = self
            .instances
            .iter()
            .enumerate()
            .any(|(other, of)| other != instance && of.connection == Connection::Connected);
        let Some(of) = self.instances.get_mut(instance) else { return };
        if connection == Connection::Connected {
            of.connects(&mut self.deliveries);
            self.is_doubtful = false;
        } else {
            of.has_fallen |= of.connection == Connection::Connected || of.is_unproven;
            (of.connection, of.is_unproven) = (connection, false);
        }
        if self.connection() == Connection::Connected {
            self.connected_since = self.connected_since.filter(|_| is_other_connected).or(Some(now));
            self.absence = Absence::default();
        } else {
            self.connected_since = None;
            self.absence.lasts(now);
        }
    }

    /// Connection of the route: that of the instance which has come furthest, as long as what it
    /// believes was heard since the far side was lost last.
    pub fn connection(&self) -> Connection {
        if self.is_stopped {
            return Connection::Disconnected;
        }
        let has = |connection| self.instances.iter().any(|of| of.connection == connection);
        let best = [Connection::Connected, Connection::Reconnecting, Connection::Connecting];
        if self.is_doubtful && has(Connection::Connected) {
            return Connection::Reconnecting;
        }
        best.into_iter().find(|connection| has(*connection)).unwrap_or(Connection::Disconnected)
    }

    /// Numbers of instances by their connection, without those that none has.
    pub fn instances(&self) -> impl Iterator<Item = (Connection, usize)> {
        let count = |connection| self.instances.iter().filter(|of| of.connection == connection).count();
        Connection::ALL
            .into_iter()
            .map(move |connection| (connection, count(connection)))
            .filter(|(_, count)| *count > 0)
    }

    /// Counts messages that have come, or that a former run of the broker has left.
    pub(crate) fn messages_came(&mut self, count: u64) {
        self.messages += count;
    }

    /// Notes an operation that passed; `messages` of its messages are done.
    pub(crate) fn passed(&mut self, messages: u64, now: Timestamp) {
        self.succeeded += messages;
        self.consecutive = 0;
        self.last_activity = Some(now);
        self.last_success = Some(now);
        self.is_heard_of(now);
        self.note(None, now);
    }

    /// Notes that messages of an event have passed.
    pub(crate) fn event_passed(&mut self, event: &Addressee, now: Timestamp) {
        self.events.passed(event, now);
        // A message of this query has passed, so the query works.
        self.told.refused_query.take_if(|query| event.to_string() == query.name);
    }

    /// Notes that messages of an event did not pass, and come again.
    pub(crate) fn event_waits(&mut self, event: &Addressee, reason: &str, now: Timestamp) {
        self.events.failed(event, reason, now);
    }

    /// Whether anything has happened to another event.
    pub(super) fn knows_others(&self, event: &Addressee) -> bool {
        self.events.knows_others(event)
    }

    /// Notes an operation that has brought messages, such as a poll.
    pub(crate) fn brought(&mut self, now: Timestamp) {
        self.runs.fail_since = None;
        self.passed(0, now);
    }

    /// Whether something is wrong that is over when a run passes.
    pub(super) fn waits_for_a_run(&self) -> bool {
        self.runs.fail_since.is_some() || self.is_doubtful || self.unproven() > 0 || self.consecutive > 0
    }

    /// Notes a run of its guest that failed; `is_silent`: the far side has not answered it.
    pub(crate) fn run_failed(&mut self, reason: &str, is_silent: bool, now: Timestamp) {
        self.runs.fail_since.get_or_insert(now);
        self.failed(0, reason, now);
        if is_silent {
            self.absence.is_for(reason);
            self.is_doubtful(now);
        }
    }

    /// Time for which all runs of its guest have failed.
    pub(crate) fn runs_have_failed_for(&self, now: Timestamp) -> Option<SignedDuration> {
        self.runs.fail_since.map(|since| now.duration_since(since))
    }

    /// Notes something that it brought and may not publish.
    pub(super) fn write_is_refused(&mut self, what: &str, now: Timestamp) {
        self.runs.refused_write = Some(RefusedWrite::new(what, now));
        self.failed(0, what, now);
    }

    /// Notes that it may not do so still.
    pub(super) fn write_is_still_refused(&mut self, now: Timestamp) {
        if let Some(refused) = &mut self.runs.refused_write {
            refused.is_still_so(now);
        }
    }

    /// Returns the write that the rules denied lately.
    pub(super) fn refused_write(&self) -> Option<&str> {
        self.runs.refused_write.as_ref().map(RefusedWrite::what)
    }

    /// Notes an operation that failed; `messages` of its messages never pass.
    pub(crate) fn failed(&mut self, messages: u64, reason: &str, now: Timestamp) {
        self.fails(None, messages, reason, now);
    }

    /// Notes an operation that failed with messages of an event, `messages` of which never pass.
    pub(crate) fn event_failed(&mut self, event: &Addressee, messages: u64, reason: &str, now: Timestamp) {
        self.events.failed(event, reason, now);
        self.fails(Some(event.clone()), messages, reason, now);
    }

    fn fails(&mut self, event: Option<Addressee>, messages: u64, reason: &str, now: Timestamp) {
        self.failed += messages;
        self.errs(reason, now);
        self.note(Some(FailedOperation { event, gives_up: messages > 0 }), now);
    }

    /// Notes that its guest is still being compiled, until it begins anew.
    pub(crate) fn waits_for_code(&mut self) {
        self.absence.is_for_code(COMPILING);
    }

    /// Notes why it is not connected, which is an error and no operation: how often it is tried,
    /// and by how many instances, is not how it is.
    pub(crate) fn is_away_for(&mut self, reason: &str, now: Timestamp) {
        self.errs(reason, now);
        self.absence.is_for(reason);
    }

    /// Notes that an instance broke, or that it stands still: an operation that failed, and why it
    /// is not connected.
    pub(super) fn broke(&mut self, reason: &str, now: Timestamp) {
        self.failed(0, reason, now);
        self.absence.is_for(reason);
    }

    fn errs(&mut self, reason: &str, now: Timestamp) {
        self.errors += 1;
        self.consecutive += 1;
        self.last_activity = Some(now);
        self.warned(reason, now);
    }

    /// Counts messages that found no room.
    pub(super) fn shed(&mut self, messages: u64, now: Timestamp) {
        self.failed += messages;
        self.deliveries.shed += messages;
        self.errors += 1;
        self.last_activity = Some(now);
    }

    /// Counts messages that were taken out by order, which is no failure of the route.
    pub(crate) fn taken_out(&mut self, messages: u64) {
        self.failed += messages;
    }

    /// Notes a partial success: shown as the last error, and not counted as one.
    pub(crate) fn warned(&mut self, reason: &str, now: Timestamp) {
        self.last_error = Some((reason.to_owned(), now));
    }

    /// Notes what its guest has told of itself.
    pub(crate) fn reported(&mut self, text: &str, now: Timestamp) {
        self.told.reported = Some((text.to_owned(), now));
    }

    /// Notes which way the messages of each query go, and the first query that the other side does
    /// not take: what it is for, and a text that names it; whether that one is news.
    pub(crate) fn paths_are(
        &mut self,
        paths: BTreeMap<String, String>,
        refused: Option<(String, String)>,
        now: Timestamp,
    ) -> bool {
        self.told.paths = paths.into();
        let before = self.told.refused_query.take();
        let Some((name, text)) = refused else { return false };
        let known = before.filter(|before| before.text == text);
        let is_news = known.is_none();
        self.told.refused_query = Some(known.unwrap_or(RefusedQuery { name, text, since: now }));
        is_news
    }

    fn note(&mut self, failure: Option<FailedOperation>, now: Timestamp) {
        if failure.is_none() {
            self.runs.refused_write.take_if(|refused| !refused.counts(now));
        }
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(Operation { at: now, failure });
    }

    /// Number of the last operations that failed and say something of now.
    fn failing(&self, now: Timestamp) -> usize {
        self.recent.iter().filter(|operation| self.counts(operation, now)).count()
    }

    fn rate(&self, now: Timestamp) -> f64 {
        let failed = self.failing(now);
        #[allow(clippy::cast_precision_loss, reason = "at most 20")]
        let rate = failed as f64 / WINDOW as f64;
        rate
    }

    /// Whether an operation failed that says something of now.
    fn counts(&self, operation: &Operation, now: Timestamp) -> bool {
        let Some(failure) = &operation.failure else { return false };
        let success = match &failure.event {
            Some(event) => self.events.last_success(event),
            None => self.last_success,
        };
        let is_made_good = !failure.gives_up && success.is_some_and(|at| at >= operation.at);
        !is_made_good && now.duration_since(operation.at) < RECENT
    }

    /// Marks how far it has come, if that was not done just now.
    pub(super) fn mark_pace(&mut self, now: Timestamp) {
        let mark = self.mark(now);
        self.deliveries.pace.mark(mark);
    }

    fn mark(&self, at: Timestamp) -> PaceMark {
        let DeliveryFigures { brought, latency, .. } = self.deliveries;
        let latency_ms = u64::try_from(latency.sum().as_millis()).unwrap_or(u64::MAX);
        PaceMark { at, delivered: self.succeeded, brought, latency_ms }
    }

    /// Returns the recent rates.
    pub fn rates(&self, now: Timestamp) -> Rates {
        self.deliveries.pace.rates(self.mark(now))
    }

    /// Numbers of messages that passed, and of those that never will.
    pub fn done(&self) -> (u64, u64) {
        (self.succeeded, self.failed)
    }

    /// Whether something has passed since then.
    pub(crate) fn has_passed_since(&self, then: Timestamp) -> bool {
        self.last_success.is_some_and(|at| at >= then)
    }

    /// Seconds since something passed.
    pub fn since_success(&self, now: Timestamp) -> Option<f64> {
        self.last_success.map(|at| now.duration_since(at).as_secs_f64().max(0.0))
    }

    /// Whether something of the same event has passed since the last error, it is connected, and
    /// all its tags have values; false where there was none. That it was stopped ends no error and
    /// begins none.
    pub fn last_error_is_over(&self) -> bool {
        let at_stop = || self.events.trouble().is_some() || self.error_of_now().is_some();
        let is_of_now = if self.is_stopped { at_stop() } else { self.trouble().is_some() };
        self.last_error().is_some() && !is_of_now
    }

    /// Returns the last error. While the route is connected, a failure that persists comes first.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error_at().map(|(reason, _)| reason)
    }

    fn last_error_at(&self) -> Option<(&str, Timestamp)> {
        let trouble = self.events.trouble().filter(|_| self.connection() == Connection::Connected);
        let trouble = trouble.map(|(_, reason, at)| (reason, at));
        let query = self.told.refused_query.as_ref().filter(|_| !self.is_away());
        let of_now = trouble.or_else(|| query.map(|query| (query.text.as_str(), query.since)));
        if let Some(refused) = self.runs.refused_write.as_ref().filter(|_| !self.is_away()) {
            return Some(refused.or_newer(of_now.or_else(|| self.error_of_now())));
        }
        let told = || [&self.last_error, &self.told.reported].into_iter().flatten().max_by_key(|(_, at)| *at);
        of_now.or_else(|| told().map(|(reason, at)| (reason.as_str(), *at)))
    }

    /// The last error, where nothing has passed since on the same connection.
    fn error_of_now(&self) -> Option<(&str, Timestamp)> {
        let is_of_now =
            |at: Timestamp| self.consecutive > 0 && self.connected_since.is_none_or(|since| at >= since);
        let (reason, at) = self.last_error.as_ref().filter(|(_, at)| is_of_now(*at))?;
        Some((reason, *at))
    }

    /// Reason why it is not connected, or why what it tried last of an event did not pass, where it
    /// was told; with what it may not publish, the newer one first.
    pub fn reason(&self) -> Option<String> {
        self.reason_or(None)
    }

    /// The same, or else a query that the other side does not take.
    fn reason_or(&self, query: Option<&RefusedQuery>) -> Option<String> {
        if self.is_stopped {
            return Some(STOPPED.to_owned());
        }
        if self.absence.waits_for_code() {
            return Some(COMPILING.to_owned());
        }
        let of_query = query.map(|query| (query.text.clone(), query.since));
        if self.is_away() {
            let told = || self.last_error.clone().or(of_query).map(|(reason, _)| reason);
            let away = self.absence.reason().map(str::to_owned).or_else(told);
            // A guest may have given up because of it, so that it stands first.
            let at_first = |reason| (reason, Timestamp::MIN);
            return match &self.runs.refused_write {
                Some(refused) => Some(refused.joined_with(away.map(at_first))),
                None => away,
            };
        }
        let of_event = self.events.trouble();
        let of_event = of_event.map(|(event, reason, at)| (event.with_reason(reason), at));
        let of_now = || self.error_of_now().map(|(reason, at)| (reason.to_owned(), at));
        let other = of_event.or_else(of_now).or(of_query);
        match &self.runs.refused_write {
            Some(refused) => Some(refused.joined_with(other)),
            None => other.map(|(reason, _)| reason),
        }
    }

    fn is_away(&self) -> bool {
        matches!(self.connection(), Connection::Disconnected | Connection::Reconnecting)
    }

    /// Returns the current fault: [`reason`](Self::reason), else a query that the other side
    /// rejects. Adds the tags without a value if the route is connected.
    pub fn trouble(&self) -> Option<String> {
        let reason = self.reason_or(self.told.refused_query.as_ref());
        let tags = self.failing_tags.as_ref().and_then(|tags| tags.text());
        match (reason, tags) {
            (Some(reason), Some(tags)) if !self.is_stopped && !self.is_away() => {
                Some(format!("{reason}; {tags}"))
            }
            (Some(reason), _) => Some(reason),
            (None, tags) => tags.map(str::to_owned),
        }
    }

    /// Returns a failure of this minute that is frequent enough to count, though something has
    /// passed since and no fault is known.
    pub fn failed_lately(&self, now: Timestamp) -> Option<String> {
        if self.trouble().is_some() || self.rate(now) <= FEW_FAILURES {
            return None;
        }
        let (reason, at) = self.last_error.as_ref()?;
        let of_then = self.recent.iter().rev().filter(|operation| operation.at == *at);
        let event =
            of_then.filter_map(|operation| operation.failure.as_ref()).find_map(|it| it.event.as_ref());
        let reason = event.map_or_else(|| reason.clone(), |event| event.with_reason(reason));
        Some(format!(
            "{} of the last {WINDOW} operations failed within a minute: {reason}",
            self.failing(now)
        ))
    }

    /// Number of tags that have no value; `None` where its guest has told nothing of tags.
    pub fn failing_tags(&self) -> Option<u64> {
        self.failing_tags.as_ref().map(|tags| tags.count())
    }

    /// Health: `Green`, `Yellow` or `Red`. A stopped route is `Red` at once, because it does not
    /// recover by itself. A route is `Yellow` if an event's oldest message has waited for long and
    /// nothing of it has passed: such a far side may be away without a report. `waits` holds these
    /// times. It is also `Yellow` with a tag without a value or a rejected query. A route whose
    /// writes are denied, or whose runs all fail for long, is `Red`, however rare they are.
    pub fn health(&self, waits: &[EventWait], now: Timestamp) -> &'static str {
        let is_away = self.connection() == Connection::Disconnected
            || self.away_for(now).is_some_and(|time| time > AWAY_MAX);
        let fails = self.events.fails_for(waits, AWAY_MAX, now)
            || self.runs_have_failed_for(now).is_some_and(|time| time > AWAY_MAX)
            || self.runs.refused_write.is_some();
        let lacks =
            self.failing_tags().is_some_and(|failing| failing > 0) || self.told.refused_query.is_some();
        match self.rate(now) {
            _ if self.absence.waits_for_code() && !self.is_stopped => "Yellow",
            _ if is_away || fails || self.hangs(waits, LONG_STANDSTILL, now) => "Red",
            rate if rate > 0.5 => "Red",
            rate if rate > FEW_FAILURES || lacks || self.is_away() => "Yellow",
            _ if self.hangs(waits, STANDSTILL, now) || self.connects_for(STANDSTILL, now).is_some() => {
                "Yellow"
            }
            _ => "Green",
        }
    }

    /// Whether the oldest message of an event has waited for longer than this, and nothing of that
    /// event has passed for as long.
    fn hangs(&self, waits: &[EventWait], time: SignedDuration, now: Timestamp) -> bool {
        self.hanging(waits, time, now).next().is_some()
    }

    /// Events of which that is so, with the time for which nothing of them has passed.
    fn hanging<'a>(
        &'a self,
        waits: &'a [EventWait],
        time: SignedDuration,
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a Addressee, SignedDuration)> {
        let quiet = move |(event, wait): &'a EventWait| {
            let since = self.events.last_success(event).map(|at| now.duration_since(at));
            (event, since.map_or(*wait, |since| since.min(*wait)))
        };
        waits.iter().map(quiet).filter(move |(_, quiet)| *quiet > time)
    }

    /// Time for which it has been connecting for the first time, beyond this one.
    fn connects_for(&self, time: SignedDuration, now: Timestamp) -> Option<SignedDuration> {
        let is_connecting = self.connection() == Connection::Connecting;
        self.away_for(now).filter(|away| is_connecting && *away > time)
    }

    /// Describes a missing answer: a connection or a delivery without any sign for a while, and no
    /// known fault. A far side that hangs takes everything and answers nothing.
    pub fn unanswered(&self, waits: &[EventWait], now: Timestamp) -> Option<String> {
        if self.trouble().is_some() {
            return None;
        }
        if let Some(time) = self.connects_for(UNANSWERED, now) {
            return Some(format!("it has been connecting for {} s, and has no answer yet", time.as_secs()));
        }
        if self.connection() != Connection::Connected {
            return None;
        }
        let (event, quiet) = self.hanging(waits, UNANSWERED, now).max_by_key(|(_, quiet)| *quiet)?;
        Some(format!("{}: nothing has passed for {} s", event.described(), quiet.as_secs()))
    }

    /// Time for which it has not been connected.
    pub(crate) fn away_for(&self, now: Timestamp) -> Option<SignedDuration> {
        self.absence.time(now)
    }

    /// Since when it has been connected, or not.
    pub fn since(&self) -> Timestamp {
        self.connected_since.or(self.absence.since()).unwrap_or(self.started)
    }

    /// Time since when the route is connected, as text.
    pub fn connected_since(&self) -> Option<String> {
        self.connected_since.map(text)
    }

    /// Payload of the status topic.
    pub fn to_json(&self, (name, kind): (&str, &str), beside: &RunnerFacts, now: Timestamp) -> Json {
        let last_error = self.last_error_at().map(|(reason, at)| format!("{} {reason}", text(at)));
        let mut status = json!({
            "name": name,
            "type": kind,
            "connection": self.connection().word(),
            "health": beside.not_green(self.health(&beside.waits, now)),
            "errors": { "total": self.errors, "consecutive": self.consecutive, "rate": self.rate(now) },
            "messages": { "total": self.messages, "succeeded": self.succeeded, "failed": self.failed, "received": self.deliveries.brought },
            "deadLetters": beside.dead_letters,
            "deadLettersDropped": beside.dead_letters_dropped,
            "lastActivity": self.last_activity.map(text),
            "lastSuccess": self.last_success.map(text),
            "lastError": last_error,
            "lastErrorIsOver": self.last_error_is_over(),
            "uptime": uptime(now.duration_since(self.started)),
            "connectedSince": self.connected_since(),
            "timestamp": text(now),
        });
        let rates = self.rates(now);
        let own = [
            ("waiting", json!(beside.waiting.0)),
            ("waitingBytes", json!(beside.waiting.1)),
            ("shed", json!(self.deliveries.shed)),
            ("oldestSeconds", json!(beside.oldest_ms.map(|ms| ms / 1000))),
            ("deliveredPerSecond", json!(rates.delivered_per_second)),
            ("receivedPerSecond", json!(rates.received_per_second)),
            ("latencyMs", json!(rates.latency_ms)),
        ];
        own.into_iter().for_each(|(key, value)| status[key] = value);
        if let Some(buffer) = beside.volatile {
            status["buffer"] = buffer.into();
        }
        if let Some(full) = &beside.full {
            status["outbox"] = full.as_str().into();
        }
        if let Some(waits) = &beside.waits_to_publish {
            status["waitsToPublish"] = waits.as_str().into();
        }
        if !self.told.paths.is_empty() {
            status["paths"] = json!(*self.told.paths);
        }
        if let Some(tags) = &self.failing_tags {
            status["tags"] = tags.to_json();
        }
        if let Some(served) = self.deliveries.http.served.to_json() {
            status["served"] = served;
        }
        status
    }
}

#[cfg(test)]
mod tests;
