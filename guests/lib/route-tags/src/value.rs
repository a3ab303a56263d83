//! Values as a device has them, and their bytes with the most significant first.

use crate::{DataType, Number};

/// Value of a tag before scaling.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Truth value.
    Bool(bool),
    /// Whole number of any width.
    Whole(i128),
    /// Float of 32 bits.
    Single(f32),
    /// Float of 64 bits.
    Double(f64),
    /// Text.
    Text(String),
    /// Several values of one type.
    List(Vec<Value>),
}

impl Value {
    /// The number that it is, where it is one.
    pub fn number(&self) -> Option<Number> {
        match self {
            Value::Whole(number) => Some(Number::whole(*number)),
            Value::Single(number) => Some(Number::of_single(*number)),
            Value::Double(number) => Some(Number::of_double(*number)),
            Value::Bool(_) | Value::Text(_) | Value::List(_) => None,
        }
    }

    /// Decodes one value from its bytes. Returns `None` if there are fewer bytes than its type has.
    /// A text takes all bytes.
    pub fn decode(kind: DataType, bytes: &[u8]) -> Option<Value> {
        Some(match kind {
            DataType::Bool => Value::Bool(bytes.iter().any(|byte| *byte != 0)),
            DataType::Int8 => Value::Whole(i8::from_be_bytes(bytes.try_into().ok()?).into()),
            DataType::Uint8 => Value::Whole(u8::from_be_bytes(bytes.try_into().ok()?).into()),
            DataType::Int16 => Value::Whole(i16::from_be_bytes(bytes.try_into().ok()?).into()),
            DataType::Uint16 => Value::Whole(u16::from_be_bytes(bytes.try_into().ok()?).into()),
            DataType::Int32 => Value::Whole(i32::from_be_bytes(bytes.try_into().ok()?).into()),
            DataType::Uint32 => Value::Whole(u32::from_be_bytes(bytes.try_into().ok()?).into()),
            DataType::Int64 => Value::Whole(i64::from_be_bytes(bytes.try_into().ok()?).into()),
            DataType::Uint64 => Value::Whole(u64::from_be_bytes(bytes.try_into().ok()?).into()),
            DataType::Float32 => Value::Single(f32::from_be_bytes(bytes.try_into().ok()?)),
            DataType::Float64 => Value::Double(f64::from_be_bytes(bytes.try_into().ok()?)),
            DataType::Text => Value::Text(text_of_bytes(bytes)),
            DataType::WideText => {
                let (units, []) = bytes.as_chunks::<2>() else { return None };
                let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
                Value::Text(String::from_utf16_lossy(&units))
            }
        })
    }

    /// Bytes of one value of a type; `None` for a value of another type or range.
    pub fn encode(&self, kind: DataType) -> Option<Vec<u8>> {
        Some(match (self, kind) {
            (Value::Bool(is), DataType::Bool) => vec![u8::from(*is)],
            (Value::Single(number), DataType::Float32) => number.to_be_bytes().to_vec(),
            (Value::Double(number), DataType::Float64) => number.to_be_bytes().to_vec(),
            (Value::Text(text), DataType::Text) => text.as_bytes().to_vec(),
            (Value::Text(text), DataType::WideText) => {
                text.encode_utf16().flat_map(u16::to_be_bytes).collect()
            }
            (Value::Whole(number), _) => {
                let (least, most) = kind.range()?;
                if !(least..=most).contains(number) {
                    return None;
                }
                number.to_be_bytes()[16 - kind.bytes()..].to_vec()
            }
            _ => return None,
        })
    }
}

/// Decodes a text of a device up to the first NUL: as UTF-8, or as ISO 8859-1 if it is not UTF-8.
pub fn text_of_bytes(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_all_types_are_read_and_written() {
        for (kind, bytes, value) in [
            (DataType::Int8, &[0xFF][..], Value::Whole(-1)),
            (DataType::Uint8, &[0xFF], Value::Whole(255)),
            (DataType::Int16, &[0x80, 0], Value::Whole(-32_768)),
            (DataType::Uint16, &[0x80, 0], Value::Whole(32_768)),
            (DataType::Int32, &[0xFF, 0xFF, 0xFF, 0xFE], Value::Whole(-2)),
            (DataType::Uint32, &[0xFF; 4], Value::Whole(u32::MAX.into())),
            (DataType::Int64, &[0xFF; 8], Value::Whole(-1)),
            (DataType::Uint64, &[0xFF; 8], Value::Whole(u64::MAX.into())),
            (DataType::Float32, &[0x41, 0xAC, 0, 0], Value::Single(21.5)),
            (DataType::Float64, &[0x40, 0x35, 0x80, 0, 0, 0, 0, 0], Value::Double(21.5)),
            (DataType::Text, b"abc", Value::Text("abc".to_owned())),
            (DataType::WideText, &[0, b'a', 0x20, 0xAC], Value::Text("a€".to_owned())),
        ] {
            assert_eq!(Value::decode(kind, bytes), Some(value.clone()), "{kind:?}");
            assert_eq!(value.encode(kind).as_deref(), Some(bytes), "{kind:?}");
            if !kind.is_text() {
                assert_eq!(Value::decode(kind, &[bytes, &[0]].concat()), None, "{kind:?}");
            }
        }
        assert_eq!(Value::Whole(256).encode(DataType::Uint8), None);
        assert_eq!(Value::Text("1".to_owned()).encode(DataType::Uint8), None);
    }

    #[test]
    fn texts_end_at_a_nul_and_need_no_utf_8() {
        assert_eq!(text_of_bytes(b"ab\0cd"), "ab");
        assert_eq!(text_of_bytes("grün".as_bytes()), "grün");
        assert_eq!(text_of_bytes(b"gr\xFCn"), "grün");
    }
}
