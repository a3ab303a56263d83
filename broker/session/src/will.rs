//! The Will of a session: whether and when it is published.
//!
//! Armed by CONNECT, disarmed by DISCONNECT with 0x00; the end of the connection, the passing of
//! its delay or the end of the session publishes it, a return of the Client before that cancels it.
//!
//! Invariants: a Will is published at most once; a Client that resumed its session before the delay
//! passed sees none \[MQTT-3.1.3-9\]; no delay outlasts the session.

use crate::{SessionExpiry, Time};
use std::time::Duration;

/// The Will of one session; `W` is a handle of the message.
///
/// ```
/// use lotmq_session::{SessionExpiry, Time, WillDecision, WillState};
/// use std::time::Duration;
///
/// let mut will = WillState::default();
/// will.handle_connect(Some(("gone", Duration::from_secs(30))));
/// let lost_at = Time::from_millis(0);
/// let due = match will.handle_connection_lost(lost_at, SessionExpiry::from_seconds(10)) {
///     WillDecision::Later(due) => due,
///     decision => panic!("{decision:?}"),
/// };
/// assert_eq!(due, Time::from_millis(10_000)); // the session ends before the delay does
/// assert_eq!(will.handle_timeout(due), Some("gone"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WillState<W> {
    /// There is none, or it is over.
    #[default]
    None,
    /// The connection is there; what CONNECT named, with its Will Delay Interval (zero before 5.0).
    Armed {
        /// The message.
        will: W,
        /// Will Delay Interval, 0 to 2^32 - 1 seconds.
        delay: Duration,
    },
    /// The connection is gone and the delay runs.
    Delayed {
        /// The message.
        will: W,
        /// When to publish it.
        due: Time,
    },
}

/// Decision about the Will at the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WillDecision<W> {
    /// Nothing: there is none.
    Nothing,
    /// Publish it now.
    Publish(W),
    /// Call [`WillState::handle_timeout`] at this time.
    Later(Time),
}

impl<W> WillState<W> {
    /// CONNECT was accepted: its Will replaces any other, and without one there is none
    /// \[MQTT-3.1.2-7\].
    ///
    /// A delayed Will of a session that was resumed is cancelled by that. If the session was *not*
    /// resumed, call [`handle_session_end`](Self::handle_session_end) for the old one first.
    pub fn handle_connect(&mut self, will: Option<(W, Duration)>) {
        *self = will.map_or(Self::None, |(will, delay)| Self::Armed { will, delay });
    }

    /// DISCONNECT with 0x00: the Will is discarded \[MQTT-3.14.4-3\]. For no other reason code,
    /// 0x04 included.
    pub fn handle_normal_disconnect(&mut self) {
        *self = Self::None;
    }

    /// The connection ended in any other way: network loss, Keep Alive, protocol error, close by
    /// the server.
    ///
    /// The Will is due when its delay has passed or the session ends, whichever is first
    /// \[MQTT-3.1.3-9\]; at once if that is now.
    pub fn handle_connection_lost(&mut self, now: Time, expiry: SessionExpiry) -> WillDecision<W> {
        match std::mem::take(self) {
            Self::None => WillDecision::Nothing,
            Self::Delayed { will, due } => {
                *self = Self::Delayed { will, due };
                WillDecision::Later(due)
            }
            Self::Armed { will, delay } => {
                let delayed = now.plus(delay);
                let due = expiry.deadline(now).map_or(delayed, |end| end.min(delayed));
                if due <= now {
                    return WillDecision::Publish(will);
                }
                *self = Self::Delayed { will, due };
                WillDecision::Later(due)
            }
        }
    }

