//! Client connections to the HTTP servers of all routes, and the choice of the connection that
//! gives way when there are too many.
//!
//! Each server has a bound of connections and one of bytes of bodies. All servers together have two
//! more. One owner may use a part of the rest that others leave; an administrator may exceed it.
//! When a bound is reached, the address that holds most of it gives way to a newcomer that would
//! hold less. Of its connections without a whole request, the host closes the one that has taken
//! longest. A connection of the newcomer's own address gives way after [`HTTP_SERVER_PATIENCE`]. So
//! silent clients behind a proxy do not lock out the others. Otherwise the host rejects the
//! newcomer.
//!
//! Owners have [shares](AccountShares). Addresses have none: a bound that is reached evicts.
//!
//! Invariant: a client whose whole request waits for its answer, or whose answer is being sent,
//! does not give way.

use crate::limits::{
    HTTP_SERVER_BYTES_ALL_MAX, HTTP_SERVER_CONNECTIONS_ALL_MAX, HTTP_SERVER_CONNECTIONS_MAX,
    HTTP_SERVER_CONNECTIONS_SHARED_MIN, HTTP_SERVER_PATIENCE, OWNER_PART,
};
use lotmq_shares::{AccountShares, HeldShare};
use parking_lot::Mutex;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
    pin::pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// Callers of this process.
static CALLERS: LazyLock<Arc<Callers>> =
    LazyLock::new(|| Arc::new(Callers::of(HTTP_SERVER_CONNECTIONS_ALL_MAX, HTTP_SERVER_BYTES_ALL_MAX)));

/// Sets how many connections the HTTP servers of all routes together may have. The system may allow
/// fewer open files than [`HTTP_SERVER_CONNECTIONS_ALL_MAX`], which is the upper bound.
pub fn bound_http_callers(connections: usize) {
    CALLERS.bound(connections.min(HTTP_SERVER_CONNECTIONS_ALL_MAX));
}

/// Connections of clients to HTTP servers.
pub(super) struct Callers {
    most: AtomicUsize,
    /// Open connections, by the account of the servers' owner.
    shares: Arc<AccountShares>,
    /// Bytes of bodies that servers may still take, all together.
    bytes: Arc<Semaphore>,
    /// Bytes of bodies that servers have taken, by the account of their owner.
    byte_shares: Arc<AccountShares>,
    /// Called when some of these are free again.
    bytes_freed: Notify,
    rows: Mutex<Rows>,
}

/// Server as its callers see it.
#[derive(Clone, Copy)]
pub(super) struct OwnedServer {
    /// Its number in the process.
    pub(super) server: u64,
    /// Account of its owner.
    pub(super) account: u64,
}

/// Scope whose bound is reached; connections in it give way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Server,
    Owner,
    All,
}

#[derive(Default)]
struct Rows {
    next: u64,
    /// By number, the oldest first.
    by_number: BTreeMap<u64, Row>,
}

/// Owner of a connection: its server, and the address that it comes from.
type Owner = (u64, IpAddr);

struct Row {
    owner: Owner,
    /// In the share of the server's owner.
    place: HeldShare,
    state: Arc<CallerState>,
}

/// Progress of a connection, which changes with each request and without the lock of all.
struct CallerState {
    progress: Mutex<Progress>,
    gives_way: Notify,
}

#[derive(Clone, Copy)]
struct Progress {
    /// Bytes of a body that has not come whole.
    bytes: usize,
    /// Since when it brings its next request; `None` while one waits for its answer.
    since: Option<Instant>,
}

/// One connection, until it is dropped.
pub(super) struct Caller {
    all: Arc<Callers>,
    number: u64,
    owner: Owner,
    account: u64,
    state: Arc<CallerState>,
}

/// A whole request of a connection, until its answer is sent.
pub(super) struct WholeRequest(Arc<Caller>);

/// Room that bytes of a body take: of those of its server, and of those of all.
pub(super) struct BodyRoom {
    of_server: OwnedSemaphorePermit,
    of_all: OwnedSemaphorePermit,
    of_owner: ByteShare,
}

/// Bytes of bodies in the share of an owner; dropping it gives them back.
struct ByteShare {
    all: Arc<Callers>,
    account: u64,
    bytes: u64,
}

impl Drop for ByteShare {
    fn drop(&mut self) {
        self.all.byte_shares.give_back(self.account, self.bytes);
        self.all.bytes_freed.notify_waiters();
    }
}

