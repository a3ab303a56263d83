//! Allowance for bytes that expand beyond `inflate_ratio`, over all connections: by address, by
//! user, and in all.
//!
//! A connection may expand as much as one packet beyond the ratio. Without this allowance each
//! further connection, and each new one in place of a closed one, got a packet free. Not
//! `lotmq_shares::AccountShares`: these are leaky buckets, because time gives the bytes back.
//! Invariants: the table has at most [`HOLDERS_MAX`] rows; the lock is the innermost. Not here: how
//! much a connection expands (`layers`).

use std::time::Duration;

use hashbrown::HashMap;
use lotmq_session::Time;
use parking_lot::Mutex;

/// Time in which a whole allowance comes back.
const REFILL: Duration = Duration::from_secs(60);

/// Largest packets that one address or user may expand beyond the ratio within [`REFILL`].
const PACKETS_OF_ONE: u64 = 2;

/// The same of all connections together.
const PACKETS_OF_ALL: u64 = 8;

/// Part of [`PACKETS_OF_ALL`] for connections without a user, anonymous or before their login. The
/// rest is for accounts, so that strangers with many addresses do not close their connections.
const PACKETS_OF_STRANGERS: u64 = 4;

/// Addresses and users whose allowances are known at once. Others share one.
const HOLDERS_MAX: usize = 4_096;

/// Allowance of a broker.
#[derive(Default)]
pub(crate) struct Inflated(Mutex<Table>);

#[derive(Default)]
struct Table {
    all: Level,
    /// Of `all`, what connections without an account took.
    strangers: Level,
    of: HashMap<QuotaHolder, Level>,
}

/// Holder of an allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum QuotaHolder {
    Address(u64),
    Account(u64),
    /// All for whom there is no row.
    Others,
}

/// Leaky bucket: bytes that were taken and have not come back.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    bytes: u64,
    at: Time,
}

impl Level {
    /// Bytes that are still taken, of `max` that come back within [`REFILL`].
    fn at(self, max: u64, now: Time) -> u64 {
        let elapsed_ms = u128::from(now.as_millis().saturating_sub(self.at.as_millis()));
        let back = u128::from(max) * elapsed_ms / REFILL.as_millis();
        self.bytes.saturating_sub(u64::try_from(back).unwrap_or(u64::MAX))
    }
}

impl Inflated {
    /// Takes bytes for a connection from this address and, once somebody has logged in, of this
    /// account; `packet_max` is the largest packet. False when that is more than the address, the
    /// account or all may have now; then nothing is taken.
    pub(crate) fn take(
        &self,
        (address, account): (u64, Option<u64>),
        bytes: u64,
        packet_max: u64,
        now: Time,
    ) -> bool {
        let mut table = self.0.lock();
        let own_max = packet_max.saturating_mul(PACKETS_OF_ONE);
        let all_max = packet_max.saturating_mul(PACKETS_OF_ALL);
        let of_all = table.all.at(all_max, now).saturating_add(bytes);
        let strangers_max = packet_max.saturating_mul(PACKETS_OF_STRANGERS);
        let of_strangers = match account {
            None => table.strangers.at(strangers_max, now).saturating_add(bytes),
            Some(_) => 0,
        };
        let holders = [Some(QuotaHolder::Address(address)), account.map(QuotaHolder::Account)];
        let mut levels = [None; 2];
        for (level, holder) in levels.iter_mut().zip(holders) {
            let Some(holder) = holder else { continue };
            let holder = table.row(holder, own_max, now);
            let taken = table.of.get(&holder).copied().unwrap_or_default().at(own_max, now);
            *level = Some((holder, taken.saturating_add(bytes)));
        }
        let is_too_much = of_all > all_max || of_strangers > strangers_max;
        if is_too_much || levels.iter().flatten().any(|(_, taken)| *taken > own_max) {
            return false;
        }
        table.all = Level { bytes: of_all, at: now };
        if account.is_none() {
            table.strangers = Level { bytes: of_strangers, at: now };
        }
        table
            .of
            .extend(levels.into_iter().flatten().map(|(holder, bytes)| (holder, Level { bytes, at: now })));
        true
    }
}

impl Table {
    /// The row of a payer. O(rows) when the table is full, as those that are empty are removed
    /// then.
    fn row(&mut self, holder: QuotaHolder, max: u64, now: Time) -> QuotaHolder {
        if self.of.len() < HOLDERS_MAX || self.of.contains_key(&holder) {
            return holder;
        }
        self.of.retain(|_, level| level.at(max, now) > 0);
        if self.of.len() < HOLDERS_MAX { holder } else { QuotaHolder::Others }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: u64 = 500;

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn an_address_has_two_packets_however_many_connections_it_has() {
        let inflated = Inflated::default();
        let take = |address, account, bytes, now| inflated.take((address, account), bytes, PACKET, now);
        assert!(take(1, None, 600, at(0)));
        assert!(!take(1, None, 500, at(0)), "another connection from the same address");
        assert!(take(1, None, 400, at(0)), "what was refused was not taken");
        assert!(!take(1, None, 1, at(0)));
        assert!(take(2, None, 1_000, at(0)), "another address");
        assert!(take(1, None, 500, at(30)), "half of it has come back");
        assert!(!take(1, None, 1, at(30)));
    }

    #[test]
    fn an_account_has_two_packets_from_however_many_addresses() {
        let inflated = Inflated::default();
        let take = |address, account, bytes| inflated.take((address, Some(account)), bytes, PACKET, at(0));
        assert!(take(1, 7, 700));
        assert!(!take(2, 7, 700));
        assert!(take(2, 8, 700));
    }

    #[test]
    fn all_accounts_together_have_eight_packets() {
        let inflated = Inflated::default();
        let taken = (0..100).filter(|n| inflated.take((*n, Some(*n)), PACKET, PACKET, at(0))).count() as u64;
        assert_eq!(taken, PACKETS_OF_ALL);
        assert!(inflated.take((200, Some(200)), PACKET, PACKET, at(8)));
    }

    #[test]
    fn strangers_leave_half_of_the_allowance_to_accounts() {
        let inflated = Inflated::default();
        let taken =
            (0..100).filter(|address| inflated.take((*address, None), PACKET, PACKET, at(0))).count() as u64;
        assert_eq!(taken, PACKETS_OF_STRANGERS);
        assert!(inflated.take((1, Some(7)), PACKET, PACKET, at(0)), "an account at a stranger's address");
        assert!(inflated.take((200, None), PACKET, PACKET, at(15)), "a quarter has come back");
    }

    #[test]
    fn the_table_is_bounded() {
        let inflated = Inflated::default();
        for address in 0..2 * HOLDERS_MAX as u64 {
            assert!(inflated.take((address, None), 1, PACKET * PACKET, at(0)));
        }
        assert!(inflated.0.lock().of.len() <= HOLDERS_MAX + 1);
    }
}
