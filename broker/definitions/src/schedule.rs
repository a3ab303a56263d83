//! The timers of all definitions of a tenant. LoT reference §7.3 and §7.4.
//!
//! Intervals run on the monotonic clock, calendars on the wall clock. The caller sleeps for
//! [`Schedule::next_timeout`], then takes the timers that are [due](Schedule::due). Invariants: a
//! fixed-rate timer keeps to multiples of its interval from the arming instant. However late the
//! caller comes, each timer is due at most once per call, and missed times are skipped. A calendar
//! run that is later than [`CALENDAR_LATE_MAX`] is skipped too, but not one behind it that is in
//! time. Not here: the runs, and whether the run before has ended.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use lot_facts::{CalendarDays, Interval, TimeOfDay, Trigger};

use crate::calendar;
use crate::definition::DefinitionId;
use crate::limits::{CALENDAR_CHECK, CALENDAR_LATE_MAX, CLOCK_STEP_MIN, INTERVAL_MIN};
use crate::now::Now;

/// All timers of one tenant.
#[derive(Debug)]
pub(crate) struct Schedule {
    zone: TimeZone,
    timers: HashMap<DefinitionId, Timer>,
    by_elapsed: BTreeSet<(Duration, DefinitionId)>,
    by_wall: BTreeSet<(Timestamp, DefinitionId)>,
    /// The latest reading of both clocks; the wall clock was set when it did not go on as the other
    /// did.
    last: Option<Now>,
}

#[derive(Debug)]
enum Timer {
    Every { armed: Duration, interval: Duration, next: Duration },
    Calendar { rule: CalendarRule, next: Timestamp, last_due: Option<Timestamp> },
}

#[derive(Debug)]
enum CalendarRule {
    On { days: CalendarDays, at: Vec<TimeOfDay> },
    Months { armed: Zoned, months: u32 },
    Once,
}

/// Result of [`Schedule::arm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arming {
    /// The trigger is no timer.
    NotATimer,
    /// The timer runs.
    Armed,
    /// The instant is past, or never comes: the definition never runs.
    Never,
}

impl Schedule {
    /// No timers. `zone` is the local time of the broker.
    pub(crate) fn new(zone: TimeZone) -> Schedule {
        Schedule {
            zone,
            timers: HashMap::new(),
            by_elapsed: BTreeSet::new(),
            by_wall: BTreeSet::new(),
            last: None,
        }
    }

    /// The local time of the broker.
    pub(crate) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Arms the timer of a definition, in place of one it may have.
    pub(crate) fn arm(&mut self, id: DefinitionId, trigger: &Trigger, now: Now) -> Arming {
        self.disarm(id);
        self.observe(now);
        let rule = match trigger {
            Trigger::Every { interval: Interval::Milliseconds(ms) } => return self.arm_every(id, *ms, now),
            Trigger::Every { interval: Interval::Months(months) } => {
                CalendarRule::Months { armed: now.wall.to_zoned(self.zone.clone()), months: *months }
            }
            Trigger::Calendar { days, at } => CalendarRule::On { days: days.clone(), at: at.clone() },
            Trigger::Once(at) => {
                let next = calendar::once(*at, &self.zone).filter(|next| *next > now.wall);
                return self.arm_calendar(id, CalendarRule::Once, next);
            }
            Trigger::Topic { .. }
            | Trigger::Change { .. }
            | Trigger::Silence { .. }
            | Trigger::Window { .. }
            | Trigger::Start
            | Trigger::Connect
            | Trigger::Disconnect
            | Trigger::Subscribe { .. } => return Arming::NotATimer,
        };
        let next = rule.next(now.wall, &self.zone);
        self.arm_calendar(id, rule, next)
    }

    /// Forgets the timer of a definition, if it has one.
    pub(crate) fn disarm(&mut self, id: DefinitionId) {
        match self.timers.remove(&id) {
            Some(Timer::Every { next, .. }) => self.by_elapsed.remove(&(next, id)),
            Some(Timer::Calendar { next, .. }) => self.by_wall.remove(&(next, id)),
            None => false,
        };
    }

