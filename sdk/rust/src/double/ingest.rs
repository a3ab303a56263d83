//! Double of the interface `ingest`: records the messages of a route for its test.

use std::cell::RefCell;

pub use super::bindings::lotmq::guest::ingest::{Arrival, IngestError};

thread_local! {
    static PUBLISHED: RefCell<Vec<Arrival>> = RefCell::default();
    static REFUSES: RefCell<Option<IngestError>> = RefCell::default();
}

/// Takes the recorded messages.
pub(super) fn take() -> Vec<Arrival> {
    PUBLISHED.take()
}

/// Rejects messages from now on, or accepts them again.
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
