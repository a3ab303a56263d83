//! Values of settings: one expression that is known when the route starts, of the kind that its key
//! takes (routes reference §1.2).

use std::collections::BTreeSet;

use lot_facts::{RouteFacts, RoutePart, RouteValue, TemplatePart};

use super::hint::{hint, is_place};
use super::{misspelt, template};
use crate::check::tree::SettingStore;
use crate::diagnostic::{Draft, Sink, codes};
use crate::passwords::{has_login, is_secret_key, passwords};
use crate::route::{Key, ValueKind, of_kind};
use crate::source::Span;
use crate::syntax::route::Setting;
use crate::syntax::{BinaryOperator, Expression, ExpressionKind, RandomKind};

/// Text in the first line of a private key in PEM.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// The value of a setting whose key takes anything.
pub(super) fn any(setting: &Setting, sink: &mut Sink<'_>) -> Option<RouteValue> {
    let Some(written) = &setting.value else { return Some(RouteValue::Bool(true)) };
    Some(match constant(&setting.key.text, written, sink)? {
        Constant::Text(text) => RouteValue::Text(text),
        Constant::Int(number) => RouteValue::Int(number),
        Constant::Double(number) => RouteValue::Double(number),
        Constant::Digits { text, .. } => RouteValue::Digits(text),
        Constant::Bool(is) => RouteValue::Bool(is),
        Constant::Parts(parts) => RouteValue::Parts(parts),
    })
}

/// The text that is written as the value of a setting; `None` of any other value.
pub(super) fn written(setting: &Setting) -> Option<&str> {
    match &setting.value.as_ref()?.kind {
        ExpressionKind::Text(text) => Some(text),
        _ => None,
    }
}

/// The same, of a block that takes messages: placeholders in a text are filled for each.
pub(super) fn filled(setting: &Setting, sink: &mut Sink<'_>) -> Option<RouteValue> {
    let span = setting.value.as_ref().map_or(setting.key.span, |value| value.span);
    match any(setting, sink)? {
        RouteValue::Parts(parts) => template::of_parts(parts, span, &setting.key.text, sink),
        RouteValue::Text(text) => match template::parse(&text) {
            Ok(parts) => {
                misspelt::warn(&setting.key.text, &text, span, sink);
                let is_plain = parts.iter().all(|part| part.text().is_some());
                Some(if is_plain { RouteValue::Text(text) } else { RouteValue::Template(parts) })
            }
            Err(problem) => {
                let message = format!("{} \"{}\": {problem}", setting.key.text, text.escape_debug());
                sink.push(Draft::error(codes::PLACEHOLDER, span, message));
                None
            }
        },
        value => Some(value),
    }
}

/// The value of a setting, of the kind that its key takes.
pub(super) fn checked((setting, key): (&Setting, &Key), sink: &mut Sink<'_>) -> Option<RouteValue> {
    let Some(written) = &setting.value else {
        if key.value == ValueKind::Bool {
            return Some(RouteValue::Bool(true));
        }
        let message = format!("{} without a value", key.name);
        let draft = Draft::error(codes::SETTING_VALUE, setting.key.span, message);
        sink.push(draft.suggest_if(hint(key, "")));
        return None;
    };
    let constant = constant(&key.name, written, sink)?;
    if let Constant::Parts(parts) = constant {
        return later(parts, written.span, key, sink);
    }
    // Of words, such as those of a version, each has one spelling.
    let usual = match &constant {
        Constant::Digits { usual, .. } if matches!(key.value, ValueKind::Words(_)) => Some(usual.clone()),
        _ => None,
    };
    let text = usual.unwrap_or_else(|| constant.into_text());
    if let Some((values, reason)) = &key.refused
        && let Some(value) = values.iter().find(|value| value.eq_ignore_ascii_case(text.trim()))
    {
        let message = format!("{} is `{value}`, {reason}", key.name);
        sink.push(Draft::error(codes::SETTING_VALUE, written.span, message).unless_stored());
        return Some(RouteValue::Text(value.clone()));
    }
    match of_kind(&text, &key.value) {
        Ok(value) => value.map_or_else(|| template::of_setting(&text, written.span, key, sink), Some),
        Err(wanted) if key.value == ValueKind::Url => {
            let message = format!("{} is {wanted}, not `{}`", key.name, text.escape_debug());
            let draft = match is_place(text.trim()) {
                true => Draft::error(codes::SETTING_VALUE, written.span, message).unless_stored(),
                // The original loads such a route and fails when it calls; its templates have words
                // for an address.
                false => Draft::warning(codes::SETTING_VALUE, written.span, message),
            };
            sink.push(draft.suggest_if(hint(key, &text)));
            Some(RouteValue::Text(text.trim().to_owned()))
        }
        Err(wanted) if key.value == ValueKind::MongoAddress => {
            // The value has a login in it.
            let message = format!("{} is {wanted}", key.name);
            let draft = Draft::error(codes::SETTING_VALUE, written.span, message);
            sink.push(draft.suggest_if(hint(key, &text)));
            None
        }
        Err(wanted) => {
            let message = format!("{} is {wanted}, not `{}`", key.name, text.escape_debug());
            let draft = Draft::error(codes::SETTING_VALUE, written.span, message);
            sink.push(draft.suggest_if(hint(key, &text)));
            None
        }
    }
}

