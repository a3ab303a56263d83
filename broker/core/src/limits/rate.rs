//! Rate limits per second: token buckets of one number each, which read no clock of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lotmq_auth::SessionBounds;
use lotmq_config::ListenerLimits;
use lotmq_session::Time;

use super::Limit;
use crate::limits::FRAME_BYTES_PER_PACKET;

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// Largest burst after a pause, as time at the even rate: a second's worth.
const BURST_NANOS: u64 = NANOS_PER_SEC;

/// Token bucket as one number: the time at which everything so far would have come at the even
/// rate, in nanoseconds of the broker's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    even_at: u64,
}

fn nanos(now: Time) -> u64 {
    now.as_millis().saturating_mul(1_000_000)
}

impl Bucket {
    /// Takes one token of `per_sec`, if there is one. 0 bounds nothing.
    pub fn take(&mut self, per_sec: u32, now: Time) -> bool {
        if per_sec == 0 {
            return true;
        }
        let cost = NANOS_PER_SEC / u64::from(per_sec);
        let next = self.even_at.max(nanos(now)) + cost;
        let may = next <= nanos(now) + BURST_NANOS;
        if may {
            self.even_at = next;
        }
        may
    }

    /// Spends `count` tokens of `per_sec` for what has come already.
    fn spend(&mut self, count: u64, per_sec: u32, now: Time) {
        if per_sec > 0 {
            let cost = count.saturating_mul(NANOS_PER_SEC) / u64::from(per_sec);
            self.even_at = self.even_at.max(nanos(now)).saturating_add(cost);
        }
    }

    /// Whether the bucket is full again.
    pub fn is_idle(&self, now: Time) -> bool {
        self.even_at <= nanos(now)
    }

    /// Time until the next token; zero when there is one.
    fn debt(&self, now: Time) -> Duration {
        Duration::from_nanos(self.even_at.saturating_sub(nanos(now) + BURST_NANOS))
    }
}

/// Rate of all connections of one user. Threads count without a lock.
#[derive(Debug, Default)]
pub(crate) struct UserRate {
    messages: SharedBucket,
    bytes: SharedBucket,
}

/// [`Bucket`] of several threads, for tokens that are spent after the fact.
#[derive(Debug, Default)]
struct SharedBucket {
    even_at: AtomicU64,
}

impl SharedBucket {
    /// Spends `count` tokens of `per_sec` for what has come already.
    fn spend(&self, count: u64, per_sec: u32, now: Time) {
        if per_sec == 0 || count == 0 {
            return;
        }
        let (cost, now) = (count.saturating_mul(NANOS_PER_SEC) / u64::from(per_sec), nanos(now));
        let next = |even_at: u64| Some(even_at.max(now).saturating_add(cost));
        // It never fails.
        let _ = self.even_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// Time until the next token; zero when there is one.
    fn debt(&self, now: Time) -> Duration {
        Bucket { even_at: self.even_at.load(Ordering::Relaxed) }.debt(now)
    }
}

/// Bounds of the user of a Client, with the rate that all connections of the user have in common.
#[derive(Clone, Debug)]
pub(crate) struct UserBounds {
    pub(crate) rate: Arc<UserRate>,
    pub(crate) messages_per_sec: u32,
    pub(crate) bytes_per_sec: u32,
}

impl UserBounds {
    /// Debts of messages and of bytes.
    fn debts(&self, now: Time) -> (Duration, Duration) {
        (self.rate.messages.debt(now), self.rate.bytes.debt(now))
    }
}

/// Rate limit of one Client: messages and bytes per second that it may send. It is not read from
/// while it has sent too much.
#[derive(Debug)]
pub(crate) struct ClientRate {
    messages_per_sec: u32,
    bytes_per_sec: u32,
    messages: Bucket,
    bytes: Bucket,
    /// Bytes of frames and records below MQTT for which no packet has come yet.
    unpaid_overhead: u64,
    /// Bounds of its user, if there are any.
    of_user: Option<UserBounds>,
    /// End of the present throttling.
    throttled_until: Option<Time>,
    /// Whole packets that have come wait for the end of the throttling.
    pub has_waiting: bool,
}

impl ClientRate {
    /// Rate limit that a listener sets for each Client, or a member of the login chain for this
    /// one, with the bounds of its user; `None` without a limit.
    pub(crate) fn of(
        limits: &ListenerLimits,
        of_member: SessionBounds,
        of_user: Option<UserBounds>,
    ) -> Option<Self> {
        let ListenerLimits { messages_per_sec, bytes_per_sec, .. } = *limits;
        let messages_per_sec = match of_member.messages_per_sec {
            Some(max) if messages_per_sec == 0 => max,
            Some(max) => messages_per_sec.min(max),
            None => messages_per_sec,
        };
        let is_bounded = messages_per_sec > 0 || bytes_per_sec > 0 || of_user.is_some();
        let (messages, bytes) = (Bucket::default(), Bucket::default());
        let (unpaid_overhead, throttled_until, has_waiting) = (0, None, false);
        is_bounded.then_some(Self {
            messages_per_sec,
            bytes_per_sec,
            messages,
            bytes,
            unpaid_overhead,
            of_user,
            throttled_until,
            has_waiting,
        })
    }

