//! One connection's wire: two streams of bytes under way, which arrive in any pieces and can break at any byte.

use std::collections::VecDeque;

use crate::choices::Choices;

/// Bytes that a direction takes before its sender must wait.
pub(crate) const BYTES_MAX: usize = 600;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Link {
    /// From the Client to the broker.
    pub(crate) up: Stream,
    /// From the broker to the Client.
    pub(crate) down: Stream,
}

/// One direction.
#[derive(Default)]
pub(crate) struct Stream {
    under_way: VecDeque<u8>,
    /// The sender has gone: nothing follows what is under way.
    pub(crate) is_ended: bool,
    /// The receiver has gone: what is sent is lost.
    pub(crate) is_deaf: bool,
}

impl Stream {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if !self.is_ended && !self.is_deaf {
            self.under_way.extend(bytes);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.under_way.len()
    }

    pub(crate) fn room(&self) -> usize {
        if self.is_deaf { usize::MAX } else { BYTES_MAX.saturating_sub(self.under_way.len()) }
    }

    /// The next bytes that arrive: some, or often all that is there.
    pub(crate) fn arrive(&mut self, choices: &mut Choices) -> Vec<u8> {
        let len = self.under_way.len();
        let count = match choices.below(4) {
            0 => 1 + choices.below(len),
            1 => (1 + choices.below(8)).min(len),
            _ => len,
        };
        self.under_way.drain(..count.min(len)).collect()
    }

    pub(crate) fn arrive_all(&mut self) -> Vec<u8> {
        self.under_way.drain(..).collect()
    }

    /// The stream breaks: of what is under way only a part still arrives.
    pub(crate) fn break_off(&mut self, choices: &mut Choices) -> Vec<u8> {
        let kept = choices.below(self.under_way.len() + 1);
        let arrived = self.under_way.drain(..kept).collect();
        self.under_way.clear();
        self.is_ended = true;
        arrived
    }
}
