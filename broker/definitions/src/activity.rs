//! Activity of a definition since its deployment: runs, the last error, and the trace state.
//!
//! Executor threads write it, commands read it. Everything is atomic or behind a lock that is held
//! for a moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::change::ChangeMemory;
use crate::limits::LOG_LINES_PER_SECOND_MAX;
use crate::record::{ErrorRecord, MessageText, RunError};

/// Places of one definition whose warnings are kept.
const WARNINGS_MAX: usize = 16;

/// Different errors of one definition that are kept until they are reported.
const UNTOLD_MAX: usize = 16;

/// Codes of one definition whose errors are counted one by one; errors of further codes are counted
/// together.
const CODES_MAX: usize = 16;

/// The last error, which is the first one of its run, and the errors that were not reported yet.
#[derive(Debug, Default)]
struct Errors {
    last: Option<ErrorRecord>,
    /// In the order in which they came first, those of the same code and message once, but for the
    /// first one of a code; without the last one.
    untold: Vec<ErrorRecord>,
    is_last_untold: bool,
    /// Errors by code; those of further codes are behind an empty one.
    by_code: Vec<(Box<str>, u64)>,
    /// The last error of each sort, with their number; of further sorts the one that came longest
    /// ago makes room.
    by_sort: Vec<ErrorRecord>,
}

impl Errors {
    /// Counts an error among those of its sort: of its code, and where the code alone says little,
    /// as of routes, of its message.
    fn sort(&mut self, new: &ErrorRecord, times: u64) {
        let new = ErrorRecord { trigger: MessageText::default(), ..new.clone() };
        let is_same = |other: &ErrorRecord| {
            other.code == new.code
                && (!new.code.starts_with(SORTED_BY_MESSAGE) || other.message == new.message)
        };
        let known = self.by_sort.iter().position(is_same);
        let count = known.map_or(0, |at| self.by_sort.remove(at).code_count).saturating_add(times);
        if self.by_sort.len() >= CODES_MAX {
            self.by_sort.remove(0);
        }
        self.by_sort.push(ErrorRecord { code_count: count, ..new });
    }
}

/// Prefix of codes whose errors differ by their messages: the texts of a route's peer.
const SORTED_BY_MESSAGE: &str = "ROUTE_";

/// Warning of runs at one place.
#[derive(Debug)]
struct RunWarning {
    code: Box<str>,
    line: u32,
    column: u32,
    message: Box<str>,
    /// How often it happened.
    count: u64,
    /// Count that the last reporting instance had reached then.
    told: u64,
    /// Time of the last report.
    at: Timestamp,
}

/// Warnings by their places, those of further places together, and all of them.
#[derive(Debug, Default)]
struct Warnings {
    kept: Vec<RunWarning>,
    late: u64,
    total: u64,
}

/// Warning of runs at one place of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarningAt {
    /// Code.
    pub code: String,
    /// Line, from 1; 0 where none has to do with it.
    pub line: u32,
    /// Column in that line.
    pub column: u32,
    /// The last text, without a count.
    pub message: String,
    /// How often it happened since the deploy, as far as runs have told.
    pub count: u64,
    /// Time of the last report.
    pub at: Timestamp,
}

/// Counters, error record, trace and `ON CHANGE` memory of one version of a definition.
#[derive(Debug, Default)]
pub struct Activity {
    runs: AtomicU64,
    /// Milliseconds since 1970; 0 = never.
    last_run_ms: AtomicI64,
    /// Milliseconds since 1970 until which runs are traced; 0 = not traced.
    traced_until_ms: AtomicI64,
    has_started: AtomicBool,
    tick_is_waiting: AtomicBool,
    /// The account that it acts for; 0 for nobody.
    account: Arc<AtomicU64>,
    is_retired: AtomicBool,
    errors: Mutex<Box<Errors>>,
    warnings: Mutex<Box<Warnings>>,
    /// Events that were not taken since the last [`take_refused`](Activity::take_refused).
    refused: AtomicU64,
    /// Messages that would have started it while it was disabled.
    missed: AtomicU64,
    change: Option<Mutex<ChangeMemory>>,
    lines: Mutex<Lines>,
    totals: Arc<OfAllVersions>,
}

