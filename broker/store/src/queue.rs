//! Batches on their way to the writer.
//!
//! Not here: what became of them (`outcomes`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lotmq_changes::rare::{Rare, is_taken};
use lotmq_changes::{Batch, StoreError, Ticket};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::clock::Clock;
use crate::limits::{LINGER_COMMIT_MIN, LINGER_RANGE, Limits};
use crate::request::{Damage, Reader, Request};

/// The waiting batches, oldest first.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Bytes of the waiting batches and of the group being committed. Changed with the state
    /// locked, and read without.
    unsettled_bytes: AtomicUsize,
    arrived: Condvar,
    limits: Limits,
    clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Batch>,
    /// When the oldest of them came, where commits wait for more.
    waiting_since: Option<Duration>,
    /// Ticket of the batch appended last.
    last_ticket: u64,
    /// Operations of the waiting batches.
    waiting_ops: usize,
    /// Those who want to read what is stored, each with the last ticket when they asked.
    readers: Vec<(u64, Reader)>,
    /// Requests for slices of queues. A session waits for its slice before it requests the next
    /// one, so there is at most one for each session.
    requests: Vec<Request>,
    damage: Option<Damage>,
    is_closed: bool,
}

/// Batches to be committed together; none when there are only readers to be served, or nothing at
/// all.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) batches: Vec<Batch>,
    /// Ticket of the last one.
    pub(crate) through: Ticket,
    pub(crate) bytes: usize,
    pub(crate) ops: usize,
    /// They get a snapshot when the batches are committed.
    pub(crate) readers: Vec<Reader>,
    /// They are served first: what they want is stored.
    pub(crate) requests: Vec<Request>,
    /// Comes before everything else.
    pub(crate) damage: Option<Damage>,
}

impl State {
    fn has_work(&self) -> bool {
        let is_asked = !self.readers.is_empty() || !self.requests.is_empty();
        !self.waiting.is_empty() || is_asked || self.damage.is_some()
    }
}

impl Queue {
    pub(crate) fn new(limits: Limits, clock: Clock) -> Self {
        Self {
            state: Mutex::default(),
            unsettled_bytes: AtomicUsize::new(0),
            arrived: Condvar::new(),
            limits,
            clock,
        }
    }

    /// Takes a batch in where there is room, or gives it back.
    pub(crate) fn offer(&self, batch: Batch) -> Result<Ticket, (StoreError, Batch)> {
        let state = self.state.lock();
        let limit_bytes = self.limits.waiting_bytes_max;
        let waiting_bytes = self.unsettled_bytes();
        let is_full = waiting_bytes.saturating_add(batch.bytes()) > limit_bytes;
        if !state.is_closed && waiting_bytes > 0 && (is_full || is_taken(Rare::StoreFull)) {
            return Err((StoreError::Full { waiting_bytes, limit_bytes }, batch));
        }
        self.push(state, batch)
    }

    /// Takes a batch in, however much waits, or gives it back when the queue is closed.
    pub(crate) fn append(&self, batch: Batch) -> Result<Ticket, (StoreError, Batch)> {
        self.push(self.state.lock(), batch)
    }

    fn push(&self, mut state: MutexGuard<'_, State>, batch: Batch) -> Result<Ticket, (StoreError, Batch)> {
        if state.is_closed {
            return Err((StoreError::Closed, batch));
        }
        if state.waiting.is_empty() && !self.limits.linger.is_zero() {
            state.waiting_since = Some(self.clock.now());
        }
        self.unsettled_bytes.fetch_add(batch.bytes(), Ordering::Relaxed);
        state.waiting_ops += batch.len();
        state.waiting.push_back(batch);
        state.last_ticket += 1;
        let ticket = Ticket::numbered(state.last_ticket);
        drop(state);
        self.arrived.notify_one();
        Ok(ticket)
    }

