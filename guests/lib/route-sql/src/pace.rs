//! Number of messages in one transaction: as many as the database takes within a small part of the
//! time limit of a host call.
//!
//! A call has a time limit (`ACTIVITY_TIMEOUT`) for all its statements. The number starts at one,
//! doubles after each quick transaction, and halves after each slow one.

use std::cell::Cell;

use route_settings::Configuration;

use crate::limits::{CALL_S, TOGETHER_MAX};

/// Messages of the next transaction.
#[derive(Debug)]
pub(crate) struct Pace {
    most: Cell<usize>,
    /// Time limit of a call.
    call_ms: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { most: Cell::new(1), call_ms: CALL_S * 1_000 }
    }
}

impl Pace {
    /// For calls as long as a route's settings allow.
    pub(crate) fn read(configuration: &Configuration) -> Pace {
        let seconds = configuration.section("ROUTE_CONFIG").number("ACTIVITY_TIMEOUT").unwrap_or(CALL_S);
        Pace { call_ms: seconds.saturating_mul(1_000), ..Pace::default() }
    }

    /// Most messages of the next transaction.
    pub(crate) fn most(&self) -> usize {
        self.most.get()
    }

    /// Milliseconds of a call before it reports its progress to the host.
    pub(crate) fn batch_ms(&self) -> u64 {
        self.call_ms / 3
    }

    fn slow_ms(&self) -> u64 {
        self.call_ms / 12
    }

    fn quick_ms(&self) -> u64 {
        self.call_ms / 60
    }

    /// Heeds how long a transaction of so many messages took.
    pub(crate) fn heed(&self, messages: usize, took_ms: u64) {
        let most = self.most.get();
        if took_ms >= self.slow_ms() {
            self.most.set((messages / 2).clamp(1, most));
        } else if took_ms < self.quick_ms() && messages >= most {
            self.most.set((most * 2).min(TOGETHER_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_transactions_grow_and_slow_ones_shrink() {
        let pace = Pace::default();
        for (messages, took_ms, expected) in [
            (1, 0, 2),
            (1, 0, 2),
            (2, 10, 4),
            (4, 1_000, 4),
            (4, 0, 8),
            (8, 5_000, 4),
            (1, 5_000, 1),
            (1, 5_000, 1),
        ] {
            pace.heed(messages, took_ms);
            assert_eq!(pace.most(), expected, "{messages} {took_ms}");
        }
        for _ in 0..20 {
            pace.heed(TOGETHER_MAX, 0);
        }
        assert_eq!(pace.most(), TOGETHER_MAX);
        let text = r#"{"sections":{"ROUTE_CONFIG":{"ACTIVITY_TIMEOUT":3}}}"#;
        assert_eq!(Pace::read(&Configuration::parse(text).unwrap()).batch_ms(), 1_000);
    }
}