    /// Another connection of the Client takes over; call before its
    /// [`handle_connect`](Self::handle_connect).
    ///
    /// Returns the Will to publish: always, unless the session goes on and the Will has a delay
    /// (§3.1.4, §3.1.3.2.2). `is_resumed`: the new CONNECT has Clean Start 0 (Clean Session 0) and
    /// the session does not end with the old connection.
    pub fn handle_takeover(&mut self, is_resumed: bool) -> Option<W> {
        match std::mem::take(self) {
            Self::Armed { delay, .. } if is_resumed && !delay.is_zero() => None,
            Self::Delayed { .. } if is_resumed => None,
            Self::Armed { will, .. } | Self::Delayed { will, .. } => Some(will),
            Self::None => None,
        }
    }

    /// The session ended: by expiry, by a clean start, by command. Returns the Will to publish, if
    /// one was left.
    pub fn handle_session_end(&mut self) -> Option<W> {
        match std::mem::take(self) {
            Self::Armed { will, .. } | Self::Delayed { will, .. } => Some(will),
            Self::None => None,
        }
    }

    /// The Will to publish, if its delay has passed.
    pub fn handle_timeout(&mut self, now: Time) -> Option<W> {
        match self.next_timeout() {
            Some(due) if due <= now => self.handle_session_end(),
            Some(_) | None => None,
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub const fn next_timeout(&self) -> Option<Time> {
        match self {
            Self::Delayed { due, .. } => Some(*due),
            Self::None | Self::Armed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_000_000);

    fn armed(delay: u64) -> WillState<&'static str> {
        let mut will = WillState::default();
        will.handle_connect(Some(("gone", Duration::from_secs(delay))));
        will
    }

    fn after(seconds: u64) -> Time {
        NOW.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn lost_connection_publishes_after_delay_or_session() {
        use WillDecision::{Later, Publish};
        for (delay, expiry, expected) in [
            (0, 0, Publish("gone")),
            (0, 60, Publish("gone")),
            (30, 0, Publish("gone")), // the session ends now, [MQTT-3.1.3-9]
            (30, 60, Later(after(30))),
            (60, 30, Later(after(30))), // the session ends first
            (60, u32::MAX, Later(after(60))),
        ] {
            let mut will = armed(delay);
            let decision = will.handle_connection_lost(NOW, SessionExpiry::from_seconds(expiry));
            assert_eq!(decision, expected, "delay {delay}, expiry {expiry}");
        }
        assert_eq!(
            WillState::<()>::None.handle_connection_lost(NOW, SessionExpiry::NEVER),
            WillDecision::Nothing
        );
    }

    #[test]
    fn delayed_will_is_published_once() {
        let mut will = armed(10);
        will.handle_connection_lost(NOW, SessionExpiry::NEVER);
        assert_eq!(will.next_timeout(), Some(after(10)));
        assert_eq!(will.handle_timeout(after(9)), None);
        assert_eq!(will.handle_timeout(after(10)), Some("gone"));
        assert_eq!(will.handle_timeout(after(11)), None);
        assert_eq!(will.handle_session_end(), None);
    }

    #[test]
    fn return_of_the_client_cancels_a_delayed_will() {
        let mut will = armed(10);
        will.handle_connection_lost(NOW, SessionExpiry::NEVER);
        will.handle_connect(None);
        assert_eq!(will.handle_timeout(after(100)), None);
    }

    #[test]
    fn end_of_the_session_publishes_what_is_left() {
        let mut will = armed(10);
        will.handle_connection_lost(NOW, SessionExpiry::NEVER);
        assert_eq!(will.handle_session_end(), Some("gone"));
    }

    #[test]
    fn normal_disconnect_discards_the_will() {
        let mut will = armed(0);
        will.handle_normal_disconnect(); // [MQTT-3.14.4-3]
        assert_eq!(will.handle_connection_lost(NOW, SessionExpiry::NEVER), WillDecision::Nothing);
    }

    #[test]
    fn takeover_publishes_unless_resumed_with_a_delay() {
        for (delay, is_resumed, expected) in
            [(0, true, Some("gone")), (10, true, None), (10, false, Some("gone")), (0, false, Some("gone"))]
        {
            assert_eq!(armed(delay).handle_takeover(is_resumed), expected, "delay {delay}, {is_resumed}");
        }
    }
}
