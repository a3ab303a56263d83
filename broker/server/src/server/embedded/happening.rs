//! What definitions did: seen by a witness as it is done, and with the messages as the Client has got them.

use std::collections::VecDeque;

use lotmq_host::Value;
use parking_lot::Mutex;

use crate::guests::witness::{Deed, Published, Report, Witness};

/// Something that a definition did.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// Name of the definition.
    pub definition: String,
    /// What it did.
    pub what: What,
}

/// What a definition did.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// It published a message, as who is subscribed to everything has got it.
    Published(Published),
    /// A run ended with outputs.
    Returned(Vec<Value>),
    /// It failed, or has something to tell.
    Reported(Report),
    /// A script that it called has printed something.
    Printed(String),
}

/// What definitions did, until the owner takes it.
#[derive(Default)]
pub(super) struct Deeds(Mutex<Vec<(String, Deed)>>);

impl Witness for Deeds {
    fn sees(&self, definition: &str, deed: Deed) {
        self.0.lock().push((definition.to_owned(), deed));
    }
}

impl Deeds {
    /// What happened since this was called last: messages as they were `received`, among everything else in the order in which it was done.
    pub(super) fn take(&self, received: &mut VecDeque<Published>) -> Vec<Happening> {
        let deeds = std::mem::take(&mut *self.0.lock());
        let mut all = Vec::with_capacity(deeds.len());
        for (definition, deed) in deeds {
            let what = match deed {
                Deed::Published(message) => match as_received(message, received) {
                    Some(message) => What::Published(message),
                    None => continue,
                },
                Deed::Returned(outputs) => What::Returned(outputs),
                Deed::Reported(report) => What::Reported(report),
                Deed::Printed(text) => What::Printed(text),
            };
            all.push(Happening { definition, what });
        }
        // What nobody was seen to publish.
        let others = received.drain(..).map(What::Published);
        all.extend(others.map(|what| Happening { definition: String::new(), what }));
        all
    }
}

/// A published message as it was delivered; `None` when it was not. Nobody is subscribed to all topics that begin with `$`.
fn as_received(published: Published, received: &mut VecDeque<Published>) -> Option<Published> {
    if published.topic.starts_with('$') {
        return Some(published);
    }
    let is_it = |next: &Published| next.topic == published.topic && next.payload == published.payload;
    if received.front().is_some_and(is_it) { received.pop_front() } else { None }
}
