//! Shares of a tenant's resources for sessions: number of durable sessions, their bytes in memory,
//! and stored bytes for offline Clients.
//!
//! Counted in all, for each owner, and for anonymous users together. An owner is a user with the
//! users that they have made as a user manager, or the address of an anonymous user. The addresses
//! are not known any more after a restart. One owner has at most half of the bytes, and so have all
//! anonymous users together, so that nobody keeps all others out.
//!
//! The totals are atomic numbers behind the [`Share`] of a session. The data path changes them
//! without a lock and without a look-up, which `lotmq_shares::AccountShares` needs.
//!
//! A session holds a [`Holding`], which returns its resources at the latest when it is dropped. A
//! check for more room comes before the room is taken. So threads that check at once may exceed a
//! bound by the room that one of them takes.

pub mod feeding;
pub mod owned_sum;
pub mod owner_totals;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use lotmq_auth::{Identity, Peer};
use lotmq_config::Limits;
use lotmq_session::Time;
use parking_lot::Mutex;

use crate::limits::unfinished::Unfinished;
use crate::limits::{Bucket, Limit, UserBounds, UserRate};

/// Totals of one owner, or of all.
#[derive(Debug, Default)]
struct Totals {
    /// Sessions that outlive their connections.
    sessions: AtomicU64,
    /// Identifiers, filters and Wills of all sessions.
    bytes: AtomicU64,
    /// Subscriptions of all sessions.
    subscriptions: AtomicU64,
    /// Rate of messages that are stored for Clients which are away.
    offline: Mutex<Bucket>,
    /// Whether the messages stored for them take as much as they may.
    are_queues_full: AtomicBool,
    /// Bytes of messages that each session may have in memory while all together have too much;
    /// else 0.
    window_bytes: AtomicU64,
    /// Bytes of output that waits for clients which do not read.
    output: Unfinished,
    /// Bytes of messages that wait in memory for clients whose sessions end with their connections.
    queued: Unfinished,
}

impl Totals {
    fn window_bytes(&self) -> u64 {
        match self.window_bytes.load(Ordering::Relaxed) {
            0 => u64::MAX,
            bytes => bytes,
        }
    }
}

/// Owner of a share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Owner {
    /// A user, by the number of the account that pays for theirs.
    User(u64),
    /// An anonymous user, by address as it is counted for connections.
    Address(u64),
    /// All other anonymous users.
    Anybody,
}

impl Owner {
    fn of(identity: &Identity) -> Self {
        match (identity.user(), identity.peer) {
            (Some(_), _) => Self::User(identity.quota_key()),
            (None, Peer::Tcp(address) | Peer::Proxied(address)) => Self::of_address(address),
            (None, Peer::Unix | Peer::Guest | Peer::Unknown) => Self::Anybody,
        }
    }

    fn of_address(address: IpAddr) -> Self {
        Self::Address(address_key(address))
    }
}

/// Share of one owner.
#[derive(Debug)]
pub struct Share {
    owner: Owner,
    /// Name of a user, for people.
    user: Option<Arc<str>>,
    own: Totals,
    /// Rate of all connections of the owner.
    rate: Arc<UserRate>,
    /// Bytes on their way to the disk.
    fed: AtomicUsize,
    shares: Arc<Shares>,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut owners = self.shares.owners.lock();
        // Somebody may have made a new one meanwhile.
        if owners.get(&self.owner).is_some_and(|known| known.strong_count() == 0) {
            owners.remove(&self.owner);
        }
    }
}

/// Shares of all owners of a tenant.
#[derive(Debug, Default)]
pub struct Shares {
    owners: Mutex<HashMap<Owner, Weak<Share>>>,
    all: Totals,
    /// Totals of anonymous users.
    anonymous: Totals,
    /// Number of owners with data on its way to the disk.
    feeding: AtomicUsize,
    /// Whether the messages stored for sessions of all tenants take as much as they may.
    are_all_queues_full: AtomicBool,
    /// Whether they take so much that each owner is limited to their share.
    are_queues_shared_out: AtomicBool,
}

/// Name of all anonymous users together, for people.
const ANONYMOUS: &str = "clients without a user";

