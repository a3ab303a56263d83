//! What is checked of the entities that are not compiled yet: Models, Rules, Routes and panels, each on its own.

use std::collections::{BTreeMap, BTreeSet};

use super::Known;
use crate::diagnostic::suggest::nearest;
use crate::diagnostic::{Draft, Sink, codes};
use crate::limits::ANCESTORS_MAX;
use crate::source::Span;
use crate::syntax::model::{Field, FieldSource, Model};
use crate::syntax::panel::{Panel, PanelClause, PanelValue};
use crate::syntax::route::RouteItem;
use crate::syntax::rule::Rule;
use crate::syntax::{Entity, ExpressionKind, Text};

/// Scopes of rules, spelt exactly (§10.2).
const SCOPES: [&str; 30] = [
    "Connect",
    "Publish",
    "Subscribe",
    "PublishSys",
    "SubscribeSys",
    "CommandCall",
    "ShellCommand",
    "SystemConfiguration",
    "UserManagementCreation",
    "UserManagementRemove",
    "UserManagementPasswordChange",
    "UserManagementUpdate",
    "RuleManagementCreation",
    "RuleManagementRemove",
    "ModelManagementCreation",
    "ModelManagementRemove",
    "ActionManagementCreation",
    "ActionManagementRemove",
    "ActionManagementRun",
    "RouteManagementCreation",
    "RouteManagementRemove",
    "LogManagementCreation",
    "LogManagementUpdate",
    "LogManagementRemove",
    "LogManagementRead",
    "AssetManagementCreation",
    "AssetManagementUpdate",
    "AssetManagementRemove",
    "AssetManagementStart",
    "AssetManagementStop",
];

/// Reports what is wrong with an entity other than an Action.
pub(crate) fn entity(tree: &Entity, known: &dyn Known, sink: &mut Sink<'_>) {
    match tree {
        Entity::Model(model) => {
            self::model(model, sink);
            inheritance(model, known, sink);
        }
        Entity::Rule(rule) => self::rule(rule, sink),
        Entity::Route(route) => items(&route.items, sink),
        Entity::Panel(panel) => self::panel(panel, sink),
        Entity::Action(_) | Entity::Theme(_) => {}
    }
}

fn model(model: &Model, sink: &mut Sink<'_>) {
    if let Some(topic) = &model.options.topic {
        filter(topic, sink);
    }
    fields(&model.fields, sink);
    cycles(&model.fields, sink);
    let has_topic = model.fields.iter().any(|field| matches!(field.source, Some(FieldSource::Topic(..))));
    let has_trigger = model.fields.iter().any(|field| field.is_trigger);
    if has_topic && !has_trigger && model.options.parent.is_none() {
        let message = "the model has topic fields but no AS TRIGGER, so it never publishes by itself";
        let draft = Draft::warning(codes::MODEL_WITHOUT_TRIGGER, model.name.span, message);
        sink.push(draft.suggest("add AS TRIGGER to the field whose messages start it"));
    }
}

/// Reports a model that is its own ancestor (§9.6).
fn inheritance(model: &Model, known: &dyn Known, sink: &mut Sink<'_>) {
    let Some(parent) = &model.options.parent else { return };
    let mut seen: Vec<String> = Vec::new();
    let mut next = Some(parent.text.clone());
    while let Some(name) = next.take().filter(|name| seen.len() < ANCESTORS_MAX && !seen.contains(name)) {
        if name == model.name.text {
            let message = format!("model `{name}` inherits from itself");
            sink.push(Draft::error(codes::CYCLE, parent.span, message));
            return;
        }
        next = known.model(&name).and_then(|fact| fact.parent);
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

/// Reports top-level fields that compute each other; a field may read its own last value (§9.2).
fn cycles(fields: &[Field], sink: &mut Sink<'_>) {
    let names: BTreeMap<&str, usize> =
        fields.iter().enumerate().map(|(index, field)| (field.name.value.as_str(), index)).collect();
    // Fields that need nothing unsettled are settled; what is left at the end is on a cycle or behind one.
    let mut needs = vec![0usize; fields.len()];
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); fields.len()];
    for (index, field) in fields.iter().enumerate() {
        let Some(FieldSource::Value(value)) = &field.source else { continue };
        super::names::each(value, &mut |name| {
            if let Some(other) = names.get(name).filter(|other| **other != index) {
                needs[index] += 1;
                users[*other].push(index);
            }
        });
    }
    let mut settled: Vec<usize> = (0..fields.len()).filter(|index| needs[*index] == 0).collect();
    while let Some(index) = settled.pop() {
        for user in std::mem::take(&mut users[index]) {
            needs[user] -= 1;
            if needs[user] == 0 {
                settled.push(user);
            }
        }
    }
    if let Some((field, _)) = fields.iter().zip(&needs).find(|(_, needs)| **needs > 0) {
        let message = format!("field \"{}\" is part of a cycle of fields", field.name.value);
        sink.push(Draft::error(codes::CYCLE, field.name.span, message));
    }
}

