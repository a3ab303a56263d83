//! Mailbox of one definition: its waiting events, and its activity.
//!
//! Invariants: never more messages or bytes than the bounds say; events leave in the order in which
//! they came.

use super::{
    backoff::Backoff,
    poison::{Poison, Poisons},
};
use crate::{
    ActionInstance, MailboxRoom, OwnedEvent,
    limits::{self, BACKOFF_FIRST, BACKOFF_MAX, FAILED_AFTER_TRAPS, FAILED_WITHIN, POISONS_IN_A_ROW_MAX},
};
use std::{
    collections::VecDeque,
    task::Waker,
    time::{Duration, Instant},
};

/// Policy for an event that finds the mailbox full. Both variants count the lost events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The new event is refused.
    #[default]
    Refuse,
    /// The events that wait longest make room.
    DropOldest,
}

/// Bounds of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxOptions {
    /// Events that may wait; at least 1. Default [`limits::MAILBOX_MESSAGES_MAX`].
    pub messages_max: usize,
    /// Bytes that may wait: topics, payloads, and 64 bytes per event. Default
    /// [`limits::MAILBOX_BYTES_MAX`].
    pub bytes_max: usize,
    /// Policy at the bound.
    pub when_full: WhenFull,
}

impl Default for MailboxOptions {
    fn default() -> Self {
        MailboxOptions {
            messages_max: limits::MAILBOX_MESSAGES_MAX,
            bytes_max: limits::MAILBOX_BYTES_MAX,
            when_full: WhenFull::default(),
        }
    }
}

/// That an event was taken, and how it looks behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// There is room for more.
    Roomy,
    /// The mailbox is more than half full: who can wait should, see
    /// [`Runner::poll_room`](crate::Runner::poll_room).
    Crowded,
}

/// Why an event was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostError {
    /// The mailbox is full.
    #[error("the mailbox is full: {messages} events wait")]
    Full {
        /// How many events wait.
        messages: usize,
    },
    /// The outbox of a route is full.
    #[error("the outbox is full: {bytes} bytes wait")]
    OutboxFull {
        /// How many bytes wait.
        bytes: u64,
    },
    /// The message has gone through too many definitions already (loop guard).
    #[error("the message made {hops} hops, limit {limit}", limit = limits::HOPS_MAX)]
    TooManyHops {
        /// How many.
        hops: u8,
    },
    /// So much of a route takes the message that not all of it gets it.
    #[error(
        "of {takers} events, mappings and tags that take this message of {bytes} bytes, the first {most} get it"
    )]
    TooManyTakers {
        /// How many.
        takers: usize,
        /// Bytes of the message.
        bytes: usize,
        /// How many get it.
        most: usize,
    },
    /// The definition was closed.
    #[error("the definition is stopped")]
    Stopped,
}

/// An event with what belongs to it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) event: OwnedEvent,
    pub(crate) hops: u8,
    pub(crate) tag: u64,
}

/// Activity of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Waiting for its code, which is still being compiled.
    Compiling,
    /// Nothing; nothing waits.
    Idle,
    /// Waiting in the run queue.
    Ready,
    /// Running, on whatever thread.
    Running,
    /// Pausing until then, in the run queue's list of those that wait.
    Pausing(Instant),
    /// Removed.
    Closed,
}

/// The part of a definition that changes, behind its one lock.
pub(crate) struct Mailbox {
    pub(crate) activity: Activity,
    /// When the turn of a worker that is under way, or was the last one, has begun; `None` of
    /// inline runs, which are short.
    pub(crate) turn_began: Option<Instant>,
    /// The instance; taken out while it runs, so it is a pointer: a copy of it would be some
    /// hundred bytes.
    pub(crate) instance: Option<Box<ActionInstance>>,
    /// Counts the versions of the guest: an instance of an older one is not put back.
    pub(crate) version: u64,
    /// [`RunnerSpec::is_pure`](super::RunnerSpec::is_pure) of that version.
    pub(crate) is_pure: bool,
    pub(crate) backoff: Backoff,
    pub(crate) dropped: u64,
    /// Tasks that wait for room.
    waiters: Vec<Waker>,
    /// Messages that made it trap.
    pub(crate) poisons: Poisons,
    progress: Progress,
    /// Latest traps, with the runs that had ended otherwise before each: those count while no other
    /// has.
    traps: VecDeque<(Instant, Option<Poison>, u64)>,
    /// Runs that had ended otherwise when it failed; it has until another one ends.
    failed_behind: Option<u64>,
    queue: VecDeque<Job>,
    bytes: usize,
    room: MailboxRoom,
}

