//! Messages that a broker will send back. On a connection of MQTT 3.1.1 to a broker without bridge
//! support, own publications return by an own subscription. Only their content distinguishes them
//! from those of others.

use std::collections::VecDeque;

use crate::limits::{ECHO_MS, ECHOES_MAX};

/// Messages whose echo is expected.
#[derive(Debug, Default)]
pub(crate) struct Echoes(VecDeque<(u64, u64)>);

impl Echoes {
    /// Notes a message that will come back.
    pub(crate) fn expect(&mut self, fingerprint: u64, now: u64) {
        if self.0.len() >= ECHOES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((fingerprint, now));
    }

    /// Whether a message is the echo of one; then it is expected no more.
    pub(crate) fn takes(&mut self, fingerprint: u64, now: u64) -> bool {
        while self.0.front().is_some_and(|(_, at)| at.saturating_add(ECHO_MS) < now) {
            self.0.pop_front();
        }
        let found = self.0.iter().position(|(expected, _)| *expected == fingerprint);
        found.is_some_and(|index| self.0.remove(index).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_has_one_echo_for_a_minute() {
        let mut echoes = Echoes::default();
        echoes.expect(1, 0);
        echoes.expect(1, 10);
        assert!(echoes.takes(1, 20) && echoes.takes(1, 20) && !echoes.takes(1, 20));
        echoes.expect(2, 0);
        assert!(!echoes.takes(2, ECHO_MS + 1));
    }
}
