//! Text of a command: verb, arguments or body, request id. Commands reference §1.
//!
//! Pure functions over the payload. Not here: which verbs there are (`mod`), what they do.

use lotmq_definitions::OnExisting;

use crate::limits::REQUEST_ID_CHARS_MAX;

/// Name of the option that names a request, in any case.
const REQUEST_ID_OPTION: &str = "-requestId";

/// Parsed text of a command. Everything borrows from the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommandText<'a> {
    /// Verb as it was written, with its dashes.
    pub(crate) verb: &'a str,
    /// Text behind the verb and one blank, without the request id and the blank before it.
    pub(crate) body: &'a str,
    /// Token behind `-requestId` at the end.
    pub(crate) request_id: Option<&'a str>,
}

impl<'a> CommandText<'a> {
    /// Parses a payload. Never fails: an unknown verb is found out by looking it up.
    pub(crate) fn new(payload: &'a str) -> Self {
        let payload = payload.strip_prefix('\u{feff}').unwrap_or(payload).trim_start();
        let verb_len = payload.find(char::is_whitespace).unwrap_or(payload.len());
        let (verb, rest) = payload.split_at(verb_len);
        let (rest, request_id) = split_request_id(rest);
        Self { verb, body: without_first_blank(rest), request_id }
    }
}

/// Name under which a verb is looked up: without dashes, in lower case. `None` for a text that has not the form of a verb.
pub(crate) fn normalized_verb(verb: &str) -> Option<String> {
    let name = verb.strip_prefix('-')?;
    let name = name.strip_prefix('-').unwrap_or(name);
    if name.is_empty() || name.starts_with('-') {
        return None;
    }
    let letters = name.chars().filter(|c| *c != '-');
    Some(letters.map(|c| c.to_ascii_lowercase()).collect())
}

/// Splits `… -requestId <token>` off the end. One blank before the option goes with it, and blanks behind the token do.
fn split_request_id(rest: &str) -> (&str, Option<&str>) {
    let none = (rest, None);
    let trimmed = rest.trim_end();
    let Some((before, token)) = trimmed.rsplit_once(char::is_whitespace) else { return none };
    let before = before.trim_end();
    let option_at = before.rfind(char::is_whitespace).map_or(0, |at| at + blank_len(&before[at..]));
    let option = &before[option_at..];
    if !option.eq_ignore_ascii_case(REQUEST_ID_OPTION) || token.chars().count() > REQUEST_ID_CHARS_MAX {
        return none;
    }
    (without_last_blank(&before[..option_at]), Some(token))
}

fn blank_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

fn without_first_blank(text: &str) -> &str {
    text.strip_prefix("\r\n").or_else(|| text.strip_prefix(char::is_whitespace)).unwrap_or(text)
}

fn without_last_blank(text: &str) -> &str {
    text.strip_suffix(char::is_whitespace).unwrap_or(text)
}

/// Reason why arguments cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentError {
    /// A `"` without its partner.
    #[error("A quotation mark is not closed.")]
    QuoteNotClosed,
}

/// Parses the first argument; returns it with the text behind it and its blanks.
///
/// A `"` at the beginning groups; inside, `\"` stands for `"`. Elsewhere it is an ordinary character, so that JSON passes.
pub(crate) fn first_argument(text: &str) -> Result<Option<(String, &str)>, ArgumentError> {
    let text = text.trim_start();
    if text.is_empty() {
        return Ok(None);
    }
    let Some(quoted) = text.strip_prefix('"') else {
        let len = text.find(char::is_whitespace).unwrap_or(text.len());
        return Ok(Some((text[..len].to_owned(), text[len..].trim_start())));
    };
    let mut argument = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if characters.peek().is_some_and(|(_, next)| *next == '"') => {
                argument.push('"');
                characters.next();
            }
            '"' => return Ok(Some((argument, quoted[at + 1..].trim_start()))),
            other => argument.push(other),
        }
    }
    Err(ArgumentError::QuoteNotClosed)
}

/// Parses all arguments.
///
/// # Errors
/// A quotation mark that is not closed.
pub(crate) fn arguments(mut text: &str) -> Result<Vec<String>, ArgumentError> {
    let mut all = Vec::new();
    while let Some((argument, rest)) = first_argument(text)? {
        all.push(argument);
        text = rest;
    }
    Ok(all)
}

/// Parses the body of a command that adds an entity: without a bare name or an option before the first `DEFINE`, with the policy for an entity of that
/// name: `-replace` or `-replaceOwn`, the latter for rules, which are not replaced at all without a word.
///
/// An editor sends `-addModel Name DEFINE …`. Both are skipped together with the blank behind them; nothing else changes.
pub(crate) fn entity_body(body: &str) -> (&str, Option<OnExisting>) {
    let mut body = body;
    let mut existing = None;
    while let Some((word, rest)) = body.split_once(char::is_whitespace) {
        let option = replacing(word);
        if option.is_none() && (!is_bare_name(word) || is_define(word) || !starts_entity(rest)) {
            break;
        }
        existing = option.or(existing);
        body = rest;
    }
    (body, existing)
}

