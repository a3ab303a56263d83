//! Shares of a shard's time, for its connections: for the packets that they send, and for work whose length they decide, such as the filters of a SUBSCRIBE
//! and scans for retained messages.
//!
//! While the time of a turn lasts and nobody waits, every connection that has something to do does it. After that those wait whose work is not short, as
//! far as what they took before tells, and go on in later turns; those with short work only wait when a turn has become twice as long. Both kinds have
//! time of their own in each turn, and of each go on first who would be done first if all worked at once (fair queuing): every connection has a virtual
//! time up to which it has had its share. So Clients that flood delay each other, and one that does little waits for what is left of a turn.
//!
//! The clock is read once when a connection is looked at, which ends the time of the one before it as well; and at the end of a turn, until the connection
//! that was looked at last is known for doing little: what it took was at most the rest of the turn. While somebody waits the processor's clock, a system
//! call, is read too: time in which the thread did not run is nobody's.
//!
//! To write large messages takes long, and to route them does not: so the connections that have brought them are charged for that time at the end of the turn,
//! and a turn that has enough to write takes in those with short work only, for little each ([`Owed`]).
//!
//! A handshake of TLS can neither be cut nor foretold by what its connection did before: it is never short, and is expected to take what others have taken
//! lately. So a turn calls as many as it has time for, and none of them is taken for little because its first bytes came one by one.
//!
//! Invariant: whoever waits here is called, and the shard's turns go on until nobody waits.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;
use std::time::Duration;

use crate::clock::{Clock, Stretch};
use crate::limits::{
    LONG_WORK_TIME_MAX, READS_TIME_MAX, SHARE_COST_MIN, SHARE_TIME, SHORT_TIME, SURPRISE_MAX,
    TURNS_PER_MEASURED,
};
use crate::turn::events::Events;
use crate::turn::owed::Owed;

/// Length of work below which its time is not measured at the end of turns: to read the clock costs a thousandth of it.
const WELL_KNOWN: Duration = Duration::from_micros(25);

/// Time shares of one shard. Connections are known by their places.
#[derive(Default)]
pub struct TimeShares {
    accounts: Vec<Account>,
    /// Places of those that have to wait since this turn began.
    waiting: Vec<u32>,
    /// Places of those that wait for the next tick.
    until_tick: Vec<u32>,
    /// Connections with short work that wait for longer, by the time at which they would be done.
    short: BinaryHeap<Reverse<Waiting>>,
    /// Other connections that wait.
    long: BinaryHeap<Reverse<Waiting>>,
    /// Virtual time at which the connection that was called last begins.
    virtual_time: Duration,
    /// Latest virtual time of any connection.
    latest: Duration,
    /// Time at which this turn looked at its first connection.
    began: Option<Duration>,
    /// Connection that was looked at last, and the beginning of its work.
    working: Option<(u32, Duration)>,
    /// Processor time at that moment, while somebody waits.
    cpu: Option<Duration>,
    /// Expected duration of a handshake.
    handshake: Duration,
    /// Time that work at the end of this turn has taken.
    spent: Duration,
    /// Owed writing of this turn.
    owed: Owed,
    /// Socket events.
    events: Events,
    /// Number of this turn.
    turn: u32,
    /// Number of waits so far.
    waits: u64,
    /// Memory for the places of those that go on next, empty between turns.
    pub next: Vec<u32>,
}

/// Account of one connection. Every place of a shard has one, so times are numbers of nanoseconds.
#[derive(Clone, Copy, Default)]
struct Account {
    /// Virtual time up to which it has had its share; enough for 584 years.
    until_ns: u64,
    /// Expected time: that of its last work, or somewhat less than was expected then. More than 4.2 s counts as 4.2 s.
    took_ns: u32,
    /// Turn in which it may go on.
    granted: u32,
    /// Turn in which it was last admitted.
    admitted: u32,
    is_waiting: bool,
    waits_for_tick: bool,
    /// Whether its next work may be a handshake.
    is_handshaking: bool,
}

impl Account {
    /// Account of an unknown connection.
    fn new() -> Self {
        let mut account = Self::default();
        account.expect(2 * SHORT_TIME);
        account
    }

    fn until(&self) -> Duration {
        Duration::from_nanos(self.until_ns)
    }

    fn goes_until(&mut self, until: Duration) {
        self.until_ns = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
    }

    fn took(&self) -> Duration {
        Duration::from_nanos(self.took_ns.into())
    }

    fn expect(&mut self, took: Duration) {
        self.took_ns = u32::try_from(took.as_nanos()).unwrap_or(u32::MAX);
    }

    /// Whether its work is short, as far as known.
    fn is_short(&self) -> bool {
        self.took() <= SHORT_TIME
    }

