//! Bans of addresses and users, and the automatic ban of an address or a client.
//!
//! Operators ban with commands. The broker itself bans an address from which many logins in a row
//! have failed, and a client that connects too often. It bans no user: others could lock that user
//! out by guesses.
//!
//! Invariants: at most [`BANS_MAX`] bans of operators, and [`COUNTED_MAX`] addresses and clients
//! that are counted; an automatic ban ends. Not here: the clock (lifetime milliseconds are passed
//! in), and the places that ask (`core`, `net`).

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::limits::{BAN_FORGET_MS, BANS_MAX, CLIENT_ID_CHARS_SHOWN, COUNTED_MAX, FLAPPING_PERIOD_MS};
use crate::peer::Source;

/// Target of a ban by an operator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BanTarget {
    /// All clients of an address; of IPv6, of its network of 64 bits.
    Address(Source),
    /// A user, from everywhere.
    User(Arc<str>),
}

impl BanTarget {
    /// Returns its stored form.
    pub fn to_text(&self) -> String {
        match self {
            BanTarget::Address(source) => format!("address/{}", source.to_text()),
            BanTarget::User(user) => format!("user/{user}"),
        }
    }

    /// Reads its stored form; `None` for a damaged one.
    pub fn from_text(text: &str) -> Option<BanTarget> {
        let (kind, rest) = text.split_once('/')?;
        match kind {
            "address" => Source::from_text(rest).map(BanTarget::Address),
            "user" => Some(BanTarget::User(rest.into())),
            _ => None,
        }
    }
}

/// Cause of a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BanCause {
    /// The command of an operator.
    Operator,
    /// Too many logins in a row have failed.
    FailedLogins,
    /// A client has connected too often.
    Flapping,
}

impl BanCause {
    /// Returns the word for replies and logs.
    pub fn word(self) -> &'static str {
        match self {
            BanCause::Operator => "operator",
            BanCause::FailedLogins => "failed-logins",
            BanCause::Flapping => "flapping",
        }
    }
}

/// Ban in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Address; `None` for a ban of a user from everywhere.
    pub source: Option<Source>,
    /// User, for the ban of a user.
    pub user: Option<Arc<str>>,
    /// Beginning of the Client Identifier, for the ban of one client of an address.
    pub client_id: Option<Arc<str>>,
    /// Cause.
    pub cause: BanCause,
    /// End in lifetime milliseconds; `None` for a ban that only a command ends.
    pub until_ms: Option<u64>,
}

/// Bounds of automatic bans.
#[derive(Debug, Clone, Copy)]
pub struct BanPolicy {
    /// Failed logins in a row that ban their address; 0 bans none.
    pub failures: u32,
    /// Connects of one client within a minute that ban it; 0 bans none.
    pub connects_per_min: u32,
    /// First ban in milliseconds. Each further one takes twice as long.
    pub first_ms: u64,
    /// Longest automatic ban in milliseconds.
    pub longest_ms: u64,
}

impl BanPolicy {
    /// Policy without automatic bans.
    pub const OFF: BanPolicy = BanPolicy { failures: 0, connects_per_min: 0, first_ms: 0, longest_ms: 0 };
}

/// Bans of one tenant.
#[derive(Debug)]
pub struct Bans {
    policy: BanPolicy,
    hasher: RandomState,
    /// Whether there may be a ban, so that a connection takes no lock while there is none.
    has_any: AtomicBool,
    table: Mutex<BanTable>,
}

#[derive(Debug, Default)]
struct BanTable {
    /// Addresses that operators have banned, with the ends of the bans.
    ordered_addresses: BTreeMap<Source, Option<u64>>,
    /// Users that operators have banned, with the ends of the bans.
    ordered_users: BTreeMap<Arc<str>, Option<u64>>,
    addresses: HashMap<Source, Offences>,
    /// By the hash of address and Client Identifier.
    clients: HashMap<u64, ClientOffences>,
}

/// Offences of an address or a client.
#[derive(Debug, Clone, Copy, Default)]
struct Offences {
    /// Failures in a row, or connects in this period.
    count: u32,
    /// Begin of the period in which connects are counted.
    since_ms: u64,
    bans: u32,
    until_ms: u64,
}

