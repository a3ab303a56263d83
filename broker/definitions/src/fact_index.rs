//! Index of the topics that definitions read or keep: all topic facts of a tenant.
//!
//! Invariant: holds exactly the facts of the definitions that were added and not removed.

use std::collections::BTreeSet;

use lot_facts::TopicFact;
use lotmq_router::SubscriptionIndex;

use crate::definition::DefinitionId;
use crate::levels::covers;

/// Topic facts by definition, asked by topic.
#[derive(Default)]
pub(crate) struct FactIndex {
    filters: SubscriptionIndex<DefinitionId, ()>,
    /// Patterns that begin with a wildcard, for `$…` topics, which the router keeps from them.
    leading_wildcards: BTreeSet<(String, DefinitionId)>,
    any: BTreeSet<DefinitionId>,
}

impl FactIndex {
    /// Adds the facts of a definition.
    pub(crate) fn add(&mut self, id: DefinitionId, facts: &[TopicFact]) {
        for fact in facts {
            match fact {
                TopicFact::Any => drop(self.any.insert(id)),
                TopicFact::Exact(filter) | TopicFact::Pattern(filter) => {
                    self.filters.insert(filter, id, ());
                    if filter.starts_with(['+', '#']) {
                        self.leading_wildcards.insert((filter.clone(), id));
                    }
                }
            }
        }
    }

    /// Removes the facts that were added.
    pub(crate) fn remove(&mut self, id: DefinitionId, facts: &[TopicFact]) {
        for fact in facts {
            match fact {
                TopicFact::Any => drop(self.any.remove(&id)),
                TopicFact::Exact(filter) | TopicFact::Pattern(filter) => {
                    self.filters.remove(filter, &id);
                    self.leading_wildcards.remove(&(filter.clone(), id));
                }
            }
        }
    }

    /// Whether a fact of some definition covers the topic.
    pub(crate) fn covers(&self, topic: &str) -> bool {
        if !self.any.is_empty() {
            return true;
        }
        if topic.starts_with('$') && self.leading_wildcards.iter().any(|(pattern, _)| covers(pattern, topic))
        {
            return true;
        }
        let mut is_covered = false;
        self.filters.visit(topic, |_| is_covered = true);
        is_covered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_covered_as_long_as_one_definition_names_them() {
        let mut index = FactIndex::default();
        let (a, b) = (DefinitionId(1), DefinitionId(2));
        let facts_a = [TopicFact::Exact("cfg/x".into()), TopicFact::Pattern("+/t".into())];
        let facts_b = [TopicFact::Exact("cfg/x".into()), TopicFact::Any];
        index.add(a, &facts_a);
        for (topic, expected) in
            [("cfg/x", true), ("cfg/y", false), ("k/t", true), ("$SYS/t", true), ("$SYS/u", false)]
        {
            assert_eq!(index.covers(topic), expected, "{topic}");
        }
        index.add(b, &facts_b);
        assert!(index.covers("anything/at/all") && index.covers("$SYS/u"));
        index.remove(b, &facts_b);
        assert!(index.covers("cfg/x") && !index.covers("anything/at/all"));
        index.remove(a, &facts_a);
        assert!(!index.covers("cfg/x") && !index.covers("k/t") && !index.covers("$SYS/t"));
    }
}
