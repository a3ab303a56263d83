//! A text that bounds the time of its search.
//!
//! The engine bounds the steps of a search. But a single step may read the text to its end, so a
//! million of them can take hours. The engine reads the text through a trait. This one counts each
//! read, and a read of a long text for more. After some reads it calls a function that checks the
//! time. The only way to stop the engine is to unwind through it.

use std::{
    cell::Cell,
    panic::resume_unwind,
    time::{Duration, Instant},
};

use fancy_regex::Input;

use super::Span;
use crate::deadline::Stopped;

/// Looks between two looks at the clock, which cost as much as each other.
const LOOKS: usize = 256;

/// Time between two questions whether to go on: the processor time of a thread costs a call of the
/// system, some ten looks.
const PAUSE: Duration = Duration::from_micros(100);

/// A look at so many bytes counts for one more: one that reads them all takes as long as a hundred
/// that do not.
const BYTES_PER_LOOK: usize = 16 * 1024;

/// See the module's documentation.
pub(super) struct Watched<'a> {
    text: &'a str,
    /// Count of one look.
    weight: usize,
    looks: Cell<usize>,
    asked: Cell<Instant>,
    check_time: &'a dyn Fn() -> Result<(), Stopped>,
}

impl<'a> Watched<'a> {
    /// Looks at it unwind with a [`Stopped`] when `check_time` says so.
    pub(super) fn new(text: &'a str, check_time: &'a dyn Fn() -> Result<(), Stopped>) -> Self {
        let weight = 1 + text.len() / BYTES_PER_LOOK;
        Watched { text, weight, looks: Cell::new(0), asked: Cell::new(Instant::now()), check_time }
    }

    fn look_at_clock(&self) {
        self.looks.set(0);
        let now = Instant::now();
        if now.duration_since(self.asked.get()) < PAUSE {
            return;
        }
        self.asked.set(now);
        if let Err(stopped) = (self.check_time)() {
            resume_unwind(Box::new(stopped));
        }
    }
}

impl Input for Watched<'_> {
    type Match<'t>
        = Option<Span>
    where
        Self: 't;

    fn as_bytes(&self) -> &[u8] {
        let looks = self.looks.get() + self.weight;
        self.looks.set(looks);
        if looks >= LOOKS {
            self.look_at_clock();
        }
        self.text.as_bytes()
    }

    fn len(&self) -> usize {
        self.text.len()
    }

    fn is_char_boundary(&self, ix: usize) -> bool {
        self.text.is_char_boundary(ix)
    }

    fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }

    fn prev_codepoint_ix(&self, i: usize) -> usize {
        Input::prev_codepoint_ix(self.text, i)
    }

    fn advance_position(&self, i: usize) -> usize {
        Input::advance_position(self.text, i)
    }

    fn make_match(&self, start: usize, end: usize) -> Option<Span> {
        Some(Span { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
    }
}
