//! Topics to which definitions publish, as the facts of their sources say.

use std::collections::{BTreeMap, BTreeSet};

use lot_facts::TopicFact;
use lot_to_wasm::{CompileOptions, check_project};
use lotmq_router::{filter_matches, topic_filter_valid};

/// Most filters that are subscribed to; what further definitions publish is not shown.
const FILTERS_MAX: usize = 1_000;

/// Filters of what definitions publish.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    /// Name and filters of a definition, by the topic of its source.
    of: BTreeMap<String, (String, Vec<String>)>,
    subscribed: BTreeSet<String>,
}

impl Outputs {
    /// Notes the source of a definition; an empty one is its end. Returns the filters that are not subscribed to yet, and counts them as such.
    pub(super) fn define(&mut self, topic: &str, name: &str, source: &str) -> Vec<String> {
        let filters = filters(source);
        let new: Vec<String> = filters
            .iter()
            .filter(|filter| self.subscribed.len() < FILTERS_MAX && self.subscribed.insert((*filter).clone()))
            .cloned()
            .collect();
        if filters.is_empty() {
            self.of.remove(topic);
        } else {
            self.of.insert(topic.to_owned(), (name.to_owned(), filters));
        }
        new
    }

    /// Names of the definitions that may have published to this topic, with commas between them; `None` when there is none.
    pub(super) fn publisher(&self, topic: &str) -> Option<String> {
        let publishes = |filters: &[String]| filters.iter().any(|filter| filter_matches(filter, topic));
        let names: BTreeSet<&str> =
            self.of.values().filter(|(_, filters)| publishes(filters)).map(|(name, _)| &**name).collect();
        (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join(","))
    }

    /// A new connection has no subscriptions.
    pub(super) fn forget_subscriptions(&mut self) {
        self.subscribed.clear();
        self.of.clear();
    }
}

/// Filters of what a source publishes. Where that may be any topic there is none: its traces tell.
fn filters(source: &str) -> Vec<String> {
    let compiled = check_project(&[source], &CompileOptions::default());
    let entities = compiled.into_iter().flat_map(|compiled| compiled.entities);
    let facts = entities.filter_map(|entity| entity.output).flat_map(|output| output.facts.writes);
    let filters = facts.filter_map(|fact| match fact {
        TopicFact::Exact(filter) | TopicFact::Pattern(filter) => Some(filter),
        TopicFact::Any => None,
    });
    // What is shown already, and everything at once, is nobody's output.
    filters.filter(|filter| !filter.starts_with(['$', '#']) && topic_filter_valid(filter).is_ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_say_where_they_publish() {
        let mut outputs = Outputs::default();
        let action = "DEFINE ACTION Hot\nON TOPIC \"plant/+/t\" DO\n    PUBLISH TOPIC \"alarms/\" + TOPIC POSITION 2 WITH 1\n    PUBLISH TOPIC \"all\" WITH 1\n";
        let mut new = outputs.define("$SYS/Coreflux/Actions/Hot", "Hot", action);
        new.sort();
        assert_eq!(new, ["alarms/+", "all"]);
        let other = "DEFINE ACTION Other\nON TOPIC \"x\" DO\n    PUBLISH TOPIC \"all\" WITH 1\n";
        assert!(outputs.define("$SYS/Coreflux/Actions/Other", "Other", other).is_empty());
        assert_eq!(outputs.publisher("all").as_deref(), Some("Hot,Other"));
        assert_eq!(outputs.publisher("alarms/p1").as_deref(), Some("Hot"));
        outputs.define("$SYS/Coreflux/Actions/Hot", "Hot", "");
        assert_eq!(outputs.publisher("alarms/p1"), None);
        let anywhere = "DEFINE ACTION Any\nON TOPIC \"x\" DO\n    PUBLISH TOPIC PAYLOAD WITH 1\n";
        for source in [anywhere, "no program"] {
            assert!(outputs.define("$SYS/Coreflux/Actions/X", "X", source).is_empty(), "{source}");
        }
    }
}
