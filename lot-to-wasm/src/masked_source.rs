//! Sources of definitions without their passwords, and such a source that comes back.

use std::borrow::Cow;
use std::ops::Range;

use crate::passwords::{MASK, has_login, has_mask, is_secret_key, masked, passwords};
use crate::source::Source;
use crate::token::{TokenKind, tokenize_quietly};

/// Source of definitions with a mask in the place of each literal password: the text of a setting
/// whose name is that of a secret, a login in `HEADERS`, and a password in any other text. The text
/// behind `GET SECRET` or `GET ENV` is a name and stays.
///
/// Costs one pass. In a comment that names a secret, each quoted text is masked.
#[must_use]
pub fn masked_source(text: &str) -> Cow<'_, str> {
    let mut found = Vec::new();
    each_part(text, |part| match part {
        SourcePart::Comments(between) => found.extend(in_comments(text, between)),
        SourcePart::Setting { key, inner } => {
            found.extend(in_setting(key, text.get(inner.clone()).unwrap_or_default(), inner.start));
        }
    });
    masked(text, found)
}

/// Name of the first setting of a source that has a mask in the place of its password. Only a
/// reader who was not shown the password writes such a text.
#[must_use]
pub fn masked_setting(text: &str) -> Option<&str> {
    let mut found = None;
    each_part(text, |part| {
        if let SourcePart::Setting { key, inner } = part {
            let value = text.get(inner).unwrap_or_default();
            let upper = key.to_ascii_uppercase();
            let is_secret = is_secret_key(&upper) || upper == "HEADERS";
            if has_mask(value) || (is_secret && value == MASK) {
                found = found.or(Some(key));
            }
        }
    });
    found
}

/// Part of a source that may hold passwords.
enum SourcePart<'a> {
    /// Text between two tokens.
    Comments(Range<usize>),
    /// Text of a setting, without its quotation marks.
    Setting {
        /// Last word of the line that is no part of a value.
        key: &'a str,
        inner: Range<usize>,
    },
}

fn each_part<'a>(text: &'a str, mut visit: impl FnMut(SourcePart<'a>)) {
    let source = Source::new(text);
    let mut at = 0;
    // Last word of the line that is no part of a value, and the word before this token.
    let (mut key, mut before) = ("", "");
    for token in tokenize_quietly(&source) {
        let (start, end) = (token.span.start as usize, token.span.end as usize);
        visit(SourcePart::Comments(at..start));
        at = at.max(end);
        let word = text.get(start..end).unwrap_or_default();
        match token.kind {
            TokenKind::Text(_) if is_store(before) => {}
            TokenKind::Text(_) => {
                visit(SourcePart::Setting { key, inner: start + 1..end.saturating_sub(1).max(start + 1) });
            }
            TokenKind::Word if is_store(word) || word.eq_ignore_ascii_case("GET") => {}
            TokenKind::Word => key = word,
            TokenKind::Newline => key = "",
            TokenKind::Int(_)
            | TokenKind::Double(_)
            | TokenKind::Sign(_)
            | TokenKind::Unknown
            | TokenKind::Indent
            | TokenKind::Dedent
            | TokenKind::End => {}
        }
        before = word;
    }
    visit(SourcePart::Comments(at..text.len()));
}

/// Whether the text behind this word names a stored value.
fn is_store(word: &str) -> bool {
    ["SECRET", "ENV"].iter().any(|store| word.eq_ignore_ascii_case(store))
}

/// Passwords in the text of a setting, which begins at `start`.
fn in_setting(key: &str, text: &str, start: usize) -> Vec<Range<usize>> {
    let key = key.to_ascii_uppercase();
    if is_secret_key(&key) || (key == "HEADERS" && has_login(text)) {
        let is_placeholder = text.starts_with('{') && text.ends_with('}');
        let is_masked = text.is_empty() || text == MASK || is_placeholder;
        return (!is_masked).then_some(start..start + text.len()).into_iter().collect();
    }
    passwords(text).into_iter().map(|range| start + range.start..start + range.end).collect()
}

/// Passwords between two tokens, where comments are.
fn in_comments(text: &str, between: Range<usize>) -> Vec<Range<usize>> {
    let comment = text.get(between.clone()).unwrap_or_default();
    let mut found = passwords(comment);
    if is_secret_key(&comment.to_ascii_uppercase()) {
        let marks: Vec<usize> = comment.match_indices(['"', '\'']).map(|(at, _)| at).collect();
        let quoted = marks.chunks_exact(2).map(|marks| marks[0] + 1..marks[1]);
        found.extend(quoted.filter(|range| &comment[range.clone()] != MASK));
        found.sort_by_key(|range| range.start);
    }
    found.into_iter().map(|range| between.start + range.start..between.start + range.end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_with_a_mask_is_found() {
        for (line, expected) in [
            ("WITH PASSWORD \"****\"", Some("PASSWORD")),
            ("WITH password '****'", Some("password")),
            ("WITH PASSWORD GET SECRET \"P\" + '****'", Some("PASSWORD")),
            ("WITH HEADERS \"****\"", Some("HEADERS")),
            ("WITH CONNECTION_STRING \"Host=h;Password=****;Database=d\"", Some("CONNECTION_STRING")),
            ("WITH URL \"postgres://ann:****@h/db\"", Some("URL")),
            ("WITH PASSWORD \"*****\"", None),
            ("WITH PASSWORD \"\"", None),
            ("WITH PASSWORD GET SECRET \"****\"", None),
            ("WITH USERNAME \"****\"", None),
            ("-- WITH PASSWORD \"****\"", None),
        ] {
            let source =
                format!("DEFINE ROUTE Db WITH TYPE POSTGRESQL\n    ADD SQL_CONFIG\n        {line}\n");
            assert_eq!(masked_setting(&source), expected, "{line}");
        }
    }

    #[test]
    fn literal_passwords_of_a_source_are_masked() {
        let source = |password: &str, other: &str| {
            format!(
                "-- once PASSWORD \"{password}\", at http://a:{password}@b\n\
                 DEFINE ROUTE Db WITH TYPE POSTGRESQL\n    ADD SQL_CONFIG\n        \
                 WITH CONNECTION_STRING \"Host=h;Password={password}\"\n        \
                 WITH USERNAME 'ann'\n        \
                 WITH PASSWORD '{password}' + GET SECRET \"DB\" + '{password}' // kept\n        \
                 WITH API_TOKEN GET ENV \"TOKEN_NAME\"\n        \
                 WITH HEADERS \"{other}\"\n        \
                 WITH MAX_TOKENS \"5\"\n    -- the end"
            )
        };
        let whole = source("p4ss", "Cookie: a=b");
        assert_eq!(masked_source(&whole), source("****", "****"));
        let masked = source("****", "****");
        assert_eq!(masked_source(&masked), masked, "a mask is none");
        let without = "DEFINE ROUTE A WITH TYPE X\n    -- no password here, isn't it\n    WITH PASSWORD GET SECRET \"P\"";
        assert!(matches!(masked_source(without), Cow::Borrowed(_)));
        for odd in ["", "PASSWORD \"", "PASSWORD 'ä", "\"", "-- PASSWORD \"ä", "TOKEN \"\""] {
            assert_eq!(masked_source(odd), odd);
        }
    }
}