impl Callers {
    /// Returns the callers of this process.
    pub(super) fn of_process() -> Arc<Callers> {
        Arc::clone(&CALLERS)
    }

    fn of(most: usize, bytes: usize) -> Callers {
        Callers {
            most: AtomicUsize::new(most),
            shares: AccountShares::new(most as u64, OWNER_PART),
            bytes: Arc::new(Semaphore::new(bytes)),
            byte_shares: AccountShares::new(bytes as u64, OWNER_PART),
            bytes_freed: Notify::new(),
            rows: Mutex::default(),
        }
    }

    fn bound(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
        self.shares.set_max(most as u64);
    }

    /// Adds a connection to a server. `may_exceed` returns whether the owner may exceed the share.
    /// Returns `None` if no connection gives way to it.
    pub(super) fn enter(
        self: &Arc<Self>,
        called: OwnedServer,
        address: IpAddr,
        may_exceed: impl FnOnce() -> bool,
    ) -> Option<Caller> {
        let OwnedServer { server, account } = called;
        let owner = (server, network(address));
        let mut rows = self.rows.lock();
        // Counted first, so that it is asked with the newcomer.
        let place = self.shares.hold_anyway(account, 1);
        let of_server = rows.by_number.values().filter(|row| row.owner.0 == server).count();
        let most = self.most.load(Ordering::Relaxed);
        let reached = if of_server >= HTTP_SERVER_CONNECTIONS_MAX {
            Some(Bound::Server)
        } else if most >= HTTP_SERVER_CONNECTIONS_SHARED_MIN
            && self.shares.is_beyond(&account)
            && !may_exceed()
        {
            Some(Bound::Owner)
        } else {
            (rows.by_number.len() >= most).then_some(Bound::All)
        };
        if let Some(bound) = reached {
            let giver = rows.giver((owner, account), bound, 1, |_, _| 1)?;
            // It leaves no later, so that the next newcomer finds another one.
            rows.by_number.remove(&giver)?.state.gives_way.notify_one();
        }
        let number = rows.next;
        rows.next += 1;
        let progress = Mutex::new(Progress { bytes: 0, since: Some(Instant::now()) });
        let state = Arc::new(CallerState { progress, gives_way: Notify::new() });
        rows.by_number.insert(number, Row { owner, place, state: Arc::clone(&state) });
        Some(Caller { all: Arc::clone(self), number, owner, account, state })
    }
}

impl Rows {
    /// Returns the connection that gives way to `newcomer`, within the scope of `bound`. `held`
    /// returns the usage of a connection; `wanted` is the newcomer's additional usage.
    fn giver(
        &self,
        (newcomer, account): (Owner, u64),
        bound: Bound,
        wanted: usize,
        held: impl Fn(u64, Progress) -> usize,
    ) -> Option<u64> {
        let mut sums = HashMap::<Owner, usize>::new();
        let rows = self.by_number.iter().filter(|(_, row)| match bound {
            Bound::Server => row.owner.0 == newcomer.0,
            Bound::Owner => row.place.account() == account,
            Bound::All => true,
        });
        let rows = rows.map(|(number, row)| (*number, row.owner, *row.state.progress.lock()));
        let rows: Vec<(u64, Owner, Progress)> = rows.collect();
        for (number, owner, progress) in &rows {
            *sums.entry(*owner).or_default() += held(*number, *progress);
        }
        let now = Instant::now();
        let most = sums.get(&newcomer).copied().unwrap_or(0) + wanted;
        let of_others = rows.into_iter().filter(|(number, _, progress)| held(*number, *progress) > 0);
        let of_others = of_others.filter_map(|(number, owner, progress)| {
            let (since, sum) = (progress.since?, sums.get(&owner).copied()?);
            let is_own = owner == newcomer;
            let gives = if is_own { now.duration_since(since) >= HTTP_SERVER_PATIENCE } else { sum > most };
            gives.then_some(((!is_own, sum, Reverse(since)), number))
        });
        of_others.max_by_key(|(rank, _)| *rank).map(|(_, number)| number)
    }
}

impl Caller {
    /// Waits until it has to give way.
    pub(super) async fn gives_way(&self) {
        self.state.gives_way.notified().await;
    }

