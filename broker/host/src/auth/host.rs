//! Host functions of the world `auth` alone, and the state of an instance.

use super::{
    Principal, Selector,
    bindings::lotmq::guest::{
        message_properties,
        messages::{self, WriteError},
        principals, types,
    },
    checks,
};
use crate::{
    BorrowedMessage, Capability, Qos, RunContext,
    fiber::{FiberServices, FiberState, OnFiber},
    functions::{WriteError as RefusedWrite, may_write},
    grants::is_system,
    limits::{WRITE_BYTES_PER_RUN_MAX, WRITES_PER_RUN_MAX},
    properties::MessageProperties,
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

    /// Publishes a message of the guest at once, which expires after this time. Its grants cover
    /// the topic, and the owner has the right to write there. False when it was not taken.
    fn publish(&self, run: &RunContext, message: &BorrowedMessage<'_>, expiry_seconds: Option<u32>) -> bool;
}

/// Host state of one instance.
pub(super) struct AuthState {
    pub(super) fiber: FiberState,
    pub(super) services: Arc<dyn AuthServices>,
    /// Messages and their bytes that the call may still publish.
    pub(super) left: PublishRoom,
}

/// Messages and bytes that a call may still publish.
#[derive(Clone, Copy, Debug)]
pub(super) struct PublishRoom {
    messages: usize,
    bytes: usize,
}

impl Default for PublishRoom {
    fn default() -> Self {
        PublishRoom { messages: WRITES_PER_RUN_MAX as usize, bytes: WRITE_BYTES_PER_RUN_MAX }
    }
}

impl PublishRoom {
    /// Takes room for a message.
    fn take(&mut self, bytes: usize) -> Result<(), WriteError> {
        let messages = self.messages.checked_sub(1).ok_or(WriteError::LimitReached)?;
        let bytes = self.bytes.checked_sub(bytes).ok_or(WriteError::LimitReached)?;
        *self = PublishRoom { messages, bytes };
        Ok(())
    }
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

impl messages::Host for AuthState {
    fn publish(
        &mut self,
        topic: String,
        payload: Vec<u8>,
        qos: types::Qos,
        retain: bool,
    ) -> Result<(), WriteError> {
        self.published(&topic, &payload, qos, retain, None)
    }

    fn publish_with(
        &mut self,
        topic: String,
        payload: Vec<u8>,
        qos: types::Qos,
        retain: bool,
        properties: message_properties::Properties,
    ) -> Result<(), WriteError> {
        self.published(&topic, &payload, qos, retain, Some(properties))
    }

    fn keep(&mut self, _topic: String, _payload: Vec<u8>) -> Result<(), WriteError> {
        Err(WriteError::NotAllowed)
    }

    fn forget(&mut self, _topic: String) -> Result<(), WriteError> {
        Err(WriteError::NotAllowed)
    }
}

impl AuthState {
    /// Publishes, if the grants, the owner and the bounds of the call allow it.
    fn published(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: types::Qos,
        retain: bool,
        properties: Option<message_properties::Properties>,
    ) -> Result<(), WriteError> {
        let properties = properties.map(MessageProperties::from);
        let bounds = self.services.message_bounds();
        let encoded = match &properties {
            Some(properties) => Some(properties.encoded(&bounds).ok_or(WriteError::InvalidProperties)?),
            None => None,
        };
        let list = encoded.as_ref().map(|list| list.properties().raw()).unwrap_or_default();
        let qos = match qos {
            types::Qos::AtMostOnce => Qos::AtMostOnce,
            types::Qos::AtLeastOnce => Qos::AtLeastOnce,
            types::Qos::ExactlyOnce => Qos::ExactlyOnce,
        };
        let message =
            BorrowedMessage { qos, retain, properties: list, ..BorrowedMessage::new(topic, payload) };
        // As in the command tree nothing comes of it.
        let may = match is_system(topic) {
            true => Err(RefusedWrite::NotAllowed),
            false => may_write(&self.fiber.grants, &*self.services, &self.fiber.run, &message),
        };
        if let Err(refused) = may {
            if matches!(refused, RefusedWrite::NotAllowed) && !self.fiber.grants.write.covers(topic) {
                self.services.not_granted(&self.fiber.run, (Capability::WriteTopic, topic), None);
            }
            return Err(refused.into());
        }
        self.left.take(topic.len() + payload.len() + list.len())?;
        let expiry_seconds = properties.as_ref().and_then(|properties| properties.expiry_seconds);
        let is_taken = self.services.publish(&self.fiber.run, &message, expiry_seconds);
        if is_taken { Ok(()) } else { Err(WriteError::NotAllowed) }
    }
}

impl From<RefusedWrite> for WriteError {
    fn from(refused: RefusedWrite) -> Self {
        match refused {
            RefusedWrite::InvalidTopic => WriteError::InvalidTopic,
            RefusedWrite::NotAllowed => WriteError::NotAllowed,
            RefusedWrite::LimitReached => WriteError::LimitReached,
            RefusedWrite::InvalidProperties => WriteError::InvalidProperties,
        }
    }
}

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
