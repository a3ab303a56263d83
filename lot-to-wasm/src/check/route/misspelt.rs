//! Misspelt placeholders of routes. Other text in braces stays text, as JSON is full of braces.
//! Only text that must be meant as a placeholder is reported.

use lot_facts::TemplatePart;
use lot_nearest::nearest;

use super::template::placeholder;
use crate::diagnostic::{Draft, Sink, codes};
use crate::source::Span;

/// First words of placeholders that have a dot in them.
const HEADS: [&str; 6] = ["payload", "value", "topic", "timestamp", "env", "secret"];

/// Placeholders of one word.
const WORDS: [&str; 4] = ["payload", "value", "topic", "timestamp"];

/// Warns of misspelt placeholders in a text.
pub(super) fn warn(key: &str, text: &str, span: Span, sink: &mut Sink<'_>) {
    for (at, written, meant) in found(text) {
        let place = place(text, span, at, written);
        let message = format!("{key}: `{written}` is no placeholder, and goes out as it stands");
        let draft = Draft::warning(codes::PLACEHOLDER, place.unwrap_or(span), message);
        let draft = draft.suggest(format!("did you mean `{meant}`?"));
        sink.push(if let Some(place) = place { draft.fix(place, meant) } else { draft });
    }
}

/// Returns the source span of a part of a text whose literal is at `span`. Returns `None` if the
/// literal has escapes, because its offsets differ from those of the text.
pub(super) fn place(text: &str, span: Span, at: usize, written: &str) -> Option<Span> {
    let is_plain = (span.end - span.start) as usize == text.len() + 2;
    let place =
        |at: usize| span.start.saturating_add(1).saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
    is_plain.then(|| Span { start: place(at), end: place(at + written.len()) })
}

/// Finds misspelt placeholders of a text, with their byte offsets and corrections.
fn found(text: &str) -> Vec<(usize, &str, String)> {
    let mut found = Vec::new();
    for (open, _) in text.match_indices('{') {
        let behind = &text[open + 1..];
        let run = behind.find(|c: char| !is_inner(c) && c != ' ').unwrap_or(behind.len());
        let inside = &behind[..run];
        if behind[run..].starts_with('}') {
            found.extend(meant(inside).map(|meant| (open, &text[open..run + open + 2], meant)));
        } else if WORDS.contains(&inside) && ends_a_value(&behind[run..]) {
            found.push((open, &text[open..=open + run], format!("{{{inside}}}")));
        } else if let Some((word, filled)) = unclosed(inside) {
            found.push((open, &text[open..=open + word.len()], filled));
        }
    }
    found
}

fn is_inner(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

/// Whether a value ends where this goes on; JSON has a colon behind a name.
fn ends_a_value(behind: &str) -> bool {
    behind.is_empty() || behind.starts_with([')', ',', ';', ']', '\'', '"'])
}

/// A placeholder with a dot in it whose `}` is missing.
fn unclosed(inside: &str) -> Option<(&str, String)> {
    let word = inside.split(' ').next()?;
    let word = word.trim_end_matches('.');
    let is_one = word.contains('.') && matches!(placeholder(word), Some(Ok(_)));
    is_one.then(|| (word, format!("{{{word}}}")))
}

/// Returns the correction of a placeholder; `None` if it is correct or means something else.
pub(super) fn meant(inside: &str) -> Option<String> {
    match placeholder(inside) {
        Some(Ok(TemplatePart::Field(name))) => return word(&name).map(|word| format!("{{{word}}}")),
        Some(_) => return None,
        None => {}
    }
    let trimmed = inside.trim();
    let (head, tail) = trimmed.split_once('.').map_or((trimmed, None), |(head, tail)| (head, Some(tail)));
    let Some(tail) = tail else {
        // Spaces around one word.
        return word(trimmed).map(|word| format!("{{{word}}}"));
    };
    let head = nearest(head, HEADS)?;
    let tail = match head {
        "payload" | "value" => of_payload(tail),
        "topic" => number(tail).unwrap_or("1").to_owned(),
        "timestamp" => nearest(tail, ["unix", "unix_ms"]).unwrap_or("unix_ms").to_owned(),
        _ if tail.is_empty() => "NAME".to_owned(),
        _ => tail.to_owned(),
    };
    Some(format!("{{{head}.{tail}}}"))
}

/// Corrects the text behind `payload.`.
fn of_payload(tail: &str) -> String {
    let (first, rest) = tail.split_once('.').map_or((tail, None), |(first, rest)| (first, Some(rest)));
    let rest = rest.filter(|rest| !rest.is_empty());
    match nearest(first, ["json", "csv"]) {
        Some("json") => rest.map_or_else(|| "json".to_owned(), |rest| format!("json.{rest}")),
        Some(_) => format!("csv.{}", rest.and_then(number).unwrap_or("1")),
        None => number(tail).map_or_else(|| format!("json.{tail}"), |column| format!("csv.{column}")),
    }
}

fn number(text: &str) -> Option<&str> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(text)
}

