//! Values of a row as JSON (routes reference §4.1).

use route_sql::time::{date_of, days_before};
use serde_json::Value as Json;

use crate::fault::{Fault, broken};
use crate::types::{Type, token};

/// Value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Whole(i64),
    Float(f64),
    Real(f32),
    /// A number with all of its digits.
    Decimal(String),
    /// A text, and whatever becomes one.
    Text(String),
    Bytes(Vec<u8>),
}

impl Value {
    pub(crate) fn json(&self) -> String {
        use base64::Engine as _;
        match self {
            Value::Null => "null".to_owned(),
            Value::Boolean(is) => is.to_string(),
            Value::Whole(number) => number.to_string(),
            Value::Float(number) => Json::from(*number).to_string(),
            Value::Real(number) => Json::from(*number).to_string(),
            Value::Decimal(text) => text.clone(),
            Value::Text(text) => Json::from(text.as_str()).to_string(),
            Value::Bytes(bytes) => {
                Json::from(base64::engine::general_purpose::STANDARD.encode(bytes)).to_string()
            }
        }
    }
}

/// The value of a type that has these bytes, which are not NULL's.
pub(crate) fn of_bytes(kind: Type, bytes: &[u8]) -> Result<Value, Fault> {
    let wrong = || broken(format!("a value of {} bytes of the type {:#04x}", bytes.len(), kind.token));
    let read = match kind.token {
        token::INT1 | token::INT2 | token::INT4 | token::INT8 | token::INT_N => whole(bytes),
        token::BIT | token::BIT_N => match bytes {
            [is] => Some(Value::Boolean(*is != 0)),
            _ => None,
        },
        token::FLOAT4 | token::FLOAT8 | token::FLOAT_N => float(bytes),
        token::MONEY | token::MONEY4 | token::MONEY_N => money(bytes),
        token::DECIMAL_N | token::NUMERIC_N => decimal(bytes, kind.scale),
        token::DATETIME | token::DATETIME4 | token::DATETIME_N => datetime(bytes),
        token::DATE => date(bytes).map(Value::Text),
        token::TIME => time(bytes, kind.scale).map(|time| Value::Text(time.text(kind.scale))),
        token::DATETIME2 => datetime2(bytes, kind.scale),
        token::DATETIMEOFFSET => datetimeoffset(bytes, kind.scale),
        token::GUID => guid(bytes),
        token::VARBINARY | token::BINARY | token::IMAGE | token::UDT => Some(Value::Bytes(bytes.to_vec())),
        token::VARCHAR
        | token::CHAR
        | token::NVARCHAR
        | token::NCHAR
        | token::TEXT
        | token::NTEXT
        | token::XML => return kind.text(bytes).map(Value::Text),
        _ => None,
    };
    read.ok_or_else(wrong)
}

/// A whole number. That of one byte has no sign.
fn whole(bytes: &[u8]) -> Option<Value> {
    Some(Value::Whole(match bytes.len() {
        1 => i64::from(*bytes.first()?),
        2 => i16::from_le_bytes(bytes.try_into().ok()?).into(),
        4 => i32::from_le_bytes(bytes.try_into().ok()?).into(),
        8 => i64::from_le_bytes(bytes.try_into().ok()?),
        _ => return None,
    }))
}

fn float(bytes: &[u8]) -> Option<Value> {
    match bytes.len() {
        4 => Some(Value::Real(f32::from_le_bytes(bytes.try_into().ok()?))),
        8 => Some(Value::Float(f64::from_le_bytes(bytes.try_into().ok()?))),
        _ => None,
    }
}

/// Ten-thousandths; of eight bytes the upper four come first.
fn money(bytes: &[u8]) -> Option<Value> {
    let amount = match bytes.split_at_checked(4)? {
        (low, []) => i64::from(i32::from_le_bytes(low.try_into().ok()?)),
        (high, low) => {
            let high = i64::from(i32::from_le_bytes(high.try_into().ok()?));
            (high << 32) | i64::from(u32::from_le_bytes(low.try_into().ok()?))
        }
    };
    Some(Value::Decimal(with_point(amount < 0, amount.unsigned_abs().into(), 4)))
}

/// A sign, 1 for what is not negative, and the digits as one number.
fn decimal(bytes: &[u8], scale: u8) -> Option<Value> {
    let (sign, magnitude) = bytes.split_first()?;
    if !matches!(magnitude.len(), 4 | 8 | 12 | 16) || scale > 38 {
        return None;
    }
    let number = magnitude.iter().rev().fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
    Some(Value::Decimal(with_point(*sign == 0, number, scale)))
}

