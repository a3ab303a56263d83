//! Topics of a Model, whose wildcards take levels from the message that started an instance (LoT
//! reference §9.4).

use lot_facts::TopicFact;

use crate::check::Checker;
use crate::check::topic::merge;
use crate::check::tree::{Topic, TopicPart};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::Position;

/// A topic as a Model writes it: `+`, `{name}` and `#` stand for the levels that the trigger
/// matched.
pub(super) fn filter_of(template: &str) -> String {
    let levels = template.split('/').map(|level| if name_of(level).is_some() { "+" } else { level });
    levels.collect::<Vec<_>>().join("/")
}

/// Number of wildcards of one level, named or not.
pub(super) fn wildcards(template: &str) -> usize {
    template.split('/').filter(|level| is_wildcard(level)).count()
}

/// The topic that a template gives when one of the triggers has started the instance.
pub(super) fn resolve(template: &str, triggers: &[String], at: Position) -> Topic {
    let mut parts = Vec::new();
    let mut ordinal = 0;
    for (index, level) in template.split('/').enumerate() {
        if level == "#" {
            parts.push(of_triggers(triggers, |trigger| rest(trigger, index > 0)));
            continue;
        }
        if index > 0 {
            parts.push(TopicPart::Text("/".to_owned()));
        }
        if is_wildcard(level) {
            parts.push(of_triggers(triggers, |trigger| captured(trigger, name_of(level), ordinal)));
            ordinal += 1;
        } else {
            parts.push(TopicPart::Text(level.to_owned()));
        }
    }
    Topic { parts: merge(parts), fact: TopicFact::Any, at }
}

/// Returns the levels matched by the wildcards that all triggers have in common, one after the
/// other. They name an instance.
pub(super) fn instance(triggers: &[String]) -> Vec<TopicPart> {
    let common = triggers.iter().map(|trigger| wildcards(trigger)).min().unwrap_or(0);
    let mut parts = Vec::new();
    for ordinal in 0..common {
        parts.push(TopicPart::Text("/".to_owned()));
        parts.push(of_triggers(triggers, |trigger| captured(trigger, None, ordinal)));
    }
    if !triggers.is_empty() && triggers.iter().all(|trigger| trigger.ends_with('#')) {
        parts.push(of_triggers(triggers, |trigger| rest(trigger, true)));
    }
    parts
}

/// The name of a level `{name}`.
fn name_of(level: &str) -> Option<&str> {
    let name = level.strip_prefix('{')?.strip_suffix('}')?.trim();
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(name)
}

fn is_wildcard(level: &str) -> bool {
    level == "+" || name_of(level).is_some()
}

/// The level of the trigger with this name, else the n-th wildcard.
fn captured(trigger: &str, name: Option<&str>, ordinal: usize) -> TopicPart {
    let mut levels = trigger.split('/').enumerate();
    let named = name.and_then(|name| levels.find(|(_, level)| name_of(level) == Some(name)));
    let found =
        named.or_else(|| trigger.split('/').enumerate().filter(|(_, level)| is_wildcard(level)).nth(ordinal));
    let level = found.and_then(|(index, _)| u32::try_from(index + 1).ok());
    level.map_or(TopicPart::Missing, TopicPart::Level)
}

fn rest(trigger: &str, slash: bool) -> TopicPart {
    let Some(index) = trigger.split('/').position(|level| level == "#") else { return TopicPart::Missing };
    u32::try_from(index + 1).map_or(TopicPart::Missing, |from| TopicPart::Rest { from, slash })
}

fn of_triggers(triggers: &[String], of: impl Fn(&str) -> TopicPart) -> TopicPart {
    let parts: Vec<TopicPart> = triggers.iter().map(|trigger| of(trigger)).collect();
    match parts.as_slice() {
        [] => TopicPart::Missing,
        [first, others @ ..] if others.iter().all(|other| crate::check::topic::same(first, other)) => {
            first.clone()
        }
        _ => TopicPart::ByFilter(parts),
    }
}

impl Checker<'_, '_, '_> {
    /// The topic of a field: its wildcards take the levels that the trigger matched.
    pub(in crate::check) fn model_topic(&mut self, template: &str, span: Span) -> Topic {
        let triggers = self.scope.fields.as_ref().map(|fields| fields.triggers.clone()).unwrap_or_default();
        let topic = resolve(template, &triggers, self.at(span));
        // A model without a base topic is never started, but a model that inherits from it is.
        if misses(&topic) && !self.scope.fields.as_ref().is_some_and(|fields| fields.is_inherited) {
            let draft =
                Draft::warning(codes::NO_CAPTURE, span, "wildcard without a counterpart in the trigger");
            self.error(draft.note("the field has no value then"));
        }
        topic
    }
}

/// Whether some trigger leaves a wildcard of the topic without a counterpart.
pub(super) fn misses(topic: &Topic) -> bool {
    topic.parts.iter().any(|part| match part {
        TopicPart::Missing => true,
        TopicPart::ByFilter(parts) => parts.iter().any(|part| matches!(part, TopicPart::Missing)),
        TopicPart::Text(_) | TopicPart::Level(_) | TopicPart::Rest { .. } | TopicPart::Value(_) => false,
    })
}
