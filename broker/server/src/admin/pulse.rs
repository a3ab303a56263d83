//! Signs of life: threads that must not stand still are asked for one, and `/health` says which of them gives none.
//!
//! Nobody is asked by the clock: an idle broker has nothing to do for it. A question that was not answered stays open until the next request, so that a
//! thread which is only busy for a moment is not taken for dead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lotmq_store::{MessageId, SessionId};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout_at;

use crate::broker::Broker;
use crate::limits::{PULSE_PATIENCE, SILENCE_MAX};

/// What the threads of a broker have answered.
pub(super) struct Pulses {
    shards: Vec<Arc<Pulse>>,
    reader: Arc<Pulse>,
    writer: Mutex<Written>,
}

/// One thread that is asked.
#[derive(Default)]
struct Pulse {
    /// When it was asked what it has not answered yet.
    asked_at: Mutex<Option<Instant>>,
    answered: Notify,
}

/// How far the store's writer was, and when it was seen to be there.
struct Written {
    groups: u64,
    since: Instant,
}

impl Pulses {
    pub(super) fn of(broker: &Broker) -> Self {
        Self {
            shards: broker.shards.iter().map(|_| Arc::default()).collect(),
            reader: Arc::default(),
            writer: Mutex::new(Written { groups: 0, since: Instant::now() }),
        }
    }

    /// Which thread has not given a sign of life for too long, in words. Takes up to [`PULSE_PATIENCE`].
    pub(super) async fn silent(&self, broker: &Broker) -> Option<String> {
        let deadline = Instant::now() + PULSE_PATIENCE;
        for (pulse, shard) in self.shards.iter().zip(&broker.shards) {
            pulse.ask(|answer| shard.call(answer));
        }
        self.reader.ask(|answer| {
            // A store that is closed has no reader; the broker stops then.
            let reply = Box::new(move |_| answer());
            let _ = broker.store.read_queue(SessionId(u64::MAX), MessageId(0), 1, 1, reply);
        });
        for pulse in self.shards.iter().chain([&self.reader]) {
            pulse.wait(deadline).await;
        }
        let shards = self.shards.iter().enumerate();
        let silent = |(name, time): (String, Duration)| {
            (time >= SILENCE_MAX)
                .then(|| format!("{name} has given no sign of life for {} s", time.as_secs()))
        };
        shards
            .map(|(number, pulse)| (format!("shard {number}"), pulse.silent_for()))
            .chain([("the store's reader".to_owned(), self.reader.silent_for())])
            .chain([("the store's writer".to_owned(), self.writer_silent_for(broker))])
            .find_map(silent)
    }

    /// How long something has waited for the disk without anything having been written, as far as that was looked at.
    fn writer_silent_for(&self, broker: &Broker) -> Duration {
        let metrics = broker.store.metrics();
        let groups = metrics.commits + metrics.commit_failures;
        let mut written = self.writer.lock();
        if metrics.waiting_bytes == 0 || groups != written.groups {
            *written = Written { groups, since: Instant::now() };
        }
        written.since.elapsed()
    }
}

impl Pulse {
    /// Asks the thread, unless it has not answered the question before. `send` brings the answer there, which is called by the thread.
    fn ask(self: &Arc<Self>, send: impl FnOnce(Box<dyn FnOnce() + Send>)) {
        {
            let mut asked_at = self.asked_at.lock();
            if asked_at.is_some() {
                return;
            }
            *asked_at = Some(Instant::now());
        }
        let pulse = Arc::clone(self);
        send(Box::new(move || pulse.answer()));
    }

    fn answer(&self) {
        *self.asked_at.lock() = None;
        self.answered.notify_waiters();
    }

    async fn wait(&self, deadline: Instant) {
        let answered = self.answered.notified();
        tokio::pin!(answered);
        answered.as_mut().enable();
        if self.asked_at.lock().is_some() {
            // Whether it has answered is looked at afterwards.
            let _ = timeout_at(deadline.into(), answered).await;
        }
    }

    fn silent_for(&self) -> Duration {
        self.asked_at.lock().map_or(Duration::ZERO, |at| at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::testing::Running;

    #[test]
    fn a_shard_that_stands_still_is_named_and_one_that_is_busy_is_not() {
        let running = Running::start("none");
        let broker = &running.server.broker;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let pulses = Pulses::of(broker);
        assert_eq!(runtime.block_on(pulses.silent(broker)), None);
        let (release, held) = mpsc::channel::<()>();
        broker.shards[0].call(Box::new(move || {
            let _ = held.recv();
        }));
        assert_eq!(runtime.block_on(pulses.silent(broker)), None, "a second is not long");
        // As if that had been asked long ago.
        let long_ago = Instant::now().checked_sub(SILENCE_MAX).unwrap();
        *pulses.shards[0].asked_at.lock() = Some(long_ago);
        let said = runtime.block_on(pulses.silent(broker)).unwrap();
        assert!(said.starts_with("shard 0 has given no sign of life for "), "{said}");
        release.send(()).unwrap();
        assert_eq!(runtime.block_on(pulses.silent(broker)), None);
        running.server.stop();
    }
}
