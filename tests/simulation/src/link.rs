//! One connection's wire: two streams of bytes under way, which arrive in any pieces and can break
//! at any byte.

use std::collections::VecDeque;

use crate::choices::Choices;

/// See the module's documentation.
pub(crate) struct Link {
    /// From the Client to the broker.
    pub(crate) up: Stream,
    /// From the broker to the Client.
    pub(crate) down: Stream,
}

impl Link {
    /// A link each of whose directions takes so many bytes before its sender must wait.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let [up, down] = [(); 2].map(|()| Stream { bytes_max, ..Stream::default() });
        Self { up, down }
    }
}

/// One direction.
#[derive(Default)]
pub(crate) struct Stream {
    bytes_max: usize,
    under_way: VecDeque<u8>,
    /// Lengths of pieces as they were sent, and when.
    sent: VecDeque<(usize, u64)>,
    /// When what has arrived of a piece, and what follows it, was sent, in milliseconds.
    arriving: Option<u64>,
    /// It was full: what came later may have been made earlier.
    was_full: bool,
    /// The sender has gone: nothing follows what is under way.
    pub(crate) is_ended: bool,
    /// The receiver has gone: what is sent is lost.
    pub(crate) is_deaf: bool,
}

impl Stream {
    pub(crate) fn send(&mut self, bytes: &[u8], now_ms: u64) {
        if !self.is_ended && !self.is_deaf && !bytes.is_empty() {
            self.under_way.extend(bytes);
            self.sent.push_back((bytes.len(), now_ms));
            self.was_full |= self.room() == 0;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.under_way.len()
    }

    pub(crate) fn room(&self) -> usize {
        if self.is_deaf { usize::MAX } else { self.bytes_max.saturating_sub(self.under_way.len()) }
    }

    /// The next bytes that arrive: some, or often all that is there.
    pub(crate) fn arrive(&mut self, choices: &mut Choices) -> Vec<u8> {
        let len = self.under_way.len();
        let count = match choices.below(4) {
            0 => 1 + choices.below(len),
            1 => (1 + choices.below(8)).min(len),
            _ => len,
        };
        self.take(count.min(len))
    }

    pub(crate) fn arrive_all(&mut self) -> Vec<u8> {
        self.take(self.under_way.len())
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let mut left = count;
        while left > 0
            && let Some((len, at)) = self.sent.front_mut()
        {
            self.arriving.get_or_insert(*at);
            let taken = left.min(*len);
            (*len, left) = (*len - taken, left - taken);
            if *len == 0 {
                self.sent.pop_front();
            }
        }
        self.under_way.drain(..count).collect()
    }

    /// When the first of the bytes was made that arrived since this was asked last; none where that
    /// is not known. `is_whole` when no packet is left in part.
    pub(crate) fn made(&mut self, is_whole: bool) -> Option<u64> {
        let made = self.arriving.filter(|_| !self.was_full);
        if is_whole {
            self.arriving = None;
        }
        made
    }

    /// The stream breaks: of what is under way only a part still arrives.
    pub(crate) fn break_off(&mut self, choices: &mut Choices) -> Vec<u8> {
        let kept = choices.below(self.under_way.len() + 1);
        let arrived = self.take(kept);
        self.under_way.clear();
        self.is_ended = true;
        arrived
    }
}
