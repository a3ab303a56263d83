//! Checks of one Model by itself, without the fields that it inherits.

use std::collections::BTreeMap;

use super::Known;
use crate::diagnostic::{Draft, Sink, codes};
use crate::limits::ANCESTORS_MAX;
use crate::source::Span;
use crate::syntax::Text;
use crate::syntax::model::{DefineModel, Field, FieldSource};

/// Reports errors of a Model by itself, without those of the fields that it inherits.
pub(super) fn model(model: &DefineModel, known: &dyn Known, sink: &mut Sink<'_>) {
    inheritance(model, known, sink);
    if let Some(topic) = &model.options.topic {
        filter(topic, sink);
    }
    fields(&model.fields, sink);
    let has_topic = model.fields.iter().any(|field| matches!(field.source, Some(FieldSource::Topic(..))));
    let has_trigger = model.fields.iter().any(|field| field.is_trigger);
    if has_topic && !has_trigger && model.options.parent.is_none() {
        let message = "the model has topic fields but no AS TRIGGER, so it never publishes by itself";
        let draft = Draft::warning(codes::MODEL_WITHOUT_TRIGGER, model.name.span, message);
        sink.push(draft.suggest("add AS TRIGGER to the field whose messages start it"));
    }
}

/// Reports a model that is its own ancestor (§9.6).
fn inheritance(model: &DefineModel, known: &dyn Known, sink: &mut Sink<'_>) {
    let Some(parent) = &model.options.parent else { return };
    let mut seen: Vec<String> = Vec::new();
    let mut next = Some(parent.text.clone());
    while let Some(name) = next.take().filter(|name| seen.len() < ANCESTORS_MAX && !seen.contains(name)) {
        if name == model.name.text {
            let message = format!("model `{name}` inherits from itself");
            sink.push(Draft::error(codes::CYCLE, parent.span, message));
            return;
        }
        let parent = super::model::find(known, &name).and_then(|model| model.options.parent);
        next = parent.map(|parent| parent.text);
        seen.push(name);
    }
}

fn fields(fields: &[Field], sink: &mut Sink<'_>) {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for field in fields {
        if let Some(first) = seen.insert(&field.name.value, field.name.span) {
            let message = format!("field \"{}\" is defined twice", field.name.value);
            let draft = Draft::error(codes::DUPLICATE_FIELD, field.name.span, message);
            sink.push(draft.at(first, "defined here first"));
        }
        match &field.source {
            Some(FieldSource::Topic(topic, _)) => filter(topic, sink),
            _ if field.is_trigger => {
                let message = "only a field WITH TOPIC can be AS TRIGGER";
                sink.push(Draft::error(codes::TRIGGER_FIELD, field.span, message));
            }
            _ => {}
        }
        self::fields(&field.children, sink);
    }
}

/// A Topic Filter, in which `{name}` stands for a level.
pub(super) fn filter(topic: &Text, sink: &mut Sink<'_>) {
    if is_filter(topic, sink) {
        crate::check::warn_of_foreign_wildcard(&topic.value, topic.span, sink);
    }
}

/// The Topic Filter of a rule.
pub(super) fn filter_of_rule(topic: &Text, sink: &mut Sink<'_>) {
    if is_filter(topic, sink) {
        super::wildcard::refuse_foreign_wildcard(&topic.value, topic.span, sink);
    }
}

/// Whether it is a Topic Filter; reports the error if it is not.
fn is_filter(topic: &Text, sink: &mut Sink<'_>) -> bool {
    let problem = crate::topic::filter_problem(&topic.value);
    if let Some(problem) = problem {
        let message = format!("invalid topic \"{}\": {problem}", topic.value.escape_debug());
        let draft = Draft::error(codes::TOPIC_FILTER, topic.span, message);
        sink.push(draft.suggest_if(crate::topic::filter_help(&topic.value)));
    }
    problem.is_none()
}
