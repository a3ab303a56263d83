//! Expressions as text.

use super::quoted;
use crate::check::tree::SettingStore;
use crate::syntax::parse::{message_property_name, session_name};
use crate::syntax::{
    BinaryOperator, CastType, Expression, ExpressionKind, Random, RandomKind, TopicOperand, Transform,
};

/// An expression on one line.
pub(crate) fn text(expression: &Expression) -> String {
    use ExpressionKind as Kind;
    match &expression.kind {
        Kind::Invalid => "invalid".to_owned(),
        Kind::Int(number) => number.to_string(),
        Kind::Double(number) => format!("{number:?}"),
        Kind::Text(value) => quoted(value),
        Kind::Bool(value) => value.to_string(),
        Kind::Null => "null".to_owned(),
        Kind::Empty => "empty".to_owned(),
        Kind::Variable(path) => format!("{{{path}}}"),
        Kind::Name(path) => path.to_string(),
        Kind::Payload => "PAYLOAD".to_owned(),
        Kind::Topic => "TOPIC".to_owned(),
        Kind::Result => "RESULT".to_owned(),
        Kind::Session(word) => session_name(*word).to_owned(),
        Kind::WindowFigure(word) => format!("(window {word})"),
        Kind::MessageProperty(property) => message_property_name(*property),
        Kind::UserProperty(name) => format!("(user-property {})", text(name)),
        Kind::TopicPosition(value) => format!("(pos {})", text(value)),
        Kind::TopicExists(operand) => format!("(exists {})", topic(operand)),
        Kind::GetTopic(operand) => format!("(get {})", topic(operand)),
        Kind::LiveTopic(value) => format!("(live {})", quoted(&value.value)),
        Kind::GetJson { path, source: Some(source) } => format!("(json {} {})", text(path), text(source)),
        Kind::GetJson { path, source: None } => format!("(json {})", text(path)),
        Kind::GetSetting(SettingStore::Environment, name) => format!("(env {})", quoted(&name.value)),
        Kind::GetSetting(SettingStore::Secret, name) => format!("(secret {})", quoted(&name.value)),
        Kind::GetModel(query) => model_query(query),
        Kind::Timestamp(None) => "(timestamp)".to_owned(),
        Kind::Timestamp(Some(format)) => format!("(timestamp {})", quoted(&format.value)),
        Kind::LocalTimestamp(None) => "(local-timestamp)".to_owned(),
        Kind::LocalTimestamp(Some(format)) => format!("(local-timestamp {})", quoted(&format.value)),
        Kind::TimestampOf(shown) => {
            let word = if shown.is_local { "local-timestamp" } else { "timestamp" };
            let format =
                shown.format.as_ref().map_or(String::new(), |format| format!(" {}", quoted(&format.value)));
            format!("({word}{format} (of {}))", text(&shown.instant))
        }
        Kind::Random(value) => random(value),
        Kind::Negate(value) => format!("(- {})", text(value)),
        Kind::Not(value) => format!("(not {})", text(value)),
        Kind::Binary { operator, left, right } => {
            format!("({} {} {})", operator_name(*operator), text(left), text(right))
        }
        Kind::Cast { value, to } => format!("(as {} {})", text(value), cast_name(*to)),
        Kind::If { condition, then, otherwise: Some(otherwise) } => {
            format!("(if {} {} {})", text(condition), text(then), text(otherwise))
        }
        Kind::If { condition, then, otherwise: None } => format!("(if {} {})", text(condition), text(then)),
        Kind::Object(members) => {
            let members = members
                .iter()
                .map(|member| format!(" {} {}", quoted(&member.key.value), text(&member.value)));
            format!("(object{})", members.collect::<String>())
        }
        Kind::Array(elements) => format!("(array{})", all(elements)),
        Kind::Apply { transform, value } => apply(transform, value),
        Kind::Call { function, arguments } => {
            format!("({}{})", format!("{function:?}").to_lowercase(), all(arguments))
        }
    }
}

/// A topic: its only part, or a concatenation.
pub(crate) fn topic(operand: &TopicOperand) -> String {
    match operand.parts.as_slice() {
        [part] => text(part),
        parts => format!("(concat{})", all(parts)),
    }
}

/// A space and the text of each.
fn all(expressions: &[Expression]) -> String {
    expressions.iter().map(|expression| format!(" {}", text(expression))).collect()
}

fn model_query(query: &crate::syntax::ModelQuery) -> String {
    let mut out = format!("(model {} {}", query.model.text, query.route.text);
    if let Some(filter) = &query.filter {
        out.push_str(&format!(" {}", text(filter)));
    }
    if let Some((column, descending)) = &query.order {
        out.push_str(&format!(" order {}{}", column.text, if *descending { " desc" } else { "" }));
    }
    if let Some(limit) = query.limit {
        out.push_str(&format!(" limit {limit}"));
    }
    out + ")"
}

fn random(random: &Random) -> String {
    let kind = match random.kind {
        RandomKind::Uuid => " uuid",
        RandomKind::Int => " int",
        RandomKind::Double => " double",
        RandomKind::Untyped => "",
    };
    match &random.bounds {
        Some((low, high)) => format!("(random{kind} {} {})", text(low), text(high)),
        None => format!("(random{kind})"),
    }
}

fn apply(transform: &Transform, value: &Expression) -> String {
    let value = text(value);
    match transform {
        Transform::FilterRegex(pattern) => format!("(filter {value} regex {})", quoted(&pattern.value)),
        Transform::FilterCsv(field) => format!("(filter {value} csv {})", quoted(&field.value)),
        Transform::Replace { search, replacement } => {
            format!("(replace {} {} {value})", text(search), text(replacement))
        }
        Transform::Trim => format!("(trim {value})"),
        Transform::Split { separator, at } => {
            let separator = separator.as_ref().map_or(quoted(","), |text| quoted(&text.value));
            let at = at.map_or(String::new(), |(number, _)| format!(" at {number}"));
            format!("(split {value} {separator}{at})")
        }
    }
}

/// The operator as the trees of §18.3 write it.
pub(super) fn operator_name(operator: BinaryOperator) -> &'static str {
    use BinaryOperator as Op;
    match operator {
        Op::Or => "or",
        Op::And => "and",
        Op::Equal => "==",
        Op::NotEqual => "!=",
        Op::Less => "<",
        Op::LessOrEqual => "<=",
        Op::Greater => ">",
        Op::GreaterOrEqual => ">=",
        Op::Contains => "contains",
        Op::NotContains => "not-contains",
        Op::StartsWith => "starts-with",
        Op::EndsWith => "ends-with",
        Op::Matches => "matches",
        Op::MatchesRegex => "matches-regex",
        Op::In => "in",
        Op::Add => "+",
        Op::Subtract => "-",
        Op::Multiply => "*",
        Op::Divide => "/",
        Op::Remainder => "%",
    }
}

/// The type as the trees of §18.3 write it.
pub(super) fn cast_name(to: CastType) -> &'static str {
    match to {
        CastType::Int => "int",
        CastType::Double => "double",
        CastType::Bool => "bool",
        CastType::String => "string",
        CastType::Timestamp => "timestamp",
        CastType::Array => "array",
        CastType::Object => "object",
        CastType::Json => "json",
        CastType::Bytes => "bytes",
    }
}
