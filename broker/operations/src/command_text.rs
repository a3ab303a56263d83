//! Text of a command: verb, arguments or body, request id. Commands reference §1.
//!
//! Pure functions over the payload. Not here: which verbs there are (`mod`), what they do.

use std::borrow::Cow;

use lotmq_definitions::OnExisting;

use crate::limits::REQUEST_ID_CHARS_MAX;

/// Name of the option that names a request, in any case.
const REQUEST_ID_OPTION: &str = "-requestId";

/// Parsed text of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandText<'a> {
    /// Verb as it was written, with its dashes.
    pub(crate) verb: &'a str,
    /// Text behind the verb and one blank, without the request id and the blank that parts it from
    /// the rest. Borrowed, unless the request id stood between options and what they are about.
    pub(crate) body: Cow<'a, str>,
    /// Token behind `-requestId` at the end, or else among the options behind the verb.
    pub(crate) request_id: Option<&'a str>,
}

impl<'a> CommandText<'a> {
    /// Parses a payload. Never fails: an unknown verb is found out by looking it up.
    pub(crate) fn new(payload: &'a str) -> Self {
        let payload = payload.strip_prefix('\u{feff}').unwrap_or(payload).trim_start();
        let verb_len = payload.find(char::is_whitespace).unwrap_or(payload.len());
        let (verb, rest) = payload.split_at(verb_len);
        let (rest, at_end) = split_request_id(rest);
        let body = without_first_blank(rest);
        if at_end.is_none()
            && let Some((options, request_id, body)) = split_leading_request_id(body)
        {
            let body =
                if options.is_empty() { Cow::Borrowed(body) } else { Cow::Owned([options, body].concat()) };
            return Self { verb, body, request_id: Some(request_id) };
        }
        Self { verb, body: Cow::Borrowed(body), request_id: at_end }
    }
}

/// Name under which a verb is looked up: without dashes, in lower case unless it is a single
/// letter, of which small and capital ones differ. `None` for a text that has not the form of a
/// verb.
pub(crate) fn normalized_verb(verb: &str) -> Option<String> {
    let name = verb.strip_prefix('-')?;
    let name = name.strip_prefix('-').unwrap_or(name);
    if name.is_empty() || name.starts_with('-') {
        return None;
    }
    let letters: String = name.chars().filter(|c| *c != '-').collect();
    Some(if letters.len() == 1 { letters } else { letters.to_ascii_lowercase() })
}

/// Splits `… -requestId <token>` off the end. One blank before the option goes with it, and blanks
/// behind the token do.
fn split_request_id(rest: &str) -> (&str, Option<&str>) {
    let none = (rest, None);
    let trimmed = rest.trim_end();
    let Some((before, token)) = trimmed.rsplit_once(char::is_whitespace) else { return none };
    let before = before.trim_end();
    let option_at = before.rfind(char::is_whitespace).map_or(0, |at| at + first_len(&before[at..]));
    let option = &before[option_at..];
    if !option.eq_ignore_ascii_case(REQUEST_ID_OPTION) || token.chars().count() > REQUEST_ID_CHARS_MAX {
        return none;
    }
    (without_last_blank(&before[..option_at]), Some(token))
}

/// Splits `-requestId <token>` off the options at the beginning: the options before it, the token,
/// and what comes behind the blank after it.
fn split_leading_request_id(body: &str) -> Option<(&str, &str, &str)> {
    let start = body.len() - body.trim_start().len();
    let mut at = start;
    loop {
        let rest = &body[at..];
        let word = first_word(rest);
        if word.eq_ignore_ascii_case(REQUEST_ID_OPTION) {
            let behind = rest[word.len()..].trim_start();
            let token = first_word(behind);
            let is_token = (1..=REQUEST_ID_CHARS_MAX).contains(&token.chars().count());
            return is_token.then(|| (&body[start..at], token, without_first_blank(&behind[token.len()..])));
        }
        // A comment is no option.
        let is_option =
            word.strip_prefix('-').is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()));
        if !is_option || word.len() == rest.len() {
            return None;
        }
        at += rest.len() - rest[word.len()..].trim_start().len();
    }
}

/// Text up to the first blank.
fn first_word(text: &str) -> &str {
    &text[..text.find(char::is_whitespace).unwrap_or(text.len())]
}