    /// Reserves room for further bytes of its body: at the server, in the owner's share, and in
    /// all. `may_exceed` returns whether the owner may exceed the share. Returns `None` if no
    /// connection gives way.
    pub(super) async fn room(
        &self,
        of_server: &Arc<Semaphore>,
        count: usize,
        may_exceed: impl FnOnce() -> bool,
    ) -> Option<BodyRoom> {
        let permits = u32::try_from(count).ok()?;
        let taken = |semaphore: &Arc<Semaphore>| Arc::clone(semaphore).try_acquire_many_owned(permits).ok();
        let of_server = match taken(of_server) {
            Some(room) => room,
            None => self.room_of_others(of_server, Bound::Server, permits).await?,
        };
        let of_owner = self.share_of_bytes(u64::from(permits), may_exceed).await?;
        let of_all = match taken(&self.all.bytes) {
            Some(room) => room,
            None => self.room_of_others(&self.all.bytes, Bound::All, permits).await?,
        };
        self.state.progress.lock().bytes += count;
        Some(BodyRoom { of_server, of_all, of_owner })
    }

    /// So many bytes in the share of the server's owner.
    async fn share_of_bytes(&self, bytes: u64, may_exceed: impl FnOnce() -> bool) -> Option<ByteShare> {
        let Caller { all, account, .. } = self;
        let share = || ByteShare { all: Arc::clone(all), account: *account, bytes };
        let take_own = || {
            all.byte_shares.put_back(*account, bytes);
            if all.byte_shares.is_beyond(account) {
                // No waiter is notified, because these bytes were never granted.
                all.byte_shares.give_back(*account, bytes);
                return None;
            }
            Some(share())
        };
        if let Some(share) = take_own() {
            return Some(share);
        }
        if may_exceed() {
            all.byte_shares.put_back(*account, bytes);
            return Some(share());
        }
        self.others_give_way(Bound::Owner, usize::try_from(bytes).ok()?)?;
        timeout(HTTP_SERVER_PATIENCE, async {
            loop {
                let mut freed = pin!(all.bytes_freed.notified());
                freed.as_mut().enable();
                if let Some(share) = take_own() {
                    return share;
                }
                freed.await;
            }
        })
        .await
        .ok()
    }

    /// Room that others give.
    async fn room_of_others(
        &self,
        semaphore: &Arc<Semaphore>,
        bound: Bound,
        permits: u32,
    ) -> Option<OwnedSemaphorePermit> {
        self.others_give_way(bound, permits as usize)?;
        let room = Arc::clone(semaphore).acquire_many_owned(permits);
        timeout(HTTP_SERVER_PATIENCE, room).await.ok()?.ok()
    }

    /// Has another connection give way, which holds more bytes of bodies than this one would;
    /// `None` where there is none.
    fn others_give_way(&self, bound: Bound, wanted: usize) -> Option<()> {
        let mut rows = self.all.rows.lock();
        let of_others = |number, at: Progress| if number == self.number { 0 } else { at.bytes };
        let giver = rows.giver((self.owner, self.account), bound, wanted, of_others)?;
        rows.by_number.remove(&giver)?.state.gives_way.notify_one();
        Some(())
    }

    /// Its request has come whole.
    pub(super) fn has_whole_request(self: &Arc<Self>) -> WholeRequest {
        *self.state.progress.lock() = Progress { bytes: 0, since: None };
        WholeRequest(Arc::clone(self))
    }

    /// Its request has ended without coming whole.
    pub(super) fn begins_anew(&self) {
        *self.state.progress.lock() = Progress { bytes: 0, since: Some(Instant::now()) };
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.all.rows.lock().by_number.remove(&self.number);
    }
}

impl Drop for WholeRequest {
    fn drop(&mut self) {
        self.0.begins_anew();
    }
}

impl BodyRoom {
    /// Adds room for further bytes of the same body.
    pub(super) fn merge(&mut self, other: BodyRoom) {
        let BodyRoom { of_server, of_all, mut of_owner } = other;
        self.of_server.merge(of_server);
        self.of_all.merge(of_all);
        self.of_owner.bytes += std::mem::take(&mut of_owner.bytes);
    }
}

