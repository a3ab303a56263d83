//! Key by which the messages of a route keep their order, where its text names one: `ORDER_KEY` of `ROUTE_CONFIG`.

use std::hash::{BuildHasher, Hash as _, Hasher as _};

use lot_facts::{RouteFacts, RouteValue, TemplatePart};

/// Text with placeholders of the topic: messages for which it is the same do not overtake each other.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::guests) struct OrderKey(Box<[TemplatePart]>);

impl OrderKey {
    /// That of a route; `None` where messages of one topic keep their order, and no others.
    pub(in crate::guests) fn of(said: &RouteFacts) -> Option<Self> {
        match said.section("ROUTE_CONFIG")?.settings.get("ORDER_KEY")? {
            RouteValue::Template(parts) => Some(Self(parts.as_slice().into())),
            RouteValue::Text(_)
            | RouteValue::Int(_)
            | RouteValue::Double(_)
            | RouteValue::Digits(_)
            | RouteValue::Bool(_)
            | RouteValue::Parts(_) => None,
        }
    }

    /// Hash of the key of a message on a topic. What the compiler takes there has no other parts than these.
    pub(super) fn hash(&self, topic: &str, hasher: &impl BuildHasher) -> u64 {
        let mut hash = hasher.build_hasher();
        for part in &self.0 {
            match part {
                TemplatePart::Text(text) => text.hash(&mut hash),
                TemplatePart::TopicLevel(level) => {
                    let index = usize::try_from(*level).unwrap_or(usize::MAX).saturating_sub(1);
                    topic.split('/').nth(index).unwrap_or_default().hash(&mut hash);
                }
                TemplatePart::Topic
                | TemplatePart::Payload
                | TemplatePart::Json(_)
                | TemplatePart::Csv(_)
                | TemplatePart::Timestamp
                | TemplatePart::UnixSeconds
                | TemplatePart::UnixMilliseconds
                | TemplatePart::Env(_)
                | TemplatePart::Secret(_)
                | TemplatePart::Field(_) => topic.hash(&mut hash),
            }
        }
        hash.finish()
    }
}
