//! Half-open connections (without CONNECT) of one listener, or of all, by their address. At the
//! bound, the address with most of them gives way to a newcomer that has fewer: its oldest
//! connection is closed. The newcomer is closed instead if all have the same, or if its address has
//! most. So devices of one address which come back all at once do not end each other's handshakes.
//!
//! In the table of all listeners, an address counts at each of them for itself. If no address gives
//! way there, the listener with most connections does. So a flood at one listener keeps nobody from
//! logging in at another one, not even from the same address.
//!
//! Programs of this machine have some more places, in case strangers from very many addresses hold
//! all others. If those are taken, too, the oldest of the newcomer's address gives way, or of the
//! address with most. So an administrator is always let in.
//!
//! Not `lotmq_shares::AccountShares`: a full table evicts from the longest queue, and refuses
//! nobody who has fewer. The address with most of them is tracked only when there are many. That
//! costs nothing as long as no connection has to give way.
//!
//! Invariants: the table has at most its bound and the spare places, and each entry is taken out
//! exactly once. On average the steps under the lock grow with the logarithm of the connections. No
//! connection is called under it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use lotmq_core::connection::Connection;
use lotmq_core::limits::Limit;
use lotmq_core::reason::close::CloseReason;

/// Half-open connections of one listener, or of all.
#[derive(Debug, Default)]
pub(crate) struct HalfOpen(Mutex<Table>);

/// Source of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HalfOpenSource {
    /// Number of the listener.
    pub(crate) listener: u8,
    /// Key of the address; 0 if that is not known.
    pub(crate) address: u64,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    count: u32,
    /// Connections by source, the oldest first.
    rows: HashMap<HalfOpenSource, BTreeMap<u64, Arc<Waiting>>>,
    /// Number of connections by listener.
    listeners: BTreeMap<u8, u32>,
    /// Ranks of the sources of each listener, when there are many connections; the source with most
    /// of them last, of several such the one whose oldest connection has waited longest.
    ranks: Option<BTreeMap<u8, BTreeSet<Rank>>>,
}

/// Rank of a source: the number of its connections, the number of the oldest, and the source.
type Rank = (usize, Reverse<u64>, HalfOpenSource);

/// Half-open connection as others see it.
#[derive(Default)]
pub(crate) struct Waiting {
    number: u64,
    state: Mutex<State>,
    gave_way: Notify,
}

#[derive(Default)]
struct State {
    source: HalfOpenSource,
    /// Whether CONNECT has come, or the end.
    is_over: bool,
    gives_way: bool,
    connection: Option<Weak<Connection>>,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Waiting").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Entry of a new connection.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) waiting: Arc<Waiting>,
    /// Whether it is beyond the bound.
    pub(crate) is_spare: bool,
}

impl HalfOpen {
    /// Admits one more connection from `source`, of `most` and `spare` further ones.
    ///
    /// # Errors
    /// [`Limit::HalfOpen`] when nobody gives way to it.
    pub(crate) fn enter(&self, source: HalfOpenSource, most: u32, spare: u32) -> Result<Entered, Limit> {
        let mut table = self.0.lock();
        let number = table.next;
        table.next += 1;
        let state = Mutex::new(State { source, ..State::default() });
        let waiting = Arc::new(Waiting { number, state, gave_way: Notify::new() });
        let is_spare = Self::admit(table, &waiting, source, (most, spare, spare > 0))?;
        Ok(Entered { waiting, is_spare })
    }

    /// Admits one that has entered the table of all connections to that of its listener. True when
    /// it is beyond the bound. `is_sure`: another one gives way to it in any case.
    ///
    /// # Errors
    /// As for [`enter`](Self::enter).
    pub(crate) fn join(
        &self,
        waiting: &Arc<Waiting>,
        (most, spare, is_sure): (u32, u32, bool),
    ) -> Result<bool, Limit> {
        let table = self.0.lock();
        let source = waiting.state.lock().source;
        Self::admit(table, waiting, source, (most, spare, is_sure))
    }

    fn admit(
        mut table: MutexGuard<'_, Table>,
        waiting: &Arc<Waiting>,
        source: HalfOpenSource,
        (most, spare, is_sure): (u32, u32, bool),
    ) -> Result<bool, Limit> {
        table.keep_ranks(most);
        let is_full = table.count >= most;
        let mut giver = if is_full { table.take_from_busiest(source) } else { None };
        let is_spare = is_full && giver.is_none();
        if is_spare && table.count >= most.saturating_add(spare) {
            giver = is_sure.then(|| table.take_oldest(source)).flatten();
            if giver.is_none() {
                return Err(Limit::HalfOpen);
            }
        }
        table.insert(source, Arc::clone(waiting));
        drop(table);
        if let Some(giver) = giver {
            giver.give_way();
        }
        Ok(is_spare)
    }