/// Divisor of the bytes that one owner may have, and all anonymous users together.
const PART: u64 = 2;

/// Part of `max` that one owner may have: three quarters of what others leave. However many owners
/// there are, something is left for the next.
pub fn part(max: u64, of_others: u64) -> u64 {
    let left = max.saturating_sub(of_others);
    left - left / 4
}

impl Shares {
    /// Share of an identity.
    pub fn of(self: &Arc<Self>, identity: &Identity) -> Arc<Share> {
        self.of_owner(Owner::of(identity), identity.user())
    }

    /// Share of the user of a definition; that of clients without a user and without an address
    /// where it belongs to nobody.
    pub fn of_user(self: &Arc<Self>, user: Option<&lotmq_definitions::Owner>) -> Arc<Share> {
        let owner = user.map_or(Owner::Anybody, |user| Owner::User(user.quota_key()));
        self.of_owner(owner, user.map(|user| &user.name))
    }

    fn of_owner(self: &Arc<Self>, owner: Owner, user: Option<&Arc<str>>) -> Arc<Share> {
        let mut owners = self.owners.lock();
        if let Some(known) = owners.get(&owner).and_then(Weak::upgrade) {
            return known;
        }
        let new = Arc::new(Share {
            owner: owner.clone(),
            user: user.cloned(),
            own: Totals::default(),
            rate: Arc::default(),
            fed: AtomicUsize::new(0),
            shares: Arc::clone(self),
        });
        owners.insert(owner, Arc::downgrade(&new));
        new
    }

    /// Number of sessions that outlive their connections: all, and those of anonymous users.
    pub fn sessions(&self) -> (u64, u64) {
        (self.all.sessions.load(Ordering::Relaxed), self.anonymous.sessions.load(Ordering::Relaxed))
    }

    /// Lifts all bounds on the messages that sessions have in memory.
    pub fn unbound_windows(&self) {
        self.anonymous.window_bytes.store(0, Ordering::Relaxed);
        let owners: Vec<_> = self.owners.lock().values().filter_map(Weak::upgrade).collect();
        owners.iter().for_each(|share| share.own.window_bytes.store(0, Ordering::Relaxed));
    }

    /// Notes how full the queues of all tenants in the store were found.
    pub fn queues_were_seen(&self, are_full: bool, are_shared_out: bool) {
        self.are_all_queues_full.store(are_full, Ordering::Relaxed);
        self.are_queues_shared_out.store(are_shared_out, Ordering::Relaxed);
    }

    /// Bytes that are kept for sessions.
    pub fn bytes(&self) -> u64 {
        self.all.bytes.load(Ordering::Relaxed)
    }
}

impl Share {
    fn totals(&self) -> impl Iterator<Item = &Totals> {
        let anonymous = self.is_anonymous().then_some(&self.shares.anonymous);
        [&self.own, &self.shares.all].into_iter().chain(anonymous)
    }

    /// Whether the owner is no user.
    pub fn is_anonymous(&self) -> bool {
        !matches!(self.owner, Owner::User(_))
    }

    /// Rates that all connections of this owner keep to together; `None` without a limit.
    pub(crate) fn user_bounds(&self, limits: &Limits) -> Option<UserBounds> {
        let (messages_per_sec, bytes_per_sec) =
            (limits.messages_per_sec_per_user, limits.bytes_per_sec_per_user);
        let is_bounded = messages_per_sec > 0 || bytes_per_sec > 0;
        is_bounded.then(|| UserBounds { rate: Arc::clone(&self.rate), messages_per_sec, bytes_per_sec })
    }

    /// Bytes of output that waits for clients of this owner; those without a user are one.
    pub(crate) fn output(&self) -> &Unfinished {
        &self.totals_as_one().output
    }

    /// Bytes of messages that wait in memory for clients of this owner; those without a user are
    /// one.
    pub(crate) fn queued(&self) -> &Unfinished {
        &self.totals_as_one().queued
    }

    fn totals_as_one(&self) -> &Totals {
        if self.is_anonymous() { &self.shares.anonymous } else { &self.own }
    }

