//! Rates of what a client of QUIC sends beside the data of its stream: frames without data,
//! padding, acknowledgements that nothing asks for.
//!
//! A connection over TCP is not read from while it has sent too much. Datagrams of QUIC come by the
//! socket of all connections and are handled before anybody knows
//! what they hold. So they are charged afterwards: to the client's rates, at its next data, and a
//! connection whose overhead alone exceeds them ends.
//!
//! Without rates nothing is looked at, and no timer runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lotmq_config::ListenerLimits;
use lotmq_core::limits::Limit;
use quinn::{Connection, ConnectionStats};
use tokio::time::{Instant, sleep};

use super::super::relayed::Relayed;

/// Time between two looks at a connection.
const LOOK: Duration = Duration::from_secs(1);

/// Bytes that a datagram may have around the data of its stream: headers, the tag of its
/// encryption, and an acknowledgement beside it.
const DATAGRAM_OVERHEAD_BYTES: u64 = 100;

/// Bytes of an acknowledgement in a datagram of its own, of which the client owes one for what it
/// is sent.
const ACKNOWLEDGEMENT_BYTES: u64 = 100;

/// Bytes of overhead that every connection may have once: its handshake, padded as it must be, and
/// the probes for its path.
const START_BYTES: u64 = 64 << 10;

/// Bytes of overhead that count as one message, as of the layers above TCP.
const BYTES_PER_MESSAGE: u64 = 64;

/// Debt of one connection: bytes and messages of overhead that came too early.
#[derive(Debug, Default)]
struct Debt {
    bytes: f64,
    messages: f64,
    /// Overhead up to the last look.
    overhead: u64,
}

/// Overhead that nothing that was sent or received accounts for, since the connection began.
fn overhead(stats: &ConnectionStats, data: u64) -> u64 {
    let (received, sent) = (&stats.frame_rx, &stats.frame_tx);
    // Acknowledgements are of what asks for one, and the client has not made us send.
    let asked = sent.stream + sent.ping + sent.max_data + sent.max_stream_data;
    let due = received.stream.min(data).saturating_mul(DATAGRAM_OVERHEAD_BYTES)
        + asked.saturating_mul(ACKNOWLEDGEMENT_BYTES)
        + START_BYTES;
    stats.udp_rx.bytes.saturating_sub(data).saturating_sub(due)
}

impl Debt {
    /// Counts the overhead so far; returns what is new of it, and the limit that it exceeds.
    fn count(&mut self, overhead: u64, passed: Duration, limits: &ListenerLimits) -> (u64, Option<Limit>) {
        let new = overhead.saturating_sub(self.overhead);
        self.overhead = self.overhead.max(overhead);
        let paid = |debt: f64, rate: u32| (debt - f64::from(rate) * passed.as_secs_f64()).max(0.0);
        #[expect(clippy::cast_precision_loss, reason = "bytes of a second are far below 2^53")]
        let more = new as f64;
        #[expect(clippy::cast_precision_loss, reason = "a small constant")]
        let per_message = BYTES_PER_MESSAGE as f64;
        self.bytes = paid(self.bytes, limits.bytes_per_sec) + more;
        self.messages = paid(self.messages, limits.messages_per_sec) + more / per_message;
        // A second's worth may come at once, and another one between two looks.
        let exceeds = |debt: f64, rate: u32| rate > 0 && debt > 2.0 * f64::from(rate);
        let limit = match () {
            () if exceeds(self.bytes, limits.bytes_per_sec) => Some(Limit::BytesPerSec),
            () if exceeds(self.messages, limits.messages_per_sec) => Some(Limit::MessagesPerSec),
            () => None,
        };
        (new, limit)
    }
}

/// Waits until a connection has sent too much overhead, and returns the limit. `data`: bytes of its
/// stream so far.
pub(super) async fn exceeded(
    connection: &Connection,
    data: &AtomicU64,
    limits: &ListenerLimits,
    relayed: &Relayed,
) -> Limit {
    if limits.bytes_per_sec == 0 && limits.messages_per_sec == 0 {
        return std::future::pending().await;
    }
    let (mut debt, mut looked) = (Debt::default(), Instant::now());
    loop {
        sleep(LOOK).await;
        let now = Instant::now();
        let (new, limit) = debt.count(
            overhead(&connection.stats(), data.load(Ordering::Relaxed)),
            now.duration_since(looked),
            limits,
        );
        looked = now;
        relayed.add_overhead(new);
        if let Some(limit) = limit {
            return limit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_config::Config;

    fn limits(bytes: u32, messages: u32) -> ListenerLimits {
        let mut config = Config::default();
        (config.limits.bytes_per_sec, config.limits.messages_per_sec) = (bytes, messages);
        config.limits.for_all()
    }

    fn stats(received: u64, frames: u64, sent: u64) -> ConnectionStats {
        let mut stats = ConnectionStats::default();
        stats.udp_rx.bytes = received;
        stats.frame_rx.stream = frames;
        stats.frame_tx.stream = sent;
        stats
    }

    #[test]
    fn data_and_acknowledgement_bytes_do_not_count_as_overhead() {
        assert_eq!(overhead(&stats(START_BYTES, 0, 0), 0), 0);
        assert_eq!(overhead(&stats(START_BYTES + 1_000, 0, 0), 0), 1_000);
        // A thousand small messages, and a subscriber who acknowledges what it gets.
        assert_eq!(overhead(&stats(1_000 * 160, 1_000, 0), 1_000 * 100), 0);
        assert_eq!(overhead(&stats(START_BYTES + 1_000 * 80, 0, 1_000), 0), 0);
        // Frames of a stream without a byte in them are overhead.
        assert_eq!(overhead(&stats(START_BYTES + 1_000 * 40, 1_000, 0), 0), 40_000);
    }

    #[test]
    fn overhead_beyond_a_rate_ends_the_connection_and_all_of_it_is_charged() {
        let second = Duration::from_secs(1);
        let mut debt = Debt::default();
        let slow = limits(1_000, 0);
        assert_eq!(debt.count(900, second, &slow), (900, None));
        assert_eq!(debt.count(1_800, second, &slow), (900, None));
        assert_eq!(debt.count(1_800, 60 * second, &slow), (0, None));
        assert_eq!(debt.count(3_900, second, &slow), (2_100, Some(Limit::BytesPerSec)));
        let mut debt = Debt::default();
        let few = limits(0, 10);
        assert_eq!(debt.count(20 * BYTES_PER_MESSAGE, second, &few), (1_280, None));
        assert_eq!(debt.count(40 * BYTES_PER_MESSAGE, second, &few), (1_280, Some(Limit::MessagesPerSec)));
        // Pauses are not saved up.
        let mut debt = Debt::default();
        assert_eq!(debt.count(0, 3_600 * second, &slow), (0, None));
        assert_eq!(debt.count(2_001, second, &slow).1, Some(Limit::BytesPerSec));
    }
}