impl Mailbox {
    pub(crate) fn new(is_pure: bool, room: MailboxRoom) -> Self {
        Mailbox {
            room,
            activity: Activity::Idle,
            turn_began: None,
            instance: None,
            version: 0,
            is_pure,
            backoff: Backoff::default(),
            dropped: 0,
            waiters: Vec::new(),
            poisons: Poisons::default(),
            progress: Progress::default(),
            traps: VecDeque::new(),
            failed_behind: None,
            queue: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Takes an event while at most `factor` times the bounds of the options wait.
    pub(crate) fn push(
        &mut self,
        job: Job,
        options: &MailboxOptions,
        factor: usize,
    ) -> Result<Posted, PostError> {
        let bytes = job.event.bytes();
        let messages_max = options.messages_max.saturating_mul(factor);
        let bytes_max = options.bytes_max.saturating_mul(factor);
        let fits = |mailbox: &mut Mailbox| {
            mailbox.queue.len() < messages_max
                && (mailbox.queue.is_empty() || mailbox.bytes + bytes <= bytes_max)
                && mailbox.room.holds(mailbox.bytes + bytes)
        };
        if options.when_full == WhenFull::DropOldest {
            while !fits(self) && self.pop().is_some() {
                self.dropped += 1;
            }
        }
        if !fits(self) {
            self.dropped += 1;
            return Err(PostError::Full { messages: self.queue.len() });
        }
        self.bytes += bytes;
        self.queue.push_back(job);
        let is_crowded = self.has_more_than(options, 2) || self.room.was_scarce();
        Ok(if is_crowded { Posted::Crowded } else { Posted::Roomy })
    }

    /// Whether more waits than this part of what may wait.
    fn has_more_than(&self, options: &MailboxOptions, part: usize) -> bool {
        self.queue.len() > options.messages_max / part || self.bytes > options.bytes_max / part
    }

    /// Whether more than a quarter of what may wait does, or all mailboxes together have much.
    fn is_filled(&self, options: &MailboxOptions) -> bool {
        self.has_more_than(options, 4) || self.room.is_scarce()
    }

    /// Calls `waker` when there is room again. False when there is; also while the definition does
    /// not run, so that nobody waits for one that pauses or has ended.
    pub(crate) fn wait_for_room(&mut self, options: &MailboxOptions, waker: &Waker) -> bool {
        if !self.is_busy() || !self.is_filled(options) {
            return false;
        }
        if !self.waiters.iter().any(|known| known.will_wake(waker)) {
            self.waiters.push(waker.clone());
        }
        true
    }

    /// Takes the tasks to wake, if there is room or the definition does not run any more.
    pub(crate) fn take_waiters(&mut self, options: &MailboxOptions) -> Vec<Waker> {
        if self.waiters.is_empty() || (self.is_busy() && self.is_filled(options)) {
            Vec::new()
        } else {
            std::mem::take(&mut self.waiters)
        }
    }

    /// Whether it runs or is about to: also when its code is there, so that senders wait for that.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.activity, Activity::Compiling | Activity::Ready | Activity::Running)
    }

    pub(crate) fn pop(&mut self) -> Option<Job> {
        let job = self.queue.pop_front()?;
        self.shrinks(job.event.bytes());
        Some(job)
    }

    /// Moves the first events to `jobs`, so many at most.
    pub(crate) fn take(&mut self, jobs_max: usize, jobs: &mut VecDeque<Job>) {
        let number = self.queue.len().min(jobs_max);
        let bytes: usize = self.queue.iter().take(number).map(|job| job.event.bytes()).sum();
        jobs.extend(self.queue.drain(..number));
        self.shrinks(bytes);
    }

    /// So many bytes have left.
    fn shrinks(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.room.shrinks(self.bytes);
        if self.queue.is_empty() {
            self.queue.shrink_to(64);
        }
    }

    /// Puts events back to the front that were taken from there; they are not refused. After the
    /// definition's end they are dropped.
    pub(crate) fn put_back(&mut self, jobs: &mut VecDeque<Job>) {
        if self.activity == Activity::Closed {
            self.dropped += jobs.len() as u64;
            jobs.clear();
        }
        while let Some(job) = jobs.pop_back() {
            self.bytes += job.event.bytes();
            self.queue.push_front(job);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.dropped += self.queue.len() as u64;
        self.queue = VecDeque::new();
        self.bytes = 0;
        self.room.shrinks(0);
    }

    /// It acts for the account from now on.
    pub(crate) fn acts_for(&mut self, account: u64) {
        self.room.acts_for(account);
    }

    /// Handles a trap and returns the next activity. If other runs end, only the message pauses,
    /// and the definition for as long as the run took.
    pub(crate) fn trapped(&mut self, now: Instant, trapped: TrappedRun) -> Activity {
        self.instance = None;
        let TrappedRun { poison, took, .. } = trapped;
        let others_in_a_row = self.progress.trapped(now, trapped.ended_before);
        // One message counts once, however often it comes.
        self.traps.retain(|(at, known, ended)| {
            let is_late = now.saturating_duration_since(*at) > FAILED_WITHIN;
            !is_late && *ended == trapped.ended_before && (poison.is_none() || *known != poison)
        });
        self.traps.push_back((now, poison, trapped.ended_before));
        if self.traps.len() >= FAILED_AFTER_TRAPS {
            self.traps.pop_front();
            self.failed_behind = Some(trapped.ended_before);
        }
        if let Some(poison) = poison {
            self.poisons.trapped(poison, now);
            if let Some(in_a_row) = others_in_a_row {
                let least = if in_a_row > POISONS_IN_A_ROW_MAX { BACKOFF_FIRST } else { Duration::ZERO };
                return Activity::Pausing(now + took.clamp(least, BACKOFF_MAX));
            }
        }
        Activity::Pausing(self.backoff.trapped(now))
    }
}

impl Mailbox {
    /// Whether it has failed: it trapped for [`FAILED_AFTER_TRAPS`] different messages within
    /// [`FAILED_WITHIN`], and none of its runs has ended otherwise since then. So many have by now.
    pub(crate) fn has_failed(&self, ended: u64) -> bool {
        self.failed_behind.is_some_and(|before| ended <= before)
    }

    /// Forgets all of its traps.
    pub(crate) fn forget_traps(&mut self) {
        self.backoff = Backoff::default();
        self.poisons = Poisons::default();
        self.traps.clear();
        self.failed_behind = None;
    }
}

/// A run that was stopped by force.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TrappedRun {
    /// The message that it ran for.
    pub(crate) poison: Option<Poison>,
    /// How long it took at most.
    pub(crate) took: Duration,
    /// Runs of the definition that have ended otherwise so far.
    pub(crate) ended_before: u64,
}

/// Whether runs of a definition end, between those that trap.
#[derive(Debug, Default)]
struct Progress {
    /// Runs that had ended at the last trap.
    ended: u64,
    /// The last trap before which some had ended since the one before it.
    seen_at: Option<Instant>,
    /// Traps since then.
    in_a_row: u32,
}

impl Progress {
    /// Notes a trap: how many in a row this is, where runs have ended within the last minute;
    /// `None` where all seem to trap.
    fn trapped(&mut self, now: Instant, ended: u64) -> Option<u32> {
        if ended > self.ended {
            (self.ended, self.seen_at, self.in_a_row) = (ended, Some(now), 0);
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.seen_at.filter(|at| now.saturating_duration_since(*at) < BACKOFF_MAX).map(|_| self.in_a_row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OwnedMessage, memory::shares};
    use std::sync::Arc;

    fn job(tag: u64) -> Job {
        Job { event: OwnedEvent::Timer, hops: 0, tag }
    }

    fn new_mailbox() -> Mailbox {
        Mailbox::new(false, MailboxRoom::new(0, &shares(u64::MAX)))
    }

    fn tags(mailbox: &mut Mailbox) -> Vec<u64> {
        std::iter::from_fn(|| mailbox.pop()).map(|job| job.tag).collect()
    }

    #[test]
    fn a_full_mailbox_refuses_or_drops_the_oldest() {
        let bytes = OwnedEvent::Timer.bytes();
        for (options, expected, dropped) in [
            (MailboxOptions { messages_max: 2, ..MailboxOptions::default() }, vec![0, 1], 2),
            (MailboxOptions { bytes_max: 2 * bytes, ..MailboxOptions::default() }, vec![0, 1], 2),
            (
                MailboxOptions {
                    messages_max: 2,
                    when_full: WhenFull::DropOldest,
                    ..MailboxOptions::default()
                },
                vec![2, 3],
                2,
            ),
        ] {
            let mut mailbox = new_mailbox();
            for tag in 0..4 {
                let pushed = mailbox.push(job(tag), &options, 1);
                assert_eq!(
                    pushed.is_ok(),
                    expected.contains(&tag) || options.when_full == WhenFull::DropOldest
                );
            }
            assert_eq!(mailbox.dropped, dropped);
            assert_eq!(tags(&mut mailbox), expected);
            assert_eq!(mailbox.bytes, 0);
        }
    }

    #[test]
    fn all_mailboxes_together_hold_so_much() {
        let all = shares(1 << 20);
        let options = |when_full| MailboxOptions { when_full, ..MailboxOptions::default() };
        let large = |tag| {
            let message = OwnedMessage::new("t", vec![0; 100_000]);
            Job { event: OwnedEvent::Message(Arc::new(message)), hops: 0, tag }
        };
        let mut first = Mailbox::new(false, MailboxRoom::new(1, &all));
        let taken =
            (0..20).filter(|tag| first.push(large(*tag), &options(WhenFull::Refuse), 1).is_ok()).count();
        assert_eq!((taken, first.dropped), (8, 12), "three quarters");
        let mut other = Mailbox::new(false, MailboxRoom::new(2, &all));
        for tag in 0..3 {
            other.push(large(tag), &options(WhenFull::DropOldest), 1).unwrap();
        }
        assert_eq!((tags(&mut other), other.dropped), (vec![1, 2], 1), "the oldest makes room");
        drop((first, other));
        assert_eq!(all.used(), 0);
    }

    #[test]
    fn returned_jobs_go_to_the_front_or_count_as_dropped() {
        let mut mailbox = new_mailbox();
        for tag in 0..4 {
            mailbox.push(job(tag), &MailboxOptions::default(), 1).unwrap();
        }
        let bytes = mailbox.bytes;
        let mut taken: VecDeque<Job> = (0..3).filter_map(|_| mailbox.pop()).collect();
        taken.pop_front();
        mailbox.put_back(&mut taken);
        assert_eq!((mailbox.bytes, taken.len()), (bytes / 4 * 3, 0));
        assert_eq!(tags(&mut mailbox), [1, 2, 3]);
        mailbox.activity = Activity::Closed;
        mailbox.put_back(&mut VecDeque::from([job(4)]));
        assert_eq!((mailbox.len(), mailbox.dropped), (0, 1));
    }

    #[test]
    fn one_event_always_fits_an_empty_mailbox() {
        let mut mailbox = new_mailbox();
        assert_eq!(
            mailbox.push(job(1), &MailboxOptions { bytes_max: 1, ..MailboxOptions::default() }, 1),
            Ok(Posted::Crowded)
        );
    }

    #[test]
    fn the_fifth_trap_within_a_minute_fails_a_definition_until_a_run_ends() {
        let start = Instant::now();
        let mut mailbox = new_mailbox();
        let trap = |mailbox: &mut Mailbox, second, ended_before| {
            let run = TrappedRun { ended_before, ..TrappedRun::default() };
            let activity = mailbox.trapped(start + Duration::from_secs(second), run);
            assert!(matches!(activity, Activity::Pausing(_)), "{activity:?}");
        };
        for second in [0, 20, 40, 59, 61, 62] {
            trap(&mut mailbox, second, 7);
            assert_eq!(mailbox.has_failed(7), second == 62, "{second}");
        }
        // Also when pauses have become so long that no five are within a minute.
        trap(&mut mailbox, 200, 7);
        assert!(mailbox.has_failed(7) && !mailbox.has_failed(8));
        mailbox.forget_traps();
        assert!(!mailbox.has_failed(7));
    }

    fn poison(payload: &[u8]) -> Option<Poison> {
        let message = OwnedMessage { client_id: "c".into(), ..OwnedMessage::new("t", payload.to_vec()) };
        Poison::of(&OwnedEvent::Message(Arc::new(message)).as_event())
    }

    #[test]
    fn one_message_does_not_fail_a_definition_and_five_do() {
        let now = Instant::now();
        let mut mailbox = new_mailbox();
        for _ in 0..20 {
            mailbox.trapped(now, TrappedRun { poison: poison(b"bad"), ..TrappedRun::default() });
            assert!(!mailbox.has_failed(0));
        }
        for (number, is_last) in [(1, false), (2, false), (3, false), (4, true)] {
            mailbox.trapped(now, TrappedRun { poison: poison(&[number]), ..TrappedRun::default() });
            assert_eq!(mailbox.has_failed(0), is_last, "{number}");
        }
    }

    #[test]
    fn a_definition_whose_other_runs_end_goes_on_at_once() {
        let mut now = Instant::now();
        let mut mailbox = new_mailbox();
        let took = Duration::from_millis(3);
        // Others end between the traps, and it does not fail.
        for number in 1..=100_u8 {
            let run = TrappedRun { poison: poison(&[number]), took, ended_before: number.into() };
            assert_eq!(mailbox.trapped(now, run), Activity::Pausing(now + took), "{number}");
            assert!(!mailbox.has_failed(number.into()), "{number}");
            now += Duration::from_secs(1);
        }
        // Many different ones in a row slow it down, and when nothing ends for a minute it is like
        // any other that traps on everything.
        for number in 2..=8_u8 {
            let run = TrappedRun { poison: poison(&[number, 0]), took, ended_before: 100 };
            assert_eq!(mailbox.trapped(now, run), Activity::Pausing(now + took));
            assert_eq!(mailbox.has_failed(100), number >= 5, "{number}");
        }
        assert!(!mailbox.has_failed(101), "one that ends well brings it back");
        let run = TrappedRun { poison: poison(b"ninth"), took, ended_before: 100 };
        assert_eq!(mailbox.trapped(now, run), Activity::Pausing(now + BACKOFF_FIRST));
        now += BACKOFF_MAX;
        for pause in [1, 2, 4, 8] {
            let run = TrappedRun { poison: poison(&[pause, 0, 0]), took, ended_before: 100 };
            let until = now + BACKOFF_FIRST * pause.into();
            assert_eq!(mailbox.trapped(now, run), Activity::Pausing(until));
        }
        let run = TrappedRun { poison: poison(b"last"), took, ended_before: 100 };
        assert_eq!(mailbox.trapped(now, run), Activity::Pausing(now + BACKOFF_FIRST * 16));
        assert!(mailbox.has_failed(100));
    }
}
