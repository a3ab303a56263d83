//! Figures of what threads do, each thread writing its own: messages by QoS and by listener, and
//! how long deliveries and logins take.
//!
//! A thread adds to numbers that no other thread writes, so that its messages wait for no other's
//! memory; `/metrics` adds up those of all threads when it is asked. Names of listeners and reasons
//! are bounded: what goes beyond is one sum. Not here: counters without labels (`counters`).

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lotmq_histogram::{DurationCounts, Histogram};
use parking_lot::Mutex;

use crate::limits::{DELIVERY_BOUNDS, LISTENERS_FIGURED_MAX, LOGIN_BOUNDS};

/// Buckets of [`DELIVERY_BOUNDS`].
const DELIVERY_BUCKETS: usize = DELIVERY_BOUNDS.len() + 1;

/// Buckets of [`LOGIN_BOUNDS`].
const LOGIN_BUCKETS: usize = LOGIN_BOUNDS.len() + 1;

/// Name of the listener that all beyond [`LISTENERS_FIGURED_MAX`] are counted as.
const OTHER: &str = "other";

/// Number that one thread at a time adds to.
#[derive(Debug, Default)]
pub struct OwnCounter(AtomicU64);

impl OwnCounter {
    /// Adds to the number.
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// Value of the number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Traffic from a Client or to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficSums {
    /// Application Messages.
    pub messages: u64,
    /// Bytes of all packets.
    pub bytes: u64,
}

/// Traffic counters of a connection. Its owner counts what comes in; the holder of its Client's
/// state counts what goes out.
#[derive(Debug, Default)]
pub struct OwnTraffic {
    pub(crate) messages: OwnCounter,
    pub(crate) bytes: OwnCounter,
}

impl OwnTraffic {
    /// Sums as they are now.
    pub fn sums(&self) -> TrafficSums {
        TrafficSums { messages: self.messages.get(), bytes: self.bytes.get() }
    }
}