/// The word that a name is but for its case or for letters that are left out. Other names are
/// members of JSON payloads, `valve` too.
fn word(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let is_part = |word: &str| {
        let mut letters = word.chars();
        name.len() + 2 >= word.len()
            && name.len() >= 4
            && name.chars().all(|wanted| letters.any(|c| c == wanted))
    };
    let known = WORDS.into_iter().find(|word| *word == name);
    known.or_else(|| WORDS.into_iter().find(|word| is_part(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_placeholder_is_reported_with_a_suggestion() {
        for (text, expected) in [
            ("a {value.jsn} b", "{value.jsn}={value.json}"),
            ("{paylod.json.t}", "{paylod.json.t}={payload.json.t}"),
            ("{payload.jso.a.b}", "{payload.jso.a.b}={payload.json.a.b}"),
            ("{payload.t}", "{payload.t}={payload.json.t}"),
            ("{value.cvs.2}", "{value.cvs.2}={value.csv.2}"),
            ("{payload.csv}", "{payload.csv}={payload.csv.1}"),
            ("{payload.3}", "{payload.3}={payload.csv.3}"),
            ("s/{topic.x}/{topc.2}", "{topic.x}={topic.1} {topc.2}={topic.2}"),
            ("{timestamp.unx_ms}", "{timestamp.unx_ms}={timestamp.unix_ms}"),
            ("{ payload }", "{ payload }={payload}"),
            ("{Payload}{paylod}", "{Payload}={payload} {paylod}={payload}"),
            ("{secrets.KEY}{env.}", "{secrets.KEY}={secret.KEY} {env.}={env.NAME}"),
            // In JSON, of which the rest is none of our matter.
            (r#"{"v":{value.jsn.v},"n":{"a":{payload.json.a}}}"#, "{value.jsn.v}={value.json.v}"),
            (r#"{"v":{payload.json.v,"n":1}"#, "{payload.json.v={payload.json.v}"),
            ("INSERT INTO t VALUES ({payload.json.v)", "{payload.json.v={payload.json.v}"),
            ("INSERT INTO t VALUES ({payload)", "{payload={payload}"),
            ("VALUES ('{topic', {timestamp, 1)", "{topic={topic} {timestamp={timestamp}"),
            ("{payload", "{payload={payload}"),
        ] {
            let told: Vec<String> =
                found(text).iter().map(|(_, written, meant)| format!("{written}={meant}")).collect();
            assert_eq!(told.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn braces_that_are_text_are_left_alone() {
        for text in [
            r#"{"a":{payload},"b":{},"value":1}"#,
            r#"{"topic":"{topic}","payload":{"json":{payload.json}}}"#,
            "{value: {payload.json.v}, topic: {topic.2}}",
            "CLEAN:{table: {topic.2}, data: {value.json}}",
            "{ \"$set\": { \"v\": {value.json.v} } }",
            "{$set: {v: {value.json.v}}}",
            "{ }{}{{}}{",
            "{status}{valve}{values}{topics}{date}{0}{time}{time_stamp}{sensor_id}{b}",
            "b { color: red } .value{color:blue}",
            "x{2,3}[a-z]{4}",
            "{timestamp}{timestamp.unix}{env.A_B}{secret.C}{payload.csv.2}{payload.json.a-b.0}",
            "{a.b}{sensor.id}{x.json}",
            "{value: 1}{ payload: {payload} }{topic {value and",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
