//! Columns of a result: their types as the server describes them (\[MS-TDS\] §2.2.5.4), and the
//! places of their values in a row.

use crate::code_page::Collation;
use crate::fault::{Fault, broken};
use crate::limits::{COLUMNS_MAX, VALUE_BYTES_MAX};
use crate::source::Source;
use crate::types::{Type, token};
use crate::value::{self, Value};

/// Length of a type whose values come in pieces (`varchar(max)` and its like).
const IN_PIECES: u32 = 0xffff;

/// Column of a result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Type,
}

/// Reads the column definitions of a result.
pub(crate) fn read_columns(source: &mut impl Source) -> Result<Vec<Column>, Fault> {
    let count = source.short()?;
    if count == u16::MAX {
        return Ok(Vec::new());
    }
    if count > COLUMNS_MAX {
        return Err(broken("a number of columns that is none"));
    }
    let mut columns = Vec::new();
    for place in 1..=count {
        // Type of the user, and flags.
        source.take(6)?;
        let kind = Type::read(source)?;
        if matches!(kind.token, token::TEXT | token::NTEXT | token::IMAGE) {
            for _ in 0..source.byte()? {
                source.text()?;
            }
        }
        let name = source.short_text()?;
        let name = if name.is_empty() { format!("column{place}") } else { name };
        columns.push(Column { name, kind });
    }
    Ok(columns)
}

impl Type {
    pub(crate) fn read(source: &mut impl Source) -> Result<Type, Fault> {
        let mut kind = Type { token: source.byte()?, ..Type::default() };
        match kind.token {
            token::NULL | token::DATE => {}
            known if fixed_length(known).is_some() => {}
            token::GUID
            | token::INT_N
            | token::BIT_N
            | token::FLOAT_N
            | token::MONEY_N
            | token::DATETIME_N => kind.length = source.byte()?.into(),
            token::DECIMAL_N | token::NUMERIC_N => {
                kind.length = source.byte()?.into();
                source.byte()?;
                kind.scale = source.byte()?;
            }
            token::TIME | token::DATETIME2 | token::DATETIMEOFFSET => kind.scale = source.byte()?,
            token::VARBINARY | token::BINARY => kind.length = source.short()?.into(),
            token::VARCHAR | token::CHAR | token::NVARCHAR | token::NCHAR => {
                kind.length = source.short()?.into();
                kind.collation = Collation::read(source)?;
            }
            token::IMAGE | token::VARIANT => kind.length = source.long()?,
            token::TEXT | token::NTEXT => {
                kind.length = source.long()?;
                kind.collation = Collation::read(source)?;
            }
            token::XML => {
                kind.length = IN_PIECES;
                if source.byte()? != 0 {
                    source.short_text()?;
                    source.short_text()?;
                    source.text()?;
                }
            }
            token::UDT => {
                kind.length = IN_PIECES;
                source.short()?;
                for _ in 0..3 {
                    source.short_text()?;
                }
                source.text()?;
            }
            unknown => return Err(broken(format!("a column of the type {unknown:#04x}"))),
        }
        Ok(kind)
    }

    /// Reads the value of a column in a row.
    pub(crate) fn value(self, source: &mut impl Source) -> Result<Value, Fault> {
        if let Some(length) = fixed_length(self.token) {
            return value::of_bytes(self, source.take(length)?);
        }
        match self.token {
            token::NULL => Ok(Value::Null),
            token::VARIANT => variant(source),
            token::TEXT | token::NTEXT | token::IMAGE => {
                let pointer = source.byte()?;
                if pointer == 0 {
                    return Ok(Value::Null);
                }
                // The pointer, and a time.
                source.take(usize::from(pointer) + 8)?;
                let length = source.long()?;
                self.long(source, u64::from(length))
            }
            token::VARBINARY
            | token::VARCHAR
            | token::NVARCHAR
            | token::BINARY
            | token::CHAR
            | token::NCHAR
            | token::XML
            | token::UDT => match self.length {
                IN_PIECES => match pieces(source)? {
                    Some(bytes) => value::of_bytes(self, &bytes),
                    None => Ok(Value::Null),
                },
                _ => match source.short()? {
                    u16::MAX => Ok(Value::Null),
                    length => self.long(source, length.into()),
                },
            },
            _ => match source.byte()? {
                0 => Ok(Value::Null),
                length => value::of_bytes(self, source.take(length.into())?),
            },
        }
    }

