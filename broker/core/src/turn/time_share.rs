//! Shares of a shard's time, for its connections: for the packets that they send, and for work
//! whose length they decide, such as the filters of a SUBSCRIBE and scans for retained messages.
//!
//! While the time of a turn lasts and nobody waits, every connection that has something to do does
//! it. After that those wait whose work is not short, as far as what they took before tells, and go
//! on in later turns; those with short work only wait when a turn has become twice as long. Both
//! kinds have time of their own in each turn, and of each go on first who would be done first if
//! all worked at once (fair queuing): every connection has a virtual time up to which it has had
//! its share. So Clients that flood delay each other, and one that does little waits for what is
//! left of a turn.
//!
//! Fair queuing alone does not bound a wait: new connections keep coming, and each of them is owed
//! its share. So age promotes. A connection that has waited for [`PASSED_OVER_TURNS_MAX`] turns
//! goes on before all that have waited for less. The connections promoted in this way have half of
//! the time, and one of them always goes on. Virtual time advances with the work of each turn. A
//! new connection begins at the present virtual time.
//!
//! The clock is read once when a connection is looked at, which ends the time of the one before it
//! as well; and at the end of a turn, until the connection that was looked at last is known for
//! doing little: what it took was at most the rest of the turn. While somebody waits the
//! processor's clock, a system call, is read too: time in which the thread did not run is nobody's.
//! Nor does a turn end for such time: before a connection has to wait because the turn has taken
//! long, the processor's clock decides, if the turn began with connections that had waited.
//!
//! To write large messages takes long, and to route them does not: so the connections that have
//! brought them are charged for that time at the end of the turn, and a turn that has enough to
//! write takes in those with short work only, for little each ([`Owed`]).
//!
//! A handshake of TLS can neither be cut nor foretold by what its connection did before: it is
//! never short, and is expected to take what others have taken lately. So a turn calls as many as
//! it has time for, and none of them is taken for little because its first bytes came one by one.
//!
//! Not `lotmq_shares::FairTurns`: turns differ in length, and the choice is part of each turn of
//! the data path.
//!
//! Invariant: whoever waits here is called, and the shard's turns go on until nobody waits.

mod line;

use std::task::Waker;
use std::time::Duration;

use crate::clock::{Clock, Stretch};
use crate::limits::{
    LONG_WORK_TIME_MAX, PASSED_OVER_TURNS_MAX, READS_TIME_MAX, SHARE_COST_MIN, SHARE_TIME, SHORT_TIME,
    SURPRISE_MAX, TURNS_PER_MEASURED,
};
use crate::turn::events::Events;
use crate::turn::owed::Owed;
use line::{WaitEntry, WaitQueue};

/// Length of work below which its time is not measured at the end of turns: to read the clock costs
/// a thousandth of it.
const WELL_KNOWN: Duration = Duration::from_micros(25);

/// Time shares of one shard. Connections are known by their places.
pub struct TimeShares {
    accounts: Vec<Account>,
    /// Places of those that have to wait since this turn began.
    waiting: Vec<u32>,
    /// Places of those that wait for the next tick.
    until_tick: Vec<u32>,
    /// Connections with short work that wait for longer.
    short: WaitQueue,
    /// Other connections that wait.
    long: WaitQueue,
    /// Virtual time: that at which the connection that was called last begins, or more where new
    /// connections come before the others.
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
    /// Number of this turn. Accounts have its low half.
    turn: u64,
    /// Processor time at the end of the turn before, if connections waited then.
    cpu_before: Option<Duration>,
    /// Processor time that this turn has taken, as far as that was looked at.
    used: Duration,
    /// Time of this turn in which the thread did not run, as far as that is known.
    set_aside: Duration,
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
    /// Expected time: that of its last work, or somewhat less than was expected then. More than 4.2
    /// s counts as 4.2 s.
    took_ns: u32,
    /// Turn in which it may go on.
    granted: u32,
    /// Turn in which it began to wait.
    since: u32,
    /// Whether it has gone on since it was called.
    has_gone_on: bool,
    wait: Wait,
    waits_for_tick: bool,
    /// Whether its next work may be a handshake.
    is_handshaking: bool,
}

/// Line in which a connection waits for time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wait {
    /// Nowhere.
    #[default]
    No,
    /// Among those that have to wait since this turn began.
    Fresh,
    /// In the line for short work.
    Short,
    /// In the line for other work.
    Long,
}