    /// Counts bytes that are on their way to the disk.
    pub(crate) fn feeds(&self, bytes: usize) {
        if self.fed.fetch_add(bytes, Ordering::Relaxed) == 0 {
            self.shares.feeding.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts bytes that have come to the disk, or never will.
    pub(crate) fn has_fed(&self, bytes: usize) {
        if self.fed.fetch_sub(bytes, Ordering::Relaxed) == bytes {
            self.shares.feeding.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Bytes of this owner on their way to the disk.
    pub fn fed_bytes(&self) -> usize {
        self.fed.load(Ordering::Relaxed)
    }

    /// Whether more bytes of this owner are on their way than an even share of `bytes_max`.
    pub(crate) fn feeds_too_much(&self, bytes_max: usize) -> bool {
        let feeding = self.shares.feeding.load(Ordering::Relaxed).max(1);
        self.fed_bytes() > bytes_max / feeding
    }

    /// Takes one of the messages per second that may be stored for Clients which are away.
    pub(crate) fn takes_delivery(&self, per_sec: u32, now: Time) -> bool {
        let takes = |totals: &Totals| totals.offline.lock().take(per_sec, now);
        takes(&self.own) && (!self.is_anonymous() || takes(&self.shares.anonymous))
    }

    /// Whether the messages stored for sessions of this owner, or of all, take as much as they may,
    /// as last found.
    pub fn are_queues_full(&self) -> bool {
        let is_set = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let has_part = || {
            is_set(&self.own.are_queues_full)
                || (self.is_anonymous() && is_set(&self.shares.anonymous.are_queues_full))
        };
        is_set(&self.shares.are_all_queues_full) || (is_set(&self.shares.are_queues_shared_out) && has_part())
    }

    /// Bytes of messages that a session of this owner may have in memory.
    pub fn window_bytes(&self) -> u64 {
        let of_anonymous = self.is_anonymous().then(|| self.shares.anonymous.window_bytes());
        self.own.window_bytes().min(of_anonymous.unwrap_or(u64::MAX))
    }

    /// Number that identifies the owner in all tenants while the share lives. All Clients of a
    /// tenant without a user have the same number.
    pub fn account(&self) -> u64 {
        let address = match self.is_anonymous() {
            true => Arc::as_ptr(&self.shares).addr(),
            false => std::ptr::from_ref(self).addr(),
        };
        address as u64
    }

    /// Key of the address that somebody without a user came from; `None` for users, and for this
    /// machine, where many may stand behind one program.
    pub fn stranger(&self) -> Option<u64> {
        match self.owner {
            Owner::Address(key) if key != LOOPBACK_KEY_V6 && key >> 24 != LOOPBACK_NET_V4 => Some(key),
            Owner::Address(_) | Owner::User(_) | Owner::Anybody => None,
        }
    }

    /// Name of the owner, for people; of several for whom one pays, that of one.
    pub fn name(&self) -> String {
        self.user.as_ref().map_or_else(|| ANONYMOUS.to_owned(), |user| format!("user {user}"))
    }

    /// Whether one more session of this owner may outlive its connection.
    ///
    /// # Errors
    /// The limit that it would exceed.
    pub(crate) fn takes_session(&self, limits: &Limits) -> Result<(), Limit> {
        let sessions = |totals: &Totals| totals.sessions.load(Ordering::Relaxed);
        let (limit, own_max) = match self.owner {
            Owner::User(_) => (Limit::SessionsPerUser, limits.sessions_per_user),
            Owner::Address(_) => (Limit::SessionsPerAddress, limits.sessions_per_address),
            Owner::Anybody => (Limit::AnonymousSessions, limits.anonymous_sessions),
        };
        if sessions(&self.own) >= own_max.into() {
            Err(limit)
        } else if self.is_anonymous() && sessions(&self.shares.anonymous) >= limits.anonymous_sessions.into()
        {
            Err(Limit::AnonymousSessions)
        } else if sessions(&self.shares.all) >= limits.sessions.into() {
            Err(Limit::Sessions)
        } else {
            Ok(())
        }
    }

    /// Whether sessions of this owner may have one more subscription.
    ///
    /// # Errors
    /// [`Limit::SubscriptionsPerUser`].
    pub(crate) fn takes_subscription(&self, limits: &Limits) -> Result<(), Limit> {
        let max = u64::from(limits.subscriptions_per_user);
        if max > 0 && self.own.subscriptions.load(Ordering::Relaxed) >= max {
            return Err(Limit::SubscriptionsPerUser);
        }
        Ok(())
    }

    /// Whether so many more bytes may be kept for sessions of this owner.
    ///
    /// # Errors
    /// [`Limit::TenantSessionBytes`].
    pub(crate) fn takes_bytes(&self, more: u64, limits: &Limits) -> Result<(), Limit> {
        let all_max = limits.tenant_session_bytes;
        if more == 0 {
            return Ok(());
        }
        let fits = |totals: &Totals, bytes_max: u64| {
            totals.bytes.load(Ordering::Relaxed).saturating_add(more) <= bytes_max
        };
        let takes = fits(&self.shares.all, all_max)
            && fits(&self.own, all_max / PART)
            && (!self.is_anonymous() || fits(&self.shares.anonymous, all_max / PART));
        if takes { Ok(()) } else { Err(Limit::TenantSessionBytes) }
    }
}

/// Holding of one session in its owner's share.
#[derive(Debug)]
pub struct Holding {
    share: Arc<Share>,
    bytes: u64,
    subscriptions: u64,
    is_stored: bool,
}

impl Holding {
    /// Holding of a new session, which takes nothing yet.
    pub fn new(share: Arc<Share>) -> Self {
        Self { share, bytes: 0, subscriptions: 0, is_stored: false }
    }

    /// The share of its owner.
    pub fn share(&self) -> &Arc<Share> {
        &self.share
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Sets whether the session outlives its connection, and the bytes it takes. Bounds have been
    /// checked.
    pub fn set(&mut self, is_stored: bool, bytes: u64) {
        for totals in self.share.totals() {
            if is_stored != self.is_stored {
                change(&totals.sessions, self.is_stored.into(), is_stored.into());
            }
            change(&totals.bytes, self.bytes, bytes);
        }
        (self.is_stored, self.bytes) = (is_stored, bytes);
    }

    /// Sets the number of subscriptions of the session.
    pub(crate) fn set_subscriptions(&mut self, subscriptions: u64) {
        if subscriptions != self.subscriptions {
            change(&self.share.own.subscriptions, self.subscriptions, subscriptions);
            self.subscriptions = subscriptions;
        }
    }

    /// Moves the holding to another owner.
    pub fn give(&mut self, share: Arc<Share>) {
        if !Arc::ptr_eq(&self.share, &share) {
            let (is_stored, bytes, subscriptions) = (self.is_stored, self.bytes, self.subscriptions);
            self.set(false, 0);
            self.set_subscriptions(0);
            self.share = share;
            self.set(is_stored, bytes);
            self.set_subscriptions(subscriptions);
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.set(false, 0);
        self.set_subscriptions(0);
    }
}

fn change(total: &AtomicU64, before: u64, now: u64) {
    if now >= before {
        total.fetch_add(now - before, Ordering::Relaxed);
    } else {
        total.fetch_sub(before - now, Ordering::Relaxed);
    }
}

/// Key of the loopback address of IPv6.
const LOOPBACK_KEY_V6: u64 = 1;

/// First byte of the loopback addresses of IPv4.
const LOOPBACK_NET_V4: u64 = 127;

/// Returns the key by which an address is counted: for IPv6 its first 64 bits, the prefix of one
/// customer.
pub fn address_key(address: IpAddr) -> u64 {
    match address.to_canonical() {
        // Of IPv6, nothing begins with 32 bits of zero but the loopback.
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => LOOPBACK_KEY_V6,
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use lotmq_auth::{AccountReference, Principal};

    use super::*;
    use lotmq_config::Config;

    pub(super) fn identity(user: Option<&str>, address: &str) -> Identity {
        let peer = Peer::Tcp(address.parse().unwrap());
        let Some(name) = user else { return Identity::anonymous("c".into(), peer) };
        let number = name.bytes().map(u64::from).sum();
        Identity::new(Principal::of_reference(AccountReference { name, number }), "c".into(), peer)
    }

    #[test]
    fn sessions_are_bounded_in_all_and_by_owner() {
        let mut limits = Config::default().limits;
        (limits.sessions, limits.sessions_per_user) = (5, 2);
        (limits.anonymous_sessions, limits.sessions_per_address) = (2, 1);
        let shares = Arc::new(Shares::default());
        let mut held = Vec::new();
        let mut take = |user, address: &str| {
            let share = shares.of(&identity(user, address));
            share.takes_session(&limits)?;
            let mut holding = Holding::new(share);
            holding.set(true, 10);
            held.push(holding);
            Ok(())
        };
        assert_eq!(take(None, "10.0.0.1"), Ok(()));
        assert_eq!(take(None, "10.0.0.1"), Err(Limit::SessionsPerAddress));
        assert_eq!(take(None, "10.0.0.2"), Ok(()));
        assert_eq!(take(None, "10.0.0.3"), Err(Limit::AnonymousSessions));
        assert_eq!(take(Some("ann"), "10.0.0.1"), Ok(()));
        assert_eq!(take(Some("ann"), "10.0.0.2"), Ok(()));
        assert_eq!(take(Some("ann"), "10.0.0.3"), Err(Limit::SessionsPerUser));
        assert_eq!(take(Some("bob"), "10.0.0.1"), Ok(()));
        assert_eq!(take(Some("bob"), "10.0.0.1"), Err(Limit::Sessions));
        assert_eq!((shares.sessions(), shares.bytes()), ((5, 2), 50));
        held[0].give(shares.of(&identity(Some("bob"), "10.0.0.1")));
        assert_eq!(shares.sessions(), (5, 1));
        held.truncate(1);
        assert_eq!((shares.sessions(), shares.bytes()), ((1, 0), 10));
        assert_eq!(shares.owners.lock().len(), 1, "nothing is kept of who has nothing");
        held.clear();
        assert_eq!((shares.sessions(), shares.bytes(), shares.owners.lock().len()), ((0, 0), 0, 0));
    }

    #[test]
    fn subscriptions_of_all_sessions_of_a_user_are_bounded() {
        let mut limits = Config::default().limits;
        let shares = Arc::new(Shares::default());
        let share = |user| shares.of(&identity(Some(user), "10.0.0.1"));
        let mut held: Vec<Holding> = (0..2).map(|_| Holding::new(share("ann"))).collect();
        held.iter_mut().for_each(|holding| holding.set_subscriptions(2));
        assert_eq!(share("ann").takes_subscription(&limits), Ok(()), "0 is no limit");
        limits.subscriptions_per_user = 4;
        assert_eq!(share("ann").takes_subscription(&limits), Err(Limit::SubscriptionsPerUser));
        assert_eq!(share("bob").takes_subscription(&limits), Ok(()));
        held[0].give(share("bob"));
        assert_eq!(share("ann").takes_subscription(&limits), Ok(()));
        held.clear();
        assert_eq!(share("ann").own.subscriptions.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn nobody_has_more_than_half_of_the_bytes() {
        let mut limits = Config::default().limits;
        limits.tenant_session_bytes = 1000;
        let shares = Arc::new(Shares::default());
        let refused = Err(Limit::TenantSessionBytes);
        let mut ann = Holding::new(shares.of(&identity(Some("ann"), "10.0.0.1")));
        assert_eq!(ann.share().takes_bytes(501, &limits), refused);
        assert_eq!(ann.share().takes_bytes(500, &limits), Ok(()));
        ann.set(false, 500);
        let mut nobody = Holding::new(shares.of(&identity(None, "10.0.0.1")));
        nobody.set(false, 300);
        let other = shares.of(&identity(None, "10.0.0.2"));
        assert_eq!(other.takes_bytes(200, &limits), Ok(()));
        assert_eq!(other.takes_bytes(201, &limits), refused);
        let bob = shares.of(&identity(Some("bob"), "10.0.0.2"));
        assert_eq!(bob.takes_bytes(200, &limits), Ok(()));
        assert_eq!(bob.takes_bytes(201, &limits), refused);
    }
}