    /// Charges time that it has worked.
    fn charge(&mut self, used: Duration) {
        self.expect(used.max(self.took() - self.took() / 4));
        self.goes_until(self.until() + used);
    }

    /// Virtual time at which it begins. An idle connection is given one share.
    fn begins(&self, virtual_time: Duration) -> Duration {
        self.until().max(virtual_time.saturating_sub(SHARE_TIME))
    }

    /// Virtual time by which it is expected to be done with its present work.
    fn done_by(&self, virtual_time: Duration) -> Duration {
        self.begins(virtual_time) + self.took()
    }
}

/// Waiting connection, ordered by whose turn it is.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    done_by: Duration,
    /// Number of the wait: of connections with equal times the one that waits for longer goes first.
    number: u64,
    place: u32,
}

/// Share of time for the work of one connection at the end of a turn.
pub struct Share {
    pub(crate) stretch: Stretch,
    place: u32,
    began: Duration,
}

impl TimeShares {
    /// Enters a connection that has come to this place.
    pub fn enter(&mut self, place: u32) {
        let place = place as usize;
        if place >= self.accounts.len() {
            if place >= self.accounts.capacity() {
                self.accounts.reserve_exact(place - self.accounts.len() + place / 4 + 4);
            }
            self.accounts.resize(place + 1, Account::default());
        }
        self.accounts[place] = Account::new();
        self.owed.forget(u32::try_from(place).unwrap_or(u32::MAX));
    }

    /// Notes that the next work of this connection may be a handshake. Call before [`TimeShares::admit`].
    pub fn expect_handshake(&mut self, place: u32) {
        let account = &mut self.accounts[place as usize];
        account.expect(account.took().max(self.handshake).max(2 * SHORT_TIME));
        account.is_handshaking = true;
    }

    /// Lowers the expected duration of handshakes: other keys may be in use, or less competes for the processor. Call now and then.
    pub fn trim(&mut self) {
        self.handshake -= self.handshake / 4;
    }

    /// Notes that the thread has had nothing to do, and has looked at its sockets. Call before [`TimeShares::admit`].
    pub fn thread_idled(&mut self) {
        self.others_work();
        self.began = None;
        self.events.have_come();
    }

    /// Admits a connection to read and work, with a stretch of time. Without any it waits, and its owner is called when it may go on.
    pub fn admit(&mut self, place: u32, clock: &dyn Clock) -> Option<Stretch> {
        if self.events.are_awaited() {
            self.wait(place);
            return None;
        }
        let now = clock.elapsed();
        let time = self.admits(place, now)?;
        self.cpu = self.is_behind().then(|| clock.thread_cpu());
        Some(Stretch::until(now + time))
    }

    /// Time that a connection may work now. Of one whose work is taken for short no more is waited for, when somebody waits, than can be told of it: so
    /// those that did little before, and flood all at once, do not keep the one from going on that still does little.
    fn admits(&mut self, place: u32, now: Duration) -> Option<Duration> {
        self.settle(now);
        let passed = now.saturating_sub(*self.began.get_or_insert(now));
        let account = &self.accounts[place as usize];
        let (is_short, likely) = (account.is_short(), 4 * account.took() + SURPRISE_MAX);
        let is_next = account.granted == self.turn && account.admitted != self.turn;
        let is_ahead = !is_next && self.is_ahead(place);
        // What is left is for the long work that was called as well.
        let time = if is_ahead || (is_next && is_short) { READS_TIME_MAX } else { 2 * READS_TIME_MAX };
        let has_little = is_short && !is_ahead;
        if passed >= time || (is_ahead && self.is_behind()) || !self.owed.admits(has_little) {
            self.wait(place);
            return None;
        }
        self.owed.begin(place);
        let account = &mut self.accounts[place as usize];
        account.admitted = self.turn;
        if !is_next {
            account.goes_until(account.begins(self.virtual_time));
        }
        self.working = Some((place, now));
        Some(if is_short && self.is_behind() { likely.min(SHARE_TIME) } else { SHARE_TIME })
    }

    /// Whether a connection should let others go first, when there is not time for all.
    fn is_ahead(&self, place: u32) -> bool {
        let account = &self.accounts[place as usize];
        account.is_waiting || !account.is_short()
    }

    /// Notes that the end of this turn writes messages of so many bytes: of the connection that works, or of nobody's.
    pub(crate) fn owe(&mut self, bytes: usize) {
        self.owed.note(bytes);
    }

    /// Whether the end of this turn has enough to write, so that the working connection has to stop.
    pub fn is_full(&self) -> bool {
        self.owed.is_full()
    }

