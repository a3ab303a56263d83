//! The memory of `ON CHANGE`: the last payload of each topic, as a hash. LoT reference §7.2.
//!
//! One per Action and version, so it starts empty at every deploy. Invariants: never more topics
//! than its bound, the longest unseen is forgotten; entries have a fixed size and hold neither
//! topics nor payloads.

use std::hash::{BuildHasher, DefaultHasher, Hasher};

use foldhash::quality::FixedState;
use hashbrown::HashTable;

use crate::linked_slab::LinkedSlab;

/// Last payload of each topic, as a hash.
#[derive(Debug)]
pub(crate) struct ChangeMemory {
    topics_max: usize,
    by_topic: HashTable<u32>,
    seen: LinkedSlab<Seen>,
}

#[derive(Debug)]
struct Seen {
    topic: u128,
    payload: u128,
}

impl ChangeMemory {
    /// Nothing seen yet; remembers at most `topics_max` topics, at least one.
    pub(crate) fn new(topics_max: usize) -> ChangeMemory {
        ChangeMemory { topics_max: topics_max.max(1), by_topic: HashTable::new(), seen: LinkedSlab::new() }
    }

    /// Notes a message and says whether the Action runs: on the first message of a topic, then
    /// whenever the payload's bytes differ from the message before.
    pub(crate) fn differs(&mut self, topic: &str, payload: &[u8]) -> bool {
        let topic = topic_hash(topic);
        let payload = payload_hash(payload);
        let found = self.by_topic.find(topic as u64, |slot| self.seen.get(*slot).topic == topic).copied();
        let Some(slot) = found else {
            self.note(Seen { topic, payload });
            return true;
        };
        self.seen.link_back(slot);
        std::mem::replace(&mut self.seen.get_mut(slot).payload, payload) != payload
    }

    fn note(&mut self, seen: Seen) {
        if self.by_topic.len() >= self.topics_max {
            self.forget_oldest();
        }
        let topic = seen.topic;
        let slot = self.seen.insert(seen);
        self.seen.link_back(slot);
        self.by_topic.insert_unique(topic as u64, slot, |slot| self.seen.get(*slot).topic as u64);
    }

    fn forget_oldest(&mut self) {
        let Some(slot) = self.seen.front() else { return };
        let topic = self.seen.remove(slot).topic;
        if let Ok(entry) = self.by_topic.find_entry(topic as u64, |known| *known == slot) {
            entry.remove();
        }
    }
}

/// 128 bits of SipHash: topics of different publishers meet here, so nobody may be able to make two
/// of them collide.
fn topic_hash(topic: &str) -> u128 {
    let half = |lane: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(lane);
        hasher.write(topic.as_bytes());
        hasher.finish()
    };
    u128::from(half(0)) << 64 | u128::from(half(1))
}

/// Returns a 128-bit hash, fast and not cryptographic. A publisher that provokes a collision on a
/// topic only harms itself.
fn payload_hash(payload: &[u8]) -> u128 {
    let half = |seed| {
        let mut hasher = FixedState::with_seed(seed).build_hasher();
        hasher.write(payload);
        hasher.write_usize(payload.len());
        hasher.finish()
    };
    u128::from(half(0x243f_6a88_85a3_08d3)) << 64 | u128::from(half(0x1319_8a2e_0370_7344))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs counted in a sequence of `topic=payload`.
    fn runs(topics_max: usize, messages: &[(&str, &str)]) -> Vec<String> {
        let mut memory = ChangeMemory::new(topics_max);
        messages
            .iter()
            .filter(|(topic, payload)| memory.differs(topic, payload.as_bytes()))
            .map(|(topic, payload)| format!("{topic}={payload}"))
            .collect()
    }

    #[test]
    fn change_is_by_bytes_and_by_topic() {
        for (messages, expected) in [
            (
                [("x", "1"), ("x", "1"), ("x", "2"), ("x", "2"), ("x", "1")].as_slice(),
                ["x=1", "x=2", "x=1"].as_slice(),
            ),
            (&[("x/a", "1"), ("x/b", "1")], &["x/a=1", "x/b=1"]),
            (&[("j", r#"{"a":1}"#), ("j", r#"{"a": 1}"#)], &[r#"j={"a":1}"#, r#"j={"a": 1}"#]),
            (&[("e", ""), ("e", ""), ("e", "\0"), ("e", "\0\0")], &["e=", "e=\0", "e=\0\0"]),
        ] {
            assert_eq!(runs(10, messages), expected, "{messages:?}");
        }
    }

    #[test]
    fn longest_unseen_topic_is_forgotten_first() {
        assert_eq!(
            runs(2, &[("a", "1"), ("b", "1"), ("a", "1"), ("c", "1"), ("a", "1"), ("b", "1")]),
            ["a=1", "b=1", "c=1", "b=1"]
        );
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_list(
            messages in prop::collection::vec((0u8..6, 0u8..3), 0..200), topics_max in 1usize..6
        ) {
            let mut memory = ChangeMemory::new(topics_max);
            let mut model: Vec<(u8, u8)> = Vec::new();
            for (topic, payload) in messages {
                let known = model.iter().position(|(t, _)| *t == topic).map(|at| model.remove(at));
                model.push((topic, payload));
                if model.len() > topics_max {
                    model.remove(0);
                }
                let differs = memory.differs(&format!("t{topic}"), &[payload]);
                prop_assert_eq!(differs, known.map(|(_, p)| p) != Some(payload));
                prop_assert_eq!(memory.by_topic.len(), model.len());
            }
        }
    }
}
