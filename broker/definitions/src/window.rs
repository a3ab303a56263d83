//! `ON WINDOW OF …`: figures of the numbers that came on each topic of an Action, and the ends of
//! its windows.
//!
//! One [`WindowWatch`] for each armed Action. Threads that route messages
//! [hand it](WindowWatch::take) each message. A window of messages closes with one of them. A
//! window of time closes when the timer thread asks for those that are
//! [due](WindowWatch::close_due). A window is a row of steps, [`Pane`]s, without the empty ones.
//! All windows of time of an Action close together, by the wall clock: at multiples of the step
//! from a Monday on, from midnight, or from the time of day behind `FROM`. The monotonic clock
//! measures from one end to the next. So a clock change makes one window at most half as long or
//! half as long again.
//!
//! The contents of windows are kept as rows below `$LOT/Window/` among the last values. An Action
//! that is armed with the same trigger loads them again. Invariants: never more topics than the
//! bound, nor more panes for one of them than it has steps. Not here: permissions on the topic, and
//! the run.

mod pane;
mod sample;
mod stored;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use lot_facts::{Trigger, WindowExtent};
use lotmq_shares::{AccountShares, HeldShare};
use parking_lot::Mutex;

use crate::calendar;
use crate::definition::{Definition, DefinitionId};
use crate::last_values::{LastValues, ValueKeeper};
use crate::limits::{
    WATCHED_TOPIC_BYTES_MAX, WINDOW_PANE_BYTES, WINDOW_PANES_MAX, WINDOW_SAVE_BYTES, WINDOW_SAVE_PERIOD,
    WINDOW_TOPIC_BYTES, WINDOW_TOPICS_MAX, WINDOWS_WAITING_MAX,
};
use crate::now::Now;
use pane::Pane;
use stored::{WindowClock, WindowRows};

/// Time of a watch that has nothing to do.
const NEVER: u64 = u64::MAX;

/// Milliseconds from a Monday, midnight, to the beginning of 1970, a Thursday.
const MONDAY_TO_1970_MS: i64 = 3 * 86_400_000;

/// A wall clock that is off by less was not set: timers are late, and the two clocks do not change
/// their millisecond together.
const CLOCK_SET_MS: u64 = 1_000;

/// Longest clock change, added to the length of a step.
const CLOCK_CHANGE_MS: u64 = 2 * 3_600_000;

/// Ends to look at for one that is ahead when clocks change.
const ENDS_LOOKED_AT: i64 = 4;

/// Steps that have passed unseen whose ends are looked at one by one, as clocks may change among
/// them.
const STEPS_COUNTED_MAX: i64 = 1_000;

/// Steps to go back behind the beginning of a window, so that ends are found as they were.
const STEPS_BEFORE_CHANGE: i64 = 3;

/// The watches of all armed Actions of a tenant.
pub(crate) struct Windows {
    zone: TimeZone,
    /// Room of all that is watched.
    room: Arc<AccountShares>,
    watches: BTreeMap<DefinitionId, Arc<WindowWatch>>,
}

/// Windows of one Action.
pub struct WindowWatch {
    /// The Action.
    pub definition: Arc<Definition>,
    extent: WindowExtent,
    path: Option<Vec<sample::PathKey>>,
    topics_max: usize,
    zone: TimeZone,
    values: Arc<LastValues>,
    rows: WindowRows,
    table: Mutex<WindowTable>,
    /// When there is something to do, to be read without the lock.
    next_ms: AtomicU64,
    /// Messages on topics for which there was no room, since the last question.
    refused: AtomicU64,
}

struct WindowTable {
    /// Part that the topics take of the room of the tenant.
    room: HeldShare,
    topics: BTreeMap<Arc<str>, TopicWindow>,
    /// Number of the step that is open, of a window of time.
    pane: u64,
    /// When it closes.
    end_ms: u64,
    /// When that is on the wall clock, in milliseconds since 1970, unless it is set.
    end_wall_ms: i64,
    /// When the open step began, on the wall clock.
    began_ms: i64,
    /// When the first step of all began.
    since_ms: i64,
    /// How long the end of the open step has been over, when the broker began.
    overdue_ms: i64,
    /// Windows that have closed and were not told.
    closed: VecDeque<ClosedWindow>,
    /// Closed windows that gave way to newer ones, since the last question.
    lost: u64,
    /// When a run that was not taken is tried again.
    again_ms: u64,
    /// Topics whose row is not up to date, those first that have not been for longest: each once,
    /// and none that has no window.
    changed: BTreeMap<u64, Arc<str>>,
    next_change: u64,
    is_clock_changed: bool,
    /// Rows for which there was no room, since the last question.
    unkept: u64,
    saved_ms: u64,
    seen: Now,
}

