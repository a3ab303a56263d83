//! Suggestions for a value that its key does not take: the value that was probably meant, or the
//! default, and never less protection than the text asks for.
//!
//! If no value is plausible, the suggestion is the range or nothing: the message already says what
//! the key takes.

use lot_nearest::{nearest, nearest_within};

use crate::route::{Key, TimeUnit, ValueKind};

/// Words for FALSE.
const NO: [&str; 9] = ["no", "off", "0", "n", "false", "none", "never", "disable", "disabled"];

/// Words for TRUE, with those that others ask for TLS with.
const YES: [&str; 12] =
    ["yes", "on", "1", "y", "true", "always", "enable", "enabled", "prefer", "require", "required", "strict"];

/// Suggests a value that the key takes in place of a text, for people.
pub(super) fn hint(key: &Key, text: &str) -> Option<String> {
    let text = text.trim();
    let write = |value: String| Some(format!("write WITH {} {value}", key.name));
    match &key.value {
        ValueKind::Bool => match means(text) {
            Some(is) => write(if is { "TRUE" } else { "FALSE" }.to_owned()),
            // An unknown text gives no preference.
            None => Some(format!("write WITH {} TRUE, or FALSE", key.name)),
        },
        ValueKind::Words(words) => word(key, words, text),
        ValueKind::Int(least, most) => match number(key, text, (*least, *most)) {
            Some(number) => write(number.to_string()),
            None => Some(match *most {
                i64::MAX => format!("write a number from {least} on"),
                _ => format!("write a number from {least} to {most}"),
            }),
        },
        ValueKind::Number => match text.replace(',', ".").parse::<f64>().ok().filter(|it| it.is_finite()) {
            Some(number) => write(number.to_string()),
            None => Some("write a number, such as 0.1".to_owned()),
        },
        ValueKind::Url if is_place(text) => {
            let scheme = if text.ends_with(":443") { "https" } else { "http" };
            write(format!("\"{scheme}://{}\"", text.escape_debug()))
        }
        ValueKind::Text
        | ValueKind::Template
        | ValueKind::OfTopic
        | ValueKind::Character
        | ValueKind::Url
        | ValueKind::Folder
        | ValueKind::MongoAddress
        | ValueKind::Filter
        | ValueKind::Topic
        | ValueKind::Rewritten => write(example(&key.value).to_owned()),
    }
}

/// Whether a text is a place without the scheme in front of it.
pub(super) fn is_place(text: &str) -> bool {
    let is_host = text.contains(['.', ':', '/']) || text.eq_ignore_ascii_case("localhost");
    is_host && !text.contains("://")
}

/// Reads a text as TRUE or FALSE that says it in other words. `verify-full` and its like mean TRUE.
pub(super) fn means(text: &str) -> Option<bool> {
    let text = text.trim().to_ascii_lowercase();
    match (NO.contains(&&*text), YES.contains(&&*text) || text.starts_with("verify")) {
        (true, _) => Some(false),
        (false, true) => Some(true),
        (false, false) => None,
    }
}

/// The word of a key that is meant by a text, or that counts by default.
fn word(key: &Key, words: &[String], text: &str) -> Option<String> {
    let meant =
        word_of_others(text, words).or_else(|| part_of_one(text, words)).or_else(|| near(text, words));
    // A misspelt value never leads to a suggestion of less protection.
    let is_weak = |word: &&str| {
        key.is_about_security() && ["0", "NONE", "PLAINTEXT"].contains(&&*word.to_ascii_uppercase())
    };
    if let Some(meant) = meant.filter(|word| !is_weak(word)) {
        return Some(format!("did you mean {meant}?"));
    }
    let default = key.default.as_deref().filter(|word| !is_weak(word) && !key.is_about_security())?;
    Some(format!("write WITH {} \"{default}\"", key.name))
}

/// Returns the word of a table for a synonym of other products, if the table has that word.
fn word_of_others<'a>(text: &str, words: &'a [String]) -> Option<&'a str> {
    let meant: &[&str] = match text.to_ascii_lowercase().as_str() {
        "inout" | "in/out" | "in_out" | "bidirectional" | "twoway" | "bi" => &["both"],
        "outbound" | "push" | "send" | "publish" | "up" => &["out", "POST"],
        "inbound" | "pull" | "receive" | "subscribe" | "down" => &["in", "GET"],
        "fetch" | "read" | "query" => &["GET"],
        "create" => &["POST"],
        "update" => &["PATCH"],
        "sign and encrypt" | "sign_and_encrypt" | "signencrypt" | "encrypt" => &["SignAndEncrypt"],
        _ => return None,
    };
    words.iter().map(String::as_str).find(|word| meant.contains(word))
}

/// The one word that begins with a text, or has it as one of its parts.
fn part_of_one<'a>(text: &str, words: &'a [String]) -> Option<&'a str> {
    if text.len() < 3 {
        return None;
    }
    let text = text.to_ascii_uppercase();
    let only = |is_it: &dyn Fn(&str) -> bool| {
        let mut found = words.iter().filter(|word| is_it(&word.to_ascii_uppercase()));
        found.next().filter(|_| found.next().is_none()).map(String::as_str)
    };
    only(&|word| word.starts_with(&text)).or_else(|| only(&|word| word.split('_').any(|part| part == text)))
}

/// The word that a text is but for a slip. Two letters of five make another word.
fn near<'a>(text: &str, words: &'a [String]) -> Option<&'a str> {
    let words = words.iter().map(String::as_str);
    match text.chars().count() {
        0..=2 => None,
        3..=5 => nearest_within(1, text, words),
        _ => nearest(text, words),
    }
}

