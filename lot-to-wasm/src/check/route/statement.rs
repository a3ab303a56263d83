//! Checks of statements of MONGODB and OPENSEARCH that are invalid for every message, as their
//! guests read them. The error comes with the definition, and not with the first message.
//!
//! Not here: errors that depend on the values of a message, and texts of which a part is known when
//! the route is opened.

use lot_facts::{RouteBlock, RouteValue, TemplatePart};
use lot_nearest::nearest;
use serde_json::Value as Json;

use super::value_of;
use crate::diagnostic::{Draft, Sink, codes};
use crate::route::{RouteCheck, RouteType};
use crate::syntax::route::AddBlock;

/// Stands in a text for a value of a message.
const HOLE: char = '\u{1}';

/// Words with which a statement begins.
const MONGODB: &str = "INSERT FIND UPDATE DELETE";
const OPENSEARCH: &str = "INDEX SEARCH";

/// Problem with a statement, and its fix.
struct Problem {
    text: String,
    help: Option<String>,
}

/// Checks an event, or a mapping that does an event's work.
pub(super) fn in_event(kind: &RouteType, block: &AddBlock, event: &RouteBlock, sink: &mut Sink<'_>) {
    let check = if kind.has(RouteCheck::MongodbStatements) {
        of_mongodb
    } else if kind.has(RouteCheck::OpensearchStatements) {
        of_opensearch
    } else {
        return;
    };
    let Some(text) = known_text(event).filter(|text| !text.trim().is_empty()) else { return };
    if let Err(Problem { text, help }) = check(&text) {
        let message = format!("QUERY {text}");
        let draft = Draft::error(codes::SETTING_VALUE, value_of(block, "QUERY"), message);
        sink.push(draft.suggest_if(help).unless_stored());
    }
}

/// The text with marks for values of a message; `None` where more of it comes later.
fn known_text(event: &RouteBlock) -> Option<String> {
    match event.settings.get("QUERY")? {
        RouteValue::Text(text) => Some(text.clone()),
        RouteValue::Template(parts) => parts.iter().map(known_part).collect(),
        RouteValue::Int(_)
        | RouteValue::Double(_)
        | RouteValue::Digits(_)
        | RouteValue::Bool(_)
        | RouteValue::Parts(_) => None,
    }
}

fn known_part(part: &TemplatePart) -> Option<String> {
    match part {
        TemplatePart::Text(text) => Some(text.clone()),
        TemplatePart::JoinedEnv(_) | TemplatePart::JoinedUuid | TemplatePart::Secret(_) => None,
        TemplatePart::Payload
        | TemplatePart::Json(_)
        | TemplatePart::Csv(_)
        | TemplatePart::Topic
        | TemplatePart::TopicLevel(_)
        | TemplatePart::Timestamp
        | TemplatePart::UnixSeconds
        | TemplatePart::UnixMilliseconds
        | TemplatePart::Env(_)
        | TemplatePart::Field(_) => Some(HOLE.to_string()),
    }
}

fn problem(text: impl Into<String>, help: impl Into<Option<String>>) -> Problem {
    Problem { text: text.into(), help: help.into() }
}

/// Returns the first word, in capital letters, and the text behind it and its blanks.
fn first_word<'a>(text: &'a str, words: &'static str, all: &str) -> Result<(&'static str, &'a str), Problem> {
    let text = text.trim_start();
    let end = text.find(|letter: char| letter.is_whitespace() || letter == HOLE || letter == '{');
    let (word, rest) = text.split_at(end.unwrap_or(text.len()));
    let upper = word.to_ascii_uppercase();
    if let Some(known) = words.split_ascii_whitespace().find(|known| *known == upper) {
        return Ok((known, rest.trim_start()));
    }
    let begins = match word {
        "" if text.starts_with(HOLE) => "a placeholder".to_owned(),
        "" => "'{'".to_owned(),
        word => format!("'{}'", word.escape_debug()),
    };
    let near = nearest(&upper, words.split_ascii_whitespace()).map(|near| format!("did you mean {near}?"));
    Err(problem(format!("begins with {begins}, and not with {all}"), near))
}

