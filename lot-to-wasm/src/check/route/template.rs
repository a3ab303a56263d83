//! Texts with placeholders, and the topics of routes: routes reference §2 and §6.

use lot_facts::{RouteBlock, RoutePart, RouteValue, TemplatePart, TopicFact};

use super::misspelt;
use crate::diagnostic::{Draft, Sink, codes};
use crate::route::{Key, ValueKind};
use crate::source::Span;
use crate::syntax::route::AddBlock;
use crate::topic::{filter_help, filter_problem};

/// The value of a setting that takes a topic or a text with placeholders.
pub(super) fn of_setting(text: &str, span: Span, key: &Key, sink: &mut Sink<'_>) -> Option<RouteValue> {
    let refused = |problem: &str, code, sink: &mut Sink<'_>| {
        let message = format!("{} \"{}\": {problem}", key.name, text.escape_debug());
        sink.push(Draft::error(code, span, message));
        None
    };
    match &key.value {
        ValueKind::Filter | ValueKind::Rewritten => {
            if let Some(problem) = filter_problem(text) {
                let message = format!("{} \"{}\": {problem}", key.name, text.escape_debug());
                let draft = Draft::error(codes::TOPIC_FILTER, span, message);
                sink.push(draft.suggest_if(filter_help(text)));
                return None;
            }
            Some(RouteValue::Text(text.to_owned()))
        }
        ValueKind::Topic | ValueKind::Template | ValueKind::OfTopic => {
            let parts = match parse(text) {
                Ok(parts) => parts,
                Err(problem) => return refused(&problem, codes::PLACEHOLDER, sink),
            };
            let value = RouteValue::Template(parts);
            if !fits(&value, span, key, sink) {
                return None;
            }
            misspelt::warn(&key.name, text, span, sink);
            Some(value)
        }
        ValueKind::Text
        | ValueKind::Int(..)
        | ValueKind::Number
        | ValueKind::Bool
        | ValueKind::Words(_)
        | ValueKind::Character
        | ValueKind::Url
        | ValueKind::Folder
        | ValueKind::MongoAddress => None,
    }
}

/// Whether a key takes a text with placeholders; reports the error if it does not.
pub(super) fn fits(value: &RouteValue, span: Span, key: &Key, sink: &mut Sink<'_>) -> bool {
    let RouteValue::Template(parts) = value else { return true };
    let mut refused = |problem: &str, code| {
        let text: String = parts.iter().map(as_written).collect();
        let message = format!("{} \"{}\": {problem}", key.name, text.escape_debug());
        sink.push(Draft::error(code, span, message));
        false
    };
    if key.value == ValueKind::Topic {
        let literal: String = parts.iter().map(literal).collect();
        if literal.contains(['+', '#', '\0']) {
            return refused("a topic that is written to has no wildcards", codes::TOPIC_NAME);
        }
        if parts.is_empty() {
            return refused("it is empty", codes::TOPIC_NAME);
        }
    }
    let is_of_topic = |part: &TemplatePart| {
        matches!(
            part,
            TemplatePart::Text(_)
                | TemplatePart::Topic
                | TemplatePart::TopicLevel(_)
                | TemplatePart::JoinedEnv(_)
                | TemplatePart::JoinedUuid
        )
    };
    if key.value == ValueKind::OfTopic && !parts.iter().all(is_of_topic) {
        return refused("only {topic} and {topic.N} are filled there", codes::PLACEHOLDER);
    }
    true
}

/// Texts and values that are joined by `+`, for a key whose text is filled for each message:
/// placeholders in the texts are filled, and a secret is one of them.
pub(super) fn of_parts(
    joined: Vec<RoutePart>,
    span: Span,
    key: &str,
    sink: &mut Sink<'_>,
) -> Option<RouteValue> {
    let mut parts = Vec::with_capacity(joined.len());
    for part in joined {
        match part {
            RoutePart::Text(text) => match parse(&text) {
                Ok(of_text) => {
                    misspelt::warn(key, &text, span, sink);
                    parts.extend(of_text);
                }
                Err(problem) => {
                    let message = format!("{key} \"{}\": {problem}", text.escape_debug());
                    sink.push(Draft::error(codes::PLACEHOLDER, span, message));
                    return None;
                }
            },
            RoutePart::Env(name) => parts.push(TemplatePart::JoinedEnv(name)),
            RoutePart::Secret(name) => parts.push(TemplatePart::Secret(name)),
            RoutePart::RandomUuid if key == "ERROR_TOPIC" => {
                let message = format!(
                    "{key} is a topic that somebody subscribes to: RANDOM UUID names another one at each start"
                );
                sink.push(Draft::error(codes::SETTING_VALUE, span, message).unless_stored());
            }
            RoutePart::RandomUuid => parts.push(TemplatePart::JoinedUuid),
        }
    }
    Some(RouteValue::Template(parts))
}