#[derive(Debug)]
struct ClientOffences {
    source: Source,
    client_id: Arc<str>,
    offences: Offences,
}

/// Error: operators have banned as many as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {BANS_MAX} bans, the most there may be; remove one first")]
pub struct TooManyBans;

impl Bans {
    /// No bans yet.
    pub fn new(policy: BanPolicy) -> Bans {
        Bans { policy, hasher: RandomState::new(), has_any: AtomicBool::new(false), table: Mutex::default() }
    }

    /// Whether there may be a ban. Costs a load.
    pub fn has_any(&self) -> bool {
        self.has_any.load(Ordering::Relaxed)
    }

    /// Returns the ban that keeps an address out, whoever comes from there.
    pub fn of_address(&self, source: Source, now_ms: u64) -> Option<BanCause> {
        if !self.has_any() {
            return None;
        }
        self.table.lock().of_address(source, now_ms)
    }

    /// Returns the ban that keeps a client out: of its address, its user or itself.
    pub fn of_client(
        &self,
        source: Source,
        user: Option<&str>,
        client_id: &str,
        now_ms: u64,
    ) -> Option<BanCause> {
        if !self.has_any() {
            return None;
        }
        let table = self.table.lock();
        if let Some(cause) = table.of_address(source, now_ms) {
            return Some(cause);
        }
        let end = user.and_then(|user| table.ordered_users.get(user));
        if end.is_some_and(|until_ms| is_in_force(*until_ms, now_ms)) {
            return Some(BanCause::Operator);
        }
        let client = table.clients.get(&self.key(source, client_id))?;
        (now_ms < client.offences.until_ms).then_some(BanCause::Flapping)
    }

