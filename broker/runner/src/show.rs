//! Values that Actions return, as people read them.

use jiff::Timestamp;
use lotmq_host::Value;

/// Outputs of an Action in one line.
pub(crate) fn outputs(outputs: &[Value]) -> String {
    outputs.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn show(value: &Value) -> String {
    match value {
        Value::Empty => "empty".to_owned(),
        Value::Null => "null".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        Value::Text(text) | Value::Json(text) => text.clone(),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::Time(ms) => {
            Timestamp::from_millisecond(*ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
        }
    }
}
