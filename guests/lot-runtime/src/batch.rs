//! Runs for many messages in one call. Their effects are collected here instead of being handed to
//! the host one by one.
//!
//! Programs do not know about batches. The component around a program passes effects to [`write`],
//! which collects them during a batch. It calls the program once for each message that [`next`]
//! returns.
//!
//! Invariant: the input of the host and the effects of the runs outlive the memory of each run,
//! which begins after them.

use std::cell::RefCell;

use crate::memory;

/// Numbers per effect: message, kind, length of its head, length of its body, line, column.
const NUMBERS_PER_EFFECT: usize = 6;
/// Effects for which there is room when a run begins.
const EFFECTS_PER_RUN: usize = 32;
/// Bytes for which there is room when a run begins, besides twice what the message has.
const BYTES_PER_RUN: usize = 2048;

#[derive(Default)]
struct Batch {
    /// Lengths of topic and payload, for each message that was not given out.
    lengths: &'static [u32],
    /// Topics and payloads of these.
    bytes: &'static [u8],
    /// Messages that were given out.
    given: u32,
    numbers: Vec<u32>,
    written: Vec<u8>,
    /// How long both were when the run under way began.
    began: (usize, usize),
    /// The current run wrote more than the room; the caller has to repeat it without a batch.
    is_full: bool,
}

thread_local! {
    static BATCH: RefCell<Option<Batch>> = const { RefCell::new(None) };
}

/// Begins a batch: lengths of topic and payload for each message, and these one behind the other.
pub(crate) fn begin(lengths: &'static [u32], bytes: &'static [u8]) {
    BATCH.set(Some(Batch { lengths, bytes, ..Batch::default() }));
}

/// Topic and payload of the next message; none at the end of the batch.
pub(crate) fn next() -> Option<(&'static [u8], &'static [u8])> {
    BATCH.with_borrow_mut(|batch| batch.as_mut()?.next())
}

/// Collects an effect of the current run: kind, head, body, line and column. Returns false if there
/// is no batch.
pub(crate) fn write(kind: u32, head: &[u8], body: &[u8], place: (u32, u32)) -> bool {
    BATCH.with_borrow_mut(|batch| match batch {
        Some(batch) => {
            batch.write(kind, head, body, place);
            true
        }
        None => false,
    })
}

/// Ends the batch. Returns the number of finished messages and the effects of their runs, which
/// stay readable until the next allocation.
pub(crate) fn end() -> (u32, &'static [u32], &'static [u8]) {
    let mut batch = BATCH.take().unwrap_or_default();
    if batch.is_full {
        batch.given -= 1;
        batch.numbers.truncate(batch.began.0);
        batch.written.truncate(batch.began.1);
    }
    memory::end_batch();
    (batch.given, batch.numbers.leak(), batch.written.leak())
}

impl Batch {
    fn next(&mut self) -> Option<(&'static [u8], &'static [u8])> {
        let [topic, payload, lengths @ ..] = self.lengths else { return None };
        let (topic, rest) = self.bytes.split_at_checked(*topic as usize)?;
        let (payload, rest) = rest.split_at_checked(*payload as usize)?;
        if self.is_full {
            return None;
        }
        (self.lengths, self.bytes) = (lengths, rest);
        self.given += 1;
        self.numbers.reserve(EFFECTS_PER_RUN * NUMBERS_PER_EFFECT);
        self.written.reserve(2 * (topic.len() + payload.len()) + BYTES_PER_RUN);
        self.began = (self.numbers.len(), self.written.len());
        memory::begin_run_of_batch();
        Some((topic, payload))
    }

    /// Within the room that there is: what is taken during a run is given back when it ends.
    fn write(&mut self, kind: u32, head: &[u8], body: &[u8], (line, column): (u32, u32)) {
        let numbers_left = self.numbers.capacity() - self.numbers.len();
        let bytes_left = self.written.capacity() - self.written.len();
        self.is_full |= numbers_left < NUMBERS_PER_EFFECT || bytes_left < head.len() + body.len();
        if self.is_full {
            return;
        }
        self.numbers.extend_from_slice(&[
            self.given - 1,
            kind,
            head.len() as u32,
            body.len() as u32,
            line,
            column,
        ]);
        self.written.extend_from_slice(head);
        self.written.extend_from_slice(body);
    }
}
