//! Values that are bound, as the protocol has them.

use mysql_common::Value;
use route_sql::Parameter;
use route_sql::time::with_zone;

/// Converts a value for a column of this type, which is empty if unknown. A number with a fraction
/// is sent as text, with all digits.
pub(crate) fn bound(parameter: &Parameter, kind: &str) -> Value {
    match parameter {
        Parameter::Null => Value::NULL,
        Parameter::Text(text) => match kind {
            "datetime" | "timestamp" => {
                instant(text).unwrap_or_else(|| Value::Bytes(text.clone().into_bytes()))
            }
            "date" => match instant(text) {
                Some(Value::Date(year, month, day, ..)) => Value::Date(year, month, day, 0, 0, 0, 0),
                _ => Value::Bytes(text.clone().into_bytes()),
            },
            _ => Value::Bytes(text.clone().into_bytes()),
        },
        Parameter::Bytes(bytes) => Value::Bytes(bytes.clone()),
        Parameter::Number(number) => match (number.parse(), number.parse()) {
            (Ok(signed), _) => Value::Int(signed),
            (Err(_), Ok(unsigned)) => Value::UInt(unsigned),
            (Err(_), Err(_)) => Value::Bytes(number.clone().into_bytes()),
        },
        Parameter::Boolean(is) => Value::Int(i64::from(*is)),
    }
}

/// The time in UTC that a text with a zone is.
fn instant(text: &str) -> Option<Value> {
    let moment = with_zone(text)?;
    let ((year, month, day), (hour, minute, second)) = (moment.date, moment.time);
    Some(Value::Date(year, month, day, hour, minute, second, moment.micros))
}

/// Values whose times have no zone any more; `None` where none of them has one.
pub(crate) fn without_zones(values: &[Value]) -> Option<Vec<Value>> {
    let mut is_other = false;
    let changed = values.iter().map(|value| {
        let text = match value {
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        };
        let time = text.and_then(instant);
        is_other |= time.is_some();
        time.unwrap_or_else(|| value.clone())
    });
    let changed = changed.collect();
    is_other.then_some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_what_they_are() {
        let text = |text: &str| Parameter::Text(text.to_owned());
        let number = |text: &str| Parameter::Number(text.to_owned());
        let iso = "2026-01-05T12:00:00+02:00";
        for (parameter, kind, expected) in [
            (Parameter::Null, "", "NULL"),
            (text("it's"), "", "'it''s'"),
            (Parameter::Bytes(vec![0xff, 0]), "", "0xFF00"),
            (number("9223372036854775807"), "", "9223372036854775807"),
            (number("18446744073709551615"), "", "18446744073709551615"),
            (number("0.1000000000000000055511151231257827"), "", "'0.1000000000000000055511151231257827'"),
            (Parameter::Boolean(true), "", "1"),
            (text(iso), "", "'2026-01-05T12:00:00+02:00'"),
            (text(iso), "varchar", "'2026-01-05T12:00:00+02:00'"),
            (text(iso), "datetime", "'2026-01-05 10:00:00'"),
            (text(iso), "date", "'2026-01-05'"),
            (text("today"), "date", "'today'"),
        ] {
            assert_eq!(bound(&parameter, kind).as_sql(true), expected, "{parameter:?} {kind}");
        }
        let values = [Value::Int(1), Value::Bytes(iso.into())];
        assert_eq!(without_zones(&values).unwrap()[1].as_sql(true), "'2026-01-05 10:00:00'");
        assert_eq!(without_zones(&values[..1]), None);
    }
}
