//! Bound values: the type of each parameter, and its bytes (\[MS-TDS\] §2.2.5.4, §2.2.6.6).
//!
//! A number has the type that it would have in the text of a statement, as far as the server can
//! compute with that type. A text is Unicode.

use route_sql::Parameter;
use route_sql::time::{Moment, with_zone};

use crate::code_page::Collation;
use crate::fault::Fault;
use crate::source::as_utf16;
use crate::types::token;

/// Characters of a text, and bytes, beyond which a type is one of `max`.
const SHORT_CHARACTERS_MAX: usize = 4_000;
const SHORT_BYTES_MAX: usize = 8_000;

/// Digits of a `decimal`.
const DIGITS_MAX: usize = 38;

/// Type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Bit,
    Int,
    BigInt,
    /// With so many digits before the point and behind it.
    Decimal(usize, usize),
    Float,
    Text {
        is_long: bool,
    },
    Bytes {
        is_long: bool,
    },
}

/// A value with the type that it has by itself; `None` of NULL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bound {
    pub(crate) kind: Option<Kind>,
    pub(crate) value: Parameter,
}

impl Bound {
    /// Converts a value for a column of this type, which is empty if unknown.
    pub(crate) fn new(parameter: &Parameter, column: &str) -> Result<Bound, Fault> {
        let value = fitting(parameter, column)?;
        let kind = match &value {
            Parameter::Null => None,
            Parameter::Boolean(_) => Some(Kind::Bit),
            Parameter::Number(text) if ["float", "real"].contains(&column) => Some(finite(text)?),
            Parameter::Number(text) => Some(of_number(text)?),
            Parameter::Text(text) => Some(Kind::Text { is_long: characters(text) > SHORT_CHARACTERS_MAX }),
            Parameter::Bytes(bytes) => Some(Kind::Bytes { is_long: bytes.len() > SHORT_BYTES_MAX }),
        };
        Ok(Bound { kind, value })
    }

    /// About how many bytes it has in a message.
    pub(crate) fn bytes(&self) -> usize {
        20 + match &self.value {
            Parameter::Null | Parameter::Boolean(_) | Parameter::Number(_) => 16,
            Parameter::Text(text) => 2 * text.len(),
            Parameter::Bytes(bytes) => bytes.len(),
        }
    }
}

/// Converts a value for its column, if the server would not convert it or would convert it wrongly.
fn fitting(parameter: &Parameter, column: &str) -> Result<Parameter, Fault> {
    Ok(match (parameter, column) {
        (Parameter::Text(text), "datetime2") => {
            utc(text, 6).map_or_else(|| parameter.clone(), Parameter::Text)
        }
        (Parameter::Text(text), "datetime" | "smalldatetime") => {
            utc(text, 3).map_or_else(|| parameter.clone(), Parameter::Text)
        }
        (Parameter::Text(text), "date") => match with_zone(text) {
            Some(Moment { date: (year, month, day), .. }) => {
                Parameter::Text(format!("{year:04}-{month:02}-{day:02}"))
            }
            None => parameter.clone(),
        },
        (Parameter::Text(text), "binary" | "varbinary" | "image") => {
            Parameter::Bytes(text.as_bytes().to_vec())
        }
        (Parameter::Number(text), "char" | "varchar" | "nchar" | "nvarchar" | "text" | "ntext") => {
            Parameter::Text(text.clone())
        }
        (Parameter::Boolean(is), "char" | "varchar" | "nchar" | "nvarchar" | "text" | "ntext") => {
            Parameter::Text(is.to_string())
        }
        (Parameter::Bytes(_), "char" | "varchar" | "nchar" | "nvarchar" | "text" | "ntext" | "xml") => {
            return Err(Fault::Rejected(format!("the payload is not UTF-8, and the column is of {column}")));
        }
        (other, _) => other.clone(),
    })
}

/// The same instant in UTC of a text with a zone.
fn utc(text: &str, digits: usize) -> Option<String> {
    let moment = with_zone(text)?;
    let ((year, month, day), (hour, minute, second)) = (moment.date, moment.time);
    let fraction: String = format!("{:06}", moment.micros).chars().take(digits).collect();
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction}"))
}

