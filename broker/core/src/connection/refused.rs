//! Refused handshakes: a log line with the cause of each, limited in a flood.
//!
//! A refused client often sees only the end of the connection; the log has the cause. Refused
//! logins have lines of their own, and so have limits.

use std::fmt::Display;

use lotmq_session::Time;
use parking_lot::Mutex;
use tracing::info;

/// Lines of one listener in a period; further refusals are counted, and told with the next line.
const LINES_MAX: u32 = 10;

/// The period in milliseconds.
const PERIOD_MS: u64 = 10_000;

/// Rate limit of a listener's log lines about refused handshakes.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Period>);

#[derive(Debug, Default)]
struct Period {
    began_at_ms: u64,
    lines: u32,
    suppressed: u64,
}

impl Refusals {
    /// Logs that `peer` was refused at `listener`, unless too many lines were written already.
    pub fn tell(&self, listener: &str, peer: &dyn Display, (reason, cause): (&str, &dyn Display), now: Time) {
        if let Some(suppressed) = self.0.lock().admit(now.as_millis()) {
            info!(target: "client", listener, %peer, reason, error = %cause, suppressed, "handshake refused");
        }
    }
}

impl Period {
    /// Number of lines suppressed since the last, when a line may be written now.
    fn admit(&mut self, now_ms: u64) -> Option<u64> {
        if now_ms >= self.began_at_ms + PERIOD_MS {
            (self.began_at_ms, self.lines) = (now_ms, 0);
        }
        if self.lines >= LINES_MAX {
            self.suppressed += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_few_lines_and_their_number() {
        let mut period = Period::default();
        for at in 0..10 {
            assert_eq!(period.admit(at), Some(0));
        }
        for at in 10..1000 {
            assert_eq!(period.admit(at), None);
        }
        assert_eq!(period.admit(PERIOD_MS), Some(990));
        assert_eq!(period.admit(PERIOD_MS + 1), Some(0));
    }
}