    /// Bans a target until a time, or for ever. Replaces a ban of the same target.
    ///
    /// # Errors
    /// [`TooManyBans`].
    pub fn add(&self, target: BanTarget, until_ms: Option<u64>, now_ms: u64) -> Result<(), TooManyBans> {
        let mut table = self.table.lock();
        table.ordered_addresses.retain(|_, until_ms| is_in_force(*until_ms, now_ms));
        table.ordered_users.retain(|_, until_ms| is_in_force(*until_ms, now_ms));
        let is_replaced = match &target {
            BanTarget::Address(source) => table.ordered_addresses.contains_key(source),
            BanTarget::User(user) => table.ordered_users.contains_key(user),
        };
        if table.ordered_addresses.len() + table.ordered_users.len() >= BANS_MAX && !is_replaced {
            return Err(TooManyBans);
        }
        match target {
            BanTarget::Address(source) => table.ordered_addresses.insert(source, until_ms),
            BanTarget::User(user) => table.ordered_users.insert(user, until_ms),
        };
        self.has_any.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Removes the ban of a target, and automatic ones of an address and its clients. False when
    /// there was none.
    pub fn remove(&self, target: &BanTarget, now_ms: u64) -> bool {
        let mut table = self.table.lock();
        let removed = match target {
            BanTarget::Address(source) => table.ordered_addresses.remove(source),
            BanTarget::User(user) => table.ordered_users.remove(user),
        };
        let mut was_there = removed.is_some_and(|until_ms| is_in_force(until_ms, now_ms));
        if let BanTarget::Address(source) = target {
            was_there |= table.addresses.remove(source).is_some_and(|offences| now_ms < offences.until_ms);
            table.clients.retain(|_, client| {
                was_there |= client.source == *source && now_ms < client.offences.until_ms;
                client.source != *source
            });
        }
        let is_banned = |offences: &Offences| now_ms < offences.until_ms;
        let has_any = !table.ordered_addresses.is_empty()
            || !table.ordered_users.is_empty()
            || table.addresses.values().any(is_banned)
            || table.clients.values().any(|client| is_banned(&client.offences));
        self.has_any.store(has_any, Ordering::Relaxed);
        was_there
    }

    /// Returns the bans in force: those of operators by target, then the automatic ones, those that
    /// end last first.
    pub fn list(&self, now_ms: u64) -> Vec<Ban> {
        let table = self.table.lock();
        let ordered = |source, user, until_ms: &Option<u64>| Ban {
            source,
            user,
            client_id: None,
            cause: BanCause::Operator,
            until_ms: *until_ms,
        };
        let addresses = table.ordered_addresses.iter();
        let addresses = addresses.map(|(source, until_ms)| ordered(Some(*source), None, until_ms));
        let users = table.ordered_users.iter();
        let users = users.map(|(user, until_ms)| ordered(None, Some(Arc::clone(user)), until_ms));
        let mut all: Vec<Ban> =
            addresses.chain(users).filter(|ban| is_in_force(ban.until_ms, now_ms)).collect();
        let of_addresses = table.addresses.iter().map(|(source, offences)| Ban {
            source: Some(*source),
            user: None,
            client_id: None,
            cause: BanCause::FailedLogins,
            until_ms: Some(offences.until_ms),
        });
        let of_clients = table.clients.values().map(|client| Ban {
            source: Some(client.source),
            user: None,
            client_id: Some(Arc::clone(&client.client_id)),
            cause: BanCause::Flapping,
            until_ms: Some(client.offences.until_ms),
        });
        let mut automatic: Vec<Ban> =
            of_addresses.chain(of_clients).filter(|ban| is_in_force(ban.until_ms, now_ms)).collect();
        automatic.sort_by_key(|ban| (std::cmp::Reverse(ban.until_ms), ban.source));
        all.append(&mut automatic);
        all
    }

    /// Counts a failed login. Returns the length of the ban in milliseconds if it bans its address.
    /// This machine is never banned.
    pub fn login_failed(&self, source: Source, now_ms: u64) -> Option<u64> {
        if self.policy.failures == 0 || source.is_of_this_machine() {
            return None;
        }
        let mut table = self.table.lock();
        make_room(&mut table.addresses, source, now_ms, |offences| *offences);
        let offences = table.addresses.entry(source).or_default();
        offences.count = offences.count.saturating_add(1);
        offences.since_ms = now_ms;
        if offences.count < self.policy.failures {
            return None;
        }
        let length_ms = offences.ban(&self.policy, now_ms);
        self.has_any.store(true, Ordering::Relaxed);
        Some(length_ms)
    }

    /// Forgets the failed logins of an address after a login that proved its user.
    pub fn login_succeeded(&self, source: Source) {
        if self.policy.failures == 0 || source.is_of_this_machine() {
            return;
        }
        let mut table = self.table.lock();
        if let Some(offences) = table.addresses.get_mut(&source) {
            offences.count = 0;
        }
    }

    /// Counts a connect of a client. Returns the length of the ban in milliseconds if the client
    /// has connected too often. Clients of this machine are never banned.
    pub fn connected(&self, source: Source, client_id: &Arc<str>, now_ms: u64) -> Option<u64> {
        if self.policy.connects_per_min == 0 || source.is_of_this_machine() {
            return None;
        }
        let key = self.key(source, client_id);
        let mut table = self.table.lock();
        make_room(&mut table.clients, key, now_ms, |client| client.offences);
        let client = table.clients.entry(key).or_insert_with(|| ClientOffences {
            source,
            client_id: shortened(client_id),
            offences: Offences { since_ms: now_ms, ..Offences::default() },
        });
        let offences = &mut client.offences;
        if now_ms >= offences.since_ms.saturating_add(FLAPPING_PERIOD_MS) {
            (offences.count, offences.since_ms) = (0, now_ms);
        }
        offences.count = offences.count.saturating_add(1);
        if offences.count <= self.policy.connects_per_min {
            return None;
        }
        let length_ms = offences.ban(&self.policy, now_ms);
        self.has_any.store(true, Ordering::Relaxed);
        Some(length_ms)
    }

    fn key(&self, source: Source, client_id: &str) -> u64 {
        self.hasher.hash_one((source, client_id))
    }
}

impl BanTable {
    fn of_address(&self, source: Source, now_ms: u64) -> Option<BanCause> {
        let end = self.ordered_addresses.get(&source);
        if end.is_some_and(|until_ms| is_in_force(*until_ms, now_ms)) {
            return Some(BanCause::Operator);
        }
        let offences = self.addresses.get(&source)?;
        (now_ms < offences.until_ms).then_some(BanCause::FailedLogins)
    }
}

impl Offences {
    /// Begins the next ban, which takes twice as long as the last one, and counts anew.
    fn ban(&mut self, policy: &BanPolicy, now_ms: u64) -> u64 {
        if now_ms >= self.until_ms.saturating_add(BAN_FORGET_MS) {
            self.bans = 0;
        }
        let length_ms = policy
            .first_ms
            .checked_shl(self.bans)
            .filter(|_| self.bans < 32)
            .unwrap_or(u64::MAX)
            .min(policy.longest_ms.max(policy.first_ms));
        self.bans = self.bans.saturating_add(1);
        (self.count, self.until_ms) = (0, now_ms.saturating_add(length_ms));
        length_ms
    }

