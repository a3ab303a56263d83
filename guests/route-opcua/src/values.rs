//! Conversion of values between variants of OPC UA and tags.
//!
//! | in OPC UA | as a tag |
//! |---|---|
//! | Boolean, whole numbers, Float, Double | truth value, number, without loss |
//! | String, XmlElement, LocalizedText | text; a write keeps the locale of a LocalizedText |
//! | DateTime | text in the form of RFC 3339, in UTC, to 100 ns |
//! | Guid, NodeId, ExpandedNodeId, StatusCode | text in the form of the standard |
//! | QualifiedName | the same, with its namespace index before `:` |
//! | ByteString | Base64 |
//! | arrays and matrices | lists, and lists of lists |

use std::str::FromStr as _;

use chrono::SecondsFormat;
use opcua_types::status_code::SubStatusCode;
use opcua_types::{
    Array, ByteString, DataValue, DateTime, Guid, LocalizedText, NodeId, QualifiedName, StatusCode, UAString,
    Variant, VariantScalarTypeId, XmlElement,
};
use route_tags::{DataType, Value};

use crate::address::{expanded_node_id, node_id};
use crate::status::named;

/// A variable's value as a tag of a type has it; why it has none, for people.
pub(crate) fn of_data(data: &DataValue, kind: DataType) -> Result<Value, String> {
    let status = data.status.unwrap_or(StatusCode::Good);
    if status.is_bad() {
        return Err(named(status));
    }
    let value = data.value.as_ref().ok_or("the server gives no value")?;
    as_kind(plain(value, kind)?, kind).map_err(|shown| format!("{shown} is no {}", kind.name()))
}

