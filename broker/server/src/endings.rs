//! Sessions that are ending: members of shared subscriptions whose queue rests in the store, until other members have got it.
//!
//! One after the other, a slice at a time, on the housekeeping thread. Each message leaves one queue in the batch in which it enters the other. The
//! rows of the session stay until nothing is left of its queue, and say that it has ended: after a crash it is restored, ends again, and what is left
//! goes on.
//!
//! Not here: what of such a queue is in memory (`session_end`).

use std::collections::VecDeque;
use std::sync::Arc;

use lotmq_store::{MessageId, Op, QueueSlice, SessionId, StoreError};
use parking_lot::Mutex;
use tracing::{error, warn};

use crate::broker::Broker;
use crate::hand_on::{Groups, hand_on};
use crate::limits::{SLICE_BYTES_PER_MESSAGE, SLICE_MESSAGES};
use crate::net::turn::Turn;
use crate::recover;
use crate::tenant::Tenant;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Endings(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Ending>,
    reading: Reading,
}

/// Where the slice of the first one is.
#[derive(Default)]
enum Reading {
    #[default]
    NotAsked,
    Asked,
    Here(Result<QueueSlice, StoreError>),
}

/// A session that has ended but for what rests of its queue.
pub(crate) struct Ending {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) session: SessionId,
    pub(crate) groups: Groups,
    /// The number behind which the next slice begins.
    pub(crate) after: MessageId,
    /// Those behind it that others have got already.
    pub(crate) handed_on: Vec<u64>,
}

impl Endings {
    pub(crate) fn add(&self, ending: Ending) {
        self.0.lock().waiting.push_back(ending);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().waiting.len()
    }

    /// Hands on the slice that has come, and asks for the next one.
    pub(crate) fn work(&self, broker: &Arc<Broker>, turn: &mut Turn) {
        while let Some(ending) = self.take_on(turn) {
            let slice = ending.ask(broker);
            let mut state = self.0.lock();
            state.waiting.push_front(ending);
            match slice {
                Ok(()) => return,
                // The broker stops.
                Err(_) => *state = State::default(),
            }
        }
    }

    /// The first one that needs a slice, when none is on its way.
    fn take_on(&self, turn: &mut Turn) -> Option<Ending> {
        loop {
            let (mut ending, reading) = {
                let mut state = self.0.lock();
                if matches!(state.reading, Reading::Asked) {
                    return None;
                }
                (state.waiting.pop_front()?, std::mem::take(&mut state.reading))
            };
            let is_over = match reading {
                Reading::Here(Ok(slice)) => ending.hand_on(&slice, turn),
                Reading::Here(Err(error)) => {
                    warn!(session = ending.session.0, %error, "queue of an ended session cannot be read");
                    self.0.lock().waiting.push_front(ending);
                    return None;
                }
                Reading::NotAsked | Reading::Asked => !ending.groups.exist(&ending.tenant),
            };
            if !is_over {
                self.0.lock().reading = Reading::Asked;
                return Some(ending);
            }
            turn.batch.push(Op::DeleteSession { tenant: ending.tenant.id, session: ending.session });
        }
    }
}

impl Ending {
    /// Has the store read the next slice.
    fn ask(&self, broker: &Arc<Broker>) -> Result<(), StoreError> {
        let asking = Arc::downgrade(broker);
        let reply = move |slice| {
            if let Some(broker) = asking.upgrade() {
                broker.endings.0.lock().reading = Reading::Here(slice);
                broker.housekeeping.wake();
            }
        };
        let bytes_max = SLICE_BYTES_PER_MESSAGE * SLICE_MESSAGES as u64;
        broker.store.read_queue(self.session, self.after, SLICE_MESSAGES, bytes_max, Box::new(reply))
    }

    /// Gives a slice to others. True when nothing waits behind it, or nobody for it.
    fn hand_on(&mut self, slice: &QueueSlice, turn: &mut Turn) -> bool {
        if let Some(first) = &slice.first_damage {
            error!(
                session = self.session.0,
                count = slice.damaged,
                %first,
                "queued messages are damaged and left out"
            );
        }
        let is_new = |number: u64| !self.handed_on.contains(&number);
        let deliveries = slice.deliveries.iter().filter(|delivery| is_new(delivery.message.id.0));
        let messages = deliveries.map(|delivery| Arc::new(recover::message(&delivery.message))).collect();
        hand_on(&self.tenant, &mut self.groups, messages, Some(self.session), turn);
        match slice.last.filter(|_| !slice.is_last) {
            Some(last) => {
                self.after = last;
                self.handed_on.retain(|number| *number > last.0);
                !self.groups.exist(&self.tenant)
            }
            None => true,
        }
    }
}
