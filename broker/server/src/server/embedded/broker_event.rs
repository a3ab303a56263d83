//! Events of definitions and denials by rules: an observer records them, and a Client that is
//! subscribed to everything receives the messages.

use std::collections::VecDeque;

use lot_to_wasm::diagnostic::codes;
use lotmq_host::{GRANT_MISSING, Value, wanted_grant};
use parking_lot::Mutex;

use super::admitted::AdmittedClients;
use super::clients::Clients;
use super::error::EmbeddedError;
use lotmq_programs::recorder::{Denial, Forwarded, LoginEvent, Published, Report, RunEvent, RunRecorder};

/// Something that happened in the broker.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerEvent {
    /// Name of the definition that did it; empty where none did.
    pub definition: String,
    /// Kind of the event.
    pub what: What,
}

/// Event of an embedded broker.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// It published a message, as who is subscribed to everything has got it.
    Published(Published),
    /// A Client got a message that it is subscribed to.
    Delivered {
        /// Its identifier.
        client_id: String,
        /// The message.
        message: Published,
    },
    /// Rules did not let a Client do something.
    Denied(Denial),
    /// A run ended with outputs.
    Returned(Vec<Value>),
    /// It failed, or has something to tell.
    Reported(Report),
    /// A script that it called has printed something.
    Printed(String),
    /// It is a route that is not connected, for this reason.
    Unconnected(String),
    /// It is such a route, to whose other side this would have gone.
    Forwarded(Forwarded),
    /// It is a module for logins, and answered or did something to Clients.
    OfLogins(LoginEvent),
}

/// Recorded events until the owner takes them, and the Clients that a login module has let in.
#[derive(Default)]
pub(super) struct EventRecorder {
    notes: Mutex<Notes>,
    pub(super) admitted: Mutex<AdmittedClients>,
}

#[derive(Default)]
struct Notes {
    all: Vec<Recorded>,
    /// Bytes of messages and texts that were noted.
    bytes: usize,
    /// More happened than is kept.
    is_too_much: bool,
}

/// Most happenings that are kept until the owner takes them: what a day of timers, one each second,
/// does.
const HAPPENINGS_MAX: usize = 200_000;

/// Most bytes of their messages and texts: several runs that write all that they may.
const HAPPENED_BYTES_MAX: usize = 256 << 20;

impl Notes {
    fn push(&mut self, noted: Recorded) {
        self.bytes = self.bytes.saturating_add(noted.bytes());
        self.is_too_much |= self.all.len() >= HAPPENINGS_MAX || self.bytes > HAPPENED_BYTES_MAX;
        if !self.is_too_much {
            self.all.push(noted);
        }
    }

    /// Whether an error was told just before, as its cause: a rule repeats that of the module that
    /// it asked, and a module's question ends for want of the grant that it was told to miss.
    fn have_reported(&self, definition: &str, report: &Report) -> bool {
        let is_of_rule = report.code == codes::RUN_MODULE_CALL_FAILED.to_string();
        let of_module = || report.message.strip_prefix("module `")?.split_once("`: ");
        let (module, message) = match of_module() {
            Some(cause) if is_of_rule => cause,
            Some(_) | None => (definition, &*report.message),
        };
        let just_now = self.all.iter().rev().take(LOOKED_BACK_MAX).map_while(|noted| match noted {
            Recorded::Done(by, RunEvent::Reported(earlier)) => Some(Some((by, earlier))),
            Recorded::Done(_, RunEvent::Printed(_)) => Some(None),
            Recorded::Done(..) | Recorded::Arrived { .. } | Recorded::Denied(_) => None,
        });
        let mut of_module = just_now.flatten().filter(|(by, earlier)| *by == module && earlier.is_error);
        of_module.any(|(_, earlier)| match wanted_grant(message) {
            Some(grant) => earlier.code == GRANT_MISSING && earlier.message.contains(grant),
            None => is_of_rule && earlier.message == message,
        })
    }
}

/// Errors and lines among which the cause of an error is looked for.
const LOOKED_BACK_MAX: usize = 32;

impl Recorded {
    fn bytes(&self) -> usize {
        match self {
            Self::Arrived { topic, payload } => topic.len() + payload.len(),
            Self::Done(_, RunEvent::Published(message)) => message.topic.len() + message.payload.len(),
            Self::Done(_, RunEvent::Forwarded(message)) => message.topic.len() + message.payload.len(),
            Self::Done(_, RunEvent::Printed(text) | RunEvent::Unconnected(text)) => text.len(),
            Self::Done(_, RunEvent::Reported(report)) => report.message.len(),
            Self::Done(_, RunEvent::Returned(_) | RunEvent::OfLogins(_)) | Self::Denied(_) => 0,
        }
    }
}

enum Recorded {
    /// A Client published a message: who sees everything gets it, too.
    Arrived {
        topic: String,
        payload: Vec<u8>,
    },
    Done(String, RunEvent),
    Denied(Denial),
}

