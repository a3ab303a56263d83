//! Entities as text.

use super::expression::{cast_name, operator_name, text, topic};
use super::{Writer, quoted, statement};
use crate::syntax::model::{DefineModel, Field, FieldSource, FieldType};
use crate::syntax::panel::{Component, DefinePanel, DefineTheme, PanelClause, PanelValue};
use crate::syntax::route::{DefineRoute, RouteItem};
use crate::syntax::rule::{DefineRule, RuleBody, RuleCondition, RuleConditionKind, Verdict};
use crate::syntax::{ActionBody, DefineAction, Entity};
use lot_facts::{CalendarDays, Trigger};

/// The whole entity.
pub(super) fn write(writer: &mut Writer, entity: &Entity) {
    match entity {
        Entity::Action(action) => self::action(writer, action),
        Entity::Model(model) => self::model(writer, model),
        Entity::Rule(rule) => self::rule(writer, rule),
        Entity::Route(route) => self::route(writer, route),
        Entity::Panel(panel) => self::panel(writer, panel),
        Entity::Theme(theme) => self::theme(writer, theme),
    }
}

fn action(writer: &mut Writer, action: &DefineAction) {
    writer.push(&format!("(action {}", action.name.text));
    writer.nested(|writer| {
        match &action.entry {
            ActionBody::Triggered(trigger) => {
                writer.line();
                writer.push(&self::trigger(&trigger.fact));
            }
            ActionBody::Callable { inputs, .. } => {
                for input in inputs {
                    writer.line();
                    let kind = input
                        .kind
                        .map_or(String::new(), |kind| format!(" {}", format!("{kind:?}").to_lowercase()));
                    writer.push(&format!("(input {}{kind})", input.name.text));
                }
            }
        }
        for node in &action.body {
            writer.line();
            statement::write(writer, node);
        }
        if let ActionBody::Callable { outputs, .. } = &action.entry {
            for output in outputs {
                writer.line();
                writer.push(&format!("(output {})", output.name.text));
            }
        }
        if let Some(description) = &action.description {
            writer.line();
            writer.push(&format!("(description {})", quoted(&description.value)));
        }
    });
    writer.push(")");
}

fn trigger(trigger: &Trigger) -> String {
    let all =
        |filters: &[String]| filters.iter().map(|filter| format!(" {}", quoted(filter))).collect::<String>();
    match trigger {
        Trigger::Topic { filters } => format!("(on topic{})", all(filters)),
        Trigger::Change { filters } => format!("(on change{})", all(filters)),
        Trigger::Silence { filters, after_ms } => format!("(on silence{} {after_ms} ms)", all(filters)),
        Trigger::Window { filters, path, extent } => {
            let path = path.as_ref().map_or(String::new(), |path| format!(" (json {})", quoted(path)));
            format!("(on window{}{path} {extent:?})", all(filters))
        }
        Trigger::Every { interval } => format!("(on every {interval:?})"),
        Trigger::Calendar { days, at } => {
            let times: String =
                at.iter().map(|at| format!(" {:02}:{:02}:{:02}", at.hour, at.minute, at.second)).collect();
            format!("(on calendar {}{times})", calendar_days(days))
        }
        Trigger::Once(at) => {
            let offset = at.offset_minutes.map_or(String::new(), |minutes| format!(" {minutes:+} min"));
            let (date, time) = (at.date, at.time);
            format!(
                "(on once {:04}-{:02}-{:02} {:02}:{:02}:{:02}{offset})",
                date.year, date.month, date.day, time.hour, time.minute, time.second
            )
        }
        Trigger::Start => "(on start)".to_owned(),
        Trigger::Connect => "(on connect)".to_owned(),
        Trigger::Disconnect => "(on disconnect)".to_owned(),
        Trigger::Subscribe { pattern: None } => "(on subscribe)".to_owned(),
        Trigger::Subscribe { pattern: Some(pattern) } => format!("(on subscribe {})", quoted(pattern)),
    }
}

fn calendar_days(days: &CalendarDays) -> String {
    match days {
        CalendarDays::Week(days) => {
            days.0.iter().zip("MTWTFSS".chars()).map(|(on, letter)| if *on { letter } else { '-' }).collect()
        }
        CalendarDays::Month(month) => {
            let days = month.days.iter().map(u8::to_string).chain(month.last.then(|| "last".to_owned()));
            format!("(month {})", days.collect::<Vec<_>>().join(" "))
        }
    }
}

