//! Owed writing: bytes of large messages that the end of a turn has to write, and who has brought
//! them. To route them takes next to nothing, to write them most of a turn.
//!
//! It is the budget of one turn, and shares nothing out: `time_share` decides who goes on first.
//!
//! Invariant: what is to be written in a turn is bounded, and whoever has little to write finds
//! room in a turn that others have filled.

use std::time::Duration;

use crate::limits::{LITTLE_OWED_BYTES, OWED_BYTES_MAX, RESUMED_BYTES_MAX};

/// Bytes that are to be written at the end of a turn, for all receivers.
#[derive(Default)]
pub(crate) struct Owed {
    bytes: usize,
    /// Bytes that nobody is charged for: mostly those that earlier turns have left.
    of_nobody: usize,
    /// Whether the turn before had no room for others because of that.
    was_filled: bool,
    /// Bytes up to which the working connection may go on in a full turn.
    little_until: usize,
    /// Place of the working connection.
    payer: Option<u32>,
    /// Bytes that connections have brought, by their places.
    by: Vec<(u32, usize)>,
}

impl Owed {
    /// Notes bytes that the working connection has brought, or an earlier turn.
    pub(crate) fn note(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        let Some(place) = self.payer else {
            self.of_nobody = self.of_nobody.saturating_add(bytes);
            return;
        };
        match self.by.last_mut().filter(|(last, _)| *last == place) {
            Some((_, of_last)) => *of_last = of_last.saturating_add(bytes),
            None => self.by.push((place, bytes)),
        }
    }

    /// Whether a connection may work: any while the turn has room, and one with little to do until
    /// there is twice as much.
    pub(crate) fn admits(&self, has_little: bool) -> bool {
        self.bytes < if has_little { 2 * OWED_BYTES_MAX } else { OWED_BYTES_MAX }
    }

    /// Notes that the connection of this place begins to work.
    pub(crate) fn begin(&mut self, place: u32) {
        self.payer = Some(place);
        let is_full = self.bytes >= OWED_BYTES_MAX;
        self.little_until = if is_full { self.bytes.saturating_add(LITTLE_OWED_BYTES) } else { 0 };
    }

    /// Notes that the work of a connection has ended.
    pub(crate) fn end(&mut self) {
        (self.payer, self.little_until) = (None, 0);
    }

    /// Whether the working connection has to stop.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= OWED_BYTES_MAX.max(self.little_until)
    }

    /// Whether the working connection may bring so many bytes.
    pub(crate) fn takes(&self, bytes: usize) -> bool {
        self.bytes < OWED_BYTES_MAX || self.bytes.saturating_add(bytes) <= self.little_until
    }

    /// Whether a turn may begin with so many bytes that earlier turns have left. The rest of the
    /// turn is for new messages. A larger amount fills every second turn.
    pub(crate) fn may_resume(&self, bytes: usize) -> bool {
        self.bytes.saturating_add(bytes) <= RESUMED_BYTES_MAX || (self.bytes == 0 && !self.was_filled)
    }

    /// Whether a connection has brought any of it.
    pub(crate) fn has_payers(&self) -> bool {
        !self.by.is_empty()
    }

    /// Takes the connections that have brought bytes, each with its part of the time that writing
    /// has taken.
    pub(crate) fn payers(&mut self, took: Duration) -> impl Iterator<Item = (u32, Duration)> {
        let all = self.bytes.max(1) as f64;
        self.by.drain(..).map(move |(place, bytes)| (place, took.mul_f64(bytes as f64 / all)))
    }

    /// Forgets a place, to which another connection has come.
    pub(crate) fn forget(&mut self, place: u32) {
        self.by.retain(|(of, _)| *of != place);
    }

    /// Notes that everything is written.
    pub(crate) fn written(&mut self) {
        self.was_filled = self.of_nobody > RESUMED_BYTES_MAX;
        (self.bytes, self.of_nobody) = (0, 0);
        self.by.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resumed_output_is_bounded_and_leaves_room_for_other_clients() {
        let mut owed = Owed::default();
        let mut resumes = |bytes: usize| {
            let mut resumed = 0;
            while owed.may_resume(bytes) {
                owed.note(bytes);
                resumed += 1;
            }
            let has_room = owed.admits(false);
            owed.written();
            (resumed, has_room)
        };
        for _ in 0..3 {
            assert_eq!(resumes(RESUMED_BYTES_MAX / 3), (3, true));
            assert_eq!(resumes(RESUMED_BYTES_MAX), (1, true));
        }
        // A part of a message may be larger than that.
        for _ in 0..3 {
            assert_eq!(resumes(8 * OWED_BYTES_MAX), (1, false));
            assert_eq!(resumes(8 * OWED_BYTES_MAX), (0, true));
        }
    }

    #[test]
    fn small_output_is_admitted_until_a_turn_is_twice_full() {
        let mut owed = Owed::default();
        owed.begin(1);
        owed.note(OWED_BYTES_MAX);
        assert!(owed.is_full() && !owed.takes(1) && !owed.admits(false));
        let mut little = 0;
        while owed.admits(true) {
            owed.begin(2);
            assert!(owed.takes(LITTLE_OWED_BYTES) && !owed.takes(LITTLE_OWED_BYTES + 1) && !owed.is_full());
            owed.note(LITTLE_OWED_BYTES);
            assert!(owed.is_full());
            owed.end();
            little += 1;
        }
        assert_eq!(little, OWED_BYTES_MAX / LITTLE_OWED_BYTES);
        let took: Vec<_> = owed.payers(Duration::from_millis(20)).collect();
        assert_eq!(took, [1, 2].map(|place| (place, Duration::from_millis(10))));
        owed.written();
        assert!(owed.admits(false) && !owed.has_payers());
    }
}
