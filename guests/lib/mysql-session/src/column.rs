//! Columns of a result, and their values as JSON (routes reference §4.1).

use mysql_common::Value;
use mysql_common::constants::{ColumnFlags, ColumnType};
use mysql_common::io::ParseBuf;
use serde_json::Value as Json;

use crate::fault::{Fault, broken};

/// Number of the character set of bytes that are no text.
const BINARY: u16 = 63;

/// Digits of a fraction that are not fixed.
const NOT_FIXED: u8 = 31;

/// Column of a result.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Name.
    pub name: String,
    pub(crate) kind: ColumnType,
    pub(crate) flags: ColumnFlags,
    charset: u16,
    length: u32,
    /// Digits of the fraction.
    decimals: u8,
    /// Whether MariaDB marks its text as JSON.
    is_json: bool,
}

impl Column {
    /// Parses a packet. With `is_extended` it has more fields than in MySQL.
    pub(crate) fn parse(packet: &[u8], is_extended: bool) -> Result<Column, Fault> {
        Self::read(packet, is_extended).ok_or_else(|| broken("a column that cannot be read"))
    }

    fn read(packet: &[u8], is_extended: bool) -> Option<Column> {
        let mut rest = ParseBuf(packet);
        // Catalog, database, table and the table's own name.
        for _ in 0..4 {
            rest.checked_eat_lenenc_str()?;
        }
        let name = String::from_utf8_lossy(rest.checked_eat_lenenc_str()?).into_owned();
        rest.checked_eat_lenenc_str()?;
        let is_json = is_extended && says_json(rest.checked_eat_lenenc_str()?);
        rest.checked_eat_u8()?;
        let (charset, length) = (rest.checked_eat_u16_le()?, rest.checked_eat_u32_le()?);
        let kind = ColumnType::try_from(rest.checked_eat_u8()?).ok()?;
        let flags = ColumnFlags::from_bits_truncate(rest.checked_eat_u16_le()?);
        let decimals = rest.checked_eat_u8()?;
        Some(Column { name, kind, flags, charset, length, decimals, is_json })
    }

    /// A value of the column as JSON.
    pub fn json(&self, value: &Value) -> String {
        match value {
            Value::NULL => "null".to_owned(),
            Value::Int(number) => self.whole(*number),
            Value::UInt(number) => number.to_string(),
            Value::Float(number) => Json::from(*number).to_string(),
            Value::Double(number) => Json::from(*number).to_string(),
            Value::Date(year, month, day, hour, minute, second, micros) => {
                let date = format!("{year:04}-{month:02}-{day:02}");
                quoted(&match self.kind {
                    ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE => date,
                    _ => {
                        let time = format!("{hour:02}:{minute:02}:{second:02}");
                        format!("{date}T{time}{}{}", self.fraction(*micros), self.zone())
                    }
                })
            }
            Value::Time(is_negative, days, hours, minutes, seconds, micros) => {
                let sign = if *is_negative { "-" } else { "" };
                let hours = u64::from(*days) * 24 + u64::from(*hours);
                quoted(&format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{}", self.fraction(*micros)))
            }
            Value::Bytes(bytes) => self.text(bytes),
        }
    }

    /// A whole number; one that can be 0 and 1 only by its type is a truth value.
    fn whole(&self, number: i64) -> String {
        match number {
            0 | 1 if self.is_boolean() => (number == 1).to_string(),
            _ => number.to_string(),
        }
    }

    /// `BOOLEAN` is another name for `TINYINT(1)`.
    fn is_boolean(&self) -> bool {
        self.kind == ColumnType::MYSQL_TYPE_TINY && self.length == 1
    }

    /// Returns the zone suffix. Sessions use UTC, so instants are in UTC; other times have no zone.
    fn zone(&self) -> &'static str {
        let is_instant =
            matches!(self.kind, ColumnType::MYSQL_TYPE_TIMESTAMP | ColumnType::MYSQL_TYPE_TIMESTAMP2);
        if is_instant { "Z" } else { "" }
    }

    fn fraction(&self, micros: u32) -> String {
        let digits = usize::from(self.decimals);
        match self.decimals {
            0 => String::new(),
            NOT_FIXED if micros == 0 => String::new(),
            _ => format!(".{micros:06}").chars().take(digits.min(6) + 1).collect(),
        }
    }

