//! Bounds of messages that guests write; the configuration sets them for Clients as well.

/// Bounds of the topics of messages and kept values, and of the text of their properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageBounds {
    /// Most bytes of a topic, response topics included.
    pub topic_bytes: usize,
    /// Most levels of a topic, response topics included.
    pub topic_levels: usize,
    /// Most User Properties of a message.
    pub user_properties: usize,
    /// Most bytes of their names and values together.
    pub user_property_bytes: usize,
    /// Whether text of properties may have code points that the standards advise against. Topics
    /// have none in any case.
    pub takes_discouraged: bool,
}

impl Default for MessageBounds {
    /// Only the bounds that the standard sets or advises.
    fn default() -> Self {
        MessageBounds {
            topic_bytes: usize::MAX,
            topic_levels: usize::MAX,
            user_properties: usize::MAX,
            user_property_bytes: usize::MAX,
            takes_discouraged: false,
        }
    }
}

impl MessageBounds {
    /// Whether a topic is within them.
    pub fn include_topic(&self, topic: &str) -> bool {
        topic.len() <= self.topic_bytes && !lotmq_router::has_more_levels(topic, self.topic_levels)
    }

    /// Whether text of a property is within them.
    pub(crate) fn include_text(&self, text: &str) -> bool {
        self.takes_discouraged || !lotmq_codec::has_discouraged(text)
    }
}