macro_rules! listener_figures {
    ($($(#[doc = $help:literal])+ $name:ident;)*) => {
        /// Figures of the connections of one listener on one thread.
        #[derive(Debug, Default)]
        pub struct ListenerFigures { $($(#[doc = $help])+ pub $name: OwnCounter,)* }

        /// Sums of the figures of a listener.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct ListenerSums { $($(#[doc = $help])+ pub $name: u64,)* }

        impl ListenerSums {
            fn add(&mut self, more: &ListenerFigures) {
                $(self.$name = self.$name.wrapping_add(more.$name.get());)*
            }
        }
    };
}

listener_figures! {
    /// Connections that began.
    opened;
    /// Connections that ended.
    closed;
    /// Bytes read from Clients.
    bytes_received;
    /// Bytes handed to Clients.
    bytes_sent;
    /// Application Messages received from Clients.
    messages_received;
    /// Application Messages sent to Clients.
    messages_sent;
}

/// Figures that one thread writes.
#[derive(Debug)]
pub struct ThreadFigures {
    received: [OwnCounter; 3],
    sent: [OwnCounter; 3],
    listeners: [ListenerFigures; LISTENERS_FIGURED_MAX],
    pub(crate) delivery: Histogram<DELIVERY_BUCKETS>,
    pub(crate) login: Histogram<LOGIN_BUCKETS>,
}

impl ThreadFigures {
    fn new() -> Self {
        Self {
            received: Default::default(),
            sent: Default::default(),
            listeners: Default::default(),
            delivery: Histogram::new(DELIVERY_BOUNDS),
            login: Histogram::new(LOGIN_BOUNDS),
        }
    }

    /// Adds the messages of a turn, by QoS.
    pub(crate) fn add_messages(&self, received: [u64; 3], sent: [u64; 3]) {
        for (own, more) in self.received.iter().zip(received).chain(self.sent.iter().zip(sent)) {
            own.add(more);
        }
    }

    /// Figures of the connections of the listener with this number.
    pub fn listener(&self, number: u8) -> &ListenerFigures {
        &self.listeners[usize::from(number).min(LISTENERS_FIGURED_MAX - 1)]
    }
}

/// Sums of the figures of all threads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FigureSums {
    /// Application Messages received from Clients, by QoS.
    pub received: [u64; 3],
    /// Application Messages sent to Clients, by QoS.
    pub sent: [u64; 3],
    listeners: [ListenerSums; LISTENERS_FIGURED_MAX],
    /// Times from reading a message until it was written to receivers, of the turns that were
    /// measured.
    pub delivery: DurationCounts<DELIVERY_BUCKETS>,
    /// Times from CONNECT until it was answered.
    pub login: DurationCounts<LOGIN_BUCKETS>,
}

impl FigureSums {
    fn add(&mut self, thread: &ThreadFigures) {
        let counts = self.received.iter_mut().chain(&mut self.sent);
        for (sum, more) in counts.zip(thread.received.iter().chain(&thread.sent)) {
            *sum = sum.wrapping_add(more.get());
        }
        for (sums, more) in self.listeners.iter_mut().zip(&thread.listeners) {
            sums.add(more);
        }
        self.delivery.add(&thread.delivery.read());
        self.login.add(&thread.login.read());
    }
}

/// Figures of all threads, and counts by reason.
#[derive(Debug, Default)]
pub struct AllFigures {
    threads: Mutex<FiguredThreads>,
    listeners: Mutex<Vec<&'static str>>,
    /// Connections of Clients that ended, by the word of the reason.
    pub disconnects: CountsByWord,
    /// Topics that rules denied, by scope.
    pub denials: CountsByWord,
    /// Refused logins, by Reason Code.
    pub refused_logins: CountsByWord,
}

#[derive(Debug, Default)]
struct FiguredThreads {
    present: Vec<Arc<ThreadFigures>>,
    /// Figures of those that are over.
    gone: FigureSums,
}

impl AllFigures {
    /// Figures for the calling thread, which end with what this returns; their sums stay.
    pub(crate) fn enter(self: &Arc<Self>) -> OwnFigures {
        let own = Arc::new(ThreadFigures::new());
        self.threads.lock().present.push(Arc::clone(&own));
        OwnFigures { own, all: Arc::clone(self) }
    }

    /// Number of the listener with this name; those of one name have one, and so have all for which
    /// there is no room.
    pub fn listener(&self, name: &'static str) -> u8 {
        let mut names = self.listeners.lock();
        let found = names.iter().position(|known| *known == name);
        let place = found.unwrap_or_else(|| {
            let is_last = names.len() + 1 >= LISTENERS_FIGURED_MAX;
            if names.len() < LISTENERS_FIGURED_MAX {
                names.push(if is_last { OTHER } else { name });
            }
            names.len() - 1
        });
        u8::try_from(place).unwrap_or(u8::MAX)
    }

    /// Sums of all threads.
    pub fn sums(&self) -> FigureSums {
        let threads = self.threads.lock();
        let mut sums = threads.gone;
        threads.present.iter().for_each(|thread| sums.add(thread));
        sums
    }

    /// Names of listeners with the figures of each.
    pub fn by_listener(&self, sums: &FigureSums) -> Vec<(&'static str, ListenerSums)> {
        self.listeners.lock().iter().copied().zip(sums.listeners).collect()
    }
}

/// Figures of one thread while it has them.
pub(crate) struct OwnFigures {
    own: Arc<ThreadFigures>,
    all: Arc<AllFigures>,
}

impl Deref for OwnFigures {
    type Target = ThreadFigures;

    fn deref(&self) -> &ThreadFigures {
        &self.own
    }
}

impl Drop for OwnFigures {
    fn drop(&mut self) {
        let mut threads = self.all.threads.lock();
        threads.present.retain(|known| !Arc::ptr_eq(known, &self.own));
        threads.gone.add(&self.own);
    }
}

/// Counts of what happens rarely, by a word of the program, so that there are only so many.
#[derive(Debug, Default)]
pub struct CountsByWord(Mutex<BTreeMap<&'static str, u64>>);

impl CountsByWord {
    /// Counts one.
    pub fn count(&self, word: &'static str) {
        *self.0.lock().entry(word).or_default() += 1;
    }

    /// All counts by word.
    pub fn all(&self) -> Vec<(&'static str, u64)> {
        self.0.lock().iter().map(|(word, count)| (*word, *count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn counters_of_ended_threads_stay_in_the_sums() {
        let all = Arc::new(AllFigures::default());
        let (mqtt, ws) = (all.listener("mqtt"), all.listener("ws"));
        assert_eq!((mqtt, ws, all.listener("mqtt")), (0, 1, 0));
        let (first, second) = (all.enter(), all.enter());
        first.add_messages([1, 2, 3], [0, 0, 4]);
        second.add_messages([1, 0, 0], [5, 0, 0]);
        first.listener(mqtt).bytes_received.add(7);
        second.listener(ws).messages_sent.add(8);
        first.delivery.observe_alone(Duration::from_micros(70), 3);
        second.login.observe_alone(Duration::from_millis(70), 1);
        let sums = all.sums();
        assert_eq!((sums.received, sums.sent), ([2, 2, 3], [5, 0, 4]));
        assert_eq!((sums.delivery.count(), sums.login.count()), (3, 1));
        drop((first, second));
        assert_eq!(all.sums(), sums);
        let named = all.by_listener(&sums);
        assert_eq!(named[0], ("mqtt", ListenerSums { bytes_received: 7, ..ListenerSums::default() }));
        assert_eq!(named[1], ("ws", ListenerSums { messages_sent: 8, ..ListenerSums::default() }));
    }

    #[test]
    fn listeners_beyond_the_bound_are_one() {
        const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
        let all = AllFigures::default();
        let numbers: Vec<u8> = NAMES.into_iter().map(|name| all.listener(name)).collect();
        let last = u8::try_from(LISTENERS_FIGURED_MAX - 1).unwrap();
        let expected: Vec<u8> = (0..12).map(|number: u8| number.min(last)).collect();
        assert_eq!(numbers, expected);
        let named = all.by_listener(&all.sums());
        assert_eq!((named.len(), named[usize::from(last)].0), (LISTENERS_FIGURED_MAX, OTHER));
    }
}
