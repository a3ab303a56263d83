//! The number of a message: its payload, or a member of its JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::limits::WINDOW_PAYLOAD_BYTES_MAX;

/// A step of a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PathKey {
    Key(String),
    Index(usize),
}

/// Parses a path as in `GET JSON`, `a.b[0]`; a malformed one finds nothing.
pub(super) fn steps(path: &str) -> Vec<PathKey> {
    let mut steps = Vec::new();
    for key in path.split('.') {
        let (name, indexes) = key.split_at(key.find('[').unwrap_or(key.len()));
        if !name.is_empty() {
            steps.push(PathKey::Key(name.to_owned()));
        }
        let indexes = indexes.split(']').filter_map(|index| index.strip_prefix('['));
        steps.extend(indexes.map(|index| match index.trim().parse() {
            Ok(index) => PathKey::Index(index),
            Err(_) => PathKey::Key(index.to_owned()),
        }));
    }
    steps
}

/// The number of a payload, or that at a path in its JSON.
pub(super) fn number(payload: &[u8], path: Option<&[PathKey]>) -> Option<f64> {
    if payload.len() > WINDOW_PAYLOAD_BYTES_MAX {
        return None;
    }
    let Some(path) = path else { return of_text(std::str::from_utf8(payload).ok()?) };
    let mut document = serde_json::Deserializer::from_slice(payload);
    let found = Pick(path).deserialize(&mut document).ok()?;
    document.end().ok()?;
    found
}

/// The number that a text is, as LoT reads one.
fn of_text(text: &str) -> Option<f64> {
    text.trim_ascii().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Looks for the number at a path, and keeps nothing else of the document.
struct Pick<'a>(&'a [PathKey]);

impl<'de> DeserializeSeed<'de> for Pick<'_> {
    type Value = Option<f64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<f64>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Option<f64>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number")
    }

    fn visit_i64<E>(self, number: i64) -> Result<Option<f64>, E> {
        Ok(Some(number as f64).filter(|_| self.0.is_empty()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Option<f64>, E> {
        Ok(Some(number as f64).filter(|_| self.0.is_empty()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Option<f64>, E> {
        Ok(Some(number).filter(|_| self.0.is_empty()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<f64>, E> {
        Ok(of_text(text).filter(|_| self.0.is_empty()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Option<f64>, A::Error> {
        let mut found = None;
        while let Some(key) = members.next_key::<Cow<'de, str>>()? {
            match self.0.split_first() {
                Some((PathKey::Key(wanted), rest)) if *key == **wanted => {
                    found = members.next_value_seed(Pick(rest))?;
                }
                Some(_) | None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Option<f64>, A::Error> {
        let (wanted, rest) = match self.0.split_first() {
            Some((PathKey::Index(index), rest)) => (Some(*index), rest),
            Some((PathKey::Key(key), rest)) => (key.parse().ok(), rest),
            None => (None, self.0),
        };
        let mut found = None;
        for at in 0.. {
            if Some(at) == wanted {
                match members.next_element_seed(Pick(rest))? {
                    Some(number) => found = number,
                    None => break,
                }
            } else if members.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_a_number_or_has_one_at_the_path() {
        for (payload, path, expected) in [
            ("21.5", None, Some(21.5)),
            (" -3e2\n", None, Some(-300.0)),
            ("warm", None, None),
            ("", None, None),
            ("nan", None, None),
            ("inf", None, None),
            ("1e999", None, None),
            ("[1]", None, None),
            (r#"{"t":{"v":[1,"2.5"]},"u":1}"#, Some("t.v[1]"), Some(2.5)),
            (r#"{"t":{"v":[1,"2.5"]}}"#, Some("t.v[2]"), None),
            (r#"{"t":{"v":[1,2]}}"#, Some("t.v.0"), Some(1.0)),
            (r#"{"t":{"v":[1,2]}}"#, Some("t.v"), None),
            (r#"{"t":true}"#, Some("t"), None),
            (r#"{"t":1} x"#, Some("t"), None),
            (r#"{"t":1"#, Some("t"), None),
            ("7", Some(""), Some(7.0)),
            ("[[5]]", Some("[0][0]"), Some(5.0)),
            (r#"{"\u0074":4}"#, Some("t"), Some(4.0)),
        ] {
            let path = path.map(steps);
            assert_eq!(number(payload.as_bytes(), path.as_deref()), expected, "{payload} at {path:?}");
        }
    }
}
