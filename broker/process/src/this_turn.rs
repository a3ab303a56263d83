//! Turn of the calling thread.
//!
//! Invariant: nobody uses it inside of a use: turns are handed down as arguments.

use std::cell::RefCell;
use std::sync::Arc;

use lotmq_core::turn::Turn;
use lotmq_core::turn::context::TurnContext;
use lotmq_core::turn::home::Home;

thread_local! {
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// Gives the calling thread a turn. Call once per thread, before [`with`].
pub fn install(context: Arc<TurnContext>, home: Option<Arc<Home>>) {
    TURN.with(|cell| *cell.borrow_mut() = Some(Turn::new(context, home)));
}

/// Lets `work` use the thread's turn.
///
/// # Panics
/// When the thread has none, or inside another call.
pub fn with<R>(work: impl FnOnce(&mut Turn) -> R) -> R {
    TURN.with(|cell| {
        let mut turn = cell.borrow_mut();
        work(turn.as_mut().expect("every thread that routes has installed a turn"))
    })
}

/// Takes the thread's turn away at its end, so that it does not keep the broker alive.
pub fn uninstall() {
    TURN.with(|cell| cell.borrow_mut().take());
}
