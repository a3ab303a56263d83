//! Time shares of connections that flood, that do little, and that have much to write.

use super::*;
use crate::limits::OWED_BYTES_MAX;

/// Lets each connection of a shard work as long as it wants whenever it is admitted; how many turns
/// it took until each was admitted, and the longest turn.
struct Shard {
    shares: TimeShares,
    now: Duration,
    called: Vec<u32>,
    /// Whether work ends when its time is over, to go on later.
    is_cut: bool,
    /// Bytes that the end of the turn writes.
    written: usize,
}

impl Shard {
    fn new(connections: u32) -> Self {
        let mut shares = TimeShares::default();
        (0..connections).for_each(|place| shares.enter(place));
        Self { shares, now: Duration::from_secs(1), called: Vec::new(), is_cut: true, written: 0 }
    }

    /// One turn in which these are ready in this order, behind those that were called; who worked,
    /// and how long it took.
    fn turn(
        &mut self,
        ready: impl Iterator<Item = u32>,
        work: impl Fn(u32) -> Duration,
    ) -> (Vec<u32>, Duration) {
        self.turn_that_writes(ready, work, |_| 0)
    }

    /// One in which connections bring bytes to write, besides.
    fn turn_that_writes(
        &mut self,
        ready: impl Iterator<Item = u32>,
        work: impl Fn(u32) -> Duration,
        owes: impl Fn(u32) -> usize,
    ) -> (Vec<u32>, Duration) {
        let began = self.now;
        let mut worked = Vec::new();
        for place in std::mem::take(&mut self.called).into_iter().chain(ready) {
            self.now += Duration::from_nanos(200);
            if let Some(time) = self.shares.admits(place, self.now, || self.now) {
                let (wanted, began) = (work(place), self.now);
                self.now += if self.is_cut { wanted.min(time) } else { wanted };
                if self.shares.is_behind() {
                    self.shares.charge(place, self.now - began);
                    self.shares.others_work();
                }
                let owed = owes(place);
                let brings = owed > 0 && self.shares.may_owe(owed);
                if brings {
                    self.shares.owe(owed);
                    self.written += owed;
                }
                self.shares.owed.end();
                if (self.is_cut && wanted > time) || owed > 0 {
                    self.shares.wait(place);
                }
                worked.push(place);
            }
        }
        let writing = NS_PER_BYTE * u32::try_from(std::mem::take(&mut self.written)).unwrap();
        self.now += FLUSH + writing;
        self.shares.charge_writing(writing);
        self.shares.written();
        self.shares.worked_until(self.now);
        self.shares.calls_next(&mut self.called);
        (worked, self.now - began)
    }
}

const MS: Duration = Duration::from_millis(1);

/// Time that the end of a turn takes.
const FLUSH: Duration = Duration::from_micros(5);

/// Time that writing a byte takes: 4 MiB take 21 ms.
const NS_PER_BYTE: Duration = Duration::from_nanos(5);

/// Each place of a shard has one, open or idle.
#[test]
fn an_account_is_small() {
    assert!(size_of::<Account>() <= 24, "{} bytes", size_of::<Account>());
}

#[test]
fn nobody_waits_while_there_is_time() {
    let mut shard = Shard::new(100);
    for _ in 0..10 {
        let (worked, _) = shard.turn(0..100, |_| MS / 20);
        assert_eq!(worked.len(), 100);
        assert!(shard.called.is_empty() && !shard.shares.is_behind());
    }
}

