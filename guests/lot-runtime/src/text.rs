//! Text transforms (§5.3): REPLACE, TRIM, SPLIT, FILTER … CSV, UPPER, LOWER.

use crate::json::append_quoted;
use crate::value::{Value, keep};

/// `REPLACE a WITH b IN source`: every occurrence; an empty `a` leaves the source.
pub fn replace(pattern: Value, replacement: Value, source: Value) -> Value {
    let (pattern, text) = (pattern.text(), source.text());
    if pattern.is_empty() || !text.contains(pattern) {
        return source.made(text);
    }
    source.made(keep(text.replace(pattern, replacement.text())))
}

/// `TRIM x`: without the white space (Unicode) at both ends.
pub fn trim(value: Value) -> Value {
    value.made(value.text().trim())
}

/// `UPPER(x)`.
pub fn upper(value: Value) -> Value {
    value.made(keep(value.text().to_uppercase()))
}

/// `LOWER(x)`.
pub fn lower(value: Value) -> Value {
    value.made(keep(value.text().to_lowercase()))
}

/// `SPLIT x USING separator`: the pieces as JSON array of texts.
pub fn split(value: Value, separator: Value) -> Value {
    let mut out = String::from("[");
    for (index, piece) in pieces(value.text(), separator.text()).enumerate() {
        if index > 0 {
            out.push(',');
        }
        append_quoted(&mut out, piece);
    }
    out.push(']');
    Value::Json(keep(out))
}

/// `SPLIT x USING separator AT n`: the n-th piece from 1; Empty when there are fewer.
pub fn piece(value: Value, separator: Value, position: i64) -> Value {
    let Some(skipped) = usize::try_from(position).ok().and_then(|position| position.checked_sub(1)) else {
        return Value::Empty;
    };
    pieces(value.text(), separator.text()).nth(skipped).map_or(Value::Empty, |piece| value.made(piece))
}

/// An empty separator separates nothing.
fn pieces(text: &'static str, separator: &'static str) -> impl Iterator<Item = &'static str> {
    let whole = separator.is_empty().then_some(text).into_iter();
    let parts = (!separator.is_empty()).then(|| text.split(separator)).into_iter().flatten();
    whole.chain(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> Value {
        Value::data(text)
    }

    #[test]
    fn transforms_follow_the_table() {
        for (result, expected) in [
            (replace(Value::literal(" "), Value::literal("_"), data("a b c")), data("a_b_c")),
            (replace(Value::literal(""), Value::literal("_"), data("a b")), data("a b")),
            (trim(data("\u{a0} q \n")), data("q")),
            (upper(data("aé")), data("AÉ")),
            (lower(data("AÉ")), data("aé")),
            (split(data("a;b\"c;"), Value::literal(";")), Value::Json("[\"a\",\"b\\\"c\",\"\"]")),
            (split(data("ab"), Value::literal("")), Value::Json("[\"ab\"]")),
            (piece(data("a;b"), Value::literal(";"), 2), data("b")),
            (piece(data("a;b"), Value::literal(";"), 3), Value::Empty),
            (piece(data("a;b"), Value::literal(";"), 0), Value::Empty),
        ] {
            assert_eq!(result, expected);
        }
    }
}
