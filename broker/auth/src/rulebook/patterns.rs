//! The patterns of one scope's rules, level by level, so that a question costs as much as its topic
//! has levels, however many rules there are.
//!
//! Finds what [`covers`](crate::covers) says, which a test compares. Nodes are in one list and are
//! found without recursion: patterns and topics of any depth cost no stack.

use std::collections::HashMap;

use smallvec::{SmallVec, smallvec};

use super::Places;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Patterns {
    /// The first is the root, once there is a pattern.
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    literal: HashMap<Box<str>, u32>,
    plus: Option<u32>,
    /// Rules whose pattern ends here.
    here: Vec<u32>,
    /// Rules whose pattern goes on with `#`.
    rest: Vec<u32>,
}

impl Patterns {
    /// Adds a rule.
    pub(super) fn insert(&mut self, pattern: &str, rule: u32) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        for level in pattern.split('/') {
            if level == "#" {
                self.nodes[at].rest.push(rule);
                return;
            }
            at = self.child(at, level) as usize;
        }
        self.nodes[at].here.push(rule);
    }

    /// Appends the rules whose pattern covers a topic or filter, each once.
    pub(super) fn covering(&self, asked: &str, found: &mut Places) {
        let Some(root) = self.nodes.first() else { return };
        // Wildcards do not reach a first level that begins with $.
        let mut with_wildcards = !asked.starts_with('$');
        let mut reached: SmallVec<[&Node; 8]> = smallvec![root];
        let mut next = SmallVec::new();
        for level in asked.split('/') {
            for node in reached.drain(..) {
                if with_wildcards {
                    found.extend_from_slice(&node.rest);
                    next.extend(node.plus.map(|plus| &self.nodes[plus as usize]));
                }
                // A `+` of a filter is a level like any other.
                next.extend(node.literal.get(level).map(|child| &self.nodes[*child as usize]));
            }
            with_wildcards = true;
            std::mem::swap(&mut reached, &mut next);
            if reached.is_empty() {
                return;
            }
        }
        for node in reached {
            found.extend_from_slice(&node.here);
            // `#` covers its parent level too.
            found.extend_from_slice(&node.rest);
        }
    }

    fn child(&mut self, of: usize, level: &str) -> u32 {
        let new = u32::try_from(self.nodes.len()).expect("patterns are bounded in length and number");
        let node = &mut self.nodes[of];
        let place = if level == "+" {
            *node.plus.get_or_insert(new)
        } else if let Some(known) = node.literal.get(level) {
            *known
        } else {
            node.literal.insert(level.into(), new);
            new
        };
        if place == new {
            self.nodes.push(Node::default());
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::covers;

    fn level() -> impl Strategy<Value = String> {
        prop_oneof![Just("a"), Just("b"), Just("+"), Just("#"), Just(""), Just("$x"), Just("$SYS")]
            .prop_map(str::to_owned)
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_plain_list_finds(
            patterns in prop::collection::vec(prop::collection::vec(level(), 1..5), 0..12),
            asked in prop::collection::vec(level(), 1..6),
        ) {
            // A `#` is the last level of a pattern.
            let patterns: Vec<String> = patterns.into_iter().map(|levels| {
                let end = levels.iter().position(|level| level == "#").map_or(levels.len(), |at| at + 1);
                levels[..end].join("/")
            }).collect();
            let asked = asked.join("/");
            let mut index = Patterns::default();
            (0..).zip(&patterns).for_each(|(place, pattern)| index.insert(pattern, place));
            let mut found = Places::new();
            index.covering(&asked, &mut found);
            found.sort_unstable();
            let expected: Vec<u32> = (0..).zip(&patterns).filter(|(_, pattern)| covers(pattern, &asked)).map(|(place, _)| place).collect();
            prop_assert_eq!(found.as_slice(), expected, "{:?} against {}", patterns, asked);
        }
    }

    #[test]
    fn deep_patterns_and_topics_cost_no_stack() {
        let deep = "a/".repeat(30_000) + "b";
        let mut index = Patterns::default();
        index.insert(&deep, 7);
        let mut found = Places::new();
        index.covering(&deep, &mut found);
        assert_eq!(found.as_slice(), [7]);
    }
}