/// A part as it is written in a text, or would be.
fn as_written(part: &TemplatePart) -> String {
    let inside = match (part, part.placeholder()) {
        (TemplatePart::JoinedEnv(name), _) => format!("env.{name}"),
        (_, Some(inside)) => inside,
        (_, None) => return part.text().unwrap_or_default().to_owned(),
    };
    format!("{{{inside}}}")
}

fn literal(part: &TemplatePart) -> &str {
    if let TemplatePart::Text(text) = part { text } else { "" }
}

/// Cuts a text at its placeholders. Other text in braces stays text: JSON bodies are full of
/// braces.
pub(super) fn parse(text: &str) -> Result<Vec<TemplatePart>, String> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, from_brace) = rest.split_at(open);
        plain.push_str(before);
        let behind = &from_brace[1..];
        // To the next brace and no further, so that each is looked for once.
        let inside =
            behind.find(['{', '}']).filter(|end| behind[*end..].starts_with('}')).map(|end| &behind[..end]);
        let Some((inside, part)) = inside.and_then(|inside| Some((inside, placeholder(inside)?))) else {
            plain.push('{');
            rest = behind;
            continue;
        };
        if !plain.is_empty() {
            parts.push(TemplatePart::Text(std::mem::take(&mut plain)));
        }
        parts.push(part?);
        rest = &from_brace[inside.len() + 2..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(TemplatePart::Text(plain));
    }
    Ok(parts)
}

/// Reads the text between braces as a placeholder; `None` when it is none.
pub(super) fn placeholder(inside: &str) -> Option<Result<TemplatePart, String>> {
    let (head, tail) = inside.split_once('.').map_or((inside, None), |(head, tail)| (head, Some(tail)));
    let number = |digits: &str| -> Option<Result<u32, String>> {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| match digits.parse() {
            Ok(0) => Err(format!("{{{inside}}}: it counts from 1")),
            Ok(number) => Ok(number),
            Err(_) => Err(format!("{{{inside}}}: the number is too large")),
        })
    };
    let part = match (head, tail) {
        ("payload" | "value", None) => TemplatePart::Payload,
        ("payload" | "value", Some("json")) => TemplatePart::Json(String::new()),
        ("payload" | "value", Some(tail)) => {
            if let Some(path) = tail.strip_prefix("json.") {
                TemplatePart::Json(path.to_owned())
            } else {
                return Some(number(tail.strip_prefix("csv.")?)?.map(TemplatePart::Csv));
            }
        }
        ("topic", None) => TemplatePart::Topic,
        ("topic", Some(level)) => return Some(number(level)?.map(TemplatePart::TopicLevel)),
        ("timestamp", None) => TemplatePart::Timestamp,
        ("timestamp", Some("unix")) => TemplatePart::UnixSeconds,
        ("timestamp", Some("unix_ms")) => TemplatePart::UnixMilliseconds,
        ("env", Some(name)) if !name.is_empty() => TemplatePart::Env(name.to_owned()),
        ("secret", Some(name)) if !name.is_empty() => TemplatePart::Secret(name.to_owned()),
        (name, None) if is_name(name) => TemplatePart::Field(name.to_owned()),
        _ => return None,
    };
    Some(Ok(part))
}

fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|other| other.is_ascii_alphanumeric() || other == '_')
}

/// The topics that a template may become: a placeholder that cannot hold a `/` is one level.
pub(super) fn fact(value: &RouteValue) -> Option<TopicFact> {
    let RouteValue::Template(parts) = value else { return Some(TopicFact::Any) };
    let [TemplatePart::Text(text)] = &parts[..] else {
        let is_level =
            |part: &TemplatePart| matches!(part, TemplatePart::Text(_) | TemplatePart::TopicLevel(_));
        if !parts.iter().all(is_level) {
            return Some(TopicFact::Any);
        }
        let text: String = parts
            .iter()
            .map(|part| if let TemplatePart::Text(text) = part { text.as_str() } else { "\0" })
            .collect();
        let levels: Vec<&str> =
            text.split('/').map(|level| if level.contains('\0') { "+" } else { level }).collect();
        return Some(TopicFact::Pattern(levels.join("/")));
    };
    Some(TopicFact::Exact(text.clone()))
}