    /// Removes a connection on which CONNECT has come, or which has ended.
    pub(crate) fn leave(&self, waiting: &Waiting) {
        let mut table = self.0.lock();
        let source = {
            let mut state = waiting.state.lock();
            state.is_over = true;
            state.source
        };
        table.remove(source, waiting.number);
    }

    /// Counts a connection for the address that a proxy has told, here and in the table of
    /// `others`.
    pub(crate) fn comes_from(&self, others: &Self, waiting: &Waiting, address: u64) {
        let mut tables = (self.0.lock(), others.0.lock());
        let (before, source) = {
            let source = &mut waiting.state.lock().source;
            let before = *source;
            source.address = address;
            (before, *source)
        };
        if before == source {
            return;
        }
        for table in [&mut tables.0, &mut tables.1] {
            if let Some(waiting) = table.remove(before, waiting.number) {
                table.insert(source, waiting);
            }
        }
    }

    /// Number of half-open connections.
    #[cfg(any(test, feature = "quic"))]
    pub(crate) fn count(&self) -> u32 {
        self.0.lock().count
    }
}

impl Table {
    /// Keeps ranks, or does without while there are few connections of `most`.
    fn keep_ranks(&mut self, most: u32) {
        if self.count < most / 4 {
            self.ranks = None;
        } else if self.ranks.is_none() && self.count >= most / 2 {
            let mut ranks = BTreeMap::<u8, BTreeSet<Rank>>::new();
            for (source, row) in &self.rows {
                ranks.entry(source.listener).or_default().extend(rank(*source, row));
            }
            self.ranks = Some(ranks);
        }
    }

    /// The oldest connection of the source with most of them, if these are more than `newcomer`
    /// would have; else one of the listener with most of them, if these are more than the
    /// newcomer's would have.
    fn take_from_busiest(&mut self, newcomer: HalfOpenSource) -> Option<Arc<Waiting>> {
        let own = self.rows.get(&newcomer).map_or(0, BTreeMap::len);
        let (most, Reverse(oldest), busiest) = self.highest()?;
        if most > own + 1 {
            return self.remove(busiest, oldest);
        }
        let of_own = self.listeners.get(&newcomer.listener).copied().unwrap_or_default();
        let (listener, most) = self.listeners.iter().max_by_key(|(_, count)| **count)?;
        if *most <= of_own + 1 {
            return None;
        }
        let (_, Reverse(oldest), busiest) = *self.ranks.as_ref()?.get(listener)?.last()?;
        self.remove(busiest, oldest)
    }

    /// Highest rank of all listeners.
    fn highest(&self) -> Option<Rank> {
        self.ranks.as_ref()?.values().filter_map(BTreeSet::last).max().copied()
    }

    /// The oldest connection of the newcomer's own source; where that has none, of the one with
    /// most.
    fn take_oldest(&mut self, newcomer: HalfOpenSource) -> Option<Arc<Waiting>> {
        let own = self.rows.get(&newcomer).and_then(|row| rank(newcomer, row));
        let (_, Reverse(oldest), source) = own.or_else(|| self.highest())?;
        self.remove(source, oldest)
    }

    fn insert(&mut self, source: HalfOpenSource, waiting: Arc<Waiting>) {
        self.change(source, |row| row.insert(waiting.number, waiting));
        self.count += 1;
        *self.listeners.entry(source.listener).or_default() += 1;
    }

    fn remove(&mut self, source: HalfOpenSource, number: u64) -> Option<Arc<Waiting>> {
        let removed = self.change(source, |row| row.remove(&number))?;
        self.count -= 1;
        if let Some(count) = self.listeners.get_mut(&source.listener) {
            *count -= 1;
        }
        Some(removed)
    }

    fn change<R>(
        &mut self,
        source: HalfOpenSource,
        change: impl FnOnce(&mut BTreeMap<u64, Arc<Waiting>>) -> R,
    ) -> R {
        let row = self.rows.entry(source).or_default();
        let before = rank(source, row);
        let changed = change(row);
        let after = rank(source, row);
        if after.is_none() {
            self.rows.remove(&source);
        }
        if let Some(ranks) = &mut self.ranks {
            let ranks = ranks.entry(source.listener).or_default();
            if let Some(before) = before {
                ranks.remove(&before);
            }
            ranks.extend(after);
        }
        changed
    }
}