/// Number that a text with a unit means, or that other products know by a name, or the default.
/// `None` if the text is a number: any number of the range may be meant.
fn number(key: &Key, text: &str, (least, most): (i64, i64)) -> Option<i64> {
    if text.parse::<i128>().is_ok() {
        return None;
    }
    let fits = |number: &i64| (least..=most).contains(number);
    let with_unit = || {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(digits);
        let per_unit: i64 = match unit.trim().to_ascii_lowercase().as_str() {
            "ms" | "milliseconds" => 1,
            "s" | "sec" | "second" | "seconds" => 1_000,
            "m" | "min" | "minute" | "minutes" => 60_000,
            "h" | "hour" | "hours" => 3_600_000,
            _ => return None,
        };
        let ms = number.parse::<i64>().ok()?.checked_mul(per_unit)?;
        match key.unit? {
            TimeUnit::Milliseconds => Some(ms),
            TimeUnit::Seconds => (ms % 1_000 == 0).then_some(ms / 1_000),
        }
    };
    let default = || key.default.as_ref().and_then(|text| text.parse().ok());
    with_unit().filter(fits).or_else(default)
}

/// A value of a kind whose texts all look alike.
fn example(kind: &ValueKind) -> &'static str {
    match kind {
        ValueKind::OfTopic => "\"{topic.1}\"",
        ValueKind::Character => "\";\"",
        ValueKind::Url => "\"https://host\"",
        ValueKind::Folder => "\"plant/line4\"",
        ValueKind::MongoAddress => "\"mongodb://a:27017,b:27017/?replicaSet=NAME&tls=true&authSource=admin\"",
        ValueKind::Filter | ValueKind::Topic | ValueKind::Rewritten => "\"a/b\"",
        ValueKind::Text
        | ValueKind::Template
        | ValueKind::Int(..)
        | ValueKind::Number
        | ValueKind::Bool
        | ValueKind::Words(_) => "\"text\"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{COMMON, all};

    /// Returns the suggestion for a value of a key of a type.
    fn proposed(kind: &str, name: &str, text: &str) -> String {
        let kind = all().find(|it| it.name == kind).unwrap();
        let sections = kind.sections.iter().chain(COMMON.iter()).map(|section| &section.keys);
        let mapping = kind.mapping.iter().flat_map(|mapping| mapping.tag.iter().chain([&mapping.keys]));
        let mut keys = sections.chain(&kind.event).chain(mapping).flatten();
        let key = keys.find(|key| key.is_called(name)).unwrap();
        hint(key, text).unwrap_or_default()
    }

    #[test]
    fn suggested_value_matches_the_intent_and_is_never_weaker() {
        for (kind, key, text, expected) in [
            ("MQTT_BRIDGE", "CLEAN_SESSION", "no", "write WITH CLEAN_SESSION FALSE"),
            ("MQTT_BRIDGE", "USE_TLS", "off", "write WITH USE_TLS FALSE"),
            ("POSTGRESQL", "USE_SSL", "verify-full", "write WITH USE_SSL TRUE"),
            (
                "POSTGRESQL",
                "TRUST_SERVER_CERTIFICATE",
                "perhaps",
                "write WITH TRUST_SERVER_CERTIFICATE TRUE, or FALSE",
            ),
            ("MODBUS_TCP", "ADDRESS_TYPE", "HOLDING", "did you mean HOLDING_REGISTER?"),
            ("MODBUS_TCP", "ADDRESS_TYPE", "discrete", "did you mean DISCRETE_INPUT?"),
            ("MODBUS_TCP", "ADDRESS_TYPE", "register", ""),
            ("POSTGRESQL", "QUERY_TIMEOUT", "30s", "write WITH QUERY_TIMEOUT 30"),
            ("POSTGRESQL", "QUERY_TIMEOUT", "2 min", "write WITH QUERY_TIMEOUT 120"),
            ("POSTGRESQL", "QUERY_TIMEOUT", "500ms", "write WITH QUERY_TIMEOUT 30"),
            ("MODBUS_TCP", "READ_TIMEOUT", "2s", "write WITH READ_TIMEOUT 2000"),
            ("REST_API", "TIMEOUT", "10 s", "write WITH TIMEOUT 10000"),
            ("POSTGRESQL", "QUERY_TIMEOUT", "0", "write a number from 1 to 86400"),
            ("EMAIL", "PORT", "smtp", "write WITH PORT 587"),
            ("MQTT_BRIDGE", "PORT", "mqtt", "write WITH BROKER_PORT 1883"),
            ("REST_API", "SERVER_PORT", "http", "write a number from 1 to 65535"),
            ("REDIS", "DATABASE", "main", "write WITH DATABASE 0"),
            ("REST_API", "METHOD", "FETCH", "did you mean GET?"),
            ("REST_API", "METHOD", "PSOT", "did you mean POST?"),
            ("REST_API", "METHOD", "HEAD", ""),
            ("OPCUA", "SECURITY_MODE", "9", ""),
            ("OPCUA", "SECURITY_MODE", "Nine", ""),
            ("OPCUA", "SECURITY_MODE", "Signed", "did you mean Sign?"),
            ("KAFKA", "SECURITY_PROTOCOL", "PLAINTXT", ""),
            ("KAFKA", "COMPRESSION_TYPE", "zip", "did you mean gzip?"),
            ("FILE_STORAGE", "FORMAT", "XLSX", "write WITH FORMAT \"CSV\""),
            ("MODBUS_TCP", "SCALING", "0,1", "write WITH SCALING 0.1"),
            ("MQTT_BRIDGE", "DIRECTION", "inbound", "did you mean in?"),
            ("OPCUA", "SECURITY_MODE", "SignAndEncript", "did you mean SignAndEncrypt?"),
        ] {
            assert_eq!(proposed(kind, key, text), expected, "{kind}: {key} {text}");
        }
    }
}