    /// Whether the end of this turn may have to write so much more for the connection that works.
    pub(crate) fn may_owe(&self, bytes: usize) -> bool {
        self.owed.takes(bytes)
    }

    /// Whether a turn may begin with so many bytes of what earlier ones have left.
    pub(crate) fn may_resume(&self, bytes: usize) -> bool {
        self.owed.may_resume(bytes)
    }

    /// Time at which this turn looked at its first connection, if the turn is one of those whose deliveries are measured: they are spread evenly and in no step with
    /// what clients do by turns.
    pub(crate) fn measured_since(&self) -> Option<Duration> {
        const GOLDEN: u32 = 0x9E37_79B1;
        let is_measured = self.turn.wrapping_mul(GOLDEN) < u32::MAX / TURNS_PER_MEASURED;
        self.began.filter(|_| is_measured)
    }

    /// Notes that the turn begins to write; returns the processor time, if somebody is to pay for it.
    pub(crate) fn begin_writing(&self, clock: &dyn Clock) -> Option<Duration> {
        self.owed.has_payers().then(|| clock.thread_cpu())
    }

    /// Charges the time of writing to the connections that have brought it.
    pub(crate) fn end_writing(&mut self, began: Option<Duration>, clock: &dyn Clock) {
        if let Some(began) = began {
            self.charge_writing(clock.thread_cpu().saturating_sub(began));
        }
    }

    fn charge_writing(&mut self, took: Duration) {
        let Self { owed, accounts, latest, working, cpu, .. } = self;
        for (place, took) in owed.payers(took) {
            let account = &mut accounts[place as usize];
            account.charge(took);
            *latest = account.until().max(*latest);
        }
        // In the midst of somebody's work it is not his alone.
        if let Some((_, began)) = working {
            *began += took;
        }
        if let Some(cpu) = cpu {
            *cpu += took;
        }
    }

    /// Notes that the end of a turn has written everything.
    pub fn written(&mut self) {
        self.owed.written();
    }

    /// Notes that the admitted connection has done what it could.
    pub fn worked(&mut self, clock: &dyn Clock) {
        self.owed.end();
        if let (Some(before), Some((place, _))) = (self.cpu.take(), self.working) {
            self.working = None;
            self.charge(place, clock.thread_cpu().saturating_sub(before));
        }
    }

    /// Notes that the last connection had done its work by then, and others had worked behind it. So it is known of short work that it is,
    /// and of other work nothing.
    fn worked_until(&mut self, then: Duration) {
        if let Some((place, began)) = self.working.take() {
            let at_most = then.saturating_sub(began);
            if at_most <= self.accounts[place as usize].took() {
                self.charge(place, at_most);
            }
        }
        self.cpu = None;
    }

    /// Notes that the work of a connection has ended.
    pub fn others_work(&mut self) {
        (self.working, self.cpu) = (None, None);
    }

    /// Takes a share of time for a connection's work at the end of a turn. Without any it waits, and its owner is called when it has some.
    pub fn take(&mut self, place: u32, clock: &dyn Clock) -> Option<Share> {
        let is_next = self.accounts[place as usize].granted == self.turn;
        if self.spent >= LONG_WORK_TIME_MAX || (!is_next && self.is_ahead(place) && self.is_behind()) {
            self.wait(place);
            return None;
        }
        if !is_next {
            let account = &mut self.accounts[place as usize];
            account.goes_until(account.begins(self.virtual_time));
        }
        let began = clock.elapsed();
        Some(Share { stretch: Stretch::until(began + SHARE_TIME), place, began })
    }

    /// Ends a share, used up or not.
    pub fn give_back(&mut self, share: &Share, clock: &dyn Clock) {
        let used = clock.elapsed().saturating_sub(share.began);
        self.spent += used;
        self.charge(share.place, used);
    }

    /// Lets a connection wait for a later turn, unless it does already.
    pub fn wait(&mut self, place: u32) {
        let account = &mut self.accounts[place as usize];
        if !std::mem::replace(&mut account.is_waiting, true) {
            self.waiting.push(place);
        }
    }

    /// Lets a connection wait for the next tick, with work for which there is time but no memory.
    pub(crate) fn wait_for_tick(&mut self, place: u32) {
        if !std::mem::replace(&mut self.accounts[place as usize].waits_for_tick, true) {
            self.until_tick.push(place);
        }
    }

    /// Takes out the places of those that wait for a tick, which has come.
    pub(crate) fn take_until_tick(&mut self) -> Vec<u32> {
        let places = std::mem::take(&mut self.until_tick);
        places.iter().for_each(|place| self.accounts[*place as usize].waits_for_tick = false);
        places
    }

    /// Whether somebody waits for a tick.
    pub(crate) fn has_until_tick(&self) -> bool {
        !self.until_tick.is_empty()
    }