fn replacing(word: &str) -> Option<OnExisting> {
    let options = [("-replace", OnExisting::Replace), ("-replaceOwn", OnExisting::ReplaceOwn)];
    options.into_iter().find(|(option, _)| word.eq_ignore_ascii_case(option)).map(|(_, existing)| existing)
}

fn is_bare_name(word: &str) -> bool {
    word.chars().all(|c| c.is_alphanumeric() || c == '_') && word.starts_with(|c: char| !c.is_ascii_digit())
}

fn is_define(word: &str) -> bool {
    word.eq_ignore_ascii_case("DEFINE")
}

/// Whether the text begins with `DEFINE`, or with comments before one.
fn starts_entity(text: &str) -> bool {
    let text = text.trim_start();
    let first = text.split(char::is_whitespace).next().unwrap_or("");
    is_define(first) || text.starts_with("--") || text.starts_with("//") || text.starts_with("/*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verb_body_and_request_id_are_taken_apart() {
        for (payload, verb, body, request_id) in [
            ("-listRoutes", "-listRoutes", "", None),
            ("-listRoutes -requestId r1", "-listRoutes", "", Some("r1")),
            ("-listRoutes   -REQUESTID r1  \n", "-listRoutes", " ", Some("r1")),
            ("  -addUser bob pw -requestId r1", "-addUser", "bob pw", Some("r1")),
            ("-addUser -requestId r1 bob", "-addUser", "-requestId r1 bob", None),
            ("-addUser -requestId", "-addUser", "-requestId", None),
            ("-addUser -requestid  x", "-addUser", "", Some("x")),
            ("-addAction DEFINE ACTION A\n    DO", "-addAction", "DEFINE ACTION A\n    DO", None),
            ("-addAction  DEFINE\n\n", "-addAction", " DEFINE\n\n", None),
            (
                "-addAction DEFINE ACTION A\n -requestId a b",
                "-addAction",
                "DEFINE ACTION A\n -requestId a b",
                None,
            ),
            ("-addAction a\n  b -requestId r1", "-addAction", "a\n  b", Some("r1")),
            ("-addAction a\n  b\n-requestId r1", "-addAction", "a\n  b", Some("r1")),
            ("-addAction\r\nDEFINE", "-addAction", "DEFINE", None),
            ("\u{feff}-help", "-help", "", None),
            ("-requestId x", "-requestId", "x", None),
            ("", "", "", None),
        ] {
            assert_eq!(CommandText::new(payload), CommandText { verb, body, request_id }, "{payload:?}");
        }
        let long = format!("-help -requestId {}", "x".repeat(REQUEST_ID_CHARS_MAX + 1));
        assert_eq!(CommandText::new(&long).request_id, None);
        let longest = format!("-help -requestId {}", "ü".repeat(REQUEST_ID_CHARS_MAX));
        assert!(CommandText::new(&longest).request_id.is_some());
    }

    #[test]
    fn verbs_are_found_in_every_spelling() {
        for (verb, expected) in [
            ("-listRoutes", Some("listroutes")),
            ("--list-routes", Some("listroutes")),
            ("-LISTROUTES", Some("listroutes")),
            ("-list-Routes-", Some("listroutes")),
            ("listRoutes", None),
            ("-", None),
            ("--", None),
            ("---listRoutes", None),
            ("", None),
        ] {
            assert_eq!(normalized_verb(verb).as_deref(), expected, "{verb}");
        }
    }

    #[test]
    fn quotes_group_arguments() {
        for (text, expected) in [
            ("a b", vec!["a", "b"]),
            ("  a\t b \n", vec!["a", "b"]),
            (r#""a b" c"#, vec!["a b", "c"]),
            (r#""a \"b\"" """#, vec![r#"a "b""#, ""]),
            (r#""a\b""#, vec![r"a\b"]),
            (r#"{"a":1}"#, vec![r#"{"a":1}"#]),
            ("", vec![]),
        ] {
            assert_eq!(arguments(text).unwrap(), expected, "{text}");
        }
        assert_eq!(arguments(r#"a "b"#), Err(ArgumentError::QuoteNotClosed));
    }

    #[test]
    fn a_stray_name_before_define_is_skipped() {
        for (body, expected, replaces) in [
            ("DEFINE MODEL A", "DEFINE MODEL A", None),
            ("A DEFINE MODEL A", "DEFINE MODEL A", None),
            ("A  DEFINE MODEL A", " DEFINE MODEL A", None),
            ("-replace DEFINE RULE R", "DEFINE RULE R", Some(OnExisting::Replace)),
            ("-ReplaceOwn DEFINE RULE R", "DEFINE RULE R", Some(OnExisting::ReplaceOwn)),
            ("R -replace DEFINE RULE R", "R -replace DEFINE RULE R", None),
            ("-replace R DEFINE RULE R", "DEFINE RULE R", Some(OnExisting::Replace)),
            ("A -- why\nDEFINE MODEL A", "-- why\nDEFINE MODEL A", None),
            ("-- why\nDEFINE MODEL A", "-- why\nDEFINE MODEL A", None),
            ("DEFIN ACTION A", "DEFIN ACTION A", None),
            ("define DEFINE", "define DEFINE", None),
        ] {
            assert_eq!(entity_body(body), (expected, replaces), "{body:?}");
        }
    }
}
