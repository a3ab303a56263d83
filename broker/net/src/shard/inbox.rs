//! Inbox of a shard for the orders of other threads: bounded, so that a shard that stands still
//! costs no memory.
//!
//! Policy when full: a new connection goes to another shard, or waits in the system's own queue
//! because nobody accepts it meanwhile; threads without connections that leave releases wait until
//! there is room. No shard ever waits for another one, so that none waits for itself.
//!
//! Invariants: orders are taken in the order in which they came; there are never more than
//! [`SHARD_ORDERS_MAX`](ORDERS_MAX) but for listeners, of which there are few. After
//! [`Inbox::close`] there are none, and nobody waits.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::super::limits::SHARD_ORDERS_MAX as ORDERS_MAX;

/// Orders that a shard carries out between two looks at the clock; to begin with a connection takes
/// some 10 µs.
const ORDERS_PER_LOOK: usize = 16;

/// Inbox of a shard. `T` is an order.
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    came: Notify,
    has_room: Condvar,
}

struct State<T> {
    orders: VecDeque<T>,
    is_closed: bool,
}

/// Refusal of an order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused<T> {
    /// The inbox is full; the order comes back, for another shard or later.
    Full(T),
    /// The shard has stopped.
    Closed,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        let state = Mutex::new(State { orders: VecDeque::new(), is_closed: false });
        Self { state, came: Notify::new(), has_room: Condvar::new() }
    }
}

