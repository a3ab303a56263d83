//! Values as the text from which the server reads a type.

use std::borrow::Cow;
use std::fmt::Write as _;

use postgres_protocol::Oid;
use route_sql::{ColumnKind, Parameter};
use serde_json::Value as Json;

use crate::json::{BYTES, JSON};

/// A value for a parameter of a type; `None` is NULL.
pub(crate) fn text(parameter: &Parameter, kind: Oid) -> Result<Option<Cow<'_, [u8]>>, String> {
    let text: Cow<'_, str> = match parameter {
        Parameter::Null => return Ok(None),
        Parameter::Bytes(bytes) if kind == BYTES => return Ok(Some(hexadecimal(bytes).into())),
        Parameter::Bytes(_) => {
            return Err("the payload is not UTF-8, and what takes it is no bytea".to_owned());
        }
        Parameter::Text(text) | Parameter::Number(text) => text.into(),
        Parameter::Boolean(is) => is.to_string().into(),
    };
    if kind == BYTES && !is_hexadecimal(&text) {
        return Ok(Some(hexadecimal(text.as_bytes()).into()));
    }
    Ok(Some(match text {
        Cow::Borrowed(text) => text.as_bytes().into(),
        Cow::Owned(text) => text.into_bytes().into(),
    }))
}

/// A value of a row, which knows what it is in JSON: in a column of JSON a text is one with quotes.
pub(crate) fn cell(
    (kind, parameter): &(Option<ColumnKind>, Parameter),
    of_column: Oid,
) -> Result<Option<Cow<'_, [u8]>>, String> {
    match parameter {
        Parameter::Text(text) if JSON.contains(&of_column) && *kind == Some(ColumnKind::Text) => {
            Ok(Some(Json::from(text.as_str()).to_string().into_bytes().into()))
        }
        parameter => text(parameter, of_column),
    }
}

/// Whether a text is how bytes are written in a literal.
fn is_hexadecimal(text: &str) -> bool {
    text.strip_prefix("\\x")
        .is_some_and(|digits| digits.len() % 2 == 0 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn hexadecimal(bytes: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("\\x");
    for byte in bytes {
        // To write into a text fails never.
        let _ = write!(text, "{byte:02x}");
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_texts_for_their_types() {
        let owned = |text: &str| Parameter::Text(text.to_owned());
        for (parameter, kind, expected) in [
            (Parameter::Null, 25, Ok(None)),
            (owned("a\"b"), 25, Ok(Some("a\"b"))),
            (Parameter::Number("21.50".to_owned()), 1700, Ok(Some("21.50"))),
            (Parameter::Boolean(true), 16, Ok(Some("true"))),
            (Parameter::Bytes(vec![0, 255]), 17, Ok(Some("\\x00ff"))),
            (owned("a\\"), 17, Ok(Some("\\x615c"))),
            (owned("\\x0aFf"), 17, Ok(Some("\\x0aFf"))),
            (
                Parameter::Bytes(vec![255]),
                25,
                Err("the payload is not UTF-8, and what takes it is no bytea".to_owned()),
            ),
        ] {
            let found = text(&parameter, kind);
            assert_eq!(found, expected.map(|text| text.map(|text| text.as_bytes().into())), "{parameter:?}");
        }
        let word = (Some(ColumnKind::Text), owned("x"));
        assert_eq!(cell(&word, 3802).unwrap().as_deref(), Some(&b"\"x\""[..]));
        assert_eq!(cell(&word, 25).unwrap().as_deref(), Some(&b"x"[..]));
        let array = (Some(ColumnKind::Json), owned("[1]"));
        assert_eq!(cell(&array, 3802).unwrap().as_deref(), Some(&b"[1]"[..]));
    }
}