/// A window that has closed.
#[derive(Debug, Clone, PartialEq)]
pub struct ClosedWindow {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its figures, a JSON object.
    pub figures: Vec<u8>,
}

/// Effect of a message on a window.
#[derive(Debug, PartialEq)]
pub enum Sampled {
    /// It counts.
    Counted,
    /// It has no number, or not where the trigger looks for one.
    Bad,
    /// There are too many topics, or this one is too long.
    Refused,
    /// It counts, and a window of messages has closed; these are its figures.
    Closed(Vec<u8>),
}

/// Losses since the last question.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct WindowTrouble {
    /// Messages on topics for which there was no room, or that are too long.
    pub refused: u64,
    /// Closed windows that could not be told in time.
    pub lost: u64,
    /// Windows that would not survive a restart because the kept values are full, or those of their
    /// owner.
    pub unkept: u64,
}

/// A step of time that is open, on the wall clock.
struct OpenStep {
    /// How many steps later than another one it is.
    passed: u64,
    began_ms: i64,
    end_ms: i64,
}

/// Steps of one topic.
#[derive(Debug, Default, Clone, PartialEq)]
struct TopicWindow {
    panes: VecDeque<Pane>,
    /// Its place among those whose row is not up to date, if it is one of them.
    change: Option<u64>,
}

impl Windows {
    /// No watches. `zone` is the local time of the broker.
    pub(crate) fn new(zone: TimeZone, room: &Arc<AccountShares>) -> Windows {
        Windows { zone, room: Arc::clone(room), watches: BTreeMap::new() }
    }

    /// Watches for the definition if its trigger is a window.
    pub(crate) fn arm(&mut self, definition: &Arc<Definition>, now: Now, values: &Arc<LastValues>) {
        let Some(trigger @ Trigger::Window { path, extent, .. }) = definition.trigger() else { return };
        let watch = WindowWatch {
            definition: Arc::clone(definition),
            extent: *extent,
            path: path.as_deref().map(sample::steps),
            topics_max: topics_max(*extent),
            zone: self.zone.clone(),
            values: Arc::clone(values),
            rows: WindowRows::new(definition.name(), trigger),
            table: Mutex::new(WindowTable::new(now, self.room.hold_nothing(definition.quota_key()))),
            next_ms: AtomicU64::new(NEVER),
            refused: AtomicU64::new(0),
        };
        watch.load(now);
        self.watches.insert(definition.id, Arc::new(watch));
    }

    /// Ends the windows of a definition, if it has any. Their contents stay among the kept values.
    pub(crate) fn disarm(&mut self, id: DefinitionId) {
        if let Some(watch) = self.watches.remove(&id) {
            watch.save_all();
        }
    }

    /// Forgets the windows of a definition that is not armed.
    pub(crate) fn forget(&self, definition: &Definition, values: &LastValues) {
        if let Some(trigger @ Trigger::Window { .. }) = definition.trigger() {
            WindowRows::new(definition.name(), trigger).forget_all(values);
        }
    }

    /// The windows of a definition.
    pub(crate) fn get(&self, id: DefinitionId) -> Option<&Arc<WindowWatch>> {
        self.watches.get(&id)
    }

    /// All of them, in the order of deployment.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<WindowWatch>> {
        self.watches.values()
    }

    /// How long until some window closes; `None` while there is none of time.
    pub(crate) fn next_timeout(&self, now: Duration) -> Option<Duration> {
        self.all().filter_map(|watch| watch.next_timeout(now)).min()
    }
}

/// How many topics an Action with such windows may have.
fn topics_max(extent: WindowExtent) -> usize {
    let steps = usize::try_from(extent.steps()).unwrap_or(usize::MAX);
    (WINDOW_PANES_MAX / steps).clamp(1, WINDOW_TOPICS_MAX)
}

impl WindowTable {
    fn new(now: Now, room: HeldShare) -> WindowTable {
        WindowTable {
            room,
            topics: BTreeMap::new(),
            pane: 1,
            end_ms: NEVER,
            end_wall_ms: 0,
            began_ms: now.wall.as_millisecond(),
            since_ms: now.wall.as_millisecond(),
            overdue_ms: 0,
            closed: VecDeque::new(),
            lost: 0,
            again_ms: 0,
            changed: BTreeMap::new(),
            next_change: 0,
            is_clock_changed: false,
            unkept: 0,
            saved_ms: milliseconds(now.elapsed),
            seen: now,
        }
    }

