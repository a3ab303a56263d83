//! Types of tags and their names, routes reference §5.4.

/// Type of the value of a tag in the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are what they are called")]
pub enum DataType {
    Bool,
    Int8,
    Uint8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Uint64,
    Float32,
    Float64,
    /// Text of one byte for each character.
    Text,
    /// Text of two bytes for each character, where the protocol has that.
    WideText,
}

impl DataType {
    /// The type of a name or of a synonym, in any case.
    pub fn of_name(name: &str) -> Option<DataType> {
        Some(match name.to_ascii_uppercase().as_str() {
            "BOOL" | "BIT" | "BOOLEAN" => DataType::Bool,
            "INT8" | "SINT" | "CHAR" => DataType::Int8,
            "UINT8" | "USINT" | "BYTE" => DataType::Uint8,
            "INT16" | "INT" | "SHORT" => DataType::Int16,
            "UINT16" | "UINT" | "WORD" => DataType::Uint16,
            "INT32" | "DINT" | "LONG" => DataType::Int32,
            "UINT32" | "UDINT" | "DWORD" => DataType::Uint32,
            "INT64" | "LINT" => DataType::Int64,
            "UINT64" | "ULINT" | "LWORD" => DataType::Uint64,
            "FLOAT32" | "FLOAT" | "REAL" => DataType::Float32,
            "FLOAT64" | "DOUBLE" | "LREAL" => DataType::Float64,
            "STRING" | "TEXT" => DataType::Text,
            "WSTRING" => DataType::WideText,
            _ => return None,
        })
    }

    /// Bytes of one value; 1 for a truth value and for a character of a text.
    pub fn bytes(self) -> usize {
        match self {
            DataType::Bool | DataType::Int8 | DataType::Uint8 | DataType::Text => 1,
            DataType::Int16 | DataType::Uint16 | DataType::WideText => 2,
            DataType::Int32 | DataType::Uint32 | DataType::Float32 => 4,
            DataType::Int64 | DataType::Uint64 | DataType::Float64 => 8,
        }
    }

    /// Whether it is a text, whose length is in characters.
    pub fn is_text(self) -> bool {
        matches!(self, DataType::Text | DataType::WideText)
    }

    /// Least and greatest value of a whole number; `None` of other types.
    pub fn range(self) -> Option<(i128, i128)> {
        Some(match self {
            DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
            DataType::Uint8 => (0, u8::MAX.into()),
            DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
            DataType::Uint16 => (0, u16::MAX.into()),
            DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
            DataType::Uint32 => (0, u32::MAX.into()),
            DataType::Int64 => (i64::MIN.into(), i64::MAX.into()),
            DataType::Uint64 => (0, u64::MAX.into()),
            DataType::Bool | DataType::Float32 | DataType::Float64 | DataType::Text | DataType::WideText => {
                return None;
            }
        })
    }

    /// Canonical name.
    pub fn name(self) -> &'static str {
        match self {
            DataType::Bool => "BOOL",
            DataType::Int8 => "INT8",
            DataType::Uint8 => "UINT8",
            DataType::Int16 => "INT16",
            DataType::Uint16 => "UINT16",
            DataType::Int32 => "INT32",
            DataType::Uint32 => "UINT32",
            DataType::Int64 => "INT64",
            DataType::Uint64 => "UINT64",
            DataType::Float32 => "FLOAT32",
            DataType::Float64 => "FLOAT64",
            DataType::Text => "STRING",
            DataType::WideText => "WSTRING",
        }
    }
}
