//! Bounded slots for operations on files of all guests, each with a thread. Waiting owners take
//! turns, and each has at most a part of the slots that others leave. So the files of one owner,
//! however many and slow, do not block those of others.
//!
//! Invariant: an operation waits only if all slots are taken or its owner has used up the part that
//! others leave.

use crate::limits::{FILE_OPERATIONS_MAX, OWNER_PART};
use lotmq_shares::{AccountShares, FairTurns};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock},
};
use tokio::{sync::oneshot, task::spawn_blocking};

/// Account for operations on certificates and keys, whatever guest connects with them. They are few
/// and short.
pub(super) const OF_TLS: u64 = u64::MAX - 2;

/// Places for operations of all guests.
static UNDER_WAY: LazyLock<Arc<FilePlaces>> = LazyLock::new(FilePlaces::new);

/// Does something for this account on a thread that may wait for the disk; `None` when it was given
/// up.
pub(super) async fn at_disk<T: Send + 'static>(
    account: u64,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let place = UNDER_WAY.take(account).await;
    let done = spawn_blocking(move || {
        // Held until the disk has answered, also when nobody waits any more.
        let _place = place;
        work()
    });
    done.await.ok()
}

/// Places for operations on files.
struct FilePlaces {
    shares: Arc<AccountShares>,
    /// Waiting operations, by account.
    waiting: Mutex<FairTurns<u64, VecDeque<oneshot::Sender<FilePlace>>>>,
}

/// Place of one operation.
struct FilePlace {
    account: u64,
    places: Arc<FilePlaces>,
}

impl FilePlaces {
    /// As many as all guests together have.
    fn new() -> Arc<Self> {
        let shares = AccountShares::new(FILE_OPERATIONS_MAX as u64, OWNER_PART);
        Arc::new(FilePlaces { shares, waiting: Mutex::default() })
    }

    /// Waits for a place for a guest that acts for this account.
    async fn take(self: &Arc<Self>, account: u64) -> FilePlace {
        let given = {
            let mut waiting = self.waiting.lock();
            if self.shares.take(account, 1).is_ok() {
                return self.place(account);
            }
            let (sender, given) = oneshot::channel();
            let line = waiting.line(&account);
            if line.len() >= FILE_OPERATIONS_MAX {
                line.retain(|waits| !waits.is_closed());
            }
            line.push_back(sender);
            given
        };
        given.await.expect("a sender is dropped only when nobody waits for it")
    }

    fn place(self: &Arc<Self>, account: u64) -> FilePlace {
        FilePlace { account, places: Arc::clone(self) }
    }

    /// Gives a place back, and gives out what may be by then.
    fn give_back(self: &Arc<Self>, account: u64) {
        let mut begin = Vec::new();
        let mut waiting = self.waiting.lock();
        self.shares.give_back(account, 1);
        while let Some((account, next)) = waiting.take(|account, line| {
            self.shares.take(*account, 1).ok()?;
            Some((*account, line.pop_front()?))
        }) {
            if next.is_closed() {
                self.shares.give_back(account, 1);
            } else {
                begin.push((account, next));
            }
        }
        drop(waiting);
        for (account, next) in begin {
            // If the waiter has gone at this moment, dropping the place gives it to the next one.
            drop(next.send(self.place(account)));
        }
    }
}

impl Drop for FilePlace {
    fn drop(&mut self) {
        self.places.give_back(self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    /// A place that is to be had at once.
    fn at_once(places: &Arc<FilePlaces>, account: u64) -> Option<FilePlace> {
        match pin!(places.take(account)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(place) => Some(place),
            Poll::Pending => None,
        }
    }

    #[test]
    fn nobodys_files_keep_those_of_others_waiting() {
        let places = FilePlaces::new();
        let mut of_first: Vec<_> = std::iter::from_fn(|| at_once(&places, 1)).collect();
        assert_eq!(of_first.len(), FILE_OPERATIONS_MAX / 4 * 3);
        let of_second: Vec<_> = std::iter::from_fn(|| at_once(&places, 2)).collect();
        assert_eq!(of_second.len(), FILE_OPERATIONS_MAX / 16 * 3);
        let others: Vec<_> = (3..100).filter_map(|account| at_once(&places, account)).collect();
        // Of one that is left nobody has a part.
        assert_eq!(others.len(), FILE_OPERATIONS_MAX / 16 - 1, "each of the next ones has one");
        drop(others);
        drop(of_second);
        assert_eq!(of_first.drain(..).count(), FILE_OPERATIONS_MAX / 4 * 3);
        assert_eq!(places.shares.used(), 0, "nothing is left to those who have gone");
    }

    #[test]
    fn waiting_file_operation_starts_when_a_slot_is_free() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let places = FilePlaces::new();
            let mut taken: Vec<_> = std::iter::from_fn(|| at_once(&places, 1)).collect();
            let mut waits = pin!(places.take(1));
            assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            taken.pop();
            let place = waits.await;
            assert_eq!(places.shares.used(), taken.len() as u64 + 1);
            drop((place, taken));
            assert_eq!(places.shares.used(), 0);
        });
    }
}
