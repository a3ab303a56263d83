//! Values of the reference evaluator, written from §4 of the language reference alone.

use std::fmt::Write as _;

use super::json::Json;

/// Reason why the evaluation of a program stops.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stop {
    /// The run ends with this error.
    Failed(&'static str),
    /// The reference does not say what happens.
    Unspecified(&'static str),
}

pub(super) type Answer<T> = Result<T, Stop>;

/// A value of a run (§4).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Empty,
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    /// `StrData`, of JSON or not, or `StrLit`. `raw` is there when the bytes that it was read from
    /// are no UTF-8: they pass on as they are (`docs/decisions`).
    Text {
        text: String,
        origin: Origin,
        raw: Option<Vec<u8>>,
    },
    Json(Json),
    Bytes(Vec<u8>),
    /// Milliseconds since 1970.
    Time(i64),
}

/// Origin of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Origin {
    Literal,
    Data,
    /// A string of JSON, which counts as data and is a string again in JSON (`docs/decisions`).
    Json,
}

/// A number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Double(f64),
}

impl Number {
    pub(super) fn as_double(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Double(value) => value,
        }
    }

    /// A time in seconds, with a fraction where it has one (`docs/decisions`).
    pub(super) fn of_time(ms: i64) -> Number {
        if ms % 1000 == 0 { Number::Int(ms / 1000) } else { Number::Double(ms as f64 / 1000.0) }
    }

    pub(super) fn is_zero(self) -> bool {
        self.as_double() == 0.0
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Value {
        match number {
            Number::Int(value) => Value::Int(value),
            Number::Double(value) => Value::Double(value),
        }
    }
}

impl Value {
    pub(super) fn data(text: impl Into<String>) -> Value {
        Value::Text { text: text.into(), origin: Origin::Data, raw: None }
    }

    pub(super) fn literal(text: impl Into<String>) -> Value {
        Value::Text { text: text.into(), origin: Origin::Literal, raw: None }
    }

    /// A string of JSON.
    pub(super) fn of_json(text: String) -> Value {
        Value::Text { text, origin: Origin::Json, raw: None }
    }

    /// Bytes from outside, read as text.
    pub(super) fn of_bytes(bytes: &[u8]) -> Value {
        let raw = std::str::from_utf8(bytes).is_err().then(|| bytes.to_vec());
        Value::Text { text: String::from_utf8_lossy(bytes).into_owned(), origin: Origin::Data, raw }
    }

    /// `txt(v)`.
    pub(super) fn text(&self) -> String {
        match self {
            Value::Empty => String::new(),
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Double(value) => double_text(*value),
            Value::Text { text, .. } => text.clone(),
            Value::Json(json) => json.text(),
            Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Value::Time(ms) => iso(*ms),
        }
    }

    /// Returns the payload that the value has in a topic.
    pub(super) fn payload(&self) -> Vec<u8> {
        match self {
            Value::Bytes(bytes) | Value::Text { raw: Some(bytes), .. } => bytes.clone(),
            other => other.text().into_bytes(),
        }
    }

    /// The number that a value is or, as text, looks like.
    pub(super) fn number(&self) -> Option<Number> {
        match self {
            Value::Int(value) => Some(Number::Int(*value)),
            Value::Double(value) => Some(Number::Double(*value)),
            Value::Text { text, .. } => number_in(text),
            _ => None,
        }
    }

    pub(super) fn is_literal(&self) -> bool {
        matches!(self, Value::Text { origin: Origin::Literal, .. })
    }

    /// `x == EMPTY`.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Value::Empty | Value::Null => true,
            Value::Text { text, .. } => text.is_empty(),
            _ => false,
        }
    }

    /// The truth of a bare condition.
    pub(super) fn truth(&self) -> Answer<bool> {
        Ok(match self {
            Value::Empty | Value::Null => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Double(value) if value.is_nan() => return Err(Stop::Unspecified("the truth of NaN")),
            Value::Double(value) => *value != 0.0,
            Value::Text { text, .. } => truth_of_text(text),
            Value::Json(_) => return Err(Stop::Unspecified("the truth of JSON")),
            Value::Bytes(_) => return Err(Stop::Unspecified("the truth of bytes")),
            // `docs/decisions`.
            Value::Time(_) => true,
        })
    }
}

/// The BOOL cast of a text.
pub(super) fn truth_of_text(text: &str) -> bool {
    match number_in(text) {
        Some(number) => !number.is_zero(),
        None => bool_word(text) == Some(true),
    }
}

/// A word that says true or false, blanks around it or not.
pub(super) fn bool_word(text: &str) -> Option<bool> {
    match text.trim_matches([' ', '\t', '\n', '\r']).to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Some(true),
        "false" | "0" | "off" | "no" => Some(false),
        _ => None,
    }
}

/// `num(s)`: blanks around, a sign, digits with an optional point among them or on either side
/// (`docs/decisions`), an exponent.
pub(super) fn number_in(text: &str) -> Option<Number> {
    let text = text.trim_matches([' ', '\t', '\n', '\r']);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let all_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = exponent.is_none() && all_digits(mantissa);
    let has_mantissa = all_digits(&mantissa.replacen('.', "", 1));
    let has_exponent =
        exponent.is_none_or(|exponent| all_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)));
    if !has_mantissa || !has_exponent {
        return None;
    }
    if is_whole && let Ok(value) = text.parse() {
        return Some(Number::Int(value));
    }
    text.parse().ok().map(Number::Double)
}

/// The number that data becomes in JSON: none where it would lose something (`docs/decisions`).
pub(super) fn reading(text: &str) -> Option<Number> {
    let unsigned = text.trim_matches([' ', '\t', '\n', '\r']).trim_start_matches('-');
    let second = unsigned.as_bytes().get(1);
    if unsigned.starts_with('+')
        || (unsigned.starts_with('0') && second.is_some_and(|byte| byte.is_ascii_digit()))
    {
        return None;
    }
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    number_in(text).filter(|number| match number {
        Number::Int(_) => true,
        Number::Double(value) => value.is_finite() && digits <= 17,
    })
}

/// OD-13; the zero below 0 is shown as 0 (`docs/decisions`).
pub(super) fn double_text(value: f64) -> String {
    if !value.is_finite() {
        return "null".to_owned();
    }
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if (1e-5..=1e15).contains(&size) { format!("{value}") } else { format!("{value:e}") }
}

/// `2026-01-15T10:30:00.123Z`.
pub(super) fn iso(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (mut year, mut day) = (1970, days);
    loop {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = if leap { 366 } else { 365 };
        if day < 0 {
            year -= 1;
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            day += if leap { 366 } else { 365 };
        } else if day >= length {
            day -= length;
            year += 1;
        } else {
            let february = if leap { 29 } else { 28 };
            let mut month = 1;
            for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
                if day < length {
                    break;
                }
                day -= length;
                month += 1;
            }
            let (seconds, ms) = (rest / 1000, rest % 1000);
            let mut text = String::new();
            let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            let _ = write!(
                text,
                "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z",
                day + 1
            );
            return text;
        }
    }
}
