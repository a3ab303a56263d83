//! Messages that made a definition trap: each pauses by itself, so that the definition can go on
//! with others.
//!
//! A message is known by a hash of its topic, payload and properties. Other events have none, and
//! their traps are the definition's own. The hash has a key of this process, so no publisher can
//! choose a message that collides with another.
//!
//! Invariant: at most [`POISONS_MAX`] are known; the one that may run again first makes room. Not
//! here: pauses of the definition (`backoff`).

use super::backoff::Backoff;
use crate::{
    Event, RunError,
    limits::{BACKOFF_MAX, POISONS_MAX},
};
use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// Hash that identifies a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Poison(u64);

impl Poison {
    /// That of an event; `None` for one that is no message.
    pub(crate) fn of(event: &Event<'_>) -> Option<Self> {
        static KEY: OnceLock<RandomState> = OnceLock::new();
        let Event::Message(message) = event else { return None };
        let mut hasher = KEY.get_or_init(RandomState::new).build_hasher();
        hasher.write(message.topic.as_bytes());
        // No topic holds this byte.
        hasher.write_u8(0xFF);
        hasher.write_usize(message.payload.len());
        hasher.write(message.payload);
        // The cause of the trap may be in the properties.
        hasher.write(message.properties);
        Some(Self(hasher.finish()))
    }
}

/// The poisonous messages of one definition. A value without a clock: time comes in.
#[derive(Debug, Default)]
pub(crate) struct Poisons(Vec<Known>);

#[derive(Debug)]
struct Known {
    poison: Poison,
    backoff: Backoff,
    /// When it may run again; after the first trap at once, because the message may have had bad
    /// luck.
    until: Instant,
}

impl Poisons {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A run for this message trapped: from the second time on it pauses, longer each time.
    pub(crate) fn trapped(&mut self, poison: Poison, now: Instant) {
        self.0.retain(|known| !known.is_over(now));
        if let Some(known) = self.0.iter_mut().find(|known| known.poison == poison) {
            known.until = known.backoff.trapped(now);
            return;
        }
        if self.0.len() >= POISONS_MAX {
            let soonest = (0..self.0.len()).min_by_key(|at| self.0[*at].until);
            soonest.map(|at| self.0.swap_remove(at));
        }
        self.0.push(Known { poison, backoff: Backoff::default(), until: now });
    }

    /// Until when a message is not to run; `None` when it may. Those that have been good for long
    /// are forgotten.
    pub(crate) fn paused_until(&mut self, poison: Poison, now: Instant) -> Option<Instant> {
        self.0.retain(|known| !known.is_over(now));
        let known = self.0.iter().find(|known| known.poison == poison)?;
        (known.until > now).then_some(known.until)
    }
}

impl Known {
    /// Whether there is nothing to be known any more.
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.until) >= BACKOFF_MAX && self.backoff.is_over(now)
    }
}

/// The code of a run that did not begin because its message pauses.
pub const MESSAGE_PAUSED: &str = "MESSAGE_PAUSED";

/// Returns the error of a run that is skipped for its message.
pub(crate) fn refusal(pause: Duration) -> RunError {
    let message =
        format!("runs for this message were stopped by force; it is not tried again for {pause:.1?}");
    RunError::new(MESSAGE_PAUSED, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BorrowedMessage;

    #[test]
    fn each_message_pauses_by_itself_and_longer_each_time() {
        let mut poisons = Poisons::default();
        let mut now = Instant::now();
        poisons.trapped(Poison(1), now);
        assert_eq!(poisons.paused_until(Poison(1), now), None, "once is no pattern");
        for pause in [100, 200, 400] {
            poisons.trapped(Poison(1), now);
            let until = now + Duration::from_millis(pause);
            assert_eq!(poisons.paused_until(Poison(1), now), Some(until));
            assert_eq!(poisons.paused_until(Poison(2), now), None);
            now = until;
            assert_eq!(poisons.paused_until(Poison(1), now), None);
        }
        assert!(!poisons.is_empty());
        poisons.paused_until(Poison(1), now + Duration::from_secs(60));
        assert!(poisons.is_empty(), "a minute later it is forgotten");
    }

    #[test]
    fn messages_that_differ_in_anything_a_run_sees_are_different() {
        let of = |topic: &str, payload: &[u8], properties: &[u8]| {
            Poison::of(&Event::Message(BorrowedMessage {
                properties,
                ..BorrowedMessage::new(topic, payload)
            }))
        };
        let user = |value: u8| [0x26, 0, 1, b'k', 0, 1, value];
        assert_eq!(of("t", b"p", &user(b'a')), of("t", b"p", &user(b'a')));
        let all = [
            of("t", b"p", &user(b'a')),
            of("t", b"p", &user(b'b')),
            of("t", b"p", b""),
            of("u", b"p", b""),
            of("t", b"", b"p"),
        ];
        for (at, poison) in all.iter().enumerate() {
            assert!(!all[..at].contains(poison), "{at}");
        }
    }

    #[test]
    fn however_many_there_are_only_so_many_are_known() {
        let mut poisons = Poisons::default();
        let now = Instant::now();
        for number in 0..10 * POISONS_MAX as u64 {
            poisons.trapped(Poison(number), now);
            poisons.trapped(Poison(7), now);
        }
        assert_eq!(poisons.0.len(), POISONS_MAX);
        assert!(poisons.paused_until(Poison(7), now).is_some(), "the worst one stays known");
    }
}
