//! The broker's side of a guest that is looked at before anybody asks it.

use lotmq_codec::ReasonCode;

use super::{AuthServices, GuestPublication, Principal, Selector};
use crate::RunContext;
use crate::fiber::BrokerOfNobody;

impl AuthServices for BrokerOfNobody {
    fn revoke(&self, _run: &RunContext, _whom: &Selector, _code: ReasonCode, _reason: Option<&str>) -> u32 {
        0
    }

    fn update(&self, _run: &RunContext, _whom: &Selector, _principal: &Principal) -> u32 {
        0
    }

    fn publish(&self, _run: &RunContext, _message: &GuestPublication<'_>) -> bool {
        false
    }
}