    /// Returns how long the caller may sleep before the next timer is due; `None` without a timer.
    ///
    /// Never longer than [`CALENDAR_CHECK`] while a calendar timer is armed.
    pub(crate) fn next_timeout(&self, now: Now) -> Option<Duration> {
        let elapsed = self.by_elapsed.first().map(|(next, _)| next.saturating_sub(now.elapsed));
        let wall = self.by_wall.first().map(|(next, _)| until(*next, now.wall).min(CALENDAR_CHECK));
        match (elapsed, wall) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }
    }

    /// Says which definitions are to run now, each at most once, intervals before calendars, each
    /// in order of time.
    pub(crate) fn due(&mut self, now: Now, mut run: impl FnMut(DefinitionId)) {
        self.observe(now);
        while let Some((next, id)) = self.by_elapsed.first().copied().filter(|(next, _)| *next <= now.elapsed)
        {
            self.by_elapsed.remove(&(next, id));
            self.advance_every(id, now.elapsed);
            run(id);
        }
        while let Some((next, id)) = self.by_wall.first().copied().filter(|(next, _)| *next <= now.wall) {
            self.by_wall.remove(&(next, id));
            let in_time = self.last_in_time(id, next, now.wall);
            self.advance_calendar(id, now.wall, in_time);
            if in_time.is_some() {
                run(id);
            }
        }
    }

    /// The instant for which a calendar timer still runs: the one that was due, or, when that is
    /// too late, one after it that is not.
    fn last_in_time(&self, id: DefinitionId, due: Timestamp, wall: Timestamp) -> Option<Timestamp> {
        let late_max = signed(CALENDAR_LATE_MAX);
        if wall.duration_since(due) <= late_max {
            return Some(due);
        }
        let Some(Timer::Calendar { rule, .. }) = self.timers.get(&id) else { return None };
        let earliest = wall.checked_sub(late_max).ok()?;
        rule.next(earliest, &self.zone).filter(|next| *next <= wall)
    }

    fn arm_every(&mut self, id: DefinitionId, milliseconds: u64, now: Now) -> Arming {
        let interval = Duration::from_millis(milliseconds).max(INTERVAL_MIN);
        let Some(next) = now.elapsed.checked_add(interval) else { return Arming::Never };
        self.timers.insert(id, Timer::Every { armed: now.elapsed, interval, next });
        self.by_elapsed.insert((next, id));
        Arming::Armed
    }

    fn arm_calendar(&mut self, id: DefinitionId, rule: CalendarRule, next: Option<Timestamp>) -> Arming {
        let Some(next) = next else { return Arming::Never };
        self.timers.insert(id, Timer::Calendar { rule, next, last_due: None });
        self.by_wall.insert((next, id));
        Arming::Armed
    }

    /// Sets a fixed-rate timer to the first multiple of its interval after now.
    fn advance_every(&mut self, id: DefinitionId, elapsed: Duration) {
        let Some(Timer::Every { armed, interval, next }) = self.timers.get_mut(&id) else { return };
        let passed = elapsed.saturating_sub(*armed).as_nanos() / interval.as_nanos();
        let count = passed.saturating_add(1);
        match multiple(*interval, count).and_then(|span| armed.checked_add(span)) {
            Some(later) => {
                *next = later;
                self.by_elapsed.insert((later, id));
            }
            None => drop(self.timers.remove(&id)),
        }
    }

    /// Sets a calendar timer to its first instant after now, or forgets it when there is none.
    fn advance_calendar(&mut self, id: DefinitionId, wall: Timestamp, was_due: Option<Timestamp>) {
        let Some(Timer::Calendar { rule, next, last_due }) = self.timers.get_mut(&id) else { return };
        *last_due = was_due.or(*last_due);
        match rule.next(wall, &self.zone) {
            Some(later) => {
                *next = later;
                self.by_wall.insert((later, id));
            }
            None => drop(self.timers.remove(&id)),
        }
    }

    /// Detects a wall clock that was set back. Compares with the time that the new clock would have
    /// read at the last call. So no instant between both calls is lost.
    fn observe(&mut self, now: Now) {
        let Some(last) = self.last.replace(now) else { return };
        let passed = signed(now.elapsed.saturating_sub(last.elapsed));
        let would_have_read = now.wall.checked_sub(passed).unwrap_or(Timestamp::MIN);
        if last.wall.duration_since(would_have_read) > signed(CLOCK_STEP_MIN) {
            self.clock_set_back(would_have_read);
        }
    }

    /// Finds the instants of all calendar timers anew; none comes twice because the clock passes it
    /// a second time within a day.
    fn clock_set_back(&mut self, wall: Timestamp) {
        let armed: Vec<DefinitionId> = self.by_wall.iter().map(|(_, id)| *id).collect();
        self.by_wall.clear();
        for id in armed {
            let Some(Timer::Calendar { rule, next, last_due }) = self.timers.get_mut(&id) else { continue };
            let after = match last_due {
                Some(due) if due.duration_since(wall) <= SignedDuration::from_hours(24) => wall.max(*due),
                _ => wall,
            };
            // An instant that never came stays: `Once` has no other.
            *next = rule.next(after, &self.zone).unwrap_or(*next);
            self.by_wall.insert((*next, id));
        }
    }
}

impl CalendarRule {
    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            CalendarRule::On { days, at } => calendar::next_on(days, at, after, zone),
            CalendarRule::Months { armed, months } => calendar::next_months(armed, *months, after),
            CalendarRule::Once => None,
        }
    }
}

/// `interval × count`; `None` beyond 584 years.
fn multiple(interval: Duration, count: u128) -> Option<Duration> {
    let nanoseconds = interval.as_nanos().checked_mul(count)?;
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}

fn until(next: Timestamp, wall: Timestamp) -> Duration {
    Duration::try_from(next.duration_since(wall)).unwrap_or(Duration::ZERO)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests;
