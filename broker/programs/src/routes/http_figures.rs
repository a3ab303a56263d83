//! Figures of a route about HTTP: of its exchanges with servers, and of the requests that it
//! serves.

use lotmq_host::fiber::{HttpEvent, HttpFailure, ServedEvent};
use serde_json::{Map, Value as Json, json};

/// Classes of statuses that answers have.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Class of a request without an answer.
const LEFT: &str = "none";

/// Figures of the exchanges of a route with HTTP servers, and of what it serves itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpFigures {
    /// Exchanges that were begun, or were to be.
    pub requests: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Failures of exchanges, in the order of [`HttpFailure::ALL`].
    failures: [u64; HttpFailure::ALL.len()],
    /// Figures of the requests that the route serves.
    pub served: ServedFigures,
}

/// Figures of the requests that a route serves.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServedFigures {
    has_any: bool,
    /// Requests that have no answer yet.
    pub open: u64,
    /// Requests by the class of their status, in the order of [`CLASSES`].
    answered: [u64; CLASSES.len()],
    /// Requests that ended without an answer, because their clients had gone.
    left: u64,
    /// Requests that the host has refused, so that the guest never got them, and connections that
    /// were closed because there were too many.
    pub refused: u64,
    /// Bytes of the bodies of requests.
    pub received_bytes: u64,
    /// Bytes of the bodies of answers.
    pub sent_bytes: u64,
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
            HttpEvent::Served(event) => self.served.note(event),
        }
    }

    /// Failures by their kinds, without those that have not happened.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = HttpFailure::ALL.into_iter().zip(self.failures);
        counts.filter(|(_, count)| *count > 0).map(|(kind, count)| (kind.name(), count))
    }
}

impl ServedFigures {
    fn note(&mut self, event: ServedEvent) {
        self.has_any = true;
        match event {
            ServedEvent::Came => self.open += 1,
            ServedEvent::Answered { status, is_refused, received, sent } => {
                // Requests from before a deployment by another owner were not counted here.
                self.open = self.open.saturating_sub(1);
                self.has_status(status);
                self.refused += u64::from(is_refused);
                self.received_bytes += received;
                self.sent_bytes += sent;
            }
            ServedEvent::Left { received } => {
                self.open = self.open.saturating_sub(1);
                self.left += 1;
                self.received_bytes += received;
            }
            ServedEvent::Unreadable => {
                self.has_status(400);
                self.refused += 1;
            }
            ServedEvent::TurnedAway => self.refused += 1,
        }
    }

    fn has_status(&mut self, status: u16) {
        let class = usize::from(status / 100).checked_sub(2);
        if let Some(count) = class.and_then(|class| self.answered.get_mut(class)) {
            *count += 1;
        }
    }

    /// Whether it has served any.
    pub fn has_any(&self) -> bool {
        self.has_any
    }

    /// Requests that have ended, by the class of their status, `none` for those without an answer;
    /// without classes of which there were none.
    pub fn by_class(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = CLASSES.into_iter().zip(self.answered).chain([(LEFT, self.left)]);
        counts.filter(|(_, count)| *count > 0)
    }

    /// The figures for people; `None` of a route that has served nothing.
    pub fn to_json(self) -> Option<Json> {
        let requests: Map<String, Json> =
            self.by_class().map(|(class, count)| (class.to_owned(), count.into())).collect();
        self.has_any.then(|| {
            json!({
                "requests": requests,
                "open": self.open,
                "refused": self.refused,
                "receivedBytes": self.received_bytes,
                "sentBytes": self.sent_bytes,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_open_until_it_ends_and_is_counted_once() {
        let mut http = HttpFigures::default();
        assert_eq!(http.served.to_json(), None);
        let answered =
            |status, is_refused| ServedEvent::Answered { status, is_refused, received: 5, sent: 7 };
        for event in [
            ServedEvent::Came,
            ServedEvent::Came,
            ServedEvent::Came,
            ServedEvent::Came,
            answered(204, false),
            answered(413, true),
            ServedEvent::Left { received: 3 },
            ServedEvent::Unreadable,
        ] {
            http.note(HttpEvent::Served(event));
        }
        assert_eq!(
            http.served.to_json().unwrap().to_string(),
            r#"{"requests":{"2xx":1,"4xx":2,"none":1},"open":1,"refused":2,"receivedBytes":13,"sentBytes":14}"#
        );
        assert_eq!(http.requests, 0, "it asks nobody");
    }

    #[test]
    fn answers_to_what_came_before_leave_none_open() {
        let mut served = ServedFigures::default();
        served.note(ServedEvent::Left { received: 0 });
        assert_eq!((served.open, served.has_any()), (0, true));
    }
}
