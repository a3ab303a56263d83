//! Nobody starves: the number of turns for which a connection waits is bounded, whoever comes
//! meanwhile, and however seldom the thread gets the processor.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::limits::PASSED_OVER_TURNS_MAX;

/// Clock of a thread that other processes keep from running.
#[derive(Debug, Default)]
struct FakeClock {
    wall_ns: AtomicU64,
    cpu_ns: AtomicU64,
}

impl FakeClock {
    fn runs(&self, time: Duration) {
        self.wall_ns.fetch_add(nanos(time), Ordering::Relaxed);
        self.cpu_ns.fetch_add(nanos(time), Ordering::Relaxed);
    }

    fn is_set_aside(&self, time: Duration) {
        self.wall_ns.fetch_add(nanos(time), Ordering::Relaxed);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap()
}

impl Clock for FakeClock {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.wall_ns.load(Ordering::Relaxed))
    }

    fn wall(&self) -> Duration {
        self.elapsed()
    }

    fn lifetime_ms(&self) -> u64 {
        0
    }

    fn wall_of(&self, lifetime_ms: u64) -> u64 {
        lifetime_ms
    }

    fn note_wall(&self) -> i64 {
        0
    }

    fn thread_cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_ns.load(Ordering::Relaxed))
    }

    fn pause(&self, _: Duration) {}
}

/// Random numbers from a seed (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Watched of a connection as the test counts it.
struct Watched {
    began: u32,
    is_short: bool,
    passed_over: u32,
}

/// Shard whose thread is set aside now and then, in the midst of its work.
struct Shard {
    shares: TimeShares,
    clock: FakeClock,
    chance: Chance,
    turn: u32,
    called: Vec<u32>,
    waits: BTreeMap<u32, Watched>,
    longest_wait: u32,
}

impl Shard {
    fn new(seed: u64) -> Self {
        let clock = FakeClock::default();
        clock.runs(Duration::from_secs(1));
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        chance.below(1);
        Self {
            shares: TimeShares::default(),
            clock,
            chance,
            turn: 0,
            called: Vec::new(),
            waits: BTreeMap::new(),
            longest_wait: 0,
        }
    }

    /// Lets a connection work for so long if it is admitted. Whether it was.
    fn drive(&mut self, place: u32, work: Duration) -> bool {
        self.clock.runs(Duration::from_nanos(200));
        let Some(stretch) = self.shares.admit(place, &self.clock) else {
            let wait = Watched { began: self.turn, is_short: false, passed_over: 0 };
            self.waits.entry(place).or_insert(wait);
            return false;
        };
        assert!(!stretch.is_over(&self.clock));
        self.clock.runs(work);
        if self.chance.below(40) == 0 {
            self.clock.is_set_aside(Duration::from_millis(3 + self.chance.below(25)));
        }
        self.shares.worked(&self.clock);
        self.waits.remove(&place);
        true
    }

    /// Ends the turn, and notes who is passed over by those that have waited for less.
    fn end_turn(&mut self) {
        self.clock.runs(Duration::from_micros(20));
        for place in &self.shares.waiting {
            let is_short = self.shares.accounts[*place as usize].is_short();
            self.waits.get_mut(place).unwrap().is_short = is_short;
        }
        self.called.clear();
        let look = self.shares.turn_ended(self.clock.elapsed(), &self.clock, &mut self.called);
        look.into_iter().for_each(Waker::wake);
        // The oldest wait, and the oldest that was called, of connections with long work and with
        // short.
        let mut first_called = [u32::MAX; 2];
        for place in &self.called {
            let Watched { began, is_short, .. } = self.waits[place];
            first_called[usize::from(is_short)] = first_called[usize::from(is_short)].min(began);
        }
        for (place, wait) in &mut self.waits {
            self.longest_wait = self.longest_wait.max(self.turn - wait.began);
            if first_called[usize::from(wait.is_short)] > wait.began && !self.called.contains(place) {
                wait.passed_over += 1;
                assert!(wait.passed_over <= PASSED_OVER_TURNS_MAX, "{place} in turn {}", self.turn);
            }
        }
        self.turn += 1;
    }