fn model(writer: &mut Writer, model: &DefineModel) {
    let options = &model.options;
    writer.push(&format!("(model {}", model.name.text));
    let flags = [(options.collapsed, "collapsed"), (options.retain, "retain")];
    for (_, flag) in flags.iter().filter(|(on, _)| *on) {
        writer.push(&format!(" {flag}"));
    }
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            writer.push(&format!(" ({name} {value})"));
        }
    };
    option("qos", options.qos.map(|qos| qos.to_string()));
    option("from", options.parent.as_ref().map(|name| name.text.clone()));
    option("topic", options.topic.as_ref().map(|text| quoted(&text.value)));
    option("format", options.format.map(|format| format!("{format:?}").to_lowercase()));
    fields(writer, &model.fields);
    writer.nested(|writer| {
        for store in &model.stores {
            writer.line();
            let table = store.table.as_ref().map_or(String::new(), |text| format!(" {}", text.value));
            let when = store.when.as_ref().map_or(String::new(), |value| format!(" {}", text(value)));
            writer.push(&format!("(store {}{table}{when})", store.route.text));
        }
        for fetch in &model.fetches {
            writer.line();
            let table = fetch.table.as_ref().map_or(String::new(), |text| format!(" {}", text.value));
            let when = fetch.when.as_ref().map_or(String::new(), |value| format!(" {}", text(value)));
            let limit = fetch.limit.map_or(String::new(), |limit| format!(" limit {limit}"));
            writer.push(&format!("(fetch {}{table}{when}{limit})", fetch.route.text));
        }
    });
    writer.push(")");
}

fn fields(writer: &mut Writer, fields: &[Field]) {
    writer.nested(|writer| {
        for field in fields {
            writer.line();
            let kind = match &field.kind {
                None => "?".to_owned(),
                Some(FieldType::Cast(kind)) => cast_name(*kind).to_owned(),
                Some(FieldType::Collection(model)) => format!("(collection {})", model.text),
            };
            let source = match &field.source {
                None => String::new(),
                Some(FieldSource::Topic(topic, None)) => format!(" (live {})", quoted(&topic.value)),
                Some(FieldSource::Topic(topic, Some(to))) => {
                    format!(" (as (live {}) {})", quoted(&topic.value), cast_name(*to))
                }
                Some(FieldSource::Value(value)) => format!(" {}", text(value)),
            };
            let trigger = if field.is_trigger { " trigger" } else { "" };
            writer.push(&format!("(field {kind} {}{source}{trigger}", field.name.value));
            self::fields(writer, &field.children);
            writer.push(")");
        }
    });
}

fn rule(writer: &mut Writer, rule: &DefineRule) {
    let topic = rule.topic.as_ref().map_or(String::new(), |text| format!(" {}", quoted(&text.value)));
    writer.push(&format!("(rule {} {} {}{topic}", rule.name.text, rule.priority, rule.scope.text));
    if let Some(body) = &rule.body {
        writer.nested(|writer| {
            writer.line();
            writer.push(&rule_body(body));
        });
    }
    writer.push(")");
}