    /// Whether the next offence would count as the first one.
    fn is_forgotten(&self, now_ms: u64) -> bool {
        now_ms >= self.until_ms.max(self.since_ms).saturating_add(BAN_FORGET_MS)
    }
}

/// The beginning of a Client Identifier, which may be long.
fn shortened(client_id: &Arc<str>) -> Arc<str> {
    match client_id.char_indices().nth(CLIENT_ID_CHARS_SHOWN) {
        Some((end, _)) => client_id[..end].into(),
        None => Arc::clone(client_id),
    }
}

fn is_in_force(until_ms: Option<u64>, now_ms: u64) -> bool {
    until_ms.is_none_or(|until_ms| now_ms < until_ms)
}

/// Makes room for a new key in a full table: removes forgotten rows, else all without a ban, else
/// all.
fn make_room<K: Eq + std::hash::Hash, V>(
    table: &mut HashMap<K, V>,
    new: K,
    now_ms: u64,
    offences: impl Fn(&V) -> Offences,
) {
    if table.len() < COUNTED_MAX || table.contains_key(&new) {
        return;
    }
    table.retain(|_, row| !offences(row).is_forgotten(now_ms));
    if table.len() >= COUNTED_MAX {
        table.retain(|_, row| now_ms < offences(row).until_ms);
    }
    if table.len() >= COUNTED_MAX {
        table.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: BanPolicy =
        BanPolicy { failures: 3, connects_per_min: 5, first_ms: 1_000, longest_ms: 4_000 };

    fn from(address: &str) -> Source {
        Source::of(address.parse().unwrap())
    }

    fn user(name: &str) -> BanTarget {
        BanTarget::User(name.into())
    }

    #[test]
    fn failed_logins_in_a_row_ban_their_address_for_a_growing_time() {
        let bans = Bans::new(POLICY);
        let (source, other) = (from("192.0.2.1"), from("192.0.2.2"));
        let mut now = 0;
        for expected in [1_000, 2_000, 4_000, 4_000] {
            assert_eq!(bans.login_failed(source, now), None);
            assert_eq!(bans.login_failed(source, now), None);
            assert_eq!(bans.of_address(source, now), None);
            assert_eq!(bans.login_failed(source, now), Some(expected));
            assert_eq!(bans.of_address(source, now + expected - 1), Some(BanCause::FailedLogins));
            assert_eq!(bans.of_client(source, None, "c", now), Some(BanCause::FailedLogins));
            assert_eq!(bans.of_address(other, now), None);
            now += expected;
            assert_eq!(bans.of_address(source, now), None);
        }
        now += BAN_FORGET_MS;
        (0..2).for_each(|_| assert_eq!(bans.login_failed(source, now), None));
        assert_eq!(bans.login_failed(source, now), Some(1_000), "old bans are forgotten");
    }

    #[test]
    fn successful_login_clears_the_failures_of_its_address() {
        let bans = Bans::new(POLICY);
        let source = from("2001:db8::1");
        for _ in 0..10 {
            assert_eq!(bans.login_failed(source, 0), None);
            assert_eq!(bans.login_failed(from("2001:db8::2"), 0), None, "of the same network");
            bans.login_succeeded(source);
        }
    }

    #[test]
    fn client_that_connects_too_often_is_banned_and_its_neighbours_are_not() {
        let bans = Bans::new(POLICY);
        let source = from("192.0.2.1");
        let (flapping, neighbour): (Arc<str>, Arc<str>) = ("flapping".into(), "neighbour".into());
        for second in 0..5 {
            assert_eq!(bans.connected(source, &flapping, second), None);
        }
        // The next minute counts anew.
        for second in 0..5 {
            assert_eq!(bans.connected(source, &flapping, FLAPPING_PERIOD_MS + second), None);
        }
        let now = FLAPPING_PERIOD_MS + 10;
        assert_eq!(bans.connected(source, &flapping, now), Some(1_000));
        assert_eq!(bans.of_client(source, Some("ann"), "flapping", now), Some(BanCause::Flapping));
        assert_eq!(bans.of_client(source, Some("ann"), "neighbour", now), None);
        assert_eq!(bans.of_client(from("192.0.2.2"), Some("ann"), "flapping", now), None);
        assert_eq!(bans.connected(source, &neighbour, now), None);
        assert_eq!(bans.of_address(source, now), None);
        let listed = bans.list(now);
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].client_id.as_deref(), Some("flapping"));
        assert!(bans.remove(&BanTarget::Address(source), now));
        assert_eq!(bans.of_client(source, None, "flapping", now), None);
    }