/// Figures of all versions of a definition, which do not begin anew with each.
#[derive(Debug, Default)]
pub(crate) struct OfAllVersions {
    errors: AtomicU64,
    missed: AtomicU64,
}

/// Line that is one too many in its second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuppressedLine {
    /// Whether it is the first one since a line has told how many were not written.
    pub is_first: bool,
}

/// Lines that runs wrote to the log in the current second.
#[derive(Debug, Default)]
struct Lines {
    /// The second, since 1970.
    second: i64,
    written: u32,
    /// Lines that were not written since the last one that was.
    suppressed: u64,
}

impl Lines {
    fn suppress(&mut self, count: u64) -> SuppressedLine {
        let is_first = self.suppressed == 0;
        self.suppressed = self.suppressed.saturating_add(count);
        SuppressedLine { is_first }
    }
}

impl Activity {
    /// Nothing happened yet, for this account; `change_topics_max` is there for `ON CHANGE`.
    pub(crate) fn new(account: u64, change_topics_max: Option<usize>) -> Activity {
        Activity {
            account: Arc::new(AtomicU64::new(account)),
            change: change_topics_max.map(|max| Mutex::new(ChangeMemory::new(max))),
            ..Activity::default()
        }
    }

    /// Counts on where another version of the same definition counts.
    pub(crate) fn counts_on(&mut self, before: &Activity) {
        self.totals = Arc::clone(&before.totals);
    }

    /// Errors of all versions, those that another process has noted aside.
    pub fn errors_of_all_versions(&self) -> u64 {
        self.totals.errors.load(Ordering::Relaxed)
    }

    /// Messages that came while it was disabled, of all versions.
    pub fn missed_of_all_versions(&self) -> u64 {
        self.totals.missed.load(Ordering::Relaxed)
    }

