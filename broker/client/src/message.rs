//! Messages, as they are sent and as they arrive. Both own their bytes.

use std::num::NonZeroU32;

use lotmq_codec::{PacketId, Properties, PropertyBuf, PropertyId, PropertyValue, Publish, QoS};

/// A message to publish.
#[derive(Clone, Debug, Default)]
pub struct Publication {
    /// Its Topic Name.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Its QoS.
    pub qos: QoS,
    /// Whether the server keeps it for later subscribers.
    pub retain: bool,
    /// Its properties; 5.0 only.
    pub properties: PropertyBuf,
}

impl Publication {
    /// A message at QoS 0, not retained.
    #[must_use]
    pub fn new(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self { topic: topic.into(), payload: payload.into(), ..Self::default() }
    }

    /// Sends it with this QoS.
    #[must_use]
    pub const fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// Has the server keep it.
    #[must_use]
    pub const fn retained(mut self) -> Self {
        self.retain = true;
        self
    }

    /// Adds a property.
    ///
    /// # Panics
    /// When the property does not take the value; for values from outside use
    /// [`PropertyBuf::push`].
    #[must_use]
    pub fn property(mut self, id: PropertyId, value: PropertyValue<'_>) -> Self {
        self.properties.push(id, value).expect("the caller chose a value of the property's type");
        self
    }
}

/// A message that arrived.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its Topic Name; already resolved if it came with a Topic Alias only.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// The QoS of this delivery.
    pub qos: QoS,
    /// Whether RETAIN was set.
    pub retain: bool,
    /// Whether the server says that it may be a repeat.
    pub dup: bool,
    /// Its Packet Identifier; `None` at QoS 0.
    pub packet_id: Option<PacketId>,
    /// Its properties; empty before 5.0.
    pub properties: PropertyBuf,
}

impl Message {
    /// The payload as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// Bytes of its topic, payload and properties.
    pub(crate) fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties().raw().len()
    }

    /// The properties, to read from.
    #[must_use]
    pub fn properties(&self) -> Properties<'_> {
        self.properties.properties()
    }

    /// The Subscription Identifiers of the subscriptions that it came for.
    #[must_use]
    pub fn subscription_ids(&self) -> Vec<u32> {
        self.properties().subscription_identifiers().map(NonZeroU32::get).collect()
    }

    /// Copies a decoded PUBLISH; `topic` is its resolved topic.
    pub(crate) fn copy(publish: &Publish<'_>, topic: String) -> Self {
        let mut properties = PropertyBuf::new();
        properties.extend(publish.properties, |_| true);
        Self {
            topic,
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.packet_id,
            properties,
        }
    }
}