    fn note_changed(&mut self, topic: &Arc<str>) {
        if let Some(window) = self.topics.get_mut(topic)
            && window.change.is_none()
        {
            window.change = Some(self.next_change);
            self.changed.insert(self.next_change, Arc::clone(topic));
            self.next_change += 1;
        }
    }

    /// Removes the window of a topic.
    fn remove(&mut self, topic: &str) {
        let removed = self.topics.remove(topic);
        if let Some(change) = removed.and_then(|window| window.change) {
            self.changed.remove(&change);
        }
    }

    /// How long the end of the open step, which is over, has been over.
    fn late_ms(&self, now_ms: u64) -> i64 {
        signed(now_ms.saturating_sub(self.end_ms)).saturating_add(self.overdue_ms)
    }

    /// When the open step, which is over, has ended on the wall clock: as planned, unless that
    /// clock was set.
    fn ended_ms(&self, now: Now) -> i64 {
        let ended = now.wall.as_millisecond().saturating_sub(self.late_ms(milliseconds(now.elapsed)));
        if ended.abs_diff(self.end_wall_ms) < CLOCK_SET_MS { self.end_wall_ms } else { ended }
    }

    /// When the table was seen last, so long before its end, on the wall clock: reckoned from the
    /// end as planned, unless that clock was set.
    fn seen_before_end_ms(&self, rest_ms: u64) -> i64 {
        let rest_ms = i64::try_from(rest_ms).unwrap_or(i64::MAX);
        let (seen, planned) = (self.seen.wall.as_millisecond(), self.end_wall_ms.saturating_sub(rest_ms));
        if seen.abs_diff(planned) < CLOCK_SET_MS { planned } else { seen }
    }

    /// Notes a window that has closed; the oldest one gives way when too many wait.
    fn close(&mut self, topic: Arc<str>, figures: Vec<u8>) {
        if self.closed.len() >= WINDOWS_WAITING_MAX {
            self.closed.pop_front();
            self.lost += 1;
        }
        self.closed.push_back(ClosedWindow { topic, figures });
    }
}

impl WindowWatch {
    /// Returns the bytes of room that a topic takes, with all of its steps.
    fn room_of(&self, topic: &str) -> u64 {
        let steps = self.extent.steps().saturating_mul(WINDOW_PANE_BYTES);
        steps.saturating_add(WINDOW_TOPIC_BYTES + topic.len() as u64)
    }

    /// How many topics it may have.
    pub fn topics_max(&self) -> usize {
        self.topics_max
    }

    /// Counts the number of a message that came at this time, in milliseconds since 1970. Once for
    /// each message, in their order.
    pub fn take(&self, topic: &str, payload: &[u8], at_ms: u64) -> Sampled {
        let at_ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
        let number = sample::number(payload, self.path.as_deref());
        let mut table = self.table.lock();
        let table = &mut *table;
        let topic = match table.topics.get_key_value(topic) {
            Some((topic, _)) => Arc::clone(topic),
            None if table.topics.len() >= self.topics_max
                || topic.len() > WATCHED_TOPIC_BYTES_MAX
                || table.room.grow(self.room_of(topic)).is_err() =>
            {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return Sampled::Refused;
            }
            None => topic.into(),
        };
        let window = table.topics.entry(Arc::clone(&topic)).or_default();
        let pane = match self.extent {
            WindowExtent::Time { .. } => window.pane(table.pane),
            WindowExtent::Messages { every, .. } => window.open_pane(every, at_ms),
        };
        let taken = match number {
            None => {
                pane.bad += 1;
                Sampled::Bad
            }
            Some(number) => {
                pane.add(number);
                match self.extent {
                    WindowExtent::Messages { every, .. } if pane.count >= every => {
                        Sampled::Closed(window.closed_by_messages(self.extent.steps(), at_ms, &self.zone))
                    }
                    WindowExtent::Messages { .. } | WindowExtent::Time { .. } => Sampled::Counted,
                }
            }
        };
        if table.topics.get(&topic).is_some_and(|window| window.panes.is_empty()) {
            table.remove(&topic);
            table.room.shrink(self.room_of(&topic));
            self.rows.forget(&self.values, &topic);
        }
        table.note_changed(&topic);
        taken
    }