/// Returns the network of one client: an address of IPv4, 64 bits of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address @ IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// All have taken long.
    fn grow_old(all: &Callers) {
        for row in all.rows.lock().by_number.values() {
            let mut progress = row.state.progress.lock();
            progress.since = progress.since.map(|since| since - HTTP_SERVER_PATIENCE);
        }
    }

    /// A connection to a server of an owner.
    fn enter(all: &Arc<Callers>, (server, account): (u64, u64), address: IpAddr) -> Option<Caller> {
        all.enter(OwnedServer { server, account }, address, || false)
    }

    fn gives_way(caller: &Caller) -> bool {
        !caller.all.rows.lock().by_number.contains_key(&caller.number)
    }

    #[tokio::test]
    async fn the_busiest_address_gives_way_and_never_with_a_whole_request() {
        let all = Arc::new(Callers::of(4, 100));
        let mut busy: Vec<_> = (0..3).map(|_| Arc::new(enter(&all, (1, 1), address(1)).unwrap())).collect();
        let other = enter(&all, (2, 2), address(2)).unwrap();
        let whole = busy[0].has_whole_request();
        // The address that holds most is rejected, and another address gets in.
        assert!(enter(&all, (1, 1), address(1)).is_none());
        let newcomer = enter(&all, (3, 3), address(3)).unwrap();
        assert_eq!(busy.iter().map(|it| gives_way(it)).collect::<Vec<_>>(), [false, true, false]);
        busy[1].gives_way().await;
        // Two of one address are not more than the newcomer's address would have.
        assert!(enter(&all, (3, 3), address(3)).is_none());
        grow_old(&all);
        let _third = enter(&all, (3, 3), address(3)).unwrap();
        assert!(gives_way(&newcomer) && !gives_way(&other), "his own, which said nothing for long");
        drop(whole);
        grow_old(&all);
        let _fourth = enter(&all, (1, 1), address(1)).unwrap();
        assert!(gives_way(&busy[2]), "the one that has taken longest");
        busy.clear();
        drop(other);
        assert_eq!(all.rows.lock().by_number.len(), 2);
    }

    #[tokio::test]
    async fn bytes_of_bodies_that_do_not_end_give_way() {
        let (all, server) = (Arc::new(Callers::of(10, 100)), Arc::new(Semaphore::new(1000)));
        let greedy = Arc::new(enter(&all, (1, 1), address(1)).unwrap());
        let held = greedy.room(&server, 70, || false).await.unwrap();
        let (room, closed) = (Arc::clone(&server), Arc::clone(&greedy));
        let closing = tokio::spawn(async move {
            closed.gives_way().await;
            drop(held);
        });
        let small = enter(&all, (2, 1), address(2)).unwrap();
        let taken = small.room(&room, 40, || false).await.unwrap();
        closing.await.unwrap();
        assert!(gives_way(&greedy));
        assert_eq!((all.bytes.available_permits(), server.available_permits()), (60, 960));
        // No address holds more than the newcomer would.
        let large = enter(&all, (3, 1), address(3)).unwrap();
        assert!(large.room(&room, 70, || false).await.is_none());
        drop(taken);
        assert!(large.room(&room, 70, || false).await.is_some());
    }

    #[tokio::test]
    async fn servers_of_one_owner_leave_others_what_they_have_at_least() {
        const ANN: u64 = 7;
        const BOB: u64 = 8;
        let all = Arc::new(Callers::of(16, 100));
        let called = |number: u64| (number % 3, ANN);
        let of_ann = (0..20).filter_map(|number| enter(&all, called(number), address(1)));
        let of_ann: Vec<_> = of_ann.map(Arc::new).collect();
        assert_eq!(of_ann.len(), 12, "three quarters");
        let whole: Vec<_> = of_ann.iter().map(|caller| caller.has_whole_request()).collect();
        let of_bob = Arc::new(enter(&all, (9, BOB), address(2)).unwrap());
        assert!(enter(&all, (3, ANN), address(3)).is_none(), "hers give way to nobody");
        assert!(
            all.enter(OwnedServer { server: 3, account: ANN }, address(3), || true).is_some(),
            "an administrator"
        );
        drop(whole);
        // A connection of Ann gives way to another one of Ann, and none of Bob's does.
        assert!(enter(&all, (3, ANN), address(3)).is_some());
        assert!(!gives_way(&of_bob));
        let room = Arc::new(Semaphore::new(1000));
        let held = of_ann[1].room(&room, 75, || false).await.unwrap();
        of_ann[1].has_whole_request();
        assert!(of_ann[2].room(&room, 1, || false).await.is_none(), "she has three quarters");
        assert!(of_bob.room(&room, 18, || false).await.is_some());
        drop((held, of_ann, of_bob));
        assert_eq!((all.shares.used(), all.byte_shares.used()), (0, 0));
        assert_eq!(all.bytes.available_permits(), 100);
    }
}