fn first_len(text: &str) -> usize {
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
    /// The name of a request stands among the arguments.
    #[error(transparent)]
    RequestId(#[from] MisplacedRequestId),
}

/// Name of a request where none is looked for, or not as there may be one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "-requestId in line {line} is misplaced: it goes once, right behind the verb or at the very end, with one word of at most {REQUEST_ID_CHARS_MAX} characters."
)]
pub(crate) struct MisplacedRequestId {
    /// Line of the text behind the verb, from 1.
    pub(crate) line: usize,
}

/// Parses the first argument; returns it with the text behind it and its blanks.
///
/// A `"` at the beginning groups; inside, `\"` stands for `"`. Elsewhere it is an ordinary
/// character, so that JSON passes.
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
    let (whole, mut all) = (text, Vec::new());
    while let Some((argument, rest)) = first_argument(text)? {
        if first_word(text.trim_start()).eq_ignore_ascii_case(REQUEST_ID_OPTION) {
            let before = &whole[..whole.len() - text.trim_start().len()];
            return Err(MisplacedRequestId { line: before.matches('\n').count() + 1 }.into());
        }
        all.push(argument);
        text = rest;
    }
    Ok(all)
}

/// Body of a command that adds an entity.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EntityBody<'t> {
    /// Text of the entity.
    pub(crate) text: &'t str,
    /// Policy for an entity of that name: `-replace` or `-replaceOwn`, the latter for rules, which
    /// are not replaced at all without a word.
    pub(crate) existing: Option<OnExisting>,
    /// Fingerprint of the text in whose place it may come, behind `-agreed`; see
    /// [`text_fingerprint`](crate::projects::text_fingerprint).
    pub(crate) agreed: Option<&'t str>,
}

/// Parses the body of a command that adds an entity: without a bare name or options before the
/// first `DEFINE`.
///
/// An editor sends `-addModel Name DEFINE …`. Each is skipped together with the blank behind it;
/// nothing else changes.
pub(crate) fn entity_body(body: &str) -> EntityBody<'_> {
    let mut body = body;
    let (mut existing, mut agreed) = (None, None);
    while let Some((word, rest)) = body.split_once(char::is_whitespace) {
        if word.eq_ignore_ascii_case("-agreed")
            && let Some((fingerprint, rest)) = rest.split_once(char::is_whitespace)
        {
            agreed = Some(fingerprint);
            body = rest;
            continue;
        }
        let option = replacing(word);
        // Lines in front of a definition are counted.
        if word.is_empty() && body.starts_with(['\n', '\r']) && starts_entity(rest) {
            break;
        }
        if option.is_none() && (!is_bare_name(word) || is_define(word) || !starts_entity(rest)) {
            break;
        }
        existing = option.or(existing);
        body = rest;
    }
    EntityBody { text: body, existing, agreed }
}

/// Checks that no `-requestId` stands in a LoT text, but in its texts and comments.
///
/// # Errors
/// The first one.
pub(crate) fn without_request_id(text: &str) -> Result<(), MisplacedRequestId> {
    let mut is_comment = false;
    for (number, line) in text.lines().enumerate() {
        if has_request_id(line, &mut is_comment) {
            return Err(MisplacedRequestId { line: number + 1 });
        }
    }
    Ok(())
}

/// Whether the line has the option outside of texts and comments; follows comments that span lines.
fn has_request_id(line: &str, is_comment: &mut bool) -> bool {
    let (mut rest, mut quote, mut is_word_start) = (line, None, true);
    while let Some(character) = rest.chars().next() {
        let mut len = character.len_utf8();
        if *is_comment {
            if rest.starts_with("*/") {
                (*is_comment, len) = (false, 2);
            }
        } else if quote.is_some() {
            if character == '\\' {
                len += first_len(&rest[len..]);
            } else if quote == Some(character) {
                quote = None;
            }
        } else if rest.starts_with("/*") {
            (*is_comment, len) = (true, 2);
        } else if rest.starts_with("--") || rest.starts_with("//") {
            return false;
        } else if is_word_start && first_word(rest).eq_ignore_ascii_case(REQUEST_ID_OPTION) {
            return true;
        } else if matches!(character, '"' | '\'') {
            quote = Some(character);
        }
        is_word_start = character.is_whitespace();
        rest = &rest[len..];
    }
    false
}