/// A Topic Filter, in which `{name}` stands for a level.
fn filter(topic: &Text, sink: &mut Sink<'_>) {
    if let Some(problem) = crate::topic::filter_problem(&topic.value) {
        let message = format!("invalid topic \"{}\": {problem}", topic.value.escape_debug());
        sink.push(Draft::error(codes::TOPIC_FILTER, topic.span, message));
    }
}

fn rule(rule: &Rule, sink: &mut Sink<'_>) {
    if rule.scope.text.is_empty() {
        // The header could not be read, which was reported.
        return;
    }
    let scope = rule.scope.text.as_str();
    if !SCOPES.contains(&scope) {
        let hint = nearest(scope, SCOPES).map(|near| format!("did you mean {near}?"));
        let message = format!("unknown scope {scope}");
        sink.push(Draft::error(codes::UNKNOWN_SCOPE, rule.scope.span, message).suggest_if(hint));
    }
    if (0..100).contains(&rule.priority) {
        let message = format!("priority {} is meant for built-in rules", rule.priority);
        let draft = Draft::warning(codes::BUILT_IN_PRIORITY, rule.name.span, message);
        sink.push(draft.suggest("use 100 and above"));
    }
    if let Some(topic) = &rule.topic {
        filter(topic, sink);
        if topic.value.ends_with("/+") {
            let draft =
                Draft::warning(codes::TRAILING_PLUS, topic.span, "a trailing /+ covers one level only");
            sink.push(draft.suggest("write /# for everything below"));
        }
    }
}

fn items(items: &[RouteItem], sink: &mut Sink<'_>) {
    let mut names: BTreeSet<(String, &str)> = BTreeSet::new();
    for item in items {
        match item {
            RouteItem::Block(block) => {
                let kind = block.kind.text.to_ascii_uppercase();
                if let Some(name) = &block.name {
                    let message = format!("{kind} `{}` is defined twice", name.text);
                    if !names.insert((kind, &name.text)) {
                        sink.push(Draft::error(codes::DUPLICATE_BLOCK, name.span, message));
                    }
                }
                self::items(&block.items, sink);
            }
            RouteItem::Setting(setting) => {
                let key = setting.key.text.to_ascii_uppercase();
                let is_secret = key.contains("PASSWORD") || key.contains("TOKEN") || key.contains("API_KEY");
                if let Some(value) = setting.value.as_ref().filter(|_| is_secret)
                    && matches!(&value.kind, ExpressionKind::Text(text) if !text.is_empty())
                {
                    let message = format!("{key} stands in the source, which is readable at $SYS");
                    let draft = Draft::warning(codes::LITERAL_PASSWORD, value.span, message);
                    sink.push(draft.suggest("store it with -setSecret and write GET SECRET \"NAME\""));
                }
            }
            RouteItem::Every(..) | RouteItem::Store { .. } => {}
        }
    }
}

fn panel(panel: &Panel, sink: &mut Sink<'_>) {
    let has_word = |clause: &&PanelClause, first: &str, second: &str| {
        clause.words.first().is_some_and(|word| word == "WITH")
            && clause.words.get(1).is_some_and(|word| word == first)
            && clause.values.iter().any(|value| matches!(value, PanelValue::Word(word) if word == second))
    };
    let is_private = panel.clauses.iter().any(|clause| has_word(&clause, "VISIBILITY", "PRIVATE"));
    let shared = panel.clauses.iter().find(|clause| clause.words.get(1).is_some_and(|word| word == "SHARE"));
    if let Some(clause) = shared.filter(|_| is_private) {
        let draft = Draft::error(codes::SHARED_PANEL, clause.span, "a PRIVATE panel is shared with nobody");
        sink.push(draft.suggest("write WITH VISIBILITY SHARED"));
    }
}
