//! Settings by which others ask for TLS: `SSLMODE`, `ENCRYPT`, `REQUIRE_SSL` and their like. A
//! route that left such a line out would connect in the clear.

use super::{hint, settings, value};
use crate::diagnostic::{Draft, Sink, codes};
use crate::route::{COMMON, Key, RouteType};
use crate::syntax::ExpressionKind;
use crate::syntax::route::{AddBlock, Setting};

/// The names, without `_` and in capitals.
const NAMES: [&str; 35] = [
    "ENABLEENCRYPTION",
    "ENABLESSL",
    "ENABLETLS",
    "ENCRYPT",
    "ENCRYPTED",
    "ENCRYPTION",
    "FORCESSL",
    "FORCETLS",
    "HTTPS",
    "REQUIRESSL",
    "REQUIRETLS",
    "SECURE",
    "SECURECONNECTION",
    "SSL",
    "SSLENABLE",
    "SSLENABLED",
    "SSLMODE",
    "SSLON",
    "SSLREQUIRED",
    "STARTTLS",
    "TLS",
    "TLSENABLE",
    "TLSENABLED",
    "TLSMODE",
    "TLSON",
    "TLSREQUIRED",
    "USEENCRYPTION",
    "USEHTTPS",
    "USESECURE",
    "USESSL",
    "USESTARTTLS",
    "USETLS",
    "WITHSSL",
    "WITHTLS",
    "SSLTLS",
];

/// Names of the keys that ask for TLS, the better one first.
const KEYS: [&str; 3] = ["USE_TLS", "USE_SSL", "USE_SECURITY"];

/// Whether a setting of this name asks for TLS.
pub(super) fn is_one(name: &str) -> bool {
    let name: String = name.chars().filter(|c| !matches!(c, '_' | '-')).collect();
    NAMES.iter().any(|known| known.eq_ignore_ascii_case(&name))
}

/// Returns the key that asks for TLS among those of a block.
pub(super) fn key_among(keys: &[Key]) -> Option<&Key> {
    KEYS.iter().find_map(|name| keys.iter().find(|key| key.name == *name))
}

/// Reports a setting that asks for TLS and is none of its section; false where it is not about
/// that.
pub(super) fn tells(
    kind: &RouteType,
    (title, keys): (&str, &[Key]),
    (block, setting): (&AddBlock, &Setting),
    sink: &mut Sink<'_>,
) -> bool {
    let name = &setting.key;
    if !is_one(&name.text) || !title.ends_with("_CONFIG") {
        return false;
    }
    let message = format!("Unknown setting '{}' in {title}", name.text.to_ascii_uppercase().escape_debug());
    let error = |note: String| {
        Draft::error(codes::UNKNOWN_SETTING, name.span, message.clone()).unless_stored().note(note)
    };
    let asks = asks_for_it(setting);
    if let Some(key) = key_among(keys) {
        let draft = match asks {
            Some(false) => Draft::warning(codes::UNKNOWN_SETTING, name.span, message.clone()),
            Some(true) | None => error(
                "without it the connection would be made with less protection than this line asks for"
                    .to_owned(),
            ),
        };
        let is_there = settings(block).any(|setting| key.is_called(&setting.key.text));
        let is_bool =
            setting.value.as_ref().is_none_or(|value| matches!(value.kind, ExpressionKind::Bool(_)));
        sink.push(match (is_there, &*key.name, is_bool) {
            (true, name, _) => draft.suggest(format!("leave it out: {name} says it")),
            (false, near, true) => draft.did_you_mean_name(name, Some(near)),
            (false, near, false) => {
                let is = if asks == Some(false) { "FALSE" } else { "TRUE" };
                draft.suggest(format!("write WITH {near} {is}"))
            }
        });
        return true;
    }
    if asks == Some(false) {
        return false;
    }
    let place = kind.sections.iter().find(|section| key_among(&section.keys).is_some());
    sink.push(match place.filter(|_| COMMON.iter().any(|common| common.name == title)) {
        Some(section) => error("it would not be followed here".to_owned())
            .suggest(format!("write it in ADD {}", section.name)),
        None => error(format!("a route of type {} encrypts nothing", kind.name))
            .suggest("leave it out, and protect the way to the other side otherwise"),
    });
    true
}

/// Returns whether the setting asks for TLS; `None` if its value does not show it.
fn asks_for_it(setting: &Setting) -> Option<bool> {
    match setting.value.as_ref().map(|value| &value.kind) {
        None => Some(true),
        Some(ExpressionKind::Bool(is)) => Some(*is),
        Some(ExpressionKind::Int(number)) => Some(*number != 0),
        Some(ExpressionKind::Name(path)) => hint::means(&path.to_string()),
        Some(_) => hint::means(value::written(setting)?),
    }
}