    /// Whether somebody waits.
    pub fn is_behind(&self) -> bool {
        !self.waiting.is_empty() || !self.short.is_empty() || !self.long.is_empty()
    }

    /// Ends a turn, at this time of the coarse clock: puts the places of connections that may go on in the next one into `next`. With a waker,
    /// nobody is admitted until the runtime has looked at the sockets and has woken it.
    pub fn turn_ended(&mut self, now: Duration, clock: &dyn Clock, next: &mut Vec<u32>) -> Option<Waker> {
        if self.working.is_some_and(|(place, _)| self.accounts[place as usize].took() > WELL_KNOWN) {
            self.worked_until(clock.elapsed());
        }
        self.others_work();
        self.calls_next(next);
        self.events.turn_ended(now)
    }

    fn calls_next(&mut self, next: &mut Vec<u32>) {
        self.turn = self.turn.wrapping_add(1);
        (self.began, self.spent) = (None, Duration::ZERO);
        for place in self.waiting.drain(..) {
            let account = &self.accounts[place as usize];
            self.waits += 1;
            let done_by = account.done_by(self.virtual_time);
            let queue = if account.is_short() { &mut self.short } else { &mut self.long };
            queue.push(Reverse(Waiting { done_by, number: self.waits, place }));
        }
        if !self.is_behind() {
            // Everybody had what he wanted.
            self.virtual_time = self.virtual_time.max(self.latest);
            return;
        }
        // Short ones first. They cannot keep the others from going on, whatever they take in truth: those have the rest of the turn.
        let Self { short, long, accounts, turn, virtual_time, handshake, .. } = self;
        let for_long = if short.is_empty() { READS_TIME_MAX } else { READS_TIME_MAX / 2 };
        for (queue, time) in [(short, READS_TIME_MAX), (long, for_long)] {
            let mut expected = Duration::ZERO;
            while expected < time
                && let Some(Reverse(first)) = queue.pop()
            {
                let account = &mut accounts[first.place as usize];
                account.goes_until(first.done_by.saturating_sub(account.took()));
                if account.is_handshaking {
                    // It may have begun to wait before it was known what others take.
                    account.expect(account.took().max(*handshake));
                }
                (account.is_waiting, account.granted) = (false, *turn);
                expected += account.took().max(SHARE_COST_MIN);
                *virtual_time = account.until().max(*virtual_time);
                next.push(first.place);
            }
        }
    }

    /// Ends the time of the connection that was looked at last. The thread may have been kept from running meanwhile: what is much more than it took
    /// before counts in part.
    fn settle(&mut self, now: Duration) {
        if let Some((place, began)) = self.working.take() {
            let likely = 2 * self.accounts[place as usize].took() + SURPRISE_MAX;
            self.charge(place, now.saturating_sub(began).min(likely));
        }
    }

    fn charge(&mut self, place: u32, used: Duration) {
        let account = &mut self.accounts[place as usize];
        if std::mem::take(&mut account.is_handshaking) {
            self.handshake = self.handshake.max(used);
        }
        account.charge(used);
        self.latest = self.latest.max(account.until());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::OWED_BYTES_MAX;

    /// Lets each connection of a shard work as long as it wants whenever it is admitted; how many turns it took until each was admitted, and the longest turn.
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

        /// One turn in which these are ready in this order, behind those that were called; who worked, and how long it took.
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
                if let Some(time) = self.shares.admits(place, self.now) {
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

    /// What the end of a turn takes.
    const FLUSH: Duration = Duration::from_micros(5);

    /// What writing a byte takes: 4 MiB take 21 ms.
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
    fn who_does_little_is_served_in_the_turn_that_follows() {
        const FLOODING: u32 = 500;
        let quiet = FLOODING;
        let mut shard = Shard::new(FLOODING + 1);
        let work = |place| if place == quiet { MS / 100 } else { MS * 7 / 10 };
        let mut waited = 0;
        // Nobody knows at first who will flood.
        (0..20).for_each(|_| drop(shard.turn(quiet..=quiet, work)));
        (0..30).for_each(|_| drop(shard.turn(0..FLOODING, work)));
        for number in 0..1_000 {
            // All that flood are always ready, and before the quiet one, which has something to say every third turn.
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
    fn who_does_little_waits_little_when_hundreds_begin_to_flood_at_once() {
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
            // What the first ones take is a surprise, and is believed in part.
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
    fn who_does_little_is_served_beside_those_whose_messages_take_long_to_write() {
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
    fn what_was_taken_for_short_keeps_nobody_from_going_on() {
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
        assert_eq!((fresh.until(), fresh.is_waiting), (Duration::ZERO, false));
    }
}
