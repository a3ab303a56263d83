//! Key by which the messages of a route keep their order, where its text names one: `ORDER_KEY` of
//! `ROUTE_CONFIG`.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hash as _, Hasher as _};

use lot_facts::{RouteFacts, RouteValue, TemplatePart};

/// Parts of the topic that form the key. Messages with the same key do not overtake each other. A
/// topic is scanned once, however long the text is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OrderKey {
    Topic,
    /// Levels of it, from 1.
    Levels(BTreeSet<u32>),
}

impl OrderKey {
    /// That of a route; `None` where messages of one topic keep their order, and no others.
    pub(crate) fn of(said: &RouteFacts) -> Option<Self> {
        match said.section("ROUTE_CONFIG")?.settings.get("ORDER_KEY")? {
            RouteValue::Template(parts) => Some(Self::of_text(parts)),
            RouteValue::Text(_)
            | RouteValue::Int(_)
            | RouteValue::Double(_)
            | RouteValue::Digits(_)
            | RouteValue::Bool(_)
            | RouteValue::Parts(_) => None,
        }
    }

    /// Reads the key from a text. The compiler allows only plain text, levels and the topic there.
    fn of_text(parts: &[TemplatePart]) -> Self {
        let mut levels = BTreeSet::new();
        for part in parts {
            match part {
                // The same for all messages.
                TemplatePart::Text(_) | TemplatePart::JoinedEnv(_) | TemplatePart::JoinedUuid => {}
                TemplatePart::TopicLevel(level) => drop(levels.insert(*level)),
                TemplatePart::Topic
                | TemplatePart::Payload
                | TemplatePart::Json(_)
                | TemplatePart::Csv(_)
                | TemplatePart::Timestamp
                | TemplatePart::UnixSeconds
                | TemplatePart::UnixMilliseconds
                | TemplatePart::Env(_)
                | TemplatePart::Secret(_)
                | TemplatePart::Field(_) => return Self::Topic,
            }
        }
        Self::Levels(levels)
    }

    /// Hash of the key of a message on a topic.
    pub(super) fn hash(&self, topic: &str, hasher: &impl BuildHasher) -> u64 {
        let mut hash = hasher.build_hasher();
        match self {
            Self::Topic => topic.hash(&mut hash),
            Self::Levels(levels) => {
                let mut levels = levels.iter().peekable();
                for (number, level) in (1..).zip(topic.split('/')) {
                    let Some(wanted) = levels.peek() else { break };
                    if number < **wanted {
                        continue;
                    }
                    levels.next();
                    // One that is not there is as one without a text.
                    if !level.is_empty() {
                        (number, level).hash(&mut hash);
                    }
                }
            }
        }
        hash.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::*;

    #[test]
    fn order_key_deduplicates_repeated_placeholders() {
        use TemplatePart as P;
        let text = |text: &str| P::Text(text.to_owned());
        let levels = |levels: &[u32]| OrderKey::Levels(levels.iter().copied().collect());
        for (parts, times, expected) in [
            (vec![P::TopicLevel(2)], 1, levels(&[2])),
            (vec![P::TopicLevel(3), text("-"), P::TopicLevel(1)], 30_000, levels(&[1, 3])),
            (vec![P::TopicLevel(2), P::Topic], 30_000, OrderKey::Topic),
            (vec![text("all")], 1, levels(&[])),
        ] {
            let parts: Vec<_> = std::iter::repeat_n(parts, times).flatten().collect();
            assert_eq!(OrderKey::of_text(&parts), expected);
        }
    }

    #[test]
    fn topics_have_the_same_key_where_the_levels_have_the_same_texts() {
        let hasher = RandomState::new();
        let key = OrderKey::Levels([2, 4].into());
        for (one, other, is_same) in [
            ("a/b/c/d", "x/b/y/d/z", true),
            ("a/b", "x/b/", true),
            ("a/b", "x/b/y/", true),
            ("a/b/c/d", "a/d/c/b", false),
            ("a//c/b", "a/b/c", false),
            ("a", "b/", true),
        ] {
            assert_eq!(key.hash(one, &hasher) == key.hash(other, &hasher), is_same, "{one}, {other}");
        }
    }
}
