//! Bytes that connections keep: of what has not come whole (packets, handshakes below MQTT, the
//! topics behind Topic Aliases), and of what their clients do not read.
//!
//! Each connection counts its own in its place at the listener, in steps of a KiB; here they are
//! added up, for a listener and for the broker. When there are too many, who holds more than an
//! even share of what is allowed is closed as it brings more, and those who hold most and bring
//! nothing at the next tick: a few who send half a packet each and wait keep nobody else from
//! sending a whole one.
//!
//! Not `lotmq_shares::AccountShares`: holders are connections, and each read changes the sum, by
//! atomic additions. Not here: what is counted, and when (`net`).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::limits::Limit;

/// Sum of the bytes of one kind that connections keep.
#[derive(Debug, Default)]
pub struct Unfinished {
    bytes: AtomicU64,
    /// Number of connections that keep any.
    holders: AtomicU32,
}

impl Unfinished {
    /// Notes that a connection keeps `held` bytes instead of `before`. False when that makes too
    /// many, and this connection has more than its share.
    pub fn change(&self, before: u32, held: u32, bytes_max: u64) -> bool {
        let (_, holders) = self.note(before, held);
        held <= before
            || !self.is_above(bytes_max)
            || u64::from(held) <= bytes_max / u64::from(holders.max(1))
    }

    /// Notes that a connection keeps `held` bytes instead of `before`; how many connections kept
    /// any before, and do now.
    pub(crate) fn note(&self, before: u32, held: u32) -> (u32, u32) {
        let order = Ordering::Relaxed;
        if held <= before {
            self.bytes.fetch_sub((before - held).into(), order);
        } else {
            self.bytes.fetch_add((held - before).into(), order);
        }
        match (before, held) {
            (0, 1..) => {
                let holders = self.holders.fetch_add(1, order);
                (holders, holders + 1)
            }
            (1.., 0) => {
                let holders = self.holders.fetch_sub(1, order);
                (holders, holders - 1)
            }
            _ => {
                let holders = self.holders.load(order);
                (holders, holders)
            }
        }
    }

    /// Number of connections that keep any.
    pub(crate) fn holders(&self) -> u32 {
        self.holders.load(Ordering::Relaxed)
    }

    /// Sum of the bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Adds bytes that several connections keep together. Each of them that keeps any of its own
    /// counts as a holder by those.
    pub(crate) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Removes bytes that were added.
    pub(crate) fn remove(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes that one connection may keep: anything while the sum is within its bound, an even
    /// share then.
    pub fn share(&self, bytes_max: u64) -> u64 {
        if self.is_above(bytes_max) {
            bytes_max / u64::from(self.holders.load(Ordering::Relaxed).max(1))
        } else {
            u64::MAX
        }
    }

    /// Whether the sum is above its bound.
    pub fn is_above(&self, bytes_max: u64) -> bool {
        self.bytes.load(Ordering::Relaxed) > bytes_max
    }
}

/// Limit on the bytes that a connection keeps: before its CONNECT, and after.
pub fn limit_of(is_half_open: bool) -> Limit {
    if is_half_open { Limit::HalfOpenBytes } else { Limit::PartialBytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_above_its_share_of_unfinished_packets_is_rejected() {
        let sum = Unfinished::default();
        assert!(sum.change(0, 600, 1000), "alone there is room for more than half");
        assert!(sum.change(0, 300, 1000));
        assert!(sum.change(0, 200, 1000), "too many, but not his fault");
        assert!(sum.is_above(1000));
        assert!(!sum.change(200, 400, 1000), "above a third");
        assert!(!sum.change(600, 601, 1000));
        sum.change(601, 0, 1000);
        sum.change(400, 0, 1000);
        assert!(!sum.is_above(1000));
        assert!(sum.change(300, 1000, 1000));
        assert_eq!(sum.share(1000), u64::MAX);
        sum.change(0, 1, 1000);
        assert_eq!(sum.share(1000), 500);
        sum.change(1, 0, 1000);
        sum.change(1000, 0, 1000);
        assert_eq!((sum.bytes.into_inner(), sum.holders.into_inner()), (0, 0));
    }
}