    /// Asks the writer for a snapshot with everything that has been appended so far.
    pub(crate) fn ask(&self, reader: Reader) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(StoreError::Closed);
        }
        let ticket = state.last_ticket;
        state.readers.push((ticket, reader));
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Asks for a part of a queue; comes back when the store is closed.
    pub(crate) fn request(&self, request: Request) -> Result<(), Request> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(request);
        }
        state.requests.push(request);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Tells the writer of damage, which commits nothing more until the file was opened again and
    /// checked.
    pub(crate) fn report(&self, damage: Damage) {
        self.state.lock().damage = Some(damage);
        self.arrived.notify_one();
    }

    /// Refuses what comes from now on, and lets go those who wait for a snapshot.
    pub(crate) fn end(&self) {
        self.close();
        let mut state = self.state.lock();
        state.readers.clear();
        let requests = std::mem::take(&mut state.requests);
        drop(state);
        requests.into_iter().for_each(|request| (request.reply)(Err(StoreError::Closed)));
    }

    /// The ticket of the batch that came last; none before the first.
    pub(crate) fn last_ticket(&self) -> Ticket {
        Ticket::numbered(self.state.lock().last_ticket)
    }

    /// Lets the writer end when the queue is empty; refuses what comes from now on.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.arrived.notify_one();
    }

    pub(crate) fn unsettled_bytes(&self) -> usize {
        self.unsettled_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_congested(&self, more: usize) -> bool {
        self.unsettled_bytes().saturating_add(more) > self.congested_bytes() || self.is_taken_for_behind()
    }

    fn is_taken_for_behind(&self) -> bool {
        self.unsettled_bytes() > 0 && is_taken(Rare::StoreBehind)
    }

    pub(crate) fn congested_bytes(&self) -> usize {
        self.limits.waiting_bytes_max / 2
    }

    pub(crate) fn is_nearly_full(&self, more: usize) -> bool {
        let bytes_max = self.limits.waiting_bytes_max;
        self.unsettled_bytes().saturating_add(more) > bytes_max - bytes_max / 4 || self.is_taken_for_behind()
    }

    /// The group's batches are committed, or have failed.
    pub(crate) fn settled(&self, group: &Group) {
        let _state = self.state.lock();
        self.unsettled_bytes.fetch_sub(group.bytes, Ordering::Relaxed);
    }

    /// Waits for batches and takes as many as make a group; `None` when the queue is closed and
    /// empty. With a `deadline`, an empty group comes when that is over.
    pub(crate) fn take(&self, pace: &Pace, deadline: Option<Duration>) -> Option<Group> {
        let mut state = self.state.lock();
        self.linger(&mut state, pace);
        loop {
            let opens_at = self.opens_at(&state);
            let is_ready = !state.waiting.is_empty() && opens_at.is_none();
            let is_asked = !state.readers.is_empty() || !state.requests.is_empty();
            if is_ready || is_asked || state.damage.is_some() {
                break;
            }
            if state.is_closed {
                return None;
            }
            match deadline.into_iter().chain(opens_at).min() {
                Some(until) if self.wait_until(&mut state, until) => {
                    if deadline.is_some_and(|deadline| deadline <= self.clock.now()) {
                        break;
                    }
                }
                Some(_) => {}
                None => self.arrived.wait(&mut state),
            }
        }
        let takes_batches = self.opens_at(&state).is_none();
        Some(self.group(&mut state, takes_batches))
    }

    /// Takes what waits, without waiting for anything, nor for more; `None` when nothing waits. An
    /// empty group comes all the same `if_empty`.
    pub(crate) fn take_waiting(&self, if_empty: bool) -> Option<Group> {
        let mut state = self.state.lock();
        (if_empty || state.has_work()).then(|| self.group(&mut state, true))
    }

    /// Whether anything waits.
    pub(crate) fn has_work(&self) -> bool {
        self.state.lock().has_work()
    }

    fn group(&self, state: &mut State, takes_batches: bool) -> Group {
        let mut group = Group {
            batches: Vec::new(),
            through: Ticket::numbered(0),
            bytes: 0,
            ops: 0,
            readers: Vec::new(),
            requests: std::mem::take(&mut state.requests),
            damage: state.damage.take(),
        };
        while let Some(batch) = state.waiting.pop_front_if(|_| takes_batches) {
            let ops = group.ops + batch.len();
            let bytes = group.bytes + batch.bytes();
            let is_full = ops > self.limits.group_records_max
                || bytes > self.limits.group_bytes_max
                || is_taken(Rare::SmallGroup);
            if is_full && !group.batches.is_empty() {
                state.waiting.push_front(batch);
                break;
            }
            state.waiting_ops -= batch.len();
            group.ops = ops;
            group.bytes = bytes;
            group.batches.push(batch);
        }
        if takes_batches {
            // The remaining batches came lately, or fill the next group.
            state.waiting_since = state.waiting_since.filter(|_| !state.waiting.is_empty());
        }
        group.through = Ticket::numbered(state.last_ticket - state.waiting.len() as u64);
        // Batches that were appended before they asked may be more than one group.
        let due = state.readers.extract_if(.., |(ticket, _)| *ticket <= group.through.number());
        group.readers = due.map(|(_, reader)| reader).collect();
        group
    }

    /// When the waiting batches may be committed; at once where commits wait for nothing, or where
    /// there is no reason to wait any longer.
    fn opens_at(&self, state: &State) -> Option<Duration> {
        let at = state.waiting_since? + self.limits.linger;
        let is_full = state.waiting_ops >= self.limits.group_records_max
            || self.unsettled_bytes() >= self.limits.group_bytes_max;
        let is_due = is_full || state.is_closed || !state.readers.is_empty() || at <= self.clock.now();
        (!is_due).then_some(at)
    }

    /// Right after a slow commit, gives those whose batches it acknowledged the time to send again.
    ///
    /// Without it two half groups alternate, each waiting for the other's sync: half the rate,
    /// twice the latency.
    fn linger(&self, state: &mut MutexGuard<'_, State>, pace: &Pace) {
        let Some(deadline) = pace.linger_until() else { return };
        let enough = pace.last_ops.saturating_add(state.waiting_ops).min(self.limits.group_records_max);
        while state.waiting_ops < enough && !state.is_closed {
            if self.wait_until(state, deadline) {
                break;
            }
        }
    }

    /// Waits for something to come, until a time; true when that is over.
    fn wait_until(&self, state: &mut MutexGuard<'_, State>, until: Duration) -> bool {
        self.arrived.wait_for(state, until.saturating_sub(self.clock.now())).timed_out()
    }
}