/// Splits a text at its first blank.
fn up_to_blank(text: &str) -> (&str, &str) {
    let (name, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    (name, rest.trim_start())
}

fn of_mongodb(text: &str) -> Result<(), Problem> {
    let (verb, rest) = first_word(text, MONGODB, "INSERT, FIND, UPDATE or DELETE")?;
    let (collection, rest) = up_to_blank(rest);
    if collection.is_empty() || collection.starts_with('{') {
        let help = format!("write the collection behind it, as in {verb} readings …");
        return Err(problem(format!("names no collection behind {verb}"), help));
    }
    let filter = match verb {
        "INSERT" if rest.is_empty() => {
            let help = "write INSERT collection {payload.json}, or an object of JSON".to_owned();
            return Err(problem("has no document behind the collection", help));
        }
        "INSERT" => return object(rest).map(drop),
        "UPDATE" => {
            let (set, rest) = up_to_blank(rest);
            if !set.eq_ignore_ascii_case("set") {
                let help = "write UPDATE collection SET {\"field\": {payload.json.a}} WHERE …".to_owned();
                return Err(problem("has no SET behind the collection", help));
            }
            object(rest)?
        }
        _ => rest.to_owned(),
    };
    let filter = filter.trim_start();
    if filter.starts_with('{') {
        return object(filter).map(drop);
    }
    if filter.is_empty() && verb != "FIND" {
        let help = "write WHERE with conditions, or {} where all documents are meant".to_owned();
        return Err(problem(format!("has no WHERE behind {verb}"), help));
    }
    Ok(())
}

fn of_opensearch(text: &str) -> Result<(), Problem> {
    let (verb, rest) = first_word(text, OPENSEARCH, "INDEX or SEARCH")?;
    let (index, body) = up_to_blank(rest);
    if index.is_empty() || index.starts_with('{') {
        let help = format!("write the index behind it, as in {verb} readings …");
        return Err(problem(format!("names no index behind {verb}"), help));
    }
    let body = body.trim_end();
    match (verb, body) {
        ("INDEX", "") => {
            let help = "write INDEX index {payload.json}, or an object of JSON".to_owned();
            Err(problem("has no document behind the index", help))
        }
        (_, "") => Ok(()),
        (_, body) => {
            let rest = object(body)?;
            match rest.trim_start().chars().next() {
                Some(behind) => Err(problem(format!("has '{}' behind its end", behind.escape_debug()), None)),
                None => Ok(()),
            }
        }
    }
}

/// Reads an object of JSON, or a placeholder in its place; returns the text behind it.
fn object(text: &str) -> Result<String, Problem> {
    if let Some(rest) = text.strip_prefix(HOLE) {
        return Ok(rest.to_owned());
    }
    if !text.starts_with('{') {
        return Err(problem("has a document that is no object of JSON", None));
    }
    let filled = filled(text);
    let mut values = serde_json::Deserializer::from_str(&filled).into_iter::<Json>();
    match values.next() {
        Some(Ok(_)) => Ok(filled[values.byte_offset()..].to_owned()),
        Some(Err(error)) => {
            // The place is one among values that stand for those of a message.
            let told = error.to_string();
            let told = told.split(" at line ").next().unwrap_or_default();
            Err(problem(format!("has a document that is no JSON: {told}"), None))
        }
        None => Ok(String::new()),
    }
}

/// JSON with values in the places of marks: within a text they are a part of it, elsewhere a value.
/// Guests take line breaks within texts.
fn filled(text: &str) -> String {
    let (mut filled, mut is_quoted, mut is_escaped) = (String::with_capacity(text.len()), false, false);
    for letter in text.chars() {
        match letter {
            HOLE if is_quoted => filled.push('x'),
            HOLE => filled.push_str("null"),
            letter if is_quoted && letter.is_control() => filled.push(' '),
            letter => {
                is_quoted ^= letter == '"' && !is_escaped;
                filled.push(letter);
            }
        }
        is_escaped = is_quoted && letter == '\\' && !is_escaped;
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(check: fn(&str) -> Result<(), Problem>, text: &str) -> String {
        // `<>` stands for a placeholder here.
        let found = check(&text.replace("<>", "\u{1}"));
        found.err().map_or_else(String::new, |problem| match problem.help {
            Some(help) => format!("{} ({help})", problem.text),
            None => problem.text,
        })
    }

    #[test]
    fn statement_that_can_never_be_valid_is_reported() {
        const WHERE: &str = "write WHERE with conditions, or {} where all documents are meant";
        const VERBS: &str = "INSERT, FIND, UPDATE or DELETE";
        for (text, expected) in [
            ("FOO x", format!("begins with 'FOO', and not with {VERBS}")),
            ("fnid x", format!("begins with 'fnid', and not with {VERBS} (did you mean FIND?)")),
            ("<>", format!("begins with a placeholder, and not with {VERBS}")),
            ("{\"a\": 1}", format!("begins with '{{', and not with {VERBS}")),
            (
                "FIND",
                "names no collection behind FIND (write the collection behind it, as in FIND readings …)".to_owned(),
            ),
            (
                "INSERT {\"a\": 1}",
                "names no collection behind INSERT (write the collection behind it, as in INSERT readings …)".to_owned(),
            ),
            (
                "INSERT x",
                "has no document behind the collection (write INSERT collection {payload.json}, or an object of JSON)".to_owned(),
            ),
            ("INSERT x 5", "has a document that is no object of JSON".to_owned()),
            ("INSERT x {\"a\": <>,}", "has a document that is no JSON: trailing comma".to_owned()),
            ("INSERT x {a: 1}", "has a document that is no JSON: key must be a string".to_owned()),
            (
                "UPDATE x {\"a\": 1} {}",
                "has no SET behind the collection (write UPDATE collection SET {\"field\": {payload.json.a}} WHERE …)".to_owned(),
            ),
            ("UPDATE x SET {\"a\": <>}", format!("has no WHERE behind UPDATE ({WHERE})")),
            ("DELETE x", format!("has no WHERE behind DELETE ({WHERE})")),
            (
                "FIND x {\"a\": [1}",
                "has a document that is no JSON: expected `,` or `]`".to_owned(),
            ),
        ] {
            assert_eq!(report(of_mongodb, text), expected, "{text}");
        }
        for (text, expected) in [
            ("SELEC 1", "begins with 'SELEC', and not with INDEX or SEARCH"),
            ("SERCH x", "begins with 'SERCH', and not with INDEX or SEARCH (did you mean SEARCH?)"),
            ("SEARCH ", "names no index behind SEARCH (write the index behind it, as in SEARCH readings …)"),
            (
                "INDEX x",
                "has no document behind the index (write INDEX index {payload.json}, or an object of JSON)",
            ),
            ("INDEX x [1]", "has a document that is no object of JSON"),
            ("INDEX x {\"a\": <>} y", "has 'y' behind its end"),
            ("SEARCH x {\"query\": {}", "has a document that is no JSON: EOF while parsing an object"),
        ] {
            assert_eq!(report(of_opensearch, text), expected, "{text}");
        }
    }

    #[test]
    fn statement_that_may_become_valid_is_accepted() {
        for text in [
            "INSERT x <>",
            "insert x-<> {\"a\": <>, \"b\": \"at <>\", \"c\\\"\": \"two\nlines\"}",
            "FIND x",
            "FIND x WHERE a = <> ORDER BY a LIMIT 5",
            "FIND x {\"a\": {\"$gt\": <>}} LIMIT 1",
            "UPDATE x SET {\"a\": <>} WHERE b = <>",
            "UPDATE x SET <> {\"b\": <>}",
            "DELETE <> {}",
        ] {
            assert_eq!(report(of_mongodb, text), "", "{text}");
        }
        for text in [
            "INDEX x <>",
            "index x/<> {\"a\": <>}",
            "INDEX x-<>/a {\"a\": \"<>\"}  ",
            "SEARCH a,b-*",
            "SEARCH x {\"query\":{\"match\":{\"t\":<>}}}",
            "SEARCH x <>",
        ] {
            assert_eq!(report(of_opensearch, text), "", "{text}");
        }
    }
}