/// A value that is known when the route starts.
fn later(parts: Vec<RoutePart>, span: Span, key: &Key, sink: &mut Sink<'_>) -> Option<RouteValue> {
    if key.is_read_at_deploy() {
        let message = format!("{} is read when the route is deployed: it has to be written out", key.name);
        let why = "it says which messages are for the route; `lotmq check` and rights rest on it";
        sink.push(Draft::error(codes::SETTING_VALUE, span, message).note(why).unless_stored());
    }
    match &key.value {
        ValueKind::Topic | ValueKind::Template | ValueKind::OfTopic => {
            let value = template::of_parts(parts, span, &key.name, sink)?;
            template::fits(&value, span, key, sink).then_some(value)
        }
        ValueKind::Text
        | ValueKind::Int(..)
        | ValueKind::Number
        | ValueKind::Bool
        | ValueKind::Words(_)
        | ValueKind::Character
        | ValueKind::Url
        | ValueKind::Folder
        | ValueKind::MongoAddress
        | ValueKind::Filter
        | ValueKind::Rewritten => Some(RouteValue::Parts(parts)),
    }
}

/// Value of an expression when the route starts.
enum Constant {
    Text(String),
    Int(i64),
    Double(f64),
    /// A number whose usual digits are others than those that it is written with.
    Digits {
        text: String,
        usual: String,
    },
    Bool(bool),
    Parts(Vec<RoutePart>),
}

impl Constant {
    /// A number with its digits in the text, where these are not its usual ones; everything else as
    /// it is.
    fn with_digits_of(self, source: &str) -> Self {
        let text: String = source.chars().filter(|character| !character.is_whitespace()).collect();
        let usual = match &self {
            Constant::Int(number) if text.parse() == Ok(*number) => number.to_string(),
            Constant::Double(number) if text.parse() == Ok(*number) => number.to_string(),
            _ => return self,
        };
        if text == usual { self } else { Constant::Digits { text, usual } }
    }

    /// The text, of a literal.
    fn into_text(self) -> String {
        match self {
            Constant::Text(text) => text,
            Constant::Int(number) => number.to_string(),
            Constant::Double(number) => number.to_string(),
            Constant::Digits { text, .. } => text,
            Constant::Bool(is) => is.to_string(),
            Constant::Parts(_) => String::new(),
        }
    }
}

fn constant(key: &str, written: &Expression, sink: &mut Sink<'_>) -> Option<Constant> {
    let source = sink.source();
    let found = match &written.kind {
        ExpressionKind::Negate(inner) => match &inner.kind {
            ExpressionKind::Int(number) => number.checked_neg().map(Constant::Int),
            ExpressionKind::Double(number) => Some(Constant::Double(-number)),
            _ => None,
        },
        ExpressionKind::Int(number) => Some(Constant::Int(*number)),
        ExpressionKind::Double(number) => Some(Constant::Double(*number)),
        ExpressionKind::Bool(is) => Some(Constant::Bool(*is)),
        ExpressionKind::Text(text) => Some(Constant::Text(text.clone())),
        // A bare word is text (LoT reference §3, `rvalue`); a reserved one is a name here all the
        // same.
        ExpressionKind::Name(path) => Some(Constant::Text(path.to_string())),
        ExpressionKind::Object(_) | ExpressionKind::Array(_) => {
            json(written).map(|value| Constant::Text(value.to_string()))
        }
        ExpressionKind::Invalid => return None,
        _ => parts(written).map(Constant::Parts),
    };
    let found = found.map(|constant| constant.with_digits_of(source.slice(written.span)));
    if found.is_none() {
        let message = format!(
            "{key} is known when the route starts: a literal, GET ENV, GET SECRET, RANDOM UUID, joined by +"
        );
        sink.push(Draft::error(codes::SETTING_VALUE, written.span, message));
    }
    found
}

/// `"X_" + RANDOM UUID`, `GET ENV "N"`.
fn parts(written: &Expression) -> Option<Vec<RoutePart>> {
    Some(match &written.kind {
        ExpressionKind::Binary { operator: BinaryOperator::Add, left, right } => {
            let mut joined = parts(left)?;
            joined.extend(parts(right)?);
            joined
        }
        ExpressionKind::Text(text) => vec![RoutePart::Text(text.clone())],
        ExpressionKind::Int(number) => vec![RoutePart::Text(number.to_string())],
        ExpressionKind::Name(path) => vec![RoutePart::Text(path.to_string())],
        ExpressionKind::GetSetting(SettingStore::Environment, name) => {
            vec![RoutePart::Env(name.value.clone())]
        }
        ExpressionKind::GetSetting(SettingStore::Secret, name) => vec![RoutePart::Secret(name.value.clone())],
        ExpressionKind::Random(random) if random.kind == RandomKind::Uuid => vec![RoutePart::RandomUuid],
        _ => return None,
    })
}