    fn calls(&self) -> Vec<u32> {
        self.called.clone()
    }
}

/// Connections that are there all the time, and do little.
const STEADY: u32 = 20;

/// Processes that connect, do something, end, and begin anew.
const FLEETING: u32 = 64;

/// Longest wait in turns: until a connection is not passed over any more, and until those that had
/// come before it have had their work, of which at least four go on in each turn.
const TURNS_MAX: u32 = PASSED_OVER_TURNS_MAX + (STEADY + FLEETING) / 4;

#[test]
fn steady_connections_are_served_while_others_come_and_go() {
    for seed in 0..20 {
        let mut shard = Shard::new(seed);
        (0..STEADY).for_each(|place| shard.shares.enter(place));
        let mut free: Vec<u32> = (STEADY..STEADY + FLEETING).collect();
        // Pieces of work that are left to each of the others.
        let mut left: BTreeMap<u32, u32> = BTreeMap::new();
        for turn in 0..3_000_u32 {
            // Places are used again, the last one first.
            while let Some(place) = free.pop() {
                shard.shares.enter(place);
                left.insert(place, 3);
            }
            let mut ready = shard.calls();
            let has_work = |place: u32| (turn + place).is_multiple_of(5);
            ready.extend((0..STEADY).filter(|place| has_work(*place) && !shard.waits.contains_key(place)));
            let mut fleeting: Vec<u32> =
                left.keys().copied().filter(|place| !shard.waits.contains_key(place)).collect();
            fleeting.sort_unstable();
            ready.extend(fleeting);
            for place in ready {
                let is_steady = place < STEADY;
                let is_burst = is_steady && shard.chance.below(8) == 0;
                let work = match (is_steady, is_burst) {
                    (true, true) => 2 * SHORT_TIME,
                    (true, false) => SHORT_TIME / 10,
                    (false, _) => SHORT_TIME,
                };
                if shard.drive(place, work)
                    && let Some(pieces) = left.get_mut(&place)
                {
                    *pieces -= 1;
                    if *pieces == 0 {
                        left.remove(&place);
                        free.push(place);
                    }
                }
            }
            shard.end_turn();
            let longest = shard.longest_wait;
            assert!(longest <= TURNS_MAX, "{longest} turns in turn {turn} with seed {seed}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn waiting_client_is_passed_over_for_a_bounded_number_of_turns(seed: u64) {
        let mut shard = Shard::new(seed);
        let places = 1 + u32::try_from(shard.chance.below(200)).unwrap();
        (0..places).for_each(|place| shard.shares.enter(place));
        let longest_us = 1 + shard.chance.below(4_000);
        for _ in 0..400 {
            let mut ready = shard.calls();
            let share = 1 + shard.chance.below(4);
            for place in 0..places {
                if shard.chance.below(share) == 0 && !shard.waits.contains_key(&place) {
                    ready.push(place);
                }
            }
            for place in ready {
                // Some are always busy, and some do little.
                let kind = u64::from(place % 7);
                let work = Duration::from_micros(shard.chance.below(longest_us) * kind / 6);
                let is_served = shard.drive(place, work);
                if is_served && shard.chance.below(20) == 0 {
                    shard.shares.enter(place);
                }
                if is_served && shard.chance.below(3) == 0 {
                    shard.shares.wait(place);
                    shard.waits.insert(place, Watched { began: shard.turn, is_short: false, passed_over: 0 });
                }
            }
            shard.end_turn();
        }
        // And all that wait are called in the end.
        for _ in 0..places {
            for place in shard.calls() {
                shard.drive(place, Duration::from_micros(10));
            }
            shard.end_turn();
        }
        proptest::prop_assert!(shard.waits.is_empty() && !shard.shares.is_behind());
    }
}
