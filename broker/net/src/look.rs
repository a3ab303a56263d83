//! Looks of a shard's runtime: that its thread is idle, and that it has looked at the sockets.
//!
//! Not here: what follows from that for connections (`time_share`).

use std::cell::Cell;
use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Waker};

thread_local! {
    /// Whether the thread has been idle since a connection was looked at.
    static HAS_IDLED: Cell<bool> = const { Cell::new(false) };
}

/// Notes that the thread is idle.
pub(super) fn thread_idles() {
    HAS_IDLED.set(true);
}

/// Whether the thread has been idle since the last call.
pub(super) fn take_idled() -> bool {
    HAS_IDLED.replace(false)
}

/// Wakes `waker` when the runtime has looked at the sockets. In one of its tasks: it wakes those
/// that have yielded when it has looked.
pub(super) fn wake_behind_look(waker: &Waker) {
    // Once is enough: the runtime keeps the waker until it has looked.
    let _ = pin!(tokio::task::yield_now()).poll(&mut Context::from_waker(waker));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_runtime_tells_that_it_has_looked() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for _ in 0..3 {
                let woken = Arc::new(Woken::default());
                wake_behind_look(&Waker::from(Arc::clone(&woken)));
                assert!(!woken.0.load(Ordering::Relaxed));
                // Tasks that are called run before the runtime looks, those that yield behind that.
                tokio::task::yield_now().await;
                assert!(woken.0.load(Ordering::Relaxed));
            }
        });
    }
}
