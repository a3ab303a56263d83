//! Conversion between guest values and JSON: inputs and outputs of Actions that commands and the
//! command line call.

use lotmq_host::Value;
use serde_json::{Value as Json, json};

/// Value of a guest for a JSON value; a list or an object is its text.
#[must_use]
pub fn value_of_json(value: Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(value),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::Integer(integer),
            // A double would round it.
            None if number.is_u64() => Value::Json(number.to_string()),
            None => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text),
        Json::Array(_) | Json::Object(_) => Value::Json(value.to_string()),
    }
}

/// Bound below which every whole number has a Double of its own.
const INTEGERS_EXACT: f64 = 9_007_199_254_740_992.0;

/// JSON value for a value of a guest; bytes are text, times as in UTC.
pub fn json_of_value(value: &Value) -> Json {
    match value {
        Value::Empty | Value::Null => Json::Null,
        Value::Boolean(value) => json!(value),
        Value::Integer(value) => json!(value),
        // As LoT writes it: 3, not 3.0.
        Value::Double(value) if value.fract() == 0.0 && value.abs() < INTEGERS_EXACT => json!(*value as i64),
        Value::Double(value) => json!(value),
        Value::Text(text) => json!(text),
        Value::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        Value::Bytes(bytes) => json!(String::from_utf8_lossy(bytes)),
        Value::Time(ms) => {
            let at = jiff::Timestamp::from_millisecond(*ms).unwrap_or_default();
            json!(lotmq_definitions::utc_text(at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_the_values_of_guests_and_back() {
        for (text, expected) in [
            ("1", Value::Integer(1)),
            ("-0.5", Value::Double(-0.5)),
            ("18446744073709551615", Value::Json("18446744073709551615".into())),
            ("\"a\"", Value::Text("a".into())),
            ("true", Value::Boolean(true)),
            ("null", Value::Null),
            ("[1,2]", Value::Json("[1,2]".into())),
            (r#"{"b":1,"a":2}"#, Value::Json(r#"{"b":1,"a":2}"#.into())),
        ] {
            let value: Json = serde_json::from_str(text).unwrap();
            assert_eq!(value_of_json(value.clone()), expected, "{text}");
            assert_eq!(json_of_value(&expected), value, "{text}");
        }
    }
}