    fn long(self, source: &mut impl Source, length: u64) -> Result<Value, Fault> {
        let length = usize::try_from(length).ok().filter(|length| *length <= VALUE_BYTES_MAX);
        value::of_bytes(self, source.take(length.ok_or(Fault::Oversize)?)?)
    }
}

/// Bytes of the values of a type that all have the same.
fn fixed_length(token: u8) -> Option<usize> {
    match token {
        token::INT1 | token::BIT => Some(1),
        token::INT2 => Some(2),
        token::INT4 | token::DATETIME4 | token::FLOAT4 | token::MONEY4 => Some(4),
        token::INT8 | token::MONEY | token::DATETIME | token::FLOAT8 => Some(8),
        _ => None,
    }
}

/// A value that comes in pieces; `None` where there is none.
fn pieces(source: &mut impl Source) -> Result<Option<Vec<u8>>, Fault> {
    const NONE: u64 = u64::MAX;
    if source.long_long()? == NONE {
        return Ok(None);
    }
    let mut whole = Vec::new();
    loop {
        let length = usize::try_from(source.long()?).map_err(broken)?;
        if length == 0 {
            return Ok(Some(whole));
        }
        if length > VALUE_BYTES_MAX - whole.len() {
            return Err(Fault::Oversize);
        }
        whole.extend_from_slice(source.take(length)?);
    }
}