/// The topics of a filter, as a mapping writes it; one with placeholders may be any.
pub(super) fn fact_of_filter(value: &RouteValue) -> Option<TopicFact> {
    let Some(text) = plain(value) else { return Some(TopicFact::Any) };
    // Messages of a shared subscription at another broker have the topic without the name of the
    // group.
    let shared = text.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    let text = shared.map_or(text.clone(), |(_group, filter)| filter.to_owned());
    Some(if text.contains(['+', '#']) { TopicFact::Pattern(text) } else { TopicFact::Exact(text) })
}

/// An event of a server whose `SOURCE_TOPIC` names parameters of its path, such as `{id}` of
/// `/dev/{id}` (routes reference §7): messages come from all topics that this may be, and the topic
/// as it was written becomes `SOURCE_PATH_TOPIC`.
pub(super) fn with_path_parameters(event: &mut RouteBlock) {
    let (Some(source), Some(RouteValue::Template(path))) =
        (event.text("SOURCE_TOPIC"), event.settings.get("ENDPOINT"))
    else {
        return;
    };
    let name = |part: &TemplatePart| {
        if let TemplatePart::Field(name) = part { Some(format!("{{{name}}}")) } else { None }
    };
    let names: Vec<String> = path.iter().filter_map(name).collect();
    let has_name = |level: &str| names.iter().any(|name| level.contains(name.as_str()));
    if !source.split('/').any(has_name) {
        return;
    }
    let levels: Vec<&str> =
        source.split('/').map(|level| if has_name(level) { "+" } else { level }).collect();
    let (source, filter) = (source.to_owned(), levels.join("/"));
    event.settings.insert("SOURCE_PATH_TOPIC".to_owned(), RouteValue::Text(source));
    event.settings.insert("SOURCE_TOPIC".to_owned(), RouteValue::Text(filter));
}

/// Whether no message is needed to fill a text.
pub(super) fn is_known_at_start(parts: &[TemplatePart]) -> bool {
    parts.iter().all(|part| part.placeholder().is_none())
}

/// The text of a value that is one without placeholders.
pub(super) fn plain(value: &RouteValue) -> Option<String> {
    match value {
        RouteValue::Text(text) => Some(text.clone()),
        RouteValue::Template(parts) => parts.iter().map(TemplatePart::text).collect(),
        RouteValue::Int(_)
        | RouteValue::Double(_)
        | RouteValue::Digits(_)
        | RouteValue::Bool(_)
        | RouteValue::Parts(_) => None,
    }
}

/// A bridge's mapping: the k-th wildcard of the filter that is subscribed to fills the k-th of the
/// topic that is published to, in each direction.
pub(super) fn rewriting(block: &AddBlock, checked: &RouteBlock, sink: &mut Sink<'_>) {
    let (Some(source), Some(destination)) = (checked.text("SOURCE_TOPIC"), checked.text("DESTINATION_TOPIC"))
    else {
        return;
    };
    let wildcards = |filter: &str| -> Vec<&'static str> {
        let known = |level| ["+", "#"].into_iter().find(|wildcard| *wildcard == level);
        filter.split('/').filter_map(known).collect()
    };
    let (from, to) = (wildcards(source), wildcards(destination));
    let is_both = checked.text("DIRECTION") == Some("both");
    let written = super::key_of(block, "DESTINATION_TOPIC");
    let span = written.and_then(|setting| setting.value.as_ref()).map_or(block.kind.span, |value| value.span);
    // A topic without wildcards takes all messages; that is no way back.
    if to.len() > from.len() || (is_both && from.len() != to.len()) {
        let message = format!("DESTINATION_TOPIC has {} wildcards, SOURCE_TOPIC {}", to.len(), from.len());
        let hint = if is_both {
            "both directions need as many in each"
        } else {
            "each takes what one of SOURCE_TOPIC matched"
        };
        sink.push(Draft::error(codes::ROUTE_WILDCARDS, span, message).note(hint));
        return;
    }
    let mut pairs = from.iter().zip(&to);
    if pairs.any(|(from, to)| (*from, *to) == ("#", "+") || (is_both && (*from, *to) == ("+", "#"))) {
        let message = "a `+` takes what a `#` matched: several levels, or none";
        let draft = Draft::warning(codes::ROUTE_WILDCARDS, span, message);
        sink.push(draft.suggest("write # in both at the end, or + in both"));
    }
}

