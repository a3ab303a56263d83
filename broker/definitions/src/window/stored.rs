//! What windows hold as kept values: a row for each topic, and one that says how far the clock has come.
//!
//! They lie below `$LOT/Window/`; the topic stands behind a NUL, which no Topic Name has, so that no Client and no program reaches them otherwise. A row begins
//! with the version of its form and the number of the trigger that it belongs to; what belongs to another one is forgotten.

use std::collections::VecDeque;

use lot_facts::Trigger;

use super::pane::Pane;
use crate::last_values::{LastValues, ValueKeeper};

/// Version of the form of the rows.
const VERSION: u8 = 2;

/// Bytes of a number.
const WORD: usize = 8;

/// Numbers of a pane.
const PANE_WORDS: usize = 8;

/// The rows of one Action.
pub(super) struct WindowRows {
    /// Beginning of their topics.
    beginning: String,
    /// First bytes of each.
    head: Vec<u8>,
}

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
    /// Those of the Action of this name, as long as it has this trigger.
    pub(super) fn new(name: &str, trigger: &Trigger) -> WindowRows {
        let text = serde_json::to_string(trigger).unwrap_or_default();
        // FNV-1a, which stays the same from build to build.
        let number = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut head = vec![VERSION];
        head.extend(number.to_le_bytes());
        WindowRows { beginning: format!("$LOT/Window/{name}/\0"), head }
    }

    /// Keeps the row of a topic; how many bytes it has. `None` when there is no room.
    pub(super) fn keep(
        &self,
        (values, keeper): (&LastValues, ValueKeeper<'_>),
        topic: &str,
        panes: &VecDeque<Pane>,
    ) -> Option<usize> {
        let mut row = self.head.clone();
        for pane in panes {
            let Pane { number, count, bad, sum, min, max, last, began_ms } = *pane;
            let [sum, min, max, last] = [sum, min, max, last].map(f64::to_bits);
            let words = [number, count, bad, sum, min, max, last, began_ms.cast_unsigned()];
            words.iter().for_each(|word| row.extend(word.to_le_bytes()));
        }
        values.keep(keeper, &format!("{}{topic}", self.beginning), &row).ok().map(|()| row.len())
    }

    /// Keeps how far the clock has come. False when there is no room.
    pub(super) fn keep_clockwork(
        &self,
        (values, keeper): (&LastValues, ValueKeeper<'_>),
        clockwork: &WindowClock,
    ) -> bool {
        let mut row = self.head.clone();
        row.extend(clockwork.pane.to_le_bytes());
        row.extend(clockwork.rest_ms.to_le_bytes());
        for instant in [clockwork.at_ms, clockwork.began_ms, clockwork.since_ms] {
            row.extend(instant.to_le_bytes());
        }
        values.keep(keeper, &self.beginning, &row).is_ok()
    }

    /// Forgets the row of a topic.
    pub(super) fn forget(&self, values: &LastValues, topic: &str) {
        values.forget(&format!("{}{topic}", self.beginning));
    }

    /// Forgets all rows of the Action, whichever trigger it has.
    pub(super) fn forget_all(&self, values: &LastValues) {
        values.forget_all(|topic| topic.starts_with(&self.beginning));
    }

    /// All rows, by topic; those that are none of this trigger are forgotten.
    pub(super) fn load(
        &self,
        values: &LastValues,
        panes_max: usize,
    ) -> (Option<WindowClock>, Vec<(String, VecDeque<Pane>)>) {
        let (mut clockwork, mut windows, mut foreign) = (None, Vec::new(), Vec::new());
        values.each_kept(|topic, kept| {
            let Some(key) = topic.strip_prefix(&*self.beginning) else { return };
            let words = kept.payload.strip_prefix(&*self.head).and_then(words);
            match words {
                Some(words) if key.is_empty() => clockwork = read_clockwork(&words),
                Some(words) if words.len() <= panes_max.saturating_mul(PANE_WORDS) => {
                    windows.push((key.to_owned(), panes(&words)));
                }
                Some(_) | None => foreign.push(topic.to_owned()),
            }
        });
        foreign.iter().for_each(|topic| values.forget(topic));
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
    panes
        .iter()
        .map(|&[number, count, bad, sum, min, max, last, began_ms]| Pane {
            number,
            count,
            bad,
            sum: f64::from_bits(sum),
            min: f64::from_bits(min),
            max: f64::from_bits(max),
            last: f64::from_bits(last),
            began_ms: began_ms.cast_signed(),
        })
        .collect()
}