    /// Formats a value that the server sends as text.
    fn text(&self, bytes: &[u8]) -> String {
        use ColumnType as Kind;
        let text = std::str::from_utf8(bytes);
        match (self.kind, text) {
            (Kind::MYSQL_TYPE_BIT, _) => self.bits(bytes),
            (Kind::MYSQL_TYPE_DECIMAL | Kind::MYSQL_TYPE_NEWDECIMAL, Ok(text)) => number_of(text),
            (
                Kind::MYSQL_TYPE_TINY
                | Kind::MYSQL_TYPE_SHORT
                | Kind::MYSQL_TYPE_INT24
                | Kind::MYSQL_TYPE_LONG
                | Kind::MYSQL_TYPE_LONGLONG
                | Kind::MYSQL_TYPE_YEAR,
                Ok(text),
            ) => match text.parse() {
                Ok(number) => self.whole(number),
                Err(_) => number_of(text),
            },
            (Kind::MYSQL_TYPE_FLOAT | Kind::MYSQL_TYPE_DOUBLE, Ok(text)) => match text.parse::<f64>() {
                Ok(number) => Json::from(number).to_string(),
                Err(_) => quoted(text),
            },
            (Kind::MYSQL_TYPE_TIMESTAMP | Kind::MYSQL_TYPE_DATETIME, Ok(text)) => {
                quoted(&format!("{}{}", text.replacen(' ', "T", 1), self.zone()))
            }
            (Kind::MYSQL_TYPE_JSON, Ok(text)) => json_or_text(text),
            (_, Ok(text)) if self.is_json => json_or_text(text),
            (Kind::MYSQL_TYPE_DATE | Kind::MYSQL_TYPE_TIME, Ok(text)) => quoted(text),
            (_, Ok(text)) if self.charset != BINARY => quoted(text),
            _ => quoted(&base64(bytes)),
        }
    }

    /// Bits: one of them is a truth value, more are a number.
    fn bits(&self, bytes: &[u8]) -> String {
        let number = bytes.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        if self.length == 1 { (number == 1).to_string() } else { number.to_string() }
    }
}

/// Returns whether MariaDB's metadata of a column marks its text as JSON. It consists of pairs of a
/// byte and a text; byte 1 is the format.
fn says_json(words: &[u8]) -> bool {
    let mut rest = ParseBuf(words);
    while let Some(kind) = rest.checked_eat_u8() {
        match rest.checked_eat_lenenc_str() {
            Some(b"json") if kind == 1 => return true,
            Some(_) => {}
            None => return false,
        }
    }
    false
}

fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

/// The text of a number as JSON writes it: without zeros before it.
fn number_of(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let digits = digits.trim_start_matches('0');
    let digits = match digits.chars().next() {
        Some(first) if first.is_ascii_digit() => digits.to_owned(),
        _ => format!("0{digits}"),
    };
    let number = format!("{sign}{digits}");
    match serde_json::from_str::<Json>(&number) {
        Ok(Json::Number(_)) => number,
        Ok(_) | Err(_) => quoted(text),
    }
}