/// How long commits take lately.
#[derive(Debug)]
pub(crate) struct Pace {
    mean: Duration,
    last_end: Duration,
    last_ops: usize,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { mean: Duration::ZERO, last_end: Duration::ZERO, last_ops: 0 }
    }

    /// A commit of this many operations has ended.
    pub(crate) fn committed(&mut self, ops: usize, start: Duration, end: Duration) {
        let took = end.saturating_sub(start);
        self.mean = if self.mean.is_zero() { took } else { (self.mean * 9 + took) / 10 };
        self.last_end = end;
        self.last_ops = ops;
    }

    pub(crate) fn mean(&self) -> Duration {
        self.mean
    }

    fn linger_until(&self) -> Option<Duration> {
        (self.mean >= LINGER_COMMIT_MIN)
            .then(|| self.last_end + (self.mean / 4).clamp(LINGER_RANGE.0, LINGER_RANGE.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_follows_slow_commits_only_and_is_bounded() {
        for (commit_us, expected_us) in
            [(100, None), (799, None), (800, Some(200)), (1_200, Some(300)), (50_000, Some(500))]
        {
            let mut pace = Pace::new();
            pace.committed(10, Duration::ZERO, Duration::from_micros(commit_us));
            let pause = pace.linger_until().map(|until| (until - pace.last_end).as_micros());
            assert_eq!(pause, expected_us, "commit of {commit_us} us");
        }
    }
}