    /// Counts a packet that has come: a PUBLISH, or another one.
    pub(crate) fn spend(&mut self, is_message: bool, bytes: usize, now: Time) {
        self.spend_messages(u64::from(is_message), now);
        self.spend_bytes(bytes as u64, now);
        self.unpaid_overhead = self.unpaid_overhead.saturating_sub(FRAME_BYTES_PER_PACKET);
    }

    /// Counts bytes of the layers below MQTT that came beside `len` bytes of MQTT, such as frames
    /// of WebSocket without payload.
    pub(crate) fn spend_overhead(&mut self, overhead: usize, len: usize, now: Time) {
        self.spend_bytes(overhead as u64, now);
        // A long packet comes in many frames and records.
        let beyond = (overhead as u64).saturating_sub(len as u64 / FRAME_BYTES_PER_PACKET);
        self.unpaid_overhead = self.unpaid_overhead.saturating_add(beyond);
    }

    /// Counts one message for each [`FRAME_BYTES_PER_PACKET`] bytes of frames that no packet came
    /// with.
    pub(crate) fn pay_for_frames(&mut self, now: Time) {
        let messages = self.unpaid_overhead / FRAME_BYTES_PER_PACKET;
        self.unpaid_overhead %= FRAME_BYTES_PER_PACKET;
        self.spend_messages(messages, now);
    }

    fn spend_messages(&mut self, count: u64, now: Time) {
        self.messages.spend(count, self.messages_per_sec, now);
        if let Some(user) = &self.of_user {
            user.rate.messages.spend(count, user.messages_per_sec, now);
        }
    }

    fn spend_bytes(&mut self, count: u64, now: Time) {
        self.bytes.spend(count, self.bytes_per_sec, now);
        if let Some(user) = &self.of_user {
            user.rate.bytes.spend(count, user.bytes_per_sec, now);
        }
    }

    /// The longest debt, and its limit.
    fn debt(&self, now: Time) -> (Duration, Limit) {
        let of_user = self.of_user.as_ref().map(|user| user.debts(now)).unwrap_or_default();
        let others = [
            (self.bytes.debt(now), Limit::BytesPerSec),
            (of_user.0, Limit::MessagesPerSecPerUser),
            (of_user.1, Limit::BytesPerSecPerUser),
        ];
        let own = (self.messages.debt(now), Limit::MessagesPerSec);
        others.into_iter().fold(own, |longest, other| if other.0 > longest.0 { other } else { longest })
    }

    /// Whether more has come than is allowed.
    pub(crate) fn is_in_debt(&self, now: Time) -> bool {
        !self.debt(now).0.is_zero()
    }

    /// Whether the Client is throttled now; with the limit when that begins.
    pub(crate) fn throttle(&mut self, now: Time) -> Throttle {
        if self.throttled_until.is_some_and(|until| now < until) {
            return Throttle::GoesOn;
        }
        self.throttled_until = None;
        let (debt, limit) = self.debt(now);
        if debt.is_zero() {
            return Throttle::None;
        }
        // Debts in fractions of the clock's milliseconds are paid with the next one.
        let until = now.plus(debt + Duration::from_millis(1));
        self.throttled_until = Some(until);
        Throttle::Begins { until, limit }
    }

    /// Whether the Client is being throttled.
    pub(crate) fn is_throttled(&self) -> bool {
        self.throttled_until.is_some()
    }
}

/// Throttling of a Client at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttle {
    /// It may send.
    None,
    /// It has sent too much, and is not read from for a while.
    Begins {
        /// When it may send again.
        until: Time,
        /// The limit that was exceeded.
        limit: Limit,
    },
    /// Throttling began before.
    GoesOn,
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_config::Config;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_bucket_gives_a_second_at_once_and_then_evenly() {
        let mut bucket = Bucket::default();
        let taken = |bucket: &mut Bucket, now| (0..100).filter(|_| bucket.take(10, at(now))).count();
        assert_eq!(taken(&mut bucket, 5000), 10);
        assert_eq!(taken(&mut bucket, 5099), 0);
        assert_eq!(taken(&mut bucket, 5100), 1);
        assert_eq!(taken(&mut bucket, 5500), 4);
        assert!(!bucket.is_idle(at(5500)));
        assert_eq!(taken(&mut bucket, 60_000), 10, "what was not taken is not saved up");
        assert!((0..1000).all(|_| bucket.take(0, at(60_000))), "0 bounds nothing");
        let mut slow = Bucket::default();
        assert!(slow.take(1, at(0)) && !slow.take(1, at(999)) && slow.take(1, at(1000)));
    }

