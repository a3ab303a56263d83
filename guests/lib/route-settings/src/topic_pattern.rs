//! Topics that a route publishes to. A wildcard takes the name of the received item on the other
//! side.

use std::borrow::Cow;

/// A topic, with one wildcard at most.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicPattern {
    text: String,
    wildcard: Option<char>,
}

impl TopicPattern {
    /// Reads a topic: a level `+` takes a name that is one level, `#` one that may be several.
    ///
    /// # Errors
    /// Why it is none.
    pub fn new(text: &str) -> Result<TopicPattern, &'static str> {
        let mut wildcards = text.split('/').filter(|level| matches!(*level, "+" | "#"));
        let wildcard = wildcards.next().and_then(|level| level.chars().next());
        if wildcards.next().is_some() {
            return Err("has one wildcard at most");
        }
        let mut plain = text.split('/').filter(|level| !matches!(*level, "+" | "#"));
        if plain.any(|level| level.contains(['+', '#'])) {
            return Err("has a wildcard that is not a level of its own");
        }
        Ok(TopicPattern { text: text.to_owned(), wildcard })
    }

    /// The topic without a wildcard; `None` where it has one.
    pub fn plain(&self) -> Option<&str> {
        self.wildcard.is_none().then_some(&*self.text)
    }

    /// The topic for a name.
    ///
    /// # Errors
    /// Why the name does not do, to be read behind what it is the name of, such as `its key`.
    pub fn filled(&self, name: Option<&[u8]>) -> Result<Cow<'_, str>, String> {
        let Some(wildcard) = self.wildcard else { return Ok(Cow::Borrowed(&self.text)) };
        let name = name.ok_or("is missing")?;
        let name = std::str::from_utf8(name).map_err(|_| "is not UTF-8")?;
        if name.is_empty() || name.contains(['+', '#', '\0']) || (wildcard == '+' && name.contains('/')) {
            let what = if wildcard == '+' { "level" } else { "part" };
            return Err(format!("'{}' is no {what} of a topic", name.escape_debug()));
        }
        let level = |level| if matches!(level, "+" | "#") { name } else { level };
        Ok(Cow::Owned(self.text.split('/').map(level).collect::<Vec<_>>().join("/")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_put_in_place_of_a_wildcard() {
        for (pattern, name, expected) in [
            ("a/b", None, Ok("a/b")),
            ("a/+/b", Some("k"), Ok("a/k/b")),
            ("a/#", Some("k/l"), Ok("a/k/l")),
            ("a/+", Some("k/l"), Err("'k/l' is no level of a topic")),
            ("a/#", Some(""), Err("'' is no part of a topic")),
            ("a/+", Some("x+"), Err("'x+' is no level of a topic")),
            ("a/+", None, Err("is missing")),
        ] {
            let found = TopicPattern::new(pattern).unwrap();
            let found = found.filled(name.map(str::as_bytes));
            assert_eq!(found.as_deref().map_err(|reason| &**reason), expected, "{pattern} {name:?}");
        }
        assert!(TopicPattern::new("a/+").unwrap().filled(Some(&[0xff])).is_err());
        assert!(TopicPattern::new("a/b+").is_err() && TopicPattern::new("+/#").is_err());
    }
}
