//! What is checked of the entities that are not compiled yet: Models, Rules, Routes and panels, each on its own.

use super::Known;
use crate::diagnostic::suggest::nearest;
use crate::diagnostic::{Draft, Sink, codes};
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
    while let Some(name) = next.take().filter(|name| !seen.contains(name)) {
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
    for (index, field) in fields.iter().enumerate() {
        let earlier = fields.iter().take(index).find(|other| other.name.value == field.name.value);
        if let Some(first) = earlier {
            let message = format!("field \"{}\" is defined twice", field.name.value);
            let draft = Draft::error(codes::DUPLICATE_FIELD, field.name.span, message);
            sink.push(draft.at(first.name.span, "defined here first"));
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
    let names: Vec<&str> = fields.iter().map(|field| field.name.value.as_str()).collect();
    let uses: Vec<Vec<usize>> = fields
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let mut found = Vec::new();
            if let Some(FieldSource::Value(value)) = &field.source {
                super::names::each(value, &mut |name| {
                    found.extend(
                        names.iter().position(|known| *known == name).filter(|other| *other != index),
                    );
                });
            }
            found
        })
        .collect();
    // Fields that depend on nothing unsettled are settled; what is left is on a cycle or behind one.
    let mut settled = vec![false; fields.len()];
    for _ in 0..fields.len() {
        let before = settled.clone();
        for (index, needs) in uses.iter().enumerate() {
            if needs.iter().all(|other| settled.get(*other).copied().unwrap_or(true)) {
                settled[index] = true;
            }
        }
        if settled == before {
            break;
        }
    }
    if let Some((field, _)) = fields.iter().zip(&settled).find(|(_, settled)| !**settled) {
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
    let mut names: Vec<(String, &str)> = Vec::new();
    for item in items {
        match item {
            RouteItem::Block(block) => {
                let kind = block.kind.text.to_ascii_uppercase();
                if let Some(name) = &block.name {
                    if names.iter().any(|(other, known)| *other == kind && *known == name.text) {
                        let message = format!("{kind} `{}` is defined twice", name.text);
                        sink.push(Draft::error(codes::DUPLICATE_BLOCK, name.span, message));
                    }
                    names.push((kind, &name.text));
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