    #[test]
    fn frames_without_packets_are_charged_as_messages_and_frames_of_packets_are_not() {
        let mut config = Config::default();
        config.limits.messages_per_sec = 10;
        let rate = || ClientRate::of(&config.limits.for_all(), SessionBounds::default(), None).unwrap();
        // Ten packets in ten frames of WebSocket, in ten records of TLS.
        let mut usual = rate();
        usual.spend_overhead(10 * (29 + 14), 10 * 50, at(0));
        (0..10).for_each(|_| usual.spend(true, 50, at(0)));
        usual.pay_for_frames(at(0));
        assert!(!usual.is_in_debt(at(0)));
        // A long packet, in 64 records.
        let mut long = rate();
        (0..16).for_each(|_| {
            long.spend_overhead(4 * 29, 65_536, at(0));
            long.pay_for_frames(at(0));
        });
        long.spend(true, 1 << 20, at(0));
        assert!(!long.is_in_debt(at(0)));
        // Pings.
        let mut pings = rate();
        pings.spend_overhead(6 * 100, 0, at(0));
        pings.pay_for_frames(at(0));
        assert!(!pings.is_in_debt(at(0)), "a second's worth at once");
        pings.spend_overhead(6 * 100, 0, at(0));
        pings.pay_for_frames(at(0));
        assert!(matches!(pings.throttle(at(0)), Throttle::Begins { limit: Limit::MessagesPerSec, .. }));
        // Bytes count whether a packet came with them or not.
        config.limits.bytes_per_sec = 1_000;
        let mut bytes = ClientRate::of(&config.limits.for_all(), SessionBounds::default(), None).unwrap();
        bytes.spend_overhead(1_500, 100_000, at(0));
        assert!(matches!(bytes.throttle(at(0)), Throttle::Begins { limit: Limit::BytesPerSec, .. }));
    }

    #[test]
    fn a_client_is_throttled_for_what_it_sent_too_much() {
        let limits = |messages, bytes| {
            let mut config = Config::default();
            (config.limits.messages_per_sec, config.limits.bytes_per_sec) = (messages, bytes);
            config.limits.for_all()
        };
        assert!(ClientRate::of(&limits(0, 0), SessionBounds::default(), None).is_none());
        let mut rate = ClientRate::of(&limits(10, 1000), SessionBounds::default(), None).unwrap();
        (0..10).for_each(|_| rate.spend(true, 10, at(0)));
        rate.spend(false, 10, at(0));
        assert_eq!(rate.throttle(at(0)), Throttle::None, "a second's worth at once");
        (0..5).for_each(|_| rate.spend(true, 10, at(0)));
        assert_eq!(rate.throttle(at(0)), Throttle::Begins { until: at(501), limit: Limit::MessagesPerSec });
        assert_eq!((rate.throttle(at(100)), rate.is_throttled()), (Throttle::GoesOn, true));
        assert_eq!((rate.throttle(at(501)), rate.is_throttled()), (Throttle::None, false));
        rate.spend(true, 5000, at(501));
        let Throttle::Begins { limit: Limit::BytesPerSec, until } = rate.throttle(at(501)) else {
            panic!("it is throttled")
        };
        assert!(until > at(4000));
        assert_eq!(rate.throttle(until), Throttle::None);
        rate.spend(true, 10_000_000, until);
        let Throttle::Begins { until: paid, .. } = rate.throttle(until) else { panic!("it is throttled") };
        assert!(paid > until.plus(Duration::from_secs(9_000)), "however much it was, all of it is paid");
        assert!(rate.is_in_debt(until) && !rate.is_in_debt(paid));
    }

    #[test]
    fn connections_of_one_user_have_one_rate() {
        let shared = Arc::new(UserRate::default());
        let limits = Config::default().limits.for_all();
        let connection = || {
            let of_user =
                UserBounds { rate: Arc::clone(&shared), messages_per_sec: 10, bytes_per_sec: 1_000_000 };
            ClientRate::of(&limits, SessionBounds::default(), Some(of_user)).unwrap()
        };
        let (mut one, mut other) = (connection(), connection());
        (0..10).for_each(|_| one.spend(true, 10, at(0)));
        assert_eq!(other.throttle(at(0)), Throttle::None, "a second's worth at once");
        (0..5).for_each(|_| other.spend(true, 10, at(0)));
        let begins = Throttle::Begins { until: at(501), limit: Limit::MessagesPerSecPerUser };
        assert_eq!((one.throttle(at(0)), other.throttle(at(0))), (begins, begins));
        assert_eq!(one.throttle(at(501)), Throttle::None);
        one.spend(false, 5_000_000, at(501));
        assert!(matches!(one.throttle(at(501)), Throttle::Begins { limit: Limit::BytesPerSecPerUser, .. }));
    }
}