    /// Counts a run that ended at `at`, however it ended.
    pub fn run_ended(&self, at: Timestamp) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.last_run_ms.store(at.as_millisecond(), Ordering::Relaxed);
    }

    /// Runs that ended since the deploy.
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// When the last run ended.
    pub fn last_run(&self) -> Option<Timestamp> {
        from_ms(self.last_run_ms.load(Ordering::Relaxed))
    }

    /// Keeps an error as the last one and counts it. Returns how many there were since the deploy.
    pub fn record_error(&self, action: &str, error: &RunError<'_>, at: Timestamp) -> u64 {
        self.record_errors(action, error, at, 1)
    }

    /// Keeps an error as the last one and counts it `times` times. A follow-up error of the same
    /// run is reported, but the first one stays the last error: it is the cause. Returns the number
    /// of errors since the deploy.
    pub fn record_errors(&self, action: &str, error: &RunError<'_>, at: Timestamp, times: u64) -> u64 {
        self.totals.errors.fetch_add(times, Ordering::Relaxed);
        let mut errors = self.errors.lock();
        let errors = &mut **errors;
        let Errors { last, by_code, .. } = errors;
        let count = last.as_ref().map_or(0, |before| before.count).saturating_add(times);
        let of_code = place_of(by_code, error.code);
        *of_code = of_code.saturating_add(times);
        let new = ErrorRecord::new(action, error, at, (count, *of_code));
        errors.sort(&new, times);
        let Errors { last, untold, is_last_untold, .. } = errors;
        let is_same = |other: &ErrorRecord| other.code == new.code && other.message == new.message;
        // The first error of a code is always reported, because it shows the beginning.
        let is_replaced = |other: &ErrorRecord| is_same(other) && other.code_count > 1;
        untold.retain(|other| !is_replaced(other));
        if let Some(first) = last.as_mut().filter(|first| error.is_follow_up && !is_same(first)) {
            first.count = count;
            untold.extend((untold.len() < UNTOLD_MAX).then_some(new));
            return count;
        }
        let before = last.take().filter(|before| *is_last_untold && !is_replaced(before));
        untold.extend(before.filter(|_| untold.len() < UNTOLD_MAX));
        (*last, *is_last_untold) = (Some(new), true);
        count
    }

    /// Restores the last error of this version, which another process has noted. Never replaces a
    /// newer one, and is not reported.
    pub fn restore_error(&self, record: ErrorRecord) {
        let mut errors = self.errors.lock();
        if errors.last.is_none() {
            let of_code = place_of(&mut errors.by_code, &record.code);
            *of_code = of_code.saturating_add(record.code_count);
            errors.sort(&record, record.code_count.max(1));
            errors.last = Some(record);
        }
    }

    /// Returns the number of errors of a code since the deploy, for reports of the first ones of
    /// each code. From the 17th code on, it counts all later codes together.
    pub fn code_count(&self, code: &str) -> u64 {
        *place_of(&mut self.errors.lock().by_code, code)
    }

    /// Errors since the last call, in their order and the last one last: of those with the same
    /// code and message the last, and the first of its code, of different ones at most 17.
    pub fn take_untold(&self) -> Vec<ErrorRecord> {
        let mut errors = self.errors.lock();
        let Errors { last, untold, is_last_untold, .. } = &mut **errors;
        let mut told = std::mem::take(untold);
        told.extend(last.clone().filter(|_| *is_last_untold));
        *is_last_untold = false;
        told
    }

    /// The last error of each sort, by code and, of routes, by message, with their number as that
    /// of its code: the newest last, at most 16, without what started the runs.
    pub fn errors_by_sort(&self) -> Vec<ErrorRecord> {
        self.errors.lock().by_sort.clone()
    }

    /// Keeps a warning of a run, with the last text of each code and place, for at most 16 places.
    /// Further ones are only counted. Returns the number of warnings of that place. The second part
    /// is true for the first one, and when the number has doubled since then.
    ///
    /// Programs report a warning at doubled counts, with the count. A new instance counts anew.
    pub fn note_warning(&self, warning: &RunError<'_>, at: Timestamp) -> (u64, bool) {
        let mut warnings = self.warnings.lock();
        let Warnings { kept, late, total } = &mut **warnings;
        let (message, told) = counted(warning.message);
        let place = (warning.code, warning.line, warning.column);
        let known = kept.iter().position(|known| (&*known.code, known.line, known.column) == place);
        let before = known.map_or(0, |at| kept[at].told);
        let more = if told > before { told - before } else { told };
        *total += more;
        let count = if let Some(known) = known.map(|at| &mut kept[at]) {
            known.message = message.into();
            known.count += more;
            (known.told, known.at) = (told, at);
            known.count
        } else if kept.len() < WARNINGS_MAX {
            let (code, line, column) = (warning.code.into(), warning.line, warning.column);
            kept.push(RunWarning { code, line, column, message: message.into(), count: more, told, at });
            more
        } else {
            *late += more;
            *late
        };
        (count, count.checked_ilog2() > (count - more).checked_ilog2())
    }

    /// How many warnings there were since the deploy, as far as runs have told.
    pub fn warning_count(&self) -> u64 {
        self.warnings.lock().total
    }

    /// Returns the warnings of runs, by place.
    pub fn warnings_by_place(&self) -> Vec<WarningAt> {
        let warnings = self.warnings.lock();
        let of_place =
            |RunWarning { code, line, column, message, count, told: _, at }: &RunWarning| WarningAt {
                code: code.to_string(),
                line: *line,
                column: *column,
                message: message.to_string(),
                count: *count,
                at: *at,
            };
        warnings.kept.iter().map(of_place).collect()
    }

    /// Returns the warnings of runs as text:
    /// `3:5: a number was compared with something else as text (4 times so far) (LOT601)`.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.warnings.lock();
        let shown = warnings.kept.iter().map(|RunWarning { code, line, column, message, count, .. }| {
            let times = if *count > 1 { format!(" ({count}{TIMES}") } else { String::new() };
            match line {
                0 => format!("{message}{times} ({code})"),
                _ => format!("{line}:{column}: {message}{times} ({code})"),
            }
        });
        shown.collect()
    }

    /// Counts events that were not taken. True where the first of them is the first since
    /// [`take_refused`](Self::take_refused): that one is worth a record of its own, while a flood
    /// of them is not.
    pub fn note_refused(&self, count: u64) -> bool {
        self.refused.fetch_add(count, Ordering::Relaxed) == 0
    }

    /// Whether a line of a run goes to the log: at most 50 lines of one definition in a second.
    /// Returns the number of suppressed lines since the last one.
    ///
    /// # Errors
    /// It does not go to the log but is counted. [`take_suppressed`](Self::take_suppressed) reports
    /// it if no other line does.
    pub fn admit_line(&self, at: Timestamp) -> Result<u64, SuppressedLine> {
        let mut lines = self.lines.lock();
        let second = at.as_second();
        if lines.second != second {
            (lines.second, lines.written) = (second, 0);
        }
        if lines.written >= LOG_LINES_PER_SECOND_MAX {
            return Err(lines.suppress(1));
        }
        lines.written += 1;
        Ok(std::mem::take(&mut lines.suppressed))
    }

    /// Counts lines that are not to be written; `None` where there are none.
    pub fn suppress_lines(&self, count: u64) -> Option<SuppressedLine> {
        (count > 0).then(|| self.lines.lock().suppress(count))
    }

    /// Number of lines that were not written and of which no line has told, 0 where one has; `None`
    /// while their second lasts, in which one still may.
    pub fn take_suppressed(&self, at: Timestamp) -> Option<u64> {
        let mut lines = self.lines.lock();
        (lines.second != at.as_second()).then(|| std::mem::take(&mut lines.suppressed))
    }

    /// Counts a message that would have started it, if it were not disabled.
    pub fn note_missed(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
        self.totals.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Messages that came while it was disabled, since the deploy.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// How many events were not taken since the last call, and begins to count anew.
    pub fn take_refused(&self) -> u64 {
        self.refused.swap(0, Ordering::Relaxed)
    }

    /// The last error.
    pub fn last_error(&self) -> Option<ErrorRecord> {
        self.errors.lock().last.clone()
    }

    /// Whether this run is to be traced. One load while nothing is traced, so it may stand on the
    /// data path.
    pub fn is_traced(&self, now: impl FnOnce() -> Timestamp) -> bool {
        let until = self.traced_until_ms.load(Ordering::Relaxed);
        until != 0 && now().as_millisecond() < until
    }

    /// Until when runs are traced, if they are.
    pub(crate) fn traced_until(&self, now: Timestamp) -> Option<Timestamp> {
        from_ms(self.traced_until_ms.load(Ordering::Relaxed)).filter(|until| *until > now)
    }

    /// Traces runs until then; `None` ends it.
    pub(crate) fn trace_until(&self, until: Option<Timestamp>) {
        self.traced_until_ms.store(until.map_or(0, Timestamp::as_millisecond), Ordering::Relaxed);
    }

    /// The user who deployed it is gone for good.
    pub(crate) fn disown(&self) {
        self.account.store(0, Ordering::Release);
    }

    pub(crate) fn account(&self) -> &Arc<AtomicU64> {
        &self.account
    }

    /// Marks the definition as removed, or its name as taken over by another user.
    pub(crate) fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
    }

    /// Whether the definition was removed, or another user has taken over its name.
    pub fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Acquire)
    }

    /// Claims the one place for a timer run that has not ended. `false`: the run before still waits
    /// or runs, and this tick is skipped, because runs of one Action never overlap (LoT reference
    /// §7.3).
    pub fn claim_tick(&self) -> bool {
        !self.tick_is_waiting.swap(true, Ordering::AcqRel)
    }

    /// Gives the place back when the timer run has ended.
    pub fn release_tick(&self) {
        self.tick_is_waiting.store(false, Ordering::Release);
    }

    /// Whether the `ON START` run of this version is still to come; true once.
    pub(crate) fn claim_start(&self) -> bool {
        !self.has_started.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn differs(&self, topic: &str, payload: &[u8]) -> bool {
        self.change.as_ref().is_none_or(|memory| memory.lock().differs(topic, payload))
    }
}