#[test]
fn quiet_client_is_served_in_the_following_turn() {
    const FLOODING: u32 = 500;
    let quiet = FLOODING;
    let mut shard = Shard::new(FLOODING + 1);
    let work = |place| if place == quiet { MS / 100 } else { MS * 7 / 10 };
    let mut waited = 0;
    // Nobody knows at first who will flood.
    (0..20).for_each(|_| drop(shard.turn(quiet..=quiet, work)));
    (0..30).for_each(|_| drop(shard.turn(0..FLOODING, work)));
    for number in 0..1_000 {
        // All that flood are always ready, and before the quiet one, which has something to say
        // every third turn.
        let asks = (number % 3 == 0).then_some(quiet);
        let (worked, took) = shard.turn((0..FLOODING).chain(asks), work);
        assert!(took < 2 * READS_TIME_MAX + 2 * MS, "turn {number} took {took:?}");
        assert!(!worked.is_empty(), "turn {number} is for somebody");
        let is_served = worked.contains(&quiet);
        waited = if asks.is_some() && !is_served {
            waited + 1
        } else if is_served {
            0
        } else {
            waited
        };
        assert!(waited <= 1, "turn {number}");
    }
}

#[test]
fn quiet_client_waits_briefly_when_hundreds_of_clients_start_flooding() {
    const FLOODING: u32 = 500;
    let quiet = FLOODING;
    // New ones, and such as have done as little as the quiet one.
    for turns_before in [1, 100] {
        let mut shard = Shard::new(FLOODING + 1);
        for _ in 0..turns_before {
            (0..FLOODING).for_each(|place| drop(shard.turn(place..=place, |_| MS / 200)));
        }
        // Each time alone in its turn, as somebody is who has said nothing for long.
        (0..20).for_each(|_| drop(shard.turn(quiet..=quiet, |_| MS / 200)));
        let work = |place| if place == quiet { MS / 200 } else { 2 * MS };
        let began = shard.now;
        let (worked, _) = shard.turn(0..=quiet, work);
        let mut is_served = worked.contains(&quiet);
        while !is_served {
            is_served = shard.turn(0..FLOODING, work).0.contains(&quiet);
        }
        let waited = shard.now - began;
        assert!(waited < 50 * MS, "{waited:?} with {turns_before} turns before");
    }
}

#[test]
fn handshakes_whose_bytes_came_one_by_one_let_others_go_first() {
    const PEERS: u32 = 500;
    let quiet = PEERS;
    let mut shard = Shard::new(PEERS + 1);
    for _ in 0..100 {
        (0..PEERS).for_each(|place| {
            shard.shares.expect_handshake(place);
            shard.turn(place..=place, |_| MS / 200);
        });
    }
    (0..20).for_each(|_| drop(shard.turn(quiet..=quiet, |_| MS / 200)));
    let work = |place| if place == quiet { MS / 200 } else { 4 * MS };
    shard.is_cut = false;
    let mut asked = None;
    for number in 0..100 {
        (0..PEERS).for_each(|place| shard.shares.expect_handshake(place));
        // It asks now and then, behind all others.
        let asks = (number % 5 == 0).then_some(quiet);
        asked = asked.or(asks.map(|_| shard.now));
        let (worked, took) = shard.turn((0..PEERS).chain(asks), work);
        // The time of the first ones is a surprise, and counts in part.
        assert!(took < if number < 2 { 21 * MS } else { 13 * MS }, "turn {number} took {took:?}");
        asked = asked.filter(|_| !worked.contains(&quiet));
        let waited = asked.map(|asked| shard.now - asked);
        assert!(waited.is_none_or(|waited| waited < 40 * MS), "turn {number}: {waited:?}");
    }
}

#[test]
fn those_that_flood_alike_have_equal_time() {
    const FLOODING: u32 = 40;
    let mut shard = Shard::new(FLOODING);
    let work = |place: u32| if place.is_multiple_of(2) { 2 * MS } else { MS / 5 };
    let mut time = vec![Duration::ZERO; FLOODING as usize];
    for _ in 0..2_000 {
        let (worked, _) = shard.turn(0..FLOODING, work);
        worked.iter().for_each(|place| time[*place as usize] += work(*place));
    }
    for kind in [0, 1] {
        let of_kind = || time.iter().skip(kind).step_by(2);
        let (least, most) = (of_kind().min().unwrap(), of_kind().max().unwrap());
        assert!(!least.is_zero() && *most <= *least + *least / 10, "{least:?} to {most:?}");
    }
}

