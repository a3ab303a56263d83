//! Topics to which definitions publish, as the facts of their sources say.

use std::collections::{BTreeMap, BTreeSet};

use lot_facts::TopicFact;
use lot_to_wasm::{CompileOptions, check_project};
use lotmq_router::{filter_matches, topic_filter_valid};

/// Most filters that are subscribed to; what further definitions publish is not shown.
const FILTERS_MAX: usize = 1_000;

/// Definitions that may have published a message, whose publisher the broker does not tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LikelyPublisher {
    /// Their names, with commas between them.
    pub(super) names: String,
    /// None of them names the topic; it only fits what they publish to.
    pub(super) is_guess: bool,
}

/// Filters of what definitions publish.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    /// Name and filters of a definition, by the topic of its source.
    of: BTreeMap<String, (String, Vec<String>)>,
    subscribed: BTreeSet<String>,
}

impl Outputs {
    /// Notes the source of a definition; an empty one is its end. Returns the filters that are not
    /// subscribed to yet, and counts them as such.
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

    /// Definitions that may have published to this topic: those that name it, else those that
    /// publish to topics which it may be one of. `None` when there is none.
    pub(super) fn publisher(&self, topic: &str) -> Option<LikelyPublisher> {
        let names = |publishes: &dyn Fn(&String) -> bool| {
            let of = self.of.values().filter(|(_, filters)| filters.iter().any(publishes));
            let names: BTreeSet<&str> = of.map(|(name, _)| &**name).collect();
            (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join(","))
        };
        let named = names(&|filter| filter == topic).map(|names| LikelyPublisher { names, is_guess: false });
        named.or_else(|| {
            let names = names(&|filter| filter_matches(filter, topic))?;
            Some(LikelyPublisher { names, is_guess: true })
        })
    }

    /// A new connection has no subscriptions.
    pub(super) fn forget_subscriptions(&mut self) {
        self.subscribed.clear();
        self.of.clear();
    }
}

/// Returns the filters to which a source publishes. For a source that may publish to any topic
/// there are none: its traces show the topics.
fn filters(source: &str) -> Vec<String> {
    let compiled = check_project(&[source], &CompileOptions::default());
    let entities = compiled.into_iter().flat_map(|compiled| compiled.entities);
    let facts = entities.filter_map(|entity| entity.output).flat_map(|output| output.facts.writes);
    let filters = facts.filter_map(|fact| match fact {
        TopicFact::Exact(filter) | TopicFact::Pattern(filter) => Some(filter),
        TopicFact::Any => None,
    });
    // Topics that begin with `$` are shown already. A filter that begins with `#` names no
    // publisher.
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
        let of = |outputs: &Outputs, topic: &str| {
            outputs.publisher(topic).map(|publisher| (publisher.names, publisher.is_guess))
        };
        assert_eq!(of(&outputs, "all"), Some(("Hot,Other".to_owned(), false)));
        assert_eq!(of(&outputs, "alarms/p1"), Some(("Hot".to_owned(), true)));
        // A definition that names a topic is more likely than one whose filter matches it.
        let exact = "DEFINE ACTION One\nON TOPIC \"x\" DO\n    PUBLISH TOPIC \"alarms/p1\" WITH 1\n";
        outputs.define("$SYS/Coreflux/Actions/One", "One", exact);
        assert_eq!(of(&outputs, "alarms/p1"), Some(("One".to_owned(), false)));
        outputs.define("$SYS/Coreflux/Actions/One", "One", "");
        outputs.define("$SYS/Coreflux/Actions/Hot", "Hot", "");
        assert_eq!(outputs.publisher("alarms/p1"), None);
        let anywhere = "DEFINE ACTION Any\nON TOPIC \"x\" DO\n    PUBLISH TOPIC PAYLOAD WITH 1\n";
        for source in [anywhere, "no program"] {
            assert!(outputs.define("$SYS/Coreflux/Actions/X", "X", source).is_empty(), "{source}");
        }
    }
}
