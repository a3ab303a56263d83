//! Runs for many messages in one call of the guest, and their effects:
//! `wit/guest/unstable-batches.wit`.
//!
//! Invariant: the effects of a run in a batch are carried out only if all of them pass the checks
//! of `messages`. A run that fails them has had no effect, and can run by itself.

mod lists;

pub(crate) use lists::BatchLists;

use crate::{
    BorrowedMessage, Grants, GuestLimits, Qos, RunContext, RunError, RunOutcome, RunOutput, Services,
    Severity, SourcePlace, Writer,
    functions::{kept, may_keep, may_write},
    limits,
};
use std::sync::Arc;

/// Numbers that describe an effect.
const NUMBERS: usize = 6;
const KEEP: u32 = 8;
const FORGET: u32 = 9;
const WARNING: u32 = 16;
const ERROR: u32 = 17;
const RUN_ERROR: u32 = 32;
/// RETAIN, in the kind of a message.
const RETAIN: u32 = 4;

/// Batch of messages on their way into a guest, in one reusable buffer.
#[derive(Debug, Default)]
pub struct MessageBatch(BatchLists);

impl MessageBatch {
    /// Forgets the messages and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a message.
    pub fn push(&mut self, topic: &str, payload: &[u8]) {
        self.0.part(topic.as_bytes());
        self.0.part(payload);
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.0.numbers_len() / 2
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.numbers_len() == 0
    }

    /// Whether a message of so many bytes should be added: there are not yet
    /// [`BATCH_MESSAGES_MAX`](limits::BATCH_MESSAGES_MAX), and with it they have at most
    /// [`BATCH_BYTES_MAX`](limits::BATCH_BYTES_MAX).
    pub fn has_room_for(&self, bytes: usize) -> bool {
        self.len() < limits::BATCH_MESSAGES_MAX && self.0.bytes_len() + bytes <= limits::BATCH_BYTES_MAX
    }

    pub(crate) fn lists(&self) -> (&[u32], &[u8]) {
        self.0.as_slices()
    }
}

/// Answer of a guest: the number of finished messages, the numbers of the effects, and their bytes.
pub(crate) type Answer = (u32, Vec<u32>, Vec<u8>);

/// Effects that the runs of a batch wrote, run by run.
pub(crate) struct Written {
    grants: Arc<Grants>,
    services: Arc<dyn Services>,
    limits: GuestLimits,
    run: RunContext,
    writer: Writer,
    done: u32,
    /// The message whose run comes next.
    next: u32,
    numbers: Vec<u32>,
    numbers_at: usize,
    bytes: Vec<u8>,
    bytes_at: usize,
}

/// An effect as the guest describes it.
struct Described<'a> {
    kind: u32,
    head: &'a str,
    body: &'a [u8],
    place: SourcePlace,
}

impl Written {
    pub(crate) fn new(
        (done, numbers, bytes): Answer,
        (grants, services): (Arc<Grants>, Arc<dyn Services>),
        limits: GuestLimits,
        (run, writer): (RunContext, Writer),
    ) -> Self {
        let (next, numbers_at, bytes_at) = (0, 0, 0);
        Written { grants, services, limits, run, writer, done, next, numbers, numbers_at, bytes, bytes_at }
    }

    /// How many messages are done, as the guest says.
    pub(crate) fn done(&self) -> u32 {
        self.done
    }

    /// Returns the outcome of the run of the next message, and puts its effects into `output`.
    /// `None` when the message has to run by itself.
    pub(crate) fn next_run(&mut self, output: &mut RunOutput) -> Option<RunOutcome> {
        output.begin(&self.limits);
        let message = self.next;
        self.next = self.next.saturating_add(1);
        if message >= self.done {
            return None;
        }
        let mut outcome = Some(RunOutcome::Done(Vec::new()));
        while let Some((numbers, at)) = self.take(message) {
            outcome = match outcome {
                Some(RunOutcome::Done(_)) => {
                    self.described(numbers, at).and_then(|effect| self.add(&effect, output))
                }
                // Something follows a run error.
                Some(_) | None => None,
            };
        }
        if outcome.is_none() {
            output.clear();
        }
        outcome
    }

    /// The numbers of the next effect of a message, and where its bytes begin.
    fn take(&mut self, message: u32) -> Option<([u32; NUMBERS], usize)> {
        let numbers = *self.numbers.get(self.numbers_at..)?.first_chunk::<NUMBERS>()?;
        let [of, _, head, body, ..] = numbers;
        if of != message {
            return None;
        }
        let at = self.bytes_at;
        self.numbers_at += NUMBERS;
        self.bytes_at = at.saturating_add(head as usize).saturating_add(body as usize);
        Some((numbers, at))
    }

    fn described(
        &self,
        [_, kind, head, body, line, column]: [u32; NUMBERS],
        at: usize,
    ) -> Option<Described<'_>> {
        let (head, rest) = self.bytes.get(at..)?.split_at_checked(head as usize)?;
        let (body, _) = rest.split_at_checked(body as usize)?;
        Some(Described {
            kind,
            head: std::str::from_utf8(head).ok()?,
            body,
            place: SourcePlace { line, column },
        })
    }

    /// Adds an effect to the output of its run; gives how the run stands then.
    fn add(&self, effect: &Described<'_>, output: &mut RunOutput) -> Option<RunOutcome> {
        let Described { kind, head, body, place } = *effect;
        let writer = self.writer;
        let (grants, services, run) = (&self.grants, &*self.services, &self.run);
        match kind {
            KEEP => may_keep(grants, services, run, &kept(head, body)).ok()?,
            FORGET => may_keep(grants, services, run, &kept(head, &[])).ok()?,
            publish if publish < KEEP => {
                let (qos, retain) = flags(publish)?;
                let message = BorrowedMessage { qos, retain, ..BorrowedMessage::new(head, body) };
                may_write(grants, services, run, &message).ok()?;
            }
            _ => {}
        }
        match kind {
            KEEP => output.keep(writer, head, body).ok()?,
            FORGET => output.forget(writer, head).ok()?,
            WARNING | ERROR => {
                let severity = if kind == WARNING { Severity::Warning } else { Severity::Error };
                output.report(writer, severity, head, std::str::from_utf8(body).ok()?, place);
            }
            RUN_ERROR => {
                let message = std::str::from_utf8(body).ok()?;
                return Some(RunOutcome::Failed(RunError::of_guest(head, message, place)));
            }
            _ => output.publish(writer, head, body, flags(kind)?).ok()?,
        }
        Some(RunOutcome::Done(Vec::new()))
    }
}

/// Quality of service and RETAIN of a message, by its kind.
fn flags(kind: u32) -> Option<(Qos, bool)> {
    let qos = match kind & !RETAIN {
        0 => Qos::AtMostOnce,
        1 => Qos::AtLeastOnce,
        2 => Qos::ExactlyOnce,
        _ => return None,
    };
    Some((qos, kind & RETAIN != 0))
}
