//! Connections of clients to the HTTP servers of all routes, and which of them gives way when there are too many.
//!
//! Each server has a bound of connections and one of bytes of bodies, and all servers together have two more. Where one is reached, the address that holds most of it
//! gives way to a newcomer who would hold less: of its connections that have brought no whole request, the one that has taken longest is closed. One of the
//! newcomer's own address does if it has taken [`HTTP_SERVER_PATIENCE`], so that behind a proxy nobody is shut out by who says nothing. Else the newcomer is turned away.
//!
//! Invariant: a client whose whole request waits for its answer, or whose answer is being sent, gives way to nobody.

use crate::limits::{
    HTTP_SERVER_BYTES_ALL_MAX, HTTP_SERVER_CONNECTIONS_ALL_MAX, HTTP_SERVER_CONNECTIONS_MAX,
    HTTP_SERVER_PATIENCE,
};
use parking_lot::Mutex;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// Those of this process.
static CALLERS: LazyLock<Arc<Callers>> =
    LazyLock::new(|| Arc::new(Callers::of(HTTP_SERVER_CONNECTIONS_ALL_MAX, HTTP_SERVER_BYTES_ALL_MAX)));

/// Says how many connections the HTTP servers of all routes together may have: what the system lets a process open may be fewer than
/// [`HTTP_SERVER_CONNECTIONS_ALL_MAX`], which are never more.
pub fn bound_http_callers(connections: usize) {
    CALLERS.most.store(connections.min(HTTP_SERVER_CONNECTIONS_ALL_MAX), Ordering::Relaxed);
}

/// Connections of clients to HTTP servers.
pub(super) struct Callers {
    most: AtomicUsize,
    /// Bytes of bodies that servers may still take, all together.
    bytes: Arc<Semaphore>,
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    next: u64,
    /// By number, the oldest first.
    by_number: BTreeMap<u64, Row>,
}

/// Whose a connection is: its server, and the address that it comes from.
type Owner = (u64, IpAddr);

struct Row {
    owner: Owner,
    state: Arc<CallerState>,
}

/// What a connection is at, which changes with each request and without the lock of all.
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
    state: Arc<CallerState>,
}

/// A whole request of a connection, until its answer is sent.
pub(super) struct WholeRequest(Arc<Caller>);

/// Room that bytes of a body take: of those of its server, and of those of all.
pub(super) struct BodyRoom {
    of_server: OwnedSemaphorePermit,
    of_all: OwnedSemaphorePermit,
}

impl Callers {
    /// Those of this process.
    pub(super) fn of_process() -> Arc<Callers> {
        Arc::clone(&CALLERS)
    }

    fn of(most: usize, bytes: usize) -> Callers {
        let (most, bytes) = (AtomicUsize::new(most), Arc::new(Semaphore::new(bytes)));
        Callers { most, bytes, rows: Mutex::default() }
    }

    /// One more connection to a server; `None` where nobody gives way to it.
    pub(super) fn enter(self: &Arc<Self>, server: u64, address: IpAddr) -> Option<Caller> {
        let owner = (server, network(address));
        let mut rows = self.rows.lock();
        let of_server = rows.by_number.values().filter(|row| row.owner.0 == server).count();
        let is_full = of_server >= HTTP_SERVER_CONNECTIONS_MAX;
        if is_full || rows.by_number.len() >= self.most.load(Ordering::Relaxed) {
            let giver = rows.giver(owner, is_full, 1, |_, _| 1)?;
            // It leaves no later, so that the next newcomer finds another one.
            rows.by_number.remove(&giver)?.state.gives_way.notify_one();
        }
        let number = rows.next;
        rows.next += 1;
        let progress = Mutex::new(Progress { bytes: 0, since: Some(Instant::now()) });
        let state = Arc::new(CallerState { progress, gives_way: Notify::new() });
        rows.by_number.insert(number, Row { owner, state: Arc::clone(&state) });
        Some(Caller { all: Arc::clone(self), number, owner, state })
    }
}

