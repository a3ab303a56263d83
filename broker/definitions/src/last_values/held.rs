//! Topics that rules read: writes of others do not evict the values by which rules decide.
//!
//! Not here: the eviction of held values (`last_values`).

use std::collections::HashMap;

use lot_facts::TopicFact;

use crate::definition::DefinitionId;
use crate::fact_index::FactIndex;

/// Topics that rules read, by name or by a name that they compute.
#[derive(Default)]
pub(super) struct HeldByRules {
    /// With how often they are named.
    named: HashMap<Box<str>, usize>,
    computed: FactIndex,
    /// Patterns in `computed`.
    patterns: usize,
}

impl HeldByRules {
    /// Adds the reads of a rule.
    pub(super) fn add(&mut self, rule: DefinitionId, reads: &[TopicFact]) {
        for topic in named(reads) {
            *self.named.entry(topic.into()).or_default() += 1;
        }
        let patterns = patterns(reads);
        self.patterns += patterns.len();
        self.computed.add(rule, &patterns);
    }

    /// Takes it out again.
    pub(super) fn remove(&mut self, rule: DefinitionId, reads: &[TopicFact]) {
        for topic in named(reads) {
            if let Some(count) = self.named.get_mut(topic) {
                *count -= 1;
                if *count == 0 {
                    self.named.remove(topic);
                }
            }
        }
        let patterns = patterns(reads);
        self.patterns -= patterns.len();
        self.computed.remove(rule, &patterns);
    }

    /// Number of topics that rules name.
    pub(super) fn named(&self) -> usize {
        self.named.len()
    }

    /// Whether rules compute names that are known in part.
    pub(super) fn has_computed(&self) -> bool {
        self.patterns > 0
    }

    /// Whether a rule names the topic.
    pub(super) fn names(&self, topic: &str) -> bool {
        self.named.contains_key(topic)
    }

    /// Whether a name that a rule computes may be this one.
    pub(super) fn may_name(&self, topic: &str) -> bool {
        self.has_computed() && self.computed.covers(topic)
    }
}

fn named(reads: &[TopicFact]) -> impl Iterator<Item = &str> {
    reads.iter().filter_map(|fact| match fact {
        TopicFact::Exact(topic) => Some(&**topic),
        TopicFact::Pattern(_) | TopicFact::Any => None,
    })
}

/// Patterns among them; where a rule may read any topic, none is more than others.
fn patterns(reads: &[TopicFact]) -> Vec<TopicFact> {
    reads.iter().filter(|fact| matches!(fact, TopicFact::Pattern(_))).cloned().collect()
}