fn json(written: &Expression) -> Option<serde_json::Value> {
    Some(match &written.kind {
        ExpressionKind::Object(members) => {
            let members = members.iter().map(|member| Some((member.key.value.clone(), json(&member.value)?)));
            serde_json::Value::Object(members.collect::<Option<_>>()?)
        }
        ExpressionKind::Array(elements) => elements.iter().map(json).collect::<Option<_>>()?,
        ExpressionKind::Text(text) => text.as_str().into(),
        ExpressionKind::Int(number) => (*number).into(),
        ExpressionKind::Double(number) => (*number).into(),
        ExpressionKind::Bool(is) => (*is).into(),
        ExpressionKind::Null => serde_json::Value::Null,
        _ => return None,
    })
}

/// Refuses a private key that stands in the source, and warns of a password. `known` is the key
/// that the setting has in its block.
pub(super) fn warn_of_secret(setting: &Setting, known: Option<&Key>, sink: &mut Sink<'_>) {
    let Some(value) = &setting.value else { return };
    let key = setting.key.text.to_ascii_uppercase();
    if stands_in(value, &|text| text.contains(PRIVATE_KEY)) {
        let message = format!(
            "{key} has a private key in the source, which its owner and administrators can read at $SYS"
        );
        let draft = Draft::error(codes::LITERAL_PASSWORD, value.span, message).unless_stored();
        sink.push(draft.suggest("store it with -setSecret and write GET SECRET \"NAME\", or name its file"));
        return;
    }
    let warn = |what: &str, way: &str, sink: &mut Sink<'_>| {
        let message =
            format!("{what} stands in the source, which its owner and administrators can read at $SYS");
        sink.push(Draft::warning(codes::LITERAL_PASSWORD, value.span, message).suggest(way));
    };
    let is_secret = known.map_or_else(|| is_secret_key(&key), |known| known.is_secret);
    if is_secret && matches!(&value.kind, ExpressionKind::Text(text) if !text.is_empty()) {
        return warn(&key, "store it with -setSecret and write GET SECRET \"NAME\"", sink);
    }
    if key == "HEADERS" && matches!(&value.kind, ExpressionKind::Text(text) if has_login(text)) {
        let way =
            "store it with -setSecret and join it by +: \"Authorization: Bearer \" + GET SECRET \"NAME\"";
        return warn(&format!("the login in {key}"), way, sink);
    }
    let may_hold_one =
        ["CONNECTION_STRING", "ADDRESS", "URL", "SERVER", "HOST"].iter().any(|word| key.contains(word));
    if may_hold_one && stands_in(value, &|text| !passwords(text).is_empty()) {
        // Logins in URLs are not followed.
        let way = match key.as_str() {
            "BASE_ADDRESS" => {
                "a URL with a login is not called: store it with -setSecret and write AUTHORIZATION \"Bearer \" + GET SECRET \"NAME\", or \"Basic \" and user:password in base64"
            }
            _ if key.starts_with("BASE_") => {
                "a URL with a login is not called: store it with -setSecret and write USERNAME \"…\" and PASSWORD GET SECRET \"NAME\""
            }
            _ => {
                "store it with -setSecret and write it as a setting of its own, PASSWORD GET SECRET \"NAME\", or join the text by +: \"…Password=\" + GET SECRET \"NAME\""
            }
        };
        warn(&format!("the password in {key}"), way, sink);
    }
}

/// Whether this is so of a text, or of one that others are joined to.
fn stands_in(value: &Expression, is_so: &dyn Fn(&str) -> bool) -> bool {
    match &value.kind {
        ExpressionKind::Text(text) => is_so(text),
        ExpressionKind::Binary { operator: BinaryOperator::Add, left, right } => {
            stands_in(left, is_so) || stands_in(right, is_so)
        }
        _ => false,
    }
}

/// Environment values and secrets that a route names, sorted.
pub(super) fn named(route: &RouteFacts) -> (Vec<String>, Vec<String>) {
    let (mut env, mut secrets) = (BTreeSet::new(), BTreeSet::new());
    let blocks = route.sections.iter().chain(&route.events).chain(&route.mappings);
    let with_tags = blocks.flat_map(|block| block.tags.iter().chain([block]));
    for value in with_tags.flat_map(|block| block.settings.values()) {
        match value {
            RouteValue::Parts(parts) => {
                for part in parts {
                    match part {
                        RoutePart::Env(name) => drop(env.insert(name.clone())),
                        RoutePart::Secret(name) => drop(secrets.insert(name.clone())),
                        RoutePart::Text(_) | RoutePart::RandomUuid => {}
                    }
                }
            }
            RouteValue::Template(parts) => {
                for part in parts {
                    match part {
                        TemplatePart::Env(name) | TemplatePart::JoinedEnv(name) => {
                            env.insert(name.clone());
                        }
                        TemplatePart::Secret(name) => {
                            secrets.insert(name.clone());
                        }
                        _ => {}
                    }
                }
            }
            RouteValue::Text(_)
            | RouteValue::Int(_)
            | RouteValue::Double(_)
            | RouteValue::Digits(_)
            | RouteValue::Bool(_) => {}
        }
    }
    (env.into_iter().collect(), secrets.into_iter().collect())
}
