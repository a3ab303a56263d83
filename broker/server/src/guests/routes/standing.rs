//! Standing of a route: connection, health, figures, for its status topic and for commands. Routes reference §3.1.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use lotmq_host::fiber::{HttpEvent, HttpFailure};
use serde_json::{Value as Json, json};

/// Number of operations in the error rate.
const WINDOW: usize = 20;

/// Time without a connection after which the health is `Red`.
const AWAY_MAX: SignedDuration = SignedDuration::from_secs(60);

/// State of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    Disconnected,
    Connecting,
    Connected,
    Reconnecting,
}

impl Connection {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Connection::Disconnected => "Disconnected",
            Connection::Connecting => "Connecting",
            Connection::Connected => "Connected",
            Connection::Reconnecting => "Reconnecting",
        }
    }
}

/// Standing of a route.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) connection: Connection,
    pub(crate) errors: u64,
    consecutive: u64,
    /// Whether each of the last operations failed, oldest first.
    recent: VecDeque<bool>,
    messages: u64,
    succeeded: u64,
    failed: u64,
    last_activity: Option<Timestamp>,
    last_success: Option<Timestamp>,
    last_error: Option<(String, Timestamp)>,
    connected_since: Option<Timestamp>,
    was_connected: bool,
    /// Beginning of the time without a connection.
    away_since: Option<Timestamp>,
    started: Timestamp,
    pub(crate) deliveries: DeliveryFigures,
}

/// Figures of what a route has handed to its guest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeliveryFigures {
    pub(crate) batches: u64,
    /// Bytes of payloads that passed.
    pub(crate) bytes: u64,
    /// Messages that did not pass and were to come again.
    pub(crate) retried: u64,
    /// Connections after the first.
    pub(crate) reconnects: u64,
    pub(crate) http: HttpFigures,
}

/// Figures of the exchanges of a route with HTTP servers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HttpFigures {
    /// Exchanges that were begun, or were to be.
    pub(crate) requests: u64,
    /// Connections that were made.
    pub(crate) connections: u64,
    /// Failures of exchanges, in the order of [`HttpFailure::ALL`].
    failures: [u64; HttpFailure::ALL.len()],
}

impl HttpFigures {
    /// Counts what happened.
    pub(crate) fn note(&mut self, event: HttpEvent) {
        match event {
            HttpEvent::Requested => self.requests += 1,
            HttpEvent::Connected => self.connections += 1,
            HttpEvent::Failed(failure) => {
                let counts = HttpFailure::ALL.into_iter().zip(&mut self.failures);
                counts.filter(|(kind, _)| *kind == failure).for_each(|(_, count)| *count += 1);
            }
        }
    }

    /// Failures by their kinds, without those that have not happened.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = HttpFailure::ALL.into_iter().zip(self.failures);
        counts.filter(|(_, count)| *count > 0).map(|(kind, count)| (kind.name(), count))
    }
}

impl Standing {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            connection: Connection::Connecting,
            errors: 0,
            consecutive: 0,
            recent: VecDeque::with_capacity(WINDOW),
            messages: 0,
            succeeded: 0,
            failed: 0,
            last_activity: None,
            last_success: None,
            last_error: None,
            connected_since: None,
            was_connected: false,
            away_since: Some(now),
            started: now,
            deliveries: DeliveryFigures::default(),
        }
    }

    pub(crate) fn connection_is(&mut self, connection: Connection, now: Timestamp) {
        self.connection = connection;
        if connection == Connection::Connected {
            self.deliveries.reconnects += u64::from(self.was_connected);
            self.was_connected = true;
            self.connected_since = Some(now);
            self.away_since = None;
        } else {
            self.connected_since = None;
            self.away_since.get_or_insert(now);
        }
    }

    /// Counts a message that was taken from the mailbox or dropped from it.
    pub(crate) fn message_came(&mut self) {
        self.messages += 1;
    }

    /// Notes an operation that passed; `messages` of its messages are done.
    pub(crate) fn passed(&mut self, messages: u64, now: Timestamp) {
        self.succeeded += messages;
        self.consecutive = 0;
        self.last_activity = Some(now);
        self.last_success = Some(now);
        self.note(false);
    }

    /// Notes an operation that failed; `messages` of its messages never pass.
    pub(crate) fn failed(&mut self, messages: u64, reason: &str, now: Timestamp) {
        self.failed += messages;
        self.errors += 1;
        self.consecutive += 1;
        self.last_activity = Some(now);
        self.last_error = Some((reason.to_owned(), now));
        self.note(true);
    }

    /// Notes a partial success: shown as the last error, and not counted as one.
    pub(crate) fn warned(&mut self, reason: &str, now: Timestamp) {
        self.last_error = Some((reason.to_owned(), now));
    }

    fn note(&mut self, has_failed: bool) {
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(has_failed);
    }

    fn rate(&self) -> f64 {
        let failed = self.recent.iter().filter(|has_failed| **has_failed).count();
        #[allow(clippy::cast_precision_loss, reason = "at most 20")]
        let rate = failed as f64 / WINDOW as f64;
        rate
    }

    /// Numbers of messages that passed, and of those that never will.
    pub(crate) fn done(&self) -> (u64, u64) {
        (self.succeeded, self.failed)
    }

    /// Seconds since something passed.
    pub(crate) fn since_success(&self, now: Timestamp) -> Option<f64> {
        self.last_success.map(|at| now.duration_since(at).as_secs_f64().max(0.0))
    }

    /// Reason why it is not connected, where it was told.
    pub(crate) fn reason(&self) -> Option<&str> {
        let is_away = matches!(self.connection, Connection::Disconnected | Connection::Reconnecting);
        self.last_error.as_ref().filter(|_| is_away).map(|(reason, _)| reason.as_str())
    }

    /// Health: `Green`, `Yellow` or `Red`. What stands still is `Red` at once: it does not come back by itself.
    pub(crate) fn health(&self, now: Timestamp) -> &'static str {
        let is_away = self.connection == Connection::Disconnected
            || self.away_since.is_some_and(|since| now.duration_since(since) > AWAY_MAX);
        match self.rate() {
            _ if is_away => "Red",
            rate if rate > 0.5 => "Red",
            rate if rate > 0.1 => "Yellow",
            _ => "Green",
        }
    }

    /// Time for which it has not been connected.
    pub(crate) fn away_for(&self, now: Timestamp) -> Option<SignedDuration> {
        self.away_since.map(|since| now.duration_since(since))
    }

    pub(crate) fn connected_since(&self) -> Option<String> {
        self.connected_since.map(text)
    }

    /// Payload of the status topic.
    pub(crate) fn to_json(&self, name: &str, kind: &str, now: Timestamp) -> Json {
        let last_error = self.last_error.as_ref().map(|(reason, at)| format!("{} {reason}", text(*at)));
        json!({
            "name": name,
            "type": kind,
            "connection": self.connection.word(),
            "health": self.health(now),
            "errors": { "total": self.errors, "consecutive": self.consecutive, "rate": self.rate() },
            "messages": { "total": self.messages, "succeeded": self.succeeded, "failed": self.failed },
            "lastActivity": self.last_activity.map(text),
            "lastSuccess": self.last_success.map(text),
            "lastError": last_error,
            "uptime": uptime(now.duration_since(self.started)),
            "connectedSince": self.connected_since(),
            "timestamp": text(now),
        })
    }
}

