//! Handshakes that come to nothing: a line in the log with the cause of each, and in a flood only so many.
//!
//! Who cannot connect sees an end of the connection, and often nothing else; what is wrong stands here. Refused logins have lines of their own, and so have
//! limits.

use std::fmt::Display;

use lotmq_session::Time;
use parking_lot::Mutex;
use tracing::info;

/// Lines of one listener in a period; further refusals are counted, and told with the next line.
const LINES_MAX: u32 = 10;

/// The period in milliseconds.
const PERIOD_MS: u64 = 10_000;

/// What a listener has said of refused handshakes.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Period>);

#[derive(Debug, Default)]
struct Period {
    began_at_ms: u64,
    lines: u32,
    suppressed: u64,
}

impl Refusals {
    /// Tells the log that `peer` was refused at `listener`, unless it has been told much already.
    pub(crate) fn tell(
        &self,
        listener: &str,
        peer: &dyn Display,
        (reason, cause): (&str, &dyn Display),
        now: Time,
    ) {
        if let Some(suppressed) = self.0.lock().admit(now.as_millis()) {
            info!(target: "client", listener, %peer, reason, error = %cause, suppressed, "handshake refused");
        }
    }
}

impl Period {
    /// Whether a line may be written; then with how many were not since the last.
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

/// Something else than MQTT at the beginning of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Foreign {
    #[error("this is HTTP, and the listener speaks MQTT; WebSocket has a listener of its own")]
    Http,
    #[error("this is TLS, and the listener is not encrypted")]
    Tls,
}

impl Foreign {
    /// What begins with these bytes, where that is known.
    pub(crate) fn detect(bytes: &[u8]) -> Option<Self> {
        const METHODS: [&[u8]; 9] = [
            b"GET ",
            b"POST ",
            b"PUT ",
            b"HEAD ",
            b"DELETE ",
            b"OPTIONS ",
            b"PATCH ",
            b"CONNECT ",
            b"PRI * HTTP/2",
        ];
        if METHODS.iter().any(|method| bytes.starts_with(method)) {
            Some(Self::Http)
        } else if bytes.starts_with(&[0x16, 0x03]) {
            Some(Self::Tls)
        } else {
            None
        }
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

    #[test]
    fn what_is_no_mqtt_is_named() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], Some(Foreign::Http)),
            (b"PRI * HTTP/2.0\r\n", Some(Foreign::Http)),
            (b"\x16\x03\x01\x02\x00\x01", Some(Foreign::Tls)),
            (b"\x10\x0e\x00\x04MQTT", None),
            (b"\x30\x02", None),
            (b"G", None),
        ] {
            assert_eq!(Foreign::detect(bytes), expected);
        }
    }
}
