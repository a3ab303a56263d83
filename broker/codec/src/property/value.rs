//! One property's value: reading it by the table, judging its range, writing it.

use crate::error::{DecodeError, EncodeError};
use crate::property_id::{Kind, PropertyId, Range};
use crate::read::Reader;
use crate::topic_name::is_topic_name;
use crate::write::{put_binary, put_string, put_var_int};

/// The value of a property, by its type on the wire; strings and data are borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyValue<'a> {
    /// One byte.
    Byte(u8),
    /// A two byte integer.
    TwoByte(u16),
    /// A four byte integer.
    FourByte(u32),
    /// A variable byte integer, at most 268 435 455.
    VarInt(u32),
    /// Binary data, at most 65 535 bytes.
    Binary(&'a [u8]),
    /// A string, at most 65 535 bytes.
    Utf8(&'a str),
    /// A name and a value, each at most 65 535 bytes.
    Utf8Pair(&'a str, &'a str),
}

impl<'a> PropertyValue<'a> {
    /// Reads a value of the property's type and judges its range.
    pub(crate) fn read(id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let value = match id.kind() {
            Kind::Byte => Self::Byte(reader.u8()?),
            Kind::TwoByte => Self::TwoByte(reader.u16()?),
            Kind::FourByte => Self::FourByte(reader.u32()?),
            Kind::VarInt => Self::VarInt(reader.var_int()?),
            Kind::Binary => Self::Binary(reader.binary()?),
            Kind::Utf8 => Self::Utf8(reader.string()?),
            Kind::Utf8Pair => Self::Utf8Pair(reader.string()?, reader.string()?),
        };
        if value.in_range(id.range()) {
            Ok(value)
        } else if id == PropertyId::TopicAlias {
            Err(DecodeError::TopicAliasZero)
        } else {
            Err(DecodeError::PropertyValueInvalid { id })
        }
    }

    /// Appends the value; refuses one that the property cannot have.
    pub(crate) fn write(self, id: PropertyId, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.kind() != id.kind() || !self.in_range(id.range()) {
            return Err(EncodeError::PropertyValueInvalid { id });
        }
        match self {
            Self::Byte(value) => out.push(value),
            Self::TwoByte(value) => out.extend_from_slice(&value.to_be_bytes()),
            Self::FourByte(value) => out.extend_from_slice(&value.to_be_bytes()),
            Self::VarInt(value) => put_var_int(out, usize::try_from(value).unwrap_or(usize::MAX))?,
            Self::Binary(bytes) => put_binary(out, bytes)?,
            Self::Utf8(text) => put_string(out, text)?,
            Self::Utf8Pair(name, value) => {
                put_string(out, name)?;
                put_string(out, value)?;
            }
        }
        Ok(())
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Byte(_) => Kind::Byte,
            Self::TwoByte(_) => Kind::TwoByte,
            Self::FourByte(_) => Kind::FourByte,
            Self::VarInt(_) => Kind::VarInt,
            Self::Binary(_) => Kind::Binary,
            Self::Utf8(_) => Kind::Utf8,
            Self::Utf8Pair(..) => Kind::Utf8Pair,
        }
    }

    fn in_range(self, range: Range) -> bool {
        match range {
            Range::Any => true,
            Range::ZeroOrOne => matches!(self, Self::Byte(0 | 1)),
            Range::NonZero => {
                !matches!(self, Self::Byte(0) | Self::TwoByte(0) | Self::FourByte(0) | Self::VarInt(0))
            }
            Range::TopicName => matches!(self, Self::Utf8(topic) if is_topic_name(topic)),
        }
    }
}