fn rank(source: HalfOpenSource, row: &BTreeMap<u64, Arc<Waiting>>) -> Option<Rank> {
    row.first_key_value().map(|(oldest, _)| (row.len(), Reverse(*oldest), source))
}

impl Waiting {
    /// Ties the entry to its connection, which is closed if it has to give way, now or later.
    pub(crate) fn is_of(&self, connection: &Arc<Connection>) {
        let mut state = self.state.lock();
        state.connection = Some(Arc::downgrade(connection));
        let gives_way = state.gives_way && !state.is_over;
        drop(state);
        if gives_way {
            connection.request_close(CloseReason::Limit(Limit::HalfOpen));
        }
    }

    /// Waits until it has to give way, for one without a [`Connection`] yet.
    pub(crate) async fn gave_way(&self) {
        self.gave_way.notified().await;
    }

    /// Whether CONNECT has not come.
    pub(super) fn is_silent(&self) -> bool {
        !self.state.lock().is_over
    }

    fn give_way(&self) {
        let state = self.state.lock();
        if !state.is_over {
            self.make_way_as(state);
        }
    }

    /// Closes the connection, also if its CONNECT has come.
    pub(super) fn make_way(&self) {
        self.make_way_as(self.state.lock());
    }

    #[cfg(test)]
    pub(super) fn makes_way(&self) -> bool {
        self.state.lock().gives_way
    }