/// The value that a variant is.
fn plain(variant: &Variant, kind: DataType) -> Result<Value, String> {
    Ok(match variant {
        Variant::Boolean(is) => Value::Bool(*is),
        Variant::SByte(number) => Value::Whole((*number).into()),
        Variant::Byte(number) => Value::Whole((*number).into()),
        Variant::Int16(number) => Value::Whole((*number).into()),
        Variant::UInt16(number) => Value::Whole((*number).into()),
        Variant::Int32(number) => Value::Whole((*number).into()),
        Variant::UInt32(number) => Value::Whole((*number).into()),
        Variant::Int64(number) => Value::Whole((*number).into()),
        Variant::UInt64(number) => Value::Whole((*number).into()),
        Variant::Float(number) => Value::Single(*number),
        Variant::Double(number) => Value::Double(*number),
        Variant::String(text) => Value::Text(text.as_ref().to_owned()),
        Variant::XmlElement(xml) => Value::Text(xml.to_string()),
        Variant::DateTime(time) => Value::Text(time.as_chrono().to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        Variant::Guid(guid) => Value::Text(guid.to_string()),
        Variant::StatusCode(status) if kind.is_text() => Value::Text(named(*status)),
        Variant::StatusCode(status) => Value::Whole(status.bits().into()),
        Variant::ByteString(bytes) => Value::Text(bytes.as_base64()),
        Variant::QualifiedName(name) => Value::Text(format!("{}:{}", name.namespace_index, name.name)),
        Variant::LocalizedText(text) => Value::Text(text.text.as_ref().to_owned()),
        Variant::NodeId(node) => Value::Text(node.to_string()),
        Variant::ExpandedNodeId(node) => Value::Text(node.to_string()),
        Variant::Variant(inner) => plain(inner, kind)?,
        Variant::DataValue(data) => plain(data.value.as_ref().unwrap_or(&Variant::Empty), kind)?,
        Variant::Array(array) => list(array, kind)?,
        Variant::Empty => return Err("the variable has no value".to_owned()),
        Variant::ExtensionObject(_) => {
            return Err(
                "a structure has no single value; its members may be variables of their own".to_owned()
            );
        }
        Variant::DiagnosticInfo(_) => return Err("a DiagnosticInfo is no value".to_owned()),
    })
}

fn list(array: &Array, kind: DataType) -> Result<Value, String> {
    let values = array.values.iter().map(|value| plain(value, kind)).collect::<Result<Vec<_>, _>>()?;
    let sizes = array.dimensions.as_deref().unwrap_or_default();
    Ok(Value::List(match sizes {
        [] | [_] => values,
        [_, inner @ ..] => nested(values, inner),
    }))
}

/// Values of a matrix, the last of whose dimensions change fastest, as lists of lists.
fn nested(values: Vec<Value>, inner: &[u32]) -> Vec<Value> {
    inner.iter().rev().fold(values, |values, size| {
        let size = usize::try_from(*size).unwrap_or(usize::MAX).max(1);
        values.chunks(size).map(|part| Value::List(part.to_vec())).collect()
    })
}

/// A value as a type has it, or how it looks where the type cannot have it.
fn as_kind(value: Value, kind: DataType) -> Result<Value, String> {
    let shown =
        |value: &Value| value.number().map_or_else(|| format!("{value:?}"), |number| number.to_string());
    match (value, kind) {
        (Value::List(items), _) => {
            items.into_iter().map(|item| as_kind(item, kind)).collect::<Result<_, _>>().map(Value::List)
        }
        (value @ Value::Text(_), _) if kind.is_text() => Ok(value),
        (Value::Bool(is), _) if kind.is_text() => Ok(Value::Text(is.to_string())),
        (Value::Bool(is), DataType::Bool) => Ok(Value::Bool(is)),
        (Value::Bool(is), _) => Ok(Value::Whole(is.into())),
        (Value::Whole(number @ (0 | 1)), DataType::Bool) => Ok(Value::Bool(number == 1)),
        (Value::Text(text), _) => Err(format!("the text '{}'", text.chars().take(40).collect::<String>())),
        (value, DataType::Bool) => Err(shown(&value)),
        (value, _) if kind.is_text() => Ok(Value::Text(shown(&value))),
        (value, _) => match (kind.range(), &value) {
            (Some((least, most)), Value::Whole(number)) if !(least..=most).contains(number) => {
                Err(shown(&value))
            }
            (Some(_), Value::Single(_) | Value::Double(_)) => {
                whole(&value, kind).ok_or_else(|| shown(&value))
            }
            _ => Ok(value),
        },
    }
}

/// A float that is a whole number of a type.
fn whole(value: &Value, kind: DataType) -> Option<Value> {
    let (least, most) = kind.range()?;
    let number: i128 = value.number()?.to_string().parse().ok()?;
    (least..=most).contains(&number).then_some(Value::Whole(number))
}

/// Returns the type for parsing a payload to write: the variable's type if it differs from the
/// tag's.
pub(crate) fn kind_of(variable: VariantScalarTypeId, tag: DataType) -> Result<DataType, String> {
    use VariantScalarTypeId as Type;
    let own = match variable {
        Type::Boolean => DataType::Bool,
        Type::SByte => DataType::Int8,
        Type::Byte => DataType::Uint8,
        Type::Int16 => DataType::Int16,
        Type::UInt16 => DataType::Uint16,
        Type::Int32 => DataType::Int32,
        Type::UInt32 => DataType::Uint32,
        Type::Int64 => DataType::Int64,
        Type::UInt64 => DataType::Uint64,
        Type::Float => DataType::Float32,
        Type::Double => DataType::Float64,
        Type::String
        | Type::DateTime
        | Type::Guid
        | Type::ByteString
        | Type::XmlElement
        | Type::NodeId
        | Type::ExpandedNodeId
        | Type::StatusCode
        | Type::QualifiedName
        | Type::LocalizedText => DataType::Text,
        Type::ExtensionObject | Type::DataValue | Type::Variant | Type::DiagnosticInfo => {
            return Err(format!("a {variable} cannot be written"));
        }
    };
    // A status is a number, too.
    if own.is_text() && !tag.is_text() && variable != Type::StatusCode {
        return Err(format!("the variable is a {variable}, and DATA_TYPE is {}", tag.name()));
    }
    Ok(own)
}

/// Converts a value to the variable's type. The value was parsed with [`kind_of`]; `current` is the
/// variable's present value.
pub(crate) fn variant(
    value: &Value,
    variable: VariantScalarTypeId,
    current: Option<&Variant>,
) -> Result<Variant, String> {
    use VariantScalarTypeId as Type;
    if let Value::List(items) = value {
        let items = items.iter().map(|item| variant(item, variable, None)).collect::<Result<Vec<_>, _>>()?;
        let array = Array::new(variable, items).map_err(|_| "the values are not of one type".to_owned())?;
        return Ok(Variant::Array(Box::new(array)));
    }
    let unfit = || format!("{value:?} is no {variable}");
    Ok(match (variable, value) {
        (Type::Boolean, Value::Bool(is)) => Variant::Boolean(*is),
        (Type::SByte, Value::Whole(number)) => Variant::SByte((*number).try_into().map_err(|_| unfit())?),
        (Type::Byte, Value::Whole(number)) => Variant::Byte((*number).try_into().map_err(|_| unfit())?),
        (Type::Int16, Value::Whole(number)) => Variant::Int16((*number).try_into().map_err(|_| unfit())?),
        (Type::UInt16, Value::Whole(number)) => Variant::UInt16((*number).try_into().map_err(|_| unfit())?),
        (Type::Int32, Value::Whole(number)) => Variant::Int32((*number).try_into().map_err(|_| unfit())?),
        (Type::UInt32, Value::Whole(number)) => Variant::UInt32((*number).try_into().map_err(|_| unfit())?),
        (Type::Int64, Value::Whole(number)) => Variant::Int64((*number).try_into().map_err(|_| unfit())?),
        (Type::UInt64, Value::Whole(number)) => Variant::UInt64((*number).try_into().map_err(|_| unfit())?),
        (Type::Float, Value::Single(number)) => Variant::Float(*number),
        (Type::Double, Value::Double(number)) => Variant::Double(*number),
        (_, Value::Text(text)) => of_text(text, variable, current)?,
        _ => return Err(unfit()),
    })
}

/// The variant that a text stands for.
fn of_text(text: &str, variable: VariantScalarTypeId, current: Option<&Variant>) -> Result<Variant, String> {
    use VariantScalarTypeId as Type;
    let shown: String = text.chars().take(40).collect();
    let unfit = || format!("'{shown}' is no {variable}");
    Ok(match variable {
        Type::String => Variant::String(UAString::from(text)),
        Type::XmlElement => Variant::XmlElement(XmlElement::from(text)),
        Type::DateTime => Variant::DateTime(Box::new(time(text).ok_or_else(unfit)?)),
        Type::Guid => Variant::Guid(Box::new(Guid::from_str(text.trim()).map_err(|_| unfit())?)),
        Type::ByteString => Variant::ByteString(ByteString::from_base64(text.trim()).ok_or_else(unfit)?),
        Type::NodeId => Variant::NodeId(Box::new(node_id(text.trim()).ok_or_else(unfit)?)),
        Type::ExpandedNodeId => {
            Variant::ExpandedNodeId(Box::new(expanded_node_id(text.trim()).ok_or_else(unfit)?))
        }
        Type::StatusCode => Variant::StatusCode(status(text.trim()).ok_or_else(unfit)?),
        Type::QualifiedName => {
            let parsed = text.split_once(':').and_then(|(index, name)| Some((index.parse().ok()?, name)));
            let (index, name) = parsed.unwrap_or((0, text));
            Variant::QualifiedName(Box::new(QualifiedName::new(index, name)))
        }
        Type::LocalizedText => {
            let locale = match current {
                Some(Variant::LocalizedText(current)) => current.locale.clone(),
                _ => UAString::null(),
            };
            Variant::LocalizedText(Box::new(LocalizedText { locale, text: UAString::from(text) }))
        }
        _ => return Err(unfit()),
    })
}

/// A time of RFC 3339 that OPC UA can say.
fn time(text: &str) -> Option<DateTime> {
    let parsed = chrono::DateTime::parse_from_rfc3339(text.trim()).ok()?.to_utc();
    let time = DateTime::parse_from_rfc3339(text.trim()).ok()?;
    // A value beyond the range would become another time.
    (time.as_chrono() == parsed).then_some(time)
}

/// A status by name or number.
fn status(text: &str) -> Option<StatusCode> {
    if let Ok(known) = SubStatusCode::from_str(text) {
        return Some(StatusCode::from_category(known));
    }
    text.parse::<u32>().ok().map(StatusCode::from)
}

/// Returns the built-in type of a data type in the standard's namespace. Returns `None` for others,
/// and for abstract ones.
pub(crate) fn built_in(data_type: &NodeId) -> Option<VariantScalarTypeId> {
    /// Enumeration, whose values are Int32: part 3 §8.14.
    const ENUMERATION: u32 = 29;
    /// BaseDataType, the type of a variable that may have values of any.
    const BASE: u32 = 24;
    match data_type.as_u32().filter(|_| data_type.namespace == 0)? {
        ENUMERATION => Some(VariantScalarTypeId::Int32),
        BASE => None,
        number => VariantScalarTypeId::try_from(number).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use VariantScalarTypeId as Type;

    const GUID: &str = "72962b91-fa75-4ae6-8d28-b404dc7daf63";

    /// Values of each type with the text that their tag has.
    fn cases() -> Vec<(Variant, Type, DataType, Value)> {
        let text = |text: &str| Value::Text(text.to_owned());
        let time = DateTime::parse_from_rfc3339("2026-11-25T01:02:03.1234567Z").unwrap();
        vec![
            (Variant::Boolean(true), Type::Boolean, DataType::Bool, Value::Bool(true)),
            (Variant::SByte(-128), Type::SByte, DataType::Int8, Value::Whole(-128)),
            (Variant::Byte(255), Type::Byte, DataType::Uint8, Value::Whole(255)),
            (Variant::Int16(-2), Type::Int16, DataType::Int16, Value::Whole(-2)),
            (Variant::UInt16(65_535), Type::UInt16, DataType::Uint16, Value::Whole(65_535)),
            (Variant::Int32(-3), Type::Int32, DataType::Int32, Value::Whole(-3)),
            (Variant::UInt32(u32::MAX), Type::UInt32, DataType::Uint32, Value::Whole(u32::MAX.into())),
            (Variant::Int64(i64::MIN), Type::Int64, DataType::Int64, Value::Whole(i64::MIN.into())),
            (Variant::UInt64(u64::MAX), Type::UInt64, DataType::Uint64, Value::Whole(u64::MAX.into())),
            (Variant::Float(0.1), Type::Float, DataType::Float32, Value::Single(0.1)),
            (Variant::Double(-2.5), Type::Double, DataType::Float64, Value::Double(-2.5)),
            (Variant::from("grün"), Type::String, DataType::Text, text("grün")),
            (
                Variant::DateTime(Box::new(time)),
                Type::DateTime,
                DataType::Text,
                text("2026-11-25T01:02:03.123456700Z"),
            ),
            (Variant::Guid(Box::new(Guid::from_str(GUID).unwrap())), Type::Guid, DataType::Text, text(GUID)),
            (
                Variant::ByteString(ByteString::from(vec![1, 2, 255])),
                Type::ByteString,
                DataType::Text,
                text("AQL/"),
            ),
            (Variant::XmlElement(XmlElement::from("<a/>")), Type::XmlElement, DataType::Text, text("<a/>")),
            (Variant::NodeId(Box::new(NodeId::new(2, "A"))), Type::NodeId, DataType::Text, text("ns=2;s=A")),
            (
                Variant::StatusCode(StatusCode::BadNotWritable),
                Type::StatusCode,
                DataType::Text,
                text("BadNotWritable"),
            ),
            (
                Variant::QualifiedName(Box::new(QualifiedName::new(2, "Speed"))),
                Type::QualifiedName,
                DataType::Text,
                text("2:Speed"),
            ),
        ]
    }

    #[test]
    fn values_of_all_types_are_read_and_written_without_loss() {
        for (held, variable, kind, value) in cases() {
            let data = DataValue::value_only(held.clone());
            assert_eq!(of_data(&data, kind), Ok(value.clone()), "{held:?}");
            assert_eq!(kind_of(variable, kind), Ok(kind));
            assert_eq!(variant(&value, variable, None), Ok(held.clone()), "{held:?}");
            let list = Value::List(vec![value.clone(), value]);
            let array = variant(&list, variable, None).unwrap();
            assert_eq!(of_data(&DataValue::value_only(array), kind), Ok(list), "{held:?}");
        }
    }

    #[test]
    fn a_tag_may_have_another_type_that_holds_the_value() {
        for (held, kind, expected) in [
            (Variant::Double(21.0), DataType::Int16, Ok(Value::Whole(21))),
            (Variant::Double(21.5), DataType::Int16, Err("21.5 is no INT16")),
            (Variant::Int32(70_000), DataType::Int16, Err("70000 is no INT16")),
            (Variant::Int64(i64::MAX), DataType::Float64, Ok(Value::Whole(i64::MAX.into()))),
            (Variant::Byte(1), DataType::Bool, Ok(Value::Bool(true))),
            (Variant::Byte(2), DataType::Bool, Err("2 is no BOOL")),
            (Variant::Float(0.1), DataType::Text, Ok(Value::Text("0.1".to_owned()))),
            (Variant::from("x"), DataType::Int16, Err("the text 'x' is no INT16")),
            (Variant::StatusCode(StatusCode::Good), DataType::Uint32, Ok(Value::Whole(0))),
            (Variant::Variant(Box::new(Variant::Byte(7))), DataType::Uint8, Ok(Value::Whole(7))),
            (Variant::Empty, DataType::Bool, Err("the variable has no value")),
        ] {
            let expected = expected.map_err(str::to_owned);
            assert_eq!(of_data(&DataValue::value_only(held.clone()), kind), expected, "{held:?}");
        }
        let bad = DataValue { status: Some(StatusCode::BadNodeIdUnknown), ..DataValue::null() };
        assert_eq!(of_data(&bad, DataType::Bool), Err("BadNodeIdUnknown".to_owned()));
    }

    #[test]
    fn matrices_are_lists_of_lists() {
        let values = (1..=6).map(Variant::Int32).collect::<Vec<_>>();
        let matrix = Array::new_multi(Type::Int32, values, vec![2, 3]).unwrap();
        let row = |from: i128| Value::List((from..from + 3).map(Value::Whole).collect());
        let data = DataValue::value_only(Variant::Array(Box::new(matrix)));
        assert_eq!(of_data(&data, DataType::Int32), Ok(Value::List(vec![row(1), row(4)])));
    }

    #[test]
    fn texts_that_are_no_value_are_refused() {
        for (text, variable, expected) in [
            ("yesterday", Type::DateTime, "'yesterday' is no DateTime"),
            ("1500-01-01T00:00:00Z", Type::DateTime, "'1500-01-01T00:00:00Z' is no DateTime"),
            ("1", Type::Guid, "'1' is no Guid"),
            ("?", Type::ByteString, "'?' is no ByteString"),
            ("BadLuck", Type::StatusCode, "'BadLuck' is no StatusCode"),
        ] {
            assert_eq!(of_text(text, variable, None), Err(expected.to_owned()));
        }
        let told = kind_of(Type::String, DataType::Int16).unwrap_err();
        assert_eq!(told, "the variable is a String, and DATA_TYPE is INT16");
        assert!(kind_of(Type::ExtensionObject, DataType::Text).is_err());
    }

    #[test]
    fn a_locale_stays_when_its_text_is_written() {
        let current = Variant::LocalizedText(Box::new(LocalizedText::new("de", "auf")));
        let written = variant(&Value::Text("zu".to_owned()), Type::LocalizedText, Some(&current)).unwrap();
        assert_eq!(written, Variant::LocalizedText(Box::new(LocalizedText::new("de", "zu"))));
    }
}
