//! Double of the interface `principals`: records the actions of an authentication guest on
//! logged-in clients, for its test.

use std::cell::{Cell, RefCell};

pub use super::bindings::lotmq::guest::principals::{
    Actions, Effect, Grant, Permission, Principal, Property, Selector, SessionLimits,
};
use super::testing::Intervention;

thread_local! {
    static DONE: RefCell<Vec<Intervention>> = RefCell::default();
    /// Sessions that each of them is about.
    static SESSIONS: Cell<u32> = const { Cell::new(1) };
}

/// Takes the recorded actions.
pub(super) fn take() -> Vec<Intervention> {
    DONE.take()
}

pub(super) fn set_sessions(count: u32) {
    SESSIONS.set(count);
}

pub fn revoke(whom: &Selector, reason_code: u8, reason: Option<&str>) -> u32 {
    let (whom, reason) = (whom.clone(), reason.map(str::to_owned));
    done(Intervention::Revoked { whom, reason_code, reason })
}

pub fn update(whom: &Selector, principal: &Principal) -> u32 {
    done(Intervention::Updated { whom: whom.clone(), principal: principal.clone() })
}

fn done(intervention: Intervention) -> u32 {
    DONE.with_borrow_mut(|done| done.push(intervention));
    SESSIONS.get()
}
