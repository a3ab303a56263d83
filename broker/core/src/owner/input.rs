//! Input of a connection: what has come and is not handled yet, and the phase that it is in.

use crate::connection::Transport;
use crate::protocol::phase::{Open, Phase};
use crate::reason::close::CloseReason;

/// Input state of a connection, used by its owner alone, and for a moment by the thread that checks
/// its password. By default nothing has come.
#[derive(Default)]
pub struct Input {
    /// Bytes of an incomplete packet, or of packets that wait.
    pub(crate) partial: Vec<u8>,
    pub(crate) phase: Phase,
}

impl Input {
    /// Whether whole packets wait until throttling ends.
    pub(crate) fn has_waiting(&self) -> bool {
        let Phase::Open(open) = &self.phase else { return false };
        open.rate().is_some_and(|rate| rate.has_waiting)
    }

    /// Whether a packet was begun and there was no time for the rest of it.
    pub(crate) fn has_unfinished(&self) -> bool {
        matches!(&self.phase, Phase::Open(open) if open.has_unfinished())
    }

    /// Whether the packet that was begun last has to be handled once more, from its beginning.
    pub(crate) fn repeats_packet(&self) -> bool {
        matches!(&self.phase, Phase::Open(open) if open.repeats_packet())
    }

    /// Bytes of input that are kept: a packet in part, topics of Topic Aliases.
    pub(crate) fn held_bytes(&self) -> usize {
        let aliases = match &self.phase {
            Phase::Open(Open { aliases: Some(aliases), .. }) => aliases.bytes(),
            Phase::New { .. }
            | Phase::Authenticating(_)
            | Phase::LoggingIn(_)
            | Phase::Open(_)
            | Phase::Closed => 0,
        };
        self.partial.len() + aliases
    }

    /// Checks whether the peer has closed the connection, where no earlier input is left to be
    /// handled.
    ///
    /// # Errors
    /// Why it has ended.
    pub fn look_for_end(&mut self, transport: &(impl Transport + ?Sized)) -> Result<(), CloseReason> {
        if self.partial.is_empty() { transport.look_for_end(&mut self.partial) } else { Ok(()) }
    }
}