impl RunRecorder for EventRecorder {
    fn sees(&self, definition: &str, event: RunEvent) {
        let mut notes = self.notes.lock();
        if matches!(&event, RunEvent::Reported(report) if notes.have_reported(definition, report)) {
            return;
        }
        notes.push(Recorded::Done(definition.to_owned(), event));
    }

    fn sees_denial(&self, denial: Denial) {
        let mut noted = self.notes.lock();
        // It has not arrived.
        noted.all.pop_if(
            |last| matches!(last, Recorded::Arrived { topic, .. } if denial.topic.as_ref() == Some(topic)),
        );
        noted.push(Recorded::Denied(denial));
    }

    fn sees_intervention(&self, module: &str, event: LoginEvent) -> u32 {
        let count = match &event {
            LoginEvent::Revoked { whom, .. } => self.admitted.lock().revoked(whom),
            LoginEvent::Updated { whom, principal } => self.admitted.lock().updated(whom, &principal.user),
            LoginEvent::Answered { .. } => 0,
        };
        self.notes.lock().push(Recorded::Done(module.to_owned(), RunEvent::OfLogins(event)));
        count
    }
}

impl EventRecorder {
    /// A Client is about to publish a message.
    pub(super) fn arrives(&self, topic: &str, payload: &[u8]) {
        self.notes.lock().push(Recorded::Arrived { topic: topic.to_owned(), payload: payload.to_vec() });
    }

    /// Whether more happened than is kept.
    pub(super) fn are_too_many(&self) -> bool {
        self.notes.lock().is_too_much
    }

    /// Whether a definition was refused for want of a grant.
    pub(super) fn lacks_grant(&self, definition: &str) -> bool {
        let is_refusal = |noted: &Recorded| matches!(noted, Recorded::Done(by, RunEvent::Reported(report)) if by == definition && report.code == GRANT_MISSING);
        self.notes.lock().all.iter().rev().take(LOOKED_BACK_MAX).any(is_refusal)
    }

    /// The error that says so.
    pub(super) fn too_many() -> EmbeddedError {
        EmbeddedError::TooMuch { happenings_max: HAPPENINGS_MAX, bytes_max: HAPPENED_BYTES_MAX }
    }

    /// Returns the events since the last call: messages as received, in the order of all events,
    /// and then the messages of the other Clients.
    pub(super) fn take(&self, clients: &mut Clients) -> Result<Vec<BrokerEvent>, EmbeddedError> {
        let Notes { all: noted, is_too_much, .. } = std::mem::take(&mut *self.notes.lock());
        if is_too_much {
            return Err(Self::too_many());
        }
        let mut none = VecDeque::new();
        let received = clients.observed().unwrap_or(&mut none);
        let mut all = Vec::with_capacity(noted.len());
        for noted in noted {
            let (definition, what) = match noted {
                Recorded::Arrived { topic, payload } => {
                    received.pop_front_if(|next| next.topic == topic && next.payload == payload);
                    continue;
                }
                Recorded::Denied(denial) => (String::new(), What::Denied(denial)),
                Recorded::Done(definition, RunEvent::Published(message)) => {
                    match as_received(message, received) {
                        Some(message) => (definition, What::Published(message)),
                        None => continue,
                    }
                }
                Recorded::Done(definition, RunEvent::Returned(outputs)) => {
                    (definition, What::Returned(outputs))
                }
                Recorded::Done(definition, RunEvent::Reported(report)) => {
                    (definition, What::Reported(report))
                }
                Recorded::Done(definition, RunEvent::Printed(text)) => (definition, What::Printed(text)),
                Recorded::Done(definition, RunEvent::Unconnected(reason)) => {
                    (definition, What::Unconnected(reason))
                }
                Recorded::Done(definition, RunEvent::Forwarded(message)) => {
                    (definition, What::Forwarded(message))
                }
                Recorded::Done(definition, RunEvent::OfLogins(event)) => (definition, What::OfLogins(event)),
            };
            all.push(BrokerEvent { definition, what });
        }
        // Messages without an observed publisher.
        let others = received.drain(..).map(What::Published);
        all.extend(others.map(|what| BrokerEvent { definition: String::new(), what }));
        let delivered = clients.delivered().map(|(to, message)| {
            let what = What::Delivered { client_id: to.client_id.clone(), message };
            BrokerEvent { definition: String::new(), what }
        });
        all.extend(delivered);
        Ok(all)
    }
}

/// A published message as it was delivered; `None` when it was not. Nobody is subscribed to all
/// topics that begin with `$`.
fn as_received(published: Published, received: &mut VecDeque<Published>) -> Option<Published> {
    if published.topic.starts_with('$') {
        return Some(published);
    }
    let is_it = |next: &Published| next.topic == published.topic && next.payload == published.payload;
    if received.front().is_some_and(is_it) { received.pop_front() } else { None }
}