    fn make_way_as(&self, mut state: MutexGuard<'_, State>) {
        state.gives_way = true;
        let connection = state.connection.as_ref().and_then(Weak::upgrade);
        drop(state);
        match connection {
            Some(connection) => connection.request_close(CloseReason::Limit(Limit::HalfOpen)),
            None => self.gave_way.notify_one(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROWD: u64 = 1;

    fn at(listener: u8, address: u64) -> HalfOpenSource {
        HalfOpenSource { listener, address }
    }

    fn gave_way(entered: &Entered) -> bool {
        entered.waiting.state.lock().gives_way
    }

    #[test]
    fn the_oldest_of_the_address_with_most_gives_way_to_who_has_fewer() {
        let half_open = HalfOpen::default();
        let enter = |address| half_open.enter(at(0, address), 4, 0);
        let crowd: Vec<Entered> = (0..4).map(|_| enter(CROWD).unwrap()).collect();
        assert_eq!(enter(CROWD).unwrap_err(), Limit::HalfOpen, "its own do not give way to it");
        let second = enter(2).unwrap();
        let third = enter(3).unwrap();
        assert!(gave_way(&crowd[0]) && gave_way(&crowd[1]) && !gave_way(&crowd[2]));
        assert_eq!(enter(2).unwrap_err(), Limit::HalfOpen, "no more than the crowd has");
        assert!(enter(4).is_ok(), "who has none gets one of two");
        assert_eq!(enter(5).unwrap_err(), Limit::HalfOpen, "all have one");
        assert_eq!(half_open.count(), 4);
        assert!(![&second, &third].into_iter().any(gave_way));
        // A connection that has given way leaves no entry, and one that has left is not closed any
        // more.
        half_open.leave(&second.waiting);
        for entered in &crowd {
            half_open.leave(&entered.waiting);
        }
        assert_eq!(half_open.count(), 2);
        second.waiting.give_way();
        assert!(!gave_way(&second));
    }

    #[test]
    fn this_machine_has_places_when_strangers_have_all_others() {
        let half_open = HalfOpen::default();
        let strangers: Vec<_> =
            (10..14).map(|address| half_open.enter(at(0, address), 4, 0).unwrap()).collect();
        assert!(strangers.iter().all(|entered| !entered.is_spare));
        let local = half_open.enter(at(0, CROWD), 4, 1).unwrap();
        assert!(local.is_spare);
        let listener = HalfOpen::default();
        assert_eq!(listener.join(&local.waiting, (0, 0, false)), Err(Limit::HalfOpen));
        let second = half_open.enter(at(0, CROWD), 4, 1).unwrap();
        assert!(second.is_spare && gave_way(&local), "its own give way");
        assert!(half_open.enter(at(0, 2), 4, 1).unwrap().is_spare);
        assert!(gave_way(&strangers[0]) && !gave_way(&second), "the oldest does to one without");
        assert_eq!(half_open.count(), 5);
    }

    #[test]
    fn client_address_from_the_proxy_counts_for_half_open_limits() {
        let (half_open, listener) = (HalfOpen::default(), HalfOpen::default());
        let proxy = 9;
        let told: Vec<Entered> = (0..3).map(|_| half_open.enter(at(0, proxy), 3, 0).unwrap()).collect();
        for entered in &told {
            assert_eq!(listener.join(&entered.waiting, (3, 0, false)), Ok(false));
            half_open.comes_from(&listener, &entered.waiting, CROWD);
        }
        let newcomer = half_open.enter(at(0, proxy), 3, 0).unwrap();
        assert!(gave_way(&told[0]) && half_open.count() == 3);
        assert_eq!(listener.join(&newcomer.waiting, (3, 0, false)), Ok(false));
        assert!(!gave_way(&told[1]) && listener.count() == 3, "one gives way to one");
        half_open.comes_from(&listener, &told[0].waiting, 7);
        let counts = (half_open.count(), listener.count());
        assert_eq!(counts, (3, 3), "what has given way is not counted again");
        let table = half_open.0.lock();
        let ranks = table.ranks.as_ref().map(|ranks| ranks.values().map(BTreeSet::len).sum::<usize>());
        assert_eq!((table.rows.len(), ranks), (2, Some(2)));
    }

    #[test]
    fn flood_at_one_listener_keeps_nobody_out_of_another() {
        let half_open = HalfOpen::default();
        let (flooded, other) = (1, 2);
        let flood: Vec<_> = (0..8).map(|_| half_open.enter(at(flooded, CROWD), 8, 0).unwrap()).collect();
        // The same address, as behind a translation of addresses, or on this machine.
        let login = half_open.enter(at(other, CROWD), 8, 0).unwrap();
        assert!(gave_way(&flood[0]) && !gave_way(&flood[1]));
        assert_eq!(half_open.enter(at(flooded, CROWD), 8, 0).unwrap_err(), Limit::HalfOpen);
        assert!(!gave_way(&login));
    }

    #[test]
    fn flood_of_many_addresses_at_one_listener_keeps_nobody_out_of_another() {
        let half_open = HalfOpen::default();
        let (flooded, other) = (1, 2);
        let flood: Vec<_> =
            (0..8).map(|address| half_open.enter(at(flooded, address), 8, 0).unwrap()).collect();
        let logins: Vec<_> =
            (10..14).map(|address| half_open.enter(at(other, address), 8, 0).unwrap()).collect();
        assert_eq!(flood.iter().filter(|entered| gave_way(entered)).count(), 4);
        assert!(!logins.iter().any(gave_way));
        assert_eq!(half_open.enter(at(other, 14), 8, 0).unwrap_err(), Limit::HalfOpen, "it has half of all");
        assert_eq!(half_open.enter(at(flooded, 14), 8, 0).unwrap_err(), Limit::HalfOpen);
        for entered in logins.iter().chain(&flood) {
            half_open.leave(&entered.waiting);
        }
        assert_eq!(half_open.count(), 0);
        assert!(half_open.0.lock().listeners.values().all(|count| *count == 0));
    }

    proptest::proptest! {
        #[test]
        fn full_half_open_table_evicts_from_the_address_with_most_connections(steps in proptest::collection::vec((0..5_u64, 0..24_usize), 1..300)) {
            const MOST: u32 = 16;
            let half_open = HalfOpen::default();
            // Address and place of each that is there, the oldest first.
            let mut there: Vec<(u64, Arc<Waiting>)> = Vec::new();
            let of = |there: &[(u64, Arc<Waiting>)], address| there.iter().filter(|(of, _)| *of == address).count();
            for (address, leaves) in steps {
                // One in three stays away and another one leaves, so that there are few at times.
                if leaves < there.len() {
                    half_open.leave(&there.remove(leaves).1);
                    continue;
                }
                let most = there.iter().map(|(address, _)| of(&there, *address)).max().unwrap_or(0);
                match half_open.enter(at(0, address), MOST, 0) {
                    Ok(entered) => {
                        if there.len() == MOST as usize {
                            let given = there.iter().position(|(_, waiting)| waiting.state.lock().gives_way);
                            let (giver, waiting) = there.remove(given.expect("somebody gave way"));
                            proptest::prop_assert!(of(&there, giver) + 1 == most && of(&there, address) + 1 < most);
                            proptest::prop_assert!(there.iter().all(|(of, other)| *of != giver || other.number > waiting.number));
                        }
                        there.push((address, entered.waiting));
                    }
                    Err(_) => {
                        proptest::prop_assert!(there.len() == MOST as usize && of(&there, address) + 1 >= most);
                    }
                }
                proptest::prop_assert_eq!(half_open.count() as usize, there.len());
            }
        }
    }
}