#[test]
fn quiet_client_is_served_promptly_among_publishers_of_expensive_messages() {
    const PUBLISHING: u32 = 10;
    let quiet = PUBLISHING;
    for publishers_before in [1, 100] {
        let mut shard = Shard::new(PUBLISHING + 1);
        for _ in 0..publishers_before {
            (0..PUBLISHING).for_each(|place| drop(shard.turn(place..=place, |_| MS / 50)));
        }
        // It has had as much as anybody, and is owed nothing.
        (0..1_000).for_each(|_| drop(shard.turn(quiet..=quiet, |_| MS / 100)));
        let owes = |place| if place == quiet { 0 } else { OWED_BYTES_MAX };
        let mut publishing = 0..PUBLISHING;
        let mut waited = Duration::ZERO;
        for number in 0..1_000 {
            // It comes behind those that are ready or called.
            let ready: Vec<u32> = publishing.by_ref().chain([quiet]).collect();
            let (worked, took) = shard.turn_that_writes(ready.into_iter(), |_| MS / 50, owes);
            waited = if worked.contains(&quiet) { took } else { waited + took };
            assert!(waited < 30 * MS, "{waited:?} in turn {number}");
        }
    }
}

#[test]
fn those_whose_messages_take_long_to_write_have_equal_time() {
    const PUBLISHING: u32 = 10;
    let mut shard = Shard::new(PUBLISHING);
    let owes = |place: u32| if place.is_multiple_of(2) { OWED_BYTES_MAX } else { OWED_BYTES_MAX / 4 };
    let mut written = vec![0; PUBLISHING as usize];
    let mut ready = 0..PUBLISHING;
    for _ in 0..2_000 {
        let (worked, _) = shard.turn_that_writes(ready.by_ref(), |_| MS / 50, owes);
        worked.iter().for_each(|place| written[*place as usize] += owes(*place));
    }
    let (least, most) = (written.iter().min().unwrap(), written.iter().max().unwrap());
    assert!(*least > 0 && *most <= *least + *least / 10, "{least} to {most} of {written:?}");
}

#[test]
fn a_turn_is_bounded_when_all_who_did_little_have_much_to_write_at_once() {
    const PUBLISHING: u32 = 2_000;
    let mut shard = Shard::new(PUBLISHING);
    (0..20).for_each(|_| drop(shard.turn(0..PUBLISHING, |_| MS / 200)));
    let mut ready = 0..PUBLISHING;
    for number in 0..100 {
        let (_, took) = shard.turn_that_writes(ready.by_ref(), |_| MS / 200, |_| OWED_BYTES_MAX);
        assert!(took < 40 * MS, "turn {number} took {took:?}");
    }
}

#[test]
fn work_misjudged_as_short_does_not_starve_long_work() {
    const FLOODING: u32 = 100;
    let mut shard = Shard::new(FLOODING + 1);
    (0..60).for_each(|_| drop(shard.turn(0..FLOODING, |_| MS / 50)));
    let mut long = 0;
    for _ in 0..100 {
        let (worked, took) = shard.turn(0..=FLOODING, |_| MS);
        long += usize::from(worked.contains(&FLOODING));
        assert!(took < 2 * READS_TIME_MAX + 2 * MS, "{took:?}");
    }
    assert!(long > 2, "{long}");
}

#[test]
fn all_that_wait_are_called() {
    let mut shard = Shard::new(300);
    let mut missing: Vec<u32> = (0..300).collect();
    let mut ready = 0..300;
    for _ in 0..300 {
        let (worked, _) = shard.turn(ready.by_ref(), |_| MS);
        missing.retain(|place| !worked.contains(place));
    }
    assert!(missing.is_empty() && !shard.shares.is_behind(), "{missing:?}");
}

#[test]
fn a_new_connection_has_nothing_of_the_one_before_it() {
    let mut shard = Shard::new(2);
    shard.turn(0..2, |_| 20 * MS);
    shard.shares.enter(0);
    let fresh = shard.shares.accounts[0];
    assert_eq!((fresh.until(), fresh.is_waiting()), (shard.shares.virtual_time, false));
}