/// Text behind the count of a repeated warning.
const TIMES: &str = " times so far)";

/// Text of a warning without the count at its end, and the count.
fn counted(message: &str) -> (&str, u64) {
    let parts = message.strip_suffix(TIMES).and_then(|text| text.rsplit_once(" ("));
    let counted = parts.and_then(|(text, count)| Some((text, count.parse().ok()?)));
    counted.filter(|(_, count)| *count > 0).unwrap_or((message, 1))
}

/// Count of a code; of one that came late, of all such.
fn place_of<'a>(by_code: &'a mut Vec<(Box<str>, u64)>, code: &str) -> &'a mut u64 {
    let find =
        |by_code: &[(Box<str>, u64)], code: &str| by_code.iter().position(|(known, _)| **known == *code);
    let is_late = find(by_code, code).is_none() && by_code.len() >= CODES_MAX;
    let code = if is_late { "" } else { code };
    let at = find(by_code, code).unwrap_or_else(|| {
        by_code.push((code.into(), 0));
        by_code.len() - 1
    });
    &mut by_code[at].1
}

fn from_ms(ms: i64) -> Option<Timestamp> {
    if ms == 0 { None } else { Timestamp::from_millisecond(ms).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn errors_are_counted_and_the_last_one_is_kept() {
        let activity = Activity::default();
        assert_eq!(activity.last_error(), None);
        for n in 1..=3 {
            let error = RunError { code: "LOT501", message: "too long", line: n, ..RunError::default() };
            assert_eq!(activity.record_error("Hot", &error, at(100)), u64::from(n));
        }
        let last = activity.last_error().unwrap();
        assert_eq!((last.line, last.count), (3, 3));
    }

    #[test]
    fn different_errors_are_all_reported_and_repeated_errors_once() {
        let activity = Activity::default();
        let note = |message: &str| {
            activity.record_error("Hot", &RunError { message, ..RunError::default() }, at(100));
        };
        let told = || {
            let records = activity.take_untold().into_iter();
            records.map(|record| (record.message, record.count)).collect::<Vec<_>>()
        };
        assert_eq!(told(), []);
        ["a", "b", "a", "c", "c"].iter().for_each(|message| note(message));
        let named = |list: &[(&str, u64)]| {
            list.iter().map(|(message, count)| ((*message).to_owned(), *count)).collect::<Vec<_>>()
        };
        assert_eq!(told(), named(&[("a", 1), ("b", 2), ("a", 3), ("c", 5)]));
        assert_eq!(told(), []);
        note("c");
        assert_eq!(told(), named(&[("c", 6)]));
        // A flood of different errors is cut, and the last one is reported.
        (0..100).for_each(|number| note(&format!("{number}")));
        let flood = told();
        assert_eq!((flood.len(), flood.last().unwrap().0.as_str()), (UNTOLD_MAX + 1, "99"));
        assert_eq!(activity.last_error().unwrap().count, 106);
    }

    #[test]
    fn a_restored_error_is_the_last_until_the_next_and_goes_on_counting() {
        let note = |activity: &Activity, message: &str| {
            activity.record_error("Hot", &RunError { message, ..RunError::default() }, at(100))
        };
        let before = Activity::default();
        (0..3).for_each(|_| _ = note(&before, "a"));
        let after = Activity::default();
        after.restore_error(before.last_error().unwrap());
        assert_eq!(after.last_error(), before.last_error());
        assert_eq!(after.take_untold(), [], "it was told before");
        assert_eq!(note(&after, "b"), 4);
        after.restore_error(before.last_error().unwrap());
        assert_eq!(after.last_error().unwrap().message, "b");
    }

    #[test]
    fn errors_are_counted_by_code_and_late_codes_together() {
        let activity = Activity::default();
        let count = |code: &str| {
            activity.record_error("Hot", &RunError { code, ..RunError::default() }, at(100));
            activity.code_count(code)
        };
        for number in 1..=3 {
            assert_eq!(["A", "B"].map(count), [number, number]);
        }
        let last = activity.last_error().unwrap();
        assert_eq!((last.count, last.code_count), (6, 3));
        for code in 2..CODES_MAX {
            assert_eq!(count(&format!("C{code}")), 1);
        }
        assert_eq!(["D", "E", "D", "A"].map(count), [1, 2, 3, 4]);
    }

    #[test]
    fn errors_are_sorted_by_code_and_those_of_routes_by_message() {
        let activity = Activity::default();
        let note = |code: &str, message: &str| {
            activity.record_error("Hot", &RunError { code, message, ..RunError::default() }, at(100));
        };
        note("LOT602", "division by zero");
        note("LOT604", "no digits");
        note("LOT602", "division by zero again");
        (0..6).for_each(|_| note("ROUTE_REJECTED", "404"));
        (0..4).for_each(|_| note("ROUTE_REJECTED", "timed out"));
        let sorts = || {
            let records = activity.errors_by_sort().into_iter();
            records.map(|record| (record.code, record.message, record.code_count)).collect::<Vec<_>>()
        };
        let sort = |code: &str, message: &str, count| (code.to_owned(), message.to_owned(), count);
        assert_eq!(
            sorts(),
            [
                sort("LOT604", "no digits", 1),
                sort("LOT602", "division by zero again", 2),
                sort("ROUTE_REJECTED", "404", 6),
                sort("ROUTE_REJECTED", "timed out", 4),
            ]
        );
        (0..CODES_MAX).for_each(|number| note("ROUTE_REJECTED", &number.to_string()));
        assert_eq!((sorts().len(), &*sorts()[0].1), (CODES_MAX, "0"));
    }

    #[test]
    fn last_error_is_the_first_of_a_run_and_all_are_reported() {
        let activity = Activity::default();
        let note = |code: &str, is_follow_up: bool| {
            activity.record_error("Hot", &RunError { code, is_follow_up, ..RunError::default() }, at(100))
        };
        for run in 0..2 {
            assert_eq!([note("PYTHON_ERROR", false), note("LOT602", true)], [run * 2 + 1, run * 2 + 2]);
            let last = activity.last_error().unwrap();
            assert_eq!((&*last.code, last.count, last.code_count), ("PYTHON_ERROR", run * 2 + 2, run + 1));
        }
        let told: Vec<String> = activity.take_untold().into_iter().map(|record| record.code).collect();
        assert_eq!(told, ["LOT602", "PYTHON_ERROR", "LOT602", "PYTHON_ERROR"]);
        note("LOT602", false);
        assert_eq!(activity.last_error().unwrap().code, "LOT602");
    }

    #[test]
    fn the_last_warning_of_each_place_is_kept() {
        let activity = Activity::default();
        for line in (0..20).chain(0..20) {
            let message = format!("odd ({line})");
            let warning =
                RunError { code: "LOT601", message: &message, line, column: 5, ..RunError::default() };
            activity.note_warning(&warning, Timestamp::UNIX_EPOCH);
        }
        assert_eq!((activity.warning_count(), activity.warnings_by_place()[3].count), (40, 2));
        let warnings = activity.warnings();
        assert_eq!(
            (warnings.len(), &*warnings[0], &*warnings[3]),
            (16, "odd (0) (2 times so far) (LOT601)", "3:5: odd (3) (2 times so far) (LOT601)")
        );
    }

    #[test]
    fn warning_count_covers_all_occurrences_including_unreported_ones() {
        let activity = Activity::default();
        let note = |message: &str| {
            let warning = RunError { code: "LOT601", message, line: 3, column: 5, ..RunError::default() };
            activity.note_warning(&warning, Timestamp::UNIX_EPOCH)
        };
        assert_eq!(note("odd"), (1, true));
        assert_eq!(note("odd (2 times so far)"), (2, true));
        assert_eq!(note("odd (4 times so far)"), (4, true));
        // An instance that begins anew.
        assert_eq!([note("odd"), note("odd (2 times so far)")], [(5, false), (6, false)]);
        assert_eq!(note("odd (4 times so far)"), (8, true));
        assert_eq!((activity.warning_count(), activity.warnings_by_place()[0].count), (8, 8));
        assert_eq!(activity.warnings_by_place()[0].message, "odd");
        assert_eq!(activity.warnings(), ["3:5: odd (8 times so far) (LOT601)"]);
    }

    #[test]
    fn refused_events_are_counted_and_only_the_first_is_reported() {
        let activity = Activity::default();
        for _ in 0..2 {
            assert_eq!([(); 3].map(|()| activity.note_refused(1)), [true, false, false]);
            assert_eq!(activity.take_refused(), 3);
        }
        let error = RunError { code: "MAILBOX_FULL", ..RunError::default() };
        assert_eq!(activity.record_errors("Hot", &error, at(100), 3), 3);
        assert_eq!(activity.record_error("Hot", &error, at(100)), 4);
    }

    #[test]
    fn of_a_flood_of_lines_some_are_written_and_the_others_counted() {
        let activity = Activity::default();
        for _ in 0..LOG_LINES_PER_SECOND_MAX {
            assert_eq!(activity.admit_line(at(1)), Ok(0));
        }
        let suppressed = |is_first| SuppressedLine { is_first };
        let next = [activity.admit_line(at(1)), activity.admit_line(at(1))];
        assert_eq!(next, [Err(suppressed(true)), Err(suppressed(false))]);
        assert_eq!((activity.suppress_lines(5), activity.suppress_lines(0)), (Some(suppressed(false)), None));
        assert_eq!([activity.admit_line(at(2)), activity.admit_line(at(2))], [Ok(7), Ok(0)]);
        assert_eq!(activity.take_suppressed(at(3)), Some(0), "the line before has told");
        assert_eq!(activity.suppress_lines(3), Some(suppressed(true)));
        assert_eq!((activity.take_suppressed(at(2)), activity.take_suppressed(at(3))), (None, Some(3)));
    }

    #[test]
    fn runs_are_counted_with_the_time_of_the_last() {
        let activity = Activity::default();
        assert_eq!((activity.runs(), activity.last_run()), (0, None));
        activity.run_ended(at(7));
        activity.run_ended(at(9));
        assert_eq!((activity.runs(), activity.last_run()), (2, Some(at(9))));
    }

    #[test]
    fn trace_expires_by_itself_and_costs_no_clock_while_off() {
        let activity = Activity::default();
        assert!(!activity.is_traced(|| panic!("no clock while nothing is traced")));
        activity.trace_until(Some(at(300)));
        assert!(activity.is_traced(|| at(299)) && !activity.is_traced(|| at(300)));
        assert_eq!(activity.traced_until(at(1)), Some(at(300)));
        activity.trace_until(None);
        assert!(!activity.is_traced(|| at(1)));
    }

    #[test]
    fn a_tick_waits_for_the_run_before() {
        let activity = Activity::default();
        assert!(activity.claim_tick() && !activity.claim_tick());
        activity.release_tick();
        assert!(activity.claim_tick());
    }
}
