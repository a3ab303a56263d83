//! How long a session outlives its connection.

use crate::Time;
use lotmq_codec::ProtocolVersion;
use std::time::Duration;

/// The Session Expiry Interval in seconds; 0 ends the session with its connection, 0xFFFFFFFF never
/// ends it.
///
/// It runs from the close of the connection, and the last connection's value counts
/// \[MQTT-3.1.2-23\].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionExpiry(u32);

/// A DISCONNECT that would make a session outlive its connection although CONNECT said otherwise.
/// Protocol error, 0x82.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("session expiry interval raised from 0 to {seconds} in DISCONNECT")]
pub struct ExpiryRaised {
    /// Expiry interval that the DISCONNECT asked for, in seconds.
    pub seconds: u32,
}

impl SessionExpiry {
    /// The session ends with its connection.
    pub const WITH_CONNECTION: Self = Self(0);
    /// The session does not expire.
    pub const NEVER: Self = Self(u32::MAX);

    /// The interval of this many seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds)
    }

    /// Returns the expiry interval of a CONNECT, capped at `maximum`.
    ///
    /// 5.0: the property, or 0; `clean` is Clean Start and says nothing about it. Before: `clean`
    /// is Clean Session, and a session that is not clean lives for `maximum`
    /// \[3.1.1: MQTT-3.1.2-4, -6\].
    #[must_use]
    pub fn from_connect(version: ProtocolVersion, clean: bool, property: Option<u32>, maximum: Self) -> Self {
        match (version.has_properties(), clean) {
            (true, _) => Self(property.unwrap_or(0)).min(maximum),
            (false, true) => Self::WITH_CONNECTION,
            (false, false) => maximum,
        }
    }

    /// Returns the expiry interval after a DISCONNECT. Without the property it stays the same
    /// (§3.14.2.2.2).
    ///
    /// # Errors
    /// [`ExpiryRaised`], if a session that ends with its connection is to live longer.
    pub fn after_disconnect(self, property: Option<u32>, maximum: Self) -> Result<Self, ExpiryRaised> {
        match property {
            None => Ok(self),
            Some(seconds) if self == Self::WITH_CONNECTION && seconds > 0 => Err(ExpiryRaised { seconds }),
            Some(seconds) => Ok(Self(seconds).min(maximum)),
        }
    }

    /// The value of the property, in seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// Whether the session ends with its connection.
    #[must_use]
    pub const fn ends_with_connection(self) -> bool {
        self.0 == 0
    }

    /// When a session whose connection closed at `disconnected_at` ends; `None` if never.
    #[must_use]
    pub fn deadline(self, disconnected_at: Time) -> Option<Time> {
        (self != Self::NEVER).then(|| disconnected_at.plus(Duration::from_secs(self.0.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProtocolVersion::{V3_1, V3_1_1, V5};

    const MAXIMUM: SessionExpiry = SessionExpiry::from_seconds(1000);

    #[test]
    fn connect_decides_how_long_a_session_lives() {
        for (version, clean, property, seconds) in [
            (V5, false, None, 0), // absent means 0, §3.1.2.11.2
            (V5, true, Some(10), 10),
            (V5, false, Some(u32::MAX), 1000),
            (V3_1_1, true, None, 0),     // [3.1.1: MQTT-3.1.2-6]
            (V3_1_1, false, None, 1000), // [3.1.1: MQTT-3.1.2-4]
            (V3_1, false, None, 1000),
        ] {
            let expiry = SessionExpiry::from_connect(version, clean, property, MAXIMUM);
            assert_eq!(expiry.seconds(), seconds, "{version:?} {clean} {property:?}");
        }
    }

    #[test]
    fn disconnect_may_change_but_not_raise_from_zero() {
        for (before, property, expected) in [
            (10, None, Ok(10)),
            (10, Some(0), Ok(0)),
            (10, Some(20), Ok(20)),
            (10, Some(2000), Ok(1000)),
            (0, Some(0), Ok(0)),
            (0, None, Ok(0)),
            (0, Some(1), Err(ExpiryRaised { seconds: 1 })), // §3.14.2.2.2
        ] {
            let after = SessionExpiry::from_seconds(before).after_disconnect(property, MAXIMUM);
            assert_eq!(after.map(SessionExpiry::seconds), expected, "{before} {property:?}");
        }
    }

    #[test]
    fn session_expires_after_the_interval_or_never() {
        let closed = Time::from_millis(500);
        assert_eq!(SessionExpiry::from_seconds(2).deadline(closed), Some(Time::from_millis(2500)));
        assert_eq!(SessionExpiry::WITH_CONNECTION.deadline(closed), Some(closed));
        assert_eq!(SessionExpiry::NEVER.deadline(closed), None);
    }
}
