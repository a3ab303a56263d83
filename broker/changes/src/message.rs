//! A message and its deliveries, as a batch takes them.

use std::num::NonZeroU16;

use crate::{MembershipId, MessageId, SessionId, TenantId};

/// A message without its receivers. Borrowed, so that appending copies the payload once.
#[derive(Debug, Clone, Copy)]
pub struct MessageRef<'a> {
    /// Its number, from [`Ids::next_message`](crate::Ids::next_message).
    pub id: MessageId,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// Topic Name.
    pub topic: &'a str,
    /// Properties of the PUBLISH as received, without topic alias and Subscription Identifiers;
    /// empty before 5.0.
    pub properties: &'a [u8],
    /// Payload.
    pub payload: &'a [u8],
    /// QoS of the PUBLISH, 0 to 2.
    pub qos: u8,
    /// When it was received, in milliseconds since 1970.
    pub published_at_ms: u64,
    /// When it expires, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
}

/// One session that must get a message, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The session; it must outlive its connection and have been put before.
    pub session: SessionId,
    /// QoS of the delivery, 1 or 2.
    pub qos: u8,
    /// RETAIN flag of the delivery.
    pub retain: bool,
    /// RETAIN flag of the PUBLISH; so it is where the delivery has it. Another member of a group
    /// may have to be sent it.
    pub published_retain: bool,
    /// The Packet Identifier, if the message has been sent already.
    pub packet_id: Option<NonZeroU16>,
    /// Subscription Identifiers to send along, at most 1,024.
    pub subscription_ids: &'a [u32],
    /// Membership of the session by which it comes; `None` where that is a subscription of the
    /// session's own.
    pub membership: Option<MembershipId>,
}