/// Values whose times have no zone any more; `None` where none of them has one.
pub(crate) fn without_zones(values: &[Parameter]) -> Option<Vec<Parameter>> {
    let mut is_other = false;
    let changed = values.iter().map(|value| {
        let text = match value {
            Parameter::Text(text) => utc(text, 3),
            Parameter::Null | Parameter::Bytes(_) | Parameter::Number(_) | Parameter::Boolean(_) => None,
        };
        is_other |= text.is_some();
        text.map_or_else(|| value.clone(), Parameter::Text)
    });
    let changed = changed.collect();
    is_other.then_some(changed)
}

fn characters(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The type of a number: as in the text of a statement, but for whole ones that are a `bigint`.
fn of_number(text: &str) -> Result<Kind, Fault> {
    if text.parse::<i32>().is_ok() {
        return Ok(Kind::Int);
    }
    if text.parse::<i64>().is_ok() {
        return Ok(Kind::BigInt);
    }
    let digits = text.trim_start_matches(['-', '+']);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let whole = whole.trim_start_matches('0').len().max(1);
    if is_digits && whole + fraction.len() <= DIGITS_MAX {
        return Ok(Kind::Decimal(whole, fraction.len()));
    }
    finite(text)
}

fn finite(text: &str) -> Result<Kind, Fault> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Kind::Float),
        Ok(_) | Err(_) => {
            Err(Fault::Rejected(format!("{} is larger than any number of SQL Server", shown(text))))
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

impl Kind {
    /// The type that takes values of both; `None` where none takes them as they are.
    pub(crate) fn with(self, other: Kind) -> Option<Kind> {
        use Kind::{BigInt, Bit, Bytes, Decimal, Float, Int, Text};
        Some(match (self, other) {
            (Bit, Bit) => Bit,
            (Float, Float) => Float,
            (Int, Int) => Int,
            (Int | BigInt, Int | BigInt) => BigInt,
            (Text { is_long: one }, Text { is_long: other }) => Text { is_long: one || other },
            (Bytes { is_long: one }, Bytes { is_long: other }) => Bytes { is_long: one || other },
            (Int | BigInt | Decimal(..), Int | BigInt | Decimal(..)) => {
                let ((one, point), (other, other_point)) = (self.digits(), other.digits());
                let (whole, fraction) = (one.max(other), point.max(other_point));
                if whole + fraction > DIGITS_MAX {
                    return None;
                }
                Decimal(whole, fraction)
            }
            (Bit | Float | Text { .. } | Bytes { .. } | Int | BigInt | Decimal(..), _) => return None,
        })
    }

    /// Digits of a number before the point and behind it.
    fn digits(self) -> (usize, usize) {
        match self {
            Kind::Int => (10, 0),
            Kind::BigInt => (19, 0),
            Kind::Decimal(whole, fraction) => (whole, fraction),
            Kind::Bit | Kind::Float | Kind::Text { .. } | Kind::Bytes { .. } => (0, 0),
        }
    }

    /// Returns the precision and scale of a `decimal`. The precision uses all bytes of its size, so
    /// that few plans are made.
    fn precision(self) -> (usize, usize) {
        let (whole, fraction) = self.digits();
        let precision = [9, 19, 28].into_iter().find(|precision| whole + fraction <= *precision);
        (precision.unwrap_or(DIGITS_MAX), fraction)
    }

    /// The type's name.
    pub(crate) fn declaration(self) -> String {
        match self {
            Kind::Bit => "bit".to_owned(),
            Kind::Int => "int".to_owned(),
            Kind::BigInt => "bigint".to_owned(),
            Kind::Decimal(..) => {
                let (precision, scale) = self.precision();
                format!("decimal({precision},{scale})")
            }
            Kind::Float => "float".to_owned(),
            Kind::Text { is_long: false } => "nvarchar(4000)".to_owned(),
            Kind::Text { is_long: true } => "nvarchar(max)".to_owned(),
            Kind::Bytes { is_long: false } => "varbinary(8000)".to_owned(),
            Kind::Bytes { is_long: true } => "varbinary(max)".to_owned(),
        }
    }

    /// Writes the type and a value of it.
    pub(crate) fn write(self, value: &Parameter, collation: Collation, to: &mut Vec<u8>) {
        match self {
            Kind::Bit => to.extend([token::BIT_N, 1]),
            Kind::Int => to.extend([token::INT_N, 4]),
            Kind::BigInt => to.extend([token::INT_N, 8]),
            Kind::Float => to.extend([token::FLOAT_N, 8]),
            Kind::Decimal(..) => {
                let (precision, scale) = self.precision();
                let digits = |digits: usize| u8::try_from(digits).unwrap_or(u8::MAX);
                to.extend([token::DECIMAL_N, 17, digits(precision), digits(scale)]);
            }
            Kind::Text { is_long } => {
                to.push(token::NVARCHAR);
                to.extend(if is_long { [0xff, 0xff] } else { [0x40, 0x1f] });
                to.extend(collation.0);
            }
            Kind::Bytes { is_long } => {
                to.push(token::VARBINARY);
                to.extend(if is_long { [0xff, 0xff] } else { [0x40, 0x1f] });
            }
        }
        let is_long = matches!(self, Kind::Text { is_long: true } | Kind::Bytes { is_long: true });
        match (self, value) {
            (Kind::Bit, Parameter::Boolean(is)) => to.extend([1, u8::from(*is)]),
            (Kind::Int, Parameter::Number(text)) => {
                to.push(4);
                to.extend(text.parse::<i32>().unwrap_or_default().to_le_bytes());
            }
            (Kind::BigInt, Parameter::Number(text)) => {
                to.push(8);
                to.extend(text.parse::<i64>().unwrap_or_default().to_le_bytes());
            }
            (Kind::Float, Parameter::Number(text)) => {
                to.push(8);
                to.extend(text.parse::<f64>().unwrap_or_default().to_le_bytes());
            }
            (Kind::Decimal(_, scale), Parameter::Number(text)) => decimal(text, scale, to),
            (Kind::Text { .. }, Parameter::Text(text)) => sized(&as_utf16(text), is_long, to),
            (Kind::Bytes { .. }, Parameter::Bytes(bytes)) => sized(bytes, is_long, to),
            // NULL, and nothing else: a kind is of its value.
            (Kind::Text { .. } | Kind::Bytes { .. }, _) if is_long => to.extend([0xff; 8]),
            (Kind::Text { .. } | Kind::Bytes { .. }, _) => to.extend([0xff, 0xff]),
            (_, _) => to.push(0),
        }
    }
}

/// The digits of a number without a point, as many of them behind it as the type has.
fn decimal(text: &str, scale: usize, to: &mut Vec<u8>) {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.trim_start_matches('+')),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number = [whole, fraction].concat().bytes().fold(0_u128, |number, digit| {
        number.wrapping_mul(10).wrapping_add(u128::from(digit.wrapping_sub(b'0')))
    });
    let missing = u32::try_from(scale.saturating_sub(fraction.len())).unwrap_or_default();
    let number = number.wrapping_mul(10_u128.wrapping_pow(missing));
    to.extend([17, u8::from(!is_negative)]);
    to.extend(number.to_le_bytes());
}