fn with_point(is_negative: bool, number: u128, scale: u8) -> String {
    let sign = if is_negative && number > 0 { "-" } else { "" };
    let scale = usize::from(scale);
    let digits = format!("{number:0width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Returns the days from 1 March of the year 0, the epoch of the library, to 1 January of a year.
fn first_day(year: i64) -> i64 {
    days_before(year, 1, 1)
}

fn date_text(days: i64) -> Option<String> {
    let (year, month, day) = date_of(days)?;
    Some(format!("{year:04}-{month:02}-{day:02}"))
}

/// Time of a day, in parts of a second.
struct Clock {
    seconds: u64,
    fraction: u64,
}

impl Clock {
    fn new(parts: u64, scale: u8) -> Option<Clock> {
        let second = 10_u64.pow(u32::from(scale));
        let clock = Clock { seconds: parts / second, fraction: parts % second };
        (clock.seconds < 86_400).then_some(clock)
    }

    fn text(&self, digits: u8) -> String {
        let (hours, minutes, seconds) = (self.seconds / 3600, self.seconds / 60 % 60, self.seconds % 60);
        let width = usize::from(digits);
        let fraction = if digits == 0 { String::new() } else { format!(".{:0width$}", self.fraction) };
        format!("{hours:02}:{minutes:02}:{seconds:02}{fraction}")
    }
}

/// Days since 1900 and three-hundredths of a second, or minutes.
fn datetime(bytes: &[u8]) -> Option<Value> {
    let (days, clock, digits) = match bytes.len() {
        4 => {
            let (days, minutes) = bytes.split_at(2);
            let days = i64::from(u16::from_le_bytes(days.try_into().ok()?));
            (days, Clock::new(u64::from(u16::from_le_bytes(minutes.try_into().ok()?)) * 60, 0)?, 0)
        }
        8 => {
            let (days, parts) = bytes.split_at(4);
            let parts = u64::from(u32::from_le_bytes(parts.try_into().ok()?));
            let days = i64::from(i32::from_le_bytes(days.try_into().ok()?));
            // Rounded to thousandths, as the server shows it.
            (days, Clock::new((parts * 10 + 1) / 3, 3)?, 3)
        }
        _ => return None,
    };
    let date = date_text(first_day(1900) + days)?;
    Some(Value::Text(format!("{date}T{}", clock.text(digits))))
}

fn date(bytes: &[u8]) -> Option<String> {
    let &[a, b, c] = bytes else { return None };
    date_text(first_day(1) + i64::from(u32::from_le_bytes([a, b, c, 0])))
}

fn time(bytes: &[u8], scale: u8) -> Option<Clock> {
    if !(3..=5).contains(&bytes.len()) || scale > 7 {
        return None;
    }
    Clock::new(bytes.iter().rev().fold(0, |parts, byte| (parts << 8) | u64::from(*byte)), scale)
}

fn datetime2(bytes: &[u8], scale: u8) -> Option<Value> {
    let (clock, day) = bytes.split_at_checked(bytes.len().checked_sub(3)?)?;
    Some(Value::Text(format!("{}T{}", date(day)?, time(clock, scale)?.text(scale))))
}

/// The instant in UTC, and the minutes of its zone.
fn datetimeoffset(bytes: &[u8], scale: u8) -> Option<Value> {
    let (bytes, offset) = bytes.split_at_checked(bytes.len().checked_sub(2)?)?;
    let offset = i64::from(i16::from_le_bytes(offset.try_into().ok()?));
    let (clock, day) = bytes.split_at_checked(bytes.len().checked_sub(3)?)?;
    let &[a, b, c] = day else { return None };
    let clock = time(clock, scale)?;
    let days = first_day(1) + i64::from(u32::from_le_bytes([a, b, c, 0]));
    let local = days * 86_400 + i64::try_from(clock.seconds).ok()? + offset * 60;
    let seconds = u64::try_from(local.rem_euclid(86_400)).ok()?;
    let shown = Clock { seconds, fraction: clock.fraction };
    let date = date_text(local.div_euclid(86_400))?;
    let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs());
    let zone = format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60);
    Some(Value::Text(format!("{date}T{}{zone}", shown.text(scale))))
}

/// As the server shows it: of the first three groups the bytes are turned round.
fn guid(bytes: &[u8]) -> Option<Value> {
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::new();
    for (place, from) in ORDER.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{:02X}", bytes.get(*from)?));
    }
    Some(Value::Text(text))
}
