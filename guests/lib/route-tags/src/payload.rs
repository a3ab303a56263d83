//! Payloads to write to a tag, routes reference §5.3: a scalar as text, a JSON array, or one of
//! them in the member `value` of a JSON object.

use serde_json::Value as Json;

use crate::limits::PAYLOAD_BYTES_MAX;
use crate::{DataType, Number, Scale, Value};

/// Parses a payload as values of a type, with inverse scaling. `length` is the number of values of
/// an array, or of characters of a text.
pub(crate) fn parse(
    payload: &[u8],
    kind: DataType,
    length: Option<usize>,
    scale: &Scale,
) -> Result<Value, String> {
    let said = said(text_of(payload)?, kind)?;
    if kind.is_text() {
        let Json::String(text) = said else { return Err(format!("{said} is no text")) };
        return Ok(Value::Text(text));
    }
    let Some(length) = length else { return one(&said, kind, scale) };
    let Json::Array(items) = said else { return Err(format!("a list of {length} values is wanted")) };
    if items.len() != length {
        return Err(format!("{} values where {length} are wanted", items.len()));
    }
    items.iter().map(|item| one(item, kind, scale)).collect::<Result<_, _>>().map(Value::List)
}

/// Reads a payload as a list of values of a type, as many as there are.
pub(crate) fn list(payload: &[u8], kind: DataType, scale: &Scale) -> Result<Value, String> {
    let said: Json = serde_json::from_str(text_of(payload)?.trim())
        .map_err(|error| format!("the payload is no JSON array: {error}"))?;
    let items = match &said {
        Json::Array(items) => items,
        _ => said["value"].as_array().ok_or("a JSON array is wanted")?,
    };
    let text = |item: &Json| match item {
        Json::String(text) => Ok(Value::Text(text.clone())),
        _ => Err(format!("{item} is no text")),
    };
    let value = |item| if kind.is_text() { text(item) } else { one(item, kind, scale) };
    items.iter().map(value).collect::<Result<_, _>>().map(Value::List)
}

fn text_of(payload: &[u8]) -> Result<&str, String> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(format!("a payload of {} bytes is no value", payload.len()));
    }
    std::str::from_utf8(payload).map_err(|_| "the payload is not UTF-8".to_owned())
}

/// Returns the content of a payload: the value of a JSON object or array, else its text.
fn said(text: &str, kind: DataType) -> Result<Json, String> {
    let trimmed = text.trim();
    let parsed = || serde_json::from_str::<Json>(trimmed);
    if trimmed.starts_with('{') {
        match parsed() {
            Ok(Json::Object(mut members)) if members.contains_key("value") => {
                return Ok(members.remove("value").unwrap_or_default());
            }
            // A text may begin with a brace.
            _ if kind.is_text() => {}
            Ok(_) => return Err("the JSON object has no member 'value'".to_owned()),
            Err(error) => return Err(format!("the payload is not JSON: {error}")),
        }
    }
    if trimmed.starts_with('[') && !kind.is_text() {
        return parsed().map_err(|error| format!("the payload is not JSON: {error}"));
    }
    Ok(Json::String(text.to_owned()))
}

fn one(said: &Json, kind: DataType, scale: &Scale) -> Result<Value, String> {
    let text = match said {
        Json::String(text) => text.trim().to_owned(),
        Json::Number(_) | Json::Bool(_) | Json::Null | Json::Array(_) | Json::Object(_) => said.to_string(),
    };
    if kind == DataType::Bool {
        return match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Value::Bool(true)),
            "false" | "0" => Ok(Value::Bool(false)),
            _ => Err(format!("'{}' is neither true nor false", shown(&text))),
        };
    }
    let number = Number::parse(&text).ok_or_else(|| format!("'{}' is no number", shown(&text)))?;
    scale.raw(number, kind).ok_or_else(|| format!("{} is out of the range of {}", shown(&text), kind.name()))
}