fn rule_body(body: &RuleBody) -> String {
    match body {
        RuleBody::Verdict(Verdict::Allow) => "allow".to_owned(),
        RuleBody::Verdict(Verdict::Deny) => "deny".to_owned(),
        RuleBody::If { branches, otherwise } => {
            let branches: Vec<String> = branches
                .iter()
                .map(|(condition, body)| format!("(if {} {})", rule_condition(condition), rule_body(body)))
                .collect();
            let otherwise =
                otherwise.as_ref().map_or(String::new(), |body| format!(" (else {})", rule_body(body)));
            format!("{}{otherwise}", branches.join(" "))
        }
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "only the exceptions are named")]
fn rule_condition(condition: &RuleCondition) -> String {
    let negate = |negated: bool, text: String| if negated { format!("(not {text})") } else { text };
    match &condition.kind {
        RuleConditionKind::Invalid => "invalid".to_owned(),
        RuleConditionKind::Or(left, right) => {
            format!("(or {} {})", rule_condition(left), rule_condition(right))
        }
        RuleConditionKind::And(left, right) => {
            format!("(and {} {})", rule_condition(left), rule_condition(right))
        }
        RuleConditionKind::Not(inner) => format!("(not {})", rule_condition(inner)),
        RuleConditionKind::UserIs { negated, name } => {
            negate(*negated, format!("(is USER {})", quoted(&name.value)))
        }
        RuleConditionKind::UserHas { negated, property, compare: None } => {
            negate(*negated, format!("(has {})", property.text))
        }
        RuleConditionKind::UserHas { negated, property, compare: Some((operator, value)) } => negate(
            *negated,
            format!("({} (has {}) {})", operator_name(*operator), property.text, text(value)),
        ),
        RuleConditionKind::InGroup { negated, group } => {
            negate(*negated, format!("(group {})", quoted(&group.value)))
        }
        RuleConditionKind::Module(name) => format!("(module {})", quoted(&name.value)),
        RuleConditionKind::TopicExists(operand) => format!("(exists {})", topic(operand)),
        RuleConditionKind::Compare { subject, operator, value } => {
            let name = match operator {
                crate::syntax::BinaryOperator::Equal => "is",
                crate::syntax::BinaryOperator::NotEqual => "is-not",
                operator => operator_name(*operator),
            };
            format!("({name} {} {})", text(subject), text(value))
        }
    }
}

fn route(writer: &mut Writer, route: &DefineRoute) {
    let kind = route.kind.as_ref().map_or("?", |name| name.text.as_str());
    writer.push(&format!("(route {} {kind}", route.name.text));
    route_items(writer, &route.items);
    writer.push(")");
}

#[allow(clippy::wildcard_enum_match_arm, reason = "only the exceptions are named")]
fn route_items(writer: &mut Writer, items: &[RouteItem]) {
    writer.nested(|writer| {
        for item in items {
            writer.line();
            match item {
                RouteItem::Block(block) => {
                    let name = block.name.as_ref().map_or(String::new(), |name| format!(" {}", name.text));
                    writer.push(&format!("(block {}{name}", block.kind.text));
                    route_items(writer, &block.items);
                    writer.push(")");
                }
                RouteItem::Setting(setting) => {
                    let value = setting.value.as_ref().map_or(String::new(), |value| match &value.kind {
                        crate::syntax::ExpressionKind::Name(path) => format!(" (text {path})"),
                        _ => format!(" {}", text(value)),
                    });
                    writer.push(&format!("(setting {}{value})", setting.key.text));
                }
                RouteItem::Every(interval, _) => writer.push(&format!("(every {interval} ms)")),
                RouteItem::Store { route, key, target } => {
                    let target = quoted(&target.value);
                    writer.push(&format!("(store {} {} {target})", route.text, key.text));
                }
            }
        }
    });
}

fn panel(writer: &mut Writer, panel: &DefinePanel) {
    writer.push(&format!("(panel {}", quoted(&panel.name.text)));
    clauses(writer, &panel.clauses);
    components(writer, &panel.components);
    writer.push(")");
}

fn components(writer: &mut Writer, components: &[Component]) {
    writer.nested(|writer| {
        for component in components {
            writer.line();
            writer.push(&format!("(component {}", quoted(&component.name.text)));
            clauses(writer, &component.clauses);
            self::components(writer, &component.components);
            if !component.on_click.is_empty() {
                writer.nested(|writer| {
                    writer.line();
                    writer.push("(on click");
                    statement::block(writer, &component.on_click);
                    writer.push(")");
                });
            }
            writer.push(")");
        }
    });
}

fn clauses(writer: &mut Writer, clauses: &[PanelClause]) {
    writer.nested(|writer| {
        for clause in clauses {
            writer.line();
            let values: String = clause
                .values
                .iter()
                .map(|value| match value {
                    PanelValue::Word(word) => format!(" {word}"),
                    PanelValue::Value(value) => format!(" {}", text(value)),
                })
                .collect();
            writer.push(&format!("({}{values})", clause.words.join("-").to_lowercase()));
        }
    });
}

fn theme(writer: &mut Writer, theme: &DefineTheme) {
    writer.push(&format!("(theme {}", quoted(&theme.name.text)));
    writer.nested(|writer| {
        for (key, value) in &theme.settings {
            writer.line();
            writer.push(&format!("({} {})", quoted(&key.value), quoted(&value.value)));
        }
    });
    writer.push(")");
}
