//! The LoT runtime on foreign payloads: its JSON scanner against a foreign parser, and whatever
//! else reads a text.
//!
//! The function is here and not in the runtime, whose sources are hashed into the module that is
//! checked in. Texts of a run are given back as a whole inside the sandbox; here they leak, so run
//! it with `ASAN_OPTIONS=detect_leaks=0`.
#![no_main]

use lot_runtime::value::Origin;
use lot_runtime::{Value, cast, function, json, number, text, timestamp, topic};
use serde_json::Value as Json;

/// Whitespace that RFC 8259 allows around a value.
const JSON_BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// Nesting from which on one of both parsers may refuse what the other takes.
const DEPTH_JUDGED_MAX: usize = 120;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_value(bytes));

/// Reads `bytes` as two lines: a payload, and what is used as JSON path, separator, pattern and
/// topic filter.
fn fuzz_value(bytes: &[u8]) {
    let whole = lot_runtime::value::text_of(Box::leak(bytes.to_vec().into_boxed_slice()));
    let (payload, other) = whole.split_once('\n').unwrap_or((whole, "a.b[0].c"));
    check_document(payload);
    let (a, b) = (Value::data(payload), Value::data(other));
    for value in [a, b, json::get(a, other)] {
        check_value(value);
    }
    check_number(payload);
    let _ = (json::members(payload), json::count(payload));
    let _ = (text::split(a, b), text::piece(a, b, 2), text::replace(b, Value::literal("x"), a));
    let _ =
        (function::round_to(a, b), function::minimum(a, b), timestamp::timestamp(1_768_473_000_123, payload));
    let _ = (topic::position(payload, 2), topic::rest(payload, 1, true), topic::matches(other, payload));
}

/// Both parsers agree on what is JSON, and on what it says. A byte order mark in front is for our
/// parser alone: RFC 8259, section 8.1 lets a parser skip it, and the foreign one refuses it.
fn check_document(document: &'static str) {
    let text = document.strip_prefix('\u{feff}').unwrap_or(document);
    match (json::read(document), serde_json::from_str::<Json>(text)) {
        (Some(ours), Ok(theirs)) => check_same(text, ours, &theirs),
        (None, Ok(theirs)) => assert!(depth(&theirs) > DEPTH_JUDGED_MAX, "refused: {text:?}"),
        (Some(_), Err(error)) => assert!(is_tolerated(&error), "accepted: {text:?}: {error}"),
        (None, Err(_)) => {}
    }
}

/// Returns whether RFC 8259 leaves the input open and our parser accepts it: numbers beyond
/// doubles, lone surrogates, deep nesting.
fn is_tolerated(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    ["out of range", "surrogate", "hex escape", "recursion"].iter().any(|reason| text.contains(reason))
}

fn check_same(text: &str, ours: Value, theirs: &Json) {
    match (ours, theirs) {
        (Value::Json(compact), theirs) => {
            let again: Json = serde_json::from_str(compact).expect("compact JSON is JSON");
            assert_eq!(&again, theirs);
        }
        // A number that no number type holds keeps its digits; the foreign parser rounds it.
        (Value::Text(digits, Origin::Digits), Json::Number(_)) => {
            assert_eq!(digits, text.trim_matches(JSON_BLANKS));
        }
        (Value::Text(ours, _), Json::String(theirs)) => assert_eq!(ours, theirs),
        (Value::Bool(ours), Json::Bool(theirs)) => assert_eq!(ours, *theirs),
        (Value::Null, Json::Null) => {}
        // -0 is whole to us.
        (Value::Int(ours), Json::Number(theirs)) => {
            assert_eq!(Some(ours as f64), theirs.as_f64(), "{text:?}")
        }
        (Value::Double(ours), Json::Number(_)) => {
            assert_eq!(Some(ours), text.trim_matches(JSON_BLANKS).parse().ok(), "{text:?}");
        }
        (ours, theirs) => panic!("{text:?} is {ours:?} to us and {theirs:?} to others"),
    }
}

fn depth(value: &Json) -> usize {
    match value {
        Json::Array(members) => 1 + members.iter().map(depth).max().unwrap_or(0),
        Json::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => 0,
    }
}

/// Any value can be cast and printed, and prints as JSON that a foreign parser takes.
fn check_value(value: Value) {
    let _ = (cast::to_int(value), cast::to_double(value), cast::to_bool(value), cast::to_string(value));
    let _ = (cast::to_array(value), cast::to_object(value), cast::to_json(value), cast::to_timestamp(value));
    let _ = (function::length(value), function::absolute(value), function::round(value));
    let _ = (function::floor(value), function::ceil(value), function::square_root(value));
    let _ = (text::trim(value), text::upper(value), text::lower(value), value.text());
    let mut out = String::new();
    json::append_value(&mut out, value);
    if let Err(error) = serde_json::from_str::<Json>(&out) {
        assert!(is_tolerated(&error), "{value:?} prints {out:?}: {error}");
    }
}

/// A number prints as a number.
fn check_number(text: &str) {
    let Some(found) = number::parse(text) else { return };
    let mut out = String::new();
    Value::from(found).append_text(&mut out);
    assert!(number::parse(&out).is_some() || out == "null", "{text:?} prints {out:?}");
}
