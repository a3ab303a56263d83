//! Beginning of a shard's next turn: work that is left of earlier turns goes on, and the
//! connections whose turn has come are called.

use std::task::Waker;
use std::time::Duration;

use crate::turn::fan_out::{resume_asked, resume_parts};
use crate::turn::{Turn, postponed};

/// Next step of a shard after a turn was flushed.
pub struct Next {
    /// Whether the next turn has work without anything having to happen, behind what is ready by
    /// now.
    pub is_due: bool,
    /// Waker for when the shard has looked at its sockets.
    pub look: Option<Waker>,
}

/// Begins the turn behind one that was flushed and has ended at this time of the coarse clock;
/// calls connections by their places.
pub fn begin(turn: &mut Turn, ended: Duration, call: impl FnMut(u32)) -> Next {
    let has_left = resume_parts(turn) | postponed::resume(turn) | resume_asked(turn);
    let is_due = has_left || turn.guests.is_behind || turn.time_shares.is_behind();
    Next { is_due, look: turn.call_those_next(ended, call) }
}