    #[test]
    fn operators_ban_addresses_and_users_with_and_without_an_end() {
        let bans = Bans::new(BanPolicy::OFF);
        let address = BanTarget::Address(from("192.0.2.1"));
        bans.add(address.clone(), Some(100), 0).unwrap();
        bans.add(user("ann"), None, 0).unwrap();
        assert_eq!(bans.of_address(from("192.0.2.1"), 99), Some(BanCause::Operator));
        assert_eq!(bans.of_address(from("192.0.2.1"), 100), None);
        for (name, expected) in [(Some("ann"), Some(BanCause::Operator)), (Some("bob"), None), (None, None)] {
            assert_eq!(bans.of_client(from("192.0.2.7"), name, "c", u64::MAX), expected, "{name:?}");
        }
        assert_eq!(bans.list(0).len(), 2);
        assert_eq!(bans.list(100).len(), 1);
        assert!(!bans.remove(&address, 100), "it has ended");
        assert!(bans.remove(&user("ann"), 100) && !bans.remove(&user("ann"), 100));
        assert_eq!(bans.of_client(from("192.0.2.7"), Some("ann"), "c", 100), None);
    }

    #[test]
    fn stored_targets_read_the_same() {
        for target in
            [BanTarget::Address(from("2001:db8::1")), BanTarget::Address(from("192.0.2.1")), user("a/b")]
        {
            assert_eq!(BanTarget::from_text(&target.to_text()), Some(target));
        }
        for text in ["", "address", "address/x", "group/ann"] {
            assert_eq!(BanTarget::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn this_machine_is_never_banned_by_itself() {
        let bans = Bans::new(POLICY);
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            for _ in 0..20 {
                assert_eq!(bans.login_failed(from(address), 0), None);
                assert_eq!(bans.connected(from(address), &"c".into(), 0), None);
            }
        }
        assert!(bans.list(0).is_empty());
    }

    #[test]
    fn tables_of_bans_and_offences_are_bounded() {
        let bans = Bans::new(POLICY);
        let mut number = 0;
        let mut fresh = || {
            number += 1;
            from(&std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).to_string())
        };
        let banned = fresh();
        for _ in 0..3 {
            bans.login_failed(banned, 0);
        }
        for _ in 0..2 * COUNTED_MAX {
            bans.login_failed(fresh(), 0);
            bans.connected(fresh(), &"c".into(), 0);
        }
        let table = bans.table.lock();
        assert!(table.addresses.len() <= COUNTED_MAX && table.clients.len() <= COUNTED_MAX);
        drop(table);
        assert!(bans.of_address(banned, 1).is_some(), "bans outlive rows that are only counted");
        for _ in 0..BANS_MAX {
            bans.add(BanTarget::Address(fresh()), None, 0).unwrap();
        }
        assert_eq!(bans.add(user("ann"), None, 0), Err(TooManyBans));
    }
}