/// Checks a mapping by which a guest brings messages, each at a topic that the guest sets:
/// wildcards bound these topics, and nothing fills placeholders.
pub(super) fn brought_by_guest(block: &AddBlock, checked: &RouteBlock, sink: &mut Sink<'_>) {
    if !checked.tags.is_empty() || !checked.goes("in") {
        return;
    }
    let key = if checked.goes("out") { "SOURCE_TOPIC" } else { "DESTINATION_TOPIC" };
    let is_filled = |parts: &Vec<TemplatePart>| parts.iter().any(|part| part.text().is_none());
    let parts = match checked.settings.get(key) {
        Some(RouteValue::Template(parts)) => Some(parts.clone()),
        Some(RouteValue::Text(text)) => parse(text).ok(),
        Some(
            RouteValue::Int(_)
            | RouteValue::Double(_)
            | RouteValue::Digits(_)
            | RouteValue::Bool(_)
            | RouteValue::Parts(_),
        )
        | None => None,
    };
    let Some(parts) = parts.filter(is_filled) else { return };
    let level = |part: &TemplatePart| part.text().unwrap_or("\0").to_owned();
    let text: String = parts.iter().map(level).collect();
    let levels: Vec<&str> =
        text.split('/').map(|level| if level.contains('\0') { "+" } else { level }).collect();
    let setting = super::key_of(block, key);
    let span = setting.and_then(|setting| setting.value.as_ref()).map_or(block.kind.span, |value| value.span);
    let message = format!("{key} has placeholders, and nothing fills them where the module brings messages");
    let draft = Draft::error(codes::PLACEHOLDER, span, message);
    let draft = draft.note("the module says the topic of each message itself, within this filter");
    sink.push(draft.suggest(format!("write \"{}\"", levels.join("/"))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_distinguished_from_other_braces() {
        use TemplatePart as P;
        let text = |text: &str| P::Text(text.to_owned());
        for (template, expected) in [
            ("a/b", vec![text("a/b")]),
            ("", vec![]),
            ("s/{topic.2}/saved", vec![text("s/"), P::TopicLevel(2), text("/saved")]),
            ("{payload}{value}", vec![P::Payload, P::Payload]),
            ("{value.json.a.0.b}", vec![P::Json("a.0.b".into())]),
            ("{payload.json}", vec![P::Json(String::new())]),
            ("{payload.csv.3}", vec![P::Csv(3)]),
            ("{timestamp.unix_ms}{timestamp}", vec![P::UnixMilliseconds, P::Timestamp]),
            ("{env.A_B}{secret.C}", vec![P::Env("A_B".into()), P::Secret("C".into())]),
            ("{status}", vec![P::Field("status".into())]),
            (r#"{"a":{payload},"b":{}}"#, vec![text(r#"{"a":"#), P::Payload, text(r#","b":{}}"#)]),
            ("{topic.x}{payload.xml}{ payload }{", vec![text("{topic.x}{payload.xml}{ payload }{")]),
            ("{{topic}}", vec![text("{"), P::Topic, text("}")]),
        ] {
            assert_eq!(parse(template).unwrap(), expected, "{template}");
        }
        for wrong in ["{topic.0}", "a{payload.csv.0}", "{topic.99999999999}"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        // As long as a text may be: each brace is looked at once.
        for opened in ["{", "{a", "{payload.x"] {
            let long = opened.repeat(crate::limits::SOURCE_BYTES_MAX / opened.len());
            assert_eq!(parse(&long).unwrap(), [text(&long)], "{opened}");
        }
    }

    #[test]
    fn a_source_topic_may_name_parameters_of_the_path() {
        for (path, source, expected) in [
            ("/dev/{id}", "dev/{id}/state", "dev/+/state dev/{id}/state"),
            ("/dev/{id}/{part}", "a{id}/{part}", "+/+ a{id}/{part}"),
            ("/dev/{id}", "dev/{other}", "dev/{other} "),
            ("/dev", "dev/1", "dev/1 "),
        ] {
            let mut event = RouteBlock::default();
            event.settings.insert("ENDPOINT".into(), RouteValue::Template(parse(path).unwrap()));
            event.settings.insert("SOURCE_TOPIC".into(), RouteValue::Text(source.into()));
            with_path_parameters(&mut event);
            let told = ["SOURCE_TOPIC", "SOURCE_PATH_TOPIC"].map(|key| event.text(key).unwrap_or_default());
            assert_eq!(told.join(" "), expected, "{path} {source}");
        }
    }

    #[test]
    fn facts_say_where_a_template_leads() {
        let fact_of = |text: &str| fact(&RouteValue::Template(parse(text).unwrap())).unwrap();
        assert_eq!(fact_of("a/b"), TopicFact::Exact("a/b".into()));
        assert_eq!(fact_of("a/x{topic.2}/b"), TopicFact::Pattern("a/+/b".into()));
        assert_eq!(fact_of("a/{payload}"), TopicFact::Any);
    }
}
