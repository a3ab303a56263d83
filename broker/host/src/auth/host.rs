//! Host functions of the world `auth` alone, and the state of an instance.

use super::{
    Principal, Selector,
    bindings::lotmq::guest::{message_properties, principals, types},
    checks,
};
use crate::{
    RunContext,
    fiber::{FiberServices, FiberState, OnFiber},
};
use lotmq_codec::{PacketType, ReasonCode};
use std::sync::Arc;

/// Services of the broker for authentication guests, besides those for all guests that wait. They
/// affect only clients that this guest has accepted.
pub trait AuthServices: FiberServices {
    /// Ends connections and sessions; gives the number of sessions. The reason code may stand in a
    /// DISCONNECT of the server.
    fn revoke(&self, run: &RunContext, whom: &Selector, reason_code: ReasonCode, reason: Option<&str>)
    -> u32;

    /// Replaces a principal, which was checked; gives the number of sessions.
    fn update(&self, run: &RunContext, whom: &Selector, principal: &Principal) -> u32;
}

/// Host state of one instance.
pub(super) struct AuthState {
    pub(super) fiber: FiberState,
    pub(super) services: Arc<dyn AuthServices>,
}

impl OnFiber for AuthState {
    fn fiber(&mut self) -> &mut FiberState {
        &mut self.fiber
    }

    fn fiber_ref(&self) -> &FiberState {
        &self.fiber
    }
}

impl types::Host for AuthState {}

impl message_properties::Host for AuthState {}

impl principals::Host for AuthState {
    fn revoke(&mut self, whom: Selector, reason_code: u8, reason: Option<String>) -> u32 {
        let shown = reason.as_deref();
        if shown.is_some_and(|reason| checks::text("the Reason String", reason).is_err()) {
            return 0;
        }
        let Ok(code) = checks::failure(reason_code, PacketType::Disconnect, "DISCONNECT") else { return 0 };
        self.services.revoke(&self.fiber.run, &whom, code, shown)
    }

    fn update(&mut self, whom: Selector, principal: Principal) -> u32 {
        if checks::principal(&principal).is_err() {
            return 0;
        }
        self.services.update(&self.fiber.run, &whom, &principal)
    }
}