fn text(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Formats a time as `hh:mm:ss`, above a day as `d.hh:mm:ss`.
fn uptime(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let of_day = format!("{hours:02}:{minutes:02}:{:02}", seconds % 60);
    if days > 0 { format!("{days}.{of_day}") } else { of_day }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_has_the_fields_of_the_reference_in_order() {
        let start = Timestamp::from_second(1_795_166_305).unwrap();
        let mut standing = Standing::new(start);
        standing.connection_is(Connection::Connected, start);
        for _ in 0..12 {
            standing.message_came();
        }
        standing.passed(12, start);
        let now = start + SignedDuration::from_secs(90);
        let text = standing.to_json("PLC1", "MODBUS_TCP", now).to_string();
        assert_eq!(
            text,
            r#"{"name":"PLC1","type":"MODBUS_TCP","connection":"Connected","health":"Green","#.to_owned()
                + r#""errors":{"total":0,"consecutive":0,"rate":0.0},"messages":{"total":12,"succeeded":12,"failed":0},"#
                + r#""lastActivity":"2026-11-20T09:18:25.000Z","lastSuccess":"2026-11-20T09:18:25.000Z","lastError":null,"#
                + r#""uptime":"00:01:30","connectedSince":"2026-11-20T09:18:25.000Z","timestamp":"2026-11-20T09:19:55.000Z"}"#
        );
    }

    #[test]
    fn health_follows_the_errors_and_the_absence() {
        let start = Timestamp::UNIX_EPOCH;
        let mut standing = Standing::new(start);
        assert_eq!(standing.health(start + SignedDuration::from_secs(60)), "Green");
        assert_eq!(standing.health(start + SignedDuration::from_secs(61)), "Red");
        standing.connection_is(Connection::Connected, start);
        for (failures, expected) in [(2, "Green"), (3, "Yellow"), (10, "Yellow"), (11, "Red")] {
            while standing.errors < failures {
                standing.failed(1, "no", start);
            }
            assert_eq!(standing.health(start), expected, "{failures}");
        }
        for _ in 0..20 {
            standing.passed(1, start);
        }
        assert_eq!(standing.health(start), "Green");
    }

    #[test]
    fn what_stands_still_is_red_and_says_why() {
        let start = Timestamp::UNIX_EPOCH;
        let mut standing = Standing::new(start);
        standing.connection_is(Connection::Connected, start);
        standing.failed(0, "no", start);
        assert_eq!((standing.health(start), standing.reason()), ("Green", None));
        standing.connection_is(Connection::Reconnecting, start);
        assert_eq!((standing.health(start), standing.reason()), ("Green", Some("no")));
        standing.connection_is(Connection::Disconnected, start);
        assert_eq!((standing.health(start), standing.reason()), ("Red", Some("no")));
    }

    #[test]
    fn uptime_is_shown_with_days_from_the_first() {
        for (seconds, expected) in [(0, "00:00:00"), (86_399, "23:59:59"), (93_784, "1.02:03:04")] {
            assert_eq!(uptime(SignedDuration::from_secs(seconds)), expected);
        }
    }
}
