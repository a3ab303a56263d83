//! A timing wheel: deadlines of many sessions and connections for the price of a few bytes each.
//!
//! One per shard. Six levels of 64 slots; a slot of a level spans a whole turn of the level below.
//! A timer lies in the level where its deadline first differs from now and moves down as time comes
//! near, at most five times.
//!
//! Invariants: no timer fires before its deadline, and none later than one tick after it, once time
//! has been [advanced](TimerWheel::advance) that far; cost of insert and cancel is constant, that
//! of advancing depends on what fires or moves down, not on how much time has passed. Not here: a
//! clock. The caller says what time it is.

use crate::Time;
use std::num::NonZeroU32;
use std::time::Duration;

const LEVELS: usize = 6;
const SLOTS: usize = 64;
/// Bits of a tick number that one level decides.
const LEVEL_BITS: u32 = 6;
/// A timer that is further away waits in the slot of this distance and is looked at again then.
///
/// Half of what the levels span, so that a slot of the highest level never means two turns at once.
/// With ticks of 100 ms it is 108 years.
const TICKS_MAX: u64 = 1 << (LEVEL_BITS * 6 - 1);

/// Names a timer until it fires or is cancelled; harmless afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerHandle {
    index: u32,
    /// Never 0, so that an `Option` of this takes 8 bytes.
    generation: NonZeroU32,
}

/// Timers by deadline; `K` says what is due.
///
/// ```
/// use lotmq_session::{Time, TimerWheel};
/// use std::time::Duration;
///
/// let mut wheel = TimerWheel::new(Duration::from_millis(100), Time::from_millis(0));
/// wheel.insert(Time::from_millis(1_500), "keep alive of client 7");
/// let cancelled = wheel.insert(Time::from_millis(1_500), "keep alive of client 8");
/// wheel.cancel(cancelled);
/// let mut due = Vec::new();
/// wheel.advance(Time::from_millis(1_499), |key| due.push(key));
/// assert!(due.is_empty());
/// wheel.advance(Time::from_millis(1_500), |key| due.push(key));
/// assert_eq!(due, ["keep alive of client 7"]);
/// ```
#[derive(Debug)]
pub struct TimerWheel<K> {
    tick_millis: u64,
    /// Everything due at this tick or before has fired.
    now: u64,
    /// First timer of each slot.
    heads: [[Option<Link>; SLOTS]; LEVELS],
    /// A bit for each slot that is not empty.
    occupied: [u64; LEVELS],
    timers: Vec<Timer<K>>,
    free: Vec<u32>,
}

/// Position of a timer and 1, so that an `Option` takes 4 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link(NonZeroU32);

/// Bucket of a level.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    level: u8,
    slot: u8,
}

#[derive(Debug)]
struct Timer<K> {
    /// `None` when the timer is free.
    key: Option<K>,
    deadline: u64,
    generation: NonZeroU32,
    /// Bucket of the wheel that holds the timer.
    place: Bucket,
    next: Option<Link>,
    previous: Option<Link>,
}

impl<K> TimerWheel<K> {
    /// A wheel that starts at `now` and whose timers are as precise as `tick`, at least a
    /// millisecond.
    #[must_use]
    pub fn new(tick: Duration, now: Time) -> Self {
        let tick_millis = u64::try_from(tick.as_millis()).unwrap_or(u64::MAX).max(1);
        Self {
            tick_millis,
            now: now.as_millis() / tick_millis,
            heads: [[None; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            timers: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Number of timers that are set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timers.len() - self.free.len()
    }

    /// Whether no timer is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets a timer. One whose deadline has passed fires at the next tick.
    pub fn insert(&mut self, deadline: Time, key: K) -> TimerHandle {
        let tick = deadline.as_millis().div_ceil(self.tick_millis);
        let index = self.allocate(tick.max(self.now + 1), key);
        self.link(index);
        TimerHandle { index, generation: self.timers[index as usize].generation }
    }

    /// Takes a timer back; `None` if it has fired or was cancelled.
    pub fn cancel(&mut self, handle: TimerHandle) -> Option<K> {
        let timer = self.timers.get(handle.index as usize)?;
        if timer.generation != handle.generation || timer.key.is_none() {
            return None;
        }
        self.unlink(handle.index);
        self.release(handle.index)
    }

    /// Fires everything that is due at `now`, earliest first to within a tick.
    pub fn advance(&mut self, now: Time, mut fire: impl FnMut(K)) {
        let now = now.as_millis() / self.tick_millis;
        while let Some((level, slot, start)) = self.next_slot().filter(|&(_, _, start)| start <= now) {
            self.now = start;
            self.empty_slot(level, slot, &mut fire);
        }
        self.now = self.now.max(now);
    }

    /// When to call [`advance`](Self::advance) next: not later than the earliest deadline; `None`
    /// without timers.
    ///
    /// May be earlier than any deadline, when timers only move nearer.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        let (_, _, start) = self.next_slot()?;
        Some(Time::from_millis(start.saturating_mul(self.tick_millis)))
    }

    /// Checks every relation between the parts of the wheel. For tests; cost O(timers).
    ///
    /// # Errors
    /// The sentence that does not hold.
    pub fn check_invariants(&self) -> Result<(), &'static str> {
        let mut linked = 0;
        for level in 0..LEVELS {
            for slot in 0..SLOTS {
                let mut next = self.heads[level][slot];
                if next.is_some() != (self.occupied[level] >> slot & 1 == 1) {
                    return Err("a slot's bit says whether it is empty");
                }
                while let Some(link) = next {
                    let timer = &self.timers[link.index() as usize];
                    if timer.key.is_none() || timer.deadline <= self.now {
                        return Err("a timer in a slot is set and not due");
                    }
                    linked += 1;
                    next = timer.next;
                }
            }
        }
        if linked == self.len() { Ok(()) } else { Err("every timer lies in exactly one slot") }
    }

    /// The slot that is due first: its level, its number, and the tick at which it starts.
    #[allow(clippy::cast_possible_truncation, reason = "levels and slots are below 64")]
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        // Lower levels come first: all that lies in them is due before the next slot of the level
        // above starts.
        let level = self.occupied.iter().position(|&occupied| occupied != 0)?;
        let shift = level as u32 * LEVEL_BITS;
        let turn = self.now >> shift;
        let current = (turn % SLOTS as u64) as u32;
        // Turned so that the current slot is bit 0: the first bit set is the next slot in time.
        let ahead = self.occupied[level].rotate_right(current).trailing_zeros();
        Some((level, (current + ahead) as usize % SLOTS, (turn + u64::from(ahead)) << shift))
    }