impl Rows {
    /// The connection that gives way to `newcomer`, who wants `wanted` more of what `held` says that each holds; of the newcomer's server only, where that is what is full.
    fn giver(
        &self,
        newcomer: Owner,
        is_of_server: bool,
        wanted: usize,
        held: impl Fn(u64, Progress) -> usize,
    ) -> Option<u64> {
        let mut sums = HashMap::<Owner, usize>::new();
        let rows = self.by_number.iter().filter(|(_, row)| !is_of_server || row.owner.0 == newcomer.0);
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

    /// Room for further bytes of its body, which `of_server` has as well; `None` where nobody gives way.
    pub(super) async fn room(&self, of_server: &Arc<Semaphore>, count: usize) -> Option<BodyRoom> {
        let permits = u32::try_from(count).ok()?;
        let taken = |semaphore: &Arc<Semaphore>| Arc::clone(semaphore).try_acquire_many_owned(permits).ok();
        let of_server = match taken(of_server) {
            Some(room) => room,
            None => self.room_of_others(of_server, true, permits).await?,
        };
        let of_all = match taken(&self.all.bytes) {
            Some(room) => room,
            None => self.room_of_others(&self.all.bytes, false, permits).await?,
        };
        self.state.progress.lock().bytes += count;
        Some(BodyRoom { of_server, of_all })
    }

    /// Room that others give.
    async fn room_of_others(
        &self,
        semaphore: &Arc<Semaphore>,
        is_of_server: bool,
        permits: u32,
    ) -> Option<OwnedSemaphorePermit> {
        let wanted = permits as usize;
        {
            let mut rows = self.all.rows.lock();
            let of_others = |number, at: Progress| if number == self.number { 0 } else { at.bytes };
            let giver = rows.giver(self.owner, is_of_server, wanted, of_others)?;
            rows.by_number.remove(&giver)?.state.gives_way.notify_one();
        }
        let room = Arc::clone(semaphore).acquire_many_owned(permits);
        timeout(HTTP_SERVER_PATIENCE, room).await.ok()?.ok()
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
        self.of_server.merge(other.of_server);
        self.of_all.merge(other.of_all);
    }
}

/// What one client may have for himself: an address of IPv4, a network of 64 bits of IPv6.
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

    fn gives_way(caller: &Caller) -> bool {
        !caller.all.rows.lock().by_number.contains_key(&caller.number)
    }

    #[tokio::test]
    async fn the_busiest_address_gives_way_and_never_with_a_whole_request() {
        let all = Arc::new(Callers::of(4, 100));
        let mut busy: Vec<_> = (0..3).map(|_| Arc::new(all.enter(1, address(1)).unwrap())).collect();
        let other = all.enter(2, address(2)).unwrap();
        let whole = busy[0].has_whole_request();
        // Who has most himself is turned away, and one of another address gets in.
        assert!(all.enter(1, address(1)).is_none());
        let newcomer = all.enter(3, address(3)).unwrap();
        assert_eq!(busy.iter().map(|it| gives_way(it)).collect::<Vec<_>>(), [false, true, false]);
        busy[1].gives_way().await;
        // Two of one address are not more than who comes would have.
        assert!(all.enter(3, address(3)).is_none());
        grow_old(&all);
        let _third = all.enter(3, address(3)).unwrap();
        assert!(gives_way(&newcomer) && !gives_way(&other), "his own, which said nothing for long");
        drop(whole);
        grow_old(&all);
        let _fourth = all.enter(1, address(1)).unwrap();
        assert!(gives_way(&busy[2]), "the one that has taken longest");
        busy.clear();
        drop(other);
        assert_eq!(all.rows.lock().by_number.len(), 2);
    }

    #[tokio::test]
    async fn bytes_of_bodies_that_do_not_end_give_way() {
        let (all, server) = (Arc::new(Callers::of(10, 100)), Arc::new(Semaphore::new(1000)));
        let greedy = Arc::new(all.enter(1, address(1)).unwrap());
        let held = greedy.room(&server, 90).await.unwrap();
        let (room, closed) = (Arc::clone(&server), Arc::clone(&greedy));
        let closing = tokio::spawn(async move {
            closed.gives_way().await;
            drop(held);
        });
        let small = all.enter(2, address(2)).unwrap();
        let taken = small.room(&room, 20).await.unwrap();
        closing.await.unwrap();
        assert!(gives_way(&greedy));
        assert_eq!((all.bytes.available_permits(), server.available_permits()), (80, 980));
        // Nobody holds more than who asks for that much.
        let large = all.enter(3, address(3)).unwrap();
        assert!(large.room(&room, 90).await.is_none());
        drop(taken);
        assert!(large.room(&room, 90).await.is_some());
    }
}