    /// How long until [`close_due`](Self::close_due) has something to do.
    pub(crate) fn next_timeout(&self, now: Duration) -> Option<Duration> {
        let next = self.next_ms.load(Ordering::Acquire);
        (next != NEVER).then(|| Duration::from_millis(next).saturating_sub(now))
    }

    /// Closes the windows of time whose end has come. Returns how many there were.
    pub fn close_due(&self, now: Now) -> usize {
        let now_ms = milliseconds(now.elapsed);
        let mut table = self.table.lock();
        let table = &mut *table;
        table.seen = now;
        let WindowExtent::Time { every_ms, .. } = self.extent else { return 0 };
        if table.end_ms > now_ms {
            return 0;
        }
        let count = table.topics.len();
        let (steps, pane) = (self.extent.steps(), table.pane);
        let ended_ms = table.ended_ms(now);
        let began_ms =
            if steps == 1 { table.began_ms } else { self.start_before(ended_ms).max(table.since_ms) };
        // Behind the end, it was on a clock that has been set back since.
        let start_ms = if began_ms <= ended_ms { began_ms } else { self.start_before(ended_ms) };
        let ends = (start_ms, ended_ms);
        let told: Vec<(Arc<str>, Vec<u8>)> = table
            .topics
            .iter()
            .filter_map(|(topic, window)| {
                Some((Arc::clone(topic), window.figures(pane, steps)?.to_json(ends, &self.zone)))
            })
            .collect();
        told.into_iter().for_each(|(topic, figures)| table.close(topic, figures));
        let late_ms = table.late_ms(now_ms);
        let open = self.open_after(signed(every_ms).max(1), ended_ms, late_ms);
        table.pane = pane.saturating_add(open.passed);
        table.began_ms = open.began_ms;
        table.overdue_ms = 0;
        let first = table.pane.saturating_sub(steps - 1);
        let mut left = 0;
        let WindowTable { topics, changed, .. } = &mut *table;
        topics.retain(|topic, window| {
            window.panes.retain(|pane| pane.number >= first);
            let is_over = window.panes.is_empty();
            if is_over {
                window.change.and_then(|change| changed.remove(&change));
                self.rows.forget(&self.values, topic);
                left += self.room_of(topic);
            }
            !is_over
        });
        table.room.shrink(left);
        (table.end_ms, table.end_wall_ms) = on_both_clocks(now, open.end_ms);
        table.is_clock_changed = true;
        self.note_next(table);
        count
    }

    /// Takes the window that has waited for longest to be told.
    pub fn next_closed(&self, now: Now) -> Option<ClosedWindow> {
        let mut table = self.table.lock();
        if table.again_ms > milliseconds(now.elapsed) {
            return None;
        }
        let closed = table.closed.pop_front();
        self.note_next(&table);
        closed
    }

    /// Puts a window back to be told at this time.
    pub fn tell_again_at(&self, closed: ClosedWindow, at: Duration) {
        let mut table = self.table.lock();
        table.closed.push_front(closed);
        table.again_ms = milliseconds(at);
        self.note_next(&table);
    }

    /// Takes the losses since the last call.
    pub fn take_trouble(&self) -> WindowTrouble {
        let mut table = self.table.lock();
        WindowTrouble {
            refused: self.refused.swap(0, Ordering::Relaxed),
            lost: std::mem::take(&mut table.lost),
            unkept: std::mem::take(&mut table.unkept),
        }
    }

    /// Saves a part of the changes, at most once in [`WINDOW_SAVE_PERIOD`]. Returns the number of
    /// rows.
    pub fn save_some(&self, now: Now) -> usize {
        let now_ms = milliseconds(now.elapsed);
        let mut table = self.table.lock();
        table.seen = now;
        if now_ms.saturating_sub(table.saved_ms) < milliseconds(WINDOW_SAVE_PERIOD) {
            return 0;
        }
        table.saved_ms = now_ms;
        self.save(&mut table, WINDOW_SAVE_BYTES)
    }

    /// Keeps all that has changed.
    pub fn save_all(&self) {
        self.save(&mut self.table.lock(), usize::MAX);
    }