    fn empty_slot(&mut self, level: usize, slot: usize, fire: &mut impl FnMut(K)) {
        let mut next = self.heads[level][slot].take();
        self.occupied[level] &= !(1 << slot);
        while let Some(link) = next {
            let index = link.index();
            next = self.timers[index as usize].next.take();
            self.timers[index as usize].previous = None;
            if self.timers[index as usize].deadline > self.now {
                self.link(index);
            } else if let Some(key) = self.release(index) {
                fire(key);
            }
        }
    }

    /// The slot for a deadline: in the level of the highest bit in which it differs from now.
    #[allow(clippy::cast_possible_truncation, reason = "levels and slots are below 64")]
    fn place(&self, deadline: u64) -> Bucket {
        let deadline = deadline.min(self.now.saturating_add(TICKS_MAX));
        let differing = (self.now ^ deadline) | (SLOTS as u64 - 1);
        let level = (differing.ilog2() / LEVEL_BITS).min(LEVELS as u32 - 1);
        let slot = deadline >> (level * LEVEL_BITS) & (SLOTS as u64 - 1);
        Bucket { level: level as u8, slot: slot as u8 }
    }

    fn link(&mut self, index: u32) {
        let place = self.place(self.timers[index as usize].deadline);
        let (level, slot) = place.indices();
        let head = self.heads[level][slot].replace(Link::to(index));
        let timer = &mut self.timers[index as usize];
        (timer.place, timer.next) = (place, head);
        if let Some(head) = head {
            self.timers[head.index() as usize].previous = Some(Link::to(index));
        }
        self.occupied[level] |= 1 << slot;
    }

    fn unlink(&mut self, index: u32) {
        let Timer { next, previous, place, .. } = self.timers[index as usize];
        if let Some(next) = next {
            self.timers[next.index() as usize].previous = previous;
        }
        if let Some(previous) = previous {
            self.timers[previous.index() as usize].next = next;
            return;
        }
        let (level, slot) = place.indices();
        self.heads[level][slot] = next;
        if next.is_none() {
            self.occupied[level] &= !(1 << slot);
        }
    }

    fn allocate(&mut self, deadline: u64, key: K) -> u32 {
        if let Some(index) = self.free.pop() {
            let timer = &mut self.timers[index as usize];
            (timer.key, timer.deadline) = (Some(key), deadline);
            return index;
        }
        let index = u32::try_from(self.timers.len()).expect("2^32 timers of 32 bytes do not fit into memory");
        let place = Bucket::default();
        if self.timers.len() == self.timers.capacity() {
            // A quarter instead of the double: every connection has a timer.
            self.timers.reserve_exact(self.timers.len() / 4 + 4);
        }
        self.timers.push(Timer {
            key: Some(key),
            deadline,
            generation: NonZeroU32::MIN,
            place,
            next: None,
            previous: None,
        });
        index
    }

    fn release(&mut self, index: u32) -> Option<K> {
        let timer = &mut self.timers[index as usize];
        timer.generation = timer.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        (timer.next, timer.previous) = (None, None);
        self.free.push(index);
        timer.key.take()
    }
}

impl Bucket {
    fn indices(self) -> (usize, usize) {
        (self.level.into(), self.slot.into())
    }
}

impl Link {
    fn to(index: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(index))
    }

    const fn index(self) -> u32 {
        self.0.get() - 1
    }
}

#[cfg(test)]
mod tests;
