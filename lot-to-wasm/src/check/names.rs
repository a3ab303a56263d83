//! Names inside an expression: fields of a model.

use crate::syntax::{Expression, ExpressionKind, Path, Transform};

/// Calls `found` with each bare name and each name in braces.
pub(super) fn each(expression: &Expression, found: &mut dyn FnMut(&Path)) {
    use ExpressionKind as Kind;
    match &expression.kind {
        Kind::Name(path) | Kind::Variable(path) => found(path),
        Kind::Invalid
        | Kind::Int(_)
        | Kind::Double(_)
        | Kind::Text(_)
        | Kind::Bool(_)
        | Kind::Null
        | Kind::Empty
        | Kind::Payload
        | Kind::Topic
        | Kind::Result
        | Kind::Session(_)
        | Kind::LiveTopic(_)
        | Kind::GetSetting(..)
        | Kind::GetModel(_)
        | Kind::Timestamp(_) => {}
        Kind::TopicPosition(value) | Kind::Negate(value) | Kind::Not(value) => each(value, found),
        Kind::Cast { value, .. } => each(value, found),
        Kind::TopicExists(topic) | Kind::GetTopic(topic) => {
            topic.parts.iter().for_each(|part| each(part, found));
        }
        Kind::GetJson { path, source } => {
            each(path, found);
            source.iter().for_each(|source| each(source, found));
        }
        Kind::Random(random) => {
            random.bounds.iter().for_each(|(low, high)| {
                each(low, found);
                each(high, found);
            });
        }
        Kind::Binary { left, right, .. } => {
            each(left, found);
            each(right, found);
        }
        Kind::If { condition, then, otherwise } => {
            each(condition, found);
            each(then, found);
            otherwise.iter().for_each(|value| each(value, found));
        }
        Kind::Object(members) => members.iter().for_each(|member| each(&member.value, found)),
        Kind::Array(elements) => elements.iter().for_each(|element| each(element, found)),
        Kind::Call { arguments, .. } => arguments.iter().for_each(|argument| each(argument, found)),
        Kind::Apply { transform, value } => {
            if let Transform::Replace { search, replacement } = transform.as_ref() {
                each(search, found);
                each(replacement, found);
            }
            each(value, found);
        }
    }
}
