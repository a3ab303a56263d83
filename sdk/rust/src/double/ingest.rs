//! Double of the interface `ingest`: what a route publishes is kept for its test.

use std::cell::RefCell;

pub use super::bindings::lotmq::guest::ingest::{Arrival, IngestError};

thread_local! {
    static PUBLISHED: RefCell<Vec<Arrival>> = RefCell::default();
    static REFUSES: RefCell<Option<IngestError>> = RefCell::default();
}

/// Takes what was published.
pub(super) fn take() -> Vec<Arrival> {
    PUBLISHED.take()
}

/// Refuses what is published from now on, or takes it again.
pub(super) fn refuse(error: Option<IngestError>) {
    REFUSES.set(error);
}

pub fn publish(messages: &[Arrival]) -> Result<(), IngestError> {
    if let Some(error) = REFUSES.with_borrow(|refuses| *refuses) {
        return Err(error);
    }
    PUBLISHED.with_borrow_mut(|published| published.extend(messages.iter().cloned()));
    Ok(())
}