fn json_or_text(text: &str) -> String {
    match serde_json::from_str::<Json>(text) {
        Ok(json) => json.to_string(),
        Err(_) => quoted(text),
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: ColumnType) -> Column {
        let name = "c".to_owned();
        Column {
            name,
            kind,
            flags: ColumnFlags::empty(),
            charset: 45,
            length: 11,
            decimals: 0,
            is_json: false,
        }
    }

    #[test]
    fn values_become_json_of_their_type() {
        use ColumnType as Kind;
        let bytes = |text: &str| Value::Bytes(text.as_bytes().to_vec());
        let of = column;
        let boolean = Column { length: 1, ..of(Kind::MYSQL_TYPE_TINY) };
        let millis = |kind| Column { decimals: 3, ..of(kind) };
        let binary = Column { charset: BINARY, ..of(Kind::MYSQL_TYPE_BLOB) };
        for (column, value, expected) in [
            (of(Kind::MYSQL_TYPE_LONG), Value::NULL, "null"),
            (of(Kind::MYSQL_TYPE_LONGLONG), Value::UInt(u64::MAX), "18446744073709551615"),
            (of(Kind::MYSQL_TYPE_LONG), bytes("0007"), "7"),
            (of(Kind::MYSQL_TYPE_LONGLONG), bytes("18446744073709551615"), "18446744073709551615"),
            (boolean.clone(), Value::Int(1), "true"),
            (boolean.clone(), bytes("0"), "false"),
            (boolean, Value::Int(5), "5"),
            (of(Kind::MYSQL_TYPE_FLOAT), Value::Float(0.1), "0.1"),
            (of(Kind::MYSQL_TYPE_DOUBLE), Value::Double(21.5), "21.5"),
            (of(Kind::MYSQL_TYPE_DOUBLE), bytes("0.0000001"), "1e-7"),
            (of(Kind::MYSQL_TYPE_NEWDECIMAL), bytes("-0012.50"), "-12.50"),
            (of(Kind::MYSQL_TYPE_NEWDECIMAL), bytes("0.10"), "0.10"),
            (
                of(Kind::MYSQL_TYPE_NEWDECIMAL),
                bytes("12345678901234567890.123456789012345678"),
                "12345678901234567890.123456789012345678",
            ),
            (of(Kind::MYSQL_TYPE_DATE), Value::Date(2026, 1, 5, 0, 0, 0, 0), "\"2026-01-05\""),
            (
                millis(Kind::MYSQL_TYPE_DATETIME),
                Value::Date(2026, 1, 5, 10, 0, 0, 120_000),
                "\"2026-01-05T10:00:00.120\"",
            ),
            (
                of(Kind::MYSQL_TYPE_TIMESTAMP),
                Value::Date(2026, 1, 5, 10, 0, 0, 0),
                "\"2026-01-05T10:00:00Z\"",
            ),
            (of(Kind::MYSQL_TYPE_TIMESTAMP), bytes("2026-01-05 10:00:00"), "\"2026-01-05T10:00:00Z\""),
            (of(Kind::MYSQL_TYPE_DATETIME), Value::Date(0, 0, 0, 0, 0, 0, 0), "\"0000-00-00T00:00:00\""),
            (of(Kind::MYSQL_TYPE_TIME), Value::Time(true, 1, 2, 3, 4, 0), "\"-26:03:04\""),
            (of(Kind::MYSQL_TYPE_VAR_STRING), bytes("a\"b"), "\"a\\\"b\""),
            (of(Kind::MYSQL_TYPE_JSON), bytes("{\"a\": [1]}"), "{\"a\":[1]}"),
            (Column { is_json: true, ..of(Kind::MYSQL_TYPE_BLOB) }, bytes("[1, 2]"), "[1,2]"),
            (of(Kind::MYSQL_TYPE_BLOB), bytes("[1, 2]"), "\"[1, 2]\""),
            (binary.clone(), bytes("abc"), "\"YWJj\""),
            (binary, Value::Bytes(vec![0xff]), "\"/w==\""),
            (Column { length: 1, ..of(Kind::MYSQL_TYPE_BIT) }, Value::Bytes(vec![1]), "true"),
            (Column { length: 16, ..of(Kind::MYSQL_TYPE_BIT) }, Value::Bytes(vec![1, 2]), "258"),
        ] {
            assert_eq!(column.json(&value), expected, "{column:?} {value:?}");
        }
    }

    #[test]
    fn packets_of_columns_are_read() {
        let mut packet = b"\x03def\x01d\x01t\x01t\x01n\x01o".to_vec();
        packet.extend(b"\x06\x01\x04json");
        packet.extend(b"\x0c\x2d\x00\xff\xff\xff\xff\xfc\x10\x00\x00\x00\x00");
        let column = Column::parse(&packet, true).unwrap();
        assert_eq!((&*column.name, column.kind, column.charset), ("n", ColumnType::MYSQL_TYPE_BLOB, 45));
        assert!(column.is_json);
        for length in 0..packet.len() - 2 {
            assert!(Column::parse(&packet[..length], true).is_err(), "{length}");
        }
    }
}
