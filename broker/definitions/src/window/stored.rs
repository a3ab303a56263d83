//! Windows as kept values: a row for each topic, and one with the progress of the clock.
//!
//! They lie below `$LOT/Window/`. Not here: the names of rows (`watch_rows`).

use std::collections::VecDeque;

use lot_facts::Trigger;

use super::pane::Pane;
use crate::last_values::{LastValues, ValueKeeper};
use crate::watch_rows::{WINDOW, WatchRows};

/// Version of the form of the rows.
const VERSION: u8 = 3;

/// The oldest form that is read. It has no squares of deviations.
const VERSION_MIN: u8 = 2;

/// Bytes of a number.
const WORD: usize = 8;

/// Numbers of a pane.
const PANE_WORDS: usize = 9;

/// Numbers of a pane without squares of deviations, which are the last one.
const PANE_WORDS_MIN: usize = 8;

/// The rows of one Action.
pub(super) struct WindowRows(WatchRows);

/// How far the windows of time of an Action have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WindowClock {
    /// PathKey that is open.
    pub(super) pane: u64,
    /// How long it is still open.
    pub(super) rest_ms: u64,
    /// When that was, in milliseconds since 1970.
    pub(super) at_ms: i64,
    /// When the open step began, likewise.
    pub(super) began_ms: i64,
    /// When the first step of all began, likewise.
    pub(super) since_ms: i64,
}

impl WindowRows {
    /// Returns the rows of the Action of this name, as long as it has this trigger.
    pub(super) fn new(name: &str, trigger: &Trigger) -> WindowRows {
        WindowRows(WatchRows::new((WINDOW, VERSION_MIN..=VERSION), name, trigger))
    }

    /// Keeps the row of a topic; how many bytes it has. `None` when there is no room.
    pub(super) fn keep(
        &self,
        values: (&LastValues, ValueKeeper<'_>),
        topic: &str,
        panes: &VecDeque<Pane>,
    ) -> Option<usize> {
        let words = panes.iter().flat_map(|pane| {
            let Pane { number, count, bad, sum, min, max, last, squares, began_ms } = *pane;
            let [sum, min, max, last, squares] = [sum, min, max, last, squares].map(f64::to_bits);
            [number, count, bad, sum, min, max, last, began_ms.cast_unsigned(), squares]
        });
        self.0.keep(values, topic, words.flat_map(u64::to_le_bytes))
    }

    /// Keeps how far the clock has come. False when there is no room.
    pub(super) fn keep_clockwork(
        &self,
        values: (&LastValues, ValueKeeper<'_>),
        clockwork: &WindowClock,
    ) -> bool {
        let WindowClock { pane, rest_ms, at_ms, began_ms, since_ms } = *clockwork;
        let instants = [at_ms, began_ms, since_ms].map(i64::cast_unsigned);
        let words = [pane, rest_ms].into_iter().chain(instants);
        self.0.keep(values, "", words.flat_map(u64::to_le_bytes)).is_some()
    }

    /// Forgets the row of a topic.
    pub(super) fn forget(&self, values: &LastValues, topic: &str) {
        self.0.forget(values, topic);
    }

    /// Forgets all rows of the Action, whichever trigger it has.
    pub(super) fn forget_all(&self, values: &LastValues) {
        self.0.forget_all(values);
    }

    /// All rows, by topic; those that are none of this trigger are forgotten.
    pub(super) fn load(
        &self,
        values: &LastValues,
        panes_max: usize,
    ) -> (Option<WindowClock>, Vec<(String, VecDeque<Pane>)>) {
        let (mut clockwork, mut windows) = (None, Vec::new());
        self.0.load(values, |key, version, said| {
            let Some(words) = words(said) else { return false };
            if key.is_empty() {
                clockwork = read_clockwork(&words);
                return true;
            }
            let panes = if version < VERSION { panes_without_squares(&words) } else { panes(&words) };
            let is_ours = panes.len() <= panes_max;
            if is_ours {
                windows.push((key.to_owned(), panes));
            }
            is_ours
        });
        windows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        (clockwork, windows)
    }
}

/// The numbers of a row.
fn words(row: &[u8]) -> Option<Vec<u64>> {
    let (words, rest) = row.as_chunks::<WORD>();
    rest.is_empty().then(|| words.iter().map(|word| u64::from_le_bytes(*word)).collect())
}

fn read_clockwork(words: &[u64]) -> Option<WindowClock> {
    let [pane, rest_ms, instants @ ..] = *words.as_array::<5>()?;
    let [at_ms, began_ms, since_ms] = instants.map(u64::cast_signed);
    Some(WindowClock { pane, rest_ms, at_ms, began_ms, since_ms })
}

fn panes(words: &[u64]) -> VecDeque<Pane> {
    let (panes, _) = words.as_chunks::<PANE_WORDS>();
    panes.iter().map(|[figures @ .., squares]| pane(figures, f64::from_bits(*squares))).collect()
}

fn panes_without_squares(words: &[u64]) -> VecDeque<Pane> {
    let (panes, _) = words.as_chunks::<PANE_WORDS_MIN>();
    panes.iter().map(|figures| pane(figures, f64::NAN)).collect()
}

fn pane(figures: &[u64; PANE_WORDS_MIN], squares: f64) -> Pane {
    let [number, count, bad, sum, min, max, last, began_ms] = *figures;
    let [sum, min, max, last] = [sum, min, max, last].map(f64::from_bits);
    Pane { number, count, bad, sum, min, max, last, squares, began_ms: began_ms.cast_signed() }
}