/// Checks that no line of a Python text is the name of a request and nothing else: no script has
/// such a line.
///
/// # Errors
/// The first one.
pub(crate) fn without_line_of_request_id(text: &str) -> Result<(), MisplacedRequestId> {
    let is_one = |line: &str| {
        let mut words = line.split_whitespace();
        words.next().is_some_and(|word| word.eq_ignore_ascii_case(REQUEST_ID_OPTION)) && words.count() <= 1
    };
    match text.lines().position(is_one) {
        Some(number) => Err(MisplacedRequestId { line: number + 1 }),
        None => Ok(()),
    }
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
            ("-addUser -requestId r1 bob", "-addUser", "bob", Some("r1")),
            ("-addUser bob -requestId r1 pw", "-addUser", "bob -requestId r1 pw", None),
            ("-addAction -requestId r1 DEFINE\n x", "-addAction", "DEFINE\n x", Some("r1")),
            ("-addAction  -RequestId  r1\r\nDEFINE", "-addAction", "DEFINE", Some("r1")),
            ("-addAction -replace -requestId r1 DEFINE", "-addAction", "-replace DEFINE", Some("r1")),
            ("-addAction -requestId r1 -replace DEFINE", "-addAction", "-replace DEFINE", Some("r1")),
            ("-addAction -requestId a DEFINE -requestId b", "-addAction", "-requestId a DEFINE", Some("b")),
            ("-addAction -- -requestId r1\nDEFINE", "-addAction", "-- -requestId r1\nDEFINE", None),
            ("-addAction A -requestId r1 DEFINE", "-addAction", "A -requestId r1 DEFINE", None),
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
            let expected = CommandText { verb, body: body.into(), request_id };
            assert_eq!(CommandText::new(payload), expected, "{payload:?}");
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
    fn a_request_id_in_the_midst_is_found() {
        let line = |line| Some(MisplacedRequestId { line });
        for (body, expected) in [
            ("bob -requestId r1 pw", line(1)),
            ("bob\n-REQUESTID", line(2)),
            (r#"bob "-requestId" r1"#, None),
            ("bob x-requestId -requestIds", None),
        ] {
            let found = arguments(body).err().map(|error| match error {
                ArgumentError::RequestId(misplaced) => misplaced,
                ArgumentError::QuoteNotClosed => panic!("{body}"),
            });
            assert_eq!(found, expected, "{body}");
        }
        for (text, expected) in [
            ("DEFINE ACTION A -requestId r1\n  x", line(1)),
            ("DEFINE ACTION A\n  x\n-requestId r1\nDEFINE ACTION B", line(3)),
            ("DEFINE ACTION A\n  x\n-RequestId r 1", line(3)),
            ("  WITH \"a\" -requestId", line(1)),
            ("  WITH \"-listEnv -requestId r1\"", None),
            ("  WITH 'it\\'s -requestId r1'", None),
            ("-- -requestId r1\n// -requestId r1\n/* a\n -requestId r1 */ x", None),
            ("/* a */ -requestId r1", line(1)),
            ("  {x}-requestId", None),
        ] {
            assert_eq!(without_request_id(text).err(), expected, "{text}");
        }
        for (text, expected) in [
            ("# Script Name: S\nx = 1\n  -requestId r1\ny = 2", line(3)),
            ("-requestId\n", line(1)),
            ("# -requestId r1\nx = a -requestId\n-requestId a b", None),
        ] {
            assert_eq!(without_line_of_request_id(text).err(), expected, "{text}");
        }
    }

    #[test]
    fn a_stray_name_before_define_is_skipped() {
        for (body, expected, replaces) in [
            ("DEFINE MODEL A", "DEFINE MODEL A", None),
            ("\n\nDEFINE MODEL A", "\n\nDEFINE MODEL A", None),
            ("-replaceOwn \n\nDEFINE RULE R", "\n\nDEFINE RULE R", Some(OnExisting::ReplaceOwn)),
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
            let parsed = entity_body(body);
            assert_eq!(parsed, EntityBody { text: expected, existing: replaces, agreed: None }, "{body:?}");
        }
        for (body, existing) in [
            ("-agreed none DEFINE RULE R", None),
            ("-replaceOwn -agreed none DEFINE RULE R", Some(OnExisting::ReplaceOwn)),
            ("-Agreed none -replace DEFINE RULE R", Some(OnExisting::Replace)),
        ] {
            let expected = EntityBody { text: "DEFINE RULE R", existing, agreed: Some("none") };
            assert_eq!(entity_body(body), expected, "{body:?}");
        }
    }
}