/// Bytes behind their length, of a type of `max` in one piece.
fn sized(bytes: &[u8], is_long: bool, to: &mut Vec<u8>) {
    if !is_long {
        to.extend(u16::try_from(bytes.len()).unwrap_or_default().to_le_bytes());
        to.extend(bytes);
        return;
    }
    to.extend(u64::try_from(bytes.len()).unwrap_or_default().to_le_bytes());
    if !bytes.is_empty() {
        to.extend(u32::try_from(bytes.len()).unwrap_or_default().to_le_bytes());
        to.extend(bytes);
    }
    to.extend([0; 4]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Type;

    fn text(text: &str) -> Parameter {
        Parameter::Text(text.to_owned())
    }

    fn number(text: &str) -> Parameter {
        Parameter::Number(text.to_owned())
    }

    /// A value's type, and the value as it would be read again.
    fn written(parameter: &Parameter, column: &str) -> String {
        let bound = Bound::new(parameter, column).unwrap();
        let Some(kind) = bound.kind else { return "NULL".to_owned() };
        let mut bytes = Vec::new();
        kind.write(&bound.value, Collation([9, 4, 0xd0, 0, 0x34]), &mut bytes);
        let mut source = bytes.as_slice();
        let value = Type::read(&mut source).unwrap().value(&mut source).unwrap().json();
        assert_eq!(source.len(), 0);
        format!("{} {value}", kind.declaration())
    }

    #[test]
    fn values_have_a_type_and_keep_what_they_are() {
        let iso = "2026-01-05T12:00:00.1234567+02:00";
        for (parameter, column, expected) in [
            (Parameter::Null, "int", "NULL"),
            (Parameter::Boolean(true), "", "bit true"),
            (Parameter::Boolean(true), "nvarchar", "nvarchar(4000) \"true\""),
            (number("-5"), "", "int -5"),
            (number("3000000000"), "", "bigint 3000000000"),
            (number("21.5"), "", "decimal(9,1) 21.5"),
            (number("-.50"), "", "decimal(9,2) -0.50"),
            (number("9223372036854775808"), "", "decimal(19,0) 9223372036854775808"),
            (number("0.10000000000000000001"), "", "decimal(28,20) 0.10000000000000000001"),
            (
                number("12345678901234567890123456789012345678"),
                "",
                "decimal(38,0) 12345678901234567890123456789012345678",
            ),
            (number("123456789012345678901234567890123456789"), "", "float 1.2345678901234568e+38"),
            (number("1e-7"), "", "float 1e-7"),
            (number("21.5"), "float", "float 21.5"),
            (number("7"), "real", "float 7.0"),
            (number("0.10"), "varchar", "nvarchar(4000) \"0.10\""),
            (text("it's ü 😀"), "", "nvarchar(4000) \"it's ü 😀\""),
            (text(""), "", "nvarchar(4000) \"\""),
            (text("ab"), "varbinary", "varbinary(8000) \"YWI=\""),
            (Parameter::Bytes(vec![0xff]), "", "varbinary(8000) \"/w==\""),
            (text(iso), "", "nvarchar(4000) \"2026-01-05T12:00:00.1234567+02:00\""),
            (text(iso), "datetimeoffset", "nvarchar(4000) \"2026-01-05T12:00:00.1234567+02:00\""),
            (text(iso), "datetime2", "nvarchar(4000) \"2026-01-05T10:00:00.123456\""),
            (text(iso), "datetime", "nvarchar(4000) \"2026-01-05T10:00:00.123\""),
            (text(iso), "date", "nvarchar(4000) \"2026-01-05\""),
            (text("today"), "date", "nvarchar(4000) \"today\""),
        ] {
            assert_eq!(written(&parameter, column), expected, "{parameter:?} {column}");
        }
        let long = "x".repeat(4_001);
        assert_eq!(written(&text(&long), ""), format!("nvarchar(max) {long:?}"));
        assert!(Bound::new(&number("1e400"), "").is_err());
        assert!(Bound::new(&Parameter::Bytes(vec![0xff]), "nvarchar").is_err());
        assert_eq!(without_zones(&[number("1"), text(iso)]).unwrap()[1], text("2026-01-05T10:00:00.123"));
        assert_eq!(without_zones(&[number("1"), text("x")]), None);
    }

    #[test]
    fn values_of_several_rows_have_one_type() {
        let decimal = |whole, fraction| Kind::Decimal(whole, fraction);
        for (one, other, expected) in [
            (Kind::Int, Kind::Int, Some(Kind::Int)),
            (Kind::Int, Kind::BigInt, Some(Kind::BigInt)),
            (Kind::Int, decimal(2, 1), Some(decimal(10, 1))),
            (decimal(5, 0), decimal(1, 30), Some(decimal(5, 30))),
            (Kind::BigInt, decimal(1, 30), None),
            (Kind::Int, Kind::Float, None),
            (Kind::Int, Kind::Text { is_long: false }, None),
            (Kind::Text { is_long: false }, Kind::Text { is_long: true }, Some(Kind::Text { is_long: true })),
            (Kind::Bit, Kind::Int, None),
        ] {
            assert_eq!(one.with(other), expected, "{one:?} {other:?}");
            assert_eq!(other.with(one), expected, "{other:?} {one:?}");
        }
        // A value that is one of a wider type has that one's digits.
        let mut bytes = Vec::new();
        decimal(10, 2).write(&number("5"), Collation::default(), &mut bytes);
        let mut source = bytes.as_slice();
        assert_eq!(Type::read(&mut source).unwrap().value(&mut source).unwrap().json(), "5.00");
    }
}