impl<T> Inbox<T> {
    /// Leaves an order where there is room for one of its kind: at most half of the places.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) fn offer(&self, order: T) -> Result<(), Refused<T>> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(Refused::Closed);
        }
        if state.orders.len() >= ORDERS_MAX / 2 {
            return Err(Refused::Full(order));
        }
        state.orders.push_back(order);
        drop(state);
        self.came.notify_one();
        Ok(())
    }

    /// Whether [`offer`](Self::offer) would find no room.
    pub(crate) fn is_congested(&self) -> bool {
        self.state.lock().orders.len() >= ORDERS_MAX / 2
    }

    /// Leaves an order, and waits for room; not to be called by shards. It is dropped when the
    /// shard has stopped.
    pub(crate) fn leave(&self, order: T) {
        let mut state = self.state.lock();
        while state.orders.len() >= ORDERS_MAX && !state.is_closed {
            self.has_room.wait(&mut state);
        }
        self.put(state, order);
    }

    /// Leaves an order of which there are few, room or not. It is dropped when the shard has
    /// stopped.
    pub(crate) fn insist(&self, order: T) {
        self.put(self.state.lock(), order);
    }

    fn put(&self, mut state: parking_lot::MutexGuard<'_, State<T>>, order: T) {
        if !state.is_closed {
            state.orders.push_back(order);
            drop(state);
            self.came.notify_one();
        }
    }

    /// Waits for the next order. Cancelling the wait loses nothing.
    pub(crate) async fn next(&self) -> T {
        loop {
            if let Some(order) = self.take() {
                return order;
            }
            self.came.notified().await;
        }
    }

    /// Carries out orders for ever. After each [`ORDERS_PER_LOOK`] orders `is_time_over` says
    /// whether the thread's other tasks have their turn first; it is told how often it was asked
    /// since they had it. Cancelling the wait loses nothing.
    pub(super) async fn serve(
        &self,
        mut carry_out: impl FnMut(T),
        mut is_time_over: impl FnMut(usize) -> bool,
    ) {
        loop {
            let mut next = Some(self.next().await);
            let mut done = 0;
            while let Some(order) = next {
                carry_out(order);
                done += 1;
                if done % ORDERS_PER_LOOK == 0 && is_time_over(done / ORDERS_PER_LOOK - 1) {
                    tokio::task::yield_now().await;
                    break;
                }
                next = self.take();
            }
        }
    }

    /// Takes the next order, if there is one.
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = self.state.lock();
        let order = state.orders.pop_front()?;
        if state.orders.is_empty() {
            state.orders.shrink_to(64);
        }
        drop(state);
        self.has_room.notify_one();
        Some(order)
    }

    /// Closes the inbox: drops waiting orders, and releases threads that wait for room.
    pub(crate) fn close(&self) {
        let dropped = {
            let mut state = self.state.lock();
            state.is_closed = true;
            std::mem::take(&mut state.orders)
        };
        drop(dropped);
        self.has_room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn connections_leave_room_for_others_and_come_back_when_there_is_none() {
        let inbox = Inbox::default();
        for number in 0..ORDERS_MAX / 2 {
            assert!(!inbox.is_congested());
            assert_eq!(inbox.offer(number), Ok(()));
        }
        assert!(inbox.is_congested());
        assert_eq!(inbox.offer(7_000), Err(Refused::Full(7_000)));
        inbox.leave(8_000);
        let taken: Vec<usize> = std::iter::from_fn(|| inbox.take()).collect();
        assert_eq!(taken.len(), ORDERS_MAX / 2 + 1);
        assert!(taken.is_sorted());
        inbox.close();
        assert_eq!(inbox.offer(1), Err(Refused::Closed));
        inbox.insist(1);
        assert_eq!(inbox.take(), None);
    }

    #[test]
    fn sender_to_a_full_inbox_waits_and_no_order_is_lost() {
        const ORDERS: usize = 3 * ORDERS_MAX;
        let inbox = Arc::new(Inbox::default());
        let leaving = Arc::clone(&inbox);
        let thread = thread::spawn(move || (0..ORDERS).for_each(|number| leaving.leave(number)));
        let mut longest = 0;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for number in 0..ORDERS {
                longest = longest.max(inbox.state.lock().orders.len());
                assert_eq!(inbox.next().await, number);
            }
        });
        thread.join().unwrap();
        assert!(longest <= ORDERS_MAX, "{longest} orders waited");
    }

    #[test]
    fn many_orders_are_carried_out_in_pieces_between_which_others_have_their_turn() {
        const ORDERS: usize = 20 * ORDERS_PER_LOOK + 3;
        const LOOKS: usize = 3;
        let inbox = Arc::new(Inbox::default());
        // Log of the steps: an order, or the turn of another task.
        let log = Arc::new(Mutex::new(Vec::new()));
        let (served, noted) = (Arc::clone(&inbox), Arc::clone(&log));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            (0..ORDERS / 2).for_each(|number| inbox.insist(number));
            let serving = tokio::spawn(async move {
                served.serve(|order| noted.lock().push(Some(order)), |looks| looks + 1 >= LOOKS).await;
            });
            let (leaving, turns) = (Arc::clone(&inbox), Arc::clone(&log));
            tokio::spawn(async move {
                let mut further = ORDERS / 2..ORDERS;
                while turns.lock().iter().flatten().count() < ORDERS {
                    // Some come one by one, others many at once.
                    let several = 1 + further.start % (3 * ORDERS_PER_LOOK);
                    further.by_ref().take(several).for_each(|number| leaving.insist(number));
                    turns.lock().push(None);
                    tokio::task::yield_now().await;
                }
            })
            .await
            .unwrap();
            serving.abort();
        });
        let log = log.lock();
        assert!(log.iter().flatten().copied().eq(0..ORDERS), "each once, in its order");
        let longest = log.split(Option::is_none).map(<[_]>::len).max();
        // The runtime begins a round with either of the two.
        assert!(longest <= Some(2 * LOOKS * ORDERS_PER_LOOK), "{longest:?} without a break");
    }

    #[test]
    fn sender_waiting_for_room_is_released_when_the_shard_stops() {
        let inbox = Arc::new(Inbox::default());
        (0..ORDERS_MAX).for_each(|number| inbox.leave(number));
        let waiting = Arc::clone(&inbox);
        let thread = thread::spawn(move || waiting.leave(0));
        inbox.close();
        thread.join().unwrap();
        assert_eq!(inbox.take(), None);
    }
}