/// The beginning of a text, for people.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(payload: &str, kind: DataType, length: Option<usize>, scaling: &str) -> Result<Value, String> {
        let scale = Scale::new(Number::parse(scaling).unwrap(), Number::ZERO, None);
        parse(payload.as_bytes(), kind, length, &scale)
    }

    #[test]
    fn payloads_become_values_by_the_inverse_scaling() {
        use DataType::{Bool, Float32, Int16, Text, Uint8, Uint64};
        for (payload, kind, length, scaling, expected) in [
            ("21.5", Int16, None, "0.1", Value::Whole(215)),
            (r#"{"value":21.5,"unit":"C"}"#, Int16, None, "0.1", Value::Whole(215)),
            (r#"{"value":"-3"}"#, Int16, None, "1", Value::Whole(-3)),
            (" 7 ", Uint8, None, "1", Value::Whole(7)),
            ("18446744073709551615", Uint64, None, "1", Value::Whole(u64::MAX.into())),
            ("0.1", Float32, None, "1", Value::Single(0.1)),
            ("TRUE", Bool, None, "1", Value::Bool(true)),
            ("0", Bool, None, "1", Value::Bool(false)),
            ("[1,2]", Uint8, Some(2), "1", Value::List(vec![Value::Whole(1), Value::Whole(2)])),
            (r#"{"value":[true]}"#, Bool, Some(1), "1", Value::List(vec![Value::Bool(true)])),
            ("{a", Text, Some(5), "1", Value::Text("{a".to_owned())),
            (r#"{"value":"a b"}"#, Text, Some(5), "1", Value::Text("a b".to_owned())),
        ] {
            assert_eq!(parsed(payload, kind, length, scaling), Ok(expected), "{payload}");
        }
    }

    #[test]
    fn lists_are_as_long_as_the_payload_says() {
        let scale = Scale::new(Number::parse("0.5").unwrap(), Number::ZERO, None);
        let texts = Value::List(vec![Value::Text("a".to_owned()), Value::Text("1".to_owned())]);
        for (payload, kind, expected) in [
            ("[0.5, 1]", DataType::Int16, Ok(Value::List(vec![Value::Whole(1), Value::Whole(2)]))),
            (r#"{"value":[]}"#, DataType::Int16, Ok(Value::List(Vec::new()))),
            (r#"["a","1"]"#, DataType::Text, Ok(texts)),
            ("[1]", DataType::Text, Err("1 is no text".to_owned())),
            ("1", DataType::Int16, Err("a JSON array is wanted".to_owned())),
        ] {
            assert_eq!(list(payload.as_bytes(), kind, &scale), expected, "{payload}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused_with_a_reason() {
        use DataType::{Bool, Float32, Int16, Text, Uint8};
        for (payload, kind, length, expected) in [
            ("", Int16, None, "'' is no number"),
            ("warm", Int16, None, "'warm' is no number"),
            ("true", Int16, None, "'true' is no number"),
            ("32768", Int16, None, "32768 is out of the range of INT16"),
            ("-1", Uint8, None, "-1 is out of the range of UINT8"),
            ("1e39", Float32, None, "1e39 is out of the range of FLOAT32"),
            ("2", Bool, None, "'2' is neither true nor false"),
            (r#"{"v":1}"#, Int16, None, "the JSON object has no member 'value'"),
            ("{", Int16, None, "the payload is not JSON: EOF while parsing an object at line 1 column 1"),
            ("[1]", Int16, None, "'[1]' is no number"),
            (r#"{"value":null}"#, Int16, None, "'null' is no number"),
            ("1", Uint8, Some(2), "a list of 2 values is wanted"),
            ("[1,2,3]", Uint8, Some(2), "3 values where 2 are wanted"),
            (r#"{"value":1}"#, Text, Some(5), "1 is no text"),
        ] {
            assert_eq!(parsed(payload, kind, length, "1"), Err(expected.to_owned()), "{payload}");
        }
        let scale = Scale::new(Number::ONE, Number::ZERO, None);
        assert!(parse(b"\xFF", Int16, None, &scale).is_err());
    }
}