impl Default for TimeShares {
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            waiting: Vec::new(),
            until_tick: Vec::new(),
            short: WaitQueue::new(Wait::Short),
            long: WaitQueue::new(Wait::Long),
            virtual_time: Duration::ZERO,
            latest: Duration::ZERO,
            began: None,
            working: None,
            cpu: None,
            handshake: Duration::ZERO,
            spent: Duration::ZERO,
            owed: Owed::default(),
            events: Events::default(),
            turn: 0,
            cpu_before: None,
            used: Duration::ZERO,
            set_aside: Duration::ZERO,
            waits: 0,
            next: Vec::new(),
        }
    }
}

impl Account {
    /// Account of an unknown connection, which has had no share and is owed none.
    fn new(virtual_time: Duration) -> Self {
        let mut account = Self { has_gone_on: true, ..Self::default() };
        account.expect(2 * SHORT_TIME);
        account.goes_until(virtual_time);
        account
    }

    /// Whether it was called for this turn, and has not gone on yet.
    fn is_next(&self, turn: u64) -> bool {
        self.is_granted(turn) && !self.has_gone_on
    }

    fn is_waiting(&self) -> bool {
        self.wait != Wait::No
    }

    /// Whether it was called for this turn.
    fn is_granted(&self, turn: u64) -> bool {
        self.granted == low(turn)
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

/// Low half of a turn's number.
fn low(turn: u64) -> u32 {
    u32::try_from(turn & u64::from(u32::MAX)).unwrap_or_default()
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
        // A wait of the connection that was there before is in a line, and ends when it is called.
        let Account { wait, since, waits_for_tick, .. } = self.accounts[place];
        let fresh = Account::new(self.virtual_time);
        self.accounts[place] = Account { wait, since, waits_for_tick, ..fresh };
        self.owed.forget(u32::try_from(place).unwrap_or(u32::MAX));
    }

    /// Notes that the next work of this connection may be a handshake. Call before
    /// [`TimeShares::admit`].
    pub fn expect_handshake(&mut self, place: u32) {
        let account = &mut self.accounts[place as usize];
        account.expect(account.took().max(self.handshake).max(2 * SHORT_TIME));
        account.is_handshaking = true;
    }

    /// Lowers the expected duration of handshakes: other keys may be in use, or less competes for
    /// the processor. Gives memory back that waiting connections took. Call now and then.
    pub fn trim(&mut self) {
        self.handshake -= self.handshake / 4;
        self.short.trim();
        self.long.trim();
    }

    /// Notes that the thread has had nothing to do, and has looked at its sockets. Call before
    /// [`TimeShares::admit`].
    pub fn thread_idled(&mut self) {
        self.others_work();
        (self.began, self.cpu_before) = (None, None);
        self.events.have_come();
    }

    /// Admits a connection to read and work, with a stretch of time. Without any it waits, and its
    /// owner is called when it may go on.
    pub fn admit(&mut self, place: u32, clock: &dyn Clock) -> Option<Stretch> {
        if self.events.are_awaited() {
            self.wait(place);
            return None;
        }
        let now = clock.elapsed();
        let time = self.admits(place, now, || clock.thread_cpu())?;
        self.cpu = self.is_behind().then(|| clock.thread_cpu());
        Some(Stretch::until(now + time))
    }

    /// Time that a connection may work now. Of one whose work is taken for short no more is waited
    /// for, when somebody waits, than can be told of it: so those that did little before, and flood
    /// all at once, do not keep the one from going on that still does little.
    fn admits(&mut self, place: u32, now: Duration, cpu: impl FnOnce() -> Duration) -> Option<Duration> {
        self.settle(now);
        let began = *self.began.get_or_insert(now);
        let account = &self.accounts[place as usize];
        let (is_short, likely) = (account.is_short(), 4 * account.took() + SURPRISE_MAX);
        let is_next = account.is_next(self.turn);
        let is_ahead = !is_next && self.is_ahead(place);
        // The remaining time is also for the long work that was called.
        let time = if is_ahead || (is_next && is_short) { READS_TIME_MAX } else { 2 * READS_TIME_MAX };
        let has_little = is_short && !is_ahead;
        let may_go_on = !(is_ahead && self.is_behind()) && self.owed.admits(has_little);
        if !may_go_on || self.has_taken(time, now.saturating_sub(began), cpu) {
            self.wait(place);
            return None;
        }
        self.owed.begin(place);
        let account = &mut self.accounts[place as usize];
        account.has_gone_on = true;
        if !is_next {
            account.goes_until(account.begins(self.virtual_time));
        }
        self.working = Some((place, now));
        Some(if is_short && self.is_behind() { likely.min(SHARE_TIME) } else { SHARE_TIME })
    }

    /// Whether this turn has taken so much time, of the time that has passed since it began. The
    /// processor's clock is read only if that matters.
    fn has_taken(&mut self, time: Duration, passed: Duration, cpu: impl FnOnce() -> Duration) -> bool {
        if passed.saturating_sub(self.set_aside) < time {
            return false;
        }
        let Some(before) = self.cpu_before else { return true };
        if self.used < time {
            self.used = cpu().saturating_sub(before);
            self.set_aside = passed.saturating_sub(self.used);
        }
        self.used >= time
    }

    /// Whether a connection should let others go first, when there is not time for all.
    fn is_ahead(&self, place: u32) -> bool {
        let account = &self.accounts[place as usize];
        account.is_waiting() || !account.is_short()
    }

    /// Notes that the end of this turn writes messages of so many bytes: of the connection that
    /// works, or of nobody's.
    pub(crate) fn owe(&mut self, bytes: usize) {
        self.owed.note(bytes);
    }

    /// Whether the end of this turn has enough to write, so that the working connection has to
    /// stop.
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

    /// Time at which this turn looked at its first connection, if the turn is one of those whose
    /// deliveries are measured: they are spread evenly and in no step with what clients do by
    /// turns.
    pub(crate) fn measured_since(&self) -> Option<Duration> {
        const GOLDEN: u32 = 0x9E37_79B1;
        let is_measured = low(self.turn).wrapping_mul(GOLDEN) < u32::MAX / TURNS_PER_MEASURED;
        self.began.filter(|_| is_measured)
    }

    /// Notes that the turn begins to write; returns the processor time, if somebody is to pay for
    /// it.
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
        // Writing in the midst of a connection's work is not charged to it alone.
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

    /// Notes that the last connection had done its work by then, and others had worked behind it.
    /// So it is known of short work that it is, and of other work nothing.
    fn worked_until(&mut self, then: Duration) {
        if let Some((place, began)) = self.working.take() {
            let at_most = then.saturating_sub(began);
            if at_most <= self.accounts[place as usize].took() {
                self.charge(place, at_most);
            }
        }
        self.cpu = None;
    }

    /// Notes that something else than a connection begins to work, such as accepting. It counts in
    /// this turn.
    pub fn begin_other_work(&mut self, clock: &dyn Clock) {
        self.others_work();
        self.began.get_or_insert_with(|| clock.elapsed());
    }

    /// Notes that the work of a connection has ended.
    pub fn others_work(&mut self) {
        (self.working, self.cpu) = (None, None);
    }

    /// Takes a share of time for a connection's work at the end of a turn. Without any it waits,
    /// and its owner is called when it has some.
    pub fn take(&mut self, place: u32, clock: &dyn Clock) -> Option<Share> {
        let is_granted = self.accounts[place as usize].is_granted(self.turn);
        if self.spent >= LONG_WORK_TIME_MAX || (!is_granted && self.is_ahead(place) && self.is_behind()) {
            self.wait_since(place, is_granted);
            return None;
        }
        if !is_granted {
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
        let is_next = self.accounts[place as usize].is_next(self.turn);
        self.wait_since(place, is_next);
    }

    /// The same. `goes_on`: it was called in vain, and so waits since the time from which on it did
    /// before.
    fn wait_since(&mut self, place: u32, goes_on: bool) {
        let account = &mut self.accounts[place as usize];
        if account.is_waiting() {
            return;
        }
        account.wait = Wait::Fresh;
        if !goes_on {
            account.since = low(self.turn);
        }
        self.waiting.push(place);
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

    /// Ends a turn, at this time of the coarse clock: puts the places of connections that may go on
    /// in the next one into `next`. With a waker, nobody is admitted until the runtime has looked
    /// at the sockets and has woken it.
    pub fn turn_ended(&mut self, now: Duration, clock: &dyn Clock, next: &mut Vec<u32>) -> Option<Waker> {
        if self.working.is_some_and(|(place, _)| self.accounts[place as usize].took() > WELL_KNOWN) {
            self.worked_until(clock.elapsed());
        }
        self.others_work();
        self.calls_next(next);
        let are_waiting = !next.is_empty() || self.is_behind();
        self.cpu_before = are_waiting.then(|| clock.thread_cpu());
        self.events.turn_ended(now)
    }

    fn calls_next(&mut self, next: &mut Vec<u32>) {
        self.turn += 1;
        (self.began, self.spent) = (None, Duration::ZERO);
        (self.used, self.set_aside) = (Duration::ZERO, Duration::ZERO);
        self.stand_in_line();
        let waiting = u32::try_from(self.short.len() + self.long.len()).unwrap_or(u32::MAX);
        if waiting == 0 {
            // No connection waits any more.
            self.virtual_time = self.virtual_time.max(self.latest);
            return;
        }
        // Short ones first. They cannot keep the others from going on, whatever they take in truth:
        // those have the rest of the turn.
        let for_long = if self.short.is_empty() { READS_TIME_MAX } else { READS_TIME_MAX / 2 };
        let passed = self.virtual_time;
        let mut expected = Duration::ZERO;
        for (is_short, time) in [(true, READS_TIME_MAX), (false, for_long)] {
            let mut of_line = Duration::ZERO;
            while of_line < time
                && let Some(place) = self.take_next(is_short, of_line < time / 2)
            {
                of_line += self.call(place);
                next.push(place);
            }
            expected += of_line;
        }
        // As if all had worked at once. Else it would stand still while new connections come, which
        // begin at this time.
        self.virtual_time = self.virtual_time.max(passed + expected / waiting);
    }

    /// Puts those that wait since the last turn into their lines.
    fn stand_in_line(&mut self) {
        for place in self.waiting.drain(..) {
            let account = &self.accounts[place as usize];
            self.waits += 1;
            let since = self.turn - u64::from(low(self.turn).wrapping_sub(account.since));
            let done_by = account.done_by(self.virtual_time);
            let line = if account.is_short() { &mut self.short } else { &mut self.long };
            line.push(WaitEntry { done_by, number: self.waits, since, place }, &mut self.accounts);
        }
    }

    /// Takes the next connection of a line: one that has been passed over for too long, or the one
    /// that comes first in fair order.
    fn take_next(&mut self, is_short: bool, may_be_old: bool) -> Option<u32> {
        let Self { short, long, accounts, turn, virtual_time, .. } = self;
        let line = if is_short { short } else { long };
        let oldest = may_be_old.then(|| {
            let since_max = turn.checked_sub(PASSED_OVER_TURNS_MAX.into())?;
            line.take_oldest(since_max, accounts)
        });
        if let Some(place) = oldest.flatten() {
            let account = &mut accounts[place as usize];
            account.goes_until(account.begins(*virtual_time));
            return Some(place);
        }
        let (place, done_by) = line.take_next(accounts)?;
        let account = &mut accounts[place as usize];
        account.goes_until(done_by.saturating_sub(account.took()));
        *virtual_time = account.until().max(*virtual_time);
        Some(place)
    }

    /// Lets a connection go on in this turn; returns the time that it is expected to take.
    fn call(&mut self, place: u32) -> Duration {
        let account = &mut self.accounts[place as usize];
        if account.is_handshaking {
            // It may have begun to wait before it was known what others take.
            account.expect(account.took().max(self.handshake));
        }
        (account.has_gone_on, account.granted) = (false, low(self.turn));
        account.took().max(SHARE_COST_MIN)
    }

    /// Ends the time of the connection that was looked at last. The thread may have been kept from
    /// running meanwhile: what is much more than it took before counts in part.
    fn settle(&mut self, now: Duration) {
        let Some((place, began)) = self.working.take() else { return };
        let account = self.accounts[place as usize];
        let passed = now.saturating_sub(began);
        let likely = 2 * account.took() + SURPRISE_MAX;
        self.charge(place, passed.min(likely));
        if passed > likely && account.is_short() {
            // The thread may have been set aside. Work counts as long once its processor time is
            // known.
            let account = &mut self.accounts[place as usize];
            account.expect(account.took().min(SHORT_TIME));
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
mod starvation_tests;
#[cfg(test)]
mod tests;
