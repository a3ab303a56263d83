//! Values of the language.
//!
//! Texts live until the run ends. The compiled module frees their memory as a whole, so they are
//! passed as `'static` and copied only if needed.

use crate::number::{self, Number};
use crate::time;

/// Origin of a text. A literal operand makes `+` a concatenation and `==` a comparison of texts
/// (OD-16, OD-18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A literal of the program, the result of a concatenation, or a cast to STRING.
    Literal,
    /// Data: payloads, last values, environment, results of calls and transforms.
    Data,
    /// Data that was a string in JSON, and so is one again in JSON that is built of it.
    Quoted,
    /// Number of a JSON text that neither an Int nor a Double holds: its digits, as they came.
    Digits,
}

/// A value of a LoT program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Nothing was ever written, or an operand was missing.
    Empty,
    /// An explicit null.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Text.
    Text(&'static str, Origin),
    /// A JSON object or array as compact text.
    Json(&'static str),
    /// Raw bytes.
    Bytes(&'static [u8]),
    /// A UTC instant in milliseconds since 1970-01-01.
    Time(i64),
}

impl Value {
    /// A text that counts as data.
    pub fn data(text: impl Into<String>) -> Self {
        Value::Text(keep(text.into()), Origin::Data)
    }

    /// A text that was made of this value's: data, and still a string where that was one in JSON.
    pub fn made(self, text: &'static str) -> Self {
        match self {
            Value::Text(_, Origin::Quoted) => Value::Text(text, Origin::Quoted),
            // Trimmed or replaced digits may be no JSON number any more.
            _ => Value::Text(text, Origin::Data),
        }
    }

    /// A text that counts as a literal.
    pub fn literal(text: impl Into<String>) -> Self {
        Value::Text(keep(text.into()), Origin::Literal)
    }

    /// The canonical text of the value (§4): what PUBLISH sends and `+` concatenates.
    pub fn text(self) -> &'static str {
        match self {
            Value::Empty => "",
            Value::Null => "null",
            Value::Bool(true) => "true",
            Value::Bool(false) => "false",
            Value::Text(text, _) | Value::Json(text) => text,
            Value::Int(_) | Value::Double(_) | Value::Time(_) => {
                let mut out = String::with_capacity(24);
                self.append_text(&mut out);
                keep(out)
            }
            Value::Bytes(bytes) => text_of(bytes),
        }
    }

    /// Appends the canonical text.
    pub fn append_text(self, out: &mut String) {
        match self {
            Value::Int(number) => number::append_int(out, number),
            Value::Double(number) => number::append_double(out, number),
            Value::Time(ms) => time::append_iso(out, ms),
            Value::Empty
            | Value::Null
            | Value::Bool(_)
            | Value::Text(..)
            | Value::Json(_)
            | Value::Bytes(_) => {
                out.push_str(self.text());
            }
        }
    }

    /// Whether `x == EMPTY` holds: Empty, Null, or a text without characters.
    pub fn is_empty(self) -> bool {
        match self {
            Value::Empty | Value::Null => true,
            Value::Text(text, _) => text.is_empty(),
            Value::Bytes(bytes) => bytes.is_empty(),
            Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Json(_) | Value::Time(_) => false,
        }
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        match number {
            Number::Int(number) => Value::Int(number),
            Number::Double(number) => Value::Double(number),
        }
    }
}

/// Keeps a text for the rest of the run.
pub fn keep(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// The text of bytes from outside; invalid UTF-8 is replaced by U+FFFD.
pub fn text_of(bytes: &'static [u8]) -> &'static str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => keep(String::from_utf8_lossy(bytes).into_owned()),
    }
}
