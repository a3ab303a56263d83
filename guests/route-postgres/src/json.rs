//! Values of a result as JSON (routes reference §4.1), by their types.
//!
//! Numbers stay as the server writes them, whatever their size, so that nothing is lost.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postgres_protocol::Oid;
use serde_json::Value as Json;

use crate::array;

/// Form of a type in JSON.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    Boolean,
    Number,
    Json,
    Bytes,
    /// With a date before the time of day.
    Time,
    TimeWithZone,
    Text,
}

/// `bytea`.
pub(crate) const BYTES: Oid = 17;

/// `json` and `jsonb`.
pub(crate) const JSON: [Oid; 2] = [114, 3802];

/// The shape of a type that is no array.
fn shape(kind: Oid) -> Shape {
    match kind {
        16 => Shape::Boolean,
        BYTES => Shape::Bytes,
        // int8, int2, int4, oid, float4, float8, numeric.
        20 | 21 | 23 | 26 | 700 | 701 | 1700 => Shape::Number,
        114 | 3802 => Shape::Json,
        1114 => Shape::Time,
        1184 => Shape::TimeWithZone,
        _ => Shape::Text,
    }
}

/// Returns the element type of an array, as far as it matters; `None` for an unknown type.
fn element(kind: Oid) -> Option<Oid> {
    Some(match kind {
        1000 => 16,
        1001 => BYTES,
        1005 => 21,
        1007 => 23,
        1016 => 20,
        1021 => 700,
        1022 => 701,
        1028 => 26,
        1231 => 1700,
        199 => 114,
        3807 => 3802,
        1115 => 1114,
        1185 => 1184,
        // Types: char, name, text, bpchar, varchar, date, time, timetz, interval, uuid, inet, cidr,
        // macaddr.
        1002 | 1003 | 1009 | 1014 | 1015 | 1182 | 1183 | 1270 | 1187 | 2951 | 1041 | 651 | 1040 => 25,
        _ => return None,
    })
}

/// A value as JSON.
pub(crate) fn value(text: &str, kind: Oid) -> String {
    match element(kind) {
        Some(element) => {
            array::json(text, |text| scalar(text, shape(element))).unwrap_or_else(|| quoted(text))
        }
        None => scalar(text, shape(kind)),
    }
}

fn scalar(text: &str, shape: Shape) -> String {
    match shape {
        Shape::Boolean => (text == "t" || text == "true").to_string(),
        // Neither NaN nor Infinity is a number of JSON.
        Shape::Number if text.ends_with(|last: char| last.is_ascii_digit()) => text.to_owned(),
        Shape::Json => match serde_json::from_str::<Json>(text) {
            Ok(json) => json.to_string(),
            // Nested too deeply to be looked at.
            Err(_) => quoted(text),
        },
        Shape::Bytes => match text.strip_prefix("\\x").and_then(bytes) {
            Some(bytes) => quoted(&STANDARD.encode(bytes)),
            None => quoted(text),
        },
        Shape::Time => quoted(&time(text)),
        Shape::TimeWithZone => quoted(&zoned(&time(text))),
        Shape::Number | Shape::Text => quoted(text),
    }
}

fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let digits = hexadecimal.as_bytes();
    let digit = |digit: u8| (digit as char).to_digit(16);
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    });
    pairs.collect()
}

/// Converts date and time to ISO 8601. Values without such a form, as `infinity` or a date before
/// Christ, stay unchanged.
fn time(text: &str) -> String {
    let is_date =
        |date: &str| date.len() >= 10 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    match text.split_once(' ') {
        Some((date, time)) if is_date(date) && !time.contains(' ') => [date, "T", time].concat(),
        _ => text.to_owned(),
    }
}

/// A zone as ISO 8601: `Z`, or hours and minutes.
fn zoned(text: &str) -> String {
    let Some(at) = text.rfind(['+', '-']).filter(|_| text.contains('T')) else { return text.to_owned() };
    match &text[at..] {
        "+00" | "+00:00" => [&text[..at], "Z"].concat(),
        zone if zone.len() == 3 => [text, ":00"].concat(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_by_their_types() {
        for (text, kind, expected) in [
            ("t", 16, "true"),
            ("f", 16, "false"),
            ("-9223372036854775808", 20, "-9223372036854775808"),
            ("0.10000000000000000001", 1700, "0.10000000000000000001"),
            ("NaN", 1700, "\"NaN\""),
            ("-Infinity", 701, "\"-Infinity\""),
            ("1e+20", 701, "1e+20"),
            ("x\"y", 25, r#""x\"y""#),
            (r#"{"a": [1, 2.50]}"#, 3802, r#"{"a":[1,2.50]}"#),
            ("\\x00ff", 17, "\"AP8=\""),
            ("\\x", 17, "\"\""),
            ("2026-01-05 10:00:00", 1114, "\"2026-01-05T10:00:00\""),
            ("2026-01-05 10:00:00.5+00", 1184, "\"2026-01-05T10:00:00.5Z\""),
            ("2026-01-05 10:00:00+01", 1184, "\"2026-01-05T10:00:00+01:00\""),
            ("2026-01-05 10:00:00-03:30", 1184, "\"2026-01-05T10:00:00-03:30\""),
            ("infinity", 1184, "\"infinity\""),
            ("0044-03-15 00:00:00 BC", 1114, "\"0044-03-15 00:00:00 BC\""),
            ("2026-01-05", 1082, "\"2026-01-05\""),
            ("3 days 04:05:06", 1186, "\"3 days 04:05:06\""),
            ("{1,NULL,-3}", 1007, "[1,null,-3]"),
            ("{{t,f},{NULL,t}}", 1000, "[[true,false],[null,true]]"),
            ("{\"a \\\"b\\\\\",NULL,\"NULL\",\"\"}", 1009, r#"["a \"b\\",null,"NULL",""]"#),
            ("[0:1]={1.5,2}", 1022, "[1.5,2]"),
            ("{}", 1007, "[]"),
            ("{\"{\\\"a\\\": 1}\"}", 3807, r#"[{"a":1}]"#),
            ("{1", 1007, "\"{1\""),
        ] {
            assert_eq!(value(text, kind), expected, "{text}");
        }
    }
}