    fn save(&self, table: &mut WindowTable, bytes_max: usize) -> usize {
        let values = (&*self.values, ValueKeeper::of(&self.definition));
        let is_changed = table.is_clock_changed || !table.changed.is_empty();
        if is_changed && table.end_ms != NEVER {
            table.is_clock_changed = false;
            let rest_ms = table.end_ms.saturating_sub(milliseconds(table.seen.elapsed));
            let clockwork = WindowClock {
                pane: table.pane,
                rest_ms,
                at_ms: table.seen_before_end_ms(rest_ms),
                began_ms: table.began_ms,
                since_ms: table.since_ms,
            };
            table.unkept += u64::from(!self.rows.keep_clock(values, &clockwork));
        }
        let (mut bytes, mut rows) = (0, 0);
        while bytes < bytes_max
            && let Some((_, topic)) = table.changed.pop_first()
        {
            rows += 1;
            let Some(window) = table.topics.get_mut(&topic) else { continue };
            window.change = None;
            match self.rows.keep(values, &topic, &window.panes) {
                Some(kept) => bytes += kept,
                None => table.unkept += 1,
            }
        }
        rows
    }

    /// Goes on where the rows among the kept values say.
    fn load(&self, now: Now) {
        let steps = usize::try_from(self.extent.steps()).unwrap_or(usize::MAX);
        let (clockwork, mut windows) = self.rows.load(&self.values, steps);
        windows.truncate(self.topics_max);
        let mut table = self.table.lock();
        if let WindowExtent::Time { every_ms, .. } = self.extent {
            match clockwork {
                None => {
                    windows.clear();
                    let end_ms = self.next_end(signed(every_ms), now.wall.as_millisecond(), 0);
                    (table.end_ms, table.end_wall_ms) = on_both_clocks(now, end_ms);
                }
                Some(clockwork) => {
                    let now_ms = milliseconds(now.elapsed);
                    let away = now.wall.as_millisecond().saturating_sub(clockwork.at_ms);
                    let away = u64::try_from(away).unwrap_or(0);
                    let longest = every_ms.saturating_mul(2).saturating_add(CLOCK_CHANGE_MS);
                    let rest = clockwork.rest_ms.min(longest);
                    table.pane = clockwork.pane;
                    table.end_ms = now_ms.saturating_add(rest.saturating_sub(away));
                    let overdue = away.saturating_sub(rest);
                    table.overdue_ms = i64::try_from(overdue).unwrap_or(i64::MAX);
                    let rest = i64::try_from(rest).unwrap_or(i64::MAX);
                    table.end_wall_ms = clockwork.at_ms.saturating_add(rest);
                    (table.began_ms, table.since_ms) = (clockwork.began_ms, clockwork.since_ms);
                }
            }
        }
        for (topic, panes) in windows {
            if table.room.grow(self.room_of(&topic)).is_ok() {
                table.topics.insert(topic.into(), TopicWindow { panes, change: None });
            } else {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.note_next(&table);
    }

    /// The step that is open so long after the end of another one. Ends stay where they are however
    /// late it is looked: where one comes is reckoned from the one before.
    fn open_after(&self, every: i64, ended_ms: i64, late_ms: i64) -> OpenStep {
        let now_ms = ended_ms.saturating_add(late_ms);
        let mut open = OpenStep { passed: 1, began_ms: ended_ms, end_ms: ended_ms };
        if late_ms / every > STEPS_COUNTED_MAX {
            open.passed += late_ms.cast_unsigned() / every.cast_unsigned();
            open.began_ms = now_ms.saturating_sub(self.past_end_ms(now_ms));
        }
        loop {
            open.end_ms = self.next_end(every, open.began_ms, every / 2);
            if open.end_ms > now_ms {
                return open;
            }
            (open.passed, open.began_ms) = (open.passed + 1, open.end_ms);
        }
    }

    /// The next end of a step behind this instant that is not nearer than this, on the wall clock.
    fn next_end(&self, every: i64, from_ms: i64, nearest: i64) -> i64 {
        let rest = every - self.past_end_ms(from_ms);
        let rest = if rest < nearest { rest.saturating_add(every) } else { rest };
        // Clocks that change bring ends nearer, down to the same instant, or leave them behind.
        let end = |steps: i64| {
            calendar::on_the_wall(&self.zone, from_ms, rest + steps.saturating_mul(every), every)
        };
        let is_ahead = |end: &i64| end.saturating_sub(from_ms) > nearest / 2;
        (0..ENDS_LOOKED_AT).map(end).find(is_ahead).unwrap_or(from_ms.saturating_add(rest))
    }

    /// How far the clock on the wall is, at this instant, past the last end of a step.
    fn past_end_ms(&self, at_ms: i64) -> i64 {
        let WindowExtent::Time { every_ms, from_ms, .. } = self.extent else { return 0 };
        let (every, from) =
            (i64::try_from(every_ms).unwrap_or(i64::MAX), i64::try_from(from_ms).unwrap_or(0));
        let local_ms = at_ms.saturating_add(calendar::offset_ms(&self.zone, at_ms));
        local_ms.saturating_add(MONDAY_TO_1970_MS - from).rem_euclid(every.max(1))
    }

    /// When a window of several steps began, whose own ends are not remembered, on the wall clock.
    fn start_before(&self, ended_ms: i64) -> i64 {
        let WindowExtent::Time { every_ms, last_ms, .. } = self.extent else { return ended_ms };
        let (every, length) = (signed(every_ms), signed(last_ms));
        let plain_ms = ended_ms.saturating_sub(length);
        // Steps may have been so much shorter or longer, and one of them ends before the clocks
        // change.
        let spare = signed(CLOCK_CHANGE_MS).saturating_add(every.saturating_mul(STEPS_BEFORE_CHANGE));
        let before_ms = plain_ms.saturating_sub(spare);
        if !calendar::changes_between(&self.zone, before_ms, ended_ms) {
            return plain_ms;
        }
        self.start_counted(every, (before_ms, ended_ms)).unwrap_or(plain_ms)
    }

    /// The same after a clock change since `before_ms`: steps keep their former ends. `None` if
    /// this is no former end because the clock was set.
    fn start_counted(&self, every: i64, (before_ms, ended_ms): (i64, i64)) -> Option<i64> {
        let steps = usize::try_from(self.extent.steps()).ok()?;
        let mut last: VecDeque<i64> = VecDeque::new();
        let mut end = self.next_end(every, before_ms, 0);
        while end < ended_ms {
            last.push_back(end);
            if last.len() > steps {
                last.pop_front();
            }
            end = self.next_end(every, end, every / 2);
        }
        last.pop_front().filter(|_| end == ended_ms && last.len() + 1 == steps)
    }

    fn note_next(&self, table: &WindowTable) {
        let waiting = if table.closed.is_empty() { NEVER } else { table.again_ms };
        self.next_ms.store(table.end_ms.min(waiting), Ordering::Release);
    }
}

impl TopicWindow {
    /// The pane of this number, which is the newest one.
    fn pane(&mut self, number: u64) -> &mut Pane {
        if self.panes.back().is_none_or(|pane| pane.number < number) {
            self.panes.push_back(Pane::new(number));
        }
        self.panes.back_mut().expect("there is one")
    }

    /// The pane that has room for a message, which comes now.
    fn open_pane(&mut self, every: u64, now_ms: i64) -> &mut Pane {
        let newest = self.panes.back().map_or((0, true), |pane| (pane.number, pane.count >= every));
        let number = newest.0 + u64::from(newest.1);
        let pane = self.pane(number);
        if newest.1 {
            pane.began_ms = now_ms;
        }
        pane
    }

    /// Returns the figures of a window of messages that closes with its newest pane. Leaves the
    /// panes of the next window.
    fn closed_by_messages(&mut self, steps: u64, now_ms: i64, zone: &TimeZone) -> Vec<u8> {
        let newest = self.panes.back().map_or(0, |pane| pane.number);
        let figures = self.figures(newest, steps);
        let figures =
            figures.map(|all| all.to_json((all.began_ms.min(now_ms), now_ms), zone)).unwrap_or_default();
        let first = newest.saturating_sub(steps.saturating_sub(2));
        self.panes.retain(|pane| steps > 1 && pane.number >= first);
        figures
    }

    /// PaneFigures of the steps up to this one; `None` when they have no number.
    fn figures(&self, newest: u64, steps: u64) -> Option<Pane> {
        let first = newest.saturating_sub(steps - 1);
        let of_window = self.panes.iter().filter(|pane| pane.number >= first);
        let all = of_window.fold(Pane::new(0), |all, pane| all.and(pane));
        (all.count > 0).then_some(all)
    }
}

/// An end on the wall clock, on both clocks.
fn on_both_clocks(now: Now, end_wall_ms: i64) -> (u64, i64) {
    let rest = u64::try_from(end_wall_ms.saturating_sub(now.wall.as_millisecond())).unwrap_or(0);
    (milliseconds(now.elapsed).saturating_add(rest), end_wall_ms)
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
