//! Borrowed deliveries: their texts and payloads are copied straight into the guest's memory.
//!
//! The same as the record `delivery` of the contract, which owns its texts.

use wasmtime::component::{ComponentType, Lower};

use super::bindings::{
    exports::lotmq::guest::route_handler::PlaceholderValues,
    lotmq::guest::{message_properties::Properties, types::Qos},
};

/// One message for the other system.
#[derive(Clone, Debug, ComponentType, Lower)]
#[component(record)]
pub struct LentDelivery<'a> {
    /// Sequence number of the delivery for this route.
    pub sequence: u64,
    /// Event or mapping that takes it.
    pub to: LentAddressee<'a>,
    /// The message.
    pub message: LentMessage<'a>,
    /// Its properties, where it has any.
    pub properties: Option<Properties>,
    /// When it was received, in milliseconds since 1970.
    #[component(name = "received-ms")]
    pub received_ms: i64,
    /// Values of the placeholders of its event or mapping.
    pub placeholders: Vec<PlaceholderValues>,
}

/// Recipient of a delivery in the guest.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(variant)]
pub enum LentAddressee<'a> {
    /// The event of this name.
    #[component(name = "event")]
    Event(&'a str),
    /// The mapping of this name.
    #[component(name = "mapping")]
    Mapping(&'a str),
    /// A tag.
    #[component(name = "tag")]
    Tag(LentTag<'a>),
    /// The table of this name.
    #[component(name = "table")]
    Table(&'a str),
}

/// A tag by its name and that of its mapping.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(record)]
pub struct LentTag<'a> {
    /// Name of the mapping.
    pub mapping: &'a str,
    /// Name of the tag.
    pub tag: &'a str,
}

/// A message as it was published.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(record)]
pub struct LentMessage<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// Payload.
    pub payload: &'a [u8],
    /// Quality of service.
    pub qos: Qos,
    /// RETAIN flag.
    pub retain: bool,
    /// Client Identifier of the publisher.
    #[component(name = "client-id")]
    pub client_id: &'a str,
}
