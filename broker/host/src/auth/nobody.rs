//! The broker's side of a guest that is looked at before anybody asks it.

use lotmq_codec::ReasonCode;

use super::{AuthServices, Principal, Selector};
use crate::fiber::BrokerOfNobody;
use crate::{BorrowedMessage, RunContext};

impl AuthServices for BrokerOfNobody {
    fn revoke(&self, _run: &RunContext, _whom: &Selector, _code: ReasonCode, _reason: Option<&str>) -> u32 {
        0
    }

    fn update(&self, _run: &RunContext, _whom: &Selector, _principal: &Principal) -> u32 {
        0
    }

    fn publish(&self, _run: &RunContext, _message: &BorrowedMessage<'_>, _expiry: Option<u32>) -> bool {
        false
    }
}
