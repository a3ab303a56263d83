//! Keep Alive: how long a Client may be silent.
//!
//! Told of every packet from the Client; asked when its deadline passes, by a timer that is not
//! moved at each packet.

use crate::Time;
use crate::limits::{PARTIAL_PACKET_BYTES, PARTIAL_PACKET_INTERVALS};
use std::num::NonZeroU16;
use std::time::Duration;

/// The Keep Alive of one connection.
///
/// Only packets *from* the Client count \[MQTT-3.1.2-22\]. A half-received packet does not count,
/// with one exception, so that a large upload over a slow link is not cut for ever: at least
/// [`PARTIAL_PACKET_BYTES`] new bytes of it in an interval count as activity, in at most
/// [`PARTIAL_PACKET_INTERVALS`] intervals of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    seconds: Option<NonZeroU16>,
    intervals_granted: u8,
    bytes_seen: u32,
    active_at: Time,
}

/// Result of a check at the Keep Alive deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAliveVerdict {
    /// The Client was active meanwhile: ask again at this time.
    AliveUntil(Time),
    /// Close as if the network had failed; the Will is sent. 5.0: DISCONNECT 0x8D.
    Expired,
    /// There is no Keep Alive.
    Off,
}

impl KeepAlive {
    /// The Keep Alive of CONNECT, or the Server Keep Alive if one was sent \[MQTT-3.1.2-21\]; 0
    /// turns it off.
    #[must_use]
    pub const fn new(seconds: u16, now: Time) -> Self {
        Self { seconds: NonZeroU16::new(seconds), intervals_granted: 0, bytes_seen: 0, active_at: now }
    }

    /// A whole packet has come from the Client.
    pub const fn handle_packet(&mut self, now: Time) {
        self.active_at = now;
        self.intervals_granted = 0;
        self.bytes_seen = 0;
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): 1.5 times the Keep Alive after the
    /// last packet.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        Some(self.active_at.plus(self.patience()?))
    }

    /// Judges the Client; `partial_bytes` are the bytes there are of a packet that is not whole
    /// yet, 0 if there is none.
    pub fn handle_timeout(&mut self, now: Time, partial_bytes: u32) -> KeepAliveVerdict {
        let (Some(deadline), Some(patience)) = (self.deadline(), self.patience()) else {
            return KeepAliveVerdict::Off;
        };
        if now < deadline {
            return KeepAliveVerdict::AliveUntil(deadline);
        }
        let is_moving = partial_bytes.saturating_sub(self.bytes_seen) >= PARTIAL_PACKET_BYTES;
        if !is_moving || self.intervals_granted == PARTIAL_PACKET_INTERVALS {
            return KeepAliveVerdict::Expired;
        }
        self.intervals_granted += 1;
        self.bytes_seen = partial_bytes;
        self.active_at = now;
        KeepAliveVerdict::AliveUntil(now.plus(patience))
    }

    fn patience(&self) -> Option<Duration> {
        self.seconds.map(|seconds| Duration::from_millis(u64::from(seconds.get()) * 1500))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn silence_of_one_and_a_half_keep_alives_expires() {
        let mut keep_alive = KeepAlive::new(10, at(0)); // [MQTT-3.1.2-22]
        assert_eq!(keep_alive.deadline(), Some(at(15)));
        keep_alive.handle_packet(at(4));
        assert_eq!(keep_alive.handle_timeout(at(15), 0), KeepAliveVerdict::AliveUntil(at(19)));
        assert_eq!(keep_alive.handle_timeout(at(19), 0), KeepAliveVerdict::Expired);
    }

    #[test]
    fn keep_alive_of_zero_never_expires() {
        let mut keep_alive = KeepAlive::new(0, at(0));
        assert_eq!(keep_alive.deadline(), None);
        assert_eq!(keep_alive.handle_timeout(at(1_000_000), 0), KeepAliveVerdict::Off);
    }

    #[test]
    fn slow_upload_counts_for_ten_intervals() {
        let mut keep_alive = KeepAlive::new(2, at(0));
        for interval in 1..=10 {
            let verdict =
                keep_alive.handle_timeout(at(3 * interval), 1024 * u32::try_from(interval).unwrap());
            assert_eq!(verdict, KeepAliveVerdict::AliveUntil(at(3 * interval + 3)));
        }
        assert_eq!(keep_alive.handle_timeout(at(33), 1_000_000), KeepAliveVerdict::Expired);
    }

    #[test]
    fn trickle_below_a_kibibyte_expires() {
        let mut keep_alive = KeepAlive::new(2, at(0));
        assert_eq!(keep_alive.handle_timeout(at(3), 1024), KeepAliveVerdict::AliveUntil(at(6)));
        assert_eq!(keep_alive.handle_timeout(at(6), 2047), KeepAliveVerdict::Expired);
    }
}