/// A `sql_variant`: the type of this value and what there is to say of it, then the value.
fn variant(source: &mut impl Source) -> Result<Value, Fault> {
    let length = usize::try_from(source.long()?).map_err(broken)?;
    if length == 0 {
        return Ok(Value::Null);
    }
    let mut rest = length.checked_sub(2).ok_or_else(|| broken("a variant without a type"))?;
    let (token, properties) = (source.byte()?, usize::from(source.byte()?));
    rest = rest.checked_sub(properties).ok_or_else(|| broken("a variant without a value"))?;
    let mut kind = Type { token, ..Type::default() };
    let said = source.take(properties)?;
    match (token, said) {
        (token::TIME | token::DATETIME2 | token::DATETIMEOFFSET, [scale]) => kind.scale = *scale,
        (token::DECIMAL_N | token::NUMERIC_N, [_, scale]) => kind.scale = *scale,
        (token::VARCHAR | token::CHAR | token::NVARCHAR | token::NCHAR, [a, b, c, d, e, ..]) => {
            kind.collation = Collation([*a, *b, *c, *d, *e]);
        }
        _ => {}
    }
    if rest > VALUE_BYTES_MAX {
        return Err(Fault::Oversize);
    }
    value::of_bytes(kind, source.take(rest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value behind a type, in one text.
    fn read(mut bytes: &[u8]) -> Result<String, Fault> {
        let source = &mut bytes;
        let kind = Type::read(source)?;
        let value = kind.value(source)?.json();
        assert_eq!(source.len(), 0, "{value}");
        Ok(value)
    }

    #[test]
    fn values_of_each_type_are_read() {
        let hour = 36_000_u32 * 10_000;
        let day = 739_620_u32.to_le_bytes();
        let time = &(u64::from(hour) * 1_000 + 1_250_000).to_le_bytes()[..5];
        for (bytes, expected) in [
            (&b"\x1f"[..], "null"),
            (b"\x30\xff", "255"),
            (b"\x32\x01", "true"),
            (b"\x34\xff\xff", "-1"),
            (b"\x38\xfe\xff\xff\xff", "-2"),
            (b"\x7f\0\0\0\0\0\0\0\x80", "-9223372036854775808"),
            (b"\x26\x08\0", "null"),
            (b"\x26\x08\x01\x07", "7"),
            (b"\x68\x01\x01\0", "false"),
            (b"\x3b\xcd\xcc\xcc\x3d", "0.1"),
            (b"\x6d\x08\x08\0\0\0\0\0\x80\x35\x40", "21.5"),
            (b"\x6a\x05\x09\x02\x05\0\xd2\x04\0\0", "-12.34"),
            (b"\x6c\x11\x26\x14\x09\x01\x01\0\0\0\0\0\0\0", "0.00000000000000000001"),
            (b"\x6a\x05\x09\0\x05\x01\x07\0\0\0", "7"),
            (b"\x3c\0\0\0\0\x39\x30\0\0", "1.2345"),
            (b"\x7a\xff\xff\xff\xff", "-0.0001"),
            (b"\x6e\x08\x08\xff\xff\xff\x7f\xff\xff\xff\xff", "922337203685477.5807"),
            (
                b"\x24\x10\x10\x33\x22\x11\0\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
                "\"00112233-4455-6677-8899-AABBCCDDEEFF\"",
            ),
            (b"\x3d\0\0\0\0\x01\0\0\0", "\"1900-01-01T00:00:00.003\""),
            (b"\x3d\xff\xff\xff\xff\0\0\0\0", "\"1899-12-31T00:00:00.000\""),
            (b"\x6f\x04\x04\x01\0\x3d\0", "\"1900-01-02T01:01:00\""),
            (&[b"\x28\x03", &day[..3]].concat(), "\"2026-01-05\""),
            (b"\x28\x03\0\0\0", "\"0001-01-01\""),
            (&[b"\x29\x07\x05", time].concat(), "\"10:00:00.1250000\""),
            (b"\x29\0\x03\x7f\x51\x01", "\"23:59:59\""),
            (&[b"\x2a\x07\x08", time, &day[..3]].concat(), "\"2026-01-05T10:00:00.1250000\""),
            (
                &[b"\x2b\x07\x0a", time, &day[..3], b"\x78\0"].concat(),
                "\"2026-01-05T12:00:00.1250000+02:00\"",
            ),
            (
                &[b"\x2b\x07\x0a", time, &day[..3], b"\xa8\xfd"].concat(),
                "\"2026-01-05T00:00:00.1250000-10:00\"",
            ),
            (b"\xa5\x0a\0\x02\0\xff\0", "\"/wA=\""),
            (b"\xa5\xff\xff\x03\0\0\0\0\0\0\0\x02\0\0\0ab\x01\0\0\0c\0\0\0\0", "\"YWJj\""),
            (b"\xa5\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "null"),
            (b"\xa7\x0a\0\x09\x04\xd0\0\x34\x02\0\xfc\"", "\"\u{fc}\\\"\""),
            (b"\xe7\x0a\0\x09\x04\xd0\0\x34\x04\0\x3d\xd8\0\xde", "\"\u{1f600}\""),
            (b"\xe7\x0a\0\x09\x04\xd0\0\x34\xff\xff", "null"),
            (b"\xe7\xff\xff\x09\x04\xd0\0\x34\xfe\xff\xff\xff\xff\xff\xff\xff\x02\0\0\0a\0\0\0\0\0", "\"a\""),
            (b"\xf1\0\x06\0\0\0\0\0\0\0\x06\0\0\0\xff\xfe<\0/\0\0\0\0\0", "\"</\""),
            (b"\x23\xff\xff\xff\x7f\x09\x04\xd0\0\x34\0", "null"),
            (b"\x23\xff\xff\xff\x7f\x09\x04\xd0\0\x34\x02xx12345678\x01\0\0\0a", "\"a\""),
            (b"\x62\x49\x1f\0\0\x06\0\0\0\x38\0\x07\0\0\0", "7"),
            (b"\x62\x49\x1f\0\0\0\0\0\0", "null"),
            (b"\x62\x49\x1f\0\0\x0b\0\0\0\xe7\x07\x09\x04\xd0\0\x34\x40\x1fa\0", "\"a\""),
            (b"\x62\x49\x1f\0\0\x09\0\0\0\x6c\x02\x09\x01\x01\x07\0\0\0", "0.7"),
        ] {
            assert_eq!(read(bytes).as_deref(), Ok(expected), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_value_is_told() {
        for bytes in [
            &b"\x99"[..],
            b"\x26\x08\x03\x01\x02\x03",
            b"\x24\x10\x02\x01\x02",
            b"\x29\x09\x01\0",
            b"\x29\x07\x05\xff\xff\xff\xff\xff",
            b"\x28\x03\xff\xff\xff",
            b"\x6a\x05\x09\x02\x03\0\x01\x02",
            b"\x62\x49\x1f\0\0\x01\0\0\0\x38",
            b"\xe7\x0a\0\x09\x04",
        ] {
            assert!(matches!(read(bytes), Err(Fault::Broken(_))), "{bytes:?}");
        }
        let long = b"\xa5\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f";
        assert_eq!(read(long), Err(Fault::Oversize));
        let two = b"\xa7\x0a\0\x11\x04\0\0\0\x02\0\x82\xa0";
        assert!(matches!(read(two), Err(Fault::Rejected(reason)) if reason.contains("code page 932")));
    }
}
